/* SPDX-License-Identifier: Apache-2.0 */
/* A declared server has all that the rest relies upon; what is refused says where. */
#include "config.h" /* memmem() */

#include <assert.h>

#include "base/name.h"
#include "base/url.h"
#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct declared_server *s) {
        assert(s->url && url_check_allowed(s->url, "URL", NULL) == 0);
        assert(name_valid(s->name) && (!*s->account || name_valid(s->account)));
        assert(!s->client_id || s->issuer);
        assert(!s->secret_file || (s->client_id && *s->secret_file == '/'));
        assert(!s->client_id || !s->metadata_url);
        for (size_t i = 0; i < s->n_scopes; i++)
                assert(*s->scopes[i] && !strpbrk(s->scopes[i], " \"\\"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        AUTO_CONFIG_FILES struct config_files files = CONFIG_FILES_INIT;
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;
        /* A line "==" parts two files. */
        const char *part = memmem(data, size, "==\n", 3);
        size_t first = part ? (size_t)(part - (const char *)data) : size;
        AUTO_BUF struct buf a = BUF_INIT;
        AUTO_BUF struct buf b = BUF_INIT;
        int r;

        if (buf_append(&a, data, first) < 0 || config_files_add(&files, "a.conf", 1, &a) < 0)
                return 0;
        if (part && (buf_append(&b, part + 3, size - first - 3) < 0 ||
                     config_files_add(&files, "b.conf", 2, &b) < 0))
                return 0;
        r = declared_parse(&d, &files, &err);
        assert(r == 0 ? err.code == MCPB_NO_ERROR : err.code == MCPB_BAD_CONFIG);
        assert(r == 0 || strstr(err.message, ".conf:"));
        for (size_t i = 0; i < d.n; i++)
                check(&d.items[i]);
        return 0;
}
