/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ~/.aws/config and ~/.aws/credentials (or where AWS_CONFIG_FILE and
 * AWS_SHARED_CREDENTIALS_FILE say) taken together: profiles, sso-sessions and
 * services. Read anew for every fetch of credentials, for other tools renew
 * what is in them.
 *
 * Threads: a value once loaded.
 */
#ifndef HERD_AWS_PROFILES_H
#define HERD_AWS_PROFILES_H

#include "acquire/base/diag.h"

#include <stdbool.h>

struct herd_aws_profiles;

enum herd_aws_files {
	HERD_AWS_CONFIG = 1,
	HERD_AWS_CREDENTIALS = 2,
	HERD_AWS_BOTH = 3, /* what the second one has goes first */
};

/* Files that are not there are empty. -EBADMSG: one is not understood; diag
   has its line. */
int herd_aws_profiles_load(struct herd_aws_profiles **ret,
			   struct herd_diag *diag);
void herd_aws_profiles_destroy(struct herd_aws_profiles *p);
/* Wipes the keys; for who only wants the settings. */
void herd_aws_profiles_forget(struct herd_aws_profiles *p);

/* Which of the files could not be read, and why; "" when both could. */
const char *herd_aws_profiles_unread(const struct herd_aws_profiles *p);

bool herd_aws_profiles_has(const struct herd_aws_profiles *p,
			   const char *profile);
/* NULL when it is not there, and when it is empty. */
const char *herd_aws_profiles_get(const struct herd_aws_profiles *p,
				  enum herd_aws_files from, const char *profile,
				  const char *key);
bool herd_aws_profiles_has_session(const struct herd_aws_profiles *p,
				   const char *session);
const char *herd_aws_profiles_session(const struct herd_aws_profiles *p,
				      const char *session, const char *key);
bool herd_aws_profiles_has_services(const struct herd_aws_profiles *p,
				    const char *services);
/* "services" of [services x], "ebs", "endpoint_url". */
const char *herd_aws_profiles_service(const struct herd_aws_profiles *p,
				      const char *services, const char *service,
				      const char *key);

/* A path as AWS's variables have it, "~/" in front replaced by the home. */
int herd_aws_path(const char *path, char **ret);

/*
 * A whole small file; -EOVERFLOW: longer than max. What is no regular file is
 * empty. The text has a NUL behind it; wipe it where it may be secret.
 */
int herd_aws_read_file(const char *path, size_t max, char **ret,
		       size_t *ret_len);

#endif
