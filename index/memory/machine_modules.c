/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules, in each of the views that the kernel has of them: the list behind
 * /proc/modules, the tree that finds a module by an address, the kobjects
 * behind /sys/module, and the memory itself (machine_module_scan.c). One that
 * unlinked itself from a view lacks its bit.
 *
 * Not made yet is the digest of a module's text: what the loader writes into
 * it (relocations, alternatives, calls of ftrace, static calls, jump labels,
 * return thunks) depends on where the kernel and the module lie, and without
 * the relocations of the module's file it cannot be told from a patch. The
 * digests are zeros.
 */
#include "index/memory/machine_modules.h"

#include <string.h>

#define USERS_MAX 1024u
#define TREE_MAX (HERD_MODULES_MAX * HERD_MODULE_PARTS)
#define KOBJECTS_MAX 65536u /* those of what is built in, too */
#define PART_MAX (1ULL << 28)

#define FIELD(t, m, where_)                                         \
	{                                                           \
		.type = (t), .member = (m),                         \
		.where = offsetof(struct herd_module_types, where_) \
	}
#define MAYBE(t, m, where_)                                         \
	{                                                           \
		.type = (t), .member = (m), .optional = true,       \
		.where = offsetof(struct herd_module_types, where_) \
	}

static const struct herd_wanted wanted[] = {
	FIELD("module", "state", state),
	FIELD("module", "list", list),
	FIELD("module", "name", name),
	MAYBE("module", "mkobj.kobj", kobj),
	MAYBE("module", "mkobj.mod", kobj_mod),
	MAYBE("module", "srcversion", srcversion),
	MAYBE("module", "init", init),
	MAYBE("module", "exit", exit),
	MAYBE("module", "taints", taints),
	MAYBE("module", "refcnt", refcnt),
	MAYBE("module", "source_list", sources),
	MAYBE("module", "core_layout.base", base),
	MAYBE("module", "core_layout.size", size),
	MAYBE("module", "init_layout.size", init_size),
	MAYBE("module", "mem", parts),
	MAYBE("module_memory", "base", part_base),
	MAYBE("module_memory", "size", part_size),
	MAYBE("module_use", "source_list", use_source_list),
	MAYBE("module_use", "source", use_source),
	MAYBE("kset", "list", kset_list),
	MAYBE("kobject", "entry", kobject_entry),
	MAYBE("module_kobject", "kobj", mkobj_kobj),
	MAYBE("module_kobject", "mod", mkobj_mod),
	MAYBE("mod_tree_root", "root.tree", tree),
	MAYBE("mod_tree_node", "node", tree_node),
	MAYBE("mod_tree_node", "mod", tree_mod),
	MAYBE("rb_node", "rb_left", left),
	MAYBE("rb_node", "rb_right", right),
};

static int find_types(struct herd_module_reader *m, struct herd_diag *diag)
{
	struct herd_module_types *t = &m->t;
	struct herd_kernel *k = m->r->k;
	int err = herd_kernel_fields(k, wanted, ARRAY_SIZE(wanted), t, diag);

	if (err)
		return err;
	if (herd_kernel_sizeof(k, "module", &t->whole) ||
	    t->whole > HERD_MODULE_BYTES_MAX)
		return herd_diag_set(
			diag, -EOPNOTSUPP, "", HERD_NO_OFFSET,
			"this kernel's struct module is not known");
	if (herd_field_there(&t->parts) &&
	    (herd_kernel_sizeof(k, "module_memory", &t->part_stride) ||
	     !t->part_stride || !herd_field_there(&t->part_base) ||
	     !herd_field_there(&t->part_size)))
		t->parts.offset = HERD_FIELD_MISSING;
	return 0;
}

/* ---- one module ---- */

static uint64_t value(const struct herd_module_reader *m, const uint8_t *bytes,
		      const struct herd_field *f)
{
	return herd_walk_value(bytes, m->t.whole, f);
}

/* As it is: who writes a byte into his module's name must not hide it. */
static bool copy_name(const struct herd_module_reader *m, const uint8_t *bytes,
		      char name[57])
{
	const struct herd_field *f = &m->t.name;
	size_t len = f->size < 56 ? f->size : 56;

	if (f->offset > m->t.whole - len)
		return false;
	memcpy(name, bytes + f->offset, len);
	name[len] = 0;
	return true;
}

static int add_range(struct herd_module_reader *m, uint64_t base, uint64_t size)
{
	void *v = m->ranges;
	int err = herd_reader_grow(&v, m->n_ranges, &m->cap_ranges,
				   sizeof(*m->ranges), TREE_MAX);

	m->ranges = v;
	if (!err)
		m->ranges[m->n_ranges++] =
			(struct herd_module_range){ base, base + size };
	return err;
}

/* Where its memory is. false: nowhere that a module can be. */
static bool measure(struct herd_module_reader *m, const uint8_t *bytes,
		    struct herd_module *n)
{
	const struct herd_module_types *t = &m->t;
	uint32_t n_parts;

	if (!herd_field_there(&t->parts)) {
		n->base = value(m, bytes, &t->base);
		n->size = value(m, bytes, &t->size);
		n->total = n->size + value(m, bytes, &t->init_size);
		return !add_range(m, n->base, n->size) &&
		       herd_kernel_is_pointer(m->r->k, n->base) &&
		       n->size < PART_MAX;
	}
	n_parts = t->parts.size / t->part_stride;
	for (uint32_t i = 0; i < n_parts && i < HERD_MODULE_PARTS; i++) {
		const uint8_t *p = bytes + t->parts.offset + i * t->part_stride;
		uint64_t base, size;

		if (t->parts.offset + (i + 1) * t->part_stride > t->whole)
			return false;
		base = herd_walk_value(p, t->part_stride, &t->part_base);
		size = herd_walk_value(p, t->part_stride, &t->part_size);
		if (!size)
			continue;
		if (size >= PART_MAX ||
		    !herd_kernel_is_pointer(m->r->k, base) ||
		    add_range(m, base, size))
			return false;
		n->total += size;
		if (!i) {
			n->base = base;
			n->size = size;
		}
	}
	return true;
}

/* "a,b", in the kernel's order; "[permanent]" as /proc/modules has it. */
static char *users_of(struct herd_module_reader *m, uint64_t module,
		      const uint8_t *bytes)
{
	const struct herd_module_types *t = &m->t;
	struct herd_buf b = HERD_BUF_INIT;
	struct herd_chain c;
	uint64_t node, source;
	char name[57];

	if (herd_field_there(&t->sources) && herd_field_there(&t->use_source) &&
	    herd_field_there(&t->use_source_list)) {
		c = herd_chain_list(&m->mem, module + t->sources.offset,
				    USERS_MAX);
		while (herd_chain_next(&c, &node)) {
			node -= t->use_source_list.offset;
			if (herd_kernel_get(m->r->k, node, &t->use_source,
					    &source) ||
			    herd_kernel_string(m->r->k, source + t->name.offset,
					       name, sizeof(name)))
				break;
			herd_buf_printf(&b, "%s%s", b.len ? "," : "", name);
		}
		if (herd_field_there(&t->exit) && value(m, bytes, &t->init) &&
		    !value(m, bytes, &t->exit))
			herd_buf_printf(&b, "%s[permanent]", b.len ? "," : "");
	}
	herd_buf_u8(&b, 0);
	if (herd_buf_error(&b)) {
		herd_buf_deinit(&b);
		return NULL;
	}
	return (char *)b.data;
}

static char state_of(uint64_t state)
{
	static const char letters[] = "LCGU";

	return state < 4 ? letters[state] : '?';
}

/*
 * Whether there is a module at all. Its memory says so; name and state alone
 * do not, for they can be written to without harm to what it does. One that is
 * not set up yet has no memory, but a name.
 */
static bool is_module(struct herd_module_reader *m, const uint8_t *bytes,
		      struct herd_module *n)
{
	const size_t ranges = m->n_ranges;

	if (measure(m, bytes, n) && (n->total || !herd_module_is_odd(n)))
		return true;
	m->n_ranges = ranges;
	return n->state == 'U' && !herd_module_is_odd(n);
}

static int read_module(struct herd_module_reader *m, uint64_t module,
		       struct herd_module *n)
{
	const struct herd_module_types *t = &m->t;
	uint8_t bytes[HERD_MODULE_BYTES_MAX];
	uint64_t at;
	uint32_t refs;
	int err;

	err = herd_kernel_read(m->r->k, module, bytes, t->whole);
	if (err)
		return err;
	n->module = module;
	n->state = state_of(value(m, bytes, &t->state));
	if (!copy_name(m, bytes, n->name) || !is_module(m, bytes, n))
		return -EBADMSG;
	n->taints = (uint32_t)value(m, bytes, &t->taints);
	refs = (uint32_t)value(m, bytes, &t->refcnt);
	n->refs = refs ? refs - 1 : 0; /* the loader's own is not counted */
	at = value(m, bytes, &t->srcversion);
	if (at && herd_kernel_string(m->r->k, at, n->srcversion,
				     sizeof(n->srcversion)))
		n->srcversion[0] = 0;
	n->used_by = users_of(m, module, bytes);
	return n->used_by ? 0 : -ENOMEM;
}

int herd_module_add(struct herd_module_reader *m, uint64_t module,
		    uint32_t seen)
{
	struct herd_machine *machine = m->r->m;
	struct herd_module n = { .seen = seen };
	void *v = machine->modules;
	uint32_t index;
	int err;

	if (herd_seen_has(&m->known, module, &index)) {
		machine->modules[index].seen |= seen;
		return 0;
	}
	err = herd_reader_grow(&v, machine->n_modules, &m->r->cap_modules,
			       sizeof(*machine->modules), HERD_MODULES_MAX);
	machine->modules = v;
	if (!err)
		err = read_module(m, module, &n);
	if (!err)
		err = herd_seen_add(&m->known, module,
				    (uint32_t)machine->n_modules, NULL);
	if (err) {
		free(n.used_by);
		return err;
	}
	machine->modules[machine->n_modules++] = n;
	return 0;
}

/* ---- the views ---- */

/* A module that a view names: what cannot be read is told. */
static int view(struct herd_module_reader *m, uint64_t module, uint32_t seen,
		const char *where)
{
	int err = herd_module_add(m, module, seen);

	if (err == -ENOMEM || err == -EOVERFLOW)
		return err;
	if (err)
		herd_reader_problem(m->r, where, "an entry is no module");
	return 0;
}

/* *ret: why it ended before it was at the head again, 0 when it was. */
static int walk_list(struct herd_module_reader *m, uint64_t head, bool back,
		     int *ret)
{
	struct herd_chain c =
		back ? herd_chain_list_back(&m->mem, head, HERD_MODULES_MAX) :
		       herd_chain_list(&m->mem, head, HERD_MODULES_MAX);
	uint64_t node;
	int err = 0;

	while (!err && herd_chain_next(&c, &node))
		err = view(m, node - m->t.list.offset, HERD_MODULE_LIST,
			   "list of modules");
	*ret = c.err;
	if (!err && c.err)
		herd_reader_problem(m->r, "list of modules", "%s %s",
				    back ? "backwards it" : "it",
				    c.err == -ELOOP ? "runs in a circle" :
						      "is broken off");
	return err;
}

/* Broken in the middle, the rest is reached from its other end. */
static int of_list(struct herd_module_reader *m)
{
	uint64_t head;
	int err, forth, back = 0;

	if (herd_kernel_symbol(m->r->k, "modules", &head)) {
		herd_reader_problem(m->r, "modules",
				    "the kernel's symbols lack "
				    "their list");
		return 0;
	}
	err = walk_list(m, head, false, &forth);
	if (!err && forth)
		err = walk_list(m, head, true, &back);
	if (!err && forth)
		herd_reader_half_read(m->r, HERD_UNREAD_MODULES, forth, back);
	return err;
}

static int of_tree_node(void *arg, uint64_t node)
{
	struct herd_module_reader *m = arg;
	const struct herd_module_types *t = &m->t;
	uint64_t module;

	if (herd_kernel_get(m->r->k, node - t->tree_node.offset, &t->tree_mod,
			    &module))
		return 0;
	return view(m, module, HERD_MODULE_TREE, "tree of modules");
}

static int of_tree(struct herd_module_reader *m)
{
	const struct herd_module_types *t = &m->t;
	uint64_t at, root;
	int err;

	if (!herd_field_there(&t->tree) || !herd_field_there(&t->tree_node) ||
	    !herd_field_there(&t->tree_mod) || !herd_field_there(&t->left) ||
	    !herd_field_there(&t->right) ||
	    herd_kernel_symbol(m->r->k, "mod_tree", &at))
		return 0;
	/* A latch: two trees of the same nodes; the first is as good. */
	if (herd_kernel_u64(m->r->k, at + t->tree.offset, &root))
		return 0;
	err = herd_rbtree_each(&m->mem, root, &t->left, &t->right, TREE_MAX,
			       of_tree_node, m);
	if (err != -EFAULT && err != -ENODATA && err != -ELOOP)
		return err;
	herd_reader_problem(m->r, "tree of modules", "it is broken off");
	return 0;
}

static int of_sysfs(struct herd_module_reader *m)
{
	const struct herd_module_types *t = &m->t;
	uint64_t at, kset, node, module;
	struct herd_chain c;
	int err = 0;

	if (!herd_field_there(&t->kset_list) ||
	    !herd_field_there(&t->kobject_entry) ||
	    !herd_field_there(&t->mkobj_kobj) ||
	    !herd_field_there(&t->mkobj_mod) ||
	    herd_kernel_symbol(m->r->k, "module_kset", &at) ||
	    herd_kernel_u64(m->r->k, at, &kset))
		return 0;
	c = herd_chain_list(&m->mem, kset + t->kset_list.offset, KOBJECTS_MAX);
	while (!err && herd_chain_next(&c, &node)) {
		node -= t->kobject_entry.offset + t->mkobj_kobj.offset;
		if (!herd_kernel_get(m->r->k, node, &t->mkobj_mod, &module) &&
		    module) /* none: built in */
			err = view(m, module, HERD_MODULE_SYSFS, "/sys/module");
	}
	if (!err && c.err)
		herd_reader_problem(m->r, "/sys/module",
				    "its list is broken "
				    "off");
	return err;
}

size_t herd_modules_are_unsigned(const struct herd_machine *m)
{
	size_t own = 0;

	for (size_t i = 0; i < m->n_modules; i++) {
		if (m->modules[i].taints & HERD_TAINT_OUT_OF_TREE)
			continue;
		if (!(m->modules[i].taints & HERD_TAINT_UNSIGNED))
			return 0;
		own++;
	}
	return own > 1 ? own : 0;
}

static void tell_unsigned(struct herd_reader *r)
{
	size_t own = herd_modules_are_unsigned(r->m);

	if (own)
		herd_reader_problem(
			r, "modules",
			"none of the %zu of the kernel's own is signed: that "
			"one of them is not says nothing here",
			own);
}

static void module_reader_deinit(struct herd_module_reader *m)
{
	herd_seen_deinit(&m->known);
	free(m->ranges);
}

int herd_reader_modules(struct herd_reader *r, struct herd_diag *diag)
{
	CLEANUP(module_reader_deinit)
	struct herd_module_reader m = {
		.r = r,
		.mem = herd_walk_kernel(r->k),
	};
	int err;

	err = find_types(&m, diag);
	if (!err)
		err = of_list(&m);
	if (!err)
		err = of_tree(&m);
	if (!err)
		err = of_sysfs(&m);
	if (!err)
		err = herd_module_scan(&m);
	tell_unsigned(r);
	if (err)
		r->m->unread |= HERD_UNREAD_MODULES | HERD_UNREAD_MODULE_MEMORY;
	if (err == -EOVERFLOW) {
		herd_reader_problem(r, "modules",
				    "more than %u: the rest was "
				    "left out",
				    HERD_MODULES_MAX);
		return 0;
	}
	return err;
}
