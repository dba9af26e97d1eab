/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ext reader on images whose metadata is changed at random, from a fixed
 * seed: flipped, overwritten, spliced, cut off. Each is read or refused with a
 * reason, and soon; the sanitizers see to the rest.
 */
#include "tests/unit/ext_bytes.h"

struct range {
	uint64_t start, len;
};

struct ranges {
	struct range v[4096];
	size_t n;
};

static void add_range(struct ranges *l, uint64_t start, uint64_t len)
{
	if (l->n < ARRAY_SIZE(l->v))
		l->v[l->n++] = (struct range){ start, len };
}

static int add_ranges(void *arg, const char *name, size_t len, uint64_t ino,
		      unsigned char type)
{
	struct herd_inode i CLEANUP(herd_inode_deinit) = { 0 };
	struct ranges *l = arg;

	(void)name;
	(void)len;
	volume->ops->inode(volume, ino, &i, NULL);
	for (size_t k = 0; k < i.n_meta; k++)
		add_range(l, i.meta[k].phys, i.meta[k].len);
	if (!S_ISDIR(i.mode))
		return 0;
	for (size_t k = 0; k < i.n_runs; k++)
		add_range(l, i.runs[k].phys, i.runs[k].len);
	return type == DT_DIR && ino != 11
		? volume->ops->readdir(volume, ino, add_ranges, l, NULL) : 0;
}

static uint64_t random_state;

static uint64_t rnd(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state % below;
}

/* A few changes where metadata lies; undone by the caller. */
static void mutate(const struct ranges *l, const uint8_t *good)
{
	static const uint32_t odd[] = { 0, 1, 0xff, 0xffff, 0x7fffffff,
					0x80000000, 0xffffffff, 0xf30a };
	unsigned n = 1 + (unsigned)rnd(8);

	for (unsigned k = 0; k < n; k++) {
		const struct range *r = &l->v[rnd(l->n)];
		uint64_t at = r->start + rnd(r->len - 8);
		const struct range *from = &l->v[rnd(l->n)];

		switch (rnd(4)) {
		case 0:
			image.bytes[at] ^= (uint8_t)(1u << rnd(8));
			break;
		case 1:
			put32(at & ~3ull, odd[rnd(ARRAY_SIZE(odd))]);
			break;
		case 2:
			image.bytes[at] = (uint8_t)rnd(256);
			break;
		default:	/* splice */
			memcpy(image.bytes + at, good + from->start +
			       rnd(from->len - 8), 1 + rnd(8));
		}
	}
	if (!rnd(20))
		image.base.size = rnd(image.whole);
}

static void mutations(const char *name, unsigned rounds)
{
	static struct ranges l;
	unsigned opened = 0, told = 0;
	double worst = 0;

	load(name);
	assert_int_equal(reopen(), 0);
	l.n = 0;
	for (unsigned k = 0; k < 3; k++)
		add_range(&l, 1024, 1024);
	add_range(&l, 2048, 256);
	for (unsigned k = 0; k < 3; k++)
		add_range(&l, record_of(2), 40 * 256);
	add_ranges(&l, "", 0, 2, DT_DIR);
	uint8_t *good = malloc(image.whole);

	assert_non_null(good);
	memcpy(good, image.bytes, image.whole);
	for (unsigned k = 0; k < rounds; k++) {
		double start = seconds();
		struct walk w = { .paths = 0 };

		mutate(&l, good);
		if (!reopen()) {
			opened++;
			digest_all((uint8_t[32]){ 0 }, &w);
			told += w.problems || w.errors || volume->note[0];
		} else {
			assert_true(diag.message[0] || image.base.size < 16384);
		}
		if (seconds() - start > worst)
			worst = seconds() - start;
		memcpy(image.bytes, good, image.whole);
		image.base.size = image.whole;
	}
	print_message("%s: %u changed images, %u opened, %u of them with complaints, longest %.3f s\n",
		      name, rounds, opened, told, worst);
	assert_true(opened > rounds / 2);
	assert_true(worst < 10);
	free(good);
	unload();
}

static void test_mutations(void **state)
{
	(void)state;
	if (!ready())
		skip();
	random_state = 0x9e3779b97f4a7c15;
	make("inline", "-t ext4 -b 1024 -I 256 -O metadata_csum,inline_data");
	mutations("inline", 300);
	make("nocsum", "-t ext4 -b 1024 -O ^metadata_csum");
	mutations("nocsum", 300);
	make("old", "-t ext2 -b 1024");
	mutations("old", 300);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests(tests, fixture_setup, fixture_teardown);
}
