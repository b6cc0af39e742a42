#include "store/wire_write.h"

enum { TYPE_VARINT = 0, TYPE_BYTES = 2 };

void wire_varint(struct buffer *b, uint64_t value)
{
	uint8_t *at = buffer_room(b, 10);
	size_t n = 0;

	if (at == NULL)
		return;
	while (value >= 0x80) {
		at[n++] = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	at[n++] = (uint8_t)value;
	buffer_added(b, n);
}

void wire_int(struct buffer *b, uint32_t number, int64_t value)
{
	wire_varint(b, (uint64_t)number << 3 | TYPE_VARINT);
	wire_varint(b, (uint64_t)value);
}

void wire_bytes(struct buffer *b, uint32_t number, const void *bytes, size_t len)
{
	wire_varint(b, (uint64_t)number << 3 | TYPE_BYTES);
	wire_varint(b, len);
	buffer_add(b, bytes, len);
}
