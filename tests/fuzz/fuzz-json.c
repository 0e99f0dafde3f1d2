/* SPDX-License-Identifier: Apache-2.0 */
/* What is parsed is written, and what was written is the same value. */
#include <assert.h>

#include "base/json.h"
#include "base/limits.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned depth_of(const json_t *value) {
        unsigned deepest = 0;
        const char *key;
        json_t *item;
        size_t i;

        if (json_is_object(value)) {
                json_object_foreach((json_t *)(uintptr_t)value, key, item) {
                        unsigned d = depth_of(item);

                        deepest = d > deepest ? d : deepest;
                }
        } else if (json_is_array(value)) {
                json_array_foreach(value, i, item) {
                        unsigned d = depth_of(item);

                        deepest = d > deepest ? d : deepest;
                }
        } else {
                return 0;
        }
        return deepest + 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_JSON json_t *value = NULL;
        AUTO_JSON json_t *again = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_BUF struct buf twice = BUF_INIT;
        const char *why = NULL;

        if (json_parse((const char *)data, size, LIMIT_METADATA_DEPTH, &value, &why) < 0) {
                assert(why);
                return 0;
        }
        assert(depth_of(value) <= LIMIT_METADATA_DEPTH);
        assert(json_write_canonical(&text, value) == 0);
        assert(utf8_valid(text.data, text.len));
        assert(json_parse(text.data, text.len, LIMIT_METADATA_DEPTH, &again, NULL) == 0);
        assert(json_equal(value, again));
        assert(json_write_canonical(&twice, again) == 0);
        assert(streq(text.data, twice.data));
        return 0;
}
