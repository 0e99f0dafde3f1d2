/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request may lead. Names are resolved by a double that stands in the place of the C
 * library's resolver, so that a name can lead anywhere, and elsewhere the second time. No packet
 * leaves for any address but 127.0.0.1.
 */
#include "config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdatomic.h>

#include "badserver.h"
#include "base/codec.h"
#include "http/client.h"
#include "loop/loop.h"
#include "test.h"

#define LOOPBACK ADDRESS_LOOPBACK
#define PRIVATE ADDRESS_PRIVATE
#define PUBLIC ADDRESS_PUBLIC
#define ALL (LOOPBACK | PRIVATE | PUBLIC)

/* ---- the resolver double ---- */

/* What "double.test" leads to, look-up by look-up; addresses separated by blanks. libcurl's
 * resolver threads read it. */
static const char *_Atomic look_ups[4];
static atomic_uint n_look_ups;

static struct addrinfo *new_address(const char *text, const char *service, int socktype) {
        struct addrinfo *ai = calloc(1, sizeof(*ai) + sizeof(struct sockaddr_in6));
        struct sockaddr_in v4 = { .sin_family = AF_INET };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
        uint64_t port = 0;

        if (!ai || (service && number_parse(service, 65535, &port) < 0))
                abort();
        v4.sin_port = v6.sin6_port = htons((uint16_t)port);
        ai->ai_addr = (struct sockaddr *)(void *)(ai + 1);
        ai->ai_socktype = socktype;
        ai->ai_protocol = IPPROTO_TCP;
        if (inet_aton(text, &v4.sin_addr)) {
                ai->ai_addrlen = sizeof(v4);
                memcpy(ai->ai_addr, &v4, sizeof(v4));
        } else if (inet_pton(AF_INET6, text, &v6.sin6_addr) == 1) {
                ai->ai_addrlen = sizeof(v6);
                memcpy(ai->ai_addr, &v6, sizeof(v6));
        } else {
                free(ai);
                return NULL;
        }
        ai->ai_family = ai->ai_addr->sa_family;
        return ai;
}

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict node,
                                                       const char *restrict service,
                                                       const struct addrinfo *restrict hints,
                                                       struct addrinfo **restrict ret) {
        struct addrinfo **end = ret;
        const char *list = node;

        *ret = NULL;
        if (streq(node, "double.test")) {
                unsigned n = atomic_fetch_add(&n_look_ups, 1);

                list = n < ARRAY_SIZE(look_ups) ? atomic_load(&look_ups[n]) : NULL;
        }
        while (list && *list) {
                size_t len = strcspn(list, " ");
                char text[64] = { 0 };

                memcpy(text, list, len < sizeof(text) ? len : sizeof(text) - 1);
                *end = new_address(text, service, hints ? hints->ai_socktype : SOCK_STREAM);
                if (!*end)
                        break;
                end = &(*end)->ai_next;
                list += len + strspn(list + len, " ");
        }
        return *ret ? 0 : EAI_NONAME;
}

static void resolve_to(const char *first, const char *second) {
        atomic_store(&n_look_ups, 0);
        atomic_store(&look_ups[0], first);
        atomic_store(&look_ups[1], second);
}

/* ---- fixture ---- */

static int set_up(void **state) {
        /* Who got as far as TLS was let through. */
        static const struct badserver_manners hang_up = { .when = BAD_AFTER_BYTES };

        resolve_to(NULL, NULL);
        return fixture_set_up(state, &hang_up);
}

static struct fetch_request make_request(const char *method, const char *url, unsigned allow) {
        struct fetch_request r;

        fetch_request_init(&r);
        assert_int_equal(fetch_request_set(&r, method, url), 0);
        r.allow = allow;
        r.timeout_msec = 5000;
        r.body_max = 4096;
        return r;
}

static const struct fetch_answer *run(struct fixture *f, struct http *h, struct fetch_request *r) {
        unsigned n = f->n_done;

        assert_int_equal(http_fetch(h, r, fixture_on_done, f), 0);
        while (f->n_done == n)
                assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
        return &f->answer;
}

static const struct fetch_answer *fetch(struct fixture *f, struct http *h, const char *url,
                                        unsigned allow) {
        struct fetch_request r = make_request("GET", url, allow);

        return run(f, h, &r);
}

/* As what asks a metadata service does. */
static const struct fetch_answer *fetch_link_local(struct fixture *f, const char *method,
                                                   const char *url, unsigned allow) {
        struct fetch_request r = make_request(method, url, allow);

        r.link_local = true;
        return run(f, f->http, &r);
}

static const struct fetch_answer *fetch_name(struct fixture *f, const char *host, unsigned allow) {
        char url[128];

        (void)snprintf(url, sizeof(url), "https://%s:%u/", host, badserver_port(f->server));
        return fetch(f, f->http, url, allow);
}

static void assert_outcome(const struct fetch_answer *a, enum fetch_failure failure) {
        if (a->outcome != FETCH_NOT_SENT || a->failure != failure)
                fail_msg("%s, %s: %s", fetch_outcome_name(a->outcome),
                         fetch_failure_name(a->failure), a->reason);
}

static void assert_refused(const struct fetch_answer *a) {
        assert_outcome(a, FETCH_FAILURE_ADDRESS);
        assert_non_null(strstr(a->reason, "not allowed"));
}

/* ---- tests ---- */

/* A226 S8 */
static void addresses_outside_the_allowed_classes_get_no_packet(void **state) {
        static const struct {
                const char *url;
                unsigned allow;
        } table[] = {
                { "https://127.0.0.1/", PUBLIC },
                { "https://127.0.0.1/", PUBLIC | PRIVATE },
                { "https://127.0.0.1/", 0 },
                { "http://127.0.0.1/", PUBLIC | PRIVATE },
                { "http://localhost/", PUBLIC | PRIVATE },
                { "https://localhost/", PUBLIC | PRIVATE },
                { "https://[::1]/", PUBLIC },
                { "https://127.1/", PUBLIC },
                { "https://0x7f.1/", PUBLIC },
                { "https://2130706433/", PUBLIC },
                { "https://017700000001/", PUBLIC },
                { "https://[::ffff:127.0.0.1]/", PUBLIC },
                { "https://10.0.0.1/", PUBLIC | LOOPBACK },
                { "https://192.168.1.1/", PUBLIC },
                { "https://100.64.0.1/", PUBLIC },
                { "https://[fd00::1]/", PUBLIC },
                { "https://8.8.8.8/", PRIVATE | LOOPBACK },
                { "https://0/", ALL },
                { "https://0.0.0.0/", ALL },
                { "https://169.254.169.254/latest/meta-data/", ALL },
                { "https://2852039166/", ALL },
                { "https://0xa9fea9fe/", ALL },
                { "https://[::ffff:169.254.169.254]/", ALL },
                { "https://[64:ff9b::a9fe:a9fe]/", ALL },
                { "https://[2002:a9fe:a9fe::1]/", ALL },
                { "https://[fe80::1]/", ALL },
                { "https://[fd00:ec2::254]/", ALL },
                { "https://[ff02::1]/", ALL },
                { "https://[::]/", ALL },
                { "https://224.0.0.1/", ALL },
                { "https://255.255.255.255/", ALL },
                { "https://192.0.2.1/", ALL },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                const struct fetch_answer *a = fetch(f, f->http, table[i].url, table[i].allow);

                if (a->failure != FETCH_FAILURE_ADDRESS)
                        fail_msg("%s: %s", table[i].url, a->reason);
                assert_refused(a);
                assert_int_equal(a->reached, 0);
        }
}

static void the_reason_names_the_address_and_its_class(void **state) {
        struct fixture *f = *state;

        resolve_to("10.1.2.3", NULL);
        assert_refused(fetch_name(f, "double.test", PUBLIC));
        assert_string_equal(f->answer.reason,
                            "the address 10.1.2.3 (private) is not allowed for this request");
}

/* S8 */
static void no_mask_leads_to_link_local(void **state) {
        static const char *const urls[] = { "https://169.254.169.254/", "https://2852039166/",
                                            "https://[::ffff:a9fe:a9fe]/",
                                            "https://[fd00:ec2::254]/", "https://[fd20:ce::254]/" };

        for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
                struct fixture *f = *state;

                assert_refused(fetch(f, f->http, urls[i], ALL | ADDRESS_LINK_LOCAL));
                assert_non_null(strstr(f->answer.reason, "(link-local)"));
                /* Plain http is no way there either. */
                assert_outcome(fetch(f, f->http, "http://169.254.169.254/", ~0u),
                               FETCH_FAILURE_PROTOCOL);
        }
}

/* S8 */
static void who_may_go_to_link_local_goes_nowhere_else(void **state) {
        static const struct {
                const char *url;
                unsigned allow;
        } table[] = {
                { "http://10.0.0.1/", ALL },
                { "http://8.8.8.8/", ALL },
                { "http://127.0.0.1/", PUBLIC | PRIVATE },
                { "https://10.0.0.1/", LOOPBACK },
                { "https://8.8.8.8/", LOOPBACK | PRIVATE },
                { "http://100.100.100.200/", ALL },
                { "http://168.63.129.16/", ALL },
                { "http://192.0.0.192/", ALL },
                { "http://[fd00:42::42]/", ALL },
                { "http://[fe80::1]/", ALL },
                { "http://[64:ff9b::a9fe:a9fe]/", ALL },
                { "http://[2002:a9fe:a9fe::1]/", ALL },
                { "http://0/", ALL },
                { "http://224.0.0.1/", ALL },
        };
        struct fixture *f = *state;

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                (void)fetch_link_local(f, "GET", table[i].url, table[i].allow);
                if (f->answer.failure != FETCH_FAILURE_ADDRESS)
                        fail_msg("%s: %s", table[i].url, f->answer.reason);
        }
        resolve_to("10.0.0.1", NULL);
        assert_refused(fetch_link_local(f, "GET", "http://double.test/", ALL));
}

static void a_metadata_service_may_have_a_name_and_plain_http(void **state) {
        static const struct badserver_manners fine = {
                .answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        };
        struct fixture *f = *state;
        char url[64];

        badserver_set(f->server, &fine);
        (void)snprintf(url, sizeof(url), "http://double.test:%u/x", badserver_port(f->server));
        assert_outcome(fetch(f, f->http, url, LOOPBACK), FETCH_FAILURE_PROTOCOL);
        resolve_to("127.0.0.1", NULL);
        assert_int_equal(fetch_link_local(f, "GET", url, LOOPBACK)->outcome, FETCH_ANSWERED);
        assert_int_equal(f->answer.reached, LOOPBACK);
}

static void only_a_metadata_service_is_asked_by_put(void **state) {
        static const struct badserver_manners fine = {
                .answer = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
        };
        struct fixture *f = *state;
        struct fetch_request r;
        const char *got;
        char url[64];

        badserver_set(f->server, &fine);
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/x", badserver_port(f->server));
        r = make_request("PUT", url, LOOPBACK);
        assert_outcome(run(f, f->http, &r), FETCH_FAILURE_PROTOCOL);
        assert_int_equal(badserver_connections(f->server), 0);
        assert_int_equal(fetch_link_local(f, "PUT", url, LOOPBACK)->outcome, FETCH_ANSWERED);
        got = badserver_received(f->server);
        assert_ptr_equal(strstr(got, "PUT /x HTTP/1.1\r\n"), got);
        assert_non_null(strstr(got, "\r\nContent-Length: 0\r\n"));
        assert_null(strstr(got, "Content-Type"));
        r = make_request("PUT", url, LOOPBACK);
        r.link_local = true;
        assert_int_equal(buf_append_str(&r.body, "x"), 0);
        assert_outcome(run(f, f->http, &r), FETCH_FAILURE_PROTOCOL);
}

/* A226 A227 */
static void a_name_is_judged_by_where_it_leads(void **state) {
        struct fixture *f = *state;

        resolve_to("169.254.169.254", NULL);
        assert_refused(fetch_name(f, "double.test", ALL));
        resolve_to("127.0.0.1", NULL);
        assert_refused(fetch_name(f, "double.test", PUBLIC | PRIVATE));
        assert_int_equal(badserver_connections(f->server), 0);
        resolve_to("127.0.0.1", NULL);
        assert_outcome(fetch_name(f, "double.test", LOOPBACK), FETCH_FAILURE_TLS);
        assert_int_equal(badserver_connections(f->server), 1);
}

/* A227 */
static void the_address_that_was_judged_is_the_one_connected_to(void **state) {
        struct fixture *f = *state;

        /* A second look-up would lead elsewhere: there is none. */
        resolve_to("127.0.0.1", "169.254.169.254");
        assert_outcome(fetch_name(f, "double.test", LOOPBACK), FETCH_FAILURE_TLS);
        assert_int_equal(atomic_load(&n_look_ups), 1);
        assert_int_equal(badserver_connections(f->server), 1);
}

/* A227 */
static void every_address_of_a_name_is_judged(void **state) {
        struct fixture *f = *state;

        resolve_to("169.254.169.254 fe80::1 10.0.0.1 ::ffff:169.254.169.254", NULL);
        assert_refused(fetch_name(f, "double.test", PUBLIC | LOOPBACK));
}

/* A227 */
static void an_address_that_is_allowed_is_used_although_others_are_not(void **state) {
        struct fixture *f = *state;

        resolve_to("169.254.169.254 127.0.0.1", NULL);
        assert_outcome(fetch_name(f, "double.test", LOOPBACK), FETCH_FAILURE_TLS);
        assert_int_equal(badserver_connections(f->server), 1);
}

static void an_unknown_name_is_not_sent(void **state) {
        assert_outcome(fetch_name(*state, "double.test", ALL), FETCH_FAILURE_RESOLVE);
}

/* ---- a proxy ---- */

static struct http *new_proxied(struct fixture *f, const char *no_proxy) {
        static const struct badserver_manners refuse = {
                .answer = "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nX-Proxy: 1\r\n\r\n"
        };
        struct http_options options = { .no_proxy = no_proxy };
        struct http *h = NULL;
        char proxy[64];

        badserver_set(f->server, &refuse);
        (void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", badserver_port(f->server));
        options.proxy = proxy;
        assert_int_equal(http_new(f->event, &options, &h, NULL), 0);
        return h;
}

/* A228 */
static void a_proxy_is_used_for_everything_but_loopback(void **state) {
        static const struct badserver_manners fine = {
                .answer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
        };
        struct fixture *f = *state;
        struct http *h = new_proxied(f, NULL);
        struct badserver *direct = badserver_new(f->event, &fine);
        char url[64];

        /* The proxy's own address needs no permission; nothing of the request has left. */
        assert_outcome(fetch(f, h, "https://mcp.example.com/x", PUBLIC), FETCH_FAILURE_CONNECT);
        assert_non_null(strstr(badserver_received(f->server), "CONNECT mcp.example.com:443 "));
        assert_null(strstr(badserver_received(f->server), "/x"));
        assert_int_equal(badserver_connections(f->server), 1);
        assert_int_equal(atomic_load(&n_look_ups), 0);

        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", badserver_port(direct));
        assert_int_equal(fetch(f, h, url, LOOPBACK)->outcome, FETCH_ANSWERED);
        assert_int_equal(f->answer.reached, LOOPBACK);
        assert_int_equal(badserver_connections(f->server), 1);
        (void)badserver_free(direct);
        (void)http_free(h);
}

static void what_is_direct_does_not_go_by_the_proxy(void **state) {
        struct fixture *f = *state;
        struct http *h = new_proxied(f, NULL);

        for (int i = 0; i < 2; i++) {
                struct fetch_request r = make_request("GET", "https://double.test/", PUBLIC);

                r.direct = i == 0;
                r.link_local = i == 1;
                resolve_to("10.0.0.1", NULL);
                assert_refused(run(f, h, &r));
                /* Only who is about to connect there himself names the address. */
                assert_non_null(strstr(f->answer.reason, "10.0.0.1"));
        }
        assert_int_equal(badserver_connections(f->server), 0);
        (void)http_free(h);
}

/* A226 A228 */
static void a_proxy_is_not_asked_for_what_is_not_allowed(void **state) {
        static const struct {
                const char *url;
                unsigned allow;
        } table[] = {
                { "https://169.254.169.254/", ALL },
                { "https://2852039166/", ALL },
                { "https://[::ffff:a9fe:a9fe]/", ALL },
                { "https://[fd00:ec2::254]/", ALL },
                { "https://127.1/", PUBLIC },
                { "https://10.0.0.1/", PUBLIC },
                { "https://metadata.google.internal/", ALL },
                { "https://printer.local/", ALL },
                { "https://x.localhost/", ALL },
                { "https://mcp.example.com/", LOOPBACK | PRIVATE },
        };
        struct fixture *f = *state;
        struct http *h = new_proxied(f, NULL);

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                assert_refused(fetch(f, h, table[i].url, table[i].allow));
        assert_int_equal(badserver_connections(f->server), 0);
        (void)http_free(h);
}

/* A228 */
static void hosts_can_be_reached_without_the_proxy(void **state) {
        static const struct {
                const char *host;
                bool direct;
        } table[] = {
                { "double.test", true },        { "a.double.test", true },
                { "DOUBLE.test", true },        { "corp.example", true },
                { "a.b.corp.example", true },   { "xdouble.test", false },
                { "double.test.com", false },   { "corp.example.com", false },
                { "notcorp.example", false },   { "example", false },
                { "1.10.1.2.3.test", false },   { "10.1.2.3", true },
                { "10.9.2.3", false },          { "[fd00::1111]", true },
                { "[fd00::2222:1111]", false },
        };
        struct fixture *f = *state;
        struct http *h =
                new_proxied(f, "double.test, .corp.example,,10.1.2.3,2.3,fd00::1111,1111,.");

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                bool proxied = false;
                char url[96];

                /* Directly, no name leads anywhere, and the guard names the address that it
                 * refuses. */
                (void)snprintf(url, sizeof(url), "https://%s/", table[i].host);
                resolve_to(NULL, NULL);
                (void)fetch(f, h, url, PUBLIC);
                proxied = f->answer.failure == FETCH_FAILURE_CONNECT ||
                          strstr(f->answer.reason, "address of this host");
                if (proxied == table[i].direct)
                        fail_msg("%s: %s", table[i].host, f->answer.reason);
        }
        /* The guard judges what goes there directly. */
        resolve_to("169.254.169.254", NULL);
        assert_refused(fetch(f, h, "https://double.test/", ALL));
        resolve_to("127.0.0.1", NULL);
        assert_refused(fetch(f, h, "https://double.test/", PUBLIC));
        (void)http_free(h);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, fixture_tear_down)

int main(void) {
        static const struct CMUnitTest tests[] = {
                TEST(addresses_outside_the_allowed_classes_get_no_packet),
                TEST(the_reason_names_the_address_and_its_class),
                TEST(no_mask_leads_to_link_local),
                TEST(who_may_go_to_link_local_goes_nowhere_else),
                TEST(a_metadata_service_may_have_a_name_and_plain_http),
                TEST(only_a_metadata_service_is_asked_by_put),
                TEST(what_is_direct_does_not_go_by_the_proxy),
                TEST(a_name_is_judged_by_where_it_leads),
                TEST(the_address_that_was_judged_is_the_one_connected_to),
                TEST(every_address_of_a_name_is_judged),
                TEST(an_address_that_is_allowed_is_used_although_others_are_not),
                TEST(an_unknown_name_is_not_sent),
                TEST(a_proxy_is_used_for_everything_but_loopback),
                TEST(hosts_can_be_reached_without_the_proxy),
                TEST(a_proxy_is_not_asked_for_what_is_not_allowed),
        };

        if (http_init() < 0)
                return 1;
        return cmocka_run_group_tests_name("http-guard", tests, NULL, NULL);
}
