/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/authorize.h"

#include <strings.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/url.h"
#include "crypto/hash.h"
#include "crypto/pkce.h"
#include "crypto/rand.h"
#include "oauth/fields.h"
#include "oauth/remote.h"

#define STATE_BYTES 32
#define PATH_HASH_BYTES 8
#define DEFAULT_PATH "/callback"
#define HINT_AGAIN "Log in again"
#define HINT_ISSUER "Report it to whoever runs the authorization server"

static const struct text_field authorization_fields[] = {
        TEXT_FIELD(struct authorization, state, true),
        TEXT_FIELD(struct authorization, verifier, true),
        TEXT_FIELD(struct authorization, redirect_uri, true),
        TEXT_FIELD(struct authorization, issuer, true),
        TEXT_FIELD(struct authorization, resource, true),
        TEXT_FIELD(struct authorization, client_id, true),
        TEXT_FIELD(struct authorization, acr_values, false),
        TEXT_FIELD(struct authorization, max_age, false),
        TEXT_FIELD(struct authorization, request_uri, false),
};
static const struct text_fields texts = { authorization_fields, ARRAY_SIZE(authorization_fields) };

void authorization_done(struct authorization *a) {
        text_fields_done(&texts, a);
        scope_set_done(&a->scopes);
        *a = AUTHORIZATION_INIT;
}

int authorization_to_json(const struct authorization *a, json_t **ret) {
        AUTO_JSON json_t *json = json_object();
        json_t *scopes = NULL;
        int r = json ? text_fields_to_json(&texts, a, json) : -ENOMEM;

        if (r == 0)
                r = scope_set_to_json(&a->scopes, &scopes);
        if (r == 0)
                r = json_put(json, "scopes", scopes);
        if (r == 0)
                r = json_put(json, "no_resource", json_boolean(a->no_resource));
        if (r == 0)
                r = json_put(json, "iss_supported", json_boolean(a->iss_supported));
        if (r == 0)
                r = json_put(json, "prompt_consent", json_boolean(a->prompt_consent));
        if (r == 0)
                r = json_put(json, "started_wall", json_integer((json_int_t)a->started_wall));
        if (r == 0)
                r = json_put(json, "expires_wall", json_integer((json_int_t)a->expires_wall));
        if (r == 0 && a->request_uri)
                r = json_put(json, "request_expires_wall",
                             json_integer((json_int_t)a->request_expires_wall));
        if (r == 0)
                *ret = TAKE(json);
        return r;
}

int authorization_from_json(struct authorization *a, const json_t *value) {
        AUTO_AUTHORIZATION struct authorization read = AUTHORIZATION_INIT;
        json_int_t started = json_get_int(value, "started_wall", -1);
        json_int_t expires = json_get_int(value, "expires_wall", -1);
        json_int_t pushed = json_get_int(value, "request_expires_wall", 0);
        size_t n_dropped = 0;
        int r = text_fields_from_json(&texts, &read, value);

        if (r == 0)
                r = scope_set_from_json(&read.scopes, json_object_get(value, "scopes"), &n_dropped);
        /* What decides on the response must be there: a missing flag would loosen the check of
         * iss. */
        if (r == 0 && (n_dropped > 0 || started < 0 || expires < 0 || pushed < 0 ||
                       !json_is_array(json_object_get(value, "scopes")) ||
                       !json_is_boolean(json_object_get(value, "iss_supported"))))
                r = -EBADMSG;
        if (r < 0)
                return r;
        read.no_resource = json_get_bool(value, "no_resource", false);
        read.iss_supported = json_get_bool(value, "iss_supported", true);
        read.prompt_consent = json_get_bool(value, "prompt_consent", false);
        read.started_wall = (uint64_t)started;
        read.expires_wall = (uint64_t)expires;
        read.request_expires_wall = (uint64_t)pushed;
        authorization_done(a);
        *a = read;
        read = AUTHORIZATION_INIT;
        return 0;
}

static int check_redirect(const char *redirect_uri, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        int r = url_parse(&u, redirect_uri, "redirect URI", err);

        if (r < 0)
                return r;
        if (streq(u.scheme, "http") && url_host_is_loopback(&u) && u.port_given && !u.fragment &&
            !u.query)
                return 0;
        return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                         "The redirect URI '%s' is no loopback URI with a port", redirect_uri);
}

static int check_params(const struct authorization_params *p, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        int r = as_metadata_check(p->as, AS_USE_CODE, err);

        if (r == 0)
                r = check_redirect(p->redirect_uri, err);
        if (r == 0)
                r = url_parse(&u, p->resource, "resource", err);
        if (r < 0)
                return r;
        if (!streq_null(p->registration->issuer, p->as->issuer))
                return error_set(err, MCPB_INTERNAL, EKEYREJECTED, NULL,
                                 "A client id of one issuer was about to go to another, %s",
                                 p->as->issuer);
        return 0;
}

static int dup_text(char **slot, const char *text) {
        *slot = text ? strdup(text) : NULL;
        return text && !*slot ? -ENOMEM : 0;
}

static int fresh_secrets(struct authorization *a) {
        AUTO_BUF struct buf state = BUF_INIT;
        AUTO_BUF struct buf verifier = BUF_INIT;
        int r = random_text(&state, STATE_BYTES);

        if (r == 0)
                r = pkce_verifier(&verifier);
        if (r < 0)
                return r;
        a->state = buf_steal(&state);
        a->verifier = buf_steal(&verifier);
        return a->state && a->verifier ? 0 : -ENOMEM;
}

int authorization_begin(struct authorization *a, const struct authorization_params *p,
                        struct error *err) {
        AUTO_AUTHORIZATION struct authorization begun = AUTHORIZATION_INIT;
        uint64_t lifetime = p->lifetime_sec;
        int r = check_params(p, err);

        if (r < 0)
                return r;
        if (lifetime == 0 || lifetime > LIMIT_LOGIN_SEC)
                lifetime = LIMIT_LOGIN_SEC;
        r = fresh_secrets(&begun);
        if (r == 0)
                r = dup_text(&begun.redirect_uri, p->redirect_uri);
        if (r == 0)
                r = dup_text(&begun.issuer, p->as->issuer);
        if (r == 0)
                r = dup_text(&begun.resource, p->resource);
        if (r == 0)
                r = dup_text(&begun.client_id, p->registration->client_id);
        if (r == 0 && p->challenge)
                r = dup_text(&begun.acr_values, p->challenge->acr_values);
        if (r == 0 && p->challenge)
                r = dup_text(&begun.max_age, p->challenge->max_age);
        if (r == 0 && p->scopes)
                r = scope_set_copy(&begun.scopes, p->scopes);
        if (r < 0)
                return error_oom(err);
        begun.no_resource = p->no_resource;
        begun.iss_supported = p->as->iss_supported;
        begun.prompt_consent = p->as->openid && scope_set_has(&begun.scopes, "offline_access");
        begun.started_wall = p->now_wall;
        begun.expires_wall = p->now_wall + lifetime * USEC_PER_SEC;
        authorization_done(a);
        *a = begun;
        begun = AUTHORIZATION_INIT;
        return 0;
}

int authorization_append(struct buf *b, const struct authorization *a, const char *client_id) {
        AUTO_BUF struct buf scope = BUF_INIT;
        AUTO_BUF struct buf proof = BUF_INIT;
        int r = pkce_challenge(&proof, a->verifier);

        if (r == 0)
                r = scope_set_to_text(&a->scopes, &scope);
        if (r == 0)
                r = form_append_pair(b, "response_type", "code");
        if (r == 0 && client_id)
                r = form_append_pair(b, "client_id", client_id);
        if (r == 0)
                r = form_append_pair(b, "redirect_uri", a->redirect_uri);
        if (r == 0 && scope.len > 0)
                r = form_append_pair(b, "scope", scope.data);
        if (r == 0)
                r = form_append_pair(b, "state", a->state);
        if (r == 0)
                r = form_append_pair(b, "code_challenge", proof.data);
        if (r == 0)
                r = form_append_pair(b, "code_challenge_method", "S256");
        if (r == 0 && !a->no_resource)
                r = form_append_pair(b, "resource", a->resource);
        if (r == 0 && a->prompt_consent)
                r = form_append_pair(b, "prompt", "consent");
        if (r == 0 && a->acr_values)
                r = form_append_pair(b, "acr_values", a->acr_values);
        if (r == 0 && a->max_age)
                r = form_append_pair(b, "max_age", a->max_age);
        return r;
}

/* What the browser brings to the endpoint. */
static int browser_params(struct buf *b, const struct authorization *a) {
        int r;

        if (!a->request_uri)
                return authorization_append(b, a, a->client_id);
        r = form_append_pair(b, "client_id", a->client_id);
        return r < 0 ? r : form_append_pair(b, "request_uri", a->request_uri);
}

/* The endpoint's own query is kept, unless it says something that is ours to say (RFC 6749 3.1:
 * nothing twice). */
static int check_own_query(const struct as_metadata *as, const char *query, struct error *err) {
        static const char *const ours[] = {
                "response_type", "client_id",      "redirect_uri", "scope",
                "state",         "code_challenge", "resource",     "code_challenge_method",
                "prompt",        "acr_values",     "max_age",      "request_uri"
        };
        struct form form = FORM_INIT;
        bool clash = false;
        int r = form_parse(&form, query, strlen(query));

        if (r == -ENOMEM)
                return error_oom(err);
        for (size_t i = 0; i < form.n_pairs && r == 0; i++)
                for (size_t k = 0; k < ARRAY_SIZE(ours); k++)
                        clash = clash || streq(form.pairs[i].name, ours[k]);
        form_done(&form);
        if (r == 0 && !clash)
                return 0;
        return error_set(err, MCPB_ISSUER_ERROR, EBADMSG, HINT_ISSUER,
                         "The authorization endpoint %s has a query that cannot be added to",
                         as->authorization_endpoint);
}

int authorization_url(struct buf *b, const struct authorization *a, const struct as_metadata *as,
                      struct error *err) {
        AUTO_BUF struct buf params = BUF_INIT;
        AUTO_URL struct url u = URL_INIT;
        char last;
        int r;

        if (!streq_null(a->issuer, as->issuer) || !as->authorization_endpoint)
                return error_set(err, MCPB_INTERNAL, EKEYREJECTED, NULL,
                                 "A login at %s was about to go to another issuer", a->issuer);
        if (as->par_required && !a->request_uri)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, "This one was not pushed",
                                 "The authorization server %s takes pushed authorization "
                                 "requests only",
                                 as->issuer);
        r = remote_url_check(as->authorization_endpoint, "authorization_endpoint",
                             ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK, MCPB_ISSUER_ERROR,
                             err);
        if (r == 0)
                r = url_parse(&u, as->authorization_endpoint, "authorization_endpoint", err);
        if (r == 0 && u.query)
                r = check_own_query(as, u.query, err);
        if (r < 0)
                return r;
        r = browser_params(&params, a);
        if (r == 0)
                r = remote_url_append(b, as->authorization_endpoint);
        if (r < 0)
                return error_oom(err);
        last = b->data[b->len - 1];
        if (!u.query)
                r = buf_append(b, "?", 1);
        else if (last != '?' && last != '&')
                r = buf_append(b, "&", 1);
        if (r == 0)
                r = buf_append(b, params.data, params.len);
        return r < 0 ? error_oom(err) : 0;
}

/* Any name twice makes the response invalid (A113). */
static bool has_repeats(const struct form *form) {
        for (size_t i = 0; i < form->n_pairs; i++) {
                bool twice = false;

                (void)form_get(form, form->pairs[i].name, &twice);
                if (twice)
                        return true;
        }
        return false;
}

static bool state_is_ours(const struct authorization *a, const struct form *form) {
        const char *state = form_get(form, "state", NULL);

        return a->state && state && strlen(state) == strlen(a->state) &&
               secret_equal(state, a->state, strlen(state));
}

/* A114 to A119: before anything else in the response is looked at; nothing of it is shown. */
static int check_iss(const struct authorization *a, const struct form *form, struct error *err) {
        const char *iss = form_get(form, "iss", NULL);

        if (iss ? streq(iss, a->issuer) : !a->iss_supported)
                return 0;
        return error_set(err, MCPB_LOGIN_FAILED, EKEYREJECTED,
                         "The code in it was not used. Log in again; if it happens again, somebody "
                         "may be trying to mix up two logins",
                         "The response to the login at %s %s", a->issuer,
                         iss ? "says it comes from another issuer"
                             : "does not say which issuer it comes from");
}

static const char *refusal_hint(const char *code) {
        if (streq(code, "access_denied"))
                return "Log in again and allow the access, or ask whoever may allow it";
        if (streq(code, "invalid_scope"))
                return "Ask for other scopes: some of these are not offered";
        if (streq(code, "invalid_target"))
                return "The authorization server issues no tokens for this server: report it to "
                       "whoever runs them";
        if (streq(code, "unauthorized_client"))
                return "The client registration does not allow this: register another one";
        if (streq(code, "temporarily_unavailable") || streq(code, "server_error"))
                return "Try again later";
        return HINT_AGAIN;
}

static enum authorization_result on_error(const struct authorization *a, const struct form *form,
                                          const char *error, struct error *err) {
        const char *description = form_get(form, "error_description", NULL);
        AUTO_FREE char *code = remote_text(error);
        AUTO_FREE char *text = remote_text(description ? description : "");

        if (!code || !text) {
                (void)error_oom(err);
                return AUTHORIZATION_FAILED;
        }
        (void)error_set(err, MCPB_LOGIN_FAILED, EACCES, refusal_hint(code),
                        "The authorization server %s ended the login: %s%s%s", a->issuer, code,
                        *text ? ": " : "", text);
        return streq(error, "access_denied") ? AUTHORIZATION_REFUSED : AUTHORIZATION_FAILED;
}

static enum authorization_result judge(const struct authorization *a, const struct form *form,
                                       uint64_t now_wall, char **ret_code, struct error *err) {
        const char *error;
        const char *code;

        if (now_wall >= a->expires_wall || now_wall + USEC_PER_SEC < a->started_wall) {
                (void)error_set(err, MCPB_TIMEOUT, ETIMEDOUT, HINT_AGAIN,
                                "The login at %s took too long", a->issuer);
                return AUTHORIZATION_FAILED;
        }
        if (has_repeats(form)) {
                (void)error_set(err, MCPB_LOGIN_FAILED, EBADMSG, HINT_AGAIN,
                                "The response to the login at %s has a parameter twice", a->issuer);
                return AUTHORIZATION_FAILED;
        }
        if (check_iss(a, form, err) < 0)
                return AUTHORIZATION_FAILED;
        error = form_get(form, "error", NULL);
        if (error)
                return on_error(a, form, error, err);
        code = form_get(form, "code", NULL);
        if (!code || !*code) {
                (void)error_set(err, MCPB_LOGIN_FAILED, EBADMSG, HINT_AGAIN,
                                "The response to the login at %s has neither a code nor an error",
                                a->issuer);
                return AUTHORIZATION_FAILED;
        }
        *ret_code = strdup(code);
        if (!*ret_code) {
                (void)error_oom(err);
                return AUTHORIZATION_FAILED;
        }
        return AUTHORIZATION_CODE;
}

enum authorization_result authorization_response(const struct authorization *a, const char *query,
                                                 uint64_t now_wall, char **ret_code,
                                                 struct error *err) {
        enum authorization_result result = AUTHORIZATION_IGNORED;
        struct form form = FORM_INIT;

        if (strlen(query) > LIMIT_HEADER_BYTES || form_parse(&form, query, strlen(query)) < 0)
                return AUTHORIZATION_IGNORED;
        if (state_is_ours(a, &form))
                result = judge(a, &form, now_wall, ret_code, err);
        form_done(&form);
        return result;
}

bool authorization_takes(const struct authorization *a, const char *method, const char *target,
                         const char *host) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_FREE char *origin = NULL;

        if (!streq(method, "GET") || url_parse(&u, a->redirect_uri, "redirect URI", NULL) < 0)
                return false;
        origin = url_origin(&u);
        return origin && streq(target, u.path) && strcasecmp(host, origin + strlen("http://")) == 0;
}

int authorize_redirect_path(const char *issuer, const struct registration *reg, struct buf *b) {
        uint8_t hash[SHA256_BYTES];
        AUTO_URL struct url u = URL_INIT;
        int r;

        if (reg && reg->redirect_uri_registered) {
                r = url_parse(&u, reg->redirect_uri_registered, "redirect URI", NULL);
                return r < 0 ? r : buf_append_str(b, *u.path ? u.path : "/");
        }
        if (reg && reg->how != REGISTRATION_DYNAMIC)
                return buf_append_str(b, DEFAULT_PATH);
        sha256(hash, issuer, strlen(issuer));
        r = buf_append_str(b, DEFAULT_PATH "/");
        return r < 0 ? r : hex_append(b, hash, PATH_HASH_BYTES);
}
