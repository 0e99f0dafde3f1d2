/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/evidence.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/codec.h"
#include "base/utf8.h"

/* Numbers of the kernel that use all 64 bits go as text: a JSON integer of jansson has 63. */
static int set_u64(json_t *object, const char *key, uint64_t value) {
        char text[24];

        (void)snprintf(text, sizeof(text), "%" PRIu64, value);
        return json_object_set_new(object, key, json_string(text)) < 0 ? -ENOMEM : 0;
}

/* Absent: 0 and *@ret unchanged. */
static int get_u64(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);

        if (!value)
                return 0;
        if (!json_is_string(value) || number_parse(json_string_value(value), UINT64_MAX, ret) < 0)
                return -EBADMSG;
        return 0;
}

/* What is empty, or no UTF-8 and so cannot be said, is left out: unknown. */
static int set_text(json_t *object, const char *key, const char *value) {
        if (!*value || !utf8_valid(value, strlen(value)))
                return 0;
        return json_object_set_new(object, key, json_string(value)) < 0 ? -ENOMEM : 0;
}

static int get_text(const json_t *object, const char *key, char text[static EVIDENCE_TEXT_MAX]) {
        const json_t *value = json_object_get(object, key);
        size_t len;

        if (!value)
                return 0;
        len = json_string_length(value);
        if (!json_is_string(value) || len == 0 || len >= EVIDENCE_TEXT_MAX)
                return -EBADMSG;
        memcpy(text, json_string_value(value), len + 1);
        return 0;
}

static int set_exe(json_t *object, const char *key, const struct evidence_exe *exe) {
        AUTO_JSON json_t *value = NULL;

        if (!exe->known || !*exe->path || !utf8_valid(exe->path, strlen(exe->path)))
                return 0;
        value = json_object();
        if (!value || set_text(value, "path", exe->path) < 0 ||
            set_u64(value, "dev", exe->dev) < 0 || set_u64(value, "ino", exe->ino) < 0 ||
            json_object_set(object, key, value) < 0)
                return -ENOMEM;
        return 0;
}

static int get_exe(const json_t *object, const char *key, struct evidence_exe *exe) {
        const json_t *value = json_object_get(object, key);

        if (!value)
                return 0;
        if (!json_is_object(value) || !json_object_get(value, "dev") ||
            !json_object_get(value, "ino") || !json_object_get(value, "path"))
                return -EBADMSG;
        if (get_text(value, "path", exe->path) < 0 || get_u64(value, "dev", &exe->dev) < 0 ||
            get_u64(value, "ino", &exe->ino) < 0)
                return -EBADMSG;
        exe->known = true;
        return 0;
}

/* Absent: 0 and *@ret unchanged. */
static int get_pid(const json_t *object, const char *key, int *ret) {
        const json_t *value = json_object_get(object, key);
        json_int_t pid = json_integer_value(value);

        if (!value)
                return 0;
        if (pid < 1 || pid > INT32_MAX)
                return -EBADMSG;
        *ret = (int)pid;
        return 0;
}

static int get_bool(const json_t *object, const char *key, bool *ret) {
        const json_t *value = json_object_get(object, key);

        if (value && !json_is_boolean(value))
                return -EBADMSG;
        *ret = json_is_true(value);
        return 0;
}

static int set_pid(json_t *object, const char *key, int pid) {
        return pid > 0 && json_object_set_new(object, key, json_integer(pid)) < 0 ? -ENOMEM : 0;
}

static int set_ticks(json_t *object, const char *key, uint64_t ticks) {
        return ticks > 0 ? set_u64(object, key, ticks) : 0;
}

int evidence_to_json(const struct evidence *e, json_t **ret) {
        AUTO_JSON json_t *value = json_object();
        bool anchor = e->anchor_known;

        if (!value || set_pid(value, "pid", e->pid) < 0 ||
            set_ticks(value, "start_ticks", e->start_ticks) < 0 ||
            set_exe(value, "exe", &e->exe) < 0 ||
            json_object_set_new(value, "ours", json_boolean(e->ours)) < 0 ||
            json_object_set_new(value, "daemon", json_boolean(e->daemon)) < 0 ||
            (anchor && set_pid(value, "anchor_pid", e->anchor_pid) < 0) ||
            (anchor && set_ticks(value, "anchor_start_ticks", e->anchor_start_ticks) < 0) ||
            (anchor && set_exe(value, "anchor", &e->anchor) < 0) ||
            set_text(value, "cgroup", e->cgroup) < 0 || set_text(value, "unit", e->unit) < 0 ||
            set_text(value, "user_unit", e->user_unit) < 0)
                return -ENOMEM;
        *ret = TAKE(value);
        return 0;
}

int evidence_from_json(struct evidence *e, const json_t *value) {
        struct evidence parsed = { 0 };

        if (!json_is_object(value) || !json_object_get(value, "pid"))
                return -EBADMSG;
        if (get_pid(value, "pid", &parsed.pid) < 0 ||
            get_u64(value, "start_ticks", &parsed.start_ticks) < 0 ||
            get_exe(value, "exe", &parsed.exe) < 0 || get_bool(value, "ours", &parsed.ours) < 0 ||
            get_bool(value, "daemon", &parsed.daemon) < 0 ||
            get_pid(value, "anchor_pid", &parsed.anchor_pid) < 0 ||
            get_u64(value, "anchor_start_ticks", &parsed.anchor_start_ticks) < 0 ||
            get_exe(value, "anchor", &parsed.anchor) < 0 ||
            get_text(value, "cgroup", parsed.cgroup) < 0 ||
            get_text(value, "unit", parsed.unit) < 0 ||
            get_text(value, "user_unit", parsed.user_unit) < 0)
                return -EBADMSG;
        parsed.anchor_known = parsed.anchor_pid > 0;
        if (!parsed.anchor_known && (parsed.anchor.known || parsed.anchor_start_ticks > 0))
                return -EBADMSG;
        *e = parsed;
        return 0;
}

static bool exe_same(const struct evidence_exe *a, const struct evidence_exe *b) {
        return a->known == b->known && (!a->known || (a->dev == b->dev && a->ino == b->ino));
}

bool evidence_same(const struct evidence *a, const struct evidence *b) {
        /* Without a start time the pid may have passed to somebody else. */
        if (a->pid != b->pid || a->start_ticks == 0 || a->start_ticks != b->start_ticks)
                return false;
        if (!exe_same(&a->exe, &b->exe) || a->ours != b->ours || a->daemon != b->daemon)
                return false;
        if (a->anchor_known != b->anchor_known)
                return false;
        return !a->anchor_known ||
               (a->anchor_pid == b->anchor_pid && a->anchor_start_ticks > 0 &&
                a->anchor_start_ticks == b->anchor_start_ticks && exe_same(&a->anchor, &b->anchor));
}
