/*
 * Protobuf fields, read and written one at a time: for requests that come by the hundred thousand,
 * and for replies, where a zero must be written or left out exactly as the real server does it.
 */
#ifndef MEMSTORE_WIRE_H
#define MEMSTORE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum { VARINT_MOST = 10, FIELD_MOST = 2 * VARINT_MOST };

enum wire_type {
	WIRE_VARINT = 0,
	WIRE_FIXED64 = 1,
	WIRE_BYTES = 2,
	WIRE_FIXED32 = 5,
};

/* A run of bytes that belongs to somebody else. */
struct span {
	const uint8_t *at;
	size_t len;
};

/* One field; `value` for WIRE_VARINT, `bytes` for WIRE_BYTES. The bytes lie in the message. */
struct field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;
	struct span bytes;
};

/* What is left of a message. */
struct fields {
	const uint8_t *at;
	const uint8_t *end;
	bool bad; /* the bytes are no protobuf message */
};

static inline struct fields fields_of(struct span message)
{
	return (struct fields){ .at = message.at, .end = message.at + message.len };
}

/* Takes the next field into *FIELD. Returns false at the end, and with `bad` set at the first
 * fault. */
bool field_next(struct fields *fields, struct field *field);

/*
 * The bytes of field NUMBER of MESSAGE, empty where it has none: a name as it was sent. The objects
 * of protobuf-c end it at its first NUL.
 */
struct span field_text(struct span message, uint32_t number);

/* Writes VALUE at AT, which has VARINT_MOST bytes. Returns the place behind it. */
uint8_t *varint_put(uint8_t *at, uint64_t value);

/* The number of bytes that VALUE takes. */
static inline size_t varint_size(uint64_t value)
{
	return value == 0 ? 1 : (size_t)(70 - __builtin_clzll(value)) / 7;
}

/* The number of bytes of field NUMBER (below 16) with LEN bytes in it. */
static inline size_t bytes_size(size_t len)
{
	return 1 + varint_size(len) + len;
}

/* Writes tag and length of field NUMBER (below 16), whose LEN bytes follow. AT has FIELD_MOST
 * bytes. */
static inline uint8_t *bytes_put_head(uint8_t *at, unsigned number, size_t len)
{
	*at++ = (uint8_t)(number << 3 | WIRE_BYTES);
	return varint_put(at, len);
}

static inline uint8_t *int_put(uint8_t *at, unsigned number, int64_t value)
{
	*at++ = (uint8_t)(number << 3 | WIRE_VARINT);
	return varint_put(at, (uint64_t)value);
}

/* Fields at the end of OUT; the numbers are below 16. Zero and empty values are written too. */
void add_int(struct buffer *out, unsigned number, int64_t value);
void add_head(struct buffer *out, unsigned number, size_t len);
void add_bytes(struct buffer *out, unsigned number, struct span bytes);
void add_text(struct buffer *out, unsigned number, const char *text);

#endif
