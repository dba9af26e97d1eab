/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registers of threads, as a core file has them. What user space had when
 * it entered the kernel lies at the top of the thread's kernel stack; kernels
 * with FRED keep 16 bytes above it free, which no symbol says: the place that
 * holds sane registers for most of the threads is the right one. Who was in
 * user space when the image was taken has them in the container's notes.
 */
#include "index/memory/machine_tasks.h"

#include <string.h>

#define PT_REGS_WORDS 21u
#define VOTES_MAX 256u

enum {
	RIP = 16,
	CS = 17,
	EFLAGS = 18,
	RSP = 19,
	SS = 20,
	FS_BASE = 21,
	GS_BASE = 22,
	DS = 23,
	ES = 24,
	FS = 25,
	GS = 26
};

/* Registers of user space: its segments, addresses in its half, IF and bit 1
   of the flags set. */
static bool sane(const uint64_t regs[PT_REGS_WORDS])
{
	uint16_t cs = (uint16_t)regs[CS], ss = (uint16_t)regs[SS];

	return (cs == 0x33 || cs == 0x23) && ss == 0x2b &&
	       regs[RIP] < UINT64_C(1) << 56 && regs[RSP] < UINT64_C(1) << 56 &&
	       (regs[EFLAGS] & 0x202) == 0x202;
}

static bool stack_regs(struct herd_tasks *w, const struct herd_found *t,
		       uint32_t stack_size, uint32_t pad, uint64_t *regs)
{
	uint64_t at = t->stack + stack_size - pad - PT_REGS_WORDS * 8;

	return t->stack &&
	       !herd_kernel_read(w->r->k, at, regs, PT_REGS_WORDS * 8) &&
	       sane(regs);
}

static bool has_user_regs(const struct herd_found *t)
{
	return t->mm && !(t->flags & HERD_PF_KTHREAD) && !t->exit_state;
}

static uint32_t find_pad(struct herd_tasks *w, uint32_t stack_size)
{
	static const uint32_t pads[] = { 0, 16, 8 };
	size_t votes[ARRAY_SIZE(pads)] = { 0 }, asked = 0, best = 0;
	uint64_t regs[PT_REGS_WORDS];

	for (size_t i = 0; i < w->n && asked < VOTES_MAX; i++) {
		if (!has_user_regs(&w->v[i]))
			continue;
		asked++;
		for (size_t j = 0; j < ARRAY_SIZE(pads); j++)
			votes[j] += stack_regs(w, &w->v[i], stack_size, pads[j],
					       regs);
	}
	for (size_t j = 1; j < ARRAY_SIZE(pads); j++)
		if (votes[j] > votes[best])
			best = j;
	return pads[best];
}

/* The note of the processor that runs it, when that was in user space. */
static const uint64_t *note_regs(const struct herd_tasks *w,
				 const struct herd_found *t)
{
	const struct herd_memory_notes *notes = w->r->notes;

	if (!notes || !(t->seen & HERD_SEEN_CPU))
		return NULL;
	for (size_t i = 0; i < notes->n_cpus && i < w->n_cpus; i++)
		if (w->cpu_task[i] == t->task && sane(notes->cpus[i].regs))
			return notes->cpus[i].regs;
	return NULL;
}

static void fill(struct herd_tasks *w, const struct herd_found *t,
		 uint32_t stack_size, uint32_t pad, struct herd_thread *th)
{
	uint64_t regs[27] = { 0 };
	const uint64_t *note = note_regs(w, t);

	if (note) {
		memcpy(regs, note, sizeof(regs));
		th->regs_from_note = true;
	} else if (!stack_regs(w, t, stack_size, pad, regs)) {
		return;
	}
	/* FRED keeps more than the selectors there. */
	regs[CS] &= 0xffff;
	regs[SS] &= 0xffff;
	if (!note || !regs[FS_BASE])
		regs[FS_BASE] = t->fsbase;
	if (!note || !regs[GS_BASE])
		regs[GS_BASE] = t->gsbase;
	if (!note) {
		regs[DS] = t->ds;
		regs[ES] = t->es;
		regs[FS] = t->fs;
		regs[GS] = t->gs;
	}
	memcpy(th->regs, regs, sizeof(regs));
	th->has_regs = true;
}

int herd_tasks_registers(struct herd_tasks *w)
{
	struct herd_machine *m = w->r->m;
	uint32_t stack_size, pad;

	if (herd_kernel_sizeof(w->r->k, "thread_union", &stack_size) ||
	    stack_size < 4096 || stack_size > 1u << 20)
		stack_size = 16384;
	pad = find_pad(w, stack_size);
	for (size_t i = 0; i < m->n_processes; i++) {
		for (size_t j = 0; j < m->processes[i].n_threads; j++) {
			struct herd_thread *th = &m->processes[i].threads[j];
			uint32_t at;

			if (herd_seen_has(&w->map, th->task, &at) &&
			    has_user_regs(&w->v[at]))
				fill(w, &w->v[at], stack_size, pad, th);
		}
	}
	return 0;
}
