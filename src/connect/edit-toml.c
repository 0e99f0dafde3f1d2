/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/edit.h"

#define DEPTH_MAX 64
#define PARTS_MAX 4 /* of a key, that are looked at */

struct reader {
        struct span text;
        const char *p;
        const char *end;
        struct edit_fault *fault;
};

/* A dotted key: its first parts, each without quotes. */
struct key {
        struct span parts[PARTS_MAX];
        size_t n; /* may be more */
        bool escaped;
};

/* [table], [[table]] or key = value, with its line or lines. */
struct statement {
        const char *start;
        const char *end; /* behind the line's end */
        bool is_header;
        bool is_array;
        struct key key;
        struct span value;
};

static int refuse(struct reader *r, const char *why) {
        return edit_refuse(r->fault, r->text, r->p, why);
}

static bool starts(const struct reader *r, const char *s) {
        size_t n = strlen(s);

        return (size_t)(r->end - r->p) >= n && memcmp(r->p, s, n) == 0;
}

static char peek(const struct reader *r) {
        return r->p < r->end ? *r->p : '\0';
}

static void skip_blanks(struct reader *r) {
        while (peek(r) == ' ' || peek(r) == '\t')
                r->p++;
}

static void skip_comment(struct reader *r) {
        if (peek(r) != '#')
                return;
        while (r->p < r->end && *r->p != '\n')
                r->p++;
}

/* Blanks, comments and line ends. */
static void skip_space(struct reader *r) {
        for (;;) {
                skip_blanks(r);
                skip_comment(r);
                if (!starts(r, "\n") && !starts(r, "\r\n"))
                        return;
                r->p += *r->p == '\r' ? 2 : 1;
        }
}

/* Nothing may follow on a line but a comment. */
static int read_line_end(struct reader *r) {
        skip_blanks(r);
        skip_comment(r);
        if (r->p == r->end)
                return 0;
        if (!starts(r, "\n") && !starts(r, "\r\n"))
                return refuse(r, "something stands behind the end of the statement");
        r->p += *r->p == '\r' ? 2 : 1;
        return 0;
}

/* --- strings -------------------------------------------------------------------------------- */

/* @r->p is at the quote. *@ret is what stands between the quotes. */
static int read_short_string(struct reader *r, struct span *ret, bool *ret_escaped) {
        char quote = *r->p++;
        const char *start = r->p;

        for (; r->p < r->end && *r->p != '\n'; r->p++) {
                if (*r->p == quote) {
                        *ret = edit_between(start, r->p);
                        r->p++;
                        return 0;
                }
                if (quote == '"' && *r->p == '\\') {
                        *ret_escaped = true;
                        if (++r->p == r->end || *r->p == '\n')
                                break;
                }
        }
        return refuse(r, "a string has no end");
}

static int skip_long_string(struct reader *r) {
        char quote = *r->p;
        char ending[4] = { quote, quote, quote, '\0' };
        const char *start = r->p;

        for (r->p += 3; r->p < r->end; r->p++) {
                if (quote == '"' && *r->p == '\\') {
                        if (r->p + 1 < r->end)
                                r->p++;
                } else if (starts(r, ending)) {
                        r->p += 3;
                        /* Up to two quotes before the ending belong to the string. */
                        for (int i = 0; i < 2 && peek(r) == quote; i++)
                                r->p++;
                        return 0;
                }
        }
        r->p = start;
        return refuse(r, "a string has no end");
}

static int skip_string(struct reader *r) {
        struct span unused;
        bool escaped = false;

        if (starts(r, "\"\"\"") || starts(r, "'''"))
                return skip_long_string(r);
        return read_short_string(r, &unused, &escaped);
}

/* --- keys ----------------------------------------------------------------------------------- */

static bool is_bare(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-';
}

static int read_part(struct reader *r, struct span *ret, bool *ret_escaped) {
        const char *start = r->p;

        if (peek(r) == '"' || peek(r) == '\'')
                return read_short_string(r, ret, ret_escaped);
        while (is_bare(peek(r)))
                r->p++;
        if (r->p == start)
                return refuse(r, "a key is expected here");
        *ret = edit_between(start, r->p);
        return 0;
}

static int read_key(struct reader *r, struct key *k) {
        *k = (struct key){ 0 };
        for (;;) {
                struct span part = SPAN_NONE;
                int e;

                skip_blanks(r);
                e = read_part(r, &part, &k->escaped);
                if (e < 0)
                        return e;
                if (k->n < PARTS_MAX)
                        k->parts[k->n] = part;
                k->n++;
                skip_blanks(r);
                if (peek(r) != '.')
                        return 0;
                r->p++;
        }
}

/* --- values --------------------------------------------------------------------------------- */

/* Numbers, dates (one may have a blank in it), true and false: which of them is not our affair. */
static int skip_plain(struct reader *r) {
        const char *start = r->p;

        while (is_bare(peek(r)) || peek(r) == '+' || peek(r) == '.' || peek(r) == ':' ||
               (peek(r) == ' ' && r->p > start && r->p + 1 < r->end && r->p[1] >= '0' &&
                r->p[1] <= '9'))
                r->p++;
        return r->p == start ? refuse(r, "a value is expected here") : 0;
}

static int skip_scalar(struct reader *r) {
        return peek(r) == '"' || peek(r) == '\'' ? skip_string(r) : skip_plain(r);
}

/* The brackets that are open. */
struct nesting {
        char open[DEPTH_MAX];
        size_t depth;
        bool fresh; /* the innermost has nothing in it yet */
};

static bool skip_close(struct reader *r, struct nesting *n) {
        skip_space(r);
        if (peek(r) != (n->open[n->depth - 1] == '[' ? ']' : '}'))
                return false;
        r->p++;
        n->depth--;
        n->fresh = false;
        return true;
}

static int skip_comma(struct reader *r, const struct nesting *n) {
        if (n->fresh)
                return 0;
        if (peek(r) != ',')
                return refuse(r, n->open[n->depth - 1] == '[' ? "an array has no end"
                                                              : "an inline table has no end");
        r->p++;
        return 0;
}

/* From behind a value to the next one: 1: it is there; 0: all is closed. */
static int find_next(struct reader *r, struct nesting *n) {
        struct key unused;
        int e;

        while (n->depth > 0) {
                if (skip_close(r, n))
                        continue;
                e = skip_comma(r, n);
                if (e < 0)
                        return e;
                if (skip_close(r, n))
                        continue;
                if (n->open[n->depth - 1] == '[')
                        return 1;
                e = read_key(r, &unused);
                if (e < 0)
                        return e;
                if (peek(r) != '=')
                        return refuse(r, "a '=' is expected here");
                r->p++;
                skip_blanks(r);
                return 1;
        }
        return 0;
}

static int skip_value(struct reader *r) {
        struct nesting n = { .depth = 0 };
        int e;

        do {
                n.fresh = peek(r) == '[' || peek(r) == '{';
                if (n.fresh && n.depth == DEPTH_MAX)
                        return refuse(r, "nested too deeply");
                if (n.fresh)
                        n.open[n.depth++] = *r->p++;
                e = n.fresh ? 0 : skip_scalar(r);
                if (e == 0)
                        e = find_next(r, &n);
        } while (e > 0);
        return e;
}

/* --- statements ----------------------------------------------------------------------------- */

static int read_header(struct reader *r, struct statement *s) {
        int e;

        s->is_header = true;
        s->is_array = starts(r, "[[");
        r->p += s->is_array ? 2 : 1;
        e = read_key(r, &s->key);
        if (e < 0)
                return e;
        if (!starts(r, s->is_array ? "]]" : "]"))
                return refuse(r, "a table's name has no end");
        r->p += s->is_array ? 2 : 1;
        return 0;
}

static int read_pair(struct reader *r, struct statement *s) {
        const char *start;
        int e = read_key(r, &s->key);

        if (e < 0)
                return e;
        if (peek(r) != '=')
                return refuse(r, "a '=' is expected here");
        r->p++;
        skip_blanks(r);
        start = r->p;
        e = skip_value(r);
        s->value = edit_between(start, r->p);
        return e;
}

/* 1: there is one; 0: the end. */
static int next_statement(struct reader *r, struct statement *s) {
        int e;

        skip_space(r);
        if (r->p == r->end)
                return 0;
        *s = (struct statement){ .start = r->p };
        while (s->start > r->text.p && (s->start[-1] == ' ' || s->start[-1] == '\t'))
                s->start--;
        e = peek(r) == '[' ? read_header(r, s) : read_pair(r, s);
        if (e == 0)
                e = read_line_end(r);
        s->end = r->p;
        return e < 0 ? e : 1;
}

/* --- the entry ------------------------------------------------------------------------------ */

#define REGIONS_MAX 16

struct region {
        const char *start;
        const char *end;
};

struct scan {
        const struct edit_entry *entry;
        bool in_table; /* below the header [TABLE] */
        bool in_entry; /* below [TABLE.NAME] or one of its own tables */
        bool in_own;   /* below [TABLE.NAME] itself */
        struct region regions[REGIONS_MAX];
        size_t n_regions;
        size_t n_same;
        bool against;
};

static bool part_is(const struct key *k, size_t i, const char *name) {
        struct span s = i < k->n && i < PARTS_MAX ? k->parts[i] : SPAN_NONE;

        return i < k->n && s.len == strlen(name) && memcmp(s.p, name, s.len) == 0;
}

/* The value as TOML's quotes have it; false: no string, or one with escapes that we never write. */
static bool string_is(struct span value, const char *text) {
        if (value.len < 2 || (value.p[0] != '"' && value.p[0] != '\''))
                return false;
        if (value.p[0] == '"' && jsonspan_check(value.p, value.len, 1, NULL) == 0)
                return jsonspan_string_is(value, text);
        return value.p[0] == '\'' && value.len - 2 == strlen(text) &&
               memcmp(value.p + 1, text, value.len - 2) == 0;
}

static bool list_says(struct span value, const struct edit_member *m) {
        struct edit_fault unused;
        struct reader r = {
                .text = value, .p = value.p + 1, .end = value.p + value.len - 1, .fault = &unused
        };
        size_t n = 0;

        if (value.len < 2 || *value.p != '[')
                return false;
        for (skip_space(&r); r.p < r.end; n++) {
                const char *start = r.p;

                if (n == m->n_values || skip_value(&r) < 0 ||
                    !string_is(edit_between(start, r.p), m->values[n]))
                        return false;
                skip_space(&r);
                if (peek(&r) == ',')
                        r.p++;
                skip_space(&r);
        }
        return n == m->n_values;
}

static bool says(struct span value, const struct edit_member *m) {
        switch (m->kind) {
        case EDIT_TEXT:
                return string_is(value, m->values[0]);
        case EDIT_LIST:
                return list_says(value, m);
        case EDIT_TRUE:
        default:
                return value.len == 4 && memcmp(value.p, "true", 4) == 0;
        }
}

static int begin_region(struct scan *s, struct reader *r, const struct statement *st) {
        if (s->n_regions == REGIONS_MAX)
                return refuse(r, "the entry has too many tables");
        s->regions[s->n_regions++] = (struct region){ st->start, st->end };
        return 0;
}

static int take_header(struct scan *s, struct reader *r, const struct statement *st) {
        const struct key *k = &st->key;
        bool ours = part_is(k, 0, s->entry->table);

        s->in_table = ours && k->n == 1;
        s->in_entry = ours && part_is(k, 1, s->entry->name);
        s->in_own = s->in_entry && k->n == 2;
        if (k->escaped && k->n <= 2)
                return refuse(r, "a table's name is written with escapes; write it without");
        if (ours && st->is_array && k->n <= 2)
                return refuse(r, "what should hold the servers is an array of tables");
        if (s->in_entry && !s->in_own && edit_is_against(s->entry, k->parts[2]))
                s->against = true;
        return s->in_entry ? begin_region(s, r, st) : 0;
}

static int take_member(struct scan *s, const struct statement *st) {
        const struct edit_member *m = edit_find_member(s->entry, st->key.parts[0]);

        s->regions[s->n_regions - 1].end = st->end;
        if (!s->in_own)
                return 0;
        s->against = s->against || edit_is_against(s->entry, st->key.parts[0]);
        if (m && st->key.n == 1 && says(st->value, m))
                s->n_same++;
        return 0;
}

static int take_pair(struct scan *s, struct reader *r, const struct statement *st, bool at_top) {
        static const char elsewhere[] =
                "the servers are not written as [tables] here; put the entry in by hand";

        if (s->in_entry)
                return take_member(s, st);
        if (at_top && part_is(&st->key, 0, s->entry->table))
                return refuse(r, elsewhere);
        if (s->in_table && part_is(&st->key, 0, s->entry->name))
                return refuse(r, elsewhere);
        if ((at_top || s->in_table) && st->key.escaped)
                return refuse(r, "a key is written with escapes; write it without");
        return 0;
}

static int scan_text(struct scan *s, struct reader *r) {
        struct statement st;
        bool at_top = true;
        int e;

        while ((e = next_statement(r, &st)) > 0) {
                at_top = at_top && !st.is_header;
                e = st.is_header ? take_header(s, r, &st) : take_pair(s, r, &st, at_top);
                if (e < 0)
                        return e;
        }
        return e;
}

/* --- writing -------------------------------------------------------------------------------- */

static int append_entry(struct buf *out, const struct edit_entry *e, const char *newline) {
        int r = buf_printf(out, "[%s.%s]%s", e->table, e->name, newline);

        for (size_t i = 0; r == 0 && i < e->n_members; i++) {
                r = buf_printf(out, "%s = ", e->members[i].key);
                if (r == 0)
                        r = edit_append_value(out, &e->members[i]);
                if (r == 0)
                        r = buf_append_str(out, newline);
        }
        return r;
}

static int append_at_end(struct buf *out, struct span text, const struct edit_entry *e) {
        const char *newline = edit_newline(text);
        bool begun = text.len > edit_bom(text);
        int r = edit_append_span(out, text);

        if (r == 0 && begun && text.p[text.len - 1] != '\n')
                r = buf_append_str(out, newline);
        if (r == 0 && begun)
                r = buf_append_str(out, newline);
        return r < 0 ? r : append_entry(out, e, newline);
}

static int replace(struct buf *out, struct span text, const struct scan *s) {
        const char *from = text.p;
        int r = 0;

        for (size_t i = 0; r == 0 && i < s->n_regions; i++) {
                r = edit_append_span(out, edit_between(from, s->regions[i].start));
                if (r == 0 && i == 0)
                        r = append_entry(out, s->entry, edit_newline(text));
                from = s->regions[i].end;
        }
        return r < 0 ? r : edit_append_span(out, edit_between(from, text.p + text.len));
}

int edit_toml(struct buf *out, struct span text, const struct edit_entry *e, enum edit_change *ret,
              struct edit_fault *fault) {
        struct scan s = { .entry = e };
        struct reader reader = {
                .text = text, .p = text.p + edit_bom(text), .end = text.p + text.len, .fault = fault
        };
        size_t before = out->len;
        int r = edit_check_text(text, fault);

        if (r == 0)
                r = scan_text(&s, &reader);
        if (r < 0)
                return r;
        if (s.n_regions == 0) {
                *ret = EDIT_ADDED;
                r = append_at_end(out, text, e);
        } else if (s.n_same == e->n_members && !s.against) {
                *ret = EDIT_SAME;
        } else {
                *ret = EDIT_REPLACED;
                r = replace(out, text, &s);
        }
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
