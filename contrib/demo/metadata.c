/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Discovery documents, and where they stand.
 */
#include "metadata.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "device.h"
#include "dpop.h"
#include "idp.h"
#include "jwt.h"
#include "swap.h"
#include "workload.h"

#define WELL_KNOWN_OAUTH "/.well-known/oauth-authorization-server"
#define PROFILE_ID_JAG "urn:ietf:params:oauth:grant-profile:id-jag"
#define WELL_KNOWN_OIDC "/.well-known/openid-configuration"

static bool starts_with(const char *s, const char *start) {
        return strncmp(s, start, strlen(start)) == 0;
}

bool metadata_is(const struct authority *a, const char *path) {
        const char *below = as_below(a, path);

        return starts_with(path, WELL_KNOWN_OAUTH) || starts_with(path, WELL_KNOWN_OIDC) ||
               (below && strcmp(below, WELL_KNOWN_OIDC) == 0);
}

/* Which forms of discovery document there are, and where (RFC 8414 3.1, 5). */
static bool metadata_here(const struct demo *d, const struct authority *a, const char *path,
                          bool *ret_oidc) {
        const char *tenant = a->path;
        enum metadata kind = a->signer ? METADATA_BOTH : d->options.metadata;
        const char *below = as_below(a, path);

        *ret_oidc = false;
        if (starts_with(path, WELL_KNOWN_OAUTH))
                return (kind == METADATA_OAUTH || kind == METADATA_BOTH) &&
                       strcmp(path + strlen(WELL_KNOWN_OAUTH), tenant) == 0;
        *ret_oidc = true;
        if (kind == METADATA_OAUTH)
                return false;
        if (below && strcmp(below, WELL_KNOWN_OIDC) == 0)
                return true;
        return kind != METADATA_OIDC_APPENDED && starts_with(path, WELL_KNOWN_OIDC) &&
               strcmp(path + strlen(WELL_KNOWN_OIDC), tenant) == 0;
}

static void set_url(json_t *doc, const char *name, const char *base, const char *path) {
        char *url = mem_printf("%s%s", base, path);

        json_object_set_new(doc, name, json_string(url));
        free(url);
}

void metadata_words(json_t *doc, const char *name, const char *words) {
        json_t *list = json_array();

        while (*words) {
                size_t n = strcspn(words, " ");

                json_array_append_new(list, json_stringn(words, n));
                words += n;
                words += strspn(words, " ");
        }
        json_object_set_new(doc, name, list);
}

void metadata_word(json_t *list, bool wanted, const char *word) {
        if (wanted)
                json_array_append_new(list, json_string(word));
}

static void metadata_faults(struct exchange *x, json_t *doc) {
        const char *url;

        if (exchange_fault(x, FAULT_NO_PKCE))
                json_object_del(doc, "code_challenge_methods_supported");
        if (exchange_fault(x, FAULT_PKCE_PLAIN_ONLY))
                metadata_words(doc, "code_challenge_methods_supported", "plain");
        if (exchange_fault(x, FAULT_NO_REGISTRATION))
                json_object_del(doc, "registration_endpoint");
        if (exchange_fault(x, FAULT_NO_TOKEN_ENDPOINT))
                json_object_del(doc, "token_endpoint");
        if (exchange_fault(x, FAULT_NO_AUTHORIZATION_ENDPOINT))
                json_object_del(doc, "authorization_endpoint");
        if (exchange_fault_arg(x, FAULT_HTTP_ENDPOINT, "http://as.example/token", &url))
                json_object_set_new(doc, "token_endpoint", json_string(url));
        if (exchange_fault_arg(x, FAULT_FILE_AUTHORIZE, "file:///etc/passwd", &url))
                json_object_set_new(doc, "authorization_endpoint", json_string(url));
}

static json_t *document(struct exchange *x, const char *issuer, bool oidc) {
        const struct demo *d = x->demo;
        const char *base = x->at->issuer;
        json_t *doc = json_pack("{s:s, s:b}", "issuer", issuer,
                                "authorization_response_iss_parameter_supported", 1);
        json_t *grants;

        set_url(doc, "authorization_endpoint", base, "/authorize");
        set_url(doc, "token_endpoint", base, "/token");
        set_url(doc, "registration_endpoint", base, "/register");
        set_url(doc, "revocation_endpoint", base, "/revoke");
        metadata_words(doc, "response_types_supported", "code");
        metadata_words(doc, "grant_types_supported",
                       "authorization_code refresh_token client_credentials");
        grants = json_object_get(doc, "grant_types_supported");
        metadata_word(grants, d->options.n_workload_issuers > 0 || d->options.idp,
                      GRANT_JWT_BEARER);
        if (d->options.idp)
                metadata_words(doc, "authorization_grant_profiles_supported", PROFILE_ID_JAG);
        metadata_word(grants, d->options.device, GRANT_DEVICE);
        metadata_word(grants, d->options.token_exchange, GRANT_SWAP);
        if (d->options.device)
                set_url(doc, "device_authorization_endpoint", base, "/device_authorization");
        metadata_words(doc, "code_challenge_methods_supported", "S256");
        metadata_words(doc, "token_endpoint_auth_methods_supported",
                       "none client_secret_basic client_secret_post private_key_jwt");
        metadata_words(doc, "token_endpoint_auth_signing_alg_values_supported", JWT_ALGORITHMS);
        metadata_words(doc, "scopes_supported", as_scopes(x));
        dpop_metadata(d, doc, false);
        if (d->options.par != PAR_OFF)
                set_url(doc, "pushed_authorization_request_endpoint", base, "/par");
        if (d->options.par == PAR_REQUIRED)
                json_object_set_new(doc, "require_pushed_authorization_requests", json_true());
        if (d->options.cimd)
                json_object_set_new(doc, "client_id_metadata_document_supported", json_true());
        if (oidc) {
                set_url(doc, "jwks_uri", base, "/jwks");
                metadata_words(doc, "subject_types_supported", "public");
                metadata_words(doc, "id_token_signing_alg_values_supported", "RS256");
        }
        return doc;
}

/* The identity provider is honest: the faults of the other's document are not for it. */
static json_t *document_idp(const struct exchange *x) {
        const char *base = x->at->issuer;
        json_t *doc = json_pack("{s:s, s:b}", "issuer", base,
                                "authorization_response_iss_parameter_supported", 1);

        set_url(doc, "authorization_endpoint", base, "/authorize");
        set_url(doc, "token_endpoint", base, "/token");
        set_url(doc, "revocation_endpoint", base, "/revoke");
        set_url(doc, "jwks_uri", base, "/jwks");
        metadata_words(doc, "response_types_supported", "code");
        metadata_words(doc, "grant_types_supported",
                       "authorization_code refresh_token " GRANT_SWAP);
        metadata_words(doc, "identity_chaining_requested_token_types_supported",
                       TOKEN_TYPE "id-jag");
        metadata_words(doc, "code_challenge_methods_supported", "S256");
        metadata_words(doc, "token_endpoint_auth_methods_supported",
                       "none client_secret_basic client_secret_post private_key_jwt");
        metadata_words(doc, "token_endpoint_auth_signing_alg_values_supported", JWT_ALGORITHMS);
        metadata_words(doc, "scopes_supported", as_scopes(x));
        metadata_words(doc, "subject_types_supported", "public");
        metadata_words(doc, "id_token_signing_alg_values_supported", "ES256");
        dpop_metadata(x->demo, doc, false);
        return doc;
}

void metadata_handle(struct exchange *x) {
        char *wrong = mem_printf("%s/wrong", x->at->issuer);
        const char *issuer = x->at->issuer;
        json_t *doc;
        bool oidc;

        if (strcmp(x->request->method, "GET") == 0 &&
            metadata_here(x->demo, x->at, x->request->path, &oidc)) {
                if (idp_is_here(x)) {
                        reply_json(x->request, 200, document_idp(x));
                        free(wrong);
                        return;
                }
                (void)exchange_fault_arg(x, FAULT_WRONG_ISSUER, wrong, &issuer);
                doc = document(x, issuer, oidc);
                metadata_faults(x, doc);
                reply_json(x->request, 200, doc);
        }
        free(wrong);
}
