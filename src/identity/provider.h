/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a provider is made of, for the files of this folder alone. A provider is a row of functions
 * over numbered phases. ask() makes the one step of the current phase, from nothing but what the
 * provider knows: it is called again when the step is repeated. A function that takes what came
 * goes on to another phase, ends with a result, or fails. What is common to all (bounds, repeats,
 * redirects, what a token must say) is in identity.c, answer.c and result.c, and nowhere else.
 */
#pragma once

#include "identity/identity.h"

#define IDENTITY_OPTION_NAMES 12
#define IDENTITY_OPTION_REPEATED "arg" /* the one option that may stand there several times */
#define IDENTITY_BODY_MAX ((size_t)64 * 1024)
#define IDENTITY_AUDIENCE_MAX 1000

/* Statuses that are repeated besides 429 and 5xx: a service that is still starting. */
#define IDENTITY_REPEAT_404 1u
#define IDENTITY_REPEAT_410 2u /* for 70 seconds: it is being updated */

struct identity_provider {
        const char *name;
        const char *options[IDENTITY_OPTION_NAMES]; /* ends with NULL, if there is room */
        const char *argument;      /* the option whose name may be left out: "path" */
        enum identity_kind kind;   /* what it mostly gives: a JWT needs an audience */
        bool many_audiences;       /* else one token has one audience */
        bool every_time;           /* what it gives is not remembered: a file that is rotated */
        const char *audience_hint; /* what to do about a token for another audience */
        size_t state_size;         /* of i->state, which starts as zeroes and is wiped */
        /* What can be said of the options alone. */
        int (*check)(const struct identity_config *c, struct error *err);
        /* What can be said of the environment; may end with a result at once. */
        int (*begin)(struct identity *i, struct error *err);
        int (*ask)(struct identity *i, struct error *err);
        int (*on_answer)(struct identity *i, struct fetch_answer *a, struct error *err);
        int (*on_bytes)(struct identity *i, struct buf *bytes, struct error *err);
        void (*done)(void *state);
};

struct identity {
        const struct identity_provider *provider;
        struct identity_config config;
        const struct identity_env *env;
        char **audiences;
        size_t n_audiences;
        const char *token_audience; /* what the token says instead, where that is configured */
        uint64_t max_age_usec;      /* since it was issued; 0: any */
        void *state;
        unsigned phase;
        uint64_t now_wall; /* of what was fed last */
        enum identity_next next;
        struct identity_step step;
        unsigned repeat;  /* IDENTITY_REPEAT_*, of this step */
        const char *hint; /* of this step, for when nothing answers; may be NULL */
        size_t body_max;  /* of what comes: the request or order may be gone by then */
        char what[192];
        unsigned n_repeats;
        uint64_t waited_usec; /* in all repeats of this step */
        struct identity_result result;
        struct error err;
};

/* answer.c: what is common to all answers. 0 and i->next as it was: it is the provider's to read; 0
 * and IDENTITY_WAIT: the step will be repeated. */
int identity_judge_answer(struct identity *i, const struct fetch_answer *a, struct error *err)
        MUST_CHECK;

/* --- the table ----------------------------------------------------------------------------- */

const struct identity_provider *identity_provider_find(const char *name);
const struct identity_provider *identity_provider_at(size_t index); /* NULL: behind the last */
int identity_provider_names(struct buf *b) MUST_CHECK; /* "Known are file, exec, ..." */

extern const struct identity_provider identity_aws_proof;
extern const struct identity_provider identity_aws_wit;
extern const struct identity_provider identity_azure;
extern const struct identity_provider identity_azure_aks;
extern const struct identity_provider identity_azure_app_service;
extern const struct identity_provider identity_azure_arc;
extern const struct identity_provider identity_credential;
extern const struct identity_provider identity_environment;
extern const struct identity_provider identity_exec;
extern const struct identity_provider identity_file;
extern const struct identity_provider identity_gcp;
extern const struct identity_provider identity_github;
extern const struct identity_provider identity_gitlab;
extern const struct identity_provider identity_k8s;
extern const struct identity_provider identity_k8s_request;
extern const struct identity_provider identity_spiffe;
extern const struct identity_provider identity_spiffe_x509;

/* --- for ask() ----------------------------------------------------------------------------- */

/* One of these makes the step. @fmt says what is being done: "reading /run/token". */
int identity_ask_fetch(struct identity *i, const char *method, const char *url, const char *fmt,
                       ...) PRINTF_LIKE(4, 5) MUST_CHECK;
int identity_ask_read(struct identity *i, const char *path, enum order_rules rules, const char *fmt,
                      ...) PRINTF_LIKE(4, 5) MUST_CHECK;
int identity_ask_run(struct identity *i, uint64_t timeout_usec, const char *fmt, ...)
        PRINTF_LIKE(3, 4) MUST_CHECK;
/* A gRPC method: the rest is set in i->step.order. */
int identity_ask_call(struct identity *i, const char *path, const char *url, const char *fmt, ...)
        PRINTF_LIKE(4, 5) MUST_CHECK;

/* The address is link-local, as those of metadata services are, or on this machine; and the whole
 * takes a few seconds at most. */
void identity_fetch_link_local(struct identity *i);

/* Appends "?" or "&", and the pair with percent-encoding (never '+'). */
int identity_url_add(struct buf *url, const char *name, const char *value) MUST_CHECK;

/* --- for what takes answers ------------------------------------------------------------------ */

void identity_go(struct identity *i, unsigned phase);

/* Has this step repeated after the pause that is due, or after @after_usec if that is longer.
 * -EAGAIN: it was repeated often enough; the caller says what is wrong. */
int identity_repeat(struct identity *i, uint64_t after_usec) MUST_CHECK;

/* Fills @err: "Identity provider 'k8s', reading /x: WHAT". */
int identity_fault(const struct identity *i, struct error *err, int errnum, const char *hint,
                   const char *fmt, ...) PRINTF_LIKE(5, 6);
/* The environment variable, or NULL and @err: it is missing. */
const char *identity_need_env(const struct identity *i, const char *name, const char *hint,
                              struct error *err);

/* For a status that is no success: with what the body says in JSON, cleaned. */
int identity_refused(const struct identity *i, const struct fetch_answer *a, const char *hint,
                     struct error *err);
/* The body as a JSON object (new reference). */
int identity_json(const struct identity *i, const char *data, size_t len, json_t **ret,
                  struct error *err) MUST_CHECK;
/* Text of others, for messages: cleaned, short, and without what could be a secret. */
#define IDENTITY_SAID_MAX 200
void identity_said(const char *text, char said[static IDENTITY_SAID_MAX + 1]);

/* The end. @expires_wall is what came along with the token; 0: nothing did. */
int identity_finish_jwt(struct identity *i, const char *token, size_t len, uint64_t expires_wall,
                        struct error *err) MUST_CHECK;
/* The same for a text that holds nothing but the token, and blanks around it. */
int identity_finish_text(struct identity *i, const char *text, size_t len, struct error *err)
        MUST_CHECK;
/* A PKCS#8 key and DER certificates (both moved) that belong together. */
int identity_finish_x509(struct identity *i, struct buf *key_der, struct buf *chain_der,
                         struct error *err) MUST_CHECK;
/* The same for what the provider has put into i->result itself. */
void identity_finish(struct identity *i, enum identity_kind kind);

/* --- for several providers ------------------------------------------------------------------- */

/* Options "format=", "field=", "max-age=": of a file with a token in it. */
#define IDENTITY_FILE_OPTIONS "format", "field", "max-age"
int identity_file_check(const struct identity_config *c, struct error *err) MUST_CHECK;
/* A begin() and an on_bytes() for such a file. A torn or stale one is read again: it may be just
 * being written. */
int identity_file_begin(struct identity *i, struct error *err) MUST_CHECK;
int identity_file_bytes(struct identity *i, struct buf *bytes, struct error *err) MUST_CHECK;

/* What the environment gives as "host", "host:port" or an IPv6 address goes into a URL. */
bool identity_is_authority(const char *text);
