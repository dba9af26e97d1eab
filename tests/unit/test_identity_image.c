/* SPDX-License-Identifier: Apache-2.0 */
/* Own tokens out of what an instance wrote of itself. */
#include "tests/unit/identity_fixture.h"

#include <errno.h>
#include <stdlib.h>

/* ---- out of an image ---------------------------------------------------------------------- */

struct fake {
	const char *path, *content;
	size_t len; /* 0: a string */
};

static int fake_read(void *arg, const char *path, size_t max, char **ret,
		     size_t *ret_len)
{
	for (const struct fake *f = arg; f->path; f++) {
		if (strcmp(f->path, path))
			continue;
		size_t len = f->len ? f->len : strlen(f->content);

		*ret_len = len < max ? len : max;
		*ret = malloc(*ret_len + 1);
		if (!*ret)
			return -ENOMEM;
		memcpy(*ret, f->content, *ret_len);
		return 0;
	}
	return -ENOENT;
}

static struct herd_identity *from_image(const struct fake *files)
{
	struct herd_identity *id;

	assert_int_equal(herd_identity_create(&id), 0);
	assert_int_equal(herd_identity_from_image(id, fake_read, fake_read,
						  (void *)files),
			 0);
	assert_int_equal(herd_identity_settle(id), 0);
	return id;
}

static bool knows(const struct herd_identity *id, enum herd_token_kind kind,
		  const char *text)
{
	enum herd_token_kind k;
	const void *p;
	size_t len;

	for (size_t i = 0; herd_identity_token(id, i, &k, &p, &len); i++)
		if (k == kind && len == strlen(text) && !memcmp(p, text, len))
			return true;
	return false;
}

static void tokens_of_an_image(void **state)
{
	static const char two[] = "50-cloud-init.yaml\0.hidden";
	static const struct fake files[] = {
		{ "/etc/hostname", "# ours\nip-10-0-1-2.ec2.internal\n", 0 },
		{ "/etc/machine-id", "0123456789abcdef0123456789abcde7\n", 0 },
		{ "/etc/ssh/ssh_host_ed25519_key.pub",
		  "ssh-ed25519 " KEY_A " root@x\n", 0 },
		{ "/etc/ssh/ssh_host_ed25519_key",
		  "-----BEGIN OPENSSH PRIVATE KEY-----\n" BODY_A
		  "\n-----END OPENSSH PRIVATE KEY-----\n",
		  0 },
		{ "/etc/hosts",
		  "127.0.0.1 localhost\n10.0.1.2 ip-10-0-1-2 # 10.0.1.4 x\n"
		  "192.168.7.7 ip-10-0-1-2.ec2.internal db\n10.0.1.9 ip-10-0-1-9\n"
		  "8.8.4.4 ip-10-0-1-2\n",
		  0 },
		{ "/var/lib/cloud/data/instance-id", "i-0123456789abcdef0\n",
		  0 },
		{ "/var/lib/cloud/instances/i-0123456789abcdef0/network-config.json",
		  "{\"ethernets\": {\"ens5\": {\"match\": {\"macaddress\": \"0a:58:0a:00:01:02\"}, "
		  "\"addresses\": [\"10.0.1.21/24\", \"10.0.9.9\"]}}}",
		  0 },
		{ "/var/lib/cloud/data/set-hostname",
		  "{\n \"fqdn\": \"web-1.example.com\",\n \"hostname\": \"web-1\"\n}\n",
		  0 },
		{ "/etc/netplan", two, sizeof(two) },
		{ "/etc/netplan/50-cloud-init.yaml",
		  "network:\n  ethernets:\n    ens5:\n      addresses:\n      - 10.0.1.33/24\n"
		  "      - fd00:1::33/64\n      gateway4: 10.0.1.1\n      nameservers:\n"
		  "        addresses: [10.0.1.53, 10.0.1.54]\n      routes:\n"
		  "      - to: 10.7.0.0/16\n        via: 10.0.1.99\n",
		  0 },
		{ "/etc/netplan/.hidden", "address 10.0.1.66\n", 0 },
		{ "/etc/network/interfaces",
		  "iface eth0 inet static\n\taddress 10.0.1.44/24\n\tgateway 10.0.1.45\n"
		  "\thwaddress ether 0a:58:0a:00:01:44\n\taddress 8.8.8.8\n",
		  0 },
		{ "/var/lib/dhcp", "dhclient.leases", 16 },
		{ "/var/lib/dhcp/dhclient.leases",
		  "lease {\n  interface \"eth0\";\n  fixed-address 10.0.1.55;\n"
		  "  option routers 10.0.1.56;\n}\n",
		  0 },
		{ "/etc/iscsi/initiatorname.iscsi",
		  "## no\nInitiatorName=iqn.1993-08.org.debian:01:4f8e2a91b0\n",
		  0 },
		{ NULL, NULL, 0 },
	};
	static const char *const own[] = { "10.0.1.2",	 "192.168.7.7",
					   "10.0.1.21",	 "10.0.1.33",
					   "fd00:1::33", "10.0.1.44",
					   "10.0.1.55" };
	struct herd_identity *id = from_image(files);
	size_t addresses = 0;
	enum herd_token_kind kind;
	const void *p;
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		if (!knows(id, HERD_TOKEN_ADDRESS, own[i]))
			fail_msg("%s is not known", own[i]);
	/* and no gateway, server, neighbour, or public address */
	for (size_t i = 0; herd_identity_token(id, i, &kind, &p, &len); i++)
		addresses += kind == HERD_TOKEN_ADDRESS;
	assert_int_equal(addresses, ARRAY_SIZE(own));
	assert_true(knows(id, HERD_TOKEN_HOSTNAME, "ip-10-0-1-2"));
	assert_true(knows(id, HERD_TOKEN_HOSTNAME, "web-1"));
	assert_true(knows(id, HERD_TOKEN_MACHINE_ID,
			  "0123456789abcdef0123456789abcde7"));
	assert_true(knows(id, HERD_TOKEN_HOST_KEY, KEY_A));
	assert_true(knows(id, HERD_TOKEN_HOST_KEY, BODY_A));
	assert_true(knows(id, HERD_TOKEN_INSTANCE, "i-0123456789abcdef0"));
	assert_true(knows(id, HERD_TOKEN_MAC, "0a580a000102"));
	assert_true(knows(id, HERD_TOKEN_MAC, "0a580a000144"));
	assert_true(knows(id, HERD_TOKEN_INITIATOR,
			  "iqn.1993-08.org.debian:01:4f8e2a91b0"));
	herd_identity_destroy(id);
}

static void an_empty_image_has_none(void **state)
{
	static const struct fake none[] = { { NULL, NULL, 0 } };
	struct herd_identity *id = from_image(none);

	(void)state;
	assert_int_equal(herd_identity_count(id), 0);
	herd_identity_destroy(id);
	herd_identity_destroy(NULL);
}

/* No line of a hostile file makes public addresses, another's, or sentences
   into tokens. */
static void hostile_files(void **state)
{
	static const struct fake files[] = {
		{ "/etc/hostname", "PermitRootLogin yes\n", 0 },
		{ "/etc/machine-id", "\0\0\0", 3 },
		{ "/etc/hosts", "6.6.6.6 PermitRootLogin\n\n\n#\n6.6.6.7", 0 },
		{ "/var/lib/cloud/data/instance-id", "../../../etc/shadow-1\n",
		  0 },
		{ "/etc/ssh/ssh_host_rsa_key",
		  "-----BEGIN X\nALL ALL=(ALL) NOPASSWD\n-----END ", 0 },
		{ "/etc/ssh/ssh_host_rsa_key.pub", "ssh-rsa", 0 },
		{ "/etc/netplan", "../../etc/hostname\0..", 22 },
		{ "/etc/network/interfaces",
		  "address\naddress \naddress 10.0.1.2/999\naddress /\n", 0 },
		{ NULL, NULL, 0 },
	};
	struct herd_identity *id = from_image(files);

	(void)state;
	/* as a name and, out of /etc/hosts, as another */
	assert_int_equal(herd_identity_count(id), 2);
	assert_true(knows(id, HERD_TOKEN_HOSTNAME, "PermitRootLogin"));
	herd_identity_destroy(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_of_an_image),
		cmocka_unit_test(an_empty_image_has_none),
		cmocka_unit_test(hostile_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
