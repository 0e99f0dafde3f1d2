/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/init.h"

#include <sodium.h>

#include "crypto/slab.h"

int crypto_init(struct error *err) {
        if (sodium_init() < 0)
                return error_set(err, MCPB_INTERNAL, EIO, NULL,
                                 "The cryptographic library does not start");
        if (slab_open() < 0)
                return error_oom(err);
        return 0;
}

void crypto_done(void) {
        slab_close();
}
