/* SPDX-License-Identifier: Apache-2.0 */
/* See memory_doubts.h. */
#include "index/memory_doubts.h"

#include "acquire/base/buf.h"
#include "acquire/base/cleanup.h"
#include "index/identity.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Fewer pages say nothing of whose disk it is. */
#define PAGES_LEAST 64u

static bool same_bytes(const struct herd_image *a, const struct herd_image *b)
{
	if (strcmp(a->format, b->format) || a->n_files != b->n_files)
		return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (a->files[i].size != b->files[i].size ||
		    memcmp(a->files[i].ends, b->files[i].ends,
			   sizeof(a->files[i].ends)))
			return false;
	return true;
}

bool herd_memory_same_image(const struct herd_image *a,
			    const struct herd_image *b)
{
	if (!same_bytes(a, b))
		return false;
	for (size_t i = 0; i < a->n_files; i++)
		if (a->files[i].mtime_sec != b->files[i].mtime_sec ||
		    a->files[i].mtime_nsec != b->files[i].mtime_nsec)
			return false;
	return true;
}

/* ---- the same image twice ---- */

struct look {
	const struct herd_memory_doubts *d;
	bool (*same)(const struct herd_image *a, const struct herd_image *b);
	char name[HERD_INSTANCE_NAME_MAX + 1];	/* who has it */
};

static int look_at(void *arg, const struct herd_instance *i)
{
	struct look *l = arg;
	struct herd_stored_memory m;
	int err = i->id == l->d->instance->id ? -ENOENT :
		  herd_memory_get(l->d->txn, i->id, &m);

	if (err)
		return err == -ENOENT ? 0 : err;
	if (l->same(&m.image, l->d->attach->image))
		snprintf(l->name, sizeof(l->name), "%s", i->name);
	herd_stored_memory_deinit(&m);
	return l->name[0] != '\0';
}

static int find_same(struct look *l)
{
	int err = herd_instance_each(l->d->txn, l->d->instance->group, look_at,
				     l);

	return err < 0 ? err : 0;
}

int herd_memory_check_image(const struct herd_memory_doubts *d,
			    struct herd_diag *diag)
{
	struct look l = { .d = d, .same = herd_memory_same_image };
	int err = find_same(&l);

	return err || !l.name[0] ? err :
	       herd_diag_set(diag, -EEXIST, NULL, HERD_NO_OFFSET,
			     "this image is the memory of %s already", l.name);
}

/* ---- whose host name it is ---- */

enum likeness {
	OTHER,
	SAME_HOST,	/* one with its domain and the other without */
	SAME,
};

static enum likeness compare(const char *a, size_t n, const char *b, size_t room)
{
	size_t m = strnlen(b, room);
	size_t least = n < m ? n : m;

	if (!least || memcmp(a, b, least))
		return OTHER;
	if (n == m)
		return SAME;
	return (n > m ? a : b)[least] == '.' ? SAME_HOST : OTHER;
}

static int liken(struct herd_txn *t, uint32_t instance, const char *name,
		 enum likeness *ret)
{
	struct herd_identity *id = NULL;
	const void *bytes;
	size_t len;
	int err = herd_tokens_get(t, instance, &bytes, &len);

	*ret = OTHER;
	if (!err)
		err = herd_identity_decode(bytes, len, &id);
	for (size_t i = 0; !err && i < herd_identity_count(id); i++) {
		enum herd_token_kind kind;
		enum likeness as = OTHER;

		/* a host name that is the instance's id, too, is of that kind */
		if (herd_identity_token(id, i, &kind, &bytes, &len) &&
		    kind <= HERD_TOKEN_DNS)
			as = compare(name, strlen(name), bytes, len);
		*ret = as > *ret ? as : *ret;
	}
	herd_identity_destroy(id);
	return err == -ENOMEM ? err : 0;
}

struct owner {
	struct herd_txn *txn;
	const char *name;
	enum likeness likeness;	/* of who's and, first, of its own */
	char who[HERD_INSTANCE_NAME_MAX + 1];
};

static int look_for_name(void *arg, uint32_t id, uint32_t group,
			 enum herd_role role, const char *name)
{
	struct owner *o = arg;
	enum likeness as;
	int err = liken(o->txn, id, o->name, &as);

	(void)group;
	(void)role;
	if (err || as <= o->likeness)
		return err;
	o->likeness = as;
	snprintf(o->who, sizeof(o->who), "%s", name);
	return as == SAME;
}

/* Who else's disks know the host name of this memory better than its own;
   "": nobody's. */
static int find_owner(const struct herd_memory_doubts *d, struct owner *o)
{
	int err = liken(d->txn, d->instance->id, o->name, &o->likeness);

	if (!err)
		err = herd_instance_each_name(d->txn, d->instance->group,
					      look_for_name, o);
	return err < 0 ? err : 0;
}

/* ---- all of it ---- */

struct found {
	struct herd_machine *m;
	size_t n;
	int err;
};

static void add(struct found *f, const char *where, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void add(struct found *f, const char *where, const char *fmt, ...)
{
	char text[700];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!f->err)
		f->err = herd_machine_problem_at(f->m, f->n++, where, text, 1);
}

static void doubt_whole(const struct herd_memory_doubts *d, struct found *f)
{
	const char *warning = herd_memory_notes(d->attach->source)->warning;
	uint64_t end = herd_kernel_memory_end(d->kernel);
	int failed = herd_phys_failed(herd_kernel_phys(d->kernel));

	if (warning)
		add(f, "the image", "%s", warning);
	if (end)
		add(f, "the image", "it ends at %#" PRIx64 ", and the machine's "
		    "memory at %#" PRIx64 ": what is above is missing",
		    d->attach->source->size, end);
	if (failed)
		add(f, "the image", "reading it failed (%s): what was there "
		    "counts as missing", strerror(-failed));
}

static void doubt_owner(const struct herd_memory_doubts *d, struct found *f)
{
	struct look l = { .d = d, .same = same_bytes };
	struct owner o = { .txn = d->txn, .name = f->m->hostname };

	if (!f->err)
		f->err = find_owner(d, &o);
	if (o.who[0])
		add(f, "the image", "its host name is %s, which the disks of %s "
		    "have, rather than its own: it may be the memory of that one",
		    f->m->hostname, o.who);
	if (!f->err)
		f->err = find_same(&l);
	if (l.name[0])
		add(f, "the image", "it has the size, and at both ends the bytes, "
		    "of the memory of %s: it may be a copy of that", l.name);
}

static void doubt_disks(const struct herd_memory_doubts *d, struct found *f)
{
	const struct herd_pages_summary *p = d->pages;

	if (!p->pages && f->m->n_processes)
		add(f, "page cache", "nothing of any program was found in it: "
		    "programs in memory were not compared with the disks");
	else if (d->attach->no_disk)
		add(f, "the disks", "programs in memory were not compared with "
		    "them, for they were not to be had: %s", d->attach->no_disk);
	else if (p->errors)
		add(f, "the disks", "some of the pages of programs could not be "
		    "read from them");
	else if (p->of_disks >= PAGES_LEAST &&
		 p->of_disks_compared < p->of_disks / 2)
		add(f, "the disks", "only %" PRIu64 " of %" PRIu64 " pages of "
		    "programs are of files that they have: they may be another "
		    "instance's", p->of_disks_compared, p->of_disks);
}

int herd_memory_doubt(const struct herd_memory_doubts *d, struct herd_machine *m,
		      char *ret_first, size_t room)
{
	struct found f = { .m = m };

	doubt_owner(d, &f);
	doubt_whole(d, &f);
	doubt_disks(d, &f);
	if (f.err)
		return f.err;
	snprintf(ret_first, room, "%s%s%s", f.n ? m->problems[0].where : "",
		 f.n ? ": " : "", f.n ? m->problems[0].text : "");
	herd_text_clean(ret_first);
	return 0;
}
