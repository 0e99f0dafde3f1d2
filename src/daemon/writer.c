/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/writer.h"

#include <poll.h>

#include "base/log.h"
#include "os/process.h"
#include "sandbox/sandbox.h"
#include "store/folder.h"
#include "wire/chan.h"

struct writer {
        struct chan *chan;
        struct folder folder;
};

static int add_name(const char *name, void *userdata) {
        return json_array_append_new(userdata, json_string(name)) < 0 ? -ENOMEM : 0;
}

/* Carries one request out; fills in what the answer carries besides its result. */
static int carry_out(struct writer *w, const struct frame *f, json_t *answer, struct buf *bytes) {
        const char *op = json_get_string(f->head, "op");
        const char *name = json_get_string(f->head, "name");
        json_int_t max = json_get_int(f->head, "max", LIMIT_RECORD_BYTES);
        AUTO_JSON json_t *names = NULL;
        int r;

        if (!op || max < 0)
                return -EBADMSG;
        if (streq(op, "list")) {
                names = json_array();
                r = names ? folder_list(&w->folder, add_name, names, NULL) : -ENOMEM;
                return r == 0 && json_object_set(answer, "names", names) < 0 ? -ENOMEM : r;
        }
        if (!name)
                return -EBADMSG;
        if (streq(op, "read"))
                return folder_read(&w->folder, name, (size_t)max, bytes, NULL);
        if (streq(op, "write"))
                return folder_write(&w->folder, name, f->body.data, f->body.len, NULL);
        if (streq(op, "remove"))
                return folder_remove(&w->folder, name, NULL);
        return -EBADMSG;
}

static int serve(struct writer *w, const struct frame *f) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        AUTO_JSON json_t *answer =
                json_pack("{s:s, s:I}", "op", "done", "id", json_get_int(f->head, "id", 0));
        int r;

        if (!answer)
                return -ENOMEM;
        r = carry_out(w, f, answer, &bytes);
        if (r == -EBADMSG && !json_get_string(f->head, "name"))
                return r;
        if (json_object_set_new(answer, "r", json_integer(r)) < 0)
                return -ENOMEM;
        return chan_send(w->chan, answer, &bytes, NULL, 0);
}

static int serve_all(struct writer *w) {
        for (;;) {
                struct frame f = FRAME_INIT;
                int r = chan_next(w->chan, &f);

                if (r > 0)
                        r = serve(w, &f);
                else if (r == 0)
                        return 0;
                frame_done(&f);
                if (r < 0)
                        return r;
        }
}

static int run(struct writer *w) {
        for (;;) {
                struct pollfd p = { .fd = chan_fd(w->chan), .events = chan_events(w->chan) };
                int r;

                if (poll(&p, 1, -1) < 0 && errno != EINTR)
                        return -errno;
                r = chan_flush(w->chan);
                if (r == 0)
                        r = chan_read(w->chan);
                if (r == 0 || r == -EPIPE) {
                        int s = serve_all(w);

                        r = s < 0 ? s : r;
                }
                if (r < 0)
                        return r == -EPIPE ? 0 : r;
        }
}

static int confine(struct writer *w, int dirfd) {
        struct sandbox_profile profile = sandbox_writer(dirfd);
        struct sandbox_report report = { 0 };
        AUTO_JSON json_t *head = NULL;
        json_t *status = NULL;
        struct error err = ERROR_INIT;
        int r = sandbox_enter(&profile, &report, &err);

        if (r < 0) {
                log_failure(LOG_ERR, &err, "confining the writer");
                return r;
        }
        r = sandbox_status_json(&report, &status);
        if (r < 0)
                return r;
        head = json_pack("{s:s, s:o}", "op", "sandbox", "sandbox", status);
        return head ? chan_send(w->chan, head, NULL, NULL, 0) : -ENOMEM;
}

int writer_main(int fd, int dirfd) {
        struct writer w = { 0 };
        size_t swept = 0;
        struct error err = ERROR_INIT;
        int r;

        log_open("mcp-brokerd[writer]", LOG_INFO);
        if (process_harden(&err) < 0 || process_ignore_signals() < 0)
                return 1;
        w.chan = chan_new(fd);
        if (!w.chan)
                return 1;
        folder_init(&w.folder, dirfd);
        if (folder_sweep(&w.folder, &swept, &err) < 0)
                log_failure(LOG_WARNING, &err, "sweeping the store");
        else if (swept > 0)
                log_notice("%zu leftovers of a crash were removed", swept);
        r = confine(&w, dirfd);
        if (r == 0)
                r = run(&w);
        if (r < 0)
                log_error("The writer ends: %s", strerror(-r));
        (void)chan_free(w.chan);
        return r < 0 ? 1 : 0;
}
