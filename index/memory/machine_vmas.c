/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Address spaces: a maple tree from 6.1 on, a list before; named as in
 * /proc/PID/maps. The vsyscall page, which /proc adds to every process, is no
 * part of any of them and is left out.
 */
#include "index/memory/machine_internal.h"
#include "index/memory/machine_maple.h"

#include <stdio.h>
#include <string.h>

#define VMAS_ALL_MAX (4u << 20)
#define NODES_ALL_MAX (512u << 10)    /* of all trees */
#define NODES_MAX (HERD_VMAS_MAX / 4) /* of one */
#define VMA_STRUCT_MAX 1024u
#define NAME_MAX_BYTES 256u

struct vma_types {
	struct herd_field mm_mt, mmap, map_count, start_brk, brk, start_stack,
		start_code, end_code, arg_start, arg_end, env_start, env_end;
	struct herd_field start, end, vm_mm, flags, pgoff, file, ops,
		private_data, next, anon_name, shared;
	struct herd_field ops_name, mapping_name, anon_text;
};

struct vma_reader {
	struct herd_reader *r;
	struct vma_types t;
	struct herd_maple_types maple;
	struct herd_walk_mem mem;
	uint32_t vma_size;
	bool tree;
	bool heap_strict;	  /* from 6.6: only touching is no heap */
	bool anon_shares;	  /* its name lies where a file's links do */
	uint64_t special_name;	  /* address of special_mapping_name */
	struct herd_seen_map ops; /* vm_ops → 1: names special mappings */
	size_t n_vmas, n_nodes;	  /* of all processes */
	/* of the process that is read */
	struct herd_process *p;
	size_t cap;
	size_t odd, foreign, unnamed;
};

#define AT(f) .where = offsetof(struct vma_types, f)
#define MM(member)                               \
	{                                        \
		"mm_struct", #member, AT(member) \
	}
#define MM_MAY(member)                                             \
	{                                                          \
		"mm_struct", #member, .optional = true, AT(member) \
	}
#define VMA(member, f)                          \
	{                                       \
		"vm_area_struct", member, AT(f) \
	}
#define MAY(type, member, f)                          \
	{                                             \
		type, member, .optional = true, AT(f) \
	}

static const struct herd_wanted wanted[] = {
	MM_MAY(mm_mt),
	MM_MAY(mmap),
	MM_MAY(map_count),
	MM(start_brk),
	MM(brk),
	MM(start_stack),
	MM(start_code),
	MM(end_code),
	MM(arg_start),
	MM(arg_end),
	MM(env_start),
	MM(env_end),
	VMA("vm_start", start),
	VMA("vm_end", end),
	VMA("vm_flags", flags),
	VMA("vm_pgoff", pgoff),
	VMA("vm_file", file),
	VMA("vm_ops", ops),
	VMA("vm_mm", vm_mm),
	MAY("vm_area_struct", "vm_private_data", private_data),
	MAY("vm_area_struct", "vm_next", next),
	MAY("vm_area_struct", "anon_name", anon_name),
	MAY("vm_area_struct", "shared", shared),
	MAY("vm_operations_struct", "name", ops_name),
	MAY("vm_special_mapping", "name", mapping_name),
	MAY("anon_vma_name", "name", anon_text),
};

static int prepare(struct vma_reader *v, struct herd_diag *diag)
{
	struct herd_kernel *k = v->r->k;
	unsigned kernel_major = 0, kernel_minor = 0;
	int err =
		herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), &v->t, diag);

	if (!err)
		err = herd_kernel_sizeof(k, "vm_area_struct", &v->vma_size);
	if (err)
		return err;
	if (v->vma_size > VMA_STRUCT_MAX)
		v->vma_size = VMA_STRUCT_MAX;
	v->tree = herd_field_there(&v->t.mm_mt);
	if (v->tree)
		err = herd_maple_types(k, &v->maple, diag);
	else if (!herd_field_there(&v->t.mmap) || !herd_field_there(&v->t.next))
		err = herd_diag_set(diag, -EOPNOTSUPP, "kernel", HERD_NO_OFFSET,
				    "keeps address spaces in an unknown way");
	if (err)
		return err;
	if (sscanf(herd_kernel_facts(k)->release, "%u.%u", &kernel_major,
		   &kernel_minor) == 2)
		v->heap_strict = kernel_major > 6 ||
				 (kernel_major == 6 && kernel_minor >= 6);
	v->anon_shares = herd_field_there(&v->t.anon_name) &&
			 herd_field_there(&v->t.shared) &&
			 v->t.anon_name.offset >= v->t.shared.offset &&
			 v->t.anon_name.offset <
				 v->t.shared.offset + v->t.shared.size;
	if (herd_kernel_symbol(k, "special_mapping_name", &v->special_name))
		v->special_name = 0;
	return 0;
}

/* ---- names ---- */

static uint64_t pick(const struct vma_reader *v, const uint8_t *vma,
		     const struct herd_field *f)
{
	return herd_walk_value(vma, v->vma_size, f);
}

/* "[vdso]" and the like: a mapping of the kernel's that has a name. */
static bool special_name(struct vma_reader *v, const uint8_t *vma,
			 char name[NAME_MAX_BYTES])
{
	struct herd_kernel *k = v->r->k;
	uint64_t ops = pick(v, vma, &v->t.ops), fn, text;
	uint32_t known;

	if (!ops || !v->special_name || !herd_field_there(&v->t.ops_name) ||
	    !herd_field_there(&v->t.mapping_name))
		return false;
	if (!herd_seen_has(&v->ops, ops, &known)) {
		known = !herd_kernel_get(k, ops, &v->t.ops_name, &fn) &&
			fn == v->special_name;
		herd_seen_add(&v->ops, ops, known, NULL);
	}
	return known &&
	       !herd_kernel_get(k, pick(v, vma, &v->t.private_data),
				&v->t.mapping_name, &text) &&
	       !herd_kernel_string(k, text, name, NAME_MAX_BYTES);
}

/* A name that the program gave it by prctl. */
static bool given_name(struct vma_reader *v, const uint8_t *vma, bool file,
		       char name[NAME_MAX_BYTES])
{
	uint64_t at = pick(v, vma, &v->t.anon_name);
	char text[96];

	if (!at || (file && v->anon_shares) ||
	    !herd_field_there(&v->t.anon_text) ||
	    herd_kernel_string(v->r->k, at + v->t.anon_text.offset, text,
			       sizeof(text)) != 0)
		return false;
	snprintf(name, NAME_MAX_BYTES, file ? "[anon_shmem:%s]" : "[anon:%s]",
		 text);
	return true;
}

static void find_name(struct vma_reader *v, const uint8_t *vma,
		      const struct herd_vma *a, bool file,
		      char name[NAME_MAX_BYTES])
{
	const struct herd_process *p = v->p;
	bool heap = v->heap_strict ?
			    a->start < p->brk && a->end > p->start_brk :
			    a->start <= p->brk && a->end >= p->start_brk;

	name[0] = '\0';
	if (file) {
		if (!given_name(v, vma, true, name) &&
		    a->flags & HERD_VMA_UNNAMED)
			strcpy(name, "[a file that could not be read]");
		return;
	}
	if (special_name(v, vma, name))
		return;
	if (heap)
		strcpy(name, "[heap]");
	else if (a->start <= p->start_stack && a->end >= p->start_stack)
		strcpy(name, "[stack]");
	else
		given_name(v, vma, false, name);
}

/* ---- one ---- */

/* The bytes of a vm_area_struct. What cannot be told of it is counted. */
static int add_vma(struct vma_reader *v, const uint8_t *vma)
{
	struct herd_process *p = v->p;
	struct herd_vma a = {
		.start = pick(v, vma, &v->t.start),
		.end = pick(v, vma, &v->t.end),
		.flags = pick(v, vma, &v->t.flags) & ~HERD_VMA_UNNAMED,
		.file = HERD_NO_INDEX,
	};
	uint64_t file = pick(v, vma, &v->t.file);
	uint64_t before = p->n_vmas ? p->vmas[p->n_vmas - 1].end : 0;
	char name[NAME_MAX_BYTES];
	int err;

	if (a.start >= a.end || (a.start | a.end) % HERD_PAGE ||
	    a.start < before || a.end > UINT64_C(1) << 56) {
		v->odd++;
		return 0;
	}
	if (pick(v, vma, &v->t.vm_mm) != p->mm) {
		v->foreign++;
		return 0;
	}
	if (v->n_vmas >= VMAS_ALL_MAX)
		return -EOVERFLOW;
	err = HERD_READER_GROW(p->vmas, p->n_vmas, &v->cap, HERD_VMAS_MAX);
	if (err)
		return err;
	if (file) {
		a.offset = pick(v, vma, &v->t.pgoff) * HERD_PAGE;
		err = herd_reader_file(v->r, file, &a.file, NULL);
		if (err == -ENOMEM)
			return err;
		if (err) {
			v->unnamed++;
			a.flags |= HERD_VMA_UNNAMED;
		}
	}
	find_name(v, vma, &a, file, name);
	a.name = strdup(name);
	if (!a.name)
		return -ENOMEM;
	p->vmas[p->n_vmas++] = a;
	v->n_vmas++;
	return 0;
}

static int tree_entry(void *arg, uint64_t first, uint64_t last, uint64_t vma)
{
	struct vma_reader *v = arg;
	uint8_t bytes[VMA_STRUCT_MAX];

	if (!herd_kernel_is_pointer(v->r->k, vma) ||
	    herd_kernel_read(v->r->k, vma, bytes, v->vma_size) != 0 ||
	    pick(v, bytes, &v->t.start) != first ||
	    pick(v, bytes, &v->t.end) - 1 != last) {
		v->odd++;
		return 0;
	}
	return add_vma(v, bytes);
}

/* ---- all of a process ---- */

static int read_tree(struct vma_reader *v)
{
	struct herd_process *p = v->p;
	struct herd_maple tree = {
		.mem = &v->mem,
		.types = &v->maple,
		.entry = tree_entry,
		.arg = v,
		.max_nodes = NODES_MAX,
	};
	int err = herd_kernel_get(v->r->k, p->mm + v->t.mm_mt.offset,
				  &v->maple.root, &tree.root);

	if (tree.max_nodes > NODES_ALL_MAX - v->n_nodes)
		tree.max_nodes = NODES_ALL_MAX - v->n_nodes;
	if (!err)
		err = herd_maple_each(&tree);
	v->n_nodes += tree.nodes;
	v->odd += tree.broken;
	return err;
}

/* Each has to lie above the one before it, so there are no circles. */
static int read_list(struct vma_reader *v)
{
	struct herd_process *p = v->p;
	uint64_t vma;
	int err = herd_kernel_get(v->r->k, p->mm, &v->t.mmap, &vma);

	while (!err && vma) {
		uint8_t bytes[VMA_STRUCT_MAX];
		size_t n = p->n_vmas;

		err = herd_kernel_is_pointer(v->r->k, vma) ?
			      herd_kernel_read(v->r->k, vma, bytes,
					       v->vma_size) :
			      -EFAULT;
		if (!err)
			err = add_vma(v, bytes);
		if (!err && p->n_vmas == n)
			break; /* was not taken: nothing behind it counts */
		vma = pick(v, bytes, &v->t.next);
	}
	return err;
}

/* 1: not even the mm_struct is there. */
static int read_layout(struct vma_reader *v, uint64_t *ret_count)
{
	struct herd_process *p = v->p;
	struct herd_kernel *k = v->r->k;
	const struct {
		const struct herd_field *f;
		uint64_t *to;
	} fields[] = {
		{ &v->t.start_brk, &p->start_brk },
		{ &v->t.brk, &p->brk },
		{ &v->t.start_stack, &p->start_stack },
		{ &v->t.start_code, &p->start_code },
		{ &v->t.end_code, &p->end_code },
		{ &v->t.arg_start, &p->arg_start },
		{ &v->t.arg_end, &p->arg_end },
		{ &v->t.env_start, &p->env_start },
		{ &v->t.env_end, &p->env_end },
	};

	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (herd_kernel_get(k, p->mm, fields[i].f, fields[i].to))
			return 1;
	*ret_count = UINT64_MAX;
	if (herd_field_there(&v->t.map_count) &&
	    herd_kernel_get(k, p->mm, &v->t.map_count, ret_count))
		return 1;
	return 0;
}

static void tell(struct vma_reader *v, int err, uint64_t count)
{
	struct herd_process *p = v->p;

	if (err)
		herd_reader_process_problem(
			v->r, p, "its map of memory %s",
			err == -EOVERFLOW ? "has too many parts" :
					    "could not be read in full");
	if (v->foreign)
		herd_reader_process_problem(
			v->r, p,
			"%zu parts of its map belong to another "
			"address space",
			v->foreign);
	if (v->odd || (!err && count != UINT64_MAX && count != p->n_vmas))
		herd_reader_process_problem(
			v->r, p,
			"its map has %zu parts that can be read, and "
			"should have %llu",
			p->n_vmas, (unsigned long long)count);
	if (v->unnamed)
		herd_reader_process_problem(
			v->r, p, "%zu mapped files could not be named",
			v->unnamed);
}

static int read_process(struct vma_reader *v, struct herd_process *p)
{
	uint64_t count = 0;
	int err;

	v->p = p;
	v->cap = v->odd = v->foreign = v->unnamed = 0;
	if (read_layout(v, &count)) {
		herd_reader_process_problem(
			v->r, p, "its memory's description could not be read");
		return 0;
	}
	if (!(v->r->parts & HERD_READ_VMAS))
		return 0;
	err = v->tree ? read_tree(v) : read_list(v);
	if (err == -ENOMEM)
		return err;
	tell(v, err, count);
	return 0;
}

int herd_reader_vmas(struct herd_reader *r, struct herd_diag *diag)
{
	struct vma_reader v = { .r = r, .mem = herd_walk_kernel(r->k) };
	int err = prepare(&v, diag);

	for (size_t i = 0; i < r->m->n_processes && !err; i++) {
		herd_reader_beat(r);
		if (r->m->processes[i].mm)
			err = read_process(&v, &r->m->processes[i]);
	}
	herd_seen_deinit(&v.ops);
	return err;
}
