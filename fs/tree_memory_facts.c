/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of the nodes of memory/, and of memory.raw, one function an
 * attribute. Threads: as fs/tree_facts.h says.
 */
#include "fs/tree_facts.h"

#include <inttypes.h>
#include <string.h>

static const struct herd_machine_finding *
finding_of(const struct herd_subject *s)
{
	const struct herd_memory_at *at = &s->memory;

	return at->of_process && at->findings ?
		       at->findings->of_process[at->process] :
		       NULL;
}

static int get_class(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!s->memory.of_process || !s->memory.findings)
		return -ENODATA;
	herd_buf_printf(out, "%s",
			herd_class_name(f ? f->class : HERD_CLASS_SAME));
	return 0;
}

static int get_reason(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_report_memory_marks(f->marks, out);
	return 0;
}

static int get_why(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!f || !f->why[0])
		return -ENODATA;
	herd_buf_put(out, f->why, strlen(f->why));
	return 0;
}

static int get_rank(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u", f->rank);
	return 0;
}

static int get_severity(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u", f->severity);
	return 0;
}

static int get_score(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u", herd_machine_score(f));
	return 0;
}

static int get_prevalence(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_machine_finding *f = finding_of(s);

	if (!f)
		return -ENODATA;
	herd_buf_printf(out, "%u/%u", f->count, f->members);
	return 0;
}

/* ---- where the bytes are from ---- */

/* Bytes of each kind behind a core, VMA or file. */
static int count(const struct herd_subject *s, uint64_t of[HERD_DUMP_KINDS])
{
	const struct herd_memory_at *at = &s->memory;
	const enum herd_memory_sort sort = herd_memory_sort(at);
	struct herd_tree_dump *d;
	const struct herd_vma *v;

	if ((sort != HERD_MEMORY_IS_CORE && sort != HERD_MEMORY_IS_FILE &&
	     sort != HERD_MEMORY_IS_VMA) ||
	    herd_memory_dump_of(at, &d))
		return -ENODATA;
	if (sort == HERD_MEMORY_IS_VMA) {
		v = &herd_memory_process_of(at)->vmas[at->sub];
		herd_dump_count(d->d, v->start, v->end, of);
	} else {
		herd_dump_count(d->d, 0, UINT64_MAX, of);
	}
	herd_cache_put(&at->tree->cache, &d->cached);
	return 0;
}

static int put_kinds(const struct herd_subject *s, bool missing,
		     struct herd_buf *out)
{
	uint64_t of[HERD_DUMP_KINDS];
	bool any = false;

	if (count(s, of))
		return -ENODATA;
	for (unsigned k = HERD_DUMP_ZERO; k < HERD_DUMP_KINDS; k++) {
		if (!of[k] || herd_dump_kind_is_missing(k) != missing)
			continue;
		herd_buf_printf(out, "%s%" PRIu64 " bytes %s", any ? "; " : "",
				of[k], herd_dump_kind_name(k));
		any = true;
	}
	return any ? 0 : -ENODATA;
}

static int get_missing(struct herd_subject *s, struct herd_buf *out)
{
	return put_kinds(s, true, out);
}

static int get_from(struct herd_subject *s, struct herd_buf *out)
{
	return put_kinds(s, false, out);
}

/* ---- what it is ---- */

static int get_path(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_memory_at *at = &s->memory;
	const struct herd_mfile *f;

	if (herd_memory_sort(at) != HERD_MEMORY_IS_FILE)
		return -ENODATA;
	f = &herd_memory_machine_of(at)->files[herd_memory_file_of(at)];
	herd_buf_printf(out, "%s%s", f->path, f->deleted ? " (deleted)" : "");
	return 0;
}

static int get_target(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_memory_at *at = &s->memory;

	if (!at->of_process || at->item != HERD_PROCESS_FD || !at->in_folder)
		return -ENODATA;
	herd_buf_printf(out, "%s",
			herd_memory_process_of(at)->fds[at->sub].target);
	return 0;
}

/* The line of maps. */
static int get_mapping(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_memory_at *at = &s->memory;
	struct herd_process one;

	if (herd_memory_sort(at) != HERD_MEMORY_IS_VMA)
		return -ENODATA;
	one = (struct herd_process){
		.vmas = &herd_memory_process_of(at)->vmas[at->sub],
		.n_vmas = 1,
	};
	herd_process_maps(herd_memory_machine_of(at), &one, out);
	if (out->len)
		out->len--; /* the end of the line */
	return 0;
}

static int get_sha256(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_memory_at *at = &s->memory;
	const struct herd_machine *m = herd_memory_machine_of(at);
	char hex[65];

	if (herd_memory_sort(at) != HERD_MEMORY_IS_PAGE)
		return -ENODATA;
	herd_buf_printf(
		out, "%s",
		herd_hex(
			m->page_changes[herd_memory_page_of(at)->change].digest,
			32, hex));
	return 0;
}

static int get_registers(struct herd_subject *s, struct herd_buf *out)
{
	struct herd_tree_core *c;

	if (herd_memory_sort(&s->memory) != HERD_MEMORY_IS_CORE ||
	    herd_tree_core_get(&s->memory, &c))
		return -ENODATA;
	herd_buf_printf(out, "of %zu threads, %zu without", c->c.threads,
			c->c.without_registers);
	herd_cache_put(&s->tree->cache, &c->cached);
	return 0;
}

static int get_problem(struct herd_subject *s, struct herd_buf *out)
{
	const struct herd_memory_at *at = &s->memory;

	if (!at->of_process || at->item != HERD_PROCESS_DIR ||
	    !herd_memory_process_of(at)->problem[0])
		return -ENODATA;
	herd_buf_printf(out, "%s", herd_memory_process_of(at)->problem);
	return 0;
}

static const struct herd_attribute of_memory[] = {
	{ "class", get_class },
	{ "reason", get_reason },
	{ "rank", get_rank },
	{ "why", get_why },
	{ "severity", get_severity },
	{ "score", get_score },
	{ "prevalence", get_prevalence },
	{ "from", get_from },
	{ "missing", get_missing },
	{ "path", get_path },
	{ "target", get_target },
	{ "mapping", get_mapping },
	{ "registers", get_registers },
	{ "sha256", get_sha256 },
	{ "problem", get_problem },
};

/* ---- memory.raw ---- */

static int get_format(struct herd_subject *s, struct herd_buf *out)
{
	struct herd_tree_instance *i;

	if (herd_tree_instance(s->tree, s->txn, herd_node_owner(s->node), &i) ||
	    !i->has_memory)
		return -ENODATA;
	herd_buf_printf(out, "%s", i->memory.format);
	return 0;
}

/* What reads as zeros and is not in the image. A raw image has no gaps: what
   is left out of it are holes of the file. */
static int get_gaps(struct herd_subject *s, struct herd_buf *out)
{
	struct herd_tree_instance *i;
	struct herd_tree_source *d;
	uint64_t bytes;

	if (herd_tree_instance(s->tree, s->txn, herd_node_owner(s->node), &i) ||
	    !i->has_memory || !strcmp(i->memory.format, "raw-memory") ||
	    herd_disk_get(s->tree, i, HERD_DISK_MEMORY, &d))
		return -ENODATA;
	bytes = d->source->size - herd_extents_bytes(&d->there);
	herd_disk_put(d);
	if (!bytes)
		return -ENODATA;
	herd_buf_printf(out, "%" PRIu64 " bytes are not in the image", bytes);
	return 0;
}

static const struct herd_attribute of_raw[] = {
	{ "format", get_format },
	{ "gaps", get_gaps },
};

const struct herd_attribute *herd_attributes_about_memory(uint64_t node,
							  size_t *ret_n)
{
	*ret_n = herd_node_is_memory(node) ? ARRAY_SIZE(of_memory) :
					     ARRAY_SIZE(of_raw);
	return herd_node_is_memory(node) ? of_memory : of_raw;
}
