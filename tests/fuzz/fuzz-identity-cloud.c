/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The providers of AWS and SPIFFE, walked to the step that the first byte chooses; the second says
 * the status, the rest is what comes there and at all later steps. An attempt ends: with an
 * identity that is for the audience and still valid, or with an error that names provider and
 * remedy. No request on the way has a field that is more than one, or goes to a host that the
 * answers could have chosen.
 */
#include <assert.h>

#include "base/url.h"
#include "identity/grpc.h"
#include "identity/identity.h"
#include "jose/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define AUDIENCE "https://as.example.com"
#define NOW (1790000000 * USEC_PER_SEC)
#define STEPS_MAX 64
#define CREDENTIALS \
        "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"s\",\"Token\":\"t\",\"Code\":\"Success\"}"

static const struct {
        const char *config;
        const char *before[4]; /* what was answered before that step */
} places[] = {
        { "aws-wit:source=imds", { NULL } },
        { "aws-wit:source=imds", { "session" } },
        { "aws-wit:source=imds", { "session", "eu-central-1" } },
        { "aws-wit:source=imds", { "session", "eu-central-1", "role" } },
        { "aws-wit:source=imds", { "session", "eu-central-1", "role", CREDENTIALS } },
        { "aws-wit:eu-central-1,source=container", { NULL } },
        { "aws-wit:eu-central-1,source=web-identity", { NULL } },
        { "aws-wit:eu-central-1,source=web-identity", { "eyJ.a.b" } },
        { "aws-proof:vault,source=container", { NULL } },
        { "spiffe:/run/s", { NULL } },
        { "spiffe:x509,/run/s", { NULL } },
        { "spiffe:x509,folder=/run/id", { NULL } },
};

static void env_make(struct identity_env *env) {
        static char uri[] = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=/c";
        static char arn[] = "AWS_ROLE_ARN=arn:aws:iam::1:role/x";
        static char file[] = "AWS_WEB_IDENTITY_TOKEN_FILE=/t";
        char *const environment[] = { uri, arn, file, NULL };

        assert(identity_env_take(environment, env) == 0);
}

static void feed(struct identity *i, enum identity_next next, unsigned status, const void *data,
                 size_t size) {
        AUTO_BUF struct buf b = BUF_INIT;
        struct fetch_answer a;

        assert(size == 0 || buf_append(&b, data, size) == 0);
        if (next == IDENTITY_READ) {
                identity_feed_bytes(i, 0, &b, NULL, NOW);
                return;
        }
        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = status;
        if (next == IDENTITY_CALL) {
                assert(fetch_answer_add_header(&a, "content-type", "application/grpc") == 0);
                assert(fetch_answer_add_header(&a, "grpc-status", status == 200 ? "0" : "7") == 0);
                a.status = 200;
        }
        buf_move(&a.body, &b);
        identity_feed_answer(i, &a, NOW);
        fetch_answer_done(&a);
}

static void judge_request(const struct fetch_request *f) {
        static const char *const hosts[] = { "169.254.169.254", "169.254.170.2",
                                             "sts.eu-central-1.amazonaws.com", "localhost" };
        AUTO_URL struct url u = URL_INIT;
        bool known = false;

        assert(url_parse(&u, f->url, "URL", NULL) == 0);
        for (size_t k = 0; k < ARRAY_SIZE(hosts); k++)
                known |= streq(u.host, hosts[k]);
        /* A region is believed, but only as a part of this name. */
        assert(known || (strncmp(u.host, "sts.", 4) == 0 && strstr(u.host, ".amazonaws.com")));
        for (size_t k = 0; k < f->n_headers; k++)
                assert(!strpbrk(f->headers[k].value, "\r\n"));
}

static void judge_result(struct identity *i) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_JSON json_t *claims = NULL;

        assert(identity_take(i, &got) == 0);
        assert(got.expires_wall == 0 || got.expires_wall > NOW);
        if (got.kind == IDENTITY_X509)
                assert(got.subject && got.key_der.len > 0 && got.chain_der.len > 0);
        if (got.kind != IDENTITY_JWT)
                return;
        assert(jwt_read(got.jwt.data, got.jwt.len, NULL, &claims) == 0);
        assert(json_has_string(claims, "aud", AUDIENCE) ||
               streq(json_get_string(claims, "aud"), AUDIENCE));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const unsigned statuses[] = { 200, 400, 401, 403, 404, 429, 500, 302 };
        static const char *const audiences[] = { AUDIENCE };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct identity_step *step;
        enum identity_next next;
        unsigned n = 0;
        size_t place;

        if (size < 2)
                return 0;
        place = data[0] % ARRAY_SIZE(places);
        env_make(&env);
        assert(identity_config_parse(places[place].config, &c, NULL) == 0);
        assert(identity_begin(&c, &env, audiences, 1, NOW, &i, NULL) == 0);
        while ((next = identity_step(i, &step)) < IDENTITY_DONE) {
                const char *before = n < 4 ? places[place].before[n] : NULL;

                n++;
                assert(n <= STEPS_MAX);
                if (next == IDENTITY_FETCH || next == IDENTITY_CALL)
                        judge_request(next == IDENTITY_FETCH ? &step->fetch : &step->order.fetch);
                if (next == IDENTITY_WAIT)
                        identity_feed_time(i, NOW);
                else if (before)
                        feed(i, next, 200, before, strlen(before));
                else
                        feed(i, next, statuses[data[1] % ARRAY_SIZE(statuses)], data + 2, size - 2);
        }
        if (next == IDENTITY_DONE) {
                judge_result(i);
                return 0;
        }
        assert(identity_error(i)->code == MCPB_IDENTITY_FAILED);
        assert(strstr(identity_error(i)->message, c.provider) && identity_error(i)->hint[0]);
        return 0;
}
