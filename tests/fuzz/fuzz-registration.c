/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says the status, the rest is the body: a registration that is taken can be
 * used, and survives its record. */
#include <assert.h>

#include "oauth/registration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct registration *reg, const struct as_metadata *as) {
        AUTO_REGISTRATION struct registration back = REGISTRATION_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *again = NULL;
        struct fetch_request f;

        assert(reg->client_id && reg->client_id[0]);
        assert(streq(reg->issuer, as->issuer));
        assert(!reg->uri == !reg->access_token);
        fetch_request_init(&f);
        assert(client_auth_apply(&f, reg, as, NULL) == 0);
        fetch_request_done(&f);
        assert(registration_to_json(reg, &json) == 0);
        assert(registration_from_json(&back, json) == 0);
        assert(registration_to_json(&back, &again) == 0);
        assert(json_equal(json, again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const unsigned statuses[] = { 201, 200, 400, 401, 500 };
        const struct as_metadata as = {
                .issuer = (char[]){ "https://as.example.com" },
                .registration_endpoint = (char[]){ "https://as.example.com/r" },
                .token_auth_methods =
                        CLIENT_AUTH_BIT(CLIENT_AUTH_NONE) | CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC),
        };
        const struct registration_ask ask = { .redirect_uri = "http://127.0.0.1:1/callback",
                                              .client_name = "fuzz" };
        AUTO_REGISTRATION struct registration reg = REGISTRATION_INIT;
        enum registration_failure failure = REGISTRATION_FAILURE_COUNT;
        struct fetch_answer answer;
        struct error err = ERROR_INIT;
        int r;

        if (size < 1)
                return 0;
        fetch_answer_init(&answer);
        answer.outcome = FETCH_ANSWERED;
        answer.status = statuses[data[0] % ARRAY_SIZE(statuses)];
        assert(buf_append(&answer.body, data + 1, size - 1) == 0);
        r = registration_answer(&reg, &as, &ask, &answer, &failure, &err);
        fetch_answer_done(&answer);
        assert((r == 0) == (failure == REGISTRATION_OK));
        assert((r == 0) == (err.code == MCPB_NO_ERROR));
        if (r == 0)
                check(&reg, &as);
        else
                assert(!reg.client_id && !reg.client_secret);
        return 0;
}
