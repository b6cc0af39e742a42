#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "any_message.h"
#include "base/base64.h"
#include "base/buffer.h"
#include "base/guid.h"
#include "base/json_walk.h"
#include "bridge/json_to_message.h"
#include "eventstore.pb-c.h"
#include "suites.h"

/* Rows of the message table, bodies for each, and changes to each of those. */
enum { ROWS = 16, BODIES = 1000, BODIES_SLOW = 10, CHANGES = 50 };

/* Writing a message as a body ------------------------------------------------------------------ */

static void put_character(struct buffer *b, struct any *any, const char **at)
{
	uint32_t c = (unsigned char)**at;
	unsigned more = c < 0x80 ? 0 : c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
	char text[16];

	if (more > 0)
		c &= 0x3fu >> more;
	for (unsigned i = 1; i <= more; i++)
		c = c << 6 | ((unsigned char)(*at)[i] & 0x3f);
	if (c >= 0x20 && c != '"' && c != '\\' && !any_chance(any, 8))
		buffer_add(b, *at, more + 1);
	else if (c == '\n' || c == '"' || c == '/')
		buffer_add(b, c == '\n' ? "\\n" : c == '"' ? "\\\"" : "\\/", 2);
	else if (c < 0x10000)
		buffer_add(b, text, (size_t)snprintf(text, sizeof(text), "\\u%04x", c));
	else
		buffer_add(b, text,
			   (size_t)snprintf(text, sizeof(text), "\\u%04X\\u%04x",
					    0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff)));
	*at += more + 1;
}

static void put_string(struct buffer *b, struct any *any, const char *text, size_t len)
{
	buffer_add_byte(b, '"');
	for (const char *at = text; at < text + len;)
		put_character(b, any, &at);
	buffer_add_byte(b, '"');
}

static void put_blank(struct buffer *b, struct any *any)
{
	while (any_chance(any, 4))
		buffer_add_byte(b, (uint8_t) " \t\r\n"[any_below(any, 4)]);
}

static void put_int(struct buffer *b, int64_t value, bool quoted)
{
	char text[32];

	buffer_add(b, text,
		   (size_t)snprintf(text, sizeof(text), quoted ? "\"%" PRId64 "\"" : "%" PRId64,
				    value));
}

static void put_name(struct buffer *b, struct any *any, const char *name, const char *suffix)
{
	char text[80];
	size_t len = (size_t)snprintf(text, sizeof(text), "%s%s", name, suffix);

	put_blank(b, any);
	put_string(b, any, text, len);
	put_blank(b, any);
	buffer_add_byte(b, ':');
	put_blank(b, any);
}

static void put_object(struct buffer *b, struct any *any, ProtobufCMessage *message);

static void put_base64(struct buffer *b, struct any *any, const uint8_t *bytes, size_t len)
{
	char *text = malloc(base64_text_len(len) + 1);

	base64_encode(bytes, len, text);
	put_string(b, any, text, base64_text_len(len));
	free(text);
}

/* A payload with its name, in one of the forms that its bytes allow. Returns the content type that
 * goes with it. */
static int put_payload(struct buffer *b, struct any *any, const char *name,
		       const ProtobufCBinaryData *bytes)
{
	const char *text = (const char *)bytes->data;
	bool breaks;

	if (!any_chance(any, 3) && json_check(text, bytes->len, 100, &breaks) && text[0] > ' ' &&
	    text[bytes->len - 1] > ' ') {
		put_name(b, any, name, "");
		buffer_add(b, text, bytes->len);
		put_blank(b, any);
		return 1;
	}
	if (!any_chance(any, 3) && utf8_check(text, bytes->len)) {
		put_name(b, any, name, "_text");
		put_string(b, any, text, bytes->len);
	} else {
		put_name(b, any, name, "_base64");
		put_base64(b, any, bytes->data, bytes->len);
	}
	return 0;
}

static void put_uuid(struct buffer *b, const uint8_t *bytes)
{
	char text[GUID_TEXT];
	struct guid id;

	memcpy(id.bytes, bytes, sizeof(id.bytes));
	guid_format(&id, text);
	buffer_add_byte(b, '"');
	buffer_add(b, text, sizeof(text));
	buffer_add_byte(b, '"');
}

static void put_one(struct buffer *b, struct any *any, const ProtobufCFieldDescriptor *f, void *at)
{
	const ProtobufCEnumValue *value;

	switch (f->type) {
	case PROTOBUF_C_TYPE_INT64:
		put_int(b, *(int64_t *)at, any_chance(any, 2));
		break;
	case PROTOBUF_C_TYPE_BOOL:
		buffer_add_text(b, *(protobuf_c_boolean *)at ? "true" : "false");
		break;
	case PROTOBUF_C_TYPE_ENUM:
		value = protobuf_c_enum_descriptor_get_value(f->descriptor, *(int *)at);
		put_string(b, any, value->name, strlen(value->name));
		break;
	case PROTOBUF_C_TYPE_STRING:
		put_string(b, any, *(char **)at, strlen(*(char **)at));
		break;
	case PROTOBUF_C_TYPE_BYTES:
		put_uuid(b, ((ProtobufCBinaryData *)at)->data);
		break;
	case PROTOBUF_C_TYPE_MESSAGE:
		put_object(b, any, *(ProtobufCMessage **)at);
		break;
	default:
		put_int(b, *(int32_t *)at, false);
		break;
	}
	put_blank(b, any);
}

static void put_list(struct buffer *b, struct any *any, const ProtobufCMessage *message,
		     const ProtobufCFieldDescriptor *f)
{
	size_t count = *(size_t *)any_quantifier(message, f);
	void **list = *(void ***)any_member(message, f);

	buffer_add_byte(b, '[');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buffer_add_byte(b, ',');
		put_blank(b, any);
		put_one(b, any, f, &list[i]);
	}
	buffer_add_byte(b, ']');
	put_blank(b, any);
}

static const ProtobufCFieldDescriptor *field(const ProtobufCMessage *message, const char *name)
{
	return protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
}

static void put_member(struct buffer *b, struct any *any, ProtobufCMessage *message,
		       const ProtobufCFieldDescriptor *f)
{
	bool payload = f->type == PROTOBUF_C_TYPE_BYTES && strcmp(f->name, "event_id") != 0;

	if (payload) {
		int type = put_payload(b, any, f->name, any_member(message, f));
		const ProtobufCFieldDescriptor *types = field(message, "data_content_type");

		if (strcmp(f->name, "data") == 0 && !any_has(message, types))
			any_set_number(message, types, type);
		return;
	}
	put_name(b, any,
		 strcmp(f->name, "require_master") == 0 && any_chance(any, 2) ? "require_leader"
									      : f->name,
		 "");
	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		put_list(b, any, message, f);
	else
		put_one(b, any, f, any_member(message, f));
}

/* Writes MESSAGE as an object, its members from a random one on in turn, and sets in it what
 * follows from the form. */
static void put_object(struct buffer *b, struct any *any, ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *d = message->descriptor;
	unsigned first = d->n_fields > 0 ? any_below(any, d->n_fields) : 0;
	const char *comma = "";
	bool given[32] = { false };

	for (unsigned i = 0; i < d->n_fields; i++)
		given[i] = d->fields[i].label == PROTOBUF_C_LABEL_REPEATED ||
			   any_has(message, &d->fields[i]);
	buffer_add_byte(b, '{');
	for (unsigned n = 0; n < d->n_fields; n++) {
		unsigned i = (first + n) % d->n_fields;

		if (!given[i])
			continue;
		buffer_add_text(b, comma);
		comma = ",";
		put_member(b, any, message, &d->fields[i]);
	}
	put_blank(b, any);
	buffer_add_byte(b, '}');
}

static void set_text(ProtobufCMessage *message, const char *name, const char *text)
{
	const ProtobufCFieldDescriptor *f = field(message, name);
	char **at = f != NULL ? any_member(message, f) : NULL;

	if (at == NULL || f->type != PROTOBUF_C_TYPE_STRING || (*at != NULL && **at != '\0'))
		return;
	free(*at);
	*at = strdup(text);
}

static void set_absent(ProtobufCMessage *message, const char *name, int64_t value)
{
	const ProtobufCFieldDescriptor *f = field(message, name);

	if (f != NULL && f->label == PROTOBUF_C_LABEL_OPTIONAL && !any_has(message, f))
		any_set_number(message, f, value);
}

/* Each message in MESSAGE's list of that name, or none. */
static size_t parts(ProtobufCMessage *message, const char *name, ProtobufCMessage ***list)
{
	const ProtobufCFieldDescriptor *f = field(message, name);

	if (f == NULL)
		return 0;
	*list = *(ProtobufCMessage ***)any_member(message, f);
	return *(size_t *)any_quantifier(message, f);
}

static void complete_filter(Es__Filter *filter)
{
	set_absent(&filter->base, "context", ES__FILTER__FILTER_CONTEXT__EventType);
	set_absent(&filter->base, "type", ES__FILTER__FILTER_TYPE__Prefix);
	if (filter->n_data > 0)
		return;
	filter->data = malloc(sizeof(*filter->data));
	ck_assert_ptr_nonnull(filter->data);
	filter->data[0] = strdup("text");
	filter->n_data = 1;
}

/* What a body must have, which any_message() may have left out. */
static void complete(ProtobufCMessage *message, struct any *any)
{
	const ProtobufCFieldDescriptor *filter = field(message, "filter");
	ProtobufCMessage **events = NULL;
	size_t count = parts(message, "events", &events);

	set_text(message, "event_stream_id", "stream");
	set_text(message, "subscription_group_name", "group");
	set_absent(message, "transaction_id", 77);
	for (size_t i = 0; i < count; i++)
		set_text(events[i], "event_type", "type");
	if (filter != NULL && !any_has(message, filter))
		*(ProtobufCMessage **)any_member(message, filter) =
			any_message(filter->descriptor, any);
	if (filter != NULL)
		complete_filter(*(Es__Filter **)any_member(message, filter));
}

/* Sets what the encoder puts in where the body leaves it out: the defaults, then zeros. */
static void fill(ProtobufCMessage *message, const struct message_default *defaults)
{
	const ProtobufCMessageDescriptor *d = message->descriptor;
	const struct message_default *row;

	/* Texts first: they ask what the body gave, and the numbers are all there in the end. */
	for (row = defaults; row != NULL && row->member != NULL; row++) {
		if (row->kind == DEFAULT_TEXT && !any_has(message, field(message, row->member)) &&
		    !any_has(message, field(message, row->unless)))
			set_text(message, row->member, row->text);
	}
	for (row = defaults; row != NULL && row->member != NULL; row++) {
		if (row->kind != DEFAULT_TEXT)
			set_absent(message, row->member,
				   row->kind == DEFAULT_NUMBER ? row->number : true);
	}
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];

		if (f->type == PROTOBUF_C_TYPE_BYTES)
			*(protobuf_c_boolean *)any_quantifier(message, f) = true;
		else if (f->type != PROTOBUF_C_TYPE_STRING && f->type != PROTOBUF_C_TYPE_MESSAGE)
			set_absent(message, f->name, 0);
	}
}

static void fill_parts(ProtobufCMessage *message, const struct buffer *ids)
{
	const ProtobufCFieldDescriptor *filter = field(message, "filter");
	ProtobufCMessage **events = NULL;
	size_t count = parts(message, "events", &events);

	ck_assert_uint_eq(buffer_len(ids), 16 * count);
	for (size_t i = 0; i < count; i++) {
		ProtobufCBinaryData *id = &((Es__NewEvent *)events[i])->event_id;

		if (id->data == NULL) {
			id->len = 16;
			id->data = malloc(id->len);
			memcpy(id->data, buffer_at(ids) + 16 * i, 16);
		}
		fill(events[i], NULL);
	}
	if (filter != NULL)
		fill(*(ProtobufCMessage **)any_member(message, filter), NULL);
}

/* Random bodies against protobuf-c's packing of the same members, byte for byte. */
static void compare(const struct message *row, struct any *any, struct json_doc *doc,
		    struct buffer *body)
{
	ProtobufCMessage *m = any_message(row->request, any);
	struct buffer out = { 0 };
	struct buffer ids = { 0 };
	struct encoded encoded = { .event_ids = &ids, .large = any_below(any, 12) };
	char fault[FAULT_TEXT];
	uint8_t *packed;
	size_t len;

	complete(m, any);
	put_object(body, any, m);
	ck_assert_msg(json_parse(doc, (char *)buffer_at(body), buffer_len(body)), "%s", doc->error);
	ck_assert_msg(json_to_message(row, doc, 0, true, &out, &encoded, fault), "%s: %.*s", fault,
		      (int)buffer_len(body), (char *)buffer_at(body));
	if (encoded.left_out != NULL)
		buffer_insert(&out, encoded.left_out_at, encoded.left_out, encoded.left_out_len);
	fill(m, row->defaults);
	fill_parts(m, &ids);
	len = protobuf_c_message_get_packed_size(m);
	packed = malloc(len + 1);
	protobuf_c_message_pack(m, packed);
	ck_assert_uint_eq(buffer_len(&out), len);
	ck_assert_msg(len == 0 || memcmp(packed, buffer_at(&out), len) == 0, "%s: %.*s", row->name,
		      (int)buffer_len(body), (char *)buffer_at(body));
	free(packed);
	protobuf_c_message_free_unpacked(m, NULL);
	buffer_free(&out);
	buffer_free(&ids);
}

START_TEST(encodes_random_bodies)
{
	struct any any = { .state = UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)_i };
	struct buffer body = { 0 };
	struct json_doc doc;

	json_doc_init(&doc, 128, 3, 100000);
	for (int n = 0; n < (unit_is_slow() ? BODIES_SLOW : BODIES); n++) {
		compare(&message_table[_i], &any, &doc, &body);
		buffer_consume(&body, buffer_len(&body));
	}
	buffer_free(&body);
	json_doc_free(&doc);
}
END_TEST

/* A body with changed bytes that is JSON still: a message that protobuf-c can read, or a fault and
 * nothing added. */
static void survive(const struct message *row, const struct buffer *body, struct json_doc *doc)
{
	struct buffer out = { 0 };
	char fault[FAULT_TEXT];
	ProtobufCMessage *m;

	if (!json_parse(doc, (char *)buffer_at(body), buffer_len(body)))
		return;
	if (json_to_message(row, doc, 0, true, &out, NULL, fault)) {
		m = protobuf_c_message_unpack(row->request, NULL, buffer_len(&out),
					      buffer_at(&out));
		ck_assert_ptr_nonnull(m);
		protobuf_c_message_free_unpacked(m, NULL);
	} else {
		ck_assert_uint_gt(strlen(fault), 0);
		ck_assert_uint_eq(buffer_len(&out), 0);
	}
	buffer_free(&out);
}

START_TEST(survives_changed_bodies)
{
	static const char signs[] = "\"\\{}[]:,0-1eunltrfasx_ \xc3\xa4";
	struct any any = { .state = UINT64_C(0xd1342543de82ef95) + (uint64_t)_i };
	struct buffer body = { 0 };
	struct json_doc doc;

	json_doc_init(&doc, 128, 3, 100000);
	for (int n = 0; n < (unit_is_slow() ? BODIES_SLOW : BODIES) / 4; n++) {
		ProtobufCMessage *m = any_message(message_table[_i].request, &any);

		complete(m, &any);
		put_object(&body, &any, m);
		protobuf_c_message_free_unpacked(m, NULL);
		for (int change = 0; change < CHANGES; change++) {
			size_t at = any_below(&any, (uint32_t)buffer_len(&body));
			uint8_t was = buffer_at(&body)[at];

			buffer_at(&body)[at] = (uint8_t)signs[any_below(&any, sizeof(signs) - 1)];
			survive(&message_table[_i], &body, &doc);
			buffer_at(&body)[at] = was;
		}
		buffer_consume(&body, buffer_len(&body));
	}
	buffer_free(&body);
	json_doc_free(&doc);
}
END_TEST

Suite *json_to_message_random_suite(void)
{
	Suite *suite = suite_create("json to message, random");
	TCase *random = tcase_create("random");

	tcase_add_loop_test(random, encodes_random_bodies, 0, ROWS);
	tcase_add_loop_test(random, survives_changed_bodies, 0, ROWS);
	suite_add_tcase(suite, random);
	return suite;
}
