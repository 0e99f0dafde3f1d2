/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Authorization server metadata (RFC 8414, OpenID discovery): where it may stand, and a document
 * read and judged. A document is used only if its issuer is, as a plain string, the one that was
 * asked for (A58). Nothing is guessed in its place (A57), but for servers of 2025-03-26 (A51).
 */
#pragma once

#include "oauth/clientauth.h"
#include "oauth/scope.h"

/* grant_types_supported; implicit and password are never looked at. */
#define AS_GRANT_CODE 1u
#define AS_GRANT_REFRESH 2u
#define AS_GRANT_CLIENT_CREDENTIALS 4u
#define AS_GRANT_JWT_BEARER 8u
#define AS_GRANT_DEVICE 16u
#define AS_GRANT_TOKEN_EXCHANGE 32u

struct as_metadata {
        char *issuer;
        char *authorization_endpoint; /* every endpoint: NULL if there is none */
        char *token_endpoint;
        char *registration_endpoint;
        char *revocation_endpoint;
        char *device_authorization_endpoint;
        char *par_endpoint;
        char *mtls_token_endpoint; /* RFC 8705 5: for a client with a certificate */
        char *challenge_endpoint;  /* of attestation-based client authentication */
        unsigned
                /* CLIENT_AUTH_BIT()s; the default where the member is missing (A61) */
                token_auth_methods;
        bool token_auth_methods_given;
        unsigned grant_types; /* AS_GRANT_* */
        bool response_types_given;
        bool code_flow; /* response_types_supported has "code" */
        bool pkce_s256; /* code_challenge_methods_supported has it */
        bool iss_supported;
        bool cimd_supported;
        bool par_required;
        bool openid; /* an OpenID provider (A110) */
        bool id_jag; /* takes assertions of an identity provider (SEP-990) */
        struct scope_set scopes_supported;
        bool has_scopes;
        char **protected_resources;
        size_t n_protected_resources;
        bool has_protected_resources;
        char **dpop_algs;
        size_t n_dpop_algs;
        char **token_auth_algs; /* of client assertions; none: not said */
        size_t n_token_auth_algs;
        uint64_t
                /* how long it may be kept: at most LIMIT_METADATA_CACHE_SEC, less if HTTP says
                 * so (A65) */
                cache_sec;
};

#define AS_METADATA_INIT ((struct as_metadata){ 0 })
#define AUTO_AS_METADATA __attribute__((cleanup(as_metadata_done), unused))

/* What the metadata is needed for (A60, A62). */
enum as_use {
        AS_USE_CODE,  /* authorization code flow */
        AS_USE_TOKEN, /* a grant that needs the token endpoint only */
        AS_USE_COUNT,
};

/* A59: https (http to loopback), no query, no fragment. ISSUER_ERROR. */
int as_issuer_check(const char *issuer, struct error *err) MUST_CHECK;
/* The same, and no address outside the classes of @allow (A226). ADDRESS_REFUSED. */
int as_issuer_check_within(const char *issuer, unsigned allow, struct error *err) MUST_CHECK;
/* The @index-th place to look (A55, A56): 1 and *@ret (caller frees), 0 if there are no more,
 * -errno. */
int as_metadata_location(const char *issuer, unsigned index, char **ret) MUST_CHECK;

/*
 * Reads a document that was got from @url for @issuer. @allow: address classes that its endpoints
 * may name (A226). -ENODATA without @err: not a JSON object, go on with the next place (A57). Else
 * ISSUER_ERROR, ADDRESS_REFUSED. 0: @as filled.
 */
struct as_source {
        const char *issuer;
        const char *url;
        unsigned allow; /* mask of enum address_class */
        /* Nobody named an issuer (2025-03-26): any that is of the origin of @issuer is good, and
         * is the one from then on (A50). */
        bool any_of_origin;
};
int as_metadata_parse(struct as_metadata *as, const struct as_source *from,
                      const struct fetch_answer *answer, struct error *err) MUST_CHECK;
/* What a server of 2025-03-26 without any metadata has at @base, the origin that it shares with its
 * issuer (A51). */
int as_metadata_default(struct as_metadata *as, const char *base, struct error *err) MUST_CHECK;
/* Is all there that this use needs? ISSUER_ERROR names the missing member; UNSUPPORTED what we
 * cannot serve. */
int as_metadata_check(const struct as_metadata *as, enum as_use use, struct error *err) MUST_CHECK;

/* For keeping it in a record (A65). */
int as_metadata_to_json(const struct as_metadata *as, json_t **ret) MUST_CHECK;
int as_metadata_from_json(struct as_metadata *as, const json_t *value) MUST_CHECK; /* -EBADMSG */
int as_metadata_copy(struct as_metadata *dst, const struct as_metadata *src) MUST_CHECK;
void as_metadata_done(struct as_metadata *as);
