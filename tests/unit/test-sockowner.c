/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sockowner.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "test.h"

#define LINE                                                                           \
        "   3: 0100007F:9C40 0100007F:B26E 01 00000000:00000000 00:00000000 00000000 " \
        " 1000        0 123456 1 0000000000000000 20 4 30 10 -1"

static const struct sockowner_row row = { .local = "0100007F:9C40", .remote = "0100007F:B26E" };

static void a_row_is_found_by_both_its_ends(void **state) {
        uid_t uid = 7;

        assert_true(sockowner_match(LINE, &row, &uid));
        assert_int_equal(uid, 1000);
}

static void other_rows_do_not_match(void **state) {
        static const char *const table[] = {
                "",
                "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid",
                /* other ends, turned ends, longer ends */
                "3: 0100007F:9C41 0100007F:B26E 01 0:0 0:0 0 1000 0 1",
                "3: 0100007F:9C40 0100007F:B26F 01 0:0 0:0 0 1000 0 1",
                "3: 0100007F:B26E 0100007F:9C40 01 0:0 0:0 0 1000 0 1",
                "3: 0100007F:9C400 0100007F:B26E 01 0:0 0:0 0 1000 0 1",
                "3: 0100007F:9C4 0100007F:B26E 01 0:0 0:0 0 1000 0 1",
                /* states in which there is no owner */
                "3: 0100007F:9C40 0100007F:B26E 06 0:0 0:0 0 1000 0 1",
                "3: 0100007F:9C40 0100007F:B26E 0A 0:0 0:0 0 1000 0 1",
                "3: 0100007F:9C40 0100007F:B26E 03 0:0 0:0 0 1000 0 1",
                "3: 0100007F:9C40 0100007F:B26E 011 0:0 0:0 0 1000 0 1",
                /* no uid */
                "3: 0100007F:9C40 0100007F:B26E 01 0:0 0:0 0",
                "3: 0100007F:9C40 0100007F:B26E 01 0:0 0:0 0 x 0 1",
                "3: 0100007F:9C40 0100007F:B26E 01 0:0 0:0 0 -1 0 1",
                "3: 0100007F:9C40 0100007F:B26E 01 0:0 0:0 0 4294967295 0 1",
                "3: 0100007F:9C40 0100007F:B26E 01 0:0 0:0 0 99999999999999999999 0 1",
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                uid_t uid = 7;

                if (sockowner_match(table[i], &row, &uid))
                        fail_msg("%s", table[i]);
                assert_int_equal(uid, 7);
        }
}

static void a_line_cut_before_the_uid_does_not_match(void **state) {
        const char *uid_at = strstr(LINE, "1000 ");

        for (size_t n = 0; n <= (size_t)(uid_at - LINE); n++) {
                char cut[sizeof(LINE)] = { 0 };
                uid_t uid;

                memcpy(cut, LINE, n);
                assert_false(sockowner_match(cut, &row, &uid));
        }
}

static void rows_are_written_as_the_kernel_writes_them(void **state) {
        struct sockaddr_in v4 = { .sin_family = AF_INET,
                                  .sin_port = htons(0x9c40),
                                  .sin_addr.s_addr = htonl(0x7f000001) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                                   .sin6_port = htons(80),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr other = { .sa_family = AF_UNSPEC };
        struct sockowner_row r;

        if (htonl(1) == 1)
                skip(); /* written for the byte order of most */
        assert_int_equal(sockowner_row(&r, (struct sockaddr *)&v4, (struct sockaddr *)&v4, false),
                         0);
        assert_string_equal(r.local, "0100007F:9C40");
        assert_int_equal(sockowner_row(&r, (struct sockaddr *)&v4, (struct sockaddr *)&v4, true),
                         0);
        assert_string_equal(r.remote, "0000000000000000FFFF00000100007F:9C40");
        assert_int_equal(sockowner_row(&r, (struct sockaddr *)&v6, (struct sockaddr *)&v6, false),
                         0);
        assert_string_equal(r.local, "00000000000000000000000001000000:0050");
        assert_int_equal(sockowner_row(&r, &other, &other, false), -EAFNOSUPPORT);
}

/* ---- real sockets ---- */

struct pair {
        struct sockaddr_storage ours;
        struct sockaddr_storage peer; /* as our side sees it */
        int listener;
        int client;
        int served;
};

static void listen_on(struct pair *p, const struct sockaddr *a, socklen_t n) {
        memcpy(&p->ours, a, n);
        p->listener = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(p->listener >= 0);
        assert_int_equal(bind(p->listener, a, n), 0);
        assert_int_equal(listen(p->listener, 4), 0);
        assert_int_equal(getsockname(p->listener, (struct sockaddr *)&p->ours, &n), 0);
}

static void connect_to(struct pair *p, const struct sockaddr *a, socklen_t n) {
        socklen_t n_peer = sizeof(p->peer);

        p->client = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_true(p->client >= 0);
        assert_int_equal(connect(p->client, a, n), 0);
        p->served = accept(p->listener, (struct sockaddr *)&p->peer, &n_peer);
        assert_true(p->served >= 0);
}

static void pair_close(struct pair *p) {
        (void)close(p->listener);
        (void)close(p->served);
        if (p->client >= 0)
                (void)close(p->client);
}

static void assert_owner(const struct pair *p, uid_t expected) {
        struct sockowner o = SOCKOWNER_INIT;
        uid_t uid = (uid_t)-1;

        assert_int_equal(sockowner_open(&o, NULL), 0);
        /* Twice: the files are read anew each time. */
        for (int i = 0; i < 2; i++) {
                assert_int_equal(sockowner_find(&o, (const struct sockaddr *)&p->peer,
                                                (const struct sockaddr *)&p->ours, &uid),
                                 0);
                assert_int_equal(uid, expected);
        }
        sockowner_close(&o);
}

static const struct sockaddr_in any_v4 = { .sin_family = AF_INET };

static struct sockaddr_in loopback_v4(void) {
        struct sockaddr_in a = any_v4;

        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        return a;
}

static void the_owner_of_an_ipv4_peer_is_found(void **state) {
        struct sockaddr_in a = loopback_v4();
        struct pair p = { 0 };

        listen_on(&p, (struct sockaddr *)&a, sizeof(a));
        connect_to(&p, (struct sockaddr *)&p.ours, sizeof(a));
        assert_owner(&p, getuid());
        pair_close(&p);
}

static void the_owner_of_an_ipv6_peer_is_found(void **state) {
        struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct pair p = { 0 };
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool usable = probe >= 0 && bind(probe, (struct sockaddr *)&a, sizeof(a)) == 0;

        cleanup_close(&probe);
        if (!usable)
                skip();
        listen_on(&p, (struct sockaddr *)&a, sizeof(a));
        connect_to(&p, (struct sockaddr *)&p.ours, sizeof(a));
        assert_owner(&p, getuid());
        pair_close(&p);
}

static void the_owner_of_an_ipv6_socket_that_speaks_ipv4_is_found(void **state) {
        struct sockaddr_in a = loopback_v4();
        struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
        struct pair p = { 0 };
        int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (probe < 0)
                skip();
        (void)close(probe);
        listen_on(&p, (struct sockaddr *)&a, sizeof(a));
        mapped.sin6_port = ((struct sockaddr_in *)&p.ours)->sin_port;
        mapped.sin6_addr.s6_addr[10] = mapped.sin6_addr.s6_addr[11] = 0xff;
        mapped.sin6_addr.s6_addr[12] = 127;
        mapped.sin6_addr.s6_addr[15] = 1;
        connect_to(&p, (struct sockaddr *)&mapped, sizeof(mapped));
        assert_owner(&p, getuid());
        pair_close(&p);
}

static void another_users_socket_is_said_to_be_theirs(void **state) {
        struct sockaddr_in a = loopback_v4();
        struct pair p = { .client = -1 };
        socklen_t n = sizeof(p.peer);
        pid_t pid;
        int status;

        if (getuid() != 0)
                skip(); /* needs to become another user */
        listen_on(&p, (struct sockaddr *)&a, sizeof(a));
        pid = fork();
        if (pid == 0) {
                char c;
                int fd;

                if (setuid(12345) != 0)
                        _exit(1);
                fd = socket(AF_INET, SOCK_STREAM, 0);
                _exit(connect(fd, (struct sockaddr *)&p.ours, sizeof(a)) == 0 &&
                                      read(fd, &c, 1) == 0
                              ? 0
                              : 1);
        }
        p.served = accept(p.listener, (struct sockaddr *)&p.peer, &n);
        assert_true(p.served >= 0);
        assert_owner(&p, 12345);
        (void)shutdown(p.served, SHUT_RDWR);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
        pair_close(&p);
}

static void a_peer_that_has_gone_has_no_owner(void **state) {
        struct sockaddr_in a = loopback_v4();
        struct sockowner o = SOCKOWNER_INIT;
        struct pair p = { 0 };
        uid_t uid = 7;

        listen_on(&p, (struct sockaddr *)&a, sizeof(a));
        connect_to(&p, (struct sockaddr *)&p.ours, sizeof(a));
        (void)close(p.client);
        p.client = -1;
        assert_int_equal(sockowner_open(&o, NULL), 0);
        assert_int_equal(
                sockowner_find(&o, (struct sockaddr *)&p.peer, (struct sockaddr *)&p.ours, &uid),
                -ENOENT);
        assert_int_equal(uid, 7);
        sockowner_close(&o);
        pair_close(&p);
}

static void without_the_tables_nobody_is_known(void **state) {
        struct sockaddr_in a = loopback_v4();
        struct sockowner o = SOCKOWNER_INIT;
        uid_t uid;

        assert_int_equal(sockowner_find(&o, (struct sockaddr *)&a, (struct sockaddr *)&a, &uid),
                         -ENOENT);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_row_is_found_by_both_its_ends),
                cmocka_unit_test(other_rows_do_not_match),
                cmocka_unit_test(a_line_cut_before_the_uid_does_not_match),
                cmocka_unit_test(rows_are_written_as_the_kernel_writes_them),
                cmocka_unit_test(the_owner_of_an_ipv4_peer_is_found),
                cmocka_unit_test(the_owner_of_an_ipv6_peer_is_found),
                cmocka_unit_test(the_owner_of_an_ipv6_socket_that_speaks_ipv4_is_found),
                cmocka_unit_test(another_users_socket_is_said_to_be_theirs),
                cmocka_unit_test(a_peer_that_has_gone_has_no_owner),
                cmocka_unit_test(without_the_tables_nobody_is_known),
        };

        return cmocka_run_group_tests_name("sockowner", tests, NULL, NULL);
}
