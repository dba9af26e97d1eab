/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leader and followers; see fs/fuse_loop.h.
 *
 * Threads: `lock` guards what the struct says. The main thread only waits for
 * the end.
 */
#include "fs/fuse_loop.h"
#include "fs/fuse_ops.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define THREADS_MAX 16
#define END_SECONDS 3

struct loop {
	struct fuse_session *session;
	pthread_t main;
	pthread_mutex_t lock;
	pthread_cond_t lead_free;	/* or all ends */
	/* under lock */
	bool led, ended;
	unsigned followers;		/* waiting for the lead */
	unsigned n, max;
	pthread_t threads[THREADS_MAX];
};

static struct loop loop;
static __thread bool leading;

static void *work(void *arg);

/* Under lock. With nobody there, the lead waits for the next who is done. */
static void add_thread(void)
{
	if (loop.n < loop.max &&
	    !pthread_create(&loop.threads[loop.n], NULL, work, NULL))
		loop.n++;
}

void herd_fuse_loop_hand_on(void *unused)
{
	(void)unused;
	if (!leading)
		return;
	leading = false;
	pthread_mutex_lock(&loop.lock);
	loop.led = false;
	if (loop.followers)
		pthread_cond_signal(&loop.lead_free);
	else
		add_thread();
	pthread_mutex_unlock(&loop.lock);
}

/* False: all ends. */
static bool take_lead(void)
{
	SCOPED_LOCK(&loop.lock);

	loop.followers++;
	while (loop.led && !loop.ended)
		pthread_cond_wait(&loop.lead_free, &loop.lock);
	loop.followers--;
	if (loop.ended)
		return false;
	loop.led = leading = true;
	return true;
}

static void end_all(void)
{
	pthread_mutex_lock(&loop.lock);
	loop.ended = true;
	pthread_cond_broadcast(&loop.lead_free);
	pthread_mutex_unlock(&loop.lock);
	/* nobody dies of it: it is blocked, and the main thread waits for it */
	pthread_kill(loop.main, SIGTERM); // NOLINT(bugprone-bad-signal-to-kill-thread)
}

static void *work(void *arg)
{
	struct fuse_buf buf = { .mem = NULL };

	(void)arg;
	while (leading || take_lead()) {
		int n = fuse_session_receive_buf(loop.session, &buf);

		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) {
			end_all();
			break;
		}
		fuse_session_process_buf(loop.session, &buf);
	}
	free(buf.mem);
	return NULL;
}

int herd_fuse_loop(struct fuse_session *session, unsigned threads)
{
	struct timespec until;
	sigset_t term;
	int got, r = 0;

	loop = (struct loop){
		.session = session,
		.main = pthread_self(),
		.max = threads < THREADS_MAX ? threads : THREADS_MAX,
	};
	pthread_mutex_init(&loop.lock, NULL);
	pthread_cond_init(&loop.lead_free, NULL);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_mutex_lock(&loop.lock);
	add_thread();
	r = loop.n ? 0 : -EAGAIN;
	pthread_mutex_unlock(&loop.lock);
	if (r)
		return r;
	while (sigwait(&term, &got))
		;
	pthread_mutex_lock(&loop.lock);
	r = loop.ended ? 0 : 1;
	threads = loop.n;
	pthread_mutex_unlock(&loop.lock);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += END_SECONDS;
	for (unsigned i = 0; !r && i < threads; i++)
		r = pthread_timedjoin_np(loop.threads[i], NULL, &until) ? 1 : 0;
	return r;
}
