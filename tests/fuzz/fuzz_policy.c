/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy that nobody reviewed, asked about paths out of its own bytes. What
 * is parsed is whole, and what is hidden is what the rule may hide.
 */
#include "index/glob.h"
#include "index/policy.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void ask(const struct herd_policy *p, const char *path, size_t len)
{
	static const uint32_t modes[] = { S_IFREG | 0644, S_IFREG | 04755,
					  S_IFDIR | 0755, 0 };

	for (size_t i = 0; i < 4; i++) {
		struct herd_policy_question q = {
			.path = path,
			.path_len = len,
			.group = "web",
			.instance = "i-1",
			.mode = modes[i],
			.reasons = 1u << i,
		};
		const struct herd_policy_rule *r = herd_policy_match(p, &q);

		MUST(!r || (!(herd_policy_needs(&q) & ~r->allow) &&
			    !herd_policy_expired(r, 0)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct herd_policy p = { 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	size_t n = size < 300 ? size : 300;

	herd_glob_path(text, n, text + n / 2, n - n / 2);
	if (herd_policy_parse("fuzz", text, size, &p, &diag)) {
		MUST(!p.n && (diag.message[0] || !size));
		return 0;
	}
	for (size_t i = 0; i < p.n; i++) {
		const struct herd_policy_rule *r = &p.v[i];

		MUST(!herd_glob_check(r->pattern, strlen(r->pattern)));
		MUST(r->reason && *r->reason && r->owner && *r->owner);
		MUST(r->line && r->until[0] && r->expires > 0);
		ask(&p, r->pattern, strlen(r->pattern));
		if (i == 20)
			break;
	}
	ask(&p, text, n);
	herd_policy_deinit(&p);
	return 0;
}
