/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's configuration: mcp-broker.conf of the vendor, the administrator and the user, read
 * in this order; a later value replaces an earlier one. Strict: what is not known is an error with
 * file and line. The supervisor reads the files, the keeper gets JSON. See mcp-broker.conf(5).
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "config/declared.h"
#include "config/files.h"

#define CONFIG_PRIVATE_MAX 64

struct config {
        /* [Broker] */
        int log_level;              /* LOG_ERR ... LOG_DEBUG */
        uint64_t idle_timeout_sec;  /* 0: never stops by itself */
        uint64_t login_timeout_sec; /* at most LIMIT_LOGIN_SEC */
        uint64_t refresh_margin_sec;
        uint16_t redirect_port; /* 0: any free one */
        bool report_tool_calls; /* audit.record is taken */
        char *client_name;
        char *client_metadata_url; /* NULL: none */
        /* [Network] */
        char *proxy;          /* NULL: none */
        char *no_proxy;       /* NULL: none */
        char *ca_file;        /* NULL: the system's */
        char **allow_private; /* hosts that may be at private addresses; lower case */
        size_t n_allow_private;
        /* servers.d; not of config_parse(), and not in the JSON */
        struct declared declared;
};

void config_init(struct config *c); /* the defaults; -ENOMEM shows as a NULL client_name */
void config_done(struct config *c);

/*
 * Applies the files in order to the defaults. -EINVAL with BAD_CONFIG "file:line: ..." and a
 * remedy; -ENOMEM. @c is set only on success and needs config_done(); what it held is not freed.
 */
int config_parse(struct config *c, const struct config_files *files, struct error *err) MUST_CHECK;

/* Of ClientMetadataUrl=, here and in servers.d. */
int config_check_metadata_url(const struct conf_item *item, struct error *err) MUST_CHECK;

int config_to_json(const struct config *c, json_t **ret) MUST_CHECK;
int config_from_json(struct config *c, const json_t *value) MUST_CHECK; /* -EBADMSG; also -ENOMEM */
