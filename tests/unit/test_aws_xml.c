/* SPDX-License-Identifier: Apache-2.0 */
/* The XML of an answer: what is found where, and what is refused. */
#include "acquire/aws/xml.h"
#include "acquire/base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct herd_xml *parse(const char *text)
{
	struct herd_xml *x = NULL;
	struct herd_diag diag = { 0 };
	int r = herd_xml_parse(text, strlen(text), &x, &diag);

	if (r)
		fail_msg("%d: %s", r, diag.message);
	return x;
}

static void refused(int expected, const char *text, size_t len)
{
	struct herd_xml *x = NULL;
	struct herd_diag diag = { 0 };

	assert_int_equal(herd_xml_parse(text, len, &x, &diag), expected);
	assert_null(x);
	assert_true(diag.message[0]);
}

static void test_paths(void **state)
{
	struct herd_xml *x CLEANUP_XML = parse(
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<R xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">\n"
		"  <set>\n"
		"    <item><id>i-1</id><in><item>a</item><item>b</item></in></item>\n"
		"    <other/>\n"
		"    <item><id> i-2 </id><in/></item>\n"
		"    <item><id a=\"x\">i&lt;&#51;&amp;</id></item>\n"
		"  </set>\n"
		"  <idx>x</idx><id/>\n"
		"</R>");
	const struct herd_xml_node *root = herd_xml_root(x);

	(void)state;
	assert_string_equal(herd_xml_name(root), "R");
	assert_ptr_equal(herd_xml_get(root, ""), root);
	assert_string_equal(herd_xml_text(root, "set/item/id"), "i-1");
	assert_string_equal(herd_xml_text(root, "set/item[1]/id"), "i-1");
	assert_string_equal(herd_xml_text(root, "set/item[2]/id"), " i-2 ");
	assert_string_equal(herd_xml_text(root, "set/item[3]/id"), "i<3&");
	assert_null(herd_xml_text(root, "set/item[4]/id"));
	assert_null(herd_xml_text(root, "set/item[0]/id"));
	assert_null(herd_xml_text(root, "set/item[x]/id"));
	assert_null(herd_xml_text(root, "set/item[99999999999999999999]"));
	assert_string_equal(herd_xml_text(root, "set/item/in/item[2]"), "b");
	assert_string_equal(herd_xml_text(root, "set/item/in"), "");
	assert_string_equal(herd_xml_text(root, "set/other"), "");
	assert_null(herd_xml_get(root, "set/item/in/item/none"));
	/* no name is taken for one that it begins */
	assert_string_equal(herd_xml_text(root, "id"), "");
	assert_null(herd_xml_get(root, "i"));
	assert_null(herd_xml_get(NULL, "i"));
	assert_int_equal(herd_xml_count(root, "set", "item"), 3);
	assert_int_equal(herd_xml_count(root, "set/item[2]/in", "item"), 0);
	assert_int_equal(herd_xml_count(root, "none", "item"), 0);

	const struct herd_xml_node *n = herd_xml_first(root, "set", "item");

	n = herd_xml_next(n);
	assert_string_equal(herd_xml_text(n, "id"), " i-2 ");
	n = herd_xml_next(n);
	assert_null(herd_xml_next(n));
}

static void test_refused(void **state)
{
	static const struct {
		int expected;
		const char *text;
	} cases[] = {
		{ -EBADMSG, "" },
		{ -EBADMSG, "<a>" },
		{ -EBADMSG, "<a></b>" },
		{ -EBADMSG, "<a/><b/>" },
		{ -EBADMSG, "<a>&none;</a>" },
		{ -EBADMSG, "<a>\xff</a>" },
		{ -EBADMSG, "<a>\x01</a>" },
		{ -EBADMSG, "<a>&#0;</a>" },
		{ -EBADMSG, "<!DOCTYPE a><a/>" },
		{ -EBADMSG, "<!DOCTYPE a SYSTEM \"file:///etc/passwd\"><a/>" },
		{ -EBADMSG, "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refused(cases[i].expected, cases[i].text,
			strlen(cases[i].text));
}

/* Whatever is said of the encoding, it is taken for UTF-8. */
static void test_encoding(void **state)
{
	static const char latin[] =
		"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>";
	struct herd_xml *x CLEANUP_XML =
		parse("<?xml version=\"1.0\" encoding=\"x\"?><a>\xc3\xa9</a>");

	(void)state;
	assert_string_equal(herd_xml_text(herd_xml_root(x), ""), "\xc3\xa9");
	refused(-EBADMSG, latin, sizeof(latin) - 1);
}

/* n of the element open in each other. */
static void nest(struct herd_buf *b, unsigned n)
{
	b->len = 0;
	for (unsigned i = 0; i < n; i++)
		herd_buf_put(b, "<a>", 3);
	for (unsigned i = 0; i < n; i++)
		herd_buf_put(b, "</a>", 4);
}

static void fill(struct herd_buf *b, const char *before, size_t n,
		 const char *what, const char *after)
{
	b->len = 0;
	herd_buf_put(b, before, strlen(before));
	for (size_t i = 0; i < n; i++)
		herd_buf_put(b, what, strlen(what));
	herd_buf_put(b, after, strlen(after));
}

static void accepted(const struct herd_buf *b)
{
	struct herd_xml *x CLEANUP_XML = NULL;

	assert_int_equal(herd_xml_parse(b->data, b->len, &x, NULL), 0);
}

static void test_limits(void **state)
{
	struct herd_buf b CLEANUP_BUF = HERD_BUF_INIT;

	(void)state;
	nest(&b, HERD_XML_DEPTH_MAX);
	accepted(&b);
	nest(&b, HERD_XML_DEPTH_MAX + 1);
	refused(-EOVERFLOW, (char *)b.data, b.len);
	fill(&b, "<a>", HERD_XML_TEXT_MAX, "x", "</a>");
	accepted(&b);
	fill(&b, "<a>", HERD_XML_TEXT_MAX + 1, "x", "</a>");
	refused(-EOVERFLOW, (char *)b.data, b.len);
	fill(&b, "<a>", HERD_XML_NODES_MAX - 1, "<b/>", "</a>");
	accepted(&b);
	fill(&b, "<a>", HERD_XML_NODES_MAX, "<b/>", "</a>");
	refused(-EOVERFLOW, (char *)b.data, b.len);
	fill(&b, "<", HERD_XML_NAME_MAX, "n", "/>");
	accepted(&b);
	fill(&b, "<", HERD_XML_NAME_MAX + 1, "n", "/>");
	refused(-EOVERFLOW, (char *)b.data, b.len);
	fill(&b, "<a>", HERD_XML_SIZE_MAX, " ", "</a>");
	refused(-EOVERFLOW, (char *)b.data, b.len);
}

/* Cut anywhere, it is refused. */
static void test_cut(void **state)
{
	static const char text[] = "<?xml version=\"1.0\"?><a><b>c&amp;</b>"
				   "<!-- x --><![CDATA[y]]></a>";

	(void)state;
	for (size_t len = 0; len < sizeof(text) - 1; len++)
		refused(-EBADMSG, text, len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	 cmocka_unit_test(test_refused),
		cmocka_unit_test(test_encoding), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
