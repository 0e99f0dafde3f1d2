/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a login, shared by the files that carry them out: login.c (who waits, the methods),
 * login-begin.c (from the URL to the browser), login-push.c (what is pushed), login-device.c
 * (without a redirect), login-finish.c (from the redirect to the grant).
 */
#pragma once

#include "broker/login.h"

int login_new(struct broker *b, const char *id, struct login **ret) MUST_CHECK;
int login_arm_expiry(struct login *l) MUST_CHECK;
/* The next request of discovery, or on to the registration. Fails only before anything was started.
 */
int login_discover(struct login *l, struct error *err) MUST_CHECK;
/* Starts anew from the registration: the issuer did not know the one we used (A88). */
void login_register_anew(struct login *l);
/* The redirect came, by the listener (@request for the page) or pasted (0). False: it belongs to no
 * login of ours, and nothing has changed. */
bool login_take_redirect(struct login *l, uint64_t request, const char *query, struct error *err);
void login_join(struct login *l, struct broker_call *c);
/* The login ends with @err (may be NULL), or where that is empty with what @r means for @doing:
 * whatever it holds up goes on, and everybody is told. */
void login_end(struct login *l, int r, const struct error *err, const char *doing);
/* The same where the store said no. */
void login_store_failed(struct login *l, int r, const struct error *err);
/* @r is what the store returned: its callback will come, or the login ends. */
void login_storing(struct login *l, int r);
/* No code is on its way any more. Harmless where that is said already. */
void login_operation_end(struct login *l);
/* Another login writes the same grant: this one does not wait for it any longer. */
void login_superseded(struct login *l);
void login_page(struct login *l, uint64_t request, unsigned status, const struct error *err);
void login_register(struct login *l);
/* It becomes durable, then what follows the registration. */
void login_keep_registration(struct login *l);
/* The request goes to the issuer, then login_save() (login-push.c). */
void login_push(struct login *l);
/* For a login that waits: then login_tell_url(). */
void login_push_again(struct login *l);
/* Too late to tell it to anybody. */
bool login_url_is_stale(const struct login *l);
/* From the authorization request. */
int login_make_url(struct login *l, struct error *err) MUST_CHECK;
/* The URL, and the record: then the login waits for its browser. */
void login_save(struct login *l);
/* No answer to a request is waited for any more. */
void login_stop_fetching(struct login *l);
/* Without a person: gets an identity and shows it (login-own.c). */
void login_present(struct login *l);
/* By device code (login-device.c): after the registration was looked for; once there is one; after
 * the record was written or read. */
void login_begin_device(struct login *l);
void login_ask_code(struct login *l);
void login_poll_later(struct login *l);
int login_device_url(struct login *l) MUST_CHECK;
int login_device_from_json(struct login *l, const json_t *value) MUST_CHECK; /* -EBADMSG */
/* What the grant's record will say of a login without an authorization request. */
int login_note_request(struct login *l) MUST_CHECK;
/* What the login asks for. @ret must be empty. */
int login_choose_scopes(struct login *l, struct scope_set *ret) MUST_CHECK;
/* The issuer's answer is in l->reply: on to the grant. */
void login_take_reply(struct login *l);
void login_server_is_gone(struct login *l);
/* Where the server takes only tokens that are bound to a key: makes one, once. */
int login_bind(struct login *l) MUST_CHECK;
/* Does the token do, whatever it is bound to? */
int login_check_bound(const struct login *l, struct error *err) MUST_CHECK;
/* The server names this issuer now: another than before is recorded, and needs a person. */
void login_note_issuer(struct server *s, const char *issuer);
void login_listen(struct login *l);
void login_on_redirect(uint64_t request, const char *query, void *userdata);
/* The grant of the same key has no operation under way: the new record may be written. Called from
 * grant_when_quiet(). */
void login_store_grant(struct login *l);
