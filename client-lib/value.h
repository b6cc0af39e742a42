/*
 * Values of jansson's. Apart from the rest, since jansson and base/json_walk.h have the same names
 * for the kinds of values.
 */
#ifndef ESBRIDGE_CLIENT_VALUE_H
#define ESBRIDGE_CLIENT_VALUE_H

#include "base/buffer.h"

struct json_t;

bool value_is_object(const struct json_t *value);

/* Adds VALUE as JSON on one line to B, which has failed where there was no memory for it. */
void value_dump(const struct json_t *value, struct buffer *b);

#endif
