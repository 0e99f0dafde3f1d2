/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/limits.h"
#include "policy/rule.h"

/* What the layers have left of a scope so far. */
enum item_state { ITEM_ALLOWED, ITEM_LOGIN, ITEM_GONE };

struct item {
        const char *scope;
        enum item_state state;
};

struct deciding {
        struct eval eval;
        const struct policy_request *request;
        const char *fault; /* what is odd about the server's URI: then no rule matches */
        struct url url;
        struct item items[LIMIT_SCOPES];
        size_t n_items;
        bool implicit; /* nothing was asked for: whatever was granted, as far as allowed */
        bool trimmed;  /* by an earlier layer */
        bool asked;    /* some layer wants a person to confirm the excess */
        bool denied;
};

const struct fact *eval_fact(struct eval *e, const char *name) {
        const struct fact *f = facts_get(e->facts, name);

        if (!strings_has(&e->d->facts, name) && strings_add(&e->d->facts, name) < 0)
                e->oom = true;
        return f && f->known ? f : NULL;
}

static void add(struct deciding *s, struct policy_strings *to, const char *text) {
        if (strings_add(to, text) < 0)
                s->eval.oom = true;
}

static PRINTF_LIKE(2, 3) void deny(struct deciding *s, const char *fmt, ...) {
        AUTO_BUF struct buf text = BUF_INIT;
        va_list ap;

        s->denied = true;
        va_start(ap, fmt);
        if (buf_vprintf(&text, fmt, ap) < 0)
                s->eval.oom = true;
        else
                add(s, &s->eval.d->why, text.data);
        va_end(ap);
}

/* --- Which rule? ---------------------------------------------------------- */

static bool rule_is_for_server(const struct deciding *s, const struct rule *rule) {
        for (size_t i = 0; i < rule->n_servers; i++)
                if (server_matches(&rule->servers[i], &s->url, s->request->added))
                        return true;
        return false;
}

/* A rule that allows needs a line that is true; for one that denies, unknown is enough. */
static bool rule_selects(struct deciding *s, const struct rule *rule, enum fact_class *ret_class) {
        bool selects = false;

        *ret_class = FACT_SELF;
        for (size_t i = 0; i < rule->n_agents; i++) {
                enum fact_class class = FACT_SELF;
                enum tri t = eval_agent_line(&s->eval, &rule->agents[i], &class);

                if (t == TRI_FALSE || (t == TRI_UNKNOWN && !rule->deny))
                        continue;
                selects = true;
                if (class > *ret_class)
                        *ret_class = class;
                if (rule->deny)
                        break;
        }
        return selects;
}

static const struct rule *find_rule(struct deciding *s, const struct layer *layer,
                                    enum fact_class *ret_class) {
        for (size_t i = 0; !s->fault && i < layer->n_rules; i++)
                if (rule_is_for_server(s, &layer->rules[i]) &&
                    rule_selects(s, &layer->rules[i], ret_class))
                        return &layer->rules[i];
        return NULL;
}

/* --- May it? -------------------------------------------------------------- */

static void check_conditions(struct deciding *s, const struct rule *rule) {
        for (size_t i = 0; i < rule->n_conditions; i++) {
                const struct condition *c = &rule->conditions[i];
                enum tri t = eval_condition(&s->eval, c);

                if (t == TRI_FALSE)
                        deny(s, "%s is not met", c->text);
                else if (t == TRI_UNKNOWN && !c->tolerant)
                        deny(s, "%s cannot be known", c->text);
                else if (t == TRI_UNKNOWN && !strings_has(&s->eval.d->unknown, c->text))
                        add(s, &s->eval.d->unknown, c->text);
        }
}

static bool is_granted(const struct policy_request *request, const char *scope) {
        for (size_t i = 0; i < request->n_granted; i++)
                if (streq(request->granted[i], scope))
                        return true;
        return false;
}

static bool is_denied_scope(const struct rule *rule, const char *scope) {
        for (size_t i = 0; i < rule->deny_scopes.n; i++)
                if (glob_match(rule->deny_scopes.items[i], scope))
                        return true;
        return false;
}

static bool is_within(const struct deciding *s, const struct rule *rule, const char *scope) {
        if (is_denied_scope(rule, scope))
                return false;
        for (size_t i = 0; i < rule->scopes.n; i++) {
                const char *glob = rule->scopes.items[i];

                if (streq(glob, "@granted") ? is_granted(s->request, scope)
                                            : glob_match(glob, scope))
                        return true;
        }
        return false;
}

static enum policy_on_excess excess_mode(const struct deciding *s, const struct rule *rule) {
        if (s->implicit)
                return POLICY_EXCESS_TRIM;
        if (rule->on_excess != POLICY_EXCESS_ASK)
                return rule->on_excess;
        /* Nobody is asked about what must never be. */
        for (size_t i = 0; i < s->n_items; i++)
                if (s->items[i].state != ITEM_GONE && is_denied_scope(rule, s->items[i].scope))
                        return POLICY_EXCESS_TRIM;
        return POLICY_EXCESS_ASK;
}

/* What the rule's ceiling makes of one scope above it. */
static enum item_state judge_excess(const struct deciding *s, const struct rule *rule,
                                    enum policy_on_excess mode, const struct item *item) {
        switch (mode) {
        case POLICY_EXCESS_ASK:
                return item->state;
        case POLICY_EXCESS_LOGIN:
                /* A login helps only where what is missing is the grant. */
                if (is_denied_scope(rule, item->scope) || is_granted(s->request, item->scope))
                        return ITEM_GONE;
                return ITEM_LOGIN;
        case POLICY_EXCESS_TRIM:
        case POLICY_EXCESS_DENY:
        case POLICY_EXCESS_COUNT:
                break;
        }
        return ITEM_GONE;
}

/*
 * Applies a rule's ceiling to what the layers before have left; *ret_asks: a person has to confirm
 * it.
 */
static void check_scopes(struct deciding *s, const struct rule *rule, bool *ret_asks) {
        enum policy_on_excess mode = excess_mode(s, rule);
        AUTO_BUF struct buf above = BUF_INIT;
        bool trimmed_before = s->trimmed;
        size_t before = 0;
        size_t left = 0;

        for (size_t i = 0; i < s->n_items; i++) {
                struct item *item = &s->items[i];

                if (item->state == ITEM_GONE)
                        continue;
                before++;
                if (!is_within(s, rule, item->scope)) {
                        *ret_asks |= mode == POLICY_EXCESS_ASK;
                        item->state = judge_excess(s, rule, mode, item);
                        if (buf_printf(&above, " %s", item->scope) < 0)
                                s->eval.oom = true;
                }
                s->trimmed |= item->state == ITEM_GONE;
                left += item->state != ITEM_GONE;
        }
        if (mode == POLICY_EXCESS_DENY && above.len > 0)
                deny(s, "scope above the ceiling:%s", above.data);
        else if (before > 0 && left == 0)
                deny(s, "%s",
                     trimmed_before ? "layers share no scope" : "no requested scope is allowed");
}

/* --- Obligations ---------------------------------------------------------- */

static void keep_least(uint64_t *to, uint64_t value) {
        if (value > 0 && (*to == 0 || value < *to))
                *to = value;
}

static void merge_text(struct deciding *s, char **to, const char *value, const char *what) {
        if (!value)
                return;
        if (!*to) {
                *to = strdup(value);
                s->eval.oom |= !*to;
        } else if (!streq(*to, value)) {
                deny(s, "layers disagree on %s", what);
        }
}

static void merge_obligations(struct deciding *s, const struct rule *rule, bool asks) {
        struct decision *d = s->eval.d;
        enum policy_confirm confirm = asks ? POLICY_CONFIRM_EACH : rule->confirm;

        keep_least(&d->max_ttl_sec, rule->max_ttl_sec);
        keep_least(&d->confirm_for_sec, rule->confirm_for_sec);
        /* a/b < c/d without dividing; both products stay below 2^47 */
        if (rule->max_rate_n > 0 &&
            (d->max_rate_n == 0 ||
             rule->max_rate_n * d->max_rate_sec < d->max_rate_n * rule->max_rate_sec)) {
                d->max_rate_n = rule->max_rate_n;
                d->max_rate_sec = rule->max_rate_sec;
        }
        if (confirm > d->confirm)
                d->confirm = confirm;
        if (rule->bind > d->bind)
                d->bind = rule->bind;
        if (rule->audit > d->audit)
                d->audit = rule->audit;
        s->asked |= asks;
        merge_text(s, &d->identity, rule->identity, "Identity");
        merge_text(s, &d->present, rule->present, "Present");
        merge_text(s, &d->audience, rule->audience, "Audience");
}

static void decide_layer(struct deciding *s, const struct layer *layer, bool first) {
        struct decision *d = s->eval.d;
        enum fact_class class = FACT_SELF;
        const struct rule *rule;
        bool asks = false;

        s->eval.zone = layer->zone ? layer->zone : "UTC";
        rule = find_rule(s, layer, &class);
        add(s, &d->rules, rule ? rule->at : "(default)");
        if (!rule) {
                if (s->fault)
                        deny(s, "no rule matches (%s)", s->fault);
                else
                        deny(s, "no rule matches");
                d->evidence = FACT_SELF;
                return;
        }
        if (first || class < d->evidence)
                d->evidence = class;
        if (rule->deny) {
                deny(s, "%s", rule->reason ? rule->reason : "denied by rule");
                return;
        }
        if (class < rule->assurance)
                deny(s, "Assurance=%s but every selector is weaker",
                     fact_class_name(rule->assurance));
        check_conditions(s, rule);
        check_scopes(s, rule, &asks);
        merge_obligations(s, rule, asks);
}

/* --- The whole ------------------------------------------------------------ */

static void collect_items(struct deciding *s) {
        const struct policy_request *q = s->request;
        const char *const *scopes = q->n_scopes > 0 ? q->scopes : q->granted;
        size_t n = q->n_scopes > 0 ? q->n_scopes : q->n_granted;

        s->implicit = q->n_scopes == 0;
        for (size_t i = 0; i < n; i++) {
                bool twice = false;

                for (size_t k = 0; k < s->n_items && !twice; k++)
                        twice = streq(s->items[k].scope, scopes[i]);
                if (twice)
                        continue;
                if (s->n_items == LIMIT_SCOPES) {
                        deny(s, "more than %d scopes", LIMIT_SCOPES);
                        return;
                }
                s->items[s->n_items++] = (struct item){ .scope = scopes[i] };
        }
}

/*
 * A refusal says why and nothing else: no obligation or scope of it can be mistaken for a
 * permission.
 */
static void strip_denied(struct decision *d) {
        d->effect = POLICY_DENY;
        d->on_excess = POLICY_EXCESS_TRIM;
        d->confirm = POLICY_CONFIRM_NEVER;
        d->bind = POLICY_BIND_NONE;
        d->max_ttl_sec = d->max_rate_n = d->max_rate_sec = d->confirm_for_sec = 0;
        free(TAKE(d->identity));
        free(TAKE(d->present));
        free(TAKE(d->audience));
}

static void conclude(struct deciding *s) {
        struct decision *d = s->eval.d;

        if (s->denied) {
                strip_denied(d);
                return;
        }
        d->effect = d->confirm == POLICY_CONFIRM_NEVER ? POLICY_ALLOW : POLICY_ASK;
        d->on_excess = s->asked ? POLICY_EXCESS_ASK : POLICY_EXCESS_TRIM;
        for (size_t i = 0; i < s->n_items; i++) {
                if (s->items[i].state == ITEM_ALLOWED)
                        add(s, &d->scopes, s->items[i].scope);
                else if (s->items[i].state == ITEM_LOGIN)
                        add(s, &d->excess, s->items[i].scope);
                else
                        add(s, &d->trimmed, s->items[i].scope);
        }
        if (d->excess.n > 0)
                d->on_excess = POLICY_EXCESS_LOGIN;
}

int policy_decide(const struct policy *p, const struct facts *facts,
                  const struct policy_request *request, struct decision *ret) {
        struct decision d = DECISION_INIT;
        struct deciding s = {
                .eval = { .facts = facts, .d = &d },
                .request = request,
                .url = URL_INIT,
        };
        unsigned n_layers = 0;

        *ret = DECISION_INIT; /* its effect is deny */
        if (server_parse(request->server, &s.url, &s.fault) < 0)
                return -ENOMEM;
        collect_items(&s);
        for (unsigned k = 0; k < POLICY_LAYER_COUNT; k++) {
                if (!p->layers[k].present)
                        continue;
                decide_layer(&s, &p->layers[k], n_layers == 0);
                n_layers++;
        }
        if (n_layers == 0)
                deny(&s, "there is no policy");
        conclude(&s);
        url_done(&s.url);
        if (s.eval.oom) {
                decision_done(&d);
                return -ENOMEM;
        }
        *ret = d;
        return 0;
}

void decision_done(struct decision *d) {
        struct policy_strings *const lists[] = { &d->scopes, &d->excess,  &d->trimmed, &d->rules,
                                                 &d->why,    &d->unknown, &d->facts };

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                strings_done(lists[i]);
        free(d->identity);
        free(d->present);
        free(d->audience);
        *d = DECISION_INIT;
}

static json_t *dump_fact(const struct fact *f) {
        AUTO_JSON json_t *object = NULL;
        json_t *values;

        if (!f || !f->known)
                return json_null();
        object = json_object();
        if (!object)
                return NULL;
        values = json_array();
        if (json_object_set_new(object, "values", values) < 0)
                return NULL;
        for (size_t i = 0; i < f->n_values; i++)
                if (json_array_append_new(values, json_string(f->values[i])) < 0)
                        return NULL;
        if (json_object_set_new(object, "class", json_string(fact_class_name(f->class))) < 0)
                return NULL;
        return TAKE(object);
}

json_t *decision_facts(const struct decision *d, const struct facts *facts) {
        AUTO_JSON json_t *object = json_object();

        for (size_t i = 0; object && i < d->facts.n; i++) {
                const char *name = d->facts.items[i];

                if (json_object_set_new(object, name, dump_fact(facts_get(facts, name))) < 0)
                        return NULL;
        }
        return TAKE(object);
}
