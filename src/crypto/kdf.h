/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys from a passphrase (Argon2id: slow on purpose, so it runs in the one-shot child
 * mcp-broker-kdf, never in an event loop) and keys from a key (subkeys: fast). The request to the
 * child is here too, so that both ends share one text.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "crypto/secret.h"

#define KDF_SALT_BYTES 16
#define KDF_OPSLIMIT_MAX 16
#define KDF_MEMLIMIT_MIN ((uint64_t)8192)
#define KDF_MEMLIMIT_MAX ((uint64_t)1024 * 1024 * 1024)
#define KDF_REQUEST_LINE_MAX 256 /* with its LF */

struct kdf_params {
        uint8_t salt[KDF_SALT_BYTES];
        uint64_t opslimit;
        uint64_t memlimit; /* bytes */
};

/* A new salt and today's costs (about 0.6 s and 256 MiB). */
void kdf_params_new(struct kdf_params *ret);
/*
 * As the members "salt" (hex), "opslimit", "memlimit" of a JSON object; -EBADMSG outside the bounds
 * above.
 */
int kdf_params_to_json(const struct kdf_params *p, json_t **ret) MUST_CHECK;
int kdf_params_from_json(const json_t *value, struct kdf_params *ret) MUST_CHECK;

/*
 * Blocks for as long as Argon2id takes. -EINVAL empty or too long a passphrase, -ENOMEM, -ENOBUFS
 * slab full.
 */
int kdf_derive(const struct kdf_params *p, const void *passphrase, size_t len, struct secret **ret)
        MUST_CHECK;

/*
 * The request to mcp-broker-kdf: one JSON line, then the bytes of the passphrase, on a stream
 * socket that is the child's descriptor 0. The answer on the same descriptor: SECRET_KEY_BYTES raw
 * bytes, or end of stream.
 */
int kdf_request_append(struct buf *b, const struct kdf_params *p, const void *passphrase,
                       size_t len) MUST_CHECK;
/* The line without its LF. -EBADMSG. */
int kdf_request_parse(const char *line, size_t len, struct kdf_params *ret,
                      size_t *ret_n_passphrase) MUST_CHECK;

#define SUBKEY_CONTEXT_BYTES 8
/* A 32-byte key of its own for each @id and @context (8 characters). NULL: the slab is full. */
struct secret *subkey_new(const struct secret *master, uint64_t id,
                          const char context[static SUBKEY_CONTEXT_BYTES]) MUST_CHECK;
