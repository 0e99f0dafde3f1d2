/* SPDX-License-Identifier: Apache-2.0 */
#include "world-own.h"

#include "base/codec.h"

int own_set_up(void **state, const char *const *servers) {
        struct world *w = calloc(1, sizeof(*w));

        assert_non_null(w);
        w->servers = servers;
        w->secret = "s3cret";
        world_init(w);
        *state = w;
        return 0;
}

void serve_up_to_token(struct world *w) {
        world_run(w);
        world_serve(w);
        if (!world_fetch(w))
                fail_msg("nothing is asked of anybody");
        assert_string_equal(world_fetch(w)->request.url, WORLD_ISSUER "/token");
}

void come_up(struct world *w, const char *token) {
        serve_up_to_token(w);
        world_tokens(w, token, NULL, 600, NULL);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
}

/* {"alg":"none"...} would do as little: nobody here verifies it. */
char *token_for(const char *audience) {
        AUTO_BUF struct buf claims = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;

        assert_int_equal(buf_printf(&claims,
                                    "{\"iss\":\"https://k8s\",\"sub\":\"sa\",\"aud\":\"%s\","
                                    "\"exp\":%llu}",
                                    audience,
                                    (unsigned long long)(WORLD_WALL / USEC_PER_SEC + 600)),
                         0);
        assert_int_equal(base64url_append(&b, "{\"alg\":\"ES256\"}", 15), 0);
        assert_int_equal(buf_append_str(&b, "."), 0);
        assert_int_equal(base64url_append(&b, claims.data, claims.len), 0);
        assert_int_equal(buf_append_str(&b, ".c2lnbmF0dXJl"), 0);
        return buf_steal(&b);
}

void serve_up_to_order(struct world *w) {
        world_run(w);
        world_serve(w);
        world_run(w);
        assert_int_equal(w->n_fetches, 0);
        assert_non_null(w->order_fn);
        assert_int_equal(w->order.kind, ORDER_READ);
        assert_string_equal(w->order.path, "/run/id/token");
}
