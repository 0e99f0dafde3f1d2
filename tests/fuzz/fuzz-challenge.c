/* SPDX-License-Identifier: Apache-2.0 */
/* Field values, one a line. Nothing makes the parser fail, and what it yields can be shown and
 * sent. */
#include <assert.h>

#include "base/limits.h"
#include "oauth/challenge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define VALUES_MAX 16

static void check_text(const char *text) {
        if (!text)
                return;
        assert(strlen(text) <= LIMIT_FOREIGN_TEXT);
        for (const char *p = text; *p; p++)
                assert((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check(const struct challenge *c) {
        assert(c->found == (c->scheme != NULL));
        assert(c->has_scope == (c->scopes.n > 0));
        assert(c->found || (!c->resource_metadata && !c->error && c->scopes.n == 0));
        assert(!c->dpop_only || c->dpop_offered);
        assert(!c->resource_metadata || c->resource_metadata[0]);
        for (size_t i = 0; i < c->scopes.n; i++) {
                assert(scope_token_valid(c->scopes.items[i], strlen(c->scopes.items[i])));
                assert(i == 0 || strcmp(c->scopes.items[i - 1], c->scopes.items[i]) < 0);
        }
        check_text(c->error);
        check_text(c->error_description);
        check_text(c->acr_values);
        for (unsigned status = 100; status < 600; status++)
                assert(challenge_judge(c, status) < CHALLENGE_MEANING_COUNT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        AUTO_CHALLENGE struct challenge copy = CHALLENGE_INIT;
        AUTO_FREE char *text = calloc(1, size + 1); /* not strndup(): ASan reads on for its NUL */
        const char *values[VALUES_MAX];
        size_t n = 0;
        char *rest = text;
        char *value;

        assert(text);
        if (size > 0)
                memcpy(text, data, size);
        while (n < VALUES_MAX && (value = strsep(&rest, "\n")))
                values[n++] = value;
        assert(challenge_parse(&c, values, n) == 0);
        check(&c);
        assert(challenge_copy(&copy, &c) == 0);
        check(&copy);
        return 0;
}
