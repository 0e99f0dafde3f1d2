/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/utf8.h"

/* Nesting is counted before jansson sees the bytes: its own limit is a build constant. */
static bool too_deep(const char *data, size_t len, unsigned depth_max) {
        unsigned depth = 0;
        bool quoted = false;

        for (size_t i = 0; i < len; i++) {
                char c = data[i];

                if (quoted) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                quoted = false;
                        continue;
                }
                if (c == '"')
                        quoted = true;
                else if (c == '{' || c == '[') {
                        if (++depth > depth_max)
                                return true;
                } else if ((c == '}' || c == ']') && depth > 0)
                        depth--;
        }
        return false;
}

int json_parse(const char *data, size_t len, unsigned depth_max, json_t **ret, const char **why) {
        json_error_t error = { 0 }; /* jansson leaves the code unset where it gives none */
        const char *unused;
        json_t *value;

        if (!why)
                why = &unused;
        if (!utf8_valid(data, len)) {
                *why = "not UTF-8";
                return -EBADMSG;
        }
        if (too_deep(data, len, depth_max)) {
                *why = "nested too deeply";
                return -EBADMSG;
        }
        value = json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (!value) {
                /* Most of jansson's failed allocations leave no word; a few look like a bad token.
                 */
                if (json_error_code(&error) == json_error_out_of_memory || !error.text[0]) {
                        *why = "out of memory";
                        return -ENOMEM;
                }
                *why = json_error_code(&error) == json_error_duplicate_key ? "duplicate key"
                                                                           : "not JSON";
                return -EBADMSG;
        }
        *ret = value;
        return 0;
}

/* jansson does not hand on why a callback failed. */
struct sink {
        struct buf *b;
        int r;
};

static int on_json_chunk(const char *data, size_t len, void *userdata) {
        struct sink *sink = userdata;

        if (sink->r == 0)
                sink->r = buf_append(sink->b, data, len);
        return sink->r < 0 ? -1 : 0;
}

static int write_flags(struct buf *b, const json_t *value, size_t flags) {
        struct sink sink = { .b = b };
        size_t before = b->len;

        if (json_dump_callback(value, on_json_chunk, &sink,
                               JSON_COMPACT | JSON_ENCODE_ANY | flags) == 0)
                return 0;
        buf_truncate(b, before);
        return sink.r < 0 ? sink.r : -ENOMEM;
}

int json_write(struct buf *b, const json_t *value) {
        return write_flags(b, value, 0);
}

int json_write_canonical(struct buf *b, const json_t *value) {
        return write_flags(b, value, JSON_SORT_KEYS);
}

const char *json_get_string(const json_t *object, const char *key) {
        return json_string_value(json_object_get(object, key));
}

bool json_get_bool(const json_t *object, const char *key, bool fallback) {
        const json_t *value = json_object_get(object, key);

        return json_is_boolean(value) ? json_is_true(value) : fallback;
}

json_int_t json_get_int(const json_t *object, const char *key, json_int_t fallback) {
        const json_t *value = json_object_get(object, key);

        return json_is_integer(value) ? json_integer_value(value) : fallback;
}

bool json_has_string(const json_t *object, const char *key, const char *value) {
        const json_t *array = json_object_get(object, key);
        const json_t *item;
        size_t i;

        json_array_foreach(array, i, item) {
                if (json_is_string(item) && streq(json_string_value(item), value))
                        return true;
        }
        return false;
}

/* A header in front of each block remembers its size: asking malloc for it fights _FORTIFY_SOURCE.
 */
union block {
        size_t size;
        max_align_t align;
};

static void *wiping_malloc(size_t size) {
        union block *b;

        if (size > SIZE_MAX - sizeof(*b))
                return NULL;
        b = malloc(sizeof(*b) + size);
        if (!b)
                return NULL;
        b->size = size;
        return b + 1;
}

static void wiping_free(void *p) {
        union block *b = p;

        if (!b)
                return;
        b--;
        mem_wipe(b, sizeof(*b) + b->size);
        free(b);
}

void json_use_wiping_allocator(void) {
        json_set_alloc_funcs(wiping_malloc, wiping_free);
}
