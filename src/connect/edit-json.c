/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/edit.h"

#define DEPTH_MAX 200

/*
 * The text as JSON proper, each byte where it was: comments have become blanks, and commas before
 * a closing bracket tabs, so that they can be told from those in comments.
 */
#define COMMA_MARK '\t'

struct json {
        struct span text;
        struct buf plain;
        struct span root;
        struct span unit; /* one step of indentation */
        const char *newline;
};

/* An object, and what of it matters for one more member. Places are in the plain text. */
struct place {
        struct span object;
        const char *last_key; /* NULL: it has no members */
        const char *last_end; /* of the last value; behind the bracket if there is none */
        const char *close;    /* the closing bracket */
        const char *tail;     /* where the blanks before it begin; comments end there */
        bool comma;           /* there is one behind the last value */
};

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The same place in the text as it is. */
static const char *original(const struct json *j, const char *p) {
        return j->text.p + (p - j->plain.data);
}

/* --- from what people write to JSON --------------------------------------------------------- */

static size_t string_end(struct span text, size_t i) {
        for (i++; i < text.len && text.p[i] != '"'; i++)
                if (text.p[i] == '\\')
                        i++;
        return i + 1 < text.len ? i + 1 : text.len;
}

/* Where the comment at @i ends; SIZE_MAX: nowhere. A line's end is none of it. */
static size_t comment_end(struct span text, size_t i) {
        const char *end;

        if (text.p[i + 1] == '/') {
                end = memchr(text.p + i, '\n', text.len - i);
                return end ? (size_t)(end - text.p) : text.len;
        }
        end = memmem(text.p + i + 2, text.len - i - 2, "*/", 2);
        return end ? (size_t)(end - text.p) + 2 : SIZE_MAX;
}

static void blank(char *p, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (p[i] != '\n')
                        p[i] = ' ';
}

static int make_plain(struct json *j, struct edit_fault *fault) {
        struct span text = j->text;
        char before = 0; /* the last that meant something */
        char *comma = NULL;
        char *p;
        int r;

        buf_init(&j->plain, text.len + 1);
        r = edit_append_span(&j->plain, text);
        if (r == 0)
                r = buf_append_str(&j->plain, "");
        if (r < 0)
                return r;
        p = j->plain.data;
        blank(p, edit_bom(text));
        for (size_t i = edit_bom(text), end; i < text.len; i = end) {
                end = i + 1;
                if (is_blank(p[i]))
                        continue;
                if (p[i] == '/' && end < text.len && (p[end] == '/' || p[end] == '*')) {
                        end = comment_end(text, i);
                        if (end == SIZE_MAX)
                                return edit_refuse(fault, text, text.p + i, "a comment has no end");
                        blank(p + i, end - i);
                        continue;
                }
                if (comma && (p[i] == '}' || p[i] == ']'))
                        *comma = COMMA_MARK;
                comma = p[i] == ',' && before != ',' && before != '[' && before != '{' ? p + i
                                                                                       : NULL;
                before = p[i];
                if (p[i] == '"')
                        end = string_end(text, i);
        }
        return 0;
}

/* --- where things stand --------------------------------------------------------------------- */

static const char *line_start(const struct json *j, const char *p) {
        while (p > j->plain.data && p[-1] != '\n')
                p--;
        return p == j->plain.data ? p + edit_bom(j->text) : p;
}

/* The blanks at the beginning of the line of @p. */
static struct span indentation(const struct json *j, const char *p) {
        const char *start = line_start(j, p);
        const char *text = original(j, start);
        size_t n = 0;

        while (start + n < p && (text[n] == ' ' || text[n] == '\t'))
                n++;
        return (struct span){ text, n };
}

/* Does nothing but blanks stand before it on its line? */
static bool is_first_on_line(const struct json *j, const char *p) {
        return p == line_start(j, p) + indentation(j, p).len;
}

static struct place find_place(const struct json *j, struct span object) {
        struct place at = { .object = object,
                            .last_end = object.p + 1,
                            .close = object.p + object.len - 1 };
        struct span key;
        struct span value;
        size_t pos = 0;

        while (jsonspan_next_member(object, &pos, &key, &value)) {
                at.last_key = key.p;
                at.last_end = value.p + value.len;
        }
        at.tail = at.close;
        while (at.tail > at.last_end && is_blank(*original(j, at.tail - 1)))
                at.tail--;
        for (const char *p = at.last_end; p < at.tail; p++)
                at.comma = at.comma || (*p == COMMA_MARK && *original(j, p) == ',');
        return at;
}

/* The last of that name, as parsers have it; an empty value if there is none. */
static void find_member(struct span object, const char *name, struct span *ret_key,
                        struct span *ret_value) {
        struct span key;
        struct span value;
        size_t pos = 0;

        *ret_key = *ret_value = SPAN_NONE;
        while (jsonspan_next_member(object, &pos, &key, &value)) {
                if (!jsonspan_string_is(key, name))
                        continue;
                *ret_key = key;
                *ret_value = value;
        }
}

/* --- writing -------------------------------------------------------------------------------- */

/* How what is written is laid out: in lines, or in one. */
struct layout {
        const struct json *json;
        struct span base; /* what the lines outermost begin with */
        bool in_line;
};

static int line_break(struct buf *out, const struct layout *l, unsigned depth) {
        int r;

        if (l->in_line)
                return 0;
        r = buf_append_str(out, l->json->newline);
        if (r == 0)
                r = edit_append_span(out, l->base);
        while (r == 0 && depth-- > 0)
                r = edit_append_span(out, l->json->unit);
        return r;
}

static int append_key(struct buf *out, const char *key) {
        int r = jsonspan_quote(out, key, strlen(key));

        return r < 0 ? r : buf_append_str(out, ": ");
}

static int append_entry(struct buf *out, const struct layout *l, const struct edit_entry *e,
                        unsigned depth) {
        int r = buf_append_str(out, "{");

        for (size_t i = 0; r == 0 && i < e->n_members; i++) {
                if (i > 0)
                        r = buf_append_str(out, l->in_line ? ", " : ",");
                if (r == 0)
                        r = line_break(out, l, depth + 1);
                if (r == 0)
                        r = append_key(out, e->members[i].key);
                if (r == 0)
                        r = edit_append_value(out, &e->members[i]);
        }
        if (r == 0)
                r = line_break(out, l, depth);
        return r < 0 ? r : buf_append_str(out, "}");
}

/* "NAME": {entry}, within "TABLE": {} if that is not there yet. */
static int append_member(struct buf *out, const struct layout *l, const struct edit_entry *e,
                         bool with_table) {
        int r = with_table ? append_key(out, e->table) : 0;

        if (r == 0 && with_table)
                r = buf_append_str(out, "{");
        if (r == 0 && with_table)
                r = line_break(out, l, 1);
        if (r == 0)
                r = append_key(out, e->name);
        if (r == 0)
                r = append_entry(out, l, e, with_table ? 1 : 0);
        if (r == 0 && with_table)
                r = line_break(out, l, 0);
        return r == 0 && with_table ? buf_append_str(out, "}") : r;
}

/* Of the text as it is, from one place in the plain text to another. */
static int copy(struct buf *out, const struct json *j, const char *from, const char *to) {
        return edit_append_span(out, edit_between(original(j, from), original(j, to)));
}

static const char *end_of(const struct json *j) {
        return j->plain.data + j->text.len;
}

static int insert_first(struct buf *out, const struct json *j, const struct edit_entry *e,
                        const struct place *at, bool with_table) {
        struct layout l = { .json = j, .base = indentation(j, at->object.p) };
        AUTO_BUF struct buf deeper = BUF_INIT;
        int r = copy(out, j, j->plain.data, at->tail);

        if (r == 0)
                r = line_break(out, &l, 1);
        if (r == 0)
                r = edit_append_span(&deeper, l.base);
        if (r == 0)
                r = edit_append_span(&deeper, j->unit);
        if (r == 0) {
                struct layout inside = { .json = j, .base = { deeper.data, deeper.len } };

                r = append_member(out, &inside, e, with_table);
        }
        if (r == 0)
                r = line_break(out, &l, 0);
        return r < 0 ? r : copy(out, j, at->close, end_of(j));
}

static int insert_last(struct buf *out, const struct json *j, const struct edit_entry *e,
                       const struct place *at, bool with_table) {
        struct span blanks = edit_between(original(j, at->tail), original(j, at->close));
        struct layout l = { .json = j, .base = indentation(j, at->last_key) };
        int r = copy(out, j, j->plain.data, at->last_end);

        l.in_line = blanks.len == 0 || !memchr(blanks.p, '\n', blanks.len);
        if (!is_first_on_line(j, at->last_key))
                l.base = j->unit;
        if (r == 0 && !at->comma)
                r = buf_append_str(out, ",");
        if (r == 0)
                r = copy(out, j, at->last_end, at->tail);
        if (r == 0)
                r = l.in_line ? buf_append_str(out, " ") : line_break(out, &l, 0);
        if (r == 0)
                r = append_member(out, &l, e, with_table);
        if (r == 0 && at->comma)
                r = buf_append_str(out, ",");
        return r < 0 ? r : copy(out, j, at->tail, end_of(j));
}

static int insert(struct buf *out, const struct json *j, const struct edit_entry *e,
                  struct span object, bool with_table) {
        struct place at = find_place(j, object);

        return at.last_key ? insert_last(out, j, e, &at, with_table)
                           : insert_first(out, j, e, &at, with_table);
}

static int replace(struct buf *out, const struct json *j, const struct edit_entry *e,
                   struct span key, struct span value) {
        struct layout l = { .json = j,
                            .base = indentation(j, key.p),
                            .in_line = !is_first_on_line(j, key.p) };
        int r = copy(out, j, j->plain.data, value.p);

        if (r == 0)
                r = append_entry(out, &l, e, 0);
        return r < 0 ? r : copy(out, j, value.p + value.len, end_of(j));
}

/* There was nothing, or nothing but comments. */
static int begin_file(struct buf *out, const struct json *j, const struct edit_entry *e) {
        struct layout l = { .json = j };
        struct layout inside = { .json = j, .base = j->unit };
        int r = edit_append_span(out, j->text);

        if (r == 0 && j->text.len > edit_bom(j->text) && j->text.p[j->text.len - 1] != '\n')
                r = buf_append_str(out, j->newline);
        if (r == 0)
                r = buf_append_str(out, "{");
        if (r == 0)
                r = line_break(out, &l, 1);
        if (r == 0)
                r = append_member(out, &inside, e, true);
        if (r == 0)
                r = line_break(out, &l, 0);
        if (r == 0)
                r = buf_append_str(out, "}");
        return r < 0 ? r : buf_append_str(out, j->newline);
}

/* --- the whole ------------------------------------------------------------------------------ */

static bool list_says(struct span value, const struct edit_member *m) {
        struct span item;
        size_t pos = 0;
        size_t n = 0;

        for (; jsonspan_next_item(value, &pos, &item); n++)
                if (n == m->n_values || !jsonspan_string_is(item, m->values[n]))
                        return false;
        return n == m->n_values;
}

static bool says(struct span value, const struct edit_member *m) {
        switch (m->kind) {
        case EDIT_TEXT:
                return jsonspan_string_is(value, m->values[0]);
        case EDIT_LIST:
                return list_says(value, m);
        case EDIT_TRUE:
        default:
                return value.len == 4 && memcmp(value.p, "true", 4) == 0;
        }
}

/* Members that are none of ours may stand beside: time limits, names of tools. */
static bool is_same(struct span value, const struct edit_entry *e) {
        struct span key;
        struct span found;

        if (jsonspan_type(value) != JSONSPAN_OBJECT)
                return false;
        for (const char *const *name = e->against; name && *name; name++) {
                struct span s = { *name, strlen(*name) };

                find_member(value, *name, &key, &found);
                if (found.len > 0 && edit_is_against(e, s))
                        return false;
        }
        for (size_t i = 0; i < e->n_members; i++) {
                find_member(value, e->members[i].key, &key, &found);
                if (!e->members[i].only_new && !says(found, &e->members[i]))
                        return false;
        }
        return true;
}

static struct span find_unit(const struct json *j) {
        struct span unit = { "  ", 2 };
        struct span key;
        struct span value;
        struct span found;
        size_t pos = 0;

        if (!jsonspan_next_member(j->root, &pos, &key, &value) || !is_first_on_line(j, key.p))
                return unit;
        found = indentation(j, key.p);
        return found.len > 0 ? found : unit;
}

/* Where the file has it so, the entries are one step deeper: an object there is no entry. */
static struct span step_inside(struct span table, const char *name) {
        struct span key;
        struct span inner;
        struct span type;

        if (!name)
                return table;
        find_member(table, name, &key, &inner);
        find_member(inner, "type", &key, &type);
        return jsonspan_type(inner) == JSONSPAN_OBJECT && type.len == 0 ? inner : table;
}

static int put(struct buf *out, struct json *j, const struct edit_entry *e, enum edit_change *ret,
               struct edit_fault *fault) {
        struct span key;
        struct span table;
        struct span value;

        *ret = EDIT_ADDED;
        if (j->root.len == 0)
                return begin_file(out, j, e);
        if (jsonspan_type(j->root) != JSONSPAN_OBJECT)
                return edit_refuse(fault, j->text, NULL, "it is no object");
        find_member(j->root, e->table, &key, &table);
        if (table.len == 0)
                return insert(out, j, e, j->root, true);
        if (jsonspan_type(table) != JSONSPAN_OBJECT)
                return edit_refuse(fault, j->text, original(j, table.p),
                                   "what should hold the servers is no object");
        table = step_inside(table, e->inner);
        find_member(table, e->name, &key, &value);
        if (value.len == 0)
                return insert(out, j, e, table, false);
        *ret = is_same(value, e) ? EDIT_SAME : EDIT_REPLACED;
        return *ret == EDIT_SAME ? 0 : replace(out, j, e, key, value);
}

int edit_json(struct buf *out, struct span text, const struct edit_entry *e, enum edit_change *ret,
              struct edit_fault *fault) {
        AUTO_BUF struct buf plain = BUF_INIT; /* other servers' keys may be in it */
        struct json j = { .text = text, .newline = edit_newline(text), .unit = { "  ", 2 } };
        size_t before = out->len;
        int r = edit_check_text(text, fault);

        if (r == 0)
                r = make_plain(&j, fault);
        if (r == 0) {
                j.root = jsonspan_trim(j.plain.data, j.plain.len);
                if (j.root.len > 0 &&
                    jsonspan_check(j.root.p, j.root.len, DEPTH_MAX, &fault->why) < 0)
                        r = edit_refuse(fault, text, NULL, fault->why);
        }
        if (r == 0) {
                j.unit = find_unit(&j);
                r = put(out, &j, e, ret, fault);
        }
        buf_move(&plain, &j.plain);
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
