/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/scope.h"

#include "base/limits.h"

void scope_set_done(struct scope_set *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->items[i]);
        free(s->items);
        *s = SCOPE_SET_INIT;
}

bool scope_token_valid(const char *token, size_t len) {
        for (size_t i = 0; i < len; i++) {
                unsigned char c = (unsigned char)token[i];

                if (c < 0x21 || c > 0x7e || c == '"' || c == '\\')
                        return false;
        }
        return len > 0;
}

/* Where @token stands, or would have to be put in. */
static size_t find(const struct scope_set *s, const char *token, size_t len, bool *ret_there) {
        size_t low = 0;
        size_t high = s->n;

        while (low < high) {
                size_t mid = low + (high - low) / 2;
                int c = strncmp(s->items[mid], token, len);

                if (c == 0 && s->items[mid][len] == '\0') {
                        *ret_there = true;
                        return mid;
                }
                if (c < 0)
                        low = mid + 1;
                else
                        high = mid;
        }
        *ret_there = false;
        return low;
}

static size_t text_bytes(const struct scope_set *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->n; i++)
                n += strlen(s->items[i]) + 1;
        return n;
}

static int add(struct scope_set *s, const char *token, size_t len) {
        bool there = false;
        char *copy;
        size_t at;

        if (!scope_token_valid(token, len))
                return -EINVAL;
        at = find(s, token, len, &there);
        if (there)
                return 0;
        if (s->n == LIMIT_SCOPES || text_bytes(s) + len > LIMIT_SCOPE_BYTES)
                return -E2BIG;
        if (!s->items) {
                s->items = calloc(LIMIT_SCOPES, sizeof(*s->items));
                if (!s->items)
                        return -ENOMEM;
        }
        copy = strndup(token, len);
        if (!copy)
                return -ENOMEM;
        memmove(s->items + at + 1, s->items + at, (s->n - at) * sizeof(*s->items));
        s->items[at] = copy;
        s->n++;
        return 0;
}

int scope_set_add(struct scope_set *s, const char *token) {
        return add(s, token, strlen(token));
}

/* A bad or surplus token is dropped and counted, only a lack of memory is a failure. */
static int add_or_drop(struct scope_set *s, const char *token, size_t len, size_t *n_dropped) {
        int r = add(s, token, len);

        if (r == -EINVAL || r == -E2BIG) {
                (*n_dropped)++;
                return 0;
        }
        return r;
}

int scope_set_parse(struct scope_set *s, const char *text, size_t *ret_dropped) {
        size_t n_dropped = 0;
        int r = 0;

        while (*text && r == 0) {
                size_t len = strcspn(text, " ");

                if (len > 0)
                        r = add_or_drop(s, text, len, &n_dropped);
                text += len;
                text += strspn(text, " ");
        }
        if (r == 0 && ret_dropped)
                *ret_dropped = n_dropped;
        return r;
}

int scope_set_union(struct scope_set *dst, const struct scope_set *src) {
        int r = 0;

        for (size_t i = 0; i < src->n && r == 0; i++)
                r = scope_set_add(dst, src->items[i]);
        return r;
}

int scope_set_copy(struct scope_set *dst, const struct scope_set *src) {
        AUTO_SCOPES struct scope_set copy = SCOPE_SET_INIT;
        int r = scope_set_union(&copy, src);

        if (r < 0)
                return r;
        scope_set_done(dst);
        *dst = copy;
        copy = SCOPE_SET_INIT;
        return 0;
}

bool scope_set_has(const struct scope_set *s, const char *token) {
        bool there = false;

        (void)find(s, token, strlen(token), &there);
        return there;
}

bool scope_set_contains(const struct scope_set *s, const struct scope_set *subset) {
        for (size_t i = 0; i < subset->n; i++)
                if (!scope_set_has(s, subset->items[i]))
                        return false;
        return true;
}

bool scope_set_equal(const struct scope_set *a, const struct scope_set *b) {
        return a->n == b->n && scope_set_contains(a, b);
}

int scope_set_to_text(const struct scope_set *s, struct buf *b) {
        int r = 0;

        for (size_t i = 0; i < s->n && r == 0; i++) {
                if (i > 0)
                        r = buf_append(b, " ", 1);
                if (r == 0)
                        r = buf_append_str(b, s->items[i]);
        }
        return r;
}

int scope_set_to_json(const struct scope_set *s, json_t **ret) {
        AUTO_JSON json_t *array = json_array();

        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < s->n; i++)
                if (json_array_append_new(array, json_string(s->items[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE(array);
        return 0;
}

int scope_set_from_json(struct scope_set *s, const json_t *array, size_t *ret_dropped) {
        const json_t *item;
        size_t n_dropped = 0;
        size_t i;
        int r = 0;

        json_array_foreach(array, i, item) {
                const char *token = json_string_value(item);

                if (!token)
                        n_dropped++;
                else
                        r = add_or_drop(s, token, strlen(token), &n_dropped);
                if (r < 0)
                        return r;
        }
        if (ret_dropped)
                *ret_dropped = n_dropped;
        return 0;
}
