/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "identity/sigv4.h"
#include "oom.h"

#define AUTO_REQUEST __attribute__((cleanup(fetch_request_done), unused))

#define EXAMPLE_ID "AKIDEXAMPLE"
#define EXAMPLE_SECRET "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
#define SHORT_ID "ASIAEXAMPLE"
#define SHORT_SECRET "secretEXAMPLE/+"
#define SHORT_TOKEN "session//token+EXAMPLE=="
#define SUITE_TIME (1440938160 * USEC_PER_SEC)          /* 2015-08-30T12:36:00Z */
#define LATER_TIME (1795388400 * USEC_PER_SEC + 999999) /* 2026-11-22T23:00:00Z */
#define FORM "application/x-www-form-urlencoded"
#define PROVIDER \
        "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/a"

static const char *header_of(const struct fetch_request *f, const char *name) {
        for (size_t i = 0; i < f->n_headers; i++)
                if (streq(f->headers[i].name, name))
                        return f->headers[i].value;
        return NULL;
}

struct vector {
        const char *method;
        const char *url;
        struct {
                const char *name;
                const char *value;
        } headers[3];
        const char *body;
        bool lasting; /* the keys of the published examples: no session token */
        const char *region;
        const char *service;
        const char *signed_headers;
        const char *signature;
};

/*
 * The first is "get-vanilla" of the test suite that AWS published, the second the worked example of
 * its documentation ("Create a signed AWS API request"). These two and all others were made with
 * the SDK's own signer, botocore 1.43.11 (SigV4Auth).
 */
static const struct vector vectors[] = {
        { .method = "GET",
          .url = "https://example.amazonaws.com/",
          .lasting = true,
          .region = "us-east-1",
          .service = "service",
          .signed_headers = "host;x-amz-date",
          .signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
        { .method = "GET",
          .url = "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
          .headers = { { "Content-Type", FORM "; charset=utf-8" } },
          .lasting = true,
          .region = "us-east-1",
          .service = "iam",
          .signed_headers = "content-type;host;x-amz-date",
          .signature = "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7" },
        { .method = "GET",
          .url = "https://example.amazonaws.com/?Param2=value2&Param1=value1&Param1=value0&Param1",
          .lasting = true,
          .region = "us-east-1",
          .service = "service",
          .signed_headers = "host;x-amz-date",
          .signature = "92047c1e9eef69bb0c2d62465a193e05ab7c2f1019d29717c5340960f25fad61" },
        { .method = "POST",
          .url = "https://example.amazonaws.com/",
          .headers = { { "My-Header1", "  a   b  " }, { "Content-Type", FORM } },
          .body = "Param1=value1",
          .lasting = true,
          .region = "us-east-1",
          .service = "service",
          .signed_headers = "content-type;host;my-header1;x-amz-date",
          .signature = "d5318d6c3e3937cb10e601cd237e56327f57981c288f3944b7ec43afd101077e" },
        { .method = "POST",
          .url = "https://sts.eu-central-1.amazonaws.com/",
          .headers = { { "Content-Type", FORM } },
          .body = "Action=GetWebIdentityToken&Version=2011-06-15&Audience.member.1=https%3A%2F%2F"
                  "auth.example.com&SigningAlgorithm=RS256&DurationSeconds=300",
          .region = "eu-central-1",
          .service = "sts",
          .signed_headers = "content-type;host;x-amz-date;x-amz-security-token",
          .signature = "24a459918211ea741ad47d8422b623c62a93cbd230d3c5992c9c05c7b47a24f7" },
        { .method = "POST",
          .url = "https://sts.eu-central-1.amazonaws.com?"
                 "Action=GetCallerIdentity&Version=2011-06-15",
          .headers = { { "x-goog-cloud-target-resource", PROVIDER } },
          .region = "eu-central-1",
          .service = "sts",
          .signed_headers = "host;x-amz-date;x-amz-security-token;x-goog-cloud-target-resource",
          .signature = "f3322e4591dec146f56e640714637b2216d91d4ef709d8e2aefe50235ec6463d" },
        { .method = "POST",
          .url = "https://sts.amazonaws.com/",
          .headers = { { "Content-Type", FORM },
                       { "X-Vault-AWS-IAM-Server-ID", "vault.example.com" } },
          .body = "Action=GetCallerIdentity&Version=2011-06-15",
          .region = "us-east-1",
          .service = "sts",
          .signed_headers =
                  "content-type;host;x-amz-date;x-amz-security-token;x-vault-aws-iam-server-id",
          .signature = "f0bf54993cb5d7f4188a353aadf61caecf15caec39820690229f5b3816dbd128" },
        { .method = "GET",
          .url = "http://127.0.0.1:4566/a%20b/c~d:e",
          .region = "us-east-1",
          .service = "sts",
          .signed_headers = "host;x-amz-date;x-amz-security-token",
          .signature = "33c964701fbf214471fc83dd760e2968b24d1a4dcbed9feb078c2e443d9fdbd4" },
};

static struct sigv4 key_of(const struct vector *v) {
        return (struct sigv4){ .access_key_id = v->lasting ? EXAMPLE_ID : SHORT_ID,
                               .secret = v->lasting ? EXAMPLE_SECRET : SHORT_SECRET,
                               .session_token = v->lasting ? NULL : SHORT_TOKEN,
                               .region = v->region,
                               .service = v->service,
                               .now_wall = v->lasting ? SUITE_TIME : LATER_TIME };
}

static int request_of(struct fetch_request *f, const struct vector *v) {
        int r;

        fetch_request_init(f);
        r = fetch_request_set(f, v->method, v->url);
        for (size_t i = 0; i < ARRAY_SIZE(v->headers) && v->headers[i].name && r == 0; i++)
                r = fetch_request_add_header(f, v->headers[i].name, v->headers[i].value);
        return r < 0 || !v->body ? r : buf_append_str(&f->body, v->body);
}

static void a_request_is_signed_as_the_sdk_signs_it(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
                const struct vector *v = &vectors[i];
                struct sigv4 key = key_of(v);
                AUTO_REQUEST struct fetch_request f = { 0 };
                AUTO_BUF struct buf expected = BUF_INIT;

                assert_int_equal(request_of(&f, v), 0);
                assert_int_equal(sigv4_sign(&f, &key), 0);
                assert_int_equal(buf_printf(&expected,
                                            "AWS4-HMAC-SHA256 Credential=%s/%s/%s/%s/aws4_request, "
                                            "SignedHeaders=%s, Signature=%s",
                                            key.access_key_id, v->lasting ? "20150830" : "20261122",
                                            v->region, v->service, v->signed_headers, v->signature),
                                 0);
                assert_string_equal(header_of(&f, "Authorization"), expected.data);
                assert_string_equal(header_of(&f, "X-Amz-Date"),
                                    v->lasting ? "20150830T123600Z" : "20261122T230000Z");
                if (v->lasting)
                        assert_null(header_of(&f, "X-Amz-Security-Token"));
                else
                        assert_string_equal(header_of(&f, "X-Amz-Security-Token"), SHORT_TOKEN);
        }
}

#define CALLER "https://sts.eu-central-1.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15"

static const struct vector presigned[] = {
        { .method = "GET",
          .url = CALLER,
          .headers = { { "x-k8s-aws-id", "cluster-1" } },
          .region = "eu-central-1",
          .service = "sts" },
        { .method = "GET",
          .url = CALLER,
          .headers = { { "x-k8s-aws-id", "cluster-1" } },
          .lasting = true,
          .region = "eu-central-1",
          .service = "sts" },
};

/* botocore 1.43.11 (SigV4QueryAuth), whose parameters stand in another order where there is a
 * token: the signature does not depend on it. */
static void a_url_is_signed_as_the_sdk_signs_it(void **state) {
        static const char *const expected[] = {
                CALLER "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                       "ASIAEXAMPLE%2F20261122%2Feu-central-1%2Fsts%2Faws4_request"
                       "&X-Amz-Date=20261122T230000Z&X-Amz-Expires=60"
                       "&X-Amz-Security-Token=session%2F%2Ftoken%2BEXAMPLE%3D%3D"
                       "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature="
                       "b14271cf67ff14caa053cee35e631a5aa9ca0f7f4a396fce0a704184dd2c8228",
                CALLER "&X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential="
                       "AKIDEXAMPLE%2F20261122%2Feu-central-1%2Fsts%2Faws4_request"
                       "&X-Amz-Date=20261122T230000Z&X-Amz-Expires=60"
                       "&X-Amz-SignedHeaders=host%3Bx-k8s-aws-id&X-Amz-Signature="
                       "71d3e2815b28e0c65b72556482ea951ad8028e034447ac7f88c23ca5ed4dd598",
        };

        for (size_t i = 0; i < ARRAY_SIZE(presigned); i++) {
                struct sigv4 key = key_of(&presigned[i]);
                AUTO_REQUEST struct fetch_request f = { 0 };
                AUTO_BUF struct buf url = BUF_INIT;

                key.now_wall = LATER_TIME;
                assert_int_equal(request_of(&f, &presigned[i]), 0);
                assert_int_equal(sigv4_presign(&f, &key, 60, &url), 0);
                assert_string_equal(url.data, expected[i]);
        }
}

static void what_cannot_be_signed_is_refused(void **state) {
        static const struct vector refused[] = {
                { .method = "GET", .url = "ftp://sts.amazonaws.com/" },
                { .method = "GET", .url = "" },
                { .method = "GET",
                  .url = "https://sts.amazonaws.com/",
                  .headers = { { "x-goog", "1" }, { "X-Goog", "2" } } },
                { .method = "GET",
                  .url = "https://sts.amazonaws.com/",
                  .headers = { { "Host", "elsewhere.example.com" } } },
                { .method = "GET",
                  .url = "https://sts.amazonaws.com/?1&2&3&4&5&6&7&8&9&10&11&12&13&14&15&16&17&18"
                         "&19&20&21&22&23&24&25&26&27&28&29&30&31&32&33" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
                struct sigv4 key = key_of(&vectors[0]);
                AUTO_REQUEST struct fetch_request f = { 0 };
                AUTO_BUF struct buf url = BUF_INIT;

                assert_int_equal(request_of(&f, &refused[i]), 0);
                assert_int_equal(sigv4_sign(&f, &key), -EINVAL);
                assert_null(header_of(&f, "Authorization"));
                assert_int_equal(sigv4_presign(&f, &key, 60, &url), -EINVAL);
                assert_int_equal(url.len, 0);
        }
}

static void values_are_encoded_as_aws_does(void **state) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(sigv4_append_pair(&b, "Tags.member.1.Key", "a b+c*~-._"), 0);
        assert_int_equal(sigv4_append_pair(&b, "ü", "https://x/?y=%"), 0);
        assert_string_equal(b.data, "Tags.member.1.Key=a%20b%2Bc%2A~-._"
                                    "&%C3%BC=https%3A%2F%2Fx%2F%3Fy%3D%25");
}

static void the_host_field_is_that_of_the_url(void **state) {
        static const struct {
                const char *url;
                const char *host;
        } table[] = {
                { "https://sts.amazonaws.com", "sts.amazonaws.com" },
                { "https://sts.amazonaws.com:443/", "sts.amazonaws.com" },
                { "http://127.0.0.1:80/", "127.0.0.1" },
                { "http://127.0.0.1:443/", "127.0.0.1:443" },
                { "http://[fd00:ec2::23]:8080/v1", "[fd00:ec2::23]:8080" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                assert_int_equal(sigv4_append_host(&b, table[i].url), 0);
                assert_string_equal(b.data, table[i].host);
        }
}

static int sign_both_ways(void *userdata) {
        struct sigv4 key = key_of(&presigned[0]);
        AUTO_REQUEST struct fetch_request f = { 0 };
        AUTO_BUF struct buf url = BUF_INIT;
        int r = request_of(&f, &presigned[0]);

        if (r == 0)
                r = sigv4_presign(&f, &key, 60, &url);
        return r < 0 ? r : sigv4_sign(&f, &key);
}

static void running_out_of_memory_leaks_nothing(void **state) {
        assert_true(oom_sweep(sign_both_ways, NULL) > 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_request_is_signed_as_the_sdk_signs_it),
                cmocka_unit_test(a_url_is_signed_as_the_sdk_signs_it),
                cmocka_unit_test(what_cannot_be_signed_is_refused),
                cmocka_unit_test(values_are_encoded_as_aws_does),
                cmocka_unit_test(the_host_field_is_that_of_the_url),
                cmocka_unit_test(running_out_of_memory_leaks_nothing),
        };

        return cmocka_run_group_tests_name("sigv4", tests, NULL, NULL);
}
