/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration, policy and declared servers as the files say them. The supervisor reads them; the
 * keeper parses them. Client secrets are only descriptors here: the supervisor opens their files,
 * the keeper reads them.
 */
#pragma once

#include "config/config.h"

struct link;

struct configuration {
        struct config_files config;
        struct config_files policy;
        struct config_files servers;      /* servers.d */
        int secret_fds[CONFIG_FILES_MAX]; /* of servers.items[i]; -1: none */
        size_t n_secret_fds;
};
#define AUTO_CONFIGURATION __attribute__((cleanup(configuration_done), unused))

void configuration_done(struct configuration *c);
void configuration_close_secrets(struct configuration *c);
/* One more file of servers.d; @fd is taken, -1: none. */
int configuration_add_server(struct configuration *c, const char *path, unsigned layer,
                             struct buf *data, int fd) MUST_CHECK;
/* What the files of servers.d say of identities, where the abilities behind the words are known.
 * BAD_CONFIG "file:line: ...". */
int configuration_check_servers(const struct declared *d, struct error *err) MUST_CHECK;
/* To the keeper: "declare" for each file of servers.d, and "configure". The secrets are closed. */
int configuration_send(struct configuration *c, struct link *keeper) MUST_CHECK;
/* Reads the secrets of @d, which was parsed from @c, and closes what it has read. */
int configuration_read_secrets(struct configuration *c, struct declared *d, struct error *err)
        MUST_CHECK;
