/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/idjag.h"

#include <strings.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/url.h"
#include "jose/jwt.h"

#define TYPE_ID_JAG "urn:ietf:params:oauth:token-type:id-jag"

/* A registration there, as the forms want one. Its issuer is never compared with one of ours. */
static int finish(struct fetch_request *f, int r, const struct id_jag_params *p,
                  struct error *err) {
        const struct registration reg = {
                .issuer = (char *)(uintptr_t)p->idp_token_endpoint,
                .client_id = (char *)(uintptr_t)p->idp_client_id,
                .client_secret = (char *)(uintptr_t)p->idp_client_secret,
                .auth = p->idp_client_secret ? CLIENT_AUTH_BASIC : CLIENT_AUTH_NONE,
        };
        const struct as_metadata idp = { .issuer = (char *)(uintptr_t)p->idp_token_endpoint };

        return client_form_end(f, r, &reg, &idp, err);
}

int id_jag_request(struct fetch_request *f, const struct id_jag_params *p, struct error *err) {
        const char *type = p->subject_token_type;
        AUTO_BUF struct buf scope = BUF_INIT;
        struct error why = ERROR_INIT;
        int r = url_check_allowed(p->idp_token_endpoint, "token endpoint", &why);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return error_set(err, MCPB_BAD_CONFIG, -r,
                                 "IdpTokenEndpoint= takes an https URL of the identity provider",
                                 "%s", why.message);
        r = client_form_begin(f, p->idp_token_endpoint);
        if (r == 0)
                r = form_append_pair(&f->body, "grant_type",
                                     "urn:ietf:params:oauth:grant-type:token-exchange");
        if (r == 0)
                r = form_append_pair(&f->body, "requested_token_type", TYPE_ID_JAG);
        if (r == 0)
                r = form_append_pair(&f->body, "audience", p->audience);
        if (r == 0 && p->resource)
                r = form_append_pair(&f->body, "resource", p->resource);
        if (r == 0 && p->scopes)
                r = scope_set_to_text(p->scopes, &scope);
        if (r == 0 && scope.len > 0)
                r = form_append_pair(&f->body, "scope", scope.data);
        if (r == 0)
                r = form_append_pair(&f->body, "subject_token", p->subject_token);
        if (r == 0)
                r = form_append_pair(&f->body, "subject_token_type",
                                     type ? type : "urn:ietf:params:oauth:token-type:id_token");
        return finish(f, r, p, err);
}

/* A194: made for this one issuer. */
static bool is_for(const json_t *claims, const char *audience) {
        const json_t *aud = json_object_get(claims, "aud");

        if (json_is_array(aud))
                return json_array_size(aud) == 1 && json_has_string(claims, "aud", audience);
        return json_is_string(aud) && streq(json_string_value(aud), audience);
}

static int read_jag(struct buf *jag, const struct id_jag_params *p, const struct token_asked *asked,
                    const json_t *json, struct error *err) {
        const char *token = json_get_string(json, "access_token");
        const char *issued = json_get_string(json, "issued_token_type");
        const char *type = json_get_string(json, "token_type");
        AUTO_JSON json_t *claims = NULL;
        int r;

        if (!issued || !streq(issued, TYPE_ID_JAG))
                return token_answer_unusable(asked,
                                             "its issued_token_type is not that of an ID-JAG", err);
        if (!type || strcasecmp(type, "N_A") != 0)
                return token_answer_unusable(asked, "its token_type is not N_A", err);
        r = token ? jwt_read(token, strlen(token), NULL, &claims) : -EBADMSG;
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return token_answer_unusable(asked, "what it gives is no JWT", err);
        if (!is_for(claims, p->audience))
                return token_answer_unusable(asked, "what it gives is for another audience", err);
        return buf_append_str(jag, token) < 0 ? error_oom(err) : 0;
}

/* What a person who logs in could do is of no use here. */
static int in_other_words(const struct token_fault *fault, int r, struct error *err) {
        const struct error said = err ? *err : ERROR_INIT;

        if (fault->what == TOKEN_INVALID_GRANT)
                return error_set(err, MCPB_ISSUER_ERROR, EPROTO,
                                 "It wants a fresh identity: see that Identity= gives one that it "
                                 "issued itself, and that has not expired",
                                 "%s", said.message);
        if (fault->what == TOKEN_INVALID_CLIENT || fault->what == TOKEN_UNAUTHORIZED_CLIENT)
                return error_set(err, said.code, EPROTO,
                                 "Check IdpClientId= and its secret, and that the client may "
                                 "exchange tokens there",
                                 "%s", said.message);
        return r;
}

int id_jag_answer(struct buf *jag, const struct id_jag_params *p, const struct fetch_answer *answer,
                  struct token_fault *fault, struct error *err) {
        const struct token_asked asked = {
                .from = { REMOTE_ISSUER, "identity provider's token endpoint",
                          p->idp_token_endpoint },
                .who = "identity provider",
                .name = p->idp_token_endpoint,
                .what = "token exchange",
        };
        struct token_fault unused = { .what = TOKEN_OTHER };
        AUTO_JSON json_t *json = NULL;
        int r;

        fault = fault ? fault : &unused;
        r = token_answer_read(&asked, answer, &json, fault, err);
        if (r < 0)
                return in_other_words(fault, r, err);
        r = read_jag(jag, p, &asked, json, err);
        if (r == 0)
                fault->what = TOKEN_OK;
        return r;
}
