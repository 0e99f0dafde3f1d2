/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/config.h"

#include "base/utf8.h"
#include "identity/provider.h"

void identity_config_done(struct identity_config *c) {
        for (size_t i = 0; i < c->n_options; i++) {
                free(c->options[i].name);
                free(c->options[i].value);
        }
        free(c->options);
        free(c->provider);
        *c = IDENTITY_CONFIG_INIT;
}

static int add_option(struct identity_config *c, const char *name, const char *value) {
        struct identity_option o = { strdup(name), strdup(value) };

        if (!o.name || !o.value) {
                free(o.name);
                free(o.value);
                return -ENOMEM;
        }
        c->options[c->n_options++] = o;
        return 0;
}

int identity_config_copy(struct identity_config *dst, const struct identity_config *src) {
        struct identity_config c = IDENTITY_CONFIG_INIT;
        int r = 0;

        c.provider = strdup(src->provider);
        c.options = calloc(src->n_options + 1, sizeof(*c.options));
        if (!c.provider || !c.options)
                r = -ENOMEM;
        for (size_t i = 0; r == 0 && i < src->n_options; i++)
                r = add_option(&c, src->options[i].name, src->options[i].value);
        if (r < 0) {
                identity_config_done(&c);
                return r;
        }
        *dst = c;
        return 0;
}

const char *identity_config_get(const struct identity_config *c, const char *name) {
        for (size_t i = 0; i < c->n_options; i++)
                if (streq(c->options[i].name, name))
                        return c->options[i].value;
        return NULL;
}

/* Cuts the next item off at a comma that is not escaped, and takes the escapes out. In place. */
static char *next_item(char **p) {
        char *item = *p;
        char *to = item;
        char *from = item;

        if (!item)
                return NULL;
        while (*from && *from != ',') {
                if (*from == '\\' && (from[1] == ',' || from[1] == '\\'))
                        from++;
                *to++ = *from++;
        }
        *p = *from ? from + 1 : NULL;
        *to = '\0';
        return item;
}

static bool is_option(const struct identity_provider *p, const char *name) {
        for (size_t i = 0; i < IDENTITY_OPTION_NAMES && p->options[i]; i++)
                if (streq(p->options[i], name))
                        return true;
        return false;
}

static int options_of(const struct identity_provider *p, struct buf *b) {
        int r = 0;

        for (size_t i = 0; r == 0 && i < IDENTITY_OPTION_NAMES && p->options[i]; i++)
                r = buf_printf(b, "%s%s=", i > 0 ? ", " : "", p->options[i]);
        return r;
}

static int unknown_option(const struct identity_provider *p, const char *item, struct error *err) {
        AUTO_BUF struct buf known = BUF_INIT;
        AUTO_BUF struct buf hint = BUF_INIT;
        int r = options_of(p, &known);

        if (r == 0)
                r = known.len > 0 ? buf_printf(&hint, "Its options are %s", known.data)
                                  : buf_append_str(&hint, "It has no options: give its name alone");
        if (r < 0)
                return error_oom(err);
        return error_set(err, MCPB_BAD_CONFIG, EINVAL, hint.data,
                         "The identity provider '%s' has no option '%.64s'", p->name, item);
}

static int take_item(struct identity_config *c, const struct identity_provider *p, char *item,
                     bool first, struct error *err) {
        char *eq = strchr(item, '=');
        const char *value = eq ? eq + 1 : NULL;
        const char *name = item;

        if (first && p->argument && (!eq || memchr(item, '/', (size_t)(eq - item)))) {
                name = p->argument;
                value = item;
        } else if (eq) {
                *eq = '\0';
        }
        if (!value || !is_option(p, name))
                return unknown_option(p, name, err);
        if (!*value)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give it a value, or leave it out",
                                 "The option '%s' of the identity provider '%s' is empty", name,
                                 p->name);
        if (!streq(name, IDENTITY_OPTION_REPEATED) && identity_config_get(c, name))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give it once",
                                 "The option '%s' of the identity provider '%s' stands there twice",
                                 name, p->name);
        if (c->n_options == IDENTITY_OPTIONS_MAX)
                return error_set(err, MCPB_BAD_CONFIG, E2BIG, "Put them into a file or a script",
                                 "The identity provider '%s' is given too many options", p->name);
        return add_option(c, name, value) < 0 ? error_oom(err) : 0;
}

/* "k8s:request,sa=x" names the provider "k8s:request"; "env:NAME" the provider "env". *@rest is
 * what stands behind it. */
static const struct identity_provider *find_provider(char *text, char **rest) {
        size_t whole = strcspn(text, ",");
        size_t part = strcspn(text, ":,");
        char end = text[whole];
        const struct identity_provider *p;

        text[whole] = '\0';
        p = identity_provider_find(text);
        text[whole] = end;
        if (p) {
                *rest = end ? text + whole + 1 : NULL;
                return p;
        }
        if (text[part] != ':')
                return NULL;
        text[part] = '\0';
        p = identity_provider_find(text);
        text[part] = ':';
        *rest = text + part + 1;
        return p;
}

static int parse(struct identity_config *c, const char *text, struct error *err) {
        AUTO_FREE char *copy = strdup(text);
        const struct identity_provider *p = NULL;
        bool first = true;
        char *rest = NULL;
        char *item;
        int r = 0;

        if (!copy)
                return error_oom(err);
        p = find_provider(copy, &rest);
        if (!p) {
                AUTO_BUF struct buf names = BUF_INIT;

                if (identity_provider_names(&names) < 0)
                        return error_oom(err);
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, names.data,
                                 "'%.64s' names no identity provider", text);
        }
        c->provider = strdup(p->name);
        c->options = calloc(IDENTITY_OPTIONS_MAX, sizeof(*c->options));
        if (!c->provider || !c->options)
                return error_oom(err);
        while (r == 0 && (item = next_item(&rest)) != NULL) {
                r = take_item(c, p, item, first, err);
                first = false;
        }
        return r == 0 && p->check ? p->check(c, err) : r;
}

int identity_config_parse(const char *text, struct identity_config *ret, struct error *err) {
        struct identity_config c = IDENTITY_CONFIG_INIT;
        size_t len = strlen(text);
        int r;

        if (len > IDENTITY_CONFIG_TEXT_MAX || !utf8_valid(text, len))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Use shorter, plain text",
                                 "The name of an identity provider is too long, or not UTF-8");
        for (const char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Take it out",
                                         "The identity provider '%.64s' has a control character",
                                         text);
        r = parse(&c, text, err);
        if (r < 0) {
                identity_config_done(&c);
                return r;
        }
        *ret = c;
        return 0;
}
