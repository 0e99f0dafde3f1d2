/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one table of methods of the public socket, and who may call them (DESIGN 6). A test walks it.
 */
#pragma once

#include "base/util.h"

enum method_class {
        METHOD_OPEN,   /* before session.open */
        METHOD_USE,    /* any attested peer that policy lets in */
        METHOD_MANAGE, /* a person's tools: our own programs, on the main socket */
        METHOD_ADMIN,
        METHOD_CLASS_COUNT,
};

#define METHOD_TABLE(X)                                    \
        X(SESSION_OPEN, "session.open", METHOD_OPEN)       \
        X(TOKEN_GET, "token.get", METHOD_USE)              \
        X(TOKEN_REJECT, "token.reject", METHOD_USE)        \
        X(TOKEN_PROOF, "token.proof", METHOD_USE)          \
        X(AUDIT_RECORD, "audit.record", METHOD_USE)        \
        X(LOGIN_STATUS, "login.status", METHOD_USE)        \
        X(LOGIN_WAIT, "login.wait", METHOD_USE)            \
        X(SERVER_ADD, "server.add", METHOD_MANAGE)         \
        X(SERVER_LIST, "server.list", METHOD_MANAGE)       \
        X(SERVER_SHOW, "server.show", METHOD_MANAGE)       \
        X(SERVER_REMOVE, "server.remove", METHOD_MANAGE)   \
        X(LOGIN_START, "login.start", METHOD_MANAGE)       \
        X(LOGIN_COMPLETE, "login.complete", METHOD_MANAGE) \
        X(LOGIN_CANCEL, "login.cancel", METHOD_MANAGE)     \
        X(BROKER_STATUS, "broker.status", METHOD_ADMIN)    \
        X(BROKER_LOCK, "broker.lock", METHOD_ADMIN)        \
        X(BROKER_UNLOCK, "broker.unlock", METHOD_ADMIN)    \
        X(BROKER_RELOAD, "broker.reload", METHOD_ADMIN)    \
        X(BROKER_STOP, "broker.stop", METHOD_ADMIN)

enum method {
#define X(constant, name, class) METHOD_##constant,
        METHOD_TABLE(X)
#undef X
                METHOD_COUNT,
};

const char *method_name(enum method m);
enum method_class method_class(enum method m);
int method_from_name(const char *name, enum method *ret) MUST_CHECK; /* -ENOENT */
