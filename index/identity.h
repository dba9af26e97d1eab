/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance calls itself: its id, names, addresses, keys. Healthy
 * siblings differ in these and in what is written with them; where a text
 * holds one's own token a placeholder takes its place, so that what is left
 * can be compared. docs/IDENTITY.md says which tokens, and why nothing but an
 * own token is ever lost by it.
 *
 * No I/O and no globals. One thread fills an identity; once settled it does
 * not change and may be shared by any number of threads.
 */
#ifndef HERD_IDENTITY_H
#define HERD_IDENTITY_H

#include "acquire/base/buf.h"

/* The numbers are in stores and in normalised digests. Where one text is of
   two kinds the lower counts. */
enum herd_token_kind {
	HERD_TOKEN_INSTANCE = 0, /* i-0123456789abcdef0 */
	HERD_TOKEN_HOSTNAME = 1,
	HERD_TOKEN_DNS = 2,	/* other names, such as the public one */
	HERD_TOKEN_ADDRESS = 3, /* IPv4 or IPv6 */
	HERD_TOKEN_MAC = 4,
	HERD_TOKEN_VOLUME = 5,	  /* vol-0123456789abcdef0 */
	HERD_TOKEN_INTERFACE = 6, /* eni-0123456789abcdef0 */
	HERD_TOKEN_MACHINE_ID = 7,
	HERD_TOKEN_BOOT_ID = 8,
	HERD_TOKEN_HOST_KEY = 9,     /* base64, of the private one with its
					   newlines */
	HERD_TOKEN_FS_UUID = 10,     /* of the instance's own volumes */
	HERD_TOKEN_SYSTEM_UUID = 11, /* of the (virtual) hardware */
	HERD_TOKEN_RESERVATION = 12, /* r-0123456789abcdef0 */
	HERD_TOKEN_INITIATOR = 13,   /* iSCSI's name of the host */
	HERD_TOKEN_NVME_HOST = 14,   /* UUID */
	HERD_TOKEN_MAX
};

/* "machine-id"; NULL for no kind. */
const char *herd_token_name(enum herd_token_kind kind);

struct herd_identity;

#define HERD_IDENTITY_TOKENS_MAX 256
#define HERD_IDENTITY_TOKEN_MAX 8192 /* bytes of one */
#define HERD_IDENTITY_BYTES_MAX 32768 /* of all */

int herd_identity_create(struct herd_identity **ret);
void herd_identity_destroy(struct herd_identity *id);

/*
 * A token, in any usual spelling, white space around it ignored. Duplicates
 * are fine. What is not of its kind's form, or too short or too common to
 * stand for one instance (docs/IDENTITY.md), is left out: 0 all the same.
 * A name with a domain is cut to its first label where that has a letter and
 * a digit: the domain is shared. -EOVERFLOW over the limits above, -EINVAL
 * once settled.
 */
int herd_identity_add(struct herd_identity *id, enum herd_token_kind kind,
		      const void *bytes, size_t len);

/*
 * Reads what the instance wrote of itself. read gives a file's content, list
 * the names in a folder, each with a NUL behind it; both follow links within
 * the image, give malloced bytes, and at most max of them (the rest is cut).
 * Paths are absolute. -ENOENT and any other failure but -ENOMEM mean that
 * there is nothing. Public addresses are not taken from an image: whoever may
 * write there could have any address pass for the instance's own.
 */
typedef int herd_identity_read_fn(void *arg, const char *path, size_t max,
				  char **ret, size_t *ret_len);
int herd_identity_from_image(struct herd_identity *id,
			     herd_identity_read_fn *read,
			     herd_identity_read_fn *list, void *arg);

/* Ends the filling; derives the other spellings. Needed before what follows. */
int herd_identity_settle(struct herd_identity *id);

/* What was added and kept, by kind, then bytes, in the spelling it is kept in.
   Private host keys are among them: not for showing. */
size_t herd_identity_count(const struct herd_identity *id);
bool herd_identity_token(const struct herd_identity *id, size_t i,
			 enum herd_token_kind *ret_kind, const void **ret_bytes,
			 size_t *ret_len);

/*
 * Appends the bytes to out with each own token that stands alone replaced by
 * a placeholder: NUL, kind, spelling, NUL. False, and nothing appended: there
 * is none, or the bytes hold a NUL and are no text. Of tokens that begin at
 * one place the longest counts; from left to right. out->failed may be set.
 */
#define HERD_PLACEHOLDER_LEN 4
bool herd_identity_normalise(const struct herd_identity *id, const void *bytes,
			     size_t len, struct herd_buf *out);

/* The first own token in bytes from `from` on; false: none. NULs are no
   matter. For names. */
struct herd_identity_match {
	size_t at, len;
	enum herd_token_kind kind;
};
bool herd_identity_find(const struct herd_identity *id, const void *bytes,
			size_t len, size_t from,
			struct herd_identity_match *ret);

/* For the store. Private host keys are left out, for an index gets about more
   than an image; what is decoded is settled. -EBADMSG. */
int herd_identity_encode(const struct herd_identity *id, struct herd_buf *out);
int herd_identity_decode(const void *bytes, size_t len,
			 struct herd_identity **ret);

#endif
