/* SPDX-License-Identifier: Apache-2.0 */
#include "identity.h"

#include "certs.h"
#include "identity/grpc.h"
#include "jose/cert.h"
#include "keys.h"
#include "oom.h"

#define ID "spiffe://example.org/ns/agents/sa/bot" /* of CERT_LEAF */
#define OTHER "spiffe://example.org/other"
#define SOCKET "SPIFFE_ENDPOINT_SOCKET=unix:///run/spire/agent.sock"
#define CLAIMS(sub, aud, exp) "{\"sub\":\"" sub "\",\"aud\":[\"" aud "\"],\"exp\":" exp "}"

/* --- what an agent says ----------------------------------------------------------------------- */

static void put(struct buf *message, uint32_t number, const void *data, size_t len) {
        if (data)
                assert_int_equal(proto_append_bytes(message, number, data, len), 0);
}

static void put_text(struct buf *message, uint32_t number, const char *text) {
        put(message, number, text, text ? strlen(text) : 0);
}

static void add_token(struct buf *message, const char *id, const char *token, const char *hint) {
        AUTO_BUF struct buf svid = BUF_INIT;

        put_text(&svid, 1, id);
        put_text(&svid, 2, token);
        put_text(&svid, 3, hint);
        put(message, 1, svid.data ? svid.data : "", svid.len);
}

struct x509 {
        struct buf chain;
        struct buf key;
};

static void x509_make(struct x509 *x, const char *certificates, const char *key) {
        AUTO_JOSE_KEY struct jose_key *k = NULL;

        *x = (struct x509){ BUF_INIT, BUF_INIT };
        assert_int_equal(cert_chain_from_pem(certificates, strlen(certificates), &x->chain), 0);
        assert_int_equal(jose_key_read(key, strlen(key), &k, NULL), 0);
        assert_int_equal(jose_key_to_der(k, &x->key), 0);
}

static void x509_done(struct x509 *x) {
        buf_done(&x->chain);
        buf_done(&x->key);
}

static void add_x509(struct buf *message, const char *id, const struct x509 *x, const char *hint) {
        AUTO_BUF struct buf svid = BUF_INIT;

        put_text(&svid, 1, id);
        put(&svid, 2, x->chain.data, x->chain.len);
        put(&svid, 3, x->key.data, x->key.len);
        put_text(&svid, 4, "the bundle of our trust domain");
        put_text(&svid, 5, hint);
        put(message, 1, svid.data, svid.len);
}

/* @status may be NULL: none, as of a stream that was cut off behind its first message. */
static void feed_grpc(struct identity *i, const struct buf *message, const char *status) {
        AUTO_ANSWER struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = 200;
        assert_int_equal(fetch_answer_add_header(&a, "content-type", "application/grpc+proto"), 0);
        if (status)
                assert_int_equal(fetch_answer_add_header(&a, "grpc-status", status), 0);
        if (message)
                assert_int_equal(grpc_append_frame(&a.body, message->data, message->len), 0);
        identity_feed_answer(i, &a, NOW);
}

static void feed_refusal(struct identity *i, const char *status, const char *said) {
        AUTO_ANSWER struct fetch_answer a;

        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = 200;
        assert_int_equal(fetch_answer_add_header(&a, "content-type", "application/grpc"), 0);
        assert_int_equal(fetch_answer_add_header(&a, "grpc-status", status), 0);
        assert_int_equal(fetch_answer_add_header(&a, "grpc-message", said), 0);
        identity_feed_answer(i, &a, NOW);
}

static void start(const char *config, struct identity_env *env, struct identity **ret) {
        static const char *const variables[] = { SOCKET, NULL };

        env_make(env, variables);
        assert_int_equal(identity_start(config, env, ret, NULL), 0);
}

static void assert_call(struct identity *i, const char *path, const char *url, const char *body) {
        const struct order *o = &step_of(i, IDENTITY_CALL)->order;
        AUTO_BUF struct buf hex = BUF_INIT;

        assert_int_equal(o->kind, ORDER_CALL);
        assert_string_equal(o->path, path);
        assert_string_equal(o->fetch.method, "POST");
        assert_string_equal(o->fetch.url, url);
        assert_int_equal(o->fetch.n_headers, 2);
        assert_string_equal(sent_header(&o->fetch, "Content-Type"), "application/grpc");
        assert_string_equal(sent_header(&o->fetch, "workload.spiffe.io"), "true");
        assert_int_equal(hex_append(&hex, o->fetch.body.data, o->fetch.body.len), 0);
        assert_string_equal(hex.data, body);
}

/* --- tokens ----------------------------------------------------------------------------------- */

static void a_token_is_asked_for_and_taken(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_of(CLAIMS(ID, AUDIENCE, "1790000300"));
        AUTO_BUF struct buf message = BUF_INIT;

        start("spiffe", &env, &i);
        /* 0, 24 bytes: field 1, 22 bytes, "https://as.example.com" */
        assert_call(i, "/run/spire/agent.sock", "http://localhost/SpiffeWorkloadAPI/FetchJWTSVID",
                    "0000000018"
                    "0a16"
                    "68747470733a2f2f61732e6578616d706c652e636f6d");
        assert_false(step_of(i, IDENTITY_CALL)->order.first_message);
        add_token(&message, ID, token, NULL);
        feed_grpc(i, &message, "0");
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_int_equal(got.kind, IDENTITY_JWT);
        assert_string_equal(got.jwt.data, token);
        assert_string_equal(got.subject, ID);
        assert_null(got.issuer);
        assert_true(got.expires_wall == NOW + MINUTES(5));
        assert_true(got.refresh_wall == NOW + MINUTES(4));
        assert_string_equal(got.provider, "spiffe");
}

static void several_audiences_and_an_id_are_in_the_request(void **state) {
        static const char *const audiences[] = { "a", "bc" };
        AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
        AUTO_IDENTITY struct identity *i = NULL;

        assert_int_equal(identity_config_parse("spiffe:/run/s,id=spiffe://x/y", &c, NULL), 0);
        assert_int_equal(identity_begin(&c, NULL, audiences, 2, NOW, &i, NULL), 0);
        assert_call(i, "/run/s", "http://localhost/SpiffeWorkloadAPI/FetchJWTSVID",
                    "0000000015"
                    "0a0161"
                    "0a026263"
                    "120c7370696666653a2f2f782f79");
}

static void the_configured_one_of_several_is_taken(void **state) {
        static const struct {
                const char *config;
                const char *subject; /* NULL: none */
        } table[] = {
                { "spiffe", ID },
                { "spiffe:id=" OTHER, OTHER },
                { "spiffe:id=" ID, ID },
                { "spiffe:hint=outside", OTHER },
                { "spiffe:hint=inside,id=" ID, ID },
                { "spiffe:hint=inside,id=" OTHER, NULL },
                { "spiffe:hint=nowhere", NULL },
                { "spiffe:id=spiffe://example.org/ns/agents/sa/bo", NULL },
        };
        AUTO_FREE char *token = token_of(CLAIMS(ID, AUDIENCE, "1790000300"));
        AUTO_FREE char *other = token_of(CLAIMS(OTHER, AUDIENCE, "1790000300"));

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf message = BUF_INIT;

                start(table[k].config, &env, &i);
                /* What lacks a part counts as not there. */
                add_token(&message, "", token, "inside");
                add_token(&message, OTHER, "", NULL);
                add_token(&message, NULL, NULL, NULL);
                add_token(&message, ID, token, "inside");
                add_token(&message, OTHER, other, "outside");
                feed_grpc(i, &message, "0");
                if (!table[k].subject) {
                        assert_failed(i, "'spiffe'", "none of the daemon's identities");
                        assert_null(strstr(identity_error(i)->hint, "Register"));
                        continue;
                }
                assert_int_equal(next_of(i), IDENTITY_DONE);
                assert_int_equal(identity_take(i, &got), 0);
                assert_string_equal(got.subject, table[k].subject);
        }
}

static void a_token_is_judged_like_any_other(void **state) {
        static const struct {
                const char *claims;
                const char *says;
        } table[] = {
                { CLAIMS(ID, "https://other.example", "1790000300"), "https://other.example" },
                { CLAIMS(ID, AUDIENCE, "1790000000"), "expired" },
                { CLAIMS(OTHER, AUDIENCE, "1790000300"), "not for the SPIFFE ID" },
                { "{\"aud\":\"" AUDIENCE "\",\"exp\":1790000300}", "not for the SPIFFE ID" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_FREE char *token = token_of(table[k].claims);
                AUTO_BUF struct buf message = BUF_INIT;

                start("spiffe", &env, &i);
                add_token(&message, ID, token, NULL);
                feed_grpc(i, &message, "0");
                assert_failed(i, "'spiffe', asking /run/spire/agent.sock for a token",
                              table[k].says);
        }
}

static void a_token_that_would_break_a_line_is_refused(void **state) {
        static const char *const tokens[] = { "eyJ.a.b\r\nX: y", "eyJ.a", "x", "eyJ.a.b " };

        for (size_t k = 0; k < ARRAY_SIZE(tokens); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf message = BUF_INIT;

                start("spiffe", &env, &i);
                add_token(&message, ID, tokens[k], NULL);
                feed_grpc(i, &message, "0");
                assert_failed(i, "'spiffe'", "no JSON Web Token");
        }
}

/* --- certificates ----------------------------------------------------------------------------- */

static void a_certificate_is_asked_for_and_taken(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_BUF struct buf message = BUF_INIT;
        struct x509 x;

        x509_make(&x, CERT_LEAF CERT_CA, KEY_P256_PKCS8);
        start("spiffe:x509", &env, &i);
        assert_call(i, "/run/spire/agent.sock", "http://localhost/SpiffeWorkloadAPI/FetchX509SVID",
                    "0000000000");
        assert_true(step_of(i, IDENTITY_CALL)->order.first_message);
        assert_int_equal(step_of(i, IDENTITY_CALL)->order.fetch.body_max, 1024 * 1024 + 5);
        add_x509(&message, ID, &x, NULL);
        put_text(&message, 2, "a list of what was revoked");
        feed_grpc(i, &message, NULL);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_int_equal(got.kind, IDENTITY_X509);
        assert_int_equal(got.key_der.len, x.key.len);
        assert_memory_equal(got.key_der.data, x.key.data, x.key.len);
        assert_int_equal(got.chain_der.len, x.chain.len);
        assert_memory_equal(got.chain_der.data, x.chain.data, x.chain.len);
        assert_string_equal(got.subject, ID);
        assert_true(got.expires_wall == CERT_LEAF_NOT_AFTER * USEC_PER_SEC);
        assert_true(got.refresh_wall > NOW && got.refresh_wall < got.expires_wall);
        assert_string_equal(got.provider, "spiffe:x509");
        x509_done(&x);
}

/* Certificates of other trust domains come along, and are many. */
static void an_answer_with_many_bundles_is_taken(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_BUF struct buf message = BUF_INIT;
        AUTO_FREE char *bundle = calloc(1, 100000);
        struct x509 x;

        x509_make(&x, CERT_LEAF, KEY_P256_PKCS8);
        start("spiffe:x509", &env, &i);
        add_x509(&message, ID, &x, NULL);
        put(&message, 3, bundle, 100000);
        feed_grpc(i, &message, NULL);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        x509_done(&x);
}

static void a_certificate_must_be_whose_it_says_and_have_its_key(void **state) {
        static const struct {
                const char *certificates;
                const char *key;
                const char *id;
                const char *says;
        } table[] = {
                { CERT_LEAF, KEY_P384_PKCS8, ID, "not for the key" },
                { CERT_LEAF, KEY_P256_PKCS8, OTHER, "not for the SPIFFE ID" },
                { CERT_NO_URI, KEY_P256_PKCS8, ID, "not for the SPIFFE ID" },
                { CERT_TWO_URIS, KEY_P256_PKCS8, ID, "cannot be read" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_BUF struct buf message = BUF_INIT;
                struct x509 x;

                x509_make(&x, table[k].certificates, table[k].key);
                start("spiffe:x509", &env, &i);
                add_x509(&message, table[k].id, &x, NULL);
                feed_grpc(i, &message, "0");
                assert_failed(i, "'spiffe:x509', asking /run/spire/agent.sock for a certificate",
                              table[k].says);
                x509_done(&x);
        }
}

static void an_identity_without_its_key_counts_as_not_there(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_BUF struct buf message = BUF_INIT;

        start("spiffe:x509", &env, &i);
        add_token(&message, ID, "certificates", NULL);
        feed_grpc(i, &message, "0");
        assert_failed(i, "'spiffe:x509'", "no identity for the daemon");
}

static void a_folder_is_read_where_there_is_no_socket(void **state) {
        static const struct {
                const char *variables[3];
                const char *config;
                const char *file; /* NULL: the socket */
        } table[] = {
                { { "SPIFFE_CREDENTIAL_FOLDER=/run/id" },
                  "spiffe:x509",
                  "/run/id/credential-bundle.private-key.pem" },
                { { "SPIFFE_CREDENTIAL_FOLDER=/run/id", SOCKET }, "spiffe:x509", NULL },
                { { "SPIFFE_CREDENTIAL_FOLDER=/run/id", SOCKET },
                  "spiffe:x509,folder=/else",
                  "/else/credential-bundle.private-key.pem" },
                { { "SPIFFE_CREDENTIAL_FOLDER=/run/id" }, "spiffe:x509,/run/s", NULL },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                env_make(&env, table[k].variables);
                assert_int_equal(identity_start(table[k].config, &env, &i, NULL), 0);
                if (!table[k].file) {
                        assert_int_equal(next_of(i), IDENTITY_CALL);
                        continue;
                }
                assert_string_equal(step_of(i, IDENTITY_READ)->order.path, table[k].file);
                assert_int_equal(step_of(i, IDENTITY_READ)->order.rules, ORDER_RULES_SECRET);
        }
}

static void a_folders_bundle_is_taken_for_each_use(void **state) {
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        struct x509 x;

        x509_make(&x, CERT_LEAF CERT_CA, KEY_P256_PKCS8);
        assert_int_equal(identity_start("spiffe:x509,folder=/run/id,id=" ID, NULL, &i, NULL), 0);
        feed_text(i, KEY_P256_PKCS8 CERT_LEAF CERT_CA);
        assert_int_equal(next_of(i), IDENTITY_DONE);
        assert_int_equal(identity_take(i, &got), 0);
        assert_int_equal(got.kind, IDENTITY_X509);
        assert_string_equal(got.subject, ID);
        assert_int_equal(got.key_der.len, x.key.len);
        assert_memory_equal(got.key_der.data, x.key.data, x.key.len);
        assert_int_equal(got.chain_der.len, x.chain.len);
        assert_true(got.expires_wall == CERT_LEAF_NOT_AFTER * USEC_PER_SEC);
        assert_true(got.refresh_wall == 0);
        x509_done(&x);
}

static void a_bundle_that_is_none_is_refused(void **state) {
        static const struct {
                const char *config;
                const char *text;
                const char *says;
        } table[] = {
                { "spiffe:x509,folder=/f", "", "key" },
                { "spiffe:x509,folder=/f", "<html>", "key" },
                { "spiffe:x509,folder=/f", CERT_LEAF, "key" },
                { "spiffe:x509,folder=/f", KEY_P256_PKCS8, "no certificates" },
                { "spiffe:x509,folder=/f", KEY_P384_PKCS8 CERT_LEAF, "not for the key" },
                { "spiffe:x509,folder=/f", KEY_P256_PKCS8 CERT_NO_URI, "names no SPIFFE ID" },
                { "spiffe:x509,folder=/f,id=" OTHER, KEY_P256_PKCS8 CERT_LEAF, "id=" },
                { "spiffe:x509,folder=/f,id=" OTHER, KEY_P256_PKCS8 CERT_NO_URI, "id=" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY struct identity *i = NULL;

                assert_int_equal(identity_start(table[k].config, NULL, &i, NULL), 0);
                feed_text(i, table[k].text);
                assert_failed(i, "reading /f/credential-bundle.private-key.pem", table[k].says);
        }
}

/* --- what goes wrong -------------------------------------------------------------------------- */

static void what_cannot_be_configured_is_named(void **state) {
        static const char *const refused[] = {
                "spiffe:id=example.org/agent",
                "spiffe:id=spiffe://",
                "spiffe:id=SPIFFE://example.org/agent",
                "spiffe:id=spiffe://example.org/an agent",
                "spiffe:id=spiffe://example.org/\xc3\xa4",
                "spiffe:socket=run/spire.sock",
                "spiffe:socket=tcp://127.0.0.1:8081",
                "spiffe:socket=unix://host/run/s",
                "spiffe:socket=unix:///",
                "spiffe:socket=unix:///run/s?x",
                "spiffe:folder=/run/id",
                "spiffe:x509,folder=run/id",
                "spiffe:x509,folder=/run/id,socket=/run/s",
        };

        for (size_t k = 0; k < ARRAY_SIZE(refused); k++) {
                AUTO_IDENTITY_CONFIG struct identity_config c = IDENTITY_CONFIG_INIT;
                struct error err = ERROR_INIT;

                if (identity_config_parse(refused[k], &c, &err) != -EINVAL)
                        fail_msg("taken: %s", refused[k]);
                assert_int_equal(err.code, MCPB_BAD_CONFIG);
                assert_non_null(strstr(err.message, "spiffe"));
                assert_true(err.hint[0]);
        }
}

static void an_environment_that_names_no_socket_is_told(void **state) {
        static const char *const wrong[] = {
                NULL,
                "SPIFFE_ENDPOINT_SOCKET=/run/spire/agent.sock",
                "SPIFFE_ENDPOINT_SOCKET=tcp://127.0.0.1:8081",
                "SPIFFE_ENDPOINT_SOCKET=unix://host/run/s",
                "SPIFFE_ENDPOINT_SOCKET=unix:run/s",
                "SPIFFE_ENDPOINT_SOCKET=http://localhost/",
        };

        for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
                const char *variables[] = { wrong[k], NULL };
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                struct error err = ERROR_INIT;

                env_make(&env, variables);
                assert_true(identity_start("spiffe", &env, &i, &err) < 0);
                assert_int_equal(err.code, MCPB_IDENTITY_FAILED);
                assert_non_null(strstr(err.message, "SPIFFE_ENDPOINT_SOCKET"));
                assert_true(err.hint[0]);
        }
}

static void an_agent_that_refuses_says_what_to_do(void **state) {
        static const struct {
                const char *status;
                const char *name;
                const char *hint;
        } table[] = {
                { "3", "InvalidArgument", "id=" },
                { "12", "Unimplemented", "update" },
                { "2", "Unknown", "running" },
                { "16", "Unauthenticated", "running" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                start("spiffe", &env, &i);
                feed_refusal(i, table[k].status, "the%20reason");
                assert_failed(i, "'spiffe', asking /run/spire/agent.sock for a token",
                              table[k].name);
                assert_non_null(strstr(identity_error(i)->message, "the reason"));
                assert_non_null(strstr(identity_error(i)->hint, table[k].hint));
        }
}

/* An entry that was just made takes some seconds; an agent that starts, a moment. */
static void what_may_pass_is_asked_again_and_then_given_up(void **state) {
        static const struct {
                const char *status;
                unsigned msec[3];
                const char *says;
        } table[] = {
                { "7", { 2000, 2000, 2000 }, "PermissionDenied" },
                { "14", { 100, 400, 1600 }, "Unavailable" },
                { "8", { 100, 400, 1600 }, "ResourceExhausted" },
                { "4", { 100, 400, 1600 }, "DeadlineExceeded" },
        };

        for (size_t k = 0; k < ARRAY_SIZE(table); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;

                start(k == 0 ? "spiffe:x509" : "spiffe", &env, &i);
                for (size_t n = 0; n < 3; n++) {
                        feed_refusal(i, table[k].status, "not%20yet");
                        assert_true(step_of(i, IDENTITY_WAIT)->wait_usec ==
                                    table[k].msec[n] * USEC_PER_MSEC);
                        identity_feed_time(i, NOW);
                        assert_int_equal(next_of(i), IDENTITY_CALL);
                }
                feed_refusal(i, table[k].status, "not%20yet");
                assert_failed(i, "'spiffe", table[k].says);
        }
}

static void an_agent_that_is_not_there_is_named(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_ANSWER struct fetch_answer a;

        start("spiffe", &env, &i);
        fetch_answer_init(&a);
        a.outcome = FETCH_NOT_SENT;
        a.failure = FETCH_FAILURE_CONNECT;
        identity_feed_answer(i, &a, NOW);
        assert_failed(i, "'spiffe', asking /run/spire/agent.sock for a token", "no answer");
        assert_non_null(strstr(identity_error(i)->hint, "agent is running"));
}

struct fault {
        unsigned status;
        const char *type;
        const char *grpc_status;
        const char *body;
        size_t len;
};

/* Fed to both; of a stream also what has no status is taken, if its first message is whole. */
static void what_is_no_answer_of_an_agent_is_refused(void **state) {
        static const struct fault faults[] = {
                { 200, "text/html", "0", "<html>", 6 },
                { 200, NULL, "0", "\0\0\0\0\0", 5 },
                { 404, "application/grpc", "0", "\0\0\0\0\0", 5 },
                { 200, "application/grpc", "0", "", 0 },
                { 200, "application/grpc", NULL, "", 0 },
                { 200, "application/grpc", "x", "", 0 },
                { 200, "application/grpc", "0", "\0\0\0\0\2a", 6 },
                { 200, "application/grpc", "0", "\1\0\0\0\1a", 6 },
                { 200, "application/grpc", "0", "\0\0\0\0\0\0\0\0\0\0", 10 },
                { 200, "application/grpc", "0", "\0\0\0\0\2\x0a\x05", 7 },
                { 200, "application/grpc", "0", "\0\0\0\0\4\x0a\x02\x0a\x05", 9 },
                { 200, "application/grpc", "0", "\0\0\0\0\1\xff", 6 },
        };

        for (size_t k = 0; k < 2 * ARRAY_SIZE(faults); k++) {
                const struct fault *f = &faults[k / 2];
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                AUTO_ANSWER struct fetch_answer a;

                start(k % 2 ? "spiffe:x509" : "spiffe", &env, &i);
                fetch_answer_init(&a);
                a.outcome = FETCH_ANSWERED;
                a.status = f->status;
                if (f->type)
                        assert_int_equal(fetch_answer_add_header(&a, "content-type", f->type), 0);
                if (f->grpc_status)
                        assert_int_equal(fetch_answer_add_header(&a, "grpc-status", f->grpc_status),
                                         0);
                assert_int_equal(buf_append(&a.body, f->body, f->len), 0);
                identity_feed_answer(i, &a, NOW);
                assert_failed(i, "'spiffe", "what came is no");
        }
}

static void a_token_without_a_status_behind_it_is_not_taken(void **state) {
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_FREE char *token = token_of(CLAIMS(ID, AUDIENCE, "1790000300"));
        AUTO_BUF struct buf message = BUF_INIT;

        start("spiffe", &env, &i);
        add_token(&message, ID, token, NULL);
        feed_grpc(i, &message, NULL);
        assert_failed(i, "'spiffe'", "no whole answer");
}

static void an_agent_without_an_identity_for_us_is_told(void **state) {
        static const char *const configs[] = { "spiffe", "spiffe:x509" };

        for (size_t k = 0; k < ARRAY_SIZE(configs); k++) {
                AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
                AUTO_IDENTITY struct identity *i = NULL;
                const struct buf nothing = BUF_INIT;

                start(configs[k], &env, &i);
                feed_grpc(i, &nothing, "0");
                assert_failed(i, "'spiffe", "no identity for the daemon");
                assert_non_null(strstr(identity_error(i)->hint, "Register"));
        }
}

/* --- memory ----------------------------------------------------------------------------------- */

struct scene {
        const char *config;
        const struct identity_env *env;
        const struct buf *message;
        const char *bundle;
};

static int act(void *userdata) {
        const struct scene *s = userdata;
        AUTO_IDENTITY struct identity *i = NULL;
        AUTO_IDENTITY_RESULT struct identity_result got = IDENTITY_RESULT_INIT;
        AUTO_ANSWER struct fetch_answer a;
        AUTO_BUF struct buf bundle = BUF_INIT;
        int r;

        oom_pause(true);
        fetch_answer_init(&a);
        a.outcome = FETCH_ANSWERED;
        a.status = 200;
        assert_int_equal(fetch_answer_add_header(&a, "content-type", "application/grpc"), 0);
        assert_int_equal(fetch_answer_add_header(&a, "grpc-status", "0"), 0);
        if (s->message)
                assert_int_equal(grpc_append_frame(&a.body, s->message->data, s->message->len), 0);
        if (s->bundle)
                assert_int_equal(buf_append_str(&bundle, s->bundle), 0);
        oom_pause(false);
        r = identity_start(s->config, s->env, &i, NULL);
        if (r < 0)
                return r;
        if (s->bundle)
                identity_feed_bytes(i, 0, &bundle, NULL, NOW);
        else
                identity_feed_answer(i, &a, NOW);
        return identity_take(i, &got);
}

static void running_out_of_memory_leaks_nothing(void **state) {
        static const char *const variables[] = { SOCKET, NULL };
        AUTO_IDENTITY_ENV struct identity_env env = IDENTITY_ENV_INIT;
        AUTO_FREE char *token = token_of(CLAIMS(ID, AUDIENCE, "1790000300"));
        AUTO_BUF struct buf tokens = BUF_INIT;
        AUTO_BUF struct buf certificates = BUF_INIT;
        struct x509 x;
        struct scene scenes[] = {
                { "spiffe:id=" ID, &env, &tokens, NULL },
                { "spiffe:x509", &env, &certificates, NULL },
                { "spiffe:x509,folder=/f", &env, NULL, KEY_P256_PKCS8 CERT_LEAF CERT_CA },
        };

        env_make(&env, variables);
        x509_make(&x, CERT_LEAF CERT_CA, KEY_P256_PKCS8);
        add_token(&tokens, ID, token, NULL);
        add_x509(&certificates, ID, &x, NULL);
        /* What cannot be read for want of memory may be said to be broken. */
        for (size_t k = 0; k < ARRAY_SIZE(scenes); k++)
                assert_true(oom_sweep_any(act, &scenes[k]) > 10);
        x509_done(&x);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test(a_token_is_asked_for_and_taken),
                cmocka_unit_test(several_audiences_and_an_id_are_in_the_request),
                cmocka_unit_test(the_configured_one_of_several_is_taken),
                cmocka_unit_test(a_token_is_judged_like_any_other),
                cmocka_unit_test(a_token_that_would_break_a_line_is_refused),
                cmocka_unit_test(a_certificate_is_asked_for_and_taken),
                cmocka_unit_test(an_answer_with_many_bundles_is_taken),
                cmocka_unit_test(a_certificate_must_be_whose_it_says_and_have_its_key),
                cmocka_unit_test(an_identity_without_its_key_counts_as_not_there),
                cmocka_unit_test(a_folder_is_read_where_there_is_no_socket),
                cmocka_unit_test(a_folders_bundle_is_taken_for_each_use),
                cmocka_unit_test(a_bundle_that_is_none_is_refused),
                cmocka_unit_test(what_cannot_be_configured_is_named),
                cmocka_unit_test(an_environment_that_names_no_socket_is_told),
                cmocka_unit_test(an_agent_that_refuses_says_what_to_do),
                cmocka_unit_test(what_may_pass_is_asked_again_and_then_given_up),
                cmocka_unit_test(an_agent_that_is_not_there_is_named),
                cmocka_unit_test(what_is_no_answer_of_an_agent_is_refused),
                cmocka_unit_test(a_token_without_a_status_behind_it_is_not_taken),
                cmocka_unit_test(an_agent_without_an_identity_for_us_is_told),
                cmocka_unit_test(running_out_of_memory_leaks_nothing),
        };

        return cmocka_run_group_tests_name("identity-spiffe", tests, NULL, NULL);
}
