/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers that need no person: what an identity, or a client's own credential, is shown for. They
 * come up by themselves, and what they have is fetched anew before it ends. A failure is final for
 * a while: an assertion that was refused is not minted again and again.
 */
#pragma once

#include "base/error.h"
#include "base/present.h"
#include "config/own.h"

struct as_metadata;
struct broker;
struct grant;
struct present_profile;
struct scope_set;
struct server;

/* What the configuration alone cannot judge: the provider, the profile and what is sent along.
 * BAD_CONFIG. */
int own_check(const struct own_settings *o, struct error *err) MUST_CHECK;
/* NULL: there is none, or none of that name. */
const struct present_profile *own_profile(const struct own_settings *o);
/* What is sent along: a new object; NULL: nothing. */
int own_extra(const struct own_settings *o, json_t **ret) MUST_CHECK;
/* PRESENT_BROWSER: a person has to log in. */
enum present own_present(const struct server *s);
bool own_is(const struct server *s);
/* The server by which this grant is fetched without a person; NULL: there is none. */
struct server *own_of(const struct grant *g);

/* The issuer's list of scopes where a login may want more than the server asks for; NULL: nobody
 * who can always ask again needs offline_access, and a strict issuer refuses it (A151). */
const struct scope_set *own_issuer_scopes(const struct server *s, const struct as_metadata *as);

/* Is it too early to try again? Then @err says why the last attempt failed. */
bool own_holds(const struct server *s, struct error *err);
/* @final: the issuer has said no, or what is configured is wrong. */
void own_failed(struct server *s, bool final);
void own_succeeded(struct server *s);

/* Begins for each that has no token: after the start, and after each reload. */
void own_come_up(struct broker *b);
/* Another token ahead of need. */
void own_renew(struct grant *g);
