/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/aws.h"
#include "identity/xml.h"

#define HINT_ROLE "See that the role's trust policy admits this service account"

int aws_sts_url(const struct aws *s, struct buf *url) {
        if (!s->region[0])
                return buf_append_str(url, "https://sts.amazonaws.com/");
        return buf_printf(url, "https://sts.%s.amazonaws.com%s/", s->region,
                          strncmp(s->region, "cn-", 3) == 0 ? ".cn" : "");
}

struct sigv4 aws_signer(const struct identity *i) {
        const struct aws *s = i->state;

        return (struct sigv4){ .access_key_id = s->access_key_id,
                               .secret = s->secret,
                               .session_token = s->session_token,
                               .region = s->region[0] ? s->region : "us-east-1",
                               .service = "sts",
                               .now_wall = i->now_wall };
}

static const char *hint_for(const char *code) {
        static const struct {
                const char *code;
                const char *hint;
        } known[] = {
                { "OutboundWebIdentityFederationDisabled",
                  "An administrator of the account must enable it first "
                  "(iam:EnableOutboundWebIdentityFederation)" },
                { "AccessDenied", "Allow it in the policy of the role, and where tags= is given "
                                  "sts:TagGetWebIdentityToken as well" },
                { "ExpiredToken", "The credentials have ended: get new ones, or start the daemon "
                                  "anew where they are in its environment" },
                { "ExpiredTokenException", "See that whatever writes the token file is running" },
                { "SessionDurationEscalation", "Ask for a shorter duration=: the token would live "
                                               "longer than the role's session" },
                { "JWTPayloadSizeExceeded", "Give fewer or shorter tags=" },
                { "InvalidIdentityToken", HINT_ROLE },
                { "IDPRejectedClaim", HINT_ROLE },
                { "SignatureDoesNotMatch", "See that the secret key is right, and the clock" },
                { "RequestExpired", "See that the clock is right" },
                { "InvalidClientTokenId", "See that the access key is right, and of this account" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(known); k++)
                if (streq(known[k].code, code))
                        return known[k].hint;
        return "Look it up in the documentation of AWS STS";
}

int aws_sts_refused(const struct identity *i, const struct fetch_answer *a, struct error *err) {
        AUTO_BUF struct buf code = BUF_INIT;
        AUTO_BUF struct buf message = BUF_INIT;
        char said[IDENTITY_SAID_MAX + 1] = "";
        char named[IDENTITY_SAID_MAX + 1] = "";
        int r = xml_text(a->body.data, a->body.len, "Error", "Code", &code);

        if (r == 0)
                r = xml_text(a->body.data, a->body.len, "Error", "Message", &message);
        if (r == -ENOMEM)
                return error_oom(err);
        if (code.len == 0)
                return identity_refused(i, a, NULL, err);
        identity_said(code.data, named);
        if (message.len > 0)
                identity_said(message.data, said);
        return identity_fault(i, err, EPROTO, hint_for(code.data),
                              "refused with HTTP status %u: %s%s%s", a->status, named,
                              said[0] ? ": " : "", said);
}
