/* SPDX-License-Identifier: Apache-2.0 */
#include "http/sse.h"

#include <limits.h>

#include "base/codec.h"
#include "base/limits.h"

/* What an event leaves behind is given back if it was large. */
#define KEEP_BYTES ((size_t)1024 * 1024)

static const char bom[] = "\xef\xbb\xbf";

void sse_init(struct sse *s, size_t event_max) {
        *s = (struct sse){ .event_max = event_max ? event_max : LIMIT_EVENT_BYTES,
                           .retry_msec = -1 };
        buf_init(&s->value, s->event_max);
        buf_init(&s->data, s->event_max);
        buf_init(&s->type, s->event_max);
        buf_init(&s->id, s->event_max);
}

void sse_done(struct sse *s) {
        buf_done(&s->value);
        buf_done(&s->data);
        buf_done(&s->type);
        buf_done(&s->id);
}

static int keep(struct sse *s, struct buf *b, const char *p, size_t n) {
        int r;

        if (n > s->event_max - s->n_event)
                return -EMSGSIZE;
        r = buf_append(b, p, n);
        if (r == 0)
                s->n_event += n;
        return r;
}

/* ---- a field ---- */

static enum sse_field field_of(const struct sse *s) {
        static const struct {
                const char *name;
                enum sse_field field;
        } known[] = {
                { "data", SSE_FIELD_DATA },
                { "event", SSE_FIELD_EVENT },
                { "id", SSE_FIELD_ID },
                { "retry", SSE_FIELD_RETRY },
        };

        for (size_t i = 0; i < ARRAY_SIZE(known); i++)
                if (s->n_name == strlen(known[i].name) &&
                    memcmp(s->name, known[i].name, s->n_name) == 0)
                        return known[i].field;
        return SSE_FIELD_IGNORED;
}

static int begin_value(struct sse *s) {
        s->field = field_of(s);
        if (s->field != SSE_FIELD_DATA)
                return 0;
        if (s->data_begun)
                return keep(s, &s->data, "\n", 1);
        s->data_begun = true;
        return 0;
}

static int take_value(struct sse *s, const char *p, size_t n) {
        switch (s->field) {
        case SSE_FIELD_DATA:
                return keep(s, &s->data, p, n);
        case SSE_FIELD_EVENT:
        case SSE_FIELD_ID:
        case SSE_FIELD_RETRY:
                return keep(s, &s->value, p, n);
        case SSE_FIELD_IGNORED:
        default:
                return 0;
        }
}

static bool has_nul(const struct buf *b) {
        return b->len > 0 && memchr(b->data, '\0', b->len);
}

static int take_type(struct sse *s) {
        buf_clear(&s->type);
        if (s->value.len == 0)
                return 0;
        /* It is told as a string, and must not become another type by being cut short. */
        for (size_t i = 0; i < s->value.len; i++)
                if (s->value.data[i] == '\0')
                        s->value.data[i] = '?';
        return buf_append(&s->type, s->value.data, s->value.len);
}

static int take_id(struct sse *s) {
        if (has_nul(&s->value))
                return 0;
        s->id_seen = true;
        s->has_id = true;
        buf_clear(&s->id);
        return buf_append(&s->id, s->value.data, s->value.len);
}

static void take_retry(struct sse *s) {
        uint64_t msec = 0;
        int r;

        if (s->value.len == 0 || has_nul(&s->value))
                return;
        r = number_parse(s->value.data, INT_MAX, &msec);
        if (r == -ERANGE)
                msec = INT_MAX; /* weeks: as good as any longer time */
        if (r == 0 || r == -ERANGE)
                s->retry_msec = (long)msec;
}

static int end_field(struct sse *s) {
        int r = 0;

        if (s->field == SSE_FIELD_EVENT)
                r = take_type(s);
        else if (s->field == SSE_FIELD_ID)
                r = take_id(s);
        else if (s->field == SSE_FIELD_RETRY)
                take_retry(s);
        buf_clear(&s->value);
        return r;
}

/* ---- an event ---- */

static void forget(struct buf *b) {
        if (b->cap > KEEP_BYTES)
                buf_done(b);
        else
                buf_clear(b);
}

static int end_event(struct sse *s, sse_event_fn fn, void *userdata) {
        struct sse_event e = {
                .type = s->type.len > 0 ? s->type.data : "message",
                .data = s->data.len > 0 ? s->data.data : "",
                .len = s->data.len,
                .has_data = s->data.len > 0,
                .id = !s->has_id      ? NULL
                      : s->id.len > 0 ? s->id.data
                                      : "",
                .id_seen = s->id_seen,
                .retry_msec = s->retry_msec,
        };
        int r = 0;

        s->failed = -ECANCELED;
        if (s->data_begun || s->id_seen || s->retry_msec >= 0)
                r = fn(&e, userdata);
        if (r < 0)
                return r; /* @s may be gone */
        s->failed = 0;
        forget(&s->data);
        forget(&s->type);
        forget(&s->value);
        s->n_event = 0;
        s->data_begun = false;
        s->id_seen = false;
        s->retry_msec = -1;
        return 0;
}

static int end_line(struct sse *s, sse_event_fn fn, void *userdata) {
        int r = 0;

        if (s->at == SSE_AT_NAME && s->n_name == 0)
                return end_event(s, fn, userdata);
        if (s->at == SSE_AT_NAME)
                r = begin_value(s); /* no colon: the whole line is the name, the value empty */
        if (r == 0)
                r = end_field(s);
        s->at = SSE_AT_NAME;
        s->n_name = 0;
        s->failed = r;
        return r;
}

/* ---- bytes ---- */

/* True: this byte is of the BOM. */
static bool take_bom(struct sse *s, char c) {
        if (c == bom[s->n_name]) {
                s->n_name++;
                if (s->n_name < strlen(bom))
                        return true;
                s->n_name = 0;
                s->at = SSE_AT_NAME;
                return true;
        }
        memcpy(s->name, bom, s->n_name); /* it was the beginning of a name */
        s->at = SSE_AT_NAME;
        return false;
}

/* How long the name is counts, not what follows where none of ours ends. Returns how much of @p
 * was taken. */
static size_t take_name(struct sse *s, const char *p, size_t n) {
        const char *colon = memchr(p, ':', n);
        size_t used = colon ? (size_t)(colon - p) : n;

        for (size_t i = 0; i < used && s->n_name <= sizeof(s->name); i++) {
                if (s->n_name < sizeof(s->name))
                        s->name[s->n_name] = p[i];
                s->n_name++;
        }
        if (colon)
                s->at = SSE_AT_BLANK;
        return colon ? used + 1 : used;
}

/* A part of one line without its end. */
static int take_part(struct sse *s, const char *p, size_t n) {
        int r = 0;

        if (n > 0 && s->at == SSE_AT_NAME) {
                size_t used = take_name(s, p, n);

                p += used;
                n -= used;
                if (s->at == SSE_AT_BLANK)
                        r = begin_value(s);
        }
        if (r < 0 || n == 0)
                return r;
        if (s->at == SSE_AT_BLANK) {
                s->at = SSE_AT_VALUE;
                if (*p == ' ') {
                        p++;
                        n--;
                }
        }
        return take_value(s, p, n);
}

static size_t find_end(const char *p, size_t n) {
        size_t i = 0;

        while (i < n && p[i] != '\n' && p[i] != '\r')
                i++;
        return i;
}

int sse_feed(struct sse *s, const char *data, size_t len, sse_event_fn fn, void *userdata) {
        int r = s->failed;

        while (len > 0 && r == 0) {
                bool lf_only = s->after_cr && *data == '\n';
                size_t n;

                s->after_cr = false;
                if (lf_only || (s->at == SSE_AT_BOM && take_bom(s, *data))) {
                        data++;
                        len--;
                        continue;
                }
                n = find_end(data, len);
                r = take_part(s, data, n);
                s->failed = r;
                if (r < 0 || n == len)
                        return r;
                s->after_cr = data[n] == '\r';
                data += n + 1;
                len -= n + 1;
                r = end_line(s, fn, userdata);
        }
        return r;
}
