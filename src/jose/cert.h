/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates that we show, not ones that we judge: TLS does that. A chain is DER, certificate
 * behind certificate, the leaf first, as the SPIFFE Workload API gives it. All functions: -EBADMSG
 * for what is no such chain (LIMIT_CERT_CHAIN_BYTES, LIMIT_CERTS), -ENOMEM, -EMSGSIZE.
 */
#pragma once

#include "jose/key.h"

/* Appends the certificates of a PEM text in their order; what else stands there, as the key, is
 * passed over. -ENODATA: there is none. After a failure nothing is appended. */
int cert_chain_from_pem(const void *text, size_t len, struct buf *der) MUST_CHECK;
int cert_chain_to_pem(const void *der, size_t len, struct buf *pem) MUST_CHECK;

/* Of the leaf: */
int cert_thumbprint(const void *der, size_t len, struct buf *out) MUST_CHECK; /* x5t#S256 */
/* Its one URI among the subject's alternative names (caller frees). -ENOENT: it has none; -EBADMSG
 * also for several, and for one with other characters than a URI may have. */
int cert_uri(const void *der, size_t len, char **ret) MUST_CHECK;
int cert_not_after(const void *der, size_t len, uint64_t *ret_sec) MUST_CHECK; /* since 1970 */
/* -EKEYREJECTED: it is not for this key. */
int cert_is_for(const void *der, size_t len, const struct jose_key *k) MUST_CHECK;
