/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier on any bytes: it ends, counts lines as they are, and finds the same whether it gets
 * them at once or in pieces.
 */
#include <assert.h>

#include "audit/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t key[HASH_KEY_BYTES] = { 1, 2, 3 };

static void verify(const uint8_t *data, size_t size, size_t piece, struct audit_verified *ret) {
        struct audit_verify params = { .key = key };
        struct audit_verifier *v = NULL;

        assert(audit_verifier_new(&v, &params) == 0);
        for (size_t at = 0; at < size; at += piece)
                assert(audit_verifier_feed(v, data + at, size - at < piece ? size - at : piece) ==
                       0);
        audit_verifier_finish(v, ret);
        (void)audit_verifier_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct audit_verified whole = { 0 };
        struct audit_verified pieces = { 0 };
        uint64_t lines = 0;

        for (size_t i = 0; i < size; i++)
                lines += data[i] == '\n';
        verify(data, size, size ? size : 1, &whole);
        verify(data, size, 7, &pieces);
        assert(whole.lines == lines && pieces.lines == lines);
        assert(whole.faults == pieces.faults);
        assert(whole.last_seq == pieces.last_seq && whole.macs_checked == pieces.macs_checked);
        assert(memcmp(whole.last_hash, pieces.last_hash, HASH_BYTES) == 0);
        return 0;
}
