/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs status: what is in the index, whether its images are still there,
 * what could not be read. Threads: the main thread.
 */
#include "index/json.h"
#include "index/report_memory.h"
#include "index/report.h"
#include "tools/commands.h"
#include "tools/common.h"
#include "tools/status_remote.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char usage[] =
"Usage: herdfs status [OPTION]…\n"
"Shows the groups and instances in the index, whether their images are as they\n"
"were when they were indexed, and how much could not be read.\n"
"\n"
"  --asg NAME        only this group\n"
"  --problems        name everything that could not be read\n"
"  --json            for programs\n"
"  --store DIR       the index; default $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs\n"
"  --block-cache DIR where blocks of EBS snapshots are kept; else\n"
"                    $HERDFS_CACHE, else $XDG_CACHE_HOME/herdfs\n"
"  --help            this text\n"
"\n"
"An image is \"present\", \"changed\" (another size or time than when it was\n"
"indexed; its content is not read for this), \"missing\" or \"unreadable\"; of an\n"
"EBS \"snapshot\" it is told what was read of it and the price, at the rates of\n"
"AWS's example.\n"
"Exit status: 0 shown, whatever there is to see; 1 failed; 2 wrong usage.\n";

struct status {
	const char *store_dir, *group, *cache_dir;
	bool problems, json;
	/* at work */
	struct herd_store *store;
	struct herd_txn *txn;
	struct herd_costs costs;
	struct herd_json j;
	struct herd_buf out;
};

static int parse(int argc, char **argv, struct status *s)
{
	const struct herd_tool_option options[] = {
		{ "asg", .text = &s->group },
		{ "problems", .flag = &s->problems },
		{ "json", .flag = &s->json },
		{ "store", .text = &s->store_dir },
		{ "block-cache", .text = &s->cache_dir },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "status", usage, options);

	if (!status && optind < argc)
		return herd_tool_usage("status", "what is \"%s\"?",
				       argv[optind]);
	return status;
}

/* ---- what is there now ---- */

static const char *image_state(const struct herd_image *img,
			       struct herd_diag *diag)
{
	for (size_t i = 0; i < img->n_files; i++) {
		struct stat st;

		if (herd_image_is_remote(img))
			return herd_s3_is_object(img->files[i].path) ?
				       "object" : "snapshot";

		if (stat(img->files[i].path, &st) == 0)
			continue;
		herd_diag_set(diag, -errno, img->files[i].path, HERD_NO_OFFSET,
			      "%s", strerror(errno));
		return errno == ENOENT || errno == ENOTDIR ? "missing" :
		       "unreadable";
	}
	switch (herd_image_verify(img, false, diag)) {
	case 0: return "present";
	case -ESTALE: return "changed";
	default: return "unreadable";
	}
}

/* Bytes that the store takes on the disk. */
static uint64_t store_size(const char *dir)
{
	DIR *d = opendir(dir);
	uint64_t bytes = 0;

	for (struct dirent *e; d && (e = readdir(d)); ) {
		struct stat st;

		if (fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			bytes += (uint64_t)st.st_blocks * 512;
	}
	if (d)
		closedir(d);
	return bytes;
}

static void flush(struct herd_buf *out)
{
	if (out->len)
		fwrite(out->data, 1, out->len, stdout);
	out->len = 0;
}

/* ---- one instance ---- */

struct shown {
	struct herd_buf *out;
	struct herd_json *j;	/* NULL: text */
};

static int show_problem(void *arg, const char *path, size_t path_len,
			const char *text, size_t text_len)
{
	const struct shown *s = arg;

	if (s->j) {
		herd_json_object(s->j, NULL);
		herd_json_bytes(s->j, "path", path, path_len);
		herd_json_bytes(s->j, "text", text, text_len);
		herd_json_end(s->j);
	} else {
		herd_buf_printf(s->out, "    /");
		herd_report_escape(s->out, path, path_len);
		herd_buf_printf(s->out, ": ");
		herd_report_escape(s->out, text, text_len);
		herd_buf_u8(s->out, '\n');
	}
	return herd_buf_error(s->out);
}

/* ---- its memory ---- */

static void show_memory_problems(struct status *s, const struct herd_machine *m)
{
	for (size_t i = 0; i < m->n_problems; i++) {
		const struct herd_machine_problem *p = &m->problems[i];

		herd_buf_printf(&s->out, "    memory: ");
		herd_report_escape(&s->out, p->where, strlen(p->where));
		herd_buf_printf(&s->out, ": ");
		herd_report_escape(&s->out, p->text, strlen(p->text));
		if (p->count > 1)
			herd_buf_printf(&s->out, " (%" PRIu64 " times)",
					p->count);
		herd_buf_u8(&s->out, '\n');
	}
}

static int show_memory(struct status *s, uint32_t instance)
{
	CLEANUP(herd_report_memory_deinit) struct herd_report_memory m = { .n = 0 };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	char bytes[32], line[1024];
	int err = herd_report_memory_make(s->txn, NULL, instance, &m, &diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	const char *state = image_state(&m.image, &diag);

	if (s->json) {
		herd_json_object(&s->j, "memory");
		herd_json_string(&s->j, "state", state);
		herd_report_memory_json(&m, &s->j);
		herd_costs_json_object(&s->costs, &m.image, &s->j);
		herd_json_end(&s->j);
		return 0;
	}
	herd_buf_printf(&s->out, "    memory: %s, %s of Linux ", state,
			herd_tool_bytes(m.machine->memory, bytes,
					sizeof(bytes)));
	herd_report_escape(&s->out, m.machine->facts.release,
			   strlen(m.machine->facts.release));
	herd_buf_printf(&s->out, ", %zu processes, %zu kind%s of problem%s\n",
			m.machine->n_processes, m.machine->n_problems,
			m.machine->n_problems == 1 ? "" : "s",
			m.machine->n_problems == 1 ? "" : "s");
	if (diag.message[0]) {
		herd_diag_format(&diag, 0, line, sizeof(line));
		herd_buf_printf(&s->out, "    ");
		herd_report_escape(&s->out, line, strlen(line));
		herd_buf_u8(&s->out, '\n');
	}
	herd_costs_text_object(&s->costs, &m.image, &s->out);
	if (s->problems)
		show_memory_problems(s, m.machine);
	return 0;
}

static int json_instance(struct status *s, const struct herd_instance *i,
			 const char *const *states)
{
	struct herd_time attached = { .sec = (int64_t)i->attached };
	struct shown shown = { &s->out, &s->j };
	char time[HERD_REPORT_TIME_MAX];
	int err = 0;

	herd_json_object(&s->j, NULL);
	herd_json_string(&s->j, "instance", i->name);
	herd_json_string(&s->j, "role", herd_report_role(i->role));
	herd_json_string(&s->j, "attached", herd_report_time(&attached, time));
	herd_report_json_images(&s->j, "images", i->disks, i->n_disks, states);
	herd_json_uint(&s->j, "volumes", i->n_volumes);
	herd_json_uint(&s->j, "entries", i->entries);
	herd_json_uint(&s->j, "files", i->files);
	herd_json_uint(&s->j, "bytes", i->bytes);
	herd_json_uint(&s->j, "hashed_bytes", i->hashed_bytes);
	herd_json_uint(&s->j, "inherited_bytes", i->inherited_bytes);
	herd_json_uint(&s->j, "problem_count", i->problems);
	if (herd_costs_has_snapshot(i))
		herd_costs_json(&s->costs, i, &s->j);
	if (s->problems) {
		herd_json_array(&s->j, "problems");
		err = herd_problem_each(s->txn, i->id, show_problem, &shown);
		herd_json_end(&s->j);
	}
	if (!err)
		err = show_memory(s, i->id);
	herd_json_end(&s->j);
	return err;
}

static void put_name(struct herd_buf *out, const char *name, size_t width)
{
	size_t n = 0;

	herd_report_escape(out, name, strlen(name));
	for (const char *p = name; *p; p++)
		n += (*p & 0xc0) != 0x80;	/* UTF-8 characters */
	while (n++ < width)
		herd_buf_u8(out, ' ');
}

static int text_instance(struct status *s, const struct herd_instance *i,
			 const char *state, const struct herd_diag *diags)
{
	struct herd_time attached = { .sec = (int64_t)i->attached };
	struct shown shown = { &s->out, NULL };
	char time[HERD_REPORT_TIME_MAX], count[32], hashed[32], inherited[32];
	char problems[32], line[1024];

	herd_buf_printf(&s->out, "  ");
	put_name(&s->out, i->name, 20);
	herd_buf_printf(&s->out, "  %-8s  %-10s  %11s  %8s  %9s  %8s  %s\n",
			herd_report_role(i->role), state,
			herd_tool_count(i->entries, count, sizeof(count)),
			herd_tool_bytes(i->hashed_bytes, hashed, sizeof(hashed)),
			herd_tool_bytes(i->inherited_bytes, inherited,
					sizeof(inherited)),
			herd_tool_count(i->problems, problems,
					sizeof(problems)),
			herd_report_time(&attached, time));
	for (size_t d = 0; d < i->n_disks; d++) {
		if (!diags[d].message[0])
			continue;
		herd_diag_format(&diags[d], 0, line, sizeof(line));
		herd_buf_printf(&s->out, "    ");
		herd_report_escape(&s->out, line, strlen(line));
		herd_buf_u8(&s->out, '\n');
	}
	if (herd_costs_has_snapshot(i))
		herd_costs_text(&s->costs, i, &s->out);
	for (size_t v = 0; v < i->n_volumes; v++) {
		const char *note = i->volumes[v].note;

		if (!s->problems || !note || !note[0])
			continue;
		herd_buf_printf(&s->out, "    volume %zu: ", v);
		herd_report_escape(&s->out, note, strlen(note));
		herd_buf_u8(&s->out, '\n');
	}
	int err = show_memory(s, i->id);

	return err || !s->problems ? err :
	       herd_problem_each(s->txn, i->id, show_problem, &shown);
}

static int show_instance(void *arg, const struct herd_instance *i)
{
	struct status *s = arg;
	size_t n = i->n_disks ? i->n_disks : 1;
	CLEANUP_FREE const char **states = calloc(n, sizeof(*states));
	CLEANUP_FREE struct herd_diag *diags = calloc(n, sizeof(*diags));
	const char *worst = i->n_disks ? "present" : "none";
	int err;

	if (!states || !diags)
		return -ENOMEM;
	for (size_t d = 0; d < i->n_disks; d++) {
		diags[d].offset = HERD_NO_OFFSET;
		states[d] = image_state(&i->disks[d], &diags[d]);
		if (strcmp(worst, "present") == 0)
			worst = states[d];
	}
	err = s->json ? json_instance(s, i, states) :
	      text_instance(s, i, worst, diags);
	flush(&s->out);
	return err ? err : herd_buf_error(&s->out);
}

/* ---- groups ---- */

static int show_group(struct status *s, const struct herd_group *g)
{
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	int err = herd_report_names_make(s->txn, g->id, &names);
	const char *baseline = !g->baseline ? NULL :
		herd_report_name_of(&names, g->baseline);

	if (err)
		return err;
	if (s->json) {
		herd_json_object(&s->j, NULL);
		herd_json_string(&s->j, "group", g->name);
		herd_json_uint(&s->j, "members", g->members);
		if (baseline)
			herd_json_string(&s->j, "baseline", baseline);
		herd_json_array(&s->j, "instances");
	} else {
		herd_buf_printf(&s->out, "\nGroup ");
		put_name(&s->out, g->name, 0);
		herd_buf_printf(&s->out, ": %u member%s", g->members,
				g->members == 1 ? "" : "s");
		if (baseline) {
			herd_buf_printf(&s->out, ", baseline ");
			put_name(&s->out, baseline, 0);
		}
		herd_buf_printf(&s->out, "\n  %-20s  %-8s  %-10s  %11s  %8s  "
				"%9s  %8s  %s\n", "instance", "role", "images",
				"entries", "hashed", "inherited", "problems",
				"indexed");
	}
	err = herd_instance_each(s->txn, g->id, show_instance, s);
	if (!s->json)
		herd_costs_text_sum(&s->costs, &s->out);
	if (s->json) {
		herd_json_end(&s->j);
		herd_json_end(&s->j);
	}
	return err;
}

static int show_groups(struct status *s)
{
	CLEANUP(herd_tool_groups_deinit) struct herd_tool_groups l = { 0 };
	struct herd_group g;
	int err;

	if (s->group) {
		err = herd_tool_find_group(s->txn, s->group, &g);
		return err ? -ECANCELED : show_group(s, &g);
	}
	err = herd_tool_groups_get(s->txn, &l);
	for (size_t i = 0; i < l.n && !err; i++)
		err = show_group(s, &l.v[i]);
	if (!err && !l.n && !s->json)
		herd_buf_printf(&s->out, "\nNothing is attached yet.\n");
	return err;
}

static int show(struct status *s)
{
	const char *dir = herd_store_dir(s->store);
	uint64_t size = store_size(dir);
	char text[32];
	int err;

	if (s->json) {
		herd_json_begin(&s->j, &s->out, 3);
		herd_json_object(&s->j, NULL);
		herd_json_string(&s->j, "format", "herdfs status");
		herd_json_uint(&s->j, "version", 1);
		herd_json_bytes(&s->j, "store", dir, strlen(dir));
		herd_json_uint(&s->j, "store_bytes", size);
		herd_json_array(&s->j, "groups");
	} else {
		herd_buf_printf(&s->out, "Store ");
		herd_report_escape(&s->out, dir, strlen(dir));
		herd_buf_printf(&s->out, ": %s\n",
				herd_tool_bytes(size, text, sizeof(text)));
	}
	herd_costs_open(&s->costs, s->cache_dir);
	err = show_groups(s);
	herd_costs_close(&s->costs);
	if (err == -ECANCELED)
		return HERD_EXIT_FAILED;
	if (s->json && !err) {
		herd_json_end(&s->j);
		herd_json_end(&s->j);
		err = herd_json_finish(&s->j);
	}
	flush(&s->out);
	return err ? herd_tool_fail(NULL, err) : HERD_EXIT_OK;
}

int herd_cmd_status(int argc, char **argv)
{
	struct status s = { .out = HERD_BUF_INIT };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err, status = parse(argc, argv, &s);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	if (herd_tool_open_store(s.store_dir, 0, &s.store))
		return HERD_EXIT_FAILED;
	err = herd_txn_begin(s.store, false, &s.txn, &diag);
	status = err ? herd_tool_fail(&diag, err) : show(&s);
	herd_txn_abort(s.txn);
	herd_store_close(s.store);
	herd_buf_deinit(&s.out);
	return herd_tool_finish(status);
}
