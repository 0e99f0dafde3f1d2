/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's way through journal, faults, holds and handler.
 */
#include "exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "as.h"
#include "dpop.h"
#include "mcp.h"

#define MIB (1024U * 1024U)
#define DEPTH_MAX 1000000U

struct count {
        uint64_t n;
        uint64_t n_max;
        uint64_t now_msec;
        enum step step;
};

void exchange_label(struct exchange *x, const char *label) {
        printable(x->label, sizeof(x->label), label);
}

void exchange_note(struct exchange *x, const char *format, ...) {
        char raw[sizeof(x->note)];
        va_list ap;

        va_start(ap, format);
        (void)vsnprintf(raw, sizeof(raw), format, ap);
        va_end(ap);
        printable(x->note, sizeof(x->note), raw);
}

bool exchange_fault(struct exchange *x, enum fault_kind kind) {
        return faults_take(x->demo->faults, kind, &x->site, NULL);
}

bool exchange_fault_arg(struct exchange *x, enum fault_kind kind, const char *fallback,
                        const char **ret) {
        const char *arg;

        if (!faults_take(x->demo->faults, kind, &x->site, &arg))
                return false;
        *ret = *arg ? arg : fallback;
        return true;
}

static void exchange_free(void *state) {
        struct exchange *x = state;

        json_decref(x->record);
        json_decref(x->message);
        json_decref(x->script);
        free(x->plan.url);
        free(x->jkt);
        free(x);
}

/* Everything secret that comes in, whether it is good or not. */
static void secrets_received(struct exchange *x) {
        struct journal *j = x->demo->journal;
        const struct form *f = &x->request->form;
        const char *authorization = request_header(x->request, "Authorization");
        const char *token = form_get(f, "token");

        if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
                journal_secret(j, SECRET_ACCESS_TOKEN, authorization + 7);
        journal_secret(j, SECRET_ACCESS_TOKEN, dpop_token(x->request));
        journal_secret(j, SECRET_CODE, form_get(f, "code"));
        journal_secret(j, SECRET_VERIFIER, form_get(f, "code_verifier"));
        journal_secret(j, SECRET_REFRESH_TOKEN, form_get(f, "refresh_token"));
        journal_secret(j, SECRET_CLIENT_SECRET, form_get(f, "client_secret"));
        journal_secret(j, SECRET_ASSERTION, form_get(f, "client_assertion"));
        journal_secret(j, SECRET_ASSERTION, form_get(f, "assertion"));
        journal_secret(j, SECRET_ASSERTION, form_get(f, "subject_token"));
        journal_secret(j, SECRET_ASSERTION, form_get(f, "actor_token"));
        if (token && strncmp(token, "rt_", 3) == 0)
                journal_secret(j, SECRET_REFRESH_TOKEN, token);
        else
                journal_secret(j, SECRET_ACCESS_TOKEN, token);
}

static void plan_damage(struct exchange *x) {
        struct faults *f = x->demo->faults;
        struct plan *p = &x->plan;
        const struct fault_site *at = &x->site;
        const char *url;

        if (faults_take_number(f, FAULT_STATUS503, at, 1, &p->retry_after)) {
                p->damage = DAMAGE_STATUS;
                p->status = 503;
        } else if (faults_take_number(f, FAULT_STATUS, at, 500, &p->status)) {
                p->damage = DAMAGE_STATUS;
        } else if (faults_take_number(f, FAULT_STATUS_AFTER, at, 500, &p->status)) {
                p->damage = DAMAGE_STATUS_AFTER;
        } else if (faults_take(f, FAULT_HTML, at, NULL)) {
                p->damage = DAMAGE_HTML;
        } else if (faults_take_number(f, FAULT_OVERSIZE, at, 8, &p->n_mib)) {
                p->damage = DAMAGE_OVERSIZE;
        } else if (faults_take(f, FAULT_REDIRECT, at, &url)) {
                p->damage = DAMAGE_REDIRECT;
                p->url = mem_string(url);
        } else if (faults_take(f, FAULT_GARBAGE, at, NULL)) {
                p->damage = DAMAGE_GARBAGE;
        } else if (faults_take(f, FAULT_TRUNCATED, at, NULL)) {
                p->damage = DAMAGE_TRUNCATED;
        }
        if (p->status > 599 || (p->damage != DAMAGE_NONE && p->status < 200))
                p->status = 500;
}

static void plan_make(struct exchange *x) {
        struct faults *f = x->demo->faults;
        const struct hold *hold = &x->demo->holds[x->site.step];
        struct plan *p = &x->plan;

        p->drop_before = faults_take(f, FAULT_DROP_BEFORE, &x->site, NULL);
        if (p->drop_before)
                return;
        p->hold_before = faults_take(f, FAULT_HANG, &x->site, NULL) || (hold->on && !hold->after);
        p->hold_after =
                faults_take(f, FAULT_HANG_AFTER, &x->site, NULL) || (hold->on && hold->after);
        p->drop_after = faults_take(f, FAULT_DROP_AFTER, &x->site, NULL);
        (void)faults_take_number(f, FAULT_SLOW, &x->site, 0, &p->slow_msec);
        (void)faults_take_number(f, FAULT_SLOW_AFTER, &x->site, 0, &p->slow_after_msec);
        p->stall = faults_take(f, FAULT_STALL, &x->site, NULL);
        p->cut = faults_take(f, FAULT_CUT, &x->site, NULL);
        plan_damage(x);
        if (faults_take_number(f, FAULT_DEEP_JSON, &x->site, 10000, &p->depth) &&
            p->depth > DEPTH_MAX)
                p->depth = DEPTH_MAX;
}

static const char *method_of(const json_t *message) {
        if (json_is_array(message))
                return "batch";
        if (json_object_get(message, "result") || json_object_get(message, "error"))
                return "response";
        return json_string_value(json_object_get(message, "method"));
}

static struct exchange *exchange_new(struct request *r, struct demo *d, enum step step) {
        struct exchange *x = mem_new(sizeof(*x));

        x->demo = d;
        x->at = &d->as;
        x->route = step;
        x->request = r;
        x->site = (struct fault_site){ .step = step, .verb = r->method, .path = r->path };
        if (step == STEP_MCP && r->body.n > 0 && strcmp(r->method, "POST") == 0) {
                x->message = json_loadb(r->body.p, r->body.n, JSON_REJECT_DUPLICATES, NULL);
                x->site.method = method_of(x->message);
        }
        if (step == STEP_MCP)
                journal_method(d->journal, x->site.method ? x->site.method : r->method);
        x->record = journal_request(d->journal, r, step);
        r->state = x;
        r->state_free = exchange_free;
        secrets_received(x);
        plan_make(x);
        return x;
}

static void log_line(struct exchange *x, const char *result) {
        const struct request *r = x->request;
        char path[256];

        json_object_set_new(x->record, "label", json_string(x->label));
        json_object_set_new(x->record, "note", json_string(x->note));
        if (!x->demo->options.log)
                return;
        printable(path, sizeof(path), r->path);
        fprintf(stderr, "%s %s%s%s -> %s%s%s%s\n", r->method, path, x->label[0] ? " " : "",
                x->label, result, x->note[0] ? " (" : "", x->note, x->note[0] ? ")" : "");
}

static enum http_verdict drop(struct exchange *x) {
        log_line(x, "closed without an answer");
        return HTTP_DROP;
}

static enum http_verdict wait(struct exchange *x, enum stage stage, uint64_t msec) {
        x->stage = stage;
        x->request->deadline_msec = msec > 0 ? clock_msec() + msec : 0;
        json_object_set_new(x->record, "held",
                            json_string(stage == STAGE_HELD_BEFORE ? "before" : "after"));
        if (x->demo->options.log && msec == 0)
                fprintf(stderr, "%s at step %s is held\n", x->request->method,
                        step_name(x->site.step));
        return HTTP_WAIT;
}

static void replace_answer(struct exchange *x) {
        static const char page[] = "<!DOCTYPE html><title>Maintenance</title><p>We are back soon.";
        static const char begin[] = "{\"padding\":\"";
        struct request *r = x->request;
        struct plan *p = &x->plan;

        reply_clear(r);
        if (p->damage == DAMAGE_STATUS || p->damage == DAMAGE_STATUS_AFTER) {
                reply_text(r, (unsigned)p->status, "text/plain", "status asked for by a fault\n");
                if (p->retry_after > 0)
                        reply_header(r, "Retry-After", "%llu", (unsigned long long)p->retry_after);
        } else if (p->damage == DAMAGE_HTML) {
                reply_text(r, 200, "text/html; charset=utf-8", page);
        } else if (p->damage == DAMAGE_REDIRECT) {
                reply_text(r, 307, "text/plain", "");
                reply_header(r, "Location", "%s", p->url);
        } else {
                reply_text(r, 200, "application/json", begin);
                r->reply.shape = REPLY_OVERSIZE;
                r->reply.n_filler = p->n_mib * MIB;
        }
}

static void nest(struct request *r, uint64_t depth) {
        struct text t = { 0 };

        if (!r->reply.body || r->reply.body[0] != '{' || r->reply.body[1] == '}')
                return;
        text_puts(&t, "{\"deep\":");
        for (uint64_t i = 0; i < depth; i++)
                text_puts(&t, "[");
        for (uint64_t i = 0; i < depth; i++)
                text_puts(&t, "]");
        text_puts(&t, ",");
        text_puts(&t, r->reply.body + 1);
        free(r->reply.body);
        r->reply.n_body = t.n;
        r->reply.body = text_take(&t);
}

/* MEMBER=JSON; what is not JSON is taken as a string. */
static void set_member(json_t *answer, const char *arg) {
        size_t n = strcspn(arg, "=");
        char *name = mem_copy(arg, n);
        const char *text = arg[n] ? arg + n + 1 : "";
        json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

        (void)json_object_set_new(answer, name, value ? value : json_string(text));
        free(name);
}

static void edit_answer(struct exchange *x) {
        struct reply *reply = &x->request->reply;
        struct faults *f = x->demo->faults;
        json_t *answer = NULL;
        bool edited = false;
        const char *arg;
        char *body;
        size_t i;

        if (reply->body && reply->n_body > 0)
                answer = json_loadb(reply->body, reply->n_body, 0, NULL);
        if (json_is_object(answer)) {
                for (i = 0; faults_next(f, FAULT_SET, &x->site, &i, &arg); edited = true)
                        set_member(answer, arg);
                for (i = 0; faults_next(f, FAULT_UNSET, &x->site, &i, &arg); edited = true)
                        (void)json_object_del(answer, arg);
                body = edited ? json_dumps(answer, JSON_COMPACT) : NULL;
                if (body) {
                        free(reply->body);
                        reply->body = mem_string(body);
                        reply->n_body = strlen(body);
                        free(body);
                }
        }
        json_decref(answer);
}

static void spoil_answer(struct exchange *x) {
        static const char junk[] = "\"\\u12 \x01{{,,";
        struct reply *reply = &x->request->reply;
        struct text t = { 0 };

        if (reply->shape == REPLY_WHOLE)
                edit_answer(x);
        if (x->plan.depth > 0)
                nest(x->request, x->plan.depth);
        if (x->plan.damage == DAMAGE_TRUNCATED) {
                reply->shape = REPLY_TRUNCATED;
        } else if (x->plan.damage == DAMAGE_GARBAGE) {
                text_add(&t, reply->body, reply->n_body / 2);
                text_puts(&t, junk);
                free(reply->body);
                reply->n_body = t.n;
                reply->body = text_take(&t);
        } else if (x->plan.damage == DAMAGE_STATUS_AFTER) {
                replace_answer(x);
        }
}

/* Half of it, and the rest when it is released, or never. */
static void halve_answer(struct exchange *x) {
        struct request *r = x->request;
        bool chunked = x->plan.cut;
        size_t n = r->reply.n_body;
        struct pipe *p;
        char *body;

        if (r->reply.shape != REPLY_WHOLE || n == 0)
                return;
        body = r->reply.body;
        r->reply.body = NULL;
        p = reply_pipe(r, r->reply.status, NULL, chunked ? PIPE_SIZE_UNKNOWN : n);
        pipe_write(p, body, chunked ? n / 2 : n);
        if (!chunked)
                pipe_stall(p, n / 2);
        pipe_end(p, chunked);
        free(body);
}

static void change_headers(struct exchange *x) {
        const char *arg;

        for (size_t i = 0; faults_next(x->demo->faults, FAULT_HEADER, &x->site, &i, &arg);) {
                size_t n = strcspn(arg, ":");
                char *name = mem_copy(arg, n);

                reply_header_set(x->request, name, arg + n + strspn(arg + n, ": "));
                free(name);
        }
}

static enum http_verdict finish(struct exchange *x) {
        char result[16];

        spoil_answer(x);
        change_headers(x);
        if (x->plan.stall || x->plan.cut)
                halve_answer(x);
        if (x->plan.stall)
                json_object_set_new(x->record, "held", json_string("body"));
        json_object_set_new(x->record, "status", json_integer(x->request->reply.status));
        (void)snprintf(result, sizeof(result), "%u", x->request->reply.status);
        log_line(x, result);
        return HTTP_SEND;
}

static void execute(struct exchange *x, void (*handle)(struct exchange *)) {
        struct request *r = x->request;

        if (x->plan.damage != DAMAGE_NONE && x->plan.damage < DAMAGE_EXECUTED) {
                replace_answer(x);
                exchange_note(x, "a fault answered");
        } else if (r->too_large) {
                reply_text(r, 413, "text/plain", "body too large\n");
        } else {
                handle(x);
        }
        if (r->reply.status == 0)
                reply_text(r, 404, "text/plain", "not found\n");
}

static enum http_verdict advance(struct exchange *x, void (*handle)(struct exchange *)) {
        struct plan *p = &x->plan;

        if (x->stage == STAGE_NEW) {
                if (p->drop_before)
                        return drop(x);
                if (p->hold_before || p->slow_msec > 0)
                        return wait(x, STAGE_HELD_BEFORE, p->hold_before ? 0 : p->slow_msec);
        }
        if (x->stage != STAGE_HELD_AFTER) {
                execute(x, handle);
                if (p->drop_after)
                        return drop(x);
                if (p->hold_after || p->slow_after_msec > 0)
                        return wait(x, STAGE_HELD_AFTER, p->hold_after ? 0 : p->slow_after_msec);
        }
        return finish(x);
}

enum http_verdict exchange_on_mcp(struct request *r, void *userdata) {
        struct demo *d = userdata;

        if (!r->state)
                (void)exchange_new(r, d, mcp_step(d, r));
        return advance(r->state, mcp_handle);
}

bool exchange_on_mcp_head(struct request *r, void *userdata) {
        struct demo *d = userdata;
        struct fault_site at = { .step = mcp_step(d, r), .verb = r->method, .path = r->path };
        json_t *record;

        if (!faults_take(d->faults, FAULT_DROP_UNREAD, &at, NULL) &&
            !(request_nth(r) > 1 && faults_take(d->faults, FAULT_DROP_REUSED, &at, NULL)))
                return true;
        record = journal_request(d->journal, r, at.step);
        json_object_set_new(record, "note", json_string("closed before the body was read"));
        json_decref(record);
        return false;
}

void exchange_on_left(struct request *r, void *userdata) {
        struct demo *d = userdata;
        struct exchange *x = r->state;

        journal_count(d->journal, COUNT_CLIENTS_LEFT);
        json_object_set_new(x->record, "left", json_integer(journal_msec(d->journal)));
}

enum http_verdict exchange_on_as(struct request *r, void *userdata) {
        struct demo *d = userdata;

        if (!r->state)
                (void)exchange_new(r, d, as_step(&d->as, r));
        return advance(r->state, as_handle);
}

/* A step of its own, so that nobody counts its logins among those of the other issuer. */
enum http_verdict exchange_on_idp(struct request *r, void *userdata) {
        struct demo *d = userdata;
        struct exchange *x = r->state ? r->state : exchange_new(r, d, STEP_IDP);

        if (x->stage == STAGE_NEW) {
                x->at = &d->idp;
                x->route = as_step(&d->idp, r);
        }
        return advance(x, as_handle);
}

static void each(struct demo *d, http_each_fn fn, void *userdata) {
        http_each_waiting(d->mcp, fn, userdata);
        http_each_waiting(d->as.service, fn, userdata);
        if (d->idp.service)
                http_each_waiting(d->idp.service, fn, userdata);
}

static void each_stalled(struct demo *d, http_each_fn fn, void *userdata) {
        http_each_stalled(d->mcp, fn, userdata);
        http_each_stalled(d->as.service, fn, userdata);
        if (d->idp.service)
                http_each_stalled(d->idp.service, fn, userdata);
}

static void on_count(struct request *r, void *userdata) {
        const struct exchange *x = r->state;
        struct count *c = userdata;

        if (c->step == STEP_ANY || x->site.step == c->step)
                c->n++;
}

uint64_t exchange_n_held(struct demo *d, enum step step) {
        struct count c = { .step = step };

        each(d, on_count, &c);
        each_stalled(d, on_count, &c);
        if (step == STEP_ANY || step == STEP_MCP)
                c.n += channels_n_held(d->channels);
        return c.n;
}

static void on_release(struct request *r, void *userdata) {
        const struct exchange *x = r->state;
        struct count *c = userdata;

        if ((c->step == STEP_ANY || x->site.step == c->step) && c->n < c->n_max) {
                c->n++;
                http_resume(r);
        }
}

static void on_flow(struct request *r, void *userdata) {
        const struct exchange *x = r->state;
        struct count *c = userdata;

        if ((c->step == STEP_ANY || x->site.step == c->step) && c->n < c->n_max) {
                c->n++;
                pipe_flow(r->reply.pipe);
        }
}

unsigned exchange_release(struct demo *d, enum step step, uint64_t n_max) {
        struct count c = { .step = step, .n_max = n_max };

        each(d, on_release, &c);
        each_stalled(d, on_flow, &c);
        if (step == STEP_ANY || step == STEP_MCP)
                c.n += channels_release(d->channels, n_max - c.n);
        return (unsigned)c.n;
}

static void on_tick(struct request *r, void *userdata) {
        const struct count *c = userdata;

        if (r->deadline_msec > 0 && r->deadline_msec <= c->now_msec)
                http_resume(r);
}

void exchange_tick(struct demo *d, uint64_t now_msec) {
        struct count c = { .now_msec = now_msec };

        each(d, on_tick, &c);
}
