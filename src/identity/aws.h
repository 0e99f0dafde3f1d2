/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the providers of AWS share: how the credentials of our role are come by, and requests to the
 * Security Token Service. For aws*.c alone.
 *
 * Credentials are got anew for each token and wiped with the attempt: they last for hours, a token
 * for minutes, and whoever has them is us.
 */
#pragma once

#include "identity/provider.h"
#include "identity/sigv4.h"

#define AWS_REGION_MAX 32
#define AWS_TOKEN_MAX 16384                                         /* of a session */
#define AWS_FORM "application/x-www-form-urlencoded; charset=utf-8" /* as the SDKs have it */
#define AWS_OPTION_SOURCE "source"
#define AWS_OPTION_REGION "region"

#define AWS_HINT_REGION "Name the region: region= or AWS_REGION"
#define AWS_HINT_CONTAINER "See that the container has a role, and its credentials agent is running"

enum aws_source {
        AWS_ENVIRONMENT,  /* AWS_ACCESS_KEY_ID and its like: Lambda */
        AWS_WEB_IDENTITY, /* a token of the cluster is exchanged (IRSA) */
        AWS_CONTAINER,    /* ECS, EKS Pod Identity */
        AWS_IMDS,         /* EC2, version 2 of its metadata service: never version 1 */
        AWS_SOURCE_COUNT,
};

enum aws_phase {
        AWS_IMDS_TOKEN,
        AWS_IMDS_REGION,
        AWS_IMDS_ROLE,
        AWS_IMDS_CREDENTIALS,
        AWS_CONTAINER_FILE,
        AWS_CONTAINER_CREDENTIALS,
        AWS_WEB_FILE,
        AWS_WEB_CREDENTIALS,
        AWS_READY, /* the provider's own turn */
};

/* The state of each provider of AWS. */
struct aws {
        enum aws_source source;
        bool wants_region; /* else the global endpoint will do */
        char region[AWS_REGION_MAX + 1];
        char *imds;       /* its origin */
        char *imds_token; /* of its session, no credential of the role */
        bool imds_token_renewed;
        char *role;
        char *container_token;
        char *web_token;
        char *access_key_id;
        char *secret;
        char *session_token;
        uint64_t expires_wall; /* of the credentials; 0: not known */
};

void aws_done(void *state);

/* BAD_CONFIG for a source or region that there is not. */
int aws_check(const struct identity_config *c, struct error *err) MUST_CHECK;
/* Finds the source, and the region as far as the environment knows it; i->phase is then what comes
 * first, which may be AWS_READY. */
int aws_begin(struct identity *i, bool wants_region, struct error *err) MUST_CHECK;
/* For all phases but AWS_READY. The latter two go on to the next. */
int aws_ask(struct identity *i, struct error *err) MUST_CHECK;
int aws_on_answer(struct identity *i, struct fetch_answer *a, struct error *err) MUST_CHECK;
int aws_on_bytes(struct identity *i, struct buf *bytes, struct error *err) MUST_CHECK;

/* --- between aws.c and aws-steps.c ------------------------------------------------------------ */

bool aws_region_valid(const char *region);         /* it becomes part of a host name */
bool aws_is_visible(const char *text, size_t max); /* visible characters alone */
bool aws_is_header(const char *text, size_t max);  /* fit for a header field: "Basic abcd" too */
int aws_container_url(const struct identity *i, struct buf *url, struct error *err) MUST_CHECK;
/* @token may be NULL: of a key that lasts; @until: not known. */
int aws_keep_credentials(struct identity *i, const char *id, const char *secret, const char *token,
                         const char *until, struct error *err) MUST_CHECK;
/* To the phase that is due by what is known by now. */
int aws_go_on(struct identity *i, struct error *err) MUST_CHECK;

/* --- requests to STS (aws-sts.c) -------------------------------------------------------------- */

/* "https://sts.eu-central-1.amazonaws.com/", or without a region the global one. */
int aws_sts_url(const struct aws *s, struct buf *url) MUST_CHECK;
/* The key that requests to STS are signed with. */
struct sigv4 aws_signer(const struct identity *i);
/* A refusal of STS: what its XML says, and what to do about it. Returns -errno. */
int aws_sts_refused(const struct identity *i, const struct fetch_answer *a, struct error *err);
