/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting the fetcher and connecting to it. The process is a fork: it has
 * the user's environment, in which the credentials may be, and takes leave of
 * everything else.
 *
 * Threads: as acquire/fetcher.h says.
 */
#include "acquire/fetcher.h"

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"
#include "acquire/fetch_internal.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct herd_fetcher {
	struct herd_fetcher_options options;	/* its texts are owned */
	int control;	/* -1: not started */
	pid_t pid, parent;	/* parent: who started it */
};

static char *copy(const char *text, int *err)
{
	char *c = text ? strdup(text) : NULL;

	if (text && !c)
		*err = -ENOMEM;
	return c;
}

/* Whoever goes into the background stands elsewhere. */
static char *absolute(const char *path, int *err)
{
	CLEANUP_FREE char *here = NULL;
	char *whole = NULL;

	if (!path || *path == '/')
		return copy(path, err);
	here = getcwd(NULL, 0);
	if (!here || asprintf(&whole, "%s/%s", here, path) < 0) {
		*err = -ENOMEM;
		return NULL;
	}
	return whole;
}

int herd_fetcher_create(const struct herd_fetcher_options *o,
			struct herd_fetcher **ret)
{
	struct herd_fetcher *f = calloc(1, sizeof(*f));
	int err = 0;

	if (!f)
		return -ENOMEM;
	f->control = -1;
	f->options = *o;
	f->options.cache_dir = absolute(o->cache_dir, &err);
	f->options.aws.profile = copy(o->aws.profile, &err);
	f->options.aws.region = copy(o->aws.region, &err);
	f->options.aws.endpoint_url = copy(o->aws.endpoint_url, &err);
	if (err)
		herd_fetcher_destroy(f);
	else
		*ret = f;
	return err;
}

static void stop(struct herd_fetcher *f)
{
	if (f->control < 0)
		return;
	close(f->control);
	f->control = -1;
	/* with its control gone it ends by itself, and has the time to write
	   down what it cost */
	if (f->parent == getpid())
		while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
			;
}

void herd_fetcher_destroy(struct herd_fetcher *f)
{
	if (!f)
		return;
	stop(f);
	free((char *)f->options.cache_dir);
	free((char *)f->options.aws.profile);
	free((char *)f->options.aws.region);
	free((char *)f->options.aws.endpoint_url);
	free(f);
}

char *herd_fetcher_cache_dir(const char *given)
{
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;
	const char *home = getenv("HOME"), *xdg = getenv("XDG_CACHE_HOME");

	if (!given || !*given)
		given = getenv("HERDFS_CACHE");
	if (given && *given)
		herd_buf_printf(&b, "%s", given);
	else if (xdg && *xdg == '/')
		herd_buf_printf(&b, "%s/herdfs", xdg);
	else
		herd_buf_printf(&b, "%s/.cache/herdfs", home && *home ? home :
								       "/tmp");
	herd_buf_u8(&b, 0);
	return b.failed ? NULL : (char *)TAKE_PTR(b.data);
}

/* ---- secrets ---- */

extern char **environ;

void herd_fetcher_forget_secrets(void)
{
	static const char *const names[] = {
		"AWS_ACCESS_KEY_ID=", "AWS_SECRET_ACCESS_KEY=",
		"AWS_SESSION_TOKEN=", "AWS_SECURITY_TOKEN=",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN=",
	};

	for (char **e = environ; e && *e; e++)
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			if (!strncmp(*e, names[i], strlen(names[i])))
				explicit_bzero(*e + strlen(names[i]),
					       strlen(*e) - strlen(names[i]));
}

/* ---- the process ---- */

/* Everything but the standard ones and the control socket belongs to who
   started it. */
static void close_others(int control)
{
	if (control != 3 && dup2(control, 3) < 0)
		_exit(1);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	if (close_range(4, ~0u, 0) && errno != ENOSYS)
		_exit(1);
}

_Noreturn static void child_main(const struct herd_fetcher *f, int control)
{
	const struct rlimit none = { 0, 0 };
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t empty;

	/* a Ctrl-C is for the command, which will close the sockets */
	sigaction(SIGINT, &ignore, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
	signal(SIGTERM, SIG_DFL);
	signal(SIGHUP, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
	/* no core file, and nobody of the same user looks in */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_NAME, "herdfs-fetcher", 0, 0, 0);
	close_others(control);
	/* blocks come and go by the thousand: their pages are kept, or each
	   would be given back and cleared anew, which costs more than all else */
	mallopt(M_MMAP_THRESHOLD, HERD_FETCH_READ_MAX * 4);
	mallopt(M_TRIM_THRESHOLD, 256 << 20);
	_exit(herd_fetch_serve(&f->options, 3) ? 1 : 0);
}

int herd_fetcher_start(struct herd_fetcher *f)
{
	int socks[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	f->parent = getpid();
	f->pid = fork();
	if (f->pid == 0) {
		close(socks[0]);
		child_main(f, socks[1]);
	}
	close(socks[1]);
	if (f->pid < 0) {
		int err = -errno;

		close(socks[0]);
		return err;
	}
	f->control = socks[0];
	return 0;
}

/* ---- connecting ---- */

static int send_open(struct herd_fetcher *f, struct herd_fetch_open *o,
		     const int *fds, size_t n)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(HERD_HELPER_CONNECTIONS * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { o, sizeof(*o) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t sent;

	o->n_fds = (uint32_t)n;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(c), fds, n * sizeof(int));
	do
		sent = sendmsg(f->control, &msg, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

static int connect_once(struct herd_fetcher *f, struct herd_fetch_open *o,
			struct herd_helper *h)
{
	int far[HERD_HELPER_CONNECTIONS];
	size_t n = 0;
	int err = f->control < 0 ? herd_fetcher_start(f) : 0;

	for (; n < HERD_HELPER_CONNECTIONS && !err; n++) {
		int socks[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks)) {
			err = -errno;
			break;
		}
		h->fds[h->n_fds++] = socks[0];
		far[n] = socks[1];
	}
	if (!err)
		err = send_open(f, o, far, n);
	while (n)
		close(far[--n]);
	if (err)
		herd_helper_stop(h);
	return err;
}

int herd_fetcher_connect(struct herd_fetcher *f, const struct herd_image *img,
			 struct herd_helper *ret, struct herd_diag *diag)
{
	const struct herd_image_file *file = &img->files[0];
	const char *snapshot = herd_ebs_snapshot(file->path);
	struct herd_fetch_open o = { .magic = HERD_FETCH_MAGIC };
	struct herd_helper h = { .pid = 0 };
	const char *name = snapshot ? snapshot : file->path;
	int err;

	if ((!snapshot && !herd_s3_is_object(name)) ||
	    strlen(name) >= sizeof(o.name))
		return herd_diag_set(diag, -EINVAL, name, HERD_NO_OFFSET,
				     "names no snapshot and no object");
	strcpy(o.name, name);
	o.known = !snapshot && file->size;
	o.size = file->size;
	memcpy(o.id, file->ends, sizeof(o.id));
	err = connect_once(f, &o, &h);

	/* it has died: only who started it may start another one */
	if (err == -EPIPE || err == -ECONNRESET) {
		if (f->parent == getpid())
			stop(f);
		else
			herd_cleanup_fd(&f->control), f->control = -1;
		h = (struct herd_helper){ .pid = 0 };
		err = connect_once(f, &o, &h);
	}
	if (err)
		return herd_diag_set(diag, err, name, HERD_NO_OFFSET,
				     "the fetcher cannot be started: %s",
				     strerror(-err));
	h.pid = 0;
	*ret = h;
	return 0;
}
