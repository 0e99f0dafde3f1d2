/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/catalog.h"

#include "base/limits.h"
#include "oom.h"
#include "spans.h"

/* What was told, as "name: why\n" lines. */
static void on_dropped(const char *tool, const char *why, void *userdata) {
        assert_int_equal(buf_printf(userdata, "%s: %s\n", tool, why ? why : "ignored"), 0);
}

static int take(struct catalog *c, const char *result, bool mirrored, struct buf *out,
                struct buf *told) {
        assert_int_equal(jsonspan_check(result, strlen(result), LIMIT_MESSAGE_DEPTH, NULL), 0);
        return catalog_take(c, span_of(result), mirrored, out, on_dropped, told);
}

static int set_up(void **state) {
        *state = catalog_new();
        return *state ? 0 : -1;
}

static int tear_down(void **state) {
        *state = catalog_free(*state);
        return 0;
}

/* A tool "t" with these properties, beside another that stays. */
static void judge(struct catalog *c, const char *schema, const char *why) {
        AUTO_BUF struct buf list = BUF_INIT;
        AUTO_BUF struct buf told = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;
        AUTO_BUF struct buf expected = BUF_INIT;

        assert_int_equal(buf_printf(&list,
                                    "{\"tools\":[{\"name\":\"valid_tool\"},{\"name\":\"t\","
                                    "\"inputSchema\":%s}]}",
                                    schema),
                         0);
        assert_int_equal(take(c, list.data, true, &out, &told), 0);
        if (why) {
                assert_int_equal(buf_printf(&expected, "t: %s\n", why), 0);
                assert_int_equal(buf_append_str(&told, ""), 0);
                assert_string_equal(told.data, expected.data);
                assert_string_equal(out.data, "{\"tools\":[{\"name\":\"valid_tool\"}]}");
                assert_null(catalog_find(c, "t"));
        } else {
                if (told.len > 0)
                        fail_msg("%s: %s", schema, told.data);
                assert_int_equal(out.len, 0);
        }
}

#define PROPERTIES(text) "{\"type\":\"object\",\"properties\":{" text "}}"
#define STRING(name) "{\"type\":\"string\",\"x-mcp-header\":\"" name "\"}"
#define NO_NAME "its x-mcp-header is no name of a header field"
#define NO_TYPE "an x-mcp-header of what is no string, integer or boolean"
#define NO_WAY "an x-mcp-header is not reached by properties alone"
#define TWICE "two of its x-mcp-header are the same"

static void a_tool_with_an_invalid_annotation_is_cut_out(void **state) {
        static const struct {
                const char *schema;
                const char *why; /* NULL: it stays */
        } table[] = {
                /* the name */
                { PROPERTIES("\"a\":" STRING("Region")), NULL },
                { PROPERTIES("\"a\":" STRING("!#$%&'*+-.^_`|~09azAZ")), NULL },
                { PROPERTIES("\"a\":" STRING("\\u0052egion")), NULL },
                { PROPERTIES("\"a\":" STRING("")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("My Region")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("Region:Primary")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("R\xc3\xa9gion")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("Region\\t1")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("Region\\r\\nX: y")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("Region\\u0000")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("Region\\u007f")), NO_NAME },
                { PROPERTIES("\"a\":" STRING("\\ud800")), NO_NAME },
                { PROPERTIES("\"a\":{\"type\":\"string\",\"x-mcp-header\":5}"), NO_NAME },
                { PROPERTIES("\"a\":{\"type\":\"string\",\"x-mcp-header\":null}"), NO_NAME },
                { PROPERTIES("\"a\":{\"type\":\"string\",\"x-mcp-header\":[\"A\"]}"), NO_NAME },
                /* the type */
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":\"integer\"}"), NULL },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":\"boolean\"}"), NULL },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":\"object\"}"), NO_TYPE },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":\"array\"}"), NO_TYPE },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":\"null\"}"), NO_TYPE },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":\"number\"}"), NO_TYPE },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\",\"type\":[\"string\"]}"), NO_TYPE },
                { PROPERTIES("\"a\":{\"x-mcp-header\":\"A\"}"), NO_TYPE },
                /* twice */
                { PROPERTIES("\"a\":" STRING("A") ",\"b\":" STRING("B")), NULL },
                { PROPERTIES("\"a\":" STRING("A") ",\"b\":" STRING("A")), TWICE },
                { PROPERTIES("\"a\":" STRING("MyField") ",\"b\":" STRING("myFIELD")), TWICE },
                { PROPERTIES("\"a\":" STRING("A") ",\"b\":" PROPERTIES("\"c\":" STRING("a"))),
                  TWICE },
                /* the way to it */
                { PROPERTIES("\"a\":" PROPERTIES("\"b\":" PROPERTIES("\"c\":" STRING("A")))),
                  NULL },
                { "{\"type\":\"string\",\"x-mcp-header\":\"A\"}", NO_WAY },
                { PROPERTIES("\"a\":{\"type\":\"array\",\"items\":" STRING("A") "}"), NO_WAY },
                { PROPERTIES("\"a\":{\"items\":[true," STRING("A") "]}"), NO_WAY },
                { PROPERTIES("\"a\":{\"items\":" PROPERTIES("\"b\":" STRING("A")) "}"), NO_WAY },
                { "{\"allOf\":[" PROPERTIES("\"a\":" STRING("A")) "]}", NO_WAY },
                { "{\"anyOf\":[{}," PROPERTIES("\"a\":" STRING("A")) "]}", NO_WAY },
                { "{\"oneOf\":[" PROPERTIES("\"a\":" STRING("A")) "]}", NO_WAY },
                { "{\"not\":" PROPERTIES("\"a\":" STRING("A")) "}", NO_WAY },
                { "{\"if\":" PROPERTIES("\"a\":" STRING("A")) "}", NO_WAY },
                { "{\"then\":" PROPERTIES("\"a\":" STRING("A")) "}", NO_WAY },
                { "{\"else\":" PROPERTIES("\"a\":" STRING("A")) "}", NO_WAY },
                { "{\"additionalProperties\":" STRING("A") "}", NO_WAY },
                { "{\"patternProperties\":{\"^a\":" STRING("A") "}}", NO_WAY },
                { "{\"dependentSchemas\":{\"a\":" PROPERTIES("\"b\":" STRING("A")) "}}", NO_WAY },
                { "{\"$defs\":{\"d\":" STRING("A") "},\"properties\":{\"a\":{\"$ref\":"
                                                   "\"#/$defs/d\"}}}",
                  NO_WAY },
                { "{\"definitions\":{\"properties\":" STRING("A") "}}", NO_WAY },
                { PROPERTIES("\"a\\u0000\":" STRING("A")), "the property's name is no text" },
                /* no annotation at all */
                { "{}", NULL },
                { "true", NULL },
                { PROPERTIES("\"x-mcp-header\":{\"type\":\"object\"}"), NULL },
                { PROPERTIES("\"a\":{\"default\":{\"x-mcp-header\":\"\"}}"), NULL },
                { PROPERTIES("\"a\":{\"enum\":[{\"x-mcp-header\":\"\"}]}"), NULL },
                { PROPERTIES("\"a\":{\"const\":{\"properties\":{\"b\":{\"x-mcp-header\":\"\"}}}}"),
                  NULL },
                { "{\"examples\":[{\"x-mcp-header\":\"\"}],\"required\":[\"x-mcp-header\"]}",
                  NULL },
                { "{\"properties\":[{\"x-mcp-header\":\"\"}],\"items\":5,\"allOf\":{}}", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                judge(*state, table[i].schema, table[i].why);
}

/*
 * Every choice of up to five tools, with blanks that are all different: between two tools that stay
 * stands what stood before the second.
 */
static void all_bytes_but_those_of_the_dropped_stay(void **state) {
        static const char *const before[] = { " ", "\n", "  ", "", "\t" };
        static const char *const behind[] = { "", " ", "\r\n", "\t\t", "   " };
        static const char head[] = "{ \"a\":[1.50 ,\"\\u0061\"],\"tools\" : [";
        static const char tail[] = "] , \"nextCursor\":\"]\\\"\" , \"ttlMs\":1e2 }";

        assert_int_equal(catalog_ignore(*state, "drop"), 0);
        for (unsigned n = 0; n <= ARRAY_SIZE(before); n++) {
                for (unsigned keep = 0; keep < 1U << n; keep++) {
                        AUTO_BUF struct buf in = BUF_INIT;
                        AUTO_BUF struct buf expected = BUF_INIT;
                        AUTO_BUF struct buf told = BUF_INIT;
                        AUTO_BUF struct buf out = BUF_INIT;
                        bool any = false;

                        assert_int_equal(buf_append_str(&in, head), 0);
                        assert_int_equal(buf_printf(&expected, "%s%s", head, n ? before[0] : ""),
                                         0);
                        for (unsigned i = 0; i < n; i++) {
                                bool kept = keep >> i & 1;

                                assert_int_equal(buf_printf(&in,
                                                            "%s%s{ \"n\" : %u,\"name\":\"%s\" }%s",
                                                            i ? "," : "", before[i], i,
                                                            kept ? "keep" : "drop", behind[i]),
                                                 0);
                                if (kept && any)
                                        assert_int_equal(buf_printf(&expected, "%s,%s",
                                                                    behind[i - 1], before[i]),
                                                         0);
                                if (kept)
                                        assert_int_equal(
                                                buf_printf(&expected,
                                                           "{ \"n\" : %u,\"name\":\"keep\" }", i),
                                                0);
                                any |= kept;
                        }
                        assert_int_equal(buf_append_str(&in, tail), 0);
                        assert_int_equal(
                                buf_printf(&expected, "%s%s", n ? behind[n - 1] : "", tail), 0);
                        assert_int_equal(take(*state, in.data, false, &out, &told), 0);
                        if (keep == (1U << n) - 1)
                                assert_int_equal(out.len, 0);
                        else
                                assert_string_equal(out.data, expected.data);
                }
        }
}

static void what_is_no_list_of_tools_is_left_alone(void **state) {
        static const char *const table[] = {
                "{}",
                "[]",
                "null",
                "{\"tools\":5}",
                "{\"tools\":{}}",
                "{\"tools\":[]}",
                "{\"tools\":[5,null,{},{\"name\":5},{\"name\":\"\\ud800\"},[\"a\"]]}",
                "{\"more\":{\"tools\":[{\"name\":\"a\"}]}}",
        };

        assert_int_equal(catalog_ignore(*state, "*"), 0);
        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_BUF struct buf told = BUF_INIT;
                AUTO_BUF struct buf out = BUF_INIT;

                assert_int_equal(take(*state, table[i], true, &out, &told), 0);
                assert_int_equal(out.len, 0);
                assert_int_equal(told.len, 0);
        }
        assert_int_equal(catalog_take(*state, SPAN_NONE, true, &(struct buf){ 0 }, NULL, NULL), 0);
}

static void each_of_two_lists_is_looked_at(void **state) {
        AUTO_BUF struct buf told = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert_int_equal(catalog_ignore(*state, "a"), 0);
        assert_int_equal(take(*state,
                              "{\"tools\":[{\"name\":\"a\"},{\"name\":\"b\"}],"
                              "\"\\u0074ools\":[{\"name\":\"c\"},{\"name\":\"\\u0061\"}]}",
                              true, &out, &told),
                         0);
        assert_string_equal(out.data, "{\"tools\":[{\"name\":\"b\"}],"
                                      "\"\\u0074ools\":[{\"name\":\"c\"}]}");
        assert_string_equal(told.data, "a: ignored\na: ignored\n");
}

static void a_glob_matches_names(void **state) {
        static const struct {
                const char *glob;
                const char *name;
                bool matches;
        } table[] = {
                { "delete_repo", "delete_repo", true },
                { "delete_repo", "delete_repos", false },
                { "delete_*", "delete_", true },
                { "delete_*", "undelete_x", false },
                { "*_delete", "a_delete", true },
                { "*del*", "undelete", true },
                { "*a*b*c", "xaxbxbc", true },
                { "*a*b*c", "xaxbxbcd", false },
                { "*ab", "aab", true },
                { "DELETE*", "delete_x", true },
                { "delete*", "Delete_X", true },
                { "a?c", "abc", true },
                { "a?c", "ac", false },
                { "?", "", false },
                { "*", "", true },
                { "", "", true },
                { "", "a", false },
                { "**", "anything", true },
                { "[a]", "a", false },
                { "[a]", "[a]", true },
                { "a\\*", "a*", false },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                AUTO_CATALOG struct catalog *c = catalog_new();

                assert_non_null(c);
                assert_false(catalog_ignores(c, table[i].name));
                assert_int_equal(catalog_ignore(c, "another"), 0);
                assert_int_equal(catalog_ignore(c, table[i].glob), 0);
                if (catalog_ignores(c, table[i].name) != table[i].matches)
                        fail_msg("%s, %s", table[i].glob, table[i].name);
        }
}

static void headers_are_remembered_with_their_paths(void **state) {
        const struct catalog_tool *t;

        judge(*state,
              "{\"properties\":{\"a\":" STRING(
                      "One") ","
                             "\"\\u0062\":{\"properties\":{\"e\":{},\"c.d\":" STRING(
                                     "Two") "}},"
                                            "\"f\":" STRING("Three") "}}",
              NULL);
        t = catalog_find(*state, "t");
        assert_non_null(t);
        assert_int_equal(t->n_headers, 3);
        assert_string_equal(t->headers[0].name, "Mcp-Param-One");
        assert_int_equal(t->headers[0].n_path, 1);
        assert_string_equal(t->headers[0].path[0], "a");
        assert_string_equal(t->headers[1].name, "Mcp-Param-Two");
        assert_int_equal(t->headers[1].n_path, 2);
        assert_string_equal(t->headers[1].path[0], "b");
        assert_string_equal(t->headers[1].path[1], "c.d");
        assert_string_equal(t->headers[2].name, "Mcp-Param-Three");
        assert_string_equal(t->headers[2].path[0], "f");
        assert_null(catalog_find(*state, "valid_tool"));
        assert_null(catalog_find(*state, "T"));
}

static void a_new_list_replaces_what_was_known(void **state) {
        judge(*state, PROPERTIES("\"a\":" STRING("One")), NULL);
        judge(*state, PROPERTIES("\"a\":" STRING("Two")), NULL);
        assert_int_equal(catalog_find(*state, "t")->n_headers, 1);
        assert_string_equal(catalog_find(*state, "t")->headers[0].name, "Mcp-Param-Two");
        judge(*state, PROPERTIES("\"a\":{}"), NULL);
        assert_null(catalog_find(*state, "t"));
        judge(*state, PROPERTIES("\"a\":" STRING("Two")), NULL);
        judge(*state, PROPERTIES("\"a\":" STRING("")), NO_NAME);
        assert_null(catalog_find(*state, "t"));
}

static void in_older_revisions_the_annotation_means_nothing(void **state) {
        static const char list[] =
                "{\"tools\":[{\"name\":\"t\",\"inputSchema\":{"
                "\"properties\":{\"a\":" STRING("") "}}},"
                                                    "{\"name\":\"u\",\"inputSchema\":{"
                                                    "\"properties\":{\"a\":" STRING("A") "}}}]}";
        AUTO_BUF struct buf told = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        assert_int_equal(take(*state, list, false, &out, &told), 0);
        assert_int_equal(out.len, 0);
        assert_null(catalog_find(*state, "u"));
        assert_int_equal(take(*state, list, true, &out, &told), 0);
        assert_string_equal(told.data, "t: " NO_NAME "\n");
        assert_non_null(catalog_find(*state, "u"));
}

/* S9 */
static void a_tool_has_a_bounded_number_of_headers(void **state) {
        AUTO_BUF struct buf schema = BUF_INIT;

        for (unsigned over = 0; over <= 1; over++) {
                buf_clear(&schema);
                assert_int_equal(buf_append_str(&schema, "{\"properties\":{"), 0);
                for (unsigned i = 0; i < LIMIT_TOOL_HEADERS + over; i++)
                        assert_int_equal(buf_printf(&schema,
                                                    "%s\"p%u\":{\"type\":\"string\","
                                                    "\"x-mcp-header\":\"H%u\"}",
                                                    i ? "," : "", i, i),
                                         0);
                assert_int_equal(buf_append_str(&schema, "}}"), 0);
                judge(*state, schema.data, over ? "too many x-mcp-header" : NULL);
        }
}

/* @levels of properties, with @leaf in the innermost. */
static void nest(struct buf *schema, unsigned levels, const char *leaf) {
        for (unsigned i = 0; i < levels; i++)
                assert_int_equal(buf_append_str(schema, "{\"properties\":{\"p\":"), 0);
        assert_int_equal(buf_append_str(schema, leaf), 0);
        for (unsigned i = 0; i < levels; i++)
                assert_int_equal(buf_append_str(schema, "}}"), 0);
}

/* S9 */
static void a_schema_is_followed_to_a_bounded_depth(void **state) {
        unsigned deepest = LIMIT_SCHEMA_LEVELS / 2 - 1;

        for (unsigned levels = deepest - 1; levels <= deepest + 50; levels++) {
                AUTO_BUF struct buf schema = BUF_INIT;
                AUTO_BUF struct buf harmless = BUF_INIT;

                nest(&schema, levels, STRING("A"));
                judge(*state, schema.data,
                      levels > deepest ? "an x-mcp-header is nested too deeply" : NULL);
                nest(&harmless, levels, "{\"type\":\"string\"}");
                judge(*state, harmless.data, NULL);
        }
}

static void take_one(struct catalog *c, const char *name, const char *property, const char *why) {
        AUTO_BUF struct buf list = BUF_INIT;
        AUTO_BUF struct buf told = BUF_INIT;
        AUTO_BUF struct buf out = BUF_INIT;

        buf_init(&list, 2 * LIMIT_CATALOG_BYTES);
        buf_init(&out, 2 * LIMIT_CATALOG_BYTES);
        assert_int_equal(buf_append_str(&told, ""), 0);
        assert_int_equal(buf_printf(&list,
                                    "{\"tools\":[{\"name\":\"%s\",\"inputSchema\":{\"properties\":"
                                    "{\"%s\":" STRING("A") "}}}]}",
                                    name, property),
                         0);
        assert_int_equal(take(c, list.data, true, &out, &told), 0);
        if (!why) {
                assert_string_equal(told.data, "");
                assert_non_null(catalog_find(c, name));
        } else {
                assert_non_null(strstr(told.data, why));
                assert_string_equal(out.data, "{\"tools\":[]}");
                assert_null(catalog_find(c, name));
        }
}

/* S9 */
static void a_bounded_number_of_tools_is_remembered(void **state) {
        char name[32];

        for (unsigned i = 0; i < LIMIT_TOOLS; i++) {
                (void)snprintf(name, sizeof(name), "t%u", i);
                take_one(*state, name, "a", NULL);
        }
        take_one(*state, "other", "a", "too many tools");
        take_one(*state, "t0", "a", NULL); /* what is known has its place */
        assert_non_null(catalog_find(*state, "t1"));
}

/* S9 */
static void a_bounded_number_of_bytes_is_remembered(void **state) {
        size_t len = LIMIT_CATALOG_BYTES - 1000;
        AUTO_FREE char *property = malloc(len + 1);

        assert_non_null(property);
        for (size_t i = 0; i < len; i++)
                property[i] = 'p';
        property[len] = '\0';
        take_one(*state, "large", property, NULL);
        property[1000] = '\0';
        take_one(*state, "small", property, "too many tools");
        take_one(*state, "large", "a", NULL);
        take_one(*state, "small", property, NULL); /* and what is forgotten makes room */
}

static int take_once(void *userdata) {
        static const char list[] =
                "{\"tools\":[{\"name\":\"ignored\"},"
                "{\"name\":\"bad\",\"inputSchema\":{\"properties\":{"
                "\"a\":" STRING("A") ",\"b\":" STRING(
                        "A") "}}},"
                             "{\"name\":\"good\",\"inputSchema\":{\"properties\":{"
                             "\"a\":" STRING("A") ",\"b\":{\"properties\":{"
                                                  "\"c\":" STRING("B") "}}}}}]}";
        AUTO_CATALOG struct catalog *c = catalog_new();
        AUTO_BUF struct buf out = BUF_INIT;
        int r;

        if (!c)
                return -ENOMEM;
        r = catalog_ignore(c, "ignored");
        r = r < 0 ? r : catalog_take(c, span_of(list), true, &out, NULL, NULL);
        if (r == 0)
                assert_int_equal(catalog_find(c, "good")->n_headers, 2);
        return r;
}

static void each_failed_allocation_is_reported(void **state) {
        assert_true(oom_sweep(take_once, NULL) > 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(a_tool_with_an_invalid_annotation_is_cut_out,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(all_bytes_but_those_of_the_dropped_stay, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(what_is_no_list_of_tools_is_left_alone, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(each_of_two_lists_is_looked_at, set_up, tear_down),
                cmocka_unit_test(a_glob_matches_names),
                cmocka_unit_test_setup_teardown(headers_are_remembered_with_their_paths, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_new_list_replaces_what_was_known, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(in_older_revisions_the_annotation_means_nothing,
                                                set_up, tear_down),
                cmocka_unit_test_setup_teardown(a_tool_has_a_bounded_number_of_headers, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_schema_is_followed_to_a_bounded_depth, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_bounded_number_of_tools_is_remembered, set_up,
                                                tear_down),
                cmocka_unit_test_setup_teardown(a_bounded_number_of_bytes_is_remembered, set_up,
                                                tear_down),
                cmocka_unit_test(each_failed_allocation_is_reported),
        };

        return cmocka_run_group_tests_name("connect-catalog", tests, NULL, NULL);
}
