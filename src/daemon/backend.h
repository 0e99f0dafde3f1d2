/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's folder, as the keeper sees it: every operation is a frame to the writer and its
 * answer.
 */
#pragma once

#include <systemd/sd-event.h>

#include "store/store.h"

struct backend;

/* Takes over @fd, also on failure. */
int backend_new(sd_event *event, int fd, struct backend **ret) MUST_CHECK;
/* A new writer took the place of one that died: it is asked everything that the old one had not
 * answered. Every request can be carried out twice. Takes over @fd, also on failure. Where none
 * comes in LIMIT_WRITER_MSEC, what waits for it ends with -ETIMEDOUT, and what is asked from then
 * on fails with that at once, until one is there. */
int backend_attach(struct backend *b, int fd) MUST_CHECK;
/* What is under way ends with -ECANCELED. */
struct backend *backend_free(struct backend *b);
const struct store_backend_ops *backend_ops(void);
/* The writer's account of its sandbox; borrowed, NULL until it has come. */
const json_t *backend_sandbox(const struct backend *b);
