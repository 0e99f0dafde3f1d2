/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/keeper.h"

#include <sys/resource.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "broker/broker.h"
#include "crypto/init.h"
#include "daemon/backend.h"
#include "daemon/link.h"
#include "daemon/traces.h"
#include "daemon/workers.h"
#include "identity/env.h"
#include "loop/loop.h"
#include "os/alloc.h"
#include "os/process.h"
#include "policy/policy.h"
#include "rpc/rpc.h"
#include "sandbox/sandbox.h"

#define IDLE_TICK_USEC (5 * USEC_PER_SEC)

struct keeper {
        const struct keeper_options *options;
        sd_event *event;
        struct link *control;
        struct backend *backend;
        struct store *store;
        struct workers *workers;
        struct broker *broker;
        struct rpc *rpc;
        sd_event_source *alive;
        sd_event_source *leave;
        sd_event_source *idle;
        uint64_t idle_since;
        uint64_t last_accepted;
        bool ready;
        int status;
        struct configuration next; /* of a reload, until it is whole */
};

static void leave(struct keeper *k, int status) {
        k->status = status;
        (void)sd_event_exit(k->event, status);
}

static void say(struct keeper *k, json_t *head) {
        if (link_send_head(k->control, head) < 0)
                log_warning("The supervisor does not take messages");
}

/* Said here as well: our end can overtake the frame. */
static void say_failed(struct keeper *k, const struct error *err) {
        log_failure(LOG_ERR, err, "mcp-brokerd cannot start");
        say(k, json_pack("{s:s, s:s, s:s, s:s}", "op", "failed", "code", error_name(err->code),
                         "message", err->message, "hint", err->hint));
}

/* --- Configuration and policy ---------------------------------------------------------------- */

static int parse_policy(const struct config_files *policy, struct policy **ret, struct error *err) {
        AUTO_FREE struct policy_file *files = calloc(policy->n + 1, sizeof(*files));

        if (!files)
                return error_oom(err);
        for (size_t i = 0; i < policy->n; i++)
                files[i] = (struct policy_file){ .layer = (enum policy_layer)policy->items[i].layer,
                                                 .path = policy->items[i].path,
                                                 .data = policy->items[i].data,
                                                 .len = policy->items[i].len };
        return policy_load(ret, files, policy->n, err);
}

static int parse_config(struct configuration *from, struct config *c, struct error *err) {
        int r = config_parse(c, &from->config, err);

        if (r == 0)
                r = declared_parse(&c->declared, &from->servers, err);
        if (r == 0)
                r = configuration_check_servers(&c->declared, err);
        if (r == 0)
                r = configuration_read_secrets(from, &c->declared, err);
        return r;
}

static int parse_files(struct configuration *from, struct config **ret_config,
                       struct policy **ret_policy, struct error *err) {
        AUTO_FREE struct config *c = calloc(1, sizeof(*c));
        int r = c ? parse_policy(&from->policy, ret_policy, err) : error_oom(err);

        if (r < 0)
                return r;
        r = parse_config(from, c, err);
        if (r < 0) {
                config_done(c);
                *ret_policy = policy_free(*ret_policy);
                return r;
        }
        *ret_config = TAKE(c);
        return 0;
}

/* The files of servers.d come before "configure", each with the descriptor of its secret. */
static int on_declare(struct keeper *k, struct frame *f) {
        const char *path = json_get_string(f->head, "path");
        json_int_t index = json_get_int(f->head, "index", -1);
        json_int_t layer = json_get_int(f->head, "layer", -1);

        if (index == 0)
                configuration_done(&k->next);
        if (!path || layer < 0 || layer > 255 || index != (json_int_t)k->next.servers.n ||
            f->n_fds > 1)
                return -EBADMSG;
        return configuration_add_server(&k->next, path, (unsigned)layer, &f->body,
                                        f->n_fds ? TAKE_FD(f->fds[0]) : -1);
}

/* A reload that does not parse changes nothing (S3: never a weaker policy by accident). */
static int configure(struct keeper *k, const json_t *head) {
        json_int_t n = json_get_int(head, "servers", 0);
        struct config *c = NULL;
        struct policy *p = NULL;
        struct error err = ERROR_INIT;
        int r;

        if (n == 0)
                configuration_done(&k->next);
        r = n == (json_int_t)k->next.servers.n ? 0 : -EBADMSG;
        if (r == 0)
                r = config_files_from_json(&k->next.config, json_object_get(head, "config"));
        if (r == 0)
                r = config_files_from_json(&k->next.policy, json_object_get(head, "policy"));
        if (r == 0)
                r = parse_files(&k->next, &c, &p, &err);
        configuration_done(&k->next);
        if (r < 0) {
                (void)error_fallback(&err, r, "reading the new configuration");
                log_failure(LOG_ERR, &err, "The old configuration stays");
                return r;
        }
        log_open("mcp-brokerd[keeper]", c->log_level);
        broker_reload(k->broker, p, c);
        return 0;
}

static int on_configure(struct keeper *k, struct frame *f) {
        say(k, json_pack("{s:s, s:b}", "op", "configured", "ok", configure(k, f->head) == 0));
        return 0;
}

/* --- The supervisor -------------------------------------------------------------------------- */

static void on_rpc_drained(void *userdata) {
        leave(userdata, 0);
}

static int on_leave(sd_event_source *s, uint64_t usec, void *userdata) {
        log_warning("Some clients did not take their last answer");
        leave(userdata, 0);
        return 0;
}

static void on_broker_drained(void *userdata) {
        struct keeper *k = userdata;

        if (rpc_drain(k->rpc, on_rpc_drained, k) < 0 ||
            loop_timer(k->event, clock_boot_usec() + 2 * USEC_PER_SEC, on_leave, k, "leave",
                       &k->leave) < 0)
                leave(k, 0);
}

static int on_stop(struct keeper *k, struct frame *f) {
        rpc_stop_accepting(k->rpc);
        broker_drain(k->broker, on_broker_drained, k);
        return 0;
}

static int on_worker(struct keeper *k, struct frame *f) {
        const char *name = json_get_string(f->head, "name");
        enum worker_kind kind;

        if (!name || worker_from_name(name, &kind) < 0 || f->n_fds != 1)
                return -EBADMSG;
        return workers_attach(k->workers, kind, TAKE_FD(f->fds[0])) < 0 ? -EIO : 0;
}

static int on_writer(struct keeper *k, struct frame *f) {
        if (f->n_fds != 1)
                return -EBADMSG;
        return backend_attach(k->backend, TAKE_FD(f->fds[0])) < 0 ? -EIO : 0;
}

static int on_processes(struct keeper *k, struct frame *f) {
        workers_set_processes(k->workers, json_incref(json_object_get(f->head, "list")));
        return 0;
}

static int on_control_frame(struct frame *f, void *userdata) {
        static const struct {
                const char *op;
                int (*fn)(struct keeper *k, struct frame *f);
        } table[] = {
                { "declare", on_declare }, { "configure", on_configure }, { "worker", on_worker },
                { "writer", on_writer },   { "processes", on_processes }, { "stop", on_stop },
        };
        const char *op = json_get_string(f->head, "op");

        for (size_t i = 0; op && i < ARRAY_SIZE(table); i++)
                if (streq(table[i].op, op))
                        return table[i].fn(userdata, f);
        return -EBADMSG;
}

static void on_control_closed(void *userdata) {
        /* Without a supervisor nobody starts the workers again and nobody stops us: leave. */
        leave(userdata, 1);
}

static const struct link_ops control_ops = { on_control_frame, on_control_closed };

static void on_worker_control(const char *what, void *userdata) {
        say(userdata, json_pack("{s:s, s:s}", "op", "control", "what", what));
}

static int on_alive(sd_event_source *s, uint64_t usec, void *userdata) {
        struct keeper *k = userdata;

        say(k, json_pack("{s:s}", "op", "alive"));
        if (loop_timer_set(s, clock_boot_usec() + k->options->alive_usec) < 0)
                log_warning("The watchdog is not fed any more");
        return 0;
}

/* IdleTimeoutSec=: with nobody there and nothing under way it ends; the socket unit starts it again
 * when it is wanted. */
static int on_idle_tick(sd_event_source *s, uint64_t usec, void *userdata) {
        struct keeper *k = userdata;
        uint64_t timeout = broker_idle_timeout_usec(k->broker);
        uint64_t now = clock_boot_usec();
        struct rpc_counts counts;

        rpc_counts(k->rpc, &counts);
        if (counts.clients > 0 || broker_is_busy(k->broker) || counts.accepted != k->last_accepted)
                k->idle_since = now;
        k->last_accepted = counts.accepted;
        if (timeout > 0 && now - k->idle_since >= timeout) {
                log_info("Nobody has asked for anything for %llu s",
                         (unsigned long long)(timeout / USEC_PER_SEC));
                on_worker_control("stop", k);
                return 0;
        }
        if (loop_timer_set(s, now + IDLE_TICK_USEC) < 0)
                log_warning("It will not stop by itself: no timer");
        return 0;
}

/* --- The public socket ----------------------------------------------------------------------- */

struct attestation {
        rpc_attested_fn done;
        void *ctx;
};

static void on_attested(int r, const struct evidence *e, const struct error *err, void *userdata) {
        struct attestation *a = userdata;

        a->done(r, e, a->ctx);
        free(a);
}

static int attest_peer(void *userdata, pid_t pid, int pidfd, rpc_attested_fn done, void *ctx) {
        struct keeper *k = userdata;
        struct attestation *a = calloc(1, sizeof(*a));
        int r;

        if (!a)
                return -ENOMEM;
        a->done = done;
        a->ctx = ctx;
        r = workers_attest(k->workers, pid, pidfd, on_attested, a);
        if (r < 0)
                free(a);
        return r;
}

static int call_broker(void *userdata, const struct caller *who, enum method m,
                       const json_t *params, broker_reply_fn fn, void *fn_userdata,
                       struct broker_call **ret) {
        struct keeper *k = userdata;

        return broker_call(k->broker, who, m, params, fn, fn_userdata, ret);
}

static void abandon_call(void *userdata, struct broker_call *call) {
        broker_call_abandon(call);
}

static const struct rpc_ops rpc_ops = { attest_peer, call_broker, abandon_call };

static void on_broker_ready(int r, const struct error *err, void *userdata) {
        struct keeper *k = userdata;

        for (size_t i = 0; r == 0 && i < k->options->n_listeners; i++)
                r = rpc_add_listener(k->rpc, k->options->listener_fds[i], RPC_MAIN);
        if (r < 0) {
                struct error problem = err ? *err : ERROR_INIT;

                (void)error_fallback(&problem, r, "starting");
                say_failed(k, &problem);
                leave(k, error_exit_status(problem.code));
                return;
        }
        /* The writer has said this before it answered anything. */
        if (backend_sandbox(k->backend))
                workers_set_sandbox(k->workers, "writer",
                                    json_incref((json_t *)(uintptr_t)backend_sandbox(k->backend)));
        k->ready = true;
        k->idle_since = clock_boot_usec();
        if (loop_timer(k->event, k->idle_since + IDLE_TICK_USEC, on_idle_tick, k, "idle",
                       &k->idle) < 0)
                log_warning("It will not stop by itself: no timer");
        say(k, json_pack("{s:s}", "op", "ready"));
}

/* --- Its life -------------------------------------------------------------------------------- */

static int make_broker(struct keeper *k, struct error *err) {
        AUTO_IDENTITY_ENV struct identity_env environment = IDENTITY_ENV_INIT;
        AUTO_JSON json_t *traces = NULL;
        struct broker_options options = {
                .event = k->event,
                .workers = workers_ops(),
                .workers_userdata = k->workers,
                .store = k->store,
                .backend_ops = backend_ops(),
                .backend = k->backend,
                .audit_fd = k->options->audit_fd,
                .passphrase = k->options->passphrase,
                .environment = &environment,
        };
        int r = parse_files(k->options->configuration, &options.config, &options.policy, err);

        if (r == 0)
                r = identity_env_take(environ, &environment);
        if (r == 0)
                identity_env_scrub(environ); /* nothing is started from here */
        if (r == 0)
                r = traces_read("", &traces);
        options.traces = traces;
        if (r == 0)
                log_open("mcp-brokerd[keeper]", options.config->log_level);
        if (r == 0)
                r = broker_new(&options, &k->broker, err);
        return r;
}

static int connect_all(struct keeper *k, struct error *err) {
        const struct keeper_options *o = k->options;
        int r = loop_new(&k->event);

        if (r == 0)
                r = link_new(k->event, o->control_fd, &control_ops, k, "supervisor", &k->control);
        if (r == 0)
                r = backend_new(k->event, o->writer_fd, &k->backend);
        if (r == 0) {
                k->store = store_new(backend_ops(), k->backend);
                r = k->store ? 0 : -ENOMEM;
        }
        if (r == 0)
                r = workers_new(&(struct workers_options){ k->event, on_worker_control, k },
                                &k->workers);
        for (int i = 0; r == 0 && i < WORKER_KIND_COUNT; i++)
                r = workers_attach(k->workers, (enum worker_kind)i, o->worker_fds[i]);
        if (r == 0)
                r = rpc_new(k->event, &rpc_ops, k, &k->rpc);
        if (r == 0 && o->alive_usec > 0)
                r = loop_timer(k->event, clock_boot_usec(), on_alive, k, "alive", &k->alive);
        return error_fallback(err, r, "preparing the keeper");
}

static int confine(struct keeper *k, struct error *err) {
        struct sandbox_profile profile = sandbox_keeper();
        struct sandbox_report report = { 0 };
        json_t *status = NULL;
        int r = sandbox_enter(&profile, &report, err);

        if (r < 0)
                return r;
        for (size_t i = 0; i < report.n_missing; i++)
                log_warning("This kernel does not grant %s: the sandbox is weaker",
                            report.missing[i]);
        if (sandbox_status_json(&report, &status) == 0)
                workers_set_sandbox(k->workers, "keeper", status);
        return 0;
}

static void keeper_free(struct keeper *k) {
        k->alive = loop_source_free(k->alive);
        k->leave = loop_source_free(k->leave);
        k->idle = loop_source_free(k->idle);
        k->rpc = rpc_free(k->rpc);
        /* Store and backend tell all who wait for them, so the domain must still be there. */
        broker_end(k->broker);
        k->store = store_free(k->store);
        k->backend = backend_free(k->backend);
        k->broker = broker_free(k->broker);
        k->workers = workers_free(k->workers);
        k->control = link_free(k->control);
        configuration_done(&k->next);
        k->event = loop_free(k->event);
}

/* Two descriptors a client, and the rest of us; the soft limit of a session is less than that. */
#define FDS_WANTED (2 * LIMIT_CLIENTS + 256)

static void raise_fd_limit(void) {
        struct rlimit limit = { 0 };

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FDS_WANTED)
                return;
        limit.rlim_cur = limit.rlim_max < FDS_WANTED ? limit.rlim_max : FDS_WANTED;
        if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < FDS_WANTED)
                log_warning("Only %llu descriptors are allowed: fewer than %d clients at a time "
                            "can be served",
                            (unsigned long long)limit.rlim_cur, LIMIT_CLIENTS);
}

int keeper_main(const struct keeper_options *o) {
        struct keeper k = { .options = o };
        struct error err = ERROR_INIT;
        int r;

        log_open("mcp-brokerd[keeper]", LOG_INFO);
        json_use_wiping_allocator();
        raise_fd_limit();
        r = process_harden(&err);
        if (r == 0)
                r = error_fallback(&err, process_ignore_signals(), "ignoring signals");
        if (r == 0)
                r = crypto_init(&err);
        if (r == 0)
                r = connect_all(&k, &err);
        if (r == 0)
                r = make_broker(&k, &err);
        if (r == 0)
                r = confine(&k, &err);
        if (r == 0)
                r = error_fallback(&err, broker_start(k.broker, on_broker_ready, &k),
                                   "opening the store");
        if (r < 0) {
                if (k.control)
                        say_failed(&k, &err);
                k.status = err.code != MCPB_NO_ERROR ? error_exit_status(err.code) : 1;
        } else {
                r = sd_event_loop(k.event);
                if (r < 0)
                        log_error("The keeper's loop failed: %s", strerror(-r));
        }
        keeper_free(&k);
        return r < 0 && k.status == 0 ? 1 : k.status;
}
