/* SPDX-License-Identifier: Apache-2.0 */
/* What the supervisor opens before anybody else runs: state, socket, configuration. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "daemon/supervisor.h"
#include "os/file.h"
#include "os/io.h"
#include "os/paths.h"
#include "os/sock.h"
#include "policy/policy.h"

#define DYING_MSEC 2000
#define DYING_STEP_MSEC 20

static char *join(const char *dir, const char *name) {
        AUTO_BUF struct buf b = BUF_INIT;

        return buf_printf(&b, "%s/%s", dir, name) < 0 ? NULL : buf_steal(&b);
}

static int read_layer(struct config_files *files, const char *dir, uid_t owner, unsigned layer,
                      struct error *err) {
        AUTO_FREE char *path = join(dir, "mcp-broker.conf");

        return path ? config_read_file(files, path, owner, layer, err) : error_oom(err);
}

/*
 * Who owns our program could replace it, so what came with it is believed as much: root's, or what
 * a user has installed for herself.
 */
static uid_t installed_by(void) {
        struct stat st;

        return stat("/proc/self/exe", &st) == 0 ? st.st_uid : 0;
}

static int read_all(const struct options *o, struct configuration *c, struct error *err) {
        AUTO_FREE char *user = o->config_dir ? strdup(o->config_dir) : path_config_dir();
        AUTO_FREE char *vendor_policy = join(o->vendor_dir, "policy.d");
        AUTO_FREE char *user_policy = user ? join(user, "policy.d") : NULL;
        AUTO_FREE char *vendor_servers = join(o->vendor_dir, "servers.d");
        AUTO_FREE char *user_servers = user ? join(user, "servers.d") : NULL;
        const char *const policy_dirs[] = { vendor_policy, MCPB_SYSCONFDIR "/policy.d" };
        const char *const server_dirs[] = { vendor_servers, MCPB_SYSCONFDIR "/servers.d" };
        /* An uninstalled tree belongs to who runs it. */
        uid_t vendor_owner = streq(o->vendor_dir, MCPB_VENDORDIR) ? installed_by() : getuid();
        int r;

        if (!user || !vendor_policy || !user_policy || !vendor_servers || !user_servers)
                return error_oom(err);
        r = read_layer(&c->config, o->vendor_dir, vendor_owner, 0, err);
        if (r == 0)
                r = read_layer(&c->config, MCPB_SYSCONFDIR, 0, 1, err);
        if (r == 0)
                r = read_layer(&c->config, user, getuid(), 2, err);
        if (r == 0)
                r = config_read_dirs(&c->policy, policy_dirs, ARRAY_SIZE(policy_dirs), vendor_owner,
                                     POLICY_SYSTEM, err);
        if (r == 0)
                r = config_read_dir(&c->policy, user_policy, getuid(), POLICY_USER, err);
        if (r == 0)
                r = config_read_dirs(&c->servers, server_dirs, ARRAY_SIZE(server_dirs),
                                     vendor_owner, 1, err);
        if (r == 0)
                r = config_read_dir(&c->servers, user_servers, getuid(), 2, err);
        return r;
}

/* What they say is judged here, where a fault can still end the start; the keeper reads the secrets
 * behind the descriptors. */
static int open_secrets(struct configuration *c, struct error *err) {
        AUTO_DECLARED struct declared declared = DECLARED_INIT;
        int r = declared_parse(&declared, &c->servers, err);

        if (r == 0)
                r = configuration_check_servers(&declared, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < c->servers.n; i++)
                c->secret_fds[i] = -1;
        c->n_secret_fds = c->servers.n;
        for (size_t i = 0; i < declared.n && r == 0; i++)
                r = declared_open_secret(&declared.items[i], getuid(),
                                         &c->secret_fds[declared.items[i].index], err);
        return r;
}

int supervisor_read_config(const struct options *o, struct configuration *c, struct error *err) {
        int r = read_all(o, c, err);

        return r < 0 ? r : open_secrets(c, err);
}

static int open_log(struct supervisor_files *f, struct error *err) {
        AUTO_FREE char *dir = join(f->state_dir, "audit");
        AUTO_CLOSE int dirfd = -1;
        struct stat st;
        int r = dir ? dir_open_private(dir, &dirfd, err) : error_oom(err);

        if (r < 0)
                return r;
        f->audit_fd = openat(dirfd, "audit.log",
                             O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (f->audit_fd < 0 || fstat(f->audit_fd, &st) < 0 || !S_ISREG(st.st_mode) ||
            st.st_uid != getuid() || fsync(dirfd) < 0)
                return error_set(
                        err, MCPB_AUDIT_UNAVAILABLE, errno ? errno : EPERM,
                        "It must be a regular file of yours; move it away to begin a new one",
                        "The audit log %s/audit.log cannot be opened: %s", dir, strerror(errno));
        return 0;
}

static int open_state(const struct options *o, struct supervisor_files *f, struct error *err) {
        AUTO_FREE char *store = NULL;
        int r;

        f->state_dir = o->state_dir ? strdup(o->state_dir) : path_state_dir();
        store = f->state_dir ? join(f->state_dir, "store") : NULL;
        if (!store)
                return error_oom(err);
        r = dir_open_private(f->state_dir, &f->state_fd, err);
        if (r == 0)
                r = file_lock(f->state_fd, "lock", &f->lock_fd, err);
        if (r == 0)
                r = dir_open_private(store, &f->store_fd, err);
        if (r == 0)
                r = open_log(f, err);
        return r;
}

/* The lock of the state is ours. Where somebody listens all the same it may be a keeper whose
 * supervisor was killed, and that is just dying: it gets a moment. */
static int listen_soon(struct supervisor_files *f, struct error *err) {
        for (unsigned i = 0;; i++) {
                int r = sock_listen_unix(f->socket, &f->listener_fds[0], err);

                if (r >= 0 || err->code != MCPB_EXISTS || i == DYING_MSEC / DYING_STEP_MSEC)
                        return r;
                (void)poll(NULL, 0, DYING_STEP_MSEC);
        }
}

static int open_listeners(const struct options *o, struct supervisor_files *f, struct error *err) {
        int n = sd_listen_fds(1);

        if (n > (int)ARRAY_SIZE(f->listener_fds))
                return error_set(err, MCPB_BAD_CONFIG, E2BIG, "Use fewer sockets in the unit",
                                 "systemd passed %d sockets", n);
        for (int i = 0; i < n; i++) {
                int fd = SD_LISTEN_FDS_START + i;

                if (sd_is_socket(fd, AF_UNIX, SOCK_STREAM, 1) <= 0)
                        return error_set(
                                err, MCPB_BAD_CONFIG, EINVAL, "Use ListenStream= with a path",
                                "Descriptor %d from systemd is no listening UNIX stream socket",
                                fd);
                if (fd_set_nonblock(fd) < 0 || sock_set_passcred(fd) < 0)
                        return error_fallback(err, -errno, "preparing a socket");
                f->listener_fds[f->n_listeners++] = fd;
                f->inherited = true;
        }
        f->socket = o->socket ? strdup(o->socket) : path_socket();
        if (!f->socket)
                return error_oom(err);
        if (f->inherited)
                return 0;
        if (listen_soon(f, err) < 0)
                return -EIO;
        f->n_listeners = 1;
        return 0;
}

/* What does not parse is said here, before anything is opened; the keeper reads the same bytes
 * again. */
int supervisor_apply_config(const struct config_files *files, struct error *err) {
        struct config c = { 0 };
        int r = config_parse(&c, files, err);

        if (r == 0)
                log_open("mcp-brokerd", c.log_level);
        config_done(&c);
        return r;
}

int supervisor_open(const struct options *o, struct supervisor_files *f, struct error *err) {
        int r;

        *f = (struct supervisor_files){
                .state_fd = -1, .store_fd = -1, .lock_fd = -1, .audit_fd = -1
        };
        r = supervisor_read_config(o, &f->configuration, err);
        if (r == 0)
                r = supervisor_apply_config(&f->configuration.config, err);
        if (r == 0)
                r = open_state(o, f, err);
        if (r == 0)
                r = open_listeners(o, f, err);
        return r;
}

void supervisor_files_done(struct supervisor_files *f) {
        const int fds[] = { f->state_fd, f->store_fd, f->audit_fd, f->lock_fd };

        /* The lock last: who gets it next makes a socket of this name. */
        if (f->n_listeners > 0 && !f->inherited)
                (void)unlink(f->socket);
        for (size_t i = 0; i < f->n_listeners; i++)
                (void)close(f->listener_fds[i]);
        for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
                if (fds[i] >= 0)
                        (void)close(fds[i]);
        configuration_done(&f->configuration);
        free(f->state_dir);
        free(f->socket);
}
