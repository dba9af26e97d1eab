/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of a capture, one line of JSON that is beside the object and beside
 * the image at home, and the way home: a range after the other, hashed, under
 * another name until it is whole and its digest is the instance's.
 *
 * Threads: as acquire/capture_memory.h says.
 */
#include "acquire/capture_memory_impl.h"

#include "acquire/base/cleanup.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define RANGE (8u << 20)
#define RECORD_MAX 8192u
#define PROGRESS_SECONDS 10

int herd_memory_unhex(const char *text, uint8_t ret[32])
{
	for (size_t i = 0; i < 32; i++) {
		char two[3] = { text[2 * i], text[2 * i] ? text[2 * i + 1] : 0, 0 };

		if (!isxdigit((unsigned char)two[0]) ||
		    !isxdigit((unsigned char)two[1]))
			return -EBADMSG;
		ret[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return text[64] ? -EBADMSG : 0;
}

/* ---- the record ---- */

/* Values are words and texts that were checked: no quotes, no controls. */
static void put_field(struct herd_buf *out, const char *key, const char *value)
{
	herd_buf_printf(out, "\"%s\": \"", key);
	for (; *value; value++)
		herd_buf_u8(out, *value == '"' || *value == '\\' ? '\'' :
			    (uint8_t)*value);
	herd_buf_printf(out, "\", ");
}

static void make_record(const struct herd_memory_capturing *g, size_t i,
			struct herd_buf *out)
{
	const struct herd_memory_captured *m = &g->c->v[i];
	char hex[65], url[2200];

	herd_buf_printf(out, "{\"format\": \"herdfs memory capture\", "
			"\"version\": 1, ");
	put_field(out, "case", g->o.case_id);
	put_field(out, "group", g->o.group);
	put_field(out, "instance", m->instance);
	put_field(out, "who", g->c->who);
	put_field(out, "command", m->command);
	put_field(out, "tool", m->version);
	put_field(out, "tool_sha256", herd_hex(g->c->tool, 32, hex));
	put_field(out, "release", m->release);
	snprintf(url, sizeof(url), "s3://%s/%s", g->o.bucket, g->one[i].key);
	put_field(out, "object", url);
	put_field(out, "sha256", herd_hex(m->sha256, 32, hex));
	herd_buf_printf(out, "\"bytes\": %llu, \"began\": %lld, \"ended\": %lld}\n",
			(unsigned long long)m->bytes, (long long)m->began,
			(long long)m->ended);
}

/* Whether a field of a record is what make_record would write for it. */
static bool has_field(const char *record, const char *key, const char *value)
{
	struct herd_buf field CLEANUP_BUF = HERD_BUF_INIT;

	put_field(&field, key, value);
	herd_buf_u8(&field, '\0');
	return !field.failed && strstr(record, (const char *)field.data);
}

/* The value of a field of a record as make_record writes it. */
static bool get_field(const char *record, const char *key, char *ret, size_t size)
{
	char name[40];
	const char *at;
	size_t n;

	snprintf(name, sizeof(name), "\"%s\": ", key);
	at = strstr(record, name);
	if (!at)
		return false;
	at += strlen(name);
	at += *at == '"';
	n = strcspn(at, "\",}");
	if (n >= size)
		return false;
	memcpy(ret, at, n);
	ret[n] = '\0';
	herd_text_clean(ret);
	return true;
}

static bool get_number(const char *record, const char *key, uint64_t *ret)
{
	char text[32];

	return get_field(record, key, text, sizeof(text)) &&
	       herd_aws_uint(text, INT64_MAX, ret);
}

/* -EEXIST: it is another case's, or another group's. */
static int parse_record(const struct herd_memory_capturing *g,
			const char *record, struct herd_memory_captured *m)
{
	uint64_t began, ended;
	char instance[HERD_AWS_ID_SIZE], hex[80];

	if (!get_field(record, "instance", instance, sizeof(instance)) ||
	    strcmp(instance, m->instance))
		return -EBADMSG;
	if (!has_field(record, "case", g->o.case_id) ||
	    !has_field(record, "group", g->o.group))
		return -EEXIST;
	if (!get_field(record, "sha256", hex, sizeof(hex)) ||
	    herd_memory_unhex(hex, m->sha256) ||
	    !get_number(record, "bytes", &m->bytes) ||
	    !get_number(record, "began", &began) ||
	    !get_number(record, "ended", &ended))
		return -EBADMSG;
	get_field(record, "tool", m->version, sizeof(m->version));
	get_field(record, "release", m->release, sizeof(m->release));
	get_field(record, "command", m->command, sizeof(m->command));
	m->began = (int64_t)began;
	m->ended = (int64_t)ended;
	return 0;
}

int herd_memory_take_record(struct herd_memory_capturing *g, size_t i)
{
	const struct herd_s3_object o = { g->o.bucket, g->one[i].record_key };
	const struct herd_s3_object image = { g->o.bucket, g->one[i].key };
	struct herd_buf text CLEANUP_BUF = HERD_BUF_INIT;
	uint64_t size = 0, bytes = 0;
	int r = herd_s3_size(g->aws, &o, &size, NULL);

	if (!r && (!size || size > RECORD_MAX))
		r = -EBADMSG;
	if (!r)
		r = herd_s3_read(g->aws, &o, 0, (size_t)size, &text, NULL);
	herd_buf_u8(&text, '\0');
	if (!r)
		r = herd_buf_error(&text);
	if (!r)
		r = parse_record(g, (const char *)text.data, &g->c->v[i]);
	if (r == -EEXIST)
		herd_diag_set(&g->c->v[i].diag, r, g->one[i].record_key,
			      HERD_NO_OFFSET, "is of another case or group: "
			      "give another --prefix or --case");
	if (!r)
		r = herd_s3_size(g->aws, &image, &bytes, NULL);
	return r ? r : bytes == g->c->v[i].bytes ? 0 : -ENOENT;
}

int herd_memory_put_record(struct herd_memory_capturing *g, size_t i)
{
	const struct herd_s3_object o = { g->o.bucket, g->one[i].record_key };
	struct herd_buf text CLEANUP_BUF = HERD_BUF_INIT;

	make_record(g, i, &text);
	return text.failed ? -ENOMEM :
	       herd_s3_put(g->aws, &o, text.data, text.len, &g->c->v[i].diag);
}

/* ---- at home ---- */

static char *path_of(const struct herd_memory_capturing *g, size_t i,
		     const char *suffix)
{
	char *path;

	return asprintf(&path, "%s/%s.avml%s", g->o.dir, g->c->v[i].instance,
			suffix) < 0 ? NULL : path;
}

/* -ENOENT: there is none; -EBADMSG: it is damaged; or why it cannot be read. */
static int read_record(struct herd_memory_capturing *g, size_t i,
		       const char *path)
{
	char text[RECORD_MAX + 1];
	FILE *f = fopen(path, "re");
	size_t n;
	int r;

	if (!f)
		return -errno;
	n = fread(text, 1, RECORD_MAX, f);
	text[n] = '\0';
	r = ferror(f) ? -EIO : 0;
	fclose(f);
	return r ? r : parse_record(g, text, &g->c->v[i]);
}

/* An image takes minutes: how far it is is told now and then. */
static void say_progress(const struct herd_memory_capturing *g, size_t i,
			 uint64_t done, time_t *last)
{
	const struct herd_memory_captured *m = &g->c->v[i];

	if (time(NULL) - *last < PROGRESS_SECONDS)
		return;
	*last = time(NULL);
	herd_memory_say(g, "%s: %llu of %llu bytes checked", m->instance,
			(unsigned long long)done, (unsigned long long)m->bytes);
}

static int hash_file(const struct herd_memory_capturing *g, size_t i,
		     const char *path, uint8_t ret[32])
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC);
	CLEANUP_FREE char *range = malloc(RANGE);
	struct herd_sha256 *h = herd_sha256_create();
	int r = fd < 0 ? -errno : range && h ? 0 : -ENOMEM;
	time_t last = time(NULL);
	uint64_t done = 0;

	while (!r) {
		ssize_t n = read(fd, range, RANGE);

		if (!n)
			break;
		if (n > 0)
			herd_sha256_update(h, range, (size_t)n);
		else if (errno != EINTR)
			r = -errno;
		done += n > 0 ? (uint64_t)n : 0;
		say_progress(g, i, done, &last);
	}
	if (!r)
		herd_sha256_final(h, ret);
	herd_sha256_destroy(h);
	return r;
}

/* Whether the image is as large as its record tells. */
static int check_size(const struct herd_memory_captured *m, const char *path)
{
	struct stat st;

	if (stat(path, &st))
		return -errno;
	return S_ISREG(st.st_mode) && (uint64_t)st.st_size == m->bytes ?
		       0 : -EBADMSG;
}

/* And the one of which it tells: reads all of it. */
static int check_image(const struct herd_memory_capturing *g, size_t i,
		       const char *path)
{
	const struct herd_memory_captured *m = &g->c->v[i];
	uint8_t digest[32];
	int r = check_size(m, path);

	if (r)
		return r;
	herd_memory_say(g, "%s: the image that is there is checked, %llu bytes",
			m->instance, (unsigned long long)m->bytes);
	r = hash_file(g, i, path, digest);
	return r ? r : memcmp(digest, m->sha256, sizeof(digest)) ? -EBADMSG : 0;
}

static int say_home(struct herd_memory_captured *m, int r, const char *image)
{
	return r == -EBADMSG ?
		       herd_diag_set(&m->diag, r, image, HERD_NO_OFFSET,
				     "is not the image of the record beside it "
				     "(size or SHA-256): move both away") :
		       herd_diag_set(&m->diag, r, image, HERD_NO_OFFSET, "%s",
				     strerror(-r));
}

/* What is there without a record that can be read. */
static int without_record(struct herd_memory_capturing *g, size_t i,
			  const char *image, int r)
{
	struct stat st;

	if (lstat(image, &st))
		return errno == ENOENT ? -ENOENT :
					 say_home(&g->c->v[i], -errno, image);
	if (r == -ENOENT) {	/* S3's may be of it */
		g->one[i].alone = true;
		return r;
	}
	return herd_diag_set(&g->c->v[i].diag, r, image, HERD_NO_OFFSET,
			     "is there, and the record beside it cannot be "
			     "read (%s): move both away",
			     r == -EBADMSG ? "it is damaged" : strerror(-r));
}

/*
 * What lies there and is not what is wanted may be evidence: it is not written
 * over, and not taken for it either.
 */
int herd_memory_at_home(struct herd_memory_capturing *g, size_t i)
{
	struct herd_memory_captured *m = &g->c->v[i];
	CLEANUP_FREE char *image = path_of(g, i, "");
	CLEANUP_FREE char *record = path_of(g, i, ".json");
	int r = image && record ? read_record(g, i, record) : -ENOMEM;

	if (r == -ENOMEM)
		return r;
	if (r == -EEXIST)
		return herd_diag_set(&m->diag, r, image, HERD_NO_OFFSET,
				     "is of another case or group: give another "
				     "folder by --to");
	if (r)
		return without_record(g, i, image, r);
	r = check_size(m, image);
	if (!r && g->o.dry_run)	/* which is to be quick */
		m->path = TAKE_PTR(image);
	return !r || r == -ENOENT ? r : say_home(m, r, image);
}

int herd_memory_check_home(struct herd_memory_capturing *g, size_t i)
{
	struct herd_memory_captured *m = &g->c->v[i];
	CLEANUP_FREE char *image = path_of(g, i, "");
	int r = image ? check_image(g, i, image) : -ENOMEM;

	if (r == -ENOMEM)
		return r;
	if (r)
		return say_home(m, r, image);
	m->path = TAKE_PTR(image);
	return 0;
}

static int write_all(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy(struct herd_memory_capturing *g, size_t i, int fd,
		uint8_t ret[32])
{
	struct herd_memory_captured *m = &g->c->v[i];
	const struct herd_s3_object o = { g->o.bucket, g->one[i].key };
	struct herd_sha256 *h = herd_sha256_create();
	struct herd_buf range CLEANUP_BUF = HERD_BUF_INIT;
	int r = h ? 0 : -ENOMEM;

	for (uint64_t off = 0; off < m->bytes && !r;) {
		uint64_t left = m->bytes - off;
		size_t n = left < RANGE ? (size_t)left : RANGE;

		range.len = 0;
		r = herd_s3_read(g->aws, &o, off, n, &range, &m->diag);
		if (!r)
			r = write_all(fd, range.data, n);
		if (!r)
			herd_sha256_update(h, range.data, n);
		off += n;
	}
	if (!r)
		herd_sha256_final(h, ret);
	herd_sha256_destroy(h);
	return r;
}

static int write_record(struct herd_memory_capturing *g, size_t i)
{
	struct herd_buf text CLEANUP_BUF = HERD_BUF_INIT;
	CLEANUP_FREE char *path = path_of(g, i, ".json");
	CLEANUP_FD int fd = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC |
					O_CLOEXEC, 0600) : -1;
	int r = path ? fd < 0 ? -errno : 0 : -ENOMEM;

	make_record(g, i, &text);
	if (!r)
		r = herd_buf_error(&text);
	if (!r)
		r = write_all(fd, text.data, text.len);
	return r || !fsync(fd) ? r : -errno;
}

/* Nothing is written over. Not every file system can tell in one step. */
static int put_in_place(const char *part, const char *path)
{
	struct stat st;

	if (!renameat2(AT_FDCWD, part, AT_FDCWD, path, RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (!lstat(path, &st))
		return -EEXIST;
	return rename(part, path) ? -errno : 0;
}

/* Its name is the image's only when it is whole. */
static int land(struct herd_memory_capturing *g, size_t i, const char *part,
		const char *path)
{
	struct herd_memory_captured *m = &g->c->v[i];
	CLEANUP_FD int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC |
				 O_NOFOLLOW, 0600);
	uint8_t digest[32];
	int r = fd < 0 ? -errno : copy(g, i, fd, digest);

	if (!r && memcmp(digest, m->sha256, sizeof(digest)) != 0)
		r = herd_diag_set(&m->diag, -EBADMSG, g->one[i].key,
				  HERD_NO_OFFSET, "its SHA-256 is not the one "
				  "that was taken on the instance");
	if (!r && fsync(fd))
		r = -errno;
	if (!r)
		r = write_record(g, i);
	return r ? r : put_in_place(part, path);
}

/* An image that lies there without a record: it is that very one, or stays. */
static int take_what_is_there(struct herd_memory_capturing *g, size_t i,
			      const char *path)
{
	int r = check_image(g, i, path);

	if (r == -EBADMSG)
		return herd_diag_set(&g->c->v[i].diag, -EEXIST, path,
				     HERD_NO_OFFSET, "is another image than "
				     "s3://%s/%s, and has no record: move it "
				     "away", g->o.bucket, g->one[i].key);
	return r ? r : write_record(g, i);
}

int herd_memory_bring_home(struct herd_memory_capturing *g, size_t i)
{
	struct herd_memory_captured *m = &g->c->v[i];
	CLEANUP_FREE char *path = path_of(g, i, "");
	CLEANUP_FREE char *part = path_of(g, i, ".part");
	int r = path && part ? 0 : -ENOMEM;

	if (!r && mkdir(g->o.dir, 0700) && errno != EEXIST)
		r = -errno;
	if (!r)
		r = g->one[i].alone ? take_what_is_there(g, i, path) :
				      land(g, i, part, path);
	if (r) {
		if (part && !g->one[i].alone)
			unlink(part);
		return herd_diag_set(&m->diag, r, path ? path : g->o.dir,
				     HERD_NO_OFFSET, "%s", strerror(-r));
	}
	m->path = TAKE_PTR(path);
	herd_memory_say(g, "%s: at %s", m->instance, m->path);
	return 0;
}
