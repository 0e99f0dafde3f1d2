/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/doctor.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/codec.h"
#include "cli/standing.h"
#include "os/io.h"
#include "program/program.h"

#define METADATA_ADDRESS "169.254.169.254" /* of AWS, Azure and Google Cloud alike */
#define METADATA_PORT 80
#define PROBE_MSEC 1000

/* --- the metadata service -------------------------------------------------------------------- */

/* A connection and not one byte: what is there is not asked for anything. */
static int try_metadata(void) {
        struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(METADATA_PORT) };
        AUTO_CLOSE int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct pollfd p = { .fd = fd, .events = POLLOUT };
        int error = 0;
        socklen_t len = sizeof(error);
        int n;

        if (fd < 0 || inet_pton(AF_INET, METADATA_ADDRESS, &to.sin_addr) != 1)
                return -errno;
        if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0)
                return 0;
        if (errno != EINPROGRESS)
                return -errno;
        n = poll(&p, 1, PROBE_MSEC);
        if (n <= 0)
                return n == 0 ? -ETIMEDOUT : -errno;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                return -errno;
        return -error;
}

static json_t *probe_metadata(void) {
        int r = try_metadata();

        return json_pack("{s:s, s:b, s:s*}", "address", METADATA_ADDRESS, "reachable", r == 0,
                         "reason", r < 0 ? strerror(-r) : NULL);
}

static void print_metadata(const json_t *metadata) {
        const char *reason = json_get_string(metadata, "reason");

        (void)printf("Metadata:  ");
        if (!metadata)
                (void)printf("not tried (--probe does)\n");
        else if (json_get_bool(metadata, "reachable", false))
                (void)printf("%s answers this user: each program of this user can have the "
                             "identity of the machine\n"
                             "           A rule of the firewall keeps others out: "
                             "mcp-broker-identities(5)\n",
                             METADATA_ADDRESS);
        else
                (void)printf("%s is not reached by this user (%s)\n", METADATA_ADDRESS,
                             reason ? reason : "?");
}

/* --- what the daemon says -------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *name) {
        const char *text = json_get_string(object, name);

        return text ? text : "?";
}

static void print_identity(const json_t *item) {
        const json_t *missing = json_object_get(item, "missing");
        const json_t *what;
        size_t i;

        (void)printf("  %-20s %s (%s)\n", text_of(item, "provider"), text_of(item, "platform"),
                     text_of(item, "because"));
        json_array_foreach(missing, i, what)
                (void)printf("%s%s", i == 0 ? "                       missing: " : ", ",
                             json_string_value(what) ? json_string_value(what) : "?");
        if (i > 0)
                (void)printf("\n                       %s\n", text_of(item, "remedy"));
}

static void print_identities(const json_t *list) {
        const json_t *item;
        size_t i;

        if (json_array_size(list) == 0) {
                (void)printf("Nothing here offers an identity; a command or a file can "
                             "(mcp-broker-identities(5)).\n");
                return;
        }
        (void)printf("Identities that are offered here; each is used where configuration names "
                     "it:\n");
        json_array_foreach(list, i, item)
                print_identity(item);
}

static void print_server(const json_t *server) {
        const json_t *error = json_object_get(server, "last_error");
        const char *identity = json_get_string(server, "identity");
        const char *hint = json_get_string(error, "hint");
        long left = (long)json_get_int(server, "expires_in", -1);
        long held = (long)json_get_int(server, "held", 0);
        char duration[32];

        (void)printf("  %s: %s", text_of(server, "name"), text_of(server, "state"));
        if (left >= 0) {
                duration_format(duration, sizeof(duration), left);
                (void)printf(", its token has %s left", duration);
        }
        (void)printf("\n    Present=%s%s%s\n", text_of(server, "present"),
                     identity ? ", Identity=" : "", identity ? identity : "");
        if (!error)
                return;
        (void)printf("    %s\n", text_of(error, "message"));
        if (hint)
                (void)printf("    %s\n", hint);
        if (held > 0) {
                duration_format(duration, sizeof(duration), held);
                (void)printf("    Not tried again before %s, or mcp-brokerctl reload\n", duration);
        }
}

static void print_servers(const json_t *servers) {
        const json_t *server;
        size_t i;

        (void)printf("Servers that need no person:\n");
        if (!servers)
                (void)printf("  not known while it is locked: mcp-brokerctl unlock\n");
        else if (json_array_size(servers) == 0)
                (void)printf("  none: mcp-broker-servers(5)\n");
        json_array_foreach(servers, i, server)
                print_server(server);
}

/* Those of server.list that no person logs in to; NULL: out of memory. */
static json_t *without_person(const json_t *servers) {
        AUTO_JSON json_t *list = json_array();
        json_t *server;
        size_t i;

        if (!list)
                return NULL;
        json_array_foreach(servers, i, server) {
                const char *present = json_get_string(server, "present");

                if (present && !streq(present, "browser") && json_array_append(list, server) < 0)
                        return NULL;
        }
        return TAKE(list);
}

/* --- all of it ------------------------------------------------------------------------------- */

bool doctor_is_locked(const char *status) {
        AUTO_JSON json_t *value = NULL;

        return json_parse(status, strlen(status), 16, &value, NULL) == 0 &&
               json_get_bool(value, "locked", false);
}

static int print_json(json_t *answer) {
        AUTO_BUF struct buf b = BUF_INIT;

        if (json_write(&b, answer) < 0)
                return 1;
        (void)printf("%s\n", b.data);
        return 0;
}

static void print_text(const json_t *answer) {
        (void)printf("mcp-brokerd %s, %s\n", text_of(answer, "version"),
                     json_get_bool(answer, "locked", false) ? "LOCKED" : "serving");
        standing_print_store(json_object_get(answer, "store"));
        print_metadata(json_object_get(answer, "metadata_service"));
        print_identities(json_object_get(answer, "identities"));
        print_servers(json_object_get(answer, "servers"));
        standing_print_processes(json_object_get(answer, "processes"));
}

/* What is of interest here out of both answers. */
static int collect(const json_t *status, const json_t *servers, json_t **ret) {
        static const char *const members[] = { "version", "locked", "store", "processes",
                                               "identities" };
        AUTO_JSON json_t *answer = json_pack("{s:i}", "format", 1);

        if (!answer)
                return -ENOMEM;
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                json_t *member = json_object_get(status, members[i]);

                if (member && json_object_set(answer, members[i], member) < 0)
                        return -ENOMEM;
        }
        if (servers && json_object_set_new(answer, "servers", without_person(servers)) < 0)
                return -ENOMEM;
        *ret = TAKE(answer);
        return 0;
}

int doctor_print(const char *status, const char *servers, bool json, bool probe) {
        AUTO_JSON json_t *state = NULL;
        AUTO_JSON json_t *list = NULL;
        AUTO_JSON json_t *answer = NULL;
        const json_t *all;

        if (json_parse(status, strlen(status), 16, &state, NULL) < 0 ||
            (servers && json_parse(servers, strlen(servers), 16, &list, NULL) < 0))
                return 1;
        all = json_is_array(list) ? list : json_object_get(list, "servers");
        if (collect(state, all, &answer) < 0)
                return 1;
        if (probe && json_object_set_new(answer, "metadata_service", probe_metadata()) < 0)
                return 1;
        if (json)
                return print_json(answer);
        print_text(answer);
        return 0;
}
