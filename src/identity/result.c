/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a token must say before it is anybody's identity: that it is for the audience that was asked
 * for, all of it and nothing else, and that it is still valid.
 */
#include "identity/provider.h"
#include "jose/cert.h"
#include "jose/jwt.h"

#define EARLY_USEC (60 * USEC_PER_SEC)

static const char *audience_at(const json_t *aud, size_t k) {
        return json_string_value(json_is_array(aud) ? json_array_get(aud, k) : aud);
}

static bool wanted(const struct identity *i, const char *audience) {
        if (i->token_audience)
                return streq(i->token_audience, audience);
        for (size_t k = 0; k < i->n_audiences; k++)
                if (streq(i->audiences[k], audience))
                        return true;
        return false;
}

static bool there(const json_t *aud, const char *audience) {
        size_t n = json_is_array(aud) ? json_array_size(aud) : 1;

        for (size_t k = 0; k < n; k++)
                if (streq(audience_at(aud, k), audience))
                        return true;
        return false;
}

/* Both ways: a token that is good elsewhere too is not ours to show. */
static bool audience_matches(const struct identity *i, const json_t *aud) {
        size_t n = json_is_array(aud) ? json_array_size(aud) : 1;

        for (size_t k = 0; k < n; k++)
                if (!audience_at(aud, k) || !wanted(i, audience_at(aud, k)))
                        return false;
        if (i->token_audience)
                return n > 0;
        for (size_t k = 0; k < i->n_audiences; k++)
                if (!there(aud, i->audiences[k]))
                        return false;
        return true;
}

static int judge_audience(const struct identity *i, const json_t *claims, struct error *err) {
        const json_t *aud = json_object_get(claims, "aud");
        const char *first = aud ? audience_at(aud, 0) : NULL;
        const char *asked = i->token_audience ? i->token_audience : i->audiences[0];

        if (aud && audience_matches(i, aud))
                return 0;
        return identity_fault(i, err, EPERM,
                              i->provider->audience_hint
                                      ? i->provider->audience_hint
                                      : "Configure the audience there, or Audience= here, so that "
                                        "both are the same",
                              "the token is for %s%.128s%s, not for '%.128s' alone",
                              first ? "'" : "", first ? first : "nobody", first ? "'" : "", asked);
}

/* Which is earlier; 0 is not known. */
static uint64_t earlier(uint64_t a, uint64_t b) {
        if (a == 0 || b == 0)
                return a + b;
        return a < b ? a : b;
}

static int judge_dates(struct identity *i, const json_t *claims, uint64_t expires_wall,
                       struct error *err) {
        uint64_t exp = 0;
        int r = jwt_date(claims, "exp", &exp);

        if (r < 0 && r != -ENOENT)
                return identity_fault(i, err, EBADMSG, "Look at what issued it",
                                      "the token's 'exp' is no date");
        expires_wall = earlier(exp * USEC_PER_SEC, expires_wall);
        /* An 'exp' of 0 is in the past, not unknown. */
        if ((r == 0 && exp == 0) || (expires_wall > 0 && expires_wall <= i->now_wall))
                return identity_fault(i, err, EKEYEXPIRED,
                                      "See that whatever writes or issues it is running, and that "
                                      "the clock is right",
                                      "the token has expired");
        i->result.expires_wall = expires_wall;
        return 0;
}

static int judge_age(const struct identity *i, const json_t *claims, struct error *err) {
        uint64_t iat = 0;

        if (i->max_age_usec == 0)
                return 0;
        if (jwt_date(claims, "iat", &iat) < 0)
                return identity_fault(i, err, EBADMSG, "Leave max-age= out",
                                      "the token does not say when it was issued");
        if (iat * USEC_PER_SEC + i->max_age_usec <= i->now_wall)
                return identity_fault(i, err, EKEYEXPIRED,
                                      "See that whatever writes it is running, or raise max-age=",
                                      "the token is older than max-age= allows");
        return 0;
}

static uint64_t refresh_time(const struct identity *i) {
        uint64_t end = i->result.expires_wall;
        uint64_t life = end > i->now_wall ? end - i->now_wall : 0;
        uint64_t part = i->now_wall + life / 5 * 4;

        if (i->provider->every_time || life <= EARLY_USEC)
                return 0;
        return part < end - EARLY_USEC ? part : end - EARLY_USEC;
}

static int keep_text(char **to, const json_t *claims, const char *name) {
        const char *text = json_get_string(claims, name);

        if (!text || !*text)
                return 0;
        *to = strdup(text);
        return *to ? 0 : -ENOMEM;
}

/* Nothing of it is shown: what is no token could be a part of one. */
static int no_token(struct identity *i, struct error *err) {
        return identity_fault(i, err, EBADMSG, "Look at what wrote or issued it",
                              "what came is no JSON Web Token");
}

int identity_finish_jwt(struct identity *i, const char *token, size_t len, uint64_t expires_wall,
                        struct error *err) {
        AUTO_JSON json_t *claims = NULL;
        int r = jwt_read(token, len, NULL, &claims);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return no_token(i, err);
        r = judge_audience(i, claims, err);
        if (r == 0)
                r = judge_dates(i, claims, expires_wall, err);
        if (r == 0)
                r = judge_age(i, claims, err);
        if (r < 0)
                return r;
        if (keep_text(&i->result.subject, claims, "sub") < 0 ||
            keep_text(&i->result.issuer, claims, "iss") < 0 ||
            buf_append(&i->result.jwt, token, len) < 0)
                return error_oom(err);
        i->result.refresh_wall = refresh_time(i);
        identity_finish(i, IDENTITY_JWT);
        return 0;
}

int identity_finish_text(struct identity *i, const char *text, size_t len, struct error *err) {
        static const char blanks[] = " \t\r\n";

        while (len > 0 && *text && strchr(blanks, *text)) {
                text++;
                len--;
        }
        while (len > 0 && text[len - 1] && strchr(blanks, text[len - 1]))
                len--;
        return identity_finish_jwt(i, text, len, 0, err);
}

int identity_finish_x509(struct identity *i, struct buf *key_der, struct buf *chain_der,
                         struct error *err) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        uint64_t not_after = 0;
        int r = jose_key_from_der(key_der->data, key_der->len, &key);

        if (r == 0)
                r = cert_is_for(chain_der->data, chain_der->len, key);
        if (r == 0)
                r = cert_not_after(chain_der->data, chain_der->len, &not_after);
        if (r == 0) {
                r = cert_uri(chain_der->data, chain_der->len, &i->result.subject);
                r = r == -ENOENT ? 0 : r;
        }
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return identity_fault(i, err, EBADMSG, "Look at what issued them",
                                      r == -EKEYREJECTED ? "the certificate is not for the key"
                                                         : "key and certificate cannot be read");
        if (not_after * USEC_PER_SEC <= i->now_wall)
                return identity_fault(i, err, EKEYEXPIRED,
                                      "See that whatever issues it is running, and that the clock "
                                      "is right",
                                      "the certificate has expired");
        i->result.expires_wall = not_after * USEC_PER_SEC;
        i->result.refresh_wall = refresh_time(i);
        buf_move(&i->result.key_der, key_der);
        buf_move(&i->result.chain_der, chain_der);
        identity_finish(i, IDENTITY_X509);
        return 0;
}
