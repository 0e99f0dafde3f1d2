/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/aws.h"

#include "base/clock.h"
#include "base/url.h"

#define IMDS_ADDRESS "http://169.254.169.254"
#define IMDS_ADDRESS_IPV6 "http://[fd00:ec2::254]"
#define CONTAINER_ADDRESS "http://169.254.170.2"

static const char *const source_names[AWS_SOURCE_COUNT] = {
        [AWS_ENVIRONMENT] = "environment",
        [AWS_WEB_IDENTITY] = "web-identity",
        [AWS_CONTAINER] = "container",
        [AWS_IMDS] = "imds",
};

void aws_done(void *state) {
        struct aws *s = state;

        free(s->imds);
        (void)str_wipe_free(s->imds_token);
        free(s->role);
        (void)str_wipe_free(s->container_token);
        (void)str_wipe_free(s->web_token);
        (void)str_wipe_free(s->access_key_id);
        (void)str_wipe_free(s->secret);
        (void)str_wipe_free(s->session_token);
}

/* --- what may go into a request ------------------------------------------------------------- */

/* It becomes part of a host name. */
bool aws_region_valid(const char *region) {
        size_t len = strlen(region);

        for (size_t i = 0; i < len; i++)
                if (!((region[i] >= 'a' && region[i] <= 'z') ||
                      (region[i] >= '0' && region[i] <= '9') || (region[i] == '-' && i > 0)))
                        return false;
        return len > 0 && len <= AWS_REGION_MAX && region[len - 1] != '-';
}

static bool is_within(const char *text, char least, size_t max) {
        size_t len = strlen(text);

        for (size_t i = 0; i < len; i++)
                if (text[i] < least || text[i] > 0x7e)
                        return false;
        return len > 0 && len <= max;
}

bool aws_is_visible(const char *text, size_t max) {
        return is_within(text, 0x21, max);
}

bool aws_is_header(const char *text, size_t max) {
        return is_within(text, 0x20, max);
}

static bool is_key_id(const char *text) {
        for (const char *p = text; *p; p++)
                if (!((*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') ||
                      (*p >= '0' && *p <= '9') || *p == '_'))
                        return false;
        return aws_is_visible(text, 128);
}

static int aws_set_text(char **to, const char *text) {
        char *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        (void)str_wipe_free(*to);
        *to = copy;
        return 0;
}

/* --- what comes next ------------------------------------------------------------------------ */

static bool imds_is_off(const struct identity *i) {
        const char *off = identity_env_get(i->env, "AWS_EC2_METADATA_DISABLED");

        return off && (streq(off, "true") || streq(off, "True") || streq(off, "TRUE"));
}

static int need_imds(const struct identity *i, const char *what, struct error *err) {
        if (!imds_is_off(i))
                return 0;
        return identity_fault(i, err, ENOENT,
                              streq(what, "region")
                                      ? AWS_HINT_REGION
                                      : "Give the daemon credentials: AWS_ACCESS_KEY_ID, "
                                        "AWS_WEB_IDENTITY_TOKEN_FILE or "
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI in its environment",
                              "the %s is not in the environment that the daemon was started in, "
                              "and AWS_EC2_METADATA_DISABLED keeps it from asking the instance",
                              what);
}

int aws_go_on(struct identity *i, struct error *err) {
        struct aws *s = i->state;
        bool ask_region = s->wants_region && !s->region[0];
        int r = 0;

        if (ask_region || (s->source == AWS_IMDS && !s->secret)) {
                r = need_imds(i, ask_region ? "region" : "access key", err);
                if (!s->imds_token)
                        identity_go(i, AWS_IMDS_TOKEN);
                else if (ask_region)
                        identity_go(i, AWS_IMDS_REGION);
                else
                        identity_go(i, s->role ? AWS_IMDS_CREDENTIALS : AWS_IMDS_ROLE);
        } else if (s->secret) {
                identity_go(i, AWS_READY);
        } else if (s->source == AWS_WEB_IDENTITY) {
                identity_go(i, s->web_token ? AWS_WEB_CREDENTIALS : AWS_WEB_FILE);
        } else {
                bool file = identity_env_get(i->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");

                identity_go(i, file && !s->container_token ? AWS_CONTAINER_FILE
                                                           : AWS_CONTAINER_CREDENTIALS);
        }
        return r;
}

/* --- the beginning -------------------------------------------------------------------------- */

static int find_name(const char *name, enum aws_source *ret) {
        for (unsigned k = 0; k < AWS_SOURCE_COUNT; k++) {
                if (streq(source_names[k], name)) {
                        *ret = (enum aws_source)k;
                        return 0;
                }
        }
        return -ENOENT;
}

int aws_check(const struct identity_config *c, struct error *err) {
        const char *source = identity_config_get(c, AWS_OPTION_SOURCE);
        const char *region = identity_config_get(c, AWS_OPTION_REGION);
        enum aws_source unused;

        if (source && find_name(source, &unused) < 0)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Its values are environment, web-identity, container, imds",
                                 "The identity provider '%s' knows no source '%.64s'", c->provider,
                                 source);
        if (region && !aws_region_valid(region))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "A region is named like eu-central-1",
                                 "'%.64s' can be no region of AWS (identity provider '%s')", region,
                                 c->provider);
        return 0;
}

static enum aws_source find_source(const struct identity *i) {
        const char *wanted = identity_config_get(&i->config, AWS_OPTION_SOURCE);
        enum aws_source source;

        if (wanted && find_name(wanted, &source) == 0)
                return source;
        if (identity_env_get(i->env, "AWS_ACCESS_KEY_ID") &&
            identity_env_get(i->env, "AWS_SECRET_ACCESS_KEY"))
                return AWS_ENVIRONMENT;
        if (identity_env_get(i->env, "AWS_WEB_IDENTITY_TOKEN_FILE") &&
            identity_env_get(i->env, "AWS_ROLE_ARN"))
                return AWS_WEB_IDENTITY;
        if (identity_env_get(i->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") ||
            identity_env_get(i->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI"))
                return AWS_CONTAINER;
        return AWS_IMDS;
}

/* @token may be NULL. */
int aws_keep_credentials(struct identity *i, const char *id, const char *secret, const char *token,
                         const char *until, struct error *err) {
        struct aws *s = i->state;
        uint64_t expires = 0;

        if (!id || !is_key_id(id) || !secret || !aws_is_visible(secret, 256) ||
            (token && !aws_is_visible(token, AWS_TOKEN_MAX)) ||
            (until && clock_parse_utc(until, &expires) < 0))
                return identity_fault(i, err, EBADMSG, "Look at what answers there",
                                      "what came are no credentials of AWS");
        if (until && expires <= i->now_wall)
                return identity_fault(i, err, EKEYEXPIRED,
                                      "See that the clock is right, and that whatever issues them "
                                      "is running",
                                      "the credentials have expired");
        if (aws_set_text(&s->access_key_id, id) < 0 || aws_set_text(&s->secret, secret) < 0 ||
            (token && aws_set_text(&s->session_token, token) < 0))
                return error_oom(err);
        s->expires_wall = expires;
        return 0;
}

static int begin_environment(struct identity *i, struct error *err) {
        static const char hint[] = "Start the daemon with them, or choose another source=";
        const char *id = identity_need_env(i, "AWS_ACCESS_KEY_ID", hint, err);
        const char *secret = id ? identity_need_env(i, "AWS_SECRET_ACCESS_KEY", hint, err) : NULL;

        if (!secret)
                return -ENOENT;
        return aws_keep_credentials(i, id, secret, identity_env_get(i->env, "AWS_SESSION_TOKEN"),
                                    NULL, err);
}

static int begin_web_identity(struct identity *i, struct error *err) {
        static const char hint[] = "Give the service account a role (eks.amazonaws.com/role-arn), "
                                   "or choose another source=";

        if (!identity_need_env(i, "AWS_WEB_IDENTITY_TOKEN_FILE", hint, err) ||
            !identity_need_env(i, "AWS_ROLE_ARN", hint, err))
                return -ENOENT;
        return 0;
}

/* Is a metadata service there, and none but those of AWS? As the SDKs have it: else whoever sets
 * the variable has what we send, and what answers is whoever we are led to. */
static bool container_url_allowed(const struct url *u) {
        static const char *const hosts[] = { "169.254.170.2", "169.254.170.23", "fd00:ec2::23" };

        if (u->fragment)
                return false;
        if (streq(u->scheme, "https") || url_host_is_loopback(u))
                return true;
        for (size_t k = 0; k < ARRAY_SIZE(hosts); k++)
                if (streq(u->host, hosts[k]))
                        return true;
        return false;
}

int aws_container_url(const struct identity *i, struct buf *url, struct error *err) {
        static const char hint[] = "It is set by ECS and by EKS Pod Identity: see that nobody else "
                                   "has set it";
        const char *relative = identity_env_get(i->env, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
        const char *full = identity_env_get(i->env, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        AUTO_URL struct url u = URL_INIT;
        int r = 0;

        if (relative && relative[0] != '/')
                return identity_fault(i, err, EINVAL, hint,
                                      "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is no path");
        if (relative)
                r = buf_append_str(url, CONTAINER_ADDRESS);
        if (!relative && !full)
                full = identity_need_env(i, "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                         AWS_HINT_CONTAINER ", or choose another source=", err);
        if (!relative && !full)
                return -ENOENT;
        if (r == 0)
                r = buf_append_str(url, relative ? relative : full);
        if (r == 0)
                r = url_parse(&u, url->data, "URL", NULL);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !container_url_allowed(&u))
                return identity_fault(i, err, EACCES, hint,
                                      "%s leads to no such service of AWS, loopback or https",
                                      relative ? "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
                                               : "AWS_CONTAINER_CREDENTIALS_FULL_URI");
        return 0;
}

static int begin_container(struct identity *i, struct error *err) {
        const char *token = identity_env_get(i->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
        AUTO_BUF struct buf url = BUF_INIT;
        struct aws *s = i->state;
        int r = aws_container_url(i, &url, err);

        /* A token in a file is read when it is used, and counts more. */
        if (r < 0 || !token || identity_env_get(i->env, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"))
                return r;
        if (!aws_is_header(token, AWS_TOKEN_MAX))
                return identity_fault(i, err, EINVAL, AWS_HINT_CONTAINER,
                                      "AWS_CONTAINER_AUTHORIZATION_TOKEN can be no token");
        return aws_set_text(&s->container_token, token) < 0 ? error_oom(err) : 0;
}

static int find_imds(struct identity *i, struct error *err) {
        const char *endpoint = identity_env_get(i->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
        const char *mode = identity_env_get(i->env, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
        struct aws *s = i->state;
        AUTO_URL struct url u = URL_INIT;
        int r;

        if (!endpoint)
                endpoint = mode && (streq(mode, "IPv6") || streq(mode, "ipv6")) ? IMDS_ADDRESS_IPV6
                                                                                : IMDS_ADDRESS;
        r = url_parse(&u, endpoint, "URL", NULL);
        if (r == -EINVAL || (r == 0 && (u.query || u.fragment || (*u.path && !streq(u.path, "/")))))
                return identity_fault(i, err, EINVAL, "Give it as http://169.254.169.254",
                                      "AWS_EC2_METADATA_SERVICE_ENDPOINT is no such address");
        s->imds = r == 0 ? url_origin(&u) : NULL;
        return s->imds ? 0 : error_oom(err);
}

static int find_region(struct identity *i, struct error *err) {
        const char *region = identity_config_get(&i->config, AWS_OPTION_REGION);
        struct aws *s = i->state;

        /* Whoever does without does not have another region because of the environment. */
        if (!region && s->wants_region)
                region = identity_env_get(i->env, "AWS_REGION");
        if (!region && s->wants_region)
                region = identity_env_get(i->env, "AWS_DEFAULT_REGION");
        if (!region)
                return 0;
        if (!aws_region_valid(region))
                return identity_fault(i, err, EINVAL, AWS_HINT_REGION,
                                      "'%.64s' can be no region of AWS", region);
        memcpy(s->region, region, strlen(region) + 1);
        return 0;
}

int aws_begin(struct identity *i, bool wants_region, struct error *err) {
        struct aws *s = i->state;
        int r;

        s->wants_region = wants_region;
        s->source = find_source(i);
        r = find_region(i, err);
        if (r == 0)
                r = find_imds(i, err);
        if (r == 0 && s->source == AWS_ENVIRONMENT)
                r = begin_environment(i, err);
        if (r == 0 && s->source == AWS_WEB_IDENTITY)
                r = begin_web_identity(i, err);
        if (r == 0 && s->source == AWS_CONTAINER)
                r = begin_container(i, err);
        return r < 0 ? r : aws_go_on(i, err);
}
