/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/edit.h"

#include "base/utf8.h"

int edit_refuse(struct edit_fault *fault, struct span text, const char *at, const char *why) {
        *fault = (struct edit_fault){ .why = why };
        if (!at)
                return -EBADMSG;
        fault->line = 1;
        for (const char *p = text.p; p < at; p++)
                fault->line += *p == '\n';
        return -EBADMSG;
}

int edit_check_text(struct span text, struct edit_fault *fault) {
        const char *nul = text.len > 0 ? memchr(text.p, '\0', text.len) : NULL;

        if (nul)
                return edit_refuse(fault, text, nul, "it has a NUL byte");
        if (!utf8_valid(text.p, text.len))
                return edit_refuse(fault, text, NULL, "it is not UTF-8");
        return 0;
}

const char *edit_newline(struct span text) {
        const char *lf = text.len > 0 ? memchr(text.p, '\n', text.len) : NULL;

        return lf && lf > text.p && lf[-1] == '\r' ? "\r\n" : "\n";
}

size_t edit_bom(struct span text) {
        size_t n = strlen(EDIT_BOM);

        return text.len >= n && memcmp(text.p, EDIT_BOM, n) == 0 ? n : 0;
}

int edit_append_span(struct buf *out, struct span s) {
        return s.len > 0 ? buf_append(out, s.p, s.len) : 0;
}

struct span edit_between(const char *from, const char *to) {
        return (struct span){ from, (size_t)(to - from) };
}

int edit_append_value(struct buf *out, const struct edit_member *m) {
        int r;

        if (m->kind == EDIT_TRUE)
                return buf_append_str(out, "true");
        r = m->kind == EDIT_LIST ? buf_append_str(out, "[") : 0;
        for (size_t i = 0; r == 0 && i < m->n_values; i++) {
                if (i > 0)
                        r = buf_append_str(out, ", ");
                if (r == 0)
                        r = jsonspan_quote(out, m->values[i], strlen(m->values[i]));
        }
        if (r == 0 && m->kind == EDIT_LIST)
                r = buf_append_str(out, "]");
        return r;
}

static bool span_is(struct span s, const char *text) {
        return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

const struct edit_member *edit_find_member(const struct edit_entry *e, struct span key) {
        for (size_t i = 0; i < e->n_members; i++)
                if (span_is(key, e->members[i].key))
                        return &e->members[i];
        return NULL;
}

bool edit_is_against(const struct edit_entry *e, struct span key) {
        if (edit_find_member(e, key))
                return false;
        for (const char *const *name = e->against; name && *name; name++)
                if (span_is(key, *name))
                        return true;
        return false;
}
