/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of channels, and how events get out or are kept.
 */
#include "channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channel-internal.h"
#include "exchange.h"

#define CHANNELS_MAX 4096U
#define EVENTS_MAX 100000U

static const char *const kind_names[CHANNEL_KIND_COUNT] = {
        [CHANNEL_POST] = "post",
        [CHANNEL_GET] = "get",
        [CHANNEL_LISTEN] = "listen",
        [CHANNEL_OLD] = "old",
};

const char *channel_kind_name(enum channel_kind kind) {
        return kind_names[kind];
}

bool channel_kind_parse(const char *name, enum channel_kind *ret) {
        for (unsigned i = 0; name && i < CHANNEL_KIND_COUNT; i++) {
                if (strcmp(kind_names[i], name) == 0) {
                        *ret = (enum channel_kind)i;
                        return true;
                }
        }
        return false;
}

struct channels *channels_new(void) {
        return mem_new(sizeof(struct channels));
}

static void channel_free(struct channel *c) {
        if (c->pipe)
                pipe_end(c->pipe, false);
        for (size_t i = 0; i < c->n_events; i++)
                free(c->events[i].bytes);
        free(c->events);
        json_decref(c->steps);
        json_decref(c->waiting);
        json_decref(c->heard);
        json_decref(c->answer);
        json_decref(c->subscription);
        json_decref(c->record);
        free(c->name);
        free(c);
}

struct channels *channels_free(struct channels *all) {
        struct channel *next;

        for (struct channel *c = all ? all->first : NULL; c; c = next) {
                next = c->next;
                channel_free(c);
        }
        free(all);
        return NULL;
}

/* Frees what nobody can come back to, and of the rest the oldest if there are too many. Only done
   when a new one is made, so that a channel never goes while somebody works with it. */
static void sweep(struct channels *all) {
        for (struct channel **link = &all->first; *link;) {
                struct channel *c = *link;
                bool last = all->n > CHANNELS_MAX && !c->next;

                if ((c->over && !c->pipe && !c->ids) || c->forgotten || last) {
                        *link = c->next;
                        all->n--;
                        channel_free(c);
                } else {
                        link = &c->next;
                }
        }
}

unsigned channels_forget(struct channels *all, bool cut) {
        unsigned n = 0;

        for (struct channel *c = all->first; c; c = c->next) {
                if (c->pipe)
                        n++;
                channel_end(c, cut);
                c->forgotten = true;
        }
        return n;
}

uint64_t channels_n_open(const struct channels *all, enum channel_kind kind) {
        uint64_t n = 0;

        for (const struct channel *c = all->first; c; c = c->next)
                if (c->pipe && c->kind == kind)
                        n++;
        return n;
}

struct channel *channels_newest(const struct channels *all, enum channel_kind kind) {
        for (struct channel *c = all->first; c; c = c->next)
                if (c->pipe && c->kind == kind)
                        return c;
        return NULL;
}

struct channel *channels_find(const struct channels *all, const char *name) {
        for (struct channel *c = all->first; name && c; c = c->next)
                if (strcmp(c->name, name) == 0 && !c->forgotten)
                        return c;
        return NULL;
}

uint64_t channels_n_held(const struct channels *all) {
        uint64_t n = 0;

        for (const struct channel *c = all->first; c; c = c->next)
                if (c->held && !c->forgotten)
                        n++;
        return n;
}

json_t *channels_json(const struct channels *all) {
        json_t *list = json_array();

        for (const struct channel *c = all->first; c; c = c->next)
                if (!c->forgotten)
                        json_array_append_new(
                                list,
                                json_pack("{s:s, s:s, s:b, s:b, s:b, s:I, s:O?}", "name", c->name,
                                          "kind", kind_names[c->kind], "open", c->pipe != NULL,
                                          "over", c->over, "held", c->held, "events",
                                          (json_int_t)c->n_sent, "waiting_for", c->waiting));
        return list;
}

static void mark(struct channel *c, const char *what) {
        json_object_set_new(c->record, what, json_integer(journal_msec(c->demo->journal)));
}

static void on_left(void *userdata) {
        struct channel *c = userdata;

        c->pipe = NULL;
        journal_count(c->demo->journal, COUNT_STREAMS_LEFT);
        mark(c, "left");
        if (c->kind != CHANNEL_POST)
                c->over = true;
}

void channel_end(struct channel *c, bool cut) {
        if (!c->pipe)
                return;
        pipe_end(c->pipe, cut);
        c->pipe = NULL;
        mark(c, "ended");
        if (c->kind != CHANNEL_POST)
                c->over = true;
}

static void attach(struct channel *c, struct exchange *x) {
        channel_end(c, false);
        c->over = c->over && c->kind == CHANNEL_POST;
        c->pipe = reply_pipe(x->request, 200, "text/event-stream", PIPE_SIZE_UNKNOWN);
        reply_header(x->request, "Cache-Control", "no-store");
        pipe_on_left(c->pipe, on_left, c);
        json_decref(c->record);
        c->record = json_incref(x->record);
        json_object_set_new(c->record, "stream", json_string(c->name));
        journal_count(c->demo->journal, COUNT_STREAMS_OPENED);
}

struct channel *channel_open(struct exchange *x, enum channel_kind kind) {
        struct channels *all = x->demo->channels;
        struct channel *c = mem_new(sizeof(*c));

        sweep(all);
        c->demo = x->demo;
        c->kind = kind;
        c->name = mem_printf("c%llu", (unsigned long long)++all->n_ever);
        c->steps = json_array();
        c->newline = "\n";
        c->ids = x->demo->options.event_ids && !x->modern; /* 2026 resumes nothing */
        c->next = all->first;
        all->first = c;
        all->n++;
        attach(c, x);
        return c;
}

const char *channel_name(const struct channel *c) {
        return c->name;
}

void channel_subscribe(struct channel *c, const json_t *id, const json_t *answer) {
        c->subscription = json_deep_copy(id);
        c->answer = json_deep_copy(answer);
}

void channel_pretty(struct channel *c, bool pretty) {
        c->pretty = pretty;
}

static void keep(struct channel *c, const struct text *t) {
        if (c->n_events == EVENTS_MAX)
                return;
        if (c->n_events == c->n_room) {
                size_t n_room = c->n_room ? c->n_room * 2 : 16;
                struct event *events = mem_new(n_room * sizeof(*events));

                if (c->n_events > 0)
                        memcpy(events, c->events, c->n_events * sizeof(*events));
                free(c->events);
                c->events = events;
                c->n_room = n_room;
        }
        c->events[c->n_events++] = (struct event){
                .bytes = mem_copy(t->p, t->n),
                .n = t->n,
                .number = c->n_sent,
        };
}

void channel_raw(struct channel *c, const char *bytes) {
        if (c->pipe)
                pipe_write(c->pipe, bytes, strlen(bytes));
}

static void send_text(struct channel *c, struct text *t) {
        if (c->ids)
                keep(c, t);
        if (c->pipe)
                pipe_write(c->pipe, t->p, t->n);
        text_done(t);
}

/* The lines that all events have; those with an id can be asked for again. */
static void head(struct channel *c, struct text *t) {
        c->n_sent++;
        if (c->ids)
                text_printf(t, "id: %s.%llu%s", c->name, (unsigned long long)c->n_sent, c->newline);
}

void channel_event(struct channel *c, const char *type, const char *data) {
        struct text t = { 0 };

        head(c, &t);
        text_printf(&t, "event: %s%s", type, c->newline);
        for (;;) {
                size_t n = strcspn(data, "\n");

                text_puts(&t, "data: ");
                text_add(&t, data, n);
                text_puts(&t, c->newline);
                if (!data[n])
                        break;
                data += n + 1;
        }
        text_puts(&t, c->newline);
        send_text(c, &t);
}

void channel_retry(struct channel *c, json_int_t msec) {
        struct text t = { 0 };

        head(c, &t);
        text_printf(&t, "retry: %lld%sdata: %s%s", (long long)msec, c->newline, c->newline,
                    c->newline);
        send_text(c, &t);
}

bool channel_resume(struct exchange *x, const char *last_event_id) {
        size_t n = strcspn(last_event_id, ".");
        char *name = mem_copy(last_event_id, n);
        struct channel *c = channels_find(x->demo->channels, name);
        uint64_t number = 0;

        free(name);
        if (!c || !last_event_id[n] || !number_parse(last_event_id + n + 1, UINT32_MAX, &number))
                return false;
        attach(c, x);
        journal_count(x->demo->journal, COUNT_STREAMS_RESUMED);
        exchange_note(x, "resumed after event %llu", (unsigned long long)number);
        for (size_t i = 0; i < c->n_events; i++)
                if (c->events[i].number > number)
                        pipe_write(c->pipe, c->events[i].bytes, c->events[i].n);
        if (c->over)
                channel_end(c, false);
        else
                channel_go_on(c);
        return true;
}
