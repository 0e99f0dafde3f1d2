/* SPDX-License-Identifier: Apache-2.0 */
/* A login by device code (RFC 8628): the person reads a code here and types it into a browser
 * anywhere, and we ask the issuer until that was done, as seldom as it wants. There is no listener
 * and no redirect; the rest is as with a browser. The device code is in the record alone. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/ask.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "loop/loop.h"

static void fail(struct login *l, int r, const struct error *err) {
        login_end(l, r, err, "the login by device code");
}

/* --- Asking whether the person has been there ------------------------------------------------- */

static void poll_issuer(struct login *l);

static int on_poll(sd_event_source *s, uint64_t usec, void *userdata) {
        struct login *l = userdata;

        l->poll_timer = sd_event_source_disable_unref(l->poll_timer);
        poll_issuer(l);
        return 0;
}

void login_poll_later(struct login *l) {
        uint64_t now = clock_wall_usec();
        uint64_t most = l->device.interval_sec * USEC_PER_SEC;
        uint64_t wait = l->device.next_wall > now ? l->device.next_wall - now : 0;

        /* Somebody has set the clock back. */
        if (wait > LIMIT_DEVICE_SEC * USEC_PER_SEC)
                wait = most;
        l->poll_timer = sd_event_source_disable_unref(l->poll_timer);
        if (loop_timer(l->broker->event, clock_boot_usec() + wait, on_poll, l, "poll login",
                       &l->poll_timer) < 0)
                fail(l, -ENOMEM, NULL);
}

/* Also where the record stays: who asks with a code that was used is told no. */
static void on_record_gone(int r, const struct store_item *item, const struct error *err,
                           void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        if (r < 0 && r != -ENOENT)
                log_failure(LOG_WARNING, err, "removing a login that is over");
        login_take_reply(l);
}

static void granted(struct login *l) {
        struct error err = ERROR_INIT;
        int r = login_check_bound(l, &err);

        if (r < 0) {
                fail(l, r, &err);
                return;
        }
        login_set_state(l, LOGIN_CLOSING);
        login_storing(l, later_remove(l->broker, STORE_LOGIN, l->id, on_record_gone, l));
}

static void on_polled(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct error err = ERROR_INIT;
        enum device_next next;

        l->fetching = false;
        if (bound_hear_issuer(&l->bound, answer) && !l->nonce_tried) {
                l->nonce_tried = true;
                login_operation_end(l);
                poll_issuer(l);
                return;
        }
        next = device_poll_answer(&l->device, &l->found.as, answer, clock_wall_usec(), &l->reply,
                                  &err);
        if (next == DEVICE_GRANTED) {
                granted(l);
                return;
        }
        l->nonce_tried = false;
        login_operation_end(l);
        if (next == DEVICE_WAIT) {
                login_poll_later(l);
                return;
        }
        if (next == DEVICE_REFUSED && l->step_up &&
            scope_refusal_note(&l->server->refusal, &l->scopes, clock_boot_usec()) < 0)
                log_warning("Out of memory: the refusal is not remembered");
        fail(l, -EACCES, &err);
}

static void poll_issuer(struct login *l) {
        struct error err = ERROR_INIT;
        struct fetch_request f;
        int r = login_bind(l);

        fetch_request_init(&f);
        if (r == 0)
                r = device_poll_request(&f, &l->device, &l->registration, &l->found.as,
                                        clock_wall_usec(), &err);
        if (r == 0)
                r = bound_add_proof(&l->bound, l->broker->shield, &f);
        if (r == 0) {
                f.allow = l->allow = l->server->allow;
                r = ask_network(l->broker, FETCH_DEAL, &f, on_polled, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r < 0) {
                fail(l, r, &err);
                return;
        }
        /* Any answer may be the grant: a stop waits for it. */
        l->operating = true;
        broker_operation_begin(l->broker);
}

/* --- Getting the code ------------------------------------------------------------------------- */

static struct device_params params_of(const struct login *l) {
        return (struct device_params){
                .as = &l->found.as,
                .registration = &l->registration,
                .resource = l->authorization.no_resource ? NULL : l->found.resource,
                .scopes = &l->authorization.scopes,
                .dpop = l->found.dpop_required,
                .now_wall = clock_wall_usec(),
        };
}

/* A login has one end, whichever of the two comes first. */
static int shorten(struct login *l) {
        if (l->device.expires_wall > l->expires_wall)
                l->device.expires_wall = l->expires_wall;
        l->expires_wall = l->device.expires_wall;
        l->timer = sd_event_source_disable_unref(l->timer);
        return login_arm_expiry(l);
}

static void on_code(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct device_params params = params_of(l);
        struct token_fault fault = { .what = TOKEN_OTHER };
        struct error err = ERROR_INIT;
        int r;

        l->fetching = false;
        r = device_answer(&l->device, &params, answer, &fault, &err);
        if (r == 0)
                r = shorten(l);
        if (r == 0)
                login_save(l);
        else if (token_error_ends_registration(fault.what, &l->registration, true, l->n_registered))
                login_register_anew(l);
        else
                fail(l, r, &err);
}

void login_ask_code(struct login *l) {
        struct device_params params;
        struct error err = ERROR_INIT;
        struct fetch_request f;
        int r;

        login_set_state(l, LOGIN_ASKING);
        r = login_note_request(l);
        params = params_of(l);
        fetch_request_init(&f);
        if (r == 0)
                r = device_request(&f, &params, &err);
        if (r == 0) {
                f.allow = l->server->allow;
                r = ask_network(l->broker, FETCH_DEAL, &f, on_code, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r < 0)
                fail(l, r, &err);
}

void login_begin_device(struct login *l) {
        struct error err = ERROR_INIT;

        if (!l->found.as.device_authorization_endpoint) {
                int r = error_set(&err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                                  "Log in without --device: the address can be opened elsewhere, "
                                  "and what the browser ends at be pasted",
                                  "The authorization server %s has no logins by device code",
                                  l->found.issuer);

                fail(l, r, &err);
        } else if (l->must_register) {
                login_set_state(l, LOGIN_REGISTERING);
                login_register(l);
        } else if (l->keep_registration) {
                login_keep_registration(l);
        } else {
                login_ask_code(l);
        }
}

/* --- The record ------------------------------------------------------------------------------- */

int login_device_url(struct login *l) {
        const struct device_login *d = &l->device;

        (void)str_wipe_free(l->url);
        l->url = strdup(d->verification_uri_complete ? d->verification_uri_complete
                                                     : d->verification_uri);
        return l->url ? 0 : -ENOMEM;
}

int login_device_from_json(struct login *l, const json_t *value) {
        struct authorization *a = &l->authorization;
        int r = device_login_from_json(&l->device, value);

        if (r < 0)
                return r;
        a->issuer = strdup(l->device.issuer);
        a->client_id = strdup(l->device.client_id);
        a->resource = strdup(l->found.resource);
        a->no_resource = !l->device.resource;
        if (!a->issuer || !a->client_id || !a->resource)
                return -ENOMEM;
        return scope_set_copy(&a->scopes, &l->device.scopes);
}
