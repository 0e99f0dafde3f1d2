/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key slots: ways to the master key, several at once. A slot type says what the wrapping key is
 * made of; how its raw material is got (prompt, keyring, file) is asynchronous and the caller's:
 *   passphrase  the caller asks for it and sends slot_passphrase_params() with it to
 *               mcp-broker-kdf: 32 bytes back
 *   file        the caller reads STORE_KEY_NAME through the backend and gives it to slot_file_key()
 * In both cases the result is the wrapping key of store_unlock() or struct store_slot_new.
 */
#pragma once

#include "base/json.h"
#include "crypto/kdf.h"
#include "crypto/secret.h"

#define SLOT_PASSPHRASE "passphrase"
#define SLOT_FILE "file"

struct slot_type {
        const char *name;
        bool interactive; /* needs a person */
        bool plain;       /* the key lies beside the store: `status` says so */
        /* Are these the parameters of such a slot? 0 or -EBADMSG. */
        int (*check)(const json_t *params);
};
const struct slot_type *slot_type_find(
        const char *name); /* NULL: of a later version; such slots are kept */

/*
 * The parameters of a new passphrase slot (fresh salt), and back. The same struct goes to
 * kdf_request_append().
 */
int slot_passphrase_new(struct kdf_params *ret, json_t **ret_params) MUST_CHECK;
int slot_passphrase_params(const json_t *params, struct kdf_params *ret) MUST_CHECK; /* -EBADMSG */

/*
 * A new key file: 64 hexadecimal digits and a newline. Write it (STORE_KEY_NAME) before
 * store_create().
 */
int slot_file_new(struct secret **ret_key, struct buf *ret_contents) MUST_CHECK;
/* -EBADMSG: not such a file; -ENOBUFS: slab full. */
int slot_file_key(const void *contents, size_t len, struct secret **ret_key) MUST_CHECK;

/*
 * The master key sealed under the wrapping key, bound to store, slot id, type and parameters. For
 * store.c.
 * unwrap: -EKEYREJECTED if any of it differs.
 */
int slot_wrap(const char *store_id, const struct secret *wrapping_key, const struct secret *master,
              json_t *slot) MUST_CHECK; /* sets "wrapped" of @slot, which has id, type, params */
int slot_unwrap(const char *store_id, const struct secret *wrapping_key, const json_t *slot,
                struct secret **ret_master) MUST_CHECK;
