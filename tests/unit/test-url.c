/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include "oom.h"
#include "test.h"

static void a_url_is_taken_apart_and_kept_as_given(void **state) {
        static const struct {
                const char *text;
                const char *scheme;
                const char *host;
                int port;
                bool port_given;
                const char *path;
                const char *query;
                bool fragment;
                const char *origin;
        } table[] = {
                { "https://mcp.example.com/mcp", "https", "mcp.example.com", 443, false, "/mcp",
                  NULL, false, "https://mcp.example.com" },
                { "HTTPS://MCP.Example.COM", "https", "mcp.example.com", 443, false, "", NULL,
                  false, "https://mcp.example.com" },
                { "https://x:443/", "https", "x", 443, true, "/", NULL, false, "https://x" },
                { "https://x:8443", "https", "x", 8443, true, "", NULL, false, "https://x:8443" },
                { "http://127.0.0.1:80/A%2fB?q=1&r#frag", "http", "127.0.0.1", 80, true, "/A%2fB",
                  "q=1&r", true, "http://127.0.0.1" },
                { "https://[2001:DB8::1]:65535/", "https", "2001:db8::1", 65535, true, "/", NULL,
                  false, "https://[2001:db8::1]:65535" },
                { "https://x?", "https", "x", 443, false, "", "", false, "https://x" },
                { "https://x#", "https", "x", 443, false, "", NULL, true, "https://x" },
                { "https://x/a?b?c/d", "https", "x", 443, false, "/a", "b?c/d", false,
                  "https://x" },
                { "https://x/a@b:c", "https", "x", 443, false, "/a@b:c", NULL, false, "https://x" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_URL struct url u = URL_INIT;
                AUTO_FREE char *origin = NULL;
                struct error err = ERROR_INIT;

                assert_int_equal(url_parse(&u, table[i].text, "URL", &err), 0);
                assert_string_equal(u.text, table[i].text);
                assert_string_equal(u.scheme, table[i].scheme);
                assert_string_equal(u.host, table[i].host);
                assert_int_equal(u.port, table[i].port);
                assert_int_equal(u.port_given, table[i].port_given);
                assert_string_equal(u.path, table[i].path);
                assert_true(streq_null(u.query, table[i].query));
                assert_int_equal(u.fragment, table[i].fragment);
                origin = url_origin(&u);
                assert_string_equal(origin, table[i].origin);
        }
}

/* A4 */
static void what_two_parsers_could_read_differently_is_refused(void **state) {
        static const char *const bad[] = {
                "",
                "mcp.example.com",
                "//mcp.example.com",
                "://x",
                "https:/x",
                "https:x",
                "https://",
                "https:///path",
                "https://?q",
                "ftp://x/",
                "file:///etc/passwd",
                "javascript://x/%0aalert(1)",
                "https ://x",
                " https://x",
                "https://x ",
                "https://x/a b",
                "https://x/\t",
                "https://x/\n",
                "https://x/\x7f",
                "https://x/\x80",
                "https://\xc3\xa4.example/",
                "https://x\\y/",
                "https://x/\\",
                "https://user@x/",
                "https://user:pw@x/",
                "https://good.example@evil.example/",
                "https://x%2fy/",
                "https://x%00/",
                "https://x,y/",
                "https://x:/",
                "https://x:0/",
                "https://x:65536/",
                "https://x:99999999/",
                "https://x:+443/",
                "https://x:443x/",
                "https://x:1:2/",
                "https://[::1/",
                "https://[::1]x/",
                "https://[]/",
                "https://[fe80::1%25eth0]/",
                "https://[127.0.0.1]/",
                "https://::1/",
                "https://x/<script>",
                "https://x/\"",
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                AUTO_URL struct url u = URL_INIT;
                struct error err = ERROR_INIT;

                if (url_parse(&u, bad[i], "server URL", &err) != -EINVAL)
                        fail_msg("'%s' was taken", bad[i]);
                assert_int_equal(err.code, MCPB_BAD_PARAMS);
                assert_non_null(strstr(err.message, "server URL"));
                assert_null(u.text);
        }
}

/* S9 */
static void a_url_has_a_bound(void **state) {
        AUTO_URL struct url u = URL_INIT;
        struct error err = ERROR_INIT;
        char text[URL_MAX + 2] = "https://x/";

        for (size_t i = strlen(text); i < URL_MAX; i++)
                text[i] = 'a';
        assert_int_equal(url_parse(&u, text, "URL", &err), 0);
        url_done(&u);
        text[URL_MAX] = 'a';
        assert_int_equal(url_parse(&u, text, "URL", &err), -EINVAL);
}

/* A4 S8 */
static void http_is_for_loopback_only(void **state) {
        static const struct {
                const char *text;
                bool allowed;
        } table[] = {
                { "https://mcp.example.com/", true },
                { "https://10.0.0.1/", true },
                { "http://localhost/", true },
                { "http://LOCALHOST:8080/", true },
                { "http://127.0.0.1/", true },
                { "http://127.255.255.254/", true },
                { "http://[::1]:9/", true },
                { "http://[0:0:0:0:0:0:0:1]/", true },
                { "http://mcp.example.com/", false },
                { "http://localhost.example.com/", false },
                { "http://x.localhost/", false },
                { "http://localhost./", false },
                { "http://127.1/", false },
                { "http://0x7f.0.0.1/", false },
                { "http://2130706433/", false },
                { "http://0.0.0.0/", false },
                { "http://128.0.0.1/", false },
                { "http://[::]/", false },
                { "http://[::ffff:127.0.0.1]/", false },
                { "http://10.0.0.1/", false },
                { "https://x/#fragment", false },
                { "http://user@localhost/", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;
                int r = url_check_allowed(table[i].text, "URL", &err);

                if (r != (table[i].allowed ? 0 : -EINVAL))
                        fail_msg("'%s': %d", table[i].text, r);
        }
}

static void a_short_name_is_what_the_host_says_most_by(void **state) {
        static const struct {
                const char *text;
                const char *name;
        } table[] = {
                { "https://mcp.linear.app/mcp", "linear" },
                { "https://www.mcp.api.example.com/", "example" },
                { "https://mcp.com/", "mcp" },
                { "https://example", "example" },
                { "http://localhost/", "local-80" },
                { "http://127.0.0.1:8080/", "local-8080" },
                { "https://[2001:db8::1]/", "local-443" },
                { "https://a-very-long-name.example.com/", "a-very-" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_URL struct url u = URL_INIT;
                char name[16];

                assert_int_equal(url_parse(&u, table[i].text, "URL", NULL), 0);
                url_short_name(&u, name, i == ARRAY_SIZE(table) - 1 ? 8 : sizeof(name));
                assert_string_equal(name, table[i].name);
        }
}

static void an_origin_is_scheme_host_and_port(void **state) {
        static const struct {
                const char *a;
                const char *b;
                bool same;
        } table[] = {
                { "https://x/a", "https://x/b?c", true },
                { "https://x", "https://X:443", true },
                { "https://x", "http://x", false },
                { "https://x", "https://x:8443", false },
                { "https://x", "https://y", false },
                { "https://x", "https://sub.x", false },
                { "https://x", "https://x.", false },
                { "http://x:443", "https://x:443", false },
                { "http://[::1]/", "http://[::1]:80/", true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_URL struct url a = URL_INIT;
                AUTO_URL struct url b = URL_INIT;

                assert_int_equal(url_parse(&a, table[i].a, "URL", NULL), 0);
                assert_int_equal(url_parse(&b, table[i].b, "URL", NULL), 0);
                assert_int_equal(url_same_origin(&a, &b), table[i].same);
                assert_int_equal(url_same_origin(&b, &a), table[i].same);
        }
}

static int parse_all(void *userdata) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_FREE char *origin = NULL;
        int r = url_parse(&u, "https://x:8443/path?query", "URL", NULL);

        if (r < 0)
                return r;
        origin = url_origin(&u);
        return origin ? 0 : -ENOMEM;
}

static void a_reference_means_what_it_would_on_that_page(void **state) {
        static const struct {
                const char *base;
                const char *reference;
                const char *meaning;
        } table[] = {
                { "https://x/mcp/sse", "https://y/m", "https://y/m" },
                { "https://x/mcp/sse", "/messages?s=1", "https://x/messages?s=1" },
                { "https://x:8443/mcp/sse", "messages", "https://x:8443/mcp/messages" },
                { "https://x", "messages", "https://x/messages" },
                { "https://x/mcp?a=b", "?s=1", "https://x/mcp?s=1" },
                { "https://x/mcp", "//y/m", "https://y/m" },
                { "https://[::1]:1/a/b", "../c", "https://[::1]:1/a/../c" },
                { "https://x/a", "b:c", "b:c" },
                { "https://x/a/b", "", "https://x/a/b" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_URL struct url base = URL_INIT;
                AUTO_FREE char *meaning = NULL;

                assert_int_equal(url_parse(&base, table[i].base, "URL", NULL), 0);
                meaning = url_resolve(&base, table[i].reference);
                assert_string_equal(meaning, table[i].meaning);
        }
}

static void what_leads_to_another_origin_is_not_within(void **state) {
        AUTO_FREE char *within = url_resolve_within("https://x:8443/mcp", "/messages");

        assert_string_equal(within, "https://x:8443/messages");
        assert_null(url_resolve_within("https://x/mcp", "https://y/mcp"));
        assert_null(url_resolve_within("https://x/mcp", "https://x:8443/mcp"));
        assert_null(url_resolve_within("https://x/mcp", "http://x/mcp"));
        assert_null(url_resolve_within("https://x/mcp", "//y/mcp"));
        assert_null(url_resolve_within("https://x/mcp", "https://x@y/"));
        assert_null(url_resolve_within("nothing", "/messages"));
}

static void no_allocation_is_taken_for_granted(void **state) {
        assert_true(oom_sweep(parse_all, NULL) >= 6);
}

static void urls_of_one_resource_have_one_canonical_text(void **state) {
        static const struct {
                const char *url, *text;
        } cases[] = {
                { "https://a.example", "https://a.example/" },
                { "HTTPS://A.example:443/", "https://a.example/" },
                { "https://a.example:8443/Mcp/", "https://a.example:8443/Mcp/" },
                { "http://[::1]:80/x?b=2&a=1", "http://[::1]/x?b=2&a=1" },
                { "https://a.example/x?", "https://a.example/x?" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO_URL struct url u = URL_INIT;
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(url_parse(&u, cases[i].url, "URL", NULL), 0);
                assert_int_equal(url_append_canonical(&u, &b), 0);
                assert_string_equal(b.data, cases[i].text);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(urls_of_one_resource_have_one_canonical_text),
                cmocka_unit_test(a_url_is_taken_apart_and_kept_as_given),
                cmocka_unit_test(what_two_parsers_could_read_differently_is_refused),
                cmocka_unit_test(a_url_has_a_bound),
                cmocka_unit_test(http_is_for_loopback_only),
                cmocka_unit_test(a_short_name_is_what_the_host_says_most_by),
                cmocka_unit_test(an_origin_is_scheme_host_and_port),
                cmocka_unit_test(a_reference_means_what_it_would_on_that_page),
                cmocka_unit_test(what_leads_to_another_origin_is_not_within),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
