/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of blocks over many pages, and blocks with their checksums, from a
 * service that is scripted: short and empty pages, tokens that expire, pages
 * that lie, contents that are damaged.
 */
#include "acquire/aws/ebs.h"
#include "acquire/aws/ebs_page.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "aws_fake.h"

#define SNAP "snap-0123456789abcdef0"
#define FIRST "snap-00000000000000001"
#define LONG_ID                                                          \
	("snap-00000000000000000000000000000000000000000000000000000000" \
	 "00000000000000")
#define LIST "GET /snapshots/" SNAP "/blocks?maxResults=10000"
#define SIZES "\"VolumeSize\":1,\"BlockSize\":524288"
#define B(i) "{\"BlockIndex\":" #i ",\"BlockToken\":\"AAA" #i "+/=\"}"
#define PAGE(expect_, body_)                                    \
	{                                                       \
		.expect = expect_, .status = 200, .body = body_ \
	}

static struct herd_ebs_listed got;
static unsigned times;

static void keep_list(void *arg, struct herd_ebs_listed *l)
{
	assert_ptr_equal(arg, &got);
	times++;
	got = *l;
	l->list = (struct herd_block_list){ 0 };
}

static void run_list(const struct fake_step *steps, size_t n)
{
	struct herd_aws a = { .steps = steps, .n = n };

	times = 0;
	memset(&got, 0, sizeof(got));
	assert_int_equal(herd_ebs_list(&a, SNAP, keep_list, &got), 0);
	fake_run(&a);
	assert_int_equal(times, 1);
}

static void test_pages(void **state)
{
	static const struct fake_step steps[] = {
		PAGE(LIST,
		     "{" SIZES ",\"ExpiryTime\":1700000002.5,\"Blocks\":[" B(
			     0) "," B(3) "],\"NextToken\":\"p1+/=\"}"),
		PAGE(LIST "&pageToken=p1+/=",
		     "{" SIZES ",\"ExpiryTime\":1700000001,\"Blocks\":[],"
		     "\"NextToken\":\"p2\"}"),
		PAGE(LIST "&pageToken=p2", "{" SIZES ",\"NextToken\":\"p3\"}"),
		PAGE(LIST "&pageToken=p3",
		     "{" SIZES ",\"ExpiryTime\":1700000003,\"Blocks\":[" B(
			     2047) "],\"NextToken\":null}"),
	};

	(void)state;
	run_list(steps, ARRAY_SIZE(steps));
	assert_int_equal(got.err, 0);
	assert_int_equal(got.pages, 4);
	assert_int_equal(got.restarts, 0);
	assert_int_equal(got.list.n, 3);
	assert_int_equal(got.list.block_size, 524288);
	assert_int_equal(got.list.volume_size, 1 << 30);
	assert_int_equal(got.list.tokens_expire, 1700000001);
	assert_int_equal(got.list.indexes[0], 0);
	assert_int_equal(got.list.indexes[1], 3);
	assert_int_equal(got.list.indexes[2], 2047);
	assert_string_equal(got.list.tokens[1], "AAA3+/=");
	assert_string_equal(got.list.tokens[2], "AAA2047+/=");
	herd_block_list_deinit(&got.list);
}

/* A snapshot nothing was written to. */
static void test_empty(void **state)
{
	static const struct fake_step steps[] = {
		PAGE(LIST, "{" SIZES ",\"Blocks\":[]}"),
	};

	(void)state;
	run_list(steps, ARRAY_SIZE(steps));
	assert_int_equal(got.err, 0);
	assert_int_equal(got.list.n, 0);
	assert_int_equal(got.list.volume_size, 1 << 30);
	herd_block_list_deinit(&got.list);
}

#define EXPIRED(expect_)                                                       \
	{                                                                      \
		.expect = expect_, .err = -EINVAL, .status = 400,              \
		.type = "ValidationException", .reason = "INVALID_PAGE_TOKEN", \
		.message = "The page token is expired."                        \
	}

static void test_page_token_expires(void **state)
{
	static const struct fake_step steps[] = {
		PAGE(LIST, "{" SIZES ",\"NextToken\":\"p1\"}"),
		EXPIRED(LIST "&pageToken=p1"),
		PAGE(LIST,
		     "{" SIZES ",\"Blocks\":[" B(7) "],\"NextToken\":\"p2\"}"),
		EXPIRED(LIST "&pageToken=p2"),
		PAGE(LIST "&startingBlockIndex=8",
		     "{" SIZES ",\"Blocks\":[" B(8) "],\"NextToken\":\"p3\"}"),
		PAGE(LIST "&pageToken=p3", "{" SIZES ",\"Blocks\":[" B(9) "]}"),
	};
	/* nothing can be behind the last block: no further call */
	static const struct fake_step at_end[] = {
		PAGE(LIST, "{" SIZES
			   ",\"Blocks\":[" B(2047) "],\"NextToken\":\"p1\"}"),
		EXPIRED(LIST "&pageToken=p1"),
	};

	(void)state;
	run_list(steps, ARRAY_SIZE(steps));
	assert_int_equal(got.err, 0);
	assert_int_equal(got.restarts, 2);
	assert_int_equal(got.list.n, 3);
	assert_int_equal(got.list.indexes[2], 9);
	herd_block_list_deinit(&got.list);

	run_list(at_end, ARRAY_SIZE(at_end));
	assert_int_equal(got.err, 0);
	assert_int_equal(got.list.n, 1);
	herd_block_list_deinit(&got.list);
}

/* Tokens that are always refused, and pages without an end, come to one. */
static void test_no_progress(void **state)
{
	static const struct fake_step expired[] = {
		PAGE(LIST, "{" SIZES ",\"NextToken\":\"p\"}"),
		EXPIRED(LIST "&pageToken=p"),
		PAGE(LIST, "{" SIZES ",\"NextToken\":\"p\"}"),
		EXPIRED(LIST "&pageToken=p"),
		PAGE(LIST, "{" SIZES ",\"NextToken\":\"p\"}"),
		EXPIRED(LIST "&pageToken=p"),
		PAGE(LIST, "{" SIZES ",\"NextToken\":\"p\"}"),
		EXPIRED(LIST "&pageToken=p"),
	};
	static const struct fake_step page =
		PAGE(NULL, "{" SIZES ",\"Blocks\":[],\"NextToken\":\"p\"}");
	struct fake_step *endless CLEANUP_FREE = NULL;

	(void)state;
	run_list(expired, ARRAY_SIZE(expired));
	assert_int_equal(got.err, -EIO);
	assert_int_equal(got.list.n, 0);

	endless = calloc(1001, sizeof(*endless));
	assert_non_null(endless);
	for (size_t i = 0; i < 1001; i++)
		endless[i] = page;
	run_list(endless, 1001);
	assert_int_equal(got.err, -EIO);
	assert_int_equal(got.pages, 1001);
}

/* What a page may not say. Each is asked for again, then given up. */
static void test_bad_pages(void **state)
{
	static const char *const bodies[] = {
		"",
		"[]",
		"{" SIZES ",\"Blocks\":[" B(1) "," B(1) "]}",
		"{" SIZES ",\"Blocks\":[" B(2) "," B(1) "]}",
		"{" SIZES ",\"Blocks\":{}}",
		"{" SIZES ",\"Blocks\":[1]}",
		"{" SIZES ",\"Blocks\":[{\"BlockToken\":\"A\"}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":1}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":1,\"BlockToken\":"
		"\"a b\"}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":1,\"BlockToken\":"
		"\"\"}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":1,\"BlockToken\":"
		"\"A\\u0000\"}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":-1,\"BlockToken\":"
		"\"A\"}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":4294967296,"
		"\"BlockToken\":\"A\"}]}",
		"{" SIZES ",\"Blocks\":[{\"BlockIndex\":1.0,\"BlockToken\":"
		"\"A\"}]}",
		"{" SIZES ",\"NextToken\":\"a&b\"}",
		"{" SIZES ",\"NextToken\":7}",
		"{" SIZES ",\"ExpiryTime\":\"tomorrow\"}",
		"{" SIZES ",\"ExpiryTime\":-1}",
		"{\"VolumeSize\":0,\"BlockSize\":524288}",
		"{\"VolumeSize\":9223372036854775807,\"BlockSize\":524288}",
		"{\"VolumeSize\":1,\"BlockSize\":0}",
		"{\"VolumeSize\":1,\"BlockSize\":524287}",
		"{\"VolumeSize\":1,\"BlockSize\":2097152}",
		"{\"VolumeSize\":1,\"VolumeSize\":2,\"BlockSize\":524288}",
		"{" SIZES ",\"Blocks\":[" B(1) "]",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		struct fake_step steps[FAKE_ATTEMPTS];

		for (size_t k = 0; k < FAKE_ATTEMPTS; k++)
			steps[k] = (struct fake_step)PAGE(LIST, bodies[i]);
		run_list(steps, FAKE_ATTEMPTS);
		if (got.err != -EBADMSG)
			fail_msg("%d for %s", got.err, bodies[i]);
		assert_true(got.diag.message[0]);
		assert_int_equal(got.list.n, 0);
	}
}

/* A page that was damaged on its way is had the next time. */
static void test_page_again(void **state)
{
	static const struct fake_step steps[] = {
		PAGE(LIST, "{" SIZES ",\"Blocks\":[" B(1)),
		PAGE(LIST, "{" SIZES ",\"Blocks\":[" B(2) "," B(1) "]}"),
		PAGE(LIST, "{" SIZES ",\"Blocks\":[" B(1) "," B(2) "]}"),
	};

	(void)state;
	run_list(steps, ARRAY_SIZE(steps));
	assert_int_equal(got.err, 0);
	assert_int_equal(got.list.n, 2);
	herd_block_list_deinit(&got.list);
}

/* Right each for itself, and not one after the other. */
static void test_pages_disagree(void **state)
{
	static const struct {
		const char *first, *second;
	} cases[] = {
		{ "{" SIZES ",\"Blocks\":[" B(5) "],\"NextToken\":\"p\"}",
		  "{" SIZES ",\"Blocks\":[" B(5) "]}" },
		{ "{" SIZES ",\"Blocks\":[" B(5) "],\"NextToken\":\"p\"}",
		  "{" SIZES ",\"Blocks\":[" B(4) "]}" },
		{ "{" SIZES ",\"Blocks\":[" B(5) "],\"NextToken\":\"p\"}",
		  "{\"VolumeSize\":2,\"BlockSize\":524288}" },
		{ "{" SIZES ",\"Blocks\":[" B(5) "],\"NextToken\":\"p\"}",
		  "{\"VolumeSize\":1,\"BlockSize\":262144}" },
		{ "{" SIZES ",\"Blocks\":[" B(5) "],\"NextToken\":\"p\"}",
		  "{" SIZES ",\"Blocks\":[" B(2048) "]}" },
		{ "{\"NextToken\":\"p\"}", "{\"Blocks\":[" B(1) "]}" },
		{ "{\"NextToken\":\"p\"}", "{\"Blocks\":[]}" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fake_step steps[] = {
			PAGE(LIST, cases[i].first),
			PAGE(LIST "&pageToken=p", cases[i].second),
		};

		run_list(steps, 2);
		if (got.err != -EBADMSG)
			fail_msg("case %zu: %d", i, got.err);
	}
}

static void test_changed(void **state)
{
	static const struct fake_step steps[] = {
		PAGE("GET /snapshots/" SNAP
		     "/changedblocks?maxResults=10000&firstSnapshotId=" FIRST,
		     "{" SIZES ",\"ExpiryTime\":1700000000,\"ChangedBlocks\":["
		     "{\"BlockIndex\":1,\"FirstBlockToken\":\"F\","
		     "\"SecondBlockToken\":\"S\"},"
		     "{\"BlockIndex\":2,\"SecondBlockToken\":\"T\"},"
		     "{\"BlockIndex\":3,\"FirstBlockToken\":\"G\"}]}"),
	};
	static const struct fake_step unrelated[] = {
		{ .err = -EINVAL,
		  .status = 400,
		  .type = "ValidationException",
		  .reason = "UNRELATED_SNAPSHOTS" },
	};
	struct herd_aws a = { .steps = steps, .n = 1 };

	(void)state;
	times = 0;
	assert_int_equal(
		herd_ebs_list_changed(&a, FIRST, SNAP, keep_list, &got), 0);
	fake_run(&a);
	assert_int_equal(times, 1);
	assert_int_equal(got.err, 0);
	assert_int_equal(got.list.n, 3);
	assert_string_equal(got.list.tokens[0], "S");
	assert_string_equal(got.list.tokens[1], "T");
	assert_null(got.list.tokens[2]);
	herd_block_list_deinit(&got.list);

	a = (struct herd_aws){ .steps = unrelated, .n = 1 };
	assert_int_equal(
		herd_ebs_list_changed(&a, FIRST, SNAP, keep_list, &got), 0);
	fake_run(&a);
	assert_int_equal(got.err, -EOPNOTSUPP);
}

static void test_arguments(void **state)
{
	static const char *const snapshots[] = {
		"",	    "snap-",	"snap-../x", "snap-0?a=b",
		"vol-0123", "snap-XYZ", LONG_ID,
	};
	struct herd_aws a = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(snapshots); i++) {
		assert_int_equal(herd_ebs_list(&a, snapshots[i], keep_list,
					       &got),
				 -EINVAL);
		assert_int_equal(herd_ebs_list_changed(&a, snapshots[i], SNAP,
						       keep_list, &got),
				 -EINVAL);
		assert_int_equal(herd_ebs_get_block(&a, snapshots[i], 0, "A",
						    65536, NULL, NULL),
				 -EINVAL);
	}
	assert_int_equal(herd_ebs_get_block(&a, SNAP, 0, NULL, 65536, NULL,
					    NULL),
			 -EINVAL);
	assert_int_equal(herd_ebs_get_block(&a, SNAP, 0, "a b", 65536, NULL,
					    NULL),
			 -EINVAL);
	assert_int_equal(a.calls, 0);
}

static void test_errors(void **state)
{
	static const struct {
		int err;
		const char *type, *reason, *message;
		int expected;
		const char *in_message;
	} cases[] = {
		{ -EINVAL, "ValidationException", "INVALID_BLOCK_TOKEN", "x",
		  -EKEYEXPIRED, "expired" },
		{ -EINVAL, "ValidationException", "UNRELATED_SNAPSHOTS", "x",
		  -EOPNOTSUPP, "lineage" },
		{ -EACCES, "AccessDeniedException", "UNAUTHORIZED_ACCOUNT", "x",
		  -EACCES,
		  "a public AMI's snapshot cannot be read over "
		  "EBS direct" },
		{ -EACCES, "AccessDeniedException", "DEPENDENCY_ACCESS_DENIED",
		  "x", -EACCES, "kms:Decrypt" },
		{ -EINVAL, "ValidationException", "INVALID_SNAPSHOT_ID",
		  "The snapshot is in the pending state", -EAGAIN,
		  "not completed" },
		{ -EINVAL, "ValidationException", "INVALID_SNAPSHOT_ID",
		  "The snapshot is archived", -EACCES, "archived" },
		{ -EINVAL, "ValidationException", "INVALID_SNAPSHOT_ID",
		  "Public snapshots are not supported", -EACCES,
		  "a public AMI's snapshot cannot be read over EBS direct" },
		{ -ENOENT, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND",
		  "gone", -ENOENT, "no such snapshot" },
		{ -EAGAIN, "RequestThrottledException", "ACCOUNT_THROTTLED",
		  "slow", -EAGAIN, "ACCOUNT_THROTTLED" },
		{ -EIO, "InternalServerException", "", "oops", -EIO, "oops" },
		{ -ETIMEDOUT, "", "", "no answer in 20 s", -ETIMEDOUT,
		  "no answer" },
		{ -EINVAL, "ValidationException", "INVALID_PARAMETER_VALUE",
		  "bad", -EINVAL, "INVALID_PARAMETER_VALUE" },
		{ 0, "", "", "", -EIO, "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct herd_aws_result r = { .err = cases[i].err,
					     .attempts = 1 };
		struct herd_diag diag = { 0 };

		strcpy(r.type, cases[i].type);
		strcpy(r.reason, cases[i].reason);
		strcpy(r.message, cases[i].message);
		assert_int_equal(herd_ebs_error(&r, SNAP, &diag),
				 cases[i].expected);
		if (!strstr(diag.message, cases[i].in_message))
			fail_msg("case %zu: %s", i, diag.message);
		assert_string_equal(diag.source, SNAP);
	}
}

static void test_canceled(void **state)
{
	struct herd_aws a = { .dead = true };

	(void)state;
	times = 0;
	assert_int_equal(herd_ebs_list(&a, SNAP, keep_list, &got), 0);
	fake_run(&a);
	assert_int_equal(times, 1);
	assert_int_equal(got.err, -ECANCELED);
	assert_int_equal(a.calls, 1);
}

/* ---- blocks ---- */

#define BLOCK_LEN 65536
static char block[BLOCK_LEN + 1];
/* SHA-256 of 64 KiB of 'x', by another program. */
#define SUM "H4dF8NLROH7BryIRo89Bey6eiF6FNHJknB2XnQ6TcOM="
/* … of one byte less, and the first with a bit set that means nothing. */
#define SHORT_SUM "Cat0ldPmGnbw3rEssDBvBpbLsX/8EhMTaMepOfEvVtM="
#define ODD_SUM "H4dF8NLROH7BryIRo89Bey6eiF6FNHJknB2XnQ6TcON="
#define SUM_HEX \
	"1f8745f0d2d1387ec1af2211a3cf417b2e9e885e853472649c1d979d0e9370e3"
#define HEADERS(len_, sum_)                                                \
	"content-type: application/octet-stream\nx-amz-data-length: " len_ \
	"\nX-Amz-Checksum: " sum_ "\nx-amz-Checksum-Algorithm: SHA256\n"
#define GOOD HEADERS("65536", SUM)
#define GET "GET /snapshots/" SNAP "/blocks/9?blockToken=T+/="
#define ANSWER(headers_, len_)                                     \
	{                                                          \
		.expect = GET, .status = 200, .headers = headers_, \
		.body = block, .body_len = len_                    \
	}

static struct herd_ebs_block got_block;

static void keep_block(void *arg, struct herd_ebs_block *b)
{
	assert_ptr_equal(arg, &got_block);
	times++;
	got_block = *b;
	b->bytes = (struct herd_buf)HERD_BUF_INIT;
}

static void run_block(const struct fake_step *steps, size_t n)
{
	struct herd_aws a = { .steps = steps, .n = n };

	times = 0;
	memset(block, 'x', BLOCK_LEN);
	memset(&got_block, 0, sizeof(got_block));
	assert_int_equal(herd_ebs_get_block(&a, SNAP, 9, "T+/=", BLOCK_LEN,
					    keep_block, &got_block),
			 0);
	fake_run(&a);
	assert_int_equal(times, 1);
}

static void test_block(void **state)
{
	static const struct fake_step steps[] = { ANSWER(GOOD, BLOCK_LEN) };
	char hex[2 * HERD_SHA256_LEN + 1];

	(void)state;
	run_block(steps, 1);
	assert_int_equal(got_block.err, 0);
	assert_int_equal(got_block.bytes.len, BLOCK_LEN);
	assert_memory_equal(got_block.bytes.data, block, BLOCK_LEN);
	assert_string_equal(herd_hex(got_block.sha256, HERD_SHA256_LEN, hex),
			    SUM_HEX);
	herd_buf_deinit(&got_block.bytes);
}

/* No damage of any kind passes; each is asked for again and then named. */
static void test_damaged_blocks(void **state)
{
	static char other[BLOCK_LEN + 1];
	static const struct fake_step bad[] = {
		{ .status = 200,
		  .headers = GOOD,
		  .body = other,
		  .body_len = BLOCK_LEN },
		ANSWER(GOOD, BLOCK_LEN - 1),
		ANSWER(HEADERS("65535", SUM), BLOCK_LEN - 1),
		ANSWER(HEADERS("65535", SHORT_SUM), BLOCK_LEN - 1),
		ANSWER(HEADERS("65536", ODD_SUM), BLOCK_LEN),
		ANSWER(HEADERS("65535", SUM), BLOCK_LEN),
		ANSWER(HEADERS("", SUM), BLOCK_LEN),
		ANSWER(HEADERS("65536", ""), BLOCK_LEN),
		ANSWER(HEADERS("65536", SUM "="), BLOCK_LEN),
		ANSWER(HEADERS("65536", "!" SUM), BLOCK_LEN),
		ANSWER(HEADERS("65536",
			       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
		       BLOCK_LEN),
		ANSWER("x-amz-Data-Length: 65536\nx-amz-Checksum: " SUM "\n",
		       BLOCK_LEN),
		ANSWER("x-amz-Data-Length: 65536\nx-amz-Checksum: " SUM
		       "\nx-amz-Checksum-Algorithm: CRC32\n",
		       BLOCK_LEN),
		ANSWER("", BLOCK_LEN),
	};

	(void)state;
	memset(other, 'x', BLOCK_LEN);
	other[BLOCK_LEN / 2] = 'y';
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct fake_step never[FAKE_ATTEMPTS] = { bad[i], bad[i],
								bad[i] };
		const struct fake_step then[] = { bad[i], bad[i],
						  ANSWER(GOOD, BLOCK_LEN) };

		run_block(never, FAKE_ATTEMPTS);
		if (got_block.err != -EBADMSG)
			fail_msg("case %zu: %d", i, got_block.err);
		assert_null(got_block.bytes.data);
		assert_non_null(strstr(got_block.diag.message, "block 9"));
		run_block(then, ARRAY_SIZE(then));
		assert_int_equal(got_block.err, 0);
		assert_int_equal(got_block.attempts, 3);
		assert_memory_equal(got_block.bytes.data, block, BLOCK_LEN);
		herd_buf_deinit(&got_block.bytes);
	}
}

static void test_block_errors(void **state)
{
	static const struct fake_step expired[] = {
		{ .err = -EINVAL,
		  .status = 400,
		  .type = "ValidationException",
		  .reason = "INVALID_BLOCK_TOKEN" },
	};
	static const struct fake_step reset[] = {
		{ .err = -ECONNRESET, .message = "the connection was reset" },
	};
	/* neither an error nor a content that was checked */
	static const struct fake_step cut[] = {
		ANSWER(GOOD, BLOCK_LEN - 5),
		{ .expect = GET, .err = -ETIMEDOUT, .message = "stalled" },
	};

	(void)state;
	run_block(expired, 1);
	assert_int_equal(got_block.err, -EKEYEXPIRED);
	run_block(reset, 1);
	assert_int_equal(got_block.err, -ECONNRESET);
	run_block(cut, 2);
	assert_int_equal(got_block.err, -ETIMEDOUT);
	assert_null(got_block.bytes.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_page_token_expires),
		cmocka_unit_test(test_no_progress),
		cmocka_unit_test(test_bad_pages),
		cmocka_unit_test(test_page_again),
		cmocka_unit_test(test_pages_disagree),
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_canceled),
		cmocka_unit_test(test_block),
		cmocka_unit_test(test_damaged_blocks),
		cmocka_unit_test(test_block_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
