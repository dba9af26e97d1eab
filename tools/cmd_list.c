/* SPDX-License-Identifier: Apache-2.0 */
/* herdfs list: what deviates, with the reason. Threads: the main thread. */
#include "index/cluster.h"
#include "index/json.h"
#include "index/report_memory.h"
#include "index/report.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char usage[] =
"Usage: herdfs list [OPTION]…\n"
"Lists in what the instances of a group deviate from each other, on their disks\n"
"and, where it is attached, in memory, the most dangerous first, an instance\n"
"after the other.\n"
"\n"
"  --asg NAME        only this group\n"
"  --instance NAME   only this instance (also a baseline)\n"
"  --all             also paths at which nearly every member differs\n"
"                    (volatile), those at which the whole herd differs from\n"
"                    the baseline (drift), and those that deviate but for a\n"
"                    rule of the policy (suppressed)\n"
"  --policy FILE     rules for what may deviate; default DIR/policy of the\n"
"                    index, where there is one\n"
"  --rules FILE      rules of one's own for what a path means; default\n"
"                    $XDG_CONFIG_HOME/herdfs/rules.conf, where there is one\n"
"  --min-rank N      only from this rank on, 0 to 100\n"
"  --min-score N     only from this score on, 0 to 100\n"
"  --expand          each path; otherwise a folder that came or went as a\n"
"                    whole is one line\n"
"  --without IDEA,…  judge without some of what judging is made of, to see what\n"
"                    it is worth: forms, places, second-look, logs, missing,\n"
"                    packages, rotated, expected, bands\n"
"  --json            for programs: each path, one a line\n"
"  --store DIR       the index; default $HERDFS_STORE, else\n"
"                    $XDG_DATA_HOME/herdfs\n"
"  --help            this text\n"
"\n"
"Columns: score, which is the rank (0 to 100, the higher the odder) in parts of\n"
"the severity (0 to 100, the higher the worse); both of these; instance; class;\n"
"how many of the members have this very version; in what it differs; path; and\n"
"behind \"--\" the category, the ATT&CK technique, and what is different in\n"
"words; with a baseline, in brackets where it stands against herd and baseline.\n"
"On a terminal narrower than 160 that last part is a line of its own.\n"
"Of memory, in the place of the path, \"process\" and its number, \"module\",\n"
"\"hook\", \"file in memory\" or \"socket\"; behind \"--\" what is odd about it.\n"
"Bytes that could upset a terminal are shown as \\xHH.\n"
"Exit status: 0 whether or not something deviates, 1 failed, 2 wrong usage.\n";

struct listing {
	const char *store, *group, *instance, *policy, *rules, *without;
	unsigned without_bits;
	bool all, expand, json;
	uint64_t min_rank, min_score;
	/* at work */
	struct herd_txn *txn;
	struct herd_knowledge *knowledge;
	struct herd_json j;
	struct herd_buf out;
	bool many_groups, wrap;
	size_t name_width;
	struct herd_buf bands;	/* what is to be said of them at the end; as
				   JSON an array of its own */
	struct herd_json bands_json;
	bool bands_unknown;	/* of some group */
	size_t instances, odd_instances, shown_instances;
	size_t deviant, volatile_paths, drift, suppressed;
	uint64_t problems;
	size_t provisional;	/* instances that rest on metadata alone */
	struct herd_memory_herd *memory_herd;	/* of the group at hand */
	struct herd_buf memory;		/* JSON: findings in memory */
	struct herd_json memory_json;
	size_t memories, odd_in_memory;
	uint64_t memory_problems;
};

static int parse_without(struct listing *l)
{
	for (const char *p = l->without; p && *p;) {
		size_t n = strcspn(p, ",");
		unsigned bit = herd_without_named(p, n);

		if (!bit)
			return herd_tool_usage("list", "--without knows no "
					       "\"%.*s\"", (int)n, p);
		l->without_bits |= bit;
		p += n + (p[n] == ',');
	}
	return 0;
}

static int parse(int argc, char **argv, struct listing *l)
{
	const struct herd_tool_option options[] = {
		{ "asg", .text = &l->group },
		{ "instance", .text = &l->instance },
		{ "all", .flag = &l->all },
		{ "policy", .text = &l->policy },
		{ "rules", .text = &l->rules },
		{ "without", .text = &l->without },
		{ "min-rank", .number = &l->min_rank, .most = 100 },
		{ "min-score", .number = &l->min_score, .most = 100 },
		{ "expand", .flag = &l->expand },
		{ "json", .flag = &l->json },
		{ "store", .text = &l->store },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "list", usage, options);

	if (!status && optind < argc)
		return herd_tool_usage("list", "what is \"%s\"?", argv[optind]);
	return status ? status : parse_without(l);
}

/* ---- output ---- */

static void flush(struct herd_buf *out)
{
	if (out->len)
		fwrite(out->data, 1, out->len, stdout);
	out->len = 0;
}

/* A terminal's, or what $COLUMNS says; 0: there is no limit. */
static unsigned width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	uint64_t n;

	if (columns && herd_tool_number(columns, 1, 100000, &n))
		return (unsigned)n;
	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? 0 : size.ws_col;
}

static void print_name(struct listing *l, const struct herd_group *g,
		       const char *instance)
{
	size_t at = l->out.len;

	if (l->many_groups) {
		herd_report_escape(&l->out, g->name, strlen(g->name));
		herd_buf_u8(&l->out, '/');
	}
	herd_report_escape(&l->out, instance, strlen(instance));
	for (size_t n = l->out.len - at; n < l->name_width; n++)
		herd_buf_u8(&l->out, ' ');
}

static void print_meaning(struct listing *l, const struct herd_meaning *m,
			  const char *axis)
{
	if (l->wrap)
		herd_buf_printf(&l->out, "\n%*s", 18, "");
	else
		herd_buf_printf(&l->out, "  -- ");
	herd_buf_printf(&l->out, "%s%s%s: %s", m->category,
			m->technique[0] ? " " : "", m->technique, m->why);
	if (axis)
		herd_buf_printf(&l->out, " [%s]", axis);
}

static void print_line(struct listing *l, const struct herd_group *g,
		       const char *instance,
		       const struct herd_report_lines *lines,
		       const struct herd_report_line *line)
{
	const struct herd_verdict *v = &line->finding->verdict;
	char reasons[HERD_REASON_TEXT_MAX], count[32];
	char known[HERD_REPORT_KNOWN_MAX];

	herd_buf_printf(&l->out, "%5u  %4u  %3u  ", line->score, v->rank,
			line->meaning.severity);
	print_name(l, g, instance);
	snprintf(count, sizeof(count), "%u/%u", v->count, v->members);
	herd_reason_text(v->class == HERD_CLASS_DRIFT ? v->baseline_reasons :
			 v->reasons, reasons, sizeof(reasons));
	herd_buf_printf(&l->out, "  %-8s  %7s  %-9s  /",
			herd_class_name(v->class), count, reasons);
	herd_report_escape(&l->out, herd_report_line_name(lines, line),
			   line->name_len);
	if (line->below)
		herd_buf_printf(&l->out, "  (and %zu below)", line->below);
	herd_report_known(line->finding, known);
	herd_buf_printf(&l->out, "%s%s", known[0] ? "  " : "", known);
	print_meaning(l, &line->meaning, herd_verdict_axis(v));
	herd_buf_u8(&l->out, '\n');
}

static void json_line(struct listing *l, const struct herd_group *g,
		      const char *instance, const struct herd_report_names *names,
		      const struct herd_report_lines *lines,
		      const struct herd_report_line *line)
{
	herd_json_object(&l->j, NULL);
	herd_json_string(&l->j, "group", g->name);
	herd_json_string(&l->j, "instance", instance);
	herd_json_bytes(&l->j, "path", herd_report_line_name(lines, line),
			line->name_len);
	herd_report_json_verdict(&l->j, line->finding, names);
	herd_report_json_meaning(&l->j, line->finding, &line->meaning);
	herd_json_end(&l->j);
}

static bool wanted(const struct listing *l, const struct herd_report_line *line)
{
	const struct herd_verdict *v = &line->finding->verdict;

	return !line->folded && v->rank >= l->min_rank &&
	       line->score >= l->min_score &&
	       (l->all || v->class == HERD_CLASS_DEVIANT ||
		(line->finding->known && line->finding->known->bad));
}

static void count(struct listing *l, const struct herd_report_lines *lines)
{
	size_t deviant = 0;

	for (size_t i = 0; i < lines->n; i++) {
		enum herd_class c = lines->v[i].finding->verdict.class;

		deviant += c == HERD_CLASS_DEVIANT;
		l->volatile_paths += c == HERD_CLASS_VOLATILE;
		l->drift += c == HERD_CLASS_DRIFT;
		l->suppressed += c == HERD_CLASS_SUPPRESSED;
	}
	l->instances++;
	l->odd_instances += deviant > 0;
	l->deviant += deviant;
}

/* ---- memory ---- */

static void print_memory(struct listing *l, const struct herd_group *g,
			 const char *instance,
			 const struct herd_machine *m,
			 const struct herd_machine_finding *f)
{
	char count[32];

	herd_buf_printf(&l->out, "%5u  %4u  %3u  ", herd_machine_score(f),
			f->rank, f->severity);
	print_name(l, g, instance);
	snprintf(count, sizeof(count), "%u/%u", f->count, f->members);
	herd_buf_printf(&l->out, "  %-8s  %7s  %-9s  ",
			herd_class_name(f->class), count, "memory");
	herd_report_memory_subject(m, f, &l->out);
	if (l->wrap)
		herd_buf_printf(&l->out, "\n%*s", 18, "");
	else
		herd_buf_printf(&l->out, "  -- ");
	herd_report_memory_marks(f->marks, &l->out);
	herd_buf_u8(&l->out, '\n');
}

static void json_memory(struct listing *l, const struct herd_group *g,
			const char *instance, const struct herd_machine *m,
			const struct herd_machine_finding *f)
{
	struct herd_json *j = &l->memory_json;

	herd_json_object(j, NULL);
	herd_json_string(j, "group", g->name);
	herd_json_string(j, "instance", instance);
	herd_report_memory_json_finding(m, f, j);
	herd_json_end(j);
}

/* As the lines of the disk are: by score alone, whatever the class. */
static int by_score(const void *a, const void *b)
{
	const struct herd_machine_finding *x = a, *y = b;
	unsigned s = herd_machine_score(x), o = herd_machine_score(y);

	if (s != o)
		return s > o ? -1 : 1;
	if (x->subject != y->subject)
		return x->subject < y->subject ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* Its memory, or none, in the order of the list. */
static int get_memory(struct listing *l, const struct herd_instance *instance,
		      struct herd_report_memory *m, struct herd_diag *diag)
{
	int err = herd_report_memory_make(l->txn, l->memory_herd, instance->id,
					  m, diag);

	if (err)
		return err == -ENOENT ? 0 : err;
	l->memories++;
	l->odd_in_memory += m->deviant;
	l->memory_problems += m->machine->n_problems;
	if (m->n)
		qsort(m->v, m->n, sizeof(*m->v), by_score);
	return 0;
}

/* Those findings from *at on that come before a line of that score. */
static void list_memory(struct listing *l, const struct herd_herd *h,
			const char *instance, const struct herd_report_memory *m,
			unsigned score, size_t *at)
{
	for (; *at < m->n && herd_machine_score(&m->v[*at]) >= score; ++*at) {
		const struct herd_machine_finding *f = &m->v[*at];

		if (f->rank < l->min_rank ||
		    herd_machine_score(f) < l->min_score ||
		    (!l->all && f->class != HERD_CLASS_DEVIANT))
			continue;
		if (l->json)
			json_memory(l, herd_herd_group(h), instance, m->machine,
				    f);
		else
			print_memory(l, herd_herd_group(h), instance,
				     m->machine, f);
	}
}

/* ---- work ---- */

static int list_instance(struct listing *l, const struct herd_herd *h,
			 uint32_t id, const struct herd_report_names *names,
			 struct herd_diag *diag)
{
	CLEANUP(herd_report_lines_deinit) struct herd_report_lines lines = { 0 };
	CLEANUP(herd_instance_deinit) struct herd_instance instance = { 0 };
	CLEANUP(herd_report_memory_deinit) struct herd_report_memory m = { .n = 0 };
	CLEANUP_FREE struct herd_finding *findings = NULL;
	struct herd_report r = { .txn = l->txn, .herd = h,
				 .instance = &instance };
	size_t at = 0;
	int err = herd_instance_get(l->txn, id, &instance);

	if (!err)
		err = herd_judge_instance(l->txn, h, id, &findings,
					  &r.n_findings, diag);
	r.findings = findings;
	if (!err)
		err = herd_report_lines_make(&r, !l->expand && !l->json, &lines,
					     diag);
	if (!err)
		err = get_memory(l, &instance, &m, diag);
	if (err)
		return err;
	count(l, &lines);
	l->problems += instance.problems;
	l->provisional += herd_instance_is_provisional(&instance);
	for (size_t i = 0; i < lines.n; i++) {
		if (!wanted(l, &lines.v[i]))
			continue;
		list_memory(l, h, instance.name, &m, lines.v[i].score, &at);
		if (l->json)
			json_line(l, herd_herd_group(h), instance.name, names,
				  &lines, &lines.v[i]);
		else
			print_line(l, herd_herd_group(h), instance.name,
				   &lines, &lines.v[i]);
		if (l->out.len > 1u << 16)
			flush(&l->out);
	}
	list_memory(l, h, instance.name, &m, 0, &at);
	return herd_buf_error(&l->out);
}

static void cleanup_herd(struct herd_herd **h)
{
	herd_herd_destroy(*h);
}

static int list_bands(struct listing *l, const struct herd_herd *h,
		      const struct herd_report_names *names,
		      struct herd_diag *diag)
{
	const struct herd_clustering *c = herd_herd_clustering(h);

	l->bands_unknown |= herd_herd_unclustered(h);
	if (l->json)
		herd_report_json_clusters(&l->bands_json, h, 0, names);
	if (l->json || !((c && herd_clustering_n(c) > 1) ||
			 herd_herd_unclustered(h)))
		return 0;
	herd_buf_u8(&l->bands, '\n');
	return herd_report_clusters(l->txn, h, &l->bands, diag);
}

static int list_group(struct listing *l, const struct herd_group *g,
		      struct herd_diag *diag)
{
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	CLEANUP(cleanup_herd) struct herd_herd *h = NULL;
	int err = herd_herd_make_without(l->txn, g, l->without_bits, &h, diag);

	if (!err)
		herd_herd_set_knowledge(h, l->knowledge);
	if (!err)
		err = herd_report_names_make(l->txn, g->id, &names);
	if (!err)
		err = herd_memory_herd_make(l->txn, h, &l->memory_herd, diag);
	for (size_t i = 0; i < names.n && !err; i++) {
		bool named = l->instance &&
			     strcmp(l->instance, names.v[i].name) == 0;

		/* a baseline is no member: only when asked for */
		if (l->instance ? !named : names.v[i].id == g->baseline)
			continue;
		l->shown_instances++;
		err = list_instance(l, h, names.v[i].id, &names, diag);
	}
	herd_memory_herd_destroy(TAKE_PTR(l->memory_herd));
	return err ? err : list_bands(l, h, &names, diag);
}

static int list_groups(struct listing *l, struct herd_diag *diag)
{
	CLEANUP(herd_tool_groups_deinit) struct herd_tool_groups all = { 0 };
	int err;

	if (l->group) {
		struct herd_group g;

		err = herd_tool_find_group(l->txn, l->group, &g);
		return err ? -ECANCELED : list_group(l, &g, diag);
	}
	err = herd_tool_groups_get(l->txn, &all);
	l->many_groups = all.n > 1;
	for (size_t i = 0; i < all.n && !err; i++)
		err = list_group(l, &all.v[i], diag);
	return err;
}

static void summary(const struct listing *l)
{
	char a[32], b[32], c[32];

	printf("%s%s path%s in %zu of %zu instance%s deviate%s",
	       l->out.len || l->deviant ? "\n" : "",
	       herd_tool_count(l->deviant, a, sizeof(a)),
	       l->deviant == 1 ? "" : "s", l->odd_instances, l->instances,
	       l->instances == 1 ? "" : "s", l->deviant == 1 ? "s" : "");
	if (!l->all && l->volatile_paths + l->drift)
		printf("; %s volatile, %s in drift (--all lists them)",
		       herd_tool_count(l->volatile_paths, a, sizeof(a)),
		       herd_tool_count(l->drift, b, sizeof(b)));
	if (l->knowledge->policy_source)
		printf("; %s suppressed%s",
		       herd_tool_count(l->suppressed, a, sizeof(a)),
		       l->all || !l->suppressed ? "" : " (--all)");
	if (l->problems)
		printf("; %s problem%s (herdfs status --problems)",
		       herd_tool_count(l->problems, c, sizeof(c)),
		       l->problems == 1 ? "" : "s");
	printf("\n");
	if (l->memories)
		printf("in the memory of %zu: %s process%s, modules and so on "
		       "deviate; %s problem%s (herdfs status --problems)\n",
		       l->memories,
		       herd_tool_count(l->odd_in_memory, a, sizeof(a)),
		       l->odd_in_memory == 1 ? "" : "es",
		       herd_tool_count(l->memory_problems, b, sizeof(b)),
		       l->memory_problems == 1 ? "" : "s");
	if (l->provisional)
		printf("%zu of them rest on metadata alone: what herdfs verify "
		       "would find is not in this list\n", l->provisional);
}

static int fit_name(void *arg, uint32_t id, uint32_t group,
		    enum herd_role role, const char *name)
{
	struct listing *l = arg;
	size_t n = strlen(name);

	(void)id;
	(void)group;
	(void)role;
	n = n < 40 ? n : 40;
	l->name_width = n > l->name_width ? n : l->name_width;
	return 0;
}

static int list(struct listing *l)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int err;

	if (l->json) {
		herd_json_begin(&l->j, &l->out, 2);
		herd_json_object(&l->j, NULL);
		herd_json_string(&l->j, "format", "herdfs list");
		herd_json_uint(&l->j, "version", 1);
		herd_json_array(&l->j, "findings");
		herd_json_begin(&l->bands_json, &l->bands, 0);
		herd_json_array(&l->bands_json, NULL);
		herd_json_begin(&l->memory_json, &l->memory, 1);
		herd_json_array(&l->memory_json, NULL);
	} else {
		l->wrap = width() && width() < 160;
		herd_instance_each_name(l->txn, 0, fit_name, l);
		printf("score  rank  sev  %-*s  %-8s  %7s  %-9s  path\n",
		       (int)l->name_width, "instance", "class", "members",
		       "reasons");
	}
	err = list_groups(l, &diag);
	if (err == -ECANCELED)
		return HERD_EXIT_FAILED;
	if (err)
		return herd_tool_fail(&diag, err);
	if (l->instance && !l->shown_instances) {
		herd_tool_warn("there is no instance \"%s\"", l->instance);
		return HERD_EXIT_FAILED;
	}
	if (l->json) {
		herd_json_end(&l->j);
		herd_json_end(&l->bands_json);
		err = herd_json_finish(&l->bands_json);
		herd_json_end(&l->memory_json);
		err = err ? err : herd_json_finish(&l->memory_json);
		herd_json_made(&l->j, "memory", &l->memory);
		herd_json_made(&l->j, "clusters", &l->bands);
		herd_json_bool(&l->j, "clusters_unknown", l->bands_unknown);
		l->bands.len = 0;
		herd_json_uint(&l->j, "instances", l->instances);
		herd_json_uint(&l->j, "suppressed", l->suppressed);
		herd_json_uint(&l->j, "problems", l->problems);
		herd_json_uint(&l->j, "provisional", l->provisional);
		herd_json_uint(&l->j, "memories", l->memories);
		herd_json_uint(&l->j, "memory_problems", l->memory_problems);
		herd_json_end(&l->j);
		err = err ? err : herd_json_finish(&l->j);
	}
	flush(&l->out);
	flush(&l->bands);
	if (!l->json)
		summary(l);
	return err ? herd_tool_fail(NULL, err) : HERD_EXIT_OK;
}

int herd_cmd_list(int argc, char **argv)
{
	struct listing l = { .out = HERD_BUF_INIT, .name_width = 8 };
	struct herd_store *store = NULL;
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	int status = parse(argc, argv, &l);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	if (herd_tool_open_store(l.store, 0, &store))
		return HERD_EXIT_FAILED;
	const struct herd_knowledge_files files = {
		.store_dir = herd_store_dir(store), .policy = l.policy,
		.rules = l.rules };
	int err = herd_tool_open_knowledge(&files, &l.knowledge);

	status = HERD_EXIT_FAILED;
	if (!err) {
		err = herd_txn_begin(store, false, &l.txn, &diag);
		status = err ? herd_tool_fail(&diag, err) : list(&l);
	}
	herd_txn_abort(l.txn);
	herd_knowledge_close(l.knowledge);
	herd_store_close(store);
	herd_buf_deinit(&l.out);
	herd_buf_deinit(&l.bands);
	herd_buf_deinit(&l.memory);
	return herd_tool_finish(status);
}
