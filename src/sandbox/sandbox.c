/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include <sys/prctl.h>
#include <sys/stat.h>

#include "sandbox/filter.h"
#include "sandbox/hook.h"
#include "sandbox/landlock.h"

static const char *const role_names[SANDBOX_ROLE_COUNT] = {
        [SANDBOX_KEEPER] = "keeper",
        [SANDBOX_WRITER] = "writer",
        [SANDBOX_NET] = "net",
        [SANDBOX_KDF] = "kdf",
};

struct sandbox_profile sandbox_keeper(void) {
        return (struct sandbox_profile){ SANDBOX_KEEPER, -1 };
}

struct sandbox_profile sandbox_writer(int state_dirfd) {
        return (struct sandbox_profile){ SANDBOX_WRITER, state_dirfd };
}

struct sandbox_profile sandbox_net(void) {
        return (struct sandbox_profile){ SANDBOX_NET, -1 };
}

struct sandbox_profile sandbox_kdf(void) {
        return (struct sandbox_profile){ SANDBOX_KDF, -1 };
}

/* Landlock closes in the calling thread only: another would stay outside. */
static bool has_threads(void) {
        struct stat st;

        return stat("/proc/self/task", &st) == 0 && st.st_nlink > 3;
}

static void note_missing(struct sandbox_report *report, const char *what) {
        if (report->n_missing < SANDBOX_MISSING_MAX)
                report->missing[report->n_missing++] = what;
}

static void note_all_missing(struct sandbox_report *report, enum sandbox_role role) {
        if (!report->seccomp)
                note_missing(report, "seccomp");
        if (report->landlock_abi == 0)
                note_missing(report, "landlock");
        else if (report->landlock_abi < 3)
                note_missing(report, "landlock-truncate");
        if (report->landlock_abi > 0 && report->landlock_abi < 4 && role != SANDBOX_NET)
                note_missing(report, "landlock-tcp");
        if (report->landlock_abi > 0 && report->landlock_abi < 6)
                note_missing(report, "landlock-scope");
#ifdef MCPB_SANITIZED
        note_missing(report, "relaxed-for-sanitizers");
#endif
#ifdef MCPB_COVERAGE
        note_missing(report, "relaxed-for-coverage");
#endif
}

#ifdef MCPB_SANITIZED
/* A process that is closed in may not look at itself as the leak check at its end would do. */
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): its name for it */
int __lsan_is_turned_off(void);
/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp): its name for it */
int __lsan_is_turned_off(void) {
        return 1;
}
#endif

int sandbox_enter(const struct sandbox_profile *p, struct sandbox_report *ret, struct error *err) {
        struct sandbox_report report = { 0 };
        unsigned abi = landlock_probe();
        int r = 0;

        if ((unsigned)p->role >= SANDBOX_ROLE_COUNT ||
            (p->role == SANDBOX_WRITER && p->state_dirfd < 0))
                return error_set(err, MCPB_INTERNAL, EINVAL, NULL, "No such sandbox");
        report.role = role_names[p->role];
        if (has_threads())
                return error_set(err, MCPB_INTERNAL, EBUSY, NULL,
                                 "The %s has threads already and cannot be closed in", report.role);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                return error_set(err, MCPB_INTERNAL, errno, NULL,
                                 "Cannot take the %s the way to new privileges: %s", report.role,
                                 strerror(errno));
        report.no_new_privs = true;
        if (abi > 0)
                r = landlock_enter(p, abi, &report, err);
        if (r == 0)
                r = filter_enter(p, &report, err);
        if (r < 0)
                return r;
        note_all_missing(&report, p->role);
        *ret = report;
        sandbox_hook(report.role);
        return 0;
}

int sandbox_status_json(const struct sandbox_report *report, json_t **ret) {
        AUTO_JSON json_t *status = json_pack(
                "{ss sb sb si s[]}", "role", report->role, "no_new_privs", report->no_new_privs,
                "seccomp", report->seccomp, "landlock_abi", (int)report->landlock_abi, "missing");
        json_t *missing = json_object_get(status, "missing");

        if (!status)
                return -ENOMEM;
        for (size_t i = 0; i < report->n_missing; i++)
                if (json_array_append_new(missing, json_string(report->missing[i])) < 0)
                        return -ENOMEM;
        *ret = TAKE(status);
        return 0;
}
