/* SPDX-License-Identifier: Apache-2.0 */
/* What settings.c and endpoint.c share. */
#ifndef HERD_AWS_SETTINGS_IMPL_H
#define HERD_AWS_SETTINGS_IMPL_H

#include "acquire/aws/profiles.h"
#include "acquire/aws/settings.h"

struct herd_aws_settings {
	struct herd_aws_profiles *profiles; /* without what is secret */
	char *profile;
	bool given;	    /* on the command line */
	char *region;	    /* NULL: none */
	char *ca_bundle;    /* NULL: the system's */
	char *endpoint_url; /* of the command line, or NULL */
};

/* A label of a host's name, as every region is. */
bool herd_aws_is_label(const char *text);
/* "http://host…" or "https://host…", without user, query or white space. */
bool herd_aws_is_url(const char *url);
/* The variable of that name, else the profile's key; NULL: neither, or empty. */
const char *herd_aws_setting(const struct herd_aws_settings *s,
			     const char *name, const char *key);
/* The same, as a switch: "true" in any case. */
bool herd_aws_switch(const struct herd_aws_settings *s, const char *name,
		     const char *key);

#endif
