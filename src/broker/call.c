/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/call.h"

#include <assert.h>

#include "base/limits.h"
#include "broker/grant.h"
#include "broker/internal.h"
#include "broker/login.h"
#include "broker/server.h"
#include "crypto/rand.h"

typedef void (*handler_fn)(struct broker_call *c);

static const handler_fn handlers[METHOD_COUNT] = {
        [METHOD_TOKEN_GET] = handle_token_get,
        [METHOD_TOKEN_REJECT] = handle_token_reject,
        [METHOD_TOKEN_PROOF] = handle_token_proof,
        [METHOD_AUDIT_RECORD] = handle_audit_record,
        [METHOD_LOGIN_START] = handle_login_start,
        [METHOD_LOGIN_STATUS] = handle_login_status,
        [METHOD_LOGIN_WAIT] = handle_login_wait,
        [METHOD_LOGIN_COMPLETE] = handle_login_complete,
        [METHOD_LOGIN_CANCEL] = handle_login_cancel,
        [METHOD_SERVER_ADD] = handle_server_add,
        [METHOD_SERVER_LIST] = handle_server_list,
        [METHOD_SERVER_SHOW] = handle_server_show,
        [METHOD_SERVER_REMOVE] = handle_server_remove,
        [METHOD_BROKER_STATUS] = handle_broker_status,
        [METHOD_BROKER_LOCK] = handle_broker_lock,
        [METHOD_BROKER_UNLOCK] = handle_broker_unlock,
        [METHOD_BROKER_RELOAD] = handle_broker_reload,
        [METHOD_BROKER_STOP] = handle_broker_stop,
};

struct broker_call *call_free(struct broker_call *c) {
        if (!c)
                return NULL;
        if (c->gone)
                *c->gone = true;
        if (c->grant)
                c->grant->n_waiters--;
        list_remove(&c->link);
        list_remove(&c->all_link);
        json_decref(c->params);
        scope_set_done(&c->wanted);
        scope_set_done(&c->step_up);
        challenge_done(&c->challenge);
        free(c);
        return NULL;
}

void call_reply(struct broker_call *c, json_t *result) {
        AUTO_JSON json_t *owned = result;
        broker_reply_fn fn = c->fn;
        void *userdata = c->userdata;
        struct error err = ERROR_INIT;

        (void)call_free(c);
        if (!owned)
                (void)error_oom(&err);
        fn(owned, owned ? NULL : &err, NULL, userdata);
}

void call_fail_data(struct broker_call *c, const struct error *err, json_t *data) {
        AUTO_JSON json_t *owned = data;
        broker_reply_fn fn = c->fn;
        void *userdata = c->userdata;
        /* The error may live in what goes away with the call. */
        struct error copy = *err;

        (void)call_free(c);
        fn(NULL, &copy, owned, userdata);
}

void call_fail(struct broker_call *c, const struct error *err) {
        call_fail_data(c, err, NULL);
}

void broker_call_abandon(struct broker_call *c) {
        /* While session looks at the peer again, its answer still comes here. */
        c->abandoned = true;
        if (!c->reattesting)
                login_call_left(c);
}

static int new_call(struct broker *b, const struct caller *who, enum method m, const json_t *params,
                    struct broker_call **ret) {
        struct broker_call *c = calloc(1, sizeof(*c));
        unsigned char id[8];

        if (!c)
                return -ENOMEM;
        c->broker = b;
        list_init(&c->link);
        list_init(&c->all_link);
        c->who = *who;
        c->evidence = *who->evidence;
        c->who.evidence = &c->evidence;
        c->method = m;
        c->params = params ? json_incref((json_t *)(uintptr_t)params) : json_object();
        if (!c->params) {
                (void)call_free(c);
                return -ENOMEM;
        }
        random_bytes(id, sizeof(id));
        for (size_t i = 0; i < sizeof(id); i++)
                (void)snprintf(c->request_id + 2 * i, 3, "%02x", id[i]);
        *ret = c;
        return 0;
}

int broker_call(struct broker *b, const struct caller *who, enum method m, const json_t *params,
                broker_reply_fn fn, void *userdata, struct broker_call **ret) {
        struct broker_call *c = NULL;
        struct error err = ERROR_INIT;
        bool gone = false;
        int r;

        assert(m < METHOD_COUNT);
        *ret = NULL;
        r = new_call(b, who, m, params, &c);
        if (r < 0)
                return r;
        c->fn = fn;
        c->userdata = userdata;
        *ret = c;
        list_append(&b->calls, &c->all_link);
        if (!handlers[m])
                (void)error_set(&err, MCPB_UNKNOWN_METHOD, ENOSYS, NULL, "%s is not answered here",
                                method_name(m));
        else if (params && !json_is_object(params))
                (void)error_set(&err, MCPB_BAD_PARAMS, EINVAL, "Give an object",
                                "The parameters of %s are no object", method_name(m));
        if (err.code != MCPB_NO_ERROR) {
                *ret = NULL;
                call_fail(c, &err);
                return 0;
        }
        c->gone = &gone;
        handlers[m](c);
        if (gone) {
                *ret = NULL;
                return 0;
        }
        c->gone = NULL;
        *ret = c;
        return 0;
}

static int bad_param(struct broker_call *c, const char *name, const char *what, struct error *err) {
        return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                         "See PROTOCOL.md for the parameters of this method",
                         "%s: the parameter \"%s\" %s", method_name(c->method), name, what);
}

int call_string(struct broker_call *c, const char *name, bool required, const char **ret,
                struct error *err) {
        const json_t *value = json_object_get(c->params, name);

        *ret = NULL;
        if (!value || json_is_null(value))
                return required ? bad_param(c, name, "is missing", err) : 0;
        if (!json_is_string(value))
                return bad_param(c, name, "must be a string", err);
        *ret = json_string_value(value);
        return 0;
}

int call_uint(struct broker_call *c, const char *name, uint64_t max, uint64_t fallback,
              uint64_t *ret, struct error *err) {
        const json_t *value = json_object_get(c->params, name);

        *ret = fallback;
        if (!value || json_is_null(value))
                return 0;
        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            (uint64_t)json_integer_value(value) > max)
                return bad_param(c, name, "must be a whole number within its bounds", err);
        *ret = (uint64_t)json_integer_value(value);
        return 0;
}

int call_bool(struct broker_call *c, const char *name, bool fallback, bool *ret,
              struct error *err) {
        const json_t *value = json_object_get(c->params, name);

        *ret = fallback;
        if (!value || json_is_null(value))
                return 0;
        if (!json_is_boolean(value))
                return bad_param(c, name, "must be true or false", err);
        *ret = json_is_true(value);
        return 0;
}

int call_scopes(struct broker_call *c, struct scope_set *ret, bool *ret_given, struct error *err) {
        const json_t *value = json_object_get(c->params, "scopes");
        const json_t *item;
        size_t i;

        *ret_given = false;
        if (!value || json_is_null(value))
                return 0;
        if (!json_is_array(value) || json_array_size(value) > LIMIT_SCOPES)
                return bad_param(c, "scopes", "must be an array of at most 128 strings", err);
        json_array_foreach(value, i, item) {
                int r;

                if (!json_is_string(item) ||
                    !scope_token_valid(json_string_value(item), json_string_length(item)))
                        return bad_param(c, "scopes", "holds what is no scope (RFC 6749 3.3)", err);
                r = scope_set_add(ret, json_string_value(item));
                if (r < 0)
                        return error_oom(err);
        }
        *ret_given = ret->n > 0;
        return 0;
}

int call_find_server(struct broker_call *c, struct error *err) {
        const char *server = NULL;
        const char *account = NULL;
        int r = call_string(c, "server", true, &server, err);

        if (r == 0)
                r = call_string(c, "account", false, &account, err);
        if (r == 0)
                r = broker_check_open(c->broker, err);
        return r < 0 ? r : server_find(c->broker, server, account, &c->server, err);
}
