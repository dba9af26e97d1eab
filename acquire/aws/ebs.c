/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A listing walks from page to page. A page is parsed in the call's check, so
 * that one that is damaged is asked for again, and added when the call ends.
 */
#include "acquire/aws/ebs.h"

#include "acquire/aws/ebs_page.h"
#include "acquire/aws/fields.h"

#include <stdio.h>
#include <string.h>

#define PAGE_MAX (8u << 20)  /* bytes; 10,000 blocks with two tokens are 6 MB */
#define IDLE_PAGES_MAX 1000u /* pages on end without a block in them */
#define IDLE_RESTARTS_MAX 3u /* on end, without a block in between */
#define MISSING_RETRIES 5u
#define PUBLIC                                                                \
	"a public AMI's snapshot cannot be read over EBS direct, nor can an " \
	"archived one or one on an Outpost"

struct listing {
	struct herd_aws *aws;
	bool changed;
	char first[HERD_AWS_ID_SIZE], snapshot[HERD_AWS_ID_SIZE];
	size_t cap;			   /* of out.list */
	char next[HERD_EBS_TOKEN_MAX + 1]; /* "": from the start */
	unsigned idle_pages, idle_restarts;
	struct herd_ebs_page page; /* the last that was good */
	bool have_page;
	struct herd_diag damage; /* of the last answer, "" when good */
	struct herd_ebs_listed out;
	herd_ebs_listed_fn *done;
	void *arg;
};

struct getting {
	char snapshot[HERD_AWS_ID_SIZE];
	uint32_t index, block_size;
	const char *damage; /* of the last answer, NULL when good */
	struct herd_ebs_block out;
	herd_ebs_block_fn *done;
	void *arg;
};

/* ---- errors ---- */

static bool says(const struct herd_aws_result *r, const char *what)
{
	return strcasestr(r->message, what) != NULL;
}

static bool is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

/* The last word was a content, not an error of the service or the network. */
static bool ended_with_content(const struct herd_aws_result *r)
{
	return r->answer && r->answer->status == 200;
}

static int refused(const struct herd_aws_result *r, const char *snapshot,
		   struct herd_diag *diag)
{
	if (is(r->reason, "DEPENDENCY_ACCESS_DENIED"))
		return herd_diag_set(
			diag, -EACCES, snapshot, HERD_NO_OFFSET,
			"the KMS key that it is encrypted with may "
			"not be used (kms:Decrypt): %s",
			r->message);
	if (says(r, "public") || says(r, "archive") || says(r, "outpost"))
		return herd_diag_set(diag, -EACCES, snapshot, HERD_NO_OFFSET,
				     PUBLIC ": %s", r->message);
	return herd_diag_set(diag, -EACCES, snapshot, HERD_NO_OFFSET,
			     "not allowed (%s): %s; " PUBLIC,
			     r->reason[0] ? r->reason : r->type, r->message);
}

/* That a snapshot is pending, archived or public has no reason of its own in
   the model: what the message says decides. */
static bool about_state(const struct herd_aws_result *r)
{
	return is(r->type, "ValidationException") ||
	       is(r->type, "ResourceNotFoundException") ||
	       is(r->type, "ConflictException");
}

int herd_ebs_error(const struct herd_aws_result *r, const char *snapshot,
		   struct herd_diag *diag)
{
	int err = r->err < 0 ? r->err : -EIO;

	if (is(r->reason, "INVALID_BLOCK_TOKEN"))
		return herd_diag_set(diag, -EKEYEXPIRED, snapshot,
				     HERD_NO_OFFSET,
				     "the block's token has expired");
	if (is(r->reason, "UNRELATED_SNAPSHOTS"))
		return herd_diag_set(diag, -EOPNOTSUPP, snapshot,
				     HERD_NO_OFFSET,
				     "the snapshots have no lineage in common");
	if (about_state(r) && (says(r, "pending") || says(r, "not completed") ||
			       says(r, "not complete")))
		return herd_diag_set(diag, -EAGAIN, snapshot, HERD_NO_OFFSET,
				     "it is not completed yet: %s", r->message);
	if (r->err == -EACCES || is(r->type, "AccessDeniedException") ||
	    (about_state(r) &&
	     (says(r, "public") || says(r, "archive") || says(r, "outpost"))))
		return refused(r, snapshot, diag);
	if (r->err == -ENOENT || is(r->type, "ResourceNotFoundException"))
		return herd_diag_set(
			diag, -ENOENT, snapshot, HERD_NO_OFFSET,
			"there is no such snapshot in this region, "
			"or it is not completed yet: %s",
			r->message);
	/* A success that is none (a 204) must not count as one. */
	return herd_diag_set(diag, err, snapshot, HERD_NO_OFFSET,
			     "%s%s%s after %u attempts%s%s",
			     r->type[0] ? r->type : strerror(-err),
			     r->reason[0] ? " " : "", r->reason, r->attempts,
			     r->message[0] ? ": " : "", r->message);
}

/* ---- listing ---- */

static void page_done(void *arg, struct herd_aws_result *r);

static int check_page(void *arg, struct herd_http_answer *answer)
{
	struct listing *l = arg;
	int r;

	if (l->have_page)
		herd_ebs_page_deinit(&l->page);
	l->have_page = false;
	herd_diag_clear(&l->damage);
	r = herd_ebs_page_parse(answer->body.data, answer->body.len, l->changed,
				&l->page, &l->damage);
	l->have_page = !r;
	return r == -EBADMSG ? -EAGAIN : r;
}

static uint64_t volume_blocks(const struct herd_block_list *l)
{
	return l->block_size ? l->volume_size / l->block_size : 0;
}

static int ask_page(struct listing *l)
{
	struct herd_block_list *list = &l->out.list;
	char path[HERD_AWS_ID_SIZE + 64], start[16];
	struct herd_pair query[4] = { { "maxResults", "10000" } };
	size_t n = 1;

	snprintf(path, sizeof(path), "/snapshots/%s/%s", l->snapshot,
		 l->changed ? "changedblocks" : "blocks");
	if (l->changed)
		query[n++] = (struct herd_pair){ "firstSnapshotId", l->first };
	if (l->next[0]) {
		query[n++] = (struct herd_pair){ "pageToken", l->next };
	} else if (list->n) {
		snprintf(start, sizeof(start), "%llu",
			 list->indexes[list->n - 1] + 1ull);
		query[n++] = (struct herd_pair){ "startingBlockIndex", start };
	}
	l->out.pages++;
	return herd_aws_add(l->aws,
			    &(struct herd_aws_call){
				    .service = "ebs",
				    .method = "GET",
				    .path = path,
				    .query = query,
				    .n_query = n,
				    .answer_max = PAGE_MAX,
				    .missing = MISSING_RETRIES,
				    .check = check_page,
			    },
			    page_done, l);
}

static void listing_destroy(struct listing *l)
{
	if (l->have_page)
		herd_ebs_page_deinit(&l->page);
	herd_block_list_deinit(&l->out.list);
	free(l);
}

static void listing_end(struct listing *l, int err)
{
	l->out.err = err;
	if (err)
		herd_block_list_deinit(&l->out.list);
	l->done(l->arg, &l->out);
	listing_destroy(l);
}

/* The page's token is too old: from behind the last block, without one.
   1: nothing can be behind it. */
static int restart(struct listing *l)
{
	struct herd_block_list *list = &l->out.list;

	if (++l->idle_restarts > IDLE_RESTARTS_MAX)
		return herd_diag_set(&l->out.diag, -EIO, l->snapshot,
				     HERD_NO_OFFSET,
				     "each page's token is refused as expired");
	l->out.restarts++;
	l->next[0] = '\0';
	return list->n &&
	       list->indexes[list->n - 1] + 1ull >= volume_blocks(list);
}

/* 0: there is another page; 1: that was the last. */
static int add_page(struct listing *l)
{
	bool progress = l->page.list.n != 0;
	int r = herd_ebs_list_add(&l->out.list, &l->cap, &l->page,
				  &l->out.diag);

	memcpy(l->next, l->page.next, sizeof(l->next));
	herd_ebs_page_deinit(&l->page);
	l->have_page = false;
	if (r)
		return r;
	if (progress)
		l->idle_pages = l->idle_restarts = 0;
	else if (++l->idle_pages > IDLE_PAGES_MAX)
		return herd_diag_set(&l->out.diag, -EIO, l->snapshot,
				     HERD_NO_OFFSET,
				     "%u pages on end without a block",
				     IDLE_PAGES_MAX);
	if (l->next[0])
		return 0;
	if (!volume_blocks(&l->out.list))
		return herd_diag_set(&l->out.diag, -EBADMSG, l->snapshot,
				     HERD_NO_OFFSET,
				     "no page says the size of the volume");
	return 1;
}

static void page_done(void *arg, struct herd_aws_result *res)
{
	struct listing *l = arg;
	int r;

	if (!res->err && l->have_page)
		r = add_page(l);
	else if (l->damage.message[0] && ended_with_content(res))
		r = herd_diag_set(&l->out.diag, -EBADMSG, l->snapshot,
				  HERD_NO_OFFSET, "%s, after %u attempts",
				  l->damage.message, res->attempts);
	else if (is(res->reason, "INVALID_PAGE_TOKEN") && l->next[0])
		r = restart(l);
	else
		r = herd_ebs_error(res, l->snapshot, &l->out.diag);
	if (!r) {
		r = ask_page(l);
		if (!r)
			return;
	}
	listing_end(l, r < 0 ? r : 0);
}

static int listing_start(struct herd_aws *a, const char *first,
			 const char *second, herd_ebs_listed_fn *done,
			 void *arg)
{
	if (!herd_aws_is_id(second, "snap-") ||
	    (first && !herd_aws_is_id(first, "snap-")))
		return -EINVAL;

	struct listing *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->aws = a;
	l->changed = first != NULL;
	strcpy(l->snapshot, second);
	strcpy(l->first, first ? first : "");
	l->done = done;
	l->arg = arg;
	herd_diag_clear(&l->out.diag);

	int r = ask_page(l);

	if (r)
		listing_destroy(l);
	return r;
}

int herd_ebs_list(struct herd_aws *a, const char *snapshot,
		  herd_ebs_listed_fn *done, void *arg)
{
	return listing_start(a, NULL, snapshot, done, arg);
}

int herd_ebs_list_changed(struct herd_aws *a, const char *first,
			  const char *second, herd_ebs_listed_fn *done,
			  void *arg)
{
	if (!first)
		return -EINVAL;
	return listing_start(a, first, second, done, arg);
}

/* ---- blocks ---- */

static int base64_digit(char c)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				     "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* 32 bytes are 43 digits and one '=', the last two bits zero. */
static bool base64_sha256(const char *text, uint8_t out[HERD_SHA256_LEN])
{
	uint32_t bits = 0;
	unsigned have = 0, n = 0;

	if (strlen(text) != 44 || text[43] != '=')
		return false;
	for (size_t i = 0; i < 43; i++) {
		int d = base64_digit(text[i]);

		if (d < 0)
			return false;
		bits = bits << 6 | (uint32_t)d;
		have += 6;
		if (have >= 8) {
			have -= 8;
			out[n++] = (uint8_t)(bits >> have);
		}
	}
	return n == HERD_SHA256_LEN && !(bits & 3);
}

int herd_ebs_check_block(const struct herd_http_answer *answer,
			 uint32_t block_size, uint8_t ret[HERD_SHA256_LEN],
			 const char **ret_why)
{
	uint8_t said[HERD_SHA256_LEN], is_really[HERD_SHA256_LEN];
	char text[80];
	uint64_t length;

	*ret_why = "it is not as long as a block";
	if (answer->body.len != block_size)
		return -EBADMSG;
	*ret_why = "it is not as long as x-amz-Data-Length says";
	if (!herd_http_header(answer, "x-amz-Data-Length", text,
			      sizeof(text)) ||
	    !herd_aws_uint(text, UINT32_MAX, &length) ||
	    length != answer->body.len)
		return -EBADMSG;
	*ret_why = "its checksum is not said to be a SHA-256";
	if (!herd_http_header(answer, "x-amz-Checksum-Algorithm", text,
			      sizeof(text)) ||
	    !is(text, "SHA256"))
		return -EBADMSG;
	if (!herd_http_header(answer, "x-amz-Checksum", text, sizeof(text)) ||
	    !base64_sha256(text, said))
		return -EBADMSG;
	*ret_why = "its SHA-256 is not what x-amz-Checksum says";
	herd_sha256(answer->body.data, answer->body.len, is_really);
	if (memcmp(said, is_really, sizeof(said)) != 0)
		return -EBADMSG;
	memcpy(ret, said, sizeof(said));
	*ret_why = NULL;
	return 0;
}

static int check_block(void *arg, struct herd_http_answer *answer)
{
	struct getting *g = arg;

	return herd_ebs_check_block(answer, g->block_size, g->out.sha256,
				    &g->damage) ?
		       -EAGAIN :
		       0;
}

static void block_done(void *arg, struct herd_aws_result *r)
{
	struct getting *g = arg;
	struct herd_ebs_block *out = &g->out;

	out->attempts = r->attempts;
	if (!r->err && !g->damage && r->answer) {
		out->bytes = r->answer->body;
		r->answer->body = (struct herd_buf)HERD_BUF_INIT;
	} else if (g->damage && ended_with_content(r)) {
		out->err = herd_diag_set(&out->diag, -EBADMSG, g->snapshot,
					 (uint64_t)g->index * g->block_size,
					 "block %u: %s, after %u attempts",
					 g->index, g->damage, r->attempts);
	} else {
		out->err = herd_ebs_error(r, g->snapshot, &out->diag);
	}
	g->done(g->arg, out);
	herd_buf_deinit(&out->bytes);
	free(g);
}

int herd_ebs_get_block(struct herd_aws *a, const char *snapshot, uint32_t index,
		       const char *token, uint32_t block_size,
		       herd_ebs_block_fn *done, void *arg)
{
	char path[HERD_AWS_ID_SIZE + 64];
	struct herd_pair query = { "blockToken", token };
	int r;

	if (!herd_aws_is_id(snapshot, "snap-") || !token ||
	    !herd_ebs_is_token(token) || !block_size ||
	    block_size > HERD_BLOCK_SIZE_MAX)
		return -EINVAL;

	struct getting *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	strcpy(g->snapshot, snapshot);
	g->index = index;
	g->block_size = block_size;
	g->damage = "no answer came"; /* until one was checked */
	g->done = done;
	g->arg = arg;
	herd_diag_clear(&g->out.diag);
	snprintf(path, sizeof(path), "/snapshots/%s/blocks/%u", snapshot,
		 index);
	r = herd_aws_add(a,
			 &(struct herd_aws_call){
				 .service = "ebs",
				 .method = "GET",
				 .path = path,
				 .query = &query,
				 .n_query = 1,
				 .answer_max = HERD_BLOCK_SIZE_MAX,
				 .missing = MISSING_RETRIES,
				 .check = check_block,
			 },
			 block_done, g);
	if (r)
		free(g);
	return r;
}
