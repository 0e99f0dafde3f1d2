/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The right to speak to the server: tokens from the broker, and the logins that they sometimes
 * need. It knows no OAuth: a challenge goes to the daemon as it came, and what comes back is a
 * token, leave to go without one, or a reason. Several requests that need the same login wait for
 * it together; each waits no longer than it may be held.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/util.h"
#include "mcpbroker.h"

struct access;
struct access_ask;

struct access_ops {
        /*
         * A person must open @url. True: the host will show it to the person (elicitation), so no
         * browser is opened here.
         */
        bool (*on_login)(const char *login, const char *url, void *userdata);
        /* That login is over. */
        void (*on_login_over)(const char *login, bool done, void *userdata);
        /* A report was answered; @err says why it was not taken, else NULL. @last: there is no
         * other under way. */
        void (*on_reported)(const mcpb_error *err, bool last, void *userdata);
};

struct access_options {
        mcpb_options client;
        int host_fd;        /* whose end also ends the wait for a daemon */
        const char *server; /* name or URL; borrowed, as all of these */
        const char *account;
        const char *scopes;
        const char *browser; /* --browser */
        bool no_browser;
        uint64_t hold_usec; /* how long a request may wait for a person */
};

/* What the server said to a request. */
struct access_challenge {
        int status;
        const char *const *fields;
        size_t n_fields;
        const char *token_id; /* of the token that it was sent with; NULL: without */
};

struct access_answer {
        mcpb_token *token;     /* NULL: refused; no_challenge: go without. May be taken */
        const mcpb_error *err; /* why it was refused */
        const char *login;     /* a login that is still under way; NULL: none */
        const char *login_url;
};
typedef void (*access_fn)(struct access_answer *a, void *userdata);

int access_new(sd_event *event, const struct access_options *options, const struct access_ops *ops,
               void *userdata, struct access **ret) MUST_CHECK;
struct access *access_free(struct access *a);

/* @challenge: NULL for the first time. @fn is called once, from the loop; -ENOMEM. */
int access_get(struct access *a, const struct access_challenge *challenge, access_fn fn,
               void *userdata, struct access_ask **ret) MUST_CHECK;
/* A proof for one request that is sent with a token that is bound to a key of the broker's. */
struct access_proof {
        const char *token_id;
        const char *method;
        const char *url;
        const char *nonce; /* the server's latest; NULL: it has given none */
};
/* One of the two is given. */
typedef void (*access_proof_fn)(const char *proof, const mcpb_error *err, void *userdata);
int access_prove(struct access *a, const struct access_proof *what, access_proof_fn fn,
                 void *userdata, struct access_ask **ret) MUST_CHECK;
/* @fn is not called any more. Takes NULL; returns NULL. */
struct access_ask *access_drop(struct access_ask *ask);
/* Nobody waits for a person any more: all who do are answered now. */
void access_hurry(struct access *a);
/* The person said no to @login. */
void access_decline(struct access *a, const char *login);

/* A tool call for the audit trail. @params: the text of an object. */
void access_report(struct access *a, const char *params);
/* Are there any that were not answered yet? */
bool access_is_reporting(const struct access *a);
