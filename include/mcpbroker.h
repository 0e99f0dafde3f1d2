/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libmcpbroker: the client side of mcp-broker, the one owner of a machine's MCP credentials.
 *
 * A client is one connection to the per-user daemon. A call blocks until the daemon has answered,
 * the deadline of the client has passed, or the call was cancelled; only what is submitted
 * (mcpb_submit()) does not wait, for programs with a loop of their own. Results belong to the
 * caller and are freed with the function that the call names. Nothing is printed, no signal handler
 * is installed, no global state is kept.
 *
 * Threads: a client may be used by one thread at a time; different clients are independent of each
 * other. Only mcpb_cancel() may be called at any time, from any thread and from a signal handler.
 *
 * Processes: the daemon serves the process that opened the connection. After fork() the child's
 * first call opens a connection of its own. What was submitted before is the parent's: its
 * functions are not called in the child.
 *
 * Errors: functions that can fail return 0, or a negative errno value, and then fill the mcpb_error
 * they were given (which may be NULL). -EREMOTEIO means that the daemon said no: mcpb_error.code
 * tells why, and is what a program should look at. The codes that the library itself sets are
 * no_daemon, denied, unsupported, timeout, cancelled, retry, busy, bad_params and internal.
 * doc/PROTOCOL.md lists all codes.
 *
 * Secrets: what the library holds of tokens and secrets is wiped when it is freed, except for what
 * jansson allocates while it parses: a program that wants that wiped gives jansson an allocator
 * that does (json_set_alloc_funcs), before anything else.
 *
 * The structs that callers fill begin with their size, those that the library fills are allocated
 * by it: members may be added at the end of both without harm to existing programs.
 */
#ifndef MCPBROKER_H
#define MCPBROKER_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define MCPB_API __attribute__((visibility("default")))
#define MCPB_CHECK __attribute__((warn_unused_result))

/* --- errors ----------------------------------------------------------------------------------- */

/**
 * struct mcpb_error - what went wrong, for programs and for people
 * @code:        stable name, "login_required"; empty if there was no error
 * @number:      the JSON-RPC number that belongs to it
 * @exit_status: what a program that fails for this should exit with
 * @message:     what happened: one line of UTF-8 without control characters
 * @hint:        what to do next; may be empty
 * @data:        the members that the daemon sent with the error, as the text of a JSON object; NULL
 *               if none
 *
 * Begin with MCPB_ERROR_INIT; free with mcpb_error_done(). A call that is given a filled one
 * empties it first.
 */
typedef struct mcpb_error {
        char code[32];
        int number;
        int exit_status;
        char message[512];
        char hint[512];
        char *data;
} mcpb_error;

#define MCPB_ERROR_INIT \
        { "", 0, 0, "", "", NULL }

/**
 * mcpb_error_done() - free what an error holds and empty it
 * @err: the error, or NULL
 */
MCPB_API void mcpb_error_done(mcpb_error *err);

/**
 * mcpb_text_free() - wipe and free a text that a call returned
 * @text: the text, or NULL
 *
 * Return: always NULL.
 */
MCPB_API char *mcpb_text_free(char *text);

/* --- the client ------------------------------------------------------------------------------- */

typedef struct mcpb_client mcpb_client;

/**
 * struct mcpb_options - how to reach the daemon
 * @size:         sizeof(mcpb_options), as MCPB_OPTIONS_INIT sets it
 * @socket_path:  the daemon's socket; NULL: $MCP_BROKER_SOCK, else the user's own (doc/PROTOCOL.md,
 *                "Where"). A path that was named, here or there, is never the reason to start a
 *                daemon
 * @client_name:  what this program calls itself, for the daemon's log; at most 63 bytes; NULL: none
 * @timeout_msec: the longest a call may take; 0: 120 s, and for mcpb_login_wait() and a submitted
 *                login.wait as long as the login lives; < 0: no end
 * @no_autostart: not 0: do not start a daemon where none runs
 * @cancel_fd:    a descriptor that ends a call when it becomes readable (a signalfd, a pipe); it is
 *                never read. < 0: none
 * @daemon_path:  the mcp-brokerd to start where no user manager runs; NULL: the installed one
 */
typedef struct mcpb_options {
        size_t size;
        const char *socket_path;
        const char *client_name;
        int timeout_msec;
        int no_autostart;
        int cancel_fd;
        const char *daemon_path;
} mcpb_options;

#define MCPB_OPTIONS_INIT \
        { sizeof(mcpb_options), NULL, NULL, 0, 0, -1, NULL }

/**
 * mcpb_client_new() - connect to the daemon and open a session
 * @options: how, or NULL for the defaults; borrowed for the length of the call
 * @ret:     the client; free with mcpb_client_free()
 * @err:     filled on failure; may be NULL
 *
 * Before a byte is sent, the socket's folder and the uid of the daemon are checked. If no daemon
 * runs, one is started unless the options say no: the unit mcp-broker.socket where a user manager
 * runs, else the installed mcp-brokerd, detached, with an environment that owes nothing to the
 * caller's. A process that is confined (seccomp, no_new_privs, a user namespace) starts no daemon
 * of its own, which would be as confined, but says so. Blocks; ends at the deadline of the options.
 *
 * Return: 0; -ECONNREFUSED (no_daemon); -EPERM (denied: somebody else's socket or folder;
 * not_permitted: the daemon refuses this process); -EREMOTEIO (busy, retry, stopping: what the
 * daemon said instead of hello); -EPROTO (unsupported); -ETIMEDOUT, -ECANCELED, -EINVAL, -ENOMEM.
 */
MCPB_API int mcpb_client_new(const mcpb_options *options, mcpb_client **ret,
                             mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_client_free() - close and free a client
 * @c: the client, or NULL
 *
 * The functions of calls that are under way are not called. May be called by such a function.
 * Return: always NULL, so that `c = mcpb_client_free(c);` leaves no dangling pointer.
 */
MCPB_API mcpb_client *mcpb_client_free(mcpb_client *c);

/**
 * mcpb_client_fd() - the connection's descriptor, for poll()
 * @c: the client
 *
 * Between calls it becomes readable when the daemon closes the connection; the next call then opens
 * another. While calls that were submitted are under way, mcpb_client_events() says what to wait
 * for. It stays the client's: do not read, write or close it. It may change with every call.
 *
 * Return: the descriptor, or -1 if there is no connection at present.
 */
MCPB_API int mcpb_client_fd(const mcpb_client *c);

/**
 * mcpb_client_may_manage() - is this connection good for more than tokens?
 * @c: the client
 *
 * Return: 1 if the daemon takes the methods that manage servers and the daemon itself from this
 * process, else 0.
 */
MCPB_API int mcpb_client_may_manage(const mcpb_client *c);

/**
 * mcpb_cancel() - end the call that is under way, or else the next one
 * @c: the client
 *
 * The call that blocks returns -ECANCELED, and the daemon is told by the end of the connection
 * unless submitted calls are under way on it. These are not cancelled: mcpb_withdraw() does that.
 * One cancellation ends one call. Async-signal-safe; may be called from any thread as long as the
 * client lives.
 */
MCPB_API void mcpb_cancel(mcpb_client *c);

/**
 * mcpb_call() - any method of the protocol
 * @c:          the client
 * @method:     its name, "server.list"
 * @params:     the text of a JSON object, or NULL for none
 * @ret_result: the result as JSON text; free with mcpb_text_free(). NULL: not wanted
 * @err:        filled on failure; may be NULL
 *
 * If the daemon closed the connection while nothing was under way, another is opened first. If it
 * goes away in the middle of a call, the call fails with code retry, except token.get, which is
 * sent once more on a new connection.
 *
 * Calls that were submitted stay under way meanwhile, and this one waits for its turn behind them.
 * What is answered of them is told by the next mcpb_dispatch(), never from inside another call. The
 * same holds for all calls that block.
 *
 * Return: 0; -EREMOTEIO (the daemon's error); -EINVAL (bad_params: @params is no JSON object, or
 * too long); -ECONNRESET (retry); what mcpb_client_new() returns; -ETIMEDOUT, -ECANCELED, -EPROTO,
 * -ENOMEM.
 */
MCPB_API int mcpb_call(mcpb_client *c, const char *method, const char *params, char **ret_result,
                       mcpb_error *err) MCPB_CHECK;

/* --- tokens ----------------------------------------------------------------------------------- */

/**
 * struct mcpb_challenge - what a server answered to a request: a hint for the daemon, not an order
 * @status:   401 or 403
 * @fields:   the values of its WWW-Authenticate fields, as received; at most 16 KiB together
 * @n_fields: how many
 */
typedef struct mcpb_challenge {
        int status;
        const char *const *fields;
        size_t n_fields;
} mcpb_challenge;

/**
 * struct mcpb_token_request - which token
 * @size:        sizeof(mcpb_token_request), as MCPB_TOKEN_REQUEST_INIT sets it
 * @server:      name or URL of the MCP server
 * @account:     which login, where there are several; NULL: the only one
 * @scopes:      separated by blanks; NULL: those that were granted
 * @min_ttl:     seconds that the token must still live; 0: the daemon's own margin
 * @start_login: not 0: start a login where one is needed; the error login_required then carries it
 *               (mcpb_login_from_error())
 * @challenge:   what the server answered without a token or with the last one; NULL: nothing
 * @helper:      not 0: asked on behalf of a client that takes headers from a command: a second call
 *               of the same program for the same token may mean that the server refused it
 * @optional:    not 0: the request can be tried without a token: where nothing says that the server
 *               wants one, no_challenge is answered, and no login is begun
 * @token_id:    the token that the server answered with @challenge, as mcpb_token has it: one that
 *               is not the current one any more needs no login, only the current one; NULL: none
 * @on_behalf_of: for whom this program asks, as another agent: at most 256 bytes. The daemon writes
 *                it down beside what it knows of the program itself; nothing is decided by it.
 *                NULL: for itself
 */
typedef struct mcpb_token_request {
        size_t size;
        const char *server;
        const char *account;
        const char *scopes;
        long min_ttl;
        int start_login;
        const mcpb_challenge *challenge;
        int helper;
        int optional;
        const char *token_id;
        const char *on_behalf_of;
} mcpb_token_request;

#define MCPB_TOKEN_REQUEST_INIT \
        { sizeof(mcpb_token_request), NULL, NULL, NULL, 0, 0, NULL, 0, 0, NULL, NULL }

/**
 * struct mcpb_token - an access token and what is known of it
 * @no_challenge: 1: the server asked for no authorization so far: send the request without a token
 *                (all else may be NULL)
 * @token:        the access token: a secret
 * @token_type:   "Bearer", "DPoP"
 * @token_id:     the daemon's name for it, for mcpb_token_reject()
 * @server:       the name of the server that it is for; it must be sent nowhere else
 * @scopes:       separated by blanks; may be empty
 * @expires_in:   seconds; -1: unknown
 * @request:      what the audit trail calls this request; may be NULL
 * @url:          the URL of that server
 */
typedef struct mcpb_token {
        int no_challenge;
        char *token;
        char *token_type;
        char *token_id;
        char *server;
        char *scopes;
        long expires_in;
        char *request;
        char *url;
} mcpb_token;

/**
 * mcpb_token_get() - an access token for a server
 * @c:       the client
 * @request: which; borrowed
 * @ret:     the token; free with mcpb_token_free()
 * @err:     filled on failure; may be NULL
 *
 * A cached token is answered at once; otherwise the call lasts as long as the refresh, the
 * discovery or the confirmation by a person that it takes. If the daemon goes away in between, the
 * request is sent once more.
 *
 * Return: as mcpb_call(). Codes of note: login_required (@err->data has the login), denied,
 * insufficient_scope, locked, not_found, ambiguous, grant_revoked, issuer_unreachable,
 * audit_unavailable.
 */
MCPB_API int mcpb_token_get(mcpb_client *c, const mcpb_token_request *request, mcpb_token **ret,
                            mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_token_free() - wipe and free a token
 * @t: the token, or NULL
 *
 * Return: always NULL.
 */
MCPB_API mcpb_token *mcpb_token_free(mcpb_token *t);

/**
 * mcpb_token_reject() - tell the daemon that a server refused a token
 * @c:         the client
 * @server:    name or URL of the server
 * @account:   as in the request that got it; may be NULL
 * @token_id:  which token
 * @challenge: the server's answer; may be NULL
 * @err:       filled on failure; may be NULL
 *
 * A token that is no longer the current one is not an error: nothing happens. The next
 * mcpb_token_get() brings a new one.
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_token_reject(mcpb_client *c, const char *server, const char *account,
                               const char *token_id, const mcpb_challenge *challenge,
                               mcpb_error *err) MCPB_CHECK;

/**
 * struct mcpb_proof_request - for which request a proof is wanted
 * @size:     sizeof(mcpb_proof_request), as MCPB_PROOF_REQUEST_INIT sets it
 * @server:   as in the request that got the token
 * @account:  the same; may be NULL
 * @token_id: the token that the request will carry
 * @method:   of HTTP: "POST"
 * @url:      where the request goes: the server's URL, or one below it
 * @nonce:    what the server has said last in DPoP-Nonce; NULL: nothing
 */
typedef struct mcpb_proof_request {
        size_t size;
        const char *server;
        const char *account;
        const char *token_id;
        const char *method;
        const char *url;
        const char *nonce;
} mcpb_proof_request;

#define MCPB_PROOF_REQUEST_INIT \
        { sizeof(mcpb_proof_request), NULL, NULL, NULL, NULL, NULL, NULL }

/**
 * mcpb_token_prove() - a proof of possession for a token of the type DPoP (RFC 9449)
 * @c:       the client
 * @request: for which request
 * @ret:     the value of the header field DPoP, to be freed with mcpb_text_free()
 * @err:     filled on failure; may be NULL
 *
 * Such a token is of no use without, and each request needs a proof of its own, repeats included.
 *
 * Return: as mcpb_call(). Errors worth telling apart: not_found (that token has ended: get
 * another), bad_request (the token needs none).
 */
MCPB_API int mcpb_token_prove(mcpb_client *c, const mcpb_proof_request *request, char **ret,
                              mcpb_error *err) MCPB_CHECK;

/* --- many calls at once ----------------------------------------------------------------------- */

/**
 * mcpb_answer_fn - what is called with the answer to a submitted call
 * @r:        0, or what mcpb_call() would have returned
 * @result:   the result as JSON text, wiped when the function returns; NULL if @r is not 0
 * @err:      filled if @r is not 0; borrowed
 * @userdata: as given to mcpb_submit()
 *
 * May use the client in every way, but for mcpb_dispatch().
 */
typedef void (*mcpb_answer_fn)(int r, const char *result, const mcpb_error *err, void *userdata);

/**
 * mcpb_token_fn - what is called with the answer to a submitted request for a token
 * @r:        0, or what mcpb_token_get() would have returned
 * @token:    the token: the function's, which frees it with mcpb_token_free(); NULL if @r is not 0
 * @err:      filled if @r is not 0; borrowed
 * @userdata: as given to mcpb_token_submit()
 *
 * As mcpb_answer_fn.
 */
typedef void (*mcpb_token_fn)(int r, mcpb_token *token, const mcpb_error *err, void *userdata);

/**
 * mcpb_submit() - begin a call without waiting for its answer
 * @c:          the client
 * @method:     its name
 * @params:     the text of a JSON object, or NULL for none
 * @fn:         called by mcpb_dispatch(), once; NULL: nobody wants to know
 * @userdata:   for @fn
 * @ret_ticket: what mcpb_withdraw() takes; never 0, never used twice; NULL: not wanted
 * @err:        filled on failure; may be NULL
 *
 * For programs with a loop of their own: wait for mcpb_client_events() on mcpb_client_fd(), for
 * mcpb_client_timeout() at most, then call mcpb_dispatch(). All three may change with every
 * function that is given the client.
 *
 * Requests are sent in the order in which they were submitted; answers may come in another. Up to
 * 64 are with the daemon at once, others wait in the library: 1024 in all, 16 MiB of requests. The
 * deadline of each begins here. Nothing here waits for the daemon, except for the start of one
 * where none runs.
 *
 * If the daemon goes away, what it has not acted upon, and token.get always, is sent once more on
 * a new connection; the others fail with code retry.
 *
 * Return: 0, and @fn will be called; or, and it will not: -EBUSY (busy: too many are under way);
 * -EINVAL (bad_params); what mcpb_client_new() returns, where the daemon cannot be reached at once;
 * -ENOMEM.
 */
MCPB_API int mcpb_submit(mcpb_client *c, const char *method, const char *params, mcpb_answer_fn fn,
                         void *userdata, unsigned long long *ret_ticket,
                         mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_token_submit() - begin to get an access token
 * @c:          the client
 * @request:    which; borrowed for the length of the call
 * @fn:         called by mcpb_dispatch(), once; NULL: nobody wants to know
 * @userdata:   for @fn
 * @ret_ticket: as mcpb_submit()
 * @err:        filled on failure; may be NULL
 *
 * What mcpb_token_get() is to mcpb_call(). Return: as mcpb_submit().
 */
MCPB_API int mcpb_token_submit(mcpb_client *c, const mcpb_token_request *request, mcpb_token_fn fn,
                               void *userdata, unsigned long long *ret_ticket,
                               mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_withdraw() - no longer want the answer to a submitted call
 * @c:      the client
 * @ticket: which
 *
 * Its function is not called any more. What was not sent will not be; what the daemon has begun it
 * may finish, unless nothing else is under way: then the connection is closed, and the next call
 * opens another.
 *
 * Return: 0; -ENOENT: no such call is under way (it was told, or withdrawn before).
 */
MCPB_API int mcpb_withdraw(mcpb_client *c, unsigned long long ticket);

/**
 * mcpb_client_events() - what poll() should wait for before mcpb_dispatch()
 * @c: the client
 *
 * Return: POLLIN while there is a connection, even if nothing is under way, so that its end is
 * noticed; and POLLOUT while something is to be sent. 0: there is no connection.
 */
MCPB_API int mcpb_client_events(const mcpb_client *c) MCPB_CHECK;

/**
 * mcpb_client_timeout() - how long poll() may wait
 * @c: the client
 *
 * Return: milliseconds until mcpb_dispatch() has something to do even if nothing arrives: a
 * deadline, or an answer that is there already; -1: never.
 */
MCPB_API int mcpb_client_timeout(const mcpb_client *c) MCPB_CHECK;

/**
 * mcpb_dispatch() - go on with what was submitted
 * @c: the client
 *
 * Connects, sends and receives what goes without waiting, and calls the functions of the calls that
 * are over. May be called at any time. If the daemon has gone and none runs, one is started as by
 * mcpb_client_new(); only this blocks, until the earliest deadline at most.
 *
 * Return: 0; -ECANCELED: the start of a daemon was cancelled: the calls wait on; -EDEADLK: called
 * by such a function: nothing was done.
 */
MCPB_API int mcpb_dispatch(mcpb_client *c);

/* --- servers ---------------------------------------------------------------------------------- */

/**
 * struct mcpb_login - an authorization that waits for a person, or what became of it
 * @login:         its id; NULL only where the state is "open"
 * @url:           what the person opens in a browser; NULL if unknown or over
 * @server:        the server it is for; may be NULL
 * @state:         "waiting", "done" or "failed"; or "open": the server asks for no authorization,
 *                 so there is nothing to do
 * @error_code:    why it failed: one of the codes of doc/PROTOCOL.md; else NULL
 * @error:         the same for people; else NULL
 * @error_hint:    what to do next; may be NULL
 * @seconds_left:  until it is given up; -1: unknown
 * @opener:        1: this process is the one that should open the browser
 * @user_code:     of a login by device code: what the person types in at @verification_uri, or
 *                 compares with what the page of @url shows; else NULL
 * @verification_uri: where that is done, in a browser on any machine; else NULL
 */
typedef struct mcpb_login {
        char *login;
        char *url;
        char *server;
        char *state;
        char *error_code;
        char *error;
        char *error_hint;
        long seconds_left;
        int opener;
        char *user_code;
        char *verification_uri;
} mcpb_login;

/**
 * mcpb_login_free() - free a login (the daemon's goes on)
 * @l: the login, or NULL
 *
 * Return: always NULL.
 */
MCPB_API mcpb_login *mcpb_login_free(mcpb_login *l);

/**
 * mcpb_login_from_error() - the login that an error of mcpb_token_get() speaks of
 * @err: the error
 * @ret: the login; free with mcpb_login_free()
 *
 * Return: 0; -ENOENT if the error carries none; -ENOMEM.
 */
MCPB_API int mcpb_login_from_error(const mcpb_error *err, mcpb_login **ret) MCPB_CHECK;

/**
 * struct mcpb_server_request - a server to add
 * @size:                sizeof(mcpb_server_request), as MCPB_SERVER_REQUEST_INIT sets it
 * @url:                 its URL
 * @name:                a short name; NULL: made from the URL
 * @account:             a name for the login; NULL: none
 * @scopes:              separated by blanks; NULL: what the server asks for
 * @issuer:              which authorization server, where there is a choice; NULL: the first
 * @client_id:           of a registration made by hand; NULL: found or made by the daemon
 * @client_secret:       that belongs to it: a secret; NULL: none
 * @client_metadata_url: a client id metadata document; NULL: the daemon's own way
 * @login:               not 0: start a login at once
 * @no_resource:         not 0: leave the parameter resource (RFC 8707) out of what the
 *                       authorization server is asked, for one that chokes on it. Tokens may
 *                       then be good for other servers too
 * @present:             how tokens are got without a person: "client-credentials", "jwt-bearer",
 *                       ...; NULL: "auto" with an identity, else a person logs in
 * @identity:            the provider of the identity that is shown, with its options; NULL: none
 * @audience:            for whom the identity's token is: "issuer", "token-endpoint" or
 *                       "literal:..."; NULL: the issuer, or what the profile says
 * @profile:             of an authorization server that wants the same in other words; NULL: none
 * @client_key:          the private key of @client_id, PEM or a JWK, in place of @client_secret: a
 *                       secret; NULL: none
 * @client_key_id:       the "kid" under which the authorization server knows it; NULL: none
 * @signing_alg:         "ES256", ...; NULL: by the key
 * @idp_token_endpoint:  of the identity provider, with "id-jag"; NULL: none
 * @idp_client_id:       as what client we are known there; NULL: none
 * @extra:               what is sent along to the token endpoint, as "NAME=VALUE"; each name once
 * @n_extra:             how many
 * @flow:                how the person logs in: "browser", or "device" (RFC 8628: with a code, in
 *                       a browser on any machine); NULL: as a login under way does, else browser
 */
typedef struct mcpb_server_request {
        size_t size;
        const char *url;
        const char *name;
        const char *account;
        const char *scopes;
        const char *issuer;
        const char *client_id;
        const char *client_secret;
        const char *client_metadata_url;
        int login;
        long no_resource;
        const char *present;
        const char *identity;
        const char *audience;
        const char *profile;
        const char *client_key;
        const char *client_key_id;
        const char *signing_alg;
        const char *idp_token_endpoint;
        const char *idp_client_id;
        const char *const *extra;
        size_t n_extra;
        const char *flow;
} mcpb_server_request;

#define MCPB_SERVER_REQUEST_INIT                                                                   \
        {                                                                                          \
                sizeof(mcpb_server_request), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, \
                        NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, 0, NULL        \
        }

/**
 * mcpb_server_add() - add a server
 * @c:          the client
 * @request:    which; borrowed, the copies of secret and key are wiped
 * @ret_server: what was added, as the text of a JSON object; free with mcpb_text_free(). NULL: not
 *              wanted
 * @ret_login:  the login that was started, or NULL if none was; free with mcpb_login_free(). NULL:
 *              not wanted
 * @err:        filled on failure; may be NULL
 *
 * Where no person is needed the call ends when the token is there, with @ret_login "done", or with
 * the reason why it is not: identity_failed, issuer_error and others; the server stays added.
 *
 * Return: as mcpb_call(). Codes of note: exists, address_refused, server_unreachable,
 * registration_required, unsupported.
 */
MCPB_API int mcpb_server_add(mcpb_client *c, const mcpb_server_request *request, char **ret_server,
                             mcpb_login **ret_login, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_server_list() - all servers
 * @c:   the client
 * @ret: the text of a JSON object with the array "servers"; free with mcpb_text_free()
 * @err: filled on failure; may be NULL
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_server_list(mcpb_client *c, char **ret, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_server_show() - one server
 * @c:      the client
 * @server: name or URL
 * @ret:    the text of a JSON object; free with mcpb_text_free()
 * @err:    filled on failure; may be NULL
 *
 * Return: as mcpb_call(). Codes of note: not_found, ambiguous.
 */
MCPB_API int mcpb_server_show(mcpb_client *c, const char *server, char **ret,
                              mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_server_remove() - forget a server and its logins, and revoke what can be revoked
 * @c:      the client
 * @server: name or URL
 * @ret:    the text of a JSON object {removed, revoked, warning}; free with mcpb_text_free(). NULL:
 *          not wanted
 * @err:    filled on failure; may be NULL
 *
 * Return: as mcpb_call(). Codes of note: not_found, ambiguous.
 */
MCPB_API int mcpb_server_remove(mcpb_client *c, const char *server, char **ret,
                                mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_server_remove_all() - forget all servers
 * @c:   the client
 * @ret: as mcpb_server_remove()
 * @err: filled on failure; may be NULL
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_server_remove_all(mcpb_client *c, char **ret, mcpb_error *err) MCPB_CHECK;

/* --- logins ----------------------------------------------------------------------------------- */

/**
 * mcpb_login_start() - start a login for a server that was added
 * @c:      the client
 * @server: name or URL
 * @scopes: separated by blanks; NULL: those of the server
 * @ret:    the login; free with mcpb_login_free()
 * @err:    filled on failure; may be NULL
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_login_start(mcpb_client *c, const char *server, const char *scopes,
                              mcpb_login **ret, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_login_status() - how a login stands
 * @c:     the client
 * @login: its id
 * @ret:   the login; free with mcpb_login_free()
 * @err:   filled on failure; may be NULL
 *
 * Does not wait. Return: as mcpb_call(). Codes of note: not_found.
 */
MCPB_API int mcpb_login_status(mcpb_client *c, const char *login, mcpb_login **ret,
                               mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_login_wait() - wait until a login is over
 * @c:     the client
 * @login: its id
 * @ret:   the login, whose state is "done" or "failed"; free with mcpb_login_free()
 * @err:   filled on failure; may be NULL
 *
 * Lasts as long as a person needs; mcpb_cancel() ends the call, not the login.
 *
 * Return: as mcpb_call(). Codes of note: not_found.
 */
MCPB_API int mcpb_login_wait(mcpb_client *c, const char *login, mcpb_login **ret,
                             mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_login_complete() - hand in the address that the browser was sent to
 * @c:            the client
 * @login:        its id
 * @redirect_url: the whole address, with its code: a secret
 * @ret:          the login; free with mcpb_login_free(). NULL: not wanted
 * @err:          filled on failure; may be NULL
 *
 * For machines where the browser cannot reach the daemon. Return: as mcpb_call(). Codes of note:
 * login_failed, not_permitted.
 */
MCPB_API int mcpb_login_complete(mcpb_client *c, const char *login, const char *redirect_url,
                                 mcpb_login **ret, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_login_cancel() - give a login up
 * @c:     the client
 * @login: its id
 * @err:   filled on failure; may be NULL
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_login_cancel(mcpb_client *c, const char *login, mcpb_error *err) MCPB_CHECK;

/* --- the daemon ------------------------------------------------------------------------------- */

/**
 * mcpb_broker_status() - what the daemon is and does
 * @c:   the client
 * @ret: the text of a JSON object; free with mcpb_text_free()
 * @err: filled on failure; may be NULL
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_broker_status(mcpb_client *c, char **ret, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_broker_lock() - wipe all keys and tokens from the daemon's memory
 * @c:   the client
 * @err: filled on failure; may be NULL
 *
 * Return: as mcpb_call().
 */
MCPB_API int mcpb_broker_lock(mcpb_client *c, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_broker_unlock() - open the store again
 * @c:          the client
 * @passphrase: a secret; the library's copy is wiped, the caller wipes its own. NULL where the
 *              store opens without one
 * @err:        filled on failure; may be NULL
 *
 * Return: as mcpb_call(). Codes of note: wrong_passphrase.
 */
MCPB_API int mcpb_broker_unlock(mcpb_client *c, const char *passphrase, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_broker_reload() - read configuration and policy again
 * @c:   the client
 * @err: filled on failure; may be NULL
 *
 * Return: as mcpb_call(). Codes of note: bad_config (the old one stays in force).
 */
MCPB_API int mcpb_broker_reload(mcpb_client *c, mcpb_error *err) MCPB_CHECK;

/**
 * mcpb_broker_stop() - stop the daemon
 * @c:   the client
 * @err: filled on failure; may be NULL
 *
 * Returns when the daemon has agreed; it ends when what is under way is durable. Return: as
 * mcpb_call().
 */
MCPB_API int mcpb_broker_stop(mcpb_client *c, mcpb_error *err) MCPB_CHECK;

#ifdef __cplusplus
}
#endif

#endif /* MCPBROKER_H */
