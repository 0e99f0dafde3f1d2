/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GitHub and Google Cloud; and what every provider that asks over the network must survive: each
 * fault is an error that names the provider, the step and the remedy.
 */
#include "identity.h"

#include "oom.h"

#define ENCODED "https%3A%2F%2Fas.example.com"
#define GITHUB_URL "https://pipelines.actions.example/_apis/x/idtoken?api-version=2.0"

static const struct identity_env no_env = { 0 };
static const char *const job[] = { "ACTIONS_ID_TOKEN_REQUEST_URL=" GITHUB_URL,
                                   "ACTIONS_ID_TOKEN_REQUEST_TOKEN=hunter2", NULL };

/* --- github ---------------------------------------------------------------------------------- */

static void a_job_of_github_asks_with_its_token(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);
        struct fetch_request *f;

        env_make(&env, job);
        assert_int_equal(identity_start("github", &env, &i, NULL), 0);
        f = &step_of(i, IDENTITY_FETCH)->fetch;
        assert_string_equal(f->method, "GET");
        assert_string_equal(f->url, GITHUB_URL "&audience=" ENCODED);
        assert_string_equal(sent_header(f, "Authorization"), "Bearer hunter2");
        assert_string_equal(sent_header(f, "Accept"), "application/json");
        assert_int_equal(f->n_headers, 2);
        assert_true(f->direct);
        assert_false(f->link_local);
        assert_int_equal(f->allow & ADDRESS_LINK_LOCAL, 0);
        assert_int_equal(f->body_max, 64 * 1024);
        feed_token(i, "{\"count\":1000,\"value\":\"TOKEN\"}", token);
        assert_got(i, token, (NOW_SEC + 600) * USEC_PER_SEC);
}

static void a_job_without_the_permission_is_told_so(void **state) {
        static const char *const half[] = { "ACTIONS_ID_TOKEN_REQUEST_URL=" GITHUB_URL, NULL };
        static const char *const plain[] = {
                "ACTIONS_ID_TOKEN_REQUEST_URL=http://pipelines.actions.example/x",
                "ACTIONS_ID_TOKEN_REQUEST_TOKEN=hunter2", NULL
        };
        AUTO_IDENTITY_ENV struct identity_env less = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env clear = IDENTITY_ENV_INIT;

        env_make(&less, half);
        env_make(&clear, plain);
        assert_refused("github", &no_env, "ACTIONS_ID_TOKEN_REQUEST_URL", "id-token: write");
        assert_refused("github", &less, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "id-token: write");
        assert_refused("github", &clear, "no https URL", "GitHub Actions");
        assert_refused("github:x=y", &clear, "no option 'x'", "no options");
}

/* --- gcp ------------------------------------------------------------------------------------- */

static void feed_google(struct identity *i, unsigned status, const char *flavor, const char *body) {
        AUTO_ANSWER struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = status;
        if (flavor)
                assert_int_equal(fetch_answer_add_header(&a, "Metadata-Flavor", flavor), 0);
        assert_int_equal(buf_append_str(&a.body, body), 0);
        identity_feed_answer(i, &a, NOW);
}

static void a_machine_of_google_asks_its_metadata_server(void **state) {
        static const char *const moved[] = { "GCE_METADATA_HOST=127.0.0.1:8", NULL };
        static const struct {
                const char *config;
                bool moved;
                const char *url;
        } table[] = {
                { "gcp", false,
                  "http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/"
                  "identity?audience=" ENCODED "&format=full&licenses=FALSE" },
                { "gcp:account=a-b@p.iam.gserviceaccount.com,format=standard", true,
                  "http://127.0.0.1:8/computeMetadata/v1/instance/service-accounts/"
                  "a-b@p.iam.gserviceaccount.com/identity?audience=" ENCODED
                  "&format=standard&licenses=FALSE" },
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_FREE char *token = token_for(AUDIENCE);

        env_make(&env, moved);
        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
                struct fetch_request *f;

                assert_int_equal(
                        identity_start(table[k].config, table[k].moved ? &env : &no_env, &i, NULL),
                        0);
                f = &step_of(i, IDENTITY_FETCH)->fetch;
                assert_string_equal(f->url, table[k].url);
                assert_string_equal(sent_header(f, "Metadata-Flavor"), "Google");
                assert_int_equal(f->n_headers, 1);
                assert_true(f->direct && f->link_local);
                feed_google(i, 200, "Google", token);
                assert_int_equal(identity_take(i, &got), 0);
                assert_string_equal(got.jwt.data, token);
                /* Eight tenths of ten minutes. */
                assert_true(got.refresh_wall == NOW + MINUTES(8));
        }
}

static void a_token_is_renewed_in_time_and_a_short_one_is_not_kept(void **state) {
        static const struct {
                unsigned life_sec;
                unsigned refresh_sec; /* from now; 0: get it anew for each use */
        } table[] = {
                { 3600, 2880 }, { 300, 240 }, { 200, 140 }, { 61, 1 }, { 60, 0 }, { 5, 0 },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
                AUTO_BUF struct buf claims = BUF_INIT;
                AUTO_FREE char *token = NULL;
                uint64_t refresh = NOW + table[k].refresh_sec * USEC_PER_SEC;

                assert_int_equal(buf_printf(&claims, "{\"aud\":\"%s\",\"exp\":%u}", AUDIENCE,
                                            NOW_SEC + table[k].life_sec),
                                 0);
                token = token_of(claims.data);
                assert_int_equal(identity_start("gcp", &no_env, &i, NULL), 0);
                feed_google(i, 200, "Google", token);
                assert_int_equal(identity_take(i, &got), 0);
                assert_true(got.refresh_wall == (table[k].refresh_sec ? refresh : 0));
        }
}

static void what_is_not_google_is_not_believed(void **state) {
        static const char *const flavors[] = { NULL, "google", "Microsoft" };
        static const char *const odd[] = { "GCE_METADATA_HOST=a/b", NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_IDENTITY struct identity *missing = NULL;

        for (size_t k = 0; k < ARRAY_SIZE(flavors); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("gcp", &no_env, &i, NULL), 0);
                feed_google(i, 200, flavors[k], token);
                assert_failed(i, "'gcp', asking the metadata server", "no metadata server");
        }
        env_make(&env, odd);
        assert_refused("gcp", &env, "GCE_METADATA_HOST is no host", "Unset");
        assert_refused("gcp:account=a/b", &no_env, "account=a/b", "e-mail");
        assert_refused("gcp:format=x", &no_env, "format=x", "full");
        assert_int_equal(identity_start("gcp", &no_env, &missing, NULL), 0);
        feed_google(missing, 404, "Google", "not found");
        assert_failed(missing, "'gcp'", "status 404");
        assert_non_null(strstr(identity_error(missing)->hint, "service account"));
}

/* --- k8s:request ----------------------------------------------------------------------------- */

#define POD_CLAIMS                                                                             \
        "{\"iss\":\"https://kubernetes.default.svc\",\"sub\":\"system:serviceaccount:ns:sa\"," \
        "\"kubernetes.io\":{\"namespace\":\"ns\",\"pod\":{\"name\":\"p-1\",\"uid\":\"u-1\"}}}"

static const char *const pod[] = { "KUBERNETES_SERVICE_HOST=10.0.0.1",
                                   "KUBERNETES_SERVICE_PORT=6443", NULL };

/* To where the API server is asked. */
static void read_own(struct identity *i, const char *claims) {
        AUTO_FREE char *token = token_of(claims);
        AUTO_BUF struct buf text = BUF_INIT;
        struct identity_step *step = step_of(i, IDENTITY_READ);

        assert_non_null(strstr(step->order.path, "/ca.crt"));
        assert_int_equal(step->order.rules, ORDER_RULES_PUBLIC);
        feed_text(i, "CERTIFICATES");
        step = step_of(i, IDENTITY_READ);
        assert_non_null(strstr(step->order.path, "/token"));
        assert_int_equal(step->order.rules, ORDER_RULES_SECRET);
        assert_int_equal(buf_printf(&text, "%s\n", token), 0);
        feed_text(i, text.data);
}

static void a_pod_asks_for_a_token_that_dies_with_it(void **state) {
        static const char *const ipv6[] = { "KUBERNETES_SERVICE_HOST=fd00::1",
                                            "KUBERNETES_SERVICE_PORT=443", NULL };
        static const struct {
                const char *config;
                const char *const *env;
                const char *claims;
                const char *url;
                const char *body;
        } table[] = {
                { "k8s:request", pod, POD_CLAIMS,
                  "https://10.0.0.1:6443/api/v1/namespaces/ns/serviceaccounts/sa/token",
                  "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":"
                  "{\"audiences\":[\"" AUDIENCE "\"],\"expirationSeconds\":600,\"boundObjectRef\":"
                  "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"name\":\"p-1\",\"uid\":\"u-1\"}}}" },
                { "k8s:request,expiration=1h", ipv6, "{\"sub\":\"system:serviceaccount:ns:sa\"}",
                  "https://[fd00::1]:443/api/v1/namespaces/ns/serviceaccounts/sa/token",
                  "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":"
                  "{\"audiences\":[\"" AUDIENCE "\"],\"expirationSeconds\":3600}}" },
                { "k8s:request,account=other", pod, POD_CLAIMS,
                  "https://10.0.0.1:6443/api/v1/namespaces/ns/serviceaccounts/other/token",
                  "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":"
                  "{\"audiences\":[\"" AUDIENCE "\"],\"expirationSeconds\":600}}" },
                { "k8s:request,namespace=mine", pod, POD_CLAIMS,
                  "https://10.0.0.1:6443/api/v1/namespaces/mine/serviceaccounts/sa/token",
                  "{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenRequest\",\"spec\":"
                  "{\"audiences\":[\"" AUDIENCE "\"],\"expirationSeconds\":600}}" },
        };
        AUTO_FREE char *token = token_for(AUDIENCE);

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_FREE char *own = token_of(table[k].claims);
                AUTO_BUF struct buf bearer = BUF_INIT;
                struct fetch_request *f;

                env_make(&env, table[k].env);
                assert_int_equal(identity_start(table[k].config, &env, &i, NULL), 0);
                read_own(i, table[k].claims);
                f = &step_of(i, IDENTITY_FETCH)->fetch;
                assert_string_equal(f->method, "POST");
                assert_string_equal(f->url, table[k].url);
                assert_string_equal(f->body.data, table[k].body);
                assert_string_equal(f->ca_pem.data, "CERTIFICATES");
                assert_int_equal(buf_printf(&bearer, "Bearer %s", own), 0);
                assert_string_equal(sent_header(f, "Authorization"), bearer.data);
                assert_string_equal(sent_header(f, "Content-Type"), "application/json");
                assert_true(f->direct);
                assert_false(f->link_local);
                feed_token(i,
                           "{\"kind\":\"TokenRequest\",\"status\":{\"token\":\"TOKEN\","
                           "\"expirationTimestamp\":\"2026-09-21T14:15:00Z\"}}",
                           token);
                assert_got(i, token, 1790000100 * USEC_PER_SEC);
        }
}

static void a_request_that_is_repeated_is_the_same(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_BUF struct buf first = BUF_INIT;
        struct fetch_request *f;

        env_make(&env, pod);
        assert_int_equal(identity_start("k8s:request", &env, &i, NULL), 0);
        read_own(i, POD_CLAIMS);
        f = &step_of(i, IDENTITY_FETCH)->fetch;
        assert_int_equal(f->n_headers, 3);
        buf_move(&first, &f->body);
        fetch_request_done(f); /* taken away to be sent */
        feed_status(i, 503, "");
        identity_feed_time(i, NOW);
        f = &step_of(i, IDENTITY_FETCH)->fetch;
        assert_string_equal(f->body.data, first.data);
        assert_string_equal(f->ca_pem.data, "CERTIFICATES");
        assert_int_equal(f->n_headers, 3);
}

static void what_a_pod_has_must_be_that_of_a_pod(void **state) {
        static const char *const claims[] = {
                "{}",
                "{\"sub\":7}",
                "{\"sub\":\"system:serviceaccount:ns\"}",
                "{\"sub\":\"system:serviceaccount::sa\"}",
                "{\"sub\":\"system:serviceaccount:ns:\"}",
                "{\"sub\":\"system:serviceaccount:n/s:sa\"}",
                "{\"sub\":\"system:serviceaccount:ns:../x\"}",
                "{\"sub\":\"system:serviceaccount:ns:sa?x\"}",
                "{\"sub\":\"system:node:ns:sa\"}",
        };
        static const char *const odd[] = { "KUBERNETES_SERVICE_HOST=10.0.0.1/x",
                                           "KUBERNETES_SERVICE_PORT=6443", NULL };
        static const char *const portless[] = { "KUBERNETES_SERVICE_HOST=10.0.0.1",
                                                "KUBERNETES_SERVICE_PORT=a", NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, pod);
        for (size_t k = 0; k < ARRAY_SIZE(claims); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("k8s:request", &env, &i, NULL), 0);
                read_own(i, claims[k]);
                assert_failed(i, "'k8s:request', reading", "no token of a service account");
        }
        for (int n = 0; n < 2; n++) {
                AUTO_IDENTITY_ENV struct identity_env bad = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                env_make(&bad, n == 0 ? odd : portless);
                assert_int_equal(identity_start("k8s:request", &bad, &i, NULL), 0);
                read_own(i, POD_CLAIMS);
                assert_failed(i, "'k8s:request'", "name no server");
        }
        assert_refused("k8s:request", &no_env, "KUBERNETES_SERVICE_HOST", "in a pod");
        assert_refused("k8s:request,account=A", &env, "account=A", "Kubernetes");
        assert_refused("k8s:request,namespace=a/b", &env, "namespace=a/b", "Kubernetes");
        assert_refused("k8s:request,expiration=9m", &env, "expiration=9m", "10m");
        assert_refused("k8s:request,folder=x", &env, "folder=x", "absolute");
}

static void a_refusal_of_the_api_server_says_what_to_do(void **state) {
        static const struct {
                unsigned status;
                const char *hint;
        } table[] = {
                { 401, "this cluster" },
                { 403, "serviceaccounts/token" },
                { 404, "exists" },
                { 422, "options" },
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;

        env_make(&env, pod);
        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start("k8s:request", &env, &i, NULL), 0);
                read_own(i, POD_CLAIMS);
                feed_status(i, table[k].status,
                            "{\"kind\":\"Status\",\"status\":\"Failure\",\"reason\":\"R\","
                            "\"message\":\"no such thing\",\"code\":4}");
                assert_failed(i, "'k8s:request', asking the API server for a token of ns/sa",
                              "no such thing");
                assert_non_null(strstr(identity_error(i)->hint, table[k].hint));
        }
}

static void a_projected_token_is_a_file(void **state) {
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for("https://kubernetes.default.svc");

        assert_int_equal(identity_start("k8s", &no_env, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_READ)->order.path,
                            "/var/run/secrets/mcp-broker/token");
        feed_text(i, token);
        assert_failed(i, "'k8s', reading", "https://kubernetes.default.svc");
        assert_non_null(strstr(identity_error(i)->hint, "audience:"));
        i = identity_free(i);
        assert_int_equal(identity_start("k8s:/run/t", &no_env, &i, NULL), 0);
        assert_string_equal(step_of(i, IDENTITY_READ)->order.path, "/run/t");
        assert_refused("k8s:path=x", &no_env, "path=x", "absolute");
        assert_refused("k8s:/var/run/secrets/kubernetes.io/serviceaccount/token", &no_env,
                       "for the API server alone", "projected volume");
}

/* --- faults ---------------------------------------------------------------------------------- */

static const struct provider {
        const char *config;
        const char *name;
        const char *const *env;
        const char *answer; /* with the TOKEN in it */
} providers[] = {
        { "github", "'github', asking", job, "{\"value\":\"TOKEN\"}" },
        { "gcp", "'gcp', asking", NULL, "TOKEN" },
        { "azure", "'azure', asking", NULL, "{\"access_token\":\"TOKEN\"}" },
        { "k8s:request", "'k8s:request', asking", pod, "{\"status\":{\"token\":\"TOKEN\"}}" },
};

static void to_the_request(const struct provider *p, struct identity_env *env,
                           struct identity **ret) {
        if (p->env)
                env_make(env, p->env);
        assert_int_equal(identity_start(p->config, env, ret, NULL), 0);
        if (next_of(*ret) == IDENTITY_READ)
                read_own(*ret, POD_CLAIMS);
        (void)step_of(*ret, IDENTITY_FETCH);
}

struct fault {
        enum fetch_outcome outcome;
        enum fetch_failure failure;
        unsigned status;
        const char *body; /* NULL: one that is too large; TOKEN: what the provider's answer is */
        const char *field[2];
        const char *says;
};

static const struct fault faults[] = {
        { FETCH_NOT_SENT, FETCH_FAILURE_CONNECT, 0, "", { NULL }, "no answer (connect)" },
        { FETCH_NOT_SENT, FETCH_FAILURE_ADDRESS, 0, "", { NULL }, "no answer (address)" },
        { FETCH_NO_ANSWER, FETCH_FAILURE_TIMEOUT, 0, "", { NULL }, "no answer (timeout)" },
        { FETCH_NO_ANSWER, FETCH_FAILURE_CUT, 0, "", { NULL }, "no answer (cut)" },
        { FETCH_NO_ANSWER, FETCH_FAILURE_PROTOCOL, 0, "", { NULL }, "no answer (protocol)" },
        { FETCH_NO_ANSWER, FETCH_FAILURE_TLS, 0, "", { NULL }, "no answer (tls)" },
        { FETCH_NO_ANSWER, FETCH_FAILURE_TOO_LARGE, 0, "", { NULL }, "too large" },
        { FETCH_ANSWERED, 0, 302, "", { "location", "http://evil.example/" }, "not followed" },
        { FETCH_ANSWERED, 0, 307, "", { "location", "http://evil.example/" }, "not followed" },
        { FETCH_ANSWERED, 0, 200, NULL, { NULL }, "too large" },
        { FETCH_ANSWERED, 0, 200, "<html>hi</html>", { NULL }, "no" },
        { FETCH_ANSWERED, 0, 200, "", { NULL }, "no" },
        { FETCH_ANSWERED, 0, 200, "[1]", { NULL }, "no" },
        { FETCH_ANSWERED, 0, 200, "{}", { NULL }, "no" },
        { FETCH_ANSWERED,
          0,
          200,
          "{\"value\":1,\"access_token\":[],\"status\":7}",
          { NULL },
          "no" },
        { FETCH_ANSWERED, 0, 200, "{\"a\":1,\"a\":2}", { NULL }, "no" },
        { FETCH_ANSWERED, 0, 200, "[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]", { NULL }, "no" },
        { FETCH_ANSWERED, 0, 400, "hunter2", { NULL }, "status 400" },
        { FETCH_ANSWERED, 0, 401, "{\"message\":\"go away\"}", { NULL }, "status 401: go away" },
        { FETCH_ANSWERED, 0, 403, "{\"error\":{\"message\":\"m\"}}", { NULL }, "status 403: m" },
        { FETCH_ANSWERED, 0, 204, "", { NULL }, "status 204" },
        { FETCH_ANSWERED, 0, 500, "{\"error\":\"e\"}", { NULL }, "status 500: e" },
        { FETCH_ANSWERED, 0, 429, "", { "retry-after", "1" }, "status 429" },
        { FETCH_ANSWERED, 0, 429, "", { "retry-after", "3600" }, "status 429" },
        { FETCH_ANSWERED, 0, 503, "", { "retry-after", "99999999999999999999" }, "status 503" },
};

static void feed_fault(struct identity *i, const struct fault *x) {
        AUTO_ANSWER struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = x->outcome;
        a.failure = x->failure;
        a.status = x->status;
        assert_int_equal(fetch_answer_add_header(&a, "Metadata-Flavor", "Google"), 0);
        if (x->field[0])
                assert_int_equal(fetch_answer_add_header(&a, x->field[0], x->field[1]), 0);
        if (x->body)
                assert_int_equal(buf_append_str(&a.body, x->body), 0);
        while (!x->body && a.body.len <= (size_t)64 * 1024)
                assert_int_equal(buf_append_str(&a.body, "                "), 0);
        identity_feed_answer(i, &a, NOW);
}

static void every_fault_is_an_error_with_provider_step_and_remedy(void **state) {
        for (size_t p = 0; p < ARRAY_SIZE(providers); p++) {
                for (size_t x = 0; x < ARRAY_SIZE(faults); x++) {
                        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                        AUTO_IDENTITY struct identity *i = NULL;
                        unsigned n = 0;

                        to_the_request(&providers[p], &env, &i);
                        feed_fault(i, &faults[x]);
                        for (; next_of(i) == IDENTITY_WAIT; n++) {
                                identity_feed_time(i, NOW);
                                feed_fault(i, &faults[x]);
                        }
                        assert_failed(i, providers[p].name, faults[x].says);
                        assert_null(strstr(identity_error(i)->message, "hunter2"));
                        assert_true(
                                n ==
                                (faults[x].status >= 429 && x + 2 < ARRAY_SIZE(faults) ? 3 : 0));
                }
        }
}

/* What a token may look like, and must not. */
static void every_provider_refuses_the_same_tokens(void **state) {
        static const struct {
                const char *claims;
                const char *says;
        } table[] = {
                { "{\"aud\":\"https://other.example\",\"exp\":1790000600}", "is for" },
                { "{\"aud\":[\"" AUDIENCE "\",\"x\"],\"exp\":1790000600}", "alone" },
                { "{\"exp\":1790000600}", "for nobody" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1789999999}", "expired" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":\"x\"}", "no date" },
        };

        for (size_t p = 0; p < ARRAY_SIZE(providers); p++) {
                for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                        AUTO_IDENTITY struct identity *i = NULL;
                        AUTO_FREE char *token = token_of(table[k].claims);
                        AUTO_BUF struct buf body = BUF_INIT;
                        const char *at = strstr(providers[p].answer, "TOKEN");
                        struct fault as = { .outcome = FETCH_ANSWERED, .status = 200 };

                        assert_int_equal(buf_printf(&body, "%.*s%s%s",
                                                    (int)(at - providers[p].answer),
                                                    providers[p].answer, token, at + 5),
                                         0);
                        as.body = body.data;
                        to_the_request(&providers[p], &env, &i);
                        feed_fault(i, &as);
                        assert_failed(i, providers[p].name, table[k].says);
                }
        }
}

static void a_line_break_never_gets_into_a_token(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);

        for (size_t p = 0; p < ARRAY_SIZE(providers); p++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf body = BUF_INIT;
                const char *at = strstr(providers[p].answer, "TOKEN");
                bool json = at != providers[p].answer;
                struct fault as = { .outcome = FETCH_ANSWERED, .status = 200 };

                assert_int_equal(buf_printf(&body, "%.*s%.10s%s%s%s",
                                            (int)(at - providers[p].answer), providers[p].answer,
                                            token, json ? "\\r\\n" : "\r\n", token + 10, at + 5),
                                 0);
                as.body = body.data;
                to_the_request(&providers[p], &env, &i);
                feed_fault(i, &as);
                assert_failed(i, providers[p].name, "no JSON Web Token");
        }
}

static void pauses_grow_and_a_wish_for_longer_is_heeded(void **state) {
        static const struct {
                const char *retry_after;
                uint64_t usec[3];
        } table[] = {
                { NULL, { 100000, 400000, 1600000 } },
                { "0", { 100000, 400000, 1600000 } },
                { "1", { 1000000, 1000000, 1600000 } },
                { "30", { 30000000, 30000000, 30000000 } },
                { "soon", { 100000, 400000, 1600000 } },
                { "Sun, 06 Nov 1994 08:49:37 GMT", { 100000, 400000, 1600000 } },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                struct fault busy = { .outcome = FETCH_ANSWERED, .status = 429, .body = "" };

                if (table[k].retry_after)
                        busy.field[0] = "Retry-After";
                busy.field[1] = table[k].retry_after;
                to_the_request(&providers[0], &env, &i);
                for (int n = 0; n < 3; n++) {
                        feed_fault(i, &busy);
                        assert_true(step_of(i, IDENTITY_WAIT)->wait_usec == table[k].usec[n]);
                        identity_feed_time(i, NOW);
                        assert_string_equal(step_of(i, IDENTITY_FETCH)->fetch.url,
                                            GITHUB_URL "&audience=" ENCODED);
                }
                feed_fault(i, &busy);
                assert_failed(i, "'github'", "status 429");
        }
}

static void a_worker_of_ours_that_dies_is_waited_for(void **state) {
        static const struct fault dead = {
                FETCH_NO_ANSWER, FETCH_FAILURE_WORKER, 0, "", { NULL }, NULL
        };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_for(AUDIENCE);

        to_the_request(&providers[0], &env, &i);
        feed_fault(i, &dead);
        (void)step_of(i, IDENTITY_WAIT);
        identity_feed_time(i, NOW);
        (void)step_of(i, IDENTITY_FETCH);
        feed_token(i, providers[0].answer, token);
        assert_got(i, token, (NOW_SEC + 600) * USEC_PER_SEC);
        i = identity_free(i);
        identity_env_done(&env);
        to_the_request(&providers[0], &env, &i);
        for (int n = 0; n < 3; n++) {
                feed_fault(i, &dead);
                identity_feed_time(i, NOW);
        }
        feed_fault(i, &dead);
        assert_failed(i, "'github'", "no answer (worker)");
}

static void nothing_secret_is_said_again(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        assert_int_equal(buf_printf(&body, "{\"message\":\"%s is no good\\u001b[1m\"}", token), 0);
        to_the_request(&providers[0], &env, &i);
        feed_status(i, 400, body.data);
        assert_failed(i, "'github'", "[...]");
        assert_non_null(strstr(identity_error(i)->message, "is no good?[1m"));
        for (size_t k = 0; k + 40 < strlen(token); k++) {
                AUTO_FREE char *part = strndup(token + k, 40);

                assert_null(strstr(identity_error(i)->message, part));
        }
}

static int ask_once(void *userdata) {
        const struct provider *p = userdata;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_ANSWER struct fetch_answer a;
        AUTO_BUF struct buf ca = BUF_INIT;
        AUTO_BUF struct buf own = BUF_INIT;
        AUTO_FREE char *token = NULL;
        AUTO_FREE char *claims = NULL;
        int r;

        oom_pause(true);
        if (p->env)
                env_make(&env, p->env);
        fetch_answer_init(&a);
        token = token_for(AUDIENCE);
        /* No text of 14, 30, ... bytes, as the issuer in POD_CLAIMS is: jansson 2.14 overlooks that
         * its buffer could not grow for a closing quote, and reads on. */
        claims = token_of("{\"sub\":\"system:serviceaccount:ns:sa\"}");
        a.outcome = FETCH_ANSWERED;
        a.status = 200;
        assert_int_equal(fetch_answer_add_header(&a, "Metadata-Flavor", "Google"), 0);
        assert_int_equal(buf_printf(&a.body, "%.*s%s%s",
                                    (int)(strstr(p->answer, "TOKEN") - p->answer), p->answer, token,
                                    strstr(p->answer, "TOKEN") + 5),
                         0);
        assert_int_equal(buf_append_str(&ca, "CA"), 0);
        assert_int_equal(buf_append_str(&own, claims), 0);
        oom_pause(false);
        r = identity_start(p->config, &env, &i, NULL);
        if (r < 0)
                return r;
        if (next_of(i) == IDENTITY_READ)
                identity_feed_bytes(i, 0, &ca, NULL, NOW);
        if (next_of(i) == IDENTITY_READ)
                identity_feed_bytes(i, 0, &own, NULL, NOW);
        if (next_of(i) == IDENTITY_FETCH)
                identity_feed_answer(i, &a, NOW);
        if (next_of(i) != IDENTITY_FAILED)
                return identity_take(i, &got);
        assert_true(identity_error(i)->message[0]);
        return -ENOMEM;
}

static void no_allocation_that_fails_is_missed(void **state) {
        for (size_t p = 0; p < ARRAY_SIZE(providers); p++) {
                struct provider copy = providers[p];

                assert_true(oom_sweep_any(ask_once, &copy) > 20);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_job_of_github_asks_with_its_token),
                cmocka_unit_test(a_job_without_the_permission_is_told_so),
                cmocka_unit_test(a_machine_of_google_asks_its_metadata_server),
                cmocka_unit_test(a_token_is_renewed_in_time_and_a_short_one_is_not_kept),
                cmocka_unit_test(what_is_not_google_is_not_believed),
                cmocka_unit_test(a_pod_asks_for_a_token_that_dies_with_it),
                cmocka_unit_test(a_request_that_is_repeated_is_the_same),
                cmocka_unit_test(what_a_pod_has_must_be_that_of_a_pod),
                cmocka_unit_test(a_refusal_of_the_api_server_says_what_to_do),
                cmocka_unit_test(a_projected_token_is_a_file),
                cmocka_unit_test(every_fault_is_an_error_with_provider_step_and_remedy),
                cmocka_unit_test(every_provider_refuses_the_same_tokens),
                cmocka_unit_test(a_line_break_never_gets_into_a_token),
                cmocka_unit_test(pauses_grow_and_a_wish_for_longer_is_heeded),
                cmocka_unit_test(a_worker_of_ours_that_dies_is_waited_for),
                cmocka_unit_test(nothing_secret_is_said_again),
                cmocka_unit_test(no_allocation_that_fails_is_missed),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
