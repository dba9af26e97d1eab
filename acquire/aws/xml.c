/* SPDX-License-Identifier: Apache-2.0 */
/*
 * While it is parsed, nodes and strings are in two arrays that grow, and refer
 * to each other by position. Pointers are made at the end.
 */
#include "acquire/aws/xml.h"

#include "acquire/base/buf.h"

#include <expat.h>
#include <string.h>

#define NONE UINT32_MAX

struct herd_xml_node {
	union {
		uint32_t at; /* position in strings, while parsing */
		const char *p;
	} name, text;
	const struct herd_xml *x;
	uint32_t first, next; /* child, sibling; or NONE */
	uint32_t last;	      /* child, while parsing */
};

struct herd_xml {
	struct herd_xml_node *nodes;
	size_t n, cap;
	struct herd_buf strings;
};

struct parsing {
	XML_Parser parser;
	struct herd_xml *x;
	struct herd_buf text; /* of the element that is open */
	uint32_t open[HERD_XML_DEPTH_MAX];
	unsigned depth;
	int err;
	const char *why;
};

static void stop(struct parsing *p, int err, const char *why)
{
	if (p->err)
		return;
	p->err = err;
	p->why = why;
	XML_StopParser(p->parser, XML_FALSE);
}

/* Position of the copy; strings' first byte is NUL, so 0 is "". */
static uint32_t keep(struct herd_xml *x, const void *s, size_t len)
{
	size_t at = x->strings.len;

	if (!len)
		return 0;
	herd_buf_put(&x->strings, s, len);
	herd_buf_u8(&x->strings, 0);
	return (uint32_t)at;
}

static bool grow(struct herd_xml *x)
{
	size_t cap = x->cap ? x->cap * 2 : 256;
	struct herd_xml_node *nodes;

	if (x->n < x->cap)
		return true;
	nodes = realloc(x->nodes, cap * sizeof(*nodes));
	if (!nodes)
		return false;
	x->nodes = nodes;
	x->cap = cap;
	return true;
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **atts)
{
	struct parsing *p = arg;
	struct herd_xml *x = p->x;
	size_t len = strlen(name);
	uint32_t self = (uint32_t)x->n;

	(void)atts;
	if (p->err)
		return;
	if (len > HERD_XML_NAME_MAX)
		return stop(p, -EOVERFLOW,
			    "the name of an element is too long");
	if (p->depth == HERD_XML_DEPTH_MAX)
		return stop(p, -EOVERFLOW, "elements are nested too deeply");
	if (x->n == HERD_XML_NODES_MAX)
		return stop(p, -EOVERFLOW, "there are too many elements");
	if (!grow(x))
		return stop(p, -ENOMEM, "no memory");
	x->nodes[x->n++] = (struct herd_xml_node){
		.name.at = keep(x, name, len),
		.x = x,
		.first = NONE,
		.next = NONE,
		.last = NONE,
	};
	if (p->depth) {
		struct herd_xml_node *up = &x->nodes[p->open[p->depth - 1]];

		if (up->first == NONE)
			up->first = self;
		else
			x->nodes[up->last].next = self;
		up->last = self;
	}
	p->open[p->depth++] = self;
	p->text.len = 0;
}

static void on_end(void *arg, const XML_Char *name)
{
	struct parsing *p = arg;

	(void)name;
	if (p->err)
		return;
	struct herd_xml_node *n = &p->x->nodes[p->open[--p->depth]];

	/* What stands between elements is layout. */
	if (n->first == NONE)
		n->text.at = keep(p->x, p->text.data, p->text.len);
	p->text.len = 0;
	if (herd_buf_error(&p->x->strings) || herd_buf_error(&p->text))
		stop(p, -ENOMEM, "no memory");
}

static void on_text(void *arg, const XML_Char *s, int len)
{
	struct parsing *p = arg;

	if (p->err || len <= 0)
		return;
	if ((size_t)len > HERD_XML_TEXT_MAX - p->text.len)
		return stop(p, -EOVERFLOW,
			    "the text of an element is too long");
	herd_buf_put(&p->text, s, (size_t)len);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *sysid,
		       const XML_Char *pubid, int internal)
{
	(void)name;
	(void)sysid;
	(void)pubid;
	(void)internal;
	stop(arg, -EBADMSG, "it has a document type, which no answer needs");
}

static int run(struct parsing *p, const void *bytes, size_t len,
	       struct herd_diag *diag)
{
	XML_SetUserData(p->parser, p);
	XML_SetElementHandler(p->parser, on_start, on_end);
	XML_SetCharacterDataHandler(p->parser, on_text);
	XML_SetStartDoctypeDeclHandler(p->parser, on_doctype);
	if (XML_Parse(p->parser, bytes, (int)len, 1) == XML_STATUS_OK &&
	    !p->err)
		return 0;

	uint64_t at = (uint64_t)XML_GetCurrentByteIndex(p->parser);
	enum XML_Error code = XML_GetErrorCode(p->parser);

	if (p->err)
		return herd_diag_set(diag, p->err, "XML", at, "%s", p->why);
	if (code == XML_ERROR_NO_MEMORY)
		return -ENOMEM;
	return herd_diag_set(diag, -EBADMSG, "XML", at, "%s",
			     XML_ErrorString(code));
}

/* Positions become pointers: nothing moves any more. */
static void settle(struct herd_xml *x)
{
	const char *strings = (const char *)x->strings.data;

	for (size_t i = 0; i < x->n; i++) {
		struct herd_xml_node *n = &x->nodes[i];

		n->name.p = strings + n->name.at;
		n->text.p = strings + n->text.at;
	}
}

int herd_xml_parse(const void *bytes, size_t len, struct herd_xml **ret,
		   struct herd_diag *diag)
{
	struct herd_xml *x CLEANUP_XML = calloc(1, sizeof(*x));
	struct parsing p = { .x = x, .text = HERD_BUF_INIT };
	int r;

	if (!x)
		return -ENOMEM;
	if (len > HERD_XML_SIZE_MAX)
		return herd_diag_set(diag, -EOVERFLOW, "XML", HERD_NO_OFFSET,
				     "%zu bytes are too many", len);
	herd_buf_u8(&x->strings, 0);
	/* Whatever it says of its encoding: AWS has UTF-8 alone. */
	p.parser = XML_ParserCreate("UTF-8");
	if (!p.parser)
		return -ENOMEM;
	r = run(&p, bytes, len, diag);
	XML_ParserFree(p.parser);
	herd_buf_deinit(&p.text);
	if (!r)
		r = herd_buf_error(&x->strings);
	if (r)
		return r;
	settle(x);
	*ret = TAKE_PTR(x);
	return 0;
}

void herd_xml_destroy(struct herd_xml *x)
{
	if (!x)
		return;
	free(x->nodes);
	herd_buf_deinit(&x->strings);
	free(x);
}

void herd_xml_cleanup(struct herd_xml **x)
{
	herd_xml_destroy(*x);
}

const struct herd_xml_node *herd_xml_root(const struct herd_xml *x)
{
	return &x->nodes[0]; /* well-formed: there is one */
}

const char *herd_xml_name(const struct herd_xml_node *n)
{
	return n->name.p;
}

static const struct herd_xml_node *at(const struct herd_xml_node *n,
				      uint32_t position)
{
	return position == NONE ? NULL : &n->x->nodes[position];
}

static const struct herd_xml_node *named(const struct herd_xml_node *from,
					 const char *name, size_t len)
{
	while (from &&
	       (strncmp(from->name.p, name, len) != 0 || from->name.p[len]))
		from = at(from, from->next);
	return from;
}

const struct herd_xml_node *herd_xml_get(const struct herd_xml_node *n,
					 const char *path)
{
	while (n && *path) {
		size_t len = strcspn(path, "/[");
		const char *name = path;
		unsigned long nth = 1;

		path += len;
		if (*path == '[') {
			char *end;

			nth = strtoul(path + 1, &end, 10);
			path = *end == ']' ? end + 1 : end;
		}
		n = nth ? named(at(n, n->first), name, len) : NULL;
		while (n && --nth)
			n = named(at(n, n->next), name, len);
		if (*path == '/')
			path++;
	}
	return n;
}

const char *herd_xml_text(const struct herd_xml_node *n, const char *path)
{
	n = herd_xml_get(n, path);
	return n ? n->text.p : NULL;
}

const struct herd_xml_node *herd_xml_first(const struct herd_xml_node *n,
					   const char *path, const char *name)
{
	n = herd_xml_get(n, path);
	return n ? named(at(n, n->first), name, strlen(name)) : NULL;
}

const struct herd_xml_node *herd_xml_next(const struct herd_xml_node *n)
{
	return named(at(n, n->next), n->name.p, strlen(n->name.p));
}

size_t herd_xml_count(const struct herd_xml_node *n, const char *path,
		      const char *name)
{
	size_t count = 0;

	for (n = herd_xml_first(n, path, name); n; n = herd_xml_next(n))
		count++;
	return count;
}
