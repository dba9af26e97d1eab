/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts of memory/. Each is made when it is first asked for and kept in the
 * cache like other generated files.
 *
 * Threads: made by one, then never changed.
 */
#include "fs/tree_memory.h"
#include "index/report.h"

#include <string.h>

static bool shows(const void *arg, enum herd_machine_subject subject,
		  uint32_t index)
{
	return herd_memory_shows(arg, subject, index);
}

/* ---- of the whole ---- */

/*
 * Whether the image is there. One in AWS is not asked for: that may take long,
 * may cost, and whoever lists the folder would wait for it.
 */
static enum herd_disk_standing look_at_image(const struct herd_memory_at *at)
{
	struct herd_tree_source *s;

	if (!herd_disk_is_remote(at->instance, HERD_DISK_MEMORY) &&
	    !herd_disk_get(at->tree, at->instance, HERD_DISK_MEMORY, &s))
		herd_disk_put(s);
	return herd_disk_standing(at->instance, HERD_DISK_MEMORY);
}

/*
 * What is said in the index stays; what is read out of the image does not. The
 * text is kept, here and by the kernel: it says of what may end when it was so.
 */
static void tell_image(const struct herd_memory_at *at, struct herd_buf *out)
{
	const struct herd_image *image = &at->instance->memory;
	const enum herd_disk_standing standing = look_at_image(at);

	if (standing == HERD_DISK_STANDS)
		return;
	herd_buf_printf(out, "\nthe image of the memory %s",
			standing == HERD_DISK_GONE ?
				"cannot be read" :
				"could not be read when this was made");
	if (image->n_files) {
		herd_buf_printf(out, ": ");
		herd_report_escape(out, image->files[0].path,
				   strlen(image->files[0].path));
	}
	herd_buf_printf(out, "\n  what is told here is of when it was "
			     "attached; core, exe, fd/, vma/, pages/ and "
			     "memory.raw give errors\n");
}

static int make_findings(const struct herd_memory_at *at, struct herd_buf *out)
{
	CLEANUP(herd_report_memory_deinit)
	struct herd_report_memory m = { .n = 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_memory_herd *herd = NULL;
	int err = herd_tree_memory_herd(at->tree, at->txn, at->instance->group,
					&herd);

	if (!err)
		err = herd_report_memory_make(
			at->txn, herd, at->instance->record.id, &m, &diag);
	if (err)
		return err;
	herd_report_memory_text(&m, out);
	tell_image(at, out);
	return 0;
}

static int make_top(const struct herd_memory_at *at, struct herd_buf *out)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const struct herd_tree_findings *f = at->findings;
	const struct herd_shown s = { shows, at };

	switch (at->item) {
	case HERD_MEMORY_FINDINGS:
		return make_findings(at, out);
	case HERD_MEMORY_ABSENT:
		herd_memory_lacks(m, f->v, f->n, out);
		return 0;
	case HERD_MEMORY_PROCESSES:
		herd_memory_processes(m, &s, f ? f->of_process : NULL, out);
		return 0;
	case HERD_MEMORY_BANNER:
		herd_kernel_banner(m, out);
		return 0;
	case HERD_MEMORY_MODULES:
		herd_kernel_modules(m, &s, out);
		return 0;
	case HERD_MEMORY_MODULES_JSON:
		return herd_kernel_modules_json(m, &s, out);
	case HERD_MEMORY_HOOKS:
		herd_kernel_hooks(m, &s, out);
		return 0;
	case HERD_MEMORY_SOCKETS:
		herd_kernel_sockets(m, &s, out);
		return 0;
	default:
		herd_kernel_problems(m, out);
		return 0;
	}
}

/* ---- of a process ---- */

static void put_bytes(struct herd_buf *out, const void *p, size_t n)
{
	if (n)
		herd_buf_put(out, p, n);
}

/*
 * What is to be done about a map that could not be made: 0, to tell that there
 * is none. Texts are kept as long as the tree is, by the kernel as well; an
 * image in AWS may be had in a minute, and then "cannot be read" would be wrong.
 */
static int without_dump(const struct herd_memory_at *at, int err)
{
	if (err == -ENOMEM)
		return err;
	return herd_disk_is_remote(at->instance, HERD_DISK_MEMORY) &&
			       herd_disk_standing(at->instance,
						  HERD_DISK_MEMORY) !=
				       HERD_DISK_GONE ?
		       -EIO :
		       0;
}

/* Without the image it is told without its part. */
static int make_status(const struct herd_memory_at *at, struct herd_buf *out)
{
	const struct herd_process *p = herd_memory_process_of(at);
	struct herd_tree_dump *d = NULL;
	struct herd_tree_core *c = NULL;
	int err = p->n_vmas ? herd_tree_dump_get(at, at->process, HERD_NO_INDEX,
						 &d) :
			      0;

	if (err) {
		d = NULL;
		err = without_dump(at, err);
		if (err)
			return err;
	}
	if (d && herd_tree_core_get(at, &c))
		c = NULL;
	herd_process_status(herd_memory_machine_of(at), p, d ? d->d : NULL,
			    c ? &c->c : NULL, out);
	if (d)
		herd_cache_put(&at->tree->cache, &d->cached);
	else if (p->n_vmas)
		herd_buf_printf(out, "Dump:\tthe image of the memory cannot be "
				     "read\n");
	if (c)
		herd_cache_put(&at->tree->cache, &c->cached);
	return 0;
}

static int make_missing(const struct herd_memory_at *at, struct herd_buf *out)
{
	struct herd_tree_dump *d;
	int err = herd_tree_dump_get(at, at->process, HERD_NO_INDEX, &d);

	if (err) {
		err = without_dump(at, err);
		if (err)
			return err;
		herd_buf_printf(out, "all of it: the image of the memory "
				     "cannot be read\n");
		return 0;
	}
	herd_process_missing(herd_memory_machine_of(at),
			     herd_memory_process_of(at), d->d, out);
	herd_cache_put(&at->tree->cache, &d->cached);
	return 0;
}

static int make_why(const struct herd_memory_at *at, struct herd_buf *out)
{
	const struct herd_tree_findings *f = at->findings;
	const struct herd_machine_finding **own CLEANUP_FREE =
		calloc(f->n + 1, sizeof(*own));
	size_t n = 0;

	if (!own)
		return -ENOMEM;
	for (size_t i = 0; i < f->n; i++)
		if (f->v[i].subject == HERD_SUBJECT_PROCESS &&
		    f->v[i].index == at->process)
			own[n++] = &f->v[i];
	return herd_process_why(herd_memory_machine_of(at), at->process, own, n,
				out);
}

static int make_page(const struct herd_memory_at *at, struct herd_buf *out)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const struct herd_memory_page *page = herd_memory_page_of(at);
	const struct herd_page_change *c = &m->page_changes[page->change];
	struct herd_memory_herd *herd = NULL;
	struct herd_page_beside beside;
	int err = herd_tree_memory_herd(at->tree, at->txn, at->instance->group,
					&herd);

	if (!err)
		err = herd_page_beside(at->txn, herd, at->instance->record.id,
				       m, at->machine->places, c, &beside);
	if (!err)
		herd_process_page(m, c, page->va, &beside, out);
	return err;
}

static int make_of_process(const struct herd_memory_at *at,
			   struct herd_buf *out)
{
	const struct herd_machine *m = herd_memory_machine_of(at);
	const struct herd_process *p = herd_memory_process_of(at);

	switch (at->item) {
	case HERD_PROCESS_MAPS:
		herd_process_maps(m, p, out);
		return 0;
	case HERD_PROCESS_STATUS:
		return make_status(at, out);
	case HERD_PROCESS_CMDLINE:
		put_bytes(out, p->argv, p->n_argv);
		return 0;
	case HERD_PROCESS_ENVIRON:
		put_bytes(out, p->environ, p->n_environ);
		return 0;
	case HERD_PROCESS_FD_LIST:
		herd_process_fds(m, p, out);
		return 0;
	case HERD_PROCESS_SOCKETS:
		herd_process_sockets(m, p, out);
		return 0;
	case HERD_PROCESS_MISSING:
		return make_missing(at, out);
	case HERD_PROCESS_PAGES:
		return make_page(at, out);
	default:
		return make_why(at, out);
	}
}

int herd_memory_text_make(const struct herd_memory_at *at, struct herd_buf *out)
{
	int err = at->of_process ? make_of_process(at, out) : make_top(at, out);

	return err ? err : herd_buf_error(out);
}

/* ---- in the cache ---- */

static void blob_destroy(struct herd_cached *c)
{
	struct herd_blob *b = (struct herd_blob *)c;

	herd_buf_deinit(&b->buf);
	free(b);
}

static int blob_make(void *arg, struct herd_cached **ret)
{
	const struct herd_memory_at *at = arg;
	struct herd_blob *b = calloc(1, sizeof(*b));
	int err;

	if (!b)
		return -ENOMEM;
	err = herd_memory_text_make(at, &b->buf);
	if (err) {
		blob_destroy(&b->cached);
		return err == -ENOMEM ? err : -EIO;
	}
	b->cached.bytes = sizeof(*b) + b->buf.cap;
	b->cached.destroy = blob_destroy;
	*ret = &b->cached;
	return 0;
}

int herd_memory_text(const struct herd_memory_at *at, struct herd_blob **ret)
{
	struct herd_cached *c;
	int err = herd_cache_get(
		&at->tree->cache,
		(struct herd_cache_key){ HERD_CACHED_MEMORY_BLOB + at->view,
					 at->instance->record.id,
					 herd_node_what(at->node) },
		blob_make, (void *)at, &c);

	if (!err)
		*ret = (struct herd_blob *)c;
	return err;
}
