/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* memrchr() */

#include <stdio.h>
#include <sys/stat.h>

#include "audit/line.h"
#include "base/limits.h"

#define HINT_LOG "No token leaves without its record: see to the disk that holds audit.log"
#define CHUNK_BYTES (64 * 1024)
#define REQUEST_MAX (LIMIT_NAME_BYTES + 1)

struct audit {
        int fd;
        struct audit_keys *keys;
        struct audit_io io;
        struct buf line;    /* the record being made */
        struct buf pending; /* chained, but not written yet */
        bool pending_release;
        char pending_request[REQUEST_MAX];
        uint64_t dropped; /* records refused since the log became unwritable */
        int sync_error;   /* sticks */
        uint64_t since_records;
        uint64_t since_usec;
};

static ssize_t real_write(int fd, const void *data, size_t len) {
        ssize_t n;

        do
                n = write(fd, data, len);
        while (n < 0 && errno == EINTR);
        return n;
}

static int unavailable(struct error *err, int r, const char *what) {
        (void)error_set(err, MCPB_AUDIT_UNAVAILABLE, -r, HINT_LOG, "The audit log %s: %s", what,
                        strerror(-r));
        return r;
}

struct audit *audit_free(struct audit *a) {
        if (a) {
                buf_done(&a->line);
                buf_done(&a->pending);
                free(a);
        }
        return NULL;
}

/* --- Writing -------------------------------------------------------------- */

/*
 * Takes back what a short write has left. 0, or -errno: then the rest has to be written behind it.
 */
static int take_back(struct audit *a, size_t n_written) {
        struct stat st;

        /* Where the file ends now is where our bytes stand: it was opened to append. */
        if (fstat(a->fd, &st) < 0 || (uint64_t)st.st_size < n_written)
                return -EIO;
        return a->io.truncate(a->fd, st.st_size - (off_t)n_written) < 0 ? -errno : 0;
}

/* One write; whole or not at all. What is left to write stays in @b. */
static int write_line(struct audit *a, struct buf *b) {
        ssize_t n = a->io.write(a->fd, b->data, b->len);
        int r = n < 0 ? -errno : -ENOSPC;

        if (n >= 0 && (size_t)n == b->len) {
                a->keys->offset += b->len;
                buf_clear(b);
                return 0;
        }
        if (n > 0 && take_back(a, (size_t)n) < 0) {
                a->keys->offset += (uint64_t)n;
                buf_consume(b, (size_t)n);
        }
        return r;
}

/* Chains a record into a->line. From here on it is part of the log: its key is gone. */
static int chain_record(struct audit *a, const struct audit_record *record,
                        const struct audit_checkpoint *c) {
        struct audit_keys *k = a->keys;
        int r;

        buf_clear(&a->line);
        r = audit_record_format(&a->line, record, c);
        if (r == 0)
                r = audit_line_finish(&a->line, k->seq, k->prev, secret_peek(k->mac));
        if (r < 0)
                return r;
        hash_plain(k->prev, a->line.data, a->line.len - 1);
        audit_key_evolve(secret_data(k->mac));
        k->seq++;
        a->since_records++;
        return 0;
}

static int write_record(struct audit *a, const struct audit_record *record,
                        const struct audit_checkpoint *c) {
        int r = chain_record(a, record, c);

        if (r < 0)
                return r;
        r = write_line(a, &a->line);
        if (r < 0) {
                buf_move(&a->pending, &a->line);
                a->pending_release = record->event == AUDIT_TOKEN_RELEASE;
                (void)snprintf(a->pending_request, sizeof(a->pending_request), "%s",
                               record->request ? record->request : "");
        }
        return r;
}

/* What was recorded as released was not: the caller had been told so. */
static int retract_release(struct audit *a) {
        char request[REQUEST_MAX];
        struct audit_record record = {
                .event = AUDIT_TOKEN_DENY,
                .outcome = AUDIT_DENY,
                .request = a->pending_request[0] ? request : NULL,
                .code = MCPB_AUDIT_UNAVAILABLE,
        };
        int r;

        memcpy(request, a->pending_request, sizeof(request));
        r = write_record(a, &record, NULL); /* a failure to write makes it the pending one */
        if (r == 0)
                a->pending_release = false;
        return r;
}

static int record_dropped(struct audit *a) {
        char text[64];
        const char *why = text;
        const struct audit_record record = { .event = AUDIT_AUDIT_GAP, .why = { &why, 1 } };
        int r;

        (void)snprintf(text, sizeof(text), "%llu records were refused: the log was not writable",
                       (unsigned long long)a->dropped);
        /* Once it is chained it will be written, now or later. */
        r = write_record(a, &record, NULL);
        if (r == 0 || a->pending.len > 0)
                a->dropped = 0;
        return r;
}

/* Writes what is kept back, and what has to be said about it. */
static int catch_up(struct audit *a) {
        int r = 0;

        if (a->pending.len > 0)
                r = write_line(a, &a->pending);
        if (r == 0 && a->pending_release)
                r = retract_release(a);
        if (r == 0 && a->dropped > 0)
                r = record_dropped(a);
        return r;
}

static int append(struct audit *a, const struct audit_record *record,
                  const struct audit_checkpoint *c, struct error *err) {
        int r = catch_up(a);

        if (r < 0) {
                a->dropped++;
                return unavailable(err, r, "cannot be written");
        }
        r = write_record(a, record, c);
        return r < 0 ? unavailable(err, r, "cannot be written") : 0;
}

int audit_append(struct audit *a, const struct audit_record *record, struct error *err) {
        return append(a, record, NULL, err);
}

int audit_flush(struct audit *a, struct error *err) {
        int r = catch_up(a);

        return r < 0 ? unavailable(err, r, "cannot be written") : 0;
}

int audit_sync(struct audit *a, struct error *err) {
        if (a->sync_error == 0 && a->io.sync(a->fd) < 0)
                a->sync_error = -errno;
        /* The kernel says it once and may forget the pages: a later success would prove nothing. */
        return a->sync_error < 0 ? unavailable(err, a->sync_error, "cannot be synced") : 0;
}

bool audit_is_available(const struct audit *a) {
        return a->pending.len == 0 && a->dropped == 0 && a->sync_error == 0;
}

uint64_t audit_next_seq(const struct audit *a) {
        return a->keys->seq;
}

uint64_t audit_dropped(const struct audit *a) {
        return a->dropped;
}

/* --- Checkpoints ---------------------------------------------------------- */

bool audit_checkpoint_due(const struct audit *a) {
        return a->since_records >= AUDIT_CHECKPOINT_RECORDS ||
               (a->since_records > 0 &&
                clock_boot_usec() - a->since_usec >= AUDIT_CHECKPOINT_SEC * USEC_PER_SEC);
}

int audit_checkpoint(struct audit *a, struct audit_checkpoint *ret, struct error *err) {
        struct audit_record record = { .event = AUDIT_AUDIT_CHECKPOINT };
        struct audit_checkpoint c = { 0 };
        int r = audit_flush(a, err);

        if (r < 0)
                return r;
        if (a->keys->seq == 0)
                return error_set(err, MCPB_NOT_FOUND, ENOENT, NULL, "The audit log is empty");
        c.seq = a->keys->seq - 1;
        memcpy(c.hash, a->keys->prev, HASH_BYTES);
        clock_format_utc(clock_wall_usec(), c.time);
        if (audit_checkpoint_sign(&c, a->keys) < 0)
                return error_oom(err);
        r = append(a, &record, &c, err);
        if (r < 0)
                return r;
        a->since_records = 0;
        a->since_usec = clock_boot_usec();
        *ret = c;
        return 0;
}

/* --- Taking a log over ---------------------------------------------------- */

struct opening {
        struct audit *a;
        struct chain chain;
        unsigned gaps;
        uint64_t size;
        uint64_t last_seq; /* of the last whole line, if has_last */
        uint8_t last_hash[HASH_BYTES];
        bool has_last; /* there is a last line, and it is one of ours */
        bool first;    /* no line has been walked over yet */
};

static int read_at(int fd, uint64_t offset, char *data, size_t len, size_t *ret) {
        ssize_t n;

        do
                n = pread(fd, data, len, (off_t)offset);
        while (n < 0 && errno == EINTR);
        if (n < 0)
                return -errno;
        *ret = (size_t)n;
        return 0;
}

/*
 * Cuts off a torn line and looks at the last whole one. -EBADMSG: ends in something far too long.
 */
static int look_at_tail(struct opening *o) {
        size_t room = 2 * (LIMIT_AUDIT_LINE_BYTES + 1);
        AUTO_FREE char *data = malloc(room);
        size_t n = o->size < room ? (size_t)o->size : room;
        size_t got = 0;
        const char *end;
        const char *begin;
        struct audit_line l;
        int r;

        if (!data)
                return -ENOMEM;
        r = read_at(o->a->fd, o->size - n, data, n, &got);
        if (r < 0 || got != n)
                return r < 0 ? r : -EIO;
        end = n > 0 ? memrchr(data, '\n', n) : NULL;
        if (!end && n > LIMIT_AUDIT_LINE_BYTES)
                return -EBADMSG;
        if (n > 0 && (!end || end + 1 != data + n)) {
                o->gaps |= AUDIT_GAP_TORN;
                o->size -= n - (size_t)(end ? end + 1 - data : 0);
                if (o->a->io.truncate(o->a->fd, (off_t)o->size) < 0)
                        return -errno;
        }
        if (!end)
                return 0;
        begin = memrchr(data, '\n', (size_t)(end - data));
        begin = begin ? begin + 1 : data;
        hash_plain(o->last_hash, begin, (size_t)(end - begin));
        if (audit_line_parse(begin, (size_t)(end - begin), &l) == 0) {
                o->has_last = true;
                o->last_seq = l.seq;
        }
        return 0;
}

static void on_line(const char *line, size_t len, void *userdata) {
        struct opening *o = userdata;
        uint64_t seq;
        unsigned faults = chain_step(&o->chain, line, len, &seq);

        if (faults & CHAIN_BROKEN)
                o->gaps |= o->first ? AUDIT_GAP_FORKED : AUDIT_GAP_EDITED;
        if (faults & (CHAIN_FORMAT | CHAIN_MAC))
                o->gaps |= AUDIT_GAP_EDITED;
        o->first = false;
}

/* Goes over the lines that were written since the keys were stored. */
static int walk(struct opening *o) {
        AUTO_FREE char *data = malloc(CHUNK_BYTES);
        struct splitter s = { 0 };
        uint64_t at = o->a->keys->offset;
        int r = data ? 0 : -ENOMEM;

        while (r == 0 && at < o->size) {
                uint64_t left = o->size - at;
                size_t n = 0;

                r = read_at(o->a->fd, at, data, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES,
                            &n);
                if (r == 0 && n == 0)
                        r = -EIO;
                if (r == 0)
                        r = splitter_feed(&s, data, n, on_line, o);
                at += n;
        }
        splitter_done(&s);
        if (o->gaps & AUDIT_GAP_FORKED)
                o->gaps &= ~(unsigned)AUDIT_GAP_EDITED; /* of another log: it says nothing more */
        return r;
}

/* Does the log still have, at its place, what the keys follow on? If not, says in which way. */
static int check_place(struct opening *o, bool *ret_walk) {
        const struct audit_keys *k = o->a->keys;
        bool shorter = !o->has_last || o->last_seq + 1 < k->seq;
        char before = '\n';
        size_t n = 0;
        int r = 0;

        *ret_walk = false;
        if (k->offset < o->size) {
                if (k->offset > 0)
                        r = read_at(o->a->fd, k->offset - 1, &before, 1, &n);
                *ret_walk = r == 0 && before == '\n';
                if (!*ret_walk)
                        o->gaps |= AUDIT_GAP_FORKED;
        } else if (k->offset > o->size ||
                   (o->size > 0 ? !secret_equal(o->last_hash, k->prev, HASH_BYTES) : k->seq > 0)) {
                o->gaps |= shorter ? AUDIT_GAP_CUT : AUDIT_GAP_FORKED;
        }
        return r;
}

/*
 * Where to go on: never a number or a key that was used before, always behind the last line there
 * is.
 */
static void settle(struct opening *o, bool walked) {
        struct audit_keys *k = o->a->keys;
        struct chain *c = &o->chain;

        if (k->fresh && o->gaps & ~(unsigned)AUDIT_GAP_TORN) {
                o->gaps = (o->gaps & AUDIT_GAP_TORN) | AUDIT_GAP_NEW_KEYS;
                k->seq = o->has_last ? o->last_seq + 1 : 0;
        } else {
                uint64_t next = walked ? c->next : k->seq;

                if (!walked && o->has_last && o->last_seq >= next &&
                    o->last_seq - next < AUDIT_EVOLVE_MAX)
                        next = o->last_seq + 1;
                if (chain_evolve_to(c, next)) {
                        memcpy(secret_data(k->mac), c->key, HASH_KEY_BYTES);
                        k->seq = next;
                }
        }
        memcpy(k->prev, o->last_hash, HASH_BYTES);
        k->offset = o->size;
        k->fresh = false;
}

static int take_over(struct opening *o) {
        struct audit_keys *k = o->a->keys;
        bool walks = false;
        struct stat st;
        int r;

        if (fstat(o->a->fd, &st) < 0)
                return -errno;
        o->size = (uint64_t)st.st_size;
        o->first = true;
        r = look_at_tail(o);
        if (r == 0)
                r = check_place(o, &walks);
        if (r < 0)
                return r;
        chain_init(&o->chain, secret_peek(k->mac), k->seq);
        o->chain.next = k->seq;
        memcpy(o->chain.prev, k->prev, HASH_BYTES);
        if (walks)
                r = walk(o);
        if (r == 0)
                settle(o, walks);
        chain_done(&o->chain);
        return r;
}

static void record_gap(struct audit *a, unsigned gaps) {
        static const struct {
                unsigned gap;
                const char *text;
        } table[] = {
                { AUDIT_GAP_TORN, "the last line was torn and has been cut off" },
                { AUDIT_GAP_CUT, "records are missing at the end" },
                { AUDIT_GAP_FORKED, "the log is not the one that the keys follow on" },
                { AUDIT_GAP_EDITED, "records since the last checkpoint were changed" },
                { AUDIT_GAP_NEW_KEYS, "the log is older than its keys" },
        };
        const char *why[ARRAY_SIZE(table)];
        struct audit_record record = { .event = AUDIT_AUDIT_GAP, .why = { .items = why } };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (gaps & table[i].gap)
                        why[record.why.n++] = table[i].text;
        /* What cannot be written now is kept, and written first. */
        (void)write_record(a, &record, NULL);
}

int audit_open(struct audit **ret, int fd, struct audit_keys *keys, const struct audit_io *io,
               unsigned *ret_gaps, struct error *err) {
        AUTO_AUDIT struct audit *a = calloc(1, sizeof(*a));
        struct opening o = { .a = a };
        int r;

        if (!a)
                return error_oom(err);
        a->fd = fd;
        a->keys = keys;
        a->io = io ? *io : (struct audit_io){ 0 };
        if (!a->io.write)
                a->io.write = real_write;
        if (!a->io.truncate)
                a->io.truncate = ftruncate;
        if (!a->io.sync)
                a->io.sync = fdatasync;
        buf_init(&a->line, LIMIT_AUDIT_LINE_BYTES);
        buf_init(&a->pending, LIMIT_AUDIT_LINE_BYTES);
        a->since_usec = clock_boot_usec();
        r = take_over(&o);
        if (r == -EBADMSG)
                return error_set(err, MCPB_AUDIT_UNAVAILABLE, EBADMSG,
                                 "Move the file away, and the daemon begins a new one",
                                 "The audit log is not one of ours: its last line is too long");
        if (r < 0)
                return unavailable(err, r, "cannot be read");
        if (o.gaps)
                record_gap(a, o.gaps);
        if (ret_gaps)
                *ret_gaps = o.gaps;
        *ret = TAKE(a);
        return 0;
}
