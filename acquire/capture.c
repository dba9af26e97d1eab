/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps: who is in the group, what each instance has, which snapshots are
 * there already, which have to be made, and waiting for all of them.
 *
 * Threads: as acquire/capture.h says.
 */
#include "acquire/capture.h"

#include "acquire/aws/autoscaling.h"
#include "acquire/aws/ec2.h"
#include "acquire/base/cleanup.h"
#include "acquire/capture_impl.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define WAIT_SECONDS 86400u
#define POLL_FIRST_MS 1000u
#define POLL_MOST_MS 15000u
#define UNSEEN_MAX 8u

static void captured_deinit(struct herd_captured *c)
{
	for (size_t i = 0; i < c->n_tokens; i++)
		free(c->tokens[i].value);
	free(c->tokens);
	free(c->disks);
}

void herd_capture_deinit(struct herd_capture *c)
{
	for (size_t i = 0; i < c->n; i++)
		captured_deinit(&c->v[i]);
	free(c->v);
	captured_deinit(&c->baseline);
	*c = (struct herd_capture){ 0 };
}

void herd_capture_say(const struct herd_capturing *g, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (!g->o->say)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	g->o->say(g->o->arg, line);
}

/* ---- who ---- */

static bool is_wanted(const struct herd_capture_options *o, const char *id)
{
	for (size_t i = 0; i < o->n_instances; i++)
		if (!strcmp(o->instances[i], id))
			return true;
	return !o->n_instances;
}

static int add_member(struct herd_capture *c, const struct herd_asg_instance *i)
{
	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 16;
		struct herd_captured *v = reallocarray(c->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		c->v = v;
		c->cap = cap;
	}
	struct herd_captured *m = &c->v[c->n++];

	*m = (struct herd_captured){ 0 };
	herd_diag_clear(&m->diag);
	memcpy(m->instance, i->id, sizeof(m->instance));
	memcpy(m->lifecycle, i->lifecycle, sizeof(m->lifecycle));
	return 0;
}

static struct herd_captured *find(struct herd_capture *c, const char *id)
{
	for (size_t i = 0; i < c->n; i++)
		if (!strcmp(c->v[i].instance, id))
			return &c->v[i];
	return NULL;
}

/* Whoever is named must be there: a typing error is no smaller herd. */
static int check_names(struct herd_capturing *g)
{
	const struct herd_capture_options *o = g->o;
	const char *missing = NULL;

	for (size_t i = 0; i < o->n_instances; i++)
		if (!find(g->c, o->instances[i]))
			missing = o->instances[i];
	for (size_t i = 0; i < o->n_given; i++)
		if (!find(g->c, o->given[i].instance) &&
		    is_wanted(o, o->given[i].instance))
			missing = o->given[i].instance;
	return !missing ? 0 :
	       herd_diag_set(g->diag, -ENOENT, o->group, HERD_NO_OFFSET,
			     "the group has no instance %s", missing);
}

static int find_members(struct herd_capturing *g)
{
	const struct herd_capture_options *o = g->o;
	int err = herd_asg_list(g->aws, &o->group, 1, &g->groups, g->diag);

	if (!err && !g->groups.n)
		err = herd_diag_set(g->diag, -ENOENT, o->group, HERD_NO_OFFSET,
				    "there is no such Auto Scaling Group in this region");
	if (err)
		return err;
	g->group = &g->groups.v[0];
	for (size_t i = 0; i < g->group->n_instances && !err; i++)
		if (is_wanted(o, g->group->instances[i].id))
			err = add_member(g->c, &g->group->instances[i]);
	if (!err)
		err = check_names(g);
	if (!err && !g->c->n)
		err = herd_diag_set(g->diag, -ENOENT, o->group, HERD_NO_OFFSET,
				    "the group has no instances");
	if (!err)
		herd_capture_say(g, "group %s: %zu instance%s", o->group,
				 g->c->n, g->c->n == 1 ? "" : "s");
	return err;
}

/* ---- what each has ---- */

static int add_token(struct herd_captured *m, const char *kind,
		     const char *value)
{
	struct herd_captured_token *v;

	if (!value[0])
		return 0;
	for (size_t i = 0; i < m->n_tokens; i++)
		if (!strcmp(m->tokens[i].value, value) &&
		    !strcmp(m->tokens[i].kind, kind))
			return 0;
	v = reallocarray(m->tokens, m->n_tokens + 1, sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->tokens = v;
	v[m->n_tokens].kind = kind;
	v[m->n_tokens].value = strdup(value);
	return v[m->n_tokens].value ? (m->n_tokens++, 0) : -ENOMEM;
}

/* "ip-10-0-0-7.eu-central-1.compute.internal": the host's name is its first. */
static int add_host(struct herd_captured *m, const char *dns)
{
	char host[HERD_AWS_DNS_SIZE];

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(dns, "."), dns);
	return add_token(m, "hostname", host) ?: add_token(m, "dns-name", dns);
}

static int add_tokens(struct herd_captured *m, const struct herd_ec2_instance *i)
{
	int err = add_token(m, "instance-id", i->id) ?:
		  add_token(m, "reservation-id", i->reservation) ?:
		  add_token(m, "address", i->private_address) ?:
		  add_token(m, "address", i->public_address) ?:
		  add_token(m, "address", i->ipv6_address) ?:
		  add_host(m, i->private_dns) ?:
		  add_token(m, "dns-name", i->public_dns);

	for (size_t k = 0; k < i->n_disks && !err; k++)
		err = add_token(m, "volume-id", i->disks[k].volume);
	for (size_t k = 0; k < i->n_interfaces && !err; k++) {
		const struct herd_ec2_interface *n = &i->interfaces[k];

		err = add_token(m, "interface-id", n->id) ?:
		      add_token(m, "mac", n->mac) ?:
		      add_token(m, "dns-name", n->private_dns) ?:
		      add_token(m, "dns-name", n->public_dns);
		for (size_t a = 0; a < n->n_addresses && !err; a++)
			err = add_token(m, "address", n->addresses[a].text);
	}
	return err;
}

/* The root's first, the others by their names: so disks keep their places. */
static int compare_disks(const void *a, const void *b)
{
	const struct herd_captured_disk *x = a, *y = b;

	return strcmp(x->device, y->device);
}

static int add_disks(struct herd_captured *m, const struct herd_ec2_instance *i)
{
	struct herd_captured_disk root;

	m->disks = calloc(i->n_disks + 1, sizeof(*m->disks));
	if (!m->disks)
		return -ENOMEM;
	for (size_t k = 0; k < i->n_disks; k++) {
		struct herd_captured_disk *d = &m->disks[m->n_disks++];

		memcpy(d->device, i->disks[k].device, sizeof(d->device));
		memcpy(d->volume, i->disks[k].volume, sizeof(d->volume));
	}
	if (m->n_disks)
		qsort(m->disks, m->n_disks, sizeof(*m->disks), compare_disks);
	for (size_t k = 1; k < m->n_disks; k++) {
		if (strcmp(m->disks[k].device, i->root_device) != 0)
			continue;
		root = m->disks[k];
		memmove(m->disks + 1, m->disks, k * sizeof(*m->disks));
		m->disks[0] = root;
	}
	return 0;
}

static int describe_one(struct herd_captured *m,
			const struct herd_ec2_instance *i)
{
	int err = add_tokens(m, i) ?: add_disks(m, i);

	memcpy(m->state, i->state, sizeof(m->state));
	if (!err && !m->n_disks)
		m->err = herd_diag_set(&m->diag, -ENODATA, m->instance,
				       HERD_NO_OFFSET,
				       "it has no EBS volumes (it is %s)",
				       i->state[0] ? i->state : "of no state");
	return err;
}

static int describe(struct herd_capturing *g)
{
	CLEANUP(herd_ec2_instances_deinit) struct herd_ec2_instances found = { 0 };
	CLEANUP_FREE const char **ids = calloc(g->c->n, sizeof(*ids));
	struct herd_ec2_query q = { .ids = ids, .n_ids = g->c->n };
	int err = ids ? 0 : -ENOMEM;

	for (size_t i = 0; i < g->c->n && !err; i++)
		ids[i] = g->c->v[i].instance;
	if (!err)
		err = herd_ec2_instances(g->aws, &q, &found, g->diag);
	for (size_t i = 0; i < found.n && !err; i++) {
		struct herd_captured *m = find(g->c, found.v[i].id);

		if (m)
			err = describe_one(m, &found.v[i]);
	}
	for (size_t i = 0; i < g->c->n && !err; i++) {
		struct herd_captured *m = &g->c->v[i];

		if (!m->disks && !m->err)
			m->err = herd_diag_set(&m->diag, -ENOENT, m->instance,
					       HERD_NO_OFFSET,
					       "EC2 does not know it any more");
	}
	return err;
}

/* ---- snapshots that are there ---- */

static struct herd_captured_disk *disk_of(struct herd_captured *m,
					  const char *volume)
{
	for (size_t i = 0; i < m->n_disks; i++)
		if (!strcmp(m->disks[i].volume, volume))
			return &m->disks[i];
	return NULL;
}

static const char *tag_of(const struct herd_ec2_snapshot *s, const char *key)
{
	for (size_t i = 0; i < s->n_tags; i++)
		if (!strcmp(s->tags[i].key, key))
			return s->tags[i].value;
	return "";
}

/* EC2's filters know wildcards, and a case may be called "*". */
static bool is_of_case(const struct herd_ec2_snapshot *s, const char *case_id)
{
	return !strcmp(tag_of(s, HERD_TAG_CASE), case_id);
}

static void use(struct herd_captured *m, struct herd_captured_disk *d,
		const struct herd_ec2_snapshot *s)
{
	int err = herd_ec2_snapshot_readable(s, &m->diag);

	memcpy(d->snapshot, s->id, sizeof(d->snapshot));
	d->unseen = 0;
	d->gib = s->gib;
	d->ready = !err;
	if (err == -EAGAIN)
		herd_diag_clear(&m->diag);
	else if (err)
		m->err = err;
}

/* Snapshots of a volume that the instance no longer has belong to it as well,
   for the user says so. */
static int use_given(struct herd_captured *m, const struct herd_ec2_snapshot *s)
{
	struct herd_captured_disk *d = disk_of(m, s->volume);

	if (!d) {
		d = reallocarray(m->disks, m->n_disks + 1, sizeof(*d));
		if (!d)
			return -ENOMEM;
		m->disks = d;
		d += m->n_disks++;
		*d = (struct herd_captured_disk){ 0 };
		memcpy(d->volume, s->volume, sizeof(d->volume));
	}
	use(m, d, s);
	return 0;
}

/* With --snapshot, an instance has those snapshots and no others. */
static void keep_given(struct herd_captured *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_disks; i++)
		if (m->disks[i].snapshot[0])
			m->disks[n++] = m->disks[i];
	m->n_disks = n;
	if (n && m->err == -ENODATA) {
		m->err = 0;
		herd_diag_clear(&m->diag);
	}
}

static int take_given(struct herd_capturing *g)
{
	const struct herd_capture_options *o = g->o;

	for (size_t i = 0; i < o->n_given; i++) {
		CLEANUP(herd_ec2_snapshots_deinit)
		struct herd_ec2_snapshots found = { 0 };
		struct herd_ec2_query q = { .ids = &o->given[i].snapshot,
					    .n_ids = 1 };
		struct herd_captured *m = find(g->c, o->given[i].instance);
		int err = m ? herd_ec2_snapshots(g->aws, &q, &found, g->diag) :
			      0;

		if (!m)
			continue;
		if (!err && !found.n)
			err = herd_diag_set(g->diag, -ENOENT,
					    o->given[i].snapshot, HERD_NO_OFFSET,
					    "there is no such snapshot");
		if (!err)
			err = use_given(m, &found.v[0]);
		if (err)
			return err;
	}
	for (size_t i = 0; i < o->n_given; i++)
		if (find(g->c, o->given[i].instance))
			keep_given(find(g->c, o->given[i].instance));
	return 0;
}

/* Whether it is of this case and of a disk of m. */
static bool is_usable(const struct herd_ec2_snapshot *s, const char *case_id,
		      struct herd_captured *m)
{
	return !strcmp(tag_of(s, HERD_TAG_INSTANCE), m->instance) &&
	       is_of_case(s, case_id) && strcmp(s->state, "error") != 0 &&
	       disk_of(m, s->volume);
}

/*
 * Of several sets of one case the one that has most of the disks, among equals
 * the newest: never disks of two moments. NULL: there is none.
 */
static const char *choose_set(const struct herd_ec2_snapshots *l,
			      const char *case_id, struct herd_captured *m)
{
	const char *best = NULL;
	size_t most = 0;
	int64_t newest = 0;

	for (size_t i = 0; i < l->n; i++) {
		const char *set = tag_of(&l->v[i], HERD_TAG_SET);
		size_t n = 0;

		if (!is_usable(&l->v[i], case_id, m))
			continue;
		for (size_t k = 0; k < l->n; k++)
			n += is_usable(&l->v[k], case_id, m) &&
			     !strcmp(tag_of(&l->v[k], HERD_TAG_SET), set);
		if (n < most || (n == most && l->v[i].started <= newest))
			continue;
		best = set;
		most = n;
		newest = l->v[i].started;
	}
	return best;
}

/* What an earlier run of the same case made: interrupted, it goes on. */
static int take_of_case(struct herd_capturing *g)
{
	CLEANUP(herd_ec2_snapshots_deinit) struct herd_ec2_snapshots found = { 0 };
	const struct herd_pair filter = { "tag:" HERD_TAG_CASE, g->o->case_id };
	struct herd_ec2_query q = { .filters = &filter, .n_filters = 1 };
	size_t n = 0;
	int err = herd_ec2_snapshots(g->aws, &q, &found, g->diag);

	for (size_t k = 0; k < g->c->n && !err; k++) {
		struct herd_captured *m = &g->c->v[k];
		const char *set = choose_set(&found, g->o->case_id, m);

		for (size_t i = 0; i < found.n && set; i++) {
			struct herd_captured_disk *d =
				disk_of(m, found.v[i].volume);

			if (!is_usable(&found.v[i], g->o->case_id, m) ||
			    strcmp(tag_of(&found.v[i], HERD_TAG_SET), set) ||
			    d->snapshot[0])
				continue;
			use(m, d, &found.v[i]);
			n++;
		}
	}
	if (n)
		herd_capture_say(g, "case %s: %zu snapshot%s there already",
				 g->o->case_id, n, n == 1 ? "" : "s");
	return err;
}

/* ---- making them ---- */

static bool is_complete(const struct herd_captured *m)
{
	for (size_t i = 0; i < m->n_disks; i++)
		if (!m->disks[i].snapshot[0])
			return false;
	return true;
}

static int make_one(struct herd_capturing *g, struct herd_captured *m)
{
	CLEANUP(herd_ec2_snapshots_deinit) struct herd_ec2_snapshots made = { 0 };
	uint8_t random[8] = { 0 };
	char set[2 * sizeof(random) + 1];
	const struct herd_pair tags[] = {
		{ HERD_TAG_CASE, g->o->case_id },
		{ HERD_TAG_GROUP, g->o->group },
		{ HERD_TAG_INSTANCE, m->instance },
		{ HERD_TAG_SET, set },
	};
	const struct herd_ec2_capture c = {
		.instance = m->instance,
		.description = "taken by herdfs for an investigation",
		.tags = tags, .n_tags = ARRAY_SIZE(tags),
		.dry_run = g->o->dry_run,
	};

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -errno;
	herd_hex(random, sizeof(random), set);

	int err = herd_ec2_create_snapshots(g->aws, &c, &made, &m->diag);

	for (size_t i = 0; i < made.n && !err; i++) {
		struct herd_captured_disk *d = disk_of(m, made.v[i].volume);

		if (!d)
			continue;
		use(m, d, &made.v[i]);
		d->made = true;
	}
	if (!err && !g->o->dry_run)
		herd_capture_say(g, "%s: %zu snapshot%s begun", m->instance,
				 made.n, made.n == 1 ? "" : "s");
	return err;
}

static int make_missing(struct herd_capturing *g)
{
	for (size_t i = 0; i < g->c->n; i++) {
		struct herd_captured *m = &g->c->v[i];
		int err;

		if (m->err || is_complete(m))
			continue;
		err = make_one(g, m);
		if (err == -ENOMEM || err == -ENOKEY)
			return err;
		/* it may have been begun all the same: then it bears the tag */
		if (err == -ETIMEDOUT || err == -ECONNRESET || err == -EPROTO ||
		    err == -EIO) {
			struct herd_diag unused = { .offset = HERD_NO_OFFSET };
			struct herd_capturing again = *g;

			again.diag = &unused;
			if (!take_of_case(&again) && is_complete(m)) {
				herd_diag_clear(&m->diag);
				err = 0;
			}
		}
		m->err = err;
		if (!err && !g->o->dry_run && !is_complete(m))
			m->err = herd_diag_set(&m->diag, -EIO, m->instance,
				HERD_NO_OFFSET,
				"EC2 made no snapshot of some of its volumes");
	}
	return 0;
}

/* ---- waiting ---- */

static size_t list_pending(struct herd_capturing *g, const char **ids,
			   size_t *ret_all)
{
	size_t n = 0;

	*ret_all = 0;
	for (size_t i = 0; i < g->c->n; i++) {
		const struct herd_captured *m = &g->c->v[i];

		for (size_t k = 0; k < m->n_disks && !m->err; k++) {
			++*ret_all;
			if (!m->disks[k].ready && m->disks[k].snapshot[0]) {
				if (ids)
					ids[n] = m->disks[k].snapshot;
				n++;
			}
		}
	}
	return n;
}

static void update(struct herd_capturing *g, const struct herd_ec2_snapshot *s)
{
	for (size_t i = 0; i < g->c->n; i++)
		for (size_t k = 0; k < g->c->v[i].n_disks; k++)
			if (!strcmp(g->c->v[i].disks[k].snapshot, s->id))
				use(&g->c->v[i], &g->c->v[i].disks[k], s);
}

/* One that somebody has deleted meanwhile is not waited for. */
static void note_unseen(struct herd_capturing *g)
{
	for (size_t i = 0; i < g->c->n; i++) {
		struct herd_captured *m = &g->c->v[i];

		for (size_t k = 0; k < m->n_disks && !m->err; k++)
			if (!m->disks[k].ready &&
			    m->disks[k].unseen++ > UNSEEN_MAX)
				m->err = herd_diag_set(&m->diag, -ENOENT,
					m->disks[k].snapshot, HERD_NO_OFFSET,
					"the snapshot is gone");
	}
}

static int poll_once(struct herd_capturing *g, const char **ids, size_t n,
		     unsigned *ret_percent)
{
	CLEANUP(herd_ec2_snapshots_deinit) struct herd_ec2_snapshots found = { 0 };
	struct herd_ec2_query q = { .ids = ids, .n_ids = n };
	uint64_t sum = 0;
	int err = herd_ec2_snapshots(g->aws, &q, &found, g->diag);

	if (!err)
		note_unseen(g);
	for (size_t i = 0; i < found.n && !err; i++) {
		update(g, &found.v[i]);
		sum += found.v[i].progress;
	}
	*ret_percent = found.n ? (unsigned)(sum / found.n) : 100;
	return err;
}

static int wait_for_all(struct herd_capturing *g)
{
	const unsigned most = g->o->wait_seconds ? g->o->wait_seconds :
						   WAIT_SECONDS;
	time_t began = time(NULL);
	size_t all, n = list_pending(g, NULL, &all);
	CLEANUP_FREE const char **ids = calloc(n + 1, sizeof(*ids));
	unsigned pause = POLL_FIRST_MS;
	int err = ids ? 0 : -ENOMEM;

	while (!err && (n = list_pending(g, ids, &all)) > 0) {
		const struct timespec t = { pause / 1000,
					    pause % 1000 * 1000000L };
		unsigned percent = 0;

		if (time(NULL) - began > (time_t)most)
			return herd_diag_set(g->diag, -ETIMEDOUT, g->o->group,
				HERD_NO_OFFSET, "%zu of %zu snapshots are not "
				"completed after %u s; the same command goes on "
				"from there", n, all, most);
		nanosleep(&t, NULL);
		pause = pause * 3 / 2 < POLL_MOST_MS ? pause * 3 / 2 :
						       POLL_MOST_MS;
		err = poll_once(g, ids, n, &percent);
		if (!err && g->o->progress)
			g->o->progress(g->o->arg, all - list_pending(g, NULL,
				       &all), all, percent);
	}
	return err;
}

/* ---- the whole ---- */

int herd_capture(struct herd_aws *a, const struct herd_capture_options *o,
		 struct herd_capture *ret, struct herd_diag *diag)
{
	struct herd_capture c = { 0 };
	struct herd_capturing g = { .aws = a, .o = o, .c = &c, .diag = diag };
	int err;

	herd_diag_clear(&c.baseline.diag);
	err = find_members(&g) ?: describe(&g) ?: take_given(&g) ?:
	      take_of_case(&g) ?: make_missing(&g) ?:
	      (o->dry_run ? 0 : wait_for_all(&g)) ?:
	      herd_capture_baseline(&g);
	herd_asgs_deinit(&g.groups);
	if (err)
		herd_capture_deinit(&c);
	else
		*ret = c;
	return err;
}

int herd_capture_clean_up(struct herd_aws *a, const char *case_id, bool dry_run,
			  void (*on)(void *arg, const char *snapshot), void *arg,
			  size_t *ret_n, struct herd_diag *diag)
{
	CLEANUP(herd_ec2_snapshots_deinit) struct herd_ec2_snapshots found = { 0 };
	const struct herd_pair filter = { "tag:" HERD_TAG_CASE, case_id };
	struct herd_ec2_query q = { .filters = &filter, .n_filters = 1 };
	int err = herd_ec2_snapshots(a, &q, &found, diag);

	*ret_n = 0;
	for (size_t i = 0; i < found.n && !err; i++) {
		if (!is_of_case(&found.v[i], case_id))
			continue;
		err = herd_ec2_delete_snapshot(a, found.v[i].id, dry_run, diag);
		if (err == -ENOENT)
			err = 0;
		if (err)
			break;
		++*ret_n;
		if (on)
			on(arg, found.v[i].id);
	}
	return err;
}
