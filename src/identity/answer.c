/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is common to the answers of all platforms: what is repeated, what is refused, and the words
 * for it.
 */
#include <stdio.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/utf8.h"
#include "identity/provider.h"

#define HINT_LATER "Try again later; if it stays, look at the service that should answer"
#define UPDATE_USEC (70 * USEC_PER_SEC)
#define UPDATE_PAUSE_USEC (5 * USEC_PER_SEC)
/* A longer Retry-After is not waited for: somebody waits for the token. */
#define RETRY_AFTER_MAX_SEC 30
#define SECRET_RUN 40 /* so many characters without a break are shown to nobody */

static const uint64_t pauses[] = { 100 * USEC_PER_MSEC, 400 * USEC_PER_MSEC, 1600 * USEC_PER_MSEC };

int identity_fault(const struct identity *i, struct error *err, int errnum, const char *hint,
                   const char *fmt, ...) {
        char text[sizeof(err->message)];
        va_list ap;

        va_start(ap, fmt);
        (void)vsnprintf(text, sizeof(text), fmt, ap);
        va_end(ap);
        return error_set(err, MCPB_IDENTITY_FAILED, errnum, hint ? hint : HINT_LATER,
                         "Identity provider '%s'%s%s: %s", i->provider->name,
                         i->what[0] ? ", " : "", i->what, text);
}

const char *identity_need_env(const struct identity *i, const char *name, const char *hint,
                              struct error *err) {
        const char *value = identity_env_get(i->env, name);

        if (!value)
                (void)identity_fault(i, err, ENOENT, hint,
                                     "%s is not in the environment that the daemon was started in",
                                     name);
        return value;
}

/* --- repeats ------------------------------------------------------------------------------- */

static int pause_for(struct identity *i, uint64_t usec) {
        /* What will be asked then is made then. */
        fetch_request_done(&i->step.fetch);
        order_done(&i->step.order);
        i->step.wait_usec = usec;
        i->n_repeats++;
        i->waited_usec += usec;
        i->next = IDENTITY_WAIT;
        return 0;
}

int identity_repeat(struct identity *i, uint64_t after_usec) {
        if (i->n_repeats >= ARRAY_SIZE(pauses) || after_usec > RETRY_AFTER_MAX_SEC * USEC_PER_SEC)
                return -EAGAIN;
        return pause_for(i, after_usec > pauses[i->n_repeats] ? after_usec : pauses[i->n_repeats]);
}

static int repeat_while_updated(struct identity *i) {
        uint64_t pause =
                i->n_repeats < ARRAY_SIZE(pauses) ? pauses[i->n_repeats] : UPDATE_PAUSE_USEC;

        return i->waited_usec + pause > UPDATE_USEC ? -EAGAIN : pause_for(i, pause);
}

/* Seconds alone: these services send no dates. What cannot be read asks for no pause. */
static uint64_t retry_after_usec(const struct fetch_answer *a) {
        const char *text = fetch_answer_header(a, "retry-after");
        uint64_t sec = 0;
        int r = text ? number_parse(text, UINT32_MAX, &sec) : -ENOENT;

        return r == -ERANGE ? UINT32_MAX * USEC_PER_SEC : sec * USEC_PER_SEC;
}

/* --- what is no answer ----------------------------------------------------------------------- */

static int no_answer(const struct identity *i, const struct fetch_answer *a, struct error *err) {
        const char *reason = a->reason ? a->reason : fetch_failure_name(a->failure);

        if (a->failure == FETCH_FAILURE_TOO_LARGE)
                return identity_fault(i, err, EMSGSIZE,
                                      "Look at what answers there: it is no such service",
                                      "the answer is too large (%s)", reason);
        return identity_fault(i, err, EHOSTUNREACH, i->hint, "no answer (%s)", reason);
}

static bool is_repeated(const struct identity *i, unsigned status) {
        return status == 429 || (status >= 500 && status <= 599) ||
               (status == 404 && (i->repeat & IDENTITY_REPEAT_404));
}

int identity_judge_answer(struct identity *i, const struct fetch_answer *a, struct error *err) {
        int r;

        /* It was our own process that died, and another takes its place; what is asked here does no
         * harm if it is asked twice. */
        if (a->outcome != FETCH_ANSWERED && a->failure == FETCH_FAILURE_WORKER &&
            identity_repeat(i, 0) == 0)
                return 0;
        if (a->outcome != FETCH_ANSWERED)
                return no_answer(i, a, err);
        if (a->status >= 300 && a->status <= 399)
                return identity_fault(i, err, EREMCHG,
                                      "Look at what answers there: such a service never redirects",
                                      "the answer redirects elsewhere, which is not followed");
        if (a->body.len > i->body_max)
                return identity_fault(i, err, EMSGSIZE,
                                      "Look at what answers there: it is no such service",
                                      "the answer is too large (%zu bytes)", a->body.len);
        if (a->status == 410 && (i->repeat & IDENTITY_REPEAT_410))
                r = repeat_while_updated(i);
        else if (is_repeated(i, a->status))
                r = identity_repeat(i, retry_after_usec(a));
        else
                return 0;
        if (r == -EAGAIN)
                r = identity_refused(i, a, HINT_LATER, err);
        return r;
}

/* --- what others say ------------------------------------------------------------------------- */

static bool is_secret_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c && strchr("-_+/=~", c));
}

void identity_said(const char *text, char said[static IDENTITY_SAID_MAX + 1]) {
        size_t n = 0;

        while (*text && n < IDENTITY_SAID_MAX) {
                bool token = strncmp(text, "eyJ", 3) == 0;
                size_t run = 0;

                while (is_secret_char(text[run]) || (token && text[run] == '.'))
                        run++;
                if (token || run >= SECRET_RUN) {
                        n += (size_t)snprintf(said + n, IDENTITY_SAID_MAX + 1 - n, "[...]");
                        n = n < IDENTITY_SAID_MAX ? n : IDENTITY_SAID_MAX;
                } else {
                        run = run ? run : 1;
                        if (run > IDENTITY_SAID_MAX - n)
                                break;
                        memcpy(said + n, text, run);
                        n += run;
                }
                text += run;
        }
        said[n] = '\0';
        utf8_clean(said);
}

/* The members that platforms give their reasons in: the first that is there. */
static const char *reason_in(const json_t *json) {
        static const char *const members[] = {
                "error_description", "message", "Message", "error", "reason", "code", "Code"
        };
        const json_t *error = json_object_get(json, "error");

        if (json_is_object(error))
                json = error;
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const char *text = json_get_string(json, members[i]);

                if (text && *text)
                        return text;
        }
        return NULL;
}

int identity_refused(const struct identity *i, const struct fetch_answer *a, const char *hint,
                     struct error *err) {
        AUTO_JSON json_t *json = NULL;
        char said[IDENTITY_SAID_MAX + 1] = "";
        const char *reason = NULL;
        int r = -EBADMSG;

        if (a->body.len > 0)
                r = json_parse(a->body.data, a->body.len, LIMIT_METADATA_DEPTH, &json, NULL);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r == 0)
                reason = reason_in(json);
        if (reason)
                identity_said(reason, said);
        return identity_fault(i, err, EPROTO, hint, "refused with HTTP status %u%s%s", a->status,
                              reason ? ": " : "", said);
}

int identity_json(const struct identity *i, const char *data, size_t len, json_t **ret,
                  struct error *err) {
        AUTO_JSON json_t *json = NULL;
        const char *why = "empty";
        int r = len > 0 ? json_parse(data, len, LIMIT_METADATA_DEPTH, &json, &why) : -EBADMSG;

        if (r == -ENOMEM)
                return error_oom(err);
        if (r == 0 && !json_is_object(json)) {
                why = "no object";
                r = -EBADMSG;
        }
        if (r < 0)
                return identity_fault(i, err, EBADMSG,
                                      "Look at what wrote it: it is not what it should be",
                                      "what came is not the JSON that it should be (%s)", why);
        *ret = TAKE(json);
        return 0;
}
