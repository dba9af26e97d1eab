/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names below are those of EC2's API 2016-11-15. That of
 * DescribeLaunchTemplateVersions is from its public reference.
 */
#include "acquire/aws/ec2_types.h"

#include "acquire/aws/xml_fields.h"

#include <string.h>

/* ---- what all have ---- */

static char *copy_text(const char *text, size_t max, unsigned *odd)
{
	bool good = herd_aws_is_text(text ? text : "", max);

	if (!good)
		(*odd)++;
	return strdup(good && text ? text : "");
}

struct tags {
	struct herd_ec2_tag **v;
	size_t *n;
	unsigned *odd;
};

static int get_tags(const struct herd_xml_node *n, struct tags t,
		    struct herd_diag *diag)
{
	size_t count = herd_xml_count(n, "tagSet", "item"), i = 0;

	if (count > HERD_EC2_TAGS_MAX)
		return herd_diag_set(diag, -EOVERFLOW, "AWS", HERD_NO_OFFSET,
				     "%zu tags are more than %u", count,
				     HERD_EC2_TAGS_MAX);
	if (!count)
		return 0;
	*t.v = calloc(count, sizeof(**t.v));
	if (!*t.v)
		return -ENOMEM;
	*t.n = count;
	for (n = herd_xml_first(n, "tagSet", "item"); n;
	     n = herd_xml_next(n), i++) {
		struct herd_ec2_tag *tag = &(*t.v)[i];

		tag->key = copy_text(herd_xml_text(n, "key"),
				     HERD_EC2_TAG_KEY_MAX, t.odd);
		tag->value = copy_text(herd_xml_text(n, "value"),
				       HERD_EC2_TAG_VALUE_MAX, t.odd);
		if (!tag->key || !tag->value)
			return -ENOMEM;
	}
	return 0;
}

static void free_tags(struct herd_ec2_tag *tags, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free(tags[i].key);
		free(tags[i].value);
	}
	free(tags);
}

/* Room for one more, zeroed; counted when it is there whole. */
static int room(void *list, size_t n, size_t *cap, size_t size, void *ret_new,
		struct herd_diag *diag)
{
	char *v;

	if (n == HERD_EC2_LIST_MAX)
		return herd_diag_set(diag, -EOVERFLOW, "AWS", HERD_NO_OFFSET,
				     "more than %u are listed",
				     HERD_EC2_LIST_MAX);
	memcpy(&v, list, sizeof(v));
	if (n == *cap) {
		size_t want = *cap ? *cap * 2 : 16;
		char *larger = realloc(v, want * size);

		if (!larger)
			return -ENOMEM;
		v = larger;
		memcpy(list, &v, sizeof(v));
		*cap = want;
	}
	v += n * size;
	memset(v, 0, size);
	memcpy(ret_new, &v, sizeof(v));
	return 0;
}

/* Parses and gets the token of the page after. */
static int open_answer(const void *xml, size_t len, const char *root,
		       const char *or_root, char next[HERD_EC2_NEXT_SIZE],
		       struct herd_xml **ret, struct herd_diag *diag)
{
	struct herd_xml *x CLEANUP_XML = NULL;
	const char *token;
	int r = herd_xml_parse(xml, len, &x, diag);

	if (r)
		return r;
	if (strcmp(herd_xml_name(herd_xml_root(x)), root) != 0 &&
	    strcmp(herd_xml_name(herd_xml_root(x)), or_root) != 0)
		return herd_diag_set(diag, -EBADMSG, "AWS", HERD_NO_OFFSET,
				     "the answer is no %s", root);
	token = herd_xml_text(herd_xml_root(x), "nextToken");
	if (token && !herd_aws_is_text(token, HERD_EC2_NEXT_SIZE - 1))
		return herd_diag_set(diag, -EBADMSG, "AWS", HERD_NO_OFFSET,
				     "the next page's token is none");
	strcpy(next, token ? token : "");
	*ret = TAKE_PTR(x);
	return 0;
}

#define FIELDS(n, table, to, odd, diag) \
	herd_xml_fields(n, table, ARRAY_SIZE(table), to, odd, diag)

/* ---- instances ---- */

#define F(member, path, kind) \
	HERD_XML_FIELD(struct T, member, path, HERD_XML_##kind, NULL, false)
#define ID(member, path, prefix, needed) \
	HERD_XML_FIELD(struct T, member, path, HERD_XML_ID, prefix, needed)

#define T herd_ec2_disk
static const struct herd_xml_field disk_fields[] = {
	F(device, "deviceName", DEVICE),
	ID(volume, "ebs/volumeId", "vol-", true),
	F(state, "ebs/status", WORD),
	F(delete_on_termination, "ebs/deleteOnTermination", BOOL),
	F(attached, "ebs/attachTime", TIME),
};
#undef T

#define T herd_ec2_interface
static const struct herd_xml_field interface_fields[] = {
	ID(id, "networkInterfaceId", "eni-", true),
	F(mac, "macAddress", MAC),
	ID(subnet, "subnetId", "subnet-", false),
	F(private_dns, "privateDnsName", DNS),
	F(public_dns, "association/publicDnsName", DNS),
};
#undef T

#define T herd_ec2_instance
static const struct herd_xml_field instance_fields[] = {
	ID(id, "instanceId", "i-", true),
	ID(image, "imageId", "ami-", false),
	F(state, "instanceState/name", WORD),
	F(lifecycle, "instanceLifecycle", WORD),
	F(type, "instanceType", WORD),
	F(architecture, "architecture", WORD),
	F(platform, "platform", WORD),
	F(zone, "placement/availabilityZone", WORD),
	ID(vpc, "vpcId", "vpc-", false),
	ID(subnet, "subnetId", "subnet-", false),
	F(outpost, "outpostArn", TEXT),
	F(private_address, "privateIpAddress", ADDRESS),
	F(public_address, "ipAddress", ADDRESS),
	F(ipv6_address, "ipv6Address", ADDRESS),
	F(private_dns, "privateDnsName", DNS),
	F(public_dns, "dnsName", DNS),
	F(root_device, "rootDeviceName", DEVICE),
	F(root_device_type, "rootDeviceType", WORD),
	F(key_name, "keyName", TEXT),
	F(profile, "iamInstanceProfile/arn", TEXT),
	F(hibernation, "hibernationOptions/configured", BOOL),
	F(launched, "launchTime", TIME),
};
static const struct herd_xml_field reservation_fields[] = {
	F(account, "ownerId", ACCOUNT),
	ID(reservation, "reservationId", "r-", false),
};
#undef T

static int get_disk(const struct herd_xml_node *n, void *to, unsigned *odd,
		    struct herd_diag *diag)
{
	return FIELDS(n, disk_fields, to, odd, diag);
}

static void add_address(struct herd_ec2_interface *i, const char *text,
			unsigned *odd)
{
	if (!text || !*text)
		return;
	if (!herd_aws_is_address(text)) {
		(*odd)++;
		return;
	}
	for (size_t k = 0; k < i->n_addresses; k++)
		if (!strcmp(i->addresses[k].text, text))
			return;
	strcpy(i->addresses[i->n_addresses++].text, text);
}

/* The own two, then those of the lists. */
static int get_addresses(const struct herd_xml_node *n,
			 struct herd_ec2_interface *i, unsigned *odd,
			 struct herd_diag *diag)
{
	size_t most = 2 +
		      2 * herd_xml_count(n, "privateIpAddressesSet", "item") +
		      herd_xml_count(n, "ipv6AddressesSet", "item");
	const struct herd_xml_node *a;

	if (most > HERD_EC2_ADDRESSES_MAX)
		return herd_diag_set(diag, -EOVERFLOW, "AWS", HERD_NO_OFFSET,
				     "too many addresses of one interface");
	i->addresses = calloc(most, sizeof(*i->addresses));
	if (!i->addresses)
		return -ENOMEM;
	add_address(i, herd_xml_text(n, "privateIpAddress"), odd);
	add_address(i, herd_xml_text(n, "association/publicIp"), odd);
	for (a = herd_xml_first(n, "privateIpAddressesSet", "item"); a;
	     a = herd_xml_next(a)) {
		add_address(i, herd_xml_text(a, "privateIpAddress"), odd);
		add_address(i, herd_xml_text(a, "association/publicIp"), odd);
	}
	for (a = herd_xml_first(n, "ipv6AddressesSet", "item"); a;
	     a = herd_xml_next(a))
		add_address(i, herd_xml_text(a, "ipv6Address"), odd);
	return 0;
}

static int get_interfaces(const struct herd_xml_node *n,
			  struct herd_ec2_instance *to, struct herd_diag *diag)
{
	size_t count = herd_xml_count(n, "networkInterfaceSet", "item");
	int r = 0;

	if (count > HERD_EC2_INTERFACES_MAX)
		return herd_diag_set(diag, -EOVERFLOW, "AWS", HERD_NO_OFFSET,
				     "%zu interfaces are more than %u", count,
				     HERD_EC2_INTERFACES_MAX);
	if (!count)
		return 0;
	to->interfaces = calloc(count, sizeof(*to->interfaces));
	if (!to->interfaces)
		return -ENOMEM;
	for (n = herd_xml_first(n, "networkInterfaceSet", "item"); n && !r;
	     n = herd_xml_next(n)) {
		struct herd_ec2_interface *i =
			&to->interfaces[to->n_interfaces++];

		r = FIELDS(n, interface_fields, i, &to->odd, diag);
		if (!r)
			r = get_addresses(n, i, &to->odd, diag);
	}
	return r;
}

static void free_instance(struct herd_ec2_instance *i)
{
	for (size_t k = 0; k < i->n_interfaces; k++)
		free(i->interfaces[k].addresses);
	free(i->interfaces);
	free(i->disks);
	free_tags(i->tags, i->n_tags);
}

static int get_instance(const struct herd_xml_node *reservation,
			const struct herd_xml_node *n,
			struct herd_ec2_instance *i, struct herd_diag *diag)
{
	int r = FIELDS(n, instance_fields, i, &i->odd, diag);

	if (!r)
		r = FIELDS(reservation, reservation_fields, i, &i->odd, diag);
	if (!r)
		r = herd_xml_array(n, "blockDeviceMapping", "item",
				   sizeof(*i->disks), HERD_EC2_DISKS_MAX,
				   get_disk, &i->disks, &i->n_disks, &i->odd,
				   diag);
	if (!r)
		r = get_interfaces(n, i, diag);
	if (!r)
		r = get_tags(n, (struct tags){ &i->tags, &i->n_tags, &i->odd },
			     diag);
	return r;
}

static int add_reservation(const struct herd_xml_node *reservation,
			   struct herd_ec2_instances *l, struct herd_diag *diag)
{
	const struct herd_xml_node *n;
	struct herd_ec2_instance *i;
	int r = 0;

	for (n = herd_xml_first(reservation, "instancesSet", "item"); n && !r;
	     n = herd_xml_next(n)) {
		r = room(&l->v, l->n, &l->cap, sizeof(*i), &i, diag);
		if (r)
			return r;
		r = get_instance(reservation, n, i, diag);
		if (r)
			free_instance(i);
		else
			l->n++;
	}
	return r;
}

int herd_ec2_parse_instances(const void *xml, size_t len,
			     struct herd_ec2_instances *l,
			     char next[HERD_EC2_NEXT_SIZE],
			     struct herd_diag *diag)
{
	struct herd_xml *x CLEANUP_XML = NULL;
	const struct herd_xml_node *n;
	int r = open_answer(xml, len, "DescribeInstancesResponse", "", next, &x,
			    diag);

	if (r)
		return r;
	for (n = herd_xml_first(herd_xml_root(x), "reservationSet", "item");
	     n && !r; n = herd_xml_next(n))
		r = add_reservation(n, l, diag);
	return r;
}

/* ---- volumes ---- */

#define T herd_ec2_attachment
static const struct herd_xml_field attachment_fields[] = {
	ID(instance, "instanceId", "i-", false),
	F(device, "device", DEVICE),
	F(state, "status", WORD),
};
#undef T

#define T herd_ec2_volume
static const struct herd_xml_field volume_fields[] = {
	ID(id, "volumeId", "vol-", true),
	ID(snapshot, "snapshotId", "snap-", false),
	F(state, "status", WORD),
	F(type, "volumeType", WORD),
	F(zone, "availabilityZone", WORD),
	F(kms_key, "kmsKeyId", TEXT),
	F(encrypted, "encrypted", BOOL),
	F(gib, "size", UINT),
	F(created, "createTime", TIME),
};
#undef T

static int get_attachment(const struct herd_xml_node *n, void *to,
			  unsigned *odd, struct herd_diag *diag)
{
	return FIELDS(n, attachment_fields, to, odd, diag);
}

static void free_volume(struct herd_ec2_volume *v)
{
	free(v->attachments);
	free_tags(v->tags, v->n_tags);
}

static int get_volume(const struct herd_xml_node *n, struct herd_ec2_volume *v,
		      struct herd_diag *diag)
{
	int r = FIELDS(n, volume_fields, v, &v->odd, diag);

	if (!r)
		r = herd_xml_array(n, "attachmentSet", "item",
				   sizeof(*v->attachments), HERD_EC2_DISKS_MAX,
				   get_attachment, &v->attachments,
				   &v->n_attachments, &v->odd, diag);
	if (!r)
		r = get_tags(n, (struct tags){ &v->tags, &v->n_tags, &v->odd },
			     diag);
	return r;
}

/* ---- snapshots ---- */

#define T herd_ec2_snapshot
static const struct herd_xml_field snapshot_fields[] = {
	ID(id, "snapshotId", "snap-", true),
	ID(volume, "volumeId", "vol-", false),
	F(account, "ownerId", ACCOUNT),
	F(owner_alias, "ownerAlias", WORD),
	F(state, "status", WORD), /* of DescribeSnapshots */
	F(state, "state", WORD),  /* of CreateSnapshots */
	F(tier, "storageTier", WORD),
	F(outpost, "outpostArn", TEXT),
	F(state_message, "statusMessage", TEXT),
	F(description, "description", TEXT),
	F(kms_key, "kmsKeyId", TEXT),
	F(encrypted, "encrypted", BOOL),
	F(progress, "progress", PERCENT),
	F(gib, "volumeSize", UINT),
	F(started, "startTime", TIME),
	F(completed, "completionTime", TIME),
};
#undef T

static void free_snapshot(struct herd_ec2_snapshot *s)
{
	free_tags(s->tags, s->n_tags);
}

static int get_snapshot(const struct herd_xml_node *n,
			struct herd_ec2_snapshot *s, struct herd_diag *diag)
{
	int r = FIELDS(n, snapshot_fields, s, &s->odd, diag);

	return r ? r :
		   get_tags(n, (struct tags){ &s->tags, &s->n_tags, &s->odd },
			    diag);
}

/* ---- images ---- */

#define T herd_ec2_mapping
static const struct herd_xml_field mapping_fields[] = {
	F(device, "deviceName", DEVICE),
	ID(snapshot, "ebs/snapshotId", "snap-", false),
	F(encrypted, "ebs/encrypted", BOOL),
	F(gib, "ebs/volumeSize", UINT),
};
#undef T

#define T herd_ec2_image
static const struct herd_xml_field image_fields[] = {
	ID(id, "imageId", "ami-", true),
	F(account, "imageOwnerId", ACCOUNT),
	F(owner_alias, "imageOwnerAlias", WORD),
	F(name, "name", TEXT),
	F(state, "imageState", WORD),
	F(architecture, "architecture", WORD),
	F(platform, "platform", WORD),
	F(root_device, "rootDeviceName", DEVICE),
	F(root_device_type, "rootDeviceType", WORD),
	F(is_public, "isPublic", BOOL),
	F(created, "creationDate", TIME),
};
#undef T

static int get_mapping(const struct herd_xml_node *n, void *to, unsigned *odd,
		       struct herd_diag *diag)
{
	return FIELDS(n, mapping_fields, to, odd, diag);
}

static void free_image(struct herd_ec2_image *i)
{
	free(i->mappings);
}

static int get_image(const struct herd_xml_node *n, struct herd_ec2_image *i,
		     struct herd_diag *diag)
{
	int r = FIELDS(n, image_fields, i, &i->odd, diag);

	return r ? r :
		   herd_xml_array(n, "blockDeviceMapping", "item",
				  sizeof(*i->mappings), HERD_EC2_DISKS_MAX,
				  get_mapping, &i->mappings, &i->n_mappings,
				  &i->odd, diag);
}

/* ---- launch templates ---- */

#define T herd_ec2_template
static const struct herd_xml_field template_fields[] = {
	ID(id, "launchTemplateId", "lt-", true),
	F(name, "launchTemplateName", TEXT),
	F(image_alias, "launchTemplateData/imageId", TEXT),
	F(is_default, "defaultVersion", BOOL),
	F(version, "versionNumber", UINT),
};
#undef T

static void free_template(struct herd_ec2_template *t)
{
	(void)t;
}

static int get_template(const struct herd_xml_node *n,
			struct herd_ec2_template *t, struct herd_diag *diag)
{
	int r = FIELDS(n, template_fields, t, &t->odd, diag);

	if (!r && herd_aws_is_id(t->image_alias, "ami-")) {
		strcpy(t->image, t->image_alias);
		t->image_alias[0] = '\0';
	}
	return r;
}

/* ---- the lists ---- */

#define LIST_DEINIT(kind)                                            \
	void herd_ec2_##kind##s_deinit(struct herd_ec2_##kind##s *l) \
	{                                                            \
		for (size_t i = 0; i < l->n; i++)                    \
			free_##kind(&l->v[i]);                       \
		free(l->v);                                          \
		*l = (struct herd_ec2_##kind##s){ 0 };               \
	}

#define LIST_PARSE(kind, root, or_root, set)                                  \
	int herd_ec2_parse_##kind##s(const void *xml, size_t len,             \
				     struct herd_ec2_##kind##s *l,            \
				     char next[HERD_EC2_NEXT_SIZE],           \
				     struct herd_diag *diag)                  \
	{                                                                     \
		struct herd_xml *x CLEANUP_XML = NULL;                        \
		const struct herd_xml_node *n;                                \
		struct herd_ec2_##kind *one;                                  \
		int r = open_answer(xml, len, root, or_root, next, &x, diag); \
                                                                              \
		if (r)                                                        \
			return r;                                             \
		for (n = herd_xml_first(herd_xml_root(x), set, "item"); n;    \
		     n = herd_xml_next(n)) {                                  \
			r = room(&l->v, l->n, &l->cap, sizeof(*one), &one,    \
				 diag);                                       \
			if (r)                                                \
				return r;                                     \
			r = get_##kind(n, one, diag);                         \
			if (r) {                                              \
				free_##kind(one);                             \
				return r;                                     \
			}                                                     \
			l->n++;                                               \
		}                                                             \
		return 0;                                                     \
	}

LIST_DEINIT(instance)
LIST_DEINIT(volume)
LIST_DEINIT(snapshot)
LIST_DEINIT(image)
LIST_DEINIT(template)

LIST_PARSE(volume, "DescribeVolumesResponse", "", "volumeSet")
LIST_PARSE(snapshot, "DescribeSnapshotsResponse", "CreateSnapshotsResponse",
	   "snapshotSet")
LIST_PARSE(image, "DescribeImagesResponse", "", "imagesSet")
LIST_PARSE(template, "DescribeLaunchTemplateVersionsResponse", "",
	   "launchTemplateVersionSet")
