/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs every file of the target's corpus through it, so that each find of the fuzzer stays found
 * wherever make check runs. With file names as arguments, those instead. Speaks TAP.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPLAY_FILES_MAX 4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path) {
        uint8_t *data = NULL;
        FILE *f = fopen(path, "rbe");
        size_t len = 0;
        long size;
        int r = -1;

        if (!f)
                return -1;
        if (fseek(f, 0, SEEK_END) == 0 && (size = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
                len = (size_t)size;
                /* Exactly as large as the input: a read behind its end is seen by ASan and
                 * valgrind. */
                data = malloc(len > 0 ? len : 1);
                if (data && fread(data, 1, len, f) == len)
                        r = LLVMFuzzerTestOneInput(data, len);
        }
        (void)fclose(f);
        free(data);
        return r;
}

static void report(int r, unsigned n, const char *name) {
        printf("%s %u - %s\n", r == 0 ? "ok" : "not ok", n, name);
        (void)fflush(stdout);
}

static int not_hidden(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

/* "…/lt-fuzz-frame" -> "$top_srcdir/tests/fuzz/corpus/frame" */
static void corpus_path(const char *program, char *path, size_t size) {
        const char *top = getenv("top_srcdir");
        const char *name = strrchr(program, '/');

        name = name ? name + 1 : program;
        if (strncmp(name, "lt-", 3) == 0)
                name += 3;
        if (strncmp(name, "fuzz-", 5) == 0)
                name += 5;
        (void)snprintf(path, size, "%s/tests/fuzz/corpus/%s", top ? top : ".", name);
}

int main(int argc, char **argv) {
        struct dirent **entries = NULL;
        char folder[3072];
        int failed = 0;
        int n;

        if (argc > 1) {
                printf("1..%d\n", argc - 1);
                for (int i = 1; i < argc; i++) {
                        int r = run_file(argv[i]);

                        report(r, (unsigned)i, argv[i]);
                        failed |= r != 0;
                }
                return failed;
        }
        corpus_path(argv[0], folder, sizeof(folder));
        n = scandir(folder, &entries, not_hidden, alphasort);
        if (n <= 0 || n > REPLAY_FILES_MAX) {
                printf("Bail out! no corpus in %s\n", folder);
                return 99;
        }
        printf("1..%d\n", n);
        for (int i = 0; i < n; i++) {
                char path[4096];
                int r;

                (void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
                r = run_file(path);
                report(r, (unsigned)i + 1, entries[i]->d_name);
                failed |= r != 0;
                free(entries[i]);
        }
        free(entries);
        return failed;
}
