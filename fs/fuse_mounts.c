/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which of our mounts there are, and taking one away.
 *
 * Threads: see fs/fuse_mounts.h.
 */
#include "fs/fuse_mounts.h"
#include "acquire/base/cleanup.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define TYPE "fuse.herdfs"

extern char **environ;

/* ---- paths ---- */

/* For a name at whose end nothing can be asked any more. */
static int resolve_parent(const char *path, char ret[PATH_MAX])
{
	char *copy CLEANUP_FREE = strdup(path);
	char parent[PATH_MAX];
	char *slash;
	int n;

	if (!copy)
		return -ENOMEM;
	while ((slash = strrchr(copy, '/')) && slash > copy && !slash[1])
		*slash = 0;
	if (slash && !strcmp(slash + 1, ".."))
		return -EINVAL;
	if (slash)
		*slash = 0;
	if (!realpath(!slash ? "." : *copy ? copy : "/", parent))
		return -errno;
	n = snprintf(ret, PATH_MAX, "%s/%s", parent[1] ? parent : "",
		     slash ? slash + 1 : copy);
	return n < PATH_MAX ? 0 : -ENAMETOOLONG;
}

int herd_mountpoint_resolve(const char *path, char ret[PATH_MAX],
			    struct herd_diag *diag)
{
	struct stat st;
	int err = 0;

	if (!realpath(path, ret))
		err = errno == ENOTCONN || errno == EIO ?
		      resolve_parent(path, ret) : -errno;
	if (err == -ENOENT)
		return herd_diag_set(diag, err, path, HERD_NO_OFFSET,
				     "there is no such folder to mount on");
	if (err)
		return herd_diag_set(diag, err, path, HERD_NO_OFFSET,
				     "cannot be mounted on: %s",
				     strerror(-err));
	if (stat(ret, &st))
		return errno == ENOTCONN ? 0 :
		       herd_diag_set(diag, -errno, path, HERD_NO_OFFSET,
				     "cannot be mounted on: %s",
				     strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return herd_diag_set(diag, -ENOTDIR, path, HERD_NO_OFFSET,
				     "cannot be mounted on: not a folder");
	return 0;
}

/* ---- /proc/self/mountinfo ---- */

/* "\040" and the like, in place. */
static void unescape(char *s)
{
	char *to = s;

	for (; *s; to++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' &&
		    s[2] >= '0' && s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
			*to = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
				     (s[3] - '0'));
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = 0;
}

/* "36 35 98:0 /root /mount/point options … - type source …" */
static bool parse_line(char *line, char **ret_path, char **ret_type,
		       unsigned *ret_major, unsigned *ret_minor)
{
	char *field[5], *save = NULL, *dash = strstr(line, " - ");

	if (!dash)
		return false;
	*dash = 0;
	for (int i = 0; i < 5; i++) {
		field[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!field[i])
			return false;
	}
	*ret_type = strtok_r(dash + 3, " ", &save);
	*ret_path = field[4];
	unescape(*ret_path);
	return *ret_type &&
	       sscanf(field[2], "%u:%u", ret_major, ret_minor) == 2;
}

bool herd_mountpoint_is_ours(const char *path, unsigned *ret_major,
			     unsigned *ret_minor)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t cap = 0;
	bool ours = false;

	while (f && getline(&line, &cap, f) > 0) {
		char *at, *type;
		unsigned major, minor;

		if (!parse_line(line, &at, &type, &major, &minor) ||
		    strcmp(at, path) != 0)
			continue;
		ours = strcmp(type, TYPE) == 0;	/* the last one is on top */
		*ret_major = major;
		*ret_minor = minor;
	}
	free(line);
	if (f)
		fclose(f);
	return ours;
}

/* ---- unmounting ---- */

/* As an ordinary user may: through the set-uid helper. */
static int run_fusermount(const char *path)
{
	char *const argv[] = { "fusermount3", "-u", "-z", "-q", "--",
			       (char *)path, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none;
	pid_t pid;
	int status = 0, err;

	sigemptyset(&none);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	posix_spawnattr_setsigmask(&attr, &none);
	err = posix_spawnp(&pid, argv[0], &actions, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	if (err)
		return -err;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EPERM;
}

int herd_mountpoint_unmount(const char *path)
{
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		return 0;
	return errno == EPERM ? run_fusermount(path) : -errno;
}
