/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scoped clean-up. A variable marked with one of these is released when it
 * leaves its scope; it must be initialised where it is declared. TAKE_PTR and
 * TAKE_FD hand ownership on and leave the variable empty.
 */
#ifndef HERD_CLEANUP_H
#define HERD_CLEANUP_H

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define CLEANUP(fn) __attribute__((cleanup(fn)))

static inline void herd_cleanup_free(void *p)
{
	int saved = errno;

	free(*(void **)p);
	errno = saved;
}
#define CLEANUP_FREE CLEANUP(herd_cleanup_free)

static inline void herd_cleanup_fd(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		close(*fd);
	errno = saved;
}
#define CLEANUP_FD CLEANUP(herd_cleanup_fd)

static inline void herd_cleanup_unlock(pthread_mutex_t **m)
{
	if (*m)
		pthread_mutex_unlock(*m);
}

static inline pthread_mutex_t *herd_lock(pthread_mutex_t *m)
{
	pthread_mutex_lock(m);
	return m;
}
/* Hold a mutex until the end of the scope. */
#define SCOPED_LOCK(m) \
	CLEANUP(herd_cleanup_unlock) __attribute__((unused)) \
	pthread_mutex_t *scoped_lock_ = herd_lock(m)

#define TAKE_PTR(p) \
	({ __typeof__(p) taken_ = (p); (p) = NULL; taken_; })
#define TAKE_FD(fd) \
	({ int taken_ = (fd); (fd) = -1; taken_; })

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#endif
