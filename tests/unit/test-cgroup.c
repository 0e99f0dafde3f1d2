/* SPDX-License-Identifier: Apache-2.0 */
#include "peer/cgroup.h"
#include "test.h"

#define SLICE "/user.slice/user-1000.slice/"
#define LONG_100                                                                                   \
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx" \
        "xxxxxxxxxxxx"

static void the_control_group_is_the_unified_one_or_systemds(void **state) {
        static const struct {
                const char *text;
                const char *path; /* NULL: unknown */
        } table[] = {
                { "0::/system.slice/x.service\n", "/system.slice/x.service" },
                { "0::/system.slice/x.service", "/system.slice/x.service" },
                { "0::/\n", "/" },
                /* hybrid: both lines are maintained, the unified one counts */
                { "12:pids:/a\n1:name=systemd:/b.slice/c.scope\n0::/b.slice/d.scope\n",
                  "/b.slice/d.scope" },
                /* legacy: the unified one is there but unused, or is not there at all */
                { "1:name=systemd:/b.slice/c.scope\n0::/\n", "/b.slice/c.scope" },
                { "0::/\n1:name=systemd:/b.slice/c.scope\n", "/b.slice/c.scope" },
                { "4:memory:/m\n1:name=systemd:/c.scope\n", "/c.scope" },
                { "1:name=systemd:/\n0::/\n", "/" },
                /* a colon in the path is the path's */
                { "0::/a:b::c.slice/name=systemd:/d\n", "/a:b::c.slice/name=systemd:/d" },
                { "1:name=systemd:/a:0::/b\n", "/a:0::/b" },
                /* another hierarchy's path is nobody's */
                { "4:memory:/m\n", NULL },
                { "4:name=openrc:/m\n", NULL },
                { "10::/x\n", NULL },
                { "0::x\n", NULL },
                { "0:", NULL },
                { "0::", NULL },
                { "", NULL },
                { "\n\n", NULL },
                /* what cannot be told, or is no more */
                { "0::/a\tb\n", NULL },
                { "0::/a\x7f\n", NULL },
                { "0::/a\xff\n", NULL },
                { "0::/x.scope (deleted)\n", NULL },
                { "0::/" LONG_100 LONG_100 LONG_100 LONG_100 LONG_100 "0123456789\n",
                  "/" LONG_100 LONG_100 LONG_100 LONG_100 LONG_100 "0123456789" },
                { "0::/" LONG_100 LONG_100 LONG_100 LONG_100 LONG_100 "0123456789x\n", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                char path[EVIDENCE_TEXT_MAX] = "before";
                int r = cgroup_parse(table[i].text, strlen(table[i].text), path);

                assert_int_equal(r, table[i].path ? 0 : -ENODATA);
                assert_string_equal(path, table[i].path ? table[i].path : "before");
        }
}

static void units_are_what_systemd_names_and_nothing_else(void **state) {
        static const struct {
                const char *path;
                const char *unit;
                const char *user_unit;
        } table[] = {
                { "/system.slice/x.service", "x.service", "" },
                { "/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", "" },
                { "/init.scope", "init.scope", "" },
                { "/system.slice/docker-0123.scope/inner", "docker-0123.scope", "" },
                { "/system.slice/a\\x2db.service", "a\\x2db.service", "" },
                { "/system.slice/_cpu.service", "cpu.service", "" },
                { "/system.slice/__x.service", "_x.service", "" },
                { "/machine.slice/m.scope/payload/system.slice/sshd.service", "m.scope", "" },
                { SLICE "session-2.scope", "session-2.scope", "" },
                { SLICE "user@1000.service/init.scope", "user@1000.service", "init.scope" },
                { SLICE "user@1000.service/app.slice/app-x.slice/x.service", "user@1000.service",
                  "x.service" },
                { SLICE "user@1000.service/app.slice/x.service/sub/y.service", "user@1000.service",
                  "x.service" },
                { SLICE "user@1000.service/app.slice", "user@1000.service", "" },
                { SLICE "user@1000.service", "user@1000.service", "" },
                /* a unit of the system is not one of the user's because of its name */
                { "/system.slice/userx.service/x.service", "userx.service", "" },
                { "/system.slice/user@root.service/x.service", "user@root.service", "" },
                { "/system.slice/user@.service/x.service", "user@.service", "" },
                { "/system.slice/user@99999999999.service/x.service", "user@99999999999.service",
                  "" },
                { SLICE "user@1000.service.d.service/x.service", "user@1000.service.d.service",
                  "" },
                /* a folder that anybody may make in between ends the search */
                { "/docker/0123456789ab/x.service", "", "" },
                { "/system.slice/notes/x.service", "", "" },
                { SLICE "user@1000.service/mine/x.service", "user@1000.service", "" },
                { "/system.slice/x.service.d", "", "" },
                { "/system.slice/.service", "", "" },
                { "/system.slice/_.service", "", "" },
                { "/system.slice/a b.service", "", "" },
                { "/system.slice/a,b.service", "", "" },
                { "/.slice/x.service", "", "" },
                { "/system.slice/_", "", "" },
                { "/system.slice", "", "" },
                { "/", "", "" },
                { "", "", "" },
                /* seen from inside another control group namespace */
                { "/../../system.slice/x.service", "", "" },
                { "/../x.service", "", "" },
                { "/..", "", "" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                char unit[EVIDENCE_TEXT_MAX] = "before";
                char user_unit[EVIDENCE_TEXT_MAX] = "before";

                cgroup_units(table[i].path, unit, user_unit);
                assert_string_equal(unit, table[i].unit);
                assert_string_equal(user_unit, table[i].user_unit);
        }
}

static void a_unit_name_has_systemds_maximum(void **state) {
        char path[EVIDENCE_TEXT_MAX] = "/system.slice/";
        size_t start = strlen(path);
        char unit[EVIDENCE_TEXT_MAX];
        char user_unit[EVIDENCE_TEXT_MAX];

        for (size_t len = 250; len < 260; len++) {
                char name[300];

                for (size_t i = 0; i < len; i++)
                        name[i] = 'x';
                memcpy(name + len - 8, ".service", 9);
                memcpy(path + start, name, len + 1);
                cgroup_units(path, unit, user_unit);
                assert_string_equal(unit, len <= 255 ? name : "");
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(the_control_group_is_the_unified_one_or_systemds),
                cmocka_unit_test(units_are_what_systemd_names_and_nothing_else),
                cmocka_unit_test(a_unit_name_has_systemds_maximum),
        };

        return cmocka_run_group_tests_name("cgroup", tests, NULL, NULL);
}
