/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tokens that lie there: in a file that somebody keeps fresh, in a credential of systemd, in the
 * environment of a CI job. A file is read for each use: files are rotated by rename.
 */
#include "base/codec.h"
#include "base/limits.h"
#include "identity/provider.h"

#define GITLAB_NAME "MCP_ID_TOKEN"

static int bad_option(const struct identity_config *c, const char *name, const char *hint,
                      struct error *err) {
        const char *value = identity_config_get(c, name);

        return error_set(err, MCPB_BAD_CONFIG, EINVAL, hint,
                         "The identity provider '%s' cannot take %s=%.128s", c->provider, name,
                         value ? value : "");
}

int identity_file_check(const struct identity_config *c, struct error *err) {
        const char *format = identity_config_get(c, "format");
        const char *field = identity_config_get(c, "field");
        const char *age = identity_config_get(c, "max-age");
        bool is_json = format && streq(format, "json");
        uint64_t sec;

        if (format && !is_json && !streq(format, "raw"))
                return bad_option(c, "format", "Use format=raw (the default) or format=json", err);
        if (field && (!is_json || field[0] != '/'))
                return bad_option(c, "field", "Use it with format=json, as in field=/status/token",
                                  err);
        if (is_json && !field)
                return bad_option(c, "format", "Say where the token is: field=/status/token", err);
        if (age && (duration_parse(age, &sec) < 0 || sec == 0 || sec > UINT32_MAX))
                return bad_option(c, "max-age", "Give a time, as in max-age=15m", err);
        return 0;
}

int identity_file_begin(struct identity *i, struct error *err) {
        const char *age = identity_config_get(&i->config, "max-age");
        uint64_t sec = 0;

        (void)err;
        if (age && duration_parse(age, &sec) == 0)
                i->max_age_usec = sec * USEC_PER_SEC;
        return 0;
}

/* The string at "/a/b" (RFC 6901, objects only), or NULL. */
static int find_field(const json_t *json, const char *pointer, const char **ret) {
        AUTO_FREE char *part = strdup(pointer);

        if (!part)
                return -ENOMEM;
        while (json && *pointer == '/') {
                char *to = part;

                for (pointer++; *pointer && *pointer != '/'; pointer++) {
                        bool escaped =
                                pointer[0] == '~' && (pointer[1] == '0' || pointer[1] == '1');

                        if (escaped)
                                pointer++;
                        *to++ = !escaped ? *pointer : *pointer == '0' ? '~' : '/';
                }
                *to = '\0';
                json = json_object_get(json, part);
        }
        *ret = json_string_value(json);
        return 0;
}

static int take_json(struct identity *i, const struct buf *bytes, struct error *err) {
        const char *pointer = identity_config_get(&i->config, "field");
        AUTO_JSON json_t *json = NULL;
        const char *token = NULL;
        int r = identity_json(i, bytes->data, bytes->len, &json, err);

        if (r < 0)
                return r;
        if (find_field(json, pointer, &token) < 0)
                return error_oom(err);
        if (!token)
                return identity_fault(i, err, ENOENT, "Look at the file, and set field= by it",
                                      "there is no text at %s", pointer);
        return identity_finish_jwt(i, token, strlen(token), 0, err);
}

int identity_file_bytes(struct identity *i, struct buf *bytes, struct error *err) {
        const char *format = identity_config_get(&i->config, "format");
        struct error why = ERROR_INIT;
        int r = format && streq(format, "json")
                        ? take_json(i, bytes, &why)
                        : identity_finish_text(i, bytes->data, bytes->len, &why);

        if ((r == -EBADMSG || r == -EKEYEXPIRED) && identity_repeat(i, 0) == 0)
                return 0;
        if (r < 0 && err)
                *err = why;
        return r;
}

/* --- file ---------------------------------------------------------------------------------- */

static int file_check(const struct identity_config *c, struct error *err) {
        const char *path = identity_config_get(c, "path");

        if (!path || path[0] != '/')
                return bad_option(c, "path",
                                  "Give the file's absolute path: file:path=/run/x/token", err);
        return identity_file_check(c, err);
}

static int file_ask(struct identity *i, struct error *err) {
        const char *path = identity_config_get(&i->config, "path");

        (void)err;
        i->hint = "See that whatever writes the file is running, and that the daemon may read it";
        return identity_ask_read(i, path, ORDER_RULES_SECRET, "reading %s", path);
}

const struct identity_provider identity_file = {
        .name = "file",
        .options = { "path", IDENTITY_FILE_OPTIONS },
        .argument = "path",
        .every_time = true,
        .check = file_check,
        .begin = identity_file_begin,
        .ask = file_ask,
        .on_bytes = identity_file_bytes,
};

/* --- credential ------------------------------------------------------------------------------ */

static int credential_check(const struct identity_config *c, struct error *err) {
        const char *name = identity_config_get(c, "name");

        if (!name || strchr(name, '/') || streq(name, ".") || streq(name, ".."))
                return bad_option(c, "name",
                                  "Give the name that LoadCredential= in the unit has: "
                                  "credential:NAME",
                                  err);
        return identity_file_check(c, err);
}

static int credential_ask(struct identity *i, struct error *err) {
        const char *folder = identity_need_env(
                i, "CREDENTIALS_DIRECTORY", "Put LoadCredential= into the unit of the daemon", err);
        const char *name = identity_config_get(&i->config, "name");
        AUTO_BUF struct buf path = BUF_INIT;

        if (!folder)
                return -ENOENT;
        if (buf_printf(&path, "%s/%s", folder, name) < 0)
                return error_oom(err);
        i->hint = "See that LoadCredential= in the unit of the daemon names it";
        return identity_ask_read(i, path.data, ORDER_RULES_SECRET, "reading the credential %s",
                                 name);
}

const struct identity_provider identity_credential = {
        .name = "credential",
        .options = { "name", IDENTITY_FILE_OPTIONS },
        .argument = "name",
        .every_time = true,
        .check = credential_check,
        .begin = identity_file_begin,
        .ask = credential_ask,
        .on_bytes = identity_file_bytes,
};

/* --- env, gitlab ----------------------------------------------------------------------------- */

static int env_check(const struct identity_config *c, struct error *err) {
        const char *name = identity_config_get(c, "name");

        if (!name)
                return streq(c->provider, "gitlab")
                               ? 0
                               : bad_option(c, "name", "Name the variable: env:NAME", err);
        for (const char *p = name; *p; p++) {
                bool letter = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || *p == '_';

                if (!letter && (p == name || *p < '0' || *p > '9'))
                        return bad_option(c, "name", "Use letters, digits and _", err);
        }
        return 0;
}

/* It cannot be got anew: what the daemon was started with is all there is. */
static int env_begin(struct identity *i, struct error *err) {
        bool gitlab = streq(i->provider->name, "gitlab");
        const char *name = identity_config_get(&i->config, "name");
        const char *value;

        name = name ? name : GITLAB_NAME;
        value = identity_need_env(i, name,
                                  gitlab ? "Give the job id_tokens: {" GITLAB_NAME ": {aud: ...}}"
                                         : "Start the daemon with a JSON Web Token in it",
                                  err);
        if (!value)
                return -ENOENT;
        return identity_finish_text(i, value, strlen(value), err);
}

static int env_ask(struct identity *i, struct error *err) {
        return identity_fault(i, err, EINVAL, NULL, "there is nothing to ask");
}

const struct identity_provider identity_environment = {
        .name = "env",
        .options = { "name" },
        .argument = "name",
        .every_time = true,
        .check = env_check,
        .begin = env_begin,
        .ask = env_ask,
};

const struct identity_provider identity_gitlab = {
        .name = "gitlab",
        .options = { "name" },
        .argument = "name",
        .every_time = true,
        .audience_hint = "Set aud: of id_tokens: in the job to the audience",
        .check = env_check,
        .begin = env_begin,
        .ask = env_ask,
};
