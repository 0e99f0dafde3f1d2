/* SPDX-License-Identifier: Apache-2.0 */
/* What jansson takes is taken, and reads the same; what only we take is JSON that jansson does not
 * want: half a surrogate pair, a number out of its range, NUL in a key. */
#include <assert.h>

#include "base/json.h"
#include "base/jsonspan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DEPTH 24

static void compare_string(struct span s, const char *text, size_t len) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_FREE char *copy = NULL;
        bool whole = !memchr(text, '\0', len);

        assert(jsonspan_decode(&b, s) == 0);
        assert(b.len == len && memcmp(b.data, text, len) == 0);
        assert(jsonspan_string(s, &copy) == (whole ? 0 : -EBADMSG));
        assert(!whole || streq(copy, text));
        assert(jsonspan_string_is(s, text) == whole);
        buf_clear(&b);
        assert(jsonspan_quote(&b, text, len) == 0);
        assert(jsonspan_same(s, (struct span){ b.data, b.len }));
}

static void compare_number(struct span s, const json_t *value) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert(jsonspan_same(s, s));
        if (json_is_integer(value)) {
                AUTO_BUF struct buf expected = BUF_INIT;

                assert(json_write(&expected, value) == 0);
                assert(jsonspan_integer(&b, s) == 0);
                assert(streq(b.data, expected.data));
                assert(jsonspan_same(s, (struct span){ expected.data, expected.len }));
        } else if (jsonspan_integer(&b, s) == 0) {
                assert(jsonspan_same(s, (struct span){ b.data, b.len }));
        }
}

static void compare(struct span s, const json_t *value, unsigned depth);

static void compare_object(struct span s, const json_t *value, unsigned depth) {
        struct span key;
        struct span item;
        const char *name;
        json_t *member;
        size_t pos = 0;
        size_t n = 0;

        while (jsonspan_next_member(s, &pos, &key, &item)) {
                assert(jsonspan_type(key) == JSONSPAN_STRING && item.len > 0);
                n++;
        }
        assert(n >= json_object_size(value)); /* duplicates are one to jansson */
        json_object_foreach((json_t *)(uintptr_t)value, name, member) {
                assert(jsonspan_member(s, name, &item) == 0);
                compare(item, member, depth + 1);
        }
}

static void compare_array(struct span s, const json_t *value, unsigned depth) {
        struct span item;
        size_t pos = 0;
        size_t n = 0;

        while (jsonspan_next_item(s, &pos, &item))
                compare(item, json_array_get(value, n++), depth + 1);
        assert(n == json_array_size(value));
}

static void compare(struct span s, const json_t *value, unsigned depth) {
        assert(value && depth <= DEPTH);
        switch (jsonspan_type(s)) {
        case JSONSPAN_OBJECT:
                assert(json_is_object(value));
                compare_object(s, value, depth);
                break;
        case JSONSPAN_ARRAY:
                assert(json_is_array(value));
                compare_array(s, value, depth);
                break;
        case JSONSPAN_STRING:
                assert(json_is_string(value));
                compare_string(s, json_string_value(value), json_string_length(value));
                break;
        case JSONSPAN_NUMBER:
                assert(json_is_number(value));
                compare_number(s, value);
                break;
        case JSONSPAN_BOOL:
                assert(json_is_boolean(value) && json_is_true(value) == (*s.p == 't'));
                break;
        case JSONSPAN_NULL:
                assert(json_is_null(value));
                break;
        case JSONSPAN_NONE:
        default:
                abort(); /* there is always a value */
        }
}

/* Is this what jansson wants of JSON beyond what the standard does? */
static bool is_taste(const json_error_t *e) {
        enum json_error_code code = json_error_code(e);

        return code == json_error_numeric_overflow || code == json_error_null_byte_in_key ||
               strstr(e->text, "Unicode");
}

static void compact(struct span s, const json_t *value) {
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        AUTO_JSON json_t *reread = NULL;

        assert(jsonspan_compact(&text, s) == 0);
        assert(text.len <= s.len);
        assert(jsonspan_check(text.data, text.len, DEPTH, NULL) == 0);
        assert(!memchr(text.data, '\n', text.len));
        assert(jsonspan_compact(&again, (struct span){ text.data, text.len }) == 0);
        assert(streq(text.data, again.data));
        if (!value)
                return;
        reread = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert(json_equal(reread, value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *)data;
        AUTO_JSON json_t *value = NULL;
        json_error_t e = { 0 };
        const char *why = NULL;
        struct span s;
        int r;

        r = jsonspan_check(text, size, DEPTH, &why);
        assert((r == 0) == (why == NULL));
        value = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
        if (r < 0) {
                /* jansson takes a NUL byte for the end. */
                assert(!value || streq(why, "nested too deeply") || memchr(text, '\0', size));
                return 0;
        }
        s = jsonspan_trim(text, size);
        compact(s, value);
        if (value)
                compare(s, value, 0);
        else
                assert(is_taste(&e));
        return 0;
}
