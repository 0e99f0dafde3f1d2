/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request's way through the MCP server or the authorization server: it is counted and written
 * down, the faults in force are looked up, it may be held before or after it is executed, and what
 * goes out may be something else than what the handler said. Handlers need not know of any of it.
 */
#pragma once

#include <jansson.h>

#include "demo.h"

enum stage {
        STAGE_NEW,
        STAGE_HELD_BEFORE,
        STAGE_HELD_AFTER,
};

/* How the answer goes wrong. */
enum damage {
        DAMAGE_NONE,
        DAMAGE_STATUS,
        DAMAGE_HTML,
        DAMAGE_OVERSIZE,
        DAMAGE_REDIRECT,
        DAMAGE_EXECUTED, /* those above replace the execution, those below spoil its answer */
        DAMAGE_STATUS_AFTER,
        DAMAGE_GARBAGE,
        DAMAGE_TRUNCATED,
};

struct plan {
        enum damage damage;
        uint64_t status;
        uint64_t retry_after;
        uint64_t n_mib;
        uint64_t depth;
        uint64_t slow_msec;
        uint64_t slow_after_msec;
        char *url;
        bool stall;
        bool cut;
        bool hold_before;
        bool hold_after;
        bool drop_before;
        bool drop_after;
};

struct exchange {
        struct demo *demo;
        struct authority *at; /* whose it is, or whose tokens are good for it */
        struct request *request;
        json_t *record;  /* the journal's entry */
        json_t *message; /* the JSON of a POST to the MCP server; NULL: none, or not JSON */
        json_t *script;  /* what is said before the answer, if the tool needs it */
        struct plan plan;
        struct fault_site site;
        enum step route; /* of an authorization server; site.step, or what it would be there */
        struct session *session;       /* that the request belongs to */
        struct channel *old;           /* where answers of the old transport go */
        char *jkt;                     /* of the key that a proof with it showed */
        const char *nonce;             /* of OpenID, that the login had; NULL: none */
        const char *issued_token_type; /* what the answer says of its token, or NULL */
        unsigned status;               /* of HTTP, for the answer; 0: 200 */
        bool modern;                   /* a request of 2026-07-28 */
        enum stage stage;
        char label[64]; /* for the log line: the method or grant asked for */
        char note[160]; /* and why it was answered so */
};

enum http_verdict exchange_on_mcp(struct request *r, void *userdata);
/* Before the body is read; false: a fault closes the connection. */
bool exchange_on_mcp_head(struct request *r, void *userdata);
/* The client of a held request has closed. */
void exchange_on_left(struct request *r, void *userdata);
enum http_verdict exchange_on_as(struct request *r, void *userdata);
enum http_verdict exchange_on_idp(struct request *r, void *userdata);

void exchange_label(struct exchange *x, const char *label); /* of the peer: made printable */
void exchange_note(struct exchange *x, const char *format, ...)
        __attribute__((format(printf, 2, 3)));
bool exchange_fault(struct exchange *x, enum fault_kind kind);
bool exchange_fault_arg(struct exchange *x, enum fault_kind kind, const char *fallback,
                        const char **ret);

/* What is held or slowed at a step now. */
uint64_t exchange_n_held(struct demo *d, enum step step);
/* Lets up to n_max of them go, oldest first; STEP_ANY for all steps. How many that were. */
unsigned exchange_release(struct demo *d, enum step step, uint64_t n_max);
void exchange_tick(struct demo *d, uint64_t now_msec); /* those whose time has come */
