/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request is a form, an answer XML. The lists are asked for in parts: of the
 * ids so many at a time, and of each part one page after the other.
 */
#include "acquire/aws/ec2.h"

#include "acquire/aws/form.h"

#include <stdio.h>
#include <string.h>

#define VERSION "2016-11-15"
#define IDS_AT_ONCE 100u
#define PAGE_SIZE "200"	    /* of what has no ids */
#define IDLE_PAGES_MAX 100u /* on end, with nothing on them */

/* What is listed, and how. */
struct kind {
	const char *action, *prefix, *id_param, *id_filter;
	const char *missing; /* the error when one of the ids is not there */
	size_t size;	     /* of an element, whose first member is its id */
	int (*parse)(const void *xml, size_t len, void *list,
		     char next[HERD_EC2_NEXT_SIZE], struct herd_diag *diag);
};

/* As all of the lists are. */
struct list {
	char *v;
	size_t n, cap;
};

#define KIND_PARSE(name)                                                  \
	static int parse_##name(const void *xml, size_t len, void *list,  \
				char next[HERD_EC2_NEXT_SIZE],            \
				struct herd_diag *diag)                   \
	{                                                                 \
		return herd_ec2_parse_##name(xml, len, list, next, diag); \
	}

KIND_PARSE(instances)
KIND_PARSE(volumes)
KIND_PARSE(snapshots)
KIND_PARSE(images)

static struct list as_list(const void *list)
{
	struct herd_ec2_instances any;
	struct list l;

	_Static_assert(sizeof(l) == sizeof(any), "lists are alike");
	memcpy(&l, list, sizeof(l));
	return l;
}

/* The form is sent; the answer is the caller's. 1: a dry run that would have
   been allowed, without one. */
static int ask(struct herd_aws *a, struct herd_buf *form, bool once,
	       bool dry_run, struct herd_http_answer *ret,
	       struct herd_aws_result *ret_result, struct herd_diag *diag)
{
	struct herd_diag own;
	int r;

	herd_diag_clear(&own);
	if (dry_run)
		herd_form_add(form, "DryRun", "true");
	r = herd_form_post(a, "ec2", form, once, ret, ret_result, &own);
	if (!r && dry_run) {
		herd_http_answer_deinit(ret);
		return herd_diag_set(diag, -EIO, "ec2", HERD_NO_OFFSET,
				     "the service did not heed DryRun");
	}
	if (r && dry_run && !strcmp(ret_result->type, "DryRunOperation"))
		return 1;
	if (r && diag && !diag->message[0])
		*diag = own;
	return r;
}

static void add_filter(struct herd_buf *form, unsigned number, const char *name,
		       const char *const *values, size_t n)
{
	char key[48];

	snprintf(key, sizeof(key), "Filter.%u.Name", number);
	herd_form_add(form, key, name);
	for (size_t i = 0; i < n; i++) {
		snprintf(key, sizeof(key), "Filter.%u.Value.%zu", number,
			 i + 1);
		herd_form_add(form, key, values[i]);
	}
}

/* Whether a filter of that name stands before. */
static bool seen(const struct herd_ec2_query *q, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(q->filters[k].name, q->filters[i].name))
			return true;
	return false;
}

static unsigned add_filters(struct herd_buf *form,
			    const struct herd_ec2_query *q)
{
	unsigned number = 0;
	char key[48];

	for (size_t i = 0; i < q->n_filters; i++) {
		const char *name = q->filters[i].name;
		unsigned values = 0;

		if (seen(q, i))
			continue;
		add_filter(form, ++number, name, NULL, 0);
		for (size_t k = i; k < q->n_filters; k++) {
			if (strcmp(q->filters[k].name, name) != 0)
				continue;
			snprintf(key, sizeof(key), "Filter.%u.Value.%u", number,
				 ++values);
			herd_form_add(form, key, q->filters[k].value);
		}
	}
	return number;
}

/* by_filter: ids that are not there are then no error of the whole call. */
static void build(struct herd_buf *form, const struct kind *kind,
		  const struct herd_ec2_query *q, const char *next,
		  bool by_filter)
{
	unsigned filters;

	herd_form_begin(form, kind->action, VERSION);
	filters = add_filters(form, q);
	if (q->n_ids && by_filter)
		add_filter(form, filters + 1, kind->id_filter, q->ids,
			   q->n_ids);
	else
		herd_form_list(form, kind->id_param, q->ids, q->n_ids);
	/* EC2 refuses it beside ids. */
	if (!q->n_ids || by_filter)
		herd_form_add(form, "MaxResults", PAGE_SIZE);
	if (q->everybody)
		herd_form_add(form, "RestorableBy.1", "all");
	if (*next)
		herd_form_add(form, "NextToken", next);
}

/* Adds one page. 1: a dry run that would have been allowed. */
static int list_page(struct herd_aws *a, const struct kind *kind,
		     const struct herd_ec2_query *q, bool by_filter, void *list,
		     char next[HERD_EC2_NEXT_SIZE],
		     struct herd_aws_result *result, struct herd_diag *diag)
{
	struct herd_buf form CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_http_answer answer = { 0 };
	int r;

	build(&form, kind, q, next, by_filter);
	r = ask(a, &form, false, q->dry_run, &answer, result, diag);
	if (r)
		return r;
	r = kind->parse(answer.body.data, answer.body.len, list, next, diag);
	herd_http_answer_deinit(&answer);
	return r;
}

/* Of at most IDS_AT_ONCE ids, page after page. */
static int list_pages(struct herd_aws *a, const struct kind *kind,
		      const struct herd_ec2_query *q, bool by_filter,
		      void *list, struct herd_aws_result *result,
		      struct herd_diag *diag)
{
	char next[HERD_EC2_NEXT_SIZE] = "";
	unsigned idle = 0;

	do {
		size_t before = as_list(list).n;
		int r = list_page(a, kind, q, by_filter, list, next, result,
				  diag);

		if (r)
			return r < 0 ? r : 0;
		idle = as_list(list).n > before ? 0 : idle + 1;
		if (idle > IDLE_PAGES_MAX)
			return herd_diag_set(diag, -EIO, "ec2", HERD_NO_OFFSET,
					     "%s: %u pages on end are empty",
					     kind->action, idle);
	} while (*next);
	return 0;
}

static int list_part(struct herd_aws *a, const struct kind *kind,
		     const struct herd_ec2_query *q, void *list,
		     struct herd_diag *diag)
{
	struct herd_aws_result result = { 0 };
	struct herd_diag own;
	int r;

	herd_diag_clear(&own);
	r = list_pages(a, kind, q, false, list, &result, &own);
	/* One that is gone makes the whole call fail; a filter does not. */
	if (r && q->n_ids && !strcmp(result.type, kind->missing)) {
		herd_diag_clear(&own);
		r = list_pages(a, kind, q, true, list, &result, &own);
	}
	if (r && diag && !diag->message[0])
		*diag = own;
	return r;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The service is not trusted to answer what was asked. */
static int check_ids(const struct kind *kind, const struct herd_ec2_query *q,
		     const void *list, struct herd_diag *diag)
{
	struct list l = as_list(list);
	const char **ids CLEANUP_FREE =
		calloc(l.n + q->n_ids + 1, sizeof(*ids));
	const char **asked;
	int r = 0;

	if (!ids)
		return -ENOMEM;
	asked = ids + l.n;
	for (size_t i = 0; i < l.n; i++)
		ids[i] = l.v + i * kind->size;
	if (q->n_ids)
		memcpy(asked, q->ids, q->n_ids * sizeof(*asked));
	qsort(ids, l.n, sizeof(*ids), by_text);
	qsort(asked, q->n_ids, sizeof(*asked), by_text);
	for (size_t i = 0; !r && i < l.n; i++) {
		if (i && !strcmp(ids[i], ids[i - 1]))
			r = herd_diag_set(diag, -EBADMSG, "ec2", HERD_NO_OFFSET,
					  "%s: %s is there twice", kind->action,
					  ids[i]);
		else if (q->n_ids && !bsearch(&ids[i], asked, q->n_ids,
					      sizeof(*asked), by_text))
			r = herd_diag_set(diag, -EBADMSG, "ec2", HERD_NO_OFFSET,
					  "%s: nobody asked for %s",
					  kind->action, ids[i]);
	}
	return r;
}

/* list is empty. On failure what is in it is the caller's to free. */
static int list_all(struct herd_aws *a, const struct kind *kind,
		    const struct herd_ec2_query *q, void *list,
		    struct herd_diag *diag)
{
	size_t at = 0;

	for (size_t i = 0; i < q->n_ids; i++)
		if (!herd_aws_is_id(q->ids[i], kind->prefix))
			return herd_diag_set(diag, -EINVAL, "ec2",
					     HERD_NO_OFFSET,
					     "%s is no identifier like %s…",
					     q->ids[i], kind->prefix);
	do {
		struct herd_ec2_query part = *q;
		int r;

		if (q->n_ids) {
			part.ids = q->ids + at;
			part.n_ids = q->n_ids - at;
			if (part.n_ids > IDS_AT_ONCE)
				part.n_ids = IDS_AT_ONCE;
		}
		at += part.n_ids;
		r = list_part(a, kind, &part, list, diag);
		if (r || q->dry_run)
			return r;
	} while (at < q->n_ids);
	return check_ids(kind, q, list, diag);
}

#define LIST(name, element, ...)                                   \
	int herd_ec2_##name(struct herd_aws *a,                    \
			    const struct herd_ec2_query *q,        \
			    struct herd_ec2_##name *ret,           \
			    struct herd_diag *diag)                \
	{                                                          \
		static const struct kind kind = {                  \
			.size = sizeof(struct herd_ec2_##element), \
			.parse = parse_##name,                     \
			__VA_ARGS__                                \
		};                                                 \
		struct herd_ec2_##name list = { 0 };               \
		int r = list_all(a, &kind, q, &list, diag);        \
                                                                   \
		if (r)                                             \
			herd_ec2_##name##_deinit(&list);           \
		else                                               \
			*ret = list;                               \
		return r;                                          \
	}

LIST(instances, instance, .action = "DescribeInstances", .prefix = "i-",
     .id_param = "InstanceId", .id_filter = "instance-id",
     .missing = "InvalidInstanceID.NotFound")
LIST(volumes, volume, .action = "DescribeVolumes", .prefix = "vol-",
     .id_param = "VolumeId", .id_filter = "volume-id",
     .missing = "InvalidVolume.NotFound")
LIST(snapshots, snapshot, .action = "DescribeSnapshots", .prefix = "snap-",
     .id_param = "SnapshotId", .id_filter = "snapshot-id",
     .missing = "InvalidSnapshot.NotFound")
LIST(images, image, .action = "DescribeImages", .prefix = "ami-",
     .id_param = "ImageId", .id_filter = "image-id",
     .missing = "InvalidAMIID.NotFound")

/* ---- launch templates ---- */

int herd_ec2_template_version(struct herd_aws *a, const char *id,
			      const char *name, const char *version,
			      bool dry_run, struct herd_ec2_template *ret,
			      struct herd_diag *diag)
{
	struct herd_buf form CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result;
	struct herd_ec2_templates list = { 0 };
	char next[HERD_EC2_NEXT_SIZE];
	int r;

	if ((id && !herd_aws_is_id(id, "lt-")) ||
	    (name && !herd_aws_is_text(name, 128)) || !id == !name ||
	    !herd_aws_is_word(version))
		return -EINVAL;
	herd_form_begin(&form, "DescribeLaunchTemplateVersions", VERSION);
	herd_form_add(&form, id ? "LaunchTemplateId" : "LaunchTemplateName",
		      id ? id : name);
	herd_form_add(&form, "LaunchTemplateVersion.1", version);
	r = ask(a, &form, false, dry_run, &answer, &result, diag);
	if (r == 1)
		*ret = (struct herd_ec2_template){ 0 };
	if (r)
		return r < 0 ? r : 0;
	r = herd_ec2_parse_templates(answer.body.data, answer.body.len, &list,
				     next, diag);
	herd_http_answer_deinit(&answer);
	if (!r && (list.n != 1 || (id && strcmp(list.v[0].id, id) != 0) ||
		   (name && strcmp(list.v[0].name, name) != 0)))
		r = herd_diag_set(diag, -EBADMSG, "ec2", HERD_NO_OFFSET,
				  "not the one version that was asked for");
	if (!r)
		*ret = list.v[0];
	herd_ec2_templates_deinit(&list);
	return r;
}

/* ---- snapshots ---- */

static void add_tags(struct herd_buf *form, const struct herd_ec2_capture *c)
{
	char key[64];

	if (!c->n_tags)
		return;
	herd_form_add(form, "TagSpecification.1.ResourceType", "snapshot");
	for (size_t i = 0; i < c->n_tags; i++) {
		snprintf(key, sizeof(key), "TagSpecification.1.Tag.%zu.Key",
			 i + 1);
		herd_form_add(form, key, c->tags[i].name);
		snprintf(key, sizeof(key), "TagSpecification.1.Tag.%zu.Value",
			 i + 1);
		herd_form_add(form, key, c->tags[i].value);
	}
}

static bool capture_ok(const struct herd_ec2_capture *c)
{
	if (!herd_aws_is_id(c->instance, "i-") || c->n_tags > 50)
		return false;
	for (size_t i = 0; i < c->n_tags; i++)
		if (!c->tags[i].name[0] ||
		    !herd_aws_is_text(c->tags[i].name, HERD_EC2_TAG_KEY_MAX) ||
		    !herd_aws_is_text(c->tags[i].value, HERD_EC2_TAG_VALUE_MAX))
			return false;
	return !c->description ||
	       herd_aws_is_text(c->description, HERD_EC2_TEXT_SIZE - 1);
}

int herd_ec2_create_snapshots(struct herd_aws *a,
			      const struct herd_ec2_capture *c,
			      struct herd_ec2_snapshots *ret,
			      struct herd_diag *diag)
{
	struct herd_buf form CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result;
	struct herd_ec2_snapshots list = { 0 };
	char next[HERD_EC2_NEXT_SIZE];
	int r;

	if (!capture_ok(c))
		return -EINVAL;
	herd_form_begin(&form, "CreateSnapshots", VERSION);
	herd_form_add(&form, "InstanceSpecification.InstanceId", c->instance);
	if (c->description)
		herd_form_add(&form, "Description", c->description);
	add_tags(&form, c);
	r = ask(a, &form, true, c->dry_run, &answer, &result, diag);
	if (!r) {
		r = herd_ec2_parse_snapshots(answer.body.data, answer.body.len,
					     &list, next, diag);
		herd_http_answer_deinit(&answer);
		if (!r && !list.n)
			r = herd_diag_set(diag, -EBADMSG, c->instance,
					  HERD_NO_OFFSET,
					  "no snapshot was made, and no error "
					  "came");
	}
	if (r < 0)
		herd_ec2_snapshots_deinit(&list);
	else
		*ret = list;
	return r < 0 ? r : 0;
}

int herd_ec2_delete_snapshot(struct herd_aws *a, const char *snapshot,
			     bool dry_run, struct herd_diag *diag)
{
	struct herd_buf form CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result;
	struct herd_diag own;
	int r;

	if (!herd_aws_is_id(snapshot, "snap-"))
		return -EINVAL;
	herd_diag_clear(&own);
	herd_form_begin(&form, "DeleteSnapshot", VERSION);
	herd_form_add(&form, "SnapshotId", snapshot);
	r = ask(a, &form, false, dry_run, &answer, &result, &own);
	if (!r)
		herd_http_answer_deinit(&answer);
	if (r >= 0)
		return 0;
	if (!strcmp(result.type, "InvalidSnapshot.NotFound")) {
		if (result.attempts > 1)
			return 0;
		r = -ENOENT;
	}
	if (diag && !diag->message[0])
		*diag = own;
	return r;
}

int herd_ec2_snapshot_readable(const struct herd_ec2_snapshot *s,
			       struct herd_diag *diag)
{
	if (s->outpost[0])
		return herd_diag_set(diag, -EACCES, s->id, HERD_NO_OFFSET,
				     "it is on an Outpost, where it cannot be "
				     "read over EBS direct");
	if (!strcmp(s->tier, "archive"))
		return herd_diag_set(diag, -EACCES, s->id, HERD_NO_OFFSET,
				     "it is archived; an archived snapshot has "
				     "to be restored before it can be read");
	if (!strcmp(s->owner_alias, "amazon"))
		return herd_diag_set(diag, -EACCES, s->id, HERD_NO_OFFSET,
				     "it is Amazon's: a public AMI's snapshot "
				     "cannot be read over EBS direct");
	if (!strcmp(s->state, "pending"))
		return herd_diag_set(diag, -EAGAIN, s->id, HERD_NO_OFFSET,
				     "it is not completed yet (%u %%)",
				     s->progress);
	if (strcmp(s->state, "completed") != 0)
		return herd_diag_set(diag, -EIO, s->id, HERD_NO_OFFSET,
				     "its state is \"%s\"%s%s", s->state,
				     s->state_message[0] ? ": " : "",
				     s->state_message);
	return 0;
}
