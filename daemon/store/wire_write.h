/*
 * Writes protobuf's wire format field by field into a buffer, for the few messages that the store
 * room itself sends.
 */
#ifndef ESBRIDGE_STORE_WIRE_WRITE_H
#define ESBRIDGE_STORE_WIRE_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

void wire_varint(struct buffer *b, uint64_t value);

/* A field of an integer, bool or enum type; negative values as protobuf has them, sign-extended to
 * 64 bits. */
void wire_int(struct buffer *b, uint32_t number, int64_t value);

/* A field of bytes, text or an encoded message. */
void wire_bytes(struct buffer *b, uint32_t number, const void *bytes, size_t len);

#endif
