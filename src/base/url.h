/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Absolute http and https URLs, taken apart strictly. What goes on the wire is always the text that
 * was given; this is for judging it. Anything that two parsers could read differently (user info,
 * backslashes, control characters, blanks, odd ports) is refused rather than repaired.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

struct url {
        char *text;   /* as given */
        char *scheme; /* lower case */
        char *host;   /* lower case; IPv6 without brackets */
        bool ipv6;
        uint16_t port; /* explicit, or the scheme's */
        bool port_given;
        char *path;    /* as given; "" if there is none */
        char *query;   /* NULL if there is none (no '?') */
        bool fragment; /* a '#' was there (its text is dropped) */
};

#define URL_INIT ((struct url){ 0 })
#define URL_MAX 2048
#define AUTO_URL __attribute__((cleanup(url_done), unused))

/* -EINVAL with err (BAD_PARAMS) filled: what is wrong, and with which URL; -ENOMEM. @what names it
 * in the message: "server URL". */
int url_parse(struct url *u, const char *text, const char *what, struct error *err) MUST_CHECK;
void url_done(struct url *u);

/* "localhost", "*.localhost" is not, 127.0.0.0/8 in dotted form, ::1. Judges the name only; the
 * address is judged again when it is connected. */
bool url_host_is_loopback(const struct url *u);
/* https, or http to a loopback host (A4). */
bool url_is_allowed(const struct url *u);
/* A4 in one call: parses and requires url_is_allowed(), no user info, no fragment. */
int url_check_allowed(const char *text, const char *what, struct error *err) MUST_CHECK;

bool url_same_origin(const struct url *a, const struct url *b);
/* scheme://host[:port] with the port left out where it is the default; new string or NULL. */
char *url_origin(const struct url *u) MUST_CHECK;
/* What a person might call the server: the label of its host that says most ("api" says less than
 * "example"), or "local-PORT". It may be cut, and need not be a good name. */
void url_short_name(const struct url *u, char *name, size_t size);
/* Appends what two URLs of the same resource have in common: the origin, the path ("/" if there is
 * none) and the query, as given. For comparing; never sent anywhere. */
int url_append_canonical(const struct url *u, struct buf *b) MUST_CHECK;
/* What @reference means on a page at @base (RFC 3986 5.2.2, without dot segments, which servers see
 * as they are given). A new string, or NULL: out of memory. */
char *url_resolve(const struct url *base, const char *reference) MUST_CHECK;
/* The same, as text, for what must stay at the origin of @base. NULL also if it leads elsewhere. */
char *url_resolve_within(const char *base, const char *reference) MUST_CHECK;
