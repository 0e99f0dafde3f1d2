/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/params.h"

#include "base/limits.h"
#include "base/url.h"

enum param_type {
        PARAM_TEXT,   /* not empty, no control characters */
        PARAM_SECRET, /* not empty; never repeated in an error */
        PARAM_SCOPES, /* array of scope tokens */
        PARAM_TEXTS,  /* object of texts; what names it may have is judged elsewhere */
        PARAM_NUMBER, /* 0 and above */
        PARAM_TRUE,
        PARAM_BOOL,
        PARAM_LOGIN, /* "never", "start" */
        PARAM_CHALLENGE,
};

struct param {
        const char *name;
        enum param_type type;
        bool required;
        size_t max; /* bytes, or the number itself */
};

#define PARAMS_MAX 21
#define ID_BYTES 256 /* of our own making: nonce, token_id, login */

static const struct param param_table[METHOD_COUNT][PARAMS_MAX + 1] = {
        [METHOD_SESSION_OPEN] = { { "nonce", PARAM_TEXT, true, ID_BYTES },
                                  { "client", PARAM_TEXT, false, ID_BYTES } },
        [METHOD_TOKEN_GET] = { { "server", PARAM_TEXT, true, URL_MAX },
                               { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                               { "scopes", PARAM_SCOPES, false, LIMIT_SCOPES },
                               { "min_ttl", PARAM_NUMBER, false, 366 * 86400 },
                               { "challenge", PARAM_CHALLENGE, false, LIMIT_CHALLENGE_BYTES },
                               { "token_id", PARAM_TEXT, false, ID_BYTES },
                               { "on_behalf_of", PARAM_TEXT, false, ID_BYTES },
                               { "helper", PARAM_BOOL, false, 0 },
                               { "optional", PARAM_BOOL, false, 0 },
                               { "login", PARAM_LOGIN, false, 0 } },
        [METHOD_TOKEN_REJECT] = { { "server", PARAM_TEXT, true, URL_MAX },
                                  { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                  { "token_id", PARAM_TEXT, true, ID_BYTES },
                                  { "challenge", PARAM_CHALLENGE, false, LIMIT_CHALLENGE_BYTES } },
        [METHOD_TOKEN_PROOF] = { { "server", PARAM_TEXT, true, URL_MAX },
                                 { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                 { "token_id", PARAM_TEXT, true, ID_BYTES },
                                 { "method", PARAM_TEXT, true, LIMIT_NAME_BYTES },
                                 { "url", PARAM_TEXT, true, URL_MAX },
                                 { "nonce", PARAM_TEXT, false, LIMIT_NONCE_BYTES } },
        [METHOD_AUDIT_RECORD] = { { "server", PARAM_TEXT, true, URL_MAX },
                                  { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                  { "tool", PARAM_TEXT, true, ID_BYTES },
                                  { "outcome", PARAM_TEXT, true, LIMIT_NAME_BYTES },
                                  { "request", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                  { "duration_msec", PARAM_NUMBER, false, UINT32_MAX },
                                  { "bytes", PARAM_NUMBER, false, INT64_MAX },
                                  { "arguments_hash", PARAM_TEXT, false, LIMIT_NAME_BYTES } },
        [METHOD_LOGIN_STATUS] = { { "login", PARAM_TEXT, true, ID_BYTES } },
        [METHOD_LOGIN_WAIT] = { { "login", PARAM_TEXT, true, ID_BYTES } },
        [METHOD_SERVER_ADD] = { { "url", PARAM_TEXT, true, URL_MAX },
                                { "name", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                { "scopes", PARAM_SCOPES, false, LIMIT_SCOPES },
                                { "issuer", PARAM_TEXT, false, URL_MAX },
                                { "client_id", PARAM_TEXT, false, URL_MAX },
                                { "client_secret", PARAM_SECRET, false, LIMIT_TOKEN_BYTES },
                                { "client_metadata_url", PARAM_TEXT, false, URL_MAX },
                                { "no_resource", PARAM_TRUE, false, 0 },
                                { "flow", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                { "login", PARAM_BOOL, false, 0 },
                                { "present", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                { "identity", PARAM_TEXT, false, URL_MAX },
                                { "audience", PARAM_TEXT, false, URL_MAX },
                                { "profile", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                { "client_key", PARAM_SECRET, false, LIMIT_TOKEN_BYTES },
                                { "client_key_id", PARAM_TEXT, false, URL_MAX },
                                { "signing_alg", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                { "idp_token_endpoint", PARAM_TEXT, false, URL_MAX },
                                { "idp_client_id", PARAM_TEXT, false, URL_MAX },
                                { "extra", PARAM_TEXTS, false, LIMIT_EXTRA } },
        [METHOD_SERVER_SHOW] = { { "server", PARAM_TEXT, true, URL_MAX },
                                 { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES } },
        [METHOD_SERVER_REMOVE] = { { "server", PARAM_TEXT, false, URL_MAX },
                                   { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                   { "all", PARAM_TRUE, false, 0 },
                                   { "login_only", PARAM_BOOL, false, 0 } },
        [METHOD_LOGIN_START] = { { "server", PARAM_TEXT, true, URL_MAX },
                                 { "account", PARAM_TEXT, false, LIMIT_NAME_BYTES },
                                 { "scopes", PARAM_SCOPES, false, LIMIT_SCOPES },
                                 { "flow", PARAM_TEXT, false, LIMIT_NAME_BYTES } },
        [METHOD_LOGIN_COMPLETE] = { { "login", PARAM_TEXT, true, ID_BYTES },
                                    { "redirect_url", PARAM_SECRET, true, LIMIT_TOKEN_BYTES } },
        [METHOD_LOGIN_CANCEL] = { { "login", PARAM_TEXT, true, ID_BYTES } },
        [METHOD_BROKER_UNLOCK] = { { "passphrase", PARAM_SECRET, false, LIMIT_SCOPE_BYTES } },
};

static int refuse(struct error *err, const struct param *p, const char *what) {
        return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL, "\"%s\" %s", p->name, what);
}

static bool has_control(const char *s) {
        for (; *s; s++)
                if ((unsigned char)*s < 0x20 || *s == 0x7f)
                        return true;
        return false;
}

static int check_string(const struct param *p, const json_t *value, struct error *err) {
        if (!json_is_string(value))
                return refuse(err, p, "must be a string");
        if (json_string_length(value) == 0)
                return refuse(err, p, "is empty");
        if (json_string_length(value) > p->max)
                return refuse(err, p, "is too long");
        if (p->type == PARAM_TEXT && has_control(json_string_value(value)))
                return refuse(err, p, "contains control characters");
        return 0;
}

/* RFC 6749 3.3: visible ASCII but for the quotation mark and the backslash. */
static bool is_scope(const char *s) {
        if (!*s || strlen(s) > LIMIT_SCOPE_BYTES)
                return false;
        for (; *s; s++)
                if (*s <= 0x20 || *s >= 0x7f || *s == '"' || *s == '\\')
                        return false;
        return true;
}

static int check_scopes(const struct param *p, const json_t *value, struct error *err) {
        const json_t *item;
        size_t i;

        if (!json_is_array(value))
                return refuse(err, p, "must be an array of strings");
        if (json_array_size(value) > p->max)
                return refuse(err, p, "has too many items");
        json_array_foreach(value, i, item) {
                if (!json_is_string(item) || !is_scope(json_string_value(item)))
                        return refuse(err, p, "holds something that is not a scope");
        }
        return 0;
}

static int check_texts(const struct param *p, const json_t *value, struct error *err) {
        const struct param text = { p->name, PARAM_TEXT, true, LIMIT_EXTRA_BYTES };
        const char *name;
        json_t *item;

        if (!json_is_object(value))
                return refuse(err, p, "must be an object of strings");
        if (json_object_size(value) > p->max)
                return refuse(err, p, "has too many members");
        json_object_foreach((json_t *)(uintptr_t)value, name, item) {
                int r = check_string(&text, item, err);

                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_challenge(const struct param *p, const json_t *value, struct error *err) {
        json_int_t status = json_get_int(value, "status", 0);
        const json_t *fields = json_object_get(value, "fields");
        const json_t *item;
        size_t total = 0;
        size_t i;

        if (!json_is_object(value) || json_object_size(value) != 2 || !json_is_array(fields))
                return refuse(err, p, "must be an object of \"status\" and \"fields\"");
        if (status != 401 && status != 403)
                return refuse(err, p, "must have the status 401 or 403");
        json_array_foreach(fields, i, item) {
                if (!json_is_string(item))
                        return refuse(err, p, "must have fields that are strings");
                total += json_string_length(item) + 1;
                if (total > p->max)
                        return refuse(err, p, "is too long");
        }
        return 0;
}

static int check_number(const struct param *p, const json_t *value, struct error *err) {
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > (json_int_t)p->max)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                 "\"%s\" must be a whole number from 0 to %zu", p->name, p->max);
        return 0;
}

static int check_one(const struct param *p, const json_t *value, struct error *err) {
        switch (p->type) {
        case PARAM_TEXT:
        case PARAM_SECRET:
                return check_string(p, value, err);
        case PARAM_SCOPES:
                return check_scopes(p, value, err);
        case PARAM_TEXTS:
                return check_texts(p, value, err);
        case PARAM_NUMBER:
                return check_number(p, value, err);
        case PARAM_TRUE:
                return json_is_true(value) ? 0 : refuse(err, p, "must be true");
        case PARAM_BOOL:
                return json_is_boolean(value) ? 0 : refuse(err, p, "must be true or false");
        case PARAM_LOGIN:
                if (json_is_string(value) && (streq(json_string_value(value), "never") ||
                                              streq(json_string_value(value), "start")))
                        return 0;
                return refuse(err, p, "must be \"never\" or \"start\"");
        case PARAM_CHALLENGE:
                return check_challenge(p, value, err);
        }
        return refuse(err, p, "is unknown");
}

int params_check(enum method m, const json_t *params, struct error *err) {
        const struct param *table = param_table[m];
        size_t n_known = 0;
        const char *key;
        const json_t *value;
        void *i;

        for (const struct param *p = table; p->name; p++) {
                int r;

                value = json_object_get(params, p->name);
                if (!value && !p->required)
                        continue;
                if (!value)
                        return refuse(err, p, "is missing");
                n_known++;
                r = check_one(p, value, err);
                if (r < 0)
                        return r;
        }
        if (m == METHOD_SERVER_REMOVE &&
            !json_object_get(params, "server") == !json_object_get(params, "all"))
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                 "either \"server\" or \"all\" must be given");
        if (json_object_size(params) == n_known)
                return 0;

        /* Something is there that the table does not know. */
        for (i = json_object_iter((json_t *)(uintptr_t)params); i;
             i = json_object_iter_next((json_t *)(uintptr_t)params, i)) {
                const struct param *p = table;

                key = json_object_iter_key(i);
                while (p->name && !streq(p->name, key))
                        p++;
                if (!p->name)
                        return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                         "%s takes no \"%.64s\"", method_name(m), key);
        }
        return 0;
}

const char *params_member(enum method m, size_t index, bool *ret_required) {
        if (index >= PARAMS_MAX || !param_table[m][index].name)
                return NULL;
        *ret_required = param_table[m][index].required;
        return param_table[m][index].name;
}
