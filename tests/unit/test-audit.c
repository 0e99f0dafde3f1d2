/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>

#include "audit-world.h"
#include "test.h"

/* --- Format --------------------------------------------------------------- */

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

        set_clock(TEST_NOW);
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

/*
 * The file was written by another implementation (Python's hashlib), with the key 01 02 03 00 ...
 */
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
                                                  .on_behalf_of = "planner",
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
                "\"Claude "
                "\\\"x\\\"\",\"on_behalf_of\":\"planner\",\"class\":\"self\"},\"server\":\"https://"
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
        agent.exe = agent.unit = agent.label = agent.client = agent.on_behalf_of = text;
        agent.evidence_class = text;
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

/* --- Tampering ------------------------------------------------------------ */

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
                verify_log(&bad, w.key_0, NULL, &f, NULL);
                if (!streq(f.text, table[i].with_key))
                        fail_msg("%s: %s", table[i].what, f.text);
                verify_log(&bad, NULL, NULL, &f, NULL);
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
                        verify_log(&log, w.key_0, NULL, &f, NULL);
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
        uint8_t public_key[SIGN_PUBLIC_BYTES];
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
        verify_log(&log, w.key_0, &c, &f, &result);
        assert_string_equal(f.text, "");
        assert_true(result.tail_checked);
        assert_int_equal(result.macs_checked, 4);
        log.len = line_at(&log, 2);
        verify_log(&log, w.key_0, NULL, &f, NULL);
        assert_string_equal(f.text, ""); /* invisible to the file alone */
        verify_log(&log, w.key_0, &c, &f, &result);
        assert_string_equal(f.text, "2 the log ends before the checkpoint;");
        assert_false(result.tail_checked);
        back = c;
        back.hash[0] ^= 1;
        assert_false(audit_checkpoint_verify(&back, public_key));
        buf_clear(&log);
        read_log(w.fd, &log);
        verify_log(&log, w.key_0, &back, &f, NULL);
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
        set_clock(TEST_NOW + 2 * AUDIT_CHECKPOINT_SEC * USEC_PER_SEC);
        assert_false(audit_checkpoint_due(a));
        append_event(a, AUDIT_BROKER_START);
        assert_true(audit_checkpoint_due(a));
        assert_int_equal(audit_checkpoint(a, &c, NULL), 0);
        for (unsigned i = 0; i < AUDIT_CHECKPOINT_RECORDS; i++) {
                assert_false(audit_checkpoint_due(a));
                append_event(a, AUDIT_TOKEN_REQUEST);
        }
        assert_true(audit_checkpoint_due(a));
        set_clock(TEST_NOW);
        world_done(&w);
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
        };

        return cmocka_run_group_tests_name("audit", tests, crypto_setup, crypto_teardown);
}
