#include "store/event.h"

#include <string.h>

/* The two top bits of DateTime.ToBinary() tell the kind of the time, not the time. */
#define TICKS_MASK 0x3fffffffffffffffLL

static bool take_id(const struct wire_field *f, struct guid *id)
{
	if (f->bytes.len != GUID_BYTES)
		return false;
	memcpy(id->bytes, f->bytes.at, GUID_BYTES);
	return true;
}

/* The fields of EventRecord that are numbers; all others are bytes. */
enum { RECORD_NUMBERS = 1 << 2 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10 };

static inline bool record_field(const struct wire_field *f, struct event_record *r)
{
	if (f->number > 10)
		return true;
	if (f->type != ((RECORD_NUMBERS >> f->number & 1) != 0 ? WIRE_VARINT : WIRE_BYTES))
		return false;
	switch (f->number) {
	case 1:
		r->stream = f->bytes;
		break;
	case 2:
		r->number = (int64_t)f->value;
		break;
	case 3:
		return take_id(f, &r->id);
	case 4:
		r->type = f->bytes;
		break;
	case 5:
		r->data_content_type = (int32_t)f->value;
		r->json = r->data_content_type == 1;
		break;
	case 6:
		r->metadata_content_type = (int32_t)f->value;
		break;
	case 7:
		r->data = f->bytes;
		break;
	case 8:
		r->metadata = f->bytes;
		break;
	case 9:
		r->created = (int64_t)f->value & TICKS_MASK;
		break;
	case 10:
		r->created_epoch = (int64_t)f->value;
		break;
	}
	return true;
}

bool event_record_read(struct span bytes, struct event_record *record)
{
	struct wire w;
	struct wire_field f;

	memset(record, 0, sizeof(*record));
	record->present = true;
	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		if (!record_field(&f, record))
			return false;
	}
	return !w.broken;
}

static bool resolved_field(const struct wire_field *f, struct resolved_event *e)
{
	if (f->number <= 2)
		return f->type == WIRE_BYTES &&
		       event_record_read(f->bytes, f->number == 1 ? &e->event : &e->link);
	if (f->number > 4)
		return true;
	if (f->type != WIRE_VARINT)
		return false;
	e->positioned = true;
	*(f->number == 3 ? &e->commit : &e->prepare) = (int64_t)f->value;
	return true;
}

bool resolved_event_read(struct span bytes, struct resolved_event *event)
{
	struct wire w;
	struct wire_field f;

	memset(event, 0, sizeof(*event));
	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		if (!resolved_field(&f, event))
			return false;
	}
	return !w.broken;
}
