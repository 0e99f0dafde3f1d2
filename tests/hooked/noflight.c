/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mcp-brokerd without single flight: whoever asks while a refresh is under way gets one of his own.
 * Only to show that tests/integration/races.py would notice.
 */
#include "broker/flight.h"

#include "broker/grant.h"
#include "broker/internal.h"

struct grant *flight_of(struct grant *g) {
        AUTO_JSON json_t *value = NULL;
        struct grant *twin = NULL;

        if (g->state == GRANT_READY)
                return g;
        value = grant_to_json(g, "it is in the store", NULL);
        if (!value || grant_from_json(g->broker, g->key, g->generation, value, &twin) < 0)
                return g;
        twin->allow = g->allow;
        /* Making the twin has put it into the table. */
        return strmap_put(g->broker->grants, g->key, g) < 0 ? g : twin;
}
