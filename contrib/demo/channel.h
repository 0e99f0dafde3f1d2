/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event streams, and the scripts that are played on them. A channel outlives the connection that
 * it goes over: what it says while nobody reads is kept if its events have ids, for one who resumes
 * it.
 * A script is an array of steps, each an object whose first member names it; see README.md.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipe.h"

struct demo;
struct exchange;
struct channel;
struct channels;

enum channel_kind {
        CHANNEL_POST,   /* the answer of one request: over when its script is */
        CHANNEL_GET,    /* the standalone stream */
        CHANNEL_LISTEN, /* subscriptions/listen */
        CHANNEL_OLD,    /* of the HTTP+SSE transport: all answers go there */
        CHANNEL_KIND_COUNT,
};

struct channels *channels_new(void);
struct channels *channels_free(struct channels *all);
/* Ends all of them; nobody can resume one. How many were open. */
unsigned channels_forget(struct channels *all, bool cut);
uint64_t channels_n_open(const struct channels *all, enum channel_kind kind);
uint64_t channels_n_held(const struct channels *all);
unsigned channels_release(struct channels *all, uint64_t n_max);
json_t *channels_json(const struct channels *all);
/* The newest that is open; NULL: none is. */
struct channel *channels_newest(const struct channels *all, enum channel_kind kind);
struct channel *channels_find(const struct channels *all, const char *name);
/* An answer to something that a script asked: the script goes on. */
void channels_heard(struct channels *all, const json_t *response);
const char *channel_kind_name(enum channel_kind kind);
bool channel_kind_parse(const char *name, enum channel_kind *ret);

/* A new one, and the answer of the exchange is its stream. */
struct channel *channel_open(struct exchange *x, enum channel_kind kind);
const char *channel_name(const struct channel *c);
/* Its answer and the id of its subscription; both are copied. */
void channel_subscribe(struct channel *c, const json_t *id, const json_t *answer);
void channel_pretty(struct channel *c, bool pretty); /* JSON on many lines from now on */
void channel_event(struct channel *c, const char *type, const char *data);
/* The stream that the event belongs to goes on in the answer of the exchange; false: unknown. */
bool channel_resume(struct exchange *x, const char *last_event_id);

/* NULL if each step is known, else what is wrong, the caller's to free. */
char *script_check(const json_t *steps) __attribute__((warn_unused_result));
/*
 * Plays the steps after those that are still to play. The answer is what an "answer" step sends,
 * the token what "progress" is about; both may be NULL.
 */
void channel_play(struct channel *c, const json_t *steps, const json_t *answer,
                  const json_t *token);
