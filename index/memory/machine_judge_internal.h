/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the judgement share, and nobody else includes.
 *
 * All that is compared is an *aspect* of a *key* that has a *value*: aspect
 * "listens" of key "p /usr/sbin/sshd listener" has the value "tcp 22 any". An
 * aspect is the number of the mark's bit that it may lead to. Aspect and key
 * are a slot, with the value a feature; the herd is how many have each.
 *
 * The first letter of a key says whose it is: 'p' a process, 'm' the machine
 * as a whole, 'k' a module, 'h' a hook, 's' a socket, 'f' a file; 'g' a page
 * that no disk vouches for, 'c' one that was changed, 'u' one that could not be
 * compared.
 *
 * machine_norm.c	texts without what is an instance's own
 * machine_names.c	which programs and places are known for what
 * machine_role.c	a process's key
 * machine_own.c	marks of the first group
 * machine_against.c	what is held against the herd's
 * machine_net.c	sockets
 * machine_traits.c	all of that together
 * machine_flock.c	the herd
 * machine_flock_page.c	what it has at the place of a page
 * machine_judge*.c	what comes of it
 * machine_marks.c	names, severities, techniques
 * machine_why.c	what is said
 *
 * Threads: as in machine_judge.h.
 */
#ifndef HERD_MACHINE_JUDGE_INTERNAL_H
#define HERD_MACHINE_JUDGE_INTERNAL_H

#include "acquire/base/buf.h"
#include "index/memory/machine_judge.h"
#include "index/memory/strings.h"

#define HERD_FEATURES_MAX (1u << 20)	       /* of one machine */
#define HERD_YOUNG_NS (60ull * 1000000000)     /* a process is young so long */
#define HERD_STARTING_NS (180ull * 1000000000) /* a machine */

#define HERD_ASPECT(bit) ((unsigned)__builtin_ctz(bit))

/* ---- words (machine_norm.c, machine_names.c) ---- */

/* Appends text with numbers, ids, times and the host's name replaced. Control
   characters become '?', so that it is one line. */
void herd_norm_text(struct herd_buf *out, const char *text, size_t len,
		    const char *hostname);
/* "kworker/0:1H" → "kworker", "irq/24-pciehp" → "irq/#-pciehp". */
void herd_norm_kthread(struct herd_buf *out, const char *comm);
/* "libssl.so.3.0.1" → "libssl.so"; else as it is. */
void herd_norm_library(struct herd_buf *out, const char *path);
/* As it is, but on one line: control characters as "^[" and the like. */
void herd_norm_clean(struct herd_buf *out, const char *text, size_t len);
const char *herd_base_name(const char *path);
bool herd_word_in(const char *word, const char *const *list);

bool herd_is_shell(const char *base);
/* Shells, too. */
bool herd_is_interpreter(const char *base);
/* nc and its like. */
bool herd_is_relay(const char *base);
/* Programs that make code while they run. */
bool herd_makes_code(const char *base);
/* Programs for which packet and raw sockets are their work. */
bool herd_sees_packets(const char *base);
/* Services that stop when nobody needs them, and what timers start. */
bool herd_comes_and_goes(const char *base);
/* Of a timer. What cron starts has cron among its ancestors; who is in cron's
   group and has it no more was left behind by a job, and is no job. */
bool herd_unit_is_scheduled(const char *cgroup);
/* What watches: sensors, loggers, agents. */
bool herd_watches(const char *base);
/* Modules that are loaded for what somebody happens to do. */
bool herd_module_on_demand(const char *name);
/* /tmp, /dev/shm …, or a hidden name in the path. */
bool herd_odd_place(const char *path);
bool herd_system_place(const char *path);
/* Whether what lies on such a file system is in memory alone. */
bool herd_is_memory_fs(const char *fs);
/* SysV's and /dev/zero's: memory without a name of its own. */
bool herd_is_shared_memory(const struct herd_mfile *f);
/* Names that kernel threads have and programs have not. */
bool herd_kthread_name(const char *comm);

/* ---- traits ---- */

enum {
	HERD_IS_KTHREAD = 1,
	HERD_IS_SESSION = 2,   /* of somebody who logged in */
	HERD_IS_SCHEDULED = 4, /* of cron, a timer */
	HERD_IS_YOUNG = 8,
	HERD_IS_EXITING = 16,
	HERD_IS_SHELL = 32,
	HERD_IS_INTERPRETER = 64,
	HERD_IS_PASSING = 128, /* comes and goes: none of the herd lacks it */
	HERD_IS_ODD_PLACE = 256,
	HERD_IS_JIT = 512,
	HERD_IS_SCRIPT = 1024,	 /* an interpreter with a file to run */
	HERD_IS_RELAY = 4096,	 /* joins connections and programs */
	HERD_HAS_DIGESTS = 2048, /* a file that no disk vouches for */
};

struct herd_trait {
	uint32_t aspect;
	uint32_t feature; /* of traits.features */
	uint32_t slot;	  /* of traits.slots */
	uint32_t value;	  /* texts: what is compared, */
	uint32_t detail;  /* and what is said of it; HERD_STRING_NONE */
	bool soft;	  /* told as what it is: a debugger, a common port */
};
/* Somebody who has traits. */
struct herd_owner {
	enum herd_machine_subject subject; /* HERD_SUBJECT_MAX: the machine */
	uint32_t index;
	uint32_t key, label; /* texts; label as it is shown */
	uint32_t flags;
	uint32_t first, n; /* traits */
};
struct herd_traits {
	struct herd_strings texts;
	struct herd_strings slots, features;
	uint32_t *slot_of; /* by feature */
	size_t cap_slot_of;
	struct herd_owner *owners;
	size_t n_owners, cap_owners;
	struct herd_trait *traits;
	size_t n_traits, cap_traits;
	uint32_t *stamp; /* by feature: the owner that had it last + 1 */
	size_t cap_stamp;
	bool starting;	 /* the machine is up for a short time only */
	bool processes_unread; /* some may be missing, or their programs */
	bool fds_unread; /* of some process: owners of sockets may be
				   missing */
};

/* While traits are made. */
struct herd_boil {
	const struct herd_machine *m;
	struct herd_traits *t;
	int err;			 /* the first one */
	uint64_t now;			 /* nanoseconds since boot */
	uint32_t views, module_views;	 /* those that the image has */
	const struct herd_process *init; /* pid 1; may be NULL */
	uint32_t *mappers;	/* by file: processes that may execute it */
	uint32_t *change_first; /* by process: its first page change, */
	uint32_t *file_change;	/* by file: the first of its cache, */
	uint32_t *change_next;	/* and by change the next; HERD_NO_INDEX */
	uint8_t *owned;		/* by socket: some process has it open */
	uint8_t *tcp, *udp;	/* by port: something listens */
	struct herd_strings kthreads; /* names of the real ones */
};
/* Of the owner that was begun last. */
void herd_boil_owner(struct herd_boil *b, enum herd_machine_subject subject,
		     uint32_t index, const char *key, const char *label,
		     uint32_t flags);
void herd_boil_add(struct herd_boil *b, uint32_t bit, const char *value,
		   const char *detail, bool soft);
/* What is so of the machine, whoever it is of. */
void herd_boil_know(struct herd_boil *b, uint32_t bit, const char *key,
		    const char *value);
static inline const char *herd_text(const struct herd_traits *t, uint32_t id)
{
	return id == HERD_STRING_NONE ? "" : t->texts.v[id].p;
}
const struct herd_process *herd_boil_parent(const struct herd_boil *b,
					    const struct herd_process *p);
/* The path of its program, "" for none. */
const char *herd_exe_path(const struct herd_machine *m,
			  const struct herd_process *p);

/* machine_flock_page.c: what is known of a machine's pages, for siblings to be
   asked. */
void herd_boil_page_digest(struct herd_boil *b,
			   const struct herd_page_digest *d);
void herd_boil_page_change(struct herd_boil *b,
			   const struct herd_page_change *c);

/* machine_role.c */
uint32_t herd_boil_flags(const struct herd_boil *b,
			 const struct herd_process *p);
/* The key without its letter. */
void herd_boil_key(const struct herd_boil *b, const struct herd_process *p,
		   struct herd_buf *out);
/* It gave itself a title: "nginx: worker process". */
bool herd_has_title(const struct herd_process *p);
/* Whole, as words. */
void herd_boil_argv(const struct herd_boil *b, const struct herd_process *p,
		    struct herd_buf *out);
/* The script that an interpreter runs: terminated, in place; NULL: none. */
const char *herd_script(const struct herd_machine *m,
			const struct herd_process *p);

/* machine_own.c, machine_against.c, machine_net.c: traits of a process. */
void herd_boil_own(struct herd_boil *b, uint32_t index, uint32_t flags);
void herd_boil_against(struct herd_boil *b, const struct herd_process *p,
		       uint32_t flags);
void herd_boil_net(struct herd_boil *b, const struct herd_process *p,
		   uint32_t flags);
/* Which sockets are owned, and which ports listen. */
void herd_boil_sockets(struct herd_boil *b);
/* Those that nobody owns. */
void herd_boil_orphans(struct herd_boil *b);

/* ---- the herd ---- */

/* What the others have at a slot: without the machine that is judged. */
struct herd_others {
	uint32_t all;	       /* other members */
	uint32_t slot;	       /* of them, that have the slot at all */
	uint32_t same;	       /* of them, with this value */
	uint32_t kinds;	       /* values that one of them alone has */
	uint32_t common;       /* values that half of those have */
	uint32_t top;	       /* how many have the most frequent value */
	const char *top_value; /* NULL: none; borrowed */
};
struct herd_bench { /* who judges whom */
	const struct herd_flock *f;
	const struct herd_traits *own;
	bool member;
};
void herd_bench_ask(const struct herd_bench *h, unsigned aspect,
		    const char *key, const char *value,
		    struct herd_others *ret);
/* Only `all`, `slot` and `same`, however many values there are; `kinds` is the
   number of all. */
void herd_bench_count(const struct herd_bench *h, unsigned aspect,
		      const char *key, const char *value,
		      struct herd_others *ret);
/* fn for each slot of an aspect that all others have with that value. */
int herd_bench_each_common(const struct herd_bench *h, unsigned aspect,
			   const char *value,
			   int (*fn)(void *arg, const char *key,
				     const struct herd_others *o),
			   void *arg);
uint32_t herd_bench_others(const struct herd_bench *h);
bool herd_flock_has(const struct herd_flock *f, uint32_t instance);

/* ---- judging ---- */

struct herd_mark_info {
	const char *name, *technique;
	uint32_t bit;
	uint8_t severity;
	uint8_t floor; /* rank of one that nobody else has, at least */
	bool own;      /* odd in itself */
};
const struct herd_mark_info *herd_mark_info(uint32_t bit);

/* A finding while it grows. */
struct herd_case {
	struct herd_machine_finding f;
	struct herd_buf why;
	double rank, passing; /* of marks that deviate; of those that do not */
	/* others that have all of those, and one; 0: it is not counted */
	uint32_t others, passing_others;
	uint32_t self; /* 1: it is a member itself */
	uint8_t severity, passing_severity;
	bool deviates;
};
struct herd_court {
	struct herd_bench bench;
	const struct herd_machine *m;
	herd_disk_class_fn *disk;
	void *arg;
	struct herd_machine_finding *v;
	size_t n, cap;
	uint8_t *patched;  /* by file: its pages in the cache are not the
				   disk's */
	int8_t *on_disk;   /* by file: 0 not asked, 1 unknown, class + 2 */
	uint32_t *mappers; /* by file: processes that may execute it */
	bool unsigned_kernel; /* herd_modules_are_unsigned */
	int err;
};
struct herd_mark_said {
	uint32_t bit;
	bool deviates;
	double rank;
	uint8_t severity;      /* 0: the mark's */
	const char *technique; /* NULL: the mark's */
	const char *detail;    /* NULL: none */
	uint32_t same, of;     /* k of N others; of 0: not said */
};
void herd_case_add(struct herd_case *c, const struct herd_mark_said *s);
/* Puts it among the findings, if it has a mark. */
void herd_court_close(struct herd_court *c, struct herd_case *k,
		      const struct herd_owner *o);
/* false: not known. */
bool herd_court_disk(struct herd_court *c, uint32_t file, enum herd_class *ret);
bool herd_court_disk_path(struct herd_court *c, const char *path,
			  enum herd_class *ret);

/* A process before the court. */
struct herd_hearing {
	struct herd_court *c;
	struct herd_case k;
	const struct herd_owner *o;
	const struct herd_process *p;
	const char *key, *exe;
	uint32_t all;  /* other members */
	uint32_t like; /* of them, that have the key */
	bool herd;     /* enough of them to be a herd */
	bool known;    /* half of it has the key */
	bool passing;  /* it may be gone in a minute */
};
/* machine_judge_against.c: a trait of the second group. */
void herd_hear_against(struct herd_hearing *h, const struct herd_trait *t);

void herd_judge_process(struct herd_court *c, const struct herd_owner *o);
void herd_judge_missing(struct herd_court *c);
void herd_judge_module(struct herd_court *c, const struct herd_owner *o);
void herd_judge_hook(struct herd_court *c, const struct herd_owner *o);
void herd_judge_socket(struct herd_court *c, const struct herd_owner *o);
void herd_judge_file(struct herd_court *c, const struct herd_owner *o);

#endif
