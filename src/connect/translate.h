/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one era says in the words of the other: the legacy era (2025-03-26 to 2025-11-25: a
 * handshake, then sessions) and the modern one (2026-07-28: each request says who asks). Text in,
 * text out; doc/ERAS.md has what becomes of each method. Up: a legacy host speaks to a modern
 * server; down: a modern host to a legacy server. What need not be other keeps its bytes.
 */
#pragma once

#include "connect/message.h"

#define TRANSLATE_MODERN "2026-07-28"
#define TRANSLATE_LEGACY "2025-11-25"

enum {
        CODE_INVALID_REQUEST = -32600,
        CODE_METHOD_NOT_FOUND = -32601,
        CODE_INVALID_PARAMS = -32602,
        CODE_RESOURCE_NOT_FOUND = -32002, /* legacy; modern: -32602 */
        CODE_URL_ELICITATION = -32042,    /* legacy alone */
        CODE_HEADER_MISMATCH = -32020,    /* these three: modern alone */
        CODE_MISSING_CAPABILITY = -32021,
        CODE_UNSUPPORTED_VERSION = -32022,
};

/* Both ends, as each has described itself: JSON texts. */
struct translate {
        struct buf client_info;
        struct buf client_capabilities;
        struct buf log_level; /* a JSON string; empty: the host has asked for none */
        struct buf server;    /* the result of initialize or server/discover; empty: none so far */
};

void translate_init(struct translate *t, size_t max);
void translate_done(struct translate *t);

/* All that write append one compact line, or nothing. 0, -ENOMEM, -EMSGSIZE. */

/* ---- up ---- */

/* The host's initialize. */
int translate_hear_initialize(struct translate *t, const struct message *m) MUST_CHECK;
int translate_write_discover(const struct translate *t, struct span id, struct buf *out) MUST_CHECK;
/* The result of server/discover. -EPROTO: the server speaks no version that we do. */
int translate_hear_discovered(struct translate *t, struct span result) MUST_CHECK;
/* The error of one who knows no such version, but lists it. */
bool translate_offers_modern(struct span error);
/* The answer to the host's initialize; @name of the server, where it does not say it itself. */
int translate_write_initialized(const struct translate *t, const struct message *initialize,
                                const char *name, struct buf *out) MUST_CHECK;
/* A request or notification of the host's, under another id if @id is given, and with what the
 * server wanted to know, if these are. -EINVAL: its params are no object. */
int translate_up(const struct translate *t, const struct message *m, struct span id,
                 struct span input_responses, struct span request_state, struct buf *out)
        MUST_CHECK;
/* Asks for one kind of what is new: @uri, or all lists that the server says may change. */
int translate_write_listen(const struct translate *t, struct span id, const char *uri,
                           struct buf *out) MUST_CHECK;
/* May any list of the server's change? */
bool translate_lists_change(const struct translate *t);
/* logging/setLevel. -ENOTSUP: the server has no log; -EINVAL: no level. */
int translate_hear_level(struct translate *t, const struct message *m) MUST_CHECK;
/* The answer to a request of the host's, with its own id. */
int translate_answer_up(const struct message *asked, const struct message *answer, struct buf *out)
        MUST_CHECK;

/* ---- down ---- */

/* A request of the host's: what it says of itself. */
int translate_hear_meta(struct translate *t, const struct message *m) MUST_CHECK;
int translate_write_initialize(const struct translate *t, struct span id, struct buf *out)
        MUST_CHECK;
/* The result of initialize. */
int translate_hear_initialized(struct translate *t, struct span result) MUST_CHECK;
/* The answer to server/discover. */
int translate_write_discovered(const struct translate *t, struct span id, struct buf *out)
        MUST_CHECK;
int translate_down(const struct message *m, struct buf *out) MUST_CHECK;
int translate_answer_down(const struct message *asked, const struct message *answer,
                          struct buf *out) MUST_CHECK;

/* subscriptions/listen: the server agrees to what it can. */
int translate_write_acknowledged(const struct translate *t, const struct message *listen,
                                 struct buf *out) MUST_CHECK;
/* Does that request ask for this notification? */
bool translate_listens(const struct message *listen, const struct message *note);
/* The notification, as one of that request. */
int translate_write_listened(const struct message *listen, const struct message *note,
                             struct buf *out) MUST_CHECK;
/* The next of the addresses that it names; *@pos is 0 at first. */
bool translate_next_listened(const struct message *listen, size_t *pos, struct span *ret_uri);
/* resources/subscribe or resources/unsubscribe. */
int translate_write_subscribe(struct span id, const char *method, struct span uri, struct buf *out)
        MUST_CHECK;
/* The level of the log that a modern request asks for, from 0 (debug) on; -1: none. */
int translate_wanted_level(const struct message *m);
/* That of a notification of the log; -1: it cannot be read. */
int translate_level(const struct message *note);
int translate_write_set_level(struct span id, int level, struct buf *out) MUST_CHECK;
/* notifications/cancelled for a request that the server knows by this id. */
int translate_write_cancel(struct span id, struct buf *out) MUST_CHECK;
/* Can the host show an address to a person? */
bool translate_shows_addresses(const struct message *m);

/* ---- both ---- */

/* An answer with this result: JSON. */
int translate_write_result(struct span id, const char *result, struct buf *out) MUST_CHECK;
/* server.capabilities.@group.@member (or only the group, without a member)? */
bool translate_server_can(const struct translate *t, const char *group, const char *member);

/* Refused like that, initialize may have met a server that has no such method any more. */
bool translate_may_be_modern(unsigned status, int code);
/* Refused like that, a modern request may have met a server that wants an initialize first. */
bool translate_may_be_legacy(const char *method, unsigned status, int code);
/* A code that none but a modern server gives. */
bool translate_is_modern_code(int code);
