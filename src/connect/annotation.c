/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/annotation.h"

#include <strings.h>

#include "base/limits.h"

#define ANNOTATION "x-mcp-header"
#define PREFIX "Mcp-Param-"

/* What the walk stands in: a schema, an object whose values are schemas, or an array of them. */
enum place {
        PLACE_SCHEMA,
        PLACE_NAMED,
        PLACE_LIST,
};

struct level {
        enum place place;
        bool reachable; /* by "properties" alone, from the root */
        struct span text;
        struct span key; /* of the property that this schema is of */
        size_t pos;
};

struct walk {
        struct level levels[LIMIT_SCHEMA_LEVELS];
        size_t n_levels;
        struct catalog_tool *tool;
        size_t room; /* headers that tool->headers has room for */
        const char *why;
};

static int invalid(struct walk *w, const char *why) {
        w->why = why;
        return -EINVAL;
}

static void header_done(struct catalog_header *h) {
        for (size_t i = 0; h->path && i < h->n_path; i++)
                free(h->path[i]);
        free(h->path);
        free(h->name);
        *h = (struct catalog_header){ 0 };
}

void annotation_done(struct catalog_tool *t) {
        for (size_t i = 0; i < t->n_headers; i++)
                header_done(&t->headers[i]);
        free(t->headers);
        *t = (struct catalog_tool){ 0 };
}

size_t annotation_bytes(const struct catalog_tool *t) {
        size_t bytes = sizeof(*t);

        for (size_t i = 0; i < t->n_headers; i++) {
                const struct catalog_header *h = &t->headers[i];

                bytes += sizeof(*h) + strlen(h->name) + 1;
                for (size_t k = 0; k < h->n_path; k++)
                        bytes += sizeof(char *) + strlen(h->path[k]) + 1;
        }
        return bytes;
}

static bool is_token(const char *s) {
        if (!*s)
                return false;
        for (; *s; s++)
                if (!((*s >= '0' && *s <= '9') || (*s >= 'A' && *s <= 'Z') ||
                      (*s >= 'a' && *s <= 'z') || strchr("!#$%&'*+-.^_`|~", *s)))
                        return false;
        return true;
}

static bool is_primitive(struct span schema) {
        struct span type = SPAN_NONE;

        return jsonspan_member(schema, "type", &type) == 0 &&
               (jsonspan_string_is(type, "string") || jsonspan_string_is(type, "integer") ||
                jsonspan_string_is(type, "boolean"));
}

static int grow(struct walk *w) {
        struct catalog_tool *t = w->tool;
        size_t room = w->room > 0 ? 2 * w->room : 4;
        struct catalog_header *headers;

        if (t->n_headers < w->room)
                return 0;
        headers = calloc(room, sizeof(*headers));
        if (!headers)
                return -ENOMEM;
        if (t->n_headers > 0)
                memcpy(headers, t->headers, t->n_headers * sizeof(*headers));
        free(t->headers);
        t->headers = headers;
        w->room = room;
        return 0;
}

/* The names of the properties from the root down to where the walk stands. */
static int set_path(struct walk *w, struct catalog_header *h) {
        int r;

        h->path = calloc(w->n_levels, sizeof(*h->path));
        if (!h->path)
                return -ENOMEM;
        for (size_t i = 0; i < w->n_levels; i++) {
                if (w->levels[i].key.len == 0)
                        continue;
                r = jsonspan_string(w->levels[i].key, &h->path[h->n_path]);
                if (r < 0)
                        return r == -ENOMEM ? r : invalid(w, "the property's name is no text");
                h->n_path++;
        }
        return 0;
}

static int add_header(struct walk *w, struct span name) {
        AUTO_FREE char *text = NULL;
        struct catalog_header *h;
        int r = jsonspan_string(name, &text);

        if (r == -ENOMEM)
                return r;
        if (r < 0 || !is_token(text))
                return invalid(w, "its x-mcp-header is no name of a header field");
        for (size_t i = 0; i < w->tool->n_headers; i++)
                if (strcasecmp(w->tool->headers[i].name + strlen(PREFIX), text) == 0)
                        return invalid(w, "two of its x-mcp-header are the same");
        if (w->tool->n_headers == LIMIT_TOOL_HEADERS)
                return invalid(w, "too many x-mcp-header");
        r = grow(w);
        if (r < 0)
                return r;
        h = &w->tool->headers[w->tool->n_headers++];
        h->name = malloc(strlen(PREFIX) + strlen(text) + 1);
        if (!h->name)
                return -ENOMEM;
        memcpy(h->name, PREFIX, strlen(PREFIX));
        memcpy(h->name + strlen(PREFIX), text, strlen(text) + 1);
        return set_path(w, h);
}

static int judge(struct walk *w, const struct level *at, struct span value) {
        if (!at->reachable || at->key.len == 0)
                return invalid(w, "an x-mcp-header is not reached by properties alone");
        if (!is_primitive(at->text))
                return invalid(w, "an x-mcp-header of what is no string, integer or boolean");
        return add_header(w, value);
}

static int enter(struct walk *w, struct level level) {
        enum jsonspan_type type = jsonspan_type(level.text);

        if (type != (level.place == PLACE_LIST ? JSONSPAN_ARRAY : JSONSPAN_OBJECT))
                return 0; /* true, false and the like: nothing is below */
        if (w->n_levels == LIMIT_SCHEMA_LEVELS) {
                if (!memmem(level.text.p, level.text.len, ANNOTATION, strlen(ANNOTATION)))
                        return 0;
                return invalid(w, "an x-mcp-header is nested too deeply");
        }
        w->levels[w->n_levels++] = level;
        return 0;
}

static bool is_one_of(struct span key, const char *const *names, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (jsonspan_string_is(key, names[i]))
                        return true;
        return false;
}

/* What keywords other than these hold (default, enum, examples, ...) is data, no schema. */
static int in_schema(struct walk *w, struct level *at, struct span key, struct span value) {
        static const char *const named[] = { "patternProperties", "$defs", "definitions",
                                             "dependentSchemas", "dependencies" };
        static const char *const plain[] = { "items",
                                             "prefixItems",
                                             "additionalItems",
                                             "contains",
                                             "additionalProperties",
                                             "unevaluatedItems",
                                             "propertyNames",
                                             "unevaluatedProperties",
                                             "contentSchema",
                                             "not",
                                             "if",
                                             "then",
                                             "else",
                                             "allOf",
                                             "anyOf",
                                             "oneOf" };
        struct level below = { .text = value };

        if (jsonspan_string_is(key, ANNOTATION))
                return judge(w, at, value);
        if (jsonspan_string_is(key, "properties")) {
                below.place = PLACE_NAMED;
                below.reachable = at->reachable;
        } else if (is_one_of(key, named, ARRAY_SIZE(named))) {
                below.place = PLACE_NAMED;
        } else if (is_one_of(key, plain, ARRAY_SIZE(plain))) {
                below.place = jsonspan_type(value) == JSONSPAN_ARRAY ? PLACE_LIST : PLACE_SCHEMA;
        } else {
                return 0;
        }
        return enter(w, below);
}

/* One step on; leaves the level where it has ended. */
static int step(struct walk *w) {
        struct level *at = &w->levels[w->n_levels - 1];
        struct span key = SPAN_NONE;
        struct span value;
        bool more = at->place == PLACE_LIST
                            ? jsonspan_next_item(at->text, &at->pos, &value)
                            : jsonspan_next_member(at->text, &at->pos, &key, &value);

        if (!more) {
                w->n_levels--;
                return 0;
        }
        if (at->place == PLACE_SCHEMA)
                return in_schema(w, at, key, value);
        return enter(w, (struct level){ .place = PLACE_SCHEMA,
                                        .reachable = at->reachable,
                                        .text = value,
                                        .key = key });
}

int annotation_find(struct span schema, struct catalog_tool *ret, const char **why) {
        struct catalog_tool tool = { 0 };
        struct walk w = { .tool = &tool };
        int r = enter(&w, (struct level){ .reachable = true, .text = schema });

        while (r == 0 && w.n_levels > 0)
                r = step(&w);
        if (r < 0) {
                annotation_done(&tool);
                *why = w.why;
                return r;
        }
        *ret = tool;
        return 0;
}
