/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The domain without processes: real policy, store, oauth and audit around the real broker. What
 * the workers would do the test does, the clock stands still until it is moved, and the disk is a
 * backend in memory. Nothing happens but in world_run() and in the functions that name it.
 */
#pragma once

#include "broker/broker.h"
#include "memory-backend.h"
#include "test.h"

#define WORLD_ISSUER "https://as.example.com"
#define WORLD_ISSUER2 "https://as2.example.com"
#define WORLD_SERVER "https://mcp.example.com/mcp"
/* Another server with the same resource (A29), issuer and client: it shares the grant. */
#define WORLD_BENEATH WORLD_SERVER "/beneath"
#define WORLD_BOOT (UINT64_C(1000) * 1000000)
#define WORLD_WALL (UINT64_C(1795428000) * 1000000)

/* What became of one request. */
struct answer {
        unsigned n_told;
        json_t *result; /* NULL on error */
        json_t *data;
        struct error err;
        struct broker_call *call; /* while it waits */
};
#define AUTO_REPLY __attribute__((cleanup(answer_done), unused))
void answer_done(struct answer *a);

#define WORLD_FETCHES 64

struct world_fetch {
        uint64_t id;
        enum fetch_via via;
        struct fetch_request request;
        fetch_done_fn fn;
        void *userdata;
};

struct world_listener {
        uint64_t id; /* 0: none */
        uint16_t port;
        char path[128];
        listen_done_fn done; /* NULL: it is open */
        listen_done_fn lost;
        redirect_fn on_redirect;
        void *userdata;
};

struct world {
        sd_event *event;
        struct memory *disk;
        struct store *store;
        struct broker *broker;
        bool disk_held; /* the disk answers nothing by itself */
        int audit_fd;
        uint64_t last_id;
        struct world_fetch fetches[WORLD_FETCHES];
        size_t n_fetches;
        struct world_listener listener;
        int listen_result;      /* of the next listeners */
        unsigned n_listeners;   /* opened so far */
        unsigned n_pages;       /* shown so far */
        unsigned page_status;   /* of the last one */
        int fetch_result;       /* what fetch() returns; 0: takes it */
        unsigned n_token;       /* token requests made so far */
        unsigned n_register;    /* registrations made so far */
        bool attest_held;       /* the second look at a peer waits for world_attest() */
        struct order order;     /* that waits for world_order() */
        order_done_fn order_fn; /* NULL: none */
        void *order_userdata;
        attest_done_fn attest;
        void *attest_userdata;
        struct evidence evidence;
        bool moved;            /* the server names WORLD_ISSUER2 now */
        const char *prm;       /* what it says instead; NULL: the usual */
        const char *as;        /* the same of its issuer */
        const char *as_more;   /* members that its issuer's metadata have besides; NULL: none */
        bool ours;             /* who asks is a program of ours, on the main socket */
        unsigned reached;      /* the address class of all that answers; 0: public */
        bool no_refresh_token; /* the code gives an access token only */
        bool passphrase;       /* a new store is made by the first unlock */
        const char *policy;    /* NULL: the default one */
        /* servers.d: path and text of each file, ends with NULL; NULL: none */
        const char *const *servers;
        bool no_reports;        /* ReportToolCalls=no */
        const char *secret;     /* what a ClientSecretFile= holds */
        void (*quiet)(bool on); /* around the world's own allocations, for a sweep */
        bool ready;
        struct error ready_error;
};

/* A store is made on the disk and opened. */
void world_init(struct world *w);
void world_done(struct world *w);
/* kill -9 of everything, and a new daemon on the same disk. What the disk has not done is lost. */
void world_crash(struct world *w);
/* The same in two halves. */
void world_end(struct world *w);
void world_begin(struct world *w);

/* From @policy, @servers and @secret: the broker takes them. */
struct policy *world_policy(const struct world *w);
struct config *world_config(const struct world *w);
/* SIGHUP: all of them anew. */
void world_reload(struct world *w);

/* Until nothing is left to be done: the disk answers, what is due is done. */
void world_run(struct world *w);
/* The same without the disk. */
void world_run_loop(struct world *w);
/* The disk answers its oldest request as it should (0), or with @r < 0; what follows is run, but
 * for the disk. */
void world_disk(struct world *w, int r, bool applied);
/* The clock goes on, timers fire in their order, and everything is run in between. */
void world_advance(struct world *w, uint64_t usec);
uint64_t world_now(void);
/* Time that goes by while there is no daemon. */
void world_advance_stopped(uint64_t usec);
/* Somebody sets the wall clock. */
void world_set_clock_back(uint64_t usec);
unsigned world_timers(void);

/* A request of a peer, with a connection of its own. */
void world_ask(struct world *w, enum method m, json_t *params /* taken */, struct answer *ret);
void world_get(struct world *w, const char *scopes, struct answer *ret); /* token.get */
/* The same with an answer at the end of world_run(): its result, or NULL with the error in @a. */
const char *world_token(struct world *w, struct answer *a);

/* The order that waits is carried out: 0 and what was read, or -errno. What follows is run. */
void world_order(struct world *w, int r, const char *text);
/* The oldest request that waits, or NULL. */
struct world_fetch *world_fetch(struct world *w);
/* Answers request number @i (0: the oldest); "" is no body. */
void world_answer(struct world *w, size_t i, unsigned status, const char *body);
void world_answer_header(struct world *w, size_t i, unsigned status, const char *name,
                         const char *value);
void world_answer_both(struct world *w, size_t i, unsigned status, const char *name,
                       const char *value, const char *body);
void world_no_answer(struct world *w, size_t i, enum fetch_outcome outcome);
/* A token answer: "at", refresh token (NULL: none), lifetime, scope (NULL: not said). */
void world_tokens(struct world *w, const char *at, const char *rt, unsigned expires_in,
                  const char *scope);
/* A parameter of the form that request number 0 sends, or NULL: to be freed. */
char *world_form(struct world *w, const char *name);

/* server.add, discovery and registration up to the browser: the URL, to be freed. */
char *world_begin_login(struct world *w, const char *scopes, struct answer *waits);
/* Answers what a server and an issuer would say to discovery and registration. */
void world_serve(struct world *w);
/* One of them, or the opening of a listener; false: there is none. */
bool world_serve_one(struct world *w); /* without listeners */
bool world_serve_step(struct world *w);
/* Another worker cannot open the listener again. */
void world_lose_listener(struct world *w);
/* The browser comes back with a code (or with an error, if @code is NULL). */
void world_redirect(struct world *w, const char *url, const char *code);
/* All of it: a grant with at1, rt1 and 3600 s. */
void world_login(struct world *w, const char *scopes);

/* A number that server.show or broker.status would say. */
json_t *world_server(struct world *w); /* to be released */
/* Records in the audit log with this event. */
unsigned world_audit(struct world *w, const char *event);

/* A fixture: *state is a world with a login. */
int world_setup(void **state);
int world_teardown(void **state);
/* The token at hand is at its end. */
void world_expire(struct world *w);
/* The same without time: the server has refused it. */
void world_expire_lease(struct world *w);
/* Asks for a token, and leaves the request at the issuer. */
void world_send(struct world *w, const char *scopes, struct answer *a);
/* These take the answer: it is empty afterwards. */
void assert_token(struct answer *a, const char *token);
void assert_refused(struct answer *a, enum error_code code);
/* What request number 0 says; NULL: nothing of that name. */
void assert_form(struct world *w, const char *name, const char *value);
/* Who asks now gets the token at hand. */
void assert_lease(struct world *w, const char *token);
/* Who asks now gets another: @used is spent for @token and @next. */
void assert_refresh(struct world *w, const char *used, const char *token, const char *next);
void assert_server_state(struct world *w, const char *name);
