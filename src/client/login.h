/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A login as the daemon tells it, in an answer or in the data of an error.
 */
#pragma once

#include "base/json.h"
#include "mcpbroker.h"

int login_read(const json_t *value, mcpb_login **ret) MUST_CHECK; /* -ENOMEM */
