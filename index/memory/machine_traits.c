/* SPDX-License-Identifier: Apache-2.0 */
/* A machine boiled down to its traits; see machine_judge_internal.h. */
#include "index/memory/machine_judge_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- putting in ---- */

static int grow(void **v, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 256;
	void *p;

	while (more <= n)
		more *= 2;
	if (n < *cap)
		return 0;
	p = realloc(*v, more * size);
	if (!p)
		return -ENOMEM;
	memset((char *)p + *cap * size, 0, (more - *cap) * size);
	*v = p;
	*cap = more;
	return 0;
}

static uint32_t text(struct herd_boil *b, const char *s)
{
	struct herd_buf clean CLEANUP_BUF = HERD_BUF_INIT;
	uint32_t id = HERD_STRING_NONE;

	if (!s || b->err)
		return HERD_STRING_NONE;
	herd_norm_clean(&clean, s, strlen(s));
	b->err = clean.failed ? -ENOMEM :
				herd_strings_put(&b->t->texts, clean.data,
						 clean.len, &id);
	return id;
}

/* The number of a feature, and of its slot. */
static bool feature(struct herd_boil *b, uint32_t bit, const char *key,
		    const char *value, uint32_t *ret, uint32_t *ret_slot)
{
	struct herd_traits *t = b->t;
	struct herd_buf f CLEANUP_BUF = HERD_BUF_INIT;
	size_t slot;

	if (b->err || t->features.n >= HERD_FEATURES_MAX)
		return false;
	herd_buf_u8(&f, (uint8_t)HERD_ASPECT(bit));
	herd_norm_clean(&f, key, strlen(key));
	slot = f.len;
	herd_buf_u8(&f, 0);
	herd_norm_clean(&f, value, strlen(value));
	b->err = herd_buf_error(&f);
	if (!b->err)
		b->err = herd_strings_put(&t->slots, f.data, slot, ret_slot);
	if (!b->err)
		b->err = herd_strings_put(&t->features, f.data, f.len, ret);
	if (!b->err)
		b->err = grow((void **)&t->slot_of, *ret, &t->cap_slot_of,
			      sizeof(*t->slot_of));
	if (!b->err)
		b->err = grow((void **)&t->stamp, *ret, &t->cap_stamp,
			      sizeof(*t->stamp));
	if (!b->err)
		t->slot_of[*ret] = *ret_slot;
	return !b->err;
}

void herd_boil_know(struct herd_boil *b, uint32_t bit, const char *key,
		    const char *value)
{
	uint32_t f, slot;

	feature(b, bit, key, value, &f, &slot);
}

void herd_boil_owner(struct herd_boil *b, enum herd_machine_subject subject,
		     uint32_t index, const char *key, const char *label,
		     uint32_t flags)
{
	struct herd_traits *t = b->t;

	if (!b->err)
		b->err = grow((void **)&t->owners, t->n_owners, &t->cap_owners,
			      sizeof(*t->owners));
	if (b->err)
		return;
	t->owners[t->n_owners++] = (struct herd_owner){
		.subject = subject,
		.index = index,
		.key = text(b, key),
		.label = text(b, label),
		.flags = flags,
		.first = (uint32_t)t->n_traits,
	};
}

void herd_boil_add(struct herd_boil *b, uint32_t bit, const char *value,
		   const char *detail, bool soft)
{
	struct herd_traits *t = b->t;
	struct herd_owner *o;
	struct herd_trait trait = { .aspect = HERD_ASPECT(bit), .soft = soft };

	if (b->err)
		return;
	o = &t->owners[t->n_owners - 1];
	if (!feature(b, bit, herd_text(t, o->key), value, &trait.feature,
		     &trait.slot) ||
	    t->stamp[trait.feature] == t->n_owners)
		return;
	t->stamp[trait.feature] = (uint32_t)t->n_owners;
	trait.value = text(b, value);
	trait.detail = text(b, detail);
	if (!b->err)
		b->err = grow((void **)&t->traits, t->n_traits, &t->cap_traits,
			      sizeof(*t->traits));
	if (b->err)
		return;
	t->traits[t->n_traits++] = trait;
	o->n++;
}

/* ---- asking the machine ---- */

const struct herd_process *herd_boil_parent(const struct herd_boil *b,
					    const struct herd_process *p)
{
	size_t lo = 0, hi = b->m->n_processes;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct herd_process *q = &b->m->processes[mid];

		if (q->pid == p->ppid)
			return q == p ? NULL : q;
		if (q->pid < p->ppid)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const char *herd_exe_path(const struct herd_machine *m,
			  const struct herd_process *p)
{
	return p->exe < m->n_files ? m->files[p->exe].path : "";
}

/* ---- processes ---- */

static void process(struct herd_boil *b, uint32_t index)
{
	const struct herd_process *p = &b->m->processes[index];
	uint32_t flags = herd_boil_flags(b, p);
	struct herd_buf key CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_buf label CLEANUP_BUF = HERD_BUF_INIT;

	herd_buf_printf(&key, "p ");
	herd_boil_key(b, p, &key);
	herd_buf_u8(&key, 0);
	if (key.failed) {
		b->err = -ENOMEM;
		return;
	}
	herd_buf_printf(&label, "%s %s", p->comm, (char *)key.data + 2);
	herd_buf_u8(&label, 0);
	if (label.failed) {
		b->err = -ENOMEM;
		return;
	}
	herd_boil_owner(b, HERD_SUBJECT_PROCESS, index, (char *)key.data,
			(char *)label.data, flags);
	herd_boil_add(b, HERD_MARK_NEW_PROCESS,
		      flags & (HERD_IS_PASSING | HERD_IS_YOUNG) ? "passing" :
								  "stable",
		      NULL, false);
	herd_boil_own(b, index, flags);
	herd_boil_against(b, p, flags);
	herd_boil_net(b, p, flags);
}

/* Which program has a name, or a port: seen from the name. */
static void known(struct herd_boil *b, const struct herd_owner *o)
{
	const struct herd_process *p = &b->m->processes[o->index];
	struct herd_traits *t = b->t;
	struct herd_buf exe CLEANUP_BUF = HERD_BUF_INIT;
	const char *path = herd_exe_path(b->m, p);
	char key[96];

	herd_norm_text(&exe, path, strlen(path), b->m->hostname);
	herd_buf_u8(&exe, 0);
	if (exe.failed || !path[0])
		return;
	snprintf(key, sizeof(key), "m comm %s", p->comm);
	herd_boil_know(b, HERD_MARK_EXE, key, (char *)exe.data);
	for (uint32_t i = o->first; i < o->first + o->n && !b->err; i++) {
		const struct herd_trait *r = &t->traits[i];
		uint32_t bit = 1u << r->aspect;
		const char *value = herd_text(t, r->value);

		if (bit == HERD_MARK_LISTEN) {
			snprintf(key, sizeof(key), "m port %s", value);
			herd_boil_know(b, HERD_MARK_EXE, key, (char *)exe.data);
		}
		if (bit == HERD_MARK_LISTEN || bit == HERD_MARK_CONNECTION ||
		    bit == HERD_MARK_LIBRARIES)
			herd_boil_know(b, bit, "m", value);
	}
}

/* ---- modules, hooks ---- */

static void module(struct herd_boil *b, uint32_t index)
{
	const struct herd_module *o = &b->m->modules[index];
	static const uint8_t none[32];
	char key[192], hex[65], value[192];

	snprintf(key, sizeof(key), "k %s", o->name);
	herd_boil_owner(b, HERD_SUBJECT_MODULE, index, key,
			o->name[0] ? key + 2 : "(no name)", 0);
	herd_boil_add(b, HERD_MARK_MODULE, "", NULL, false);
	/* the text of one kernel's module is not another's */
	snprintf(key, sizeof(key), "k %s %s", o->name, b->m->facts.release);
	snprintf(value, sizeof(value), "%s %s", o->srcversion,
		 memcmp(o->text, none, 32) ? herd_hex(o->text, 32, hex) : "");
	if (value[0] != ' ' || value[1])
		herd_boil_know(b, HERD_MARK_TEXT, key, value);
	if (b->module_views & HERD_MODULE_LIST &&
	    !(b->m->unread & HERD_UNREAD_MODULES) &&
	    !(o->seen & HERD_MODULE_LIST))
		herd_boil_add(b, HERD_MARK_HIDDEN, "",
			      "it is not in the kernel's list of modules",
			      false);
	if (herd_module_is_odd(o))
		herd_boil_add(
			b, HERD_MARK_ODD_MODULE, "",
			!o->name[0]	? "it has no name" :
			o->state == '?' ? "its state is none" :
					  "bytes in its name cannot be printed",
			false);
}

/* Where in its target a hook leads changes with each build. */
static void hook(struct herd_boil *b, uint32_t index)
{
	const struct herd_hook *h = &b->m->hooks[index];
	struct herd_buf key CLEANUP_BUF = HERD_BUF_INIT;
	const char *plus = strchr(h->target_name, '+');
	const char *rest = plus ? strchr(plus, ' ') : NULL;
	char label[256];

	if (h->expected)
		return;
	herd_buf_printf(&key, "h %u ", (unsigned)h->kind);
	herd_norm_text(&key, h->name, strlen(h->name), "");
	herd_buf_printf(&key, " -> ");
	herd_norm_text(&key, h->target_name,
		       plus ? (size_t)(plus - h->target_name) :
			      strlen(h->target_name),
		       "");
	if (rest)
		herd_norm_text(&key, rest, strlen(rest), "");
	herd_buf_u8(&key, 0);
	if (key.failed) {
		b->err = -ENOMEM;
		return;
	}
	snprintf(label, sizeof(label), "%.120s -> %.120s", h->name,
		 h->target_name);
	herd_boil_owner(b, HERD_SUBJECT_HOOK, index, (char *)key.data, label,
			0);
	herd_boil_add(b, HERD_MARK_HOOK, "", NULL, false);
}

/* ---- files ---- */

static const char *how(enum herd_page_change_kind k)
{
	return k == HERD_CHANGE_UNWRITTEN ? "not yet written to the disk" :
	       k == HERD_CHANGE_TAIL	  ? "behind the end of the file" :
					    "in memory and not on the disk";
}

static void cached_change(struct herd_boil *b, const struct herd_page_change *c)
{
	char value[64], detail[160], hex[33];

	snprintf(value, sizeof(value), "#%" PRIu64 " %s", c->index,
		 herd_hex(c->digest, 16, hex));
	snprintf(detail, sizeof(detail),
		 "page %" PRIu64
		 " of the cache differs from the disk, %u bytes from %u on: %s",
		 c->index, c->bytes, c->first, how(c->kind));
	herd_boil_add(b, HERD_MARK_TEXT, value, detail,
		      c->kind == HERD_CHANGE_UNWRITTEN ||
			      c->kind == HERD_CHANGE_TAIL);
}

/* Files whose pages differ, or that no disk vouches for; others are the
   disk's to judge. */
static void file(struct herd_boil *b, uint32_t index, bool digests)
{
	const struct herd_mfile *f = &b->m->files[index];
	struct herd_buf key CLEANUP_BUF = HERD_BUF_INIT;
	unsigned said = 0;

	herd_buf_printf(&key, "f %s", f->path);
	herd_buf_u8(&key, 0);
	if (key.failed) {
		b->err = -ENOMEM;
		return;
	}
	herd_boil_owner(b, HERD_SUBJECT_FILE, index, (char *)key.data, f->path,
			digests ? HERD_HAS_DIGESTS : 0);
	for (uint32_t i = b->file_change[index];
	     i != HERD_NO_INDEX && said < 64; i = b->change_next[i], said++)
		cached_change(b, &b->m->page_changes[i]);
}

static void files(struct herd_boil *b)
{
	const struct herd_machine *m = b->m;
	size_t at = 0;

	for (uint32_t i = 0; i < m->n_files && !b->err; i++) {
		size_t before = at;

		for (; at < m->n_page_digests && m->page_digests[at].file <= i;
		     at++)
			herd_boil_page_digest(b, &m->page_digests[at]);
		if (at > before || b->file_change[i] != HERD_NO_INDEX ||
		    b->mappers[i])
			file(b, i, at > before);
	}
	for (size_t i = 0; i < m->n_page_changes && !b->err; i++)
		herd_boil_page_change(b, &m->page_changes[i]);
}

/* ---- the whole ---- */

static int prepare(struct herd_boil *b)
{
	const struct herd_machine *m = b->m;

	b->mappers = calloc(m->n_files + 1, sizeof(*b->mappers));
	b->owned = calloc(m->n_sockets + 1, 1);
	b->tcp = calloc(65536, 1);
	b->udp = calloc(65536, 1);
	b->change_first = malloc((m->n_processes + 1) * sizeof(uint32_t));
	b->file_change = malloc((m->n_files + 1) * sizeof(uint32_t));
	b->change_next = malloc((m->n_page_changes + 1) * sizeof(uint32_t));
	if (!b->mappers || !b->owned || !b->tcp || !b->udp ||
	    !b->change_first || !b->file_change || !b->change_next)
		return -ENOMEM;
	memset(b->change_first, 0xff, (m->n_processes + 1) * sizeof(uint32_t));
	memset(b->file_change, 0xff, (m->n_files + 1) * sizeof(uint32_t));
	for (size_t i = m->n_page_changes; i; i--) {
		const struct herd_page_change *c = &m->page_changes[i - 1];
		uint32_t *first = c->process < m->n_processes ?
					  &b->change_first[c->process] :
				  c->process == HERD_NO_INDEX &&
						  c->file < m->n_files ?
					  &b->file_change[c->file] :
					  &b->change_first[m->n_processes];

		b->change_next[i - 1] = *first;
		*first = (uint32_t)(i - 1);
	}
	return 0;
}

/* What is there to be asked while the traits are made. */
static void survey(struct herd_boil *b)
{
	const struct herd_machine *m = b->m;
	const uint32_t either = HERD_UNREAD_TASKS | HERD_UNREAD_PIDS;
	uint64_t latest = 0;

	/* who is there is in both */
	b->t->processes_unread = (m->unread & either) == either;
	for (size_t i = 0; i < m->n_processes && !b->err; i++) {
		const struct herd_process *p = &m->processes[i];
		uint32_t id, last = HERD_NO_INDEX;

		b->views |= p->seen;
		b->t->processes_unread |= herd_process_is_unnamed(p);
		latest = p->start_ns > latest ? p->start_ns : latest;
		if (p->pid == 1 && !b->init)
			b->init = p;
		if (p->kthread) {
			struct herd_buf name CLEANUP_BUF = HERD_BUF_INIT;

			herd_norm_kthread(&name, p->comm);
			b->err = herd_strings_put(&b->kthreads, name.data,
						  name.len, &id);
		}
		for (size_t k = 0; k < p->n_vmas; k++) {
			const struct herd_vma *v = &p->vmas[k];

			if (v->file < m->n_files && v->file != last &&
			    v->flags & HERD_VM_EXEC) {
				last = v->file;
				b->mappers[last]++;
			}
		}
	}
	for (size_t i = 0; i < m->n_modules; i++)
		b->module_views |= m->modules[i].seen;
	b->now = m->uptime_ns ? m->uptime_ns : latest;
	b->t->starting = b->now < HERD_STARTING_NS;
}

static void boil(struct herd_boil *b)
{
	const struct herd_machine *m = b->m;
	size_t processes;

	survey(b);
	herd_boil_sockets(b);
	for (uint32_t i = 0; i < m->n_processes && !b->err; i++)
		process(b, i);
	processes = b->t->n_owners;
	for (size_t i = 0; i < processes && !b->err; i++)
		known(b, &b->t->owners[i]);
	for (uint32_t i = 0; i < m->n_modules && !b->err; i++)
		module(b, i);
	for (uint32_t i = 0; i < m->n_hooks && !b->err; i++)
		hook(b, i);
	if (!b->err)
		files(b);
	if (!b->err)
		herd_boil_orphans(b);
}

int herd_traits_make(const struct herd_machine *m, struct herd_traits **ret)
{
	struct herd_boil b = { .m = m, .t = calloc(1, sizeof(*b.t)) };

	if (!b.t)
		return -ENOMEM;
	b.err = prepare(&b);
	if (!b.err)
		boil(&b);
	free(b.mappers);
	free(b.owned);
	free(b.tcp);
	free(b.udp);
	free(b.change_first);
	free(b.file_change);
	free(b.change_next);
	herd_strings_deinit(&b.kthreads);
	if (b.err)
		herd_traits_destroy(b.t);
	else
		*ret = b.t;
	return b.err;
}

void herd_traits_destroy(struct herd_traits *t)
{
	if (!t)
		return;
	herd_strings_deinit(&t->texts);
	herd_strings_deinit(&t->slots);
	herd_strings_deinit(&t->features);
	free(t->slot_of);
	free(t->stamp);
	free(t->owners);
	free(t->traits);
	free(t);
}
