/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A list of tools and, behind the first byte 0x1e, a message. What is left of the list is the list
 * without some of its tools, and nothing more goes from it a second time; whatever the message, its
 * fields are plain text, and only remembered names come as Mcp-Param-.
 */
#include <assert.h>
#include <strings.h>

#include "base/json.h"
#include "base/limits.h"
#include "connect/mirror.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void count(const char *tool, const char *why, void *userdata) {
        assert(tool && (why || strncasecmp(tool, "drop", 4) == 0));
        ++*(size_t *)userdata;
}

/* The items of @after are those of @before in their order, without @n of them. */
static void compare_tools(const json_t *before, const json_t *after, size_t n) {
        size_t k = 0;

        assert(json_array_size(before) == json_array_size(after) + n);
        for (size_t i = 0; i < json_array_size(before) && k < json_array_size(after); i++)
                if (json_equal(json_array_get(before, i), json_array_get(after, k)))
                        k++;
        assert(k == json_array_size(after));
}

static void compare(struct span in, const struct buf *out, size_t n) {
        AUTO_JSON json_t *before = json_loadb(in.p, in.len, JSON_REJECT_DUPLICATES, NULL);
        AUTO_JSON json_t *after = json_loadb(out->data, out->len, JSON_REJECT_DUPLICATES, NULL);
        size_t k = 0;

        /* The bytes that are left are the old ones in their order. */
        for (size_t i = 0; i < in.len && k < out->len; i++)
                k += in.p[i] == out->data[k];
        assert(k == out->len);
        if (!before) /* not to jansson's taste, or the tools are there twice */
                return;
        assert(after);
        compare_tools(json_object_get(before, "tools"), json_object_get(after, "tools"), n);
        assert(json_object_del(before, "tools") == 0 && json_object_del(after, "tools") == 0);
        assert(json_equal(before, after));
}

static void take(struct catalog *c, struct span list) {
        AUTO_BUF struct buf out = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        size_t n = 0;
        size_t m = 0;

        assert(catalog_take(c, list, true, &out, count, &n) == 0);
        assert((n > 0) == (out.len > 0));
        if (n == 0)
                return;
        assert(jsonspan_check(out.data, out.len, LIMIT_MESSAGE_DEPTH, NULL) == 0);
        compare(list, &out, n);
        assert(catalog_take(c, (struct span){ out.data, out.len }, true, &again, count, &m) == 0);
        assert(m == 0 && again.len == 0);
}

static bool is_remembered(const struct catalog_tool *tool, const char *name) {
        for (size_t i = 0; tool && i < tool->n_headers; i++)
                if (streq(tool->headers[i].name, name))
                        return true;
        return false;
}

static void mirror(const struct catalog *c, const struct message *m) {
        const struct catalog_tool *tool = m->name ? catalog_find(c, m->name) : NULL;
        struct fetch_request f;
        int r;

        fetch_request_init(&f);
        r = mirror_add(&f, m, c);
        assert(r == 0 || r == -E2BIG);
        for (size_t i = 0; i < f.n_headers; i++) {
                const char *name = f.headers[i].name;
                const char *value = f.headers[i].value;

                assert(streq(name, "Mcp-Method") || streq(name, "Mcp-Name") ||
                       is_remembered(tool, name));
                assert(value[0] != ' ' && (!value[0] || value[strlen(value) - 1] != ' '));
                for (; *value; value++)
                        assert(*value >= 0x20 && *value < 0x7f);
        }
        fetch_request_done(&f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        const char *text = (const char *)data;
        const char *split = memchr(text, 0x1e, size);
        size_t len = split ? (size_t)(split - text) : size;
        AUTO_CATALOG struct catalog *c = catalog_new();
        AUTO_MESSAGE struct message m = MESSAGE_INIT;

        assert(c && catalog_ignore(c, "drop*") == 0);
        if (jsonspan_check(text, len, LIMIT_MESSAGE_DEPTH, NULL) == 0)
                take(c, jsonspan_trim(text, len));
        if (split && message_scan(&m, split + 1, size - len - 1, NULL) == 0)
                mirror(c, &m);
        return 0;
}
