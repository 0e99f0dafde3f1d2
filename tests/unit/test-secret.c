/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "crypto/init.h"
#include "crypto/secret.h"
#include "test.h"

static int start(void **state) {
        return crypto_init(NULL);
}

static int stop(void **state) {
        crypto_done();
        return 0;
}

static void a_full_slab_is_an_error_and_room_comes_back(void **state) {
        struct secret *all[SECRET_SLOTS];
        struct secret *one;

        for (size_t i = 0; i < SECRET_SLOTS; i++) {
                all[i] = secret_new(SECRET_BYTES_MAX);
                assert_non_null(all[i]);
        }
        assert_int_equal(secret_slab_used(), SECRET_SLOTS);
        assert_null(secret_new(1));
        assert_null(secret_new_random(1));
        assert_null(secret_new_from("x", 1));
        all[100] = secret_free(all[100]);
        one = secret_new(1);
        assert_non_null(one);
        one = secret_free(one);
        for (size_t i = 0; i < SECRET_SLOTS; i++)
                all[i] = secret_free(all[i]);
        assert_int_equal(secret_slab_used(), 0);
}

/* S1 */
static void a_freed_secret_leaves_nothing_behind(void **state) {
        static const uint8_t zero[SECRET_BYTES_MAX];

        for (size_t round = 0; round < 2 * SECRET_SLOTS; round++) {
                struct secret *s = secret_new(SECRET_BYTES_MAX);

                assert_memory_equal(secret_peek(s), zero, sizeof(zero));
                for (size_t i = 0; i < SECRET_BYTES_MAX; i++)
                        secret_data(s)[i] = 0xff;
                s = secret_free(s);
        }
}

static void sizes_have_bounds(void **state) {
        struct secret *s;

        assert_null(secret_new(0));
        assert_null(secret_new(SECRET_BYTES_MAX + 1));
        s = secret_new_from("0123456789abcdef", 16);
        assert_int_equal(secret_size(s), 16);
        assert_memory_equal(secret_peek(s), "0123456789abcdef", 16);
        s = secret_free(s);
        assert_null(s);
}

static void random_secrets_differ(void **state) {
        AUTO_SECRET struct secret *a = secret_new_random(SECRET_KEY_BYTES);
        AUTO_SECRET struct secret *b = secret_new_random(SECRET_KEY_BYTES);

        assert_memory_not_equal(secret_peek(a), secret_peek(b), SECRET_KEY_BYTES);
}

static void without_init_there_are_no_secrets(void **state) {
        crypto_done();
        assert_null(secret_new(1));
        assert_false(secret_slab_locked());
        assert_int_equal(crypto_init(NULL), 0);
        assert_int_equal(crypto_init(NULL), 0);
}

/*
 * What secret_slab_locked() says in a process with that limit on locked memory: 0 or 1; 2 if
 * secrets do not work. As nobody, because root may lock without limit.
 */
static int locked_in_child(rlim_t limit) {
        pid_t pid = fork();
        int status = 0;

        assert_true(pid >= 0);
        if (pid == 0) {
                struct rlimit l = { .rlim_cur = limit, .rlim_max = limit };
                struct secret *s;

                crypto_done();
                if (setrlimit(RLIMIT_MEMLOCK, &l) < 0)
                        _exit(3);
                if (geteuid() == 0 && setuid(65534) < 0)
                        _exit(4);
                if (crypto_init(NULL) < 0)
                        _exit(2);
                s = secret_new_random(SECRET_KEY_BYTES);
                _exit(!s ? 2 : secret_slab_locked() ? 1 : 0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        return WEXITSTATUS(status);
}

#ifndef MCPB_SANITIZED /* the sanitizers make mlock() do nothing and succeed */
static void memory_that_could_not_be_locked_is_told(void **state) {
        assert_int_equal(locked_in_child(0), 0);
}
#endif

static void the_slab_fits_into_the_smallest_usual_limit(void **state) {
        struct rlimit l;

        assert_int_equal(getrlimit(RLIMIT_MEMLOCK, &l), 0);
        if (l.rlim_max >= 65536)
                assert_int_equal(locked_in_child(65536), 1);
}

/* S1 */
static void a_secret_used_after_its_end_stops_the_process(void **state) {
        pid_t pid = fork();
        int status = 0;

        assert_true(pid >= 0);
        if (pid == 0) {
                struct secret *s = secret_new(1);

                (void)signal(SIGABRT, SIG_DFL);
                (void)close(STDERR_FILENO);
                (void)secret_free(s);
                (void)secret_data(s);
                _exit(0);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_full_slab_is_an_error_and_room_comes_back),
                cmocka_unit_test(a_freed_secret_leaves_nothing_behind),
                cmocka_unit_test(sizes_have_bounds),
                cmocka_unit_test(random_secrets_differ),
                cmocka_unit_test(without_init_there_are_no_secrets),
#ifndef MCPB_SANITIZED
                cmocka_unit_test(memory_that_could_not_be_locked_is_told),
#endif
                cmocka_unit_test(the_slab_fits_into_the_smallest_usual_limit),
                cmocka_unit_test(a_secret_used_after_its_end_stops_the_process),
        };

        return cmocka_run_group_tests_name("secret", tests, start, stop);
}
