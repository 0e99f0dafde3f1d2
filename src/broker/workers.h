/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the domain needs from the processes around it, as functions: the keeper carries them out
 * over its channels, a test answers them itself. None of them calls back before it returns.
 */
#pragma once

#include "base/json.h"
#include "wire/evidence.h"
#include "wire/fetch.h"
#include "wire/order.h"

struct kdf_params;
struct secret;
struct caller;

/* @answer is the callee's to read and take from; it is done with afterwards. */
typedef void (*fetch_done_fn)(struct fetch_answer *answer, void *userdata);
/* @r 0 and the port, or -errno and a reason for people. After a 0 a failure may follow: a worker
 * that took the place of another cannot open the port again. With a failure the listener is gone.
 */
typedef void (*listen_done_fn)(int r, uint16_t port, const char *reason, void *userdata);
/* A browser came to the path: @query is what stood behind the '?'. Answer with page(). */
typedef void (*redirect_fn)(uint64_t request, const char *query, void *userdata);
/* @key is handed over on success. */
typedef void (*derive_done_fn)(int r, struct secret *key, void *userdata);
typedef void (*attest_done_fn)(int r, const struct evidence *e, const struct error *err,
                               void *userdata);
/* @r 0, and @answer of a call (which may be the news that there is none) or @bytes of what was read
 * or said: the callee's to read and take from. Or -errno and @err, which names the file, the
 * command or the socket. */
typedef void (*order_done_fn)(int r, struct fetch_answer *answer, struct buf *bytes,
                              const struct error *err, void *userdata);

struct broker_workers {
        /* Moves @f; *@ret_id names it for fetch_forget(). -errno only if nothing was started. */
        int (*fetch)(void *w, enum fetch_via via, struct fetch_request *f, fetch_done_fn fn,
                     void *userdata, uint64_t *ret_id);
        /* The answer is not wanted any more: it will not be delivered. */
        void (*fetch_forget)(void *w, uint64_t id);
        /* Opens a loopback listener for one login; @port 0 lets the system choose. */
        int (*listen)(void *w, uint16_t port, const char *path, listen_done_fn done,
                      redirect_fn on_redirect, void *userdata, uint64_t *ret_id);
        void (*page)(void *w, uint64_t listener, uint64_t request, unsigned status,
                     struct buf *html);
        void (*unlisten)(void *w, uint64_t listener);
        /* Derives a wrapping key from a passphrase (moved) in a process of its own. */
        int (*derive)(void *w, const struct kdf_params *params, struct buf *passphrase,
                      derive_done_fn done, void *userdata);
        /* One order for a process of its own. Moves @o; *@ret_id names it for order_forget().
         * -errno only if nothing was started: -EINVAL for an order that is none, -EBUSY for too
         * many. */
        int (*order)(void *w, struct order *o, order_done_fn fn, void *userdata, uint64_t *ret_id);
        /* As fetch_forget(); a command that runs is stopped. */
        void (*order_forget)(void *w, uint64_t id);
        int (*attest)(void *w, const struct caller *who, attest_done_fn done, void *userdata);
        /* "stop" or "reload": the supervisor's job. */
        void (*control)(void *w, const char *what);
        /* An array of {name, pid, ...}: new reference or NULL. */
        json_t *(*processes)(void *w);
};
