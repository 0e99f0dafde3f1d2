/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for a URL has one reading: its origin is a URL of the same origin, and no part
 * holds what would end it. */
#include <assert.h>

#include "base/buf.h"
#include "base/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct url *u) {
        AUTO_URL struct url again = URL_INIT;
        AUTO_FREE char *origin = url_origin(u);
        struct error err = ERROR_INIT;

        assert(u->host[0] && u->port > 0);
        assert(!strpbrk(u->host, "@/\\?#[] %"));
        assert(u->ipv6 || !strchr(u->host, ':'));
        assert(!strpbrk(u->path, "?# \\"));
        assert(!u->path[0] || u->path[0] == '/');
        assert(!u->query || !strchr(u->query, '#'));
        assert(origin);
        assert(url_parse(&again, origin, "origin", &err) == 0);
        assert(url_same_origin(u, &again));
        if (url_check_allowed(u->text, "URL", &err) == 0)
                assert(!u->fragment && (streq(u->scheme, "https") || url_host_is_loopback(u)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = ERROR_INIT;

        assert(buf_append(&text, data, size) == 0);
        if (url_parse(&u, text.data, "URL", &err) == 0) {
                assert(streq(u.text, text.data));
                look(&u);
        } else {
                assert(err.code == MCPB_BAD_PARAMS);
        }
        return 0;
}
