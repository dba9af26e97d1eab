/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What can be said of any finding: what came, went or changed beside content,
 * and of content its size and kind. And which differs there are.
 */
#include "index/meaning_internal.h"
#include "index/verdict.h"

#include "acquire/base/cleanup.h"

#include <string.h>
#include <sys/stat.h>

#define TARGET_MAX 90

/* ---- differs ---- */

/* By name. "auto" tells of a text where it is at hand and asks for none. */
static const struct herd_differ differs[] = {
	{ "apt", true, &herd_style_apt },
	{ "auto", false, &herd_style_lines },
	{ "config", true, &herd_style_config },
	{ "cron", true, &herd_style_cron },
	{ "env", true, &herd_style_env },
	{ "group", true, &herd_style_group },
	{ "hosts", true, &herd_style_hosts },
	{ "keys", true, &herd_style_keys },
	{ "lines", true, &herd_style_lines },
	{ "logrotate", true, &herd_style_logrotate },
	{ "modprobe", true, &herd_style_modprobe },
	{ "modules", true, &herd_style_modules },
	{ "none", false, NULL },
	{ "nsswitch", true, &herd_style_nsswitch },
	{ "pam", true, &herd_style_pam },
	{ "passwd", true, &herd_style_passwd },
	{ "php", true, &herd_style_php },
	{ "preload", true, &herd_style_preload },
	{ "pth", true, &herd_style_pth },
	{ "resolv", true, &herd_style_resolv },
	{ "script", true, &herd_style_script },
	{ "secret", false, NULL }, /* shows nothing of the text */
	{ "shadow", true, &herd_style_shadow },
	{ "shell", true, &herd_style_shell },
	{ "sources", true, &herd_style_sources },
	{ "sshd", true, &herd_style_sshd },
	{ "sudoers", true, &herd_style_sudoers },
	{ "sysctl", true, &herd_style_sysctl },
	{ "udev", true, &herd_style_udev },
	{ "unit", true, &herd_style_unit },
	{ "web", true, &herd_style_web },
};

const struct herd_differ *herd_differ_find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(differs); i++)
		if (strlen(differs[i].name) == len &&
		    memcmp(differs[i].name, name, len) == 0)
			return &differs[i];
	return NULL;
}

bool herd_differ_is_secret(const struct herd_differ *differ)
{
	return differ->style == &herd_style_shadow ||
	       strcmp(differ->name, "secret") == 0;
}

/* ---- pieces ---- */

/* Parts of a sentence that stand for themselves. */
static void part(struct herd_telling *t)
{
	if (t->w.len)
		herd_words_put(&t->w, "; ");
}

static const char *type_name(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
		return "file";
	case S_IFDIR:
		return "directory";
	case S_IFLNK:
		return "link";
	case S_IFBLK:
		return "block device";
	case S_IFCHR:
		return "character device";
	case S_IFIFO:
		return "FIFO";
	case S_IFSOCK:
		return "socket";
	}
	return "thing of no known type";
}

/* A regular file in a word or two. */
static const char *sort_noun(const struct herd_meaning_side *side)
{
	static const char *const nouns[HERD_SORT_MAX] = {
		[HERD_SORT_EMPTY] = "empty file",
		[HERD_SORT_TEXT] = "text file",
		[HERD_SORT_DATA] = "data file",
		[HERD_SORT_SCRIPT] = "script",
		[HERD_SORT_PROGRAM] = "ELF program",
		[HERD_SORT_LIBRARY] = "ELF library",
		[HERD_SORT_MODULE] = "ELF object",
		[HERD_SORT_FOREIGN] = "foreign program",
		[HERD_SORT_KEY] = "private key",
		[HERD_SORT_ARCHIVE] = "archive",
		[HERD_SORT_COMPRESSED] = "compressed file",
		[HERD_SORT_DATABASE] = "database",
		[HERD_SORT_JOURNAL] = "journal",
		[HERD_SORT_LOGIN] = "file of login records",
		[HERD_SORT_MEDIA] = "media file",
		[HERD_SORT_CORE] = "core dump",
	};
	enum herd_sort sort;

	return herd_side_sort(side, &sort) && sort < HERD_SORT_MAX ?
		       nouns[sort] : "file";
}

/* Nobody knows of it that it is no text. */
static bool may_be_text(const struct herd_meaning_side *side)
{
	enum herd_sort sort;

	return !herd_side_sort(side, &sort) || sort == HERD_SORT_EMPTY ||
	       sort == HERD_SORT_TEXT || sort == HERD_SORT_SCRIPT;
}

static void target(struct herd_telling *t, const struct herd_meaning_side *side)
{
	if (side->text)
		herd_words_bytes(&t->w, side->text, side->len, TARGET_MAX);
	else
		herd_words_put(&t->w, "?");
}

static void size_of(struct herd_telling *t, uint64_t size)
{
	herd_words_number(&t->w, size);
	herd_words_put(&t->w, size == 1 ? " byte" : " bytes");
}

/* "a file of 12 bytes", "a link to x", "a directory". */
static void thing(struct herd_telling *t, const struct herd_meaning_side *side)
{
	const char *name = S_ISREG(side->mode) ? sort_noun(side) :
						 type_name(side->mode);

	herd_words_put(&t->w, strchr("aeiouE", *name) ? "an " : "a ");
	herd_words_put(&t->w, name);
	if (S_ISLNK(side->mode)) {
		herd_words_put(&t->w, " to ");
		target(t, side);
	} else if (S_ISREG(side->mode) && side->size) {
		herd_words_put(&t->w, " of ");
		size_of(t, side->size);
	}
}

/* "root", else the number. */
static void user(struct herd_telling *t, uint32_t id)
{
	if (id)
		herd_words_printf(&t->w, "uid %u", id);
	else
		herd_words_put(&t->w, "root");
}

static void group(struct herd_telling *t, uint32_t id)
{
	if (id)
		herd_words_printf(&t->w, "gid %u", id);
	else
		herd_words_put(&t->w, "group root");
}

/* ---- powers ---- */

/* Set-id bits that this has and that one has not. */
static void tell_setid(struct herd_telling *t)
{
	uint32_t own = t->own->mode, herd = t->herd->absent ? 0 : t->herd->mode;
	uint32_t gained = own & ~herd & (S_ISUID | S_ISGID);
	uint32_t lost = herd & ~own & (S_ISUID | S_ISGID);
	const char *word = t->herd->absent ? "" : " gained";

	if (gained & S_ISUID) {
		part(t);
		herd_words_put(&t->w, "set-uid ");
		user(t, t->own->uid);
		herd_words_put(&t->w, word);
	}
	if (gained & S_ISGID) {
		part(t);
		herd_words_put(&t->w, "set-gid ");
		group(t, t->own->gid);
		herd_words_put(&t->w, word);
	}
	if (lost) {
		part(t);
		herd_words_put(&t->w, lost & S_ISUID ? "set-uid lost" :
						       "set-gid lost");
	}
}

static void tell_xattr(struct herd_telling *t)
{
	const struct herd_meaning_side *own = t->own, *herd = t->herd;
	char now[HERD_CAPABILITY_TEXT_MAX], before[HERD_CAPABILITY_TEXT_MAX];

	part(t);
	if (own->capability)
		herd_capability_text(own->capability, own->capability_len, now,
				     sizeof(now));
	if (herd->capability)
		herd_capability_text(herd->capability, herd->capability_len,
				     before, sizeof(before));
	if (own->capability && herd->absent)
		herd_words_put(&t->w, now);
	else if (own->capability && !herd->capability)
		herd_words_printf(&t->w, "%s gained", now);
	else if (!own->capability && herd->capability)
		herd_words_printf(&t->w, "%s lost", before);
	else if (own->capability && strcmp(now, before) != 0)
		herd_words_printf(&t->w, "%s, the herd's %s", now, before);
	else
		herd_words_put(&t->w, "extended attributes differ");
}

/* ---- content ---- */

void herd_tell_sizes(struct herd_telling *t)
{
	const struct herd_meaning_side *own = t->own, *herd = t->herd;
	uint64_t a = own->size, b = herd->size;
	enum herd_sort now, before;

	if (herd->absent) {
		herd_words_put(&t->w, "new ");
		herd_words_put(&t->w, sort_noun(own));
		if (!a)
			return;
		herd_words_put(&t->w, ", ");
		size_of(t, a);
		return;
	}
	if (herd_side_sort(own, &now) && herd_side_sort(herd, &before) &&
	    now != before) {
		thing(t, own);
		herd_words_put(&t->w, " now, the herd's is ");
		thing(t, herd);
		return;
	}
	herd_words_put(&t->w, "content differs, ");
	if (a == b) {
		herd_words_put(&t->w, "same size: ");
	} else {
		size_of(t, a > b ? a - b : b - a);
		herd_words_put(&t->w, a > b ? " more: " : " less: ");
	}
	size_of(t, a);
}

/* Also where a key stands behind something else. */
static bool holds_key(const struct herd_meaning_side *side, bool *ret_says_so)
{
	struct herd_slice text = { side->text, side->text ? side->len : 0 };
	enum herd_sort sort;

	*ret_says_so = herd_side_sort(side, &sort) && herd_sort_is_secret(sort);
	return *ret_says_so || herd_slice_has(text, "PRIVATE KEY-----");
}

static int tell_content(struct herd_telling *t,
			const struct herd_differ *differ)
{
	enum herd_sort sort;
	bool said, text = herd_side_sort(t->own, &sort) && may_be_text(t->own) &&
		    (t->herd->absent || may_be_text(t->herd));

	/* nobody's report should quote a key */
	if (differ->style && !differ->wants && holds_key(t->own, &said)) {
		herd_tell_sizes(t);
		if (!said)
			herd_words_put(&t->w, "; holds a private key");
		t->loud = true;
		return 0;
	}
	/* a file whose style is known may hold anything; others are guessed */
	if (differ->style && S_ISREG(t->own->mode) && (differ->wants || text))
		return herd_tell_lines(t, differ->style);
	herd_tell_sizes(t);
	return 0;
}

/* ---- the finding ---- */

static int tell_new(struct herd_telling *t, const struct herd_differ *differ)
{
	const struct herd_meaning_side *own = t->own;
	enum herd_sort sort;
	int err = 0;

	if (S_ISREG(own->mode)) {
		err = tell_content(t, differ);
		if (own->mode & 0111 && !(herd_side_sort(own, &sort) &&
					  herd_sort_is_code(sort)))
			herd_words_put(&t->w, ", executable");
		tell_setid(t);
		if (own->capability)
			tell_xattr(t);
	} else {
		herd_words_put(&t->w, "new ");
		herd_words_put(&t->w, type_name(own->mode));
	}
	if (S_ISLNK(own->mode)) {
		herd_words_put(&t->w, " to ");
		target(t, own);
	} else if (own->mode & 0002 && !(own->mode & S_ISVTX)) {
		herd_words_put(&t->w, "; anybody may write");
	}
	return err;
}

static void tell_target(struct herd_telling *t)
{
	part(t);
	herd_words_put(&t->w, "leads to ");
	target(t, t->own);
	herd_words_put(&t->w, ", the herd's to ");
	target(t, t->herd);
}

static void tell_mode(struct herd_telling *t)
{
	part(t);
	herd_words_printf(&t->w, "mode %04o, the herd's %04o",
			  t->own->mode & 07777, t->herd->mode & 07777);
	if (t->own->mode & ~t->herd->mode & 0002)
		herd_words_put(&t->w, ", anybody may write");
}

static int tell_changed(struct herd_telling *t,
			const struct herd_differ *differ)
{
	unsigned reasons = t->reasons;
	const unsigned power = HERD_REASON_SETID | HERD_REASON_XATTR;
	const unsigned content = HERD_REASON_CONTENT | HERD_REASON_UNREADABLE;
	int err = 0;

	if (reasons & HERD_REASON_SETID)
		tell_setid(t);
	if (reasons & HERD_REASON_XATTR)
		tell_xattr(t);
	if ((reasons & power) && !(reasons & content) && S_ISREG(t->own->mode))
		herd_words_put(&t->w, ", content unchanged");
	if (reasons & HERD_REASON_CONTENT) {
		part(t);
		err = tell_content(t, differ);
	}
	if (reasons & HERD_REASON_TARGET)
		tell_target(t);
	if (reasons & HERD_REASON_MODE)
		tell_mode(t);
	if (reasons & HERD_REASON_OWNER) {
		part(t);
		herd_words_printf(&t->w, "owner %u:%u, the herd's %u:%u",
				  t->own->uid, t->own->gid, t->herd->uid,
				  t->herd->gid);
	}
	if (reasons & HERD_REASON_DEVICE) {
		part(t);
		herd_words_put(&t->w, "another device number");
	}
	if (reasons & HERD_REASON_UNREADABLE) {
		part(t);
		herd_words_put(&t->w, "content could not be read and compared");
	}
	if (!t->w.len)
		herd_words_put(&t->w, "differs");
	return err;
}

int herd_tell(struct herd_telling *t, const struct herd_differ *differ)
{
	if (t->own->absent && t->herd->absent) {
		herd_words_put(&t->w, "there is none");
		return 0;
	}
	if (t->own->absent) {
		herd_words_put(&t->w, "gone; the herd has ");
		thing(t, t->herd);
		return 0;
	}
	if (t->herd->absent)
		return tell_new(t, differ);
	if ((t->own->mode ^ t->herd->mode) & S_IFMT) {
		thing(t, t->own);
		herd_words_put(&t->w, " now, the herd's is ");
		thing(t, t->herd);
		if (S_ISREG(t->own->mode))
			tell_setid(t);
		return 0;
	}
	return tell_changed(t, differ);
}
