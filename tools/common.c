/* SPDX-License-Identifier: Apache-2.0 */
/* What the subcommands share. Threads: the main thread of a tool. */
#include "tools/common.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void herd_tool_warn(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	herd_text_clean(text);
	fflush(stdout);
	fprintf(stderr, "herdfs: %s\n", text);
}

int herd_tool_fail(const struct herd_diag *diag, int err)
{
	char text[1024];

	herd_tool_warn("%s", herd_diag_format(diag, err, text, sizeof(text)));
	return HERD_EXIT_FAILED;
}

int herd_tool_usage(const char *command, const char *fmt, ...)
{
	if (fmt) {
		char text[1024];
		va_list ap;

		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		herd_text_clean(text);
		fprintf(stderr, "herdfs %s: %s\n", command, text);
	}
	fprintf(stderr, "Try 'herdfs %s --help'.\n", command);
	return HERD_EXIT_USAGE;
}

const char *herd_tool_store_dir(const char *dir, char *buf, size_t size)
{
	if (dir)
		return dir;
	if (!herd_store_default_dir(buf, size))
		return buf;
	herd_tool_warn("no place for a store: give --store DIR or set "
		       "HERDFS_STORE");
	return NULL;
}

static int take_option(const char *command, const struct herd_tool_option *o)
{
	if (o->text)
		*o->text = optarg;
	else if (o->flag)
		*o->flag = true;
	else if (!herd_tool_number(optarg, 0, o->most, o->number))
		return herd_tool_usage(command, "--%s is 0 to %" PRIu64
				       ", not \"%s\"", o->name, o->most, optarg);
	return 0;
}

int herd_tool_options(int argc, char **argv, const char *command,
		      const char *usage, const struct herd_tool_option *options)
{
	struct option list[HERD_TOOL_OPTIONS_MAX + 2] = { 0 };
	int n = 0, c, err = 0;

	for (; options[n].name; n++) {
		assert(n < HERD_TOOL_OPTIONS_MAX);
		list[n].name = options[n].name;
		list[n].has_arg = options[n].flag ? no_argument :
						    required_argument;
		list[n].val = n;
	}
	list[n] = (struct option){ "help", no_argument, NULL, n };
	while (!err && (c = getopt_long(argc, argv, "h", list, NULL)) != -1) {
		if (c == '?')
			return herd_tool_usage(command, NULL);
		if (c == n || c == 'h') {
			fputs(usage, stdout);
			return -1;
		}
		err = take_option(command, &options[c]);
	}
	return err;
}

int herd_tool_open_store(const char *dir, unsigned flags,
			 struct herd_store **ret)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	char place[PATH_MAX];
	int err;

	dir = herd_tool_store_dir(dir, place, sizeof(place));
	if (!dir)
		return -ENOENT;
	err = herd_store_open(dir, flags, ret, &diag);
	if (err)
		herd_tool_fail(&diag, err);
	return err;
}

int herd_tool_open_knowledge(const struct herd_knowledge_files *files,
			     struct herd_knowledge **ret)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_knowledge *k;
	int err = herd_knowledge_open(files, (int64_t)herd_tool_now(), &k,
				      &diag);

	if (err) {
		herd_tool_fail(&diag, err);
		return err;
	}
	for (size_t i = 0; i < k->policy.n; i++)
		if (herd_policy_expired(&k->policy.v[i], k->now))
			herd_tool_warn("%s:%u: the rule for %s ended with %s "
				       "and does not apply", k->policy_source,
				       k->policy.v[i].line,
				       k->policy.v[i].pattern,
				       k->policy.v[i].until);
	*ret = k;
	return 0;
}

int herd_tool_find_group(struct herd_txn *t, const char *name,
			 struct herd_group *ret)
{
	int err = herd_group_find(t, name, ret);

	if (err == -ENOENT)
		herd_tool_warn("there is no group \"%s\" in the store", name);
	else if (err)
		herd_tool_warn("group \"%s\": %s", name, strerror(-err));
	return err;
}

static int only_group(void *arg, const struct herd_group *g)
{
	struct herd_group *only = arg;

	if (only->id)
		return 1;
	*only = *g;
	return 0;
}

int herd_tool_one_group(const char *command, struct herd_txn *t,
			const char *name, struct herd_group *ret)
{
	struct herd_group g = { .id = 0 };
	int err;

	if (name)
		return herd_tool_find_group(t, name, ret) ? HERD_EXIT_FAILED :
							    HERD_EXIT_OK;
	err = herd_group_each(t, only_group, &g);
	if (err < 0)
		return herd_tool_fail(NULL, err);
	if (err)
		return herd_tool_usage(command, "which group? give --asg");
	if (!g.id) {
		herd_tool_warn("the store is empty");
		return HERD_EXIT_FAILED;
	}
	*ret = g;
	return HERD_EXIT_OK;
}

static int add_group(void *arg, const struct herd_group *g)
{
	struct herd_tool_groups *all = arg;
	struct herd_group *v = reallocarray(all->v, all->n + 1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	all->v = v;
	all->v[all->n++] = *g;
	return 0;
}

int herd_tool_groups_get(struct herd_txn *t, struct herd_tool_groups *ret)
{
	struct herd_tool_groups all = { 0 };
	int err = herd_group_each(t, add_group, &all);

	if (err)
		herd_tool_groups_deinit(&all);
	else
		*ret = all;
	return err;
}

void herd_tool_groups_deinit(struct herd_tool_groups *g)
{
	free(g->v);
	*g = (struct herd_tool_groups){ 0 };
}

bool herd_tool_number(const char *text, uint64_t min, uint64_t max,
		      uint64_t *ret)
{
	char *end;
	unsigned long long v;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno || *end || v < min || v > max)
		return false;
	*ret = v;
	return true;
}

char *herd_tool_count(uint64_t n, char *buf, size_t size)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	size_t at = 0;

	for (int i = 0; i < len && at + 2 < size; i++) {
		if (i && (len - i) % 3 == 0)
			buf[at++] = ',';
		buf[at++] = digits[i];
	}
	buf[at] = '\0';
	return buf;
}

char *herd_tool_bytes(uint64_t n, char *buf, size_t size)
{
	static const char units[] = "kMGTPE";
	double v = (double)n;
	int unit = -1;

	/* 999.95 would be printed as 1000.0 */
	while (v >= 999.95 && unit < 5) {
		v /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(buf, size, "%" PRIu64 " B", n);
	else
		snprintf(buf, size, v < 99.95 ? "%.1f %cB" : "%.0f %cB", v,
			 units[unit]);
	return buf;
}

int herd_tool_print_json(struct herd_json *j, struct herd_buf *out)
{
	int err = herd_json_finish(j);

	if (err) {
		herd_tool_warn("%s", strerror(-err));
		return err;
	}
	fwrite(out->data, 1, out->len, stdout);
	fflush(stdout);
	return 0;
}

uint64_t herd_tool_now(void)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	uint64_t v;

	if (epoch && herd_tool_number(epoch, 0, INT64_MAX, &v))
		return v;
	return (uint64_t)time(NULL);
}

int herd_tool_finish(int status)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	if (errno != EPIPE)
		herd_tool_warn("cannot write the output: %s", strerror(errno));
	return HERD_EXIT_FAILED;
}
