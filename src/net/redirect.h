/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request at the redirect listener is, judged from its head alone: pure, so that a table and
 * a fuzzer can ask it anything. Whoever can reach 127.0.0.1 can send one (web pages by DNS
 * rebinding included), so whatever is not exactly the request that the login waits for has no
 * effect (A112).
 */
#pragma once

#include "base/util.h"

#define REDIRECT_PATH_MAX 128
#define REDIRECT_QUERY_MAX ((size_t)16 * 1024)
#define REDIRECT_DONE "/done/" /* where the page stands that holds no code */

enum redirect_verdict {
        REDIRECT_TAKE,      /* the answer of the authorization server */
        REDIRECT_PAGE,      /* asks for a page that was promised */
        REDIRECT_BAD,       /* 400: not meant for us */
        REDIRECT_NOT_FOUND, /* 404 */
        REDIRECT_METHOD,    /* 405: right place, wrong method */
        REDIRECT_VERDICT_COUNT,
};

struct redirect_request {
        const char *method;
        const char *target; /* as on the request line */
        const char *host;   /* the Host field; NULL if there is none or more than one */
};

/*
 * @path is the one of this login, @host the only Host that counts. @ret_rest is set within
 * request->target: the raw query for REDIRECT_TAKE ("" if none), the page's name for REDIRECT_PAGE.
 */
enum redirect_verdict redirect_judge(const struct redirect_request *request, const char *path,
                                     const char *host, const char **ret_rest);

/* A path that a listener may be asked to serve: "/callback/Zm9v", plain characters only, and
 * none of our own. */
bool redirect_path_valid(const char *path);
