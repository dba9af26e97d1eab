/* SPDX-License-Identifier: Apache-2.0 */
/* Threads: as index/knowledge.h says. */
#include "index/knowledge.h"

#include "index/content.h"

#include "acquire/base/sha256.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- opening ---- */

/* Not much more than max bytes: the parsers refuse what is longer. */
static int read_file(const char *path, const char *what, size_t max,
		     struct herd_buf *out, struct herd_diag *diag)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	uint8_t block[16384];
	ssize_t n = -1;

	if (fd < 0)
		return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET,
				     "the %s: %s", what, strerror(errno));
	while ((n = read(fd, block, sizeof(block))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return herd_diag_set(diag, -errno, path, HERD_NO_OFFSET,
					     "the %s: %s", what,
					     strerror(errno));
		herd_buf_put(out, block, (size_t)n);
		if (out->len > max)
			break;
	}
	return herd_buf_error(out);
}

int herd_policy_read(const char *path, struct herd_policy *ret,
		     uint8_t digest[32], struct herd_diag *diag)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	int err = read_file(path, "policy", HERD_POLICY_BYTES_MAX, &text, diag);
	const char *bytes = text.len ? (const char *)text.data : "";

	if (!err && digest)
		herd_sha256(bytes, text.len, digest);
	return err ? err : herd_policy_parse(path, bytes, text.len, ret, diag);
}

static int open_policy(struct herd_knowledge *k, const char *store_dir,
		       const char *policy, struct herd_diag *diag)
{
	char place[PATH_MAX];
	int err;

	if (!policy) {
		int n = snprintf(place, sizeof(place), "%s/policy", store_dir);

		if (n < 0 || (size_t)n >= sizeof(place))
			return -ENAMETOOLONG;
		if (access(place, F_OK) && errno == ENOENT)
			return 0;
		policy = place;
	}
	err = herd_policy_read(policy, &k->policy, k->policy_digest, diag);
	if (err)
		return err;
	k->policy_source = strdup(policy);
	return k->policy_source ? 0 : -ENOMEM;
}

int herd_rules_default_file(char *buf, size_t size)
{
	const char *config = getenv("XDG_CONFIG_HOME");
	const char *home = getenv("HOME");
	int n;

	if (config && config[0] == '/')
		n = snprintf(buf, size, "%s/herdfs/rules.conf", config);
	else if (home && home[0] == '/')
		n = snprintf(buf, size, "%s/.config/herdfs/rules.conf", home);
	else
		return -ENOENT;
	return n < 0 || (size_t)n >= size ? -ENAMETOOLONG : 0;
}

static int open_rules(struct herd_knowledge *k, const char *rules,
		      struct herd_diag *diag)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	char place[PATH_MAX];
	int err;

	k->rules = herd_rules_create();
	if (!k->rules)
		return -ENOMEM;
	err = herd_rules_parse_builtin(k->rules, diag);
	if (err)
		return err;
	if (!rules) {
		err = herd_rules_default_file(place, sizeof(place));
		if (err || (access(place, F_OK) && errno == ENOENT))
			return err == -ENOENT ? 0 : err;
		rules = place;
	}
	err = read_file(rules, "rules", HERD_RULES_BYTES_MAX, &text, diag);
	const char *bytes = text.len ? (const char *)text.data : "";

	if (!err && text.len > HERD_RULES_BYTES_MAX)
		return herd_diag_set(diag, -EOVERFLOW, rules, HERD_NO_OFFSET,
				     "the rules: more than %u bytes",
				     HERD_RULES_BYTES_MAX);
	if (!err)
		err = herd_rules_parse(k->rules, rules, bytes, text.len, diag);
	if (err)
		return err;
	herd_sha256(bytes, text.len, k->rules_digest);
	k->rules_source = strdup(rules);
	return k->rules_source ? 0 : -ENOMEM;
}

int herd_knowledge_open(const struct herd_knowledge_files *files, int64_t now,
			struct herd_knowledge **ret, struct herd_diag *diag)
{
	struct herd_knowledge *k = calloc(1, sizeof(*k));
	int err;

	if (!k)
		return -ENOMEM;
	k->now = now;
	err = open_policy(k, files->store_dir, files->policy, diag);
	if (!err && files->store_dir)
		err = herd_known_open(files->store_dir, &k->known, diag);
	if (!err)
		err = open_rules(k, files->rules, diag);
	if (err) {
		herd_knowledge_close(k);
		return err;
	}
	*ret = k;
	return 0;
}

void herd_knowledge_close(struct herd_knowledge *k)
{
	if (!k)
		return;
	herd_policy_deinit(&k->policy);
	herd_known_close(&k->known);
	herd_rules_destroy(k->rules);
	free(k->policy_source);
	free(k->rules_source);
	free(k);
}

size_t herd_knowledge_expired(const struct herd_knowledge *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->policy.n; i++)
		n += herd_policy_expired(&k->policy.v[i], k->now);
	return n;
}

/* ---- known digests ---- */

static bool is_zero(const uint8_t digest[32])
{
	static const uint8_t zero[32];

	return memcmp(digest, zero, sizeof(zero)) == 0;
}

/* A good content excuses no set-id bit, owner or capability that came too. */
static bool only_content(const struct herd_variant *own, unsigned reasons)
{
	if (reasons == HERD_REASON_CONTENT)
		return true;
	return reasons == HERD_REASON_ADDED && is_zero(own->xattrs) &&
	       !(own->mode & (S_ISUID | S_ISGID));
}

static void apply_known(const struct herd_knowledge *k,
			const struct herd_variant *own, struct herd_finding *f)
{
	struct herd_verdict *v = &f->verdict;

	if (own->absent || !S_ISREG(own->mode) ||
	    own->digest_kind != HERD_DIGEST_SHA256)
		return;
	f->known = herd_known_find(&k->known, own->digest);
	if (!f->known || v->class == HERD_CLASS_SAME)
		return;
	if (f->known->bad) {
		v->rank = 100;
		if (v->class == HERD_CLASS_VOLATILE)
			v->class = HERD_CLASS_DEVIANT;
	} else if (only_content(own, v->reasons)) {
		v->rank = (uint8_t)((v->rank + 1) / 2);
	}
}

/* ---- the policy ---- */

static int apply_policy(const struct herd_knowledge *k,
			const struct herd_matter *m, struct herd_finding *f)
{
	CLEANUP(herd_instance_deinit) struct herd_instance instance = { 0 };
	CLEANUP_BUF struct herd_buf path = HERD_BUF_INIT;
	struct herd_policy_question q = {
		.group = m->group->name,
		.mode = m->own->absent ? 0 : m->own->mode,
		.herd_mode = !m->herd || m->herd->absent ? 0 : m->herd->mode,
		.reasons = f->verdict.reasons,
		.executable_content = m->own->sort &&
			herd_sort_is_code((enum herd_sort)(m->own->sort - 1)),
		.now = k->now,
	};
	int err = herd_path_full(m->txn, f->path, &path);

	if (!err && k->policy.by_instance)
		err = herd_instance_get(m->txn, m->instance, &instance);
	if (!err)
		err = herd_buf_error(&path);
	if (err)
		return err == -ENOENT ? -EBADMSG : err;
	q.path = path.len ? (const char *)path.data : "";
	q.path_len = path.len;
	q.instance = instance.name;
	f->suppressed_by = herd_policy_match(&k->policy, &q);
	if (f->suppressed_by)
		f->verdict.class = HERD_CLASS_SUPPRESSED;
	return 0;
}

int herd_knowledge_apply(const struct herd_knowledge *k,
			 const struct herd_matter *m, struct herd_finding *f)
{
	if (k->known.n)
		apply_known(k, m->own, f);
	if (!k->policy.n || f->verdict.class != HERD_CLASS_DEVIANT ||
	    (f->known && f->known->bad))
		return 0;
	return apply_policy(k, m, f);
}
