/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AVML with compression: records of LiME's header with the magic "AVML" and
 * version 2, then a Snappy framing stream of the range's bytes, then the
 * stream's length (le64). A record of version 1 is LiME's and may stand among
 * them. Blocks of zeros are left out by the tool: a gap is zeros or no memory.
 *
 * When it is opened all chunks are found by their heads alone. The index has an
 * entry for each, 16 bytes for 64 KiB; past MARKS_MAX (32 GiB) it is thinned to
 * every other one, again and again, and from the entry before it a chunk is
 * found by going on. The CRC of one is checked each time it is unpacked.
 *
 * Threads: immutable once open, but for the cache.
 */
#include "acquire/memory/memory_impl.h"
#include "acquire/memory/memory_snappy.h"

#include <string.h>

#define BLOCK HERD_SNAPPY_BLOCK
#define SLOTS 256u		/* 16 MiB in the cache */
#define MARKS_MAX (1u << 19)
#define IDLE_MAX 4096u		/* chunks in a stream that hold nothing */
#define WINDOW 4096u
#define WIDE (96u << 10)	/* the window of who unpacks: a chunk at least */
#define WIDEST (512u << 10)	/* and of who unpacks many */

struct mark {
	uint64_t phys, off;	/* a chunk's first address; its head */
};

struct stream {
	uint64_t phys, end;	/* end: of its chunks, in the container */
	size_t first, n;	/* marks */
};

struct avml {
	struct herd_memory_source m;
	struct herd_memory_list list;
	struct stream *streams;
	size_t n_streams, streams_cap;
	struct mark *marks;	/* by stream, and then by address */
	size_t n_marks, marks_cap;
	uint64_t step;		/* bytes between two marks of a stream */
	struct herd_memory_cache *cache;
	herd_snappy_known zeros;
};

/* ---- reading ---- */

/* The last mark at or before addr; a stream has at least one. */
static const struct mark *find_mark(const struct avml *a,
				    const struct stream *s, uint64_t addr)
{
	size_t lo = s->first, hi = s->first + s->n;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (a->marks[mid].phys <= addr)
			lo = mid;
		else
			hi = mid;
	}
	return &a->marks[lo];
}

struct unpacking {
	struct avml *a;
	struct herd_snappy_walk walk;
	uint64_t phys;		/* what the walk comes to next */
	uint8_t *block;		/* for what is wanted in part */
};

/* Part of one chunk, which begins at u->phys, by way of the cache. */
static int read_part(struct unpacking *u, const struct herd_snappy_chunk *c,
		     size_t at, uint8_t *to, size_t n, struct herd_diag *diag)
{
	int err;

	if (herd_snappy_is_zeros(&u->walk, c)) {
		memset(to, 0, n);
		return 0;
	}
	if (!u->block)
		u->block = malloc(BLOCK);
	err = u->block ? herd_snappy_unpack(&u->walk, c, u->block, diag) :
			 -ENOMEM;
	if (err)
		return err;
	herd_memory_cache_put(u->a->cache, c->at, u->block, c->len);
	memcpy(to, u->block + at, n);
	return 0;
}

/* [off, off+len) of the stream, chunk by chunk. */
static int read_on(struct unpacking *u, uint64_t off, uint8_t *to, size_t len,
		   struct herd_diag *diag)
{
	struct herd_snappy_chunk c;
	int err = 0;

	while (len && !err) {
		/* of what is passed over only the heads */
		u->walk.ahead = u->phys + BLOCK <= off ? 64 : u->walk.room;
		err = herd_snappy_next(&u->walk, &c, diag);
		if (err || off >= u->phys + c.len) {
			u->phys += err ? 0 : c.len;
			continue;
		}
		size_t at = (size_t)(off - u->phys);
		size_t n = c.len - at < len ? c.len - at : len;

		if (n == c.len)
			err = herd_snappy_unpack(&u->walk, &c, to, diag);
		else if (!herd_memory_cache_get(u->a->cache, c.at, at, to, n))
			err = read_part(u, &c, at, to, n, diag);
		u->phys += c.len;
		off += n;
		to += n;
		len -= n;
	}
	return err;
}

static int read_stream(struct avml *a, const struct stream *s, uint64_t off,
		       uint8_t *to, size_t len, struct herd_diag *diag)
{
	const struct mark *m = find_mark(a, s, off);
	size_t room = len > WIDE ? WIDEST : WIDE;
	CLEANUP_FREE uint8_t *window = NULL;
	int err;

	/* where each chunk has its mark, it need not even be looked for */
	if (a->step == BLOCK && off - m->phys + len <= BLOCK &&
	    herd_memory_cache_get(a->cache, m->off, (size_t)(off - m->phys), to,
				  len))
		return 0;
	/* nothing behind the next mark is needed */
	if (m + 1 < a->marks + s->first + s->n && off + len <= m[1].phys &&
	    m[1].off - m->off < room)
		room = (size_t)(m[1].off - m->off);
	window = malloc(room);

	struct unpacking u = {
		.a = a, .phys = m->phys,
		.walk = { .source = a->m.container, .pos = m->off,
			  .end = s->end, .window = window, .room = room,
			  .known = &a->zeros },
	};

	err = window ? read_on(&u, off, to, len, diag) : -ENOMEM;
	free(u.block);
	return err;
}

static int avml_read(struct herd_source *s, void *buf, size_t len, uint64_t off,
		     struct herd_diag *diag)
{
	struct avml *a = (struct avml *)s;
	uint8_t *to = buf;
	int err = 0;

	while (len && !err) {
		const struct herd_memory_segment *g =
			herd_memory_list_find(&a->list, off);

		if (!g)
			return herd_memory_gap(s, off, diag);
		uint64_t left = g->phys + g->len - off;
		size_t n = len < left ? len : (size_t)left;

		if (g->stream == HERD_MEMORY_PLAIN)
			err = herd_source_read(a->m.container, to, n,
					       g->off + (off - g->phys), diag);
		else
			err = read_stream(a, &a->streams[g->stream], off, to, n,
					  diag);
		to += n;
		off += n;
		len -= n;
	}
	return err;
}

static void avml_destroy(struct herd_source *s)
{
	struct avml *a = (struct avml *)s;

	herd_memory_cache_destroy(a->cache);
	herd_memory_list_deinit(&a->list);
	free(a->streams);
	free(a->marks);
	free(atomic_load(&a->zeros));
	herd_memory_deinit(&a->m);
	free(a);
}

static const struct herd_source_ops avml_ops = {
	.kind = "avml", .read = avml_read, .data_extents = herd_memory_data,
	.lost = herd_memory_lost, .destroy = avml_destroy,
};

/* ---- the index ---- */

/* Leaves every other mark of each stream, the first always. */
static void thin(struct avml *a)
{
	size_t n = 0;

	for (size_t i = 0; i < a->n_streams; i++) {
		struct stream *s = &a->streams[i];
		size_t from = s->first;

		s->first = n;
		for (size_t k = 0; k < s->n; k += 2)
			a->marks[n++] = a->marks[from + k];
		s->n = n - s->first;
	}
	a->n_marks = n;
	a->step *= 2;
}

/* A mark of the last stream, where the one before it is far enough away. */
static int add_mark(struct avml *a, uint64_t phys, uint64_t off)
{
	struct stream *s = &a->streams[a->n_streams - 1];

	if (s->n) {
		const struct mark *last = &a->marks[a->n_marks - 1];

		if (phys - last->phys < a->step && off - last->off < a->step)
			return 0;
	}
	if (a->n_marks >= MARKS_MAX && a->n_marks >= 4 * a->n_streams)
		thin(a);
	if (a->n_marks == a->marks_cap) {
		size_t cap = a->marks_cap ? a->marks_cap * 2 : 256;
		struct mark *v = reallocarray(a->marks, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		a->marks = v;
		a->marks_cap = cap;
	}
	a->marks[a->n_marks++] = (struct mark){ phys, off };
	s->n++;
	return 0;
}

static int add_stream(struct avml *a, uint64_t phys)
{
	if (a->n_streams == a->streams_cap) {
		size_t cap = a->streams_cap ? a->streams_cap * 2 : 64;
		struct stream *v = reallocarray(a->streams, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		a->streams = v;
		a->streams_cap = cap;
	}
	a->streams[a->n_streams++] = (struct stream){
		.phys = phys, .first = a->n_marks,
	};
	return 0;
}

/* ---- opening ---- */

/* The chunks of a record's stream, up to len bytes of memory. */
static int walk_stream(struct avml *a, struct herd_snappy_walk *w,
		       uint64_t phys, uint64_t len, uint64_t *ret_len,
		       struct herd_diag *diag)
{
	struct herd_snappy_chunk c = { .at = w->pos };
	uint64_t done = 0, chunks = 0, idle = 0;
	int err = 0;

	while (done < len) {
		err = herd_snappy_next(w, &c, diag);
		if (err)
			break;
		/* such a stream would cost more than it holds */
		idle += !c.len;
		if (idle > IDLE_MAX || ++chunks > IDLE_MAX + done / 256 ||
		    c.len > len - done) {
			err = herd_diag_set(diag, -EBADMSG, a->m.s.name, c.at,
					    c.len > len - done ?
					    "more in a range than it is long" :
					    "very many chunks that hold next to nothing");
			w->pos = c.at;
			break;
		}
		if (c.len)
			err = add_mark(a, phys + done, c.at);
		if (err)
			break;
		done += c.len;
	}
	*ret_len = done;
	return err;
}

/* Behind the stream stands how long it was. */
static int check_length(struct avml *a, struct herd_snappy_walk *w,
			uint64_t start, struct herd_diag *diag)
{
	uint64_t said;

	if (w->end - w->pos < 8)
		return herd_diag_set(diag, -ENODATA, a->m.s.name, w->pos,
				     "a stream's length is cut short");
	int err = herd_source_read(w->source, &said, 8, w->pos, diag);

	if (!err && le64toh(said) != w->pos - start)
		err = herd_diag_set(diag, -EBADMSG, a->m.s.name, w->pos,
				    "a stream that is not as long as it says");
	w->pos += 8;
	return err;
}

static int packed_record(struct avml *a, struct herd_snappy_walk *w,
			 const struct herd_memory_record *r,
			 struct herd_diag *diag)
{
	uint64_t start = w->pos, len = 0;
	int err = add_stream(a, r->phys), failed;

	if (err)
		return err;
	failed = walk_stream(a, w, r->phys, r->len, &len, diag);
	a->streams[a->n_streams - 1].end = w->pos;
	if (failed == -ENOMEM)
		return failed;
	/* what there was before the damage is read */
	err = herd_memory_list_add(&a->list, r->phys, len, start,
				   (uint32_t)(a->n_streams - 1));
	return err ?: failed ?: check_length(a, w, start, diag);
}

static int plain_record(struct avml *a, struct herd_snappy_walk *w,
			const struct herd_memory_record *r,
			struct herd_diag *diag)
{
	uint64_t left = w->end - w->pos;
	uint64_t len = r->len < left ? r->len : left;
	int err = herd_memory_list_add(&a->list, r->phys, len, w->pos,
				       HERD_MEMORY_PLAIN);

	w->pos += len;
	if (!err && len < r->len)
		err = herd_diag_set(diag, -ENODATA, a->m.s.name, w->pos,
				    "a range is cut short");
	return err;
}

/* How long a stream is stands behind it, so that all of it is walked through. */
static void want_rest(struct herd_source *container, uint64_t from)
{
	struct herd_extent rest = { from, container->size - from };
	const struct herd_extents e = { .v = &rest, .n = 1, .cap = 1 };

	herd_source_want(container, &e);
}

static int read_records(struct avml *a, struct herd_diag *diag)
{
	uint8_t window[WINDOW];
	struct herd_snappy_walk w = {
		.source = a->m.container, .end = a->m.container->size,
		.window = window, .room = sizeof(window),
		.ahead = sizeof(window),
	};
	struct herd_memory_record r;
	int err = 0;

	while (w.pos < w.end && !err) {
		err = herd_memory_read_record(w.source, w.pos, &r, diag);
		if (err)
			break;
		w.pos += HERD_MEMORY_RECORD;
		if (r.packed && !a->n_streams)
			want_rest(w.source, w.pos);
		err = r.packed ? packed_record(a, &w, &r, diag) :
				 plain_record(a, &w, &r, diag);
	}
	if (err == -EOVERFLOW)
		herd_diag_set(diag, err, a->m.s.name, w.pos,
			      "more than %u ranges", HERD_MEMORY_RANGES_MAX);
	return err;
}

int herd_memory_open_avml(struct herd_source *container,
			  struct herd_source **ret, struct herd_diag *diag)
{
	struct avml *a = calloc(1, sizeof(*a));
	struct herd_diag why;

	if (!a) {
		herd_source_destroy(container);
		return -ENOMEM;
	}
	a->step = BLOCK;
	herd_diag_clear(&why);
	int err = herd_memory_init(&a->m, &avml_ops, container) ?:
		  herd_memory_cache_create(BLOCK, SLOTS, &a->cache);

	if (!err)
		err = read_records(a, &why);
	err = herd_memory_damaged(&a->m, a->list.n, err, &why, diag);
	if (!err)
		err = herd_memory_take_list(&a->m, &a->list, diag);
	if (err) {
		avml_destroy(&a->m.s);
		return err;
	}
	herd_memory_tell_elided(&a->m, &a->list);
	herd_memory_tool(&a->m, "AVML");
	*ret = &a->m.s;
	return 0;
}
