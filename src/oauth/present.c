/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/present.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "jose/jwt.h"
#include "oauth/assertion.h"
#include "oauth/fields.h"

#define GRANT_JWT_BEARER "urn:ietf:params:oauth:grant-type:jwt-bearer"
#define GRANT_TOKEN_EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define TYPE_ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"
#define TYPE_JWT "urn:ietf:params:oauth:token-type:jwt"

/* The names that the drafts give these; their numbers move. */
#define CLIENT_ASSERTION_SPIFFE "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe"
#define FIELD_ATTESTATION "OAuth-Client-Attestation"
#define FIELD_PROOF "OAuth-Client-Attestation-PoP"
#define FIELD_CHALLENGE "oauth-client-attestation-challenge"
#define ERROR_CHALLENGE "use_attestation_challenge"

#define CHALLENGE_MAX 1024
#define AUDIENCE_MAX 2048
#define LITERAL "literal:"

/* --- Which one ------------------------------------------------------------------------------- */

enum need {
        NEED_SECRET = 1,
        NEED_KEY = 2,
        NEED_JWT = 4,
        NEED_SPIFFE = 8,
        NEED_X509 = 16,
        NEED_IDP = 32,
};

static const struct {
        enum need bit;
        const char *what;
        const char *hint;
} need_words[] = {
        { NEED_SECRET, "a client secret", "ClientSecretFile= names the file that has it" },
        { NEED_KEY, "a key of the client", "ClientKeyFile= names the file that has it" },
        { NEED_JWT, "an identity that is a JWT", "Identity= names what gives one" },
        { NEED_SPIFFE, "a JWT-SVID", "Identity=spiffe asks the workload API for one" },
        { NEED_X509, "an identity that is a certificate",
          "Identity= names what gives one, as the workload API of SPIFFE" },
        { NEED_IDP, "an identity provider", "IdpTokenEndpoint= names where it exchanges tokens" },
};

static const unsigned needs[PRESENT_COUNT] = {
        [PRESENT_CLIENT_CREDENTIALS] = NEED_SECRET,
        [PRESENT_PRIVATE_KEY_JWT] = NEED_KEY,
        [PRESENT_CLIENT_ASSERTION] = NEED_JWT,
        [PRESENT_JWT_SPIFFE] = NEED_JWT | NEED_SPIFFE,
        [PRESENT_JWT_BEARER] = NEED_JWT,
        [PRESENT_TOKEN_EXCHANGE] = NEED_JWT,
        [PRESENT_ID_JAG] = NEED_JWT | NEED_IDP,
        [PRESENT_MTLS] = NEED_X509,
        [PRESENT_ATTESTATION] = NEED_JWT | NEED_KEY,
};

static unsigned what_there_is(const struct present_have *have) {
        return (have->secret ? NEED_SECRET : 0u) | (have->key ? NEED_KEY : 0u) |
               (have->jwt ? NEED_JWT : 0u) | (have->spiffe ? NEED_SPIFFE : 0u) |
               (have->x509 ? NEED_X509 : 0u) | (have->idp ? NEED_IDP : 0u);
}

static int lacks(enum present wanted, unsigned missing, struct error *err) {
        size_t i = 0;

        while (i < ARRAY_SIZE(need_words) - 1 && !(missing & need_words[i].bit))
                i++;
        return error_set(err, MCPB_BAD_CONFIG, ENOKEY, need_words[i].hint, "Present=%s needs %s",
                         present_name(wanted), need_words[i].what);
}

static bool offers(const struct as_metadata *as, enum client_auth a) {
        return as->token_auth_methods & CLIENT_AUTH_BIT(a);
}

/* Is this one offered there? Only those are listed that auto may choose. */
static bool is_offered(enum present p, const struct as_metadata *as) {
        bool tls = offers(as, CLIENT_AUTH_TLS) || offers(as, CLIENT_AUTH_SPIFFE_X509);

        if (p == PRESENT_ID_JAG)
                return as->id_jag || (as->grant_types & AS_GRANT_JWT_BEARER);
        if (p == PRESENT_JWT_BEARER)
                return as->grant_types & AS_GRANT_JWT_BEARER;
        if (p == PRESENT_MTLS)
                return tls && as->mtls_token_endpoint;
        if (p == PRESENT_JWT_SPIFFE)
                return offers(as, CLIENT_AUTH_SPIFFE_JWT);
        if (p == PRESENT_PRIVATE_KEY_JWT || p == PRESENT_CLIENT_ASSERTION)
                return offers(as, CLIENT_AUTH_PRIVATE_KEY_JWT);
        return p == PRESENT_CLIENT_CREDENTIALS &&
               (offers(as, CLIENT_AUTH_BASIC) || offers(as, CLIENT_AUTH_POST));
}

static int nothing_fits(const struct as_metadata *as, struct error *err) {
        static const struct {
                unsigned bit;
                const char *name;
        } grants[] = { { AS_GRANT_CLIENT_CREDENTIALS, "client_credentials" },
                       { AS_GRANT_JWT_BEARER, "jwt-bearer" },
                       { AS_GRANT_TOKEN_EXCHANGE, "token-exchange" },
                       { AS_GRANT_CODE, "authorization_code" },
                       { AS_GRANT_DEVICE, "device_code" } };
        AUTO_BUF struct buf b = BUF_INIT;
        int r = buf_append_str(&b, "the grants");

        for (size_t i = 0; i < ARRAY_SIZE(grants) && r == 0; i++)
                if (as->grant_types & grants[i].bit)
                        r = buf_printf(&b, " %s", grants[i].name);
        if (r == 0)
                r = buf_append_str(&b, ", and clients by");
        for (int a = CLIENT_AUTH_ANY + 1; a < CLIENT_AUTH_COUNT && r == 0; a++)
                if (offers(as, (enum client_auth)a))
                        r = buf_printf(&b, " %s", client_auth_name((enum client_auth)a));
        if (r < 0)
                return error_oom(err);
        return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                         "Name one with Present= if you know that it is taken; else configure what "
                         "it offers",
                         "Nothing that is configured fits the authorization server %s, which "
                         "offers %s",
                         as->issuer, b.data);
}

int present_choose(enum present wanted, const struct present_have *have,
                   const struct as_metadata *as, enum present *ret, struct error *err) {
        /* Who configures an identity provider has the identity made into an assertion there, and
         * does not want it shown here. */
        static const enum present order[] = { PRESENT_ID_JAG,
                                              PRESENT_JWT_BEARER,
                                              PRESENT_MTLS,
                                              PRESENT_JWT_SPIFFE,
                                              PRESENT_PRIVATE_KEY_JWT,
                                              PRESENT_CLIENT_ASSERTION,
                                              PRESENT_CLIENT_CREDENTIALS };
        unsigned there_is = what_there_is(have);

        if (wanted != PRESENT_AUTO) {
                if (needs[wanted] & ~there_is)
                        return lacks(wanted, needs[wanted] & ~there_is, err);
                *ret = wanted;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
                if ((needs[order[i]] & ~there_is) || !is_offered(order[i], as))
                        continue;
                if (have->idp && order[i] != PRESENT_ID_JAG && (needs[order[i]] & NEED_JWT))
                        continue;
                *ret = order[i];
                return 0;
        }
        return nothing_fits(as, err);
}

/* --- For whom -------------------------------------------------------------------------------- */

static const char *literal_of(const char *setting) {
        return strncmp(setting, LITERAL, strlen(LITERAL)) == 0 ? setting + strlen(LITERAL) : NULL;
}

static bool literal_is_sound(const char *text) {
        size_t len = strlen(text);

        for (size_t i = 0; i < len; i++)
                if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
                        return false;
        return len > 0 && len <= AUDIENCE_MAX && utf8_valid(text, len);
}

int present_audience_check(const char *setting, struct error *err) {
        const char *literal = setting ? literal_of(setting) : NULL;

        if (!setting || streq(setting, "issuer") || streq(setting, "token-endpoint") ||
            (literal && literal_is_sound(literal)))
                return 0;
        return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                         "It takes issuer, token-endpoint, or literal: and the text itself",
                         "Audience= does not take '%.64s'", setting);
}

int present_audience(const char *setting, const struct as_metadata *as, char **ret) {
        const char *text = as->issuer;
        char *copy;

        if (setting && streq(setting, "token-endpoint"))
                text = as->token_endpoint;
        else if (setting && !streq(setting, "issuer"))
                text = literal_of(setting);
        if (!text)
                return setting && streq(setting, "token-endpoint") ? -ENOENT : -EINVAL;
        copy = strdup(text);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

/* --- The request ----------------------------------------------------------------------------- */

/* What each of them is on the wire. */
static const struct {
        const char *grant;
        const char *param;          /* where the identity's JWT stands */
        const char *assertion_type; /* it proves the client */
        bool client;                /* a client id is needed */
} ways[PRESENT_COUNT] = {
        [PRESENT_CLIENT_CREDENTIALS] = { "client_credentials", NULL, NULL, true },
        [PRESENT_PRIVATE_KEY_JWT] = { "client_credentials", NULL, NULL, true },
        [PRESENT_CLIENT_ASSERTION] = { "client_credentials", "client_assertion",
                                       CLIENT_ASSERTION_JWT, false },
        [PRESENT_JWT_SPIFFE] = { "client_credentials", "client_assertion", CLIENT_ASSERTION_SPIFFE,
                                 false },
        [PRESENT_JWT_BEARER] = { GRANT_JWT_BEARER, "assertion", NULL, false },
        [PRESENT_TOKEN_EXCHANGE] = { GRANT_TOKEN_EXCHANGE, "subject_token", NULL, false },
        [PRESENT_ID_JAG] = { GRANT_JWT_BEARER, "assertion", NULL, true },
        [PRESENT_MTLS] = { "client_credentials", NULL, NULL, true },
        [PRESENT_ATTESTATION] = { "client_credentials", NULL, NULL, true },
};

static const char *client_id_of(const struct present_params *p) {
        return p->registration ? p->registration->client_id : NULL;
}

static int bug(const char *what, struct error *err) {
        return error_set(err, MCPB_INTERNAL, EINVAL, NULL, "A presentation %s", what);
}

/* Of ours none is to be overruled, and none said twice. */
static bool is_ours(const char *name) {
        static const char *const ours[] = {
                "grant_type",
                "scope",
                "resource",
                "assertion",
                "subject_token",
                "subject_token_type",
                "actor_token",
                "actor_token_type",
                "requested_token_type",
                "client_id",
                "client_secret",
                "client_assertion",
                "client_assertion_type",
                "code",
                "refresh_token",
        };

        for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                if (streq(ours[i], name))
                        return true;
        return false;
}

int present_extra_check(const struct present_profile *profile, const json_t *given,
                        struct error *err) {
        const char *const *wanted = profile ? profile->wanted : NULL;
        json_t *extra = (json_t *)(uintptr_t)given;
        const char *name;
        json_t *value;

        json_object_foreach(extra, name, value) {
                if (is_ours(name) || !json_is_string(value))
                        return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                         "Extra.NAME= is for what an authorization server wants "
                                         "beyond the standard",
                                         "Extra.%.64s= cannot be set", name);
        }
        for (size_t i = 0; wanted && i < PRESENT_PROFILE_WANTED && wanted[i]; i++) {
                const char *text = json_get_string(extra, wanted[i]);

                if (!text || !*text)
                        return error_set(err, MCPB_BAD_CONFIG, ENOKEY,
                                         "Whoever set the trust up there knows it",
                                         "Profile=%s needs Extra.%s=", profile->name, wanted[i]);
        }
        return 0;
}

/* A196: whether it is one of ours to read, or not; what cannot be read is for others to judge. */
static int check_age(const struct present_params *p, struct error *err) {
        const char *text = p->how == PRESENT_ATTESTATION ? p->attestation : p->assertion;
        AUTO_JSON json_t *claims = NULL;
        uint64_t end = 0;
        int r = text ? jwt_read(text, strlen(text), NULL, &claims) : -EBADMSG;

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || jwt_date(claims, "exp", &end) < 0 || p->now_wall / USEC_PER_SEC < end)
                return 0;
        return error_set(err, MCPB_IDENTITY_FAILED, ETIME,
                         "See that whatever gives it renews it, and that the clock of this "
                         "machine is right",
                         "The identity for %s has expired", p->as->issuer);
}

/* Whatever gave it: an authorization server that believes a trust domain is shown nothing else. */
static int check_svid(const struct present_params *p, struct error *err) {
        static const char scheme[] = "spiffe://";
        AUTO_JSON json_t *claims = NULL;
        const char *subject;
        int r = jwt_read(p->assertion, strlen(p->assertion), NULL, &claims);

        if (r == -ENOMEM)
                return error_oom(err);
        subject = r < 0 ? NULL : json_get_string(claims, "sub");
        if (subject && strncmp(subject, scheme, strlen(scheme)) == 0)
                return 0;
        return error_set(err, MCPB_IDENTITY_FAILED, EBADMSG,
                         "See that Identity= gives a JWT-SVID, or take Present=client-assertion",
                         "The identity for %s is not one of SPIFFE: its \"sub\" is no SPIFFE ID",
                         p->as->issuer);
}

static int check_params(const struct present_params *p, struct error *err) {
        const struct present_profile *profile = p->profile;
        bool in_param = p->how < PRESENT_COUNT && ways[p->how].param;
        int r;

        if (p->how >= PRESENT_COUNT || !ways[p->how].grant)
                return bug("was not chosen", err);
        if ((in_param && !p->assertion) || (p->how == PRESENT_ATTESTATION && !p->attestation) ||
            (p->how == PRESENT_MTLS && (!p->cert_pem || !p->key_pem)))
                return bug("has no identity", err);
        if (client_id_of(p) && !streq_null(p->registration->issuer, p->as->issuer))
                return bug("for one issuer was about to go to another", err);
        if (profile && profile->how != p->how)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Leave Present= out",
                                 "Profile=%s is for Present=%s, not %s", profile->name,
                                 present_name(profile->how), present_name(p->how));
        if (!client_id_of(p) && (ways[p->how].client || (profile && profile->client)))
                return error_set(err, MCPB_BAD_CONFIG, ENOKEY,
                                 "ClientId= names the client that was registered there",
                                 "Present=%s at %s needs a client id", present_name(p->how),
                                 p->as->issuer);
        r = as_metadata_check(p->as, AS_USE_TOKEN, err);
        if (r == 0)
                r = present_extra_check(p->profile, p->extra, err);
        if (r == 0 && p->how == PRESENT_JWT_SPIFFE)
                r = check_svid(p, err);
        return r < 0 ? r : check_age(p, err);
}

/* A body under construction: the first failure stays. */
struct body {
        struct fetch_request *f;
        json_t *json; /* NULL: a form */
        int r;
};

static void put(struct body *b, const char *name, const char *value) {
        if (b->r < 0 || !value)
                return;
        b->r = b->json ? json_put(b->json, name, json_string(value))
                       : form_append_pair(&b->f->body, name, value);
}

static void put_exchange(struct body *b, const struct present_params *p) {
        put(b, "subject_token_type", p->assertion_token_type ? p->assertion_token_type : TYPE_JWT);
        if (!p->profile || p->profile->requested_type)
                put(b, "requested_token_type", TYPE_ACCESS_TOKEN);
        if (!p->actor_token)
                return;
        put(b, "actor_token", p->actor_token);
        put(b, "actor_token_type", p->actor_token_type ? p->actor_token_type : TYPE_JWT);
}

static void put_all(struct body *b, const struct present_params *p) {
        AUTO_BUF struct buf scope = BUF_INIT;
        const char *name;
        json_t *value;

        put(b, "grant_type", ways[p->how].grant);
        put(b, "client_assertion_type", ways[p->how].assertion_type);
        if (ways[p->how].param)
                put(b, p->profile ? p->profile->token_param : ways[p->how].param, p->assertion);
        if (p->how == PRESENT_TOKEN_EXCHANGE)
                put_exchange(b, p);
        if (p->scopes && b->r == 0)
                b->r = scope_set_to_text(p->scopes, &scope);
        if (scope.len > 0)
                put(b, "scope", scope.data);
        if (!p->profile || p->profile->resource)
                put(b, "resource", p->resource);
        json_object_foreach((json_t *)(uintptr_t)p->extra, name, value) {
                put(b, name, json_string_value(value));
        }
}

/* The client's own proof, in a shallow copy of its registration: only that which was chosen. */
static int prove_client(struct fetch_request *f, const struct present_params *p,
                        struct error *err) {
        struct registration reg = *p->registration;

        if (p->how == PRESENT_PRIVATE_KEY_JWT) {
                reg.auth = CLIENT_AUTH_PRIVATE_KEY_JWT;
                if (p->audience)
                        reg.assertion_audience = (char *)(uintptr_t)p->audience;
        } else if (p->how == PRESENT_CLIENT_CREDENTIALS) {
                reg.client_key = NULL;
                if (!reg.client_secret)
                        return lacks(p->how, NEED_SECRET, err);
                if (reg.auth != CLIENT_AUTH_BASIC && reg.auth != CLIENT_AUTH_POST)
                        reg.auth = CLIENT_AUTH_ANY;
        }
        return client_auth_apply_at(f, &reg, p->as, p->now_wall, err);
}

/* A207 and its like: a field is one line, and these come from elsewhere. */
static int attest_client(struct fetch_request *f, const struct present_params *p,
                         struct error *err) {
        AUTO_BUF struct buf proof = BUF_INIT;
        int r = assertion_attest(p->registration, p->as, p->attestation_challenge, p->now_wall,
                                 &proof, err);

        if (r < 0)
                return r;
        if (!token_is_sound(p->attestation))
                return error_set(err, MCPB_IDENTITY_FAILED, EBADMSG,
                                 "See that Identity= gives an attestation, and nothing else",
                                 "The attestation for %s is none", p->as->issuer);
        r = fetch_request_add_header(f, FIELD_ATTESTATION, p->attestation);
        if (r == 0)
                r = fetch_request_add_header(f, FIELD_PROOF, proof.data);
        if (r == 0)
                r = form_append_pair(&f->body, "client_id", client_id_of(p));
        return r < 0 ? error_oom(err) : 0;
}

static int show_certificate(struct fetch_request *f, const struct present_params *p,
                            struct error *err) {
        int r = buf_append(&f->cert_pem, p->cert_pem->data, p->cert_pem->len);

        if (r == 0)
                r = buf_append(&f->key_pem, p->key_pem->data, p->key_pem->len);
        if (r == -EMSGSIZE)
                return error_set(err, MCPB_IDENTITY_FAILED, EMSGSIZE,
                                 "See what Identity= gives: some intermediate certificates do",
                                 "The certificate for %s is too long", p->as->issuer);
        if (r == 0)
                r = form_append_pair(&f->body, "client_id", client_id_of(p));
        return r < 0 ? error_oom(err) : 0;
}

static int prove(struct body *b, const struct present_params *p, struct error *err) {
        if (p->how == PRESENT_ATTESTATION)
                return attest_client(b->f, p, err);
        if (p->how == PRESENT_MTLS)
                return show_certificate(b->f, p, err);
        if (!client_id_of(p))
                return 0;
        /* The assertion is the proof; and a body in JSON takes no other. */
        if (ways[p->how].assertion_type || b->json) {
                put(b, "client_id", client_id_of(p));
                return b->r < 0 ? error_oom(err) : 0;
        }
        return prove_client(b->f, p, err);
}

static int build(struct body *b, const struct present_params *p, struct error *err) {
        bool tls = p->how == PRESENT_MTLS && p->as->mtls_token_endpoint;
        int r;

        b->r = client_request_begin(b->f, tls ? p->as->mtls_token_endpoint : p->as->token_endpoint,
                                    b->json ? "application/json"
                                            : "application/x-www-form-urlencoded");
        put_all(b, p);
        if (b->r < 0)
                return error_oom(err);
        r = prove(b, p, err);
        if (r == 0 && b->json && json_write(&b->f->body, b->json) < 0)
                r = error_oom(err);
        return r;
}

int present_request(struct fetch_request *f, const struct present_params *p, struct error *err) {
        AUTO_JSON json_t *json = NULL;
        struct body b = { .f = f };
        int r = check_params(p, err);

        if (r < 0)
                return r;
        if (p->profile && p->profile->json) {
                json = json_object();
                if (!json)
                        return error_oom(err);
                b.json = json;
        }
        r = build(&b, p, err);
        if (r < 0)
                fetch_request_done(f);
        return r;
}

/* --- The answer ------------------------------------------------------------------------------ */

/* What each refusal means where nobody logs in. */
static const struct {
        const char *name;
        enum error_code code;
        const char *hint;
} refusals[] = {
        { "invalid_grant", MCPB_ISSUER_ERROR,
          "It did not take the identity: check that it trusts who issued it, for this subject and "
          "audience (Audience=), and that the clocks agree" },
        { "invalid_client", MCPB_REGISTRATION_REQUIRED,
          "It did not take the proof: check ClientId=, and its secret, its key, or that the issuer "
          "of the identity is trusted for it; some want another Audience=" },
        { "unauthorized_client", MCPB_REGISTRATION_REQUIRED,
          "Have the client allowed to do this there, or name another way with Present=" },
        { "unsupported_grant_type", MCPB_UNSUPPORTED, "Name one that it takes with Present=" },
        { ERROR_CHALLENGE, MCPB_ISSUER_ERROR,
          "It wants another challenge each time: report it to whoever runs it" },
        { "use_fresh_attestation", MCPB_IDENTITY_FAILED,
          "See that whatever gives the attestation renews it" },
        { "invalid_client_attestation", MCPB_IDENTITY_FAILED,
          "Check that it trusts the attester, and that ClientKeyFile= is the attested key" },
};

static bool is_refusal(const struct fetch_answer *answer) {
        return answer->outcome == FETCH_ANSWERED && !remote_is_transient(answer->status) &&
               (answer->status < 300 || answer->status > 399);
}

/* @err was set, and its message is right. */
static int in_other_words(const struct fetch_answer *answer, int r, struct error *err) {
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;
        const struct error old = err ? *err : ERROR_INIT;

        if (remote_error_read(&said, &answer->body) < 0)
                return error_oom(err);
        for (size_t i = 0; said.code && i < ARRAY_SIZE(refusals); i++)
                if (streq(said.code, refusals[i].name))
                        return error_set(err, refusals[i].code, EPROTO, refusals[i].hint, "%s",
                                         old.message);
        return r;
}

/* An assertion for somebody else must never pass for an access token. */
static bool is_access_token(const struct token_reply *reply, const struct present_params *p) {
        bool must_say =
                p->how == PRESENT_TOKEN_EXCHANGE && (!p->profile || p->profile->says_issued_type);

        return reply->issued_token_type ? streq(reply->issued_token_type, TYPE_ACCESS_TOKEN)
                                        : !must_say;
}

/* Is it good only over TLS with the certificate (RFC 8705 3)? Told of what can be read: of another
 * token that shows when the server refuses it. */
static int check_certificate(const struct token_reply *reply, const struct present_params *p,
                             struct error *err) {
        AUTO_JSON json_t *claims = NULL;
        int r = jwt_read(reply->access_token.data, reply->access_token.len, NULL, &claims);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !json_object_get(json_object_get(claims, "cnf"), "x5t#S256"))
                return 0;
        return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                         "Have it give this client tokens that are not bound to a certificate, or "
                         "use DPoP",
                         "The authorization server %s gave a token that is bound to the "
                         "certificate: no agent can use it without the key, which stays here",
                         p->as->issuer);
}

int present_answer(struct token_reply *reply, const struct present_params *p,
                   const struct fetch_answer *answer, bool *ret_dropped, struct token_fault *fault,
                   struct error *err) {
        AUTO_TOKEN_REPLY struct token_reply read = TOKEN_REPLY_INIT;
        struct token_fault unused = { .what = TOKEN_OTHER };
        bool dropped = false;
        int r;

        fault = fault ? fault : &unused;
        ret_dropped = ret_dropped ? ret_dropped : &dropped;
        r = (p->dpop ? token_answer_dpop : token_answer)(&read, p->as, answer, fault, err);
        if (r < 0)
                return is_refusal(answer) ? in_other_words(answer, r, err) : r;
        if (!is_access_token(&read, p)) {
                fault->what = TOKEN_OTHER;
                return error_set(err, MCPB_ISSUER_ERROR, EBADMSG,
                                 "Report it to whoever runs the authorization server",
                                 "The authorization server %s gave something that is no access "
                                 "token",
                                 p->as->issuer);
        }
        r = check_certificate(&read, p, err);
        if (r < 0) {
                fault->what = TOKEN_OTHER;
                return r;
        }
        *ret_dropped = read.refresh_token.len > 0;
        buf_done(&read.refresh_token);
        token_reply_done(reply);
        *reply = read;
        read = TOKEN_REPLY_INIT;
        return 0;
}

const char *present_answer_challenge(const struct fetch_answer *answer) {
        const char *text = fetch_answer_header(answer, FIELD_CHALLENGE);

        return text && strlen(text) <= CHALLENGE_MAX && token_is_sound(text) ? text : NULL;
}

bool present_answer_wants_challenge(const struct fetch_answer *answer) {
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;

        if (answer->outcome != FETCH_ANSWERED || (answer->status != 400 && answer->status != 401) ||
            !present_answer_challenge(answer) || remote_error_read(&said, &answer->body) < 0)
                return false;
        return said.code && streq(said.code, ERROR_CHALLENGE);
}

int present_challenge_request(struct fetch_request *f, const struct as_metadata *as,
                              struct error *err) {
        int r;

        if (!as->challenge_endpoint)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, NULL,
                                 "The authorization server %s has no challenge endpoint",
                                 as->issuer);
        r = client_form_begin(f, as->challenge_endpoint);
        if (r == 0)
                return 0;
        fetch_request_done(f);
        return error_oom(err);
}

int present_challenge_answer(char **ret, const struct as_metadata *as,
                             const struct fetch_answer *answer, struct error *err) {
        const struct token_asked asked = {
                .from = { REMOTE_ISSUER, "challenge endpoint",
                          as->challenge_endpoint ? as->challenge_endpoint : as->issuer },
                .who = "authorization server",
                .name = as->issuer,
                .what = "challenge",
                .created = true,
        };
        struct token_fault fault = { .what = TOKEN_OTHER };
        AUTO_JSON json_t *json = NULL;
        const char *text;
        char *copy;
        int r = token_answer_read(&asked, answer, &json, &fault, err);

        if (r < 0)
                return r;
        text = json_get_string(json, "attestation_challenge");
        if (!text || strlen(text) > CHALLENGE_MAX || !token_is_sound(text))
                return token_answer_unusable(&asked, "it has no usable attestation_challenge", err);
        copy = strdup(text);
        if (!copy)
                return error_oom(err);
        *ret = copy;
        return 0;
}
