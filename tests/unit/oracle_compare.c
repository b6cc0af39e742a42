#include "oracle_compare.h"

#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "portable.h"

static struct oracle_value *scalar(const struct json_doc *doc, uint32_t i, bool reals)
{
	const struct json_token *t = &doc->tokens[i];
	struct buffer text = { 0 };
	struct oracle_value *made;
	int64_t number;

	if (t->kind == JSON_NULL)
		return oracle_null();
	if (t->kind == JSON_TRUE || t->kind == JSON_FALSE)
		return oracle_bool(t->kind == JSON_TRUE);
	if (t->kind == JSON_NUMBER && !reals && json_int64_get(doc, i, &number))
		return oracle_integer(number);
	if (t->kind == JSON_NUMBER)
		buffer_add(&text, doc->text + t->at, t->len);
	else
		(void)json_string_get(doc, i, &text); /* what both take can be had */
	buffer_add_byte(&text, '\0');
	if (t->kind == JSON_NUMBER) {
		made = oracle_real(strtod((char *)text.data, NULL));
	} else {
		made = json_string_is(doc, i, (char *)text.data, buffer_len(&text) - 1)
			       ? oracle_string((char *)text.data, buffer_len(&text) - 1)
			       : oracle_null();
	}
	buffer_free(&text);
	return made;
}

/* Our tokens as a tree of jansson's, so that jansson compares. */
static struct oracle_value *tree(const struct json_doc *doc, uint32_t i, bool reals)
{
	const struct json_token *t = &doc->tokens[i];
	struct oracle_value *made;

	if (t->kind != JSON_ARRAY && t->kind != JSON_OBJECT)
		return scalar(doc, i, reals);
	made = t->kind == JSON_ARRAY ? oracle_array() : oracle_object();
	for (uint32_t child = i + 1; child < t->next; child = doc->tokens[child].next) {
		struct buffer name = { 0 };

		if (t->kind == JSON_ARRAY) {
			oracle_append(made, tree(doc, child, reals));
			continue;
		}
		(void)json_string_get(doc, child, &name);
		buffer_add_byte(&name, '\0');
		child = doc->tokens[child].next;
		oracle_set(made, (char *)name.data, tree(doc, child, reals));
		buffer_free(&name);
	}
	return made;
}

static bool has_lone_surrogate(const struct json_doc *doc)
{
	for (uint32_t i = 0; i < doc->count; i++) {
		if (doc->tokens[i].flags & JSON_LONE_SURROGATE)
			return true;
	}
	return false;
}

const char *oracle_compare(struct json_doc *doc, const char *text, size_t len, unsigned depth,
			   bool *taken)
{
	bool reals, breaks;
	struct oracle_value *theirs, *ours;
	enum oracle_verdict verdict = oracle_judge(text, len, &theirs, &reals);
	bool good = json_parse(doc, text, len);
	size_t error_at = doc->error_at;
	const char *how = NULL;

	*taken = good && verdict == ORACLE_TAKEN;
	if (memchr(text, '\0', len) != NULL)
		verdict = good ? ORACLE_REFUSED : ORACLE_SILENT;
	if (good != (verdict == ORACLE_TAKEN) && verdict != ORACLE_SILENT &&
	    !(good && has_lone_surrogate(doc)))
		how = good ? "taken by the walker alone" : doc->error;
	else if (portable_json_parse(doc, text, len) != good || doc->error_at != error_at ||
		 json_check(text, len, depth, &breaks) != good)
		how = "the forms of the walker differ";
	if (*taken && how == NULL) {
		ours = tree(doc, 0, reals);
		if (!oracle_equal(ours, theirs))
			how = "the values differ";
		oracle_free(ours);
	}
	oracle_free(theirs);
	return how;
}
