/* SPDX-License-Identifier: Apache-2.0 */
/* From the server's URL to the browser: discovery, registration, the listener, and the record that
 * survives a restart. */
#include <stdio.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/url.h"
#include "broker/ask.h"
#include "broker/internal.h"
#include "broker/later.h"
#include "broker/login-steps.h"
#include "broker/own.h"
#include "broker/release.h"
#include "config/config.h"
#include "oauth/par.h"
#include "oauth/select.h"

/* --- Discovery ------------------------------------------------------------------------------- */

static void found_all(struct login *l);

static void on_discovered(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct error err = ERROR_INIT;
        int r;

        l->fetching = false;
        r = discover_feed(l->discover, answer, &err);
        if (r == 0)
                r = login_discover(l, &err);
        if (r < 0)
                login_end(l, r, &err, "discovery");
}

int login_discover(struct login *l, struct error *err) {
        struct broker *b = l->broker;
        struct fetch_request f;
        int r;

        fetch_request_init(&f);
        r = discover_next(l->discover, &f);
        if (r == 1) {
                r = ask_network(b, FETCH_EXPLORE, &f, on_discovered, l, &l->fetch_id);
                l->fetching = r == 0;
                fetch_request_done(&f);
                return error_fallback(err, r, "asking the server");
        }
        fetch_request_done(&f);
        if (r < 0)
                return error_fallback(err, r, "discovery");
        discover_take_result(l->discover, &l->found);
        l->discover = discover_free(l->discover);
        found_all(l);
        return 0;
}

/* Another issuer than the one that the grant is of (A22, A70): nothing of the old one is used any
 * more. */
void login_note_issuer(struct server *s, const char *issuer) {
        struct error why = ERROR_INIT;

        if (!s->issuer || streq(s->issuer, issuer))
                return;
        (void)error_set(&why, MCPB_LOGIN_REQUIRED, 0, "Log in again if you trust the new one",
                        "%s names another issuer: %s instead of %s", s->name, issuer, s->issuer);
        log_failure(LOG_WARNING, &why, "metadata");
        release_note(s->broker, &(struct release_event){
                                        .event = AUDIT_METADATA_CHANGE, .server = s, .why = &why });
        s->issuer_changed = true;
        server_note_error(s, &why);
        kept_save_soon(&s->record);
}

static unsigned metadata_allow(unsigned reached) {
        return ADDRESS_PUBLIC | reached;
}

static void look_for_registration(struct login *l);

static void found_all(struct login *l) {
        struct server *s = l->server;

        if (l->found.warning)
                log_warning("%s: %s", s->name, l->found.warning);
        if (s->allow == 0 && l->found.reached != 0) {
                s->allow = metadata_allow(l->found.reached);
                kept_save_soon(&s->record); /* a login that survives a restart needs it */
        }
        if (l->found.open) {
                s->open = true;
                server_clear_error(s);
                kept_save_soon(&s->record);
                login_set_state(l, LOGIN_DONE);
                login_finished(l);
                return;
        }
        s->open = false;
        login_note_issuer(s, l->found.issuer);
        broker_cache_as(l->broker, &l->found.as);
        login_set_state(l, LOGIN_LOOKING);
        look_for_registration(l);
}

/* --- Who we are at the issuer ---------------------------------------------------------------- */

static const char *metadata_url_of(const struct login *l) {
        return l->server->metadata_url ? l->server->metadata_url
                                       : l->broker->config->client_metadata_url;
}

/* Credentials are kept by issuer, and never looked up by anything else (A69). A client that
 * somebody entered has its name; one of a metadata document or for logins by device code stands
 * apart from the one that we registered, by which a grant may live. */
static int registration_key_of(struct login *l) {
        AUTO_BUF struct buf b = BUF_INIT;
        const char *which = "";
        const char *kind = "";
        int r;

        if (l->server->client_id) {
                which = l->server->client_id;
        } else if (metadata_url_of(l) && l->found.as.cimd_supported) {
                which = metadata_url_of(l);
                kind = "\ndocument";
        } else if (l->by_device) {
                kind = "\ndevice";
        }
        r = buf_printf(&b, "%s\n%s%s", l->found.issuer, which, kind);

        free(l->registration_key);
        l->registration_key = r < 0 ? NULL : buf_steal(&b);
        return l->registration_key ? 0 : -ENOMEM;
}

static void open_listener(struct login *l);

/* What a document says of us is not ours to keep, but a grant lives by what we made of it. */
static bool must_keep(const struct registration *chosen, const struct registration *stored) {
        return chosen->how == REGISTRATION_METADATA_DOCUMENT &&
               (stored->how != chosen->how || stored->auth != chosen->auth ||
                !streq_null(stored->client_id, chosen->client_id));
}

static void choose(struct login *l, const struct store_item *item) {
        AUTO_REGISTRATION struct registration stored = REGISTRATION_INIT;
        struct error err = ERROR_INIT;
        enum registration_choice choice = REGISTRATION_ASK;
        bool known = item && registration_from_json(&stored, item->value) == 0;
        struct registration_options options = {
                .preregistered = l->server->client_id && known ? &stored : NULL,
                .stored = !l->server->client_id && known && l->n_registered == 0 ? &stored : NULL,
                .client_metadata_url = l->server->client_id ? NULL : metadata_url_of(l),
                .now_sec = clock_wall_usec() / USEC_PER_SEC,
        };
        int r;

        l->generation = item ? item->generation : 0;
        if (l->server->client_id && !known) {
                (void)error_set(&err, MCPB_REGISTRATION_REQUIRED, ENOENT,
                                "Give them again with mcp-add --client-id",
                                "The credentials of client %s at %s are not there",
                                l->server->client_id, l->found.issuer);
                login_fail(l, &err);
                return;
        }
        r = registration_choose(&options, &l->found.as, &choice, &l->registration, &err);
        if (r < 0) {
                login_end(l, r, &err, "choosing a registration");
                return;
        }
        l->must_register = choice == REGISTRATION_ASK;
        l->keep_registration = !l->must_register && must_keep(&l->registration, &stored);
        if (own_is(l->server))
                login_present(l);
        else if (l->by_device)
                login_begin_device(l);
        else
                open_listener(l);
}

static void on_registration(int r, const struct store_item *item, const struct error *err,
                            void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        /* One that is damaged is as good as none: there will be another. */
        if (r == 0 || r == -ENOENT || r == -EBADMSG)
                choose(l, r == 0 ? item : NULL);
        else
                login_store_failed(l, r, err);
}

static void look_for_registration(struct login *l) {
        int r = registration_key_of(l);

        if (r == 0 && own_is(l->server) && !l->server->client_id) {
                login_present(l);
                return;
        }

        if (r == 0)
                r = later_get(l->broker, STORE_REGISTRATION, l->registration_key, on_registration,
                              l);
        login_storing(l, r);
}

void login_register_anew(struct login *l) {
        l->n_registered++;
        broker_forget_as(l->broker, l->found.issuer);
        registration_done(&l->registration);
        authorization_done(&l->authorization);
        l->must_register = true;
        l->opener_chosen = false;
        l->tell_opener = !l->by_device; /* it will be another address than they were told */
        login_set_state(l, LOGIN_REGISTERING);
        if (!l->timer && login_arm_expiry(l) < 0) {
                login_end(l, -ENOMEM, NULL, "registering anew");
                return;
        }
        login_register(l);
}

/* --- The listener ---------------------------------------------------------------------------- */

/* The port of a redirect URI that an issuer knows already: some take no other. */
static uint16_t registered_port(const struct login *l) {
        AUTO_URL struct url u = URL_INIT;

        if (l->must_register || !l->registration.redirect_uri_registered ||
            url_parse(&u, l->registration.redirect_uri_registered, "redirect URI", NULL) < 0 ||
            !u.port_given)
                return 0;
        return u.port;
}

static bool registered_localhost(const struct login *l) {
        return !l->must_register && l->registration.redirect_uri_registered &&
               strncmp(l->registration.redirect_uri_registered, "http://localhost", 16) == 0;
}

static void save_login(struct login *l);

/* A worker that took the place of another does not get the port. Whoever has a browser there still
 * needs another login; what came in already goes on without its page. */
static void listener_lost(struct login *l, int r, const char *reason) {
        struct error err = ERROR_INIT;

        l->listening = false;
        l->page_request = 0;
        if (l->state > LOGIN_WAITING)
                return;
        (void)error_set(&err, MCPB_LOGIN_FAILED, -r, "Start again with mcp-add",
                        "The redirect listener cannot be opened again on port %u: %s",
                        (unsigned)l->port, reason ? reason : strerror(-r));
        login_fail(l, &err);
}

static void on_listening(int r, uint16_t port, const char *reason, void *userdata) {
        struct login *l = userdata;
        AUTO_BUF struct buf uri = BUF_INIT;
        struct error err = ERROR_INIT;

        if (r < 0 && l->state > LOGIN_LISTENING) {
                listener_lost(l, r, reason);
                return;
        }
        if (r < 0) {
                struct broker *b = l->broker;
                uint16_t wanted = l->port;

                l->listening = false;
                if (wanted != 0 && wanted != b->config->redirect_port && !l->restored) {
                        l->port = 0; /* another program has the port: the issuer may take another
                                        all the same */
                        l->no_port_hint = true;
                        open_listener(l);
                        return;
                }
                (void)error_set(&err, MCPB_LOGIN_FAILED, -r,
                                l->restored ? "Start again with mcp-add"
                                            : "Free the port, or set RedirectPort= to another",
                                "The redirect listener cannot be opened on port %u: %s",
                                (unsigned)wanted, reason ? reason : strerror(-r));
                login_fail(l, &err);
                return;
        }
        l->port = port;
        if (l->restored) {
                login_set_state(l, LOGIN_WAITING);
                log_info("The login for %s that was under way goes on", l->server->name);
                login_tell_good_url(l);
                return;
        }
        r = buf_printf(&uri, "http://%s:%u%s", l->other_redirect ? "localhost" : "127.0.0.1",
                       (unsigned)port, l->path);
        free(l->redirect_uri);
        l->redirect_uri = r < 0 ? NULL : buf_steal(&uri);
        if (!l->redirect_uri) {
                login_end(l, -ENOMEM, NULL, "the redirect URI");
                return;
        }
        if (l->must_register) {
                login_set_state(l, LOGIN_REGISTERING);
                login_register(l);
        } else if (l->keep_registration) {
                login_keep_registration(l);
        } else {
                login_set_state(l, LOGIN_SAVING);
                save_login(l);
        }
}

void login_listen(struct login *l) {
        struct broker *b = l->broker;
        struct error err = ERROR_INIT;
        int r = b->workers->listen(b->wud, l->port, l->path, on_listening, login_on_redirect, l,
                                   &l->listener);

        l->listening = r == 0;
        if (r < 0)
                login_end(l, r, &err, "opening the redirect listener");
}

static void open_listener(struct login *l) {
        AUTO_BUF struct buf path = BUF_INIT;
        int r;

        if (l->state == LOGIN_LOOKING)
                login_set_state(l, LOGIN_LISTENING);
        r = authorize_redirect_path(l->found.issuer, l->must_register ? NULL : &l->registration,
                                    &path);
        free(l->path);
        l->path = r < 0 ? NULL : buf_steal(&path);
        if (!l->path) {
                login_end(l, -ENOMEM, NULL, "the redirect path");
                return;
        }
        l->other_redirect = l->other_redirect || registered_localhost(l);
        l->port = l->broker->config->redirect_port;
        if (l->port == 0 && !l->no_port_hint)
                l->port = registered_port(l);
        login_listen(l);
}

/* --- Dynamic registration -------------------------------------------------------------------- */

static struct registration_ask ask_of(const struct login *l) {
        return (struct registration_ask){ .redirect_uri = l->redirect_uri,
                                          .client_name = l->broker->config->client_name,
                                          .device = l->by_device };
}

/* A85: some issuers take no IP literal; the same listener serves both names. */
static bool try_other_redirect(struct login *l) {
        char *other = NULL;

        if (l->by_device || l->other_redirect ||
            registration_other_redirect(l->redirect_uri, &other) < 0 || !other)
                return false;
        free(l->redirect_uri);
        l->redirect_uri = other;
        l->other_redirect = true;
        login_register(l);
        return true;
}

static void on_registration_saved(int r, const struct store_item *item, const struct error *err,
                                  void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        if (r < 0) {
                login_store_failed(l, r, err);
                return;
        }
        l->generation = item->generation;
        save_login(l);
}

void login_keep_registration(struct login *l) {
        AUTO_JSON json_t *value = NULL;
        int r = registration_to_json(&l->registration, &value);

        login_set_state(l, LOGIN_SAVING);
        if (r == 0)
                r = later_put_over(l->broker,
                                   &(struct store_put){ .kind = STORE_REGISTRATION,
                                                        .key = l->registration_key,
                                                        .expect = l->generation,
                                                        .value = value },
                                   on_registration_saved, l);
        login_storing(l, r);
}

static void on_registered(struct fetch_answer *answer, void *userdata) {
        struct login *l = userdata;
        struct registration_ask ask = ask_of(l);
        enum registration_failure failure = REGISTRATION_OK;
        struct error err = ERROR_INIT;
        int r;

        l->fetching = false;
        r = registration_answer(&l->registration, &l->found.as, &ask, answer, &failure, &err);
        if (r == 0)
                login_keep_registration(l);
        else if (failure != REGISTRATION_BAD_REDIRECT || !try_other_redirect(l))
                login_end(l, r, &err, "registration");
}

void login_register(struct login *l) {
        struct broker *b = l->broker;
        struct registration_ask ask = ask_of(l);
        struct error err = ERROR_INIT;
        struct fetch_request f;
        int r;

        fetch_request_init(&f);
        r = registration_request(&f, &l->found.as, &ask, &err);
        if (r == 0) {
                f.allow = l->server->allow;
                r = ask_network(b, FETCH_DEAL, &f, on_registered, l, &l->fetch_id);
                l->fetching = r == 0;
        }
        fetch_request_done(&f);
        if (r < 0)
                login_end(l, r, &err, "registration");
}

/* --- What is recorded before the browser starts (A94) ---------------------------------------- */

int login_choose_scopes(struct login *l, struct scope_set *ret) {
        struct server *s = l->server;

        if (l->step_up)
                return scope_set_copy(ret, &l->scopes);
        return scope_select_login(
                ret, &(struct scope_sources){
                             .challenge = &l->found.challenge,
                             .prm = l->found.has_prm_scopes ? &l->found.prm_scopes : NULL,
                             .user = l->scopes.n > 0 ? &l->scopes : &s->user_scopes,
                             .as = own_issuer_scopes(s, &l->found.as),
                     });
}

/* They live on when the daemon starts anew. */
static json_t *owners_value(const struct login *l) {
        json_t *array = json_array();

        for (unsigned i = 0; array && i < l->n_owners; i++) {
                if (json_array_append_new(
                            array, json_pack("{s:i, s:I}", "pid", l->owners[i].pid, "start_ticks",
                                             (json_int_t)l->owners[i].start_ticks)) < 0) {
                        json_decref(array);
                        return NULL;
                }
        }
        return array;
}

static void restore_owners(struct login *l, const json_t *array) {
        const json_t *item;
        size_t i;

        json_array_foreach(array, i, item) {
                if (l->n_owners < LOGIN_OWNERS_MAX)
                        l->owners[l->n_owners++] =
                                (struct login_owner){ (int)json_get_int(item, "pid", 0),
                                                      (uint64_t)json_get_int(item, "start_ticks",
                                                                             0) };
        }
}

static json_t *login_value(struct login *l) {
        json_t *authorization = NULL;
        json_t *value;
        json_t *as = NULL;
        int r = l->by_device ? device_login_to_json(&l->device, &authorization)
                             : authorization_to_json(&l->authorization, &authorization);

        if (r < 0)
                return NULL;
        if (as_metadata_to_json(&l->found.as, &as) < 0) {
                json_decref(authorization);
                return NULL;
        }
        value = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:o, s:o, s:i, s:I, s:I, s:o, s:b}",
                          "server", l->server_key, "path", l->path ? l->path : "",
                          "registration_key", l->registration_key, "issuer", l->found.issuer,
                          "resource", l->found.resource, "prm_url", l->found.prm_url,
                          l->by_device ? "device" : "authorization", authorization, "as", as,
                          "port", (int)l->port, "created",
                          (json_int_t)(l->created_wall / USEC_PER_SEC), "expires",
                          (json_int_t)(l->expires_wall / USEC_PER_SEC), "owners", owners_value(l),
                          "dpop", l->found.dpop_required);
        if (value && bound_to_json(&l->bound, l->broker->shield, value) == 0)
                return value;
        json_decref(value);
        return NULL;
}

static void start_waiting(struct login *l) {
        login_set_state(l, LOGIN_WAITING);
        if (l->by_device)
                login_poll_later(l);
}

static void on_login_saved(int r, const struct store_item *item, const struct error *err,
                           void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        if (r < 0) {
                login_store_failed(l, r, err);
                return;
        }
        start_waiting(l);
        login_tell_url(l);
}

static int begin_authorization(struct login *l, struct error *err) {
        AUTO_SCOPES struct scope_set scopes = SCOPE_SET_INIT;
        uint64_t now = clock_wall_usec();
        int r = login_choose_scopes(l, &scopes);

        if (r < 0)
                return error_oom(err);
        return authorization_begin(
                &l->authorization,
                &(struct authorization_params){
                        .as = &l->found.as,
                        .registration = &l->registration,
                        .redirect_uri = l->redirect_uri,
                        .resource = l->found.resource,
                        .no_resource = l->server->no_resource,
                        .scopes = &scopes,
                        .challenge = &l->found.challenge,
                        .now_wall = now,
                        .lifetime_sec =
                                l->expires_wall > now ? (l->expires_wall - now) / USEC_PER_SEC : 1,
                },
                err);
}

int login_make_url(struct login *l, struct error *err) {
        AUTO_BUF struct buf url = BUF_INIT;
        int r;

        if (l->by_device)
                return login_device_url(l) < 0 ? error_oom(err) : 0;
        r = authorization_url(&url, &l->authorization, &l->found.as, err);
        if (r < 0)
                return r;
        (void)str_wipe_free(l->url);
        l->url = buf_steal(&url);
        return l->url ? 0 : error_oom(err);
}

static void put_login(struct login *l) {
        AUTO_JSON json_t *value = login_value(l);
        int r = value ? 0 : -ENOMEM;

        if (r == 0)
                r = store_put(
                        l->broker->store,
                        &(struct store_put){ .kind = STORE_LOGIN, .key = l->id, .value = value },
                        on_login_saved, l);
        login_storing(l, r);
}

void login_save(struct login *l) {
        struct error err = ERROR_INIT;
        int r = login_make_url(l, &err);

        if (r < 0) {
                login_end(l, r, &err, "the authorization request");
                return;
        }
        if (l->state != LOGIN_SAVING)
                login_set_state(l, LOGIN_SAVING);
        put_login(l);
}

static void save_login(struct login *l) {
        struct error err = ERROR_INIT;
        int r;

        if (l->by_device) {
                login_ask_code(l);
                return;
        }
        r = begin_authorization(l, &err);
        if (r < 0)
                login_end(l, r, &err, "the authorization request");
        else if (par_wanted(&l->found.as))
                login_push(l);
        else
                login_save(l);
}

/* --- After a restart ------------------------------------------------------------------------- */

static void on_restored_registration(int r, const struct store_item *item, const struct error *err,
                                     void *userdata) {
        struct login *l = userdata;

        if (login_unwanted(l))
                return;
        if (r == 0)
                r = registration_from_json(&l->registration, item->value);
        if (r < 0) {
                login_store_failed(l, r, err);
                return;
        }
        if (!l->by_device) {
                login_listen(l);
                return;
        }
        log_info("The login for %s that was under way goes on", l->server->name);
        start_waiting(l);
        login_tell_url(l);
}

static int restore_members(struct login *l, const json_t *value) {
        const struct {
                const char *name;
                char **member;
                bool required;
        } members[] = {
                { "server", &l->server_key, true },
                { "path", &l->path, true },
                { "registration_key", &l->registration_key, true },
                { "issuer", &l->found.issuer, true },
                { "resource", &l->found.resource, true },
                { "prm_url", &l->found.prm_url, false },
        };
        int r;

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const char *text = json_get_string(value, members[i].name);

                if (!text && members[i].required)
                        return -EBADMSG;
                if (!text)
                        continue;
                *members[i].member = strdup(text);
                if (!*members[i].member)
                        return -ENOMEM;
        }
        restore_owners(l, json_object_get(value, "owners"));
        l->found.dpop_required = json_get_bool(value, "dpop", false);
        l->port = (uint16_t)json_get_int(value, "port", 0);
        l->created_wall = (uint64_t)json_get_int(value, "created", 0) * USEC_PER_SEC;
        l->expires_wall = (uint64_t)json_get_int(value, "expires", 0) * USEC_PER_SEC;
        l->by_device = json_object_get(value, "device") != NULL;
        if (l->by_device)
                r = login_device_from_json(l, json_object_get(value, "device"));
        else
                r = authorization_from_json(&l->authorization,
                                            json_object_get(value, "authorization"));
        if (r == 0)
                r = as_metadata_from_json(&l->found.as, json_object_get(value, "as"));
        if (r == 0)
                r = bound_from_json(&l->bound, l->broker->shield, value);
        return r;
}

int login_restore(struct broker *b, const struct store_item *item, struct error *err) {
        struct login *l = NULL;
        int r = login_new(b, item->key, &l);

        if (r < 0)
                return error_oom(err);
        r = restore_members(l, item->value);
        if (r == 0) {
                l->server = strmap_get(b->servers, l->server_key);
                if (!l->server || l->server->login || l->expires_wall <= clock_wall_usec())
                        r = -ESTALE;
        }
        if (r == 0)
                r = login_make_url(l, err);
        if (r == 0)
                r = login_arm_expiry(l);
        if (r == 0)
                r = later_get(b, STORE_REGISTRATION, l->registration_key, on_restored_registration,
                              l);
        if (r < 0) {
                (void)login_free(l);
                return r;
        }
        l->n_storing++;
        l->restored = true;
        l->state = LOGIN_LISTENING;
        l->server->login = l;
        return 0;
}
