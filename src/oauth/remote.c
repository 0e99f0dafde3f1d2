/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/remote.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <time.h>

#include "base/codec.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/url.h"
#include "base/utf8.h"

#define RETRY_AFTER_MAX_SEC 3600
#define SECRET_RUN 20 /* so many token characters on end, mixed, may be a secret */

#define HINT_LATER "Try again later"
#define HINT_ADDRESS                                                                          \
        "A server may only name public addresses and those of its own class; allow your own " \
        "network with AllowPrivate= in the configuration. Link-local and multicast never are"

#define HINT_TLS                                                                          \
        "Its certificate must be valid for this host name; the file of an own authority " \
        "can be added in the configuration"

static enum error_code unreachable(enum remote_party party) {
        return party == REMOTE_SERVER ? MCPB_SERVER_UNREACHABLE : MCPB_ISSUER_UNREACHABLE;
}

static enum error_code broken(enum remote_party party) {
        return party == REMOTE_SERVER ? MCPB_SERVER_ERROR : MCPB_ISSUER_ERROR;
}

static const char *failure_hint(enum fetch_failure f) {
        static const char *const hints[FETCH_FAILURE_COUNT] = {
                [FETCH_FAILURE_NONE] = HINT_LATER,
                [FETCH_FAILURE_RESOLVE] = "Check the host name, and this machine's name service",
                [FETCH_FAILURE_CONNECT] =
                        "Check that it is running and that this machine may reach it",
                /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): one text */
                [FETCH_FAILURE_ADDRESS] = HINT_ADDRESS,
                [FETCH_FAILURE_TLS] = HINT_TLS,
                [FETCH_FAILURE_TIMEOUT] = HINT_LATER,
                [FETCH_FAILURE_TOO_LARGE] = "Report it to whoever runs that site",
                [FETCH_FAILURE_CUT] = HINT_LATER,
                [FETCH_FAILURE_PROTOCOL] = "Check that the URL is that of an HTTP server",
                [FETCH_FAILURE_WORKER] = HINT_LATER,
        };

        return f < FETCH_FAILURE_COUNT && hints[f] ? hints[f] : HINT_LATER;
}

int remote_no_answer(const struct remote *from, const struct fetch_answer *a, struct error *err) {
        const char *reason = a->reason ? a->reason : fetch_failure_name(a->failure);
        const char *hint = failure_hint(a->failure);

        if (a->failure == FETCH_FAILURE_ADDRESS)
                return error_set(err, MCPB_ADDRESS_REFUSED, EPERM, hint,
                                 "Not connected to the %s at %s: %s", from->what, from->url,
                                 reason);
        if (a->failure == FETCH_FAILURE_TOO_LARGE || a->failure == FETCH_FAILURE_PROTOCOL)
                return error_set(err, broken(from->party), EBADMSG, hint,
                                 "The %s at %s cannot be used: %s", from->what, from->url, reason);
        return error_set(err, unreachable(from->party), EHOSTUNREACH, hint,
                         "No answer from the %s at %s: %s", from->what, from->url, reason);
}

bool remote_is_transient(unsigned status) {
        return status == 408 || status == 429 || (status >= 500 && status <= 599);
}

int remote_bad_status(const struct remote *from, const struct fetch_answer *a, struct error *err) {
        enum error_code code = broken(from->party);

        if (a->status >= 300 && a->status <= 399) {
                const char *target = fetch_answer_header(a, "location");

                return error_set(err, code, EREMCHG,
                                 "Redirects are not followed; if you trust the target, name it "
                                 "where the first URL was named",
                                 "The %s at %s redirects to %.128s", from->what, from->url,
                                 target ? target : "an unnamed place");
        }
        return error_set(
                err, code, EPROTO,
                remote_is_transient(a->status) ? HINT_LATER : "Report it to whoever runs that site",
                "The %s at %s answered with HTTP status %u", from->what, from->url, a->status);
}

/* @n decimal digits at @p as a number; -1: they are none. */
static int digits(const char *p, size_t n) {
        int value = 0;

        for (size_t i = 0; i < n; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return -1;
                value = value * 10 + (p[i] - '0');
        }
        return value;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (the one form that is still sent) as seconds; 0: it is none. */
static uint64_t http_date(const char *text) {
        static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                              "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
        struct tm tm = { .tm_mon = -1 };
        int64_t t;

        if (strlen(text) != 29 || !streq(text + 25, " GMT"))
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(months); i++)
                if (strncmp(text + 8, months[i], 3) == 0)
                        tm.tm_mon = (int)i;
        tm.tm_mday = digits(text + 5, 2);
        tm.tm_year = digits(text + 12, 4) - 1900;
        tm.tm_hour = digits(text + 17, 2);
        tm.tm_min = digits(text + 20, 2);
        tm.tm_sec = digits(text + 23, 2);
        if (tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_year < 70 || tm.tm_hour < 0 || tm.tm_min < 0 ||
            tm.tm_sec < 0)
                return 0;
        t = timegm(&tm);
        return t > 0 ? (uint64_t)t : 0;
}

uint64_t remote_retry_after(const struct fetch_answer *a) {
        const char *text = fetch_answer_header(a, "retry-after");
        const char *date = fetch_answer_header(a, "date");
        uint64_t sec = 0;
        uint64_t now;
        int r;

        if (!text)
                return 0;
        r = number_parse(text, RETRY_AFTER_MAX_SEC, &sec);
        if (r == -ERANGE)
                return RETRY_AFTER_MAX_SEC;
        if (r == 0)
                return sec;
        sec = http_date(text);
        now = date ? http_date(date) : 0;
        if (sec == 0 || now == 0 || sec <= now)
                return 0;
        return sec - now < RETRY_AFTER_MAX_SEC ? sec - now : RETRY_AFTER_MAX_SEC;
}

static bool is_secret_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '+' || c == '=' || c == '~';
}

/* A long run that is no plain word: a digit in it, or a capital behind a small letter. */
static bool looks_secret(const char *p, size_t len) {
        if (len < SECRET_RUN)
                return false;
        for (size_t i = 0; i < len; i++) {
                if (p[i] >= '0' && p[i] <= '9')
                        return true;
                if (i > 0 && p[i] >= 'A' && p[i] <= 'Z' && p[i - 1] >= 'a' && p[i - 1] <= 'z')
                        return true;
        }
        return false;
}

char *remote_text(const char *text) {
        AUTO_BUF struct buf b = BUF_INIT;
        size_t len = strlen(text);
        int r = 0;

        /* Before it is cut: half a secret would not be seen as one. */
        for (size_t i = 0; i < len && r == 0 && b.len <= LIMIT_FOREIGN_TEXT;) {
                size_t n = 0;

                while (i + n < len && is_secret_char(text[i + n]))
                        n++;
                if (looks_secret(text + i, n))
                        r = buf_append_str(&b, "[...]");
                else
                        r = buf_append(&b, text + i, n ? n : 1);
                i += n ? n : 1;
        }
        return r < 0 ? NULL : utf8_clean_dup(b.data ? b.data : "", b.len, LIMIT_FOREIGN_TEXT);
}

int remote_error_read(struct remote_error *e, const struct buf *body) {
        AUTO_JSON json_t *json = NULL;
        const char *code;
        const char *description;
        int r;

        if (body->len == 0 || body->len > LIMIT_TOKEN_REPLY_BYTES)
                return 0;
        r = json_parse(body->data, body->len, LIMIT_METADATA_DEPTH, &json, NULL);
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        code = json_get_string(json, "error");
        description = json_get_string(json, "error_description");
        if (!code || !*code)
                return 0;
        e->code = remote_text(code);
        if (description)
                e->description = remote_text(description);
        if (e->code && (e->description || !description))
                return 0;
        remote_error_done(e);
        return -ENOMEM;
}

void remote_error_done(struct remote_error *e) {
        free(e->code);
        free(e->description);
        *e = REMOTE_ERROR_INIT;
}

/* 0: of no class, never allowed. */
static unsigned class_of_v4(uint32_t a) {
        if (a >> 24 == 127)
                return ADDRESS_LOOPBACK;
        if (a >> 24 == 10 || a >> 20 == 0xac1 || a >> 16 == 0xc0a8 || a >> 22 == 0x191)
                return ADDRESS_PRIVATE;
        if (a >> 24 == 0 || a >> 16 == 0xa9fe || a >> 28 >= 0xe)
                return 0;
        return ADDRESS_PUBLIC;
}

static uint32_t v4_at(const struct in6_addr *a, size_t offset) {
        const uint8_t *p = a->s6_addr + offset;

        return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static unsigned class_of_v6(const struct in6_addr *a) {
        static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };

        if (IN6_IS_ADDR_LOOPBACK(a))
                return ADDRESS_LOOPBACK;
        if (IN6_IS_ADDR_V4MAPPED(a) || memcmp(a->s6_addr, nat64, sizeof(nat64)) == 0)
                return class_of_v4(v4_at(a, 12));
        if (a->s6_addr[0] == 0x20 && a->s6_addr[1] == 0x02)
                return class_of_v4(v4_at(a, 2));
        if (IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_V4COMPAT(a) || IN6_IS_ADDR_LINKLOCAL(a) ||
            IN6_IS_ADDR_MULTICAST(a))
                return 0;
        return (a->s6_addr[0] & 0xfe) == 0xfc ? ADDRESS_PRIVATE : ADDRESS_PUBLIC;
}

static bool is_localhost(const char *host) {
        size_t len = strlen(host);

        if (len > 0 && host[len - 1] == '.')
                len--;
        return len >= 9 && strncmp(host + len - 9, "localhost", 9) == 0 &&
               (len == 9 || host[len - 10] == '.');
}

/* What the host says by itself; a name is judged when it is connected to, where the address is
 * known. */
static bool host_allowed(const struct url *u, unsigned allow) {
        struct in6_addr v6;
        struct in_addr v4;

        if (u->ipv6)
                return inet_pton(AF_INET6, u->host, &v6) == 1 && (class_of_v6(&v6) & allow);
        /* inet_aton() on purpose: it takes the octal, hexadecimal and short forms that browsers
         * take. */
        if (inet_aton(u->host, &v4))
                return class_of_v4(ntohl(v4.s_addr)) & allow;
        return !is_localhost(u->host) || (allow & ADDRESS_LOOPBACK);
}

int remote_url_check(const char *url, const char *what, unsigned allow, enum error_code code,
                     struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        struct error why = ERROR_INIT;
        int r = url_check_allowed(url, what, &why);

        if (r == 0)
                r = url_parse(&u, url, what, &why);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return error_set(err, code, -r, "Report it to whoever runs that site", "%s",
                                 why.message);
        if (!host_allowed(&u, allow))
                return error_set(err, MCPB_ADDRESS_REFUSED, EPERM, HINT_ADDRESS,
                                 "The %s '%s' leads to an address that may not be named there",
                                 what, url);
        return 0;
}

int remote_url_append(struct buf *b, const char *url) {
        int r = 0;

        for (const char *p = url; *p && r == 0; p++)
                r = *p == '\'' || *p == '`' ? buf_printf(b, "%%%02X", (unsigned)*p)
                                            : buf_append(b, p, 1);
        return r;
}
