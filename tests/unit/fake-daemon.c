/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include "fake-daemon.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

void fake_init(struct fake *f) {
        struct sockaddr_un sa = { .sun_family = AF_UNIX };

        *f = (struct fake){ .listener = -1 };
        (void)snprintf(f->dir, sizeof(f->dir), "/tmp/mcpb-client-XXXXXX");
        assert_non_null(mkdtemp(f->dir));
        (void)snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
        (void)snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", f->path);
        f->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        assert_int_equal(bind(f->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
        assert_int_equal(listen(f->listener, 16), 0);
}

void fake_run(struct fake *f, fake_script script) {
        f->pid = fork();
        assert_true(f->pid >= 0);
        if (f->pid == 0) {
                (void)alarm(30); /* a test that hangs is a test that fails */
                script(f);
                _exit(0);
        }
}

int fake_end(struct fake *f) {
        int status = -1;

        if (f->pid > 0)
                assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
        f->pid = 0;
        return status;
}

void fake_done(struct fake *f) {
        (void)fake_end(f);
        if (f->listener >= 0)
                (void)close(f->listener);
        (void)unlink(f->path);
        (void)rmdir(f->dir);
}

int fake_accept(struct fake *f) {
        int fd = accept(f->listener, NULL, NULL);

        require(fd >= 0);
        return fd;
}

void fake_say(int fd, const char *text) {
        require(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

json_t *fake_read(int fd) {
        AUTO_BUF struct buf line = BUF_INIT;
        json_t *m;
        char c;

        while (recv(fd, &c, 1, 0) == 1 && c != '\n')
                require(buf_append(&line, &c, 1) == 0);
        if (line.len == 0)
                return NULL;
        m = json_loadb(line.data, line.len, 0, NULL);
        require(m);
        return m;
}

int fake_accept_open(struct fake *f) {
        int fd = fake_accept(f);
        AUTO_JSON json_t *m = NULL;

        fake_say(fd, "{\"jsonrpc\":\"2.0\",\"method\":\"hello\",\"params\":{\"protocol\":1,"
                     "\"version\":\"0.1.0\",\"nonce\":\"N0nce\"}}\n");
        m = fake_read(fd);
        require(m && streq(json_get_string(m, "method"), "session.open"));
        require(streq(json_get_string(json_object_get(m, "params"), "nonce"), "N0nce"));
        fake_say(fd,
                 "{\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{\"protocol\":1,\"manage\":true}}\n");
        return fd;
}

json_t *fake_serve(int fd, const char *method, const char *answer) {
        AUTO_JSON json_t *m = fake_read(fd);
        AUTO_BUF struct buf out = BUF_INIT;

        require(m && streq(json_get_string(m, "jsonrpc"), "2.0"));
        require(streq(json_get_string(m, "method"), method));
        if (answer) {
                require(buf_printf(&out, "{\"jsonrpc\":\"2.0\",\"id\":%lld,%s}\n",
                                   (long long)json_get_int(m, "id", -1), answer) == 0);
                fake_say(fd, out.data);
        }
        return json_incref(json_object_get(m, "params"));
}

void fake_expect_end(int fd) {
        char c;

        require(recv(fd, &c, 1, 0) <= 0);
}

/* --- the client's side --- */

struct fake fake;

int fake_setup(void **state) {
        fake_init(&fake);
        return 0;
}

int fake_teardown(void **state) {
        fake_done(&fake);
        return 0;
}

mcpb_options fake_options(void) {
        mcpb_options o = MCPB_OPTIONS_INIT;

        o.socket_path = fake.path;
        o.client_name = "test-client";
        o.timeout_msec = 20000;
        return o;
}

mcpb_client *fake_client(void) {
        mcpb_options o = fake_options();
        mcpb_error err = MCPB_ERROR_INIT;
        mcpb_client *c = NULL;

        if (mcpb_client_new(&o, &c, &err) < 0)
                fail_msg("%s: %s", err.code, err.message);
        return c;
}

mcpb_client *fake_talk(fake_script script) {
        fake_run(&fake, script);
        return fake_client();
}

void fake_over(mcpb_client *c) {
        (void)mcpb_client_free(c);
        assert_int_equal(fake_end(&fake), 0);
}

void check_text(int r, char **text, const char *want) {
        assert_int_equal(r, 0);
        assert_string_equal(*text, want);
        *text = mcpb_text_free(*text);
}
