/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/codec.h"
#include "policy/rule.h"

/*
 * None of their facts is gathered by this version: Require= comes with the step that gathers them.
 */
static const struct condition_type types[] = {
        { "unlocked", CONDITION_FLAG, false },
        { "secure-boot", CONDITION_FLAG, false },
        { "clock-synced", CONDITION_FLAG, false },
        { "reboot-pending", CONDITION_FLAG, false },
        { "first-use", CONDITION_FLAG, false },
        { "new-exe", CONDITION_FLAG, false },
        { "new-scope", CONDITION_FLAG, false },
        { "usual-hours", CONDITION_FLAG, false },
        { "country", CONDITION_WORDS, false },
        { "env", CONDITION_WORDS, false },
        { "region", CONDITION_WORDS, false },
        { "via", CONDITION_WORDS, false },
        { "disk-encrypted", CONDITION_MEMBER, false },
        { "unit-active", CONDITION_MEMBER, false },
        { "net", CONDITION_NET, false },
        { "idle", CONDITION_LESS, false },
        { "os-updates", CONDITION_LESS, false },
        { "lockdown", CONDITION_LOCKDOWN, false },
        { "time", CONDITION_TIME, false },
        { "fact", CONDITION_FACT, false },
        { "requests", CONDITION_RESERVED, false },
        { "denials", CONDITION_RESERVED, false },
};

static const char *const lockdown_levels[] = { "none", "integrity", "confidentiality" };

static int lockdown_level(const char *word) {
        for (size_t i = 0; i < ARRAY_SIZE(lockdown_levels); i++)
                if (streq(lockdown_levels[i], word))
                        return (int)i;
        return -EINVAL;
}

static const struct condition_type *find_type(const char *text, size_t len) {
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (strlen(types[i].name) == len && memcmp(types[i].name, text, len) == 0)
                        return &types[i];
        return NULL;
}

/* "a,b,c": none of them empty. */
static int parse_words(struct policy_strings *words, const char *value) {
        for (;;) {
                size_t len = strcspn(value, ",");
                int r = len > 0 ? strings_add_len(words, value, len) : -EINVAL;

                if (r < 0)
                        return r;
                value += len;
                if (!*value)
                        return 0;
                value++;
        }
}

static int parse_nets(struct condition *c, const char *value) {
        int r = parse_words(&c->words, value);

        for (size_t i = 0; r == 0 && i < c->words.n; i++) {
                void *nets = c->nets;
                struct net *n = list_push(&nets, &c->n_nets, sizeof(*n));

                if (!n)
                        return -ENOMEM;
                c->nets = nets;
                r = net_parse(c->words.items[i], n);
        }
        return r;
}

/* What follows the name: "", ":...", "<...", ">=...". -EINVAL if it does not fit the type. */
static int parse_operand(struct condition *c, const char *rest) {
        const char *value = *rest == ':' && rest[1] ? rest + 1 : NULL;

        switch (c->type->test) {
        case CONDITION_FLAG:
                c->yes = !*rest;
                if (c->yes)
                        return 0;
                return value ? parse_words(&c->words, value) : -EINVAL;
        case CONDITION_WORDS:
                return value ? parse_words(&c->words, value) : -EINVAL;
        case CONDITION_MEMBER:
                /* "a,b" could mean all or any: one condition each. */
                return value && !strchr(value, ',') ? strings_add(&c->words, value) : -EINVAL;
        case CONDITION_NET:
                return value ? parse_nets(c, value) : -EINVAL;
        case CONDITION_LESS:
                return *rest == '<' ? duration_parse(rest + 1, &c->seconds) : -EINVAL;
        case CONDITION_LOCKDOWN:
                if (strncmp(rest, ">=", 2) != 0)
                        return -EINVAL;
                c->level = lockdown_level(rest + 2);
                return c->level < 0 ? -EINVAL : 0;
        case CONDITION_TIME:
                return value ? window_parse(value, &c->window) : -EINVAL;
        case CONDITION_FACT: {
                const char *equals = value ? strchr(value, '=') : NULL;

                if (!equals || equals == value)
                        return -EINVAL;
                return strings_add(&c->words, equals + 1);
        }
        case CONDITION_RESERVED:
                return 0;
        }
        return -EINVAL;
}

/* The name of the fact it looks at; "time" gets its zone only when it is evaluated. */
static char *fact_name(const struct condition *c) {
        size_t len = strlen(c->type->name);

        if (c->type->test == CONDITION_FACT)
                len += 1 + strcspn(c->text + len + 1, "=");
        return strndup(c->text, len);
}

static int parse_condition(struct parser *ps, const struct conf_item *item, struct condition *c,
                           const char *word, size_t len, struct error *err) {
        size_t n_name;
        int r;

        c->tolerant = word[len - 1] == '?';
        c->text = strndup(word, len - (c->tolerant ? 1 : 0));
        if (!c->text)
                return error_oom(err);
        n_name = strcspn(c->text, ":<>=");
        c->type = find_type(c->text, n_name);
        if (!c->type)
                return conf_error(item, err, NULL, "'%s': there is no such condition", c->text);
        r = parse_operand(c, c->text + n_name);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return conf_error(item, err, "See mcp-broker-policy(5)",
                                  "'%s' is not how the condition %s is written", c->text,
                                  c->type->name);
        if (c->type->test == CONDITION_RESERVED || (!c->type->supported && !ps->language))
                return parse_unsupported(ps, item, err, c->text, strlen(c->text));
        c->fact = fact_name(c);
        return c->fact ? 0 : error_oom(err);
}

int parse_require(struct parser *ps, const struct conf_item *item, struct error *err) {
        size_t len = 0;

        for (const char *w = conf_word(item->value, &len); w; w = conf_word(w + len, &len)) {
                void *items = ps->rule->conditions;
                struct condition *c = list_push(&items, &ps->rule->n_conditions, sizeof(*c));
                int r;

                if (!c)
                        return error_oom(err);
                ps->rule->conditions = items;
                r = parse_count_word(ps, item, err);
                if (r == 0)
                        r = parse_condition(ps, item, c, w, len, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

void condition_done(struct condition *c) {
        free(c->text);
        free(c->fact);
        free(c->nets);
        strings_done(&c->words);
        *c = (struct condition){ 0 };
}

static enum tri eval_time(struct eval *e, const struct condition *c) {
        AUTO_BUF struct buf name = BUF_INIT;
        const struct fact *f;
        bool inside;

        if (buf_printf(&name, "time@%s", e->zone) < 0) {
                e->oom = true;
                return TRI_UNKNOWN;
        }
        f = eval_fact(e, name.data);
        if (!f || f->n_values != 1 || window_contains(&c->window, f->values[0], &inside) < 0)
                return TRI_UNKNOWN;
        return inside ? TRI_TRUE : TRI_FALSE;
}

static enum tri eval_member(const struct condition *c, const struct fact *f) {
        for (size_t i = 0; i < f->n_values; i++)
                if (streq(f->values[i], c->words.items[0]))
                        return TRI_TRUE;
        return TRI_FALSE;
}

static enum tri eval_net(const struct condition *c, const struct fact *f) {
        for (size_t i = 0; i < f->n_values; i++)
                for (size_t k = 0; k < c->n_nets; k++)
                        if (net_contains(&c->nets[k], f->values[i]))
                                return TRI_TRUE;
        return TRI_FALSE;
}

static enum tri eval_single(const struct condition *c, const char *value) {
        uint64_t seconds;
        int level;

        switch (c->type->test) {
        case CONDITION_LESS:
                if (duration_parse(value, &seconds) < 0)
                        return TRI_UNKNOWN;
                return seconds < c->seconds ? TRI_TRUE : TRI_FALSE;
        case CONDITION_LOCKDOWN:
                level = lockdown_level(value);
                if (level < 0)
                        return TRI_UNKNOWN;
                return level >= c->level ? TRI_TRUE : TRI_FALSE;
        case CONDITION_FLAG:
        case CONDITION_WORDS:
        case CONDITION_FACT:
                if (c->yes)
                        return streq(value, "yes") ? TRI_TRUE : TRI_FALSE;
                return strings_has(&c->words, value) ? TRI_TRUE : TRI_FALSE;
        case CONDITION_MEMBER:
        case CONDITION_NET:
        case CONDITION_TIME:
        case CONDITION_RESERVED:
                break;
        }
        return TRI_UNKNOWN;
}

enum tri eval_condition(struct eval *e, const struct condition *c) {
        const struct fact *f;

        if (c->type->test == CONDITION_TIME)
                return eval_time(e, c);
        f = eval_fact(e, c->fact);
        if (!f)
                return TRI_UNKNOWN;
        if (c->type->test == CONDITION_MEMBER)
                return eval_member(c, f);
        if (c->type->test == CONDITION_NET)
                return eval_net(c, f);
        return f->n_values == 1 ? eval_single(c, f->values[0]) : TRI_FALSE;
}
