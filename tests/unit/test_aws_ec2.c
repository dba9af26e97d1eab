/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls of EC2: how they ask, page after page, and what they make of the
 * answers, which are made up; that of DescribeLaunchTemplateVersions after its
 * public reference, the others after the API descriptions.
 */
#include "acquire/aws/ec2.h"

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

static void test_paging(void **state)
{
	static const struct fake_step steps[] = {
		OK(ASK "DescribeInstances" EC2
		       "&Filter.1.Name=tag%3Aherdfs%3Acase"
		       "&Filter.1.Value.1=a%26b&Filter.1.Value.2=c"
		       "&Filter.2.Name=instance-state-name"
		       "&Filter.2.Value.1=running&MaxResults=200",
		   HEAD
		   "<DescribeInstancesResponse><reservationSet>" RESERVATION(
			   INSTANCE(I1)) "</reservationSet>"
					 "<nextToken>t+/=&amp;</nextToken>"
					 "</DescribeInstancesResponse>"),
		OK(ASK "DescribeInstances" EC2
		       "&Filter.1.Name=tag%3Aherdfs%3Acase"
		       "&Filter.1.Value.1=a%26b&Filter.1.Value.2=c"
		       "&Filter.2.Name=instance-state-name"
		       "&Filter.2.Value.1=running&MaxResults=200"
		       "&NextToken=t%2B%2F%3D%26",
		   "<DescribeInstancesResponse><reservationSet/>"
		   "<nextToken>u</nextToken></DescribeInstancesResponse>"),
		OK(NULL, INSTANCES(RESERVATION(INSTANCE(I2)))),
	};
	static const struct herd_pair filters[] = {
		{ "tag:herdfs:case", "a&b" },
		{ "instance-state-name", "running" },
		{ "tag:herdfs:case", "c" },
	};
	struct herd_aws a = { .steps = steps, .n = ARRAY_SIZE(steps) };
	struct herd_ec2_query q = { .filters = filters, .n_filters = 3 };
	struct herd_ec2_instances l = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_instances(&a, &q, &l, NULL), 0);
	assert_int_equal(a.calls, 3);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[1].id, I2);
	herd_ec2_instances_deinit(&l);
}

static void test_by_ids(void **state)
{
	static const char *const ids[] = { I1, I2 };
	static const struct fake_step good[] = {
		OK(ASK "DescribeInstances" EC2 "&InstanceId.1=" I1
		       "&InstanceId.2=" I2,
		   INSTANCES(RESERVATION(INSTANCE(I2) INSTANCE(I1)))),
	};
	/* one is gone: all is asked again in a way in which that is no error */
	static const struct fake_step gone[] = {
		{ .err = -ENOENT,
		  .status = 400,
		  .type = "InvalidInstanceID.NotFound" },
		OK(ASK "DescribeInstances" EC2
		       "&Filter.1.Name=instance-id&Filter.1.Value.1=" I1
		       "&Filter.1.Value.2=" I2 "&MaxResults=200",
		   INSTANCES(RESERVATION(INSTANCE(I1)))),
	};
	static const struct fake_step twice[] = {
		OK(NULL, INSTANCES(RESERVATION(INSTANCE(I1) INSTANCE(I1)))),
	};
	static const struct fake_step foreign[] = {
		OK(NULL,
		   INSTANCES(RESERVATION(INSTANCE(I1) INSTANCE("i-0bad")))),
	};
	struct herd_ec2_query q = { .ids = ids, .n_ids = 2 };
	struct herd_ec2_instances l = { 0 };
	struct herd_aws a = { .steps = good, .n = 1 };
	struct herd_diag diag = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_instances(&a, &q, &l, &diag), 0);
	assert_int_equal(l.n, 2);
	herd_ec2_instances_deinit(&l);

	a = (struct herd_aws){ .steps = gone, .n = 2 };
	assert_int_equal(herd_ec2_instances(&a, &q, &l, &diag), 0);
	assert_int_equal(l.n, 1);
	assert_string_equal(diag.message, "");
	herd_ec2_instances_deinit(&l);

	a = (struct herd_aws){ .steps = twice, .n = 1 };
	assert_int_equal(herd_ec2_instances(&a, &q, &l, &diag), -EBADMSG);
	assert_non_null(strstr(diag.message, "twice"));
	assert_int_equal(l.n, 0);

	herd_diag_clear(&diag);
	a = (struct herd_aws){ .steps = foreign, .n = 1 };
	assert_int_equal(herd_ec2_instances(&a, &q, &l, &diag), -EBADMSG);
	assert_non_null(strstr(diag.message, "nobody asked for i-0bad"));
}

/* 250 ids are three calls. */
static char *many_answer(const char *asked)
{
	struct herd_buf b = HERD_BUF_INIT;

	herd_buf_printf(&b, "<DescribeInstancesResponse><reservationSet>"
			    "<item><instancesSet>");
	for (const char *p = asked; (p = strstr(p, "=i-")); p++)
		herd_buf_printf(&b,
				"<item><instanceId>%.*s</instanceId></item>",
				(int)strcspn(p + 1, "&"), p + 1);
	herd_buf_printf(&b, "</instancesSet></item></reservationSet>"
			    "</DescribeInstancesResponse>");
	herd_buf_u8(&b, 0);
	return (char *)b.data;
}

static void test_many_ids(void **state)
{
	char text[250][24];
	const char *ids[250];
	struct herd_aws a = { .more = many_answer };
	struct herd_ec2_query q = { .ids = ids, .n_ids = 250 };
	struct herd_ec2_instances l = { 0 };

	(void)state;
	for (unsigned i = 0; i < 250; i++) {
		snprintf(text[i], sizeof(text[i]), "i-%x", i);
		ids[i] = text[i];
	}
	assert_int_equal(herd_ec2_instances(&a, &q, &l, NULL), 0);
	assert_int_equal(a.calls, 3);
	assert_int_equal(l.n, 250);
	herd_ec2_instances_deinit(&l);

	/* what is no id is not asked for */
	ids[249] = "i-1&Action=DeleteSnapshot";
	a = (struct herd_aws){ 0 };
	assert_int_equal(herd_ec2_instances(&a, &q, &l, NULL), -EINVAL);
	assert_int_equal(a.calls, 0);
}

static char *empty_answer(const char *asked)
{
	(void)asked;
	return strdup("<DescribeVolumesResponse><volumeSet/><nextToken>t"
		      "</nextToken></DescribeVolumesResponse>");
}

static void test_no_end(void **state)
{
	struct herd_aws a = { .more = empty_answer };
	struct herd_ec2_query q = { 0 };
	struct herd_ec2_volumes l = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_volumes(&a, &q, &l, NULL), -EIO);
	assert_int_equal(a.calls, 101);
}

#define DRY                                                               \
	{                                                                 \
		.err = -EINVAL, .status = 412, .type = "DryRunOperation", \
		.message = "Request would have succeeded"                 \
	}

static void test_dry_run(void **state)
{
	static const struct fake_step would[] = {
		{ .expect = ASK "DescribeImages" EC2
				"&MaxResults=200&DryRun=true",
		  .err = -EINVAL,
		  .status = 412,
		  .type = "DryRunOperation" },
		DRY,
		DRY,
		DRY,
	};
	static const struct fake_step would_not[] = {
		{ .err = -EACCES,
		  .status = 403,
		  .type = "UnauthorizedOperation",
		  .message = "not you" },
	};
	static const struct fake_step deaf[] = {
		OK(NULL, "<CreateSnapshotsResponse><snapshotSet><item>"
			 "<snapshotId>" S1 "</snapshotId></item></snapshotSet>"
			 "</CreateSnapshotsResponse>"),
	};
	struct herd_aws a = { .steps = would, .n = ARRAY_SIZE(would) };
	struct herd_ec2_query q = { .dry_run = true };
	struct herd_ec2_capture c = { .instance = I1, .dry_run = true };
	struct herd_ec2_images images = { 0 };
	struct herd_ec2_snapshots l = { 0 };
	struct herd_ec2_template t;
	struct herd_diag diag = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_images(&a, &q, &images, &diag), 0);
	assert_int_equal(images.n, 0);
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, &diag), 0);
	assert_int_equal(l.n, 0);
	assert_int_equal(herd_ec2_delete_snapshot(&a, S1, true, &diag), 0);
	assert_int_equal(herd_ec2_template_version(&a, "lt-1", NULL, "1", true,
						   &t, &diag),
			 0);
	assert_int_equal(a.at, 4);
	assert_string_equal(diag.message, "");

	a = (struct herd_aws){ .steps = would_not, .n = 1 };
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, &diag), -EACCES);
	assert_non_null(strstr(diag.message, "not you"));
	herd_diag_clear(&diag);
	a = (struct herd_aws){ .steps = deaf, .n = 1 };
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, &diag), -EIO);
	assert_non_null(strstr(diag.message, "DryRun"));
}

static void test_create_snapshots(void **state)
{
	static const struct herd_pair tags[] = { { "herdfs:case", "7/a" },
						 { "herdfs:instance", I1 } };
	static const struct fake_step steps[] = {
		OK(ASK "CreateSnapshots" EC2
		       "&InstanceSpecification.InstanceId=" I1
		       "&Description=case%207&TagSpecification.1.ResourceType="
		       "snapshot&TagSpecification.1.Tag.1.Key=herdfs%3Acase"
		       "&TagSpecification.1.Tag.1.Value=7%2Fa"
		       "&TagSpecification.1.Tag.2.Key=herdfs%3Ainstance"
		       "&TagSpecification.1.Tag.2.Value=" I1,
		   HEAD "<CreateSnapshotsResponse><snapshotSet><item>"
			"<snapshotId>" S1 "</snapshotId><volumeId>" V1
			"</volumeId><state>pending</state><progress/>"
			"<volumeSize>8</volumeSize><encrypted>false"
			"</encrypted><ownerId>123456789012</ownerId>"
			"<startTime>2026-03-01T00:00:00.000Z</startTime>"
			"<tagSet><item><key>herdfs:case</key><value>7/a"
			"</value></item></tagSet></item><item><snapshotId>" S2
			"</snapshotId><volumeId>vol-0d</volumeId></item>"
			"</snapshotSet></CreateSnapshotsResponse>"),
	};
	static const struct fake_step nothing[] = {
		OK(NULL, "<CreateSnapshotsResponse><snapshotSet/>"
			 "</CreateSnapshotsResponse>"),
	};
	struct herd_aws a = { .steps = steps, .n = 1 };
	struct herd_ec2_capture c = { .instance = I1,
				      .description = "case 7",
				      .tags = tags,
				      .n_tags = 2 };
	struct herd_ec2_snapshots l = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, NULL), 0);
	assert_true(a.once);
	assert_int_equal(l.n, 2);
	assert_string_equal(l.v[0].id, S1);
	assert_string_equal(l.v[0].volume, V1);
	assert_string_equal(l.v[0].state, "pending");
	assert_int_equal(l.v[0].gib, 8);
	assert_string_equal(l.v[0].tags[0].value, "7/a");
	herd_ec2_snapshots_deinit(&l);

	a = (struct herd_aws){ .steps = nothing, .n = 1 };
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, NULL), -EBADMSG);
	c.instance = "i-1&x=y";
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, NULL), -EINVAL);
	c.instance = I1;
	c.description = "a\nb";
	assert_int_equal(herd_ec2_create_snapshots(&a, &c, &l, NULL), -EINVAL);
}

static void test_delete_snapshot(void **state)
{
	static const struct fake_step steps[] = {
		OK(ASK "DeleteSnapshot" EC2 "&SnapshotId=" S1,
		   "<DeleteSnapshotResponse><return>true</return>"
		   "</DeleteSnapshotResponse>"),
		{ .err = -ENOENT,
		  .status = 400,
		  .type = "InvalidSnapshot.NotFound" },
		{ .err = -EINVAL,
		  .status = 400,
		  .type = "InvalidSnapshot.InUse",
		  .message = "of an AMI" },
	};
	struct herd_aws a = { .steps = steps, .n = 3 };
	struct herd_diag diag = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_delete_snapshot(&a, S1, false, &diag), 0);
	assert_int_equal(herd_ec2_delete_snapshot(&a, S1, false, NULL),
			 -ENOENT);
	assert_int_equal(herd_ec2_delete_snapshot(&a, S1, false, &diag),
			 -EINVAL);
	assert_non_null(strstr(diag.message, "of an AMI"));
	assert_int_equal(herd_ec2_delete_snapshot(&a, "snap-", false, NULL),
			 -EINVAL);
}

static void test_snapshots(void **state)
{
	static const struct fake_step steps[] = {
		OK(ASK "DescribeSnapshots" EC2 "&SnapshotId.1=" S1
		       "&SnapshotId.2=" S2 "&RestorableBy.1=all",
		   HEAD "<DescribeSnapshotsResponse><snapshotSet><item>"
			"<snapshotId>" S1 "</snapshotId><volumeId>" V1
			"</volumeId><status>pending</status><startTime>"
			"2026-03-01T00:00:00.000Z</startTime><progress>45%"
			"</progress><ownerId>123456789012</ownerId>"
			"<volumeSize>100</volumeSize><encrypted>true"
			"</encrypted><kmsKeyId>arn:aws:kms:x:1:key/2"
			"</kmsKeyId><storageTier>standard</storageTier>"
			"</item><item><snapshotId>" S2 "</snapshotId><status>"
			"completed</status><progress>100%</progress></item>"
			"</snapshotSet></DescribeSnapshotsResponse>"),
	};
	static const char *const ids[] = { S1, S2 };
	struct herd_aws a = { .steps = steps, .n = 1 };
	struct herd_ec2_query q = { .ids = ids, .n_ids = 2, .everybody = true };
	struct herd_ec2_snapshots l = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_snapshots(&a, &q, &l, NULL), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.v[0].progress, 45);
	assert_int_equal(l.v[0].gib, 100);
	assert_true(l.v[0].encrypted);
	assert_int_equal(l.v[0].odd, 0);
	assert_int_equal(l.v[1].progress, 100);
	assert_int_equal(herd_ec2_snapshot_readable(&l.v[0], NULL), -EAGAIN);
	assert_int_equal(herd_ec2_snapshot_readable(&l.v[1], NULL), 0);
	herd_ec2_snapshots_deinit(&l);
}

static void test_readable(void **state)
{
	static const struct {
		struct herd_ec2_snapshot s;
		int expected;
		const char *message;
	} cases[] = {
		{ { .state = "completed" }, 0, "" },
		{ { .state = "completed", .tier = "standard" }, 0, "" },
		{ { .state = "completed", .tier = "archive" },
		  -EACCES,
		  "archived" },
		{ { .state = "completed", .outpost = "arn:x" },
		  -EACCES,
		  "Outpost" },
		{ { .state = "completed", .owner_alias = "amazon" },
		  -EACCES,
		  "a public AMI's snapshot cannot be read over EBS direct" },
		{ { .state = "pending", .progress = 7 }, -EAGAIN, "7 %" },
		{ { .state = "error", .state_message = "no key" },
		  -EIO,
		  "no key" },
		{ { .state = "" }, -EIO, "state" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct herd_diag diag = { 0 };

		assert_int_equal(herd_ec2_snapshot_readable(&cases[i].s, &diag),
				 cases[i].expected);
		assert_non_null(strstr(diag.message, cases[i].message));
	}
}

static void test_volumes_images_templates(void **state)
{
	static const struct fake_step steps[] = {
		OK(NULL, HEAD
		   "<DescribeVolumesResponse><volumeSet><item><volumeId>" V1
		   "</volumeId><size>8</size><snapshotId>" S1
		   "</snapshotId><availabilityZone>eu-central-1a"
		   "</availabilityZone><status>in-use</status><createTime>"
		   "2026-03-01T00:00:00.000Z</createTime><attachmentSet><item>"
		   "<volumeId>" V1 "</volumeId><instanceId>" I1
		   "</instanceId><device>/dev/xvda</device><status>attached"
		   "</status></item></attachmentSet><volumeType>gp3"
		   "</volumeType><encrypted>false</encrypted></item><item>"
		   "<volumeId>vol-0d</volumeId><snapshotId/></item>"
		   "</volumeSet></DescribeVolumesResponse>"),
		OK(NULL, HEAD
		   "<DescribeImagesResponse><imagesSet><item><imageId>" A1
		   "</imageId><imageState>available</imageState><imageOwnerId>"
		   "123456789012</imageOwnerId><isPublic>true</isPublic>"
		   "<architecture>x86_64</architecture><imageOwnerAlias>amazon"
		   "</imageOwnerAlias><name>web</name><rootDeviceType>ebs"
		   "</rootDeviceType><rootDeviceName>/dev/xvda"
		   "</rootDeviceName><creationDate>2026-03-01T00:00:00.000Z"
		   "</creationDate><blockDeviceMapping><item><deviceName>"
		   "/dev/xvda</deviceName><ebs><snapshotId>" S1
		   "</snapshotId><volumeSize>8</volumeSize><encrypted>false"
		   "</encrypted></ebs></item><item><deviceName>/dev/sdb"
		   "</deviceName><virtualName>ephemeral0</virtualName></item>"
		   "</blockDeviceMapping></item></imagesSet>"
		   "</DescribeImagesResponse>"),
		OK(ASK "DescribeLaunchTemplateVersions" EC2
		       "&LaunchTemplateId=lt-0a"
		       "&LaunchTemplateVersion.1=%24Latest",
		   HEAD
		   "<DescribeLaunchTemplateVersionsResponse>"
		   "<launchTemplateVersionSet><item><launchTemplateId>lt-0a"
		   "</launchTemplateId><launchTemplateName>web"
		   "</launchTemplateName><versionNumber>7</versionNumber>"
		   "<defaultVersion>true</defaultVersion><launchTemplateData>"
		   "<imageId>" A1 "</imageId></launchTemplateData></item>"
		   "</launchTemplateVersionSet>"
		   "</DescribeLaunchTemplateVersionsResponse>"),
		OK(ASK "DescribeLaunchTemplateVersions" EC2
		       "&LaunchTemplateName=web&LaunchTemplateVersion.1=3",
		   "<DescribeLaunchTemplateVersionsResponse>"
		   "<launchTemplateVersionSet><item><launchTemplateId>lt-0a"
		   "</launchTemplateId><launchTemplateName>web"
		   "</launchTemplateName><versionNumber>3</versionNumber>"
		   "<launchTemplateData><imageId>resolve:ssm:/golden"
		   "</imageId></launchTemplateData></item>"
		   "</launchTemplateVersionSet>"
		   "</DescribeLaunchTemplateVersionsResponse>"),
		OK(NULL, "<DescribeLaunchTemplateVersionsResponse>"
			 "<launchTemplateVersionSet><item><launchTemplateId>"
			 "lt-0b</launchTemplateId></item>"
			 "</launchTemplateVersionSet>"
			 "</DescribeLaunchTemplateVersionsResponse>"),
	};
	struct herd_aws a = { .steps = steps, .n = ARRAY_SIZE(steps) };
	struct herd_ec2_query q = { 0 };
	struct herd_ec2_volumes v = { 0 };
	struct herd_ec2_images i = { 0 };
	struct herd_ec2_template t = { 0 };

	(void)state;
	assert_int_equal(herd_ec2_volumes(&a, &q, &v, NULL), 0);
	assert_int_equal(v.n, 2);
	assert_string_equal(v.v[0].snapshot, S1);
	assert_int_equal(v.v[0].gib, 8);
	assert_string_equal(v.v[0].attachments[0].instance, I1);
	assert_string_equal(v.v[1].snapshot, "");
	assert_int_equal(v.v[0].odd + v.v[1].odd, 0);
	herd_ec2_volumes_deinit(&v);

	assert_int_equal(herd_ec2_images(&a, &q, &i, NULL), 0);
	assert_int_equal(i.n, 1);
	assert_true(i.v[0].is_public);
	assert_string_equal(i.v[0].owner_alias, "amazon");
	assert_int_equal(i.v[0].n_mappings, 2);
	assert_string_equal(i.v[0].mappings[0].snapshot, S1);
	assert_string_equal(i.v[0].mappings[1].snapshot, "");
	assert_int_equal(i.v[0].odd, 0);
	herd_ec2_images_deinit(&i);

	assert_int_equal(herd_ec2_template_version(&a, "lt-0a", NULL, "$Latest",
						   false, &t, NULL),
			 0);
	assert_string_equal(t.image, A1);
	assert_string_equal(t.image_alias, "");
	assert_int_equal(t.version, 7);
	assert_true(t.is_default);
	assert_int_equal(herd_ec2_template_version(&a, NULL, "web", "3", false,
						   &t, NULL),
			 0);
	assert_string_equal(t.image, "");
	assert_string_equal(t.image_alias, "resolve:ssm:/golden");
	assert_int_equal(herd_ec2_template_version(&a, "lt-0a", NULL, "1",
						   false, &t, NULL),
			 -EBADMSG);
	assert_int_equal(herd_ec2_template_version(&a, NULL, NULL, "1", false,
						   &t, NULL),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paging),
		cmocka_unit_test(test_by_ids),
		cmocka_unit_test(test_many_ids),
		cmocka_unit_test(test_no_end),
		cmocka_unit_test(test_dry_run),
		cmocka_unit_test(test_create_snapshots),
		cmocka_unit_test(test_delete_snapshot),
		cmocka_unit_test(test_snapshots),
		cmocka_unit_test(test_readable),
		cmocka_unit_test(test_volumes_images_templates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
