/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit.record: what a peer says became of a tool call. It is the peer's word, and nothing but one
 * more line of the audit trail: of the call it holds a name, an end, a time and a size, and of the
 * arguments a hash that is keyed here, so that the log cannot be searched by guessing.
 */
#include "audit/audit.h"
#include "base/clock.h"
#include "base/codec.h"
#include "broker/call.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/release.h"
#include "broker/server.h"
#include "config/config.h"

#define REPORTS_AT_ONCE 100 /* a server, */
#define REPORTS_PER_SEC 20  /* and so many more each second */
#define HASH_DIGITS 64

static const struct {
        const char *name;
        enum audit_outcome outcome;
} ends[] = {
        { "ok", AUDIT_SUCCESS },
        { "error", AUDIT_FAILURE },      /* an error of the protocol */
        { "tool_error", AUDIT_FAILURE }, /* the tool's own */
        { "failed", AUDIT_FAILURE },     /* no answer at all */
};

static int set_end(struct audit_record *record, const char *name, struct error *err) {
        for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
                if (streq(ends[i].name, name)) {
                        record->outcome = ends[i].outcome;
                        return 0;
                }
        }
        return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                         "Say \"ok\", \"error\", \"tool_error\" or \"failed\"",
                         "outcome: '%s' is none of these", name);
}

static int check_hex(const char *text, size_t digits, const char *name, struct error *err) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        int r = strlen(text) == digits ? hex_decode(&bytes, text, digits) : -EBADMSG;

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                 "%s: give %zu lower-case hexadecimal digits", name, digits);
        return 0;
}

static int take_hash(struct broker_call *c, struct audit_call *call, struct error *err) {
        const char *text = NULL;
        int r = call_string(c, "arguments_hash", false, &text, err);

        if (r < 0 || !text)
                return r;
        r = check_hex(text, HASH_DIGITS, "arguments_hash", err);
        if (r == 0)
                audit_fingerprint(c->broker->audit_keys, text, HASH_DIGITS, &call->arguments);
        return r;
}

/* The words of the peer. They live as long as its request. */
static int read_report(struct broker_call *c, struct audit_record *record, struct audit_call *call,
                       struct error *err) {
        const char *request = NULL;
        int r = call_string(c, "tool", true, &call->tool, err);

        if (r == 0)
                r = call_string(c, "outcome", true, &call->end, err);
        if (r == 0)
                r = set_end(record, call->end, err);
        if (r == 0)
                r = call_string(c, "request", false, &request, err);
        if (r == 0 && request)
                r = check_hex(request, strlen(c->request_id), "request", err);
        if (r == 0)
                r = call_uint(c, "duration_msec", UINT32_MAX, 0, &call->duration_msec, err);
        if (r == 0)
                r = call_uint(c, "bytes", INT64_MAX, 0, &call->bytes, err);
        if (r == 0)
                r = take_hash(c, call, err);
        record->request = request ? request : c->request_id;
        return r;
}

/* S9: an agent must not fill the disk with what it says. */
static bool is_too_many(struct server *s) {
        uint64_t now = clock_boot_usec();
        uint64_t more = (now - s->reported_boot) / (USEC_PER_SEC / REPORTS_PER_SEC);

        if (s->reported_boot == 0 || more >= s->n_reports) {
                s->n_reports = 0;
                s->reported_boot = now;
        } else {
                s->n_reports -= (unsigned)more;
                s->reported_boot += more * (USEC_PER_SEC / REPORTS_PER_SEC);
        }
        if (s->n_reports == REPORTS_AT_ONCE)
                return true;
        s->n_reports++;
        return false;
}

static int record_it(struct broker_call *c, const struct audit_record *record, struct error *err) {
        struct server *s = c->server;
        struct audit_agent agent = release_agent(c);
        struct audit_record whole = *record;

        if (is_too_many(s))
                return error_set(err, MCPB_BUSY, EBUSY, "Leave some out",
                                 "Too many reports of tool calls at %s", s->name);
        whole.event = AUDIT_TOOL_CALL;
        whole.agent = &agent;
        whole.server = s->url;
        whole.account = s->account[0] ? s->account : NULL;
        return audit_append(c->broker->audit, &whole, err);
}

void handle_audit_record(struct broker_call *c) {
        AUTO_DECISION struct decision d = DECISION_INIT;
        struct broker *b = c->broker;
        struct audit_call call = { 0 };
        struct audit_record record = { .call = &call };
        struct error err = ERROR_INIT;
        bool wanted = b->config->report_tool_calls;
        int r = call_find_server(c, &err);

        if (r == 0)
                r = read_report(c, &record, &call, &err);
        if (r == 0)
                r = release_decide(c, NULL, c->server->grant ? &c->server->grant->scopes : NULL,
                                   &d);
        if (r == 0 && d.effect == POLICY_DENY) {
                release_denied(c, &d);
                return;
        }
        if (r == 0 && wanted)
                r = record_it(c, &record, &err);
        if (r < 0) {
                (void)error_fallback(&err, r, "recording a tool call");
                call_fail(c, &err);
                return;
        }
        if (wanted)
                broker_audit_written(b);
        call_reply(c, json_pack("{s:b}", "recorded", wanted));
}
