/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Client assertions. Several audiences are refused: an assertion that is good at two places can be
 * carried from one to the other.
 */
#include "assertion.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"

#define TYPE_JWT_BEARER "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
#define LIFE_MAX_SEC 3600
#define JTI_MAX 256U

bool assertion_given(const struct exchange *x) {
        const struct form *f = &x->request->form;

        return form_get(f, "client_assertion") || form_get(f, "client_assertion_type");
}

bool assertion_for_us(const struct exchange *x, const struct jwt *j) {
        enum audience wanted = x->demo->options.audience;
        char *endpoint = mem_printf("%s/token", x->at->issuer);
        bool good = (wanted != AUDIENCE_TOKEN_ENDPOINT && jwt_for_alone(j, x->at->issuer)) ||
                    (wanted != AUDIENCE_ISSUER && jwt_for_alone(j, endpoint));

        free(endpoint);
        return good;
}

bool assertion_first_time(struct exchange *x, const struct jwt *j, const char *owner) {
        const char *jti = jwt_claim(j, "jti");
        char *key;
        bool first;

        if (!jti || !*jti || strlen(jti) > JTI_MAX)
                return false;
        key = mem_printf("%s %s", owner, jti);
        first = !table_get(x->at->seen, key);
        if (first)
                (void)table_add(x->at->seen, key, x->demo); /* any value: that it is there counts */
        free(key);
        return first;
}

/* What is wrong with it, besides who signed it; NULL: nothing. */
static const char *claims_fault(struct exchange *x, const struct jwt *j, const char *id) {
        const char *iss = jwt_claim(j, "iss");
        const char *sub = jwt_claim(j, "sub");
        const char *type = jwt_type(j);
        const char *late = jwt_time_fault(j, clock_epoch());
        double life = json_number_value(json_object_get(j->claims, "exp")) - (double)clock_epoch();

        if (*type && strcmp(type, "JWT") != 0 && strcmp(type, "client-authentication+jwt") != 0)
                return "its typ is not that of a client's assertion";
        if (!iss || !sub || strcmp(iss, sub) != 0)
                return "iss and sub are not both the client";
        if (id && strcmp(id, sub) != 0)
                return "client_id is not its subject";
        if (!assertion_for_us(x, j))
                return "it is not for this server alone";
        if (late)
                return late;
        return life > LIFE_MAX_SEC ? "it lives too long" : NULL;
}

static struct client *judge(struct exchange *x, const struct jwt *j) {
        struct client *c = clients_get(x->at->clients, jwt_claim(j, "sub"));
        const char *why = claims_fault(x, j, form_get(&x->request->form, "client_id"));

        if (!why && !c)
                why = "unknown client";
        else if (!why && exchange_fault(x, FAULT_INVALID_CLIENT))
                why = "a fault refuses the client";
        else if (!why && c->method != METHOD_KEY)
                why = "not the registered authentication method";
        else if (!why && !jwt_verify_set(j, c->jwks))
                why = "no key of this client made its signature";
        else if (!why && !assertion_first_time(x, j, c->id))
                why = "its jti is missing, or was used before";
        if (!why)
                return c;
        as_refuse_client(x, false, why);
        return NULL;
}

struct client *assertion_client(struct exchange *x) {
        const struct form *f = &x->request->form;
        const char *type = form_get(f, "client_assertion_type");
        const char *text = form_get(f, "client_assertion");
        struct client *client = NULL;
        struct jwt j;

        if (request_header(x->request, "Authorization") || form_get(f, "client_secret")) {
                as_error(x, 400, "invalid_request", "two authentication methods at once");
        } else if (!type || !text) {
                as_error(x, 400, "invalid_request", "client_assertion and its type go together");
        } else if (strcmp(type, TYPE_JWT_BEARER) != 0) {
                as_refuse_client(x, false, "a type of client assertion that is not known here");
        } else if (!jwt_parse(&j, text)) {
                as_refuse_client(x, false, "the client assertion is not a JWT taken here");
        } else {
                client = judge(x, &j);
                jwt_done(&j);
        }
        return client;
}
