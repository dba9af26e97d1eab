/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor of a mount: reads which images there are, starts the server,
 * does for it what it cannot do once it is locked in, and clears up after it.
 *
 * Signals are blocked and taken through a descriptor, so that everything that
 * happens comes out of one poll. The list of images is fixed before the
 * server starts: it can name one of them, and nothing else.
 *
 * Threads: one a process.
 */
#include "fs/fuse_session.h"
#include "fs/fuse_mounts.h"
#include "fs/fuse_server.h"

#include "acquire/base/cleanup.h"
#include "acquire/fetcher.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>

#define READ_AHEAD_KB 1024
#define END_MS 5000		/* for the server to end when it is told to */
#define LOG_LINES_MAX 10000

struct supervisor {
	struct herd_mount_plan *plan;
	pid_t server;		/* 0: it has ended */
	int status;		/* then: as wait gave it */
	int sock, signals;
	struct herd_fetcher *fetcher;	/* NULL: none */
	int waiting;		/* of the process that waits for us, or -1 */
	bool ready, ending;
	unsigned lines;
	int err;		/* why it failed, before it was ready */
	struct herd_diag diag;
};

/* ---- what is to be mounted ---- */

static int compare_images(const void *a, const void *b)
{
	const struct herd_mount_image *x = a, *y = b;

	if (x->instance != y->instance)
		return x->instance > y->instance ? 1 : -1;
	return (x->disk > y->disk) - (x->disk < y->disk);
}

struct plan_maker {
	struct herd_mount_plan *plan;
	struct herd_txn *txn;
	uint32_t group;		/* 0: all */
	size_t n_disks;
};

/* What of memory cannot be read, the tree tells. */
static int add_memory(struct plan_maker *m, uint32_t id)
{
	struct herd_mount_plan *p = m->plan;
	struct herd_stored_memory stored;
	int err = herd_memory_get(m->txn, id, &stored);

	if (err)
		return err == -ENOMEM ? err : 0;
	if (!(p->n_memories & (p->n_memories - 1))) {
		void *v = reallocarray(p->memories, p->n_memories ?
				       2 * p->n_memories : 1,
				       sizeof(*p->memories));

		if (!v) {
			herd_stored_memory_deinit(&stored);
			return -ENOMEM;
		}
		p->memories = v;
	}
	p->memories[p->n_memories++] = (struct herd_mount_memory){
		id, stored.image };
	return 0;
}

static int add_instance(void *arg, uint32_t id, uint32_t group,
			enum herd_role role, const char *name)
{
	struct plan_maker *m = arg;
	struct herd_mount_plan *p = m->plan;
	struct herd_instance *v;
	int err;

	(void)role;
	(void)name;
	if (m->group && group != m->group)
		return 0;
	if (!(p->n_instances & (p->n_instances - 1))) {
		v = reallocarray(p->instances, p->n_instances ?
				 2 * p->n_instances : 1, sizeof(*v));
		if (!v)
			return -ENOMEM;
		p->instances = v;
	}
	v = &p->instances[p->n_instances];
	*v = (struct herd_instance){ 0 };
	err = herd_instance_get(m->txn, id, v);
	if (err)
		return err;
	p->n_instances++;
	m->n_disks += v->n_disks;
	return add_memory(m, id);
}

static int list_images(struct herd_mount_plan *p, size_t n_disks)
{
	p->images = calloc(n_disks + p->n_memories + 1, sizeof(*p->images));
	if (!p->images)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_instances; i++)
		for (uint32_t d = 0; d < p->instances[i].n_disks; d++)
			p->images[p->n_images++] = (struct herd_mount_image){
				.instance = p->instances[i].id, .disk = d,
				.image = &p->instances[i].disks[d],
			};
	for (size_t i = 0; i < p->n_memories; i++)
		p->images[p->n_images++] = (struct herd_mount_image){
			.instance = p->memories[i].instance,
			.disk = HERD_DISK_MEMORY,
			.image = &p->memories[i].image,
		};
	if (p->n_images)
		qsort(p->images, p->n_images, sizeof(*p->images),
		      compare_images);
	return 0;
}

static void plan_deinit(struct herd_mount_plan *p)
{
	for (size_t i = 0; i < p->n_instances; i++)
		herd_instance_deinit(&p->instances[i]);
	for (size_t i = 0; i < p->n_memories; i++)
		herd_image_deinit(&p->memories[i].image);
	free(p->memories);
	free(p->instances);
	free(p->images);
}

static int read_plan(struct herd_mount_plan *p, struct herd_diag *diag)
{
	const struct herd_mount *mount = p->mount;
	struct plan_maker m = { .plan = p };
	struct herd_store *store;
	struct herd_group g;
	int err = herd_store_open(mount->store, 0, &store, diag);

	if (err)
		return err;
	err = herd_txn_begin(store, false, &m.txn, diag);
	if (!err && mount->group) {
		err = herd_group_find(m.txn, mount->group, &g);
		if (err == -ENOENT)
			herd_diag_set(diag, err, mount->store, HERD_NO_OFFSET,
				      "there is no group \"%s\"",
				      mount->group);
		m.group = g.id;
	}
	if (!err)
		err = herd_instance_each_name(m.txn, 0, add_instance, &m);
	if (!err)
		err = list_images(p, m.n_disks);
	if (err)
		herd_diag_set(diag, err, mount->store, HERD_NO_OFFSET,
			      "reading who is in it: %s", strerror(-err));
	herd_txn_abort(m.txn);
	herd_store_close(store);
	return err;
}

/* Clears away what a mount of ours left that nobody serves any more. */
static int prepare_mountpoint(struct herd_mount_plan *p, struct herd_diag *diag)
{
	unsigned major, minor;
	struct statvfs st;
	int err = herd_mountpoint_resolve(p->mount->mountpoint, p->mountpoint,
					  diag);

	if (err)
		return err;
	/* who may use it, fusermount3 says */
	if (access("/dev/fuse", F_OK))
		return herd_diag_set(diag, -errno, "/dev/fuse", HERD_NO_OFFSET,
				     "this system has no FUSE (modprobe fuse "
				     "may help): %s", strerror(errno));
	if (!herd_mountpoint_is_ours(p->mountpoint, &major, &minor))
		return 0;
	if (statvfs(p->mountpoint, &st) == 0 || errno != ENOTCONN)
		return herd_diag_set(diag, -EBUSY, p->mountpoint,
				     HERD_NO_OFFSET, "a herd is mounted there "
				     "already");
	err = herd_mountpoint_unmount(p->mountpoint);
	return !err ? 0 :
	       herd_diag_set(diag, err, p->mountpoint, HERD_NO_OFFSET,
			     "a mount that ended badly cannot be cleared away: "
			     "%s", strerror(-err));
}

/* ---- helpers ---- */

static void send_helper(struct supervisor *s, struct herd_mount_message *m,
			const struct herd_helper *h)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(HERD_HELPER_CONNECTIONS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t bytes = h->n_fds * sizeof(int);

	if (bytes) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(bytes);

		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(bytes);
		memcpy(CMSG_DATA(c), h->fds, bytes);
	}
	while (sendmsg(s->sock, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void stop_helper(struct herd_mount_image *i)
{
	struct herd_helper h = { .pid = i->helper };

	if (i->helper > 0)
		herd_helper_stop(&h);
	i->helper = 0;
}

/* A new one, in the place of what there may have been. */
static void answer_helper(struct supervisor *s, struct herd_mount_message *m)
{
	const struct herd_mount_image key = { .instance = m->instance,
					      .disk = m->disk };
	struct herd_mount_plan *p = s->plan;
	struct herd_mount_image *i = !p->n_images ? NULL :
		bsearch(&key, p->images, p->n_images, sizeof(key),
			compare_images);
	struct herd_helper h = { 0 };

	*m = (struct herd_mount_message){ .type = HERD_MOUNT_HELPER };
	herd_diag_clear(&m->diag);
	if (!i || !herd_image_needs_helper(i->image)) {
		m->err = herd_diag_set(&m->diag, -ESTALE, "", HERD_NO_OFFSET,
				       "attached after this was mounted");
	} else {
		stop_helper(i);
		m->err = herd_helper_start(i->image, s->fetcher, &h,
					   &m->diag);
		if (!m->err)
			i->helper = h.pid;
	}
	send_helper(s, m, &h);
	while (h.n_fds)	/* it ends when the server has closed its own */
		close(h.fds[--h.n_fds]);
}

/* ---- the server ---- */

static void say(struct supervisor *s, const char *line)
{
	const struct herd_mount *m = s->plan->mount;

	if (m->log)
		m->log(m->log_arg, !m->foreground && s->waiting < 0, line);
}

struct outcome {
	int err;
	struct herd_diag diag;
};

/* Tells the process that waits, if one does, and goes its own way. */
static void report(struct supervisor *s, int err)
{
	struct outcome o = { err, s->diag };

	if (s->waiting < 0)
		return;
	while (write(s->waiting, &o, sizeof(o)) < 0 && errno == EINTR)
		;
	close(s->waiting);
	s->waiting = -1;
	for (int fd = 0; fd <= 2; fd++) {
		int null = open("/dev/null", O_RDWR);

		if (null >= 0 && null != fd) {
			dup2(null, fd);
			close(null);
		}
	}
}

/*
 * More is read ahead than is usual for FUSE. Only root may say so, and only
 * when the kernel has had the server's first answer: statvfs waits for that.
 */
static void raise_read_ahead(const struct supervisor *s)
{
	char path[80], text[16];
	unsigned major, minor;
	struct statvfs st;
	int n;

	if (statvfs(s->plan->mountpoint, &st) ||
	    !herd_mountpoint_is_ours(s->plan->mountpoint, &major, &minor))
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb",
		 major, minor);
	n = snprintf(text, sizeof(text), "%d", READ_AHEAD_KB);

	CLEANUP_FD int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, (size_t)n) < 0)
		return;		/* as it was, then */
}

static void hear(struct supervisor *s)
{
	struct herd_mount_message m;
	ssize_t n = recv(s->sock, &m, sizeof(m), MSG_DONTWAIT);

	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		close(TAKE_FD(s->sock));	/* its end will be signalled */
		return;
	}
	if (n != sizeof(m))
		return;
	m.line[sizeof(m.line) - 1] = 0;
	m.diag.source[sizeof(m.diag.source) - 1] = 0;
	m.diag.message[sizeof(m.diag.message) - 1] = 0;
	switch (m.type) {
	case HERD_MOUNT_READY:
		if (s->ready)
			break;
		s->ready = true;
		raise_read_ahead(s);
		report(s, 0);
		break;
	case HERD_MOUNT_FAILED:
		if (s->ready || s->err)
			break;
		s->err = m.err < 0 ? m.err : -EIO;
		s->diag = m.diag;
		break;
	case HERD_MOUNT_LOG:
		herd_text_clean(m.line);
		if (s->lines++ < LOG_LINES_MAX)
			say(s, m.line);
		break;
	case HERD_MOUNT_HELPER:
		answer_helper(s, &m);
		break;
	}
}

static void reap(struct supervisor *s)
{
	if (s->server > 0 && waitpid(s->server, &s->status, WNOHANG) ==
	    s->server)
		s->server = 0;
	/* a helper that died stays until it is replaced or all ends */
}

static void unmount(const struct supervisor *s)
{
	unsigned major, minor;

	if (herd_mountpoint_is_ours(s->plan->mountpoint, &major, &minor))
		herd_mountpoint_unmount(s->plan->mountpoint);
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Until the server has ended. */
static void supervise(struct supervisor *s)
{
	int64_t kill_at = 0;

	while (s->server) {
		struct pollfd fds[] = { { s->signals, POLLIN, 0 },
					{ s->sock, POLLIN, 0 } };
		struct signalfd_siginfo info;

		poll(fds, 2, kill_at ? 100 : -1);
		if (s->sock >= 0 && fds[1].revents)
			hear(s);
		while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
			if (info.ssi_signo == SIGCHLD) {
				reap(s);
			} else if (!s->ending) {
				s->ending = true;
				unmount(s);
				kill(s->server, SIGTERM);
				kill_at = now_ms() + END_MS;
			}
		}
		if (kill_at && s->server && now_ms() > kill_at) {
			kill(s->server, SIGKILL);
			kill_at = now_ms() + END_MS;
		}
	}
	while (s->sock >= 0)	/* what it said last */
		hear(s);
}

static int start_server(struct supervisor *s)
{
	const pid_t self = getpid();
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	s->server = fork();
	if (s->server < 0) {
		int err = -errno;

		close(socks[0]);
		close(socks[1]);
		s->server = 0;
		return err;
	}
	if (s->server == 0) {
		sigset_t none;

		close(socks[0]);
		close(s->signals);
		if (s->waiting >= 0)
			close(s->waiting);
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != self)
			_exit(1);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		herd_mount_serve(s->plan, socks[1]);
	}
	close(socks[1]);
	s->sock = socks[0];
	return 0;
}

static int end_of(struct supervisor *s)
{
	char text[128];

	for (size_t i = 0; i < s->plan->n_images; i++)
		stop_helper(&s->plan->images[i]);
	unmount(s);
	if (s->err)
		return s->err;
	if (WIFEXITED(s->status) && WEXITSTATUS(s->status) == 0 && s->ready)
		return 0;
	if (s->ending)
		return 0;
	if (WIFSIGNALED(s->status))
		snprintf(text, sizeof(text), "the process that serves the "
			 "mount was ended by signal %d (%s)",
			 WTERMSIG(s->status), strsignal(WTERMSIG(s->status)));
	else
		snprintf(text, sizeof(text), "the process that serves the "
			 "mount failed");
	if (s->ready)
		say(s, text);
	return herd_diag_set(&s->diag, -EIO, s->plan->mountpoint,
			     HERD_NO_OFFSET, "%s", text);
}

/* The life of the supervisor. waiting: a pipe that wants to know, or -1. */
static int run(struct herd_mount_plan *p, int waiting, struct herd_diag *diag)
{
	static const int wanted[] = { SIGCHLD, SIGTERM, SIGINT, SIGHUP,
				      SIGQUIT };
	struct supervisor s = { .plan = p, .sock = -1, .waiting = waiting };
	sigset_t set, before;
	int err;

	herd_diag_clear(&s.diag);
	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, &before);
	s.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	err = s.signals < 0 ? -errno : 0;
	if (!err && p->mount->fetcher)
		err = herd_fetcher_create(p->mount->fetcher, &s.fetcher);
	if (!err)
		err = start_server(&s);
	if (!err) {
		supervise(&s);
		err = end_of(&s);
	}
	report(&s, err ? err : -EIO);	/* unless it has been told */
	herd_fetcher_destroy(s.fetcher);
	if (s.signals >= 0)
		close(s.signals);
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (err && diag)
		*diag = s.diag;
	return err;
}

/* ---- in the background ---- */

static int run_detached(struct herd_mount_plan *p, struct herd_diag *diag)
{
	struct outcome o;
	int pipes[2];
	ssize_t n;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid < 0) {
		close(pipes[0]);
		close(pipes[1]);
		return -errno;
	}
	if (pid == 0) {
		close(pipes[0]);
		setsid();
		if (chdir("/"))
			_exit(1);
		_exit(run(p, pipes[1], NULL) ? 1 : 0);
	}
	close(pipes[1]);
	do {
		n = read(pipes[0], &o, sizeof(o));
	} while (n < 0 && errno == EINTR);
	close(pipes[0]);
	if (n != sizeof(o))
		return herd_diag_set(diag, -EIO, p->mountpoint, HERD_NO_OFFSET,
				     "the process in the background has gone");
	if (o.err && diag)
		*diag = o.diag;
	return o.err;
}

int herd_mount_run(const struct herd_mount *m, struct herd_diag *diag)
{
	struct herd_mount here = *m;
	struct herd_mount_plan p = { .mount = &here };
	char *store CLEANUP_FREE = realpath(m->store, NULL);
	char *policy CLEANUP_FREE = m->policy ? realpath(m->policy, NULL) : NULL;
	char *rules CLEANUP_FREE = m->rules ? realpath(m->rules, NULL) : NULL;
	int err = prepare_mountpoint(&p, diag);

	if (store)	/* the one in the background stands elsewhere */
		here.store = store;
	if (policy)
		here.policy = policy;
	if (rules)
		here.rules = rules;
	if (!err)
		err = read_plan(&p, diag);
	if (!err)
		err = here.foreground ? run(&p, -1, diag) :
					run_detached(&p, diag);
	plan_deinit(&p);
	return err;
}
