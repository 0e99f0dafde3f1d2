/* SPDX-License-Identifier: Apache-2.0 */
#include "site.h"

#include "oom.h"

/* A8 A16 A24 A54 A157 */
static void the_link_of_a_challenge_is_followed_and_no_well_known_place(void **state) {
        struct run run = { .sites = { PAGE("https://mcp.example.com/custom/meta.json", PRM),
                                      PAGE(PRM_ROOT, PRM_OF("https://trap.example")),
                                      PAGE(AS_OAUTH, AS) } };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        struct discover_params params = { .server_url = SERVER, .challenge = &c };
        AUTO_DISCOVER struct discover *d = NULL;
        const struct discover_result *res;

        challenge_make(&c, "Bearer resource_metadata=\"https://mcp.example.com/custom/meta.json\", "
                           "scope=\"a\"");
        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG("https://mcp.example.com/custom/meta.json", AS_OAUTH));
        res = discover_result(d);
        assert_false(res->open);
        assert_string_equal(res->resource, SERVER);
        assert_string_equal(res->prm_url, "https://mcp.example.com/custom/meta.json");
        assert_string_equal(res->issuer, ISSUER);
        assert_string_equal(res->as.token_endpoint, ISSUER "/token");
        assert_scopes(&res->challenge.scopes, "a");
        assert_false(res->has_prm_scopes);
        assert_int_equal(res->reached, ADDRESS_PUBLIC);
        assert_null(res->warning);
}

/* A9 A25 A56 */
static void without_a_link_the_places_are_tried_in_order(void **state) {
        struct run run = { .sites = { SAYS(PRM_PATH, 404, NULL, NULL),
                                      PAGE(PRM_ROOT, PRM_OF("https://mcp.example.com")),
                                      PAGE(AS_OPENID, AS) } };
        AUTO_CHALLENGE struct challenge none = CHALLENGE_INIT;
        struct discover_params params = { .server_url = SERVER, .challenge = &none };
        AUTO_DISCOVER struct discover *d = NULL;

        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(PRM_PATH, PRM_ROOT, AS_OAUTH, AS_OPENID));
        assert_string_equal(discover_result(d)->resource, "https://mcp.example.com");
}

/* A27 A57 */
static void html_with_200_counts_as_absent(void **state) {
        struct run run = { .sites = { PAGE(PRM_PATH, "<html>"), PAGE(PRM_ROOT, PRM),
                                      PAGE(AS_OAUTH, "<html>"), PAGE(AS_OPENID, AS) } };
        struct discover_params params = { .server_url = SERVER };
        AUTO_DISCOVER struct discover *d = NULL;

        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(PRM_PATH, PRM_ROOT, AS_OAUTH, AS_OPENID));
}

/* A2 A8 */
static void the_probe_asks_the_server_and_an_open_one_needs_no_more(void **state) {
        struct run run = { .sites = { PAGE(SERVER, "{}") } };
        struct discover_params params = { .server_url = SERVER, .probe = true };
        AUTO_DISCOVER struct discover *d = NULL;
        AUTO_DISCOVER struct discover *one = NULL;
        AUTO_REQUEST struct fetch_request req = { 0 };
        AUTO_JSON json_t *body = NULL;

        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(SERVER));
        assert_true(discover_result(d)->open);
        assert_null(discover_result(d)->resource);

        assert_int_equal(discover_new(&params, &one, NULL), 0);
        assert_int_equal(discover_next(one, &req), 1);
        assert_string_equal(req.method, "POST");
        assert_string_equal(request_header(&req, "Accept"), "application/json, text/event-stream");
        assert_string_equal(request_header(&req, "Content-Type"), "application/json");
        assert_non_null(request_header(&req, "MCP-Protocol-Version"));
        assert_null(request_header(&req, "Authorization"));
        assert_int_equal(json_parse(req.body.data, req.body.len, 8, &body, NULL), 0);
        assert_string_equal(json_get_string(body, "method"), "initialize");
        assert_string_equal(json_get_string(json_object_get(body, "params"), "protocolVersion"),
                            request_header(&req, "MCP-Protocol-Version"));
}

/* A2 */
static void a_probe_that_is_answered_by_an_endless_stream_is_open(void **state) {
        struct discover_params params = { .server_url = SERVER, .probe = true };
        AUTO_DISCOVER struct discover *d = NULL;
        AUTO_REQUEST struct fetch_request req = { 0 };
        AUTO_ANSWER struct fetch_answer a;

        assert_int_equal(discover_new(&params, &d, NULL), 0);
        assert_int_equal(discover_next(d, &req), 1);
        answer_none(&a, FETCH_NO_ANSWER, FETCH_FAILURE_TIMEOUT);
        a.status = 200;
        assert_int_equal(discover_feed(d, &a, NULL), 0);
        assert_true(discover_result(d)->open);
}

/* A8 A9 A19 */
static void a_refused_probe_leads_on(void **state) {
        static const struct {
                unsigned status;
                const char *header;
                const char *first; /* asked next */
                const char *scopes;
        } table[] = {
                { 401, NULL, PRM_PATH, "" },
                { 401, "Basic realm=x", PRM_PATH, "" },
                { 401, "Bearer resource_metadata=\"" PRM_ROOT "\", scope=a", PRM_ROOT, "a" },
                { 400, NULL, PRM_PATH, "" },
                { 403, NULL, PRM_PATH, "" },
                { 403, "Bearer scope=no", PRM_PATH, "" },
                { 404, NULL, PRM_PATH, "" },
                { 405, NULL, PRM_PATH, "" },
                { 406, NULL, PRM_PATH, "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct run run = {
                        .sites = { SAYS(SERVER, table[i].status, "secret page", table[i].header),
                                   PAGE(PRM_PATH, PRM), PAGE(PRM_ROOT, PRM), PAGE(AS_OAUTH, AS) }
                };
                struct discover_params params = { .server_url = SERVER, .probe = true };
                AUTO_DISCOVER struct discover *d = NULL;

                assert_int_equal(drive(&run, &params, &d, NULL), 0);
                assert_log(&run, LOG(SERVER, table[i].first, AS_OAUTH));
                assert_scopes(&discover_result(d)->challenge.scopes, table[i].scopes);
        }
}

/* A3 */
static void a_given_challenge_saves_the_probe(void **state) {
        struct run run = { .sites = { PAGE(PRM_PATH, PRM), PAGE(AS_OAUTH, AS) } };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        struct discover_params params = { .server_url = SERVER, .challenge = &c, .probe = true };
        AUTO_DISCOVER struct discover *d = NULL;

        challenge_make(&c, "Bearer scope=a");
        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(PRM_PATH, AS_OAUTH));
}

/* A22 S10 */
static void a_peers_link_counts_only_if_the_server_could_have_said_it(void **state) {
        static const struct {
                const char *link;
                const char *recorded;
                const char *first;
        } table[] = {
                { PRM_ROOT, NULL, PRM_ROOT },
                { "https://elsewhere.example/prm", "https://elsewhere.example/prm",
                  "https://elsewhere.example/prm" },
                { "https://elsewhere.example/prm", NULL, SERVER },
                { "https://elsewhere.example/prm", "https://elsewhere.example/prm2", SERVER },
                { "https://mcp.example.com:8443/prm", NULL, SERVER },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct run run = {
                        .sites = { PAGE("https://elsewhere.example/prm", PRM),
                                   SAYS(SERVER, 401, NULL,
                                        "Bearer scope=x, resource_metadata=\"" PRM_PATH "\""),
                                   PAGE(PRM_PATH, PRM), PAGE(PRM_ROOT, PRM), PAGE(AS_OAUTH, AS) }
                };
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
                struct discover_params params = { .server_url = SERVER,
                                                  .challenge = &c,
                                                  .challenge_is_hint = true,
                                                  .recorded_prm_url = table[i].recorded };
                AUTO_DISCOVER struct discover *d = NULL;
                char value[256];

                (void)snprintf(value, sizeof(value), "Bearer resource_metadata=\"%s\", scope=peer",
                               table[i].link);
                challenge_make(&c, value);
                assert_int_equal(drive(&run, &params, &d, NULL), 0);
                assert_string_equal(run.log[0], table[i].first);
                assert_string_equal(run.log[1],
                                    streq(table[i].first, SERVER) ? PRM_PATH : AS_OAUTH);
                assert_scopes(&discover_result(d)->challenge.scopes, "peer");
        }
}

/* A22 */
static void an_open_answer_to_our_own_request_does_not_undo_a_peers_challenge(void **state) {
        struct run run = { .sites = { PAGE(SERVER, "{}"), PAGE(PRM_PATH, PRM),
                                      PAGE(AS_OAUTH, AS) } };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        struct discover_params params = { .server_url = SERVER,
                                          .challenge = &c,
                                          .challenge_is_hint = true };
        AUTO_DISCOVER struct discover *d = NULL;

        challenge_make(&c, "Bearer resource_metadata=\"https://elsewhere.example/prm\"");
        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(SERVER, PRM_PATH, AS_OAUTH));
        assert_false(discover_result(d)->open);
}

struct failure {
        struct site sites[5];
        bool probe;
        enum error_code code;
        const char *says;
        size_t n_requests;
};

static void check_failures(const struct failure *table, size_t n) {
        for (size_t i = 0; i < n; i++) {
                struct run run = { 0 };
                struct discover_params params = { .server_url = SERVER, .probe = table[i].probe };
                AUTO_DISCOVER struct discover *d = NULL;
                struct error err = ERROR_INIT;

                memcpy(run.sites, table[i].sites, sizeof(table[i].sites));
                assert_true(drive(&run, &params, &d, &err) < 0);
                if (err.code != table[i].code || !strstr(err.message, table[i].says))
                        fail_msg("row %zu: %s: %s", i, error_name(err.code), err.message);
                assert_true(err.hint[0]);
                assert_null(strstr(err.message, "secret page"));
                assert_int_equal(run.n_log, table[i].n_requests);
        }
}

/* A6 A38 A170 A229 */
static void a_failing_server_ends_it_with_its_reason(void **state) {
        static const struct failure table[] = {
                { { SAYS(SERVER, 500, "secret page", NULL) }, true, MCPB_SERVER_ERROR, "500", 1 },
                { { SAYS(SERVER, 503, NULL, NULL) }, true, MCPB_SERVER_ERROR, SERVER, 1 },
                { { SAYS(SERVER, 429, NULL, NULL) }, true, MCPB_SERVER_ERROR, "429", 1 },
                { { SAYS(SERVER, 307, NULL, "https://evil.example/mcp") },
                  true,
                  MCPB_SERVER_ERROR,
                  "https://evil.example/mcp",
                  1 },
                { { DEAD(SERVER, FETCH_FAILURE_RESOLVE) },
                  true,
                  MCPB_SERVER_UNREACHABLE,
                  SERVER,
                  1 },
                { { DEAD(SERVER, FETCH_FAILURE_TLS) }, true, MCPB_SERVER_UNREACHABLE, SERVER, 1 },
                { { DEAD(SERVER, FETCH_FAILURE_ADDRESS) }, true, MCPB_ADDRESS_REFUSED, SERVER, 1 },
                { { DEAD(SERVER, FETCH_FAILURE_TOO_LARGE) }, true, MCPB_SERVER_ERROR, SERVER, 1 },
                { { SAYS(PRM_PATH, 500, "secret page", NULL), PAGE(PRM_ROOT, PRM) },
                  false,
                  MCPB_SERVER_ERROR,
                  PRM_PATH,
                  1 },
                { { SAYS(PRM_PATH, 302, NULL, "https://evil.example/") },
                  false,
                  MCPB_SERVER_ERROR,
                  "https://evil.example/",
                  1 },
                { { DEAD(PRM_PATH, FETCH_FAILURE_TIMEOUT) },
                  false,
                  MCPB_SERVER_UNREACHABLE,
                  PRM_PATH,
                  1 },
                { { SAYS(SERVER, 404, NULL, NULL) }, true, MCPB_SERVER_ERROR, "404", 3 },
                { { SAYS(SERVER, 403, NULL, NULL) }, true, MCPB_SERVER_ERROR, PRM_ROOT, 3 },
        };

        check_failures(table, ARRAY_SIZE(table));
}

/* A35 A201 */
static void that_a_server_takes_only_bound_tokens_is_found_out(void **state) {
        static const struct {
                const char *challenge;
                const char *prm;
                bool required;
        } table[] = {
                { "DPoP algs=\"ES256\"", PRM, true },
                { "DPoP algs=\"ES256\", Bearer", PRM, false },
                { "Bearer", PRM, false },
                { "Bearer",
                  "{\"resource\":\"" SERVER "\",\"authorization_servers\":[\"" ISSUER
                  "\"],\"dpop_bound_access_tokens_required\":true}",
                  true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct run run = { .sites = { SAYS(SERVER, 401, NULL, table[i].challenge),
                                              PAGE(PRM_PATH, table[i].prm), PAGE(AS_OAUTH, AS) } };
                struct discover_params params = { .server_url = SERVER, .probe = true };
                AUTO_DISCOVER struct discover *d = NULL;

                assert_int_equal(drive(&run, &params, &d, NULL), 0);
                assert_int_equal(discover_result(d)->dpop_required, table[i].required);
        }
}

/* A28 A32 A34 A36 A45 */
static void unusable_resource_metadata_ends_it_before_any_issuer_is_asked(void **state) {
        static const struct failure table[] = {
                { { PAGE(PRM_PATH, PRM_OF("https://evil.example.com/mcp")), PAGE(PRM_ROOT, PRM) },
                  false,
                  MCPB_SERVER_ERROR,
                  "evil.example.com",
                  1 },
                { { PAGE(PRM_PATH, "{\"resource\":\"" SERVER "\",\"authorization_servers\":[]}"),
                    PAGE(PRM_ROOT, PRM) },
                  false,
                  MCPB_SERVER_ERROR,
                  PRM_PATH,
                  1 },
                { { PAGE(PRM_PATH,
                         "{\"resource\":\"" SERVER "\",\"authorization_servers\":[\"" ISSUER
                         "\"],\"tls_client_certificate_bound_access_tokens\":true}") },
                  false,
                  MCPB_UNSUPPORTED,
                  "certificate",
                  1 },
                { { PAGE(PRM_PATH, "{\"resource\":\"" SERVER
                                   "\",\"authorization_servers\":[\"" ISSUER "?x\"]}") },
                  false,
                  MCPB_ISSUER_ERROR,
                  "query",
                  1 },
                { { PAGE(PRM_PATH, "{\"resource\":\"" SERVER
                                   "\",\"authorization_servers\":[\"http://127.0.0.1:1\"]}") },
                  false,
                  MCPB_ADDRESS_REFUSED,
                  "127.0.0.1",
                  1 },
                { { PAGE(PRM_PATH, "{\"resource\":\"" SERVER
                                   "\",\"authorization_servers\":[\"http://as.example.com\"]}") },
                  false,
                  MCPB_ISSUER_ERROR,
                  "not https",
                  1 },
        };

        check_failures(table, ARRAY_SIZE(table));
}

/* A45 A57 A58 A60 A62 A63 A240 */
static void unusable_issuer_metadata_ends_it_without_guessing(void **state) {
        static const struct failure table[] = {
                { { PAGE(PRM_PATH, PRM) }, false, MCPB_ISSUER_ERROR, ISSUER, 3 },
                { { PAGE(PRM_PATH, PRM), SAYS(AS_OAUTH, 500, NULL, NULL), PAGE(AS_OPENID, AS) },
                  false,
                  MCPB_ISSUER_ERROR,
                  "500",
                  2 },
                { { PAGE(PRM_PATH, PRM), DEAD(AS_OAUTH, FETCH_FAILURE_CONNECT) },
                  false,
                  MCPB_ISSUER_UNREACHABLE,
                  AS_OAUTH,
                  2 },
                { { PAGE(PRM_PATH, PRM), SAYS(AS_OAUTH, 301, NULL, "https://x.example/") },
                  false,
                  MCPB_ISSUER_ERROR,
                  "https://x.example/",
                  2 },
                { { PAGE(PRM_PATH, PRM),
                    PAGE(AS_OAUTH, AS_BODY("https://attacker.example.com", "")),
                    PAGE(AS_OPENID, AS) },
                  false,
                  MCPB_ISSUER_ERROR,
                  "attacker.example.com",
                  2 },
                { { PAGE(PRM_PATH, PRM), PAGE(AS_OAUTH, "{\"issuer\":\"" ISSUER "\"}") },
                  false,
                  MCPB_ISSUER_ERROR,
                  "token_endpoint",
                  2 },
                { { PAGE(PRM_PATH, PRM),
                    PAGE(AS_OAUTH,
                         AS_BODY(ISSUER,
                                 ",\"registration_endpoint\":\"http://as.example.com/r\"")) },
                  false,
                  MCPB_ISSUER_ERROR,
                  "registration_endpoint",
                  2 },
                { { PAGE(PRM_PATH, PRM),
                    PAGE(AS_OAUTH,
                         AS_BODY(ISSUER, ",\"require_pushed_authorization_requests\":true")) },
                  false,
                  MCPB_ISSUER_ERROR,
                  "pushed_authorization_request_endpoint",
                  2 },
        };

        check_failures(table, ARRAY_SIZE(table));
}

/* A38 A226 */
static void a_link_to_a_forbidden_place_is_not_fetched(void **state) {
        static const struct {
                const char *link;
                enum error_code code;
        } table[] = {
                { "http://169.254.169.254/", MCPB_SERVER_ERROR },
                { "https://169.254.169.254/", MCPB_ADDRESS_REFUSED },
                { "https://[::ffff:169.254.169.254]/", MCPB_ADDRESS_REFUSED },
                { "http://localhost:8080/prm", MCPB_ADDRESS_REFUSED },
                { "https://192.168.1.1/prm", MCPB_ADDRESS_REFUSED },
                { "file:///etc/passwd", MCPB_SERVER_ERROR },
                { "prm.json", MCPB_SERVER_ERROR },
                { PRM_PATH "#x", MCPB_SERVER_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
                struct discover_params params = { .server_url = SERVER, .challenge = &c };
                AUTO_DISCOVER struct discover *d = NULL;
                struct run run = { 0 };
                struct error err = ERROR_INIT;
                char value[256];

                (void)snprintf(value, sizeof(value), "Bearer resource_metadata=\"%s\"",
                               table[i].link);
                challenge_make(&c, value);
                assert_true(drive(&run, &params, &d, &err) < 0);
                assert_int_equal(err.code, table[i].code);
                assert_int_equal(run.n_log, 0);
        }
}

/* A16 */
static void a_link_to_nothing_is_no_reason_to_look_elsewhere(void **state) {
        struct run run = { .sites = { PAGE(PRM_PATH, PRM) } };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        struct discover_params params = { .server_url = SERVER, .challenge = &c };
        AUTO_DISCOVER struct discover *d = NULL;
        struct error err = ERROR_INIT;

        challenge_make(&c, "Bearer resource_metadata=\"https://mcp.example.com/gone\"");
        assert_true(drive(&run, &params, &d, &err) < 0);
        assert_int_equal(run.n_log, 1);
        assert_non_null(strstr(err.message, "https://mcp.example.com/gone"));
}

/* A226 S8 */
static void metadata_may_lead_to_the_servers_own_class_and_to_the_public(void **state) {
        static const struct {
                unsigned server_allow;
                unsigned metadata_allow;
                enum address_class reached;
                unsigned server;
                unsigned issuer;
        } table[] = {
                { 0, 0, ADDRESS_PUBLIC, 7, ADDRESS_PUBLIC },
                { 0, 0, ADDRESS_PRIVATE, 7, ADDRESS_PUBLIC | ADDRESS_PRIVATE },
                { ADDRESS_LOOPBACK, 0, ADDRESS_LOOPBACK, ADDRESS_LOOPBACK,
                  ADDRESS_PUBLIC | ADDRESS_LOOPBACK },
                { ADDRESS_PUBLIC, ADDRESS_PUBLIC | ADDRESS_PRIVATE, ADDRESS_PUBLIC, ADDRESS_PUBLIC,
                  ADDRESS_PUBLIC | ADDRESS_PRIVATE },
                /* No server is there, and no metadata lead there. */
                { 0, 0, ADDRESS_LINK_LOCAL, 7, ADDRESS_PUBLIC },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct discover_params params = { .server_url = SERVER,
                                                  .server_allow = table[i].server_allow,
                                                  .metadata_allow = table[i].metadata_allow };
                AUTO_DISCOVER struct discover *d = NULL;
                AUTO_REQUEST struct fetch_request prm = { 0 };
                AUTO_REQUEST struct fetch_request as = { 0 };
                AUTO_ANSWER struct fetch_answer a;

                assert_int_equal(discover_new(&params, &d, NULL), 0);
                assert_int_equal(discover_next(d, &prm), 1);
                assert_int_equal(prm.allow, table[i].server);
                answer_make(&a, 200, PRM);
                a.reached = table[i].reached;
                assert_int_equal(discover_feed(d, &a, NULL), 0);
                assert_int_equal(discover_next(d, &as), 1);
                assert_int_equal(as.allow, table[i].issuer);
                assert_false(prm.link_local || as.link_local);
        }
}

/* A31 A71 */
static void the_issuer_is_chosen_by_what_we_hold(void **state) {
        static const char two[] = "{\"resource\":\"" SERVER "\",\"authorization_servers\":["
                                  "\"https://first.example\",\"" ISSUER "\"]}";
        static const char *const known[] = { "https://other.example", ISSUER };
        struct run run = { .sites = { PAGE(PRM_PATH, two), PAGE(AS_OAUTH, AS) } };
        struct discover_params params = { .server_url = SERVER,
                                          .known_issuers = known,
                                          .n_known = 2 };
        AUTO_DISCOVER struct discover *d = NULL;
        AUTO_DISCOVER struct discover *none = NULL;
        struct error err = ERROR_INIT;

        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_string_equal(discover_result(d)->issuer, ISSUER);
        params.configured_issuer = "https://configured.example";
        assert_true(drive(&run, &params, &none, &err) < 0);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        assert_non_null(strstr(err.message, "https://first.example"));
        assert_non_null(strstr(err.message, "https://configured.example"));
}

/* A65 A22 */
static void kept_issuer_metadata_saves_its_request_and_only_that(void **state) {
        struct run run = { .sites = { PAGE(PRM_PATH, PRM), PAGE(AS_OAUTH, AS) } };
        AUTO_AS_METADATA struct as_metadata kept;
        struct discover_params params = { .server_url = SERVER, .cached_as = &kept };
        AUTO_DISCOVER struct discover *d = NULL;
        AUTO_DISCOVER struct discover *other = NULL;

        as_make(&kept);
        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(PRM_PATH));
        assert_true(discover_result(d)->as_from_cache);
        assert_string_equal(discover_result(d)->as.token_endpoint, kept.token_endpoint);
        free(kept.issuer);
        kept.issuer = strdup(ISSUER "/");
        run.n_log = 0;
        assert_int_equal(drive(&run, &params, &other, NULL), 0);
        assert_log(&run, LOG(PRM_PATH, AS_OAUTH));
        assert_false(discover_result(other)->as_from_cache);
}

/* A33 A14 A17 */
static void oddities_are_warned_of_and_stop_nothing(void **state) {
        struct run run = {
                .sites = { PAGE(PRM_PATH, PRM),
                           PAGE(AS_OAUTH,
                                AS_BODY(ISSUER,
                                        ",\"protected_resources\":[\"https://o.example\"]")) }
        };
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        struct discover_params params = { .server_url = SERVER, .challenge = &c };
        AUTO_DISCOVER struct discover *d = NULL;
        struct discover_result res = { 0 };

        challenge_make(&c, "Bearer scope=\"a \\\\\", scope=b");
        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        discover_take_result(d, &res);
        assert_non_null(res.warning);
        assert_non_null(strstr(res.warning, "is not among the resources"));
        assert_non_null(strstr(res.warning, "scopes that are none"));
        assert_non_null(strstr(res.warning, "WWW-Authenticate"));
        discover_result_done(&res);
}

/* A62 A89 */
static void a_grant_without_browser_needs_the_token_endpoint_only(void **state) {
        struct run run = { .sites = { PAGE(PRM_PATH, PRM),
                                      PAGE(AS_OAUTH,
                                           "{\"issuer\":\"" ISSUER "\",\"token_endpoint\":\"" ISSUER
                                           "/token\"}") } };
        struct discover_params params = { .server_url = SERVER, .use = AS_USE_TOKEN };
        AUTO_DISCOVER struct discover *d = NULL;

        assert_int_equal(drive(&run, &params, &d, NULL), 0);
}

/* A4 */
static void a_server_must_be_https_or_loopback(void **state) {
        static const char *const bad[] = { "http://mcp.example.com/mcp", "ftp://h/", "h",
                                           "https://mcp.example.com/mcp#f", "https://u@h/" };
        static const char *const good[] = { "http://localhost:1/mcp", "http://127.9.9.9/",
                                            "http://[::1]:1/", SERVER };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
                struct discover_params params = { .server_url = bad[i], .probe = true };
                struct discover *d = NULL;
                struct error err = ERROR_INIT;

                assert_true(discover_new(&params, &d, &err) < 0);
                assert_int_equal(err.code, MCPB_BAD_PARAMS);
        }
        for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
                struct discover_params params = { .server_url = good[i], .probe = true };
                AUTO_DISCOVER struct discover *d = NULL;

                assert_int_equal(discover_new(&params, &d, NULL), 0);
        }
}

static int discover_once(void *userdata) {
        static const char *const known[] = { "https://k.example" };
        static const struct step steps[] = {
                { 401, NULL }, { 404, NULL }, { 200, PRM }, { 404, NULL }, { 200, AS }
        };
        struct discover_params params = {
                .server_url = SERVER, .probe = true, .known_issuers = known, .n_known = 1
        };

        return drive_by_steps(&params, steps, ARRAY_SIZE(steps));
}

static void running_out_of_memory_never_crashes(void **state) {
        assert_true(oom_sweep_any(discover_once, NULL) > 50);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_link_of_a_challenge_is_followed_and_no_well_known_place),
                cmocka_unit_test(without_a_link_the_places_are_tried_in_order),
                cmocka_unit_test(html_with_200_counts_as_absent),
                cmocka_unit_test(the_probe_asks_the_server_and_an_open_one_needs_no_more),
                cmocka_unit_test(a_probe_that_is_answered_by_an_endless_stream_is_open),
                cmocka_unit_test(a_refused_probe_leads_on),
                cmocka_unit_test(a_given_challenge_saves_the_probe),
                cmocka_unit_test(a_peers_link_counts_only_if_the_server_could_have_said_it),
                cmocka_unit_test(an_open_answer_to_our_own_request_does_not_undo_a_peers_challenge),
                cmocka_unit_test(a_failing_server_ends_it_with_its_reason),
                cmocka_unit_test(that_a_server_takes_only_bound_tokens_is_found_out),
                cmocka_unit_test(unusable_resource_metadata_ends_it_before_any_issuer_is_asked),
                cmocka_unit_test(unusable_issuer_metadata_ends_it_without_guessing),
                cmocka_unit_test(a_link_to_a_forbidden_place_is_not_fetched),
                cmocka_unit_test(a_link_to_nothing_is_no_reason_to_look_elsewhere),
                cmocka_unit_test(metadata_may_lead_to_the_servers_own_class_and_to_the_public),
                cmocka_unit_test(the_issuer_is_chosen_by_what_we_hold),
                cmocka_unit_test(kept_issuer_metadata_saves_its_request_and_only_that),
                cmocka_unit_test(oddities_are_warned_of_and_stop_nothing),
                cmocka_unit_test(a_grant_without_browser_needs_the_token_endpoint_only),
                cmocka_unit_test(a_server_must_be_https_or_loopback),
                cmocka_unit_test(running_out_of_memory_never_crashes),
        };

        return cmocka_run_group_tests_name("discover", tests, NULL, NULL);
}
