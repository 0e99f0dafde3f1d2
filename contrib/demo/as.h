/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization server: which request belongs to which endpoint, registration, and how a
 * client proves who it is.
 */
#pragma once

#include "exchange.h"

enum step as_step(const struct authority *a, const struct request *r);
/* The path behind the issuer's, or NULL. */
const char *as_below(const struct authority *a, const char *path);
void as_handle(struct exchange *x);

/* An error of RFC 6749 5.2. */
void as_error(struct exchange *x, unsigned status, const char *code, const char *description);
void as_no_store(struct exchange *x);
/* 401; @basic: the client used HTTP authentication, and is told so. */
void as_refuse_client(struct exchange *x, bool basic, const char *why);
/* A POST of a form and nothing else; false once an error was answered. */
bool as_form_right(struct exchange *x);
/* The client at the token or revocation endpoint; NULL once an error was answered. */
struct client *as_authenticate(struct exchange *x);
/* What the request's tokens are for, by its parameter resource; NULL: nothing that may be. */
const char *as_resource(const struct exchange *x, const struct form *params);
/* The scopes this server knows, blank-separated. */
const char *as_scopes(const struct exchange *x);
const char *as_scope_default(const struct exchange *x);
