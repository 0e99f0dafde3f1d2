/* SPDX-License-Identifier: Apache-2.0 */
#include "http/address.h"

#include <netdb.h>
#include <netinet/in.h>

#include "test.h"

#define PUB ADDRESS_PUBLIC
#define PRIV ADDRESS_PRIVATE
#define LOOP ADDRESS_LOOPBACK
#define LINK ADDRESS_LINK_LOCAL
#define NEVER ADDRESS_NEVER

static const struct {
        const char *text;
        enum address_class class;
} table[] = {
        /* IPv4, at both ends of each range */
        { "0.0.0.0", NEVER },
        { "0.255.255.255", NEVER },
        { "1.0.0.0", PUB },
        { "1.1.1.1", PUB },
        { "8.8.8.8", PUB },
        { "9.255.255.255", PUB },
        { "10.0.0.0", PRIV },
        { "10.255.255.255", PRIV },
        { "11.0.0.0", PUB },
        { "100.63.255.255", PUB },
        { "100.64.0.0", PRIV },
        { "100.100.100.199", PRIV },
        { "100.100.100.200", NEVER },
        { "100.127.255.255", PRIV },
        { "100.128.0.0", PUB },
        { "126.255.255.255", PUB },
        { "127.0.0.0", LOOP },
        { "127.0.0.1", LOOP },
        { "127.0.0.53", LOOP },
        { "127.255.255.255", LOOP },
        { "128.0.0.0", PUB },
        { "168.63.129.15", PUB },
        { "168.63.129.16", NEVER },
        { "168.63.129.17", PUB },
        { "169.253.255.255", PUB },
        { "169.254.0.0", LINK },
        { "169.254.169.254", LINK },
        { "169.254.170.2", LINK },
        { "169.254.255.255", LINK },
        { "169.255.0.0", PUB },
        { "172.15.255.255", PUB },
        { "172.16.0.0", PRIV },
        { "172.31.255.255", PRIV },
        { "172.32.0.0", PUB },
        { "191.255.255.255", PUB },
        { "192.0.0.0", NEVER },
        { "192.0.0.192", NEVER },
        { "192.0.0.255", NEVER },
        { "192.0.1.0", PUB },
        { "192.0.2.0", NEVER },
        { "192.0.2.255", NEVER },
        { "192.0.3.0", PUB },
        { "192.88.98.255", PUB },
        { "192.88.99.1", NEVER },
        { "192.88.100.0", PUB },
        { "192.167.255.255", PUB },
        { "192.168.0.0", PRIV },
        { "192.168.255.255", PRIV },
        { "192.169.0.0", PUB },
        { "198.17.255.255", PUB },
        { "198.18.0.0", NEVER },
        { "198.19.255.255", NEVER },
        { "198.20.0.0", PUB },
        { "198.51.99.255", PUB },
        { "198.51.100.0", NEVER },
        { "198.51.100.255", NEVER },
        { "198.51.101.0", PUB },
        { "203.0.112.255", PUB },
        { "203.0.113.0", NEVER },
        { "203.0.113.255", NEVER },
        { "203.0.114.0", PUB },
        { "223.255.255.255", PUB },
        { "224.0.0.0", NEVER },
        { "239.255.255.255", NEVER },
        { "240.0.0.0", NEVER },
        { "255.255.255.255", NEVER },
        /* IPv6 */
        { "::", NEVER },
        { "::1", LOOP },
        { "::2", NEVER },
        { "::7f00:1", NEVER },
        { "::127.0.0.1", NEVER },
        { "::8.8.8.8", NEVER },
        { "::ffff:0:127.0.0.1", NEVER },
        { "100::", NEVER },
        { "100::1", NEVER },
        { "1fff:ffff::1", NEVER },
        { "2000::1", PUB },
        { "2001::1", NEVER },
        { "2001:2::1", NEVER },
        { "2001:1ff:ffff::1", NEVER },
        { "2001:200::1", PUB },
        { "2001:db7:ffff::1", PUB },
        { "2001:db8::1", NEVER },
        { "2001:db8:ffff::1", NEVER },
        { "2001:db9::1", PUB },
        { "2001:4860:4860::8888", PUB },
        { "2606:4700:4700::1111", PUB },
        { "3ffe:ffff::1", PUB },
        { "3fff::1", NEVER },
        { "3fff:fff:ffff::1", NEVER },
        { "3fff:1000::1", PUB },
        { "4000::1", NEVER },
        { "5f00::1", NEVER },
        { "fbff:ffff::1", NEVER },
        { "fc00::1", PRIV },
        { "fd00::1", PRIV },
        { "fd12:3456:789a::1", PRIV },
        { "fd00:ec2::254", LINK },
        { "fd00:ec2::23", LINK },
        { "fd00:ec3::254", PRIV },
        { "fd00:42::42", NEVER },
        { "fd20:ce::254", LINK },
        { "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", PRIV },
        { "fe00::1", NEVER },
        { "fe80::1", NEVER },
        { "fe80::a9fe:a9fe", NEVER },
        { "febf:ffff::1", NEVER },
        { "fec0::1", NEVER },
        { "ff02::1", NEVER },
        { "ff0e::1", NEVER },
        /* IPv4 inside IPv6: mapped is what the kernel itself unmaps */
        { "::ffff:127.0.0.1", LOOP },
        { "::ffff:10.1.2.3", PRIV },
        { "::ffff:8.8.8.8", PUB },
        { "::ffff:169.254.169.254", LINK },
        { "::ffff:a9fe:a9fe", LINK },
        { "::ffff:0.0.0.0", NEVER },
        { "::ffff:168.63.129.16", NEVER },
        { "::fffe:8.8.8.8", NEVER },
        /* NAT64: only what leads to a public address */
        { "64:ff9b::8.8.8.8", PUB },
        { "64:ff9b::808:808", PUB },
        { "64:ff9b::127.0.0.1", NEVER },
        { "64:ff9b::10.0.0.1", NEVER },
        { "64:ff9b::169.254.169.254", NEVER },
        { "64:ff9b::192.0.2.1", NEVER },
        { "64:ff9b:0:1::8.8.8.8", NEVER },
        { "64:ff9b:1::8.8.8.8", NEVER },
        /* 6to4 */
        { "2002:808:808::1", PUB },
        { "2002:7f00:1::1", NEVER },
        { "2002:a00:1::1", NEVER },
        { "2002:a9fe:a9fe::1", NEVER },
        { "2002:c0a8:101::1", NEVER },
        { "2002:e000:1::1", NEVER },
        /* Teredo, with 127.0.0.1 behind the mask */
        { "2001:0:4136:e378:8000:63bf:80ff:fffe", NEVER },
        { "2001:0:808:808::1", NEVER },
        /* ISATAP */
        { "2606:4700::5efe:169.254.169.254", NEVER },
        { "2606:4700::200:5efe:10.0.0.1", NEVER },
        { "fd00::5efe:10.0.0.1", NEVER },
        { "2606:4700::5eff:10.0.0.1", PUB },
};

static enum address_class classify(const char *text, int flags) {
        struct addrinfo hints = { .ai_flags = flags, .ai_socktype = SOCK_STREAM };
        struct addrinfo *list = NULL;
        enum address_class c;

        assert_int_equal(getaddrinfo(text, "443", &hints, &list), 0);
        assert_null(list->ai_next);
        c = address_classify(list->ai_addr, list->ai_addrlen);
        freeaddrinfo(list);
        return c;
}

/* A226 S8 */
static void each_address_has_its_class_and_the_rest_has_none(void **state) {
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                enum address_class c = classify(table[i].text, AI_NUMERICHOST);

                if (c != table[i].class || address_classify_text(table[i].text) != c)
                        fail_msg("%s is %s", table[i].text, address_class_name(c));
        }
}

/* A226 A227 */
static void odd_spellings_are_judged_as_what_they_mean(void **state) {
        static const struct {
                const char *text;
                enum address_class class;
        } odd[] = {
                { "127.1", LOOP },
                { "0x7f.1", LOOP },
                { "0x7f000001", LOOP },
                { "2130706433", LOOP },
                { "017700000001", LOOP },
                { "0177.0.0.01", LOOP },
                { "0", NEVER },
                { "0x0", NEVER },
                { "2852039166", LINK },
                { "0xa9fea9fe", LINK },
                { "0251.0376.0251.0376", LINK },
                { "169.254.43518", LINK },
                { "10.1", PRIV },
                { "012.1", PRIV },
                { "0xc0.0xa8.1", PRIV },
                { "134744072", PUB },
        };

        for (size_t i = 0; i < ARRAY_SIZE(odd); i++)
                if (classify(odd[i].text, AI_NUMERICHOST) != odd[i].class)
                        fail_msg("%s", odd[i].text);
}

static void text_that_is_no_address_has_no_class(void **state) {
        static const char *const bad[] = {
                "",           "localhost", "127.1",        "2130706433",
                "127.0.0.1 ", "[::1]",     "fe80::1%eth0", "8.8.8.8:53"
        };

        for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
                assert_int_equal(address_classify_text(bad[i]), ADDRESS_NEVER);
}

static void other_families_and_cut_addresses_are_never_connected_to(void **state) {
        struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x08080808) };
        struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
        struct sockaddr local = { .sa_family = AF_UNSPEC };
        char text[ADDRESS_TEXT_MAX];

        assert_int_equal(address_classify((struct sockaddr *)&v4, sizeof(v4)), ADDRESS_PUBLIC);
        assert_int_equal(address_classify((struct sockaddr *)&v4, sizeof(v4) - 1), ADDRESS_NEVER);
        assert_int_equal(address_classify((struct sockaddr *)&v6, sizeof(v6)), ADDRESS_LOOPBACK);
        assert_int_equal(address_classify((struct sockaddr *)&v6, sizeof(v6) - 1), ADDRESS_NEVER);
        assert_int_equal(address_classify(&local, sizeof(local)), ADDRESS_NEVER);

        address_format(text, (struct sockaddr *)&v4, sizeof(v4));
        assert_string_equal(text, "8.8.8.8");
        address_format(text, (struct sockaddr *)&v6, sizeof(v6));
        assert_string_equal(text, "::1");
        address_format(text, &local, sizeof(local));
        assert_string_equal(text, "no internet address");
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(each_address_has_its_class_and_the_rest_has_none),
                cmocka_unit_test(odd_spellings_are_judged_as_what_they_mean),
                cmocka_unit_test(text_that_is_no_address_has_no_class),
                cmocka_unit_test(other_families_and_cut_addresses_are_never_connected_to),
        };

        return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
