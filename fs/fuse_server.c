/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server of a mount: mounts, opens the store, locks itself in, and puts
 * the kernel's requests to the tree until it is unmounted or told to end. It
 * never unmounts: that is the supervisor's.
 *
 * Threads: one until all is locked in, then those of the loop. `asking`
 * lets one of them at a time wait for the supervisor's answer.
 */
#include "fs/fuse_loop.h"
#include "fs/fuse_ops.h"
#include "fs/fuse_server.h"
#include "acquire/confine.h"
#include "acquire/fetcher.h"
#include "index/knowledge.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define CACHE_MB 64
#define THREADS 8
#define OPTIONS "ro,nosuid,nodev,noexec,subtype=herdfs"

struct server {
	const struct herd_mount_plan *plan;
	int sock;
	int devnull;
	pthread_mutex_t asking;
	struct herd_store *store;
	struct herd_knowledge *knowledge;
	struct herd_fuse fuse;
	struct fuse_session *session;
};

/* ---- the supervisor ---- */

static void tell(const struct server *s, struct herd_mount_message *m)
{
	while (send(s->sock, m, sizeof(*m), MSG_NOSIGNAL) < 0 &&
	       errno == EINTR)
		;
}

static void tell_line(void *arg, const char *line)
{
	struct herd_mount_message m = { .type = HERD_MOUNT_LOG };

	snprintf(m.line, sizeof(m.line), "%s", line);
	tell(arg, &m);
}

static void fail(const struct server *s, int err, const struct herd_diag *diag)
{
	struct herd_mount_message m = { .type = HERD_MOUNT_FAILED, .err = err,
					.diag = *diag };

	tell(s, &m);
	_exit(1);
}

/* The answer and the sockets that come with it. */
static int receive_helper(const struct server *s, struct herd_mount_message *m,
			  struct herd_helper *ret)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(HERD_HELPER_CONNECTIONS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { m, sizeof(*m) };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *c;
	ssize_t n;

	*ret = (struct herd_helper){ 0 };
	do {
		n = recvmsg(s->sock, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n != sizeof(*m))
		return -EPIPE;	/* the supervisor is gone */
	for (c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (bytes > sizeof(ret->fds))
			bytes = sizeof(ret->fds);
		ret->n_fds = bytes / sizeof(int);
		memcpy(ret->fds, CMSG_DATA(c), ret->n_fds * sizeof(int));
	}
	return m->err;
}

static int ask_for_helper(struct server *s, uint32_t instance, uint32_t disk,
			  struct herd_helper *ret, struct herd_diag *diag)
{
	struct herd_mount_message m = { .type = HERD_MOUNT_HELPER,
					.instance = instance, .disk = disk };
	int err;

	SCOPED_LOCK(&s->asking);
	tell(s, &m);
	err = receive_helper(s, &m, ret);
	if (err && diag)
		*diag = m.diag;
	return err;
}

static void close_helper(struct herd_helper *h)
{
	while (h->n_fds)
		close(h->fds[--h->n_fds]);
}

/* The tree wants to read a disk. */
static int open_disk(void *arg, uint32_t instance, uint32_t disk,
		     const struct herd_image *image, struct herd_source **ret,
		     struct herd_diag *diag)
{
	struct server *s = arg;
	struct herd_helper h = { 0 };
	const bool needs = herd_image_needs_helper(image);
	int err = herd_image_verify(image, true, diag);

	if (!err && needs)
		err = ask_for_helper(s, instance, disk, &h, diag);
	if (!err)
		err = herd_image_open(image, needs ? &h : NULL, ret, diag);
	if (err)
		close_helper(&h);
	return err;
}

/* ---- mounting ---- */

static char log_text[512];	/* what libfuse had to say, before threads */
static bool log_open = true;

__attribute__((format(printf, 2, 0)))
static void take_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char *end;

	(void)level;
	if (!log_open || log_text[0])
		return;
	vsnprintf(log_text, sizeof(log_text), fmt, ap);
	end = strchr(log_text, '\n');
	if (end)
		*end = 0;
}

static int make_session(struct server *s, struct herd_diag *diag)
{
	const struct herd_mount *m = s->plan->mount;
	char *opts = NULL;
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int err = fuse_opt_add_opt(&opts, OPTIONS);
	char *name CLEANUP_FREE = NULL;

	if (asprintf(&name, "fsname=%s", m->source ? m->source : "herdfs") < 0)
		return -ENOMEM;
	if (!err)
		err = fuse_opt_add_opt_escaped(&opts, name);
	if (!err && m->options && *m->options)
		err = fuse_opt_add_opt(&opts, m->options);
	if (!err)
		err = fuse_opt_add_arg(&args, "herdfs");
	if (!err)
		err = fuse_opt_add_arg(&args, "-o");
	if (!err)
		err = fuse_opt_add_arg(&args, opts);
	if (!err)
		s->session = fuse_session_new(&args, &herd_fuse_ops,
					      sizeof(herd_fuse_ops), &s->fuse);
	fuse_opt_free_args(&args);
	free(opts);
	if (!s->session)
		return herd_diag_set(diag, -EINVAL, "", HERD_NO_OFFSET,
				     "FUSE does not take these options: %s",
				     log_text[0] ? log_text : "no reason given");
	return 0;
}

/* With what fusermount3 writes to stderr caught as the reason. */
static int mount_it(struct server *s, struct herd_diag *diag)
{
	char said[400] = "";
	int pipes[2], was = fcntl(2, F_DUPFD_CLOEXEC, 3), err;
	ssize_t n;

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK))
		return -errno;
	dup2(pipes[1], 2);
	err = fuse_session_mount(s->session, s->plan->mountpoint);
	if (was >= 0)
		dup2(was, 2);
	n = read(pipes[0], said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = 0;
	said[strcspn(said, "\n")] = 0;
	close(pipes[0]);
	close(pipes[1]);
	if (was >= 0)
		close(was);
	if (!err)
		return 0;
	return herd_diag_set(diag, -EIO, s->plan->mountpoint, HERD_NO_OFFSET,
			     "cannot be mounted on: %s", said[0] ? said :
			     log_text[0] ? log_text : "no reason given");
}

static int lock_in(struct server *s, struct herd_diag *diag)
{
	const struct herd_mount_plan *p = s->plan;
	const char **files CLEANUP_FREE = NULL;
	struct herd_confinement c = { .connected_sockets = true,
				      .fuse_device = true };
	char missing[400] = "";
	size_t n = 0;
	int err;

	for (size_t i = 0; i < p->n_images; i++)
		n += p->images[i].image->n_files;
	files = calloc(n + 1, sizeof(*files));
	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_images; i++)
		for (size_t k = 0; k < p->images[i].image->n_files &&
				   !herd_image_is_remote(p->images[i].image);
		     k++)
			files[c.n_read_files++] =
				p->images[i].image->files[k].path;
	c.read_files = files;
	err = herd_confine(&c, missing, sizeof(missing), diag);
	if (!err && missing[0])
		tell_line(s, missing);
	return err;
}

static void tell_expired(struct server *s)
{
	const struct herd_knowledge *k = s->knowledge;

	for (size_t i = 0; i < k->policy.n; i++) {
		const struct herd_policy_rule *r = &k->policy.v[i];
		char line[1024];

		if (!herd_policy_expired(r, k->now))
			continue;
		snprintf(line, sizeof(line), "%.300s:%u: the rule for %.500s "
			 "ended with %s and does not apply", k->policy_source,
			 r->line, r->pattern, r->until);
		tell_line(s, line);
	}
}

static int start(struct server *s, struct herd_diag *diag)
{
	const struct herd_mount *m = s->plan->mount;
	struct herd_tree_options options = {
		.group = m->group,
		.cache_mb = m->cache_mb ? m->cache_mb : CACHE_MB,
		.on_failure = tell_line,
		.on_failure_arg = s,
		.on_wait = herd_fuse_loop_hand_on,
	};
	const struct herd_knowledge_files files = {
		.store_dir = m->store, .policy = m->policy, .rules = m->rules };
	int err = herd_store_open(m->store, 0, &s->store, diag);

	if (!err)
		err = herd_knowledge_open(&files, m->now, &s->knowledge, diag);
	options.knowledge = s->knowledge;
	if (!err)
		err = herd_tree_open(s->store, &options, open_disk, s,
				     &s->fuse.tree, diag);
	fuse_set_log_func(take_log);
	if (!err)
		err = make_session(s, diag);
	if (!err)
		err = mount_it(s, diag);
	if (!err)
		err = lock_in(s, diag);
	if (!err)
		tell_expired(s);
	log_open = false;
	return err;
}

/*
 * The terminal, or whoever waits for the end of our output, is let go. In the
 * foreground too: what is worth saying goes to the supervisor, and libfuse
 * has words of its own for what the tree says better. Sanitizers are heard.
 */
static void let_go(const struct server *s)
{
	int last = 2;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	last = s->plan->mount->foreground ? 1 : 2;
#endif
	for (int fd = 0; fd <= last; fd++)
		dup2(s->devnull, fd);
}

void herd_mount_serve(const struct herd_mount_plan *p, int sock)
{
	struct server s = { .plan = p, .sock = sock, .devnull = -1,
			    .asking = PTHREAD_MUTEX_INITIALIZER };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_mount_message ready = { .type = HERD_MOUNT_READY };
	sigset_t term;
	int err;

	/* the fetcher has its own */
	herd_fetcher_forget_secrets();
	signal(SIGINT, SIG_IGN);	/* the supervisor sees to the end */
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&term);	/* the loop waits for it */
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	s.devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (s.devnull < 0)
		fail(&s, -errno, &diag);
	err = start(&s, &diag);
	if (err)
		fail(&s, err, &diag);
	let_go(&s);
	tell(&s, &ready);
	err = herd_fuse_loop(s.session, p->mount->threads ? p->mount->threads :
				       THREADS);
	if (!err) {
		herd_tree_close(s.fuse.tree);
		herd_knowledge_close(s.knowledge);
		herd_store_close(s.store);
	}
	_exit(err < 0);
}
