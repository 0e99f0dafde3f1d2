/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/report.h"

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/json.h"
#include "base/log.h"
#include "loop/loop.h"

#define REPORTS_MAX ((size_t)16)
#define LATEST_USEC (20 * USEC_PER_MSEC)
#define HOLD_USEC (1 * USEC_PER_SEC)
#define ARGUMENTS_BYTES ((size_t)64 * 1024) /* kept meanwhile, of all together */

struct report {
        char *tool;
        char *request;
        struct buf arguments;
        const char *outcome;
        uint64_t msec;
        size_t bytes;
};

struct reports {
        sd_event *event;
        struct access *access;
        const char *server;
        const char *account;
        struct report items[REPORTS_MAX];
        size_t n;
        size_t n_bytes; /* of arguments */
        sd_event_source *idle;
        sd_event_source *timer;
        bool held;
        bool said;
};

/* ---- one of them ---- */

static void report_done(struct report *p) {
        free(p->tool);
        free(p->request);
        buf_done(&p->arguments);
        *p = (struct report){ 0 };
}

/* Of the arguments as they mean, not as they are spaced; the broker makes a keyed hash of it, so
 * that nobody can try out what they were. "" if there are none. */
static void hash_arguments(const struct report *p, char text[static 65]) {
        AUTO_BUF struct buf compact = { .max = p->arguments.len + 1 };
        struct span arguments = { p->arguments.data, p->arguments.len };
        unsigned char digest[32];

        text[0] = '\0';
        if (arguments.len > 0 && jsonspan_compact(&compact, arguments) == 0 &&
            EVP_Digest(compact.data, compact.len, digest, NULL, EVP_sha256(), NULL) == 1)
                hex_format(text, digest, sizeof(digest));
}

static void report_send(const struct reports *r, const struct report *p) {
        AUTO_JSON json_t *params = NULL;
        AUTO_BUF struct buf text = BUF_INIT;
        char hash[65];

        hash_arguments(p, hash);
        params = json_pack("{s:s, s:s*, s:s, s:s*, s:s, s:I, s:I, s:s*}", "server", r->server,
                           "account", r->account, "tool", p->tool, "request", p->request, "outcome",
                           p->outcome, "duration_msec", (json_int_t)p->msec, "bytes",
                           (json_int_t)p->bytes, "arguments_hash", *hash ? hash : NULL);
        if (params && json_write(&text, params) == 0)
                access_report(r->access, text.data);
        else
                log_debug("a tool call is not reported: out of memory");
}

/* ---- all of them ---- */

void reports_send(struct reports *r) {
        if (!r || r->n == 0)
                return;
        for (size_t i = 0; i < r->n; i++) {
                report_send(r, &r->items[i]);
                report_done(&r->items[i]);
        }
        r->n = r->n_bytes = 0;
        if (loop_timer_stop(r->timer) < 0)
                log_debug("reports: their timer goes on");
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        struct reports *r = userdata;

        r->held = false;
        reports_send(r);
        return 0;
}

/* The broker's brake (S9): to be refused again and again would help neither. */
void reports_hold(struct reports *r) {
        if (r->held || loop_timer_set(r->timer, clock_boot_usec() + HOLD_USEC) < 0)
                return;
        r->held = true;
        if (!r->said)
                log_warning("tools are called faster than the broker records it: some calls are "
                            "left out of the audit trail");
        r->said = true;
}

static int on_idle(sd_event_source *s, void *userdata) {
        struct reports *r = userdata;

        if (!r->held)
                reports_send(r);
        return 0;
}

void reports_proceed(struct reports *r) {
        if (r && r->n > 0 && !r->held && sd_event_source_set_enabled(r->idle, SD_EVENT_ONESHOT) < 0)
                log_debug("reports: they wait for their timer");
}

static bool is_full(const struct reports *r) {
        return r->n == REPORTS_MAX || r->n_bytes >= ARGUMENTS_BYTES;
}

static bool may_wait(struct reports *r) {
        if (r->held)
                return true;
        if (r->n == 1 && loop_timer_set(r->timer, clock_boot_usec() + LATEST_USEC) < 0)
                return false;
        return !is_full(r);
}

static int report_fill(struct report *p, const struct exchange *x) {
        const struct message *m = &x->message;
        const char *request = x->call ? call_audit_id(x->call) : x->audit_id;

        p->msec = (clock_boot_usec() - x->begun_usec) / USEC_PER_MSEC;
        p->tool = strdup(m->name);
        p->request = request ? strdup(request) : NULL;
        p->arguments.max = m->arguments.len + 1;
        if (!p->tool || (request && !p->request))
                return -ENOMEM;
        return buf_append(&p->arguments, m->arguments.p, m->arguments.len);
}

static void note(struct reports *r, const struct exchange *x, const char *outcome, size_t bytes) {
        struct report p = { .outcome = outcome, .bytes = bytes };

        if (r->held && is_full(r))
                return; /* left out */
        if (report_fill(&p, x) < 0) {
                log_debug("a tool call is not reported: out of memory");
                report_done(&p);
                return;
        }
        r->items[r->n++] = p;
        r->n_bytes += p.arguments.len;
        if (!may_wait(r))
                reports_send(r);
}

/* ---- from the bridge ---- */

static bool is_tool_call(const struct exchange *x) {
        return x->message.kind == MESSAGE_REQUEST && streq(x->message.method, "tools/call") &&
               x->message.name;
}

/* A tool that failed says so in its result. */
static bool is_tool_error(const struct message *m) {
        struct span at = m->result;

        return jsonspan_member(at, "isError", &at) == 0 && at.len == 4; /* true */
}

void report_response(struct reports *r, const struct exchange *x, const struct message *m) {
        if (r && is_tool_call(x))
                note(r, x,
                     m->error.len > 0   ? "error"
                     : is_tool_error(m) ? "tool_error"
                                        : "ok",
                     m->whole.len);
}

void report_failure(struct reports *r, const struct exchange *x) {
        if (r && is_tool_call(x))
                note(r, x, "failed", 0);
}

/* ---- life ---- */

int reports_new(sd_event *event, struct access *access, const char *server, const char *account,
                struct reports **ret) {
        struct reports *r = calloc(1, sizeof(*r));
        int e;

        if (!r)
                return -ENOMEM;
        r->event = sd_event_ref(event);
        r->access = access;
        r->server = server;
        r->account = account;
        e = loop_timer(event, UINT64_MAX, on_timer, r, "reports", &r->timer);
        if (e == 0)
                e = loop_timer_stop(r->timer);
        if (e == 0)
                e = loop_defer(event, on_idle, r, "reports-idle", &r->idle);
        if (e == 0)
                e = sd_event_source_set_enabled(r->idle, SD_EVENT_OFF);
        if (e >= 0)
                e = sd_event_source_set_priority(r->idle, LOOP_IDLE);
        if (e < 0) {
                (void)reports_free(r);
                return e;
        }
        *ret = r;
        return 0;
}

struct reports *reports_free(struct reports *r) {
        if (!r)
                return NULL;
        for (size_t i = 0; i < r->n; i++)
                report_done(&r->items[i]);
        (void)loop_source_free(r->idle);
        (void)loop_source_free(r->timer);
        (void)sd_event_unref(r->event);
        free(r);
        return NULL;
}
