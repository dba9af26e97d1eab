/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance is told: capture_memory.sh, built in, with URLs and digests
 * put in. A command that Systems Manager carries is kept in its history and
 * limited in length; so the script goes to S3, and the command only fetches it.
 *
 * Threads: as acquire/capture_memory.h says.
 */
#include "acquire/capture_memory_impl.h"

#include "acquire/base/cleanup.h"

#include <stdio.h>
#include <string.h>

#define URL_SPARE 900u	/* seconds beyond what the command may take */
#define URL_MOST 43200u

extern const char herd_memory_script_begin[]
	__attribute__((visibility("hidden")));

/* The assembler reads the file; make runs in the folder above and knows that
   this file depends on it. */
__asm__(".pushsection .rodata.herd_memory_script, \"a\"\n"
	".global herd_memory_script_begin\n"
	".hidden herd_memory_script_begin\n"
	"herd_memory_script_begin:\n"
	".incbin \"acquire/capture_memory.sh\"\n"
	".byte 0\n"
	".popsection\n");

static unsigned url_seconds(const struct herd_memory_capturing *g)
{
	unsigned n = g->o.seconds + URL_SPARE;

	return n < URL_MOST ? n : URL_MOST;
}

/* A URL without the NUL that ends it. */
static void put_url(struct herd_buf *out, const struct herd_buf *url)
{
	herd_buf_put(out, url->data, url->len ? url->len - 1 : 0);
}

static int put_part_urls(struct herd_memory_capturing *g, size_t i,
			 struct herd_buf *out)
{
	const struct herd_s3_object o = { g->o.bucket, g->one[i].key };
	uint64_t n = (g->o.limit + g->o.part_size - 1) / g->o.part_size;
	struct herd_buf url CLEANUP_BUF = HERD_BUF_INIT;
	int r = 0;

	for (unsigned k = 1; k <= n && !r; k++) {
		url.len = 0;
		r = herd_s3_upload_url(g->aws, &o, g->one[i].upload, k,
				       url_seconds(g), &url, g->diag);
		put_url(out, &url);
		if (k < n)
			herd_buf_u8(out, '\n');
	}
	if (url.data)
		explicit_bzero(url.data, url.cap);
	return r ? r : herd_buf_error(out);
}

static int put_url_of(struct herd_memory_capturing *g, const char *key,
		      struct herd_buf *out)
{
	const struct herd_s3_object o = { g->o.bucket, key };
	struct herd_buf url CLEANUP_BUF = HERD_BUF_INIT;
	int r = herd_s3_url(g->aws, &o, "GET", url_seconds(g), &url, g->diag);

	put_url(out, &url);
	if (url.data)
		explicit_bzero(url.data, url.cap);
	return r ? r : herd_buf_error(out);
}

static int put_value(struct herd_memory_capturing *g, size_t i,
		     const char *name, size_t len, struct herd_buf *out)
{
	char hex[65];

	if (len == 4 && !strncmp(name, "URLS", len))
		return put_part_urls(g, i, out);
	if (len == 8 && !strncmp(name, "TOOL_URL", len))
		return put_url_of(g, g->tool_key, out);
	if (len == 11 && !strncmp(name, "TOOL_SHA256", len))
		herd_buf_printf(out, "%s", herd_hex(g->c->tool, 32, hex));
	else if (len == 9 && !strncmp(name, "PART_SIZE", len))
		herd_buf_printf(out, "%llu",
				(unsigned long long)g->o.part_size);
	else	/* @NAMES@, in the script's own comment */
		herd_buf_printf(out, "@%.*s@", (int)len, name);
	return herd_buf_error(out);
}

static int fill_script(struct herd_memory_capturing *g, size_t i,
		       struct herd_buf *out)
{
	const char *p = herd_memory_script_begin, *at, *end;
	int r = 0;

	while (!r && (at = strchr(p, '@')) && (end = strchr(at + 1, '@'))) {
		herd_buf_put(out, p, (size_t)(at - p));
		r = put_value(g, i, at + 1, (size_t)(end - at - 1), out);
		p = end + 1;
	}
	herd_buf_put(out, p, strlen(p));
	return r ? r : herd_buf_error(out);
}

static int send_command(struct herd_memory_capturing *g, size_t i,
			const uint8_t script[32])
{
	struct herd_memory_captured *m = &g->c->v[i];
	struct herd_buf fetch CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf verify CLEANUP_BUF = HERD_BUF_INIT;
	char hex[65];
	const char *lines[] = {
		"umask 077; f=$(mktemp) || exit 1; trap 'rm -f \"$f\"' EXIT",
		NULL, NULL, "sh \"$f\"",
	};
	const struct herd_ssm_command c = {
		.instance = m->instance, .lines = lines,
		.n_lines = ARRAY_SIZE(lines), .run_seconds = g->o.seconds,
		.comment = "herdfs: acquire memory",
	};
	int r;

	herd_buf_printf(&fetch, "curl -fsS --retry 5 --max-time 120 -o \"$f\" '");
	r = put_url_of(g, g->one[i].script_key, &fetch);
	herd_buf_printf(&fetch, "' || { echo error the script cannot be fetched; "
			"exit 1; }");
	herd_buf_u8(&fetch, '\0');
	herd_buf_printf(&verify, "echo \"%s  $f\" | sha256sum -c - >/dev/null || "
			"{ echo error the script is another one; exit 1; }",
			herd_hex(script, 32, hex));
	herd_buf_u8(&verify, '\0');
	if (!r)
		r = herd_buf_error(fetch.failed ? &fetch : &verify);
	if (r)
		return r;
	lines[1] = (const char *)fetch.data;
	lines[2] = (const char *)verify.data;
	r = herd_ssm_send(g->aws, &c, m->command, &m->diag);
	explicit_bzero(fetch.data, fetch.cap);
	return r;
}

int herd_memory_command(struct herd_memory_capturing *g, size_t i)
{
	const struct herd_s3_object o = { g->o.bucket, g->one[i].script_key };
	struct herd_buf script CLEANUP_BUF = HERD_BUF_INIT;
	uint8_t digest[32];
	int r = fill_script(g, i, &script);

	if (!r) {
		herd_sha256(script.data, script.len, digest);
		r = herd_s3_put(g->aws, &o, script.data, script.len,
				&g->c->v[i].diag);
	}
	if (!r)
		r = send_command(g, i, digest);
	if (script.data)
		explicit_bzero(script.data, script.cap);
	return r;
}
