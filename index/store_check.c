/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks at a data file with plain reads before LMDB works on it. LMDB trusts
 * its file: a page that is cut off is SIGBUS to it, a wrong offset in one a
 * stray read, a wrong list of free pages lost data. So the header is checked
 * before LMDB maps the file, and, with a transaction open that keeps the
 * pages from changing, every page of every tree once: that it lies in the
 * file, belongs to one tree only, and that all in it lies within it, in
 * order. Of large values only the first page's header is read. This takes
 * some 10 ms for 100 MB.
 *
 * A file may be shorter than its last page says: pages at the end that were
 * taken and given back in one transaction are never written.
 *
 * The layout is LMDB 0.9's (data version 1), on a 64-bit machine of the same
 * byte order; LMDB itself refuses others.
 *
 * Threads: values only.
 */
#include "index/store_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#define PAGE_HEADER 16
#define META_BYTES 136
#define META_MAGIC 0xbeefc0deu
#define META_VERSION 1u
#define FIRST_PAGE 2		/* after the two meta pages */
#define NO_PAGE UINT64_MAX
#define MISSING_MAX (1u << 20)	/* pages that one transaction gives back */
#define DEPTH_MAX 32		/* LMDB's own */
#define KEY_MAX 511
#define TREE_BYTES 48

enum { PAGE_BRANCH = 1, PAGE_LEAF = 2, PAGE_OVERFLOW = 4, PAGE_META = 8 };
enum { NODE_BIG = 1, NODE_TREE = 2 };
#define TREE_FLAGS 0x7f
#define TREE_INTEGER_KEYS 0x08

/* Where a tree begins, as LMDB writes it down. */
struct tree {
	unsigned flags, depth;
	uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};

struct data_file {
	int fd;
	const char *label;
	struct herd_diag *diag;
	uint32_t page_size;
	/* of the meta page chosen */
	struct tree free_tree, main_tree;
	uint64_t last_page, txnid;
	/* the walk */
	uint64_t pages;		/* whole ones, in the file */
	uint8_t *seen;		/* a bit for each page up to last_page */
};

/* One tree's walk: what was met, and the key before. */
struct walk {
	struct data_file *f;
	struct tree met;
	bool free_pages, main;
	uint8_t key[KEY_MAX];
	size_t key_len;
	bool has_key, equal;	/* equal: the next one may be the same */
};

static uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static bool read_at(const struct data_file *f, void *buf, size_t n,
		    uint64_t off)
{
	return off <= INT64_MAX && pread(f->fd, buf, n, (off_t)off) ==
	       (ssize_t)n;
}

static struct tree load_tree(const uint8_t *p)
{
	return (struct tree){
		.flags = load16(p + 4), .depth = load16(p + 6),
		.branch_pages = load64(p + 8), .leaf_pages = load64(p + 16),
		.overflow_pages = load64(p + 24), .entries = load64(p + 32),
		.root = load64(p + 40),
	};
}

/* ---- meta pages ---- */

/*
 * Magic, version, address, map size; the tree of free pages (whose first
 * field is the page size) and the main one; last page, transaction. `txnid`:
 * which is looked for; 0: the newer.
 */
static bool read_meta(struct data_file *f, uint64_t off, uint64_t txnid)
{
	uint8_t page[PAGE_HEADER + META_BYTES];
	const uint8_t *meta = page + PAGE_HEADER;

	if (!read_at(f, page, sizeof(page), off) ||
	    !(load16(page + 10) & PAGE_META) || load32(meta) != META_MAGIC ||
	    load32(meta + 4) != META_VERSION)
		return false;
	uint32_t page_size = load32(meta + 24);
	uint64_t own = load64(meta + 128);

	if (page_size < 512 || page_size > 65536 ||
	    (page_size & (page_size - 1)) ||
	    (f->page_size && f->page_size != page_size))
		return false;
	if (txnid ? own == txnid : !f->page_size || own > f->txnid) {
		f->free_tree = load_tree(meta + 24);
		f->main_tree = load_tree(meta + 72);
		f->last_page = load64(meta + 120);
		f->txnid = own;
	}
	f->page_size = page_size;
	return true;
}

static bool read_metas(struct data_file *f, uint64_t txnid)
{
	f->page_size = 0;
	f->txnid = 0;
	return read_meta(f, 0, txnid) && read_meta(f, f->page_size, txnid);
}

/* ---- pages ---- */

static int damaged(struct data_file *f, uint64_t page, const char *what)
{
	uint64_t off = page < INT64_MAX / f->page_size ?
		       page * f->page_size : HERD_NO_OFFSET;

	return herd_diag_set(f->diag, -EBADMSG, f->label, off,
			     "data.mdb is damaged (%s)", what);
}

static int cut_short(struct data_file *f)
{
	return herd_diag_set(f->diag, -EBADMSG, f->label, HERD_NO_OFFSET,
			     "data.mdb is cut short: %llu pages of %llu",
			     (unsigned long long)f->pages,
			     (unsigned long long)f->last_page + 1);
}

/* n pages that nobody else has. */
static int claim(struct data_file *f, uint64_t page, uint64_t n)
{
	if (page < FIRST_PAGE || page > f->last_page || n == 0 ||
	    n > f->last_page - page + 1)
		return damaged(f, page, "a page that is not there");
	for (uint64_t i = page; i < page + n; i++) {
		if (f->seen[i / 8] & 1u << i % 8)
			return damaged(f, i, "a page that is used twice");
		f->seen[i / 8] |= (uint8_t)(1u << i % 8);
	}
	return 0;
}

/* The same, and in the file. */
static int claim_written(struct data_file *f, uint64_t page, uint64_t n)
{
	int r = claim(f, page, n);

	return !r && page + n > f->pages ? cut_short(f) : r;
}

/* A list of free pages: how many, then they, from the last to the first. */
static int check_list(struct data_file *f, uint64_t page, const uint8_t *list,
		      size_t len)
{
	uint64_t n = len >= 8 ? load64(list) : 0, last = NO_PAGE;
	int r = 0;

	if (len < 8 || len % 8 || n > len / 8 - 1)
		return damaged(f, page, "free pages");
	for (uint64_t i = 1; i <= n && !r; i++) {
		uint64_t at = load64(list + 8 * i);

		r = at >= last ? damaged(f, page, "free pages") :
				 claim(f, at, 1);
		last = at;
	}
	return r;
}

/* A value with pages of its own. */
static int check_big(struct walk *w, uint64_t page, uint64_t len)
{
	struct data_file *f = w->f;
	uint64_t pages = (PAGE_HEADER + len + f->page_size - 1) / f->page_size;
	uint8_t header[PAGE_HEADER];
	int r = claim_written(f, page, pages);

	if (r)
		return r;
	if (!read_at(f, header, sizeof(header), page * f->page_size) ||
	    load64(header) != page || load16(header + 10) != PAGE_OVERFLOW ||
	    load32(header + 12) != pages)
		return damaged(f, page, "a large value");
	w->met.overflow_pages += pages;
	if (!w->free_pages)
		return 0;
	uint8_t *list CLEANUP_FREE = malloc(len ? len : 1);

	if (!list)
		return -ENOMEM;
	if (!read_at(f, list, len, page * f->page_size + PAGE_HEADER))
		return damaged(f, page, "free pages");
	return check_list(f, page, list, len);
}

/* ---- trees ---- */

static int check_tree(struct data_file *f, const struct tree *tree,
		      bool free_pages, bool main);
static int check_page(struct walk *w, uint64_t number, unsigned level);

static bool key_follows(struct walk *w, const uint8_t *key, size_t len)
{
	if (!w->has_key)
		return true;
	if (w->free_pages)
		return load64(key) > load64(w->key) ||
		       (w->equal && load64(key) == load64(w->key));
	size_t n = len < w->key_len ? len : w->key_len;
	int order = memcmp(w->key, key, n);

	return order < 0 || (order == 0 && (w->key_len < len ||
					    (w->equal && w->key_len == len)));
}

static void set_key(struct walk *w, const uint8_t *key, size_t len, bool equal)
{
	memcpy(w->key, key, len);
	w->key_len = len;
	w->has_key = true;
	w->equal = equal;
}

static bool is_table(const uint8_t *name, size_t len)
{
	for (int i = 0; i < TABLE_MAX; i++)
		if (strlen(herd_table_names[i]) == len &&
		    !memcmp(herd_table_names[i], name, len))
			return true;
	return false;
}

/* A tree within the main one. Others than ours are never looked into. */
static int check_table(struct data_file *f, uint64_t page, const uint8_t *name,
		       size_t name_len, const uint8_t *value)
{
	struct tree tree = load_tree(value);

	if (!is_table(name, name_len))
		return 0;
	if (tree.flags)
		return damaged(f, page, "the kind of a table");
	return check_tree(f, &tree, false, false);
}

/* 32 bits of length, flags, length of the key; key and value. */
static int check_leaf_node(struct walk *w, uint64_t number,
			   const uint8_t *node, size_t room)
{
	uint32_t len = load32(node);
	unsigned flags = load16(node + 4);
	size_t key_len = load16(node + 6);
	const uint8_t *key = node + 8, *value = key + key_len;

	if (key_len == 0 || key_len > KEY_MAX || key_len > room - 8 ||
	    (w->free_pages && key_len != 8) || !key_follows(w, key, key_len))
		return damaged(w->f, number, "a key");
	set_key(w, key, key_len, false);
	w->met.entries++;
	room -= 8 + key_len;
	if (flags == NODE_BIG)
		return room < 8 ? damaged(w->f, number, "a value") :
				  check_big(w, load64(value), len);
	if (len > room || (flags && flags != NODE_TREE) ||
	    (flags == NODE_TREE && (!w->main || len != TREE_BYTES)))
		return damaged(w->f, number, "a value");
	if (flags == NODE_TREE)
		return check_table(w->f, number, key, key_len, value);
	return w->free_pages ? check_list(w->f, number, value, len) : 0;
}

/* 48 bits of page, length of the key; key (that of the first is not used). */
static int check_branch_node(struct walk *w, uint64_t number,
			     const uint8_t *node, size_t room, bool first,
			     unsigned level)
{
	uint64_t child = load32(node) | (uint64_t)load16(node + 4) << 32;
	size_t key_len = load16(node + 6);

	if (key_len > KEY_MAX || key_len > room - 8 ||
	    (!first && (key_len == 0 || (w->free_pages && key_len != 8) ||
			!key_follows(w, node + 8, key_len))))
		return damaged(w->f, number, "a key");
	/* what is below has no key under the one that leads there */
	if (!first)
		set_key(w, node + 8, key_len, true);
	return check_page(w, child, level + 1);
}

static int check_page(struct walk *w, uint64_t number, unsigned level)
{
	struct data_file *f = w->f;
	uint8_t *page CLEANUP_FREE = malloc(f->page_size);
	int r = claim_written(f, number, 1);

	if (r)
		return r;
	if (!page)
		return -ENOMEM;
	if (!read_at(f, page, f->page_size, number * f->page_size))
		return damaged(f, number, "it cannot be read");
	unsigned flags = load16(page + 10), lower = load16(page + 12);
	unsigned upper = load16(page + 14);
	bool leaf = flags == PAGE_LEAF;
	unsigned n = lower >= PAGE_HEADER ? (lower - PAGE_HEADER) / 2 : 0;

	if (load64(page) != number || (!leaf && flags != PAGE_BRANCH) ||
	    lower % 2 || lower > upper || upper > f->page_size ||
	    n < (leaf ? 1 : 2) || level > DEPTH_MAX)
		return damaged(f, number, "the header of a page");
	*(leaf ? &w->met.leaf_pages : &w->met.branch_pages) += 1;
	if (leaf && !w->met.depth)
		w->met.depth = level;
	if (leaf && w->met.depth != level)
		return damaged(f, number, "the depth of a tree");
	for (unsigned i = 0; i < n && !r; i++) {
		size_t off = load16(page + PAGE_HEADER + 2 * i);

		if (off < upper || off % 2 || off + 8 > f->page_size)
			return damaged(f, number, "where a key lies");
		r = leaf ? check_leaf_node(w, number, page + off,
					   f->page_size - off) :
			   check_branch_node(w, number, page + off,
					     f->page_size - off, i == 0, level);
	}
	return r;
}

static int check_tree(struct data_file *f, const struct tree *tree,
		      bool free_pages, bool main)
{
	struct walk w = { .f = f, .free_pages = free_pages, .main = main };
	int r = tree->root == NO_PAGE ? 0 : check_page(&w, tree->root, 1);

	if (!r && (w.met.entries != tree->entries ||
		   w.met.depth != tree->depth ||
		   w.met.branch_pages != tree->branch_pages ||
		   w.met.leaf_pages != tree->leaf_pages ||
		   w.met.overflow_pages != tree->overflow_pages))
		r = damaged(f, tree->root, "what a tree holds");
	return r;
}

int herd_store_check_pages(int fd, uint64_t txnid, const char *label,
			   struct herd_diag *diag)
{
	struct data_file f = { .fd = fd, .label = label, .diag = diag };
	struct stat st;

	if (!read_metas(&f, txnid) || fstat(fd, &st))
		return herd_diag_set(diag, -EBADMSG, label, HERD_NO_OFFSET,
				     "data.mdb is damaged");
	f.pages = (uint64_t)st.st_size / f.page_size;
	/* the empty store of transaction 0 has no page but these */
	if (txnid && f.txnid != txnid)
		return -EAGAIN;
	if ((f.free_tree.flags & TREE_FLAGS) != TREE_INTEGER_KEYS ||
	    f.main_tree.flags || f.last_page < FIRST_PAGE - 1)
		return damaged(&f, 0, "its head");
	if (f.last_page > f.pages + MISSING_MAX)
		return cut_short(&f);
	uint8_t *seen CLEANUP_FREE = calloc(f.last_page / 8 + 1, 1);

	if (!seen)
		return -ENOMEM;
	f.seen = seen;
	int r = check_tree(&f, &f.main_tree, false, true);

	return r ? r : check_tree(&f, &f.free_tree, true, false);
}

/* ---- the file ---- */

/* What is ours, or may be in a directory that becomes ours. */
static bool is_known(const char *name)
{
	static const char *const known[] = {
		".", "..", "data.mdb", "data.mdb.new", "known", "lock.mdb",
		"lost+found", "policy", "writer.lock",
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(name, known[i]))
			return true;
	return false;
}

static int check_empty(const char *dir, const char *label,
		       struct herd_diag *diag)
{
	DIR *d = opendir(dir);
	int r = d ? 0 : -errno;

	if (r)
		return herd_diag_set(diag, r, label, HERD_NO_OFFSET, "%s",
				     strerror(-r));
	for (struct dirent *e; !r && (e = readdir(d));)
		if (!is_known(e->d_name))
			r = herd_diag_set(diag, -ENOTEMPTY, label,
					  HERD_NO_OFFSET, "is no store, and "
					  "holds other files (%s)", e->d_name);
	closedir(d);
	return r;
}

int herd_store_check_file(const char *dir, const char *label, bool create,
			  struct herd_diag *diag)
{
	char path[PATH_MAX];
	struct data_file f = { .fd = -1 };
	struct stat st;

	snprintf(path, sizeof(path), "%s/data.mdb", dir);
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && errno != ENOENT)
		return herd_diag_set(diag, -errno, label, HERD_NO_OFFSET,
				     "data.mdb: %s", strerror(errno));
	if (fd < 0 || (!fstat(fd, &st) && st.st_size == 0)) {
		if (create)
			return check_empty(dir, label, diag);
		return herd_diag_set(diag, -ENOENT, label, HERD_NO_OFFSET,
				     "there is none (attach makes one)");
	}
	f.fd = fd;
	if (!read_metas(&f, 0))
		return herd_diag_set(diag, -EBADMSG, label, HERD_NO_OFFSET,
				     "data.mdb is damaged, or is no LMDB file");
	return 0;
}

int herd_store_may_be(const char *dir, struct herd_diag *diag)
{
	struct stat st;

	if (stat(dir, &st) && errno == ENOENT)
		return 0;
	return herd_store_check_file(dir, dir, true, diag);
}
