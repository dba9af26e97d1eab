/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of S3 in ranges, from a service that is scripted: what they are
 * called, which one there is, pieces of it, and answers that are something else.
 */
#include "acquire/aws/s3_object.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "aws_fake.h"

/* ---- names ---- */

static void test_names(void **state)
{
	static const char *const bad[] = {
		"", "s3:", "s3://", "s3://b", "s3://bucket", "s3://bucket/",
		"s3:///key", "s3://Bucket/key", "s3://bu..ket/key", "s3://-bu/k",
		"s3://bucket/a\nb", "s3://bucket/a\177b", "http://bucket/key",
		"s3://bucket/key?versionId=", "s3://bucket/key?versionId=a b",
		"s3://bucket/?versionId=1",
	};
	struct herd_s3_name n;
	char longest[HERD_S3_URL_MAX + 10];

	(void)state;
	assert_true(herd_s3_name_parse("s3://my.bucket-1/a/b c+%41?x=1", &n));
	assert_string_equal(n.bucket, "my.bucket-1");
	assert_string_equal(n.key, "a/b c+%41?x=1");
	assert_string_equal(n.version, "");
	assert_true(herd_s3_name_parse("s3://abc//../k?versionId=a.B/-1", &n));
	assert_string_equal(n.key, "/../k");
	assert_string_equal(n.version, "a.B/-1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (herd_s3_name_parse(bad[i], &n))
			fail_msg("%s is taken for a name", bad[i]);
	memset(longest, 'k', sizeof(longest));
	memcpy(longest, "s3://abc/", 9);
	longest[9 + HERD_S3_KEY_MAX] = '\0';
	assert_true(herd_s3_name_parse(longest, &n));
	longest[9 + HERD_S3_KEY_MAX] = 'k';
	longest[10 + HERD_S3_KEY_MAX] = '\0';
	assert_false(herd_s3_name_parse(longest, &n));
}

static void test_ids(void **state)
{
	static const struct {
		struct herd_s3_name n;
		struct herd_s3_state s;
	} all[] = {
		{ { "abc", "key", "" }, { 10, "\"e\"", "" } },
		{ { "abd", "key", "" }, { 10, "\"e\"", "" } },
		{ { "abc", "kez", "" }, { 10, "\"e\"", "" } },
		{ { "abc", "key", "" }, { 11, "\"e\"", "" } },
		{ { "abc", "key", "" }, { 10, "\"f\"", "" } },
		{ { "abc", "key", "" }, { 10, "\"e\"", "v" } },
		{ { "abc", "keyv", "" }, { 10, "\"e\"", "" } },
	};
	uint8_t ids[ARRAY_SIZE(all)][HERD_SHA256_LEN], again[HERD_SHA256_LEN];
	struct herd_s3_name asked = all[0].n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		herd_s3_id(&all[i].n, &all[i].s, ids[i]);
		for (size_t k = 0; k < i; k++)
			assert_memory_not_equal(ids[i], ids[k],
						HERD_SHA256_LEN);
	}
	/* how it was asked for makes no other of it */
	strcpy(asked.version, "v");
	herd_s3_id(&asked, &all[5].s, again);
	assert_memory_equal(again, ids[5], sizeof(again));
}

/* ---- looking ---- */

static const struct herd_s3_name name = { "abc", "a b/k", "" };
static struct herd_s3_looked looked;
static unsigned times;

static void keep_looked(void *arg, struct herd_s3_looked *l)
{
	assert_ptr_equal(arg, &looked);
	looked = *l;
	times++;
}

static void look(const struct herd_s3_name *n, const struct fake_step *steps,
		 size_t n_steps)
{
	struct herd_aws a = { .steps = steps, .n = n_steps };

	times = 0;
	assert_int_equal(herd_s3_look(&a, n, keep_looked, &looked), 0);
	fake_run(&a);
	assert_int_equal(times, 1);
}

#define LOOK "GET /abc/a%20b/k Range: bytes=0-0"
#define HEAD(more) "ETag: \"e-2\"\nContent-Range: bytes 0-0/1234567\n" more
#define ONE(headers_) \
	{ .expect = LOOK, .status = 206, .headers = headers_, .body = "x" }

static void test_look(void **state)
{
	static const struct fake_step plain[] = { ONE(HEAD("")) },
		versioned[] = { ONE(HEAD("x-amz-version-id: v.1\n")) },
		null[] = { ONE(HEAD("x-amz-version-id: null\n")) },
		asked[] = { { .expect = "GET /abc/a%20b/k?versionId=v.1 "
				       "Range: bytes=0-0", .status = 206,
			      .headers = HEAD("x-amz-version-id: v.1\n"),
			      .body = "x" } },
		others[] = { { .status = 206, .headers = HEAD(""), .body = "x" },
			     { .status = 206, .body = "x",
			       .headers = HEAD("x-amz-version-id: v.2\n") } },
		of_null[] = { { .expect = "GET /abc/a%20b/k?versionId=null "
					 "Range: bytes=0-0", .status = 206,
				.headers = HEAD("x-amz-version-id: null\n"),
				.body = "x" } },
		/* twice damaged, then good */
		third[] = { ONE("ETag: \"e-2\"\n"),
			    ONE("Content-Range: bytes 0-0/1234567\n"),
			    ONE(HEAD("")) };
	struct herd_s3_name n = name;

	(void)state;
	look(&name, plain, 1);
	assert_int_equal(looked.err, 0);
	assert_int_equal(looked.state.size, 1234567);
	assert_string_equal(looked.state.etag, "\"e-2\"");
	assert_string_equal(looked.state.version, "");
	look(&name, versioned, 1);
	assert_string_equal(looked.state.version, "v.1");
	look(&name, null, 1);
	assert_int_equal(looked.err, 0);
	assert_string_equal(looked.state.version, "");
	strcpy(n.version, "v.1");
	look(&n, asked, 1);
	assert_int_equal(looked.err, 0);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		const struct fake_step steps[] = { others[i], others[i],
						   others[i] };

		look(&n, steps, 3);
		assert_int_equal(looked.err, -EBADMSG);
		assert_non_null(strstr(looked.diag.message, "another version"));
	}
	strcpy(n.version, "null");
	look(&n, of_null, 1);
	assert_int_equal(looked.err, 0);
	assert_string_equal(looked.state.version, "");
	look(&name, third, 3);
	assert_int_equal(looked.err, 0);
	assert_string_equal(looked.state.version, "");
}

static void test_look_refused(void **state)
{
	static const struct {
		struct fake_step step;
		int err;
		const char *says;
	} all[] = {
		{ { .status = 404, .err = -ENOENT, .type = "NoSuchKey",
		    .message = "no" }, -ENOENT, "there is no such object: no" },
		{ { .status = 404, .err = -ENOENT, .type = "NoSuchBucket" },
		  -ENOENT, "there is no bucket abc" },
		{ { .status = 403, .err = -EACCES, .type = "AccessDenied",
		    .message = "no policy" }, -EACCES, "it takes s3:GetObject" },
		{ { .status = 403, .err = -EACCES, .type = "InvalidObjectState",
		    .message = "no" }, -EACCES, "is archived" },
		{ { .status = 403, .err = -EACCES, .type = "ExpiredToken",
		    .message = "old" }, -EACCES, "not allowed (ExpiredToken)" },
		{ { .status = 301, .err = -EINVAL, .type = "PermanentRedirect",
		    .headers = "x-amz-bucket-region: eu-north-1\n" },
		  -EREMCHG, "in another region, eu-north-1" },
		{ { .status = 400, .err = -EINVAL,
		    .type = "AuthorizationHeaderMalformed",
		    .message = "expecting 'eu-north-1'" },
		  -EREMCHG, "expecting 'eu-north-1'" },
		{ { .status = 416, .err = -EINVAL, .type = "InvalidRange" },
		  -ENODATA, "is empty" },
		{ { .status = 503, .err = -EAGAIN, .type = "SlowDown",
		    .message = "slower" }, -EAGAIN, "SlowDown after 1 attempt: " },
		{ { .err = -ETIMEDOUT, .message = "nothing came" }, -ETIMEDOUT,
		  "after 1 attempt: nothing came" },
		{ { .status = 200, .headers = HEAD("") }, -EOPNOTSUPP,
		  "the server sends no ranges" },
		{ { .status = 200, .err = -EOVERFLOW, .message = "too long" },
		  -EBADMSG, "longer than the range that was asked for: too" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		look(&name, &all[i].step, 1);
		if (looked.err != all[i].err ||
		    !strstr(looked.diag.message, all[i].says))
			fail_msg("%zu: %d, %s", i, looked.err,
				 looked.diag.message);
	}
}

static void test_look_damaged(void **state)
{
	static const char *const heads[] = {
		"", "ETag: \"e\"\n", "Content-Range: bytes 0-0/12\n",
		"ETag: \"e\"\nContent-Range: bytes 0-0/0\n",
		"ETag: \"e\"\nContent-Range: bytes 0-0/*\n",
		"ETag: \"e\"\nContent-Range: bytes 0-1/12\n",
		"ETag: \"e\"\nContent-Range: bytes 0-0/99999999999999999999\n",
		"ETag: e\nContent-Range: bytes 0-0/12\n",
		"ETag: \"a b\"\nContent-Range: bytes 0-0/12\n",
		("ETag: \"e\"\nContent-Range: bytes 0-0/12\n"
		 "x-amz-version-id: a b\n"),
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		const struct fake_step steps[] = { ONE(heads[i]), ONE(heads[i]),
						   ONE(heads[i]) };

		look(&name, steps, 3);
		if (looked.err != -EBADMSG)
			fail_msg("%zu: %d", i, looked.err);
	}
}

/* ---- pieces ---- */

static struct herd_s3_piece piece;

static void keep_piece(void *arg, struct herd_s3_piece *p)
{
	assert_ptr_equal(arg, &piece);
	piece = *p;
	p->bytes = (struct herd_buf)HERD_BUF_INIT;
	times++;
}

#define GET "GET /abc/a%20b/k Range: bytes=100-103 If-Match: \"e\""
#define GOOD "ETag: \"e\"\nContent-Range: bytes 100-103/1000\n"
#define PIECE(headers_, body_) \
	{ .expect = GET, .status = 206, .headers = headers_, .body = body_ }

static void get_of(const struct herd_s3_name *n, const struct herd_s3_state *s,
		   const struct fake_step *steps, size_t n_steps)
{
	struct herd_aws a = { .steps = steps, .n = n_steps };

	times = 0;
	assert_int_equal(herd_s3_get(&a, n, s, 100, 4, keep_piece, &piece), 0);
	fake_run(&a);
	assert_int_equal(times, 1);
}

static void get(const struct herd_s3_state *s, const struct fake_step *steps,
		size_t n)
{
	get_of(&name, s, steps, n);
}

static void test_pieces(void **state)
{
	static const struct fake_step good[] = { PIECE(GOOD, "abcd") },
		third[] = { PIECE(GOOD, "abc"),
			    PIECE("ETag: \"e\"\nContent-Range: "
				  "bytes 0-3/1000\n", "abcd"),
			    PIECE(GOOD, "abcd") },
		null[] = { { .expect = "GET /abc/a%20b/k?versionId=null Range: "
			     "bytes=100-103 If-Match: \"e\"",
			     .status = 206, .body = "abcd",
			     .headers = GOOD "x-amz-version-id: null\n" } },
		version[] = { { .expect = "GET /abc/a%20b/k?versionId=v Range: "
				"bytes=100-103 If-Match: \"e\"",
				.status = 206, .headers = GOOD, .body = "abcd" } };
	struct herd_s3_state s = { .size = 1000, .etag = "\"e\"" };
	struct herd_s3_name of_null = name;
	uint8_t sum[HERD_SHA256_LEN];

	(void)state;
	herd_sha256("abcd", 4, sum);
	get(&s, good, 1);
	assert_int_equal(piece.err, 0);
	assert_int_equal(piece.bytes.len, 4);
	assert_memory_equal(piece.bytes.data, "abcd", 4);
	assert_memory_equal(piece.sha256, sum, sizeof(sum));
	herd_buf_deinit(&piece.bytes);
	get(&s, third, 3);
	assert_int_equal(piece.err, 0);
	herd_buf_deinit(&piece.bytes);
	/* which is not the newest, once another one has been put there */
	strcpy(of_null.version, "null");
	get_of(&of_null, &s, null, 1);
	assert_int_equal(piece.err, 0);
	herd_buf_deinit(&piece.bytes);
	strcpy(s.version, "v");
	get(&s, version, 1);
	assert_int_equal(piece.err, 0);
	herd_buf_deinit(&piece.bytes);
}

static void test_other_object(void **state)
{
	static const struct fake_step said[] = { {
		.status = 412, .err = -EINVAL, .type = "PreconditionFailed" } },
		other[] = { PIECE("ETag: \"f\"\nContent-Range: "
				  "bytes 100-103/1000\n", "abcd") },
		none[] = { PIECE("Content-Range: bytes 100-103/1000\n", "abcd") },
		version[] = { { .status = 206, .body = "abcd",
				.headers = GOOD "x-amz-version-id: w\n" } },
		long_one[] = { { .status = 206, .err = -EOVERFLOW } },
		grown[] = { PIECE("ETag: \"e\"\nContent-Range: "
				  "bytes 100-103/1001\n", "abcd"),
			    PIECE("ETag: \"e\"\nContent-Range: "
				  "bytes 100-103/1001\n", "abcd"),
			    PIECE("ETag: \"e\"\nContent-Range: "
				  "bytes 100-103/1001\n", "abcd") },
		shorter[] = { { .status = 416, .err = -EINVAL,
				.type = "InvalidRange" } };
	const struct herd_s3_state s = { .size = 1000, .etag = "\"e\"" };
	struct herd_s3_state of = s;

	(void)state;
	get(&s, said, 1);
	assert_int_equal(piece.err, -ESTALE);
	get(&s, other, 1);
	assert_int_equal(piece.err, -ESTALE);
	get(&s, none, 1);
	assert_int_equal(piece.err, -ESTALE);
	strcpy(of.version, "v");
	get(&of, version, 1);
	assert_int_equal(piece.err, -ESTALE);
	get(&s, long_one, 1);
	assert_int_equal(piece.err, -EBADMSG);
	assert_int_equal(piece.diag.offset, 100);
	get(&s, grown, 3);
	assert_int_equal(piece.err, -EBADMSG);
	assert_int_equal(piece.bytes.len, 0);
	get(&s, shorter, 1);
	assert_int_equal(piece.err, -ENODATA);
	assert_non_null(strstr(piece.diag.message, "shorter"));
}

static void test_bounds(void **state)
{
	struct herd_aws a = { .n = 0 };
	const struct herd_s3_state s = { .size = 1000, .etag = "\"e\"" },
		none = { .size = 1000 };

	(void)state;
	assert_int_equal(herd_s3_get(&a, &name, &s, 0, 0, keep_piece, NULL),
			 -EINVAL);
	assert_int_equal(herd_s3_get(&a, &name, &s, 997, 4, keep_piece, NULL),
			 -EINVAL);
	assert_int_equal(herd_s3_get(&a, &name, &s, UINT64_MAX, 2, keep_piece,
				     NULL), -EINVAL);
	assert_int_equal(herd_s3_get(&a, &name, &none, 0, 4, keep_piece, NULL),
			 -EINVAL);
	assert_int_equal(a.calls, 0);
}

/* The herd_aws goes away: said once, nothing is left. */
static void test_cancelled(void **state)
{
	struct herd_aws a = { .dead = true };
	const struct herd_s3_state s = { .size = 1000, .etag = "\"e\"" };

	(void)state;
	times = 0;
	assert_int_equal(herd_s3_get(&a, &name, &s, 0, 4, keep_piece, &piece),
			 0);
	fake_run(&a);
	assert_int_equal(herd_s3_look(&a, &name, keep_looked, &looked), 0);
	fake_run(&a);
	assert_int_equal(times, 2);
	assert_int_equal(piece.err, -ECANCELED);
	assert_int_equal(looked.err, -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_look),
		cmocka_unit_test(test_look_refused),
		cmocka_unit_test(test_look_damaged),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_other_object),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cancelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
