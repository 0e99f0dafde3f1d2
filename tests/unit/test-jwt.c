/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/jwt.h"

#include "base/codec.h"
#include "base/limits.h"
#include "oom.h"
#include "test.h"

#define HEADER "{\"alg\":\"RS256\",\"kid\":\"k1\"}"
#define CLAIMS "{\"iss\":\"https://issuer.example\",\"sub\":\"me\",\"exp\":1800000000}"

static void token_make(struct buf *b, const char *header, const char *claims) {
        assert_int_equal(base64url_append(b, header, strlen(header)), 0);
        assert_int_equal(buf_append(b, ".", 1), 0);
        assert_int_equal(base64url_append(b, claims, strlen(claims)), 0);
        assert_int_equal(buf_append_str(b, ".c2lnbmF0dXJl"), 0);
}

static int read_text(const char *text) {
        return jwt_read(text, strlen(text), NULL, NULL);
}

static int read_parts(const char *header, const char *claims) {
        AUTO_BUF struct buf b = BUF_INIT;

        token_make(&b, header, claims);
        return jwt_read(b.data, b.len, NULL, NULL);
}

/* RFC 7519 3.1, RFC 7515 A.1 */
static void the_example_of_the_standard_is_read(void **state) {
        static const char text[] =
                "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9"
                ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
                "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
                ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;
        uint64_t sec = 0;

        assert_int_equal(jwt_read(text, strlen(text), &header, &claims), 0);
        assert_string_equal(json_get_string(header, "alg"), "HS256");
        assert_string_equal(json_get_string(claims, "iss"), "joe");
        assert_int_equal(jwt_date(claims, "exp", &sec), 0);
        assert_int_equal(sec, 1300819380);
}

static void either_half_may_be_left_out(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;

        token_make(&b, HEADER, CLAIMS);
        assert_int_equal(jwt_read(b.data, b.len, &header, NULL), 0);
        assert_string_equal(json_get_string(header, "kid"), "k1");
        assert_int_equal(jwt_read(b.data, b.len, NULL, &claims), 0);
        assert_string_equal(json_get_string(claims, "sub"), "me");
}

static void a_token_cut_anywhere_is_none(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;
        size_t signature;

        token_make(&b, HEADER, CLAIMS);
        signature = (size_t)(strrchr(b.data, '.') + 1 - b.data);
        for (size_t len = 0; len <= signature; len++)
                assert_int_equal(jwt_read(b.data, len, NULL, NULL), -EBADMSG);
        assert_int_equal(jwt_read(b.data, b.len, NULL, NULL), 0);
}

/* In each place of each part: what could end a header field, or hide what comes behind. */
static void other_characters_are_refused_wherever_they_stand(void **state) {
        static const char wrong[] = { '\r', '\n', '\0', ' ', '=', '+', '/', '\x80', '\x7f' };
        AUTO_BUF struct buf b = BUF_INIT;

        token_make(&b, HEADER, CLAIMS);
        for (size_t i = 0; i < b.len; i++) {
                char was = b.data[i];

                for (size_t k = 0; k < sizeof(wrong); k++) {
                        b.data[i] = wrong[k];
                        assert_int_equal(jwt_read(b.data, b.len, NULL, NULL), -EBADMSG);
                }
                b.data[i] = was;
        }
        assert_int_equal(jwt_read(b.data, b.len, NULL, NULL), 0);
        assert_int_equal(buf_append(&b, "\n", 1), 0);
        assert_int_equal(jwt_read(b.data, b.len, NULL, NULL), -EBADMSG);
}

static void what_is_no_signed_token_is_refused(void **state) {
        assert_int_equal(read_text(""), -EBADMSG);
        assert_int_equal(read_text("an-opaque-token"), -EBADMSG);
        assert_int_equal(read_text(".."), -EBADMSG);
        assert_int_equal(read_text("e30.e30.c2ln"), -EBADMSG); /* no "alg" */
        assert_int_equal(read_text("eyJhbGciOiJub25lIn0.e30."), -EBADMSG);
        assert_int_equal(read_text("eyJhbGciOiJSUzI1NiJ9.e30.c2ln"), 0);
        /* encrypted: five parts */
        assert_int_equal(read_text("eyJhbGciOiJSUzI1NiJ9.e30.c2ln.c2ln.c2ln"), -EBADMSG);
        assert_int_equal(read_text("eyJhbGciOiJSUzI1NiJ9.e30.c2ln."), -EBADMSG);
}

/* {"a":[[...]]} */
static int read_nested(unsigned depth) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_append_str(&b, "{\"a\":"), 0);
        for (unsigned i = 1; i < depth; i++)
                assert_int_equal(buf_append_str(&b, "["), 0);
        for (unsigned i = 1; i < depth; i++)
                assert_int_equal(buf_append_str(&b, "]"), 0);
        assert_int_equal(buf_append_str(&b, "}"), 0);
        return read_parts(HEADER, b.data);
}

static void header_and_claims_are_sound_objects(void **state) {
        assert_int_equal(read_parts(HEADER, CLAIMS), 0);
        assert_int_equal(read_parts("[]", CLAIMS), -EBADMSG);
        assert_int_equal(read_parts(HEADER, "\"text\""), -EBADMSG);
        assert_int_equal(read_parts("{\"alg\":7}", CLAIMS), -EBADMSG);
        assert_int_equal(read_parts(HEADER, "{\"sub\":\"a\",\"sub\":\"b\"}"), -EBADMSG);
        assert_int_equal(read_parts("{\"alg\":\"RS256\",\"alg\":\"none\"}", CLAIMS), -EBADMSG);
        assert_int_equal(read_parts(HEADER, CLAIMS "x"), -EBADMSG);
        assert_int_equal(read_parts(HEADER, "{\"sub\":\"a\\u0000b\"}"), -EBADMSG);
        assert_int_equal(read_nested(LIMIT_METADATA_DEPTH), 0);
        assert_int_equal(read_nested(LIMIT_METADATA_DEPTH + 1), -EBADMSG);
}

/* S9 */
static void a_token_has_a_bound(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        token_make(&b, HEADER, CLAIMS);
        buf_truncate(&b, (size_t)(strrchr(b.data, '.') + 1 - b.data));
        /* One character alone in its group of four would be no base64url. */
        if ((LIMIT_JWT_BYTES - b.len) % 4 == 1) {
                buf_clear(&b);
                token_make(&b, "{\"alg\":\"RS256\"} ", CLAIMS);
                buf_truncate(&b, (size_t)(strrchr(b.data, '.') + 1 - b.data));
        }
        while (b.len < LIMIT_JWT_BYTES)
                assert_int_equal(buf_append(&b, "A", 1), 0);
        assert_int_equal(jwt_read(b.data, b.len, NULL, NULL), 0);
        assert_int_equal(buf_append(&b, "AAAA", 4), 0);
        assert_int_equal(jwt_read(b.data, b.len, NULL, NULL), -EBADMSG);
}

static void dates_are_read_as_the_standard_writes_them(void **state) {
        static const struct {
                const char *json;
                int r;
                uint64_t sec;
        } cases[] = {
                { "{\"exp\":0}", 0, 0 },
                { "{\"exp\":1800000000}", 0, 1800000000 },
                { "{\"exp\":1800000000.9}", 0, 1800000000 },
                { "{\"exp\":1.8e9}", 0, 1800000000 },
                { "{\"exp\":253402300799}", 0, 253402300799 },
                { "{\"exp\":253402300800}", -EBADMSG, 0 },
                { "{\"exp\":1e300}", -EBADMSG, 0 },
                { "{\"exp\":-1}", -EBADMSG, 0 },
                { "{\"exp\":-0.5}", -EBADMSG, 0 },
                { "{\"exp\":\"1800000000\"}", -EBADMSG, 0 },
                { "{\"exp\":null}", -EBADMSG, 0 },
                { "{\"iat\":1}", -ENOENT, 0 },
        };

        for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
                AUTO_JSON json_t *claims = NULL;
                uint64_t sec = 77;

                assert_int_equal(json_parse(cases[i].json, strlen(cases[i].json), 2, &claims, NULL),
                                 0);
                assert_int_equal(jwt_date(claims, "exp", &sec), cases[i].r);
                assert_int_equal(sec, cases[i].r == 0 ? cases[i].sec : 77);
        }
}

static int read_and_drop(void *userdata) {
        const struct buf *b = userdata;
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;

        return jwt_read(b->data, b->len, &header, &claims);
}

static void no_allocation_that_fails_does_harm(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        token_make(&b, HEADER, CLAIMS);
        /* jansson takes some of its failures for bad input, see json_parse(). */
        assert_true(oom_sweep_any(read_and_drop, &b) > 5);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_example_of_the_standard_is_read),
                cmocka_unit_test(either_half_may_be_left_out),
                cmocka_unit_test(a_token_cut_anywhere_is_none),
                cmocka_unit_test(other_characters_are_refused_wherever_they_stand),
                cmocka_unit_test(what_is_no_signed_token_is_refused),
                cmocka_unit_test(header_and_claims_are_sound_objects),
                cmocka_unit_test(a_token_has_a_bound),
                cmocka_unit_test(dates_are_read_as_the_standard_writes_them),
                cmocka_unit_test(no_allocation_that_fails_does_harm),
        };

        return cmocka_run_group_tests_name("jwt", tests, NULL, NULL);
}
