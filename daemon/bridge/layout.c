#include "bridge/layout.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "eventstore.pb-c.h"

enum { CHAINS = 64 };

/* The types that eventstore.proto uses. */
static const struct {
	ProtobufCType type;
	enum member_kind kind;
	enum wire_type wire;
} types[] = {
	{ PROTOBUF_C_TYPE_INT32, MEMBER_INT32, WIRE_VARINT },
	{ PROTOBUF_C_TYPE_INT64, MEMBER_INT64, WIRE_VARINT },
	{ PROTOBUF_C_TYPE_BOOL, MEMBER_BOOL, WIRE_VARINT },
	{ PROTOBUF_C_TYPE_ENUM, MEMBER_ENUM, WIRE_VARINT },
	{ PROTOBUF_C_TYPE_STRING, MEMBER_TEXT, WIRE_BYTES },
	{ PROTOBUF_C_TYPE_BYTES, MEMBER_BYTES, WIRE_BYTES },
	{ PROTOBUF_C_TYPE_MESSAGE, MEMBER_PART, WIRE_BYTES },
};

/* Members that mean more than their type says. */
static const struct {
	const char *name;
	ProtobufCType type;
	enum member_kind kind;
	bool required;
} meanings[] = {
	{ "event_stream_id", PROTOBUF_C_TYPE_STRING, MEMBER_NAME, true },
	{ "event_type", PROTOBUF_C_TYPE_STRING, MEMBER_NAME, true },
	{ "subscription_group_name", PROTOBUF_C_TYPE_STRING, MEMBER_NAME, true },
	{ "transaction_id", PROTOBUF_C_TYPE_INT64, MEMBER_INT64, true },
	{ "filter", PROTOBUF_C_TYPE_MESSAGE, MEMBER_PART, true },
	{ "context", PROTOBUF_C_TYPE_ENUM, MEMBER_ENUM, true },
	{ "type", PROTOBUF_C_TYPE_ENUM, MEMBER_ENUM, true },
	{ "data", PROTOBUF_C_TYPE_STRING, MEMBER_TEXT, true },
	{ "expected_version", PROTOBUF_C_TYPE_INT64, MEMBER_EXPECTED, false },
	{ "current_version", PROTOBUF_C_TYPE_INT64, MEMBER_CURRENT, false },
	{ "require_master", PROTOBUF_C_TYPE_BOOL, MEMBER_MASTER, false },
	{ "result", PROTOBUF_C_TYPE_ENUM, MEMBER_RESULT, false },
	{ "event_id", PROTOBUF_C_TYPE_BYTES, MEMBER_ID, false },
	{ "processed_event_ids", PROTOBUF_C_TYPE_BYTES, MEMBER_ID, false },
	{ "data_content_type", PROTOBUF_C_TYPE_INT32, MEMBER_CONTENT_TYPE, false },
	{ "data", PROTOBUF_C_TYPE_BYTES, MEMBER_PAYLOAD, false },
	{ "metadata", PROTOBUF_C_TYPE_BYTES, MEMBER_PAYLOAD, false },
};

static const struct {
	const ProtobufCMessageDescriptor *descriptor;
	enum member_kind kind;
} events[] = {
	{ &es__event_record__descriptor, MEMBER_RECORD },
	{ &es__resolved_indexed_event__descriptor, MEMBER_INDEXED },
	{ &es__resolved_event__descriptor, MEMBER_RESOLVED },
};

static void set_kind(struct layout_member *m, const ProtobufCFieldDescriptor *field)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		if (types[i].type == field->type) {
			m->kind = types[i].kind;
			m->wire = types[i].wire;
		}
	}
	for (size_t i = 0; i < sizeof(meanings) / sizeof(*meanings); i++) {
		if (meanings[i].type == field->type && strcmp(meanings[i].name, field->name) == 0) {
			m->kind = meanings[i].kind;
			m->required = meanings[i].required;
		}
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(*events); i++) {
		if (events[i].descriptor == field->descriptor)
			m->kind = events[i].kind;
	}
}

static void set_member(struct layout_member *m, const ProtobufCFieldDescriptor *field)
{
	uint32_t tag;

	m->name = field->name;
	m->name_len = strlen(field->name);
	m->repeated = field->label == PROTOBUF_C_LABEL_REPEATED;
	set_kind(m, field);
	tag = field->id << 3 | (uint32_t)m->wire;
	m->tag_len = tag < 0x80 ? 1 : 2;
	m->tag[0] = (uint8_t)(tag < 0x80 ? tag : tag | 0x80);
	m->tag[1] = (uint8_t)(tag >> 7);
	m->key_len = (uint8_t)snprintf(m->key, sizeof(m->key), ",\"%s\":", field->name);
	if (field->type == PROTOBUF_C_TYPE_ENUM)
		m->values = field->descriptor;
	else if (field->type == PROTOBUF_C_TYPE_MESSAGE)
		m->part = layout_of(field->descriptor);
}

static void fill(struct layout *layout, const ProtobufCMessageDescriptor *descriptor)
{
	layout->data = -1;
	layout->result = -1;
	layout->count = descriptor->n_fields;
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		struct layout_member *m = &layout->members[i];

		set_member(m, &descriptor->fields[i]);
		layout->place[descriptor->fields[i].id] = (uint8_t)(i + 1);
		if (m->kind == MEMBER_RESULT)
			layout->result = (int)i;
		if (m->kind == MEMBER_PAYLOAD && layout->data < 0)
			layout->data = (int)i;
	}
}

const struct layout *layout_of(const ProtobufCMessageDescriptor *descriptor)
{
	static const struct layout *chains[CHAINS];
	/* Descriptors lie at multiples of 32 or so: the low bits of their addresses tell nothing.
	 */
	const struct layout **chain = &chains[((uintptr_t)descriptor >> 5) % CHAINS];
	struct layout *layout;

	for (const struct layout *l = *chain; l != NULL; l = l->next) {
		if (l->descriptor == descriptor)
			return l;
	}
	layout = mem_new(sizeof(*layout));
	fill(layout, descriptor);
	layout->descriptor = descriptor;
	layout->next = *chain;
	*chain = layout;
	return layout;
}
