/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An EBS snapshot or an object of S3, read through the fetcher
 * (acquire/fetcher.h) over sockets that are connected already: from here on they
 * are only read, written and polled, so it works in a process that may open no
 * socket any more.
 *
 * A block that cannot be had is -EREMOTEIO for those who read it, and the next
 * read asks again. A fetcher that is gone is -EIO; an object that is another one
 * by now is -ESTALE.
 *
 * Threads: a small pool of connections, each with a lock that is held for one
 * request. The rest is immutable once open.
 */
#include "acquire/fetch_protocol.h"
#include "acquire/fetcher.h"
#include "acquire/source_impl.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The fetcher gives up long before, or it has been stopped: that it has died is
   seen at once. */
#define TIMEOUT_MS 2400000
#define BEAT_BLOCK (512u << 10)

struct connection {
	pthread_mutex_t lock;	/* fd */
	int fd;			/* -1 once it is lost; owned */
};

struct ebs_source {
	struct herd_source base;
	char snapshot[HERD_SNAPSHOT_NAME_MAX + 1];
	struct connection connections[HERD_HELPER_CONNECTIONS];
	size_t n;
	atomic_uint next;	/* where to look for a free one */
	pthread_mutex_t lock;	/* lost */
	struct herd_diag lost;	/* of the first read that failed for no block's
				   sake */
	_Atomic uint64_t *beat;	/* as the helper had it */
	_Atomic uint8_t *seen;	/* with it: a bit a block, that was read; owned */
};

bool herd_s3_is_object(const char *path)
{
	return !strncmp(path, "s3://", 5);
}

bool herd_s3_is_name(const char *path)
{
	struct herd_s3_name name;

	return herd_s3_name_parse(path, &name);
}

const char *herd_ebs_snapshot(const char *image)
{
	const char *name = image + 4;

	if (strncmp(image, "ebs:", 4) || strncmp(name, "snap-", 5) ||
	    strlen(name) > HERD_SNAPSHOT_NAME_MAX || !name[5] ||
	    name[5 + strspn(name + 5, "0123456789abcdefghijklmnopqrstuvwxyz")])
		return NULL;
	return name;
}

/* ---- connections ---- */

/* A usable one, locked; NULL when all are lost. */
static struct connection *take(struct ebs_source *s)
{
	unsigned first = atomic_fetch_add_explicit(&s->next, 1,
						   memory_order_relaxed);

	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < s->n; i++) {
			struct connection *c = &s->connections[(first + i) %
							       s->n];

			if (pass ? pthread_mutex_lock(&c->lock) :
				   pthread_mutex_trylock(&c->lock))
				continue;
			if (c->fd >= 0)
				return c;
			pthread_mutex_unlock(&c->lock);
		}
	}
	return NULL;
}

static int wait_for(int fd, short what)
{
	struct pollfd p = { fd, what, 0 };
	int n;

	do
		n = poll(&p, 1, TIMEOUT_MS);
	while (n < 0 && errno == EINTR);
	return n > 0 ? 0 : -EIO;
}

static int send_all(int fd, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	while (len) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return -EIO;
		if (n < 0 && errno == EAGAIN && wait_for(fd, POLLOUT))
			return -EIO;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

static int receive_all(int fd, void *bytes, size_t len)
{
	uint8_t *p = bytes;

	while (len) {
		ssize_t n = recv(fd, p, len, MSG_DONTWAIT);

		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			return -EIO;
		if (n < 0 && errno == EAGAIN && wait_for(fd, POLLIN))
			return -EIO;
		if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

/* ---- requests ---- */

/* What a request brings back: into `to` of exactly `len`, or malloced. */
struct answer {
	void *to;
	size_t len;
	uint8_t *bytes;	/* owned by the caller */
};

static const struct herd_source_ops ebs_ops, s3_ops;

/* What no other block of this snapshot need have. Of memory a piece that is
   missing could be anybody's: there is no such thing. */
static bool is_of_block(const struct ebs_source *s, int err)
{
	return s->base.ops != &s3_ops && (err == -EBADMSG || err == -EIO);
}

static void note_lost(struct ebs_source *s, uint64_t off, const char *why)
{
	SCOPED_LOCK(&s->lock);
	herd_diag_set(&s->lost, -EREMOTEIO, s->base.name, off, "%s", why);
}

static int refused(struct ebs_source *s, int fd,
		   const struct herd_fetch_answer *head, uint32_t op,
		   uint64_t off, struct herd_diag *diag)
{
	char text[sizeof(diag->message)];
	int err = head->err;

	if (head->len >= sizeof(text) || receive_all(fd, text, head->len))
		return -EIO;
	text[head->len] = '\0';
	if (op != HERD_FETCH_READ)
		off = HERD_NO_OFFSET;
	if (!is_of_block(s, err) && op == HERD_FETCH_READ)
		note_lost(s, off, text);
	/* it is not the fetcher that has failed, nor is it what the image has */
	if ((err != -EOPNOTSUPP || op == HERD_FETCH_READ) && err != -ENOMEM &&
	    err != -ENOSPC && err != -ESTALE)
		err = -EREMOTEIO;
	return herd_diag_set(diag, err, s->base.name, off, "%s", text);
}

/* -EIO: the connection is of no use any more. */
static int exchange(struct ebs_source *s, int fd,
		    const struct herd_fetch_request *r, const void *ranges,
		    struct answer *a, struct herd_diag *diag)
{
	struct herd_fetch_answer head;

	if (send_all(fd, r, sizeof(*r)) ||
	    send_all(fd, ranges, r->n * sizeof(struct herd_fetch_range)) ||
	    receive_all(fd, &head, sizeof(head)) ||
	    head.magic != HERD_FETCH_MAGIC || head.err > 0 ||
	    head.len > HERD_FETCH_ANSWER_MAX)
		return -EIO;
	if (head.err)
		return refused(s, fd, &head, r->op, r->off, diag);
	if (a->to && head.len != a->len)
		return -EIO;
	if (!a->to) {
		a->bytes = malloc(head.len + 1);
		if (!a->bytes)
			return -EIO;	/* what it sends cannot be skipped */
		a->len = head.len;
	}
	return receive_all(fd, a->to ? a->to : a->bytes, head.len);
}

static int ask(struct ebs_source *s, struct herd_fetch_request *r,
	       const void *ranges, struct answer *a, struct herd_diag *diag)
{
	struct connection *c = take(s);
	int err = -EIO;

	r->magic = HERD_FETCH_MAGIC;
	if (c) {
		err = exchange(s, c->fd, r, ranges, a, diag);
		if (err == -EIO) {
			close(c->fd);
			c->fd = -1;
		}
		pthread_mutex_unlock(&c->lock);
	}
	if (err != -EIO)
		return err;
	note_lost(s, r->off, "the fetcher has gone away");
	return herd_diag_set(diag, -EIO, s->base.name, r->off,
			     "the fetcher has gone away");
}

/* Whoever reads the same again and again does not move: each block counts
   once. */
static void count(struct ebs_source *s, uint64_t off, uint32_t len)
{
	for (uint64_t b = off / BEAT_BLOCK; s->beat &&
	     b <= (off + len - 1) / BEAT_BLOCK; b++)
		if (!(atomic_fetch_or(&s->seen[b / 8], 1u << b % 8) &
		      1u << b % 8))
			atomic_fetch_add(s->beat, 1);
}

static int ebs_read(struct herd_source *base, void *buf, size_t len,
		    uint64_t off, struct herd_diag *diag)
{
	struct ebs_source *s = (struct ebs_source *)base;
	uint8_t *to = buf;
	int err = base->strict ? herd_source_lost(base, diag) : 0;

	while (len && !err) {
		uint32_t part = len < HERD_FETCH_READ_MAX ? (uint32_t)len :
							    HERD_FETCH_READ_MAX;
		struct herd_fetch_request r = { .op = HERD_FETCH_READ,
						.off = off, .len = part };
		struct answer a = { .to = to, .len = part };

		err = ask(s, &r, NULL, &a, diag);
		if (!err)
			count(s, off, part);
		to += part;
		off += part;
		len -= part;
	}
	return err;
}

/* Ranges in answer to r, each within the source. */
static int ask_ranges(struct ebs_source *s, struct herd_fetch_request *r,
		      struct herd_extents *ret, struct herd_diag *diag)
{
	struct answer a = { .bytes = NULL };
	int err = ask(s, r, NULL, &a, diag);
	CLEANUP_FREE uint8_t *bytes = a.bytes;

	ret->n = 0;
	for (size_t i = 0; !err && i < a.len / sizeof(struct herd_fetch_range);
	     i++) {
		struct herd_fetch_range range;
		uint64_t left;

		memcpy(&range, bytes + i * sizeof(range), sizeof(range));
		if (range.start >= s->base.size)
			continue;
		left = s->base.size - range.start;
		err = herd_extents_add(ret, range.start, range.len < left ?
				       range.len : left);
	}
	if (!err)
		herd_extents_normalise(ret);
	return err;
}

static int ebs_data(struct herd_source *base, struct herd_extents *ret,
		    struct herd_diag *diag)
{
	struct herd_fetch_request r = { .op = HERD_FETCH_DATA };

	return ask_ranges((struct ebs_source *)base, &r, ret, diag);
}

static int ebs_changed(struct herd_source *base, struct herd_source *other,
		       struct herd_extents *ret, struct herd_diag *diag)
{
	struct herd_fetch_request r = { .op = HERD_FETCH_CHANGED };
	const struct ebs_source *first = (struct ebs_source *)other;

	if (other->ops != &ebs_ops)
		return -EOPNOTSUPP;
	memcpy(r.other, first->snapshot, sizeof(r.other));
	return ask_ranges((struct ebs_source *)base, &r, ret, diag);
}

/* Asks about ranges, as many at a time as fit in a request. *ret_all: every
   answer was a 1. */
static int ask_about(struct ebs_source *s, enum herd_fetch_op op,
		     const struct herd_extents *e, bool *ret_all,
		     struct herd_diag *diag)
{
	struct herd_fetch_range ranges[256];
	size_t at = 0;
	int err = 0;

	*ret_all = true;
	while (at < e->n && !err) {
		struct herd_fetch_request r = { .op = op };
		struct answer a = { .bytes = NULL };

		for (; r.n < ARRAY_SIZE(ranges) && at < e->n; at++)
			ranges[r.n++] = (struct herd_fetch_range){
				e->v[at].start, e->v[at].len };
		err = ask(s, &r, ranges, &a, diag);
		if (err || a.len != 1 || a.bytes[0] != 1)
			*ret_all = false;
		free(a.bytes);
	}
	return err;
}

static void ebs_want(struct herd_source *base, const struct herd_extents *e)
{
	bool unused;

	ask_about((struct ebs_source *)base, HERD_FETCH_WANT, e, &unused, NULL);
}

static bool ebs_at_hand(struct herd_source *base, const struct herd_extents *e)
{
	bool all;

	return !ask_about((struct ebs_source *)base, HERD_FETCH_AT_HAND, e,
			  &all, NULL) && all;
}

static int ebs_keep(struct herd_source *base, const struct herd_extents *e,
		    struct herd_diag *diag)
{
	bool unused;

	return ask_about((struct ebs_source *)base, HERD_FETCH_KEEP, e,
			 &unused, diag);
}

static int ebs_lost(struct herd_source *base, struct herd_diag *diag)
{
	struct ebs_source *s = (struct ebs_source *)base;

	SCOPED_LOCK(&s->lock);
	if (!s->lost.message[0])
		return 0;
	return herd_diag_set(diag, -EREMOTEIO, s->lost.source, s->lost.offset,
			     "%s", s->lost.message);
}

static void ebs_destroy(struct herd_source *base)
{
	struct ebs_source *s = (struct ebs_source *)base;

	for (size_t i = 0; i < s->n; i++) {
		if (s->connections[i].fd >= 0)
			close(s->connections[i].fd);
		pthread_mutex_destroy(&s->connections[i].lock);
	}
	herd_source_deinit(base);
	free(s->seen);
	free(s);
}

static const struct herd_source_ops ebs_ops = {
	.kind = "ebs",
	.remote = true,
	.read = ebs_read,
	.data_extents = ebs_data,
	.changed_extents = ebs_changed,
	.want = ebs_want,
	.keep = ebs_keep,
	.at_hand = ebs_at_hand,
	.lost = ebs_lost,
	.destroy = ebs_destroy,
};

static const struct herd_source_ops s3_ops = {
	.kind = "s3",
	.remote = true,
	.read = ebs_read,
	.want = ebs_want,
	.keep = ebs_keep,
	.at_hand = ebs_at_hand,
	.lost = ebs_lost,
	.destroy = ebs_destroy,
};

/* Takes the helper's sockets over. */
static int open_fetched(const struct herd_source_ops *ops, const char *name,
			struct herd_helper *helper, struct herd_fetch_info *ret_info,
			struct ebs_source **ret, struct herd_diag *diag)
{
	struct herd_fetch_request r = { .op = HERD_FETCH_INFO };
	struct herd_fetch_info info = { 0 };
	struct answer a = { .to = &info, .len = sizeof(info) };
	struct ebs_source *s = name && helper ? calloc(1, sizeof(*s)) : NULL;

	if (!s)
		return name && helper ? -ENOMEM : -EINVAL;
	int err = herd_source_init(&s->base, ops, name, 0);

	if (ops == &ebs_ops)
		strcpy(s->snapshot, name);
	s->base.strict = helper->strict;
	pthread_mutex_init(&s->lock, NULL);
	herd_diag_clear(&s->lost);
	for (; s->n < helper->n_fds; s->n++) {
		pthread_mutex_init(&s->connections[s->n].lock, NULL);
		s->connections[s->n].fd = helper->fds[s->n];
	}
	helper->n_fds = 0;
	if (!err)
		err = ask(s, &r, NULL, &a, diag);
	if (!err && (!info.size || info.size > INT64_MAX))
		err = herd_diag_set(diag, -EBADMSG, name, HERD_NO_OFFSET,
				    "it would have %llu bytes",
				    (unsigned long long)info.size);
	if (err) {
		ebs_destroy(&s->base);
		return err;
	}
	s->base.size = info.size;
	*ret_info = info;
	*ret = s;
	return 0;
}

int herd_source_open_ebs(const struct herd_image *img, struct herd_helper *helper,
			 struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_fetch_info info;
	struct ebs_source *s;
	int err = open_fetched(&ebs_ops, herd_ebs_snapshot(img->files[0].path),
			       helper, &info, &s, diag);

	if (!err)
		*ret = &s->base;
	return err;
}

/* Which object it is, as the fetcher found out, into its file. */
static int take_object(struct herd_image_file *f, struct herd_fetch_info *info)
{
	char *whole = NULL;

	info->version[sizeof(info->version) - 1] = '\0';
	if (info->version[0] && !strstr(f->path, "?versionId=")) {
		if (!herd_s3_is_version(info->version))
			return -EBADMSG;
		if (asprintf(&whole, "%s?versionId=%s", f->path,
			     info->version) < 0)
			return -ENOMEM;
		free(f->path);
		f->path = whole;
	}
	f->size = info->size;
	memcpy(f->ends, info->id, sizeof(f->ends));
	return 0;
}

int herd_source_open_s3(struct herd_image *img, struct herd_helper *helper,
			struct herd_source **ret, struct herd_diag *diag)
{
	struct herd_image_file *f = &img->files[0];
	struct herd_fetch_info info;
	struct ebs_source *s;
	int err = open_fetched(&s3_ops, herd_path_base(f->path), helper, &info,
			       &s, diag);

	if (err)
		return err;
	s->seen = helper->beat ? calloc(info.size / BEAT_BLOCK / 8 + 1, 1) :
				 NULL;
	s->beat = s->seen ? helper->beat : NULL;
	if (!f->size)
		err = take_object(f, &info);
	else if (f->size != info.size || memcmp(f->ends, info.id, 32) != 0)
		err = herd_diag_set(diag, -ESTALE, s->base.name, HERD_NO_OFFSET,
				    "changed since it was indexed");
	if (err)
		ebs_destroy(&s->base);
	else
		*ret = &s->base;
	return err;
}
