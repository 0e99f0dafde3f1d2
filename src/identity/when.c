/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/when.h"

#include "base/codec.h"

#define YEAR_9999_END ((uint64_t)253402300799)

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
