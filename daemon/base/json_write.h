/*
 * Writes JSON straight into a buffer. Whoever writes keeps the shape right; commas are put by
 * looking at the last byte written.
 */
#ifndef ESBRIDGE_BASE_JSON_WRITE_H
#define ESBRIDGE_BASE_JSON_WRITE_H

#include <stdint.h>

#include "base/buffer.h"

/* Adds a comma unless the last byte of B opens a container. */
void json_comma(struct buffer *b);

/* Adds a comma if one is due, and "NAME":. NAME needs no escapes. */
void json_key(struct buffer *b, const char *name);

/*
 * Adds the LEN bytes at TEXT as a string: quotes, escapes (control characters, quote, backslash),
 * each byte that is not part of valid UTF-8 replaced by U+FFFD.
 */
void json_quoted(struct buffer *b, const char *text, size_t len);

/* The same for a NUL-terminated text. */
void json_text(struct buffer *b, const char *text);

void json_int(struct buffer *b, int64_t value);
void json_uint(struct buffer *b, uint64_t value);
void json_bool(struct buffer *b, bool value);

/*
 * Adds the LEN bytes at TEXT, which json_check() found to be JSON, each CR and LF between its
 * tokens as one space.
 */
void json_raw(struct buffer *b, const char *text, size_t len, bool breaks);

/* Adds the LEN bytes at BYTES in base64 (RFC 4648, with padding), quotes around it. */
void json_base64(struct buffer *b, const uint8_t *bytes, size_t len);

#endif
