/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/fields.h"

#include "base/limits.h"

static char **slot_of(void *object, const struct text_field *f) {
        return (char **)(void *)((char *)object + f->offset);
}

static const char *text_of(const void *object, const struct text_field *f) {
        return *(char *const *)(const void *)((const char *)object + f->offset);
}

static int set_text(char **slot, const char *text) {
        *slot = strdup(text);
        return *slot ? 0 : -ENOMEM;
}

void text_fields_done(const struct text_fields *t, void *object) {
        for (size_t i = 0; i < t->n; i++) {
                char **slot = slot_of(object, &t->fields[i]);

                *slot = str_wipe_free(*slot);
        }
}

int text_fields_copy(const struct text_fields *t, void *dst, const void *src) {
        for (size_t i = 0; i < t->n; i++) {
                const char *text = text_of(src, &t->fields[i]);

                if (text && set_text(slot_of(dst, &t->fields[i]), text) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int json_put(json_t *object, const char *key, json_t *value) {
        return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

int text_fields_to_json(const struct text_fields *t, const void *object, json_t *json) {
        for (size_t i = 0; i < t->n; i++) {
                const char *text = text_of(object, &t->fields[i]);
                int r = text ? json_put(json, t->fields[i].name, json_string(text)) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

int text_fields_from_json(const struct text_fields *t, void *object, const json_t *json) {
        for (size_t i = 0; i < t->n; i++) {
                const json_t *value = json_object_get(json, t->fields[i].name);

                if (!value && !t->fields[i].required)
                        continue;
                if (!json_is_string(value))
                        return -EBADMSG;
                if (set_text(slot_of(object, &t->fields[i]), json_string_value(value)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int text_fields_from_foreign(const struct text_fields *t, void *object, const json_t *json) {
        for (size_t i = 0; i < t->n; i++) {
                const char *text = json_get_string(json, t->fields[i].name);

                if (text && *text && set_text(slot_of(object, &t->fields[i]), text) < 0)
                        return -ENOMEM;
        }
        return 0;
}

void text_list_done(char ***items, size_t *n) {
        for (size_t i = 0; i < *n; i++)
                free((*items)[i]);
        free(*items);
        *items = NULL;
        *n = 0;
}

static int add_text(char ***items, size_t *n, const char *text) {
        if (*n == LIMIT_METADATA_LIST)
                return 0;
        if (!*items)
                *items = calloc(LIMIT_METADATA_LIST, sizeof(**items));
        if (!*items || set_text(&(*items)[*n], text) < 0)
                return -ENOMEM;
        (*n)++;
        return 0;
}

int text_list_copy(char ***dst, size_t *n_dst, char *const *src, size_t n) {
        int r = 0;

        for (size_t i = 0; i < n && r == 0; i++)
                r = add_text(dst, n_dst, src[i]);
        return r;
}

int text_list_from_json(char ***items, size_t *n, const json_t *array) {
        const json_t *item;
        size_t i;
        int r = 0;

        json_array_foreach(array, i, item) {
                if (json_is_string(item))
                        r = add_text(items, n, json_string_value(item));
                if (r < 0)
                        return r;
        }
        return 0;
}

int text_list_to_json(char *const *items, size_t n, json_t **ret) {
        AUTO_JSON json_t *array = json_array();

        if (!array)
                return -ENOMEM;
        for (size_t i = 0; i < n; i++)
                if (json_array_append_new(array, json_string(items[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE(array);
        return 0;
}
