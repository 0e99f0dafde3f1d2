/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page on which the browser ends: plain, readable, says which server was connected. Loads
 * nothing, reflects nothing of the request (A123); what it shows of others is escaped.
 */
#pragma once

#include "base/buf.h"
#include "base/error.h"

int page_success(struct buf *html, const char *server, const char *url) MUST_CHECK;
int page_failure(struct buf *html, const char *server, const struct error *err) MUST_CHECK;
