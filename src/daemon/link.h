/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A channel to another of our processes, tied to the loop: frames come in by a callback, and the
 * end of the other side is told once.
 */
#pragma once

#include <systemd/sd-event.h>

#include "wire/chan.h"

struct link;

struct link_ops {
        /* One frame; the callee may take its body and descriptors. < 0: the other side talks
         * nonsense, the link ends. */
        int (*on_frame)(struct frame *f, void *userdata);
        /* The other side is gone (or was shown the door). The link is still the owner's to free;
         * nothing follows. */
        void (*on_closed)(void *userdata);
};

/* Takes over @fd, also on failure. */
int link_new(sd_event *event, int fd, const struct link_ops *ops, void *userdata,
             const char *description, struct link **ret) MUST_CHECK;
struct link *link_free(struct link *l);
/* As chan_send(). The body (may be NULL) is moved. */
int link_send(struct link *l, const json_t *head, struct buf *body, const int *fds, size_t n_fds)
        MUST_CHECK;
/* Sends a head that is taken over, without body and descriptors. */
int link_send_head(struct link *l, json_t *head) MUST_CHECK;
/* Takes what has come in by now, without waiting for the loop. */
void link_read(struct link *l);
/* From here on the callbacks are told @userdata. */
void link_set_userdata(struct link *l, void *userdata);
bool link_idle(const struct link *l); /* all that was sent has gone */
