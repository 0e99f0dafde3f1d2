/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h" /* memfd_create() */

#include "broker-world.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/codec.h"
#include "crypto/init.h"
#include "loop/loop.h"

/* --- The clock, and timers that go by it ------------------------------------------------------ */

#define TIMERS_MAX 64

static struct {
        sd_event_source *source;
        sd_event_time_handler_t fn;
        void *userdata;
        uint64_t usec;
        bool on;
} timers[TIMERS_MAX];

static uint64_t passed;
static uint64_t set_back;

uint64_t __wrap_clock_boot_usec(void);
uint64_t __wrap_clock_wall_usec(void);
int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret);
int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec);

uint64_t __wrap_clock_boot_usec(void) {
        return WORLD_BOOT + passed;
}

uint64_t __wrap_clock_wall_usec(void) {
        return WORLD_WALL + passed - set_back;
}

uint64_t world_now(void) {
        return WORLD_BOOT + passed;
}

void world_advance_stopped(uint64_t usec) {
        passed += usec;
}

void world_set_clock_back(uint64_t usec) {
        set_back += usec;
}

static int never(sd_event_source *s, void *userdata) {
        return 0;
}

static void forget_timer(void *userdata) {
        timers[(size_t)(uintptr_t)userdata].source = NULL;
}

int __wrap_loop_timer(sd_event *e, uint64_t usec, sd_event_time_handler_t fn, void *userdata,
                      const char *description, sd_event_source **ret) {
        sd_event_source *s = NULL;
        size_t i = 0;

        while (i < TIMERS_MAX && timers[i].source)
                i++;
        assert_true(i < TIMERS_MAX);
        /* Never due by itself; its end tells us that nobody wants it any more. */
        if (sd_event_add_defer(e, &s, never, (void *)(uintptr_t)i) < 0)
                return -ENOMEM;
        assert_true(sd_event_source_set_enabled(s, SD_EVENT_OFF) >= 0);
        assert_true(sd_event_source_set_destroy_callback(s, forget_timer) >= 0);
        timers[i].source = s;
        timers[i].fn = fn;
        timers[i].userdata = userdata;
        timers[i].usec = usec;
        timers[i].on = true;
        *ret = s;
        return 0;
}

int __wrap_loop_timer_set(sd_event_source *s, uint64_t usec) {
        for (size_t i = 0; i < TIMERS_MAX; i++) {
                if (timers[i].source != s)
                        continue;
                timers[i].usec = usec;
                timers[i].on = true;
                return 0;
        }
        return -ENOENT;
}

unsigned world_timers(void) {
        unsigned n = 0;

        for (size_t i = 0; i < TIMERS_MAX; i++)
                n += timers[i].source && timers[i].on;
        return n;
}

/* The one that is due first, and not after @until; TIMERS_MAX: none. */
static size_t due(uint64_t until) {
        size_t best = TIMERS_MAX;

        for (size_t i = 0; i < TIMERS_MAX; i++)
                if (timers[i].source && timers[i].on && timers[i].usec <= until &&
                    (best == TIMERS_MAX || timers[i].usec < timers[best].usec))
                        best = i;
        return best;
}

static bool fire(uint64_t until) {
        size_t i = due(until);

        if (i == TIMERS_MAX)
                return false;
        if (timers[i].usec > world_now())
                passed = timers[i].usec - WORLD_BOOT;
        timers[i].on = false;
        assert_int_equal(timers[i].fn(timers[i].source, timers[i].usec, timers[i].userdata), 0);
        return true;
}

void world_run_loop(struct world *w) {
        do {
                while (sd_event_run(w->event, 0) > 0)
                        ;
        } while (fire(world_now()));
}

void world_run(struct world *w) {
        for (;;) {
                world_run_loop(w);
                if (w->disk->n_requests == 0 || w->disk_held)
                        return;
                memory_answer(w->disk, 0);
        }
}

void world_disk(struct world *w, int r, bool applied) {
        if (r < 0)
                memory_fail(w->disk, 0, r, applied);
        else
                memory_answer(w->disk, 0);
        world_run_loop(w);
}

void world_advance(struct world *w, uint64_t usec) {
        uint64_t until = world_now() + usec;

        world_run(w);
        while (fire(until))
                world_run(w);
        passed = until - WORLD_BOOT;
        world_run(w);
}

/* --- The workers ------------------------------------------------------------------------------ */

static void quiet(const struct world *w, bool on) {
        if (w->quiet)
                w->quiet(on);
}

static int do_fetch(void *userdata, enum fetch_via via, struct fetch_request *f, fetch_done_fn fn,
                    void *arg, uint64_t *ret_id) {
        struct world *w = userdata;
        struct world_fetch *q = &w->fetches[w->n_fetches];

        assert_true(w->n_fetches < WORLD_FETCHES);
        if (w->fetch_result < 0)
                return w->fetch_result;
        *q = (struct world_fetch){ .id = ++w->last_id, .via = via, .fn = fn, .userdata = arg };
        q->request = *f;
        fetch_request_init(f);
        w->n_fetches++;
        if (strstr(q->request.url, "/token"))
                w->n_token++;
        *ret_id = q->id;
        return 0;
}

static struct world_fetch take_fetch(struct world *w, size_t i) {
        struct world_fetch q;

        assert_true(i < w->n_fetches);
        q = w->fetches[i];
        w->n_fetches--;
        for (; i < w->n_fetches; i++)
                w->fetches[i] = w->fetches[i + 1];
        return q;
}

static void do_fetch_forget(void *userdata, uint64_t id) {
        struct world *w = userdata;

        for (size_t i = 0; i < w->n_fetches; i++) {
                if (w->fetches[i].id != id)
                        continue;
                w->fetches[w->n_fetches] = take_fetch(w, i);
                fetch_request_done(&w->fetches[w->n_fetches].request);
                return;
        }
        fail_msg("a request is forgotten that nobody waits for");
}

static int do_listen(void *userdata, uint16_t port, const char *path, listen_done_fn done,
                     redirect_fn on_redirect, void *arg, uint64_t *ret_id) {
        struct world *w = userdata;

        assert_int_equal(w->listener.id, 0);
        w->listener = (struct world_listener){ .id = ++w->last_id,
                                               .port = port ? port : 40000,
                                               .done = done,
                                               .lost = done,
                                               .on_redirect = on_redirect,
                                               .userdata = arg };
        (void)snprintf(w->listener.path, sizeof(w->listener.path), "%s", path);
        w->n_listeners++;
        *ret_id = w->listener.id;
        return 0;
}

static void do_page(void *userdata, uint64_t listener, uint64_t request, unsigned status,
                    struct buf *html) {
        struct world *w = userdata;

        assert_true(listener == w->listener.id);
        assert_true(html->len > 0 || w->quiet);
        w->n_pages++;
        w->page_status = status;
}

static void do_unlisten(void *userdata, uint64_t id) {
        struct world *w = userdata;

        assert_true(id == w->listener.id);
        w->listener.id = 0;
}

static int do_derive(void *userdata, const struct kdf_params *params, struct buf *passphrase,
                     derive_done_fn done, void *arg) {
        return -EAGAIN;
}

static int do_attest(void *userdata, const struct caller *who, attest_done_fn done, void *arg) {
        struct world *w = userdata;

        assert_true(w->attest_held);
        assert_null(w->attest);
        w->attest = done;
        w->attest_userdata = arg;
        return 0;
}

static void do_control(void *userdata, const char *what) {
}

static json_t *do_processes(void *userdata) {
        return json_array();
}

static int do_order(void *userdata, struct order *o, order_done_fn fn, void *arg,
                    uint64_t *ret_id) {
        struct world *w = userdata;

        assert_null(w->order_fn);
        order_move(&w->order, o);
        w->order_fn = fn;
        w->order_userdata = arg;
        *ret_id = ++w->last_id;
        return 0;
}

static void do_order_forget(void *userdata, uint64_t id) {
        struct world *w = userdata;

        assert_non_null(w->order_fn);
        order_done(&w->order);
        w->order_fn = NULL;
}

static const struct broker_workers workers = {
        .fetch = do_fetch,
        .order = do_order,
        .order_forget = do_order_forget,
        .fetch_forget = do_fetch_forget,
        .listen = do_listen,
        .page = do_page,
        .unlisten = do_unlisten,
        .derive = do_derive,
        .attest = do_attest,
        .control = do_control,
        .processes = do_processes,
};

/* --- Its life --------------------------------------------------------------------------------- */

static void on_ready(int r, const struct error *err, void *userdata) {
        struct world *w = userdata;

        w->ready = r == 0;
        if (err)
                w->ready_error = *err;
}

void world_reload(struct world *w) {
        broker_reload(w->broker, world_policy(w), world_config(w));
        world_run(w);
}

void world_begin(struct world *w) {
        struct error err = ERROR_INIT;
        struct broker_options options = {
                .event = w->event,
                .workers = &workers,
                .workers_userdata = w,
                .store = store_new(&memory_ops, w->disk),
                .backend_ops = &memory_ops,
                .backend = w->disk,
                .audit_fd = w->audit_fd,
                .passphrase = w->passphrase,
                .policy = world_policy(w),
                .config = world_config(w),
        };

        w->store = options.store;
        assert_non_null(w->store);
        assert_int_equal(broker_new(&options, &w->broker, &err), 0);
        w->ready = false;
        assert_int_equal(broker_start(w->broker, on_ready, w), 0);
        world_run(w);
        assert_true(w->ready || w->disk_held);
}

void world_end(struct world *w) {
        w->disk->n_asked[MEMORY_WRITE] = 0;
        broker_end(w->broker);
        w->store = store_free(w->store);
        while (w->disk->n_requests > 0)
                memory_fail(w->disk, 0, -ECANCELED, false);
        w->broker = broker_free(w->broker);

        while (w->n_fetches > 0) {
                struct world_fetch q = take_fetch(w, 0);

                fetch_request_done(&q.request);
        }
        w->listener.id = 0;
        w->fetch_result = 0;
        w->disk_held = false;
        assert_int_equal(world_timers(), 0);
}

void world_crash(struct world *w) {
        world_end(w);
        world_begin(w);
}

void world_init(struct world *w) {
        struct error err = ERROR_INIT;

        assert_int_equal(crypto_init(&err), 0);
        passed = 0;
        set_back = 0;
        w->disk = memory_new();
        w->disk->quiet = w->quiet;
        w->audit_fd = memfd_create("audit.log", MFD_CLOEXEC);
        assert_true(w->audit_fd >= 0);
        assert_int_equal(fcntl(w->audit_fd, F_SETFL, O_APPEND), 0);
        assert_int_equal(loop_new(&w->event), 0);
        w->evidence = (struct evidence){ .pid = 42, .start_ticks = 7 };
        world_begin(w);
}

void world_done(struct world *w) {
        world_end(w);
        memory_free(w->disk);
        (void)loop_free(w->event);
        (void)close(w->audit_fd);
        crypto_done();
        *w = (struct world){ 0 };
}

/* --- Requests --------------------------------------------------------------------------------- */

static void on_reply(json_t *result, const struct error *err, json_t *data, void *userdata) {
        struct answer *a = userdata;

        assert_int_equal(a->n_told, 0);
        assert_true((result == NULL) == (err != NULL));
        a->n_told++;
        a->call = NULL;
        a->result = json_incref(result);
        a->data = json_incref(data);
        if (err)
                a->err = *err;
}

void answer_done(struct answer *a) {
        json_decref(a->result);
        json_decref(a->data);
        *a = (struct answer){ 0 };
}

void world_ask(struct world *w, enum method m, json_t *params, struct answer *ret) {
        AUTO_JSON json_t *owned = params;
        struct caller who = { .uid = getuid(),
                              .gid = getgid(),
                              .pid = 42,
                              .pidfd = -1,
                              .conn_id = ++w->last_id,
                              .evidence = &w->evidence,
                              .manage = w->ours };
        struct broker_call *call = NULL;
        int r;

        *ret = (struct answer){ 0 };
        r = broker_call(w->broker, &who, m, owned, on_reply, ret, &call);
        if (r < 0) {
                assert_int_equal(ret->n_told, 0);
                ret->n_told = 1;
                (void)error_oom(&ret->err);
                return;
        }
        assert_true((call == NULL) == (ret->n_told == 1));
        ret->call = call;
}

void world_get(struct world *w, const char *scopes, struct answer *ret) {
        json_t *list = NULL;
        AUTO_FREE char *copy = scopes ? strdup(scopes) : NULL;
        char *save = NULL;

        quiet(w, true);
        if (copy)
                list = json_array();
        for (char *s = copy ? strtok_r(copy, " ", &save) : NULL; s; s = strtok_r(NULL, " ", &save))
                assert_int_equal(json_array_append_new(list, json_string(s)), 0);
        list = json_pack("{s:s, s:o*}", "server", WORLD_SERVER, "scopes", list);
        quiet(w, false);
        world_ask(w, METHOD_TOKEN_GET, list, ret);
}

const char *world_token(struct world *w, struct answer *a) {
        world_get(w, NULL, a);
        world_run(w);
        return a->result ? json_get_string(a->result, "token") : NULL;
}

/* --- Answers of others ------------------------------------------------------------------------ */

struct world_fetch *world_fetch(struct world *w) {
        return w->n_fetches > 0 ? &w->fetches[0] : NULL;
}

static void tell(struct world *w, size_t i, struct fetch_answer *a) {
        struct world_fetch q = take_fetch(w, i);

        a->id = q.id;
        a->reached = w->reached ? w->reached : ADDRESS_PUBLIC;
        quiet(w, false);
        q.fn(a, q.userdata);
        quiet(w, true);
        fetch_answer_done(a);
        fetch_request_done(&q.request);
        quiet(w, false);
}

void world_answer_both(struct world *w, size_t i, unsigned status, const char *name,
                       const char *value, const char *body) {
        struct fetch_answer a;

        quiet(w, true);
        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = status;
        if (name)
                assert_int_equal(fetch_answer_add_header(&a, name, value), 0);
        if (body) {
                assert_int_equal(fetch_answer_add_header(&a, "content-type", "application/json"),
                                 0);
                assert_int_equal(buf_append_str(&a.body, body), 0);
        }
        tell(w, i, &a);
}

void world_answer_header(struct world *w, size_t i, unsigned status, const char *name,
                         const char *value) {
        world_answer_both(w, i, status, name, value, NULL);
}

void world_answer(struct world *w, size_t i, unsigned status, const char *body) {
        world_answer_both(w, i, status, NULL, NULL, body);
}

void world_no_answer(struct world *w, size_t i, enum fetch_outcome outcome) {
        struct fetch_answer a;

        quiet(w, true);
        fetch_answer_init(&a);
        a.outcome = outcome;
        a.failure = outcome == FETCH_NOT_SENT ? FETCH_FAILURE_CONNECT : FETCH_FAILURE_CUT;
        tell(w, i, &a);
}

void world_tokens(struct world *w, const char *at, const char *rt, unsigned expires_in,
                  const char *scope) {
        char body[512];
        int n = snprintf(body, sizeof(body),
                         "{\"access_token\":\"%s\",\"token_type\":\"Bearer\",\"expires_in\":%u", at,
                         expires_in);

        if (rt)
                n += snprintf(body + n, sizeof(body) - (size_t)n, ",\"refresh_token\":\"%s\"", rt);
        if (scope)
                n += snprintf(body + n, sizeof(body) - (size_t)n, ",\"scope\":\"%s\"", scope);
        (void)snprintf(body + n, sizeof(body) - (size_t)n, "}");
        world_answer(w, 0, 200, body);
}

/* "%3A" and "+", decoded. */
static char *decode(const char *text, size_t len) {
        char *out = calloc(1, len + 1);
        size_t n = 0;

        assert_non_null(out);
        for (size_t i = 0; i < len; i++) {
                unsigned c = (unsigned char)text[i];

                if (text[i] == '%' && i + 2 < len + 1) {
                        assert_int_equal(sscanf(text + i + 1, "%2x", &c), 1);
                        i += 2;
                } else if (text[i] == '+') {
                        c = ' ';
                }
                out[n++] = (char)c;
        }
        return out;
}

/* A parameter of "a=b&c=d". */
static char *parameter(const char *text, size_t len, const char *name) {
        size_t n_name = strlen(name);

        for (const char *p = text; p < text + len;) {
                const char *end = memchr(p, '&', (size_t)(text + len - p));

                end = end ? end : text + len;
                if ((size_t)(end - p) > n_name && strncmp(p, name, n_name) == 0 && p[n_name] == '=')
                        return decode(p + n_name + 1, (size_t)(end - p) - n_name - 1);
                p = end + 1;
        }
        return NULL;
}

char *world_form(struct world *w, const char *name) {
        struct world_fetch *q = world_fetch(w);

        if (!q || !q->request.body.data)
                fail_msg("no request waits");
        return q ? parameter(q->request.body.data, q->request.body.len, name) : NULL;
}

static bool listen_one(struct world *w) {
        listen_done_fn done = w->listener.done;

        if (w->listener.id == 0 || !done)
                return false;
        w->listener.done = NULL;
        if (w->listen_result < 0)
                w->listener.id = 0;
        done(w->listen_result, w->listener.port, w->listen_result < 0 ? "taken" : NULL,
             w->listener.userdata);
        return true;
}

void world_lose_listener(struct world *w) {
        assert_true(w->listener.id != 0 && !w->listener.done);
        w->listener.id = 0;
        w->listener.lost(-EADDRINUSE, 0, "taken", w->listener.userdata);
        world_run(w);
}

bool world_serve_step(struct world *w) {
        return world_serve_one(w) || listen_one(w);
}

void world_serve(struct world *w) {
        do
                world_run(w);
        while (world_serve_step(w));
}

static char *url_of(const struct answer *a) {
        const json_t *login = json_object_get(a->result, "login");
        const char *url = json_get_string(login ? login : a->result, "url");

        return url ? strdup(url) : NULL;
}

char *world_begin_login(struct world *w, const char *scopes, struct answer *waits) {
        AUTO_REPLY struct answer a = { 0 };
        json_t *list = scopes ? json_array() : NULL;
        AUTO_FREE char *copy = scopes ? strdup(scopes) : NULL;
        char *save = NULL;
        char *url;

        for (char *s = copy ? strtok_r(copy, " ", &save) : NULL; s; s = strtok_r(NULL, " ", &save))
                assert_int_equal(json_array_append_new(list, json_string(s)), 0);
        world_ask(w, METHOD_SERVER_ADD,
                  json_pack("{s:s, s:b, s:o*}", "url", WORLD_SERVER, "login", 1, "scopes", list),
                  &a);
        world_serve(w);
        assert_int_equal(a.n_told, 1);
        if (a.err.code != MCPB_NO_ERROR)
                print_message("server.add: %s\n", a.err.message);
        url = url_of(&a);
        assert_non_null(url);
        if (waits) {
                const json_t *login = json_object_get(a.result, "login");

                world_ask(w, METHOD_LOGIN_WAIT,
                          json_pack("{s:s}", "login", json_get_string(login, "login")), waits);
                assert_int_equal(waits->n_told, 0);
        }
        return url;
}

void world_redirect(struct world *w, const char *url, const char *code) {
        const char *query = strchr(url, '?');
        AUTO_FREE char *state = NULL;
        char text[512];

        quiet(w, true);
        state = parameter(query + 1, strlen(query + 1), "state");
        quiet(w, false);
        assert_non_null(state);
        assert_true(w->listener.id != 0);
        if (code)
                (void)snprintf(text, sizeof(text), "code=%s&state=%s%s", code, state,
                               w->as      ? ""
                               : w->moved ? "&iss=https%3A%2F%2Fas2.example.com"
                                          : "&iss=https%3A%2F%2Fas.example.com");
        else
                (void)snprintf(text, sizeof(text),
                               "error=access_denied&state=%s&iss=https%%3A%%2F%%2Fas.example.com",
                               state);
        w->listener.on_redirect(++w->last_id, text, w->listener.userdata);
        world_run(w);
}

void world_login(struct world *w, const char *scopes) {
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_FREE char *url = world_begin_login(w, scopes, &waits);

        world_redirect(w, url, "code1");
        assert_non_null(world_fetch(w));
        world_tokens(w, "at1", w->no_refresh_token ? NULL : "rt1", 3600, NULL);
        world_run(w);
        assert_int_equal(waits.n_told, 1);
        assert_string_equal(json_get_string(waits.result, "state"), "done");
        assert_int_equal(w->page_status, 200);
        w->n_token = 0;
}

/* --- Looking ---------------------------------------------------------------------------------- */

json_t *world_server(struct world *w) {
        AUTO_REPLY struct answer a = { 0 };

        world_ask(w, METHOD_SERVER_SHOW, json_pack("{s:s}", "server", WORLD_SERVER), &a);
        assert_non_null(a.result);
        return json_incref(json_object_get(a.result, "server"));
}

unsigned world_audit(struct world *w, const char *event) {
        AUTO_BUF struct buf log = BUF_INIT;
        off_t size = lseek(w->audit_fd, 0, SEEK_END);
        char text[64];
        unsigned n = 0;

        assert_true(size >= 0);
        assert_int_equal(buf_reserve(&log, (size_t)size), 0);
        assert_int_equal(pread(w->audit_fd, log.data, (size_t)size, 0), size);
        log.data[size] = '\0';
        (void)snprintf(text, sizeof(text), "\"event\":\"%s\"", event);
        for (const char *p = strstr(log.data, text); p; p = strstr(p + 1, text))
                n++;
        return n;
}

/* --- What most tests begin with and ask ------------------------------------------------------- */

/* The token at hand is at its end. */
void world_expire(struct world *w) {
        world_advance(w, 3601 * USEC_PER_SEC);
}

void world_expire_lease(struct world *w) {
        struct answer a;
        char id[64];

        assert_non_null(world_token(w, &a));
        (void)snprintf(id, sizeof(id), "%s", json_get_string(a.result, "token_id"));
        answer_done(&a);
        world_ask(w, METHOD_TOKEN_REJECT,
                  json_pack("{s:s, s:s}", "server", WORLD_SERVER, "token_id", id), &a);
        assert_true(json_get_bool(a.result, "rejected", false));
        answer_done(&a);
}

void assert_token(struct answer *a, const char *token) {
        assert_int_equal(a->n_told, 1);
        if (!a->result)
                fail_msg("%s: %s", error_name(a->err.code), a->err.message);
        assert_string_equal(json_get_string(a->result, "token"), token);
        answer_done(a);
}

void assert_refused(struct answer *a, enum error_code code) {
        assert_int_equal(a->n_told, 1);
        assert_string_equal(error_name(a->err.code), error_name(code));
        assert_true(a->err.hint[0]);
        answer_done(a);
}

void assert_form(struct world *w, const char *name, const char *value) {
        AUTO_FREE char *text = world_form(w, name);

        if (!value) {
                assert_null(text);
                return;
        }
        assert_non_null(text);
        assert_string_equal(text, value);
}

void assert_lease(struct world *w, const char *token) {
        struct answer a;

        world_get(w, NULL, &a);
        world_run(w);
        assert_token(&a, token);
}

void assert_refresh(struct world *w, const char *used, const char *token, const char *next) {
        struct answer a;

        world_send(w, NULL, &a);
        assert_form(w, "refresh_token", used);
        world_tokens(w, token, next, 3600, NULL);
        world_run(w);
        assert_token(&a, token);
}

void assert_server_state(struct world *w, const char *name) {
        AUTO_JSON json_t *server = world_server(w);

        assert_string_equal(json_get_string(server, "state"), name);
}

/* Asks, and leaves the request at the issuer. */
void world_send(struct world *w, const char *scopes, struct answer *a) {
        world_get(w, scopes, a);
        world_run(w);
        assert_int_equal(a->n_told, 0);
        assert_int_equal(w->n_fetches, 1);
}

int world_setup(void **state) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        world_init(w);
        world_login(w, NULL);
        *state = w;
        return 0;
}

int world_teardown(void **state) {
        struct world *w = *state;

        world_done(w);
        free(w);
        return 0;
}
