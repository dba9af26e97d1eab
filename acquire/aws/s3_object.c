/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names are those of S3's API 2006-03-01. Each piece is asked for with
 * If-Match, and by its version where the bucket keeps versions: bytes of two
 * versions are never put together.
 */
#include "acquire/aws/s3_object.h"

#include "acquire/aws/fields.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* ---- names ---- */

bool herd_s3_is_bucket(const char *text)
{
	size_t n = strlen(text);

	if (n < 3 || n > 63 || !isalnum((unsigned char)text[0]) ||
	    !isalnum((unsigned char)text[n - 1]) || strstr(text, ".."))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!islower((unsigned char)text[i]) &&
		    !isdigit((unsigned char)text[i]) && text[i] != '-' &&
		    text[i] != '.')
			return false;
	return true;
}

static const char version_mark[] = "?versionId=";

bool herd_s3_is_version(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	return n && n <= HERD_S3_VERSION_MAX;
}

/* Of keys that others made all that S3 allows, but for control characters. */
static bool is_key(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return false;
	return n && n <= HERD_S3_KEY_MAX;
}

bool herd_s3_name_parse(const char *url, struct herd_s3_name *ret)
{
	struct herd_s3_name name = { .version = "" };
	const char *bucket = url + strlen("s3://"), *key, *mark;
	size_t n;

	if (strncmp(url, "s3://", strlen("s3://")) != 0)
		return false;
	n = strcspn(bucket, "/");
	if (n > HERD_S3_BUCKET_MAX || bucket[n] != '/')
		return false;
	memcpy(name.bucket, bucket, n);
	key = bucket + n + 1;
	mark = strstr(key, version_mark);
	n = mark ? (size_t)(mark - key) : strlen(key);
	if (!is_key(key, n) || !herd_s3_is_bucket(name.bucket))
		return false;
	memcpy(name.key, key, n);
	if (mark) {
		mark += strlen(version_mark);
		if (!herd_s3_is_version(mark))
			return false;
		strcpy(name.version, mark);
	}
	*ret = name;
	return true;
}

void herd_s3_id(const struct herd_s3_name *name,
		const struct herd_s3_state *state, uint8_t ret[HERD_SHA256_LEN])
{
	/* none of them holds a NUL, which ends each */
	char text[sizeof(*name) + sizeof(*state) + 64];
	int n = snprintf(text, sizeof(text),
			 "object of S3%c%s%c%s%c%s%c%s%c%llu", 0, name->bucket,
			 0, name->key, 0, state->version, 0, state->etag, 0,
			 (unsigned long long)state->size);

	herd_sha256(text, (size_t)n, ret);
}

/* ---- what goes wrong ---- */

struct asking {
	struct herd_s3_name name;
	struct herd_s3_state state;
	uint64_t off;
	uint32_t len;
	const char *damage; /* of the last answer; NULL: it was good */
	int damage_err;
	union {
		herd_s3_looked_fn *looked;
		herd_s3_piece_fn *piece;
	} done;
	void *arg;
};

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static int say(struct herd_diag *diag, int err, const struct asking *q,
	       const char *what, const struct herd_aws_result *r)
{
	return herd_diag_set(diag, err, q->name.key, HERD_NO_OFFSET, "%s%s%s",
			     what, r->message[0] ? ": " : "", r->message);
}

static int refused(const struct herd_aws_result *r, const struct asking *q,
		   struct herd_diag *diag)
{
	if (is(r->type, "InvalidObjectState"))
		return say(diag, -EACCES, q,
			   "is archived: restore it first "
			   "(aws s3api restore-object)",
			   r);
	if (!is(r->type, "AccessDenied"))
		return herd_diag_set(diag, -EACCES, q->name.key, HERD_NO_OFFSET,
				     "not allowed (%s)%s%s",
				     r->type[0] ? r->type : "403",
				     r->message[0] ? ": " : "", r->message);
	return herd_diag_set(
		diag, -EACCES, q->name.key, HERD_NO_OFFSET,
		"not allowed (AccessDenied): it takes s3:GetObject%s, "
		"and without s3:ListBucket S3 says so as well of "
		"what is not there%s%s",
		q->state.version[0] || q->name.version[0] ?
			" and s3:GetObjectVersion" :
			"",
		r->message[0] ? "; S3 says: " : "", r->message);
}

static int elsewhere(const struct herd_aws_result *r, const struct asking *q,
		     struct herd_diag *diag)
{
	char region[64] = "";

	if (r->answer)
		herd_http_header(r->answer, "x-amz-bucket-region", region,
				 sizeof(region));
	return herd_diag_set(diag, -EREMCHG, q->name.key, HERD_NO_OFFSET,
			     "the bucket %s is in another region%s%s: give it "
			     "by --region%s%s",
			     q->name.bucket, region[0] ? ", " : "", region,
			     r->message[0] ? "; S3 says: " : "", r->message);
}

static int error_of(const struct herd_aws_result *r, const struct asking *q,
		    struct herd_diag *diag)
{
	int status = r->answer ? r->answer->status : 0;
	int err = r->err < 0 ? r->err : -EIO;

	/* longer than what is read at all, whatever came of earlier attempts */
	if (err == -EOVERFLOW)
		return herd_diag_set(diag, -EBADMSG, q->name.key, q->off,
				     "the answer is longer than the range that "
				     "was asked for%s%s",
				     r->message[0] ? ": " : "", r->message);
	if (status / 100 == 2 && q->damage)
		return herd_diag_set(diag, q->damage_err, q->name.key, q->off,
				     "%s, after %u attempt%s", q->damage,
				     r->attempts, r->attempts == 1 ? "" : "s");
	if (status == 412 || is(r->type, "PreconditionFailed"))
		return say(diag, -ESTALE, q, "is another object by now", r);
	if (status == 301 || status == 307 ||
	    is(r->type, "AuthorizationHeaderMalformed"))
		return elsewhere(r, q, diag);
	if (status == 416)
		return say(diag, -ENODATA, q,
			   q->state.size ? "is shorter than it was" :
					   "is empty",
			   r);
	if (err == -EACCES)
		return refused(r, q, diag);
	if (is(r->type, "NoSuchBucket"))
		return herd_diag_set(diag, -ENOENT, q->name.key, HERD_NO_OFFSET,
				     "there is no bucket %s "
				     "(NoSuchBucket)",
				     q->name.bucket);
	if (err == -ENOENT)
		return say(diag, -ENOENT, q, "there is no such object", r);
	return herd_diag_set(diag, err, q->name.key, HERD_NO_OFFSET,
			     "%s after %u attempt%s%s%s",
			     r->type[0] ? r->type : strerror(-err), r->attempts,
			     r->attempts == 1 ? "" : "s",
			     r->message[0] ? ": " : "", r->message);
}

/* ---- answers ---- */

static bool is_etag(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	return n >= 3 && n <= HERD_S3_ETAG_MAX && text[0] == '"' &&
	       text[n - 1] == '"';
}

/* "bytes 0-9/100", of which all must be as asked; the size when it is. */
static bool take_range(const struct herd_http_answer *a, uint64_t off,
		       uint64_t len, uint64_t *ret_size)
{
	char text[96], want[64];
	int n = snprintf(want, sizeof(want), "bytes %llu-%llu/",
			 (unsigned long long)off,
			 (unsigned long long)(off + len - 1));

	return herd_http_header(a, "Content-Range", text, sizeof(text)) &&
	       !strncmp(text, want, (size_t)n) &&
	       herd_aws_uint(text + n, INT64_MAX, ret_size) && *ret_size;
}

static int damaged(struct asking *q, int err, const char *what)
{
	q->damage = what;
	q->damage_err = err;
	return err == -EBADMSG ? -EAGAIN : err;
}

/* Of the version that was asked for, where one was: what stands there as "null"
   may be called nothing as well. */
static bool is_version_asked(const struct asking *q, const char *got)
{
	const char *asked = q->state.version[0] ? q->state.version :
						  q->name.version;

	return !*asked || is(asked, got) || (!*got && is(asked, "null"));
}

static int check_look(void *arg, struct herd_http_answer *a)
{
	struct asking *q = arg;
	struct herd_s3_state s = { .version = "" };
	char etag[HERD_S3_ETAG_MAX + 3] = "";
	char version[HERD_S3_VERSION_MAX + 3] = "";

	q->damage = NULL;
	if (a->status != 206)
		return damaged(q, -EOPNOTSUPP, "the server sends no ranges");
	if (!take_range(a, 0, 1, &s.size))
		return damaged(q, -EBADMSG,
			       "the answer does not say how long "
			       "it is");
	if (!herd_http_header(a, "ETag", etag, sizeof(etag)) || !is_etag(etag))
		return damaged(q, -EBADMSG, "the answer has no ETag");
	herd_http_header(a, "x-amz-version-id", version, sizeof(version));
	if (!is_version_asked(q, version))
		return damaged(q, -EBADMSG, "the answer is of another version");
	/* the version called "null" is replaced where it stands, as is an
	   object of a bucket that keeps none */
	if (is(version, "null"))
		version[0] = '\0';
	if (version[0] && !herd_s3_is_version(version))
		return damaged(q, -EBADMSG,
			       "the answer has no version that "
			       "can be one");
	memcpy(s.etag, etag, strlen(etag));
	memcpy(s.version, version, strlen(version));
	q->state = s;
	return 0;
}

static int check_piece(void *arg, struct herd_http_answer *a)
{
	struct asking *q = arg;
	char etag[HERD_S3_ETAG_MAX + 3] = "";
	char version[HERD_S3_VERSION_MAX + 3] = "";
	uint64_t size;

	q->damage = NULL;
	if (a->status != 206)
		return damaged(q, -EOPNOTSUPP, "the server sends no ranges");
	herd_http_header(a, "ETag", etag, sizeof(etag));
	if (strcmp(etag, q->state.etag) != 0)
		return damaged(q, -ESTALE, "the answer is of another object");
	if (herd_http_header(a, "x-amz-version-id", version, sizeof(version)) &&
	    !is_version_asked(q, version))
		return damaged(q, -ESTALE, "the answer is of another version");
	if (!take_range(a, q->off, q->len, &size) || size != q->state.size)
		return damaged(q, -EBADMSG, "the answer is another range");
	if (a->body.len != q->len)
		return damaged(q, -EBADMSG,
			       "the answer is not as long as it "
			       "should be");
	return 0;
}

/* ---- calls ---- */

static void look_done(void *arg, struct herd_aws_result *r)
{
	struct asking *q = arg;
	struct herd_s3_looked out = { .state = q->state };

	herd_diag_clear(&out.diag);
	if (r->err)
		out.err = error_of(r, q, &out.diag);
	q->done.looked(q->arg, &out);
	free(q);
}

static void piece_done(void *arg, struct herd_aws_result *r)
{
	struct asking *q = arg;
	struct herd_s3_piece out = { .bytes = HERD_BUF_INIT };

	herd_diag_clear(&out.diag);
	if (r->err || !r->answer || q->damage) {
		out.err = error_of(r, q, &out.diag);
	} else {
		out.bytes = r->answer->body;
		r->answer->body = (struct herd_buf)HERD_BUF_INIT;
		herd_sha256(out.bytes.data, out.bytes.len, out.sha256);
	}
	q->done.piece(q->arg, &out);
	herd_buf_deinit(&out.bytes);
	free(q);
}

/* Takes q over, also when it fails. */
static int ask(struct herd_aws *a, struct asking *q, const char *version,
	       int (*check)(void *arg, struct herd_http_answer *answer),
	       herd_aws_done *done)
{
	struct herd_buf path CLEANUP_BUF = HERD_BUF_INIT;
	char range[64];
	const struct herd_pair query = { "versionId", version };
	const struct herd_pair headers[] = { { "Range", range },
					     { "If-Match", q->state.etag } };
	int r;

	snprintf(range, sizeof(range), "bytes=%llu-%llu",
		 (unsigned long long)q->off,
		 (unsigned long long)(q->off + q->len - 1));
	herd_buf_printf(&path, "/%s/", q->name.bucket);
	herd_uri_encode(&path, q->name.key, true);
	herd_buf_u8(&path, '\0');
	q->damage = "no answer came"; /* until one was checked */
	q->damage_err = -EIO;
	r = path.failed ?
		    -ENOMEM :
		    herd_aws_add(a,
				 &(struct herd_aws_call){
					 .service = "s3",
					 .method = "GET",
					 .path = (const char *)path.data,
					 .query = &query,
					 .n_query = *version != '\0',
					 .headers = headers,
					 .n_headers = q->state.etag[0] ? 2 : 1,
					 .answer_max = q->len,
					 .check = check,
				 },
				 done, q);
	if (r)
		free(q);
	return r;
}

int herd_s3_look(struct herd_aws *a, const struct herd_s3_name *name,
		 herd_s3_looked_fn *done, void *arg)
{
	struct asking *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->name = *name;
	q->len = 1;
	q->done.looked = done;
	q->arg = arg;
	return ask(a, q, name->version, check_look, look_done);
}

int herd_s3_get(struct herd_aws *a, const struct herd_s3_name *name,
		const struct herd_s3_state *state, uint64_t off, uint32_t len,
		herd_s3_piece_fn *done, void *arg)
{
	struct asking *q;

	if (!len || len > HERD_S3_PIECE_MAX || off > state->size ||
	    len > state->size - off || !is_etag(state->etag))
		return -EINVAL;
	q = calloc(1, sizeof(*q));
	if (!q)
		return -ENOMEM;
	q->name = *name;
	q->state = *state;
	q->off = off;
	q->len = len;
	q->done.piece = done;
	q->arg = arg;
	/* which one "null" is, no state tells */
	return ask(a, q, state->version[0] ? state->version : name->version,
		   check_piece, piece_done);
}
