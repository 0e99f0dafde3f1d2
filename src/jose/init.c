/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/init.h"

#include <openssl/crypto.h>

int jose_init(void) {
        return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1 ? 0 : -EIO;
}
