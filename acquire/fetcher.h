/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that has the network and the credentials, so that the one that
 * reads hostile images and serves the mount has neither: blocks of EBS
 * snapshots, and of objects of S3, are asked for over a socket pair and come
 * from the local cache or from AWS, their digests checked. One fetcher serves
 * many readers. It is started when it is first needed, and again when it has
 * died.
 *
 * Threads: a herd_fetcher belongs to one thread of the process that made it;
 * call connect before other threads are started, for it may fork.
 */
#ifndef HERD_FETCHER_H
#define HERD_FETCHER_H

#include "acquire/aws/settings.h"
#include "acquire/source.h"

struct herd_fetcher_options {
	const char *cache_dir;	/* NULL: $HERDFS_CACHE, else
				   $XDG_CACHE_HOME/herdfs, else ~/.cache/herdfs */
	uint64_t cache_limit;	/* bytes; 0: none */
	bool offline;		/* nothing is asked of AWS */
	unsigned rate;		/* calls a second, where AWS allows an account
				   more than [1000] */
	unsigned timeout_ms;	/* until a read that gets no answer fails [60000] */
	struct herd_aws_options aws;
};

struct herd_fetcher;

/* Copies the options. Starts nothing. */
int herd_fetcher_create(const struct herd_fetcher_options *o,
			struct herd_fetcher **ret);
/* Starts the process now, so that children of this one share it. */
int herd_fetcher_start(struct herd_fetcher *f);
/* Ends the process if this one started it. NULL is fine. */
void herd_fetcher_destroy(struct herd_fetcher *f);

/*
 * Connections to read a remote image through, as herd_image_open wants them:
 * its first file is "ebs:snap-…", or "s3://…", and then, where it has a size,
 * none but the object that has its `ends` and size is meant. The helper's pid
 * is 0: it ends with its sockets.
 */
int herd_fetcher_connect(struct herd_fetcher *f, const struct herd_image *img,
			 struct herd_helper *ret, struct herd_diag *diag);

/* The cache's folder by these options, malloced; NULL: no memory. */
char *herd_fetcher_cache_dir(const char *given);

/* Overwrites what is secret in this process's environment. */
void herd_fetcher_forget_secrets(void);

/* The snapshot that "ebs:snap-…" names, or NULL. */
const char *herd_ebs_snapshot(const char *image);

#endif
