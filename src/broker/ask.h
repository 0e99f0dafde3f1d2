/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every request of the domain to the network goes through here, so that the address rules of the
 * configuration hold for all.
 */
#pragma once

#include "broker/workers.h"

struct broker;

/* As broker_workers.fetch. @f is moved; its allow mask is widened for the hosts of AllowPrivate=
 * (S8). */
int ask_network(struct broker *b, enum fetch_via via, struct fetch_request *f, fetch_done_fn fn,
                void *userdata, uint64_t *ret_id) MUST_CHECK;
