/* SPDX-License-Identifier: Apache-2.0 */
/* The query of a redirect. The first byte says whether the issuer promised an iss. Without our
 * state nothing happens. */
#include <assert.h>

#include "oauth/authorize.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct authorization a = { .state = (char[]){ "S" },
                                   .verifier = (char[]){ "v" },
                                   .redirect_uri = (char[]){ "http://127.0.0.1:1/callback" },
                                   .issuer = (char[]){ "https://as.example.com" },
                                   .resource = (char[]){ "https://mcp.example.com" },
                                   .client_id = (char[]){ "c" },
                                   .expires_wall = 10 };
        AUTO_FREE char *query = NULL;
        AUTO_WIPE_STR char *code = NULL;
        struct error err = ERROR_INIT;
        enum authorization_result result;

        if (size < 1)
                return 0;
        a.iss_supported = data[0] & 1;
        query = calloc(1, size); /* not strndup(): ASan reads on for its NUL */
        if (query)
                memcpy(query, data + 1, size - 1);
        assert(query);
        result = authorization_response(&a, query, 5, &code, &err);
        assert((result == AUTHORIZATION_CODE) == (code != NULL));
        assert((result == AUTHORIZATION_FAILED || result == AUTHORIZATION_REFUSED) ==
               (err.code != MCPB_NO_ERROR));
        assert(result == AUTHORIZATION_IGNORED || strchr(query, 'S') || strstr(query, "%53"));
        assert(result != AUTHORIZATION_CODE || !a.iss_supported || strchr(query, '='));
        assert(!code || code[0]);
        free(code);
        code = NULL;
        /* An expired login gives no code, whatever comes. */
        assert(authorization_response(&a, query, 10, &code, &err) != AUTHORIZATION_CODE);
        return 0;
}
