/* SPDX-License-Identifier: Apache-2.0 */
/* What the redirect listener reads itself: request heads, and lines of /proc/net/tcp. Input:
 * method, target, host, line; one each line. */
#include <assert.h>

#include "base/buf.h"
#include "net/redirect.h"
#include "net/sockowner.h"

#define HOST "127.0.0.1:45678"
#define PATH "/callback/aB3-_x"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char *next_line(char **rest) {
        char *line = *rest;
        size_t n = strcspn(line, "\n");

        *rest = line + n + (line[n] ? 1 : 0);
        line[n] = '\0';
        return line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        static const struct sockowner_row row = { .local = "0100007F:9C40",
                                                  .remote = "0100007F:B26E" };
        char *text = calloc(1, size + 1);
        struct redirect_request request;
        const char *found = NULL;
        char *rest = text;
        uid_t uid;

        if (!text)
                return 0;
        if (size > 0)
                memcpy(text, data, size);
        request.method = next_line(&rest);
        request.target = next_line(&rest);
        request.host = next_line(&rest);
        if (redirect_judge(&request, PATH, HOST, &found) == REDIRECT_TAKE) {
                assert(streq(request.method, "GET") && streq(request.host, HOST));
                assert(strncmp(request.target, PATH, strlen(PATH)) == 0);
                assert(found && strlen(found) <= REDIRECT_QUERY_MAX);
        }
        (void)redirect_path_valid(request.target);
        if (sockowner_match(rest, &row, &uid))
                assert(strstr(rest, row.local) && strstr(rest, row.remote));
        free(text);
        return 0;
}
