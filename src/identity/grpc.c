/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/grpc.h"

#include "base/codec.h"
#include "base/limits.h"
#include "base/utf8.h"

#define VARINT_BYTES_MAX 10
#define FIELD_NUMBER_MAX ((1u << 29) - 1)

int grpc_append_frame(struct buf *b, const void *message, size_t len) {
        const uint8_t head[GRPC_FRAME_HEAD_BYTES] = { 0, (uint8_t)(len >> 24), (uint8_t)(len >> 16),
                                                      (uint8_t)(len >> 8), (uint8_t)len };
        int r;

        if (len > GRPC_MESSAGE_MAX)
                return -EMSGSIZE;
        r = buf_append(b, head, sizeof(head));
        return r < 0 || len == 0 ? r : buf_append(b, message, len);
}

int grpc_first_frame(const void *data, size_t len, const uint8_t **ret, size_t *ret_len,
                     size_t *ret_used) {
        const uint8_t *p = data;
        size_t n;

        /* What is wrong is said as soon as it can be seen. */
        if (len > 0 && p[0] != 0)
                return -EBADMSG;
        if (len < GRPC_FRAME_HEAD_BYTES)
                return -EAGAIN;
        n = (size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4];
        if (n > GRPC_MESSAGE_MAX)
                return -EBADMSG;
        if (len - GRPC_FRAME_HEAD_BYTES < n)
                return -EAGAIN;
        *ret = p + GRPC_FRAME_HEAD_BYTES;
        *ret_len = n;
        *ret_used = GRPC_FRAME_HEAD_BYTES + n;
        return 0;
}

static const char *single_header(const struct fetch_answer *a, const char *name, bool *ret_twice) {
        const char *value = NULL;

        for (size_t i = 0; i < a->n_headers; i++) {
                if (!streq(a->headers[i].name, name))
                        continue;
                *ret_twice = value != NULL;
                if (value)
                        return NULL;
                value = a->headers[i].value;
        }
        return value;
}

static int hex_digit(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* gRPC wants a broken escape taken as it stands, and never an error because of it. */
static char *decode_message(const char *text) {
        AUTO_BUF struct buf b = BUF_INIT;
        int r = 0;

        for (const char *p = text; *p && r == 0 && b.len < LIMIT_FOREIGN_TEXT; p++) {
                int high = *p == '%' ? hex_digit(p[1]) : -1;
                int low = high >= 0 ? hex_digit(p[2]) : -1;
                char c = *p;

                if (low >= 0) {
                        c = (char)(high << 4 | low);
                        p += 2;
                }
                r = buf_append(&b, &c, 1);
        }
        return r < 0 ? NULL : utf8_clean_dup(b.data ? b.data : "", b.len, LIMIT_FOREIGN_TEXT);
}

int grpc_answer_status(const struct fetch_answer *a, enum grpc_status *ret, char **ret_message) {
        bool twice = false;
        const char *status = single_header(a, "grpc-status", &twice);
        const char *message = NULL;
        AUTO_WIPE_STR char *text = NULL;
        uint64_t n = 0;

        if (!status || number_parse(status, GRPC_STATUS_MAX, &n) < 0)
                return -EBADMSG;
        message = single_header(a, "grpc-message", &twice);
        if (message && *message) {
                text = decode_message(message);
                if (!text)
                        return -ENOMEM;
        }
        *ret = (enum grpc_status)n;
        *ret_message = TAKE(text);
        return 0;
}

const char *grpc_status_name(enum grpc_status s) {
        static const char *const names[GRPC_STATUS_MAX + 1] = {
                [0] = "OK",
                [1] = "Canceled",
                [2] = "Unknown",
                [3] = "InvalidArgument",
                [4] = "DeadlineExceeded",
                [5] = "NotFound",
                [6] = "AlreadyExists",
                [7] = "PermissionDenied",
                [8] = "ResourceExhausted",
                [9] = "FailedPrecondition",
                [10] = "Aborted",
                [11] = "OutOfRange",
                [12] = "Unimplemented",
                [13] = "Internal",
                [14] = "Unavailable",
                [15] = "DataLoss",
                [16] = "Unauthenticated",
        };

        return (unsigned)s <= GRPC_STATUS_MAX ? names[s] : "Unknown";
}

/* --- protocol buffers ---------------------------------------------------------------------- */

static int take_varint(struct proto_reader *r, uint64_t *ret) {
        uint64_t value = 0;

        for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
                uint8_t byte;

                if (r->p == r->end)
                        return -EBADMSG;
                byte = *r->p++;
                /* Of the tenth only one bit is left. */
                if (i == VARINT_BYTES_MAX - 1 && byte > 1)
                        return -EBADMSG;
                value |= (uint64_t)(byte & 0x7f) << (7 * i);
                if (!(byte & 0x80)) {
                        *ret = value;
                        return 0;
                }
        }
        return -EBADMSG;
}

static int take_bytes(struct proto_reader *r, uint64_t len, struct proto_field *f) {
        if (len > (uint64_t)(r->end - r->p))
                return -EBADMSG;
        f->data = r->p;
        f->len = (size_t)len;
        r->p += len;
        return 0;
}

int proto_next(struct proto_reader *reader, struct proto_field *ret) {
        struct proto_field f = { 0 };
        uint64_t tag;
        uint64_t n = 0;
        int r;

        if (reader->p == reader->end)
                return 0;
        r = take_varint(reader, &tag);
        if (r < 0)
                return r;
        if (tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
                return -EBADMSG;
        f.number = (uint32_t)(tag >> 3);
        switch (tag & 7) {
        case 0:
                r = take_varint(reader, &n);
                break;
        case 1:
                r = take_bytes(reader, 8, &f);
                break;
        case 2:
                f.is_bytes = true;
                r = take_varint(reader, &n);
                if (r == 0)
                        r = take_bytes(reader, n, &f);
                break;
        case 5:
                r = take_bytes(reader, 4, &f);
                break;
        default:
                return -EBADMSG; /* groups: given up long ago */
        }
        if (r < 0)
                return r;
        *ret = f;
        return 1;
}

static int append_varint(struct buf *b, uint64_t value) {
        uint8_t bytes[VARINT_BYTES_MAX];
        size_t n = 0;

        do {
                bytes[n++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
                value >>= 7;
        } while (value > 0);
        return buf_append(b, bytes, n);
}

int proto_append_bytes(struct buf *b, uint32_t number, const void *data, size_t len) {
        int r = append_varint(b, (uint64_t)number << 3 | 2);

        if (r == 0)
                r = append_varint(b, len);
        return r < 0 || len == 0 ? r : buf_append(b, data, len);
}
