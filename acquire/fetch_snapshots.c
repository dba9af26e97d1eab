/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Snapshots as the fetcher knows them: which blocks each has, and which of
 * them are those of another one. Both are kept in the cache, so that what was
 * fetched once can be read without the network.
 *
 * Threads: as acquire/fetch_internal.h says.
 */
#include "acquire/fetch_internal.h"

#include <string.h>
#include <time.h>

#define SNAPSHOTS_MAX 65536u
#define RELIST_MAX 8u
/* Tokens that end sooner than this are not begun with any more. */
#define TOKEN_SLACK 60

/* What a callback needs; the fetch outlives it. */
struct asked {
	struct herd_fetch *f;
	size_t snapshot;
};

size_t herd_fetch_add(struct herd_fetch *f)
{
	struct herd_fetch_snapshot **v, *s;

	if (f->n_snapshots == SNAPSHOTS_MAX)
		return HERD_FETCH_NONE;
	v = reallocarray(f->snapshots, f->n_snapshots + 1, sizeof(*v));
	if (!v)
		return HERD_FETCH_NONE;
	f->snapshots = v;
	s = calloc(1, sizeof(*s));
	if (!s)
		return HERD_FETCH_NONE;
	s->base.snapshot = HERD_FETCH_NONE;
	herd_diag_clear(&s->diag);
	v[f->n_snapshots] = s;
	return f->n_snapshots++;
}

size_t herd_fetch_snapshot(struct herd_fetch *f, const char *name)
{
	size_t at;

	for (size_t i = 0; i < f->n_snapshots; i++)
		if (!strcmp(f->snapshots[i]->name, name))
			return i;
	if (!*name || strlen(name) > HERD_SNAPSHOT_NAME_MAX)
		return HERD_FETCH_NONE;
	at = herd_fetch_add(f);
	if (at != HERD_FETCH_NONE)
		strcpy(f->snapshots[at]->name, name);
	return at;
}

void herd_fetch_snapshots_deinit(struct herd_fetch *f)
{
	for (size_t i = 0; i < f->n_snapshots; i++) {
		herd_block_list_deinit(&f->snapshots[i]->list);
		free(f->snapshots[i]->base.changed);
		free(f->snapshots[i]->object);
		free(f->snapshots[i]);
	}
	free(f->snapshots);
}

/* ---- the network ---- */

static int64_t wall_clock(void)
{
	return (int64_t)time(NULL);
}

int herd_fetch_online(struct herd_fetch *f, struct herd_diag *diag)
{
	struct herd_http_options http = { 0 };
	int err = 0;

	if (f->aws)
		return 0;
	if (f->options->offline)
		return herd_diag_set(diag, -ENETDOWN, "", HERD_NO_OFFSET,
				     "is not in the cache, and AWS is not asked (offline)");
	if (!f->settings)
		err = herd_aws_settings_load(&f->options->aws, &f->settings,
					     diag);
	if (!err) {
		http.ca_bundle = herd_aws_ca_bundle(f->settings);
		if (!f->http)
			err = herd_http_create(&http, &f->http, diag);
	}
	if (!err && !f->credentials)
		err = herd_aws_credentials_create(f->settings, f->http,
						  wall_clock, &f->credentials);
	if (!err) {
		const struct herd_aws_config c = {
			.settings = f->settings, .http = f->http,
			.credentials = f->credentials,
			.max_rate = f->options->rate,
		};

		err = herd_aws_create(&c, &f->aws);
	}
	return err;
}

/* ---- listing ---- */

static void set_base(struct herd_fetch *f, struct herd_fetch_snapshot *s,
		     const char *first, uint32_t *changed, size_t n)
{
	free(s->base.changed);
	s->base = (struct herd_fetch_base){ herd_fetch_snapshot(f, first),
					    changed, n };
}

/* Whose blocks it has but for some, an earlier fetcher may have found out. */
static void remember_base(struct herd_fetch *f, size_t snapshot)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	char first[HERD_SNAPSHOT_NAME_MAX + 2];
	uint32_t *changed = NULL;
	size_t n = 0;

	if (f->cache && s->base.snapshot == HERD_FETCH_NONE &&
	    !herd_block_cache_find_changed(f->cache, s->name, first) &&
	    !herd_block_cache_get_changed(f->cache, first, s->name, &changed,
					  &n, NULL))
		set_base(f, s, first, changed, n);
}

static void list_came(void *arg, struct herd_ebs_listed *l)
{
	struct asked *a = arg;
	struct herd_fetch *f = a->f;
	struct herd_fetch_snapshot *s = f->snapshots[a->snapshot];
	size_t snapshot = a->snapshot;

	free(a);
	s->listing = false;
	s->cost.list_calls += l->pages;
	if (l->err) {
		s->cost.failed++;
		s->diag = l->diag;
	} else {
		herd_block_list_deinit(&s->list);
		s->list = l->list;
		l->list = (struct herd_block_list){ 0 };
		s->listed = true;
		s->again = false;
		s->fresh = true;
		f->dead_since = 0;
		if (f->cache)
			herd_block_cache_put_list(f->cache, s->name, &s->list,
						  NULL);
	}
	if (l->err != -ECANCELED)
		herd_fetch_moved(f, snapshot, l->err, &s->diag);
}

static int ask_for_list(struct herd_fetch *f, size_t snapshot,
			struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	struct asked *a;
	int err = herd_fetch_online(f, diag);

	if (err)
		return err;
	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct asked){ f, snapshot };
	err = herd_ebs_list(f->aws, s->name, list_came, a);
	if (err) {
		free(a);
		return err;
	}
	s->listing = true;
	return -EINPROGRESS;
}

int herd_fetch_listed(struct herd_fetch *f, size_t snapshot,
		      struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];

	if (s->object)
		return herd_fetch_object_listed(f, snapshot, diag);
	if (!s->listed && f->cache &&
	    !herd_block_cache_get_list(f->cache, s->name, &s->list, NULL)) {
		s->listed = true;
		remember_base(f, snapshot);
	}
	if (s->listed)
		return 0;
	return s->listing ? -EINPROGRESS : ask_for_list(f, snapshot, diag);
}

int herd_fetch_tokens(struct herd_fetch *f, size_t snapshot,
		      struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];

	if (s->object)	/* credentials are all that it takes */
		return 0;
	if (s->listing)
		return -EINPROGRESS;
	if (!s->again && s->list.tokens &&
	    (s->fresh || s->list.tokens_expire >= (int64_t)time(NULL) +
						      TOKEN_SLACK))
		return 0;
	if (s->refused >= RELIST_MAX) {
		s->refused = 0;	/* whoever asks later may fare better */
		return herd_diag_set(diag, -EKEYEXPIRED, s->name,
				     HERD_NO_OFFSET,
				     "its blocks' tokens are refused again and again");
	}
	return ask_for_list(f, snapshot, diag);
}

static size_t find_index(const uint32_t *v, size_t n, uint32_t index)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (v[mid] < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low < n && v[low] == index ? low : HERD_FETCH_NONE;
}

size_t herd_fetch_place(const struct herd_fetch_snapshot *s, uint32_t index)
{
	return find_index(s->list.indexes, s->list.n, index);
}

/* ---- in what two differ ---- */

bool herd_fetch_is_base(const struct herd_fetch_snapshot *s, uint32_t index)
{
	return s->base.snapshot != HERD_FETCH_NONE &&
	       find_index(s->base.changed, s->base.n_changed, index) ==
		       HERD_FETCH_NONE;
}

static void changes_came(void *arg, struct herd_ebs_listed *l)
{
	struct asked *a = arg;
	struct herd_fetch *f = a->f;
	struct herd_fetch_snapshot *s = f->snapshots[a->snapshot];
	size_t snapshot = a->snapshot;

	free(a);
	s->comparing = false;
	s->cost.list_calls += l->pages;
	s->compare_err = l->err;
	if (l->err) {
		/* that they are not related is an answer */
		s->cost.failed += l->err != -EOPNOTSUPP;
		s->diag = l->diag;
	} else {
		f->dead_since = 0;
		set_base(f, s, s->compared_with, l->list.indexes, l->list.n);
		l->list.indexes = NULL;
		if (f->cache)
			herd_block_cache_put_changed(f->cache, s->compared_with,
						     s->name, s->base.changed,
						     s->base.n_changed, NULL);
		herd_block_list_deinit(&l->list);
	}
	if (l->err != -ECANCELED)
		herd_fetch_moved(f, snapshot, l->err, &s->diag);
}

static int ask_for_changes(struct herd_fetch *f, size_t snapshot,
			   const char *first, struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	struct asked *a;
	int err = herd_fetch_online(f, diag);

	if (err)
		return err;
	a = malloc(sizeof(*a));
	if (!a)
		return -ENOMEM;
	*a = (struct asked){ f, snapshot };
	strcpy(s->compared_with, first);
	err = herd_ebs_list_changed(f->aws, first, s->name, changes_came, a);
	if (err) {
		free(a);
		return err;
	}
	s->comparing = true;
	return -EINPROGRESS;
}

int herd_fetch_changed(struct herd_fetch *f, size_t snapshot, const char *first,
		       struct herd_diag *diag)
{
	struct herd_fetch_snapshot *s = f->snapshots[snapshot];
	uint32_t *changed = NULL;
	size_t n = 0;

	if (s->object)
		return -EOPNOTSUPP;
	if (s->comparing)
		return -EINPROGRESS;
	if (s->base.snapshot != HERD_FETCH_NONE &&
	    !strcmp(f->snapshots[s->base.snapshot]->name, first))
		return 0;
	/* that they have no lineage in common stays so */
	if (s->compare_err == -EOPNOTSUPP && !strcmp(s->compared_with, first)) {
		if (diag)
			*diag = s->diag;
		return -EOPNOTSUPP;
	}
	if (f->cache && !herd_block_cache_get_changed(f->cache, first, s->name,
						      &changed, &n, NULL)) {
		set_base(f, s, first, changed, n);
		return s->base.snapshot == HERD_FETCH_NONE ? -ENOMEM : 0;
	}
	return ask_for_changes(f, snapshot, first, diag);
}
