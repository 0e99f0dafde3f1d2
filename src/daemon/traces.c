/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/traces.h"

#include <fcntl.h>

#include "base/utf8.h"
#include "identity/detect.h"
#include "os/io.h"

#define CONTENT_MAX 4096

/* 0 and "" in @line also for what is there and not read. */
static int look(const char *path, bool content, struct buf *line) {
        int r;

        if (!content)
                return access(path, F_OK) < 0 ? -errno : 0;
        r = io_read_file_at(AT_FDCWD, path, CONTENT_MAX, line);
        if (r < 0 || line->len == 0)
                return r;
        buf_truncate(line, strcspn(line->data, "\n"));
        while (line->len > 0 && line->data[line->len - 1] == ' ')
                buf_truncate(line, line->len - 1);
        return utf8_valid(line->data, line->len) ? 0 : -EBADMSG;
}

int traces_read(const char *root, json_t **ret) {
        AUTO_JSON json_t *traces = json_object();
        bool content = false;
        const char *path;

        if (!traces)
                return -ENOMEM;
        for (size_t i = 0; (path = identity_trace(i, &content)) != NULL; i++) {
                AUTO_BUF struct buf where = BUF_INIT;
                AUTO_BUF struct buf line = BUF_INIT;
                int r = buf_printf(&where, "%s%s", root, path);

                if (r == 0)
                        r = look(where.data, content, &line);
                if (r == -ENOMEM)
                        return r;
                if (r == 0 &&
                    json_object_set_new(traces, path, json_string(line.data ? line.data : "")) < 0)
                        return -ENOMEM;
        }
        *ret = TAKE(traces);
        return 0;
}
