/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where each volume of an instance belongs in its own tree: which one is the
 * root, and what the root's fstab says of the others. Everything in fstab is
 * hostile text: a mount point is taken apart and put together again.
 * Threads: as the volumes, one at a time.
 */
#include "index/volume.h"

#include "acquire/base/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef int (*read_file_fn)(struct herd_volume *v, const char *path, char **ret,
			    size_t *ret_len);

/* One line of fstab, decoded in place. */
struct line {
	char *spec, *dir, *type;
};

struct layout {
	struct herd_volume_place *p;
	size_t n;
	bool *placed;
};

/* ---- what a volume holds ---- */

struct want {
	const char *name;
	size_t len;
	bool fold, found;
	uint64_t ino;
};

static int match_name(void *arg, const char *name, size_t len, uint64_t ino,
		      unsigned char type)
{
	struct want *w = arg;

	(void)type;
	if (len != w->len || (w->fold ? strncasecmp(name, w->name, len) :
					memcmp(name, w->name, len)))
		return 0;
	w->found = true;
	w->ino = ino;
	return 1;
}

/* Whether path is there, found by names alone. fold: ASCII case is one. */
static bool exists(struct herd_volume *v, const char *path, bool fold)
{
	uint64_t ino = v->root_ino;

	while (*path) {
		struct want w = { .name = path,
				  .len = strcspn(path, "/"),
				  .fold = fold };

		v->ops->readdir(v, ino, match_name, &w, NULL);
		if (!w.found)
			return false;
		ino = w.ino;
		path += w.len;
		path += strspn(path, "/");
	}
	return true;
}

static bool has_init(struct herd_volume *v)
{
	static const char *const inits[] = {
		"sbin/init",
		"usr/sbin/init",
		"usr/lib/systemd/systemd",
		"lib/systemd/systemd",
		"usr/bin/init",
		"bin/init",
		"etc/inittab",
	};

	for (size_t i = 0; i < ARRAY_SIZE(inits); i++)
		if (exists(v, inits[i], false))
			return true;
	return exists(v, "Windows/System32", true);
}

static bool is_efi(const struct herd_volume_place *p)
{
	return p->part && !strcmp(p->part->type, "EFI System");
}

/* ---- fstab ---- */

static bool is_octal(const char *s)
{
	return s[0] >= '0' && s[0] <= '3' && s[1] >= '0' && s[1] <= '7' &&
	       s[2] >= '0' && s[2] <= '7';
}

/* \ooo as fstab has it. NUL cannot be meant. */
static void decode_octal(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && is_octal(s + 1) &&
		    strncmp(s + 1, "000", 3)) {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 |
					(s[3] - '0'));
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* \xhh as udev writes names in /dev/disk/by-*. */
static void decode_hex(char *s)
{
	char *out = s;

	while (*s) {
		if (s[0] == '\\' && s[1] == 'x' &&
		    isxdigit((unsigned char)s[2]) &&
		    isxdigit((unsigned char)s[3]) && strncmp(s + 2, "00", 2)) {
			char hex[3] = { s[2], s[3], '\0' };

			*out++ = (char)strtoul(hex, NULL, 16);
			s += 4;
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

/* The next field; white space inside quotes belongs to it (LABEL="a b"). */
static char *field(char **at)
{
	char *s = *at + strspn(*at, " \t"), *end = s;
	bool quoted = false;

	if (!*s || *s == '\n')
		return NULL;
	while (*end && *end != '\n' &&
	       (quoted || (*end != ' ' && *end != '\t'))) {
		if (*end == '"')
			quoted = !quoted;
		end++;
	}
	*at = *end ? end + 1 : end;
	*end = '\0';
	return s;
}

/* One line into its fields. False: nothing to mount. */
static bool parse_line(char *text, struct line *ret)
{
	char *at = text + strspn(text, " \t");

	if (*at == '#')
		return false;
	ret->spec = field(&at);
	ret->dir = ret->spec ? field(&at) : NULL;
	ret->type = ret->dir ? field(&at) : NULL;
	if (!ret->dir)
		return false;
	decode_octal(ret->spec);
	decode_octal(ret->dir);
	return *ret->dir == '/' && !(ret->type && !strcmp(ret->type, "swap"));
}

/*
 * A mount point without its leading '/', empty parts and ".". False when it
 * climbs ("..") or is too long: such a one is not used.
 */
static bool normalise(const char *dir, char *out, size_t size)
{
	size_t n = 0;

	while (*dir) {
		size_t len = strcspn(dir, "/");

		if (len == 2 && !strncmp(dir, "..", 2))
			return false;
		if (len && !(len == 1 && *dir == '.')) {
			if (len > 255 || n + len + 2 > size)
				return false;
			if (n)
				out[n++] = '/';
			memcpy(out + n, dir, len);
			n += len;
		}
		dir += len;
		dir += strspn(dir, "/");
	}
	out[n] = '\0';
	/* the tree's own name for what has no place */
	return strcmp(out, ".volumes") && strncmp(out, ".volumes/", 9);
}

/* ---- devices ---- */

static void unquote(char *s)
{
	size_t n = strlen(s);

	if (n >= 2 && s[0] == '"' && s[n - 1] == '"') {
		memmove(s, s + 1, n - 2);
		s[n - 2] = '\0';
	}
}

/* TAG=value or /dev/disk/by-tag/value: the tag's name, and the value. */
static const char *tag_of(const char *spec, char *value, size_t size)
{
	static const struct {
		const char *prefix, *tag;
		bool udev;
	} known[] = {
		{ "UUID=", "UUID", false },
		{ "LABEL=", "LABEL", false },
		{ "PARTUUID=", "PARTUUID", false },
		{ "PARTLABEL=", "PARTLABEL", false },
		{ "/dev/disk/by-uuid/", "UUID", true },
		{ "/dev/disk/by-label/", "LABEL", true },
		{ "/dev/disk/by-partuuid/", "PARTUUID", true },
		{ "/dev/disk/by-partlabel/", "PARTLABEL", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		size_t n = strlen(known[i].prefix);

		if (strncmp(spec, known[i].prefix, n) ||
		    strlen(spec + n) >= size)
			continue;
		memcpy(value, spec + n, strlen(spec + n) + 1);
		if (known[i].udev)
			decode_hex(value);
		else
			unquote(value);
		return known[i].tag;
	}
	return NULL;
}

/* Decimal, at most four digits; moves *s. False when there is none. */
static bool number(const char **s, unsigned *ret)
{
	unsigned v = 0, n = 0;

	for (; n < 4 && isdigit((unsigned char)**s); n++)
		v = 10 * v + (unsigned)(*(*s)++ - '0');
	*ret = v;
	return n && !isdigit((unsigned char)**s);
}

/* /dev/sda1, xvdb, vda2, hda1, nvme0n1p1, mmcblk0p1: disk and partition. */
static bool device(const char *spec, unsigned *disk, unsigned *partition)
{
	static const char *const lettered[] = { "sd", "xvd", "vd", "hd" };
	unsigned space;

	*partition = 0;
	if (strncmp(spec, "/dev/", 5))
		return false;
	spec += 5;
	if (!strncmp(spec, "nvme", 4) || !strncmp(spec, "mmcblk", 6)) {
		bool nvme = *spec == 'n';

		spec += nvme ? 4 : 6;
		if (!number(&spec, disk) ||
		    (nvme && (*spec++ != 'n' || !number(&spec, &space))))
			return false;
		return !*spec ||
		       (*spec++ == 'p' && number(&spec, partition) && !*spec);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lettered); i++) {
		const char *s = spec + strlen(lettered[i]);
		unsigned v = 0, n = 0;

		if (strncmp(spec, lettered[i], strlen(lettered[i])))
			continue;
		/* a … z, then aa … zz */
		for (; n < 3 && *s >= 'a' && *s <= 'z'; n++)
			v = 26 * v + (unsigned)(*s++ - 'a') + 1;
		if (!n || (*s && (!number(&s, partition) || *s)))
			return false;
		*disk = v - 1;
		return true;
	}
	return false;
}

/* Whether spec of an fstab names the volume at p. */
static bool names(const char *spec, const struct herd_volume_place *p)
{
	char value[512];
	const char *tag = tag_of(spec, value, sizeof(value));
	unsigned disk, partition;

	if (!tag)
		return device(spec, &disk, &partition) && disk == p->disk &&
		       partition == p->partition;
	if (!*value)
		return false;
	if (!strcmp(tag, "UUID"))
		return !strcasecmp(value, p->volume->uuid);
	if (!strcmp(tag, "LABEL"))
		return !strcmp(value, p->volume->label);
	if (!p->part)
		return false;
	return !strcmp(tag, "PARTUUID") ? !strcasecmp(value, p->part->uuid) :
					  !strcmp(value, p->part->label);
}

/* ---- putting it together ---- */

typedef bool (*line_fn)(void *arg, const struct line *l);

/* fn for each line that mounts something; its true ends it. */
static void each_line(char *text, line_fn fn, void *arg)
{
	char *save = NULL;

	for (char *s = strtok_r(text, "\n", &save); s;
	     s = strtok_r(NULL, "\n", &save)) {
		struct line l;

		s[strcspn(s, "\r")] = '\0';
		if (parse_line(s, &l) && fn(arg, &l))
			return;
	}
}

struct self {
	const struct herd_volume_place *p;
	bool root;
};

static bool is_own_root(void *arg, const struct line *l)
{
	struct self *s = arg;
	char mount[sizeof(s->p->mount)];

	s->root = normalise(l->dir, mount, sizeof(mount)) && !*mount &&
		  names(l->spec, s->p);
	return s->root;
}

/* The text of a volume's fstab, terminated and without NULs. */
static int read_fstab(struct herd_volume *v, read_file_fn read_file, char **ret)
{
	CLEANUP_FREE char *text = NULL;
	size_t len = 0;
	int err = read_file(v, "etc/fstab", &text, &len);
	char *s;

	if (err) {
		text = NULL; /* untouched, or not ours */
		return err;
	}
	s = realloc(text, len + 1);
	if (!s)
		return -ENOMEM;
	text = NULL;
	s[len] = '\0';
	for (size_t i = 0; i < len; i++)
		if (!s[i])
			s[i] = '\n';
	*ret = s;
	return 0;
}

/* 3: its fstab names itself as "/"; 2: it has one; 1: it has an init or is
   Windows; 0: it is no root. */
static int rank(struct herd_volume_place *p, read_file_fn read_file,
		struct herd_diag *diag)
{
	struct self s = { .p = p };
	char *text = NULL;
	int err;

	if (is_efi(p))
		return 0;
	err = read_fstab(p->volume, read_file, &text);
	if (err && err != -ENOENT && err != -ENOTDIR)
		herd_diag_set(diag, 0,
			      p->volume->source ? p->volume->source->name : "",
			      HERD_NO_OFFSET, "its /etc/fstab cannot be read");
	if (text) {
		each_line(text, is_own_root, &s);
		free(text);
		return s.root ? 3 : 2;
	}
	return has_init(p->volume) ? 1 : 0;
}

/* The root's index, or n. */
static size_t find_root(struct herd_volume_place *p, size_t n,
			read_file_fn read_file, struct herd_diag *diag)
{
	size_t root = n;
	int best = 0;

	for (size_t i = 0; i < n; i++) {
		int r = rank(&p[i], read_file, diag);

		if (r > best) {
			best = r;
			root = i;
		}
	}
	/* a data volume by itself is all there is */
	if (root == n && n == 1 && !is_efi(&p[0]))
		root = 0;
	return root;
}

static bool taken(const struct layout *l, const char *mount)
{
	for (size_t i = 0; i < l->n; i++)
		if (l->placed[i] && !strcmp(l->p[i].mount, mount))
			return true;
	return false;
}

static bool place_line(void *arg, const struct line *line)
{
	struct layout *l = arg;
	char mount[sizeof(l->p->mount)];

	if (!normalise(line->dir, mount, sizeof(mount)) || taken(l, mount))
		return false;
	for (size_t i = 0; i < l->n; i++) {
		if (l->placed[i] || !names(line->spec, &l->p[i]))
			continue;
		memcpy(l->p[i].mount, mount, sizeof(mount));
		l->placed[i] = true;
		break;
	}
	return false;
}

int herd_layout(struct herd_volume_place *places, size_t n,
		int (*read_file)(struct herd_volume *v, const char *path,
				 char **ret, size_t *ret_len),
		struct herd_diag *diag)
{
	CLEANUP_FREE bool *placed = calloc(n + 1, sizeof(*placed));
	struct layout l = { places, n, placed };
	CLEANUP_FREE char *text = NULL;
	size_t root;

	if (!placed)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		snprintf(places[i].mount, sizeof(places[i].mount),
			 ".volumes/%u/p%u", places[i].disk,
			 places[i].partition);
	root = find_root(places, n, read_file, diag);
	if (root == n)
		return 0;
	places[root].mount[0] = '\0';
	placed[root] = true;
	if (!read_fstab(places[root].volume, read_file, &text))
		each_line(text, place_line, &l);
	return 0;
}
