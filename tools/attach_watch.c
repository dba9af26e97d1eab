/* SPDX-License-Identifier: Apache-2.0 */
/* Watches one worker process of attach; see attach_watch.h. */
#include "tools/attach_watch.h"

#include "acquire/base/cleanup.h"
#include "tools/common.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

/* Bytes a second; slower than that is as good as standing still. */
#define SLOWEST_DISK 5e6

static volatile sig_atomic_t stop_signal;

static void on_signal(int sig)
{
	stop_signal = sig;
}

void herd_watch_signals(bool catch)
{
	static const int which[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = catch ? on_signal : SIG_DFL };

	for (size_t i = 0; i < ARRAY_SIZE(which); i++)
		sigaction(which[i], &sa, NULL);
}

int herd_watch_stopped(void)
{
	return stop_signal;
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

const char *herd_stage_text(uint32_t stage)
{
	static const char *const names[] = {
		[HERD_STAGE_OPEN] = "opening", [HERD_STAGE_COMPARE] =
		"comparing", [HERD_STAGE_READ] = "reading names",
		[HERD_STAGE_HASH] = "hashing", [HERD_STAGE_STORE] = "storing",
		[HERD_STAGE_DONE] = "done",
		[HERD_STAGE_KERNEL] = "looking for the kernel in memory",
		[HERD_STAGE_MACHINE] = "reading memory",
		[HERD_STAGE_PAGES] = "comparing programs in memory with the disk",
	};

	return stage < ARRAY_SIZE(names) ? names[stage] : "working";
}

static void show_progress(struct herd_watch *w, double now)
{
	struct herd_progress *p = &w->shared->progress;
	uint64_t done = atomic_load(&p->bytes_done);
	uint64_t todo = atomic_load(&p->bytes_todo);
	char a[32], b[16], c[16], d[16];
	uint64_t entries = atomic_load(&p->entries);
	double took = now - w->began;

	if (!w->show || now - w->shown < 0.2)
		return;
	w->shown = now;
	fprintf(stderr, "\r\033[K%s: %s", w->label,
		herd_stage_text(atomic_load(&p->stage)));
	if (entries)	/* memory has none */
		fprintf(stderr, ", %s entries",
			herd_tool_count(entries, a, sizeof(a)));
	if (todo && done <= todo)
		fprintf(stderr, ", %s of %s (%u%%), %s/s",
			herd_tool_bytes(done, b, sizeof(b)),
			herd_tool_bytes(todo, c, sizeof(c)),
			(unsigned)((double)done * 100 / (double)todo),
			herd_tool_bytes((uint64_t)((double)done /
					(took > 0.01 ? took : 0.01)), d,
					sizeof(d)));
	fflush(stderr);
}

/* Whether it has not moved for too long. */
static bool stalled(struct herd_watch *w, double now)
{
	struct herd_progress *p = &w->shared->progress;
	uint64_t beat = atomic_load(&p->beat);
	uint32_t stage = atomic_load(&p->stage);
	double limit = w->stall_seconds;

	if (beat != w->beat) {
		w->beat = beat;
		w->moved = now;
	}
	/* Long steps that do not tell how far they are: digests of many
	   segments, a commit, the comparison of whole disks. */
	if (stage == HERD_STAGE_OPEN || stage == HERD_STAGE_STORE ||
	    stage == HERD_STAGE_COMPARE)
		limit *= 10;
	if (stage == HERD_STAGE_COMPARE)
		limit += (double)atomic_load(&w->shared->disk_bytes) /
			 SLOWEST_DISK;
	return now - w->moved > limit;
}

/* Until the worker says that it is done, or ends, or must be ended. */
static enum herd_end watch_worker(struct herd_watch *w, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	enum herd_end end = HERD_END_DIED;
	char byte;

	w->began = w->moved = seconds();
	for (;;) {
		int n = poll(&p, 1, 100);
		double now = seconds();

		if (stop_signal) {
			end = HERD_END_STOPPED;
			break;
		}
		if (n > 0) {
			if (read(fd, &byte, 1) == 1)
				end = HERD_END_DONE;
			break;
		}
		show_progress(w, now);
		if (stalled(w, now)) {
			end = HERD_END_STALLED;
			break;
		}
	}
	if (w->shown > 0) {
		fputs("\r\033[K", stderr);
		fflush(stderr);
	}
	return end;
}

int herd_watch_run(const struct herd_job *job, struct herd_watch *w,
		   enum herd_end *ret_end, int *ret_status)
{
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		herd_watch_signals(false);
		close(fds[0]);
		herd_worker_run(job, w->shared, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return -EAGAIN;
	}
	*ret_end = watch_worker(w, fds[0]);
	close(fds[0]);
	/* Also one that says it is done: it is not believed to go by itself. */
	kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
		;
	w->took = seconds() - w->began;
	return 0;
}
