/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/edit.h"

/* A line, and what it begins with. */
struct line {
        const char *start;
        const char *end;     /* behind its line end */
        const char *content; /* behind the indentation */
        size_t indent;
        size_t len; /* of the content, without blanks at its end */
};

struct reader {
        struct span text;
        const char *p;
        struct edit_fault *fault;
};

/* "key: value" of a block mapping. */
struct pair {
        struct span key;   /* without quotes */
        struct span value; /* without the comment; empty if it stands on the lines below */
        bool escaped;      /* the key has escapes in it */
};

static int refuse(const struct reader *r, const char *at, const char *why) {
        return edit_refuse(r->fault, r->text, at, why);
}

static const char *text_end(const struct reader *r) {
        return r->text.p + r->text.len;
}

/* --- lines ---------------------------------------------------------------------------------- */

static bool next_line(struct reader *r, struct line *l) {
        const char *end = text_end(r);
        const char *lf;
        const char *last;

        if (r->p == end)
                return false;
        lf = memchr(r->p, '\n', (size_t)(end - r->p));
        l->start = l->content = r->p;
        l->end = lf ? lf + 1 : end;
        last = lf ? lf : end;
        while (l->content < last && *l->content == ' ')
                l->content++;
        while (last > l->content && (last[-1] == ' ' || last[-1] == '\t' || last[-1] == '\r'))
                last--;
        l->indent = (size_t)(l->content - l->start);
        l->len = (size_t)(last - l->content);
        r->p = l->end;
        return true;
}

static bool is_blank(const struct line *l) {
        return l->len == 0;
}

static bool is_comment(const struct line *l) {
        return l->len > 0 && *l->content == '#';
}

static bool is_item(const struct line *l) {
        return l->len > 0 && *l->content == '-' && (l->len == 1 || l->content[1] == ' ');
}

/* "---" and "...": what they begin and end is a document. */
static bool is_marker(const struct line *l, const char *marker) {
        return l->indent == 0 && l->len >= 3 && memcmp(l->content, marker, 3) == 0 &&
               (l->len == 3 || l->content[3] == ' ' || l->content[3] == '\t');
}

/* --- scalars -------------------------------------------------------------------------------- */

/* Where the quoted text that @p is in ends (behind the quote); NULL: not on this line. */
static const char *quote_end(char quote, const char *p, const char *end) {
        for (; p < end; p++) {
                bool doubled = quote == '\'' && *p == quote && p + 1 < end && p[1] == quote;

                if (doubled || (quote == '"' && *p == '\\'))
                        p++;
                else if (*p == quote)
                        return p + 1;
        }
        return NULL;
}

static const char *quoted_end(const char *p, const char *end) {
        return quote_end(*p, p + 1, end);
}

/* May a quote there be the beginning of a text? @start is where the value begins. */
static bool opens_quote(const char *start, const char *p) {
        return (*p == '"' || *p == '\'') && (p == start || strchr(" \t[{,:", p[-1]));
}

static bool opens_comment(const char *start, const char *p) {
        return *p == '#' && (p == start || p[-1] == ' ' || p[-1] == '\t');
}

/* Up to a comment: a '#' behind a blank that is in no quotes. */
static struct span without_comment(const char *p, const char *end) {
        const char *stop = p;

        for (const char *q = p; q < end; q++) {
                if (opens_quote(p, q)) {
                        const char *close = quoted_end(q, end);

                        q = close ? close - 1 : end - 1;
                } else if (opens_comment(p, q)) {
                        break;
                }
                if (*q != ' ' && *q != '\t')
                        stop = q + 1;
        }
        return edit_between(p, stop);
}

/* At the colon, or where there can be none any more. */
static const char *plain_key_end(const char *p, const char *end) {
        for (; p < end; p++) {
                if (*p == ':' && (p + 1 == end || p[1] == ' ' || p[1] == '\t'))
                        break;
                if (p + 1 < end && *p == ' ' && p[1] == '#')
                        return end;
        }
        return p;
}

/* False: this is no "key:" of a block mapping. */
static bool read_pair(const struct line *l, struct pair *ret) {
        const char *p = l->content;
        const char *end = p + l->len;
        const char *colon = p;

        if (l->len == 0 || strchr("[]{},&*!|>%@`?#", *p) || is_item(l))
                return false;
        if (*p == '"' || *p == '\'') {
                colon = quoted_end(p, end);
                if (!colon)
                        return false;
                ret->key = edit_between(p + 1, colon - 1);
                ret->escaped = *p == '"' && memchr(p, '\\', (size_t)(colon - p));
                while (colon < end && *colon == ' ')
                        colon++;
        } else {
                colon = plain_key_end(p, end);
                ret->key = edit_between(p, colon);
                ret->escaped = false;
                while (ret->key.len > 0 && ret->key.p[ret->key.len - 1] == ' ')
                        ret->key.len--;
        }
        if (colon >= end || *colon != ':' || (colon + 1 < end && !strchr(" \t", colon[1])))
                return false;
        for (p = colon + 1; p < end && (*p == ' ' || *p == '\t'); p++)
                ;
        ret->value = without_comment(p, end);
        return true;
}

static bool span_is(struct span s, const char *text) {
        return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

/* Does the scalar say this? What it would take more to read says something else. */
static bool scalar_is(struct span s, const char *text) {
        if (s.len >= 2 && *s.p == '"')
                return jsonspan_check(s.p, s.len, 1, NULL) == 0 && jsonspan_string_is(s, text);
        if (s.len >= 2 && *s.p == '\'')
                return !strchr(text, '\'') && s.p[s.len - 1] == '\'' &&
                       span_is(edit_between(s.p + 1, s.p + s.len - 1), text);
        return span_is(s, text);
}

static struct span trim(const char *p, const char *end) {
        while (p < end && *p == ' ')
                p++;
        while (end > p && end[-1] == ' ')
                end--;
        return edit_between(p, end);
}

static bool is_nothing(struct span s) {
        return s.len == 0 || span_is(s, "{}") || span_is(s, "~") || span_is(s, "null");
}

#define ESCAPED "a name is written with escapes; write it without"

/* --- the mapping that holds the entries ----------------------------------------------------- */

struct scan {
        const struct edit_entry *entry;
        bool begun;  /* something was there */
        bool marked; /* by a line of "---" */
        bool has_table;
        bool in_table;
        bool may_have_items;     /* the key above has its value on the lines below */
        struct span table_value; /* what stands behind "TABLE:" */
        size_t indent;           /* of the entries; 0: none yet */
        const char *table_end;   /* behind the last line that is in it */
        bool in_entry;
        const char *entry_start; /* NULL: there is none */
        const char *entry_end;
        /* Of the entry: */
        size_t member_indent;
        const struct edit_member *list; /* its items are on the lines below */
        bool list_says;
        bool counted; /* the last member's text, which may go on below */
        /* Of a value that goes on over lines: */
        char quote;
        unsigned depth; /* of brackets */
        bool in_block;  /* "|" and ">" */
        size_t block_indent;
        unsigned seen; /* a bit for each member */
        size_t n_same;
        size_t n_items;
        bool against;
};

/* "[a, 'b']" on one line. */
static bool list_says(struct span value, const struct edit_member *m) {
        const char *end = value.p + value.len - 1;
        const char *p = value.p + 1;
        size_t n = 0;

        if (value.len < 2 || *value.p != '[' || *end != ']')
                return false;
        while (trim(p, end).len > 0) {
                const char *stop = NULL;

                p = trim(p, end).p;
                if (*p == '"' || *p == '\'')
                        stop = quoted_end(p, end);
                else
                        stop = memchr(p, ',', (size_t)(end - p));
                stop = stop ? stop : end;
                if (n == m->n_values || !scalar_is(trim(p, stop), m->values[n]))
                        return false;
                n++;
                p = trim(stop, end).p;
                if (p < end && *p++ != ',')
                        return false;
        }
        return n == m->n_values;
}

static void end_list(struct scan *s) {
        if (s->list && s->list_says && s->n_items == s->list->n_values)
                s->n_same++;
        s->list = NULL;
}

static void take_item(struct scan *s, const struct line *l) {
        const char *end = l->content + l->len;

        if (!s->list)
                return;
        s->list_says = s->list_says && s->n_items < s->list->n_values && l->len > 2 &&
                       scalar_is(without_comment(trim(l->content + 2, end).p, end),
                                 s->list->values[s->n_items]);
        s->n_items++;
}

/* A line of the entry that is there. */
static void take_member(struct scan *s, const struct line *l) {
        const struct edit_member *m;
        struct pair pair;
        unsigned bit;

        if (s->member_indent == 0)
                s->member_indent = l->indent;
        if (is_item(l)) {
                take_item(s, l);
                return;
        }
        if (l->indent != s->member_indent || !read_pair(l, &pair)) {
                s->n_same -= s->counted;
                s->counted = false;
                return;
        }
        end_list(s);
        s->counted = false;
        m = edit_find_member(s->entry, pair.key);
        s->against = s->against || edit_is_against(s->entry, pair.key);
        if (!m)
                return;
        bit = 1U << (m - s->entry->members);
        s->against = s->against || (s->seen & bit); /* twice: who knows which counts */
        s->seen |= bit;
        if (m->kind == EDIT_LIST && pair.value.len == 0) {
                s->list = m;
                s->list_says = true;
                s->n_items = 0;
        } else if (m->kind == EDIT_LIST) {
                s->n_same += list_says(pair.value, m);
        } else {
                s->counted = scalar_is(pair.value, m->kind == EDIT_TRUE ? "true" : m->values[0]);
                s->n_same += s->counted;
        }
}

static int take_entry(struct scan *s, const struct reader *r, const struct line *l) {
        struct pair pair;

        end_list(s);
        if (!read_pair(l, &pair))
                return refuse(r, l->start, "a name with a colon is expected here");
        if (pair.escaped)
                return refuse(r, l->start, ESCAPED);
        s->in_entry = span_is(pair.key, s->entry->name);
        if (!s->in_entry)
                return 0;
        if (s->entry_start)
                return refuse(r, l->start, "the entry is there twice");
        s->entry_start = l->start;
        s->entry_end = l->end;
        return 0;
}

/* A line below the table's key. */
static int take_inside(struct scan *s, const struct reader *r, const struct line *l) {
        if (!is_comment(l)) {
                if (s->table_value.len > 0)
                        return refuse(r, l->start, "what holds the extensions is not read here");
                if (s->indent == 0)
                        s->indent = l->indent;
                if (l->indent < s->indent)
                        return refuse(r, l->start, "this line is not indented like its neighbours");
        }
        if (s->indent > 0 && l->indent >= s->indent)
                s->table_end = l->end;
        if (s->in_entry && l->indent > s->indent)
                s->entry_end = l->end;
        if (is_comment(l))
                return 0;
        if (l->indent == s->indent)
                return take_entry(s, r, l);
        if (s->in_entry)
                take_member(s, l);
        return 0;
}

static int take_top(struct scan *s, const struct reader *r, const struct line *l) {
        struct pair pair;

        if (is_item(l) && s->may_have_items && !s->in_table)
                return 0;
        if (!read_pair(l, &pair))
                return refuse(r, l->start, "a name with a colon is expected here");
        if (pair.escaped)
                return refuse(r, l->start, ESCAPED);
        end_list(s);
        s->begun = true;
        s->may_have_items = pair.value.len == 0;
        s->in_entry = false;
        s->in_table = span_is(pair.key, s->entry->table);
        if (!s->in_table)
                return 0;
        if (s->has_table)
                return refuse(r, l->start, "the extensions are there twice");
        if (!is_nothing(pair.value))
                return refuse(r, l->start, "what holds the extensions is not read here");
        s->has_table = true;
        s->table_value = pair.value;
        s->table_end = l->end;
        return 0;
}

/* --- values that go on over lines ----------------------------------------------------------- */

/* Quotes and brackets up to where the outermost closes, or the line ends. */
static void follow(struct scan *s, const char *start, const char *end) {
        for (const char *p = start; p < end; p++) {
                if (s->quote) {
                        p = quote_end(s->quote, p, end);
                        if (!p)
                                return;
                        s->quote = 0;
                        p--; /* at the quote */
                } else if (opens_quote(start, p)) {
                        s->quote = *p;
                        continue;
                } else if (opens_comment(start, p)) {
                        return;
                } else if (*p == '[' || *p == '{') {
                        s->depth++;
                } else if (*p == ']' || *p == '}') {
                        s->depth--;
                }
                if (s->depth == 0)
                        return;
        }
}

/* Does the value of this line go on below? */
static void begin_value(struct scan *s, struct line l) {
        const char *end = l.content + l.len;
        const char *p;
        struct pair pair;

        for (; is_item(&l) && l.len > 1; l.len = (size_t)(end - l.content)) {
                p = l.content + 1;
                while (p < end && *p == ' ')
                        p++;
                l.indent += (size_t)(p - l.content);
                l.content = p;
        }
        p = read_pair(&l, &pair) ? pair.value.p : l.content;
        while (p < end && (*p == '&' || *p == '!')) { /* anchors and tags */
                while (p < end && *p != ' ')
                        p++;
                while (p < end && *p == ' ')
                        p++;
        }
        if (p < end && strchr("\"'[{", *p))
                follow(s, p, end);
        s->in_block = p < end && (*p == '|' || *p == '>');
        s->block_indent = l.indent;
}

static void count_below(struct scan *s, const struct line *l) {
        if (!s->in_table)
                return;
        s->table_end = l->end;
        if (s->in_entry)
                s->entry_end = l->end;
}

/* 1: the line belongs to a value that began above. */
static int take_below(struct scan *s, const struct reader *r, const struct line *l) {
        if (s->quote || s->depth > 0) {
                /* Some parsers take what the language forbids. */
                if (l->indent <= (s->in_table ? s->indent : 0))
                        return refuse(r, l->start, "a value goes on, and is not indented");
                follow(s, l->content, l->content + l->len);
        } else if (!s->in_block || l->indent <= s->block_indent) {
                s->in_block = false;
                return 0;
        }
        count_below(s, l);
        return 1;
}

static int take_line(struct scan *s, const struct reader *r, const struct line *l) {
        if (*l->content == '\t' && (l->indent == 0 || (s->in_table && l->indent <= s->indent)))
                return refuse(r, l->start, "a line is indented with a tab");
        if (is_marker(l, "---") && !s->begun && l->len == 3) {
                if (s->marked)
                        return refuse(r, l->start, "there is more than one document");
                s->marked = true;
                return 0;
        }
        if (is_marker(l, "---") || is_marker(l, "...") || (l->indent == 0 && *l->content == '%'))
                return refuse(r, l->start, "there is more than one document");
        if (l->indent == 0)
                return is_comment(l) ? 0 : take_top(s, r, l);
        if (s->in_table)
                return take_inside(s, r, l);
        if (!s->begun && !is_comment(l))
                return refuse(r, l->start, "the first line is indented");
        return 0;
}

static int scan_text(struct scan *s, struct reader *r) {
        struct line l;

        while (next_line(r, &l)) {
                int e = is_blank(&l) ? 1 : take_below(s, r, &l);

                if (e == 0)
                        e = take_line(s, r, &l);
                if (e == 0 && !is_comment(&l))
                        begin_value(s, l);
                if (e < 0)
                        return e;
        }
        if (s->quote || s->depth > 0)
                return refuse(r, r->p, "a value has no end");
        end_list(s);
        return 0;
}

/* --- writing -------------------------------------------------------------------------------- */

static int append_blanks(struct buf *out, size_t n) {
        int r = 0;

        while (r == 0 && n-- > 0)
                r = buf_append_str(out, " ");
        return r;
}

static int append_entry(struct buf *out, const struct edit_entry *e, size_t indent,
                        const char *newline) {
        int r = append_blanks(out, indent);

        if (r == 0)
                r = jsonspan_quote(out, e->name, strlen(e->name));
        if (r == 0)
                r = buf_printf(out, ":%s", newline);
        for (size_t i = 0; r == 0 && i < e->n_members; i++) {
                r = append_blanks(out, indent + 2);
                if (r == 0)
                        r = buf_printf(out, "%s: ", e->members[i].key);
                if (r == 0)
                        r = edit_append_value(out, &e->members[i]);
                if (r == 0)
                        r = buf_append_str(out, newline);
        }
        return r;
}

/* The line before may be the last, without an end. */
static int end_line(struct buf *out, size_t before, const char *newline) {
        return out->len > before && out->data[out->len - 1] != '\n' ? buf_append_str(out, newline)
                                                                    : 0;
}

static int begin_table(struct buf *out, struct span text, const struct scan *s) {
        const char *newline = edit_newline(text);
        size_t before = out->len;
        int r = edit_append_span(out, text);

        if (r == 0 && text.len > edit_bom(text))
                r = end_line(out, before, newline);
        if (r == 0)
                r = buf_printf(out, "%s:%s", s->entry->table, newline);
        return r < 0 ? r : append_entry(out, s->entry, 2, newline);
}

/* Replaces what is from @from to @to. */
static int put_entry(struct buf *out, struct span text, const struct scan *s, const char *from,
                     const char *to) {
        const char *newline = edit_newline(text);
        struct span value = s->table_value;
        size_t before = out->len;
        int r;

        if (value.len > 0) { /* "{}": the entries come below */
                r = edit_append_span(out, edit_between(text.p, value.p));
                if (r == 0)
                        r = edit_append_span(out, edit_between(value.p + value.len, from));
        } else {
                r = edit_append_span(out, edit_between(text.p, from));
        }
        if (r == 0)
                r = end_line(out, before, newline);
        if (r == 0)
                r = append_entry(out, s->entry, s->indent > 0 ? s->indent : 2, newline);
        return r < 0 ? r : edit_append_span(out, edit_between(to, text.p + text.len));
}

int edit_yaml(struct buf *out, struct span text, const struct edit_entry *e, enum edit_change *ret,
              struct edit_fault *fault) {
        struct scan s = { .entry = e };
        struct reader reader = { .text = text, .p = text.p + edit_bom(text), .fault = fault };
        size_t before = out->len;
        int r = edit_check_text(text, fault);

        if (r == 0)
                r = scan_text(&s, &reader);
        if (r < 0)
                return r;
        *ret = EDIT_ADDED;
        if (!s.has_table) {
                r = begin_table(out, text, &s);
        } else if (!s.entry_start) {
                r = put_entry(out, text, &s, s.table_end, s.table_end);
        } else if (s.n_same == e->n_members && !s.against) {
                *ret = EDIT_SAME;
        } else {
                *ret = EDIT_REPLACED;
                r = put_entry(out, text, &s, s.entry_start, s.entry_end);
        }
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
