/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include <stdio.h>

#include "identity/provider.h"
#include "oom.h"

static int parse(const char *text, struct identity_config *c, struct error *err) {
        return identity_config_parse(text, c, err);
}

static void a_text_names_a_provider_and_its_options(void **state) {
        static const struct {
                const char *text;
                const char *provider;
                const char *options[3][2];
        } table[] = {
                { "gitlab", "gitlab", { { NULL } } },
                { "env:MCP_ID_TOKEN", "env", { { "name", "MCP_ID_TOKEN" } } },
                { "env:name=X_1", "env", { { "name", "X_1" } } },
                { "file:/run/id/token", "file", { { "path", "/run/id/token" } } },
                { "file:/run/id=1/token", "file", { { "path", "/run/id=1/token" } } },
                { "file:path=/a\\,b\\\\c", "file", { { "path", "/a,b\\c" } } },
                { "file:path=/x,format=json,field=/a/b",
                  "file",
                  { { "path", "/x" }, { "format", "json" }, { "field", "/a/b" } } },
                { "file:/x,max-age=15m", "file", { { "path", "/x" }, { "max-age", "15m" } } },
                { "credential:id", "credential", { { "name", "id" } } },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
                struct error err = ERROR_INIT;
                size_t n = 0;

                assert_int_equal(parse(table[i].text, &c, &err), 0);
                assert_string_equal(c.provider, table[i].provider);
                for (; n < 3 && table[i].options[n][0]; n++) {
                        assert_string_equal(c.options[n].name, table[i].options[n][0]);
                        assert_string_equal(c.options[n].value, table[i].options[n][1]);
                }
                assert_int_equal(c.n_options, n);
        }
}

static void what_is_wrong_is_named_and_what_would_be_right(void **state) {
        static const struct {
                const char *text;
                const char *says;
                const char *hint;
        } table[] = {
                { "", "''", "file" },
                { "auto", "'auto'", "There are" },
                { "k9s:request", "'k9s:request'", "gitlab" },
                { "file", "path=", "absolute path" },
                { "file:path=run/x", "path=run/x", "absolute path" },
                { "file:/x,colour=red", "no option 'colour'", "path=, format=, field=, max-age=" },
                { "file:/x,/y", "no option '/y'", "path=" },
                { "file:/x,path=/y", "twice", "once" },
                { "file:/x,format=", "empty", "value" },
                { "file:/x,", "no option ''", "path=" },
                { "file:/x,format=xml", "format=xml", "format=json" },
                { "file:/x,format=json", "format=json", "field=" },
                { "file:/x,field=/a", "field=/a", "format=json" },
                { "file:/x,format=json,field=a", "field=a", "/status/token" },
                { "file:/x,max-age=soon", "max-age=soon", "15m" },
                { "env", "name=", "env:NAME" },
                { "env:A-B", "name=A-B", "letters" },
                { "env:1A", "name=1A", "letters" },
                { "credential", "name=", "LoadCredential=" },
                { "credential:../x", "name=../x", "LoadCredential=" },
                { "credential:name=..", "name=..", "LoadCredential=" },
                { "file:/x\n", "control character", "Take it out" },
                { "file:/\xff", "UTF-8", "plain" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
                struct error err = ERROR_INIT;

                assert_int_equal(parse(table[i].text, &c, &err), -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                if (!strstr(err.message, table[i].says) || !strstr(err.hint, table[i].hint))
                        fail_msg("%s: %s (%s)", table[i].text, err.message, err.hint);
                assert_null(c.provider);
        }
}

static void a_text_has_bounds(void **state) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_BUF struct buf text = BUF_INIT;

        assert_int_equal(buf_append_str(&text, "file:/"), 0);
        while (text.len < IDENTITY_CONFIG_TEXT_MAX)
                assert_int_equal(buf_append_str(&text, "x"), 0);
        assert_int_equal(parse(text.data, &c, NULL), 0);
        identity_config_done(&c);
        assert_int_equal(buf_append_str(&text, "x"), 0);
        assert_int_equal(parse(text.data, &c, NULL), -EINVAL);
}

static int parse_and_copy(void *userdata) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY_CONFIG struct identity_config copy = IDENTITY_CONFIG_INIT;
        int r = parse(userdata, &c, NULL);

        if (r == 0)
                r = identity_config_copy(&copy, &c);
        if (r == 0)
                assert_string_equal(identity_config_get(&copy, "field"), "/a/b");
        return r;
}

static void no_allocation_that_fails_is_missed(void **state) {
        char text[] = "file:path=/x,format=json,field=/a/b";

        assert_true(oom_sweep(parse_and_copy, text) > 5);
}

static int key_of(const char *text, const char *const *audiences, size_t n, struct buf *key) {
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        int r = parse(text, &c, NULL);

        return r < 0 ? r : identity_cache_key(&c, audiences, n, key);
}

static void the_key_of_a_cache_is_that_of_provider_options_and_the_set_of_audiences(void **state) {
        static const struct {
                const char *text;
                const char *audiences[3];
                size_t n;
                bool same; /* as the first */
        } table[] = {
                { "file:/x,max-age=1m", { "a", "b" }, 2, true },
                { "file:path=/x,max-age=1m", { "b", "a", "b" }, 3, true },
                { "file:path=/x,max-age=2m", { "a", "b" }, 2, false },
                { "file:path=/x", { "a", "b" }, 2, false },
                { "file:path=/x,max-age=1m", { "a" }, 1, false },
                { "file:path=/x,max-age=1m", { NULL }, 0, false },
                { "credential:name=x,max-age=1m", { "a", "b" }, 2, false },
        };
        AUTO_BUF struct buf first = BUF_INIT;

        assert_int_equal(key_of(table[0].text, table[0].audiences, table[0].n, &first), 0);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf key = BUF_INIT;

                assert_int_equal(key_of(table[i].text, table[i].audiences, table[i].n, &key), 0);
                assert_int_equal(streq(key.data, first.data), table[i].same);
        }
}

static void an_audience_is_no_option_in_the_key_of_a_cache(void **state) {
        static const char *const audiences[] = { "format", "raw" };
        AUTO_BUF struct buf option = BUF_INIT;
        AUTO_BUF struct buf audience = BUF_INIT;

        assert_int_equal(key_of("file:/x,format=raw", NULL, 0, &option), 0);
        assert_int_equal(key_of("file:/x", audiences, 2, &audience), 0);
        assert_string_not_equal(option.data, audience.data);
}

static int make_key(void *userdata) {
        static const char *const audiences[] = { "b", "a" };
        AUTO_BUF struct buf key = BUF_INIT;

        return key_of(userdata, audiences, 2, &key);
}

static void no_allocation_that_fails_is_missed_in_the_key(void **state) {
        char text[] = "file:/x";

        assert_true(oom_sweep(make_key, text) > 5);
}

/* --- the environment ------------------------------------------------------------------------- */

static void the_environment_gives_what_providers_look_at_and_tokens(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf mine = BUF_INIT;
        const char *environment[] = { "HOME=/root",
                                      "KUBERNETES_SERVICE_HOST=10.0.0.1",
                                      "KUBERNETES_SERVICE_HOST=10.0.0.2",
                                      "AZURE_CLIENT_ID=",
                                      "AWS_REGION=a\nb",
                                      "GCE_METADATA_HOST=\xff",
                                      "nonsense",
                                      "=x",
                                      NULL,
                                      "NO_TOKEN=eyJ.a",
                                      "NO_TOKEN_2=eyJ.a.b c",
                                      NULL };

        assert_int_equal(buf_printf(&mine, "MINE=%s", token), 0);
        environment[8] = mine.data;
        env_make(&env, environment);
        assert_int_equal(env.n, 2);
        assert_string_equal(identity_env_get(&env, "KUBERNETES_SERVICE_HOST"), "10.0.0.1");
        assert_string_equal(identity_env_get(&env, "MINE"), token);
        assert_null(identity_env_get(&env, "HOME"));
}

static void the_environment_has_bounds(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_BUF struct buf large = BUF_INIT;
        const char *environment[] = { NULL, "AWS_REGION=eu", NULL };

        assert_int_equal(buf_append_str(&large, "IDENTITY_HEADER="), 0);
        while (large.len <= IDENTITY_ENV_BYTES + 1)
                assert_int_equal(buf_append_str(&large, "xxxxxxxx"), 0);
        environment[0] = large.data;
        env_make(&env, environment);
        assert_null(identity_env_get(&env, "IDENTITY_HEADER"));
        assert_string_equal(identity_env_get(&env, "AWS_REGION"), "eu");
}

static void the_environment_travels_as_json(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env back = IDENTITY_ENV_INIT;
        AUTO_JSON json_t *json = NULL;
        AUTO_JSON json_t *bad = json_pack("{s:i}", "AWS_REGION", 1);
        AUTO_JSON json_t *list = json_array();
        const char *const environment[] = { "AWS_REGION=eu", "GITLAB_CI=true", NULL };

        env_make(&env, environment);
        assert_int_equal(identity_env_to_json(&env, &json), 0);
        assert_int_equal(identity_env_from_json(json, &back), 0);
        assert_int_equal(back.n, 2);
        assert_string_equal(identity_env_get(&back, "AWS_REGION"), "eu");
        assert_string_equal(identity_env_get(&back, "GITLAB_CI"), "true");
        identity_env_done(&back);
        assert_int_equal(identity_env_from_json(bad, &back), -EBADMSG);
        assert_int_equal(identity_env_from_json(list, &back), -EBADMSG);
        assert_int_equal(identity_env_from_json(NULL, &back), -EBADMSG);
}

static int take_and_travel(void *userdata) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_ENV struct identity_env back = IDENTITY_ENV_INIT;
        AUTO_JSON json_t *json = NULL;
        char region[] = "AWS_REGION=eu";
        char gitlab[] = "GITLAB_CI=true";
        char *const environment[] = { region, gitlab, NULL };
        int r = identity_env_take(environment, &env);

        (void)userdata;
        if (r == 0)
                r = identity_env_to_json(&env, &json);
        return r == 0 ? identity_env_from_json(json, &back) : r;
}

static void no_allocation_that_fails_is_missed_in_the_environment(void **state) {
        assert_true(oom_sweep(take_and_travel, NULL) > 5);
}

/* S1 */
static void secrets_of_the_environment_can_be_overwritten(void **state) {
        AUTO_FREE char *token = token_for(AUDIENCE);
        AUTO_BUF struct buf mine = BUF_INIT;
        char region[] = "AWS_REGION=eu";
        char key[] = "AWS_SECRET_ACCESS_KEY=hunter2";
        char odd[] = "nonsense";
        char *environment[] = { region, key, odd, NULL, NULL };

        assert_int_equal(buf_printf(&mine, "MINE=%s", token), 0);
        environment[3] = mine.data;
        identity_env_scrub(environment);
        assert_string_equal(region, "AWS_REGION=eu");
        assert_string_equal(odd, "nonsense");
        for (size_t i = strlen("AWS_SECRET_ACCESS_KEY="); i < sizeof(key); i++)
                assert_int_equal(key[i], 0);
        for (size_t i = strlen("MINE="); i < mine.len; i++)
                assert_int_equal(mine.data[i], 0);
}

/* Where "\n.It Cm NAME" or " , Cm NAME" stands in the manual. */
static bool is_in_manual(const char *manual, const char *name) {
        static const char *const marks[] = { "\n.It Cm ", " , Cm " };

        for (size_t k = 0; k < ARRAY_SIZE(marks); k++) {
                char text[96];

                (void)snprintf(text, sizeof(text), "%s%s", marks[k], name);
                for (const char *at = manual; (at = strstr(at, text)) != NULL; at++)
                        if (at[strlen(text)] == '\n' || at[strlen(text)] == ' ')
                                return true;
        }
        return false;
}

static void the_manual_knows_every_provider_and_option(void **state) {
        const char *top = getenv("top_srcdir");
        const struct identity_provider *p;
        static char manual[65536];
        char path[4096];
        size_t n;
        FILE *f;

        (void)snprintf(path, sizeof(path), "%s/doc/man/mcp-broker-identities.5", top ? top : ".");
        f = fopen(path, "re");
        assert_non_null(f);
        n = fread(manual, 1, sizeof(manual) - 1, f);
        (void)fclose(f);
        assert_in_range(n, 1000, sizeof(manual) - 2);
        assert_null(identity_provider_find("auto"));
        for (size_t k = 0; (p = identity_provider_at(k)) != NULL; k++) {
                if (!is_in_manual(manual, p->name))
                        fail_msg("%s is not in the manual", p->name);
                for (size_t o = 0; o < IDENTITY_OPTION_NAMES && p->options[o]; o++) {
                        char option[64];

                        (void)snprintf(option, sizeof(option), "%s=", p->options[o]);
                        if (!is_in_manual(manual, option) && !streq(p->options[o], "name"))
                                fail_msg("%s of %s is not in the manual", option, p->name);
                }
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_text_names_a_provider_and_its_options),
                cmocka_unit_test(what_is_wrong_is_named_and_what_would_be_right),
                cmocka_unit_test(a_text_has_bounds),
                cmocka_unit_test(no_allocation_that_fails_is_missed),
                cmocka_unit_test(
                        the_key_of_a_cache_is_that_of_provider_options_and_the_set_of_audiences),
                cmocka_unit_test(an_audience_is_no_option_in_the_key_of_a_cache),
                cmocka_unit_test(no_allocation_that_fails_is_missed_in_the_key),
                cmocka_unit_test(the_environment_gives_what_providers_look_at_and_tokens),
                cmocka_unit_test(the_environment_has_bounds),
                cmocka_unit_test(the_environment_travels_as_json),
                cmocka_unit_test(no_allocation_that_fails_is_missed_in_the_environment),
                cmocka_unit_test(secrets_of_the_environment_can_be_overwritten),
                cmocka_unit_test(the_manual_knows_every_provider_and_option),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
