/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ELF notes of a dump: a PRSTATUS for each processor, VMCOREINFO, and what QEMU
 * says of its virtual processors (of which CR3 is of interest). Threads: that
 * which opens.
 */
#include "acquire/memory/memory_impl.h"

#include <string.h>

#define NOTES_MAX (32u << 20)
#define PRSTATUS_PID 32u
#define PRSTATUS_REGS 112u
#define PRSTATUS_SIZE 336u
#define QEMU_CR3 (8 + 18 * 8 + 10 * 24 + 3 * 8)

static int take_cpu(struct herd_memory_source *m, const uint8_t *desc, size_t len)
{
	struct herd_memory_cpu *v;
	struct herd_cursor c = herd_cursor(desc, len);

	if (len < PRSTATUS_SIZE || m->notes.n_cpus == HERD_MEMORY_CPUS_MAX)
		return 0;
	v = reallocarray((void *)m->notes.cpus, m->notes.n_cpus + 1,
			 sizeof(*v));
	if (!v)
		return -ENOMEM;
	m->notes.cpus = v;
	v += m->notes.n_cpus++;
	herd_cur_seek(&c, PRSTATUS_PID);
	v->pid = herd_cur_le32(&c);
	herd_cur_seek(&c, PRSTATUS_REGS);
	for (size_t i = 0; i < 27; i++)
		v->regs[i] = herd_cur_le64(&c);
	return 0;
}

static int take_text(struct herd_memory_source *m, const void *text, size_t len)
{
	char *copy;

	if (m->notes.vmcoreinfo || !len || len > HERD_NOTE_TEXT_MAX)
		return 0;
	copy = malloc(len);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, text, len);
	m->notes.vmcoreinfo = copy;
	m->notes.vmcoreinfo_len = len;
	return 0;
}

static bool is_named(const uint8_t *name, size_t len, const char *want)
{
	size_t n = strlen(want);

	return len >= n && !memcmp(name, want, n) && (len == n || !name[n]);
}

static int take_note(struct herd_memory_source *m, uint32_t type,
		     const uint8_t *name, size_t name_len, const uint8_t *desc,
		     size_t len)
{
	if (is_named(name, name_len, "CORE") && type == 1)
		return take_cpu(m, desc, len);
	if (is_named(name, name_len, "VMCOREINFO"))
		return take_text(m, desc, len);
	if (is_named(name, name_len, "QEMU") && len >= QEMU_CR3 + 8) {
		struct herd_cursor c = herd_cursor(desc + QEMU_CR3, 8);

		if (!m->notes.cr3)
			m->notes.cr3 = herd_cur_le64(&c);
		herd_memory_tool(m, "QEMU");
	}
	return 0;
}

/* QEMU numbers its processors where others have a pid. */
static void settle_pids(struct herd_memory_source *m)
{
	struct herd_memory_cpu *v = (struct herd_memory_cpu *)m->notes.cpus;

	for (size_t i = 0; i < m->notes.n_cpus && m->notes.tool; i++)
		v[i].pid = 0;
}

int herd_memory_read_notes(struct herd_memory_source *m, uint64_t off,
			   uint64_t len)
{
	CLEANUP_FREE uint8_t *bytes = NULL;
	struct herd_cursor c;
	int err = 0;

	if (!len)
		return 0;
	if (len > NOTES_MAX - m->notes_read || off > m->container->size ||
	    len > m->container->size - off) {
		if (!m->notes_odd)
			herd_memory_warn(m, "its notes cannot be read");
		m->notes_odd = true;
		return 0;
	}
	m->notes_read += len;
	bytes = malloc((size_t)len);
	if (!bytes)
		return -ENOMEM;
	if (herd_source_read(m->container, bytes, (size_t)len, off, NULL)) {
		herd_memory_warn(m, "its notes cannot be read");
		return 0;
	}
	c = herd_cursor(bytes, (size_t)len);
	while (herd_cur_left(&c) >= 12 && !err) {
		uint32_t n = herd_cur_le32(&c), d = herd_cur_le32(&c),
			 type = herd_cur_le32(&c);
		const uint8_t *name = herd_cur_bytes(&c, ((uint64_t)n + 3) & ~3ull);
		const uint8_t *desc = herd_cur_bytes(&c, d);

		if (c.bad)
			break;
		err = take_note(m, type, name, n, desc, d);
		/* the last one's padding may be missing */
		herd_cur_bytes(&c, (4 - d % 4) % 4);
	}
	settle_pids(m);
	return err;
}

int herd_memory_take_vmcoreinfo(struct herd_memory_source *m, uint64_t off,
				uint64_t len)
{
	CLEANUP_FREE uint8_t *bytes = NULL;

	if (!len || len > HERD_NOTE_TEXT_MAX || off > m->container->size ||
	    len > m->container->size - off)
		return 0;
	bytes = malloc((size_t)len);
	if (!bytes)
		return -ENOMEM;
	if (herd_source_read(m->container, bytes, (size_t)len, off, NULL))
		return 0;
	return take_text(m, bytes, (size_t)len);
}
