/* SPDX-License-Identifier: Apache-2.0 */
#include "index/memory/vmcoreinfo.h"

#include "acquire/base/diag.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The value of key, up to the end of its line; NULL: none. */
static const char *value_of(const struct herd_vmcoreinfo *v, const char *key,
			    size_t *ret_len)
{
	size_t n = strlen(key);

	for (const char *line = v->text; *line;) {
		size_t len = strcspn(line, "\n");

		if (len > n && line[n] == '=' && !memcmp(line, key, n)) {
			*ret_len = len - n - 1;
			return line + n + 1;
		}
		line += len + (line[len] == '\n');
	}
	return NULL;
}

int herd_vmcoreinfo_number(const struct herd_vmcoreinfo *v, const char *key,
			   int64_t *ret)
{
	size_t len;
	const char *p = value_of(v, key, &len);
	bool hex = !strncmp(key, "SYMBOL(", 7) || !strcmp(key, "KERNELOFFSET");
	char text[32], *end;
	uint64_t n;

	if (!p)
		return -ENOENT;
	if (!len || len >= sizeof(text))
		return -EBADMSG;
	memcpy(text, p, len);
	text[len] = '\0';
	if (len > 2 && text[0] == '0' && text[1] == 'x')
		hex = true;
	errno = 0;
	n = text[0] == '-' ? (uint64_t)strtoll(text, &end, 10) :
			     strtoull(text, &end, hex ? 16 : 10);
	if (errno || *end || end == text)
		return -EBADMSG;
	*ret = (int64_t)n;
	return 0;
}

uint64_t herd_vmcoreinfo_symbol(const struct herd_vmcoreinfo *v,
				const char *name)
{
	char key[96];
	int64_t n;

	snprintf(key, sizeof(key), "SYMBOL(%.80s)", name);
	return herd_vmcoreinfo_number(v, key, &n) ? 0 : (uint64_t)n;
}

static void text_of(const struct herd_vmcoreinfo *v, const char *key, char *ret,
		    size_t max)
{
	size_t len;
	const char *p = value_of(v, key, &len);

	*ret = '\0';
	if (p && len < max) {
		memcpy(ret, p, len);
		ret[len] = '\0';
		herd_text_clean(ret);
	}
}

static bool has(const struct herd_vmcoreinfo *v, const char *key)
{
	size_t len;

	return value_of(v, key, &len) != NULL;
}

/* What only one architecture writes. */
static const char *foreign(const struct herd_vmcoreinfo *v)
{
	static const struct {
		const char *key, *name;
	} marks[] = {
		{ "NUMBER(kimage_voffset)", "aarch64" },
		{ "NUMBER(PHYS_OFFSET)", "aarch64" },
		{ "NUMBER(TCR_EL1_T1SZ)", "aarch64" },
		{ "NUMBER(va_kernel_pa_offset)", "riscv64" },
		{ "NUMBER(phys_ram_base)", "riscv64" },
		{ "SYMBOL(vmemmap_list)", "ppc64" },
		{ "SYMBOL(lowcore_ptr)", "s390x" },
		{ "SYMBOL(high_memory)", "s390x" },
	};

	for (size_t i = 0; i < sizeof(marks) / sizeof(*marks); i++)
		if (has(v, marks[i].key))
			return marks[i].name;
	if (v->init_uts_ns <= UINT32_MAX)
		return "32-bit";
	return has(v, "NUMBER(phys_base)") &&
			       v->swapper_pg_dir >= HERD_KERNEL_MAP ?
		       NULL :
		       "another";
}

int herd_vmcoreinfo_parse(const void *text, size_t len,
			  struct herd_vmcoreinfo *ret)
{
	struct herd_vmcoreinfo *v = ret;
	int64_t n;

	memset(v, 0, sizeof(*v));
	if (len > HERD_VMCOREINFO_MAX)
		len = HERD_VMCOREINFO_MAX;
	v->len = strnlen(text, len);
	memcpy(v->text, text, v->len);
	text_of(v, "OSRELEASE", v->release, sizeof(v->release));
	text_of(v, "BUILD-ID", v->build_id, sizeof(v->build_id));
	v->init_uts_ns = herd_vmcoreinfo_symbol(v, "init_uts_ns");
	v->swapper_pg_dir = herd_vmcoreinfo_symbol(v, "swapper_pg_dir");
	v->stext = herd_vmcoreinfo_symbol(v, "_stext");
	if (!v->release[0] || !v->init_uts_ns)
		return -EBADMSG;
	v->uts_name =
		herd_vmcoreinfo_number(v, "OFFSET(uts_namespace.name)", &n) ?
			UINT64_MAX :
			(uint64_t)n;
	v->foreign = foreign(v);
	if (v->foreign)
		return 0;
	if (herd_vmcoreinfo_number(v, "NUMBER(phys_base)", &n))
		return -EBADMSG;
	v->phys_base = (uint64_t)n;
	if (!herd_vmcoreinfo_number(v, "NUMBER(pgtable_l5_enabled)", &n))
		v->five_level = n != 0;
	if (!herd_vmcoreinfo_number(v, "NUMBER(sme_mask)", &n))
		v->sme_mask = (uint64_t)n;
	return 0;
}
