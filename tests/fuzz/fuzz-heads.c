/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON text as the head of a fetch, of an answer, of evidence, of an order and of its reply. What
 * is taken makes a head that is taken again. */
#include <assert.h>

#include "base/limits.h"
#include "wire/evidence.h"
#include "wire/fetch.h"
#include "wire/order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_request(const json_t *head) {
        struct fetch_request a;
        struct fetch_request b;
        AUTO_JSON json_t *again = NULL;

        fetch_request_init(&a);
        fetch_request_init(&b);
        if (fetch_request_from_head(&a, head, NULL) == 0) {
                assert(fetch_request_to_head(&a, &again) == 0);
                assert(fetch_request_from_head(&b, again, NULL) == 0);
                assert(streq(a.url, b.url) && a.n_headers == b.n_headers && a.allow == b.allow);
                assert(a.link_local || !(a.allow & ADDRESS_LINK_LOCAL));
                assert(a.key_pem.len == b.key_pem.len && a.direct == b.direct);
        }
        fetch_request_done(&a);
        fetch_request_done(&b);
}

static void try_answer(const json_t *head) {
        struct fetch_answer a;
        struct fetch_answer b;
        AUTO_JSON json_t *again = NULL;

        fetch_answer_init(&a);
        fetch_answer_init(&b);
        if (fetch_answer_from_head(&a, head, NULL) == 0) {
                assert((a.outcome == FETCH_ANSWERED) == (a.failure == FETCH_FAILURE_NONE));
                assert(fetch_answer_to_head(&a, &again) == 0);
                assert(fetch_answer_from_head(&b, again, NULL) == 0);
                assert(a.status == b.status && a.n_headers == b.n_headers);
        }
        fetch_answer_done(&a);
        fetch_answer_done(&b);
}

static void try_evidence(const json_t *head) {
        struct evidence a = { 0 };
        struct evidence b = { 0 };
        AUTO_JSON json_t *again = NULL;

        if (evidence_from_json(&a, head) < 0)
                return;
        assert(evidence_to_json(&a, &again) == 0);
        assert(evidence_from_json(&b, again) == 0);
        assert(a.start_ticks == 0 || (a.anchor_known && a.anchor_start_ticks == 0) ||
               evidence_same(&a, &b));
}

static void try_order(const json_t *head) {
        struct order a;
        struct order b;
        AUTO_JSON json_t *again = NULL;

        order_init(&a, ORDER_READ);
        order_init(&b, ORDER_READ);
        if (order_from_head(&a, head, NULL) == 0) {
                assert(order_to_head(&a, &again) == 0);
                assert(order_from_head(&b, again, NULL) == 0);
                assert(a.kind == b.kind && a.n_argv == b.n_argv && a.n_envp == b.n_envp);
                assert(a.kind == ORDER_RUN || streq(a.path, b.path));
        }
        order_done(&a);
        order_done(&b);
}

static void try_reply(const json_t *head, enum order_kind kind) {
        struct order_reply a;
        struct order_reply b;
        AUTO_JSON json_t *again = NULL;

        order_reply_init(&a);
        order_reply_init(&b);
        if (order_reply_from_head(&a, kind, head, NULL) == 0) {
                assert(order_reply_to_head(&a, kind, &again) == 0);
                assert(order_reply_from_head(&b, kind, again, NULL) == 0);
                assert(a.r == b.r && a.answer.status == b.answer.status);
        }
        order_reply_done(&a);
        order_reply_done(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_JSON json_t *head = NULL;

        if (json_parse((const char *)data, size, LIMIT_JSON_DEPTH, &head, NULL) < 0)
                return 0;
        try_request(head);
        try_answer(head);
        try_evidence(head);
        try_order(head);
        for (unsigned kind = 0; kind < ORDER_KIND_COUNT; kind++)
                try_reply(head, kind);
        return 0;
}
