/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/client.h"

json_t *params_new(void) {
        return json_object();
}

static void put(json_t **params, const char *key, json_t *value) {
        if (!*params)
                json_decref(value);
        else if (json_object_set_new(*params, key, value) < 0)
                json_decref(TAKE(*params)); /* out of memory: the call says so */
}

void params_string(json_t **params, const char *key, const char *value) {
        if (value)
                put(params, key, json_string(value));
}

void params_words(json_t **params, const char *key, const char *words) {
        json_t *array;

        if (!words)
                return;
        array = json_array();
        for (words += strspn(words, " "); *words; words += strspn(words, " ")) {
                size_t n = strcspn(words, " ");

                if (json_array_append_new(array, json_stringn(words, n)) < 0) {
                        json_decref(array);
                        array = NULL;
                        break;
                }
                words += n;
        }
        put(params, key, array);
}

int params_pairs(json_t **params, const char *key, const char *const *pairs, size_t n) {
        json_t *object;

        if (n == 0)
                return 0;
        object = json_object();
        for (size_t i = 0; object && i < n; i++) {
                size_t len = strcspn(pairs[i], "=");
                AUTO_FREE char *name = strndup(pairs[i], len);

                if (name && (len == 0 || !pairs[i][len] || json_object_get(object, name))) {
                        json_decref(object);
                        return -EINVAL;
                }
                if (!name || json_object_set_new(object, name, json_string(pairs[i] + len + 1)) < 0)
                        json_decref(TAKE(object));
        }
        put(params, key, object);
        return 0;
}

void params_number(json_t **params, const char *key, long value) {
        if (value != 0)
                put(params, key, json_integer(value));
}

void params_true(json_t **params, const char *key, bool value) {
        if (value)
                put(params, key, json_true());
}

void params_challenge(json_t **params, const mcpb_challenge *challenge) {
        json_t *fields;

        if (!challenge)
                return;
        fields = json_array();
        for (size_t i = 0; fields && i < challenge->n_fields; i++) {
                if (json_array_append_new(fields, json_string(challenge->fields[i])) < 0) {
                        json_decref(fields);
                        fields = NULL;
                }
        }
        put(params, "challenge",
            fields ? json_pack("{s:i,s:o}", "status", challenge->status, "fields", fields) : NULL);
}

int client_take_string(char **to, const json_t *object, const char *key) {
        const char *s = json_get_string(object, key);

        *to = s ? strdup(s) : NULL;
        return s && !*to ? -ENOMEM : 0;
}

void json_wipe_string(json_t *object, const char *key) {
        json_t *value = json_object_get(object, key);

        /* jansson gives its own bytes out as const; nobody else holds this value. */
        if (json_is_string(value))
                mem_wipe((void *)(uintptr_t)json_string_value(value), json_string_length(value));
}
