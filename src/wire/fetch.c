/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/fetch.h"

#include <assert.h>
#include <strings.h>

#include "base/limits.h"
#include "base/url.h"
#include "base/utf8.h"

static const char *const outcome_names[FETCH_OUTCOME_COUNT] = {
        [FETCH_NOT_SENT] = "not_sent",
        [FETCH_NO_ANSWER] = "no_answer",
        [FETCH_ANSWERED] = "answered",
};

static const char *const failure_names[FETCH_FAILURE_COUNT] = {
        [FETCH_FAILURE_NONE] = "none",
        [FETCH_FAILURE_RESOLVE] = "resolve",
        [FETCH_FAILURE_CONNECT] = "connect",
        [FETCH_FAILURE_ADDRESS] = "address",
        [FETCH_FAILURE_TLS] = "tls",
        [FETCH_FAILURE_TIMEOUT] = "timeout",
        [FETCH_FAILURE_TOO_LARGE] = "too_large",
        [FETCH_FAILURE_CUT] = "cut",
        [FETCH_FAILURE_PROTOCOL] = "protocol",
        [FETCH_FAILURE_WORKER] = "worker",
};

const char *fetch_failure_name(enum fetch_failure f) {
        assert((unsigned)f < FETCH_FAILURE_COUNT);
        return failure_names[f];
}

const char *fetch_outcome_name(enum fetch_outcome o) {
        assert((unsigned)o < FETCH_OUTCOME_COUNT);
        return outcome_names[o];
}

static int name_to_index(const char *const *names, size_t n_names, const char *name) {
        for (size_t i = 0; name && i < n_names; i++)
                if (streq(names[i], name))
                        return (int)i;
        return -EBADMSG;
}

/* --- header fields ------------------------------------------------------------------------- */

struct fields {
        struct fetch_header *v;
        size_t n;
};

static void fields_done(struct fields *f) {
        for (size_t i = 0; i < f->n; i++) {
                (void)str_wipe_free(f->v[i].name);
                (void)str_wipe_free(f->v[i].value);
        }
        free(f->v);
        *f = (struct fields){ 0 };
}

static bool token_char(char c) {
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
               (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool is_token(const char *s) {
        if (!*s)
                return false;
        for (; *s; s++)
                if (!token_char(*s))
                        return false;
        return true;
}

/* A line break in a value would be a header field of its own. */
static bool is_field_value(const char *s) {
        for (const char *p = s; *p; p++)
                if ((*p > 0 && *p < 0x20 && *p != '\t') || *p == 0x7f)
                        return false;
        return utf8_valid(s, strlen(s));
}

static int fields_grow(struct fields *f) {
        size_t room = f->n > 0 ? 2 * f->n : 8;
        struct fetch_header *v;

        /* Full exactly at 0, 8, 16, 32, ... */
        if (f->n > 0 && (f->n < 8 || (f->n & (f->n - 1)) != 0))
                return 0;
        v = calloc(room, sizeof(*v));
        if (!v)
                return -ENOMEM;
        if (f->n > 0)
                memcpy(v, f->v, f->n * sizeof(*v));
        free(f->v);
        f->v = v;
        return 0;
}

static int fields_add(struct fields *f, const char *name, const char *value) {
        size_t total = strlen(name) + strlen(value);
        char *copy_name;
        char *copy_value;
        int r;

        for (size_t i = 0; i < f->n; i++)
                total += strlen(f->v[i].name) + strlen(f->v[i].value);
        if (f->n == LIMIT_HEADERS || total > LIMIT_HEADER_BYTES)
                return -E2BIG;
        r = fields_grow(f);
        if (r < 0)
                return r;
        copy_name = strdup(name);
        copy_value = strdup(value);
        if (!copy_name || !copy_value) {
                (void)str_wipe_free(copy_name);
                (void)str_wipe_free(copy_value);
                return -ENOMEM;
        }
        f->v[f->n++] = (struct fetch_header){ copy_name, copy_value };
        return 0;
}

static int fields_to_json(json_t *object, const struct fetch_header *v, size_t n) {
        AUTO_JSON json_t *array = json_array();

        for (size_t i = 0; array && i < n; i++)
                if (json_array_append_new(array, json_pack("[ss]", v[i].name, v[i].value)) < 0)
                        return -ENOMEM;
        if (!array || json_object_set(object, "headers", array) < 0)
                return -ENOMEM;
        return 0;
}

/* The two strings of ["name", "value"]; false for anything else. */
static bool field_pair(const json_t *pair, const char **ret_name, const char **ret_value) {
        if (json_array_size(pair) != 2)
                return false;
        *ret_name = json_string_value(json_array_get(pair, 0));
        *ret_value = json_string_value(json_array_get(pair, 1));
        return *ret_name && *ret_value;
}

/* --- requests ------------------------------------------------------------------------------ */

void fetch_request_init(struct fetch_request *f) {
        *f = (struct fetch_request){ .body = { .max = LIMIT_FRAME_BODY_BYTES },
                                     .ca_pem = { .max = LIMIT_PEM_BYTES },
                                     .cert_pem = { .max = LIMIT_PEM_BYTES },
                                     .key_pem = { .max = LIMIT_PEM_BYTES } };
}

void fetch_request_done(struct fetch_request *f) {
        struct fields fields = { f->headers, f->n_headers };

        fields_done(&fields);
        free(f->method);
        (void)str_wipe_free(f->url);
        buf_done(&f->body);
        buf_done(&f->ca_pem);
        buf_done(&f->cert_pem);
        buf_done(&f->key_pem);
        fetch_request_init(f);
}

int fetch_request_set(struct fetch_request *f, const char *method, const char *url) {
        AUTO_FREE char *new_method = strdup(method);
        AUTO_WIPE_STR char *new_url = strdup(url);

        if (!new_method || !new_url)
                return -ENOMEM;
        free(f->method);
        (void)str_wipe_free(f->url);
        f->method = TAKE(new_method);
        f->url = TAKE(new_url);
        return 0;
}

int fetch_request_add_header(struct fetch_request *f, const char *name, const char *value) {
        struct fields fields = { f->headers, f->n_headers };
        int r;

        if (!is_token(name) || !is_field_value(value))
                return -EINVAL;
        r = fields_add(&fields, name, value);
        f->headers = fields.v;
        f->n_headers = fields.n;
        return r;
}

#define ADDRESS_ALL (ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK | ADDRESS_LINK_LOCAL)

/* Nobody says link-local by a mask alone, nor shows a certificate without its key. */
static bool is_consistent(const struct fetch_request *f) {
        return (f->link_local || !(f->allow & ADDRESS_LINK_LOCAL)) &&
               (f->cert_pem.len > 0) == (f->key_pem.len > 0);
}

static const struct {
        const char *name;
        size_t offset;
} pem_members[] = {
        { "ca_pem", offsetof(struct fetch_request, ca_pem) },
        { "cert_pem", offsetof(struct fetch_request, cert_pem) },
        { "key_pem", offsetof(struct fetch_request, key_pem) },
};

static int pems_to_json(json_t *head, const struct fetch_request *f) {
        for (size_t i = 0; i < ARRAY_SIZE(pem_members); i++) {
                const struct buf *pem = (const void *)((const char *)f + pem_members[i].offset);

                if (pem->len == 0)
                        continue;
                if (pem->len > LIMIT_PEM_BYTES || memchr(pem->data, '\0', pem->len) ||
                    !utf8_valid(pem->data, pem->len))
                        return -EINVAL;
                if (json_object_set_new(head, pem_members[i].name,
                                        json_stringn(pem->data, pem->len)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int take_pems(struct fetch_request *f, const json_t *head) {
        for (size_t i = 0; i < ARRAY_SIZE(pem_members); i++) {
                struct buf *pem = (void *)((char *)f + pem_members[i].offset);
                const json_t *text = json_object_get(head, pem_members[i].name);
                int r;

                if (!text)
                        continue;
                if (!json_is_string(text) || json_string_length(text) == 0 ||
                    json_string_length(text) > LIMIT_PEM_BYTES)
                        return -EBADMSG;
                r = buf_append(pem, json_string_value(text), json_string_length(text));
                if (r < 0)
                        return r;
        }
        return 0;
}

static int flags_to_json(json_t *head, const struct fetch_request *f) {
        if ((f->direct && json_object_set_new(head, "direct", json_true()) < 0) ||
            (f->link_local && json_object_set_new(head, "link_local", json_true()) < 0))
                return -ENOMEM;
        return 0;
}

int fetch_request_to_head(const struct fetch_request *f, json_t **ret) {
        AUTO_JSON json_t *head = NULL;
        int r;

        if (!f->method || !f->url || f->id > INT64_MAX || !utf8_valid(f->url, strlen(f->url)) ||
            !is_consistent(f))
                return -EINVAL;
        head = json_pack("{ss sI ss ss si sI sI}", "op", "fetch", "id", (json_int_t)f->id, "method",
                         f->method, "url", f->url, "allow", (int)f->allow, "timeout_msec",
                         (json_int_t)f->timeout_msec, "body_max", (json_int_t)f->body_max);
        if (!head)
                return -ENOMEM;
        r = fields_to_json(head, f->headers, f->n_headers);
        if (r == 0)
                r = pems_to_json(head, f);
        if (r == 0)
                r = flags_to_json(head, f);
        if (r < 0)
                return r;
        *ret = TAKE(head);
        return 0;
}

/* An integer from 0 to @max that must be there. */
static int get_number(const json_t *object, const char *key, uint64_t max, uint64_t *ret) {
        const json_t *value = json_object_get(object, key);

        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            (uint64_t)json_integer_value(value) > max)
                return -EBADMSG;
        *ret = (uint64_t)json_integer_value(value);
        return 0;
}

static int request_add(void *to, const char *name, const char *value) {
        return fetch_request_add_header(to, name, value);
}

static int answer_add(void *to, const char *name, const char *value) {
        return fetch_answer_add_header(to, name, value);
}

/* The member "headers" of either head: each pair goes to @add. */
static int take_fields(const json_t *head,
                       int (*add)(void *to, const char *name, const char *value), void *to) {
        const json_t *headers = json_object_get(head, "headers");
        const json_t *pair;
        const char *name;
        const char *value;
        size_t i;

        if (!json_is_array(headers))
                return -EBADMSG;
        json_array_foreach(headers, i, pair) {
                int r = -EBADMSG;

                if (field_pair(pair, &name, &value))
                        r = add(to, name, value);
                if (r < 0)
                        return r == -ENOMEM ? r : -EBADMSG;
        }
        return 0;
}

static int request_parse(struct fetch_request *f, const json_t *head) {
        const char *method = json_get_string(head, "method");
        const char *url = json_get_string(head, "url");
        uint64_t id;
        uint64_t allow;
        uint64_t timeout;
        uint64_t body_max;
        int r;

        if (!streq_null(json_get_string(head, "op"), "fetch") || !method || !is_token(method) ||
            !url || !*url || strlen(url) > LIMIT_FRAME_HEAD_BYTES)
                return -EBADMSG;
        if (get_number(head, "id", INT64_MAX, &id) < 0 ||
            get_number(head, "allow", ADDRESS_ALL, &allow) < 0 ||
            get_number(head, "timeout_msec", INT32_MAX, &timeout) < 0 ||
            get_number(head, "body_max", LIMIT_FRAME_BODY_BYTES, &body_max) < 0)
                return -EBADMSG;
        r = fetch_request_set(f, method, url);
        if (r < 0)
                return r;
        f->id = id;
        f->allow = (unsigned)allow;
        f->timeout_msec = (unsigned)timeout;
        f->body_max = body_max;
        f->direct = json_get_bool(head, "direct", false);
        f->link_local = json_get_bool(head, "link_local", false);
        r = take_pems(f, head);
        if (r == 0 && !is_consistent(f))
                r = -EBADMSG;
        return r < 0 ? r : take_fields(head, request_add, f);
}

int fetch_request_from_head(struct fetch_request *f, const json_t *head, struct buf *body) {
        struct fetch_request parsed;
        int r;

        fetch_request_init(&parsed);
        r = request_parse(&parsed, head);
        if (r < 0) {
                fetch_request_done(&parsed);
                return r;
        }
        if (body)
                buf_move(&parsed.body, body);
        *f = parsed;
        return 0;
}

/* --- answers ------------------------------------------------------------------------------- */

void fetch_answer_init(struct fetch_answer *a) {
        *a = (struct fetch_answer){ .body = { .max = LIMIT_FRAME_BODY_BYTES } };
}

void fetch_answer_done(struct fetch_answer *a) {
        struct fields fields = { a->headers, a->n_headers };

        fields_done(&fields);
        free(a->reason);
        buf_done(&a->body);
        fetch_answer_init(a);
}

int fetch_answer_add_header(struct fetch_answer *a, const char *name, const char *value) {
        struct fields fields = { a->headers, a->n_headers };
        AUTO_WIPE_STR char *clean_value = strdup(value);
        AUTO_FREE char *low_name = strdup(name);
        int r;

        if (!clean_value || !low_name)
                return -ENOMEM;
        if (!is_token(name))
                return -EINVAL;
        for (char *p = low_name; *p; p++)
                *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        for (char *p = clean_value; *p; p++)
                *p = *p == '\t' ? ' ' : *p;
        /* Latin-1 and worse happen; a frame can carry UTF-8 only. */
        utf8_clean(clean_value);
        r = fields_add(&fields, low_name, clean_value);
        a->headers = fields.v;
        a->n_headers = fields.n;
        return r;
}

const char *fetch_answer_header(const struct fetch_answer *a, const char *name) {
        for (size_t i = 0; i < a->n_headers; i++)
                if (strcasecmp(a->headers[i].name, name) == 0)
                        return a->headers[i].value;
        return NULL;
}

int fetch_answer_to_head(const struct fetch_answer *a, json_t **ret) {
        AUTO_JSON json_t *head = NULL;
        AUTO_FREE char *reason = NULL;
        int r;

        if (a->id > INT64_MAX)
                return -EINVAL;
        reason = utf8_clean_dup(a->reason ? a->reason : "", a->reason ? strlen(a->reason) : 0,
                                LIMIT_FOREIGN_TEXT);
        if (!reason)
                return -ENOMEM;
        head = json_pack("{ss sI ss ss si si}", "op", "answer", "id", (json_int_t)a->id, "outcome",
                         fetch_outcome_name(a->outcome), "failure", fetch_failure_name(a->failure),
                         "status", (int)a->status, "reached", (int)a->reached);
        if (!head || (*reason && json_object_set_new(head, "reason", json_string(reason)) < 0))
                return -ENOMEM;
        r = fields_to_json(head, a->headers, a->n_headers);
        if (r < 0)
                return r;
        *ret = TAKE(head);
        return 0;
}

static int answer_parse(struct fetch_answer *a, const json_t *head) {
        int outcome =
                name_to_index(outcome_names, FETCH_OUTCOME_COUNT, json_get_string(head, "outcome"));
        int failure =
                name_to_index(failure_names, FETCH_FAILURE_COUNT, json_get_string(head, "failure"));
        const char *reason = json_get_string(head, "reason");
        uint64_t id;
        uint64_t status;
        uint64_t reached;
        bool answered;

        if (!streq_null(json_get_string(head, "op"), "answer") || outcome < 0 || failure < 0)
                return -EBADMSG;
        if (get_number(head, "id", INT64_MAX, &id) < 0 ||
            get_number(head, "status", 999, &status) < 0 ||
            get_number(head, "reached", ADDRESS_LINK_LOCAL, &reached) < 0 ||
            (reached & (reached - 1)) != 0)
                return -EBADMSG;
        /* The outcome decides what may be retried: the rest must not contradict it. */
        answered = outcome == FETCH_ANSWERED;
        if (answered != (failure == FETCH_FAILURE_NONE) || (answered && status < 100))
                return -EBADMSG;
        a->id = id;
        a->outcome = (enum fetch_outcome)outcome;
        a->failure = (enum fetch_failure)failure;
        a->status = (unsigned)status;
        a->reached = (enum address_class)reached;
        if (reason) {
                a->reason = utf8_clean_dup(reason, strlen(reason), LIMIT_FOREIGN_TEXT);
                if (!a->reason)
                        return -ENOMEM;
        }
        return take_fields(head, answer_add, a);
}

int fetch_answer_from_head(struct fetch_answer *a, const json_t *head, struct buf *body) {
        struct fetch_answer parsed;
        int r;

        fetch_answer_init(&parsed);
        r = answer_parse(&parsed, head);
        if (r < 0) {
                fetch_answer_done(&parsed);
                return r;
        }
        if (body)
                buf_move(&parsed.body, body);
        *a = parsed;
        return 0;
}
