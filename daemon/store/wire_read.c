#include "store/wire_read.h"

void wire_start(struct wire *w, const uint8_t *bytes, size_t len)
{
	w->at = bytes;
	w->end = bytes + len;
	w->broken = false;
}

static bool varint(struct wire *w, uint64_t *value)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 70 && w->at < w->end; shift += 7) {
		uint8_t byte = *w->at++;

		/* The tenth byte has room for one bit alone; what is above it falls off, as in
		 * other decoders. */
		v |= shift < 64 ? (uint64_t)(byte & 0x7f) << shift : 0;
		if (byte < 0x80) {
			*value = v;
			return true;
		}
	}
	w->broken = true;
	return false;
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

bool wire_next(struct wire *w, struct wire_field *field)
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
