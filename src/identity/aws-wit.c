/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sts:GetWebIdentityToken: a token of OpenID Connect about our role, for any audience.
 */
#include "base/clock.h"
#include "base/codec.h"
#include "identity/aws.h"
#include "identity/xml.h"

#define AUDIENCES_MAX 10
#define DURATION_MIN 60
#define DURATION_MAX 3600
#define DURATION "300"
#define TAGS_MAX 50
#define TAG_KEY_MAX 128
#define TAG_VALUE_MAX 256

/* "key=value;key=value": in turn, each. False: the end, or *@ret_bad. */
struct tag {
        char key[TAG_KEY_MAX + 1];
        char value[TAG_VALUE_MAX + 1];
};

static bool next_tag(const char **p, struct tag *ret, bool *ret_bad) {
        size_t len = strcspn(*p, ";");
        size_t n_key = strcspn(*p, "=;");

        *ret_bad = false;
        if (!**p)
                return false;
        *ret_bad = n_key == 0 || n_key > TAG_KEY_MAX || n_key == len ||
                   len - n_key - 1 > TAG_VALUE_MAX;
        if (*ret_bad)
                return false;
        memcpy(ret->key, *p, n_key);
        ret->key[n_key] = '\0';
        memcpy(ret->value, *p + n_key + 1, len - n_key - 1);
        ret->value[len - n_key - 1] = '\0';
        *p += len + ((*p)[len] == ';');
        return true;
}

static int check(const struct identity_config *c, struct error *err) {
        const char *alg = identity_config_get(c, "alg");
        const char *duration = identity_config_get(c, "duration");
        const char *tags = identity_config_get(c, "tags");
        uint64_t sec = DURATION_MIN;
        unsigned n_tags = 0;
        bool bad = false;
        struct tag t;

        if (alg && !streq(alg, "RS256") && !streq(alg, "ES384"))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Its values are RS256 and ES384",
                                 "The identity provider '%s' does not sign with alg '%.64s'",
                                 c->provider, alg);
        if (duration && (number_parse(duration, DURATION_MAX, &sec) < 0 || sec < DURATION_MIN))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give 60 to 3600 seconds",
                                 "The identity provider '%s' issues nothing for a duration of "
                                 "'%.64s'",
                                 c->provider, duration);
        while (tags && next_tag(&tags, &t, &bad))
                n_tags++;
        if (bad || n_tags > TAGS_MAX)
                return error_set(
                        err, MCPB_BAD_CONFIG, EINVAL, "Give 50 at most, as key=value;key=value",
                        "The tags of the identity provider '%s' cannot be sent", c->provider);
        return aws_check(c, err);
}

static int begin(struct identity *i, struct error *err) {
        if (i->n_audiences > AUDIENCES_MAX)
                return error_set(err, MCPB_BAD_CONFIG, E2BIG, "Ask for 10 at most",
                                 "A token of the identity provider '%s' has not that many "
                                 "audiences",
                                 i->provider->name);
        return aws_begin(i, true, err);
}

static int append_numbered(struct buf *b, const char *what, size_t n, const char *part,
                           const char *value) {
        char name[64];

        (void)snprintf(name, sizeof(name), "%s.member.%zu%s", what, n, part);
        return sigv4_append_pair(b, name, value);
}

static int append_body(const struct identity *i, struct buf *b) {
        const char *alg = identity_config_get(&i->config, "alg");
        const char *duration = identity_config_get(&i->config, "duration");
        const char *tags = identity_config_get(&i->config, "tags");
        bool bad = false;
        struct tag t;
        size_t n = 0;
        int r = buf_append_str(b, "Action=GetWebIdentityToken&Version=2011-06-15");

        for (size_t k = 0; k < i->n_audiences && r == 0; k++)
                r = append_numbered(b, "Audience", k + 1, "", i->audiences[k]);
        if (r == 0)
                r = sigv4_append_pair(b, "SigningAlgorithm", alg ? alg : "RS256");
        if (r == 0)
                r = sigv4_append_pair(b, "DurationSeconds", duration ? duration : DURATION);
        while (r == 0 && tags && next_tag(&tags, &t, &bad)) {
                n++;
                r = append_numbered(b, "Tags", n, ".Key", t.key);
                if (r == 0)
                        r = append_numbered(b, "Tags", n, ".Value", t.value);
        }
        return r;
}

static int ask(struct identity *i, struct error *err) {
        struct sigv4 key = aws_signer(i);
        AUTO_BUF struct buf url = BUF_INIT;
        int r;

        if (i->phase != AWS_READY)
                return aws_ask(i, err);
        r = aws_sts_url(i->state, &url);
        if (r == 0)
                r = identity_ask_fetch(i, "POST", url.data, "asking %s for a token", url.data);
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, "Content-Type", AWS_FORM);
        if (r == 0)
                r = append_body(i, &i->step.fetch.body);
        return r < 0 ? r : sigv4_sign(&i->step.fetch, &key);
}

static int read_token(struct identity *i, const struct fetch_answer *a, struct error *err) {
        static const char parent[] = "GetWebIdentityTokenResult";
        AUTO_BUF struct buf token = BUF_INIT;
        AUTO_BUF struct buf until = BUF_INIT;
        uint64_t expires = 0;
        int r = xml_text(a->body.data, a->body.len, parent, "WebIdentityToken", &token);

        if (r == 0)
                r = xml_text(a->body.data, a->body.len, parent, "Expiration", &until);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !until.data || clock_parse_utc(until.data, &expires) < 0)
                return identity_fault(i, err, EBADMSG, "Look at what answers there",
                                      "what came is not the XML that it should be");
        return identity_finish_jwt(i, token.data ? token.data : "", token.len, expires, err);
}

static int on_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        if (i->phase != AWS_READY)
                return aws_on_answer(i, a, err);
        return a->status == 200 ? read_token(i, a, err) : aws_sts_refused(i, a, err);
}

const struct identity_provider identity_aws_wit = {
        .name = "aws-wit",
        .options = { "region", "source", "alg", "duration", "tags" },
        .argument = "region",
        .kind = IDENTITY_JWT,
        .many_audiences = true,
        .state_size = sizeof(struct aws),
        .check = check,
        .begin = begin,
        .ask = ask,
        .on_answer = on_answer,
        .on_bytes = aws_on_bytes,
        .done = aws_done,
};
