/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pushed request is judged when it comes, and once more when the browser brings it.
 */
#include "par.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "authorize.h"
#include "dpop.h"

#define PREFIX "urn:ietf:params:oauth:request_uri:"
#define LIFE_SEC 60

struct pushed {
        char *client_id;
        char *body; /* the form as it came */
        char *jkt;
        uint64_t expires_msec;
};

void par_free(void *pushed) {
        struct pushed *p = pushed;

        free(p->client_id);
        free(p->body);
        free(p->jkt);
        free(p);
}

static void keep(struct exchange *x, const struct client *client) {
        struct pushed *p = mem_new(sizeof(*p));
        char *uri = random_token(PREFIX);

        p->client_id = mem_string(client->id);
        p->body = mem_copy(x->request->body.p, x->request->body.n);
        p->jkt = mem_string(x->jkt);
        p->expires_msec = clock_msec() + LIFE_SEC * 1000U;
        (void)table_add(x->at->pushed, uri, p);
        journal_count(x->demo->journal, COUNT_PUSHED);
        reply_json(x->request, 201,
                   json_pack("{s:s, s:i}", "request_uri", uri, "expires_in", LIFE_SEC));
        as_no_store(x);
        exchange_note(x, "pushed by %s", client->name);
        free(uri);
}

static void judge(struct exchange *x, const struct client *client) {
        const struct form *f = &x->request->form;
        const char *redirect_uri = form_get(f, "redirect_uri");
        const char *jkt = form_get(f, "dpop_jkt");
        const char *why;
        const char *error;

        if (form_get(f, "request_uri")) {
                as_error(x, 400, "invalid_request", "a pushed request does not refer to another");
        } else if (!redirect_uri || !client_redirect_allowed(client, redirect_uri)) {
                as_error(x, 400, "invalid_request", "the redirect URI is not this client's");
        } else if (jkt && x->jkt && strcmp(jkt, x->jkt) != 0) {
                as_error(x, 400, "invalid_dpop_proof", "dpop_jkt is not the key of the proof");
        } else {
                error = authorize_fault(x, f, &why);
                if (error)
                        as_error(x, 400, error, why);
                else
                        keep(x, client);
        }
}

void par_handle(struct exchange *x) {
        const char *id = form_get(&x->request->form, "client_id");
        const struct client *client;

        if (x->demo->options.par == PAR_OFF || !as_form_right(x))
                return;
        if (id && x->demo->options.cimd && !clients_get(x->at->clients, id))
                (void)clients_add_document(x->at->clients, id);
        client = as_authenticate(x);
        if (client && dpop_judge(x, false))
                judge(x, client);
}

bool par_take(struct exchange *x, const struct form *query, struct form *ret, char **ret_jkt) {
        const char *uri = form_get(query, "request_uri");
        const char *id = form_get(query, "client_id");
        const struct pushed *p = table_get(x->at->pushed, uri);
        bool good = p && id && strcmp(p->client_id, id) == 0 && clock_msec() < p->expires_msec;

        if (good) {
                form_parse(ret, p->body, strlen(p->body));
                *ret_jkt = mem_string(p->jkt);
        }
        if (p) /* also by a request that fails: nobody gets to guess */
                (void)table_remove(x->at->pushed, uri);
        return good;
}
