/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which network an address leads to: the guard of S8 (A226). It judges addresses as the resolver
 * gave them, never text, so that every spelling of an address (octal, hexadecimal, one number, IPv4
 * inside IPv6) is judged as what the kernel would connect to. What is not known to be harmless has
 * no class and is never connected to.
 */
#pragma once

#include <sys/socket.h>

#include "wire/fetch.h"

#define ADDRESS_NEVER ((enum address_class)0)
#define ADDRESS_TEXT_MAX 64

/* ADDRESS_NEVER for multicast, reserved and documentation addresses, for metadata services that we
 * never ask, and for all else that has no class. @len is the size of what stands behind @addr. */
enum address_class address_classify(const struct sockaddr *addr, socklen_t len);
/* The same for a numeric address as getpeername() and the like print it; ADDRESS_NEVER for any
 * other text. */
enum address_class address_classify_text(const char *text);
/* "169.254.169.254", for messages. */
void address_format(char text[static ADDRESS_TEXT_MAX], const struct sockaddr *addr, socklen_t len);
/* "public", "private", "loopback", "link-local", "never" */
const char *address_class_name(enum address_class c);
