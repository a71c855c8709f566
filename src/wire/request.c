/*
 * One line as a JSON-RPC request: first the document, then the id, so that every later error can name it, then the
 * other members of the envelope; params.c reads the rest. All that is read stays in the document, which lives as long
 * as the request. Most lines do not come that far: quick_read.c takes what is plain.
 */
#include "redlockd/wire/request.h"

#include "redlockd/base/mem.h"
#include "redlockd/wire/codec.h"
#include "redlockd/wire/params.h"
#include "redlockd/wire/quick.h"

#include <errno.h>

#define READ_FLAGS (JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL)

static const char id_null[] = "null";

/* Puts the document where it is; *ret_wide: its numbers are all reals. */
static int request_document(struct wire_request *r, struct text line, bool *ret_wide)
{
        json_t *document = NULL;
        json_error_t error;
        bool wide = false;
        int result;

        result = codec_read(line, READ_FLAGS, &document, &error);
        if (result == -EINVAL && json_error_code(&error) == json_error_numeric_overflow) {
                /* Valid JSON all the same: read so that the number is refused where it stands, with its path and id. */
                wide = true;
                result = codec_read(line, READ_FLAGS | JSON_DECODE_INT_AS_REAL, &document, &error);
        }
        if (result == -ENOMEM)
                return result;
        if (result < 0) {
                wire_error_set(&r->error, ERROR_PARSE, "", "Not a line of JSON: %s", error.text);
                if (json_error_code(&error) == json_error_stack_overflow) {
                        r->error.what = "nesting";
                        r->error.limit = JSON_PARSER_MAX_DEPTH;
                }
                return 0;
        }
        r->document = document;
        *ret_wide = wide;
        return 0;
}

static int request_id(struct wire_request *r, bool wide, const json_t *id)
{
        json_t *integer;
        int64_t number;
        char *text;
        int result;

        if (json_is_string(id)) {
                result = codec_text(id, &text);
        } else if (params_integer(id, wide, &number)) {
                integer = json_integer(number);
                result = integer ? codec_text(integer, &text) : -ENOMEM;
                json_decref(integer);
        } else {
                wire_error_set(&r->error, ERROR_INVALID_REQUEST, "", "The id must be a string or an integer.");
                return 0;
        }
        if (result < 0)
                return result;
        if (strlen(text) > REQUEST_ID_BYTES_MAX) {
                mem_free(text);
                wire_error_set(&r->error, ERROR_INVALID_REQUEST, "", "The id is longer than %d bytes.",
                               REQUEST_ID_BYTES_MAX);
                return 0;
        }
        r->id = r->id_text = text;
        return 0;
}

static bool request_is_member(const char *name)
{
        return strcmp(name, "jsonrpc") == 0 || strcmp(name, "method") == 0 || strcmp(name, "params") == 0 ||
               strcmp(name, "id") == 0;
}

/* Everything of the envelope but the id and what is in the params. */
static void request_envelope(struct wire_request *r)
{
        json_t *value, *version = json_object_get(r->document, "jsonrpc");
        const char *name;

        if (version && (!json_is_string(version) || json_string_length(version) != 3 ||
                        strcmp(json_string_value(version), "2.0") != 0)) {
                wire_error_set(&r->error, ERROR_INVALID_REQUEST, "", "jsonrpc must be \"2.0\".");
                return;
        }
        json_object_foreach(r->document, name, value)
        {
                if (!request_is_member(name)) {
                        wire_error_set(&r->error, ERROR_INVALID_REQUEST, "", "\"%s\" is not a member of a request.",
                                       name);
                        return;
                }
        }
        if (!json_is_string(json_object_get(r->document, "method"))) {
                wire_error_set(&r->error, ERROR_INVALID_REQUEST, "", "The method must be a string.");
                return;
        }
        r->notification = version && !json_object_get(r->document, "id");
}

static void request_method(struct wire_request *r)
{
        const json_t *value = json_object_get(r->document, "method");
        struct text name = { json_string_value(value), json_string_length(value) };
        int method;

        for (method = 0; method < METHODS_N; ++method) {
                if (text_equal(name, text_of(method_name(method)))) {
                        r->request.method = method;
                        return;
                }
        }
        wire_error_set(&r->error, ERROR_METHOD_NOT_FOUND, "", "There is no method \"%.*s\".", (int)name.len, name.data);
}

/* Returns 0, also with an error set, or -ENOMEM. */
static int request_read(struct wire_request *r, struct text line, const struct request_rules *rules)
{
        const json_t *id;
        bool wide = false;
        int result;

        result = request_document(r, line, &wide);
        if (result < 0 || r->error.name != ERROR_NONE)
                return result;
        if (!json_is_object((json_t *)r->document)) {
                wire_error_set(&r->error, ERROR_INVALID_REQUEST, "", "%s",
                               json_is_array((json_t *)r->document) ? "Batches are not supported."
                                                                    : "A request must be an object.");
                return 0;
        }
        id = json_object_get(r->document, "id");
        if (id) {
                result = request_id(r, wide, id);
                if (result < 0 || r->error.name != ERROR_NONE)
                        return result;
        }
        request_envelope(r);
        if (r->error.name != ERROR_NONE)
                return 0;
        request_method(r);
        if (r->error.name != ERROR_NONE)
                return 0;
        params_defaults(&r->request, rules);
        return params_read(r, rules, wide, json_object_get(r->document, "params"));
}

static int request_finish(struct wire_request *r, int result, struct wire_request *ret_request)
{
        if (result < 0) {
                wire_request_deinit(r);
                return result;
        }
        *ret_request = *r;
        return 0;
}

int wire_request_parse(struct text line, const struct request_rules *rules, struct wire_request *ret_request)
{
        struct wire_request r = { .id = id_null };
        int result;

        result = quick_read(&r, line, rules);
        if (result == 0)
                result = request_read(&r, line, rules);
        return request_finish(&r, result, ret_request);
}

int wire_request_parse_long(struct text line, const struct request_rules *rules, struct wire_request *ret_request)
{
        struct wire_request r = { .id = id_null };

        return request_finish(&r, request_read(&r, line, rules), ret_request);
}

void wire_request_deinit(struct wire_request *r)
{
        json_decref(r->document);
        r->document = NULL;
        r->keys = mem_free(r->keys);
        r->id_text = mem_free(r->id_text);
        r->cancel_id_text = mem_free(r->cancel_id_text);
        r->request.keys = NULL;
        r->id = id_null;
        r->cancel_id = NULL;
}
