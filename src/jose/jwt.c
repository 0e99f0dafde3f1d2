/* SPDX-License-Identifier: Apache-2.0 */
#include "jose/jwt.h"

#include "base/codec.h"
#include "base/limits.h"

#define DATE_MAX_SEC UINT64_C(253402300799) /* 9999-12-31T23:59:59Z */

static int read_part(const char *text, size_t len, json_t **ret) {
        AUTO_BUF struct buf bytes = BUF_INIT;
        AUTO_JSON json_t *json = NULL;
        int r = base64url_decode(&bytes, text, len);

        if (r == 0)
                r = json_parse(bytes.data, bytes.len, LIMIT_METADATA_DEPTH, &json, NULL);
        if (r == 0 && !json_is_object(json))
                r = -EBADMSG;
        if (r == 0)
                *ret = TAKE(json);
        return r;
}

/* Nothing looks into a signature, but it is text that goes into requests. */
static int check_signature(const char *text, size_t len) {
        AUTO_BUF struct buf bytes = BUF_INIT;

        return len == 0 ? -EBADMSG : base64url_decode(&bytes, text, len);
}

int jwt_read(const char *token, size_t len, json_t **ret_header, json_t **ret_claims) {
        AUTO_JSON json_t *header = NULL;
        AUTO_JSON json_t *claims = NULL;
        const char *first;
        const char *second;
        int r;

        if (len == 0 || len > LIMIT_JWT_BYTES)
                return -EBADMSG;
        first = memchr(token, '.', len);
        second = first ? memchr(first + 1, '.', len - (size_t)(first + 1 - token)) : NULL;
        if (!second)
                return -EBADMSG;
        /* A third dot is no character of base64url: an encrypted token has four. */
        r = check_signature(second + 1, len - (size_t)(second + 1 - token));
        if (r == 0)
                r = read_part(token, (size_t)(first - token), &header);
        if (r == 0)
                r = read_part(first + 1, (size_t)(second - first - 1), &claims);
        if (r == 0 && !json_get_string(header, "alg"))
                r = -EBADMSG;
        if (r < 0)
                return r;
        if (ret_header)
                *ret_header = TAKE(header);
        if (ret_claims)
                *ret_claims = TAKE(claims);
        return 0;
}

int jwt_date(const json_t *claims, const char *name, uint64_t *ret_sec) {
        const json_t *value = json_object_get(claims, name);
        double sec;

        if (!value)
                return -ENOENT;
        if (json_is_integer(value)) {
                json_int_t whole = json_integer_value(value);

                if (whole < 0 || (uint64_t)whole > DATE_MAX_SEC)
                        return -EBADMSG;
                *ret_sec = (uint64_t)whole;
                return 0;
        }
        sec = json_real_value(value);
        if (!json_is_real(value) || !(sec >= 0 && sec <= (double)DATE_MAX_SEC))
                return -EBADMSG;
        *ret_sec = (uint64_t)sec;
        return 0;
}
