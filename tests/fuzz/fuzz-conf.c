/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line reader: whatever comes, items are well-formed, lines count upwards, and errors name one.
 */
#include <assert.h>

#include "base/conf.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int check(const struct conf_item *item, void *userdata, struct error *err) {
        unsigned *line = userdata;

        (void)err;
        assert(item->line > *line);
        *line = item->line;
        assert(item->section && *item->section && utf8_valid(item->section, strlen(item->section)));
        assert(!item->key == !item->value);
        if (item->key) {
                assert(*item->key && !strpbrk(item->key, " =[]:"));
                assert(utf8_valid(item->value, strlen(item->value)));
                assert(*item->value != ' ');
        }
        return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        struct error err = ERROR_INIT;
        unsigned line = 0;
        int r = conf_parse("f", (const char *)data, size, check, &line, &err);

        assert(r == 0 ? err.code == MCPB_NO_ERROR : err.code == MCPB_BAD_CONFIG);
        assert(r == 0 || strncmp(err.message, "f:", 2) == 0);
        return 0;
}
