/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a loaded policy is made of, for the files of this folder only: parsing builds it, deciding
 * and dumping read it.
 */
#pragma once

#include <netinet/in.h>

#include "base/conf.h"
#include "base/url.h"
#include "policy/policy.h"

enum tri { TRI_FALSE, TRI_UNKNOWN, TRI_TRUE };

/* --- text.c: lists that grow, patterns, small grammars -------------------- */

/* A zeroed slot behind the @n items of @size bytes at *@items; NULL: out of memory. */
void *list_push(void **items, size_t *n, size_t size);
int strings_add(struct policy_strings *s, const char *text) MUST_CHECK;
int strings_add_len(struct policy_strings *s, const char *text, size_t len) MUST_CHECK;
bool strings_has(const struct policy_strings *s, const char *text);
void strings_done(struct policy_strings *s);

/* '*' (any bytes, also '/' and '.') and '?' (one byte). */
bool glob_match(const char *glob, const char *text);

/* One address or a network without host bits. -EINVAL. */
struct net {
        int family;
        uint8_t address[16];
        unsigned bits;
};
int net_parse(const char *text, struct net *ret) MUST_CHECK;
bool net_contains(const struct net *net, const char *address);

/* "Mon..Fri,22:00-04:00" */
struct window {
        unsigned days; /* bit 0: Monday */
        unsigned from; /* minutes */
        unsigned to;
};
int window_parse(const char *text, struct window *ret) MUST_CHECK;
/* @local is "Tue 03:10". -EINVAL if it is not. */
int window_contains(const struct window *w, const char *local, bool *ret) MUST_CHECK;

/* --- selector.c ----------------------------------------------------------- */

enum selector_test { SELECT_EQUAL, SELECT_GLOB, SELECT_MEMBER };

struct selector_type {
        const char *name;
        const char *fact;
        enum selector_test test;
        enum fact_class class; /* what its evidence can be worth at best */
        bool exec;             /* can an exec of the peer change it? */
        bool supported;        /* does this version gather the fact? */
        const char *words;     /* the only values, parted by blanks; NULL: any */
};

struct selector {
        const struct selector_type *type;
        char *text;        /* as written */
        const char *value; /* within @text */
        bool negated;
        bool any;  /* x:any */
        bool self; /* uid:self */
};

struct agent_line {
        struct selector *items;
        size_t n;
};

const struct selector_type *selector_type_find(const char *name, size_t len);

/* --- condition.c ---------------------------------------------------------- */

enum condition_test {
        CONDITION_FLAG, /* name, or name:a,b */
        CONDITION_WORDS,
        CONDITION_MEMBER,
        CONDITION_NET,
        CONDITION_LESS,
        CONDITION_LOCKDOWN,
        CONDITION_TIME,
        CONDITION_FACT,
        CONDITION_RESERVED, /* a word of the language that nothing evaluates yet */
};

struct condition_type {
        const char *name;
        enum condition_test test;
        bool supported;
};

struct condition {
        const struct condition_type *type;
        char *text; /* as written, without the '?' */
        char *fact;
        bool tolerant; /* "cond?" */
        bool yes;      /* a flag without a value: must be "yes" */
        struct policy_strings words;
        struct net *nets;
        size_t n_nets;
        uint64_t seconds; /* < */
        int level;        /* lockdown>= */
        struct window window;
};

/* --- server.c ------------------------------------------------------------- */

struct server_glob {
        char *text;    /* as written */
        bool added;    /* @added */
        bool any_host; /* a bare '*' */
        bool any_port; /* a bare '*' without a port */
        bool ipv6;
        char *scheme;
        char *host; /* lower case */
        char *path; /* NULL: any */
        uint16_t port;
        struct in6_addr address;
};

/*
 * 0 or -ENOMEM. *@ret_fault: NULL if the URI may match rules, else what is odd about it ("has a
 * query").
 */
int server_parse(const char *uri, struct url *u, const char **ret_fault) MUST_CHECK;
bool server_matches(const struct server_glob *g, const struct url *u, bool added);

/* --- rules ---------------------------------------------------------------- */

struct rule {
        char *name;
        char *at; /* "file:line name" */
        const char *file;
        unsigned line;
        uint32_t seen; /* keys that stand there, by their index in the table of parse.c */
        struct agent_line *agents;
        size_t n_agents;
        struct server_glob *servers;
        size_t n_servers;
        struct condition *conditions;
        size_t n_conditions;
        struct policy_strings scopes;
        struct policy_strings deny_scopes;
        bool scopes_granted; /* @granted among Scopes= */
        bool deny;
        char *reason;
        enum policy_on_excess on_excess;
        enum policy_confirm confirm;
        enum policy_bind bind;
        enum policy_audit audit;
        enum fact_class assurance;
        uint64_t max_ttl_sec;
        uint64_t confirm_for_sec;
        uint64_t max_rate_n;
        uint64_t max_rate_sec;
        char *identity;
        char *present;
        char *audience;
};

struct layer {
        bool present;
        char *zone; /* NULL: none given */
        struct rule *rules;
        size_t n_rules;
};

struct policy {
        struct layer layers[POLICY_LAYER_COUNT];
        struct policy_strings files; /* base names, for the rules */
        size_t n_rules;
        size_t n_words;
        char id[POLICY_ID_BYTES];
};

/* --- parsing: what parse.c, selector.c, condition.c and server.c share ---- */

struct parser {
        struct policy *policy;
        struct layer *layer;
        struct rule *rule;
        const char *file; /* base name, owned by the policy */
        bool in_policy;
        bool language; /* also what this version cannot enforce */
};

/* All: -EINVAL with @err filled, -ENOMEM. @text is one word of @len bytes. */
int parse_count_word(struct parser *ps, const struct conf_item *item, struct error *err) MUST_CHECK;
int parse_unsupported(const struct parser *ps, const struct conf_item *item, struct error *err,
                      const char *what, size_t len) MUST_CHECK;
int parse_agent(struct parser *ps, const struct conf_item *item, struct error *err) MUST_CHECK;
int parse_require(struct parser *ps, const struct conf_item *item, struct error *err) MUST_CHECK;
int parse_server(struct parser *ps, const struct conf_item *item, struct error *err) MUST_CHECK;

void agent_line_done(struct agent_line *l);
void condition_done(struct condition *c);
void server_glob_done(struct server_glob *g);

/* --- deciding: what decide.c, selector.c and condition.c share ------------ */

struct eval {
        const struct facts *facts;
        struct decision *d;
        const char *zone;
        bool oom;
};

/* Looks a fact up and writes down that it was looked at. NULL: unknown. */
const struct fact *eval_fact(struct eval *e, const char *name);
/* *ret_class: the strongest selector of the line that counts for Assurance=. */
enum tri eval_agent_line(struct eval *e, const struct agent_line *l, enum fact_class *ret_class);
enum tri eval_condition(struct eval *e, const struct condition *c);
