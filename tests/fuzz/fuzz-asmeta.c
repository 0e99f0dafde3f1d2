/* SPDX-License-Identifier: Apache-2.0 */
/* A document that is taken is the issuer's own, leads nowhere forbidden, and survives its
 * record. */
#include <assert.h>

#include "base/limits.h"
#include "base/url.h"
#include "oauth/asmeta.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ISSUER "https://as.example.com"

static void check_url(const char *url) {
        assert(!url || url_check_allowed(url, "endpoint", NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const struct as_source from = { ISSUER, ISSUER "/.well-known/oauth-authorization-server",
                                        ADDRESS_PUBLIC, false };
        AUTO_AS_METADATA struct as_metadata as = AS_METADATA_INIT;
        AUTO_AS_METADATA struct as_metadata back = AS_METADATA_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *again = NULL;
        struct fetch_answer answer;
        struct error err = ERROR_INIT;
        int r;

        fetch_answer_init(&answer);
        answer.status = 200;
        assert(buf_append(&answer.body, data, size) == 0);
        r = as_metadata_parse(&as, &from, &answer, &err);
        fetch_answer_done(&answer);
        assert((r == 0 || r == -ENODATA) == (err.code == MCPB_NO_ERROR));
        if (r < 0) {
                assert(!as.issuer && !as.token_endpoint);
                return 0;
        }
        assert(streq(as.issuer, ISSUER));
        check_url(as.authorization_endpoint);
        check_url(as.token_endpoint);
        check_url(as.registration_endpoint);
        check_url(as.revocation_endpoint);
        check_url(as.device_authorization_endpoint);
        check_url(as.par_endpoint);
        check_url(as.mtls_token_endpoint);
        check_url(as.challenge_endpoint);
        assert(as.cache_sec <= LIMIT_METADATA_CACHE_SEC);
        if (as_metadata_check(&as, AS_USE_CODE, &err) == 0)
                assert(as.token_endpoint && as.authorization_endpoint && as.pkce_s256);
        assert(as_metadata_to_json(&as, &json) == 0);
        assert(as_metadata_from_json(&back, json) == 0);
        assert(as_metadata_to_json(&back, &again) == 0);
        assert(json_equal(json, again));
        return 0;
}
