/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, a ring of request entries, and sets of secrets; all bounded.
 */
#include "journal.h"

#include <stdlib.h>
#include <string.h>

#include "base.h"

#define RING 1024U
#define BODY_KEPT_MAX 16384U
#define SECRETS_MAX 100000U
#define METHODS_MAX 256U

struct journal {
        json_t *ring[RING];
        json_t *secrets[SECRET_COUNT]; /* objects used as sets, in order of arrival */
        json_t *methods;               /* how often each was asked for */
        uint64_t n_entries;
        uint64_t start_msec;
        uint64_t requests[STEP_COUNT];
        uint64_t bodies[STEP_COUNT];
        uint64_t counters[COUNTER_COUNT];
};

static const char *const counter_names[COUNTER_COUNT] = {
        [COUNT_CHALLENGES] = "challenges",
        [COUNT_TOOL_CALLS] = "tool_calls",
        [COUNT_REGISTRATIONS] = "registrations",
        [COUNT_AUTHORIZATIONS] = "authorizations",
        [COUNT_PUSHED] = "pushed",
        [COUNT_DEVICE_LOGINS] = "device_logins",
        [COUNT_DEVICE_POLLS] = "device_polls",
        [COUNT_SLOW_DOWNS] = "slow_downs",
        [COUNT_CONSENTS] = "consents",
        [COUNT_DENIALS] = "denials",
        [COUNT_CODES_ISSUED] = "codes_issued",
        [COUNT_CODE_REPLAYS] = "code_replays",
        [COUNT_FAMILIES] = "families",
        [COUNT_ACCESS_TOKENS_ISSUED] = "access_tokens_issued",
        [COUNT_REFRESH_TOKENS_ISSUED] = "refresh_tokens_issued",
        [COUNT_REFRESHES] = "refreshes",
        [COUNT_REUSE_DETECTED] = "reuse_detected",
        [COUNT_FAMILIES_REVOKED] = "families_revoked",
        [COUNT_REVOCATIONS] = "revocations",
        [COUNT_DPOP_PROOFS] = "dpop_proofs",
        [COUNT_DPOP_REFUSED] = "dpop_refused",
        [COUNT_CLIENTS_LEFT] = "clients_left",
        [COUNT_SESSIONS_OPENED] = "sessions_opened",
        [COUNT_SESSIONS_DELETED] = "sessions_deleted",
        [COUNT_STREAMS_OPENED] = "streams_opened",
        [COUNT_STREAMS_LEFT] = "streams_left",
        [COUNT_STREAMS_RESUMED] = "streams_resumed",
};

static const char *const secret_names[SECRET_COUNT] = {
        [SECRET_ACCESS_TOKEN] = "access_tokens",
        [SECRET_REFRESH_TOKEN] = "refresh_tokens",
        [SECRET_CODE] = "codes",
        [SECRET_VERIFIER] = "verifiers",
        [SECRET_CLIENT_SECRET] = "client_secrets",
        [SECRET_ASSERTION] = "assertions",
};

struct journal *journal_new(void) {
        struct journal *j = mem_new(sizeof(*j));

        for (unsigned i = 0; i < SECRET_COUNT; i++)
                j->secrets[i] = json_object();
        j->methods = json_object();
        j->start_msec = clock_msec();
        return j;
}

struct journal *journal_free(struct journal *j) {
        if (!j)
                return NULL;
        for (unsigned i = 0; i < RING; i++)
                json_decref(j->ring[i]);
        for (unsigned i = 0; i < SECRET_COUNT; i++)
                json_decref(j->secrets[i]);
        json_decref(j->methods);
        free(j);
        return NULL;
}

void journal_count(struct journal *j, enum counter counter) {
        j->counters[counter]++;
}

uint64_t journal_counter(const struct journal *j, enum counter counter) {
        return j->counters[counter];
}

uint64_t journal_n_requests(const struct journal *j, enum step step) {
        return j->requests[step];
}

bool counter_parse(const char *name, enum counter *ret) {
        for (unsigned i = 0; i < COUNTER_COUNT; i++) {
                if (strcmp(counter_names[i], name) == 0) {
                        *ret = (enum counter)i;
                        return true;
                }
        }
        return false;
}

void journal_method(struct journal *j, const char *method) {
        json_int_t n = json_integer_value(json_object_get(j->methods, method));

        if (n > 0 || json_object_size(j->methods) < METHODS_MAX)
                (void)json_object_set_new(j->methods, method, json_integer(n + 1));
}

uint64_t journal_n_method(const struct journal *j, const char *method) {
        return (uint64_t)json_integer_value(json_object_get(j->methods, method));
}

json_int_t journal_msec(const struct journal *j) {
        return (json_int_t)(clock_msec() - j->start_msec);
}

void journal_secret(struct journal *j, enum secret_kind kind, const char *value) {
        if (value && *value && json_object_size(j->secrets[kind]) < SECRETS_MAX)
                (void)json_object_set_new(j->secrets[kind], value, json_true());
}

json_t *journal_request(struct journal *j, const struct request *r, enum step step) {
        json_t **slot = &j->ring[j->n_entries % RING];
        size_t n_body = r->body.n < BODY_KEPT_MAX ? r->body.n : BODY_KEPT_MAX;
        json_t *body = r->body.n > 0 ? json_stringn(r->body.p, n_body) : json_string("");
        json_t *entry = json_object();

        j->requests[step]++;
        if (r->body.n > 0)
                j->bodies[step]++;
        json_object_set_new(entry, "seq", json_integer((json_int_t)j->n_entries));
        json_object_set_new(entry, "msec", json_integer(journal_msec(j)));
        json_object_set_new(entry, "connection", json_integer((json_int_t)request_connection(r)));
        json_object_set_new(entry, "nth", json_integer((json_int_t)request_nth(r)));
        json_object_set_new(entry, "step", json_string(step_name(step)));
        json_object_set_new(entry, "method", json_string(r->method));
        json_object_set_new(entry, "path", json_string(r->path));
        json_object_set_new(entry, "target", json_string(r->target));
        json_object_set_new(entry, "query", form_json(&r->query));
        json_object_set_new(entry, "form", form_json(&r->form));
        json_object_set_new(entry, "body", body ? body : json_null());
        json_object_set_new(entry, "n_body", json_integer((json_int_t)r->body.n));
        json_object_set_new(entry, "headers", request_headers_json(r));
        json_object_set_new(entry, "status", json_null());
        json_decref(*slot);
        *slot = entry;
        j->n_entries++;
        return json_incref(entry);
}

json_t *journal_json(const struct journal *j, size_t n_log) {
        json_t *all = json_object();
        json_t *requests = json_object();
        json_t *counters = json_object();
        json_t *bodies = json_object();
        json_t *log = json_array();
        uint64_t kept = j->n_entries < RING ? j->n_entries : RING;
        uint64_t n = n_log < kept ? n_log : kept;

        for (unsigned i = 0; i < STEP_COUNT; i++) {
                const char *name = step_name((enum step)i);

                json_object_set_new(requests, name, json_integer((json_int_t)j->requests[i]));
                json_object_set_new(bodies, name, json_boolean(j->bodies[i] > 0));
        }
        for (unsigned i = 0; i < COUNTER_COUNT; i++)
                json_object_set_new(counters, counter_names[i],
                                    json_integer((json_int_t)j->counters[i]));
        for (uint64_t i = j->n_entries - n; i < j->n_entries; i++)
                json_array_append(log, j->ring[i % RING]);
        json_object_set_new(all, "requests", requests);
        json_object_set_new(all, "methods", json_deep_copy(j->methods));
        json_object_set_new(all, "counters", counters);
        json_object_set_new(all, "bodies_seen", bodies);
        json_object_set_new(all, "log", log);
        return all;
}

json_t *journal_secrets_json(const struct journal *j) {
        json_t *all = json_object();

        for (unsigned i = 0; i < SECRET_COUNT; i++) {
                json_t *list = json_array();
                json_t *set = j->secrets[i];

                for (void *p = json_object_iter(set); p; p = json_object_iter_next(set, p))
                        json_array_append_new(list, json_string(json_object_iter_key(p)));
                json_object_set_new(all, secret_names[i], list);
        }
        return all;
}
