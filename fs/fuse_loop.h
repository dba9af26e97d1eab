/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that take requests from the kernel. For fs/fuse_*.c alone.
 *
 * One of them, the leader, waits for the next request; what is done at once
 * it does itself and waits again, so that a single reader is always served by
 * the same thread on a warm cache, and none is woken in vain. Before work
 * that may take long it hands the lead on to another one.
 */
#ifndef HERD_FUSE_LOOP_H
#define HERD_FUSE_LOOP_H

struct fuse_session;

/*
 * Until the session is unmounted (0) or the process is told to end by SIGTERM
 * (1: other threads may still be at work). SIGTERM must be blocked since
 * before there were other threads; the calling one must be the main thread.
 */
int herd_fuse_loop(struct fuse_session *session, unsigned threads);

/* The calling thread will be busy. Cheap when it does not lead. */
void herd_fuse_loop_hand_on(void *unused);

#endif
