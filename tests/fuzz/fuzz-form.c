/* SPDX-License-Identifier: Apache-2.0 */
/* Form data, and the other codings beside it: what is decoded and encoded again is decoded to the
 * same. */
#include <assert.h>

#include "base/codec.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_form(const char *text, size_t len) {
        AUTO_BUF struct buf again = BUF_INIT;
        struct form a = FORM_INIT;
        struct form b = FORM_INIT;

        if (form_parse(&a, text, len) == 0) {
                assert(a.n_pairs <= FORM_PAIRS_MAX);
                for (size_t i = 0; i < a.n_pairs; i++) {
                        assert(utf8_valid(a.pairs[i].name, strlen(a.pairs[i].name)));
                        assert(form_append_pair(&again, a.pairs[i].name, a.pairs[i].value) == 0);
                }
                assert(form_parse(&b, again.data ? again.data : "", again.len) == 0);
                assert(a.n_pairs == b.n_pairs);
                for (size_t i = 0; i < a.n_pairs; i++) {
                        assert(streq(a.pairs[i].name, b.pairs[i].name));
                        assert(streq(a.pairs[i].value, b.pairs[i].value));
                }
        }
        form_done(&a);
        form_done(&b);
}

static void try_base64url(const char *text, size_t len) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;

        if (base64url_decode(&bytes, text, len) < 0)
                return;
        assert(base64url_append(&again, bytes.data, bytes.len) == 0);
        assert(again.len == len && memcmp(again.data, text, len) == 0);
}

static void try_hex(const char *text, size_t len) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;

        if (hex_decode(&bytes, text, len) < 0)
                return;
        assert(hex_append(&again, bytes.data, bytes.len) == 0);
        assert(again.len == len && memcmp(again.data, text, len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_BUF struct buf text = BUF_INIT;
        uint64_t n = 0;

        assert(buf_append(&text, data, size) == 0);
        try_form(text.data, text.len);
        try_base64url(text.data, text.len);
        try_hex(text.data, text.len);
        if (number_parse(text.data, 100000, &n) == 0)
                assert(n <= 100000);
        (void)!duration_parse(text.data, &n);
        return 0;
}
