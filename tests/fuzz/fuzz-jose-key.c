/* SPDX-License-Identifier: Apache-2.0 */
/* A private key as an operator gave it. One that is taken comes back from its own record. */
#include <assert.h>

#include "jose/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_JOSE_KEY struct jose_key *k = NULL;
        AUTO_JOSE_KEY struct jose_key *again = NULL;
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf print = BUF_INIT;
        AUTO_BUF struct buf print_again = BUF_INIT;
        struct error err = ERROR_INIT;
        int r = jose_key_read(data, size, &k, &err);

        assert((r == 0) == (k != NULL));
        assert((r == 0) == (err.code == MCPB_NO_ERROR));
        if (r < 0)
                return 0;
        assert(jose_key_can(k, jose_key_default_alg(k)));
        assert(jose_key_to_der(k, &der) == 0);
        assert(jose_key_from_der(der.data, der.len, &again) == 0);
        assert(jose_key_thumbprint(k, &print) == 0);
        assert(jose_key_thumbprint(again, &print_again) == 0);
        assert(streq(print.data, print_again.data));
        return 0;
}
