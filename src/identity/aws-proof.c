/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request to sts:GetCallerIdentity, signed and not sent: whoever it is given to sends it, and is
 * told by AWS who signed it. Each has a header field signed along that names for whom it is; one
 * without would prove who we are at every other place, so that none is ever made.
 */
#include "base/codec.h"
#include "base/url.h"
#include "identity/aws.h"

#define BODY "Action=GetCallerIdentity&Version=2011-06-15"
#define LIFE_USEC (900 * USEC_PER_SEC) /* AWS takes a signature for so long */
#define PRESIGNED_SEC 60
#define BOUND_MAX 1024

struct verifier {
        const char *name;
        const char *header; /* that binds it */
        bool regional;      /* else the global endpoint will do */
        int (*make)(struct identity *i, const struct verifier *v, const char *bound,
                    struct buf *out);
};

/* What is put into a JSON text goes away wiped. */
static int put(json_t *object, const char *name, const char *value) {
        return json_object_set_new(object, name, json_string(value)) < 0 ? -ENOMEM : 0;
}

static int put_base64(json_t *object, const char *name, const struct buf *value) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = base64_append(&b, value->data, value->len);

        return r < 0 ? r : put(object, name, b.data);
}

static int begin_request(const struct identity *i, const struct verifier *v, const char *bound,
                         const char *method, const char *path, struct fetch_request *f) {
        AUTO_BUF struct buf url = BUF_INIT;
        int r = aws_sts_url(i->state, &url);

        fetch_request_init(f);
        if (r == 0) {
                buf_truncate(&url, url.len - 1); /* its "/" */
                r = buf_append_str(&url, path);
        }
        if (r == 0)
                r = fetch_request_set(f, method, url.data);
        return r < 0 ? r : fetch_request_add_header(f, v->header, bound);
}

/* "POST /v1/auth/aws/login" of Vault and OpenBao, whose body this is. */
static int vault_text(const struct identity *i, const struct fetch_request *f, struct buf *out) {
        const char *role = identity_config_get(&i->config, "role");
        AUTO_JSON json_t *headers = json_object();
        AUTO_JSON json_t *login = json_object();
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_BUF struct buf host = BUF_INIT;
        AUTO_BUF struct buf url = BUF_INIT;
        int r = headers && login ? sigv4_append_host(&host, f->url) : -ENOMEM;

        if (r == 0)
                r = put(headers, "Host", host.data);
        for (size_t k = 0; k < f->n_headers && r == 0; k++)
                r = put(headers, f->headers[k].name, f->headers[k].value);
        if (r == 0)
                r = json_write(&text, headers);
        if (r == 0)
                r = buf_append_str(&url, f->url);
        if (r == 0 && role)
                r = put(login, "role", role);
        if (r == 0)
                r = put(login, "iam_http_request_method", f->method);
        if (r == 0)
                r = put_base64(login, "iam_request_url", &url);
        if (r == 0)
                r = put_base64(login, "iam_request_body", &f->body);
        if (r == 0)
                r = put_base64(login, "iam_request_headers", &text);
        return r < 0 ? r : json_write(out, login);
}

static int make_vault(struct identity *i, const struct verifier *v, const char *bound,
                      struct buf *out) {
        struct sigv4 key = aws_signer(i);
        struct fetch_request f;
        int r = begin_request(i, v, bound, "POST", "/", &f);

        if (r == 0)
                r = fetch_request_add_header(&f, "Content-Type", AWS_FORM);
        if (r == 0)
                r = buf_append_str(&f.body, BODY);
        if (r == 0)
                r = sigv4_sign(&f, &key);
        if (r == 0)
                r = vault_text(i, &f, out);
        fetch_request_done(&f);
        return r;
}

/* In lower case, as Google's libraries write all names but one. */
static int put_pair(json_t *array, const char *name, const char *value) {
        AUTO_FREE char *key = strdup(name);
        json_t *pair;

        for (char *p = key; p && *p && !streq(name, "Authorization"); p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        pair = key ? json_pack("{ss ss}", "key", key, "value", value) : NULL;
        return !pair || json_array_append_new(array, pair) < 0 ? -ENOMEM : 0;
}

/* The subject_token of Google's token exchange, urn:ietf:params:aws:token-type:aws4_request. Its
 * URL has no path, not even "/"; what is signed is the same. */
static int google_text(const struct fetch_request *f, struct buf *out) {
        AUTO_JSON json_t *token = json_object();
        AUTO_BUF struct buf host = BUF_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        json_t *headers = json_array(); /* belongs to the token as soon as it is in there */
        int r = token && headers ? 0 : -ENOMEM;

        if (json_object_set_new(token, "headers", headers) < 0)
                return -ENOMEM;
        if (r == 0)
                r = put(token, "url", f->url);
        if (r == 0)
                r = put(token, "method", f->method);
        if (r == 0)
                r = sigv4_append_host(&host, f->url);
        if (r == 0)
                r = put_pair(headers, "host", host.data);
        for (size_t k = 0; k < f->n_headers && r == 0; k++)
                r = put_pair(headers, f->headers[k].name, f->headers[k].value);
        if (r == 0)
                r = json_write(&text, token);
        return r < 0 ? r : percent_append(out, text.data, "");
}

static int make_google(struct identity *i, const struct verifier *v, const char *bound,
                       struct buf *out) {
        struct sigv4 key = aws_signer(i);
        struct fetch_request f;
        int r = begin_request(i, v, bound, "POST", "?" BODY, &f);

        if (r == 0)
                r = sigv4_sign(&f, &key);
        if (r == 0)
                r = google_text(&f, out);
        fetch_request_done(&f);
        return r;
}

/* A bearer token of EKS: a signed URL. */
static int make_eks(struct identity *i, const struct verifier *v, const char *bound,
                    struct buf *out) {
        struct sigv4 key = aws_signer(i);
        AUTO_BUF struct buf url = BUF_INIT;
        struct fetch_request f;
        int r = begin_request(i, v, bound, "GET", "/?" BODY, &f);

        if (r == 0)
                r = sigv4_presign(&f, &key, PRESIGNED_SEC, &url);
        if (r == 0)
                r = buf_append_str(out, "k8s-aws-v1.");
        if (r == 0)
                r = base64url_append(out, url.data, url.len);
        fetch_request_done(&f);
        return r;
}

static const struct verifier verifiers[] = {
        { "vault", "X-Vault-AWS-IAM-Server-ID", false, make_vault },
        { "google", "x-goog-cloud-target-resource", true, make_google },
        { "eks", "x-k8s-aws-id", true, make_eks },
};

static const struct verifier *find_verifier(const struct identity_config *c) {
        const char *name = identity_config_get(c, "verifier");

        for (size_t k = 0; k < ARRAY_SIZE(verifiers) && name; k++)
                if (streq(verifiers[k].name, name))
                        return &verifiers[k];
        return NULL;
}

static int check(const struct identity_config *c, struct error *err) {
        const struct verifier *v = find_verifier(c);

        if (!v)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Give verifier=vault, verifier=google or verifier=eks",
                                 "The identity provider '%s' is not told for whom the proof is",
                                 c->provider);
        if (identity_config_get(c, "role") && !streq(v->name, "vault"))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Leave it out",
                                 "The identity provider '%s' needs no role for '%s'", c->provider,
                                 v->name);
        return aws_check(c, err);
}

/* What the proof is bound to: as it was configured, else the audience that was asked for. */
static const char *bound_to(const struct identity *i) {
        const char *bound = identity_config_get(&i->config, "bind");

        return bound ? bound : i->n_audiences == 1 ? i->audiences[0] : NULL;
}

static bool is_bound(const char *bound) {
        size_t len = bound ? strlen(bound) : 0;

        for (size_t k = 0; k < len; k++)
                if (bound[k] <= 0x20 || bound[k] > 0x7e)
                        return false;
        return len > 0 && len <= BOUND_MAX;
}

static int finish(struct identity *i, struct error *err) {
        const struct aws *s = i->state;
        const struct verifier *v = find_verifier(&i->config);
        uint64_t expires =
                i->now_wall + (streq(v->name, "eks") ? PRESIGNED_SEC * USEC_PER_SEC : LIFE_USEC);
        int r = v->make(i, v, bound_to(i), &i->result.jwt);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return identity_fault(i, err, -r, NULL, "the request cannot be signed");
        if (s->expires_wall > 0 && s->expires_wall < expires)
                expires = s->expires_wall;
        i->result.expires_wall = expires;
        identity_finish(i, IDENTITY_PROOF);
        return 0;
}

static int begin(struct identity *i, struct error *err) {
        int r;

        if (!is_bound(bound_to(i)))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Give bind=, or one audience: the server id of Vault, the "
                                 "provider's resource at Google, the name of the EKS cluster",
                                 "A proof of the identity provider '%s' is bound to nothing",
                                 i->provider->name);
        r = aws_begin(i, find_verifier(&i->config)->regional, err);
        return r == 0 && i->phase == AWS_READY ? finish(i, err) : r;
}

static int on_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        int r = aws_on_answer(i, a, err);

        return r == 0 && i->phase == AWS_READY ? finish(i, err) : r;
}

const struct identity_provider identity_aws_proof = {
        .name = "aws-proof",
        .options = { "verifier", "bind", "role", "region", "source" },
        .argument = "verifier",
        .kind = IDENTITY_PROOF,
        .every_time = true,
        .state_size = sizeof(struct aws),
        .check = check,
        .begin = begin,
        .ask = aws_ask,
        .on_answer = on_answer,
        .on_bytes = aws_on_bytes,
        .done = aws_done,
};
