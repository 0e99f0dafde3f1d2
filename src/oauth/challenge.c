/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/challenge.h"

#include <strings.h>

#include "base/limits.h"
#include "base/utf8.h"
#include "oauth/fields.h"

#define CHALLENGES_MAX 32

enum param {
        PARAM_SCOPE,
        PARAM_RESOURCE_METADATA,
        PARAM_ERROR,
        PARAM_ERROR_DESCRIPTION,
        PARAM_ACR_VALUES,
        PARAM_MAX_AGE,
        PARAM_RESOURCE,              /* only of the old scheme (A40) */
        PARAM_RESOURCE_METADATA_URI, /* likewise */
        PARAM_COUNT,
};

static const char *const param_names[PARAM_COUNT] = {
        [PARAM_SCOPE] = "scope",           [PARAM_RESOURCE_METADATA] = "resource_metadata",
        [PARAM_ERROR] = "error",           [PARAM_ERROR_DESCRIPTION] = "error_description",
        [PARAM_ACR_VALUES] = "acr_values", [PARAM_MAX_AGE] = "max_age",
        [PARAM_RESOURCE] = "resource",     [PARAM_RESOURCE_METADATA_URI] = "resource_metadata_uri",
};

enum scheme {
        SCHEME_UNKNOWN,
        SCHEME_BEARER,
        SCHEME_DPOP,
        SCHEME_MCP,
        SCHEME_COUNT,
};

struct one {
        enum scheme scheme;
        char *params[PARAM_COUNT]; /* decoded values */
};

struct parser {
        const char *p;
        const char *end;
        struct one *all;
        size_t n;
        struct one *current; /* NULL: parameters have no scheme to belong to */
        size_t n_repeated;
        bool cut;
        bool truncated; /* the field was longer than we look: what touches its end is not whole */
};

static bool is_tchar(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token68(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("-._~+/", c));
}

static bool is_quotable(char c) {
        unsigned char u = (unsigned char)c;

        return u == '\t' || (u >= 0x20 && u != 0x7f);
}

static const char *skip_blanks(const char *p, const char *end) {
        while (p < end && (*p == ' ' || *p == '\t'))
                p++;
        return p;
}

static bool span_is(const char *p, size_t len, const char *name) {
        return strlen(name) == len && strncasecmp(p, name, len) == 0;
}

static enum scheme scheme_from(const char *p, size_t len) {
        static const struct {
                const char *name;
                enum scheme scheme;
        } table[] = {
                { "bearer", SCHEME_BEARER },
                { "dpop", SCHEME_DPOP },
                { "mcp", SCHEME_MCP },
                { "mcpauth", SCHEME_MCP }, /* A41 */
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (span_is(p, len, table[i].name))
                        return table[i].scheme;
        return SCHEME_UNKNOWN;
}

/* "abc==" up to a comma or the end, directly behind a scheme (A12); returns where it ends, or
 * NULL. */
static const char *token68_end(const char *p, const char *end) {
        const char *start = p;

        while (p < end && is_token68(*p))
                p++;
        if (p == start)
                return NULL;
        while (p < end && *p == '=')
                p++;
        p = skip_blanks(p, end);
        return p == end || *p == ',' ? p : NULL;
}

/* A value with the escapes taken out; -EBADMSG: it never ends, or holds what it may not. */
static int read_quoted(struct parser *ps, struct buf *value) {
        int r = 0;

        for (ps->p++; ps->p < ps->end && r == 0; ps->p++) {
                char c = *ps->p;

                if (c == '"') {
                        ps->p++;
                        return 0;
                }
                if (c == '\\' && ++ps->p < ps->end)
                        c = *ps->p;
                if (ps->p == ps->end || !is_quotable(c))
                        return -EBADMSG;
                r = buf_append(value, &c, 1);
        }
        return r < 0 ? r : -EBADMSG;
}

static int read_value(struct parser *ps, struct buf *value) {
        const char *start = ps->p;

        if (ps->p < ps->end && *ps->p == '"')
                return read_quoted(ps, value);
        /* URLs stand unquoted in the wild: what a token68 may have is taken too, and ':'. */
        while (ps->p < ps->end && (is_tchar(*ps->p) || is_token68(*ps->p) || *ps->p == ':'))
                ps->p++;
        if (ps->p == start || (ps->truncated && ps->p == ps->end))
                return -EBADMSG;
        return buf_append(value, start, (size_t)(ps->p - start));
}

static int keep_param(struct parser *ps, const char *name, size_t len, struct buf *value) {
        for (int i = 0; i < PARAM_COUNT; i++) {
                char **slot;

                if (!span_is(name, len, param_names[i]))
                        continue;
                if (!ps->current)
                        return 0;
                slot = &ps->current->params[i];
                if (*slot) {
                        ps->n_repeated++;
                        return 0;
                }
                *slot = value->len > 0 ? buf_steal(value) : strdup("");
                return *slot ? 0 : -ENOMEM;
        }
        return 0;
}

static void begin_challenge(struct parser *ps, const char *name, size_t len) {
        const char *rest;

        if (ps->n == CHALLENGES_MAX) {
                ps->cut = true;
                ps->current = NULL;
        } else {
                ps->current = &ps->all[ps->n++];
                ps->current->scheme = scheme_from(name, len);
        }
        rest = token68_end(skip_blanks(ps->p, ps->end), ps->end);
        if (rest)
                ps->p = rest;
}

/* One scheme, or one parameter. */
static int read_item(struct parser *ps) {
        AUTO_BUF struct buf value = BUF_INIT;
        const char *name = ps->p;
        const char *next;
        size_t len;
        int r;

        while (ps->p < ps->end && is_tchar(*ps->p))
                ps->p++;
        len = (size_t)(ps->p - name);
        if (len == 0)
                return -EBADMSG;
        next = skip_blanks(ps->p, ps->end);
        if (next == ps->end || *next != '=') {
                if (next < ps->end && next == ps->p && *next != ',')
                        return -EBADMSG;
                begin_challenge(ps, name, len);
                return 0;
        }
        ps->p = skip_blanks(next + 1, ps->end);
        r = read_value(ps, &value);
        if (r == 0)
                r = keep_param(ps, name, len, &value);
        if (r < 0)
                return r;
        next = skip_blanks(ps->p, ps->end);
        return next == ps->end || *next == ',' || next > ps->p ? 0 : -EBADMSG;
}

static int read_field(struct parser *ps, const char *value, size_t len) {
        int r = 0;

        ps->p = value;
        ps->end = value + len;
        while (r == 0) {
                while (ps->p < ps->end && (*ps->p == ',' || *ps->p == ' ' || *ps->p == '\t'))
                        ps->p++;
                if (ps->p == ps->end)
                        return 0;
                r = read_item(ps);
        }
        if (r != -EBADMSG)
                return r;
        /* A15: what stood before the fault counts; what stands after it belongs to nothing. */
        ps->cut = true;
        ps->current = NULL;
        return 0;
}

/* A21, A42: Bearer first, then DPoP; the old scheme only where neither is there. */
static const char *pick(const struct parser *ps, enum param which) {
        static const enum scheme order[] = { SCHEME_BEARER, SCHEME_DPOP, SCHEME_MCP };
        bool modern = false;

        for (size_t k = 0; k < ARRAY_SIZE(order); k++) {
                if (order[k] == SCHEME_MCP && modern)
                        return NULL;
                for (size_t i = 0; i < ps->n; i++) {
                        const char *value = ps->all[i].params[which];

                        if (ps->all[i].scheme != order[k])
                                continue;
                        modern = true;
                        if (value && *value)
                                return value;
                }
        }
        return NULL;
}

/* Who is asked for another proof has shown one, whatever else a server says to who has not. */
static const char *pick_error(const struct parser *ps) {
        for (size_t i = 0; i < ps->n; i++)
                if (ps->all[i].scheme == SCHEME_DPOP &&
                    streq_null(ps->all[i].params[PARAM_ERROR], "use_dpop_nonce"))
                        return ps->all[i].params[PARAM_ERROR];
        return pick(ps, PARAM_ERROR);
}

static int keep_clean(char **slot, const char *value) {
        if (!value)
                return 0;
        *slot = utf8_clean_dup(value, strlen(value), LIMIT_FOREIGN_TEXT);
        return *slot ? 0 : -ENOMEM;
}

static int keep_link(struct challenge *c, const struct parser *ps) {
        static const char segment[] = "/.well-known/oauth-protected-resource";
        const char *link = pick(ps, PARAM_RESOURCE_METADATA);

        if (!link && streq(c->scheme, "MCP")) {
                static const enum param old[] = { PARAM_RESOURCE, PARAM_RESOURCE_METADATA_URI };

                for (size_t i = 0; i < ARRAY_SIZE(old) && !link; i++) {
                        link = pick(ps, old[i]);
                        if (link && !strstr(link, segment))
                                link = NULL;
                }
        }
        if (!link)
                return 0;
        c->resource_metadata = strdup(link);
        return c->resource_metadata ? 0 : -ENOMEM;
}

static int keep_max_age(struct challenge *c, const char *value) {
        if (!value || strlen(value) > 10 || strspn(value, "0123456789") != strlen(value))
                return 0;
        c->max_age = strdup(value);
        return c->max_age ? 0 : -ENOMEM;
}

static int fill(struct challenge *c, const struct parser *ps) {
        bool offered[SCHEME_COUNT] = { false };
        const char *scope;
        int r;

        for (size_t i = 0; i < ps->n; i++)
                offered[ps->all[i].scheme] = true;
        c->n_repeated = ps->n_repeated;
        c->cut = ps->cut;
        if (!offered[SCHEME_BEARER] && !offered[SCHEME_DPOP] && !offered[SCHEME_MCP])
                return 0;
        c->found = true;
        c->dpop_offered = offered[SCHEME_DPOP];
        c->dpop_only = offered[SCHEME_DPOP] && !offered[SCHEME_BEARER];
        c->scheme = strdup(offered[SCHEME_BEARER] ? "Bearer"
                           : offered[SCHEME_DPOP] ? "DPoP"
                                                  : "MCP");
        if (!c->scheme)
                return -ENOMEM;
        r = keep_link(c, ps);
        scope = pick(ps, PARAM_SCOPE);
        if (r == 0 && scope)
                r = scope_set_parse(&c->scopes, scope, &c->n_dropped_scopes);
        c->has_scope = c->scopes.n > 0;
        if (r == 0)
                r = keep_clean(&c->error, pick_error(ps));
        if (r == 0)
                r = keep_clean(&c->error_description, pick(ps, PARAM_ERROR_DESCRIPTION));
        if (r == 0)
                r = keep_clean(&c->acr_values, pick(ps, PARAM_ACR_VALUES));
        if (r == 0)
                r = keep_max_age(c, pick(ps, PARAM_MAX_AGE));
        return r;
}

int challenge_parse(struct challenge *c, const char *const *field_values, size_t n) {
        AUTO_CHALLENGE struct challenge filled = CHALLENGE_INIT;
        struct parser ps = { .all = calloc(CHALLENGES_MAX, sizeof(struct one)) };
        size_t room = LIMIT_CHALLENGE_BYTES;
        int r = ps.all ? 0 : -ENOMEM;

        for (size_t i = 0; i < n && r == 0; i++) {
                size_t len = strlen(field_values[i]);

                ps.truncated = len > room;
                ps.cut = ps.cut || ps.truncated;
                len = len > room ? room : len;
                room -= len;
                r = read_field(&ps, field_values[i], len);
        }
        if (r == 0)
                r = fill(&filled, &ps);
        for (size_t i = 0; i < ps.n; i++)
                for (int k = 0; k < PARAM_COUNT; k++)
                        free(ps.all[i].params[k]);
        free(ps.all);
        if (r < 0)
                return r;
        *c = filled;
        filled = CHALLENGE_INIT;
        return 0;
}

static const struct text_field challenge_fields[] = {
        TEXT_FIELD(struct challenge, scheme, false),
        TEXT_FIELD(struct challenge, resource_metadata, false),
        TEXT_FIELD(struct challenge, error, false),
        TEXT_FIELD(struct challenge, error_description, false),
        TEXT_FIELD(struct challenge, acr_values, false),
        TEXT_FIELD(struct challenge, max_age, false),
};
static const struct text_fields texts = { challenge_fields, ARRAY_SIZE(challenge_fields) };

int challenge_copy(struct challenge *dst, const struct challenge *src) {
        AUTO_CHALLENGE struct challenge copy = *src;
        int r;

        copy.scheme = copy.resource_metadata = copy.error = copy.error_description = NULL;
        copy.acr_values = copy.max_age = NULL;
        copy.scopes = SCOPE_SET_INIT;
        r = scope_set_copy(&copy.scopes, &src->scopes);
        if (r == 0)
                r = text_fields_copy(&texts, &copy, src);
        if (r < 0)
                return r;
        challenge_done(dst);
        *dst = copy;
        copy = CHALLENGE_INIT;
        return 0;
}

void challenge_done(struct challenge *c) {
        text_fields_done(&texts, c);
        scope_set_done(&c->scopes);
        *c = CHALLENGE_INIT;
}

static bool error_is(const struct challenge *c, const char *name) {
        return c && c->error && streq(c->error, name);
}

enum challenge_meaning challenge_judge(const struct challenge *c, unsigned status) {
        if (status == 403)
                return error_is(c, "insufficient_scope") ? CHALLENGE_STEP_UP : CHALLENGE_NONE;
        if (status == 400)
                return error_is(c, "invalid_request") ? CHALLENGE_OUR_BUG : CHALLENGE_NONE;
        if (status != 401)
                return CHALLENGE_NONE;
        if (error_is(c, "use_dpop_nonce"))
                return CHALLENGE_NONCE;
        if (error_is(c, "invalid_token"))
                return CHALLENGE_TOKEN_DEAD;
        if (error_is(c, "insufficient_scope"))
                return CHALLENGE_STEP_UP;
        if (error_is(c, "insufficient_user_authentication"))
                return CHALLENGE_REAUTHENTICATE;
        return CHALLENGE_LOGIN;
}
