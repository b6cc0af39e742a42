#include "batch.h"

#include <stdlib.h>

enum {
	EVENT_MOST = 16 * 1024 * 1024 - 10000, /* data, metadata and the type in UTF-16 */
	CONTENT_JSON = 1,
	KEEP = 4096, /* events that a batch keeps room for */
};

static const uint8_t no_id[GUID_BYTES];

static bool read_field(struct new_event *event, const struct field *f, struct span *id)
{
	switch (f->number) {
	case 1:
		*id = f->bytes;
		return f->type == WIRE_BYTES;
	case 2:
		event->type = f->bytes;
		return f->type == WIRE_BYTES;
	case 3:
		event->json = f->value == CONTENT_JSON;
		return f->type == WIRE_VARINT;
	case 4:
		return f->type == WIRE_VARINT;
	case 5:
		event->data = f->bytes;
		return f->type == WIRE_BYTES;
	case 6:
		event->metadata = f->bytes;
		return f->type == WIRE_BYTES;
	default:
		return true; /* of a later version of the protocol */
	}
}

/* Bytes of TEXT, which is UTF-8, in UTF-16. */
static size_t utf16_size(struct span text)
{
	size_t units = 0;

	for (size_t i = 0; i < text.len; i++) {
		if ((text.at[i] & 0xc0) != 0x80)
			units += text.at[i] >= 0xf0 ? 2 : 1;
	}
	return units * 2;
}

static bool is_storable(const struct batch *batch, const struct new_event *event, struct span id)
{
	size_t size = event->data.len;

	if (!batch->data_alone)
		size += event->metadata.len + utf16_size(event->type);
	return id.len == GUID_BYTES && memcmp(id.at, no_id, GUID_BYTES) != 0 &&
	       event->type.len > 0 && size <= EVENT_MOST;
}

bool batch_add(struct batch *batch, struct span message)
{
	struct fields fields = fields_of(message);
	struct new_event event = { 0 };
	struct span id = { 0 };
	struct field field;
	void *events = batch->events;

	while (field_next(&fields, &field)) {
		if (!read_field(&event, &field, &id))
			return false;
	}
	if (fields.bad || !is_storable(batch, &event, id))
		return false;
	event.id = id.at;
	array_reserve(&events, &batch->size, batch->count + 1, sizeof(event));
	batch->events = events;
	batch->events[batch->count++] = event;
	return true;
}

void batch_clear(struct batch *batch)
{
	if (batch->size > KEEP)
		batch_free(batch);
	batch->count = 0;
}

void batch_free(struct batch *batch)
{
	free(batch->events);
	*batch = (struct batch){ .data_alone = batch->data_alone };
}
