/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says the status, the rest is the body. A token that is taken fits into a header
 * field. */
#include <assert.h>

#include "base/limits.h"
#include "oauth/revoke.h"
#include "oauth/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const unsigned statuses[] = { 200, 400, 401, 307, 500 };
        const struct as_metadata as = { .issuer = (char[]){ "https://as.example.com" },
                                        .token_endpoint = (char[]){ "https://as.example.com/t" } };
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        AUTO_TOKEN_REPLY struct token_reply proven = TOKEN_REPLY_INIT;
        struct token_fault fault = { .what = TOKEN_ERROR_COUNT };
        struct fetch_answer answer;
        struct error err = ERROR_INIT;
        uint64_t retry = 1;
        int r;

        if (size < 1)
                return 0;
        fetch_answer_init(&answer);
        answer.outcome = FETCH_ANSWERED;
        answer.status = statuses[data[0] % ARRAY_SIZE(statuses)];
        assert(buf_append(&answer.body, data + 1, size - 1) == 0);
        r = token_answer(&reply, &as, &answer, &fault, &err);
        assert((r == 0) == (fault.what == TOKEN_OK));
        assert((r == 0) == (err.code == MCPB_NO_ERROR));
        if (r < 0)
                assert(reply.access_token.len == 0 && reply.refresh_token.len == 0);
        else
                assert(streq(reply.token_type, "Bearer"));
        assert(token_answer_dpop(&proven, &as, &answer, &fault, NULL) == 0 || r < 0);
        for (size_t i = 0; i < reply.access_token.len; i++)
                assert(reply.access_token.data[i] > 0x20 && reply.access_token.data[i] < 0x7f);
        assert(reply.access_token.len <= LIMIT_TOKEN_BYTES);
        assert(revoke_answer(&as, &answer, &retry, &err) < REVOKE_OUTCOME_COUNT);
        fetch_answer_done(&answer);
        return 0;
}
