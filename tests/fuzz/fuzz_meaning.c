/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules that nobody wrote, and two texts at a path that nobody has: what is
 * said is one line of safe text, a text never differs from itself in lines,
 * and a rules file that is refused leaves nothing behind.
 *
 * The input: parts that a line of "%%" ends. Rules, path, own text, herd text.
 */
#include "acquire/base/cleanup.h"
#include "index/json.h"
#include "index/meaning.h"
#include "index/redact.h"
#include "index/verdict.h"

#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

struct part {
	const char *p;
	size_t len;
};

static struct part next(struct part *rest)
{
	const char *end = memmem(rest->p, rest->len, "\n%%\n", 4);
	struct part head = { rest->p,
			     end ? (size_t)(end - rest->p) + 1 : rest->len };
	size_t gone = end ? head.len + 3 : head.len;

	rest->p += gone;
	rest->len -= gone;
	return head;
}

static void check_line(const char *s, size_t size)
{
	size_t len = strnlen(s, size);

	MUST(len < size);
	while (len) {
		uint32_t c;
		size_t n = herd_utf8((const uint8_t *)s, len, &c);

		MUST(n && c >= 0x20 && c != 0x7f);
		MUST(!(c >= 0x80 && c < 0xa0) && !(c >= 0x202a && c <= 0x202e));
		s += n;
		len -= n;
	}
}

static void check(const struct herd_rules *rules, struct part path,
		  unsigned reasons, const struct herd_meaning_side *own,
		  const struct herd_meaning_side *herd)
{
	struct herd_meaning m;

	MUST(!herd_meaning_of(rules, path.p, path.len, reasons, own, herd, &m));
	MUST(m.category && m.technique && m.rule_file && m.severity <= 100);
	check_line(m.why, sizeof(m.why));
	check_line(m.technique, 12);
}

/* Hashes go, and stay away. */
static void check_redact(struct part text)
{
	CLEANUP_FREE char *copy = malloc(text.len + 1);
	bool any = herd_redact_finds(text.p, text.len);

	MUST(copy);
	if (text.len)
		memcpy(copy, text.p, text.len);
	MUST(herd_redact(copy, text.len) == any);
	MUST(!herd_redact_finds(copy, text.len));
}

static void check_all(const struct herd_rules *rules, struct part path,
		      struct part own, struct part herd)
{
	static const struct herd_meaning_side none = { .absent = true };
	struct herd_meaning_side a = { .mode = S_IFREG | 0644,
				       .text = own.p,
				       .len = own.len,
				       .size = own.len };
	struct herd_meaning_side b = { .mode = S_IFREG | 0644,
				       .text = herd.p,
				       .len = herd.len,
				       .size = herd.len };

	herd_meaning_wants(rules, path.p, path.len);
	herd_meaning_shuns(rules, path.p, path.len);
	check_redact(own);
	check(rules, path, HERD_REASON_CONTENT, &a, &b);
	check(rules, path, HERD_REASON_CONTENT, &b, &a);
	check(rules, path, HERD_REASON_ADDED, &a, &none);
	check(rules, path, HERD_REASON_ABSENT, &none, &b);
	a.capability = own.p;
	a.capability_len = own.len;
	a.mode = own.len & 1 ? S_IFLNK | 0777 : S_IFREG | 06777;
	check(rules, path, ~0u, &a, &b);
	a.size += 1u << 20;
	b.text = NULL;
	check(rules, path, ~0u, &a, &b);
	check(rules, path, ~0u, &b, &a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct herd_rules *shipped;
	struct part rest = { (const char *)data, size };
	struct part text = next(&rest), path = next(&rest);
	struct part own = next(&rest), herd = next(&rest);
	struct herd_rules *rules = herd_rules_create();
	struct herd_diag diag = { .message = "" };

	if (!shipped) {
		shipped = herd_rules_create();
		MUST(shipped && !herd_rules_parse_builtin(shipped, NULL));
	}
	MUST(rules);
	if (path.len && path.p[path.len - 1] == '\n')
		path.len--;
	if (herd_rules_parse(rules, "own", text.p, text.len, &diag)) {
		MUST(*diag.message);
		MUST(!herd_rules_count(rules));
	}
	MUST(!herd_rules_parse(rules, "w", "category w\n", 11, NULL));
	check_all(rules, path, own, herd);
	check_all(shipped, path, own, herd);
	check_all(shipped, path, own, own);
	herd_rules_destroy(rules);
	return 0;
}
