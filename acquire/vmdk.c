/* SPDX-License-Identifier: Apache-2.0 */
#include "acquire/vmdk.h"

#include "acquire/base/cleanup.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

void herd_vmdk_deinit(struct herd_vmdk *v)
{
	for (size_t i = 0; i < v->n_names; i++)
		free(v->names[i]);
	free(v->names);
	*v = (struct herd_vmdk){ 0 };
}

#define CLEANUP_VMDK CLEANUP(herd_vmdk_deinit)

#define REST_MAX 7	/* bytes of an older text; see text_ends */

/* The word at *p, which moves past it and the blanks behind. */
static size_t take_word(const char **p, const char *end, const char **ret)
{
	const char *from = *p, *to = from;

	while (to < end && *to != ' ' && *to != '\t')
		to++;
	*ret = from;
	*p = to;
	while (*p < end && (**p == ' ' || **p == '\t'))
		(*p)++;
	return (size_t)(to - from);
}

static bool is_one_of(const char *word, size_t len, const char *const *list)
{
	for (; *list; list++)
		if (strlen(*list) == len && !strncasecmp(word, *list, len))
			return true;
	return false;
}

static int take_number(const char *word, size_t len, uint64_t *ret)
{
	uint64_t v = 0;

	if (!len || len > 18)
		return -EBADMSG;
	for (size_t i = 0; i < len; i++) {
		if (!isdigit((unsigned char)word[i]))
			return -EBADMSG;
		v = v * 10 + (uint64_t)(word[i] - '0');
	}
	*ret = v;
	return 0;
}

/* "name", a file beside the descriptor and nothing else. */
static int take_name(const char *p, const char *end, struct herd_vmdk *v)
{
	const char *close = p < end && *p == '"' ?
			    memchr(p + 1, '"', (size_t)(end - p - 1)) : NULL;
	size_t len = close ? (size_t)(close - p - 1) : 0;

	if (!len || len > 255 || memchr(close + 1, '"', (size_t)(end - close - 1)))
		return -EBADMSG;
	for (const char *c = p + 1; c < close; c++)
		if (*c == '/' || *c == '\\' || *c == ':' ||
		    (unsigned char)*c < 0x20)
			return -EPERM;
	if (p[1] == '.' && (len == 1 || (len == 2 && p[2] == '.')))
		return -EPERM;
	if (v->n_names == HERD_VMDK_EXTENTS_MAX)
		return -EOVERFLOW;

	char **names = reallocarray(v->names, v->n_names + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	v->names = names;
	names[v->n_names] = strndup(p + 1, len);
	if (!names[v->n_names])
		return -ENOMEM;
	v->n_names++;
	return 0;
}

/* RW 4192256 SPARSE "disk-s001.vmdk" [offset] */
static int take_extent(const char *p, const char *end, struct herd_vmdk *v)
{
	static const char *const in_files[] = { "FLAT", "SPARSE", "VMFS",
						"VMFSSPARSE", NULL };
	static const char *const zero[] = { "ZERO", NULL };
	static const char *const devices[] = { "VMFSRDM", "VMFSRAW", NULL };
	const char *word;
	uint64_t sectors;
	size_t len;

	take_word(&p, end, &word);
	len = take_word(&p, end, &word);
	if (take_number(word, len, &sectors) || sectors > INT64_MAX / 512 ||
	    v->size > INT64_MAX - sectors * 512)
		return -EBADMSG;
	v->size += sectors * 512;
	len = take_word(&p, end, &word);
	if (is_one_of(word, len, in_files))
		return take_name(p, end, v);
	if (is_one_of(word, len, zero))
		return memchr(p, '"', (size_t)(end - p)) ? -EBADMSG : 0;
	return is_one_of(word, len, devices) ? -EOPNOTSUPP : -EBADMSG;
}

static int take_line(const char *p, const char *end, struct herd_vmdk *v)
{
	static const char *const access[] = { "RW", "RDONLY", "NOACCESS", NULL };
	const char *word, *rest = p;
	size_t len = take_word(&rest, end, &word);

	if (p == end || *p == '#')
		return 0;
	if (is_one_of(word, len, access))
		return take_extent(p, end, v);

	const char *equals = memchr(p, '=', (size_t)(end - p));

	if (!equals || equals == p)
		return -EBADMSG;
	for (len = (size_t)(equals - p); len && isspace((unsigned char)p[len - 1]);)
		len--;
	for (equals++; equals < end && isspace((unsigned char)*equals);)
		equals++;
	if (len == 18 && !strncasecmp(p, "parentFileNameHint", 18))
		v->has_parent = true;
	if (len == 9 && !strncasecmp(p, "parentCID", 9) &&
	    (end - equals < 8 || strncasecmp(equals, "ffffffff", 8)))
		v->has_parent = true;
	return 0;
}

static const char *line_failure(int err)
{
	switch (err) {
	case -EPERM:
		return "names an extent outside its own directory";
	case -EOPNOTSUPP:
		return "an extent is a raw device, which is not supported";
	case -EOVERFLOW:
		return "too many extents";
	case -ENOMEM:
		return "out of memory";
	default:
		return "a line of the VMDK descriptor is not understood";
	}
}

/*
 * Whether nothing that could be a file's name stands behind the NUL at `used`,
 * for a reader that goes on there. Zeros do as a rule; but QEMU writes the CID
 * anew without leading zeros and leaves the end of the text that was longer, at
 * most seven bytes of it ("647\"\n"): too short for a line that names a file,
 * and no part of the last line before if that one has ended.
 */
static bool text_ends(const char *text, size_t used, size_t len)
{
	size_t rest = used && text[used - 1] == '\n' ? 1 + REST_MAX : 0;

	return len - used <= rest ||
	       !memchr(text + used + rest, '"', len - used - rest);
}

int herd_vmdk_parse(const char *text, size_t len, const char *name,
		    uint64_t offset, struct herd_vmdk *ret,
		    struct herd_diag *diag)
{
	CLEANUP_VMDK struct herd_vmdk v = { 0 };
	size_t used = strnlen(text, len);
	const char *p = text, *stop = text + used;

	if (!text_ends(text, used, len))
		return herd_diag_set(diag, -EBADMSG, name, offset + used,
				     "text behind the end of the VMDK descriptor");
	while (p < stop) {
		const char *eol = memchr(p, '\n', (size_t)(stop - p));
		const char *end = eol ? eol : stop, *from = p;

		while (from < end && isspace((unsigned char)*from))
			from++;
		while (end > from && isspace((unsigned char)end[-1]))
			end--;
		int err = take_line(from, end, &v);

		if (err)
			return herd_diag_set(diag, err, name,
					     offset + (uint64_t)(p - text),
					     "%s", line_failure(err));
		p = eol ? eol + 1 : stop;
	}
	if (!v.size)
		return herd_diag_set(diag, -EBADMSG, name, offset,
				     "the VMDK descriptor has no extents");
	*ret = v;
	v = (struct herd_vmdk){ 0 };
	return 0;
}
