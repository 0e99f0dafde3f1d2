/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers that are declared in "servers.d" rather than added by a person: one file, one
 * server. The supervisor reads the files and opens those that hold client secrets; the keeper
 * parses them again and reads the secrets from the open descriptors, so that the supervisor never
 * holds one. See mcp-broker-servers(5).
 */
#pragma once

#include "base/conf.h"
#include "config/files.h"
#include "config/own.h"

struct declared_server {
        char *file;   /* that declares it: named in messages */
        size_t index; /* of that file */
        char *name;
        char *url;
        char *account; /* "" for the only one */
        char **scopes; /* each once, as given; empty: what the server asks for */
        size_t n_scopes;
        char *issuer;
        char *client_id;
        char *metadata_url;      /* a client ID metadata document */
        bool no_resource;        /* SendResource=no */
        struct own_settings own; /* without a person */
        unsigned own_line;       /* of the first of them */
        char *secret_file;       /* absolute; ClientSecretFile= or ClientKeyFile= */
        bool secret_is_key;      /* the latter: a private key, the whole file */
        unsigned secret_line;
        char *secret; /* wiped; NULL: there is none, it was not read yet, or it is kept elsewhere */
};

struct declared {
        struct declared_server *items;
        size_t n;
};
#define DECLARED_INIT ((struct declared){ 0 })
#define AUTO_DECLARED __attribute__((cleanup(declared_done), unused))

void declared_done(struct declared *d);

/*
 * In the order of the files. Of two with the same file name the later counts, and one without
 * [Server] declares nothing: so an empty file takes back a vendor's. BAD_CONFIG "file:line: ..."
 * and -EINVAL, also where two declare the same name, or the same URL and account; -ENOMEM.
 */
int declared_parse(struct declared *d, const struct config_files *files, struct error *err)
        MUST_CHECK;

/* Opens the file with the client secret, or key: a regular file of @owner's that nobody else can
 * read. *@ret is -1 if it has none. */
int declared_open_secret(const struct declared_server *s, uid_t owner, int *ret, struct error *err)
        MUST_CHECK;
/* The secret is the first line of what @fd gives; a key is all of it. */
int declared_read_secret(struct declared_server *s, int fd, struct error *err) MUST_CHECK;
