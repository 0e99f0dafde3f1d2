/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/ask.h"

#include "base/url.h"
#include "broker/internal.h"
#include "config/config.h"

static bool may_be_private(const struct config *c, const char *text) {
        AUTO_URL struct url u = URL_INIT;

        if (c->n_allow_private == 0 || url_parse(&u, text, "URL", NULL) < 0)
                return false;
        for (size_t i = 0; i < c->n_allow_private; i++)
                if (streq(c->allow_private[i], u.host))
                        return true;
        return false;
}

int ask_network(struct broker *b, enum fetch_via via, struct fetch_request *f, fetch_done_fn fn,
                void *userdata, uint64_t *ret_id) {
        if (may_be_private(b->config, f->url))
                f->allow |= ADDRESS_PRIVATE;
        return b->workers->fetch(b->wud, via, f, fn, userdata, ret_id);
}
