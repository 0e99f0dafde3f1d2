/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Workloads that show what their platform says of them: tokens of Kubernetes service accounts
 * (--workload-issuer), and this server's own policy of who among them may do what
 * (--workload-allow).
 */
#pragma once

#include "exchange.h"
#include "jwt.h"

#define GRANT_JWT_BEARER "urn:ietf:params:oauth:grant-type:jwt-bearer"

/* Whether the token is of one of the issuers given, by its own word; nothing is verified yet. */
bool workload_knows(const struct exchange *x, const struct jwt *j);
/* The scopes that policy gives the workload, for free(); NULL once an error was answered. */
char *workload_scopes(struct exchange *x, const struct jwt *j) __attribute__((warn_unused_result));
/* The jwt-bearer grant (RFC 7523 2.1). */
void workload_grant(struct exchange *x);
