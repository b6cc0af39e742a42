/*
 * A line of the log as JSON. Private to log.c.
 */
#ifndef ESBRIDGE_BASE_LOG_JSON_H
#define ESBRIDGE_BASE_LOG_JSON_H

#include "base/buffer.h"

/*
 * Adds the members of a line to OUT, which has those before: what stands in TEXT before its first
 * `key=` as "msg", then a member for each `key=value`. A value in quotes is read as log_text()
 * wrote it. It is a number where FORMAT, which TEXT was made by, has `key=%u`, `%d` or the like,
 * and a string otherwise, whatever it looks like. All control characters are escaped.
 */
void log_json(const char *format, const char *text, struct buffer *out);

#endif
