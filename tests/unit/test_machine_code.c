/* SPDX-License-Identifier: Apache-2.0 */
/* A machine as bytes and back: nothing is lost, nothing false is taken. */
#include "acquire/base/buf.h"
#include "machine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

static struct herd_machine *back(const struct herd_buf *b)
{
	struct herd_machine *m = NULL;

	assert_int_equal(herd_machine_decode(b->data, b->len, &m), 0);
	return m;
}

static void nothing_is_lost(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3000; seed++) {
		struct herd_machine *m = any_machine(seed), *again;
		struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
		struct herd_buf twice CLEANUP_BUF = HERD_BUF_INIT;

		assert_int_equal(herd_machine_encode(m, &b), 0);
		again = back(&b);
		if (!same_machine(*m, *again))
			fail_msg("seed %llu", (unsigned long long)seed);
		assert_int_equal(herd_machine_encode(again, &twice), 0);
		assert_int_equal(b.len, twice.len);
		assert_memory_equal(b.data, twice.data, b.len);
		herd_machine_destroy(m);
		herd_machine_destroy(again);
	}
}

/* The comparison above sees a change of each part. */
static void comparing_can_fail(void **state)
{
	struct herd_machine *a, *b;
	uint64_t seed = 0;

	(void)state;
	do { /* one that has something of all */
		a = any_machine(++seed);
		if (a->n_processes && a->processes[0].n_vmas &&
		    a->processes[0].n_fds && a->processes[0].n_threads &&
		    a->n_modules && a->n_hooks && a->n_sockets &&
		    a->n_page_digests && a->n_page_changes && a->n_problems)
			break;
		herd_machine_destroy(a);
	} while (seed < 100000);
	b = any_machine(seed);
	assert_true(same_machine(*a, *b));
#define SPOIL(what)                                 \
	do {                                        \
		(what)++;                           \
		assert_false(same_machine(*a, *b)); \
		(what)--;                           \
	} while (0)
	SPOIL(b->files[0].ctime.nsec);
	SPOIL(b->processes[0].ns[HERD_NS_TIME]);
	SPOIL(b->processes[0].vmas[0].offset);
	SPOIL(b->processes[0].fds[0].pos);
	SPOIL(b->processes[0].fds[0].target[0]);
	SPOIL(b->processes[0].threads[0].seen);
	SPOIL(b->modules[0].text[31]);
	SPOIL(b->hooks[0].target);
	SPOIL(b->sockets[0].peer_ino);
	SPOIL(b->page_digests[0].digest[15]);
	SPOIL(b->page_changes[0].bytes);
	SPOIL(b->problems[0].count);
	SPOIL(b->facts.vmemmap);
	SPOIL(b->unread);
	b->processes[0].threads_unread = !b->processes[0].threads_unread;
	assert_false(same_machine(*a, *b));
	b->processes[0].threads_unread = !b->processes[0].threads_unread;
#undef SPOIL
	herd_machine_destroy(a);
	herd_machine_destroy(b);
}

static void an_empty_machine(void **state)
{
	struct herd_machine m = { .facts.symbols_from = "" }, *again;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	assert_int_equal(herd_machine_encode(&m, &b), 0);
	again = back(&b);
	assert_true(same_machine(m, *again));
	herd_machine_destroy(again);
}

/* Cut anywhere, or with a byte too much, it is refused. */
static void cut_bytes_are_refused(void **state)
{
	struct herd_machine *m = any_machine(7), *no = NULL;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	assert_int_equal(herd_machine_encode(m, &b), 0);
	for (size_t len = 0; len < b.len; len++) {
		uint8_t *exact = zeros(len, 1);

		memcpy(exact, b.data, len);
		assert_int_equal(herd_machine_decode(exact, len, &no),
				 -EBADMSG);
		free(exact);
	}
	herd_buf_u8(&b, 0);
	assert_int_equal(herd_machine_decode(b.data, b.len, &no), -EBADMSG);
	assert_null(no);
	herd_machine_destroy(m);
}

/* What is taken after a byte was changed is a machine all the same. */
static void changed_bytes_do_no_harm(void **state)
{
	struct dice d = { .state = 99 };
	unsigned taken = 0;

	(void)state;
	for (uint64_t seed = 0; seed < 4000; seed++) {
		struct herd_machine *m = any_machine(seed % 40), *got = NULL;
		struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;
		struct herd_buf again CLEANUP_BUF = HERD_BUF_INIT;

		assert_int_equal(herd_machine_encode(m, &b), 0);
		b.data[below(&d, b.len)] ^= (uint8_t)(1 + below(&d, 255));
		if (!herd_machine_decode(b.data, b.len, &got)) {
			taken++;
			assert_int_equal(herd_machine_encode(got, &again), 0);
		}
		herd_machine_destroy(got);
		herd_machine_destroy(m);
	}
	assert_true(taken > 100);
}

/* What contradicts machine.h is written by nobody and read by nobody. */
static void wrong_machines_are_not_written(void **state)
{
	struct herd_vma vmas[2] = { { .start = 8192,
				      .end = 12288,
				      .file = HERD_NO_INDEX,
				      .name = (char *)"" },
				    { .start = 4096,
				      .end = 8192,
				      .file = HERD_NO_INDEX,
				      .name = (char *)"" } };
	struct herd_process p = { .exe = HERD_NO_INDEX,
				  .vmas = vmas,
				  .n_vmas = 2 };
	struct herd_machine m = { .processes = &p, .n_processes = 1 };
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	assert_int_equal(herd_machine_encode(&m, &b), -EINVAL);
	b.len = 0;
	p.n_vmas = 1;
	assert_int_equal(herd_machine_encode(&m, &b), 0);
	vmas[0].file = 0; /* there is none */
	assert_int_equal(herd_machine_encode(&m, &b), -EINVAL);
	vmas[0].file = HERD_NO_INDEX;
	p.exe = 3;
	assert_int_equal(herd_machine_encode(&m, &b), -EINVAL);
	p.exe = HERD_NO_INDEX;
	p.n_vmas = HERD_VMAS_MAX + 1;
	assert_int_equal(herd_machine_encode(&m, &b), -EOVERFLOW);
}

/* Bytes that refer to one long string over and over. */
static void strings_have_a_limit(void **state)
{
	enum { N = 5000, LEN = 120000 };
	char *big = zeros(LEN + 1, 1);
	struct herd_machine_problem *v = zeros(N, sizeof(*v));
	struct herd_machine m = { .problems = v, .n_problems = N }, *no = NULL;
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	memset(big, 'x', LEN);
	for (size_t i = 0; i < N; i++)
		v[i] = (struct herd_machine_problem){ big, big, 1 };
	assert_int_equal(herd_machine_encode(&m, &b), 0);
	assert_true(b.len < 200000);
	assert_int_equal(herd_machine_decode(b.data, b.len, &no), -EOVERFLOW);
	assert_null(no);
	free(v);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_is_lost),
		cmocka_unit_test(comparing_can_fail),
		cmocka_unit_test(an_empty_machine),
		cmocka_unit_test(cut_bytes_are_refused),
		cmocka_unit_test(changed_bytes_do_no_harm),
		cmocka_unit_test(wrong_machines_are_not_written),
		cmocka_unit_test(strings_have_a_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
