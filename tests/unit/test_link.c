/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Links are shown so that they stay inside disk/: fixed cases, and a hundred
 * thousand random links in random trees against an independent walk.
 */
#include "fs/tree_link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

/* ---- a tree in memory ---- */

#define NODES 64

struct node {
	uint32_t parent;
	char name[8];
	const char *target;	/* a link; NULL: a folder */
	size_t target_len;
};

struct tree {
	struct node v[NODES];	/* 0 is the root */
	uint32_t n, link_dir;
};

static int child(void *arg, uint32_t dir, const char *name, size_t len,
		 uint32_t *ret, const char **ret_target, size_t *ret_len)
{
	const struct tree *t = arg;

	for (uint32_t i = 1; i < t->n; i++)
		if (t->v[i].parent == dir && !t->v[dir].target &&
		    strlen(t->v[i].name) == len &&
		    memcmp(t->v[i].name, name, len) == 0) {
			*ret = i;
			*ret_target = t->v[i].target;
			*ret_len = t->v[i].target_len;
			return 0;
		}
	return -ENOENT;
}

static void put_path(const struct tree *t, uint32_t node, struct herd_buf *out)
{
	if (!node)
		return;
	put_path(t, t->v[node].parent, out);
	if (t->v[node].parent)
		herd_buf_u8(out, '/');
	herd_buf_put(out, t->v[node].name, strlen(t->v[node].name));
}

static int folder(void *arg, struct herd_buf *out)
{
	const struct tree *t = arg;

	put_path(t, t->link_dir, out);
	return 0;
}

static unsigned depth_of(const struct tree *t, uint32_t node)
{
	unsigned d = 0;

	for (; node; node = t->v[node].parent)
		d++;
	return d;
}

static uint32_t add(struct tree *t, uint32_t parent, const char *name,
		    const char *target)
{
	struct node *n = &t->v[t->n];

	*n = (struct node){ .parent = parent, .target = target,
			    .target_len = target ? strlen(target) : 0 };
	snprintf(n->name, sizeof(n->name), "%s", name);
	return t->n++;
}

static char *shown(const struct tree *t, const char *target, size_t len)
{
	const struct herd_link_tree lt = { (void *)t, child, folder };
	struct herd_buf out = HERD_BUF_INIT;

	assert_int_equal(herd_link_confine(&lt, depth_of(t, t->link_dir),
					   target, len, &out), 0);
	herd_buf_u8(&out, 0);
	assert_false(out.failed);
	return (char *)out.data;
}

static void expect(const struct tree *t, const char *target, const char *want)
{
	char *s = shown(t, target, strlen(target));

	assert_string_equal(s, want);
	free(s);
}

/* ---- fixed cases ---- */

/* /usr/lib, /etc/alt -> /usr, /lib -> usr/lib, /loop -> loop, /up -> ../.. */
static struct tree fixed(void)
{
	struct tree t = { .n = 1 };
	uint32_t usr = add(&t, 0, "usr", NULL), etc;

	add(&t, usr, "lib", NULL);
	etc = add(&t, 0, "etc", NULL);
	add(&t, etc, "alt", "/usr");
	add(&t, 0, "lib", "usr/lib");
	add(&t, 0, "loop", "loop");
	add(&t, 0, "up", "../..");
	t.link_dir = etc;	/* depth 1 */
	return t;
}

static void test_cases(void **state)
{
	struct tree t = fixed();

	(void)state;
	/* as they are */
	expect(&t, "passwd", "passwd");
	expect(&t, "./passwd", "./passwd");
	expect(&t, "../usr//lib/", "../usr//lib/");
	expect(&t, "..", "..");
	expect(&t, ".", ".");
	expect(&t, "...", "...");
	expect(&t, "..x/y", "..x/y");
	/* absolute */
	expect(&t, "/usr/lib", "../usr/lib");
	expect(&t, "///usr", "../usr");
	expect(&t, "/", "..");
	expect(&t, "/..", "..");
	expect(&t, "/../../etc/passwd", "../etc/passwd");
	expect(&t, "/./../etc", "../etc");
	/* too far up */
	expect(&t, "../..", "..");
	expect(&t, "../../", "..");
	expect(&t, "../../../../../../etc/passwd", "../etc/passwd");
	expect(&t, "./.././../etc/passwd", "../etc/passwd");
	/* down and up again */
	expect(&t, "a/../b", "../etc/b");
	expect(&t, "a/../../../../../etc/passwd", "../etc/passwd");
	expect(&t, "/lib/..", "../usr");	/* through the link */
	expect(&t, "alt/lib/../x", "../usr/x");
	expect(&t, "/etc/alt/../etc/passwd", "../etc/passwd");
	expect(&t, "../up/../x/..", "..");
	expect(&t, "/a/..", "..");
	expect(&t, "/loop/../x", "../x");
	expect(&t, "/nosuch/../../x", "../x");
	/* the last name is not followed */
	expect(&t, "x/../alt", "../etc/alt");
	expect(&t, "x/../alt/", "../usr");
	/* odd bytes */
	expect(&t, "", ".");
	expect(&t, "\n\x01\xff", "\n\x01\xff");
}

static void test_at_the_top(void **state)
{
	struct tree t = fixed();

	(void)state;
	t.link_dir = 0;
	expect(&t, "/", ".");
	expect(&t, "/etc", "etc");
	expect(&t, "..", ".");
	expect(&t, "../../etc", "etc");
	expect(&t, "a/..", ".");
	expect(&t, "etc/..", ".");
	expect(&t, "./", "./");
}

static void test_nul_ends_it(void **state)
{
	struct tree t = fixed();
	char *s;

	(void)state;
	s = shown(&t, "a\0/../../..", 11);
	assert_string_equal(s, "a");
	free(s);
	s = shown(&t, "\0x", 2);
	assert_string_equal(s, ".");
	free(s);
	s = shown(&t, NULL, 0);
	assert_string_equal(s, ".");
	free(s);
}

/* Links that grow what is to be walked: it ends, and soon. */
static void test_bombs(void **state)
{
	static char wide[65537], up[65536];
	struct tree t = { .n = 1 };
	char *s;

	(void)state;
	memset(wide, '/', sizeof(wide));
	for (size_t i = 0; i + 2 < sizeof(wide); i += 2)
		wide[i] = 'b';
	memset(up, '.', sizeof(up));
	for (size_t i = 2; i < sizeof(up); i += 3)
		up[i] = '/';
	add(&t, 0, "a", "b/b/b/b/b/b");
	wide[sizeof(wide) - 1] = 0;
	add(&t, 0, "b", wide);
	s = shown(&t, "a/../b/../c", 11);
	assert_null(strstr(s, ".."));
	free(s);
	s = shown(&t, up, sizeof(up));
	assert_string_equal(s, ".");
	free(s);
	wide[sizeof(wide) - 3] = wide[sizeof(wide) - 2] = '.';
	s = shown(&t, wide, sizeof(wide));
	assert_null(strstr(s, ".."));
	free(s);
}

/* ---- random ones ---- */

static uint64_t seed = 88172645463325252ull;

static uint32_t rnd(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 11) % n;
}

static size_t random_target(char *out, size_t size)
{
	static const char *const parts[] = {
		"..", "..", "..", ".", "a", "b", "c", "", "..a", "nosuch",
	};
	size_t n = 0, parts_n = rnd(8);

	if (rnd(3) == 0)
		out[n++] = '/';
	for (size_t i = 0; i < parts_n && n + 16 < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s",
				      parts[rnd(ARRAY_SIZE(parts))],
				      i + 1 < parts_n || rnd(4) == 0 ? "/" :
								       "");
	if (rnd(50) == 0 && n)
		out[rnd((uint32_t)n)] = (char)rnd(256);
	return n;
}

static void random_tree(struct tree *t, char targets[NODES][128])
{
	static const char *const names[] = { "a", "b", "c", "..a" };

	*t = (struct tree){ .n = 1 };
	for (uint32_t want = 4 + rnd(NODES - 5); t->n < want;) {
		uint32_t dir = rnd(t->n), id;
		uint32_t dummy;
		const char *name = names[rnd(ARRAY_SIZE(names))], *target;
		size_t len;

		if (t->v[dir].target ||
		    !child(t, dir, name, strlen(name), &dummy, &target, &len)) {
			want--;
			continue;
		}
		id = add(t, dir, name, NULL);
		if (rnd(3) == 0) {
			t->v[id].target_len = random_target(targets[id], 128);
			t->v[id].target = targets[id];
		}
	}
	do {
		t->link_dir = rnd(t->n);
	} while (t->v[t->link_dir].target);
}

/* (../)* at most depth times, then never again. */
static void assert_confined(const char *s, unsigned depth)
{
	unsigned up = 0;
	bool down = false;

	assert_true(*s && *s != '/');
	while (*s) {
		size_t n = strcspn(s, "/");

		if (n == 2 && s[0] == '.' && s[1] == '.') {
			assert_false(down);
			up++;
		} else if (n && !(n == 1 && *s == '.')) {
			down = true;
		}
		s += n;
		s += strspn(s, "/");
	}
	assert_true(up <= depth);
}

/*
 * Follows a path as the kernel would on the mount, where each link has its
 * shown target; fails when it comes above the root. Returns the node, or -1.
 */
static int kernel_walk(const struct tree *t, uint32_t at, const char *path,
		       unsigned *links)
{
	while (*path) {
		size_t n = strcspn(path, "/"), len;
		const char *target;
		uint32_t next;

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			if (!at)
				fail_msg("came above disk/");
			at = t->v[at].parent;
		} else if (n && !(n == 1 && *path == '.')) {
			if (child((void *)t, at, path, n, &next, &target,
				  &len))
				return -1;
			if (target) {
				struct tree inner = *t;
				char *s;
				int r;

				if ((*links)++ >= 40)
					return -1;
				inner.link_dir = at;
				s = shown(&inner, target, len);
				assert_confined(s, depth_of(t, at));
				r = kernel_walk(t, at, s, links);
				free(s);
				if (r < 0)
					return r;
				at = (uint32_t)r;
			} else {
				at = next;
			}
		}
		path += n;
		path += strspn(path, "/");
	}
	return (int)at;
}

/* What the instance itself would have come to: the root is the root. */
static int chroot_walk(const struct tree *t, uint32_t at, const char *path,
		       size_t path_len, unsigned *links)
{
	const char *end = path + strnlen(path, path_len);

	if (path < end && *path == '/')
		at = 0;
	while (path < end) {
		const char *slash = memchr(path, '/', (size_t)(end - path));
		size_t n = (size_t)((slash ? slash : end) - path), len;
		const char *target;
		uint32_t next;

		if (n == 2 && path[0] == '.' && path[1] == '.') {
			at = t->v[at].parent;
		} else if (n && !(n == 1 && *path == '.')) {
			if (child((void *)t, at, path, n, &next, &target,
				  &len))
				return -1;
			if (target) {
				int r;

				/* Linux: an empty target is no target */
				if ((*links)++ >= 30 || !strnlen(target, len))
					return -1;
				r = chroot_walk(t, at, target, len, links);
				if (r < 0)
					return r;
				at = (uint32_t)r;
			} else {
				at = next;
			}
		}
		path += n + (slash != NULL);
	}
	return (int)at;
}

static void test_random(void **state)
{
	static char targets[NODES][128];
	unsigned equal = 0;

	(void)state;
	for (int round = 0; round < 5000; round++) {
		struct tree t;

		random_tree(&t, targets);
		for (int i = 0; i < 20; i++) {
			char target[128];
			size_t len = random_target(target, sizeof(target));
			unsigned links = 0, more = 0;
			char *s = shown(&t, target, len);
			int want, got;

			assert_confined(s, depth_of(&t, t.link_dir));
			want = len && target[0] ?
			       chroot_walk(&t, t.link_dir, target, len,
					   &links) : -1;
			got = kernel_walk(&t, t.link_dir, s, &more);
			if (want >= 0) {
				assert_int_equal(got, want);
				equal++;
			}
			free(s);
		}
	}
	/* enough of them led somewhere for this to mean something */
	assert_true(equal > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_at_the_top),
		cmocka_unit_test(test_nul_ends_it),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
