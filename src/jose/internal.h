/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share: the key's inside, PEM, and OpenSSL's failures as ours.
 */
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>

#include "jose/key.h"

enum jose_kind {
        JOSE_KIND_P256,
        JOSE_KIND_P384,
        JOSE_KIND_RSA,
        JOSE_KIND_ED25519,
        JOSE_KIND_COUNT,
};

struct jose_key {
        EVP_PKEY *pkey;
        enum jose_kind kind;
        enum jose_alg alg; /* the default */
};

#define JOSE_SHA256_BYTES 32

/* Empties OpenSSL's queue of errors; -ENOMEM if that is what it was, else @otherwise. */
int jose_failed(int otherwise);

/* Makes a key of @pkey, which is taken in any case. -EOPNOTSUPP: of a kind that is not served;
 * -EKEYREJECTED: its halves do not belong together. */
int jose_key_adopt(EVP_PKEY *pkey, struct jose_key **ret) MUST_CHECK;
/* A private JWK. */
int jose_key_from_jwk(const json_t *jwk, struct jose_key **ret, struct error *err) MUST_CHECK;

/* Does the private half belong to the public one? -EKEYREJECTED. */
int jose_check_halves(const struct jose_key *k) MUST_CHECK;
/* Appends base64url(SHA-256(@data)). */
int jose_sha256_text(const void *data, size_t len, struct buf *out) MUST_CHECK;

static inline void cleanup_pkey(EVP_PKEY **p) {
        EVP_PKEY_free(*p);
}
#define AUTO_PKEY __attribute__((cleanup(cleanup_pkey), unused))
static inline void cleanup_bio(BIO **p) {
        (void)BIO_free(*p);
}
#define AUTO_BIO __attribute__((cleanup(cleanup_bio), unused))

struct pem_block {
        char *label; /* "PRIVATE KEY" */
        bool encrypted;
        unsigned char *der; /* wiped */
        size_t len;
};
#define PEM_BLOCK_INIT ((struct pem_block){ 0 })
#define AUTO_PEM_BLOCK __attribute__((cleanup(pem_block_done), unused))
/* The next block of a text: 1, 0 at the end, -EBADMSG, -ENOMEM. @b is emptied first. */
int pem_next(BIO *text, struct pem_block *b) MUST_CHECK;
void pem_block_done(struct pem_block *b);
int pem_append(struct buf *out, const char *label, const void *der, size_t len) MUST_CHECK;
