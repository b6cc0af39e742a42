#include "bridge/message_to_json.h"

#include <string.h>

#include "base/guid.h"
#include "base/json_walk.h"
#include "base/json_write.h"
#include "bridge/layout.h"
#include "store/wire_read.h"

/* What the store writes into numbers that mean nothing beside a failure. */
#define NO_NUMBER ((int64_t)INT32_MIN)

/* Seconds and days from 0001-01-01 to 1970-01-01 and on to the end of the year 9999. */
#define EPOCH_SECONDS INT64_C(62135596800)
#define LAST_SECOND   INT64_C(315537897599)

#define TICKS_PER_SECOND INT64_C(10000000)

/* The fields of a message as they were found. */
struct fields {
	bool zeros;                     /* a zero was sent: the store is one that leaves none out */
	uint32_t mask;                  /* bit I: member I of the layout is here */
	uint64_t value[LAYOUT_MEMBERS]; /* numbers: the last one sent */
	struct span bytes[LAYOUT_MEMBERS]; /* texts and messages: the last; repeated: from the first
					      tag to the end of the last */
};

/* Writing times ----------------------------------------------------------------------------------
 */

static void put_digits(char *at, unsigned count, uint32_t value)
{
	while (count-- > 0) {
		at[count] = (char)('0' + value % 10);
		value /= 10;
	}
}

/*
 * Writes the date that lies DAYS after 0001-01-01 as YYYY-MM-DD. The arithmetic counts from
 * 0000-03-01, so that a leap day is the last of its year, in periods of 400 years of 146097 days
 * (the proleptic Gregorian calendar).
 */
static void put_date(char at[10], uint32_t days)
{
	uint32_t z = days + 306;
	uint32_t era = z / 146097;
	uint32_t day_of_era = z % 146097;
	uint32_t year_of_era =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint32_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint32_t month_from_march = (5 * day_of_year + 2) / 153;
	uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;

	put_digits(at, 4, era * 400 + year_of_era + (month <= 2));
	at[4] = '-';
	put_digits(at + 5, 2, month);
	at[7] = '-';
	put_digits(at + 8, 2, day_of_year - (153 * month_from_march + 2) / 5 + 1);
}

/*
 * Adds the member `created`, SECONDS and MICROS after 0001-01-01, unless that is out of RFC 3339's
 * reach. Events of the same second mostly come together: all but the micros is kept.
 */
static void put_created(struct buffer *out, int64_t seconds, uint32_t micros)
{
	static char text[] = ",\"created\":\"0001-01-01T00:00:00.000000Z\"";
	static int64_t written;
	char *at = text + sizeof(",\"created\":\"") - 1;
	uint32_t second;

	if (seconds < 0 || seconds > LAST_SECOND)
		return;
	if (seconds != written) {
		second = (uint32_t)(seconds % 86400);
		put_date(at, (uint32_t)(seconds / 86400));
		put_digits(at + 11, 2, second / 3600);
		put_digits(at + 14, 2, second / 60 % 60);
		put_digits(at + 17, 2, second % 60);
		written = seconds;
	}
	put_digits(at + 20, 6, micros);
	buffer_add(out, text, sizeof(text) - 1);
}

/* The ticks are exact; the milliseconds serve where there are none. Neither: the store did not say.
 */
static void record_created(const struct event_record *r, struct buffer *out)
{
	int64_t seconds = r->created_epoch / 1000;
	int64_t millis = r->created_epoch % 1000;

	if (r->created != 0) {
		put_created(
			out, r->created / TICKS_PER_SECOND,
			(uint32_t)(r->created % TICKS_PER_SECOND / (TICKS_PER_SECOND / 1000000)));
	} else if (r->created_epoch != 0) {
		if (millis < 0) {
			millis += 1000;
			seconds--;
		}
		put_created(out, seconds + EPOCH_SECONDS, (uint32_t)millis * 1000);
	}
}

/* Events -----------------------------------------------------------------------------------------
 */

static void put_id(struct buffer *out, const struct guid *id)
{
	char text[GUID_TEXT + 2];

	text[0] = '"';
	guid_format(id, text + 1);
	text[GUID_TEXT + 1] = '"';
	buffer_add(out, text, sizeof(text));
}

/*
 * Adds a payload under KEY, `,"data` or `,"metadata`, in the form that it can have. The store's
 * byte order mark is no part of the JSON text, but it is one of the bytes.
 */
static void put_payload(struct buffer *out, const char *key, size_t key_len, struct span part,
			bool json, const struct render *render)
{
	const char *text = (const char *)part.at;
	size_t len = part.len;
	bool breaks;

	if (len == 0)
		return;
	buffer_add(out, key, key_len);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		len -= 3;
	}
	if (json && render->payload == PAYLOAD_JSON &&
	    json_check(text, len, render->depth, &breaks)) {
		buffer_add_text(out, "\":");
		json_raw(out, text, len, breaks);
	} else {
		buffer_add_text(out, "_base64\":");
		json_base64(out, part.at, part.len);
	}
}

void event_record_to_json(const struct event_record *record, const struct render *render,
			  struct buffer *out)
{
	static const char data[] = ",\"data";
	static const char metadata[] = ",\"metadata";

	buffer_add_text(out, "{\"event_stream_id\":");
	json_quoted(out, (const char *)record->stream.at, record->stream.len);
	buffer_add_text(out, ",\"event_number\":");
	json_int(out, record->number);
	buffer_add_text(out, ",\"event_id\":");
	put_id(out, &record->id);
	buffer_add_text(out, ",\"event_type\":");
	json_quoted(out, (const char *)record->type.at, record->type.len);
	buffer_add_text(out, ",\"data_content_type\":");
	json_int(out, record->data_content_type);
	buffer_add_text(out, ",\"metadata_content_type\":");
	json_int(out, record->metadata_content_type);
	record_created(record, out);
	buffer_add_text(out, ",\"created_epoch\":");
	json_int(out, record->created_epoch);
	if (render->payload != PAYLOAD_NONE) {
		put_payload(out, data, sizeof(data) - 1, record->data, record->json, render);
		put_payload(out, metadata, sizeof(metadata) - 1, record->metadata, record->json,
			    render);
	}
	buffer_add_byte(out, '}');
}

void resolved_event_to_json(const struct resolved_event *event, const struct render *render,
			    struct buffer *out)
{
	if (event->event.present && !render_hides(render, event)) {
		json_comma(out);
		buffer_add_text(out, "\"event\":");
		event_record_to_json(&event->event, render, out);
	}
	if (event->link.present) {
		json_comma(out);
		buffer_add_text(out, "\"link\":");
		event_record_to_json(&event->link, render, out);
	}
	if (event->positioned) {
		json_comma(out);
		buffer_add_text(out, "\"position\":{\"commit\":");
		json_int(out, event->commit);
		buffer_add_text(out, ",\"prepare\":");
		json_int(out, event->prepare);
		buffer_add_byte(out, '}');
	}
}

/* Messages ---------------------------------------------------------------------------------------
 */

/* Notes the fields of the message at BYTES. Returns false where they are none of LAYOUT's. */
static bool collect(const struct layout *layout, const uint8_t *bytes, size_t len,
		    struct fields *fields)
{
	struct wire w;
	struct wire_field f;
	const uint8_t *from = bytes;

	fields->mask = 0;
	fields->zeros = false;
	wire_start(&w, bytes, len);
	for (; wire_next(&w, &f); from = w.at) {
		unsigned i = f.number < LAYOUT_NUMBERS ? layout->place[f.number] : 0;

		if (i-- == 0)
			continue;
		if (f.type != layout->members[i].wire)
			return false;
		if (f.type == WIRE_VARINT) {
			fields->value[i] = f.value;
			fields->zeros |= f.value == 0;
		} else if (!layout->members[i].repeated) {
			fields->bytes[i] = f.bytes;
		} else if ((fields->mask >> i & 1) == 0) {
			fields->bytes[i] = (struct span){ from, (size_t)(w.at - from) };
		} else {
			fields->bytes[i].len = (size_t)(w.at - fields->bytes[i].at);
		}
		fields->mask |= UINT32_C(1) << i;
	}
	return !w.broken;
}

static void put_enum(struct buffer *out, const ProtobufCEnumDescriptor *values, uint64_t number)
{
	const ProtobufCEnumValue *value =
		protobuf_c_enum_descriptor_get_value(values, (int)(int32_t)number);

	if (value == NULL) {
		json_int(out, (int32_t)number);
		return;
	}
	buffer_add_byte(out, '"');
	buffer_add_text(out, value->name);
	buffer_add_byte(out, '"');
}

static bool put_record(struct buffer *out, struct span bytes, const struct render *render)
{
	struct event_record record;

	if (!event_record_read(bytes, &record))
		return false;
	event_record_to_json(&record, render, out);
	return true;
}

/* POSITIONED: the message has positions, also where zeros were left out. */
static bool put_event(struct buffer *out, struct span bytes, bool positioned,
		      const struct render *render)
{
	struct resolved_event event;

	if (!resolved_event_read(bytes, &event))
		return false;
	event.positioned = positioned;
	buffer_add_byte(out, '{');
	resolved_event_to_json(&event, render, out);
	buffer_add_byte(out, '}');
	return true;
}

static bool put_bytes(struct buffer *out, const struct layout_member *m, struct span bytes,
		      const struct render *render)
{
	struct guid id;

	switch (m->kind) {
	case MEMBER_TEXT:
	case MEMBER_NAME:
		json_quoted(out, (const char *)bytes.at, bytes.len);
		return true;
	case MEMBER_BYTES:
	case MEMBER_PAYLOAD:
		json_base64(out, bytes.at, bytes.len);
		return true;
	case MEMBER_ID:
		if (bytes.len != GUID_BYTES)
			return false;
		memcpy(id.bytes, bytes.at, GUID_BYTES);
		put_id(out, &id);
		return true;
	case MEMBER_RECORD:
		return put_record(out, bytes, render);
	case MEMBER_INDEXED:
		return put_event(out, bytes, false, render);
	case MEMBER_RESOLVED:
		return put_event(out, bytes, true, render);
	case MEMBER_PART:
		return message_to_json(m->part->descriptor, bytes.at, bytes.len, render, out, NULL);
	case MEMBER_INT32:
	case MEMBER_INT64:
	case MEMBER_EXPECTED:
	case MEMBER_CURRENT:
	case MEMBER_CONTENT_TYPE:
	case MEMBER_BOOL:
	case MEMBER_MASTER:
	case MEMBER_ENUM:
	case MEMBER_RESULT:
		break;
	}
	return false;
}

static void put_number(struct buffer *out, const struct layout_member *m, uint64_t number)
{
	switch (m->kind) {
	case MEMBER_INT32:
	case MEMBER_CONTENT_TYPE:
		json_int(out, (int32_t)number);
		break;
	case MEMBER_INT64:
	case MEMBER_EXPECTED:
	case MEMBER_CURRENT:
		json_int(out, (int64_t)number);
		break;
	case MEMBER_BOOL:
	case MEMBER_MASTER:
		json_bool(out, number != 0);
		break;
	case MEMBER_ENUM:
	case MEMBER_RESULT:
		put_enum(out, m->values, number);
		break;
	case MEMBER_TEXT:
	case MEMBER_NAME:
	case MEMBER_BYTES:
	case MEMBER_ID:
	case MEMBER_PAYLOAD:
	case MEMBER_RECORD:
	case MEMBER_INDEXED:
	case MEMBER_RESOLVED:
	case MEMBER_PART:
		break;
	}
}

/* Adds the name of M, in an object that has been begun: only its first member has no comma before
 * it. All keys are copied alike, which is two or three moves. */
static void put_key(struct buffer *out, const struct layout_member *m)
{
	char *at = (char *)buffer_room(out, LAYOUT_KEY);
	size_t first;

	if (at == NULL)
		return;
	first = at[-1] == '{';
	memcpy(at, m->key + first, LAYOUT_KEY - 1);
	buffer_added(out, m->key_len - first);
}

/* Adds the elements of member M, field NUMBER, which stand among others in BYTES. */
static bool put_list(struct buffer *out, const struct layout_member *m, uint32_t number,
		     struct span bytes, const struct render *render)
{
	struct wire w;
	struct wire_field f;

	put_key(out, m);
	buffer_add_byte(out, '[');
	wire_start(&w, bytes.at, bytes.len);
	while (wire_next(&w, &f)) {
		if (f.number != number)
			continue;
		json_comma(out);
		if (!put_bytes(out, m, f.bytes, render))
			return false;
	}
	buffer_add_byte(out, ']');
	return true;
}

/* Whether number NUMBER, member M, which was sent or not, means something. WRONG: the result is
 * WrongExpectedVersion. */
static bool has_meaning(const struct layout_member *m, uint64_t number, bool sent, bool zeros,
			bool wrong)
{
	if ((int64_t)number == NO_NUMBER)
		return false;
	/* Servers that send zeros but not the version are too old to know it: 3.9. */
	return m->kind != MEMBER_CURRENT || (wrong && (sent || !zeros));
}

static bool put_members(struct buffer *out, const struct layout *layout,
			const struct fields *fields, bool wrong, const struct render *render)
{
	for (unsigned i = 0; i < layout->count; i++) {
		const struct layout_member *m = &layout->members[i];
		bool sent = (fields->mask >> i & 1) != 0;
		struct span bytes = { NULL, 0 };
		uint64_t number = 0;

		if (sent && m->wire == WIRE_BYTES)
			bytes = fields->bytes[i];
		else if (sent)
			number = fields->value[i];
		if (m->repeated) {
			if (!put_list(out, m, layout->descriptor->fields[i].id, bytes, render))
				return false;
		} else if (m->wire == WIRE_BYTES && bytes.len > 0) {
			put_key(out, m);
			if (!put_bytes(out, m, bytes, render))
				return false;
		} else if (m->wire == WIRE_VARINT &&
			   has_meaning(m, number, sent, fields->zeros, wrong)) {
			put_key(out, m);
			put_number(out, m, number);
		}
	}
	return true;
}

/* The name of the result, or NULL. */
static const char *result_name(const struct layout *layout, const struct fields *fields)
{
	const ProtobufCEnumValue *value;
	uint64_t number;

	if (layout->result < 0)
		return NULL;
	number = (fields->mask >> layout->result & 1) != 0 ? fields->value[layout->result] : 0;
	value = protobuf_c_enum_descriptor_get_value(layout->members[layout->result].values,
						     (int)(int32_t)number);
	return value != NULL ? value->name : NULL;
}

bool message_to_json(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len,
		     const struct render *render, struct buffer *out, const char **result)
{
	const struct layout *layout = layout_of(descriptor);
	size_t before = buffer_len(out);
	struct fields fields;
	const char *name;

	if (!collect(layout, bytes, len, &fields))
		return false;
	name = result_name(layout, &fields);
	if (result != NULL)
		*result = name;
	buffer_add_byte(out, '{');
	if (!put_members(out, layout, &fields,
			 name != NULL && strcmp(name, "WrongExpectedVersion") == 0, render)) {
		buffer_cut(out, buffer_len(out) - before);
		return false;
	}
	buffer_add_byte(out, '}');
	return true;
}
