/* SPDX-License-Identifier: Apache-2.0 */
/*
 * May this agent have a token for this server, with which scopes, under which obligations? A pure
 * function of the policy's text, a table of facts and the request: no clock, no host, no file.
 * Default deny; the first rule of a layer whose Agent= and Server= match decides for the layer;
 * layers intersect, so that a user's file can only take away; unknown is never yes. The language is
 * described in mcp-broker-policy(5).
 *
 * What this version cannot enforce it refuses to load: a policy is never accepted and then ignored.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "policy/facts.h"

enum policy_layer {
        POLICY_SYSTEM, /* vendor's and administrator's files, sorted by name together */
        POLICY_USER,
        POLICY_LAYER_COUNT,
};

/* A file as it was read; its owner and mode have been judged by config_read_dirs(). */
struct policy_file {
        enum policy_layer layer;
        const char *path; /* for messages and rule names; the last component is what records show */
        const char *data;
        size_t len;
};

#define POLICY_FILES_MAX 256
#define POLICY_RULES_MAX 4096
#define POLICY_WORDS_MAX 65536 /* selectors, globs and conditions of a policy */
#define POLICY_ID_BYTES 65     /* 64 hexadecimal digits and NUL */

struct policy;

/*
 * The files of a layer in the order in which their rules shall stand. -EINVAL with BAD_CONFIG
 * "file:line: ..."; -ENOMEM. A layer without a file takes no part; a layer with an empty file
 * denies.
 */
int policy_load(struct policy **ret, const struct policy_file *files, size_t n_files,
                struct error *err) MUST_CHECK;
/*
 * The same, but also with what this version cannot enforce: for tools that look at a policy or
 * replay one. Never the ground of a release.
 */
int policy_load_language(struct policy **ret, const struct policy_file *files, size_t n_files,
                         struct error *err) MUST_CHECK;
struct policy *policy_free(struct policy *p);

const char *policy_id(const struct policy *p); /* BLAKE2b-256 of the dump, in hexadecimal */
json_t *policy_dump(const struct policy *p) MUST_CHECK; /* new reference; NULL: out of memory */
size_t policy_n_rules(const struct policy *p);
bool policy_has_layer(const struct policy *p, enum policy_layer layer);
const char *policy_zone(const struct policy *p, enum policy_layer layer); /* Timezone=, or "UTC" */

/* Does any rule look at this fact? Then the caller need not find out what nobody asks. */
bool policy_uses_fact(const struct policy *p, const char *name);

/*
 * The class that a selector's evidence can have at best ("uid": kernel). -ENOENT: no such selector.
 */
int policy_selector_class(const char *selector, enum fact_class *ret) MUST_CHECK;

/* What is asked. Nothing is copied. */
struct policy_request {
        const char *server;        /* resource URI */
        const char *const *scopes; /* asked for; none = whatever was granted, as far as allowed */
        size_t n_scopes;
        const char *const *granted; /* of the grant at hand; none if there is none */
        size_t n_granted;
        bool added; /* the server is in the user's list (compared by canonical URI) */
};

enum policy_effect {
        POLICY_DENY,
        POLICY_ALLOW,
        POLICY_ASK, /* allowed once a person has confirmed, see decision.confirm */
        POLICY_EFFECT_COUNT,
};

/* What became of scopes above a ceiling; the strictest of the layers that met one. */
enum policy_on_excess {
        POLICY_EXCESS_TRIM,  /* left out; the reply names them */
        POLICY_EXCESS_ASK,   /* part of @scopes, to be confirmed each time */
        POLICY_EXCESS_LOGIN, /* not released: a person would have to grant them first */
        POLICY_EXCESS_DENY,
        POLICY_EXCESS_COUNT,
};

enum policy_confirm {
        POLICY_CONFIRM_NEVER,
        POLICY_CONFIRM_SESSION,
        POLICY_CONFIRM_FIRST,
        POLICY_CONFIRM_EACH,
        POLICY_CONFIRM_COUNT,
};

enum policy_bind {
        POLICY_BIND_NONE,
        POLICY_BIND_DPOP_IF_POSSIBLE,
        POLICY_BIND_DPOP,
        POLICY_BIND_MTLS,
        POLICY_BIND_COUNT,
};

enum policy_audit {
        POLICY_AUDIT_NORMAL,
        POLICY_AUDIT_REQUIRED, /* synced to disk before the release */
        POLICY_AUDIT_COUNT,
};

struct policy_strings {
        char **items;
        size_t n;
};

/*
 * What was decided. On deny only effect, rules, why, unknown, facts and the two evidence fields
 * mean anything.
 *
 * With on_excess LOGIN and n excess > 0 the effect is allow and @scopes holds what may be released
 * at once (perhaps nothing); the answer to the asker is login_required for scopes and excess
 * together.
 */
struct decision {
        enum policy_effect effect;
        struct policy_strings scopes; /* allowed, in the order asked */
        /* Asked for and not granted yet: what a person would have to grant (LOGIN). */
        struct policy_strings excess;
        struct policy_strings trimmed; /* taken away for good by some layer */
        enum policy_on_excess on_excess;
        uint64_t max_ttl_sec;  /* 0: no limit */
        uint64_t max_rate_n;   /* 0: no limit */
        uint64_t max_rate_sec; /* max_rate_n requests in so many seconds */
        enum policy_confirm confirm;
        uint64_t confirm_for_sec; /* 0: not said */
        enum policy_bind bind;
        enum policy_audit audit;
        char *identity; /* NULL: no opinion */
        char *present;
        char *audience;
        struct policy_strings rules;   /* "file:line name" or "(default)", of each layer */
        struct policy_strings why;     /* all reasons of all denying layers */
        struct policy_strings unknown; /* tolerated unknown conditions */
        struct policy_strings facts;   /* names of the facts that were looked at */
        /*
         * Evidence that an exec of the peer can change was looked at: attest again before a
         * release.
         */
        bool uses_exec_evidence;
        enum fact_class evidence; /* what the selection rested on, the weakest of the layers */
};
#define DECISION_INIT ((struct decision){ 0 })
#define AUTO_DECISION __attribute__((cleanup(decision_done), unused))

/*
 * 0 or -ENOMEM (then nothing is decided, which is a deny: @ret is DECISION_INIT). @ret is
 * overwritten.
 */
int policy_decide(const struct policy *p, const struct facts *facts,
                  const struct policy_request *request, struct decision *ret) MUST_CHECK;
void decision_done(struct decision *d);

/*
 * The facts that were looked at, for the record and for replay:
 * {"agent.uid":{"class":"kernel","values":["1000"]}}; an unknown one is null. New reference, NULL:
 * out of memory.
 */
json_t *decision_facts(const struct decision *d, const struct facts *facts) MUST_CHECK;

const char *policy_effect_name(enum policy_effect effect);
const char *policy_on_excess_name(enum policy_on_excess e);
const char *policy_confirm_name(enum policy_confirm c);
const char *policy_bind_name(enum policy_bind b);
const char *policy_audit_name(enum policy_audit a);

DEFINE_CLEANUP(struct policy *, policy, policy_free)
#define AUTO_POLICY __attribute__((cleanup(cleanup_policy), unused))
