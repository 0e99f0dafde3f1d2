/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/flight.h"

struct grant *flight_of(struct grant *g) {
        return g;
}
