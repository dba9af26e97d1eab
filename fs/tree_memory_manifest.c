/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Digests of what deviant/memory says, for MANIFEST.sha256. Dumps are left out:
 * that would be to read the image several times over for a list of names; and so
 * are status and missing.txt, which tell of the dumps, and findings.txt, which
 * tells whether the image is at hand.
 *
 * Threads: any.
 */
#include "fs/tree_memory.h"

#include "acquire/base/sha256.h"
#include "index/report.h"

#include <stdio.h>
#include <string.h>

#define DIR "deviant/memory/"

static const char head[] =
	"# Of deviant/memory the texts alone that come out of the index. Not core, vma/,\n"
	"# exe, fd/, pages/*.bin, status and missing.txt: these are made out of the image,\n"
	"# which report.json names, and come out the same when they are made again. Nor\n"
	"# findings.txt, which says whether the image is there: report.txt has the same.\n";

struct list {
	struct herd_tree *tree;
	struct herd_txn *txn;
	struct herd_tree_instance *instance;
	struct herd_buf *out;
	size_t pages, left_out; /* texts of pages/ */
};

/*
 * Of texts of pages/, of all processes: each says what the herd has at its
 * place, and an image may have very many.
 */
#define PAGES_MAX 4096u

/* Node number `what`, if it is there and a text out of the index alone. */
static int add(struct list *l, uint32_t what, const char *path)
{
	CLEANUP_MEMORY_AT struct herd_memory_at at;
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	uint8_t digest[HERD_SHA256_LEN];
	int err = herd_memory_at_init(&at, l->tree, l->txn,
				      herd_node_memory(HERD_MEMORY_DEVIANT,
						       l->instance->record.id,
						       what));

	if (err)
		return err == -ENOENT ? 0 : err;
	if (herd_memory_sort(&at) != HERD_MEMORY_IS_TEXT)
		return 0;
	err = herd_memory_text_make(&at, &text);
	if (err)
		return err;
	herd_sha256(text.data ? (const void *)text.data : "", text.len, digest);
	herd_report_manifest_line(l->out, digest, DIR, path, strlen(path));
	return herd_buf_error(l->out);
}

/* what: the number before that of the first. */
static int add_pages(struct list *l, const struct herd_tree_machine *tm,
		     uint32_t process, const char *name, uint32_t what)
{
	char path[2 * HERD_MEMORY_NAME_MAX + 16];
	char page[HERD_MEMORY_NAME_MAX + 1];
	const uint32_t end = tm->pages_at[process + 1];
	int err = 0;

	for (uint32_t i = tm->pages_at[process]; i < end && !err;
	     i++, what += 2) {
		if (l->pages == PAGES_MAX) {
			l->left_out += end - i;
			break;
		}
		herd_memory_page_name(tm->m, &tm->pages[i], true, page);
		snprintf(path, sizeof(path), "%s/%s/%s", name,
			 herd_memory_item_name(HERD_PROCESS_PAGES), page);
		err = add(l, what + 1, path);
		l->pages++;
	}
	return err;
}

static int add_process(struct list *l, const struct herd_tree_machine *tm,
		       uint32_t process)
{
	const struct herd_process *p = &tm->m->processes[process];
	uint32_t what = tm->base[process];
	char name[HERD_MEMORY_NAME_MAX + 1];
	char path[2 * HERD_MEMORY_NAME_MAX + 16];
	int err = 0;

	herd_memory_process_name(tm->m, process, name);
	for (uint32_t i = 1; i < HERD_PROCESS_ITEM_MAX && !err; i++) {
		if (i == HERD_PROCESS_STATUS || i == HERD_PROCESS_MISSING)
			continue;
		snprintf(path, sizeof(path), "%s/%s", name,
			 herd_memory_item_name(i));
		err = add(l, what + i, path);
	}
	what += HERD_PROCESS_FIXED + (uint32_t)(p->n_fds + p->n_vmas);
	return err ? err : add_pages(l, tm, process, name, what);
}

static int add_all(struct list *l, const struct herd_memory_at *dir)
{
	const struct herd_tree_machine *tm = dir->machine;
	char path[300];
	int err = 0;

	for (uint32_t i = 1; i < HERD_MEMORY_ITEM_MAX && !err; i++) {
		if (i == HERD_MEMORY_FINDINGS)
			continue;
		snprintf(path, sizeof(path), "%s%s",
			 i >= HERD_MEMORY_BANNER ? "kernel/" : "",
			 herd_memory_top_name(i));
		err = add(l, i, path);
	}
	for (uint32_t i = 0; i < tm->m->n_processes && !err; i++)
		if (herd_memory_shows(dir, HERD_SUBJECT_PROCESS, i))
			err = add_process(l, tm, i);
	return err;
}

int herd_memory_manifest(struct herd_tree *t, struct herd_txn *txn,
			 struct herd_tree_instance *i, struct herd_buf *out)
{
	struct list l = { t, txn, i, out, 0, 0 };
	CLEANUP_MEMORY_AT struct herd_memory_at dir;
	int err = herd_memory_at_init(&dir, t, txn,
				      herd_node_memory(HERD_MEMORY_DEVIANT,
						       i->record.id,
						       HERD_MEMORY_DIR));

	if (err == -ENOENT) /* it has none */
		return 0;
	herd_buf_put(out, head, sizeof(head) - 1);
	/* the disk's part does not fail because memory's does */
	if (!err)
		err = add_all(&l, &dir);
	if (l.left_out)
		herd_buf_printf(out,
				"# %zu texts more of pages/ are not "
				"listed: these are %zu.\n",
				l.left_out, l.pages);
	if (err && err != -ENOMEM) {
		herd_buf_printf(out, "# It could not be read: what follows of "
				     "it is not listed.\n");
		err = 0;
	}
	return err ? err : herd_buf_error(out);
}
