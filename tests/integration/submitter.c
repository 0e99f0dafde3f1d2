/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program with a loop of its own: submits N requests for a token of SERVER at once, makes a call
 * that blocks when the first is answered, and prints what it got, a line each.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "mcpbroker.h"

struct work {
        mcpb_client *c;
        mcpb_token_request request;
        unsigned long n_told;
        int failed;
};

static void print(struct work *w, int r, mcpb_token *token, const mcpb_error *err) {
        w->failed |= r < 0;
        (void)printf("%s\n", r < 0 ? err->code : token->token);
        (void)mcpb_token_free(token);
}

static void on_token(int r, mcpb_token *token, const mcpb_error *err, void *userdata) {
        struct work *w = userdata;
        mcpb_error e = MCPB_ERROR_INIT;
        mcpb_token *t = NULL;

        print(w, r, token, err);
        if (w->n_told++ > 0)
                return;
        r = mcpb_token_get(w->c, &w->request, &t, &e);
        print(w, r, t, &e);
        mcpb_error_done(&e);
}

static int turn(mcpb_client *c) {
        struct pollfd p = { .fd = mcpb_client_fd(c), .events = (short)mcpb_client_events(c) };

        return poll(&p, 1, mcpb_client_timeout(c)) < 0 ? -1 : mcpb_dispatch(c);
}

int main(int argc, char **argv) {
        struct work w = { .request = MCPB_TOKEN_REQUEST_INIT };
        mcpb_error err = MCPB_ERROR_INIT;
        unsigned long n;
        int r;

        if (argc != 3)
                return 2;
        n = strtoul(argv[1], NULL, 10); /* lint: allow strtoul: it links the library alone */
        w.request.server = argv[2];
        r = mcpb_client_new(NULL, &w.c, &err);
        for (unsigned long i = 0; r == 0 && i < n; i++)
                r = mcpb_token_submit(w.c, &w.request, on_token, &w, NULL, &err);
        while (r == 0 && w.n_told < n)
                r = turn(w.c);
        if (r < 0)
                (void)fprintf(stderr, "%s: %s\n", err.code, err.message);
        w.c = mcpb_client_free(w.c);
        mcpb_error_done(&err);
        return r < 0 || w.failed;
}
