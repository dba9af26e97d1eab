/* SPDX-License-Identifier: Apache-2.0 */
#include "index/dpkg.h"

#include "acquire/base/cleanup.h"

#include <string.h>

/* ---- names ---- */

static bool begins(const char *path, size_t len, const char *with)
{
	size_t n = strlen(with);

	return len >= n && memcmp(path, with, n) == 0;
}

enum herd_dpkg_info herd_dpkg_info_of(const char *path, size_t len,
				      struct herd_dpkg_text *ret_package)
{
	static const struct {
		const char *ending;
		enum herd_dpkg_info what;
	} endings[] = {
		{ "list", HERD_DPKG_FILES }, { "md5sums", HERD_DPKG_FILES },
		{ "shlibs", HERD_DPKG_DATA }, { "symbols", HERD_DPKG_DATA },
		{ "triggers", HERD_DPKG_DATA }, { "conffiles", HERD_DPKG_DATA },
		{ "templates", HERD_DPKG_DATA },
	};
	const size_t prefix = sizeof(HERD_DPKG_INFO) - 1;
	const char *dot;

	if (!begins(path, len, HERD_DPKG_INFO))
		return HERD_DPKG_NONE;
	path += prefix;
	len -= prefix;
	dot = memrchr(path, '.', len);
	if (!dot || dot == path || memchr(path, '/', len))
		return HERD_DPKG_NONE;
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++) {
		size_t n = (size_t)(path + len - dot) - 1;

		if (strlen(endings[i].ending) != n ||
		    memcmp(dot + 1, endings[i].ending, n) != 0)
			continue;
		*ret_package = (struct herd_dpkg_text){
			path, (size_t)(dot - path) };
		return endings[i].what;
	}
	return HERD_DPKG_NONE;
}

bool herd_dpkg_traces(const char *path, size_t len)
{
	static const char *const traces[] = {
		"var/lib/dpkg/status-old", "var/lib/dpkg/available",
		"var/lib/dpkg/lock", "var/lib/dpkg/triggers/",
		"var/lib/apt/lists/", "var/lib/apt/periodic/",
		"var/lib/apt/extended_states", "var/cache/apt/",
		"var/cache/debconf/", "var/log/apt/", "var/log/dpkg.log",
		"var/log/alternatives.log",
		"var/cache/ldconfig/", "var/cache/man/",
	};

	for (size_t i = 0; i < ARRAY_SIZE(traces); i++)
		if (begins(path, len, traces[i]))
			return true;
	return false;
}

/* ---- lines ---- */

static bool next_line(struct herd_dpkg_text *rest, struct herd_dpkg_text *ret)
{
	const char *newline;

	if (!rest->len)
		return false;
	newline = memchr(rest->p, '\n', rest->len);
	ret->p = rest->p;
	ret->len = newline ? (size_t)(newline - rest->p) : rest->len;
	rest->p += ret->len + (newline != NULL);
	rest->len -= ret->len + (newline != NULL);
	return true;
}

static bool field(struct herd_dpkg_text line, const char *name,
		  struct herd_dpkg_text *ret)
{
	size_t n = strlen(name);

	if (!begins(line.p, line.len, name) || line.len == n ||
	    line.p[n] != ':')
		return false;
	line.p += n + 1;
	line.len -= n + 1;
	while (line.len && *line.p == ' ') {
		line.p++;
		line.len--;
	}
	*ret = line;
	return true;
}

static bool same(struct herd_dpkg_text a, const char *p, size_t len)
{
	return a.len == len && memcmp(a.p, p, len) == 0;
}

static struct herd_dpkg_text next_word(struct herd_dpkg_text *rest)
{
	struct herd_dpkg_text word;

	while (rest->len && *rest->p == ' ') {
		rest->p++;
		rest->len--;
	}
	word = (struct herd_dpkg_text){ rest->p, 0 };
	while (word.len < rest->len && rest->p[word.len] != ' ')
		word.len++;
	rest->p += word.len;
	rest->len -= word.len;
	return word;
}

/*
 * "install ok installed": what is wanted, whether something is wrong, how far
 * it is. All files of what is at least unpacked are those of its version; of
 * what was removed but for its settings, or is being unpacked, they are not.
 */
static bool is_there(struct herd_dpkg_text status)
{
	static const char *const states[] = {
		"installed",	    "unpacked",		"half-configured",
		"triggers-awaited", "triggers-pending",
	};
	struct herd_dpkg_text wrong, state;

	next_word(&status);
	wrong = next_word(&status);
	state = next_word(&status);
	if (!same(wrong, "ok", 2) || next_word(&status).len)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(states); i++)
		if (same(state, states[i], strlen(states[i])))
			return true;
	return false;
}

bool herd_dpkg_version(struct herd_dpkg_text status,
		       struct herd_dpkg_text package,
		       struct herd_dpkg_text *ret)
{
	const char *colon = memchr(package.p, ':', package.len);
	size_t name_len = colon ? (size_t)(colon - package.p) : package.len;
	struct herd_dpkg_text line, value, name = { NULL, 0 },
			      version = { NULL, 0 }, arch = { NULL, 0 };
	bool more, there = false;

	do {
		more = next_line(&status, &line);
		if (more && line.len) {
			if (field(line, "Package", &value))
				name = value;
			else if (field(line, "Version", &value))
				version = value;
			else if (field(line, "Status", &value))
				there = is_there(value);
			else if (field(line, "Architecture", &value))
				arch = value;
			continue;
		}
		/* the end of a paragraph */
		if (name.p && version.p && version.len && there &&
		    same(name, package.p, name_len) &&
		    (!colon || (arch.p &&
				same(arch, colon + 1,
				     package.len - name_len - 1)))) {
			*ret = version;
			return true;
		}
		name.p = version.p = arch.p = NULL;
		there = false;
	} while (more);
	return false;
}

static int hex(char c)
{
	return c >= '0' && c <= '9' ? c - '0' :
	       c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "d41d8cd98f00b204e9800998ecf8427e  usr/bin/x" */
static bool take_md5(struct herd_dpkg_text *line, uint8_t md5[16])
{
	if (line->len < 35 || line->p[32] != ' ' || line->p[33] != ' ')
		return false;
	for (size_t i = 0; i < 16; i++) {
		int high = hex(line->p[2 * i]), low = hex(line->p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		md5[i] = (uint8_t)(high << 4 | low);
	}
	line->p += 34;
	line->len -= 34;
	return true;
}

bool herd_dpkg_next(struct herd_dpkg_text *rest, uint8_t md5[16],
		    struct herd_dpkg_text *ret_path)
{
	struct herd_dpkg_text line;

	while (next_line(rest, &line)) {
		if (md5 && !take_md5(&line, md5))
			continue;
		while (line.len && *line.p == '/') {
			line.p++;
			line.len--;
		}
		if (!line.len || same(line, ".", 1))
			continue;
		*ret_path = line;
		return true;
	}
	return false;
}
