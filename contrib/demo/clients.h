/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clients an authorization server knows: named on the command line, registered (RFC 7591), or
 * identified by the URL of a metadata document, which is taken at its word and not fetched.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "form.h"

#define CLIENT_REDIRECTS_MAX 16U

enum client_method {
        METHOD_NONE,
        METHOD_BASIC,
        METHOD_POST,
        METHOD_KEY,    /* private_key_jwt */
        METHOD_SECRET, /* basic or post, as the client likes */
        METHOD_UNKNOWN,
};

struct client {
        char *id;
        char *secret;
        char *name;
        json_t *jwks; /* its public keys, with METHOD_KEY */
        char *redirects[CLIENT_REDIRECTS_MAX];
        unsigned n_redirects;   /* 0: any loopback address */
        int64_t secret_expires; /* seconds since 1970, 0 = never */
        enum client_method method;
        bool may_log_in; /* by a browser */
        bool may_use_device;
        bool may_refresh;
        bool may_act_alone; /* client_credentials */
        bool must_prove;    /* dpop_bound_access_tokens */
};

struct clients;

struct clients *clients_new(void);
struct clients *clients_free(struct clients *c);
struct client *clients_get(const struct clients *c, const char *id);
bool clients_add_known(struct clients *c, const char *id_and_secret);
/* A client that signs its requests; takes the key set. */
bool clients_add_key(struct clients *c, const char *id, json_t *jwks);
/* NULL if the URL will not do as a client id. */
struct client *clients_add_document(struct clients *c, const char *url);
/*
 * A registration request. On success the new client; else NULL, with an error code (static) and a
 * description (the caller's to free).
 */
struct client *clients_register(struct clients *c, const json_t *request, const char **ret_code,
                                char **ret_description);
void clients_set_secret(struct client *c, char *secret); /* takes it */

enum client_method method_parse(const char *name);
const char *method_name(enum client_method method);
bool client_redirect_allowed(const struct client *c, const char *uri);
