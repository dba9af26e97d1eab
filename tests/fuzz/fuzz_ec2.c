/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of EC2 and Auto Scaling that nobody gave. The first byte says of
 * which call. What comes out is of its form and within its limits.
 */
#include "acquire/aws/autoscaling.h"
#include "acquire/aws/ec2_types.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(x)                           \
	do {                              \
		if (!(x))                 \
			__builtin_trap(); \
	} while (0)

static void id(const char *text, const char *prefix)
{
	MUST(!*text || herd_aws_is_id(text, prefix));
}

static void instances(const struct herd_ec2_instances *l)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct herd_ec2_instance *x = &l->v[i];

		MUST(herd_aws_is_id(x->id, "i-"));
		id(x->image, "ami-");
		MUST(x->n_disks <= HERD_EC2_DISKS_MAX);
		for (size_t k = 0; k < x->n_disks; k++)
			MUST(herd_aws_is_id(x->disks[k].volume, "vol-"));
		for (size_t k = 0; k < x->n_interfaces; k++)
			for (size_t m = 0; m < x->interfaces[k].n_addresses;
			     m++)
				MUST(herd_aws_is_address(
					x->interfaces[k].addresses[m].text));
		for (size_t k = 0; k < x->n_tags; k++)
			MUST(herd_aws_is_text(x->tags[k].value,
					      HERD_EC2_TAG_VALUE_MAX));
	}
}

static void groups(const struct herd_asgs *l)
{
	for (size_t i = 0; i < l->n; i++) {
		MUST(l->v[i].name[0]);
		for (size_t k = 0; k < l->v[i].n_instances; k++)
			MUST(herd_aws_is_id(l->v[i].instances[k].id, "i-"));
	}
}

#define TRY(kind, check)                                                \
	do {                                                            \
		struct herd_ec2_##kind l = { 0 };                       \
		r = herd_ec2_parse_##kind(data, size, &l, next, &diag); \
		check;                                                  \
		herd_ec2_##kind##_deinit(&l);                           \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char next[HERD_EC2_NEXT_SIZE] = "";
	struct herd_diag diag = { 0 };
	struct herd_asgs g = { 0 };
	uint8_t which;
	int r = 0;

	if (!size)
		return 0;
	which = data[0];
	data++;
	size--;
	switch (which % 6) {
	case 0:
		TRY(instances, instances(&l));
		break;
	case 1:
		TRY(volumes, MUST(!l.n || herd_aws_is_id(l.v[0].id, "vol-")));
		break;
	case 2:
		TRY(snapshots,
		    MUST(!l.n || (herd_aws_is_id(l.v[0].id, "snap-") &&
				  l.v[0].progress <= 100)));
		break;
	case 3:
		TRY(images, MUST(!l.n || herd_aws_is_id(l.v[0].id, "ami-")));
		break;
	case 4:
		TRY(templates, MUST(!l.n || herd_aws_is_id(l.v[0].id, "lt-")));
		break;
	default:
		r = herd_asg_parse(data, size, &g, next, &diag);
		groups(&g);
		herd_asgs_deinit(&g);
	}
	MUST(!r || diag.message[0]);
	MUST(r || herd_aws_is_text(next, sizeof(next) - 1));
	return 0;
}
