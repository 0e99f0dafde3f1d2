/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/bound.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/limits.h"
#include "jose/key.h"
#include "oauth/dpop.h"

#define MEMBER "dpop_key"

void bound_done(struct bound *b) {
        shielded_done(&b->key);
        free(b->issuer_nonce);
        free(b->server_nonce);
        *b = (struct bound){ 0 };
}

bool bound_is(const struct bound *b) {
        return shielded_is_set(&b->key);
}

/* ---- the key ---- */

int bound_new_key(struct bound *b, struct shield *shield) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        AUTO_BUF struct buf der = BUF_INIT;
        int r = jose_key_generate(JOSE_ES256, &key);

        if (r == 0)
                r = jose_key_to_der(key, &der);
        if (r < 0)
                return r;
        shielded_done(&b->key);
        return shield_put(shield, der.data, der.len, &b->key);
}

static int open_key(const struct bound *b, struct shield *shield, struct jose_key **ret) {
        AUTO_BUF struct buf der = BUF_INIT;
        int r = shield_open(shield, &b->key, &der);

        return r < 0 ? r : jose_key_from_der(der.data, der.len, ret);
}

int bound_to_json(const struct bound *b, struct shield *shield, json_t *object) {
        AUTO_BUF struct buf der = BUF_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        if (!bound_is(b))
                return 0;
        r = shield_open(shield, &b->key, &der);
        if (r == 0)
                r = base64url_append(&text, der.data, der.len);
        if (r < 0)
                return r;
        return json_object_set_new(object, MEMBER, json_stringn(text.data, text.len)) < 0 ? -ENOMEM
                                                                                          : 0;
}

int bound_from_json(struct bound *b, struct shield *shield, const json_t *object) {
        const char *text = json_get_string(object, MEMBER);
        AUTO_BUF struct buf der = BUF_INIT;
        int r;

        if (!text)
                return 0;
        r = base64url_decode(&der, text, strlen(text));
        if (r < 0)
                return r;
        shielded_done(&b->key);
        return shield_put(shield, der.data, der.len, &b->key);
}

/* ---- proofs ---- */

static int write_proof(const struct bound *b, struct shield *shield, const struct dpop_proof *what,
                       struct buf *out) {
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        struct dpop_proof proof = *what;
        int r = open_key(b, shield, &key);

        if (r < 0)
                return r;
        proof.key = key;
        proof.now_wall = clock_wall_usec();
        return dpop_proof_make(&proof, out);
}

int bound_add_proof(const struct bound *b, struct shield *shield, struct fetch_request *f) {
        AUTO_BUF struct buf text = BUF_INIT;
        struct dpop_proof what = { .htm = f->method, .htu = f->url, .nonce = b->issuer_nonce };
        int r;

        if (!bound_is(b))
                return 0;
        r = write_proof(b, shield, &what, &text);
        return r < 0 ? r : fetch_request_add_header(f, "DPoP", text.data);
}

int bound_write_proof(const struct bound *b, struct shield *shield, const char *method,
                      const char *url, const char *token, struct buf *out) {
        struct dpop_proof what = {
                .htm = method, .htu = url, .access_token = token, .nonce = b->server_nonce
        };

        return write_proof(b, shield, &what, out);
}

/* ---- nonces ---- */

/* Without memory for it the old one is used once more, and refused. */
static void keep(char **to, const char *nonce) {
        char *copy = strdup(nonce);

        if (!copy)
                return;
        free(*to);
        *to = copy;
}

bool bound_hear_issuer(struct bound *b, const struct fetch_answer *a) {
        const char *nonce = a->outcome == FETCH_ANSWERED ? dpop_answer_nonce(a) : NULL;

        if (!bound_is(b) || !nonce)
                return false;
        keep(&b->issuer_nonce, nonce);
        return dpop_answer_wants_nonce(a);
}

void bound_hear_server(struct bound *b, const char *nonce) {
        if (dpop_nonce_is_sound(nonce))
                keep(&b->server_nonce, nonce);
}
