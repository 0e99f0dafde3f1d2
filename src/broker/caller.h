/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and how the answer finds its way back: the words between the socket (rpc) and the
 * domain (broker).
 */
#pragma once

#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"
#include "wire/evidence.h"
#include "wire/methods.h"

struct broker;
struct broker_call;

/* An attested peer. Borrowed for the length of broker_call(), which copies what it keeps; the pidfd
 * stays the connection's. */
struct caller {
        uid_t uid;
        gid_t gid;
        pid_t pid;
        int pidfd;
        uint64_t conn_id;
        const struct evidence *evidence;
        bool manage;     /* one of our own programs, on the main socket */
        char client[64]; /* what it calls itself: logged, never believed */
};

/* Exactly one of @result and @err is given; all are borrowed for the length of the call. @err_data
 * (may be NULL) is an object whose members join the error's data. */
typedef void (*broker_reply_fn)(json_t *result, const struct error *err, json_t *err_data,
                                void *userdata);

/*
 * Starts one request. The answer may come before this returns: then *@ret is NULL. Otherwise *@ret
 * is good until the reply function is called, which happens exactly once unless the call is
 * abandoned.
 */
int broker_call(struct broker *b, const struct caller *who, enum method m, const json_t *params,
                broker_reply_fn fn, void *userdata, struct broker_call **ret) MUST_CHECK;

/* The peer went away: the reply function will not be called any more. What others wait for goes on.
 */
void broker_call_abandon(struct broker_call *c);
