#include "oracle.h"

#include <jansson.h>

static json_t *theirs(const struct oracle_value *value)
{
	return (json_t *)(void *)value;
}

static struct oracle_value *ours(json_t *value)
{
	return (struct oracle_value *)(void *)value;
}

enum oracle_verdict oracle_judge(const char *text, size_t len, struct oracle_value **value,
				 bool *reals)
{
	const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
	json_error_t error;
	json_t *tree = json_loadb(text, len, flags, &error);

	*reals = tree == NULL && json_error_code(&error) == json_error_numeric_overflow;
	if (*reals)
		tree = json_loadb(text, len, flags | JSON_DECODE_INT_AS_REAL, &error);
	*value = ours(tree);
	if (tree != NULL)
		return ORACLE_TAKEN;
	return json_error_code(&error) == json_error_numeric_overflow ||
			       json_error_code(&error) == json_error_null_byte_in_key
		       ? ORACLE_SILENT
		       : ORACLE_REFUSED;
}

struct oracle_value *oracle_null(void)
{
	return ours(json_null());
}

struct oracle_value *oracle_bool(bool value)
{
	return ours(json_boolean(value));
}

struct oracle_value *oracle_integer(int64_t value)
{
	return ours(json_integer(value));
}

struct oracle_value *oracle_real(double value)
{
	return ours(json_real(value));
}

struct oracle_value *oracle_string(const char *at, size_t len)
{
	return ours(json_stringn_nocheck(at, len));
}

struct oracle_value *oracle_array(void)
{
	return ours(json_array());
}

struct oracle_value *oracle_object(void)
{
	return ours(json_object());
}

void oracle_append(struct oracle_value *to, struct oracle_value *value)
{
	json_array_append_new(theirs(to), theirs(value));
}

void oracle_set(struct oracle_value *to, const char *name, struct oracle_value *value)
{
	json_object_set_new_nocheck(theirs(to), name, theirs(value));
}

bool oracle_equal(const struct oracle_value *a, const struct oracle_value *b)
{
	return json_equal(theirs(a), theirs(b)) != 0;
}

void oracle_free(struct oracle_value *value)
{
	json_decref(theirs(value));
}
