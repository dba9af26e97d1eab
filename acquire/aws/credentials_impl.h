/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Between the parts of the credentials' chain. A source is a function that
 * returns 0 and keys; -ENOENT where it is not set up (the next one is asked),
 * with the reason in diag where one is worth a line; or another error where it
 * is set up and does not work, which ends the chain: whoever set up a role does
 * not want the keys of the next best source.
 *
 * Threads: as credentials.h.
 */
#ifndef HERD_AWS_CREDENTIALS_IMPL_H
#define HERD_AWS_CREDENTIALS_IMPL_H

#include "acquire/aws/credentials.h"
#include "acquire/aws/profiles.h"

#define HERD_ROLES_MAX 8	     /* roles one behind the other */
#define HERD_ANSWER_MAX (256u << 10) /* bytes of any source's answer */

struct herd_aws_credentials {
	const struct herd_aws_settings *settings;
	struct herd_http *http, *local; /* during a fetch; local: no proxy */
	int64_t (*now)(void);
	int64_t skew; /* what AWS's clock is ahead of ours, seconds */
	struct herd_aws_keys keys;
	bool have;
	bool rejected;	      /* the server called them expired */
	bool renewed;	      /* fetched because of that, */
	int64_t fetched;      /* then */
	int64_t next_try;     /* not before, as long as these are valid */
	int64_t failed_until; /* until then the failure is told again */
	struct herd_diag failure;
	char source[200];
	int process_ms; /* 0: a minute */
};

/* What a source is asked for. */
struct herd_credentials_wish {
	struct herd_aws_credentials *c;
	const struct herd_aws_profiles *profiles;
	const char *profile;
	bool environment;      /* web identity also by the environment */
	bool used_environment; /* … and it was */
};

typedef int herd_credentials_source(struct herd_credentials_wish *w,
				    struct herd_aws_keys *ret,
				    struct herd_diag *diag);

/* credentials.c: those that belong to a profile, but for its role. */
herd_credentials_source herd_credentials_of_profile;
/* credentials_profile.c */
herd_credentials_source herd_credentials_environment;
herd_credentials_source herd_credentials_assume_role;
herd_credentials_source herd_credentials_shared_keys; /* ~/.aws/credentials */
herd_credentials_source herd_credentials_config_keys; /* ~/.aws/config */
herd_credentials_source herd_credentials_login;	      /* aws login: refused */
/* credentials_sts.c */
herd_credentials_source herd_credentials_web_identity;
/* credentials_sso.c */
herd_credentials_source herd_credentials_sso;
/* credentials_process.c */
herd_credentials_source herd_credentials_process;
/* credentials_metadata.c */
herd_credentials_source herd_credentials_container;
herd_credentials_source herd_credentials_instance;

/* ---- STS ---- */

struct herd_credentials_role {
	const char *arn, *session_name, *external_id, *duration;
	const char *web_token; /* then nothing is signed */
};
/* who: "profile web", for messages. by: the keys to sign with, or NULL. */
int herd_credentials_sts(struct herd_aws_credentials *c, const char *who,
			 const struct herd_credentials_role *role,
			 const struct herd_aws_keys *by,
			 struct herd_aws_keys *ret, struct herd_diag *diag);
/* The keys in its answer. */
int herd_credentials_sts_read(const void *xml, size_t len,
			      struct herd_aws_keys *ret,
			      struct herd_diag *diag);

/* ---- the process ---- */

#define HERD_WORDS_MAX 64
/*
 * Words as a POSIX shell quotes them, without any expansion; NULL behind the
 * last. All of them lie in *ret_text, which the caller frees. -EINVAL: a quote
 * is open; -E2BIG: too many; -ENOENT: none.
 */
int herd_credentials_words(const char *command, char **ret_text,
			   char *ret_words[HERD_WORDS_MAX + 1]);

/* ---- containers ---- */

/* Whether plain http may be used to ask this URL for credentials. */
bool herd_credentials_url_allowed(const char *url);

/* ---- credentials_parse.c: what all of them need ---- */

/* As AWS's clock has it. */
int64_t herd_credentials_now(const struct herd_aws_credentials *c);
/* "2026-01-31T12:00:00Z", with a fraction, an offset or "UTC" too. */
int herd_credentials_time(const char *text, int64_t *ret);
/* "Wed, 21 Oct 2026 07:28:00 GMT". */
int herd_credentials_http_date(const char *text, int64_t *ret);
/* Checks and copies; token and expires may be NULL or "". diag: names the one
   that is missing or wrong. */
int herd_credentials_set(const char *id, const char *secret, const char *token,
			 const char *expires, struct herd_aws_keys *ret,
			 struct herd_diag *diag);

/* Values of a JSON object's members, numbers as digits, NULL where there is
   none. object: of that member of the outermost object; NULL: of itself. */
#define HERD_FIELDS_MAX 7
struct herd_credentials_fields {
	const char *names[HERD_FIELDS_MAX];
	char *values[HERD_FIELDS_MAX];
};
int herd_credentials_json(const void *text, size_t len, const char *object,
			  struct herd_credentials_fields *f);
void herd_credentials_fields_deinit(struct herd_credentials_fields *f);

/* jansson's memory is wiped when freed, from here on. */
void herd_credentials_json_init(void);

void herd_credentials_wipe_text(char **text); /* and free */
void herd_credentials_wipe_buf(struct herd_buf *b);
void herd_credentials_wipe_answer(struct herd_http_answer *a);

/*
 * Asks up to `attempts` times, where again (may be NULL) or the status says
 * that it may help. local: past any proxy. who: for messages.
 */
struct herd_credentials_ask {
	const char *who;
	struct herd_http_request request;
	unsigned attempts;
	bool local;
	bool (*again)(const struct herd_http_answer *a);
};
int herd_credentials_ask(struct herd_aws_credentials *c,
			 const struct herd_credentials_ask *ask,
			 struct herd_http_answer *ret, struct herd_diag *diag);

#endif
