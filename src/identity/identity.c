/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/identity.h"

#include <assert.h>

#include "identity/provider.h"

void identity_result_done(struct identity_result *r) {
        buf_done(&r->jwt);
        buf_done(&r->key_der);
        buf_done(&r->chain_der);
        free(r->subject);
        free(r->issuer);
        *r = IDENTITY_RESULT_INIT;
}

static void step_done(struct identity_step *s) {
        fetch_request_done(&s->fetch);
        order_done(&s->order);
        s->wait_usec = 0;
}

struct identity *identity_free(struct identity *i) {
        if (!i)
                return NULL;
        if (i->state) {
                if (i->provider->done)
                        i->provider->done(i->state);
                mem_wipe(i->state, i->provider->state_size);
                free(i->state);
        }
        for (size_t k = 0; k < i->n_audiences; k++)
                free(i->audiences[k]);
        free(i->audiences);
        identity_config_done(&i->config);
        step_done(&i->step);
        identity_result_done(&i->result);
        free(i);
        return NULL;
}

/* --- the beginning ------------------------------------------------------------------------- */

enum identity_kind identity_kind_of(const struct identity_config *c) {
        const struct identity_provider *p = identity_provider_find(c->provider);

        return p ? p->kind : IDENTITY_JWT;
}

static int judge_audiences(const struct identity_provider *p, const char *const *audiences,
                           size_t n, struct error *err) {
        if (n == 0 && p->kind == IDENTITY_JWT)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Name the audience: a token for everybody is no identity",
                                 "The identity provider '%s' is asked for no audience", p->name);
        if (n > 1 && !p->many_audiences)
                return error_set(err, MCPB_BAD_CONFIG, E2BIG, "Ask for one audience",
                                 "A token of the identity provider '%s' has one audience", p->name);
        for (size_t k = 0; k < n; k++) {
                size_t len = strlen(audiences[k]);
                bool good = len > 0 && len <= IDENTITY_AUDIENCE_MAX;

                for (size_t c = 0; good && c < len; c++)
                        good = (unsigned char)audiences[k][c] > 0x20 && audiences[k][c] != 0x7f;
                if (!good)
                        return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                         "Give an audience of 1 to 1000 characters without blanks",
                                         "The audience '%.64s' can be no audience", audiences[k]);
        }
        return 0;
}

static int copy_audiences(struct identity *i, const char *const *audiences, size_t n) {
        i->audiences = calloc(n + 1, sizeof(*i->audiences));
        if (!i->audiences)
                return -ENOMEM;
        for (; i->n_audiences < n; i->n_audiences++) {
                i->audiences[i->n_audiences] = strdup(audiences[i->n_audiences]);
                if (!i->audiences[i->n_audiences])
                        return -ENOMEM;
        }
        return 0;
}

/* The step of the current phase, anew. */
static int ask(struct identity *i, struct error *err) {
        int r;

        step_done(&i->step);
        i->repeat = 0;
        i->hint = NULL;
        i->body_max = IDENTITY_BODY_MAX;
        i->what[0] = '\0';
        r = i->provider->ask(i, err);
        assert(r < 0 || i->next <= IDENTITY_CALL);
        return r;
}

int identity_begin(const struct identity_config *c, const struct identity_env *env,
                   const char *const *audiences, size_t n_audiences, uint64_t now_wall,
                   struct identity **ret, struct error *err) {
        const struct identity_provider *p = identity_provider_find(c->provider);
        AUTO_IDENTITY struct identity *i = NULL;
        int r;

        if (!p)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, NULL,
                                 "'%.64s' names no identity provider", c->provider);
        r = judge_audiences(p, audiences, n_audiences, err);
        if (r < 0)
                return r;
        i = calloc(1, sizeof(*i));
        if (!i)
                return error_oom(err);
        i->provider = p;
        i->env = env;
        i->now_wall = now_wall;
        i->next = IDENTITY_WAIT;
        i->step.what = i->what;
        fetch_request_init(&i->step.fetch);
        order_init(&i->step.order, ORDER_READ);
        i->state = calloc(1, p->state_size ? p->state_size : 1);
        if (!i->state || identity_config_copy(&i->config, c) < 0 ||
            copy_audiences(i, audiences, n_audiences) < 0)
                return error_oom(err);
        r = p->begin ? p->begin(i, err) : 0;
        if (r == 0 && i->next != IDENTITY_DONE)
                r = ask(i, err);
        if (r < 0)
                return error_fallback(err, r, "Asking for an identity");
        *ret = TAKE(i);
        return 0;
}

/* --- one step after the other -------------------------------------------------------------- */

enum identity_next identity_step(struct identity *i, struct identity_step **ret) {
        *ret = &i->step;
        return i->next;
}

static void fail(struct identity *i, int r) {
        error_fallback(&i->err, r, i->what);
        step_done(&i->step);
        identity_result_done(&i->result);
        i->next = IDENTITY_FAILED;
}

/* What came was taken, or not: on with the next step, or over. */
static void advance(struct identity *i, int r) {
        if (r == 0 && i->next <= IDENTITY_CALL) {
                i->n_repeats = 0;
                i->waited_usec = 0;
                r = ask(i, &i->err);
        }
        if (r < 0)
                fail(i, r);
}

void identity_go(struct identity *i, unsigned phase) {
        i->phase = phase;
}

void identity_finish(struct identity *i, enum identity_kind kind) {
        i->result.provider = i->provider->name;
        i->result.kind = kind;
        i->next = IDENTITY_DONE;
}

void identity_feed_answer(struct identity *i, struct fetch_answer *a, uint64_t now_wall) {
        int r;

        assert(i->next == IDENTITY_FETCH || i->next == IDENTITY_CALL);
        i->now_wall = now_wall;
        r = identity_judge_answer(i, a, &i->err);
        if (r == 0 && i->next != IDENTITY_WAIT)
                r = i->provider->on_answer(i, a, &i->err);
        advance(i, r);
}

/* A process of ours died over it, and the next one need not. A command is not run twice: who knows
 * what it does. */
static bool is_ours(const struct identity *i, const struct error *err) {
        return err && err->code == MCPB_RETRY && i->next != IDENTITY_RUN;
}

void identity_feed_bytes(struct identity *i, int r, struct buf *bytes, const struct error *err,
                         uint64_t now_wall) {
        assert(i->next == IDENTITY_READ || i->next == IDENTITY_RUN ||
               (i->next == IDENTITY_CALL && r < 0));
        i->now_wall = now_wall;
        if (r == -ENOMEM)
                r = error_oom(&i->err);
        else if (r < 0 && is_ours(i, err) && identity_repeat(i, 0) == 0)
                r = 0;
        else if (r < 0)
                r = identity_fault(i, &i->err, -r, err && err->hint[0] ? err->hint : i->hint, "%s",
                                   err && err->message[0] ? err->message : strerror(-r));
        else if (bytes->len > i->body_max)
                r = identity_fault(i, &i->err, EFBIG, NULL, "%zu bytes are too many", bytes->len);
        else
                r = i->provider->on_bytes(i, bytes, &i->err);
        advance(i, r);
}

void identity_feed_time(struct identity *i, uint64_t now_wall) {
        int r;

        assert(i->next == IDENTITY_WAIT);
        i->now_wall = now_wall;
        r = ask(i, &i->err);
        if (r < 0)
                fail(i, r);
}

int identity_take(struct identity *i, struct identity_result *ret) {
        if (i->next != IDENTITY_DONE || !i->result.provider)
                return -EINVAL;
        *ret = i->result;
        i->result = IDENTITY_RESULT_INIT;
        return 0;
}

const struct error *identity_error(const struct identity *i) {
        return &i->err;
}

/* --- the key of a cache -------------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int put_text(json_t *array, const char *text) {
        return json_array_append_new(array, json_string(text)) < 0 ? -ENOMEM : 0;
}

int identity_cache_key(const struct identity_config *c, const char *const *audiences,
                       size_t n_audiences, struct buf *out) {
        AUTO_FREE const char **sorted = calloc(n_audiences + 1, sizeof(*sorted));
        AUTO_JSON json_t *key = json_array();
        int r = sorted && key ? put_text(key, c->provider) : -ENOMEM;

        for (size_t i = 0; r == 0 && i < c->n_options; i++) {
                r = put_text(key, c->options[i].name);
                if (r == 0)
                        r = put_text(key, c->options[i].value);
        }
        /* No text: it parts the options from the audiences. */
        if (r == 0 && json_array_append_new(key, json_true()) < 0)
                r = -ENOMEM;
        for (size_t i = 0; r == 0 && i < n_audiences; i++)
                sorted[i] = audiences[i];
        if (r == 0)
                qsort(sorted, n_audiences, sizeof(*sorted), compare_texts);
        for (size_t i = 0; r == 0 && i < n_audiences; i++)
                if (i == 0 || !streq(sorted[i], sorted[i - 1]))
                        r = put_text(key, sorted[i]);
        return r == 0 ? json_write(out, key) : r;
}
