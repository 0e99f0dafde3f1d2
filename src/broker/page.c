/* SPDX-License-Identifier: Apache-2.0 */
#include "broker/page.h"

static const char head[] =
        "<!doctype html>\n"
        "<html lang=\"en\">\n"
        "<head>\n"
        "<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
        "<title>mcp-broker</title>\n"
        "<style>\n"
        "body { font: 18px/1.5 system-ui, sans-serif; max-width: 36em; margin: 4em auto; padding: "
        "0 1em;\n"
        "       color: #1c1c1c; background: #fff; }\n"
        "h1 { font-size: 1.5em; }\n"
        "code { overflow-wrap: anywhere; }\n"
        ".good { color: #0a5c2b; }\n"
        ".bad { color: #8c1d18; }\n"
        "@media (prefers-color-scheme: dark) {\n"
        "  body { color: #eee; background: #161616; } .good { color: #7ddf9f; } .bad { color: "
        "#ffb4ab; } }\n"
        "</style>\n"
        "</head>\n"
        "<body>\n"
        "<main>\n";
static const char foot[] = "</main>\n</body>\n</html>\n";

static int escaped(struct buf *b, const char *text) {
        for (; *text; text++) {
                const char *entity = NULL;
                int r;

                switch (*text) {
                case '&':
                        entity = "&amp;";
                        break;
                case '<':
                        entity = "&lt;";
                        break;
                case '>':
                        entity = "&gt;";
                        break;
                case '"':
                        entity = "&quot;";
                        break;
                case '\'':
                        entity = "&#39;";
                        break;
                default:
                        break;
                }
                r = entity ? buf_append_str(b, entity) : buf_append(b, text, 1);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int element(struct buf *b, const char *before, const char *text, const char *after) {
        int r = buf_append_str(b, before);

        if (r == 0)
                r = escaped(b, text);
        if (r == 0)
                r = buf_append_str(b, after);
        return r;
}

int page_success(struct buf *html, const char *server, const char *url) {
        int r = buf_append_str(html, head);

        if (r == 0)
                r = element(html, "<h1 class=\"good\">Connected: ", server, "</h1>\n");
        if (r == 0)
                r = element(html, "<p>mcp-broker now holds the login for <code>", url,
                            "</code>.</p>\n");
        if (r == 0)
                r = buf_append_str(
                        html, "<p>You can close this page and go back to your terminal.</p>\n");
        return r == 0 ? buf_append_str(html, foot) : r;
}

int page_failure(struct buf *html, const char *server, const struct error *err) {
        int r = buf_append_str(html, head);

        if (r == 0)
                r = element(html, "<h1 class=\"bad\">Not connected", server ? ": " : "", "");
        if (r == 0)
                r = element(html, "", server ? server : "", "</h1>\n");
        if (r == 0)
                r = element(html, "<p>", err->message, "</p>\n");
        if (r == 0 && err->hint[0])
                r = element(html, "<p>", err->hint, "</p>\n");
        return r == 0 ? buf_append_str(html, foot) : r;
}
