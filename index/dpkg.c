/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names and paths go into one buffer and are referred to by offset until all
 * is there; then packages are sorted by name, paths by their bytes.
 */
#include "index/dpkg_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int herd_dpkg_create(bool merged, struct herd_dpkg **ret)
{
	struct herd_dpkg *d = calloc(1, sizeof(*d));

	if (!d)
		return -ENOMEM;
	d->merged = merged;
	*ret = d;
	return 0;
}

void herd_dpkg_destroy(struct herd_dpkg *d)
{
	if (!d)
		return;
	herd_buf_deinit(&d->text);
	free(d->packages);
	free(d->by_name);
	free(d->paths);
	free(d);
}

/* ---- pieces of text ---- */

/* The next line without its end; false at the end of the text. */
static bool next_line(struct herd_dpkg_piece *text, struct herd_dpkg_piece *ret)
{
	const char *end;

	if (!text->n)
		return false;
	end = memchr(text->p, '\n', text->n);
	ret->p = text->p;
	ret->n = end ? (size_t)(end - text->p) : text->n;
	text->p += ret->n + (end != NULL);
	text->n -= ret->n + (end != NULL);
	if (ret->n && ret->p[ret->n - 1] == '\r')
		ret->n--;
	return true;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct herd_dpkg_piece trim(struct herd_dpkg_piece s)
{
	while (s.n && blank(*s.p)) {
		s.p++;
		s.n--;
	}
	while (s.n && blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Takes the last word off. */
static struct herd_dpkg_piece last_word(struct herd_dpkg_piece *s)
{
	struct herd_dpkg_piece w;

	*s = trim(*s);
	if (!s->n)
		return *s;
	w.p = s->p + s->n;
	w.n = 0;
	while (s->n && !blank(s->p[s->n - 1])) {
		s->n--;
		w.p--;
		w.n++;
	}
	*s = trim(*s);
	return w;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_md5(struct herd_dpkg_piece s, uint8_t md5[16])
{
	if (s.n != 32)
		return false;
	for (size_t i = 0; i < 16; i++) {
		int hi = nibble(s.p[2 * i]), lo = nibble(s.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		md5[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

/* ---- paths ---- */

static int put_text(struct herd_dpkg *d, struct herd_dpkg_piece s,
		    uint32_t *ret)
{
	if (d->text.len + s.n + 8 > HERD_DPKG_TEXT_MAX)
		return -EOVERFLOW;
	*ret = (uint32_t)d->text.len;
	herd_buf_put(&d->text, s.p, s.n);
	herd_buf_u8(&d->text, 0);
	return herd_buf_error(&d->text);
}

static int add_path(struct herd_dpkg *d, uint32_t package,
		    struct herd_dpkg_piece path, const uint8_t *md5,
		    bool conffile)
{
	struct herd_dpkg_owned *o;
	bool usr;
	int err;

	path = herd_dpkg_clean(d->merged, path, &usr);
	if (!path.n) {
		d->skipped++;
		return 0;
	}
	if (d->n_paths == HERD_DPKG_PATHS_MAX)
		return -EOVERFLOW;
	if (d->n_paths == d->cap_paths) {
		size_t cap = d->cap_paths ? d->cap_paths * 2 : 256;
		struct herd_dpkg_owned *v =
			reallocarray(d->paths, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->paths = v;
		d->cap_paths = cap;
	}
	o = &d->paths[d->n_paths];
	*o = (struct herd_dpkg_owned){ .package = package,
				       .conffile = conffile,
				       .has_md5 = md5 != NULL,
				       .len = (uint16_t)(path.n + 4 * usr) };
	if (md5)
		memcpy(o->md5, md5, sizeof(o->md5));
	o->path = (uint32_t)d->text.len;
	if (usr)
		herd_buf_put(&d->text, "usr/", 4);
	uint32_t rest;

	err = put_text(d, path, &rest);
	d->n_paths += !err;
	return err;
}

/* ---- status ---- */

/* A record of status, as far as it was read. */
struct stanza {
	struct herd_dpkg_piece name, arch, version, status;
	struct herd_dpkg_piece conffiles; /* its lines, from the first */
};

static void take_field(struct stanza *s, struct herd_dpkg_piece line)
{
	static const char *const names[] = { "Package", "Architecture",
					     "Version", "Status" };
	struct herd_dpkg_piece *const to[] = { &s->name, &s->arch, &s->version,
					       &s->status };
	const char *colon = memchr(line.p, ':', line.n);
	size_t n = colon ? (size_t)(colon - line.p) : 0;
	struct herd_dpkg_piece value = { line.p + n + 1,
					 colon ? line.n - n - 1 : 0 };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (n == strlen(names[i]) && !strncasecmp(line.p, names[i], n))
			*to[i] = trim(value);
}

static bool is_conffiles(struct herd_dpkg_piece line)
{
	return line.n >= 10 && !strncasecmp(line.p, "Conffiles:", 10);
}

static bool name_sound(struct herd_dpkg_piece s)
{
	return s.n && s.n <= 255 && !memchr(s.p, 0, s.n) &&
	       !memchr(s.p, '/', s.n) && !memchr(s.p, ':', s.n);
}

/* " /etc/adduser.conf cc34…" with "obsolete" or another word behind. */
static int add_conffiles(struct herd_dpkg *d, uint32_t package,
			 struct herd_dpkg_piece lines)
{
	struct herd_dpkg_piece line;
	int err = 0;

	while (!err && next_line(&lines, &line) && line.n && blank(*line.p)) {
		struct herd_dpkg_piece word = last_word(&line);
		uint8_t md5[16];

		while (line.n && (herd_dpkg_is(word, "obsolete") ||
				  herd_dpkg_is(word, "remove-on-upgrade")))
			word = last_word(&line);
		if (parse_md5(word, md5))
			err = add_path(d, package, line, md5, true);
		else if (!herd_dpkg_is(word, "newconffile"))
			d->skipped++;
	}
	return err;
}

static int add_package(struct herd_dpkg *d, const struct stanza *s)
{
	struct herd_dpkg_piece status = s->status, state = last_word(&status);
	struct herd_dpkg_package p = {
		.installed = !herd_dpkg_is(state, "not-installed") &&
			     !herd_dpkg_is(state, "config-files"),
	};
	int err;

	if (!s->name.n && !s->version.n)
		return 0;
	if (!name_sound(s->name) || !name_sound(s->arch) || !s->version.n ||
	    s->version.n > 255 || memchr(s->version.p, 0, s->version.n)) {
		d->skipped++;
		return 0;
	}
	if (d->n_packages == HERD_DPKG_PACKAGES_MAX)
		return -EOVERFLOW;
	if (d->n_packages == d->cap_packages) {
		size_t cap = d->cap_packages ? d->cap_packages * 2 : 64;
		struct herd_dpkg_package *v =
			reallocarray(d->packages, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->packages = v;
		d->cap_packages = cap;
	}
	err = put_text(d, s->name, &p.name);
	if (!err)
		err = put_text(d, s->arch, &p.arch);
	if (!err)
		err = put_text(d, s->version, &p.version);
	if (err)
		return err;
	d->packages[d->n_packages++] = p;
	return p.installed ? add_conffiles(d, (uint32_t)d->n_packages - 1,
					   s->conffiles) :
			     0;
}

static int compare_package(const void *a, const void *b, void *arg)
{
	const struct herd_dpkg *d = arg;
	uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
	const struct herd_dpkg_package *x = &d->packages[i],
				       *y = &d->packages[k];
	int r = strcmp(herd_dpkg_text(d, x->name), herd_dpkg_text(d, y->name));

	if (!r)
		r = strcmp(herd_dpkg_text(d, x->arch),
			   herd_dpkg_text(d, y->arch));
	return r ? r : i < k ? -1 : i > k;
}

/* Of one that stands there twice the first counts. */
static int sort_packages(struct herd_dpkg *d)
{
	d->by_name = calloc(d->n_packages + 1, sizeof(*d->by_name));
	if (!d->by_name)
		return -ENOMEM;
	for (uint32_t i = 0; i < d->n_packages; i++)
		d->by_name[i] = i;
	qsort_r(d->by_name, d->n_packages, sizeof(*d->by_name), compare_package,
		d);
	for (size_t i = 0; i < d->n_packages; i++) {
		struct herd_dpkg_package *p = &d->packages[d->by_name[i]];
		const struct herd_dpkg_package *last =
			!d->n_by_name ?
				NULL :
				&d->packages[d->by_name[d->n_by_name - 1]];

		if (last &&
		    !strcmp(herd_dpkg_text(d, last->name),
			    herd_dpkg_text(d, p->name)) &&
		    !strcmp(herd_dpkg_text(d, last->arch),
			    herd_dpkg_text(d, p->arch))) {
			p->installed = false;
			d->skipped++;
		} else {
			d->by_name[d->n_by_name++] = d->by_name[i];
		}
	}
	return 0;
}

int herd_dpkg_add_status(struct herd_dpkg *d, const char *text, size_t len)
{
	struct herd_dpkg_piece left = { text, len }, line;
	struct stanza s = { 0 };
	int err = 0;

	if (d->by_name || d->sealed)
		return -EINVAL;
	while (!err && next_line(&left, &line)) {
		if (!trim(line).n) {
			err = add_package(d, &s);
			s = (struct stanza){ 0 };
		} else if (is_conffiles(line)) {
			s.conffiles = left;
		} else if (!blank(*line.p)) {
			take_field(&s, line);
		}
	}
	if (!err)
		err = add_package(d, &s);
	return err ? err : sort_packages(d);
}

/* ---- info ---- */

enum info { INFO_OTHER, INFO_MD5SUMS, INFO_LIST };

/* "libc6:amd64.md5sums" in its parts. */
static enum info split_name(const char *file, struct herd_dpkg_piece *ret_name,
			    struct herd_dpkg_piece *ret_arch)
{
	struct herd_dpkg_piece s = herd_dpkg_piece_of(file);
	const char *dot = memrchr(s.p, '.', s.n), *colon;
	enum info kind;

	if (!dot)
		return INFO_OTHER;
	kind = !strcmp(dot, ".md5sums") ? INFO_MD5SUMS :
	       !strcmp(dot, ".list")	? INFO_LIST :
					  INFO_OTHER;
	s.n = (size_t)(dot - s.p);
	colon = memchr(s.p, ':', s.n);
	*ret_name = s;
	*ret_arch = (struct herd_dpkg_piece){ "", 0 };
	if (colon) {
		ret_name->n = (size_t)(colon - s.p);
		*ret_arch = (struct herd_dpkg_piece){ colon + 1,
						      s.n - ret_name->n - 1 };
	}
	return ret_name->n ? kind : INFO_OTHER;
}

bool herd_dpkg_changed(const struct herd_dpkg *d, const struct herd_dpkg *other,
		       const char *name)
{
	struct herd_dpkg_piece package, arch;
	uint32_t p, o;

	if (split_name(name, &package, &arch) == INFO_OTHER)
		return false;
	p = herd_dpkg_package_find(d, package, arch);
	if (p == UINT32_MAX)
		return false;
	o = herd_dpkg_package_find(
		other, package,
		herd_dpkg_piece_of(herd_dpkg_text(d, d->packages[p].arch)));
	return o == UINT32_MAX ||
	       strcmp(herd_dpkg_text(d, d->packages[p].version),
		      herd_dpkg_text(other, other->packages[o].version)) != 0;
}

int herd_dpkg_add_info(struct herd_dpkg *d, const char *name, const char *text,
		       size_t len)
{
	struct herd_dpkg_piece package, arch, left = { text, len }, line;
	enum info kind = split_name(name, &package, &arch);
	uint32_t p;
	int err = 0;

	if (!d->by_name || d->sealed)
		return -EINVAL;
	if (kind == INFO_OTHER)
		return 0;
	p = herd_dpkg_package_find(d, package, arch);
	if (p == UINT32_MAX)
		return 0;
	while (!err && next_line(&left, &line)) {
		struct herd_dpkg_piece sum = { line.p,
					       line.n < 32 ? line.n : 32 };
		uint8_t md5[16];

		if (kind == INFO_LIST) {
			if (line.n && !herd_dpkg_is(line, "/."))
				err = add_path(d, p, line, NULL, false);
		} else if (line.n > 34 && line.p[32] == ' ' &&
			   (line.p[33] == ' ' || line.p[33] == '*') &&
			   parse_md5(sum, md5)) {
			line.p += 34;
			line.n -= 34;
			err = add_path(d, p, line, md5, false);
		} else {
			d->skipped++;
		}
	}
	return err;
}
