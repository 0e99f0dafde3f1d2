/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/rewrite.h"

static struct rewrite *find(struct rewrite *members, size_t n, struct span key) {
        for (size_t i = 0; i < n; i++)
                if (jsonspan_string_is(key, members[i].key))
                        return &members[i];
        return NULL;
}

static int append_comma(struct buf *out, size_t begin) {
        return out->len > begin ? buf_append(out, ",", 1) : 0;
}

static int append_old(struct buf *out, size_t begin, struct span key, struct span value) {
        int r = append_comma(out, begin);

        r = r < 0 ? r : buf_append(out, key.p, key.len);
        r = r < 0 ? r : buf_append(out, ":", 1);
        return r < 0 ? r : buf_append(out, value.p, value.len);
}

/* Once: of duplicates only the first place is kept. */
static int append_new(struct buf *out, size_t begin, struct rewrite *m) {
        int r;

        if (m->done || m->value.len == 0)
                return 0;
        m->done = true;
        r = append_comma(out, begin);
        r = r < 0 ? r : jsonspan_quote(out, m->key, strlen(m->key));
        r = r < 0 ? r : buf_append(out, ":", 1);
        return r < 0 ? r : buf_append(out, m->value.p, m->value.len);
}

int rewrite_object(struct buf *out, struct span object, struct rewrite *members, size_t n) {
        size_t before = out->len;
        struct span key;
        struct span value;
        size_t pos = 0;
        int r;

        if (object.len > 0 && jsonspan_type(object) != JSONSPAN_OBJECT)
                return -EINVAL;
        r = buf_append(out, "{", 1);
        while (r == 0 && jsonspan_next_member(object, &pos, &key, &value)) {
                struct rewrite *m = find(members, n, key);

                r = m ? append_new(out, before + 1, m) : append_old(out, before + 1, key, value);
        }
        for (size_t i = 0; r == 0 && i < n; i++)
                r = append_new(out, before + 1, &members[i]);
        r = r < 0 ? r : buf_append(out, "}", 1);
        if (r < 0)
                buf_truncate(out, before);
        return r;
}
