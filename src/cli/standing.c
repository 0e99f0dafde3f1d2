/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/standing.h"

#include <stdio.h>

static void print_sandbox(bool seccomp, long long landlock_abi) {
        static const char off[] = "OFF (the kernel does not offer it)";

        (void)printf(" seccomp %s, landlock ", seccomp ? "on" : off);
        if (landlock_abi > 0)
                (void)printf("ABI %lld", landlock_abi);
        else
                (void)printf("%s", off);
}

static void print_process(const json_t *item) {
        const json_t *sandbox = json_object_get(item, "sandbox");
        const json_t *missing = json_object_get(sandbox, "missing");
        const json_t *what;
        size_t i;

        (void)printf("  %-11s pid %-8lld",
                     json_get_string(item, "name") ? json_get_string(item, "name") : "?",
                     (long long)json_get_int(item, "pid", 0));
        if (sandbox)
                print_sandbox(json_get_bool(sandbox, "seccomp", false),
                              (long long)json_get_int(sandbox, "landlock_abi", 0));
        if (json_get_int(item, "restarts", 0) > 0)
                (void)printf(", started again %lld times",
                             (long long)json_get_int(item, "restarts", 0));
        if (json_get_bool(item, "replaced", false))
                (void)printf(", replaced: leaves when it has ended what it has");
        json_array_foreach(missing, i, what)
                (void)printf("%s%s", i == 0 ? ", not granted: " : " ",
                             json_string_value(what) ? json_string_value(what) : "?");
        (void)printf("\n");
}

void standing_print_store(const json_t *store) {
        const char *by = json_get_string(store, "opened_by");

        (void)printf("Store:     %s%s%s\n",
                     !json_get_bool(store, "exists", false)    ? "none yet"
                     : json_get_bool(store, "unlocked", false) ? "open"
                                                               : "locked",
                     by ? ", opened by slot " : "", by ? by : "");
        if (json_get_bool(store, "key_beside_store", false))
                (void)printf("           its key lies beside it in the clear: as safe as your home "
                             "folder, no safer\n");
        if (json_get_int(store, "damaged", 0) > 0)
                (void)printf("           %lld records are damaged: see the log\n",
                             (long long)json_get_int(store, "damaged", 0));
}

void standing_print_processes(const json_t *processes) {
        const json_t *item;
        size_t i;

        (void)printf("Processes:\n");
        json_array_foreach(processes, i, item)
                print_process(item);
}
