/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an authorization server says of itself (RFC 8414, OpenID discovery): what is on, no more.
 */
#pragma once

#include "exchange.h"

/* Whether the path is that of a discovery document, be there one or not. */
bool metadata_is(const struct authority *a, const char *path);
void metadata_handle(struct exchange *x);

/* A member that is an array of these blank-separated words. */
void metadata_words(json_t *doc, const char *name, const char *words);
void metadata_word(json_t *list, bool wanted, const char *word);
