/* SPDX-License-Identifier: Apache-2.0 */
/* servers.d: what is declared, what is refused with file and line, and where secrets come from. */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "config/config.h"
#include "oom.h"
#include "test.h"
#include "tmp.h"

#define WORK "/etc/mcp-broker/servers.d/work.conf"

/* Files by path and text, in their order; ends with NULL. */
static int parse(struct declared *d, const char *const *files, struct error *err) {
        AUTO_CONFIG_FILES struct config_files list = CONFIG_FILES_INIT;
        int r = 0;

        for (size_t i = 0; files[i] && r == 0; i += 2) {
                AUTO_BUF struct buf text = BUF_INIT;

                r = buf_append_str(&text, files[i + 1]);
                if (r == 0)
                        r = config_files_add(&list, files[i], 1, &text);
        }
        return r < 0 ? r : declared_parse(d, &list, err);
}

static int parse_one(struct declared *d, const char *text, struct error *err) {
        return parse(d, (const char *const[]){ WORK, text, NULL }, err);
}

static const char everything[] = "# all keys\n"
                                 "[Server]\n"
                                 "URL=https://mcp.example.com/mcp?tenant=1\n"
                                 "Name=fleet\n"
                                 "Account=robot\n"
                                 "Scope=read write\n"
                                 "Scope=admin read\n"
                                 "Issuer=https://login.example.com/tenant\n"
                                 "ClientId=abc\n"
                                 "ClientSecretFile=/run/secrets/abc\n"
                                 "SendResource=no\n";

static void every_key_is_read(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;
        const struct declared_server *s;

        if (parse_one(&d, everything, &err) < 0)
                fail_msg("%s", err.message);
        assert_int_equal(d.n, 1);
        s = &d.items[0];
        assert_string_equal(s->file, WORK);
        assert_string_equal(s->url, "https://mcp.example.com/mcp?tenant=1");
        assert_string_equal(s->name, "fleet");
        assert_string_equal(s->account, "robot");
        assert_int_equal(s->n_scopes, 3);
        assert_string_equal(s->scopes[2], "admin");
        assert_string_equal(s->issuer, "https://login.example.com/tenant");
        assert_string_equal(s->client_id, "abc");
        assert_string_equal(s->secret_file, "/run/secrets/abc");
        assert_int_equal(s->secret_line, 10);
        assert_null(s->metadata_url);
        assert_true(s->no_resource);
        assert_null(s->secret); /* is read by nobody who only parses */
}

static void a_url_is_enough_and_the_file_gives_the_name(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;

        if (parse_one(&d,
                      "[Server]\nURL=http://127.0.0.1:8000/mcp\n"
                      "ClientMetadataUrl=https://example.com/client.json\n",
                      &err) < 0)
                fail_msg("%s", err.message);
        assert_int_equal(d.n, 1);
        assert_string_equal(d.items[0].name, "work");
        assert_string_equal(d.items[0].account, "");
        assert_int_equal(d.items[0].n_scopes, 0);
        assert_false(d.items[0].no_resource);
        assert_string_equal(d.items[0].metadata_url, "https://example.com/client.json");
}

static void what_is_wrong_is_refused_with_file_and_line(void **state) {
        static const struct {
                const char *text;
                unsigned line;
                const char *message;
        } faults[] = {
                { "URL=https://a.example/\n", 1, "" },
                { "[Servers]\n", 1, "no section [Servers]" },
                { "[Server]\n", 1, "no URL=" },
                { "[Server]\nURL=https://a.example/\n[Server]\n", 3, "one file declares one" },
                { "[Server]\nURL=https://a.example/\nURL=https://b.example/\n", 3, "stands twice" },
                { "[Server]\nSendResource=no\nSendResource=no\n", 3, "stands twice" },
                { "[Server]\nSendResource=sometimes\n", 2, "SendResource= takes yes or no" },
                { "[Server]\nSendResource=\n", 2, "SendResource= takes yes or no" },
                { "[Server]\nURL=\n", 2, "URL=" },
                { "[Server]\nURL=http://a.example/mcp\n", 2, "not https" },
                { "[Server]\nURL=https://a.example/#x\n", 2, "fragment" },
                { "[Server]\nURL=https://u@a.example/\n", 2, "URL=" },
                { "[Server]\nUrl=https://a.example/\n", 2, "no key Url=" },
                { "[Server]\nIdentity=\n", 2, "Identity= takes 1 to" },
                { "[Server]\nIdentity=k8s\nIdentity=k8s\n", 3, "stands twice" },
                { "[Server]\nPresent=bearer\n", 2, "Present= is one of browser, auto" },
                { "[Server]\nAudience=x\n", 2, "Audience= is issuer, token-endpoint" },
                { "[Server]\nAudience=literal:\n", 2, "Audience= is issuer, token-endpoint" },
                { "[Server]\nIdpTokenEndpoint=http://a.example/t\n", 2, "not https" },
                { "[Server]\nURL=https://a.example/\nPresent=client-credentials\n", 3,
                  "Present=client-credentials needs ClientId=" },
                { "[Server]\nURL=https://a.example/\nIssuer=https://i.example\nClientId=x\n"
                  "ClientKeyFile=/k\nPresent=client-credentials\n",
                  6, "needs ClientSecretFile=" },
                { "[Server]\nURL=https://a.example/\nIssuer=https://i.example\nClientId=x\n"
                  "ClientSecretFile=/k\nPresent=private-key-jwt\n",
                  6, "needs ClientKeyFile=" },
                { "[Server]\nURL=https://a.example/\nPresent=jwt-bearer\n", 3,
                  "Present=jwt-bearer needs Identity=" },
                { "[Server]\nURL=https://a.example/\nIssuer=https://i.example\nClientId=x\n"
                  "ClientSecretFile=/k\nPresent=id-jag\nIdentity=k8s\n",
                  6, "Present=id-jag needs IdpTokenEndpoint=" },
                { "[Server]\nURL=https://a.example/\nPresent=browser\nIdentity=k8s\n", 3,
                  "no identity to be presented" },
                { "[Server]\nExtra=x\n", 2, "no key Extra=" },
                { "[Server]\nExtra.=x\n", 2, "Extra.NAME= takes a name of 1 to 64" },
                { "[Server]\nExtra.a=\n", 2, "Extra.a= takes 1 to 1024 bytes" },
                { "[Server]\nExtra.a=1\nExtra.b=1\nExtra.a=1\n", 4, "Extra.a= is given twice" },
                { "[Server]\nURL=https://a.example/\nExtra.a=1\n", 3, "nothing is sent along" },
                { "[Server]\nURL=https://a.example/\nIssuer=https://i.example\nClientId=x\n"
                  "ClientKeyFile=/k\nClientSecretFile=/s\n",
                  6, "exclude each other" },
                { "[Server]\nURL=https://a.example/\nClientKeyFile=/x\n", 3,
                  "ClientKeyFile= stands without ClientId=" },
                { "[Server]\nName=a b\n", 2, "Name= takes a name" },
                { "[Server]\nName=-a\n", 2, "Name= takes a name" },
                { "[Server]\nName=\n", 2, "Name= takes a name" },
                { "[Server]\nAccount=a/b\n", 2, "Account= takes a name" },
                { "[Server]\nScope=\n", 2, "Scope= is empty" },
                { "[Server]\nScope=a b\"c\n", 2, "b\"c" },
                { "[Server]\nScope=a\\b\n", 2, "a\\b" },
                { "[Server]\nScope=\xc3\xa4\n", 2, "Scope= takes" },
                { "[Server]\nIssuer=http://a.example\n", 2, "not https" },
                { "[Server]\nIssuer=https://a.example?x\n", 2, "takes no query" },
                { "[Server]\nClientId=\n", 2, "ClientId= takes" },
                { "[Server]\nURL=https://a.example/\nClientId=x\n", 3, "without Issuer=" },
                { "[Server]\nURL=https://a.example/\nClientSecretFile=/x\n", 3,
                  "without ClientId=" },
                { "[Server]\nClientSecretFile=secret\n", 2, "absolute path" },
                { "[Server]\nClientMetadataUrl=http://a.example/x\n", 2, "https URL with a path" },
                { "[Server]\nClientMetadataUrl=https://a.example/\n", 2, "https URL with a path" },
                { "[Server]\nURL=https://a.example/\nIssuer=https://i.example\nClientId=x\n"
                  "ClientMetadataUrl=https://a.example/x\n",
                  5, "exclude each other" },
        };

        for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
                AUTO_DECLARED struct declared d = DECLARED_INIT;
                struct error err = ERROR_INIT;
                char place[128];

                assert_int_equal(parse_one(&d, faults[i].text, &err), -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                (void)snprintf(place, sizeof(place), WORK ":%u: ", faults[i].line);
                if (strncmp(err.message, place, strlen(place)) != 0 ||
                    !strstr(err.message, faults[i].message))
                        fail_msg("%zu: %s", i, err.message);
                assert_int_equal(d.n, 0);
        }
}

static void what_needs_no_person_is_read(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;
        const struct declared_server *s;

        if (parse_one(&d,
                      "[Server]\nURL=https://a.example/\nIssuer=https://i.example\nClientId=x\n"
                      "ClientKeyFile=/k\nClientKeyId=k1\nSigningAlgorithm=ES256\n"
                      "Present=private-key-jwt\nAudience=token-endpoint\nProfile=hydra\n",
                      &err) < 0)
                fail_msg("%s", err.message);
        s = &d.items[0];
        assert_true(s->secret_is_key);
        assert_string_equal(s->secret_file, "/k");
        assert_string_equal(s->own.present, "private-key-jwt");
        assert_string_equal(s->own.key_id, "k1");
        assert_string_equal(s->own.signing_alg, "ES256");
        assert_string_equal(s->own.audience, "token-endpoint");
        assert_string_equal(s->own.profile, "hydra");
        assert_null(s->own.identity);
        declared_done(&d);
        if (parse_one(&d, "[Server]\nURL=https://a.example/\nIdentity=file:path=/t\n", &err) < 0)
                fail_msg("%s", err.message);
        assert_string_equal(d.items[0].own.identity, "file:path=/t");
        assert_string_equal(d.items[0].own.present, "auto"); /* it is there to be presented */
        assert_null(d.items[0].own.extra);
}

/* One text for the same, so that two can be compared. */
static void what_is_sent_along_is_read_and_bounded(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&text, "[Server]\nURL=https://a.example/\nIdentity=k8s\n"),
                         0);
        for (unsigned i = LIMIT_EXTRA; i > 0; i--)
                assert_int_equal(buf_printf(&text, "Extra.n%02u=v \"%u\"\n", i, i), 0);
        if (parse_one(&d, text.data, &err) < 0)
                fail_msg("%s", err.message);
        assert_ptr_equal(strstr(d.items[0].own.extra, "{\"n01\":\"v \\\"1\\\"\",\"n02\":"),
                         d.items[0].own.extra);
        declared_done(&d);
        assert_int_equal(buf_append_str(&text, "Extra.more=1\n"), 0);
        assert_int_equal(parse_one(&d, text.data, &err), -EINVAL);
        assert_non_null(strstr(err.message, ":20: Extra.NAME= can be given 16 times"));
}

/* As in the daemon, where jansson's memory is not that of malloc(). */
static void what_is_sent_along_is_no_memory_of_jansson(void **state) {
        static const char text[] = "[Server]\nURL=https://a.example/\nIdentity=k8s\nExtra.a=1\n"
                                   "Extra.b=2\n";
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        json_malloc_t old_malloc;
        json_free_t old_free;
        int r;

        json_get_alloc_funcs(&old_malloc, &old_free);
        json_use_wiping_allocator();
        r = parse_one(&d, text, NULL);
        json_set_alloc_funcs(old_malloc, old_free);
        assert_int_equal(r, 0);
        assert_string_equal(d.items[0].own.extra, "{\"a\":\"1\",\"b\":\"2\"}");
}

static void a_file_name_that_is_no_name_needs_one(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;
        const char *const bad[] = { "/etc/my server.conf", "[Server]\nURL=https://a.example/\n",
                                    NULL };
        const char *const good[] = { "/etc/my server.conf",
                                     "[Server]\nURL=https://a.example/\nName=mine\n", NULL };

        assert_int_equal(parse(&d, bad, &err), -EINVAL);
        assert_non_null(strstr(err.message, "/etc/my server.conf:1: "));
        assert_int_equal(parse(&d, good, &err), 0);
        assert_string_equal(d.items[0].name, "mine");
}

static void a_later_file_of_the_same_name_counts_and_an_empty_one_takes_back(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;
        const char *const files[] = { "/usr/lib/a.conf",
                                      "[Server]\nURL=https://a.example/\n",
                                      "/usr/lib/b.conf",
                                      "[Server]\nURL=https://b.example/\n",
                                      "/home/a.conf",
                                      "[Server]\nURL=https://c.example/\n",
                                      "/home/b.conf",
                                      "# not here\n",
                                      NULL };

        assert_int_equal(parse(&d, files, &err), 0);
        assert_int_equal(d.n, 1);
        assert_string_equal(d.items[0].url, "https://c.example/");
        assert_string_equal(d.items[0].file, "/home/a.conf");
        assert_int_equal(d.items[0].index, 2);
}

static void two_files_must_not_speak_of_one_server(void **state) {
        static const struct {
                const char *a, *b, *message; /* NULL: they go together */
        } pairs[] = {
                { "URL=https://x.example/\nName=n\n", "URL=https://y.example/\nName=n\n",
                  "b.conf: the name 'n' is declared in a.conf already" },
                { "URL=https://x.example/mcp\n", "URL=HTTPS://X.example:443/mcp\n",
                  "b.conf: this server is declared in a.conf already" },
                { "URL=https://x.example\n", "URL=https://x.example/\n", "declared in a.conf" },
                { "URL=https://x.example/mcp\n", "URL=https://x.example/mcp?a=b\n", NULL },
                { "URL=https://x.example/mcp\n", "URL=https://x.example/mcp\nAccount=two\n", NULL },
                { "URL=https://x.example/\nIssuer=https://i.example\nClientId=c\n",
                  "URL=https://y.example/\nIssuer=https://i.example\nClientId=c\n"
                  "ClientSecretFile=/s\n",
                  "b.conf: the client c has another ClientSecretFile= in a.conf" },
                { "URL=https://x.example/\nIssuer=https://i.example\nClientId=c\n"
                  "ClientSecretFile=/s\n",
                  "URL=https://y.example/\nIssuer=https://i.example\nClientId=c\n"
                  "ClientSecretFile=/s\n",
                  NULL },
                { "URL=https://x.example/\nIssuer=https://i.example\nClientId=c\n"
                  "ClientSecretFile=/s\n",
                  "URL=https://y.example/\nIssuer=https://j.example\nClientId=c\n", NULL },
        };

        for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
                AUTO_DECLARED struct declared d = DECLARED_INIT;
                struct error err = ERROR_INIT;
                char a[512], b[512];
                const char *const files[] = { "a.conf", a, "b.conf", b, NULL };
                int r;

                (void)snprintf(a, sizeof(a), "[Server]\n%s", pairs[i].a);
                (void)snprintf(b, sizeof(b), "[Server]\n%s", pairs[i].b);
                r = parse(&d, files, &err);
                if (!pairs[i].message) {
                        assert_int_equal(r, 0);
                        assert_int_equal(d.n, 2);
                        continue;
                }
                assert_int_equal(r, -EINVAL);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                if (!strstr(err.message, pairs[i].message))
                        fail_msg("%zu: %s", i, err.message);
        }
}

static void too_many_scopes_are_refused(void **state) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        AUTO_BUF struct buf text = BUF_INIT;
        struct error err = ERROR_INIT;

        assert_int_equal(buf_append_str(&text, "[Server]\nURL=https://a.example/\n"), 0);
        for (unsigned i = 0; i < LIMIT_SCOPES; i++)
                assert_int_equal(buf_printf(&text, "Scope=s%u\n", i), 0);
        assert_int_equal(parse_one(&d, text.data, &err), 0);
        declared_done(&d);
        assert_int_equal(buf_append_str(&text, "Scope=more\n"), 0);
        assert_int_equal(parse_one(&d, text.data, &err), -EINVAL);
}

/* --- Secrets --------------------------------------------------------------------------------- */

static void write_secret(const char *path, const void *data, size_t len, mode_t mode) {
        AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, data, len), (ssize_t)len);
        assert_int_equal(fchmod(fd, mode), 0);
}

static int open_and_read(struct declared_server *s, uid_t owner, struct error *err) {
        AUTO_CLOSE int fd = -1;
        int r = declared_open_secret(s, owner, &fd, err);

        return r < 0 ? r : declared_read_secret(s, fd, err);
}

static void assert_secret_fault(struct declared_server *s, uid_t owner, const char *message) {
        struct error err = ERROR_INIT;

        assert_int_equal(open_and_read(s, owner, &err), -EINVAL);
        assert_int_equal(err.code, MCPB_BAD_CONFIG);
        if (!strstr(err.message, WORK ":7: ClientSecretFile=") || !strstr(err.message, message))
                fail_msg("%s", err.message);
        assert_null(strstr(err.message, "s3cret"));
}

static void a_secret_is_the_first_line_of_a_file_of_ones_own(void **state) {
        static const struct {
                const char *text;
                size_t len;
                const char *fault; /* NULL: it is "s3cret" */
        } texts[] = {
                { "s3cret", 6, NULL },
                { "s3cret\n", 7, NULL },
                { "s3cret\r\nmore\n", 13, NULL },
                { "", 0, "first line is empty" },
                { "\ns3cret\n", 8, "first line is empty" },
                { "s3\0cret", 7, "control characters" },
                { "s3cret\x1b[0m", 10, "control characters" },
        };
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        char file[] = WORK;
        struct declared_server s = { .file = file, .secret_line = 7 };

        s.secret_file = (char *)(uintptr_t)tmp_path(path, tmp, "secret");
        assert_secret_fault(&s, geteuid(), "No such file");
        for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
                struct error err = ERROR_INIT;

                write_secret(path, texts[i].text, texts[i].len, 0600);
                if (texts[i].fault) {
                        assert_secret_fault(&s, geteuid(), texts[i].fault);
                        continue;
                }
                assert_int_equal(open_and_read(&s, geteuid(), &err), 0);
                assert_string_equal(s.secret, "s3cret");
                s.secret = str_wipe_free(s.secret);
        }
        (void)tmp_free(tmp);
}

static void a_key_is_the_whole_file(void **state) {
        static const char pem[] = "-----BEGIN PRIVATE KEY-----\nMC4\n-----END PRIVATE KEY-----\n";
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        char file[] = WORK;
        struct declared_server s = { .file = file, .secret_line = 7, .secret_is_key = true };
        struct error err = ERROR_INIT;

        s.secret_file = (char *)(uintptr_t)tmp_path(path, tmp, "key");
        write_secret(path, pem, sizeof(pem) - 1, 0600);
        assert_int_equal(open_and_read(&s, geteuid(), &err), 0);
        assert_string_equal(s.secret, pem);
        s.secret = str_wipe_free(s.secret);
        write_secret(path, "", 0, 0600);
        assert_int_equal(open_and_read(&s, geteuid(), &err), -EINVAL);
        write_secret(path, pem, sizeof(pem), 0600); /* with the NUL */
        assert_int_equal(open_and_read(&s, geteuid(), &err), -EINVAL);
        assert_non_null(strstr(err.message, WORK ":7: ClientKeyFile="));
        (void)tmp_free(tmp);
}

static void a_secret_that_others_can_have_is_refused(void **state) {
        static const mode_t modes[] = { 0640, 0604, 0620, 0602, 0644 };
        char *tmp = tmp_new();
        char path[TMP_PATH_MAX];
        char other[TMP_PATH_MAX];
        char file[] = WORK;
        struct declared_server s = { .file = file, .secret_line = 7 };

        s.secret_file = (char *)(uintptr_t)tmp_path(path, tmp, "secret");
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
                write_secret(path, "s3cret", 6, modes[i]);
                assert_secret_fault(&s, geteuid(), "others can read or write it");
        }
        write_secret(path, "s3cret", 6, 0600);
        assert_secret_fault(&s, geteuid() + 1, "belongs to somebody else");
        assert_int_equal(symlink(path, tmp_path(other, tmp, "link")), 0);
        s.secret_file = other;
        assert_secret_fault(&s, geteuid(), "is a symbolic link");
        assert_int_equal(mkfifo(tmp_path(other, tmp, "pipe"), 0600), 0);
        assert_secret_fault(&s, geteuid(), "is not a regular file");
        (void)tmp_free(tmp);
}

/* --- Memory ---------------------------------------------------------------------------------- */

static int read_everything(void *userdata) {
        AUTO_DECLARED struct declared d = DECLARED_INIT;
        struct error err = ERROR_INIT;
        const char *const files[] = { "a.conf", everything, "b.conf",
                                      "[Server]\nURL=https://b.example/\nAccount=robot\n", NULL };

        return parse(&d, files, &err);
}

static void out_of_memory_at_any_point_leaves_nothing_behind(void **state) {
        assert_true(oom_sweep(read_everything, NULL) > 20);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(every_key_is_read),
                cmocka_unit_test(a_url_is_enough_and_the_file_gives_the_name),
                cmocka_unit_test(what_is_wrong_is_refused_with_file_and_line),
                cmocka_unit_test(what_needs_no_person_is_read),
                cmocka_unit_test(what_is_sent_along_is_read_and_bounded),
                cmocka_unit_test(what_is_sent_along_is_no_memory_of_jansson),
                cmocka_unit_test(a_file_name_that_is_no_name_needs_one),
                cmocka_unit_test(a_later_file_of_the_same_name_counts_and_an_empty_one_takes_back),
                cmocka_unit_test(two_files_must_not_speak_of_one_server),
                cmocka_unit_test(too_many_scopes_are_refused),
                cmocka_unit_test(a_secret_is_the_first_line_of_a_file_of_ones_own),
                cmocka_unit_test(a_key_is_the_whole_file),
                cmocka_unit_test(a_secret_that_others_can_have_is_refused),
                cmocka_unit_test(out_of_memory_at_any_point_leaves_nothing_behind),
        };

        return cmocka_run_group_tests_name("declared", tests, NULL, NULL);
}
