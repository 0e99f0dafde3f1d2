/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"
#include "base/limits.h"
#include "oom.h"
#include "policy/policy.h"
#include "test.h"

static int load_text(struct policy **ret, bool language, enum policy_layer layer, const char *text,
                     struct error *err) {
        struct policy_file file = { layer, "/etc/x/50-t.conf", text, strlen(text) };

        return language ? policy_load_language(ret, &file, 1, err)
                        : policy_load(ret, &file, 1, err);
}

/* A decision about @server by a peer of uid 1000, where one rule's line is "Server=@glob". */
static enum policy_effect decide_server(const char *glob, const char *server) {
        AUTO_POLICY struct policy *p = NULL;
        AUTO_FACTS struct facts *f = facts_new();
        AUTO_DECISION struct decision d = DECISION_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct policy_request q = { .server = server };
        struct error err = ERROR_INIT;

        assert_non_null(f);
        assert_int_equal(buf_printf(&text, "[Rule r]\nServer=%s\n", glob), 0);
        if (load_text(&p, false, POLICY_USER, text.data, &err) < 0)
                fail_msg("%s", err.message);
        assert_int_equal(facts_set(f, "agent.uid", FACT_KERNEL, "1000"), 0);
        assert_int_equal(policy_decide(p, f, &q, &d), 0);
        return d.effect;
}

/* S5 */
static void a_server_is_matched_component_by_component(void **state) {
        static const struct {
                const char *glob;
                const char *server;
                bool matches;
        } table[] = {
                { "https://*.home.arpa/*", "https://a.home.arpa/mcp", true },
                { "https://*.home.arpa/*", "https://evil.example/x.home.arpa/mcp", false },
                { "https://*.home.arpa/*", "https://evil.example?x.home.arpa/mcp", false },
                { "https://*.corp.example", "https://a.b.corp.example/x", true },
                { "https://*.corp.example", "https://corp.example/x", false },
                { "https://*.corp.example", "https://xcorp.example/x", false },
                { "https://corp.example", "https://corp.example.evil.example/", false },
                { "https://corp.example", "https://corp.example@evil.example/", false },
                { "https://a.example/mcp", "HTTPS://A.Example:443/mcp", true },
                { "https://A.Example/mcp", "https://a.example/mcp", true },
                { "https://a.example/mcp", "https://a.example/MCP", false },
                { "https://a.example/mcp", "https://a.example/mcp/", false },
                { "https://a.example/mcp", "https://a.example/mcp?x=1", false },
                { "https://a.example/mcp", "https://a.example/mcp#x", false },
                { "https://a.example/mcp", "http://a.example/mcp", false },
                { "https://a.example/*", "https://a.example", true },
                { "https://a.example/", "https://a.example", true },
                { "https://a.example", "https://a.example/any/path", true },
                { "https://a.example/m?p", "https://a.example/mcp", true },
                { "https://a.example/*/mcp", "https://a.example/a/b/mcp", true },
                { "https://a.example/*", "https://a.example/a/../b", false },
                { "https://a.example/*", "https://a.example/..", false },
                { "https://a.example/*", "https://a.example/./b", false },
                { "https://a.example/*", "https://a.example//b", false },
                { "https://a.example/*", "https://a.example/a..b/...", true },
                { "https://a.example/*", "https://a.example/%2e%2e/b", false },
                { "https://a.example/*", "https://a.example/a%20b", false },
                { "https://a.example/*", "https://a.example/a\\b", false },
                { "https://a.example/*", "https://a.example/a\nb", false },
                { "https://a.example", "https://a.example.:443/", false },
                { "https://*", "https://a..example/", false },
                { "https://*", "https://.example/", false },
                { "https://*", "https://\xc3\xa4.example/", false },
                { "https://a.example", "https://a.example:8443/", false },
                { "https://a.example:8443", "https://a.example:8443/", true },
                { "https://a.example:8443", "https://a.example/", false },
                { "https://a.example:443", "https://a.example/", true },
                { "https://a.example", "https://a.example:0/", false },
                { "https://a.example", "https://a.example:65536/", false },
                { "https://a.example", "https://a.example:/", false },
                { "https://*", "https://any.example:8443/x", true },
                { "https://*:8443", "https://any.example:8443/x", true },
                { "https://*:8443", "https://any.example/x", false },
                { "https://*.example", "https://any.example:8443/x", false },
                { "https://*", "http://any.example/", false },
                { "http://*", "http://localhost:8080/mcp", true },
                { "https://*", "https://[2001:db8::1]/mcp", true },
                { "https://[2001:db8::1]", "https://[2001:DB8:0::1]/mcp", true },
                { "https://[2001:db8::1]", "https://[2001:db8::2]/mcp", false },
                { "https://2001*", "https://[2001:db8::1]/mcp", false },
                { "https://[2001:db8::1]:8443/x", "https://[2001:db8::1]:8443/x", true },
                { "@added", "https://a.example/", false },
                { "https://b.example https://a.example", "https://a.example/", true },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
                bool matches = decide_server(table[i].glob, table[i].server) == POLICY_ALLOW;

                if (matches != table[i].matches)
                        fail_msg("%s %s %s", table[i].glob, matches ? "matches" : "misses",
                                 table[i].server);
        }
}

static void expect_refused(const char *text, bool language, const char *message) {
        AUTO_POLICY struct policy *p = NULL;
        struct error err = ERROR_INIT;

        if (load_text(&p, language, POLICY_SYSTEM, text, &err) != -EINVAL ||
            err.code != MCPB_BAD_CONFIG || !strstr(err.message, message))
                fail_msg("'%s': wanted '%s', got '%s'", text, message, err.message);
        assert_null(p);
}

static void what_is_not_of_the_language_is_refused_with_file_and_line(void **state) {
        static const struct {
                const char *text;
                const char *message;
        } table[] = {
                { "[Rule a]\nAgents=uid:any\n", "50-t.conf:2: there is no key Agents=" },
                { "[Rules a]\n", ":1: there is no section [Rules a]" },
                { "[Rule]\n", ":1: there is no section [Rule]" },
                { "[Rule a b]\n", ":1: 'a b' is not the name of a rule" },
                { "[Rule a]\n[Rule a]\n", ":2: there is a rule a at line 1 already" },
                { "[Rule a]\nAgent=\n", ":2: Agent= has no value" },
                { "[Rule a]\nAgent=bob\n", ":2: 'bob' is not of the form" },
                { "[Rule a]\nAgent=name:x\n", ":2: 'name:x': there is no such selector" },
                { "[Rule a]\nAgent=uid:root\n", ":2: 'uid:root': uid: takes a number" },
                { "[Rule a]\nAgent=uid:4294967296\n", "takes a number" },
                { "[Rule a]\nAgent=uid:*\n", "takes a number" },
                { "[Rule a]\nAgent=exe:\n", "exe: has no value" },
                { "[Rule a]\nAgent=exe:claude\n", "takes an absolute path" },
                { "[Rule a]\nAgent=exe:/usr/bin/[ab]\n", "has a '['" },
                { "[Rule a]\nAgent=sha256:AB\n", "takes 64 lower-case" },
                { "[Rule a]\nAgent=gid:a,b\n", "takes one value" },
                { "[Rule a]\nAgent=ns-user:other\n", "does not take this value" },
                { "[Rule a]\nServer=a.example\n", "is not of the form scheme://host" },
                { "[Rule a]\nServer=ftp://a.example\n", "a scheme other than" },
                { "[Rule a]\nServer=https://\n", "a host that no server can have" },
                { "[Rule a]\nServer=https://a@b\n", "has a character that no server's" },
                { "[Rule a]\nServer=https://a/%41\n", "has a character that no server's" },
                { "[Rule a]\nServer=https://a:0\n", "has a bad port" },
                { "[Rule a]\nServer=https://a:*\n", "has a bad port" },
                { "[Rule a]\nServer=https://a:\n", "has a bad port" },
                { "[Rule a]\nServer=https://[ab]c/\n", "has a broken IPv6" },
                { "[Rule a]\nServer=https://[::1]c/\n", "has a bad port" },
                { "[Rule a]\nServer=https://a/[b]\n", "has a '['" },
                { "[Rule a]\nServer=@all\n", "none of our words" },
                { "[Rule a]\nScopes=@all\n", "none of our words" },
                { "[Rule a]\nDenyScopes=@granted\n", "none of our words" },
                { "[Rule a]\nScopes=a[b]\n", "has a '['" },
                { "[Rule a]\nScopes=a\"b\n", "has a character that no scope has" },
                { "[Rule a]\nEffect=maybe\n", "Effect= takes one of allow, deny" },
                { "[Rule a]\nEffect=deny\nEffect=deny\n", ":3: Effect= stands twice" },
                { "[Rule a]\nMaxTTL=0\n", "MaxTTL=0 is not a duration" },
                { "[Rule a]\nMaxTTL=1w\n", "MaxTTL=1w is not a duration" },
                { "[Rule a]\nMaxRate=30\n", "MaxRate=30 is not a rate" },
                { "[Rule a]\nMaxRate=0/m\n", "is not a rate" },
                { "[Rule a]\nMaxRate=1/w\n", "is not a rate" },
                { "[Rule a]\nAssurance=high\n", "Assurance= takes one of" },
                { "[Rule a]\nBind=none\n", "Bind= takes one of dpop?, dpop, mtls" },
                { "[Rule a]\nIdentity=workload:\n", "Identity= takes" },
                { "[Rule a]\nAudience=me\n", "Audience= takes" },
                { "[Rule a]\nOnExcess=login\n", "no login could help" },
                { "[Rule a]\nEffect=deny\nRequire=unlocked\n", "denies whatever its Require=" },
                { "[Rule a]\nRequire=locked\n", "'locked': there is no such condition" },
                { "[Rule a]\nRequire=?\n", "there is no such condition" },
                { "[Rule a]\nRequire=idle\n", "is not how the condition idle is written" },
                { "[Rule a]\nRequire=idle<x\n", "is not how the condition idle" },
                { "[Rule a]\nRequire=country:\n", "is not how the condition country" },
                { "[Rule a]\nRequire=country:a,,b\n", "is not how the condition country" },
                { "[Rule a]\nRequire=disk-encrypted:/,/home\n", "is not how the condition disk" },
                { "[Rule a]\nRequire=net:192.168.7.1/24\n", "is not how the condition net" },
                { "[Rule a]\nRequire=net:10.0.0.0/33\n", "is not how the condition net" },
                { "[Rule a]\nRequire=lockdown>=high\n", "is not how the condition lockdown" },
                { "[Rule a]\nRequire=time:22:00-04:00\n", "is not how the condition time" },
                { "[Rule a]\nRequire=time:Mon..Fri,24:00-04:00\n", "condition time" },
                { "[Rule a]\nRequire=time:Mon..Fri,22:60-04:00\n", "condition time" },
                { "[Rule a]\nRequire=time:Mon..,22:00-04:00\n", "condition time" },
                { "[Rule a]\nRequire=time:Mon,2:00-04:00\n", "condition time" },
                { "[Rule a]\nRequire=fact:a\n", "is not how the condition fact" },
                { "[Rule a]\nRequire=requests<9/h\n", "is not supported by this version" },
                { "[Policy]\nTimezone=../x\n", "is not the name of a time zone" },
                { "[Policy]\nZone=UTC\n", "there is no key Zone= in [Policy]" },
                { "[Policy]\nTimezone=UTC\n[Policy]\nTimezone=Asia/Tokyo\n", ":4: this layer's" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                expect_refused(table[i].text, true, table[i].message);
}

/* S3 */
static void what_this_version_cannot_enforce_is_refused_not_ignored(void **state) {
        static const char *const lines[] = {
                "Confirm=first",
                "Confirm=session",
                "Confirm=each",
                "ConfirmFor=8h",
                "MaxRate=30/m",
                "Bind=dpop",
                "Bind=dpop?",
                "Bind=mtls",
                "OnExcess=ask",
                "Identity=workload:file",
                "Present=device",
                "Present=jwt-bearer",
                "Audience=issuer",
                "Require=unlocked",
                "Require=idle<30m",
                "Require=time:Mon..Fri,06:00-20:00",
                "Require=secure-boot?",
                "Require=net:10.0.0.0/8",
                "Require=fact:a=b",
                "Require=requests<9/h",
                "Agent=gid:hr",
                "Agent=sha256:00",
                "Agent=ancestor:/bin/x",
                "Agent=apparmor:x//enforce",
                "Agent=traced:yes",
                "Agent=env-injected:yes",
                "Agent=ns-user:foreign",
                "Agent=container:x",
                "Agent=spiffe:x",
                "Agent=k8s:x",
                "Agent=launched:x",
                "Agent=pod:self",
                "Agent=selinux:x",
                "Agent=!traced:no uid:any",
        };

        for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
                AUTO_BUF struct buf text = BUF_INIT;
                bool hash = strstr(lines[i], "sha256") != NULL;

                assert_int_equal(buf_printf(&text, "# x\n[Rule a]\n%s%s\n", lines[i],
                                            hash ? "00000000000000000000000000000000"
                                                   "000000000000000000000000000000"
                                                 : ""),
                                 0);
                expect_refused(text.data, false, "/etc/x/50-t.conf:3: ");
                expect_refused(text.data, false, "is not supported by this version");
        }
}

static void what_this_version_enforces_is_loaded(void **state) {
        static const char text[] =
                "[Policy]\nTimezone=Europe/Berlin\n[Rule a]\nAgent=uid:self exe:/usr/bin/*\n"
                "Agent=!unit:x.service user-unit:y.service peer-exe:/bin/z uid:any\n"
                "Server=@added https://*.example:8443/x*\nServer=http://127.0.0.1\n"
                "Scopes=a* "
                "@granted\nDenyScopes=*:admin\nOnExcess=login\nMaxTTL=15m\nAudit=required\n"
                "Assurance=kernel\nEffect=allow\nReason=because\nIdentity=user\nPresent=auto\n"
                "Confirm=never\n[Rule b]\nEffect=deny\nOnExcess=trim\n";
        AUTO_POLICY struct policy *p = NULL;
        struct error err = ERROR_INIT;

        if (load_text(&p, false, POLICY_USER, text, &err) < 0)
                fail_msg("%s", err.message);
        assert_int_equal(policy_n_rules(p), 2);
        assert_true(policy_has_layer(p, POLICY_USER));
        assert_false(policy_has_layer(p, POLICY_SYSTEM));
        assert_string_equal(policy_zone(p, POLICY_USER), "Europe/Berlin");
        assert_string_equal(policy_zone(p, POLICY_SYSTEM), "UTC");
        assert_true(policy_uses_fact(p, "agent.unit"));
        assert_true(policy_uses_fact(p, "self.uid"));
        assert_false(policy_uses_fact(p, "agent.gid"));
        assert_int_equal(strlen(policy_id(p)), 64);
}

static void the_id_is_that_of_the_meaning_not_of_the_comments(void **state) {
        static const char *const texts[] = {
                "#1\n[Rule a]\nMaxTTL=15m\n",
                "#2\n[Rule a]\nMaxTTL = 900 \n;\n",
                "#1\n[Rule a]\nMaxTTL=16m\n",
        };
        char ids[3][POLICY_ID_BYTES];

        for (size_t i = 0; i < 3; i++) {
                AUTO_POLICY struct policy *p = NULL;

                assert_int_equal(load_text(&p, false, POLICY_USER, texts[i], NULL), 0);
                memcpy(ids[i], policy_id(p), POLICY_ID_BYTES);
        }
        assert_string_equal(ids[0], ids[1]);
        assert_string_not_equal(ids[0], ids[2]);
}

/* S3 */
static void no_policy_and_an_unknown_peer_are_a_deny(void **state) {
        AUTO_POLICY struct policy *none = NULL;
        AUTO_POLICY struct policy *p = NULL;
        AUTO_FACTS struct facts *f = facts_new();
        struct policy_request q = { .server = "https://a.example/", .added = true };

        assert_int_equal(policy_load(&none, NULL, 0, NULL), 0);
        assert_int_equal(load_text(&p, false, POLICY_USER,
                                   "[Rule a]\nAgent=exe:/usr/bin/*\nServer=@added\n", NULL),
                         0);
        for (unsigned i = 0; i < 3; i++) {
                AUTO_DECISION struct decision d = DECISION_INIT;

                assert_int_equal(policy_decide(i == 0 ? none : p, f, &q, &d), 0);
                assert_int_equal(d.effect, POLICY_DENY);
                assert_int_equal(d.why.n, 1);
                assert_string_equal(d.why.items[0],
                                    i == 0 ? "there is no policy" : "no rule matches");
                assert_int_equal(facts_unknown(f, "agent.exe"), 0);
        }
}

static void the_decision_names_its_rule_and_the_facts_it_looked_at(void **state) {
        AUTO_POLICY struct policy *p = NULL;
        AUTO_FACTS struct facts *f = facts_new();
        AUTO_DECISION struct decision d = DECISION_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        AUTO_JSON json_t *facts = NULL;
        struct policy_request q = { .server = "https://a.example/" };

        assert_int_equal(load_text(&p, false, POLICY_USER,
                                   "[Rule never]\nAgent=uid:7 exe:/x\n"
                                   "[Rule bad]\nEffect=deny\nAgent=unit:evil.service\n"
                                   "[Rule a]\nAgent=uid:1000\n[Rule later]\nAgent=peer-exe:/y\n",
                                   NULL),
                         0);
        assert_int_equal(facts_set_number(f, "agent.uid", FACT_KERNEL, 1000), 0);
        assert_int_equal(facts_set(f, "agent.unit", FACT_SELF, "good.service"), 0);
        assert_int_equal(policy_decide(p, f, &q, &d), 0);
        assert_int_equal(d.effect, POLICY_ALLOW);
        assert_int_equal(d.rules.n, 1);
        assert_string_equal(d.rules.items[0], "50-t.conf:6 a");
        assert_false(d.uses_exec_evidence);
        facts = decision_facts(&d, f);
        assert_int_equal(json_write_canonical(&text, facts), 0);
        assert_string_equal(text.data,
                            "{\"agent.uid\":{\"class\":\"kernel\",\"values\":[\"1000\"]},"
                            "\"agent.unit\":{\"class\":\"self\",\"values\":[\"good."
                            "service\"]}}");
}

/* What session says is no better than its own class, whatever the signal could be worth. */
static void evidence_that_came_weaker_counts_weaker(void **state) {
        for (unsigned class = 0; class < FACT_CLASS_COUNT; class ++) {
                AUTO_POLICY struct policy *p = NULL;
                AUTO_FACTS struct facts *f = facts_new();
                AUTO_DECISION struct decision d = DECISION_INIT;
                struct policy_request q = { .server = "https://a.example/" };

                assert_int_equal(load_text(&p, false, POLICY_USER,
                                           "[Rule a]\nAgent=unit:x.service\nAssurance=root\n",
                                           NULL),
                                 0);
                assert_int_equal(facts_set(f, "agent.unit", (enum fact_class) class, "x.service"),
                                 0);
                assert_int_equal(policy_decide(p, f, &q, &d), 0);
                assert_int_equal(d.effect, class >= FACT_ROOT ? POLICY_ALLOW : POLICY_DENY);
                assert_int_equal(d.evidence, class);
        }
}

/*
 * A rule above the deciding one that looked at the executable made the decision depend on it, too.
 */
static void a_rule_passed_over_by_its_executable_asks_for_a_second_look(void **state) {
        AUTO_POLICY struct policy *p = NULL;
        AUTO_FACTS struct facts *f = facts_new();
        AUTO_DECISION struct decision d = DECISION_INIT;
        struct policy_request q = { .server = "https://a.example/" };

        assert_int_equal(load_text(&p, false, POLICY_USER,
                                   "[Rule bad]\nEffect=deny\nAgent=exe:/evil\n[Rule a]\n", NULL),
                         0);
        assert_int_equal(facts_set(f, "agent.uid", FACT_KERNEL, "1"), 0);
        assert_int_equal(facts_set(f, "agent.exe", FACT_SELF, "/good"), 0);
        assert_int_equal(policy_decide(p, f, &q, &d), 0);
        assert_int_equal(d.effect, POLICY_ALLOW);
        assert_true(d.uses_exec_evidence);
}

/* S9 */
static void more_scopes_than_the_limit_are_denied(void **state) {
        AUTO_POLICY struct policy *p = NULL;
        AUTO_FACTS struct facts *f = facts_new();
        const char *scopes[LIMIT_SCOPES + 1];
        char texts[LIMIT_SCOPES + 1][8];
        struct policy_request q = { .server = "https://a.example/", .scopes = scopes };

        assert_int_equal(load_text(&p, false, POLICY_USER, "[Rule a]\n", NULL), 0);
        assert_int_equal(facts_set(f, "agent.uid", FACT_KERNEL, "1"), 0);
        for (size_t i = 0; i <= LIMIT_SCOPES; i++) {
                (void)snprintf(texts[i], sizeof(texts[i]), "s%zu", i);
                scopes[i] = texts[i];
        }
        for (size_t n = LIMIT_SCOPES; n <= LIMIT_SCOPES + 1; n++) {
                AUTO_DECISION struct decision d = DECISION_INIT;

                q.n_scopes = n;
                assert_int_equal(policy_decide(p, f, &q, &d), 0);
                assert_int_equal(d.effect, n > LIMIT_SCOPES ? POLICY_DENY : POLICY_ALLOW);
                assert_int_equal(d.scopes.n, n > LIMIT_SCOPES ? 0 : LIMIT_SCOPES);
        }
}

static const char everything[] =
        "[Policy]\nTimezone=UTC\n[Rule d]\nEffect=deny\nAgent=!gid:hr\nServer=https://pay.example\n"
        "Reason=no\n[Rule a]\nAgent=uid:self exe:/usr/* \nAgent=unit:x\nServer=@added "
        "https://[::1]/x\nRequire=unlocked? net:10.0.0.0/8,::1? time:Mon,00:00-24:00?\n"
        "Require=disk-encrypted:/? idle<5m? fact:a=b?\nScopes=@granted a\nDenyScopes=b\n"
        "OnExcess=login\nConfirm=first\nMaxTTL=5m\nMaxRate=1/s\nIdentity=user\nPresent=auto\n"
        "Audience=literal:x\nBind=dpop\n";

static int load_everything(void *userdata) {
        AUTO_POLICY struct policy *p = NULL;
        struct error err = ERROR_INIT;

        return load_text(&p, true, POLICY_SYSTEM, everything, &err);
}

static int decide_everything(void *userdata) {
        const struct policy *p = userdata;
        AUTO_FACTS struct facts *f = facts_new();
        AUTO_DECISION struct decision d = { .effect = POLICY_ALLOW };
        AUTO_JSON json_t *dump = NULL;
        const char *scopes[] = { "a", "b", "c" };
        struct policy_request q = {
                .server = "https://a.example/", .scopes = scopes, .n_scopes = 3, .added = true
        };
        int r;

        if (!f || facts_set(f, "agent.uid", FACT_KERNEL, "1") < 0 ||
            facts_set(f, "self.uid", FACT_KERNEL, "1") < 0 ||
            facts_set(f, "agent.exe", FACT_SELF, "/usr/x") < 0)
                return -ENOMEM;
        r = policy_decide(p, f, &q, &d);
        assert_int_equal(d.effect, r < 0 ? POLICY_DENY : POLICY_ASK);
        if (r < 0)
                return r;
        dump = decision_facts(&d, f);
        return dump ? 0 : -ENOMEM;
}

/* S3 */
static void out_of_memory_at_any_point_is_an_error_and_a_deny(void **state) {
        AUTO_POLICY struct policy *p = NULL;

        assert_true(oom_sweep(load_everything, NULL) > 100);
        assert_int_equal(load_text(&p, true, POLICY_SYSTEM, everything, NULL), 0);
        assert_true(oom_sweep(decide_everything, p) > 20);
}

static void a_policy_cut_at_every_byte_is_loaded_or_refused(void **state) {
        for (size_t n = 0; n < strlen(everything); n++) {
                AUTO_POLICY struct policy *p = NULL;
                AUTO_FREE char *copy = malloc(n ? n : 1);
                struct policy_file file = { POLICY_USER, "f", copy, n };
                struct error err = ERROR_INIT;
                int r;

                assert_non_null(copy);
                memcpy(copy, everything, n);
                r = policy_load_language(&p, &file, 1, &err);
                assert_true(r == 0 || (r == -EINVAL && err.code == MCPB_BAD_CONFIG));
        }
}

static void facts_are_replaced_bounded_and_sorted(void **state) {
        AUTO_FACTS struct facts *f = facts_new();
        const char *const list[] = { "x", "y" };
        char name[16];

        assert_int_equal(facts_set(f, "b", FACT_ROOT, "1"), 0);
        assert_int_equal(facts_set_list(f, "a", FACT_SELF, list, 2), 0);
        assert_int_equal(facts_set(f, "b", FACT_KERNEL, "2"), 0);
        assert_int_equal(facts_count(f), 2);
        assert_string_equal(facts_at(f, 0)->name, "a");
        assert_int_equal(facts_get(f, "a")->n_values, 2);
        assert_string_equal(facts_get(f, "b")->values[0], "2");
        assert_int_equal(facts_get(f, "b")->class, FACT_KERNEL);
        assert_null(facts_get(f, "c"));
        assert_int_equal(facts_unknown(f, "b"), 0);
        assert_false(facts_get(f, "b")->known);
        assert_int_equal(facts_set(f, "", FACT_SELF, "x"), -EINVAL);
        for (unsigned i = 0; i < FACTS_MAX - 2; i++) {
                (void)snprintf(name, sizeof(name), "n%u", i);
                assert_int_equal(facts_set_number(f, name, FACT_SELF, i), 0);
        }
        assert_int_equal(facts_set(f, "one-too-many", FACT_SELF, "x"), -E2BIG);
        assert_int_equal(facts_set(f, "n0", FACT_SELF, "x"), 0);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_server_is_matched_component_by_component),
                cmocka_unit_test(what_is_not_of_the_language_is_refused_with_file_and_line),
                cmocka_unit_test(what_this_version_cannot_enforce_is_refused_not_ignored),
                cmocka_unit_test(what_this_version_enforces_is_loaded),
                cmocka_unit_test(the_id_is_that_of_the_meaning_not_of_the_comments),
                cmocka_unit_test(no_policy_and_an_unknown_peer_are_a_deny),
                cmocka_unit_test(the_decision_names_its_rule_and_the_facts_it_looked_at),
                cmocka_unit_test(evidence_that_came_weaker_counts_weaker),
                cmocka_unit_test(a_rule_passed_over_by_its_executable_asks_for_a_second_look),
                cmocka_unit_test(more_scopes_than_the_limit_are_denied),
                cmocka_unit_test(out_of_memory_at_any_point_is_an_error_and_a_deny),
                cmocka_unit_test(a_policy_cut_at_every_byte_is_loaded_or_refused),
                cmocka_unit_test(facts_are_replaced_bounded_and_sorted),
        };

        return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
