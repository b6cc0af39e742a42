#include "filter.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

bool filter_read(struct filter *filter, const Es__Filter *m)
{
	*filter = (struct filter){ 0 };
	if (m == NULL || m->n_data == 0)
		return true;
	filter->by_type = m->context == ES__FILTER__FILTER_CONTEXT__EventType;
	if (m->type == ES__FILTER__FILTER_TYPE__Regex) {
		filter->has_pattern =
			regcomp(&filter->pattern, m->data[0], REG_EXTENDED | REG_NOSUB) == 0;
		return filter->has_pattern;
	}
	filter->prefixes = mem_new(m->n_data * sizeof(char *));
	for (; filter->count < m->n_data; filter->count++)
		filter->prefixes[filter->count] = mem_text(m->data[filter->count]);
	return true;
}

static bool has_prefix(struct span text, const char *prefix)
{
	size_t len = strlen(prefix);

	return len <= text.len && memcmp(text.at, prefix, len) == 0;
}

/* The text has no NUL behind it: where it ends is told in the place of a match. */
static bool has_pattern(const struct filter *filter, struct span text)
{
	regmatch_t all = { .rm_so = 0, .rm_eo = (regoff_t)text.len };

	return regexec(&filter->pattern, (const char *)text.at, 1, &all, REG_STARTEND) == 0;
}

bool filter_matches(const struct filter *filter, const struct record *record)
{
	struct span text = filter->by_type ? record_type(record) : record->stream->node.name;

	if (filter->has_pattern)
		return has_pattern(filter, text);
	for (size_t i = 0; i < filter->count; i++) {
		if (has_prefix(text, filter->prefixes[i]))
			return true;
	}
	return filter->count == 0;
}

void filter_free(struct filter *filter)
{
	for (size_t i = 0; i < filter->count; i++)
		free(filter->prefixes[i]);
	free(filter->prefixes);
	if (filter->has_pattern)
		regfree(&filter->pattern);
	*filter = (struct filter){ 0 };
}
