/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/codec.h"
#include "jose/internal.h"

#define LINE_CHARS 64

int jose_failed(int otherwise) {
        unsigned long e = ERR_peek_last_error();

        ERR_clear_error();
        return ERR_GET_REASON(e) == ERR_R_MALLOC_FAILURE ? -ENOMEM : otherwise;
}

void pem_block_done(struct pem_block *b) {
        OPENSSL_free(b->label);
        OPENSSL_clear_free(b->der, b->len);
        *b = PEM_BLOCK_INIT;
}

int pem_next(BIO *text, struct pem_block *b) {
        char *header = NULL;
        long len = 0;

        pem_block_done(b);
        if (PEM_read_bio(text, &b->label, &header, &b->der, &len) != 1) {
                bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
                int r = jose_failed(-EBADMSG);

                return end ? 0 : r;
        }
        b->len = (size_t)len;
        /* The old way of encrypting one; no other header was ever in use. */
        b->encrypted = *header || streq(b->label, "ENCRYPTED PRIVATE KEY");
        OPENSSL_free(header);
        return 1;
}

static int append_lines(struct buf *out, const char *text, size_t len) {
        int r = 0;

        for (size_t i = 0; i < len && r == 0; i += LINE_CHARS) {
                r = buf_append(out, text + i, len - i < LINE_CHARS ? len - i : LINE_CHARS);
                if (r == 0)
                        r = buf_append(out, "\n", 1);
        }
        return r;
}

int pem_append(struct buf *out, const char *label, const void *der, size_t len) {
        AUTO_BUF struct buf text = BUF_INIT;
        size_t before = out->len;
        int r = base64_append(&text, der, len);

        if (r == 0)
                r = buf_printf(out, "-----BEGIN %s-----\n", label);
        if (r == 0)
                r = append_lines(out, text.data, text.len);
        if (r == 0)
                r = buf_printf(out, "-----END %s-----\n", label);
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
