/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/registration.h"

#include <strings.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/url.h"
#include "oauth/fields.h"
#include "oauth/remote.h"

#define EXPIRY_MARGIN_SEC 60
#define HINT_PREREGISTER                                                                        \
        "Register a client there by hand (native, redirect URI http://127.0.0.1/callback, any " \
        "port) and give its id to mcp-add"

#define GRANT_CODE "authorization_code"
#define GRANT_DEVICE "urn:ietf:params:oauth:grant-type:device_code"

static const struct text_field registration_fields[] = {
        TEXT_FIELD(struct registration, issuer, true),
        TEXT_FIELD(struct registration, client_id, true),
        TEXT_FIELD(struct registration, client_secret, false),
        TEXT_FIELD(struct registration, client_key, false),
        TEXT_FIELD(struct registration, key_id, false),
        TEXT_FIELD(struct registration, signing_alg, false),
        TEXT_FIELD(struct registration, assertion_audience, false),
        TEXT_FIELD(struct registration, redirect_uri_registered, false),
        TEXT_FIELD(struct registration, access_token, false),
        TEXT_FIELD(struct registration, uri, false),
};
static const struct text_fields texts = { registration_fields, ARRAY_SIZE(registration_fields) };

static const char *const how_names[REGISTRATION_HOW_COUNT] = {
        [REGISTRATION_PREREGISTERED] = "preregistered",
        [REGISTRATION_METADATA_DOCUMENT] = "metadata_document",
        [REGISTRATION_DYNAMIC] = "dynamic",
};

void registration_done(struct registration *r) {
        text_fields_done(&texts, r);
        *r = REGISTRATION_INIT;
}

int registration_copy(struct registration *dst, const struct registration *src) {
        AUTO_REGISTRATION struct registration copy = REGISTRATION_INIT;
        int r = text_fields_copy(&texts, &copy, src);

        if (r < 0)
                return r;
        copy.auth = src->auth;
        copy.plain_typ = src->plain_typ;
        copy.how = src->how;
        copy.secret_expires_at = src->secret_expires_at;
        registration_done(dst);
        *dst = copy;
        copy = REGISTRATION_INIT;
        return 0;
}

int registration_to_json(const struct registration *reg, json_t **ret) {
        AUTO_JSON json_t *json = json_object();
        int r = json ? text_fields_to_json(&texts, reg, json) : -ENOMEM;

        if (r == 0)
                r = json_put(json, "how", json_string(how_names[reg->how]));
        if (r == 0 && reg->auth != CLIENT_AUTH_ANY)
                r = json_put(json, "auth", json_string(client_auth_name(reg->auth)));
        if (r == 0 && reg->secret_expires_at > 0)
                r = json_put(json, "secret_expires_at",
                             json_integer((json_int_t)reg->secret_expires_at));
        if (r == 0 && reg->plain_typ)
                r = json_put(json, "plain_typ", json_true());
        if (r == 0)
                *ret = TAKE(json);
        return r;
}

static int how_from_name(const char *name, enum registration_how *ret) {
        for (int i = 0; name && i < REGISTRATION_HOW_COUNT; i++) {
                if (streq(how_names[i], name)) {
                        *ret = (enum registration_how)i;
                        return 0;
                }
        }
        return -EBADMSG;
}

int registration_from_json(struct registration *reg, const json_t *value) {
        AUTO_REGISTRATION struct registration read = REGISTRATION_INIT;
        const char *auth = json_get_string(value, "auth");
        json_int_t expires = json_get_int(value, "secret_expires_at", 0);
        int r = text_fields_from_json(&texts, &read, value);

        if (r == 0)
                r = how_from_name(json_get_string(value, "how"), &read.how);
        if (r == 0 && auth && client_auth_from_name(auth, &read.auth) < 0)
                r = -EBADMSG;
        if (r == 0 && expires < 0)
                r = -EBADMSG;
        if (r < 0)
                return r;
        read.secret_expires_at = (uint64_t)expires;
        read.plain_typ = json_get_bool(value, "plain_typ", false);
        registration_done(reg);
        *reg = read;
        read = REGISTRATION_INIT;
        return 0;
}

bool registration_expired(const struct registration *reg, uint64_t now_sec) {
        return reg->secret_expires_at > 0 && now_sec + EXPIRY_MARGIN_SEC >= reg->secret_expires_at;
}

static bool has_dot_segment(const char *path) {
        for (const char *p = path; (p = strchr(p, '/'));) {
                size_t len = strcspn(++p, "/");

                if ((len == 1 && p[0] == '.') || (len == 2 && p[0] == '.' && p[1] == '.'))
                        return true;
        }
        return false;
}

int client_metadata_url_check(const char *url, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        struct error why = ERROR_INIT;
        const char *wrong = NULL;
        int r = url_parse(&u, url, "client metadata document URL", &why);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, why.hint, "%s", why.message);
        if (!streq(u.scheme, "https"))
                wrong = "is not https";
        else if (streq(u.path, "") || streq(u.path, "/"))
                wrong = "has no path";
        else if (has_dot_segment(u.path))
                wrong = "has a '.' or '..' in its path";
        else if (u.fragment)
                wrong = "has a fragment";
        if (!wrong)
                return 0;
        return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                         "It must look like https://client.example.com/mcp-broker.json",
                         "The client metadata document URL '%s' %s", url, wrong);
}

static int set_text(char **slot, const char *text) {
        *slot = strdup(text);
        return *slot ? 0 : -ENOMEM;
}

/* A68, A71: what the user entered is for its issuer, and for no other. */
static int use_preregistered(const struct registration *pre, const struct as_metadata *as,
                             struct registration *reg, struct error *err) {
        if (pre->issuer && !streq(pre->issuer, as->issuer))
                return error_set(
                        err, MCPB_BAD_CONFIG, EKEYREJECTED,
                        "Nothing was sent. If the change is known to be right, enter "
                        "credentials for the new issuer; else ask whoever runs the server",
                        "The client '%.64s' was registered at %s, but the server now names "
                        "%s",
                        pre->client_id, pre->issuer, as->issuer);
        if (registration_copy(reg, pre) < 0)
                return error_oom(err);
        reg->how = REGISTRATION_PREREGISTERED;
        if (!reg->issuer && set_text(&reg->issuer, as->issuer) < 0)
                return error_oom(err);
        return 0;
}

static int use_document(const char *url, const struct as_metadata *as, struct registration *reg,
                        struct error *err) {
        int r = client_metadata_url_check(url, err);

        if (r < 0)
                return r;
        reg->how = REGISTRATION_METADATA_DOCUMENT;
        reg->auth = CLIENT_AUTH_NONE;
        if (set_text(&reg->issuer, as->issuer) < 0 || set_text(&reg->client_id, url) < 0)
                return error_oom(err);
        return 0;
}

/* What to ask for: a public client where that is offered, as any program on this machine could
 * be asked for its secret. */
static int method_to_ask(const struct as_metadata *as, enum client_auth *ret, struct error *err) {
        static const enum client_auth order[] = { CLIENT_AUTH_NONE, CLIENT_AUTH_BASIC,
                                                  CLIENT_AUTH_POST };
        const struct registration asking = { .auth = CLIENT_AUTH_ANY,
                                             .client_secret = (char[]){ "" } };

        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                if (as->token_auth_methods & CLIENT_AUTH_BIT(order[i])) {
                        *ret = order[i];
                        return 0;
                }
        }
        return client_auth_resolve(&asking, as, ret, err); /* says what is wanted instead */
}

int registration_choose(const struct registration_options *options, const struct as_metadata *as,
                        enum registration_choice *ret, struct registration *reg,
                        struct error *err) {
        AUTO_REGISTRATION struct registration chosen = REGISTRATION_INIT;
        const struct registration *stored = options->stored;
        enum client_auth method = CLIENT_AUTH_ANY;
        enum registration_choice choice = REGISTRATION_USE;
        int r;

        if (options->preregistered) {
                r = use_preregistered(options->preregistered, as, &chosen, err);
        } else if (options->client_metadata_url && as->cimd_supported) {
                r = use_document(options->client_metadata_url, as, &chosen, err);
        } else if (stored && stored->how == REGISTRATION_DYNAMIC &&
                   streq_null(stored->issuer, as->issuer) &&
                   !registration_expired(stored, options->now_sec)) {
                r = registration_copy(&chosen, stored) < 0 ? error_oom(err) : 0;
        } else if (as->registration_endpoint) {
                choice = REGISTRATION_ASK;
                r = method_to_ask(as, &method, err);
        } else {
                return error_set(err, MCPB_REGISTRATION_REQUIRED, ENOKEY, HINT_PREREGISTER,
                                 "The authorization server %s does not register clients by itself",
                                 as->issuer);
        }
        if (r < 0)
                return r;
        registration_done(reg);
        *reg = chosen;
        chosen = REGISTRATION_INIT;
        *ret = choice;
        return 0;
}

static int ask_body(struct buf *body, const struct registration_ask *ask, enum client_auth method) {
        AUTO_JSON json_t *json =
                json_pack("{s:s, s:s, s:[s,s], s:[s*], s:s}", "client_name", ask->client_name,
                          "application_type", "native", "grant_types",
                          ask->device ? GRANT_DEVICE : GRANT_CODE, "refresh_token",
                          "response_types", ask->device ? NULL : "code",
                          "token_endpoint_auth_method", client_auth_name(method));
        AUTO_BUF struct buf scope = BUF_INIT;
        int r = json ? 0 : -ENOMEM;

        if (r == 0 && ask->redirect_uri)
                r = json_put(json, "redirect_uris", json_pack("[s]", ask->redirect_uri));
        if (r == 0 && ask->scopes && ask->scopes->n > 0) {
                r = scope_set_to_text(ask->scopes, &scope);
                if (r == 0)
                        r = json_put(json, "scope", json_string(scope.data));
        }
        return r < 0 ? r : json_write(body, json);
}

int registration_request(struct fetch_request *f, const struct as_metadata *as,
                         const struct registration_ask *ask, struct error *err) {
        AUTO_BUF struct buf authorization = BUF_INIT;
        enum client_auth method = CLIENT_AUTH_ANY;
        int r;

        if (!as->registration_endpoint)
                return error_set(err, MCPB_REGISTRATION_REQUIRED, ENOKEY, HINT_PREREGISTER,
                                 "The authorization server %s does not register clients by itself",
                                 as->issuer);
        r = method_to_ask(as, &method, err);
        if (r < 0)
                return r;
        fetch_request_init(f);
        r = fetch_request_set(f, "POST", as->registration_endpoint);
        if (r == 0)
                r = fetch_request_add_header(f, "Content-Type", "application/json");
        if (r == 0)
                r = fetch_request_add_header(f, "Accept", "application/json");
        if (r == 0 && ask->initial_access_token) {
                r = buf_printf(&authorization, "Bearer %s", ask->initial_access_token);
                if (r == 0)
                        r = fetch_request_add_header(f, "Authorization", authorization.data);
        }
        if (r == 0)
                r = ask_body(&f->body, ask, method);
        if (r < 0) {
                fetch_request_done(f);
                return error_oom(err);
        }
        f->timeout_msec = LIMIT_FETCH_MSEC;
        f->body_max = LIMIT_TOKEN_REPLY_BYTES;
        return 0;
}

static int unusable(const struct as_metadata *as, const char *what, struct error *err) {
        return error_set(err, MCPB_ISSUER_ERROR, EBADMSG, HINT_PREREGISTER,
                         "The registration answer of %s cannot be used: %s", as->issuer, what);
}

/* The same string, or loopback URIs that differ in the port only (A103). */
static bool same_redirect(const char *a, const char *b) {
        AUTO_URL struct url ua = URL_INIT;
        AUTO_URL struct url ub = URL_INIT;

        if (streq(a, b))
                return true;
        return url_parse(&ua, a, "redirect URI", NULL) == 0 &&
               url_parse(&ub, b, "redirect URI", NULL) == 0 && url_host_is_loopback(&ua) &&
               streq(ua.scheme, ub.scheme) && streq(ua.host, ub.host) && streq(ua.path, ub.path) &&
               streq_null(ua.query, ub.query);
}

/* A81: arrays that are there must hold what we need. */
static const char *check_granted(const json_t *json, const struct registration_ask *ask) {
        const char *redirect_uri = ask->redirect_uri;
        const json_t *redirects = json_object_get(json, "redirect_uris");
        const json_t *item;
        bool found = !redirect_uri || !json_is_array(redirects);
        size_t i;

        if (ask->device && json_is_array(json_object_get(json, "grant_types")) &&
            !json_has_string(json, "grant_types", GRANT_DEVICE))
                return "logins by device code are not among its grant_types";
        if (ask->device)
                return NULL;
        json_array_foreach(redirects, i, item) {
                if (redirect_uri && json_is_string(item) &&
                    same_redirect(json_string_value(item), redirect_uri))
                        found = true;
        }
        if (!found)
                return "our redirect URI is not among its redirect_uris";
        if (json_is_array(json_object_get(json, "grant_types")) &&
            !json_has_string(json, "grant_types", GRANT_CODE))
                return "authorization_code is not among its grant_types";
        if (json_is_array(json_object_get(json, "response_types")) &&
            !json_has_string(json, "response_types", "code"))
                return "code is not among its response_types";
        return NULL;
}

static bool is_visible(const char *text) {
        for (; *text; text++)
                if (*text < 0x20 || *text > 0x7e)
                        return false;
        return true;
}

/* A81, A82: the method that counts; a secret alone does not change it. */
static const char *read_method(struct registration *reg, const json_t *json,
                               enum client_auth asked) {
        const char *method = json_get_string(json, "token_endpoint_auth_method");

        if (!method) {
                reg->auth =
                        asked != CLIENT_AUTH_NONE && !reg->client_secret ? CLIENT_AUTH_NONE : asked;
                return NULL;
        }
        /* No key was registered, so none would be taken. */
        if (client_auth_from_name(method, &reg->auth) < 0 || !client_auth_served(reg->auth) ||
            reg->auth == CLIENT_AUTH_PRIVATE_KEY_JWT)
                return "it demands a token_endpoint_auth_method that is not served";
        if (reg->auth != CLIENT_AUTH_NONE && !reg->client_secret)
                return "it demands a client secret but gives none";
        return NULL;
}

static uint64_t read_expiry(const json_t *json) {
        const json_t *value = json_object_get(json, "client_secret_expires_at");
        uint64_t sec = 0;

        if (json_is_integer(value))
                return json_integer_value(value) > 0 ? (uint64_t)json_integer_value(value) : 0;
        if (json_is_real(value) && json_real_value(value) > 0 && json_real_value(value) < 1e15)
                return (uint64_t)json_real_value(value);
        if (json_is_string(value) && number_parse(json_string_value(value), INT64_MAX, &sec) < 0)
                return 0;
        return sec;
}

static int read_registration(struct registration *reg, const struct as_metadata *as,
                             const struct registration_ask *ask, const json_t *json,
                             struct error *err) {
        static const struct text_field answered[] = {
                TEXT_FIELD(struct registration, client_id, false),
                TEXT_FIELD(struct registration, client_secret, false),
                { "registration_access_token", offsetof(struct registration, access_token), false },
                { "registration_client_uri", offsetof(struct registration, uri), false },
        };
        const struct text_fields table = { answered, ARRAY_SIZE(answered) };
        enum client_auth asked = CLIENT_AUTH_ANY;
        const char *wrong = NULL;
        int r = method_to_ask(as, &asked, err);

        if (r < 0)
                return r;
        if (text_fields_from_foreign(&table, reg, json) < 0 ||
            set_text(&reg->issuer, as->issuer) < 0 ||
            (ask->redirect_uri && set_text(&reg->redirect_uri_registered, ask->redirect_uri) < 0))
                return error_oom(err);
        reg->how = REGISTRATION_DYNAMIC;
        if (!reg->client_id || !is_visible(reg->client_id))
                wrong = "it has no client_id";
        if (!wrong)
                wrong = read_method(reg, json, asked);
        if (!wrong)
                wrong = check_granted(json, ask);
        if (wrong)
                return unusable(as, wrong, err);
        if (reg->client_secret)
                reg->secret_expires_at = read_expiry(json);
        /* Only of use together, and only where a secret may go. */
        if (!reg->uri || !reg->access_token ||
            url_check_allowed(reg->uri, "registration_client_uri", NULL) < 0) {
                reg->uri = str_wipe_free(reg->uri);
                reg->access_token = str_wipe_free(reg->access_token);
        }
        return 0;
}

static int on_refusal(const struct as_metadata *as, const struct fetch_answer *answer,
                      enum registration_failure *failure, struct error *err) {
        const struct remote from = { REMOTE_ISSUER, "registration endpoint",
                                     as->registration_endpoint };
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;
        const char *hint = HINT_PREREGISTER;
        enum error_code code = MCPB_ISSUER_ERROR;

        if (remote_is_transient(answer->status)) {
                *failure = REGISTRATION_TRANSIENT;
                return remote_bad_status(&from, answer, err);
        }
        if (remote_error_read(&said, &answer->body) < 0)
                return error_oom(err);
        if (answer->status == 401 || answer->status == 403) {
                *failure = REGISTRATION_CLOSED;
                code = MCPB_REGISTRATION_REQUIRED;
                hint = "Registration is closed there: configure an initial access token, or "
                       "register a client by hand and give its id to mcp-add";
        } else if (!said.code) {
                return remote_bad_status(&from, answer, err);
        } else if (streq(said.code, "invalid_redirect_uri")) {
                *failure = REGISTRATION_BAD_REDIRECT;
        }
        return error_set(err, code, EPROTO, hint,
                         "The authorization server %s refused to register the client (HTTP %u): "
                         "%s%s%s",
                         as->issuer, answer->status, said.code ? said.code : "no reason given",
                         said.description ? ": " : "", said.description ? said.description : "");
}

int registration_answer(struct registration *reg, const struct as_metadata *as,
                        const struct registration_ask *ask, const struct fetch_answer *answer,
                        enum registration_failure *ret_failure, struct error *err) {
        const struct remote from = { REMOTE_ISSUER, "registration endpoint",
                                     as->registration_endpoint ? as->registration_endpoint : "" };
        AUTO_REGISTRATION struct registration read = REGISTRATION_INIT;
        AUTO_JSON json_t *json = NULL;
        enum registration_failure unused = REGISTRATION_FAILED;
        int r;

        ret_failure = ret_failure ? ret_failure : &unused;
        *ret_failure = REGISTRATION_FAILED;
        if (answer->outcome != FETCH_ANSWERED) {
                if (answer->outcome == FETCH_NOT_SENT)
                        *ret_failure = REGISTRATION_TRANSIENT;
                return remote_no_answer(&from, answer, err);
        }
        if (answer->status != 201 && answer->status != 200)
                return on_refusal(as, answer, ret_failure, err);
        if (answer->body.len == 0 || answer->body.len > LIMIT_TOKEN_REPLY_BYTES)
                return unusable(as, "it is empty or too large", err);
        r = json_parse(answer->body.data, answer->body.len, LIMIT_METADATA_DEPTH, &json, NULL);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !json_is_object(json))
                return unusable(as, "it is not a JSON object", err);
        r = read_registration(&read, as, ask, json, err);
        if (r < 0)
                return r;
        registration_done(reg);
        *reg = read;
        read = REGISTRATION_INIT;
        *ret_failure = REGISTRATION_OK;
        return 0;
}

int registration_other_redirect(const char *redirect_uri, char **ret) {
        static const char numeric[] = "http://127.0.0.1:";
        AUTO_BUF struct buf b = BUF_INIT;
        int r;

        if (strncmp(redirect_uri, numeric, strlen(numeric)) != 0) {
                *ret = NULL;
                return 0;
        }
        r = buf_printf(&b, "http://localhost:%s", redirect_uri + strlen(numeric));
        *ret = r == 0 ? buf_steal(&b) : NULL;
        return *ret ? 0 : -ENOMEM;
}
