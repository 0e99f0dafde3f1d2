/* SPDX-License-Identifier: Apache-2.0 */
#include "os/browser.h"

#include "base/url.h"
#include "os/spawn.h"

bool browser_url_allowed(const char *url) {
        AUTO_URL struct url u = URL_INIT;

        return url_parse(&u, url, "login URL", NULL) == 0 && url_is_allowed(&u) &&
               !strpbrk(url, "'`");
}

static bool start(const char *program, const char *url) {
        char *argv[] = { (char *)(uintptr_t)program, (char *)(uintptr_t)url, NULL };
        struct spawn s = { .path = program, .argv = argv, .search = true, .new_session = true };
        struct error err = ERROR_INIT;
        pid_t pid = 0;

        return spawn(&s, &pid, NULL, &err) == 0;
}

/* $BROWSER is a list with colons; a "%s" or options in it would need a shell's rules, so only plain
 * programs count. */
static bool start_listed(const char *list, const char *url) {
        AUTO_FREE char *copy = strdup(list);
        char *rest = copy;
        char *item;

        while (copy && (item = strsep(&rest, ":")) != NULL)
                if (item[0] && !strpbrk(item, " %\t") && start(item, url))
                        return true;
        return false;
}

bool browser_open(const char *command, const char *url) {
        const char *listed = getenv("BROWSER");
        bool desktop = getenv("DISPLAY") || getenv("WAYLAND_DISPLAY");

        if (!browser_url_allowed(url))
                return false;
        if (command)
                return start(command, url);
        if (listed && start_listed(listed, url))
                return true;
        return desktop && start("xdg-open", url);
}
