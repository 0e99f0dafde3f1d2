/* SPDX-License-Identifier: Apache-2.0 */
#include "config/files.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/codec.h"
#include "base/conf.h"
#include "os/io.h"

#define HINT_OWNER "Whoever can write it decides: make it yours or root's, and chmod go-w"

static void file_done(struct config_file *f) {
        free(f->path);
        free(f->data);
        *f = (struct config_file){ 0 };
}

void config_files_done(struct config_files *f) {
        for (size_t i = 0; i < f->n; i++)
                file_done(&f->items[i]);
        free(f->items);
        *f = CONFIG_FILES_INIT;
}

/* Takes what @file owns, also on failure. */
static int add_file(struct config_files *files, struct config_file *file, struct error *err) {
        if (!files->items)
                files->items = calloc(CONFIG_FILES_MAX, sizeof(*files->items));
        if (!files->items || !file->path || !file->data) {
                file_done(file);
                return error_oom(err);
        }
        if (files->n == CONFIG_FILES_MAX) {
                (void)error_set(err, MCPB_BAD_CONFIG, E2BIG, NULL,
                                "%s: there are more than %d files", file->path, CONFIG_FILES_MAX);
                file_done(file);
                return -E2BIG;
        }
        files->items[files->n++] = *file;
        *file = (struct config_file){ 0 };
        return 0;
}

static int unreadable(struct error *err, const char *path, int r) {
        return error_set(err, MCPB_BAD_CONFIG, -r, NULL, "%s: cannot be read: %s", path,
                         strerror(-r));
}

/* Only the owner of the layer, or root, may have written it. */
static int check_owner(const struct stat *st, const char *path, uid_t owner, struct error *err) {
        if (st->st_uid != 0 && st->st_uid != owner)
                return error_set(err, MCPB_BAD_CONFIG, EPERM, HINT_OWNER,
                                 "%s: belongs to uid %u, neither root nor uid %u", path,
                                 (unsigned)st->st_uid, (unsigned)owner);
        if (st->st_mode & (S_IWGRP | S_IWOTH))
                return error_set(err, MCPB_BAD_CONFIG, EPERM, HINT_OWNER,
                                 "%s: can be written by group or others (mode %04o)", path,
                                 (unsigned)st->st_mode & 07777);
        return 0;
}

static int read_file_at(struct config_files *files, int dirfd, const char *name, const char *path,
                        uid_t owner, unsigned layer, struct error *err) {
        struct config_file file = { .layer = layer };
        AUTO_BUF struct buf data = BUF_INIT;
        AUTO_CLOSE int fd = -1;
        struct stat st;
        int r;

        /* Not blocked by a pipe, not led elsewhere by a link; judged by what was opened. */
        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && errno == ELOOP)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Put the file itself there",
                                 "%s: is a symbolic link", path);
        if (fd < 0)
                return errno == ENOENT ? -ENOENT : unreadable(err, path, -errno);
        if (fstat(fd, &st) < 0)
                return unreadable(err, path, -errno);
        if (!S_ISREG(st.st_mode))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, NULL, "%s: is not a regular file",
                                 path);
        r = check_owner(&st, path, owner, err);
        if (r < 0)
                return r;
        r = io_read_full(fd, CONF_FILE_MAX, &data);
        if (r < 0)
                return r == -ENOMEM ? error_oom(err) : unreadable(err, path, r);
        file.path = strdup(path);
        file.len = data.len;
        file.data = buf_steal(&data);
        return add_file(files, &file, err);
}

int config_read_file(struct config_files *files, const char *path, uid_t owner, unsigned layer,
                     struct error *err) {
        AUTO_FREE char *dir = strdup(path);
        AUTO_CLOSE int dirfd = -1;
        struct stat st;
        char *slash = dir ? strrchr(dir, '/') : NULL;
        int r;

        if (!dir)
                return error_oom(err);
        if (!slash || slash == dir)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, NULL,
                                 "%s: is not the absolute path of a file", path);
        *slash = '\0';
        dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dirfd < 0)
                return errno == ENOENT ? 0 : unreadable(err, dir, -errno);
        r = read_file_at(files, dirfd, slash + 1, path, owner, layer, err);
        if (r == -ENOENT)
                return 0;
        /* Who can write the folder can put another file there. */
        if (r == 0 && fstat(dirfd, &st) < 0)
                r = unreadable(err, dir, -errno);
        return r == 0 ? check_owner(&st, dir, owner, err) : r;
}

/* --- Folders -------------------------------------------------------------- */

static const char *base_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static bool is_conf(const char *name) {
        size_t len = strlen(name);

        return *name != '.' && len > 5 && streq(name + len - 5, ".conf");
}

/* Drops the file of that name that an earlier folder gave. */
static void drop_name(struct config_files *files, const char *name) {
        for (size_t i = 0; i < files->n; i++) {
                if (!streq(base_name(files->items[i].path), name))
                        continue;
                file_done(&files->items[i]);
                files->n--;
                memmove(&files->items[i], &files->items[i + 1],
                        (files->n - i) * sizeof(files->items[i]));
                return;
        }
}

static int read_entry(struct config_files *files, int dirfd, const char *dir, const char *name,
                      uid_t owner, unsigned layer, struct error *err) {
        AUTO_BUF struct buf path = BUF_INIT;

        if (buf_printf(&path, "%s/%s", dir, name) < 0)
                return error_oom(err);
        drop_name(files, name);
        return read_file_at(files, dirfd, name, path.data, owner, layer, err);
}

static int read_folder(struct config_files *files, const char *path, uid_t owner, unsigned layer,
                       struct error *err) {
        const struct dirent *entry;
        struct stat st;
        DIR *dir = opendir(path);
        int r = 0;

        if (!dir)
                return errno == ENOENT ? 0 : unreadable(err, path, -errno);
        r = fstat(dirfd(dir), &st) < 0 ? unreadable(err, path, -errno)
                                       : check_owner(&st, path, owner, err);
        while (r == 0 && (errno = 0, entry = readdir(dir)) != NULL) {
                if (!is_conf(entry->d_name))
                        continue;
                r = read_entry(files, dirfd(dir), path, entry->d_name, owner, layer, err);
                if (r == -ENOENT)
                        r = 0; /* gone between the two looks */
        }
        if (r == 0 && errno != 0)
                r = unreadable(err, path, -errno);
        (void)closedir(dir);
        return r;
}

static int by_name(const void *a, const void *b) {
        const struct config_file *x = a;
        const struct config_file *y = b;

        return strcmp(base_name(x->path), base_name(y->path));
}

int config_read_dirs(struct config_files *files, const char *const *dirs, size_t n_dirs,
                     uid_t owner, unsigned layer, struct error *err) {
        AUTO_CONFIG_FILES struct config_files found = CONFIG_FILES_INIT;
        int r = 0;

        for (size_t i = 0; i < n_dirs && r == 0; i++)
                r = read_folder(&found, dirs[i], owner, layer, err);
        if (r < 0)
                return r;
        if (found.n > 0)
                qsort(found.items, found.n, sizeof(*found.items), by_name);
        for (size_t i = 0; i < found.n && r == 0; i++)
                r = add_file(files, &found.items[i], err);
        return r;
}

int config_read_dir(struct config_files *files, const char *dir, uid_t owner, unsigned layer,
                    struct error *err) {
        return config_read_dirs(files, &dir, 1, owner, layer, err);
}

/* --- To the keeper -------------------------------------------------------- */

static json_t *file_to_json(const struct config_file *f) {
        AUTO_JSON json_t *o = json_object();
        AUTO_BUF struct buf text = BUF_INIT;

        /* In hexadecimal: whether it is text is for the reader to judge, who names the line. */
        if (!o || buf_append_str(&text, "") < 0 || hex_append(&text, f->data, f->len) < 0 ||
            json_object_set_new(o, "path", json_string(f->path)) < 0 ||
            json_object_set_new(o, "layer", json_integer(f->layer)) < 0 ||
            json_object_set_new(o, "data", json_string(text.data)) < 0)
                return NULL;
        return TAKE(o);
}

int config_files_to_json(const struct config_files *files, json_t **ret) {
        AUTO_JSON json_t *array = json_array();

        for (size_t i = 0; array && i < files->n; i++)
                if (json_array_append_new(array, file_to_json(&files->items[i])) < 0)
                        return -ENOMEM;
        if (!array)
                return -ENOMEM;
        *ret = TAKE(array);
        return 0;
}

int config_files_add(struct config_files *files, const char *path, unsigned layer,
                     struct buf *data) {
        struct config_file file = { .layer = layer, .path = strdup(path), .len = data->len };

        file.data = buf_steal(data);
        return add_file(files, &file, NULL);
}

static int file_from_json(struct config_files *files, const json_t *value) {
        const char *path = json_get_string(value, "path");
        const char *data = json_get_string(value, "data");
        json_int_t layer = json_get_int(value, "layer", -1);
        struct config_file file = { 0 };
        AUTO_BUF struct buf bytes = BUF_INIT;
        int r;

        if (!path || !data || layer < 0 || layer > 255)
                return -EBADMSG;
        r = hex_decode(&bytes, data, strlen(data));
        if (r < 0)
                return r;
        file.layer = (unsigned)layer;
        file.path = strdup(path);
        file.len = bytes.len;
        file.data = buf_steal(&bytes);
        return add_file(files, &file, NULL);
}

int config_files_from_json(struct config_files *files, const json_t *value) {
        AUTO_CONFIG_FILES struct config_files found = CONFIG_FILES_INIT;
        int r = json_is_array(value) ? 0 : -EBADMSG;

        for (size_t i = 0; r == 0 && i < json_array_size(value); i++)
                r = file_from_json(&found, json_array_get(value, i));
        if (r < 0)
                return r;
        *files = found;
        found = CONFIG_FILES_INIT;
        return 0;
}
