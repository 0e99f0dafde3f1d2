/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "base/codec.h"
#include "base/limits.h"
#include "identity/grpc.h"
#include "oom.h"

#define AUTO_ANSWER __attribute__((cleanup(fetch_answer_done), unused))

static void a_frame_is_that_of_the_protocol(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_BUF struct buf hex = BUF_INIT;
        const uint8_t *message;
        size_t len;
        size_t used;

        assert_int_equal(grpc_append_frame(&b, "ab", 2), 0);
        assert_int_equal(grpc_append_frame(&b, NULL, 0), 0);
        assert_int_equal(hex_append(&hex, b.data, b.len), 0);
        assert_string_equal(hex.data, "00000000026162"
                                      "0000000000");
        assert_int_equal(grpc_first_frame(b.data, b.len, &message, &len, &used), 0);
        assert_int_equal(len, 2);
        assert_memory_equal(message, "ab", 2);
        assert_int_equal(used, 7);
        assert_int_equal(grpc_first_frame(b.data + 7, b.len - 7, &message, &len, &used), 0);
        assert_int_equal(len, 0);
        assert_int_equal(used, 5);
}

static void a_frame_that_is_cut_is_not_whole_yet(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        const uint8_t *message;
        size_t n;

        assert_int_equal(grpc_append_frame(&b, "abcdef", 6), 0);
        for (size_t len = 0; len < b.len; len++)
                assert_int_equal(grpc_first_frame(b.data, len, &message, &n, &n), -EAGAIN);
}

static void a_frame_that_nobody_asked_for_is_refused(void **state) {
        static const uint8_t compressed[] = { 1, 0, 0, 0, 1, 'a' };
        static const uint8_t longest[] = { 0, 0, 0x10, 0, 0 };
        static const uint8_t too_long[] = { 0, 0, 0x10, 0, 1 };
        static const uint8_t huge[] = { 0, 0xff, 0xff, 0xff, 0xff };
        const uint8_t *message;
        size_t n;

        assert_int_equal(grpc_first_frame(compressed, sizeof(compressed), &message, &n, &n),
                         -EBADMSG);
        assert_int_equal(grpc_first_frame(compressed, 1, &message, &n, &n), -EBADMSG);
        assert_int_equal(grpc_first_frame(longest, sizeof(longest), &message, &n, &n), -EAGAIN);
        assert_int_equal(grpc_first_frame(too_long, sizeof(too_long), &message, &n, &n), -EBADMSG);
        assert_int_equal(grpc_first_frame(huge, sizeof(huge), &message, &n, &n), -EBADMSG);
}

static void a_message_too_long_is_not_framed(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_FREE char *message = calloc(1, GRPC_MESSAGE_MAX + 1);

        assert_non_null(message);
        assert_int_equal(grpc_append_frame(&b, message, GRPC_MESSAGE_MAX + 1), -EMSGSIZE);
        assert_int_equal(b.len, 0);
        assert_int_equal(grpc_append_frame(&b, message, GRPC_MESSAGE_MAX), 0);
}

/* --- status -------------------------------------------------------------------------------- */

static void answer_with(struct fetch_answer *a, const char *status, const char *again,
                        const char *message) {
        fetch_answer_init(a);
        a->outcome = FETCH_ANSWERED;
        a->status = 200;
        assert_int_equal(fetch_answer_add_header(a, "content-type", "application/grpc"), 0);
        if (status)
                assert_int_equal(fetch_answer_add_header(a, "grpc-status", status), 0);
        if (again)
                assert_int_equal(fetch_answer_add_header(a, "grpc-status", again), 0);
        if (message)
                assert_int_equal(fetch_answer_add_header(a, "grpc-message", message), 0);
}

static void an_answer_says_how_it_ended(void **state) {
        static const struct {
                const char *status;
                const char *message;
                enum grpc_status expected;
                const char *name;
                const char *text;
        } table[] = {
                { "0", NULL, GRPC_OK, "OK", NULL },
                { "0", "", GRPC_OK, "OK", NULL },
                { "7", "no identity issued", GRPC_PERMISSION_DENIED, "PermissionDenied",
                  "no identity issued" },
                { "3", "security%20header%3a missing%21", GRPC_INVALID_ARGUMENT, "InvalidArgument",
                  "security header: missing!" },
                { "14", "100%", GRPC_UNAVAILABLE, "Unavailable", "100%" },
                { "12", "%4", GRPC_UNIMPLEMENTED, "Unimplemented", "%4" },
                { "13", "%zz%0A%1b[1m%c3%bc", GRPC_INTERNAL, "Internal", "%zz??[1m\xc3\xbc" },
                { "16", "%00x", GRPC_UNAUTHENTICATED, "Unauthenticated", "?x" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_ANSWER struct fetch_answer a;
                AUTO_WIPE_STR char *text = NULL;
                enum grpc_status s = GRPC_CANCELLED;

                answer_with(&a, table[i].status, NULL, table[i].message);
                assert_int_equal(grpc_answer_status(&a, &s, &text), 0);
                assert_int_equal(s, table[i].expected);
                assert_string_equal(grpc_status_name(s), table[i].name);
                if (table[i].text)
                        assert_string_equal(text, table[i].text);
                else
                        assert_null(text);
        }
}

static void an_answer_without_one_status_is_not_whole(void **state) {
        static const char *const broken[][2] = {
                { NULL, NULL },  { "", NULL },   { "17", NULL }, { "-1", NULL },
                { "0x0", NULL }, { " 0", NULL }, { "0", "0" },   { "0", "7" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
                AUTO_ANSWER struct fetch_answer a;
                char *text = NULL;
                enum grpc_status s = GRPC_CANCELLED;

                answer_with(&a, broken[i][0], broken[i][1], "hello");
                assert_int_equal(grpc_answer_status(&a, &s, &text), -EBADMSG);
                assert_int_equal(s, GRPC_CANCELLED);
                assert_null(text);
        }
}

static void what_an_answer_says_is_bounded(void **state) {
        AUTO_ANSWER struct fetch_answer a;
        AUTO_WIPE_STR char *text = NULL;
        char message[3 * LIMIT_FOREIGN_TEXT + 1];
        enum grpc_status s;

        for (size_t i = 0; i < sizeof(message) - 1; i++)
                message[i] = 'x';
        message[sizeof(message) - 1] = '\0';
        answer_with(&a, "2", NULL, message);
        assert_int_equal(grpc_answer_status(&a, &s, &text), 0);
        assert_string_equal(grpc_status_name(s), "Unknown");
        assert_int_equal(strlen(text), LIMIT_FOREIGN_TEXT);
}

/* --- messages ------------------------------------------------------------------------------ */

/* 1 "audience" and 2 "spiffe://..." as any encoder writes them. */
static void a_message_has_its_fields(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_BUF struct buf hex = BUF_INIT;
        struct proto_reader r;
        struct proto_field f;

        assert_int_equal(proto_append_bytes(&b, 1, "aud", 3), 0);
        assert_int_equal(proto_append_bytes(&b, 2, "", 0), 0);
        assert_int_equal(proto_append_bytes(&b, 536870911, "x", 1), 0);
        assert_int_equal(hex_append(&hex, b.data, b.len), 0);
        assert_string_equal(hex.data, "0a03617564"
                                      "1200"
                                      "faffffff0f0178");
        r = proto_reader_of(b.data, b.len);
        assert_int_equal(proto_next(&r, &f), 1);
        assert_int_equal(f.number, 1);
        assert_true(f.is_bytes);
        assert_int_equal(f.len, 3);
        assert_memory_equal(f.data, "aud", 3);
        assert_int_equal(proto_next(&r, &f), 1);
        assert_int_equal(f.number, 2);
        assert_int_equal(f.len, 0);
        assert_int_equal(proto_next(&r, &f), 1);
        assert_int_equal(f.number, 536870911);
        assert_int_equal(proto_next(&r, &f), 0);
        assert_int_equal(proto_next(&r, &f), 0);
}

static void a_long_field_has_its_length(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        char value[300] = "begin";
        struct proto_reader r;
        struct proto_field f;

        assert_int_equal(proto_append_bytes(&b, 3, value, sizeof(value)), 0);
        assert_memory_equal(b.data, "\x1a\xac\x02", 3);
        r = proto_reader_of(b.data, b.len);
        assert_int_equal(proto_next(&r, &f), 1);
        assert_int_equal(f.len, sizeof(value));
        assert_int_equal(proto_next(&r, &f), 0);
}

static void numbers_are_passed_over(void **state) {
        /* 1: varint 150; 2: fixed64; 3: fixed32; 4: the largest varint; 5: bytes "a" */
        static const uint8_t message[] = { 0x08, 0x96, 0x01, 0x11, 1,    2,    3,    4,
                                           5,    6,    7,    8,    0x1d, 1,    2,    3,
                                           4,    0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0x01, 0x2a, 0x01, 'a' };
        struct proto_reader r = proto_reader_of(message, sizeof(message));
        struct proto_field f;

        for (uint32_t i = 1; i <= 4; i++) {
                assert_int_equal(proto_next(&r, &f), 1);
                assert_int_equal(f.number, i);
                assert_false(f.is_bytes);
        }
        assert_int_equal(proto_next(&r, &f), 1);
        assert_true(f.is_bytes);
        assert_int_equal(proto_next(&r, &f), 0);
}

static void a_broken_message_is_refused(void **state) {
        static const struct {
                const char *bytes;
                size_t len;
        } broken[] = {
                { "\x0a", 1 },                                              /* no length */
                { "\x0a\x02\x61", 3 },                                      /* cut */
                { "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11 },     /* 2^64 - 1 */
                { "\x0a\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 12 }, /* endless */
                { "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11 },     /* over 64 bits */
                { "\x02\x01\x61", 3 },                                      /* field 0 */
                { "\x0b\x0c", 2 },                                          /* group */
                { "\x0e\x00", 2 },                                          /* wire type 6 */
                { "\x09\x01\x02\x03", 4 },                                  /* cut fixed64 */
                { "\x0d\x01", 2 },                                          /* cut fixed32 */
                { "\x82\x80\x80\x80\x10\x00", 6 },                          /* field 2^29 */
                { "\x80", 1 },                                              /* cut tag */
        };

        for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
                struct proto_reader r = proto_reader_of(broken[i].bytes, broken[i].len);
                struct proto_field f = { .number = 77 };

                if (proto_next(&r, &f) != -EBADMSG)
                        fail_msg("taken: number %zu", i);
                assert_int_equal(f.number, 77);
        }
}

/* --- memory -------------------------------------------------------------------------------- */

static int write_and_judge(void *userdata) {
        AUTO_BUF struct buf message = BUF_INIT;
        AUTO_BUF struct buf frame = BUF_INIT;
        AUTO_WIPE_STR char *text = NULL;
        enum grpc_status s;
        int r = proto_append_bytes(&message, 1, "audience", 8);

        if (r == 0)
                r = grpc_append_frame(&frame, message.data, message.len);
        return r < 0 ? r : grpc_answer_status(userdata, &s, &text);
}

static void running_out_of_memory_leaks_nothing(void **state) {
        AUTO_ANSWER struct fetch_answer a;

        answer_with(&a, "7", NULL, "denied");
        assert_true(oom_sweep(write_and_judge, &a) > 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_frame_is_that_of_the_protocol),
                cmocka_unit_test(a_frame_that_is_cut_is_not_whole_yet),
                cmocka_unit_test(a_frame_that_nobody_asked_for_is_refused),
                cmocka_unit_test(a_message_too_long_is_not_framed),
                cmocka_unit_test(an_answer_says_how_it_ended),
                cmocka_unit_test(an_answer_without_one_status_is_not_whole),
                cmocka_unit_test(what_an_answer_says_is_bounded),
                cmocka_unit_test(a_message_has_its_fields),
                cmocka_unit_test(a_long_field_has_its_length),
                cmocka_unit_test(numbers_are_passed_over),
                cmocka_unit_test(a_broken_message_is_refused),
                cmocka_unit_test(running_out_of_memory_leaks_nothing),
        };

        return cmocka_run_group_tests_name("grpc", tests, NULL, NULL);
}
