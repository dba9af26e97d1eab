/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Elements of an answer into members of a struct, by a table that says of each
 * what form it must have. Without one that is needed, the answer is refused;
 * another one that is not of its form is left empty and counted.
 *
 * Threads: no state.
 */
#ifndef HERD_XML_FIELDS_H
#define HERD_XML_FIELDS_H

#include "acquire/aws/fields.h"
#include "acquire/aws/xml.h"

enum herd_xml_kind {
	HERD_XML_ID, /* char[]; with `prefix` */
	HERD_XML_WORD,
	HERD_XML_TEXT,
	HERD_XML_DNS,
	HERD_XML_ADDRESS,
	HERD_XML_MAC,
	HERD_XML_DEVICE,
	HERD_XML_ACCOUNT,
	HERD_XML_BOOL,	  /* bool */
	HERD_XML_UINT,	  /* uint64_t; at most 2^40 */
	HERD_XML_PERCENT, /* unsigned: "45%" */
	HERD_XML_TIME,	  /* int64_t: Unix seconds */
};

struct herd_xml_field {
	const char *path;
	enum herd_xml_kind kind;
	bool needed;
	size_t offset, size;
	const char *prefix;
};

#define HERD_XML_FIELD(type, member, path_, kind_, prefix_, needed_)      \
	{                                                                 \
		.path = (path_), .kind = (kind_), .needed = (needed_),    \
		.offset = offsetof(type, member),                         \
		.size = sizeof(((type *)0)->member), .prefix = (prefix_), \
	}

/* -EBADMSG: one that is needed is not there or not of its form. *odd grows by
   those that were left empty. */
int herd_xml_fields(const struct herd_xml_node *n,
		    const struct herd_xml_field *fields, size_t count, void *to,
		    unsigned *odd, struct herd_diag *diag);

/*
 * The elements `name` below path, each into one of *ret (size bytes each,
 * zeroed before). *ret_n counts what was begun, so that on failure the caller
 * frees that. -EOVERFLOW: more than max.
 */
typedef int herd_xml_one(const struct herd_xml_node *n, void *to, unsigned *odd,
			 struct herd_diag *diag);
int herd_xml_array(const struct herd_xml_node *n, const char *path,
		   const char *name, size_t size, size_t max, herd_xml_one *one,
		   void *ret, size_t *ret_n, unsigned *odd,
		   struct herd_diag *diag);

#endif
