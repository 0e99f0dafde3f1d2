/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/traces.h"

#include <sys/stat.h>

#include "oom.h"
#include "test.h"
#include "tmp.h"

#define TOKENS "/var/run/secrets/mcp-broker"
#define DMI "/sys/class/dmi/id"

static int setup(void **state) {
        *state = tmp_new();
        return 0;
}

static int teardown(void **state) {
        *state = tmp_free(*state);
        return 0;
}

/* Below the test's folder; the folders on the way are made. */
static void put(const char *root, const char *path, const char *text, size_t len) {
        char whole[512];
        FILE *f;

        (void)snprintf(whole, sizeof(whole), "%s%s", root, path);
        for (char *p = whole + strlen(root) + 1; *p; p++) {
                if (*p != '/')
                        continue;
                *p = '\0';
                (void)mkdir(whole, 0700);
                *p = '/';
        }
        f = fopen(whole, "we");
        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, len, f), len);
        assert_int_equal(fclose(f), 0);
}

static void what_is_there_is_said_and_a_token_is_not_read(void **state) {
        const char *root = *state;
        AUTO_JSON json_t *traces = NULL;

        put(root, TOKENS "/token", "hunter2", 7);
        put(root, DMI "/sys_vendor", "Amazon EC2\n", 11);
        put(root, DMI "/product_name", "m5.large  \nmore", 15);
        put(root, DMI "/chassis_asset_tag", "", 0);
        assert_int_equal(traces_read(root, &traces), 0);
        assert_int_equal(json_object_size(traces), 4);
        assert_string_equal(json_get_string(traces, TOKENS "/token"), "");
        assert_string_equal(json_get_string(traces, DMI "/sys_vendor"), "Amazon EC2");
        assert_string_equal(json_get_string(traces, DMI "/product_name"), "m5.large");
        assert_string_equal(json_get_string(traces, DMI "/chassis_asset_tag"), "");
}

static void what_cannot_be_looked_at_is_not_there(void **state) {
        const char *root = *state;
        AUTO_JSON json_t *traces = NULL;
        char large[4097];

        for (size_t i = 0; i < sizeof(large); i++)
                large[i] = 'x';
        put(root, DMI "/sys_vendor", large, sizeof(large));
        put(root, DMI "/product_name", "\xff\n", 2);
        put(root, DMI "/chassis_asset_tag/x", "", 0);
        assert_int_equal(traces_read(root, &traces), 0);
        assert_int_equal(json_object_size(traces), 0);
}

static int read_and_drop(void *userdata) {
        AUTO_JSON json_t *traces = NULL;

        return traces_read(userdata, &traces);
}

static void no_allocation_that_fails_is_missed(void **state) {
        char *root = *state;

        put(root, DMI "/sys_vendor", "Amazon EC2\n", 11);
        assert_true(oom_sweep(read_and_drop, root) > 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(what_is_there_is_said_and_a_token_is_not_read,
                                                setup, teardown),
                cmocka_unit_test_setup_teardown(what_cannot_be_looked_at_is_not_there, setup,
                                                teardown),
                cmocka_unit_test_setup_teardown(no_allocation_that_fails_is_missed, setup,
                                                teardown),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
