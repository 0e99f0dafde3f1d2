/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/codec.h"
#include "crypto/hash.h"
#include "policy/rule.h"

#define HINT_MAN "See mcp-broker-policy(5)"
#define RULE_NAME_MAX 64
#define SECONDS_MAX ((uint64_t)10 * 365 * 86400)
#define RATE_MAX 1000000000

int parse_count_word(struct parser *ps, const struct conf_item *item, struct error *err) {
        if (++ps->policy->n_words > POLICY_WORDS_MAX)
                return conf_error(item, err, NULL, "the policy is larger than %d words",
                                  POLICY_WORDS_MAX);
        return 0;
}

int parse_unsupported(const struct parser *ps, const struct conf_item *item, struct error *err,
                      const char *what, size_t len) {
        (void)ps;
        return conf_error(item, err,
                          "Leave it out: what cannot be enforced is not accepted and ignored",
                          "%s=%.*s is not supported by this version", item->key, (int)len, what);
}

static int set_string(char **ret, const struct conf_item *item, struct error *err) {
        *ret = strdup(item->value);
        return *ret ? 0 : error_oom(err);
}

/* --- One function a key --------------------------------------------------- */

static const char *scope_fault(const char *word, size_t len) {
        for (size_t i = 0; i < len; i++) {
                if (word[i] == '[')
                        return "has a '[', which globs here do not know";
                /* RFC 6749 3.3: %x21 / %x23-5B / %x5D-7E */
                if (word[i] <= 0x20 || word[i] >= 0x7f || word[i] == '"' || word[i] == '\\')
                        return "has a character that no scope has";
        }
        return *word == '@' ? "is none of our words (there is @granted, for Scopes=)" : NULL;
}

static int parse_scopes(struct parser *ps, const struct conf_item *item, struct error *err) {
        bool denied = streq(item->key, "DenyScopes");
        struct policy_strings *s = denied ? &ps->rule->deny_scopes : &ps->rule->scopes;
        size_t len = 0;

        for (const char *w = conf_word(item->value, &len); w; w = conf_word(w + len, &len)) {
                bool granted = !denied && len == 8 && memcmp(w, "@granted", len) == 0;
                const char *wrong = granted ? NULL : scope_fault(w, len);
                int r = parse_count_word(ps, item, err);

                if (r < 0)
                        return r;
                if (wrong)
                        return conf_error(item, err, NULL, "'%.*s' %s", (int)len, w, wrong);
                ps->rule->scopes_granted |= granted;
                if (strings_add_len(s, w, len) < 0)
                        return error_oom(err);
        }
        return 0;
}

/* The index of @value in a table of names, or -EINVAL with @err filled. */
static int pick(const struct conf_item *item, const char *const *names, size_t n,
                struct error *err) {
        AUTO_BUF struct buf all = BUF_INIT;

        for (size_t i = 0; i < n; i++)
                if (names[i] && streq(names[i], item->value))
                        return (int)i;
        for (size_t i = 0; i < n; i++)
                if (names[i] && buf_printf(&all, "%s%s", all.len ? ", " : "", names[i]) < 0)
                        return error_oom(err);
        return conf_error(item, err, HINT_MAN, "%s= takes one of %s", item->key, all.data);
}

static int parse_on_excess(struct parser *ps, const struct conf_item *item, struct error *err) {
        const char *names[POLICY_EXCESS_COUNT];
        int i;

        for (unsigned k = 0; k < POLICY_EXCESS_COUNT; k++)
                names[k] = policy_on_excess_name((enum policy_on_excess)k);
        i = pick(item, names, ARRAY_SIZE(names), err);
        if (i < 0)
                return i;
        ps->rule->on_excess = (enum policy_on_excess)i;
        if (i == POLICY_EXCESS_ASK && !ps->language)
                return parse_unsupported(ps, item, err, item->value, strlen(item->value));
        return 0;
}

static int parse_confirm(struct parser *ps, const struct conf_item *item, struct error *err) {
        const char *names[POLICY_CONFIRM_COUNT];
        int i;

        for (unsigned k = 0; k < POLICY_CONFIRM_COUNT; k++)
                names[k] = policy_confirm_name((enum policy_confirm)k);
        i = pick(item, names, ARRAY_SIZE(names), err);
        if (i < 0)
                return i;
        ps->rule->confirm = (enum policy_confirm)i;
        if (i != POLICY_CONFIRM_NEVER && !ps->language)
                return parse_unsupported(ps, item, err, item->value, strlen(item->value));
        return 0;
}

static int parse_bind(struct parser *ps, const struct conf_item *item, struct error *err) {
        const char *names[POLICY_BIND_COUNT] = { NULL };
        int i;

        for (unsigned k = POLICY_BIND_NONE + 1; k < POLICY_BIND_COUNT; k++)
                names[k] = policy_bind_name((enum policy_bind)k);
        i = pick(item, names, ARRAY_SIZE(names), err);
        if (i < 0)
                return i;
        ps->rule->bind = (enum policy_bind)i;
        return 0;
}

static int parse_audit(struct parser *ps, const struct conf_item *item, struct error *err) {
        const char *names[POLICY_AUDIT_COUNT];
        int i;

        for (unsigned k = 0; k < POLICY_AUDIT_COUNT; k++)
                names[k] = policy_audit_name((enum policy_audit)k);
        i = pick(item, names, ARRAY_SIZE(names), err);
        if (i < 0)
                return i;
        ps->rule->audit = (enum policy_audit)i;
        return 0;
}

static int parse_assurance(struct parser *ps, const struct conf_item *item, struct error *err) {
        if (fact_class_from_name(item->value, &ps->rule->assurance) < 0)
                return conf_error(item, err, HINT_MAN,
                                  "Assurance= takes one of self, root, platform, kernel");
        return 0;
}

static int parse_effect(struct parser *ps, const struct conf_item *item, struct error *err) {
        static const char *const names[] = { "allow", "deny" };
        int i = pick(item, names, ARRAY_SIZE(names), err);

        if (i < 0)
                return i;
        ps->rule->deny = i == 1;
        return 0;
}

static int parse_reason(struct parser *ps, const struct conf_item *item, struct error *err) {
        return set_string(&ps->rule->reason, item, err);
}

static int parse_duration(const struct conf_item *item, uint64_t *ret, struct error *err) {
        uint64_t sec;

        if (duration_parse(item->value, &sec) < 0 || sec == 0 || sec > SECONDS_MAX)
                return conf_error(item, err, "Write 90, 15m, 8h or 2d", "%s=%s is not a duration",
                                  item->key, item->value);
        *ret = sec;
        return 0;
}

static int parse_max_ttl(struct parser *ps, const struct conf_item *item, struct error *err) {
        return parse_duration(item, &ps->rule->max_ttl_sec, err);
}

static int parse_confirm_for(struct parser *ps, const struct conf_item *item, struct error *err) {
        return parse_duration(item, &ps->rule->confirm_for_sec, err);
}

static int parse_max_rate(struct parser *ps, const struct conf_item *item, struct error *err) {
        static const char *const units[] = { "/s", "/m", "/h", "/d" };
        static const uint64_t seconds[] = { 1, 60, 3600, 86400 };
        size_t n = strcspn(item->value, "/");
        char digits[16] = { 0 };

        for (size_t i = 0; n < sizeof(digits) && i < ARRAY_SIZE(units); i++) {
                if (!streq(item->value + n, units[i]))
                        continue;
                memcpy(digits, item->value, n);
                if (number_parse(digits, RATE_MAX, &ps->rule->max_rate_n) < 0 ||
                    ps->rule->max_rate_n == 0)
                        break;
                ps->rule->max_rate_sec = seconds[i];
                return 0;
        }
        return conf_error(item, err, "Write 5/s, 30/m, 120/h or 1000/d", "%s=%s is not a rate",
                          item->key, item->value);
}

static int parse_identity(struct parser *ps, const struct conf_item *item, struct error *err) {
        const char *v = item->value;

        if (streq(v, "user"))
                return set_string(&ps->rule->identity, item, err);
        if (strncmp(v, "workload:", 9) != 0 || !v[9] || strchr(v, ' '))
                return conf_error(item, err, HINT_MAN, "Identity= takes user or workload:PROVIDER");
        if (!ps->language)
                return parse_unsupported(ps, item, err, v, strlen(v));
        return set_string(&ps->rule->identity, item, err);
}

static int parse_present(struct parser *ps, const struct conf_item *item, struct error *err) {
        static const char *const names[] = {
                "auto",       "code",           "device",      "client-secret",
                "enterprise", "jwt-bearer",     "jwt-spiffe",  "client-assertion",
                "mtls",       "token-exchange", "attestation", "private-key-jwt",
        };
        int i = pick(item, names, ARRAY_SIZE(names), err);

        if (i < 0)
                return i;
        if (i > 0 && !ps->language)
                return parse_unsupported(ps, item, err, item->value, strlen(item->value));
        return set_string(&ps->rule->present, item, err);
}

static int parse_audience(struct parser *ps, const struct conf_item *item, struct error *err) {
        const char *v = item->value;

        if (!streq(v, "issuer") && !streq(v, "token-endpoint") &&
            (strncmp(v, "literal:", 8) != 0 || !v[8]))
                return conf_error(item, err, HINT_MAN,
                                  "Audience= takes issuer, token-endpoint or literal:TEXT");
        return set_string(&ps->rule->audience, item, err);
}

/* --- Sections ------------------------------------------------------------- */

struct rule_key {
        const char *name;
        int (*parse)(struct parser *ps, const struct conf_item *item, struct error *err);
        bool repeats;
        bool supported; /* at least some of its values; the function refuses the others */
};

static const struct rule_key keys[] = {
        { "Agent", parse_agent, true, true },
        { "Server", parse_server, true, true },
        { "Require", parse_require, true, true },
        { "Scopes", parse_scopes, true, true },
        { "DenyScopes", parse_scopes, true, true },
        { "OnExcess", parse_on_excess, false, true },
        { "MaxTTL", parse_max_ttl, false, true },
        { "Audit", parse_audit, false, true },
        { "Assurance", parse_assurance, false, true },
        { "Effect", parse_effect, false, true },
        { "Reason", parse_reason, false, true },
        { "Identity", parse_identity, false, true },
        { "Present", parse_present, false, true },
        { "Confirm", parse_confirm, false, true },
        { "ConfirmFor", parse_confirm_for, false, false },
        { "MaxRate", parse_max_rate, false, false },
        { "Bind", parse_bind, false, false },
        { "Audience", parse_audience, false, false },
};
_Static_assert(ARRAY_SIZE(keys) <= 32, "rule.seen is a mask of 32 bits");

static int on_rule_key(struct parser *ps, const struct conf_item *item, struct error *err) {
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (!streq(keys[i].name, item->key))
                        continue;
                if (!*item->value)
                        return conf_error(item, err, HINT_MAN, "%s= has no value", item->key);
                if (!keys[i].supported && !ps->language)
                        return parse_unsupported(ps, item, err, item->value, strlen(item->value));
                if (!keys[i].repeats && (ps->rule->seen & (UINT32_C(1) << i)))
                        return conf_error(item, err, NULL, "%s= stands twice in this rule",
                                          item->key);
                ps->rule->seen |= UINT32_C(1) << i;
                return keys[i].parse(ps, item, err);
        }
        return conf_error(item, err, HINT_MAN, "there is no key %s= in a rule", item->key);
}

static bool zone_ok(const char *zone) {
        static const char allowed[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-";
        size_t len = strlen(zone);

        return len > 0 && len <= 64 && *zone != '/' && strspn(zone, allowed) == len;
}

static int on_policy_key(struct parser *ps, const struct conf_item *item, struct error *err) {
        if (!streq(item->key, "Timezone"))
                return conf_error(item, err, HINT_MAN, "there is no key %s= in [Policy]",
                                  item->key);
        if (!zone_ok(item->value))
                return conf_error(item, err, "Write a name such as Europe/Berlin",
                                  "'%s' is not the name of a time zone", item->value);
        if (!ps->layer->zone)
                return set_string(&ps->layer->zone, item, err);
        if (!streq(ps->layer->zone, item->value))
                return conf_error(item, err, "One layer has one time zone",
                                  "this layer's time zone is %s already", ps->layer->zone);
        return 0;
}

static bool rule_name_ok(const char *name) {
        static const char allowed[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
        size_t len = strlen(name);

        return len > 0 && len <= RULE_NAME_MAX && strspn(name, allowed) == len;
}

static int begin_rule(struct parser *ps, const struct conf_item *item, const char *name,
                      struct error *err) {
        AUTO_BUF struct buf at = BUF_INIT;
        void *rules = ps->layer->rules;

        if (!rule_name_ok(name))
                return conf_error(item, err,
                                  "Write [Rule NAME] with letters, digits, '.', '_', '-'",
                                  "'%s' is not the name of a rule", name);
        for (size_t i = 0; i < ps->layer->n_rules; i++)
                if (ps->layer->rules[i].file == ps->file && streq(ps->layer->rules[i].name, name))
                        return conf_error(item, err, NULL, "there is a rule %s at line %u already",
                                          name, ps->layer->rules[i].line);
        if (++ps->policy->n_rules > POLICY_RULES_MAX)
                return conf_error(item, err, NULL, "the policy has more than %d rules",
                                  POLICY_RULES_MAX);
        ps->rule = list_push(&rules, &ps->layer->n_rules, sizeof(*ps->rule));
        if (!ps->rule)
                return error_oom(err);
        ps->layer->rules = rules;
        ps->rule->file = ps->file;
        ps->rule->line = item->line;
        ps->rule->name = strdup(name);
        if (!ps->rule->name || buf_printf(&at, "%s:%u %s", ps->file, item->line, name) < 0)
                return error_oom(err);
        ps->rule->at = buf_steal(&at);
        return ps->rule->at ? 0 : error_oom(err);
}

/* What can be judged only when all of a rule has been read; also fills in the defaults. */
static int finish_rule(struct parser *ps, const char *path, struct error *err) {
        struct rule *rule = ps->rule;
        struct conf_item item = { .file = path };
        int r = 0;

        if (!rule)
                return 0;
        item.line = rule->line;
        item.value = "https://*";
        if (rule->deny && rule->n_conditions > 0)
                return conf_error(&item, err, "Leave Require= out, or make it a rule that allows",
                                  "rule %s denies whatever its Require= says", rule->name);
        if (rule->on_excess == POLICY_EXCESS_LOGIN && !rule->scopes_granted)
                return conf_error(&item, err, "Write Scopes=@granted, or another OnExcess=",
                                  "rule %s: OnExcess=login without @granted: no login could help",
                                  rule->name);
        if (rule->n_servers == 0)
                r = parse_server(ps, &item, err);
        if (r == 0 && rule->scopes.n == 0 && strings_add(&rule->scopes, "*") < 0)
                r = error_oom(err);
        if (r == 0 && rule->n_agents == 0) {
                item.value = "uid:any";
                r = parse_agent(ps, &item, err);
        }
        ps->rule = NULL;
        return r;
}

static int on_item(const struct conf_item *item, void *userdata, struct error *err) {
        struct parser *ps = userdata;
        int r;

        if (item->key)
                return ps->in_policy ? on_policy_key(ps, item, err) : on_rule_key(ps, item, err);
        r = finish_rule(ps, item->file, err);
        if (r < 0)
                return r;
        ps->in_policy = streq(item->section, "Policy");
        if (ps->in_policy)
                return 0;
        if (strncmp(item->section, "Rule ", 5) == 0)
                return begin_rule(ps, item, item->section + 5, err);
        return conf_error(item, err, "There are [Policy] and [Rule NAME]",
                          "there is no section [%s]", item->section);
}

/* --- The whole ------------------------------------------------------------ */

static void rule_done(struct rule *r) {
        for (size_t i = 0; i < r->n_agents; i++)
                agent_line_done(&r->agents[i]);
        for (size_t i = 0; i < r->n_servers; i++)
                server_glob_done(&r->servers[i]);
        for (size_t i = 0; i < r->n_conditions; i++)
                condition_done(&r->conditions[i]);
        strings_done(&r->scopes);
        strings_done(&r->deny_scopes);
        free(r->agents);
        free(r->servers);
        free(r->conditions);
        free(r->name);
        free(r->at);
        free(r->reason);
        free(r->identity);
        free(r->present);
        free(r->audience);
}

struct policy *policy_free(struct policy *p) {
        if (!p)
                return NULL;
        for (unsigned k = 0; k < POLICY_LAYER_COUNT; k++) {
                for (size_t i = 0; i < p->layers[k].n_rules; i++)
                        rule_done(&p->layers[k].rules[i]);
                free(p->layers[k].rules);
                free(p->layers[k].zone);
        }
        strings_done(&p->files);
        free(p);
        return NULL;
}

static int load_file(struct parser *ps, const struct policy_file *f, struct error *err) {
        const char *slash = strrchr(f->path, '/');
        int r;

        if (strings_add(&ps->policy->files, slash ? slash + 1 : f->path) < 0)
                return error_oom(err);
        ps->file = ps->policy->files.items[ps->policy->files.n - 1];
        ps->layer = &ps->policy->layers[f->layer];
        ps->layer->present = true;
        ps->rule = NULL;
        r = conf_parse(f->path, f->data, f->len, on_item, ps, err);
        return r < 0 ? r : finish_rule(ps, f->path, err);
}

static int set_id(struct policy *p, struct error *err) {
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_JSON json_t *dump = policy_dump(p);
        uint8_t hash[HASH_BYTES];

        if (!dump || json_write_canonical(&text, dump) < 0)
                return error_oom(err);
        hash_plain(hash, text.data, text.len);
        hex_format(p->id, hash, sizeof(hash));
        return 0;
}

static int load(struct policy **ret, const struct policy_file *files, size_t n_files, bool language,
                struct error *err) {
        AUTO_POLICY struct policy *p = calloc(1, sizeof(*p));
        struct parser ps = { .policy = p, .language = language };
        int r = 0;

        if (!p)
                return error_oom(err);
        if (n_files > POLICY_FILES_MAX)
                return error_set(err, MCPB_BAD_CONFIG, E2BIG, NULL,
                                 "There are more than %d policy files", POLICY_FILES_MAX);
        for (size_t i = 0; i < n_files && r == 0; i++)
                r = load_file(&ps, &files[i], err);
        if (r == 0)
                r = set_id(p, err);
        if (r < 0)
                return r;
        *ret = TAKE(p);
        return 0;
}

int policy_load(struct policy **ret, const struct policy_file *files, size_t n_files,
                struct error *err) {
        return load(ret, files, n_files, false, err);
}

int policy_load_language(struct policy **ret, const struct policy_file *files, size_t n_files,
                         struct error *err) {
        return load(ret, files, n_files, true, err);
}
