/*
 * Single values of settings as text: how each type is read, how it is written, and how its range is
 * told; and named sections while they are read. Private to settings.c.
 */
#ifndef ESBRIDGE_BASE_SETTINGS_VALUE_H
#define ESBRIDGE_BASE_SETTINGS_VALUE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/settings.h"

/* Room for any formatted number with its unit, and for the longest description of a range. */
enum { VALUE_TEXT = 32, RANGE_TEXT = 256 };

/* True for the types whose value is a char *. */
bool value_is_text(const struct setting *row);

/* True for the types that may be given several times and have all that was given then. */
bool value_is_list(const struct setting *row);

/*
 * Sets the value of ROW in VALUES from TEXT. Returns false, with the value as it was, where TEXT is
 * none of its type or is out of its range.
 */
bool value_parse(const struct setting *row, void *values, const char *text);

/*
 * Returns the value of ROW in VALUES as one would write it in a file. The text is the value itself,
 * a constant, or lies in SPACE.
 */
const char *value_format(const struct setting *row, const void *values, char space[VALUE_TEXT]);

/* Writes what ROW accepts to TO: "a duration such as 500ms, 5s or 2m, from 100ms to 1m". */
void value_describe(const struct setting *row, char to[RANGE_TEXT]);

/* True where ROW has the same value in A and in B. */
bool value_equal(const struct setting *row, const void *a, const void *b);

/* Copies the value of ROW from FROM to TO. */
void value_copy(const struct setting *row, void *to, const void *from);

/* The section of S named NAME, or NULL. */
struct settings_section *section_find(const struct settings_sections *s, const char *name);

/* Adds a section named NAME to S, which begins in line LINE, with the defaults. */
struct settings_section *section_add(struct settings_sections *s, const char *name, unsigned line);

/* True where the LEN bytes at NAME may be the name of a section. */
bool section_name_is_good(const char *name, size_t len);

/* Makes the value of ROW zero. A text is freed, a secret is overwritten before. */
void value_clear(const struct setting *row, void *values);

#endif
