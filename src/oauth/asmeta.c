/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/asmeta.h"

#include <strings.h>

#include "base/codec.h"
#include "base/limits.h"
#include "base/url.h"
#include "oauth/fields.h"
#include "oauth/remote.h"

#define WELL_KNOWN_OAUTH "/.well-known/oauth-authorization-server"
#define WELL_KNOWN_OPENID "/.well-known/openid-configuration"
#define HINT_ISSUER "Report it to whoever runs the authorization server"

static const struct text_field as_fields[] = {
        { "issuer", offsetof(struct as_metadata, issuer), true },
        TEXT_FIELD(struct as_metadata, authorization_endpoint, false),
        TEXT_FIELD(struct as_metadata, token_endpoint, false),
        TEXT_FIELD(struct as_metadata, registration_endpoint, false),
        TEXT_FIELD(struct as_metadata, revocation_endpoint, false),
        TEXT_FIELD(struct as_metadata, device_authorization_endpoint, false),
        { "pushed_authorization_request_endpoint", offsetof(struct as_metadata, par_endpoint),
          false },
        TEXT_FIELD(struct as_metadata, mtls_token_endpoint, false),
        TEXT_FIELD(struct as_metadata, challenge_endpoint, false),
};
static const struct text_fields texts = { as_fields, ARRAY_SIZE(as_fields) };

/* The flags, by the names that the RFCs give them where there is one. */
static const struct {
        const char *name;
        size_t offset;
        bool foreign; /* stands like this in the issuer's document */
} flags[] = {
        { "authorization_response_iss_parameter_supported",
          offsetof(struct as_metadata, iss_supported), true },
        { "client_id_metadata_document_supported", offsetof(struct as_metadata, cimd_supported),
          true },
        { "require_pushed_authorization_requests", offsetof(struct as_metadata, par_required),
          true },
        { "token_auth_methods_given", offsetof(struct as_metadata, token_auth_methods_given),
          false },
        { "response_types_given", offsetof(struct as_metadata, response_types_given), false },
        { "code_flow", offsetof(struct as_metadata, code_flow), false },
        { "pkce_s256", offsetof(struct as_metadata, pkce_s256), false },
        { "openid", offsetof(struct as_metadata, openid), false },
        { "id_jag", offsetof(struct as_metadata, id_jag), false },
};

static const struct {
        const char *name;
        unsigned bit;
} grants[] = {
        { "authorization_code", AS_GRANT_CODE },
        { "refresh_token", AS_GRANT_REFRESH },
        { "client_credentials", AS_GRANT_CLIENT_CREDENTIALS },
        { "urn:ietf:params:oauth:grant-type:jwt-bearer", AS_GRANT_JWT_BEARER },
        { "urn:ietf:params:oauth:grant-type:device_code", AS_GRANT_DEVICE },
        { "urn:ietf:params:oauth:grant-type:token-exchange", AS_GRANT_TOKEN_EXCHANGE },
};

static bool *flag_of(struct as_metadata *as, size_t i) {
        return (bool *)(void *)((char *)as + flags[i].offset);
}

static bool flag_is(const struct as_metadata *as, size_t i) {
        return *(const bool *)(const void *)((const char *)as + flags[i].offset);
}

int as_issuer_check(const char *issuer, struct error *err) {
        return as_issuer_check_within(issuer, ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK,
                                      err);
}

int as_issuer_check_within(const char *issuer, unsigned allow, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        int r = remote_url_check(issuer, "issuer", allow, MCPB_ISSUER_ERROR, err);

        if (r < 0)
                return r;
        r = url_parse(&u, issuer, "issuer", err);
        if (r == 0 && u.query)
                return error_set(err, MCPB_ISSUER_ERROR, EINVAL, HINT_ISSUER,
                                 "The issuer '%s' has a query, which an issuer may not have",
                                 issuer);
        return r;
}

int as_metadata_location(const char *issuer, unsigned index, char **ret) {
        AUTO_BUF struct buf b = BUF_INIT;
        AUTO_FREE char *origin = NULL;
        AUTO_URL struct url u = URL_INIT;
        size_t len;
        int n;
        int r = url_parse(&u, issuer, "issuer", NULL);

        if (r < 0)
                return r;
        len = strlen(u.path);
        if (len > 0 && u.path[len - 1] == '/')
                len--; /* for the URL only, never for comparing (A59) */
        if (index > (len > 0 ? 2u : 1u))
                return 0;
        origin = url_origin(&u);
        if (!origin)
                return -ENOMEM;
        n = (int)len;
        if (index < 2)
                r = buf_printf(&b, "%s%s%.*s", origin,
                               index == 0 ? WELL_KNOWN_OAUTH : WELL_KNOWN_OPENID, n, u.path);
        else
                r = buf_printf(&b, "%s%.*s%s", origin, n, u.path, WELL_KNOWN_OPENID);
        *ret = r == 0 ? buf_steal(&b) : NULL;
        return *ret ? 1 : -ENOMEM;
}

/* One directive of Cache-Control; @max is lowered by what it says. */
static void read_directive(const char *p, size_t len, uint64_t *max) {
        static const char age[] = "max-age=";
        uint64_t sec = 0;

        if ((len == 8 &&
             (strncasecmp(p, "no-store", len) == 0 || strncasecmp(p, "no-cache", len) == 0))) {
                *max = 0;
                return;
        }
        if (len < sizeof(age) || strncasecmp(p, age, sizeof(age) - 1) != 0)
                return;
        for (size_t i = sizeof(age) - 1; i < len && sec < *max; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return;
                sec = sec * 10 + (uint64_t)(p[i] - '0');
        }
        if (sec < *max)
                *max = sec;
}

/* A65: an hour, less if HTTP says so. */
static uint64_t cache_time(const struct fetch_answer *answer) {
        const char *p = fetch_answer_header(answer, "cache-control");
        uint64_t sec = LIMIT_METADATA_CACHE_SEC;

        while (p && *p) {
                size_t len;

                p += strspn(p, " \t,");
                len = strcspn(p, " \t,");
                read_directive(p, len, &sec);
                p += len;
        }
        return sec;
}

static unsigned auth_methods(const json_t *list) {
        const json_t *item;
        unsigned mask = 0;
        size_t i;

        json_array_foreach(list, i, item) {
                enum client_auth method;

                if (json_is_string(item) &&
                    client_auth_from_name(json_string_value(item), &method) == 0)
                        mask |= CLIENT_AUTH_BIT(method);
        }
        return mask;
}

static unsigned grant_mask(const json_t *json) {
        unsigned mask = 0;

        for (size_t i = 0; i < ARRAY_SIZE(grants); i++)
                if (json_has_string(json, "grant_types_supported", grants[i].name))
                        mask |= grants[i].bit;
        return mask;
}

static int read_lists(struct as_metadata *as, const json_t *json) {
        const json_t *methods = json_object_get(json, "token_endpoint_auth_methods_supported");
        const json_t *scopes = json_object_get(json, "scopes_supported");
        const json_t *resources = json_object_get(json, "protected_resources");
        int r;

        as->token_auth_methods_given = json_is_array(methods);
        as->token_auth_methods =
                json_is_array(methods) ? auth_methods(methods) : CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC);
        as->grant_types = json_is_array(json_object_get(json, "grant_types_supported"))
                                  ? grant_mask(json)
                                  : AS_GRANT_CODE;
        as->response_types_given = json_is_array(json_object_get(json, "response_types_supported"));
        as->code_flow = json_has_string(json, "response_types_supported", "code");
        as->pkce_s256 = json_has_string(json, "code_challenge_methods_supported", "S256");
        as->has_scopes = json_is_array(scopes);
        as->has_protected_resources = json_is_array(resources);
        r = scope_set_from_json(&as->scopes_supported, scopes, NULL);
        if (r == 0)
                r = text_list_from_json(&as->protected_resources, &as->n_protected_resources,
                                        resources);
        if (r == 0)
                r = text_list_from_json(&as->dpop_algs, &as->n_dpop_algs,
                                        json_object_get(json, "dpop_signing_alg_values_supported"));
        if (r == 0)
                r = text_list_from_json(
                        &as->token_auth_algs, &as->n_token_auth_algs,
                        json_object_get(json, "token_endpoint_auth_signing_alg_values_supported"));
        return r;
}

/* A member of our own name for what a document says elsewhere. */
static int read_aliases(struct as_metadata *as, const json_t *json) {
        const char *text =
                json_get_string(json_object_get(json, "mtls_endpoint_aliases"), "token_endpoint");

        as->mtls_token_endpoint = str_wipe_free(as->mtls_token_endpoint);
        if (text && *text)
                as->mtls_token_endpoint = strdup(text);
        return text && *text && !as->mtls_token_endpoint ? -ENOMEM : 0;
}

/* A63. What a login by browser does without is dropped rather than judged. */
static int check_endpoints(struct as_metadata *as, unsigned allow, struct error *err) {
        const struct {
                const char *url;
                const char *what;
        } used[] = {
                { as->authorization_endpoint, "authorization_endpoint" },
                { as->token_endpoint, "token_endpoint" },
                { as->registration_endpoint, "registration_endpoint" },
                { as->revocation_endpoint, "revocation_endpoint" },
                { as->par_endpoint, "pushed_authorization_request_endpoint" },
        };
        char **others[] = { &as->device_authorization_endpoint, &as->mtls_token_endpoint,
                            &as->challenge_endpoint };
        int r = 0;

        for (size_t i = 0; i < ARRAY_SIZE(used) && r == 0; i++)
                if (used[i].url)
                        r = remote_url_check(used[i].url, used[i].what, allow, MCPB_ISSUER_ERROR,
                                             err);
        for (size_t i = 0; i < ARRAY_SIZE(others) && r == 0; i++)
                if (*others[i] &&
                    remote_url_check(*others[i], "endpoint", allow, MCPB_ISSUER_ERROR, NULL) < 0)
                        *others[i] = str_wipe_free(*others[i]);
        return r;
}

/* A58, or A50 where nobody has named one. */
static bool is_issuer(const struct as_source *from, const char *issuer) {
        AUTO_URL struct url base = URL_INIT;
        AUTO_URL struct url u = URL_INIT;

        if (!from->any_of_origin)
                return streq(issuer, from->issuer);
        return as_issuer_check_within(issuer, from->allow, NULL) == 0 &&
               url_parse(&base, from->issuer, "issuer", NULL) == 0 &&
               url_parse(&u, issuer, "issuer", NULL) == 0 && url_same_origin(&u, &base);
}

static int read_document(struct as_metadata *as, const struct as_source *from, const json_t *json,
                         struct error *err) {
        const char *issuer = json_get_string(json, "issuer");
        int r;

        if (!issuer || !is_issuer(from, issuer))
                return error_set(err, MCPB_ISSUER_ERROR, EBADMSG,
                                 "Nothing in it was used. " HINT_ISSUER,
                                 "The metadata at %s says it is of the issuer '%.128s', not of "
                                 "'%.128s'",
                                 from->url, issuer ? issuer : "", from->issuer);
        r = text_fields_from_foreign(&texts, as, json);
        if (r == 0)
                r = read_aliases(as, json);
        if (r == 0)
                r = read_lists(as, json);
        if (r < 0)
                return error_oom(err);
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                if (flags[i].foreign)
                        *flag_of(as, i) = json_get_bool(json, flags[i].name, false);
        as->id_jag = json_has_string(json, "authorization_grant_profiles_supported",
                                     "urn:ietf:params:oauth:grant-profile:id-jag");
        as->openid = strstr(from->url, WELL_KNOWN_OPENID) ||
                     scope_set_has(&as->scopes_supported, "openid") ||
                     json_is_array(json_object_get(json, "subject_types_supported"));
        return check_endpoints(as, from->allow, err);
}

int as_metadata_parse(struct as_metadata *as, const struct as_source *from,
                      const struct fetch_answer *answer, struct error *err) {
        AUTO_AS_METADATA struct as_metadata read = AS_METADATA_INIT;
        AUTO_JSON json_t *json = NULL;
        int r;

        if (answer->body.len > LIMIT_METADATA_BYTES)
                return error_set(err, MCPB_ISSUER_ERROR, EMSGSIZE, HINT_ISSUER,
                                 "The metadata at %s is too large", from->url);
        r = answer->body.len > 0 ? json_parse(answer->body.data, answer->body.len,
                                              LIMIT_METADATA_DEPTH, &json, NULL)
                                 : -EBADMSG;
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0 || !json_is_object(json))
                return -ENODATA;
        read.cache_sec = cache_time(answer);
        r = read_document(&read, from, json, err);
        if (r < 0)
                return r;
        *as = read;
        read = AS_METADATA_INIT;
        return 0;
}

int as_metadata_default(struct as_metadata *as, const char *base, struct error *err) {
        AUTO_AS_METADATA struct as_metadata made = AS_METADATA_INIT;
        const struct {
                char **member;
                const char *path;
        } all[] = {
                { &made.issuer, "" },
                { &made.authorization_endpoint, "/authorize" },
                { &made.token_endpoint, "/token" },
                { &made.registration_endpoint, "/register" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
                AUTO_BUF struct buf b = BUF_INIT;

                if (buf_printf(&b, "%s%s", base, all[i].path) < 0)
                        return error_oom(err);
                *all[i].member = buf_steal(&b);
                if (!*all[i].member)
                        return error_oom(err);
        }
        /* What cannot be looked up is taken for there: PKCE above all (A52). */
        made.response_types_given = made.code_flow = made.pkce_s256 = true;
        made.grant_types = AS_GRANT_CODE | AS_GRANT_REFRESH;
        made.token_auth_methods = CLIENT_AUTH_BIT(CLIENT_AUTH_NONE) |
                                  CLIENT_AUTH_BIT(CLIENT_AUTH_BASIC) |
                                  CLIENT_AUTH_BIT(CLIENT_AUTH_POST);
        *as = made;
        made = AS_METADATA_INIT;
        return 0;
}

static int missing(const struct as_metadata *as, const char *member, struct error *err) {
        return error_set(err, MCPB_ISSUER_ERROR, ENOENT, HINT_ISSUER,
                         "The metadata of %s lacks what the login needs: %s", as->issuer, member);
}

int as_metadata_check(const struct as_metadata *as, enum as_use use, struct error *err) {
        if (!as->token_endpoint)
                return missing(as, "token_endpoint", err);
        if (use != AS_USE_CODE)
                return 0;
        if (!as->authorization_endpoint)
                return missing(as, "authorization_endpoint", err);
        if (!as->response_types_given)
                return missing(as, "response_types_supported", err);
        if (!as->code_flow)
                return missing(as, "code in response_types_supported", err);
        if (!(as->grant_types & AS_GRANT_CODE))
                return missing(as, "authorization_code in grant_types_supported", err);
        if (!as->pkce_s256)
                return missing(as, "S256 in code_challenge_methods_supported (PKCE)", err);
        if (as->par_required && !as->par_endpoint)
                return missing(as, "pushed_authorization_request_endpoint", err);
        return 0;
}

int as_metadata_to_json(const struct as_metadata *as, json_t **ret) {
        AUTO_JSON json_t *json = json_object();
        json_t *list = NULL;
        int r = json ? text_fields_to_json(&texts, as, json) : -ENOMEM;

        for (size_t i = 0; i < ARRAY_SIZE(flags) && r == 0; i++)
                r = json_put(json, flags[i].name, json_boolean(flag_is(as, i)));
        if (r == 0)
                r = json_put(json, "token_auth_methods", json_integer(as->token_auth_methods));
        if (r == 0)
                r = json_put(json, "grant_types", json_integer(as->grant_types));
        if (r == 0)
                r = json_put(json, "cache_sec", json_integer((json_int_t)as->cache_sec));
        if (r == 0 && as->has_scopes) {
                r = scope_set_to_json(&as->scopes_supported, &list);
                r = r == 0 ? json_put(json, "scopes_supported", list) : r;
        }
        if (r == 0 && as->has_protected_resources) {
                r = text_list_to_json(as->protected_resources, as->n_protected_resources, &list);
                r = r == 0 ? json_put(json, "protected_resources", list) : r;
        }
        if (r == 0 && as->n_dpop_algs > 0) {
                r = text_list_to_json(as->dpop_algs, as->n_dpop_algs, &list);
                r = r == 0 ? json_put(json, "dpop_algs", list) : r;
        }
        if (r == 0 && as->n_token_auth_algs > 0) {
                r = text_list_to_json(as->token_auth_algs, as->n_token_auth_algs, &list);
                r = r == 0 ? json_put(json, "token_auth_algs", list) : r;
        }
        if (r == 0)
                *ret = TAKE(json);
        return r;
}

static int small_int(const json_t *json, const char *key, json_int_t max, json_int_t *ret) {
        const json_t *value = json_object_get(json, key);

        if (!json_is_integer(value) || json_integer_value(value) < 0 ||
            json_integer_value(value) > max)
                return -EBADMSG;
        *ret = json_integer_value(value);
        return 0;
}

int as_metadata_from_json(struct as_metadata *as, const json_t *value) {
        AUTO_AS_METADATA struct as_metadata read = AS_METADATA_INIT;
        json_int_t methods = 0;
        json_int_t types = 0;
        json_int_t sec = 0;
        int r = text_fields_from_json(&texts, &read, value);

        if (r == 0)
                r = small_int(value, "token_auth_methods", UINT16_MAX, &methods);
        if (r == 0)
                r = small_int(value, "grant_types", UINT16_MAX, &types);
        if (r == 0)
                r = small_int(value, "cache_sec", LIMIT_METADATA_CACHE_SEC, &sec);
        if (r == 0)
                r = scope_set_from_json(&read.scopes_supported,
                                        json_object_get(value, "scopes_supported"), NULL);
        if (r == 0)
                r = text_list_from_json(&read.protected_resources, &read.n_protected_resources,
                                        json_object_get(value, "protected_resources"));
        if (r == 0)
                r = text_list_from_json(&read.dpop_algs, &read.n_dpop_algs,
                                        json_object_get(value, "dpop_algs"));
        if (r == 0)
                r = text_list_from_json(&read.token_auth_algs, &read.n_token_auth_algs,
                                        json_object_get(value, "token_auth_algs"));
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                *flag_of(&read, i) = json_get_bool(value, flags[i].name, false);
        read.token_auth_methods = (unsigned)methods;
        read.grant_types = (unsigned)types;
        read.cache_sec = (uint64_t)sec;
        read.has_scopes = json_is_array(json_object_get(value, "scopes_supported"));
        read.has_protected_resources = json_is_array(json_object_get(value, "protected_resources"));
        as_metadata_done(as);
        *as = read;
        read = AS_METADATA_INIT;
        return 0;
}

int as_metadata_copy(struct as_metadata *dst, const struct as_metadata *src) {
        AUTO_AS_METADATA struct as_metadata copy = AS_METADATA_INIT;
        int r = text_fields_copy(&texts, &copy, src);

        if (r == 0)
                r = scope_set_copy(&copy.scopes_supported, &src->scopes_supported);
        if (r == 0)
                r = text_list_copy(&copy.protected_resources, &copy.n_protected_resources,
                                   src->protected_resources, src->n_protected_resources);
        if (r == 0)
                r = text_list_copy(&copy.dpop_algs, &copy.n_dpop_algs, src->dpop_algs,
                                   src->n_dpop_algs);
        if (r == 0)
                r = text_list_copy(&copy.token_auth_algs, &copy.n_token_auth_algs,
                                   src->token_auth_algs, src->n_token_auth_algs);
        if (r < 0)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                *flag_of(&copy, i) = flag_is(src, i);
        copy.token_auth_methods = src->token_auth_methods;
        copy.grant_types = src->grant_types;
        copy.has_scopes = src->has_scopes;
        copy.has_protected_resources = src->has_protected_resources;
        copy.cache_sec = src->cache_sec;
        as_metadata_done(dst);
        *dst = copy;
        copy = AS_METADATA_INIT;
        return 0;
}

void as_metadata_done(struct as_metadata *as) {
        text_fields_done(&texts, as);
        scope_set_done(&as->scopes_supported);
        text_list_done(&as->protected_resources, &as->n_protected_resources);
        text_list_done(&as->dpop_algs, &as->n_dpop_algs);
        text_list_done(&as->token_auth_algs, &as->n_token_auth_algs);
        *as = AS_METADATA_INIT;
}
