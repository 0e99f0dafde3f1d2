/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What broker.status and server.list say to those who run a server without a person. With it goes
 * the one thing that the daemon cannot tell: if a program of this user, as we are one, gets through
 * to the metadata service of a cloud.
 */
#pragma once

#include <stdbool.h>

/* Of a store that is locked no server is known. */
bool doctor_is_locked(const char *status);
/* The daemon's answers; @servers NULL: it is locked. Returns the exit status. */
int doctor_print(const char *status, const char *servers, bool json, bool probe);
