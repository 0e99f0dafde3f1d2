/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every unit test includes: cmocka in the order it wants its headers.
 */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
