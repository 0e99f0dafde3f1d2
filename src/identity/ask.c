/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps that providers take, with what is common to them.
 */
#include <stdio.h>

#include "base/codec.h"
#include "identity/provider.h"

#define FETCH_MSEC 10000
#define FETCH_LINK_LOCAL_MSEC 4000

PRINTF_LIKE(2, 0)
static void say(struct identity *i, const char *fmt, va_list ap) {
        (void)vsnprintf(i->what, sizeof(i->what), fmt, ap);
}

int identity_ask_fetch(struct identity *i, const char *method, const char *url, const char *fmt,
                       ...) {
        struct fetch_request *f = &i->step.fetch;
        va_list ap;

        va_start(ap, fmt);
        say(i, fmt, ap);
        va_end(ap);
        i->next = IDENTITY_FETCH;
        f->allow = ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK;
        f->timeout_msec = FETCH_MSEC;
        f->body_max = IDENTITY_BODY_MAX;
        f->direct = true;
        return fetch_request_set(f, method, url);
}

void identity_fetch_link_local(struct identity *i) {
        i->step.fetch.allow = ADDRESS_LINK_LOCAL | ADDRESS_LOOPBACK;
        i->step.fetch.link_local = true;
        i->step.fetch.timeout_msec = FETCH_LINK_LOCAL_MSEC;
}

int identity_ask_read(struct identity *i, const char *path, enum order_rules rules, const char *fmt,
                      ...) {
        va_list ap;

        va_start(ap, fmt);
        say(i, fmt, ap);
        va_end(ap);
        i->next = IDENTITY_READ;
        order_init(&i->step.order, ORDER_READ);
        i->step.order.rules = rules;
        i->step.order.max = IDENTITY_BODY_MAX;
        return order_set_path(&i->step.order, path);
}

int identity_ask_run(struct identity *i, uint64_t timeout_usec, const char *fmt, ...) {
        va_list ap;

        va_start(ap, fmt);
        say(i, fmt, ap);
        va_end(ap);
        i->next = IDENTITY_RUN;
        order_init(&i->step.order, ORDER_RUN);
        i->step.order.max = IDENTITY_BODY_MAX;
        i->step.order.timeout_usec = timeout_usec;
        return 0;
}

int identity_ask_call(struct identity *i, const char *path, const char *url, const char *fmt, ...) {
        va_list ap;
        int r;

        va_start(ap, fmt);
        say(i, fmt, ap);
        va_end(ap);
        i->next = IDENTITY_CALL;
        order_init(&i->step.order, ORDER_CALL);
        r = order_set_path(&i->step.order, path);
        if (r == 0)
                r = fetch_request_set(&i->step.order.fetch, "POST", url);
        i->step.order.fetch.timeout_msec = FETCH_MSEC;
        i->step.order.fetch.body_max = IDENTITY_BODY_MAX;
        return r;
}

bool identity_is_authority(const char *text) {
        for (const char *p = text; *p; p++)
                if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                      (*p >= '0' && *p <= '9') || strchr("-.:[]", *p)))
                        return false;
        return *text;
}

int identity_url_add(struct buf *url, const char *name, const char *value) {
        const char *mark = url->len > 0 && strchr(url->data, '?') ? "&" : "?";
        int r = buf_printf(url, "%s%s=", mark, name);

        return r < 0 ? r : percent_append(url, value, "");
}
