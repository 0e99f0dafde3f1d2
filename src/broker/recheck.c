/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/recheck.h"

#include "base/clock.h"
#include "base/log.h"
#include "broker/ask.h"
#include "broker/internal.h"
#include "broker/login-steps.h"
#include "broker/server.h"
#include "oauth/discover.h"

#define RECHECK_EVERY_SEC 30

struct recheck {
        struct server *server;
        struct discover *discover;
        uint64_t fetch_id;
        bool fetching;
        struct list waiting; /* struct broker_call */
};

bool recheck_wait(struct server *s, struct broker_call *c) {
        if (!s->recheck)
                return false;
        c->looking = true;
        list_append(&s->recheck->waiting, &c->link);
        return true;
}

/* Each of them may end the others with its own answer. */
static void go_on_with(struct list *waiting) {
        while (!list_empty(waiting)) {
                struct broker_call *c = LIST_FIRST(waiting, struct broker_call, link);

                list_remove(&c->link);
                c->looking = false;
                token_looked(c);
        }
}

void recheck_cancel(struct server *s) {
        struct recheck *r = TAKE(s->recheck);
        struct list waiting = LIST_INIT(waiting);

        if (!r)
                return;
        list_splice(&waiting, &r->waiting);
        if (r->fetching)
                s->broker->workers->fetch_forget(s->broker->wud, r->fetch_id);
        (void)discover_free(r->discover);
        free(r);
        go_on_with(&waiting);
}

static int go_on(struct recheck *r, struct error *err);

static void on_answer(struct fetch_answer *answer, void *userdata) {
        struct recheck *r = userdata;
        struct error err = ERROR_INIT;
        int res;

        r->fetching = false;
        res = discover_feed(r->discover, answer, &err);
        if (res == 0)
                res = go_on(r, &err);
        if (res < 0) {
                log_failure(LOG_NOTICE, &err, "looking at the metadata again");
                recheck_cancel(r->server);
        }
}

static int go_on(struct recheck *r, struct error *err) {
        struct server *s = r->server;
        struct discover_result found = { 0 };
        struct fetch_request f;
        int res;

        fetch_request_init(&f);
        res = discover_next(r->discover, &f);
        if (res == 1) {
                res = ask_network(s->broker, FETCH_EXPLORE, &f, on_answer, r, &r->fetch_id);
                r->fetching = res == 0;
                fetch_request_done(&f);
                return error_fallback(err, res, "asking the server");
        }
        fetch_request_done(&f);
        if (res < 0)
                return error_fallback(err, res, "discovery");
        discover_take_result(r->discover, &found);
        if (found.issuer) {
                broker_cache_as(s->broker, &found.as);
                login_note_issuer(s, found.issuer);
        }
        discover_result_done(&found);
        recheck_cancel(s);
        return 0;
}

void recheck_start(struct server *s, const struct challenge *challenge) {
        struct discover_params params = server_discovery(s, challenge);
        uint64_t now = clock_boot_usec();
        struct error err = ERROR_INIT;

        if (s->recheck || s->login ||
            (s->rechecked_boot && now - s->rechecked_boot < RECHECK_EVERY_SEC * USEC_PER_SEC))
                return;
        s->recheck = calloc(1, sizeof(*s->recheck));
        if (!s->recheck)
                return;
        s->rechecked_boot = now;
        s->recheck->server = s;
        list_init(&s->recheck->waiting);
        if (discover_new(&params, &s->recheck->discover, &err) < 0 || go_on(s->recheck, &err) < 0) {
                log_failure(LOG_NOTICE, &err, "looking at the metadata again");
                recheck_cancel(s);
        }
}
