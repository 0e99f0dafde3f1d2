/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sockowner.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/codec.h"

#define TABLE_BYTES_MAX ((size_t)32 * 1024 * 1024)
#define CHUNK_BYTES ((size_t)32 * 1024)
/* The table is read in pieces while it changes, so a row can be missed. */
#define TRIES 3

int sockowner_open(struct sockowner *o, struct error *err) {
        o->tcp = open("/proc/net/tcp", O_RDONLY | O_CLOEXEC);
        if (o->tcp < 0)
                return error_set(err, MCPB_UNSUPPORTED, errno, "Mount /proc",
                                 "Cannot open /proc/net/tcp: %s", strerror(errno));
        o->tcp6 = open("/proc/net/tcp6", O_RDONLY | O_CLOEXEC); /* absent without IPv6 */
        return 0;
}

void sockowner_close(struct sockowner *o) {
        cleanup_close(&o->tcp);
        cleanup_close(&o->tcp6);
        *o = SOCKOWNER_INIT;
}

/* The kernel prints each 32-bit word as this machine reads it, whatever its byte order. */
static void format_end(char text[static SOCKOWNER_END_MAX], const uint32_t *words, size_t n,
                       in_port_t port) {
        size_t len = 0;

        for (size_t i = 0; i < n; i++)
                len += (size_t)snprintf(text + len, SOCKOWNER_END_MAX - len, "%08X", words[i]);
        (void)snprintf(text + len, SOCKOWNER_END_MAX - len, ":%04X", (unsigned)ntohs(port));
}

static int format_address(char text[static SOCKOWNER_END_MAX], const struct sockaddr *addr,
                          bool mapped) {
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        uint32_t words[4] = { 0, 0, htonl(0xffff), 0 };

        if (addr->sa_family == AF_INET) {
                memcpy(&v4, addr, sizeof(v4));
                words[3] = v4.sin_addr.s_addr;
                format_end(text, mapped ? words : words + 3, mapped ? 4 : 1, v4.sin_port);
                return 0;
        }
        if (addr->sa_family == AF_INET6 && !mapped) {
                memcpy(&v6, addr, sizeof(v6));
                memcpy(words, &v6.sin6_addr, sizeof(words));
                format_end(text, words, 4, v6.sin6_port);
                return 0;
        }
        return -EAFNOSUPPORT;
}

int sockowner_row(struct sockowner_row *ret, const struct sockaddr *local,
                  const struct sockaddr *remote, bool mapped) {
        int r = format_address(ret->local, local, mapped);

        return r < 0 ? r : format_address(ret->remote, remote, mapped);
}

/* Cuts the next word off @line; its length, 0 at the end. */
static size_t next_word(const char **line, const char **ret_word) {
        size_t n;

        *line += strspn(*line, " \t");
        n = strcspn(*line, " \t\n");
        *ret_word = *line;
        *line += n;
        return n;
}

static bool word_is(const char *word, size_t n, const char *text) {
        return n == strlen(text) && memcmp(word, text, n) == 0;
}

bool sockowner_match(const char *line, const struct sockowner_row *row, uid_t *ret_uid) {
        enum { SLOT, LOCAL, REMOTE, STATE, QUEUES, TIMER, RETRANSMITS, UID, N_WORDS };
        const char *word[N_WORDS];
        size_t len[N_WORDS];
        char digits[16] = { 0 };
        uint64_t uid;

        for (size_t i = 0; i < N_WORDS; i++) {
                len[i] = next_word(&line, &word[i]);
                if (len[i] == 0)
                        return false;
        }
        /* Only an established one has an owner: what is left of a closed socket is said to be
         * root's. */
        if (!word_is(word[LOCAL], len[LOCAL], row->local) ||
            !word_is(word[REMOTE], len[REMOTE], row->remote) ||
            !word_is(word[STATE], len[STATE], "01") || len[UID] >= sizeof(digits))
                return false;
        memcpy(digits, word[UID], len[UID]);
        if (number_parse(digits, UINT32_MAX - 1, &uid) < 0)
                return false;
        *ret_uid = (uid_t)uid;
        return true;
}

/* Looks at every whole line in @b and keeps the rest. */
static bool match_lines(struct buf *b, const struct sockowner_row *row, uid_t *ret_uid) {
        size_t start = 0;
        char *end;

        while (b->len > start && (end = memchr(b->data + start, '\n', b->len - start))) {
                *end = '\0';
                if (sockowner_match(b->data + start, row, ret_uid))
                        return true;
                start = (size_t)(end + 1 - b->data);
        }
        buf_consume(b, start);
        return false;
}

static int search_table(int fd, const struct sockowner_row *row, uid_t *ret_uid) {
        AUTO_BUF struct buf b = BUF_INIT;
        size_t total = 0;

        if (fd < 0)
                return -ENOENT;
        if (lseek(fd, 0, SEEK_SET) < 0)
                return -errno;
        buf_init(&b, 2 * CHUNK_BYTES);
        while (total < TABLE_BYTES_MAX) {
                int r = buf_reserve(&b, CHUNK_BYTES);
                ssize_t n;

                if (r < 0)
                        return r;
                n = read(fd, b.data + b.len, CHUNK_BYTES);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        return -ENOENT;
                b.len += (size_t)n;
                b.data[b.len] = '\0';
                total += (size_t)n;
                if (match_lines(&b, row, ret_uid))
                        return 0;
        }
        return -EFBIG;
}

static int search_both(const struct sockowner *o, const struct sockaddr *peer,
                       const struct sockaddr *ours, uid_t *ret_uid) {
        struct sockowner_row row;
        bool v6 = peer->sa_family == AF_INET6;
        int r = sockowner_row(&row, peer, ours, false);

        if (r < 0)
                return r;
        r = search_table(v6 ? o->tcp6 : o->tcp, &row, ret_uid);
        if (r != -ENOENT || v6)
                return r;
        r = sockowner_row(&row, peer, ours, true);
        return r < 0 ? r : search_table(o->tcp6, &row, ret_uid);
}

int sockowner_find(const struct sockowner *o, const struct sockaddr *peer,
                   const struct sockaddr *ours, uid_t *ret_uid) {
        int r = -ENOENT;

        for (int i = 0; r == -ENOENT && i < TRIES; i++)
                r = search_both(o, peer, ours, ret_uid);
        return r;
}
