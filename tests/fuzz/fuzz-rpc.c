/* SPDX-License-Identifier: Apache-2.0 */
/* What a client says, line by line: read, judged and answered, as a connection does it. */
#include <assert.h>

#include "base/limits.h"
#include "rpc/message.h"
#include "rpc/params.h"
#include "wire/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An answer is one line, is JSON itself, and has the id of the request or none. */
static void check_answer(const struct buf *out, const json_t *id) {
        AUTO_JSON json_t *answer = NULL;
        const json_t *got;

        assert(out->len > 0 && memchr(out->data, '\n', out->len) == out->data + out->len - 1);
        assert(json_parse(out->data, out->len - 1, LIMIT_JSON_DEPTH + 4, &answer, NULL) == 0);
        got = json_object_get(answer, "id");
        assert(id ? json_equal(got, id) : json_is_null(got));
}

static void one_line(const struct buf *line) {
        AUTO_MESSAGE struct message m = MESSAGE_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        struct error err = ERROR_INIT;
        enum method method;
        int r;

        r = message_parse(&m, line->data ? line->data : "", line->len, &err);
        assert(r == 0 || (r == -EBADMSG && err.code != MCPB_NO_ERROR));
        assert(!(m.notification && m.id));
        if (r == 0) {
                assert(m.name && json_is_object(m.params));
                r = method_from_name(m.name, &method);
                if (r < 0)
                        (void)error_set(&err, MCPB_UNKNOWN_METHOD, ENOENT, NULL,
                                        "No method \"%.64s\"", m.name);
                else
                        r = params_check(method, m.params, &err);
        }
        if (r == 0)
                r = message_result(&out, m.id, m.params);
        else
                r = message_error(&out, m.id, &err, m.params);
        assert(r == 0);
        check_answer(&out, m.id);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_BUF struct buf in = BUF_INIT;
        AUTO_BUF struct buf line = BUF_INIT;
        size_t scanned = 0;

        if (size > 65536)
                return 0;
        assert(buf_append(&in, data, size) == 0);
        while (line_take(&in, &scanned, 4096, &line) == 1)
                one_line(&line);
        if (in.len <= 4096)
                one_line(&in); /* the cut one */
        return 0;
}
