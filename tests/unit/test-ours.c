/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/ours.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "oom.h"
#include "peer/inode.h"
#include "tmp.h"

/* A folder of programs, one of shells, and a list of shells. */
struct place {
        char *top;
        char bin[TMP_PATH_MAX];
        char sh[TMP_PATH_MAX];
        char shells[TMP_PATH_MAX];
        char reaper[TMP_PATH_MAX];
        const char *folders[2];
        const char *reapers[2];
        struct peer_places places;
};

static void put(const char *folder, const char *name, const char *text) {
        char path[TMP_PATH_MAX];
        FILE *f;

        (void)tmp_path(path, folder, name);
        f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(text, f) >= 0);
        assert_int_equal(fclose(f), 0);
}

static struct inode at(const char *folder, const char *name) {
        char path[TMP_PATH_MAX];
        struct inode inode = { 0 };

        (void)tmp_path(path, folder, name);
        assert_int_equal(inode_at(AT_FDCWD, path, &inode), 0);
        return inode;
}

static unsigned kind(const struct peer_ours *o, const struct inode *inode) {
        return peer_ours_kind(o, inode->dev, inode->ino);
}

static unsigned kind_at(const struct peer_ours *o, const char *folder, const char *name) {
        struct inode inode = at(folder, name);

        return kind(o, &inode);
}

/* So that the folder counts as settled. */
static void age(const char *path) {
        const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };

        assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
}

static int place_make(void **state) {
        struct place *p = calloc(1, sizeof(*p));
        AUTO_BUF struct buf shells = BUF_INIT;

        assert_non_null(p);
        p->top = tmp_new();
        (void)tmp_path(p->bin, p->top, "bin");
        (void)tmp_path(p->sh, p->top, "sh");
        (void)tmp_path(p->shells, p->top, "shells");
        (void)tmp_path(p->reaper, p->bin, "init");
        assert_int_equal(mkdir(p->bin, 0700), 0);
        assert_int_equal(mkdir(p->sh, 0700), 0);
        put(p->bin, "mcp-token", "");
        put(p->bin, "mcp-broker-session", "");
        put(p->bin, "other", "");
        put(p->bin, "init", "");
        put(p->sh, "dash", "");
        put(p->sh, "unlisted", "");
        assert_int_equal(
                buf_printf(&shells,
                           "# a comment\n\nrelative/sh\n  %s/dash # trailing\n%s/absent\n%s\n",
                           p->sh, p->sh, p->sh),
                0);
        put(p->top, "shells", shells.data);
        age(p->bin);
        age(p->sh);
        age(p->shells);
        p->folders[0] = p->bin;
        p->reapers[0] = p->reaper;
        p->places = (struct peer_places){ p->folders, p->reapers, p->shells };
        *state = p;
        return 0;
}

static int place_remove(void **state) {
        struct place *p = *state;

        p->top = tmp_free(p->top);
        free(p);
        return 0;
}

static struct peer_ours *make(const struct place *p) {
        struct peer_ours *o = NULL;
        struct error err = ERROR_INIT;

        assert_int_equal(peer_ours_new(&p->places, &o, &err), 0);
        return o;
}

static void refresh(struct peer_ours *o) {
        struct error err = ERROR_INIT;

        assert_int_equal(peer_ours_refresh(o, &err), 0);
}

static void files_are_known_by_inode_and_not_by_name(void **state) {
        const struct place *p = *state;
        struct peer_ours *o = make(p);
        char from[TMP_PATH_MAX];
        char to[TMP_PATH_MAX];

        put(p->top, "mcp-token", "");
        assert_int_equal(kind_at(o, p->bin, "mcp-token"), PEER_KIND_OURS);
        assert_int_equal(kind_at(o, p->bin, "mcp-broker-session"),
                         PEER_KIND_OURS | PEER_KIND_DAEMON);
        assert_int_equal(kind_at(o, p->bin, "other"), 0);
        assert_int_equal(kind_at(o, p->bin, "init"), PEER_KIND_REAPER);
        assert_int_equal(kind_at(o, p->top, "mcp-token"), 0);
        (void)tmp_path(from, p->bin, "mcp-token");
        (void)tmp_path(to, p->top, "renamed");
        assert_int_equal(link(from, to), 0);
        assert_int_equal(kind_at(o, p->top, "renamed"), PEER_KIND_OURS);
        (void)peer_ours_free(o);
}

static void shells_are_those_in_the_list(void **state) {
        const struct place *p = *state;
        struct peer_ours *o = make(p);

        assert_int_equal(kind_at(o, p->sh, "dash"), PEER_KIND_SHELL);
        assert_int_equal(kind_at(o, p->sh, "unlisted"), 0);
        assert_int_equal(kind_at(o, p->top, "sh"), 0); /* a folder */
        (void)peer_ours_free(o);
}

static void without_a_list_bin_sh_is_the_shell(void **state) {
        struct place *p = *state;
        struct peer_ours *o;

        assert_int_equal(unlink(p->shells), 0);
        o = make(p);
        assert_int_equal(kind_at(o, "/bin", "sh") & PEER_KIND_SHELL, PEER_KIND_SHELL);
        assert_int_equal(kind_at(o, p->sh, "dash"), 0);
        (void)peer_ours_free(o);
}

static void a_file_of_many_programs_is_no_shell(void **state) {
        static const char *const ways[] = { "symbolic", "hard" };
        struct place *p = *state;
        AUTO_BUF struct buf shells = BUF_INIT;
        char from[TMP_PATH_MAX];
        char to[TMP_PATH_MAX];

        put(p->sh, "busybox", "");
        (void)tmp_path(from, p->sh, "busybox");
        for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
                struct peer_ours *o;

                (void)tmp_path(to, p->sh, ways[i]);
                assert_int_equal(i == 0 ? symlink(from, to) : link(from, to), 0);
                buf_clear(&shells);
                assert_int_equal(buf_printf(&shells, "%s\n%s/dash\n", to, p->sh), 0);
                put(p->top, "shells", shells.data);
                o = make(p);
                assert_int_equal(kind_at(o, p->sh, ways[i]), 0);
                assert_int_equal(kind_at(o, p->sh, "dash"), PEER_KIND_SHELL);
                (void)peer_ours_free(o);
        }
}

static void after_an_upgrade_both_the_old_and_the_new_file_are_known(void **state) {
        const struct place *p = *state;
        struct peer_ours *o = make(p);
        struct inode program = at(p->bin, "mcp-token");
        struct inode shell = at(p->sh, "dash");
        char from[TMP_PATH_MAX];
        char to[TMP_PATH_MAX];

        /* as dpkg does it */
        put(p->bin, "mcp-token.dpkg-new", "");
        put(p->sh, "dash.dpkg-new", "");
        (void)tmp_path(from, p->bin, "mcp-token.dpkg-new");
        (void)tmp_path(to, p->bin, "mcp-token");
        assert_int_equal(rename(from, to), 0);
        (void)tmp_path(from, p->sh, "dash.dpkg-new");
        (void)tmp_path(to, p->sh, "dash");
        assert_int_equal(rename(from, to), 0);
        assert_int_equal(kind_at(o, p->bin, "mcp-token"), 0);
        refresh(o);
        assert_int_equal(kind_at(o, p->bin, "mcp-token"), PEER_KIND_OURS);
        assert_int_equal(kind_at(o, p->sh, "dash"), PEER_KIND_SHELL);
        assert_int_equal(kind(o, &program), PEER_KIND_OURS);
        assert_int_equal(kind(o, &shell), PEER_KIND_SHELL);
        (void)peer_ours_free(o);
}

static void a_changed_list_of_shells_is_seen(void **state) {
        const struct place *p = *state;
        struct peer_ours *o = make(p);
        AUTO_BUF struct buf shells = BUF_INIT;

        assert_int_equal(buf_printf(&shells, "%s/unlisted\n", p->sh), 0);
        put(p->top, "shells", shells.data);
        refresh(o);
        assert_int_equal(kind_at(o, p->sh, "unlisted"), PEER_KIND_SHELL);
        (void)peer_ours_free(o);
}

/* A number that a removed program leaves goes to the next file: on most file systems at once. */
static void the_number_of_a_removed_program_does_not_pass_to_another_file(void **state) {
        const struct place *p = *state;
        struct peer_ours *o = make(p);
        char path[TMP_PATH_MAX];

        (void)tmp_path(path, p->bin, "mcp-token");
        assert_int_equal(unlink(path), 0);
        for (int i = 0; i < 50; i++) {
                char name[32];

                (void)snprintf(name, sizeof(name), "new%d", i);
                put(p->bin, name, "");
                assert_int_equal(kind_at(o, p->bin, name), 0);
        }
        (void)peer_ours_free(o);
}

static size_t count_fds(void) {
        DIR *d = opendir("/proc/self/fd");
        size_t n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void)closedir(d);
        return n;
}

static void however_many_upgrades_come_descriptors_are_bounded_and_given_back(void **state) {
        const struct place *p = *state;
        size_t before = count_fds();
        struct peer_ours *o = make(p);
        char from[TMP_PATH_MAX];
        char to[TMP_PATH_MAX];

        (void)tmp_path(from, p->bin, "new");
        (void)tmp_path(to, p->bin, "mcp-token");
        for (int i = 0; i < 700; i++) {
                put(p->bin, "new", "");
                assert_int_equal(rename(from, to), 0);
                refresh(o);
                age(p->bin);
                assert_int_equal(kind_at(o, p->bin, "mcp-token"), PEER_KIND_OURS);
                assert_int_equal(kind_at(o, p->bin, "mcp-broker-session"),
                                 PEER_KIND_OURS | PEER_KIND_DAEMON);
        }
        assert_true(count_fds() <= before + 512);
        (void)peer_ours_free(o);
        assert_int_equal(count_fds(), before);
}

static int make_and_free(void *userdata) {
        const struct place *p = userdata;
        struct peer_ours *o = NULL;
        struct error err = ERROR_INIT;
        int r = peer_ours_new(&p->places, &o, &err);

        if (r < 0)
                assert_int_equal(err.code, MCPB_INTERNAL);
        (void)peer_ours_free(o);
        return r;
}

static void every_failed_allocation_is_reported(void **state) {
        size_t before = count_fds();

        assert_true(oom_sweep(make_and_free, *state) > 0);
        assert_int_equal(count_fds(), before);
}

static void the_program_that_runs_knows_its_own_folder(void **state) {
        struct peer_ours *o = NULL;
        struct error err = ERROR_INIT;

        assert_int_equal(peer_ours_new(NULL, &o, &err), 0);
        assert_int_equal(kind_at(o, "/bin", "sh") & PEER_KIND_OURS, 0);
        (void)peer_ours_free(o);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, place_make, place_remove)
                T(files_are_known_by_inode_and_not_by_name),
                T(shells_are_those_in_the_list),
                T(without_a_list_bin_sh_is_the_shell),
                T(a_file_of_many_programs_is_no_shell),
                T(after_an_upgrade_both_the_old_and_the_new_file_are_known),
                T(a_changed_list_of_shells_is_seen),
                T(the_number_of_a_removed_program_does_not_pass_to_another_file),
                T(however_many_upgrades_come_descriptors_are_bounded_and_given_back),
                T(every_failed_allocation_is_reported),
                T(the_program_that_runs_knows_its_own_folder),
#undef T
        };

        return cmocka_run_group_tests_name("ours", tests, NULL, NULL);
}
