/* SPDX-License-Identifier: Apache-2.0 */
/* A chain of certificates, as PEM where it says so, else as DER. What is taken comes back. */
#include <assert.h>

#include "jose/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look_at(const struct buf *der) {
        AUTO_BUF struct buf print = BUF_INIT;
        AUTO_FREE char *uri = NULL;
        uint64_t sec = 0;
        int r = cert_thumbprint(der->data, der->len, &print);

        assert(r == -EBADMSG || (r == 0 && print.len == 43));
        r = cert_uri(der->data, der->len, &uri);
        assert((r == 0) == (uri != NULL));
        for (size_t i = 0; uri && uri[i]; i++)
                assert(uri[i] > 0x20 && uri[i] < 0x7f);
        r = cert_not_after(der->data, der->len, &sec);
        assert(r == 0 || r == -EBADMSG);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf pem = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;

        if (size > 0 && data[0] == '-') {
                if (cert_chain_from_pem(data, size, &der) < 0) {
                        assert(der.len == 0);
                        return 0;
                }
        } else if (size > 0) {
                assert(buf_append(&der, data, size) == 0);
        }
        look_at(&der);
        if (cert_chain_to_pem(der.data, der.len, &pem) < 0) {
                assert(pem.len == 0);
                return 0;
        }
        /* PEM is longer, and so may not fit where DER did. */
        if (cert_chain_from_pem(pem.data, pem.len, &again) == 0) {
                assert(again.len == der.len && again.data && der.data);
                assert(memcmp(again.data, der.data, der.len) == 0);
        }
        return 0;
}
