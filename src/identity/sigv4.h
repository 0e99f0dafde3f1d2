/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Signature Version 4: a request is signed with a secret that does not travel. By hand and not
 * by libcurl, whose signature cannot be put into a URL, does not hand back what it signed, knows
 * no clock but its own, and is made otherwise by other releases of it. Nothing that a request has
 * stays unsigned: a header that nobody signed could be changed on its way.
 */
#pragma once

#include "wire/fetch.h"

#define SIGV4_FIELDS_MAX 32 /* header fields, and parameters of a query */

struct sigv4 {
        const char *access_key_id;
        const char *secret;
        const char *session_token; /* NULL: of a key that lasts */
        const char *region;
        const char *service; /* "sts" */
        uint64_t now_wall;   /* usec; AWS takes what is 15 minutes off at most */
};

/*
 * Adds X-Amz-Date, X-Amz-Security-Token and Authorization to @f; signed are all header fields that
 * are there by then, Host, and the body. The query of the URL must be encoded as AWS does it
 * (sigv4_append_pair()); its order does not matter. 0, -ENOMEM, -EMSGSIZE, or -EINVAL: no such
 * URL, a header field that is there twice, or too much.
 */
int sigv4_sign(struct fetch_request *f, const struct sigv4 *s) MUST_CHECK;

/*
 * Appends to @url that of @f with the signature in its query; it is good for @expires_sec. The
 * header fields of @f are signed and must be sent by whoever uses the URL; there is no body.
 */
int sigv4_presign(const struct fetch_request *f, const struct sigv4 *s, unsigned expires_sec,
                  struct buf *url) MUST_CHECK;

/* name=value, percent-encoded as AWS wants it (a blank is "%20"), with '&' in front where needed.
 */
int sigv4_append_pair(struct buf *b, const char *name, const char *value) MUST_CHECK;

/* Appends what the header field Host will be for this URL. */
int sigv4_append_host(struct buf *b, const char *url) MUST_CHECK;
