/* SPDX-License-Identifier: Apache-2.0 */
/* The names are those of Auto Scaling's API 2011-01-01. */
#include "acquire/aws/autoscaling.h"

#include "acquire/aws/form.h"
#include "acquire/aws/xml_fields.h"

#include <string.h>

#define VERSION "2011-01-01"
#define NAMES_AT_ONCE 50u
#define PAGE_SIZE "100"
#define IDLE_PAGES_MAX 100u

#define FIELDS(n, table, to, odd, diag) \
	herd_xml_fields(n, table, ARRAY_SIZE(table), to, odd, diag)
#define F(member, path, kind, needed) \
	HERD_XML_FIELD(struct T, member, path, HERD_XML_##kind, NULL, needed)
#define ID(member, path, prefix, needed) \
	HERD_XML_FIELD(struct T, member, path, HERD_XML_ID, prefix, needed)
#define TEMPLATE(path)                                                     \
	ID(template.id, path "/LaunchTemplateId", "lt-", false),           \
		F(template.name, path "/LaunchTemplateName", TEXT, false), \
		F(template.version, path "/Version", WORD, false)

#define T herd_asg_instance
static const struct herd_xml_field instance_fields[] = {
	ID(id, "InstanceId", "i-", true),
	F(lifecycle, "LifecycleState", WORD, true),
	F(health, "HealthStatus", WORD, false),
	F(type, "InstanceType", WORD, false),
	F(zone, "AvailabilityZone", WORD, false),
	ID(image, "ImageId", "ami-", false),
	F(launch_configuration, "LaunchConfigurationName", TEXT, false),
	TEMPLATE("LaunchTemplate"),
	F(protected, "ProtectedFromScaleIn", BOOL, false),
};
#undef T

#define T herd_asg_override
static const struct herd_xml_field override_fields[] = {
	F(type, "InstanceType", WORD, false),
	ID(image, "ImageId", "ami-", false),
	TEMPLATE("LaunchTemplateSpecification"),
};
#undef T

#define MIXED "MixedInstancesPolicy/LaunchTemplate/"
#define T herd_asg
static const struct herd_xml_field group_fields[] = {
	F(name, "AutoScalingGroupName", TEXT, true),
	F(arn, "AutoScalingGroupARN", TEXT, false),
	F(launch_configuration, "LaunchConfigurationName", TEXT, false),
	TEMPLATE("LaunchTemplate"),
	TEMPLATE(MIXED "LaunchTemplateSpecification"),
	F(min, "MinSize", UINT, false),
	F(max, "MaxSize", UINT, false),
	F(desired, "DesiredCapacity", UINT, false),
	F(status, "Status", TEXT, false),
	F(created, "CreatedTime", TIME, false),
};
#undef T

static int get_instance(const struct herd_xml_node *n, void *to, unsigned *odd,
			struct herd_diag *diag)
{
	return FIELDS(n, instance_fields, to, odd, diag);
}

static int get_override(const struct herd_xml_node *n, void *to, unsigned *odd,
			struct herd_diag *diag)
{
	return FIELDS(n, override_fields, to, odd, diag);
}

static int by_id(const void *a, const void *b)
{
	const struct herd_asg_instance *x = a, *y = b;

	return strcmp(x->id, y->id);
}

static int get_group(const struct herd_xml_node *n, struct herd_asg *g,
		     struct herd_diag *diag)
{
	int r = FIELDS(n, group_fields, g, &g->odd, diag);

	g->mixed = herd_xml_get(n, "MixedInstancesPolicy") != NULL;
	if (!r)
		r = herd_xml_array(n, MIXED "Overrides", "member",
				   sizeof(*g->overrides),
				   HERD_ASG_OVERRIDES_MAX, get_override,
				   &g->overrides, &g->n_overrides, &g->odd,
				   diag);
	if (!r)
		r = herd_xml_array(n, "Instances", "member",
				   sizeof(*g->instances),
				   HERD_ASG_INSTANCES_MAX, get_instance,
				   &g->instances, &g->n_instances, &g->odd,
				   diag);
	if (r || !g->n_instances)
		return r;
	qsort(g->instances, g->n_instances, sizeof(*g->instances), by_id);
	for (size_t i = 1; i < g->n_instances; i++)
		if (!by_id(&g->instances[i], &g->instances[i - 1]))
			return herd_diag_set(diag, -EBADMSG, g->name,
					     HERD_NO_OFFSET,
					     "%s is in it twice",
					     g->instances[i].id);
	return 0;
}

static void free_group(struct herd_asg *g)
{
	free(g->instances);
	free(g->overrides);
}

void herd_asgs_deinit(struct herd_asgs *l)
{
	for (size_t i = 0; i < l->n; i++)
		free_group(&l->v[i]);
	free(l->v);
	*l = (struct herd_asgs){ 0 };
}

static const struct herd_asg *find(const struct herd_asgs *l, const char *name)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].name, name))
			return &l->v[i];
	return NULL;
}

static int add_group(struct herd_asgs *l, struct herd_asg *g,
		     struct herd_diag *diag)
{
	if (find(l, g->name))
		return herd_diag_set(diag, -EBADMSG, g->name, HERD_NO_OFFSET,
				     "the group is listed twice");
	if (l->n == HERD_ASG_GROUPS_MAX)
		return herd_diag_set(diag, -EOVERFLOW, "autoscaling",
				     HERD_NO_OFFSET,
				     "there are more than %u groups",
				     HERD_ASG_GROUPS_MAX);
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 4;
		struct herd_asg *v = realloc(l->v, cap * sizeof(*v));

		if (!v)
			return -ENOMEM;
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = *g;
	return 0;
}

int herd_asg_parse(const void *xml, size_t len, struct herd_asgs *l,
		   char next[HERD_ASG_NEXT_SIZE], struct herd_diag *diag)
{
	struct herd_xml *x CLEANUP_XML = NULL;
	const struct herd_xml_node *root, *n;
	const char *token;
	int r = herd_xml_parse(xml, len, &x, diag);

	if (r)
		return r;
	root = herd_xml_get(herd_xml_root(x),
			    "DescribeAutoScalingGroupsResult");
	token = herd_xml_text(root, "NextToken");
	if (!root || !herd_xml_get(root, "AutoScalingGroups") ||
	    (token && !herd_aws_is_text(token, HERD_ASG_NEXT_SIZE - 1)))
		return herd_diag_set(diag, -EBADMSG, "autoscaling",
				     HERD_NO_OFFSET,
				     "the answer is no list of groups");
	strcpy(next, token ? token : "");
	for (n = herd_xml_first(root, "AutoScalingGroups", "member"); n;
	     n = herd_xml_next(n)) {
		struct herd_asg g = { .odd = 0 };

		r = get_group(n, &g, diag);
		if (!r)
			r = add_group(l, &g, diag);
		if (r) {
			free_group(&g);
			return r;
		}
	}
	return 0;
}

static int list_page(struct herd_aws *a, const char *const *names, size_t n,
		     struct herd_asgs *l, char next[HERD_ASG_NEXT_SIZE],
		     struct herd_diag *diag)
{
	struct herd_buf form CLEANUP_BUF = HERD_BUF_INIT;
	struct herd_http_answer answer = { 0 };
	struct herd_aws_result result;
	int r;

	herd_form_begin(&form, "DescribeAutoScalingGroups", VERSION);
	herd_form_list(&form, "AutoScalingGroupNames.member", names, n);
	herd_form_add(&form, "MaxRecords", PAGE_SIZE);
	if (*next)
		herd_form_add(&form, "NextToken", next);
	r = herd_form_post(a, "autoscaling", &form, false, &answer, &result,
			   diag);
	if (r)
		return r;
	r = herd_asg_parse(answer.body.data, answer.body.len, l, next, diag);
	herd_http_answer_deinit(&answer);
	return r;
}

static int list_part(struct herd_aws *a, const char *const *names, size_t n,
		     struct herd_asgs *l, struct herd_diag *diag)
{
	char next[HERD_ASG_NEXT_SIZE] = "";
	unsigned idle = 0;

	do {
		size_t before = l->n;
		int r = list_page(a, names, n, l, next, diag);

		if (r)
			return r;
		idle = l->n > before ? 0 : idle + 1;
		if (idle > IDLE_PAGES_MAX)
			return herd_diag_set(diag, -EIO, "autoscaling",
					     HERD_NO_OFFSET,
					     "%u pages on end are empty", idle);
	} while (*next);
	return 0;
}

static bool asked_for(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(names[i], name))
			return true;
	return n == 0;
}

static int list_all(struct herd_aws *a, const char *const *names, size_t n,
		    struct herd_asgs *l, struct herd_diag *diag)
{
	size_t at = 0;

	do {
		size_t part = n - at < NAMES_AT_ONCE ? n - at : NAMES_AT_ONCE;
		int r = list_part(a, n ? names + at : NULL, part, l, diag);

		if (r)
			return r;
		at += part;
	} while (at < n);
	for (size_t i = 0; i < l->n; i++)
		if (!asked_for(names, n, l->v[i].name))
			return herd_diag_set(diag, -EBADMSG, l->v[i].name,
					     HERD_NO_OFFSET,
					     "nobody asked for that group");
	return 0;
}

int herd_asg_list(struct herd_aws *a, const char *const *names, size_t n,
		  struct herd_asgs *ret, struct herd_diag *diag)
{
	struct herd_asgs l = { 0 };
	int r;

	for (size_t i = 0; i < n; i++)
		if (!names[i][0] ||
		    !herd_aws_is_text(names[i], HERD_ASG_NAME_SIZE - 1))
			return herd_diag_set(diag, -EINVAL, "autoscaling",
					     HERD_NO_OFFSET,
					     "that is no name of a group");
	r = list_all(a, names, n, &l, diag);
	if (r)
		herd_asgs_deinit(&l);
	else
		*ret = l;
	return r;
}
