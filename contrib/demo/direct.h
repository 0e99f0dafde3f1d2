/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control calls that direct the MCP server's streams and sessions.
 */
#pragma once

#include "demo.h"

void direct_script(struct demo *d, struct request *r, const json_t *body);
void direct_push(struct demo *d, struct request *r, const json_t *body);
void direct_streams(struct demo *d, struct request *r, const json_t *body);
void direct_lose_sessions(struct demo *d, struct request *r, const json_t *body);
void direct_close_idle(struct demo *d, struct request *r, const json_t *body);
json_t *direct_n_open(const struct demo *d); /* by kind */
