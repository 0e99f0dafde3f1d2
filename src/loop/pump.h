/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ties an object that reads and writes one descriptor (a chan, a client connection) to the loop, so
 * that the object itself need not know it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/util.h"

struct pump;

struct pump_ops {
        /*
         * The descriptor is ready. Less than 0: the object is done for, and the pump falls silent.
         * It may call pump_free(): then it is the last thing it does, and its return value is not
         * looked at.
         */
        int (*on_ready)(void *userdata, uint32_t revents);
        /* What to wait for: POLLIN, POLLOUT; 0 = nothing for now, not even the end of the
         * stream. */
        short (*events)(void *userdata);
        int64_t priority; /* enum loop_priority */
};

/* The descriptor stays the caller's and must outlive the pump. */
int pump_new(sd_event *e, int fd, const struct pump_ops *ops, void *userdata,
             const char *description, struct pump **ret) MUST_CHECK;
/* Asks events() again: after queueing output, or taking input that had filled up. Not needed inside
 * on_ready(). */
void pump_update(struct pump *p);
struct pump *pump_free(struct pump *p);
