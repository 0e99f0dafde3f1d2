/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of a grant: its tokens are revoked as far as the issuer lets us (RFC 7009), and its
 * record goes in any case (A152).
 */
#pragma once

#include "base/error.h"

struct grant;
struct removal;

/* @revoked: the issuer has said so; else @err says why not (informational). The grant is gone when
 * this is called. */
typedef void (*removal_done_fn)(bool revoked, const struct error *err, void *userdata);

/* Waits until no operation of the grant is under way. @fn may be NULL. Takes the grant: it is freed
 * at the end. */
int removal_start(struct grant *g, removal_done_fn fn, void *userdata) MUST_CHECK;
/* From grant_pump(), in state REMOVING. */
void removal_go(struct removal *r);
