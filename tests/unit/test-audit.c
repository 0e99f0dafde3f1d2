/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* memfd_create() */

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "audit/audit.h"
#include "audit/verify.h"
#include "base/buf.h"
#include "crypto/init.h"
#include "oom.h"
#include "test.h"

/* --- The clock of these tests --------------------------------------------------------------------------------- */

static uint64_t now_usec = UINT64_C(1795428000000000);

uint64_t clock_boot_usec(void) {
        return now_usec;
}

uint64_t clock_wall_usec(void) {
        return now_usec;
}

/* --- A log in memory -------------------------------------------------------------------------------------------- */

static int new_log(void) {
        int fd = memfd_create("audit.log", MFD_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(fcntl(fd, F_SETFL, O_APPEND), 0);
        return fd;
}

static size_t log_size(int fd) {
        struct stat st;

        assert_int_equal(fstat(fd, &st), 0);
        return (size_t)st.st_size;
}

static void read_log(int fd, struct buf *b) {
        size_t size = log_size(fd);

        assert_int_equal(buf_reserve(b, size), 0);
        assert_int_equal(pread(fd, b->data, size, 0), (ssize_t)size);
        b->len = size;
        b->data[size] = '\0';
}

static void set_log(int fd, const void *data, size_t len) {
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
}

/* Offset of line @n (from 0); of the end for the one behind the last. */
static size_t line_at(const struct buf *b, unsigned n) {
        const char *p = b->data;

        for (; n > 0; n--)
                p = strchr(p, '\n') + 1;
        return (size_t)(p - b->data);
}

static struct audit *open_log(int fd, struct audit_keys *k, unsigned *ret_gaps) {
        struct audit *a = NULL;
        struct error err = ERROR_INIT;

        if (audit_open(&a, fd, k, NULL, ret_gaps, &err) < 0)
                fail_msg("%s", err.message);
        return a;
}

static void append(struct audit *a, enum audit_event event) {
        struct audit_record record = { .event = event, .request = "r1" };
        struct error err = ERROR_INIT;

        if (audit_append(a, &record, &err) < 0)
                fail_msg("%s", err.message);
}

struct findings {
        char text[1024]; /* "line fault;" */
        unsigned n;
};

static void on_finding(const struct audit_finding *f, void *userdata) {
        struct findings *all = userdata;
        size_t len = strlen(all->text);

        all->n++;
        (void)snprintf(all->text + len, sizeof(all->text) - len, "%llu %s;",
                       (unsigned long long)f->line, audit_fault_text(f->fault));
}

static void verify(const struct buf *log, const uint8_t *key, const struct audit_checkpoint *c,
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

static void expect_faults(int fd, const uint8_t *key, const char *faults) {
        AUTO_BUF struct buf log = BUF_INIT;
        struct findings f;

        read_log(fd, &log);
        verify(&log, key, NULL, &f, NULL);
        assert_string_equal(f.text, faults);
}

/* Keys, a copy of the first MAC key, and a log with @n records. */
struct world {
        struct audit_keys *keys;
        uint8_t key_0[HASH_KEY_BYTES];
        int fd;
};

static void world_init(struct world *w, unsigned n) {
        AUTO_AUDIT struct audit *a = NULL;
        uint64_t seq = 1;

        *w = (struct world){ .fd = new_log() };
        assert_int_equal(audit_keys_new(&w->keys), 0);
        memcpy(w->key_0, audit_keys_mac(w->keys, &seq), sizeof(w->key_0));
        assert_int_equal(seq, 0);
        a = open_log(w->fd, w->keys, NULL);
        for (unsigned i = 0; i < n; i++)
                append(a, i == 0 ? AUDIT_BROKER_START : AUDIT_TOKEN_REQUEST);
}

static void world_done(struct world *w) {
        w->keys = audit_keys_free(w->keys);
        (void)close(w->fd);
}

static struct audit_keys *copy_keys(const struct audit_keys *k) {
        AUTO_JSON json_t *value = NULL;
        struct audit_keys *copy = NULL;

        assert_int_equal(audit_keys_to_json(k, &value), 0);
        assert_int_equal(audit_keys_from_json(&copy, value), 0);
        return copy;
}

/* --- Format ----------------------------------------------------------------------------------------------------- */

/* S4 */
static void a_line_is_as_specified_to_the_byte(void **state) {
        static const char begin[] = "{\"v\":1,\"time\":\"2026-11-23T10:00:00.000Z\",\"event\":"
                                    "\"token.request\",\"req\":\"r1\",\"seq\":1,\"prev\":\"";
        AUTO_BUF struct buf log = BUF_INIT;
        struct world w;
        uint8_t key[HASH_KEY_BYTES];
        uint8_t hash[HASH_BYTES];
        uint8_t mac[HASH_SHORT_BYTES];
        char hex[2 * HASH_BYTES + 1];
        AUTO_BUF struct buf wanted = BUF_INIT;
        size_t first;

        now_usec = UINT64_C(1795428000000000);
        world_init(&w, 2);
        read_log(w.fd, &log);
        first = line_at(&log, 1);
        assert_non_null(strstr(log.data,
                               "\"event\":\"broker.start\",\"req\":\"r1\",\"seq\":0,\"prev\":\""
                               "00000000000000000000000000000000"
                               "00000000000000000000000000000000\"}\t"));
        hash_plain(hash, log.data, first - 1);
        for (size_t i = 0; i < HASH_BYTES; i++)
                (void)snprintf(hex + 2 * i, 3, "%02x", hash[i]);
        assert_int_equal(buf_printf(&wanted, "%s%s\"}", begin, hex), 0);
        hash_keyed(key, w.key_0, "mcp-audit evolve", 16);
        hash_keyed_short(mac, key, wanted.data, wanted.len);
        for (size_t i = 0; i < HASH_SHORT_BYTES; i++)
                (void)snprintf(hex + 2 * i, 3, "%02x", mac[i]);
        assert_int_equal(buf_printf(&wanted, "\t%s\n", hex), 0);
        assert_string_equal(log.data + first, wanted.data);
        world_done(&w);
}

/* The file was written by another implementation (Python's hashlib), with the key 01 02 03 00 ... */
static void a_log_made_elsewhere_by_the_document_is_verified(void **state) {
        static const uint8_t key[HASH_KEY_BYTES] = { 1, 2, 3 };
        const struct audit_verify params = { .key = key };
        struct audit_verified result = { 0 };
        const char *top = getenv("top_srcdir");
        char path[1024];
        int fd;

        (void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/audit-line/good", top ? top : ".");
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(audit_verify_stream(fd, &params, &result), 0);
        (void)close(fd);
        assert_int_equal(result.lines, 4);
        assert_int_equal(result.faults, 0);
        assert_int_equal(result.macs_checked, 4);
        assert_int_equal(result.last_seq, 3);
}

static void a_whole_record_is_json_in_the_order_of_the_document(void **state) {
        static const char *const scopes[] = { "issues:read" };
        static const char *const rules[] = { "50-me.conf:5 editor-reads-issues" };
        static const char *const uids[] = { "1000" };
        static const struct audit_fact facts[] = { { "agent.uid", "kernel", uids, 1 },
                                                   { "agent.exe", NULL, NULL, 0 } };
        static const struct audit_agent agent = { .pid = 4242,
                                                  .start_ticks = 991234,
                                                  .uid = 1000,
                                                  .exe = "/usr/bin/claude",
                                                  .unit = "app.scope",
                                                  .client = "Claude \"x\"",
                                                  .evidence_class = "self" };
        static const uint64_t ttl = 600;
        struct audit_token token = { 0 };
        struct audit_record record = { .event = AUDIT_TOKEN_ISSUE,
                                       .outcome = AUDIT_ALLOW,
                                       .request = "r1",
                                       .agent = &agent,
                                       .server = "https://issues.corp.example/mcp",
                                       .issuer = "https://auth.corp.example",
                                       .client_id = "https://me.example/c.json",
                                       .scopes = { scopes, 1 },
                                       .granted = { scopes, 1 },
                                       .ttl_sec = &ttl,
                                       .ttl_enforced = AUDIT_TTL_ISSUER,
                                       .token = &token,
                                       .rules = { rules, 1 },
                                       .policy_id = "ab",
                                       .facts = facts,
                                       .n_facts = 2 };
        AUTO_AUDIT struct audit *a = NULL;
        AUTO_BUF struct buf log = BUF_INIT;
        struct world w;

        world_init(&w, 0);
        a = open_log(w.fd, w.keys, NULL);
        audit_fingerprint(w.keys, "secret", 6, &token);
        assert_int_equal(strlen(token.text), 37);
        memcpy(token.text, "hmac:x", 7);
        assert_int_equal(audit_append(a, &record, NULL), 0);
        read_log(w.fd, &log);
        log.data[log.len - 33 - 1 - 65 - 10 - 8] = '\0'; /* mac, prev, seq */
        assert_string_equal(
                log.data,
                "{\"v\":1,\"time\":\"2026-11-23T10:00:00.000Z\",\"event\":\"token.issue\","
                "\"outcome\":\"allow\",\"req\":\"r1\",\"agent\":{\"pid\":4242,\"starttime\":991234,"
                "\"uid\":1000,\"exe\":\"/usr/bin/claude\",\"unit\":\"app.scope\",\"client\":"
                "\"Claude \\\"x\\\"\",\"class\":\"self\"},\"server\":\"https://"
                "issues.corp.example/mcp\",\"issuer\":\"https://auth.corp.example\","
                "\"client_id\":\"https://me.example/c.json\",\"scopes\":[\"issues:read\"],"
                "\"granted\":[\"issues:read\"],\"ttl\":600,\"ttl_enforced\":\"issuer\",\"token\":"
                "\"hmac:x\",\"rule\":[\"50-me.conf:5 editor-reads-issues\"],\"policy_id\":\"ab\","
                "\"facts\":{\"agent.uid\":{\"class\":\"kernel\",\"values\":[\"1000\"]},"
                "\"agent.exe\":null}");
        world_done(&w);
}

/* S1 */
static void foreign_text_is_cleaned_bounded_and_freed_of_tokens(void **state) {
        static const struct {
                const char *text;
                const char *in_log;
        } table[] = {
                { "a\"b\\c", "[\"a\\\"b\\\\c\"]" },
                { "tab\tline\nesc\x1b[31m", "[\"tab?line?esc?[31m\"]" },
                { "bad \xff\xc3 bytes", "[\"bad ?? bytes\"]" },
                { "c1 \xc2\x9b", "[\"c1 ?\"]" },
                { "t\xc3\xa4xt", "[\"t\xc3\xa4xt\"]" },
                { "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x-y_z refused",
                  "[\"token [redacted] refused\"]" },
                { "code=abcdefghijklmnopqrstuvwxyz012345 bad", "[\"code=[redacted] bad\"]" },
                { "0123456789abcdef0123456789abcde is short",
                  "[\"0123456789abcdef0123456789abcde is short\"]" },
                { "no-token-for-unknown-confinement", "[\"no-token-for-unknown-confinement\"]" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct audit_record record = { .event = AUDIT_TOKEN_DENY,
                                               .why = { &table[i].text, 1 } };
                AUTO_AUDIT struct audit *a = NULL;
                AUTO_BUF struct buf log = BUF_INIT;
                struct world w;

                world_init(&w, 0);
                a = open_log(w.fd, w.keys, NULL);
                assert_int_equal(audit_append(a, &record, NULL), 0);
                read_log(w.fd, &log);
                if (!strstr(log.data, table[i].in_log))
                        fail_msg("%s not in %s", table[i].in_log, log.data);
                expect_faults(w.fd, w.key_0, "");
                world_done(&w);
        }
}

/* S1 */
static void urls_lose_query_fragment_and_password(void **state) {
        static const struct {
                const char *url;
                const char *in_log;
        } table[] = {
                { "https://a.example/cb?code=s3cret&state=x", "\"https://a.example/cb\"" },
                { "https://a.example/cb#code=s3cret", "\"https://a.example/cb\"" },
                { "https://bob:s3cret@a.example/mcp", "\"https://[redacted]@a.example/mcp\"" },
                { "https://a.example?s3cret", "\"https://a.example\"" },
                { "https://a.example?x://y@s3cret", "\"https://a.example\"" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                struct audit_record record = { .event = AUDIT_TOKEN_DENY, .server = table[i].url };
                AUTO_AUDIT struct audit *a = NULL;
                AUTO_BUF struct buf log = BUF_INIT;
                struct world w;

                world_init(&w, 0);
                a = open_log(w.fd, w.keys, NULL);
                assert_int_equal(audit_append(a, &record, NULL), 0);
                read_log(w.fd, &log);
                assert_null(strstr(log.data, "s3cret"));
                if (!strstr(log.data, table[i].in_log))
                        fail_msg("%s not in %s", table[i].in_log, log.data);
                world_done(&w);
        }
}

/* S9 */
static void the_largest_record_still_fits_into_a_line(void **state) {
        const char *texts[512];
        struct audit_fact facts[512];
        AUTO_FREE char *text = malloc(5000);
        struct audit_agent agent = { .uid = -1 };
        struct audit_record record = { .event = AUDIT_TOKEN_RELEASE, .agent = &agent };
        AUTO_AUDIT struct audit *a = NULL;
        struct world w;

        for (size_t i = 0; i < 4999; i++)
                text[i] = '"';
        text[4999] = '\0';
        for (size_t i = 0; i < 512; i++) {
                texts[i] = text;
                facts[i] = (struct audit_fact){ text, text, texts, 512 };
        }
        agent.exe = agent.unit = agent.label = agent.client = agent.evidence_class = text;
        record.request = record.server = record.issuer = record.client_id = record.account = text;
        record.policy_id = text;
        record.scopes = record.granted = record.rules = record.why = record.files =
                (struct audit_strings){ texts, 512 };
        record.facts = facts;
        record.n_facts = 512;
        world_init(&w, 0);
        a = open_log(w.fd, w.keys, NULL);
        assert_int_equal(audit_append(a, &record, NULL), 0);
        assert_true(log_size(w.fd) < 100000);
        expect_faults(w.fd, w.key_0, "");
        world_done(&w);
}

static void the_fingerprint_is_keyed_and_of_one_installation(void **state) {
        struct audit_token t1 = { 0 };
        struct audit_token t2 = { 0 };
        struct audit_token t3 = { 0 };
        struct world w;
        struct world other;
        AUTO_AUDIT_KEYS struct audit_keys *again = NULL;

        world_init(&w, 1);
        world_init(&other, 0);
        again = copy_keys(w.keys);
        audit_fingerprint(w.keys, "token", 5, &t1);
        audit_fingerprint(again, "token", 5, &t2);
        audit_fingerprint(other.keys, "token", 5, &t3);
        assert_string_equal(t1.text, t2.text);
        assert_string_not_equal(t1.text, t3.text);
        assert_int_equal(strncmp(t1.text, "hmac:", 5), 0);
        world_done(&w);
        world_done(&other);
}

/* --- Tampering -------------------------------------------------------------------------------------------------- */

static void edits_removals_and_reorder_are_found_and_named(void **state) {
        static const struct {
                const char *what;
                const char *with_key;
                const char *without_key;
        } table[] = {
                { "nothing", "", "" },
                { "edit", "3 MAC wrong;4 chain broken;", "4 chain broken;" },
                { "delete", "3 chain broken;", "3 chain broken;" },
                { "swap", "3 chain broken;4 chain broken;5 chain broken;",
                  "3 chain broken;4 chain broken;5 chain broken;" },
                { "repeat", "4 chain broken;", "4 chain broken;" },
                { "garbage", "3 not a line of an audit log;4 chain broken;",
                  "3 not a line of an audit log;4 chain broken;" },
                { "torn", "6 torn: the last line has no end;",
                  "6 torn: the last line has no end;" },
                { "first", "1 chain broken;", "1 chain broken;" },
        };
        AUTO_BUF struct buf log = BUF_INIT;
        struct world w;
        size_t at[7];

        world_init(&w, 6);
        read_log(w.fd, &log);
        for (unsigned i = 0; i <= 6; i++)
                at[i] = line_at(&log, i);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf bad = BUF_INIT;
                struct findings f;

                if (streq(table[i].what, "delete") || streq(table[i].what, "first")) {
                        size_t n = streq(table[i].what, "first") ? 0 : 2;

                        assert_int_equal(buf_append(&bad, log.data, at[n]), 0);
                        assert_int_equal(
                                buf_append(&bad, log.data + at[n + 1], log.len - at[n + 1]), 0);
                } else if (streq(table[i].what, "swap") || streq(table[i].what, "repeat")) {
                        bool swap = streq(table[i].what, "swap");

                        assert_int_equal(buf_append(&bad, log.data, at[swap ? 2 : 3]), 0);
                        if (swap)
                                assert_int_equal(buf_append(&bad, log.data + at[3], at[4] - at[3]),
                                                 0);
                        assert_int_equal(buf_append(&bad, log.data + at[2], at[3] - at[2]), 0);
                        assert_int_equal(buf_append(&bad, log.data + at[swap ? 4 : 3],
                                                    log.len - at[swap ? 4 : 3]),
                                         0);
                } else {
                        size_t cut = streq(table[i].what, "torn") ? 5 : 0;

                        assert_int_equal(buf_append(&bad, log.data, log.len - cut), 0);
                        if (streq(table[i].what, "edit"))
                                memcpy(strstr(bad.data + at[2], "token.request"), "token.revokes",
                                       13);
                        if (streq(table[i].what, "garbage"))
                                bad.data[at[2]] = 'x';
                }
                verify(&bad, w.key_0, NULL, &f, NULL);
                if (!streq(f.text, table[i].with_key))
                        fail_msg("%s: %s", table[i].what, f.text);
                verify(&bad, NULL, NULL, &f, NULL);
                if (!streq(f.text, table[i].without_key))
                        fail_msg("%s without key: %s", table[i].what, f.text);
        }
        world_done(&w);
}

static void no_bit_of_a_line_can_be_changed_unseen(void **state) {
        AUTO_BUF struct buf log = BUF_INIT;
        struct world w;

        world_init(&w, 3);
        read_log(w.fd, &log);
        for (size_t at = line_at(&log, 1); at < line_at(&log, 2); at++) {
                for (unsigned bit = 0; bit < 8; bit++) {
                        struct findings f;

                        log.data[at] = (char)(log.data[at] ^ (1 << bit));
                        verify(&log, w.key_0, NULL, &f, NULL);
                        if (f.n == 0 || f.text[0] != '2')
                                fail_msg("byte %zu bit %u: %s", at, bit, f.text);
                        log.data[at] = (char)(log.data[at] ^ (1 << bit));
                }
        }
        world_done(&w);
}

static void a_cut_tail_is_found_with_the_checkpoint(void **state) {
        AUTO_AUDIT struct audit *a = NULL;
        AUTO_BUF struct buf log = BUF_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct audit_checkpoint c = { 0 };
        struct audit_checkpoint back = { 0 };
        struct audit_verified result;
        uint8_t public_key[AUDIT_PUBLIC_BYTES];
        struct findings f;
        struct world w;

        world_init(&w, 3);
        a = open_log(w.fd, w.keys, NULL);
        assert_int_equal(audit_checkpoint(a, &c, NULL), 0);
        assert_int_equal(c.seq, 2);
        assert_int_equal(audit_next_seq(a), 4);
        audit_keys_public(w.keys, public_key);
        assert_true(audit_checkpoint_verify(&c, public_key));
        assert_int_equal(audit_checkpoint_format(&c, &text), 0);
        assert_int_equal(audit_checkpoint_parse(&back, text.data, text.len), 0);
        assert_memory_equal(&back, &c, sizeof(c));
        for (size_t n = 0; n < text.len; n++)
                assert_int_equal(audit_checkpoint_parse(&back, text.data, n), -EBADMSG);

        read_log(w.fd, &log);
        assert_non_null(strstr(log.data, text.data));
        verify(&log, w.key_0, &c, &f, &result);
        assert_string_equal(f.text, "");
        assert_true(result.tail_checked);
        assert_int_equal(result.macs_checked, 4);
        log.len = line_at(&log, 2);
        verify(&log, w.key_0, NULL, &f, NULL);
        assert_string_equal(f.text, ""); /* invisible to the file alone */
        verify(&log, w.key_0, &c, &f, &result);
        assert_string_equal(f.text, "2 the log ends before the checkpoint;");
        assert_false(result.tail_checked);
        back = c;
        back.hash[0] ^= 1;
        assert_false(audit_checkpoint_verify(&back, public_key));
        buf_clear(&log);
        read_log(w.fd, &log);
        verify(&log, w.key_0, &back, &f, NULL);
        assert_string_equal(f.text, "3 not the record that the checkpoint names;");
        world_done(&w);
}

static void a_checkpoint_is_due_by_number_and_by_time_but_not_without_records(void **state) {
        AUTO_AUDIT struct audit *a = NULL;
        struct audit_checkpoint c;
        struct world w;

        world_init(&w, 0);
        a = open_log(w.fd, w.keys, NULL);
        assert_int_equal(audit_checkpoint(a, &c, NULL), -ENOENT);
        now_usec += 2 * AUDIT_CHECKPOINT_SEC * USEC_PER_SEC;
        assert_false(audit_checkpoint_due(a));
        append(a, AUDIT_BROKER_START);
        assert_true(audit_checkpoint_due(a));
        assert_int_equal(audit_checkpoint(a, &c, NULL), 0);
        for (unsigned i = 0; i < AUDIT_CHECKPOINT_RECORDS; i++) {
                assert_false(audit_checkpoint_due(a));
                append(a, AUDIT_TOKEN_REQUEST);
        }
        assert_true(audit_checkpoint_due(a));
        now_usec = UINT64_C(1795428000000000);
        world_done(&w);
}

/* --- Start and restart ------------------------------------------------------------------------------------------- */

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
                        append(a, AUDIT_TOKEN_REQUEST);
                if (run == 1) {
                        assert_int_equal(audit_checkpoint(a, &c, NULL), 0);
                        w.keys = audit_keys_free(w.keys);
                        w.keys = copy_keys(stored);
                        append(a, AUDIT_BROKER_STOP);
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
                        append(a, AUDIT_TOKEN_REQUEST);
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
                append(a, AUDIT_TOKEN_REQUEST);
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
                                append(more, AUDIT_TOKEN_REQUEST);
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
                append(a, AUDIT_BROKER_START);
                buf_clear(&log);
                read_log(w.fd, &log);
                assert_int_equal(strstr(log.data, "audit.gap") != NULL, gaps != 0);
                if (table[i].faults) {
                        struct findings f;

                        verify(&log, w.key_0, NULL, &f, NULL);
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
        append(a, AUDIT_BROKER_START);
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

/* --- A disk that fails ------------------------------------------------------------------------------------------- */

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
                append(a, AUDIT_TOKEN_RELEASE);
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

static int setup(void **state) {
        return crypto_init(NULL);
}

static int teardown(void **state) {
        crypto_done();
        return 0;
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_line_is_as_specified_to_the_byte),
                cmocka_unit_test(a_log_made_elsewhere_by_the_document_is_verified),
                cmocka_unit_test(a_whole_record_is_json_in_the_order_of_the_document),
                cmocka_unit_test(foreign_text_is_cleaned_bounded_and_freed_of_tokens),
                cmocka_unit_test(urls_lose_query_fragment_and_password),
                cmocka_unit_test(the_largest_record_still_fits_into_a_line),
                cmocka_unit_test(the_fingerprint_is_keyed_and_of_one_installation),
                cmocka_unit_test(edits_removals_and_reorder_are_found_and_named),
                cmocka_unit_test(no_bit_of_a_line_can_be_changed_unseen),
                cmocka_unit_test(a_cut_tail_is_found_with_the_checkpoint),
                cmocka_unit_test(a_checkpoint_is_due_by_number_and_by_time_but_not_without_records),
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

        return cmocka_run_group_tests_name("audit", tests, setup, teardown);
}
