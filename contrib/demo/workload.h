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

/* What policy gives the workload, for free(); NULL: nothing, with an error code and the reason. */
char *workload_scopes(struct exchange *x, const struct jwt *j, const char **ret_code,
                      const char **ret_why) __attribute__((warn_unused_result));
/* The jwt-bearer grant (RFC 7523 2.1). */
void workload_grant(struct exchange *x);
