/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The servers of servers.d, laid over those of the store. A declaration says where a server is and
 * how to log in there; the login and what became of it are the store's. Causes no network traffic.
 */
#pragma once

struct broker;
struct error;
struct server;

/* After the store was read, and after each reload. */
void declare_apply(struct broker *b);
/* What a declaration has fixed is not changed by mcp-add: EXISTS naming the file. */
int declare_refuse(const struct server *s, const char *what, struct error *err);
