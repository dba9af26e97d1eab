/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules that ship with the program, built in so that it has them wherever
 * it is run from. The assembler reads the file; make runs in the folder above
 * and knows that this file depends on it. Threads: immutable.
 */
#include "index/rules.h"

extern const char herd_rules_builtin_begin[]
	__attribute__((visibility("hidden")));
extern const uint64_t herd_rules_builtin_len
	__attribute__((visibility("hidden")));

__asm__(".pushsection .rodata.herd_rules, \"a\"\n"
	".global herd_rules_builtin_begin, herd_rules_builtin_len\n"
	".hidden herd_rules_builtin_begin\n"
	".hidden herd_rules_builtin_len\n"
	"herd_rules_builtin_begin:\n"
	".incbin \"index/rules.conf\"\n"
	".Lherd_rules_builtin_end:\n"
	".byte 0\n"
	".balign 8\n"
	"herd_rules_builtin_len:\n"
	".quad .Lherd_rules_builtin_end - herd_rules_builtin_begin\n"
	".popsection\n");

const char *herd_rules_builtin_text(size_t *ret_len)
{
	*ret_len = (size_t)herd_rules_builtin_len;
	return herd_rules_builtin_begin;
}
