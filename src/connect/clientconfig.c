/* SPDX-License-Identifier: Apache-2.0 */
#include "connect/clientconfig.h"

#include "base/limits.h"
#include "base/name.h"
#include "base/url.h"
#include "connect/clientfile.h"
#include "connect/edit.h"
#include "os/paths.h"

#define ENTRY_MAX 64

/* --- the clients ---------------------------------------------------------------------------- */

typedef int (*edit_fn)(struct buf *out, struct span text, const struct edit_entry *e,
                       enum edit_change *ret, struct edit_fault *fault);

/* How a client is told of a command that it starts, and of one that gives headers. */
enum style { PLAIN, STDIO, LOCAL, COMMAND_LIST, GOOSE };
enum helper_style { NO_HELPER, HEADERS_HELPER, HTTP_HEADERS_HELPER };

struct client {
        const char *id;
        const char *title;
        edit_fn edit;
        const char *variable;    /* names the folder that holds the file, where it is set */
        const char *in_variable; /* the file below that folder, or below the working one */
        const char *in_home;     /* the file below the home folder */
        bool jsonc;              /* it may have a c behind its name */
        const char *table;
        const char *inner;
        enum style style;
        enum helper_style helper;
};

static const char xdg[] = "XDG_CONFIG_HOME";

static const struct client clients[] = {
        { .id = "claude-code",
          .title = "Claude Code",
          .edit = edit_json,
          .variable = "CLAUDE_CONFIG_DIR",
          .in_variable = ".claude.json",
          .in_home = ".claude.json",
          .table = "mcpServers",
          .style = STDIO,
          .helper = HEADERS_HELPER },
        { .id = "claude-project",
          .title = "Claude Code, in this folder",
          .edit = edit_json,
          .in_variable = ".mcp.json",
          .table = "mcpServers",
          .style = STDIO,
          .helper = HEADERS_HELPER },
        { .id = "claude-desktop",
          .title = "Claude Desktop",
          .edit = edit_json,
          .table = "mcpServers" },
        { .id = "codex",
          .title = "Codex",
          .edit = edit_toml,
          .variable = "CODEX_HOME",
          .in_variable = "config.toml",
          .in_home = ".codex/config.toml",
          .table = "mcp_servers",
          .helper = HTTP_HEADERS_HELPER },
        { .id = "copilot-cli",
          .title = "Copilot CLI",
          .edit = edit_json,
          .variable = "COPILOT_HOME",
          .in_variable = "mcp-config.json",
          .in_home = ".copilot/mcp-config.json",
          .table = "mcpServers",
          .style = LOCAL },
        { .id = "cursor",
          .title = "Cursor",
          .edit = edit_json,
          .in_home = ".cursor/mcp.json",
          .table = "mcpServers" },
        { .id = "gemini-cli",
          .title = "Gemini CLI",
          .edit = edit_json,
          .in_home = ".gemini/settings.json",
          .table = "mcpServers" },
        { .id = "goose",
          .title = "goose",
          .edit = edit_yaml,
          .variable = xdg,
          .in_variable = "goose/config.yaml",
          .in_home = ".config/goose/config.yaml",
          .table = "extensions",
          .style = GOOSE },
        { .id = "opencode",
          .title = "opencode",
          .edit = edit_json,
          .variable = xdg,
          .in_variable = "opencode/opencode.json",
          .in_home = ".config/opencode/opencode.json",
          .jsonc = true,
          .table = "mcp",
          .inner = "servers", /* its second version; it reads both */
          .style = COMMAND_LIST },
        { .id = "vscode",
          .title = "VS Code",
          .edit = edit_json,
          .variable = xdg,
          .in_variable = "Code/User/mcp.json",
          .in_home = ".config/Code/User/mcp.json",
          .table = "servers",
          .style = STDIO },
        { .id = "windsurf",
          .title = "Windsurf",
          .edit = edit_json,
          .in_home = ".codeium/windsurf/mcp_config.json",
          .table = "mcpServers" },
        { .id = "zed",
          .title = "Zed",
          .edit = edit_json,
          .variable = xdg,
          .in_variable = "zed/settings.json",
          .in_home = ".config/zed/settings.json",
          .table = "context_servers" },
};

/* Whatever says that an entry is of another kind than the one we write. */
static const char *const against[] = {
        "args",
        "cmd",
        "command",
        "httpUrl",
        "serverUrl",
        "uri",
        "url",
        "headersHelper",
        "bearer_token_env_var",
        "http_headers_helper",
        NULL,
};

static const struct client *find_client(const char *id, struct error *err) {
        for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
                if (streq(clients[i].id, id))
                        return &clients[i];
        (void)error_set(err, MCPB_BAD_PARAMS, EINVAL,
                        "Name one of the list: mcp-connect --print-config=help",
                        "There is no client '%s'", id);
        return NULL;
}

/* --- where its file is ---------------------------------------------------------------------- */

static char *join(const char *folder, const char *file) {
        AUTO_BUF struct buf path = BUF_INIT;

        return buf_printf(&path, "%s/%s", folder, file) < 0 ? NULL : buf_steal(&path);
}

/* Their home is that of the environment; the passwd entry's only where there is none. */
static int home_path(const char *file, char **ret, struct error *err) {
        const char *home = getenv("HOME");
        AUTO_FREE char *entry = NULL;

        if (!home || home[0] != '/')
                home = entry = path_home();
        if (!home)
                return error_set(err, MCPB_INTERNAL, ENOENT, "Set HOME",
                                 "There is no home folder to look for the file in");
        *ret = join(home, file);
        return *ret ? 0 : error_oom(err);
}

static bool has_file(const struct client *c) {
        return c->in_home || c->in_variable;
}

static int find_path(const struct client *c, char **ret, struct error *err) {
        const char *folder = c->variable ? getenv(c->variable) : NULL;

        if (folder && (folder[0] == '/' || (folder[0] && c->variable != xdg)))
                *ret = join(folder, c->in_variable);
        else if (c->in_home)
                return home_path(c->in_home, ret, err);
        else
                *ret = strdup(c->in_variable);
        return *ret ? 0 : error_oom(err);
}

static int client_path(const struct client *c, char **ret, struct error *err) {
        AUTO_FREE char *path = NULL;
        AUTO_FREE char *other = NULL;
        AUTO_BUF struct buf b = BUF_INIT;
        int r = find_path(c, &path, err);

        if (r < 0)
                return r;
        if (c->jsonc) {
                other = buf_printf(&b, "%sc", path) < 0 ? NULL : buf_steal(&b);
                if (!other)
                        return error_oom(err);
        }
        *ret = other && access(other, F_OK) == 0 ? TAKE(other) : TAKE(path);
        return 0;
}

/* --- the entry ------------------------------------------------------------------------------ */

/* An entry, and the texts that it needs. */
struct plan {
        const struct client *client;
        struct edit_entry entry;
        char name[ENTRY_MAX + 1];
        char *command;
        char *helper;
};

#define PLAN_INIT ((struct plan){ 0 })
#define AUTO_PLAN __attribute__((cleanup(plan_done), unused))

static void plan_done(struct plan *p) {
        free(p->command);
        free(p->helper);
}

static bool is_url(const char *server) {
        return strstr(server, "://") != NULL;
}

static bool is_name_char(char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_';
}

static int check_server(const char *server, struct error *err) {
        if (!is_url(server))
                return name_valid(server) ? 0
                                          : error_set(err, MCPB_BAD_PARAMS, EINVAL, NAME_RULE,
                                                      "'%s' is no name of a server", server);
        /* Each client has its own marks for variables, and all are of these. */
        if (strpbrk(server, "${}"))
                return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                 "Give it a name: mcp-add --name=NAME URL",
                                 "Clients would take a part of '%s' for a variable", server);
        return url_check_allowed(server, "server URL", err);
}

/* Names that all clients take: what else a server's name may have becomes a hyphen. */
static int choose_name(struct plan *p, const struct clientconfig_request *r, struct error *err) {
        AUTO_URL struct url u = URL_INIT;
        int e;

        if (r->entry) {
                if (strlen(r->entry) > ENTRY_MAX || r->entry[0] == '\0' ||
                    r->entry[strspn(r->entry, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                              "0123456789-_")])
                        return error_set(err, MCPB_BAD_PARAMS, EINVAL,
                                         "Use up to 64 letters, digits and - _",
                                         "'%s' is no name that all clients take", r->entry);
                (void)snprintf(p->name, sizeof(p->name), "%s", r->entry);
                return 0;
        }
        if (is_url(r->server)) {
                e = url_parse(&u, r->server, "server URL", err);
                if (e < 0)
                        return e;
                url_short_name(&u, p->name, sizeof(p->name));
        } else {
                (void)snprintf(p->name, sizeof(p->name), "%s", r->server);
        }
        for (char *c = p->name; *c; c++)
                if (!is_name_char(*c))
                        *c = '-';
        return 0;
}

/* For sh: as it is where that is safe, else in quotes. */
static int append_word(struct buf *b, const char *word) {
        static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                   "@%+=:,./_-";
        int r;

        if (word[0] && !word[strspn(word, safe)])
                return buf_append_str(b, word);
        r = buf_append_str(b, "'");
        for (; r == 0 && *word; word++)
                r = *word == '\'' ? buf_append_str(b, "'\\''") : buf_append(b, word, 1);
        return r < 0 ? r : buf_append_str(b, "'");
}

/* mcp-token lies where mcp-connect does. */
static int make_helper(struct plan *p, const char *server) {
        const char *slash = strrchr(p->command, '/');
        AUTO_BUF struct buf program = BUF_INIT;
        AUTO_BUF struct buf line = BUF_INIT;
        int r = slash ? buf_append(&program, p->command, (size_t)(slash + 1 - p->command)) : 0;

        if (r == 0)
                r = buf_append_str(&program, "mcp-token");
        if (r == 0)
                r = append_word(&line, program.data);
        if (r == 0)
                r = buf_append_str(&line, " --header ");
        if (r == 0)
                r = append_word(&line, server);
        if (r < 0)
                return r;
        p->helper = buf_steal(&line);
        return p->helper ? 0 : -ENOMEM;
}

static void add_text(struct plan *p, const char *key, const char *value) {
        p->entry.members[p->entry.n_members++] = (struct edit_member){
                .key = key, .kind = EDIT_TEXT, .values = { value }, .n_values = 1
        };
}

static void add_list(struct plan *p, const char *key, const char *first, const char *second) {
        p->entry.members[p->entry.n_members++] = (struct edit_member){ .key = key,
                                                                       .kind = EDIT_LIST,
                                                                       .values = { first, second },
                                                                       .n_values = second ? 2 : 1 };
}

static void add_true(struct plan *p, const char *key) {
        p->entry.members[p->entry.n_members++] =
                (struct edit_member){ .key = key, .kind = EDIT_TRUE };
}

/* All of them, unless the person has chosen. */
static void add_tools(struct plan *p) {
        add_list(p, "tools", "*", NULL);
        p->entry.members[p->entry.n_members - 1].only_new = true;
}

static void describe_command(struct plan *p, const char *server) {
        enum style style = p->client->style;

        if (style == GOOSE)
                add_text(p, "name", p->name);
        if (style != PLAIN)
                add_text(p, "type", style == LOCAL || style == COMMAND_LIST ? "local" : "stdio");
        if (style == COMMAND_LIST) {
                add_list(p, "command", p->command, server);
                return;
        }
        add_text(p, style == GOOSE ? "cmd" : "command", p->command);
        add_list(p, "args", server, NULL);
        if (style == LOCAL)
                add_tools(p);
        if (style == GOOSE)
                add_true(p, "enabled");
}

static int describe_helper(struct plan *p, const struct clientconfig_request *r,
                           struct error *err) {
        const char *url = is_url(r->server) ? r->server : r->url;

        if (p->client->helper == NO_HELPER)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                                 "Leave --helper out: mcp-connect serves it",
                                 "%s takes no headers from a command", p->client->title);
        if (!url)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, "Give the URL of the server",
                                 "%s connects to the server itself, and '%s' is not its address",
                                 p->client->title, r->server);
        if (make_helper(p, r->server) < 0)
                return error_oom(err);
        if (p->client->helper == HEADERS_HELPER)
                add_text(p, "type", "http");
        add_text(p, "url", url);
        add_text(p, p->client->helper == HEADERS_HELPER ? "headersHelper" : "http_headers_helper",
                 p->helper);
        return 0;
}

static int make_plan(struct plan *p, const struct clientconfig_request *r, struct error *err) {
        int e;

        p->client = find_client(r->client, err);
        if (!p->client)
                return -EINVAL;
        if (!r->server)
                return error_set(err, MCPB_BAD_PARAMS, EINVAL, NULL,
                                 "Give the name or URL of one server");
        e = check_server(r->server, err);
        if (e == 0 && r->url)
                e = check_server(r->url, err);
        if (e == 0)
                e = choose_name(p, r, err);
        if (e < 0)
                return e;
        p->command = strdup(r->command ? r->command : MCPB_BINDIR "/mcp-connect");
        if (!p->command)
                return error_oom(err);
        p->entry.table = p->client->table;
        p->entry.inner = p->client->inner;
        p->entry.name = p->name;
        p->entry.against = against;
        if (r->helper)
                return describe_helper(p, r, err);
        describe_command(p, r->server);
        return 0;
}

/* --- printing ------------------------------------------------------------------------------- */

static int print_list(FILE *out, struct error *err) {
        (void)fprintf(out, "%-15s %-27s %-8s %s\n", "CLIENT", "", "--helper", "FILE");
        for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
                const struct client *c = &clients[i];
                AUTO_FREE char *path = NULL;
                int r = has_file(c) ? client_path(c, &path, err) : 0;

                if (r < 0)
                        return r;
                (void)fprintf(out, "%-15s %-27s %-8s %s\n", c->id, c->title,
                              c->helper != NO_HELPER ? "yes" : "-",
                              path ? path : "(not known on this system: print only)");
        }
        return 0;
}

static int flush(FILE *out, struct error *err) {
        if (fflush(out) == 0 && !ferror(out))
                return 0;
        return error_set(err, MCPB_INTERNAL, EIO, NULL, "Cannot write the output");
}

int clientconfig_print(const struct clientconfig_request *r, FILE *out, struct error *err) {
        AUTO_PLAN struct plan p = PLAN_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct edit_fault fault = { 0 };
        enum edit_change change;
        int e;

        if (streq(r->client, "help")) {
                e = print_list(out, err);
                return e < 0 ? e : flush(out, err);
        }
        e = make_plan(&p, r, err);
        if (e < 0)
                return e;
        if (p.client->edit(&text, (struct span){ "", 0 }, &p.entry, &change, &fault) < 0)
                return error_oom(err);
        (void)fputs(text.data, out);
        return flush(out, err);
}

/* --- writing -------------------------------------------------------------------------------- */

static int edit(const struct plan *p, const struct clientfile *f, struct buf *text,
                enum edit_change *ret, struct error *err) {
        struct span before = { f->text.data ? f->text.data : "", f->text.len };
        struct edit_fault fault = { 0 };
        char line[32] = "";
        int r = p->client->edit(text, before, &p->entry, ret, &fault);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r == -EMSGSIZE)
                fault.why = "it is too large";
        if (fault.line > 0)
                (void)snprintf(line, sizeof(line), ", line %u", fault.line);
        return r == 0 ? 0
                      : error_set(err, MCPB_BAD_CONFIG, EBADMSG,
                                  "It was left alone; put in by hand what --print-config prints",
                                  "%s%s: %s", f->path, line, fault.why);
}

static void say(enum edit_change change, const struct plan *p, const char *path,
                const char *backup) {
        static const char *const words[] = {
                [EDIT_ADDED] = "Added", [EDIT_REPLACED] = "Replaced", [EDIT_SAME] = "Unchanged"
        };

        (void)fprintf(stderr, "%s: %s in %s\n", words[change], p->name, path);
        if (backup)
                (void)fprintf(stderr, "The file as it was: %s\n", backup);
}

int clientconfig_write(const struct clientconfig_request *r, struct error *err) {
        AUTO_PLAN struct plan p = PLAN_INIT;
        AUTO_CLIENTFILE struct clientfile f = CLIENTFILE_INIT;
        AUTO_BUF struct buf text = { .max = (size_t)LIMIT_CLIENT_CONFIG_BYTES };
        AUTO_FREE char *path = NULL;
        AUTO_FREE char *backup = NULL;
        enum edit_change change = EDIT_SAME;
        int e = make_plan(&p, r, err);

        if (e == 0 && !has_file(p.client))
                e = error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                              "Put in by hand what --print-config prints",
                              "Where %s has its file on this system is not known", p.client->title);
        if (e == 0)
                e = client_path(p.client, &path, err);
        if (e == 0)
                e = clientfile_read(&f, path, err);
        if (e == 0)
                e = edit(&p, &f, &text, &change, err);
        if (e == 0 && change != EDIT_SAME)
                e = clientfile_replace(&f, &text, &backup, err);
        if (e == 0)
                say(change, &p, f.path, backup);
        return e;
}
