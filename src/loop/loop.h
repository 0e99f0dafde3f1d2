/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few things on top of sd-event that all loops share: who goes first, timers on the clock of
 * base/clock.h, and release. Callbacks always return 0; freeing their own object is their last act.
 */
#pragma once

#include <systemd/sd-event.h>

#include "base/util.h"

/* Who goes first; smaller is sooner. */
enum loop_priority {
        LOOP_SIGNAL = -30,
        LOOP_CHILD = -20,
        LOOP_WORKER = -10, /* answers of our own processes: they free what clients wait for */
        LOOP_TIMER = -5,
        LOOP_CLIENT = 0,
        LOOP_ACCEPT = 10, /* new clients after those that are here */
        LOOP_IDLE = 100,
};

/*
 * A new event loop. What sd-event would do lazily with files or a new timer descriptor is done
 * here, so that the loop works in a sandbox that was entered afterwards.
 */
int loop_new(sd_event **ret) MUST_CHECK;
sd_event *loop_free(sd_event *e);
/*
 * As sd_event_loop(), but it does not sleep while @eager says that something is due within
 * microseconds: it looks again at once, and lets others have the processor in between.
 */
int loop_run(sd_event *e, bool (*eager)(void *userdata), void *userdata) MUST_CHECK;

/*
 * A timer that fires once at @boot_usec (clock_boot_usec()), at most 10 ms late on an idle machine;
 * at once if that moment has come.
 * @description is shown in debugging. The source is the caller's: loop_source_free().
 */
int loop_timer(sd_event *e, uint64_t boot_usec, sd_event_time_handler_t fn, void *userdata,
               const char *description, sd_event_source **ret) MUST_CHECK;
/* Arms it anew, also from its own callback. */
int loop_timer_set(sd_event_source *s, uint64_t boot_usec) MUST_CHECK;
int loop_timer_stop(sd_event_source *s) MUST_CHECK;
/* Arms *@s, which is made the first time. */
int loop_timer_arm(sd_event *e, uint64_t boot_usec, sd_event_time_handler_t fn, void *userdata,
                   const char *description, sd_event_source **s) MUST_CHECK;

/* Calls @fn once, from the loop, never from here. */
int loop_defer(sd_event *e, sd_event_handler_t fn, void *userdata, const char *description,
               sd_event_source **ret) MUST_CHECK;

/* Switches off and releases; takes NULL; returns NULL. */
sd_event_source *loop_source_free(sd_event_source *s);

DEFINE_CLEANUP(sd_event *, loop, (void)loop_free)
DEFINE_CLEANUP(sd_event_source *, loop_source, (void)loop_source_free)
#define AUTO_LOOP __attribute__((cleanup(cleanup_loop), unused))
#define AUTO_LOOP_SOURCE __attribute__((cleanup(cleanup_loop_source), unused))
