/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two policy files, parted by a line "%%", and a server's URI after another: whatever they say, a
 * decision is made; what it allows was asked for; and the user's file takes away and never adds.
 */
#include <assert.h>

#include "base/buf.h"
#include "policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const asked[] = { "issues:read", "issues:admin", "a" };
static const char *const granted[] = { "issues:read", "b" };

static bool is_allowed(const struct decision *d, const char *scope) {
        for (size_t i = 0; i < d->scopes.n; i++)
                if (strcmp(d->scopes.items[i], scope) == 0)
                        return true;
        return false;
}

static struct facts *make_facts(void) {
        static const char *const addresses[] = { "192.168.7.20", "::1" };
        struct facts *f = facts_new();

        assert(f);
        assert(facts_set(f, "agent.uid", FACT_KERNEL, "1000") == 0);
        assert(facts_set(f, "self.uid", FACT_KERNEL, "1000") == 0);
        assert(facts_set(f, "agent.exe", FACT_SELF, "/usr/bin/claude") == 0);
        assert(facts_set(f, "agent.unit", FACT_SELF, "x.service") == 0);
        assert(facts_set(f, "time@UTC", FACT_ROOT, "Mon 10:00") == 0);
        assert(facts_set(f, "idle", FACT_SELF, "2m") == 0);
        assert(facts_set(f, "lockdown", FACT_ROOT, "integrity") == 0);
        assert(facts_set_list(f, "net", FACT_ROOT, addresses, 2) == 0);
        return f;
}

static void decide(const struct policy_file *files, const struct facts *f,
                   const struct policy_request *q) {
        AUTO_DECISION struct decision one = DECISION_INIT;
        AUTO_DECISION struct decision both = DECISION_INIT;
        AUTO_POLICY struct policy *p = NULL;
        AUTO_POLICY struct policy *p2 = NULL;
        struct error err = ERROR_INIT;

        if (policy_load_language(&p, files, 1, &err) < 0) {
                assert(err.code != MCPB_NO_ERROR);
                return;
        }
        assert(policy_decide(p, f, q, &one) == 0);
        assert((one.effect == POLICY_DENY) == (one.why.n > 0));
        for (size_t i = 0; i < one.scopes.n; i++)
                assert(strcmp(one.scopes.items[i], asked[0]) == 0 ||
                       strcmp(one.scopes.items[i], asked[1]) == 0 ||
                       strcmp(one.scopes.items[i], asked[2]) == 0);
        if (policy_load_language(&p2, files, 2, &err) < 0)
                return;
        assert(policy_decide(p2, f, q, &both) == 0);
        assert(one.effect != POLICY_DENY || both.effect == POLICY_DENY);
        assert(both.effect == POLICY_DENY || both.confirm >= one.confirm);
        assert(both.effect == POLICY_DENY || one.max_ttl_sec == 0 ||
               (both.max_ttl_sec > 0 && both.max_ttl_sec <= one.max_ttl_sec));
        for (size_t i = 0; i < both.scopes.n; i++)
                assert(is_allowed(&one, both.scopes.items[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_FACTS struct facts *f = make_facts();
        AUTO_BUF struct buf text = BUF_INIT;
        struct policy_file files[2] = { { .layer = POLICY_SYSTEM, .path = "system/1.conf" },
                                        { .layer = POLICY_USER, .path = "user/2.conf" } };
        struct policy_request q = {
                .server = "https://issues.corp.example/mcp",
                .scopes = asked,
                .n_scopes = 3,
                .granted = granted,
                .n_granted = 2,
                .added = true,
        };
        char *second;
        char *server = NULL;

        if (size > 65536 || buf_append(&text, data, size) < 0)
                return 0;
        second = strstr(text.data, "\n%%\n");
        files[0].data = text.data;
        files[0].len = second ? (size_t)(second - text.data) : text.len;
        files[1].data = second ? second + 4 : "";
        files[1].len = strlen(files[1].data);
        if (second)
                server = strstr(second + 4, "\n%%\n");
        if (server) {
                files[1].len = (size_t)(server - files[1].data);
                q.server = server + 4;
        }
        decide(files, f, &q);
        return 0;
}
