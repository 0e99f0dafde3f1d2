/* SPDX-License-Identifier: Apache-2.0 */
#include <arpa/inet.h>

#include "base/codec.h"
#include "policy/rule.h"

/* The room doubles whenever the number of items is a power of two: no capacity has to be kept. */
void *list_push(void **items, size_t *n, size_t size) {
        if ((*n & (*n - 1)) == 0) {
                size_t room = *n ? 2 * *n : 1;
                void *grown = calloc(room, size);

                if (!grown)
                        return NULL;
                if (*n > 0)
                        memcpy(grown, *items, *n * size);
                free(*items);
                *items = grown;
        }
        (*n)++;
        return (char *)*items + (*n - 1) * size;
}

int strings_add_len(struct policy_strings *s, const char *text, size_t len) {
        void *items = s->items;
        size_t n = s->n;
        char *copy = strndup(text, len);
        char **slot;

        if (!copy)
                return -ENOMEM;
        slot = list_push(&items, &n, sizeof(char *));
        if (!slot) {
                free(copy);
                return -ENOMEM;
        }
        *slot = copy;
        s->items = items;
        s->n = n;
        return 0;
}

int strings_add(struct policy_strings *s, const char *text) {
        return strings_add_len(s, text, strlen(text));
}

bool strings_has(const struct policy_strings *s, const char *text) {
        for (size_t i = 0; i < s->n; i++)
                if (streq(s->items[i], text))
                        return true;
        return false;
}

void strings_done(struct policy_strings *s) {
        for (size_t i = 0; i < s->n; i++)
                free(s->items[i]);
        free(s->items);
        *s = (struct policy_strings){ 0 };
}

bool glob_match(const char *glob, const char *text) {
        const char *star = NULL;
        const char *resume = NULL;

        while (*text) {
                if (*glob == '*') {
                        star = ++glob;
                        resume = text;
                } else if (*glob == '?' || *glob == *text) {
                        glob++;
                        text++;
                } else if (star) {
                        /*
                         * Only the last star has to give way: what stood before it matched already.
                         */
                        glob = star;
                        text = ++resume;
                } else {
                        return false;
                }
        }
        while (*glob == '*')
                glob++;
        return *glob == '\0';
}

static bool host_bits_zero(const struct net *n, unsigned total) {
        for (unsigned bit = n->bits; bit < total; bit++)
                if (n->address[bit / 8] & (0x80u >> bit % 8))
                        return false;
        return true;
}

int net_parse(const char *text, struct net *ret) {
        const char *slash = strchr(text, '/');
        size_t len = slash ? (size_t)(slash - text) : strlen(text);
        struct net n = { .family = memchr(text, ':', len) ? AF_INET6 : AF_INET };
        unsigned total = n.family == AF_INET6 ? 128 : 32;
        uint64_t bits = total;
        char address[INET6_ADDRSTRLEN] = { 0 };

        if (len >= sizeof(address))
                return -EINVAL;
        memcpy(address, text, len);
        if (inet_pton(n.family, address, n.address) != 1)
                return -EINVAL;
        if (slash && number_parse(slash + 1, total, &bits) < 0)
                return -EINVAL;
        n.bits = (unsigned)bits;
        if (!host_bits_zero(&n, total))
                return -EINVAL;
        *ret = n;
        return 0;
}

bool net_contains(const struct net *net, const char *address) {
        int family = strchr(address, ':') ? AF_INET6 : AF_INET;
        uint8_t a[16] = { 0 };

        if (family != net->family || inet_pton(family, address, a) != 1)
                return false;
        for (unsigned bit = 0; bit < net->bits; bit++)
                if ((a[bit / 8] ^ net->address[bit / 8]) & (0x80u >> bit % 8))
                        return false;
        return true;
}

static int day_index(const char *p) {
        static const char *const days[] = { "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun" };

        for (int i = 0; i < 7; i++)
                if (strncmp(p, days[i], 3) == 0)
                        return i;
        return -EINVAL;
}

/* "HH:MM" at @p; *ret in minutes. */
static bool minutes_at(const char *p, unsigned *ret) {
        for (int i = 0; i < 5; i++)
                if (i == 2 ? p[i] != ':' : p[i] < '0' || p[i] > '9')
                        return false;
        *ret = (unsigned)(p[0] - '0') * 600 + (unsigned)(p[1] - '0') * 60 +
               (unsigned)(p[3] - '0') * 10 + (unsigned)(p[4] - '0');
        return p[3] < '6' && *ret <= 1440;
}

int window_parse(const char *text, struct window *ret) {
        struct window w = { 0 };
        int first = day_index(text);
        int last = first;

        if (first < 0)
                return -EINVAL;
        text += 3;
        if (strncmp(text, "..", 2) == 0) {
                last = day_index(text + 2);
                if (last < 0)
                        return -EINVAL;
                text += 5;
        }
        for (int day = first;; day = (day + 1) % 7) {
                w.days |= 1u << day;
                if (day == last)
                        break;
        }
        if (*text != ',' || strlen(text) != strlen(",22:00-04:00") || text[6] != '-')
                return -EINVAL;
        if (!minutes_at(text + 1, &w.from) || !minutes_at(text + 7, &w.to) || w.from == 1440)
                return -EINVAL;
        *ret = w;
        return 0;
}

int window_contains(const struct window *w, const char *local, bool *ret) {
        int day = day_index(local);
        unsigned now;
        bool today;
        bool yesterday;

        if (day < 0 || strlen(local) != strlen("Tue 03:10") || local[3] != ' ' ||
            !minutes_at(local + 4, &now) || now == 1440)
                return -EINVAL;
        today = w->days & (1u << day);
        yesterday = w->days & (1u << (day + 6) % 7);
        if (w->from < w->to)
                *ret = today && now >= w->from && now < w->to;
        else /* over midnight: it belongs to the day on which it begins */
                *ret = (today && now >= w->from) || (yesterday && now < w->to);
        return 0;
}
