#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/settings.h"
#include "base/settings_value.h"

struct settings_section *section_find(const struct settings_sections *s, const char *name)
{
	struct settings_section *section = s->first;

	while (section != NULL && strcmp(section->name, name) != 0)
		section = section->next;
	return section;
}

struct settings_section *section_add(struct settings_sections *s, const char *name, unsigned line)
{
	struct settings_section *section = mem_new(sizeof(*section));
	struct settings_section **last = &s->first;

	section->name = mem_text(name);
	section->line = line;
	section->lines = mem_new(settings_count(s->table) * sizeof(*section->lines));
	section->values = mem_new(s->size);
	settings_defaults(s->table, section->values);
	while (*last != NULL)
		last = &(*last)->next;
	*last = section;
	return section;
}

bool section_name_is_good(const char *name, size_t len)
{
	static const char accepted[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				       "0123456789.-_";

	return len > 0 && len <= SECTION_NAME_MOST && strspn(name, accepted) >= len;
}

void settings_sections_free(struct settings_sections *s)
{
	struct settings_section *section, *next;

	for (section = s->first; section != NULL; section = next) {
		next = section->next;
		settings_free(s->table, section->values);
		free(section->values);
		free(section->lines);
		free(section->name);
		free(section);
	}
	s->first = NULL;
}

static bool same_values(const struct setting *table, const void *a, const void *b)
{
	while (table->name != NULL && value_equal(table, a, b))
		table++;
	return table->name == NULL;
}

bool settings_sections_equal(const struct settings_sections *a, const struct settings_sections *b)
{
	const struct settings_section *x = a->first, *y = b->first;

	while (x != NULL && y != NULL && strcmp(x->name, y->name) == 0 &&
	       same_values(a->table, x->values, y->values)) {
		x = x->next;
		y = y->next;
	}
	return x == NULL && y == NULL;
}
