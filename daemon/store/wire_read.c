#include "store/wire_read.h"

void wire_start(struct wire *w, const uint8_t *bytes, size_t len)
{
	w->at = bytes;
	w->end = bytes + len;
	w->broken = false;
}

static bool varint(struct wire *w, uint64_t *value)
{
	const uint8_t *at = w->at;
	const uint8_t *end = w->end - at > 9 ? at + 9 : w->end;
	uint64_t v = 0;

	for (unsigned shift = 0; at < end; shift += 7) {
		uint8_t byte = *at++;

		v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80) {
			*value = v;
			w->at = at;
			return true;
		}
	}
	/* The tenth byte has room for one bit alone; what is above it falls off, as in other
	 * decoders. */
	if (at == w->end || *at >= 0x80) {
		w->broken = true;
		return false;
	}
	*value = v | (uint64_t)*at << 63;
	w->at = at + 1;
	return true;
}

static bool fixed(struct wire *w, size_t len, uint64_t *value)
{
	*value = 0;
	if ((size_t)(w->end - w->at) < len) {
		w->broken = true;
		return false;
	}
	for (size_t i = 0; i < len; i++)
		*value |= (uint64_t)w->at[i] << (8 * i);
	w->at += len;
	return true;
}

static bool bytes(struct wire *w, struct span *span)
{
	uint64_t len;

	if (!varint(w, &len))
		return false;
	if (len > (uint64_t)(w->end - w->at)) {
		w->broken = true;
		return false;
	}
	*span = (struct span){ w->at, (size_t)len };
	w->at += len;
	return true;
}

bool wire_next_any(struct wire *w, struct wire_field *field)
{
	uint64_t tag;

	if (w->at == w->end || !varint(w, &tag))
		return false;
	field->number = (uint32_t)(tag >> 3);
	field->type = (enum wire_type)(tag & 7);
	if (tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
		w->broken = true;
		return false;
	}
	switch (field->type) {
	case WIRE_VARINT:
		return varint(w, &field->value);
	case WIRE_FIXED64:
		return fixed(w, 8, &field->value);
	case WIRE_BYTES:
		return bytes(w, &field->bytes);
	case WIRE_FIXED32:
		return fixed(w, 4, &field->value);
	}
	w->broken = true;
	return false;
}
