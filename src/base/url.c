/* SPDX-License-Identifier: Apache-2.0 */
#include "base/url.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/codec.h"

#define HINT_URL "Give an absolute URL such as https://mcp.example.com/mcp"

struct span {
        const char *p;
        size_t len;
};

static char *dup_lower(struct span s) {
        char *copy = calloc(1, s.len + 1);

        if (!copy)
                return NULL;
        for (size_t i = 0; i < s.len; i++)
                copy[i] = s.p[i] >= 'A' && s.p[i] <= 'Z' ? (char)(s.p[i] + 32) : s.p[i];
        return copy;
}

static bool host_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '.' || c == '_';
}

/* Cuts "host[:port]" or "[v6][:port]"; returns what is wrong, or NULL. */
static const char *split_authority(struct span a, struct span *host, struct span *port,
                                   bool *ipv6) {
        const char *colon;

        if (memchr(a.p, '@', a.len))
                return "has user information before the host";
        if (a.len > 0 && a.p[0] == '[') {
                const char *close = memchr(a.p, ']', a.len);

                if (!close)
                        return "has a broken IPv6 address";
                *ipv6 = true;
                *host = (struct span){ a.p + 1, (size_t)(close - a.p - 1) };
                a = (struct span){ close + 1, a.len - (size_t)(close + 1 - a.p) };
                if (a.len > 0 && a.p[0] != ':')
                        return "has text behind the IPv6 address";
        } else {
                colon = memchr(a.p, ':', a.len);
                *host = (struct span){ a.p, colon ? (size_t)(colon - a.p) : a.len };
                a = (struct span){ a.p + host->len, a.len - host->len };
                for (size_t i = 0; i < host->len; i++)
                        if (!host_char(host->p[i]))
                                return "has a host name with a character that is not allowed";
        }
        if (host->len == 0)
                return "has no host";
        if (a.len > 0)
                *port = (struct span){ a.p + 1, a.len - 1 };
        return NULL;
}

static const char *set_port(struct url *u, struct span port) {
        char digits[8] = { 0 };
        uint64_t n;

        u->port = streq(u->scheme, "https") ? 443 : 80;
        if (!port.p)
                return NULL;
        if (port.len == 0 || port.len >= sizeof(digits))
                return "has a port that is no number from 1 to 65535";
        memcpy(digits, port.p, port.len);
        if (number_parse(digits, 65535, &n) < 0 || n == 0)
                return "has a port that is no number from 1 to 65535";
        u->port = (uint16_t)n;
        u->port_given = true;
        return NULL;
}

static const char *set_host(struct url *u, struct span host, bool ipv6) {
        struct in6_addr addr;

        u->host = dup_lower(host);
        u->ipv6 = ipv6;
        if (ipv6 && u->host && inet_pton(AF_INET6, u->host, &addr) != 1)
                return "has a broken IPv6 address";
        return NULL;
}

static const char *parse_into(struct url *u, const char *text) {
        const char *sep = strstr(text, "://");
        struct span host = { 0 };
        struct span port = { 0 };
        const char *rest;
        const char *wrong;
        bool ipv6 = false;
        size_t n;

        /* Whether char is signed differs by machine: bytes over 0x7e are refused on all. */
        for (const char *p = text; *p; p++)
                if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || *p == '\\' ||
                    *p == '"' || *p == '<' || *p == '>')
                        return "has a character that a URL cannot have";
        if (!sep || sep == text)
                return "is not an absolute URL";
        u->scheme = dup_lower((struct span){ text, (size_t)(sep - text) });
        if (!u->scheme)
                return NULL;
        if (!streq(u->scheme, "https") && !streq(u->scheme, "http"))
                return "has a scheme other than https";
        rest = sep + 3;
        n = strcspn(rest, "/?#");
        wrong = split_authority((struct span){ rest, n }, &host, &port, &ipv6);
        if (!wrong)
                wrong = set_port(u, port);
        if (!wrong)
                wrong = set_host(u, host, ipv6);
        if (wrong)
                return wrong;
        rest += n;
        n = strcspn(rest, "?#");
        u->path = strndup(rest, n);
        rest += n;
        if (*rest == '?') {
                n = strcspn(++rest, "#");
                u->query = strndup(rest, n);
                if (!u->query)
                        u->path = str_wipe_free(u->path); /* out of memory, seen by the caller */
                rest += n;
        }
        u->fragment = *rest == '#';
        return NULL;
}

int url_parse(struct url *u, const char *text, const char *what, struct error *err) {
        struct url parsed = URL_INIT;
        const char *wrong;

        if (strlen(text) > URL_MAX)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, HINT_URL,
                                 "The %s is longer than %d bytes", what, URL_MAX);
        wrong = parse_into(&parsed, text);
        if (wrong) {
                url_done(&parsed);
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, HINT_URL, "The %s '%s' %s", what,
                                 text, wrong);
        }
        parsed.text = strdup(text);
        if (!parsed.text || !parsed.scheme || !parsed.host || !parsed.path) {
                url_done(&parsed);
                return error_oom(err);
        }
        *u = parsed;
        return 0;
}

void url_done(struct url *u) {
        free(u->text);
        free(u->scheme);
        free(u->host);
        free(u->path);
        free(u->query);
        *u = URL_INIT;
}

bool url_host_is_loopback(const struct url *u) {
        struct in_addr v4;
        struct in6_addr v6;

        if (u->ipv6)
                return inet_pton(AF_INET6, u->host, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
        if (streq(u->host, "localhost"))
                return true;
        return inet_pton(AF_INET, u->host, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}

bool url_is_allowed(const struct url *u) {
        return streq(u->scheme, "https") || url_host_is_loopback(u);
}

int url_check_allowed(const char *text, const char *what, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        int r = url_parse(&u, text, what, err);

        if (r < 0)
                return r;
        if (!url_is_allowed(&u))
                return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                 "Use https; plain http is allowed to loopback hosts only",
                                 "The %s '%s' is not https", what, text);
        if (u.fragment)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, "Leave out the '#' and what follows",
                                 "The %s '%s' has a fragment", what, text);
        return 0;
}

bool url_same_origin(const struct url *a, const struct url *b) {
        return streq(a->scheme, b->scheme) && streq(a->host, b->host) && a->ipv6 == b->ipv6 &&
               a->port == b->port;
}

char *url_origin(const struct url *u) {
        AUTO_BUF struct buf b = BUF_INIT;
        bool standard = u->port == (streq(u->scheme, "https") ? 443 : 80);
        int r = buf_printf(&b, u->ipv6 ? "%s://[%s]" : "%s://%s", u->scheme, u->host);

        if (r == 0 && !standard)
                r = buf_printf(&b, ":%u", (unsigned)u->port);
        return r < 0 ? NULL : buf_steal(&b);
}

int url_append_canonical(const struct url *u, struct buf *b) {
        AUTO_FREE char *origin = url_origin(u);

        if (!origin)
                return -ENOMEM;
        return buf_printf(b, "%s%s%s%s", origin, u->path[0] ? u->path : "/", u->query ? "?" : "",
                          u->query ? u->query : "");
}

static bool has_scheme(const char *text) {
        size_t n =
                strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");

        return n > 0 && text[n] == ':';
}

/* How much of the base's path stays in front of a relative reference. */
static size_t kept_path(const struct url *base, const char *reference) {
        const char *slash = strrchr(base->path, '/');

        if (reference[0] == '/')
                return 0;
        if (reference[0] == '?' || reference[0] == '\0')
                return strlen(base->path);
        return slash ? (size_t)(slash + 1 - base->path) : 0;
}

char *url_resolve(const struct url *base, const char *reference) {
        AUTO_FREE char *origin = url_origin(base);
        AUTO_BUF struct buf b = BUF_INIT;
        size_t kept;

        if (has_scheme(reference))
                return strdup(reference);
        if (!origin)
                return NULL;
        if (reference[0] == '/' && reference[1] == '/')
                return buf_printf(&b, "%s:%s", base->scheme, reference) < 0 ? NULL : buf_steal(&b);
        kept = kept_path(base, reference);
        if (buf_printf(&b, "%s%.*s%s%s", origin, (int)kept, base->path,
                       kept == 0 && reference[0] != '/' ? "/" : "", reference) < 0)
                return NULL;
        return buf_steal(&b);
}

void url_short_name(const struct url *u, char *name, size_t size) {
        static const char *const weak[] = { "mcp", "api", "www", "app", "server" };
        const char *start = u->host;
        const char *dot;

        if (url_host_is_loopback(u) || u->ipv6) {
                (void)snprintf(name, size, "local-%u", (unsigned)u->port);
                return;
        }
        for (size_t i = 0; i < ARRAY_SIZE(weak); i++) {
                size_t n = strlen(weak[i]);

                if (strncmp(start, weak[i], n) == 0 && start[n] == '.' &&
                    strchr(start + n + 1, '.')) {
                        start += n + 1;
                        i = SIZE_MAX; /* begin again: "mcp.api.example.com" */
                }
        }
        dot = strchr(start, '.');
        (void)snprintf(name, size, "%.*s", (int)(dot ? dot - start : (ptrdiff_t)strlen(start)),
                       start);
}

char *url_resolve_within(const char *base, const char *reference) {
        AUTO_URL struct url from = URL_INIT;
        AUTO_URL struct url to = URL_INIT;
        AUTO_FREE char *text = NULL;
        int r = url_parse(&from, base, "URL", NULL);

        if (r < 0)
                return NULL;
        text = url_resolve(&from, reference);
        if (!text)
                return NULL;
        r = url_parse(&to, text, "URL", NULL);
        if (r < 0)
                return NULL;
        return url_same_origin(&from, &to) ? TAKE(text) : NULL;
}
