/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders that processes of their own carry out: the keeper's ends of the streams to them. Session
 * starts the processes and passes the other ends on; it reads nothing of what goes over them. A few
 * are under way at once, the others wait for their turn, and for a session that is being started
 * again; nothing waits for ever.
 */
#pragma once

#include <systemd/sd-event.h>

#include "broker/workers.h"

struct orders;

/* Has session start a process on @fd, which is borrowed. */
typedef int (*orders_start_fn)(uint64_t id, int fd, void *userdata);

int orders_new(sd_event *event, orders_start_fn start, void *userdata, struct orders **ret)
        MUST_CHECK;
struct orders *orders_free(struct orders *o); /* tells nobody; what runs is stopped */

/* As broker_workers.order; @id is the caller's to choose. */
int orders_add(struct orders *o, uint64_t id, struct order *order, order_done_fn fn, void *userdata)
        MUST_CHECK;
void orders_forget(struct orders *o, uint64_t id);

/* What session says: the process has ended (@err NULL), or could not be started. */
void orders_ended(struct orders *o, uint64_t id, const struct error *err);
void orders_session_here(struct orders *o);
void orders_session_gone(struct orders *o); /* and its children with it */
