/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold of normalising whatever the text: no difference is lost but
 * one own token for another of its kind and spelling; siblings' texts that
 * differ in theirs alone come to the same; the fast search finds what the
 * naive one does.
 */
#include "tests/unit/identity_fixture.h"
#include "tests/unit/identity_naive.h"

#include <stdio.h>

/* ---- properties ------------------------------------------------------------------------ */

static uint64_t seed = 0x2545f4914f6cdd1d;

static unsigned rnd(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)((seed >> 33) % n);
}

static const char *const scraps[] = {
	" ",
	"\n",
	", ",
	"=",
	"\"",
	"/",
	":",
	".",
	"-",
	"_",
	"10.0.1.",
	"2",
	"web",
	"-1",
	"root",
	"PermitRootLogin no",
	"\tALL=(ALL) ",
	"{hostname}",
	("\x01"
	 "B0\x01"),
	"\xc3\xa4",
	"0a:58:",
	"fd00:1::",
	"key ",
	"i-0123456789abcdef",
	"AAAAC3NzaC1",
	"=",
	"+",
	"x",
	"9",
	"ip-",
	"vol",
	"#",
};

/* A text of both siblings': literals, and places that each fills with its own.
   A place stands between blanks when clean. */
static void compose(struct herd_buf out[2], bool clean)
{
	out[0].len = out[1].len = 0;
	for (unsigned n = 1 + rnd(12); n > 0; n--) {
		const char *scrap = scraps[rnd(ARRAY_SIZE(scraps))];
		const struct part *p = part(rnd(PARTS));
		bool place = rnd(2);

		for (unsigned s = 0; s < 2; s++) {
			const char *text = place ? p->text[s] : scrap;

			if (clean)
				herd_buf_u8(&out[s], "\n \t;("[n % 5]);
			herd_buf_put(&out[s], text, strlen(text));
			if (clean)
				herd_buf_u8(&out[s], ' ');
		}
	}
}

static void put_some(struct herd_buf *b, const struct herd_buf *text,
		     size_t from, size_t to)
{
	if (from < to)
		herd_buf_put(b, text->data + from, to - from);
}

/* Where one of sibling 0's texts stands, wherever that is. */
static bool find_own(const struct herd_buf *text, const char *label, size_t *at,
		     size_t *end)
{
	for (unsigned n = 0, i = rnd(PARTS); n < PARTS; n++, i++) {
		const char *own = part(i % PARTS)->text[0];
		const uint8_t *p = text->len ? memmem(text->data, text->len,
						      own, strlen(own)) :
					       NULL;

		if (!p || (label && strcmp(part(i % PARTS)->label, label)))
			continue;
		*at = (size_t)(p - text->data);
		*end = *at + strlen(own);
		return true;
	}
	return false;
}

static void edit(const struct herd_buf *text, struct herd_buf *ret)
{
	size_t at = rnd((unsigned)text->len + 1), end = at, keep;
	const char *put = "";
	char byte[2] = { (char)(1 + rnd(255)), 0 };

	switch (rnd(7)) {
	case 0: /* one byte more */
		put = byte;
		break;
	case 1: /* another byte */
		put = byte;
		end += at < text->len;
		break;
	case 2: /* some less */
		end += 1 + rnd(12);
		break;
	case 3: /* a token: own or the sibling's, for whatever is there */
		put = part(rnd(PARTS))->text[rnd(2)];
		end += rnd(30);
		break;
	case 4:
		put = scraps[rnd(ARRAY_SIZE(scraps))];
		end += rnd(3);
		break;
	case 5: /* for an own token another, often of its kind */
		if (find_own(text, rnd(2) ? "v4" : NULL, &at, &end))
			put = rnd(2) ? part(rnd(PARTS))->text[rnd(2)] :
				       given[3 + rnd(2)].text[0];
		break;
	default: /* a stretch twice */
		end = at;
		keep = at > 20 ? at - 20 : 0;
		put_some(ret, text, 0, at);
		put_some(ret, text, keep, at);
		put_some(ret, text, at, text->len);
		return;
	}
	if (end > text->len)
		end = text->len;
	put_some(ret, text, 0, at);
	herd_buf_put(ret, put, strlen(put));
	put_some(ret, text, end, text->len);
}

/* The own text of sibling 0 that stands at `at` in t and may stand for what a
   place of that kind and spelling is; the longest. Knows nothing of forms. */
static const struct part *own_at(const struct herd_buf *t, size_t at,
				 const char *label)
{
	const struct part *best = NULL;

	for (size_t i = 0; i < PARTS; i++) {
		size_t len = strlen(part(i)->text[0]);

		if ((label && strcmp(part(i)->label, label)) ||
		    len > t->len - at ||
		    memcmp(t->data + at, part(i)->text[0], len))
			continue;
		if (!best || len > strlen(best->text[0]))
			best = part(i);
	}
	return best;
}

/* Are a and b the same but for own tokens that stand for each other, as
   their common normal form says? */
static bool is_exchange(const struct herd_buf *normalised,
			const struct herd_buf *a, const struct herd_buf *b)
{
	size_t i = 0, k = 0;

	for (size_t n = 0; n < normalised->len; n++) {
		if (normalised->data[n]) {
			if (i >= a->len || k >= b->len ||
			    a->data[i++] != normalised->data[n] ||
			    b->data[k++] != normalised->data[n])
				return false;
			continue;
		}
		const struct part *pa = own_at(a, i, NULL);
		const struct part *pb = pa ? own_at(b, k, pa->label) : NULL;

		if (!pb)
			return false;
		i += strlen(pa->text[0]);
		k += strlen(pb->text[0]);
		n += HERD_PLACEHOLDER_LEN - 1;
	}
	return i == a->len && k == b->len;
}

#define EDITS 100000

static void no_edit_is_lost(void **state)
{
	struct herd_identity *id = sibling(0);
	CLEANUP_BUF struct herd_buf na = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf nb = HERD_BUF_INIT;
	struct herd_buf text[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	unsigned edits = 0, exchanges = 0, missed = 0, replaced = 0;

	(void)state;
	while (edits < EDITS) {
		CLEANUP_BUF struct herd_buf other = HERD_BUF_INIT;

		compose(text, rnd(2));
		for (unsigned n = 1 + rnd(3); n > 0; n--) {
			CLEANUP_BUF struct herd_buf before = other;

			other = (struct herd_buf)HERD_BUF_INIT;
			edit(before.len ? &before : &text[0], &other);
		}
		if (same(&text[0], &other))
			continue;
		normal(id, text[0].data, text[0].len, &na);
		normal(id, other.data, other.len, &nb);
		replaced += na.len && memchr(na.data, 0, na.len) != NULL;
		if (!same(&na, &nb)) {
			edits++;
		} else if (is_exchange(&na, &text[0], &other)) {
			exchanges++;
		} else {
			edits++;
			missed++;
		}
	}
	print_message("%u edits, %u in texts with tokens, %u missed; "
		      "%u exchanges besides\n",
		      edits, replaced, missed, exchanges);
	assert_int_equal(missed, 0);
	/* or this has shown little */
	assert_true(replaced > EDITS / 3);
	assert_true(exchanges > 50);
	herd_buf_deinit(&text[0]);
	herd_buf_deinit(&text[1]);
	herd_identity_destroy(id);
}

static void siblings_come_to_the_same(void **state)
{
	struct herd_identity *id[2] = { sibling(0), sibling(1) };
	struct herd_buf text[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	struct herd_buf out[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	unsigned different = 0;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		compose(text, true);
		different += !same(&text[0], &text[1]);
		for (unsigned s = 0; s < 2; s++)
			normal(id[s], text[s].data, text[s].len, &out[s]);
		if (!same(&out[0], &out[1]))
			fail_msg("%.*s", (int)text[0].len,
				 (char *)text[0].data);
	}
	assert_true(different > 10000);
	for (unsigned s = 0; s < 2; s++) {
		herd_buf_deinit(&text[s]);
		herd_buf_deinit(&out[s]);
		herd_identity_destroy(id[s]);
	}
}

static void finds_what_the_naive_way_finds(void **state)
{
	struct herd_identity *id = sibling(0);
	struct herd_buf text[2] = { HERD_BUF_INIT, HERD_BUF_INIT };
	CLEANUP_BUF struct herd_buf fast = HERD_BUF_INIT;
	CLEANUP_BUF struct herd_buf slow = HERD_BUF_INIT;

	(void)state;
	for (unsigned n = 0; n < 20000; n++) {
		compose(text, false);
		fast.len = slow.len = 0;
		bool found = herd_identity_normalise(id, text[0].data,
						     text[0].len, &fast);

		assert_int_equal(found, naive_normalise(id, text[0].data,
							text[0].len, &slow));
		assert_true(same(&fast, &slow));
	}
	herd_buf_deinit(&text[0]);
	herd_buf_deinit(&text[1]);
	herd_identity_destroy(id);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_edit_is_lost),
		cmocka_unit_test(siblings_come_to_the_same),
		cmocka_unit_test(finds_what_the_naive_way_finds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
