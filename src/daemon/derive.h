/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A key from a passphrase, made by a one-shot child: the keeper's end of the stream to it. Session
 * passes the other end on and reads nothing of it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "broker/workers.h"

/* Moves the passphrase. @ret_child is the end for the child: the caller's to send and close. @done
 * comes once, later. */
int derive_start(sd_event *event, const struct kdf_params *params, struct buf *passphrase,
                 derive_done_fn done, void *userdata, int *ret_child) MUST_CHECK;
