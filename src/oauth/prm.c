/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/prm.h"

#include <strings.h>

#include "base/limits.h"
#include "base/url.h"
#include "oauth/fields.h"

#define WELL_KNOWN "/.well-known/oauth-protected-resource"
#define HINT_SERVER "Report it to whoever runs the server"

int prm_location(const char *server_url, unsigned index, char **ret, struct error *err) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_FREE char *origin = NULL;
        AUTO_URL struct url u = URL_INIT;
        const char *path;
        int r = url_parse(&u, server_url, "server URL", err);

        if (r < 0)
                return r;
        path = streq(u.path, "/") ? "" : u.path;
        if (index > 1 || (index == 1 && !*path && !u.query))
                return 0;
        origin = url_origin(&u);
        r = origin ? buf_printf(&b, "%s%s", origin, WELL_KNOWN) : -ENOMEM;
        if (r == 0 && index == 0)
                r = buf_printf(&b, "%s%s%s", path, u.query ? "?" : "", u.query ? u.query : "");
        *ret = r == 0 ? buf_steal(&b) : NULL;
        return *ret ? 1 : error_oom(err);
}

static bool has_dot_segment(const char *path) {
        size_t len = strlen(path);

        return strstr(path, "/../") || strstr(path, "/./") ||
               (len >= 3 && streq(path + len - 3, "/..")) ||
               (len >= 2 && streq(path + len - 2, "/."));
}

/* Is @prefix the beginning of @path, ending where a segment ends? */
static bool is_path_prefix(const char *prefix, const char *path) {
        size_t len = strlen(prefix);

        if (len == 0 || streq(prefix, "/"))
                return true;
        if (strncmp(prefix, path, len) != 0)
                return false;
        return prefix[len - 1] == '/' || path[len] == '\0' || path[len] == '/';
}

bool prm_resource_matches(const char *resource, const char *server_url) {
        AUTO_URL struct url r = URL_INIT;
        AUTO_URL struct url s = URL_INIT;

        if (url_parse(&r, resource, "resource", NULL) < 0 ||
            url_parse(&s, server_url, "server URL", NULL) < 0)
                return false;
        if (r.fragment || !url_same_origin(&r, &s))
                return false;
        if (streq(r.path, s.path) && streq_null(r.query, s.query))
                return true;
        /* The one tolerance (A29): a path above the server's. A path that climbs could leave it
         * again. */
        return !r.query && !has_dot_segment(s.path) && !has_dot_segment(r.path) &&
               is_path_prefix(r.path, s.path);
}

int prm_resource_form(const char *server_url, char **ret, struct error *err) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_FREE char *origin = NULL;
        AUTO_URL struct url u = URL_INIT;
        int r = url_parse(&u, server_url, "server URL", err);

        if (r < 0)
                return r;
        origin = url_origin(&u);
        r = origin ? buf_append_str(&b, origin) : -ENOMEM;
        if (r == 0 && !streq(u.path, "/"))
                r = buf_append_str(&b, u.path);
        /* A query that the server's own URL has tells it from others: it cannot be avoided. */
        if (r == 0 && u.query)
                r = buf_printf(&b, "?%s", u.query);
        *ret = r == 0 ? buf_steal(&b) : NULL;
        return *ret ? 0 : error_oom(err);
}

static bool same_origin(const char *a, const char *b) {
        AUTO_URL struct url ua = URL_INIT;
        AUTO_URL struct url ub = URL_INIT;

        return url_parse(&ua, a, "URL", NULL) == 0 && url_parse(&ub, b, "URL", NULL) == 0 &&
               url_same_origin(&ua, &ub);
}

/* What stands in a document, whose it is. */
struct source {
        const json_t *json;
        const char *server_url;
        const char *url;
        bool old; /* members from before RFC 9728 were used (A43) */
};

static int read_issuers(struct prm *p, const struct source *from, struct error *err) {
        const json_t *list = json_object_get(from->json, "authorization_servers");
        const char *old = json_get_string(from->json, "authorization_server");
        int r;

        if (json_is_array(list)) {
                r = text_list_from_json(&p->issuers, &p->n_issuers, list);
        } else {
                AUTO_JSON json_t *one = old ? json_pack("[s]", old) : NULL;

                r = old && !one ? -ENOMEM : text_list_from_json(&p->issuers, &p->n_issuers, one);
        }
        if (r < 0)
                return error_oom(err);
        if (p->n_issuers == 0)
                return error_set(err, MCPB_SERVER_ERROR, ENOENT, HINT_SERVER,
                                 "The protected resource metadata at %s names no authorization "
                                 "server",
                                 from->url);
        return 0;
}

static int read_scopes(struct prm *p, struct source *from) {
        const json_t *list = json_object_get(from->json, "scopes_supported");

        if (!json_is_array(list)) {
                list = json_object_get(from->json, "scopes");
                if (json_is_string(list)) {
                        p->has_scopes = from->old = true;
                        return scope_set_parse(&p->scopes, json_string_value(list),
                                               &p->n_dropped_scopes);
                }
                from->old = from->old || json_is_array(list);
        }
        p->has_scopes = json_is_array(list);
        return scope_set_from_json(&p->scopes, list, &p->n_dropped_scopes);
}

/* The old "token_types": a server that takes neither of the types that exist cannot be served. */
static int read_token_types(struct prm *p, const struct source *from, struct error *err) {
        const json_t *types = json_object_get(from->json, "token_types");
        AUTO_JSON json_t *one = json_is_string(types) ? json_pack("[O]", types) : NULL;
        const json_t *item;
        bool bearer = false;
        bool dpop = false;
        size_t n = 0;
        size_t i;

        json_array_foreach(one ? one : types, i, item) {
                const char *type = json_string_value(item);

                bearer = bearer || (type && strcasecmp(type, "Bearer") == 0);
                dpop = dpop || (type && strcasecmp(type, "DPoP") == 0);
                n += type ? 1 : 0;
        }
        if (n == 0)
                return 0;
        if (!bearer && !dpop)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, HINT_SERVER,
                                 "The server %s takes token types that are not known",
                                 from->server_url);
        p->dpop_required = p->dpop_required || !bearer;
        return 0;
}

static int check_methods(const struct source *from, struct error *err) {
        const json_t *methods = json_object_get(from->json, "bearer_methods_supported");

        if (!json_is_array(methods) ||
            json_has_string(from->json, "bearer_methods_supported", "header"))
                return 0;
        return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, HINT_SERVER,
                         "The server %s does not take tokens in the Authorization header, the only "
                         "place where MCP allows them",
                         from->server_url);
}

static int read_resource(struct prm *p, const struct source *from, struct error *err) {
        const char *resource = json_get_string(from->json, "resource");

        if (!resource && from->old && same_origin(from->url, from->server_url))
                return prm_resource_form(from->server_url, &p->resource, err);
        if (!resource)
                return error_set(err, MCPB_SERVER_ERROR, EBADMSG, HINT_SERVER,
                                 "The protected resource metadata at %s does not say which "
                                 "resource it is about",
                                 from->url);
        if (!prm_resource_matches(resource, from->server_url))
                return error_set(err, MCPB_SERVER_ERROR, EBADMSG,
                                 "If that is the server's real address, add the server under it; "
                                 "otherwise: " HINT_SERVER,
                                 "The protected resource metadata at %s is about '%.128s', not "
                                 "about the server %s",
                                 from->url, resource, from->server_url);
        p->resource = strdup(resource);
        return p->resource ? 0 : error_oom(err);
}

static int read_document(struct prm *p, struct source *from, struct error *err) {
        int r;

        p->dpop_required = json_get_bool(from->json, "dpop_bound_access_tokens_required", false);
        p->mtls_required =
                json_get_bool(from->json, "tls_client_certificate_bound_access_tokens", false);
        r = read_scopes(p, from);
        if (r < 0)
                return error_oom(err);
        /* Whose document it is comes before all that it says (A28), but whether it is an old one
         * shows in its members. */
        from->old = from->old ||
                    (!json_is_array(json_object_get(from->json, "authorization_servers")) &&
                     json_get_string(from->json, "authorization_server")) ||
                    json_object_get(from->json, "token_types");
        r = read_resource(p, from, err);
        if (r == 0)
                r = read_issuers(p, from, err);
        if (r == 0)
                r = read_token_types(p, from, err);
        if (r == 0)
                r = check_methods(from, err);
        return r;
}

int prm_parse(struct prm *p, const char *server_url, const char *url, const struct buf *body,
              struct error *err) {
        AUTO_PRM struct prm read = PRM_INIT;
        AUTO_JSON json_t *json = NULL;
        struct source from = { .server_url = server_url, .url = url };
        int r;

        if (body->len > LIMIT_METADATA_BYTES)
                return error_set(err, MCPB_SERVER_ERROR, EMSGSIZE, HINT_SERVER,
                                 "The protected resource metadata at %s is too large", url);
        r = body->len > 0 ? json_parse(body->data, body->len, LIMIT_METADATA_DEPTH, &json, NULL)
                          : -EBADMSG;
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !json_is_object(json))
                return -ENODATA;
        from.json = json;
        r = read_document(&read, &from, err);
        if (r < 0)
                return r;
        *p = read;
        read = PRM_INIT;
        return 0;
}

void prm_done(struct prm *p) {
        free(p->resource);
        text_list_done(&p->issuers, &p->n_issuers);
        scope_set_done(&p->scopes);
        *p = PRM_INIT;
}

static const char *named(const struct prm *p, const char *issuer) {
        for (size_t i = 0; i < p->n_issuers; i++)
                if (streq(p->issuers[i], issuer))
                        return p->issuers[i];
        return NULL;
}

int prm_choose_issuer(const struct prm *p, const char *configured, const char *const *known,
                      size_t n_known, const char **ret, struct error *err) {
        const char *found = configured ? named(p, configured) : NULL;

        if (configured && !found)
                return error_set(err, MCPB_BAD_CONFIG, EKEYREJECTED,
                                 "Nothing was sent. If the change is known to be right, configure "
                                 "the new issuer and its credentials; else ask whoever runs the "
                                 "server",
                                 "%s names the authorization server '%.128s', but '%.128s' is "
                                 "configured",
                                 p->resource, p->issuers[0], configured);
        for (size_t i = 0; i < n_known && !found; i++)
                found = named(p, known[i]);
        *ret = found ? found : p->issuers[0];
        return 0;
}
