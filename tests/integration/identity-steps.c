/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt to get an identity: "identity-steps CONFIG AUDIENCE...". What the keeper would have
 * done is written to standard output, in frames as they go to the workers; what became of it is
 * read from standard input. Besides {"op":"fetch"} and {"op":"order"} it says {"op":"wait"}, and in
 * the end {"op":"done"} with the token as body, or {"op":"failed"}. The environment is its own.
 */
#include "base/clock.h"
#include "base/limits.h"
#include "identity/identity.h"
#include "os/io.h"

#define STEPS_MAX 100

/* Little-endian, as all that we run on is. */
struct lengths {
        uint32_t head;
        uint32_t body;
};

static int write_frame(const json_t *head, const struct buf *body) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct lengths n = { 0 };
        int r = json_write(&text, head);

        if (r < 0)
                return r;
        n.head = (uint32_t)text.len;
        n.body = (uint32_t)body->len;
        r = io_write_full(STDOUT_FILENO, &n, sizeof(n));
        if (r == 0)
                r = io_write_full(STDOUT_FILENO, text.data, text.len);
        return r == 0 && body->len > 0 ? io_write_full(STDOUT_FILENO, body->data, body->len) : r;
}

static int read_bytes(void *to, size_t len) {
        for (size_t done = 0; done < len;) {
                ssize_t n = read(STDIN_FILENO, (char *)to + done, len - done);

                if (n <= 0)
                        return -EPIPE;
                done += (size_t)n;
        }
        return 0;
}

static int read_part(struct buf *b, size_t len) {
        int r = buf_reserve(b, len);

        if (r == 0)
                r = read_bytes(b->data, len);
        if (r == 0)
                b->len = len;
        return r;
}

static int read_frame(json_t **ret_head, struct buf *body) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct lengths n;
        int r = read_bytes(&n, sizeof(n));

        if (r == 0 && (n.head > LIMIT_FRAME_HEAD_BYTES || n.body > LIMIT_FRAME_BODY_BYTES))
                r = -EMSGSIZE;
        if (r == 0)
                r = read_part(&text, n.head);
        if (r == 0)
                r = read_part(body, n.body);
        return r == 0 ? json_parse(text.data, text.len, LIMIT_JSON_DEPTH, ret_head, NULL) : r;
}

static int fetch(struct identity *i, struct fetch_request *f) {
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_JSON json_t *head = NULL;
        AUTO_JSON json_t *answer = NULL;
        struct fetch_answer a;
        int r;

        fetch_answer_init(&a);
        f->id = 1;
        r = fetch_request_to_head(f, &head);
        if (r == 0)
                r = write_frame(head, &f->body);
        fetch_request_done(f); /* as the keeper's workers take it */
        if (r == 0)
                r = read_frame(&answer, &body);
        if (r == 0)
                r = fetch_answer_from_head(&a, answer, &body);
        if (r == 0)
                identity_feed_answer(i, &a, clock_wall_usec());
        fetch_answer_done(&a);
        return r;
}

static int order(struct identity *i, struct order *o) {
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_JSON json_t *head = NULL;
        AUTO_JSON json_t *answer = NULL;
        enum order_kind kind = o->kind;
        struct order_reply p;
        int r = order_to_head(o, &head);

        order_reply_init(&p);
        if (r == 0)
                r = write_frame(head, &o->fetch.body);
        order_done(o);
        if (r == 0)
                r = read_frame(&answer, &body);
        if (r == 0)
                r = order_reply_from_head(&p, kind, answer, &body);
        if (r == 0 && kind == ORDER_CALL)
                identity_feed_answer(i, &p.answer, clock_wall_usec());
        else if (r == 0)
                identity_feed_bytes(i, p.r, &p.bytes, &p.err, clock_wall_usec());
        order_reply_done(&p);
        return r;
}

static int wait_for(struct identity *i, uint64_t usec) {
        AUTO_BUF struct buf body = BUF_INIT;
        AUTO_JSON json_t *head = json_pack("{ss sI}", "op", "wait", "usec", (json_int_t)usec);
        AUTO_JSON json_t *answer = NULL;
        int r = write_frame(head, &body);

        if (r == 0)
                r = read_frame(&answer, &body);
        if (r == 0)
                identity_feed_time(i, clock_wall_usec());
        return r;
}

static int tell_failed(const struct error *err) {
        AUTO_BUF struct buf none = BUF_INIT;
        AUTO_JSON json_t *head =
                json_pack("{ss ss ss ss}", "op", "failed", "code", error_name(err->code), "message",
                          err->message, "hint", err->hint);

        return write_frame(head, &none);
}

static int tell_done(struct identity *i) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_JSON json_t *head = NULL;
        int r = identity_take(i, &got);

        if (r < 0)
                return r;
        head = json_pack("{ss si ss* ss* ss sI sI si}", "op", "done", "kind", (int)got.kind,
                         "subject", got.subject, "issuer", got.issuer, "provider", got.provider,
                         "expires", (json_int_t)(got.expires_wall / USEC_PER_SEC), "refresh",
                         (json_int_t)(got.refresh_wall / USEC_PER_SEC), "n_chain",
                         (int)got.chain_der.len);
        return head ? write_frame(head, &got.jwt) : -ENOMEM;
}

static int go(struct identity *i) {
        struct identity_step *step;
        int r = 0;

        for (int n = 0; r == 0 && n < STEPS_MAX; n++) {
                switch (identity_step(i, &step)) {
                case IDENTITY_FETCH:
                        r = fetch(i, &step->fetch);
                        break;
                case IDENTITY_READ:
                case IDENTITY_RUN:
                case IDENTITY_CALL:
                        r = order(i, &step->order);
                        break;
                case IDENTITY_WAIT:
                        r = wait_for(i, step->wait_usec);
                        break;
                case IDENTITY_DONE:
                        return tell_done(i);
                case IDENTITY_FAILED:
                        return tell_failed(identity_error(i));
                }
        }
        return r < 0 ? r : -ELOOP;
}

int main(int argc, char **argv) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct error err = ERROR_INIT;
        int r = argc < 2 ? -EINVAL : identity_env_take(environ, &env);

        if (r == 0)
                r = identity_config_parse(argv[1], &c, &err);
        if (r == 0)
                r = identity_begin(&c, &env, (const char *const *)(argv + 2), (size_t)argc - 2,
                                   clock_wall_usec(), &i, &err);
        if (r < 0 && err.code != MCPB_NO_ERROR)
                r = tell_failed(&err);
        else if (r == 0)
                r = go(i);
        return r < 0 ? 1 : 0;
}
