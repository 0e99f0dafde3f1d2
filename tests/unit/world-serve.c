/* SPDX-License-Identifier: Apache-2.0 */
/* What the servers and issuers of the world say by themselves. */
#include <stdio.h>

#include "broker-world.h"

#define PRM_OF(issuer)                                                                   \
        "{\"resource\":\"" WORLD_SERVER "\",\"authorization_servers\":[\"" issuer "\"]," \
        "\"scopes_supported\":[\"read\",\"write\"]}"
#define AS_OF(issuer)                                                                   \
        "{\"issuer\":\"" issuer "\",\"authorization_endpoint\":\"" issuer               \
        "/authorize\",\"token_endpoint\":\"" issuer "/token\","                         \
        "\"registration_endpoint\":\"" issuer "/register\","                            \
        "\"revocation_endpoint\":\"" issuer "/revoke\","                                \
        "\"response_types_supported\":[\"code\"],"                                      \
        "\"grant_types_supported\":[\"authorization_code\",\"refresh_token\"],"         \
        "\"code_challenge_methods_supported\":[\"S256\"],"                              \
        "\"token_endpoint_auth_methods_supported\":[\"none\",\"client_secret_basic\"]," \
        "\"authorization_response_iss_parameter_supported\":true}"

static void register_client(struct world *w) {
        char body[256];

        w->n_register++;
        (void)snprintf(body, sizeof(body),
                       "{\"client_id\":\"client%u\",\"token_endpoint_auth_method\":"
                       "\"none\",\"redirect_uris\":[\"http://127.0.0.1:%u%s\"]}",
                       w->n_register, (unsigned)w->listener.port, w->listener.path);
        world_answer(w, 0, 201, body);
}

/* A document with members that a test wants in it. */
static void document(struct world *w, const char *text, const char *more) {
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *members = NULL;
        char *body;

        if (!more) {
                world_answer(w, 0, 200, text);
                return;
        }
        json = json_loads(text, 0, NULL);
        members = json_loads(more, 0, NULL);
        assert_int_equal(json_object_update(json, members), 0);
        body = json_dumps(json, JSON_COMPACT);
        assert_non_null(body);
        world_answer(w, 0, 200, body);
        free(body);
}

bool world_serve_one(struct world *w) {
        const struct world_fetch *q = world_fetch(w);
        const char *url = q ? q->request.url : "";

        if (strstr(url, "beneath") && strstr(url, ".well-known")) {
                world_answer(w, 0, 404, "");
        } else if (streq(url, WORLD_SERVER) || streq(url, WORLD_BENEATH)) {
                world_answer_header(
                        w, 0, 401, "www-authenticate",
                        "Bearer resource_metadata=\"https://mcp.example.com/.well-known/"
                        "oauth-protected-resource/mcp\"");
        } else if (strstr(url, "oauth-protected-resource")) {
                world_answer(w, 0, 200,
                             w->prm     ? w->prm
                             : w->moved ? PRM_OF(WORLD_ISSUER2)
                                        : PRM_OF(WORLD_ISSUER));
        } else if (strstr(url, WORLD_ISSUER2 "/.well-known/oauth-authorization-server")) {
                document(w, AS_OF(WORLD_ISSUER2), w->as_more);
        } else if (strstr(url, "oauth-authorization-server")) {
                document(w, w->as ? w->as : AS_OF(WORLD_ISSUER), w->as_more);
        } else if (strstr(url, "/register")) {
                register_client(w);
        } else {
                return false;
        }
        return true;
}

void world_order(struct world *w, int r, const char *text) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        struct error err = ERROR_INIT;
        order_done_fn fn = w->order_fn;

        assert_non_null(fn);
        if (r < 0)
                (void)error_set(&err, MCPB_IDENTITY_FAILED, -r, NULL, "%s: %s", w->order.path,
                                strerror(-r));
        else
                assert_int_equal(buf_append_str(&bytes, text), 0);
        order_done(&w->order);
        w->order_fn = NULL;
        fn(r, NULL, r < 0 ? NULL : &bytes, r < 0 ? &err : NULL, w->order_userdata);
        world_run(w);
}
