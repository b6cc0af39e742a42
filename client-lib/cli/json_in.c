#include "json_in.h"

const char *text_in(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text != NULL ? text : "";
}

const char *word_in(const json_t *object, const char *name)
{
	const char *text = text_in(object, name);

	return *text != '\0' ? text : "-";
}

int64_t number_in(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}
