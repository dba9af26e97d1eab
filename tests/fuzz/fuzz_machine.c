/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine read back from a store: what is taken can be written again, and
 * that is read as the same; it can be boiled down and judged, by a herd that
 * it is in and by one that it is not.
 */
#include "acquire/base/buf.h"
#include "index/memory/machine_judge.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void judge(const struct herd_machine *m)
{
	struct herd_machine_finding *v;
	struct herd_traits *t;
	struct herd_flock *f;
	size_t n;

	MUST(!herd_traits_make(m, &t));
	MUST(!herd_flock_create(&f));
	for (uint32_t i = 0; i < 4; i++) {
		MUST(!herd_machine_judge(f, i, m, NULL, NULL, &v, &n));
		for (size_t k = 0; k < n; k++) {
			MUST(v[k].rank <= 100 && v[k].severity <= 100);
			MUST(v[k].marks && v[k].key && v[k].why[0]);
			MUST(v[k].count <= v[k].members);
		}
		herd_machine_findings_free(v, n);
		MUST(!herd_flock_add(f, i, t));
	}
	/* whoever is like all others lacks nothing and has nothing new */
	MUST(!herd_machine_judge(f, 0, m, NULL, NULL, &v, &n));
	for (size_t k = 0; k < n; k++)
		MUST(!(v[k].marks &
		       (HERD_MARK_MISSING | HERD_MARK_NEW_PROCESS)));
	herd_machine_findings_free(v, n);
	herd_flock_destroy(f);
	herd_traits_destroy(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_machine *m, *again;
	struct herd_buf a = HERD_BUF_INIT, b = HERD_BUF_INIT;

	if (herd_machine_decode(data, size, &m))
		return 0;
	MUST(!herd_machine_encode(m, &a));
	MUST(!herd_machine_decode(a.data, a.len, &again));
	MUST(!herd_machine_encode(again, &b));
	MUST(a.len == b.len && !memcmp(a.data, b.data, a.len));
	judge(m);
	herd_machine_destroy(again);
	herd_machine_destroy(m);
	herd_buf_deinit(&a);
	herd_buf_deinit(&b);
	return 0;
}
