/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/codec.h"
#include "policy/rule.h"

/*
 * Server= is matched component by component: one pattern over the whole URI would let
 * "https://X.home.arpa/" with a star for X allow "https://evil.example/x.home.arpa/mcp". What two
 * parsers could read differently matches nothing.
 */

static bool host_is_odd(const char *host) {
        size_t len = strlen(host);

        return host[0] == '.' || host[len - 1] == '.' || strstr(host, "..") != NULL;
}

/*
 * "." and ".." are resolved and "//" is folded by many servers: a rule about a path must not be got
 * around so.
 */
static bool path_is_odd(const char *path) {
        while (*path == '/') {
                size_t len = strcspn(path + 1, "/");

                if ((len == 0 && path[1]) || (len == 1 && path[1] == '.') ||
                    (len == 2 && path[1] == '.' && path[2] == '.'))
                        return true;
                path += 1 + len;
        }
        return false;
}

static const char *find_fault(const char *uri, const struct url *u) {
        if (u->query)
                return "the server's URI has a query";
        if (u->fragment)
                return "the server's URI has a fragment";
        if (strchr(uri, '%'))
                return "the server's URI has a '%'";
        if (!u->ipv6 && host_is_odd(u->host))
                return "the server's host has an empty label";
        if (path_is_odd(u->path))
                return "the server's path has an empty, '.' or '..' segment";
        return NULL;
}

int server_parse(const char *uri, struct url *u, const char **ret_fault) {
        int r = url_parse(u, uri, "server", NULL);

        if (r == -ENOMEM)
                return r;
        *ret_fault = r < 0 ? "the server's URI is malformed" : find_fault(uri, u);
        return 0;
}

static bool host_matches(const struct server_glob *g, const struct url *u) {
        struct in6_addr address;

        if (g->any_host)
                return true;
        if (g->ipv6 != u->ipv6)
                return false;
        if (!g->ipv6)
                return glob_match(g->host, u->host);
        return inet_pton(AF_INET6, u->host, &address) == 1 &&
               memcmp(&address, &g->address, sizeof(address)) == 0;
}

bool server_matches(const struct server_glob *g, const struct url *u, bool added) {
        if (g->added)
                return added;
        return streq(g->scheme, u->scheme) && (g->any_port || g->port == u->port) &&
               host_matches(g, u) && (!g->path || glob_match(g->path, *u->path ? u->path : "/"));
}

static bool host_glob_ok(const char *host) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.*?";

        return *host && strspn(host, allowed) == strlen(host) && !host_is_odd(host);
}

/* "host[:port]" at @p, @len bytes. NULL, or what is wrong; g->host NULL: out of memory. */
static const char *parse_authority(struct server_glob *g, const char *p, size_t len) {
        const char *end = p + len;
        size_t n_host;
        char port[8] = { 0 };
        uint64_t number;

        if (len > 0 && *p == '[') {
                const char *close = memchr(p, ']', len);

                if (!close)
                        return "has a broken IPv6 address";
                g->ipv6 = true;
                g->host = strndup(p + 1, (size_t)(close - p - 1));
                if (g->host && inet_pton(AF_INET6, g->host, &g->address) != 1)
                        return "has a broken IPv6 address (those are compared exactly)";
                p = close + 1;
        } else {
                const char *colon = memchr(p, ':', len);

                n_host = colon ? (size_t)(colon - p) : len;
                g->host = strndup(p, n_host);
                for (char *c = g->host; c && *c; c++)
                        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
                if (g->host && !host_glob_ok(g->host))
                        return "has a host that no server can have";
                g->any_host = g->host && streq(g->host, "*");
                p += n_host;
        }
        g->port = g->scheme && streq(g->scheme, "http") ? 80 : 443;
        g->any_port = g->any_host && p == end;
        if (p == end)
                return NULL;
        if (*p != ':' || (size_t)(end - p - 1) >= sizeof(port))
                return "has a bad port";
        memcpy(port, p + 1, (size_t)(end - p - 1));
        if (number_parse(port, 65535, &number) < 0 || number == 0)
                return "has a bad port";
        g->port = (uint16_t)number;
        return NULL;
}

/* NULL, or what is wrong. Out of memory leaves scheme or host at NULL, or @ret_oom set. */
static const char *parse_glob(struct server_glob *g, bool *ret_oom) {
        const char *sep = strstr(g->text, "://");
        const char *rest;
        const char *wrong;
        size_t n_authority;

        if (*g->text == '@') {
                g->added = streq(g->text, "@added");
                return g->added ? NULL : "is none of our words (there is @added)";
        }
        if (!sep)
                return "is not of the form scheme://host/path";
        g->scheme = strndup(g->text, (size_t)(sep - g->text));
        if (g->scheme && !streq(g->scheme, "https") && !streq(g->scheme, "http"))
                return "has a scheme other than https and http";
        for (const char *p = g->text; *p; p++)
                if (*p <= 0x20 || *p == 0x7f || *p < 0 || strchr("@%#\\\"<>", *p))
                        return "has a character that no server's URI has";
        rest = sep + 3;
        n_authority = strcspn(rest, "/");
        wrong = parse_authority(g, rest, n_authority);
        if (wrong)
                return wrong;
        rest += n_authority;
        if (strchr(rest, '['))
                return "has a '[', which globs here do not know";
        if (*rest)
                g->path = strdup(rest);
        *ret_oom = !g->scheme || !g->host || (*rest && !g->path);
        return NULL;
}

int parse_server(struct parser *ps, const struct conf_item *item, struct error *err) {
        size_t len = 0;

        for (const char *w = conf_word(item->value, &len); w; w = conf_word(w + len, &len)) {
                void *items = ps->rule->servers;
                struct server_glob *g = list_push(&items, &ps->rule->n_servers, sizeof(*g));
                const char *wrong;
                bool oom = false;
                int r;

                if (!g)
                        return error_oom(err);
                ps->rule->servers = items;
                r = parse_count_word(ps, item, err);
                if (r < 0)
                        return r;
                g->text = strndup(w, len);
                if (!g->text)
                        return error_oom(err);
                wrong = parse_glob(g, &oom);
                if (wrong)
                        return conf_error(item, err, NULL, "'%s' %s", g->text, wrong);
                if (oom)
                        return error_oom(err);
        }
        return 0;
}

void server_glob_done(struct server_glob *g) {
        free(g->text);
        free(g->scheme);
        free(g->host);
        free(g->path);
        *g = (struct server_glob){ 0 };
}
