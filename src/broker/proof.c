/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token.proof: a proof for one request that a peer is about to make with a token that it was given
 * (DPoP, RFC 9449 4). The key never leaves; a proof is good for this method, this URL under the
 * server's resource, this token, and some minutes.
 */
#include <stdio.h>

#include "audit/audit.h"
#include "base/url.h"
#include "broker/call.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/lease.h"
#include "broker/release.h"
#include "broker/server.h"

#define METHOD_BYTES 16

struct wish {
        const char *token_id;
        const char *method;
        const char *url;
        const char *nonce;
};

static int read_wish(struct broker_call *c, struct wish *ret, struct error *err) {
        int r = call_string(c, "token_id", true, &ret->token_id, err);

        if (r == 0)
                r = call_string(c, "method", true, &ret->method, err);
        if (r == 0)
                r = call_string(c, "url", true, &ret->url, err);
        if (r == 0)
                r = call_string(c, "nonce", false, &ret->nonce, err);
        if (r == 0 && (strlen(ret->method) > METHOD_BYTES || !*ret->method ||
                       ret->method[strspn(ret->method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")]))
                r = error_set(err, MCPB_BAD_PARAMS, EINVAL, "Give a method of HTTP, such as POST",
                              "method: '%.20s' is none", ret->method);
        return r;
}

/* Is it that path, or one below it? */
static bool lies_under(const char *path, const char *above) {
        size_t n = strlen(above);

        while (n > 0 && above[n - 1] == '/')
                n--;
        return strncmp(path, above, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool is_endpoint(const struct as_metadata *as, const struct url *u) {
        const char *const endpoints[] = {
                as->token_endpoint,      as->registration_endpoint,
                as->revocation_endpoint, as->device_authorization_endpoint,
                as->par_endpoint,        as->authorization_endpoint
        };

        for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
                AUTO_URL struct url e = URL_INIT;

                if (endpoints[i] && url_parse(&e, endpoints[i], "URL", NULL) == 0 &&
                    url_same_origin(&e, u) && lies_under(u->path, e.path))
                        return true;
        }
        return false;
}

/* A proof for an issuer's endpoint would let a peer act as the client. */
static int check_url(const struct broker_call *c, const struct grant *g, const char *text,
                     struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_URL struct url server = URL_INIT;
        int r = url_parse(&u, text, "url", err);

        if (r == 0)
                r = url_parse(&server, c->server->url, "server URL", err);
        if (r < 0)
                return r;
        if (url_same_origin(&u, &server) && lies_under(u.path, server.path) &&
            !strstr(u.path, "/..") && !is_endpoint(&g->as, &u))
                return 0;
        return error_set(err, MCPB_BAD_PARAMS, EPERM, "A token is for its server alone",
                         "url: '%s' is not under %s", text, c->server->url);
}

static struct lease *find_lease(struct grant *g, const char *token_id) {
        struct lease *l;

        LIST_FOREACH(l, &g->leases, struct lease, link)
                if (streq(l->token_id, token_id) && lease_left(l) > 0)
                        return l;
        return NULL;
}

static int may(struct broker_call *c, const struct lease *l, struct decision *d,
               struct error *err) {
        int r = release_decide(c, &l->scopes, &c->server->grant->scopes, d);

        return r < 0 ? error_fallback(err, r, "asking policy") : 0;
}

static int make(struct broker_call *c, struct grant *g, const struct lease *l,
                const struct wish *wish, struct buf *out) {
        AUTO_BUF struct buf token = BUF_INIT;
        int r = shield_open(c->broker->shield, &l->token, &token);

        if (wish->nonce)
                bound_hear_server(&g->bound, wish->nonce);
        return r < 0 ? r
                     : bound_write_proof(&g->bound, c->broker->shield, wish->method, wish->url,
                                         token.data, out);
}

/* S4: what proves that a token is ours leaves no sooner than its record either. */
static int record(struct broker_call *c, const struct grant *g, const struct wish *wish,
                  struct error *err) {
        struct audit_agent agent = release_agent(c);
        struct audit_record line = { .event = AUDIT_DPOP_SIGN,
                                     .outcome = AUDIT_ALLOW,
                                     .request = c->request_id,
                                     .agent = &agent,
                                     .server = c->server->url,
                                     .issuer = g->issuer,
                                     .client_id = g->client_id,
                                     .account = c->server->account[0] ? c->server->account : NULL };
        int r = audit_append(c->broker->audit, &line, err);

        broker_audit_written(c->broker);
        return r;
}

static int prepare(struct broker_call *c, struct wish *wish, struct lease **ret,
                   struct error *err) {
        struct grant *g;
        int r = call_find_server(c, err);

        if (r == 0)
                r = read_wish(c, wish, err);
        if (r < 0)
                return r;
        g = server_grant(c->server);
        *ret = g ? find_lease(g, wish->token_id) : NULL;
        if (!*ret)
                return error_set(err, MCPB_NOT_FOUND, ENOENT, "Ask for a token again",
                                 "No such token of %s is good any more", c->server->name);
        if (!bound_is(&g->bound))
                return error_set(err, MCPB_BAD_REQUEST, EINVAL, "Send it as it is",
                                 "The token of %s is bound to no key", c->server->name);
        return check_url(c, g, wish->url, err);
}

void handle_token_proof(struct broker_call *c) {
        AUTO_DECISION struct decision d = DECISION_INIT;
        AUTO_BUF struct buf proof = BUF_INIT;
        struct wish wish = { 0 };
        struct lease *l = NULL;
        struct error err = ERROR_INIT;
        int r = prepare(c, &wish, &l, &err);

        if (r == 0)
                r = may(c, l, &d, &err);
        if (r == 0 && d.effect != POLICY_ALLOW) {
                release_denied(c, &d);
                return;
        }
        if (r == 0)
                r = make(c, c->server->grant, l, &wish, &proof);
        if (r == 0)
                r = record(c, c->server->grant, &wish, &err);
        if (r < 0) {
                (void)error_fallback(&err, r, "making a proof");
                call_fail(c, &err);
                return;
        }
        call_reply(c, json_pack("{s:s%, s:s, s:s}", "proof", proof.data, proof.len, "token_id",
                                l->token_id, "request", c->request_id));
}
