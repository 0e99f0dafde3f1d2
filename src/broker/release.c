/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/release.h"

#include "base/clock.h"
#include "base/log.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/lease.h"
#include "broker/login.h"
#include "broker/own.h"
#include "broker/refresh.h"
#include "broker/server.h"

#define OWN_ROUNDS_MAX 3 /* fetches that one request waits for */

/* --- What is known about who asks ------------------------------------------------------------ */

static int set_text(struct facts *f, const char *name, enum fact_class class, const char *text) {
        return text[0] ? facts_set(f, name, class, text) : facts_unknown(f, name);
}

static int collect_facts(const struct broker_call *c, struct facts *f) {
        const struct evidence *e = &c->evidence;
        int r;

        r = facts_set_number(f, "agent.uid", FACT_KERNEL, c->who.uid);
        if (r == 0)
                r = facts_set_number(f, "self.uid", FACT_KERNEL, getuid());
        if (r == 0)
                r = facts_set_number(f, "agent.gid", FACT_KERNEL, c->who.gid);
        if (r == 0)
                r = set_text(f, "agent.exe", FACT_SELF,
                             e->anchor_known && e->anchor.known ? e->anchor.path : "");
        if (r == 0)
                r = set_text(f, "agent.peer-exe", FACT_SELF, e->exe.known ? e->exe.path : "");
        if (r == 0)
                r = set_text(f, "agent.unit", FACT_KERNEL, e->unit);
        if (r == 0)
                r = set_text(f, "agent.user-unit", FACT_SELF, e->user_unit);
        return r;
}

static int decide(struct broker_call *c, struct facts *facts, const struct scope_set *scopes,
                  const struct scope_set *granted, struct decision *ret) {
        struct policy_request request = {
                .server = c->server->resource ? c->server->resource : c->server->url,
                .scopes = scopes ? (const char *const *)scopes->items : NULL,
                .n_scopes = scopes ? scopes->n : 0,
                .granted = granted ? (const char *const *)granted->items : NULL,
                .n_granted = granted ? granted->n : 0,
                .added = true,
        };
        int r = collect_facts(c, facts);

        return r < 0 ? r : policy_decide(c->broker->policy, facts, &request, ret);
}

int release_decide(struct broker_call *c, const struct scope_set *scopes,
                   const struct scope_set *granted, struct decision *ret) {
        AUTO_FACTS struct facts *facts = facts_new();

        return facts ? decide(c, facts, scopes, granted, ret) : -ENOMEM;
}

/* --- The record ------------------------------------------------------------------------------ */

struct audit_agent release_agent(const struct broker_call *c) {
        const struct evidence *e = &c->evidence;
        bool anchored = e->anchor_known && e->anchor.known;

        return (struct audit_agent){
                .pid = anchored ? e->anchor_pid : c->who.pid,
                .start_ticks = anchored ? e->anchor_start_ticks : e->start_ticks,
                .uid = c->who.uid,
                .exe = anchored ? e->anchor.path : NULL,
                .unit = e->unit[0]        ? e->unit
                        : e->user_unit[0] ? e->user_unit
                                          : NULL,
                .client = c->who.client[0] ? c->who.client : NULL,
                .on_behalf_of = c->on_behalf_of,
                .evidence_class = fact_class_name(FACT_SELF),
        };
}

#define RECORD_FACTS_MAX 32

/* The facts that the decision looked at, so that it can be replayed. */
static size_t record_facts(const struct decision *d, const struct facts *facts,
                           struct audit_fact *out) {
        size_t n = 0;

        for (size_t i = 0; i < d->facts.n && n < RECORD_FACTS_MAX; i++) {
                const struct fact *f = facts_get(facts, d->facts.items[i]);

                out[n].name = d->facts.items[i];
                out[n].evidence_class = f && f->known ? fact_class_name(f->class) : NULL;
                out[n].values = f && f->known ? f->values : NULL;
                out[n].n_values = f && f->known ? f->n_values : 0;
                n++;
        }
        return n;
}

static struct audit_strings strings_of(const struct scope_set *s) {
        return (struct audit_strings){ s ? (const char *const *)s->items : NULL, s ? s->n : 0 };
}

void release_note(struct broker *b, const struct release_event *e) {
        struct audit_agent agent =
                e->call ? release_agent(e->call) : (struct audit_agent){ .uid = -1 };
        const char *why[2] = { e->why ? e->why->message : NULL, e->why ? e->why->hint : NULL };
        struct audit_record record = {
                .event = e->event,
                .outcome = e->outcome,
                .request = e->call ? e->call->request_id : NULL,
                .agent = e->call ? &agent : NULL,
                .server = e->server  ? e->server->url
                          : e->grant ? e->grant->resource
                                     : NULL,
                .issuer = e->grant    ? e->grant->issuer
                          : e->server ? e->server->issuer
                                      : NULL,
                .client_id = e->grant ? e->grant->client_id : NULL,
                .account = e->server && e->server->account[0] ? e->server->account : NULL,
                .scopes = strings_of(e->scopes),
                .code = e->why ? e->why->code : MCPB_NO_ERROR,
                .why = { why, e->why ? (e->why->hint[0] ? 2 : 1) : 0 },
        };
        struct error err = ERROR_INIT;

        if (!b->audit)
                return;
        if (audit_append(b->audit, &record, &err) < 0)
                log_failure(LOG_WARNING, &err, audit_event_name(e->event));
}

/* S4: the record stands before the token leaves. */
static int record_release(struct broker_call *c, const struct grant *g, const struct lease *l,
                          const struct decision *d, const struct facts *facts,
                          const struct buf *token, struct error *err) {
        struct audit_agent agent = release_agent(c);
        struct audit_fact used[RECORD_FACTS_MAX];
        struct audit_token fingerprint;
        uint64_t ttl = lease_left(l) / USEC_PER_SEC;
        struct audit_record record = {
                .event = AUDIT_TOKEN_RELEASE,
                .outcome = AUDIT_ALLOW,
                .request = c->request_id,
                .agent = &agent,
                .server = c->server->url,
                .issuer = g->issuer,
                .client_id = g->client_id,
                .account = c->server->account[0] ? c->server->account : NULL,
                .scopes = strings_of(c->has_wanted ? &c->wanted : NULL),
                .granted = strings_of(&l->scopes),
                .ttl_sec = l->expires_known ? &ttl : NULL,
                .ttl_enforced = AUDIT_TTL_ISSUER,
                .token = &fingerprint,
                .rules = { (const char *const *)d->rules.items, d->rules.n },
                .policy_id = policy_id(c->broker->policy),
                .facts = used,
                .n_facts = record_facts(d, facts, used),
        };
        int r;

        agent.evidence_class = fact_class_name(d->evidence);
        audit_fingerprint(c->broker->audit_keys, token->data, token->len, &fingerprint);
        r = audit_append(c->broker->audit, &record, err);
        if (r == 0 && d->audit == POLICY_AUDIT_REQUIRED)
                r = audit_sync(c->broker->audit, err);
        broker_audit_written(c->broker);
        return r;
}

/* --- The ways out ---------------------------------------------------------------------------- */

void release_refused(struct broker_call *c, const struct error *err) {
        c->broker->n_denied++;
        release_note(c->broker,
                     &(struct release_event){ .event = AUDIT_TOKEN_DENY,
                                              .outcome = AUDIT_DENY,
                                              .server = c->server,
                                              .grant = c->server ? c->server->grant : NULL,
                                              .call = c,
                                              .why = err,
                                              .scopes = c->has_wanted ? &c->wanted : NULL });
        call_fail(c, err);
}

void release_denied(struct broker_call *c, const struct decision *d) {
        const char *rule = d->rules.n > 0 ? d->rules.items[d->rules.n - 1] : "";
        bool named =
                rule[0] && rule[0] != '('; /* "(default)": none has matched, as the reason says */
        struct error err = ERROR_INIT;

        (void)error_set(
                &err, MCPB_DENIED, EACCES, "The rules are in policy.d; see mcp-broker-policy(5)",
                "Policy does not allow this for %s%s%s%s%s", c->server->name, named ? " (" : "",
                named ? rule : "", named ? ")" : "", d->why.n > 0 ? ": " : "");
        if (d->why.n > 0) {
                size_t used = strlen(err.message);

                (void)snprintf(err.message + used, sizeof(err.message) - used, "%s",
                               d->why.items[0]);
        }
        release_refused(c, &err);
}

/* No person is needed; but what failed a short while ago fails again. */
static void fetch_own(struct broker_call *c) {
        struct error err = ERROR_INIT;

        if (c->rounds++ >= OWN_ROUNDS_MAX)
                (void)error_set(&err, MCPB_ISSUER_ERROR, EPROTO,
                                "Tell who runs the issuer; look at both clocks",
                                "The tokens for %s are of no use when they arrive",
                                c->server->name);
        else if (!own_holds(c->server, &err)) {
                login_for_call(c);
                return;
        }
        release_refused(c, &err);
}

void release_needs_login(struct broker_call *c, const struct error *why) {
        struct error err = ERROR_INIT;

        if (own_is(c->server)) {
                fetch_own(c);
                return;
        }
        if (c->start_login) {
                login_for_call(c);
                return;
        }
        if (why && why->code != MCPB_NO_ERROR)
                err = *why;
        else
                (void)error_set(&err, MCPB_LOGIN_REQUIRED, ENOKEY, NULL, "No login for %s",
                                c->server->name);
        if (!err.hint[0])
                (void)snprintf(err.hint, sizeof(err.hint), "Log in with: mcp-add %s",
                               c->server->url);
        release_refused(c, &err);
}

/* The peer was looked at a second time because the deciding rule used what an exec can change. */
static void on_reattested(int r, const struct evidence *e, const struct error *err,
                          void *userdata) {
        struct broker_call *c = userdata;
        struct error refused = ERROR_INIT;

        c->reattesting = false;
        if (c->abandoned) {
                (void)call_free(c);
                return;
        }
        if (r < 0) {
                release_refused(c, err);
                return;
        }
        if (!c->server || !c->server->grant) {
                (void)error_set(&refused, c->broker->locked ? MCPB_LOCKED : MCPB_RETRY, EAGAIN,
                                c->broker->locked ? "Unlock with: mcp-brokerctl unlock"
                                                  : "Try again",
                                "The login went away while the program that asked was looked at");
                release_refused(c, &refused);
                return;
        }
        if (!evidence_same(e, &c->evidence)) {
                (void)error_set(&refused, MCPB_DENIED, EACCES, "Connect anew",
                                "The program that asked has changed");
                release_refused(c, &refused);
                return;
        }
        c->reattested = true;
        grant_wait(c->server->grant, c);
}

static bool must_look_again(struct broker_call *c, const struct decision *d) {
        struct broker *b = c->broker;
        struct error err = ERROR_INIT;

        if (!d->uses_exec_evidence || c->reattested)
                return false;
        if (b->workers->attest(b->wud, &c->who, on_reattested, c) == 0) {
                c->reattesting = true;
                return true;
        }
        (void)error_set(&err, MCPB_RETRY, EAGAIN, "Try again",
                        "The program that asks cannot be looked at just now");
        release_refused(c, &err);
        return true;
}

static bool covers(const struct decision *d, const struct scope_set *scopes) {
        size_t found = 0;

        for (size_t i = 0; i < d->scopes.n; i++)
                found += scope_set_has(scopes, d->scopes.items[i]);
        return found == scopes->n;
}

static bool outlives(const struct decision *d, const struct lease *l) {
        return d->max_ttl_sec > 0 && lease_left(l) / USEC_PER_SEC > d->max_ttl_sec;
}

static json_t *token_result(struct broker_call *c, const struct lease *l, const struct buf *token) {
        json_t *result = json_pack("{s:s%, s:s, s:s, s:o, s:s, s:s, s:s}", "token", token->data,
                                   token->len, "token_type", l->token_type, "token_id", l->token_id,
                                   "scopes", scopes_value(&l->scopes), "server", c->server->name,
                                   "url", c->server->url, "request", c->request_id);

        if (result && l->expires_known &&
            json_object_set_new(result, "expires_in",
                                json_integer((json_int_t)(lease_left(l) / USEC_PER_SEC))) < 0) {
                json_decref(result);
                return NULL;
        }
        return result;
}

void release_token(struct broker_call *c, struct grant *g, struct lease *l) {
        AUTO_FACTS struct facts *facts = facts_new();
        AUTO_DECISION struct decision d = DECISION_INIT;
        AUTO_BUF struct buf token = BUF_INIT;
        struct error err = ERROR_INIT;
        json_t *result;
        int r;

        r = facts ? decide(c, facts, &l->scopes, &g->scopes, &d) : -ENOMEM;
        if (r == 0 && (d.effect != POLICY_ALLOW || !covers(&d, &l->scopes))) {
                release_denied(c, &d);
                return;
        }
        if (r == 0 && outlives(&d, l))
                r = error_set(&err, MCPB_DENIED, EACCES,
                              "Raise MaxTTL= in policy.d, or have the issuer give shorter ones",
                              "The token of %s lives longer than the policy's MaxTTL",
                              c->server->name);
        if (r == 0 && must_look_again(c, &d))
                return;
        if (r == 0)
                r = shield_open(c->broker->shield, &l->token, &token);
        if (r == 0)
                r = record_release(c, g, l, &d, facts, &token, &err);
        if (r < 0) {
                (void)error_fallback(&err, r, "handing out a token");
                c->broker->n_denied++;
                call_fail(c, &err);
                return;
        }
        l->used_boot = clock_boot_usec();
        c->broker->n_released++;
        result = token_result(c, l, &token);
        call_reply(c, result);
}
