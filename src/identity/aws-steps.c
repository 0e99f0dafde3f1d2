/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/aws.h"

#include <assert.h>

#include "base/url.h"
#include "identity/xml.h"

#define IMDS_ROLES "/latest/meta-data/iam/security-credentials/"
#define HINT_IMDS                                                                              \
        "On an instance, enable its metadata service; from a container it is one hop too far " \
        "unless the instance's hop limit is 2 (or give the container a role of its own)"
#define ROLE_MAX 64

/* Where there are credentials from elsewhere only the region is asked for. */
static const char *imds_hint(const struct aws *s) {
        return s->source == AWS_IMDS ? HINT_IMDS : AWS_HINT_REGION;
}

static int ask_imds(struct identity *i, const char *method, const char *path, const char *more,
                    const char *what) {
        struct aws *s = i->state;
        AUTO_BUF struct buf url = BUF_INIT;
        int r = buf_printf(&url, "%s%s%s", s->imds, path, more);

        if (r == 0)
                r = identity_ask_fetch(i, method, url.data, "asking the instance for %s", what);
        if (r < 0)
                return r;
        identity_fetch_link_local(i);
        i->hint = imds_hint(s);
        return s->imds_token && !streq(method, "PUT")
                       ? fetch_request_add_header(&i->step.fetch, "X-aws-ec2-metadata-token",
                                                  s->imds_token)
                       : 0;
}

static int ask_imds_token(struct identity *i) {
        int r = ask_imds(i, "PUT", "/latest/api/token", "", "a session");

        /* As long as the SDKs ask for; ours ends with this attempt. */
        return r < 0 ? r
                     : fetch_request_add_header(&i->step.fetch,
                                                "X-aws-ec2-metadata-token-ttl-seconds", "21600");
}

static int ask_container(struct identity *i, struct error *err) {
        struct aws *s = i->state;
        AUTO_BUF struct buf url = BUF_INIT;
        AUTO_URL struct url u = URL_INIT;
        int r = aws_container_url(i, &url, err);

        if (r < 0)
                return r;
        r = url_parse(&u, url.data, "URL", NULL);
        if (r == 0)
                r = identity_ask_fetch(i, "GET", url.data,
                                       "asking for the container's credentials");
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, "Accept", "application/json");
        if (r == 0 && s->container_token)
                r = fetch_request_add_header(&i->step.fetch, "Authorization", s->container_token);
        if (r < 0)
                return r;
        if (streq(u.scheme, "http") && !url_host_is_loopback(&u))
                identity_fetch_link_local(i);
        i->repeat = IDENTITY_REPEAT_404;
        i->hint = AWS_HINT_CONTAINER;
        return 0;
}

/* Not signed: the token is what proves who we are. */
static int ask_web(struct identity *i) {
        struct aws *s = i->state;
        const char *session = identity_env_get(i->env, "AWS_ROLE_SESSION_NAME");
        const char *role = identity_env_get(i->env, "AWS_ROLE_ARN");
        AUTO_BUF struct buf url = BUF_INIT;
        struct buf *body = &i->step.fetch.body;
        int r = aws_sts_url(s, &url);

        if (r == 0)
                r = identity_ask_fetch(i, "POST", url.data, "assuming the role by web identity");
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, "Content-Type", AWS_FORM);
        if (r == 0)
                r = buf_append_str(body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
        if (r == 0)
                r = sigv4_append_pair(body, "RoleArn", role);
        if (r == 0)
                r = sigv4_append_pair(body, "RoleSessionName", session ? session : "mcp-broker");
        return r < 0 ? r : sigv4_append_pair(body, "WebIdentityToken", s->web_token);
}

static int ask_file(struct identity *i, const char *variable) {
        const char *path = identity_env_get(i->env, variable);

        return identity_ask_read(i, path, ORDER_RULES_SECRET, "reading %s of %s", path, variable);
}

int aws_ask(struct identity *i, struct error *err) {
        struct aws *s = i->state;

        switch ((enum aws_phase)i->phase) {
        case AWS_IMDS_TOKEN:
                return ask_imds_token(i);
        case AWS_IMDS_REGION:
                return ask_imds(i, "GET", "/latest/meta-data/placement/region", "", "its region");
        case AWS_IMDS_ROLE:
                return ask_imds(i, "GET", IMDS_ROLES, "", "its role");
        case AWS_IMDS_CREDENTIALS:
                return ask_imds(i, "GET", IMDS_ROLES, s->role, "the credentials of its role");
        case AWS_CONTAINER_FILE:
                return ask_file(i, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
        case AWS_CONTAINER_CREDENTIALS:
                return ask_container(i, err);
        case AWS_WEB_FILE:
                return ask_file(i, "AWS_WEB_IDENTITY_TOKEN_FILE");
        case AWS_WEB_CREDENTIALS:
                return ask_web(i);
        case AWS_READY:
                break;
        }
        assert(false);
        return -EINVAL;
}

/* --- what comes ----------------------------------------------------------------------------- */

/* It becomes part of a path. */
static bool role_valid(const char *role) {
        size_t len = strlen(role);

        for (size_t i = 0; i < len; i++)
                if (!((role[i] >= 'a' && role[i] <= 'z') || (role[i] >= 'A' && role[i] <= 'Z') ||
                      (role[i] >= '0' && role[i] <= '9') || strchr("+=,.@_-", role[i])))
                        return false;
        return len > 0 && len <= ROLE_MAX && !streq(role, ".") && !streq(role, "..");
}

/* A line of text without the blanks around it; *@ret is replaced. */
static int take_line(const struct identity *i, const struct buf *b, bool (*is_good)(const char *),
                     const char *what, char **ret, struct error *err) {
        const char *p = b->len > 0 ? b->data : "";
        size_t len = b->len;
        AUTO_WIPE_STR char *text = NULL;

        while (len > 0 && p[len - 1] && strchr(" \t\r\n", p[len - 1]))
                len--;
        text = strndup(p, len);
        if (!text)
                return error_oom(err);
        if (strlen(text) != len || !is_good(text))
                return identity_fault(i, err, EBADMSG, "Look at what answers there, or wrote it",
                                      "what came is no %s", what);
        (void)str_wipe_free(*ret);
        *ret = TAKE(text);
        return 0;
}

static bool is_session(const char *text) {
        return aws_is_visible(text, 4096);
}

static bool is_token(const char *text) {
        return aws_is_header(text, AWS_TOKEN_MAX);
}

/* Its session has ended before its time: once, a new one. */
static bool renew_session(struct aws *s, const struct fetch_answer *a) {
        if (a->status != 401 || s->imds_token_renewed)
                return false;
        s->imds_token_renewed = true;
        s->imds_token = str_wipe_free(s->imds_token);
        return true;
}

static int on_imds_text(struct identity *i, const struct fetch_answer *a, struct error *err) {
        struct aws *s = i->state;
        AUTO_WIPE_STR char *region = NULL;
        int r;

        if (i->phase == AWS_IMDS_TOKEN)
                r = take_line(i, &a->body, is_session, "session token", &s->imds_token, err);
        else if (i->phase == AWS_IMDS_ROLE)
                r = take_line(i, &a->body, role_valid, "name of a role", &s->role, err);
        else
                r = take_line(i, &a->body, aws_region_valid, "region", &region, err);
        if (region)
                memcpy(s->region, region, strlen(region) + 1);
        return r < 0 ? r : aws_go_on(i, err);
}

/* IMDS and the containers' agents say the same, but for the status that IMDS puts beside it. */
static int on_json(struct identity *i, const struct fetch_answer *a, struct error *err) {
        AUTO_JSON json_t *json = NULL;
        const char *code;
        const char *token;
        int r = identity_json(i, a->body.data, a->body.len, &json, err);

        if (r < 0)
                return r;
        code = json_get_string(json, "Code");
        if (code && !streq(code, "Success")) {
                char said[IDENTITY_SAID_MAX + 1];

                identity_said(code, said);
                return identity_fault(i, err, EPROTO, "See that the role can be assumed",
                                      "there are no credentials: %s", said);
        }
        token = json_get_string(json, "Token");
        r = aws_keep_credentials(i, json_get_string(json, "AccessKeyId"),
                                 json_get_string(json, "SecretAccessKey"), token ? token : "",
                                 json_get_string(json, "Expiration"), err);
        return r < 0 ? r : aws_go_on(i, err);
}

static int on_imds(struct identity *i, struct fetch_answer *a, struct error *err) {
        if (a->status != 200 && i->phase != AWS_IMDS_TOKEN && renew_session(i->state, a))
                return aws_go_on(i, err);
        if (a->status == 404 && i->phase == AWS_IMDS_ROLE)
                return identity_fault(i, err, ENOENT,
                                      "Attach a role (an instance profile) to the instance",
                                      "the instance has no role");
        if (a->status != 200)
                return identity_refused(
                        i, a,
                        ((struct aws *)i->state)->source == AWS_IMDS ? HINT_IMDS : AWS_HINT_REGION,
                        err);
        return i->phase == AWS_IMDS_CREDENTIALS ? on_json(i, a, err) : on_imds_text(i, a, err);
}

static int on_web(struct identity *i, struct fetch_answer *a, struct error *err) {
        static const char *const names[] = { "AccessKeyId", "SecretAccessKey", "SessionToken",
                                             "Expiration" };
        struct buf texts[ARRAY_SIZE(names)] = { BUF_INIT, BUF_INIT, BUF_INIT, BUF_INIT };
        int r = a->status == 200 ? 0 : aws_sts_refused(i, a, err);

        for (size_t k = 0; k < ARRAY_SIZE(names) && r == 0; k++) {
                r = xml_text(a->body.data, a->body.len, "Credentials", names[k], &texts[k]);
                if (r == -ENOMEM)
                        r = error_oom(err);
                else if (r < 0)
                        r = identity_fault(i, err, EBADMSG, "Look at what answers there",
                                           "what came is not the XML that it should be");
        }
        if (r == 0)
                r = aws_keep_credentials(i, texts[0].data ? texts[0].data : "", texts[1].data,
                                         texts[2].data ? texts[2].data : "",
                                         texts[3].data ? texts[3].data : "", err);
        for (size_t k = 0; k < ARRAY_SIZE(names); k++)
                buf_done(&texts[k]);
        return r < 0 ? r : aws_go_on(i, err);
}

int aws_on_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        if (i->phase == AWS_WEB_CREDENTIALS)
                return on_web(i, a, err);
        if (i->phase != AWS_CONTAINER_CREDENTIALS)
                return on_imds(i, a, err);
        return a->status == 200 ? on_json(i, a, err)
                                : identity_refused(i, a, AWS_HINT_CONTAINER, err);
}

int aws_on_bytes(struct identity *i, struct buf *bytes, struct error *err) {
        struct aws *s = i->state;
        char **to = i->phase == AWS_WEB_FILE ? &s->web_token : &s->container_token;

        int r = take_line(i, bytes, is_token, "token", to, err);

        return r < 0 ? r : aws_go_on(i, err);
}
