/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON text as the head of a fetch, of an answer and of evidence. What is taken makes a head that
 * is taken again. */
#include <assert.h>

#include "base/limits.h"
#include "wire/evidence.h"
#include "wire/fetch.h"

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_JSON json_t *head = NULL;

        if (json_parse((const char *)data, size, LIMIT_JSON_DEPTH, &head, NULL) < 0)
                return 0;
        try_request(head);
        try_answer(head);
        try_evidence(head);
        return 0;
}
