/* SPDX-License-Identifier: Apache-2.0 */
#include "net/redirect.h"

#include "base/buf.h"
#include "test.h"

#define HOST "127.0.0.1:45678"
#define PATH "/callback/aB3-_x"

/* A105 A112 */
static void only_the_exact_request_has_an_effect(void **state) {
        static const struct {
                const char *method;
                const char *target;
                const char *host;
                enum redirect_verdict verdict;
                const char *rest;
        } table[] = {
                { "GET", PATH "?code=a&state=b", HOST, REDIRECT_TAKE, "code=a&state=b" },
                { "GET", PATH "?", HOST, REDIRECT_TAKE, "" },
                { "GET", PATH, HOST, REDIRECT_TAKE, "" },
                { "GET", PATH "?a?b%00%", HOST, REDIRECT_TAKE, "a?b%00%" },
                { "GET", "/done/00ff", HOST, REDIRECT_PAGE, "00ff" },
                { "GET", "/done/", HOST, REDIRECT_PAGE, "" },

                { "POST", PATH "?code=a", HOST, REDIRECT_METHOD, NULL },
                { "HEAD", PATH, HOST, REDIRECT_METHOD, NULL },
                { "get", PATH, HOST, REDIRECT_METHOD, NULL },
                { "OPTIONS", PATH, HOST, REDIRECT_METHOD, NULL },
                { "POST", "/done/00ff", HOST, REDIRECT_METHOD, NULL },

                { "GET", "/", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "", HOST, REDIRECT_NOT_FOUND, NULL },
                { "OPTIONS", "*", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/callback", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/callback/", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/callback/other?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", PATH "/?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", PATH "x?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/callback/aB3-_X?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/callback/%61B3-_x?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "//callback/aB3-_x?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/callback/./aB3-_x?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", PATH "#f", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", PATH ";a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "http://" HOST PATH "?code=a", HOST, REDIRECT_NOT_FOUND, NULL },
                { "POST", "/favicon.ico", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/done", HOST, REDIRECT_NOT_FOUND, NULL },
                { "GET", "/done/00ff?x", HOST, REDIRECT_NOT_FOUND, NULL },

                { "GET", PATH "?code=a", NULL, REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "127.0.0.1", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "127.0.0.1:4567", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "127.0.0.1:456789", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "localhost:45678", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "evil.example:45678", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "evil.example", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "127.0.0.1:45678.", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", " 127.0.0.1:45678", REDIRECT_BAD, NULL },
                { "GET", PATH "?code=a", "[::1]:45678", REDIRECT_BAD, NULL },
                { "GET", "/done/00ff", "evil.example", REDIRECT_BAD, NULL },
                { "GET", PATH "?co de", HOST, REDIRECT_BAD, NULL },
                { "GET", PATH "?code=\x01", HOST, REDIRECT_BAD, NULL },
                { "GET", PATH "?code=\xc3\xa4", HOST, REDIRECT_BAD, NULL },
                { "GET", PATH "?code=\x7f", HOST, REDIRECT_BAD, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct redirect_request r = { table[i].method, table[i].target, table[i].host };
                const char *rest = NULL;
                enum redirect_verdict v = redirect_judge(&r, PATH, HOST, &rest);

                if (v != table[i].verdict)
                        fail_msg("%s %s at %s: %d", table[i].method, table[i].target,
                                 table[i].host ? table[i].host : "-", (int)v);
                if (table[i].rest)
                        assert_string_equal(rest, table[i].rest);
                else
                        assert_null(rest);
        }
}

/* S9 */
static void a_query_may_be_long_but_not_endless(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        struct redirect_request r = { .method = "GET", .host = HOST };
        const char *rest = NULL;

        assert_int_equal(buf_append_str(&b, PATH "?"), 0);
        while (b.len < strlen(PATH "?") + REDIRECT_QUERY_MAX)
                assert_int_equal(buf_append(&b, "x", 1), 0);
        r.target = b.data;
        assert_int_equal(redirect_judge(&r, PATH, HOST, &rest), REDIRECT_TAKE);
        assert_int_equal(buf_append(&b, "x", 1), 0);
        r.target = b.data;
        assert_int_equal(redirect_judge(&r, PATH, HOST, &rest), REDIRECT_BAD);
}

static void a_target_cut_anywhere_is_not_taken(void **state) {
        static const char whole[] = PATH;

        for (size_t n = 0; n < strlen(whole); n++) {
                char cut[sizeof(whole)] = { 0 };
                struct redirect_request r = { "GET", cut, HOST };
                const char *rest = NULL;

                memcpy(cut, whole, n);
                assert_int_equal(redirect_judge(&r, PATH, HOST, &rest), REDIRECT_NOT_FOUND);
        }
}

static void paths_are_plain_and_never_our_own(void **state) {
        static const char *const good[] = { "/callback/x", "/cb", "/callback/aZ09-_.~" };
        static const char *const bad[] = { "",     "/",         "callback", "/done/x",
                                           "/a?b", "/a b",      "/a%20b",   "/a#b",
                                           "/a\n", "/\xc3\xa4", "/a\"b<",   "/done/" };
        char text[REDIRECT_PATH_MAX + 2] = "/";

        for (size_t i = 0; i < ARRAY_SIZE(good); i++)
                assert_true(redirect_path_valid(good[i]));
        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_false(redirect_path_valid(bad[i]));
        for (size_t i = 1; i < REDIRECT_PATH_MAX; i++)
                text[i] = 'a';
        assert_true(redirect_path_valid(text));
        text[REDIRECT_PATH_MAX] = 'a';
        assert_false(redirect_path_valid(text));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(only_the_exact_request_has_an_effect),
                cmocka_unit_test(a_query_may_be_long_but_not_endless),
                cmocka_unit_test(a_target_cut_anywhere_is_not_taken),
                cmocka_unit_test(paths_are_plain_and_never_our_own),
        };

        return cmocka_run_group_tests_name("redirect", tests, NULL, NULL);
}
