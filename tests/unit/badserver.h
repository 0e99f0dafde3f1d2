/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP server on 127.0.0.1 that misbehaves as it is told, on the event loop of the test itself.
 * It counts what reaches it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/buf.h"
#include "http/client.h"

enum badserver_when {
        BAD_AFTER_REQUEST, /* acts when a whole request is here */
        BAD_AT_ONCE,       /* acts when somebody connects */
        BAD_AFTER_BYTES,   /* acts when the first bytes are here, of TLS for example */
};

enum badserver_then {
        BAD_CLOSE,
        BAD_RESET,
        BAD_HANG,
        BAD_REPEAT, /* goes on writing the answer again and again */
};

struct badserver_manners {
        enum badserver_when when;
        enum badserver_then then;
        const char *prologue; /* written first; NULL: nothing */
        const char *answer;   /* then this */
        size_t n_answer;      /* 0: strlen(answer) */
};

struct badserver;

struct badserver *badserver_new(sd_event *e, const struct badserver_manners *m);
struct badserver *badserver_free(struct badserver *s);
void badserver_set(struct badserver *s, const struct badserver_manners *m);
uint16_t badserver_port(const struct badserver *s);
unsigned badserver_connections(const struct badserver *s);
unsigned badserver_requests(const struct badserver *s);
/* To everybody who is connected, now. */
void badserver_say(struct badserver *s, const char *text);
void badserver_hang_up(struct badserver *s, bool reset);
/* How many bytes the kernel took of what was written, of all connections. */
uint64_t badserver_sent(const struct badserver *s);
/* Everything that was read, of all connections. */
const char *badserver_received(const struct badserver *s);

/* A port on 127.0.0.1 where nobody listens. */
uint16_t badserver_free_port(void);

/* A file with one certificate, for http_options: with it libcurl does not read the system's
 * hundred, which takes seconds under valgrind. Nobody has its key. */
const char *badserver_ca_file(void);

/* --- What the tests of the HTTP client begin with --------------------------------------------- */

struct fixture {
        sd_event *event;
        struct http *http;
        struct badserver *server;
        struct fetch_answer answer; /* of the last fetch */
        unsigned n_done;
};

int fixture_set_up(void **state, const struct badserver_manners *m);
int fixture_tear_down(void **state);
/* Keeps the answer; @userdata is the fixture. */
void fixture_on_done(struct fetch_answer *a, void *userdata);
