/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/sigv4.h"

#include <assert.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/url.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"

#define ALGORITHM "AWS4-HMAC-SHA256"
#define STAMP_BYTES sizeof("20150830T123600Z")
#define DAY_CHARS 8

/* Both header fields and query parameters are put in order before they are signed. */
struct field {
        char *name;
        char *value;
};

struct fields {
        struct field items[SIGV4_FIELDS_MAX];
        size_t n;
};

#define AUTO_FIELDS __attribute__((cleanup(fields_done), unused))

static void fields_done(struct fields *fs) {
        for (size_t i = 0; i < fs->n; i++) {
                free(fs->items[i].name);
                (void)str_wipe_free(fs->items[i].value);
        }
        fs->n = 0;
}

/* Takes both strings, also when it fails. */
static int fields_add(struct fields *fs, char *name, char *value) {
        int r = 0;

        if (!name || !value)
                r = -ENOMEM;
        else if (fs->n == SIGV4_FIELDS_MAX)
                r = -EINVAL;
        if (r < 0) {
                free(name);
                (void)str_wipe_free(value);
                return r;
        }
        fs->items[fs->n++] = (struct field){ name, value };
        return 0;
}

static int compare_fields(const void *a, const void *b) {
        const struct field *x = a;
        const struct field *y = b;
        int r = strcmp(x->name, y->name);

        return r != 0 ? r : strcmp(x->value, y->value);
}

static void fields_sort(struct fields *fs) {
        if (fs->n > 1)
                qsort(fs->items, fs->n, sizeof(fs->items[0]), compare_fields);
}

int sigv4_append_pair(struct buf *b, const char *name, const char *value) {
        int r = b->len > 0 ? buf_append(b, "&", 1) : 0;

        if (r == 0)
                r = percent_append(b, name, "");
        if (r == 0)
                r = buf_append(b, "=", 1);
        return r < 0 ? r : percent_append(b, value, "");
}

static int append_host(struct buf *b, const struct url *u) {
        int r = buf_printf(b, u->ipv6 ? "[%s]" : "%s", u->host);

        if (r == 0 && u->port_given && u->port != (streq(u->scheme, "https") ? 443 : 80))
                r = buf_printf(b, ":%u", (unsigned)u->port);
        return r;
}

int sigv4_append_host(struct buf *b, const char *url) {
        AUTO_URL struct url u = URL_INIT;
        int r = url_parse(&u, url, "URL", NULL);

        return r < 0 ? r : append_host(b, &u);
}

static char *lower_case(const char *name) {
        char *s = strdup(name);

        for (char *p = s; p && *p; p++)
                if (*p >= 'A' && *p <= 'Z')
                        *p = (char)(*p - 'A' + 'a');
        return s;
}

/* Without blanks at either end, and one where several are. */
static char *trimmed(const char *value) {
        char *s = strdup(value);
        char *to = s;

        for (const char *p = value; s && *p; p++) {
                if (*p != ' ' && *p != '\t')
                        *to++ = *p;
                else if (to > s && to[-1] != ' ')
                        *to++ = ' ';
        }
        if (s && to > s && to[-1] == ' ')
                to--;
        if (s)
                *to = '\0';
        return s;
}

static int add_header(struct fields *fs, const char *name, const char *value) {
        return fields_add(fs, lower_case(name), trimmed(value));
}

static int collect_headers(struct fields *fs, const struct fetch_request *f, const struct url *u) {
        AUTO_BUF struct buf host = BUF_INIT;
        int r = append_host(&host, u);

        if (r == 0)
                r = add_header(fs, "host", host.data);
        for (size_t i = 0; i < f->n_headers && r == 0; i++)
                r = add_header(fs, f->headers[i].name, f->headers[i].value);
        if (r < 0)
                return r;
        fields_sort(fs);
        for (size_t i = 1; i < fs->n; i++)
                if (streq(fs->items[i - 1].name, fs->items[i].name))
                        return -EINVAL;
        return 0;
}

/* The parameters stay encoded as they are: encoding them again could only change them. */
static int collect_query(struct fields *fs, const char *query) {
        const char *p = query;
        int r = 0;

        while (p && *p && r == 0) {
                size_t len = strcspn(p, "&");
                size_t n_name = strcspn(p, "=&");

                if (len > 0)
                        r = fields_add(fs, strndup(p, n_name),
                                       n_name < len ? strndup(p + n_name + 1, len - n_name - 1)
                                                    : strdup(""));
                p += len + (p[len] == '&');
        }
        return r;
}

static int append_query(struct buf *b, const struct fields *fs) {
        int r = 0;

        for (size_t i = 0; i < fs->n && r == 0; i++) {
                r = buf_printf(b, "%s%s=", i > 0 ? "&" : "", fs->items[i].name);
                if (r == 0)
                        r = buf_append_str(b, fs->items[i].value);
        }
        return r;
}

static int append_names(struct buf *b, const struct fields *headers) {
        int r = 0;

        for (size_t i = 0; i < headers->n && r == 0; i++)
                r = buf_printf(b, "%s%s", i > 0 ? ";" : "", headers->items[i].name);
        return r;
}

static int append_sha256(struct buf *b, const void *data, size_t len) {
        uint8_t hash[SHA256_BYTES];

        sha256(hash, data, len);
        return hex_append(b, hash, sizeof(hash));
}

static int append_canonical(struct buf *b, const char *method, const struct url *u,
                            const struct fields *query, const struct fields *headers,
                            const struct buf *body) {
        int r = buf_printf(b, "%s\n", method);

        if (r == 0)
                r = percent_append(b, *u->path ? u->path : "/", "/");
        if (r == 0)
                r = buf_append(b, "\n", 1);
        if (r == 0)
                r = append_query(b, query);
        if (r == 0)
                r = buf_append(b, "\n", 1);
        for (size_t i = 0; i < headers->n && r == 0; i++) {
                r = buf_printf(b, "%s:", headers->items[i].name);
                if (r == 0)
                        r = buf_append_str(b, headers->items[i].value);
                if (r == 0)
                        r = buf_append(b, "\n", 1);
        }
        if (r == 0)
                r = buf_append(b, "\n", 1);
        if (r == 0)
                r = append_names(b, headers);
        if (r == 0)
                r = buf_append(b, "\n", 1);
        return r < 0 ? r : append_sha256(b, body ? body->data : NULL, body ? body->len : 0);
}

/* "2015-08-30T12:36:00.000Z" without what AWS leaves out */
static void make_stamp(uint64_t now_wall, char stamp[static STAMP_BYTES]) {
        char text[CLOCK_TEXT_MAX];
        size_t n = 0;

        clock_format_utc(now_wall, text);
        for (const char *p = text; *p && *p != '.' && n < STAMP_BYTES - 2; p++)
                if (*p != '-' && *p != ':')
                        stamp[n++] = *p;
        stamp[n++] = 'Z';
        stamp[n] = '\0';
}

static int append_scope(struct buf *b, const struct sigv4 *s, const char *stamp) {
        return buf_printf(b, "%.*s/%s/%s/aws4_request", DAY_CHARS, stamp, s->region, s->service);
}

/* A key for this day, region and service, and for nothing else. */
static int derive_key(uint8_t key[static HMAC_BYTES], const struct sigv4 *s, const char *stamp) {
        AUTO_BUF struct buf first = BUF_INIT;
        int r = buf_append_str(&first, "AWS4");

        if (r == 0)
                r = buf_append_str(&first, s->secret);
        if (r < 0)
                return r;
        hmac_sha256(key, first.data, first.len, stamp, DAY_CHARS);
        hmac_sha256(key, key, HMAC_BYTES, s->region, strlen(s->region));
        hmac_sha256(key, key, HMAC_BYTES, s->service, strlen(s->service));
        hmac_sha256(key, key, HMAC_BYTES, "aws4_request", strlen("aws4_request"));
        return 0;
}

static int append_signature(struct buf *b, const struct sigv4 *s, const char *stamp,
                            const struct buf *canonical) {
        AUTO_BUF struct buf to_sign = BUF_INIT;
        uint8_t key[HMAC_BYTES];
        uint8_t signature[HMAC_BYTES];
        int r = buf_printf(&to_sign, ALGORITHM "\n%s\n", stamp);

        if (r == 0)
                r = append_scope(&to_sign, s, stamp);
        if (r == 0)
                r = buf_append(&to_sign, "\n", 1);
        if (r == 0)
                r = append_sha256(&to_sign, canonical->data, canonical->len);
        if (r == 0)
                r = derive_key(key, s, stamp);
        if (r == 0) {
                hmac_sha256(signature, key, sizeof(key), to_sign.data, to_sign.len);
                r = hex_append(b, signature, sizeof(signature));
        }
        mem_wipe(key, sizeof(key));
        return r;
}

static int append_authorization(struct buf *b, const struct sigv4 *s, const char *stamp,
                                const struct fields *headers, const struct buf *canonical) {
        int r = buf_printf(b, ALGORITHM " Credential=%s/", s->access_key_id);

        if (r == 0)
                r = append_scope(b, s, stamp);
        if (r == 0)
                r = buf_append_str(b, ", SignedHeaders=");
        if (r == 0)
                r = append_names(b, headers);
        if (r == 0)
                r = buf_append_str(b, ", Signature=");
        return r < 0 ? r : append_signature(b, s, stamp, canonical);
}

int sigv4_sign(struct fetch_request *f, const struct sigv4 *s) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_FIELDS struct fields headers = { 0 };
        AUTO_FIELDS struct fields query = { 0 };
        AUTO_BUF struct buf canonical = BUF_INIT;
        AUTO_BUF struct buf authorization = BUF_INIT;
        char stamp[STAMP_BYTES];
        int r = url_parse(&u, f->url, "URL", NULL);

        if (r < 0)
                return r;
        make_stamp(s->now_wall, stamp);
        r = fetch_request_add_header(f, "X-Amz-Date", stamp);
        if (r == 0 && s->session_token)
                r = fetch_request_add_header(f, "X-Amz-Security-Token", s->session_token);
        if (r == 0)
                r = collect_headers(&headers, f, &u);
        if (r == 0)
                r = collect_query(&query, u.query);
        if (r < 0)
                return r;
        fields_sort(&query);
        r = append_canonical(&canonical, f->method, &u, &query, &headers, &f->body);
        if (r == 0)
                r = append_authorization(&authorization, s, stamp, &headers, &canonical);
        return r < 0 ? r : fetch_request_add_header(f, "Authorization", authorization.data);
}

static int add_parameter(struct fields *query, const char *name, const char *value) {
        AUTO_BUF struct buf encoded = BUF_INIT;
        int r = percent_append(&encoded, value, "");

        return r < 0 ? r : fields_add(query, strdup(name), buf_steal(&encoded));
}

static int add_parameters(struct fields *query, const struct sigv4 *s, const char *stamp,
                          const struct fields *headers, unsigned expires_sec) {
        AUTO_BUF struct buf credential = BUF_INIT;
        AUTO_BUF struct buf names = BUF_INIT;
        AUTO_BUF struct buf expires = BUF_INIT;
        int r = buf_printf(&credential, "%s/", s->access_key_id);

        if (r == 0)
                r = append_scope(&credential, s, stamp);
        if (r == 0)
                r = append_names(&names, headers);
        if (r == 0)
                r = buf_printf(&expires, "%u", expires_sec);
        if (r == 0)
                r = add_parameter(query, "X-Amz-Algorithm", ALGORITHM);
        if (r == 0)
                r = add_parameter(query, "X-Amz-Credential", credential.data);
        if (r == 0)
                r = add_parameter(query, "X-Amz-Date", stamp);
        if (r == 0)
                r = add_parameter(query, "X-Amz-Expires", expires.data);
        if (r == 0 && s->session_token)
                r = add_parameter(query, "X-Amz-Security-Token", s->session_token);
        return r < 0 ? r : add_parameter(query, "X-Amz-SignedHeaders", names.data);
}

int sigv4_presign(const struct fetch_request *f, const struct sigv4 *s, unsigned expires_sec,
                  struct buf *url) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_FIELDS struct fields headers = { 0 };
        AUTO_FIELDS struct fields query = { 0 };
        AUTO_BUF struct buf canonical = BUF_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        char stamp[STAMP_BYTES];
        int r = url_parse(&u, f->url, "URL", NULL);

        if (r < 0)
                return r;
        make_stamp(s->now_wall, stamp);
        r = collect_headers(&headers, f, &u);
        if (r == 0)
                r = collect_query(&query, u.query);
        if (r == 0)
                r = add_parameters(&query, s, stamp, &headers, expires_sec);
        if (r < 0)
                return r;
        fields_sort(&query);
        r = append_canonical(&canonical, f->method, &u, &query, &headers, NULL);
        if (r == 0)
                r = buf_printf(&text, "%s://", u.scheme);
        if (r == 0)
                r = append_host(&text, &u);
        if (r == 0)
                r = buf_printf(&text, "%s?", *u.path ? u.path : "/");
        if (r == 0)
                r = append_query(&text, &query);
        if (r == 0)
                r = buf_append_str(&text, "&X-Amz-Signature=");
        if (r == 0)
                r = append_signature(&text, s, stamp, &canonical);
        return r < 0 ? r : buf_append(url, text.data, text.len);
}
