/* SPDX-License-Identifier: Apache-2.0 */
#include "net/redirect.h"

static bool printable(const char *s) {
        for (; *s; s++)
                if (*s <= 0x20 || *s >= 0x7f)
                        return false;
        return true;
}

enum redirect_verdict redirect_judge(const struct redirect_request *request, const char *path,
                                     const char *host, const char **ret_rest) {
        const char *target = request->target;
        size_t n_path = strcspn(target, "?");
        bool get = streq(request->method, "GET");
        size_t n_done = strlen(REDIRECT_DONE);

        if (!request->host || !streq(request->host, host) || !printable(target))
                return REDIRECT_BAD;
        if (n_path == strlen(path) && memcmp(target, path, n_path) == 0) {
                const char *query = target[n_path] ? target + n_path + 1 : target + n_path;

                if (!get)
                        return REDIRECT_METHOD;
                if (strlen(query) > REDIRECT_QUERY_MAX)
                        return REDIRECT_BAD;
                *ret_rest = query;
                return REDIRECT_TAKE;
        }
        if (strncmp(target, REDIRECT_DONE, n_done) != 0 || target[n_path])
                return REDIRECT_NOT_FOUND;
        if (!get)
                return REDIRECT_METHOD;
        *ret_rest = target + n_done;
        return REDIRECT_PAGE;
}

bool redirect_path_valid(const char *path) {
        if (path[0] != '/' || !path[1] || strlen(path) > REDIRECT_PATH_MAX)
                return false;
        for (const char *p = path; *p; p++)
                if (!(*p >= 'a' && *p <= 'z') && !(*p >= 'A' && *p <= 'Z') &&
                    !(*p >= '0' && *p <= '9') && !strchr("/-_.~", *p))
                        return false;
        return strncmp(path, REDIRECT_DONE, strlen(REDIRECT_DONE)) != 0;
}
