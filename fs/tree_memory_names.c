/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in memory/. What an image has for names is made harmless here: no '/',
 * no control characters; no name can be "." or "..", for all begin with a
 * number. Two tasks with one pid (a stale one that the slab still has) are told
 * apart by "~1" and so on at the end.
 *
 * Threads: pure functions.
 */
#include "fs/tree_memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define BASENAME_MAX 64

/* Appends at most max bytes of s to what is in ret. */
static void append_harmless(char *ret, const char *s, size_t max)
{
	size_t n = strlen(ret);

	for (size_t i = 0; i < max && s[i] && n < HERD_MEMORY_NAME_MAX; i++) {
		const uint8_t c = (uint8_t)s[i];

		ret[n++] = c < 0x20 || c == 0x7f || c == '/' ? '_' : s[i];
	}
	ret[n] = 0;
}

/* ---- processes ---- */

void herd_memory_process_name(const struct herd_machine *m, uint32_t process,
			      char ret[HERD_MEMORY_NAME_MAX + 1])
{
	const struct herd_process *p = &m->processes[process];
	uint32_t same = 0;

	snprintf(ret, HERD_MEMORY_NAME_MAX + 1, "%d-", p->pid);
	append_harmless(ret, p->comm, sizeof(p->comm));
	while (same < process && m->processes[process - same - 1].pid == p->pid)
		same++;
	if (same)
		snprintf(ret + strlen(ret), 16, "~%u", same);
}

int herd_memory_find_process(const struct herd_machine *m, const char *name,
			     uint32_t *ret)
{
	char own[HERD_MEMORY_NAME_MAX + 1];
	size_t lo = 0, hi = m->n_processes;
	char *end;
	long pid;

	errno = 0;
	pid = strtol(name, &end, 10);
	if (errno || *end != '-' || pid > INT32_MAX || pid < INT32_MIN)
		return -ENOENT;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (m->processes[mid].pid < pid)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < m->n_processes && m->processes[lo].pid == pid; lo++) {
		herd_memory_process_name(m, (uint32_t)lo, own);
		if (strcmp(own, name) != 0)
			continue;
		*ret = (uint32_t)lo;
		return 0;
	}
	return -ENOENT;
}

/* ---- VMAs, open files ---- */

void herd_memory_vma_name(const struct herd_vma *v,
			  char ret[HERD_MEMORY_NAME_MAX + 1])
{
	snprintf(ret, HERD_MEMORY_NAME_MAX + 1,
		 "%016" PRIx64 "-%016" PRIx64 ".bin", v->start, v->end);
}

int herd_memory_find_vma(const struct herd_process *p, const char *name,
			 uint32_t *ret)
{
	char own[HERD_MEMORY_NAME_MAX + 1];
	size_t lo = 0, hi = p->n_vmas;
	char *end;
	uint64_t start = strtoull(name, &end, 16);

	if (*end != '-')
		return -ENOENT;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->vmas[mid].start < start)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < p->n_vmas && p->vmas[lo].start == start; lo++) {
		herd_memory_vma_name(&p->vmas[lo], own);
		if (!herd_dump_has_vma(&p->vmas[lo]) || strcmp(own, name) != 0)
			continue;
		*ret = (uint32_t)lo;
		return 0;
	}
	return -ENOENT;
}

int herd_memory_find_fd(const struct herd_process *p, const char *name,
			uint32_t *ret)
{
	size_t lo = 0, hi = p->n_fds;
	char own[16];
	long fd = strtol(name, NULL, 10);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->fds[mid].fd < fd)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == p->n_fds)
		return -ENOENT;
	snprintf(own, sizeof(own), "%d", p->fds[lo].fd);
	if (strcmp(own, name) != 0)
		return -ENOENT;
	*ret = (uint32_t)lo;
	return 0;
}

/* ---- pages ---- */

void herd_memory_page_name(const struct herd_machine *m,
			   const struct herd_memory_page *p, bool text,
			   char ret[HERD_MEMORY_NAME_MAX + 1])
{
	const char *path = m->files[m->page_changes[p->change].file].path;
	const char *slash = strrchr(path, '/');

	snprintf(ret, HERD_MEMORY_NAME_MAX + 1, "%016" PRIx64 "-", p->va);
	append_harmless(ret, slash ? slash + 1 : path, BASENAME_MAX);
	append_harmless(ret, text ? ".txt" : ".bin", 4);
}

int herd_memory_find_page(const struct herd_tree_machine *tm, uint32_t process,
			  const char *name, uint32_t *ret, bool *ret_text)
{
	const uint32_t first = tm->pages_at[process];
	const uint32_t n = tm->pages_at[process + 1] - first;
	char own[HERD_MEMORY_NAME_MAX + 1];
	uint32_t lo = 0, hi = n;
	char *end;
	uint64_t va = strtoull(name, &end, 16);

	if (*end != '-')
		return -ENOENT;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (tm->pages[first + mid].va < va)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n)
		return -ENOENT;
	for (int text = 0; text < 2; text++) {
		herd_memory_page_name(tm->m, &tm->pages[first + lo], text, own);
		if (strcmp(own, name) != 0)
			continue;
		*ret = lo;
		*ret_text = text;
		return 0;
	}
	return -ENOENT;
}
