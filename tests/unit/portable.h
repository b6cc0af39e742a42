/*
 * The JSON code a second time, in the form for machines without SSE2: each function under the name
 * portable_..., else as in base/json_walk.h and base/json_write.h.
 */
#ifndef ESBRIDGE_UNIT_PORTABLE_H
#define ESBRIDGE_UNIT_PORTABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/json_walk.h"

bool portable_json_parse(struct json_doc *doc, const char *text, size_t len);
bool portable_json_check(const char *text, size_t len, unsigned depth, bool *breaks);
void portable_json_quoted(struct buffer *b, const char *text, size_t len);

/* How many more times memory for tokens is there for portable_json_parse(); below 0: always. */
extern int portable_allocations;

#endif
