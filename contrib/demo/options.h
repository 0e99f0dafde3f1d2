/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define OPTIONS_LIST_MAX 64U

enum shapes {
        SHAPES_TODAY,
        SHAPES_ARTICLE,
        SHAPES_ARTICLE_RESOURCE,
};

enum protocol {
        PROTOCOL_2025_03_26,
        PROTOCOL_2025_06_18,
        PROTOCOL_2025_11_25,
        PROTOCOL_2026_07_28,
        PROTOCOL_COUNT,
};

#define PROTOCOL_BIT(p) (1U << (unsigned)(p))

enum metadata {
        METADATA_OAUTH,         /* RFC 8414 only */
        METADATA_OIDC,          /* OpenID discovery only, inserted and appended form */
        METADATA_OIDC_APPENDED, /* OpenID discovery only, appended form only */
        METADATA_BOTH,
};

/* Whom an assertion has to be for. */
enum audience {
        AUDIENCE_ISSUER,
        AUDIENCE_TOKEN_ENDPOINT,
        AUDIENCE_EITHER,
};

enum dpop {
        DPOP_OFF,
        DPOP_OFFERED,
        DPOP_REQUIRED,
};

enum par {
        PAR_OFF,
        PAR_OFFERED,
        PAR_REQUIRED,
};

struct options {
        const char *clients[OPTIONS_LIST_MAX];     /* ID or ID:SECRET */
        const char *client_keys[OPTIONS_LIST_MAX]; /* ID=FILE */
        const char *faults[OPTIONS_LIST_MAX];
        const char *workload_allow[OPTIONS_LIST_MAX];   /* NAMESPACE/ACCOUNT=SCOPES */
        const char *workload_issuers[OPTIONS_LIST_MAX]; /* ISSUER=FILE */
        const char *issuer_path;                        /* "" or "/tenant1" */
        const char *token_type;
        uint64_t access_ttl_sec;
        uint64_t body_max_mib;
        uint64_t device_interval_sec;
        unsigned protocols; /* PROTOCOL_BIT of each that is spoken */
        unsigned n_clients;
        unsigned n_client_keys;
        unsigned n_faults;
        unsigned n_workload_allow;
        unsigned n_workload_issuers;
        uint16_t port;
        uint16_t as_port;
        uint16_t control_port;
        uint16_t idp_port;
        enum shapes shapes;
        enum metadata metadata;
        enum audience audience;
        enum dpop dpop;
        enum par par;
        bool auto_consent;
        bool auto_deny;
        bool cimd;
        bool device;
        bool die_with_parent;
        bool dpop_nonce;
        bool event_ids;
        bool http_sse;
        bool idp;
        bool log;
        bool more;
        bool no_expires_in;
        bool no_refresh_token;
        bool no_rotate;
        bool offline_access;
        bool open;
        bool refuse_resource;
        bool require_session;
        bool second_resource;
        bool sse;
        bool stream;
        bool strict;
        bool token_exchange;
};

enum options_result {
        OPTIONS_RUN,
        OPTIONS_DONE,  /* --help or --version was answered on stdout */
        OPTIONS_USAGE, /* a complaint went to stderr */
};

const char *protocol_name(enum protocol p);
bool protocol_parse(const char *name, enum protocol *ret);

/* The strings stay argv's. */
enum options_result options_parse(struct options *o, int argc, char **argv);
