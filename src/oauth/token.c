/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/token.h"

#include <strings.h>

#include "base/codec.h"
#include "base/limits.h"

#define HINT_ISSUER "Report it to whoever runs the authorization server"
#define EXPIRES_MAX_SEC UINT32_MAX

static int refuse_issuer(const struct as_metadata *as, struct error *err) {
        return error_set(err, MCPB_INTERNAL, EKEYREJECTED, NULL,
                         "What belongs to one issuer was about to go to another, %s", as->issuer);
}

int token_request_code(struct fetch_request *f, const struct authorization *a,
                       const struct registration *reg, const struct as_metadata *as,
                       const char *code, struct error *err) {
        int r = as_metadata_check(as, AS_USE_TOKEN, err);

        if (r < 0)
                return r;
        if (!streq_null(a->issuer, as->issuer) || !streq_null(a->client_id, reg->client_id))
                return refuse_issuer(as, err);
        r = client_form_begin(f, as->token_endpoint);
        if (r == 0)
                r = form_append_pair(&f->body, "grant_type", "authorization_code");
        if (r == 0)
                r = form_append_pair(&f->body, "code", code);
        if (r == 0)
                r = form_append_pair(&f->body, "redirect_uri", a->redirect_uri);
        if (r == 0)
                r = form_append_pair(&f->body, "code_verifier", a->verifier);
        if (r == 0 && !a->no_resource)
                r = form_append_pair(&f->body, "resource", a->resource);
        return client_form_end(f, r, reg, as, err);
}

int token_request_refresh(struct fetch_request *f, const struct token_refresh *refresh,
                          const struct registration *reg, const struct as_metadata *as,
                          struct error *err) {
        AUTO_BUF struct buf scope = BUF_INIT;
        int r = as_metadata_check(as, AS_USE_TOKEN, err);

        if (r < 0)
                return r;
        if (refresh->narrow &&
            (!refresh->granted || !scope_set_contains(refresh->granted, refresh->narrow)))
                return error_set(err, MCPB_BAD_REQUEST, EINVAL,
                                 "More scope needs a new login, not a refresh",
                                 "A refresh at %s was to ask for more than was granted",
                                 as->issuer);
        r = client_form_begin(f, as->token_endpoint);
        if (r == 0)
                r = form_append_pair(&f->body, "grant_type", "refresh_token");
        if (r == 0)
                r = form_append_pair(&f->body, "refresh_token", refresh->refresh_token);
        if (r == 0 && refresh->narrow)
                r = scope_set_to_text(refresh->narrow, &scope);
        if (r == 0 && scope.len > 0)
                r = form_append_pair(&f->body, "scope", scope.data);
        if (r == 0 && refresh->resource)
                r = form_append_pair(&f->body, "resource", refresh->resource);
        return client_form_end(f, r, reg, as, err);
}

void token_reply_done(struct token_reply *r) {
        buf_done(&r->access_token);
        buf_done(&r->refresh_token);
        free(r->token_type);
        free(r->issued_token_type);
        scope_set_done(&r->scopes);
        *r = TOKEN_REPLY_INIT;
}

const char *token_error_name(enum token_error e) {
        static const char *const names[TOKEN_ERROR_COUNT] = {
                [TOKEN_OK] = "ok",
                [TOKEN_INVALID_GRANT] = "invalid_grant",
                [TOKEN_INVALID_CLIENT] = "invalid_client",
                [TOKEN_INVALID_SCOPE] = "invalid_scope",
                [TOKEN_INVALID_TARGET] = "invalid_target",
                [TOKEN_UNAUTHORIZED_CLIENT] = "unauthorized_client",
                [TOKEN_TRANSIENT] = "transient",
                [TOKEN_USE_DPOP_NONCE] = "use_dpop_nonce",
                [TOKEN_NOT_SENT] = "not_sent",
                [TOKEN_IN_DOUBT] = "in_doubt",
                [TOKEN_OTHER] = "other",
        };

        return e < TOKEN_ERROR_COUNT ? names[e] : "other";
}

struct refusal {
        const char *name;
        enum token_error what;
        enum error_code code;
        const char *hint;
};

/* A135: what each code means for a person. */
static const struct refusal refusals[] = {
        { "invalid_grant", TOKEN_INVALID_GRANT, MCPB_GRANT_REVOKED,
          "The login has ended or was revoked: log in again" },
        { "invalid_client", TOKEN_INVALID_CLIENT, MCPB_REGISTRATION_REQUIRED,
          "Check the client id and secret; a client that registered itself does so again at the "
          "next login" },
        { "invalid_scope", TOKEN_INVALID_SCOPE, MCPB_ISSUER_ERROR,
          "Ask for other scopes: some of these are not offered" },
        { "invalid_target", TOKEN_INVALID_TARGET, MCPB_ISSUER_ERROR,
          "The authorization server issues no tokens for this server: report it to whoever runs "
          "them" },
        { "unauthorized_client", TOKEN_UNAUTHORIZED_CLIENT, MCPB_REGISTRATION_REQUIRED,
          "The client registration does not allow this: register another one" },
        { "use_dpop_nonce", TOKEN_USE_DPOP_NONCE, MCPB_UNSUPPORTED,
          "It takes only requests with a DPoP proof, and this one had none" },
        { "invalid_dpop_proof", TOKEN_USE_DPOP_NONCE, MCPB_UNSUPPORTED,
          "It takes only requests with a DPoP proof, and this one had none" },
        { "temporarily_unavailable", TOKEN_TRANSIENT, MCPB_ISSUER_ERROR, "Try again later" },
};

/* The same codes, where there was a proof. */
static const struct refusal proof_refusals[] = {
        { "use_dpop_nonce", TOKEN_USE_DPOP_NONCE, MCPB_ISSUER_ERROR,
          "It wants a proof with another nonce each time: report it to whoever runs it" },
        { "invalid_dpop_proof", TOKEN_OTHER, MCPB_ISSUER_ERROR,
          "A proof holds for minutes: check that the clock of this machine is right" },
};

static const struct refusal *find_refusal(const char *name, bool dpop) {
        for (size_t i = 0; dpop && i < ARRAY_SIZE(proof_refusals); i++)
                if (streq(name, proof_refusals[i].name))
                        return &proof_refusals[i];
        for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
                if (streq(name, refusals[i].name))
                        return &refusals[i];
        return NULL;
}

static int on_oauth_error(const struct token_asked *asked, const struct remote_error *said,
                          struct token_fault *fault, struct error *err) {
        const struct refusal *refusal = find_refusal(said->code, asked->dpop);

        fault->what = refusal ? refusal->what : TOKEN_OTHER;
        return error_set(err, refusal ? refusal->code : MCPB_ISSUER_ERROR, EPROTO,
                         refusal ? refusal->hint : HINT_ISSUER,
                         "The %s %s refused the %s request: %s%s%s", asked->who, asked->name,
                         asked->what, said->code, said->description ? ": " : "",
                         said->description ? said->description : "");
}

static int on_failure(const struct token_asked *asked, const struct fetch_answer *answer,
                      struct token_fault *fault, struct error *err) {
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;

        fault->retry_after_sec = remote_retry_after(answer);
        /* Whatever a failing server says of the grant is no verdict on it. */
        if (remote_is_transient(answer->status)) {
                fault->what = TOKEN_TRANSIENT;
                return remote_bad_status(&asked->from, answer, err);
        }
        fault->what = TOKEN_OTHER;
        if (remote_error_read(&said, &answer->body) < 0)
                return error_oom(err);
        if (!said.code || (answer->status >= 300 && answer->status <= 399))
                return remote_bad_status(&asked->from, answer, err);
        return on_oauth_error(asked, &said, fault, err);
}

int token_answer_unusable(const struct token_asked *asked, const char *what, struct error *err) {
        return error_set(err, MCPB_ISSUER_ERROR, EBADMSG, HINT_ISSUER,
                         "The %s answer of %s cannot be used: %s", asked->what, asked->name, what);
}

static int on_success(const struct token_asked *asked, const struct fetch_answer *answer,
                      json_t **ret, struct token_fault *fault, struct error *err) {
        AUTO_REMOTE_ERROR struct remote_error said = REMOTE_ERROR_INIT;
        AUTO_JSON json_t *json = NULL;
        int r;

        /* Success that nobody can read: it was acted upon, and may have cost a token (A148). */
        fault->what = TOKEN_IN_DOUBT;
        if (answer->body.len == 0 || answer->body.len > LIMIT_TOKEN_REPLY_BYTES)
                return token_answer_unusable(asked, "it is empty or too large", err);
        r = json_parse(answer->body.data, answer->body.len, LIMIT_METADATA_DEPTH, &json, NULL);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !json_is_object(json))
                return token_answer_unusable(asked, "it is not a JSON object", err);
        /* Some say 200 to everything. */
        if (!json_object_get(json, "access_token") && json_get_string(json, "error")) {
                if (remote_error_read(&said, &answer->body) < 0)
                        return error_oom(err);
                if (said.code)
                        return on_oauth_error(asked, &said, fault, err);
        }
        *ret = TAKE(json);
        return 0;
}

int token_answer_read(const struct token_asked *asked, const struct fetch_answer *answer,
                      json_t **ret, struct token_fault *fault, struct error *err) {
        *fault = (struct token_fault){ .what = TOKEN_OTHER };
        if (answer->outcome != FETCH_ANSWERED) {
                fault->what = answer->outcome == FETCH_NOT_SENT ? TOKEN_NOT_SENT : TOKEN_IN_DOUBT;
                return remote_no_answer(&asked->from, answer, err);
        }
        if (answer->status != 200 && !(asked->created && answer->status == 201))
                return on_failure(asked, answer, fault, err);
        return on_success(asked, answer, ret, fault, err);
}

/* Of characters from @least on. */
static bool is_sound(const char *token, char least) {
        size_t len = strlen(token);

        for (size_t i = 0; i < len; i++)
                if (token[i] < least || token[i] > 0x7e)
                        return false;
        return len > 0 && len <= LIMIT_TOKEN_BYTES;
}

bool token_is_sound(const char *token) {
        return is_sound(token, 0x21);
}

/* A number or a numeric string; anything else is not said. */
bool token_answer_expiry(const json_t *json, uint64_t *ret_sec) {
        const json_t *value = json_object_get(json, "expires_in");
        uint64_t sec = 0;

        if (json_is_integer(value) && json_integer_value(value) >= 0) {
                sec = (uint64_t)json_integer_value(value);
        } else if (json_is_real(value) && json_real_value(value) >= 0) {
                sec = json_real_value(value) < EXPIRES_MAX_SEC ? (uint64_t)json_real_value(value)
                                                               : EXPIRES_MAX_SEC;
        } else if (json_is_string(value)) {
                int r = number_parse(json_string_value(value), EXPIRES_MAX_SEC, &sec);

                if (r == -EINVAL)
                        return false;
                if (r < 0)
                        sec = EXPIRES_MAX_SEC;
        } else {
                return false;
        }
        *ret_sec = sec < EXPIRES_MAX_SEC ? sec : EXPIRES_MAX_SEC;
        return true;
}

static int read_type(struct token_reply *reply, const struct token_asked *asked, const char *type,
                     struct error *err) {
        const char *known = NULL;

        if (!type)
                return token_answer_unusable(asked, "it has no token_type", err);
        if (strcasecmp(type, "DPoP") == 0)
                known = "DPoP";
        else if (strcasecmp(type, "Bearer") == 0)
                known = "Bearer";
        if (!known)
                return token_answer_unusable(asked, "its token_type is not known", err);
        if (streq(known, "DPoP") && !asked->dpop)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                                 "There was no proof of a key in the request, so nobody could use "
                                 "it: report it to whoever runs the authorization server",
                                 "The authorization server %s issued a DPoP-bound token",
                                 asked->name);
        reply->token_type = strdup(known);
        return reply->token_type ? 0 : error_oom(err);
}

static int read_reply(struct token_reply *reply, const struct token_asked *asked,
                      const json_t *json, struct error *err) {
        const char *access = json_get_string(json, "access_token");
        const char *refresh = json_get_string(json, "refresh_token");
        const char *scope = json_get_string(json, "scope");
        const char *issued = json_get_string(json, "issued_token_type");
        int r;

        if (!access || !token_is_sound(access))
                return token_answer_unusable(asked, "it has no usable access_token", err);
        r = read_type(reply, asked, json_get_string(json, "token_type"), err);
        if (r < 0)
                return r;
        if (refresh && *refresh && !is_sound(refresh, 0x20))
                return token_answer_unusable(
                        asked, "its refresh_token has characters that none may have", err);
        reply->expires_known = token_answer_expiry(json, &reply->expires_in);
        r = buf_append_str(&reply->access_token, access);
        if (r == 0 && refresh)
                r = buf_append_str(&reply->refresh_token, refresh);
        if (r == 0 && scope)
                r = scope_set_parse(&reply->scopes, scope, NULL);
        if (r == 0 && issued)
                reply->issued_token_type = strdup(issued);
        reply->has_scope = reply->scopes.n > 0;
        return r < 0 || (issued && !reply->issued_token_type) ? error_oom(err) : 0;
}

static int answer_of(struct token_reply *reply, const struct token_asked *asked,
                     const struct fetch_answer *answer, struct token_fault *fault,
                     struct error *err) {
        AUTO_TOKEN_REPLY struct token_reply read = TOKEN_REPLY_INIT;
        struct token_fault unused = { .what = TOKEN_OTHER };
        AUTO_JSON json_t *json = NULL;
        int r;

        fault = fault ? fault : &unused;
        r = token_answer_read(asked, answer, &json, fault, err);
        if (r == 0)
                r = read_reply(&read, asked, json, err);
        if (r < 0)
                return r;
        token_reply_done(reply);
        *reply = read;
        read = TOKEN_REPLY_INIT;
        fault->what = TOKEN_OK;
        return 0;
}

static struct token_asked asked_of(const struct as_metadata *as, bool dpop) {
        return (struct token_asked){
                .from = { REMOTE_ISSUER, "token endpoint",
                          as->token_endpoint ? as->token_endpoint : as->issuer },
                .who = "authorization server",
                .name = as->issuer,
                .what = "token",
                .dpop = dpop,
        };
}

int token_answer(struct token_reply *reply, const struct as_metadata *as,
                 const struct fetch_answer *answer, struct token_fault *fault, struct error *err) {
        const struct token_asked asked = asked_of(as, false);

        return answer_of(reply, &asked, answer, fault, err);
}

int token_answer_dpop(struct token_reply *reply, const struct as_metadata *as,
                      const struct fetch_answer *answer, struct token_fault *fault,
                      struct error *err) {
        const struct token_asked asked = asked_of(as, true);

        return answer_of(reply, &asked, answer, fault, err);
}

bool token_error_repeatable(enum token_error e, bool is_code) {
        return e == TOKEN_NOT_SENT || (e == TOKEN_TRANSIENT && !is_code);
}

bool token_error_ends_registration(enum token_error e, const struct registration *reg,
                                   bool in_login, unsigned n_registered_anew) {
        return e == TOKEN_INVALID_CLIENT && reg->how == REGISTRATION_DYNAMIC && in_login &&
               n_registered_anew == 0;
}
