/* SPDX-License-Identifier: Apache-2.0 */
#include "os/proc.h"

#include <fcntl.h>
#include <stdio.h>

#include "base/codec.h"
#include "os/io.h"

#define STAT_MAX 4096 /* real ones have some 300 bytes */

enum { FIELD_STATE = 3, FIELD_PPID = 4, FIELD_SESSION = 6, FIELD_START = 22 };

/* The next field, without its blank; false at the end. One that nothing follows may have been cut:
 * it is none. */
static bool next_field(const char **p, const char *end, char *field, size_t size) {
        size_t n = 0;

        while (*p < end && **p == ' ')
                (*p)++;
        for (; *p < end && **p != ' ' && **p != '\n'; (*p)++) {
                if (n + 1 >= size || **p == '\0') /* behind a NUL no text would be looked at */
                        return false;
                field[n++] = **p;
        }
        field[n] = '\0';
        return n > 0 && *p < end;
}

int proc_stat_parse(const char *text, size_t len, struct proc_stat *ret) {
        /* The name may hold ") R 1": only the last parenthesis ends it. */
        const char *p = memrchr(text, ')', len);
        const char *end = text + len;
        struct proc_stat st = { 0 };
        char field[32];

        if (!p)
                return -EBADMSG;
        p++;
        for (int i = FIELD_STATE; i <= FIELD_START; i++) {
                uint64_t n = 0;

                if (!next_field(&p, end, field, sizeof(field)))
                        return -EBADMSG;
                if (i == FIELD_STATE) {
                        if (field[1])
                                return -EBADMSG;
                        st.state = field[0];
                } else if (i == FIELD_PPID) {
                        if (number_parse(field, INT32_MAX, &n) < 0)
                                return -EBADMSG;
                        st.ppid = (int)n;
                } else if (i == FIELD_SESSION) {
                        if (number_parse(field, INT32_MAX, &n) < 0)
                                return -EBADMSG;
                        st.session = (int)n;
                } else if (i == FIELD_START &&
                           number_parse(field, UINT64_MAX, &st.start_ticks) < 0) {
                        return -EBADMSG;
                }
        }
        *ret = st;
        return 0;
}

static int read_stat(int dirfd, const char *name, struct proc_stat *ret) {
        AUTO_BUF struct buf text = BUF_INIT;
        int r = io_read_file_at(dirfd, name, STAT_MAX, &text);

        if (r == -ENOENT)
                return -ESRCH;
        return r < 0 ? r : proc_stat_parse(text.data, text.len, ret);
}

int proc_stat_at(int proc_dirfd, struct proc_stat *ret) {
        return read_stat(proc_dirfd, "stat", ret);
}

int proc_stat_pid(int pid, struct proc_stat *ret) {
        char name[32];

        if (pid <= 0)
                return -ESRCH;
        (void)snprintf(name, sizeof(name), "/proc/%d/stat", pid);
        return read_stat(AT_FDCWD, name, ret);
}

int proc_start_ticks(int pid, uint64_t *ret) {
        struct proc_stat st;
        int r = proc_stat_pid(pid, &st);

        if (r == 0)
                *ret = st.start_ticks;
        return r;
}

int proc_ppid(int pid, int *ret) {
        struct proc_stat st;
        int r = proc_stat_pid(pid, &st);

        if (r == 0)
                *ret = st.ppid;
        return r;
}

uint64_t proc_boot_usec_from_ticks(uint64_t ticks) {
        long hz = sysconf(_SC_CLK_TCK);
        uint64_t per_sec = hz > 0 ? (uint64_t)hz : 100;
        uint64_t sec = ticks / per_sec;

        if (sec >= UINT64_MAX / USEC_PER_SEC)
                return UINT64_MAX;
        return sec * USEC_PER_SEC + ticks % per_sec * USEC_PER_SEC / per_sec;
}
