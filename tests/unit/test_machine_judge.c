/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement: what is odd in itself is found, and what is natural is not. */
#include "machine_told.h"

/* ---- nothing but what is natural ---- */

static void healthy_herds_have_no_deviants(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= HERD_MOST; n++) {
		struct herd *h = herd_of(n);

		for (unsigned i = 0; i < n; i++) {
			assert_int_equal(judge(h, i), 0);
			assert_int_equal(deviants(h, true), 0);
		}
		herd_free(h);
	}
}

/* Workers of the kernel have numbers, and are not even told of. */
static void kernel_threads_are_alike(void **state)
{
	struct herd *h = herd_of(6);

	(void)state;
	for (unsigned i = 0; i < h->n; i++) {
		assert_int_equal(judge(h, i), 0);
		for (uint32_t k = 0; k < h->m[i]->n_processes; k++) {
			const char *comm = h->m[i]->processes[k].comm;

			if (!strncmp(comm, "kworker", 7) ||
			    !strncmp(comm, "irq/", 4))
				assert_null(
					finding(h, HERD_SUBJECT_PROCESS, k));
		}
	}
	herd_free(h);
}

/* What passes is told as such. */
static void transient_ones_are_told_as_such(void **state)
{
	struct herd *h = herd_of(6);
	static const struct {
		unsigned who;
		const char *exe, *why;
	} all[] = {
		{ 0, "/usr/bin/vim.basic", "of somebody who logged in" },
		{ 1, "/usr/lib/apt/methods/http",
		  "started by cron or a timer" },
		{ 2, "/usr/bin/dash", "started by cron or a timer" },
		{ 3, "/usr/bin/sleep", "a transient child" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct herd_machine *m = h->m[all[i].who];
		const struct herd_machine_finding *f;

		assert_int_equal(judge(h, all[i].who), 0);
		f = finding(h, HERD_SUBJECT_PROCESS,
			    (uint32_t)(find(m, all[i].exe) - m->processes));
		assert_non_null(f);
		assert_int_equal(f->class, HERD_CLASS_VOLATILE);
		assert_true(f->rank <= 20);
		assert_non_null(strstr(f->why, all[i].why));
		assert_int_equal(f->count, 1);
		assert_int_equal(f->members, 6);
	}
	herd_free(h);
}

/* ---- what is odd ---- */

static void a_new_process(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p =
		intruder(victim(h), "/usr/sbin/netmon", "/usr/sbin/netmon");
	const struct herd_machine_finding *f;

	(void)state;
	f = told(h, p, HERD_MARK_NEW_PROCESS, 80);
	assert_string_equal(f->key, "netmon /usr/sbin/netmon");
	assert_string_equal(f->why, "new process; none of 5 others; T1543");
	assert_int_equal(f->count, 1);
	assert_int_equal(f->members, 6);
	herd_free(h);
}

/* A job of cron's passes; what a job leaves behind does not. */
static void what_a_job_left_behind(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p =
		intruder(victim(h), "/usr/sbin/netmon", "/usr/sbin/netmon");

	(void)state;
	free(p->cgroup);
	p->cgroup = copy("/system.slice/cron.service");
	told(h, p, HERD_MARK_NEW_PROCESS, 80);
	p->ppid = find(victim(h), "/usr/sbin/cron")->pid;
	not_told(h, p, HERD_MARK_NEW_PROCESS);
	herd_free(h);
}

/* Two of six have it: less, but told on both. */
static void two_of_six(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p;

	(void)state;
	process(h->m[ANYBODY], 901, 1, "netmon", "/usr/sbin/netmon", "netmon");
	p = intruder(victim(h), "/usr/sbin/netmon", "netmon");
	assert_int_equal(judge(h, VICTIM), 0);
	const struct herd_machine_finding *f = of_process(h, p);

	assert_non_null(f);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_int_equal(f->count, 2);
	assert_true(f->rank > 40 && f->rank < 70);
	assert_non_null(strstr(f->why, "1 of 5 others"));
	herd_free(h);
}

static void code_in_anonymous_memory(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");

	(void)state;
	vma(p, HERD_NO_INDEX, RX, "");
	assert_true(told(h, p, HERD_MARK_ANON_EXEC, 70)->severity >= 60);
	/* of a file that could not be read it is not anonymous */
	p->vmas[p->n_vmas - 1].flags |= HERD_VMA_UNNAMED;
	not_told(h, p, HERD_MARK_ANON_EXEC);
	p->vmas[p->n_vmas - 1].flags |= HERD_VM_WRITE;
	told(h, p, HERD_MARK_WX, 40);
	p->vmas[p->n_vmas - 1].flags = RX;
	told(h, p, HERD_MARK_ANON_EXEC, 70);
	/* nginx compiles expressions: everybody's has such */
	not_told(h, find(victim(h), "/usr/sbin/nginx"), HERD_MARK_ANON_EXEC);
	for (unsigned i = 0; i < 6; i++)
		if (i != VICTIM)
			vma(find(h->m[i], "/usr/sbin/cron"), HERD_NO_INDEX, RX,
			    "");
	not_told(h, p, HERD_MARK_ANON_EXEC);
	herd_free(h);
}

static void writable_and_executable(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/rsyslogd");

	(void)state;
	vma(p, HERD_NO_INDEX, RWX, "");
	assert_non_null(strstr(told(h, p, HERD_MARK_WX, 70)->why, "rwxp"));
	/* where code is made, too: nobody else's is writable as well */
	p->vmas[p->n_vmas - 1].flags = HERD_VM_READ;
	p = find(victim(h), "/usr/sbin/nginx");
	vma(p, HERD_NO_INDEX, RWX, "");
	told(h, p, HERD_MARK_WX, 70);
	herd_free(h);
}

static void a_deleted_program(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = intruder(victim(h), "/opt/x", "/opt/x");

	(void)state;
	victim(h)->files[p->exe].deleted = true;
	told(h, p, HERD_MARK_DELETED_EXE, 80);
	herd_free(h);
}

static void a_program_that_was_upgraded(void **state)
{
	struct herd *h = herd_of(6);
	struct says says = { "/usr/sbin/cron", HERD_CLASS_SAME };
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	const struct herd_machine_finding *f;
	uint8_t without;

	(void)state;
	victim(h)->files[p->exe].deleted = true;
	without = told(h, p, HERD_MARK_DELETED_EXE, 80)->rank;
	h->disk = disk_says;
	h->arg = &says;
	f = told(h, p, HERD_MARK_DELETED_EXE, 30);
	assert_true(f->rank < without);
	assert_non_null(strstr(f->why, "as by an upgrade"));
	/* what is there now is the intruder's */
	says.class = HERD_CLASS_DEVIANT;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_true(of_process(h, p)->rank >= without);
	assert_non_null(strstr(of_process(h, p)->why, "now deviates"));
	/* packages vouch for what is there now */
	says.class = HERD_CLASS_VOLATILE;
	not_told(h, p, HERD_MARK_DELETED_EXE);
	assert_int_equal(of_process(h, p)->class, HERD_CLASS_VOLATILE);
	/* everybody was upgraded */
	says.path = "/nowhere";
	for (unsigned i = 0; i < 6; i++) {
		struct herd_process *q;

		if (i == VICTIM)
			continue;
		q = find(h->m[i], "/usr/sbin/cron");
		h->m[i]->files[q->exe].deleted = true;
	}
	not_told(h, p, HERD_MARK_DELETED_EXE);
	herd_free(h);
}

static void a_program_on_no_disk(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p =
		intruder(victim(h), "/memfd:x", "[kworker/1:2]");
	struct herd_mfile *f = &victim(h)->files[p->exe];
	const struct herd_machine_finding *said;

	(void)state;
	f->kind = HERD_MFILE_MEMFD;
	f->deleted = true;
	said = told(h, p, HERD_MARK_MEMFD_EXE, 90);
	assert_true(said->marks & HERD_MARK_FAKE_KTHREAD);
	assert_true(said->severity >= 90);
	herd_free(h);
}

static void loaders_variables(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");

	(void)state;
	env(p, "LD_PRELOAD=/usr/lib/libsystem.so");
	assert_non_null(strstr(told(h, p, HERD_MARK_LD_ENV, 70)->why,
			       "LD_PRELOAD=/usr/lib/libsystem.so"));
	/* all have the same LD_LIBRARY_PATH */
	not_told(h, find(victim(h), "/usr/bin/python3.11"), HERD_MARK_LD_ENV);
	herd_free(h);
}

static void a_name_unlike_the_program(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/rsyslogd");

	(void)state;
	snprintf(p->comm, sizeof(p->comm), "backup");
	told(h, p, HERD_MARK_COMM, 70);
	herd_free(h);
}

static void an_impostor_of_a_kernel_thread(void **state)
{
	static const struct {
		const char *comm, *words;
	} all[] = { { "kworker/0:3", "/usr/sbin/helper" },
		    { "helper", "[kworker/u8:1]" },
		    { "irq/31-pciehp", "/usr/sbin/helper" },
		    { "ksoftirqd/7", "ksoftirqd/7" } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		struct herd *h = herd_of(6);
		struct herd_process *p =
			intruder(victim(h), "/usr/sbin/helper", all[i].words);

		process(victim(h), 92, 2, "irq/9-pciehp", "", "");
		p = find(victim(h), "/usr/sbin/helper");
		snprintf(p->comm, sizeof(p->comm), "%s", all[i].comm);
		assert_true(told(h, p, HERD_MARK_FAKE_KTHREAD, 85)->severity >=
			    90);
		herd_free(h);
	}
}

static void a_hidden_task(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	const struct herd_machine_finding *f;

	(void)state;
	p->seen = HERD_SEEN_SLAB;
	f = told(h, p, HERD_MARK_HIDDEN, 85);
	assert_non_null(strstr(
		f->why,
		"in the slab, not in the list of tasks, not in the table of pids"));
	p->seen = HERD_SEEN_SLAB | HERD_SEEN_PIDS;
	told(h, p, HERD_MARK_HIDDEN, 85);
	/* one that is going is nowhere for a moment */
	p->exiting = true;
	not_told(h, p, HERD_MARK_HIDDEN);
	/* an image without the table of pids hides nothing */
	p->exiting = false;
	for (size_t i = 0; i < victim(h)->n_processes; i++)
		victim(h)->processes[i].seen = HERD_SEEN_LIST;
	not_told(h, p, HERD_MARK_HIDDEN);
	herd_free(h);
}

/* What could not be read to its end says nothing of who is not in it. */
static void a_task_that_an_unread_list_lacks(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	const struct herd_machine_finding *f;

	(void)state;
	p->seen = HERD_SEEN_SLAB | HERD_SEEN_PIDS;
	victim(h)->unread = HERD_UNREAD_TASKS;
	not_told(h, p, HERD_MARK_HIDDEN);
	/* the other one was read */
	p->seen = HERD_SEEN_SLAB;
	f = told(h, p, HERD_MARK_HIDDEN, 85);
	assert_non_null(
		strstr(f->why, "in the slab, not in the table of pids"));
	victim(h)->unread = HERD_UNREAD_PIDS;
	f = told(h, p, HERD_MARK_HIDDEN, 85);
	assert_non_null(
		strstr(f->why, "in the slab, not in the list of tasks"));
	assert_null(strstr(f->why, "not in the table of pids"));
	victim(h)->unread = HERD_UNREAD_TASKS | HERD_UNREAD_PIDS;
	not_told(h, p, HERD_MARK_HIDDEN);
	herd_free(h);
}

static void a_hidden_thread(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");

	(void)state;
	p->threads = more(p->threads, 1, sizeof(*p->threads));
	p->n_threads = 2;
	p->threads[1].tid = 5000;
	p->threads[1].seen = HERD_SEEN_SLAB;
	p->threads[1].state = 'S';
	told(h, p, HERD_MARK_HIDDEN, 85);
	/* the list of its threads is broken off; the table of pids is not */
	p->threads_unread = true;
	told(h, p, HERD_MARK_HIDDEN, 85);
	p->threads[1].seen |= HERD_SEEN_PIDS;
	not_told(h, p, HERD_MARK_HIDDEN);
	p->threads_unread = false;
	told(h, p, HERD_MARK_HIDDEN, 85);
	herd_free(h);
}

static void patched_text(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/sshd");
	const char *libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
	struct herd_page_change *c = change(victim(h), p, libc, 77);
	const struct herd_machine_finding *f;

	(void)state;
	f = told(h, p, HERD_MARK_TEXT, 85);
	assert_non_null(strstr(f->why, "page 77 of"));
	assert_true(f->severity >= 90);
	/* all run sshd; one has this page */
	assert_int_equal(f->count, 1);
	assert_int_equal(f->key_count, 6);
	assert_int_equal(f->members, 6);
	change(h->m[ANYBODY], find(h->m[ANYBODY], "/usr/sbin/sshd"), libc, 77);
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(of_process(h, p)->count, 2);
	h->m[ANYBODY]->n_page_changes = 0;
	/* a debugger's, relocated: told, and no more */
	c->kind = HERD_CHANGE_BREAKPOINTS;
	not_told(h, p, HERD_MARK_TEXT);
	assert_non_null(strstr(of_process(h, p)->why, "a debugger"));
	c->kind = HERD_CHANGE_RELOCATIONS;
	not_told(h, p, HERD_MARK_TEXT);
	/* who writes to it everywhere is the program itself */
	c->kind = HERD_CHANGE_OTHER;
	for (unsigned i = 0; i < 6; i++)
		if (i != VICTIM)
			change(h->m[i], find(h->m[i], "/usr/sbin/sshd"), libc,
			       77);
	not_told(h, p, HERD_MARK_TEXT);
	herd_free(h);
}

static struct herd_flock *flock_of(struct herd *h)
{
	struct herd_flock *f;

	assert_int_equal(herd_flock_create(&f), 0);
	for (unsigned i = 0; i < h->n; i++) {
		struct herd_traits *t;

		assert_int_equal(herd_traits_make(h->m[i], &t), 0);
		assert_int_equal(herd_flock_add(f, i, t), 0);
		herd_traits_destroy(t);
	}
	return f;
}

static struct herd_page_others beside(struct herd *h, unsigned who,
				      const struct herd_page_change *c)
{
	struct herd_page_places *places;
	struct herd_flock *f = flock_of(h);
	struct herd_page_others o;

	assert_int_equal(herd_page_places_make(h->m[who], &places), 0);
	assert_int_equal(herd_flock_page(f, who, places, c, &o), 0);
	herd_page_places_destroy(places);
	herd_flock_destroy(f);
	return o;
}

static void digest(struct herd_machine *m, const char *path, uint64_t index,
		   uint8_t fill)
{
	m->page_digests = more(m->page_digests, m->n_page_digests,
			       sizeof(*m->page_digests));
	struct herd_page_digest *d = &m->page_digests[m->n_page_digests++];

	d->file = file_at(m, path);
	d->index = index;
	memset(d->digest, fill, sizeof(d->digest));
}

/* What siblings have there, without what is its own. */
static void a_page_beside_the_siblings(void **state)
{
	struct herd *h = herd_of(6);
	const char *libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
	struct herd_page_change *c =
		change(victim(h), find(victim(h), "/usr/sbin/sshd"), libc, 77);
	struct herd_page_others o = beside(h, VICTIM, c);
	char hex[33];

	(void)state;
	assert_int_equal(o.all, 5);
	assert_int_equal(o.changed, 0);
	assert_int_equal(o.unvouched, 0);
	assert_string_equal(o.top, "");
	/* one with this very page, one with another, one not comparable */
	change(h->m[0], find(h->m[0], "/usr/sbin/sshd"), libc, 77);
	memset(change(h->m[1], NULL, libc, 77)->digest, 9, 32);
	change(h->m[2], NULL, libc, 77)->against = HERD_AGAINST_NOTHING;
	change(h->m[3], NULL, libc, 78);
	o = beside(h, VICTIM, c);
	assert_int_equal(o.changed, 2);
	assert_int_equal(o.changed_same, 1);
	assert_int_equal(o.open, 1);
	assert_int_equal(o.open_same, 1);
	assert_int_equal(beside(h, ANYBODY, c).all, 5);
	/* no disks: all have one, and it another */
	for (unsigned i = 0; i < 6; i++)
		digest(h->m[i], libc, 77, i == VICTIM ? 78 : 5);
	o = beside(h, VICTIM, c);
	assert_int_equal(o.unvouched, 5);
	assert_int_equal(o.unvouched_same, 0);
	assert_int_equal(o.unvouched_top, 5);
	memset(h->m[0]->page_digests[0].digest, 5, 16);
	assert_string_equal(o.top,
			    herd_hex(h->m[0]->page_digests[0].digest, 16, hex));
	herd_free(h);
}

/* As many as an image may have; each is told what is so at its place. */
static void very_many_pages(void **state)
{
	enum { PAGES = 30000, DIGESTS = 100000 };
	struct herd *h = herd_of(6);
	struct herd_machine *m = victim(h);
	const char *libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
	struct herd_page_places *places;
	struct herd_page_others o;
	struct herd_flock *f;

	(void)state;
	for (unsigned i = 0; i < PAGES; i++) {
		change(m, find(m, "/usr/sbin/sshd"), libc, i);
		if (i % 3 == 0)
			change(h->m[ANYBODY], NULL, libc, i);
	}
	change(m, NULL, libc, 7);
	for (unsigned i = 1; i < DIGESTS; i += 2)
		digest(m, i % 4 == 1 ? libc : "/usr/lib/other", i, 1);
	assert_int_equal(herd_page_places_make(m, &places), 0);
	f = flock_of(h);
	for (unsigned i = 0; i < PAGES; i++) {
		const struct herd_page_change *c = &m->page_changes[i];

		assert_int_equal(herd_flock_page(f, VICTIM, places, c, &o), 0);
		assert_int_equal(o.all, 5);
		assert_int_equal(o.changed, i % 3 == 0);
		assert_int_equal(o.changed_same, i % 3 == 0);
		assert_int_equal(o.unvouched, 0); /* but its own */
		assert_int_equal(herd_page_cache_is_disks(places, c),
				 i % 4 != 1 && i != 7);
	}
	assert_true(herd_page_places_cost(places) > PAGES * 16);
	herd_flock_destroy(f);
	herd_page_places_destroy(places);
	herd_free(h);
}

/* Not seen is not patched. */
static void a_page_that_could_not_be_compared(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/sshd");
	const char *libc = "/usr/lib/x86_64-linux-gnu/libc.so.6";
	struct herd_page_change *c;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		c = change(victim(h), p, libc, i);
		c->against = HERD_AGAINST_NOTHING;
		c->bytes = 0;
	}
	assert_int_equal(judge(h, VICTIM), 0);
	assert_null(of_process(h, p));
	/* one that was compared is not hidden behind those */
	change(victim(h), p, libc, 177);
	assert_non_null(
		strstr(told(h, p, HERD_MARK_TEXT, 85)->why, "page 177 of"));
	herd_free(h);
}

static void text_patched_in_the_cache(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_machine *m = victim(h);
	uint32_t sshd = find(m, "/usr/sbin/sshd")->exe;
	struct herd_page_change *c = change(m, NULL, "/usr/sbin/sshd", 3);
	const struct herd_machine_finding *f;

	(void)state;
	assert_int_equal(judge(h, VICTIM), 0);
	f = finding(h, HERD_SUBJECT_FILE, sshd);
	assert_non_null(f);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->rank >= 85);
	assert_int_equal(deviants(h, true), 2); /* and who runs it */
	assert_true(of_process(h, find(m, "/usr/sbin/sshd"))->marks &
		    HERD_MARK_TEXT);
	/* it only has to be written */
	c->kind = HERD_CHANGE_UNWRITTEN;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	assert_non_null(strstr(finding(h, HERD_SUBJECT_FILE, sshd)->why,
			       "not yet written"));
	herd_free(h);
}

/* libc is everybody's: the file is told, not forty processes. */
static void a_patched_library_of_all(void **state)
{
	struct herd *h = herd_of(6);

	(void)state;
	change(victim(h), NULL, "/usr/lib/x86_64-linux-gnu/libc.so.6", 3);
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, false), 1);
	herd_free(h);
}

/* Files that no disk vouches for are held against the siblings'. */
static void pages_by_siblings(void **state)
{
	struct herd *h = herd_of(6);
	uint32_t file = find(victim(h), "/usr/sbin/cron")->exe;
	struct herd_page_digest *d;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		struct herd_machine *m = h->m[i];
		struct herd_page_digest *v = zeros(20, sizeof(*v));

		for (size_t k = 0; k < 20; k++) {
			v[k].file = find(m, "/usr/sbin/cron")->exe;
			v[k].index = k;
			v[k].digest[0] = (uint8_t)k;
		}
		m->page_digests = v;
		m->n_page_digests = 20;
	}
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	d = victim(h)->page_digests;
	d[7].digest[1] = 1;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, false), 1);
	assert_non_null(strstr(finding(h, HERD_SUBJECT_FILE, file)->why,
			       "page 7 is another one"));
	/* nobody else is blamed for the victim's */
	assert_int_equal(judge(h, ANYBODY), 0);
	assert_int_equal(deviants(h, true), 0);
	/* another version is another in most pages */
	for (size_t k = 0; k < 20; k++)
		d[k].digest[1] = 1;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	herd_free(h);
}

static void a_reverse_shell(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p =
		process(victim(h), 900, 1, "bash", "/usr/bin/bash", "bash|-i");
	const struct herd_machine_finding *f;

	(void)state;
	for (int fd = 0; fd < 3; fd++)
		tcp(victim(h), p, fd, "10.0.0.9", 51000, "203.0.113.5", 4444);
	f = told(h, p, HERD_MARK_STDIO_SOCKET, 85);
	assert_true(f->marks & HERD_MARK_CONNECTION);
	assert_int_equal(f->severity, 95);
	assert_non_null(strstr(f->why, "203.0.113.5:4444"));
	herd_free(h);
}

/* In a herd of one, too. */
static void a_shell_with_a_connection(void **state)
{
	struct herd *h = herd_of(1);
	struct herd_process *p;
	const struct herd_machine_finding *f;

	(void)state;
	p = process(h->m[0], 900, 1, "sh", "/usr/bin/dash",
		    "sh|-c|while read l");
	tcp(h->m[0], p, 5, "10.0.0.9", 51000, "203.0.113.5", 443);
	assert_int_equal(judge(h, 0), 0);
	f = finding(h, HERD_SUBJECT_PROCESS,
		    (uint32_t)(p - h->m[0]->processes));
	assert_non_null(f);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->marks & HERD_MARK_CONNECTION);
	herd_free(h);
}

static void code_of_a_deleted_file(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	uint32_t lib = file_at(victim(h), "/usr/lib/libhelp.so");

	(void)state;
	vma(p, lib, RX, "");
	victim(h)->files[lib].deleted = true;
	told(h, p, HERD_MARK_DELETED_LIB, 70);
	victim(h)->files[lib].kind = HERD_MFILE_MEMFD;
	told(h, p, HERD_MARK_DELETED_LIB, 70);
	herd_free(h);
}

static void one_that_is_traced(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/sshd");

	(void)state;
	p->threads[0].state = 't';
	assert_true(told(h, p, HERD_MARK_PTRACED, 70)->severity <= 50);
	herd_free(h);
}

static void who_sees_packets(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	struct herd_socket *s = tcp(victim(h), p, 7, "0.0.0.0", 0, NULL, 0);

	(void)state;
	s->family = AF_PACKET;
	s->type = SOCK_RAW;
	told(h, p, HERD_MARK_ODD_FAMILY, 70);
	s->family = AF_INET;
	s->protocol = IPPROTO_ICMP;
	told(h, p, HERD_MARK_ODD_FAMILY, 70);
	herd_free(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(healthy_herds_have_no_deviants),
		cmocka_unit_test(kernel_threads_are_alike),
		cmocka_unit_test(transient_ones_are_told_as_such),
		cmocka_unit_test(a_new_process),
		cmocka_unit_test(what_a_job_left_behind),
		cmocka_unit_test(two_of_six),
		cmocka_unit_test(code_in_anonymous_memory),
		cmocka_unit_test(writable_and_executable),
		cmocka_unit_test(a_deleted_program),
		cmocka_unit_test(a_program_that_was_upgraded),
		cmocka_unit_test(a_program_on_no_disk),
		cmocka_unit_test(loaders_variables),
		cmocka_unit_test(a_name_unlike_the_program),
		cmocka_unit_test(an_impostor_of_a_kernel_thread),
		cmocka_unit_test(a_hidden_task),
		cmocka_unit_test(a_task_that_an_unread_list_lacks),
		cmocka_unit_test(a_hidden_thread),
		cmocka_unit_test(patched_text),
		cmocka_unit_test(a_page_beside_the_siblings),
		cmocka_unit_test(very_many_pages),
		cmocka_unit_test(a_page_that_could_not_be_compared),
		cmocka_unit_test(text_patched_in_the_cache),
		cmocka_unit_test(a_patched_library_of_all),
		cmocka_unit_test(pages_by_siblings),
		cmocka_unit_test(a_reverse_shell),
		cmocka_unit_test(a_shell_with_a_connection),
		cmocka_unit_test(code_of_a_deleted_file),
		cmocka_unit_test(one_that_is_traced),
		cmocka_unit_test(who_sees_packets),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
