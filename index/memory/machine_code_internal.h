/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine as bytes, and back, by one description of it: each function below
 * either writes the value that it is given or reads it, so the two ways cannot
 * come to differ. Numbers are varints, what grows is written as differences,
 * strings once. Nobody else includes this.
 *
 * Threads: a code belongs to one.
 */
#ifndef HERD_MACHINE_CODE_INTERNAL_H
#define HERD_MACHINE_CODE_INTERNAL_H

#include "acquire/base/buf.h"
#include "acquire/base/cursor.h"
#include "index/memory/machine.h"
#include "index/memory/strings.h"

/* Bytes of all strings of a machine that is decoded: who refers to a long one
   a million times would have it a million times. */
#define HERD_CODE_STRINGS_MAX (256u << 20)

struct herd_code {
	struct herd_buf *out; /* NULL: decoding */
	struct herd_cursor in;
	int err; /* the first one; nothing is done after it */
	struct herd_strings strings;
	uint64_t string_bytes; /* decoded so far */
	uint64_t flags[64];    /* sets of flags met so far */
	uint32_t n_flags;
	uint64_t regs[27];		   /* of the thread before */
	uint64_t n_threads, n_vmas, n_fds; /* of all processes */
};

static inline bool herd_code_reads(const struct herd_code *c)
{
	return !c->out;
}
/* The machine is not as machine.h has it, or the bytes are not a machine's. */
void herd_code_bad(struct herd_code *c);
static inline void herd_code_check(struct herd_code *c, bool right)
{
	if (!right)
		herd_code_bad(c);
}

void herd_code_u64(struct herd_code *c, uint64_t *v);
void herd_code_u32(struct herd_code *c, uint32_t *v);
void herd_code_u16(struct herd_code *c, uint16_t *v);
void herd_code_u8(struct herd_code *c, uint8_t *v);
void herd_code_i64(struct herd_code *c, int64_t *v);
void herd_code_i32(struct herd_code *c, int32_t *v);
void herd_code_char(struct herd_code *c, char *v);
/* Up to 8 at once, the last NULL. */
void herd_code_bools(struct herd_code *c, bool *const *v);
#define HERD_CODE_BOOLS(c, ...) \
	herd_code_bools(c, (bool *const[]){ __VA_ARGS__, NULL })
/* Below max. v may be of any integer type. */
void herd_code_below(struct herd_code *c, uint32_t *v, uint32_t max);
#define HERD_CODE_ENUM(c, v, max)                  \
	do {                                       \
		uint32_t wide_ = (uint32_t)(v);    \
		herd_code_below(c, &wide_, (max)); \
		HERD_CODE_SET(c, v, wide_);        \
	} while (0)
/* What follows from what was read; a machine that is encoded is not touched. */
#define HERD_CODE_SET(c, v, value)                    \
	do {                                          \
		if (herd_code_reads(c) && !(c)->err)  \
			(v) = (__typeof__(v))(value); \
	} while (0)
/* An index below n, or HERD_NO_INDEX. */
void herd_code_index(struct herd_code *c, uint32_t *v, size_t n);
/* By its difference from *last, which becomes *v; many are whole pages. */
void herd_code_address(struct herd_code *c, uint64_t *v, uint64_t *last);
/* Few different ones, met again and again. */
void herd_code_flags(struct herd_code *c, uint64_t *v);
void herd_code_bytes(struct herd_code *c, void *v, size_t len);

void herd_code_string(struct herd_code *c, char **v);
/* Into an array, terminated. */
void herd_code_text(struct herd_code *c, char *v, size_t size);
/* Bytes with NULs in between; *v is terminated beyond *n. */
void herd_code_blob(struct herd_code *c, char **v, size_t *n);
/*
 * The number of elements, and their array when decoding. least: bytes that one
 * takes at least. false: there are none, or it failed.
 */
bool herd_code_array(struct herd_code *c, void **v, size_t *n, size_t size,
		     size_t max, size_t least);

/* machine_code_process.c */
void herd_code_process(struct herd_code *c, struct herd_process *p,
		       const struct herd_machine *m);

#endif
