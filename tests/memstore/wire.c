#include "wire.h"

#include <string.h>

static bool take_varint(struct fields *f, uint64_t *value)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		uint8_t byte;

		if (f->at == f->end)
			return false;
		byte = *f->at++;
		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*value = v;
			return true;
		}
	}
	return false;
}

static bool take_bytes(struct fields *f, size_t len, struct span *bytes)
{
	if (len > (size_t)(f->end - f->at))
		return false;
	*bytes = (struct span){ f->at, len };
	f->at += len;
	return true;
}

static bool take_value(struct fields *f, struct field *field)
{
	uint64_t len;

	switch (field->type) {
	case WIRE_VARINT:
		return take_varint(f, &field->value);
	case WIRE_FIXED64:
		return take_bytes(f, 8, &field->bytes);
	case WIRE_FIXED32:
		return take_bytes(f, 4, &field->bytes);
	case WIRE_BYTES:
		return take_varint(f, &len) && len <= SIZE_MAX &&
		       take_bytes(f, (size_t)len, &field->bytes);
	}
	return false; /* groups, and what is no type at all */
}

bool field_next(struct fields *f, struct field *field)
{
	uint64_t tag;

	if (f->at == f->end || f->bad)
		return false;
	memset(field, 0, sizeof(*field));
	if (!take_varint(f, &tag) || tag >> 3 == 0 || tag > UINT32_MAX) {
		f->bad = true;
		return false;
	}
	field->number = (uint32_t)(tag >> 3);
	field->type = (enum wire_type)(tag & 7);
	f->bad = !take_value(f, field);
	return !f->bad;
}

uint8_t *varint_put(uint8_t *at, uint64_t value)
{
	while (value >= 0x80) {
		*at++ = (uint8_t)(value | 0x80);
		value >>= 7;
	}
	*at++ = (uint8_t)value;
	return at;
}

void add_int(struct buffer *out, unsigned number, int64_t value)
{
	uint8_t *at = buffer_room(out, FIELD_MOST);

	if (at != NULL)
		buffer_added(out, (size_t)(int_put(at, number, value) - at));
}

void add_head(struct buffer *out, unsigned number, size_t len)
{
	uint8_t *at = buffer_room(out, FIELD_MOST);

	if (at != NULL)
		buffer_added(out, (size_t)(bytes_put_head(at, number, len) - at));
}

void add_bytes(struct buffer *out, unsigned number, struct span bytes)
{
	add_head(out, number, bytes.len);
	buffer_add(out, bytes.at, bytes.len);
}

void add_text(struct buffer *out, unsigned number, const char *text)
{
	add_bytes(out, number, (struct span){ (const uint8_t *)text, strlen(text) });
}

struct span field_text(struct span message, uint32_t number)
{
	struct fields fields = fields_of(message);
	struct span found = { NULL, 0 };
	struct field field;

	while (field_next(&fields, &field)) {
		if (field.number == number && field.type == WIRE_BYTES)
			found = field.bytes;
	}
	return found;
}
