/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/rule.h"

static const char *const effect_names[POLICY_EFFECT_COUNT] = {
        [POLICY_DENY] = "deny",
        [POLICY_ALLOW] = "allow",
        [POLICY_ASK] = "ask",
};
static const char *const on_excess_names[POLICY_EXCESS_COUNT] = {
        [POLICY_EXCESS_TRIM] = "trim",
        [POLICY_EXCESS_ASK] = "ask",
        [POLICY_EXCESS_LOGIN] = "login",
        [POLICY_EXCESS_DENY] = "deny",
};
static const char *const confirm_names[POLICY_CONFIRM_COUNT] = {
        [POLICY_CONFIRM_NEVER] = "never",
        [POLICY_CONFIRM_SESSION] = "session",
        [POLICY_CONFIRM_FIRST] = "first",
        [POLICY_CONFIRM_EACH] = "each",
};
static const char *const bind_names[POLICY_BIND_COUNT] = {
        [POLICY_BIND_NONE] = "none",
        [POLICY_BIND_DPOP_IF_POSSIBLE] = "dpop?",
        [POLICY_BIND_DPOP] = "dpop",
        [POLICY_BIND_MTLS] = "mtls",
};
static const char *const audit_names[POLICY_AUDIT_COUNT] = {
        [POLICY_AUDIT_NORMAL] = "normal",
        [POLICY_AUDIT_REQUIRED] = "required",
};

const char *policy_effect_name(enum policy_effect effect) {
        return (unsigned)effect < POLICY_EFFECT_COUNT ? effect_names[effect] : "deny";
}

const char *policy_on_excess_name(enum policy_on_excess e) {
        return (unsigned)e < POLICY_EXCESS_COUNT ? on_excess_names[e] : "deny";
}

const char *policy_confirm_name(enum policy_confirm c) {
        return (unsigned)c < POLICY_CONFIRM_COUNT ? confirm_names[c] : "each";
}

const char *policy_bind_name(enum policy_bind b) {
        return (unsigned)b < POLICY_BIND_COUNT ? bind_names[b] : "mtls";
}

const char *policy_audit_name(enum policy_audit a) {
        return (unsigned)a < POLICY_AUDIT_COUNT ? audit_names[a] : "required";
}

const char *policy_id(const struct policy *p) {
        return p->id;
}

size_t policy_n_rules(const struct policy *p) {
        return p->n_rules;
}

bool policy_has_layer(const struct policy *p, enum policy_layer layer) {
        return p->layers[layer].present;
}

const char *policy_zone(const struct policy *p, enum policy_layer layer) {
        return p->layers[layer].zone ? p->layers[layer].zone : "UTC";
}

static bool rule_uses_fact(const struct rule *rule, const char *name) {
        for (size_t i = 0; i < rule->n_agents; i++) {
                for (size_t k = 0; k < rule->agents[i].n; k++) {
                        const struct selector *s = &rule->agents[i].items[k];

                        if (streq(s->type->fact, name) ||
                            (s->self && (streq(name, "self.uid") || streq(name, "agent.launched"))))
                                return true;
                }
        }
        for (size_t i = 0; i < rule->n_conditions; i++) {
                const struct condition *c = &rule->conditions[i];

                /* "time" depends on the layer's zone: the caller asks for "time@ZONE". */
                if (c->type->test == CONDITION_TIME ? strncmp(name, "time@", 5) == 0
                                                    : streq(c->fact, name))
                        return true;
        }
        return false;
}

bool policy_uses_fact(const struct policy *p, const char *name) {
        for (unsigned k = 0; k < POLICY_LAYER_COUNT; k++)
                for (size_t i = 0; i < p->layers[k].n_rules; i++)
                        if (rule_uses_fact(&p->layers[k].rules[i], name))
                                return true;
        return false;
}

/* --- The dump: everything that a decision depends on, once ---------------- */

static int put(json_t *object, const char *key, json_t *value) {
        return value ? json_object_set_new(object, key, value) : -1;
}

static int put_string(json_t *object, const char *key, const char *value) {
        return value ? put(object, key, json_string(value)) : 0;
}

static int put_number(json_t *object, const char *key, uint64_t value) {
        return value ? put(object, key, json_integer((json_int_t)value)) : 0;
}

static int put_strings(json_t *object, const char *key, const struct policy_strings *s) {
        json_t *array = json_array();

        if (put(object, key, array) < 0)
                return -1;
        for (size_t i = 0; i < s->n; i++)
                if (json_array_append_new(array, json_string(s->items[i])) < 0)
                        return -1;
        return 0;
}

static int put_agents(json_t *object, const struct rule *rule) {
        json_t *lines = json_array();

        if (put(object, "agent", lines) < 0)
                return -1;
        for (size_t i = 0; i < rule->n_agents; i++) {
                json_t *line = json_array();

                if (!line || json_array_append_new(lines, line) < 0)
                        return -1;
                for (size_t k = 0; k < rule->agents[i].n; k++)
                        if (json_array_append_new(line,
                                                  json_string(rule->agents[i].items[k].text)) < 0)
                                return -1;
        }
        return 0;
}

static int put_servers(json_t *object, const struct rule *rule) {
        json_t *array = json_array();

        if (put(object, "server", array) < 0)
                return -1;
        for (size_t i = 0; i < rule->n_servers; i++)
                if (json_array_append_new(array, json_string(rule->servers[i].text)) < 0)
                        return -1;
        return 0;
}

static int put_conditions(json_t *object, const struct rule *rule) {
        json_t *array = json_array();

        if (put(object, "require", array) < 0)
                return -1;
        for (size_t i = 0; i < rule->n_conditions; i++) {
                const struct condition *c = &rule->conditions[i];

                if (json_array_append_new(
                            array, json_sprintf("%s%s", c->text, c->tolerant ? "?" : "")) < 0)
                        return -1;
        }
        return 0;
}

static int put_obligations(json_t *o, const struct rule *rule) {
        if (put_conditions(o, rule) < 0 || put_strings(o, "scopes", &rule->scopes) < 0 ||
            put_strings(o, "deny_scopes", &rule->deny_scopes) < 0 ||
            put_string(o, "on_excess", policy_on_excess_name(rule->on_excess)) < 0 ||
            put_string(o, "confirm", policy_confirm_name(rule->confirm)) < 0 ||
            put_string(o, "bind", policy_bind_name(rule->bind)) < 0 ||
            put_string(o, "audit", policy_audit_name(rule->audit)) < 0 ||
            put_string(o, "assurance", fact_class_name(rule->assurance)) < 0 ||
            put_string(o, "identity", rule->identity) < 0 ||
            put_string(o, "present", rule->present) < 0 ||
            put_string(o, "audience", rule->audience) < 0 ||
            put_number(o, "max_ttl", rule->max_ttl_sec) < 0 ||
            put_number(o, "confirm_for", rule->confirm_for_sec) < 0 ||
            put_number(o, "max_rate", rule->max_rate_n) < 0)
                return -1;
        return put_number(o, "max_rate_seconds", rule->max_rate_sec);
}

static json_t *dump_rule(const struct rule *rule) {
        AUTO_JSON json_t *o = json_object();

        if (!o || put_string(o, "name", rule->name) < 0 || put_string(o, "file", rule->file) < 0 ||
            put_number(o, "line", rule->line) < 0 || put_agents(o, rule) < 0 ||
            put_servers(o, rule) < 0 ||
            put_string(o, "effect", rule->deny ? "deny" : "allow") < 0 ||
            put_string(o, "reason", rule->reason) < 0)
                return NULL;
        if (!rule->deny && put_obligations(o, rule) < 0)
                return NULL;
        return TAKE(o);
}

static json_t *dump_layer(const struct layer *layer, const char *zone) {
        AUTO_JSON json_t *o = json_object();
        json_t *rules = json_array();

        if (!o) {
                json_decref(rules);
                return NULL;
        }
        if (put(o, "rules", rules) < 0 || put_string(o, "timezone", zone) < 0)
                return NULL;
        for (size_t i = 0; i < layer->n_rules; i++) {
                json_t *rule = dump_rule(&layer->rules[i]);

                if (!rule || json_array_append_new(rules, rule) < 0)
                        return NULL;
        }
        return TAKE(o);
}

json_t *policy_dump(const struct policy *p) {
        static const char *const names[POLICY_LAYER_COUNT] = {
                [POLICY_SYSTEM] = "system",
                [POLICY_USER] = "user",
        };
        AUTO_JSON json_t *o = json_object();

        if (!o || put_number(o, "v", 1) < 0)
                return NULL;
        for (unsigned k = 0; k < POLICY_LAYER_COUNT; k++)
                if (p->layers[k].present &&
                    put(o, names[k],
                        dump_layer(&p->layers[k], policy_zone(p, (enum policy_layer)k))) < 0)
                        return NULL;
        return TAKE(o);
}
