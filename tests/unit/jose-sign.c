/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What src/jose/ does, for the eyes of others: jose.py has another program look at it.
 *
 *     jose-sign new ALG         a new key, as PEM
 *     jose-sign sign ALG N      N signatures with the key on standard input, one a line
 *     jose-sign show            that key: its public half, its thumbprint, its default algorithm
 *     jose-sign pem             that key as PEM
 */
#include <stdio.h>

#include "base/codec.h"
#include "base/limits.h"
#include "jose/jws.h"

static int say(const struct buf *b) {
        return fwrite(b->data, 1, b->len, stdout) == b->len ? 0 : -EIO;
}

static int make(const char *name) {
        AUTO_JOSE_KEY struct jose_key *k = NULL;
        AUTO_BUF struct buf pem = BUF_INIT;
        enum jose_alg alg;
        int r = jose_alg_from_name(name, &alg);

        if (r == 0)
                r = jose_key_generate(alg, &k);
        if (r == 0)
                r = jose_key_to_pem(k, &pem);
        return r < 0 ? r : say(&pem);
}

static int sign(const struct jose_key *k, const char *name, const char *count) {
        AUTO_JSON json_t *header = json_pack("{s:s}", "typ", "test+jwt");
        enum jose_alg alg;
        uint64_t n = 0;
        int r = jose_alg_from_name(name, &alg);

        if (r == 0)
                r = number_parse(count, 100000, &n);
        for (uint64_t i = 0; r == 0 && i < n; i++) {
                AUTO_JSON json_t *claims =
                        json_pack("{s:I, s:s}", "n", (json_int_t)i, "text", "ä\"");
                AUTO_BUF struct buf b = BUF_INIT;

                r = jws_sign(k, alg, header, claims, &b);
                if (r == 0)
                        r = buf_append(&b, "\n", 1);
                if (r == 0)
                        r = say(&b);
        }
        return r;
}

static int show(const struct jose_key *k) {
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_JSON json_t *jwk = NULL;
        int r = jose_key_public(k, &jwk);

        if (r == 0)
                r = json_write(&text, jwk);
        if (r == 0)
                r = buf_append(&text, "\n", 1);
        if (r == 0)
                r = jose_key_thumbprint(k, &text);
        if (r == 0)
                r = buf_printf(&text, "\n%s\n", jose_alg_name(jose_key_default_alg(k)));
        return r < 0 ? r : say(&text);
}

static int with_key(int argc, char **argv) {
        static char text[LIMIT_KEY_BYTES];
        AUTO_JOSE_KEY struct jose_key *k = NULL;
        AUTO_BUF struct buf pem = BUF_INIT;
        struct error err = ERROR_INIT;
        size_t len = fread(text, 1, sizeof(text), stdin);
        int r = jose_key_read(text, len, &k, &err);

        if (r < 0) {
                (void)fprintf(stderr, "%s\n%s\n", err.message, err.hint);
                return r;
        }
        if (argc == 4 && streq(argv[1], "sign"))
                return sign(k, argv[2], argv[3]);
        if (argc == 2 && streq(argv[1], "show"))
                return show(k);
        r = jose_key_to_pem(k, &pem);
        return r < 0 ? r : say(&pem);
}

int main(int argc, char **argv) {
        int r = argc == 3 && streq(argv[1], "new") ? make(argv[2]) : with_key(argc, argv);

        return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
