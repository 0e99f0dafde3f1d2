/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting OpenSSL's libcrypto, without any configuration file: what openssl.cnf or OPENSSL_CONF
 * names would be loaded as code into a process that holds every secret. Everything in here that
 * needs it calls it; a process that is about to close itself in may do so before.
 */
#pragma once

#include "base/util.h"

int jose_init(void) MUST_CHECK; /* 0, -EIO. Harmless when called again. */
