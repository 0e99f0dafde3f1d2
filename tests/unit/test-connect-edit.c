/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/edit.h"

#include "oom.h"
#include "spans.h"

typedef int (*edit_fn)(struct buf *out, struct span text, const struct edit_entry *e,
                       enum edit_change *ret, struct edit_fault *fault);

static const char *const against[] = { "url", "args", "cmd", NULL };

/* What a bridge is written as. */
static const struct edit_entry bridge = {
        .table = "servers",
        .inner = "inner",
        .name = "x",
        .members = { { "command", EDIT_TEXT, { "/c" }, 1, false },
                     { "args", EDIT_LIST, { "https://h/m" }, 1, false } },
        .n_members = 2,
        .against = against,
};
/* What goose has, and opencode's list. */
static const struct edit_entry goose = {
        .table = "servers",
        .name = "x",
        .members = { { "type", EDIT_TEXT, { "stdio" }, 1, false },
                     { "command", EDIT_LIST, { "/c", "https://h/m" }, 2, false },
                     { "enabled", EDIT_TRUE, { NULL }, 0, false } },
        .n_members = 3,
        .against = against,
};

struct change {
        const struct edit_entry *entry;
        const char *before;
        enum edit_change change;
        const char *after; /* NULL: nothing is written */
};

static void check(edit_fn fn, const struct change *c) {
        AUTO_BUF struct buf out = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        struct edit_fault fault = { 0 };
        enum edit_change change = EDIT_SAME;
        int r = fn(&out, span_of(c->before), c->entry, &change, &fault);

        if (r < 0)
                fail_msg("%s\n-- line %u: %s", c->before, fault.line, fault.why);
        assert_string_equal(out.data ? out.data : "", c->after ? c->after : "");
        assert_int_equal(change, c->change);
        if (!c->after)
                return;
        assert_int_equal(fn(&again, span_of(c->after), c->entry, &change, &fault), 0);
        assert_int_equal(change, EDIT_SAME);
        assert_int_equal(again.len, 0);
}

static void refused(edit_fn fn, const struct edit_entry *e, const char *text, size_t len,
                    unsigned line, const char *why) {
        AUTO_BUF struct buf out = BUF_INIT;
        struct edit_fault fault = { 0 };
        enum edit_change change = EDIT_SAME;

        assert_int_equal(buf_append_str(&out, "kept"), 0);
        assert_int_equal(fn(&out, (struct span){ text, len }, e, &change, &fault), -EBADMSG);
        assert_string_equal(out.data, "kept");
        assert_string_equal(fault.why, why);
        assert_int_equal(fault.line, line);
}

/* --- JSON ----------------------------------------------------------------------------------- */

#define X2 "\"x\": {\n      \"command\": \"/c\",\n      \"args\": [\"https://h/m\"]\n    }"
#define X_LINE "\"x\": {\"command\": \"/c\", \"args\": [\"https://h/m\"]}"
#define FRESH "{\n  \"servers\": {\n    " X2 "\n  }\n}\n"

static void json_gets_an_entry_and_keeps_the_rest(void **state) {
        static const struct change table[] = {
                { &bridge, "", EDIT_ADDED, FRESH },
                { &bridge, "\n", EDIT_ADDED, "\n" FRESH },
                { &bridge, "// mine", EDIT_ADDED, "// mine\n" FRESH },
                { &bridge, EDIT_BOM, EDIT_ADDED, EDIT_BOM FRESH },
                { &bridge, "{}", EDIT_ADDED, "{\n  \"servers\": {\n    " X2 "\n  }\n}" },
                { &bridge, "{\n  \"a\": 1e400\n}\n", EDIT_ADDED,
                  "{\n  \"a\": 1e400,\n  \"servers\": {\n    " X2 "\n  }\n}\n" },
                { &bridge, "{\"servers\":{\"y\":{}},\"z\":\"}\"}", EDIT_ADDED,
                  "{\"servers\":{\"y\":{}, " X_LINE "},\"z\":\"}\"}" },
                { &bridge, "{\"z\":1}", EDIT_ADDED, "{\"z\":1, \"servers\": {" X_LINE "}}" },
                /* comments, a comma at the end, tabs: all stay */
                { &bridge,
                  "// top, {\n{\n\t\"servers\": { // all\n\t\t\"y\": {\"command\": \"npx\",}, // "
                  "b,\n"
                  "\t\t/* last } */\n\t},\n\t\"u\": \"// no */\",\n}\n",
                  EDIT_ADDED,
                  "// top, {\n{\n\t\"servers\": { // all\n\t\t\"y\": {\"command\": \"npx\",}, // "
                  "b,\n"
                  "\t\t/* last } */\n\t\t\"x\": {\n\t\t\t\"command\": \"/c\",\n\t\t\t\"args\": "
                  "[\"https://h/m\"]\n\t\t},\n\t},\n\t\"u\": \"// no */\",\n}\n" },
                { &bridge, "{\n  \"servers\": {\n    \"y\": {} // b, c\n  }\n}", EDIT_ADDED,
                  "{\n  \"servers\": {\n    \"y\": {}, // b, c\n    " X2 "\n  }\n}" },
                { &bridge, "{\n  \"servers\": {\n    // none\n  }\n}", EDIT_ADDED,
                  "{\n  \"servers\": {\n    // none\n    " X2 "\n  }\n}" },
                { &bridge, "{\r\n\t\"a\": 1\r\n}\r\n", EDIT_ADDED,
                  "{\r\n\t\"a\": 1,\r\n\t\"servers\": {\r\n\t\t\"x\": {\r\n\t\t\t\"command\": "
                  "\"/c\",\r\n\t\t\t\"args\": [\"https://h/m\"]\r\n\t\t}\r\n\t}\r\n}\r\n" },
                { &goose, "{}", EDIT_ADDED,
                  "{\n  \"servers\": {\n    \"x\": {\n      \"type\": \"stdio\",\n      "
                  "\"command\": [\"/c\", \"https://h/m\"],\n      \"enabled\": true\n    }\n  "
                  "}\n}" },
                /* of duplicates the last counts, as for parsers */
                { &bridge, "{\"servers\":1,\"servers\":{\"y\":0}}", EDIT_ADDED,
                  "{\"servers\":1,\"servers\":{\"y\":0, " X_LINE "}}" },
                /* where the entries are one step deeper */
                { &bridge, "{\"servers\":{\"inner\":{\"y\":{}}}}", EDIT_ADDED,
                  "{\"servers\":{\"inner\":{\"y\":{}, " X_LINE "}}}" },
                { &bridge, "{\"servers\":{\"inner\":{\"type\":\"local\"}}}", EDIT_ADDED,
                  "{\"servers\":{\"inner\":{\"type\":\"local\"}, " X_LINE "}}" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                check(edit_json, &table[i]);
}

static void json_has_an_entry_replaced_unless_it_says_the_same(void **state) {
        static const struct change table[] = {
                { &bridge,
                  "{\n  \"servers\": {\n    \"x\": {\n      \"command\": \"npx\" // old\n    }, // "
                  "mine\n    \"y\": {}\n  }\n}",
                  EDIT_REPLACED,
                  "{\n  \"servers\": {\n    " X2 ", // mine\n    \"y\": {}\n  }\n}" },
                { &bridge, "{\"servers\":{\"x\":7}}", EDIT_REPLACED,
                  "{\"servers\":{"
                  "\"x\":{\"command\": \"/c\", \"args\": [\"https://h/m\"]}}}" },
                { &bridge, "{\"servers\":{" X_LINE "}}", EDIT_SAME, NULL },
                { &bridge,
                  "{\"servers\":{\"\\u0078\":{\"t\":1,\"args\":[\"https:\\/\\/h\\/m\",],"
                  "\"command\":\"/c\"}}}",
                  EDIT_SAME, NULL },
                { &bridge,
                  "{\"servers\":{\"x\":{\"url\":\"u\",\"command\":\"/c\",\"args\":[\"https://h/m\"]"
                  "}}}",
                  EDIT_REPLACED,
                  "{\"servers\":{\"x\":{\"command\": \"/c\", \"args\": [\"https://h/m\"]}}}" },
                { &bridge,
                  "{\"servers\":{\"x\":{\"command\":\"/c\",\"args\":[\"https://h/m\",\"b\"]}}}",
                  EDIT_REPLACED,
                  "{\"servers\":{\"x\":{\"command\": \"/c\", \"args\": [\"https://h/m\"]}}}" },
                { &goose,
                  "{\"servers\":{\"x\":{\"type\":\"stdio\",\"command\":[\"/c\",\"https://h/m\"],"
                  "\"enabled\":true}}}",
                  EDIT_SAME, NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                check(edit_json, &table[i]);
}

static void json_that_is_not_understood_is_refused(void **state) {
        static const struct {
                const char *text;
                unsigned line;
                const char *why;
        } table[] = {
                { "[]", 0, "it is no object" },
                { "{\"a\":1", 0, "cut off" },
                { "{\"a\":1}}", 0, "something stands behind the value" },
                { "{\"a\":[,]}", 0, "not JSON" },
                { "{\"a\":[1,,]}", 0, "not JSON" },
                { "{\n /* a\n * b }", 2, "a comment has no end" },
                { "{\n\"servers\": []}", 2, "what should hold the servers is no object" },
                { "{\"servers\": null}", 1, "what should hold the servers is no object" },
                { "{\"\xff\":1}", 0, "it is not UTF-8" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                refused(edit_json, &bridge, table[i].text, strlen(table[i].text), table[i].line,
                        table[i].why);
        refused(edit_json, &bridge, "{}\n\0", 4, 2, "it has a NUL byte");
}

/* --- TOML ----------------------------------------------------------------------------------- */

#define TX "[servers.x]\ncommand = \"/c\"\nargs = [\"https://h/m\"]\n"

static void toml_gets_an_entry_and_keeps_the_rest(void **state) {
        static const struct change table[] = {
                { &bridge, "", EDIT_ADDED, TX },
                { &bridge, "a = 1", EDIT_ADDED, "a = 1\n\n" TX },
                { &bridge, "a = 1\r\n", EDIT_ADDED,
                  "a = 1\r\n\r\n[servers.x]\r\ncommand = \"/c\"\r\nargs = [\"https://h/m\"]\r\n" },
                { &bridge,
                  "m = \"x\" # c\nd = 1979-05-27 07:32:00Z\nf = -1.5e+3\n[servers]\n[servers.y]\n"
                  "args = [ 'a', # ]\n  \"b\\\"]\", ]\nenv = { \"A B\" = 1, c.d = {} }\n"
                  "[[z]]\ns = \"\"\"\n[servers.x]\n\\\"\"\"\"\"\nt = '''it''s'''\n# end",
                  EDIT_ADDED,
                  "m = \"x\" # c\nd = 1979-05-27 07:32:00Z\nf = -1.5e+3\n[servers]\n[servers.y]\n"
                  "args = [ 'a', # ]\n  \"b\\\"]\", ]\nenv = { \"A B\" = 1, c.d = {} }\n"
                  "[[z]]\ns = \"\"\"\n[servers.x]\n\\\"\"\"\"\"\nt = '''it''s'''\n# end\n\n" TX },
                { &bridge, "[a]\nservers = 1\nx.y = 2\n", EDIT_ADDED,
                  "[a]\nservers = 1\nx.y = 2\n\n" TX },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                check(edit_toml, &table[i]);
}

static void toml_has_an_entry_replaced_unless_it_says_the_same(void **state) {
        static const struct change table[] = {
                { &bridge,
                  "[a]\n# about x\n  [servers.x] # npx\nurl = \"https://h/m\"\n\n# about y\n"
                  "[servers.y]\nb = 1\n[servers.x.env]\nA = \"1\"\n# end\n",
                  EDIT_REPLACED, "[a]\n# about x\n" TX "\n# about y\n[servers.y]\nb = 1\n# end\n" },
                { &bridge, "[servers.x]\ncommand = '/c'\nargs = [\"https://h/m\", \"b\"]",
                  EDIT_REPLACED, TX },
                { &bridge, "[servers.x]\ncommand = \"\"\"/c\"\"\"\nargs = ['https://h/m']",
                  EDIT_REPLACED, TX },
                { &bridge, "[servers.x.env]\nA = \"1\"\n", EDIT_REPLACED, TX },
                { &bridge,
                  "[ servers . \"x\" ]\nargs = [\n 'https://h/m', # u\n]\ncommand = \"\\u002fc\"\n"
                  "startup_timeout_sec = 30\n[servers.x.env]\nA = \"1\"\n",
                  EDIT_SAME, NULL },
                { &bridge, TX "url = \"u\"\n", EDIT_REPLACED, TX },
                { &goose,
                  "[servers.x]\nenabled = true\ntype = 'stdio'\ncommand = ['/c', 'https://h/m']\n",
                  EDIT_SAME, NULL },
                { &goose,
                  "[servers.x]\nenabled = false\ntype = 'stdio'\ncommand = ['/c', 'https://h/m']\n",
                  EDIT_REPLACED,
                  "[servers.x]\ntype = \"stdio\"\ncommand = [\"/c\", \"https://h/m\"]\nenabled = "
                  "true\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                check(edit_toml, &table[i]);
}

static void toml_that_is_not_understood_is_refused(void **state) {
        static const char elsewhere[] =
                "the servers are not written as [tables] here; put the entry in by hand";
        static const struct {
                const char *text;
                unsigned line;
                const char *why;
        } table[] = {
                { "a = 1\nb\n", 2, "a '=' is expected here" },
                { "a = \n", 1, "a value is expected here" },
                { "a = \"b\n\"", 1, "a string has no end" },
                { "a = \"b\\", 1, "a string has no end" },
                { "\na = '''b\n'", 2, "a string has no end" },
                { "a = [1 2\n", 2, "an array has no end" },
                { "a = {b = 1", 1, "an inline table has no end" },
                { "a = 1 \"b\"\n", 1, "something stands behind the end of the statement" },
                { "[a\nb = 1\n", 1, "a table's name has no end" },
                { "= 1\n", 1, "a key is expected here" },
                { "servers = {}\n", 2, elsewhere },
                { "servers.y.command = 'a'\n", 2, elsewhere },
                { "[servers]\nx = { command = '/c' }\n", 3, elsewhere },
                { "[servers]\nx.command = '/c'\n", 3, elsewhere },
                { "[[servers]]\n", 2, "what should hold the servers is an array of tables" },
                { "[servers.\"\\u0078\"]\n", 2,
                  "a table's name is written with escapes; write it without" },
                { "\"\\u0073ervers\" = 1\n", 2, "a key is written with escapes; write it without" },
        };
        char deep[200];

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                refused(edit_toml, &bridge, table[i].text, strlen(table[i].text), table[i].line,
                        table[i].why);
        (void)snprintf(deep, sizeof(deep), "a = %0*d", 100, 0);
        for (size_t i = 4; i < 104; i++)
                deep[i] = '[';
        refused(edit_toml, &bridge, deep, strlen(deep), 1, "nested too deeply");
        refused(edit_toml, &bridge, "a = \0", 5, 1, "it has a NUL byte");
}

/* --- YAML ----------------------------------------------------------------------------------- */

#define YX "  \"x\":\n    command: \"/c\"\n    args: [\"https://h/m\"]\n"

static void yaml_gets_an_entry_and_keeps_the_rest(void **state) {
        static const struct change table[] = {
                { &bridge, "", EDIT_ADDED, "servers:\n" YX },
                { &bridge, "a: 1", EDIT_ADDED, "a: 1\nservers:\n" YX },
                { &bridge, "---\na: \"x: # y\"\r\n", EDIT_ADDED,
                  "---\na: \"x: # y\"\r\nservers:\n" YX },
                { &bridge, "servers:\nz: 1\n", EDIT_ADDED, "servers:\n" YX "z: 1\n" },
                { &bridge, "servers: {} # none\nz: 1\n", EDIT_ADDED,
                  "servers:  # none\n" YX "z: 1\n" },
                { &bridge, "servers: null", EDIT_ADDED, "servers: \n" YX },
                /* what looks like an entry stands in a text */
                { &bridge,
                  "servers:\n  y:\n    - - t: >+\n          x:\n     # z\n    - !!str \"a\n    x: "
                  "\\\"\n    b\" # \"\n    - [ 'it''s', { c: d, # ]\n    x: 1 }]\n",
                  EDIT_ADDED,
                  "servers:\n  y:\n    - - t: >+\n          x:\n     # z\n    - !!str \"a\n    x: "
                  "\\\"\n    b\" # \"\n    - [ 'it''s', { c: d, # ]\n    x: 1 }]\n" YX },
                { &bridge,
                  "# top\nk: |\n  servers:\n    x:\nl:\n- a: b\n  servers: 2\n- c\nservers:\n"
                  "    y:\n        cmd: npx # c\n        args:\n        - -y\n        t: >-\n"
                  "            x:\n    # about z\n    z: {a: b,\n      c: d}\n\n# after\nm: {}\n",
                  EDIT_ADDED,
                  "# top\nk: |\n  servers:\n    x:\nl:\n- a: b\n  servers: 2\n- c\nservers:\n"
                  "    y:\n        cmd: npx # c\n        args:\n        - -y\n        t: >-\n"
                  "            x:\n    # about z\n    z: {a: b,\n      c: d}\n    \"x\":\n"
                  "      command: \"/c\"\n      args: [\"https://h/m\"]\n\n# after\nm: {}\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                check(edit_yaml, &table[i]);
}

static void yaml_has_an_entry_replaced_unless_it_says_the_same(void **state) {
        static const struct change table[] = {
                { &bridge,
                  "servers:\n  x:\n    cmd: npx\n    envs:\n      A: b\n\n  # about y\n  y: {}\n",
                  EDIT_REPLACED, "servers:\n" YX "\n  # about y\n  y: {}\n" },
                { &bridge, "servers:\n  x: {command: /c, args: ['https://h/m']}\n", EDIT_REPLACED,
                  "servers:\n" YX },
                { &bridge, "servers:\n  x:\n    command: /c\n      d\n    args: [https://h/m]",
                  EDIT_REPLACED, "servers:\n" YX },
                { &bridge,
                  "servers:\n  x:\n    command: /c\n    args:\n    - https://h/m\n    - b\n",
                  EDIT_REPLACED, "servers:\n" YX },
                { &bridge,
                  "servers:\n  x:\n    command: /c\n    args: [https://h/m]\n    args: []\n",
                  EDIT_REPLACED, "servers:\n" YX },
                { &bridge,
                  "servers:\n  'x' :\n    timeout: 300\n    args: # one\n      - 'https://h/m' # "
                  "u\n"
                  "    command: \"\\u002fc\"\n",
                  EDIT_SAME, NULL },
                { &goose,
                  "servers:\n  x:\n    type: stdio\n    command: [ /c , \"https://h/m\" ] # c\n"
                  "    enabled: true\n    bundled: null\n",
                  EDIT_SAME, NULL },
                { &goose,
                  "servers:\n  x:\n    command:\n    - /c\n    - https://h/m\n    type: stdio\n"
                  "    enabled: true\n    url: u\n",
                  EDIT_REPLACED,
                  "servers:\n  \"x\":\n    type: \"stdio\"\n    command: [\"/c\", "
                  "\"https://h/m\"]\n"
                  "    enabled: true\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                check(edit_yaml, &table[i]);
}

static void yaml_that_is_not_understood_is_refused(void **state) {
        static const char expected[] = "a name with a colon is expected here";
        static const char not_read[] = "what holds the extensions is not read here";
        static const char documents[] = "there is more than one document";
        static const char escapes[] = "a name is written with escapes; write it without";
        static const struct {
                const char *text;
                unsigned line;
                const char *why;
        } table[] = {
                { "a\n", 1, expected },
                { "{a: 1}\n", 1, expected },
                { "- a\n", 1, expected },
                { "a: 1\n- b\n", 2, expected },
                { "a: [\n]\n", 2, "a value goes on, and is not indented" },
                { "a #b: c\n", 1, expected },
                { "\"a\n", 1, expected },
                { "servers:\n- x\n", 2, expected },
                { "servers:\n  - x\n", 2, expected },
                { "servers: [x]\n", 1, not_read },
                { "servers: &a\n  y: 1\n", 1, not_read },
                { "servers: {}\n  y: 1\n", 2, not_read },
                { "servers:\n    y: 1\n  z: 2\n", 3,
                  "this line is not indented like its neighbours" },
                { "servers:\n  y: \"a\n  x: b\"\n", 3, "a value goes on, and is not indented" },
                { "servers:\n  y:\n    z: [a,\n  x: b]\n", 4,
                  "a value goes on, and is not indented" },
                { "servers:\n  x:\n    command: /c\n    args: [https://h/m\n", 5,
                  "a value has no end" },
                { "a: {b: ']}',\n  c: d\n", 3, "a value has no end" },
                { "servers:\n  y: 1\nservers:\n", 3, "the extensions are there twice" },
                { "servers:\n  x: 1\n  x: 2\n", 3, "the entry is there twice" },
                { "servers:\n\ty: 1\n", 2, "a line is indented with a tab" },
                { "  a: 1\n", 1, "the first line is indented" },
                { "---\n---\na: 1\n", 2, documents },
                { "a: 1\n---\nb: 1\n", 2, documents },
                { "a: 1\n...\n", 2, documents },
                { "a: |\n  b\n---\nc: d\n", 3, documents },
                { "%YAML 1.2\n---\na: 1\n", 1, documents },
                { "\"\\x73ervers\": 1\n", 1, escapes },
                { "servers:\n  \"\\x78\": 1\n", 2, escapes },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                refused(edit_yaml, &bridge, table[i].text, strlen(table[i].text), table[i].line,
                        table[i].why);
        refused(edit_yaml, &bridge, "a: \0", 4, 1, "it has a NUL byte");
}

/* --- all ------------------------------------------------------------------------------------ */

/* Cut at any byte, each is refused or understood, and what was understood is found again. */
static void a_text_that_is_cut_is_never_misread(void **state) {
        static const struct {
                edit_fn fn;
                const char *text;
        } table[] = {
                { edit_json,
                  "{\n \"a\": \"\\\"//\", /* } */ \"servers\": {\"y\": [1,], // z\n }\n}" },
                { edit_toml,
                  "a = 'b' # c\n[servers.y]\nc = [\"\\\"\", { d = '''e''' },\n]\n[[f.g]]\n" },
                { edit_yaml,
                  "a: 'b' # c\nservers:\n  y:\n    c:\n    - d\n  \"z\": [e]\n# f\ng: |\n  h\n" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                for (size_t len = 0; len <= strlen(table[i].text); len++) {
                        AUTO_BUF struct buf out = BUF_INIT;
                        AUTO_BUF struct buf again = BUF_INIT;
                        struct edit_fault fault = { 0 };
                        enum edit_change change = EDIT_SAME;
                        char *cut = strndup(table[i].text, len); /* exact, for a sanitizer */
                        struct span text = { cut, len };
                        int r = table[i].fn(&out, text, &bridge, &change, &fault);

                        assert_true(r == 0 || r == -EBADMSG);
                        assert_int_equal(r < 0, fault.why != NULL);
                        if (r == 0) {
                                assert_int_equal(change, EDIT_ADDED);
                                text = (struct span){ out.data, out.len };
                                assert_int_equal(
                                        table[i].fn(&again, text, &bridge, &change, &fault), 0);
                                assert_int_equal(change, EDIT_SAME);
                        }
                        free(cut);
                }
        }
}

struct oom_case {
        edit_fn fn;
        const char *text;
};

static int edit_once(void *userdata) {
        const struct oom_case *c = userdata;
        AUTO_BUF struct buf out = BUF_INIT;
        struct edit_fault fault = { 0 };
        enum edit_change change = EDIT_SAME;
        int r = c->fn(&out, span_of(c->text), &bridge, &change, &fault);

        assert_true(r == 0 || out.len == 0);
        return r;
}

static void no_allocation_is_taken_for_granted(void **state) {
        struct oom_case table[] = {
                { edit_json, "" },
                { edit_json, "{}" },
                { edit_json, "{\"servers\":{\"y\":{}}}" },
                { edit_json, "{\n\"servers\":{\n\"x\":{}\n}}" },
                { edit_toml, "a = 1" },
                { edit_toml, "[servers.x]\n[b]\n" },
                { edit_yaml, "a: 1" },
                { edit_yaml, "servers: {}\nb: 1" },
                { edit_yaml, "servers:\n  x:\nb: 1" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                assert_true(oom_sweep(edit_once, &table[i]) > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(json_gets_an_entry_and_keeps_the_rest),
                cmocka_unit_test(json_has_an_entry_replaced_unless_it_says_the_same),
                cmocka_unit_test(json_that_is_not_understood_is_refused),
                cmocka_unit_test(toml_gets_an_entry_and_keeps_the_rest),
                cmocka_unit_test(toml_has_an_entry_replaced_unless_it_says_the_same),
                cmocka_unit_test(toml_that_is_not_understood_is_refused),
                cmocka_unit_test(yaml_gets_an_entry_and_keeps_the_rest),
                cmocka_unit_test(yaml_has_an_entry_replaced_unless_it_says_the_same),
                cmocka_unit_test(yaml_that_is_not_understood_is_refused),
                cmocka_unit_test(a_text_that_is_cut_is_never_misread),
                cmocka_unit_test(no_allocation_is_taken_for_granted),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
