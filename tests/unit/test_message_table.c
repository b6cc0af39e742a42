#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "bridge/layout.h"
#include "bridge/message.h"
#include "eventstore.pb-c.h"
#include "suites.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* From the lists of EventStore's command codes, once more by hand: the table is compared with it.
 */
static const struct {
	const char *name;
	const char *alias;
	const char *request;
	const char *reply;
	uint8_t command;
	uint8_t reply_command;
	uint8_t other_reply_command;
	enum message_kind kind;
	bool repeatable;
} rows[] = {
	{ "WriteEvents", NULL, "WriteEvents", "WriteEventsCompleted", 0x82, 0x83, 0, MESSAGE_WRITE,
	  true },
	{ "ReadEvent", NULL, "ReadEvent", "ReadEventCompleted", 0xb0, 0xb1, 0, MESSAGE_READ, true },
	{ "ReadStreamEvents", "ReadStreamEventsForward", "ReadStreamEvents",
	  "ReadStreamEventsCompleted", 0xb2, 0xb3, 0, MESSAGE_READ, true },
	{ "ReadStreamEventsBackward", NULL, "ReadStreamEvents", "ReadStreamEventsCompleted", 0xb4,
	  0xb5, 0, MESSAGE_READ, true },
	{ "ReadAllEvents", "ReadAllEventsForward", "ReadAllEvents", "ReadAllEventsCompleted", 0xb6,
	  0xb7, 0, MESSAGE_READ, true },
	{ "ReadAllEventsBackward", NULL, "ReadAllEvents", "ReadAllEventsCompleted", 0xb8, 0xb9, 0,
	  MESSAGE_READ, true },
	{ "FilteredReadAllEvents", NULL, "FilteredReadAllEvents", "FilteredReadAllEventsCompleted",
	  0xba, 0xbb, 0xb7, MESSAGE_READ, true },
	{ "FilteredReadAllEventsBackward", NULL, "FilteredReadAllEvents",
	  "FilteredReadAllEventsCompleted", 0xbc, 0xbe, 0xb9, MESSAGE_READ, true },
	{ "DeleteStream", NULL, "DeleteStream", "DeleteStreamCompleted", 0x8a, 0x8b, 0,
	  MESSAGE_WRITE, false },
	{ "TransactionStart", NULL, "TransactionStart", "TransactionStartCompleted", 0x84, 0x85, 0,
	  MESSAGE_WRITE, false },
	{ "TransactionWrite", NULL, "TransactionWrite", "TransactionWriteCompleted", 0x86, 0x87, 0,
	  MESSAGE_WRITE, false },
	{ "TransactionCommit", NULL, "TransactionCommit", "TransactionCommitCompleted", 0x88, 0x89,
	  0, MESSAGE_WRITE, false },
	{ "CreatePersistentSubscription", NULL, "CreatePersistentSubscription",
	  "CreatePersistentSubscriptionCompleted", 0xc8, 0xc9, 0, MESSAGE_MANAGE, false },
	{ "UpdatePersistentSubscription", NULL, "UpdatePersistentSubscription",
	  "UpdatePersistentSubscriptionCompleted", 0xce, 0xcf, 0, MESSAGE_MANAGE, false },
	{ "DeletePersistentSubscription", NULL, "DeletePersistentSubscription",
	  "DeletePersistentSubscriptionCompleted", 0xca, 0xcb, 0, MESSAGE_MANAGE, false },
	{ "ScavengeDatabase", NULL, "ScavengeDatabase", "ScavengeDatabaseResponse", 0xd0, 0xd1, 0,
	  MESSAGE_MANAGE, false },
};

static const struct message *find(const char *name)
{
	return message_find(name, strlen(name));
}

START_TEST(has_each_message)
{
	const struct message *m = &message_table[_i];

	ck_assert_str_eq(m->name, rows[_i].name);
	ck_assert_pstr_eq(m->alias, rows[_i].alias);
	ck_assert_str_eq(m->reply, rows[_i].reply);
	ck_assert_str_eq(m->request->short_name, rows[_i].request);
	ck_assert_str_eq(m->response->short_name, rows[_i].reply);
	ck_assert_uint_eq(m->command, rows[_i].command);
	ck_assert_uint_eq(m->reply_command, rows[_i].reply_command);
	ck_assert_uint_eq(m->other_reply_command, rows[_i].other_reply_command);
	ck_assert_int_eq(m->kind, rows[_i].kind);
	ck_assert_int_eq(m->repeatable, rows[_i].repeatable);
	ck_assert_ptr_eq(find(m->name), m);
	if (m->alias != NULL)
		ck_assert_ptr_eq(find(m->alias), m);
}
END_TEST

START_TEST(ends_after_the_last_row)
{
	ck_assert_ptr_null(message_table[COUNT(rows)].name);
}
END_TEST

START_TEST(finds_exact_names_only)
{
	ck_assert_ptr_null(find(""));
	ck_assert_ptr_null(find("writeevents"));
	ck_assert_ptr_null(find("WriteEvent"));
	ck_assert_ptr_null(find("WriteEventss"));
	ck_assert_ptr_null(find("WriteEventsCompleted"));
	ck_assert_ptr_null(message_find("WriteEvents\0padding", 19));
	ck_assert_ptr_eq(message_find("ReadEventXYZ", 9), &message_table[1]);
}
END_TEST

static int place_of(const ProtobufCMessageDescriptor *descriptor, const char *member)
{
	for (unsigned i = 0; i < descriptor->n_fields; i++) {
		if (strcmp(descriptor->fields[i].name, member) == 0)
			return (int)i;
	}
	return -1;
}

/* json_to_message takes the defaults in turn as it goes through the fields. */
START_TEST(defaults_name_fields_in_their_order)
{
	const struct message *m = &message_table[_i];
	int last = -1;

	for (const struct message_default *d = m->defaults; d != NULL && d->member != NULL; d++) {
		int place = place_of(m->request, d->member);

		ck_assert_msg(place > last, "%s: %s", m->name, d->member);
		last = place;
		if (d->kind == DEFAULT_TEXT)
			ck_assert_int_eq(m->request->fields[place].type, PROTOBUF_C_TYPE_STRING);
		if (d->kind == DEFAULT_REQUIRE_MASTER)
			ck_assert_int_eq(m->request->fields[place].type, PROTOBUF_C_TYPE_BOOL);
		if (d->unless != NULL)
			ck_assert_int_ge(place_of(m->request, d->unless), 0);
	}
}
END_TEST

/* What layouts have room for, and the types that they know, hold for every message that the daemon
 * maps. */
static void check_layout(const ProtobufCMessageDescriptor *d)
{
	const struct layout *layout = layout_of(d);

	ck_assert_ptr_eq(layout_of(d), layout);
	ck_assert_uint_le(d->n_fields, LAYOUT_MEMBERS);
	ck_assert_uint_eq(layout->count, d->n_fields);
	for (unsigned i = 0; i < d->n_fields; i++) {
		const ProtobufCFieldDescriptor *f = &d->fields[i];
		const struct layout_member *m = &layout->members[i];

		ck_assert_uint_lt(f->id, LAYOUT_NUMBERS);
		ck_assert_uint_eq(layout->place[f->id], i + 1);
		ck_assert_uint_lt(strlen(f->name) + 4, LAYOUT_KEY);
		ck_assert_msg(f->type == PROTOBUF_C_TYPE_INT32 ||
				      f->type == PROTOBUF_C_TYPE_INT64 ||
				      f->type == PROTOBUF_C_TYPE_BOOL ||
				      f->type == PROTOBUF_C_TYPE_ENUM ||
				      f->type == PROTOBUF_C_TYPE_STRING ||
				      f->type == PROTOBUF_C_TYPE_BYTES ||
				      f->type == PROTOBUF_C_TYPE_MESSAGE,
			      "%s.%s", d->name, f->name);
		ck_assert_msg(!m->repeated || m->wire == WIRE_BYTES, "%s.%s", d->name, f->name);
		if (f->type == PROTOBUF_C_TYPE_MESSAGE)
			check_layout(f->descriptor);
	}
}

START_TEST(layouts_have_room)
{
	const struct message *m = &message_table[_i];

	check_layout(m->request);
	check_layout(m->response);
	if (m->other_response != NULL)
		check_layout(m->other_response);
}
END_TEST

START_TEST(knows_what_each_result_means)
{
	static const struct {
		const char *result;
		const char *code;
	} codes[] = {
		{ "Success", NULL },
		{ "Started", NULL },
		{ "WrongExpectedVersion", "wrong_expected_version" },
		{ "StreamDeleted", "stream_deleted" },
		{ "NoStream", "no_stream" },
		{ "NotFound", "not_found" },
		{ "AccessDenied", "access_denied" },
		{ "Unauthorized", "access_denied" },
		{ "InvalidTransaction", "invalid_transaction" },
		{ "PrepareTimeout", "prepare_timeout" },
		{ "CommitTimeout", "commit_timeout" },
		{ "ForwardTimeout", "forward_timeout" },
		{ "NotModified", "not_modified" },
		{ "AlreadyExists", "already_exists" },
		{ "DoesNotExist", "does_not_exist" },
		{ "Fail", "fail" },
		{ "Failed", "fail" },
		{ "InProgress", "fail" },
		{ "Error", "server_error" },
		{ "SomethingNew", "server_error" },
		{ "", "server_error" },
		{ NULL, "server_error" },
	};

	for (size_t i = 0; i < COUNT(codes); i++)
		ck_assert_pstr_eq(message_result_code(codes[i].result), codes[i].code);
}
END_TEST

/* Only Error is meant to be a server_error: a name that the table forgot would become one
 * unnoticed. */
START_TEST(knows_every_result_in_the_proto)
{
	const ProtobufCMessageDescriptor *d = message_table[_i].response;
	int place = place_of(d, "result");
	const ProtobufCEnumDescriptor *values;

	ck_assert_int_ge(place, 0);
	values = d->fields[place].descriptor;
	for (unsigned i = 0; i < values->n_values; i++) {
		const char *code = message_result_code(values->values[i].name);

		if (strcmp(values->values[i].name, "Error") != 0)
			ck_assert_pstr_ne(code, "server_error");
	}
}
END_TEST

static const char *response(const char *name, uint8_t command, const char *payload, size_t len)
{
	return message_response(find(name), command, (const uint8_t *)payload, len)->short_name;
}

#define RESPONSE(name, command, payload) response(name, command, payload, sizeof(payload) - 1)

/* The payloads are those of 3.9.4, 4.1.4, 5.0.11 and 22.10.5. */
START_TEST(tells_the_forms_of_a_scavenge)
{
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1, "\x08\x00\x18\x02\x20\x00"),
			 "ScavengeDatabaseCompleted");
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1,
				  "\x08\x02\x12\x0e"
				  "Access denied.\x18\x08\x20\x00"),
			 "ScavengeDatabaseCompleted");
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1, "\x08\x02"),
			 "ScavengeDatabaseResponse");
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1, "\x08\x00\x12\x02id"),
			 "ScavengeDatabaseResponse");
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1, "\x12\x02id"),
			 "ScavengeDatabaseResponse");
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1, ""), "ScavengeDatabaseResponse");
	ck_assert_str_eq(RESPONSE("ScavengeDatabase", 0xd1, "\x12\x7f"),
			 "ScavengeDatabaseResponse");
}
END_TEST

START_TEST(tells_the_forms_of_a_filtered_read)
{
	ck_assert_str_eq(RESPONSE("FilteredReadAllEvents", 0xbb, "\x38\x03"),
			 "FilteredReadAllEventsCompleted");
	ck_assert_str_eq(RESPONSE("FilteredReadAllEvents", 0xb7, "\x30\x03"),
			 "ReadAllEventsCompleted");
	ck_assert_str_eq(RESPONSE("FilteredReadAllEventsBackward", 0xbe, "\x38\x03"),
			 "FilteredReadAllEventsCompleted");
	ck_assert_str_eq(RESPONSE("FilteredReadAllEventsBackward", 0xb9, "\x30\x03"),
			 "ReadAllEventsCompleted");
	ck_assert_str_eq(RESPONSE("ReadAllEvents", 0xb7, ""), "ReadAllEventsCompleted");
	ck_assert_str_eq(RESPONSE("WriteEvents", 0x83, "\x18\x01"), "WriteEventsCompleted");
}
END_TEST

Suite *message_table_suite(void)
{
	Suite *suite = suite_create("message table");
	TCase *tests = tcase_create("rows");

	tcase_add_loop_test(tests, has_each_message, 0, (int)COUNT(rows));
	tcase_add_test(tests, ends_after_the_last_row);
	tcase_add_test(tests, finds_exact_names_only);
	tcase_add_loop_test(tests, defaults_name_fields_in_their_order, 0, (int)COUNT(rows));
	tcase_add_loop_test(tests, layouts_have_room, 0, (int)COUNT(rows));
	tcase_add_test(tests, knows_what_each_result_means);
	tcase_add_loop_test(tests, knows_every_result_in_the_proto, 0, (int)COUNT(rows));
	tcase_add_test(tests, tells_the_forms_of_a_scavenge);
	tcase_add_test(tests, tells_the_forms_of_a_filtered_read);
	suite_add_tcase(suite, tests);
	return suite;
}
