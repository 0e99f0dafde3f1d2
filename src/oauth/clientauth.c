/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/clientauth.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "oauth/assertion.h"

#define HINT_SERVED                                                               \
        "A client proves itself here with private_key_jwt, client_secret_basic, " \
        "client_secret_post "                                                     \
        "or none"

static const char *const names[CLIENT_AUTH_COUNT] = {
#define X(constant, name) [CLIENT_AUTH_##constant] = name,
        CLIENT_AUTH_TABLE(X)
#undef X
};

const char *client_auth_name(enum client_auth a) {
        return a < CLIENT_AUTH_COUNT ? names[a] : "";
}

int client_auth_from_name(const char *name, enum client_auth *ret) {
        for (int i = CLIENT_AUTH_ANY + 1; i < CLIENT_AUTH_COUNT; i++) {
                if (streq(names[i], name)) {
                        *ret = (enum client_auth)i;
                        return 0;
                }
        }
        return -ENOENT;
}

bool client_auth_served(enum client_auth a) {
        return a == CLIENT_AUTH_NONE || a == CLIENT_AUTH_BASIC || a == CLIENT_AUTH_POST ||
               a == CLIENT_AUTH_PRIVATE_KEY_JWT;
}

static int refuse_method(const struct as_metadata *as, struct error *err) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = 0;

        for (int i = CLIENT_AUTH_ANY + 1; i < CLIENT_AUTH_COUNT && r == 0; i++)
                if (as->token_auth_methods & CLIENT_AUTH_BIT(i))
                        r = buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", names[i]);
        return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, HINT_SERVED,
                         "The authorization server %s wants client authentication by: %s",
                         as->issuer, b.len > 0 ? b.data : "methods that are not known");
}

static bool has_proof(const struct registration *reg, enum client_auth a) {
        if (a == CLIENT_AUTH_PRIVATE_KEY_JWT)
                return reg->client_key;
        return a == CLIENT_AUTH_NONE || reg->client_secret;
}

static int resolve_any(const struct registration *reg, const struct as_metadata *as,
                       enum client_auth *ret, struct error *err) {
        static const enum client_auth strongest_first[] = { CLIENT_AUTH_PRIVATE_KEY_JWT,
                                                            CLIENT_AUTH_BASIC, CLIENT_AUTH_POST,
                                                            CLIENT_AUTH_NONE };

        if (!reg->client_secret && !reg->client_key) {
                *ret = CLIENT_AUTH_NONE;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(strongest_first); i++) {
                if (has_proof(reg, strongest_first[i]) &&
                    (as->token_auth_methods & CLIENT_AUTH_BIT(strongest_first[i]))) {
                        *ret = strongest_first[i];
                        return 0;
                }
        }
        return refuse_method(as, err);
}

int client_auth_resolve(const struct registration *reg, const struct as_metadata *as,
                        enum client_auth *ret, struct error *err) {
        bool key = reg->auth == CLIENT_AUTH_PRIVATE_KEY_JWT;

        if (reg->auth == CLIENT_AUTH_ANY)
                return resolve_any(reg, as, ret, err);
        if (!client_auth_served(reg->auth))
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, HINT_SERVED,
                                 "The client at %s is registered for %s", as->issuer,
                                 client_auth_name(reg->auth));
        if (!has_proof(reg, reg->auth))
                return error_set(err, MCPB_BAD_CONFIG, ENOKEY,
                                 key ? "Name the key that was registered there"
                                     : "Enter the client secret that the issuer gave out",
                                 "The client at %s is registered for %s but has no %s", as->issuer,
                                 client_auth_name(reg->auth), key ? "key" : "secret");
        *ret = reg->auth;
        return 0;
}

/* A129: id and secret are form-encoded each before they are joined. */
static int add_basic(struct fetch_request *f, const struct registration *reg) {
        AUTO_BUF struct buf pair = BUF_INIT;
        AUTO_BUF struct buf value = BUF_INIT;
        int r = form_append(&pair, reg->client_id);

        if (r == 0)
                r = buf_append(&pair, ":", 1);
        if (r == 0)
                r = form_append(&pair, reg->client_secret);
        if (r == 0)
                r = buf_append_str(&value, "Basic ");
        if (r == 0)
                r = base64_append(&value, pair.data, pair.len);
        return r < 0 ? r : fetch_request_add_header(f, "Authorization", value.data);
}

int client_assertion_put(struct fetch_request *f, const char *type, const char *assertion) {
        int r = form_append_pair(&f->body, "client_assertion_type", type);

        return r < 0 ? r : form_append_pair(&f->body, "client_assertion", assertion);
}

int client_auth_apply_at(struct fetch_request *f, const struct registration *reg,
                         const struct as_metadata *as, uint64_t now_wall, struct error *err) {
        enum client_auth method = CLIENT_AUTH_NONE;
        AUTO_BUF struct buf assertion = BUF_INIT;
        int r;

        if (!streq_null(reg->issuer, as->issuer))
                return error_set(err, MCPB_INTERNAL, EKEYREJECTED, NULL,
                                 "Client credentials of one issuer were about to go to another, %s",
                                 as->issuer);
        r = client_auth_resolve(reg, as, &method, err);
        if (r == 0 && method == CLIENT_AUTH_PRIVATE_KEY_JWT)
                r = assertion_make(reg, as, now_wall, &assertion, err);
        if (r < 0)
                return r;
        if (method == CLIENT_AUTH_BASIC)
                r = add_basic(f, reg);
        else
                r = form_append_pair(&f->body, "client_id", reg->client_id);
        if (r == 0 && method == CLIENT_AUTH_POST)
                r = form_append_pair(&f->body, "client_secret", reg->client_secret);
        if (r == 0 && method == CLIENT_AUTH_PRIVATE_KEY_JWT)
                r = client_assertion_put(f, CLIENT_ASSERTION_JWT, assertion.data);
        return r < 0 ? error_oom(err) : 0;
}

/* Every request of a client would have to bring the time along, for the one method that needs it:
 * it is taken here. */
int client_auth_apply(struct fetch_request *f, const struct registration *reg,
                      const struct as_metadata *as, struct error *err) {
        return client_auth_apply_at(f, reg, as, clock_wall_usec(), err);
}

int client_form_begin(struct fetch_request *f, const char *endpoint) {
        return client_request_begin(f, endpoint, "application/x-www-form-urlencoded");
}

int client_request_begin(struct fetch_request *f, const char *endpoint, const char *type) {
        int r;

        fetch_request_init(f);
        r = fetch_request_set(f, "POST", endpoint);
        if (r == 0)
                r = fetch_request_add_header(f, "Content-Type", type);
        if (r == 0)
                r = fetch_request_add_header(f, "Accept", "application/json");
        f->timeout_msec = LIMIT_FETCH_MSEC;
        f->body_max = LIMIT_TOKEN_REPLY_BYTES;
        return r;
}

int client_form_end(struct fetch_request *f, int r, const struct registration *reg,
                    const struct as_metadata *as, struct error *err) {
        if (r < 0)
                (void)error_oom(err);
        else
                r = client_auth_apply(f, reg, as, err);
        if (r < 0)
                fetch_request_done(f);
        return r;
}
