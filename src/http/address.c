/* SPDX-License-Identifier: Apache-2.0 */
#include "http/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

/* Addresses are judged as 16 bytes each; an IPv4 address stands in the last four. */
struct range {
        uint8_t prefix[16];
        unsigned bits;
        enum address_class class;
};

#define V4(a, b, c, d, n, cl) \
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d }, 96 + (n), cl }

/*
 * First match counts. From the IANA special-purpose registries, and the addresses of metadata
 * services that hide in ranges which are otherwise private or public. Those that tell a machine who
 * it is, and that we ask, are link-local whatever their range.
 */
static const struct range ranges_v4[] = {
        V4(0, 0, 0, 0, 8, ADDRESS_NEVER),           /* "this network" */
        V4(100, 100, 100, 200, 32, ADDRESS_NEVER),  /* metadata: Alibaba */
        V4(168, 63, 129, 16, 32, ADDRESS_NEVER),    /* metadata: Azure's wire server */
        V4(10, 0, 0, 0, 8, ADDRESS_PRIVATE),        /* RFC 1918 */
        V4(172, 16, 0, 0, 12, ADDRESS_PRIVATE),     /* RFC 1918 */
        V4(192, 168, 0, 0, 16, ADDRESS_PRIVATE),    /* RFC 1918 */
        V4(100, 64, 0, 0, 10, ADDRESS_PRIVATE),     /* carrier-grade NAT */
        V4(127, 0, 0, 0, 8, ADDRESS_LOOPBACK),      /* loopback */
        V4(169, 254, 0, 0, 16, ADDRESS_LINK_LOCAL), /* most metadata services */
        V4(192, 0, 0, 0, 24, ADDRESS_NEVER),        /* protocol assignments; metadata: Oracle */
        V4(192, 0, 2, 0, 24, ADDRESS_NEVER),        /* documentation */
        V4(192, 88, 99, 0, 24, ADDRESS_NEVER),      /* 6to4 relays */
        V4(198, 18, 0, 0, 15, ADDRESS_NEVER),       /* benchmarks */
        V4(198, 51, 100, 0, 24, ADDRESS_NEVER),     /* documentation */
        V4(203, 0, 113, 0, 24, ADDRESS_NEVER),      /* documentation */
        V4(224, 0, 0, 0, 3, ADDRESS_NEVER),         /* multicast, reserved, broadcast */
        V4(0, 0, 0, 0, 0, ADDRESS_PUBLIC),
};

static const struct range ranges_v6[] = {
        { { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128, ADDRESS_LOOPBACK },
        { { 0xfd, 0x00, 0x0e, 0xc2 }, 32, ADDRESS_LINK_LOCAL }, /* metadata: AWS */
        { { 0xfd, 0x00, 0x00, 0x42 }, 32, ADDRESS_NEVER },      /* metadata: Scaleway */
        { { 0xfd, 0x20, 0x00, 0xce }, 32, ADDRESS_LINK_LOCAL }, /* metadata: Google */
        { { 0xfc }, 7, ADDRESS_PRIVATE },                       /* unique-local */
        { { 0x20, 0x01, 0x00 }, 23, ADDRESS_NEVER },            /* Teredo, benchmarks, ORCHID */
        { { 0x20, 0x01, 0x0d, 0xb8 }, 32, ADDRESS_NEVER },      /* documentation */
        { { 0x3f, 0xff, 0x00 }, 20, ADDRESS_NEVER },            /* documentation */
        { { 0x20 }, 3, ADDRESS_PUBLIC },                        /* global unicast */
        { { 0 }, 0, ADDRESS_NEVER }, /* fe80::/10 (no service is there), multicast, the rest */
};

static bool in_range(const uint8_t bytes[static 16], const struct range *r) {
        unsigned whole = r->bits / 8;
        unsigned rest = r->bits % 8;
        uint8_t mask = (uint8_t)(0xff00u >> rest);

        if (memcmp(bytes, r->prefix, whole) != 0)
                return false;
        return rest == 0 || (bytes[whole] & mask) == (r->prefix[whole] & mask);
}

static enum address_class find_class(const uint8_t bytes[static 16], const struct range *ranges) {
        while (!in_range(bytes, ranges))
                ranges++; /* the last one matches all */
        return ranges->class;
}

static enum address_class classify_v4(const uint8_t bytes[static 4]) {
        uint8_t all[16] = { 0 };

        memcpy(all + 12, bytes, 4);
        return find_class(all, ranges_v4);
}

/*
 * An IPv4 address that a router, not this kernel, takes out of the IPv6 one: 127.0.0.1 there is the
 * router's own, 10.0.0.1 some network's of which we know nothing. So only a public one counts.
 */
static enum address_class classify_carried(const uint8_t bytes[static 4]) {
        return classify_v4(bytes) == ADDRESS_PUBLIC ? ADDRESS_PUBLIC : ADDRESS_NEVER;
}

static enum address_class classify_v6(const uint8_t b[static 16]) {
        static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
        static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };
        static const uint8_t isatap[4] = { 0x00, 0x00, 0x5e, 0xfe };
        uint8_t id[4];

        if (memcmp(b, mapped, sizeof(mapped)) == 0)
                return classify_v4(b + 12);
        if (memcmp(b, nat64, sizeof(nat64)) == 0)
                return classify_carried(b + 12);
        if (b[0] == 0x20 && b[1] == 0x02) /* 6to4 */
                return classify_carried(b + 2);
        memcpy(id, b + 8, sizeof(id));
        id[0] &= 0xfc; /* the universal and group bits do not matter */
        if (memcmp(id, isatap, sizeof(id)) == 0)
                return ADDRESS_NEVER;
        return find_class(b, ranges_v6);
}

enum address_class address_classify(const struct sockaddr *addr, socklen_t len) {
        struct sockaddr_in v4 = { 0 };
        struct sockaddr_in6 v6 = { 0 };

        /* Copied, because nothing says that @addr is aligned for what it holds. */
        if (len >= sizeof(v4) && addr->sa_family == AF_INET) {
                memcpy(&v4, addr, sizeof(v4));
                return classify_v4((const uint8_t *)&v4.sin_addr);
        }
        if (len >= sizeof(v6) && addr->sa_family == AF_INET6) {
                memcpy(&v6, addr, sizeof(v6));
                return classify_v6(v6.sin6_addr.s6_addr);
        }
        return ADDRESS_NEVER;
}

enum address_class address_classify_text(const char *text) {
        uint8_t bytes[16];

        if (inet_pton(AF_INET, text, bytes) == 1)
                return classify_v4(bytes);
        if (inet_pton(AF_INET6, text, bytes) == 1)
                return classify_v6(bytes);
        return ADDRESS_NEVER;
}

void address_format(char text[static ADDRESS_TEXT_MAX], const struct sockaddr *addr,
                    socklen_t len) {
        struct sockaddr_in v4 = { 0 };
        struct sockaddr_in6 v6 = { 0 };
        const char *r = NULL;

        if (len >= sizeof(v4) && addr->sa_family == AF_INET) {
                memcpy(&v4, addr, sizeof(v4));
                r = inet_ntop(AF_INET, &v4.sin_addr, text, ADDRESS_TEXT_MAX);
        } else if (len >= sizeof(v6) && addr->sa_family == AF_INET6) {
                memcpy(&v6, addr, sizeof(v6));
                r = inet_ntop(AF_INET6, &v6.sin6_addr, text, ADDRESS_TEXT_MAX);
        }
        if (!r)
                (void)snprintf(text, ADDRESS_TEXT_MAX, "no internet address");
}

const char *address_class_name(enum address_class c) {
        switch (c) {
        case ADDRESS_PUBLIC:
                return "public";
        case ADDRESS_PRIVATE:
                return "private";
        case ADDRESS_LOOPBACK:
                return "loopback";
        case ADDRESS_LINK_LOCAL:
                return "link-local";
        default:
                return "never";
        }
}
