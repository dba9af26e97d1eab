/* SPDX-License-Identifier: Apache-2.0 */
/*
 * EC2's answers into structs: what is taken, left empty, and refused. They are
 * made up after the shapes of the public API descriptions.
 */
#include "acquire/aws/ec2_types.h"
#include "acquire/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "ec2_fixture.h"

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
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
