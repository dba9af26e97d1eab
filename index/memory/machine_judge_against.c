/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judging a process by the herd's of the same key: arguments, rights, parent,
 * libraries, sockets; and what the herd has and this machine lacks.
 *
 * Where the others agree (most have one value, and not everyone has his own)
 * and nobody has this one's, it deviates. What another has, too, is only told
 * where it matters.
 */
#include "index/memory/machine_judge_internal.h"

#include <stdio.h>
#include <string.h>

#define AGREE_LEAST 2  /* others that have the key */
#define SHELL_FLOOR 70 /* rank of a shell that speaks over the network */

static void add(struct herd_hearing *h, struct herd_mark_said s)
{
	herd_case_add(&h->k, &s);
}

/* The others have one value here, and it is not this. */
static bool agreed(const struct herd_others *o)
{
	return !o->same && o->slot >= AGREE_LEAST && o->top * 2 > o->slot &&
	       o->kinds * 2 < o->slot + 1;
}

static void unlike(struct herd_hearing *h, uint32_t bit, const char *value,
		   const struct herd_others *o, uint8_t severity)
{
	char text[640];

	/* where each machine has several there is no one that is the herd's */
	if (o->common == 1 && o->top_value)
		snprintf(text, sizeof(text), "%.300s, the herd's %.300s", value,
			 o->top_value);
	else
		snprintf(text, sizeof(text), "%.300s", value);
	add(h, (struct herd_mark_said){
		       .bit = bit,
		       .deviates = true,
		       .rank = herd_rank(o->slot, o->top, 0, o->kinds),
		       .severity = severity,
		       .detail = text,
		       .of = o->slot });
}

static void valued(struct herd_hearing *h, uint32_t bit, const char *value)
{
	struct herd_others o;
	uint8_t severity = 0;

	if (!h->herd || h->passing)
		return;
	herd_bench_ask(&h->c->bench, HERD_ASPECT(bit), h->key, value, &o);
	if (!agreed(&o))
		return;
	/* whose parent has gone is init's child */
	if (bit == HERD_MARK_PARENT && h->p->ppid == 1)
		return;
	if (bit == HERD_MARK_NAMESPACE && o.top < o.slot)
		return;
	if (bit == HERD_MARK_CREDS && !strncmp(value, "root", 4))
		severity = 75;
	unlike(h, bit, value, &o, severity);
}

/* Variables are many: only that nobody has it counts. */
static void variable(struct herd_hearing *h, const char *value)
{
	struct herd_others o;

	if (!h->herd || !h->known || h->passing)
		return;
	herd_bench_ask(&h->c->bench, HERD_ASPECT(HERD_MARK_ENVIRON), h->key,
		       value, &o);
	if (o.same || o.kinds * 2 > h->like)
		return;
	add(h,
	    (struct herd_mark_said){
		    .bit = HERD_MARK_ENVIRON,
		    .deviates = true,
		    .rank = herd_rank(h->like, h->like - o.kinds, 0, o.kinds),
		    .detail = value,
		    .of = h->like });
}

/* ---- libraries ---- */

/*
 * A library that is nowhere in the herd's memory is nothing yet: plugins and
 * name services are loaded when they are needed. The disk knows it or not.
 */
static void library(struct herd_hearing *h, const char *value, const char *path)
{
	struct herd_others o, anywhere;
	enum herd_class class = HERD_CLASS_SAME;
	const uint32_t of = h->known ? h->like : h->all;
	/* not where its program's libraries would be */
	bool astray = !herd_system_place(path) && herd_system_place(h->exe);
	bool known, odd = herd_odd_place(path);

	if (!h->herd)
		return;
	herd_bench_ask(&h->c->bench, HERD_ASPECT(HERD_MARK_LIBRARIES), h->key,
		       value, &o);
	herd_bench_ask(&h->c->bench, HERD_ASPECT(HERD_MARK_LIBRARIES), "m",
		       value, &anywhere);
	if (o.same || anywhere.same * 2 >= h->all)
		return;
	known = herd_court_disk_path(h->c, path, &class);
	if (!odd && (anywhere.same || (known && class != HERD_CLASS_DEVIANT)))
		return;
	/* a program that is new brings its own */
	if (!h->known && !odd && !known && !astray)
		return;
	add(h,
	    (struct herd_mark_said){
		    .bit = HERD_MARK_LIBRARIES,
		    .deviates = odd || known || (astray && !h->passing),
		    .rank = herd_rank(of, of, 0, 0) * (odd || known ? 1 : 0.5),
		    .detail = path,
		    .of = of });
}

/* ---- the network ---- */

static void listening(struct herd_hearing *h, const struct herd_trait *t)
{
	const struct herd_traits *own = h->c->bench.own;
	const char *value = herd_text(own, t->value);
	struct herd_others o, anybody;
	uint32_t of = h->known ? h->like : h->all, same;

	if (!h->herd)
		return;
	herd_bench_ask(&h->c->bench, t->aspect, h->key, value, &o);
	herd_bench_ask(&h->c->bench, t->aspect, "m", value, &anybody);
	same = h->known ? o.same : anybody.same;
	if (same * 2 >= of)
		return;
	add(h,
	    (struct herd_mark_said){ .bit = HERD_MARK_LISTEN,
				     .deviates = !t->soft,
				     .rank = herd_rank(of, of - same, same, 0),
				     .detail = herd_text(own, t->detail),
				     .same = same,
				     .of = of });
}

/* Whether a connection that nobody else has is one too many. */
static bool is_odd(const struct herd_hearing *h, const struct herd_trait *t)
{
	const uint32_t flags = h->o->flags;

	if (flags & (HERD_IS_SHELL | HERD_IS_RELAY))
		return true;
	if (t->soft) /* names, time, the web: anybody may */
		return false;
	if (flags & HERD_IS_INTERPRETER)
		return true;
	return !h->passing;
}

static void connection(struct herd_hearing *h, const struct herd_trait *t)
{
	const struct herd_traits *own = h->c->bench.own;
	const bool shell = h->o->flags & (HERD_IS_SHELL | HERD_IS_RELAY);
	const char *value = herd_text(own, t->value);
	uint32_t of = h->known ? h->like : h->all, same;
	struct herd_others o, anybody;
	double rank;

	if (!h->herd && !shell)
		return;
	herd_bench_ask(&h->c->bench, t->aspect, h->key, value, &o);
	herd_bench_ask(&h->c->bench, t->aspect, "m", value, &anybody);
	same = h->known ? o.same : anybody.same;
	/* the herd's services speak so, each when it has to */
	if ((same && same * 2 >= of) || (!shell && h->known && anybody.same))
		return;
	if (h->known && !shell && o.kinds * 2 >= h->like && o.kinds)
		return;
	rank = of ? herd_rank(of, of - same, same, 0) : 0;
	if (shell && !same && rank < SHELL_FLOOR)
		rank = SHELL_FLOOR;
	add(h, (struct herd_mark_said){ .bit = HERD_MARK_CONNECTION,
					.deviates = is_odd(h, t),
					.rank = rank,
					.severity = shell ? 85 : 0,
					.technique = shell ? "T1059" : NULL,
					.detail = herd_text(own, t->detail),
					.same = same,
					.of = of });
}

void herd_hear_against(struct herd_hearing *h, const struct herd_trait *t)
{
	const struct herd_traits *own = h->c->bench.own;
	const char *value = herd_text(own, t->value);
	const uint32_t bit = 1u << t->aspect;

	switch (bit) {
	case HERD_MARK_LISTEN:
		listening(h, t);
		break;
	case HERD_MARK_CONNECTION:
		connection(h, t);
		break;
	case HERD_MARK_LIBRARIES:
		library(h, value, herd_text(own, t->detail));
		break;
	case HERD_MARK_ENVIRON:
		variable(h, value);
		break;
	default:
		valued(h, bit, value);
		break;
	}
}

/* ---- missing ---- */

static int missing(void *arg, const char *key, const struct herd_others *o)
{
	struct herd_court *c = arg;
	struct herd_case k = { .f = { .subject = HERD_SUBJECT_PROCESS,
				      .index = HERD_NO_INDEX } };
	const struct herd_traits *own = c->bench.own;
	struct herd_buf slot CLEANUP_BUF = HERD_BUF_INIT;
	char exe[256], text[96];
	size_t len = strcspn(key + 2, " ");
	bool watches;

	herd_buf_u8(&slot, (uint8_t)HERD_ASPECT(HERD_MARK_NEW_PROCESS));
	herd_buf_put(&slot, key, strlen(key));
	if (slot.failed)
		return -ENOMEM;
	if (herd_strings_find(&own->slots, slot.data, slot.len) !=
	    HERD_STRING_NONE)
		return 0;
	snprintf(exe, sizeof(exe), "%.*s", (int)len, key + 2);
	watches = herd_watches(herd_base_name(exe));
	snprintf(text, sizeof(text),
		 own->starting	       ? "the machine has only just started" :
		 own->processes_unread ? "not all processes could be read" :
		 watches	       ? "it watches, or writes down" :
					 "");
	k.self = c->bench.member;
	k.f.members = o->all + k.self;
	k.f.key_count = o->same;
	k.f.key = strdup(key + 2);
	herd_case_add(&k, &(struct herd_mark_said){
				  .bit = HERD_MARK_MISSING,
				  .deviates = !own->starting &&
					      !own->processes_unread,
				  .rank = herd_rank(o->all, o->same, 0, 0),
				  .severity = watches ? 75 : 0,
				  .technique = watches ? NULL : "-",
				  .detail = text,
				  .same = o->same,
				  .of = o->all });
	k.others = k.passing_others = 0; /* they have it */
	herd_court_close(c, &k, NULL);
	return c->err;
}

void herd_judge_missing(struct herd_court *c)
{
	int err;

	if (herd_bench_others(&c->bench) < AGREE_LEAST)
		return;
	err = herd_bench_each_common(&c->bench,
				     HERD_ASPECT(HERD_MARK_NEW_PROCESS),
				     "stable", missing, c);
	if (err && !c->err)
		c->err = err;
}
