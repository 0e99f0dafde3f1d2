/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/device.h"

#include "base/codec.h"
#include "base/limits.h"
#include "oauth/fields.h"

#define INTERVAL_SEC 5  /* where the issuer says none */
#define SLOW_DOWN_SEC 5 /* RFC 8628 3.5 */
#define HINT_AGAIN "Log in again"

static const struct text_field login_fields[] = {
        TEXT_FIELD(struct device_login, device_code, true),
        TEXT_FIELD(struct device_login, user_code, true),
        TEXT_FIELD(struct device_login, verification_uri, true),
        TEXT_FIELD(struct device_login, verification_uri_complete, false),
        TEXT_FIELD(struct device_login, issuer, true),
        TEXT_FIELD(struct device_login, client_id, true),
        TEXT_FIELD(struct device_login, resource, false),
};
static const struct text_fields texts = { login_fields, ARRAY_SIZE(login_fields) };

static const struct {
        const char *name;
        size_t offset;
} times[] = {
        { "next_wall", offsetof(struct device_login, next_wall) },
        { "started_wall", offsetof(struct device_login, started_wall) },
        { "expires_wall", offsetof(struct device_login, expires_wall) },
};

void device_login_done(struct device_login *d) {
        text_fields_done(&texts, d);
        scope_set_done(&d->scopes);
        *d = DEVICE_LOGIN_INIT;
}

static uint64_t *time_of(struct device_login *d, size_t i) {
        return (uint64_t *)(void *)((char *)d + times[i].offset);
}

static uint64_t time_is(const struct device_login *d, size_t i) {
        return *(const uint64_t *)(const void *)((const char *)d + times[i].offset);
}

int device_login_to_json(const struct device_login *d, json_t **ret) {
        AUTO_JSON json_t *json = json_object();
        json_t *scopes = NULL;
        int r = json ? text_fields_to_json(&texts, d, json) : -ENOMEM;

        if (r == 0)
                r = scope_set_to_json(&d->scopes, &scopes);
        if (r == 0)
                r = json_put(json, "scopes", scopes);
        if (r == 0)
                r = json_put(json, "dpop", json_boolean(d->dpop));
        if (r == 0)
                r = json_put(json, "interval_sec", json_integer(d->interval_sec));
        for (size_t i = 0; i < ARRAY_SIZE(times) && r == 0; i++)
                r = json_put(json, times[i].name, json_integer((json_int_t)time_is(d, i)));
        if (r == 0)
                *ret = TAKE(json);
        return r;
}

int device_login_from_json(struct device_login *d, const json_t *value) {
        AUTO_DEVICE_LOGIN struct device_login read = DEVICE_LOGIN_INIT;
        json_int_t interval = json_get_int(value, "interval_sec", -1);
        size_t n_dropped = 0;
        int r = text_fields_from_json(&texts, &read, value);

        if (r == 0)
                r = scope_set_from_json(&read.scopes, json_object_get(value, "scopes"), &n_dropped);
        if (r == 0 && (n_dropped > 0 || interval < 1 || interval > LIMIT_DEVICE_SEC ||
                       !json_is_array(json_object_get(value, "scopes")) ||
                       !json_is_boolean(json_object_get(value, "dpop"))))
                r = -EBADMSG;
        for (size_t i = 0; i < ARRAY_SIZE(times) && r == 0; i++) {
                json_int_t t = json_get_int(value, times[i].name, -1);

                *time_of(&read, i) = (uint64_t)t;
                if (t < 0)
                        r = -EBADMSG;
        }
        if (r < 0)
                return r;
        read.interval_sec = (unsigned)interval;
        read.dpop = json_get_bool(value, "dpop", false);
        device_login_done(d);
        *d = read;
        read = DEVICE_LOGIN_INIT;
        return 0;
}

int device_request(struct fetch_request *f, const struct device_params *p, struct error *err) {
        AUTO_BUF struct buf scope = BUF_INIT;
        int r;

        if (!p->as->device_authorization_endpoint)
                return error_set(
                        err, MCPB_UNSUPPORTED, EOPNOTSUPP, "Log in with a browser on this machine",
                        "The authorization server %s has no logins by device code", p->as->issuer);
        r = client_form_begin(f, p->as->device_authorization_endpoint);
        if (r == 0 && p->scopes)
                r = scope_set_to_text(p->scopes, &scope);
        if (r == 0 && scope.len > 0)
                r = form_append_pair(&f->body, "scope", scope.data);
        if (r == 0 && p->resource)
                r = form_append_pair(&f->body, "resource", p->resource);
        return client_form_end(f, r, p->registration, p->as, err);
}

/* It goes to a terminal, and from there by hand into a browser. */
static bool user_code_is_sound(const char *code) {
        size_t len = code ? strlen(code) : 0;

        for (size_t i = 0; i < len; i++)
                if (code[i] < 0x20 || code[i] > 0x7e)
                        return false;
        return len > 0 && len <= LIMIT_NAME_BYTES && code[0] != ' ' && code[len - 1] != ' ';
}

/* A100, A101: fit for a browser, and harmless on its command line. */
static int browser_url(const char *url, const char *what, char **ret, struct error *err) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = remote_url_check(url, what, ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK,
                                 MCPB_ISSUER_ERROR, err);

        if (r < 0)
                return r;
        r = remote_url_append(&b, url);
        *ret = r == 0 ? buf_steal(&b) : NULL;
        return *ret ? 0 : error_oom(err);
}

static int read_urls(struct device_login *d, const struct token_asked *asked, const json_t *json,
                     struct error *err) {
        const char *uri = json_get_string(json, "verification_uri");
        const char *complete = json_get_string(json, "verification_uri_complete");
        struct error why = ERROR_INIT;
        int r;

        if (!uri)
                return token_answer_unusable(asked, "it has no verification_uri", err);
        r = browser_url(uri, "verification_uri", &d->verification_uri, err);
        if (r < 0 || !complete)
                return r;
        /* A convenience: the other does. */
        r = browser_url(complete, "verification_uri_complete", &d->verification_uri_complete, &why);
        return r == -ENOMEM ? error_oom(err) : 0;
}

static void read_times(struct device_login *d, const json_t *json, uint64_t now_wall) {
        json_int_t interval = json_get_int(json, "interval", INTERVAL_SEC);
        uint64_t sec = LIMIT_DEVICE_SEC;

        if (interval < 1)
                interval = 1;
        if (interval > LIMIT_DEVICE_SEC)
                interval = LIMIT_DEVICE_SEC;
        (void)token_answer_expiry(json, &sec);
        if (sec > LIMIT_DEVICE_SEC)
                sec = LIMIT_DEVICE_SEC;
        d->interval_sec = (unsigned)interval;
        d->started_wall = now_wall;
        d->next_wall = now_wall + d->interval_sec * USEC_PER_SEC;
        d->expires_wall = now_wall + sec * USEC_PER_SEC;
}

static int read_login(struct device_login *d, const struct device_params *p,
                      const struct token_asked *asked, const json_t *json, struct error *err) {
        const char *device_code = json_get_string(json, "device_code");
        const char *user_code = json_get_string(json, "user_code");
        const struct device_login said = { .device_code = (char *)(uintptr_t)device_code,
                                           .user_code = (char *)(uintptr_t)user_code,
                                           .issuer = p->as->issuer,
                                           .client_id = p->registration->client_id,
                                           .resource = (char *)(uintptr_t)p->resource };
        int r;

        if (!device_code || !token_is_sound(device_code))
                return token_answer_unusable(asked, "it has no usable device_code", err);
        if (!user_code_is_sound(user_code))
                return token_answer_unusable(asked, "it has no usable user_code", err);
        r = read_urls(d, asked, json, err);
        if (r < 0)
                return r;
        read_times(d, json, p->now_wall);
        if (d->expires_wall == p->now_wall)
                return token_answer_unusable(asked, "its code is good for no time", err);
        d->dpop = p->dpop;
        r = text_fields_copy(&texts, d, &said);
        if (r == 0 && p->scopes)
                r = scope_set_copy(&d->scopes, p->scopes);
        return r < 0 ? error_oom(err) : 0;
}

int device_answer(struct device_login *d, const struct device_params *p,
                  const struct fetch_answer *answer, struct token_fault *fault, struct error *err) {
        const struct token_asked asked = {
                .from = { REMOTE_ISSUER, "device authorization endpoint",
                          p->as->device_authorization_endpoint
                                  ? p->as->device_authorization_endpoint
                                  : p->as->issuer },
                .who = "authorization server",
                .name = p->as->issuer,
                .what = "device authorization",
                .dpop = p->dpop,
        };
        AUTO_DEVICE_LOGIN struct device_login read = DEVICE_LOGIN_INIT;
        struct token_fault unused = { .what = TOKEN_OTHER };
        AUTO_JSON json_t *json = NULL;
        int r;

        fault = fault ? fault : &unused;
        r = token_answer_read(&asked, answer, &json, fault, err);
        if (r == 0)
                r = read_login(&read, p, &asked, json, err);
        if (r < 0)
                return r;
        device_login_done(d);
        *d = read;
        read = DEVICE_LOGIN_INIT;
        fault->what = TOKEN_OK;
        return 0;
}

static int expired(const struct device_login *d, struct error *err) {
        return error_set(err, MCPB_TIMEOUT, ETIMEDOUT, HINT_AGAIN, "The login at %s took too long",
                         d->issuer);
}

int device_poll_request(struct fetch_request *f, const struct device_login *d,
                        const struct registration *reg, const struct as_metadata *as,
                        uint64_t now_wall, struct error *err) {
        int r = as_metadata_check(as, AS_USE_TOKEN, err);

        if (r < 0)
                return r;
        if (!streq_null(d->issuer, as->issuer) || !streq_null(d->client_id, reg->client_id))
                return error_set(err, MCPB_INTERNAL, EKEYREJECTED, NULL,
                                 "A login at %s was about to go to another issuer", d->issuer);
        if (now_wall >= d->expires_wall)
                return expired(d, err);
        r = client_form_begin(f, as->token_endpoint);
        if (r == 0)
                r = form_append_pair(&f->body, "grant_type",
                                     "urn:ietf:params:oauth:grant-type:device_code");
        if (r == 0)
                r = form_append_pair(&f->body, "device_code", d->device_code);
        if (r == 0 && d->resource)
                r = form_append_pair(&f->body, "resource", d->resource);
        return client_form_end(f, r, reg, as, err);
}

/* RFC 8628 3.5: an issuer that does not answer is asked half as often each time. */
static void back_off(struct device_login *d, const struct fetch_answer *answer, uint64_t now_wall) {
        uint64_t sec = remote_retry_after(answer);
        unsigned most =
                d->interval_sec > LIMIT_DEVICE_POLL_SEC ? d->interval_sec : LIMIT_DEVICE_POLL_SEC;

        d->interval_sec = d->interval_sec > most / 2 ? most : 2 * d->interval_sec;
        if (sec < d->interval_sec)
                sec = d->interval_sec;
        d->next_wall = now_wall + sec * USEC_PER_SEC;
}

static void ask_later(struct device_login *d, unsigned more_sec, uint64_t now_wall) {
        d->interval_sec += more_sec;
        if (d->interval_sec > LIMIT_DEVICE_SEC)
                d->interval_sec = LIMIT_DEVICE_SEC;
        d->next_wall = now_wall + d->interval_sec * USEC_PER_SEC;
}

static enum device_next wait_more(const struct device_login *d, uint64_t now_wall,
                                  struct error *err) {
        if (now_wall < d->expires_wall)
                return DEVICE_WAIT;
        (void)expired(d, err);
        return DEVICE_EXPIRED;
}

enum device_next device_poll_answer(struct device_login *d, const struct as_metadata *as,
                                    const struct fetch_answer *answer, uint64_t now_wall,
                                    struct token_reply *reply, struct error *err) {
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;
        int r;

        if (answer->outcome != FETCH_ANSWERED || remote_is_transient(answer->status)) {
                back_off(d, answer, now_wall);
                return wait_more(d, now_wall, err);
        }
        /* By the code, not by the status: some say 200 or 403 to "not yet". */
        if (remote_error_read(&said, &answer->body) < 0) {
                (void)error_oom(err);
                return DEVICE_FAILED;
        }
        if (said.code && streq(said.code, "authorization_pending")) {
                ask_later(d, 0, now_wall);
                return wait_more(d, now_wall, err);
        }
        if (said.code && streq(said.code, "slow_down")) {
                ask_later(d, SLOW_DOWN_SEC, now_wall);
                return wait_more(d, now_wall, err);
        }
        if (said.code && streq(said.code, "expired_token")) {
                (void)expired(d, err);
                return DEVICE_EXPIRED;
        }
        if (said.code && streq(said.code, "access_denied")) {
                (void)error_set(err, MCPB_LOGIN_FAILED, EACCES,
                                "Log in again and allow the access, or ask whoever may allow it",
                                "The authorization server %s ended the login: access_denied%s%s",
                                d->issuer, said.description ? ": " : "",
                                said.description ? said.description : "");
                return DEVICE_REFUSED;
        }
        r = (d->dpop ? token_answer_dpop : token_answer)(reply, as, answer, NULL, err);
        return r == 0 ? DEVICE_GRANTED : DEVICE_FAILED;
}
