/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An XML answer as a small tree: elements and their text. Attributes, comments
 * and name spaces are dropped; a document type is refused, and with it every
 * entity but the five of XML itself. Depth, nodes and lengths are limited.
 *
 * Threads: immutable once parsed.
 */
#ifndef HERD_XML_H
#define HERD_XML_H

#include "acquire/base/cleanup.h"
#include "acquire/base/diag.h"

#include <stdint.h>

#define HERD_XML_SIZE_MAX (32u << 20) /* of a document, bytes */
#define HERD_XML_NODES_MAX 1000000u
#define HERD_XML_DEPTH_MAX 32u
#define HERD_XML_NAME_MAX 128u	      /* of an element, bytes */
#define HERD_XML_TEXT_MAX (64u << 10) /* of one element, bytes */

struct herd_xml;
struct herd_xml_node;

/* -EBADMSG: not well-formed, or has a document type. -EOVERFLOW: a limit. */
int herd_xml_parse(const void *bytes, size_t len, struct herd_xml **ret,
		   struct herd_diag *diag);
void herd_xml_destroy(struct herd_xml *x);
void herd_xml_cleanup(struct herd_xml **x);
#define CLEANUP_XML CLEANUP(herd_xml_cleanup)

const struct herd_xml_node *herd_xml_root(const struct herd_xml *x);
const char *herd_xml_name(const struct herd_xml_node *n);

/*
 * Below n, by names: "instanceState/name". The n-th of several of a name, from
 * 1: "reservationSet/item[3]". "" is n itself. NULL when there is none.
 */
const struct herd_xml_node *herd_xml_get(const struct herd_xml_node *n,
					 const char *path);
/* The text of an element that has no elements in it, "" for others; NULL when
   it is not there. Valid UTF-8, without NUL, as long as the tree. */
const char *herd_xml_text(const struct herd_xml_node *n, const char *path);

/* The elements `name` right below herd_xml_get(n, path), in order. */
const struct herd_xml_node *herd_xml_first(const struct herd_xml_node *n,
					   const char *path, const char *name);
const struct herd_xml_node *herd_xml_next(const struct herd_xml_node *n);
size_t herd_xml_count(const struct herd_xml_node *n, const char *path,
		      const char *name);

#endif
