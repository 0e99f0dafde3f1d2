/* SPDX-License-Identifier: Apache-2.0 */
/* A token as some infrastructure gave it. One that is taken can stand in a header field. */
#include <assert.h>

#include "base/limits.h"
#include "jose/jwt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;
        uint64_t sec = 0;
        int r = jwt_read((const char *)data, size, &header, &claims);

        assert((r == 0) == (header != NULL) && (r == 0) == (claims != NULL));
        if (r < 0)
                return 0;
        assert(size <= LIMIT_JWT_BYTES && json_is_object(header) && json_is_object(claims));
        for (size_t i = 0; i < size; i++)
                assert(data[i] > 0x20 && data[i] < 0x7f);
        if (jwt_date(claims, "exp", &sec) == 0)
                assert(sec < UINT64_C(253402300800));
        return 0;
}
