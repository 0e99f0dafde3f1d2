/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests are as they were recorded from the vendor's own library: method, path, query and
 * header fields.
 */
#include "identity.h"

#include "oom.h"

#define ANSWER                                                                       \
        "{\"access_token\":\"TOKEN\",\"client_id\":\"1234\",\"expires_in\":\"600\"," \
        "\"expires_on\":\"1790000500\",\"resource\":\"api://app\",\"token_type\":\"Bearer\"}"
#define ENCODED "https%3A%2F%2Fas.example.com"

static const struct identity_env no_env = { 0 };

static void a_virtual_machine_asks_its_metadata_service(void **state) {
        static const char *const moved[] = {
                "AZURE_POD_IDENTITY_AUTHORITY_HOST=http://127.0.0.1:7/", NULL
        };
        static const struct {
                const char *config;
                const char *more;
        } table[] = {
                { "azure", "" },
                { "azure:client-id=1234", "&client_id=1234" },
                { "azure:object-id=1234", "&object_id=1234" },
                { "azure:resource-id=/subscriptions/a", "&msi_res_id=%2Fsubscriptions%2Fa" },
        };
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *other = NULL;

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf url = BUF_INIT;
                struct fetch_request *f;

                assert_int_equal(buf_printf(&url,
                                            "http://169.254.169.254/metadata/identity/oauth2/token"
                                            "?api-version=2018-02-01&resource=%s%s",
                                            ENCODED, table[k].more),
                                 0);
                assert_int_equal(identity_start(table[k].config, &no_env, &i, NULL), 0);
                f = &step_of(i, IDENTITY_FETCH)->fetch;
                assert_string_equal(f->method, "GET");
                assert_string_equal(f->url, url.data);
                assert_string_equal(sent_header(f, "Metadata"), "true");
                assert_int_equal(f->n_headers, 1);
                assert_true(f->direct && f->link_local);
                feed_token(i, ANSWER, token);
                assert_got(i, token, (NOW_SEC + 500) * USEC_PER_SEC);
        }
        env_make(&env, moved);
        assert_int_equal(identity_start("azure", &env, &other, NULL), 0);
        assert_ptr_equal(strstr(step_of(other, IDENTITY_FETCH)->fetch.url,
                                "http://127.0.0.1:7/metadata/identity/oauth2/token?"),
                         step_of(other, IDENTITY_FETCH)->fetch.url);
}

static void an_app_asks_the_endpoint_that_its_environment_names(void **state) {
        static const char *const environment[] = {
                "IDENTITY_ENDPOINT=http://127.0.0.1:41/msi/token", "IDENTITY_HEADER=0815", NULL
        };
        static const char *const half[] = { "IDENTITY_ENDPOINT=http://127.0.0.1:41/msi/token",
                                            NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env less = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct fetch_request *f;

        env_make(&env, environment);
        env_make(&less, half);
        assert_int_equal(identity_start("azure:app-service,resource-id=/x", &env, &i, NULL), 0);
        f = &step_of(i, IDENTITY_FETCH)->fetch;
        assert_string_equal(f->url,
                            "http://127.0.0.1:41/msi/token?api-version=2019-08-01&resource=" ENCODED
                            "&mi_res_id=%2Fx");
        assert_string_equal(sent_header(f, "X-IDENTITY-HEADER"), "0815");
        assert_null(sent_header(f, "Metadata"));
        /* In the clear, to this machine or the next hop, and nowhere else. */
        assert_int_equal(f->allow & (ADDRESS_PUBLIC | ADDRESS_PRIVATE), 0);
        feed_token(i, "{\"access_token\":\"TOKEN\",\"expires_on\":1790000500}", token);
        assert_got(i, token, (NOW_SEC + 500) * USEC_PER_SEC);
        assert_refused("azure:app-service", &no_env, "IDENTITY_ENDPOINT", "managed identity");
        assert_refused("azure:app-service", &less, "IDENTITY_HEADER", "managed identity");
}

static void feed_challenge(struct identity *i, const char *value) {
        AUTO_ANSWER struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = 401;
        if (value)
                assert_int_equal(fetch_answer_add_header(&a, "WWW-Authenticate", value), 0);
        identity_feed_answer(i, &a, NOW);
}

static void arc_wants_the_key_of_a_file_that_it_names(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct identity_step *step;

        assert_int_equal(identity_start("azure:arc", &no_env, &i, NULL), 0);
        step = step_of(i, IDENTITY_FETCH);
        assert_string_equal(step->fetch.url, "http://127.0.0.1:40342/metadata/identity/oauth2/token"
                                             "?api-version=2020-06-01&resource=" ENCODED);
        assert_string_equal(sent_header(&step->fetch, "Metadata"), "true");
        assert_null(sent_header(&step->fetch, "Authorization"));
        assert_int_equal(step->fetch.allow, ADDRESS_LOOPBACK);
        assert_false(step->fetch.link_local);
        feed_challenge(i, "Basic realm=/var/opt/azcmagent/tokens/17.key");
        step = step_of(i, IDENTITY_READ);
        assert_string_equal(step->order.path, "/var/opt/azcmagent/tokens/17.key");
        assert_int_equal(step->order.rules, ORDER_RULES_ARC);
        feed_text(i, "c2VjcmV0");
        step = step_of(i, IDENTITY_FETCH);
        assert_string_equal(sent_header(&step->fetch, "Authorization"), "Basic c2VjcmV0");
        assert_string_equal(sent_header(&step->fetch, "Metadata"), "true");
        feed_token(i, ANSWER, token);
        assert_got(i, token, (NOW_SEC + 500) * USEC_PER_SEC);
}

static void arc_cannot_name_any_file_it_likes(void **state) {
        static const char *const challenges[] = {
                NULL,
                "Basic",
                "Bearer realm=/var/opt/azcmagent/tokens/17.key",
                "Basic realm=",
                "Basic realm=/etc/shadow",
                "Basic realm=/etc/shadow.key",
                "Basic realm=/var/opt/azcmagent/tokens/.key",
                "Basic realm=/var/opt/azcmagent/secrets17.key",
                "Basic realm=/var/opt/azcmagent/tokens/17.pem",
                "Basic realm=/var/opt/azcmagent/tokens/../17.key",
                "Basic realm=/var/opt/azcmagent/tokens/a/17.key",
                "Basic realm=\"/var/opt/azcmagent/tokens/a/17.key",
                "Basic realm=/var/opt/azcmagent/tokens",
        };
        AUTO_IDENTITY struct identity *quoted = NULL;

        for (size_t k = 0; k < ARRAY_SIZE(challenges); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("azure:arc", &no_env, &i, NULL), 0);
                feed_challenge(i, challenges[k]);
                assert_failed(i, "'azure:arc'", "names no key");
        }
        assert_int_equal(identity_start("azure:arc", &no_env, &quoted, NULL), 0);
        feed_challenge(quoted, "Basic realm=\"/var/opt/azcmagent/tokens/17.key\"");
        assert_string_equal(step_of(quoted, IDENTITY_READ)->order.path,
                            "/var/opt/azcmagent/tokens/17.key");
}

static void arc_fails_in_words(void **state) {
        static const struct {
                const char *key;
                unsigned status;
                const char *says;
        } table[] = {
                { "", 0, "empty" },
                { "a\r\nX: y", 0, "what no key has" },
                { "good", 401, "status 401" },
                { "good", 403, "status 403" },
                { NULL, 200, "showed nothing" },
                { NULL, 400, "status 400" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("azure:arc", &no_env, &i, NULL), 0);
                if (table[k].key) {
                        feed_challenge(i, "Basic realm=/var/opt/azcmagent/tokens/17.key");
                        feed_text(i, table[k].key);
                }
                if (table[k].status)
                        feed_status(i, table[k].status, "{}");
                assert_failed(i, "'azure:arc'", table[k].says);
        }
}

static void the_token_of_aks_is_a_file(void **state) {
        static const char *const environment[] = {
                "AZURE_FEDERATED_TOKEN_FILE=/var/run/secrets/azure/tokens/t", NULL
        };
        static const char *const relative[] = { "AZURE_FEDERATED_TOKEN_FILE=t", NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env odd = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for("api://AzureADTokenExchange");

        env_make(&env, environment);
        env_make(&odd, relative);
        assert_int_equal(identity_start("azure:aks", &env, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_READ)->order.path,
                            "/var/run/secrets/azure/tokens/t");
        feed_text(i, token);
        assert_failed(i, "'azure:aks'", "api://AzureADTokenExchange");
        assert_non_null(strstr(identity_error(i)->hint, "api://AzureADTokenExchange"));
        assert_refused("azure:aks", &no_env, "AZURE_FEDERATED_TOKEN_FILE", "label");
        assert_refused("azure:aks", &odd, "no absolute path", "Unset");
}

static void the_answer_is_judged(void **state) {
        static const struct {
                const char *config;
                unsigned status;
                const char *body;
                const char *says;
        } table[] = {
                { "azure", 400,
                  "{\"error\":\"invalid_request\",\"error_description\":\"Identity not found\"}",
                  "status 400: Identity not found" },
                { "azure", 403, "A socket operation was attempted to an unreachable network",
                  "status 403" },
                { "azure", 200, "{}", "no access_token" },
                { "azure", 200, "{\"access_token\":7}", "no access_token" },
                { "azure", 200, "{\"access_token\":\"x\",\"expires_on\":\"soon\"}", "no date" },
                { "azure", 200, "{\"access_token\":\"x\",\"expires_on\":-1}", "no date" },
                { "azure", 200, "{\"access_token\":\"x\",\"expires_on\":1e300}", "no date" },
                { "azure", 200, "{\"access_token\":\"x\",\"expires_on\":1e400}", "not JSON" },
                { "azure", 200, "{\"access_token\":\"x\",\"expires_on\":null}", "no date" },
                { "azure:client-id=1", 200, "{\"access_token\":\"x\",\"client_id\":\"2\"}",
                  "another identity (2)" },
                { "azure", 200, "{\"access_token\":\"x\"}", "no JSON Web Token" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start(table[k].config, &no_env, &i, NULL), 0);
                feed_status(i, table[k].status, table[k].body);
                assert_failed(i, "'azure', asking for a token", table[k].says);
        }
}

static void an_expiry_of_the_envelope_counts_too(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_IDENTITY struct identity *i = NULL;

        assert_int_equal(identity_start("azure", &no_env, &i, NULL), 0);
        feed_token(i, "{\"access_token\":\"TOKEN\",\"expires_on\":\"1789999999\"}", token);
        assert_failed(i, "'azure'", "expired");
}

static void a_token_may_name_the_application_by_its_identifier(void **state) {
        AUTO_FREE char *token = token_for("1234-5678");
        AUTO_IDENTITY struct identity *i = NULL;

        assert_int_equal(identity_start("azure:token-audience=1234-5678", &no_env, &i, NULL), 0);
        assert_non_null(strstr(step_of(i, IDENTITY_FETCH)->fetch.url, "resource=" ENCODED));
        feed_token(i, ANSWER, token);
        assert_got(i, token, (NOW_SEC + 500) * USEC_PER_SEC);
        i = identity_free(i);
        assert_int_equal(identity_start("azure", &no_env, &i, NULL), 0);
        feed_token(i, ANSWER, token);
        assert_failed(i, "'azure'", "for '1234-5678'");
        assert_non_null(strstr(identity_error(i)->hint, "token-audience="));
}

static void a_service_that_starts_or_is_updated_is_waited_for(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        uint64_t waited = 0;
        unsigned n = 0;

        assert_int_equal(identity_start("azure", &no_env, &i, NULL), 0);
        for (; n < 3; n++) {
                feed_status(i, 404, "");
                (void)step_of(i, IDENTITY_WAIT);
                identity_feed_time(i, NOW);
        }
        feed_status(i, 404, "");
        assert_failed(i, "'azure'", "status 404");
        i = identity_free(i);
        assert_int_equal(identity_start("azure", &no_env, &i, NULL), 0);
        for (n = 0; n < 100; n++) {
                feed_status(i, 410, "");
                if (next_of(i) != IDENTITY_WAIT)
                        break;
                waited += step_of(i, IDENTITY_WAIT)->wait_usec;
                identity_feed_time(i, NOW);
        }
        assert_failed(i, "'azure'", "status 410");
        assert_in_range(waited, 60 * USEC_PER_SEC, 70 * USEC_PER_SEC);
}

static void one_identity_is_named_at_most(void **state) {
        assert_refused("azure:client-id=1,object-id=2", &no_env, "several identities",
                       "Give one of");
        assert_refused("azure:arc,client-id=1", &no_env, "no option 'client-id'",
                       "token-audience=");
}

static int ask_arc(void *userdata) {
        AUTO_IDENTITY struct identity *i = NULL;
        int r = identity_start("azure:arc", &no_env, &i, NULL);

        if (r < 0)
                return r;
        for (int n = 0; n < 3; n++) {
                oom_pause(true);
                AUTO_ANSWER struct fetch_answer a;
                AUTO_BUF struct buf b = BUF_INIT;

                fetch_answer_init(&a);
                a.outcome = FETCH_ANSWERED;
                a.status = n == 0 ? 401 : 200;
                assert_int_equal(
                        fetch_answer_add_header(&a, "WWW-Authenticate",
                                                "Basic realm=/var/opt/azcmagent/tokens/1.key"),
                        0);
                assert_int_equal(
                        buf_printf(&a.body, "{\"access_token\":\"%s\"}", (const char *)userdata),
                        0);
                assert_int_equal(buf_append_str(&b, "key"), 0);
                oom_pause(false);
                if (n == 1)
                        identity_feed_bytes(i, 0, &b, NULL, NOW);
                else
                        identity_feed_answer(i, &a, NOW);
                if (next_of(i) == IDENTITY_FAILED)
                        return -ENOMEM;
        }
        return next_of(i) == IDENTITY_DONE ? 0 : -EINVAL;
}

static void no_allocation_that_fails_is_missed(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);

        assert_true(oom_sweep_any(ask_arc, token) > 20);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_virtual_machine_asks_its_metadata_service),
                cmocka_unit_test(an_app_asks_the_endpoint_that_its_environment_names),
                cmocka_unit_test(arc_wants_the_key_of_a_file_that_it_names),
                cmocka_unit_test(arc_cannot_name_any_file_it_likes),
                cmocka_unit_test(arc_fails_in_words),
                cmocka_unit_test(the_token_of_aks_is_a_file),
                cmocka_unit_test(the_answer_is_judged),
                cmocka_unit_test(an_expiry_of_the_envelope_counts_too),
                cmocka_unit_test(a_token_may_name_the_application_by_its_identifier),
                cmocka_unit_test(a_service_that_starts_or_is_updated_is_waited_for),
                cmocka_unit_test(one_identity_is_named_at_most),
                cmocka_unit_test(no_allocation_that_fails_is_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
