/* SPDX-License-Identifier: Apache-2.0 */
#include "config/config.h"

#include <syslog.h>

#include "base/codec.h"
#include "base/conf.h"
#include "base/limits.h"
#include "base/url.h"
#include "base/utf8.h"

#define HINT_MAN "See mcp-broker.conf(5)"
#define DEFAULT_NAME "mcp-broker"
#define TEXT_MAX 4096

static const struct {
        const char *name;
        int level;
} log_levels[] = {
        { "error", LOG_ERR }, { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
        { "info", LOG_INFO }, { "debug", LOG_DEBUG },
};

void config_init(struct config *c) {
        *c = (struct config){
                .log_level = LOG_INFO,
                .login_timeout_sec = LIMIT_LOGIN_SEC,
                .refresh_margin_sec = 60,
                .report_tool_calls = true,
                .client_name = strdup(DEFAULT_NAME),
        };
}

static void clear_private(struct config *c) {
        for (size_t i = 0; i < c->n_allow_private; i++)
                free(c->allow_private[i]);
        free(c->allow_private);
        c->allow_private = NULL;
        c->n_allow_private = 0;
}

void config_done(struct config *c) {
        free(c->client_name);
        free(c->client_metadata_url);
        free(c->proxy);
        free(c->no_proxy);
        free(c->ca_file);
        clear_private(c);
        declared_done(&c->declared);
        *c = (struct config){ 0 };
}

/* --- One function a key --------------------------------------------------- */

typedef int (*key_fn)(struct config *c, const struct conf_item *item, struct error *err);

static int set_text(char **to, const char *value, struct error *err) {
        char *copy = *value ? strdup(value) : NULL;

        if (*value && !copy)
                return error_oom(err);
        free(*to);
        *to = copy;
        return 0;
}

static int set_duration(const struct conf_item *item, uint64_t least, uint64_t most, uint64_t *ret,
                        struct error *err) {
        uint64_t sec;

        if (duration_parse(item->value, &sec) < 0)
                return conf_error(item, err, "Write 90, 15m, 8h or 2d", "%s=%s is not a duration",
                                  item->key, item->value);
        if (sec < least || sec > most)
                return conf_error(item, err, HINT_MAN, "%s= takes %llus to %llus", item->key,
                                  (unsigned long long)least, (unsigned long long)most);
        *ret = sec;
        return 0;
}

static int on_log_level(struct config *c, const struct conf_item *item, struct error *err) {
        for (size_t i = 0; i < ARRAY_SIZE(log_levels); i++) {
                if (streq(log_levels[i].name, item->value)) {
                        c->log_level = log_levels[i].level;
                        return 0;
                }
        }
        return conf_error(item, err, HINT_MAN,
                          "LogLevel= takes one of error, warning, notice, info, debug");
}

static int on_idle_timeout(struct config *c, const struct conf_item *item, struct error *err) {
        return set_duration(item, 0, 365 * 86400, &c->idle_timeout_sec, err);
}

static int on_login_timeout(struct config *c, const struct conf_item *item, struct error *err) {
        return set_duration(item, 10, LIMIT_LOGIN_SEC, &c->login_timeout_sec, err);
}

static int on_refresh_margin(struct config *c, const struct conf_item *item, struct error *err) {
        return set_duration(item, 0, 3600, &c->refresh_margin_sec, err);
}

static int on_redirect_port(struct config *c, const struct conf_item *item, struct error *err) {
        uint64_t port;

        if (number_parse(item->value, 65535, &port) < 0 || (port > 0 && port < 1024))
                return conf_error(item, err, "0 means any free port",
                                  "RedirectPort= takes 0 or a port from 1024 to 65535");
        c->redirect_port = (uint16_t)port;
        return 0;
}

static int on_report_tool_calls(struct config *c, const struct conf_item *item, struct error *err) {
        if (conf_bool(item->value, &c->report_tool_calls) < 0)
                return conf_error(item, err, HINT_MAN, "ReportToolCalls= takes yes or no");
        return 0;
}

static int on_client_name(struct config *c, const struct conf_item *item, struct error *err) {
        size_t len = strlen(item->value);

        if (len == 0 || len > LIMIT_NAME_BYTES)
                return conf_error(item, err, NULL, "ClientName= takes a name of 1 to %d bytes",
                                  LIMIT_NAME_BYTES);
        return set_text(&c->client_name, item->value, err);
}

int config_check_metadata_url(const struct conf_item *item, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        struct error why = ERROR_INIT;
        int r = url_parse(&u, item->value, "client metadata URL", &why);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return conf_error(item, err, why.hint, "%s", why.message);
        if (!streq(u.scheme, "https") || u.fragment || strlen(u.path) < 2)
                return conf_error(item, err, "Such as https://example.com/mcp-broker.json",
                                  "ClientMetadataUrl= takes an https URL with a path");
        return 0;
}

static int on_client_metadata_url(struct config *c, const struct conf_item *item,
                                  struct error *err) {
        int r = *item->value ? config_check_metadata_url(item, err) : 0;

        return r < 0 ? r : set_text(&c->client_metadata_url, item->value, err);
}

static int on_proxy(struct config *c, const struct conf_item *item, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        struct error why = ERROR_INIT;
        int r;

        if (!*item->value)
                return set_text(&c->proxy, "", err);
        r = url_parse(&u, item->value, "proxy", &why);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return conf_error(item, err, "Such as http://proxy.example.com:3128", "%s",
                                  why.message);
        if (strlen(u.path) > 1 || u.query || u.fragment)
                return conf_error(item, err, "Such as http://proxy.example.com:3128",
                                  "Proxy= takes a URL without path, query and fragment");
        return set_text(&c->proxy, item->value, err);
}

static int on_no_proxy(struct config *c, const struct conf_item *item, struct error *err) {
        return set_text(&c->no_proxy, item->value, err);
}

static int on_ca_file(struct config *c, const struct conf_item *item, struct error *err) {
        if (*item->value && *item->value != '/')
                return conf_error(item, err, NULL, "CaFile= takes an absolute path");
        return set_text(&c->ca_file, item->value, err);
}

static bool is_host(const char *host) {
        static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.:";

        return *host && strlen(host) <= 255 && strspn(host, allowed) == strlen(host);
}

static int add_private(struct config *c, const char *host, size_t len) {
        char *copy;

        if (c->n_allow_private == CONFIG_PRIVATE_MAX || len > 255)
                return -EINVAL;
        if (!c->allow_private)
                c->allow_private = calloc(CONFIG_PRIVATE_MAX, sizeof(*c->allow_private));
        copy = c->allow_private ? strndup(host, len) : NULL;
        if (!copy)
                return -ENOMEM;
        for (char *p = copy; *p; p++)
                *p = *p >= 'A' && *p <= 'Z' ? (char)(*p + 32) : *p;
        if (!is_host(copy)) {
                free(copy);
                return -EINVAL;
        }
        c->allow_private[c->n_allow_private++] = copy;
        return 0;
}

static int on_allow_private(struct config *c, const struct conf_item *item, struct error *err) {
        size_t len = 0;

        if (!*item->value)
                clear_private(c);
        for (const char *w = conf_word(item->value, &len); w; w = conf_word(w + len, &len)) {
                int r = add_private(c, w, len);

                if (r == -ENOMEM)
                        return error_oom(err);
                if (r < 0)
                        return conf_error(item, err, "Host names or addresses, without ports",
                                          "AllowPrivate= takes at most %d host names, not '%.*s'",
                                          CONFIG_PRIVATE_MAX, (int)len, w);
        }
        return 0;
}

static const struct {
        const char *section;
        const char *key;
        key_fn fn;
        bool repeats;
} keys[] = {
        { "Broker", "LogLevel", on_log_level, false },
        { "Broker", "IdleTimeoutSec", on_idle_timeout, false },
        { "Broker", "LoginTimeoutSec", on_login_timeout, false },
        { "Broker", "RefreshMarginSec", on_refresh_margin, false },
        { "Broker", "RedirectPort", on_redirect_port, false },
        { "Broker", "ReportToolCalls", on_report_tool_calls, false },
        { "Broker", "ClientName", on_client_name, false },
        { "Broker", "ClientMetadataUrl", on_client_metadata_url, false },
        { "Network", "Proxy", on_proxy, false },
        { "Network", "NoProxy", on_no_proxy, false },
        { "Network", "CaFile", on_ca_file, false },
        { "Network", "AllowPrivate", on_allow_private, true },
};
_Static_assert(ARRAY_SIZE(keys) <= 32, "parsing.seen is a mask of 32 bits");

/* --- The whole ------------------------------------------------------------ */

struct parsing {
        struct config c;
        uint32_t seen; /* keys of this file */
};

static bool is_section(const char *section) {
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
                if (streq(keys[i].section, section))
                        return true;
        return false;
}

static int on_item(const struct conf_item *item, void *userdata, struct error *err) {
        struct parsing *ps = userdata;

        if (!item->key && is_section(item->section))
                return 0;
        if (!item->key)
                return conf_error(item, err, "There are [Broker] and [Network]",
                                  "there is no section [%s]", item->section);
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (!streq(keys[i].section, item->section) || !streq(keys[i].key, item->key))
                        continue;
                if (!keys[i].repeats && (ps->seen & (UINT32_C(1) << i)))
                        return conf_error(item, err, NULL, "%s= stands twice in this file",
                                          item->key);
                ps->seen |= UINT32_C(1) << i;
                return keys[i].fn(&ps->c, item, err);
        }
        return conf_error(item, err, HINT_MAN, "there is no key %s= in [%s]", item->key,
                          item->section);
}

int config_parse(struct config *c, const struct config_files *files, struct error *err) {
        struct parsing ps = { 0 };
        int r;

        config_init(&ps.c);
        r = ps.c.client_name ? 0 : error_oom(err);
        for (size_t i = 0; i < files->n && r == 0; i++) {
                ps.seen = 0;
                r = conf_parse(files->items[i].path, files->items[i].data, files->items[i].len,
                               on_item, &ps, err);
        }
        if (r < 0) {
                config_done(&ps.c);
                return r;
        }
        *c = ps.c;
        return 0;
}

/* --- To the keeper -------------------------------------------------------- */

static int put_text(json_t *o, const char *key, const char *value) {
        if (!value)
                return 0;
        return json_object_set_new(o, key, json_string(value)) < 0 ? -ENOMEM : 0;
}

static int put_number(json_t *o, const char *key, uint64_t value) {
        return json_object_set_new(o, key, json_integer((json_int_t)value)) < 0 ? -ENOMEM : 0;
}

static int put_private(json_t *o, const struct config *c) {
        json_t *array = json_array();

        if (json_object_set_new(o, "allow_private", array) < 0)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_allow_private; i++)
                if (json_array_append_new(array, json_string(c->allow_private[i])) < 0)
                        return -ENOMEM;
        return 0;
}

int config_to_json(const struct config *c, json_t **ret) {
        AUTO_JSON json_t *o = json_object();

        if (!o || put_number(o, "log_level", (uint64_t)c->log_level) < 0 ||
            put_number(o, "idle_timeout_sec", c->idle_timeout_sec) < 0 ||
            put_number(o, "login_timeout_sec", c->login_timeout_sec) < 0 ||
            put_number(o, "refresh_margin_sec", c->refresh_margin_sec) < 0 ||
            put_number(o, "redirect_port", c->redirect_port) < 0 ||
            put_number(o, "report_tool_calls", c->report_tool_calls) < 0 ||
            put_text(o, "client_name", c->client_name) < 0 ||
            put_text(o, "client_metadata_url", c->client_metadata_url) < 0 ||
            put_text(o, "proxy", c->proxy) < 0 || put_text(o, "no_proxy", c->no_proxy) < 0 ||
            put_text(o, "ca_file", c->ca_file) < 0 || put_private(o, c) < 0)
                return -ENOMEM;
        *ret = TAKE(o);
        return 0;
}

/* Required, from 0 to @most. */
static int get_number(const json_t *o, const char *key, uint64_t most, uint64_t *ret) {
        json_int_t value = json_get_int(o, key, -1);

        if (value < 0 || (uint64_t)value > most)
                return -EBADMSG;
        *ret = (uint64_t)value;
        return 0;
}

static int get_text(const json_t *o, const char *key, char **ret) {
        const json_t *value = json_object_get(o, key);

        if (!value)
                return 0;
        if (!json_is_string(value) || json_string_length(value) > TEXT_MAX)
                return -EBADMSG;
        *ret = strdup(json_string_value(value));
        return *ret ? 0 : -ENOMEM;
}

static int get_private(const json_t *o, struct config *c) {
        const json_t *array = json_object_get(o, "allow_private");
        int r = json_is_array(array) ? 0 : -EBADMSG;

        for (size_t i = 0; r == 0 && i < json_array_size(array); i++) {
                const char *host = json_string_value(json_array_get(array, i));

                r = host ? add_private(c, host, strlen(host)) : -EBADMSG;
                if (r == -EINVAL)
                        r = -EBADMSG;
        }
        return r;
}

static int get_numbers(const json_t *o, struct config *c) {
        uint64_t level = 0;
        uint64_t port = 0;
        uint64_t report = 0;

        if (get_number(o, "log_level", LOG_DEBUG, &level) < 0 ||
            get_number(o, "idle_timeout_sec", INT32_MAX, &c->idle_timeout_sec) < 0 ||
            get_number(o, "login_timeout_sec", LIMIT_LOGIN_SEC, &c->login_timeout_sec) < 0 ||
            get_number(o, "refresh_margin_sec", INT32_MAX, &c->refresh_margin_sec) < 0 ||
            get_number(o, "redirect_port", UINT16_MAX, &port) < 0 ||
            get_number(o, "report_tool_calls", 1, &report) < 0)
                return -EBADMSG;
        c->log_level = (int)level;
        c->redirect_port = (uint16_t)port;
        c->report_tool_calls = report == 1;
        return 0;
}

int config_from_json(struct config *c, const json_t *value) {
        struct config new = { 0 };
        int r = get_numbers(value, &new);

        if (r == 0)
                r = get_text(value, "client_name", &new.client_name);
        if (r == 0 && !new.client_name)
                r = -EBADMSG;
        if (r == 0)
                r = get_text(value, "client_metadata_url", &new.client_metadata_url);
        if (r == 0)
                r = get_text(value, "proxy", &new.proxy);
        if (r == 0)
                r = get_text(value, "no_proxy", &new.no_proxy);
        if (r == 0)
                r = get_text(value, "ca_file", &new.ca_file);
        if (r == 0)
                r = get_private(value, &new);
        if (r < 0) {
                config_done(&new);
                return r;
        }
        *c = new;
        return 0;
}
