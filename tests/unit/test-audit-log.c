/* SPDX-License-Identifier: Apache-2.0 */
#include "audit-world.h"
#include "oom.h"
#include "test.h"

/* --- Start and restart ---------------------------------------------------- */

/* S7 */
static void a_restart_continues_the_chain(void **state) {
        AUTO_AUDIT_KEYS struct audit_keys *stored = NULL;
        struct audit_checkpoint c;
        struct world w;
        unsigned gaps = 99;

        world_init(&w, 0);
        stored = copy_keys(w.keys); /* before the first record */
        for (unsigned run = 0; run < 4; run++) {
                AUTO_AUDIT struct audit *a = open_log(w.fd, stored, &gaps);

                assert_int_equal(gaps, 0);
                for (unsigned i = 0; i < 5; i++)
                        append_event(a, AUDIT_TOKEN_REQUEST);
                if (run == 1) {
                        assert_int_equal(audit_checkpoint(a, &c, NULL), 0);
                        w.keys = audit_keys_free(w.keys);
                        w.keys = copy_keys(stored);
                        append_event(a, AUDIT_BROKER_STOP);
                }
                /* What was stored is older than the log, by five records or more. */
                stored = audit_keys_free(stored);
                stored = copy_keys(w.keys);
        }
        expect_faults(w.fd, w.key_0, "");
        world_done(&w);
}

/* S7 */
static void a_tail_torn_at_any_byte_is_cut_and_the_gap_recorded(void **state) {
        AUTO_BUF struct buf log = BUF_INIT;
        AUTO_AUDIT_KEYS struct audit_keys *first = NULL;
        struct world w;
        size_t last;

        world_init(&w, 0);
        first = copy_keys(w.keys);
        {
                AUTO_AUDIT struct audit *a = open_log(w.fd, w.keys, NULL);

                for (unsigned i = 0; i < 3; i++)
                        append_event(a, AUDIT_TOKEN_REQUEST);
        }
        read_log(w.fd, &log);
        last = line_at(&log, 2);
        for (size_t len = last + 1; len < log.len; len++) {
                AUTO_AUDIT_KEYS struct audit_keys *k = copy_keys(first);
                AUTO_AUDIT struct audit *a = NULL;
                AUTO_BUF struct buf now = BUF_INIT;
                unsigned gaps = 0;

                set_log(w.fd, log.data, len);
                a = open_log(w.fd, k, &gaps);
                assert_int_equal(gaps, AUDIT_GAP_TORN);
                append_event(a, AUDIT_TOKEN_REQUEST);
                expect_faults(w.fd, w.key_0, "");
                read_log(w.fd, &now);
                assert_memory_equal(now.data, log.data, last);
                assert_non_null(strstr(now.data + last, "\"event\":\"audit.gap\""));
        }
        world_done(&w);
}

/* The very first line torn: the log becomes empty. */
static void a_log_of_one_torn_line_begins_anew(void **state) {
        struct world w;
        unsigned gaps = 0;
        AUTO_AUDIT struct audit *a = NULL;

        world_init(&w, 0);
        set_log(w.fd, "{\"v\":1", 6);
        a = open_log(w.fd, w.keys, &gaps);
        assert_int_equal(gaps, AUDIT_GAP_TORN);
        expect_faults(w.fd, w.key_0, "");
        world_done(&w);
}

static void what_was_done_to_the_log_while_we_were_away_is_recorded(void **state) {
        static const struct {
                const char *what;
                unsigned gaps;
                const char *faults;
        } table[] = {
                { "nothing", 0, "" },
                { "cut behind", AUDIT_GAP_CUT, "4 records are missing before it;" },
                { "emptied", AUDIT_GAP_CUT, "1 records are missing before it;" },
                { "edited since", AUDIT_GAP_EDITED, "7 MAC wrong;8 chain broken;" },
                { "edited before", 0, "2 MAC wrong;3 chain broken;" },
                { "last edited", AUDIT_GAP_EDITED, "8 MAC wrong;" },
                { "cut to the mark", 0, "" },
                { "other log", AUDIT_GAP_FORKED, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_AUDIT_KEYS struct audit_keys *stored = NULL;
                AUTO_BUF struct buf log = BUF_INIT;
                AUTO_AUDIT struct audit *a = NULL;
                const char *what = table[i].what;
                struct world w;
                struct world other;
                unsigned gaps = 0;

                world_init(&w, 5);
                world_init(&other, 9);
                stored = copy_keys(w.keys); /* the mark: line 6 comes next */
                {
                        AUTO_AUDIT struct audit *more = open_log(w.fd, w.keys, NULL);

                        for (unsigned k = 0; k < 3; k++)
                                append_event(more, AUDIT_TOKEN_REQUEST);
                }
                read_log(w.fd, &log);
                if (streq(what, "cut behind"))
                        log.len = line_at(&log, 3);
                if (streq(what, "cut to the mark"))
                        log.len = line_at(&log, 5);
                if (streq(what, "emptied"))
                        log.len = 0;
                if (streq(what, "edited since"))
                        memcpy(strstr(log.data + line_at(&log, 6), "r1"), "r2", 2);
                if (streq(what, "edited before"))
                        memcpy(strstr(log.data + line_at(&log, 1), "r1"), "r2", 2);
                if (streq(what, "last edited"))
                        memcpy(strstr(log.data + line_at(&log, 7), "r1"), "r2", 2);
                if (streq(what, "other log")) {
                        buf_clear(&log);
                        read_log(other.fd, &log);
                }
                set_log(w.fd, log.data, log.len);
                a = open_log(w.fd, stored, &gaps);
                if (gaps != table[i].gaps)
                        fail_msg("%s: gaps %u", what, gaps);
                append_event(a, AUDIT_BROKER_START);
                buf_clear(&log);
                read_log(w.fd, &log);
                assert_int_equal(strstr(log.data, "audit.gap") != NULL, gaps != 0);
                if (table[i].faults) {
                        struct findings f;

                        verify_log(&log, w.key_0, NULL, &f, NULL);
                        if (!streq(f.text, table[i].faults))
                                fail_msg("%s: %s", what, f.text);
                }
                world_done(&w);
                world_done(&other);
        }
}

static void new_keys_go_on_behind_an_older_log_and_say_so(void **state) {
        AUTO_AUDIT_KEYS struct audit_keys *fresh = NULL;
        AUTO_AUDIT struct audit *a = NULL;
        AUTO_BUF struct buf log = BUF_INIT;
        struct audit_verified result = { 0 };
        struct audit_verify params = { .key_seq = 4 };
        struct audit_verifier *v = NULL;
        uint8_t key[HASH_KEY_BYTES];
        unsigned gaps = 0;
        struct world w;

        world_init(&w, 4);
        assert_int_equal(audit_keys_new(&fresh), 0);
        memcpy(key, audit_keys_mac(fresh, NULL), sizeof(key));
        a = open_log(w.fd, fresh, &gaps);
        assert_int_equal(gaps, AUDIT_GAP_NEW_KEYS);
        append_event(a, AUDIT_BROKER_START);
        assert_int_equal(audit_next_seq(a), 6);
        read_log(w.fd, &log);
        params.key = key;
        assert_int_equal(audit_verifier_new(&v, &params), 0);
        for (size_t i = 0; i < log.len; i++) /* byte by byte */
                assert_int_equal(audit_verifier_feed(v, log.data + i, 1), 0);
        audit_verifier_finish(v, &result);
        (void)audit_verifier_free(v);
        assert_int_equal(result.faults, 0);
        assert_int_equal(result.lines, 6);
        assert_int_equal(result.macs_checked, 2);
        world_done(&w);
}

/* S9 */
static void a_file_that_is_no_log_is_not_touched(void **state) {
        AUTO_FREE char *data = calloc(1, 300000);
        struct audit *a = NULL;
        struct error err = ERROR_INIT;
        struct world w;

        world_init(&w, 0);
        set_log(w.fd, data, 300000);
        assert_int_equal(audit_open(&a, w.fd, w.keys, NULL, NULL, &err), -EBADMSG);
        assert_int_equal(err.code, MCPB_AUDIT_UNAVAILABLE);
        assert_int_equal(log_size(w.fd), 300000);
        world_done(&w);
}

/* --- A disk that fails ---------------------------------------------------- */

static struct {
        int error;    /* of the next writes; 0: none */
        size_t room;  /* bytes that still fit, with error = ENOSPC */
        bool stuck;   /* truncate fails */
        bool no_sync; /* so does sync */
        unsigned syncs;
        unsigned writes;
} disk;

static ssize_t disk_write(int fd, const void *data, size_t len) {
        disk.writes++;
        if (disk.error == 0)
                return write(fd, data, len);
        if (disk.room > 0) {
                size_t n = disk.room < len ? disk.room : len;

                disk.room -= n;
                return write(fd, data, n);
        }
        errno = disk.error;
        return -1;
}

static int disk_truncate(int fd, off_t len) {
        if (disk.stuck) {
                errno = EIO;
                return -1;
        }
        return ftruncate(fd, len);
}

static int disk_sync(int fd) {
        (void)fd;
        disk.syncs++;
        errno = EIO;
        return disk.no_sync ? -1 : 0;
}

static const struct audit_io disk_io = { disk_write, disk_truncate, disk_sync };

/* Of the third record of a log. */
static size_t record_length(const struct audit_record *record) {
        AUTO_AUDIT struct audit *a = NULL;
        struct world w;
        size_t before;
        size_t after;

        world_init(&w, 2);
        before = log_size(w.fd);
        a = open_log(w.fd, w.keys, NULL);
        assert_int_equal(audit_append(a, record, NULL), 0);
        after = log_size(w.fd);
        world_done(&w);
        return after - before;
}

/* S4 S7 */
static void a_full_or_broken_disk_refuses_and_the_chain_survives_it(void **state) {
        static const int errors[] = { ENOSPC, EIO };
        struct audit_record release = { .event = AUDIT_TOKEN_RELEASE, .request = "r7" };
        struct audit_record other = { .event = AUDIT_TOKEN_REQUEST };

        /* @room: nothing fits; some of the line; all but its LF. */
        for (unsigned i = 0; i < 2 * 3 * 2; i++) {
                static const size_t rooms[] = { 0, 40, SIZE_MAX };
                AUTO_AUDIT struct audit *a = NULL;
                AUTO_BUF struct buf log = BUF_INIT;
                struct error err = ERROR_INIT;
                const char *p;
                struct world w;
                size_t before;

                disk = (typeof(disk)){ 0 };
                world_init(&w, 2);
                assert_int_equal(audit_open(&a, w.fd, w.keys, &disk_io, NULL, &err), 0);
                before = log_size(w.fd);
                disk.error = errors[i % 2];
                disk.room = rooms[i / 2 % 3];
                disk.stuck = i / 6;
                if (disk.room == SIZE_MAX)
                        disk.room = record_length(&release) - 1;
                assert_int_equal(audit_append(a, &release, &err) < 0, 1);
                assert_int_equal(err.code, MCPB_AUDIT_UNAVAILABLE);
                assert_false(audit_is_available(a));
                if (!disk.stuck)
                        assert_int_equal(log_size(w.fd), before);
                disk.room = 0;
                for (unsigned k = 0; k < 3; k++)
                        assert_int_equal(audit_append(a, &other, &err), -disk.error);
                assert_int_equal(audit_dropped(a), 3);
                disk.error = 0;
                assert_int_equal(audit_append(a, &other, &err), 0);
                assert_true(audit_is_available(a));
                expect_faults(w.fd, w.key_0, "");
                read_log(w.fd, &log);
                p = strstr(log.data, "\"token.release\",\"req\":\"r7\"");
                assert_non_null(p);
                p = strstr(p, "\"token.deny\",\"outcome\":\"deny\",\"req\":\"r7\",\"code\":\"audit_"
                              "unavailable\"");
                assert_non_null(p);
                p = strstr(p, "\"audit.gap\",\"why\":[\"3 records were refused");
                assert_non_null(p);
                assert_non_null(strstr(p, "\"token.request\""));
                world_done(&w);
        }
}

static void a_record_is_one_write(void **state) {
        AUTO_AUDIT struct audit *a = NULL;
        struct world w;

        disk = (typeof(disk)){ 0 };
        world_init(&w, 0);
        assert_int_equal(audit_open(&a, w.fd, w.keys, &disk_io, NULL, NULL), 0);
        for (unsigned i = 0; i < 10; i++)
                append_event(a, AUDIT_TOKEN_RELEASE);
        assert_int_equal(disk.writes, 10);
        assert_int_equal(disk.syncs, 0);
        world_done(&w);
}

/* S7 */
static void a_crash_while_a_line_is_kept_back_is_seen_as_missing(void **state) {
        AUTO_AUDIT_KEYS struct audit_keys *stored = NULL;
        AUTO_AUDIT struct audit *a = NULL;
        AUTO_AUDIT struct audit *b = NULL;
        struct audit_record record = { .event = AUDIT_TOKEN_REQUEST };
        unsigned gaps = 0;
        struct world w;

        disk = (typeof(disk)){ .error = 0 };
        world_init(&w, 2);
        assert_int_equal(audit_open(&a, w.fd, w.keys, &disk_io, NULL, NULL), 0);
        disk.error = EIO;
        assert_int_equal(audit_append(a, &record, NULL), -EIO);
        stored = copy_keys(w.keys);
        b = open_log(w.fd, stored, &gaps);
        assert_int_equal(gaps, AUDIT_GAP_CUT);
        expect_faults(w.fd, w.key_0, "3 records are missing before it;");
        world_done(&w);
}

/* S4 */
static void a_failed_sync_is_never_believed_again(void **state) {
        AUTO_AUDIT struct audit *a = NULL;
        struct error err = ERROR_INIT;
        struct world w;

        disk = (typeof(disk)){ 0 };
        world_init(&w, 1);
        assert_int_equal(audit_open(&a, w.fd, w.keys, &disk_io, NULL, NULL), 0);
        assert_int_equal(audit_sync(a, &err), 0);
        disk.no_sync = true;
        assert_int_equal(audit_sync(a, &err), -EIO);
        assert_int_equal(err.code, MCPB_AUDIT_UNAVAILABLE);
        disk.no_sync = false;
        assert_int_equal(audit_sync(a, &err), -EIO);
        assert_int_equal(disk.syncs, 2);
        assert_false(audit_is_available(a));
        world_done(&w);
}

static int append_one(void *userdata) {
        struct world *w = userdata;
        AUTO_AUDIT_KEYS struct audit_keys *k = NULL;
        AUTO_AUDIT struct audit *a = NULL;
        AUTO_JSON json_t *value = NULL;
        struct audit_record record = { .event = AUDIT_TOKEN_RELEASE, .server = "https://x/" };
        struct audit_checkpoint c;
        int r = audit_keys_to_json(w->keys, &value);

        if (r == 0)
                r = audit_keys_from_json(&k, value);
        if (r == 0)
                r = audit_open(&a, w->fd, k, NULL, NULL, NULL);
        if (r == 0)
                r = audit_append(a, &record, NULL);
        if (r == 0)
                r = audit_checkpoint(a, &c, NULL);
        return r;
}

/* S4 */
static void out_of_memory_at_any_point_refuses_and_leaves_the_log_whole(void **state) {
        struct world w;

        world_init(&w, 3);
        assert_true(oom_sweep(append_one, &w) > 10);
        expect_faults(w.fd, w.key_0, "");
        world_done(&w);
}

static void keys_that_were_tampered_with_are_refused(void **state) {
        static const char *const members[] = { "v",   "seq",  "offset",     "prev",
                                               "mac", "sign", "fingerprint" };
        struct world w;

        world_init(&w, 1);
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                AUTO_JSON json_t *value = NULL;
                struct audit_keys *k = NULL;

                assert_int_equal(audit_keys_to_json(w.keys, &value), 0);
                assert_int_equal(json_object_set_new(value, members[i], json_string("AAAA")), 0);
                assert_int_equal(audit_keys_from_json(&k, value), -EBADMSG);
                assert_int_equal(json_object_del(value, members[i]), 0);
                assert_int_equal(audit_keys_from_json(&k, value), -EBADMSG);
        }
        world_done(&w);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_restart_continues_the_chain),
                cmocka_unit_test(a_tail_torn_at_any_byte_is_cut_and_the_gap_recorded),
                cmocka_unit_test(a_log_of_one_torn_line_begins_anew),
                cmocka_unit_test(what_was_done_to_the_log_while_we_were_away_is_recorded),
                cmocka_unit_test(new_keys_go_on_behind_an_older_log_and_say_so),
                cmocka_unit_test(a_file_that_is_no_log_is_not_touched),
                cmocka_unit_test(a_full_or_broken_disk_refuses_and_the_chain_survives_it),
                cmocka_unit_test(a_record_is_one_write),
                cmocka_unit_test(a_crash_while_a_line_is_kept_back_is_seen_as_missing),
                cmocka_unit_test(a_failed_sync_is_never_believed_again),
                cmocka_unit_test(out_of_memory_at_any_point_refuses_and_leaves_the_log_whole),
                cmocka_unit_test(keys_that_were_tampered_with_are_refused),
        };

        return cmocka_run_group_tests_name("audit-log", tests, crypto_setup, crypto_teardown);
}
