/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken names a provider and options that it has; what is not says why. */
#include <assert.h>

#include "identity/provider.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = ERROR_INIT;
        int r;

        assert(buf_append(&text, data, size) == 0);
        r = identity_config_parse(text.data, &c, &err);
        assert((r == 0) == (err.code == MCPB_NO_ERROR));
        if (r < 0) {
                assert(err.code == MCPB_BAD_CONFIG && err.hint[0]);
                assert(!c.provider && c.n_options == 0);
                return 0;
        }
        assert(identity_provider_find(c.provider));
        for (size_t i = 0; i < c.n_options; i++)
                assert(*c.options[i].value && identity_config_get(&c, c.options[i].name) != NULL);
        return 0;
}
