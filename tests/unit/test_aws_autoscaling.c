/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Auto Scaling groups, asked for and parsed. The answers are made up after the
 * shapes of the public API description.
 */
#include "acquire/aws/autoscaling.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "aws_fake.h"
#include "ec2_fixture.h"

#define OK(expect_, body_)                                      \
	{                                                       \
		.expect = expect_, .status = 200, .body = body_ \
	}

#define GROUPS(inner_, next_)                                                  \
	HEAD "<DescribeAutoScalingGroupsResponse "                             \
	     "xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">"     \
	     "<DescribeAutoScalingGroupsResult><AutoScalingGroups>" inner_     \
	     "</AutoScalingGroups>" next_ "</DescribeAutoScalingGroupsResult>" \
	     "</DescribeAutoScalingGroupsResponse>"
#define GROUP(name_, inner_)                   \
	"<member><AutoScalingGroupName>" name_ \
	"</AutoScalingGroupName>" inner_ "</member>"
#define MEMBER(id_, state_)                                               \
	"<member><InstanceId>" id_ "</InstanceId><LifecycleState>" state_ \
	"</LifecycleState><HealthStatus>Healthy</HealthStatus></member>"
#define ASG "&Version=2011-01-01"

static void test_groups(void **state)
{
	static const char *const names[] = { "web & co", "old" };
	static const struct fake_step steps[] = {
		OK(ASK "DescribeAutoScalingGroups" ASG
		       "&AutoScalingGroupNames.member.1=web%20%26%20co"
		       "&AutoScalingGroupNames.member.2=old&MaxRecords=100",
		   GROUPS(GROUP("web &amp; co",
				"<MixedInstancesPolicy><LaunchTemplate>"
				"<LaunchTemplateSpecification>"
				"<LaunchTemplateId>lt-0a</LaunchTemplateId>"
				"<LaunchTemplateName>web</LaunchTemplateName>"
				"<Version>$Latest</Version>"
				"</LaunchTemplateSpecification><Overrides>"
				"<member><InstanceType>m5.large"
				"</InstanceType></member><member>"
				"<InstanceType>m7g.large</InstanceType>"
				"<LaunchTemplateSpecification>"
				"<LaunchTemplateId>lt-0b</LaunchTemplateId>"
				"<Version>3</Version>"
				"</LaunchTemplateSpecification></member>"
				"</Overrides></LaunchTemplate>"
				"</MixedInstancesPolicy><MinSize>1</MinSize>"
				"<MaxSize>9</MaxSize><DesiredCapacity>2"
				"</DesiredCapacity><CreatedTime>"
				"2026-03-01T00:00:00.123Z</CreatedTime>"
				"<Instances>" MEMBER(I2, "Terminating:Wait") MEMBER(
					I1,
					"InService") "<member><InstanceId>i-03</InstanceId>"
						     "<LifecycleState>Warmed:Stopped"
						     "</LifecycleState><HealthStatus>Unhealthy"
						     "</HealthStatus><AvailabilityZone>"
						     "eu-central-1a</AvailabilityZone>"
						     "<LaunchTemplate><LaunchTemplateId>lt-0a"
						     "</LaunchTemplateId><LaunchTemplateName>web"
						     "</LaunchTemplateName><Version>6</Version>"
						     "</LaunchTemplate><ProtectedFromScaleIn>true"
						     "</ProtectedFromScaleIn></member>"
						     "</Instances>"),
			  "<NextToken>n/=</NextToken>")),
		OK(ASK "DescribeAutoScalingGroups" ASG
		       "&AutoScalingGroupNames.member.1=web%20%26%20co"
		       "&AutoScalingGroupNames.member.2=old&MaxRecords=100"
		       "&NextToken=n%2F%3D",
		   GROUPS(GROUP("old", "<LaunchConfigurationName>lc-1"
				       "</LaunchConfigurationName><Instances/>"
				       "<Status>Delete in progress</Status>"),
			  "")),
	};
	struct herd_aws a = { .steps = steps, .n = 2 };
	struct herd_asgs l = { 0 };

	(void)state;
	assert_int_equal(herd_asg_list(&a, names, 2, &l, NULL), 0);
	assert_int_equal(l.n, 2);

	const struct herd_asg *g = &l.v[0];

	assert_string_equal(g->name, "web & co");
	assert_true(g->mixed);
	assert_string_equal(g->template.id, "lt-0a");
	assert_string_equal(g->template.version, "$Latest");
	assert_int_equal(g->n_overrides, 2);
	assert_string_equal(g->overrides[0].template.id, "");
	assert_string_equal(g->overrides[1].template.id, "lt-0b");
	assert_int_equal(g->desired, 2);
	assert_int_equal(g->n_instances, 3);
	assert_string_equal(g->instances[0].id, I1);
	assert_string_equal(g->instances[0].lifecycle, "InService");
	assert_string_equal(g->instances[1].lifecycle, "Terminating:Wait");
	assert_string_equal(g->instances[2].lifecycle, "Warmed:Stopped");
	assert_string_equal(g->instances[2].health, "Unhealthy");
	assert_string_equal(g->instances[2].template.version, "6");
	assert_true(g->instances[2].protected);
	assert_int_equal(g->odd, 0);
	assert_false(l.v[1].mixed);
	assert_string_equal(l.v[1].launch_configuration, "lc-1");
	assert_string_equal(l.v[1].status, "Delete in progress");
	assert_int_equal(l.v[1].n_instances, 0);
	herd_asgs_deinit(&l);
}

static void test_bad_groups(void **state)
{
	static const char *const names[] = { "a" };
	static const struct {
		const char *body;
		int expected;
	} cases[] = {
		{ GROUPS("", ""), 0 },
		{ GROUPS(GROUP("a", "<Instances>" MEMBER(I1, "In")
					    MEMBER(I1, "In") "</Instances>"),
			 ""),
		  -EBADMSG },
		{ GROUPS(GROUP("a", "") GROUP("a", ""), ""), -EBADMSG },
		{ GROUPS(GROUP("b", ""), ""), -EBADMSG },
		{ GROUPS(GROUP("", ""), ""), -EBADMSG },
		{ GROUPS(GROUP("a\x7f", ""), ""), -EBADMSG },
		{ GROUPS(GROUP("a",
			       "<Instances>" MEMBER("x", "In") "</Instances>"),
			 ""),
		  -EBADMSG },
		{ GROUPS(GROUP("a",
			       "<Instances>" MEMBER(I1, "a b") "</Instances>"),
			 ""),
		  -EBADMSG },
		{ "<DescribeAutoScalingGroupsResponse/>", -EBADMSG },
		{ "", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fake_step step = OK(NULL, cases[i].body);
		struct herd_aws a = { .steps = &step, .n = 1 };
		struct herd_asgs l = { 0 };
		int r = herd_asg_list(&a, names, 1, &l, NULL);

		if (r != cases[i].expected)
			fail_msg("%d for %s", r, cases[i].body);
		assert_int_equal(l.n, 0);
		herd_asgs_deinit(&l);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_bad_groups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
