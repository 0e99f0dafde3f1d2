/* SPDX-License-Identifier: Apache-2.0 */
/* What the world's broker is configured by. */
#include "broker-world.h"
#include "config/config.h"
#include "policy/policy.h"

#define POLICY "[Rule all]\nAgent=uid:self\nServer=@added\nScopes=@granted\nOnExcess=login\n"

struct config *world_config(const struct world *w) {
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        struct config *c = calloc(1, sizeof(*c));
        struct error err = ERROR_INIT;

        assert_non_null(c);
        config_init(c);
        assert_non_null(c->client_name);
        c->report_tool_calls = !w->no_reports;
        for (size_t i = 0; w->servers && w->servers[i]; i += 2) {
                AUTO_BUF struct buf text = BUF_INIT;

                assert_int_equal(buf_append_str(&text, w->servers[i + 1]), 0);
                assert_int_equal(config_files_add(&files, w->servers[i], 1, &text), 0);
        }
        if (declared_parse(&c->declared, &files, &err) < 0)
                fail_msg("%s", err.message);
        for (size_t i = 0; i < c->declared.n; i++)
                if (c->declared.items[i].secret_file) {
                        c->declared.items[i].secret = strdup(w->secret);
                        assert_non_null(c->declared.items[i].secret);
                }
        return c;
}

struct policy *world_policy(const struct world *w) {
        const char *text = w->policy ? w->policy : POLICY;
        struct policy_file file = { .path = "50-test.conf", .data = text, .len = strlen(text) };
        struct policy *policy = NULL;
        struct error err = ERROR_INIT;

        if (policy_load(&policy, &file, 1, &err) < 0)
                fail_msg("%s", err.message);
        return policy;
}
