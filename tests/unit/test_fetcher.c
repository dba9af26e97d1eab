/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetcher without a network: a snapshot that is in the cache, read through
 * a source; readers that ask for nonsense, stop in the middle, or go away; the
 * ledger. What needs AWS is in tests/mount/test_aws_*.sh.
 */
#include "acquire/base/cleanup.h"
#include "acquire/block_cache.h"
#include "acquire/fetch_ledger.h"
#include "acquire/fetch_object_name.h"
#include "acquire/fetch_protocol.h"
#include "acquire/fetcher.h"

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define BLOCK 4096u
#define BLOCKS 16u
#define SNAPSHOT "snap-0123456789abcdef0"
#define BASE "snap-0fedcba9876543210"

struct fixture {
	char dir[128], cache[160];
	struct herd_fetcher *fetcher;
};

static uint8_t expected(uint32_t block, uint32_t at)
{
	return (uint8_t)(block * 7 + at / 13);
}

static void put_blocks(struct herd_block_cache *c, const char *snapshot)
{
	uint8_t bytes[BLOCK], sum[HERD_SHA256_LEN];

	/* block 5 is in the list and not in the cache, 6 and 7 are zeros */
	for (uint32_t b = 0; b < BLOCKS; b++) {
		if (b >= 5 && b <= 7)
			continue;
		for (uint32_t i = 0; i < BLOCK; i++)
			bytes[i] = expected(b, i);
		herd_sha256(bytes, BLOCK, sum);
		assert_int_equal(herd_block_cache_put(c, snapshot, b, bytes,
						      BLOCK, sum, NULL), 0);
	}
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint32_t indexes[BLOCKS];
	struct herd_block_list l = { .block_size = BLOCK,
				     .volume_size = BLOCKS * BLOCK,
				     .indexes = indexes };
	struct herd_fetcher_options o = { .cache_dir = f->cache,
					  .offline = true, .timeout_ms = 2000 };
	struct herd_block_cache *c = NULL;
	const char *tmp = getenv("TMPDIR");
	const uint32_t changed[] = { 3, 9 };

	snprintf(f->dir, sizeof(f->dir), "%s/herd-fetcher-XXXXXX",
		 tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->cache, sizeof(f->cache), "%s/cache", f->dir);
	for (uint32_t b = 0; b < BLOCKS; b++)
		if (b != 6 && b != 7)
			indexes[l.n++] = b;
	assert_int_equal(herd_block_cache_open(f->cache, 0, &c, NULL), 0);
	assert_int_equal(herd_block_cache_put_list(c, SNAPSHOT, &l, NULL), 0);
	put_blocks(c, SNAPSHOT);
	/* a sibling of which only the list and the changes are there */
	assert_int_equal(herd_block_cache_put_list(c, "snap-1", &l, NULL), 0);
	assert_int_equal(herd_block_cache_put_changed(c, SNAPSHOT, "snap-1",
						      changed, 2, NULL), 0);
	herd_block_cache_close(c);
	assert_int_equal(herd_fetcher_create(&o, &f->fetcher), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	char command[200];

	herd_fetcher_destroy(f->fetcher);
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

static struct herd_source *open_snapshot(struct fixture *f, const char *name)
{
	struct herd_image image = { 0 };
	struct herd_helper helper = { .pid = 0 };
	struct herd_source *s = NULL;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	char path[100];

	snprintf(path, sizeof(path), "ebs:%s", name);
	assert_int_equal(herd_image_probe(path, NULL, NULL, &image, NULL), 0);
	assert_true(herd_image_is_remote(&image));
	assert_true(herd_image_needs_helper(&image));
	assert_int_equal(herd_image_verify(&image, true, NULL), 0);
	assert_int_equal(herd_helper_start(&image, f->fetcher, &helper, NULL),
			 0);
	if (herd_image_open(&image, &helper, &s, &diag))
		fail_msg("%s: %s", name, diag.message);
	herd_helper_stop(&helper);
	herd_image_deinit(&image);
	return s;
}

static void check(struct herd_source *s, uint64_t off, size_t len)
{
	uint8_t *bytes = malloc(len + 1);
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	assert_non_null(bytes);
	if (herd_source_read(s, bytes, len, off, &diag))
		fail_msg("%s", diag.message);
	for (size_t i = 0; i < len; i++) {
		uint32_t b = (uint32_t)((off + i) / BLOCK);
		uint8_t want = b == 6 || b == 7 ? 0 :
			       expected(b, (off + i) % BLOCK);

		if (bytes[i] != want)
			fail_msg("byte %zu: %u, not %u", (size_t)off + i,
				 bytes[i], want);
	}
	free(bytes);
}

static void test_reading(void **state)
{
	struct fixture *f = *state;
	struct herd_source *s = open_snapshot(f, SNAPSHOT);
	struct herd_extents e = { 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	uint8_t byte;

	assert_int_equal(s->size, BLOCKS * BLOCK);
	assert_true(s->ops->remote);
	check(s, 0, 5 * BLOCK);
	check(s, 1, 1);
	check(s, 2 * BLOCK - 3, 7);
	check(s, 6 * BLOCK - 0, 10 * BLOCK);
	check(s, BLOCKS * BLOCK - 1, 1);
	/* not in the cache, and there is no network: said, and only this one */
	assert_int_equal(herd_source_read(s, &byte, 1, 5 * BLOCK + 9, &diag),
			 -EREMOTEIO);
	assert_non_null(strstr(diag.message, "offline"));
	check(s, 4 * BLOCK, BLOCK);
	assert_int_equal(herd_source_data(s, &e, NULL), 0);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.v[0].len, 6 * BLOCK);
	assert_int_equal(e.v[1].start, 8 * BLOCK);
	assert_false(herd_source_at_hand(s, &e));
	e.v[0].len = 5 * BLOCK;
	assert_true(herd_source_at_hand(s, &e));
	assert_int_equal(herd_source_keep(s, &e, NULL), 0);
	e.v[0].len = 6 * BLOCK;
	assert_int_equal(herd_source_keep(s, &e, NULL), -EREMOTEIO);
	herd_source_want(s, &e);	/* to no avail, and to no harm */
	herd_extents_deinit(&e);
	herd_source_destroy(s);
}

static void test_sibling(void **state)
{
	struct fixture *f = *state;
	struct herd_source *s = open_snapshot(f, "snap-1");
	struct herd_source *base = open_snapshot(f, SNAPSHOT);
	struct herd_extents e = { 0 };
	uint64_t compared = 1;
	uint8_t byte;

	assert_int_equal(herd_source_diff(s, base, NULL, 1, &e, &compared,
					  NULL), 0);
	assert_int_equal(compared, 0);
	assert_int_equal(e.n, 2);
	assert_int_equal(e.v[0].start, 3 * BLOCK);
	assert_int_equal(e.v[1].start, 9 * BLOCK);
	/* what did not change is the other's, and that is in the cache */
	check(s, 0, 3 * BLOCK);
	check(s, 10 * BLOCK, 2 * BLOCK);
	assert_int_equal(herd_source_read(s, &byte, 1, 3 * BLOCK, NULL),
			 -EREMOTEIO);
	/* without a network nobody can say in what these two differ, and they
	   are not compared byte by byte for that */
	assert_int_equal(herd_source_diff(base, s, NULL, 1, &e, &compared,
					  NULL), -EREMOTEIO);
	herd_extents_deinit(&e);
	herd_source_destroy(s);
	herd_source_destroy(base);
}

/* ---- readers that may have been taken over ---- */

static int raw_connection(struct fixture *f, struct herd_helper *h)
{
	char path[] = "ebs:" SNAPSHOT;
	struct herd_image_file file = { .path = path };
	const struct herd_image image = { .files = &file, .n_files = 1 };

	assert_int_equal(herd_fetcher_connect(f->fetcher, &image, h, NULL), 0);
	return h->fds[0];
}

/* What comes back before the connection ends, or the fetcher waits for more. */
static ssize_t answer_to(struct fixture *f, const void *bytes, size_t len)
{
	struct herd_helper h = { .pid = 0 };
	int fd = raw_connection(f, &h);
	struct pollfd p = { fd, POLLIN, 0 };
	char buf[256];
	ssize_t n = -2;

	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), len);
	if (poll(&p, 1, 300) > 0)
		n = recv(fd, buf, sizeof(buf), 0);
	herd_helper_stop(&h);
	return n;
}

static void test_nonsense(void **state)
{
	struct fixture *f = *state;
	struct herd_source *s = open_snapshot(f, SNAPSHOT);
	const struct herd_fetch_request wrong[] = {
		{ .magic = 1, .op = HERD_FETCH_INFO },
		{ .magic = HERD_FETCH_MAGIC, .op = 99 },
		{ .magic = HERD_FETCH_MAGIC, .op = UINT32_MAX },
		{ .magic = HERD_FETCH_MAGIC, .op = HERD_FETCH_WANT,
		  .n = HERD_FETCH_RANGES_MAX + 1 },
		{ .magic = HERD_FETCH_MAGIC, .op = HERD_FETCH_WANT,
		  .n = UINT32_MAX },
		{ .magic = HERD_FETCH_MAGIC, .op = HERD_FETCH_READ,
		  .len = HERD_FETCH_READ_MAX + 1 },
		{ .magic = HERD_FETCH_MAGIC, .op = HERD_FETCH_READ,
		  .off = UINT64_MAX, .len = 2 },
		{ .magic = HERD_FETCH_MAGIC, .op = HERD_FETCH_READ,
		  .off = BLOCKS * BLOCK, .len = 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		if (answer_to(f, &wrong[i], sizeof(wrong[i])) != 0)
			fail_msg("request %zu is not refused", i);
	/* others do not notice */
	check(s, 0, BLOCK);
	herd_source_destroy(s);
}

static void test_ranges(void **state)
{
	struct fixture *f = *state;
	struct {
		struct herd_fetch_request r;
		struct herd_fetch_range ranges[5];
	} m = { .r = { .magic = HERD_FETCH_MAGIC, .op = HERD_FETCH_AT_HAND,
		       .n = 5 },
		.ranges = { { 0, 0 }, { UINT64_MAX, UINT64_MAX },
			    { BLOCK, UINT64_MAX }, { UINT64_MAX - 1, 2 },
			    { BLOCKS * BLOCK - 1, 1 } } };

	/* whatever they say, they are cut to the volume */
	for (uint32_t op = HERD_FETCH_WANT; op <= HERD_FETCH_AT_HAND; op++) {
		m.r.op = op;
		assert_true(answer_to(f, &m, sizeof(m)) >=
			    (ssize_t)sizeof(struct herd_fetch_answer));
	}
	/* a name of a snapshot that does not end */
	m.r = (struct herd_fetch_request){ .magic = HERD_FETCH_MAGIC,
					   .op = HERD_FETCH_CHANGED };
	memset(m.r.other, 'a', sizeof(m.r.other));
	assert_true(answer_to(f, &m.r, sizeof(m.r)) >=
		    (ssize_t)sizeof(struct herd_fetch_answer));
	memset(m.r.other, '/', sizeof(m.r.other));
	assert_true(answer_to(f, &m.r, sizeof(m.r)) >=
		    (ssize_t)sizeof(struct herd_fetch_answer));
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	uint32_t seed = 1;

	for (int round = 0; round < 60; round++) {
		struct herd_helper h = { .pid = 0 };
		int fd = raw_connection(f, &h);
		uint8_t bytes[400];
		uint32_t magic = HERD_FETCH_MAGIC;
		size_t len = sizeof(bytes) - (size_t)round;

		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525u + 1013904223u;
			bytes[i] = (uint8_t)(seed >> 24);
		}
		if (round % 2)
			memcpy(bytes, &magic, sizeof(magic));
		if (round % 4 == 3) {
			memset(bytes + 4, 0, 20);
			bytes[4] = (uint8_t)(round % 8);
			bytes[20] = (uint8_t)(seed >> 30);
		}
		/* the fetcher may have closed it by now */
		for (size_t at = 0; at < len; at += 31)
			if (send(fd, bytes + at, len - at < 31 ? len - at : 31,
				 MSG_NOSIGNAL) < 0)
				break;
		herd_helper_stop(&h);
	}

	struct herd_source *s = open_snapshot(f, SNAPSHOT);

	check(s, 0, 5 * BLOCK);
	herd_source_destroy(s);
}

/* Requests whose answers nobody takes hold up nobody else. */
static void test_silent(void **state)
{
	struct fixture *f = *state;
	struct herd_fetch_request r = { .magic = HERD_FETCH_MAGIC,
					.op = HERD_FETCH_READ,
					.len = 5 * BLOCK };
	struct herd_helper h[8] = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(h); i++) {
		int fd = raw_connection(f, &h[i]);

		for (int k = 0; k < 200; k++)
			if (send(fd, &r, sizeof(r),
				 MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
				break;
	}

	struct herd_source *s = open_snapshot(f, SNAPSHOT);

	check(s, 0, 5 * BLOCK);
	herd_source_destroy(s);
	for (size_t i = 0; i < ARRAY_SIZE(h); i++)
		herd_helper_stop(&h[i]);
}

/* ---- a fetcher that dies ---- */

static int reads(struct herd_source *s)
{
	uint8_t byte;

	return herd_source_read(s, &byte, 1, 0, NULL);
}

static pid_t child_named(const char *name)
{
	char command[100], line[32] = "";

	snprintf(command, sizeof(command), "pgrep -P %d -x %s", getpid(), name);
	FILE *p = popen(command, "r");

	if (p && !fgets(line, sizeof(line), p))
		line[0] = '\0';
	if (p)
		pclose(p);
	return atoi(line);
}

static void test_death(void **state)
{
	struct fixture *f = *state;
	struct herd_source *s = open_snapshot(f, SNAPSHOT);
	pid_t pid = child_named("herdfs-fetcher");

	check(s, 0, BLOCK);
	assert_true(pid > 1);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(reads(s), -EIO);
	assert_int_equal(reads(s), -EIO);
	herd_source_destroy(s);
	/* another one is started for whoever connects next */
	s = open_snapshot(f, SNAPSHOT);
	check(s, 0, BLOCK);
	assert_int_not_equal(child_named("herdfs-fetcher"), pid);
	herd_source_destroy(s);
}

static void test_secrets(void **state)
{
	(void)state;
	setenv("AWS_SECRET_ACCESS_KEY", "very secret indeed", 1);
	setenv("AWS_SESSION_TOKEN", "a token", 1);
	setenv("AWS_REGION", "eu-central-1", 1);

	const char *key = getenv("AWS_SECRET_ACCESS_KEY");

	herd_fetcher_forget_secrets();
	for (size_t i = 0; i < strlen("very secret indeed"); i++)
		assert_int_equal(key[i], 0);
	assert_string_equal(getenv("AWS_SESSION_TOKEN"), "");
	assert_string_equal(getenv("AWS_REGION"), "eu-central-1");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_SESSION_TOKEN");
	unsetenv("AWS_REGION");
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(herd_ebs_snapshot("ebs:snap-01"), "snap-01");
	assert_null(herd_ebs_snapshot("ebs:snap-"));
	assert_null(herd_ebs_snapshot("snap-01"));
	assert_null(herd_ebs_snapshot("ebs:vol-01"));
	assert_null(herd_ebs_snapshot("ebs:snap-../x"));
	assert_null(herd_ebs_snapshot("ebs:snap-A"));
	assert_null(herd_ebs_snapshot("ebs:snap-0000000000000000000000000000"
				      "000000000000000000000000000000000000"));
}

static void test_ledger(void **state)
{
	struct fixture *f = *state;
	struct herd_fetch_ledger_row row = { 1, 2, 3, 4, 5 }, got;
	struct herd_fetch_ledger *l = NULL, *other = NULL;
	char path[300];

	assert_int_equal(herd_fetch_ledger_open_read(f->cache, &l), -ENOENT);
	assert_int_equal(herd_fetch_ledger_open(f->cache, &l, NULL), 0);
	assert_int_equal(herd_fetch_ledger_get(l, BASE, &got), 0);
	assert_int_equal(got.blocks, 0);
	assert_int_equal(herd_fetch_ledger_add(l, BASE, &row), 0);
	assert_int_equal(row.blocks, 0);
	assert_int_equal(herd_fetch_ledger_open(f->cache, &other, NULL), 0);
	row = (struct herd_fetch_ledger_row){ 10, 20, 30, 1ull << 50, 50 };
	assert_int_equal(herd_fetch_ledger_add(other, BASE, &row), 0);
	assert_int_equal(herd_fetch_ledger_get(l, BASE, &got), 0);
	assert_int_equal(got.list_calls, 11);
	assert_int_equal(got.blocks, 22);
	assert_int_equal(got.failed, 33);
	assert_int_equal(got.bytes, (1ull << 50) + 4);
	assert_int_equal(got.cached, 55);
	/* nonsense counts as nothing */
	snprintf(path, sizeof(path), "echo lists x > %s/costs/" BASE, f->cache);
	assert_int_equal(system(path), 0);
	assert_int_equal(herd_fetch_ledger_get(l, BASE, &got), 0);
	assert_int_equal(got.blocks, 0);
	herd_fetch_ledger_close(l);
	herd_fetch_ledger_close(other);
}

/* ---- objects of S3, out of the cache ---- */

#define URL "s3://evidence/m/i 1.lime"
#define OBJECT_BLOCK 524288u
#define OBJECT_SIZE (OBJECT_BLOCK + 1000u)

static void put_text(struct herd_buf *b, const char *text)
{
	herd_buf_varint(b, strlen(text));
	herd_buf_put(b, text, strlen(text));
}

/* As docs/FORMAT.md has it. */
static void put_note(struct herd_block_cache *c, const char *name,
		     const struct herd_s3_name *n, const struct herd_s3_state *s)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	put_text(&b, n->bucket);
	put_text(&b, n->key);
	put_text(&b, n->version);
	put_text(&b, s->etag);
	put_text(&b, s->version);
	herd_buf_varint(&b, s->size);
	assert_int_equal(herd_block_cache_put_note(c, name, b.data, b.len, NULL),
			 0);
}

/* An object of two blocks of which the second is short; its id. */
static void put_object(struct fixture *f, const struct herd_s3_state *s,
		       bool last, uint8_t id[HERD_SHA256_LEN])
{
	struct herd_block_cache *c = NULL;
	char name[HERD_OBJECT_NAME_LEN + 1];
	uint8_t *bytes CLEANUP_FREE = malloc(OBJECT_BLOCK);
	uint8_t sum[HERD_SHA256_LEN];
	struct herd_s3_name n;

	assert_true(herd_s3_name_parse(URL, &n));
	herd_s3_id(&n, s, id);
	herd_object_name(id, name);
	assert_int_equal(herd_block_cache_open(f->cache, 0, &c, NULL), 0);
	put_note(c, name, &n, s);
	for (uint32_t b = 0; b < 2; b++) {
		uint32_t len = b ? OBJECT_SIZE - OBJECT_BLOCK : OBJECT_BLOCK;

		for (uint32_t i = 0; i < len; i++)
			bytes[i] = expected(b, i);
		herd_sha256(bytes, len, sum);
		assert_int_equal(herd_block_cache_put(c, name, b, bytes, len,
						      sum, NULL), 0);
	}
	herd_object_last_name(&n, name);
	if (last)
		put_note(c, name, &n, s);
	herd_block_cache_close(c);
}

static int open_object(struct fixture *f, struct herd_image_file *file,
		       struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_image image = { 0 };
	struct herd_helper helper = { .pid = 0 };
	int err;

	assert_int_equal(herd_image_remote(file, &image), 0);
	assert_true(herd_image_is_remote(&image));
	assert_true(herd_image_needs_helper(&image));
	assert_int_equal(herd_image_verify(&image, true, NULL), 0);
	assert_int_equal(herd_helper_start(&image, f->fetcher, &helper, NULL),
			 0);
	err = herd_image_open_remote(&image, &helper, ret, diag);
	herd_helper_stop(&helper);
	free(file->path);
	*file = image.files[0];
	image.n_files = 0;
	herd_image_deinit(&image);
	return err;
}

static void check_object(struct herd_source *s, uint64_t off, size_t len)
{
	uint8_t *bytes CLEANUP_FREE = malloc(len);

	assert_int_equal(herd_source_read(s, bytes, len, off, NULL), 0);
	for (size_t i = 0; i < len; i++) {
		uint64_t at = off + i;

		if (bytes[i] != expected((uint32_t)(at / OBJECT_BLOCK),
					 (uint32_t)(at % OBJECT_BLOCK)))
			fail_msg("byte %llu", (unsigned long long)at);
	}
}

static void test_object(void **state)
{
	struct fixture *f = *state;
	const struct herd_s3_state s = { .size = OBJECT_SIZE,
					 .etag = "\"a-1\"", .version = "v.1" };
	struct herd_image_file file = { .path = strdup(URL) };
	struct herd_source *first = NULL, *again = NULL;
	CLEANUP(herd_extents_deinit) struct herd_extents e = { 0 };
	uint8_t id[HERD_SHA256_LEN];

	put_object(f, &s, true, id);
	assert_int_equal(open_object(f, &file, &first, NULL), 0);
	assert_string_equal(file.path, URL "?versionId=v.1");
	assert_int_equal(file.size, OBJECT_SIZE);
	assert_memory_equal(file.ends, id, sizeof(id));
	assert_int_equal(first->size, OBJECT_SIZE);
	check_object(first, 0, OBJECT_SIZE);
	check_object(first, OBJECT_SIZE - 7, 7);
	check_object(first, OBJECT_BLOCK - 3, 6);
	/* as it is known from then on */
	assert_int_equal(open_object(f, &file, &again, NULL), 0);
	assert_int_equal(herd_extents_add(&e, 0, OBJECT_SIZE), 0);
	assert_true(herd_source_at_hand(again, &e));
	assert_int_equal(herd_source_keep(again, &e, NULL), 0);
	check_object(again, OBJECT_BLOCK + 5, 100);
	/* it has no lineage */
	assert_int_equal(herd_source_diff(again, first, NULL, 1, &e, NULL,
					  NULL), -EOPNOTSUPP);
	assert_int_equal(herd_source_lost(again, NULL), 0);
	herd_source_destroy(first);
	herd_source_destroy(again);
	free(file.path);
}

/* What is not in the cache is lost, and said so; strictly: for good. */
static void test_object_lost(void **state)
{
	struct fixture *f = *state;
	struct herd_s3_state s = { .size = OBJECT_SIZE, .etag = "\"a-1\"" };
	struct herd_image_file file = { .path = strdup(URL) };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_source *source = NULL;
	uint8_t id[HERD_SHA256_LEN];
	char byte;

	put_object(f, &s, false, id);
	/* nobody has noted which one was there last */
	assert_int_equal(open_object(f, &file, &source, &diag), -EREMOTEIO);
	assert_non_null(strstr(diag.message, "is not in the cache"));
	/* another one than is there */
	s.size = file.size = 3 * OBJECT_BLOCK;
	memset(file.ends, 7, sizeof(file.ends));
	assert_int_equal(open_object(f, &file, &source, NULL), -EREMOTEIO);
	/* of which only the note is there */
	struct herd_s3_name n;
	struct herd_block_cache *c = NULL;
	char name[HERD_OBJECT_NAME_LEN + 1];

	assert_true(herd_s3_name_parse(URL, &n));
	herd_s3_id(&n, &s, file.ends);
	herd_object_name(file.ends, name);
	assert_int_equal(herd_block_cache_open(f->cache, 0, &c, NULL), 0);
	put_note(c, name, &n, &s);
	herd_block_cache_close(c);
	assert_int_equal(open_object(f, &file, &source, NULL), 0);
	assert_int_equal(herd_source_read(source, &byte, 1, OBJECT_BLOCK, NULL),
			 -EREMOTEIO);
	herd_diag_clear(&diag);
	assert_int_equal(herd_source_lost(source, &diag), -EREMOTEIO);
	assert_non_null(strstr(diag.message, "offline"));
	herd_source_destroy(source);
	free(file.path);
}

/* A note that says something else than its name is none. */
static void test_object_note(void **state)
{
	struct fixture *f = *state;
	const struct herd_s3_state s = { .size = OBJECT_SIZE,
					 .etag = "\"a-1\"" },
		other = { .size = OBJECT_SIZE, .etag = "\"a-2\"" };
	struct herd_image_file file = { .path = strdup(URL),
					.size = OBJECT_SIZE };
	struct herd_block_cache *c = NULL;
	struct herd_source *source = NULL;
	char name[HERD_OBJECT_NAME_LEN + 1];
	struct herd_s3_name n;

	put_object(f, &s, true, file.ends);
	assert_true(herd_s3_name_parse(URL, &n));
	herd_object_name(file.ends, name);
	assert_int_equal(herd_block_cache_open(f->cache, 0, &c, NULL), 0);
	put_note(c, name, &n, &other);
	assert_int_equal(open_object(f, &file, &source, NULL), -EREMOTEIO);
	put_note(c, name, &n, &s);
	assert_int_equal(open_object(f, &file, &source, NULL), 0);
	herd_source_destroy(source);
	herd_block_cache_close(c);
	free(file.path);
}

#define WITH_FETCHER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FETCHER(test_reading), WITH_FETCHER(test_sibling),
		WITH_FETCHER(test_nonsense), WITH_FETCHER(test_ranges),
		WITH_FETCHER(test_random), WITH_FETCHER(test_silent),
		WITH_FETCHER(test_death), WITH_FETCHER(test_ledger),
		WITH_FETCHER(test_object), WITH_FETCHER(test_object_lost),
		WITH_FETCHER(test_object_note),
		cmocka_unit_test(test_secrets), cmocka_unit_test(test_names),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
