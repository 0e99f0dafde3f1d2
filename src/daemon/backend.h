/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's folder, as the keeper sees it: every operation is a frame to the writer and its
 * answer.
 */
#pragma once

#include <systemd/sd-event.h>

#include "store/store.h"

struct backend;

/* Takes over @fd. @on_lost: the writer is gone, and the keeper with it. */
int backend_new(sd_event *event, int fd, void (*on_lost)(void *userdata), void *userdata,
                struct backend **ret) MUST_CHECK;
/* What is under way ends with -ECANCELED. */
struct backend *backend_free(struct backend *b);
const struct store_backend_ops *backend_ops(void);
/* The writer's account of its sandbox; borrowed, NULL until it has come. */
const json_t *backend_sandbox(const struct backend *b);
