/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One MCP server that the user added, for one account. Knows where its grant is and what went wrong
 * last; holds no secret.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "base/list.h"
#include "broker/kept.h"
#include "config/own.h"
#include "oauth/discover.h"
#include "oauth/select.h"

struct adding;
struct broker;
struct grant;
struct login;
struct recheck;

struct server {
        struct broker *broker;
        struct kept record;
        struct list list_link;  /* in broker->all_servers */
        struct list grant_link; /* in grant->servers */
        char *key;              /* url and account: what it is stored and found by */
        char *name;
        char *url;
        char *account; /* "" for the only one */
        struct scope_set user_scopes;
        char *configured_issuer; /* NULL: whatever the server names */
        char *client_id;         /* pre-registered; NULL: by the rules of registration */
        char *metadata_url;      /* our client ID metadata document; NULL */
        struct own_settings own; /* how it is logged in to without a person */
        unsigned n_own_failures; /* in a row */
        uint64_t own_not_before; /* boot clock: no other attempt until then */
        bool no_resource; /* its issuer chokes on the parameter: left out of the requests (A53) */
        unsigned allow;   /* address classes its metadata may lead to; 0: not contacted yet */
        bool open;        /* it asked for no authorization */
        char *issuer;     /* NULL until a login found it */
        char *resource;
        char *prm_url;
        char *registration_key;
        char *grant_key;
        char *declared_in;   /* the file of servers.d that declares it; NULL: none does now */
        bool of_declaration; /* it came by one, not by a person */
        uint64_t added_wall;
        struct grant *grant; /* NULL: none */
        struct login *login; /* under way; NULL */
        struct error last_error;
        uint64_t last_error_wall;
        struct scope_refusal refusal;    /* an elevation that a person refused (A163) */
        struct scope_attempts step_ups;  /* logins for more that peers began (A161) */
        struct scope_set last_requested; /* what the last login asked for (A162) */
        bool issuer_changed; /* the server names another issuer than the one it was granted by */
        bool removing;
        struct adding *changing; /* a server.add that is not on the disk yet; NULL */
        unsigned n_reports;      /* audit.record: the brake */
        uint64_t reported_boot;
        struct recheck *recheck; /* its metadata is looked at again */
        uint64_t rechecked_boot;
};

int server_new(struct broker *b, const char *url, const char *account, const char *name,
               struct server **ret, struct error *err) MUST_CHECK;
struct server *server_free(struct server *s); /* out of all tables first */
int server_from_json(struct broker *b, const json_t *value, struct server **ret, struct error *err)
        MUST_CHECK;
json_t *server_to_json(const struct server *s); /* what is stored; NULL: out of memory */

/* By name, or by URL with the account where several have it. NOT_FOUND, AMBIGUOUS. */
int server_find(struct broker *b, const char *name_or_url, const char *account, struct server **ret,
                struct error *err) MUST_CHECK;
/* "https://api.example.com/mcp" -> "api"; made unique by a number. NULL: out of memory. */
char *server_choose_name(struct broker *b, const char *url) MUST_CHECK;
int server_check_name(const char *name, struct error *err) MUST_CHECK;
/* What the record is stored under: the URL with scheme and host in lower case, and the account. */
int server_key(const char *url, const char *account, char **ret, struct error *err) MUST_CHECK;

/* What its tokens come from; NULL: a person has to log in. */
struct grant *server_grant(const struct server *s);
void server_note_error(struct server *s,
                       const struct error *err); /* shown by mcp-list; saved with the next save */
void server_clear_error(struct server *s);
/* What is asked of it and its issuer: borrows from @s and @challenge (may be NULL). */
struct discover_params server_discovery(const struct server *s, const struct challenge *challenge);
const char *server_state(const struct server *s); /* "ready", "login_required", ... */
json_t *server_describe(const struct server *s);  /* what server.list says; NULL: out of memory */
