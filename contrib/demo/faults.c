/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of faults in force.
 */
#include "faults.h"

#include <stdlib.h>
#include <string.h>

#include "base.h"

#define FAULTS_MAX 64U

enum need {
        STEP_NONE = 0,
        STEP_NEEDED = 1 << 0,
        STEP_OPTIONAL = 1 << 1,
        ARG_NONE = 0,
        ARG_NUMBER = 1 << 2, /* needed */
        ARG_NUMBER_OPTIONAL = 1 << 3,
        ARG_TEXT = 1 << 4, /* needed */
        ARG_TEXT_OPTIONAL = 1 << 5,
};

struct fault_type {
        const char *name;
        int needs;
};

struct fault {
        char *text; /* as it was added */
        char *arg;
        char *what;      /* NULL: all of the step */
        uint64_t n_left; /* UINT64_MAX: no end */
        enum fault_kind kind;
        enum step step;
};

struct faults {
        struct fault list[FAULTS_MAX];
        size_t n;
};

static const char *const step_names[STEP_COUNT] = {
        [STEP_MCP] = "mcp",
        [STEP_PRM] = "prm",
        [STEP_ASMETA] = "asmeta",
        [STEP_REGISTER] = "register",
        [STEP_AUTHORIZE] = "authorize",
        [STEP_CONSENT] = "consent",
        [STEP_PAR] = "par",
        [STEP_DEVICE] = "device",
        [STEP_TOKEN] = "token",
        [STEP_REFRESH] = "refresh",
        [STEP_REVOKE] = "revoke",
        [STEP_IDP] = "idp",
        [STEP_OTHER] = "other",
};

static const struct fault_type fault_types[FAULT_COUNT] = {
        [FAULT_SLOW] = { "slow", STEP_NEEDED | ARG_NUMBER },
        [FAULT_SLOW_AFTER] = { "slow-after", STEP_NEEDED | ARG_NUMBER },
        [FAULT_HANG] = { "hang", STEP_NEEDED },
        [FAULT_HANG_AFTER] = { "hang-after", STEP_NEEDED },
        [FAULT_STATUS] = { "status", STEP_NEEDED | ARG_NUMBER },
        [FAULT_STATUS_AFTER] = { "status-after-request", STEP_NEEDED | ARG_NUMBER },
        [FAULT_STATUS503] = { "status503-once", STEP_NEEDED | ARG_NUMBER_OPTIONAL },
        [FAULT_HTML] = { "html", STEP_NEEDED },
        [FAULT_GARBAGE] = { "garbage", STEP_NEEDED },
        [FAULT_TRUNCATED] = { "truncated", STEP_NEEDED },
        [FAULT_OVERSIZE] = { "oversize", STEP_NEEDED | ARG_NUMBER_OPTIONAL },
        [FAULT_REDIRECT] = { "redirect", STEP_NEEDED | ARG_TEXT },
        [FAULT_DROP_BEFORE] = { "drop-before", STEP_NEEDED },
        [FAULT_DROP_AFTER] = { "drop-after-request", STEP_NEEDED },
        [FAULT_DROP_UNREAD] = { "drop-unread", STEP_NEEDED },
        [FAULT_DROP_REUSED] = { "drop-reused", STEP_NEEDED },
        [FAULT_STALL] = { "stall", STEP_NEEDED },
        [FAULT_CUT] = { "cut", STEP_NEEDED },
        [FAULT_HEADER] = { "header", STEP_NEEDED | ARG_TEXT },
        [FAULT_DEEP_JSON] = { "deep-json", STEP_OPTIONAL | ARG_NUMBER_OPTIONAL },
        [FAULT_SET] = { "set", STEP_NEEDED | ARG_TEXT },
        [FAULT_UNSET] = { "unset", STEP_NEEDED | ARG_TEXT },
        [FAULT_PRETTY] = { "pretty", STEP_NEEDED },
        [FAULT_WRONG_ID] = { "wrong-id", STEP_NEEDED | ARG_TEXT_OPTIONAL },
        [FAULT_BIG] = { "big", STEP_NEEDED | ARG_NUMBER },
        [FAULT_PLAIN_404] = { "plain-404", STEP_NONE },
        [FAULT_CHALLENGE] = { "challenge", ARG_TEXT },
        [FAULT_NO_CHALLENGE] = { "no-challenge", STEP_NONE },
        [FAULT_LINK_LOCAL_PRM] = { "link-local-prm", ARG_TEXT_OPTIONAL },
        [FAULT_REJECT_TOKEN] = { "reject-token", STEP_NONE },
        [FAULT_REFUSE_EARLY] = { "refuse-early", STEP_NONE },
        [FAULT_MISMATCHED_RESOURCE] = { "mismatched-resource", ARG_TEXT_OPTIONAL },
        [FAULT_EMPTY_AS_LIST] = { "empty-as-list", STEP_NONE },
        [FAULT_BEARER_METHODS_QUERY] = { "bearer-methods-query", STEP_NONE },
        [FAULT_WRONG_ISSUER] = { "wrong-issuer", ARG_TEXT_OPTIONAL },
        [FAULT_NO_PKCE] = { "no-pkce", STEP_NONE },
        [FAULT_PKCE_PLAIN_ONLY] = { "pkce-plain-only", STEP_NONE },
        [FAULT_NO_REGISTRATION] = { "no-registration", STEP_NONE },
        [FAULT_NO_TOKEN_ENDPOINT] = { "no-token-endpoint", STEP_NONE },
        [FAULT_NO_AUTHORIZATION_ENDPOINT] = { "no-authorization-endpoint", STEP_NONE },
        [FAULT_HTTP_ENDPOINT] = { "http-endpoint", ARG_TEXT_OPTIONAL },
        [FAULT_FILE_AUTHORIZE] = { "file-authorize", ARG_TEXT_OPTIONAL },
        [FAULT_REGISTRATION_METHOD] = { "registration-method", ARG_TEXT },
        [FAULT_SECRET_EXPIRES] = { "secret-expires", ARG_NUMBER },
        [FAULT_WRONG_ISS] = { "wrong-iss", ARG_TEXT_OPTIONAL },
        [FAULT_NO_ISS] = { "no-iss", STEP_NONE },
        [FAULT_WRONG_STATE] = { "wrong-state", STEP_NONE },
        [FAULT_DUPLICATE_CODE] = { "duplicate-code", STEP_NONE },
        [FAULT_EXPIRED_AT_ONCE] = { "expired-at-once", STEP_OPTIONAL },
        [FAULT_EXPIRES_IN_STRING] = { "expires-in-string", STEP_NONE },
        [FAULT_REVOKE_FAMILY] = { "revoke-family", STEP_NONE },
        [FAULT_INVALID_GRANT] = { "invalid-grant", STEP_OPTIONAL },
        [FAULT_INVALID_CLIENT] = { "invalid-client", STEP_OPTIONAL },
        [FAULT_INVALID_SCOPE] = { "invalid-scope", STEP_OPTIONAL },
        [FAULT_INVALID_TARGET] = { "invalid-target", STEP_OPTIONAL },
        [FAULT_SMALLER_SCOPE] = { "smaller-scope", STEP_OPTIONAL },
        [FAULT_ANSI_TEXT] = { "ansi-text", STEP_NONE },
};

static const char *const usage[] = {
        "slow:STEP=MSEC, slow-after:STEP=MSEC   wait, then execute; execute, then wait",
        "hang:STEP, hang-after:STEP             hold until POST /release",
        "status:STEP=CODE                       answer CODE, without executing",
        "status-after-request:STEP=CODE         execute, then answer CODE",
        "status503-once:STEP[=RETRY_AFTER]      one 503, without executing",
        "html:STEP                              200 with a page, without executing",
        "garbage:STEP, truncated:STEP           execute, then damage the answer",
        "oversize:STEP[=MIB]                    a body of MIB MiB (8; 0 = endless)",
        "redirect:STEP=URL                      307 to URL, without executing",
        "drop-before:STEP                       close the connection, without executing",
        "drop-after-request:STEP                execute, then close without an answer",
        "drop-unread:mcp                        close as soon as the head is there",
        "drop-reused:mcp                        the same, not on a new connection",
        "stall:STEP                             execute, send half, hold until POST /release",
        "cut:STEP                               execute, send half, chunked, then close",
        "header:STEP=NAME: VALUE                another header; header:STEP=NAME removes it",
        "deep-json[:STEP][=DEPTH]               deeply nested member in the answer (10000)",
        "set:STEP=MEMBER=JSON, unset:STEP=MEMBER  change a member of the answer",
        "pretty:mcp, wrong-id:mcp[=JSON]        JSON on many lines; an id nobody asked for",
        "big:mcp=MIB                            a member of MIB MiB in the result",
        "plain-404                              a lost session gets 404 without JSON",
        "challenge=TEXT                         WWW-Authenticate; {prm} stands for the URL",
        "no-challenge, link-local-prm[=URL], reject-token, refuse-early",
        "mismatched-resource[=URL], empty-as-list, bearer-methods-query",
        "wrong-issuer[=URL], no-pkce, pkce-plain-only, no-registration, no-token-endpoint,",
        "no-authorization-endpoint, http-endpoint[=URL], file-authorize[=URL]",
        "registration-method=METHOD|omit, secret-expires=EPOCH",
        "wrong-iss[=URL], no-iss, wrong-state, duplicate-code",
        "expired-at-once[:STEP], expires-in-string, revoke-family, smaller-scope[:STEP]",
        "invalid-grant[:STEP], invalid-client[:STEP], invalid-scope[:STEP],",
        "invalid-target[:STEP], ansi-text",
        NULL,
};

const char *const *faults_usage(void) {
        return usage;
}

const char *step_name(enum step step) {
        return step < STEP_COUNT ? step_names[step] : "any";
}

bool step_parse(const char *name, size_t n, enum step *ret) {
        for (unsigned i = 0; i < STEP_COUNT; i++) {
                if (strlen(step_names[i]) == n && strncmp(step_names[i], name, n) == 0) {
                        *ret = (enum step)i;
                        return true;
                }
        }
        return false;
}

struct faults *faults_new(void) {
        return mem_new(sizeof(struct faults));
}

static void fault_done(struct fault *f) {
        free(f->text);
        free(f->arg);
        free(f->what);
        *f = (struct fault){ 0 };
}

void faults_clear(struct faults *f) {
        for (size_t i = 0; i < f->n; i++)
                fault_done(&f->list[i]);
        f->n = 0;
}

struct faults *faults_free(struct faults *f) {
        if (f)
                faults_clear(f);
        free(f);
        return NULL;
}

static void remove_at(struct faults *f, size_t i) {
        fault_done(&f->list[i]);
        for (size_t j = i + 1; j < f->n; j++)
                f->list[j - 1] = f->list[j];
        f->n--;
        f->list[f->n] = (struct fault){ 0 };
}

static bool kind_parse(const char *name, size_t n, enum fault_kind *ret) {
        for (unsigned i = 0; i < FAULT_COUNT; i++) {
                if (strlen(fault_types[i].name) == n &&
                    strncmp(fault_types[i].name, name, n) == 0) {
                        *ret = (enum fault_kind)i;
                        return true;
                }
        }
        return false;
}

/* Cuts "!TIMES" off a copy of the text. A URL may hold a '!', so only digits behind count. */
static bool cut_times(char *text, uint64_t *ret) {
        char *mark = strrchr(text, '!');

        *ret = UINT64_MAX;
        if (!mark || !number_parse(mark + 1, 1000000, ret))
                return true;
        *mark = '\0';
        return *ret > 0;
}

static const char *needs_check(const struct fault_type *type, bool has_step, const char *arg) {
        uint64_t number;

        if (has_step && !(type->needs & (STEP_NEEDED | STEP_OPTIONAL)))
                return "takes no step";
        if (!has_step && (type->needs & STEP_NEEDED))
                return "needs a step (NAME:STEP)";
        if (!arg && (type->needs & (ARG_NUMBER | ARG_TEXT)))
                return "needs an argument (=ARG)";
        if (arg && !(type->needs & ~(STEP_NEEDED | STEP_OPTIONAL)))
                return "takes no argument";
        if (arg && (type->needs & (ARG_NUMBER | ARG_NUMBER_OPTIONAL)) &&
            !number_parse(arg, UINT32_MAX, &number))
                return "needs a number as argument";
        return NULL;
}

static char *fault_parse(const char *text, struct fault *ret) {
        char *copy = mem_string(text);
        char *arg = strchr(copy, '=');
        const char *complaint = NULL;
        char *error = NULL;
        char *what;
        size_t n_name;
        size_t n_head;

        ret->step = STEP_ANY;
        if (!cut_times(copy, &ret->n_left))
                complaint = "cannot apply zero times";
        if (arg)
                *arg++ = '\0';
        what = strchr(copy, '@');
        if (what)
                *what++ = '\0';
        n_head = strlen(copy);
        n_name = strcspn(copy, ":");
        if (complaint) {
                error = mem_printf("fault '%s' %s", text, complaint);
        } else if (!kind_parse(copy, n_name, &ret->kind)) {
                error = mem_printf("unknown fault '%.*s'", (int)n_name, copy);
        } else if (n_name < n_head &&
                   !step_parse(copy + n_name + 1, n_head - n_name - 1, &ret->step)) {
                error = mem_printf("unknown step '%s' in fault '%s'", copy + n_name + 1, text);
        } else {
                complaint = needs_check(&fault_types[ret->kind], n_name < n_head, arg);
                if (!complaint && what && ret->step == STEP_ANY)
                        complaint = "needs a step before @";
                if (complaint)
                        error = mem_printf("fault '%s' %s", text, complaint);
        }
        if (!error) {
                ret->text = mem_string(text);
                ret->arg = mem_string(arg ? arg : "");
                ret->what = mem_string(what);
                if (ret->kind == FAULT_STATUS503 && ret->n_left == UINT64_MAX)
                        ret->n_left = 1;
        }
        free(copy);
        return error;
}

bool faults_add(struct faults *f, const char *text, char **ret_error) {
        struct fault fault = { 0 };

        for (size_t i = f->n; i > 0; i--)
                if (f->list[i - 1].n_left == 0)
                        remove_at(f, i - 1);
        if (f->n == FAULTS_MAX) {
                *ret_error = mem_string("too many faults");
                return false;
        }
        *ret_error = fault_parse(text, &fault);
        if (*ret_error)
                return false;
        f->list[f->n++] = fault;
        return true;
}

bool faults_remove(struct faults *f, const char *text) {
        size_t n = strlen(text);
        bool found = false;

        for (size_t i = f->n; i > 0; i--) {
                const char *have = f->list[i - 1].text;

                if (strncmp(have, text, n) == 0 && strchr(":@=!", have[n])) {
                        remove_at(f, i - 1);
                        found = true;
                }
        }
        return found;
}

json_t *faults_json(const struct faults *f) {
        json_t *list = json_array();

        for (size_t i = 0; i < f->n; i++)
                if (f->list[i].n_left > 0)
                        json_array_append_new(list, json_string(f->list[i].text));
        return list;
}

static bool same(const char *a, const char *b) {
        return a && strcmp(a, b) == 0;
}

static bool applies(const struct fault *f, const struct fault_site *at) {
        if (f->step != STEP_ANY && f->step != at->step)
                return false;
        return !f->what || same(at->verb, f->what) || same(at->method, f->what) ||
               same(at->path, f->what);
}

bool faults_next(struct faults *f, enum fault_kind kind, const struct fault_site *at,
                 size_t *cursor, const char **ret_arg) {
        while (*cursor < f->n) {
                struct fault *fault = &f->list[(*cursor)++];

                if (fault->kind != kind || fault->n_left == 0 || !applies(fault, at))
                        continue;
                if (fault->n_left != UINT64_MAX)
                        fault->n_left--;
                if (ret_arg)
                        *ret_arg = fault->arg;
                return true;
        }
        return false;
}

bool faults_take(struct faults *f, enum fault_kind kind, const struct fault_site *at,
                 const char **ret_arg) {
        size_t cursor = 0;

        return faults_next(f, kind, at, &cursor, ret_arg);
}

bool faults_take_number(struct faults *f, enum fault_kind kind, const struct fault_site *at,
                        uint64_t fallback, uint64_t *ret) {
        const char *arg;

        if (!faults_take(f, kind, at, &arg))
                return false;
        if (!number_parse(arg, UINT32_MAX, ret))
                *ret = fallback;
        return true;
}
