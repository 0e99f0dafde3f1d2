/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which providers the machine and the environment suggest, and what each still lacks: advice for a
 * person, from what lies there, without the network. Nothing is ever chosen by it.
 */
#pragma once

#include "identity/env.h"

/*
 * The files whose presence, or content, says where we are; NULL behind the last. Whoever may look
 * at them makes an object of those that are there: the path, and the first line, if *@ret_content
 * says so, else "". Of the others nothing is read: some hold tokens.
 */
const char *identity_trace(size_t index, bool *ret_content);

/*
 * An array of objects, a line of advice each: "platform", "provider" as Identity= has it, "because"
 * (what was seen), "missing" (an array: what the provider needs and does not find) and, where
 * something is missing, "remedy". @traces may be NULL. -ENOMEM.
 */
int identity_detect(const struct identity_env *env, const json_t *traces, json_t **ret) MUST_CHECK;
