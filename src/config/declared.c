/* SPDX-License-Identifier: Apache-2.0 */
#include "config/declared.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "base/name.h"
#include "base/url.h"
#include "config/config.h"
#include "os/io.h"

#define HINT_MAN "See mcp-broker-servers(5)"

/* One file while it is read. */
struct reading {
        struct declared_server s;
        const char *path;
        unsigned section_line; /* 0: [Server] has not begun */
        unsigned client_line;
        unsigned metadata_line;
        uint32_t seen; /* keys of this file */
};

static void server_done(struct declared_server *s) {
        for (size_t i = 0; i < s->n_scopes; i++)
                free(s->scopes[i]);
        free(s->scopes);
        free(s->file);
        free(s->name);
        free(s->url);
        free(s->account);
        free(s->issuer);
        free(s->client_id);
        free(s->metadata_url);
        own_settings_done(&s->own);
        free(s->secret_file);
        (void)str_wipe_free(s->secret);
        *s = (struct declared_server){ 0 };
}

void declared_done(struct declared *d) {
        for (size_t i = 0; i < d->n; i++)
                server_done(&d->items[i]);
        free(d->items);
        *d = DECLARED_INIT;
}

/* --- One function a key ---------------------------------------------------------------------- */

static int set_text(char **to, const struct conf_item *item, struct error *err) {
        free(*to);
        *to = strdup(item->value);
        return *to ? 0 : error_oom(err);
}

/* A server's or an issuer's: https, or http to this machine. */
static int check_url(const struct conf_item *item, bool query, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        struct error why = ERROR_INIT;
        int r = url_check_allowed(item->value, "URL", &why);

        if (r == 0)
                r = url_parse(&u, item->value, "URL", &why);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return conf_error(item, err, why.hint, "%s= %s", item->key, why.message);
        if (!query && u.query)
                return conf_error(item, err, HINT_MAN, "%s= takes no query", item->key);
        return 0;
}

static int on_url(struct reading *rd, const struct conf_item *item, struct error *err) {
        int r = check_url(item, true, err);

        return r < 0 ? r : set_text(&rd->s.url, item, err);
}

static int on_issuer(struct reading *rd, const struct conf_item *item, struct error *err) {
        int r = check_url(item, false, err);

        return r < 0 ? r : set_text(&rd->s.issuer, item, err);
}

static int set_name(char **to, const struct conf_item *item, struct error *err) {
        if (!name_valid(item->value))
                return conf_error(item, err, NAME_RULE, "%s= takes a name, not '%s'", item->key,
                                  item->value);
        return set_text(to, item, err);
}

static int on_name(struct reading *rd, const struct conf_item *item, struct error *err) {
        return set_name(&rd->s.name, item, err);
}

static int on_account(struct reading *rd, const struct conf_item *item, struct error *err) {
        return set_name(&rd->s.account, item, err);
}

/* RFC 6749 3.3; the reader has refused what is not printable. */
static bool is_scope(const char *text, size_t len) {
        for (size_t i = 0; i < len; i++)
                if ((unsigned char)text[i] > 0x7e || text[i] == '"' || text[i] == '\\')
                        return false;
        return true;
}

static int add_scope(struct declared_server *s, const char *text, size_t len) {
        for (size_t i = 0; i < s->n_scopes; i++)
                if (strlen(s->scopes[i]) == len && strncmp(s->scopes[i], text, len) == 0)
                        return 0;
        if (s->n_scopes == LIMIT_SCOPES)
                return -E2BIG;
        if (!s->scopes)
                s->scopes = calloc(LIMIT_SCOPES, sizeof(*s->scopes));
        if (!s->scopes)
                return -ENOMEM;
        s->scopes[s->n_scopes] = strndup(text, len);
        return s->scopes[s->n_scopes++] ? 0 : -ENOMEM;
}

static int on_scope(struct reading *rd, const struct conf_item *item, struct error *err) {
        size_t len = 0;
        const char *w = conf_word(item->value, &len);

        if (!w)
                return conf_error(item, err, "Leave the line out for what the server asks for",
                                  "Scope= is empty");
        for (; w; w = conf_word(w + len, &len)) {
                int r = is_scope(w, len) ? add_scope(&rd->s, w, len) : -EINVAL;

                if (r == -ENOMEM)
                        return error_oom(err);
                if (r < 0)
                        return conf_error(item, err, HINT_MAN,
                                          "Scope= takes at most %d scopes, not '%.*s'",
                                          LIMIT_SCOPES, (int)len, w);
        }
        return 0;
}

static int on_client_id(struct reading *rd, const struct conf_item *item, struct error *err) {
        if (!*item->value || strlen(item->value) > URL_MAX)
                return conf_error(item, err, HINT_MAN, "ClientId= takes 1 to %d bytes", URL_MAX);
        rd->client_line = item->line;
        return set_text(&rd->s.client_id, item, err);
}

static int on_secret_file(struct reading *rd, const struct conf_item *item, struct error *err) {
        if (*item->value != '/')
                return conf_error(item, err, HINT_MAN, "%s= takes an absolute path", item->key);
        if (rd->s.secret_file)
                return conf_error(item, err, "A client proves itself in one way",
                                  "ClientSecretFile= and ClientKeyFile= exclude each other");
        rd->s.secret_line = item->line;
        rd->s.secret_is_key = streq(item->key, "ClientKeyFile");
        return set_text(&rd->s.secret_file, item, err);
}

static int on_metadata_url(struct reading *rd, const struct conf_item *item, struct error *err) {
        int r = config_check_metadata_url(item, err);

        rd->metadata_line = item->line;
        return r < 0 ? r : set_text(&rd->s.metadata_url, item, err);
}

static int on_send_resource(struct reading *rd, const struct conf_item *item, struct error *err) {
        bool send = true;

        if (conf_bool(item->value, &send) < 0)
                return conf_error(item, err, HINT_MAN, "SendResource= takes yes or no");
        rd->s.no_resource = !send;
        return 0;
}

static const struct {
        const char *key;
        int (*fn)(struct reading *rd, const struct conf_item *item, struct error *err);
        bool repeats;
} keys[] = {
        { "URL", on_url, false },
        { "Name", on_name, false },
        { "Account", on_account, false },
        { "Scope", on_scope, true },
        { "Issuer", on_issuer, false },
        { "ClientId", on_client_id, false },
        { "ClientSecretFile", on_secret_file, false },
        { "ClientKeyFile", on_secret_file, false },
        { "ClientMetadataUrl", on_metadata_url, false },
        { "SendResource", on_send_resource, false },
};
_Static_assert(ARRAY_SIZE(keys) <= 32, "reading.seen is a mask of 32 bits");

/* In the words of the file, and where in it. */
static int refuse(const struct conf_item *at, int r, const struct error *why, struct error *err) {
        return r == -ENOMEM ? error_oom(err) : conf_error(at, err, why->hint, "%s", why->message);
}

static int set_own(struct reading *rd, const struct conf_item *item, struct error *err) {
        static const char extra[] = "Extra.";
        enum own_setting which = own_settings_find(item->key);
        char **to;
        int r;

        if (strncmp(item->key, extra, strlen(extra)) == 0)
                return own_settings_add_extra(&rd->s.own.extra, item->key + strlen(extra),
                                              item->value, OWN_WORDS_FILE, err);
        if (which == OWN_SETTINGS_COUNT)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, HINT_MAN,
                                 "there is no key %s= in [Server]", item->key);
        to = own_settings_at(&rd->s.own, which);
        if (*to)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, NULL,
                                 "%s= stands twice in this file", item->key);
        r = own_settings_check(which, item->value, OWN_WORDS_FILE, err);
        return r < 0 ? r : set_text(to, item, err);
}

static int on_own(struct reading *rd, const struct conf_item *item, struct error *err) {
        struct error why = ERROR_INIT;
        int r = set_own(rd, item, &why);

        if (r < 0)
                return refuse(item, r, &why, err);
        if (!rd->s.own_line)
                rd->s.own_line = item->line;
        return 0;
}

static int on_item(const struct conf_item *item, void *userdata, struct error *err) {
        struct reading *rd = userdata;

        if (!item->key) {
                if (!streq(item->section, "Server"))
                        return conf_error(item, err, "There is only [Server]",
                                          "there is no section [%s]", item->section);
                if (rd->section_line)
                        return conf_error(item, err, "Give each server a file of its own",
                                          "one file declares one server");
                rd->section_line = item->line;
                return 0;
        }
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (!streq(keys[i].key, item->key))
                        continue;
                if (!keys[i].repeats && (rd->seen & (UINT32_C(1) << i)))
                        return conf_error(item, err, NULL, "%s= stands twice in this file",
                                          item->key);
                rd->seen |= UINT32_C(1) << i;
                return keys[i].fn(rd, item, err);
        }
        return on_own(rd, item, err);
}

/* --- One file -------------------------------------------------------------------------------- */

static const char *file_name(const char *path) {
        const char *slash = strrchr(path, '/');

        return slash ? slash + 1 : path;
}

static int fault(const struct reading *rd, unsigned line, struct error *err, const char *hint,
                 const char *what) {
        const struct conf_item at = { .file = rd->path, .line = line, .section = "Server" };

        return conf_error(&at, err, hint, "%s", what);
}

static int check_own(struct reading *rd, struct error *err) {
        struct declared_server *s = &rd->s;
        const struct conf_item at = { .file = rd->path, .line = s->own_line, .section = "Server" };
        const struct own_client client = { .id = s->client_id != NULL,
                                           .secret = s->secret_file && !s->secret_is_key,
                                           .key = s->secret_file && s->secret_is_key };
        struct error why = ERROR_INIT;
        int r = own_settings_judge(&s->own, &client, OWN_WORDS_FILE, &why);

        return r < 0 ? refuse(&at, r, &why, err) : 0;
}

/* What one key says of another. */
static int check_keys(struct reading *rd, struct error *err) {
        const struct declared_server *s = &rd->s;

        if (!s->url)
                return fault(rd, rd->section_line, err, HINT_MAN, "[Server] has no URL=");
        if (s->client_id && !s->issuer)
                return fault(rd, rd->client_line, err,
                             "Add Issuer=: credentials belong to one issuer",
                             "ClientId= stands without Issuer=");
        if (s->secret_file && !s->client_id)
                return fault(rd, s->secret_line, err, "Add ClientId=",
                             s->secret_is_key ? "ClientKeyFile= stands without ClientId="
                                              : "ClientSecretFile= stands without ClientId=");
        if (s->client_id && s->metadata_url)
                return fault(rd, rd->metadata_line, err, "Leave one of them out",
                             "ClientMetadataUrl= and ClientId= exclude each other");
        return own_settings_any(&s->own) ? check_own(rd, err) : 0;
}

/* The file's name without ".conf" is the server's, unless it says another. */
static int set_defaults(struct reading *rd, struct error *err) {
        struct declared_server *s = &rd->s;
        const char *base = file_name(rd->path);

        if (!s->name) {
                s->name = strndup(base, strlen(base) - strlen(".conf"));
                if (s->name && !name_valid(s->name))
                        return fault(rd, rd->section_line, err,
                                     "Add Name=, or give the file another name",
                                     "the file's name cannot be that of a server");
        }
        s->account = s->account ? s->account : strdup("");
        s->file = strdup(rd->path);
        return s->name && s->account && s->file ? 0 : error_oom(err);
}

/* 1: @ret is filled; 0: the file declares nothing. */
static int read_one(const struct config_file *file, struct declared_server *ret,
                    struct error *err) {
        struct reading rd = { .path = file->path };
        int r = conf_parse(file->path, file->data, file->len, on_item, &rd, err);

        if (r == 0 && rd.section_line)
                r = check_keys(&rd, err);
        if (r == 0 && rd.section_line)
                r = set_defaults(&rd, err);
        if (r < 0 || !rd.section_line) {
                server_done(&rd.s);
                return r;
        }
        *ret = rd.s;
        return 1;
}

/* --- All of them ----------------------------------------------------------------------------- */

static int same_resource(const struct declared_server *a, const struct declared_server *b) {
        AUTO_URL struct url u = URL_INIT;
        AUTO_URL struct url v = URL_INIT;
        AUTO_BUF struct buf x = BUF_INIT;
        AUTO_BUF struct buf y = BUF_INIT;

        if (!streq(a->account, b->account))
                return 0;
        if (url_parse(&u, a->url, "URL", NULL) < 0 || url_parse(&v, b->url, "URL", NULL) < 0 ||
            url_append_canonical(&u, &x) < 0 || url_append_canonical(&v, &y) < 0)
                return -ENOMEM;
        return streq(x.data, y.data);
}

static bool same_or_none(const char *a, const char *b) {
        return a && b ? streq(a, b) : a == b;
}

static const char *secret_key(const struct declared_server *s) {
        return s->secret_is_key ? "ClientKeyFile" : "ClientSecretFile";
}

/* Two files must not say different things about one thing. */
static int check_pair(const struct declared_server *a, const struct declared_server *b,
                      struct error *err) {
        int r;

        if (streq(a->name, b->name))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, "Give one of them another Name=",
                                 "%s: the name '%s' is declared in %s already", b->file, b->name,
                                 a->file);
        r = same_resource(a, b);
        if (r < 0)
                return error_oom(err);
        if (r > 0)
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Remove one of them, or give them different Account=",
                                 "%s: this server is declared in %s already", b->file, a->file);
        if (a->client_id && b->client_id && streq(a->client_id, b->client_id) &&
            streq(a->issuer, b->issuer) && !same_or_none(a->secret_file, b->secret_file))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "A client has one secret: name the same file in both",
                                 "%s: the client %s has another %s= in %s", b->file, b->client_id,
                                 secret_key(a), a->file);
        return 0;
}

static bool is_overridden(const struct config_files *files, size_t i) {
        const char *name = file_name(files->items[i].path);

        for (size_t k = i + 1; k < files->n; k++)
                if (streq(file_name(files->items[k].path), name))
                        return true;
        return false;
}

static int add_one(struct declared *d, const struct config_files *files, size_t i,
                   struct error *err) {
        struct declared_server s = { 0 };
        int r = read_one(&files->items[i], &s, err);

        if (r <= 0)
                return r;
        s.index = i;
        r = 0;
        for (size_t k = 0; k < d->n && r == 0; k++)
                r = check_pair(&d->items[k], &s, err);
        if (r < 0)
                server_done(&s);
        else
                d->items[d->n++] = s;
        return r;
}

int declared_parse(struct declared *d, const struct config_files *files, struct error *err) {
        AUTO_DECLARED struct declared found = DECLARED_INIT;
        int r = 0;

        found.items = calloc(files->n + 1, sizeof(*found.items));
        if (!found.items)
                return error_oom(err);
        for (size_t i = 0; i < files->n && r == 0; i++)
                if (!is_overridden(files, i))
                        r = add_one(&found, files, i, err);
        if (r < 0)
                return r;
        *d = found;
        found = DECLARED_INIT;
        return 0;
}

/* --- Client secrets -------------------------------------------------------------------------- */

static int secret_fault(const struct declared_server *s, struct error *err, const char *hint,
                        const char *what) {
        const struct conf_item at = { .file = s->file, .line = s->secret_line };

        return conf_error(&at, err, hint, "%s=%s: %s", secret_key(s), s->secret_file, what);
}

int declared_open_secret(const struct declared_server *s, uid_t owner, int *ret,
                         struct error *err) {
        AUTO_CLOSE int fd = -1;
        struct stat st;

        *ret = -1;
        if (!s->secret_file)
                return 0;
        fd = open(s->secret_file, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 && errno == ELOOP)
                return secret_fault(s, err, "Name the file itself", "is a symbolic link");
        if (fd < 0 || fstat(fd, &st) < 0)
                return secret_fault(s, err, NULL, strerror(errno));
        if (!S_ISREG(st.st_mode))
                return secret_fault(s, err, NULL, "is not a regular file");
        if (st.st_uid != owner)
                return secret_fault(s, err, "It must belong to who runs the daemon",
                                    "belongs to somebody else");
        if (st.st_mode & 077)
                return secret_fault(s, err, "Keep it to yourself: chmod 600",
                                    "others can read or write it");
        *ret = TAKE_FD(fd);
        return 0;
}

static int keep_secret(struct declared_server *s, const struct buf *data, size_t len,
                       struct error *err) {
        (void)str_wipe_free(s->secret);
        s->secret = strndup(data->data, len);
        return s->secret ? 0 : error_oom(err);
}

int declared_read_secret(struct declared_server *s, int fd, struct error *err) {
        AUTO_BUF struct buf data = BUF_INIT;
        size_t len;
        int r = io_read_full(fd, LIMIT_TOKEN_BYTES, &data);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return secret_fault(s, err, NULL, strerror(-r));
        if (s->secret_is_key && (data.len == 0 || memchr(data.data, 0, data.len)))
                return secret_fault(s, err, "It holds a private key: PEM, or a JWK",
                                    "is empty, or no text");
        if (s->secret_is_key)
                return keep_secret(s, &data, data.len, err);
        for (len = 0; len < data.len && data.data[len] != '\n'; len++)
                if ((unsigned char)data.data[len] < 0x20 && data.data[len] != '\r')
                        return secret_fault(s, err, "It holds the secret on its first line",
                                            "has control characters");
        while (len > 0 && data.data[len - 1] == '\r')
                len--;
        if (len == 0)
                return secret_fault(s, err, "It holds the secret on its first line",
                                    "the first line is empty");
        return keep_secret(s, &data, len, err);
}
