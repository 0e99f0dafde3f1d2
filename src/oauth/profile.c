/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/profile.h"

static const struct present_profile profiles[] = {
        { .name = "anthropic",
          .how = PRESENT_JWT_BEARER,
          .json = true,
          .token_param = "assertion",
          .wanted = { "federation_rule_id", "organization_id", "service_account_id" } },
        { .name = "openai",
          .how = PRESENT_TOKEN_EXCHANGE,
          .json = true,
          .token_param = "subject_token",
          .wanted = { "identity_provider_id", "service_account_id" } },
        { .name = "openrouter",
          .how = PRESENT_TOKEN_EXCHANGE,
          .token_param = "subject_token",
          .wanted = { "federation_policy_id" } },
        { .name = "google-sts",
          .how = PRESENT_TOKEN_EXCHANGE,
          .token_param = "subject_token",
          .requested_type = true,
          .says_issued_type = true,
          .wanted = { "audience" } },
        { .name = "hydra",
          .how = PRESENT_JWT_BEARER,
          .token_param = "assertion",
          .audience = "token-endpoint",
          .client = true },
        { .name = "entra",
          .how = PRESENT_CLIENT_ASSERTION,
          .token_param = "client_assertion",
          .audience = "literal:api://AzureADTokenExchange",
          .client = true },
};

const struct present_profile *present_profile_at(size_t index) {
        return index < ARRAY_SIZE(profiles) ? &profiles[index] : NULL;
}

const struct present_profile *present_profile_find(const char *name) {
        for (size_t i = 0; i < ARRAY_SIZE(profiles); i++)
                if (streq(profiles[i].name, name))
                        return &profiles[i];
        return NULL;
}
