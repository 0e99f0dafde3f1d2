/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SPIFFE: what the agent of the machine (SPIRE's and others) says that this process is. "spiffe" is
 * a token (JWT-SVID), "spiffe:x509" a key with certificates (X509-SVID). Both come over the
 * Workload API, gRPC on a UNIX socket; the latter also from a folder that somebody keeps up to
 * date. An agent knows us by our process, so that the order is carried out by one of our own.
 */
#include "identity/grpc.h"
#include "identity/provider.h"
#include "jose/cert.h"

#define ID_PREFIX "spiffe://"
#define ID_MAX 2048
#define URL "http://localhost/SpiffeWorkloadAPI/"
#define BUNDLE "credential-bundle.private-key.pem"
/* The certificates of other trust domains come along. */
#define X509_BODY_MAX (GRPC_MESSAGE_MAX + GRPC_FRAME_HEAD_BYTES)
/* An entry that was made takes some seconds to reach the agent. */
#define ENTRY_USEC (2 * USEC_PER_SEC)
#define HINT_AGENT "See that the SPIFFE agent is running, and that its socket is the right one"
#define HINT_SOCKET "Give it as unix:///run/spire/agent.sock"
#define HINT_BROKEN "Look at what answers there: it is no SPIFFE agent, or a broken one"

struct spiffe {
        bool folder; /* not the socket */
};

/* One SVID as the agent gives it. For a token there is no key. */
struct svid {
        const uint8_t *id;
        size_t n_id;
        const uint8_t *body; /* token, or certificates */
        size_t n_body;
        const uint8_t *key;
        size_t n_key;
        const uint8_t *hint;
        size_t n_hint;
};

/* --- what is configured ----------------------------------------------------------------------- */

static bool is_id(const char *text) {
        size_t len = strlen(text);

        for (size_t k = 0; k < len; k++)
                if (text[k] <= 0x20 || text[k] > 0x7e)
                        return false;
        return strncmp(text, ID_PREFIX, strlen(ID_PREFIX)) == 0 && len > strlen(ID_PREFIX) &&
               len <= ID_MAX;
}

/* "unix:///run/x", with no host and nothing behind it. NULL: it is no such. */
static const char *path_of(const char *socket) {
        static const char scheme[] = "unix://";

        if (strncmp(socket, scheme, strlen(scheme)) != 0)
                return NULL;
        socket += strlen(scheme);
        return socket[0] == '/' && socket[1] && !strpbrk(socket, "?#%") ? socket : NULL;
}

static int check(const struct identity_config *c, struct error *err) {
        const char *id = identity_config_get(c, "id");
        const char *socket = identity_config_get(c, "socket");
        const char *folder = identity_config_get(c, "folder");

        if (id && !is_id(id))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "A SPIFFE ID is like spiffe://example.org/agent",
                                 "'%.64s' is no SPIFFE ID (identity provider '%s')", id,
                                 c->provider);
        if (socket && !path_of(socket) && socket[0] != '/')
                return error_set(err, MCPB_BAD_CONFIG, EINVAL, HINT_SOCKET,
                                 "'%.64s' is no UNIX socket (identity provider '%s')", socket,
                                 c->provider);
        if (folder && (folder[0] != '/' || socket))
                return error_set(err, MCPB_BAD_CONFIG, EINVAL,
                                 "Give an absolute path, and no socket beside it",
                                 "The folder of the identity provider '%s' is not to be used",
                                 c->provider);
        return 0;
}

static const char *folder_of(const struct identity *i) {
        const char *folder = identity_config_get(&i->config, "folder");

        return folder ? folder : identity_env_get(i->env, "SPIFFE_CREDENTIAL_FOLDER");
}

/* NULL and @err: none, or one that cannot be called. */
static const char *socket_of(const struct identity *i, struct error *err) {
        const char *socket = identity_config_get(&i->config, "socket");
        const char *path;

        if (socket && socket[0] == '/')
                return socket;
        if (!socket)
                socket = identity_need_env(i, "SPIFFE_ENDPOINT_SOCKET",
                                           "Name the agent's socket: socket=", err);
        path = socket ? path_of(socket) : NULL;
        if (socket && !path)
                (void)identity_fault(i, err, EINVAL, HINT_SOCKET,
                                     "SPIFFE_ENDPOINT_SOCKET is no UNIX socket: '%.128s'", socket);
        return path;
}

static int begin_token(struct identity *i, struct error *err) {
        return socket_of(i, err) ? 0 : -EINVAL;
}

static int begin_x509(struct identity *i, struct error *err) {
        struct spiffe *s = i->state;
        const char *folder = folder_of(i);

        s->folder = identity_config_get(&i->config, "folder") ||
                    (folder && !identity_config_get(&i->config, "socket") &&
                     !identity_env_get(i->env, "SPIFFE_ENDPOINT_SOCKET"));
        if (s->folder && folder[0] != '/')
                return identity_fault(i, err, EINVAL, "Give it as an absolute path",
                                      "SPIFFE_CREDENTIAL_FOLDER is no path of a folder");
        return s->folder ? 0 : begin_token(i, err);
}

/* --- what is asked ---------------------------------------------------------------------------- */

static int add_frame(struct identity *i, const struct buf *message) {
        struct fetch_request *f = &i->step.order.fetch;
        int r = fetch_request_add_header(f, "Content-Type", "application/grpc");

        /* Without it the agent refuses: a request that somebody was led to make has none. */
        if (r == 0)
                r = fetch_request_add_header(f, "workload.spiffe.io", "true");
        i->hint = HINT_AGENT;
        return r < 0 ? r : grpc_append_frame(&f->body, message->data, message->len);
}

static int ask_token(struct identity *i, struct error *err) {
        const char *id = identity_config_get(&i->config, "id");
        const char *path = socket_of(i, err);
        AUTO_BUF struct buf message = BUF_INIT;
        int r;

        if (!path)
                return -EINVAL;
        r = identity_ask_call(i, path, URL "FetchJWTSVID", "asking %s for a token", path);
        for (size_t k = 0; k < i->n_audiences && r == 0; k++)
                r = proto_append_bytes(&message, 1, i->audiences[k], strlen(i->audiences[k]));
        if (r == 0 && id)
                r = proto_append_bytes(&message, 2, id, strlen(id));
        return r < 0 ? r : add_frame(i, &message);
}

static int ask_folder(struct identity *i) {
        AUTO_BUF struct buf path = BUF_INIT;
        int r = buf_printf(&path, "%s/" BUNDLE, folder_of(i));

        return r < 0 ? r
                     : identity_ask_read(i, path.data, ORDER_RULES_SECRET, "reading %s", path.data);
}

static int ask_x509(struct identity *i, struct error *err) {
        const struct spiffe *s = i->state;
        const struct buf nothing = BUF_INIT;
        const char *path;
        int r;

        if (s->folder)
                return ask_folder(i);
        path = socket_of(i, err);
        if (!path)
                return -EINVAL;
        r = identity_ask_call(i, path, URL "FetchX509SVID", "asking %s for a certificate", path);
        /* More messages follow when something changes: this one is enough. */
        i->step.order.first_message = true;
        i->step.order.fetch.body_max = X509_BODY_MAX;
        i->body_max = X509_BODY_MAX;
        return r < 0 ? r : add_frame(i, &nothing);
}

/* --- what comes ------------------------------------------------------------------------------- */

static const char *hint_for(enum grpc_status status) {
        switch ((unsigned)status) {
        case GRPC_INVALID_ARGUMENT:
                return "See that id= is the SPIFFE ID of this workload";
        case GRPC_PERMISSION_DENIED:
                return "Register this workload at the SPIFFE server: the agent knows no entry "
                       "whose selectors fit the daemon (or none with the id= that is asked for)";
        case GRPC_UNIMPLEMENTED:
                return "The agent does not serve this: update it";
        default:
                return HINT_AGENT;
        }
}

static int refused(struct identity *i, enum grpc_status status, const char *said,
                   struct error *err) {
        char text[IDENTITY_SAID_MAX + 1] = "";
        int r = -EAGAIN;

        if (status == GRPC_PERMISSION_DENIED)
                r = identity_repeat(i, ENTRY_USEC);
        else if (status == GRPC_UNAVAILABLE || status == GRPC_RESOURCE_EXHAUSTED ||
                 status == GRPC_DEADLINE_EXCEEDED)
                r = identity_repeat(i, 0);
        if (r != -EAGAIN)
                return r;
        if (said)
                identity_said(said, text);
        return identity_fault(i, err, EPROTO, hint_for(status), "refused with %s%s%s",
                              grpc_status_name(status), text[0] ? ": " : "", text);
}

static int broken(const struct identity *i, const char *what, struct error *err) {
        return identity_fault(i, err, EBADMSG, HINT_BROKEN, "what came %s", what);
}

/* The one message of an answer. 1: it is there; 0: the step is repeated. */
static int take_message(struct identity *i, const struct fetch_answer *a, bool stream,
                        struct proto_reader *ret, struct error *err) {
        const char *type = fetch_answer_header(a, "content-type");
        AUTO_WIPE_STR char *said = NULL;
        enum grpc_status status = GRPC_OK;
        const uint8_t *message = NULL;
        size_t len = 0;
        size_t used = 0;
        int has_status;
        int has_message;

        if (a->status != 200 || !type || strncmp(type, "application/grpc", 16) != 0)
                return broken(i, "is no answer of gRPC", err);
        has_status = grpc_answer_status(a, &status, &said);
        if (has_status == -ENOMEM)
                return error_oom(err);
        if (has_status == 0 && status != GRPC_OK)
                return refused(i, status, said, err);
        has_message = grpc_first_frame(a->body.data, a->body.len, &message, &len, &used);
        /* What is cut off behind its first message has no status. */
        if (has_message < 0 || (has_status < 0 && !stream) || used != a->body.len)
                return broken(i, "is no whole answer", err);
        *ret = proto_reader_of(message, len);
        return 1;
}

static int read_svid(const struct proto_field *message, bool x509, struct svid *ret) {
        struct proto_reader reader = proto_reader_of(message->data, message->len);
        struct proto_field f;
        struct svid v = { 0 };
        int r;

        while ((r = proto_next(&reader, &f)) > 0) {
                if (!f.is_bytes)
                        continue;
                if (f.number == 1) {
                        v.id = f.data;
                        v.n_id = f.len;
                } else if (f.number == 2) {
                        v.body = f.data;
                        v.n_body = f.len;
                } else if (f.number == 3 && x509) {
                        v.key = f.data;
                        v.n_key = f.len;
                } else if (f.number == (x509 ? 5 : 3)) {
                        v.hint = f.data;
                        v.n_hint = f.len;
                }
        }
        if (r == 0)
                *ret = v;
        return r;
}

static bool text_is(const uint8_t *data, size_t len, const char *text) {
        return len == strlen(text) && (len == 0 || memcmp(data, text, len) == 0);
}

/* The first that is the one that was asked for; what lacks a part counts as not there. */
static int choose(const struct identity *i, struct proto_reader *message, bool x509,
                  struct svid *ret, struct error *err) {
        const char *id = identity_config_get(&i->config, "id");
        const char *hint = identity_config_get(&i->config, "hint");
        struct proto_field f;
        bool found = false;
        unsigned n = 0;
        int r;

        while ((r = proto_next(message, &f)) > 0) {
                struct svid v;

                if (f.number != 1 || !f.is_bytes)
                        continue;
                r = read_svid(&f, x509, &v);
                if (r < 0)
                        break;
                if (v.n_id == 0 || v.n_body == 0 || (x509 && v.n_key == 0))
                        continue;
                n++;
                if (found || (id && !text_is(v.id, v.n_id, id)) ||
                    (hint && !text_is(v.hint, v.n_hint, hint)))
                        continue;
                *ret = v;
                found = true;
        }
        if (r < 0)
                return broken(i, "is no message of the Workload API", err);
        if (found)
                return 0;
        return identity_fault(i, err, ENOENT,
                              n == 0 ? "Register this workload at the SPIFFE server"
                                     : "See which identities it is registered for",
                              n == 0 ? "the agent has no identity for the daemon"
                                     : "none of the daemon's identities is that of id= or hint=");
}

/* What is shown says itself whose it is: that must be what the agent has said. */
static int judge_subject(const struct identity *i, const uint8_t *id, size_t len,
                         struct error *err) {
        const char *subject = i->result.subject;

        if (subject && is_id(subject) && text_is(id, len, subject))
                return 0;
        return identity_fault(i, err, EBADMSG, HINT_BROKEN,
                              "it is not for the SPIFFE ID that it came with");
}

static int on_token(struct identity *i, struct fetch_answer *a, struct error *err) {
        struct proto_reader message;
        struct svid v = { 0 };
        int r = take_message(i, a, false, &message, err);

        if (r <= 0)
                return r;
        r = choose(i, &message, false, &v, err);
        if (r == 0)
                r = identity_finish_jwt(i, (const char *)v.body, v.n_body, 0, err);
        return r < 0 ? r : judge_subject(i, v.id, v.n_id, err);
}

static int on_x509(struct identity *i, struct fetch_answer *a, struct error *err) {
        AUTO_BUF struct buf key = BUF_INIT;
        AUTO_BUF struct buf chain = BUF_INIT;
        struct proto_reader message;
        struct svid v = { 0 };
        int r = take_message(i, a, true, &message, err);

        if (r <= 0)
                return r;
        r = choose(i, &message, true, &v, err);
        if (r < 0)
                return r;
        if (buf_append(&key, v.key, v.n_key) < 0 || buf_append(&chain, v.body, v.n_body) < 0)
                return error_oom(err);
        r = identity_finish_x509(i, &key, &chain, err);
        return r < 0 ? r : judge_subject(i, v.id, v.n_id, err);
}

static int on_bundle(struct identity *i, struct buf *bytes, struct error *err) {
        const char *id = identity_config_get(&i->config, "id");
        AUTO_JOSE_KEY struct jose_key *key = NULL;
        AUTO_BUF struct buf key_der = BUF_INIT;
        AUTO_BUF struct buf chain = BUF_INIT;
        struct error why = ERROR_INIT;
        const char *text = bytes->data ? bytes->data : "";
        int r = jose_key_read(text, bytes->len, &key, &why);

        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return identity_fault(i, err, EBADMSG, why.hint, "%s", why.message);
        r = cert_chain_from_pem(text, bytes->len, &chain);
        if (r == 0)
                r = jose_key_to_der(key, &key_der);
        if (r == -ENOMEM)
                return error_oom(err);
        if (r < 0)
                return identity_fault(i, err, EBADMSG,
                                      "It should hold a key, then its certificates, in PEM",
                                      "there are no certificates that can be read");
        r = identity_finish_x509(i, &key_der, &chain, err);
        if (r < 0)
                return r;
        i->result.refresh_wall = 0; /* whoever keeps the folder does that */
        if (id && !streq_null(id, i->result.subject))
                return identity_fault(i, err, ENOENT, "See for whom the folder is kept",
                                      "it is not that of id=");
        if (!i->result.subject || !is_id(i->result.subject))
                return identity_fault(i, err, EBADMSG, "See for whom the folder is kept",
                                      "the certificate names no SPIFFE ID");
        return 0;
}

const struct identity_provider identity_spiffe = {
        .name = "spiffe",
        .options = { "socket", "id", "hint" },
        .argument = "socket",
        .kind = IDENTITY_JWT,
        .many_audiences = true,
        .state_size = sizeof(struct spiffe),
        .check = check,
        .begin = begin_token,
        .ask = ask_token,
        .on_answer = on_token,
};

const struct identity_provider identity_spiffe_x509 = {
        .name = "spiffe:x509",
        .options = { "socket", "id", "hint", "folder" },
        .argument = "socket",
        .kind = IDENTITY_X509,
        .state_size = sizeof(struct spiffe),
        .check = check,
        .begin = begin_x509,
        .ask = ask_x509,
        .on_answer = on_x509,
        .on_bytes = on_bundle,
};
