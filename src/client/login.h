/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A login as the daemon tells it, in an answer or in the data of an error.
 */
#pragma once

#include "base/json.h"
#include "base/limits.h"
#include "mcpbroker.h"

/* Longer than any login lives: the daemon ends the wait. */
#define LOGIN_WAIT_MSEC ((LIMIT_LOGIN_SEC + 60) * 1000)

int login_read(const json_t *value, mcpb_login **ret) MUST_CHECK; /* -ENOMEM */
