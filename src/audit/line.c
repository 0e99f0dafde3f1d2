/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"

#include "base/codec.h"

#define PREV_KEY ",\"prev\":\""
#define SEQ_KEY ",\"seq\":"
#define DIGITS_MAX 20

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int audit_hex_decode(const char *text, size_t n_bytes, uint8_t *ret) {
        for (size_t i = 0; i < n_bytes; i++) {
                int high = hex_value(text[2 * i]);
                int low = high < 0 ? -1 : hex_value(text[2 * i + 1]);

                if (low < 0)
                        return -EBADMSG;
                ret[i] = (uint8_t)(high << 4 | low);
        }
        return 0;
}

static bool ends_with(const char *text, size_t len, const char *end) {
        size_t n = strlen(end);

        return len >= n && memcmp(text + len - n, end, n) == 0;
}

/* Cuts the digits at the end of @json off: their number in *ret. */
static int take_seq(const char *json, size_t *len, uint64_t *ret) {
        char digits[DIGITS_MAX + 1] = { 0 };
        size_t n = 0;

        while (n < *len && n < DIGITS_MAX && json[*len - n - 1] >= '0' && json[*len - n - 1] <= '9')
                n++;
        memcpy(digits, json + *len - n, n);
        *len -= n;
        /* One number has one text, so a line cannot be written in two ways. */
        if (n == 0 || (n > 1 && digits[0] == '0'))
                return -EBADMSG;
        return number_parse(digits, INT64_MAX, ret) < 0 ? -EBADMSG : 0;
}

int audit_line_parse(const char *line, size_t len, struct audit_line *ret) {
        struct audit_line l = { 0 };
        size_t n;

        if (len < 2 * HASH_SHORT_BYTES + 1 + 2 * HASH_BYTES + strlen(PREV_KEY) + 2 || *line != '{')
                return -EBADMSG;
        l.n_json = len - 2 * HASH_SHORT_BYTES - 1;
        if (line[l.n_json] != '\t' ||
            audit_hex_decode(line + l.n_json + 1, HASH_SHORT_BYTES, l.mac) < 0)
                return -EBADMSG;
        if (!ends_with(line, l.n_json, "\"}"))
                return -EBADMSG;
        n = l.n_json - 2 - 2 * HASH_BYTES;
        if (audit_hex_decode(line + n, HASH_BYTES, l.prev) < 0 || !ends_with(line, n, PREV_KEY))
                return -EBADMSG;
        n -= strlen(PREV_KEY);
        if (take_seq(line, &n, &l.seq) < 0 || !ends_with(line, n, SEQ_KEY))
                return -EBADMSG;
        *ret = l;
        return 0;
}

int audit_line_finish(struct buf *b, uint64_t seq, const uint8_t prev[static HASH_BYTES],
                      const uint8_t key[static HASH_KEY_BYTES]) {
        char text[2 * HASH_BYTES + 1];
        uint8_t mac[HASH_SHORT_BYTES];
        int r;

        hex_format(text, prev, HASH_BYTES);
        r = buf_printf(b, SEQ_KEY "%llu" PREV_KEY "%s\"}", (unsigned long long)seq, text);
        if (r < 0)
                return r;
        hash_keyed_short(mac, key, b->data, b->len);
        hex_format(text, mac, sizeof(mac));
        return buf_printf(b, "\t%s\n", text);
}

bool audit_line_mac_ok(const char *line, const struct audit_line *l,
                       const uint8_t key[static HASH_KEY_BYTES]) {
        uint8_t mac[HASH_SHORT_BYTES];

        hash_keyed_short(mac, key, line, l->n_json);
        return secret_equal(mac, l->mac, sizeof(mac));
}

void audit_key_evolve(uint8_t key[static HASH_KEY_BYTES]) {
        static const char label[] = "mcp-audit evolve";

        hash_keyed(key, key, label, sizeof(label) - 1);
}
