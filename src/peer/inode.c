/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/inode.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

int inode_at(int dirfd, const char *path, struct inode *ret) {
        struct statx st = { 0 };

        if (statx(dirfd, path, AT_EMPTY_PATH | AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
                  STATX_TYPE | STATX_INO | STATX_MTIME, &st) < 0)
                return -errno;
        *ret = (struct inode){ .dev = makedev(st.stx_dev_major, st.stx_dev_minor),
                               .ino = st.stx_ino,
                               .regular = S_ISREG(st.stx_mode),
                               .changed_sec = st.stx_mtime.tv_sec,
                               .changed_nsec = st.stx_mtime.tv_nsec };
        return 0;
}
