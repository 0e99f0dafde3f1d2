/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server-sent events out of the bytes of a text/event-stream, however they are cut (the WHATWG's
 * rules: LF, CR and CRLF end a line, one BOM in front, comments and unknown fields are nothing).
 * Bytes are not looked at as text: whoever reads the data as JSON finds out if it is UTF-8.
 */
#pragma once

#include "base/buf.h"

struct sse_event {
        const char *type; /* "message" if the event names none */
        const char *data; /* the data lines joined by LF, with a NUL behind; may hold NULs itself */
        size_t len;
        bool has_data;   /* len > 0: there is something to pass on */
        const char *id;  /* the last event id, of this event or an earlier one; NULL: none yet */
        bool id_seen;    /* this event has an id of its own ("": it takes the last one back) */
        long retry_msec; /* -1: none in this event */
};

/*
 * 0, or < 0 to stop. All of the event is borrowed. Who returns < 0 may have called sse_done()
 * before.
 */
typedef int (*sse_event_fn)(const struct sse_event *e, void *userdata);

enum sse_field {
        SSE_FIELD_IGNORED, /* a comment, or a name that says nothing to us */
        SSE_FIELD_EVENT,
        SSE_FIELD_DATA,
        SSE_FIELD_ID,
        SSE_FIELD_RETRY,
};

enum sse_at {
        SSE_AT_BOM,
        SSE_AT_NAME,
        SSE_AT_BLANK, /* right behind the colon, where one blank does not count */
        SSE_AT_VALUE,
};

struct sse {
        size_t event_max;
        size_t n_event; /* bytes kept of the event so far */
        enum sse_at at;
        enum sse_field field;
        bool after_cr; /* a LF now belongs to the line before */
        bool data_begun;
        bool id_seen;
        bool has_id;
        int failed; /* what ended it; there is no way on */
        long retry_msec;
        char name[8]; /* of the field; a longer one is none of ours */
        size_t n_name;
        struct buf value; /* of any field but data */
        struct buf data;
        struct buf type;
        struct buf id;
};

/* @event_max: bytes of one event, 0: LIMIT_EVENT_BYTES. Comments and unknown fields do not count;
 * they take no room. */
void sse_init(struct sse *s, size_t event_max);
void sse_done(struct sse *s);

/*
 * Takes what has arrived and tells of each event that is whole. Told are events with data, and
 * those without that have an id or a retry, or an empty data field. What stands behind the last
 * blank line when the stream ends is no event. -EMSGSIZE: an event is larger than allowed; -ENOMEM;
 * or what @fn said. After a failure there is no way on: every call fails (-ECANCELED if @fn had
 * ended it; so does a call from within @fn).
 */
int sse_feed(struct sse *s, const char *data, size_t len, sse_event_fn fn, void *userdata)
        MUST_CHECK;
