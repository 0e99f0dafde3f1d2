/* SPDX-License-Identifier: Apache-2.0 */
/* Pushed authorization requests (RFC 9126): what the browser would carry goes to the issuer first,
 * and the URL has a reference to it. Such a reference lives shorter than a login waits. So it is
 * pushed before the URL is first told, and anew when somebody asks for the URL after its time; who
 * has the old one may still come back with a code, for both are the same request. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/ask.h"
#include "broker/internal.h"
#include "broker/login-steps.h"
#include "broker/release.h"
#include "oauth/par.h"

/* What a person needs to bring the URL to a browser. */
#define MARGIN_USEC (10 * USEC_PER_SEC)

bool login_url_is_stale(const struct login *l) {
        return l->authorization.request_uri &&
               clock_wall_usec() + MARGIN_USEC >= l->authorization.request_expires_wall;
}

/* There is something to tell: the reference, or what is told where nothing was pushed. */
static void go_on(struct login *l) {
        struct error err = ERROR_INIT;
        int r;

        if (l->state == LOGIN_PUSHING) {
                login_save(l);
                return;
        }
        r = login_make_url(l, &err);
        if (r < 0)
                login_end(l, r, &err, "the authorization request");
        else
                login_tell_url(l);
}

/* Those who asked for the URL hear why there is none; the login goes on, for a browser that has one
 * already. */
static void tell_failure(struct login *l, const struct error *err) {
        while (!list_empty(&l->url_waiters)) {
                struct broker_call *c = LIST_FIRST(&l->url_waiters, struct broker_call, link);

                list_remove(&c->link);
                if (c->method == METHOD_TOKEN_GET)
                        release_refused(c, err);
                else
                        call_fail(c, err);
        }
}

static bool may_pass(const struct token_fault *fault) {
        return fault->what == TOKEN_NOT_SENT || fault->what == TOKEN_TRANSIENT ||
               fault->what == TOKEN_IN_DOUBT;
}

static void on_failure(struct login *l, int r, const struct token_fault *fault,
                       const struct error *err) {
        if (l->state == LOGIN_PUSHING &&
            token_error_ends_registration(fault->what, &l->registration, true, l->n_registered)) {
                login_register_anew(l);
        } else if (!l->found.as.par_required) {
                log_failure(LOG_NOTICE, err, "the pushed request, which goes by the browser now");
                l->authorization.request_uri = str_wipe_free(l->authorization.request_uri);
                go_on(l);
        } else if (l->state == LOGIN_WAITING && may_pass(fault)) {
                tell_failure(l, err);
        } else {
                login_end(l, r, err, "pushing the authorization request");
        }
}

static void push(struct login *l);

static void on_pushed(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct token_fault fault = { .what = TOKEN_OTHER };
        struct error err = ERROR_INIT;
        int r;

        l->fetching = false;
        if (bound_hear_issuer(&l->bound, answer) && !l->push_nonce_tried) {
                l->push_nonce_tried = true;
                push(l);
                return;
        }
        r = par_answer(&l->authorization, &l->found.as, answer, clock_wall_usec(), &fault, &err);
        if (r < 0)
                on_failure(l, r, &fault, &err);
        else
                go_on(l);
}

static void push(struct login *l) {
        struct token_fault fault = { .what = TOKEN_OTHER };
        struct error err = ERROR_INIT;
        struct fetch_request f;
        int r = login_bind(
                l); /* a code that was asked for with a proof is good with that key only */

        fetch_request_init(&f);
        if (r == 0)
                r = par_request(&f, &l->authorization, &l->registration, &l->found.as, &err);
        if (r == 0)
                r = bound_add_proof(&l->bound, l->broker->shield, &f);
        if (r == 0) {
                f.allow = l->server->allow;
                r = ask_network(l->broker, FETCH_DEAL, &f, on_pushed, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r < 0) {
                (void)error_fallback(&err, r, "pushing the authorization request");
                on_failure(l, r, &fault, &err);
        }
}

void login_push(struct login *l) {
        login_set_state(l, LOGIN_PUSHING);
        l->push_nonce_tried = false;
        push(l);
}

void login_push_again(struct login *l) {
        if (l->fetching)
                return; /* whoever waits is told when it is there */
        l->push_nonce_tried = false;
        push(l);
}
