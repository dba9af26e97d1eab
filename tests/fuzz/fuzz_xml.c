/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XML that nobody wrote: refused, or a tree within its limits, each node of
 * which is where paths find it.
 */
#include "acquire/aws/xml.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void walk(const struct herd_xml_node *n, unsigned depth)
{
	static const char *const names[] = { "a", "item", "b" };

	MUST(depth < HERD_XML_DEPTH_MAX);
	MUST(strlen(herd_xml_name(n)) <= HERD_XML_NAME_MAX);
	MUST(strlen(herd_xml_text(n, "")) <= HERD_XML_TEXT_MAX);
	for (size_t i = 0; i < 3; i++) {
		const struct herd_xml_node *c = herd_xml_first(n, "", names[i]);

		MUST(c == herd_xml_get(n, names[i]));
		for (; c; c = herd_xml_next(c)) {
			MUST(!strcmp(herd_xml_name(c), names[i]));
			walk(c, depth + 1);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct herd_xml *x CLEANUP_XML = NULL;
	struct herd_diag diag = { 0 };

	if (!herd_xml_parse(data, size, &x, &diag))
		walk(herd_xml_root(x), 0);
	else
		MUST(diag.message[0]);
	return 0;
}
