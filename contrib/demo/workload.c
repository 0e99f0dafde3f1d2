/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First whether the token is what it says (issuer, key, audience, times), then whether the workload
 * in it may come. Keys are read anew each time: a cluster changes them when it likes.
 */
#include "workload.h"

#include <stdlib.h>
#include <string.h>

#include "as.h"
#include "assertion.h"
#include "grant.h"

#define SUBJECT_PREFIX "system:serviceaccount:"

/* What stands behind NAME= in one of the list, or NULL. */
static const char *find(const char *const *list, unsigned n, const char *name) {
        size_t n_name = name ? strlen(name) : 0;

        for (unsigned i = 0; name && i < n; i++)
                if (strncmp(list[i], name, n_name) == 0 && list[i][n_name] == '=')
                        return list[i] + n_name + 1;
        return NULL;
}

static const char *keys_of(const struct exchange *x, const struct jwt *j) {
        const struct options *o = &x->demo->options;

        return find(o->workload_issuers, o->n_workload_issuers, jwt_claim(j, "iss"));
}

static const char *token_fault(struct exchange *x, const struct jwt *j) {
        const char *path = keys_of(x, j);
        const char *late = jwt_time_fault(j, clock_epoch());
        json_t *jwks;
        bool good;

        if (!path)
                return "no workload issuer known here";
        if (!assertion_for_us(x, j))
                return "it is not for this server alone";
        if (late)
                return late;
        jwks = jwks_read(path);
        good = jwks && jwt_verify_set(j, jwks);
        json_decref(jwks);
        return good ? NULL : "no key of the issuer made its signature";
}

/* "NAMESPACE/ACCOUNT", if all that the token says of both is the same; NULL if not. */
static char *account_of(const struct jwt *j) {
        const json_t *own = json_object_get(j->claims, "kubernetes.io");
        const char *space = json_string_value(json_object_get(own, "namespace"));
        const char *name =
                json_string_value(json_object_get(json_object_get(own, "serviceaccount"), "name"));
        const char *sub = jwt_claim(j, "sub");
        char *wanted;
        bool good;

        if (!space || !name || !sub || !*space || !*name || strpbrk(space, "/:=*") ||
            strpbrk(name, "/:=*"))
                return NULL;
        wanted = mem_printf(SUBJECT_PREFIX "%s:%s", space, name);
        good = strcmp(wanted, sub) == 0;
        free(wanted);
        return good ? mem_printf("%s/%s", space, name) : NULL;
}

static const char *policy_scopes(const struct options *o, const char *account) {
        const char *scopes = find(o->workload_allow, o->n_workload_allow, account);
        char *any = mem_printf("%.*s/*", (int)strcspn(account, "/"), account);

        if (!scopes)
                scopes = find(o->workload_allow, o->n_workload_allow, any);
        free(any);
        return scopes;
}

char *workload_scopes(struct exchange *x, const struct jwt *j, const char **ret_code,
                      const char **ret_why) {
        char *account = NULL;
        const char *scopes = NULL;

        *ret_code = "invalid_grant";
        *ret_why = token_fault(x, j);
        if (!*ret_why) {
                account = account_of(j);
                *ret_why = account ? NULL : "it is not the token of a service account";
        }
        if (account) {
                scopes = policy_scopes(&x->demo->options, account);
                *ret_code = "unauthorized_client";
                *ret_why = "policy does not know this workload";
        }
        free(account);
        return mem_string(scopes);
}

static void grant(struct exchange *x, const struct jwt *j) {
        const struct form *f = &x->request->form;
        const char *asked = form_get(f, "scope");
        const char *resource = as_resource(x, f);
        const char *code;
        const char *why;
        char *allowed = workload_scopes(x, j, &code, &why);
        struct family *family;

        if (!allowed) {
                as_error(x, 400, code, why);
                return;
        }
        if (asked && (!words_valid(asked) || !words_subset(asked, allowed))) {
                as_error(x, 400, "invalid_scope", "policy does not give this workload that scope");
        } else if (!resource) {
                as_error(x, 400, "invalid_target", "resource must be one of this server's");
        } else {
                family = grant_family(x, jwt_claim(j, "sub"), asked ? asked : allowed, resource);
                if (family) {
                        family->subject = mem_string(jwt_claim(j, "sub"));
                        grant_issue(x, family, family->scope, false);
                        exchange_note(x, "token for %s", family->subject);
                }
        }
        free(allowed);
}

void workload_grant(struct exchange *x) {
        const char *text = form_get(&x->request->form, "assertion");
        struct jwt j;

        if (!text) {
                as_error(x, 400, "invalid_request", "assertion is missing");
        } else if (!jwt_parse(&j, text)) {
                as_error(x, 400, "invalid_grant", "the assertion is not a JWT taken here");
        } else {
                grant(x, &j);
                jwt_done(&j);
        }
}
