/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every bound on what comes from outside, in one place (invariant S9).
 */
#pragma once

/* The socket that agents use. */
#define LIMIT_LINE_BYTES (1024 * 1024)
#define LIMIT_JSON_DEPTH 32
#define LIMIT_CLIENTS 1024
#define LIMIT_CLIENTS_PER_PID 256
#define LIMIT_REQUESTS_PER_CLIENT 64
#define LIMIT_OUT_BYTES_PER_CLIENT (4 * 1024 * 1024)
#define LIMIT_HELLO_SEC 10  /* from accept to session.open */
#define LIMIT_IDLE_SEC 3600 /* a client that says nothing and waits for nothing */
#define LIMIT_HALF_LINE_SEC 30
#define LIMIT_STALL_SEC 60                /* a client that takes nothing of its answers */
#define LIMIT_OPEN_LINE_BYTES 4096        /* a line before session.open is answered */
#define LIMIT_REQUEST_ID_BYTES 256        /* of a JSON-RPC request, kept while it is under way */
#define LIMIT_OUT_PAUSE_BYTES (64 * 1024) /* so much unread: nothing more is read */

/* A client of our library: calls that were submitted, until their functions are called. */
#define LIMIT_SUBMITTED 1024
#define LIMIT_SUBMITTED_BYTES (16 * 1024 * 1024) /* of their requests */

/* HTTP */
#define LIMIT_METADATA_BYTES (256 * 1024)
#define LIMIT_TOKEN_REPLY_BYTES (256 * 1024)
#define LIMIT_HEADER_BYTES (64 * 1024)
#define LIMIT_HEADERS 256
#define LIMIT_CHALLENGE_BYTES (16 * 1024)
#define LIMIT_NONCE_BYTES 512 /* of DPoP (RFC 9449 8) */
#define LIMIT_FETCH_MSEC 20000
#define LIMIT_FETCH_CONNECT_MSEC 10000
#define LIMIT_METADATA_DEPTH 16
#define LIMIT_METADATA_CACHE_SEC 3600 /* A65 */
#define LIMIT_METADATA_LIST 64        /* members of a list that is kept */
#define LIMIT_LINK_LOCAL_CONNECT_MSEC 1000
#define LIMIT_PEM_BYTES (32 * 1024) /* of a certificate chain, a key, what is trusted */
#define LIMIT_FETCHES 256           /* under way at once, a worker */

/* Answers that are read as they come */
#define LIMIT_STREAMS 256                    /* open at once */
#define LIMIT_EVENT_BYTES (64 * 1024 * 1024) /* one server-sent event */

/* The bridge */
#define LIMIT_EXCHANGES 128          /* requests at the server at once */
#define LIMIT_EXCHANGES_WAITING 1024 /* and so many that wait: then no more is read */
#define LIMIT_MESSAGE_BYTES ((uint64_t)64 * 1024 * 1024) /* unless --max-message says otherwise */
#define LIMIT_MESSAGE_BYTES_MIN ((uint64_t)64 * 1024)
#define LIMIT_MESSAGE_BYTES_MAX ((uint64_t)1024 * 1024 * 1024)
#define LIMIT_MESSAGE_DEPTH 512
#define LIMIT_HOST_QUEUE_BYTES ((size_t)2 * LIMIT_MESSAGE_BYTES_MAX)
#define LIMIT_CLIENT_CONFIG_BYTES (32 * 1024 * 1024) /* of a client, where we edit it */
#define LIMIT_TOOLS 10000 /* with arguments that go into the head, remembered at once */
#define LIMIT_CATALOG_BYTES (16 * 1024 * 1024)
#define LIMIT_TOOL_HEADERS 128  /* of one tool */
#define LIMIT_SCHEMA_LEVELS 128 /* of a tool's schema; a property is two */

/* Text we keep of others */
#define LIMIT_FOREIGN_TEXT 256 /* error_description and the like */
#define LIMIT_SCOPES 128
#define LIMIT_SCOPE_BYTES 4096
#define LIMIT_TOKEN_BYTES (64 * 1024)
#define LIMIT_NAME_BYTES 64
#define LIMIT_EXTRA 16 /* what a token endpoint wants beyond the standard */
#define LIMIT_EXTRA_BYTES 1024

/* Keys, certificates and tokens of our own identity */
#define LIMIT_DPOP_NONCE_BYTES 2048
#define LIMIT_JWT_BYTES (16 * 1024)
#define LIMIT_KEY_BYTES (64 * 1024) /* a private key with what else stands in its file */
#define LIMIT_RSA_BITS_MIN 2048
#define LIMIT_RSA_BITS 8192
#define LIMIT_CERT_CHAIN_BYTES (64 * 1024)
#define LIMIT_CERTS 16 /* of one chain */

/* The domain */
#define LIMIT_SERVERS 20000
#define LIMIT_WAITERS_PER_GRANT 4096
#define LIMIT_LEASES_PER_GRANT 32
#define LIMIT_LOGINS 64
#define LIMIT_LOGIN_SEC 600 /* A93 */
#define LIMIT_LISTENERS 64
#define LIMIT_DEVICE_SEC 1800    /* a login by device code */
#define LIMIT_DEVICE_POLL_SEC 60 /* between two polls of an issuer that does not answer */

/* Between our own processes */
#define LIMIT_FRAME_HEAD_BYTES (128 * 1024)
#define LIMIT_FRAME_BODY_BYTES (8 * 1024 * 1024)
#define LIMIT_FRAME_FDS 4
#define LIMIT_CHAN_OUT_BYTES (64 * 1024 * 1024)
#define LIMIT_HELPERS 8     /* one-shot children of session at once */
#define LIMIT_HELPER_SEC 60 /* from its start to its end */

/* What a process of its own does for the keeper (wire/order.h) */
#define LIMIT_ORDERS 8                      /* under way at once */
#define LIMIT_ORDERS_WAITING 1024           /* and so many that wait for their turn */
#define LIMIT_ORDER_BYTES (2 * 1024 * 1024) /* of a file, of what a command says, of an answer */
#define LIMIT_ORDER_TEXT_BYTES (32 * 1024)  /* arguments and environment of a command */
#define LIMIT_ORDER_TEXTS 128               /* of each */
#define LIMIT_ORDER_MSEC 120000             /* a command, or a call */
#define LIMIT_ORDER_WAIT_MSEC 20000         /* for its turn, or for session */
#define LIMIT_ORDER_SEC 150                 /* from the start of the process to its end */

/* The store */
#define LIMIT_RECORD_BYTES (1024 * 1024)
#define LIMIT_RECORDS 100000
#define LIMIT_STORE_HEADER_BYTES (64 * 1024)
#define LIMIT_STORE_SLOTS 16
#define LIMIT_STORE_KEY_BYTES 4096 /* the natural key of a record: URLs in it are at most 2048 */
#define LIMIT_STORE_OPS 65536      /* under way and queued */
#define LIMIT_WRITER_MSEC 20000    /* for a writer that is being started again */
#define LIMIT_PASSPHRASE_BYTES 1024

/* The audit trail */
#define LIMIT_AUDIT_LINE_BYTES (128 * 1024)
