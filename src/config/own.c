/* SPDX-License-Identifier: Apache-2.0 */
#include "config/own.h"

#include "base/limits.h"
#include "base/present.h"
#include "base/url.h"

#define HINT_MAN "See mcp-broker-servers(5)"

static const struct {
        const char *key;
        size_t offset;
} members[] = {
#define X(member, key) { key, offsetof(struct own_settings, member) },
        OWN_SETTINGS_TABLE(X)
#undef X
};

static char **member_at(struct own_settings *o, size_t i) {
        return (char **)(void *)((char *)o + members[i].offset);
}

static const char *text_at(const struct own_settings *o, size_t i) {
        return *member_at((struct own_settings *)(uintptr_t)o, i);
}

void own_settings_done(struct own_settings *o) {
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                free(*member_at(o, i));
        *o = (struct own_settings){ 0 };
}

int own_settings_copy(struct own_settings *dst, const struct own_settings *src) {
        struct own_settings copy = { 0 };

        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const char *text = text_at(src, i);

                if (!text)
                        continue;
                *member_at(&copy, i) = strdup(text);
                if (!text_at(&copy, i)) {
                        own_settings_done(&copy);
                        return -ENOMEM;
                }
        }
        own_settings_done(dst);
        *dst = copy;
        return 0;
}

bool own_settings_any(const struct own_settings *o) {
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (text_at(o, i))
                        return true;
        return false;
}

char **own_settings_member(struct own_settings *o, const char *key) {
        for (size_t i = 0; i < ARRAY_SIZE(members); i++)
                if (streq(members[i].key, key))
                        return member_at(o, i);
        return NULL;
}

static int check_present(const struct conf_item *item, struct error *err) {
        AUTO_BUF struct buf names = BUF_INIT;
        enum present p;
        int r = 0;

        if (present_from_name(item->value, &p) == 0)
                return 0;
        for (int i = 0; i < PRESENT_COUNT && r == 0; i++)
                r = buf_printf(&names, "%s%s", i > 0 ? ", " : "", present_name((enum present)i));
        if (r < 0)
                return error_oom(err);
        return conf_error(item, err, HINT_MAN, "Present= is one of %s; not '%s'", names.data,
                          item->value);
}

static int check_audience(const struct conf_item *item, struct error *err) {
        const char *literal = "literal:";

        if (streq(item->value, "issuer") || streq(item->value, "token-endpoint") ||
            (strncmp(item->value, literal, strlen(literal)) == 0 && item->value[strlen(literal)]))
                return 0;
        return conf_error(item, err, HINT_MAN,
                          "Audience= is issuer, token-endpoint or literal:TEXT; not '%s'",
                          item->value);
}

static int check_endpoint(const struct conf_item *item, struct error *err) {
        struct error why = ERROR_INIT;
        int r = url_check_allowed(item->value, "URL", &why);

        if (r == -ENOMEM)
                return error_oom(err);
        return r < 0 ? conf_error(item, err, why.hint, "%s= %s", item->key, why.message) : 0;
}

int own_settings_check(const struct conf_item *item, struct error *err) {
        if (!*item->value || strlen(item->value) > URL_MAX)
                return conf_error(item, err, HINT_MAN, "%s= takes 1 to %d bytes", item->key,
                                  URL_MAX);
        if (streq(item->key, "Present"))
                return check_present(item, err);
        if (streq(item->key, "Audience"))
                return check_audience(item, err);
        if (streq(item->key, "IdpTokenEndpoint"))
                return check_endpoint(item, err);
        return 0;
}
