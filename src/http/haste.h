/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether to look for an answer or to sleep until it comes. To be put to sleep and woken costs tens
 * of microseconds on a virtual machine: as much as a server on the same machine takes to answer. So
 * while the answers of a server have been coming faster than HASTE_USEC, the next one is looked for
 * that long; a server that is slower, as any is that is reached by a network, is not waited for so.
 */
#pragma once

#include "base/util.h"

#define HASTE_USEC 200

struct haste {
        uint64_t sent_usec;  /* 0: nothing is under way, or it has taken too long already */
        uint64_t until_usec; /* 0: sleep */
        bool quick;          /* the last answer came in time */
};

/* A request has gone out. @now: of clock_boot_usec(), as in all of these. */
static inline void haste_sent(struct haste *h, uint64_t now) {
        h->sent_usec = now;
        h->until_usec = h->quick ? now + HASTE_USEC : 0;
}

/* Something has come. */
static inline void haste_answered(struct haste *h, uint64_t now) {
        if (h->sent_usec != 0)
                h->quick = now - h->sent_usec < HASTE_USEC;
        h->sent_usec = h->until_usec = 0;
}

static inline bool haste_is_on(struct haste *h, uint64_t now) {
        if (now >= h->until_usec)
                h->until_usec = 0;
        return h->until_usec != 0;
}
