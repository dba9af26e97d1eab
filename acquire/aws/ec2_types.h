/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What EC2's answers say of instances, volumes, snapshots, images and launch
 * templates.
 *
 * It is checked: identifiers and accounts have their form or the answer is
 * refused (-EBADMSG), other members are of their form or empty, then `odd`
 * counts them. "" and 0 stand for what was not said. Texts are the customer's
 * own: UTF-8 without control characters. More of something than the limits
 * below is -EOVERFLOW.
 *
 * Threads: values.
 */
#ifndef HERD_EC2_TYPES_H
#define HERD_EC2_TYPES_H

#include "acquire/aws/fields.h"
#include "acquire/base/diag.h"

#define HERD_EC2_LIST_MAX 10000u /* instances; each other list as many */
#define HERD_EC2_DISKS_MAX 128u	 /* of an instance, an image */
#define HERD_EC2_INTERFACES_MAX 64u
#define HERD_EC2_ADDRESSES_MAX 512u /* of an interface */
#define HERD_EC2_TAGS_MAX 128u
#define HERD_EC2_TAG_KEY_MAX 512u    /* bytes */
#define HERD_EC2_TAG_VALUE_MAX 1024u /* bytes */
#define HERD_EC2_TEXT_SIZE 1025
#define HERD_EC2_NEXT_SIZE 4097

struct herd_ec2_tag {
	char *key, *value; /* owned; at most 128 and 256 characters */
};

/* A disk as an instance sees it. */
struct herd_ec2_disk {
	char device[HERD_AWS_DEVICE_SIZE];
	char volume[HERD_AWS_ID_SIZE];
	char state[HERD_AWS_WORD_SIZE]; /* "attached", … */
	bool delete_on_termination;
	int64_t attached;
};

struct herd_ec2_address {
	char text[HERD_AWS_ADDRESS_SIZE];
};

struct herd_ec2_interface {
	char id[HERD_AWS_ID_SIZE];
	char mac[HERD_AWS_MAC_SIZE];
	char subnet[HERD_AWS_ID_SIZE];
	char private_dns[HERD_AWS_DNS_SIZE], public_dns[HERD_AWS_DNS_SIZE];
	/* private and public ones, IPv4 and IPv6 */
	struct herd_ec2_address *addresses;
	size_t n_addresses;
};

struct herd_ec2_instance {
	char id[HERD_AWS_ID_SIZE];
	char account[HERD_AWS_ACCOUNT_SIZE];
	char reservation[HERD_AWS_ID_SIZE];
	char image[HERD_AWS_ID_SIZE];
	char state[HERD_AWS_WORD_SIZE];	    /* "running", "stopped", … */
	char lifecycle[HERD_AWS_WORD_SIZE]; /* "spot"; "": on demand */
	char type[HERD_AWS_WORD_SIZE], architecture[HERD_AWS_WORD_SIZE];
	char platform[HERD_AWS_WORD_SIZE]; /* "Windows", or "" */
	char zone[HERD_AWS_WORD_SIZE];
	char vpc[HERD_AWS_ID_SIZE], subnet[HERD_AWS_ID_SIZE];
	char outpost[HERD_EC2_TEXT_SIZE];
	char private_address[HERD_AWS_ADDRESS_SIZE];
	char public_address[HERD_AWS_ADDRESS_SIZE];
	char ipv6_address[HERD_AWS_ADDRESS_SIZE];
	char private_dns[HERD_AWS_DNS_SIZE], public_dns[HERD_AWS_DNS_SIZE];
	char root_device[HERD_AWS_DEVICE_SIZE];
	char root_device_type[HERD_AWS_WORD_SIZE]; /* "ebs" */
	char key_name[HERD_EC2_TEXT_SIZE];
	char profile[HERD_EC2_TEXT_SIZE]; /* ARN of its IAM profile */
	bool hibernation; /* its root volume may hold its memory */
	int64_t launched;
	struct herd_ec2_disk *disks;
	struct herd_ec2_interface *interfaces;
	struct herd_ec2_tag *tags;
	size_t n_disks, n_interfaces, n_tags;
	unsigned odd;
};

struct herd_ec2_attachment {
	char instance[HERD_AWS_ID_SIZE];
	char device[HERD_AWS_DEVICE_SIZE];
	char state[HERD_AWS_WORD_SIZE];
};

struct herd_ec2_volume {
	char id[HERD_AWS_ID_SIZE];
	char snapshot[HERD_AWS_ID_SIZE]; /* made from; "": none */
	char state[HERD_AWS_WORD_SIZE];
	char type[HERD_AWS_WORD_SIZE], zone[HERD_AWS_WORD_SIZE];
	char kms_key[HERD_EC2_TEXT_SIZE];
	bool encrypted;
	uint64_t gib;
	int64_t created;
	struct herd_ec2_attachment *attachments;
	struct herd_ec2_tag *tags;
	size_t n_attachments, n_tags;
	unsigned odd;
};

struct herd_ec2_snapshot {
	char id[HERD_AWS_ID_SIZE];
	char volume[HERD_AWS_ID_SIZE];	      /* of which it was made */
	char account[HERD_AWS_ACCOUNT_SIZE];  /* its owner */
	char owner_alias[HERD_AWS_WORD_SIZE]; /* "amazon" */
	char state[HERD_AWS_WORD_SIZE]; /* "pending", "completed", "error" */
	char tier[HERD_AWS_WORD_SIZE];	/* "standard", "archive" */
	char outpost[HERD_EC2_TEXT_SIZE];
	char state_message[HERD_EC2_TEXT_SIZE];
	char description[HERD_EC2_TEXT_SIZE];
	char kms_key[HERD_EC2_TEXT_SIZE];
	bool encrypted;
	unsigned progress; /* percent */
	uint64_t gib;	   /* of the volume */
	int64_t started, completed;
	struct herd_ec2_tag *tags;
	size_t n_tags;
	unsigned odd;
};

struct herd_ec2_mapping {
	char device[HERD_AWS_DEVICE_SIZE];
	char snapshot[HERD_AWS_ID_SIZE]; /* "": none, an instance store */
	bool encrypted;
	uint64_t gib;
};

struct herd_ec2_image {
	char id[HERD_AWS_ID_SIZE];
	char account[HERD_AWS_ACCOUNT_SIZE];
	char owner_alias[HERD_AWS_WORD_SIZE];
	char name[HERD_EC2_TEXT_SIZE];
	char state[HERD_AWS_WORD_SIZE];
	char architecture[HERD_AWS_WORD_SIZE], platform[HERD_AWS_WORD_SIZE];
	char root_device[HERD_AWS_DEVICE_SIZE];
	char root_device_type[HERD_AWS_WORD_SIZE];
	bool is_public;
	int64_t created;
	struct herd_ec2_mapping *mappings;
	size_t n_mappings;
	unsigned odd;
};

/* A version of a launch template. */
struct herd_ec2_template {
	char id[HERD_AWS_ID_SIZE];
	char name[HERD_EC2_TEXT_SIZE];
	char image[HERD_AWS_ID_SIZE];	      /* "": none, or an alias */
	char image_alias[HERD_EC2_TEXT_SIZE]; /* "resolve:ssm:/a/b" */
	bool is_default;
	uint64_t version;
	unsigned odd;
};

#define HERD_EC2_LIST(name)                \
	struct herd_ec2_##name##s {        \
		struct herd_ec2_##name *v; \
		size_t n, cap;             \
	};                                 \
	void herd_ec2_##name##s_deinit(struct herd_ec2_##name##s *l)

HERD_EC2_LIST(instance);
HERD_EC2_LIST(volume);
HERD_EC2_LIST(snapshot);
HERD_EC2_LIST(image);
HERD_EC2_LIST(template);

/*
 * One answer each: adds to the list, sets next ("": the last page). For the
 * calls above, tests and fuzzing; the list is whole on failure, too.
 */
int herd_ec2_parse_instances(const void *xml, size_t len,
			     struct herd_ec2_instances *l,
			     char next[HERD_EC2_NEXT_SIZE],
			     struct herd_diag *diag);
int herd_ec2_parse_volumes(const void *xml, size_t len,
			   struct herd_ec2_volumes *l,
			   char next[HERD_EC2_NEXT_SIZE],
			   struct herd_diag *diag);
int herd_ec2_parse_snapshots(const void *xml, size_t len,
			     struct herd_ec2_snapshots *l,
			     char next[HERD_EC2_NEXT_SIZE],
			     struct herd_diag *diag);
int herd_ec2_parse_images(const void *xml, size_t len,
			  struct herd_ec2_images *l,
			  char next[HERD_EC2_NEXT_SIZE],
			  struct herd_diag *diag);
int herd_ec2_parse_templates(const void *xml, size_t len,
			     struct herd_ec2_templates *l,
			     char next[HERD_EC2_NEXT_SIZE],
			     struct herd_diag *diag);

#endif
