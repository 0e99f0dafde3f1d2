/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One entry put into the text of another program's configuration: text in, text out. All that is
 * there stays as it is, byte for byte, comments and odd layout included; an entry of the same name
 * is replaced, unless it says the same already. What is not understood is refused: a file is better
 * left alone than guessed at.
 *
 * JSON may have comments, commas before a closing bracket and a byte order mark. TOML is read
 * whole. Of YAML block mappings are read, as people and programs write them into such files; what
 * lies deeper than the entry is passed over.
 */
#pragma once

#include "base/jsonspan.h"

enum edit_kind { EDIT_TEXT, EDIT_LIST, EDIT_TRUE };

#define EDIT_MEMBERS_MAX 6
#define EDIT_VALUES_MAX 2

struct edit_member {
        const char *key;
        enum edit_kind kind;
        const char *values[EDIT_VALUES_MAX]; /* the text, or the items of the list */
        size_t n_values;
        bool only_new; /* another value that is there is as good (JSON only) */
};

struct edit_entry {
        const char *table; /* the key at the top that holds all entries */
        const char *inner; /* within that one, where the file has it; or NULL (JSON only) */
        const char *name;  /* letters, digits, - and _ */
        struct edit_member members[EDIT_MEMBERS_MAX];
        size_t n_members;
        const char *const *against; /* keys that make it another kind of entry; NULL at the end */
};

enum edit_change { EDIT_ADDED, EDIT_REPLACED, EDIT_SAME };

struct edit_fault {
        const char *why; /* constant */
        unsigned line;   /* 0: not known */
};

/*
 * Appends the whole new text to @out; nothing if *@ret is EDIT_SAME. -EBADMSG with @fault filled,
 * -ENOMEM, -EMSGSIZE. On failure @out is as before.
 */
int edit_json(struct buf *out, struct span text, const struct edit_entry *e, enum edit_change *ret,
              struct edit_fault *fault) MUST_CHECK;
int edit_toml(struct buf *out, struct span text, const struct edit_entry *e, enum edit_change *ret,
              struct edit_fault *fault) MUST_CHECK;
int edit_yaml(struct buf *out, struct span text, const struct edit_entry *e, enum edit_change *ret,
              struct edit_fault *fault) MUST_CHECK;

/* --- what the three share --- */

#define EDIT_BOM "\xef\xbb\xbf"

/* Fills @fault with the line of @at (NULL: not known); returns -EBADMSG. */
int edit_refuse(struct edit_fault *fault, struct span text, const char *at, const char *why);
/* Valid UTF-8 without NUL? */
int edit_check_text(struct span text, struct edit_fault *fault) MUST_CHECK;
const char *edit_newline(struct span text); /* as the file has it: "\n" or "\r\n" */
size_t edit_bom(struct span text);          /* bytes of the mark at its beginning */
int edit_append_span(struct buf *out, struct span s) MUST_CHECK;
/* Between two places of one text. */
struct span edit_between(const char *from, const char *to);
/* A string of all three languages (JSON's is also one of TOML and YAML); an item, a list, true. */
int edit_append_value(struct buf *out, const struct edit_member *m) MUST_CHECK;
bool edit_is_against(const struct edit_entry *e, struct span key);
const struct edit_member *edit_find_member(const struct edit_entry *e, struct span key);
