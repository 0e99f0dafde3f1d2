/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/xml.h"

#include "base/utf8.h"

struct span {
        const char *p;
        size_t len;
};

struct scan {
        const char *p;
        const char *end;
        struct span open[XML_DEPTH_MAX]; /* names of the elements that are open */
        unsigned depth;
        bool rooted; /* the one outermost element has begun */
        /* What is looked for. */
        const char *parent;
        const char *name;
        unsigned inside; /* depth of the wanted element while it is open, else 0 */
        bool found;
        struct buf text;
};

static bool span_is(struct span s, const char *text) {
        return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

static bool starts(const struct scan *s, const char *text) {
        size_t len = strlen(text);

        return (size_t)(s->end - s->p) >= len && memcmp(s->p, text, len) == 0;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool is_name_char(char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.' || c == ':';
}

static void skip_blanks(struct scan *s) {
        while (s->p < s->end && is_blank(*s->p))
                s->p++;
}

/* Moves behind @text, wherever it comes next. */
static int skip_to(struct scan *s, const char *text) {
        const char *at = memmem(s->p, (size_t)(s->end - s->p), text, strlen(text));

        if (!at)
                return -EBADMSG;
        s->p = at + strlen(text);
        return 0;
}

static int take_name(struct scan *s, struct span *ret) {
        ret->p = s->p;
        while (s->p < s->end && is_name_char(*s->p))
                s->p++;
        ret->len = (size_t)(s->p - ret->p);
        return ret->len > 0 ? 0 : -EBADMSG;
}

static int take_char(struct scan *s, char c) {
        if (s->p == s->end || *s->p != c)
                return -EBADMSG;
        s->p++;
        return 0;
}

/* name="value" */
static int skip_attribute(struct scan *s) {
        struct span name;
        char quote;
        int r = take_name(s, &name);

        if (r < 0)
                return r;
        skip_blanks(s);
        r = take_char(s, '=');
        if (r < 0)
                return r;
        skip_blanks(s);
        if (s->p == s->end || (*s->p != '"' && *s->p != '\''))
                return -EBADMSG;
        quote = *s->p++;
        while (s->p < s->end && *s->p != quote && *s->p != '<')
                s->p++;
        return take_char(s, quote);
}

static int open_element(struct scan *s, struct span name) {
        if (s->inside > 0 || s->depth == XML_DEPTH_MAX || (s->depth == 0 && s->rooted))
                return -EBADMSG;
        s->rooted = true;
        if (s->depth > 0 && span_is(s->open[s->depth - 1], s->parent) && span_is(name, s->name)) {
                if (s->found)
                        return -EBADMSG;
                s->found = true;
                s->inside = s->depth + 1;
        }
        s->open[s->depth++] = name;
        return 0;
}

static int close_element(struct scan *s, struct span name) {
        struct span open;

        if (s->depth == 0)
                return -EBADMSG;
        open = s->open[--s->depth];
        if (open.len != name.len || memcmp(open.p, name.p, name.len) != 0)
                return -EBADMSG;
        if (s->inside > s->depth)
                s->inside = 0;
        return 0;
}

static int take_start(struct scan *s) {
        struct span name = { 0 };
        int r = take_name(s, &name);

        if (r == 0)
                r = open_element(s, name);
        while (r == 0) {
                bool blank = s->p < s->end && is_blank(*s->p);

                skip_blanks(s);
                if (s->p == s->end)
                        return -EBADMSG;
                if (*s->p == '>') {
                        s->p++;
                        return 0;
                }
                if (*s->p == '/') {
                        s->p++;
                        r = take_char(s, '>');
                        return r < 0 ? r : close_element(s, name);
                }
                r = blank ? skip_attribute(s) : -EBADMSG;
        }
        return r;
}

static int take_end(struct scan *s) {
        struct span name;
        int r = take_name(s, &name);

        if (r < 0)
                return r;
        skip_blanks(s);
        r = take_char(s, '>');
        return r < 0 ? r : close_element(s, name);
}

/* What begins with '<'. */
static int take_markup(struct scan *s, bool first) {
        if (starts(s, "<?xml") && first)
                return skip_to(s, "?>");
        if (starts(s, "<!--")) {
                s->p += strlen("<!--");
                return s->inside > 0 ? -EBADMSG : skip_to(s, "-->");
        }
        if (starts(s, "</")) {
                s->p += strlen("</");
                return take_end(s);
        }
        s->p++;
        /* A document type, a CDATA section and an instruction have no name here. */
        return take_start(s);
}

static int take_entity(struct scan *s, char *ret) {
        static const struct {
                const char *text;
                char c;
        } known[] = {
                { "&amp;", '&' },  { "&lt;", '<' },    { "&gt;", '>' },
                { "&quot;", '"' }, { "&apos;", '\'' },
        };

        for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
                if (starts(s, known[i].text)) {
                        s->p += strlen(known[i].text);
                        *ret = known[i].c;
                        return 0;
                }
        }
        return -EBADMSG;
}

static int take_text(struct scan *s) {
        char c = *s->p;
        int r = 0;

        if (c == '&')
                r = take_entity(s, &c);
        else
                s->p++;
        if (r == 0 && s->depth == 0 && !is_blank(c))
                r = -EBADMSG; /* outside the one element */
        return r < 0 || s->inside == 0 ? r : buf_append(&s->text, &c, 1);
}

static int scan_all(struct scan *s) {
        const char *first = s->p;
        int r = 0;

        while (r == 0 && s->p < s->end)
                r = *s->p == '<' ? take_markup(s, s->p == first) : take_text(s);
        if (r == 0 && (s->depth > 0 || !s->rooted))
                r = -EBADMSG;
        return r;
}

int xml_text(const char *data, size_t len, const char *parent, const char *name, struct buf *out) {
        struct scan s = { .p = data, .parent = parent, .name = name };
        int r;

        if (len == 0 || memchr(data, '\0', len) || !utf8_valid(data, len))
                return -EBADMSG;
        s.end = data + len;
        r = scan_all(&s);
        if (r == 0 && !s.found)
                r = -ENOENT;
        if (r == 0)
                r = buf_append(out, s.text.data, s.text.len);
        buf_done(&s.text);
        return r;
}
