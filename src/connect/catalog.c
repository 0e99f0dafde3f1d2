/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/catalog.h"

#include "base/limits.h"
#include "base/list.h"
#include "base/strmap.h"
#include "connect/annotation.h"

struct pattern {
        struct list item;
        char *glob;
};

struct entry {
        struct list item;
        char *name;
        struct catalog_tool tool;
        size_t bytes;
};

struct catalog {
        struct list patterns;
        struct list entries; /* all that are in the map */
        struct strmap *by_name;
        size_t bytes;
};

/* --- what is not shown ---------------------------------------------------------------------- */

static char lower(char c) {
        return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Only the last star is ever tried again, which is enough, and bounds the work. */
static bool glob_matches(const char *glob, const char *text) {
        const char *star = NULL;
        const char *from = NULL;

        while (*text) {
                if (*glob == '*') {
                        star = ++glob;
                        from = text;
                } else if (*glob && (*glob == '?' || lower(*glob) == lower(*text))) {
                        glob++;
                        text++;
                } else if (star) {
                        glob = star;
                        text = ++from;
                } else {
                        return false;
                }
        }
        while (*glob == '*')
                glob++;
        return !*glob;
}

int catalog_ignore(struct catalog *c, const char *glob) {
        struct pattern *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->glob = strdup(glob);
        if (!p->glob) {
                free(p);
                return -ENOMEM;
        }
        list_append(&c->patterns, &p->item);
        return 0;
}

bool catalog_ignores(const struct catalog *c, const char *tool) {
        struct pattern *p;

        LIST_FOREACH(p, &c->patterns, struct pattern, item) {
                if (glob_matches(p->glob, tool))
                        return true;
        }
        return false;
}

/* --- what is remembered --------------------------------------------------------------------- */

struct catalog *catalog_new(void) {
        struct catalog *c = calloc(1, sizeof(*c));

        if (!c)
                return NULL;
        list_init(&c->patterns);
        list_init(&c->entries);
        c->by_name = strmap_new();
        return c->by_name ? c : catalog_free(c);
}

static struct entry *entry_free(struct entry *e) {
        if (!e)
                return NULL;
        list_remove(&e->item);
        annotation_done(&e->tool);
        free(e->name);
        free(e);
        return NULL;
}

struct catalog *catalog_free(struct catalog *c) {
        struct pattern *p;
        struct entry *e;

        if (!c)
                return NULL;
        LIST_FOREACH(p, &c->patterns, struct pattern, item) {
                free(p->glob);
                free(p);
        }
        LIST_FOREACH(e, &c->entries, struct entry, item) {
                (void)entry_free(e);
        }
        (void)strmap_free(c->by_name);
        free(c);
        return NULL;
}

static void forget(struct catalog *c, const char *name) {
        struct entry *e = strmap_remove(c->by_name, name);

        if (!e)
                return;
        c->bytes -= e->bytes;
        (void)entry_free(e);
}

/* Takes @tool over, whatever comes of it. -E2BIG: there is no room for it. */
static int remember(struct catalog *c, const char *name, struct catalog_tool *tool) {
        struct entry *e = calloc(1, sizeof(*e));
        int r;

        if (!e) {
                annotation_done(tool);
                return -ENOMEM;
        }
        list_init(&e->item);
        e->tool = *tool;
        e->name = strdup(name);
        e->bytes = sizeof(*e) + 2 * (strlen(name) + 1) + annotation_bytes(tool);
        if (!e->name)
                r = -ENOMEM;
        else if (strmap_count(c->by_name) == LIMIT_TOOLS ||
                 e->bytes > LIMIT_CATALOG_BYTES - c->bytes)
                r = -E2BIG;
        else
                r = strmap_put(c->by_name, name, e);
        if (r < 0) {
                (void)entry_free(e);
                return r;
        }
        list_append(&c->entries, &e->item);
        c->bytes += e->bytes;
        return 0;
}

const struct catalog_tool *catalog_find(const struct catalog *c, const char *tool) {
        const struct entry *e = strmap_get(c->by_name, tool);

        return e ? &e->tool : NULL;
}

/* --- lists ---------------------------------------------------------------------------------- */

/* One look at one result. */
struct look {
        struct catalog *catalog;
        bool mirrored;
        catalog_dropped_fn told;
        void *userdata;
        struct buf *out;
        const char *from; /* what stands before it is written, or cut out */
        bool cut;
};

/* -EINVAL, and *@ret_why: it must not be shown. */
static int study(struct catalog *c, const char *name, struct span tool, const char **ret_why) {
        struct catalog_tool found = { 0 };
        struct span schema = SPAN_NONE;
        int r = 0;

        forget(c, name);
        if (jsonspan_member(tool, "inputSchema", &schema) == 0)
                r = annotation_find(schema, &found, ret_why);
        if (r < 0 || found.n_headers == 0)
                return r;
        r = remember(c, name, &found);
        if (r == -E2BIG) {
                *ret_why = "too many tools with x-mcp-header to remember";
                return -EINVAL;
        }
        return r;
}

/* 1: to be cut out, 0: to be shown, -ENOMEM. */
static int judge_tool(struct look *l, struct span tool) {
        AUTO_FREE char *name = NULL;
        struct span value = SPAN_NONE;
        const char *why = NULL;
        int r;

        if (jsonspan_member(tool, "name", &value) < 0)
                return 0; /* nobody can call it */
        r = jsonspan_string(value, &name);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        if (catalog_ignores(l->catalog, name))
                r = -EINVAL;
        else if (l->mirrored)
                r = study(l->catalog, name, tool, &why);
        if (r != -EINVAL)
                return r;
        if (l->told)
                l->told(name, why, l->userdata);
        return 1;
}

/* Everything up to @start is written, and what follows up to @end is not. */
static int cut(struct look *l, const char *start, const char *end) {
        int r = buf_append(l->out, l->from, (size_t)(start - l->from));

        l->from = end;
        l->cut = true;
        return r;
}

/*
 * A tool goes with the comma in front of it; where it has none because all in front of it are gone,
 * with the comma behind it. So what is left has the commas, and blanks, that it had.
 */
static int look_at_tools(struct look *l, struct span tools) {
        const char *behind = NULL; /* the item before this one */
        const char *first = NULL;  /* start of a run of dropped ones that has no comma in front */
        struct span tool;
        size_t pos = 0;
        int r;

        while (jsonspan_next_item(tools, &pos, &tool)) {
                if (first) {
                        r = cut(l, first, tool.p);
                        if (r < 0)
                                return r;
                        first = NULL;
                        behind = NULL;
                }
                r = judge_tool(l, tool);
                if (r < 0)
                        return r;
                if (r > 0 && !behind)
                        first = tool.p;
                else if (r > 0 && (r = cut(l, behind, tool.p + tool.len)) < 0)
                        return r;
                behind = tool.p + tool.len;
        }
        return first ? cut(l, first, behind) : 0;
}

int catalog_take(struct catalog *c, struct span result, bool mirrored, struct buf *ret_result,
                 catalog_dropped_fn told, void *userdata) {
        AUTO_BUF struct buf out = BUF_INIT;
        struct look l = { c, mirrored, told, userdata, &out, result.p, false };
        struct span key;
        struct span value;
        size_t pos = 0;
        int r;

        buf_init(&out, result.len + 1);
        while (jsonspan_next_member(result, &pos, &key, &value)) {
                if (!jsonspan_string_is(key, "tools"))
                        continue;
                /* Each of duplicates: who reads the first gets no other tools. */
                r = look_at_tools(&l, value);
                if (r < 0)
                        return r;
        }
        if (l.cut) {
                r = buf_append(&out, l.from, (size_t)(result.p + result.len - l.from));
                if (r < 0)
                        return r;
        }
        buf_move(ret_result, &out);
        return 0;
}
