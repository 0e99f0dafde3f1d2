/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An identity that a command prints. Started without a shell, with nothing but what it is told
 * here, in a process of its own whose output the broker alone reads.
 */
#include "base/codec.h"
#include "identity/output.h"
#include "identity/provider.h"
#include "jose/cert.h"

#define TIMEOUT_SEC 30
#define TIMEOUT_SEC_MIN 5 /* Google's bounds */
#define TIMEOUT_SEC_MAX 120
#define TOKEN_TYPE "urn:ietf:params:oauth:token-type:jwt"
#define EXEC_INFO                                                                          \
        "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\"," \
        "\"spec\":{\"interactive\":false}}"
#define HINT_OUTPUT                                                                            \
        "Let it print {\"version\":1,\"success\":true,\"token_type\":\"urn:ietf:params:oauth:" \
        "token-type:id_token\",\"id_token\":\"...\"}, or set format=raw"

static int exec_check(const struct identity_config *c, struct error *err) {
        const char *path = identity_config_get(c, "path");
        const char *timeout = identity_config_get(c, "timeout");
        const char *format = identity_config_get(c, "format");
        uint64_t sec;

        if (!path || path[0] != '/')
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Give the program's absolute path, and its arguments one by one: "
                                 "exec:path=/usr/bin/x,arg=--y",
                                 "The identity provider 'exec' cannot take path=%.128s",
                                 path ? path : "");
        if (timeout &&
            (duration_parse(timeout, &sec) < 0 || sec < TIMEOUT_SEC_MIN || sec > TIMEOUT_SEC_MAX))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give 5 to 120 seconds",
                                 "The identity provider 'exec' cannot take timeout=%.128s",
                                 timeout);
        if (format && !streq(format, "raw") && !streq(format, "json"))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Use format=json (the default) or format=raw",
                                 "The identity provider 'exec' cannot take format=%.128s", format);
        return 0;
}

static int give_environment(struct identity *i) {
        const struct {
                const char *name;
                const char *value;
        } variables[] = {
                { "MCP_BROKER_AUDIENCE", i->audiences[0] },
                { "MCP_BROKER_TOKEN_TYPE", TOKEN_TYPE },
                { "GOOGLE_EXTERNAL_ACCOUNT_AUDIENCE", i->audiences[0] },
                { "GOOGLE_EXTERNAL_ACCOUNT_TOKEN_TYPE", TOKEN_TYPE },
                { "GOOGLE_EXTERNAL_ACCOUNT_INTERACTIVE", "0" },
                { "KUBERNETES_EXEC_INFO", EXEC_INFO },
        };
        int r = 0;

        for (size_t k = 0; r == 0 && k < ARRAY_SIZE(variables); k++)
                r = order_add_environment(&i->step.order, variables[k].name, variables[k].value);
        return r;
}

static int exec_ask(struct identity *i, struct error *err) {
        const char *path = identity_config_get(&i->config, "path");
        const char *timeout = identity_config_get(&i->config, "timeout");
        uint64_t sec = TIMEOUT_SEC;
        int r;

        if (timeout && duration_parse(timeout, &sec) < 0)
                sec = TIMEOUT_SEC;
        i->hint = "Run it by hand, with MCP_BROKER_AUDIENCE set, to see what it says";
        r = identity_ask_run(i, sec * USEC_PER_SEC, "running %s", path);
        if (r == 0)
                r = order_add_argument(&i->step.order, path);
        for (size_t k = 0; r == 0 && k < i->config.n_options; k++)
                if (streq(i->config.options[k].name, IDENTITY_OPTION_REPEATED))
                        r = order_add_argument(&i->step.order, i->config.options[k].value);
        if (r == 0)
                r = give_environment(i);
        if (r == -E2BIG)
                return identity_fault(i, err, E2BIG, "Put them into a script",
                                      "its arguments are too many, or too long");
        return r;
}

static int take_certificate(struct identity *i, const struct output *o, struct error *err) {
        AUTO_BUF struct buf chain = BUF_INIT;
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        int r = cert_chain_from_pem(o->certificate, strlen(o->certificate), &chain);

        if (r == 0)
                r = jose_key_read(o->key, strlen(o->key), &key, NULL);
        if (r == 0)
                r = jose_key_to_der(key, &der);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return identity_fault(i, err, EBADMSG, "Run it by hand to see what it prints",
                                      "its certificate or its key cannot be read");
        return identity_finish_x509(i, &der, &chain, err);
}

static int take_output(struct identity *i, const struct buf *bytes, struct error *err) {
        AUTO_OUTPUT struct output o = OUTPUT_INIT;
        char said[IDENTITY_SAID_MAX + 1];
        const char *why = NULL;
        int r = output_read(&o, bytes->data, bytes->len, &why);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r == -EPROTO) {
                identity_said(why, said);
                return identity_fault(i, err, EPROTO, i->hint, "it failed: %s", said);
        }
        if (r < 0)
                return identity_fault(i, err, EBADMSG, HINT_OUTPUT,
                                      "what it prints cannot be used: %s", why);
        if (o.kind == OUTPUT_AWS)
                return identity_fault(i, err, ENOTSUP, "Use one of the providers for AWS",
                                      "it prints credentials of AWS, which are no identity");
        if (o.token)
                return identity_finish_jwt(i, o.token, strlen(o.token), o.expires_wall, err);
        return take_certificate(i, &o, err);
}

static int exec_bytes(struct identity *i, struct buf *bytes, struct error *err) {
        const char *format = identity_config_get(&i->config, "format");

        if (format && streq(format, "raw"))
                return identity_finish_text(i, bytes->data, bytes->len, err);
        return take_output(i, bytes, err);
}

const struct identity_provider identity_exec = {
        .name = "exec",
        .options = { "path", IDENTITY_OPTION_REPEATED, "timeout", "format" },
        .argument = "path",
        .audience_hint = "Let the command ask for the audience that MCP_BROKER_AUDIENCE names",
        .check = exec_check,
        .ask = exec_ask,
        .on_bytes = exec_bytes,
};
