/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of an access token in the grant's record, from one daemon to the next. */
#include "base/clock.h"
#include "broker-world.h"
#include "store/store.h"

#define MINUTE (60 * USEC_PER_SEC)

static void a_token_has_an_id_of_its_own(void **state) {
        struct world w = { 0 };
        AUTO_REPLY struct answer waits = { 0 };
        AUTO_REPLY struct answer a = { 0 };
        AUTO_FREE char *url = NULL;
        const char *login;

        world_init(&w);
        url = world_begin_login(&w, NULL, &waits);
        world_redirect(&w, url, "code1");
        world_tokens(&w, "at1", "rt1", 3600, NULL);
        world_run(&w);
        login = json_get_string(waits.result, "login");
        assert_non_null(login);
        assert_non_null(world_token(&w, &a));
        assert_string_not_equal(json_get_string(a.result, "token_id"), login);
        world_done(&w);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_token_has_an_id_of_its_own),
        };

        return cmocka_run_group_tests_name("broker-lease", tests, NULL, NULL);
}
