/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever comes, an attempt ends: with a token for the audience that was asked for and still
 * valid, or with an error that names the provider and a remedy. The first byte chooses the
 * provider, the second what comes first; the rest is what comes.
 */
#include <assert.h>

#include "base/codec.h"
#include "identity/provider.h"
#include "jose/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AUDIENCE "https://as.example.com"
#define NOW (1790000000 * USEC_PER_SEC)
#define STEPS_MAX 64

static const char *const configs[] = {
        "file:/x",   "file:/x,format=json,field=/a/b",
        "exec:/x",   "exec:/x,format=raw",
        "github",    "gcp",
        "azure",     "azure:app-service",
        "azure:arc", "k8s:request",
        "k8s",       "azure:client-id=1",
};

static void env_make(struct identity_env *env) {
        static char host[] = "KUBERNETES_SERVICE_HOST=10.0.0.1";
        static char port[] = "KUBERNETES_SERVICE_PORT=443";
        static char url[] = "ACTIONS_ID_TOKEN_REQUEST_URL=https://a.example/x?y";
        static char bearer[] = "ACTIONS_ID_TOKEN_REQUEST_TOKEN=t";
        static char endpoint[] = "IDENTITY_ENDPOINT=http://127.0.0.1:1/x";
        static char header[] = "IDENTITY_HEADER=h";
        char *const environment[] = { host, port, url, bearer, endpoint, header, NULL };

        assert(identity_env_take(environment, env) == 0);
}

/* A status from the second byte, and a field of the answer; the body is the rest. */
static void feed_answer(struct identity *i, uint8_t what, const uint8_t *data, size_t size) {
        static const unsigned statuses[] = { 200, 200, 201, 400, 401, 404, 410, 429, 500, 302 };
        struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = what % 16 == 15 ? FETCH_NO_ANSWER : FETCH_ANSWERED;
        a.failure = FETCH_FAILURE_TIMEOUT;
        a.status = statuses[what % ARRAY_SIZE(statuses)];
        assert(fetch_answer_add_header(&a, "Metadata-Flavor", "Google") == 0);
        if (a.status == 401)
                assert(fetch_answer_add_header(&a, "WWW-Authenticate",
                                               what & 64 ? "Basic realm=/etc/shadow"
                                                         : "Basic realm=/var/opt/azcmagent/"
                                                           "tokens/a.key") == 0);
        assert(buf_append(&a.body, data, size) == 0);
        identity_feed_answer(i, &a, NOW);
        fetch_answer_done(&a);
}

static void feed_bytes(struct identity *i, const uint8_t *data, size_t size) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert(buf_append(&b, data, size) == 0);
        identity_feed_bytes(i, 0, &b, NULL, NOW);
}

static void judge_result(struct identity *i) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_JSON json_t *claims = NULL;
        const json_t *aud;

        assert(identity_take(i, &got) == 0);
        assert(got.expires_wall == 0 || got.expires_wall > NOW);
        assert(got.refresh_wall == 0 || got.refresh_wall < got.expires_wall);
        if (got.kind != IDENTITY_JWT)
                return;
        assert(jwt_read(got.jwt.data, got.jwt.len, NULL, &claims) == 0);
        aud = json_object_get(claims, "aud");
        assert(streq(json_string_value(json_is_array(aud) ? json_array_get(aud, 0) : aud),
                     AUDIENCE));
        assert(!strpbrk(got.jwt.data, "\r\n "));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const audiences[] = { AUDIENCE };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct identity_step *step;
        enum identity_next next;
        unsigned n = 0;

        if (size < 2)
                return 0;
        env_make(&env);
        assert(identity_config_parse(configs[data[0] % ARRAY_SIZE(configs)], &c, NULL) == 0);
        assert(identity_begin(&c, &env, audiences, 1, NOW, &i, NULL) == 0);
        while ((next = identity_step(i, &step)) < IDENTITY_DONE) {
                n++;
                assert(n <= STEPS_MAX);
                if (next == IDENTITY_FETCH)
                        feed_answer(i, n == 1 ? data[1] : 0, data + 2, size - 2);
                else if (next == IDENTITY_WAIT)
                        identity_feed_time(i, NOW);
                else
                        feed_bytes(i, data + 2, size - 2);
        }
        if (next == IDENTITY_DONE) {
                judge_result(i);
                return 0;
        }
        assert(identity_error(i)->code == MCPB_IDENTITY_FAILED);
        assert(strstr(identity_error(i)->message, c.provider) && identity_error(i)->hint[0]);
        return 0;
}
