/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/when.h"

#include <time.h>

#include "base/codec.h"

#define YEAR_9999_END ((uint64_t)253402300799)

/* @n digits at @p, which may be shorter. -1: they are none, or more than @max. */
static int digits(const char *p, size_t n, int max) {
        int value = 0;

        for (size_t i = 0; i < n; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return -1;
                value = value * 10 + (p[i] - '0');
        }
        return value <= max ? value : -1;
}

/* What stands behind the seconds: a fraction, which does not count, and the offset in seconds. */
static int offset_parse(const char *p, int *ret) {
        int sign = *p == '-' ? -1 : 1;
        int hours;
        int minutes;

        if (*p == '.') {
                size_t n = strspn(p + 1, "0123456789");

                if (n == 0)
                        return -EBADMSG;
                p += n + 1;
                sign = *p == '-' ? -1 : 1;
        }
        if (streq(p, "Z") || streq(p, "z")) {
                *ret = 0;
                return 0;
        }
        if (strlen(p) != 6 || (*p != '+' && *p != '-') || p[3] != ':')
                return -EBADMSG;
        hours = digits(p + 1, 2, 23);
        minutes = digits(p + 4, 2, 59);
        if (hours < 0 || minutes < 0)
                return -EBADMSG;
        *ret = sign * (hours * 3600 + minutes * 60);
        return 0;
}

int when_parse(const char *text, uint64_t *ret_usec) {
        static const char shape[] = "dddd-dd-ddTdd:dd:dd";
        struct tm tm = { 0 };
        struct tm back = { 0 };
        int offset = 0;
        time_t t;

        if (strlen(text) < sizeof(shape))
                return -EBADMSG;
        for (size_t i = 0; shape[i]; i++)
                if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
                        return -EBADMSG;
        tm.tm_year = digits(text, 4, 9999) - 1900;
        tm.tm_mon = digits(text + 5, 2, 12) - 1;
        tm.tm_mday = digits(text + 8, 2, 31);
        tm.tm_hour = digits(text + 11, 2, 23);
        tm.tm_min = digits(text + 14, 2, 59);
        tm.tm_sec = digits(text + 17, 2, 60);
        if (tm.tm_mon < 0 || tm.tm_mday < 1 || tm.tm_hour < 0 || tm.tm_min < 0 || tm.tm_sec < 0 ||
            offset_parse(text + sizeof(shape) - 1, &offset) < 0)
                return -EBADMSG;
        back = tm;
        t = timegm(&back);
        /* The 31st of a month that has none is another day's. */
        if (back.tm_mday != tm.tm_mday && tm.tm_sec < 60)
                return -EBADMSG;
        t -= offset;
        if (t < 0)
                return -EBADMSG;
        *ret_usec = (uint64_t)t * USEC_PER_SEC;
        return 0;
}

int when_from_epoch(const json_t *value, uint64_t *ret_usec) {
        const char *text = json_string_value(value);
        double real = json_real_value(value);
        uint64_t sec = 0;

        if (text) {
                if (number_parse(text, YEAR_9999_END, &sec) < 0)
                        return -EBADMSG;
        } else if (json_is_integer(value) && json_integer_value(value) >= 0) {
                sec = (uint64_t)json_integer_value(value);
        } else if (json_is_real(value) && real >= 0 && real <= (double)YEAR_9999_END) {
                sec = (uint64_t)real;
        } else {
                return -EBADMSG;
        }
        if (sec > YEAR_9999_END)
                return -EBADMSG;
        *ret_usec = sec * USEC_PER_SEC;
        return 0;
}
