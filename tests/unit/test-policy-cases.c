/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replays the cases of tests/policy: a table of facts, the folders that are the layers, and what
 * must come out. Each case is a test of its own. The whole language is loaded, also what this
 * version would refuse to enforce.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>

#include "base/buf.h"
#include "base/codec.h"
#include "base/conf.h"
#include "policy/policy.h"

#define FILES_MAX 16

struct run {
        const char *dir;
        json_t *tables;  /* name -> {key: value} */
        json_t *facts;   /* of the case */
        json_t *expect;  /* ["key=value"] */
        char title[512]; /* "" = none under way */
        char layers[512];
        char table[128]; /* the [Facts] section we are in */
        unsigned n;
        unsigned failed;
};

static char *slurp(const char *path, size_t *ret_len) {
        AUTO_BUF struct buf b = BUF_INIT;
        FILE *f = fopen(path, "re");
        char chunk[4096];
        size_t n;

        if (!f)
                return NULL;
        while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
                if (buf_append(&b, chunk, n) < 0)
                        abort();
        (void)fclose(f);
        *ret_len = b.len;
        return buf_steal(&b);
}

static int is_conf(const struct dirent *e) {
        size_t len = strlen(e->d_name);

        return e->d_name[0] != '.' && len > 5 && streq(e->d_name + len - 5, ".conf");
}

/* Adds the files of one folder as the layer @layer. */
static size_t read_layer(const struct run *run, const char *name, size_t n_name, unsigned layer,
                         struct policy_file *files, size_t n) {
        char path[PATH_MAX];
        struct dirent **list = NULL;
        int count;

        (void)snprintf(path, sizeof(path), "%s/%.*s", run->dir, (int)n_name, name);
        count = scandir(path, &list, is_conf, alphasort);
        for (int i = 0; i < count; i++) {
                char file[PATH_MAX + 300];
                size_t len = 0;

                (void)snprintf(file, sizeof(file), "%s/%s", path, list[i]->d_name);
                free(list[i]);
                if (n == FILES_MAX)
                        abort();
                files[n].layer = (enum policy_layer)layer;
                files[n].path = strdup(file);
                files[n].data = slurp(file, &len);
                files[n++].len = len;
        }
        free(list);
        return n;
}

/* --- The table of facts --------------------------------------------------- */

static bool is_list(const char *key) {
        static const char *const lists[] = { "agent.gid", "agent.ancestor", "disk-encrypted",
                                             "unit-active", "net" };

        for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
                if (streq(lists[i], key))
                        return true;
        return false;
}

static size_t split(char *text, char sep, const char **items, size_t max) {
        size_t n = 0;

        for (char *p = text; *p && n < max;) {
                size_t len = strcspn(p, (char[]){ sep, '\0' });

                if (len > 0)
                        items[n++] = p;
                p += len;
                if (*p)
                        *p++ = '\0';
        }
        return n;
}

static void set_local_time(struct facts *f, const char *zone, const char *iso) {
        struct tm tm = { 0 };
        int hours = 0;
        int minutes = 0;
        char sign = '+';
        time_t t;
        char name[128];
        char text[64];

        if (sscanf(iso, "%d-%d-%dT%d:%d:%d%c%d:%d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &sign, &hours, &minutes) != 9)
                abort();
        tm.tm_year -= 1900;
        tm.tm_mon -= 1;
        t = timegm(&tm) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
        (void)setenv("TZ", zone, 1);
        tzset();
        (void)localtime_r(&t, &tm);
        (void)strftime(text, sizeof(text), "%a %H:%M", &tm);
        (void)snprintf(name, sizeof(name), "time@%s", zone);
        if (facts_set(f, name, FACT_ROOT, text) < 0)
                abort();
}

static void fill_facts(const struct run *run, const struct policy *p, struct facts *f) {
        const char *key;
        json_t *value;

        json_object_foreach(run->facts, key, value) {
                AUTO_FREE char *text = strdup(json_string_value(value));
                enum fact_class class = FACT_ROOT;
                const char *items[64];
                int r;

                if (strncmp(key, "agent.", 6) == 0 && policy_selector_class(key + 6, &class) < 0)
                        abort();
                if (streq(key, "self.uid"))
                        class = FACT_KERNEL;
                if (streq(key, "now")) {
                        set_local_time(f, policy_zone(p, POLICY_SYSTEM), text);
                        set_local_time(f, policy_zone(p, POLICY_USER), text);
                        continue;
                }
                if (is_list(key))
                        r = facts_set_list(f, key, class, items,
                                           split(text, ',', items, ARRAY_SIZE(items)));
                else
                        r = facts_set(f, key, class, text);
                if (r < 0)
                        abort();
        }
}

/* --- Comparing ------------------------------------------------------------ */

static void join(struct buf *b, const struct policy_strings *s, const char *sep) {
        for (size_t i = 0; i < s->n; i++)
                if (buf_printf(b, "%s%s", i ? sep : "", s->items[i]) < 0)
                        abort();
}

static void join_rules(struct buf *b, const struct policy_strings *s) {
        for (size_t i = 0; i < s->n; i++) {
                const char *blank = strchr(s->items[i], ' ');

                if (buf_printf(b, "%s%s", i ? " + " : "", blank ? blank + 1 : s->items[i]) < 0)
                        abort();
        }
}

static void put_duration(struct buf *b, uint64_t sec) {
        if (sec > 0 && buf_printf(b, "%llus", (unsigned long long)sec) < 0)
                abort();
}

/* The value of an output key; false: there is no such key. Durations in seconds. */
static bool output(const struct decision *d, const char *key, struct buf *b) {
        const struct {
                const char *key;
                const char *text;
        } texts[] = {
                { "effect", policy_effect_name(d->effect) },
                { "confirm", policy_confirm_name(d->confirm) },
                { "Bind", policy_bind_name(d->bind) },
                { "Audit", policy_audit_name(d->audit) },
                { "Identity", d->identity ? d->identity : "" },
                { "Present", d->present ? d->present : "" },
                { "on-excess", policy_on_excess_name(d->on_excess) },
                { "exec", d->uses_exec_evidence ? "yes" : "no" },
                { "evidence", fact_class_name(d->evidence) },
        };
        const struct {
                const char *key;
                const struct policy_strings *strings;
        } lists[] = {
                { "scopes", &d->scopes },
                { "excess", &d->excess },
                { "trimmed", &d->trimmed },
                { "unknown", &d->unknown },
        };

        if (buf_append_str(b, "") < 0)
                abort();
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
                if (streq(texts[i].key, key))
                        return buf_append_str(b, texts[i].text) == 0;
        for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
                if (streq(lists[i].key, key)) {
                        join(b, lists[i].strings, " ");
                        return true;
                }
        }
        if (streq(key, "why"))
                join(b, &d->why, "; ");
        else if (streq(key, "rules"))
                join_rules(b, &d->rules);
        else if (streq(key, "MaxTTL"))
                put_duration(b, d->max_ttl_sec);
        else if (streq(key, "ConfirmFor"))
                put_duration(b, d->confirm_for_sec);
        else if (streq(key, "MaxRate"))
                return buf_printf(b, "%llu/%s", (unsigned long long)d->max_rate_n,
                                  d->max_rate_sec == 1      ? "s"
                                  : d->max_rate_sec == 60   ? "m"
                                  : d->max_rate_sec == 3600 ? "h"
                                                            : "d") == 0;
        else
                return false;
        return true;
}

static bool holds(const struct decision *d, const char *expect) {
        const char *equals = strchr(expect, '=');
        AUTO_FREE char *key = strndup(expect, (size_t)(equals - expect));
        AUTO_BUF struct buf wanted = BUF_INIT;
        AUTO_BUF struct buf got = BUF_INIT;
        uint64_t sec;
        bool ok;

        if (buf_append_str(&wanted, equals + 1) < 0)
                abort();
        if ((streq(key, "MaxTTL") || streq(key, "ConfirmFor")) &&
            duration_parse(equals + 1, &sec) == 0) {
                buf_clear(&wanted);
                put_duration(&wanted, sec);
        }
        ok = output(d, key, &got);
        ok = ok && (streq(key, "why") ? strstr(got.data, wanted.data) != NULL
                                      : streq(got.data, wanted.data));
        if (!ok)
                printf("# expected %s=%s, got '%s'\n", key, wanted.data, got.data);
        return ok;
}

static bool decide_and_compare(const struct run *run, const struct policy *p) {
        AUTO_FACTS struct facts *f = facts_new();
        AUTO_DECISION struct decision d = DECISION_INIT;
        const char *text = json_get_string(run->facts, "scopes");
        const char *granted_text = json_get_string(run->facts, "granted");
        AUTO_FREE char *scopes = strdup(text ? text : "");
        AUTO_FREE char *granted = strdup(granted_text ? granted_text : "");
        const char *scope_items[16];
        const char *granted_items[16];
        struct policy_request q = {
                .server = json_get_string(run->facts, "server"),
                .scopes = scope_items,
                .n_scopes = split(scopes, ' ', scope_items, ARRAY_SIZE(scope_items)),
                .granted = granted_items,
                .n_granted = split(granted, ' ', granted_items, ARRAY_SIZE(granted_items)),
                .added = streq_null(json_get_string(run->facts, "added"), "yes"),
        };
        json_t *item;
        bool ok = true;
        size_t i;

        if (!f || !q.server)
                abort();
        fill_facts(run, p, f);
        if (policy_decide(p, f, &q, &d) < 0)
                abort();
        json_array_foreach(run->expect, i, item) {
                ok &= holds(&d, json_string_value(item));
        }
        return ok;
}

static void run_case(struct run *run) {
        struct policy_file files[FILES_MAX] = { 0 };
        AUTO_POLICY struct policy *p = NULL;
        struct error err = ERROR_INIT;
        unsigned layer = 0;
        size_t n_files = 0;
        size_t len = 0;
        bool ok = false;

        for (const char *w = conf_word(run->layers, &len); w; w = conf_word(w + len, &len))
                n_files = read_layer(run, w, len, layer++, files, n_files);
        if (policy_load_language(&p, files, n_files, &err) < 0)
                printf("# %s\n", err.message);
        else
                ok = decide_and_compare(run, p);
        for (size_t i = 0; i < n_files; i++) {
                free((void *)(uintptr_t)files[i].path);
                free((void *)(uintptr_t)files[i].data);
        }
        run->n++;
        run->failed += !ok;
        printf("%s %u - %s\n", ok ? "ok" : "not ok", run->n, run->title);
}

/* --- Reading the cases ---------------------------------------------------- */

static void end_case(struct run *run) {
        if (*run->title)
                run_case(run);
        json_decref(run->facts);
        json_decref(run->expect);
        run->facts = json_object();
        run->expect = json_array();
        run->title[0] = run->layers[0] = run->table[0] = '\0';
}

static void set_pair(json_t *object, const char *pair) {
        const char *equals = strchr(pair, '=');
        AUTO_FREE char *key = equals ? strndup(pair, (size_t)(equals - pair)) : NULL;

        if (!key)
                abort();
        if (equals[1])
                (void)json_object_set_new(object, key, json_string(equals + 1));
        else
                (void)json_object_del(object, key);
}

static int on_item(const struct conf_item *item, void *userdata, struct error *err) {
        struct run *run = userdata;

        if (!item->key) {
                end_case(run);
                if (strncmp(item->section, "Facts ", 6) == 0) {
                        (void)snprintf(run->table, sizeof(run->table), "%s", item->section + 6);
                        (void)json_object_set_new(run->tables, run->table, json_object());
                } else if (strncmp(item->section, "Case ", 5) == 0) {
                        (void)snprintf(run->title, sizeof(run->title), "%s", item->section + 5);
                } else {
                        return conf_error(item, err, NULL, "unknown section");
                }
        } else if (streq(item->key, "Set")) {
                set_pair(*run->table ? json_object_get(run->tables, run->table) : run->facts,
                         item->value);
        } else if (streq(item->key, "Facts")) {
                (void)json_object_update(run->facts, json_object_get(run->tables, item->value));
        } else if (streq(item->key, "Layers")) {
                (void)snprintf(run->layers, sizeof(run->layers), "%s", item->value);
        } else if (streq(item->key, "Expect")) {
                (void)json_array_append_new(run->expect, json_string(item->value));
        } else {
                return conf_error(item, err, NULL, "unknown key");
        }
        return 0;
}

static int is_test(const struct dirent *e) {
        size_t len = strlen(e->d_name);

        return len > 5 && streq(e->d_name + len - 5, ".test");
}

int main(void) {
        const char *top = getenv("top_srcdir");
        char dir[PATH_MAX];
        struct run run = { .dir = dir, .tables = json_object() };
        struct dirent **list = NULL;
        int count;

        (void)snprintf(dir, sizeof(dir), "%s/tests/policy", top ? top : ".");
        count = scandir(dir, &list, is_test, alphasort);
        if (count <= 0) {
                printf("Bail out! no cases in %s\n", dir);
                return 1;
        }
        for (int i = 0; i < count; i++) {
                char path[PATH_MAX + 300];
                size_t len = 0;
                AUTO_FREE char *data = NULL;
                struct error err = ERROR_INIT;

                (void)snprintf(path, sizeof(path), "%s/%s", dir, list[i]->d_name);
                free(list[i]);
                data = slurp(path, &len);
                if (!data || conf_parse(path, data, len, on_item, &run, &err) < 0) {
                        printf("Bail out! %s\n", err.message);
                        return 1;
                }
                end_case(&run);
        }
        free(list);
        json_decref(run.facts);
        json_decref(run.expect);
        json_decref(run.tables);
        printf("1..%u\n", run.n);
        return run.failed ? 1 : 0;
}
