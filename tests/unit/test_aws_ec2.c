/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EC2's and Auto Scaling's answers into structs, and the calls that ask for
 * them. The answers are made up after the shapes of the public API
 * descriptions; that of DescribeLaunchTemplateVersions after its reference.
 */
#include "acquire/aws/autoscaling.h"
#include "acquire/aws/ec2.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "aws_fake.h"

#define HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define INSTANCES(inner_)                                          \
	HEAD "<DescribeInstancesResponse "                         \
	     "xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">" \
	     "<requestId>r</requestId><reservationSet>" inner_     \
	     "</reservationSet></DescribeInstancesResponse>"
#define RESERVATION(inner_)                                    \
	"<item><reservationId>r-0a</reservationId>"            \
	"<ownerId>123456789012</ownerId><instancesSet>" inner_ \
	"</instancesSet></item>"
#define INSTANCE(id_) "<item><instanceId>" id_ "</instanceId></item>"
#define RESERVATION_OPEN                                    \
	"<DescribeInstancesResponse><reservationSet><item>" \
	"<instancesSet>"
#define RESERVATION_CLOSE                         \
	"</instancesSet></item></reservationSet>" \
	"</DescribeInstancesResponse>"
#define I1 "i-00000000000000001"
#define I2 "i-00000000000000002"
#define V1 "vol-00000000000000001"
#define S1 "snap-00000000000000001"
#define S2 "snap-00000000000000002"
#define A1 "ami-00000000000000001"
#define ASK "POST Action="
#define EC2 "&Version=2016-11-15"

static const char full_instance[] = INSTANCES(RESERVATION(
	"<item><instanceId>" I1 "</instanceId><imageId>" A1 "</imageId>"
	"<instanceState><code>16</code><name>running</name></instanceState>"
	"<privateDnsName>ip-10-0-0-7.eu-central-1.compute.internal"
	"</privateDnsName><dnsName/><keyName>ops key &amp; co</keyName>"
	"<instanceType>m7g.large</instanceType>"
	"<instanceLifecycle>spot</instanceLifecycle>"
	"<launchTime>2026-03-01T12:34:56.000Z</launchTime>"
	"<placement><availabilityZone>eu-central-1a</availabilityZone>"
	"</placement><subnetId>subnet-0b</subnetId><vpcId>vpc-0c</vpcId>"
	"<privateIpAddress>10.0.0.7</privateIpAddress>"
	"<ipAddress>203.0.113.9</ipAddress>"
	"<architecture>arm64</architecture>"
	"<rootDeviceType>ebs</rootDeviceType>"
	"<rootDeviceName>/dev/xvda</rootDeviceName><blockDeviceMapping>"
	"<item><deviceName>/dev/xvda</deviceName><ebs><volumeId>" V1
	"</volumeId><status>attached</status>"
	"<attachTime>2026-03-01T12:34:57.000Z</attachTime>"
	"<deleteOnTermination>true</deleteOnTermination></ebs></item>"
	"<item><deviceName>/dev/sdf</deviceName><ebs><volumeId>vol-0d"
	"</volumeId><deleteOnTermination>false</deleteOnTermination></ebs>"
	"</item></blockDeviceMapping><networkInterfaceSet><item>"
	"<networkInterfaceId>eni-0e</networkInterfaceId>"
	"<subnetId>subnet-0b</subnetId>"
	"<macAddress>0a:1b:2c:3d:4e:5f</macAddress>"
	"<privateIpAddress>10.0.0.7</privateIpAddress>"
	"<association><publicIp>203.0.113.9</publicIp><publicDnsName>"
	"ec2-203-0-113-9.compute.amazonaws.com</publicDnsName></association>"
	"<privateIpAddressesSet><item><privateIpAddress>10.0.0.7"
	"</privateIpAddress></item><item><privateIpAddress>10.0.0.8"
	"</privateIpAddress><association><publicIp>203.0.113.10</publicIp>"
	"</association></item></privateIpAddressesSet><ipv6AddressesSet>"
	"<item><ipv6Address>2001:db8::7</ipv6Address></item>"
	"</ipv6AddressesSet></item></networkInterfaceSet>"
	"<iamInstanceProfile><arn>arn:aws:iam::123456789012:instance-profile"
	"/web</arn></iamInstanceProfile><hibernationOptions><configured>true"
	"</configured></hibernationOptions><tagSet><item><key>Name</key>"
	"<value>web \xc3\xa9</value></item><item><key>empty</key><value/>"
	"</item></tagSet></item>"));

static void parse_instances(const char *xml, int expected,
			    struct herd_ec2_instances *l)
{
	char next[HERD_EC2_NEXT_SIZE];
	struct herd_diag diag = { 0 };
	int r = herd_ec2_parse_instances(xml, strlen(xml), l, next, &diag);

	if (r != expected)
		fail_msg("%d (%s) for %s", r, diag.message, xml);
	if (r)
		assert_true(diag.message[0]);
}

static void test_instance(void **state)
{
	struct herd_ec2_instances l = { 0 };

	(void)state;
	parse_instances(full_instance, 0, &l);
	assert_int_equal(l.n, 1);

	const struct herd_ec2_instance *i = &l.v[0];

	assert_int_equal(i->odd, 0);
	assert_string_equal(i->id, I1);
	assert_string_equal(i->account, "123456789012");
	assert_string_equal(i->reservation, "r-0a");
	assert_string_equal(i->image, A1);
	assert_string_equal(i->state, "running");
	assert_string_equal(i->lifecycle, "spot");
	assert_string_equal(i->type, "m7g.large");
	assert_string_equal(i->architecture, "arm64");
	assert_string_equal(i->zone, "eu-central-1a");
	assert_string_equal(i->private_address, "10.0.0.7");
	assert_string_equal(i->public_address, "203.0.113.9");
	assert_string_equal(i->public_dns, "");
	assert_string_equal(i->private_dns,
			    "ip-10-0-0-7.eu-central-1.compute.internal");
	assert_string_equal(i->key_name, "ops key & co");
	assert_string_equal(i->root_device, "/dev/xvda");
	assert_true(i->hibernation);
	assert_int_equal(i->launched, 1772368496);
	assert_int_equal(i->n_disks, 2);
	assert_string_equal(i->disks[0].volume, V1);
	assert_true(i->disks[0].delete_on_termination);
	assert_string_equal(i->disks[1].device, "/dev/sdf");
	assert_string_equal(i->disks[1].volume, "vol-0d");
	assert_int_equal(i->n_interfaces, 1);
	assert_string_equal(i->interfaces[0].mac, "0a:1b:2c:3d:4e:5f");
	/* each once */
	assert_int_equal(i->interfaces[0].n_addresses, 5);
	assert_string_equal(i->interfaces[0].addresses[2].text, "10.0.0.8");
	assert_string_equal(i->interfaces[0].addresses[4].text, "2001:db8::7");
	assert_int_equal(i->n_tags, 2);
	assert_string_equal(i->tags[0].value, "web \xc3\xa9");
	assert_string_equal(i->tags[1].value, "");
	herd_ec2_instances_deinit(&l);
}

/* What is not of its form is left empty and counted; without an id, the answer
   is refused. */
static void test_odd(void **state)
{
	struct herd_ec2_instances l = { 0 };

	(void)state;
	parse_instances(
		INSTANCES(RESERVATION(
			"<item><instanceId>" I1 "</instanceId>"
			"<imageId>../x</imageId>"
			"<privateDnsName>a b</privateDnsName>"
			"<privateIpAddress>10.0.0.256</privateIpAddress>"
			"<keyName>a\xc2\x9b[31m</keyName>"
			"<launchTime>yesterday</launchTime>"
			"<rootDeviceName>/dev/../mem</rootDeviceName>"
			"<hibernationOptions><configured>maybe</configured>"
			"</hibernationOptions><blockDeviceMapping><item>"
			"<deviceName>a;b</deviceName><ebs><volumeId>" V1
			"</volumeId></ebs></item></blockDeviceMapping>"
			"<networkInterfaceSet><item><networkInterfaceId>eni-1"
			"</networkInterfaceId><macAddress>0a-1b</macAddress>"
			"<privateIpAddress>x</privateIpAddress></item>"
			"</networkInterfaceSet><tagSet><item><key>a</key>"
			"<value>b\xe2\x80\x8b\x7f</value></item></tagSet>"
			"</item>")),
		0, &l);
	assert_int_equal(l.v[0].odd, 11);
	assert_string_equal(l.v[0].image, "");
	assert_string_equal(l.v[0].disks[0].device, "");
	assert_string_equal(l.v[0].disks[0].volume, V1);
	assert_int_equal(l.v[0].interfaces[0].n_addresses, 0);
	assert_string_equal(l.v[0].tags[0].value, "");

	parse_instances(INSTANCES(RESERVATION("<item/>")), -EBADMSG, &l);
	parse_instances(INSTANCES(RESERVATION(INSTANCE(""))), -EBADMSG, &l);
	parse_instances(INSTANCES(RESERVATION(INSTANCE("i-"))), -EBADMSG, &l);
	parse_instances(INSTANCES(RESERVATION(INSTANCE("i-1/../2"))), -EBADMSG,
			&l);
	parse_instances(INSTANCES(RESERVATION(INSTANCE("vol-1"))), -EBADMSG,
			&l);
	parse_instances(
		INSTANCES(RESERVATION(
			"<item><instanceId>" I2 "</instanceId>"
			"<blockDeviceMapping><item><deviceName>a</deviceName>"
			"<ebs/></item></blockDeviceMapping></item>")),
		-EBADMSG, &l);
	parse_instances("<html/>", -EBADMSG, &l);
	parse_instances("<DescribeVolumesResponse/>", -EBADMSG, &l);
	/* and the list is whole: what was in it before */
	assert_int_equal(l.n, 1);
	herd_ec2_instances_deinit(&l);
}

static void repeat(struct herd_buf *b, size_t n, const char *format)
{
	for (size_t i = 0; i < n; i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		herd_buf_printf(b, format, i);
#pragma GCC diagnostic pop
	}
}

static void test_limits(void **state)
{
	static const struct {
		size_t most;
		const char *before, *one, *after;
	} cases[] = {
		{ HERD_EC2_LIST_MAX, RESERVATION_OPEN,
		  "<item><instanceId>i-%zx</instanceId></item>",
		  RESERVATION_CLOSE },
		{ HERD_EC2_DISKS_MAX,
		  RESERVATION_OPEN "<item><instanceId>i-1</instanceId>"
				   "<blockDeviceMapping>",
		  "<item><ebs><volumeId>vol-%zx</volumeId></ebs></item>",
		  "</blockDeviceMapping></item>" RESERVATION_CLOSE },
		{ HERD_EC2_TAGS_MAX,
		  RESERVATION_OPEN "<item><instanceId>i-1</instanceId>"
				   "<tagSet>",
		  "<item><key>%zx</key></item>",
		  "</tagSet></item>" RESERVATION_CLOSE },
		{ HERD_EC2_INTERFACES_MAX,
		  RESERVATION_OPEN "<item><instanceId>i-1</instanceId>"
				   "<networkInterfaceSet>",
		  "<item><networkInterfaceId>eni-%zx</networkInterfaceId>"
		  "</item>",
		  "</networkInterfaceSet></item>" RESERVATION_CLOSE },
		{ HERD_EC2_ADDRESSES_MAX - 2,
		  RESERVATION_OPEN "<item><instanceId>i-1</instanceId>"
				   "<networkInterfaceSet><item>"
				   "<networkInterfaceId>eni-1"
				   "</networkInterfaceId><ipv6AddressesSet>",
		  "<item><ipv6Address>2001:db8::%zx</ipv6Address></item>",
		  "</ipv6AddressesSet></item></networkInterfaceSet></item>" RESERVATION_CLOSE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t more = 0; more < 2; more++) {
			struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
			struct herd_ec2_instances l = { 0 };

			herd_buf_printf(&b, "%s", cases[i].before);
			repeat(&b, cases[i].most + more, cases[i].one);
			herd_buf_printf(&b, "%s", cases[i].after);
			herd_buf_u8(&b, 0);
			parse_instances((char *)b.data, more ? -EOVERFLOW : 0,
					&l);
			herd_ec2_instances_deinit(&l);
		}
}

/* ---- calls ---- */

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

/* ---- Auto Scaling ---- */

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

/* ---- forms of fields ---- */

static void test_fields(void **state)
{
	int64_t t;
	uint64_t u;

	(void)state;
	assert_true(herd_aws_is_id("ami-0gz", "ami-"));
	assert_false(herd_aws_is_id("snap-0gz", "snap-"));
	assert_true(herd_aws_is_account("012345678901"));
	assert_false(herd_aws_is_account("01234567890"));
	assert_true(herd_aws_is_address("::ffff:10.0.0.1"));
	assert_false(herd_aws_is_address("10.0.0.1/8"));
	assert_false(herd_aws_is_mac("0a:1b:2c:3d:4e:5g"));
	assert_false(herd_aws_is_dns("a..b"));
	assert_true(herd_aws_is_text("\xf0\x9f\x90\x84", 4));
	assert_false(herd_aws_is_text("\xf0\x9f\x90\x84", 3));
	assert_false(herd_aws_is_text("\xf0\x9f\x90", 9));
	assert_false(herd_aws_is_text("a\tb", 9));
	assert_true(herd_aws_is_text("", 0));
	assert_true(herd_aws_time("1970-01-01T00:00:01Z", &t));
	assert_int_equal(t, 1);
	assert_false(herd_aws_time("1970-01-01T00:00:01", &t));
	assert_false(herd_aws_time("1970-01-01T00:00:01.Z", &t));
	assert_false(herd_aws_time("1969-01-01T00:00:01Z", &t));
	assert_true(herd_aws_uint("18446744073709551615", UINT64_MAX, &u));
	assert_true(u == UINT64_MAX);
	assert_false(herd_aws_uint("18446744073709551616", UINT64_MAX, &u));
	assert_false(herd_aws_uint("101", 100, &u));
	assert_false(herd_aws_uint("-1", 100, &u));
	assert_false(herd_aws_uint("", 100, &u));
	assert_true(herd_aws_uint("3", 3, &u));
	assert_false(herd_aws_uint("4", 3, &u));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_instance),
		cmocka_unit_test(test_odd),
		cmocka_unit_test(test_limits),
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
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_bad_groups),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
