/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control port, for tests: JSON in, JSON out. See README.md for every call.
 */
#pragma once

#include "demo.h"

enum http_verdict control_on_request(struct request *r, void *userdata);
/* Answers waits whose condition holds now or whose time is over. */
void control_tick(struct demo *d);
