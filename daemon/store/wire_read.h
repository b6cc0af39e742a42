/*
 * Reads protobuf's wire format field by field, without building objects. Source: the encoding page
 * of protobuf's documentation (varints, wire types 0, 1, 2 and 5; groups are refused).
 */
#ifndef ESBRIDGE_STORE_WIRE_READ_H
#define ESBRIDGE_STORE_WIRE_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct span {
	const uint8_t *at;
	size_t len;
};

struct wire {
	const uint8_t *at;
	const uint8_t *end;
	bool broken; /* the bytes are no message */
};

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* One field. The span points into the message. */
struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;    /* WIRE_VARINT and the fixed ones */
	struct span bytes; /* WIRE_BYTES */
};

void wire_start(struct wire *w, const uint8_t *bytes, size_t len);

/* As wire_next(), for every field. */
bool wire_next_any(struct wire *w, struct wire_field *field);

/*
 * Reads the next field. Returns false at the end, and where the bytes are broken (then `broken` is
 * set). Most fields have a tag of one byte, and a value or length of one or two: these are read in
 * place.
 */
static inline bool wire_next(struct wire *w, struct wire_field *field)
{
	const uint8_t *at = w->at;
	size_t left = (size_t)(w->end - at);
	size_t value;

	if (left < 3 || at[0] < 8 || at[0] >= 0x80)
		return wire_next_any(w, field);
	value = at[1];
	if (value >= 0x80) {
		if (at[2] >= 0x80)
			return wire_next_any(w, field);
		value = (value & 0x7f) | (size_t)at[2] << 7;
		left--;
		at++;
	}
	field->number = w->at[0] >> 3;
	field->type = (enum wire_type)(w->at[0] & 7);
	at += 2;
	left -= 2;
	if (field->type == WIRE_VARINT) {
		field->value = value;
		field->bytes = (struct span){ at, 0 };
		w->at = at;
		return true;
	}
	if (field->type != WIRE_BYTES || value > left)
		return wire_next_any(w, field);
	field->value = 0;
	field->bytes = (struct span){ at, value };
	w->at = at + value;
	return true;
}

#endif
