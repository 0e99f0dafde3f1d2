/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/line.h"
#include "base/limits.h"

void chain_init(struct chain *c, const uint8_t *key, uint64_t key_seq) {
        *c = (struct chain){ .keyed = key != NULL, .key_seq = key_seq, .budget = AUDIT_EVOLVE_MAX };
        if (key)
                memcpy(c->key, key, HASH_KEY_BYTES);
}

void chain_done(struct chain *c) {
        mem_wipe(c->key, sizeof(c->key));
}

bool chain_evolve_to(struct chain *c, uint64_t seq) {
        if (seq < c->key_seq || seq - c->key_seq > c->budget)
                return false;
        c->budget -= seq - c->key_seq;
        for (; c->key_seq < seq; c->key_seq++)
                audit_key_evolve(c->key);
        return true;
}

/* One step a line is the rule and costs nothing of the budget. */
static void pass_line(struct chain *c) {
        c->next++;
        if (c->keyed && c->key_seq + 1 == c->next) {
                audit_key_evolve(c->key);
                c->key_seq++;
        }
}

/* On success the key is that of the line; else it is as before. */
static bool mac_ok(struct chain *c, const char *line, const struct audit_line *l) {
        struct chain ahead = *c;
        bool ok = chain_evolve_to(&ahead, l->seq) && audit_line_mac_ok(line, l, ahead.key);

        c->budget = ahead.budget;
        if (ok)
                *c = ahead;
        chain_done(&ahead);
        c->macs_checked++;
        return ok;
}

unsigned chain_step(struct chain *c, const char *line, size_t len, uint64_t *ret_seq) {
        unsigned faults = 0;
        struct audit_line l;

        *ret_seq = c->next;
        if (!line || audit_line_parse(line, len, &l) < 0) {
                pass_line(c);
                /*
                 * Of a line that is too long there is no hash: the next one will not follow on it.
                 */
                hash_plain(c->prev, line, line ? len : 0);
                return CHAIN_FORMAT;
        }
        *ret_seq = l.seq;
        if (l.seq < c->next || !secret_equal(l.prev, c->prev, HASH_BYTES))
                faults |= CHAIN_BROKEN;
        else if (l.seq > c->next)
                faults |= CHAIN_JUMP;
        hash_plain(c->prev, line, len);
        if (!c->keyed || l.seq < c->key_seq) {
                if (l.seq >= c->next)
                        c->next = l.seq + 1;
                return faults;
        }
        if (!mac_ok(c, line, &l)) {
                pass_line(c);
                return faults | CHAIN_MAC;
        }
        c->next = l.seq;
        pass_line(c);
        return faults;
}

int splitter_feed(struct splitter *s, const char *data, size_t len, splitter_fn fn,
                  void *userdata) {
        while (len > 0) {
                const char *end = memchr(data, '\n', len);
                size_t n = end ? (size_t)(end - data) : len;
                int r;

                if (!s->skipping && s->partial.len + n > LIMIT_AUDIT_LINE_BYTES) {
                        s->skipping = true;
                        buf_done(&s->partial);
                }
                if (end && s->skipping) {
                        fn(NULL, 0, userdata);
                        s->skipping = false;
                } else if (end && s->partial.len == 0) {
                        fn(data, n, userdata);
                } else if (!s->skipping) {
                        r = buf_append(&s->partial, data, n);
                        if (r < 0)
                                return r;
                        if (end) {
                                fn(s->partial.data, s->partial.len, userdata);
                                buf_clear(&s->partial);
                        }
                }
                n += end ? 1 : 0;
                data += n;
                len -= n;
        }
        return 0;
}

bool splitter_pending(const struct splitter *s) {
        return s->skipping || s->partial.len > 0;
}

void splitter_done(struct splitter *s) {
        buf_done(&s->partial);
}
