/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to package lists. */
#include "index/dpkg_internal.h"

#include <errno.h>
#include <stdlib.h>

/* A path has so many owners at the most that are looked at. */
#define OWNERS_MAX 4096u

/* ---- packages ---- */

/* The first in by_name that is not before the name. */
static size_t lower_bound(const struct herd_dpkg *d,
			  struct herd_dpkg_piece name)
{
	size_t lo = 0, hi = d->n_by_name;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const char *s =
			herd_dpkg_text(d, d->packages[d->by_name[mid]].name);
		int r = strncmp(s, name.p, name.n);

		if (r < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

uint32_t herd_dpkg_package_find(const struct herd_dpkg *d,
				struct herd_dpkg_piece name,
				struct herd_dpkg_piece arch)
{
	uint32_t found = UINT32_MAX;

	for (size_t i = lower_bound(d, name); i < d->n_by_name; i++) {
		const struct herd_dpkg_package *p = &d->packages[d->by_name[i]];
		const char *a = herd_dpkg_text(d, p->arch);
		struct herd_dpkg_piece own = {
			herd_dpkg_text(d, p->name),
			strlen(herd_dpkg_text(d, p->name))
		};

		if (own.n < name.n || memcmp(own.p, name.p, name.n))
			break;
		if (own.n != name.n)
			break;
		if (!p->installed)
			continue;
		if (arch.n && herd_dpkg_is(arch, a))
			return d->by_name[i];
		if (found == UINT32_MAX &&
		    (!arch.n || herd_dpkg_is(arch, "all") || !strcmp(a, "all")))
			found = d->by_name[i];
	}
	return found;
}

const char *herd_dpkg_version(const struct herd_dpkg *d, const char *package,
			      const char *arch)
{
	uint32_t p = herd_dpkg_package_find(d, herd_dpkg_piece_of(package),
					    herd_dpkg_piece_of(arch));

	return p == UINT32_MAX ? NULL :
				 herd_dpkg_text(d, d->packages[p].version);
}

int herd_dpkg_each(const struct herd_dpkg *d,
		   int (*fn)(void *arg, const char *package, const char *arch,
			     const char *version),
		   void *arg)
{
	for (size_t i = 0; i < d->n_by_name; i++) {
		const struct herd_dpkg_package *p = &d->packages[d->by_name[i]];
		int err = !p->installed ? 0 :
					  fn(arg, herd_dpkg_text(d, p->name),
					     herd_dpkg_text(d, p->arch),
					     herd_dpkg_text(d, p->version));

		if (err)
			return err;
	}
	return 0;
}

uint64_t herd_dpkg_skipped(const struct herd_dpkg *d)
{
	return d->skipped;
}

/* ---- paths ---- */

/* The folders of / that merged systems have in /usr. */
static bool in_usr(struct herd_dpkg_piece path)
{
	static const char *const folders[] = { "bin",	"sbin",	 "lib",
					       "lib32", "lib64", "libx32",
					       "libo32" };
	const char *slash = path.n ? memchr(path.p, '/', path.n) : NULL;
	struct herd_dpkg_piece first = { path.p,
					 slash ? (size_t)(slash - path.p) : 0 };

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (herd_dpkg_is(first, folders[i]))
			return true;
	return false;
}

struct herd_dpkg_piece herd_dpkg_clean(bool merged, struct herd_dpkg_piece s,
				       bool *ret_usr)
{
	if (s.n >= 2 && s.p[0] == '.' && s.p[1] == '/') {
		s.p++;
		s.n--;
	}
	while (s.n && *s.p == '/') {
		s.p++;
		s.n--;
	}
	while (s.n && s.p[s.n - 1] == '/')
		s.n--;
	if ((s.n == 1 && *s.p == '.') || s.n > HERD_DPKG_PATH_MAX ||
	    (s.n && memchr(s.p, 0, s.n)))
		s.n = 0;
	*ret_usr = merged && in_usr(s);
	return s;
}

static int compare_bytes(const char *a, size_t a_len, const char *b,
			 size_t b_len)
{
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return r ? r : a_len < b_len ? -1 : a_len > b_len;
}

/* By path, package, and those that have an MD5 before those that have none. */
static int compare_owned(const void *a, const void *b, void *arg)
{
	const struct herd_dpkg *d = arg;
	const struct herd_dpkg_owned *x = a, *y = b;
	int r = compare_bytes(herd_dpkg_text(d, x->path), x->len,
			      herd_dpkg_text(d, y->path), y->len);

	if (r)
		return r;
	if (x->package != y->package)
		return x->package < y->package ? -1 : 1;
	if (x->has_md5 != y->has_md5)
		return x->has_md5 ? -1 : 1;
	r = memcmp(x->md5, y->md5, sizeof(x->md5));
	return r ? r : y->conffile - x->conffile;
}

int herd_dpkg_seal(struct herd_dpkg *d)
{
	size_t n = 0;

	if (!d->by_name || d->sealed)
		return -EINVAL;
	if (d->n_paths)
		qsort_r(d->paths, d->n_paths, sizeof(*d->paths), compare_owned,
			d);
	for (size_t i = 0; i < d->n_paths; i++) {
		const struct herd_dpkg_owned *o = &d->paths[i];
		const struct herd_dpkg_owned *last = n ? &d->paths[n - 1] :
							 NULL;

		if (!d->packages[o->package].installed ||
		    (last && last->package == o->package &&
		     (!o->has_md5 ||
		      !memcmp(last->md5, o->md5, sizeof(o->md5))) &&
		     !compare_bytes(herd_dpkg_text(d, last->path), last->len,
				    herd_dpkg_text(d, o->path), o->len)))
			continue;
		d->paths[n++] = *o;
	}
	d->n_paths = n;
	d->sealed = true;
	return 0;
}

/* The first that owns the path; its number, or n_paths. */
static size_t first_owned(const struct herd_dpkg *d,
			  struct herd_dpkg_piece path)
{
	size_t lo = 0, hi = d->n_paths;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_dpkg_owned *o = &d->paths[mid];

		if (compare_bytes(herd_dpkg_text(d, o->path), o->len, path.p,
				  path.n) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The owners of one path. */
struct owners {
	const struct herd_dpkg *d;
	struct herd_dpkg_piece path;
	char merged[HERD_DPKG_PATH_MAX + 4];
	size_t next;
	unsigned seen;
};

static void owners_init(struct owners *w, const struct herd_dpkg *d,
			const char *path, size_t len)
{
	bool usr;

	w->d = d;
	w->seen = 0;
	w->path = herd_dpkg_clean(d->merged,
				  (struct herd_dpkg_piece){ path, len }, &usr);
	if (usr) {
		memcpy(w->merged, "usr/", 4);
		memcpy(w->merged + 4, w->path.p, w->path.n);
		w->path.p = w->merged;
		w->path.n += 4;
	}
	w->next = w->path.n && d->sealed ? first_owned(d, w->path) : d->n_paths;
}

static bool owners_next(struct owners *w, struct herd_dpkg_owner *ret)
{
	const struct herd_dpkg *d = w->d;
	const struct herd_dpkg_owned *o;
	const struct herd_dpkg_package *p;

	if (w->next == d->n_paths || w->seen == OWNERS_MAX)
		return false;
	o = &d->paths[w->next];
	if (compare_bytes(herd_dpkg_text(d, o->path), o->len, w->path.p,
			  w->path.n))
		return false;
	p = &d->packages[o->package];
	*ret = (struct herd_dpkg_owner){ .package = herd_dpkg_text(d, p->name),
					 .arch = herd_dpkg_text(d, p->arch),
					 .version =
						 herd_dpkg_text(d, p->version),
					 .has_md5 = o->has_md5,
					 .conffile = o->conffile };
	memcpy(ret->md5, o->md5, sizeof(ret->md5));
	w->next++;
	w->seen++;
	return true;
}

static bool agrees(const struct herd_dpkg_owner *o, const uint8_t md5[16])
{
	return o->has_md5 && !memcmp(o->md5, md5, sizeof(o->md5));
}

int herd_dpkg_find(const struct herd_dpkg *d, const char *path, size_t len,
		   const uint8_t md5[16], struct herd_dpkg_owner *ret)
{
	struct herd_dpkg_owner o;
	struct owners w;
	bool found = false;

	owners_init(&w, d, path, len);
	while (owners_next(&w, &o)) {
		if (!found || (md5 && agrees(&o, md5)))
			*ret = o;
		found = true;
		if (!md5 || agrees(&o, md5))
			break;
	}
	return found ? 0 : -ENOENT;
}

/* What became of an owner's package on its way from one to the other. */
static enum herd_dpkg_change change(const struct herd_dpkg_owner *o,
				    const struct herd_dpkg *there,
				    enum herd_dpkg_change missing)
{
	const char *v = herd_dpkg_version(there, o->package, o->arch);

	if (!v)
		return missing;
	return strcmp(v, o->version) ? HERD_DPKG_CHANGED :
				       HERD_DPKG_UNEXPLAINED;
}

enum herd_dpkg_change herd_dpkg_explain(const struct herd_dpkg *d,
					const struct herd_dpkg *other,
					const char *path, size_t len,
					const uint8_t md5[16],
					struct herd_dpkg_owner *ret)
{
	struct herd_dpkg_owner o;
	struct owners w;

	owners_init(&w, d, path, len);
	while (owners_next(&w, &o)) {
		enum herd_dpkg_change c;

		if (md5 && !agrees(&o, md5))
			continue;
		c = change(&o, other, HERD_DPKG_INSTALLED);
		if (c == HERD_DPKG_UNEXPLAINED)
			continue;
		*ret = o;
		return c;
	}
	return HERD_DPKG_UNEXPLAINED;
}

/* An owner of the same version here says that it should be here. */
enum herd_dpkg_change herd_dpkg_explain_absent(const struct herd_dpkg *d,
					       const struct herd_dpkg *other,
					       const char *path, size_t len,
					       struct herd_dpkg_owner *ret)
{
	enum herd_dpkg_change all = HERD_DPKG_UNEXPLAINED;
	struct herd_dpkg_owner o;
	struct owners w;

	owners_init(&w, d, path, len);
	if (owners_next(&w, &o))
		return HERD_DPKG_UNEXPLAINED;
	owners_init(&w, other, path, len);
	while (owners_next(&w, &o)) {
		enum herd_dpkg_change c = change(&o, d, HERD_DPKG_REMOVED);

		if (c == HERD_DPKG_UNEXPLAINED)
			return c;
		if (all == HERD_DPKG_UNEXPLAINED) {
			all = c;
			*ret = o;
		}
	}
	return all;
}
