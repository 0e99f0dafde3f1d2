/* SPDX-License-Identifier: Apache-2.0 */
/* An answer of AWS. What is found has nothing in it that was markup, and is no longer than the
 * document. */
#include <assert.h>

#include "base/utf8.h"
#include "identity/xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct {
                const char *parent;
                const char *name;
        } wanted[] = {
                { "GetWebIdentityTokenResult", "WebIdentityToken" },
                { "Error", "Code" },
                { "a", "b" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                AUTO_BUF struct buf out = BUF_INIT;
                int r = xml_text((const char *)data, size, wanted[i].parent, wanted[i].name, &out);

                assert(r == 0 || r == -EBADMSG || r == -ENOENT);
                assert(r == 0 || out.len == 0);
                assert(out.len < size || size == 0);
                assert(utf8_valid(out.data ? out.data : "", out.len));
        }
        return 0;
}
