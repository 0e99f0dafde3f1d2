/* SPDX-License-Identifier: Apache-2.0 */
#include "oauth/discover.h"

#include <assert.h>
#include <strings.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/url.h"
#include "base/utf8.h"
#include "oauth/fields.h"
#include "oauth/remote.h"

#define ANY_ADDRESS (ADDRESS_PUBLIC | ADDRESS_PRIVATE | ADDRESS_LOOPBACK)
#define WWW_AUTHENTICATE_MAX 32

/* What a client of any revision says first; a server that wants authorization refuses it before
 * it reads it. */
#define PROBE_VERSION "2025-11-25"
/* The last revision of those in which a server is its own issuer. */
#define OWN_VERSION "2025-03-26"
#define PROBE_BODY                                                                                 \
        "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{\"protocolVersion\":" \
        "\"" PROBE_VERSION "\",\"capabilities\":{},\"clientInfo\":{\"name\":\"mcp-broker\","       \
        "\"version\":\"1\"}}}"

enum state {
        STATE_NEW,
        STATE_PROBE, /* the server itself was asked */
        STATE_PRM,   /* protected resource metadata */
        STATE_AS,    /* the issuer's metadata */
        STATE_OWN,   /* that of a server that is its own issuer (2025-03-26) */
        STATE_DONE,
        STATE_FAILED,
        STATE_COUNT,
};

static const char *const state_names[STATE_COUNT] = {
        [STATE_NEW] = "new", [STATE_PROBE] = "probe", [STATE_PRM] = "prm",       [STATE_AS] = "as",
        [STATE_OWN] = "own", [STATE_DONE] = "done",   [STATE_FAILED] = "failed",
};

#define TO(s) (1u << (s))
static const unsigned allowed[STATE_COUNT] = {
        [STATE_NEW] = TO(STATE_PROBE) | TO(STATE_PRM) | TO(STATE_FAILED),
        [STATE_PROBE] = TO(STATE_PRM) | TO(STATE_DONE) | TO(STATE_FAILED),
        [STATE_PRM] =
                TO(STATE_PRM) | TO(STATE_AS) | TO(STATE_OWN) | TO(STATE_DONE) | TO(STATE_FAILED),
        [STATE_AS] = TO(STATE_AS) | TO(STATE_DONE) | TO(STATE_FAILED),
        [STATE_OWN] = TO(STATE_DONE) | TO(STATE_FAILED),
};

struct discover {
        enum state state;
        char *server_url;
        struct url server;
        char *recorded_prm_url;
        char **known;
        size_t n_known;
        char *configured_issuer;
        struct as_metadata cached_as;
        enum as_use use;
        unsigned server_allow;
        unsigned metadata_allow;
        bool given;     /* a challenge was given: the probe only asks for the link */
        char *url;      /* of the request under way */
        unsigned index; /* which of the places to look it is */
        bool linked;    /* the PRM's URL came from the server */
        struct prm prm;
        unsigned probe_status;
        struct buf tried; /* places that had nothing, for the message */
        struct discover_result result;
};

static void set_state(struct discover *d, enum state to) {
        assert(allowed[d->state] & TO(to));
        log_debug("discovery of %s: %s -> %s", d->server_url, state_names[d->state],
                  state_names[to]);
        d->state = to;
}

/* The only way out with an error. */
static int fail(struct discover *d, int r) {
        if (d->state != STATE_FAILED)
                set_state(d, STATE_FAILED);
        return r;
}

static bool is_server_origin(const struct discover *d, const char *url) {
        AUTO_URL struct url u = URL_INIT;

        return url_parse(&u, url, "URL", NULL) == 0 && url_same_origin(&u, &d->server);
}

/* A server at a link-local address is none, and takes nobody there: what is not one of the classes
 * that a server may have is as good as unknown. */
static void note_reached(struct discover *d, enum address_class reached) {
        d->result.reached = reached & ANY_ADDRESS ? reached : 0;
}

/* A226: what metadata names may be public, or of the class that the server was reached at. */
static unsigned metadata_mask(const struct discover *d) {
        if (d->metadata_allow)
                return d->metadata_allow;
        if (d->result.reached)
                return ADDRESS_PUBLIC | d->result.reached;
        if (d->server_allow != ANY_ADDRESS)
                return ADDRESS_PUBLIC | d->server_allow;
        return ADDRESS_PUBLIC | (url_host_is_loopback(&d->server) ? ADDRESS_LOOPBACK : 0);
}

static unsigned mask_for(const struct discover *d, const char *url) {
        return is_server_origin(d, url) ? d->server_allow : metadata_mask(d);
}

static int set_url(struct discover *d, const char *url, struct error *err) {
        char *copy = strdup(url);

        if (!copy)
                return error_oom(err);
        free(d->url);
        d->url = copy;
        return 0;
}

static int warn(struct discover *d, const char *about, const char *text) {
        AUTO_BUF struct buf b = BUF_INIT;
        char *warning;
        int r = 0;

        if (d->result.warning)
                r = buf_printf(&b, "%s; ", d->result.warning);
        if (r == 0)
                r = buf_printf(&b, "%s %s", about, text);
        warning = r == 0 ? utf8_clean_dup(b.data, b.len, 2 * LIMIT_FOREIGN_TEXT) : NULL;
        if (!warning)
                return -ENOMEM;
        free(d->result.warning);
        d->result.warning = warning;
        return 0;
}

static int note_tried(struct discover *d, const struct fetch_answer *a, struct error *err) {
        int r = buf_printf(&d->tried, "%s%s (%s %u)", d->tried.len > 0 ? ", " : "", d->url,
                           a->status == 200 ? "not JSON, HTTP" : "HTTP", a->status);

        return r < 0 ? error_oom(err) : 0;
}

/* What we cannot do, said before anything is registered or a browser opened (A35, A36). */
static int check_demands(struct discover *d, struct error *err) {
        d->result.dpop_required = d->prm.dpop_required || d->result.challenge.dpop_only;
        d->result.mtls_required = d->prm.mtls_required;
        if (d->result.mtls_required)
                return error_set(err, MCPB_UNSUPPORTED, EOPNOTSUPP,
                                 "This version has no client certificates",
                                 "The server %s takes only tokens that are bound to a client "
                                 "certificate",
                                 d->server_url);
        return 0;
}

static int begin_well_known(struct discover *d, unsigned index, struct error *err) {
        AUTO_FREE char *url = NULL;
        int r = prm_location(d->server_url, index, &url, err);

        if (r <= 0)
                return r;
        r = set_url(d, url, err);
        if (r < 0)
                return r;
        d->index = index;
        d->linked = false;
        set_state(d, STATE_PRM);
        return 1;
}

/* A16, A25: the link if there is one, else the well-known places. */
static int begin_prm(struct discover *d, const char *link, struct error *err) {
        int r;

        if (!link) {
                r = begin_well_known(d, 0, err);
                return r < 0 ? r : 0;
        }
        r = remote_url_check(link, "link to the protected resource metadata", mask_for(d, link),
                             MCPB_SERVER_ERROR, err);
        if (r == 0)
                r = set_url(d, link, err);
        if (r < 0)
                return r;
        d->linked = true;
        set_state(d, STATE_PRM);
        return 0;
}

static int begin_probe(struct discover *d, struct error *err) {
        int r = set_url(d, d->server_url, err);

        if (r == 0)
                set_state(d, STATE_PROBE);
        return r;
}

static bool link_is_trusted(const struct discover *d, const char *link) {
        return is_server_origin(d, link) || streq_null(link, d->recorded_prm_url);
}

static int begin(struct discover *d, const struct discover_params *p, struct error *err) {
        const char *link = d->result.challenge.resource_metadata;
        int r;

        if (!p->challenge)
                return p->probe ? begin_probe(d, err) : begin_prm(d, NULL, err);
        r = check_demands(d, err);
        if (r < 0)
                return r;
        if (link && p->challenge_is_hint && !link_is_trusted(d, link))
                return begin_probe(d, err);
        return begin_prm(d, link, err);
}

static char *dup_null(const char *s, bool *oom) {
        char *copy = s ? strdup(s) : NULL;

        *oom = *oom || (s && !copy);
        return copy;
}

static int copy_params(struct discover *d, const struct discover_params *p) {
        bool oom = false;
        int r = 0;

        d->server_url = dup_null(p->server_url, &oom);
        d->recorded_prm_url = dup_null(p->recorded_prm_url, &oom);
        d->configured_issuer = dup_null(p->configured_issuer, &oom);
        d->use = p->use;
        d->server_allow = p->server_allow ? p->server_allow : ANY_ADDRESS;
        d->metadata_allow = p->metadata_allow;
        d->given = p->challenge;
        if (p->n_known > 0) {
                d->known = calloc(p->n_known, sizeof(*d->known));
                oom = oom || !d->known;
        }
        for (; d->known && d->n_known < p->n_known && !oom; d->n_known++)
                d->known[d->n_known] = dup_null(p->known_issuers[d->n_known], &oom);
        if (!oom && p->cached_as)
                r = as_metadata_copy(&d->cached_as, p->cached_as);
        if (!oom && r == 0 && p->challenge)
                r = challenge_copy(&d->result.challenge, p->challenge);
        return oom ? -ENOMEM : r;
}

int discover_new(const struct discover_params *params, struct discover **ret, struct error *err) {
        AUTO_DISCOVER struct discover *d = NULL;
        int r = url_check_allowed(params->server_url, "server URL", err);

        if (r < 0)
                return r;
        d = calloc(1, sizeof(*d));
        if (!d || copy_params(d, params) < 0)
                return error_oom(err);
        r = url_parse(&d->server, params->server_url, "server URL", err);
        if (r == 0)
                r = begin(d, params, err);
        if (r < 0)
                return r;
        *ret = TAKE(d);
        return 0;
}

struct discover *discover_free(struct discover *d) {
        if (!d)
                return NULL;
        free(d->server_url);
        url_done(&d->server);
        free(d->recorded_prm_url);
        text_list_done(&d->known, &d->n_known);
        free(d->configured_issuer);
        as_metadata_done(&d->cached_as);
        free(d->url);
        prm_done(&d->prm);
        buf_done(&d->tried);
        discover_result_done(&d->result);
        free(d);
        return NULL;
}

static int probe_request(struct fetch_request *f, const char *url) {
        int r = fetch_request_set(f, "POST", url);

        if (r == 0)
                r = fetch_request_add_header(f, "Accept", "application/json, text/event-stream");
        if (r == 0)
                r = fetch_request_add_header(f, "Content-Type", "application/json");
        if (r == 0)
                r = fetch_request_add_header(f, "MCP-Protocol-Version", PROBE_VERSION);
        if (r == 0)
                r = buf_append_str(&f->body, PROBE_BODY);
        return r;
}

int discover_next(struct discover *d, struct fetch_request *req) {
        int r;

        assert(d->state != STATE_FAILED);
        if (d->state == STATE_DONE)
                return 0;
        fetch_request_init(req);
        if (d->state == STATE_PROBE) {
                r = probe_request(req, d->url);
        } else {
                r = fetch_request_set(req, "GET", d->url);
                if (r == 0)
                        r = fetch_request_add_header(req, "Accept", "application/json");
                if (r == 0 && d->state == STATE_OWN)
                        r = fetch_request_add_header(req, "MCP-Protocol-Version", OWN_VERSION);
        }
        if (r < 0) {
                fetch_request_done(req);
                return r;
        }
        req->allow = mask_for(d, d->url);
        req->timeout_msec = LIMIT_FETCH_MSEC;
        req->body_max = LIMIT_METADATA_BYTES;
        return 1;
}

static int parse_challenge(struct challenge *c, const struct fetch_answer *a) {
        const char *values[WWW_AUTHENTICATE_MAX];
        size_t n = 0;

        for (size_t i = 0; i < a->n_headers && n < WWW_AUTHENTICATE_MAX; i++)
                if (strcasecmp(a->headers[i].name, "www-authenticate") == 0)
                        values[n++] = a->headers[i].value;
        return challenge_parse(c, values, n);
}

/* The server's own word: all of it, or only the link if a peer has said the rest. */
static int on_challenge(struct discover *d, const struct fetch_answer *a, struct error *err) {
        AUTO_CHALLENGE struct challenge c = CHALLENGE_INIT;
        enum challenge_meaning meaning;
        int r = parse_challenge(&c, a);

        if (r < 0)
                return error_oom(err);
        meaning = challenge_judge(&c, a->status);
        if (d->given) {
                free(d->result.challenge.resource_metadata);
                d->result.challenge.resource_metadata =
                        meaning == CHALLENGE_NONE ? NULL : TAKE(c.resource_metadata);
        } else if (meaning != CHALLENGE_NONE) {
                challenge_done(&d->result.challenge);
                d->result.challenge = c;
                c = CHALLENGE_INIT;
        }
        r = check_demands(d, err);
        return r < 0 ? r : begin_prm(d, d->result.challenge.resource_metadata, err);
}

static int feed_probe(struct discover *d, const struct fetch_answer *a, struct error *err) {
        const struct remote from = { REMOTE_SERVER, "MCP server", d->url };
        bool success = a->status >= 200 && a->status <= 299;

        note_reached(d, a->reached);
        /* A stream that goes on for ever is an answer too. */
        if (a->outcome != FETCH_ANSWERED && !(a->outcome == FETCH_NO_ANSWER && success))
                return remote_no_answer(&from, a, err);
        d->probe_status = a->status;
        if (success && !d->given) {
                d->result.open = true;
                set_state(d, STATE_DONE);
                return 0;
        }
        if (!success && (a->status < 400 || remote_is_transient(a->status)))
                return remote_bad_status(&from, a, err);
        return on_challenge(d, a, err);
}

static int no_prm(const struct discover *d, struct error *err) {
        const char *tried = d->tried.data ? d->tried.data : "";

        if (d->linked)
                return error_set(err, MCPB_SERVER_ERROR, ENOENT,
                                 "Report it to whoever runs the server",
                                 "The server %s links to protected resource metadata that is not "
                                 "there: %s",
                                 d->server_url, tried);
        if (d->probe_status == 404 || d->probe_status == 405)
                return error_set(err, MCPB_SERVER_ERROR, ENOENT,
                                 "Check the URL: it must be that of an MCP endpoint",
                                 "%s answered with HTTP status %u and has no protected resource "
                                 "metadata: %s",
                                 d->server_url, d->probe_status, tried);
        return error_set(err, MCPB_SERVER_ERROR, ENOENT,
                         "The server must name its authorization server (RFC 9728); report it to "
                         "whoever runs it",
                         "The server %s asks for authorization but has no protected resource "
                         "metadata: %s",
                         d->server_url, tried);
}

/* A33: a list that lacks us is no reason to stop, but worth a line in the log. */
static int finish(struct discover *d, struct error *err) {
        struct discover_result *res = &d->result;
        bool listed = !res->as.has_protected_resources;
        int r;

        for (size_t i = 0; i < res->as.n_protected_resources && !listed; i++)
                listed = streq(res->as.protected_resources[i], res->resource);
        r = as_metadata_check(&res->as, d->use, err);
        if (r < 0)
                return r;
        if (!listed)
                r = warn(d, res->resource, "is not among the resources that its issuer lists");
        if (r == 0 && d->prm.n_dropped_scopes + res->challenge.n_dropped_scopes > 0)
                r = warn(d, d->server_url, "names scopes that are none; they were left out");
        if (r == 0 && (res->challenge.cut || res->challenge.n_repeated > 0))
                r = warn(d, d->server_url, "sends a faulty WWW-Authenticate field");
        if (r < 0)
                return error_oom(err);
        set_state(d, STATE_DONE);
        return 0;
}

static int begin_as(struct discover *d, unsigned index, struct error *err) {
        AUTO_FREE char *url = NULL;
        int r = as_metadata_location(d->result.issuer, index, &url);

        if (r <= 0)
                return r < 0 ? error_oom(err) : 0;
        r = set_url(d, url, err);
        if (r < 0)
                return r;
        d->index = index;
        set_state(d, STATE_AS);
        return 1;
}

static int on_prm(struct discover *d, struct error *err) {
        struct discover_result *res = &d->result;
        const char *issuer = "";
        int r = check_demands(d, err);

        if (r == 0)
                r = prm_choose_issuer(&d->prm, d->configured_issuer, (const char *const *)d->known,
                                      d->n_known, &issuer, err);
        if (r == 0)
                r = as_issuer_check_within(issuer, mask_for(d, issuer), err);
        if (r < 0)
                return r;
        res->issuer = strdup(issuer);
        res->prm_url = strdup(d->url);
        if (!res->issuer || !res->prm_url)
                return error_oom(err);
        res->resource = TAKE(d->prm.resource);
        res->prm_scopes = d->prm.scopes;
        d->prm.scopes = SCOPE_SET_INIT;
        res->has_prm_scopes = d->prm.has_scopes;
        buf_clear(&d->tried);
        if (streq_null(d->cached_as.issuer, res->issuer)) {
                res->as = d->cached_as;
                d->cached_as = AS_METADATA_INIT;
                res->as_from_cache = true;
                return finish(d, err);
        }
        r = begin_as(d, 0, err);
        return r < 0 ? r : 0;
}

/* 1: the document is here; 0: this place has none; -errno: the attempt ends (A27, A57). */
static int judge_answer(const struct remote *from, const struct fetch_answer *a,
                        struct error *err) {
        if (a->outcome != FETCH_ANSWERED)
                return remote_no_answer(from, a, err);
        if (a->status == 200)
                return 1;
        if (a->status < 200 || (a->status >= 300 && a->status <= 399) ||
            remote_is_transient(a->status))
                return remote_bad_status(from, a, err);
        return 0;
}

/* --- A server that is its own issuer (2025-03-26) -------------------------------------------- */

/*
 * A46: it has asked for authorization, has linked to nothing, and each place for metadata of the
 * resource has said that there is none. One that had such metadata once is not believed to be an
 * old one: who takes that away would choose the issuer.
 */
static bool may_be_own_issuer(const struct discover *d) {
        bool asked = d->probe_status ? d->probe_status == 401 : d->given;

        return asked && !d->linked && !d->recorded_prm_url;
}

/* A47: below the server's origin, whatever path the server has. What the user has configured needs
 * no such guess. */
static int begin_own(struct discover *d, struct error *err) {
        struct discover_result *res = &d->result;
        AUTO_FREE char *origin = url_origin(&d->server);
        AUTO_FREE char *url = NULL;
        int r;

        free(res->resource);
        res->resource = strdup(d->server_url); /* A53 */
        res->issuer = d->configured_issuer ? strdup(d->configured_issuer) : TAKE(origin);
        if (!res->resource || !res->issuer)
                return error_oom(err);
        r = as_issuer_check_within(res->issuer, mask_for(d, res->issuer), err);
        if (r < 0)
                return r;
        buf_clear(&d->tried);
        if (d->configured_issuer) {
                r = begin_as(d, 0, err);
                return r < 0 ? r : 0;
        }
        r = as_metadata_location(res->issuer, 0, &url) == 1 ? set_url(d, url, err) : error_oom(err);
        if (r == 0)
                set_state(d, STATE_OWN);
        return r;
}

static int feed_own(struct discover *d, const struct fetch_answer *a, struct error *err) {
        struct discover_result *res = &d->result;
        const struct remote from = { REMOTE_ISSUER, "authorization server metadata", d->url };
        const struct as_source source = { res->issuer, d->url, metadata_mask(d), true };
        int r = judge_answer(&from, a, err);

        if (r < 0)
                return r;
        r = r == 1 ? as_metadata_parse(&res->as, &source, a, err) : -ENODATA;
        if (r == -ENODATA) {
                r = as_metadata_default(&res->as, res->issuer, err);
                if (r == 0 && warn(d, d->server_url,
                                   "has no metadata; the endpoints of 2025-03-26 are used") < 0)
                        r = error_oom(err);
        }
        if (r < 0)
                return r;
        free(res->issuer);
        res->issuer = strdup(res->as.issuer); /* A50 */
        return res->issuer ? finish(d, err) : error_oom(err);
}

static int feed_prm(struct discover *d, const struct fetch_answer *a, struct error *err) {
        const struct remote from = { REMOTE_SERVER, "protected resource metadata", d->url };
        int r = judge_answer(&from, a, err);

        if (r < 0)
                return r;
        if (is_server_origin(d, d->url))
                note_reached(d, a->reached);
        if (r == 1) {
                r = prm_parse(&d->prm, d->server_url, d->url, &a->body, err);
                if (r == 0)
                        return on_prm(d, err);
                if (r != -ENODATA)
                        return r;
        }
        r = note_tried(d, a, err);
        if (r == 0 && !d->linked)
                r = begin_well_known(d, d->index + 1, err);
        if (r != 0)
                return r < 0 ? r : 0;
        return may_be_own_issuer(d) ? begin_own(d, err) : no_prm(d, err);
}

static int feed_as(struct discover *d, const struct fetch_answer *a, struct error *err) {
        const struct remote from = { REMOTE_ISSUER, "authorization server metadata", d->url };
        const struct as_source source = { d->result.issuer, d->url, metadata_mask(d), false };
        int r = judge_answer(&from, a, err);

        if (r < 0)
                return r;
        if (r == 1) {
                r = as_metadata_parse(&d->result.as, &source, a, err);
                if (r == 0)
                        return finish(d, err);
                if (r != -ENODATA)
                        return r;
        }
        r = note_tried(d, a, err);
        if (r == 0)
                r = begin_as(d, d->index + 1, err);
        if (r != 0)
                return r < 0 ? r : 0;
        return error_set(err, MCPB_ISSUER_ERROR, ENOENT,
                         "Report it to whoever runs the server or the authorization server",
                         "The server %s names the authorization server %s, which has no metadata: "
                         "%s",
                         d->server_url, d->result.issuer, d->tried.data ? d->tried.data : "");
}

int discover_feed(struct discover *d, const struct fetch_answer *answer, struct error *err) {
        int r;

        switch (d->state) {
        case STATE_PROBE:
                r = feed_probe(d, answer, err);
                break;
        case STATE_PRM:
                r = feed_prm(d, answer, err);
                break;
        case STATE_AS:
                r = feed_as(d, answer, err);
                break;
        case STATE_OWN:
                r = feed_own(d, answer, err);
                break;
        case STATE_NEW:
        case STATE_DONE:
        case STATE_FAILED:
        case STATE_COUNT:
        default:
                return error_set(err, MCPB_INTERNAL, EPROTO, NULL,
                                 "An answer came that no discovery had asked for");
        }
        return r < 0 ? fail(d, r) : 0;
}

const struct discover_result *discover_result(const struct discover *d) {
        return &d->result;
}

void discover_take_result(struct discover *d, struct discover_result *ret) {
        *ret = d->result;
        d->result = (struct discover_result){ 0 };
}

void discover_result_done(struct discover_result *r) {
        free(r->resource);
        free(r->prm_url);
        free(r->issuer);
        as_metadata_done(&r->as);
        scope_set_done(&r->prm_scopes);
        challenge_done(&r->challenge);
        free(r->warning);
        *r = (struct discover_result){ 0 };
}
