#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "any_message.h"
#include "base/buffer.h"
#include "bridge/message.h"
#include "bridge/message_to_json.h"
#include "eventstore.pb-c.h"
#include "suites.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* How many messages of each kind, and changes to each that is broken. */
enum { MESSAGES = 500, MESSAGES_SLOW = 10, BROKEN_MESSAGES = 10, MUTATIONS = 200 };

static const struct render plain = { PAYLOAD_JSON, 128, NULL };

static const ProtobufCMessageDescriptor *const descriptors[] = {
	&es__write_events_completed__descriptor,
	&es__read_event_completed__descriptor,
	&es__read_stream_events_completed__descriptor,
	&es__read_all_events_completed__descriptor,
	&es__filtered_read_all_events_completed__descriptor,
	&es__delete_stream_completed__descriptor,
	&es__transaction_start_completed__descriptor,
	&es__transaction_write_completed__descriptor,
	&es__transaction_commit_completed__descriptor,
	&es__create_persistent_subscription_completed__descriptor,
	&es__update_persistent_subscription_completed__descriptor,
	&es__delete_persistent_subscription_completed__descriptor,
	&es__scavenge_database_completed__descriptor,
	&es__scavenge_database_response__descriptor,
	&es__subscription_confirmation__descriptor,
	&es__stream_event_appeared__descriptor,
	&es__subscription_dropped__descriptor,
	&es__persistent_subscription_confirmation__descriptor,
	&es__persistent_subscription_stream_event_appeared__descriptor,
	&es__checkpoint_reached__descriptor,
};

/* What a message should become, made with protobuf-c's structures and jansson ---------------------- */

static json_t *expect(const ProtobufCMessage *message);

static void expect_payload(json_t *object, const char *name, const ProtobufCBinaryData *bytes,
			   bool flagged)
{
	static const char alphabet[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	json_t *value = NULL;
	struct buffer b = { 0 };
	char key[32];

	if (bytes->len == 0)
		return;
	if (flagged)
		value = json_loadb((const char *)bytes->data, bytes->len,
				   JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (value != NULL) {
		json_object_set_new(object, name, value);
		return;
	}
	for (size_t i = 0; i < bytes->len; i += 3) {
		size_t n = bytes->len - i < 3 ? bytes->len - i : 3;
		uint32_t three = (uint32_t)bytes->data[i] << 16;

		three |= n > 1 ? (uint32_t)bytes->data[i + 1] << 8 : 0;
		three |= n > 2 ? bytes->data[i + 2] : 0;
		for (size_t k = 0; k < 4; k++)
			buffer_add_byte(&b, k > n ? '='
						  : (uint8_t)alphabet[three >> (18 - 6 * k) & 63]);
	}
	snprintf(key, sizeof(key), "%s_base64", name);
	json_object_set_new(object, key, json_stringn((char *)buffer_at(&b), buffer_len(&b)));
	buffer_free(&b);
}

static void expect_created(json_t *object, int64_t ticks, int64_t epoch)
{
	int64_t micros = (ticks & 0x3fffffffffffffff) / 10 - INT64_C(62135596800000000);
	time_t seconds;
	struct tm tm;
	char text[64];

	if ((ticks & 0x3fffffffffffffff) == 0) {
		if (epoch == 0 || epoch < INT64_C(-62135596800000) ||
		    epoch > INT64_C(253402300799999))
			return;
		micros = epoch * 1000;
	}
	if (micros > INT64_C(253402300799999999))
		return;
	seconds = micros / 1000000 - (micros % 1000000 < 0);
	gmtime_r(&seconds, &tm);
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		 (int)(micros - seconds * 1000000));
	json_object_set_new(object, "created", json_string(text));
}

static json_t *expect_record(const Es__EventRecord *r)
{
	static const uint8_t zeros[16];
	const uint8_t *id = r->event_id.len == 16 ? r->event_id.data : zeros;
	json_t *object = json_object();
	char text[40];

	snprintf(text, sizeof(text),
		 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", id[3],
		 id[2], id[1], id[0], id[5], id[4], id[7], id[6], id[8], id[9], id[10], id[11],
		 id[12], id[13], id[14], id[15]);
	json_object_set_new(object, "event_stream_id",
			    json_string(r->event_stream_id != NULL ? r->event_stream_id : ""));
	json_object_set_new(object, "event_number", json_integer(r->event_number));
	json_object_set_new(object, "event_id", json_string(text));
	json_object_set_new(object, "event_type",
			    json_string(r->event_type != NULL ? r->event_type : ""));
	json_object_set_new(object, "data_content_type", json_integer(r->data_content_type));
	json_object_set_new(object, "metadata_content_type",
			    json_integer(r->metadata_content_type));
	expect_created(object, r->created, r->created_epoch);
	json_object_set_new(object, "created_epoch", json_integer(r->created_epoch));
	expect_payload(object, "data", &r->data, r->data_content_type == 1);
	expect_payload(object, "metadata", &r->metadata, r->data_content_type == 1);
	return object;
}

static json_t *expect_event(const Es__EventRecord *event, const Es__EventRecord *link)
{
	json_t *object = json_object();

	if (event != NULL)
		json_object_set_new(object, "event", expect_record(event));
	if (link != NULL)
		json_object_set_new(object, "link", expect_record(link));
	return object;
}

static json_t *expect_part(const ProtobufCMessage *part)
{
	if (part->descriptor == &es__resolved_indexed_event__descriptor) {
		const Es__ResolvedIndexedEvent *e = (const Es__ResolvedIndexedEvent *)part;

		return expect_event(e->event, e->link);
	}
	if (part->descriptor == &es__resolved_event__descriptor) {
		const Es__ResolvedEvent *e = (const Es__ResolvedEvent *)part;
		json_t *object = expect_event(e->event, e->link);

		json_object_set_new(object, "position",
				    json_pack("{s:I,s:I}", "commit", (json_int_t)e->commit_position,
					      "prepare", (json_int_t)e->prepare_position));
		return object;
	}
	return expect(part);
}

static json_t *expect_list(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *f)
{
	size_t count = *(size_t *)any_quantifier(message, f);
	void **list = *(void ***)any_member(message, f);
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(array, f->type == PROTOBUF_C_TYPE_MESSAGE
						     ? expect_part(list[i])
						     : json_string(list[i]));
	return array;
}

static json_t *expect_enum(const ProtobufCEnumDescriptor *values, int64_t number)
{
	const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(values, (int)number);

	return value != NULL ? json_string(value->name) : json_integer((int32_t)number);
}

static bool is_wrong_version(const ProtobufCMessage *message)
{
	const ProtobufCFieldDescriptor *f =
		protobuf_c_message_descriptor_get_field_by_name(message->descriptor, "result");

	return f != NULL && f->descriptor == &es__operation_result__descriptor &&
	       any_number(message, f) == ES__OPERATION_RESULT__WrongExpectedVersion;
}

/* Whether the sender is one that writes zeros: servers before 22. */
static bool sends_zeros(const ProtobufCMessage *message)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
		bool number = f->type == PROTOBUF_C_TYPE_INT64 || f->type == PROTOBUF_C_TYPE_ENUM;

		if (number && any_has(message, f) && any_number(message, f) == 0)
			return true;
	}
	return false;
}

/* `current_version` beside any other result means nothing, and 3.9 does not send it. */
static bool has_current_version(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *f)
{
	return is_wrong_version(message) && (any_has(message, f) || !sends_zeros(message));
}

/* The value of one member, or NULL where it is left out. */
static json_t *expect_member(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *f)
{
	void *at = any_member(message, f);
	int64_t number;

	if (f->label == PROTOBUF_C_LABEL_REPEATED)
		return expect_list(message, f);
	switch (f->type) {
	case PROTOBUF_C_TYPE_STRING:
		return *(char **)at != NULL && **(char **)at != '\0' ? json_string(*(char **)at)
								     : NULL;
	case PROTOBUF_C_TYPE_MESSAGE:
		if (*(void **)at == NULL || protobuf_c_message_get_packed_size(*(void **)at) == 0)
			return NULL;
		return expect_part(*(ProtobufCMessage **)at);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(protobuf_c_boolean *)at);
	case PROTOBUF_C_TYPE_ENUM:
		return expect_enum(f->descriptor, any_number(message, f));
	default:
		number = any_number(message, f);
		if (number == INT32_MIN)
			return NULL;
		if (strcmp(f->name, "current_version") == 0 && !has_current_version(message, f))
			return NULL;
		return json_integer(number);
	}
}

static json_t *expect(const ProtobufCMessage *message)
{
	json_t *object = json_object();

	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
		json_t *value = expect_member(message, f);

		if (value != NULL)
			json_object_set_new(object, f->name, value);
	}
	return object;
}

/* Maps the LEN bytes at BYTES, and compares what comes with what protobuf-c reads in them. */
static void compare(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len)
{
	ProtobufCMessage *message = protobuf_c_message_unpack(descriptor, NULL, len, bytes);
	struct buffer out = { 0 };
	json_t *got;
	json_t *expected;

	ck_assert_ptr_nonnull(message);
	ck_assert(message_to_json(descriptor, bytes, len, &plain, &out, NULL));
	ck_assert(any_is_line(buffer_at(&out), buffer_len(&out)));
	got = json_loadb((char *)buffer_at(&out), buffer_len(&out), JSON_REJECT_DUPLICATES, NULL);
	expected = expect(message);
	ck_assert_msg(json_equal(got, expected), "%s: %.*s, not %s", descriptor->name,
		      (int)buffer_len(&out), (char *)buffer_at(&out), json_dumps(expected, 0));
	json_decref(got);
	json_decref(expected);
	buffer_free(&out);
	protobuf_c_message_free_unpacked(message, NULL);
}

static uint8_t *pack(const ProtobufCMessage *message, size_t *len)
{
	uint8_t *bytes = malloc(protobuf_c_message_get_packed_size(message) + 1);

	*len = protobuf_c_message_pack(message, bytes);
	return bytes;
}

static int messages(void)
{
	return unit_is_slow() ? MESSAGES_SLOW : MESSAGES;
}

START_TEST(maps_random_messages)
{
	struct any any = { .state = UINT64_C(0xb5297a4d3f84d5b5) + (uint64_t)_i };

	for (int n = 0; n < messages(); n++) {
		ProtobufCMessage *message = any_message(descriptors[_i], &any);
		size_t len;
		uint8_t *bytes = pack(message, &len);

		compare(descriptors[_i], bytes, len);
		free(bytes);
		protobuf_c_message_free_unpacked(message, NULL);
	}
}
END_TEST

/* Sets each number that is not there to an explicit zero, or takes the zeros away, at the outermost
 * level. */
static void set_zeros(ProtobufCMessage *message, bool explicit)
{
	for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &message->descriptor->fields[i];
		protobuf_c_boolean *has = any_quantifier(message, f);

		if (f->label == PROTOBUF_C_LABEL_REPEATED || f->type == PROTOBUF_C_TYPE_STRING ||
		    f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_MESSAGE)
			continue;
		if (!*has)
			any_set_number(message, f, 0);
		*has = explicit || any_number(message, f) != 0;
	}
}

START_TEST(all_versions_look_alike)
{
	struct any any = { .state = UINT64_C(0x1b56c4e9f2d1a2b3) + (uint64_t)_i };

	for (int n = 0; n < messages(); n++) {
		ProtobufCMessage *message = any_message(descriptors[_i], &any);
		struct buffer out[2] = { { 0 }, { 0 } };

		for (int explicit = 0; explicit < 2; explicit ++) {
			size_t len;
			uint8_t *bytes;

			set_zeros(message, explicit);
			bytes = pack(message, &len);
			ck_assert(message_to_json(descriptors[_i], bytes, len, &plain,
						  &out[explicit], NULL));
			free(bytes);
		}
		ck_assert_uint_eq(buffer_len(&out[0]), buffer_len(&out[1]));
		ck_assert_mem_eq(buffer_at(&out[0]), buffer_at(&out[1]), buffer_len(&out[0]));
		buffer_free(&out[0]);
		buffer_free(&out[1]);
		protobuf_c_message_free_unpacked(message, NULL);
	}
}
END_TEST

/* Whatever the bytes are: JSON on one line, or refused with nothing added. The copy has their exact
 * size, for ASan. */
static void survive(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t len)
{
	uint8_t *copy = malloc(len > 0 ? len : 1);
	struct buffer out = { 0 };

	memcpy(copy, bytes, len);
	if (message_to_json(descriptor, len > 0 ? copy : NULL, len, &plain, &out, NULL)) {
		ck_assert(any_is_line(buffer_at(&out), buffer_len(&out)));
	} else {
		ck_assert_uint_eq(buffer_len(&out), 0);
	}
	buffer_free(&out);
	free(copy);
}

START_TEST(survives_broken_bytes)
{
	struct any any = { .state = UINT64_C(0x2545f4914f6cdd1d) + (uint64_t)_i };

	for (int n = 0; n < (unit_is_slow() ? 1 : BROKEN_MESSAGES); n++) {
		ProtobufCMessage *message = any_message(descriptors[_i], &any);
		size_t len;
		uint8_t *bytes = pack(message, &len);

		for (size_t cut = 0; cut <= len; cut++)
			survive(descriptors[_i], bytes, cut);
		for (int m = 0; m < MUTATIONS && len > 0; m++) {
			size_t at = any_below(&any, (uint32_t)len);
			uint8_t was = bytes[at];

			bytes[at] = (uint8_t)(any_chance(&any, 2)
						      ? any_bits(&any)
						      : bytes[at] ^ 1u << any_below(&any, 8));
			survive(descriptors[_i], bytes, len);
			/* Half of the changes stay, so that they add up. */
			if (any_chance(&any, 2))
				bytes[at] = was;
		}
		free(bytes);
		protobuf_c_message_free_unpacked(message, NULL);
	}
}
END_TEST

/* What real servers said ------------------------------------------------------------------------- */

static const char *const versions[] = { "3.9.4",    "4.1.4",   "5.0.11", "20.10.6",
					"21.10.11", "22.10.5", "23.10.6" };

static const char *const subjects[] = { "bad-input",    "delete",     "filtered",    "handshake",
					"links",        "live",       "metadata",    "persistent",
					"read-all",     "read-event", "read-stream", "scavenge",
					"transactions", "write" };

/* Packages that no row of the table answers with. */
static const struct {
	uint8_t command;
	const ProtobufCMessageDescriptor *descriptor;
} others[] = {
	{ 0xc1, &es__subscription_confirmation__descriptor },
	{ 0xc2, &es__stream_event_appeared__descriptor },
	{ 0xc4, &es__subscription_dropped__descriptor },
	{ 0xc6, &es__persistent_subscription_confirmation__descriptor },
	{ 0xc7, &es__persistent_subscription_stream_event_appeared__descriptor },
	{ 0xd3, &es__checkpoint_reached__descriptor },
};

static const ProtobufCMessageDescriptor *descriptor_of(const uint8_t *package, size_t len)
{
	for (const struct message *m = message_table; m->name != NULL; m++) {
		if (m->reply_command == package[0])
			return message_response(m, package[0], package + 18, len - 18);
	}
	for (size_t i = 0; i < COUNT(others); i++) {
		if (others[i].command == package[0])
			return others[i].descriptor;
	}
	return NULL;
}

/* The bytes of a line `S <conn> <command> <hex>`; the caller frees them. NULL for other lines. */
static uint8_t *package_of(const char *line, size_t *len)
{
	static const char digits[] = "0123456789abcdef";
	const char *hex = strrchr(line, ' ');
	uint8_t *package;

	if (line[0] != 'S' || hex == NULL)
		return NULL;
	package = calloc(1, strlen(hex));
	hex++;
	for (*len = 0; hex[0] > ' ' && hex[1] > ' '; hex += 2) {
		size_t high = (size_t)(strchr(digits, hex[0]) - digits);
		size_t low = (size_t)(strchr(digits, hex[1]) - digits);

		package[(*len)++] = (uint8_t)(high << 4 | low);
	}
	return package;
}

/* Compares the answers in the file, and returns how many there were. */
static unsigned compare_file(const char *version, const char *subject)
{
	char path[100];
	char *line = NULL;
	size_t size = 0;
	unsigned count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "tests/transcripts/%s/%s.txt", version, subject);
	file = unit_open(path);
	while (getline(&line, &size, file) > 0) {
		size_t len;
		uint8_t *package = package_of(line, &len);
		const ProtobufCMessageDescriptor *d =
			package != NULL ? descriptor_of(package, len) : NULL;

		if (d != NULL) {
			compare(d, package + 18, len - 18);
			count++;
		}
		free(package);
	}
	free(line);
	fclose(file);
	return count;
}

START_TEST(maps_what_real_servers_said)
{
	unsigned count = 0;

	for (size_t i = 0; i < COUNT(subjects); i++)
		count += compare_file(versions[_i], subjects[i]);
	ck_assert_uint_gt(count, 100);
}
END_TEST

Suite *message_to_json_random_suite(void)
{
	Suite *suite = suite_create("message to json, random and recorded");
	TCase *tests = tcase_create("messages");

	tcase_add_loop_test(tests, maps_random_messages, 0, (int)COUNT(descriptors));
	tcase_add_loop_test(tests, all_versions_look_alike, 0, (int)COUNT(descriptors));
	tcase_add_loop_test(tests, survives_broken_bytes, 0, (int)COUNT(descriptors));
	tcase_add_loop_test(tests, maps_what_real_servers_said, 0, (int)COUNT(versions));
	suite_add_tcase(suite, tests);
	return suite;
}
