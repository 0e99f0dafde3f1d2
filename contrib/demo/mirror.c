/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mcp-Method, Mcp-Name, Mcp-Param-*.
 */
#include "mirror.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "catalog.h"

#define WRAP_BEGIN "=?base64?"
#define WRAP_END "?="

/* The value of a header as text, or NULL: not there, or badly wrapped. */
static char *header_text(const struct exchange *x, const char *name) {
        const char *value = request_header(x->request, name);
        size_t n_begin = strlen(WRAP_BEGIN);
        size_t n_end = strlen(WRAP_END);
        size_t n = value ? strlen(value) : 0;
        unsigned char *bytes;
        size_t n_bytes = 0;
        char *text = NULL;

        if (!value)
                return NULL;
        if (n < n_begin + n_end || strncmp(value, WRAP_BEGIN, n_begin) != 0 ||
            strcmp(value + n - n_end, WRAP_END) != 0)
                return mem_string(value);
        n -= n_begin + n_end;
        bytes = mem_new(n + 1);
        if (sodium_base642bin(bytes, n + 1, value + n_begin, n, NULL, &n_bytes, NULL,
                              sodium_base64_VARIANT_ORIGINAL) == 0)
                text = mem_copy(bytes, n_bytes);
        free(bytes);
        return text;
}

static bool header_says(const struct exchange *x, const char *name, const char *wanted) {
        const char *raw = request_header(x->request, name);
        char *text = header_text(x, name);
        bool same = text && wanted && strcmp(text, wanted) == 0;

        for (const char *p = raw; p && *p; p++)
                if (*p < 0x20 || *p > 0x7e) /* should have been wrapped */
                        same = false;
        free(text);
        return same;
}

static bool argument_mirrored(const struct exchange *x, const json_t *annotation,
                              const json_t *value) {
        char *name = mem_printf("Mcp-Param-%s", json_string_value(annotation));
        char *wanted = NULL;
        bool good;

        if (json_is_string(value))
                wanted = mem_string(json_string_value(value));
        else if (json_is_integer(value))
                wanted = mem_printf("%lld", (long long)json_integer_value(value));
        else if (json_is_boolean(value))
                wanted = mem_string(json_is_true(value) ? "true" : "false");
        good = wanted ? header_says(x, name, wanted) : !request_header(x->request, name);
        free(wanted);
        free(name);
        return good;
}

static bool arguments_mirrored(const struct exchange *x, const json_t *schema,
                               const json_t *arguments) {
        json_t *properties = json_object_get(schema, "properties");
        const char *key;
        json_t *property;

        json_object_foreach(properties, key, property) {
                const json_t *value = json_object_get(arguments, key);
                const json_t *annotation = json_object_get(property, "x-mcp-header");

                if (annotation && !argument_mirrored(x, annotation, value))
                        return false;
                if (!arguments_mirrored(x, property, value))
                        return false;
        }
        return true;
}

const char *mirror_complaint(const struct exchange *x) {
        const json_t *params = json_object_get(x->message, "params");
        const char *method = json_string_value(json_object_get(x->message, "method"));
        bool call = strcmp(method, "tools/call") == 0;
        const char *name = NULL;
        json_t *tools;
        bool good;

        if (!header_says(x, "Mcp-Method", method))
                return "Mcp-Method is not the method";
        if (call || strcmp(method, "prompts/get") == 0)
                name = json_string_value(json_object_get(params, "name"));
        else if (strcmp(method, "resources/read") == 0)
                name = json_string_value(json_object_get(params, "uri"));
        if (name && !header_says(x, "Mcp-Name", name))
                return "Mcp-Name is not the name";
        if (!call || !name)
                return NULL;
        tools = catalog_tools(x->demo);
        good = arguments_mirrored(x, catalog_schema(x->demo, tools, name),
                                  json_object_get(params, "arguments"));
        json_decref(tools);
        return good ? NULL : "an Mcp-Param header is not its argument";
}
