/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Single flight (S6), in a file of its own: all who ask for a token of a grant wait on one object,
 * which has one refresh under way at most. A check program is linked with another answer, to see
 * that the tests notice.
 */
#pragma once

struct grant;

/* Whom a request for a token of @g waits on. */
struct grant *flight_of(struct grant *g);
