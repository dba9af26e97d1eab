/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What capture_memory.c (the course of it), capture_memory_command.c (what an
 * instance is told) and capture_memory_home.c (records, and the way home)
 * share.
 *
 * Threads: as acquire/capture_memory.h says.
 */
#ifndef HERD_CAPTURE_MEMORY_IMPL_H
#define HERD_CAPTURE_MEMORY_IMPL_H

#include "acquire/aws/s3.h"
#include "acquire/aws/ssm.h"
#include "acquire/base/sha256.h"
#include "acquire/capture_memory.h"

struct herd_memory_one {
	char key[1024], script_key[1024], record_key[1024];
	char upload[HERD_S3_UPLOAD_ID_MAX + 1];
	bool running;		/* the command */
	bool uploaded;		/* the object is whole */
	bool home;		/* image and record are there; to be checked */
	bool alone;		/* the image is there and no record */
	unsigned unknown;	/* polls that did not know the command */
};

struct herd_memory_capturing {
	struct herd_aws *aws;
	struct herd_capture_memory_options o;
	struct herd_memory_capture *c;
	struct herd_memory_one *one;	/* as many as c->n */
	struct herd_buf tool;
	char tool_key[1024];
	struct herd_diag *diag;
};

void herd_memory_say(const struct herd_memory_capturing *g, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* ---- capture_memory_command.c ---- */

/* Has instance i begin: puts the script into S3, sends the command. */
int herd_memory_command(struct herd_memory_capturing *g, size_t i);

/* ---- capture_memory_home.c ---- */

/* 64 digits; -EBADMSG. */
int herd_memory_unhex(const char *text, uint8_t ret[32]);
/*
 * Image and record of instance i lie in the folder already: looks at the record
 * and at the size. -ENOENT: there is no record that an image belongs to (an image
 * may be: `alone`); -EEXIST: another case's or group's do; -EBADMSG: the image is
 * another one. Other errors: what lies there cannot be told.
 */
int herd_memory_at_home(struct herd_memory_capturing *g, size_t i);
/* Reads all of it. -EBADMSG: it is another one. */
int herd_memory_check_home(struct herd_memory_capturing *g, size_t i);
/* The record in S3 into c->v[i]; -ENOENT: there is none; -EEXIST: it is another
   case's or group's. */
int herd_memory_take_record(struct herd_memory_capturing *g, size_t i);
int herd_memory_put_record(struct herd_memory_capturing *g, size_t i);
/* -EBADMSG: it is not what the instance sent. */
int herd_memory_bring_home(struct herd_memory_capturing *g, size_t i);

#endif
