/* SPDX-License-Identifier: Apache-2.0 */
/*
 * As much of gRPC and of protocol buffers as the SPIFFE Workload API takes: frames, fields of a
 * message, and the status at the end of an answer. What comes is foreign bytes: nothing is read
 * behind its end, and what is not known is passed over, as protocol buffers want it.
 */
#pragma once

#include "wire/fetch.h"

#define GRPC_FRAME_HEAD_BYTES 5
#define GRPC_MESSAGE_MAX ((size_t)1024 * 1024)

/* Appends @message as one frame, not compressed. */
int grpc_append_frame(struct buf *b, const void *message, size_t len) MUST_CHECK;
/*
 * The message of the first frame, borrowed. *@ret_used: bytes that the frame takes. -EAGAIN: not
 * whole; -EBADMSG: compressed, which nobody asked for, or too long.
 */
int grpc_first_frame(const void *data, size_t len, const uint8_t **ret, size_t *ret_len,
                     size_t *ret_used) MUST_CHECK;

enum grpc_status {
        GRPC_OK = 0,
        GRPC_CANCELLED = 1,
        GRPC_INVALID_ARGUMENT = 3,
        GRPC_DEADLINE_EXCEEDED = 4,
        GRPC_NOT_FOUND = 5,
        GRPC_PERMISSION_DENIED = 7,
        GRPC_RESOURCE_EXHAUSTED = 8,
        GRPC_UNIMPLEMENTED = 12,
        GRPC_INTERNAL = 13,
        GRPC_UNAVAILABLE = 14,
        GRPC_UNAUTHENTICATED = 16,
        GRPC_STATUS_MAX = 16,
};

/*
 * The status of a whole answer, and what is said about it, decoded, cleaned and bounded (wiped by
 * the caller; NULL: nothing). -EBADMSG: the answer has none, several, or one that is no number of
 * gRPC's: it is not whole, whatever the HTTP status.
 */
int grpc_answer_status(const struct fetch_answer *a, enum grpc_status *ret, char **ret_message)
        MUST_CHECK;
const char *grpc_status_name(enum grpc_status s); /* "PermissionDenied" */

/* --- protocol buffers ---------------------------------------------------------------------- */

struct proto_field {
        uint32_t number;
        bool is_bytes;       /* string, bytes, message; else a number of any kind */
        const uint8_t *data; /* borrowed from the message */
        size_t len;
};

struct proto_reader {
        const uint8_t *p;
        const uint8_t *end;
};

/* @data may be NULL if @len is 0. */
static inline struct proto_reader proto_reader_of(const void *data, size_t len) {
        const uint8_t *p = data;

        return (struct proto_reader){ p, len > 0 ? p + len : p };
}

/* 1: a field; 0: the end of the message; -EBADMSG. */
int proto_next(struct proto_reader *r, struct proto_field *ret) MUST_CHECK;
/* Appends a string, bytes, or a message. Empty values are written too: they stand in lists. */
int proto_append_bytes(struct buf *b, uint32_t number, const void *data, size_t len) MUST_CHECK;
