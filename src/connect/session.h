/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the server and the host have agreed on at `initialize` (2025-03-26 to 2025-11-25), and what
 * is needed to agree anew when the server has lost it.
 */
#pragma once

#include "connect/message.h"
#include "wire/fetch.h"

enum session_state {
        SESSION_NONE,     /* no initialize so far, or it failed */
        SESSION_STARTING, /* initialize is under way: everything else waits */
        SESSION_ANSWERED, /* the host has yet to say that it is initialized */
        SESSION_OPENING,  /* it has said so; the server's own stream is being opened */
        SESSION_READY,
        SESSION_STATE_COUNT,
};

struct session {
        enum session_state state;
        uint64_t number;        /* which of those that there were; never 0 */
        char *version;          /* negotiated; NULL: not yet */
        char *id;               /* Mcp-Session-Id; NULL: the server gives none */
        struct buf initialize;  /* the host's line */
        struct buf initialized; /* the same; empty: not said so far */
        bool url_elicitation;   /* the host can show a URL to the person */
};

void session_init(struct session *s);
void session_done(struct session *s);

/* The host's initialize is about to be sent. */
int session_begin(struct session *s, const struct message *m) MUST_CHECK;
int session_note_initialized(struct session *s, const struct message *m) MUST_CHECK;
/* The answer to initialize: its head, and then its result. -EBADMSG: an id that cannot be sent
 * back. */
int session_take_head(struct session *s, const struct fetch_answer *a) MUST_CHECK;
void session_take_result(struct session *s, const struct message *m);
/* It is lost: what was agreed on is forgotten, the host's lines are kept. */
void session_forget(struct session *s);

/* Mcp-Session-Id and MCP-Protocol-Version. */
int session_add_headers(const struct session *s, struct fetch_request *f) MUST_CHECK;
/* Must what the host says wait? */
bool session_is_closed(const struct session *s);
