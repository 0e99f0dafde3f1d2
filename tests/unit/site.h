/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The world outside as discovery sees it: pages by URL, and a log of what was asked for.
 */
#pragma once

#include <stdio.h>

#include "base/limits.h"
#include "oauth.h"
#include "oauth/discover.h"

#define SERVER "https://mcp.example.com/mcp"
#define PRM_PATH "https://mcp.example.com/.well-known/oauth-protected-resource/mcp"
#define PRM_ROOT "https://mcp.example.com/.well-known/oauth-protected-resource"
#define AS_OAUTH ISSUER "/.well-known/oauth-authorization-server"
#define AS_OPENID ISSUER "/.well-known/openid-configuration"

/* Of a server of 2025-03-26. */
#define OLD_SERVER "https://mcp.example.com/v1/mcp"
#define OLD_PRM_PATH "https://mcp.example.com/.well-known/oauth-protected-resource/v1/mcp"
#define OWN "https://mcp.example.com/.well-known/oauth-authorization-server"

#define PRM_OF(resource) \
        "{\"resource\":\"" resource "\",\"authorization_servers\":[\"" ISSUER "\"]}"
#define PRM PRM_OF(SERVER)
#define AS_BODY(issuer, more)                                                              \
        "{\"issuer\":\"" issuer "\",\"authorization_endpoint\":\"" ISSUER "/authorize\","  \
        "\"token_endpoint\":\"" ISSUER "/token\",\"response_types_supported\":[\"code\"]," \
        "\"code_challenge_methods_supported\":[\"S256\"]" more "}"
#define AS AS_BODY(ISSUER, "")

/* One thing the world outside answers; what is not in the list is a 404. */
struct site {
        const char *url;
        unsigned status; /* 0: no answer */
        const char *body;
        const char *header; /* WWW-Authenticate, or Location for a redirect */
        enum fetch_failure failure;
};

#define PAGE(url, body) \
        { url, 200, body, NULL, FETCH_FAILURE_NONE }
#define SAYS(url, status, body, header) \
        { url, status, body, header, FETCH_FAILURE_NONE }
#define DEAD(url, failure) \
        { url, 0, NULL, NULL, failure }

#define LOG_MAX 8
struct run {
        struct site sites[8];
        const char *log[LOG_MAX];
        size_t n_log;
        char last_version[32]; /* MCP-Protocol-Version of the last request; "" none */
        enum address_class reached;
};

static inline void answer_from(struct run *run, const struct fetch_request *req,
                               struct fetch_answer *a) {
        const struct site *site = NULL;

        for (size_t i = 0; i < ARRAY_SIZE(run->sites) && run->sites[i].url; i++)
                if (streq(run->sites[i].url, req->url))
                        site = &run->sites[i];
        if (site && site->status == 0) {
                answer_none(a, FETCH_NO_ANSWER, site->failure);
                return;
        }
        fetch_answer_init(a);
        a->outcome = FETCH_ANSWERED;
        a->status = site ? site->status : 404;
        a->reached = run->reached ? run->reached : ADDRESS_PUBLIC;
        if (site && site->body)
                assert_int_equal(buf_append_str(&a->body, site->body), 0);
        if (site && site->header)
                assert_int_equal(fetch_answer_add_header(
                                         a,
                                         site->status / 100 == 3 ? "location" : "www-authenticate",
                                         site->header),
                                 0);
}

/* The urls asked for are remembered by the sites' own strings where they are known. */
static inline const char *known_text(struct run *run, const char *url) {
        static const char *const all[] = { SERVER,    PRM_PATH,   PRM_ROOT,     AS_OAUTH,
                                           AS_OPENID, OLD_SERVER, OLD_PRM_PATH, OWN };

        for (size_t i = 0; i < ARRAY_SIZE(run->sites) && run->sites[i].url; i++)
                if (streq(run->sites[i].url, url))
                        return run->sites[i].url;
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (streq(all[i], url))
                        return all[i];
        return "?";
}

static inline void note_version(struct run *run, const struct fetch_request *req) {
        run->last_version[0] = '\0';
        for (size_t i = 0; i < req->n_headers; i++)
                if (streq(req->headers[i].name, "MCP-Protocol-Version"))
                        (void)snprintf(run->last_version, sizeof(run->last_version), "%s",
                                       req->headers[i].value);
}

static inline int drive(struct run *run, const struct discover_params *params,
                        struct discover **ret, struct error *err) {
        AUTO_DISCOVER struct discover *d = NULL;
        int r = discover_new(params, &d, err);

        while (r == 0) {
                AUTO_REQUEST struct fetch_request req = { 0 };
                AUTO_ANSWER struct fetch_answer a = { 0 };

                r = discover_next(d, &req);
                if (r <= 0)
                        break;
                if (run->n_log < LOG_MAX)
                        run->log[run->n_log++] = known_text(run, req.url);
                assert_true(req.timeout_msec > 0 && req.timeout_msec <= LIMIT_FETCH_MSEC);
                assert_true(req.body_max > 0 && req.body_max <= LIMIT_METADATA_BYTES);
                note_version(run, &req);
                answer_from(run, &req, &a);
                r = discover_feed(d, &a, err);
        }
        if (r == 0)
                *ret = TAKE(d);
        return r;
}

/* An answer that comes in its turn, whatever was asked. */
struct step {
        unsigned status;
        const char *body;
};

/* The same by @n steps, where memory may run out at any of them: what fails ends it. */
static inline int drive_by_steps(const struct discover_params *params, const struct step *steps,
                                 size_t n) {
        AUTO_DISCOVER struct discover *d = NULL;
        int r = discover_new(params, &d, NULL);

        for (size_t i = 0; i < n && r == 0; i++) {
                AUTO_REQUEST struct fetch_request req = { 0 };
                AUTO_ANSWER struct fetch_answer a;

                fetch_answer_init(&a);
                a.outcome = FETCH_ANSWERED;
                a.status = steps[i].status;
                r = discover_next(d, &req);
                if (r == 1)
                        r = steps[i].body ? buf_append_str(&a.body, steps[i].body) : 0;
                if (r == 0)
                        r = discover_feed(d, &a, NULL);
        }
        return r;
}

static inline void assert_log(const struct run *run, const char *const *want) {
        size_t n = 0;

        for (; want[n]; n++) {
                assert_true(n < run->n_log);
                assert_string_equal(run->log[n], want[n]);
        }
        assert_int_equal(run->n_log, n);
}

#define LOG(...) ((const char *const[]){ __VA_ARGS__, NULL })

static inline void challenge_make(struct challenge *c, const char *value) {
        assert_int_equal(challenge_parse(c, &value, value ? 1 : 0), 0);
}
