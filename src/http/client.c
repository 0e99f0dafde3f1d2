/* SPDX-License-Identifier: Apache-2.0 */
#include "http/client.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "http/internal.h"
#include "loop/loop.h"
#include "os/io.h"

#define CA_BYTES_MAX ((size_t)4 * 1024 * 1024)

/* ---- memory: what libcurl frees is wiped first ---- */

#define BLOCK_HEADER 16 /* keeps the alignment that malloc() promises */

static void *wiping_malloc(size_t size) {
        char *block = size > SIZE_MAX - BLOCK_HEADER ? NULL : malloc(size + BLOCK_HEADER);

        if (!block)
                return NULL;
        memcpy(block, &size, sizeof(size));
        return block + BLOCK_HEADER;
}

static size_t block_size(const void *p) {
        size_t size;

        memcpy(&size, (const char *)p - BLOCK_HEADER, sizeof(size));
        return size;
}

static void wiping_free(void *p) {
        if (!p)
                return;
        mem_wipe(p, block_size(p));
        free((char *)p - BLOCK_HEADER);
}

static void *wiping_resize(void *p, size_t size) {
        size_t old = p ? block_size(p) : 0;
        void *moved = wiping_malloc(size);

        if (!moved || !p)
                return moved;
        memcpy(moved, p, old < size ? old : size);
        wiping_free(p);
        return moved;
}

static char *wiping_strdup(const char *s) {
        size_t size = strlen(s) + 1;
        char *copy = wiping_malloc(size);

        if (copy)
                memcpy(copy, s, size);
        return copy;
}

static void *wiping_calloc(size_t n, size_t size) {
        void *p;

        if (size > 0 && n > SIZE_MAX / size)
                return NULL;
        p = wiping_malloc(n * size);
        if (p)
                mem_wipe(p, n * size);
        return p;
}

int http_init(void) {
        /* libcurl would write the keys of every connection to the file that this names (S1). */
        (void)unsetenv("SSLKEYLOGFILE");
        if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, wiping_malloc, wiping_free, wiping_resize,
                                 wiping_strdup, wiping_calloc) != CURLE_OK)
                return -ENOMEM;
        return 0;
}

bool http_has_sound_http2(void) {
        const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);

        return (built->features & CURL_VERSION_HTTP2) && built->version_num >= 0x080a00;
}

/* ---- the end of a transfer ---- */

static void note_idle(struct http *h, const struct transfer *t) {
        const char *said = fetch_answer_header(&t->answer, "keep-alive");

        if (said && t->origin && idle_note(&h->defaults.idle, t->origin, said) < 0)
                log_debug("http: what the server says of idle connections is not remembered");
}

static void complete(struct http *h, struct transfer *t, CURLcode code) {
        list_remove(&t->link);
        t->running = false;
        note_idle(h, t);
        if (t->stream) {
                stream_ended(t->stream, code);
                return;
        }
        transfer_finish(t, code);
        h->n_fetches--;
        t->done(&t->answer, t->userdata);
        (void)transfer_free(t);
}

static void reap(struct http *h) {
        CURLMsg *m;
        int left;

        while ((m = curl_multi_info_read(h->multi, &left))) {
                struct transfer *t = NULL;
                CURLcode code = m->data.result;
                CURL *easy = m->easy_handle;

                if (m->msg != CURLMSG_DONE ||
                    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t) != CURLE_OK)
                        continue;
                (void)curl_multi_remove_handle(h->multi, easy);
                complete(h, t, code);
        }
}

static void refuse_transfer(struct http *h, struct transfer *t) {
        transfer_finish(t, CURLE_OUT_OF_MEMORY);
        list_append(&h->refused, &t->link);
        http_wake(h);
}

/* An error is out of memory, in effect: nothing would wake the transfers again, and libcurl might
 * stumble over them, so they end here. */
static void act(struct http *h, curl_socket_t fd, int events) {
        int running;
        CURLMcode code = curl_multi_socket_action(h->multi, fd, events, &running);
        struct transfer *t;

        if (code == CURLM_OK)
                return;
        log_debug("libcurl: %s", curl_multi_strerror(code));
        while ((t = LIST_FIRST(&h->running, struct transfer, link))) {
                http_stop(h, t);
                refuse_transfer(h, t);
        }
}

static void drive(struct http *h, curl_socket_t fd, int events) {
        act(h, fd, events);
        reap(h);
        streams_deliver(h);
}

/* ---- libcurl on sd-event ---- */

static int on_curl_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
        struct http *h = userdata;
        int events = 0;

        haste_answered(&h->haste, clock_boot_usec());
        /* No CURL_CSELECT_ERR: reading or writing finds out what the error is. */
        if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
                events |= CURL_CSELECT_IN;
        if (revents & (EPOLLOUT | EPOLLERR))
                events |= CURL_CSELECT_OUT;
        drive(h, fd, events);
        return 0;
}

static int on_curl_timer(sd_event_source *s, uint64_t usec, void *userdata) {
        drive(userdata, CURL_SOCKET_TIMEOUT, 0);
        return 0;
}

static int watch_socket(struct http *h, curl_socket_t fd, uint32_t events) {
        sd_event_source *s = NULL;
        int r = sd_event_add_io(h->event, &s, fd, events, on_curl_io, h);

        if (r < 0)
                return r;
        (void)sd_event_source_set_description(s, "http-socket");
        (void)sd_event_source_set_priority(s, LOOP_WORKER);
        if (curl_multi_assign(h->multi, fd, s) != CURLM_OK) {
                (void)loop_source_free(s);
                return -EINVAL;
        }
        return 0;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *assigned) {
        static const uint32_t map[] = { [CURL_POLL_IN] = EPOLLIN,
                                        [CURL_POLL_OUT] = EPOLLOUT,
                                        [CURL_POLL_INOUT] = EPOLLIN | EPOLLOUT };
        struct http *h = userdata;
        uint32_t events = what > 0 && what < (int)ARRAY_SIZE(map) ? map[what] : 0;
        int r;

        if (what == CURL_POLL_REMOVE) {
                (void)loop_source_free(assigned);
                return 0;
        }
        r = assigned ? sd_event_source_set_io_events(assigned, events)
                     : watch_socket(h, fd, events);
        return r < 0 ? -1 : 0;
}

/* Most often it is to be called at once, which takes no timer. */
static int on_curl_timeout(CURLM *multi, long msec, void *userdata) {
        struct http *h = userdata;
        int r;

        h->asked = msec == 0;
        if (msec > 0)
                r = loop_timer_set(h->timer, clock_boot_usec() + (uint64_t)msec * USEC_PER_MSEC);
        else
                r = loop_timer_stop(h->timer);
        if (h->asked)
                http_wake(h);
        return r < 0 ? -1 : 0;
}

static int on_deferred(sd_event_source *s, void *userdata) {
        struct http *h = userdata;
        struct transfer *t;

        while ((t = LIST_FIRST(&h->refused, struct transfer, link)))
                complete(h, t, CURLE_FAILED_INIT);
        if (h->asked) {
                h->asked = false;
                drive(h, CURL_SOCKET_TIMEOUT, 0);
        } else {
                reap(h);
                streams_deliver(h);
        }
        return 0;
}

/* ---- life ---- */

static int set_up_multi(struct http *h) {
        CURLMcode r;

        h->multi = curl_multi_init();
        if (!h->multi)
                return -ENOMEM;
        r = curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
        r = r ? r : curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
        r = r ? r : curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timeout);
        r = r ? r : curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
        r = r ? r
              : curl_multi_setopt(h->multi, CURLMOPT_PIPELINING,
                                  h->defaults.http2 ? CURLPIPE_MULTIPLEX : CURLPIPE_NOTHING);
        return r ? -ENOMEM : 0;
}

/* What the handle of one request would keep to itself otherwise, and take with it: sessions of TLS,
 * and the cookies by which a load balancer finds the server that knows us. */
static int set_up_share(struct http *h) {
        CURLSHcode r;

        if (!h->defaults.keep_alive)
                return 0;
        h->defaults.share = curl_share_init();
        if (!h->defaults.share)
                return -ENOMEM;
        r = curl_share_setopt(h->defaults.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
        if (r == CURLSHE_OK)
                r = curl_share_setopt(h->defaults.share, CURLSHOPT_SHARE, CURL_LOCK_DATA_COOKIE);
        return r == CURLSHE_OK ? 0 : -ENOMEM;
}

static int set_up_loop(struct http *h) {
        int r = loop_timer(h->event, UINT64_MAX, on_curl_timer, h, "http-timer", &h->timer);

        if (r == 0)
                r = loop_timer_stop(h->timer);
        if (r == 0)
                r = loop_defer(h->event, on_deferred, h, "http-deferred", &h->defer);
        if (r == 0)
                r = sd_event_source_set_enabled(h->defer, SD_EVENT_OFF);
        return r < 0 ? r : 0;
}

static int append_file(struct buf *b, const char *path, struct error *err) {
        AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        int r = fd < 0 ? -errno : io_read_full(fd, CA_BYTES_MAX, b);

        if (r == 0)
                r = buf_append(b, "\n", 1);
        if (r < 0)
                return error_set(err, MCPB_BAD_CONFIG, -r, "Name a readable PEM file",
                                 "Cannot read the certificates in %s: %s", path, strerror(-r));
        return 0;
}

/* Own certificates are added to the system's, never put in their place (A5): a blob replaces the
 * system's one file, but not its folder. */
static int read_certificates(struct http *h, const char *ca_file, struct error *err) {
        const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
        int r = append_file(&h->defaults.ca_pem, ca_file, err);

        if (r == 0 && !built->capath && built->cainfo)
                r = append_file(&h->defaults.ca_pem, built->cainfo, err);
        return r;
}

int http_new(sd_event *event, const struct http_options *options, struct http **ret,
             struct error *err) {
        struct http *h = calloc(1, sizeof(*h));
        int r;

        if (!h)
                return error_oom(err);
        h->event = sd_event_ref(event);
        h->defaults.connect_msec = LIMIT_FETCH_CONNECT_MSEC;
        if (options->connect_msec > 0)
                h->defaults.connect_msec = (long)options->connect_msec;
        list_init(&h->running);
        list_init(&h->refused);
        list_init(&h->streams);
        list_init(&h->due);
        h->defaults.keep_alive = options->keep_alive;
        h->defaults.http2 = options->keep_alive && options->http2;
        r = set_up_multi(h);
        if (r == 0)
                r = set_up_share(h);
        if (r == 0)
                r = set_up_loop(h);
        if (r == 0 && options->proxy) {
                h->defaults.proxy = strdup(options->proxy);
                r = h->defaults.proxy ? 0 : -ENOMEM;
        }
        if (r == 0 && options->no_proxy) {
                h->defaults.no_proxy = strdup(options->no_proxy);
                r = h->defaults.no_proxy ? 0 : -ENOMEM;
        }
        if (r == 0 && options->unix_socket) {
                h->defaults.unix_socket = strdup(options->unix_socket);
                r = h->defaults.unix_socket ? 0 : -ENOMEM;
        }
        if (r == 0 && options->ca_file)
                r = read_certificates(h, options->ca_file, err);
        if (r < 0) {
                (void)http_free(h);
                return error_fallback(err, r, "Setting up HTTP");
        }
        *ret = h;
        return 0;
}

static void drop_fetches(struct http *h, struct list *l) {
        struct transfer *t;

        while ((t = LIST_FIRST(l, struct transfer, link))) {
                http_stop(h, t);
                (void)transfer_free(t);
        }
}

struct http *http_free(struct http *h) {
        if (!h)
                return NULL;
        streams_close(h);
        drop_fetches(h, &h->running);
        drop_fetches(h, &h->refused);
        if (h->multi)
                (void)curl_multi_cleanup(h->multi);
        (void)curl_share_cleanup(h->defaults.share);
        idle_done(&h->defaults.idle);
        (void)loop_source_free(h->timer);
        (void)loop_source_free(h->defer);
        (void)sd_event_unref(h->event);
        (void)str_wipe_free(h->defaults.proxy);
        free(h->defaults.no_proxy);
        free(h->defaults.unix_socket);
        buf_done(&h->defaults.ca_pem);
        free(h);
        return NULL;
}

/* ---- starting and stopping ---- */

void http_wake(struct http *h) {
        if (sd_event_source_set_enabled(h->defer, SD_EVENT_ONESHOT) < 0)
                log_debug("http: what is due is told later");
}

void http_advance(struct http *h) {
        if (!h->asked)
                return;
        h->asked = false;
        act(h, CURL_SOCKET_TIMEOUT, 0);
        http_wake(h);
        haste_sent(&h->haste, clock_boot_usec());
}

bool http_is_eager(struct http *h) {
        return haste_is_on(&h->haste, clock_boot_usec());
}

void http_start(struct http *h, struct transfer *t, bool refused) {
        if (!refused && curl_multi_add_handle(h->multi, t->easy) == CURLM_OK) {
                t->running = true;
                list_append(&h->running, &t->link);
                return;
        }
        refuse_transfer(h, t);
}

void http_stop(struct http *h, struct transfer *t) {
        if (t->running)
                (void)curl_multi_remove_handle(h->multi, t->easy);
        t->running = false;
        list_remove(&t->link);
}

static struct transfer *find(struct list *l, uint64_t id) {
        struct transfer *t;

        LIST_FOREACH(t, l, struct transfer, link)
                if (!t->stream && t->answer.id == id)
                        return t;
        return NULL;
}

static struct transfer *find_fetch(struct http *h, uint64_t id) {
        struct transfer *t = find(&h->running, id);

        return t ? t : find(&h->refused, id);
}

int http_fetch(struct http *h, struct fetch_request *f, http_done_fn done, void *userdata) {
        struct transfer *t = NULL;
        int r;

        if (find_fetch(h, f->id))
                return -EEXIST;
        if (h->n_fetches >= LIMIT_FETCHES)
                return -EBUSY;
        r = transfer_new(&h->defaults, f, NULL, &t);
        if (r < 0)
                return r;
        t->done = done;
        t->userdata = userdata;
        h->n_fetches++;
        http_start(h, t, r > 0);
        return 0;
}

int http_cancel(struct http *h, uint64_t id) {
        struct transfer *t = find_fetch(h, id);

        if (!t)
                return -ENOENT;
        http_stop(h, t);
        h->n_fetches--;
        (void)transfer_free(t);
        return 0;
}
