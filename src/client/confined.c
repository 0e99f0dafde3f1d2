/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/confined.h"

#include <fcntl.h>

#include "base/buf.h"
#include "base/codec.h"
#include "os/io.h"

#define STATUS_MAX (64 * 1024)

/* The number behind "KEY:" at the start of a line; 0 if it does not stand there. */
static uint64_t status_number(const char *status, const char *key) {
        size_t n = strlen(key);
        const char *line = status;
        char digits[24] = "";
        uint64_t value = 0;

        while (line && !(strncmp(line, key, n) == 0 && line[n] == ':')) {
                line = strchr(line, '\n');
                line = line ? line + 1 : NULL;
        }
        if (!line)
                return 0;
        line += n + 1;
        line += strspn(line, " \t");
        n = strspn(line, "0123456789");
        if (n >= sizeof(digits))
                return 0;
        memcpy(digits, line, n);
        return number_parse(digits, UINT64_MAX, &value) == 0 ? value : 0;
}

/* The first user namespace maps all ids onto themselves: "0 0 4294967295". */
static bool is_first_user_namespace(const char *uid_map) {
        static const char *const words[] = { "0", "0", "4294967295" };

        for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
                size_t n = strlen(words[i]);

                uid_map += strspn(uid_map, " \t");
                if (strncmp(uid_map, words[i], n) != 0)
                        return false;
                uid_map += n;
                if (*uid_map && !strchr(" \t\n", *uid_map))
                        return false;
        }
        return true;
}

const char *confined_judge(const char *self_status, const char *init_status, const char *uid_map) {
        /* What holds for the first process, too, is how this whole machine or container is run. */
        uint64_t init_nnp = init_status ? status_number(init_status, "NoNewPrivs") : 0;
        uint64_t init_seccomp = init_status ? status_number(init_status, "Seccomp") : 0;

        if (!is_first_user_namespace(uid_map))
                return "it runs in a user namespace";
        if (status_number(self_status, "Seccomp") != init_seccomp)
                return "it runs under a seccomp filter";
        if (status_number(self_status, "NoNewPrivs") != init_nnp)
                return "it may gain no new privileges";
        return NULL;
}

const char *confined_reason(void) {
        AUTO_BUF struct buf self = BUF_INIT;
        AUTO_BUF struct buf init = BUF_INIT;
        AUTO_BUF struct buf map = BUF_INIT;

        if (io_read_file_at(AT_FDCWD, "/proc/self/status", STATUS_MAX, &self) < 0 ||
            io_read_file_at(AT_FDCWD, "/proc/self/uid_map", STATUS_MAX, &map) < 0)
                return "it cannot see its own state in /proc";
        if (io_read_file_at(AT_FDCWD, "/proc/1/status", STATUS_MAX, &init) < 0)
                return confined_judge(self.data, NULL, map.data);
        return confined_judge(self.data, init.data, map.data);
}
