/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/revoke.h"

#include "base/codec.h"
#include "base/limits.h"
#include "oauth/remote.h"

int revoke_request(struct fetch_request *f, const struct registration *reg,
                   const struct as_metadata *as, enum revoke_kind kind, const char *token,
                   struct error *err) {
        static const char *const hints[REVOKE_KIND_COUNT] = {
                [REVOKE_REFRESH_TOKEN] = "refresh_token",
                [REVOKE_ACCESS_TOKEN] = "access_token",
        };
        int r;

        if (!as->revocation_endpoint)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                                 "The token lives on there until it expires",
                                 "The authorization server %s has no revocation endpoint",
                                 as->issuer);
        r = client_form_begin(f, as->revocation_endpoint);
        if (r == 0)
                r = form_append_pair(&f->body, "token", token);
        if (r == 0)
                r = form_append_pair(&f->body, "token_type_hint", hints[kind]);
        return client_form_end(f, r, reg, as, err);
}

enum revoke_outcome revoke_answer(const struct as_metadata *as, const struct fetch_answer *answer,
                                  uint64_t *ret_retry_sec, struct error *err) {
        const struct remote from = { REMOTE_ISSUER, "revocation endpoint",
                                     as->revocation_endpoint ? as->revocation_endpoint
                                                             : as->issuer };
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;

        *ret_retry_sec = 0;
        if (answer->outcome != FETCH_ANSWERED) {
                (void)remote_no_answer(&from, answer, err);
                return REVOKE_LATER;
        }
        if (answer->status == 200)
                return REVOKE_DONE;
        if (remote_is_transient(answer->status)) {
                *ret_retry_sec = remote_retry_after(answer);
                (void)remote_bad_status(&from, answer, err);
                return REVOKE_LATER;
        }
        if (remote_error_read(&said, &answer->body) < 0) {
                (void)error_oom(err);
                return REVOKE_FAILED;
        }
        if (!said.code) {
                (void)remote_bad_status(&from, answer, err);
                return REVOKE_FAILED;
        }
        (void)error_set(err, MCPB_ISSUER_ERROR, EPROTO, "The token lives on there until it expires",
                        "The authorization server %s did not revoke the token: %s%s%s", as->issuer,
                        said.code, said.description ? ": " : "",
                        said.description ? said.description : "");
        return streq(said.code, "unsupported_token_type") ? REVOKE_OTHER : REVOKE_FAILED;
}
