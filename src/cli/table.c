/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <sys/ioctl.h>

#include "base/utf8.h"

#define CELL_MAX 1024
#define COLUMN_MIN 6

struct row {
        struct row *next;
        char *cells[TABLE_COLUMNS_MAX];
};

struct table {
        size_t n_columns;
        struct row *first;
        struct row **last;
};

static void free_row(struct row *r) {
        for (size_t i = 0; r && i < TABLE_COLUMNS_MAX; i++)
                free(r->cells[i]);
        free(r);
}

struct table *table_new(const char *const *headings, size_t n_columns) {
        struct table *t = calloc(1, sizeof(*t));

        if (!t)
                return NULL;
        t->n_columns = n_columns;
        t->last = &t->first;
        return table_add(t, headings) < 0 ? table_free(t) : t;
}

struct table *table_free(struct table *t) {
        while (t && t->first) {
                struct row *next = t->first->next;

                free_row(t->first);
                t->first = next;
        }
        free(t);
        return NULL;
}

int table_add(struct table *t, const char *const *cells) {
        struct row *r = calloc(1, sizeof(*r));

        for (size_t i = 0; r && i < t->n_columns; i++) {
                r->cells[i] = utf8_clean_dup(cells[i], strlen(cells[i]), CELL_MAX);
                if (!r->cells[i]) {
                        free_row(r);
                        r = NULL;
                }
        }
        if (!r)
                return -ENOMEM;
        *t->last = r;
        t->last = &r->next;
        return 0;
}

/* Characters, taken as one cell each: good for names, URLs and messages. */
static size_t width_of(const char *text) {
        size_t n = 0;

        for (; *text; text++)
                n += (*text & 0xc0) != 0x80;
        return n;
}

static void fit(size_t *widths, size_t n, size_t width) {
        for (;;) {
                size_t total = 2 * (n - 1);
                size_t widest = 0;

                for (size_t i = 0; i < n; i++) {
                        total += widths[i];
                        if (widths[i] > widths[widest])
                                widest = i;
                }
                if (total <= width || widths[widest] <= COLUMN_MIN)
                        return;
                widths[widest]--;
        }
}

static void print_cell(FILE *to, const char *text, size_t width, bool last) {
        size_t have = width_of(text);
        size_t n = have > width ? width - 1 : have;

        for (size_t seen = 0; *text; text++) {
                seen += (*text & 0xc0) != 0x80;
                if (seen > n)
                        break;
                (void)fputc(*text, to);
        }
        if (have > width) {
                (void)fputs("…", to);
                n++;
        }
        for (; !last && n < width + 2; n++)
                (void)fputc(' ', to);
}

void table_print(const struct table *t, FILE *to, size_t width) {
        size_t widths[TABLE_COLUMNS_MAX] = { 0 };

        for (const struct row *r = t->first; r; r = r->next)
                for (size_t i = 0; i < t->n_columns; i++)
                        if (width_of(r->cells[i]) > widths[i])
                                widths[i] = width_of(r->cells[i]);
        if (width > 0)
                fit(widths, t->n_columns, width);
        for (const struct row *r = t->first; r; r = r->next) {
                for (size_t i = 0; i < t->n_columns; i++)
                        print_cell(to, r->cells[i], widths[i], i + 1 == t->n_columns);
                (void)fputc('\n', to);
        }
}

size_t table_width(FILE *to) {
        struct winsize size = { 0 };

        if (ioctl(fileno(to), TIOCGWINSZ, &size) < 0)
                return 0;
        return size.ws_col;
}
