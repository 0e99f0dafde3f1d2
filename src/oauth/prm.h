/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Protected resource metadata (RFC 9728): where it stands, a document read, and the one check that
 * everything hangs on: does it speak of the server that was asked (A28)? If not, nothing in it is
 * used.
 */
#pragma once

#include "base/error.h"
#include "oauth/scope.h"

struct prm {
        char *resource; /* byte for byte (A96) */
        char **issuers; /* at least one */
        size_t n_issuers;
        struct scope_set scopes;
        bool has_scopes;
        size_t n_dropped_scopes;
        bool dpop_required; /* only DPoP-bound tokens are taken */
        bool mtls_required; /* only certificate-bound tokens are taken */
};

#define PRM_INIT ((struct prm){ 0 })
#define AUTO_PRM __attribute__((cleanup(prm_done), unused))

/* The @index-th well-known URL of a server (A25, A26): 1 and *@ret (caller frees), 0 if there
 * are no more, -errno with err. */
int prm_location(const char *server_url, unsigned index, char **ret, struct error *err) MUST_CHECK;

/* A29, A30: may @resource stand for @server_url? */
bool prm_resource_matches(const char *resource, const char *server_url);
/* The resource as we form it ourselves where a server names none (A44, A97); new string.
 * -ENOMEM, -EINVAL. */
int prm_resource_form(const char *server_url, char **ret, struct error *err) MUST_CHECK;

/*
 * Reads a document that was got from @url. -ENODATA without @err: not a JSON object, counts as
 * absent (A27). Else SERVER_ERROR or UNSUPPORTED.
 */
int prm_parse(struct prm *p, const char *server_url, const char *url, const struct buf *body,
              struct error *err) MUST_CHECK;
void prm_done(struct prm *p);

/*
 * A31, A71: the configured one (BAD_CONFIG naming both if the server does not name it), else the
 * first of @known (issuers with stored credentials) that is named, else the first named. Borrowed
 * from @p.
 */
int prm_choose_issuer(const struct prm *p, const char *configured, const char *const *known,
                      size_t n_known, const char **ret, struct error *err) MUST_CHECK;
