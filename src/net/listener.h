/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener of one login: takes the redirect of the user's browser on 127.0.0.1 and nothing else
 * (A102, A104, A112, A123). A redirect is handed up as raw bytes and waits; the page that comes
 * back is not its answer: the browser is sent on to /done/<random> and finds it there, once, so
 * that neither page, Referer nor current URL hold a code (DESIGN 12.11).
 *
 * Connections of other users' processes are closed at once. Requests, connections, bytes and time
 * are bounded. After a page with status 200, or listener_finish(), no redirect is taken any more;
 * the listener ends when the page was fetched, or soon after.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/buf.h"
#include "base/error.h"
#include "net/sockowner.h"

struct listener;

struct listener_options {
        const char *path; /* redirect_path_valid() */
        uint16_t port;    /* 0: the system chooses */
        bool ipv6;        /* [::1] instead of 127.0.0.1 */
};

struct listener_ops {
        /* A redirect has come; listener_page() answers it. @query is borrowed, and may be taken. */
        void (*on_redirect)(struct listener *l, uint64_t request, struct buf *query,
                            void *userdata);
        /* Nothing more will come: the owner frees it, here or later. Called from the loop. */
        void (*on_end)(struct listener *l, void *userdata);
};

/* Listens at once. @owner and @ops must outlive it. */
int listener_new(sd_event *event, const struct sockowner *owner,
                 const struct listener_options *options, const struct listener_ops *ops,
                 void *userdata, struct listener **ret, struct error *err) MUST_CHECK;
/* Closes everything now; who still waits is told that the login is over. */
struct listener *listener_free(struct listener *l);

uint16_t listener_port(const struct listener *l);

/*
 * The page for @request: a whole HTML document, moved. 0; -ENOENT if nobody waits for it any more;
 * -EINVAL for a status other than 200 and 400; -ENOMEM.
 */
int listener_page(struct listener *l, uint64_t request, unsigned status, struct buf *html)
        MUST_CHECK;

/* No more redirects; what is promised is still served. on_end() follows. */
void listener_finish(struct listener *l);
