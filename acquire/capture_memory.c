/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For each instance: a multipart upload is begun, its parts' URLs go into a
 * script (capture_memory.sh), the script goes to S3, and a command that fetches
 * it, checks its digest and runs it goes to the instance. All instances work at
 * once. What is done is brought home one after the other; then images that were
 * at home are checked.
 *
 * The object and the record of how it came about stay in the bucket; from them
 * an interrupted run goes on. The script, which holds the URLs, is deleted.
 *
 * Threads: as acquire/capture_memory.h says.
 */
#include "acquire/capture_memory_impl.h"

#include "acquire/aws/autoscaling.h"
#include "acquire/aws/form.h"
#include "acquire/aws/xml.h"
#include "acquire/base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define LIMIT (128ull << 30)
#define PARTS 2048u		/* as many URLs go into a script */
#define PART_LEAST (16ull << 20)
#define SECONDS 3600u
#define POLL_MS 3000
#define TOOL_MAX (256ull << 20)
#define UNKNOWN_MAX 40u		/* polls on end that did not know the command */

void herd_memory_capture_deinit(struct herd_memory_capture *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->v[i].path);
	free(c->v);
	*c = (struct herd_memory_capture){ .n = 0 };
}

void herd_memory_say(const struct herd_memory_capturing *g, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!g->o.say)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	g->o.say(g->o.arg, line);
}

/* ---- who ---- */

static int find_caller(struct herd_memory_capturing *g)
{
	struct herd_buf form CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result = { 0 };
	struct herd_xml *x CLEANUP_XML = NULL;
	const char *arn = NULL;
	int r;

	herd_form_begin(&form, "GetCallerIdentity", "2011-06-15");
	r = herd_form_post(g->aws, "sts", &form, false, &answer, &result,
			   g->diag);
	if (r)
		return r;
	if (!herd_xml_parse(answer.body.data, answer.body.len, &x, NULL))
		arn = herd_xml_text(herd_xml_root(x),
				    "GetCallerIdentityResult/Arn");
	snprintf(g->c->who, sizeof(g->c->who), "%s",
		 arn && herd_aws_is_text(arn, sizeof(g->c->who) - 1) ? arn :
		 "unknown");
	herd_http_answer_deinit(&answer);
	return 0;
}

static bool is_wanted(const struct herd_capture_memory_options *o,
		      const char *id)
{
	for (size_t i = 0; i < o->n_instances; i++)
		if (!strcmp(o->instances[i], id))
			return true;
	return !o->n_instances;
}

static int find_instances(struct herd_memory_capturing *g)
{
	CLEANUP(herd_asgs_deinit) struct herd_asgs groups = { 0 };
	int r = herd_asg_list(g->aws, &g->o.group, 1, &groups, g->diag);

	if (!r && !groups.n)
		r = herd_diag_set(g->diag, -ENOENT, g->o.group, HERD_NO_OFFSET,
				  "there is no such Auto Scaling Group in this region");
	if (r)
		return r;
	g->c->v = calloc(groups.v[0].n_instances + 1, sizeof(*g->c->v));
	g->one = calloc(groups.v[0].n_instances + 1, sizeof(*g->one));
	if (!g->c->v || !g->one)
		return -ENOMEM;
	for (size_t i = 0; i < groups.v[0].n_instances; i++) {
		const char *id = groups.v[0].instances[i].id;
		struct herd_memory_captured *m = &g->c->v[g->c->n];

		if (!is_wanted(&g->o, id))
			continue;
		strcpy(m->instance, id);
		herd_diag_clear(&m->diag);
		g->c->n++;
	}
	return g->c->n ? 0 :
	       herd_diag_set(g->diag, -ENOENT, g->o.group, HERD_NO_OFFSET,
			     "the group has none of these instances");
}

/* ---- the tool ---- */

static int read_tool(struct herd_memory_capturing *g)
{
	FILE *f = fopen(g->o.tool, "rbe");
	struct stat st = { .st_size = 0 };
	int r = 0;

	if (!f || fstat(fileno(f), &st))
		r = -errno;
	else if (!S_ISREG(st.st_mode) || !st.st_size ||
		 (uint64_t)st.st_size > TOOL_MAX)
		r = -EINVAL;
	void *to = r ? NULL : herd_buf_extend(&g->tool, (size_t)st.st_size);

	if (!r && !to)
		r = -ENOMEM;
	if (!r && fread(to, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
		r = -EIO;
	if (f)
		fclose(f);
	if (r)
		return herd_diag_set(g->diag, r, g->o.tool, HERD_NO_OFFSET,
				     "AVML cannot be read: %s", strerror(-r));
	herd_sha256(g->tool.data, g->tool.len, g->c->tool);
	return 0;
}

static int send_tool(struct herd_memory_capturing *g)
{
	struct herd_s3_object o = { g->o.bucket, g->tool_key };
	uint64_t size = 0;
	char hex[65];
	int r;

	herd_hex(g->c->tool, sizeof(g->c->tool), hex);
	snprintf(g->tool_key, sizeof(g->tool_key), "%stools/avml-%s",
		 g->o.prefix, hex);
	r = herd_s3_size(g->aws, &o, &size, NULL);
	if (!r && size == g->tool.len)
		return 0;	/* whether it is that very one the instance checks */
	return herd_s3_put(g->aws, &o, g->tool.data, g->tool.len, g->diag);
}

/* ---- one instance ---- */

/* What of the case's name can stand in a key, and what cannot. */
static void key_word(const char *text, char *ret, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		bool plain = (*text >= '0' && *text <= '9') ||
			     (*text >= 'a' && *text <= 'z') ||
			     (*text >= 'A' && *text <= 'Z') || *text == '-' ||
			     *text == '_';

		ret[n++] = plain ? *text : '_';
	}
	ret[n] = '\0';
}

static void make_keys(struct herd_memory_capturing *g, size_t i)
{
	struct herd_memory_one *one = &g->one[i];
	char word[220];

	key_word(g->o.case_id, word, sizeof(word));
	snprintf(one->key, sizeof(one->key), "%s%s/%s/memory.avml", g->o.prefix,
		 word, g->c->v[i].instance);
	snprintf(one->script_key, sizeof(one->script_key), "%s%s/%s/capture.sh",
		 g->o.prefix, word, g->c->v[i].instance);
	snprintf(one->record_key, sizeof(one->record_key),
		 "%s%s/%s/memory.avml.json", g->o.prefix, word,
		 g->c->v[i].instance);
}

static int begin_one(struct herd_memory_capturing *g, size_t i)
{
	struct herd_memory_captured *m = &g->c->v[i];
	struct herd_memory_one *one = &g->one[i];
	struct herd_s3_object o = { g->o.bucket, one->key };
	int r = herd_s3_upload_begin(g->aws, &o, one->upload, &m->diag);

	if (r)
		return r;
	r = herd_memory_command(g, i);
	if (r)
		herd_s3_upload_abort(g->aws, &o, one->upload, NULL);
	else
		herd_memory_say(g, "%s: its memory is being read", m->instance);
	one->running = !r;
	return r;
}

static void begin(struct herd_memory_capturing *g, size_t i)
{
	struct herd_memory_captured *m = &g->c->v[i];
	int r;

	make_keys(g, i);
	r = herd_memory_at_home(g, i);
	if (!r) {
		m->already = g->one[i].home = true;
		return;
	}
	if (r == -ENOENT)
		r = herd_memory_take_record(g, i);
	else
		m->err = r;
	if (!r) {	/* of a run before */
		m->already = g->one[i].uploaded = true;
		return;
	}
	if (r == -EEXIST)
		m->err = r;
	/* nor would it be written over */
	if (!m->err && g->one[i].alone)
		m->err = herd_diag_set(&m->diag, -EEXIST, g->o.dir,
				       HERD_NO_OFFSET, "has %s.avml without a "
				       "record, nor is there one in S3: move it "
				       "away", m->instance);
	if (!m->err && !g->o.dry_run)
		m->err = begin_one(g, i);
}

/* ---- waiting ---- */

static const char *word_after(const char *output, const char *name, char *buf,
			      size_t size)
{
	const char *at = output;
	size_t n = strlen(name);

	while (at && !(strncmp(at, name, n) == 0 && at[n] == ' ')) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return NULL;
	at += n + 1;
	snprintf(buf, size, "%.*s", (int)strcspn(at, "\n"), at);
	herd_text_clean(buf);
	return buf;
}

static bool take_number(const char *output, const char *name, uint64_t *ret)
{
	char text[32];

	return word_after(output, name, text, sizeof(text)) &&
	       herd_aws_uint(text, INT64_MAX, ret);
}

/* What the script printed. */
static int take_output(struct herd_memory_captured *m, const char *output,
		       uint64_t *ret_parts)
{
	uint64_t began = 0, ended = 0;
	char text[256];

	if (word_after(output, "error", text, sizeof(text)))
		return herd_diag_set(&m->diag, -EIO, m->instance, HERD_NO_OFFSET,
				     "%s", text);
	word_after(output, "version", m->version, sizeof(m->version));
	word_after(output, "release", m->release, sizeof(m->release));
	if (!take_number(output, "parts", ret_parts) ||
	    !take_number(output, "bytes", &m->bytes) ||
	    !take_number(output, "began", &began) ||
	    !take_number(output, "ended", &ended) || !*ret_parts ||
	    !word_after(output, "sha256", text, sizeof(text)) ||
	    herd_memory_unhex(text, m->sha256))
		return herd_diag_set(&m->diag, -EBADMSG, m->instance,
				     HERD_NO_OFFSET, "the command ended well, "
				     "and did not say what it did");
	m->began = (int64_t)began;
	m->ended = (int64_t)ended;
	return 0;
}

/* The parts that S3 has are those that the instance sent. */
static int end_upload(struct herd_memory_capturing *g, size_t i, uint64_t n_sent)
{
	struct herd_memory_captured *m = &g->c->v[i];
	struct herd_s3_object o = { g->o.bucket, g->one[i].key };
	CLEANUP_FREE struct herd_s3_part *parts = NULL;
	uint64_t sum = 0;
	size_t n = 0;
	int r = herd_s3_upload_parts(g->aws, &o, g->one[i].upload, &parts, &n,
				     &m->diag);

	for (size_t k = 0; k < n; k++)
		sum += parts[k].size;
	if (!r && (n != n_sent || sum != m->bytes))
		r = herd_diag_set(&m->diag, -EBADMSG, m->instance,
				  HERD_NO_OFFSET, "S3 has %zu parts of %llu "
				  "bytes; %llu of %llu were sent", n,
				  (unsigned long long)sum,
				  (unsigned long long)n_sent,
				  (unsigned long long)m->bytes);
	if (!r)
		r = herd_s3_upload_end(g->aws, &o, g->one[i].upload, parts, n,
				       &m->diag);
	return r ? r : herd_memory_put_record(g, i);
}

static int on_end(struct herd_memory_capturing *g, size_t i,
		 const struct herd_ssm_invocation *inv)
{
	struct herd_memory_captured *m = &g->c->v[i];
	uint64_t parts = 0;
	int r = take_output(m, inv->output, &parts);

	if (r && !inv->success && m->diag.message[0] && r == -EBADMSG) {
		char why[256];

		herd_diag_clear(&m->diag);
		snprintf(why, sizeof(why), "%.200s", inv->error);
		herd_text_clean(why);
		r = herd_diag_set(&m->diag, -EIO, m->instance, HERD_NO_OFFSET,
				  "the command ended as %s: %s", inv->status,
				  why);
	}
	return r ? r : end_upload(g, i, parts);
}

static void finish(struct herd_memory_capturing *g, size_t i, int err)
{
	struct herd_memory_captured *m = &g->c->v[i];
	struct herd_memory_one *one = &g->one[i];
	struct herd_s3_object object = { g->o.bucket, one->key };
	struct herd_s3_object script = { g->o.bucket, one->script_key };

	one->running = false;
	one->uploaded = !err;
	m->err = err;
	herd_s3_delete(g->aws, &script, NULL);
	if (!err) {
		herd_memory_say(g, "%s: %llu bytes in s3://%s/%s", m->instance,
				(unsigned long long)m->bytes, g->o.bucket,
				one->key);
		return;
	}
	herd_s3_upload_abort(g->aws, &object, one->upload, NULL);
	herd_memory_say(g, "%s: %s", m->instance, m->diag.message);
}

static void poll_one(struct herd_memory_capturing *g, size_t i, time_t began)
{
	struct herd_memory_captured *m = &g->c->v[i];
	struct herd_ssm_invocation inv = { .exit_status = -1 };
	int r = herd_ssm_get(g->aws, m->command, m->instance, &inv, &m->diag);

	if (r == -ENOENT && g->one[i].unknown++ < UNKNOWN_MAX)
		return;
	if (!r && !inv.ended &&
	    time(NULL) - began < (time_t)g->o.seconds + 900) {
		herd_ssm_invocation_deinit(&inv);
		return;
	}
	if (!r && !inv.ended) {
		herd_ssm_cancel(g->aws, m->command, NULL);
		r = herd_diag_set(&m->diag, -ETIMEDOUT, m->instance,
				  HERD_NO_OFFSET, "the command is still %s",
				  inv.status);
	}
	finish(g, i, r ? r : on_end(g, i, &inv));
	herd_ssm_invocation_deinit(&inv);
}

static void wait_for_all(struct herd_memory_capturing *g)
{
	const struct timespec pause = { POLL_MS / 1000, POLL_MS % 1000 * 1000000L };
	const struct timespec first = { 0, 300000000L };
	time_t began = time(NULL);

	for (unsigned round = 0;; round++) {
		size_t running = 0;

		for (size_t i = 0; i < g->c->n; i++)
			running += g->one[i].running;
		if (!running)
			return;
		nanosleep(round < 10 ? &first : &pause, NULL);
		for (size_t i = 0; i < g->c->n; i++)
			if (g->one[i].running)
				poll_one(g, i, began);
	}
}

/* ---- the whole ---- */

static int check(struct herd_memory_capturing *g)
{
	struct herd_capture_memory_options *o = &g->o;

	if (!o->limit)
		o->limit = LIMIT;
	if (!o->part_size)
		o->part_size = (o->limit / PARTS + 0xfffff) & ~0xfffffull;
	if (o->part_size < PART_LEAST)
		o->part_size = PART_LEAST;
	if (!o->seconds)
		o->seconds = SECONDS;
	if (!o->prefix)
		o->prefix = "";
	if (!herd_s3_is_bucket(o->bucket))
		return herd_diag_set(g->diag, -EINVAL, o->bucket, HERD_NO_OFFSET,
				     "cannot be the name of a bucket");
	if (*o->prefix && !herd_s3_is_key(o->prefix))
		return herd_diag_set(g->diag, -EINVAL, o->prefix, HERD_NO_OFFSET,
				     "cannot be a prefix of keys");
	if (o->part_size < HERD_S3_PART_LEAST ||
	    o->limit / o->part_size >= HERD_S3_PARTS_MAX)
		return herd_diag_set(g->diag, -EINVAL, o->bucket, HERD_NO_OFFSET,
				     "that needs more parts than S3 takes");
	return 0;
}

static int capture(struct herd_memory_capturing *g)
{
	int r = check(g);

	if (!r)
		r = read_tool(g);
	if (!r)
		r = find_caller(g);
	if (!r)
		r = find_instances(g);
	if (!r && !g->o.dry_run)
		r = send_tool(g);
	for (size_t i = 0; i < g->c->n && !r; i++)
		begin(g, i);
	if (r || g->o.dry_run)
		return r;
	wait_for_all(g);
	for (size_t i = 0; i < g->c->n; i++)
		if (!g->c->v[i].err && g->one[i].uploaded)
			g->c->v[i].err = herd_memory_bring_home(g, i);
	/* what is there does not change; memory that is still running does, so
	   that reading hundreds of gigabytes comes last */
	for (size_t i = 0; i < g->c->n; i++)
		if (!g->c->v[i].err && g->one[i].home)
			g->c->v[i].err = herd_memory_check_home(g, i);
	return 0;
}

int herd_capture_memory(struct herd_aws *a,
			const struct herd_capture_memory_options *o,
			struct herd_memory_capture *ret, struct herd_diag *diag)
{
	struct herd_memory_capture c = { .n = 0 };
	struct herd_memory_capturing g = { .aws = a, .o = *o, .c = &c,
					   .diag = diag, .tool = HERD_BUF_INIT };
	int r = capture(&g);

	free(g.one);
	herd_buf_deinit(&g.tool);
	if (r)
		herd_memory_capture_deinit(&c);
	else
		*ret = c;
	return r;
}
