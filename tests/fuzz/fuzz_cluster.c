/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clusters. The first byte chooses: a clustering read back from a store, or a
 * herd made of up to six blocks, three bytes each: from which member to which,
 * and how many features.
 */
#include "index/cluster.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

#define MEMBERS 13
#define FEATURES 4096

static int count(void *arg, uint64_t feature, int sign, bool vouched)
{
	uint32_t *n = arg;

	(void)feature;
	n[sign < 0 ? 2 : 0]++;
	n[sign < 0 ? 3 : 1] += vouched;
	return 0;
}

/* Every member is in one cluster, and what is said of them adds up. */
static void check(const struct herd_clustering *c)
{
	size_t clusters = herd_clustering_n(c);

	for (uint32_t i = 0; i < clusters; i++) {
		const struct herd_cluster *k = herd_clustering_get(c, i);
		uint32_t n[4] = { 0 };
		size_t members;
		const uint32_t *ids = herd_clustering_members(c, i, &members);

		MUST(k->size && members == k->size && ids[0] == k->first);
		for (size_t m = 0; m < members; m++)
			MUST(herd_clustering_of(c, ids[m]) == i);
		MUST(k->cohesion <= 100 && k->against != i);
		if (i < 3) {
			MUST(!herd_clustering_each(c, i, count, n));
			MUST(n[0] == k->gained && n[1] == k->gained_vouched);
			MUST(n[2] == k->lost && n[3] == k->lost_vouched);
		}
	}
}

static void read_back(const uint8_t *data, size_t size)
{
	static const uint64_t features[] = { 1, 2, 3, 1000, 1u << 20 };
	struct herd_cluster_member m = { .features = features, .n = 5 };
	struct herd_clustering *c, *again;
	struct herd_buf a = HERD_BUF_INIT, b = HERD_BUF_INIT;
	enum herd_cluster_fit fit;
	uint32_t k;

	if (herd_clustering_decode(data, size, &c))
		return;
	check(c);
	MUST(!herd_clustering_assign(c, &m, &fit, &k));
	MUST((fit == HERD_FIT_MEMBER) == (k < herd_clustering_n(c)));
	MUST(!herd_clustering_encode(c, &a));
	MUST(!herd_clustering_decode(a.data, a.len, &again));
	MUST(!herd_clustering_encode(again, &b));
	MUST(a.len == b.len && !memcmp(a.data, b.data, a.len));
	herd_clustering_destroy(again);
	herd_clustering_destroy(c);
	herd_buf_deinit(&a);
	herd_buf_deinit(&b);
}

static void made_up(const uint8_t *data, size_t size)
{
	static uint64_t features[MEMBERS][FEATURES];
	static uint8_t vouched[MEMBERS][FEATURES];
	struct herd_cluster_member m[MEMBERS];
	struct herd_clustering *c;
	struct herd_buf a = HERD_BUF_INIT;
	uint64_t next = 1;

	for (uint32_t i = 0; i < MEMBERS; i++)
		m[i] = (struct herd_cluster_member){ .id = i * 3,
						     .features = features[i],
						     .vouched = vouched[i] };
	if (size > 18)
		size = 18;
	for (; size >= 3; data += 3, size -= 3) {
		size_t from = data[0] % MEMBERS, to = data[1] % (MEMBERS + 1);

		for (unsigned k = data[2]; k; k--, next++)
			for (size_t i = from; i < to; i++) {
				if (m[i].n == FEATURES)
					continue;
				features[i][m[i].n] = next;
				vouched[i][m[i].n++] = data[0] >= 128;
			}
	}
	MUST(!herd_cluster(m, MEMBERS, NULL, &c));
	check(c);
	MUST(!herd_clustering_encode(c, &a));
	read_back(a.data, a.len);
	for (uint32_t i = 0; i < MEMBERS; i++) {
		enum herd_cluster_fit fit;
		uint32_t k;

		MUST(!herd_clustering_assign(c, &m[i], &fit, &k));
	}
	herd_clustering_destroy(c);
	herd_buf_deinit(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (*data & 1)
		read_back(data, size);
	else
		made_up(data + 1, size - 1);
	return 0;
}
