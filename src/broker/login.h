/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A login that needs a person: from the server's URL over discovery, registration and the browser
 * to a grant on the disk. One a server at a time; whoever else wants it joins. A login that waits
 * for its browser survives a restart.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/error.h"
#include "base/list.h"
#include "base/present.h"
#include "broker/bound.h"
#include "broker/call.h"
#include "broker/server.h"
#include "oauth/authorize.h"
#include "oauth/device.h"
#include "oauth/discover.h"
#include "oauth/token.h"
#include "store/store.h"

enum login_state {
        LOGIN_DISCOVERING, /* asking the server and its issuer */
        LOGIN_LOOKING,     /* for a registration, in the store */
        LOGIN_LISTENING,   /* opening the redirect listener */
        LOGIN_REGISTERING,
        LOGIN_PUSHING,    /* the authorization request, to the issuer */
        LOGIN_ASKING,     /* the issuer for a device code */
        LOGIN_SAVING,     /* registration and login become durable */
        LOGIN_WAITING,    /* for the person */
        LOGIN_PRESENTING, /* without a person: getting an identity, and a token for it */
        LOGIN_CLOSING, /* the record is removed: the code is used at most once, whatever happens */
        LOGIN_REDEEMING,
        LOGIN_STORING, /* the grant becomes durable */
        LOGIN_DONE,
        LOGIN_FAILED,
        LOGIN_STATE_COUNT,
};

/* How the person comes to the issuer. */
enum login_flow {
        LOGIN_FLOW_ANY, /* as whoever began it wants; else with a browser */
        LOGIN_FLOW_BROWSER,
        LOGIN_FLOW_DEVICE,
};

#define LOGIN_OWNERS_MAX 8
struct login_owner {
        int pid;
        uint64_t start_ticks;
};

struct login {
        struct broker *broker;
        struct list list_link;
        char *id;
        struct server *server; /* NULL: removed meanwhile */
        char *server_key;
        enum login_state state;
        struct list url_waiters;  /* calls that want the URL */
        struct list done_waiters; /* calls of login.wait */
        struct scope_set scopes;  /* asked for in particular; empty: by the rules of selection */
        bool step_up;
        struct challenge challenge;
        bool has_challenge;
        struct discover *discover;
        struct discover_result found;
        struct registration registration;
        char *registration_key;
        unsigned n_registered; /* A88: once more, then no more */
        bool other_redirect;   /* A85: localhost instead of 127.0.0.1 */
        bool must_register;
        bool keep_registration; /* there was none in the store for our metadata document */
        bool no_port_hint;      /* the registered port is somebody else's now */
        bool restored;          /* it was under way before a restart */
        char *redirect_uri;
        char *path;
        uint16_t port;
        struct authorization authorization;
        char *url;
        bool by_device;
        struct device_login device;  /* of such a login */
        sd_event_source *poll_timer; /* then */
        struct bound bound;          /* what the tokens will be bound to; empty: nothing */
        bool nonce_tried;            /* the one repeat with a nonce that the issuer gave */
        bool push_nonce_tried;       /* the same where the request is pushed */
        /* Without a person: */
        enum present present;  /* as it was chosen */
        struct obtain *obtain; /* under way */
        char *audience;
        json_t *extra;        /* what is sent along; NULL */
        bool refused;         /* the issuer, or the configuration, will say no again */
        struct buf assertion; /* between the identity and the token request */
        struct buf cert_pem;  /* the same, where the identity is a certificate */
        struct buf key_pem;
        char *code; /* only between the redirect and the answer to the token request */
        uint64_t listener;
        bool listening;
        uint64_t page_request; /* the browser that waits for its page; 0: none */
        uint64_t fetch_id;
        bool fetching;
        unsigned allow;     /* address classes of the server, from when the code was sent */
        unsigned n_storing; /* callbacks of the store that will come */
        bool operating;     /* counted by broker_operation_begin(): from the code to the grant */
        bool replacing;     /* its grant is in state REPLACING for it */
        uint64_t generation;
        bool opener_chosen;
        bool tell_opener; /* whoever waits first is to open the URL as soon as there is one */
        struct login_owner
                owners[LOGIN_OWNERS_MAX]; /* who were told the URL: they may complete it */
        unsigned n_owners;
        sd_event_source *timer;
        struct error error;
        uint64_t created_wall;
        uint64_t expires_wall;
        json_t *grant_value; /* on its way to the disk */
        struct token_reply reply;
        char *new_grant_key;
        bool dead; /* freed when the last callback is in */
};

/* Starts one for @s, or joins the one under way; one that goes another way than @flow gives way.
 * @scopes empty: by the rules. */
int login_start(struct server *s, enum login_flow flow, const struct scope_set *scopes,
                const struct challenge *challenge, bool step_up, struct login **ret,
                struct error *err) MUST_CHECK;
/* Nobody logs in by a code where there is no person: BAD_PARAMS. */
int login_refuse_device(struct error *err);
/* The parameter "flow" of a request. BAD_PARAMS. */
int login_flow_asked(struct broker_call *c, enum login_flow *ret, struct error *err) MUST_CHECK;
struct login *login_free(struct login *l);
/* A token request that asked for a login: it is answered with the URL as soon as there is one. */
void login_for_call(struct broker_call *c);
/* A peer went away: its call is freed, and if it was to open the browser, the next one is asked to.
 */
void login_call_left(struct broker_call *c);
/* From the store, at start. */
int login_restore(struct broker *b, const struct store_item *item, struct error *err) MUST_CHECK;
void login_fail(struct login *l, const struct error *err);
/* The server goes: its login with it. */
void login_cancel(struct login *l, const struct error *why);
const char *login_state_name(const struct login *l); /* "waiting", "done", "failed" */
/* Done or failed: remembered for a while, for those who ask what became of it. */
bool login_is_over(const struct login *l);

void login_set_state(struct login *l, enum login_state state);
/* The URL is there: whoever asked for it gets it. */
void login_tell_url(struct login *l);
/* The same, but where its time is over another is got first. */
void login_tell_good_url(struct login *l);
void login_finished(struct login *l);
/* First thing in a callback of the store: is the login over? If it is freed as well, it is gone
 * now. */
bool login_unwanted(struct login *l);
