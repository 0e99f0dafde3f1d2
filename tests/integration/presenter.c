/* SPDX-License-Identifier: Apache-2.0 */
/*
 * src/oauth/ by itself, for the eyes of another's authorization server: one JSON object on standard
 * input says what is to be done and what there is, one on standard output the request that comes
 * of it; or, where "answer" is among it, what is made of that. present.py carries them.
 */
#include <stdio.h>

#include "base/clock.h"
#include "crypto/init.h"
#include "oauth/device.h"
#include "oauth/dpop.h"
#include "oauth/fields.h"
#include "oauth/par.h"
#include "oauth/present.h"

#define ANYWHERE (ADDRESS_LOOPBACK | ADDRESS_PUBLIC)

struct work {
        const json_t *given;
        struct as_metadata as;
        struct registration reg;
        struct scope_set scopes;
        struct fetch_request request;
        struct fetch_answer answer;
        bool answered;
        struct error err;
        json_t *result;
};

static const char *text(const struct work *w, const char *name) {
        return json_get_string(w->given, name);
}

static int say(struct work *w, const char *name, json_t *value) {
        return json_put(w->result, name, value);
}

static int say_token(struct work *w, const struct token_reply *reply) {
        int r = say(w, "access_token", json_string(reply->access_token.data));

        return r < 0 ? r : say(w, "token_type", json_string(reply->token_type));
}

static int on_present(struct work *w) {
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        AUTO_FREE char *audience = NULL;
        const char *profile = text(w, "profile");
        struct present_have have = { .secret = w->reg.client_secret,
                                     .key = w->reg.client_key,
                                     .jwt = text(w, "assertion"),
                                     .idp = json_get_bool(w->given, "idp", false) };
        struct present_params p = { .how = PRESENT_COUNT,
                                    .as = &w->as,
                                    .registration = &w->reg,
                                    .assertion = text(w, "assertion"),
                                    .assertion_token_type = text(w, "assertion_token_type"),
                                    .actor_token = text(w, "actor_token"),
                                    .resource = text(w, "resource"),
                                    .scopes = &w->scopes,
                                    .profile = profile ? present_profile_find(profile) : NULL,
                                    .extra = json_object_get(w->given, "extra"),
                                    .dpop = text(w, "dpop"),
                                    .now_wall = clock_wall_usec() };
        enum present wanted = PRESENT_AUTO;
        bool dropped = false;
        int r = present_from_name(text(w, "how"), &wanted);

        if (r == 0)
                r = present_choose(wanted, &have, &w->as, &p.how, &w->err);
        if (r == 0)
                r = present_audience(text(w, "audience"), &w->as, &audience);
        p.audience = audience;
        if (r < 0)
                return r;
        if (!w->answered)
                return present_request(&w->request, &p, &w->err);
        r = present_answer(&reply, &p, &w->answer, &dropped, NULL, &w->err);
        return r < 0 ? r : say_token(w, &reply);
}

static int on_id_jag(struct work *w) {
        AUTO_BUF struct buf jag = BUF_INIT;
        const struct id_jag_params p = { .idp_token_endpoint = text(w, "idp_token_endpoint"),
                                         .idp_client_id = text(w, "idp_client_id"),
                                         .idp_client_secret = text(w, "idp_client_secret"),
                                         .subject_token = text(w, "assertion"),
                                         .audience = w->as.issuer,
                                         .resource = text(w, "resource"),
                                         .scopes = &w->scopes };
        int r;

        if (!w->answered)
                return id_jag_request(&w->request, &p, &w->err);
        r = id_jag_answer(&jag, &p, &w->answer, NULL, &w->err);
        return r < 0 ? r : say(w, "assertion", json_string(jag.data));
}

static int say_login(struct work *w, const struct authorization *a) {
        AUTO_BUF struct buf url = BUF_INIT;
        json_t *login = NULL;
        int r = authorization_to_json(a, &login);

        if (r == 0)
                r = say(w, "login", login);
        if (r == 0 && w->answered)
                r = authorization_url(&url, a, &w->as, &w->err);
        return r < 0 || !w->answered ? r : say(w, "url", json_string(url.data));
}

static int on_par(struct work *w) {
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        const struct authorization_params p = { .as = &w->as,
                                                .registration = &w->reg,
                                                .redirect_uri = text(w, "redirect_uri"),
                                                .resource = text(w, "resource"),
                                                .scopes = &w->scopes,
                                                .now_wall = clock_wall_usec() };
        int r;

        if (w->answered) {
                r = authorization_from_json(&a, json_object_get(w->given, "login"));
                if (r == 0)
                        r = par_answer(&a, &w->as, &w->answer, clock_wall_usec(), NULL, &w->err);
        } else {
                r = authorization_begin(&a, &p, &w->err);
                if (r == 0)
                        r = par_request(&w->request, &a, &w->reg, &w->as, &w->err);
        }
        return r < 0 ? r : say_login(w, &a);
}

static int on_redeem(struct work *w) {
        AUTO_AUTHORIZATION struct authorization a = AUTHORIZATION_INIT;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        AUTO_WIPE_STR char *code = NULL;
        int r = authorization_from_json(&a, json_object_get(w->given, "login"));

        if (r < 0)
                return r;
        if (w->answered) {
                r = token_answer(&reply, &w->as, &w->answer, NULL, &w->err);
                return r < 0 ? r : say_token(w, &reply);
        }
        if (authorization_response(&a, text(w, "query"), clock_wall_usec(), &code, &w->err) !=
            AUTHORIZATION_CODE)
                return -EPROTO;
        return token_request_code(&w->request, &a, &w->reg, &w->as, code, &w->err);
}

static int on_device(struct work *w) {
        AUTO_DEVICE_LOGIN struct device_login d = DEVICE_LOGIN_INIT;
        const struct device_params p = { .as = &w->as,
                                         .registration = &w->reg,
                                         .resource = text(w, "resource"),
                                         .scopes = &w->scopes,
                                         .now_wall = clock_wall_usec() };
        json_t *login = NULL;
        int r;

        if (!w->answered)
                return device_request(&w->request, &p, &w->err);
        r = device_answer(&d, &p, &w->answer, NULL, &w->err);
        if (r == 0)
                r = device_login_to_json(&d, &login);
        return r < 0 ? r : say(w, "login", login);
}

static int on_poll(struct work *w) {
        static const char *const words[DEVICE_NEXT_COUNT] = {
                [DEVICE_WAIT] = "wait",       [DEVICE_GRANTED] = "granted",
                [DEVICE_REFUSED] = "refused", [DEVICE_EXPIRED] = "expired",
                [DEVICE_FAILED] = "failed",
        };
        AUTO_DEVICE_LOGIN struct device_login d = DEVICE_LOGIN_INIT;
        AUTO_TOKEN_REPLY struct token_reply reply = TOKEN_REPLY_INIT;
        uint64_t now = clock_wall_usec();
        enum device_next next;
        int r = device_login_from_json(&d, json_object_get(w->given, "login"));

        if (r < 0 || !w->answered)
                return r < 0 ? r
                             : device_poll_request(&w->request, &d, &w->reg, &w->as, now, &w->err);
        next = device_poll_answer(&d, &w->as, &w->answer, now, &reply, &w->err);
        r = say(w, "next", json_string(words[next]));
        if (r == 0)
                r = say(w, "interval", json_integer(d.interval_sec));
        return r < 0 || next != DEVICE_GRANTED ? r : say_token(w, &reply);
}

static const struct {
        const char *name;
        int (*fn)(struct work *w);
} operations[] = {
        { "present", on_present }, { "id-jag", on_id_jag }, { "par", on_par },
        { "redeem", on_redeem },   { "device", on_device }, { "poll", on_poll },
};

static int operate(struct work *w) {
        const char *name = text(w, "do");

        for (size_t i = 0; name && i < ARRAY_SIZE(operations); i++)
                if (streq(operations[i].name, name))
                        return operations[i].fn(w);
        return -EINVAL;
}

/* As the caller of present_request() does it. */
static int add_proof(struct work *w) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        AUTO_BUF struct buf proof = BUF_INIT;
        const char *pem = text(w, "dpop");
        struct dpop_proof p = { .htm = w->request.method,
                                .htu = w->request.url,
                                .nonce = text(w, "nonce"),
                                .now_wall = clock_wall_usec() };
        int r;

        if (!pem || w->answered)
                return 0;
        r = jose_key_read(pem, strlen(pem), &key, &w->err);
        p.key = key;
        if (r == 0)
                r = dpop_proof_make(&p, &proof);
        return r < 0 ? r : fetch_request_add_header(&w->request, "DPoP", proof.data);
}

static int say_request(struct work *w) {
        const struct fetch_request *f = &w->request;
        AUTO_JSON json_t *headers = json_object();
        int r = headers ? 0 : -ENOMEM;

        for (size_t i = 0; i < f->n_headers && r == 0; i++)
                r = json_put(headers, f->headers[i].name, json_string(f->headers[i].value));
        if (r == 0)
                r = say(w, "headers", TAKE(headers));
        if (r == 0)
                r = say(w, "method", json_string(f->method));
        if (r == 0)
                r = say(w, "url", json_string(f->url));
        return r < 0 ? r : say(w, "body", json_stringn(f->body.data, f->body.len));
}

/* --- What there is --------------------------------------------------------------------------- */

static int read_metadata(struct work *w) {
        const struct as_source from = { text(w, "issuer"), "the document", ANYWHERE, false };
        struct fetch_answer document;
        int r;

        fetch_answer_init(&document);
        r = json_write(&document.body, json_object_get(w->given, "metadata"));
        if (r == 0)
                r = as_metadata_parse(&w->as, &from, &document, &w->err);
        fetch_answer_done(&document);
        return r;
}

static int read_answer(struct work *w) {
        const json_t *answer = json_object_get(w->given, "answer");
        json_t *headers = json_object_get(answer, "headers");
        const char *name;
        json_t *value;
        int r = 0;

        if (!answer)
                return 0;
        w->answered = true;
        w->answer.outcome = FETCH_ANSWERED;
        w->answer.status = (unsigned)json_get_int(answer, "status", 0);
        json_object_foreach(headers, name, value) {
                if (r == 0)
                        r = fetch_answer_add_header(&w->answer, name, json_string_value(value));
        }
        return r < 0 ? r : buf_append_str(&w->answer.body, json_get_string(answer, "body"));
}

static int read_all(struct work *w) {
        const json_t *registration = json_object_get(w->given, "registration");
        const char *scope = text(w, "scope");
        int r = read_metadata(w);

        if (r == 0 && registration)
                r = registration_from_json(&w->reg, registration);
        if (r == 0 && scope)
                r = scope_set_parse(&w->scopes, scope, NULL);
        return r < 0 ? r : read_answer(w);
}

static int do_work(struct work *w) {
        int r = read_all(w);

        if (r == 0)
                r = operate(w);
        if (r == 0)
                r = add_proof(w);
        if (r == 0 && !w->answered)
                r = say_request(w);
        if (r == 0)
                return 0;
        (void)error_fallback(&w->err, r, "presenting");
        r = say(w, "error", json_string(error_name(w->err.code)));
        if (r == 0)
                r = say(w, "message", json_string(w->err.message));
        return r < 0 ? r : say(w, "hint", json_string(w->err.hint));
}

int main(void) {
        AUTO_JSON json_t *given = json_loadf(stdin, 0, NULL);
        AUTO_JSON json_t *result = json_object();
        struct work w = { .given = given, .result = result };
        int r;

        if (!given || !result || crypto_init(NULL) < 0)
                return 2;
        fetch_request_init(&w.request);
        fetch_answer_init(&w.answer);
        r = do_work(&w);
        if (r == 0 && json_dumpf(result, stdout, JSON_COMPACT) < 0)
                r = -EIO;
        as_metadata_done(&w.as);
        registration_done(&w.reg);
        scope_set_done(&w.scopes);
        fetch_request_done(&w.request);
        fetch_answer_done(&w.answer);
        return r == 0 ? 0 : 2;
}
