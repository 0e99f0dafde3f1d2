/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Form encoding and URL pieces.
 */
#include "form.h"

#include <stdlib.h>
#include <string.h>

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

char *form_decode(const char *bytes, size_t n) {
        char *out = mem_new(n + 1);
        size_t n_out = 0;

        for (size_t i = 0; i < n; i++) {
                char c = bytes[i];

                if (c == '+') {
                        c = ' ';
                } else if (c == '%') {
                        int high = i + 2 < n ? hex_value(bytes[i + 1]) : -1;
                        int low = i + 2 < n ? hex_value(bytes[i + 2]) : -1;

                        if (high < 0 || low < 0) {
                                free(out);
                                return NULL;
                        }
                        c = (char)(high * 16 + low);
                        i += 2;
                }
                if (c == '\0') {
                        free(out);
                        return NULL;
                }
                out[n_out++] = c;
        }
        return out;
}

static void param_add(struct form *f, const char *bytes, size_t n) {
        const char *eq = memchr(bytes, '=', n);
        size_t n_name = eq ? (size_t)(eq - bytes) : n;
        char *name;
        char *value;

        if (f->n == FORM_PARAMS_MAX) {
                f->bad = true;
                return;
        }
        name = form_decode(bytes, n_name);
        value = eq ? form_decode(eq + 1, n - n_name - 1) : mem_copy("", 0);
        if (!name || !value) {
                f->bad = true;
                free(name);
                free(value);
                return;
        }
        f->params[f->n++] = (struct form_param){ .name = name, .value = value };
}

void form_parse(struct form *f, const char *bytes, size_t n) {
        while (n > 0) {
                const char *amp = memchr(bytes, '&', n);
                size_t n_param = amp ? (size_t)(amp - bytes) : n;

                if (n_param > 0)
                        param_add(f, bytes, n_param);
                if (!amp)
                        return;
                bytes += n_param + 1;
                n -= n_param + 1;
        }
}

void form_done(struct form *f) {
        for (size_t i = 0; i < f->n; i++) {
                free(f->params[i].name);
                free(f->params[i].value);
        }
        *f = (struct form){ 0 };
}

const char *form_get(const struct form *f, const char *name) {
        for (size_t i = 0; i < f->n; i++)
                if (strcmp(f->params[i].name, name) == 0)
                        return f->params[i].value;
        return NULL;
}

const char *form_repeated(const struct form *f) {
        for (size_t i = 0; i < f->n; i++)
                for (size_t j = 0; j < i; j++)
                        if (strcmp(f->params[i].name, f->params[j].name) == 0)
                                return f->params[i].name;
        return NULL;
}

/* What is not UTF-8 shows up as null rather than not at all. */
static json_t *json_text(const char *s) {
        json_t *j = json_string(s);

        return j ? j : json_null();
}

json_t *form_json(const struct form *f) {
        json_t *list = json_array();

        for (size_t i = 0; i < f->n; i++) {
                json_t *pair = json_array();

                json_array_append_new(pair, json_text(f->params[i].name));
                json_array_append_new(pair, json_text(f->params[i].value));
                json_array_append_new(list, pair);
        }
        return list;
}

void form_encode(struct text *t, const char *s) {
        static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                    "0123456789-._~";

        for (; *s; s++) {
                if (strchr(plain, *s))
                        text_add(t, s, 1);
                else
                        text_printf(t, "%%%02X", (unsigned)(unsigned char)*s);
        }
}

static bool copy_part(char *out, size_t cap, const char *from, size_t n) {
        if (n >= cap)
                return false;
        memcpy(out, from, n);
        out[n] = '\0';
        return true;
}

bool url_split(const char *s, struct url *ret) {
        const char *sep = strstr(s, "://");
        const char *host = sep ? sep + 3 : NULL;
        struct url u = { 0 };
        size_t n;

        if (!sep || !copy_part(u.scheme, sizeof(u.scheme), s, (size_t)(sep - s)))
                return false;
        n = *host == '[' ? strcspn(host, "]/?#") + 1 : strcspn(host, ":/?#");
        if (n == 0 || n > strlen(host) || !copy_part(u.host, sizeof(u.host), host, n))
                return false;
        if (strpbrk(u.host, "@\\ \t\r\n"))
                return false;
        host += n;
        if (*host == ':') {
                uint64_t port;

                n = strcspn(host + 1, "/?#");
                if (!copy_part(u.port, sizeof(u.port), host + 1, n) ||
                    !number_parse(u.port, 65535, &port))
                        return false;
                host += n + 1;
        }
        if (*host && !strchr("/?#", *host))
                return false;
        u.rest = host;
        *ret = u;
        return true;
}

bool url_loopback(const struct url *u) {
        return strcmp(u->host, "127.0.0.1") == 0 || strcmp(u->host, "[::1]") == 0 ||
               strcmp(u->host, "localhost") == 0;
}

bool url_same_redirect(const char *registered, const char *asked) {
        struct url a;
        struct url b;

        if (strcmp(registered, asked) == 0)
                return true;
        return url_split(registered, &a) && url_split(asked, &b) && strcmp(a.scheme, "http") == 0 &&
               strcmp(b.scheme, "http") == 0 && url_loopback(&a) && strcmp(a.host, b.host) == 0 &&
               strcmp(a.rest, b.rest) == 0;
}
