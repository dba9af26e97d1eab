/* SPDX-License-Identifier: Apache-2.0 */
#include "index/examine_internal.h"

#include "acquire/base/cleanup.h"
#include "acquire/base/cursor.h"
#include "acquire/base/sha256.h"
#include "index/content.h"
#include "index/logbook.h"
#include "index/meaning.h"
#include "index/redact.h"

#include <string.h>

#define HEAD_BYTES HERD_CONTENT_HEAD
/* A text of any path is kept up to this size. */
#define KEPT_ANYWAY 4096

/* What goes into a look but for its sketch, which it borrows. */
struct found {
	struct herd_look look;
	struct herd_buf sketch;
	bool text;	/* x->bytes holds all of the content, a small text */
	bool secret;	/* not to be kept: an index gets about more than an image */
};

static void cleanup_identity(struct herd_identity **id)
{
	herd_identity_destroy(*id);
}

/* ---- own tokens ---- */

/* The volume on which a path lies, and the path within it. */
static struct herd_volume *volume_of(struct herd_scan *s, const char *path,
				     const char **ret_path)
{
	struct herd_volume *best = NULL;
	size_t longest = 0;

	path += strspn(path, "/");
	for (size_t i = 0; i < s->n_volumes; i++) {
		const char *mount = s->volumes[i].mount;
		size_t len = strlen(mount);

		if (!s->volumes[i].volume || strncmp(path, mount, len) ||
		    (len && path[len] != '/') || (best && len <= longest))
			continue;
		best = s->volumes[i].volume;
		longest = len;
		*ret_path = path + len;
	}
	return best;
}

int herd_examine_read_own(void *arg, const char *path, size_t max, char **ret,
			  size_t *ret_len)
{
	const char *within = path;
	struct herd_volume *v = volume_of(arg, path, &within);
	int err = v ? herd_volume_read_file(v, within, ret, ret_len) : -ENOENT;

	if (!err && *ret_len > max)
		*ret_len = max;
	return err;
}

static int list_own(void *arg, const char *path, size_t max, char **ret,
		    size_t *ret_len)
{
	const char *within = path;
	struct herd_volume *v = volume_of(arg, path, &within);

	return v ? herd_volume_list_names(v, within, max, ret, ret_len) :
		   -ENOENT;
}

static int own_tokens(struct herd_examiner *x)
{
	const struct herd_attach *a = x->scan->a;
	int err = herd_identity_create(&x->own);

	if (a->no_identity)
		return err ? err : herd_identity_settle(x->own);
	if (!err)
		err = herd_identity_add(x->own, HERD_TOKEN_INSTANCE,
					a->instance, strlen(a->instance));
	for (size_t i = 0; i < a->n_tokens && !err; i++)
		err = herd_identity_add(x->own, a->tokens[i].kind,
					a->tokens[i].text,
					strlen(a->tokens[i].text));
	if (!err)
		err = herd_identity_from_image(x->own, herd_examine_read_own, list_own,
					       x->scan);
	return err ? err : herd_identity_settle(x->own);
}

/* ---- bytes ---- */

static struct herd_source *reference_window(struct herd_examiner *x, uint32_t i)
{
	const struct herd_scan *s = x->scan;
	const struct herd_stored_volume *v;

	if (i >= s->reference.n_volumes || x->no_window[i])
		return NULL;
	v = &s->reference.volumes[i];
	if (!x->windows[i] && v->disk < s->n_reference_disks &&
	    s->reference_disks[v->disk])
		herd_source_window(s->reference_disks[v->disk], "reference",
				   v->start, v->len, &x->windows[i]);
	x->no_window[i] = !x->windows[i];
	return x->windows[i];
}

/* The content of an entry as an inode that has just that. */
static int content_of(const struct herd_entry *e, struct herd_inode *ret)
{
	struct herd_run_iter it;
	size_t n = 0;

	*ret = (struct herd_inode){ .ino = e->ino, .mode = e->mode,
				    .size = e->size, .content = e->content };
	if (e->n_runs) {
		ret->runs = calloc(e->n_runs, sizeof(*ret->runs));
		if (!ret->runs)
			return -ENOMEM;
		herd_entry_runs(e, &it);
		while (n < e->n_runs && herd_entry_run_next(&it, &ret->runs[n]))
			n++;
		ret->n_runs = n;
	}
	if (e->content == HERD_CONTENT_INLINE && e->n_bytes) {
		ret->bytes = malloc(e->n_bytes);
		if (!ret->bytes)
			return -ENOMEM;
		memcpy(ret->bytes, e->bytes, e->n_bytes);
		ret->n_bytes = e->n_bytes;
	}
	return 0;
}

/* The first len bytes into x->bytes. */
int herd_examine_read(struct herd_examiner *x, const struct herd_side *side,
		      size_t len)
{
	CLEANUP(herd_inode_deinit) struct herd_inode inode = { 0 };
	int err = content_of(side->entry, &inode);

	x->bytes.len = 0;
	if (err)
		return err;
	void *to = herd_buf_extend(&x->bytes, len + 1);

	if (!to)
		return -ENOMEM;
	x->bytes.len = len;
	return herd_content_read(side->source, side->volume, &inode, to, len, 0,
				 NULL);
}

/* ---- the reference's tokens ---- */

int herd_examine_read_reference(void *arg, const char *path, size_t max,
				char **ret, size_t *ret_len)
{
	struct herd_examiner *x = arg;
	struct herd_scan *s = x->scan;
	struct herd_entry e;
	uint32_t id;
	int err = herd_path_resolve(s->txn, path, strlen(path), &id);

	if (!err)
		err = herd_entry_get_own(s->txn, s->reference.id, id, &e);
	if (err)
		return err;
	struct herd_side side = { .entry = &e,
			     .source = reference_window(x, e.volume) };
	size_t len = e.size < max ? (size_t)e.size : max;

	if (!side.source || !herd_has_content(&e))
		return -ENOENT;
	err = herd_examine_read(x, &side, len);
	if (err)
		return err;
	*ret = malloc(len + 1);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, x->bytes.data, len);
	(*ret)[len] = '\0';
	*ret_len = len;
	return 0;
}

static int list_reference(void *arg, const char *path, size_t max, char **ret,
			  size_t *ret_len)
{
	const struct herd_scan *s = ((struct herd_examiner *)arg)->scan;
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	const void *ids = NULL;
	size_t n = 0;
	uint32_t id;
	int err = herd_path_resolve(s->txn, path, strlen(path), &id);

	if (!err)
		err = herd_children_get(s->txn, s->reference.id, id, &ids, &n);
	struct herd_cursor c = herd_cursor(ids, n * 4);

	for (size_t i = 0; i < n && !err; i++) {
		uint32_t parent;
		const char *name;
		size_t len;

		err = herd_path_get(s->txn, herd_cur_le32(&c), &parent, &name,
				    &len);
		if (err || len + 1 > max - out.len)
			break;
		herd_buf_put(&out, name, len);
		herd_buf_u8(&out, 0);
	}
	if (err || out.failed)
		return err ? err : -ENOMEM;
	*ret = (char *)TAKE_PTR(out.data);
	*ret_len = out.len;
	return 0;
}

/* What the store kept of them, and again what the image says, for the private
   keys are not in the store. */
static int reference_tokens(struct herd_examiner *x)
{
	CLEANUP(cleanup_identity) struct herd_identity *stored = NULL;
	enum herd_token_kind kind;
	const void *bytes = NULL;
	size_t len = 0;
	int err;

	if (herd_scan_is_reference(x->scan))
		return 0;
	err = herd_tokens_get(x->scan->txn, x->scan->reference.id, &bytes, &len);
	if (!err)
		err = herd_identity_decode(bytes, len, &stored);
	if (err)	/* none: its files are compared as they are */
		return err == -ENOENT ? 0 : err;
	if (x->scan->a->no_identity || !herd_identity_count(stored))
		return 0;
	err = herd_identity_create(&x->ref);
	for (size_t i = 0; !err && herd_identity_token(stored, i, &kind, &bytes,
						       &len); i++)
		err = herd_identity_add(x->ref, kind, bytes, len);
	if (!err)
		err = herd_identity_from_image(x->ref, herd_examine_read_reference,
					       list_reference, x);
	return err ? err : herd_identity_settle(x->ref);
}

/* ---- life ---- */

int herd_examiner_create(struct herd_scan *s, struct herd_examiner **ret)
{
	struct herd_examiner *x = calloc(1, sizeof(*x));
	size_t n = s->reference.n_volumes;

	if (!x)
		return -ENOMEM;
	x->scan = s;
	x->windows = calloc(n + 1, sizeof(*x->windows));
	x->no_window = calloc(n + 1, sizeof(*x->no_window));
	x->rules = herd_rules_create();
	int err = x->windows && x->no_window && x->rules ?
			  herd_rules_parse_builtin(x->rules, NULL) : -ENOMEM;

	if (!err)
		err = own_tokens(x);
	if (!err)
		err = reference_tokens(x);
	if (err)
		herd_examiner_destroy(x);
	else
		*ret = x;
	return err;
}

void herd_examiner_destroy(struct herd_examiner *x)
{
	if (!x)
		return;
	for (size_t i = 0; x->windows && i < x->scan->reference.n_volumes; i++)
		herd_source_destroy(x->windows[i]);
	free(x->windows);
	free(x->no_window);
	herd_rules_destroy(x->rules);
	herd_identity_destroy(x->own);
	herd_identity_destroy(x->ref);
	free(x->lists.v);
	free(x->traces.v);
	herd_buf_deinit(&x->bytes);
	herd_buf_deinit(&x->normal);
	free(x);
}

int herd_examiner_put_tokens(struct herd_examiner *x, struct herd_txn *t,
			     uint32_t instance)
{
	CLEANUP_BUF struct herd_buf b = HERD_BUF_INIT;
	int err = herd_identity_encode(x->own, &b);

	return err ? err : herd_tokens_put(t, instance, b.data, b.len);
}

/* ---- one version ---- */

static int normalise(struct herd_examiner *x, const struct herd_side *side,
		     struct herd_look *look)
{
	x->normal.len = 0;
	if (!side->identity ||
	    !herd_identity_normalise(side->identity, x->bytes.data,
				     x->bytes.len, &x->normal))
		return herd_buf_error(&x->normal);
	look->normal = true;
	herd_sha256(x->normal.data, x->normal.len, look->digest);
	return herd_buf_error(&x->normal);
}

static bool is_text(enum herd_sort sort)
{
	return sort == HERD_SORT_TEXT || sort == HERD_SORT_SCRIPT ||
	       sort == HERD_SORT_KEY;
}

/* When a log begins: its file should have been made then. */
static int sketch(const struct herd_examiner *x, const struct herd_side *side,
		  struct found *f)
{
	int64_t begins;

	if (side->place != HERD_PLACE_STATE ||
	    !herd_log_begins((const char *)x->bytes.data, x->bytes.len,
			     side->entry->mtime.sec, &begins))
		return 0;
	herd_buf_svarint(&f->sketch, begins);
	f->look.sketch = f->sketch.data;
	f->look.n_sketch = f->sketch.len;
	return herd_buf_error(&f->sketch);
}

/* What was never flushed before the disk was copied reads as zeros. */
static bool is_zeros(const struct herd_buf *b)
{
	for (size_t i = 0; i < b->len; i++)
		if (b->data[i])
			return false;
	return true;
}

/*
 * A log that is empty and was written to after it was made. Anybody may set
 * the time of the last writing back; that it was set is in the time of the
 * last change, which is the kernel's.
 */
static bool was_emptied(const struct herd_side *side)
{
	const struct herd_entry *e = side->entry;
	int64_t last = e->mtime.sec > e->ctime.sec ? e->mtime.sec :
						     e->ctime.sec;

	return side->is_log && e->btime.sec &&
	       last > e->btime.sec + HERD_LOG_SLACK;
}

/* All of a small text, and of what may be zeros. */
static bool is_read_whole(const struct herd_side *side, enum herd_sort sort)
{
	return side->entry->size <= HERD_NORMAL_MAX &&
	       (is_text(sort) || sort == HERD_SORT_DATA);
}

static int look_at(struct herd_examiner *x, const struct herd_side *side,
		   struct found *f)
{
	uint64_t size = side->entry->size;
	size_t head = size < HEAD_BYTES ? (size_t)size : HEAD_BYTES;
	bool whole;
	int err;

	if (!side->source)
		return 0;
	err = herd_examine_read(x, side, head);
	if (err)
		return err == -ENOMEM ? err : 0;
	enum herd_sort sort = herd_sort_of(x->bytes.data, head, size);

	whole = is_read_whole(side, sort);
	if (whole && head < size)
		err = herd_examine_read(x, side, (size_t)size);
	if (err)
		return err == -ENOMEM ? err : 0;
	f->look.sort = (uint8_t)(sort + 1);	/* 0: not known */
	if ((sort == HERD_SORT_EMPTY && !was_emptied(side)) ||
	    (sort == HERD_SORT_DATA && whole && !side->is_log &&
	     is_zeros(&x->bytes)))
		f->look.sort = HERD_SORT_NOTHING;
	f->secret = herd_sort_is_secret(sort);
	if (!is_text(sort))
		return 0;
	err = sketch(x, side, f);
	if (err || !whole)
		return err;
	/* a key may stand behind certificates */
	if (herd_holds_key(x->bytes.data, (size_t)size)) {
		f->secret = true;
		if (sort == HERD_SORT_TEXT)
			f->look.sort = HERD_SORT_KEY + 1;
	}
	f->text = true;
	return normalise(x, side, &f->look);
}

/* Where a link leads, without the tokens that are in it. */
static int look_at_link(struct herd_examiner *x, struct herd_txn *t,
			uint32_t path, const struct herd_side *side)
{
	const struct herd_entry *e = side->entry;
	struct herd_look look = { 0 };

	x->normal.len = 0;
	if (side->identity && e->n_bytes &&
	    herd_identity_normalise(side->identity, e->bytes, e->n_bytes,
				    &x->normal)) {
		look.normal = true;
		herd_sha256(x->normal.data, x->normal.len, look.digest);
	}
	return x->normal.failed ? -ENOMEM :
	       herd_look_put(t, side->instance, path, &look);
}

static int examine_side(struct herd_examiner *x, struct herd_txn *t,
			const struct herd_instance *inst, uint32_t path,
			const struct herd_side *side)
{
	struct found f = { .text = false };

	if (S_ISLNK(side->entry->mode))
		return look_at_link(x, t, path, side);
	int err = look_at(x, side, &f);

	if (!err)
		err = herd_look_put(t, side->instance, path, &f.look);
	herd_buf_deinit(&f.sketch);
	if (err || !f.text || f.secret || x->shunned ||
	    side->entry->size > (x->wanted ? HERD_KEPT_MAX : KEPT_ANYWAY))
		return err;
	herd_redact((char *)x->bytes.data, x->bytes.len);
	return herd_kept_put(t, inst->group, side->entry->digest,
			     x->bytes.data, x->bytes.len);
}

/* Fills in what the path's name says. */
static int place_of(struct herd_examiner *x, struct herd_txn *t, uint32_t path,
		    struct herd_side *ret)
{
	CLEANUP_BUF struct herd_buf name = HERD_BUF_INIT;
	int err = herd_path_full(t, path, &name);

	if (err)
		return err;
	ret->place = herd_place_of((const char *)name.data, name.len);
	ret->is_log = herd_place_is_log((const char *)name.data, name.len);
	x->shunned = herd_meaning_shuns(x->rules, (const char *)name.data,
					name.len);
	x->wanted = herd_meaning_wants(x->rules, (const char *)name.data,
				       name.len);
	return herd_examine_meet(x, path, (const char *)name.data, name.len);
}

static bool may_be_looked_at(const struct herd_entry *e)
{
	return herd_has_content(e) ||
	       (!e->absent && S_ISLNK(e->mode) &&
		e->digest_kind == HERD_DIGEST_SHA256);
}

int herd_examine(struct herd_examiner *x, struct herd_txn *t,
		 const struct herd_instance *inst, uint32_t path,
		 const struct herd_entry *own, const struct herd_entry *ref)
{
	struct herd_scan *s = x->scan;
	struct herd_side side = { .source = NULL };
	struct herd_look known;
	int err = place_of(x, t, path, &side);

	if (err)
		return err;
	if (may_be_looked_at(ref)) {
		side.instance = s->reference.id;
		side.entry = ref;
		side.identity = x->ref;
		side.source = reference_window(x, ref->volume);
		err = herd_look_get(t, side.instance, path, &known);
		if (err == -ENOENT)
			err = examine_side(x, t, inst, path, &side);
	}
	if (err || !may_be_looked_at(own) || own->volume >= s->n_volumes ||
	    (may_be_looked_at(ref) && own->size &&
	     !memcmp(own->digest, ref->digest, 32)))
		return err;
	side.instance = inst->id;
	side.entry = own;
	side.identity = x->own;
	side.source = s->volumes[own->volume].source;
	side.volume = s->volumes[own->volume].volume;
	return examine_side(x, t, inst, path, &side);
}
