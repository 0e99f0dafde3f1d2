/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Streamable HTTP, and the HTTP+SSE transport that was before it.
 */
#include "mcp.h"

#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "guard.h"
#include "legacy.h"
#include "modern.h"
#include "rpc.h"

#define OLD_MESSAGES "/mcp/messages"

static bool old_messages(const struct demo *d, const char *path) {
        return d->options.http_sse && strcmp(path, OLD_MESSAGES) == 0;
}

enum step mcp_step(const struct demo *d, const struct request *r) {
        if (strncmp(r->path, PRM_PATH, strlen(PRM_PATH)) == 0)
                return STEP_PRM;
        return guard_is_path(d, r->path) || old_messages(d, r->path) ? STEP_MCP : STEP_OTHER;
}

static void refuse(struct exchange *x, unsigned status, const char *allow, const char *why) {
        exchange_note(x, "%s", why);
        reply_text(x->request, status, "text/plain", "not here\n");
        if (allow)
                reply_header(x->request, "Allow", "%s", allow);
}

static void handle_delete(struct exchange *x) {
        const char *session = request_header(x->request, "Mcp-Session-Id");

        if (session && table_remove(x->demo->sessions, session)) {
                journal_count(x->demo->journal, COUNT_SESSIONS_DELETED);
                reply_text(x->request, 204, NULL, "");
        } else {
                reply_text(x->request, 404, "text/plain", "unknown session\n");
        }
}

static void handle_post(struct exchange *x, const char *scope) {
        json_t *answer;

        if (!x->message)
                answer = rpc_error(x, 400, NULL, RPC_PARSE_ERROR, "not JSON", NULL);
        else if (modern_is(x))
                answer = modern_answer(x, scope);
        else
                answer = legacy_answer(x, scope);
        if (x->request->reply.status != 0)
                json_decref(answer); /* a challenge, or a stream */
        else if (answer)
                answer_send(x, answer);
        else
                reply_text(x->request, 202, NULL, "");
}

/* The stream of the old transport; it begins with the place for messages. */
static void old_open(struct exchange *x) {
        struct session *session = legacy_session(x->demo, PROTOCOL_2025_03_26);
        struct channel *c = channel_open(x, CHANNEL_OLD);
        char *endpoint = mem_printf("%s?session=%s", OLD_MESSAGES, session->id);

        session->channel = mem_string(channel_name(c));
        channel_event(c, "endpoint", endpoint);
        free(endpoint);
}

static void handle_old(struct exchange *x, const char *scope) {
        struct request *r = x->request;
        bool post = strcmp(r->method, "POST") == 0;

        if (!old_messages(x->demo, r->path)) {
                if (strcmp(r->method, "GET") == 0)
                        old_open(x);
                else
                        refuse(x, 405, "GET", "only a stream here");
                return;
        }
        x->session = table_get(x->demo->sessions, form_get(&r->query, "session"));
        if (x->session)
                x->old = channels_find(x->demo->channels, x->session->channel);
        if (!post)
                refuse(x, 405, "POST", "only messages here");
        else if (!x->old)
                refuse(x, 404, NULL, "unknown session");
        else
                handle_post(x, scope);
}

static void handle_get(struct exchange *x) {
        const char *accept = request_header(x->request, "Accept");
        const char *last = request_header(x->request, "Last-Event-ID");

        if (!x->demo->options.stream)
                refuse(x, 405, "POST, DELETE", "no stream here");
        else if (!accept || !strstr(accept, "text/event-stream"))
                refuse(x, 406, NULL, "Accept is not text/event-stream");
        else if (!legacy_admits(x))
                ; /* answered */
        else if (!last)
                (void)channel_open(x, CHANNEL_GET);
        else if (!channel_resume(x, last))
                refuse(x, 400, NULL, "unknown event");
}

static void handle_streamable(struct exchange *x, const char *scope) {
        const char *method = x->request->method;

        if (strcmp(method, "POST") == 0)
                handle_post(x, scope);
        else if (modern_only(x->demo))
                refuse(x, 405, "POST", "only messages here");
        else if (strcmp(method, "DELETE") == 0)
                handle_delete(x);
        else if (strcmp(method, "GET") == 0)
                handle_get(x);
        else
                refuse(x, 405, "POST, DELETE", "no such method");
}

static void handle_resource(struct exchange *x) {
        struct request *r = x->request;
        const char *origin = request_header(r, "Origin");
        const char *scope = NULL;
        struct url u;

        exchange_label(x, json_string_value(json_object_get(x->message, "method")));
        if (origin && (!url_split(origin, &u) || !url_loopback(&u)))
                reply_text(r, 403, "text/plain", "foreign Origin\n");
        else if (!x->demo->options.open && !(scope = guard_authorize(x)))
                ; /* the challenge is the answer */
        else if (x->demo->options.http_sse)
                handle_old(x, scope);
        else
                handle_streamable(x, scope);
}

void mcp_handle(struct exchange *x) {
        if (x->site.step == STEP_PRM)
                guard_prm(x);
        else if (x->site.step == STEP_MCP)
                handle_resource(x);
}
