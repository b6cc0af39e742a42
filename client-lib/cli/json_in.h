/*
 * Members of what the daemon says, as jansson has read it. One that is missing or of another type
 * counts as empty.
 */
#ifndef ESBRIDGE_CLI_JSON_IN_H
#define ESBRIDGE_CLI_JSON_IN_H

#include <jansson.h>
#include <stdint.h>

/* The text NAME of OBJECT, "" where it has none. It lives as long as OBJECT. */
const char *text_in(const json_t *object, const char *name);

/* The same for a place that must not be empty: "-" where it has none. */
const char *word_in(const json_t *object, const char *name);

/* The whole number NAME of OBJECT, or 0. */
int64_t number_in(const json_t *object, const char *name);

#endif
