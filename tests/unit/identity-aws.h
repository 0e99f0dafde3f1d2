/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the providers of AWS share: the requests to an instance as the SDK makes them,
 * and the answers.
 */
#pragma once

#include "identity.h"

#define REGION "AWS_REGION=eu-central-1"
#define KEY_ID "AWS_ACCESS_KEY_ID=ASIAEXAMPLE"
#define KEY "AWS_SECRET_ACCESS_KEY=secretEXAMPLE/+"
#define SESSION "AWS_SESSION_TOKEN=session//token+EXAMPLE=="
#define STS "https://sts.eu-central-1.amazonaws.com/"
#define IMDS "http://169.254.169.254"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define ARN "AWS_ROLE_ARN=arn:aws:iam::123456789012:role/agent"
#define TOKEN_FILE "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/secrets/eks.amazonaws.com/x/token"
#define METADATA (ADDRESS_LINK_LOCAL | ADDRESS_LOOPBACK)
#define ANYWHERE (ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK)

/* Credentials as IMDS and the containers' agents give them: the same as those above. */
#define CREDENTIALS                                                                       \
        "{\"Code\":\"Success\",\"Type\":\"AWS-HMAC\",\"AccessKeyId\":\"ASIAEXAMPLE\","    \
        "\"SecretAccessKey\":\"secretEXAMPLE/+\",\"Token\":\"session//token+EXAMPLE==\"," \
        "\"LastUpdated\":\"2026-09-21T13:00:00Z\",\"Expiration\":\"2026-09-21T19:00:00Z\"}"

static const char *const lambda[] __attribute__((unused)) = { REGION, KEY_ID, KEY, SESSION, NULL };

/* One request, as it must be, and what is answered. */
struct exchange {
        const char *method;
        const char *url;
        unsigned allow;
        struct {
                const char *name;
                const char *value;
        } headers[2]; /* these, and no others */
        const char *answer;
};

static inline void check_request(const struct fetch_request *f, const struct exchange *e) {
        size_t n = 0;

        assert_string_equal(f->method, e->method);
        assert_string_equal(f->url, e->url);
        assert_int_equal(f->allow, e->allow);
        assert_int_equal(f->link_local, (e->allow & ADDRESS_LINK_LOCAL) != 0);
        assert_true(f->direct);
        for (; n < ARRAY_SIZE(e->headers) && e->headers[n].name; n++)
                assert_string_equal(sent_header(f, e->headers[n].name), e->headers[n].value);
        assert_int_equal(f->n_headers, n);
}

static inline void answer_all(struct identity *i, const struct exchange *e, size_t n) {
        for (size_t k = 0; k < n; k++) {
                check_request(&step_of(i, IDENTITY_FETCH)->fetch, &e[k]);
                feed_status(i, 200, e[k].answer);
        }
}

static inline char *wit_answer(const char *token, const char *until) {
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(
                buf_printf(&b,
                           "<GetWebIdentityTokenResponse xmlns=\"https://sts.amazonaws.com/doc/"
                           "2011-06-15/\">\n  <GetWebIdentityTokenResult>\n    <WebIdentityToken>"
                           "%s</WebIdentityToken>\n    <Expiration>%s</Expiration>\n"
                           "  </GetWebIdentityTokenResult>\n  <ResponseMetadata><RequestId>1"
                           "</RequestId></ResponseMetadata>\n</GetWebIdentityTokenResponse>\n",
                           token, until),
                0);
        return buf_steal(&b);
}

static const struct exchange imds[] __attribute__((unused)) = {
        { "PUT",
          IMDS "/latest/api/token",
          METADATA,
          { { "X-aws-ec2-metadata-token-ttl-seconds", "21600" } },
          "SESSION==\n" },
        { "GET",
          IMDS "/latest/meta-data/placement/region",
          METADATA,
          { { "X-aws-ec2-metadata-token", "SESSION==" } },
          "eu-central-1" },
        { "GET",
          IMDS ROLES,
          METADATA,
          { { "X-aws-ec2-metadata-token", "SESSION==" } },
          "agent+role@x" },
        { "GET",
          IMDS ROLES "agent+role@x",
          METADATA,
          { { "X-aws-ec2-metadata-token", "SESSION==" } },
          CREDENTIALS },
};

#define WEB_ANSWER(id, until)                                                        \
        "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/"  \
        "2011-06-15/\"><AssumeRoleWithWebIdentityResult><Audience>sts.amazonaws.com" \
        "</Audience><Credentials><AccessKeyId>" id "</AccessKeyId><SecretAccessKey>" \
        "secretEXAMPLE/+</SecretAccessKey><SessionToken>session//token+EXAMPLE=="    \
        "</SessionToken><Expiration>" until "</Expiration></Credentials>"            \
        "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
