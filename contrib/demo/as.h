/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The authorization server: which request belongs to which endpoint, its metadata, registration,
 * and how a client proves who it is.
 */
#pragma once

#include "exchange.h"

enum step as_step(const struct demo *d, const struct request *r);
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
const char *as_resource(const struct demo *d, const struct form *params);
/* A member that is an array of these blank-separated words. */
void as_set_words(json_t *doc, const char *name, const char *words);
/* The scopes this server knows, blank-separated. */
const char *as_scopes(const struct demo *d);
