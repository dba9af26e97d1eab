/* SPDX-License-Identifier: Apache-2.0 */
/* The judgement: what the herd has otherwise, its kernels, small herds. */
#include "machine_told.h"

/* ---- against the herd's ---- */

static void another_program_of_that_name(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = process(victim(h), 900, 1, "sshd",
					 "/usr/local/sbin/sshd", "sshd|-D");
	const struct herd_machine_finding *f;

	(void)state;
	tcp(victim(h), p, 3, "0.0.0.0", 2222, NULL, 0);
	f = told(h, p, HERD_MARK_EXE, 80);
	assert_non_null(
		strstr(f->why, "that name is /usr/sbin/sshd elsewhere"));
	assert_true(f->marks & HERD_MARK_LISTEN);
	herd_free(h);
}

static void other_arguments(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");

	(void)state;
	argv(p, "/usr/sbin/cron|-f|-L|15");
	assert_non_null(strstr(told(h, p, HERD_MARK_ARGV, 50)->why,
			       "the herd's /usr/sbin/cron -f"));
	herd_free(h);
}

static void other_rights(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/bin/python3.11");

	(void)state;
	p->uid = p->euid = p->suid = 0;
	p->cap_effective = 0x1ffffffffff;
	assert_true(told(h, p, HERD_MARK_CREDS, 70)->severity >= 75);
	/* users are numbered in the order in which they come */
	for (unsigned i = 0; i < h->n; i++) {
		struct herd_process *q = find(h->m[i], "/usr/bin/dbus-daemon");

		q->uid = q->euid = q->suid = i == VICTIM ? 104 : 105;
	}
	not_told(h, find(victim(h), "/usr/bin/dbus-daemon"), HERD_MARK_CREDS);
	herd_free(h);
}

static void another_parent(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		process(h->m[i], 950, find(h->m[i], "/usr/sbin/cron")->pid,
			"helper", "/usr/lib/helper", "helper");
	p = find(victim(h), "/usr/lib/helper");
	not_told(h, p, HERD_MARK_PARENT);
	/* cron's children pass: make them nginx's */
	for (unsigned i = 0; i < 6; i++)
		find(h->m[i], "/usr/lib/helper")->ppid =
			find(h->m[i], "/usr/sbin/nginx")->pid;
	not_told(h, p, HERD_MARK_PARENT);
	p->ppid = find(victim(h), "/usr/bin/python3.11")->pid;
	told(h, p, HERD_MARK_PARENT, 70);
	/* orphans are init's */
	p->ppid = 1;
	not_told(h, p, HERD_MARK_PARENT);
	herd_free(h);
}

static void other_namespaces(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");

	(void)state;
	p->ns[HERD_NS_NET] += 1000;
	told(h, p, HERD_MARK_NAMESPACE, 70);
	/* one of its own has another number on each machine */
	not_told(h, find(victim(h), "/usr/lib/systemd/systemd-journald"),
		 HERD_MARK_NAMESPACE);
	herd_free(h);
}

static void other_libraries(void **state)
{
	struct herd *h = herd_of(6);
	struct says says = { "/usr/lib/libhelp.so", HERD_CLASS_DEVIANT };
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	struct herd_vma *v;

	(void)state;
	h->disk = disk_says;
	h->arg = &says;
	vma(p, file_at(victim(h), "/usr/lib/libhelp.so"), RX, "");
	/* the disk's deviant: the file is told, too */
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, false), 2);
	assert_true(of_process(h, p)->marks & HERD_MARK_LIBRARIES);
	assert_true(of_process(h, p)->marks & HERD_MARK_DISK);
	/* all have it on the disk: it was only loaded here */
	says.class = HERD_CLASS_SAME;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	/* unless it is from where no libraries are */
	v = &p->vmas[p->n_vmas - 1];
	v->file = file_at(victim(h), "/dev/shm/x.so");
	told(h, p, HERD_MARK_LIBRARIES, 70);
	/* another process of the herd has the library: a plugin */
	v->file = file_at(victim(h), "/usr/lib/x86_64-linux-gnu/libgpm.so.2.1");
	not_told(h, p, HERD_MARK_LIBRARIES);
	herd_free(h);
}

static void one_that_listens(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	struct herd_socket *s = tcp(victim(h), p, 9, "0.0.0.0", 4444, NULL, 0);

	(void)state;
	assert_non_null(strstr(told(h, p, HERD_MARK_LISTEN, 80)->why,
			       "tcp 0.0.0.0:4444"));
	/* on the loopback, and of UDP a port that comes and goes, less */
	inet_pton(AF_INET, "127.0.0.1", s->local);
	not_told(h, p, HERD_MARK_LISTEN);
	inet_pton(AF_INET, "0.0.0.0", s->local);
	s->type = SOCK_DGRAM;
	s->state = 7;
	s->local_port = 44444;
	not_told(h, p, HERD_MARK_LISTEN);
	s->local_port = 4444;
	told(h, p, HERD_MARK_LISTEN, 80);
	herd_free(h);
}

static void a_connection(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");
	struct herd_socket *s =
		tcp(victim(h), p, 9, "10.0.0.9", 50123, "203.0.113.5", 8443);

	(void)state;
	told(h, p, HERD_MARK_CONNECTION, 80);
	/* everybody may ask the web, or be asked */
	s->remote_port = 443;
	not_told(h, p, HERD_MARK_CONNECTION);
	s->remote_port = 50555;
	s->local_port = 80;
	not_told(h, p, HERD_MARK_CONNECTION);
	herd_free(h);
}

static void a_variable(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/bin/python3.11");

	(void)state;
	env(p, "PYTHONPATH=/var/lib/x");
	told(h, p, HERD_MARK_ENVIRON, 70);
	herd_free(h);
}

static void a_file_that_deviates_on_the_disk(void **state)
{
	struct herd *h = herd_of(6);
	struct says says = { "/usr/sbin/cron", HERD_CLASS_DEVIANT };
	struct herd_process *p = find(victim(h), "/usr/sbin/cron");

	(void)state;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	h->disk = disk_says;
	h->arg = &says;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, false), 2); /* the file, and it */
	assert_true(of_process(h, p)->marks & HERD_MARK_DISK);
	/* a script is no file in memory */
	says.path = "/opt/app/main.py";
	p = find(victim(h), "/usr/bin/python3.11");
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, false), 1);
	assert_true(of_process(h, p)->marks & HERD_MARK_DISK);
	herd_free(h);
}

static void one_that_is_missing(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/rsyslogd");
	const struct herd_machine_finding *f;

	(void)state;
	/* it is there, and is another now */
	snprintf(victim(h)->files[p->exe].path, 19, "/usr/sbin/rsyslogx");
	assert_int_equal(judge(h, VICTIM), 0);
	f = finding(h, HERD_SUBJECT_PROCESS, HERD_NO_INDEX);
	assert_non_null(f);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_string_equal(f->key, "/usr/sbin/rsyslogd");
	assert_int_equal(f->marks, HERD_MARK_MISSING);
	assert_true(f->severity >= 75);
	assert_int_equal(f->count, 1); /* that lack it */
	assert_int_equal(f->key_count, 5);
	assert_non_null(strstr(f->why, "T1685"));
	/* not yet: it has only just started */
	victim(h)->uptime_ns = 30 * SECOND;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(finding(h, HERD_SUBJECT_PROCESS, HERD_NO_INDEX)->class,
			 HERD_CLASS_VOLATILE);
	herd_free(h);
}

/* Who could not be read is not missing, and not new. */
static void one_that_could_not_be_read(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p = find(victim(h), "/usr/sbin/rsyslogd");
	const struct herd_machine_finding *f;
	const uint32_t file = p->exe;

	(void)state;
	/* arguments that are swapped out are no excuse, those of an image that
	   lacks more are */
	p->args_unreadable = true;
	p->exe = HERD_NO_INDEX;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(of_process(h, p)->class, HERD_CLASS_DEVIANT);
	victim(h)->unread = HERD_UNREAD_MODULES;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(of_process(h, p)->class, HERD_CLASS_VOLATILE);
	victim(h)->unread = 0;
	p->args_unreadable = false;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(finding(h, HERD_SUBJECT_PROCESS, HERD_NO_INDEX)->class,
			 HERD_CLASS_DEVIANT);
	assert_int_equal(of_process(h, p)->class, HERD_CLASS_DEVIANT);
	free(p->problem);
	p->problem = copy("its program could not be named");
	assert_int_equal(judge(h, VICTIM), 0);
	f = finding(h, HERD_SUBJECT_PROCESS, HERD_NO_INDEX);
	assert_int_equal(f->class, HERD_CLASS_VOLATILE);
	assert_non_null(strstr(f->why, "not all processes could be read"));
	f = of_process(h, p);
	assert_int_equal(f->class, HERD_CLASS_VOLATILE);
	assert_non_null(strstr(f->why, "its program or its arguments could"));
	/* lists: one that is whole has everybody */
	p->exe = file;
	snprintf(victim(h)->files[file].path, 19, "/usr/sbin/rsyslogx");
	victim(h)->unread = HERD_UNREAD_TASKS;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(finding(h, HERD_SUBJECT_PROCESS, HERD_NO_INDEX)->class,
			 HERD_CLASS_DEVIANT);
	victim(h)->unread |= HERD_UNREAD_PIDS;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(finding(h, HERD_SUBJECT_PROCESS, HERD_NO_INDEX)->class,
			 HERD_CLASS_VOLATILE);
	herd_free(h);
}

/* ---- the kernel ---- */

static const struct herd_machine_finding *
last_of(struct herd *h, enum herd_machine_subject s, size_t n)
{
	const struct herd_machine_finding *f;

	assert_int_equal(judge(h, VICTIM), 0);
	f = finding(h, s, (uint32_t)n - 1);
	assert_non_null(f);
	return f;
}

static void an_alien_module(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_module *o = module(victim(h), "netmon");
	const struct herd_machine_finding *f;

	(void)state;
	o->taints = 1u << 12 | 1u << 13;
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->rank >= 80 && f->severity >= 85);
	assert_string_equal(f->key, "netmon");
	/* one of the kernel's own says less, one for ss nothing */
	o->taints = 0;
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->severity < 60);
	snprintf(o->name, sizeof(o->name), "udp_diag");
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_int_equal(f->class, HERD_CLASS_VOLATILE);
	herd_free(h);
}

static void a_hidden_module(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_module *o = module(victim(h), "rootkit");
	const struct herd_machine_finding *f;

	(void)state;
	o->seen = HERD_MODULE_TREE;
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->marks & HERD_MARK_HIDDEN && f->severity == 95);
	/* the list could not be read: it may be in it; new it is all the same */
	victim(h)->unread = HERD_UNREAD_MODULES;
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_non_null(f);
	assert_int_equal(f->marks & HERD_MARK_HIDDEN, 0);
	assert_true(f->marks & HERD_MARK_MODULE);
	assert_non_null(strstr(f->why, "whether it is hidden is not known"));
	herd_free(h);
}

/* A byte in a name is written in a moment, and hides nothing. */
static void a_module_unlike_any(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_module *o = module(victim(h), "root\033[31mkit");
	const struct herd_machine_finding *f;

	(void)state;
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->marks & HERD_MARK_ODD_MODULE);
	assert_true(f->rank >= 85 && f->severity == 95);
	assert_null(strchr(f->key, '\033'));
	o->name[0] = '\0';
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_true(f->marks & HERD_MARK_ODD_MODULE);
	assert_string_equal(f->key, "(no name)");
	snprintf(o->name, sizeof(o->name), "netmon");
	o->state = '?';
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_true(f->marks & HERD_MARK_ODD_MODULE);
	o->state = 'L';
	f = last_of(h, HERD_SUBJECT_MODULE, victim(h)->n_modules);
	assert_false(f->marks & HERD_MARK_ODD_MODULE);
	herd_free(h);
}

static void a_patched_module(void **state)
{
	struct herd *h = herd_of(6);
	const struct herd_machine_finding *f;

	(void)state;
	victim(h)->modules[1].text[5] ^= 1;
	f = last_of(h, HERD_SUBJECT_MODULE, 2);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->marks & HERD_MARK_TEXT);
	/* another kernel's is another */
	snprintf(victim(h)->facts.release, 20, "6.1.0-43-amd64");
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	herd_free(h);
}

static void a_hook(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_hook *k = hook(victim(h), HERD_HOOK_SYSCALL,
				   "sys_call_table[62]",
				   "rootkit+0x1a0 [rootkit]");
	const struct herd_machine_finding *f;

	(void)state;
	f = last_of(h, HERD_SUBJECT_HOOK, victim(h)->n_hooks);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->rank >= 85 && f->severity == 95);
	k->expected = true;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	herd_free(h);
}

static void a_socket_of_nobody(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_socket *s =
		tcp(victim(h), NULL, -1, "0.0.0.0", 31337, NULL, 0);
	const struct herd_machine_finding *f;

	(void)state;
	f = last_of(h, HERD_SUBJECT_SOCKET, victim(h)->n_sockets);
	assert_int_equal(f->class, HERD_CLASS_DEVIANT);
	assert_true(f->marks & HERD_MARK_LISTEN);
	/* closing ones have no owner any more */
	s->state = 6;
	s->remote_port = 5;
	assert_int_equal(judge(h, VICTIM), 0);
	assert_int_equal(deviants(h, true), 0);
	herd_free(h);
}

/* ---- small herds ---- */

/* With one or two, what is odd in itself is all there is. */
static void small_herds(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		struct herd *h = herd_of(n);
		struct herd_process *p =
			process(h->m[0], 900, 1, "upd", "/usr/sbin/upd", "upd");
		const struct herd_machine_finding *f;

		tcp(h->m[0], p, 3, "0.0.0.0", 4444, NULL, 0);
		assert_int_equal(judge(h, 0), 0);
		assert_int_equal(deviants(h, true), 0);
		h->m[0]->files[p->exe].deleted = true;
		assert_int_equal(judge(h, 0), 0);
		assert_int_equal(deviants(h, true), 1);
		f = finding(h, HERD_SUBJECT_PROCESS,
			    (uint32_t)(p - h->m[0]->processes));
		assert_int_equal(f->class, HERD_CLASS_DEVIANT);
		assert_true(f->rank >= 50);
		herd_free(h);
	}
}

/* Deviating, that is; 0: nothing is said. */
static enum herd_class class_of(struct herd *h, enum herd_machine_subject s,
				size_t n)
{
	const struct herd_machine_finding *f;

	assert_int_equal(judge(h, 0), 0);
	f = finding(h, s, (uint32_t)n - 1);
	return f ? f->class : HERD_CLASS_SAME;
}

#define OUT_OF_TREE (1u << 12)
#define UNSIGNED (1u << 13)
#define FORCED (1u << 1)

/* Without a herd: nobody vouches for it, or somebody does. */
static void a_module_of_one_or_two(void **state)
{
	static const struct {
		uint32_t taints;
		enum herd_class class;
	} cases[] = {
		{ 0, HERD_CLASS_SAME },
		{ OUT_OF_TREE, HERD_CLASS_VOLATILE },
		{ OUT_OF_TREE | UNSIGNED, HERD_CLASS_DEVIANT },
		{ UNSIGNED, HERD_CLASS_DEVIANT },
		{ FORCED, HERD_CLASS_DEVIANT },
	};

	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		struct herd *h = herd_of(n);
		struct herd_module *o = module(h->m[0], "netmon");

		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			o->taints = cases[i].taints;
			assert_int_equal(class_of(h, HERD_SUBJECT_MODULE,
						  h->m[0]->n_modules),
					 cases[i].class);
		}
		if (n > 1) { /* the other has it, too */
			module(h->m[1], "netmon")->taints = UNSIGNED;
			assert_int_equal(class_of(h, HERD_SUBJECT_MODULE,
						  h->m[0]->n_modules),
					 HERD_CLASS_SAME);
		}
		herd_free(h);
	}
}

/* A kernel that somebody built and signs nothing for: none of its own is told,
   and none that traces. */
static void a_kernel_whose_modules_are_not_signed(void **state)
{
	static const char *const names[] = { "ext4", "jbd2", "virtio_net",
					     "overlay", "netmon" };
	struct herd *h = herd_of(1);
	struct herd_machine *m = h->m[0];
	struct herd_module *o = NULL;
	struct herd_hook *k;
	size_t before = m->n_modules;

	(void)state;
	for (size_t i = 0; i < before; i++)
		m->modules[i].taints = UNSIGNED;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		o = module(m, names[i]);
		o->taints = UNSIGNED;
	}
	for (size_t i = 0; i < m->n_modules; i++)
		assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, i + 1),
				 HERD_CLASS_SAME);
	k = hook(m, HERD_HOOK_FTRACE, "__x64_sys_getdents64",
		 "netmon+0x10 [module]");
	o->base = 0xffffffffc0400000;
	o->size = 0x2000;
	k->target = o->base + 0x10;
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_VOLATILE);
	/* what is nobody's is told as ever */
	o->taints |= OUT_OF_TREE;
	assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, m->n_modules),
			 HERD_CLASS_DEVIANT);
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_DEVIANT);
	o->taints = UNSIGNED | FORCED;
	assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, m->n_modules),
			 HERD_CLASS_DEVIANT);
	/* where the others are signed, it is one of a kind */
	o->taints = UNSIGNED;
	for (size_t i = 0; i + 1 < m->n_modules; i++)
		m->modules[i].taints = 0;
	assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, m->n_modules),
			 HERD_CLASS_DEVIANT);
	herd_free(h);
}

/* Built without signing: nobody vouches for any, and that says nothing of one. */
static void a_kernel_that_signs_nothing(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= 2; n++) {
		struct herd *h = herd_of(n);
		struct herd_machine *m = h->m[0];
		struct herd_module *o = module(m, "netmon");

		for (size_t i = 0; i < m->n_modules; i++)
			m->modules[i].taints = UNSIGNED;
		assert_true(m->n_modules > 2);
		for (size_t i = 1; i <= m->n_modules; i++)
			assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, i),
					 HERD_CLASS_SAME);
		o->taints |= OUT_OF_TREE;
		assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, m->n_modules),
				 HERD_CLASS_DEVIANT);
		o->taints = UNSIGNED | FORCED;
		assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, m->n_modules),
				 HERD_CLASS_DEVIANT);
		/* one that is signed: it does sign */
		o->taints = UNSIGNED;
		m->modules[0].taints = 0;
		assert_int_equal(class_of(h, HERD_SUBJECT_MODULE, m->n_modules),
				 HERD_CLASS_DEVIANT);
		herd_free(h);
	}
}

/* Tracing says nothing, unless it leads to what nobody vouches for. */
static void a_hook_of_one(void **state)
{
	struct herd *h = herd_of(1);
	struct herd_machine *m = h->m[0];
	struct herd_module *o = module(m, "netmon");
	struct herd_hook *k = hook(m, HERD_HOOK_FTRACE, "__x64_sys_getdents64",
				   "netmon+0x10 [module]");

	(void)state;
	o->base = 0xffffffffc0400000;
	o->size = 0x2000;
	o->taints = OUT_OF_TREE; /* a sensor's */
	k->target = o->base + 0x10;
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_VOLATILE);
	o->taints |= UNSIGNED;
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_DEVIANT);
	o->taints = 0;
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_VOLATILE);
	o->seen = HERD_MODULE_TREE; /* hidden */
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_DEVIANT);
	o->seen |= HERD_MODULE_LIST;
	k->target = o->base + o->size;
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_VOLATILE);
	free(k->target_name);
	k->target_name = copy(HERD_HOOK_NOWHERE);
	assert_int_equal(class_of(h, HERD_SUBJECT_HOOK, m->n_hooks),
			 HERD_CLASS_DEVIANT);
	herd_free(h);
}

/* The baseline is judged from outside. */
static void who_is_no_member(void **state)
{
	struct herd_flock *f;
	struct herd_machine_finding *v;
	struct herd_machine *m = healthy(1);
	size_t n;

	(void)state;
	assert_int_equal(herd_flock_create(&f), 0);
	for (unsigned i = 3; i < 6; i++) {
		struct herd_machine *other = healthy(i);
		struct herd_traits *t;

		assert_int_equal(herd_traits_make(other, &t), 0);
		assert_int_equal(herd_flock_add(f, i, t), 0);
		assert_int_equal(herd_flock_add(f, i, t), -EEXIST);
		herd_traits_destroy(t);
		herd_machine_destroy(other);
	}
	assert_int_equal(herd_flock_members(f), 3);
	process(m, 900, 1, "netmon", "/usr/sbin/netmon", "netmon");
	assert_int_equal(herd_machine_judge(f, 99, m, NULL, NULL, &v, &n), 0);
	bool found = false;

	for (size_t i = 0; i < n; i++)
		if (v[i].class == HERD_CLASS_DEVIANT) {
			assert_string_equal(v[i].key,
					    "netmon /usr/sbin/netmon");
			assert_int_equal(v[i].count, 0);
			assert_int_equal(v[i].members, 3);
			found = true;
		}
	assert_true(found);
	herd_machine_findings_free(v, n);
	herd_machine_destroy(m);
	herd_flock_destroy(f);
}

/* No name of an image makes a line of its own. */
static void names_stay_on_their_line(void **state)
{
	struct herd *h = herd_of(6);
	struct herd_process *p =
		intruder(victim(h), "/usr/sbin/a\nhidden: x; T1014", "a");

	(void)state;
	env(p, "LD_PRELOAD=/x\ninput is a network socket");
	assert_int_equal(judge(h, VICTIM), 0);
	const struct herd_machine_finding *f = of_process(h, p);

	assert_null(strchr(f->key, '\n'));
	for (const char *s = f->why; s; s = strchr(s, '\n')) {
		s += *s == '\n';
		assert_true(strncmp(s, "hidden", 6) && strncmp(s, "input", 5));
	}
	herd_free(h);
}

/* Whatever a machine is like: no crash, no leak, sorted. */
static void any_machine_can_be_judged(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 400; seed += 4) {
		struct herd *h = zeros(1, sizeof(*h));

		h->n = 4;
		for (unsigned i = 0; i < 4; i++)
			h->m[i] = any_machine(seed + i);
		for (unsigned i = 0; i < 4; i++) {
			assert_int_equal(judge(h, i), 0);
			for (size_t k = 1; k < h->found; k++)
				assert_true(h->v[k - 1].subject <=
					    h->v[k].subject);
		}
		herd_free(h);
	}
}

static void marks_have_names(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 30; i++) {
		bool is = i <= 13 || i >= 16;

		assert_int_equal(herd_mark_name(1u << i) != NULL, is);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(another_program_of_that_name),
		cmocka_unit_test(other_arguments),
		cmocka_unit_test(other_rights),
		cmocka_unit_test(another_parent),
		cmocka_unit_test(other_namespaces),
		cmocka_unit_test(other_libraries),
		cmocka_unit_test(one_that_listens),
		cmocka_unit_test(a_connection),
		cmocka_unit_test(a_variable),
		cmocka_unit_test(a_file_that_deviates_on_the_disk),
		cmocka_unit_test(one_that_is_missing),
		cmocka_unit_test(one_that_could_not_be_read),
		cmocka_unit_test(an_alien_module),
		cmocka_unit_test(a_hidden_module),
		cmocka_unit_test(a_module_unlike_any),
		cmocka_unit_test(a_patched_module),
		cmocka_unit_test(a_module_of_one_or_two),
		cmocka_unit_test(a_kernel_whose_modules_are_not_signed),
		cmocka_unit_test(a_kernel_that_signs_nothing),
		cmocka_unit_test(a_hook_of_one),
		cmocka_unit_test(a_hook),
		cmocka_unit_test(a_socket_of_nobody),
		cmocka_unit_test(small_herds),
		cmocka_unit_test(who_is_no_member),
		cmocka_unit_test(names_stay_on_their_line),
		cmocka_unit_test(any_machine_can_be_judged),
		cmocka_unit_test(marks_have_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
