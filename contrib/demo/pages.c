/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consent page and error page.
 */
#include "pages.h"

#include <stdlib.h>
#include <string.h>

#define HEAD "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"

static const char style[] =
        "body{font:1em/1.5 sans-serif;max-width:36em;margin:3em auto;padding:0 1em}"
        "dt{font-weight:bold}dd{margin:0 0 .8em;overflow-wrap:anywhere}"
        "button{font:inherit;padding:.4em 1.4em;margin-right:1em}";

static void escape(struct text *t, const char *s) {
        for (; *s; s++) {
                if (*s == '&')
                        text_puts(t, "&amp;");
                else if (*s == '<')
                        text_puts(t, "&lt;");
                else if (*s == '>')
                        text_puts(t, "&gt;");
                else if (*s == '"')
                        text_puts(t, "&quot;");
                else if (*s == '\'')
                        text_puts(t, "&#39;");
                else
                        text_add(t, s, 1);
        }
}

/* Browsers apply form-action to the redirect behind the form too, so it names the client. */
static void page_send(struct request *r, unsigned status, struct text *t,
                      const char *redirect_uri) {
        char *hash = sha256_base64(style);
        size_t n = t->n;
        struct url u;

        reply_take(r, status, "text/html; charset=utf-8", text_take(t), n);
        if (redirect_uri && url_split(redirect_uri, &u))
                reply_header(r, "Content-Security-Policy",
                             "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
                             "frame-ancestors 'none'; form-action 'self' %s://%s%s%s",
                             hash, u.scheme, u.host, u.port[0] ? ":" : "", u.port);
        else
                reply_header(r, "Content-Security-Policy",
                             "default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; "
                             "frame-ancestors 'none'; form-action 'none'",
                             hash);
        reply_header(r, "Cache-Control", "no-store");
        reply_header(r, "Referrer-Policy", "no-referrer");
        reply_header(r, "X-Content-Type-Options", "nosniff");
        reply_header(r, "X-Frame-Options", "DENY");
        free(hash);
}

static void scope_list(struct text *t, const char *scope) {
        while (*scope) {
                size_t n = strcspn(scope, " ");
                char *word = mem_copy(scope, n);

                text_puts(t, "<dd><code class=\"scope\">");
                escape(t, word);
                text_puts(t, "</code></dd>\n");
                free(word);
                scope += n;
                scope += strspn(scope, " ");
        }
}

static void row(struct text *t, const char *title, const char *id, const char *value) {
        text_printf(t, "<dt>%s</dt><dd id=\"%s\">", title, id);
        escape(t, value);
        text_puts(t, "</dd>\n");
}

void pages_consent(struct request *r, const struct consent *c) {
        struct text t = { 0 };

        text_puts(&t, HEAD "<title>Allow access?</title>\n");
        text_printf(&t, "<style>%s</style>\n</head>\n<body>\n<h1>Allow access?</h1>\n<p><strong>",
                    style);
        escape(&t, c->client_name);
        text_puts(&t, "</strong> asks to use a server in your name.</p>\n<dl>\n");
        row(&t, "Program", "client", c->client_name);
        row(&t, "Server", "resource", c->resource);
        text_puts(&t, "<dt>It may use</dt>\n");
        scope_list(&t, c->scope);
        if (c->redirect_uri)
                row(&t, "The answer goes to", "redirect", c->redirect_uri);
        else
                row(&t, "Its code", "code", c->ticket);
        text_puts(&t, "</dl>\n<form method=\"post\" action=\"");
        escape(&t, c->issuer);
        text_printf(&t, "/%s\">\n<input type=\"hidden\" name=\"%s\" value=\"",
                    c->redirect_uri ? "authorize" : "device",
                    c->redirect_uri ? "ticket" : "user_code");
        escape(&t, c->ticket);
        text_puts(&t, "\">\n"
                      "<button id=\"allow\" name=\"decision\" value=\"allow\">Allow</button>\n"
                      "<button id=\"deny\" name=\"decision\" value=\"deny\">Deny</button>\n"
                      "</form>\n</body>\n</html>\n");
        page_send(r, 200, &t, c->redirect_uri ? c->redirect_uri : c->issuer);
}

void pages_code(struct request *r, const char *issuer) {
        struct text t = { 0 };

        text_puts(&t, HEAD "<title>Connect a device</title>\n");
        text_printf(&t, "<style>%s</style>\n</head>\n<body>\n<h1>Connect a device</h1>\n", style);
        text_puts(&t, "<form method=\"get\" action=\"");
        escape(&t, issuer);
        text_puts(&t, "/device\">\n<p><label>Code: <input id=\"code\" name=\"user_code\" "
                      "autocomplete=\"off\"></label></p>\n"
                      "<button id=\"next\">Next</button>\n</form>\n</body>\n</html>\n");
        page_send(r, 200, &t, issuer);
}

void pages_done(struct request *r) {
        struct text t = { 0 };

        text_puts(&t, HEAD "<title>Done</title>\n");
        text_printf(&t, "<style>%s</style>\n</head>\n<body>\n<h1>Done</h1>\n", style);
        text_puts(&t, "<p>You can go back to your device.</p>\n</body>\n</html>\n");
        page_send(r, 200, &t, NULL);
}

void pages_error(struct request *r, const char *text) {
        struct text t = { 0 };

        text_puts(&t, HEAD "<title>This did not work</title>\n");
        text_printf(&t, "<style>%s</style>\n</head>\n<body>\n<h1>This did not work</h1>\n<p>",
                    style);
        escape(&t, text);
        text_puts(&t, "</p>\n</body>\n</html>\n");
        page_send(r, 400, &t, NULL);
}
