/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An NTFS inode put together: the attributes of its base record and of the
 * records its attribute list names, merged into streams. And reading streams.
 * Threads: as struct herd_ntfs, one at a time.
 */
#include "index/ntfs.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIST_MAX (256u << 10) /* bytes of one attribute list, as in NTFS */
#define LOST_MAX 16u	      /* records of a list that are not what it says */
#define STREAMS_MAX 8192      /* of one inode */

bool herd_ntfs_spend(struct herd_ntfs *n, uint64_t bytes)
{
	if (bytes > n->budget)
		return false;
	n->budget -= bytes;
	return true;
}

void herd_ntfs_stream_deinit(struct herd_ntfs_stream *st)
{
	free(st->name);
	free(st->value);
	free(st->runs);
	*st = (struct herd_ntfs_stream){ 0 };
}

void herd_ntfs_node_deinit(struct herd_ntfs_node *node)
{
	for (size_t i = 0; i < node->n_streams; i++)
		herd_ntfs_stream_deinit(&node->streams[i]);
	free(node->streams);
	*node = (struct herd_ntfs_node){ 0 };
}

static bool named(const struct herd_ntfs_stream *st, const char *name)
{
	size_t n = strlen(name);

	if (st->name_len != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (st->name[2 * i] != (uint8_t)name[i] || st->name[2 * i + 1])
			return false;
	return true;
}

struct herd_ntfs_stream *herd_ntfs_stream(struct herd_ntfs_node *node,
					  uint32_t type, const char *name)
{
	for (size_t i = 0; i < node->n_streams; i++)
		if (node->streams[i].type == type &&
		    named(&node->streams[i], name))
			return &node->streams[i];
	return NULL;
}

/* Attributes of which an inode may have several with one name. */
static bool repeats(uint32_t type)
{
	return type == HERD_NTFS_FILE_NAME;
}

static int stream_for(struct herd_ntfs_node *node,
		      const struct herd_ntfs_attr *a,
		      struct herd_ntfs_stream **ret)
{
	struct herd_ntfs_stream *st;

	for (size_t i = 0; i < node->n_streams && !repeats(a->type); i++) {
		st = &node->streams[i];
		if (st->type == a->type && st->name_len == a->name_len &&
		    !memcmp(st->name, a->name ? a->name : (const uint8_t *)"",
			    2 * (size_t)a->name_len)) {
			*ret = st;
			return 0;
		}
	}
	if (node->n_streams == STREAMS_MAX)
		return -EOVERFLOW;
	if (node->n_streams == node->cap_streams) {
		size_t cap = node->cap_streams ? 2 * node->cap_streams : 8;

		st = reallocarray(node->streams, cap, sizeof(*st));
		if (!st)
			return -ENOMEM;
		node->streams = st;
		node->cap_streams = cap;
	}
	st = &node->streams[node->n_streams];
	*st = (struct herd_ntfs_stream){ .type = a->type,
					 .name_len = a->name_len };
	st->name = malloc(2 * (size_t)a->name_len + 1);
	if (!st->name)
		return -ENOMEM;
	if (a->name_len)
		memcpy(st->name, a->name, 2 * (size_t)a->name_len);
	node->n_streams++;
	*ret = st;
	return 0;
}

static int add_attribute(struct herd_ntfs *n, struct herd_ntfs_node *node,
			 const struct herd_ntfs_attr *a)
{
	struct herd_ntfs_stream *st = NULL;
	size_t before;
	int err = stream_for(node, a, &st);

	if (err)
		return err;
	if (a->resident) {
		if (st->sized)
			return -EBADMSG; /* twice the same */
		st->value = malloc((size_t)a->value_len + 1);
		if (!st->value)
			return -ENOMEM;
		memcpy(st->value, a->value, a->value_len);
		st->value_len = a->value_len;
		st->size = st->initialised = a->value_len;
		st->resident = st->sized = true;
		st->flags = a->flags;
		return 0;
	}
	if (st->resident || (st->sized && !a->first_vcn))
		return -EBADMSG;
	if (!a->first_vcn) {
		st->sized = true;
		st->flags = a->flags;
		st->unit = a->unit;
		st->size = a->size;
		st->initialised = a->initialised;
	}
	before = st->n_runs;
	err = herd_ntfs_runs(a, n->g.clusters,
			     HERD_RUNS_MAX - node->total_runs + before, st);
	node->total_runs += st->n_runs - before;
	return err;
}

static void complain(struct herd_ntfs_node *node, const char *what,
		     uint64_t number)
{
	if (!*node->problem)
		snprintf(node->problem, sizeof(node->problem),
			 "%s (record %llu)", what, (unsigned long long)number);
}

/* Adds all attributes of one record. Broken ones end it, with a problem. */
static int add_record(struct herd_ntfs *n, struct herd_ntfs_node *node,
		      const uint8_t *rec, uint64_t number)
{
	struct herd_ntfs_walk w;
	struct herd_ntfs_attr a;
	int err;

	herd_ntfs_walk(&w, rec, n->g.record);
	while ((err = herd_ntfs_next(&w, &a)) == 1) {
		/* namespace 2: the 8.3 alias of another name */
		if (a.type == HERD_NTFS_FILE_NAME &&
		    !(a.resident && a.value_len > 65 && a.value[65] == 2))
			node->names++;
		err = add_attribute(n, node, &a);
		if (err == -ENOMEM)
			return err;
		if (err)
			complain(node,
				 err == -EOVERFLOW ?
					 "too many attributes or runs" :
					 "a damaged attribute",
				 number);
	}
	if (err)
		complain(node, "a damaged record", number);
	return 0;
}

static int by_vcn(const void *a, const void *b)
{
	const struct herd_ntfs_run *x = a, *y = b;

	return x->vcn < y->vcn ? -1 : x->vcn > y->vcn;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* The records that an attribute list names, sorted, each once. */
static int list_records(const uint8_t *list, size_t len, uint64_t self,
			uint64_t **ret, size_t *ret_n)
{
	CLEANUP_FREE uint64_t *v = calloc(len / 26 + 1, sizeof(*v));
	size_t n = 0, k = 0;

	if (!v)
		return -ENOMEM;
	for (size_t at = 0; at + 26 <= len;) {
		struct herd_cursor c = herd_cursor(list + at, len - at);
		uint64_t number;
		unsigned step;

		herd_cur_seek(&c, 4);
		step = herd_cur_le16(&c);
		herd_cur_seek(&c, 16);
		number = herd_cur_le64(&c) & 0xffffffffffffull;
		if (step < 26)
			break;
		if (number != self)
			v[n++] = number;
		at += step;
	}
	if (n)
		qsort(v, n, sizeof(*v), by_number);
	for (size_t i = 0; i < n; i++)
		if (!i || v[i] != v[i - 1])
			v[k++] = v[i];
	*ret = TAKE_PTR(v);
	*ret_n = k;
	return 0;
}

/* Whether rec is an extension of record `base`. */
static bool extends(const uint8_t *rec, size_t len, uint64_t base)
{
	struct herd_cursor c = herd_cursor(rec, len);

	herd_cur_seek(&c, 32);
	return (herd_cur_le64(&c) & 0xffffffffffffull) == base && !c.bad;
}

static int follow_list(struct herd_ntfs *n, struct herd_ntfs_node *node,
		       uint8_t *rec)
{
	struct herd_ntfs_stream *st =
		herd_ntfs_stream(node, HERD_NTFS_ATTRIBUTE_LIST, "");
	CLEANUP_FREE uint8_t *list = NULL;
	CLEANUP_FREE uint64_t *numbers = NULL;
	size_t count = 0;
	unsigned lost = 0;
	int err;

	if (!st)
		return 0;
	if (st->size > LIST_MAX ||
	    (!st->resident && !herd_ntfs_stream_whole(n, st))) {
		complain(node, "a damaged attribute list", node->number);
		return 0;
	}
	list = malloc(st->size + 1);
	if (!list)
		return -ENOMEM;
	if (!herd_ntfs_spend(n, st->size) ||
	    herd_ntfs_stream_read(n, st, list, st->size, 0, NULL)) {
		complain(node, "an unreadable attribute list", node->number);
		return 0;
	}
	err = list_records(list, st->size, node->number, &numbers, &count);
	for (size_t i = 0; i < count && !err && lost < LOST_MAX; i++) {
		if (!n->record(n, numbers[i], rec, NULL) &&
		    extends(rec, n->g.record, node->number)) {
			err = add_record(n, node, rec, numbers[i]);
			continue;
		}
		complain(node, "an unreadable extension", numbers[i]);
		lost++;
	}
	return err;
}

static void sort_runs(struct herd_ntfs_node *node)
{
	for (size_t i = 0; i < node->n_streams; i++) {
		struct herd_ntfs_stream *st = &node->streams[i];

		if (st->n_runs > 1)
			qsort(st->runs, st->n_runs, sizeof(*st->runs), by_vcn);
	}
}

int herd_ntfs_node_load(struct herd_ntfs *n, uint64_t number,
			struct herd_ntfs_node *ret, struct herd_diag *diag)
{
	CLEANUP_FREE uint8_t *rec = malloc(n->g.record);
	CLEANUP(herd_ntfs_node_deinit) struct herd_ntfs_node node = { 0 };
	struct herd_cursor c;
	unsigned flags;
	int err;

	if (!rec)
		return -ENOMEM;
	err = n->record(n, number, rec, diag);
	if (err)
		return err;
	c = herd_cursor(rec, n->g.record);
	herd_cur_seek(&c, 22);
	flags = herd_cur_le16(&c);
	if (!(flags & 1))
		return herd_diag_set(diag, -EBADMSG, n->source->name,
				     HERD_NO_OFFSET,
				     "record %llu is not in use",
				     (unsigned long long)number);
	if (!extends(rec, n->g.record, 0))
		return herd_diag_set(diag, -EBADMSG, n->source->name,
				     HERD_NO_OFFSET,
				     "record %llu is an extension of another",
				     (unsigned long long)number);
	node.number = number;
	node.directory = flags & 2;
	err = add_record(n, &node, rec, number);
	if (!err)
		err = follow_list(n, &node, rec);
	if (err)
		return err;
	sort_runs(&node);
	*ret = node;
	node = (struct herd_ntfs_node){ 0 };
	return 0;
}

bool herd_ntfs_stream_whole(const struct herd_ntfs *n,
			    const struct herd_ntfs_stream *st)
{
	uint64_t at = 0;

	if (!st->sized)
		return false;
	if (st->resident)
		return true;
	for (size_t i = 0; i < st->n_runs; i++) {
		if (st->runs[i].vcn != at)
			return false;
		at += st->runs[i].len;
	}
	return st->size <= at * n->g.cluster;
}

/* The last run that begins at or before vcn, or NULL. */
static const struct herd_ntfs_run *run_at(const struct herd_ntfs_stream *st,
					  uint64_t vcn)
{
	size_t lo = 0, hi = st->n_runs;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (st->runs[mid].vcn <= vcn)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo || vcn - st->runs[lo - 1].vcn >= st->runs[lo - 1].len)
		return NULL;
	return &st->runs[lo - 1];
}

int herd_ntfs_stream_read(struct herd_ntfs *n,
			  const struct herd_ntfs_stream *st, void *buf,
			  size_t len, uint64_t off, struct herd_diag *diag)
{
	uint8_t *out = buf;

	if (st->resident) {
		if (off > st->value_len || len > st->value_len - off)
			return -EBADMSG;
		memcpy(out, st->value + off, len);
		return 0;
	}
	while (len) {
		const struct herd_ntfs_run *r = run_at(st, off / n->g.cluster);
		uint64_t in, k;
		int err = 0;

		if (!r)
			return herd_diag_set(diag, -EBADMSG, n->source->name,
					     HERD_NO_OFFSET,
					     "a run list ends before byte %llu",
					     (unsigned long long)off);
		in = off - r->vcn * n->g.cluster;
		k = r->len * n->g.cluster - in;
		if (k > len)
			k = len;
		if (r->lcn == HERD_NTFS_HOLE)
			memset(out, 0, k);
		else
			err = herd_source_read(n->source, out, k,
					       r->lcn * n->g.cluster + in,
					       diag);
		if (err)
			return err;
		out += k;
		off += k;
		len -= k;
	}
	return 0;
}
