/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/refusal.h"

#include "base/json.h"
#include "base/utf8.h"

#define EXCERPT_BYTES 256

static int write_error(struct buf *out, struct span id, int code, const char *text, json_t *data) {
        AUTO_JSON json_t *owned = data;
        AUTO_BUF struct buf json = BUF_INIT;

        if (!owned || json_write(&json, owned) < 0)
                return -ENOMEM;
        return message_error(out, id, code, text, json.data);
}

/* 2025-11-25: the request can be made again once the person has been there. */
static int write_url_elicitation(struct buf *out, struct span id, const struct call_end *call) {
        return write_error(out, id, REFUSAL_URL_ELICITATION, call->err->message,
                           json_pack("{s:[{s:s, s:s, s:s, s:s}], s:s}", "elicitations", "mode",
                                     "url", "elicitationId", call->login, "url", call->login_url,
                                     "message", "Log in to go on.", "code", call->err->code));
}

static int write_no_access(struct buf *out, struct span id, const struct call_end *call,
                           bool url_elicitation) {
        const mcpb_error *err = call->err;
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        if (call->login_url && url_elicitation)
                return write_url_elicitation(out, id, call);
        if (call->login_url)
                r = buf_printf(&text, "%s: open %s in a browser, then call again", err->message,
                               call->login_url);
        else
                r = buf_printf(&text, "%s%s%s", err->message, *err->hint ? ". " : "", err->hint);
        if (r < 0)
                return r;
        return write_error(out, id, REFUSAL_CODE, text.data,
                           json_pack("{s:s, s:s*, s:s*}", "code", err->code, "hint",
                                     *err->hint ? err->hint : NULL, "url", call->login_url));
}

static int write_http(struct buf *out, struct span id, const struct exchange_end *end) {
        AUTO_FREE char *excerpt =
                end->body.len > 0 ? utf8_clean_dup(end->body.p, end->body.len, EXCERPT_BYTES)
                                  : NULL;
        AUTO_BUF struct buf text = BUF_INIT;

        if (buf_printf(&text, "The server answered HTTP %u", end->status) < 0)
                return -ENOMEM;
        return write_error(out, id, REFUSAL_CODE, text.data,
                           json_pack("{s:s, s:i, s:s*}", "code", "server_error", "status",
                                     (int)end->status, "body", excerpt));
}

int refusal_write(struct buf *out, struct span id, const struct exchange_end *end,
                  bool url_elicitation) {
        const struct call_end *call = end->call;
        AUTO_BUF struct buf text = BUF_INIT;
        const char *code = "server_error";
        int r;

        if (call && call->result == CALL_NO_ACCESS && call->err)
                return write_no_access(out, id, call, url_elicitation);
        if (end->result == EXCHANGE_HTTP)
                return write_http(out, id, end);
        if (call && call->result == CALL_NOT_SENT) {
                code = "server_unreachable";
                r = buf_printf(&text, "The server could not be reached: %s", end->reason);
        } else if (call) {
                r = buf_printf(&text,
                               "The connection ended before the answer, and the server may have "
                               "done what was asked: %s",
                               end->reason);
        } else {
                r = buf_printf(&text, "No usable answer: %s",
                               end->reason ? end->reason : "it is missing");
        }
        if (r < 0)
                return r;
        return write_error(out, id, REFUSAL_CODE, text.data, json_pack("{s:s}", "code", code));
}
