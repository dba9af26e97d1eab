/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/aws/ebs_page.h"

#include "acquire/aws/fields.h"
#include "acquire/base/cleanup.h"

#include <jansson.h>
#include <string.h>

#define BLOCK_SIZE_MIN (64 << 10)

static int bad(struct herd_diag *diag, const char *what)
{
	return herd_diag_set(diag, -EBADMSG, "EBS", HERD_NO_OFFSET,
			     "a list of blocks: %s", what);
}

bool herd_ebs_is_token(const char *text)
{
	size_t n = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				"abcdefghijklmnopqrstuvwxyz0123456789+/=");

	return n && n <= HERD_EBS_TOKEN_MAX && !text[n];
}

/* A token, NULL when there is none; false when it is not one. */
static bool get_token(const json_t *o, const char *key, const char **ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = NULL;
	if (!v || json_is_null(v))
		return true;
	*ret = json_string_value(v); /* jansson refuses a NUL in it */
	return *ret && herd_ebs_is_token(*ret);
}

/* An integer from min to max, 0 when there is none. */
static bool get_int(const json_t *o, const char *key, json_int_t min,
		    json_int_t max, json_int_t *ret)
{
	const json_t *v = json_object_get(o, key);

	*ret = 0;
	if (!v || json_is_null(v))
		return true;
	*ret = json_integer_value(v);
	return json_is_integer(v) && *ret >= min && *ret <= max;
}

/* Seconds since 1970, with a fraction or without, or a date. */
static bool get_time(const json_t *v, int64_t *ret)
{
	*ret = 0;
	if (!v || json_is_null(v))
		return true;
	if (json_is_string(v))
		return herd_aws_time(json_string_value(v), ret);
	if (!json_is_number(v) || !(json_number_value(v) > 0) ||
	    json_number_value(v) > 253402300799.0)
		return false;
	*ret = (int64_t)json_number_value(v);
	return true;
}

static int get_block(const json_t *o, bool changed, struct herd_block_list *l,
		     struct herd_diag *diag)
{
	const char *token, *first;
	json_int_t index;

	if (!json_is_object(o) || !json_object_get(o, "BlockIndex") ||
	    !get_int(o, "BlockIndex", 0, UINT32_MAX, &index))
		return bad(diag, "a block has no index");
	if (l->n && (json_int_t)l->indexes[l->n - 1] >= index)
		return bad(diag, "the indexes do not ascend");
	if (!get_token(o, changed ? "SecondBlockToken" : "BlockToken",
		       &token) ||
	    (!changed && !token))
		return bad(diag, "a block's token is none");
	if (changed && !get_token(o, "FirstBlockToken", &first))
		return bad(diag, "a block's token is none");

	char *copy = token ? strdup(token) : NULL;

	if (token && !copy)
		return -ENOMEM;
	l->indexes[l->n] = (uint32_t)index;
	l->tokens[l->n++] = copy;
	return 0;
}

static int get_blocks(const json_t *array, bool changed,
		      struct herd_block_list *l, struct herd_diag *diag)
{
	size_t n = array ? json_array_size(array) : 0;
	int r = 0;

	if (array && !json_is_null(array) && !json_is_array(array))
		return bad(diag, "the blocks are no array");
	if (n > HERD_EBS_PAGE_BLOCKS)
		return bad(diag, "more blocks than a page may have");
	if (!n)
		return 0;
	l->indexes = calloc(n, sizeof(*l->indexes));
	l->tokens = calloc(n, sizeof(*l->tokens));
	if (!l->indexes || !l->tokens)
		return -ENOMEM;
	for (size_t i = 0; !r && i < n; i++)
		r = get_block(json_array_get(array, i), changed, l, diag);
	return r;
}

static int get_page(const json_t *root, bool changed, struct herd_ebs_page *p,
		    struct herd_diag *diag)
{
	json_int_t gib, size;
	const char *next;

	if (!json_is_object(root))
		return bad(diag, "no JSON object");
	if (!get_int(root, "VolumeSize", 1, HERD_EBS_VOLUME_GIB_MAX, &gib))
		return bad(diag, "the size of the volume is none");
	if (!get_int(root, "BlockSize", BLOCK_SIZE_MIN, HERD_BLOCK_SIZE_MAX,
		     &size) ||
	    (size & (size - 1)))
		return bad(diag, "the size of a block is none");
	if (!get_time(json_object_get(root, "ExpiryTime"),
		      &p->list.tokens_expire))
		return bad(diag, "the time when the tokens expire is none");
	if (!get_token(root, "NextToken", &next))
		return bad(diag, "the next page's token is none");
	p->list.volume_size = (uint64_t)gib << 30;
	p->list.block_size = (uint32_t)size;
	strcpy(p->next, next ? next : "");
	return get_blocks(json_object_get(root,
					  changed ? "ChangedBlocks" : "Blocks"),
			  changed, &p->list, diag);
}

int herd_ebs_page_parse(const void *json, size_t len, bool changed,
			struct herd_ebs_page *ret, struct herd_diag *diag)
{
	struct herd_ebs_page p = { 0 };
	json_error_t why;
	json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why);
	int r;

	if (!root)
		return bad(diag, "no JSON");
	r = get_page(root, changed, &p, diag);
	json_decref(root);
	if (r)
		herd_ebs_page_deinit(&p);
	else
		*ret = p;
	return r;
}

void herd_ebs_page_deinit(struct herd_ebs_page *p)
{
	herd_block_list_deinit(&p->list);
}

static bool reserve(struct herd_block_list *l, size_t *cap, size_t n)
{
	size_t want = *cap ? *cap : 1024;

	while (want < n)
		want *= 2;
	if (want == *cap)
		return true;
	uint32_t *indexes = realloc(l->indexes, want * sizeof(*indexes));

	if (!indexes)
		return false;
	l->indexes = indexes;
	char **tokens = realloc(l->tokens, want * sizeof(*tokens));

	if (!tokens)
		return false;
	l->tokens = tokens;
	*cap = want;
	return true;
}

int herd_ebs_list_add(struct herd_block_list *l, size_t *cap,
		      struct herd_ebs_page *p, struct herd_diag *diag)
{
	struct herd_block_list *add = &p->list;
	uint64_t volume = l->volume_size ? l->volume_size : add->volume_size;
	uint32_t size = l->block_size ? l->block_size : add->block_size;

	if ((add->volume_size && add->volume_size != volume) ||
	    (add->block_size && add->block_size != size))
		return bad(diag, "the sizes are not those of the page before");
	if (add->n && (!volume || !size))
		return bad(diag, "it does not say the sizes");
	if (add->n && add->indexes[add->n - 1] >= volume / size)
		return bad(diag, "a block lies beyond the end of the volume");
	if (add->n && l->n && add->indexes[0] <= l->indexes[l->n - 1])
		return bad(diag, "a page goes back");
	if (add->n > HERD_EBS_LIST_MAX - l->n)
		return herd_diag_set(diag, -EOVERFLOW, "EBS", HERD_NO_OFFSET,
				     "more than %u blocks are written",
				     HERD_EBS_LIST_MAX);
	if (!reserve(l, cap, l->n + add->n))
		return -ENOMEM;
	if (add->n) {
		memcpy(l->indexes + l->n, add->indexes,
		       add->n * sizeof(*l->indexes));
		memcpy(l->tokens + l->n, add->tokens,
		       add->n * sizeof(*l->tokens));
	}
	l->n += add->n;
	add->n = 0; /* the tokens have a new owner */
	l->volume_size = volume;
	l->block_size = size;
	if (add->tokens_expire &&
	    (!l->tokens_expire || add->tokens_expire < l->tokens_expire))
		l->tokens_expire = add->tokens_expire;
	return 0;
}
