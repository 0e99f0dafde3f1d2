/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients, and what a registration may ask for.
 */
#include "clients.h"

#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "table.h"

#define CLIENTS_MAX 65536U
#define NAME_MAX_BYTES 200U
#define GRANT_DEVICE "urn:ietf:params:oauth:grant-type:device_code"

struct clients {
        struct table *table;
};

static const char *const method_names[METHOD_SECRET] = {
        [METHOD_NONE] = "none",
        [METHOD_BASIC] = "client_secret_basic",
        [METHOD_POST] = "client_secret_post",
        [METHOD_KEY] = "private_key_jwt",
};

static void client_free(void *value) {
        struct client *c = value;

        for (unsigned i = 0; i < c->n_redirects; i++)
                free(c->redirects[i]);
        free(c->id);
        free(c->secret);
        free(c->name);
        json_decref(c->jwks);
        free(c);
}

struct clients *clients_new(void) {
        struct clients *c = mem_new(sizeof(*c));

        c->table = table_new(CLIENTS_MAX, false, client_free);
        return c;
}

struct clients *clients_free(struct clients *c) {
        if (c)
                c->table = table_free(c->table);
        free(c);
        return NULL;
}

struct client *clients_get(const struct clients *c, const char *id) {
        return table_get(c->table, id);
}

bool clients_add_known(struct clients *c, const char *id_and_secret) {
        size_t n = strcspn(id_and_secret, ":");
        struct client *client = mem_new(sizeof(*client));

        client->id = mem_copy(id_and_secret, n);
        client->name = mem_string(client->id);
        client->may_log_in = true;
        client->may_use_device = true;
        client->may_refresh = true;
        client->method = METHOD_NONE;
        if (id_and_secret[n] == ':') {
                client->secret = mem_string(id_and_secret + n + 1);
                client->method = METHOD_SECRET;
                client->may_act_alone = true;
        }
        if (clients_get(c, client->id)) {
                client_free(client);
                return false;
        }
        return table_add(c->table, client->id, client);
}

bool clients_add_key(struct clients *c, const char *id, json_t *jwks) {
        struct client *client = mem_new(sizeof(*client));

        client->id = mem_string(id);
        client->name = mem_string(id);
        client->method = METHOD_KEY;
        client->jwks = jwks;
        client->may_log_in = true;
        client->may_use_device = true;
        client->may_refresh = true;
        client->may_act_alone = true;
        if (clients_get(c, id)) {
                client_free(client);
                return false;
        }
        return table_add(c->table, id, client);
}

struct client *clients_add_document(struct clients *c, const char *url) {
        struct client *client;
        struct url u;

        if (!url_split(url, &u) || strcmp(u.scheme, "https") != 0 || u.rest[0] != '/' ||
            strchr(url, '#') || strstr(u.rest, "/../") || strstr(u.rest, "/./"))
                return NULL;
        client = mem_new(sizeof(*client));
        client->id = mem_string(url);
        client->name = mem_printf("%s", u.host);
        client->method = METHOD_NONE;
        client->may_log_in = true;
        client->may_use_device = true;
        client->may_refresh = true;
        return table_add(c->table, client->id, client) ? client : NULL;
}

void clients_set_secret(struct client *c, char *secret) {
        free(c->secret);
        c->secret = secret;
}

enum client_method method_parse(const char *name) {
        for (unsigned i = 0; i < METHOD_SECRET; i++)
                if (strcmp(method_names[i], name) == 0)
                        return (enum client_method)i;
        return METHOD_UNKNOWN;
}

const char *method_name(enum client_method method) {
        return method < METHOD_SECRET ? method_names[method] : "client_secret_basic";
}

bool client_redirect_allowed(const struct client *c, const char *uri) {
        struct url u;

        if (!c->may_log_in || !url_split(uri, &u) || strchr(uri, '#'))
                return false;
        if (c->n_redirects == 0)
                return strcmp(u.scheme, "http") == 0 && url_loopback(&u);
        for (unsigned i = 0; i < c->n_redirects; i++)
                if (url_same_redirect(c->redirects[i], uri))
                        return true;
        return false;
}

/* A native client lives on loopback, a web client on https; unsaid, the addresses tell. */
static char *redirect_complaint(const char *uri, const char *type) {
        bool loopback;
        struct url u;

        if (!uri || strlen(uri) > 2000 || !url_split(uri, &u) || strchr(uri, '#'))
                return mem_string("a redirect URI is not an absolute URL without fragment");
        loopback = strcmp(u.scheme, "http") == 0 && url_loopback(&u);
        if (type && strcmp(type, "native") == 0 && !loopback)
                return mem_string("a native client needs http on a loopback address");
        if (type && strcmp(type, "web") == 0 && (strcmp(u.scheme, "https") != 0))
                return mem_string("a web client needs https redirect URIs");
        if (!type && !loopback && strcmp(u.scheme, "https") != 0)
                return mem_string("a redirect URI is neither https nor http on loopback");
        return NULL;
}

static char *take_redirects(struct client *client, const json_t *request, const char *type) {
        const json_t *list = json_object_get(request, "redirect_uris");
        size_t n = json_array_size(list);

        if (n == 0 && !list && !client->may_log_in)
                return NULL;
        if (n == 0 || n > CLIENT_REDIRECTS_MAX)
                return mem_printf("redirect_uris must hold 1 to %u URLs", CLIENT_REDIRECTS_MAX);
        for (size_t i = 0; i < n; i++) {
                const char *uri = json_string_value(json_array_get(list, i));
                char *complaint = redirect_complaint(uri, type);

                if (complaint)
                        return complaint;
                client->redirects[client->n_redirects++] = mem_string(uri);
        }
        return NULL;
}

static bool list_holds(const json_t *list, const char *word) {
        for (size_t i = 0; i < json_array_size(list); i++) {
                const char *s = json_string_value(json_array_get(list, i));

                if (s && strcmp(s, word) == 0)
                        return true;
        }
        return false;
}

static char *take_metadata(struct client *client, const json_t *request, const char *type) {
        const json_t *grants = json_object_get(request, "grant_types");
        const json_t *responses = json_object_get(request, "response_types");
        const json_t *name = json_object_get(request, "client_name");
        const json_t *method = json_object_get(request, "token_endpoint_auth_method");
        const json_t *jwks = json_object_get(request, "jwks");

        if (type && strcmp(type, "native") != 0 && strcmp(type, "web") != 0)
                return mem_string("application_type must be native or web");
        if (json_array_size(responses) > 0 && !list_holds(responses, "code"))
                return mem_string("response_types must hold code");
        if (grants && !list_holds(grants, "authorization_code") &&
            !list_holds(grants, "client_credentials") && !list_holds(grants, GRANT_DEVICE))
                return mem_string("grant_types must hold authorization_code");
        if (name && (!json_is_string(name) || json_string_length(name) > NAME_MAX_BYTES))
                return mem_string("client_name must be a short string");
        if (method && !json_is_string(method))
                return mem_string("token_endpoint_auth_method must be a string");
        client->method = method ? method_parse(json_string_value(method)) : METHOD_BASIC;
        if (client->method == METHOD_UNKNOWN)
                return mem_string("token_endpoint_auth_method must be none, client_secret_basic, "
                                  "client_secret_post or private_key_jwt");
        if (client->method == METHOD_KEY && json_array_size(json_object_get(jwks, "keys")) == 0)
                return mem_string("private_key_jwt needs jwks, with a key in it");
        client->jwks = client->method == METHOD_KEY ? json_deep_copy(jwks) : NULL;
        client->must_prove = json_is_true(json_object_get(request, "dpop_bound_access_tokens"));
        client->may_log_in = !grants || list_holds(grants, "authorization_code");
        client->may_use_device = list_holds(grants, GRANT_DEVICE);
        client->may_refresh = list_holds(grants, "refresh_token");
        client->may_act_alone =
                client->method != METHOD_NONE && list_holds(grants, "client_credentials");
        client->name = mem_string(name ? json_string_value(name) : "unnamed client");
        return NULL;
}

struct client *clients_register(struct clients *c, const json_t *request, const char **ret_code,
                                char **ret_description) {
        const json_t *type_value = json_object_get(request, "application_type");
        const char *type = json_string_value(type_value);
        struct client *client = mem_new(sizeof(*client));

        *ret_code = "invalid_client_metadata";
        if (type_value && !type)
                *ret_description = mem_string("application_type must be a string");
        else
                *ret_description = take_metadata(client, request, type);
        if (!*ret_description) {
                *ret_code = "invalid_redirect_uri";
                *ret_description = take_redirects(client, request, type);
        }
        if (*ret_description) {
                client_free(client);
                return NULL;
        }
        client->id = random_token("dc_");
        if (client->method != METHOD_NONE && client->method != METHOD_KEY)
                client->secret = random_token("cs_");
        if (table_add(c->table, client->id, client))
                return client;
        *ret_code = "temporarily_unavailable";
        *ret_description = mem_string("too many clients");
        return NULL;
}
