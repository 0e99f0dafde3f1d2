/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <time.h>

#include "base/clock.h"

void clock_format_utc(uint64_t wall_usec, char text[static CLOCK_TEXT_MAX]) {
        time_t sec = (time_t)(wall_usec / USEC_PER_SEC);
        struct tm tm = { 0 };
        size_t n;

        (void)gmtime_r(&sec, &tm);
        n = strftime(text, CLOCK_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
        (void)snprintf(text + n, CLOCK_TEXT_MAX - n, ".%03uZ",
                       (unsigned)(wall_usec % USEC_PER_SEC / 1000));
}

/* Exactly @n digits at *@p, which moves behind them. */
static int take_number(const char **p, unsigned n, int *ret) {
        int value = 0;

        for (; n > 0; n--, (*p)++) {
                if (**p < '0' || **p > '9')
                        return -EINVAL;
                value = value * 10 + (**p - '0');
        }
        *ret = value;
        return 0;
}

static int take_mark(const char **p, const char *any_of) {
        if (!**p || !strchr(any_of, **p))
                return -EINVAL;
        (*p)++;
        return 0;
}

static int take_date(const char **p, struct tm *tm) {
        if (take_number(p, 4, &tm->tm_year) < 0 || take_mark(p, "-") < 0 ||
            take_number(p, 2, &tm->tm_mon) < 0 || take_mark(p, "-") < 0 ||
            take_number(p, 2, &tm->tm_mday) < 0 || take_mark(p, "Tt") < 0 ||
            take_number(p, 2, &tm->tm_hour) < 0 || take_mark(p, ":") < 0 ||
            take_number(p, 2, &tm->tm_min) < 0 || take_mark(p, ":") < 0 ||
            take_number(p, 2, &tm->tm_sec) < 0)
                return -EINVAL;
        tm->tm_year -= 1900;
        tm->tm_mon -= 1;
        return 0;
}

/* ".25": what is finer than a microsecond does not count. */
static int take_fraction(const char **p, uint64_t *ret_usec) {
        uint64_t unit = USEC_PER_SEC;
        uint64_t usec = 0;

        if (**p == '.') {
                (*p)++;
                if (**p < '0' || **p > '9')
                        return -EINVAL;
                for (; **p >= '0' && **p <= '9'; (*p)++) {
                        unit /= 10;
                        usec += unit * (uint64_t)(**p - '0');
                }
        }
        *ret_usec = usec;
        return 0;
}

static int take_offset(const char **p, int *ret_sec) {
        int sign = **p == '-' ? -1 : 1;
        int hours = 0;
        int minutes = 0;

        if (**p == 'Z' || **p == 'z') {
                (*p)++;
                *ret_sec = 0;
                return 0;
        }
        if (take_mark(p, "+-") < 0 || take_number(p, 2, &hours) < 0 || take_mark(p, ":") < 0 ||
            take_number(p, 2, &minutes) < 0 || hours > 23 || minutes > 59)
                return -EINVAL;
        *ret_sec = sign * (hours * 3600 + minutes * 60);
        return 0;
}

int clock_parse_utc(const char *text, uint64_t *ret_wall_usec) {
        struct tm tm = { 0 };
        struct tm again;
        uint64_t usec = 0;
        int offset = 0;
        time_t sec;

        if (take_date(&text, &tm) < 0 || take_fraction(&text, &usec) < 0 ||
            take_offset(&text, &offset) < 0 || *text)
                return -EINVAL;
        /* A leap second is taken for the one before it. */
        if (tm.tm_sec == 60)
                tm.tm_sec = 59;
        again = tm;
        sec = timegm(&again);
        /* The 30th of February would have become another day. */
        if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
            again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
                return -EINVAL;
        sec -= offset;
        if (sec < 0)
                return -EINVAL;
        *ret_wall_usec = (uint64_t)sec * USEC_PER_SEC + usec;
        return 0;
}
