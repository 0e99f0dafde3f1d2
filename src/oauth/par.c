/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/par.h"

#include "base/codec.h"
#include "base/limits.h"

#define REQUEST_URI_MAX 1024 /* it goes into a URL, beside the endpoint and the client's id */

bool par_wanted(const struct as_metadata *as) {
        return as->par_endpoint || as->par_required;
}

/* A69 */
static int check_issuer(const struct authorization *a, const struct registration *reg,
                        const struct as_metadata *as, struct error *err) {
        if (streq_null(a->issuer, as->issuer) && streq_null(a->client_id, reg->client_id))
                return 0;
        return error_set(err, MCPB_INTERNAL, EKEYREJECTED, NULL,
                         "A login at %s was about to go to another issuer", a->issuer);
}

int par_request(struct fetch_request *f, const struct authorization *a,
                const struct registration *reg, const struct as_metadata *as, struct error *err) {
        enum client_auth method = CLIENT_AUTH_NONE;
        int r = check_issuer(a, reg, as, err);

        if (r == 0 && !as->par_endpoint)
                r = error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP, NULL,
                              "The authorization server %s takes no pushed authorization requests",
                              as->issuer);
        if (r == 0)
                r = client_auth_resolve(reg, as, &method, err);
        if (r < 0)
                return r;
        r = client_form_begin(f, as->par_endpoint);
        /* It is a parameter of the request itself, and said once: the other methods say it. */
        if (r == 0)
                r = authorization_append(&f->body, a,
                                         method == CLIENT_AUTH_BASIC ? a->client_id : NULL);
        return client_form_end(f, r, reg, as, err);
}

static bool reference_is_sound(const char *uri) {
        return uri && strlen(uri) <= REQUEST_URI_MAX && token_is_sound(uri);
}

int par_answer(struct authorization *a, const struct as_metadata *as,
               const struct fetch_answer *answer, uint64_t now_wall, struct token_fault *fault,
               struct error *err) {
        const struct token_asked asked = {
                .from = { REMOTE_ISSUER, "pushed authorization request endpoint",
                          as->par_endpoint ? as->par_endpoint : as->issuer },
                .who = "authorization server",
                .name = as->issuer,
                .what = "pushed authorization",
                .created = true,
        };
        struct token_fault unused = { .what = TOKEN_OTHER };
        AUTO_JSON json_t *json = NULL;
        uint64_t sec = LIMIT_LOGIN_SEC;
        const char *uri;
        char *copy;
        int r;

        fault = fault ? fault : &unused;
        r = token_answer_read(&asked, answer, &json, fault, err);
        if (r < 0)
                return r;
        uri = json_get_string(json, "request_uri");
        if (!reference_is_sound(uri))
                return token_answer_unusable(&asked, "it has no usable request_uri", err);
        if (token_answer_expiry(json, &sec) && sec == 0)
                return token_answer_unusable(&asked, "its request_uri is good for no time", err);
        copy = strdup(uri);
        if (!copy)
                return error_oom(err);
        (void)str_wipe_free(a->request_uri);
        a->request_uri = copy;
        a->request_expires_wall = now_wall + sec * USEC_PER_SEC;
        if (a->request_expires_wall > a->expires_wall)
                a->request_expires_wall = a->expires_wall;
        fault->what = TOKEN_OK;
        return 0;
}
