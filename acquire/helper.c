/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The qemu-nbd child. It gets a listening socket whose clients are connected
 * already and whose name is gone, and the image's files as open descriptors,
 * so its command line holds no name out of an image and nothing has to be
 * found twice. It is not told to persist: it ends when the last of the
 * sockets is closed, and when the process that started it does, however that
 * comes about.
 *
 * Threads: start forks; call it before other threads are started, in the
 * thread that lives as long as the process.
 */
#include "acquire/base/buf.h"
#include "acquire/chain.h"
#include "acquire/confine.h"
#include "acquire/fetcher.h"
#include "acquire/source_impl.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define FIRST_FD 3		/* by convention the socket that is handed over */
#define START_MS 30000
#define FILES_MAX (2 * HERD_CHAIN_MAX)

static const char *const programs[] = {
	"/usr/bin/qemu-nbd", "/usr/local/bin/qemu-nbd", "/bin/qemu-nbd",
};

/* What the child is made from; all of it is ready before the fork. */
struct launch {
	const struct herd_image *img;
	const char *program;
	int listener;
	int errors[2];			/* pipe for its stderr */
	int files[FILES_MAX];
	bool device[FILES_MAX];
	const char *paths[FILES_MAX];
	size_t n_files;
	struct herd_buf tree;		/* json: what to open as what */
	char pid_variable[32];
	pid_t parent;
	sigset_t no_signals;
};

static void launch_deinit(struct launch *l)
{
	for (size_t i = 0; i < l->n_files; i++)
		herd_cleanup_fd(&l->files[i]);
	herd_cleanup_fd(&l->listener);
	herd_cleanup_fd(&l->errors[0]);
	herd_cleanup_fd(&l->errors[1]);
	herd_buf_deinit(&l->tree);
}

static const char *image_name(const struct launch *l)
{
	return herd_path_base(l->img->files[0].path);
}

/* ---- what to serve ---- */

static int open_files(struct launch *l, struct herd_diag *diag)
{
	if (l->img->n_files > FILES_MAX)
		return -EOVERFLOW;
	for (; l->n_files < l->img->n_files; l->n_files++) {
		size_t i = l->n_files;
		struct stat st;
		uint64_t size;
		int err;

		l->paths[i] = l->img->files[i].path;
		err = herd_image_file_open(l->paths[i], &l->files[i], &st,
					   &size, diag);
		if (err)
			return err;
		l->device[i] = S_ISBLK(st.st_mode);
	}
	return 0;
}

/* The file's node. Others may have it open, so no locks are taken. */
static void put_file(struct launch *l, size_t file)
{
	herd_buf_printf(&l->tree,
			"{\"driver\":\"%s\",\"filename\":\"/dev/fd/%zu\","
			"\"locking\":\"off\",\"aio\":\"threads\"}",
			l->device[file] ? "host_device" : "file",
			FIRST_FD + 1 + file);
}

static const char *driver_of(const char *format)
{
	if (!strcmp(format, "vhd"))
		return "vpc";
	return format;
}

/* Every format is given and every backing file: qemu looks for nothing. */
static int put_tree(struct launch *l, struct herd_diag *diag)
{
	struct herd_chain chain;
	int err = herd_chain_read(l->img, &chain, diag);

	if (err)
		return err;
	herd_buf_printf(&l->tree, "json:");
	for (size_t i = 0; i < chain.n; i++) {
		const struct herd_chain_link *link = &chain.links[i];

		herd_buf_printf(&l->tree, "%s{\"driver\":\"%s\",\"file\":",
				i ? ",\"backing\":" : "",
				driver_of(link->format));
		put_file(l, link->file);
		if (link->qcow2.external_data) {
			herd_buf_printf(&l->tree, ",\"data-file\":");
			put_file(l, link->file + 1);
		}
	}
	/* a raw node has no such option; the others must not look for one */
	if (strcmp(chain.links[chain.n - 1].format, "raw"))
		herd_buf_printf(&l->tree, ",\"backing\":null");
	for (size_t i = 0; i < chain.n; i++)
		herd_buf_printf(&l->tree, "}");
	herd_buf_u8(&l->tree, '\0');
	return herd_buf_error(&l->tree);
}

/* ---- sockets ---- */

/*
 * A listening socket in a folder of its own that only we may enter, the
 * clients connected to it, and both names gone again before it returns.
 */
static int listen_and_connect(struct launch *l, struct herd_helper *h)
{
	const char *tmp = getenv("TMPDIR");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	CLEANUP_BUF struct herd_buf dir = HERD_BUF_INIT;
	CLEANUP_FD int dir_fd = -1;
	int err = 0;

	herd_buf_printf(&dir, "%s/herdfs-XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
	if (herd_buf_error(&dir))
		return -ENOMEM;
	if (!mkdtemp((char *)dir.data))
		return -errno;
	dir_fd = open((char *)dir.data, O_PATH | O_DIRECTORY | O_CLOEXEC);
	l->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* by descriptor, since a socket's path may be only 107 bytes long */
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/nbd",
		 dir_fd);
	if (dir_fd < 0 || l->listener < 0 ||
	    bind(l->listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(l->listener, HERD_HELPER_CONNECTIONS))
		err = -errno;
	for (; !err && h->n_fds < HERD_HELPER_CONNECTIONS; h->n_fds++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0 || connect(fd, (struct sockaddr *)&addr,
				      sizeof(addr))) {
			err = -errno;
			herd_cleanup_fd(&fd);
			break;
		}
		h->fds[h->n_fds] = fd;
	}
	if (dir_fd >= 0)
		unlinkat(dir_fd, "nbd", 0);
	rmdir((char *)dir.data);
	return err;
}

/* ---- the child ---- */

/* Puts every descriptor at its place; nothing below `above` is overwritten. */
static int place_fds(struct launch *l)
{
	int above = FIRST_FD + 1 + (int)l->n_files;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	int listener = fcntl(l->listener, F_DUPFD_CLOEXEC, above);
	int errors = fcntl(l->errors[1], F_DUPFD_CLOEXEC, above);

	for (size_t i = 0; i < l->n_files; i++) {
		l->files[i] = fcntl(l->files[i], F_DUPFD_CLOEXEC, above);
		if (l->files[i] < 0)
			return -1;
	}
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(errors, 2) < 0 || dup2(listener, FIRST_FD) < 0)
		return -1;
	for (size_t i = 0; i < l->n_files; i++)
		if (dup2(l->files[i], FIRST_FD + 1 + (int)i) < 0)
			return -1;
	return close_range((unsigned)above, ~0u, 0);
}

static void write_pid(char *to)
{
	char digits[16];
	size_t n = 0;

	for (long pid = getpid(); pid; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	while (n)
		*to++ = digits[--n];
	*to = '\0';
}

static void __attribute__((noreturn)) child_main(struct launch *l)
{
	static const char failed[] = "cannot be started";
	char shared[16];
	char *argv[] = { (char *)l->program, "--read-only", "--allocation-depth",
			 "--shared", shared, "--cache=writeback",
			 (char *)l->tree.data, NULL };
	char *envp[] = { "LISTEN_FDS=1", l->pid_variable, "LC_ALL=C",
			 "PATH=/usr/bin:/bin", NULL };

	snprintf(shared, sizeof(shared), "%d", HERD_HELPER_CONNECTIONS);
	write_pid(l->pid_variable + strlen(l->pid_variable));
	/* ^C is for the program in front; we end when our sockets do … */
	setsid();
	/*
	 * … which qemu-nbd only notices on one that was shaken hands on, so
	 * whatever becomes of who started it, it is not left behind.
	 */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (getppid() != l->parent)
		_exit(127);
	/* nobody reads its stderr once it runs */
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &l->no_signals, NULL);
	if (place_fds(l) == 0 &&
	    herd_confine_child(l->paths, l->n_files) == 0)
		execve(l->program, argv, envp);
	if (write(2, failed, strlen(failed)) < 0)
		_exit(126);
	_exit(127);
}

/* ---- waiting for it ---- */

/* What it said before it died, in one line. */
static int explain_death(struct launch *l, struct herd_diag *diag)
{
	char text[400] = "";
	size_t n = 0;

	while (n + 1 < sizeof(text)) {
		ssize_t got = read(l->errors[0], text + n, sizeof(text) - 1 - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		n += (size_t)got;
	}
	text[n] = '\0';
	while (n && text[n - 1] == '\n')
		text[--n] = '\0';

	const char *line = strncmp(text, "qemu-nbd: ", 10) ? text : text + 10;

	return herd_diag_set(diag, -EBADMSG, image_name(l), HERD_NO_OFFSET,
			     "qemu-nbd does not read it%s%s",
			     *line ? ": " : "", line);
}

/* The server speaks first: its greeting says that the image is open. */
static int wait_for_greeting(struct launch *l, const struct herd_helper *h,
			     struct herd_diag *diag)
{
	struct pollfd p = { .fd = h->fds[0], .events = POLLIN };
	char byte;
	int n;

	do
		n = poll(&p, 1, START_MS);
	while (n < 0 && errno == EINTR);
	if (n > 0 && recv(h->fds[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1)
		return 0;
	if (n > 0) {
		kill(h->pid, SIGKILL);
		return explain_death(l, diag);
	}
	return herd_diag_set(diag, -EIO, image_name(l), HERD_NO_OFFSET,
			     "qemu-nbd did not start within %d s",
			     START_MS / 1000);
}

static int launch_child(struct launch *l, struct herd_helper *h)
{
	sigset_t all;

	if (pipe2(l->errors, O_CLOEXEC))
		return -errno;
	strcpy(l->pid_variable, "LISTEN_PID=");
	l->parent = getpid();
	sigemptyset(&l->no_signals);
	/* no handler of ours may run in the child */
	sigfillset(&all);

	sigset_t before;

	sigprocmask(SIG_SETMASK, &all, &before);
	h->pid = fork();
	if (h->pid == 0)
		child_main(l);

	int err = h->pid < 0 ? -errno : 0;

	sigprocmask(SIG_SETMASK, &before, NULL);
	/* so that its death is seen as the end of these */
	herd_cleanup_fd(&l->listener);
	herd_cleanup_fd(&l->errors[1]);
	l->listener = l->errors[1] = -1;
	return err;
}

static int connect_fetcher(const struct herd_image *img,
			   struct herd_fetcher *fetcher,
			   struct herd_helper *ret, struct herd_diag *diag)
{
	if (!fetcher)
		return herd_diag_set(diag, -EOPNOTSUPP, img->files[0].path,
				     HERD_NO_OFFSET,
				     "what is in AWS is not read here");
	return herd_fetcher_connect(fetcher, img, ret, diag);
}

int herd_helper_start(const struct herd_image *img, struct herd_fetcher *fetcher,
		      struct herd_helper *ret, struct herd_diag *diag)
{
	CLEANUP(launch_deinit) struct launch l = {
		.img = img, .listener = -1, .errors = { -1, -1 },
		.tree = HERD_BUF_INIT,
	};
	struct herd_helper h = { .pid = -1 };
	int err;

	if (!img->n_files || !herd_image_needs_helper(img))
		return -EINVAL;
	if (herd_image_is_remote(img))
		return connect_fetcher(img, fetcher, ret, diag);
	for (size_t i = 0; i < ARRAY_SIZE(programs) && !l.program; i++)
		if (!access(programs[i], X_OK))
			l.program = programs[i];
	if (!l.program)
		return herd_diag_set(diag, -ENOENT, image_name(&l),
				     HERD_NO_OFFSET,
				     "reading %s needs qemu-nbd (Debian: qemu-utils)",
				     img->format);
	err = open_files(&l, diag) ?: put_tree(&l, diag) ?:
	      listen_and_connect(&l, &h) ?: launch_child(&l, &h) ?:
	      wait_for_greeting(&l, &h, diag);
	if (err) {
		herd_helper_stop(&h);
		return herd_diag_set(diag, err, image_name(&l), HERD_NO_OFFSET,
				     "qemu-nbd cannot be started: %s",
				     strerror(-err));
	}
	*ret = h;
	return 0;
}

/*
 * A process that is locked in may signal nobody but itself. Then the child
 * ends by itself once its sockets are closed, which may be later than this.
 */
static void reap_unkilled(pid_t pid)
{
	const struct timespec pause = { .tv_nsec = 2000000 };

	for (int i = 0; i < 250 && waitpid(pid, NULL, WNOHANG) == 0; i++)
		nanosleep(&pause, NULL);
}

void herd_helper_stop(struct herd_helper *h)
{
	int saved = errno;

	for (size_t i = 0; i < h->n_fds; i++)
		if (h->fds[i] >= 0)
			close(h->fds[i]);
	h->n_fds = 0;
	if (h->pid > 0 && kill(h->pid, SIGKILL))
		reap_unkilled(h->pid);
	else if (h->pid > 0)
		while (waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
			;
	h->pid = -1;
	errno = saved;
}
