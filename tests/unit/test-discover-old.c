/* SPDX-License-Identifier: Apache-2.0 */
/* Servers of 2025-03-26, which are their own issuers: when they are believed to be, and what is
 * asked of them then. */
#include "site.h"

#include "oauth/authorize.h"
#include "oauth/registration.h"
#include "oom.h"

#define ORIGIN "https://mcp.example.com"
#define CHALLENGES SAYS(OLD_SERVER, 401, NULL, NULL)
#define OWN_BODY(issuer, more)                                                                   \
        "{\"issuer\":\"" issuer "\",\"authorization_endpoint\":\"" ORIGIN "/oauth/authorize\","  \
        "\"token_endpoint\":\"" ORIGIN "/oauth/token\",\"response_types_supported\":[\"code\"]," \
        "\"code_challenge_methods_supported\":[\"S256\"]" more "}"

static int probe(struct run *run, struct discover **ret, struct error *err) {
        struct discover_params params = { .server_url = OLD_SERVER, .probe = true };

        return drive(run, &params, ret, err);
}

/* A47 A48 A49 A53 */
static void metadata_at_the_origin_is_used_and_none_of_the_defaults(void **state) {
        struct run run = { .sites = { CHALLENGES, PAGE(OWN, OWN_BODY(ORIGIN, "")),
                                      SAYS(OLD_PRM_PATH, 404, NULL, NULL) } };
        AUTO_DISCOVER struct discover *d = NULL;
        const struct discover_result *res;

        assert_int_equal(probe(&run, &d, NULL), 0);
        assert_log(&run, LOG(OLD_SERVER, OLD_PRM_PATH, PRM_ROOT, OWN));
        assert_string_equal(run.last_version, "2025-03-26");
        res = discover_result(d);
        assert_string_equal(res->issuer, ORIGIN);
        assert_string_equal(res->resource, OLD_SERVER);
        assert_null(res->prm_url);
        assert_string_equal(res->as.token_endpoint, ORIGIN "/oauth/token");
        assert_string_equal(res->as.authorization_endpoint, ORIGIN "/oauth/authorize");
        assert_null(res->as.registration_endpoint); /* it lists none: there is none */
}

/* A50 */
static void an_issuer_of_the_same_origin_becomes_the_recorded_one(void **state) {
        static const struct {
                const char *body;
                const char *issuer; /* NULL: refused */
        } table[] = {
                { OWN_BODY(ORIGIN "/oauth", ""), ORIGIN "/oauth" },
                { OWN_BODY("HTTPS://mcp.example.com:443/", ""), "HTTPS://mcp.example.com:443/" },
                { OWN_BODY("https://as.example.com", ""), NULL },
                { OWN_BODY("https://mcp.example.com:8443", ""), NULL },
                { OWN_BODY("http://mcp.example.com", ""), NULL },
                { OWN_BODY("https://mcp.example.com.evil.example", ""), NULL },
                { OWN_BODY(ORIGIN "?tenant=1", ""), NULL },
                { "{\"token_endpoint\":\"" ORIGIN "/token\"}", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct run run = { .sites = { CHALLENGES, PAGE(OWN, table[i].body) } };
                AUTO_DISCOVER struct discover *d = NULL;
                struct error err = ERROR_INIT;
                int r = probe(&run, &d, &err);

                if (!table[i].issuer) {
                        assert_true(r < 0);
                        assert_int_equal(err.code, MCPB_ISSUER_ERROR);
                        continue;
                }
                assert_int_equal(r, 0);
                assert_string_equal(discover_result(d)->issuer, table[i].issuer);
                assert_string_equal(discover_result(d)->as.issuer, table[i].issuer);
        }
}

/* A58: an issuer that somebody named is another matter. */
static void one_that_was_named_must_say_its_own_name(void **state) {
        struct run run = { .sites = { CHALLENGES, PAGE(PRM_ROOT, PRM_OF("https://mcp.example.com")),
                                      PAGE(AS_OAUTH, AS_BODY(ISSUER "/oauth", "")) } };
        AUTO_DISCOVER struct discover *d = NULL;
        struct error err = ERROR_INIT;

        assert_true(probe(&run, &d, &err) < 0);
        assert_int_equal(err.code, MCPB_ISSUER_ERROR);
}

/* A51 A52 A53 */
static void without_metadata_the_endpoints_are_where_they_always_were(void **state) {
        static const struct site pages[] = {
                SAYS(OWN, 404, NULL, NULL),
                SAYS(OWN, 405, "{}", NULL),
                PAGE(OWN, "<html>"),
                PAGE(OWN, ""),
                PAGE(OWN, "[]"),
        };

        for (size_t i = 0; i < ARRAY_SIZE(pages); i++) {
                struct run run = { .sites = { CHALLENGES, pages[i] } };
                AUTO_DISCOVER struct discover *d = NULL;
                AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
                AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
                AUTO_SCOPES struct scope_set scopes = SCOPE_SET_INIT;
                AUTO_BUF struct buf url = BUF_INIT;
                struct registration_options options = { 0 };
                enum registration_choice choice = REGISTRATION_USE;
                const struct discover_result *res;
                struct error err = ERROR_INIT;

                assert_int_equal(probe(&run, &d, NULL), 0);
                res = discover_result(d);
                assert_string_equal(res->issuer, ORIGIN);
                assert_string_equal(res->as.issuer, ORIGIN);
                assert_string_equal(res->as.token_endpoint, ORIGIN "/token");
                assert_string_equal(res->as.authorization_endpoint, ORIGIN "/authorize");
                assert_string_equal(res->as.registration_endpoint, ORIGIN "/register");
                assert_null(res->as.revocation_endpoint);
                assert_non_null(strstr(res->warning, "2025-03-26"));
                assert_int_equal(registration_choose(&options, &res->as, &choice, &reg, &err), 0);
                assert_int_equal(choice, REGISTRATION_ASK);
                reg.issuer = strdup(res->issuer);
                reg.client_id = strdup("me");
                assert_int_equal(
                        authorization_begin(&a,
                                            &(struct authorization_params){
                                                    .as = &res->as,
                                                    .registration = &reg,
                                                    .redirect_uri = "http://127.0.0.1:1/cb",
                                                    .resource = res->resource,
                                                    .scopes = &scopes,
                                                    .challenge = &res->challenge,
                                                    .now_wall = 1,
                                                    .lifetime_sec = 60 },
                                            &err),
                        0);
                assert_int_equal(authorization_url(&url, &a, &res->as, &err), 0);
                assert_int_equal(strncmp(url.data, ORIGIN "/authorize?", strlen(ORIGIN) + 11), 0);
                assert_non_null(strstr(url.data, "code_challenge_method=S256"));
                assert_non_null(
                        strstr(url.data, "resource=https%3A%2F%2Fmcp.example.com%2Fv1%2Fmcp"));
        }
}

/* A46 */
static void nothing_but_the_plain_absence_of_metadata_leads_there(void **state) {
        static const struct {
                struct site site; /* besides metadata at the origin */
                struct site probe;
                const char *recorded;
        } table[] = {
                { SAYS(OLD_PRM_PATH, 500, NULL, NULL), CHALLENGES, NULL },
                { SAYS(PRM_ROOT, 503, NULL, NULL), CHALLENGES, NULL },
                { SAYS(PRM_ROOT, 302, NULL, OWN), CHALLENGES, NULL },
                { DEAD(OLD_PRM_PATH, FETCH_FAILURE_TIMEOUT), CHALLENGES, NULL },
                { DEAD(PRM_ROOT, FETCH_FAILURE_TLS), CHALLENGES, NULL },
                { PAGE(PRM_ROOT, PRM_OF("https://other.example")), CHALLENGES, NULL },
                { PAGE(OLD_PRM_PATH,
                       "{\"resource\":\"" OLD_SERVER "\",\"authorization_servers\":[]}"),
                  CHALLENGES, NULL },
                /* a link that leads nowhere */
                { SAYS(PRM_ROOT, 404, NULL, NULL),
                  SAYS(OLD_SERVER, 401, NULL, "Bearer resource_metadata=\"" ORIGIN "/prm.json\""),
                  NULL },
                /* it has not asked for authorization */
                { SAYS(PRM_ROOT, 404, NULL, NULL), SAYS(OLD_SERVER, 403, NULL, NULL), NULL },
                { SAYS(PRM_ROOT, 404, NULL, NULL), SAYS(OLD_SERVER, 404, NULL, NULL), NULL },
                /* it had metadata of its own, once */
                { SAYS(PRM_ROOT, 404, NULL, NULL), CHALLENGES, PRM_ROOT },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct run run = { .sites = { table[i].probe, table[i].site,
                                              PAGE(OWN, OWN_BODY(ORIGIN, "")) } };
                struct discover_params params = { .server_url = OLD_SERVER,
                                                  .probe = true,
                                                  .recorded_prm_url = table[i].recorded };
                AUTO_DISCOVER struct discover *d = NULL;
                struct error err = ERROR_INIT;

                if (drive(&run, &params, &d, &err) == 0)
                        fail_msg("row %zu", i);
                for (size_t k = 0; k < run.n_log; k++)
                        assert_string_not_equal(run.log[k], OWN);
        }
}

/* A57 */
static void a_failing_origin_is_no_origin_without_metadata(void **state) {
        static const struct {
                struct site site;
                enum error_code code;
        } table[] = {
                { SAYS(OWN, 500, NULL, NULL), MCPB_ISSUER_ERROR },
                { SAYS(OWN, 302, NULL, ORIGIN "/"), MCPB_ISSUER_ERROR },
                { DEAD(OWN, FETCH_FAILURE_TIMEOUT), MCPB_ISSUER_UNREACHABLE },
                { PAGE(OWN, "{}"), MCPB_ISSUER_ERROR },
                { PAGE(OWN, "{\"issuer\":\"" ORIGIN "\"}"), MCPB_ISSUER_ERROR },
                /* A62: where PKCE can be looked up, it is */
                { PAGE(OWN, "{\"issuer\":\"" ORIGIN "\",\"authorization_endpoint\":\"" ORIGIN
                            "/a\",\"token_endpoint\":\"" ORIGIN
                            "/t\",\"response_types_supported\":[\"code\"]}"),
                  MCPB_ISSUER_ERROR },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct run run = { .sites = { CHALLENGES, table[i].site } };
                AUTO_DISCOVER struct discover *d = NULL;
                struct error err = ERROR_INIT;

                assert_true(probe(&run, &d, &err) < 0);
                if (err.code != table[i].code)
                        fail_msg("row %zu: %s: %s", i, error_name(err.code), err.message);
        }
}

/* A46: configured values need no guess, and no guess takes their place. */
static void an_issuer_that_the_user_configured_is_used_instead(void **state) {
        struct run run = { .sites = { CHALLENGES, PAGE(AS_OAUTH, AS),
                                      PAGE(OWN, OWN_BODY(ORIGIN, "")) } };
        struct discover_params params = { .server_url = OLD_SERVER,
                                          .probe = true,
                                          .configured_issuer = ISSUER };
        AUTO_DISCOVER struct discover *d = NULL;

        assert_int_equal(drive(&run, &params, &d, NULL), 0);
        assert_log(&run, LOG(OLD_SERVER, OLD_PRM_PATH, PRM_ROOT, AS_OAUTH));
        assert_string_equal(discover_result(d)->issuer, ISSUER);
        assert_string_equal(discover_result(d)->resource, OLD_SERVER);
        run.n_log = 0;
        run.sites[1] = (struct site){ 0 };
        run.sites[1] = run.sites[2];
        run.sites[2] = (struct site){ 0 };
        d = discover_free(d);
        assert_true(drive(&run, &params, &d, NULL) < 0);
        assert_log(&run, LOG(OLD_SERVER, OLD_PRM_PATH, PRM_ROOT, AS_OAUTH, AS_OPENID));
}

static int discover_once(void *userdata) {
        static const struct step steps[] = {
                { 401, NULL }, { 404, NULL }, { 404, NULL }, { 404, NULL }
        };
        struct discover_params params = { .server_url = OLD_SERVER, .probe = true };

        return drive_by_steps(&params, steps, ARRAY_SIZE(steps));
}

static void running_out_of_memory_never_crashes(void **state) {
        assert_true(oom_sweep_any(discover_once, NULL) > 30);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(metadata_at_the_origin_is_used_and_none_of_the_defaults),
                cmocka_unit_test(an_issuer_of_the_same_origin_becomes_the_recorded_one),
                cmocka_unit_test(one_that_was_named_must_say_its_own_name),
                cmocka_unit_test(without_metadata_the_endpoints_are_where_they_always_were),
                cmocka_unit_test(nothing_but_the_plain_absence_of_metadata_leads_there),
                cmocka_unit_test(a_failing_origin_is_no_origin_without_metadata),
                cmocka_unit_test(an_issuer_that_the_user_configured_is_used_instead),
                cmocka_unit_test(running_out_of_memory_never_crashes),
        };

        return cmocka_run_group_tests_name("discover-old", tests, NULL, NULL);
}
