/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What foreign sites answer, put into words for people, and their URLs judged. Nothing of a body
 * gets into a message but OAuth's own error members, cleaned, cut, and with what looks like a
 * secret taken out (A23, A138, A229).
 */
#pragma once

#include "base/error.h"
#include "wire/fetch.h"

/* Whose fault it is decides the code: SERVER_UNREACHABLE or ISSUER_UNREACHABLE, and so on. */
enum remote_party {
        REMOTE_SERVER,
        REMOTE_ISSUER,
        REMOTE_PARTY_COUNT,
};

struct remote {
        enum remote_party party;
        const char *what; /* "protected resource metadata" */
        const char *url;
};

/* There is no whole answer: unreachable, refused by the address guard, or broken. Returns
 * -errno. */
int remote_no_answer(const struct remote *from, const struct fetch_answer *a, struct error *err);
/* The status is of no use here: redirect (its target is named), failure, anything else. */
int remote_bad_status(const struct remote *from, const struct fetch_answer *a, struct error *err);
/* 408, 429, 5xx: it may work later. */
bool remote_is_transient(unsigned status);
/* Retry-After in seconds, as a number or as a date (measured against the answer's own Date); 0:
 * not said. At most an hour. */
uint64_t remote_retry_after(const struct fetch_answer *a);

/* "error" and "error_description" of an OAuth error body; both NULL if it is none. */
struct remote_error {
        char *code;
        char *description;
};
#define REMOTE_ERROR_INIT ((struct remote_error){ 0 })
int remote_error_read(struct remote_error *e, const struct buf *body) MUST_CHECK;
void remote_error_done(struct remote_error *e);
#define AUTO_REMOTE_ERROR __attribute__((cleanup(remote_error_done), unused))

/* A copy that may be shown: cleaned, cut, and token-like runs of characters replaced. */
char *remote_text(const char *text) MUST_CHECK;

/* A4, A63, A226: https (http to loopback), no fragment, and no literal address of a class
 * outside @allow. @code is used for the former, ADDRESS_REFUSED for the latter. */
int remote_url_check(const char *url, const char *what, unsigned allow, enum error_code code,
                     struct error *err) MUST_CHECK;
/* Appends it as a browser may get it: quotes are legal in a URL, but nothing that a shell could
 * take for one may reach a command line (A101). */
int remote_url_append(struct buf *b, const char *url) MUST_CHECK;
