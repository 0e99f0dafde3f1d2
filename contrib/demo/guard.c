/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The protected resource: metadata, tokens, challenges.
 */
#include "guard.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dpop.h"
#include "jwt.h"

#define DPOP_CHALLENGE "DPoP algs=\"" JWT_ALGORITHMS "\""

bool guard_is_path(const struct demo *d, const char *path) {
        return strcmp(path, "/mcp") == 0 ||
               (d->options.second_resource && strcmp(path, "/mcp2") == 0);
}

bool guard_is_resource(const struct demo *d, const char *resource) {
        size_t n = strlen(d->mcp_origin);

        return strncmp(resource, d->mcp_origin, n) == 0 && guard_is_path(d, resource + n);
}

void guard_prm(struct exchange *x) {
        struct demo *d = x->demo;
        const char *path = x->request->path + strlen(PRM_PATH);
        bool article = d->options.shapes != SHAPES_TODAY;
        json_t *servers = json_array();
        json_t *doc;
        char *other = mem_printf("%s/other", d->mcp_origin);
        char *own = mem_printf("%s%s", d->mcp_origin, path);
        const char *resource = own;

        if (strcmp(x->request->method, "GET") != 0 || !guard_is_path(d, path) || d->options.open) {
                reply_text(x->request, 404, "text/plain", "no such document\n");
        } else {
                (void)exchange_fault_arg(x, FAULT_MISMATCHED_RESOURCE, other, &resource);
                if (!exchange_fault(x, FAULT_EMPTY_AS_LIST))
                        json_array_append_new(servers, json_string(x->at->issuer));
                doc = json_pack("{s:s}", "resource", resource);
                if (article) {
                        json_object_set_new(doc, "authorization_server",
                                            json_string(x->at->issuer));
                        json_object_set_new(doc, "scopes", json_pack("[s]", SCOPE_SUMMARY));
                        json_object_set_new(doc, "token_types", json_pack("[s]", "Bearer"));
                } else {
                        json_object_set(doc, "authorization_servers", servers);
                        json_object_set_new(doc, "scopes_supported",
                                            json_pack("[s]", SCOPE_SUMMARY));
                        json_object_set_new(doc, "resource_name", json_string("Demo summaries"));
                }
                if (exchange_fault(x, FAULT_BEARER_METHODS_QUERY))
                        json_object_set_new(doc, "bearer_methods_supported",
                                            json_pack("[s]", "query"));
                else if (!article)
                        json_object_set_new(doc, "bearer_methods_supported",
                                            json_pack("[s]", "header"));
                dpop_metadata(d, doc, true);
                reply_json(x->request, 200, doc);
        }
        json_decref(servers);
        free(own);
        free(other);
}

/* A text of the test's own, with {prm} in it or not. */
static void challenge_text(struct text *t, const char *template, const char *prm) {
        const char *mark = strstr(template, "{prm}");

        if (mark)
                text_printf(t, "%.*s%s%s", (int)(mark - template), template, prm, mark + 5);
        else
                text_puts(t, template);
}

/* Of the resource: the old transport has its messages on a path of their own. */
static const char *path_of(const struct exchange *x) {
        return guard_is_path(x->demo, x->request->path) ? x->request->path : "/mcp";
}

/* One who uses that scheme is answered in it, and one who has to is told so. */
static bool speaks_dpop(const struct exchange *x) {
        enum dpop dpop = x->demo->options.dpop;

        return dpop == DPOP_REQUIRED || (dpop == DPOP_OFFERED && dpop_token(x->request));
}

void guard_challenge(struct exchange *x, unsigned status, const char *scope, const char *error,
                     const char *description) {
        struct demo *d = x->demo;
        struct request *r = x->request;
        char *own = mem_printf("%s" PRM_PATH "%s", d->mcp_origin, path_of(x));
        const char *prm = own;
        const char *template = NULL;
        const char *scheme = speaks_dpop(x) ? DPOP_CHALLENGE "," : "Bearer";
        struct text t = { 0 };

        journal_count(d->journal, COUNT_CHALLENGES);
        (void)exchange_fault_arg(x, FAULT_LINK_LOCAL_PRM,
                                 "http://169.254.169.254/latest/meta-data/", &prm);
        if (exchange_fault_arg(x, FAULT_CHALLENGE, "", &template))
                challenge_text(&t, template, prm);
        else if (d->options.shapes == SHAPES_ARTICLE)
                text_printf(&t, "MCP realm=\"mcp\", resource_metadata=\"%s\"", prm);
        else if (d->options.shapes == SHAPES_ARTICLE_RESOURCE)
                text_printf(&t, "MCP realm=\"x\", resource=\"%s\"", prm);
        else
                text_printf(&t, "%s resource_metadata=\"%s\", scope=\"%s\"", scheme, prm, scope);
        if (error && !template)
                text_printf(&t, ", error=\"%s\", error_description=\"%s\"", error, description);
        reply_text(r, status, "text/plain",
                   status == 401 ? "authorization required\n" : "insufficient scope\n");
        if (!exchange_fault(x, FAULT_NO_CHALLENGE))
                reply_header(r, "WWW-Authenticate", "%s", t.p);
        if (d->options.dpop == DPOP_OFFERED && !speaks_dpop(x) && status == 401)
                reply_header(r, "WWW-Authenticate", "%s", DPOP_CHALLENGE);
        text_done(&t);
        free(own);
        exchange_note(x, "%s", description ? description : "no token");
}

/* On whose behalf the token is, for the log. */
static json_t *who(const struct access_token *t) {
        return json_pack("{s:s, s:s?, s:O?, s:s?}", "client", t->family->client_id, "subject",
                         t->family->subject, "act", t->family->act, "jkt", t->jkt);
}

const char *guard_authorize(struct exchange *x) {
        struct demo *d = x->demo;
        const char *header = request_header(x->request, "Authorization");
        const struct access_token *token;
        const char *text = NULL;
        const char *error;
        const char *why;
        char *resource;
        const char *scope = NULL;

        if (!header) {
                guard_challenge(x, 401, SCOPE_SUMMARY, NULL, NULL);
                return NULL;
        }
        if (strncasecmp(header, "Bearer ", 7) == 0)
                text = header + 7;
        else if (d->options.dpop != DPOP_OFF)
                text = dpop_token(x->request);
        token = tokens_access(x->at->tokens, text);
        resource = mem_printf("%s%s", d->mcp_origin, path_of(x));
        if (!token)
                guard_challenge(x, 401, SCOPE_SUMMARY, "invalid_token", "unknown token");
        else if (strcmp(token->family->resource, resource) != 0)
                guard_challenge(x, 401, SCOPE_SUMMARY, "invalid_token",
                                "token for another resource");
        else if (!access_token_alive(x->at->tokens, token))
                guard_challenge(x, 401, SCOPE_SUMMARY, "invalid_token", "token expired or revoked");
        else if (exchange_fault(x, FAULT_REJECT_TOKEN))
                guard_challenge(x, 401, SCOPE_SUMMARY, "invalid_token",
                                "a fault rejects every token");
        else if (d->options.dpop != DPOP_OFF && (error = dpop_guard(x, token, text, &why)))
                guard_challenge(x, 401, SCOPE_SUMMARY, error, why);
        else
                scope = token->scope;
        if (scope)
                json_object_set_new(x->record, "who", who(token));
        free(resource);
        return scope;
}
