/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/mirror.h"

#include "base/codec.h"
#include "base/limits.h"

#define WRAP_BEGIN "=?base64?"
#define WRAP_END "?="

/* Can it stand in a field as it is, and be read as nothing else? */
static bool is_plain(const char *data, size_t len) {
        if (len == 0)
                return true;
        if (data[0] == ' ' || data[len - 1] == ' ')
                return false;
        for (size_t i = 0; i < len; i++)
                if (data[i] < 0x20 || data[i] >= 0x7f)
                        return false;
        return !(len >= strlen(WRAP_BEGIN) && memcmp(data, WRAP_BEGIN, strlen(WRAP_BEGIN)) == 0 &&
                 memcmp(data + len - strlen(WRAP_END), WRAP_END, strlen(WRAP_END)) == 0);
}

static int add_field(struct fetch_request *f, const char *name, const char *data, size_t len) {
        AUTO_BUF struct buf field = BUF_INIT;
        int r;

        if (len > LIMIT_HEADER_BYTES)
                return -E2BIG;
        if (is_plain(data, len)) {
                r = buf_append(&field, data, len);
        } else {
                r = buf_append_str(&field, WRAP_BEGIN);
                r = r < 0 ? r : base64_append(&field, data, len);
                r = r < 0 ? r : buf_append_str(&field, WRAP_END);
        }
        return r < 0 ? r : fetch_request_add_header(f, name, field.data);
}

/* The value that @path leads to; empty if it leads to none. */
static struct span find_argument(struct span arguments, const struct catalog_header *h) {
        struct span value = arguments;

        for (size_t i = 0; i < h->n_path; i++)
                if (jsonspan_member(value, h->path[i], &value) < 0)
                        return SPAN_NONE;
        return value;
}

static int add_argument(struct fetch_request *f, const struct catalog_header *h,
                        struct span value) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        switch (jsonspan_type(value)) {
        case JSONSPAN_STRING:
                if (value.len > 6 * LIMIT_HEADER_BYTES) /* an escape is six bytes of one */
                        return -E2BIG;
                r = jsonspan_decode(&text, value);
                if (r == -EBADMSG)
                        return 0; /* half a surrogate pair: UTF-8 has no bytes for it */
                break;
        case JSONSPAN_NUMBER:
                r = jsonspan_integer(&text, value);
                if (r == -ERANGE) /* not what the schema wants: the server is to say so */
                        return add_field(f, h->name, value.p, value.len);
                break;
        case JSONSPAN_BOOL:
                return add_field(f, h->name, value.p, value.len);
        case JSONSPAN_NONE:
        case JSONSPAN_NULL:
        case JSONSPAN_ARRAY:
        case JSONSPAN_OBJECT:
        default:
                return 0;
        }
        return r < 0 ? r : add_field(f, h->name, text.data, text.len);
}

static bool is_named(const char *method) {
        return streq(method, "tools/call") || streq(method, "prompts/get") ||
               streq(method, "resources/read");
}

int mirror_add(struct fetch_request *f, const struct message *m, const struct catalog *c) {
        const struct catalog_tool *tool;
        int r;

        if (!m->method)
                return 0;
        r = add_field(f, "Mcp-Method", m->method, strlen(m->method));
        if (r < 0 || !m->name || !is_named(m->method))
                return r;
        r = add_field(f, "Mcp-Name", m->name, strlen(m->name));
        tool = streq(m->method, "tools/call") ? catalog_find(c, m->name) : NULL;
        for (size_t i = 0; r == 0 && tool && i < tool->n_headers; i++)
                r = add_argument(f, &tool->headers[i],
                                 find_argument(m->arguments, &tool->headers[i]));
        return r;
}
