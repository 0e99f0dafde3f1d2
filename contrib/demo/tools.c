/* SPDX-License-Identifier: Apache-2.0 */
/*
 * generate_summary: the first sentence and the number of words. admin_report: a tool that needs
 * more scope than a first login asks for.
 */
#include "tools.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base.h"
#include "demo.h"

#define SENTENCE_MAX 400U
#define BLANKS " \t\r\n"

json_t *tools_list(void) {
        return json_pack("[{s:s, s:s, s:s, s:{s:s, s:{s:{s:s, s:s}}, s:[s]},"
                         "  s:{s:s, s:{s:{s:s}, s:{s:s}}, s:[s, s]}},"
                         " {s:s, s:s, s:s, s:{s:s, s:{}}}]",
                         "name", "generate_summary", "title", "Summary", "description",
                         "The first sentence of a text, and how many words it has.", "inputSchema",
                         "type", "object", "properties", "text", "type", "string", "description",
                         "the text to summarise", "required", "text", "outputSchema", "type",
                         "object", "properties", "summary", "type", "string", "words", "type",
                         "integer", "required", "summary", "words", "name", "admin_report", "title",
                         "Report", "description", "A report that needs the scope tools:admin.",
                         "inputSchema", "type", "object", "properties");
}

const char *tool_scope(const char *name) {
        if (strcmp(name, "generate_summary") == 0)
                return SCOPE_SUMMARY;
        if (strcmp(name, "admin_report") == 0)
                return SCOPE_ADMIN;
        return NULL;
}

static json_t *text_result(const char *text, bool is_error) {
        return json_pack("{s:[{s:s, s:s}], s:b}", "content", "type", "text", "text", text,
                         "isError", is_error);
}

/* A sentence ends with . ! or ? before a blank or the end. Cuts never split a UTF-8 character. */
static size_t sentence_length(const char *text) {
        size_t n = 0;

        for (; n < SENTENCE_MAX && text[n]; n++)
                if (strchr(".!?", text[n]) && (!text[n + 1] || strchr(BLANKS, text[n + 1])))
                        return n + 1;
        while (n > 0 && ((unsigned char)text[n] & 0xc0U) == 0x80U)
                n--;
        return n;
}

static json_int_t words_count(const char *text) {
        json_int_t n = 0;

        for (text += strspn(text, BLANKS); *text; text += strspn(text, BLANKS)) {
                text += strcspn(text, BLANKS);
                n++;
        }
        return n;
}

static json_t *generate_summary(const json_t *arguments) {
        const char *text = json_string_value(json_object_get(arguments, "text"));
        json_int_t n_words;
        char *sentence;
        char *line;
        json_t *result;

        if (!text)
                return text_result("generate_summary needs the argument text, a string", true);
        text += strspn(text, BLANKS);
        n_words = words_count(text);
        sentence = mem_copy(text, sentence_length(text));
        line = mem_printf("%s (%lld word%s)", sentence, (long long)n_words,
                          n_words == 1 ? "" : "s");
        result = text_result(line, false);
        json_object_set_new(result, "structuredContent",
                            json_pack("{s:s, s:I}", "summary", sentence, "words", n_words));
        free(line);
        free(sentence);
        return result;
}

json_t *tool_call(const char *name, const json_t *arguments) {
        if (strcmp(name, "generate_summary") == 0)
                return generate_summary(arguments);
        return text_result("All is well.", false);
}
