/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of identity/ share: tokens, environments and answers made up, and an identity that
 * is asked for with one call.
 */
#pragma once

#include "test.h"

#include "base/codec.h"
#include "identity/identity.h"

#define AUTO_ANSWER __attribute__((cleanup(fetch_answer_done), unused))

#define NOW_SEC 1790000000
#define NOW (NOW_SEC * USEC_PER_SEC)
#define AUDIENCE "https://as.example.com"
#define MINUTES(n) ((n)*60 * USEC_PER_SEC)

/* A token with these claims, and a signature that nobody looks at. The caller frees. */
static inline char *token_of(const char *claims) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_append_str(&b, "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ."), 0);
        assert_int_equal(base64url_append(&b, claims, strlen(claims)), 0);
        assert_int_equal(buf_append_str(&b, ".c2lnbmF0dXJl"), 0);
        return buf_steal(&b);
}

/* For @audience, ten minutes from NOW. */
static inline char *token_for(const char *audience) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_printf(&b,
                                    "{\"iss\":\"https://issuer.example\",\"sub\":\"me\","
                                    "\"aud\":[\"%s\"],\"exp\":%d,\"iat\":%d}",
                                    audience, NOW_SEC + 600, NOW_SEC - 60),
                         0);
        return token_of(b.data);
}

#define VARIABLES_MAX 16

/* Out of "NAME=value"; the list ends with NULL. */
static inline void env_make(struct identity_env *env, const char *const *variables) {
        char *copy[VARIABLES_MAX + 1] = { NULL };
        size_t n = 0;

        for (; variables[n]; n++) {
                assert_true(n < VARIABLES_MAX);
                copy[n] = strdup(variables[n]);
                assert_non_null(copy[n]);
        }
        assert_int_equal(identity_env_take(copy, env), 0);
        while (n > 0)
                free(copy[--n]);
}

static inline int identity_start(const char *config, const struct identity_env *env,
                                 struct identity **ret, struct error *err) {
        static const char *const audiences[] = { AUDIENCE };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        int r = identity_config_parse(config, &c, err);

        return r < 0 ? r : identity_begin(&c, env, audiences, 1, NOW, ret, err);
}

static inline void feed_text(struct identity *i, const char *text) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_append_str(&b, text), 0);
        identity_feed_bytes(i, 0, &b, NULL, NOW);
}

static inline void feed_status(struct identity *i, unsigned status, const char *body) {
        AUTO_ANSWER struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = status;
        assert_int_equal(buf_append_str(&a.body, body), 0);
        identity_feed_answer(i, &a, NOW);
}

static inline enum identity_next next_of(struct identity *i) {
        struct identity_step *step;

        return identity_step(i, &step);
}

static inline struct identity_step *step_of(struct identity *i, enum identity_next next) {
        struct identity_step *step;

        assert_int_equal(identity_step(i, &step), next);
        return step;
}

static inline const char *sent_header(const struct fetch_request *f, const char *name) {
        for (size_t i = 0; i < f->n_headers; i++)
                if (streq(f->headers[i].name, name))
                        return f->headers[i].value;
        return NULL;
}

/* It failed, and says by which provider, what is wrong, and what to do. */
static inline void assert_failed(struct identity *i, const char *provider, const char *says) {
        const struct error *err = identity_error(i);

        assert_int_equal(next_of(i), IDENTITY_FAILED);
        assert_int_equal(err->code, MCPB_IDENTITY_FAILED);
        if (!strstr(err->message, provider) || !strstr(err->message, says))
                fail_msg("'%s' does not say '%s'", err->message, says);
        assert_true(err->hint[0]);
}

/* One that is refused before anything is asked. */
static inline void assert_refused(const char *config, const struct identity_env *env,
                                  const char *says, const char *hint) {
        AUTO_IDENTITY struct identity *i = NULL;
        struct error err = ERROR_INIT;

        assert_true(identity_start(config, env, &i, &err) < 0);
        if (!strstr(err.message, says) || !strstr(err.hint, hint))
                fail_msg("%s: %s (%s)", config, err.message, err.hint);
}

/* The one token in @format, as an answer of status 200. */
static inline void feed_token(struct identity *i, const char *format, const char *token) {
        AUTO_BUF struct buf b = BUF_INIT;
        const char *at = strstr(format, "TOKEN");

        assert_non_null(at);
        assert_int_equal(buf_printf(&b, "%.*s%s%s", (int)(at - format), format, token, at + 5), 0);
        feed_status(i, 200, b.data);
}

static inline void assert_got(struct identity *i, const char *token, uint64_t expires_wall) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;

        if (next_of(i) == IDENTITY_FAILED)
                fail_msg("%s", identity_error(i)->message);
        assert_int_equal(identity_take(i, &got), 0);
        assert_string_equal(got.jwt.data, token);
        assert_true(got.expires_wall == expires_wall);
}
