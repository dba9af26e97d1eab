/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of an entry is compared with others.
 *
 * Threads: pure functions.
 */
#include "index/verdict.h"

#include "acquire/base/sha256.h"

#include <string.h>
#include <sys/stat.h>

/* Attributes that hold a time are not compared, as times are not: journald
   notes in each of its files when it was made. */
static bool is_time(const char *name, size_t len)
{
	static const char crtime[] = "user.crtime_usec";

	return len == sizeof(crtime) - 1 && !memcmp(name, crtime, len);
}

static void take_xattrs(const struct herd_entry *e, uint8_t ret[32])
{
	struct herd_buf kept CLEANUP_BUF = HERD_BUF_INIT;
	const char *name;
	const void *value;
	size_t name_len, len;
	bool times = false;

	memcpy(ret, e->xattr_digest, 32);
	for (size_t i = 0; herd_entry_xattr(e, i, &name, &name_len, &value,
					    &len); i++)
		times |= is_time(name, name_len);
	if (!times)
		return;
	for (size_t i = 0; herd_entry_xattr(e, i, &name, &name_len, &value,
					    &len); i++) {
		if (is_time(name, name_len))
			continue;
		herd_buf_varint(&kept, name_len);
		herd_buf_put(&kept, name, name_len);
		herd_buf_varint(&kept, len);
		herd_buf_put(&kept, value, len);
	}
	memset(ret, 0, 32);
	if (kept.len && !kept.failed)
		herd_sha256(kept.data, kept.len, ret);
}

void herd_variant_of(const struct herd_entry *e, struct herd_variant *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (e->absent) {
		ret->absent = true;
		return;
	}
	ret->mode = e->mode;
	ret->uid = e->uid;
	ret->gid = e->gid;
	if (S_ISBLK(e->mode) || S_ISCHR(e->mode)) {
		ret->rdev_major = e->rdev_major;
		ret->rdev_minor = e->rdev_minor;
	}
	ret->digest_kind = (uint8_t)e->digest_kind;
	if (e->digest_kind == HERD_DIGEST_SHA256 ||
	    e->digest_kind == HERD_DIGEST_SPARSE)
		memcpy(ret->digest, e->digest, sizeof(ret->digest));
	take_xattrs(e, ret->xattrs);
}

bool herd_variant_equal(const struct herd_variant *a,
			const struct herd_variant *b)
{
	if (a->absent || b->absent)
		return a->absent == b->absent;
	return a->digest_kind == b->digest_kind && a->mode == b->mode &&
	       a->uid == b->uid && a->gid == b->gid &&
	       a->rdev_major == b->rdev_major &&
	       a->rdev_minor == b->rdev_minor &&
	       memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
	       memcmp(a->xattrs, b->xattrs, sizeof(a->xattrs)) == 0;
}
