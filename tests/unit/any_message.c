#include "any_message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_walk.h"
#include "suites.h"

uint64_t any_bits(struct any *any)
{
	return unit_random(&any->state);
}

uint32_t any_below(struct any *any, uint32_t below)
{
	return (uint32_t)((any_bits(any) >> 32) % below);
}

bool any_chance(struct any *any, uint32_t one_in)
{
	return any_below(any, one_in) == 0;
}

int64_t any_int64(struct any *any)
{
	static const int64_t marked[] = { 0,         1,         -1,        -2,        -4,
					  INT32_MAX, INT64_MAX, INT64_MIN, INT32_MIN, 127,
					  128,       16383,     16384 };

	if (any_chance(any, 3))
		return marked[any_below(any, sizeof(marked) / sizeof(*marked))];
	return (int64_t)(any_bits(any) >> any_below(any, 64));
}

static size_t put_utf8(char *at, uint32_t c)
{
	if (c < 0x80) {
		at[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		at[0] = (char)(0xc0 | c >> 6);
		at[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		at[0] = (char)(0xe0 | c >> 12);
		at[1] = (char)(0x80 | (c >> 6 & 0x3f));
		at[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	at[0] = (char)(0xf0 | c >> 18);
	at[1] = (char)(0x80 | (c >> 12 & 0x3f));
	at[2] = (char)(0x80 | (c >> 6 & 0x3f));
	at[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

char *any_text(struct any *any, uint32_t most)
{
	/* The first character beyond each range; U+0000 and the surrogates are in none. */
	static const uint32_t from[] = { 1, 0x20, 0x20, 0x20, 0x80, 0x800, 0xe000, 0x10000 };
	static const uint32_t to[] = { 0x20, 0x80, 0x80, 0x80, 0x800, 0xd800, 0x10000, 0x110000 };
	uint32_t count = any_below(any, most + 1);
	char *text = malloc((size_t)count * 4 + 1);
	size_t len = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t range = any_below(any, 8);

		len += put_utf8(text + len, from[range] + any_below(any, to[range] - from[range]));
	}
	text[len] = '\0';
	return text;
}

void *any_member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return (char *)message + field->offset;
}

void *any_quantifier(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	return field->quantifier_offset != 0 ? (char *)message + field->quantifier_offset : NULL;
}

bool any_has(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const protobuf_c_boolean *has = any_quantifier(message, field);

	return has != NULL ? *has : *(void *const *)any_member(message, field) != NULL;
}

int64_t any_number(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
	const void *at = any_member(message, field);

	return field->type == PROTOBUF_C_TYPE_INT64 ? *(const int64_t *)at : *(const int32_t *)at;
}

void any_set_number(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, int64_t value)
{
	void *at = any_member(message, field);

	*(protobuf_c_boolean *)any_quantifier(message, field) = true;
	if (field->type == PROTOBUF_C_TYPE_INT64)
		*(int64_t *)at = value;
	else
		*(int32_t *)at = (int32_t)value;
}

static ProtobufCBinaryData any_payload(struct any *any)
{
	ProtobufCBinaryData bytes = { 0, NULL };
	char *text = any_text(any, 30);

	switch (any_below(any, 3)) {
	case 0: /* JSON */
		bytes.data = malloc(64);
		bytes.len =
			(size_t)snprintf((char *)bytes.data, 64, "{\"n\":%u,%c\"a\":[true, -1.50]}",
					 any_below(any, 1000), " \n\t"[any_below(any, 3)]);
		free(text);
		break;
	case 1: /* text */
		bytes.data = (uint8_t *)text;
		bytes.len = strlen(text);
		break;
	case 2:
		bytes.len = any_below(any, 200);
		bytes.data = malloc(bytes.len + 1);
		for (size_t i = 0; i < bytes.len; i++)
			bytes.data[i] = (uint8_t)any_bits(any);
		free(text);
		break;
	}
	return bytes;
}

static ProtobufCBinaryData any_id(struct any *any)
{
	ProtobufCBinaryData bytes = { 16, malloc(16) };

	for (size_t i = 0; i < bytes.len; i++)
		bytes.data[i] = (uint8_t)any_bits(any);
	return bytes;
}

static void set_one(void *at, const ProtobufCFieldDescriptor *field, struct any *any)
{
	const ProtobufCEnumDescriptor *values = field->descriptor;

	switch (field->type) {
	case PROTOBUF_C_TYPE_INT64:
		*(int64_t *)at = any_int64(any);
		break;
	case PROTOBUF_C_TYPE_ENUM:
		*(int *)at = values->values[any_below(any, values->n_values)].value;
		break;
	case PROTOBUF_C_TYPE_BOOL:
		*(protobuf_c_boolean *)at = (protobuf_c_boolean)any_below(any, 2);
		break;
	case PROTOBUF_C_TYPE_STRING:
		*(char **)at = any_text(any, 20);
		break;
	case PROTOBUF_C_TYPE_BYTES:
		*(ProtobufCBinaryData *)at =
			strstr(field->name, "event_id") != NULL ? any_id(any) : any_payload(any);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		*(ProtobufCMessage **)at = any_message(field->descriptor, any);
		break;
	default: /* INT32, the only other type in eventstore.proto */
		*(int32_t *)at = (int32_t)any_int64(any);
		break;
	}
}

static void set_list(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
		     struct any *any)
{
	size_t each =
		field->type == PROTOBUF_C_TYPE_BYTES ? sizeof(ProtobufCBinaryData) : sizeof(void *);
	size_t count = any_below(any, 5);
	char *list = calloc(count + 1, each);

	for (size_t i = 0; i < count; i++)
		set_one(list + i * each, field, any);
	*(size_t *)any_quantifier(message, field) = count;
	*(void **)any_member(message, field) = list;
	if (count == 0) {
		free(list);
		*(void **)any_member(message, field) = NULL;
	}
}

ProtobufCMessage *any_message(const ProtobufCMessageDescriptor *descriptor, struct any *any)
{
	ProtobufCMessage *message = calloc(1, descriptor->sizeof_message);

	protobuf_c_message_init(descriptor, message);
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

		if (field->label == PROTOBUF_C_LABEL_REPEATED) {
			set_list(message, field, any);
		} else if (!any_chance(any, 4)) {
			set_one(any_member(message, field), field, any);
			if (any_quantifier(message, field) != NULL)
				*(protobuf_c_boolean *)any_quantifier(message, field) = true;
		}
	}
	return message;
}

bool any_is_line(const void *text, size_t len)
{
	bool breaks;

	return json_check(text, len, 200, &breaks) && !breaks && memchr(text, '\n', len) == NULL;
}
