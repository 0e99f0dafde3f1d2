/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/configuration.h"

#include <unistd.h>

#include "daemon/link.h"
#include "identity/config.h"
#include "jose/key.h"
#include "oauth/profile.h"

static void close_secret(struct configuration *c, size_t i) {
        if (c->secret_fds[i] >= 0)
                (void)close(c->secret_fds[i]);
        c->secret_fds[i] = -1;
}

void configuration_close_secrets(struct configuration *c) {
        for (size_t i = 0; i < c->n_secret_fds; i++)
                close_secret(c, i);
}

void configuration_done(struct configuration *c) {
        configuration_close_secrets(c);
        c->n_secret_fds = 0;
        config_files_done(&c->config);
        config_files_done(&c->policy);
        config_files_done(&c->servers);
}

int configuration_add_server(struct configuration *c, const char *path, unsigned layer,
                             struct buf *data, int fd) {
        AUTO_CLOSE int secret = fd;
        int r = config_files_add(&c->servers, path, layer, data);

        if (r < 0)
                return r;
        c->secret_fds[c->n_secret_fds++] = TAKE_FD(secret);
        return 0;
}

int configuration_read_secrets(struct configuration *c, struct declared *d, struct error *err) {
        for (size_t i = 0; i < d->n; i++) {
                struct declared_server *s = &d->items[i];
                int r;

                if (s->index >= c->n_secret_fds || c->secret_fds[s->index] < 0)
                        continue;
                r = declared_read_secret(s, c->secret_fds[s->index], err);
                close_secret(c, s->index);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int check_words(const struct own_settings *own, struct error *err) {
        AUTO_IDENTITY_CONFIG struct identity_config identity = IDENTITY_CONFIG_INIT;
        enum jose_alg alg;

        if (own->signing_alg && jose_alg_from_name(own->signing_alg, &alg) < 0)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "It is ES256, ES384, RS256, PS256, EdDSA or Ed25519",
                                 "SigningAlgorithm=%s is not known", own->signing_alg);
        if (own->profile && !present_profile_find(own->profile))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "See mcp-broker-servers(5)",
                                 "Profile=%s is not known", own->profile);
        return own->identity ? identity_config_parse(own->identity, &identity, err) : 0;
}

int configuration_check_servers(const struct declared *d, struct error *err) {
        for (size_t i = 0; i < d->n; i++) {
                const struct declared_server *s = &d->items[i];
                const struct conf_item at = { .file = s->file,
                                              .line = s->own_line,
                                              .section = "Server" };
                struct error why = ERROR_INIT;
                int r = check_words(&s->own, &why);

                if (r == -ENOMEM)
                        return error_oom(err);
                if (r < 0)
                        return conf_error(&at, err, why.hint, "%s", why.message);
        }
        return 0;
}

/* --- On their way to the keeper -------------------------------------------------------------- */

/* What the keeper has got of these it uses when "configure" follows. */
static int send_server(const struct configuration *c, size_t i, struct link *keeper) {
        const struct config_file *f = &c->servers.items[i];
        AUTO_JSON json_t *head = json_pack("{s:s, s:i, s:s, s:i}", "op", "declare", "index", (int)i,
                                           "path", f->path, "layer", (int)f->layer);
        AUTO_BUF struct buf text = BUF_INIT;
        int r = head ? buf_append(&text, f->data, f->len) : -ENOMEM;

        return r < 0 ? r : link_send(keeper, head, &text, &c->secret_fds[i], c->secret_fds[i] >= 0);
}

int configuration_send(struct configuration *c, struct link *keeper) {
        AUTO_JSON json_t *config = NULL;
        AUTO_JSON json_t *policy = NULL;
        int r = config_files_to_json(&c->config, &config);

        if (r == 0)
                r = config_files_to_json(&c->policy, &policy);
        for (size_t i = 0; i < c->servers.n && r == 0; i++)
                r = send_server(c, i, keeper);
        if (r == 0)
                r = link_send_head(keeper, json_pack("{s:s, s:O, s:O, s:i}", "op", "configure",
                                                     "config", config, "policy", policy, "servers",
                                                     (int)c->servers.n));
        configuration_close_secrets(c);
        return r;
}
