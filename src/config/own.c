/* SPDX-License-Identifier: Apache-2.0 */
#include "config/own.h"

#include "base/limits.h"
#include "base/present.h"
#include "base/url.h"

#define HINT_FILE "See mcp-broker-servers(5)"
#define HINT_OPTION "See mcp-add(1)"

static const struct {
        const char *key;
        const char *param;
        size_t offset;
} members[OWN_SETTINGS_COUNT] = {
#define X(member, key, param) { key, param, offsetof(struct own_settings, member) },
        OWN_SETTINGS_TABLE(X)
#undef X
};

char **own_settings_at(struct own_settings *o, enum own_setting which) {
        return (char **)(void *)((char *)o + members[which].offset);
}

static const char *text_at(const struct own_settings *o, size_t i) {
        return *own_settings_at((struct own_settings *)(uintptr_t)o, (enum own_setting)i);
}

const char *own_settings_param(enum own_setting which) {
        return members[which].param;
}

void own_settings_done(struct own_settings *o) {
        for (int i = 0; i < OWN_SETTINGS_COUNT; i++)
                free(*own_settings_at(o, (enum own_setting)i));
        *o = (struct own_settings){ 0 };
}

int own_settings_copy(struct own_settings *dst, const struct own_settings *src) {
        struct own_settings copy = { 0 };

        for (int i = 0; i < OWN_SETTINGS_COUNT; i++) {
                const char *text = text_at(src, (size_t)i);
                char **to = own_settings_at(&copy, (enum own_setting)i);

                if (!text)
                        continue;
                *to = strdup(text);
                if (!*to) {
                        own_settings_done(&copy);
                        return -ENOMEM;
                }
        }
        own_settings_done(dst);
        *dst = copy;
        return 0;
}

bool own_settings_any(const struct own_settings *o) {
        for (size_t i = 0; i < OWN_SETTINGS_COUNT; i++)
                if (text_at(o, i))
                        return true;
        return false;
}

enum own_setting own_settings_find(const char *key) {
        for (int i = 0; i < OWN_SETTINGS_COUNT; i++)
                if (i != OWN_extra && streq(members[i].key, key))
                        return (enum own_setting)i;
        return OWN_SETTINGS_COUNT;
}

/* --- Faults ---------------------------------------------------------------------------------- */

/* How a setting, or what else is said of the client, is called there. */
struct word {
        char text[48];
};

static struct word word_of(enum own_words words, const char *key, const char *param) {
        struct word w;

        if (words == OWN_WORDS_FILE) {
                (void)snprintf(w.text, sizeof(w.text), "%s=", key);
                return w;
        }
        (void)snprintf(w.text, sizeof(w.text), "--%s", param);
        for (char *c = w.text; *c; c++)
                if (*c == '_')
                        *c = '-';
        return w;
}

static struct word word_at(enum own_words words, enum own_setting which) {
        return word_of(words, members[which].key, members[which].param);
}

static const char *hint_of(enum own_words words) {
        return words == OWN_WORDS_FILE ? HINT_FILE : HINT_OPTION;
}

static enum error_code code_of(enum own_words words) {
        return words == OWN_WORDS_FILE ? MCPB_BAD_CONFIG : MCPB_BAD_PARAMS;
}

/* --- One value ------------------------------------------------------------------------------- */

static int check_present(const char *value, enum own_words words, struct error *err) {
        AUTO_BUF struct buf names = BUF_INIT;
        struct word w = word_at(words, OWN_present);
        enum present p;
        int r = 0;

        if (present_from_name(value, &p) == 0)
                return 0;
        for (int i = 0; i < PRESENT_COUNT && r == 0; i++)
                r = buf_printf(&names, "%s%s", i > 0 ? ", " : "", present_name((enum present)i));
        if (r < 0)
                return error_oom(err);
        return error_set(err, code_of(words), EINVAL, hint_of(words), "%s is one of %s; not '%s'",
                         w.text, names.data, value);
}

static int check_audience(const char *value, enum own_words words, struct error *err) {
        const char *literal = "literal:";
        struct word w = word_at(words, OWN_audience);

        if (streq(value, "issuer") || streq(value, "token-endpoint") ||
            (strncmp(value, literal, strlen(literal)) == 0 && value[strlen(literal)]))
                return 0;
        return error_set(err, code_of(words), EINVAL, hint_of(words),
                         "%s is issuer, token-endpoint or literal:TEXT; not '%s'", w.text, value);
}

static int check_endpoint(const char *value, enum own_words words, struct error *err) {
        struct word w = word_at(words, OWN_idp_token_endpoint);
        struct error why = ERROR_INIT;
        int r = url_check_allowed(value, "URL", &why);

        if (r == -ENOMEM)
                return error_oom(err);
        return r < 0 ? error_set(err, code_of(words), EINVAL, why.hint, "%s %s", w.text,
                                 why.message)
                     : 0;
}

int own_settings_check(enum own_setting which, const char *value, enum own_words words,
                       struct error *err) {
        struct word w = word_at(words, which);

        if (!*value || strlen(value) > URL_MAX)
                return error_set(err, code_of(words), EINVAL, hint_of(words),
                                 "%s takes 1 to %d bytes", w.text, URL_MAX);
        if (which == OWN_present)
                return check_present(value, words, err);
        if (which == OWN_audience)
                return check_audience(value, words, err);
        if (which == OWN_idp_token_endpoint)
                return check_endpoint(value, words, err);
        return 0;
}

/* --- What is sent along ---------------------------------------------------------------------- */

static bool is_extra_name(const char *name) {
        size_t len = strlen(name);

        for (size_t i = 0; i < len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.",
                            name[i]))
                        return false;
        return len > 0 && len <= LIMIT_NAME_BYTES;
}

/* The same for the same names and texts, in whatever order they were given. */
static char *extra_text(const json_t *object) {
        AUTO_BUF struct buf b = BUF_INIT;

        /* Not json_dumps(): what it gives is jansson's to free, which may not be free(). */
        return json_write_canonical(&b, object) < 0 ? NULL : buf_steal(&b);
}

static int check_extra(const json_t *all, const char *name, const char *value, enum own_words words,
                       struct error *err) {
        const char *word = words == OWN_WORDS_FILE ? "Extra." : "--extra ";

        if (!is_extra_name(name))
                return error_set(err, code_of(words), EINVAL, hint_of(words),
                                 "%sNAME= takes a name of 1 to %d letters, digits, - _ and .; "
                                 "not '%.*s'",
                                 word, LIMIT_NAME_BYTES, LIMIT_NAME_BYTES, name);
        if (!*value || strlen(value) > LIMIT_EXTRA_BYTES)
                return error_set(err, code_of(words), EINVAL, hint_of(words),
                                 "%s%s= takes 1 to %d bytes", word, name, LIMIT_EXTRA_BYTES);
        if (json_object_get(all, name))
                return error_set(err, code_of(words), EINVAL, NULL, "%s%s= is given twice", word,
                                 name);
        if (json_object_size(all) >= LIMIT_EXTRA)
                return error_set(err, code_of(words), EINVAL, hint_of(words),
                                 "%sNAME= can be given %d times", word, LIMIT_EXTRA);
        return 0;
}

int own_settings_add_extra(char **extra, const char *name, const char *value, enum own_words words,
                           struct error *err) {
        AUTO_JSON json_t *all = NULL;
        char *text;
        int r;

        if (*extra && json_parse(*extra, strlen(*extra), 2, &all, NULL) < 0)
                return error_oom(err); /* it is our own text */
        if (!*extra)
                all = json_object();
        r = check_extra(all, name, value, words, err);
        if (r < 0)
                return r;
        if (json_object_set_new(all, name, json_string(value)) < 0)
                return error_oom(err);
        text = extra_text(all);
        if (!text)
                return error_oom(err);
        free(*extra);
        *extra = text;
        return 0;
}

/* --- All of them ----------------------------------------------------------------------------- */

/* What has to be there for a way of presenting. */
#define NEED_CLIENT 1u
#define NEED_SECRET 2u
#define NEED_KEY 4u
#define NEED_IDENTITY 8u
#define NEED_IDP 16u

static const unsigned needs[PRESENT_COUNT] = {
        [PRESENT_CLIENT_CREDENTIALS] = NEED_CLIENT | NEED_SECRET,
        [PRESENT_PRIVATE_KEY_JWT] = NEED_CLIENT | NEED_KEY,
        [PRESENT_CLIENT_ASSERTION] = NEED_IDENTITY,
        [PRESENT_JWT_SPIFFE] = NEED_IDENTITY,
        [PRESENT_JWT_BEARER] = NEED_IDENTITY,
        [PRESENT_TOKEN_EXCHANGE] = NEED_IDENTITY,
        [PRESENT_ID_JAG] = NEED_CLIENT | NEED_IDENTITY | NEED_IDP,
        [PRESENT_MTLS] = NEED_CLIENT | NEED_IDENTITY,
        [PRESENT_ATTESTATION] = NEED_CLIENT | NEED_IDENTITY,
};

/* The first thing that is missing; an empty word: nothing. */
static struct word missing(unsigned need, const struct own_settings *o, const struct own_client *c,
                           enum own_words words) {
        if ((need & NEED_CLIENT) && !c->id)
                return word_of(words, "ClientId", "client_id");
        if ((need & NEED_SECRET) && !c->secret)
                return word_of(words, "ClientSecretFile", "client_secret_file");
        if ((need & NEED_KEY) && !c->key)
                return word_of(words, "ClientKeyFile", "client_key_file");
        if ((need & NEED_IDENTITY) && !o->identity)
                return word_at(words, OWN_identity);
        if ((need & NEED_IDP) && !o->idp_token_endpoint)
                return word_at(words, OWN_idp_token_endpoint);
        return (struct word){ "" };
}

/* What nobody would ever be shown. */
static int judge_browser(const struct own_settings *o, enum own_words words, struct error *err) {
        bool file = words == OWN_WORDS_FILE;

        if (o->identity || o->idp_token_endpoint)
                return error_set(err, code_of(words), EINVAL,
                                 file ? "Leave out Present=browser, or Identity="
                                      : "Leave out --present=browser, or --identity",
                                 "where a person logs in, there is no identity to be presented");
        if (o->extra)
                return error_set(err, code_of(words), EINVAL,
                                 file ? "Add Present=, or leave out Extra.NAME="
                                      : "Add --present, or leave out --extra",
                                 "where a person logs in, nothing is sent along");
        return 0;
}

int own_settings_judge(struct own_settings *o, const struct own_client *client,
                       enum own_words words, struct error *err) {
        struct word is = word_at(words, OWN_present);
        enum present p = PRESENT_BROWSER;
        struct word lacks;

        if (o->identity && !o->present) {
                o->present = strdup(present_name(PRESENT_AUTO));
                if (!o->present)
                        return error_oom(err);
        }
        if (o->present && present_from_name(o->present, &p) < 0)
                return check_present(o->present, words, err);
        if (p == PRESENT_BROWSER)
                return judge_browser(o, words, err);
        lacks = missing(needs[p], o, client, words);
        if (!lacks.text[0])
                return 0;
        return error_set(err, code_of(words), EINVAL, hint_of(words), "%s%s%s needs %s", is.text,
                         words == OWN_WORDS_FILE ? "" : "=", o->present, lacks.text);
}

/* --- As JSON --------------------------------------------------------------------------------- */

int own_settings_to_json(const struct own_settings *o, json_t *value) {
        for (size_t i = 0; i < OWN_SETTINGS_COUNT; i++) {
                const char *text = text_at(o, i);
                json_t *member = NULL;

                if (!text)
                        continue;
                if (i == OWN_extra && json_parse(text, strlen(text), 2, &member, NULL) < 0)
                        return -ENOMEM;
                if (json_object_set_new(value, members[i].param, member ?: json_string(text)) < 0)
                        return -ENOMEM;
        }
        return 0;
}

int own_settings_from_json(struct own_settings *o, const json_t *value) {
        struct own_settings found = { 0 };

        for (int i = 0; i < OWN_SETTINGS_COUNT; i++) {
                const json_t *member = json_object_get(value, members[i].param);
                char **to = own_settings_at(&found, (enum own_setting)i);

                if (i == OWN_extra ? !json_is_object(member) : !json_is_string(member))
                        continue;
                *to = i == OWN_extra ? extra_text(member) : strdup(json_string_value(member));
                if (!*to) {
                        own_settings_done(&found);
                        return -ENOMEM;
                }
        }
        own_settings_done(o);
        *o = found;
        return 0;
}
