/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Own tokens from files that nobody vouches for, and texts in which they are
 * looked for. The first byte says how the rest is taken: as an encoded
 * identity, or cut at 0xff bytes into the files of an image, the last of which
 * is a text. What the search finds is compared with the naive way, and the
 * text must come out of its normal form again but for the tokens. Templates
 * and sorts of content get the same bytes.
 */
#include "index/content.h"
#include "index/template.h"
#include "tests/unit/identity_naive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static const char *const paths[] = {
	"/etc/hostname",
	"/etc/hosts",
	"/etc/machine-id",
	"/etc/network/interfaces",
	"/etc/netplan",
	"/etc/netplan/a",
	"/var/lib/cloud/data/instance-id",
	"/var/lib/cloud/data/set-hostname",
	"/etc/ssh/ssh_host_rsa_key",
	"/etc/ssh/ssh_host_rsa_key.pub",
};

struct files {
	const uint8_t *p[ARRAY_SIZE(paths)];
	size_t len[ARRAY_SIZE(paths)];
};

static int on_read(void *arg, const char *path, size_t max, char **ret,
		   size_t *ret_len)
{
	const struct files *f = arg;

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (strcmp(paths[i], path) || !f->p[i])
			continue;
		*ret_len = f->len[i] < max ? f->len[i] : max;
		/* exactly as long as it says, for the sanitizer */
		*ret = malloc(*ret_len + !*ret_len);
		MUST(*ret);
		memcpy(*ret, f->p[i], *ret_len);
		return 0;
	}
	return -ENOENT;
}

static void check_text(const struct herd_identity *id, const uint8_t *t,
		       size_t len)
{
	struct herd_buf fast CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf slow CLEANUP_BUF = HERD_BUF_INIT;
	bool found = herd_identity_normalise(id, t, len, &fast);
	size_t i = 0;

	MUST(found == naive_normalise(id, t, len, &slow));
	MUST(fast.len == slow.len);
	if (!found)
		return;
	MUST(!memcmp(fast.data, slow.data, fast.len));
	for (size_t n = 0; n < fast.len; n++) {
		struct herd_identity_match m;

		if (fast.data[n]) {
			MUST(i < len && t[i++] == fast.data[n]);
			continue;
		}
		MUST(herd_identity_find(id, t, len, i, &m) && m.at == i);
		MUST(fast.data[n + 1] == 'A' + m.kind && !fast.data[n + 3]);
		i += m.len;
		n += HERD_PLACEHOLDER_LEN - 1;
	}
	MUST(i == len);
}

static void check_name(const struct herd_identity *id, const uint8_t *t,
		       size_t len)
{
	struct herd_buf out CLEANUP_BUF = HERD_BUF_INIT;

	if (!herd_template_name(id, (const char *)t, len, &out))
		MUST(out.len >= len);
	MUST(herd_sort_name(herd_sort_of(t, len, len)));
}

static void check_store(const struct herd_identity *id)
{
	struct herd_buf a CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_identity *back = NULL;

	MUST(!herd_identity_encode(id, &a));
	MUST(!herd_identity_decode(a.data, a.len, &back));
	MUST(!herd_identity_encode(back, &b));
	MUST(a.len == b.len && !memcmp(a.data, b.data, a.len));
	herd_identity_destroy(back);
}

static struct herd_identity *from_files(const uint8_t **data, size_t *size)
{
	struct files files = { { NULL }, { 0 } };
	struct herd_identity *id = NULL;
	const uint8_t *end;

	for (size_t i = 0;
	     i < ARRAY_SIZE(paths) && (end = memchr(*data, 0xff, *size)); i++) {
		files.p[i] = *data;
		files.len[i] = (size_t)(end - *data);
		*size -= files.len[i] + 1;
		*data = end + 1;
	}
	MUST(!herd_identity_create(&id));
	MUST(!herd_identity_from_image(id, on_read, on_read, &files));
	MUST(!herd_identity_settle(id));
	return id;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_identity *id = NULL;

	if (!size)
		return 0;
	uint8_t how = *data++;

	size--;
	if (how & 1) {
		if (herd_identity_decode(data, size, &id))
			return 0;
	} else {
		id = from_files(&data, &size);
	}
	check_store(id);
	check_text(id, data, size);
	check_name(id, data, size);
	/* the tokens themselves as text */
	check_text(id, id->bytes.data, id->bytes.len);
	herd_identity_destroy(id);
	return 0;
}
