/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a service account of Google Cloud, from the metadata server of the machine, the
 * GKE node, or Cloud Run.
 */
#include "identity/provider.h"

#define ADDRESS "169.254.169.254" /* by number: a name could lead elsewhere */
#define FLAVOR "Metadata-Flavor"
#define HINT_HERE "Use this provider on a machine of Google Cloud, and give it a service account"

static int gcp_check(const struct identity_config *c, struct error *err) {
        const char *account = identity_config_get(c, "account");
        const char *format = identity_config_get(c, "format");

        for (const char *p = account; p && *p; p++)
                if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || strchr("@.-_", *p)))
                        return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                         "Give the e-mail address of a service account",
                                         "The identity provider 'gcp' cannot take account=%.128s",
                                         account);
        if (format && !streq(format, "full") && !streq(format, "standard"))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Use format=full (the default) or format=standard",
                                 "The identity provider 'gcp' cannot take format=%.128s", format);
        return 0;
}

static int gcp_ask(struct identity *i, struct error *err) {
        const char *host = identity_env_get(i->env, "GCE_METADATA_HOST");
        const char *account = identity_config_get(&i->config, "account");
        const char *format = identity_config_get(&i->config, "format");
        AUTO_BUF struct buf url = BUF_INIT;
        int r;

        if (host && !identity_is_authority(host))
                return identity_fault(i, err, EINVAL, "Unset it", "GCE_METADATA_HOST is no host");
        r = buf_printf(&url, "http://%s/computeMetadata/v1/instance/service-accounts/%s/identity",
                       host ? host : ADDRESS, account ? account : "default");
        if (r == 0)
                r = identity_url_add(&url, "audience", i->audiences[0]);
        if (r == 0)
                r = identity_url_add(&url, "format", format ? format : "full");
        if (r == 0)
                r = identity_url_add(&url, "licenses", "FALSE");
        i->hint = HINT_HERE;
        if (r == 0)
                r = identity_ask_fetch(i, "GET", url.data, "asking the metadata server");
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, FLAVOR, "Google");
        identity_fetch_link_local(i);
        return r;
}

static int gcp_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        const char *flavor = fetch_answer_header(a, FLAVOR);

        if (!flavor || !streq(flavor, "Google"))
                return identity_fault(i, err, EBADMSG, HINT_HERE,
                                      "what answers is no metadata server of Google");
        if (a->status == 404)
                return identity_refused(i, a, "Give the machine this service account", err);
        if (a->status != 200)
                return identity_refused(i, a, HINT_HERE, err);
        return identity_finish_text(i, a->body.data, a->body.len, err);
}

const struct identity_provider identity_gcp = {
        .name = "gcp",
        .options = { "account", "format" },
        .check = gcp_check,
        .ask = gcp_ask,
        .on_answer = gcp_answer,
};
