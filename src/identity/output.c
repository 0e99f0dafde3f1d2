/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/output.h"

#include "base/clock.h"
#include "base/limits.h"
#include "identity/when.h"

void output_done(struct output *o) {
        json_decref(o->json);
        *o = OUTPUT_INIT;
}

static int bad(const char **ret_why, const char *why) {
        *ret_why = why;
        return -EBADMSG;
}

static int read_google(struct output *o, const char **ret_why) {
        const char *type = json_get_string(o->json, "token_type");
        const json_t *expires = json_object_get(o->json, "expiration_time");

        o->kind = OUTPUT_GOOGLE;
        if (!json_get_bool(o->json, "success", false)) {
                const char *message = json_get_string(o->json, "message");

                *ret_why = message ? message : "it does not say why";
                return -EPROTO;
        }
        if (!type || (!streq(type, "urn:ietf:params:oauth:token-type:id_token") &&
                      !streq(type, "urn:ietf:params:oauth:token-type:jwt")))
                return bad(ret_why, "its token_type is none of a JSON Web Token");
        o->token = json_get_string(o->json, "id_token");
        if (!o->token)
                return bad(ret_why, "it has no id_token");
        if (expires && when_from_epoch(expires, &o->expires_wall) < 0)
                return bad(ret_why, "its expiration_time is no date");
        return 0;
}

static int read_kubernetes(struct output *o, const char **ret_why) {
        const json_t *status = json_object_get(o->json, "status");
        const char *expires = json_get_string(status, "expirationTimestamp");

        o->kind = OUTPUT_KUBERNETES;
        o->token = json_get_string(status, "token");
        o->certificate = json_get_string(status, "clientCertificateData");
        o->key = json_get_string(status, "clientKeyData");
        if (!o->certificate != !o->key)
                return bad(ret_why, "it has a certificate without a key, or a key without one");
        if (!o->token && !o->key)
                return bad(ret_why, "its status has neither token nor clientCertificateData");
        if (expires && clock_parse_utc(expires, &o->expires_wall) < 0)
                return bad(ret_why, "its expirationTimestamp is no date");
        return 0;
}

static int read_aws(struct output *o, const char **ret_why) {
        const char *expires = json_get_string(o->json, "Expiration");

        o->kind = OUTPUT_AWS;
        o->access_key_id = json_get_string(o->json, "AccessKeyId");
        o->secret_access_key = json_get_string(o->json, "SecretAccessKey");
        o->session_token = json_get_string(o->json, "SessionToken");
        if (!o->access_key_id || !o->secret_access_key)
                return bad(ret_why, "it has no AccessKeyId and SecretAccessKey");
        if (expires && clock_parse_utc(expires, &o->expires_wall) < 0)
                return bad(ret_why, "its Expiration is no date");
        return 0;
}

int output_read(struct output *o, const char *data, size_t len, const char **ret_why) {
        const char *kind;
        int r;

        if (len == 0)
                return bad(ret_why, "it is empty");
        r = json_parse(data, len, LIMIT_METADATA_DEPTH, &o->json, ret_why);
        if (r < 0)
                return r;
        kind = json_get_string(o->json, "kind");
        if (kind && streq(kind, "ExecCredential"))
                r = read_kubernetes(o, ret_why);
        else if (json_get_int(o->json, "version", 0) == 1)
                r = read_google(o, ret_why);
        else if (json_get_int(o->json, "Version", 0) == 1)
                r = read_aws(o, ret_why);
        else
                r = bad(ret_why, "it has neither \"version\":1 nor \"kind\":\"ExecCredential\"");
        return r;
}
