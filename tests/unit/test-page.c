/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/page.h"

#include "test.h"

#define NAME "work"
#define URL "https://mcp.example.com/mcp"

/* What makes a browser fetch, run or go to something. */
static void assert_loads_nothing(const char *html) {
        static const char *const active[] = { "src",     "href",    "url(",    "@import",
                                              "<script", "<link",   "<iframe", "<img",
                                              "<form",   "refresh", "onload" };

        for (size_t i = 0; i < ARRAY_SIZE(active); i++)
                if (strcasestr(html, active[i]))
                        fail_msg("%s in %s", active[i], html);
}

/* A123 */
static void the_page_names_the_server_and_loads_nothing(void **state) {
        AUTO_BUF struct buf html = BUF_INIT;

        assert_int_equal(page_success(&html, NAME, URL), 0);
        assert_non_null(strstr(html.data, "Connected: " NAME "<"));
        assert_non_null(strstr(html.data, "<code>" URL "</code>"));
        assert_loads_nothing(html.data);
}

/* A121 A123 */
static void the_page_of_a_failure_names_the_server_and_says_what_to_do(void **state) {
        AUTO_BUF struct buf html = BUF_INIT;
        AUTO_BUF struct buf nameless = BUF_INIT;
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_LOGIN_FAILED, EACCES, "Log in again", "The issuer said no");
        assert_int_equal(page_failure(&html, NAME, &err), 0);
        assert_non_null(strstr(html.data, "Not connected: " NAME "<"));
        assert_non_null(strstr(html.data, "The issuer said no"));
        assert_non_null(strstr(html.data, "Log in again"));
        assert_loads_nothing(html.data);
        assert_int_equal(page_failure(&nameless, NULL, &err), 0);
        assert_non_null(strstr(nameless.data, "Not connected<"));
}

/* A23 A123 */
static void what_others_say_is_text_on_the_page(void **state) {
        AUTO_BUF struct buf good = BUF_INIT;
        AUTO_BUF struct buf bad = BUF_INIT;
        struct error err = ERROR_INIT;

        (void)error_set(&err, MCPB_LOGIN_FAILED, EACCES, "<a href='x'>", "<script src=\"x\">&");
        assert_int_equal(page_success(&good, "<img src=x>", URL "?a=1&b='\""), 0);
        assert_non_null(strstr(good.data, "&lt;img src=x&gt;"));
        assert_non_null(strstr(good.data, URL "?a=1&amp;b=&#39;&quot;"));
        assert_null(strstr(good.data, "<img"));
        assert_int_equal(page_failure(&bad, "<b>", &err), 0);
        assert_non_null(strstr(bad.data, "&lt;b&gt;"));
        assert_non_null(strstr(bad.data, "&lt;script src=&quot;x&quot;&gt;&amp;"));
        assert_non_null(strstr(bad.data, "&lt;a href=&#39;x&#39;&gt;"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_page_names_the_server_and_loads_nothing),
                cmocka_unit_test(the_page_of_a_failure_names_the_server_and_says_what_to_do),
                cmocka_unit_test(what_others_say_is_text_on_the_page),
        };

        return cmocka_run_group_tests_name("page", tests, NULL, NULL);
}
