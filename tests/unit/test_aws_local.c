/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The calls against the local AWS: signatures, pages, tokens that expire,
 * damaged blocks, snapshots that cannot be read, and the two IAM policies of
 * docs/, that they allow what they are for and nothing else.
 */
#include "acquire/aws/autoscaling.h"
#include "acquire/aws/ebs.h"
#include "acquire/aws/ec2.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "local_fixture.h"

/* ---- EBS ---- */

struct listed {
	bool done;
	struct herd_ebs_listed l;
};

static void on_listed(void *arg, struct herd_ebs_listed *l)
{
	struct listed *to = arg;

	assert_false(to->done);
	to->done = true;
	to->l = *l;
	l->list = (struct herd_block_list){ 0 };
}

static int list(struct client *c, const char *first, const char *snapshot,
		struct listed *to)
{
	memset(to, 0, sizeof(*to));
	assert_int_equal(first ? herd_ebs_list_changed(c->aws, first, snapshot,
						       on_listed, to) :
				 herd_ebs_list(c->aws, snapshot, on_listed, to),
			 0);
	while (!to->done)
		herd_aws_run(c->aws, NULL, 0, 1000);
	return to->l.err;
}

static void want(const struct listed *l, const uint32_t *indexes, size_t n)
{
	assert_int_equal(l->l.list.n, n);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(l->l.list.indexes[i], indexes[i]);
	assert_int_equal(l->l.list.block_size, BLOCK);
	assert_int_equal(l->l.list.volume_size, 1 << 30);
}

static void test_list(void **state)
{
	static const uint32_t base[] = { 0,   1,   5,	100, 101,
					 102, 103, 104, 105, 2047 };
	static const uint32_t changed[] = { 5, 7, 105 };
	struct client c;
	struct listed l;

	(void)state;
	connect_as(&c, ALL_KEY);
	assert_int_equal(list(&c, NULL, BASE, &l), 0);
	want(&l, base, ARRAY_SIZE(base));
	assert_true(l.l.pages > 4);
	assert_true(l.l.list.tokens_expire > 1700000000);
	herd_block_list_deinit(&l.l.list);

	assert_int_equal(list(&c, FIRST, SECOND, &l), 0);
	want(&l, changed, ARRAY_SIZE(changed));
	for (size_t i = 0; i < l.l.list.n; i++)
		/* the second one lacks block 105 alone */
		assert_int_equal(l.l.list.tokens[i] == NULL,
				 l.l.list.indexes[i] == 105);
	herd_block_list_deinit(&l.l.list);

	assert_int_equal(list(&c, BASE, SECOND, &l), -EOPNOTSUPP);
	disconnect(&c);
}

/* Each page's token is stale at once, as after an hour between pages. */
static void test_stale_pages(void **state)
{
	struct client c;
	struct listed l;

	(void)state;
	connect_as(&c, ALL_KEY);
	tell(&c, "{\"page_token_seconds\":0,\"pages\":{\"empty_every\":0}}");
	assert_int_equal(list(&c, NULL, BASE, &l), 0);
	assert_int_equal(l.l.list.n, 10);
	assert_true(l.l.restarts >= 3);
	herd_block_list_deinit(&l.l.list);
	tell(&c, "{\"page_token_seconds\":3600,\"pages\":{\"empty_every\":2}}");
	disconnect(&c);
}

static void test_unreadable(void **state)
{
	static const struct {
		const char *snapshot;
		int expected;
		const char *message;
	} cases[] = {
		{ PENDING, -EAGAIN, "not completed" },
		{ ARCHIVED, -EACCES, "archived" },
		{ OUTPOST, -EACCES, "Outpost" },
		{ PUBLIC, -EACCES,
		  "a public AMI's snapshot cannot be read over EBS direct" },
		{ NOWHERE, -ENOENT, "no such snapshot" },
	};
	struct client c;
	struct listed l;

	(void)state;
	connect_as(&c, ALL_KEY);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = list(&c, NULL, cases[i].snapshot, &l);

		if (r != cases[i].expected ||
		    !strstr(l.l.diag.message, cases[i].message))
			fail_msg("%s: %d, %s", cases[i].snapshot, r,
				 l.l.diag.message);
	}
	disconnect(&c);
}

struct got {
	bool done;
	struct herd_ebs_block b;
};

static void on_block(void *arg, struct herd_ebs_block *b)
{
	struct got *g = arg;

	assert_false(g->done);
	g->done = true;
	g->b = *b;
	b->bytes = (struct herd_buf)HERD_BUF_INIT;
}

/* All at once; what comes has been written by put_disk. */
static void get_all(struct client *c, const struct herd_block_list *l,
		    const char *snapshot, const char *bytes, unsigned *retried)
{
	struct got *got CLEANUP_FREE = calloc(l->n, sizeof(*got));

	assert_non_null(got);
	for (size_t i = 0; i < l->n; i++)
		assert_int_equal(herd_ebs_get_block(c->aws, snapshot,
						    l->indexes[i], l->tokens[i],
						    l->block_size, on_block,
						    &got[i]),
				 0);
	while (herd_aws_pending(c->aws))
		herd_aws_run(c->aws, NULL, 0, 1000);
	for (size_t i = 0; i < l->n; i++) {
		uint8_t sum[HERD_SHA256_LEN];

		assert_true(got[i].done);
		if (got[i].b.err)
			fail_msg("block %u: %s", l->indexes[i],
				 got[i].b.diag.message);
		assert_int_equal(got[i].b.bytes.len, BLOCK);
		for (size_t k = 0; k < BLOCK; k++)
			if (got[i].b.bytes.data[k] != (uint8_t)bytes[i])
				fail_msg("block %u: byte %zu", l->indexes[i],
					 k);
		herd_sha256(got[i].b.bytes.data, BLOCK, sum);
		assert_memory_equal(sum, got[i].b.sha256, sizeof(sum));
		*retried += got[i].b.attempts - 1;
		herd_buf_deinit(&got[i].b.bytes);
	}
}

static void test_blocks(void **state)
{
	struct client c;
	struct listed l;
	unsigned retried = 0;

	(void)state;
	connect_as(&c, ALL_KEY);
	assert_int_equal(list(&c, NULL, SECOND, &l), 0);
	get_all(&c, &l.l.list, SECOND, "abXYdefghj", &retried);
	assert_int_equal(retried, 0);

	/* every third answer is bad in one way or another */
	tell(&c, "{\"faults\":[{\"every\":3,\"action\":\"GetSnapshotBlock\","
		 "\"kinds\":[\"corrupt\",\"truncate\",\"short\",\"checksum\","
		 "\"nochecksum\",\"reset\",\"e500\",\"throttle\"]}]}");
	for (unsigned i = 0; i < 6; i++)
		get_all(&c, &l.l.list, SECOND, "abXYdefghj", &retried);
	assert_true(retried >= 20);
	tell(&c, "{\"faults\":[]}");
	herd_block_list_deinit(&l.l.list);
	disconnect(&c);
}

static void test_never_good(void **state)
{
	struct client c;
	struct listed l;
	struct got g = { 0 };

	(void)state;
	connect_as(&c, ALL_KEY);
	assert_int_equal(list(&c, NULL, SECOND, &l), 0);
	tell(&c, "{\"faults\":[{\"every\":1,\"action\":\"GetSnapshotBlock\","
		 "\"kinds\":[\"corrupt\"]}]}");
	assert_int_equal(herd_ebs_get_block(c.aws, SECOND, 5,
					    l.l.list.tokens[2], BLOCK, on_block,
					    &g),
			 0);
	while (!g.done)
		herd_aws_run(c.aws, NULL, 0, 1000);
	assert_int_equal(g.b.err, -EBADMSG);
	assert_null(g.b.bytes.data);
	assert_non_null(strstr(g.b.diag.message, "SHA-256"));
	tell(&c, "{\"faults\":[]}");

	/* a token of another block, and one that has expired */
	g = (struct got){ 0 };
	assert_int_equal(herd_ebs_get_block(c.aws, SECOND, 5,
					    l.l.list.tokens[0], BLOCK, on_block,
					    &g),
			 0);
	while (!g.done)
		herd_aws_run(c.aws, NULL, 0, 1000);
	assert_int_equal(g.b.err, -EKEYEXPIRED);
	herd_block_list_deinit(&l.l.list);
	tell(&c, "{\"block_token_seconds\":0}");
	assert_int_equal(list(&c, NULL, SECOND, &l), 0);
	g = (struct got){ 0 };
	assert_int_equal(herd_ebs_get_block(c.aws, SECOND, 5,
					    l.l.list.tokens[2], BLOCK, on_block,
					    &g),
			 0);
	while (!g.done)
		herd_aws_run(c.aws, NULL, 0, 1000);
	assert_int_equal(g.b.err, -EKEYEXPIRED);
	tell(&c, "{\"block_token_seconds\":604800}");
	herd_block_list_deinit(&l.l.list);
	disconnect(&c);
}

/* ---- from the group to blocks of new snapshots, with the least rights ---- */

static void find(struct client *c)
{
	static const char *const names[] = { "web & co", "none" };
	static const char *const instances[] = { I1, GONE, I2 };
	static const char *const volumes[] = { V1, V2 };
	static const char *const images[] = { IMAGE };
	struct herd_ec2_query q = { .ids = instances, .n_ids = 3 };
	struct herd_asgs groups = { 0 };
	struct herd_ec2_instances i = { 0 };
	struct herd_ec2_volumes v = { 0 };
	struct herd_ec2_images a = { 0 };
	struct herd_ec2_template t = { 0 };

	assert_int_equal(herd_asg_list(c->aws, names, 2, &groups, NULL), 0);
	assert_int_equal(groups.n, 1);
	assert_int_equal(groups.v[0].n_instances, 2);
	assert_string_equal(groups.v[0].template.id, TEMPLATE);
	assert_int_equal(groups.v[0].odd, 0);
	herd_asgs_deinit(&groups);

	assert_int_equal(herd_ec2_instances(c->aws, &q, &i, NULL), 0);
	assert_int_equal(i.n, 2);
	for (size_t k = 0; k < i.n; k++)
		if (!strcmp(i.v[k].id, I1)) {
			assert_int_equal(i.v[k].n_disks, 2);
			assert_string_equal(i.v[k].private_address, "10.0.0.1");
			assert_int_equal(i.v[k].odd, 0);
		}
	herd_ec2_instances_deinit(&i);

	q = (struct herd_ec2_query){ .ids = volumes, .n_ids = 2 };
	/* what nobody needs */
	assert_int_equal(herd_ec2_volumes(c->aws, &q, &v, NULL), -EACCES);
	q = (struct herd_ec2_query){ .ids = images, .n_ids = 1 };
	assert_int_equal(herd_ec2_images(c->aws, &q, &a, NULL), 0);
	assert_string_equal(a.v[0].mappings[0].snapshot, BASE);
	assert_false(a.v[0].is_public);
	herd_ec2_images_deinit(&a);
	assert_int_equal(herd_ec2_template_version(c->aws, TEMPLATE, NULL, "1",
						   false, &t, NULL),
			 0);
	assert_string_equal(t.image, IMAGE);
}

static void wait_completed(struct client *c, const struct herd_pair *filter,
			   size_t n)
{
	struct herd_ec2_query q = { .filters = filter, .n_filters = 1 };

	for (unsigned polls = 0;; polls++) {
		struct herd_ec2_snapshots s = { 0 };
		size_t done = 0;

		assert_true(polls < 100);
		assert_int_equal(herd_ec2_snapshots(c->aws, &q, &s, NULL), 0);
		assert_int_equal(s.n, n);
		for (size_t i = 0; i < s.n; i++)
			done += !herd_ec2_snapshot_readable(&s.v[i], NULL);
		herd_ec2_snapshots_deinit(&s);
		if (done == n)
			return;
	}
}

static void test_capture(void **state)
{
	static const struct herd_pair tags[] = { { "herdfs:case", "7" },
						 { "herdfs:instance", I1 } };
	static const struct herd_pair filter = { "tag:herdfs:case", "7" };
	struct herd_ec2_capture capture = { .instance = I1,
					    .description = "case 7",
					    .tags = tags,
					    .n_tags = 2,
					    .dry_run = true };
	struct herd_ec2_snapshots s = { 0 };
	struct client c;
	struct listed l;
	unsigned retried = 0;

	(void)state;
	connect_as(&c, ACQUIRE_KEY);
	find(&c);
	assert_int_equal(herd_ec2_create_snapshots(c.aws, &capture, &s, NULL),
			 0);
	assert_int_equal(s.n, 0);
	capture.dry_run = false;
	assert_int_equal(herd_ec2_create_snapshots(c.aws, &capture, &s, NULL),
			 0);
	assert_int_equal(s.n, 2);
	wait_completed(&c, &filter, 2);
	for (size_t i = 0; i < s.n; i++) {
		bool root = !strcmp(s.v[i].volume, V1);

		/* not known to EBS for the first two calls */
		assert_int_equal(list(&c, NULL, s.v[i].id, &l), 0);
		get_all(&c, &l.l.list, s.v[i].id,
			root ? "abXYdefghj" : "abcdefghij", &retried);
		herd_block_list_deinit(&l.l.list);
	}
	for (size_t i = 0; i < s.n; i++) {
		assert_int_equal(herd_ec2_delete_snapshot(c.aws, s.v[i].id,
							  true, NULL),
				 0);
		assert_int_equal(herd_ec2_delete_snapshot(c.aws, s.v[i].id,
							  false, NULL),
				 0);
		assert_int_equal(herd_ec2_delete_snapshot(c.aws, s.v[i].id,
							  false, NULL),
				 -ENOENT);
	}
	herd_ec2_snapshots_deinit(&s);
	disconnect(&c);
}

/* What the policies do not allow. */
static void test_least_privilege(void **state)
{
	static const struct herd_pair other[] = { { "Name", "x" } };
	static const char *const ids[] = { BASE };
	struct herd_ec2_capture capture = { .instance = I1,
					    .tags = other,
					    .n_tags = 1 };
	struct herd_ec2_query q = { .ids = ids, .n_ids = 1 };
	struct herd_ec2_query all = { .dry_run = true };
	struct herd_ec2_snapshots s = { 0 };
	struct herd_ec2_instances i = { 0 };
	struct herd_asgs groups = { 0 };
	struct herd_diag diag = { 0 };
	struct client c;
	struct listed l;

	(void)state;
	connect_as(&c, ACQUIRE_KEY);
	/* without a case */
	assert_int_equal(herd_ec2_create_snapshots(c.aws, &capture, &s, &diag),
			 -EACCES);
	assert_non_null(strstr(diag.message, "UnauthorizedOperation"));
	/* of somebody else's making */
	assert_int_equal(herd_ec2_delete_snapshot(c.aws, FIRST, false, NULL),
			 -EACCES);
	disconnect(&c);

	connect_as(&c, READ_KEY);
	assert_int_equal(list(&c, NULL, BASE, &l), 0);
	herd_block_list_deinit(&l.l.list);
	assert_int_equal(herd_ec2_snapshots(c.aws, &q, &s, NULL), 0);
	herd_ec2_snapshots_deinit(&s);
	assert_int_equal(herd_ec2_instances(c.aws, &all, &i, NULL), -EACCES);
	assert_int_equal(herd_asg_list(c.aws, NULL, 0, &groups, NULL), -EACCES);
	assert_int_equal(herd_ec2_create_snapshots(c.aws, &capture, &s, NULL),
			 -EACCES);
	assert_int_equal(herd_ec2_delete_snapshot(c.aws, FIRST, true, NULL),
			 -EACCES);
	disconnect(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_stale_pages),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_never_good),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_least_privilege),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
