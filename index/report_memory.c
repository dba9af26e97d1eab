/* SPDX-License-Identifier: Apache-2.0 */
/* Memory in reports and lists; see report_memory.h. */
#include "index/report_memory.h"

#include "acquire/base/cleanup.h"
#include "index/report.h"

#include <inttypes.h>
#include <string.h>

static void text(struct herd_buf *out, const char *s)
{
	herd_report_escape(out, s, strlen(s));
}

/* ---- making ---- */

void herd_report_memory_deinit(struct herd_report_memory *m)
{
	herd_image_deinit(&m->image);
	herd_machine_findings_free(m->v, m->n);
	herd_machine_destroy(m->machine);
	*m = (struct herd_report_memory){ .n = 0 };
}

static int by_score(const void *a, const void *b)
{
	const struct herd_machine_finding *x = a, *y = b;
	unsigned s = herd_machine_score(x), o = herd_machine_score(y);

	if ((x->class == HERD_CLASS_DEVIANT) != (y->class == HERD_CLASS_DEVIANT))
		return x->class == HERD_CLASS_DEVIANT ? -1 : 1;
	if (s != o)
		return s > o ? -1 : 1;
	if (x->subject != y->subject)
		return x->subject < y->subject ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int judge(struct herd_txn *t, const struct herd_memory_herd *mh,
		 uint32_t instance, struct herd_report_memory *m)
{
	int err;

	if (!mh)
		return 0;
	m->judged = true;
	m->members = herd_memory_herd_members(mh);
	err = herd_memory_judge(t, mh, instance, m->machine, &m->v, &m->n);
	if (err)
		return err;
	if (m->n)
		qsort(m->v, m->n, sizeof(*m->v), by_score);
	for (size_t i = 0; i < m->n; i++) {
		m->deviant += m->v[i].class == HERD_CLASS_DEVIANT;
		m->natural += m->v[i].class == HERD_CLASS_VOLATILE;
	}
	return 0;
}

int herd_report_memory_make(struct herd_txn *t,
			    const struct herd_memory_herd *mh,
			    uint32_t instance, struct herd_report_memory *ret,
			    struct herd_diag *diag)
{
	struct herd_report_memory m = { .n = 0 };
	struct herd_stored_memory stored;
	int err = herd_memory_get(t, instance, &stored);

	if (err)
		return err;
	m.image = stored.image;
	m.attached = stored.attached;
	err = herd_machine_decode(stored.machine, stored.n_machine, &m.machine);
	if (err)
		herd_diag_set(diag, err, "the index", HERD_NO_OFFSET,
			      "the record of the memory of instance %u is "
			      "damaged", instance);
	if (!err)
		err = judge(t, mh, instance, &m);
	if (err)
		herd_report_memory_deinit(&m);
	else
		*ret = m;
	return err;
}

/* ---- words ---- */

void herd_report_memory_marks(uint32_t marks, struct herd_buf *out)
{
	bool any = false;

	for (unsigned b = 0; b < 32; b++) {
		const char *name = (marks & 1u << b) ?
				   herd_mark_name(1u << b) : NULL;

		if (!name)
			continue;
		herd_buf_printf(out, "%s%s", any ? ", " : "", name);
		any = true;
	}
}

void herd_report_memory_subject(const struct herd_machine *m,
				const struct herd_machine_finding *f,
				struct herd_buf *out)
{
	static const char *const what[HERD_SUBJECT_MAX] = {
		[HERD_SUBJECT_PROCESS] = "process",
		[HERD_SUBJECT_MODULE] = "module",
		[HERD_SUBJECT_HOOK] = "hook",
		[HERD_SUBJECT_FILE] = "file in memory",
		[HERD_SUBJECT_SOCKET] = "socket",
	};

	herd_buf_printf(out, "%s ", (unsigned)f->subject < HERD_SUBJECT_MAX ?
			what[f->subject] : "?");
	if (f->subject == HERD_SUBJECT_PROCESS && f->index < m->n_processes)
		herd_buf_printf(out, "%d ", m->processes[f->index].pid);
	text(out, f->key);
}

/* ---- report.txt ---- */

static void write_lines(const char *lines, struct herd_buf *out)
{
	while (*lines) {
		size_t n = strcspn(lines, "\n");

		herd_buf_printf(out, "         ");
		herd_report_escape(out, lines, n);
		herd_buf_u8(out, '\n');
		lines += n + (lines[n] == '\n');
	}
}

static void write_finding(const struct herd_report_memory *m,
			  const struct herd_machine_finding *f,
			  struct herd_buf *out)
{
	herd_buf_printf(out, "%5u  %4u  %3u  %u/%u  ", herd_machine_score(f),
			f->rank, f->severity, f->count, f->members);
	herd_report_memory_subject(m->machine, f, out);
	herd_buf_printf(out, "  ");
	herd_report_memory_marks(f->marks, out);
	herd_buf_u8(out, '\n');
	write_lines(f->why, out);
}

static void write_class(const struct herd_report_memory *m,
			enum herd_class class, size_t n, const char *what,
			struct herd_buf *out)
{
	herd_buf_printf(out, "%zu %s\n", n, what);
	if (n)
		herd_buf_printf(out, "score  rank  sev  this  what, marks\n");
	for (size_t i = 0; i < m->n; i++)
		if (m->v[i].class == class)
			write_finding(m, &m->v[i], out);
}

static void write_image(const struct herd_report_memory *m,
			struct herd_buf *out)
{
	struct herd_time attached = { .sec = (int64_t)m->attached };
	char time[HERD_REPORT_TIME_MAX], hex[65];

	herd_buf_printf(out, "image: ");
	text(out, m->image.format);
	herd_buf_printf(out, ", %" PRIu64 " bytes of memory, indexed %s\n",
			m->machine->memory, herd_report_time(&attached, time));
	for (size_t i = 0; i < m->image.n_files; i++) {
		const struct herd_image_file *f = &m->image.files[i];

		herd_buf_printf(out, "  ");
		text(out, f->path);
		herd_buf_printf(out, "\n    %" PRIu64 " bytes; %s: sha256 %s\n",
				f->size, herd_s3_is_object(f->path) ?
				"its name, version, ETag and size" :
				"first and last MiB",
				herd_hex(f->ends, 32, hex));
	}
	herd_buf_printf(out, "kernel: Linux ");
	text(out, m->machine->facts.release);
	herd_buf_printf(out, "\nhost: ");
	text(out, m->machine->hostname);
	herd_buf_printf(out, "\n%zu processes, %zu modules, %zu sockets\n",
			m->machine->n_processes, m->machine->n_modules,
			m->machine->n_sockets);
}

void herd_report_memory_text(const struct herd_report_memory *m,
			     struct herd_buf *out)
{
	write_image(m, out);
	if (!m->judged) {
		herd_buf_printf(out, "not judged: %s\n\n",
				m->outside ? "the baseline is no member" :
				"the memories of the group could not be read");
	} else {
		herd_buf_printf(out, "judged among %u member%s with memory\n\n",
				m->members, m->members == 1 ? "" : "s");
		write_class(m, HERD_CLASS_DEVIANT, m->deviant,
			    "deviant: not like the herd, or odd in itself", out);
		write_class(m, HERD_CLASS_VOLATILE, m->natural,
			    "volatile: comes and goes by itself", out);
	}
	herd_buf_printf(out, "%zu kind%s of problem%s\n",
			m->machine->n_problems,
			m->machine->n_problems == 1 ? "" : "s",
			m->machine->n_problems ? "" :
			": all that was looked for could be read");
	for (size_t i = 0; i < m->machine->n_problems; i++) {
		const struct herd_machine_problem *p = &m->machine->problems[i];

		herd_buf_printf(out, "  ");
		text(out, p->where);
		herd_buf_printf(out, ": ");
		text(out, p->text);
		if (p->count > 1)
			herd_buf_printf(out, " (%" PRIu64 " times)", p->count);
		herd_buf_u8(out, '\n');
	}
}

/* ---- JSON ---- */

void herd_report_memory_json(const struct herd_report_memory *m,
			     struct herd_json *j)
{
	const struct herd_machine *machine = m->machine;
	struct herd_time attached = { .sec = (int64_t)m->attached };
	char time[HERD_REPORT_TIME_MAX];

	herd_json_string(j, "attached", herd_report_time(&attached, time));
	herd_report_json_images(j, "images", &m->image, 1, NULL);
	herd_json_uint(j, "bytes", machine->memory);
	herd_json_bytes(j, "release", machine->facts.release,
			strlen(machine->facts.release));
	herd_json_bytes(j, "hostname", machine->hostname,
			strlen(machine->hostname));
	herd_json_uint(j, "processes", machine->n_processes);
	herd_json_uint(j, "modules", machine->n_modules);
	herd_json_uint(j, "sockets", machine->n_sockets);
	/* a 0 would be a claim */
	if (m->judged) {
		herd_json_uint(j, "members", m->members);
		herd_json_uint(j, "deviant", m->deviant);
		herd_json_uint(j, "volatile", m->natural);
	}
	herd_json_array(j, "problems");
	for (size_t i = 0; i < machine->n_problems; i++) {
		const struct herd_machine_problem *p = &machine->problems[i];

		herd_json_object(j, NULL);
		herd_json_bytes(j, "where", p->where, strlen(p->where));
		herd_json_bytes(j, "text", p->text, strlen(p->text));
		herd_json_uint(j, "count", p->count);
		herd_json_end(j);
	}
	herd_json_end(j);
}

static void json_marks(uint32_t marks, struct herd_json *j)
{
	herd_json_array(j, "marks");
	for (unsigned b = 0; b < 32; b++) {
		const char *name = (marks & 1u << b) ?
				   herd_mark_name(1u << b) : NULL;

		if (name)
			herd_json_string(j, NULL, name);
	}
	herd_json_end(j);
}

void herd_report_memory_json_finding(const struct herd_machine *m,
				     const struct herd_machine_finding *f,
				     struct herd_json *j)
{
	static const char *const subject[HERD_SUBJECT_MAX] = {
		[HERD_SUBJECT_PROCESS] = "process",
		[HERD_SUBJECT_MODULE] = "module",
		[HERD_SUBJECT_HOOK] = "hook",
		[HERD_SUBJECT_FILE] = "file",
		[HERD_SUBJECT_SOCKET] = "socket",
	};

	herd_json_string(j, "subject", (unsigned)f->subject < HERD_SUBJECT_MAX ?
			 subject[f->subject] : "unknown");
	if (f->subject == HERD_SUBJECT_PROCESS && f->index < m->n_processes)
		herd_json_int(j, "pid", m->processes[f->index].pid);
	herd_json_bytes(j, "key", f->key, strlen(f->key));
	herd_json_string(j, "class", herd_class_name(f->class));
	herd_json_uint(j, "score", herd_machine_score(f));
	herd_json_uint(j, "rank", f->rank);
	herd_json_uint(j, "severity", f->severity);
	herd_json_uint(j, "count", f->count);
	if (f->subject != HERD_SUBJECT_FILE)
		herd_json_uint(j, "key_count", f->key_count);
	herd_json_uint(j, "members", f->members);
	json_marks(f->marks, j);
	herd_json_array(j, "why");
	for (const char *p = f->why; *p;) {
		size_t n = strcspn(p, "\n");
		CLEANUP_FREE char *line = strndup(p, n);

		if (line)
			herd_json_string(j, NULL, line);
		p += n + (p[n] == '\n');
	}
	herd_json_end(j);
}
