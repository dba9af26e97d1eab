/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own tokens out of what an instance wrote of itself. Every file is taken for
 * hostile: little of it is read, few lines count, and what is found passes the
 * same rules as any other token. See docs/IDENTITY.md for what is left out.
 */
#include "index/identity_internal.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX 65536
#define NAMES_MAX 64 /* of a folder */
#define TAKEN_MAX 32 /* tokens of one file */
#define HOSTNAMES_MAX 8
#define PATH_LEN_MAX 512

struct text {
	const char *p;
	size_t len;
};

struct image {
	struct herd_identity *id;
	herd_identity_read_fn *read, *list;
	void *arg;
	/* the names of /etc/hostname and its like, whole */
	char names[HOSTNAMES_MAX][256];
	unsigned n_names;
	unsigned taken; /* of the file at hand */
	int error;	/* -ENOMEM */
};

static void took(struct image *im, int r)
{
	if (r > 0)
		im->taken++;
	if (r == -ENOMEM)
		im->error = r;
}

static void take(struct image *im, enum herd_token_kind kind, struct text t)
{
	if (im->taken < TAKEN_MAX)
		took(im, herd_identity_take(im->id, kind, t.p, t.len));
}

static void take_address(struct image *im, struct text t)
{
	if (im->taken < TAKEN_MAX)
		took(im, herd_identity_take_private(im->id, t.p, t.len));
}

static bool load(struct image *im, herd_identity_read_fn *how, const char *path,
		 char **ret, size_t *ret_len)
{
	if (im->error)
		return false;
	int r = how(im->arg, path, FILE_MAX, ret, ret_len);

	im->taken = 0;
	if (r == -ENOMEM)
		im->error = r;
	return !r && *ret_len;
}

/* ---- pieces of text --------------------------------------------------------- */

static bool next_line(struct text *rest, struct text *ret)
{
	if (!rest->len)
		return false;
	const char *end = memchr(rest->p, '\n', rest->len);
	size_t n = end ? (size_t)(end - rest->p) : rest->len;

	*ret = (struct text){ rest->p, n };
	n += end != NULL;
	rest->p += n;
	rest->len -= n;
	return true;
}

/* The next run of bytes that are none of those in `between`. */
static bool next_word(struct text *rest, const char *between, struct text *ret)
{
	size_t from = 0, end;

	while (from < rest->len && strchr(between, rest->p[from]))
		from++;
	for (end = from; end < rest->len && !strchr(between, rest->p[end]);)
		end++;
	*ret = (struct text){ rest->p + from, end - from };
	rest->p += end;
	rest->len -= end;
	return ret->len > 0;
}

static bool is(struct text t, const char *word)
{
	return strlen(word) == t.len && !strncasecmp(t.p, word, t.len);
}

static bool starts(struct text t, const char *word)
{
	size_t n = strlen(word);

	return t.len >= n && !memcmp(t.p, word, n);
}

/* ---- names ------------------------------------------------------------------- */

static void add_name(struct image *im, enum herd_token_kind kind, struct text t)
{
	take(im, kind, t);
	if (im->n_names == HOSTNAMES_MAX || !t.len || t.len >= 256)
		return;
	memcpy(im->names[im->n_names], t.p, t.len);
	im->names[im->n_names++][t.len] = '\0';
}

/* Is it one of our names, or one with a domain behind it, or without? */
static bool is_own_name(const struct image *im, struct text t)
{
	for (unsigned i = 0; i < im->n_names; i++) {
		const char *name = im->names[i];
		size_t n = strlen(name), less = n < t.len ? n : t.len;

		if (strncasecmp(name, t.p, less))
			continue;
		if (n == t.len || (n < t.len && t.p[n] == '.') ||
		    (t.len && n > t.len && name[t.len] == '.'))
			return true;
	}
	return false;
}

/* A file whose first word is one token; '#' begins a remark. */
static void first_word(struct image *im, const char *path,
		       enum herd_token_kind kind, bool own_alone)
{
	CLEANUP_FREE char *data = NULL;
	size_t len;
	struct text rest, line, word;

	if (!load(im, im->read, path, &data, &len))
		return;
	rest = (struct text){ data, len };
	while (next_line(&rest, &line)) {
		if (!next_word(&line, " \t\r", &word) || word.p[0] == '#')
			continue;
		if (kind != HERD_TOKEN_HOSTNAME)
			take(im, kind, word);
		else if (!own_alone || is_own_name(im, word))
			add_name(im, kind, word);
		return;
	}
}

/* The addresses that a line of /etc/hosts gives one of our names. */
static void read_hosts(struct image *im)
{
	static const char blank[] = " \t\r";
	CLEANUP_FREE char *data = NULL;
	size_t len;
	struct text rest, line, address, name;

	if (!load(im, im->read, "/etc/hosts", &data, &len))
		return;
	rest = (struct text){ data, len };
	while (next_line(&rest, &line)) {
		const char *remark = memchr(line.p, '#', line.len);

		if (remark)
			line.len = (size_t)(remark - line.p);
		if (!next_word(&line, blank, &address))
			continue;
		while (next_word(&line, blank, &name)) {
			if (!is_own_name(im, name))
				continue;
			take_address(im, address);
			take(im, HERD_TOKEN_DNS, name);
		}
	}
}

/* ---- keys -------------------------------------------------------------------- */

static void read_public_key(struct image *im, const char *path)
{
	CLEANUP_FREE char *data = NULL;
	size_t len;
	struct text rest, word;

	if (!load(im, im->read, path, &data, &len))
		return;
	rest = (struct text){ data, len };
	/* ssh-ed25519 AAAA… remark */
	if (!next_word(&rest, " \t\r\n", &word))
		return;
	if (next_word(&rest, " \t\r\n", &word) && starts(word, "AAAA"))
		take(im, HERD_TOKEN_HOST_KEY, word);
}

static void read_private_key(struct image *im, const char *path)
{
	CLEANUP_FREE char *data = NULL;
	size_t len;
	struct text rest, line;

	if (!load(im, im->read, path, &data, &len))
		return;
	rest = (struct text){ data, len };
	if (!next_line(&rest, &line) || !starts(line, "-----BEGIN "))
		return;
	const char *body = rest.p;
	const char *end = memmem(body, rest.len, "\n-----END ", 10);

	/* a single line's last byte tells it from a public one's */
	if (end)
		take(im, HERD_TOKEN_HOST_KEY,
		     (struct text){ body, (size_t)(end - body) });
}

static void read_host_keys(struct image *im)
{
	static const char *const types[] = { "ed25519", "ecdsa", "rsa", "dsa" };
	char path[64];

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		snprintf(path, sizeof(path), "/etc/ssh/ssh_host_%s_key.pub",
			 types[i]);
		read_public_key(im, path);
		path[strlen(path) - 4] = '\0';
		read_private_key(im, path);
	}
}

/* ---- settings: a key and its value ------------------------------------------- */

enum meaning {
	NOTHING,
	ADDRESS,	 /* with or without a length of prefix */
	NETWORK_ADDRESS, /* only with one: else it is another's */
	MAC,
	NAME,
	INSTANCE,
	INITIATOR,
};

static const struct {
	const char *key;
	enum meaning meaning;
} keys[] = {
	/* ifupdown, systemd-networkd, ifcfg, NetworkManager and its leases */
	{ "address", ADDRESS },
	{ "ipaddr", ADDRESS },
	{ "ipv6addr", ADDRESS },
	{ "ipaddr0", ADDRESS },
	{ "address1", NETWORK_ADDRESS },
	{ "address2", NETWORK_ADDRESS },
	{ "hwaddr", MAC },
	{ "hwaddress", MAC },
	{ "mac-address", MAC },
	{ "cloned-mac-address", MAC },
	{ "macaddr", MAC },
	{ "hostname", NAME },
	{ "dhcp_hostname", NAME },
	/* dhclient */
	{ "fixed-address", ADDRESS },
	{ "iaaddr", ADDRESS },
	/* netplan */
	{ "addresses", NETWORK_ADDRESS },
	{ "macaddress", MAC },
	{ "mac_address", MAC },
	/* cloud-init */
	{ "local-hostname", NAME },
	{ "local_hostname", NAME },
	{ "fqdn", NAME },
	{ "instance-id", INSTANCE },
	{ "instance_id", INSTANCE },
	{ "local-ipv4", ADDRESS },
	{ "local_ipv4", ADDRESS },
	{ "mac", MAC },
	/* open-iscsi */
	{ "initiatorname", INITIATOR },
};

static enum meaning meaning_of(struct text key)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (is(key, keys[i].key))
			return keys[i].meaning;
	return NOTHING;
}

/*
 * 10.0.1.2/24, the address of a machine; not 10.0.1.0/24, a network, which a
 * route would name. That is seen in IPv4 alone: of IPv6 a length of 64 and an
 * address that does not end in "::" do.
 */
static bool is_host_with_prefix(struct text address, struct text prefix)
{
	unsigned octets[4], bits = 0;
	char text[64];

	if (!prefix.len || prefix.len > 3 || address.len >= sizeof(text))
		return false;
	for (size_t i = 0; i < prefix.len; i++) {
		if (!herd_is_digit(prefix.p[i]))
			return false;
		bits = bits * 10 + (unsigned)(prefix.p[i] - '0');
	}
	memcpy(text, address.p, address.len);
	text[address.len] = '\0';
	if (strchr(text, ':'))
		return bits == 64 && text[address.len - 1] != ':';
	if (sscanf(text, "%3u.%3u.%3u.%3u", &octets[0], &octets[1], &octets[2],
		   &octets[3]) != 4 ||
	    bits < 8 || bits > 30)
		return false;
	uint32_t a = octets[0] << 24 | octets[1] << 16 | octets[2] << 8 |
		     octets[3];

	return a << bits;
}

static void take_value(struct image *im, enum meaning meaning,
		       struct text value)
{
	struct text address, prefix = { NULL, 0 };

	switch (meaning) {
	case NOTHING:
		return;
	case MAC:
		take(im, HERD_TOKEN_MAC, value);
		return;
	case NAME:
		add_name(im, HERD_TOKEN_HOSTNAME, value);
		return;
	case INSTANCE:
		take(im, HERD_TOKEN_INSTANCE, value);
		return;
	case INITIATOR:
		take(im, HERD_TOKEN_INITIATOR, value);
		return;
	case ADDRESS:
		/* udev has ATTR{address} for what others call the MAC */
		if (value.len == 17)
			take(im, HERD_TOKEN_MAC, value);
		/* fall through */
	case NETWORK_ADDRESS:
		if (!next_word(&value, "/", &address))
			return;
		if (!next_word(&value, "/", &prefix) && meaning != ADDRESS)
			return;
		if (!prefix.len || is_host_with_prefix(address, prefix))
			take_address(im, address);
	}
}

/*
 * Words in the order in which they stand; one that is a key tells what the
 * next is. In a list in brackets, and in netplan's list of lines with dashes,
 * more follow: they count while they are of the form.
 */
static void read_settings(struct image *im, struct text rest)
{
	static const char between[] = " \t\r\"'=,;{}[]()";
	struct text line, word;
	enum meaning meaning = NOTHING;

	while (next_line(&rest, &line)) {
		bool list = false;

		if (!next_word(&line, " \t\r", &word) || word.p[0] == '#')
			continue;
		if (word.p[0] == '-')
			list = true;
		else
			meaning = NOTHING;
		line.len += (size_t)(line.p - word.p);
		line.p = word.p;
		if (list && word.p[0] == '-' && line.len)
			line.p++, line.len--;
		while (next_word(&line, between, &word)) {
			while (word.len && word.p[word.len - 1] == ':')
				word.len--;
			enum meaning next = meaning_of(word);

			if (next != NOTHING)
				meaning = next;
			else if (word.len)
				take_value(im, meaning, word);
			/* only addresses come in lists */
			if (next == NOTHING && meaning != NETWORK_ADDRESS &&
			    word.len && !is(word, "ether"))
				meaning = NOTHING;
		}
	}
}

static void read_file(struct image *im, const char *path)
{
	CLEANUP_FREE char *data = NULL;
	size_t len;

	if (load(im, im->read, path, &data, &len))
		read_settings(im, (struct text){ data, len });
}

static void read_folder(struct image *im, const char *folder)
{
	CLEANUP_FREE char *names = NULL;
	size_t len;
	unsigned n = 0;
	char path[PATH_LEN_MAX];

	if (!load(im, im->list, folder, &names, &len))
		return;
	for (size_t at = 0; at < len && n < NAMES_MAX; n++) {
		size_t name = strnlen(names + at, len - at);

		if (at + name == len)
			return; /* cut */
		if (name && names[at] != '.' && !strchr(names + at, '/') &&
		    snprintf(path, sizeof(path), "%s/%s", folder, names + at) <
			    (int)sizeof(path))
			read_file(im, path);
		at += name + 1;
	}
}

/* What cloud-init kept of this instance; another's, of the machine that the
   image was baked on, may lie beside it. */
static void read_cloud_init(struct image *im)
{
	CLEANUP_FREE char *data = NULL;
	size_t len;
	struct text rest, word;
	char path[PATH_LEN_MAX];

	first_word(im, "/var/lib/cloud/data/previous-hostname",
		   HERD_TOKEN_HOSTNAME, false);
	read_file(im, "/var/lib/cloud/data/set-hostname");
	if (!load(im, im->read, "/var/lib/cloud/data/instance-id", &data, &len))
		return;
	rest = (struct text){ data, len };
	if (!next_word(&rest, " \t\r\n", &word))
		return;
	take(im, HERD_TOKEN_INSTANCE, word);
	if (word.len > 128 || memchr(word.p, '/', word.len) ||
	    memchr(word.p, '\0', word.len) || word.p[0] == '.')
		return;
	snprintf(path, sizeof(path),
		 "/var/lib/cloud/instances/%.*s/network-config.json",
		 (int)word.len, word.p);
	read_file(im, path);
}

int herd_identity_from_image(struct herd_identity *id,
			     herd_identity_read_fn *read,
			     herd_identity_read_fn *list, void *arg)
{
	static const char *const files[] = {
		"/etc/network/interfaces",
		"/etc/udev/rules.d/70-persistent-net.rules",
		"/etc/iscsi/initiatorname.iscsi",
	};
	static const char *const folders[] = {
		"/etc/network/interfaces.d",
		"/etc/netplan",
		"/etc/systemd/network",
		"/etc/sysconfig/network-scripts",
		"/etc/NetworkManager/system-connections",
		"/var/lib/NetworkManager",
		"/var/lib/dhcp",
		"/var/lib/dhclient",
	};
	struct image im = { .id = id, .read = read, .list = list, .arg = arg };

	first_word(&im, "/etc/hostname", HERD_TOKEN_HOSTNAME, false);
	first_word(&im, "/etc/machine-id", HERD_TOKEN_MACHINE_ID, false);
	first_word(&im, "/var/lib/dbus/machine-id", HERD_TOKEN_MACHINE_ID,
		   false);
	first_word(&im, "/etc/nvme/hostid", HERD_TOKEN_NVME_HOST, false);
	read_host_keys(&im);
	read_cloud_init(&im);
	first_word(&im, "/etc/mailname", HERD_TOKEN_HOSTNAME, true);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		read_file(&im, files[i]);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		read_folder(&im, folders[i]);
	read_hosts(&im);
	return im.error;
}
