/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fetcher's loop: takes connections from its control socket, requests from
 * those, and answers each as soon as all its blocks are there. A request is
 * looked at again whenever a list or a block has come.
 *
 * A reader that asks for nonsense loses its connection. One that is gone loses
 * nothing: what was asked for on its behalf is kept for the next.
 *
 * Threads: as acquire/fetch_internal.h says.
 */
#include "acquire/fetch_internal.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define CLIENTS_MAX 4096u
#define TIMEOUT_MS 60000
/* Once AWS has not answered, nobody waits that long for each further read. */
#define DEAD_TIMEOUT_MS 5000
#define LEDGER_MS 5000
#define RENEWALS 2

enum state {
	STATE_REQUEST,	/* its head is read */
	STATE_RANGES,	/* what follows the head */
	STATE_WAITING,	/* for blocks */
	STATE_ANSWER,	/* is written */
};

struct client {
	int fd;		/* owned */
	size_t snapshot;
	enum state state;
	struct herd_fetch_request r;
	struct herd_fetch_range ranges[HERD_FETCH_RANGES_MAX];
	size_t got;	/* bytes of what is read */
	struct herd_buf out;
	size_t sent;
	int64_t deadline;	/* monotonic ms */
	uint64_t heard;		/* bytes of AWS's when that was set */
	unsigned renewed;	/* how often it was, though nothing came */
	size_t left;		/* blocks of a HERD_FETCH_KEEP to come */
	bool gone;
};

struct server {
	struct herd_fetch f;
	int control;
	struct client **clients;
	size_t n, cap;
	struct pollfd *polls;	/* clients', then the control socket's */
	int64_t ledger_at;
};

int64_t herd_fetch_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- answers ---- */

static void put_head(struct client *c, int err, size_t len)
{
	struct herd_fetch_answer a = { .magic = HERD_FETCH_MAGIC, .err = err,
				       .len = (uint32_t)len };

	c->out.len = c->sent = 0;
	herd_buf_put(&c->out, &a, sizeof(a));
	c->state = STATE_ANSWER;
}

static void answer(struct client *c, const void *bytes, size_t len)
{
	put_head(c, 0, len);
	herd_buf_put(&c->out, bytes, len);
}

static void refuse(struct client *c, int err, const struct herd_diag *diag)
{
	const char *why = diag->message[0] ? diag->message : strerror(-err);
	size_t len = strlen(why);

	if (len >= sizeof(diag->message))
		len = sizeof(diag->message) - 1;
	put_head(c, err, len);
	herd_buf_put(&c->out, why, len);
}

/* ---- requests ---- */

static int64_t time_limit(const struct herd_fetch *f)
{
	unsigned limit = f->options->timeout_ms ? f->options->timeout_ms :
						  TIMEOUT_MS;

	return f->dead_since && limit > DEAD_TIMEOUT_MS ? DEAD_TIMEOUT_MS :
							  limit;
}

static uint64_t bytes_heard(const struct herd_fetch *f)
{
	struct herd_aws_counters c = { .requests = 0 };

	if (f->aws)
		herd_aws_counters(f->aws, NULL, &c);
	return c.bytes_received;
}

static void set_deadline(const struct herd_fetch *f, struct client *c)
{
	c->deadline = herd_fetch_now_ms() + time_limit(f);
	c->heard = bytes_heard(f);
}

/* All its blocks are asked for at once; it is answered when all are there. */
static int do_read(struct herd_fetch *f, struct client *c,
		   struct herd_diag *diag)
{
	const struct herd_fetch_snapshot *s = f->snapshots[c->snapshot];
	const uint32_t size = s->list.block_size;
	uint64_t end = c->r.off + c->r.len;
	bool waiting = false;
	int err = 0;

	if (c->r.len > HERD_FETCH_READ_MAX || end < c->r.off ||
	    end > s->list.volume_size)
		return -EPROTO;
	put_head(c, 0, c->r.len);
	for (uint64_t at = c->r.off; at < end && !err;) {
		uint32_t in = (uint32_t)(at % size), part = size - in;
		const uint8_t *bytes = NULL;
		void *to;

		if (part > end - at)
			part = (uint32_t)(end - at);
		err = herd_fetch_block(f, c->snapshot, (uint32_t)(at / size),
				       &bytes, diag);
		waiting |= err == -EINPROGRESS;
		if (err == -EINPROGRESS)
			err = 0;
		/* what is there may be gone when the rest has come */
		to = err ? NULL : herd_buf_extend(&c->out, part);
		if (to && bytes)
			memcpy(to, bytes + in, part);
		else if (to)
			memset(to, 0, part);
		at += part;
	}
	if (!err && c->out.failed)
		err = -ENOMEM;
	return err ? err : waiting ? -EINPROGRESS : 0;
}

static void put_range(struct client *c, uint64_t first, uint64_t n,
		      uint32_t size)
{
	struct herd_fetch_range r = { first * size, n * size };

	herd_buf_put(&c->out, &r, sizeof(r));
}

/* Indexes, ascending, as ranges of bytes. */
static int answer_ranges(struct client *c, const uint32_t *v, size_t n,
			 uint32_t size)
{
	struct herd_fetch_answer head;

	put_head(c, 0, 0);
	for (size_t i = 0, from = 0; i < n; i++) {
		if (i + 1 < n && v[i + 1] == v[i] + 1)
			continue;
		put_range(c, v[from], i - from + 1, size);
		from = i + 1;
	}
	if (c->out.failed || c->out.len - sizeof(head) > HERD_FETCH_ANSWER_MAX)
		return -ENOMEM;
	head = (struct herd_fetch_answer){ .magic = HERD_FETCH_MAGIC,
		.len = (uint32_t)(c->out.len - sizeof(head)) };
	memcpy(c->out.data, &head, sizeof(head));
	return 0;
}

static int do_changed(struct herd_fetch *f, struct client *c,
		      struct herd_diag *diag)
{
	const struct herd_fetch_snapshot *s = f->snapshots[c->snapshot];
	int err;

	c->r.other[sizeof(c->r.other) - 1] = '\0';
	err = herd_fetch_changed(f, c->snapshot, c->r.other, diag);
	return err ? err :
	       answer_ranges(c, s->base.changed, s->base.n_changed,
			     s->list.block_size);
}

/* Calls fn for each block of the ranges, until it says no. */
static bool each_block(struct herd_fetch *f, struct client *c,
		       bool (*fn)(struct herd_fetch *f, size_t snapshot,
				  uint32_t index))
{
	const struct herd_block_list *l = &f->snapshots[c->snapshot]->list;

	for (uint32_t i = 0; i < c->r.n; i++) {
		uint64_t start = c->ranges[i].start, len = c->ranges[i].len;

		if (!len || start >= l->volume_size)
			continue;
		if (len > l->volume_size - start)
			len = l->volume_size - start;
		for (uint64_t b = start / l->block_size;
		     b <= (start + len - 1) / l->block_size; b++)
			if (!fn(f, c->snapshot, (uint32_t)b))
				return false;
	}
	return true;
}

/* Whether a block is among the request's ranges. */
static bool concerns(const struct herd_fetch *f, const struct client *c,
		     uint32_t index)
{
	const uint32_t size = f->snapshots[c->snapshot]->list.block_size;
	uint64_t start = (uint64_t)index * size;

	if (c->r.op == HERD_FETCH_READ)
		return start + size > c->r.off && start < c->r.off + c->r.len;
	for (uint32_t i = 0; c->r.op == HERD_FETCH_KEEP && i < c->r.n; i++)
		if (start + size > c->ranges[i].start &&
		    start < c->ranges[i].start + c->ranges[i].len)
			return true;
	return false;
}

static int cannot_keep(struct herd_diag *diag)
{
	return herd_diag_set(diag, -ENOSPC, "", HERD_NO_OFFSET,
			     "the cache keeps no more blocks");
}

/* Asks for what is missing; arrivals are counted. */
static int do_keep(struct herd_fetch *f, struct client *c,
		   struct herd_diag *diag)
{
	const struct herd_block_list *l = &f->snapshots[c->snapshot]->list;
	const uint8_t yes = 1;
	int err = 0;

	c->left = 0;
	for (uint32_t i = 0; i < c->r.n; i++) {
		uint64_t start = c->ranges[i].start, len = c->ranges[i].len;

		if (!len || start >= l->volume_size)
			continue;
		if (len > l->volume_size - start)
			len = l->volume_size - start;
		for (uint64_t b = start / l->block_size;
		     b <= (start + len - 1) / l->block_size; b++) {
			const uint8_t *bytes;

			if (herd_fetch_at_hand(f, c->snapshot, (uint32_t)b))
				continue;
			if (!f->cache || f->cache_full)
				return cannot_keep(diag);
			err = herd_fetch_block(f, c->snapshot, (uint32_t)b,
					       &bytes, diag);
			c->left += err == -EINPROGRESS;
			if (err && err != -EINPROGRESS)
				return err;
		}
	}
	if (c->left)
		return -EINPROGRESS;
	answer(c, &yes, 1);
	return 0;
}

static bool want(struct herd_fetch *f, size_t snapshot, uint32_t index)
{
	herd_fetch_ahead(f, snapshot, index);
	return true;
}

static void answer_info(struct client *c, const struct herd_fetch_snapshot *s)
{
	struct herd_fetch_info info = { .size = s->list.volume_size,
					.block_size = s->list.block_size };

	if (s->object) {
		memcpy(info.id, s->object->id, sizeof(info.id));
		strcpy(info.version, s->object->state.version);
	}
	answer(c, &info, sizeof(info));
}

static int perform(struct herd_fetch *f, struct client *c,
		   struct herd_diag *diag)
{
	const struct herd_fetch_snapshot *s = f->snapshots[c->snapshot];
	const uint8_t yes = 1, no = 0;
	int err = herd_fetch_listed(f, c->snapshot, diag);

	if (err)
		return err;

	switch (c->r.op) {
	case HERD_FETCH_INFO:
		answer_info(c, s);
		return 0;
	case HERD_FETCH_READ:
		return do_read(f, c, diag);
	case HERD_FETCH_DATA:
		return answer_ranges(c, s->list.indexes, s->list.n,
				     s->list.block_size);
	case HERD_FETCH_CHANGED:
		return do_changed(f, c, diag);
	case HERD_FETCH_WANT:
		each_block(f, c, want);
		answer(c, &yes, 1);
		return 0;
	case HERD_FETCH_KEEP:
		return do_keep(f, c, diag);
	case HERD_FETCH_AT_HAND:
		answer(c, each_block(f, c, herd_fetch_at_hand) ? &yes : &no, 1);
		return 0;
	default:
		return -EPROTO;
	}
}

/* Begins a request, or looks at it again. */
static void advance(struct server *s, struct client *c)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err = perform(&s->f, c, &diag);

	if (err == -EPROTO)
		c->gone = true;
	else if (err == -EINPROGRESS)
		c->state = STATE_WAITING;
	else if (err)
		refuse(c, err, &diag);
	if (c->state == STATE_ANSWER && c->out.failed)
		c->gone = true;
}

static void advance_all(struct server *s, size_t snapshot)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->clients[i]->state == STATE_WAITING &&
		    s->clients[i]->snapshot == snapshot)
			advance(s, s->clients[i]);
}

static bool is_network(int err)
{
	return err == -ETIMEDOUT || err == -ECONNREFUSED ||
	       err == -ECONNRESET || err == -EHOSTUNREACH ||
	       err == -ENETUNREACH;
}

void herd_fetch_moved(struct herd_fetch *f, size_t snapshot, int err,
		      const struct herd_diag *diag)
{
	struct server *s = f->server;

	if (is_network(err) && !f->dead_since)
		f->dead_since = herd_fetch_now_ms();
	for (size_t i = 0; i < s->n && err; i++) {
		struct client *c = s->clients[i];

		/* that two are not related is no news for who reads blocks */
		if (c->state == STATE_WAITING && c->snapshot == snapshot &&
		    (err != -EOPNOTSUPP || c->r.op == HERD_FETCH_CHANGED))
			refuse(c, err, diag);
	}
	if (!err)
		advance_all(s, snapshot);
}

void herd_fetch_arrived(struct herd_fetch *f, size_t snapshot, uint32_t index,
			int err, const struct herd_diag *diag)
{
	struct server *s = f->server;

	if (is_network(err) && !f->dead_since)
		f->dead_since = herd_fetch_now_ms();
	for (size_t i = 0; i < s->n; i++) {
		struct client *c = s->clients[i];

		if (c->state != STATE_WAITING || c->snapshot != snapshot ||
		    !concerns(f, c, index))
			continue;
		set_deadline(f, c);
		if (!err && c->r.op == HERD_FETCH_KEEP && --c->left)
			continue;
		if (err && err != -EKEYEXPIRED)
			refuse(c, err, diag);
		else
			advance(s, c);
	}
}

/* ---- connections ---- */

static void client_destroy(struct client *c)
{
	close(c->fd);
	herd_buf_deinit(&c->out);
	free(c);
}

static int add_client(struct server *s, int fd, size_t snapshot)
{
	struct client *c;

	if (s->n == CLIENTS_MAX)
		return -EOVERFLOW;
	if (s->n == s->cap) {
		size_t cap = s->cap ? s->cap * 2 : 16;
		struct client **v = reallocarray(s->clients, cap, sizeof(*v));
		struct pollfd *p;

		if (!v)
			return -ENOMEM;
		s->clients = v;
		p = reallocarray(s->polls, cap + 1, sizeof(*p));
		if (!p)
			return -ENOMEM;
		s->polls = p;
		s->cap = cap;
	}
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = fd;
	c->snapshot = snapshot;
	s->clients[s->n++] = c;
	return 0;
}

/* One message of the control socket. false: it has ended. */
static bool hear_control(struct server *s)
{
	struct herd_fetch_open o = { 0 };
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(HERD_HELPER_CONNECTIONS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { &o, sizeof(o) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(s->control, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	size_t snapshot = HERD_FETCH_NONE, n_fds = 0;
	int fds[HERD_HELPER_CONNECTIONS];

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	if (n == 0)
		return false;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
		n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
	}
	o.name[sizeof(o.name) - 1] = '\0';
	if (n == sizeof(o) && o.magic == HERD_FETCH_MAGIC)
		snapshot = strncmp(o.name, "s3:", 3) ?
				   herd_fetch_snapshot(&s->f, o.name) :
				   herd_fetch_object(&s->f, &o);
	for (size_t i = 0; i < n_fds; i++)
		if (snapshot == HERD_FETCH_NONE ||
		    add_client(s, fds[i], snapshot))
			close(fds[i]);
	return true;
}

/* Reads into what is expected; true when it is complete. */
static bool take(struct client *c, void *to, size_t len)
{
	while (c->got < len) {
		ssize_t n = recv(c->fd, (uint8_t *)to + c->got, len - c->got,
				 MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n <= 0) {
			c->gone = true;
			return false;
		}
		c->got += (size_t)n;
	}
	c->got = 0;
	return true;
}

static void hear(struct server *s, struct client *c)
{
	if (c->state == STATE_REQUEST && take(c, &c->r, sizeof(c->r))) {
		c->state = STATE_RANGES;
		if (c->r.magic != HERD_FETCH_MAGIC ||
		    c->r.n > HERD_FETCH_RANGES_MAX)
			c->gone = true;
	}
	if (c->state == STATE_RANGES && !c->gone &&
	    take(c, c->ranges, c->r.n * sizeof(*c->ranges))) {
		c->renewed = 0;
		set_deadline(&s->f, c);
		advance(s, c);
		if (c->r.op == HERD_FETCH_READ)
			herd_fetch_object_read(&s->f, c->snapshot, c->r.off,
					       c->r.len);
	}
}

static void say(struct client *c)
{
	while (c->sent < c->out.len) {
		ssize_t n = send(c->fd, c->out.data + c->sent,
				 c->out.len - c->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			c->gone = true;
			return;
		}
		c->sent += (size_t)n;
	}
	c->state = STATE_REQUEST;
}

/* ---- the loop ---- */

/* AWS answers, if slowly: a list has many pages, a narrow line many blocks
   under way. */
static bool is_slow(const struct herd_fetch *f, struct client *c)
{
	const struct herd_fetch_snapshot *s = f->snapshots[c->snapshot];

	return bytes_heard(f) > c->heard &&
	       (s->listing || s->comparing || c->renewed++ < RENEWALS);
}

static void expire(struct server *s)
{
	int64_t now = herd_fetch_now_ms();

	for (size_t i = 0; i < s->n; i++) {
		struct client *c = s->clients[i];
		struct herd_diag diag = { .offset = HERD_NO_OFFSET };

		if (c->state != STATE_WAITING)
			continue;
		if (now >= herd_fetch_object_due(s->f.snapshots[c->snapshot]))
			advance(s, c);
		if (c->state != STATE_WAITING || now < c->deadline)
			continue;
		if (is_slow(&s->f, c)) {
			set_deadline(&s->f, c);
			continue;
		}
		/* it may be this block alone that is of no use */
		if (bytes_heard(&s->f) > c->heard) {
			herd_diag_set(&diag, -EIO, "", HERD_NO_OFFSET,
				      "AWS has no good answer in time");
			refuse(c, -EIO, &diag);
			continue;
		}
		if (!s->f.dead_since)
			s->f.dead_since = now;
		herd_diag_set(&diag, -ETIMEDOUT, "", HERD_NO_OFFSET,
			      "AWS does not answer");
		refuse(c, -ETIMEDOUT, &diag);
	}
}

static void write_ledger(struct server *s, bool now)
{
	struct herd_fetch *f = &s->f;

	if (!f->ledger || (!now && herd_fetch_now_ms() < s->ledger_at))
		return;
	s->ledger_at = herd_fetch_now_ms() + LEDGER_MS;
	for (size_t i = 0; i < f->n_snapshots; i++)
		if (f->snapshots[i]->name[0])
			herd_fetch_ledger_add(f->ledger, f->snapshots[i]->name,
					      &f->snapshots[i]->cost);
}

static void drop_gone(struct server *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++)
		if (s->clients[i]->gone)
			client_destroy(s->clients[i]);
		else
			s->clients[n++] = s->clients[i];
	s->n = n;
}

static int64_t when_due(const struct herd_fetch *f, const struct client *c)
{
	int64_t due = herd_fetch_object_due(f->snapshots[c->snapshot]);

	return due < c->deadline ? due : c->deadline;
}

static int poll_all(struct server *s)
{
	int timeout = s->f.ledger ? LEDGER_MS : -1;
	size_t n = s->n;

	for (size_t i = 0; i < n; i++) {
		const struct client *c = s->clients[i];
		int64_t left = when_due(&s->f, c) - herd_fetch_now_ms();

		s->polls[i] = (struct pollfd){ .fd = c->fd,
			.events = c->state == STATE_ANSWER ? POLLOUT :
				  c->state == STATE_WAITING ? 0 : POLLIN };
		if (c->state == STATE_WAITING && (timeout < 0 || left < timeout))
			timeout = left < 0 ? 0 : (int)left;
	}
	s->polls[n] = (struct pollfd){ .fd = s->control, .events = POLLIN };
	if (s->f.aws)
		return herd_aws_run(s->f.aws, s->polls, (unsigned)n + 1,
				    timeout);
	return poll(s->polls, n + 1, timeout) < 0 && errno != EINTR ? -errno :
								      0;
}

static int loop(struct server *s)
{
	bool open = true;
	int err = 0;

	while (open && !err) {
		size_t n = s->n;	/* new ones were not polled */

		err = poll_all(s);
		for (size_t i = 0; i < n && !err; i++) {
			struct client *c = s->clients[i];
			short got = s->polls[i].revents;

			if (c->state == STATE_WAITING && (got & POLLHUP))
				c->gone = true;
			else if (got && (c->state == STATE_REQUEST ||
					 c->state == STATE_RANGES))
				hear(s, c);
			if (c->state == STATE_ANSWER && !c->gone)
				say(c);
		}
		if (s->polls[n].revents)
			open = hear_control(s);
		expire(s);
		drop_gone(s);
		herd_fetch_pump(&s->f);
		write_ledger(s, false);
	}
	return err;
}

/* Works without a cache, too, when the folder cannot be used: slower. */
static void open_cache(struct server *s)
{
	const struct herd_fetcher_options *o = s->f.options;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	CLEANUP_FREE char *dir = herd_fetcher_cache_dir(o->cache_dir);
	char text[1024];
	int err = dir ? herd_block_cache_open(dir, o->cache_limit, &s->f.cache,
					      &diag) : -ENOMEM;

	if (!err)
		err = herd_fetch_ledger_open(dir, &s->f.ledger, &diag);
	if (err)
		fprintf(stderr, "herdfs: without a cache of blocks: %s\n",
			herd_diag_format(&diag, err, text, sizeof(text)));
}

int herd_fetch_serve(const struct herd_fetcher_options *o, int control)
{
	struct server s = { .f = { .options = o }, .control = control };
	int err = 0;

	s.f.server = &s;
	s.polls = calloc(1, sizeof(*s.polls));
	if (!s.polls)
		return -ENOMEM;
	open_cache(&s);
	err = loop(&s);
	write_ledger(&s, true);
	herd_aws_destroy(s.f.aws);
	herd_aws_credentials_destroy(s.f.credentials);
	herd_http_destroy(s.f.http);
	herd_aws_settings_destroy(s.f.settings);
	for (size_t i = 0; i < s.n; i++)
		client_destroy(s.clients[i]);
	free(s.clients);
	free(s.polls);
	herd_fetch_blocks_deinit(&s.f);
	herd_fetch_snapshots_deinit(&s.f);
	herd_fetch_ledger_close(s.f.ledger);
	herd_block_cache_close(s.f.cache);
	return err;
}
