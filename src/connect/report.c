/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/report.h"

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/log.h"

static bool is_tool_call(const struct bridge *b, const struct exchange *x) {
        return b->report && x->message.kind == MESSAGE_REQUEST &&
               streq(x->message.method, "tools/call") && x->message.name;
}

/* Of the arguments as they mean, not as they are spaced; the broker makes a keyed hash of it, so
 * that nobody can try out what they were. "" if there are none. */
static void hash_arguments(const struct exchange *x, char text[static 65]) {
        AUTO_BUF struct buf compact = { .max = x->message.arguments.len + 1 };
        unsigned char digest[32];

        text[0] = '\0';
        if (x->message.arguments.len > 0 && jsonspan_compact(&compact, x->message.arguments) == 0 &&
            EVP_Digest(compact.data, compact.len, digest, NULL, EVP_sha256(), NULL) == 1)
                hex_format(text, digest, sizeof(digest));
}

static void report(struct bridge *b, const struct exchange *x, const char *outcome, size_t bytes) {
        AUTO_JSON json_t *params = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        char hash[65];
        uint64_t msec = (clock_boot_usec() - x->begun_usec) / USEC_PER_MSEC;

        hash_arguments(x, hash);
        params = json_pack("{s:s, s:s*, s:s, s:s*, s:s, s:I, s:I, s:s*}", "server", b->server,
                           "account", b->account, "tool", x->message.name, "request",
                           x->call ? call_audit_id(x->call) : x->audit_id, "outcome", outcome,
                           "duration_msec", (json_int_t)msec, "bytes", (json_int_t)bytes,
                           "arguments_hash", *hash ? hash : NULL);
        if (params && json_write(&text, params) == 0)
                access_report(b->access, text.data);
        else
                log_debug("a tool call is not reported: out of memory");
}

/* A tool that failed says so in its result. */
static bool is_tool_error(const struct message *m) {
        struct span at = m->result;

        return jsonspan_member(at, "isError", &at) == 0 && at.len == 4; /* true */
}

void report_response(struct bridge *b, const struct exchange *x, const struct message *m) {
        if (is_tool_call(b, x))
                report(b, x,
                       m->error.len > 0   ? "error"
                       : is_tool_error(m) ? "tool_error"
                                          : "ok",
                       m->whole.len);
}

void report_failure(struct bridge *b, const struct exchange *x) {
        if (is_tool_call(b, x))
                report(b, x, "failed", 0);
}
