/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* memfd_create() */

#include "audit-world.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "crypto/init.h"
#include "test.h"

static uint64_t now_usec = TEST_NOW;

void set_clock(uint64_t usec) {
        now_usec = usec;
}

uint64_t clock_boot_usec(void) {
        return now_usec;
}

uint64_t clock_wall_usec(void) {
        return now_usec;
}

int new_log(void) {
        int fd = memfd_create("audit.log", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
        return fd;
}

size_t log_size(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (size_t)st.st_size;
}

void read_log(int fd, struct buf *b) {
        size_t size = log_size(fd);

        assert_int_equal(buf_reserve(b, size), 0);
        assert_int_equal(pread(fd, b->data, size, 0), (ssize_t)size);
        b->len = size;
        b->data[size] = '\0';
}

void set_log(int fd, const void *data, size_t len) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
}

size_t line_at(const struct buf *b, unsigned n) {
        const char *p = b->data;

        for (; n > 0; n--)
                p = strchr(p, '\n') + 1;
        return (size_t)(p - b->data);
}

struct audit *open_log(int fd, struct audit_keys *k, unsigned *ret_gaps) {
        struct audit *a = NULL;
        struct error err = ERROR_INIT;

        if (audit_open(&a, fd, k, NULL, ret_gaps, &err) < 0)
                fail_msg("%s", err.message);
        return a;
}

void append_event(struct audit *a, enum audit_event event) {
        struct audit_record record = { .event = event, .request = "r1" };
        struct error err = ERROR_INIT;

        if (audit_append(a, &record, &err) < 0)
                fail_msg("%s", err.message);
}

static void on_finding(const struct audit_finding *f, void *userdata) {
        struct findings *all = userdata;
        size_t len = strlen(all->text);

        all->n++;
        (void)snprintf(all->text + len, sizeof(all->text) - len, "%llu %s;",
                       (unsigned long long)f->line, audit_fault_text(f->fault));
}

void verify_log(const struct buf *log, const uint8_t *key, const struct audit_checkpoint *c,
                struct findings *ret, struct audit_verified *ret_result) {
        struct audit_verify params = {
                .key = key, .checkpoint = c, .fn = on_finding, .userdata = ret
        };
        struct audit_verified result = { 0 };
        struct audit_verifier *v = NULL;

        *ret = (struct findings){ 0 };
        assert_int_equal(audit_verifier_new(&v, &params), 0);
        assert_int_equal(audit_verifier_feed(v, log->data, log->len), 0);
        audit_verifier_finish(v, &result);
        assert_int_equal(result.faults, ret->n);
        (void)audit_verifier_free(v);
        if (ret_result)
                *ret_result = result;
}

void expect_faults(int fd, const uint8_t *key, const char *faults) {
        AUTO_BUF struct buf log = BUF_INIT;
        struct findings f;

        read_log(fd, &log);
        verify_log(&log, key, NULL, &f, NULL);
        assert_string_equal(f.text, faults);
}

void world_init(struct world *w, unsigned n) {
        AUTO_AUDIT struct audit *a = NULL;
        uint64_t seq = 1;

        *w = (struct world){ .fd = new_log() };
        assert_int_equal(audit_keys_new(&w->keys), 0);
        memcpy(w->key_0, audit_keys_mac(w->keys, &seq), sizeof(w->key_0));
        assert_int_equal(seq, 0);
        a = open_log(w->fd, w->keys, NULL);
        for (unsigned i = 0; i < n; i++)
                append_event(a, i == 0 ? AUDIT_BROKER_START : AUDIT_TOKEN_REQUEST);
}

void world_done(struct world *w) {
        w->keys = audit_keys_free(w->keys);
        (void)close(w->fd);
}

struct audit_keys *copy_keys(const struct audit_keys *k) {
        AUTO_JSON json_t *value = NULL;
        struct audit_keys *copy = NULL;

        assert_int_equal(audit_keys_to_json(k, &value), 0);
        assert_int_equal(audit_keys_from_json(&copy, value), 0);
        return copy;
}

int crypto_setup(void **state) {
        return crypto_init(NULL);
}

int crypto_teardown(void **state) {
        crypto_done();
        return 0;
}
