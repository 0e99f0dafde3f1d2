/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The identity of a job of GitHub Actions. The two variables belong to the job: whoever shares its
 * environment can do the same.
 */
#include "base/url.h"
#include "identity/provider.h"

#define HINT_PERMISSION "Give the job the permission \"id-token: write\""

static int github_ask(struct identity *i, struct error *err) {
        const char *base =
                identity_need_env(i, "ACTIONS_ID_TOKEN_REQUEST_URL", HINT_PERMISSION, err);
        const char *token = NULL;
        AUTO_BUF struct buf url = BUF_INIT;
        AUTO_BUF struct buf bearer = BUF_INIT;
        int r;

        if (base)
                token = identity_need_env(i, "ACTIONS_ID_TOKEN_REQUEST_TOKEN", HINT_PERMISSION,
                                          err);
        if (!base || !token)
                return -ENOENT;
        if (url_check_allowed(base, "ACTIONS_ID_TOKEN_REQUEST_URL", NULL) < 0)
                return identity_fault(i, err, EINVAL, "Start the daemon in a job of GitHub Actions",
                                      "ACTIONS_ID_TOKEN_REQUEST_URL is no https URL");
        r = buf_append_str(&url, base);
        if (r == 0)
                r = identity_url_add(&url, "audience", i->audiences[0]);
        if (r == 0)
                r = buf_printf(&bearer, "Bearer %s", token);
        i->hint = "See that the runner reaches GitHub";
        if (r == 0)
                r = identity_ask_fetch(i, "GET", url.data, "asking GitHub for a token");
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, "Authorization", bearer.data);
        if (r == 0)
                r = fetch_request_add_header(&i->step.fetch, "Accept", "application/json");
        return r;
}

static int github_answer(struct identity *i, struct fetch_answer *a, struct error *err) {
        AUTO_JSON json_t *json = NULL;
        const char *token;
        int r;

        if (a->status != 200)
                return identity_refused(i, a, HINT_PERMISSION, err);
        r = identity_json(i, a->body.data, a->body.len, &json, err);
        if (r < 0)
                return r;
        token = json_get_string(json, "value");
        if (!token)
                return identity_fault(i, err, EBADMSG, HINT_PERMISSION,
                                      "the answer has no 'value'");
        return identity_finish_jwt(i, token, strlen(token), 0, err);
}

const struct identity_provider identity_github = {
        .name = "github",
        .ask = github_ask,
        .on_answer = github_answer,
};
