/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/cgroup.h"

#include <stdio.h>

#include "base/codec.h"
#include "base/utf8.h"

#define UNIT_NAME_MAX 255
#define UNIT_CHARS "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ:-_.\\@"

/* One component of a path; not terminated. */
struct part {
        const char *text;
        size_t len;
};

static bool part_next(const char **at, struct part *ret) {
        while (**at == '/')
                (*at)++;
        ret->text = *at;
        ret->len = strcspn(*at, "/");
        *at += ret->len;
        return ret->len > 0;
}

static bool part_has_suffix(const struct part *p, const char *suffix) {
        size_t n = strlen(suffix);

        return p->len > n && memcmp(p->text + p->len - n, suffix, n) == 0;
}

static bool part_is_unit_name(const struct part *p) {
        return p->len <= UNIT_NAME_MAX && strspn(p->text, UNIT_CHARS) >= p->len &&
               p->text[0] != '.';
}

static bool part_is_slice(const struct part *p) {
        return part_is_unit_name(p) && part_has_suffix(p, ".slice");
}

/* Units that hold processes; a slice does not. */
static bool part_is_unit(const struct part *p) {
        static const char *const suffixes[] = { ".service", ".scope", ".socket", ".mount",
                                                ".swap" };

        if (!part_is_unit_name(p))
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
                if (part_has_suffix(p, suffixes[i]))
                        return true;
        return false;
}

/* The first component that is no slice, if it is a unit; *@at is moved behind it. */
static bool unit_take(const char **at, char ret[static EVIDENCE_TEXT_MAX]) {
        struct part p;

        do {
                if (!part_next(at, &p))
                        return false;
        } while (part_is_slice(&p));
        /* systemd puts '_' before a name that would collide with a file of the kernel's */
        if (p.text[0] == '_') {
                p.text++;
                p.len--;
        }
        if (p.len == 0 || !part_is_unit(&p))
                return false;
        (void)snprintf(ret, EVIDENCE_TEXT_MAX, "%.*s", (int)p.len, p.text);
        return true;
}

static bool is_user_manager(const char *unit) {
        static const char prefix[] = "user@";
        char uid[16];
        size_t n;
        uint64_t number;

        if (strncmp(unit, prefix, sizeof(prefix) - 1) != 0)
                return false;
        unit += sizeof(prefix) - 1;
        n = strcspn(unit, ".");
        if (n >= sizeof(uid) || !streq(unit + n, ".service"))
                return false;
        memcpy(uid, unit, n);
        uid[n] = '\0';
        return number_parse(uid, UINT32_MAX, &number) == 0;
}

/* A path with ".." lies outside our own control group namespace: its beginning is not there to be
 * read. */
static bool path_is_whole(const char *path) {
        struct part p;

        while (part_next(&path, &p))
                if (p.len == 2 && memcmp(p.text, "..", 2) == 0)
                        return false;
        return true;
}

void cgroup_units(const char *path, char unit[static EVIDENCE_TEXT_MAX],
                  char user_unit[static EVIDENCE_TEXT_MAX]) {
        unit[0] = '\0';
        user_unit[0] = '\0';
        if (!path_is_whole(path) || !unit_take(&path, unit) || !is_user_manager(unit))
                return;
        (void)unit_take(&path, user_unit);
}

/* If the line is "NUMBER:CONTROLLERS:PATH" with these controllers, its path. */
static bool line_path(const struct part *line, const char *head, struct part *ret) {
        const char *colon = memchr(line->text, ':', line->len);
        size_t n = strlen(head);
        size_t left;

        if (!colon)
                return false;
        left = line->len - (size_t)(colon - line->text);
        if (left <= n || memcmp(colon, head, n) != 0 || colon[n] != '/')
                return false;
        *ret = (struct part){ colon + n, left - n };
        return true;
}

static bool path_is_text(const struct part *p) {
        for (size_t i = 0; i < p->len; i++)
                if ((unsigned char)p->text[i] < 0x20 || p->text[i] == 0x7f)
                        return false;
        return utf8_valid(p->text, p->len);
}

int cgroup_parse(const char *text, size_t len, char ret[static EVIDENCE_TEXT_MAX]) {
        struct part unified = { NULL, 0 };
        struct part named = { NULL, 0 };
        struct part *best;

        for (size_t at = 0; at < len;) {
                const char *lf = memchr(text + at, '\n', len - at);
                struct part line = { text + at, lf ? (size_t)(lf - text) - at : len - at };

                at += line.len + 1;
                if (line.len > 2 && memcmp(line.text, "0::", 3) == 0)
                        (void)line_path(&line, "::", &unified);
                else
                        (void)line_path(&line, ":name=systemd:", &named);
        }
        /* In the legacy layout the unified hierarchy is there but unused: everybody is at its root.
         */
        best = unified.text && (unified.len > 1 || !named.text) ? &unified : &named;
        if (!best->text || best->len >= EVIDENCE_TEXT_MAX || !path_is_text(best) ||
            part_has_suffix(best, " (deleted)"))
                return -ENODATA;
        memcpy(ret, best->text, best->len);
        ret[best->len] = '\0';
        return 0;
}
