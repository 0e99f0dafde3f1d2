/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/provider.h"

/* clang-format off: one a line */
/* One a line. */
/* clang-format off */
static const struct identity_provider *const providers[] = {
        &identity_aws_proof,
        &identity_aws_wit,
        &identity_azure,
        &identity_azure_aks,
        &identity_azure_app_service,
        &identity_azure_arc,
        &identity_credential,
        &identity_environment,
        &identity_exec,
        &identity_file,
        &identity_gcp,
        &identity_github,
        &identity_gitlab,
        &identity_k8s,
        &identity_k8s_request,
        &identity_spiffe,
        &identity_spiffe_x509,
};
/* clang-format on */

const struct identity_provider *identity_provider_at(size_t index) {
        return index < ARRAY_SIZE(providers) ? providers[index] : NULL;
}

const struct identity_provider *identity_provider_find(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(providers); i++)
                if (streq(providers[i]->name, name))
                        return providers[i];
        return NULL;
}

int identity_provider_names(struct buf *b) {
        int r = buf_append_str(b, "There are");

        for (size_t i = 0; r == 0 && i < ARRAY_SIZE(providers); i++)
                r = buf_printf(b, "%s%s", i > 0 ? ", " : " ", providers[i]->name);
        return r;
}
