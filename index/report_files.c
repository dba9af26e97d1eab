/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files for other tools: MANIFEST.sha256 for sha256sum, bodyfile for
 * mactime; and README.txt, for whoever has only the mount.
 *
 * Threads: as index/report.h says.
 */
#include "index/report.h"

#include "acquire/base/sha256.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

static int compare_names(const void *a, const void *b, void *arg)
{
	const struct herd_report_lines *l = arg;
	const struct herd_report_line *x = a, *y = b;
	size_t n = x->name_len < y->name_len ? x->name_len : y->name_len;
	int c = n ? memcmp(l->names.data + x->name, l->names.data + y->name,
			   n) : 0;

	return c ? c : x->name_len < y->name_len ? -1 :
	       x->name_len > y->name_len;
}

/*
 * Calls fn for what the instance has at each path where it deviates (or
 * where nothing is common or a rule speaks for it, with `loose`), in order of
 * the names' bytes.
 */
static int each_entry(const struct herd_report *r, bool loose,
		      void (*fn)(struct herd_buf *out, const char *name,
				 size_t len, const struct herd_entry *e),
		      struct herd_buf *out, struct herd_diag *diag)
{
	CLEANUP(herd_report_lines_deinit) struct herd_report_lines l = { 0 };
	uint32_t reference = herd_herd_group(r->herd)->reference;
	int err = herd_report_lines_make(r, false, &l, diag);

	if (!err && l.n)
		qsort_r(l.v, l.n, sizeof(*l.v), compare_names, &l);
	for (size_t i = 0; i < l.n && !err; i++) {
		const struct herd_finding *f = l.v[i].finding;
		enum herd_class class = f->verdict.class;
		struct herd_entry e;

		if (f->own_absent || (class != HERD_CLASS_DEVIANT &&
				      !(loose &&
					(class == HERD_CLASS_VOLATILE ||
					 class == HERD_CLASS_SUPPRESSED))))
			continue;
		err = herd_entry_get(r->txn, r->instance->id, reference,
				     f->path, &e);
		if (!err)
			fn(out, herd_report_line_name(&l, &l.v[i]),
			   l.v[i].name_len, &e);
	}
	err = err ? err : herd_buf_error(out);
	return !err ? 0 : herd_diag_set(diag, err, r->instance->name,
					HERD_NO_OFFSET, "%s", strerror(-err));
}

/* ---- MANIFEST.sha256 ---- */

/* As sha256sum(1) writes them: a '\' in front says that names are escaped. */
void herd_report_manifest_line(struct herd_buf *out, const uint8_t digest[32],
			       const char *dir, const char *name, size_t len)
{
	char hex[65];

	if (memchr(name, '\\', len) || memchr(name, '\n', len) ||
	    memchr(name, '\r', len))
		herd_buf_u8(out, '\\');
	herd_buf_printf(out, "%s  %s", herd_hex(digest, 32, hex), dir);
	for (size_t i = 0; i < len; i++)
		switch (name[i]) {
		case '\\': herd_buf_put(out, "\\\\", 2); break;
		case '\n': herd_buf_put(out, "\\n", 2); break;
		case '\r': herd_buf_put(out, "\\r", 2); break;
		default: herd_buf_u8(out, (uint8_t)name[i]); break;
		}
	herd_buf_u8(out, '\n');
}

static void manifest_line(struct herd_buf *out, const char *name, size_t len,
			  const struct herd_entry *e)
{
	if (S_ISREG(e->mode) && e->digest_kind == HERD_DIGEST_SHA256)
		herd_report_manifest_line(out, e->digest, "deviant/disk/", name,
					  len);
}

/* A report beside the manifest is evidence too, and there always is one. */
static int manifest_report(const struct herd_report *r, const char *name,
			   int (*make)(const struct herd_report *r,
				       struct herd_buf *out,
				       struct herd_diag *diag),
			   struct herd_buf *out, struct herd_diag *diag)
{
	CLEANUP_BUF struct herd_buf text = HERD_BUF_INIT;
	uint8_t digest[HERD_SHA256_LEN];
	char hex[2 * sizeof(digest) + 1];
	int err = make(r, &text, diag);

	if (err)
		return err;
	herd_sha256(text.data ? (const void *)text.data : "", text.len, digest);
	herd_buf_printf(out, "%s  %s\n", herd_hex(digest, sizeof(digest), hex),
			name);
	return herd_buf_error(out);
}

int herd_report_manifest(const struct herd_report *r, struct herd_buf *out,
			 struct herd_diag *diag)
{
	int err = each_entry(r, false, manifest_line, out, diag);

	if (!err)
		err = manifest_report(r, "bodyfile", herd_report_bodyfile, out,
				      diag);
	if (!err)
		err = manifest_report(r, "report.json", herd_report_json, out,
				      diag);
	if (!err)
		err = manifest_report(r, "report.txt", herd_report_text, out,
				      diag);
	return err;
}

/* ---- bodyfile ---- */

/*
 * Bytes as they are, but for what would end the field or the line. mactime
 * takes %HH for a byte, so '|' is that, and a '%' that would read as one; but
 * it loses lines with control bytes in them: those are \xHH.
 */
static void body_name(struct herd_buf *out, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)name[i];

		if (c < 0x20 || c == 0x7f || c == '\\')
			herd_buf_printf(out, "\\x%02x", c);
		else if (c == '|' || (c == '%' && len - i > 2 &&
				      isxdigit((uint8_t)name[i + 1]) &&
				      isxdigit((uint8_t)name[i + 2])))
			herd_buf_printf(out, "%%%02X", c);
		else
			herd_buf_u8(out, c);
	}
}

/* MD5|name|inode|mode|uid|gid|size|atime|mtime|ctime|crtime, as fls -m. */
static void body_line(struct herd_buf *out, const char *name, size_t len,
		      const struct herd_entry *e)
{
	char mode[11];

	herd_buf_put(out, "0|/", 3);
	body_name(out, name, len);
	if (S_ISLNK(e->mode) && e->bytes) {
		herd_buf_put(out, " -> ", 4);
		body_name(out, e->bytes, e->n_bytes);
	}
	herd_report_mode(e->mode, mode);
	if (mode[0] == '-')
		mode[0] = 'r';
	herd_buf_printf(out, "|%" PRIu64 "|%c/%s|%u|%u|%" PRIu64 "|%" PRId64
			"|%" PRId64 "|%" PRId64 "|%" PRId64 "\n", e->ino,
			mode[0], mode, e->uid, e->gid, e->size, e->atime.sec,
			e->mtime.sec, e->ctime.sec, e->btime.sec);
}

int herd_report_bodyfile(const struct herd_report *r, struct herd_buf *out,
			 struct herd_diag *diag)
{
	return each_entry(r, true, body_line, out, diag);
}

/* ---- README.txt ---- */

static const char readme[] =
"This folder shows in what each of these instances differs from the others.\n"
"It was made by herdfs from copies of their disks and, where there is a\n"
"memory.raw, of their memory. It is read-only: nothing that is done here\n"
"reaches an image, and nothing in it is ever run from here.\n"
"\n"
"  herd.json                who the members are, from which images\n"
"  <instance>/\n"
"    deviant/disk/          what only this instance has like this: start here\n"
"    herd/disk/             the same paths as most of the herd has them\n"
"    volatile/disk/         paths at which nearly every member differs\n"
"    suppressed/disk/       what deviates, but a rule of the policy says that\n"
"                           it may; never set-id files, programs, keys and the\n"
"                           like, unless the rule says so\n"
"    all/disk/              the whole instance\n"
"    report.txt             every finding with its reason, the worst first;\n"
"                           also what could not be read\n"
"    report.json            the same for programs\n"
"    MANIFEST.sha256        digests of the files below deviant/disk, and of the\n"
"                           texts below deviant/memory, not of the dumps there\n"
"    bodyfile               times of what deviates, for mactime\n"
"\n"
"and of an instance whose memory is attached\n"
"\n"
"    deviant/memory/        processes, modules and hooks that the herd has not\n"
"                           got like this, or that are odd in themselves;\n"
"                           findings.txt has all of them, the worst first\n"
"    volatile/memory/       processes that come and go by themselves\n"
"    all/memory/            every process; problems.txt: what could not be read\n"
"    memory.raw             the physical memory; what the image lacks is zeros\n"
"\n"
"A file that the herd has and the instance lacks is in herd/ and not in\n"
"deviant/. To see the whole story of an instance:\n"
"\n"
"  less report.txt\n"
"  diff -r --no-dereference herd/disk deviant/disk\n"
"  getfattr -d -m - deviant/disk/PATH\n"
"  sha256sum -c MANIFEST.sha256\n"
"  mactime -b bodyfile -d -y\n"
"\n"
"In memory/ each process is a folder, PID-NAME: core for gdb, vma/ its regions,\n"
"exe and fd/ files also if they were deleted, pages/ changed pages of programs,\n"
"maps, status, cmdline, environ, why.json. What could not be had reads as zeros\n"
"and stands in missing.txt. In the instance's folder, with P for\n"
"deviant/memory/PID-NAME:\n"
"\n"
"  less deviant/memory/findings.txt\n"
"  gdb -iex 'set auto-load no' -iex 'set sysroot all/disk' P/exe P/core\n"
"  strings -a P/core\n"
"\n"
"Attributes of each file that deviates:\n"
"\n"
"  user.herdfs.why          in words: \"1 line added: toor, uid 0\"\n"
"  user.herdfs.category     what it is about: persistence, credentials, web, …\n"
"  user.herdfs.technique    of MITRE ATT&CK, where one fits\n"
"  user.herdfs.severity     0 to 100, the higher the worse\n"
"  user.herdfs.score        rank in parts of severity: the order of report.txt\n"
"  user.herdfs.reason       added, absent, type, content, target, mode, setid,\n"
"                           owner, xattr, device, unreadable\n"
"  user.herdfs.rank         0 to 100, the higher the odder\n"
"  user.herdfs.prevalence   how many of the members have this very version\n"
"  user.herdfs.herd         where the herd's version is\n"
"  user.herdfs.sha256       of the content\n"
"  user.herdfs.known        of which set of known digests the content is\n"
"  user.herdfs.suppressed   by which rule: reason, owner, last day\n"
"  user.herdfs.xattr.*      the file's own attributes\n"
"\n"
"What counts as a difference: type, permissions, owner, content or link target,\n"
"device number, extended attributes. Times do not count; they are shown as the\n"
"instance has them. Links lead to places inside the same disk/ folder, never\n"
"to files of the machine on which this is mounted.\n";

int herd_report_readme(struct herd_txn *t, const struct herd_group *g,
		       struct herd_buf *out, struct herd_diag *diag)
{
	CLEANUP(herd_report_names_deinit) struct herd_report_names names = { 0 };
	int err = herd_report_names_make(t, g->id, &names);

	if (err)
		return herd_diag_set(diag, err, g->name, HERD_NO_OFFSET,
				     "README.txt: %s", strerror(-err));
	herd_buf_printf(out, "Herd \"");
	herd_report_escape(out, g->name, strlen(g->name));
	herd_buf_printf(out, "\": %u member%s", g->members,
			g->members == 1 ? "" : "s");
	if (g->baseline) {
		herd_buf_printf(out, ", and the baseline ");
		herd_report_escape(out, herd_report_name_of(&names, g->baseline),
				   strlen(herd_report_name_of(&names,
							      g->baseline)));
		herd_buf_printf(out, ", how a fresh\ninstance looks, which does "
				"not count as a member");
	}
	herd_buf_printf(out, ".\n\n");
	herd_buf_put(out, readme, sizeof(readme) - 1);
	return herd_buf_error(out);
}
