/* SPDX-License-Identifier: Apache-2.0 */
/* A document that is taken speaks of the server that was asked, and names an issuer; one that is
 * not says why. */
#include <assert.h>

#include "oauth/prm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define SERVER "https://mcp.example.com/mcp"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_PRM struct prm p = PRM_INIT;
        AUTO_BUF struct buf body = BUF_INIT;
        struct error err = ERROR_INIT;
        const char *issuer = NULL;
        int r;

        assert(buf_append(&body, data, size) == 0);
        r = prm_parse(&p, SERVER, SERVER "/prm", &body, &err);
        assert((r == 0 || r == -ENODATA) == (err.code == MCPB_NO_ERROR));
        if (r < 0) {
                assert(!p.resource && p.n_issuers == 0);
                return 0;
        }
        assert(prm_resource_matches(p.resource, SERVER));
        assert(p.n_issuers > 0);
        assert(prm_choose_issuer(&p, NULL, NULL, 0, &issuer, &err) == 0);
        assert(streq(issuer, p.issuers[0]));
        return 0;
}
