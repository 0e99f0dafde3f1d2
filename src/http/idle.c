/* SPDX-License-Identifier: Apache-2.0 */
#include "http/idle.h"

#include <stdio.h>
#include <strings.h>

#include "base/codec.h"

void idle_done(struct idle *i) {
        for (size_t k = 0; k < i->n; k++)
                free(i->servers[k].origin);
        *i = (struct idle){ 0 };
}

/* i->n: it is not there. */
static size_t find(const struct idle *i, const char *origin) {
        size_t k = 0;

        while (k < i->n && !streq(i->servers[k].origin, origin))
                k++;
        return k;
}

/* The value of timeout= in a list of parameters. False: there is none that can be read. */
static bool find_timeout(const char *p, unsigned *ret) {
        static const char name[] = "timeout=";
        uint64_t sec = 0;

        while (*p) {
                char digits[16];
                size_t n; /* of this parameter */

                p += strspn(p, ", \t;");
                n = strcspn(p, ", \t;");
                if (n > strlen(name) && n < strlen(name) + sizeof(digits) &&
                    strncasecmp(p, name, strlen(name)) == 0) {
                        (void)snprintf(digits, sizeof(digits), "%.*s", (int)(n - strlen(name)),
                                       p + strlen(name));
                        if (number_parse(digits, UINT32_MAX, &sec) == 0) {
                                *ret = (unsigned)sec;
                                return true;
                        }
                }
                p += n;
        }
        return false;
}

int idle_note(struct idle *i, const char *origin, const char *keep_alive) {
        size_t k = find(i, origin);
        unsigned sec = 0;
        char *copy;

        if (!find_timeout(keep_alive, &sec))
                return 0;
        if (k < i->n) {
                i->servers[k].sec = sec;
                return 0;
        }
        copy = strdup(origin);
        if (!copy)
                return -ENOMEM;
        if (i->n < IDLE_SERVERS) {
                k = i->n++;
        } else {
                k = i->oldest;
                i->oldest = (k + 1) % IDLE_SERVERS;
                free(i->servers[k].origin);
        }
        i->servers[k] = (struct idle_server){ .origin = copy, .sec = sec };
        return 0;
}

unsigned idle_limit(const struct idle *i, const char *origin) {
        size_t k = find(i, origin);
        unsigned sec = k < i->n ? i->servers[k].sec : IDLE_SEC_MAX + 1;

        if (sec == 0)
                return 0;
        return sec <= IDLE_SEC_MAX ? sec - 1 : IDLE_SEC_MAX;
}
