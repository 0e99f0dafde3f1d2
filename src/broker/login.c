/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/login.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/url.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "broker/obtain.h"
#include "broker/own.h"
#include "broker/release.h"
#include "config/config.h"
#include "crypto/rand.h"
#include "loop/loop.h"

#define TO(s) (1u << (s))
#define KEEP_FINISHED_SEC 120 /* so that login.status can still say what became of it */

static const char *const state_names[LOGIN_STATE_COUNT] = {
        [LOGIN_DISCOVERING] = "discovering",
        [LOGIN_LOOKING] = "looking",
        [LOGIN_LISTENING] = "listening",
        [LOGIN_REGISTERING] = "registering",
        [LOGIN_PUSHING] = "pushing",
        [LOGIN_ASKING] = "asking",
        [LOGIN_SAVING] = "saving",
        [LOGIN_WAITING] = "waiting",
        [LOGIN_PRESENTING] = "presenting",
        [LOGIN_CLOSING] = "closing",
        [LOGIN_REDEEMING] = "redeeming",
        [LOGIN_STORING] = "storing",
        [LOGIN_DONE] = "done",
        [LOGIN_FAILED] = "failed",
};

static const unsigned state_allowed[LOGIN_STATE_COUNT] = {
        [LOGIN_DISCOVERING] = TO(LOGIN_LOOKING) | TO(LOGIN_DONE) | TO(LOGIN_FAILED),
        [LOGIN_LOOKING] = TO(LOGIN_LISTENING) | TO(LOGIN_PRESENTING) | TO(LOGIN_REGISTERING) |
                          TO(LOGIN_ASKING) | TO(LOGIN_SAVING) | TO(LOGIN_FAILED),
        [LOGIN_PRESENTING] = TO(LOGIN_STORING) | TO(LOGIN_FAILED),
        [LOGIN_LISTENING] =
                TO(LOGIN_REGISTERING) | TO(LOGIN_SAVING) | TO(LOGIN_WAITING) | TO(LOGIN_FAILED),
        [LOGIN_REGISTERING] = TO(LOGIN_SAVING) | TO(LOGIN_FAILED),
        [LOGIN_PUSHING] = TO(LOGIN_SAVING) | TO(LOGIN_REGISTERING) | TO(LOGIN_FAILED),
        [LOGIN_ASKING] = TO(LOGIN_SAVING) | TO(LOGIN_REGISTERING) | TO(LOGIN_FAILED),
        [LOGIN_SAVING] =
                TO(LOGIN_PUSHING) | TO(LOGIN_ASKING) | TO(LOGIN_WAITING) | TO(LOGIN_FAILED),
        [LOGIN_WAITING] = TO(LOGIN_CLOSING) | TO(LOGIN_FAILED),
        [LOGIN_CLOSING] = TO(LOGIN_REDEEMING) | TO(LOGIN_STORING) | TO(LOGIN_FAILED),
        [LOGIN_REDEEMING] = TO(LOGIN_STORING) | TO(LOGIN_REGISTERING) | TO(LOGIN_FAILED),
        [LOGIN_STORING] = TO(LOGIN_DONE) | TO(LOGIN_FAILED),
        [LOGIN_DONE] = 0,
        [LOGIN_FAILED] = 0,
};

void login_set_state(struct login *l, enum login_state state) {
        assert(state_allowed[l->state] & TO(state));
        log_debug("login %s: %s -> %s", l->id, state_names[l->state], state_names[state]);
        l->state = state;
}

const char *login_state_name(const struct login *l) {
        if (login_is_over(l))
                return state_names[l->state];
        return l->state == LOGIN_WAITING ? "waiting" : "working";
}

void login_stop_fetching(struct login *l) {
        if (l->fetching)
                l->broker->workers->fetch_forget(l->broker->wud, l->fetch_id);
        l->fetching = false;
}

static void release_resources(struct login *l) {
        struct broker *b = l->broker;

        login_stop_fetching(l);
        if (l->listening)
                b->workers->unlisten(b->wud, l->listener);
        l->listening = false;
        l->code = str_wipe_free(l->code);
        l->obtain = obtain_free(l->obtain);
        buf_done(&l->assertion);
        buf_done(&l->cert_pem);
        buf_done(&l->key_pem);
        bound_done(&l->bound);
        l->poll_timer = sd_event_source_disable_unref(l->poll_timer);
        device_login_done(&l->device);
        l->discover = discover_free(l->discover);
        json_decref(l->grant_value);
        l->grant_value = NULL;
        token_reply_done(&l->reply);
        authorization_done(&l->authorization);
        registration_done(&l->registration);
}

static struct login *free_now(struct login *l) {
        discover_result_done(&l->found);
        challenge_done(&l->challenge);
        scope_set_done(&l->scopes);
        free(l->id);
        free(l->server_key);
        free(l->registration_key);
        free(l->audience);
        json_decref(l->extra);
        free(l->redirect_uri);
        free(l->path);
        free(l->new_grant_key);
        (void)str_wipe_free(l->url);
        free(l);
        return NULL;
}

struct login *login_free(struct login *l) {
        struct grant *g;

        if (!l)
                return NULL;
        assert(list_empty(&l->url_waiters) && list_empty(&l->done_waiters));
        if (l->id && strmap_get(l->broker->logins, l->id) == l)
                (void)strmap_remove(l->broker->logins, l->id);
        list_remove(&l->list_link);
        if (l->server && l->server->login == l)
                l->server->login = NULL;
        l->server = NULL;
        l->timer = sd_event_source_disable_unref(l->timer);
        login_operation_end(l);
        g = l->new_grant_key ? strmap_get(l->broker->grants, l->new_grant_key) : NULL;
        if (g && g->replacement == l)
                g->replacement = NULL;
        release_resources(l);
        l->dead = true;
        return l->n_storing > 0 ? NULL : free_now(l);
}

bool login_unwanted(struct login *l) {
        assert(l->n_storing > 0);
        l->n_storing--;
        if (!l->dead)
                return l->state == LOGIN_FAILED || l->state == LOGIN_DONE;
        if (l->n_storing == 0)
                (void)free_now(l);
        return true;
}

/* --- Answering those who wait ---------------------------------------------------------------- */

static json_int_t seconds_left(const struct login *l) {
        uint64_t now = clock_wall_usec();

        return (json_int_t)(l->expires_wall > now ? (l->expires_wall - now) / USEC_PER_SEC : 0);
}

/* Where no browser comes to us, the person has to be told more than an address. */
static int add_device(const struct login *l, json_t *value) {
        if (!l->by_device)
                return 0;
        if (json_object_set_new(value, "user_code", json_string(l->device.user_code)) < 0)
                return -ENOMEM;
        return json_object_set_new(value, "verification_uri",
                                   json_string(l->device.verification_uri));
}

static json_t *url_data(const struct login *l, bool opener) {
        json_t *value = json_pack("{s:s, s:s, s:b, s:I, s:s*}", "login", l->id, "url", l->url,
                                  "opener", opener, "seconds_left", seconds_left(l), "server",
                                  l->server ? l->server->name : NULL);

        if (value && add_device(l, value) == 0)
                return value;
        json_decref(value);
        return NULL;
}

static void answer_url(struct login *l, struct broker_call *c) {
        bool opener = !l->opener_chosen && !l->by_device;
        struct error err = ERROR_INIT;
        json_t *data = url_data(l, opener);
        json_t *described;

        l->opener_chosen = true;
        if (c->method == METHOD_LOGIN_START) {
                call_reply(c, data);
        } else if (c->method == METHOD_SERVER_ADD) {
                described = l->server ? server_describe(l->server) : NULL;
                call_reply(c, json_pack("{s:o, s:o}", "server", described, "login", data));
        } else {
                (void)error_set(&err, MCPB_LOGIN_REQUIRED, ENOKEY,
                                "Open the URL in a browser to log in", "A login is needed for %s",
                                l->server ? l->server->name : "this server");
                call_fail_data(c, &err, data);
        }
}

static json_t *status_of(const struct login *l, bool opener) {
        json_t *value = json_pack("{s:s, s:s, s:s, s:b, s:I}", "login", l->id, "state",
                                  login_state_name(l), "step", state_names[l->state], "opener",
                                  opener, "seconds_left", seconds_left(l));

        if (!value)
                return NULL;
        if ((l->state == LOGIN_WAITING && add_device(l, value) < 0) ||
            (l->server && json_object_set_new(value, "server", json_string(l->server->name)) < 0) ||
            (l->url && l->state == LOGIN_WAITING && (opener || !login_url_is_stale(l)) &&
             json_object_set_new(value, "url", json_string(l->url)) < 0) ||
            (l->state == LOGIN_DONE && l->server &&
             json_object_set_new(value, "scopes",
                                 scopes_value(l->server->grant ? &l->server->grant->scopes
                                                               : &l->scopes)) < 0) ||
            (l->error.code != MCPB_NO_ERROR &&
             json_object_set_new(value, "error",
                                 json_pack("{s:s, s:s, s:s}", "code", error_name(l->error.code),
                                           "message", l->error.message, "hint", l->error.hint)) <
                     0)) {
                json_decref(value);
                return NULL;
        }
        return value;
}

/* The first of those who wait is told, by the end of its wait, that the browser is its to open. */
static void choose_opener(struct login *l) {
        struct broker_call *c = LIST_FIRST(&l->done_waiters, struct broker_call, link);

        if (!c)
                return;
        l->opener_chosen = true;
        list_remove(&c->link);
        call_reply(c, status_of(l, true));
}

void login_tell_url(struct login *l) {
        while (!list_empty(&l->url_waiters)) {
                struct broker_call *c = LIST_FIRST(&l->url_waiters, struct broker_call, link);

                list_remove(&c->link);
                answer_url(l, c);
        }
        if (l->tell_opener)
                choose_opener(l);
        l->tell_opener = false;
}

void login_tell_good_url(struct login *l) {
        if (login_url_is_stale(l))
                login_push_again(l);
        else
                login_tell_url(l);
}

/* The server has a token now, and no person was needed for it. */
static void answer_own(struct login *l, struct broker_call *c) {
        c->login = NULL;
        c->has_challenge = false; /* it was answered by this */
        if (c->method == METHOD_TOKEN_GET)
                token_looked(c);
        else if (c->method == METHOD_SERVER_ADD)
                call_reply(c, json_pack("{s:o, s:o}", "server", server_describe(l->server), "login",
                                        status_of(l, false)));
        else
                call_reply(c, status_of(l, false));
}

/* The server needs no authorization: what each of them is told then. */
static void answer_open(struct login *l, struct broker_call *c) {
        if (c->method == METHOD_TOKEN_GET)
                call_reply(c, json_pack("{s:b, s:s, s:s*}", "no_challenge", 1, "server",
                                        l->server ? l->server->name : "", "url",
                                        l->server ? l->server->url : NULL));
        else
                call_reply(c, json_pack("{s:b, s:o}", "open", 1, "server",
                                        l->server ? server_describe(l->server) : json_null()));
}

static int on_forget(sd_event_source *s, uint64_t usec, void *userdata) {
        (void)login_free(userdata);
        return 0;
}

void login_finished(struct login *l) {
        struct broker *b = l->broker;
        uint64_t forget = clock_boot_usec() + KEEP_FINISHED_SEC * USEC_PER_SEC;

        if (l->server && l->server->login == l)
                l->server->login = NULL;
        l->timer = sd_event_source_disable_unref(l->timer);
        login_operation_end(l); /* a poll that nobody waits for any more */
        release_resources(l);
        while (!list_empty(&l->url_waiters)) {
                struct broker_call *c = LIST_FIRST(&l->url_waiters, struct broker_call, link);

                list_remove(&c->link);
                if (l->state == LOGIN_DONE && l->server && l->server->grant)
                        answer_own(l, c);
                else if (l->state == LOGIN_DONE)
                        answer_open(l, c);
                else if (c->method == METHOD_TOKEN_GET)
                        release_refused(c, &l->error);
                else
                        call_fail(c, &l->error);
        }
        while (!list_empty(&l->done_waiters)) {
                struct broker_call *c = LIST_FIRST(&l->done_waiters, struct broker_call, link);

                list_remove(&c->link);
                call_reply(c, status_of(l, false));
        }
        if (loop_timer(b->event, forget, on_forget, l, "forget login", &l->timer) < 0)
                log_warning("No timer to forget a login that is over");
}

static void on_record_removed(int r, const struct store_item *item, const struct error *err,
                              void *userdata) {
        /* Best effort: a record that stays is found at the next start, and has expired by then. */
        (void)login_unwanted(userdata);
}

void login_fail(struct login *l, const struct error *err) {
        struct broker *b = l->broker;
        bool stored = l->state == LOGIN_WAITING || l->state == LOGIN_SAVING ||
                      l->state == LOGIN_LISTENING;

        l->error = *err;
        login_set_state(l, LOGIN_FAILED);
        log_failure(LOG_NOTICE, err, "login");
        release_note(b, &(struct release_event){ .event = AUDIT_AUTH_FLOW_FINISH,
                                                 .outcome = AUDIT_FAILURE,
                                                 .server = l->server,
                                                 .why = err });
        if (l->server && err->code != MCPB_LOGIN_CANCELLED) {
                server_note_error(l->server, err);
                if (own_is(l->server))
                        own_failed(l->server, l->refused);
                kept_save_soon(&l->server->record);
        }
        if (stored && later_remove(b, STORE_LOGIN, l->id, on_record_removed, l) == 0)
                l->n_storing++;
        login_finished(l);
}

void login_cancel(struct login *l, const struct error *why) {
        /* Once the code is on its way it is too late: the login ends by itself, and finds its
         * server gone. */
        if (l->state <= LOGIN_WAITING)
                login_fail(l, why);
}

void login_call_left(struct broker_call *c) {
        struct login *l = c->login;
        bool was_opener = c->opener;

        (void)call_free(c);
        if (l && was_opener && l->state == LOGIN_WAITING && !l->by_device) {
                l->tell_opener = true;
                login_tell_good_url(l);
        }
}

/* --- Starting -------------------------------------------------------------------------------- */

static int on_expired(sd_event_source *s, uint64_t usec, void *userdata) {
        struct login *l = userdata;
        struct error err = ERROR_INIT;

        l->timer = sd_event_source_disable_unref(l->timer);
        /* The person was in time: what is left has bounds of its own. */
        if (l->state > LOGIN_WAITING)
                return 0;
        (void)error_set(&err, MCPB_TIMEOUT, ETIMEDOUT, "Start again with mcp-add",
                        "Nobody finished the login%s%s in time", l->server ? " for " : "",
                        l->server ? l->server->name : "");
        login_fail(l, &err);
        return 0;
}

int login_arm_expiry(struct login *l) {
        uint64_t now = clock_wall_usec();
        uint64_t left = l->expires_wall > now ? l->expires_wall - now : 0;

        return loop_timer(l->broker->event, clock_boot_usec() + left, on_expired, l,
                          "login expires", &l->timer);
}

int login_new(struct broker *b, const char *id, struct login **ret) {
        struct login *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->broker = b;
        list_init(&l->list_link);
        list_init(&l->url_waiters);
        list_init(&l->done_waiters);
        l->created_wall = clock_wall_usec();
        l->id = strdup(id);
        if (!l->id || strmap_put(b->logins, l->id, l) < 0) {
                (void)login_free(l);
                return -ENOMEM;
        }
        list_append(&b->all_logins, &l->list_link);
        *ret = l;
        return 0;
}

static int begin_discovery(struct login *l, const struct challenge *challenge, struct error *err) {
        struct server *s = l->server;
        struct discover_params params = server_discovery(s, challenge);
        int r;

        if (l->by_device)
                params.use = AS_USE_TOKEN;
        params.cached_as = broker_cached_as(l->broker, s->issuer);
        if (challenge) {
                r = challenge_copy(&l->challenge, challenge);
                if (r < 0)
                        return error_oom(err);
                l->has_challenge = true;
        }
        r = discover_new(&params, &l->discover, err);
        if (r == 0)
                r = login_discover(l, err);
        return r;
}

bool login_is_over(const struct login *l) {
        return l->state == LOGIN_DONE || l->state == LOGIN_FAILED;
}

/* Those that are over are only remembered: the oldest of them makes room for one that is wanted. */
static int make_room(struct broker *b, struct error *err) {
        struct login *l;

        if (strmap_count(b->logins) < LIMIT_LOGINS)
                return 0;
        LIST_FOREACH(l, &b->all_logins, struct login, list_link) {
                if (login_is_over(l)) {
                        (void)login_free(l);
                        return 0;
                }
        }
        return error_set(err, MCPB_BUSY, EBUSY, "Finish or cancel some first",
                         "%d logins are under way", LIMIT_LOGINS);
}

/* A person wants it another way: whoever waits for this one is told. */
static void give_way(struct login *l) {
        struct error why = ERROR_INIT;

        (void)error_set(&why, MCPB_LOGIN_CANCELLED, ECANCELED, NULL,
                        "Another login for %s took its place, %s", l->server->name,
                        l->by_device ? "with a browser" : "by device code");
        login_cancel(l, &why);
}

int login_refuse_device(struct error *err) {
        return error_set(err, MCPB_BAD_PARAMS, EINVAL, "Leave out --device",
                         "Here the machine proves what it is, and no person logs in with a code");
}

static bool is_other_flow(const struct login *l, enum login_flow flow) {
        return flow != LOGIN_FLOW_ANY && l->by_device != (flow == LOGIN_FLOW_DEVICE) &&
               !own_is(l->server);
}

int login_start(struct server *s, enum login_flow flow, const struct scope_set *scopes,
                const struct challenge *challenge, bool step_up, struct login **ret,
                struct error *err) {
        struct broker *b = s->broker;
        AUTO_BUF struct buf id = BUF_INIT;
        struct login *l = NULL;
        int r;

        if (flow == LOGIN_FLOW_DEVICE && own_is(s))
                return login_refuse_device(err);
        if (s->login && is_other_flow(s->login, flow))
                give_way(s->login);
        if (s->login) { /* it does not give way any more where its end is near */
                *ret = s->login;
                return 0;
        }
        r = make_room(b, err);
        if (r < 0)
                return r;
        r = random_text(&id, 12);
        if (r == 0)
                r = login_new(b, id.data, &l);
        if (r < 0)
                return error_oom(err);
        l->server = s;
        l->step_up = step_up;
        l->by_device = flow == LOGIN_FLOW_DEVICE;
        l->expires_wall = l->created_wall + b->config->login_timeout_sec * USEC_PER_SEC;
        l->server_key = strdup(s->key);
        r = l->server_key ? 0 : -ENOMEM;
        if (r == 0 && scopes)
                r = scope_set_copy(&l->scopes, scopes);
        if (r == 0)
                r = login_arm_expiry(l);
        if (r == 0)
                r = begin_discovery(l, challenge, err);
        if (r < 0) {
                (void)login_free(l);
                return error_fallback(err, r, "starting a login");
        }
        s->login = l;
        release_note(b, &(struct release_event){ .event = AUDIT_AUTH_FLOW_START,
                                                 .server = s,
                                                 .scopes = &l->scopes });
        *ret = l;
        return 0;
}

static bool owns(const struct login *l, const struct broker_call *c) {
        for (unsigned i = 0; i < l->n_owners; i++)
                if (l->owners[i].pid == c->evidence.pid &&
                    l->owners[i].start_ticks == c->evidence.start_ticks)
                        return true;
        return false;
}

static void wait_for_url(struct login *l, struct broker_call *c) {
        c->login = l;
        if (!owns(l, c) && l->n_owners < LOGIN_OWNERS_MAX)
                l->owners[l->n_owners++] =
                        (struct login_owner){ c->evidence.pid, c->evidence.start_ticks };
        list_append(&l->url_waiters, &c->link);
        if (l->state == LOGIN_WAITING)
                login_tell_good_url(l);
}

void login_for_call(struct broker_call *c) {
        struct error err = ERROR_INIT;
        struct login *l = NULL;
        bool step_up = c->step_up.n > 0;
        int r = login_start(c->server, LOGIN_FLOW_ANY,
                            step_up         ? &c->step_up
                            : c->has_wanted ? &c->wanted
                                            : NULL,
                            c->has_challenge ? &c->challenge : NULL, step_up, &l, &err);

        if (r < 0)
                release_refused(c, &err);
        else
                wait_for_url(l, c);
}

/* --- The methods ----------------------------------------------------------------------------- */

static int find_login(struct broker_call *c, struct login **ret, struct error *err) {
        const char *id = NULL;
        int r = call_string(c, "login", true, &id, err);

        if (r < 0)
                return r;
        *ret = strmap_get(c->broker->logins, id);
        return *ret ? 0
                    : error_set(err, MCPB_NOT_FOUND, ENOENT, "Start one with mcp-add",
                                "No such login is known");
}

int login_flow_asked(struct broker_call *c, enum login_flow *ret, struct error *err) {
        const char *name = NULL;
        int r = call_string(c, "flow", false, &name, err);

        if (r < 0)
                return r;
        if (name && !streq(name, "browser") && !streq(name, "device"))
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                 "\"flow\" is neither \"browser\" nor \"device\"");
        *ret = !name                   ? LOGIN_FLOW_ANY
               : streq(name, "device") ? LOGIN_FLOW_DEVICE
                                       : LOGIN_FLOW_BROWSER;
        return 0;
}

void handle_login_start(struct broker_call *c) {
        enum login_flow flow = LOGIN_FLOW_ANY;
        AUTO_SCOPES struct scope_set scopes = SCOPE_SET_INIT;
        const char *server = NULL;
        const char *account = NULL;
        struct error err = ERROR_INIT;
        struct login *l = NULL;
        bool given = false;
        int r;

        r = call_string(c, "server", true, &server, &err);
        if (r == 0)
                r = call_string(c, "account", false, &account, &err);
        if (r == 0)
                r = call_scopes(c, &scopes, &given, &err);
        if (r == 0)
                r = login_flow_asked(c, &flow, &err);
        if (r == 0)
                r = broker_check_open(c->broker, &err);
        if (r == 0)
                r = server_find(c->broker, server, account, &c->server, &err);
        if (r == 0) {
                scope_attempts_done(&c->server->step_ups); /* a person has asked */
                r = login_start(c->server, flow, given ? &scopes : NULL, NULL, false, &l, &err);
        }
        if (r < 0) {
                call_fail(c, &err);
                return;
        }
        wait_for_url(l, c);
}

void login_join(struct login *l, struct broker_call *c) {
        wait_for_url(l, c);
}

void handle_login_status(struct broker_call *c) {
        struct error err = ERROR_INIT;
        struct login *l = NULL;

        if (find_login(c, &l, &err) < 0)
                call_fail(c, &err);
        else
                call_reply(c, status_of(l, false));
}

void handle_login_wait(struct broker_call *c) {
        struct error err = ERROR_INIT;
        struct login *l = NULL;

        if (find_login(c, &l, &err) < 0) {
                call_fail(c, &err);
        } else if (l->state == LOGIN_DONE || l->state == LOGIN_FAILED) {
                call_reply(c, status_of(l, false));
        } else {
                c->login = l;
                /* Whoever waits first is taken for the one that opened the browser. */
                c->opener = list_empty(&l->done_waiters);
                list_append(&l->done_waiters, &c->link);
        }
}

void handle_login_cancel(struct broker_call *c) {
        struct error err = ERROR_INIT;
        struct error why = ERROR_INIT;
        struct login *l = NULL;
        struct broker_call *other;
        bool others = false;
        bool too_late;

        if (find_login(c, &l, &err) < 0) {
                call_fail(c, &err);
                return;
        }
        /* Somebody else still wants it: it goes on. The asker's own wait ends with its connection.
         */
        LIST_FOREACH(other, &l->done_waiters, struct broker_call, link)
                others = others || other->who.conn_id != c->who.conn_id;
        LIST_FOREACH(other, &l->url_waiters, struct broker_call, link)
                others = others || other->who.conn_id != c->who.conn_id;
        too_late = l->state > LOGIN_WAITING;
        if (!others && !too_late) {
                (void)error_set(&why, MCPB_LOGIN_CANCELLED, ECANCELED, NULL,
                                "The login was cancelled");
                login_cancel(l, &why);
        }
        call_reply(c, json_pack("{s:b}", "cancelled", !others && !too_late));
}

void handle_login_complete(struct broker_call *c) {
        const char *text = NULL;
        const char *query;
        struct error err = ERROR_INIT;
        struct login *l = NULL;
        int r = find_login(c, &l, &err);

        /* Its code would be somebody else's account, and the grant this user's. */
        if (r == 0 && !owns(l, c))
                r = error_set(&err, MCPB_NOT_PERMITTED, EPERM,
                              "Paste the address where the login was started, or start one with "
                              "mcp-add",
                              "This process has not started the login");
        if (r == 0)
                r = call_string(c, "redirect_url", true, &text, &err);
        if (r == 0)
                r = broker_check_open(c->broker, &err);
        if (r == 0 && (l->state != LOGIN_WAITING || l->by_device))
                r = error_set(&err, MCPB_BAD_REQUEST, EALREADY, NULL,
                              "This login does not wait for a redirect");
        query = r == 0 ? strchr(text, '?') : NULL;
        if (r == 0 && !query)
                r = error_set(
                        &err, MCPB_BAD_PARAMS, EINVAL,
                        "Copy the whole address that the browser shows at the end, from http:// on",
                        "This is not the address that the login ends at");
        if (r < 0) {
                call_fail(c, &err);
                return;
        }
        c->login = l;
        list_append(&l->done_waiters, &c->link);
        if (!login_take_redirect(l, 0, query + 1, &err)) {
                list_remove(&c->link);
                call_fail(c, &err);
        }
}
