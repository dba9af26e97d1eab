/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What qemu-nbd serves, over sockets that are connected already: from here on
 * only these descriptors are read, written and polled, so it works in a
 * process that may open no socket any more.
 *
 * Threads: a small pool of connections, each with a lock that is held for one
 * request, so that several threads read at the same time. A request that gets
 * no answer for a minute, or a server that goes away, ends its connection;
 * with the last one every read is -EIO. The rest is immutable once open.
 */
#include "acquire/stacked.h"

#include <libnbd.h>
#include <string.h>

#define ALLOCATION LIBNBD_CONTEXT_BASE_ALLOCATION
#define DEPTH "qemu:allocation-depth"
#define TIMEOUT_MS 60000
#define REQUEST_MAX (2u << 20)
#define STATUS_MAX (1u << 30)
/* Beyond it status is not asked for, which takes a request for each GiB: more
   than any disk has, and what a header claims costs nothing. */
#define STATUS_DISK_MAX (128ull << 40)
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
	struct herd_stacked s;
	struct connection connections[HERD_HELPER_CONNECTIONS];
	size_t n;
	size_t align;			/* of offset and length of a request */
	atomic_uint next;		/* where to look for a free one */
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
	uint64_t left = n->s.base.size - (off - in);

	if (!in && part >= n->align) {
		*ret_len = part - part % n->align;
		return request(c, &n->s.base, buf, *ret_len, off, diag);
	}
	part = n->align - in < len ? n->align - in : len;

	int err = request(c, &n->s.base, c->bounce,
			  left < n->align ? (size_t)left : n->align, off - in,
			  diag);
	if (err)
		return err;
	memcpy(buf, c->bounce + in, part);
	*ret_len = part;
	return 0;
}

static int nbd_source_read(struct herd_source *s, void *buf, size_t len,
			   uint64_t off, struct herd_diag *diag)
{
	struct nbd_source *n = (struct nbd_source *)s;
	struct connection *c = connection_take(n, NULL);
	uint8_t *to = buf;
	int err = 0;

	if (!c)
		return herd_diag_set(diag, -EIO, s->name, off,
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
			w->err = w->ret->n < HERD_PIECES_MAX ?
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
	if (s->size > STATUS_DISK_MAX)
		err = herd_diag_set(diag, -EOVERFLOW, s->name, HERD_NO_OFFSET,
				    "a disk of more than 128 TiB is not compared");
	else if (nbd_can_meta_context(c->nbd, context) != 1)
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

static int nbd_above(struct herd_stacked *s, size_t images,
		     struct herd_extents *ret, struct herd_diag *diag)
{
	return walk_status(&s->base, DEPTH, is_above, images, ret, diag);
}

static void nbd_destroy(struct herd_source *s)
{
	struct nbd_source *n = (struct nbd_source *)s;

	for (size_t i = 0; i < n->n; i++) {
		nbd_close(n->connections[i].nbd);
		free(n->connections[i].bounce);
		pthread_mutex_destroy(&n->connections[i].lock);
	}
	herd_image_deinit(&n->s.img);
	herd_source_deinit(s);
	free(n);
}

static const struct herd_source_ops nbd_ops = {
	.kind = "nbd",
	.read = nbd_source_read,
	.data_extents = nbd_data_extents,
	.changed_extents = herd_stacked_changed_extents,
	.destroy = nbd_destroy,
};

/* What the server says of itself, which need not be true. */
static int learn_geometry(struct nbd_source *n, struct herd_diag *diag)
{
	struct nbd_handle *nbd = n->connections[0].nbd;
	int64_t size = nbd_get_size(nbd);
	int64_t align = nbd_get_block_size(nbd, LIBNBD_SIZE_MINIMUM);

	if (size < 0)
		return failure(&n->s.base, HERD_NO_OFFSET, diag);
	if (align > ALIGN_MAX)
		return herd_diag_set(diag, -EBADMSG, n->s.base.name,
				     HERD_NO_OFFSET,
				     "qemu-nbd asks for requests of %lld bytes",
				     (long long)align);
	n->s.base.size = (uint64_t)size;
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

		int err = connection_open(c, &n->s.base, TAKE_FD(helper->fds[i]),
					  diag);
		if (err)
			return err;
	}
	return learn_geometry(n, diag);
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
	n->s.above = nbd_above;
	int err = herd_source_init(&n->s.base, &nbd_ops, name, 0);

	if (!err)
		err = herd_image_copy(img, &n->s.img);
	if (!err)
		err = herd_chain_read(img, &n->s.chain, diag);
	if (!err)
		err = connect_all(n, helper, diag);
	if (err) {
		nbd_destroy(&n->s.base);
		return err;
	}
	*ret = &n->s.base;
	return 0;
}
