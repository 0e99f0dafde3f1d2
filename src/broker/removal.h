/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a grant: its tokens are revoked as far as the issuer lets us (RFC 7009), and its
 * record goes in any case (A152).
 */
#pragma once

#include "base/error.h"
#include "base/json.h"

struct broker;
struct grant;
struct removal;

/* @revoked: the issuer has said so; else @err says why not (informational). The grant is gone when
 * this is called, and its record too unless @err is CANCELLED. */
typedef void (*removal_done_fn)(bool revoked, const struct error *err, void *userdata);

/* Waits until no operation of the grant is under way. @fn may be NULL. Takes the grant: it is freed
 * at the end. */
int removal_start(struct grant *g, removal_done_fn fn, void *userdata) MUST_CHECK;
/* Tokens that came for nobody any more, and were never stored: they are revoked, best effort.
 * @value is the record that there would have been, @name any that no grant has, @allow the address
 * classes of the server. */
void removal_of_unkept(struct broker *b, const char *name, const json_t *value, unsigned allow);
/* From grant_pump(), in state REMOVING. */
void removal_go(struct removal *r);
/* A login has put another object in the place of the grant: that one is to be removed. */
void removal_move(struct removal *r, struct grant *to);
/* The grant is freed by others (a lock that could wait no longer): the removal is given up, and @fn
 * is told so by CANCELLED. */
void removal_abandon(struct removal *r);
