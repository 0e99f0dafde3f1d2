/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/codec.h"
#include "policy/rule.h"

#define YES_NO "yes no"

static const struct selector_type types[] = {
        /* name, fact, test, class, exec, supported, words */
        { "uid", "agent.uid", SELECT_EQUAL, FACT_KERNEL, false, true, NULL },
        { "gid", "agent.gid", SELECT_MEMBER, FACT_KERNEL, false, false, NULL },
        { "unit", "agent.unit", SELECT_GLOB, FACT_KERNEL, false, true, NULL },
        { "user-unit", "agent.user-unit", SELECT_GLOB, FACT_SELF, false, true, NULL },
        { "exe", "agent.exe", SELECT_GLOB, FACT_SELF, true, true, NULL },
        { "peer-exe", "agent.peer-exe", SELECT_GLOB, FACT_SELF, true, true, NULL },
        { "sha256", "agent.sha256", SELECT_EQUAL, FACT_SELF, true, false, NULL },
        { "verity", "agent.verity", SELECT_EQUAL, FACT_SELF, true, false, NULL },
        { "ancestor", "agent.ancestor", SELECT_MEMBER, FACT_SELF, true, false, NULL },
        { "container", "agent.container", SELECT_GLOB, FACT_ROOT, false, false, NULL },
        { "apparmor", "agent.apparmor", SELECT_GLOB, FACT_KERNEL, true, false, NULL },
        { "selinux", "agent.selinux", SELECT_EQUAL, FACT_KERNEL, true, false, NULL },
        { "ns-user", "agent.ns-user", SELECT_EQUAL, FACT_KERNEL, false, false, "same foreign" },
        { "traced", "agent.traced", SELECT_EQUAL, FACT_KERNEL, false, false, YES_NO },
        { "env-injected", "agent.env-injected", SELECT_EQUAL, FACT_SELF, true, false, YES_NO },
        { "spiffe", "agent.spiffe", SELECT_GLOB, FACT_PLATFORM, false, false, NULL },
        { "k8s", "agent.k8s", SELECT_GLOB, FACT_PLATFORM, false, false, NULL },
        { "launched", "agent.launched", SELECT_EQUAL, FACT_SELF, false, false, NULL },
        { "pod", "agent.pod", SELECT_EQUAL, FACT_PLATFORM, false, false, "self" },
};

const struct selector_type *selector_type_find(const char *name, size_t len) {
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                if (strlen(types[i].name) == len && memcmp(types[i].name, name, len) == 0)
                        return &types[i];
        return NULL;
}

int policy_selector_class(const char *selector, enum fact_class *ret) {
        const struct selector_type *type = selector_type_find(selector, strlen(selector));

        if (!type)
                return -ENOENT;
        *ret = type->class;
        return 0;
}

static bool one_of(const char *words, const char *value) {
        size_t n = 0;

        for (const char *w = conf_word(words, &n); w; w = conf_word(w + n, &n))
                if (strlen(value) == n && memcmp(w, value, n) == 0)
                        return true;
        return false;
}

static bool is_hex64(const char *s) {
        return strlen(s) == 64 && strspn(s, "0123456789abcdef") == 64;
}

/* NULL, or why a value can never be meant so. */
static const char *value_fault(const struct selector *s) {
        uint64_t n;

        if (!*s->value)
                return "has no value";
        if (s->any || s->self)
                return NULL;
        if (streq(s->type->name, "uid") && number_parse(s->value, UINT32_MAX, &n) < 0)
                return "takes a number, 'any' or 'self'";
        if (s->type->words && !one_of(s->type->words, s->value))
                return "does not take this value";
        if (streq(s->type->name, "sha256") && !is_hex64(s->value))
                return "takes 64 lower-case hexadecimal digits";
        if (strchr(s->value, '['))
                return "has a '[', which globs here do not know";
        if (s->type->test != SELECT_GLOB && strpbrk(s->value, "*?"))
                return "takes no glob";
        if (s->type->test == SELECT_MEMBER && strchr(s->value, ','))
                return "takes one value; write it once for each";
        if (strstr(s->type->name, "exe") && *s->value != '/' && *s->value != '*')
                return "takes an absolute path";
        return NULL;
}

static int parse_selector(struct parser *ps, const struct conf_item *item, struct selector *s,
                          const char *word, size_t len, struct error *err) {
        const char *wrong;
        const char *colon;
        const char *name;

        s->text = strndup(word, len);
        if (!s->text)
                return error_oom(err);
        s->negated = s->text[0] == '!';
        name = s->text + (s->negated ? 1 : 0);
        colon = strchr(name, ':');
        if (!colon)
                return conf_error(item, err, "Agent= takes words such as exe:/usr/bin/claude",
                                  "'%s' is not of the form selector:value", s->text);
        s->type = selector_type_find(name, (size_t)(colon - name));
        if (!s->type)
                return conf_error(item, err, NULL, "'%s': there is no such selector", s->text);
        s->value = colon + 1;
        s->any = streq(s->value, "any");
        s->self = streq(s->value, "self") && streq(s->type->name, "uid");
        wrong = value_fault(s);
        if (wrong)
                return conf_error(item, err, NULL, "'%s': %s: %s", s->text, s->type->name, wrong);
        if (!s->type->supported && !ps->language)
                return parse_unsupported(ps, item, err, s->text, strlen(s->text));
        return 0;
}

int parse_agent(struct parser *ps, const struct conf_item *item, struct error *err) {
        void *lines = ps->rule->agents;
        struct agent_line *l = list_push(&lines, &ps->rule->n_agents, sizeof(*l));
        size_t len = 0;

        if (!l)
                return error_oom(err);
        ps->rule->agents = lines;
        for (const char *w = conf_word(item->value, &len); w; w = conf_word(w + len, &len)) {
                void *items = l->items;
                struct selector *s = list_push(&items, &l->n, sizeof(*s));
                int r;

                if (!s)
                        return error_oom(err);
                l->items = items;
                r = parse_count_word(ps, item, err);
                if (r == 0)
                        r = parse_selector(ps, item, s, w, len, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

void agent_line_done(struct agent_line *l) {
        for (size_t i = 0; i < l->n; i++)
                free(l->items[i].text);
        free(l->items);
        *l = (struct agent_line){ 0 };
}

/*
 * Of the daemon's own uid, unless it was launched under a label: then the label alone speaks for
 * it.
 */
static enum tri eval_self(struct eval *e, const struct fact *uid) {
        const struct fact *self = eval_fact(e, "self.uid");
        const struct fact *launched = eval_fact(e, "agent.launched");

        if (!self || self->n_values != 1 || uid->n_values != 1)
                return TRI_UNKNOWN;
        if (launched && launched->n_values > 0)
                return TRI_FALSE;
        return streq(self->values[0], uid->values[0]) ? TRI_TRUE : TRI_FALSE;
}

static enum tri eval_selector(struct eval *e, const struct selector *s,
                              enum fact_class *ret_class) {
        const struct fact *f = eval_fact(e, s->type->fact);
        enum tri t = TRI_FALSE;

        if (s->type->exec)
                e->d->uses_exec_evidence = true;
        *ret_class = f && f->class < s->type->class ? f->class : s->type->class;
        if (s->any) {
                t = f ? TRI_TRUE : TRI_FALSE;
        } else if (!f) {
                t = TRI_UNKNOWN;
        } else if (s->self) {
                t = eval_self(e, f);
        } else {
                for (size_t i = 0; i < f->n_values && t == TRI_FALSE; i++)
                        if (s->type->test == SELECT_GLOB ? glob_match(s->value, f->values[i])
                                                         : streq(s->value, f->values[i]))
                                t = TRI_TRUE;
        }
        if (s->negated && t != TRI_UNKNOWN)
                t = t == TRI_TRUE ? TRI_FALSE : TRI_TRUE;
        return t;
}

enum tri eval_agent_line(struct eval *e, const struct agent_line *l, enum fact_class *ret_class) {
        enum fact_class strongest = FACT_SELF;
        enum tri all = TRI_TRUE;

        for (size_t i = 0; i < l->n; i++) {
                enum fact_class class = FACT_SELF;
                enum tri t = eval_selector(e, &l->items[i], &class);

                if (t < all)
                        all = t;
                if (all == TRI_FALSE)
                        return TRI_FALSE;
                /* "x:any" says that something is known, not who it is. */
                if (!l->items[i].any && class > strongest)
                        strongest = class;
        }
        *ret_class = strongest;
        return all;
}
