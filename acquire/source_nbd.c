/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What qemu-nbd serves, over sockets that are connected already: from here on
 * only these descriptors are read, written and polled, so it works in a
 * process that may open no socket any more.
 *
 * Overlays on a raw file are the common case, and most of what is read of
 * them lies in that file. Once qemu has said what the images above it hold,
 * the rest is read there without it, which is ten times as fast.
 *
 * Threads: a small pool of connections, each with a lock that is held for one
 * request, so that several threads read at the same time. A request that gets
 * no answer for a minute, or a server that goes away, ends its connection;
 * with the last one every read is -EIO. The rest is immutable once open.
 */
#include "acquire/chain.h"
#include "acquire/source_impl.h"

#include <libnbd.h>
#include <string.h>

#define ALLOCATION LIBNBD_CONTEXT_BASE_ALLOCATION
#define DEPTH "qemu:allocation-depth"
#define TIMEOUT_MS 60000
#define REQUEST_MAX (2u << 20)
#define STATUS_MAX (1u << 30)
#define EXTENTS_MAX (1u << 24)
#define ALIGN_MAX (64u << 10)

/*
 * A connection asks for the status of one kind, in turn. When qemu cannot tell
 * a status it answers once for each kind, and the second answer to one request
 * would end the connection.
 */
static const char *const contexts[] = { ALLOCATION, DEPTH };

struct connection {
	pthread_mutex_t lock;		/* nbd, bounce */
	const char *context;		/* one of contexts */
	struct nbd_handle *nbd;		/* NULL once it is lost */
	uint8_t *bounce;		/* one aligned unit; owned */
};

struct nbd_source {
	struct herd_source base;
	struct herd_image img;
	struct herd_chain chain;
	struct connection connections[HERD_HELPER_CONNECTIONS];
	size_t n;
	size_t align;			/* of offset and length of a request */
	atomic_uint next;		/* where to look for a free one */
	struct herd_source *bottom;	/* the raw file below all, or NULL */
	struct herd_extents above;	/* what those above it hold */
};

/* ---- connections ---- */

static bool is_usable(const struct connection *c)
{
	return c->nbd && !nbd_aio_is_dead(c->nbd) && !nbd_aio_is_closed(c->nbd);
}

/* Also ends what is under way: nobody writes into its buffer afterwards. */
static void connection_lose(struct connection *c)
{
	nbd_close(c->nbd);
	c->nbd = NULL;
}

/* A connection, locked, that has `context` if one is given; NULL when all are
   lost. */
static struct connection *connection_take(struct nbd_source *s,
					  const char *context)
{
	unsigned first = atomic_fetch_add_explicit(&s->next, 1,
						   memory_order_relaxed);

	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < s->n; i++) {
			struct connection *c = &s->connections[(first + i) %
							       s->n];
			if (context && strcmp(c->context, context))
				continue;
			if (pass ? pthread_mutex_lock(&c->lock) :
				   pthread_mutex_trylock(&c->lock))
				continue;
			if (is_usable(c))
				return c;
			pthread_mutex_unlock(&c->lock);
		}
	}
	return NULL;
}

static int failure(struct herd_source *s, uint64_t off, struct herd_diag *diag)
{
	const char *text = nbd_get_error();

	return herd_diag_set(diag, -EIO, s->name, off, "qemu-nbd: %s",
			     text ? text : "no answer");
}

/* Until the request is answered; the connection is lost if it never is. */
static int connection_wait(struct connection *c, struct herd_source *s,
			   int64_t cookie, uint64_t off, struct herd_diag *diag)
{
	int done = cookie < 0 ? -1 : 0, ready = 1;

	while (!done && ready > 0) {
		done = nbd_aio_command_completed(c->nbd, (uint64_t)cookie);
		if (!done)
			ready = nbd_poll(c->nbd, TIMEOUT_MS);
	}
	if (done > 0)
		return 0;
	if (!ready)
		herd_diag_set(diag, -EIO, s->name, off,
			      "qemu-nbd does not answer");
	failure(s, off, diag);
	if (ready <= 0 || !is_usable(c))
		connection_lose(c);
	return -EIO;
}

static int connection_open(struct connection *c, struct herd_source *s, int fd,
			   struct herd_diag *diag)
{
	int ready = 1;

	c->nbd = nbd_create();
	if (!c->nbd) {
		close(fd);
		return failure(s, HERD_NO_OFFSET, diag);
	}
	if (nbd_add_meta_context(c->nbd, c->context) < 0) {
		close(fd);
		return failure(s, HERD_NO_OFFSET, diag);
	}
	if (nbd_aio_connect_socket(c->nbd, fd) < 0)
		return failure(s, HERD_NO_OFFSET, diag);
	while (ready > 0 && nbd_aio_is_connecting(c->nbd))
		ready = nbd_poll(c->nbd, TIMEOUT_MS);
	if (!nbd_aio_is_ready(c->nbd))
		return failure(s, HERD_NO_OFFSET, diag);
	return 0;
}

/* ---- reading ---- */

static int request(struct connection *c, struct herd_source *s, void *buf,
		   size_t len, uint64_t off, struct herd_diag *diag)
{
	int64_t cookie = nbd_aio_pread(c->nbd, buf, len, off,
				       NBD_NULL_COMPLETION, 0);

	return connection_wait(c, s, cookie, off, diag);
}

/*
 * One request: the most that can go straight into buf, or, where a unit is
 * wanted in part, that unit. *ret_len: how much of buf it filled.
 */
static int read_some(struct connection *c, struct nbd_source *n, uint8_t *buf,
		     size_t len, uint64_t off, size_t *ret_len,
		     struct herd_diag *diag)
{
	size_t in = off % n->align, part = len < REQUEST_MAX ? len : REQUEST_MAX;
	uint64_t left = n->base.size - (off - in);

	if (!in && part >= n->align) {
		*ret_len = part - part % n->align;
		return request(c, &n->base, buf, *ret_len, off, diag);
	}
	part = n->align - in < len ? n->align - in : len;

	int err = request(c, &n->base, c->bounce,
			  left < n->align ? (size_t)left : n->align, off - in,
			  diag);
	if (err)
		return err;
	memcpy(buf, c->bounce + in, part);
	*ret_len = part;
	return 0;
}

/* From the server, whatever lies below. */
static int served_read(struct nbd_source *n, uint8_t *to, size_t len,
		       uint64_t off, struct herd_diag *diag)
{
	struct connection *c = connection_take(n, NULL);
	int err = 0;

	if (!c)
		return herd_diag_set(diag, -EIO, n->base.name, off,
				     "qemu-nbd has gone away");
	while (len && !err) {
		size_t part = 0;

		err = read_some(c, n, to, len, off, &part, diag);
		to += part;
		off += part;
		len -= part;
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

/* From the raw file, which may be shorter than what stands on it. */
static int bottom_read(struct nbd_source *n, uint8_t *to, size_t len,
		       uint64_t off, struct herd_diag *diag)
{
	uint64_t there = off < n->bottom->size ? n->bottom->size - off : 0;
	size_t part = len < there ? len : (size_t)there;

	memset(to + part, 0, len - part);
	return part ? herd_source_read(n->bottom, to, part, off, diag) : 0;
}

static int nbd_source_read(struct herd_source *s, void *buf, size_t len,
			   uint64_t off, struct herd_diag *diag)
{
	struct nbd_source *n = (struct nbd_source *)s;
	uint8_t *to = buf;
	int err = 0;

	if (!n->bottom)
		return served_read(n, to, len, off, diag);
	for (size_t i = herd_extents_after(&n->above, off); len && !err;) {
		const struct herd_extent *e = i < n->above.n ?
						      &n->above.v[i] : NULL;
		bool above = e && e->start <= off;
		uint64_t end = above ? e->start + e->len :
			       e ? e->start : s->size;
		size_t part = len < end - off ? len : (size_t)(end - off);

		err = above ? served_read(n, to, part, off, diag) :
			      bottom_read(n, to, part, off, diag);
		to += part;
		off += part;
		len -= part;
		i += above;
	}
	return err;
}

static const void *nbd_map(struct herd_source *s, uint64_t off, size_t len)
{
	struct nbd_source *n = (struct nbd_source *)s;

	if (!n->bottom || herd_extents_overlap(&n->above, off, len))
		return NULL;
	return herd_source_map(n->bottom, off, len);
}

/* ---- block status ---- */

struct walk {
	const char *context;
	bool (*wanted)(uint32_t flags, size_t limit);
	size_t limit;
	uint64_t pos, end;
	struct herd_extents *ret;
	int err;
};

static int on_extents(void *arg, const char *context, uint64_t offset,
		      uint32_t *entries, size_t n, int *error)
{
	struct walk *w = arg;

	(void)error;
	if (strcmp(context, w->context))
		return 0;
	if (offset != w->pos)
		w->err = -EBADMSG;
	for (size_t i = 0; i + 1 < n && !w->err; i += 2) {
		uint64_t left = w->end - w->pos;
		uint64_t len = entries[i] < left ? entries[i] : left;

		if (w->wanted(entries[i + 1], w->limit))
			w->err = w->ret->n < EXTENTS_MAX ?
				 herd_extents_add(w->ret, w->pos, len) :
				 -EOVERFLOW;
		w->pos += len;
	}
	return w->err ? -1 : 0;
}

/* Appends the ranges of s whose status in `context` is wanted. */
static int walk_status(struct herd_source *s, const char *context,
		       bool (*wanted)(uint32_t flags, size_t limit),
		       size_t limit, struct herd_extents *ret,
		       struct herd_diag *diag)
{
	struct nbd_source *n = (struct nbd_source *)s;
	struct connection *c = connection_take(n, context);
	struct walk w = { .context = context, .wanted = wanted, .limit = limit,
			  .end = s->size, .ret = ret };
	int err = 0;

	if (!c)
		return herd_diag_set(diag, -EIO, s->name, HERD_NO_OFFSET,
				     "qemu-nbd has gone away");
	if (nbd_can_meta_context(c->nbd, context) != 1)
		err = -EOPNOTSUPP;
	while (!err && w.pos < w.end) {
		uint64_t left = w.end - w.pos, before = w.pos;
		nbd_extent_callback fn = { .callback = on_extents,
					   .user_data = &w };
		int64_t cookie = nbd_aio_block_status(
			c->nbd, left < STATUS_MAX ? left : STATUS_MAX, w.pos,
			fn, NBD_NULL_COMPLETION, 0);

		err = connection_wait(c, s, cookie, w.pos, diag);
		if (w.err || (!err && w.pos == before))
			err = herd_diag_set(diag, w.err ? w.err : -EBADMSG,
					    s->name, before,
					    "qemu-nbd's block status makes no sense");
	}
	pthread_mutex_unlock(&c->lock);
	return err;
}

static bool may_hold_data(uint32_t flags, size_t limit)
{
	(void)limit;
	return !(flags & LIBNBD_STATE_ZERO);
}

static int nbd_data_extents(struct herd_source *s, struct herd_extents *ret,
			    struct herd_diag *diag)
{
	ret->n = 0;
	int err = walk_status(s, ALLOCATION, may_hold_data, 0, ret, diag);

	return err != -EOPNOTSUPP ? err : herd_extents_add(ret, 0, s->size);
}

/* Depth 1 is the image itself, 2 its backing file; 0 is allocated nowhere. */
static bool is_above(uint32_t depth, size_t limit)
{
	return depth >= 1 && depth <= limit;
}

/* ---- two images that stand on one ---- */

/* One image as a stack of files; a raw file is a stack of one. */
struct stack {
	const struct herd_image_file *files;
	size_t n_files;
	const struct herd_chain *chain;
};

/* Whether a, from link i down, and b, from link j down, are the same. */
static bool same_below(const struct stack *a, size_t i, const struct stack *b,
		       size_t j)
{
	size_t fa = a->chain->links[i].file, fb = b->chain->links[j].file;

	if (a->chain->n - i != b->chain->n - j ||
	    a->n_files - fa != b->n_files - fb)
		return false;
	for (; i < a->chain->n; i++, j++)
		if (strcmp(a->chain->links[i].format, b->chain->links[j].format))
			return false;
	for (; fa < a->n_files; fa++, fb++)
		if (!herd_image_file_same(&a->files[fa], &b->files[fb]))
			return false;
	return true;
}

/* How many images of each lie above the first that they share. */
static bool find_common(const struct stack *a, const struct stack *b,
			size_t *ret_a, size_t *ret_b)
{
	for (size_t i = 0; i < a->chain->n; i++)
		for (size_t j = 0; j < b->chain->n; j++)
			if (same_below(a, i, b, j)) {
				*ret_a = i;
				*ret_b = j;
				return true;
			}
	return false;
}

static const struct herd_source_ops nbd_ops;
static const struct herd_chain raw_chain = {
	.links = { { .format = "raw" } }, .n = 1,
};

static bool stack_of(const struct herd_source *s, struct stack *ret)
{
	const struct nbd_source *n = (const struct nbd_source *)s;
	const struct herd_image_file *file = herd_source_raw_file(s);

	if (s->ops == &nbd_ops)
		*ret = (struct stack){ n->img.files, n->img.n_files, &n->chain };
	else if (file)
		*ret = (struct stack){ file, 1, &raw_chain };
	else
		return false;
	return true;
}

/* Appends what the first `images` of s hold themselves. */
static int add_above(struct herd_source *s, size_t images,
		     struct herd_extents *ret, struct herd_diag *diag)
{
	struct nbd_source *n = (struct nbd_source *)s;
	int err = 0;

	if (!images)
		return 0;
	if (!n->bottom || images != n->chain.n - 1)
		return walk_status(s, DEPTH, is_above, images, ret, diag);
	for (size_t i = 0; !err && i < n->above.n; i++)
		err = herd_extents_add(ret, n->above.v[i].start,
				       n->above.v[i].len);
	return err;
}

/*
 * What neither has allocated above the shared image comes from there, at the
 * same place, in both; so the rest is a superset of the difference.
 */
static int nbd_changed_extents(struct herd_source *s, struct herd_source *other,
			       struct herd_extents *ret, struct herd_diag *diag)
{
	struct stack a, b;
	size_t above_a, above_b;
	uint64_t shorter = s->size < other->size ? s->size : other->size;
	uint64_t longer = s->size < other->size ? other->size : s->size;
	int err;

	if (!stack_of(s, &a) || !stack_of(other, &b) ||
	    !find_common(&a, &b, &above_a, &above_b))
		return -EOPNOTSUPP;

	CLEANUP_EXTENTS struct herd_extents found = { 0 };

	err = add_above(s, above_a, &found, diag) ?:
	      add_above(other, above_b, &found, diag);
	if (!err)
		err = herd_extents_add(&found, shorter, longer - shorter);
	if (err)
		return err;
	herd_extents_normalise(&found);
	herd_extents_deinit(ret);
	*ret = found;
	found = (struct herd_extents){ 0 };
	return 0;
}

static void nbd_destroy(struct herd_source *s)
{
	struct nbd_source *n = (struct nbd_source *)s;

	for (size_t i = 0; i < n->n; i++) {
		nbd_close(n->connections[i].nbd);
		free(n->connections[i].bounce);
		pthread_mutex_destroy(&n->connections[i].lock);
	}
	herd_source_destroy(n->bottom);
	herd_extents_deinit(&n->above);
	herd_image_deinit(&n->img);
	herd_source_deinit(s);
	free(n);
}

static const struct herd_source_ops nbd_ops = {
	.kind = "nbd",
	.read = nbd_source_read,
	.map = nbd_map,
	.data_extents = nbd_data_extents,
	.changed_extents = nbd_changed_extents,
	.destroy = nbd_destroy,
};

/* What the server says of itself, which need not be true. */
static int learn_geometry(struct nbd_source *n, struct herd_diag *diag)
{
	struct nbd_handle *nbd = n->connections[0].nbd;
	int64_t size = nbd_get_size(nbd);
	int64_t align = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);

	if (size < 0)
		return failure(&n->base, HERD_NO_OFFSET, diag);
	if (align > ALIGN_MAX)
		return herd_diag_set(diag, -EBADMSG, n->base.name,
				     HERD_NO_OFFSET,
				     "qemu-nbd asks for requests of %lld bytes",
				     (long long)align);
	n->base.size = (uint64_t)size;
	n->align = align > 0 ? (size_t)align : 1;
	for (size_t i = 0; i < n->n; i++) {
		n->connections[i].bounce = malloc(n->align);
		if (!n->connections[i].bounce)
			return -ENOMEM;
	}
	return 0;
}

static int connect_all(struct nbd_source *n, struct herd_helper *helper,
		       struct herd_diag *diag)
{
	for (size_t i = 0; i < helper->n_fds; i++) {
		struct connection *c = &n->connections[i];

		pthread_mutex_init(&c->lock, NULL);
		c->context = contexts[i % ARRAY_SIZE(contexts)];
		n->n = i + 1;

		int err = connection_open(c, &n->base, TAKE_FD(helper->fds[i]),
					  diag);
		if (err)
			return err;
	}
	return learn_geometry(n, diag);
}

/*
 * Finds out what can be read without the server. When it cannot tell, as with
 * damaged tables, all is read through it.
 */
static int open_bottom(struct nbd_source *n, struct herd_diag *diag)
{
	struct herd_chain_link *last = &n->chain.links[n->chain.n - 1];
	struct herd_image img = {
		.format = last->format, .files = &n->img.files[last->file],
		.n_files = 1,
	};

	if (n->chain.n < 2 || strcmp(last->format, "raw"))
		return 0;
	int err = walk_status(&n->base, DEPTH, is_above, n->chain.n - 1,
			      &n->above, NULL);

	if (err)
		return err == -ENOMEM ? err : 0;
	return herd_source_open_raw(&img, &n->bottom, diag);
}

int herd_source_open_nbd(const struct herd_image *img,
			 struct herd_helper *helper, struct herd_source **ret,
			 struct herd_diag *diag)
{
	const char *name = herd_path_base(img->files[0].path);

	if (!helper || !helper->n_fds ||
	    helper->n_fds > HERD_HELPER_CONNECTIONS || helper->fds[0] < 0)
		return herd_diag_set(diag, -EINVAL, name, HERD_NO_OFFSET,
				     "qemu-nbd has not been started for it");

	struct nbd_source *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	int err = herd_source_init(&n->base, &nbd_ops, name, 0);

	if (!err)
		err = herd_image_copy(img, &n->img);
	if (!err)
		err = herd_chain_read(img, &n->chain, diag);
	if (!err)
		err = connect_all(n, helper, diag);
	if (!err)
		err = open_bottom(n, diag);
	if (err) {
		nbd_destroy(&n->base);
		return err;
	}
	*ret = &n->base;
	return 0;
}
