/* SPDX-License-Identifier: Apache-2.0 */
/* From the registration to the grant without a person: an identity is got, and shown once. */
#include "base/clock.h"
#include "base/log.h"
#include "broker/ask.h"
#include "broker/internal.h"
#include "broker/login-steps.h"
#include "broker/obtain.h"
#include "broker/own.h"
#include "jose/cert.h"
#include "oauth/present.h"

/* What became of an attempt decides when the next may be. */
static void fail(struct login *l, int r, const struct error *err, bool final) {
        l->refused = final;
        login_end(l, r, err, "getting a token without a person");
}

static bool is_final(const struct token_fault *fault) {
        return fault->what != TOKEN_NOT_SENT && fault->what != TOKEN_TRANSIENT &&
               fault->what != TOKEN_IN_DOUBT;
}

/* ---- the token endpoint ---- */

static const char *audience_setting(const struct login *l) {
        const struct own_settings *own = &l->server->own;
        const struct present_profile *profile = own_profile(own);

        if (own->audience)
                return own->audience;
        return profile && profile->audience ? profile->audience : "issuer";
}

static struct present_params params_of(const struct login *l) {
        const struct own_settings *own = &l->server->own;

        return (struct present_params){
                .how = l->present,
                .as = &l->found.as,
                .registration = &l->registration,
                .assertion = l->assertion.len > 0 ? l->assertion.data : NULL,
                .audience = l->audience,
                .resource = l->server->no_resource ? NULL : l->found.resource,
                .scopes = &l->authorization.scopes,
                .profile = own_profile(own),
                .extra = l->extra,
                .cert_pem = l->cert_pem.len > 0 ? &l->cert_pem : NULL,
                .key_pem = l->key_pem.len > 0 ? &l->key_pem : NULL,
                .dpop = bound_is(&l->bound),
                .now_wall = clock_wall_usec(),
        };
}

static void send_token_request(struct login *l);

static void forget_identity(struct login *l) {
        buf_done(&l->assertion);
        buf_done(&l->cert_pem);
        buf_done(&l->key_pem);
}

static void on_presented(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct token_fault fault = { 0 };
        struct error err = ERROR_INIT;
        struct present_params params;
        bool dropped = false;
        int r;

        l->fetching = false;
        if (bound_hear_issuer(&l->bound, answer) && !l->nonce_tried && l->server) {
                l->nonce_tried = true; /* the only second attempt that there is */
                send_token_request(l);
                return;
        }
        forget_identity(l); /* one identity, one attempt */
        if (!l->server) {
                login_server_is_gone(l);
                return;
        }
        params = params_of(l);
        r = present_answer(&l->reply, &params, answer, &dropped, &fault, &err);
        if (r == 0)
                r = login_check_bound(l, &err);
        if (r < 0) {
                fail(l, r, &err, is_final(&fault));
                return;
        }
        if (dropped)
                log_notice("%s also gave a refresh token, which is of no use and not kept",
                           l->found.issuer);
        own_succeeded(l->server);
        login_take_reply(l);
}

static void send_token_request(struct login *l) {
        struct present_params params;
        struct fetch_request f;
        struct error err = ERROR_INIT;
        int r = login_bind(l);

        fetch_request_init(&f);
        params = params_of(l);
        r = r < 0 ? r : present_request(&f, &params, &err);
        if (r == 0)
                r = bound_add_proof(&l->bound, l->broker->shield, &f);
        if (r == 0) {
                f.allow = l->allow = l->server->allow;
                r = ask_network(l->broker, FETCH_DEAL, &f, on_presented, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r < 0)
                fail(l, r, &err, true);
}

/* ---- by way of an identity provider (SEP-990) ---- */

static struct id_jag_params jag_params_of(const struct login *l) {
        const struct own_settings *own = &l->server->own;

        return (struct id_jag_params){ .idp_token_endpoint = own->idp_token_endpoint,
                                       .idp_client_id = own->idp_client_id,
                                       .subject_token = l->assertion.data,
                                       .audience = l->found.issuer,
                                       .resource = l->found.resource,
                                       .scopes = &l->authorization.scopes };
}

static void on_jag(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct token_fault fault = { 0 };
        AUTO_BUF struct buf jag = BUF_INIT;
        struct error err = ERROR_INIT;
        struct id_jag_params params;
        int r;

        l->fetching = false;
        if (!l->server) {
                login_server_is_gone(l);
                return;
        }
        params = jag_params_of(l);
        r = id_jag_answer(&jag, &params, answer, &fault, &err);
        buf_move(&l->assertion, &jag);
        if (r < 0)
                fail(l, r, &err, is_final(&fault));
        else
                send_token_request(l);
}

static void ask_identity_provider(struct login *l) {
        struct id_jag_params params = jag_params_of(l);
        struct fetch_request f;
        struct error err = ERROR_INIT;
        int r;

        fetch_request_init(&f);
        r = id_jag_request(&f, &params, &err);
        if (r == 0) {
                f.allow = l->server->allow;
                r = ask_network(l->broker, FETCH_DEAL, &f, on_jag, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r < 0)
                fail(l, r, &err, true);
}

/* ---- the identity ---- */

/* To be shown in TLS: as PEM, the leaf first. */
static int take_certificate(struct login *l, const struct identity_result *result,
                            struct error *err) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        int r = jose_key_from_der(result->key_der.data, result->key_der.len, &key);

        if (r == 0)
                r = jose_key_to_pem(key, &l->key_pem);
        if (r == 0)
                r = cert_chain_to_pem(result->chain_der.data, result->chain_der.len, &l->cert_pem);
        return r < 0 ? error_fallback(err, r, "reading the certificate of an identity") : 0;
}

static int take_identity(struct login *l, struct identity_result *result, struct error *err) {
        bool tls = l->present == PRESENT_MTLS;

        if (result->kind != (tls ? IDENTITY_X509 : IDENTITY_JWT))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Choose a provider that gives one, or another Present=",
                                 "Identity=%s gives no %s, which Present=%s needs",
                                 l->server->own.identity, tls ? "certificate" : "token",
                                 present_name(l->present));
        if (tls)
                return take_certificate(l, result, err);
        buf_move(&l->assertion, &result->jwt);
        return 0;
}

static void on_identity(struct identity_result *result, const struct error *err, void *userdata) {
        struct login *l = userdata;
        struct error why = ERROR_INIT;
        int r;

        l->obtain = NULL;
        if (!l->server) {
                login_server_is_gone(l);
                return;
        }
        if (err) {
                fail(l, -EACCES, err, false);
                return;
        }
        r = take_identity(l, result, &why);
        if (r < 0) {
                fail(l, r, &why, true);
                return;
        }
        if (l->present == PRESENT_ID_JAG)
                ask_identity_provider(l);
        else
                send_token_request(l);
}

static bool needs_identity(enum present p) {
        return p == PRESENT_CLIENT_ASSERTION || p == PRESENT_JWT_SPIFFE ||
               p == PRESENT_JWT_BEARER || p == PRESENT_TOKEN_EXCHANGE || p == PRESENT_ID_JAG ||
               p == PRESENT_MTLS;
}

/* A token for the identity provider is for us as its client. */
static int get_identity(struct login *l, struct error *err) {
        const struct own_settings *own = &l->server->own;
        const char *audience = l->present == PRESENT_ID_JAG ? own->idp_client_id : l->audience;

        return obtain_start(l->broker, own->identity, audience, on_identity, l, &l->obtain, err);
}

/* ---- the beginning ---- */

/* What the configuration says that there will be. */
static int what_there_is(const struct login *l, struct present_have *ret, struct error *err) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        const struct own_settings *own = &l->server->own;
        enum identity_kind kind;
        int r;

        *ret = (struct present_have){ .secret = l->registration.client_secret != NULL,
                                      .key = l->registration.client_key != NULL,
                                      .idp = own->idp_token_endpoint != NULL };
        if (!own->identity)
                return 0;
        r = identity_config_parse(own->identity, &c, err);
        if (r < 0)
                return r;
        kind = identity_kind_of(&c);
        ret->jwt = kind == IDENTITY_JWT;
        /* What a file or a command gives is seen when it is there: it counts as what is asked. */
        ret->spiffe = ret->jwt &&
                      (streq(c.provider, "spiffe") || own_present(l->server) == PRESENT_JWT_SPIFFE);
        ret->x509 = kind == IDENTITY_X509 ||
                    (streq(c.provider, "exec") && own_present(l->server) == PRESENT_MTLS);
        return 0;
}

static int choose(struct login *l, struct error *err) {
        const struct own_settings *own = &l->server->own;
        struct present_have have;
        const struct present_profile *profile = own_profile(own);
        enum present wanted = own_present(l->server);
        int r = own_check(own, err);

        if (r < 0)
                return r;
        /* Of a profile there is but one way. */
        if (profile && wanted == PRESENT_AUTO)
                wanted = profile->how;
        json_decref(TAKE(l->extra));
        r = own_extra(own, &l->extra);
        if (r == 0)
                r = what_there_is(l, &have, err);
        if (r == 0)
                r = present_choose(wanted, &have, &l->found.as, &l->present, err);
        return r < 0 ? r : present_audience(audience_setting(l), &l->found.as, &l->audience);
}

int login_note_request(struct login *l) {
        struct authorization *a = &l->authorization;
        int r;

        authorization_done(a);
        r = login_choose_scopes(l, &a->scopes);
        a->issuer = strdup(l->found.issuer);
        a->resource = strdup(l->found.resource);
        /* Workload identity federation needs no client (SEP-1933). */
        a->client_id = strdup(l->registration.client_id ? l->registration.client_id : "");
        a->no_resource = l->server->no_resource;
        return a->issuer && a->resource && a->client_id ? r : -ENOMEM;
}

void login_present(struct login *l) {
        struct error err = ERROR_INIT;
        int r;

        login_set_state(l, LOGIN_PRESENTING);
        l->operating = true;
        broker_operation_begin(l->broker);
        r = login_note_request(l);
        if (r == 0)
                r = choose(l, &err);
        if (r < 0) {
                fail(l, r, &err, true);
                return;
        }
        log_debug("%s: presenting by %s", l->server->name, present_name(l->present));
        if (!needs_identity(l->present)) {
                send_token_request(l);
                return;
        }
        r = get_identity(l, &err);
        if (r < 0)
                fail(l, r, &err, true);
}
