/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTML report of a herd with names and texts that nobody wants: whatever
 * they hold, the page has the tags that it is meant to have and no others, is
 * UTF-8, and says how much it left out.
 */
#include "acquire/base/cleanup.h"
#include "index/json.h"
#include "index/report_html.h"
#include "tests/unit/judged_fixture.h"

#define SCRIPT "<script>alert(1)</script>"
#define BREAK "\"><img src=x onerror=alert(1)>'"
#define SCRIPT_GROUP "<script>alert(1)<\\script>"
#define MEMBERS 8

static const struct fx_file usual[] = {
	DIR_(""),
	DIR_("etc"),
	DIR_("srv"),
	FILE_("etc/x.conf", "a = 1\nb = 2\nc = 3\nd = 4\ne = 5\nf = 6\n"),
	FILE_("etc/shadow", "root:$6$secrethash:1::::::\n"),
	FILE_("etc/drift", "new"),
};

static const struct fx_file odd[] = {
	DIR_(""),
	DIR_("etc"),
	DIR_("srv"),
	FILE_("etc/x.conf", "a = 1\nb = 2\nc = 3\nd = </pre>" SCRIPT "\n"
			    "e = 5\nf = 6\n"),
	FILE_("etc/shadow", "root:$6$otherhash:1::::::\n"),
	FILE_("etc/drift", "new"),
	FILE_("srv/"
	      "<script>alert(1)<\xe2\x88\x95script>",
	      SCRIPT),
	FILE_("srv/" BREAK, "x"),
	FILE_("srv/\xff\xfe&amp;", "\xff\x00x"),
	FILE_("srv/\xe2\x80\xae<b>", "\xe2\x80\xae"),
	FILE_("srv/-->]]>", "-->"),
	FILE_("srv/\n\r\t\x1b[31m", "\x1b[31m"),
	{ .path = "srv/broken",
	  .mode = S_IFREG | 0644,
	  .content = "9",
	  .kind = HERD_DIGEST_UNREADABLE,
	  .problem = SCRIPT },
};

struct world {
	struct fx_judged herd;
	struct herd_buf page;
};

static int keep_texts(struct herd_txn *t, void *arg, struct herd_diag *diag)
{
	struct herd_group g = fx_group(t, SCRIPT_GROUP);
	const struct fx_file *lists[] = { usual, odd };
	const size_t n[] = { ARRAY_SIZE(usual), ARRAY_SIZE(odd) };

	(void)arg;
	(void)diag;
	for (size_t l = 0; l < 2; l++)
		for (size_t i = 0; i < n[l]; i++)
			if (lists[l][i].content)
				fx_keep(t, &g, lists[l][i].content);
	return 0;
}

static int set_up(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	struct fx_file files[ARRAY_SIZE(usual)];
	const struct herd_knowledge_files none = { .rules = "/dev/null" };
	char name[64];

	fx_open(&w->herd.fx);
	for (size_t i = 0; i < MEMBERS; i++) {
		memcpy(files, usual, sizeof(files));
		if (!i)
			files[5].content = "old";
		snprintf(name, sizeof(name), "i-%zu<i>", i);
		if (i < MEMBERS - 2)
			fx_attach(&w->herd.fx, SCRIPT_GROUP, name,
				  i ? HERD_ROLE_MEMBER : HERD_ROLE_BASELINE,
				  files, ARRAY_SIZE(files));
		else /* two, with what they have in common */
			fx_attach(&w->herd.fx, SCRIPT_GROUP, i % 2 ? BREAK : name,
				  HERD_ROLE_MEMBER, odd,
				  ARRAY_SIZE(odd) - 2 * (i % 2));
	}
	assert_int_equal(herd_store_update(w->herd.fx.store, keep_texts, w, NULL),
			 0);
	fx_judge(&w->herd, SCRIPT_GROUP, &none, 1);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	herd_buf_deinit(&w->page);
	fx_judged_close(&w->herd);
	free(w);
	return 0;
}

static const char *make(struct world *w, size_t instances, size_t findings)
{
	struct herd_report_page p = { .txn = w->herd.t,
				      .herd = w->herd.herd,
				      .instances = instances,
				      .findings = findings };
	struct herd_diag diag = { .offset = HERD_NO_OFFSET };

	w->page.len = 0;
	if (herd_report_html(&p, &w->page, &diag))
		fail_msg("%s", diag.message);
	herd_buf_u8(&w->page, 0);
	w->page.len--;
	return (const char *)w->page.data;
}

static void has(const char *page, const char *text)
{
	if (!strstr(page, text))
		fail_msg("no \"%s\" in the page", text);
}

static void lacks(const char *page, const char *text)
{
	if (strstr(page, text))
		fail_msg("\"%s\" is in the page", text);
}

/* ---- what there may be ---- */

static bool known_tag(const char *name, size_t len)
{
	static const char *const tags[] = {
		"html",	   "head",   "meta",	 "title", "style", "body",
		"header",  "h1",     "h2",	 "h3",	  "p",	   "div",
		"span",	   "a",	     "b",	 "i",	  "br",	   "table",
		"thead",   "tbody",  "tr",	 "th",	  "td",	   "details",
		"summary", "pre",    "ul",	 "li",	  "code",  "input",
		"button",  "script", "!DOCTYPE",
	};

	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		if (strlen(tags[i]) == len && !memcmp(tags[i], name, len))
			return true;
	return false;
}

static bool known_attribute(const char *name, size_t len)
{
	static const char *const names[] = {
		"lang",	 "charset",	"http-equiv", "content",
		"name",	 "class",	"id",	      "href",
		"title", "scope",	"open",	      "data-name",
		"type",	 "placeholder", "aria-label", "html",
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strlen(names[i]) == len && !memcmp(names[i], name, len))
			return true;
	return false;
}

/* The attributes up to '>'; returns what follows it. */
static const char *check_attributes(const char *p)
{
	for (;;) {
		p += strspn(p, " \n");
		if (*p == '>')
			return p + 1;
		size_t n = strcspn(p, "= >\n");

		if (!n || !known_attribute(p, n))
			fail_msg("attribute: %.60s", p);
		bool link = n == 4 && !memcmp(p, "href", 4);

		p += n;
		if (*p != '=')
			continue;
		assert_int_equal(p[1], '"');
		if (link) /* nowhere but within the page */
			assert_int_equal(p[2], '#');
		n = strcspn(p + 2, "\"<>");
		if (p[2 + n] != '"')
			fail_msg("value: %.60s", p);
		p += n + 3;
	}
}

/* Every '<' begins a tag of ours, in pairs; style and script are skipped. */
static void check_tags(const char *p)
{
	static const char *const empty[] = { "meta", "br", "input",
					     "!DOCTYPE" };
	const char *open[64];
	size_t lens[64], depth = 0;

	while ((p = strchr(p, '<'))) {
		bool end = *++p == '/';
		size_t n = strcspn(p + end, " >\n");
		const char *name = p + end;
		bool alone = false;

		if (!known_tag(name, n))
			fail_msg("tag: %.60s", p);
		p = check_attributes(name + n);
		for (size_t i = 0; i < ARRAY_SIZE(empty); i++)
			alone |= strlen(empty[i]) == n &&
				 !memcmp(empty[i], name, n);
		if (alone)
			continue;
		if (end) {
			assert_true(depth > 0);
			depth--;
			if (lens[depth] != n || memcmp(open[depth], name, n))
				fail_msg("closed: %.*s, open: %.*s", (int)n,
					 name, (int)lens[depth], open[depth]);
			continue;
		}
		assert_true(depth < 64);
		open[depth] = name;
		lens[depth++] = n;
		if (n == 5 && !memcmp(name, "style", 5))
			p = strstr(p, "</style>");
		else if (n == 6 && !memcmp(name, "script", 6))
			p = strstr(p, "</script>");
		assert_non_null(p);
	}
	assert_int_equal(depth, 0);
}

static void check_utf8(const struct herd_buf *b)
{
	for (size_t i = 0; i < b->len;) {
		size_t n = herd_utf8(b->data + i, b->len - i, NULL);

		assert_true(n > 0 && b->data[i]);
		i += n;
	}
}

static void test_hostile(void **state)
{
	struct world *w = *state;
	const char *page = make(w, 0, 0);

	check_tags(page);
	check_utf8(&w->page);
	lacks(page, "<script>alert");
	lacks(page, "onerror=alert(1)>");
	lacks(page, "http://");
	lacks(page, "https://");
	lacks(page, "\xe2\x80\xae");
	has(page, "default-src 'none'");
	has(page, "/srv/&lt;script&gt;alert(1)&lt;\xe2\x88\x95script&gt;");
	has(page, "/srv/&quot;&gt;&lt;img src=x onerror=alert(1)&gt;&#39;");
	has(page, "/srv/\\xff\\xfe&amp;amp;");
	has(page, "+ d = &lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt;"
		  "</span>");
	has(page, "&lt;script&gt;alert(1)&lt;/script&gt;</li>");
}

static void test_content(void **state)
{
	struct world *w = *state;
	const char *page = make(w, 0, 0);

	has(page, "<b>7</b><span>instances</span>");
	has(page, "<b>2</b><span>of them deviate</span>");
	has(page, "<b>1</b><span>drifted path</span>");
	has(page, "<h2 id=\"shared\">");
	has(page, "1 line added, 1 removed");
	has(page, "<span class=\"d\">- d = 4</span>");
	has(page, ">5 without a deviant");
	lacks(page, " more that deviate");
	/* hashes of passwords stay out of it */
	lacks(page, "otherhash");
	lacks(page, "secrethash");
	has(page, "Its text is not shown here");
}

/* What is left out is said, and the sums are those of all. */
static void test_limits(void **state)
{
	struct world *w = *state;
	const char *page = make(w, 1, 2);

	check_tags(page);
	has(page, ">1 more that deviate");
	has(page, "1 more instance deviates, none with a score above ");
	has(page, " more paths with lower scores: herdfs list --instance ");
	has(page, " more: herdfs list lists them.");
	has(page, "<b>2</b><span>of them deviate</span>");
	has(page, "7 in all</th>");
}

/* Equal bytes from equal snapshots. */
static void test_same(void **state)
{
	struct world *w = *state;
	CLEANUP_BUF struct herd_buf first = HERD_BUF_INIT;

	make(w, 60, 25);
	herd_buf_put(&first, w->page.data, w->page.len);
	make(w, 60, 25);
	assert_int_equal(first.len, w->page.len);
	assert_memory_equal(first.data, w->page.data, first.len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_same),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
