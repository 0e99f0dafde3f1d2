/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file that says which store this is and how it is opened (doc/STORE.md). Readable while
 * locked, hence bounded and checked before anything of it is believed; proved by its MAC once the
 * master key is there. Pure.
 */
#pragma once

#include "base/error.h"
#include "base/json.h"
#include "crypto/secret.h"

#define HEADER_FORMAT 1

/* A new header without slots: {"format":1,"store_id":...,"next_slot":1,"slots":[]}. -ENOMEM */
int header_new(json_t **ret) MUST_CHECK;

/*
 * -EBADMSG not a header; -EPROTONOSUPPORT of a later version. Members that are not known are kept.
 */
int header_parse(const void *data, size_t len, json_t **ret, struct error *err) MUST_CHECK;
/* Sets "mac" and appends the text. */
int header_write(json_t *header, const struct secret *mac_key, struct buf *ret) MUST_CHECK;
/* -EBADMSG: was not written by one who had the key. */
int header_verify(const json_t *header, const struct secret *mac_key) MUST_CHECK;

const char *header_store_id(const json_t *header);         /* 32 hexadecimal digits */
json_t *header_slots(const json_t *header);                /* array */
json_t *header_slot(const json_t *header, const char *id); /* borrowed; NULL */
/*
 * Adds {"id","type","params"}, without its key; *@ret_slot is borrowed. -EINVAL params not of this
 * type, -ENOSPC, -ENOMEM.
 */
int header_slot_add(json_t *header, const char *type, const json_t *params, json_t **ret_slot)
        MUST_CHECK;
int header_slot_remove(json_t *header, const char *id) MUST_CHECK; /* -ENOENT, -EPERM the last */
