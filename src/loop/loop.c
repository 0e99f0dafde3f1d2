/* SPDX-License-Identifier: Apache-2.0 */
#include "loop/loop.h"

#include <sched.h>
#include <time.h>

#include "base/clock.h"

#define TIMER_ACCURACY_USEC (10 * USEC_PER_MSEC)

static int on_never(sd_event_source *s, uint64_t usec, void *userdata) {
        return 0;
}

/* The first timer of a loop makes its timer descriptor and reads the machine's boot id from
 * /proc: not possible any more in a sandbox. */
static int warm_up(sd_event *e) {
        AUTO_LOOP_SOURCE sd_event_source *timer = NULL;

        return sd_event_add_time(e, &timer, CLOCK_BOOTTIME, UINT64_MAX - 1, 0, on_never, NULL);
}

int loop_new(sd_event **ret) {
        AUTO_LOOP sd_event *e = NULL;
        int r = sd_event_new(&e);

        if (r >= 0)
                r = warm_up(e);
        if (r < 0)
                return r;
        *ret = TAKE(e);
        return 0;
}

sd_event *loop_free(sd_event *e) {
        return sd_event_unref(e);
}

int loop_run(sd_event *e, bool (*eager)(void *userdata), void *userdata) {
        int status;
        int r = 0;

        while (r >= 0 && sd_event_get_state(e) != SD_EVENT_FINISHED) {
                bool look = eager(userdata);

                r = sd_event_run(e, look ? 0 : UINT64_MAX);
                if (look && r == 0)
                        (void)sched_yield();
        }
        if (r >= 0)
                r = sd_event_get_exit_code(e, &status);
        return r < 0 ? r : status;
}

/*
 * Our clock may be another than the kernel's in a check program: what counts is how far away the
 * moment is by ours.
 */
static uint64_t kernel_moment(uint64_t boot_usec) {
        uint64_t now = clock_boot_usec();
        struct timespec ts = { 0 };
        uint64_t kernel_now;
        uint64_t delay = boot_usec > now ? boot_usec - now : 0;

        (void)clock_gettime(CLOCK_BOOTTIME, &ts);
        kernel_now = (uint64_t)ts.tv_sec * USEC_PER_SEC + (uint64_t)ts.tv_nsec / 1000;
        return delay < UINT64_MAX - 1 - kernel_now ? kernel_now + delay : UINT64_MAX - 1;
}

/* sd-event wakes as late as it is allowed to: what is due now must not wait for company. */
static uint64_t accuracy(uint64_t boot_usec) {
        return boot_usec > clock_boot_usec() ? TIMER_ACCURACY_USEC : 1;
}

int loop_timer(sd_event *e, uint64_t boot_usec, sd_event_time_handler_t fn, void *userdata,
               const char *description, sd_event_source **ret) {
        AUTO_LOOP_SOURCE sd_event_source *s = NULL;
        int r = sd_event_add_time(e, &s, CLOCK_BOOTTIME, kernel_moment(boot_usec),
                                  accuracy(boot_usec), fn, userdata);

        if (r >= 0)
                r = sd_event_source_set_priority(s, LOOP_TIMER);
        if (r >= 0)
                r = sd_event_source_set_description(s, description);
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

int loop_timer_set(sd_event_source *s, uint64_t boot_usec) {
        int r = sd_event_source_set_time(s, kernel_moment(boot_usec));

        if (r >= 0)
                r = sd_event_source_set_time_accuracy(s, accuracy(boot_usec));
        if (r >= 0)
                r = sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return r < 0 ? r : 0;
}

int loop_timer_arm(sd_event *e, uint64_t boot_usec, sd_event_time_handler_t fn, void *userdata,
                   const char *description, sd_event_source **s) {
        return *s ? loop_timer_set(*s, boot_usec)
                  : loop_timer(e, boot_usec, fn, userdata, description, s);
}

int loop_timer_stop(sd_event_source *s) {
        int r = sd_event_source_set_enabled(s, SD_EVENT_OFF);

        return r < 0 ? r : 0;
}

int loop_defer(sd_event *e, sd_event_handler_t fn, void *userdata, const char *description,
               sd_event_source **ret) {
        AUTO_LOOP_SOURCE sd_event_source *s = NULL;
        int r = sd_event_add_defer(e, &s, fn, userdata);

        if (r >= 0)
                r = sd_event_source_set_description(s, description);
        if (r < 0)
                return r;
        *ret = TAKE(s);
        return 0;
}

sd_event_source *loop_source_free(sd_event_source *s) {
        return sd_event_source_disable_unref(s);
}
