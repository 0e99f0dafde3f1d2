/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text members of a struct as a table, so that copying, freeing, and JSON are written once. All
 * of them are wiped when freed: some are secrets.
 */
#pragma once

#include "base/json.h"

struct text_field {
        const char *name; /* in JSON */
        size_t offset;    /* of a char * */
        bool required;
};

struct text_fields {
        const struct text_field *fields;
        size_t n;
};

#define TEXT_FIELD(type, member, required) \
        { #member, offsetof(type, member), required }

void text_fields_done(const struct text_fields *t, void *object);
/* @dst must hold no text yet; after a failure it holds a part. */
int text_fields_copy(const struct text_fields *t, void *dst, const void *src) MUST_CHECK;
int text_fields_to_json(const struct text_fields *t, const void *object, json_t *json) MUST_CHECK;
/* For our own records: -EBADMSG if a required member is missing, or one is no string. */
int text_fields_from_json(const struct text_fields *t, void *object, const json_t *json) MUST_CHECK;
/* For foreign documents: what is no string, or empty, is absent. */
int text_fields_from_foreign(const struct text_fields *t, void *object, const json_t *json)
        MUST_CHECK;

/* A list of strings. */
void text_list_done(char ***items, size_t *n);
int text_list_copy(char ***dst, size_t *n_dst, char *const *src, size_t n) MUST_CHECK;
/* The strings of a foreign array, LIMIT_METADATA_LIST of them at most; no array: none. */
int text_list_from_json(char ***items, size_t *n, const json_t *array) MUST_CHECK;
int text_list_to_json(char *const *items, size_t n, json_t **ret) MUST_CHECK;

/* json_object_set_new() with -ENOMEM. */
int json_put(json_t *object, const char *key, json_t *value) MUST_CHECK;
