/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever a configuration has in it: what was put in is found the second time, and what was there
 * is there still, in its order. The first byte chooses the language.
 */
#include <assert.h>

#include "connect/edit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef int (*edit_fn)(struct buf *out, struct span text, const struct edit_entry *e,
                       enum edit_change *ret, struct edit_fault *fault);

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Is each byte of @a, but for blanks, in @b, in the same order? */
static bool is_within(struct span a, struct span b) {
        size_t j = 0;

        for (size_t i = 0; i < a.len; i++) {
                if (is_blank(a.p[i]))
                        continue;
                while (j < b.len && b.p[j] != a.p[i])
                        j++;
                if (j++ >= b.len)
                        return false;
        }
        return true;
}

static void edit_twice(edit_fn fn, struct span text, const struct edit_entry *e, bool keeps_all) {
        AUTO_BUF struct buf once = BUF_INIT;
        AUTO_BUF struct buf twice = BUF_INIT;
        struct edit_fault fault = { 0 };
        enum edit_change change = EDIT_SAME;
        int r = fn(&once, text, e, &change, &fault);

        assert(r == 0 || (r == -EBADMSG && fault.why && once.len == 0));
        if (r < 0)
                return;
        assert((change == EDIT_SAME) == (once.len == 0));
        if (change == EDIT_SAME)
                return;
        if (change == EDIT_ADDED && keeps_all)
                assert(is_within(text, (struct span){ once.data, once.len }));
        r = fn(&twice, (struct span){ once.data, once.len }, e, &change, &fault);
        assert(r == 0 && change == EDIT_SAME && twice.len == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const char *const against[] = { "url", NULL };
        struct edit_entry e = {
                .table = "servers",
                .name = "x",
                .members = { { "command", EDIT_TEXT, { "/c" }, 1, false },
                             { "args", EDIT_LIST, { "https://h/", "b" }, 2, false },
                             { "on", EDIT_TRUE, { NULL }, 0, false } },
                .n_members = 3,
                .against = against,
        };
        struct span text = { (const char *)data + 1, size - 1 };

        if (size == 0)
                return 0;
        if (data[0] == 'j' || data[0] == 'J') {
                e.inner = data[0] == 'J' ? "servers" : NULL;
                edit_twice(edit_json, text, &e, true);
        } else if (data[0] == 't') {
                edit_twice(edit_toml, text, &e, true);
        } else if (data[0] == 'y') {
                /* What stood for an empty mapping goes. */
                edit_twice(edit_yaml, text, &e, false);
        }
        return 0;
}
