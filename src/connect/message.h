/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One JSON-RPC message of MCP, looked at to route it. The bytes are relayed as they came: spans
 * point into the line and live as long as it does; the strings are ours. Never here: a message
 * written anew, or one answered with another's id.
 */
#pragma once

#include "base/jsonspan.h"

enum message_kind {
        MESSAGE_REQUEST,
        MESSAGE_NOTIFICATION,
        MESSAGE_RESPONSE,
        MESSAGE_BATCH, /* of 2025-03-26 */
        MESSAGE_KIND_COUNT,
};

struct message {
        enum message_kind kind;
        struct span whole; /* without blanks around it */
        struct span id;    /* a string or number; empty: absent or null */
        struct span params;
        struct span result;
        struct span error;
        struct span arguments;      /* params.arguments */
        struct span items;          /* the array of a batch */
        struct span cancelled_id;   /* params.requestId of notifications/cancelled */
        struct span progress_token; /* that a request wants, or notifications/progress brings */
        char *method;               /* NULL for responses and batches */
        char *protocol_version;     /* of params._meta; NULL: none, so not of the modern era */
        char *name;                 /* params.name, of resources/... params.uri; NULL: none */
};

#define MESSAGE_INIT ((struct message){ 0 })
#define AUTO_MESSAGE __attribute__((cleanup(message_done), unused))

/*
 * -EBADMSG: no JSON (-32700 to whoever sent it); -EPROTO: JSON, but no message (-32600; m->id is
 * set if an id could be read); -ENOMEM. @why gets a short reason. After an error nothing needs to
 * be freed. The messages of a batch are each for message_scan_value().
 */
int message_scan(struct message *m, const char *line, size_t len, const char **why) MUST_CHECK;
/* The same for a value that is part of text that was scanned; a batch is none here. */
int message_scan_value(struct message *m, struct span value, const char **why) MUST_CHECK;
void message_done(struct message *m);

/* By value: 1 is 1.0, "a" is "\u0061", 1 is not "1". No id equals nothing. */
bool message_id_equal(struct span a, struct span b);

/* The code of an error response; 0 if there is none. */
int message_error_code(const struct message *m);

/* Appends the message with @id in place of its own, or of none; its other bytes are untouched.
 * 0, -ENOMEM, -EMSGSIZE. */
int message_write_with_id(struct buf *out, const struct message *m, struct span id) MUST_CHECK;

/* Appends an error response as one compact line without LF. An empty @id is written as null;
 * @data_json, which may be NULL, is JSON that was checked. 0, -ENOMEM, -EMSGSIZE. */
int message_error(struct buf *out, struct span id, int code, const char *text,
                  const char *data_json) MUST_CHECK;
