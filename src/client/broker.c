/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "client/client.h"

int mcpb_broker_status(mcpb_client *c, char **ret, mcpb_error *err) {
        return client_call_text(c, "broker.status", params_new(), ret, err);
}

int mcpb_broker_lock(mcpb_client *c, mcpb_error *err) {
        return client_call_text(c, "broker.lock", params_new(), NULL, err);
}

int mcpb_broker_unlock(mcpb_client *c, const char *passphrase, mcpb_error *err) {
        json_t *params = params_new();
        AUTO_JSON json_t *kept = NULL;
        int r;

        params_string(&params, "passphrase", passphrase);
        kept = json_incref(params);
        r = client_call_text(c, "broker.unlock", params, NULL, err);
        json_wipe_string(kept, "passphrase");
        return r;
}

int mcpb_broker_reload(mcpb_client *c, mcpb_error *err) {
        return client_call_text(c, "broker.reload", params_new(), NULL, err);
}

int mcpb_broker_stop(mcpb_client *c, mcpb_error *err) {
        return client_call_text(c, "broker.stop", params_new(), NULL, err);
}
