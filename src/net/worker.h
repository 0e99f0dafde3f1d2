/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The network worker as its owner, the keeper, sees it: frames in, frames out (DESIGN 3). It does
 * what it is asked and knows no OAuth. The keeper is trusted to ask for the right things, and not
 * trusted to speak nonsense: a frame that is not ours ends the worker, and the supervisor starts
 * another.
 *
 *   out  {"op":"sandbox","sandbox":{...}}   once, first: what the kernel granted
 *   in   {"op":"fetch",...} + body          see wire/fetch.h
 *   in   {"op":"cancel","id":N}             no answer follows; one may be on its way already
 *   out  {"op":"answer",...} + body         exactly one for each fetch that is not cancelled
 * deal only:
 *   in   {"op":"listen","id":N,"port":P,"path":"/callback/X"[,"ipv6":true]}   port 0: any
 *   out  {"op":"listening","id":N,"port":P}
 *   out  {"op":"listen-failed","id":N,"reason":"..."}
 *   out  {"op":"redirect","id":N,"request":R} + the raw query
 *   in   {"op":"page","id":N,"request":R,"status":S} + a whole HTML document
 *                                           S is 200, which ends the listening, or 400
 *   in   {"op":"unlisten","id":N}
 * A page, unlisten or cancel for something that is over is no error: it may have crossed what ended
 * it.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/error.h"
#include "http/client.h"
#include "net/sockowner.h"
#include "sandbox/sandbox.h"
#include "wire/fetch.h"

struct worker;

struct worker_options {
        enum fetch_via via;
        int fd; /* the non-blocking stream to the keeper: taken over */
        struct http_options http;
        const struct sockowner *owner; /* deal only; must outlive the worker */
};

/*
 * Serves until the stream ends; then leaves the loop with sd_event_exit(): 0, or -errno for what
 * was no frame of ours. On failure the descriptor is closed.
 */
int worker_new(sd_event *event, const struct worker_options *options, struct worker **ret,
               struct error *err) MUST_CHECK;
/* First thing after closing in: what the kernel granted, for the status. */
int worker_tell_sandbox(struct worker *w, const struct sandbox_report *report) MUST_CHECK;
struct worker *worker_free(struct worker *w);
