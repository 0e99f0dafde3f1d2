/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON-RPC 2.0 as we speak it: one line read, one line written. Pure: knows no socket and no peer.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "wire/methods.h"

#define MESSAGE_PROTOCOL 1

/* What a line says. Owns @root; the rest is borrowed from it. */
struct message {
        json_t *root;
        const json_t *id;     /* string or integer; NULL: none, or none that could be read */
        bool notification;    /* well formed, without an id: must not be answered */
        const char *name;     /* of the method */
        const json_t *params; /* an object, never NULL when the message is good */
};
#define MESSAGE_INIT ((struct message){ 0 })
#define AUTO_MESSAGE __attribute__((cleanup(message_done), unused))

/*
 * Reads one line. 0; -EBADMSG with @err PARSE_ERROR, BAD_REQUEST or BAD_PARAMS, and as much of @ret
 * as could be read; -ENOMEM. The caller calls message_done() in every case.
 */
int message_parse(struct message *ret, const char *line, size_t len, struct error *err) MUST_CHECK;
void message_done(struct message *m);

/*
 * The three lines that the server writes, appended to @out: all of it or nothing. 0, -ENOMEM,
 * -EMSGSIZE.
 */
int message_hello(struct buf *out, const char *nonce) MUST_CHECK;
int message_result(struct buf *out, const json_t *id, const json_t *result) MUST_CHECK;
/*
 * @id may be NULL (null). @data may be NULL; its members join the error's data, but never replace
 * "code" or "hint".
 */
int message_error(struct buf *out, const json_t *id, const struct error *err, const json_t *data)
        MUST_CHECK;
