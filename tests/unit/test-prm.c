/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/limits.h"
#include "oauth/prm.h"

#define SERVER "https://h.example/mcp"
#define URL "https://h.example/.well-known/oauth-protected-resource/mcp"
#define AS "\"authorization_servers\":[\"" ISSUER "\"]"

static int parse(struct prm *p, const char *text, struct error *err) {
        AUTO_BUF struct buf body = BUF_INIT;

        assert_int_equal(buf_append_str(&body, text), 0);
        return prm_parse(p, SERVER, URL, &body, err);
}

/* A25 A26 */
static void well_known_urls_keep_path_and_query_behind_them(void **state) {
        static const struct {
                const char *server;
                const char *urls[3];
        } table[] = {
                { "https://h", { "https://h/.well-known/oauth-protected-resource" } },
                { "https://h/", { "https://h/.well-known/oauth-protected-resource" } },
                { "https://H:8443/a/b",
                  { "https://h:8443/.well-known/oauth-protected-resource/a/b",
                    "https://h:8443/.well-known/oauth-protected-resource" } },
                { "https://h/a/",
                  { "https://h/.well-known/oauth-protected-resource/a/",
                    "https://h/.well-known/oauth-protected-resource" } },
                { "https://h/a?x=1",
                  { "https://h/.well-known/oauth-protected-resource/a?x=1",
                    "https://h/.well-known/oauth-protected-resource" } },
                { "https://h?x=1",
                  { "https://h/.well-known/oauth-protected-resource?x=1",
                    "https://h/.well-known/oauth-protected-resource" } },
                { "http://[::1]:80/m",
                  { "http://[::1]/.well-known/oauth-protected-resource/m",
                    "http://[::1]/.well-known/oauth-protected-resource" } },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                for (unsigned k = 0; k < 3; k++) {
                        AUTO_FREE char *url = NULL;
                        int r = prm_location(table[i].server, k, &url, NULL);

                        assert_int_equal(r, table[i].urls[k] ? 1 : 0);
                        if (r == 1)
                                assert_string_equal(url, table[i].urls[k]);
                }
        }
}

/* A28 A29 A30 A45 */
static void a_resource_must_be_the_server_or_stand_above_it(void **state) {
        static const struct {
                const char *resource;
                const char *server;
                bool matches;
        } table[] = {
                { "https://h/mcp", "https://h/mcp", true },
                { "HTTPS://H/mcp", "https://h/mcp", true },
                { "https://h/mcp", "https://h/mcp/a", true },
                { "https://h/mcp/", "https://h/mcp/a", true },
                { "https://h", "https://h/mcp", true },
                { "https://h/", "https://h/mcp", true },
                { "https://h", "https://h/", true },
                { "https://h/", "https://h", true },
                { "https://h/mcp", "https://h/mcp?x=1", true },
                { "https://h/mcp?x=1", "https://h/mcp?x=1", true },
                { "https://h:443/mcp", "https://h/mcp", true },
                { "https://h/mcp", "https://h/mcpx", false },
                { "https://h/mc", "https://h/mcp", false },
                { "https://h/mcp/a", "https://h/mcp", false },
                { "https://h/mcp/", "https://h/mcp", false },
                { "https://h/MCP", "https://h/mcp", false },
                { "https://h/m%63p", "https://h/mcp", false },
                { "https://h:8443/mcp", "https://h/mcp", false },
                { "http://h/mcp", "https://h/mcp", false },
                { "https://h.evil/mcp", "https://h/mcp", false },
                { "https://g/mcp", "https://h/mcp", false },
                { "https://h/mcp?x=2", "https://h/mcp?x=1", false },
                { "https://h/mcp?x=1", "https://h/mcp", false },
                { "https://h/mcp#f", "https://h/mcp", false },
                { "https://h/mcp", "https://h/mcp/../other", false },
                { "https://u@h/mcp", "https://h/mcp", false },
                { "/mcp", "https://h/mcp", false },
                { "", "https://h/mcp", false },
                { "mcp", "https://h/mcp", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (prm_resource_matches(table[i].resource, table[i].server) != table[i].matches)
                        fail_msg("%s for %s", table[i].resource, table[i].server);
}

/* A97 */
static void a_resource_of_our_own_making_is_in_canonical_form(void **state) {
        static const char *const table[][2] = {
                { "https://h", "https://h" },
                { "HTTPS://H/", "https://h" },
                { "https://H:443/Mcp", "https://h/Mcp" },
                { "https://h/mcp/", "https://h/mcp/" },
                { "https://h/mcp?tenant=1", "https://h/mcp?tenant=1" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_FREE char *resource = NULL;

                assert_int_equal(prm_resource_form(table[i][0], &resource, NULL), 0);
                assert_string_equal(resource, table[i][1]);
        }
}

/* A24 A27 A37 A96 */
static void a_document_gives_resource_issuers_and_scopes_and_the_rest_is_ignored(void **state) {
        AUTO_PRM struct prm p = PRM_INIT;

        assert_int_equal(parse(&p,
                               "{\"resource\":\"HTTPS://H.example/mcp\"," AS
                               ",\"scopes_supported\":[\"b\","
                               "\"a\",1,\"x y\"],\"signed_metadata\":\"a.b.c\",\"x\":{\"y\":[1]}}",
                               NULL),
                         0);
        assert_string_equal(p.resource, "HTTPS://H.example/mcp");
        assert_int_equal(p.n_issuers, 1);
        assert_string_equal(p.issuers[0], ISSUER);
        assert_true(p.has_scopes);
        assert_scopes(&p.scopes, "a b");
        assert_int_equal(p.n_dropped_scopes, 2);
        assert_false(p.dpop_required);
        assert_false(p.mtls_required);
}

/* A27 */
static void what_is_no_json_object_counts_as_absent(void **state) {
        static const char *const bodies[] = { "<html></html>", "", "[]", "\"x\"", "{", "1",
                                              "{} trailing" };

        for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
                AUTO_PRM struct prm p = PRM_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(parse(&p, bodies[i], &err), -ENODATA);
                assert_int_equal(err.code, MCPB_NO_ERROR);
        }
}

/* A39 */
static void a_document_cut_at_any_byte_is_no_document(void **state) {
        static const char whole[] = "{\"resource\":\"" SERVER "\"," AS "}";

        for (size_t n = 0; n < strlen(whole); n++) {
                AUTO_PRM struct prm p = PRM_INIT;
                AUTO_FREE char *part = strndup(whole, n);

                assert_int_equal(parse(&p, part, NULL), -ENODATA);
        }
}

/* A39 */
static void size_and_depth_have_limits(void **state) {
        AUTO_PRM struct prm p = PRM_INIT;
        AUTO_BUF struct buf body = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&body, "{\"resource\":\"" SERVER "\"," AS ",\"x\":"), 0);
        for (int i = 0; i < LIMIT_METADATA_DEPTH; i++)
                assert_int_equal(buf_append_str(&body, "["), 0);
        for (int i = 0; i < LIMIT_METADATA_DEPTH; i++)
                assert_int_equal(buf_append_str(&body, "]"), 0);
        assert_int_equal(buf_append_str(&body, "}"), 0);
        assert_int_equal(prm_parse(&p, SERVER, URL, &body, &err), -ENODATA);
        while (body.len <= LIMIT_METADATA_BYTES)
                assert_int_equal(buf_append_str(&body, "          "), 0);
        assert_int_equal(prm_parse(&p, SERVER, URL, &body, &err), -EMSGSIZE);
        assert_int_equal(err.code, MCPB_SERVER_ERROR);
}

/* A28 A32 A34 A44 */
static void a_document_that_cannot_be_used_is_refused_with_its_name(void **state) {
        static const struct {
                const char *text;
                enum error_code code;
                const char *says;
        } table[] = {
                { "{\"resource\":\"https://evil.example/mcp\"," AS "}", MCPB_SERVER_ERROR,
                  "evil.example" },
                { "{" AS "}", MCPB_SERVER_ERROR, "which resource" },
                { "{\"resource\":1," AS "}", MCPB_SERVER_ERROR, "which resource" },
                { "{\"resource\":\"" SERVER "\"}", MCPB_SERVER_ERROR, "no authorization server" },
                { "{\"resource\":\"" SERVER "\",\"authorization_servers\":[]}", MCPB_SERVER_ERROR,
                  "no authorization server" },
                { "{\"resource\":\"" SERVER "\",\"authorization_servers\":[1,{}]}",
                  MCPB_SERVER_ERROR, "no authorization server" },
                { "{\"resource\":\"" SERVER "\"," AS ",\"bearer_methods_supported\":[\"query\"]}",
                  MCPB_UNSUPPORTED, "Authorization header" },
                { "{\"resource\":\"" SERVER "\"," AS ",\"bearer_methods_supported\":[]}",
                  MCPB_UNSUPPORTED, "Authorization header" },
                { "{\"resource\":\"" SERVER "\"," AS ",\"token_types\":[\"mac\"]}",
                  MCPB_UNSUPPORTED, "token types" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_PRM struct prm p = PRM_INIT;
                struct error err = ERROR_INIT;

                assert_true(parse(&p, table[i].text, &err) < 0);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.message, table[i].says));
                assert_true(err.hint[0]);
                assert_null(p.resource);
        }
}

/* A34 */
static void the_header_method_among_others_is_enough(void **state) {
        AUTO_PRM struct prm p = PRM_INIT;

        assert_int_equal(parse(&p,
                               "{\"resource\":\"" SERVER "\"," AS
                               ",\"bearer_methods_supported\":[\"body\",\"header\"]}",
                               NULL),
                         0);
}

/* A35 A36 A43 */
static void bound_tokens_are_demanded_by_flag_or_by_old_type_list(void **state) {
        static const struct {
                const char *member;
                bool dpop;
                bool mtls;
        } table[] = {
                { "\"dpop_bound_access_tokens_required\":true", true, false },
                { "\"dpop_bound_access_tokens_required\":\"true\"", false, false },
                { "\"tls_client_certificate_bound_access_tokens\":true", false, true },
                { "\"token_types\":[\"dpop\"]", true, false },
                { "\"token_types\":\"DPoP\"", true, false },
                { "\"token_types\":[\"DPoP\",\"bearer\"]", false, false },
                { "\"token_types\":7", false, false },
                { "\"token_types\":[]", false, false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_PRM struct prm p = PRM_INIT;
                char text[512];

                (void)snprintf(text, sizeof(text), "{\"resource\":\"%s\",%s,%s}", SERVER, AS,
                               table[i].member);
                assert_int_equal(parse(&p, text, NULL), 0);
                assert_int_equal(p.dpop_required, table[i].dpop);
                assert_int_equal(p.mtls_required, table[i].mtls);
        }
}

/* A43 */
static void old_names_are_understood_and_new_ones_win(void **state) {
        static const struct {
                const char *members;
                const char *issuer;
                const char *scopes;
        } table[] = {
                { "\"authorization_server\":\"https://old\",\"scopes\":[\"a\",\"b\"]",
                  "https://old", "a b" },
                { "\"authorization_server\":\"https://old\",\"scopes\":\"b a\"", "https://old",
                  "a b" },
                { "\"authorization_server\":\"https://old\"," AS
                  ",\"scopes\":\"b\",\"scopes_supported\":[\"n\"]",
                  ISSUER, "n" },
                { "\"authorization_server\":\"https://old\",\"authorization_servers\":\"wrong\","
                  "\"scopes\":\"b\",\"scopes_supported\":\"wrong\"",
                  "https://old", "b" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_PRM struct prm p = PRM_INIT;
                char text[512];

                (void)snprintf(text, sizeof(text), "{\"resource\":\"%s\",%s}", SERVER,
                               table[i].members);
                assert_int_equal(parse(&p, text, NULL), 0);
                assert_int_equal(p.n_issuers, 1);
                assert_string_equal(p.issuers[0], table[i].issuer);
                assert_scopes(&p.scopes, table[i].scopes);
        }
}

/* A44 A45 */
static void an_old_document_without_resource_counts_on_the_servers_origin_only(void **state) {
        static const char old[] = "{\"authorization_server\":\"" ISSUER "\"}";
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_PRM struct prm p = PRM_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&body, old), 0);
        assert_int_equal(prm_parse(&p, "https://H.example/mcp", URL, &body, &err), 0);
        assert_string_equal(p.resource, SERVER);
        prm_done(&p);
        assert_true(prm_parse(&p, SERVER, "https://other.example/prm", &body, &err) < 0);
        assert_int_equal(err.code, MCPB_SERVER_ERROR);
        assert_true(prm_parse(&p, SERVER, "https://h.example:8443/prm", &body, &err) < 0);
        buf_clear(&body);
        assert_int_equal(
                buf_append_str(&body,
                               "{\"resource\":\"https://evil.example\",\"authorization_server\":"
                               "\"" ISSUER "\"}"),
                0);
        assert_true(prm_parse(&p, SERVER, URL, &body, &err) < 0);
}

/* A31 A71 */
static void the_issuer_is_the_configured_one_else_a_known_one_else_the_first(void **state) {
        static const char *const known[] = { "https://c", "https://b" };
        AUTO_PRM struct prm p = PRM_INIT;
        struct error err = ERROR_INIT;
        const char *issuer = NULL;

        assert_int_equal(parse(&p,
                               "{\"resource\":\"" SERVER "\",\"authorization_servers\":["
                               "\"https://a\",\"https://b\"]}",
                               NULL),
                         0);
        assert_int_equal(prm_choose_issuer(&p, NULL, NULL, 0, &issuer, NULL), 0);
        assert_string_equal(issuer, "https://a");
        assert_int_equal(prm_choose_issuer(&p, NULL, known, 2, &issuer, NULL), 0);
        assert_string_equal(issuer, "https://b");
        assert_int_equal(prm_choose_issuer(&p, "https://a", known, 2, &issuer, NULL), 0);
        assert_string_equal(issuer, "https://a");
        assert_true(prm_choose_issuer(&p, "https://a/", known, 2, &issuer, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_non_null(strstr(err.message, "'https://a'"));
        assert_non_null(strstr(err.message, "'https://a/'"));
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(well_known_urls_keep_path_and_query_behind_them),
                cmocka_unit_test(a_resource_must_be_the_server_or_stand_above_it),
                cmocka_unit_test(a_resource_of_our_own_making_is_in_canonical_form),
                cmocka_unit_test(
                        a_document_gives_resource_issuers_and_scopes_and_the_rest_is_ignored),
                cmocka_unit_test(what_is_no_json_object_counts_as_absent),
                cmocka_unit_test(a_document_cut_at_any_byte_is_no_document),
                cmocka_unit_test(size_and_depth_have_limits),
                cmocka_unit_test(a_document_that_cannot_be_used_is_refused_with_its_name),
                cmocka_unit_test(the_header_method_among_others_is_enough),
                cmocka_unit_test(bound_tokens_are_demanded_by_flag_or_by_old_type_list),
                cmocka_unit_test(old_names_are_understood_and_new_ones_win),
                cmocka_unit_test(
                        an_old_document_without_resource_counts_on_the_servers_origin_only),
                cmocka_unit_test(the_issuer_is_the_configured_one_else_a_known_one_else_the_first),
        };

        return cmocka_run_group_tests_name("prm", tests, NULL, NULL);
}
