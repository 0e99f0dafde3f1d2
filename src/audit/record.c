/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* memrchr() */

#include "audit/line.h"

#include <stdio.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/url.h"
#include "base/utf8.h"

#define TEXT_MAX 256
#define PATH_TEXT_MAX 512
#define ARRAY_BYTES_MAX 4096
#define FACTS_BYTES_MAX 8192
#define TOKEN_RUN_MIN 32

static const char *const event_names[AUDIT_EVENT_COUNT] = {
#define X(constant, name) [AUDIT_##constant] = name,
        AUDIT_EVENT_TABLE(X)
#undef X
};

static const char *const outcome_names[AUDIT_OUTCOME_COUNT] = {
        [AUDIT_NO_OUTCOME] = NULL,   [AUDIT_ALLOW] = "allow",     [AUDIT_DENY] = "deny",
        [AUDIT_SUCCESS] = "success", [AUDIT_FAILURE] = "failure",
};

const char *audit_event_name(enum audit_event e) {
        return (unsigned)e < AUDIT_EVENT_COUNT ? event_names[e] : "unknown";
}

/* --- Foreign text --------------------------------------------------------- */

static bool token_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
}

/*
 * Could the run be a token? Long, and no mere words joined by hyphens; or the beginning of a JWT.
 */
static bool token_like(const char *run, size_t len) {
        bool mixed = false;

        for (size_t i = 0; i < len; i++)
                mixed |= (run[i] >= 'A' && run[i] <= 'Z') || (run[i] >= '0' && run[i] <= '9');
        return (len >= TOKEN_RUN_MIN && mixed) || (len >= 8 && strncmp(run, "eyJ", 3) == 0);
}

/*
 * Appends @text to @b as JSON string contents; with @redact, what looks like a token becomes
 * "[redacted]".
 */
static int append_escaped(struct buf *b, const char *text, bool redact) {
        int r = 0;

        while (*text && r == 0) {
                size_t run = 0;

                while (redact && token_char(text[run]))
                        run++;
                if (run > 0 && token_like(text, run)) {
                        bool jwt = strncmp(text, "eyJ", 3) == 0;

                        r = buf_append_str(b, "[redacted]");
                        text += run;
                        while (jwt && (token_char(*text) || *text == '.'))
                                text++;
                } else if (run > 0) {
                        r = buf_append(b, text, run);
                        text += run;
                } else {
                        if (*text == '"' || *text == '\\')
                                r = buf_append(b, "\\", 1);
                        if (r == 0)
                                r = buf_append(b, text, 1);
                        text++;
                }
        }
        return r;
}

/* At most @max bytes of @text, cleaned, as a JSON string. */
static int append_string(struct buf *b, const char *text, size_t max, bool redact) {
        char clean[URL_MAX + 1];
        size_t len = strnlen(text, max < URL_MAX ? max : URL_MAX);
        int r;

        memcpy(clean, text, len);
        clean[len] = '\0';
        utf8_clean(clean);
        r = buf_append(b, "\"", 1);
        if (r == 0)
                r = append_escaped(b, clean, redact);
        return r == 0 ? buf_append(b, "\"", 1) : r;
}

/* --- Members -------------------------------------------------------------- */

/* Names are ours: they need no escape. The error sticks, so that a caller looks once. */
struct writer {
        struct buf *b;
        int r;
};

static void begin_member(struct writer *w, const char *name) {
        bool first = w->b->len == 0 || w->b->data[w->b->len - 1] == '{';

        if (w->r == 0)
                w->r = buf_printf(w->b, "%s\"%s\":", first ? "" : ",", name);
}

static void put_raw(struct writer *w, const char *text) {
        if (w->r == 0)
                w->r = buf_append_str(w->b, text);
}

static void put_text(struct writer *w, const char *name, const char *text, size_t max) {
        if (!text)
                return;
        begin_member(w, name);
        if (w->r == 0)
                w->r = append_string(w->b, text, max, false);
}

static void put_foreign(struct writer *w, const char *name, const char *text) {
        if (!text)
                return;
        begin_member(w, name);
        if (w->r == 0)
                w->r = append_string(w->b, text, TEXT_MAX, true);
}

static void put_number(struct writer *w, const char *name, uint64_t value) {
        begin_member(w, name);
        if (w->r == 0)
                w->r = buf_printf(w->b, "%llu", (unsigned long long)value);
}

/* Query and fragment may hold codes, user information a password. */
static void put_url(struct writer *w, const char *name, const char *url) {
        char text[URL_MAX + 1];
        const char *sep = url ? strstr(url, "://") : NULL;
        size_t len;

        if (!url)
                return;
        len = strcspn(url, "?#");
        if (len > URL_MAX)
                len = URL_MAX;
        memcpy(text, url, len);
        text[len] = '\0';
        if (sep && sep < url + len) {
                size_t n_authority = strcspn(sep + 3, "/?#");
                const char *at = memrchr(sep + 3, '@', n_authority);

                if (at)
                        (void)snprintf(text, sizeof(text), "%.*s[redacted]%.*s",
                                       (int)(sep + 3 - url), url, (int)(url + len - at), at);
        }
        put_text(w, name, text, URL_MAX);
}

/* An array; what does not fit any more is told by "...". */
static void put_strings(struct writer *w, const char *name, const struct audit_strings *s,
                        bool redact) {
        size_t before;

        if (s->n == 0)
                return;
        begin_member(w, name);
        put_raw(w, "[");
        before = w->b->len;
        for (size_t i = 0; i < s->n && w->r == 0; i++) {
                put_raw(w, i > 0 ? "," : "");
                if (w->b->len - before > ARRAY_BYTES_MAX) {
                        put_raw(w, "\"...\"");
                        break;
                }
                if (w->r == 0)
                        w->r = append_string(w->b, s->items[i], TEXT_MAX, redact);
        }
        put_raw(w, "]");
}

static void put_agent(struct writer *w, const struct audit_agent *a) {
        if (!a)
                return;
        begin_member(w, "agent");
        put_raw(w, "{");
        if (a->pid > 0)
                put_number(w, "pid", (uint64_t)a->pid);
        if (a->start_ticks > 0)
                put_number(w, "starttime", a->start_ticks);
        if (a->uid >= 0)
                put_number(w, "uid", (uint64_t)a->uid);
        put_text(w, "exe", a->exe, PATH_TEXT_MAX);
        put_text(w, "unit", a->unit, TEXT_MAX);
        put_text(w, "label", a->label, TEXT_MAX);
        put_foreign(w, "client", a->client);
        put_foreign(w, "on_behalf_of", a->on_behalf_of);
        put_text(w, "class", a->evidence_class, TEXT_MAX);
        put_raw(w, "}");
}

static void put_fact(struct writer *w, const struct audit_fact *f) {
        struct audit_strings values = { f->values, f->n_values };

        if (w->r == 0)
                w->r = append_string(w->b, f->name, TEXT_MAX, false);
        if (!f->evidence_class) {
                put_raw(w, ":null");
                return;
        }
        put_raw(w, ":{");
        put_text(w, "class", f->evidence_class, TEXT_MAX);
        if (values.n == 0)
                put_raw(w, ",\"values\":[]");
        put_strings(w, "values", &values, false);
        put_raw(w, "}");
}

static void put_facts(struct writer *w, const struct audit_fact *facts, size_t n) {
        size_t before;

        if (n == 0)
                return;
        begin_member(w, "facts");
        put_raw(w, "{");
        before = w->b->len;
        for (size_t i = 0; i < n && w->r == 0; i++) {
                put_raw(w, i > 0 ? "," : "");
                if (w->b->len - before > FACTS_BYTES_MAX) {
                        put_raw(w, "\"...\":null");
                        break;
                }
                put_fact(w, &facts[i]);
        }
        put_raw(w, "}");
}

static void put_checkpoint(struct writer *w, const struct audit_checkpoint *c) {
        begin_member(w, "checkpoint");
        if (w->r == 0)
                w->r = audit_checkpoint_format(c, w->b);
}

static void put_verdict(struct writer *w, const struct audit_record *r) {
        static const char *const enforced[] = {
                [AUDIT_TTL_NOT_SAID] = NULL,
                [AUDIT_TTL_ISSUER] = "issuer",
                [AUDIT_TTL_PROXY] = "proxy",
        };

        put_strings(w, "scopes", &r->scopes, false);
        put_strings(w, "granted", &r->granted, false);
        if (r->ttl_sec)
                put_number(w, "ttl", *r->ttl_sec);
        put_text(w, "ttl_enforced", enforced[r->ttl_enforced], TEXT_MAX);
        if (r->token && r->token->text[0])
                put_text(w, "token", r->token->text, AUDIT_TOKEN_BYTES);
        put_strings(w, "rule", &r->rules, false);
        put_text(w, "policy_id", r->policy_id, TEXT_MAX);
        put_facts(w, r->facts, r->n_facts);
        if (r->code != MCPB_NO_ERROR)
                put_text(w, "code", error_name(r->code), TEXT_MAX);
        put_strings(w, "why", &r->why, true);
        put_strings(w, "files", &r->files, true);
}

static void put_call(struct writer *w, const struct audit_call *c) {
        if (!c)
                return;
        begin_member(w, "call");
        put_raw(w, "{");
        put_foreign(w, "tool", c->tool);
        put_text(w, "end", c->end, TEXT_MAX);
        put_number(w, "msec", c->duration_msec);
        put_number(w, "bytes", c->bytes);
        if (c->arguments.text[0])
                put_text(w, "arguments", c->arguments.text, AUDIT_TOKEN_BYTES);
        put_raw(w, "}");
}

int audit_record_format(struct buf *b, const struct audit_record *r,
                        const struct audit_checkpoint *c) {
        struct writer w = { .b = b };
        char now[CLOCK_TEXT_MAX];

        clock_format_utc(clock_wall_usec(), now);
        put_raw(&w, "{");
        put_number(&w, "v", 1);
        put_text(&w, "time", now, sizeof(now));
        put_text(&w, "event", audit_event_name(r->event), TEXT_MAX);
        put_text(&w, "outcome", outcome_names[r->outcome], TEXT_MAX);
        put_text(&w, "req", r->request, LIMIT_NAME_BYTES);
        put_agent(&w, r->agent);
        put_url(&w, "server", r->server);
        put_url(&w, "issuer", r->issuer);
        put_url(&w, "client_id", r->client_id);
        put_text(&w, "account", r->account, TEXT_MAX);
        put_call(&w, r->call);
        put_verdict(&w, r);
        if (c)
                put_checkpoint(&w, c);
        return w.r;
}
