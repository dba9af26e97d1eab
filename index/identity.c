/* SPDX-License-Identifier: Apache-2.0 */
/* An identity's life: filled, settled, put into the store and taken out. */
#include "index/identity.h"
#include "index/identity_internal.h"

#include "acquire/base/cursor.h"

#define FORMS_MAX (HERD_IDENTITY_TOKENS_MAX * 16)
_Static_assert(FORMS_MAX < UINT16_MAX, "an index of a form has 16 bits");

const char *herd_token_name(enum herd_token_kind kind)
{
	static const char *const names[HERD_TOKEN_MAX] = {
		[HERD_TOKEN_INSTANCE] = "instance-id",
		[HERD_TOKEN_HOSTNAME] = "hostname",
		[HERD_TOKEN_DNS] = "dns-name",
		[HERD_TOKEN_ADDRESS] = "address",
		[HERD_TOKEN_MAC] = "mac",
		[HERD_TOKEN_VOLUME] = "volume-id",
		[HERD_TOKEN_INTERFACE] = "interface-id",
		[HERD_TOKEN_MACHINE_ID] = "machine-id",
		[HERD_TOKEN_BOOT_ID] = "boot-id",
		[HERD_TOKEN_HOST_KEY] = "host-key",
		[HERD_TOKEN_FS_UUID] = "fs-uuid",
		[HERD_TOKEN_SYSTEM_UUID] = "system-uuid",
		[HERD_TOKEN_RESERVATION] = "reservation-id",
		[HERD_TOKEN_INITIATOR] = "initiator-name",
		[HERD_TOKEN_NVME_HOST] = "nvme-host-id",
	};

	return (unsigned)kind < HERD_TOKEN_MAX ? names[kind] : NULL;
}

int herd_identity_create(struct herd_identity **ret)
{
	struct herd_identity *id = calloc(1, sizeof(*id));

	if (!id)
		return -ENOMEM;
	*ret = id;
	return 0;
}

void herd_identity_destroy(struct herd_identity *id)
{
	if (!id)
		return;
	herd_buf_deinit(&id->bytes);
	free(id->forms);
	free(id);
}

static bool has_token(const struct herd_identity *id, unsigned kind,
		      const void *p, size_t len)
{
	for (size_t i = 0; i < id->n_given; i++) {
		const struct herd_identity_token *t = &id->given[i];

		if (t->kind == kind && t->len == len &&
		    !memcmp(id->bytes.data + t->at, p, len))
			return true;
	}
	return false;
}

int herd_identity_take(struct herd_identity *id, enum herd_token_kind kind,
		       const void *bytes, size_t len)
{
	char buf[HERD_SPELLING_MAX];
	const char *text;

	if (id->settled || (unsigned)kind >= HERD_TOKEN_MAX)
		return -EINVAL;
	len = herd_token_canonical(kind, bytes, len, buf, &text);
	if (!len || has_token(id, kind, text, len))
		return 0;
	if (id->n_given == HERD_IDENTITY_TOKENS_MAX ||
	    len > HERD_IDENTITY_BYTES_MAX - id->bytes.len)
		return -EOVERFLOW;
	size_t at = id->bytes.len;

	herd_buf_put(&id->bytes, text, len);
	if (id->bytes.failed)
		return -ENOMEM;
	id->given[id->n_given++] = (struct herd_identity_token){
		.at = (uint32_t)at, .len = (uint32_t)len, .kind = kind
	};
	return 1;
}

int herd_identity_add(struct herd_identity *id, enum herd_token_kind kind,
		      const void *bytes, size_t len)
{
	int r = herd_identity_take(id, kind, bytes, len);

	return r < 0 ? r : 0;
}

int herd_identity_take_private(struct herd_identity *id, const char *text,
			       size_t len)
{
	if (!herd_address_private(text, len))
		return 0;
	return herd_identity_take(id, HERD_TOKEN_ADDRESS, text, len);
}

static int by_kind(const void *pa, const void *pb, void *arg)
{
	const struct herd_identity_token *a = pa, *b = pb;
	const uint8_t *bytes = arg;
	size_t n = a->len < b->len ? a->len : b->len;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	int r = memcmp(bytes + a->at, bytes + b->at, n);

	return r ? r : (a->len > b->len) - (a->len < b->len);
}

/* The longest first; of equal ones the one that counts. */
static int by_length(const void *pa, const void *pb, void *arg)
{
	const struct herd_identity_form *a = pa, *b = pb;
	const uint8_t *bytes = arg;

	if (a->len != b->len)
		return a->len > b->len ? -1 : 1;
	int r = memcmp(bytes + a->at, bytes + b->at, a->len);

	if (r)
		return r;
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return (a->spelling > b->spelling) - (a->spelling < b->spelling);
}

static int add_form(void *arg, enum herd_token_kind kind, unsigned spelling,
		    char joint, const char *p, size_t len)
{
	struct herd_identity *id = arg;
	size_t at = id->bytes.len;

	if (len < HERD_IDENTITY_WINDOW_MIN)
		return 0;
	if (id->n_forms == FORMS_MAX)
		return -EOVERFLOW;
	if (id->n_forms == id->cap_forms) {
		size_t cap = id->cap_forms ? 2 * id->cap_forms : 64;
		struct herd_identity_form *forms =
			reallocarray(id->forms, cap, sizeof(*forms));

		if (!forms)
			return -ENOMEM;
		id->forms = forms;
		id->cap_forms = cap;
	}
	herd_buf_put(&id->bytes, p, len);
	id->forms[id->n_forms++] =
		(struct herd_identity_form){ .at = (uint32_t)at,
					     .len = (uint32_t)len,
					     .kind = kind,
					     .spelling = (uint8_t)spelling,
					     .joint = (uint8_t)joint };
	return herd_buf_error(&id->bytes);
}

static void drop_equal_forms(struct herd_identity *id)
{
	const uint8_t *bytes = id->bytes.data;
	size_t n = 0;

	for (size_t i = 0; i < id->n_forms; i++) {
		const struct herd_identity_form *f = &id->forms[i];
		const struct herd_identity_form *last =
			&id->forms[n ? n - 1 : 0];

		if (n && last->len == f->len &&
		    !memcmp(bytes + last->at, bytes + f->at, f->len))
			continue;
		id->forms[n++] = *f;
	}
	id->n_forms = n;
}

int herd_identity_settle(struct herd_identity *id)
{
	if (id->settled)
		return 0;
	id->n_forms = 0;
	for (size_t i = 0; i < id->n_given; i++) {
		const struct herd_identity_token *t = &id->given[i];
		CLEANUP_FREE char *text = malloc(t->len);

		if (!text)
			return -ENOMEM;
		/* a copy: the bytes move when forms are added to them */
		memcpy(text, id->bytes.data + t->at, t->len);
		int r = herd_token_spell(t->kind, text, t->len, add_form, id);

		if (r)
			return r;
	}
	if (id->n_given)
		qsort_r(id->given, id->n_given, sizeof(*id->given), by_kind,
			id->bytes.data);
	if (id->n_forms)
		qsort_r(id->forms, id->n_forms, sizeof(*id->forms), by_length,
			id->bytes.data);
	drop_equal_forms(id);
	herd_identity_index(id);
	id->settled = true;
	return 0;
}

size_t herd_identity_count(const struct herd_identity *id)
{
	return id->n_given;
}

bool herd_identity_token(const struct herd_identity *id, size_t i,
			 enum herd_token_kind *ret_kind, const void **ret_bytes,
			 size_t *ret_len)
{
	if (i >= id->n_given)
		return false;
	*ret_kind = id->given[i].kind;
	*ret_bytes = id->bytes.data + id->given[i].at;
	*ret_len = id->given[i].len;
	return true;
}

static bool is_private_key(const struct herd_identity *id,
			   const struct herd_identity_token *t)
{
	return t->kind == HERD_TOKEN_HOST_KEY &&
	       memchr(id->bytes.data + t->at, '\n', t->len);
}

int herd_identity_encode(const struct herd_identity *id, struct herd_buf *out)
{
	size_t n = 0;

	if (!id->settled)
		return -EINVAL;
	for (size_t i = 0; i < id->n_given; i++)
		n += !is_private_key(id, &id->given[i]);
	herd_buf_varint(out, n);
	for (size_t i = 0; i < id->n_given; i++) {
		const struct herd_identity_token *t = &id->given[i];

		if (is_private_key(id, t))
			continue;
		herd_buf_u8(out, t->kind);
		herd_buf_varint(out, t->len);
		herd_buf_put(out, id->bytes.data + t->at, t->len);
	}
	return herd_buf_error(out);
}

/* One token as it was written: of its kind, in the usual spelling, and in
   order, for settling must leave it where it is. */
static int decode_token(struct herd_identity *id, struct herd_cursor *c)
{
	unsigned kind = herd_cur_u8(c);
	uint64_t len = herd_cur_varint(c);
	const uint8_t *p = herd_cur_bytes(c, len);

	if (c->bad || kind >= HERD_TOKEN_MAX || len > HERD_IDENTITY_TOKEN_MAX)
		return -EBADMSG;
	int r = herd_identity_take(id, kind, p, len);

	if (r < 0)
		return r == -EOVERFLOW ? -EBADMSG : r;
	if (!r)
		return -EBADMSG;
	const struct herd_identity_token *t = &id->given[id->n_given - 1];

	if (t->len != len || memcmp(id->bytes.data + t->at, p, len))
		return -EBADMSG;
	return id->n_given > 1 && by_kind(t - 1, t, id->bytes.data) >= 0 ?
		       -EBADMSG :
		       0;
}

static void cleanup_identity(struct herd_identity **id)
{
	herd_identity_destroy(*id);
}

int herd_identity_decode(const void *bytes, size_t len,
			 struct herd_identity **ret)
{
	struct herd_identity *id CLEANUP(cleanup_identity) = NULL;
	struct herd_cursor c = herd_cursor(bytes, len);
	uint64_t n = herd_cur_varint(&c);
	int r = herd_identity_create(&id);

	if (r)
		return r;
	if (c.bad || n > HERD_IDENTITY_TOKENS_MAX)
		return -EBADMSG;
	for (uint64_t i = 0; i < n; i++) {
		r = decode_token(id, &c);
		if (r)
			return r;
	}
	if (herd_cur_left(&c))
		return -EBADMSG;
	r = herd_identity_settle(id);
	if (r)
		return r == -EOVERFLOW ? -EBADMSG : r;
	*ret = TAKE_PTR(id);
	return 0;
}
