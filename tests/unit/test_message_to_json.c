#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json_walk.h"
#include "bridge/message_to_json.h"
#include "eventstore.pb-c.h"
#include "store/wire_write.h"
#include "suites.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

static const struct render plain = { PAYLOAD_JSON, 128, NULL };
static const struct render base64 = { PAYLOAD_BASE64, 128, NULL };
static const struct render none = { PAYLOAD_NONE, 128, NULL };

static struct buffer out;
static const char *result;

static void set_up(void)
{
	buffer_init(&out, 0);
}

static void tear_down(void)
{
	buffer_free(&out);
}

/* What is in the output, as a text. */
static const char *text(void)
{
	buffer_add_byte(&out, 0);
	buffer_cut(&out, 1);
	return (const char *)buffer_at(&out);
}

static bool decode(const ProtobufCMessageDescriptor *d, const void *bytes, size_t len)
{
	buffer_consume(&out, buffer_len(&out));
	return message_to_json(d, bytes, len, &plain, &out, &result);
}

#define DECODE(message, bytes) decode(&es__##message##__descriptor, bytes, sizeof(bytes) - 1)

static void assert_json(const char *expected)
{
	bool breaks;

	ck_assert_str_eq(text(), expected);
	ck_assert(json_check(text(), strlen(text()), 100, &breaks));
	ck_assert(!breaks);
}

static struct span span(const char *bytes)
{
	return (struct span){ (const uint8_t *)bytes, strlen(bytes) };
}

/* From a write on 4.1.4, and the same as 22.10.5 would say it. */
START_TEST(omitted_zeros_are_zeros)
{
	ck_assert(DECODE(write_events_completed,
			 "\x08\x00\x18\x00\x20\x00\x28\x83\x1c\x30\x83\x1c\x38\x00"));
	assert_json("{\"result\":\"Success\",\"first_event_number\":0,\"last_event_number\":0,"
		    "\"prepare_position\":3587,\"commit_position\":3587}");
	ck_assert_str_eq(result, "Success");
	ck_assert(DECODE(write_events_completed, "\x28\x83\x1c\x30\x83\x1c"));
	assert_json("{\"result\":\"Success\",\"first_event_number\":0,\"last_event_number\":0,"
		    "\"prepare_position\":3587,\"commit_position\":3587}");
	ck_assert_str_eq(result, "Success");
}
END_TEST

START_TEST(sentinels_are_left_out)
{
	static const char wrong[] = "\x08\x04\x12\x04"
				    "Text\x18\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01"
				    "\x20\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01"
				    "\x28\x80\x80\x80\x80\xf8\xff\xff\xff\xff\x01\x30\x00\x38\x02";

	ck_assert(DECODE(write_events_completed, wrong));
	assert_json(
		"{\"result\":\"WrongExpectedVersion\",\"message\":\"Text\",\"commit_position\":0,"
		"\"current_version\":2}");
	ck_assert_str_eq(result, "WrongExpectedVersion");
}
END_TEST

START_TEST(current_version_comes_with_wrong_versions_only)
{
	ck_assert(DECODE(delete_stream_completed, "\x08\x04\x28\x07"));
	assert_json(
		"{\"result\":\"WrongExpectedVersion\",\"prepare_position\":0,\"commit_position\":0,"
		"\"current_version\":7}");
	/* As 22.10 says that it is 0, and as 3.9 says nothing of it: that one sends a
	 * commit_position of 0. */
	ck_assert(DECODE(write_events_completed, "\x08\x04\x18\x01"));
	assert_json("{\"result\":\"WrongExpectedVersion\",\"first_event_number\":1,"
		    "\"last_event_number\":0,\"prepare_position\":0,\"commit_position\":0,"
		    "\"current_version\":0}");
	ck_assert(DECODE(write_events_completed, "\x08\x04\x18\x01\x30\x00"));
	assert_json("{\"result\":\"WrongExpectedVersion\",\"first_event_number\":1,"
		    "\"last_event_number\":0,\"prepare_position\":0,\"commit_position\":0}");
	ck_assert(DECODE(delete_stream_completed, "\x08\x05\x28\x07"));
	assert_json("{\"result\":\"StreamDeleted\",\"prepare_position\":0,\"commit_position\":0}");
	ck_assert(DECODE(delete_stream_completed,
			 "\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x28\x07"));
	assert_json("{\"result\":\"Success\",\"prepare_position\":-1,\"commit_position\":0}");
}
END_TEST

START_TEST(empty_texts_are_left_out)
{
	ck_assert(DECODE(transaction_commit_completed, "\x08\x05\x10\x00\x1a\x00\x20\x00\x28\x02"));
	assert_json("{\"transaction_id\":5,\"result\":\"Success\",\"first_event_number\":0,"
		    "\"last_event_number\":2,\"prepare_position\":0,\"commit_position\":0}");
	ck_assert(DECODE(create_persistent_subscription_completed, ""));
	assert_json("{\"result\":\"Success\"}");
	ck_assert(DECODE(create_persistent_subscription_completed, "\x08\x02\x12\x02no"));
	assert_json("{\"result\":\"Fail\",\"reason\":\"no\"}");
}
END_TEST

START_TEST(enum_values_without_a_name_are_numbers)
{
	ck_assert(DECODE(transaction_start_completed, "\x10\x63"));
	assert_json("{\"transaction_id\":0,\"result\":99}");
	ck_assert_ptr_null(result);
	ck_assert(DECODE(transaction_start_completed,
			 "\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"));
	assert_json("{\"transaction_id\":0,\"result\":-1}");
}
END_TEST

START_TEST(the_last_value_counts)
{
	ck_assert(DECODE(transaction_start_completed, "\x08\x01\x10\x07\x1a\x01"
						      "a\x08\x02\x10\x01\x1a\x02"
						      "bc"));
	assert_json("{\"transaction_id\":2,\"result\":\"PrepareTimeout\",\"message\":\"bc\"}");
	ck_assert_str_eq(result, "PrepareTimeout");
}
END_TEST

START_TEST(unknown_fields_are_skipped)
{
	/* Numbers 0x7f and 0x1fffffff, of each wire type. */
	ck_assert(DECODE(transaction_start_completed, "\xf8\x07\x05\x08\x03\xfa\x07\x02xy\xf9\x07"
						      "12345678\xfd\x07"
						      "1234\xf8\xff\xff\xff\x0f\x01\x20\x01"));
	assert_json("{\"transaction_id\":3,\"result\":\"Success\"}");
}
END_TEST

START_TEST(a_failed_read_has_no_event)
{
	ck_assert(DECODE(read_event_completed, "\x08\x02\x12\x00"));
	assert_json("{\"result\":\"NoStream\"}");
	ck_assert(DECODE(read_event_completed, "\x08\x01"));
	assert_json("{\"result\":\"NotFound\"}");
	ck_assert(DECODE(read_stream_events_completed,
			 "\x10\x01\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x28\x01\x3a\x00"));
	assert_json(
		"{\"events\":[],\"result\":\"NoStream\",\"next_event_number\":-1,"
		"\"last_event_number\":0,\"is_end_of_stream\":true,\"last_commit_position\":0}");
}
END_TEST

#define EMPTY_RECORD \
	"{\"event_stream_id\":\"\",\"event_number\":%d,\"event_id\":" \
	"\"00000000-0000-0000-0000-000000000000\",\"event_type\":\"\"," \
	"\"data_content_type\":0,\"metadata_content_type\":0,\"created_epoch\":0}"

START_TEST(events_are_lists_with_positions)
{
	char expected[1000];

	/* Elements among other fields; a link alone; positions that proto3 leaves out. */
	ck_assert(DECODE(
		read_all_events_completed,
		"\x1a\x06\x0a\x02\x10\x01\x18\x05\x08\x09\x1a\x04\x12\x02\x10\x02\x30\x00\x1a\x00"));
	snprintf(expected, sizeof(expected),
		 "{\"commit_position\":9,\"prepare_position\":0,\"events\":["
		 "{\"event\":" EMPTY_RECORD ",\"position\":{\"commit\":5,\"prepare\":0}},"
		 "{\"link\":" EMPTY_RECORD ",\"position\":{\"commit\":0,\"prepare\":0}},"
		 "{\"position\":{\"commit\":0,\"prepare\":0}}],"
		 "\"next_commit_position\":0,\"next_prepare_position\":0,\"result\":\"Success\"}",
		 1, 2);
	assert_json(expected);
	ck_assert(DECODE(read_event_completed, "\x12\x08\x0a\x02\x10\x01\x12\x02\x10\x02"));
	snprintf(expected, sizeof(expected),
		 "{\"result\":\"Success\",\"event\":{\"event\":" EMPTY_RECORD
		 ",\"link\":" EMPTY_RECORD "}}",
		 1, 2);
	assert_json(expected);
}
END_TEST

START_TEST(other_messages_are_mapped_by_their_descriptors)
{
	ck_assert(DECODE(not_handled, "\x08\x02\x12\x03"
				      "abc"));
	assert_json("{\"reason\":\"NotMaster\",\"additional_info\":\"YWJj\"}");
	ck_assert(DECODE(filter, "\x1a\x01"
				 "a\x1a\x00\x08\x01"));
	assert_json("{\"context\":\"EventType\",\"type\":\"Regex\",\"data\":[\"a\",\"\"]}");
	ck_assert(DECODE(persistent_subscription_ack_events, "\x12\x10"
							     "0123456789abcdef"));
	assert_json("{\"processed_event_ids\":[\"33323130-3534-3736-3839-616263646566\"]}");
	ck_assert(DECODE(filtered_read_all_events, "\x3a\x02\x10\x01"));
	assert_json("{\"commit_position\":0,\"prepare_position\":0,\"max_count\":0,"
		    "\"max_search_window\":0,\"resolve_link_tos\":false,\"require_master\":false,"
		    "\"filter\":{\"context\":\"StreamId\",\"type\":\"Prefix\",\"data\":[]}}");
	ck_assert(DECODE(scavenge_database, ""));
	assert_json("{}");
}
END_TEST

START_TEST(invalid_texts_are_mended)
{
	ck_assert(DECODE(transaction_start_completed, "\x1a\x03"
						      "a\xff\n"));
	assert_json(
		"{\"transaction_id\":0,\"result\":\"Success\",\"message\":\"a\xef\xbf\xbd\\n\"}");
}
END_TEST

static const struct {
	const ProtobufCMessageDescriptor *descriptor;
	const char *bytes;
	size_t len;
} broken[] = {
#define BROKEN(message, bytes) \
	{ \
		&es__##message##__descriptor, bytes, sizeof(bytes) - 1 \
	}
	BROKEN(write_events_completed, "\x08"),
	BROKEN(write_events_completed, "\x08\x80"),
	BROKEN(write_events_completed, "\x0a\x00"), /* result as bytes */
	BROKEN(write_events_completed, "\x10\x00"), /* message as a number */
	BROKEN(write_events_completed, "\x19\x01\x02\x03\x04\x05\x06\x07\x08"),
	BROKEN(write_events_completed, "\x1d\x01\x02\x03\x04"),
	BROKEN(write_events_completed, "\x12\x05text"), /* one byte too few */
	BROKEN(write_events_completed, "\x0b\x0c"),     /* a group */
	BROKEN(write_events_completed, "\x00\x00"),     /* number 0 */
	BROKEN(write_events_completed, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
	BROKEN(read_event_completed, "\x12\x03\x0a\x02\x10"),
	BROKEN(read_event_completed, "\x12\x02\x08\x01"), /* event as a number */
	BROKEN(read_event_completed, "\x12\x04\x0a\x02\x0a\x01"),
	BROKEN(read_event_completed, "\x12\x05\x0a\x03\x1a\x01x"), /* an id of one byte */
	BROKEN(read_all_events_completed, "\x1a\x00\x1a\x02\x18"),
	BROKEN(read_all_events_completed, "\x1a\x02\x1a\x00"), /* a position as bytes */
	BROKEN(read_all_events_completed, "\x1a\x00\x18\x00"), /* events as a number */
	BROKEN(filtered_read_all_events, "\x3a\x02\x0a\x00"),
	BROKEN(persistent_subscription_ack_events, "\x12\x01x"),
#undef BROKEN
};

START_TEST(broken_bytes_are_refused)
{
	buffer_add_text(&out, "kept");
	ck_assert(!message_to_json(broken[_i].descriptor, (const uint8_t *)broken[_i].bytes,
				   broken[_i].len, &plain, &out, &result));
	ck_assert_str_eq(text(), "kept");
}
END_TEST

static const struct event_record event = {
	.present = true,
	.stream = { (const uint8_t *)"people \"x\"", 10 },
	.number = INT64_MAX,
	.id = { { 0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc,
		  0xdd, 0xee, 0xff } },
	.type = { (const uint8_t *)"Made", 4 },
	.json = true,
	.data_content_type = 1,
	.metadata_content_type = 1,
	.data = { (const uint8_t *)"{\"a\": 1.10}", 11 },
	.metadata = { (const uint8_t *)"[\r\n1]", 5 },
	.created = INT64_C(639000000012345678),
	.created_epoch = INT64_C(1764403201234),
};

#define EVENT_START \
	"{\"event_stream_id\":\"people \\\"x\\\"\",\"event_number\":9223372036854775807," \
	"\"event_id\":\"00112233-4455-6677-8899-aabbccddeeff\",\"event_type\":\"Made\"," \
	"\"data_content_type\":1,\"metadata_content_type\":1," \
	"\"created\":\"2025-11-29T08:00:01.234567Z\",\"created_epoch\":1764403201234"

START_TEST(an_event_has_all_its_members)
{
	event_record_to_json(&event, &plain, &out);
	assert_json(EVENT_START ",\"data\":{\"a\": 1.10},\"metadata\":[  1]}");
}
END_TEST

START_TEST(payloads_come_as_asked_for)
{
	event_record_to_json(&event, &base64, &out);
	assert_json(EVENT_START
		    ",\"data_base64\":\"eyJhIjogMS4xMH0=\",\"metadata_base64\":\"Ww0KMV0=\"}");
	buffer_consume(&out, buffer_len(&out));
	event_record_to_json(&event, &none, &out);
	assert_json(EVENT_START "}");
}
END_TEST

/* Payloads of an event flagged as JSON, and what becomes of them. */
static const struct {
	const char *data;
	const char *expected;
} payloads[] = {
	{ "", "" },
	{ "129.95", ",\"data\":129.95" },
	{ "1e400", ",\"data\":1e400" },
	{ "18446744073709551616", ",\"data\":18446744073709551616" },
	{ "{\"a\":1,\"a\":\"\\u0000\\ud800\"}", ",\"data\":{\"a\":1,\"a\":\"\\u0000\\ud800\"}" },
	{ "\xef\xbb\xbf[1]", ",\"data\":[1]" },
	{ "\xef\xbb\xbf", ",\"data_base64\":\"77u/\"" },
	{ "\xef\xbb\xbf\xef\xbb\xbf"
	  "1",
	  ",\"data_base64\":\"77u/77u/MQ==\"" },
	{ "\xef\xbb\xbf{", ",\"data_base64\":\"77u/ew==\"" },
	{ "{\r\n\t\"a\":\r[\n]}", ",\"data\":{  \t\"a\": [ ]}" },
	{ "\n1\n", ",\"data\": 1 " },
	{ "{", ",\"data_base64\":\"ew==\"" },
	{ "1 2", ",\"data_base64\":\"MSAy\"" },
	{ "\"\xff\"", ",\"data_base64\":\"Iv8i\"" },
	{ "\"\xed\xa0\x80\"", ",\"data_base64\":\"Iu2ggCI=\"" },
	{ "text", ",\"data_base64\":\"dGV4dA==\"" },
	{ "[[[]]]", ",\"data\":[[[]]]" },
	{ "[[[[]]]]", ",\"data_base64\":\"W1tbW11dXV0=\"" },
};

static void assert_data(const char *data, bool json, const char *expected)
{
	const struct render shallow = { PAYLOAD_JSON, 3, NULL };
	struct event_record record = event;
	char whole[600];

	record.data = span(data);
	record.metadata = (struct span){ NULL, 0 };
	record.json = json;
	buffer_consume(&out, buffer_len(&out));
	event_record_to_json(&record, &shallow, &out);
	snprintf(whole, sizeof(whole), "%s%s}", EVENT_START, expected);
	assert_json(whole);
}

START_TEST(json_payloads_stay_what_they_are)
{
	assert_data(payloads[_i].data, true, payloads[_i].expected);
}
END_TEST

START_TEST(payloads_without_the_flag_are_base64)
{
	assert_data("[1]", false, ",\"data_base64\":\"WzFd\"");
	assert_data("", false, "");
}
END_TEST

START_TEST(nul_bytes_are_no_json)
{
	struct event_record record = event;

	record.data = (struct span){ (const uint8_t *)"1\0", 2 };
	record.metadata = (struct span){ (const uint8_t *)"\0", 1 };
	event_record_to_json(&record, &plain, &out);
	assert_json(EVENT_START ",\"data_base64\":\"MQA=\",\"metadata_base64\":\"AA==\"}");
}
END_TEST

/* .NET ticks of dates that are easy to get wrong, and milliseconds where there are no ticks. */
static const struct {
	int64_t ticks;
	int64_t epoch;
	const char *expected;
} times[] = {
	{ 1, 0, "0001-01-01T00:00:00.000000Z" },
	{ 9, 0, "0001-01-01T00:00:00.000000Z" },
	{ 10, 0, "0001-01-01T00:00:00.000001Z" },
	{ INT64_C(3155378975999999999), 0, "9999-12-31T23:59:59.999999Z" },
	{ INT64_C(3155378976000000000), 0, NULL },
	{ INT64_C(4611686018427387903), 0, NULL },
	{ INT64_C(621355968000000000), 0, "1970-01-01T00:00:00.000000Z" },
	{ INT64_C(621355967999999990), 0, "1969-12-31T23:59:59.999999Z" },
	{ INT64_C(630873792000000000), 0, "2000-02-29T00:00:00.000000Z" },
	{ INT64_C(630874655999999990), 0, "2000-02-29T23:59:59.999999Z" },
	{ INT64_C(630874656000000000), 0, "2000-03-01T00:00:00.000000Z" },
	{ INT64_C(599317056000000000), 0, "1900-03-01T00:00:00.000000Z" },
	{ INT64_C(599316192000000000), 0, "1900-02-28T00:00:00.000000Z" },
	{ INT64_C(630822815999999990), 0, "1999-12-31T23:59:59.999999Z" },
	{ INT64_C(638448479999999990), 5, "2024-02-29T23:59:59.999999Z" },
	{ 0, 0, NULL },
	{ 0, 1, "1970-01-01T00:00:00.001000Z" },
	{ 0, -1, "1969-12-31T23:59:59.999000Z" },
	{ 0, INT64_C(1764403201234), "2025-11-29T08:00:01.234000Z" },
	{ 0, INT64_C(253402300799999), "9999-12-31T23:59:59.999000Z" },
	{ 0, INT64_C(253402300800000), NULL },
	{ 0, INT64_C(-62135596800000), "0001-01-01T00:00:00.000000Z" },
	{ 0, INT64_C(-62135596800001), NULL },
	{ 0, INT64_MIN, NULL },
	{ 0, INT64_MAX, NULL },
};

START_TEST(times_are_right)
{
	struct event_record record = event;
	char expected[100];
	const char *at;

	record.created = times[_i].ticks;
	record.created_epoch = times[_i].epoch;
	event_record_to_json(&record, &none, &out);
	snprintf(expected, sizeof(expected), ",\"created\":\"%s\",", times[_i].expected);
	at = strstr(text(), ",\"created\":");
	if (times[_i].expected == NULL)
		ck_assert_ptr_null(at);
	else
		ck_assert_msg(at != NULL && strncmp(at, expected, strlen(expected)) == 0, "%s",
			      text());
}
END_TEST

START_TEST(resolved_events_join_an_open_object)
{
	struct resolved_event e = {
		.event = event, .positioned = true, .commit = -1, .prepare = 7
	};

	e.event.data = e.event.metadata = (struct span){ NULL, 0 };
	buffer_add_text(&out, "{\"push\":\"event\"");
	resolved_event_to_json(&e, &plain, &out);
	buffer_add_text(&out, "}");
	assert_json("{\"push\":\"event\",\"event\":" EVENT_START
		    "},\"position\":{\"commit\":-1,\"prepare\":7}}");

	e.link = e.event;
	e.event.present = e.positioned = false;
	buffer_consume(&out, buffer_len(&out));
	buffer_add_text(&out, "{");
	resolved_event_to_json(&e, &plain, &out);
	buffer_add_text(&out, "}");
	assert_json("{\"link\":" EVENT_START "}}");
}
END_TEST

START_TEST(fails_the_buffer_where_there_is_no_room)
{
	static const uint8_t data[] = { 0x1a, 1, 'a' };
	struct resolved_event e = { .event = event, .link = event, .positioned = true };
	size_t whole = strlen("{\"context\":\"StreamId\",\"type\":\"Regex\",\"data\":[\"a\"]}");
	size_t needs;

	resolved_event_to_json(&e, &plain, &out);
	needs = buffer_len(&out);
	for (size_t limit = 1; limit < needs; limit += 7) {
		struct buffer small;

		buffer_init(&small, limit);
		resolved_event_to_json(&e, &plain, &small);
		ck_assert(small.failed);
		buffer_free(&small);
		buffer_init(&small, limit);
		ck_assert(message_to_json(&es__filter__descriptor, data, sizeof(data), &plain,
					  &small, NULL));
		ck_assert(small.failed || limit >= whole);
		buffer_free(&small);
	}
}
END_TEST

Suite *message_to_json_suite(void)
{
	Suite *suite = suite_create("message to json");
	TCase *bodies = tcase_create("bodies");
	TCase *events = tcase_create("events");

	tcase_add_checked_fixture(bodies, set_up, tear_down);
	tcase_add_test(bodies, omitted_zeros_are_zeros);
	tcase_add_test(bodies, sentinels_are_left_out);
	tcase_add_test(bodies, current_version_comes_with_wrong_versions_only);
	tcase_add_test(bodies, empty_texts_are_left_out);
	tcase_add_test(bodies, enum_values_without_a_name_are_numbers);
	tcase_add_test(bodies, the_last_value_counts);
	tcase_add_test(bodies, unknown_fields_are_skipped);
	tcase_add_test(bodies, a_failed_read_has_no_event);
	tcase_add_test(bodies, events_are_lists_with_positions);
	tcase_add_test(bodies, other_messages_are_mapped_by_their_descriptors);
	tcase_add_test(bodies, invalid_texts_are_mended);
	tcase_add_loop_test(bodies, broken_bytes_are_refused, 0, (int)COUNT(broken));
	suite_add_tcase(suite, bodies);

	tcase_add_checked_fixture(events, set_up, tear_down);
	tcase_add_test(events, an_event_has_all_its_members);
	tcase_add_test(events, payloads_come_as_asked_for);
	tcase_add_loop_test(events, json_payloads_stay_what_they_are, 0, (int)COUNT(payloads));
	tcase_add_test(events, payloads_without_the_flag_are_base64);
	tcase_add_test(events, nul_bytes_are_no_json);
	tcase_add_loop_test(events, times_are_right, 0, (int)COUNT(times));
	tcase_add_test(events, resolved_events_join_an_open_object);
	tcase_add_test(events, fails_the_buffer_where_there_is_no_room);
	suite_add_tcase(suite, events);
	return suite;
}
