/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "http/transfer.h"

#include <netdb.h>
#include <stdio.h>
#include <strings.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "base/url.h"
#include "base/utf8.h"
#include "http/internal.h"

/* ---- what a request may be ---- */

static bool token_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool token_valid(const char *p, size_t len) {
        for (size_t i = 0; i < len; i++)
                if (!token_char(p[i]))
                        return false;
        return len > 0;
}

static bool header_valid(const struct fetch_header *h, bool local) {
        /* What frames the message and steers the connection is libcurl's business alone. */
        static const char *const ours[] = {
                "Host",       "Content-Length",     "Transfer-Encoding", "Expect",
                "Connection", "Keep-Alive",         "Upgrade",           "TE",
                "Trailer",    "Proxy-Authorization"
        };

        if (!token_valid(h->name, strlen(h->name)))
                return false;
        if (local && strcasecmp(h->name, "TE") == 0)
                return streq(h->value, "trailers");
        for (size_t i = 0; i < ARRAY_SIZE(ours); i++)
                if (strcasecmp(h->name, ours[i]) == 0)
                        return false;
        for (const char *p = h->value; *p; p++)
                if ((*p >= 0 && *p < 0x20 && *p != '\t') || *p == 0x7f)
                        return false;
        return true;
}

static const char *judge_shape(const struct transfer *t) {
        const struct fetch_request *f = &t->request;
        bool post = streq(f->method, "POST");

        /* DELETE ends a session of the bridge, and with PUT a metadata service is asked for a token
         * of its own; nothing else that is fetched needs them. */
        if (!post && !streq(f->method, "GET") && !(t->stream && streq(f->method, "DELETE")) &&
            !(f->link_local && streq(f->method, "PUT")))
                return "the method is not allowed";
        if (!post && f->body.len > 0)
                return "only a POST has a body";
        for (size_t i = 0; i < f->n_headers; i++)
                if (!header_valid(&f->headers[i], t->local))
                        return "a header field is not allowed";
        return NULL;
}

/*
 * Through a proxy nobody here resolves the name, so what can be judged is judged: a numeric host in
 * any spelling, and names that mean a place inside by agreement. The proxy's operator answers for
 * the others (A228).
 */
static enum address_class judge_proxied(const struct url *u) {
        static const char *const inside[] = { "localhost", "local", "internal" };
        struct addrinfo hints = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM };
        struct addrinfo *list = NULL;
        const char *dot = strrchr(u->host, '.');
        enum address_class c;

        if (getaddrinfo(u->host, NULL, &hints, &list) == 0) {
                c = address_classify(list->ai_addr, list->ai_addrlen);
                freeaddrinfo(list);
                return c;
        }
        for (size_t i = 0; i < ARRAY_SIZE(inside); i++)
                if (streq(dot ? dot + 1 : u->host, inside[i]))
                        return ADDRESS_NEVER;
        return ADDRESS_PUBLIC;
}

static int refuse(struct transfer *t, enum fetch_failure failure, const char *why) {
        t->settled = true;
        t->answer.outcome = FETCH_NOT_SENT;
        t->answer.failure = failure;
        t->answer.reason = utf8_clean_dup(why, strlen(why), LIMIT_FOREIGN_TEXT);
        return 1;
}

/* "host" and ".domain" alike mean the host itself and all below it, as $no_proxy has it. There is
 * nothing below an address. */
static bool bypasses_proxy(const char *no_proxy, const struct url *u) {
        bool name = !u->ipv6 && u->host[strspn(u->host, "0123456789.")];
        size_t n_host = strlen(u->host);

        while (no_proxy && *no_proxy) {
                size_t n = strcspn(no_proxy, ", ");
                const char *item = no_proxy + (*no_proxy == '.');
                size_t n_item = n - (*no_proxy == '.' && n > 0);
                size_t n_rest = n_host - n_item; /* of the host, in front of it */

                if (n_item > 0 && n_item <= n_host &&
                    strncasecmp(u->host + n_rest, item, n_item) == 0 &&
                    (n_rest == 0 || (name && u->host[n_rest - 1] == '.')))
                        return true;
                no_proxy += n;
                no_proxy += strspn(no_proxy, ", ");
        }
        return false;
}

/* What shows who we are, or trusts what others do not, is used by nobody else. */
static bool stands_apart(const struct fetch_request *f) {
        return f->link_local || f->ca_pem.len > 0 || f->cert_pem.len > 0;
}

/* The flag counts, not the mask: what somebody else names never leads to link-local (S8). */
static unsigned allowed_classes(const struct fetch_request *f, const struct url *u) {
        unsigned allow = f->allow & (ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK);
        unsigned link_local = f->link_local ? ADDRESS_LINK_LOCAL : 0;

        /* Whatever the name resolves to (A4). */
        if (streq(u->scheme, "http"))
                allow &= ADDRESS_LOOPBACK;
        return allow | link_local;
}

/* 0 and @ret_proxied, or 1: refused; -ENOMEM. */
static int judge(struct transfer *t, const struct transfer_defaults *d, bool *ret_proxied) {
        const struct fetch_request *f = &t->request;
        AUTO_URL struct url u = URL_INIT;
        struct error err = ERROR_INIT;
        const char *wrong;
        int r;

        t->local = d->unix_socket != NULL;
        t->apart = !d->keep_alive || stands_apart(f);
        wrong = judge_shape(t);
        if (wrong)
                return refuse(t, FETCH_FAILURE_PROTOCOL, wrong);
        r = url_parse(&u, f->url, "URL", &err);
        if (r < 0)
                return refuse(t, FETCH_FAILURE_PROTOCOL, err.message);
        if (t->local)
                return streq(u.scheme, "http") && streq(u.host, "localhost")
                               ? 0
                               : refuse(t, FETCH_FAILURE_PROTOCOL,
                                        "a UNIX socket is http://localhost");
        if (!url_is_allowed(&u) && !f->link_local)
                return refuse(t, FETCH_FAILURE_PROTOCOL, "plain http goes to loopback hosts only");
        if (!t->apart) {
                t->origin = url_origin(&u);
                if (!t->origin)
                        return -ENOMEM;
        }
        t->allow = allowed_classes(f, &u);
        *ret_proxied = d->proxy && !f->direct && !f->link_local && !url_host_is_loopback(&u) &&
                       !bypasses_proxy(d->no_proxy, &u);
        if (!*ret_proxied)
                return 0;
        t->target = judge_proxied(&u);
        if (!(t->target & t->allow))
                return refuse(t, FETCH_FAILURE_ADDRESS,
                              "the address of this host is not allowed for this request");
        t->allow =
                ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK; /* the proxy's own address */
        return 0;
}

/* ---- while it runs ---- */

static void note_refusal(struct transfer *t, const char *text, enum address_class c) {
        (void)snprintf(t->refused, sizeof(t->refused), "%s", text);
        t->refused_class = c;
}

/*
 * libcurl sends a request again by itself if the connection had been used before and ends without
 * an answer, or if a stream of HTTP/2 is refused. Nobody can tell it that the server may have acted
 * upon the first.
 */
static bool sent_before(struct transfer *t) {
        if (t->written)
                transfer_blame(t, FETCH_FAILURE_CUT, "the connection ended before an answer came");
        return t->written;
}

/* Never to a UNIX socket because somebody names one, nor from there to the network. */
static bool may_connect(const struct transfer *t, int family, enum address_class c) {
        return t->local ? family == AF_UNIX : (c & t->allow) != 0;
}

/* The guard (S8, A226, A227): exactly the address that is judged here is connected to. */
static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose,
                                    struct curl_sockaddr *addr) {
        struct transfer *t = userdata;
        enum address_class c = address_classify(&addr->addr, addr->addrlen);
        int fd;

        if (sent_before(t))
                return CURL_SOCKET_BAD;
        if (purpose != CURLSOCKTYPE_IPCXN || !may_connect(t, addr->family, c)) {
                char text[ADDRESS_TEXT_MAX];

                address_format(text, &addr->addr, addr->addrlen);
                note_refusal(t, text, c);
                return CURL_SOCKET_BAD;
        }
        fd = socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
        if (fd < 0)
                return CURL_SOCKET_BAD;
        t->n_opened++;
        return fd;
}

/*
 * Connected, TLS is up, and the next thing is the first byte of the request. The last look at the
 * address, the only one where the connection is another request's, and the line between "not sent"
 * and "in doubt".
 */
static int on_before_request(void *userdata, char *ip, char *local_ip, int port, int local_port) {
        struct transfer *t = userdata;
        enum address_class c = address_classify_text(ip);

        if (sent_before(t))
                return CURL_PREREQFUNC_ABORT;
        if (!t->local && !(c & t->allow)) {
                note_refusal(t, ip, c);
                t->own_failure = FETCH_FAILURE_ADDRESS;
                return CURL_PREREQFUNC_ABORT;
        }
        t->answer.reached = t->target ? t->target : c;
        t->written = true;
        return CURL_PREREQFUNC_OK;
}

static size_t end_with(struct transfer *t, enum fetch_failure why) {
        if (t->own_failure == FETCH_FAILURE_NONE)
                t->own_failure = why;
        return 0;
}

static void drop_headers(struct fetch_answer *a) {
        for (size_t i = 0; i < a->n_headers; i++) {
                a->headers[i].name = str_wipe_free(a->headers[i].name);
                a->headers[i].value = str_wipe_free(a->headers[i].value);
        }
        free(a->headers);
        a->headers = NULL;
        a->n_headers = 0;
}

static bool blank(char c) {
        return c == ' ' || c == '\t';
}

/* What stands between @p and @end, without the blanks around it. */
static char *trimmed(const char *p, const char *end) {
        while (p < end && blank(*p))
                p++;
        while (p < end && blank(end[-1]))
                end--;
        return strndup(p, (size_t)(end - p));
}

static int add_header(struct transfer *t, const char *line, const char *end) {
        const char *colon = memchr(line, ':', (size_t)(end - line));
        AUTO_FREE char *name = NULL;
        AUTO_WIPE_STR char *value = NULL;

        if (!colon)
                return -EINVAL;
        name = strndup(line, (size_t)(colon - line));
        value = trimmed(colon + 1, end);
        if (!name || !value)
                return -ENOMEM;
        return fetch_answer_add_header(&t->answer, name, value);
}

/* A line that begins with a blank goes on with the field before it (RFC 9112 5.2). */
static int extend_header(struct transfer *t, const char *line, const char *end) {
        AUTO_WIPE_STR char *more = trimmed(line, end);
        AUTO_BUF struct buf whole = BUF_INIT;
        struct fetch_header *last;
        char *value;

        if (t->answer.n_headers == 0)
                return -EINVAL;
        last = &t->answer.headers[t->answer.n_headers - 1];
        if (!more || buf_printf(&whole, "%s %s", last->value, more) < 0)
                return -ENOMEM;
        value = buf_steal(&whole);
        if (!value)
                return -ENOMEM;
        utf8_clean(value);
        (void)str_wipe_free(last->value);
        last->value = value;
        return 0;
}

static void end_head(struct transfer *t, unsigned status) {
        t->headers_done = true;
        t->answer.status = status;
        if (t->stream)
                stream_take_head(t->stream);
}

static int take_header_line(struct transfer *t, const char *line, const char *end) {
        long status = 0;

        /* A trailer: but for gRPC, nothing we act on comes behind the body. */
        if (t->headers_done)
                return t->local && line < end ? add_header(t, line, end) : 0;
        if (line == end) {
                t->in_headers = false;
                if (curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
                        return -EINVAL;
                if (status >= 200)
                        end_head(t, (unsigned)status);
                else
                        drop_headers(&t->answer); /* those of an interim answer */
                return 0;
        }
        if (!t->in_headers) {
                t->in_headers = true; /* the status line */
                return 0;
        }
        return blank(*line) ? extend_header(t, line, end) : add_header(t, line, end);
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata) {
        struct transfer *t = userdata;
        const char *end = data + n;

        t->header_bytes += n;
        if (t->header_bytes > LIMIT_HEADER_BYTES)
                return end_with(t, FETCH_FAILURE_TOO_LARGE);
        if (end > data && end[-1] == '\n')
                end--;
        if (end > data && end[-1] == '\r')
                end--;
        switch (take_header_line(t, data, end)) {
        case 0:
                return n;
        case -E2BIG:
                return end_with(t, FETCH_FAILURE_TOO_LARGE);
        case -EINVAL:
                return end_with(t, FETCH_FAILURE_PROTOCOL);
        default:
                return end_with(t, FETCH_FAILURE_WORKER);
        }
}

static int collect(struct transfer *t, const char *data, size_t n) {
        if (n > t->request.body_max - t->answer.body.len)
                return -EMSGSIZE;
        return buf_append(&t->answer.body, data, n);
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata) {
        struct transfer *t = userdata;
        int r = t->stream ? stream_take_body(t->stream, data, n) : collect(t, data, n);

        if (r > 0)
                return CURL_WRITEFUNC_PAUSE;
        if (r < 0)
                return end_with(t, r == -EMSGSIZE ? FETCH_FAILURE_TOO_LARGE : FETCH_FAILURE_WORKER);
        return n;
}

/* ---- setting up ---- */

static int append_header_line(struct transfer *t, const char *name, const char *value) {
        AUTO_BUF struct buf line = BUF_INIT;
        struct curl_slist *list;
        int r;

        /* "Name;" is libcurl's way to send an empty field, "Name:" its way to leave its own out. */
        r = !value ? buf_printf(&line, "%s:", name)
                   : buf_printf(&line, *value ? "%s: %s" : "%s;", name, value);
        if (r < 0)
                return r;
        list = curl_slist_append(t->headers, line.data);
        if (!list)
                return -ENOMEM;
        t->headers = list;
        return 0;
}

static int make_header_list(struct transfer *t) {
        bool typed = false;
        int r = append_header_line(t, "Expect", NULL);

        for (size_t i = 0; r == 0 && i < t->request.n_headers; i++) {
                const struct fetch_header *h = &t->request.headers[i];

                typed = typed || strcasecmp(h->name, "Content-Type") == 0;
                r = append_header_line(t, h->name, h->value);
        }
        if (r == 0 && !typed)
                r = append_header_line(t, "Content-Type", NULL);
        return r;
}

struct setting {
        CURLoption option;
        long value;
};

/* The same for every request: A5, A6, and nothing that comes from the environment or from a
 * server's wishes. */
static const struct setting always[] = {
        { CURLOPT_NOSIGNAL, 1 },
        { CURLOPT_SSL_VERIFYPEER, 1 },
        { CURLOPT_SSL_VERIFYHOST, 2 },
        { CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_PROXY_SSL_VERIFYPEER, 1 },
        { CURLOPT_PROXY_SSL_VERIFYHOST, 2 },
        { CURLOPT_PROXY_SSLVERSION, CURL_SSLVERSION_TLSv1_2 },
        { CURLOPT_FOLLOWLOCATION, 0 },
        { CURLOPT_NETRC, CURL_NETRC_IGNORED },
        { CURLOPT_DISALLOW_USERNAME_IN_URL, 1 },
        { CURLOPT_PATH_AS_IS, 1 },
        { CURLOPT_HTTP09_ALLOWED, 0 },
        { CURLOPT_HTTP_CONTENT_DECODING, 0 },
        { CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
        { CURLOPT_DNS_CACHE_TIMEOUT, 0 }, /* the system has a cache of its own */
        /* Do not wait for a resolver thread that hangs: the loop would hang with it. */
        { CURLOPT_QUICK_EXIT, 1 },
};

/* One connection, one request, and one version without streams that could be refused. */
static const struct setting once[] = {
        { CURLOPT_SSL_SESSIONID_CACHE, 0 },
        { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
        { CURLOPT_FRESH_CONNECT, 1 },
        { CURLOPT_FORBID_REUSE, 1 },
};

/* A stream may be silent for hours, and a router in between must not forget it. */
static const struct setting again[] = {
        { CURLOPT_SSL_SESSIONID_CACHE, 1 },
        { CURLOPT_TCP_KEEPALIVE, 1 },
        { CURLOPT_TCP_KEEPIDLE, 45 },
        { CURLOPT_TCP_KEEPINTVL, 15 },
};

static CURLcode set_all(CURL *e, const struct setting *list, size_t n) {
        CURLcode r = CURLE_OK;

        for (size_t i = 0; r == CURLE_OK && i < n; i++)
                r = curl_easy_setopt(e, list[i].option, list[i].value);
        return r;
}

/* One stream on a connection of its own: what could be refused is told as what it is. */
static CURLcode set_local(struct transfer *t, const struct transfer_defaults *d) {
        CURLcode r = set_all(t->easy, once, ARRAY_SIZE(once));

        r = r ? r
              : curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION,
                                 (long)CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE);
        return r ? r : curl_easy_setopt(t->easy, CURLOPT_UNIX_SOCKET_PATH, d->unix_socket);
}

static CURLcode set_reuse(struct transfer *t, const struct transfer_defaults *d) {
        unsigned sec = t->apart ? 0 : idle_limit(&d->idle, t->origin);
        CURL *e = t->easy;
        CURLcode r;

        if (t->local)
                return set_local(t, d);
        if (t->apart)
                return set_all(e, once, ARRAY_SIZE(once));
        r = set_all(e, again, ARRAY_SIZE(again));
        r = r ? r
              : curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                                 d->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1);
        r = r ? r : curl_easy_setopt(e, CURLOPT_SHARE, d->share);
        r = r ? r : curl_easy_setopt(e, CURLOPT_COOKIEFILE, ""); /* in memory alone */
        if (r || sec == 0)
                return r ? r : curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        /* libcurl counts whole seconds, and "more than". */
        return curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)sec - 1);
}

static CURLcode set_fixed(struct transfer *t) {
        CURL *e = t->easy;
        CURLcode r = set_all(e, always, ARRAY_SIZE(always));

        r = r ? r : curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
        r = r ? r : curl_easy_setopt(e, CURLOPT_NOPROXY, "");
        r = r ? r : curl_easy_setopt(e, CURLOPT_USERAGENT, "mcp-broker/" PACKAGE_VERSION);
        r = r ? r : curl_easy_setopt(e, CURLOPT_PRIVATE, t);
        r = r ? r : curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->detail);
        r = r ? r : curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
        r = r ? r : curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
        r = r ? r : curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_before_request);
        r = r ? r : curl_easy_setopt(e, CURLOPT_PREREQDATA, t);
        r = r ? r : curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        r = r ? r : curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
        r = r ? r : curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        return r ? r : curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
}

static CURLcode set_blob(CURL *e, CURLoption option, const struct buf *pem) {
        struct curl_blob blob = { .data = pem->data, .len = pem->len, .flags = CURL_BLOB_NOCOPY };

        return pem->len > 0 ? curl_easy_setopt(e, option, &blob) : CURLE_OK;
}

static CURLcode set_trust(struct transfer *t, const struct transfer_defaults *d, bool proxied) {
        const struct buf *own = &t->request.ca_pem;
        CURL *e = t->easy;
        CURLcode r = curl_easy_setopt(e, CURLOPT_PROXY, proxied ? d->proxy : "");

        r = r ? r : set_blob(e, CURLOPT_CAINFO_BLOB, own->len > 0 ? own : &d->ca_pem);
        r = r ? r : set_blob(e, CURLOPT_PROXY_CAINFO_BLOB, &d->ca_pem);
        /* A blob takes the place of the system's file of certificates, but not of its folder; and
         * some versions of libcurl take NULL for the folder that they were built with. */
        return r || own->len == 0 ? r : curl_easy_setopt(e, CURLOPT_CAPATH, "/dev/null");
}

/* Neither is copied: both live as long as the transfer. */
static CURLcode set_identity(struct transfer *t) {
        CURLcode r = set_blob(t->easy, CURLOPT_SSLCERT_BLOB, &t->request.cert_pem);

        return r ? r : set_blob(t->easy, CURLOPT_SSLKEY_BLOB, &t->request.key_pem);
}

/* What is fetched is small and soon there; a stream's bounds are its caller's. */
static void bound_fetch(struct fetch_request *f) {
        if (f->timeout_msec == 0 || f->timeout_msec > LIMIT_FETCH_MSEC)
                f->timeout_msec = LIMIT_FETCH_MSEC;
        if (f->body_max > LIMIT_FRAME_BODY_BYTES)
                f->body_max = LIMIT_FRAME_BODY_BYTES;
}

static CURLcode set_times(struct transfer *t, const struct transfer_defaults *d) {
        long whole = (long)t->request.timeout_msec;
        long connect = d->connect_msec;
        CURLcode r = curl_easy_setopt(t->easy, CURLOPT_TIMEOUT_MS, whole);

        /* What is on this link answers at once, or is not there. */
        if (t->request.link_local && connect > LIMIT_LINK_LOCAL_CONNECT_MSEC)
                connect = LIMIT_LINK_LOCAL_CONNECT_MSEC;
        if (whole > 0 && whole < connect)
                connect = whole;
        return r ? r : curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, connect);
}

static CURLcode set_method(struct transfer *t) {
        struct fetch_request *f = &t->request;
        CURL *e = t->easy;
        CURLcode r;

        if (streq(f->method, "GET") || streq(f->method, "DELETE")) {
                r = curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
                if (r || streq(f->method, "GET"))
                        return r;
                return curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, f->method);
        }
        /* A PUT is like a POST without a body, whose length is said. */
        r = curl_easy_setopt(e, CURLOPT_POST, 1L);
        if (r == CURLE_OK && streq(f->method, "PUT"))
                r = curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, f->method);
        /* Not copied: it lives as long as the transfer. */
        r = r ? r : curl_easy_setopt(e, CURLOPT_POSTFIELDS, f->body.data ? f->body.data : "");
        return r ? r : curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)f->body.len);
}

static CURLcode set_request(struct transfer *t, const struct transfer_defaults *d) {
        CURLcode r = curl_easy_setopt(t->easy, CURLOPT_URL, t->request.url);

        if (!t->stream)
                bound_fetch(&t->request);
        r = r ? r : set_times(t, d);
        r = r ? r : curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
        return r ? r : set_method(t);
}

static int set_up(struct transfer *t, const struct transfer_defaults *d, bool proxied) {
        CURLcode r;

        if (make_header_list(t) < 0)
                return -ENOMEM;
        r = set_fixed(t);
        r = r ? r : set_reuse(t, d);
        r = r ? r : set_trust(t, d, proxied);
        r = r ? r : set_identity(t);
        r = r ? r : set_request(t, d);
        if (r == CURLE_OK)
                return 0;
        return r == CURLE_OUT_OF_MEMORY ? -ENOMEM
                                        : refuse(t, FETCH_FAILURE_PROTOCOL, curl_easy_strerror(r));
}

int transfer_new(const struct transfer_defaults *defaults, struct fetch_request *f,
                 struct http_stream *stream, struct transfer **ret) {
        struct transfer *t = calloc(1, sizeof(*t));
        bool proxied = false;
        int r;

        if (!t)
                return -ENOMEM;
        list_init(&t->link);
        fetch_answer_init(&t->answer);
        t->answer.id = f->id;
        t->stream = stream;
        t->easy = curl_easy_init();
        if (!t->easy) {
                (void)transfer_free(t);
                return -ENOMEM;
        }
        t->request = *f;
        r = judge(t, defaults, &proxied);
        if (r == 0)
                r = set_up(t, defaults, proxied);
        if (r < 0) {
                fetch_request_init(&t->request); /* still the caller's */
                (void)transfer_free(t);
                return r;
        }
        fetch_request_init(f);
        *ret = t;
        return r;
}

struct transfer *transfer_free(struct transfer *t) {
        if (!t)
                return NULL;
        list_remove(&t->link);
        curl_easy_cleanup(t->easy);
        curl_slist_free_all(t->headers);
        free(t->origin);
        fetch_request_done(&t->request);
        fetch_answer_done(&t->answer);
        mem_wipe(t, sizeof(*t));
        free(t);
        return NULL;
}

/* ---- the end ---- */

static enum fetch_failure failure_of(const struct transfer *t, CURLcode code) {
        if (t->own_failure != FETCH_FAILURE_NONE)
                return t->own_failure;
        switch ((int)code) {
        case CURLE_COULDNT_RESOLVE_HOST:
        case CURLE_COULDNT_RESOLVE_PROXY:
                return FETCH_FAILURE_RESOLVE;
        case CURLE_COULDNT_CONNECT:
                return t->n_opened == 0 && *t->refused ? FETCH_FAILURE_ADDRESS
                                                       : FETCH_FAILURE_CONNECT;
        case CURLE_PROXY:
                return FETCH_FAILURE_CONNECT;
        case CURLE_OPERATION_TIMEDOUT:
                return FETCH_FAILURE_TIMEOUT;
        case CURLE_SSL_CONNECT_ERROR:
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_ENGINE_NOTFOUND:
        case CURLE_SSL_ENGINE_SETFAILED:
        case CURLE_SSL_CERTPROBLEM:
        case CURLE_SSL_CIPHER:
        case CURLE_SSL_CACERT_BADFILE:
        case CURLE_SSL_CRL_BADFILE:
        case CURLE_SSL_ISSUER_ERROR:
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH:
        case CURLE_SSL_INVALIDCERTSTATUS:
        case CURLE_SSL_CLIENTCERT:
                return FETCH_FAILURE_TLS;
        case CURLE_FILESIZE_EXCEEDED:
                return FETCH_FAILURE_TOO_LARGE;
        case CURLE_PARTIAL_FILE:
        case CURLE_GOT_NOTHING:
        case CURLE_SEND_ERROR:
        case CURLE_RECV_ERROR:
        case CURLE_HTTP2:
        case CURLE_HTTP2_STREAM:
                return t->written ? FETCH_FAILURE_CUT : FETCH_FAILURE_CONNECT;
        case CURLE_OUT_OF_MEMORY:
        case CURLE_FAILED_INIT:
                return FETCH_FAILURE_WORKER;
        default:
                return FETCH_FAILURE_PROTOCOL;
        }
}

static char *reason_of(const struct transfer *t, enum fetch_failure failure, CURLcode code) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r;

        if (failure == FETCH_FAILURE_ADDRESS)
                r = buf_printf(&text, "the address %s (%s) is not allowed for this request",
                               t->refused, address_class_name(t->refused_class));
        else if (failure == FETCH_FAILURE_TOO_LARGE)
                r = buf_printf(&text, "the answer is larger than is allowed");
        else if (t->own_failure == FETCH_FAILURE_PROTOCOL)
                r = buf_printf(&text, "the answer has a header that is not allowed");
        else
                r = buf_append_str(&text, *t->detail ? t->detail : curl_easy_strerror(code));
        return r < 0 ? NULL : utf8_clean_dup(text.data, text.len, LIMIT_FOREIGN_TEXT);
}

void transfer_blame(struct transfer *t, enum fetch_failure failure, const char *why) {
        if (t->own_failure != FETCH_FAILURE_NONE)
                return;
        t->own_failure = failure;
        (void)snprintf(t->detail, sizeof(t->detail), "%s", why);
}

void transfer_finish(struct transfer *t, CURLcode code) {
        struct fetch_answer *a = &t->answer;

        if (t->settled)
                return;
        t->settled = true;
        if (code == CURLE_OK && (!t->headers_done || a->status > 599)) {
                (void)snprintf(t->detail, sizeof(t->detail),
                               "the answer is not HTTP as we know it");
                code = CURLE_WEIRD_SERVER_REPLY;
        }
        if (code == CURLE_OK) {
                a->outcome = FETCH_ANSWERED;
                a->failure = FETCH_FAILURE_NONE;
                return;
        }
        a->outcome = t->written ? FETCH_NO_ANSWER : FETCH_NOT_SENT;
        a->failure = failure_of(t, code);
        a->reason = reason_of(t, a->failure, code);
        /* A part of an answer is none (A229). */
        a->status = 0;
        drop_headers(a);
        buf_done(&a->body);
}
