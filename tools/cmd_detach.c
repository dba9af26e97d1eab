/* SPDX-License-Identifier: Apache-2.0 */
/*
 * herdfs detach: takes instances out of the index, all of those that are
 * named or none. Images are not touched; a mount that is open keeps showing
 * what it showed.
 *
 * Threads: the main thread.
 */
#include "acquire/base/cleanup.h"
#include "tools/commands.h"
#include "tools/common.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
"Usage: herdfs detach --asg NAME [OPTION]… INSTANCE…\n"
"  or:  herdfs detach --asg NAME --all\n"
"Takes instances out of the index: all that are named, or none. Their images\n"
"are not touched. (A mount is ended by umount or fusermount3 -u.)\n\n"
"  --asg NAME   the group\n"
"  --memory     their memory alone; their disks stay\n"
"  --all        every instance of it, its baseline too, and so the group\n"
"  --store DIR  the index; else $HERDFS_STORE, else\n"
"               $XDG_DATA_HOME/herdfs or ~/.local/share/herdfs\n"
"  --json       one line of JSON for each instance\n"
"  --quiet      nothing but errors\n"
"  --help       this text\n";

struct instance {
	uint32_t id;
	enum herd_role role;
	char name[HERD_INSTANCE_NAME_MAX + 1];
};

struct detach {
	const char *group, *store_dir;
	char *const *names;	/* as given */
	size_t n_names;
	bool all, memory, json, quiet;
	struct instance *found;	/* all of the group while looking, then those
				   that go */
	size_t n_found, cap;
	bool said;		/* the cause of the failure is printed */
};

static int collect(void *arg, uint32_t id, uint32_t group, enum herd_role role,
		   const char *name)
{
	struct detach *d = arg;
	struct instance *i;

	(void)group;
	if (d->n_found == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		struct instance *v = reallocarray(d->found, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		d->found = v;
		d->cap = cap;
	}
	i = &d->found[d->n_found++];
	i->id = id;
	i->role = role;
	snprintf(i->name, sizeof(i->name), "%s", name);
	return 0;
}

static bool is_named(const struct detach *d, const char *name)
{
	for (size_t i = 0; i < d->n_names; i++)
		if (strcmp(d->names[i], name) == 0)
			return true;
	return false;
}

/* Keeps of the group's instances those that are named. */
static int choose(struct detach *d)
{
	size_t kept = 0;

	if (d->all)
		return 0;
	for (size_t i = 0; i < d->n_names; i++) {
		size_t j = 0;

		while (j < d->n_found &&
		       strcmp(d->found[j].name, d->names[i]) != 0)
			j++;
		if (j < d->n_found)
			continue;
		herd_tool_warn("there is no instance \"%s\" in the group \"%s\""
			       ": nothing is changed", d->names[i], d->group);
		d->said = true;
		return -ENOENT;
	}
	for (size_t i = 0; i < d->n_found; i++)
		if (is_named(d, d->found[i].name))
			d->found[kept++] = d->found[i];
	d->n_found = kept;
	return 0;
}

/* Memory that is not there cannot be named; --all is for what there is. */
static int remove_memory(struct herd_txn *t, struct detach *d,
			 const struct instance *i)
{
	struct herd_stored_memory m;
	int err = herd_memory_get(t, i->id, &m);

	if (err == -ENOENT && d->all)
		return 0;
	if (err == -ENOENT) {
		herd_tool_warn("no memory of \"%s\" is attached: nothing is "
			       "changed", i->name);
		d->said = true;
	}
	if (err)
		return err;
	herd_stored_memory_deinit(&m);
	return herd_memory_remove(t, i->id);
}

/* May run more than once: see herd_store_update. */
static int remove_all(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct detach *d = arg;
	struct herd_group group;
	int err = herd_group_find(t, d->group, &group);

	d->n_found = 0;
	if (err == -ENOENT)
		return herd_diag_set(diag, err, "", HERD_NO_OFFSET, "there is "
				     "no group \"%s\" in the store", d->group);
	if (!err)
		err = herd_instance_each_name(t, group.id, collect, d);
	if (!err)
		err = choose(d);
	for (size_t i = 0; !err && i < d->n_found; i++)
		err = d->memory ? remove_memory(t, d, &d->found[i]) :
				  herd_instance_remove(t, d->found[i].id);
	return err;
}

static void json_line(const struct detach *d, const struct instance *i)
{
	CLEANUP_BUF struct herd_buf out = HERD_BUF_INIT;
	struct herd_json j;

	herd_json_begin(&j, &out, 0);
	herd_json_object(&j, NULL);
	herd_json_string(&j, "group", d->group);
	herd_json_string(&j, "instance", i->name);
	herd_json_string(&j, "role", i->role == HERD_ROLE_BASELINE ?
			 "baseline" : "member");
	herd_json_string(&j, "result", "detached");
	herd_json_end(&j);
	herd_tool_print_json(&j, &out);
}

static void report(const struct detach *d)
{
	for (size_t i = 0; i < d->n_found; i++)
		if (d->json)
			json_line(d, &d->found[i]);
		else if (!d->quiet)
			printf("%s/%s: %staken out of the index; its images are "
			       "as they were\n", d->group, d->found[i].name,
			       d->memory ? "its memory is " : "");
}

/* What is wrong with a record of the store comes without words. */
static const struct herd_diag *diag_of(struct herd_diag *diag,
				       const struct detach *d, int err)
{
	herd_diag_set(diag, err, d->group, HERD_NO_OFFSET,
		      "the index cannot be read: %s", strerror(-err));
	return diag;
}

static int detach(struct detach *d)
{
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };
	struct herd_store *store;
	int err = herd_tool_open_store(d->store_dir, HERD_STORE_WRITE, &store);

	if (err)
		return HERD_EXIT_FAILED;
	err = herd_store_update(store, remove_all, d, &diag);
	herd_store_close(store);
	if (!err)
		report(d);
	else if (!d->said)
		herd_tool_fail(diag_of(&diag, d, err), err);
	free(d->found);
	return herd_tool_finish(err ? HERD_EXIT_FAILED : HERD_EXIT_OK);
}

int herd_cmd_detach(int argc, char **argv)
{
	struct detach d = { 0 };
	const struct herd_tool_option options[] = {
		{ "asg", .text = &d.group },
		{ "all", .flag = &d.all },
		{ "memory", .flag = &d.memory },
		{ "store", .text = &d.store_dir },
		{ "json", .flag = &d.json },
		{ "quiet", .flag = &d.quiet },
		{ 0 },
	};
	int status = herd_tool_options(argc, argv, "detach", help, options);

	if (status)
		return status < 0 ? herd_tool_finish(HERD_EXIT_OK) : status;
	d.names = argv + optind;
	d.n_names = (size_t)(argc - optind);
	if (!d.group)
		return herd_tool_usage("detach", "--asg NAME is missing");
	if (!d.all && !d.n_names)
		return herd_tool_usage("detach",
				       "name the instances, or give --all");
	if (d.all && d.n_names)
		return herd_tool_usage("detach", "--all and names of "
				       "instances exclude each other");
	return detach(&d);
}
