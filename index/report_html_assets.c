/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The style and the script of the page, built in as the rules are
 * (rules_builtin.c). Threads: immutable.
 */
#include "index/report_html_internal.h"

#define ASSET(name, file)                                                      \
	extern const char herd_page_##name##_begin[]                           \
		__attribute__((visibility("hidden")));                         \
	extern const char herd_page_##name##_end[]                             \
		__attribute__((visibility("hidden")));                         \
	__asm__(".pushsection .rodata.herd_page, \"a\"\n"                      \
		".global herd_page_" #name "_begin, herd_page_" #name "_end\n" \
		".hidden herd_page_" #name "_begin\n"                          \
		".hidden herd_page_" #name "_end\n"                            \
		"herd_page_" #name "_begin:\n"                                 \
		".incbin \"" file "\"\n"                                       \
		"herd_page_" #name "_end:\n"                                   \
		".byte 0\n"                                                    \
		".popsection\n")

ASSET(css, "index/report.css");
ASSET(js, "index/report.js");

const char *herd_page_style(size_t *ret_len)
{
	*ret_len = (size_t)((uintptr_t)herd_page_css_end -
			    (uintptr_t)herd_page_css_begin);
	return herd_page_css_begin;
}

const char *herd_page_script(size_t *ret_len)
{
	*ret_len = (size_t)((uintptr_t)herd_page_js_end -
			    (uintptr_t)herd_page_js_begin);
	return herd_page_js_begin;
}
