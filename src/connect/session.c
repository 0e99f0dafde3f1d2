/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/session.h"

#include "base/log.h"

#define SESSION_ID_BYTES 4096

void session_init(struct session *s) {
        *s = (struct session){ .state = SESSION_NONE, .number = 1 };
        s->initialize.max = s->initialized.max = SIZE_MAX / 2;
}

void session_forget(struct session *s) {
        free(s->id);
        free(s->version);
        s->id = s->version = NULL;
        s->state = SESSION_NONE;
        s->number++;
}

void session_done(struct session *s) {
        session_forget(s);
        buf_done(&s->initialize);
        buf_done(&s->initialized);
}

static int keep(struct buf *to, const struct message *m) {
        buf_clear(to);
        return buf_append(to, m->whole.p, m->whole.len);
}

/* capabilities.elicitation.url (2025-11-25): the host shows a URL to the person. */
static bool has_url_elicitation(const struct message *m) {
        struct span at = m->params;

        return jsonspan_member(at, "capabilities", &at) == 0 &&
               jsonspan_member(at, "elicitation", &at) == 0 &&
               jsonspan_member(at, "url", &at) == 0 && jsonspan_type(at) == JSONSPAN_OBJECT;
}

int session_begin(struct session *s, const struct message *m) {
        int r = keep(&s->initialize, m);

        if (r < 0)
                return r;
        session_forget(s);
        buf_clear(&s->initialized);
        s->url_elicitation = has_url_elicitation(m);
        s->state = SESSION_STARTING;
        return 0;
}

int session_note_initialized(struct session *s, const struct message *m) {
        int r = keep(&s->initialized, m);

        if (r == 0)
                s->state = SESSION_OPENING;
        return r;
}

int session_take_head(struct session *s, const struct fetch_answer *a) {
        const char *id = fetch_answer_header(a, "mcp-session-id");

        if (a->status >= 300 || !id)
                return 0;
        if (!*id || strlen(id) > SESSION_ID_BYTES)
                return -EBADMSG;
        for (const char *p = id; *p; p++)
                if (*p < 0x21 || *p > 0x7e)
                        return -EBADMSG;
        free(s->id);
        s->id = strdup(id);
        return s->id ? 0 : -ENOMEM;
}

void session_take_result(struct session *s, const struct message *m) {
        struct span at = m->result;

        if (m->result.len == 0) {
                session_forget(s);
                return;
        }
        free(s->version);
        s->version = NULL;
        if (jsonspan_member(at, "protocolVersion", &at) == 0 &&
            jsonspan_string(at, &s->version) < 0)
                log_debug("the server's protocol version is no string");
        s->state = SESSION_ANSWERED;
}

int session_add_headers(const struct session *s, struct fetch_request *f) {
        int r = s->id ? fetch_request_add_header(f, "Mcp-Session-Id", s->id) : 0;

        if (r == 0 && s->version)
                r = fetch_request_add_header(f, "MCP-Protocol-Version", s->version);
        return r;
}

bool session_is_closed(const struct session *s) {
        return s->state == SESSION_STARTING || s->state == SESSION_OPENING;
}
