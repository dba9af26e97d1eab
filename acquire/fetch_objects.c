/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects of S3 as the fetcher knows them. Which one is meant (its size, ETag
 * and version) S3 is asked once, by whoever opens it first, and that is kept
 * in the cache: by the digest of all of that, under which its blocks are as
 * well; and by what it is called, so that without the network the one that was
 * there last is found.
 *
 * What its reader knows already is another thing than what has to be found
 * out: for a mount S3 is asked whether it still has it, and where it does not
 * answer what is in the cache is served all the same. Each block is asked for
 * with the ETag, so that nothing of another object is ever put beside it.
 *
 * Threads: as acquire/fetch_internal.h says.
 */
#include "acquire/fetch_internal.h"

#include "acquire/base/cursor.h"
#include "acquire/fetch_object_name.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BLOCK (512u << 10)
#define LOOK_MS 5000 /* so long S3 has to say that it is still there */
#define RUN_LEAST 2u /* blocks in a row, and more will follow */
#define RUN_MOST 16u /* fetched ahead then */

struct asked {
	struct herd_fetch *f;
	size_t snapshot;
};

/* ---- what the cache keeps of one ---- */

static void put_text(struct herd_buf *b, const char *text)
{
	herd_buf_varint(b, strlen(text));
	herd_buf_put(b, text, strlen(text));
}

static bool take_text(struct herd_cursor *c, char *to, size_t size)
{
	uint64_t n = herd_cur_varint(c);
	const void *p = n < size ? herd_cur_bytes(c, n) : NULL;

	if (!p || memchr(p, '\0', n))
		return false;
	memcpy(to, p, n);
	to[n] = '\0';
	return true;
}

static void note_encode(const struct herd_s3_name *n,
			const struct herd_s3_state *s, struct herd_buf *ret)
{
	put_text(ret, n->bucket);
	put_text(ret, n->key);
	put_text(ret, n->version);
	put_text(ret, s->etag);
	put_text(ret, s->version);
	herd_buf_varint(ret, s->size);
}

/* Of the object that it must be: what cannot be that is none. */
static bool note_decode(const struct herd_buf *note,
			const struct herd_fetch_object *o,
			struct herd_s3_state *ret)
{
	struct herd_cursor c = herd_cursor(note->data, note->len);
	struct herd_s3_name n;
	struct herd_s3_state s = { .version = "" };
	uint8_t id[HERD_SHA256_LEN];

	if (!take_text(&c, n.bucket, sizeof(n.bucket)) ||
	    !take_text(&c, n.key, sizeof(n.key)) ||
	    !take_text(&c, n.version, sizeof(n.version)) ||
	    !take_text(&c, s.etag, sizeof(s.etag)) ||
	    !take_text(&c, s.version, sizeof(s.version)))
		return false;
	s.size = herd_cur_varint(&c);
	if (c.bad || herd_cur_left(&c) || !s.size ||
	    strcmp(n.bucket, o->name.bucket) || strcmp(n.key, o->name.key))
		return false;
	herd_s3_id(&o->name, &s, id);
	if (o->pinned ? memcmp(id, o->id, sizeof(id)) != 0 :
			strcmp(n.version, o->name.version) != 0)
		return false;
	*ret = s;
	return true;
}

static bool remember(struct herd_fetch *f, const struct herd_fetch_object *o,
		     struct herd_s3_state *ret)
{
	struct herd_buf note CLEANUP_BUF = HERD_BUF_INIT;
	char name[HERD_OBJECT_NAME_LEN + 1];

	if (o->pinned)
		herd_object_name(o->id, name);
	else
		herd_object_last_name(&o->name, name);
	return f->cache &&
	       !herd_block_cache_get_note(f->cache, name, &note, NULL) &&
	       note_decode(&note, o, ret);
}

static void write_down(struct herd_fetch *f, const struct herd_fetch_object *o)
{
	struct herd_buf note CLEANUP_BUF = HERD_BUF_INIT;
	char name[HERD_OBJECT_NAME_LEN + 1];

	note_encode(&o->name, &o->state, &note);
	if (!f->cache || note.failed)
		return;
	herd_object_name(o->id, name);
	herd_block_cache_put_note(f->cache, name, note.data, note.len, NULL);
	if (o->pinned)
		return;
	herd_object_last_name(&o->name, name);
	herd_block_cache_put_note(f->cache, name, note.data, note.len, NULL);
}

/* ---- who is meant ---- */

static bool is_same(const struct herd_fetch_object *x,
		    const struct herd_fetch_object *y)
{
	if (strcmp(x->name.bucket, y->name.bucket) ||
	    strcmp(x->name.key, y->name.key))
		return false;
	if (y->pinned) /* found out here, or known before */
		return (x->pinned || x->known) &&
		       !memcmp(x->id, y->id, sizeof(x->id));
	return !x->pinned && !strcmp(x->name.version, y->name.version);
}

size_t herd_fetch_object(struct herd_fetch *f, const struct herd_fetch_open *o)
{
	struct herd_fetch_object *new = calloc(1, sizeof(*new));
	size_t at = HERD_FETCH_NONE;

	if (!new || !herd_s3_name_parse(o->name, &new->name)) {
		free(new);
		return HERD_FETCH_NONE;
	}
	new->pinned = o->known;
	new->size = o->size;
	memcpy(new->id, o->id, sizeof(new->id));
	for (size_t i = 0; i < f->n_snapshots && at == HERD_FETCH_NONE; i++)
		if (f->snapshots[i]->object &&
		    is_same(f->snapshots[i]->object, new))
			at = i;
	if (at != HERD_FETCH_NONE ||
	    (at = herd_fetch_add(f)) == HERD_FETCH_NONE) {
		free(new);
		return at;
	}
	f->snapshots[at]->object = new;
	if (new->pinned)
		herd_object_name(new->id, f->snapshots[at]->name);
	return at;
}

/* ---- a list of blocks: all of them ---- */

static int make_list(struct herd_fetch_snapshot *s, struct herd_diag *diag)
{
	const struct herd_fetch_object *o = s->object;
	struct herd_block_list l = { .block_size = BLOCK,
				     .volume_size = o->state.size };
	uint64_t n = (o->state.size + BLOCK - 1) / BLOCK;

	if (n >= 1u << 27) /* as the cache has it: 64 TiB */
		return herd_diag_set(diag, -EOVERFLOW, o->name.key,
				     HERD_NO_OFFSET,
				     "is too large (%llu bytes)",
				     (unsigned long long)o->state.size);
	l.indexes = malloc(n * sizeof(*l.indexes));
	if (!l.indexes)
		return -ENOMEM;
	for (; l.n < n; l.n++)
		l.indexes[l.n] = (uint32_t)l.n;
	herd_block_list_deinit(&s->list);
	s->list = l;
	s->listed = true;
	return 0;
}

/* ---- asking S3 ---- */

static int gone(struct herd_fetch_snapshot *s, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

static int gone(struct herd_fetch_snapshot *s, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	herd_diag_clear(&s->diag);
	s->object->gone = -ESTALE;
	return herd_diag_set(&s->diag, -ESTALE, s->object->name.key,
			     HERD_NO_OFFSET, "%s", text);
}

/* Whether it is the one that its reader knows. */
static int compare(struct herd_fetch_snapshot *s,
		   const struct herd_s3_state *is)
{
	static const char changed[] = "changed since it was indexed";
	const struct herd_fetch_object *o = s->object;
	uint8_t id[HERD_SHA256_LEN];

	herd_s3_id(&o->name, is, id);
	if (!memcmp(id, o->id, sizeof(id)))
		return 0;
	if (is->size != o->size)
		return gone(s, "%s: size was %llu, is %llu", changed,
			    (unsigned long long)o->size,
			    (unsigned long long)is->size);
	return gone(s, "%s: its ETag%s%s is %s", changed,
		    o->known ? " was " : "", o->known ? o->state.etag : "",
		    is->etag);
}

static void take_state(struct herd_fetch *f, struct herd_fetch_snapshot *s,
		       const struct herd_s3_state *is)
{
	struct herd_fetch_object *o = s->object;
	bool new = !o->pinned || !o->known;

	o->state = *is;
	o->known = true;
	if (!o->pinned) {
		herd_s3_id(&o->name, is, o->id);
		herd_object_name(o->id, s->name);
	}
	if (new)
		write_down(f, o);
}

/* What S3 could not be asked may be known from before. */
static bool will_do(const struct herd_fetch_object *o, int err)
{
	return o->pinned && o->known && err != -ENOENT && err != -ESTALE &&
	       err != -ENODATA && err != -ECANCELED;
}

static void look_came(void *arg, struct herd_s3_looked *l)
{
	struct asked *a = arg;
	struct herd_fetch *f = a->f;
	struct herd_fetch_snapshot *s = f->snapshots[a->snapshot];
	struct herd_fetch_object *o = s->object;
	size_t snapshot = a->snapshot;
	int err = l->err;

	free(a);
	o->looking = false;
	s->cost.list_calls++;
	if (!err && o->pinned)
		err = compare(s, &l->state);
	else if (err == -ENOENT && o->pinned)
		err = gone(s, "is not there any more: %s", l->diag.message);
	else if (err)
		s->diag = l->diag;
	if (!err) {
		take_state(f, s, &l->state);
		f->dead_since = 0;
	} else {
		s->cost.failed++;
	}
	if (will_do(o, err))
		err = 0;
	o->looked = !err;
	if (err != -ECANCELED)
		herd_fetch_moved(f, snapshot, err, &s->diag);
}

/* ms until what is known will do: before the reader's own time is up. */
static int64_t patience(const struct herd_fetch *f)
{
	unsigned limit = f->options->timeout_ms;

	if (f->dead_since)
		return 0;
	return limit && limit / 2 < LOOK_MS ? limit / 2 : LOOK_MS;
}

static int look(struct herd_fetch *f, size_t snapshot, struct herd_diag *diag)
{
	struct herd_fetch_object *o = f->snapshots[snapshot]->object;
	struct asked *a;
	int err = herd_fetch_online(f, diag);

	if (err)
		return err;
	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct asked){ f, snapshot };
	err = herd_s3_look(f->aws, &o->name, look_came, a);
	if (err) {
		free(a);
		return err;
	}
	o->looking = true;
	o->look_until = herd_fetch_now_ms() + patience(f);
	return 0;
}

int64_t herd_fetch_object_due(const struct herd_fetch_snapshot *s)
{
	const struct herd_fetch_object *o = s->object;

	return o && o->looking && !s->listed && o->pinned && o->known ?
		       o->look_until :
		       INT64_MAX;
}

int herd_fetch_object_listed(struct herd_fetch *f, size_t snapshot,
			     struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	struct herd_fetch_object *o = s->object;
	int err = 0;

	if (o->gone) {
		if (diag)
			*diag = s->diag;
		return o->gone;
	}
	if (s->listed)
		return 0;
	if (!o->known && (o->pinned || f->options->offline) &&
	    remember(f, o, &o->state)) {
		o->known = true;
		herd_s3_id(&o->name, &o->state, o->id);
		herd_object_name(o->id, s->name);
	}
	if (!o->looked && !(o->known && f->options->offline)) {
		if (!o->looking)
			err = look(f, snapshot, diag);
		if (err && !will_do(o, err))
			return err;
		if (!err && herd_fetch_now_ms() < herd_fetch_object_due(s))
			return -EINPROGRESS;
	}
	return make_list(s, diag);
}

bool herd_fetch_object_failed(struct herd_fetch_snapshot *s, int err,
			      const struct herd_diag *diag)
{
	/* a version of it that is gone, or it has been put there anew */
	if (!s->object->gone &&
	    (err == -ESTALE || err == -ENOENT || err == -ENODATA))
		gone(s, "%s: %s",
		     s->object->pinned ? "changed since it was indexed" :
					 "changed while it was read",
		     diag->message);
	return s->object->gone;
}

/* ---- ahead ---- */

void herd_fetch_object_read(struct herd_fetch *f, size_t snapshot, uint64_t off,
			    uint32_t len)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	struct herd_fetch_object *o = s->object;
	uint32_t first, last, n;

	if (!o || !s->listed || !len || off > s->list.volume_size ||
	    len > s->list.volume_size - off)
		return;
	first = (uint32_t)(off / BLOCK);
	last = (uint32_t)((off + len - 1) / BLOCK);
	if (first != o->last && first != o->last + 1)
		o->run = 0;
	else if (last == o->last)
		return; /* still in that one */
	else
		o->run += last - o->last;
	o->last = last;
	n = o->run < RUN_MOST ? o->run : RUN_MOST;
	for (uint32_t i = 1; n >= RUN_LEAST && i <= n; i++)
		if (last + i < s->list.n)
			herd_fetch_ahead(f, snapshot, last + i);
}
