/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/stacked.h"

#include <string.h>

/* One image as a stack of files; a raw file is a stack of one. */
struct stack {
	const struct herd_image_file *files;
	size_t n_files;
	const struct herd_chain *chain;
};

/* Whether a, from link i down, and b, from link j down, are the same. */
static bool same_below(const struct stack *a, size_t i, const struct stack *b,
		       size_t j)
{
	size_t fa = a->chain->links[i].file, fb = b->chain->links[j].file;

	if (a->chain->n - i != b->chain->n - j ||
	    a->n_files - fa != b->n_files - fb)
		return false;
	for (; i < a->chain->n; i++, j++)
		if (strcmp(a->chain->links[i].format, b->chain->links[j].format))
			return false;
	for (; fa < a->n_files; fa++, fb++)
		if (!herd_image_file_same(&a->files[fa], &b->files[fb]))
			return false;
	return true;
}

/* How many images of each lie above the first that they share. */
static bool find_common(const struct stack *a, const struct stack *b,
			size_t *ret_a, size_t *ret_b)
{
	for (size_t i = 0; i < a->chain->n; i++)
		for (size_t j = 0; j < b->chain->n; j++)
			if (same_below(a, i, b, j)) {
				*ret_a = i;
				*ret_b = j;
				return true;
			}
	return false;
}

static const struct herd_chain raw_chain = {
	.links = { { .format = "raw" } }, .n = 1,
};

static bool is_stacked(const struct herd_source *s)
{
	return s->ops->changed_extents == herd_stacked_changed_extents;
}

static bool stack_of(const struct herd_source *s, struct stack *ret)
{
	const struct herd_stacked *n = (const struct herd_stacked *)s;
	const struct herd_image_file *file = herd_source_raw_file(s);

	if (is_stacked(s))
		*ret = (struct stack){ n->img.files, n->img.n_files, &n->chain };
	else if (file)
		*ret = (struct stack){ file, 1, &raw_chain };
	else
		return false;
	return true;
}

static int add_above(struct herd_source *s, size_t images,
		     struct herd_extents *ret, struct herd_diag *diag)
{
	struct herd_stacked *n = (struct herd_stacked *)s;

	return images ? n->above(n, images, ret, diag) : 0;
}

/*
 * What neither has allocated above the shared image comes from there, at the
 * same place, in both; so the rest is a superset of the difference.
 */
int herd_stacked_changed_extents(struct herd_source *s,
				 struct herd_source *other,
				 struct herd_extents *ret,
				 struct herd_diag *diag)
{
	struct stack a, b;
	size_t above_a, above_b;
	uint64_t shorter = s->size < other->size ? s->size : other->size;
	uint64_t longer = s->size < other->size ? other->size : s->size;
	int err;

	if (!stack_of(s, &a) || !stack_of(other, &b) ||
	    !find_common(&a, &b, &above_a, &above_b))
		return -EOPNOTSUPP;

	CLEANUP_EXTENTS struct herd_extents found = { 0 };

	err = add_above(s, above_a, &found, diag) ?:
	      add_above(other, above_b, &found, diag);
	if (!err)
		err = herd_extents_add(&found, shorter, longer - shorter);
	if (err)
		return err;
	herd_extents_normalise(&found);
	herd_extents_deinit(ret);
	*ret = found;
	found = (struct herd_extents){ 0 };
	return 0;
}
