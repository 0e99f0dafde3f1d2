/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command prints that gives an identity, in the conventions that are about: Google's
 * executable-sourced credentials (the one that we document), Kubernetes' exec credentials, and the
 * credential process of AWS.
 */
#pragma once

#include "base/json.h"

enum output_kind {
        OUTPUT_GOOGLE,
        OUTPUT_KUBERNETES,
        OUTPUT_AWS,
};

struct output {
        enum output_kind kind;
        json_t *json;            /* what the rest points into */
        const char *token;       /* Google, Kubernetes; may be NULL */
        const char *certificate; /* Kubernetes: PEM; NULL, or both */
        const char *key;
        const char *access_key_id; /* AWS: */
        const char *secret_access_key;
        const char *session_token; /* may be NULL */
        uint64_t expires_wall;     /* usec; 0: not said */
};

#define OUTPUT_INIT ((struct output){ 0 })
#define AUTO_OUTPUT __attribute__((cleanup(output_done), unused))
void output_done(struct output *o);

/*
 * -EBADMSG: it is none of them, or lacks what it must have; -EPROTO: the command says itself that
 * it failed. *@ret_why says what is wrong; after -EPROTO it is the command's own text, not cleaned,
 * and lives as long as @o. -ENOMEM. @o must be empty.
 */
int output_read(struct output *o, const char *data, size_t len, const char **ret_why) MUST_CHECK;
