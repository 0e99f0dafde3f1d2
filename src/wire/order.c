/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/order.h"

#include <assert.h>
#include <limits.h>

#include "base/limits.h"
#include "base/utf8.h"

static const char *const kind_names[ORDER_KIND_COUNT] = {
        [ORDER_READ] = "read",
        [ORDER_RUN] = "run",
        [ORDER_CALL] = "call",
};

static const char *const rules_names[ORDER_RULES_COUNT] = {
        [ORDER_RULES_SECRET] = "secret",
        [ORDER_RULES_PUBLIC] = "public",
        [ORDER_RULES_ARC] = "azure-arc",
};

static int index_of(const char *const *names, size_t n_names, const char *name) {
        for (size_t i = 0; name && i < n_names; i++)
                if (streq(names[i], name))
                        return (int)i;
        return -EBADMSG;
}

/* --- texts --------------------------------------------------------------------------------- */

static void free_texts(char **list, size_t n) {
        for (size_t i = 0; i < n; i++)
                (void)str_wipe_free(list[i]);
        free(list);
}

static size_t texts_size(char *const *list, size_t n) {
        size_t size = 0;

        for (size_t i = 0; i < n; i++)
                size += strlen(list[i]);
        return size;
}

/* Takes @text over, also on failure. The list has room for all that may come, and its NULL. */
static int add_text(char ***list, size_t *n, char *text) {
        AUTO_WIPE_STR char *own = text;

        if (!own)
                return -ENOMEM;
        if (!utf8_valid(own, strlen(own)))
                return -EINVAL;
        if (*n >= LIMIT_ORDER_TEXTS || strlen(own) > LIMIT_ORDER_TEXT_BYTES - texts_size(*list, *n))
                return -E2BIG;
        if (!*list) {
                *list = calloc(LIMIT_ORDER_TEXTS + 1, sizeof(**list));
                if (!*list)
                        return -ENOMEM;
        }
        (*list)[(*n)++] = TAKE(own);
        return 0;
}

static json_t *texts_to_json(char *const *list, size_t n) {
        AUTO_JSON json_t *array = json_array();

        for (size_t i = 0; array && i < n; i++)
                if (json_array_append_new(array, json_string(list[i])) < 0)
                        return NULL;
        return TAKE(array);
}

static bool is_path(const char *path) {
        return path[0] == '/' && strlen(path) < PATH_MAX && utf8_valid(path, strlen(path));
}

/* --- orders -------------------------------------------------------------------------------- */

void order_init(struct order *o, enum order_kind kind) {
        *o = (struct order){ .kind = kind };
        fetch_request_init(&o->fetch);
}

void order_done(struct order *o) {
        (void)str_wipe_free(o->path);
        free_texts(o->argv, o->n_argv);
        free_texts(o->envp, o->n_envp);
        fetch_request_done(&o->fetch);
        order_init(o, o->kind);
}

void order_move(struct order *to, struct order *from) {
        order_done(to);
        *to = *from;
        order_init(from, to->kind);
}

int order_set_path(struct order *o, const char *path) {
        char *copy;

        if (!is_path(path))
                return -EINVAL;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        (void)str_wipe_free(o->path);
        o->path = copy;
        return 0;
}

int order_add_argument(struct order *o, const char *argument) {
        if (o->n_argv == 0 && !is_path(argument))
                return -EINVAL;
        return add_text(&o->argv, &o->n_argv, strdup(argument));
}

int order_add_environment(struct order *o, const char *name, const char *value) {
        AUTO_BUF struct buf text = BUF_INIT;

        if (!*name || strchr(name, '='))
                return -EINVAL;
        if (buf_printf(&text, "%s=%s", name, value) < 0)
                return -ENOMEM;
        return add_text(&o->envp, &o->n_envp, buf_steal(&text));
}

static bool order_is_whole(const struct order *o) {
        switch (o->kind) {
        case ORDER_READ:
                return o->path && o->max > 0 && o->max <= LIMIT_ORDER_BYTES;
        case ORDER_RUN:
                return o->n_argv > 0 && o->max > 0 && o->max <= LIMIT_ORDER_BYTES &&
                       o->timeout_usec > 0 && o->timeout_usec <= LIMIT_ORDER_MSEC * USEC_PER_MSEC;
        case ORDER_CALL:
                return o->path && o->fetch.method && o->fetch.url &&
                       o->fetch.body_max <= LIMIT_ORDER_BYTES && o->fetch.timeout_msec > 0 &&
                       o->fetch.timeout_msec <= LIMIT_ORDER_MSEC;
        case ORDER_KIND_COUNT:
                break;
        }
        return false;
}

static int read_to_head(const struct order *o, json_t *head) {
        if (json_object_set_new(head, "path", json_string(o->path)) < 0 ||
            json_object_set_new(head, "rules", json_string(rules_names[o->rules])) < 0 ||
            json_object_set_new(head, "max", json_integer((json_int_t)o->max)) < 0)
                return -ENOMEM;
        return 0;
}

static int run_to_head(const struct order *o, json_t *head) {
        if (json_object_set_new(head, "argv", texts_to_json(o->argv, o->n_argv)) < 0 ||
            json_object_set_new(head, "envp", texts_to_json(o->envp, o->n_envp)) < 0 ||
            json_object_set_new(head, "max", json_integer((json_int_t)o->max)) < 0 ||
            json_object_set_new(head, "timeout_usec", json_integer((json_int_t)o->timeout_usec)) <
                    0)
                return -ENOMEM;
        return 0;
}

static int call_to_head(const struct order *o, json_t *head) {
        AUTO_JSON json_t *fetch = NULL;
        int r = fetch_request_to_head(&o->fetch, &fetch);

        if (r < 0)
                return r;
        if (json_object_set_new(head, "path", json_string(o->path)) < 0 ||
            json_object_set(head, "fetch", fetch) < 0 ||
            json_object_set_new(head, "first_message", json_boolean(o->first_message)) < 0)
                return -ENOMEM;
        return 0;
}

int order_to_head(const struct order *o, json_t **ret) {
        static int (*const writers[ORDER_KIND_COUNT])(const struct order *o, json_t *head) = {
                [ORDER_READ] = read_to_head,
                [ORDER_RUN] = run_to_head,
                [ORDER_CALL] = call_to_head,
        };
        AUTO_JSON json_t *head = NULL;
        int r;

        if (!order_is_whole(o))
                return -EINVAL;
        head = json_pack("{ss ss}", "op", "order", "kind", kind_names[o->kind]);
        if (!head)
                return -ENOMEM;
        r = writers[o->kind](o, head);
        if (r < 0)
                return r;
        *ret = TAKE(head);
        return 0;
}

static int get_number(const json_t *object, const char *key, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);

        if (!json_is_integer(value) || json_integer_value(value) < 0)
                return -EBADMSG;
        *ret = (uint64_t)json_integer_value(value);
        return 0;
}

static int get_max(struct order *o, const json_t *head) {
        uint64_t max;
        int r = get_number(head, "max", &max);

        if (r == 0)
                o->max = max;
        return r;
}

static int get_path(struct order *o, const json_t *head) {
        const char *path = json_get_string(head, "path");

        return path ? order_set_path(o, path) : -EBADMSG;
}

static int read_from_head(struct order *o, const json_t *head) {
        int rules = index_of(rules_names, ORDER_RULES_COUNT, json_get_string(head, "rules"));
        int r = rules < 0 ? rules : get_path(o, head);

        if (r < 0)
                return r;
        o->rules = (enum order_rules)rules;
        return get_max(o, head);
}

static int take_environment(struct order *o, const char *text) {
        AUTO_WIPE_STR char *copy = strdup(text);
        char *equals = copy ? strchr(copy, '=') : NULL;

        if (!copy)
                return -ENOMEM;
        if (!equals)
                return -EBADMSG;
        *equals = '\0';
        return order_add_environment(o, copy, equals + 1);
}

static int take_texts(struct order *o, const json_t *list,
                      int (*add)(struct order *o, const char *text)) {
        const json_t *item;
        size_t i;
        int r = json_is_array(list) ? 0 : -EBADMSG;

        json_array_foreach(list, i, item) {
                r = json_is_string(item) ? add(o, json_string_value(item)) : -EBADMSG;
                if (r < 0)
                        return r;
        }
        return r;
}

static int run_from_head(struct order *o, const json_t *head) {
        int r = take_texts(o, json_object_get(head, "argv"), order_add_argument);

        if (r == 0)
                r = take_texts(o, json_object_get(head, "envp"), take_environment);
        if (r == 0)
                r = get_number(head, "timeout_usec", &o->timeout_usec);
        return r < 0 ? r : get_max(o, head);
}

static int call_from_head(struct order *o, const json_t *head) {
        int r = get_path(o, head);

        if (r == 0)
                r = fetch_request_from_head(&o->fetch, json_object_get(head, "fetch"), NULL);
        o->first_message = json_get_bool(head, "first_message", false);
        return r;
}

int order_from_head(struct order *o, const json_t *head, struct buf *body) {
        static int (*const readers[ORDER_KIND_COUNT])(struct order * o, const json_t *head) = {
                [ORDER_READ] = read_from_head,
                [ORDER_RUN] = run_from_head,
                [ORDER_CALL] = call_from_head,
        };
        int kind = index_of(kind_names, ORDER_KIND_COUNT, json_get_string(head, "kind"));
        struct order parsed;
        int r;

        if (!streq_null(json_get_string(head, "op"), "order") || kind < 0)
                return -EBADMSG;
        order_init(&parsed, (enum order_kind)kind);
        r = readers[kind](&parsed, head);
        if (r == 0 && (!order_is_whole(&parsed) || (kind != ORDER_CALL && body && body->len > 0)))
                r = -EBADMSG;
        if (r < 0) {
                order_done(&parsed);
                return r == -ENOMEM ? r : -EBADMSG;
        }
        if (kind == ORDER_CALL && body)
                buf_move(&parsed.fetch.body, body);
        *o = parsed;
        return 0;
}

/* --- replies ------------------------------------------------------------------------------- */

void order_reply_init(struct order_reply *p) {
        *p = (struct order_reply){ .bytes = { .max = LIMIT_ORDER_BYTES } };
        fetch_answer_init(&p->answer);
}

void order_reply_done(struct order_reply *p) {
        buf_done(&p->bytes);
        fetch_answer_done(&p->answer);
        order_reply_init(p);
}

static int failure_to_head(const struct order_reply *p, json_t *head) {
        if (json_object_set_new(head, "errno", json_integer(-p->r)) < 0 ||
            json_object_set_new(head, "code", json_string(error_name(p->err.code))) < 0 ||
            json_object_set_new(head, "message", json_string(p->err.message)) < 0 ||
            json_object_set_new(head, "hint", json_string(p->err.hint)) < 0)
                return -ENOMEM;
        return 0;
}

static int success_to_head(const struct order_reply *p, enum order_kind kind, json_t *head) {
        AUTO_JSON json_t *answer = NULL;
        int r;

        if (kind != ORDER_CALL)
                return json_object_set_new(head, "exposed", json_boolean(p->exposed)) < 0 ? -ENOMEM
                                                                                          : 0;
        r = fetch_answer_to_head(&p->answer, &answer);
        if (r < 0)
                return r;
        return json_object_set(head, "answer", answer) < 0 ? -ENOMEM : 0;
}

int order_reply_to_head(const struct order_reply *p, enum order_kind kind, json_t **ret) {
        AUTO_JSON json_t *head = json_pack("{ss ss}", "op", "reply", "kind", kind_names[kind]);
        int r;

        if (!head)
                return -ENOMEM;
        assert(p->r <= 0 && (p->r == 0 || p->err.code != MCPB_NO_ERROR));
        r = p->r < 0 ? failure_to_head(p, head) : success_to_head(p, kind, head);
        if (r < 0)
                return r;
        *ret = TAKE(head);
        return 0;
}

static int failure_from_head(struct order_reply *p, const json_t *head) {
        const char *code = json_get_string(head, "code");
        const char *message = json_get_string(head, "message");
        const char *hint = json_get_string(head, "hint");
        uint64_t number;

        if (get_number(head, "errno", &number) < 0 || number == 0 || number > 4095 || !code ||
            !message || !hint)
                return -EBADMSG;
        p->r = error_set(&p->err, error_from_name(code), (int)number, hint, "%s", message);
        return 0;
}

static int success_from_head(struct order_reply *p, enum order_kind kind, const json_t *head,
                             struct buf *body) {
        if (kind == ORDER_CALL)
                return fetch_answer_from_head(&p->answer, json_object_get(head, "answer"), body);
        if (body && body->len > LIMIT_ORDER_BYTES)
                return -EBADMSG;
        p->exposed = json_get_bool(head, "exposed", false);
        if (body)
                buf_move(&p->bytes, body);
        return 0;
}

int order_reply_from_head(struct order_reply *p, enum order_kind kind, const json_t *head,
                          struct buf *body) {
        struct order_reply parsed;
        int r;

        if (!streq_null(json_get_string(head, "op"), "reply") ||
            !streq_null(json_get_string(head, "kind"), kind_names[kind]))
                return -EBADMSG;
        order_reply_init(&parsed);
        r = json_object_get(head, "errno") ? failure_from_head(&parsed, head)
                                           : success_from_head(&parsed, kind, head, body);
        if (r < 0) {
                order_reply_done(&parsed);
                return r;
        }
        *p = parsed;
        return 0;
}
