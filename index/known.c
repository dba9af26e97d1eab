/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens the sets and looks digests up. Digests are spread evenly, so that the
 * place of one can be reckoned from its first bytes: a few steps in a set of
 * a hundred million. Whatever a file holds, a step takes the half at worst.
 *
 * Threads: as index/known.h says.
 */
#include "index/known_internal.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "acquire/base/sha256.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define REACH 16 /* of the interpolation; then halves */
#define AT_ONCE (1u << 20)

void herd_known_head(uint8_t head[HERD_KNOWN_HEAD], bool bad, uint64_t n,
		     uint64_t imported)
{
	uint32_t version = htobe32(HERD_KNOWN_VERSION);
	uint32_t kind = htobe32(bad ? 2 : 1);

	n = htobe64(n);
	imported = htobe64(imported);
	memset(head, 0, HERD_KNOWN_HEAD);
	memcpy(head, HERD_KNOWN_MAGIC, sizeof(HERD_KNOWN_MAGIC));
	memcpy(head + 16, &version, 4);
	memcpy(head + 20, &kind, 4);
	memcpy(head + 24, &n, 8);
	memcpy(head + 32, &imported, 8);
}

bool herd_known_path(char *buf, size_t size, const char *store_dir,
		     const char *name, bool bad)
{
	int n = snprintf(buf, size, "%s/" HERD_KNOWN_FOLDER "/%s.%s", store_dir,
			 name, bad ? "bad" : "good");

	return n > 0 && (size_t)n < size;
}

bool herd_known_name_valid(const char *name)
{
	static const char letters[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
		"0123456789._-";
	size_t n = strspn(name, letters);

	return n && n <= HERD_KNOWN_NAME_MAX && !name[n] && *name != '.' &&
	       *name != '-';
}

/* ---- opening ---- */

static int damaged(const char *path, const char *what, struct herd_diag *diag)
{
	return herd_diag_set(diag, -EBADMSG, path, HERD_NO_OFFSET,
			     "a set of digests that is damaged (%s); remove it "
			     "and import it again",
			     what);
}

static int read_head(const char *path, struct herd_known_set *s,
		     struct herd_diag *diag)
{
	struct herd_cursor c = herd_cursor(s->map, s->map_len);
	const char *magic = herd_cur_bytes(&c, sizeof(HERD_KNOWN_MAGIC));
	uint32_t version = herd_cur_be32(&c), kind = herd_cur_be32(&c);
	uint64_t n = herd_cur_be64(&c);

	s->imported = herd_cur_be64(&c);
	if (c.bad || memcmp(magic, HERD_KNOWN_MAGIC, sizeof(HERD_KNOWN_MAGIC)))
		return damaged(path, "its head", diag);
	if (version != HERD_KNOWN_VERSION)
		return herd_diag_set(diag, -EPROTO, path, HERD_NO_OFFSET,
				     "has version %u, this herdfs reads %u",
				     version, HERD_KNOWN_VERSION);
	if (kind != (s->bad ? 2u : 1u))
		return damaged(path, "its kind", diag);
	if (n > HERD_KNOWN_DIGESTS_MAX ||
	    s->map_len != HERD_KNOWN_HEAD + (n + 1) * HERD_KNOWN_DIGEST)
		return damaged(path, "its size", diag);
	s->n = n;
	s->digests = (const uint8_t *)s->map + HERD_KNOWN_HEAD;
	return 0;
}

/* Every byte once: the order, and the digest over all. */
static int check(const char *path, const struct herd_known_set *s,
		 struct herd_diag *diag)
{
	struct herd_sha256 *h = herd_sha256_create();
	const size_t len = s->n * HERD_KNOWN_DIGEST;
	uint8_t digest[HERD_SHA256_LEN];

	if (!h)
		return -ENOMEM;
	herd_sha256_begin(h);
	for (size_t at = 0; at < len; at += AT_ONCE)
		herd_sha256_update(h, s->digests + at,
				   len - at < AT_ONCE ? len - at : AT_ONCE);
	herd_sha256_update(h, s->map, HERD_KNOWN_HEAD);
	herd_sha256_final(h, digest);
	herd_sha256_destroy(h);
	if (memcmp(digest, s->digests + len, sizeof(digest)) != 0)
		return damaged(path, "its own digest", diag);
	for (size_t at = HERD_KNOWN_DIGEST; at < len; at += HERD_KNOWN_DIGEST)
		if (memcmp(s->digests + at - HERD_KNOWN_DIGEST, s->digests + at,
			   HERD_KNOWN_DIGEST) >= 0)
			return damaged(path, "its order", diag);
	return 0;
}

static int open_set(const char *path, struct herd_known_set *s,
		    struct herd_diag *diag)
{
	CLEANUP_FD int fd =
		open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	void *map;
	int err;

	if (fd < 0 || fstat(fd, &st))
		return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET, "%s",
				     strerror(errno));
	if (!S_ISREG(st.st_mode) ||
	    st.st_size < HERD_KNOWN_HEAD + HERD_KNOWN_DIGEST)
		return damaged(path, "its size", diag);
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (map == MAP_FAILED)
		return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET, "%s",
				     strerror(errno));
	s->map = map;
	s->map_len = (size_t)st.st_size;
	err = read_head(path, s, diag);
	return err ? err : check(path, s, diag);
}

static int add_set(struct herd_known *k, const char *dir, const char *file,
		   struct herd_diag *diag)
{
	const char *dot = strrchr(file, '.');
	struct herd_known_set s = { .bad = dot && !strcmp(dot, ".bad") };
	char path[PATH_MAX];
	size_t n = dot ? (size_t)(dot - file) : 0;
	int err;

	if (!dot || (!s.bad && strcmp(dot, ".good") != 0) ||
	    n > HERD_KNOWN_NAME_MAX)
		return 0;
	memcpy(s.name, file, n);
	if (!herd_known_name_valid(s.name))
		return 0;
	if (k->n == HERD_KNOWN_SETS_MAX)
		return herd_diag_set(diag, -EOVERFLOW, dir, HERD_NO_OFFSET,
				     "holds more than %d sets of digests",
				     HERD_KNOWN_SETS_MAX);
	if (!herd_known_path(path, sizeof(path), dir, s.name, s.bad))
		return -ENAMETOOLONG;
	if (k->n == k->cap) {
		size_t cap = k->cap ? 2 * k->cap : 8;
		struct herd_known_set *v = reallocarray(k->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		k->v = v;
		k->cap = cap;
	}
	err = open_set(path, &s, diag);
	k->v[k->n++] = s; /* with its map, also after a failure */
	return err;
}

static int compare_sets(const void *a, const void *b)
{
	const struct herd_known_set *x = a, *y = b;

	if (x->bad != y->bad)
		return x->bad ? -1 : 1;
	return strcmp(x->name, y->name);
}

int herd_known_open(const char *store_dir, struct herd_known *ret,
		    struct herd_diag *diag)
{
	struct herd_known k = { 0 };
	char path[PATH_MAX];
	int n = snprintf(path, sizeof(path), "%s/" HERD_KNOWN_FOLDER,
			 store_dir);
	int err = 0;
	DIR *d;

	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	d = opendir(path);
	if (!d && errno != ENOENT && errno != ENOTDIR)
		return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET, "%s",
				     strerror(errno));
	for (struct dirent *e; d && !err && (e = readdir(d));)
		err = add_set(&k, store_dir, e->d_name, diag);
	if (d)
		closedir(d);
	if (err) {
		herd_known_close(&k);
		return err;
	}
	if (k.n)
		qsort(k.v, k.n, sizeof(*k.v), compare_sets);
	*ret = k;
	return 0;
}

void herd_known_close(struct herd_known *k)
{
	for (size_t i = 0; i < k->n; i++)
		if (k->v[i].map)
			munmap(k->v[i].map, k->v[i].map_len);
	free(k->v);
	*k = (struct herd_known){ 0 };
}

/* ---- looking up ---- */

static uint64_t first_bytes(const uint8_t *digest)
{
	uint64_t v;

	memcpy(&v, digest, sizeof(v));
	return be64toh(v);
}

static bool has(const struct herd_known_set *s, const uint8_t digest[32])
{
	const uint64_t wanted = first_bytes(digest);
	uint64_t lo = 0, hi = s->n;

	for (unsigned step = 0; lo < hi; step++) {
		uint64_t mid = lo + (hi - lo) / 2;
		const uint8_t *d;
		int c;

		if (step < REACH && hi - lo > 2) {
			uint64_t a = first_bytes(s->digests + 32 * lo);
			uint64_t b = first_bytes(s->digests + 32 * (hi - 1));

			if (wanted < a || wanted > b)
				return false;
			if (b > a)
				mid = lo +
				      (uint64_t)((unsigned __int128)(wanted -
								     a) *
						 (hi - 1 - lo) / (b - a));
		}
		d = s->digests + 32 * mid;
		c = memcmp(digest, d, 32);
		if (!c)
			return true;
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return false;
}

const struct herd_known_set *herd_known_find(const struct herd_known *k,
					     const uint8_t digest[32])
{
	for (size_t i = 0; i < k->n; i++)
		if (has(&k->v[i], digest))
			return &k->v[i];
	return NULL;
}

/* ---- removing ---- */

int herd_known_remove(const char *store_dir, const char *name,
		      struct herd_diag *diag)
{
	char path[PATH_MAX];
	bool found = false;

	if (!herd_known_name_valid(name))
		return herd_diag_set(diag, -EINVAL, name, HERD_NO_OFFSET,
				     "no name of a set of digests");
	for (int bad = 0; bad < 2; bad++) {
		if (!herd_known_path(path, sizeof(path), store_dir, name, bad))
			return -ENAMETOOLONG;
		if (unlink(path) == 0)
			found = true;
		else if (errno != ENOENT && errno != ENOTDIR)
			return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET,
					     "%s", strerror(errno));
	}
	return found ? 0 :
		       herd_diag_set(diag, -ENOENT, name, HERD_NO_OFFSET,
				     "there is no set of that name");
}
