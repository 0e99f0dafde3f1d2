/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An identity that the infrastructure asserts: a token of the cluster, the cloud, the CI job or
 * the machine that the daemon runs in. One object is one attempt to get one. It does nothing by
 * itself: it says which file, request or command comes next, is fed with what became of it, and in
 * the end has a token, or an error that names the provider, the step and the remedy.
 *
 * The token's signature is not verified, for whom it is shown to does that; but it is read, and
 * refused unless it is for the audience that was asked for and still valid. Whose identity it is,
 * configuration says: nothing is tried because the environment suggests it.
 */
#pragma once

#include "identity/config.h"
#include "identity/env.h"
#include "wire/order.h"

enum identity_kind {
        IDENTITY_JWT,   /* a token */
        IDENTITY_X509,  /* a key and its certificates */
        IDENTITY_PROOF, /* another text that proves who we are, at one place only */
        IDENTITY_KIND_COUNT,
};

struct identity_result {
        enum identity_kind kind;
        struct buf jwt;        /* also of the proof: its text */
        struct buf key_der;    /* PKCS#8 */
        struct buf chain_der;  /* leaf first */
        char *subject;         /* NULL: it names none */
        char *issuer;          /* NULL: it names none */
        uint64_t expires_wall; /* usec; 0: not known */
        uint64_t refresh_wall; /* usec: from then on get a new one; 0: for each use (a file that is
                                * rotated is read again, not remembered) */
        const char *provider;
};

enum identity_next {
        IDENTITY_FETCH,  /* step->fetch */
        IDENTITY_READ,   /* step->order */
        IDENTITY_RUN,    /* step->order */
        IDENTITY_CALL,   /* step->order */
        IDENTITY_WAIT,   /* step->wait_usec, then identity_feed_time() */
        IDENTITY_DONE,   /* identity_take() */
        IDENTITY_FAILED, /* identity_error() */
};

struct identity_step {
        struct fetch_request
                fetch; /* never by a proxy (direct); link_local and ca_pem as it needs */
        struct order order;
        uint64_t wait_usec;
        const char *what; /* for the log: "asking the metadata service" */
};

struct identity;

/* What the provider mostly gives: a command can also give a key with certificates. */
enum identity_kind identity_kind_of(const struct identity_config *c);

#define IDENTITY_RESULT_INIT ((struct identity_result){ 0 })
#define AUTO_IDENTITY_RESULT __attribute__((cleanup(identity_result_done), unused))
void identity_result_done(struct identity_result *r); /* wipes */

/*
 * @env must live as long as the identity; @c and @audiences are copied. Whoever issues tokens for
 * an audience wants at least one. On failure err is filled: what the provider needs and does not
 * find in the environment.
 */
int identity_begin(const struct identity_config *c, const struct identity_env *env,
                   const char *const *audiences, size_t n_audiences, uint64_t now_wall,
                   struct identity **ret, struct error *err) MUST_CHECK;
struct identity *identity_free(struct identity *i);
DEFINE_CLEANUP(struct identity *, identity, identity_free)
#define AUTO_IDENTITY __attribute__((cleanup(cleanup_identity), unused))

/* What to do now. *@ret is borrowed until the next feed; its request or order may be moved away. */
enum identity_next identity_step(struct identity *i, struct identity_step **ret);

/* Each answers the step that was asked for, and no other. What comes is read, and may be taken
 * away. */
void identity_feed_answer(struct identity *i, struct fetch_answer *a, uint64_t now_wall);
/* @r 0 and @bytes, or -errno with @err (may be NULL); the latter also for a CALL of which nothing
 * came, not even that there is no answer. */
void identity_feed_bytes(struct identity *i, int r, struct buf *bytes, const struct error *err,
                         uint64_t now_wall);
void identity_feed_time(struct identity *i, uint64_t now_wall);

/* After DONE, once: moves what was got to @ret, which must be empty. -EINVAL at any other time. */
int identity_take(struct identity *i, struct identity_result *ret) MUST_CHECK;
/* After FAILED; else an empty error. */
const struct error *identity_error(const struct identity *i);

/* Appends a text that is the same for the same provider, options and set of audiences. */
int identity_cache_key(const struct identity_config *c, const char *const *audiences,
                       size_t n_audiences, struct buf *out) MUST_CHECK;
