/* SPDX-License-Identifier: Apache-2.0 */
/* The names are those of S3's API 2006-03-01. */
#include "acquire/aws/s3.h"

#include "acquire/aws/fields.h"
#include "acquire/aws/xml.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX (8u << 20)
#define PAGES_MAX 100u

bool herd_s3_is_key(const char *text)
{
	size_t n = strlen(text);

	if (!n || n > 900 || text[0] == '/' || strstr(text, "//") ||
	    strstr(text, "./"))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)text[i]) &&
		    !strchr("-_./=", text[i]))
			return false;
	return true;
}

/* ---- one call ---- */

static int path_of(const struct herd_s3_object *o, struct herd_buf *path)
{
	if (!herd_s3_is_bucket(o->bucket) || !herd_s3_is_key(o->key))
		return -EINVAL;
	herd_buf_printf(path, "/%s/", o->bucket);
	herd_uri_encode(path, o->key, true);
	herd_buf_u8(path, '\0');
	return herd_buf_error(path);
}

static int call(struct herd_aws *a, const struct herd_s3_object *o,
		struct herd_aws_call *c, struct herd_http_answer *ret,
		struct herd_diag *diag)
{
	struct herd_buf path CLEANUP_BUF = HERD_BUF_INIT;
	int r = path_of(o, &path);

	if (r)
		return herd_diag_set(diag, r, o->bucket, HERD_NO_OFFSET,
				     "%.200s cannot be the name of an object",
				     o->key);
	c->service = "s3";
	c->path = (const char *)path.data;
	if (!c->answer_max)
		c->answer_max = ANSWER_MAX;
	return herd_aws_do(a, c, ret, NULL, diag);
}

static int presign(struct herd_aws *a, const struct herd_s3_object *o,
		   struct herd_aws_call *c, unsigned seconds,
		   struct herd_buf *ret, struct herd_diag *diag)
{
	struct herd_buf path CLEANUP_BUF = HERD_BUF_INIT;
	int r = path_of(o, &path);

	if (r)
		return r;
	c->service = "s3";
	c->path = (const char *)path.data;
	return herd_aws_presign(a, c, seconds, ret, diag);
}

int herd_s3_put(struct herd_aws *a, const struct herd_s3_object *o,
		const void *bytes, size_t len, struct herd_diag *diag)
{
	struct herd_aws_call c = { .method = "PUT", .body = bytes,
				   .body_len = len,
				   .content_type = "application/octet-stream" };

	return call(a, o, &c, NULL, diag);
}

int herd_s3_delete(struct herd_aws *a, const struct herd_s3_object *o,
		   struct herd_diag *diag)
{
	struct herd_aws_call c = { .method = "DELETE" };

	return call(a, o, &c, NULL, diag);
}

/* "bytes 0-0/12345" → 12345. */
static bool total_of(const struct herd_http_answer *answer, uint64_t *ret)
{
	char range[96];
	const char *slash;

	if (!herd_http_header(answer, "Content-Range", range, sizeof(range)))
		return false;
	slash = strrchr(range, '/');
	return slash && herd_aws_uint(slash + 1, INT64_MAX, ret);
}

static int get_range(struct herd_aws *a, const struct herd_s3_object *o,
		     uint64_t off, size_t len, struct herd_http_answer *ret,
		     struct herd_diag *diag)
{
	char range[64];
	const struct herd_pair header = { "Range", range };
	struct herd_aws_call c = { .method = "GET", .headers = &header,
				   .n_headers = 1, .answer_max = len + 4096 };

	snprintf(range, sizeof(range), "bytes=%llu-%llu",
		 (unsigned long long)off, (unsigned long long)(off + len - 1));
	return call(a, o, &c, ret, diag);
}

int herd_s3_size(struct herd_aws *a, const struct herd_s3_object *o,
		 uint64_t *ret_size, struct herd_diag *diag)
{
	struct herd_http_answer answer = { 0 };
	int r = get_range(a, o, 0, 1, &answer, diag);

	if (!r && !total_of(&answer, ret_size))
		r = herd_diag_set(diag, -EBADMSG, o->key, HERD_NO_OFFSET,
				  "the answer does not say how long it is");
	herd_http_answer_deinit(&answer);
	return r;
}

int herd_s3_read(struct herd_aws *a, const struct herd_s3_object *o,
		 uint64_t off, size_t len, struct herd_buf *ret,
		 struct herd_diag *diag)
{
	struct herd_http_answer answer = { 0 };
	int r = len ? get_range(a, o, off, len, &answer, diag) : 0;

	if (!r && answer.body.len != len)
		r = herd_diag_set(diag, -EBADMSG, o->key, off,
				  "%zu bytes came of %zu", answer.body.len,
				  len);
	if (!r && len)
		herd_buf_put(ret, answer.body.data, len);
	herd_http_answer_deinit(&answer);
	return r ? r : herd_buf_error(ret);
}

int herd_s3_url(struct herd_aws *a, const struct herd_s3_object *o,
		const char *method, unsigned seconds, struct herd_buf *ret,
		struct herd_diag *diag)
{
	struct herd_aws_call c = { .method = method };

	return presign(a, o, &c, seconds, ret, diag);
}

/* ---- in parts ---- */

static int bad(struct herd_diag *diag, const struct herd_s3_object *o,
	       const char *what)
{
	return herd_diag_set(diag, -EBADMSG, o->key, HERD_NO_OFFSET,
			     "the answer has %s", what);
}

static int parse(const struct herd_http_answer *answer, struct herd_xml **ret,
		 struct herd_diag *diag)
{
	return herd_xml_parse(answer->body.data, answer->body.len, ret, diag);
}

static bool is_upload_id(const char *text)
{
	size_t n = strlen(text);

	for (size_t i = 0; i < n; i++)
		if (!isgraph((unsigned char)text[i]))
			return false;
	return n && n <= HERD_S3_UPLOAD_ID_MAX;
}

int herd_s3_upload_begin(struct herd_aws *a, const struct herd_s3_object *o,
			 char ret_upload[HERD_S3_UPLOAD_ID_MAX + 1],
			 struct herd_diag *diag)
{
	const struct herd_pair query = { "uploads", "" };
	struct herd_aws_call c = { .method = "POST", .query = &query,
				   .n_query = 1 };
	struct herd_http_answer answer = { 0 };
	struct herd_xml *x CLEANUP_XML = NULL;
	const char *id = NULL;
	int r = call(a, o, &c, &answer, diag);

	if (!r)
		r = parse(&answer, &x, diag);
	if (!r)
		id = herd_xml_text(herd_xml_root(x), "UploadId");
	if (!r && (!id || !is_upload_id(id)))
		r = bad(diag, o, "no upload's id");
	if (!r)
		strcpy(ret_upload, id);
	herd_http_answer_deinit(&answer);
	return r;
}

int herd_s3_upload_url(struct herd_aws *a, const struct herd_s3_object *o,
		       const char *upload, unsigned number, unsigned seconds,
		       struct herd_buf *ret, struct herd_diag *diag)
{
	char n[16];
	const struct herd_pair query[] = { { "partNumber", n },
					   { "uploadId", upload } };
	struct herd_aws_call c = { .method = "PUT", .query = query,
				   .n_query = 2 };

	snprintf(n, sizeof(n), "%u", number);
	return presign(a, o, &c, seconds, ret, diag);
}

static int take_part(const struct herd_xml_node *n, struct herd_s3_part *p)
{
	const char *number = herd_xml_text(n, "PartNumber");
	const char *size = herd_xml_text(n, "Size");
	const char *etag = herd_xml_text(n, "ETag");
	uint64_t v;

	if (!number || !size || !etag ||
	    !herd_aws_uint(number, HERD_S3_PARTS_MAX, &v) || !v ||
	    !herd_aws_uint(size, INT64_MAX, &p->size) ||
	    strlen(etag) >= sizeof(p->etag) || strpbrk(etag, "<>&"))
		return -EBADMSG;
	p->number = (unsigned)v;
	strcpy(p->etag, etag);
	return 0;
}

struct parts {
	struct herd_s3_part *v;
	size_t n;
	char next[16];	/* the marker of the next page; "": there is none */
};

static int take_page(const struct herd_xml_node *root, struct parts *p)
{
	const char *more = herd_xml_text(root, "IsTruncated");
	const char *next = herd_xml_text(root, "NextPartNumberMarker");

	p->next[0] = '\0';
	for (const struct herd_xml_node *n = herd_xml_first(root, "", "Part"); n;
	     n = herd_xml_next(n)) {
		struct herd_s3_part *v = reallocarray(p->v, p->n + 1,
						      sizeof(*v));

		if (!v)
			return -ENOMEM;
		p->v = v;
		if (p->n == HERD_S3_PARTS_MAX || take_part(n, &v[p->n]) ||
		    (p->n && v[p->n].number <= v[p->n - 1].number))
			return -EBADMSG;
		p->n++;
	}
	if (more && !strcmp(more, "true")) {
		if (!next || strlen(next) >= sizeof(p->next))
			return -EBADMSG;
		strcpy(p->next, next);
	}
	return 0;
}

static int list_page(struct herd_aws *a, const struct herd_s3_object *o,
		     const char *upload, struct parts *p,
		     struct herd_diag *diag)
{
	const struct herd_pair query[] = { { "uploadId", upload },
					   { "part-number-marker", p->next } };
	struct herd_aws_call c = { .method = "GET", .query = query,
				   .n_query = p->next[0] ? 2 : 1 };
	struct herd_http_answer answer = { 0 };
	struct herd_xml *x CLEANUP_XML = NULL;
	int r = call(a, o, &c, &answer, diag);

	if (!r)
		r = parse(&answer, &x, diag);
	if (!r)
		r = take_page(herd_xml_root(x), p);
	if (r == -EBADMSG)
		bad(diag, o, "parts that are none");
	herd_http_answer_deinit(&answer);
	return r;
}

int herd_s3_upload_parts(struct herd_aws *a, const struct herd_s3_object *o,
			 const char *upload, struct herd_s3_part **ret,
			 size_t *ret_n, struct herd_diag *diag)
{
	struct parts p = { .n = 0 };
	unsigned pages = 0;
	int r;

	do {
		r = ++pages > PAGES_MAX ? -EOVERFLOW :
		    list_page(a, o, upload, &p, diag);
	} while (!r && p.next[0]);
	if (r) {
		free(p.v);
		return r;
	}
	*ret = p.v;
	*ret_n = p.n;
	return 0;
}

/* A 200 may still be an error that was found out while it was being sent. */
static int check_end(void *arg, struct herd_http_answer *answer)
{
	struct herd_xml *x CLEANUP_XML = NULL;

	(void)arg;
	if (parse(answer, &x, NULL))
		return -EAGAIN;
	return strcmp(herd_xml_name(herd_xml_root(x)), "Error") ? 0 : -EAGAIN;
}

int herd_s3_upload_end(struct herd_aws *a, const struct herd_s3_object *o,
		       const char *upload, const struct herd_s3_part *parts,
		       size_t n, struct herd_diag *diag)
{
	struct herd_buf body CLEANUP_BUF = HERD_BUF_INIT;
	const struct herd_pair query = { "uploadId", upload };
	struct herd_aws_call c = { .method = "POST", .query = &query,
				   .n_query = 1, .check = check_end,
				   .content_type = "application/xml" };

	herd_buf_printf(&body, "<CompleteMultipartUpload xmlns="
			"\"http://s3.amazonaws.com/doc/2006-03-01/\">");
	for (size_t i = 0; i < n; i++)
		herd_buf_printf(&body, "<Part><PartNumber>%u</PartNumber>"
				"<ETag>%s</ETag></Part>", parts[i].number,
				parts[i].etag);
	herd_buf_printf(&body, "</CompleteMultipartUpload>");
	if (body.failed)
		return -ENOMEM;
	c.body = body.data;
	c.body_len = body.len;
	return call(a, o, &c, NULL, diag);
}

int herd_s3_upload_abort(struct herd_aws *a, const struct herd_s3_object *o,
			 const char *upload, struct herd_diag *diag)
{
	const struct herd_pair query = { "uploadId", upload };
	struct herd_aws_call c = { .method = "DELETE", .query = &query,
				   .n_query = 1 };

	return call(a, o, &c, NULL, diag);
}
