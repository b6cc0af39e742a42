#include "value.h"

#include <errno.h>

#include <jansson.h>

#include "esbridge.h"

/* Where a value could not be allocated, jansson mostly says nothing at all. */
static bool is_memory(enum json_error_code code)
{
	return code == json_error_out_of_memory || code == json_error_unknown;
}

json_t *esbridge_span_json(struct esbridge_span span)
{
	json_error_t error;
	json_t *value = json_loadb(span.at, span.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

	if (value == NULL)
		errno = is_memory(json_error_code(&error)) ? ENOMEM : EINVAL;
	return value;
}

bool value_is_object(const json_t *value)
{
	return json_is_object(value);
}

static int add(const char *bytes, size_t len, void *to)
{
	struct buffer *b = to;

	buffer_add(b, bytes, len);
	return b->failed ? -1 : 0;
}

void value_dump(const json_t *value, struct buffer *b)
{
	if (json_dump_callback(value, add, b, JSON_COMPACT) != 0)
		b->failed = true;
}
