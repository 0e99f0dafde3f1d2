/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back where no browser brings it: tokens for an identity, an identity provider's
 * assertion, a device code and its polls, a pushed request, a challenge. The first byte says the
 * status, the second how the request was made, the rest is the body. */
#include <assert.h>

#include "base/limits.h"
#include "oauth/device.h"
#include "oauth/par.h"
#include "oauth/present.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ISSUER "https://as.example.com"
#define NOW ((uint64_t)1700000000000000)

static const struct as_metadata as = {
        .issuer = (char[]){ ISSUER },
        .authorization_endpoint = (char[]){ ISSUER "/a" },
        .token_endpoint = (char[]){ ISSUER "/t" },
        .par_endpoint = (char[]){ ISSUER "/p" },
        .device_authorization_endpoint = (char[]){ ISSUER "/d" },
        .challenge_endpoint = (char[]){ ISSUER "/c" },
        .par_required = true,
};
static const struct registration client = { .issuer = (char[]){ ISSUER },
                                            .client_id = (char[]){ "c" },
                                            .auth = CLIENT_AUTH_NONE };

static void check_visible(const char *text) {
        for (; *text; text++)
                assert(*text >= 0x21 && *text <= 0x7e);
}

static void check_present(const struct fetch_answer *answer, unsigned mode) {
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct present_params p = {
                .how = PRESENT_JWT_BEARER + mode % 3, .as = &as, .dpop = mode & 4, .now_wall = NOW
        };
        struct token_fault fault = { .what = TOKEN_ERROR_COUNT };
        struct error err = ERROR_INIT;
        bool dropped = false;
        int r = present_answer(&reply, &p, answer, &dropped, &fault, &err);

        assert((r == 0) == (fault.what == TOKEN_OK));
        assert((r == 0) == (err.code == MCPB_NO_ERROR));
        assert((r == 0) == (reply.access_token.len > 0));
        assert(reply.refresh_token.len == 0);
        if (r == 0) {
                assert(p.dpop || streq(reply.token_type, "Bearer"));
                assert(p.how != PRESENT_TOKEN_EXCHANGE || reply.issued_token_type);
        }
        (void)present_answer_wants_challenge(answer);
}

static void check_challenge(const struct fetch_answer *answer) {
        AUTO_FREE char *challenge = NULL;
        struct error err = ERROR_INIT;
        int r = present_challenge_answer(&challenge, &as, answer, &err);

        assert((r == 0) == (err.code == MCPB_NO_ERROR) && (r == 0) == (challenge != NULL));
        if (challenge)
                check_visible(challenge);
}

static void check_jag(const struct fetch_answer *answer) {
        const struct id_jag_params p = { .idp_token_endpoint = "https://idp.example/t",
                                         .idp_client_id = "i",
                                         .subject_token = "s",
                                         .audience = ISSUER };
        AUTO_BUF struct buf jag = BUF_INIT;
        struct error err = ERROR_INIT;
        int r = id_jag_answer(&jag, &p, answer, NULL, &err);

        assert((r == 0) == (err.code == MCPB_NO_ERROR) && (r == 0) == (jag.len > 0));
        if (r == 0)
                check_visible(jag.data);
}

static void check_par(const struct fetch_answer *answer) {
        AUTO_AUTHORIZATION struct authorization a = { .issuer = strdup(ISSUER),
                                                      .client_id = strdup("c"),
                                                      .expires_wall = NOW + USEC_PER_SEC };
        AUTO_BUF struct buf url = BUF_INIT;
        struct error err = ERROR_INIT;
        int r = par_answer(&a, &as, answer, NOW, NULL, &err);

        assert((r == 0) == (err.code == MCPB_NO_ERROR) && (r == 0) == (a.request_uri != NULL));
        assert((authorization_url(&url, &a, &as, NULL) == 0) == (r == 0));
        if (r == 0) {
                check_visible(url.data);
                assert(a.request_expires_wall > NOW && a.request_expires_wall <= a.expires_wall);
        }
}

static void check_polls(struct device_login *d, const struct fetch_answer *answer) {
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        struct error err = ERROR_INIT;
        enum device_next next = device_poll_answer(d, &as, answer, NOW, &reply, &err);

        assert(next < DEVICE_NEXT_COUNT);
        assert((next == DEVICE_GRANTED) == (reply.access_token.len > 0));
        assert((next == DEVICE_GRANTED || next == DEVICE_WAIT) == (err.code == MCPB_NO_ERROR));
        assert(d->interval_sec >= 1 && d->interval_sec <= LIMIT_DEVICE_SEC);
        assert(next != DEVICE_WAIT || d->next_wall > NOW);
}

static void check_device(const struct fetch_answer *answer) {
        const struct device_params p = { .as = &as, .registration = &client, .now_wall = NOW };
        AUTO_DEVICE_LOGIN struct device_login d = DEVICE_LOGIN_INIT;
        AUTO_DEVICE_LOGIN struct device_login back = DEVICE_LOGIN_INIT;
        AUTO_DEVICE_LOGIN struct device_login other = { .issuer = strdup(ISSUER),
                                                        .interval_sec = 5,
                                                        .expires_wall = NOW + USEC_PER_SEC };
        AUTO_JSON json_t *json = NULL;
        struct error err = ERROR_INIT;
        int r = device_answer(&d, &p, answer, NULL, &err);

        check_polls(&other, answer);
        assert((r == 0) == (err.code == MCPB_NO_ERROR) && (r == 0) == (d.device_code != NULL));
        if (r < 0)
                return;
        check_visible(d.verification_uri);
        assert(!strchr(d.verification_uri, '\''));
        assert(d.expires_wall > NOW && d.expires_wall <= NOW + LIMIT_DEVICE_SEC * USEC_PER_SEC);
        assert(device_login_to_json(&d, &json) == 0);
        assert(device_login_from_json(&back, json) == 0);
        assert(streq(back.user_code, d.user_code));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const unsigned statuses[] = { 200, 201, 400, 401, 403, 302, 500 };
        struct fetch_answer answer;

        if (size < 2)
                return 0;
        fetch_answer_init(&answer);
        answer.outcome = FETCH_ANSWERED;
        answer.status = statuses[data[0] % ARRAY_SIZE(statuses)];
        assert(buf_append(&answer.body, data + 2, size - 2) == 0);
        assert(fetch_answer_add_header(&answer, "oauth-client-attestation-challenge", "c") == 0);
        check_present(&answer, data[1]);
        check_challenge(&answer);
        check_jag(&answer);
        check_par(&answer);
        check_device(&answer);
        fetch_answer_done(&answer);
        return 0;
}
