/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which processes, modules and hooks of a machine deviate from its herd's.
 * Pure: no store, no I/O. A machine is boiled down to its *traits* (small,
 * without addresses, pids and other natural differences), and traits of many
 * machines are compared; so a herd of a thousand is not held in memory whole.
 *
 * Threads: values; herd_traits and herd_flock are immutable once made.
 */
#ifndef HERD_MACHINE_JUDGE_H
#define HERD_MACHINE_JUDGE_H

#include "index/memory/machine.h"
#include "index/verdict.h"

enum herd_machine_subject {
	HERD_SUBJECT_PROCESS, HERD_SUBJECT_MODULE, HERD_SUBJECT_HOOK,
	HERD_SUBJECT_FILE,	/* a program or library whose cached text differs
				   from the disk's; index of an mfile */
	HERD_SUBJECT_SOCKET,	/* one that no process owns */
	HERD_SUBJECT_MAX
};

/* What is odd, bits. Those of the first group are odd by themselves, whatever
   the herd is like, unless the herd has them at the same key, too. */
enum herd_mark {
	HERD_MARK_ANON_EXEC = 1 << 0,	/* executable anonymous memory */
	HERD_MARK_WX = 1 << 1,		/* writable and executable */
	HERD_MARK_DELETED_EXE = 1 << 2,
	HERD_MARK_MEMFD_EXE = 1 << 3,	/* or another file that is on no disk */
	HERD_MARK_LD_ENV = 1 << 4,	/* LD_PRELOAD, LD_AUDIT, LD_LIBRARY_PATH */
	HERD_MARK_COMM = 1 << 5,	/* comm unlike exe and argv[0] */
	HERD_MARK_FAKE_KTHREAD = 1 << 6,	/* a user task named like a kernel thread */
	HERD_MARK_HIDDEN = 1 << 7,	/* in one view and not in another */
	HERD_MARK_TEXT = 1 << 8,	/* patched pages of a program or library */
	HERD_MARK_STDIO_SOCKET = 1 << 9,	/* a shell whose input is a network socket */
	HERD_MARK_DELETED_LIB = 1 << 10,	/* executable mapping of a deleted file */
	HERD_MARK_PTRACED = 1 << 11,
	HERD_MARK_ODD_FAMILY = 1 << 12,	/* raw or packet socket */
	HERD_MARK_ODD_MODULE = 1 << 13,	/* a name or a state that no module has */
	/* against the herd's process of the same key */
	HERD_MARK_NEW_PROCESS = 1 << 16,	/* no sibling has its like */
	HERD_MARK_EXE = 1 << 17, HERD_MARK_ARGV = 1 << 18, HERD_MARK_CREDS = 1 << 19,
	HERD_MARK_PARENT = 1 << 20, HERD_MARK_NAMESPACE = 1 << 21,
	HERD_MARK_LIBRARIES = 1 << 22, HERD_MARK_LISTEN = 1 << 23,
	HERD_MARK_CONNECTION = 1 << 24, HERD_MARK_ENVIRON = 1 << 25,
	HERD_MARK_MODULE = 1 << 26, HERD_MARK_HOOK = 1 << 27,
	HERD_MARK_MISSING = 1 << 28,	/* the herd has it, this one lacks it */
	HERD_MARK_DISK = 1 << 29,	/* runs a file that deviates on the disk */
};

struct herd_machine_finding {
	enum herd_machine_subject subject;
	uint32_t index;		/* into the machine's array; HERD_NO_INDEX: what
				   the herd has and this one lacks */
	enum herd_class class;	/* DEVIANT, or VOLATILE (transient children …) */
	uint8_t rank, severity;	/* 0…100, as for files */
	uint32_t marks;
	/* Machines that have what is odd about it (all marks that deviate or, of
	   a volatile one, that do not, as far as they can be counted), of how
	   many. One that only the disk speaks of is counted as this one's. */
	uint32_t count, members;
	uint32_t key_count;	/* that have its key, odd or not; of a file 0 */
	char *key;		/* "sshd /usr/sbin/sshd", for lists */
	char *why;		/* one line a mark, each with its k of N */
};

struct herd_traits;
int herd_traits_make(const struct herd_machine *m, struct herd_traits **ret);
void herd_traits_destroy(struct herd_traits *t);

/* The herd: the traits of all members that have memory. Copies what it needs. */
struct herd_flock;
int herd_flock_create(struct herd_flock **ret);
int herd_flock_add(struct herd_flock *f, uint32_t instance,
		   const struct herd_traits *t);
void herd_flock_destroy(struct herd_flock *f);
uint32_t herd_flock_members(const struct herd_flock *f);

/* What the disks say of a file that a process runs; may answer false: unknown. */
typedef bool herd_disk_class_fn(void *arg, const struct herd_mfile *f,
				enum herd_class *ret);
/* Sorted by subject, then index. m is the machine of `instance`. */
int herd_machine_judge(const struct herd_flock *f, uint32_t instance,
		       const struct herd_machine *m, herd_disk_class_fn *disk,
		       void *arg, struct herd_machine_finding **ret, size_t *ret_n);
void herd_machine_findings_free(struct herd_machine_finding *v, size_t n);

/* What the other members have at the place of a page that is among the changes
   of one of them. */
struct herd_page_others {
	uint32_t all;		/* other members */
	uint32_t changed;	/* of them: the page differs there, too, */
	uint32_t changed_same;	/* and is this very one */
	uint32_t open;		/* could not be compared there, */
	uint32_t open_same;	/* and is this very one */
	uint32_t unvouched;	/* it is known there, and no disk vouches for it: */
	uint32_t unvouched_same;	/* this very one, */
	uint32_t unvouched_top;	/* or another that so many have */
	char top[33];		/* that one's SHA-256, its first half; "" none */
};
/*
 * A machine's pages that differ, gone through once for all that is asked of
 * them: the cost of an answer is not to depend on how many an image has. m is
 * borrowed; immutable once made.
 */
struct herd_page_places;
int herd_page_places_make(const struct herd_machine *m,
			  struct herd_page_places **ret);
void herd_page_places_destroy(struct herd_page_places *p);
size_t herd_page_places_cost(const struct herd_page_places *p); /* bytes */
/* Whether the page of the cache at the place of a change is known to be the
   disk's. */
bool herd_page_cache_is_disks(const struct herd_page_places *p,
			      const struct herd_page_change *change);
/* change: of the page_changes of the places' machine, that of `instance`. */
int herd_flock_page(const struct herd_flock *f, uint32_t instance,
		    const struct herd_page_places *places,
		    const struct herd_page_change *change,
		    struct herd_page_others *ret);

/* "patched text", … for one bit; NULL for none. */
const char *herd_mark_name(uint32_t bit);

#endif
