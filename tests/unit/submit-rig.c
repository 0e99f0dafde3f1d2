/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "submit-rig.h"

#include <poll.h>

/* --- what was told ---------------------------------------------------------------------------- */

unsigned n_told;

void on_answer(int r, const char *result, const mcpb_error *err, void *userdata) {
        struct told *t = userdata;

        assert_int_equal(t->order, 0);
        assert_true((r == 0) == (result != NULL));
        assert_true((r == 0) == (err->code[0] == '\0'));
        t->order = ++n_told;
        t->r = r;
        (void)snprintf(t->code, sizeof(t->code), "%s", err->code);
        (void)snprintf(t->text, sizeof(t->text), "%s", result ? result : "");
}

void on_token(int r, mcpb_token *token, const mcpb_error *err, void *userdata) {
        on_answer(r, token ? token->token : NULL, err, userdata);
        (void)mcpb_token_free(token);
}

void on_never(int r, const char *result, const mcpb_error *err, void *userdata) {
        fail_msg("a function was called that must not be");
}

/* From the test to the script: go on. */
static int go[2];

int submit_setup(void **state) {
        n_told = 0;
        return pipe(go) < 0 ? -1 : fake_setup(state);
}

int submit_teardown(void **state) {
        (void)close(go[0]);
        (void)close(go[1]);
        return fake_teardown(state);
}

void submit(mcpb_client *c, const char *method, struct told *t) {
        mcpb_error err = MCPB_ERROR_INIT;

        if (mcpb_submit(c, method, NULL, on_answer, t, NULL, &err) < 0)
                fail_msg("%s: %s", err.code, err.message);
}

void submit_token(mcpb_client *c, struct told *t) {
        mcpb_token_request q = MCPB_TOKEN_REQUEST_INIT;

        q.server = "x";
        assert_int_equal(mcpb_token_submit(c, &q, on_token, t, NULL, NULL), 0);
}

/* One turn of a loop as a program has it. */
void turn(mcpb_client *c) {
        struct pollfd p = { .fd = mcpb_client_fd(c), .events = (short)mcpb_client_events(c) };

        assert_true(poll(&p, 1, mcpb_client_timeout(c)) >= 0);
        assert_int_equal(mcpb_dispatch(c), 0);
}

void until_told(mcpb_client *c, unsigned n) {
        while (n_told < n)
                turn(c);
        assert_int_equal(n_told, n);
}

void submit_end(mcpb_client *c) {
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

/* --- in the script ---------------------------------------------------------------------------- */

/* Reads a request and returns its id. */
int take_request(int fd, const char *method) {
        AUTO_JSON json_t *m = fake_read(fd);

        require(m && streq(json_get_string(m, "method"), method));
        return (int)json_get_int(m, "id", -1);
}

void say_answer(int fd, int id, const char *answer) {
        char line[512];

        (void)snprintf(line, sizeof(line), "{\"jsonrpc\":\"2.0\",\"id\":%d,%s}\n", id, answer);
        fake_say(fd, line);
}

void serve(int fd, const char *method, const char *answer) {
        json_decref(fake_serve(fd, method, answer));
}

/* Until something can be read: it is with us, and not read. */
void let_arrive(int fd) {
        struct pollfd p = { .fd = fd, .events = POLLIN };

        require(poll(&p, 1, -1) == 1 && (p.revents & POLLIN));
}

void say_go(void) {
        assert_int_equal(write(go[1], "!", 1), 1);
}

void await_go(void) {
        char byte;

        require(read(go[0], &byte, 1) == 1);
}
