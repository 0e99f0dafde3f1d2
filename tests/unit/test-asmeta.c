/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth.h"

#include "base/limits.h"

#define URL ISSUER "/.well-known/oauth-authorization-server"
#define GOOD                                                                                      \
        "\"issuer\":\"" ISSUER "\",\"authorization_endpoint\":\"" ISSUER "/authorize?tenant=1\"," \
        "\"token_endpoint\":\"" ISSUER "/token\",\"response_types_supported\":[\"code\"],"        \
        "\"code_challenge_methods_supported\":[\"plain\",\"S256\"]"

static int parse_from(struct as_metadata *as, const char *url, const char *text,
                      struct error *err) {
        const struct as_source source = { ISSUER, url, ADDRESS_PUBLIC, false };
        AUTO_ANSWER struct fetch_answer answer;

        answer_make(&answer, 200, text);
        return as_metadata_parse(as, &source, &answer, err);
}

static int parse(struct as_metadata *as, const char *text, struct error *err) {
        return parse_from(as, URL, text, err);
}

/* A55 A56 A59 */
static void the_places_to_look_stand_in_their_order(void **state) {
        static const struct {
                const char *issuer;
                const char *urls[4];
        } table[] = {
                { "https://h",
                  { "https://h/.well-known/oauth-authorization-server",
                    "https://h/.well-known/openid-configuration" } },
                { "https://h/",
                  { "https://h/.well-known/oauth-authorization-server",
                    "https://h/.well-known/openid-configuration" } },
                { "https://h/t/1",
                  { "https://h/.well-known/oauth-authorization-server/t/1",
                    "https://h/.well-known/openid-configuration/t/1",
                    "https://h/t/1/.well-known/openid-configuration" } },
                { "https://h:8443/t/",
                  { "https://h:8443/.well-known/oauth-authorization-server/t",
                    "https://h:8443/.well-known/openid-configuration/t",
                    "https://h:8443/t/.well-known/openid-configuration" } },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                for (unsigned k = 0; k < 4; k++) {
                        AUTO_FREE char *url = NULL;
                        int r = as_metadata_location(table[i].issuer, k, &url);

                        assert_int_equal(r, table[i].urls[k] ? 1 : 0);
                        if (r == 1)
                                assert_string_equal(url, table[i].urls[k]);
                }
        }
}

/* A59 A226 A4 */
static void an_issuer_is_https_without_query_and_fragment(void **state) {
        static const struct {
                const char *issuer;
                unsigned allow;
                enum error_code code;
        } table[] = {
                { "https://h", ADDRESS_PUBLIC, MCPB_NO_ERROR },
                { "https://h/t/", ADDRESS_PUBLIC, MCPB_NO_ERROR },
                { "http://127.0.0.1:8080", ADDRESS_LOOPBACK, MCPB_NO_ERROR },
                { "https://h?x", ADDRESS_PUBLIC, MCPB_ISSUER_ERROR },
                { "https://h?", ADDRESS_PUBLIC, MCPB_ISSUER_ERROR },
                { "https://h#x", ADDRESS_PUBLIC, MCPB_ISSUER_ERROR },
                { "http://h", ADDRESS_PUBLIC, MCPB_ISSUER_ERROR },
                { "h", ADDRESS_PUBLIC, MCPB_ISSUER_ERROR },
                { "file:///etc/passwd", ADDRESS_PUBLIC, MCPB_ISSUER_ERROR },
                { "http://127.0.0.1:8080", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://localhost", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://a.localhost.", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://0x7f.1", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://017700000001", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://10.1.2.3", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://172.31.2.3", ADDRESS_PUBLIC | ADDRESS_PRIVATE, MCPB_NO_ERROR },
                { "https://192.168.2.3", ADDRESS_PUBLIC | ADDRESS_LOOPBACK, MCPB_ADDRESS_REFUSED },
                { "https://169.254.169.254", 7, MCPB_ADDRESS_REFUSED },
                { "https://0.0.0.0", 7, MCPB_ADDRESS_REFUSED },
                { "https://224.0.0.1", 7, MCPB_ADDRESS_REFUSED },
                { "https://[fe80::1]", 7, MCPB_ADDRESS_REFUSED },
                { "https://[ff02::1]", 7, MCPB_ADDRESS_REFUSED },
                { "https://[::]", 7, MCPB_ADDRESS_REFUSED },
                { "https://[::ffff:169.254.169.254]", 7, MCPB_ADDRESS_REFUSED },
                { "https://[64:ff9b::a9fe:a9fe]", 7, MCPB_ADDRESS_REFUSED },
                { "https://[2002:a9fe:a9fe::]", 7, MCPB_ADDRESS_REFUSED },
                { "https://[::ffff:127.0.0.1]", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://[fd00::1]", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://[::1]", ADDRESS_PUBLIC, MCPB_ADDRESS_REFUSED },
                { "https://[2001:db8::1]", ADDRESS_PUBLIC, MCPB_NO_ERROR },
                { "https://93.184.216.34", ADDRESS_PUBLIC, MCPB_NO_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct error err = ERROR_INIT;
                int r = as_issuer_check_within(table[i].issuer, table[i].allow, &err);

                if (err.code != table[i].code || (r < 0) != (table[i].code != MCPB_NO_ERROR))
                        fail_msg("%s: %s", table[i].issuer, err.message);
        }
}

/* A54 A61 */
static void a_document_is_read_and_what_it_omits_has_its_default(void **state) {
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(parse(&as, "{" GOOD "}", &err), 0);
        assert_string_equal(as.issuer, ISSUER);
        assert_string_equal(as.authorization_endpoint, ISSUER "/authorize?tenant=1");
        assert_string_equal(as.token_endpoint, ISSUER "/token");
        assert_null(as.registration_endpoint);
        assert_false(as.token_auth_methods_given);
        assert_int_equal(as.token_auth_methods, CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC));
        assert_int_equal(as.grant_types, AS_GRANT_CODE);
        assert_false(as.iss_supported);
        assert_false(as.cimd_supported);
        assert_false(as.openid);
        assert_false(as.has_scopes);
        assert_int_equal(as_metadata_check(&as, AS_USE_CODE, &err), 0);
}

static void everything_that_is_said_is_kept(void **state) {
        static const char text[] =
                "{" GOOD ",\"registration_endpoint\":\"" ISSUER
                "/r\",\"revocation_endpoint\":\"" ISSUER
                "/v\",\"token_endpoint_auth_methods_supported\":[\"none\","
                "\"client_secret_post\",\"odd\",\"private_key_jwt\",\"spiffe_jwt\"],\"grant_types_"
                "supported\":["
                "\"authorization_code\",\"refresh_token\",\"implicit\"],"
                "\"authorization_response_iss_parameter_supported\":true,"
                "\"client_id_metadata_document_supported\":true,\"scopes_supported\":[\"b\","
                "\"a\"],\"protected_resources\":[\"https://h/mcp\"],"
                "\"dpop_signing_alg_values_supported\":[\"ES256\"],"
                "\"token_endpoint_auth_signing_alg_values_supported\":[\"PS256\",\"ES256\"],"
                "\"pushed_authorization_request_endpoint\":\"" ISSUER "/par\","
                "\"device_authorization_endpoint\":\"" ISSUER "/device\","
                "\"challenge_endpoint\":\"" ISSUER "/challenge\","
                "\"mtls_endpoint_aliases\":{\"token_endpoint\":\"https://mtls.example/token\"},"
                "\"authorization_grant_profiles_supported\":["
                "\"urn:ietf:params:oauth:grant-profile:id-jag\"]}";
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
        AUTO_AS_METADATA struct as_metadata back = AS_METADATA_INIT;
        AUTO_AS_METADATA struct as_metadata copy = AS_METADATA_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *again = NULL;
        AUTO_JSON json_t *third = NULL;

        assert_int_equal(parse(&as, text, NULL), 0);
        assert_string_equal(as.registration_endpoint, ISSUER "/r");
        assert_int_equal(as.token_auth_methods,
                         CLIENT_AUTH_BIT(CLIENT_AUTH_NONE) | CLIENT_AUTH_BIT(CLIENT_AUTH_POST) |
                                 CLIENT_AUTH_BIT(CLIENT_AUTH_PRIVATE_KEY_JWT) |
                                 CLIENT_AUTH_BIT(CLIENT_AUTH_SPIFFE_JWT));
        assert_int_equal(as.grant_types, AS_GRANT_CODE | AS_GRANT_REFRESH);
        assert_true(as.iss_supported);
        assert_true(as.cimd_supported);
        assert_scopes(&as.scopes_supported, "a b");
        assert_int_equal(as.n_protected_resources, 1);
        assert_int_equal(as.n_dpop_algs, 1);
        assert_int_equal(as.n_token_auth_algs, 2);
        assert_string_equal(as.token_auth_algs[0], "PS256");
        assert_string_equal(as.par_endpoint, ISSUER "/par");
        assert_string_equal(as.device_authorization_endpoint, ISSUER "/device");
        assert_string_equal(as.challenge_endpoint, ISSUER "/challenge");
        assert_string_equal(as.mtls_token_endpoint, "https://mtls.example/token");
        assert_true(as.id_jag);
        assert_int_equal(as_metadata_to_json(&as, &json), 0);
        assert_int_equal(as_metadata_from_json(&back, json), 0);
        assert_int_equal(as_metadata_to_json(&back, &again), 0);
        assert_true(json_equal(json, again));
        assert_int_equal(as_metadata_copy(&copy, &back), 0);
        assert_int_equal(as_metadata_to_json(&copy, &third), 0);
        assert_true(json_equal(json, third));
        assert_int_equal(json_object_del(json, "issuer"), 0);
        assert_int_equal(as_metadata_from_json(&back, json), -EBADMSG);
}

/* A58 A45 */
static void a_document_of_another_issuer_is_not_used(void **state) {
        static const char *const others[] = {
                "{\"issuer\":\"https://attacker.example.com\",\"token_endpoint\":\"https://a/t\"}",
                "{\"issuer\":\"" ISSUER "/\",\"token_endpoint\":\"" ISSUER "/t\"}",
                "{\"issuer\":\"HTTPS://as.example.com\",\"token_endpoint\":\"" ISSUER "/t\"}",
                "{\"issuer\":\"https://as.example.com:443\",\"token_endpoint\":\"" ISSUER "/t\"}",
                "{\"token_endpoint\":\"" ISSUER "/t\"}",
                "{\"issuer\":7,\"token_endpoint\":\"" ISSUER "/t\"}",
        };

        for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
                AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
                struct error err = ERROR_INIT;

                assert_true(parse(&as, others[i], &err) < 0);
                assert_int_equal(err.code, MCPB_ISSUER_ERROR);
                assert_non_null(strstr(err.message, URL));
                assert_null(as.token_endpoint);
        }
}

/* A57 A39 */
static void what_is_no_json_object_is_no_document(void **state) {
        static const char whole[] = "{" GOOD "}";
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
        struct error err = ERROR_INIT;

        for (size_t n = 0; n < strlen(whole); n++) {
                AUTO_FREE char *part = strndup(whole, n);

                assert_int_equal(parse(&as, part, &err), -ENODATA);
        }
        assert_int_equal(parse(&as, "[1]", &err), -ENODATA);
        assert_int_equal(err.code, MCPB_NO_ERROR);
}

/* A39 */
static void size_and_depth_have_limits(void **state) {
        const struct as_source from = { ISSUER, URL, ADDRESS_PUBLIC, false };
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
        AUTO_ANSWER struct fetch_answer a;
        AUTO_BUF struct buf deep = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&deep, "{" GOOD ",\"x\":"), 0);
        for (int i = 0; i < LIMIT_METADATA_DEPTH; i++)
                assert_int_equal(buf_append_str(&deep, "["), 0);
        for (int i = 0; i < LIMIT_METADATA_DEPTH; i++)
                assert_int_equal(buf_append_str(&deep, "]"), 0);
        assert_int_equal(buf_append_str(&deep, "}"), 0);
        assert_int_equal(parse(&as, deep.data, &err), -ENODATA);

        answer_make(&a, 200, "{" GOOD "}");
        while (a.body.len <= LIMIT_METADATA_BYTES)
                assert_int_equal(buf_append_str(&a.body, "          "), 0);
        assert_int_equal(as_metadata_parse(&as, &from, &a, &err), -EMSGSIZE);
        assert_int_equal(err.code, MCPB_ISSUER_ERROR);
        assert_null(as.issuer);
}

/* A60 A62 */
static void a_missing_member_is_named(void **state) {
        static const char *const members[][2] = {
                { "token_endpoint", "token_endpoint" },
                { "authorization_endpoint", "authorization_endpoint" },
                { "response_types_supported", "response_types_supported" },
                { "code_challenge_methods_supported", "code_challenge_methods_supported" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
                AUTO_JSON json_t *json = json_loads("{" GOOD "}", 0, NULL);
                AUTO_BUF struct buf text = BUF_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(json_object_del(json, members[i][0]), 0);
                assert_int_equal(json_write(&text, json), 0);
                assert_int_equal(parse(&as, text.data, &err), 0);
                assert_true(as_metadata_check(&as, AS_USE_CODE, &err) < 0);
                assert_int_equal(err.code, MCPB_ISSUER_ERROR);
                assert_non_null(strstr(err.message, members[i][1]));
                /* Other grants need the token endpoint only. */
                assert_int_equal(as_metadata_check(&as, AS_USE_TOKEN, NULL) < 0, i == 0);
        }
}

/* A60 A62 A108 */
static void a_list_without_what_we_need_is_as_good_as_none(void **state) {
        static const struct {
                const char *text;
                enum error_code code;
                const char *says;
        } table[] = {
                { "{\"response_types_supported\":[\"token\"]}", MCPB_ISSUER_ERROR, "code in" },
                { "{\"code_challenge_methods_supported\":[\"plain\"]}", MCPB_ISSUER_ERROR, "S256" },
                { "{\"code_challenge_methods_supported\":\"S256\"}", MCPB_ISSUER_ERROR, "S256" },
                { "{\"grant_types_supported\":[\"client_credentials\"]}", MCPB_ISSUER_ERROR,
                  "authorization_code" },
                { "{\"require_pushed_authorization_requests\":true}", MCPB_ISSUER_ERROR,
                  "pushed_authorization_request_endpoint" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
                AUTO_JSON json_t *json = json_loads("{" GOOD "}", 0, NULL);
                AUTO_JSON json_t *other = json_loads(table[i].text, 0, NULL);
                AUTO_BUF struct buf text = BUF_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(json_object_update(json, other), 0);
                assert_int_equal(json_write(&text, json), 0);
                assert_int_equal(parse(&as, text.data, NULL), 0);
                assert_true(as_metadata_check(&as, AS_USE_CODE, &err) < 0);
                assert_int_equal(err.code, table[i].code);
                assert_non_null(strstr(err.message, table[i].says));
                assert_int_equal(as_metadata_check(&as, AS_USE_TOKEN, NULL), 0);
        }
}

/* A4 A63 A100 A226 */
static void every_endpoint_is_judged(void **state) {
        static const char *const names[] = { "authorization_endpoint", "token_endpoint",
                                             "registration_endpoint", "revocation_endpoint",
                                             "pushed_authorization_request_endpoint" };
        static const struct {
                const char *url;
                enum error_code code;
        } bad[] = {
                { "http://as.example.com/x", MCPB_ISSUER_ERROR },
                { "file:///x", MCPB_ISSUER_ERROR },
                { "javascript:alert(1)", MCPB_ISSUER_ERROR },
                { "data:text/html,x", MCPB_ISSUER_ERROR },
                { "/relative", MCPB_ISSUER_ERROR },
                { "https://as.example.com/x#f", MCPB_ISSUER_ERROR },
                { "https://as.example.com/x y", MCPB_ISSUER_ERROR },
                { "https://u:p@as.example.com/x", MCPB_ISSUER_ERROR },
                { "http://127.0.0.1/x", MCPB_ADDRESS_REFUSED },
                { "https://169.254.169.254/x", MCPB_ADDRESS_REFUSED },
                { "https://10.0.0.1/x", MCPB_ADDRESS_REFUSED },
        };

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                for (size_t k = 0; k < ARRAY_SIZE(bad); k++) {
                        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
                        AUTO_JSON json_t *json = json_loads("{" GOOD "}", 0, NULL);
                        AUTO_BUF struct buf text = BUF_INIT;
                        struct error err = ERROR_INIT;

                        assert_int_equal(
                                json_object_set_new(json, names[i], json_string(bad[k].url)), 0);
                        assert_int_equal(json_write(&text, json), 0);
                        assert_true(parse(&as, text.data, &err) < 0);
                        assert_int_equal(err.code, bad[k].code);
                        assert_non_null(strstr(err.message, names[i]));
                }
        }
}

/* A63 S8 */
static void an_endpoint_that_a_login_does_without_costs_nothing(void **state) {
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;

        assert_int_equal(
                parse(&as,
                      "{" GOOD ",\"device_authorization_endpoint\":\"http://x/\","
                      "\"challenge_endpoint\":\"https://169.254.169.254/c\","
                      "\"mtls_endpoint_aliases\":{\"token_endpoint\":\"https://10.0.0.1/t\"}}",
                      NULL),
                0);
        assert_null(as.device_authorization_endpoint);
        assert_null(as.challenge_endpoint);
        assert_null(as.mtls_token_endpoint);
}

/* The member of our records is none of theirs. */
static void an_alias_stands_where_the_standard_puts_it(void **state) {
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;

        assert_int_equal(parse(&as, "{" GOOD ",\"mtls_token_endpoint\":\"https://h/\"}", NULL), 0);
        assert_null(as.mtls_token_endpoint);
}

/* A54 A110 */
static void an_openid_provider_is_known_by_its_document(void **state) {
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;

        assert_int_equal(
                parse_from(&as, ISSUER "/.well-known/openid-configuration", "{" GOOD "}", NULL), 0);
        assert_true(as.openid);
        as_metadata_done(&as);
        assert_int_equal(parse(&as, "{" GOOD ",\"scopes_supported\":[\"openid\"]}", NULL), 0);
        assert_true(as.openid);
}

/* A65 */
static void metadata_is_kept_an_hour_at_most_and_less_if_http_says_so(void **state) {
        static const struct {
                const char *control;
                uint64_t sec;
        } table[] = {
                { NULL, 3600 },
                { "public", 3600 },
                { "max-age=60", 60 },
                { "public, Max-Age=0", 0 },
                { "max-age=999999999999999999999999", 3600 },
                { "max-age=x", 3600 },
                { "no-store, max-age=60", 0 },
                { "NO-CACHE", 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const struct as_source source = { ISSUER, URL, ADDRESS_PUBLIC, false };
                AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
                AUTO_ANSWER struct fetch_answer answer;

                answer_make(&answer, 200, "{" GOOD "}");
                if (table[i].control)
                        assert_int_equal(
                                fetch_answer_add_header(&answer, "cache-control", table[i].control),
                                0);
                assert_int_equal(as_metadata_parse(&as, &source, &answer, NULL), 0);
                assert_int_equal(as.cache_sec, table[i].sec);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_places_to_look_stand_in_their_order),
                cmocka_unit_test(an_issuer_is_https_without_query_and_fragment),
                cmocka_unit_test(a_document_is_read_and_what_it_omits_has_its_default),
                cmocka_unit_test(everything_that_is_said_is_kept),
                cmocka_unit_test(a_document_of_another_issuer_is_not_used),
                cmocka_unit_test(what_is_no_json_object_is_no_document),
                cmocka_unit_test(size_and_depth_have_limits),
                cmocka_unit_test(a_missing_member_is_named),
                cmocka_unit_test(a_list_without_what_we_need_is_as_good_as_none),
                cmocka_unit_test(every_endpoint_is_judged),
                cmocka_unit_test(an_endpoint_that_a_login_does_without_costs_nothing),
                cmocka_unit_test(an_alias_stands_where_the_standard_puts_it),
                cmocka_unit_test(an_openid_provider_is_known_by_its_document),
                cmocka_unit_test(metadata_is_kept_an_hour_at_most_and_less_if_http_says_so),
        };

        return cmocka_run_group_tests_name("asmeta", tests, NULL, NULL);
}
