/* SPDX-License-Identifier: Apache-2.0 */
#include "audit/verify.h"

#include "audit/line.h"

#define CHUNK_BYTES (64 * 1024)

struct audit_verifier {
        struct audit_verify params;
        struct audit_verified result;
        struct chain chain;
        struct splitter splitter;
        struct audit_checkpoint checkpoint;
        bool checkpoint_seen;
};

static const char *const fault_texts[AUDIT_FAULT_COUNT] = {
        [AUDIT_FAULT_FORMAT] = "not a line of an audit log",
        [AUDIT_FAULT_CHAIN] = "chain broken",
        [AUDIT_FAULT_SEQ] = "records are missing before it",
        [AUDIT_FAULT_MAC] = "MAC wrong",
        [AUDIT_FAULT_TORN] = "torn: the last line has no end",
        [AUDIT_FAULT_CUT] = "the log ends before the checkpoint",
        [AUDIT_FAULT_CHECKPOINT] = "not the record that the checkpoint names",
};

const char *audit_fault_text(enum audit_fault fault) {
        return (unsigned)fault < AUDIT_FAULT_COUNT ? fault_texts[fault] : "unknown";
}

int audit_verifier_new(struct audit_verifier **ret, const struct audit_verify *params) {
        struct audit_verifier *v = calloc(1, sizeof(*v));

        if (!v)
                return -ENOMEM;
        v->params = *params;
        if (params->checkpoint) {
                v->checkpoint = *params->checkpoint;
                v->params.checkpoint = &v->checkpoint;
        }
        chain_init(&v->chain, params->key, params->key_seq);
        v->params.key = NULL; /* the chain has it: the caller may wipe its own */
        *ret = v;
        return 0;
}

struct audit_verifier *audit_verifier_free(struct audit_verifier *v) {
        if (v) {
                chain_done(&v->chain);
                splitter_done(&v->splitter);
                free(v);
        }
        return NULL;
}

static void found(struct audit_verifier *v, enum audit_fault fault, uint64_t line, uint64_t seq) {
        struct audit_finding finding = { .fault = fault, .line = line, .seq = seq };

        v->result.faults++;
        if (v->params.fn)
                v->params.fn(&finding, v->params.userdata);
}

static void on_line(const char *line, size_t len, void *userdata) {
        static const struct {
                unsigned mask;
                enum audit_fault fault;
        } table[] = {
                { CHAIN_FORMAT, AUDIT_FAULT_FORMAT },
                { CHAIN_BROKEN, AUDIT_FAULT_CHAIN },
                { CHAIN_JUMP, AUDIT_FAULT_SEQ },
                { CHAIN_MAC, AUDIT_FAULT_MAC },
        };
        struct audit_verifier *v = userdata;
        uint64_t seq = 0;
        unsigned faults = chain_step(&v->chain, line, len, &seq);

        v->result.lines++;
        v->result.last_seq = seq;
        for (size_t i = 0; i < ARRAY_SIZE(table); i++)
                if (faults & table[i].mask)
                        found(v, table[i].fault, v->result.lines, seq);
        if (!v->params.checkpoint || v->checkpoint_seen || seq != v->checkpoint.seq)
                return;
        v->checkpoint_seen = true;
        v->result.tail_checked = secret_equal(v->chain.prev, v->checkpoint.hash, HASH_BYTES);
        if (!v->result.tail_checked)
                found(v, AUDIT_FAULT_CHECKPOINT, v->result.lines, seq);
}

int audit_verifier_feed(struct audit_verifier *v, const void *data, size_t len) {
        return splitter_feed(&v->splitter, data, len, on_line, v);
}

void audit_verifier_finish(struct audit_verifier *v, struct audit_verified *ret) {
        if (splitter_pending(&v->splitter))
                found(v, AUDIT_FAULT_TORN, v->result.lines + 1, v->chain.next);
        if (v->params.checkpoint && !v->checkpoint_seen)
                found(v, AUDIT_FAULT_CUT, v->result.lines, v->checkpoint.seq);
        memcpy(v->result.last_hash, v->chain.prev, HASH_BYTES);
        v->result.macs_checked = v->chain.macs_checked;
        *ret = v->result;
}

DEFINE_CLEANUP(struct audit_verifier *, verifier, audit_verifier_free)

int audit_verify_stream(int fd, const struct audit_verify *params, struct audit_verified *ret) {
        __attribute__((cleanup(cleanup_verifier))) struct audit_verifier *v = NULL;
        AUTO_FREE char *chunk = malloc(CHUNK_BYTES);
        int r = audit_verifier_new(&v, params);

        if (r < 0 || !chunk)
                return -ENOMEM;
        for (;;) {
                ssize_t n = read(fd, chunk, CHUNK_BYTES);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return -errno;
                if (n == 0)
                        break;
                r = audit_verifier_feed(v, chunk, (size_t)n);
                if (r < 0)
                        return r;
        }
        audit_verifier_finish(v, ret);
        return 0;
}
