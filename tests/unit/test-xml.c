/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "identity/xml.h"
#include "oom.h"

#define ANSWER                                                                                \
        "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n" \
        "  <GetWebIdentityTokenResult>\n"                                                     \
        "    <WebIdentityToken>eyJ.x.y</WebIdentityToken>\n"                                  \
        "    <Expiration>2026-11-22T23:05:00Z</Expiration>\n"                                 \
        "  </GetWebIdentityTokenResult>\n"                                                    \
        "  <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\n"                   \
        "</GetWebIdentityTokenResponse>\n"

static int text_of(const char *xml, const char *parent, const char *name, struct buf *out) {
        return xml_text(xml, strlen(xml), parent, name, out);
}

static void an_element_has_its_text(void **state) {
        static const struct {
                const char *xml;
                const char *text;
        } table[] = {
                { "<a><b>text</b></a>", "text" },
                { "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<a><b>text</b></a>\n", "text" },
                { "<!-- <a><b>no</b></a> --><a><b>text</b></a><!-- end -->", "text" },
                { "<x><b>no</b><a><b>text</b></a></x>", "text" },
                { "<a><c><b>no</b></c><b>text</b></a>", "text" },
                { "<a ><b k='>' l=\"'\"\n m = \"n\">text</b ></a>", "text" },
                { "<a><b>&lt;b&gt; &amp;amp; &quot;&apos;</b></a>", "<b> &amp; \"'" },
                { "<a><b/></a>", "" },
                { "<a><b></b></a>", "" },
                { "<a><b> \n\t</b></a>", " \n\t" },
                { "<a><b>gr\xc3\xbc\xc3\x9f"
                  "e</b></a>",
                  "gr\xc3\xbc\xc3\x9f"
                  "e" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(text_of(table[i].xml, "a", "b", &b), 0);
                assert_int_equal(b.len, strlen(table[i].text));
                assert_string_equal(b.data ? b.data : "", table[i].text);
        }
}

static void both_elements_of_an_answer_are_found(void **state) {
        AUTO_BUF struct buf token = BUF_INIT;
        AUTO_BUF struct buf until = BUF_INIT;

        assert_int_equal(text_of(ANSWER, "GetWebIdentityTokenResult", "WebIdentityToken", &token),
                         0);
        assert_int_equal(text_of(ANSWER, "GetWebIdentityTokenResult", "Expiration", &until), 0);
        assert_string_equal(token.data, "eyJ.x.y");
        assert_string_equal(until.data, "2026-11-22T23:05:00Z");
        assert_int_equal(text_of(ANSWER, "Error", "Code", &token), -ENOENT);
        assert_int_equal(text_of(ANSWER, "ResponseMetadata", "WebIdentityToken", &token), -ENOENT);
}

static void what_is_no_plain_document_is_refused(void **state) {
        static const char *const refused[] = {
                "",
                " ",
                "text",
                "{\"a\":1}",
                "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><a><b>&x;</b></a>",
                "<!doctype html><a><b>1</b></a>",
                "<a><!DOCTYPE a><b>1</b></a>",
                "<a><b><![CDATA[1]]></b></a>",
                "<a><b>&#49;</b></a>",
                "<a><b>&x;</b></a>",
                "<a><b>&amp</b></a>",
                "<a><b>1</b></a><a><b>2</b></a>",
                "<a><b>1</b><b>2</b></a>",
                "<x><a><b>1</b></a><a><b>2</b></a></x>",
                "<a><b>1<c/></b></a>",
                "<a><b>1<!-- 2 -->3</b></a>",
                "<a><b>1</b></a>x",
                "x<a><b>1</b></a>",
                "<a><b>1</a></b>",
                "<a><b>1</b></ab>",
                "<a><b>1</b></a></a>",
                "<a><b>1</b>",
                "<a><b>1</b></a",
                "<a><b>1</b></a><",
                "<a><b k>1</b></a>",
                "<a><b k=1>1</b></a>",
                "<a><b k=\"1>1</b></a>",
                "<a><b k=\"1\"l=\"2\">1</b></a>",
                "<a><b / >1</b></a>",
                "<a>< b>1</b></a>",
                "<a><b>1</ b></a>",
                "<a><?php 1?><b>1</b></a>",
                " <?xml version=\"1.0\"?><a><b>1</b></a>",
                "<a><b>1\xff</b></a>",
        };
        AUTO_BUF struct buf b = BUF_INIT;

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                if (text_of(refused[i], "a", "b", &b) != -EBADMSG)
                        fail_msg("taken: %s", refused[i]);
                assert_int_equal(b.len, 0);
        }
        assert_int_equal(xml_text("<a><b>1\0</b></a>", 16, "a", "b", &b), -EBADMSG);
        assert_int_equal(b.len, 0);
}

static void nesting_has_a_bound(void **state) {
        for (unsigned depth = 2; depth < XML_DEPTH_MAX + 3; depth++) {
                AUTO_BUF struct buf xml = BUF_INIT;
                AUTO_BUF struct buf out = BUF_INIT;

                for (unsigned i = 2; i < depth; i++)
                        assert_int_equal(buf_append_str(&xml, "<x>"), 0);
                assert_int_equal(buf_append_str(&xml, "<a><b>1</b></a>"), 0);
                for (unsigned i = 2; i < depth; i++)
                        assert_int_equal(buf_append_str(&xml, "</x>"), 0);
                assert_int_equal(text_of(xml.data, "a", "b", &out),
                                 depth <= XML_DEPTH_MAX ? 0 : -EBADMSG);
        }
}

static void a_document_cut_anywhere_is_refused(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        size_t whole = strlen(ANSWER) - 1; /* all but the last LF */

        for (size_t len = 0; len < whole; len++)
                assert_int_equal(
                        xml_text(ANSWER, len, "GetWebIdentityTokenResult", "Expiration", &b),
                        -EBADMSG);
        assert_int_equal(b.len, 0);
}

static int read_one(void *userdata) {
        AUTO_BUF struct buf b = BUF_INIT;

        return text_of(ANSWER, "GetWebIdentityTokenResult", "WebIdentityToken", &b);
}

static void running_out_of_memory_leaks_nothing(void **state) {
        assert_true(oom_sweep(read_one, NULL) > 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(an_element_has_its_text),
                cmocka_unit_test(both_elements_of_an_answer_are_found),
                cmocka_unit_test(what_is_no_plain_document_is_refused),
                cmocka_unit_test(nesting_has_a_bound),
                cmocka_unit_test(a_document_cut_anywhere_is_refused),
                cmocka_unit_test(running_out_of_memory_leaks_nothing),
        };

        return cmocka_run_group_tests_name("xml", tests, NULL, NULL);
}
