/* SPDX-License-Identifier: Apache-2.0 */
#include "base/jsonspan.h"

#include <assert.h>

#include "base/utf8.h"

/* --- eight bytes at a time ------------------------------------------------------------------ */

#define ONES UINT64_C(0x0101010101010101)
#define HIGHS (ONES * 0x80)

static inline uint64_t load(const char *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return v;
}

/* Not zero if a byte of @v is zero. Without a carry from byte to byte, which a sanitizer would
 * take for an overflow. */
static inline uint64_t zero_bytes(uint64_t v) {
        return ~(((v & ~HIGHS) + ~HIGHS) | v) & HIGHS;
}

static inline uint64_t has_byte(uint64_t v, unsigned char c) {
        return zero_bytes(v ^ (ONES * c));
}

static inline bool is_plain(unsigned char c) {
        return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte from @p on that is not a plain character of a string. */
static inline const char *plain_end(const char *p, const char *end) {
        while (end - p >= 8) {
                uint64_t v = load(p);

                if (has_byte(v, '"') | has_byte(v, '\\') | zero_bytes(v & (ONES * 0xe0)) |
                    (v & HIGHS))
                        break;
                p += 8;
        }
        while (p < end && is_plain((unsigned char)*p))
                p++;
        return p;
}

/* The same in text that was checked: the first quote or backslash. */
static inline const char *run_end(const char *p, const char *end) {
        while (end - p >= 8) {
                uint64_t v = load(p);

                if (has_byte(v, '"') | has_byte(v, '\\'))
                        break;
                p += 8;
        }
        while (p < end && *p != '"' && *p != '\\')
                p++;
        return p;
}

static inline bool is_blank(char c) {
        return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *skip_blanks(const char *p, const char *end) {
        while (p < end && is_blank(*p))
                p++;
        return p;
}

static inline bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *p, const char *end) {
        while (p < end && is_digit(*p))
                p++;
        return p;
}

/* --- the check ------------------------------------------------------------------------------ */

struct reader {
        const char *p;
        const char *end;
        const char *why;
        unsigned depth;
        unsigned depth_max;
        uint64_t objects[JSONSPAN_DEPTH_MAX / 64]; /* one bit a level: object or array */
};

static bool refuse(struct reader *r, const char *why) {
        r->why = why;
        return false;
}

static int hex_digit(char c) {
        if (is_digit(c))
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* Bytes of the escape at @p, 0 if it is none. */
static size_t escape_length(const char *p, const char *end) {
        if (end - p < 2 || !p[1])
                return 0;
        if (p[1] != 'u')
                return strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
        if (end - p < 6)
                return 0;
        for (size_t i = 2; i < 6; i++)
                if (hex_digit(p[i]) < 0)
                        return 0;
        return 6;
}

static bool check_string(struct reader *r) {
        uint32_t cp;
        size_t n;

        r->p++;
        for (;;) {
                r->p = plain_end(r->p, r->end);
                if (r->p == r->end)
                        return refuse(r, "a string has no end");
                if (*r->p == '"')
                        break;
                if (*r->p == '\\') {
                        n = escape_length(r->p, r->end);
                        if (n == 0)
                                return refuse(r, "an escape in a string is none");
                        r->p += n;
                        continue;
                }
                if (((unsigned char)*r->p & 0x80) == 0)
                        return refuse(r, "a control character in a string");
                do {
                        n = utf8_char(r->p, (size_t)(r->end - r->p), &cp);
                        if (n == 0)
                                return refuse(r, "not UTF-8");
                        r->p += n;
                } while (r->p < r->end && ((unsigned char)*r->p & 0x80) != 0);
        }
        r->p++;
        return true;
}

static bool check_digits(struct reader *r) {
        const char *start = r->p;

        r->p = skip_digits(r->p, r->end);
        return r->p > start || refuse(r, "a number lacks digits");
}

static bool check_number(struct reader *r) {
        if (*r->p == '-')
                r->p++;
        if (r->p < r->end && *r->p == '0')
                r->p++;
        else if (!check_digits(r))
                return false;
        if (r->p < r->end && *r->p == '.') {
                r->p++;
                if (!check_digits(r))
                        return false;
        }
        if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
                r->p++;
                if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
                        r->p++;
                return check_digits(r);
        }
        return true;
}

static bool check_word(struct reader *r, const char *word) {
        size_t len = strlen(word);

        if ((size_t)(r->end - r->p) < len || memcmp(r->p, word, len) != 0)
                return refuse(r, "not JSON");
        r->p += len;
        return true;
}

static bool check_scalar(struct reader *r) {
        switch (*r->p) {
        case '"':
                return check_string(r);
        case 't':
                return check_word(r, "true");
        case 'f':
                return check_word(r, "false");
        case 'n':
                return check_word(r, "null");
        default:
                return *r->p == '-' || is_digit(*r->p) ? check_number(r) : refuse(r, "not JSON");
        }
}

/* The next byte that is no blank; NUL, which no JSON has there, at the end. */
static inline char peek(struct reader *r) {
        r->p = skip_blanks(r->p, r->end);
        return r->p < r->end ? *r->p : '\0';
}

static inline bool in_object(const struct reader *r) {
        return (r->objects[(r->depth - 1) / 64] >> ((r->depth - 1) % 64)) & 1;
}

static bool check_key(struct reader *r) {
        if (peek(r) != '"')
                return refuse(r, "an object lacks a key");
        if (!check_string(r))
                return false;
        if (peek(r) != ':')
                return refuse(r, "a key has no value");
        r->p++;
        return true;
}

/* Goes into an object or array; *@ret_value is true if a value comes next, false if it was empty
 * and has been left again. */
static bool check_open(struct reader *r, bool object, bool *ret_value) {
        uint64_t bit = UINT64_C(1) << (r->depth % 64);

        if (r->depth == r->depth_max)
                return refuse(r, "nested too deeply");
        if (object)
                r->objects[r->depth / 64] |= bit;
        else
                r->objects[r->depth / 64] &= ~bit;
        r->depth++;
        r->p++;
        *ret_value = peek(r) != (object ? '}' : ']');
        if (!*ret_value) {
                r->p++;
                r->depth--;
                return true;
        }
        return !object || check_key(r);
}

/* What stands behind a value: ends of what it is in, and a comma if another value follows. */
static bool check_behind(struct reader *r) {
        while (r->depth > 0) {
                bool object = in_object(r);
                char c = peek(r);

                if (c == ',') {
                        r->p++;
                        return !object || check_key(r);
                }
                if (c != (object ? '}' : ']'))
                        return refuse(r, r->p == r->end ? "cut off" : "not JSON");
                r->p++;
                r->depth--;
        }
        return true;
}

static bool check_text(struct reader *r) {
        do {
                char c = peek(r);
                bool value = false;

                if (r->p == r->end)
                        return refuse(r, "cut off");
                if (c == '{' || c == '[') {
                        if (!check_open(r, c == '{', &value))
                                return false;
                } else if (!check_scalar(r)) {
                        return false;
                }
                if (!value && !check_behind(r))
                        return false;
        } while (r->depth > 0);
        (void)peek(r);
        return r->p == r->end || refuse(r, "something stands behind the value");
}

int jsonspan_check(const char *data, size_t len, unsigned depth_max, const char **why) {
        struct reader r = { .p = data, .end = data + len, .depth_max = depth_max };

        assert(depth_max <= JSONSPAN_DEPTH_MAX);
        if (check_text(&r))
                return 0;
        if (why)
                *why = r.why;
        return -EBADMSG;
}

/* --- walking along -------------------------------------------------------------------------- */

struct span jsonspan_trim(const char *data, size_t len) {
        const char *end = data + len;

        while (end > data && is_blank(end[-1]))
                end--;
        data = skip_blanks(data, end);
        return (struct span){ data, (size_t)(end - data) };
}

enum jsonspan_type jsonspan_type(struct span value) {
        if (value.len == 0)
                return JSONSPAN_NONE;
        switch (*value.p) {
        case '{':
                return JSONSPAN_OBJECT;
        case '[':
                return JSONSPAN_ARRAY;
        case '"':
                return JSONSPAN_STRING;
        case 't':
        case 'f':
                return JSONSPAN_BOOL;
        case 'n':
                return JSONSPAN_NULL;
        default:
                return JSONSPAN_NUMBER;
        }
}

/* Behind the string whose opening quote is at @p. */
static const char *skip_string(const char *p, const char *end) {
        p = run_end(p + 1, end);
        while (p < end && *p == '\\')
                p = end - p > 2 ? run_end(p + 2, end) : end;
        return p < end ? p + 1 : end;
}

static const char *skip_nested(const char *p, const char *end) {
        size_t depth = 0;

        while (p < end) {
                switch (*p) {
                case '"':
                        p = skip_string(p, end);
                        continue;
                case '{':
                case '[':
                        depth++;
                        break;
                case '}':
                case ']':
                        if (--depth == 0)
                                return p + 1;
                        break;
                default:
                        break;
                }
                p++;
        }
        return end;
}

static struct span value_at(const char *p, const char *end) {
        const char *start = p;

        if (p < end && *p == '"')
                p = skip_string(p, end);
        else if (p < end && (*p == '{' || *p == '['))
                p = skip_nested(p, end);
        else
                while (p < end && !is_blank(*p) && *p != ',' && *p != '}' && *p != ']')
                        p++;
        return (struct span){ start, (size_t)(p - start) };
}

/* The first byte of the next member or item, or of what closes @whole. */
static const char *next_start(struct span whole, size_t pos) {
        const char *end = whole.p + whole.len;
        const char *p = skip_blanks(whole.p + (pos == 0 ? 1 : pos), end);

        return p < end && *p == ',' ? skip_blanks(p + 1, end) : p;
}

bool jsonspan_next_member(struct span object, size_t *pos, struct span *ret_key,
                          struct span *ret_value) {
        const char *end;
        const char *p;

        if (jsonspan_type(object) != JSONSPAN_OBJECT)
                return false;
        end = object.p + object.len;
        p = next_start(object, *pos);
        if (p >= end || *p != '"')
                return false;
        *ret_key = value_at(p, end);
        p = skip_blanks(p + ret_key->len, end);
        p = skip_blanks(p < end ? p + 1 : end, end); /* the colon */
        *ret_value = value_at(p, end);
        *pos = (size_t)(p - object.p) + ret_value->len;
        return true;
}

bool jsonspan_next_item(struct span array, size_t *pos, struct span *ret_value) {
        const char *end;
        const char *p;

        if (jsonspan_type(array) != JSONSPAN_ARRAY)
                return false;
        end = array.p + array.len;
        p = next_start(array, *pos);
        if (p >= end || *p == ']')
                return false;
        *ret_value = value_at(p, end);
        *pos = (size_t)(p - array.p) + ret_value->len;
        return true;
}

int jsonspan_member(struct span object, const char *key, struct span *ret) {
        struct span found = SPAN_NONE;
        struct span name;
        struct span value;
        size_t pos = 0;

        while (jsonspan_next_member(object, &pos, &name, &value))
                if (jsonspan_string_is(name, key))
                        found = value;
        if (found.len == 0)
                return -ENOENT;
        *ret = found;
        return 0;
}

/* --- strings -------------------------------------------------------------------------------- */

static struct span inside(struct span string) {
        assert(string.len >= 2);
        return (struct span){ string.p + 1, string.len - 2 };
}

static uint32_t code_unit(const char *p) {
        uint32_t u = 0;

        for (size_t i = 2; i < 6; i++)
                u = u << 4 | (uint32_t)hex_digit(p[i]);
        return u;
}

/* The code point of the escape at *@p, which moves behind it. Half a pair stands for itself. */
static uint32_t read_escape(const char **p, const char *end) {
        static const char names[] = "bfnrt";
        static const char values[] = "\b\f\n\r\t";
        const char *name;
        uint32_t u;

        if ((*p)[1] != 'u') {
                name = strchr(names, (*p)[1]);
                u = (unsigned char)(name ? values[name - names] : (*p)[1]);
                *p += 2;
                return u;
        }
        u = code_unit(*p);
        *p += 6;
        if (u >= 0xd800 && u < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
                uint32_t low = code_unit(*p);

                if (low >= 0xdc00 && low < 0xe000) {
                        *p += 6;
                        u = 0x10000 + ((u - 0xd800) << 10) + (low - 0xdc00);
                }
        }
        return u;
}

static size_t put_char(char *out, uint32_t cp) {
        if (cp < 0x80) {
                out[0] = (char)cp;
                return 1;
        }
        if (cp < 0x800) {
                out[0] = (char)(0xc0 | cp >> 6);
                out[1] = (char)(0x80 | (cp & 0x3f));
                return 2;
        }
        if (cp < 0x10000) {
                out[0] = (char)(0xe0 | cp >> 12);
                out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
                out[2] = (char)(0x80 | (cp & 0x3f));
                return 3;
        }
        out[0] = (char)(0xf0 | cp >> 18);
        out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
        out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[3] = (char)(0x80 | (cp & 0x3f));
        return 4;
}

/* The bytes of the next character, as it is meant; 0 at the end. Half a pair gets the bytes that
 * UTF-8 would have for it, which no text that was checked can hold otherwise. */
static size_t next_char(const char **p, const char *end, char out[4]) {
        unsigned char c;
        size_t n;

        if (*p >= end)
                return 0;
        if (**p == '\\')
                return put_char(out, read_escape(p, end));
        c = (unsigned char)**p;
        n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
        memcpy(out, *p, n);
        *p += n;
        return n;
}

bool jsonspan_string_is(struct span value, const char *text) {
        size_t len = strlen(text);
        const char *end;
        char c[4];
        size_t n;

        if (jsonspan_type(value) != JSONSPAN_STRING)
                return false;
        value = inside(value);
        if (!memchr(value.p, '\\', value.len))
                return value.len == len && memcmp(value.p, text, len) == 0;
        end = value.p + value.len;
        while ((n = next_char(&value.p, end, c)) > 0) {
                if (n > len || memcmp(c, text, n) != 0)
                        return false;
                text += n;
                len -= n;
        }
        return len == 0;
}

static bool same_string(struct span a, struct span b) {
        const char *end_a = a.p + a.len;
        const char *end_b = b.p + b.len;
        char c[4];
        char d[4];
        size_t n;

        if (a.len == b.len && memcmp(a.p, b.p, a.len) == 0)
                return true;
        do {
                n = next_char(&a.p, end_a, c);
                if (next_char(&b.p, end_b, d) != n || memcmp(c, d, n) != 0)
                        return false;
        } while (n > 0);
        return true;
}

/* @out has room for the string as it is written: decoded, it is never longer. */
static int decode_into(char *out, struct span string, size_t *ret_len) {
        const char *end = string.p + string.len;
        const char *p = string.p;
        char *start = out;

        while (p < end) {
                const char *stop = memchr(p, '\\', (size_t)(end - p));
                uint32_t cp;

                stop = stop ? stop : end;
                memcpy(out, p, (size_t)(stop - p));
                out += stop - p;
                p = stop;
                if (p == end)
                        break;
                cp = read_escape(&p, end);
                if (cp >= 0xd800 && cp < 0xe000)
                        return -EBADMSG;
                out += put_char(out, cp);
        }
        *ret_len = (size_t)(out - start);
        return 0;
}

int jsonspan_string(struct span value, char **ret) {
        AUTO_FREE char *text = NULL;
        size_t len;
        int r;

        if (jsonspan_type(value) != JSONSPAN_STRING)
                return -EBADMSG;
        text = malloc(value.len);
        if (!text)
                return -ENOMEM;
        r = decode_into(text, inside(value), &len);
        if (r < 0)
                return r;
        if (memchr(text, '\0', len))
                return -EBADMSG;
        text[len] = '\0';
        *ret = TAKE(text);
        return 0;
}

int jsonspan_decode(struct buf *b, struct span value) {
        size_t len;
        int r;

        if (jsonspan_type(value) != JSONSPAN_STRING)
                return -EBADMSG;
        r = buf_reserve(b, value.len);
        if (r < 0)
                return r;
        r = decode_into(b->data + b->len, inside(value), &len);
        if (r == 0)
                b->len += len;
        b->data[b->len] = '\0';
        return r;
}

/* --- numbers -------------------------------------------------------------------------------- */

#define EXPONENT_MAX INT64_C(1000000000000000)
#define INTEGER_DIGITS_MAX 64

/* 0.DIGITS times ten to the power of @point; the digits begin and end with one that is not 0. */
struct decimal {
        bool negative;
        const char *p; /* the first of them, NULL for zero; a point may stand among them */
        const char *end;
        int64_t n_digits;
        int64_t point;
};

/* Capped: that many digits no text has, so that beyond it all numbers are huge, or next to zero. */
static int64_t read_exponent(const char *p, const char *end) {
        bool negative = p < end && *p == '-';
        int64_t e = 0;

        if (p < end && !is_digit(*p))
                p++;
        for (; p < end; p++)
                if (e < EXPONENT_MAX)
                        e = e * 10 + (*p - '0');
        return negative ? -e : e;
}

static struct decimal read_decimal(struct span number) {
        const char *end = number.p + number.len;
        const char *last = number.p; /* of the mantissa */
        struct decimal d = { .negative = *number.p == '-' };
        const char *dot = NULL;

        for (; last < end && *last != 'e' && *last != 'E'; last++) {
                if (*last == '.')
                        dot = last;
                if (*last < '1' || *last > '9')
                        continue;
                d.p = d.p ? d.p : last;
                d.end = last + 1;
        }
        if (!d.p)
                return (struct decimal){ 0 };
        dot = dot ? dot : last;
        d.point = d.p < dot ? dot - d.p : dot + 1 - d.p;
        d.point += last < end ? read_exponent(last + 1, end) : 0;
        d.n_digits = d.end - d.p - (d.p < dot && dot < d.end);
        return d;
}

static bool same_number(struct span a, struct span b) {
        struct decimal x = read_decimal(a);
        struct decimal y = read_decimal(b);

        if (x.negative != y.negative || x.point != y.point || x.n_digits != y.n_digits)
                return false;
        for (; x.p < x.end; x.p++, y.p++) {
                if (*x.p == '.')
                        x.p++;
                if (*y.p == '.')
                        y.p++;
                if (*x.p != *y.p)
                        return false;
        }
        return true;
}

bool jsonspan_same(struct span a, struct span b) {
        enum jsonspan_type type = jsonspan_type(a);

        if (type != jsonspan_type(b))
                return false;
        if (type == JSONSPAN_STRING)
                return same_string(inside(a), inside(b));
        return type == JSONSPAN_NUMBER && same_number(a, b);
}

int jsonspan_integer(struct buf *b, struct span value) {
        char text[1 + INTEGER_DIGITS_MAX];
        struct decimal d;
        size_t n = 0;

        if (jsonspan_type(value) != JSONSPAN_NUMBER)
                return -ERANGE;
        d = read_decimal(value);
        if (!d.p)
                return buf_append_str(b, "0");
        if (d.point < d.n_digits || d.point > INTEGER_DIGITS_MAX)
                return -ERANGE;
        if (d.negative)
                text[n++] = '-';
        for (; d.p < d.end; d.p++)
                if (*d.p != '.')
                        text[n++] = *d.p;
        for (int64_t i = d.n_digits; i < d.point; i++)
                text[n++] = '0';
        return buf_append(b, text, n);
}

/* --- writing -------------------------------------------------------------------------------- */

int jsonspan_compact(struct buf *b, struct span value) {
        const char *end = value.p + value.len;
        const char *start = value.p;
        const char *p = value.p;
        size_t before = b->len;
        int r = 0;

        while (r == 0 && p < end) {
                if (*p == '"') {
                        p = skip_string(p, end);
                } else if (is_blank(*p)) {
                        r = buf_append(b, start, (size_t)(p - start));
                        start = p = skip_blanks(p, end);
                } else {
                        p++;
                }
        }
        if (r == 0)
                r = buf_append(b, start, (size_t)(end - start));
        if (r < 0)
                buf_truncate(b, before);
        return r;
}

int jsonspan_quote(struct buf *b, const char *text, size_t len) {
        size_t before = b->len;
        int r = buf_append(b, "\"", 1);

        while (r == 0 && len > 0) {
                uint32_t cp = 0;
                size_t n = utf8_char(text, len, &cp);

                if (n == 0)
                        r = buf_append_str(b, "\xef\xbf\xbd");
                else if (cp < 0x20)
                        r = buf_printf(b, "\\u%04x", (unsigned)cp);
                else if (cp == '"' || cp == '\\')
                        r = buf_printf(b, "\\%c", (int)cp);
                else
                        r = buf_append(b, text, n);
                n = n ? n : 1;
                text += n;
                len -= n;
        }
        if (r == 0)
                r = buf_append(b, "\"", 1);
        if (r < 0)
                buf_truncate(b, before);
        return r;
}
