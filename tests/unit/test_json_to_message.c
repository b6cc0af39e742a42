#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/json_walk.h"
#include "bridge/json_to_message.h"
#include "eventstore.pb-c.h"
#include "suites.h"

#define COUNT(list) (sizeof(list) / sizeof(*(list)))

/* The body of one test as it is encoded; made anew for each. */
static struct json_doc doc;
static struct buffer out;
static struct buffer ids;
static size_t large; /* payloads of so many bytes are left out, and put in afterwards */
static char fault[FAULT_TEXT];

static void set_up(void)
{
	/* As far down as the members of events: a body is the outermost level here. */
	json_doc_init(&doc, 128, 3, 100000);
	buffer_init(&out, 0);
	buffer_init(&ids, 0);
	large = 0;
}

static void tear_down(void)
{
	json_doc_free(&doc);
	buffer_free(&out);
	buffer_free(&ids);
}

static const struct message *find(const char *name)
{
	const struct message *m = message_find(name, strlen(name));

	ck_assert_ptr_nonnull(m);
	return m;
}

static bool encode_len(const char *name, const char *body, size_t len)
{
	struct encoded encoded = { .event_ids = &ids, .large = large };

	ck_assert_msg(json_parse(&doc, body, len), "%s: %s", body, doc.error);
	buffer_consume(&out, buffer_len(&out));
	buffer_consume(&ids, buffer_len(&ids));
	if (!json_to_message(find(name), &doc, 0, true, &out, &encoded, fault))
		return false;
	if (encoded.left_out != NULL) {
		ck_assert_uint_ge(encoded.left_out_len, large);
		buffer_insert(&out, encoded.left_out_at, encoded.left_out, encoded.left_out_len);
	}
	return true;
}

static bool encode(const char *name, const char *body)
{
	return encode_len(name, body, strlen(body));
}

/* Encodes a good body and unpacks it with protobuf-c. To be freed with done(). */
static void *unpack(const char *name, const char *body)
{
	ProtobufCMessage *m;

	ck_assert_msg(encode(name, body), "%s %s: %s", name, body, fault);
	ck_assert_str_eq(fault, "");
	m = protobuf_c_message_unpack(find(name)->request, NULL, buffer_len(&out), buffer_at(&out));
	ck_assert_ptr_nonnull(m);
	ck_assert_uint_eq(m->n_unknown_fields, 0);
	return m;
}

static void done(void *m)
{
	protobuf_c_message_free_unpacked(m, NULL);
}

static void assert_bytes(const ProtobufCBinaryData *got, const void *bytes, size_t len)
{
	ck_assert_uint_eq(got->len, len);
	ck_assert_mem_eq(got->data, bytes, len);
}

static void assert_text(const ProtobufCBinaryData *got, const char *text)
{
	assert_bytes(got, text, strlen(text));
}

START_TEST(encodes_write_events)
{
	Es__WriteEvents *m = unpack(
		"WriteEvents",
		"{\"require_master\":false,\"events\":[{\"event_type\":\"A\",\"data\":{\"n\":1},"
		"\"event_id\":\"00112233-4455-6677-8899-AABBCCDDEEFF\",\"metadata\":[2],"
		"\"metadata_content_type\":1},{\"event_type\":\"B\",\"data_text\":\"t\\u00e4\\/\","
		"\"metadata_base64\":\"AP8=\",\"data_content_type\":7}],\"expected_version\":5,"
		"\"event_stream_id\":\"people\"}");

	ck_assert_str_eq(m->event_stream_id, "people");
	ck_assert_int_eq(m->expected_version, 5);
	ck_assert(m->has_require_master && !m->require_master);
	ck_assert_uint_eq(m->n_events, 2);
	assert_bytes(&m->events[0]->event_id,
		     "\x33\x22\x11\x00\x55\x44\x77\x66\x88\x99\xaa\xbb\xcc\xdd\xee\xff", 16);
	ck_assert_str_eq(m->events[0]->event_type, "A");
	ck_assert_int_eq(m->events[0]->data_content_type, 1);
	ck_assert_int_eq(m->events[0]->metadata_content_type, 1);
	assert_text(&m->events[0]->data, "{\"n\":1}");
	assert_text(&m->events[0]->metadata, "[2]");
	ck_assert_int_eq(m->events[1]->data_content_type, 7);
	ck_assert_int_eq(m->events[1]->metadata_content_type, 0);
	assert_text(&m->events[1]->data, "t\xc3\xa4/");
	assert_bytes(&m->events[1]->metadata, "\x00\xff", 2);
	done(m);
}
END_TEST

START_TEST(encodes_defaults_of_writes)
{
	Es__WriteEvents *w = unpack("WriteEvents", "{\"event_stream_id\":\"s\"}");
	Es__DeleteStream *d = unpack("DeleteStream", "{\"event_stream_id\":\"s\"}");
	Es__TransactionStart *t = unpack("TransactionStart", "{\"event_stream_id\":\"s\"}");

	ck_assert(w->has_expected_version && w->expected_version == -2);
	ck_assert(w->has_require_master && w->require_master);
	ck_assert_uint_eq(w->n_events, 0);
	ck_assert(d->has_expected_version && d->expected_version == -2);
	ck_assert(d->has_require_master && d->require_master);
	ck_assert(d->has_hard_delete && !d->hard_delete);
	ck_assert(t->has_expected_version && t->expected_version == -2);
	ck_assert(t->has_require_master && t->require_master);
	done(w);
	done(d);
	done(t);
}
END_TEST

START_TEST(encodes_transactions)
{
	Es__TransactionWrite *w = unpack(
		"TransactionWrite", "{\"transaction_id\":\"9223372036854775807\",\"events\":[]}");
	Es__TransactionCommit *c =
		unpack("TransactionCommit", "{\"transaction_id\":17,\"require_leader\":false}");

	ck_assert_int_eq(w->transaction_id, INT64_MAX);
	ck_assert(w->has_require_master && w->require_master);
	ck_assert_int_eq(c->transaction_id, 17);
	ck_assert(c->has_require_master && !c->require_master);
	done(w);
	done(c);
}
END_TEST

START_TEST(encodes_defaults_of_events)
{
	Es__WriteEvents *m = unpack("WriteEvents", "{\"event_stream_id\":\"s\",\"events\":["
						   "{\"event_type\":\"t\"}]}");
	const Es__NewEvent *e = m->events[0];

	ck_assert(e->has_event_id && e->event_id.len == 16);
	ck_assert_uint_eq(e->event_id.data[7] >> 4, 4);
	ck_assert(e->has_data_content_type && e->data_content_type == 0);
	ck_assert(e->has_metadata_content_type && e->metadata_content_type == 0);
	ck_assert(e->has_data && e->data.len == 0);
	ck_assert(e->has_metadata && e->metadata.len == 0);
	done(m);
}
END_TEST

START_TEST(content_type_follows_the_form)
{
	static const struct {
		const char *event;
		int type;
	} forms[] = {
		{ "{\"event_type\":\"t\",\"data\":1}", 1 },
		{ "{\"event_type\":\"t\",\"data\":null}", 1 },
		{ "{\"event_type\":\"t\",\"data_text\":\"1\"}", 0 },
		{ "{\"event_type\":\"t\",\"data_base64\":\"MQ==\"}", 0 },
		{ "{\"event_type\":\"t\",\"metadata\":1}", 0 },
		{ "{\"event_type\":\"t\",\"data\":1,\"data_content_type\":0}", 0 },
		{ "{\"data_content_type\":1,\"event_type\":\"t\",\"data_base64\":\"MQ==\"}", 1 },
		{ "{\"event_type\":\"t\",\"data_text\":\"1\",\"data_content_type\":-3}", -3 },
	};

	for (size_t i = 0; i < COUNT(forms); i++) {
		char body[200];
		Es__WriteEvents *m;

		snprintf(body, sizeof(body), "{\"event_stream_id\":\"s\",\"events\":[%s]}",
			 forms[i].event);
		m = unpack("WriteEvents", body);
		ck_assert_int_eq(m->events[0]->data_content_type, forms[i].type);
		done(m);
	}
}
END_TEST

START_TEST(encodes_expected_versions)
{
	static const struct {
		const char *text;
		int64_t version;
	} versions[] = {
		{ "\"any\"", -2 },
		{ "\"no_stream\"", -1 },
		{ "\"stream_exists\"", -4 },
		{ "\"no\\u005fstream\"", -1 },
		{ "0", 0 },
		{ "-0", 0 },
		{ "\"0\"", 0 },
		{ "\"-4\"", -4 },
		{ "9223372036854775807", INT64_MAX },
		{ "\"9223372036854775807\"", INT64_MAX },
		{ "\"-9223372036854775808\"", INT64_MIN },
		{ "\"\\u0031\\u0032\"", 12 },
	};

	for (size_t i = 0; i < COUNT(versions); i++) {
		char body[200];
		Es__WriteEvents *m;

		snprintf(body, sizeof(body), "{\"event_stream_id\":\"s\",\"expected_version\":%s}",
			 versions[i].text);
		m = unpack("WriteEvents", body);
		ck_assert_int_eq(m->expected_version, versions[i].version);
		done(m);
	}
}
END_TEST

START_TEST(encodes_defaults_of_reads)
{
	Es__ReadEvent *e = unpack("ReadEvent", "{\"event_stream_id\":\"s\"}");
	Es__ReadStreamEvents *f = unpack("ReadStreamEvents", "{\"event_stream_id\":\"s\"}");
	Es__ReadStreamEvents *b = unpack("ReadStreamEventsBackward", "{\"event_stream_id\":\"s\"}");

	ck_assert(e->has_event_number && e->event_number == -1);
	ck_assert(e->resolve_link_tos && e->require_master);
	ck_assert(f->has_from_event_number && f->from_event_number == 0);
	ck_assert_int_eq(f->max_count, 500);
	ck_assert(f->resolve_link_tos && f->require_master);
	ck_assert_int_eq(b->from_event_number, -1);
	ck_assert_int_eq(b->max_count, 500);
	ck_assert(b->resolve_link_tos && b->require_master);
	done(e);
	done(f);
	done(b);
}
END_TEST

START_TEST(encodes_defaults_of_reads_of_all)
{
	static const char *const filtered =
		"{\"filter\":{\"context\":\"EventType\","
		"\"type\":\"Prefix\",\"data\":[\"a\",\"\\u00e4\",\"\"]}}";
	Es__ReadAllEvents *f = unpack("ReadAllEventsForward", "{}");
	Es__ReadAllEvents *b = unpack("ReadAllEventsBackward", "{}");
	Es__FilteredReadAllEvents *ff = unpack("FilteredReadAllEvents", filtered);
	Es__FilteredReadAllEvents *fb = unpack("FilteredReadAllEventsBackward", filtered);

	ck_assert(f->has_commit_position && f->commit_position == 0);
	ck_assert(f->has_prepare_position && f->prepare_position == 0);
	ck_assert(f->max_count == 500 && f->resolve_link_tos && f->require_master);
	ck_assert(b->commit_position == -1 && b->prepare_position == -1);
	ck_assert(b->max_count == 500 && b->resolve_link_tos && b->require_master);
	ck_assert(ff->has_commit_position && ff->commit_position == 0 && ff->prepare_position == 0);
	ck_assert(ff->max_count == 500 && ff->max_search_window == 500);
	ck_assert(ff->resolve_link_tos && ff->require_master);
	ck_assert_int_eq(ff->filter->context, ES__FILTER__FILTER_CONTEXT__EventType);
	ck_assert_int_eq(ff->filter->type, ES__FILTER__FILTER_TYPE__Prefix);
	ck_assert_uint_eq(ff->filter->n_data, 3);
	ck_assert_str_eq(ff->filter->data[0], "a");
	ck_assert_str_eq(ff->filter->data[1], "\xc3\xa4");
	ck_assert_str_eq(ff->filter->data[2], "");
	ck_assert(fb->commit_position == -1 && fb->prepare_position == -1);
	done(f);
	done(b);
	done(ff);
	done(fb);
}
END_TEST

static void check_group(Es__CreatePersistentSubscription *m)
{
	ck_assert_str_eq(m->subscription_group_name, "g");
	ck_assert_str_eq(m->event_stream_id, "s");
	ck_assert(m->has_resolve_link_tos && !m->resolve_link_tos);
	ck_assert_int_eq(m->start_from, -1);
	ck_assert_int_eq(m->message_timeout_milliseconds, 30000);
	ck_assert(m->has_record_statistics && !m->record_statistics);
	ck_assert_int_eq(m->live_buffer_size, 500);
	ck_assert_int_eq(m->read_batch_size, 20);
	ck_assert_int_eq(m->buffer_size, 500);
	ck_assert_int_eq(m->max_retry_count, 10);
	ck_assert(m->prefer_round_robin);
	ck_assert_int_eq(m->checkpoint_after_time, 2000);
	ck_assert_int_eq(m->checkpoint_max_count, 1000);
	ck_assert_int_eq(m->checkpoint_min_count, 10);
	ck_assert(m->has_subscriber_max_count && m->subscriber_max_count == 0);
	ck_assert_str_eq(m->named_consumer_strategy, "RoundRobin");
	done(m);
}

START_TEST(encodes_defaults_of_groups)
{
	static const char *const body =
		"{\"event_stream_id\":\"s\",\"subscription_group_name\":\"g\"}";
	Es__DeletePersistentSubscription *d = unpack("DeletePersistentSubscription", body);

	/* The two messages have the same fields. */
	check_group(unpack("CreatePersistentSubscription", body));
	check_group(unpack("UpdatePersistentSubscription", body));
	ck_assert_str_eq(d->subscription_group_name, "g");
	ck_assert_str_eq(d->event_stream_id, "s");
	done(d);
}
END_TEST

/* The store looks at prefer_round_robin only where no strategy is named. */
START_TEST(names_no_strategy_over_prefer_round_robin)
{
	Es__CreatePersistentSubscription *m =
		unpack("CreatePersistentSubscription", "{\"event_stream_id\":\"s\","
						       "\"subscription_group_name\":\"g\","
						       "\"prefer_round_robin\":false}");

	ck_assert(m->has_prefer_round_robin && !m->prefer_round_robin);
	ck_assert_ptr_null(m->named_consumer_strategy);
	done(m);
	m = unpack("CreatePersistentSubscription",
		   "{\"event_stream_id\":\"s\",\"subscription_group_name\":\"g\","
		   "\"prefer_round_robin\":false,\"named_consumer_strategy\":\"Pinned\"}");
	ck_assert_str_eq(m->named_consumer_strategy, "Pinned");
	done(m);
}
END_TEST

START_TEST(takes_no_body_for_an_empty_one)
{
	struct buffer expected = { 0 };

	ck_assert(encode("ReadAllEvents", "{}"));
	buffer_add(&expected, buffer_at(&out), buffer_len(&out));
	buffer_consume(&out, buffer_len(&out));
	ck_assert(
		json_to_message(find("ReadAllEvents"), &doc, UINT32_MAX, true, &out, NULL, fault));
	ck_assert_uint_eq(buffer_len(&out), buffer_len(&expected));
	ck_assert_mem_eq(buffer_at(&out), buffer_at(&expected), buffer_len(&out));
	buffer_free(&expected);

	buffer_consume(&out, buffer_len(&out));
	ck_assert(json_to_message(find("ScavengeDatabase"), &doc, UINT32_MAX, true, &out, NULL,
				  fault));
	ck_assert_uint_eq(buffer_len(&out), 0);
	ck_assert(!json_to_message(find("WriteEvents"), &doc, UINT32_MAX, true, &out, NULL, fault));
	ck_assert_str_eq(fault, "event_stream_id must be given");
}
END_TEST

START_TEST(require_master_is_as_configured)
{
	for (int configured = 0; configured <= 1; configured++) {
		Es__ReadEvent *m;

		ck_assert(json_parse(&doc, "{\"event_stream_id\":\"s\"}", 23));
		buffer_consume(&out, buffer_len(&out));
		ck_assert(
			json_to_message(find("ReadEvent"), &doc, 0, configured, &out, NULL, fault));
		m = es__read_event__unpack(NULL, buffer_len(&out), buffer_at(&out));
		ck_assert(m->has_require_master && m->require_master == configured);
		done(m);
	}
}
END_TEST

START_TEST(ignores_members_of_others)
{
	Es__WriteEvents *m = unpack(
		"WriteEvents", "{\"x-trace\":[1,{\"a\":2}],\"x-\":1,\"x-\":2,"
			       "\"event\\u005fstream_id\":\"s\",\"\\u0078-y\":null,\"events\":["
			       "{\"x-a\":1,\"event_type\":\"t\",\"\\u0064ata_te\\u0078t\":\"\"}]}");

	ck_assert_str_eq(m->event_stream_id, "s");
	ck_assert_uint_eq(m->n_events, 1);
	done(m);
}
END_TEST

START_TEST(gives_the_ids_of_events_in_order)
{
	static const char *const body =
		"{\"event_stream_id\":\"s\",\"events\":[{\"event_type\":\"a\"},"
		"{\"event_type\":\"b\",\"event_id\":\"00112233-4455-6677-8899-aabbccddeeff\"},"
		"{\"event_type\":\"c\"}]}";
	Es__WriteEvents *m = unpack("WriteEvents", body);

	ck_assert_uint_eq(buffer_len(&ids), 48);
	for (size_t i = 0; i < 3; i++)
		ck_assert_mem_eq(buffer_at(&ids) + 16 * i, m->events[i]->event_id.data, 16);
	ck_assert_mem_ne(buffer_at(&ids), buffer_at(&ids) + 32, 16);
	done(m);
}
END_TEST

START_TEST(keeps_nul_characters)
{
	static const char stream[] = "\x0a\x03"
				     "a\0b";

	ck_assert(encode("ReadStreamEvents", "{\"event_stream_id\":\"a\\u0000b\"}"));
	ck_assert_mem_eq(buffer_at(&out), stream, sizeof(stream) - 1);
}
END_TEST

/* What stands in the line as `data` is what is stored. */
START_TEST(payload_bytes_are_untouched)
{
	static const char *const payloads[] = {
		"129.95",
		"1.10",
		"1e400",
		"-0.0",
		"1E+2",
		"9223372036854775808",
		"123456789012345678901234567890",
		"\"\\u0000\"",
		"\"\\ud800\"",
		"\"\\udc00 x \\ud800\\u0041\"",
		"{\"a\":1,\"a\":2,\"\\u0061\":3}",
		"{ \"b\" :\t[ 1 ,2,  3 ] , \"a\":{} }",
		"[\r1,\r2]",
		"\"\xc3\xa4\\u00e4\\/\xf0\x9f\x98\x80\"",
		"null",
		"true",
		"\"\"",
		"[]",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[{\"x\":[{}]}]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		"{\"event_type\":1,\"data_base64\":2,\"unknown\":3}",
	};

	for (size_t i = 0; i < COUNT(payloads); i++) {
		char body[600];
		Es__WriteEvents *m;

		snprintf(
			body, sizeof(body),
			"{\"event_stream_id\":\"s\",\"events\":[{\"metadata\": %s ,\"event_type\":\"t\","
			"\"data\": %s }]}",
			payloads[i], payloads[i]);
		m = unpack("WriteEvents", body);
		assert_text(&m->events[0]->data, payloads[i]);
		assert_text(&m->events[0]->metadata, payloads[i]);
		ck_assert_int_eq(m->events[0]->data_content_type, 1);
		done(m);
	}
}
END_TEST

/* Lengths about those where a length takes a byte more, in forms that are longer in the line than
 * in the package, or left out. */
START_TEST(lengths_are_right_at_their_borders)
{
	static const size_t borders[] = { 0, 1, 60, 128, 16384, 2097152 };
	static const char *const forms[] = { "data", "data_text", "data_base64", "escaped" };
	struct buffer body = { 0 };

	for (size_t n = 0; n < COUNT(borders) * COUNT(forms) * 80; n++) {
		size_t form = n / 80 % COUNT(forms);
		size_t len = borders[n / 80 / COUNT(forms)] + n % 80;
		Es__WriteEvents *m;

		len = len > 75 ? len - 75 : 0;
		if (len > 100000 && (n % 15 != 0 || unit_is_slow()))
			continue;
		buffer_consume(&body, buffer_len(&body));
		buffer_add_text(&body,
				"{\"event_stream_id\":\"s\",\"events\":[{\"event_type\":\"t\",\"");
		buffer_add_text(&body, form == 3 ? "data_text" : forms[form]);
		buffer_add_text(&body, form == 3 ? "\":\"\\u0061" : "\":\"");
		if (form == 2)
			len = len / 4 * 4;
		large = n % 2 == 0 ? 0 : 50;
		for (size_t i = 0; i < len; i++)
			buffer_add_byte(&body, 'a');
		buffer_add_text(&body, "\"}]}");
		ck_assert_msg(
			encode_len("WriteEvents", (char *)buffer_at(&body), buffer_len(&body)),
			"%s", fault);
		m = es__write_events__unpack(NULL, buffer_len(&out), buffer_at(&out));
		ck_assert_ptr_nonnull(m);
		ck_assert_uint_eq(m->events[0]->data.len, form == 0   ? len + 2
							  : form == 1 ? len
							  : form == 2 ? len / 4 * 3
								      : len + 1);
		ck_assert_uint_eq(es__write_events__get_packed_size(m), buffer_len(&out));
		done(m);
	}
	buffer_free(&body);
}
END_TEST

START_TEST(encodes_a_part)
{
	static const char text[] =
		"{\"type\":\"Regex\",\"data\":[\"^a\"],\"context\":\"StreamId\"}";
	Es__Filter *filter;

	ck_assert(json_parse(&doc, text, sizeof(text) - 1));
	ck_assert(json_to_part(&es__filter__descriptor, &doc, 0, "filter", &out, fault));
	filter = es__filter__unpack(NULL, buffer_len(&out), buffer_at(&out));
	ck_assert(filter->has_context && filter->context == 0);
	ck_assert(filter->has_type && filter->type == 0);
	ck_assert_uint_eq(filter->n_data, 1);
	ck_assert_str_eq(filter->data[0], "^a");
	done(filter);
}
END_TEST

#define FILTER(more) "{\"context\":\"StreamId\",\"type\":\"Prefix\"" more "}"

START_TEST(tells_faults_of_a_part)
{
	static const struct {
		const char *text;
		const char *fault;
	} faults[] = {
		{ "[]", "filter must be an object" },
		{ "{\"context\":\"Stream\"}",
		  "filter.context must be one of \"StreamId\", \"EventType\"" },
		{ "{}", "filter.context must be given" },
		{ "{\"context\":\"StreamId\"}", "filter.type must be given" },
		{ FILTER(""), "filter.data must be given" },
		{ FILTER(",\"data\":[]"), "filter.data must not be empty" },
		{ FILTER(",\"data\":[\"a\",1]"), "filter.data[1] must be a string" },
		{ FILTER(",\"data\":\"a\""), "filter.data must be an array" },
		{ "{\"kind\":1}",
		  "unknown member \"kind\" in filter; accepted: context, type, data" },
		{ "{\"context\":\"StreamId\",\"type\":0}",
		  "filter.type must be one of \"Regex\", \"Prefix\"" },
	};

	for (size_t i = 0; i < COUNT(faults); i++) {
		ck_assert(json_parse(&doc, faults[i].text, strlen(faults[i].text)));
		ck_assert(!json_to_part(&es__filter__descriptor, &doc, 0, "filter", &out, fault));
		ck_assert_str_eq(fault, faults[i].fault);
		ck_assert_uint_eq(buffer_len(&out), 0);
	}
}
END_TEST

#define INT32_FAULT " must be an integer from -2147483648 to 2147483647"
#define INT64_FAULT " must be an integer of 64 bits"
#define VERSION_FAULT \
	"expected_version must be an integer of 64 bits, \"any\", \"no_stream\" or \"stream_exists\""
#define WRITE(members) "{\"event_stream_id\":\"s\"," members "}"
#define EVENT(members) "{\"event_stream_id\":\"s\",\"events\":[{\"event_type\":\"t\"," members "}]}"
#define ID_FAULT       "events[0].event_id must be a UUID, as in \"00112233-4455-6677-8899-aabbccddeeff\""

static const struct {
	const char *message;
	const char *body;
	const char *fault;
} faults[] = {
	{ "WriteEvents", "[]", "body must be an object" },
	{ "WriteEvents", "null", "body must be an object" },
	{ "WriteEvents", "{}", "event_stream_id must be given" },
	{ "WriteEvents", WRITE("\"expected\":1"),
	  "unknown member \"expected\" in body; accepted: event_stream_id, expected_version, events, "
	  "require_master" },
	{ "WriteEvents", WRITE("\"Events\":[]"),
	  "unknown member \"Events\" in body; accepted: event_stream_id, expected_version, events, "
	  "require_master" },
	{ "WriteEvents", WRITE("\"\":1"),
	  "unknown member \"\" in body; accepted: event_stream_id, expected_version, events, "
	  "require_master" },
	{ "WriteEvents", WRITE("\"\\ud800\":1"),
	  "unknown member \"\\ud800\" in body; accepted: event_stream_id, expected_version, events, "
	  "require_master" },
	{ "WriteEvents", WRITE("\"0123456789012345678901234567890123456789a\":1"),
	  "unknown member \"0123456789012345678901234567890123456789...\" in body; accepted: "
	  "event_stream_id, expected_version, events, require_master" },
	{ "WriteEvents", WRITE("\"012345678901234567890123456789012345678\xc3\xa4\":1"),
	  "unknown member \"012345678901234567890123456789012345678...\" in body; accepted: "
	  "event_stream_id, expected_version, events, require_master" },
	{ "ScavengeDatabase", "{\"a\":1}", "unknown member \"a\" in body, which has no members" },
	{ "WriteEvents", EVENT("\"datum\":1"),
	  "unknown member \"datum\" in events[0]; accepted: event_id, event_type, data_content_type, "
	  "metadata_content_type, data, data_text, data_base64, metadata, metadata_text, "
	  "metadata_base64" },
	{ "WriteEvents", EVENT("\"data_json\":1"),
	  "unknown member \"data_json\" in events[0]; accepted: event_id, event_type, "
	  "data_content_type, metadata_content_type, data, data_text, data_base64, metadata, "
	  "metadata_text, metadata_base64" },
	{ "WriteEvents", "{\"event_stream_id\":\"\"}", "event_stream_id must not be empty" },
	{ "WriteEvents", "{\"event_stream_id\":1}", "event_stream_id must be a string" },
	{ "WriteEvents", "{\"event_stream_id\":null}", "event_stream_id must be a string" },
	{ "WriteEvents", "{\"event_stream_id\":\"a\\udc00\"}",
	  "event_stream_id has an unpaired surrogate" },
	{ "WriteEvents", WRITE("\"event_stream_id\":\"t\""),
	  "body has the member event_stream_id twice" },
	{ "WriteEvents", WRITE("\"\\u0065vent_stream_id\":\"t\""),
	  "body has the member event_stream_id twice" },
	{ "WriteEvents", WRITE("\"require_leader\":true,\"require_leader\":true"),
	  "body has the member require_leader twice" },
	{ "WriteEvents", WRITE("\"require_leader\":true,\"require_master\":true"),
	  "body takes require_master or require_leader, not both" },
	{ "WriteEvents", WRITE("\"require_master\":true,\"require_leader\":false"),
	  "body takes require_master or require_leader, not both" },
	{ "WriteEvents", WRITE("\"require_leader\":1"), "require_leader must be true or false" },
	{ "WriteEvents", WRITE("\"require_master\":\"true\""),
	  "require_master must be true or false" },
	{ "WriteEvents", WRITE("\"expected_version\":1.0"), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":1e2"), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":9223372036854775808"), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"9223372036854775808\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"-9223372036854775809\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"99999999999999999999\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"Any\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"-\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"+1\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\"01\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":\" 1\""), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"expected_version\":true"), VERSION_FAULT },
	{ "WriteEvents", WRITE("\"events\":{}"), "events must be an array" },
	{ "WriteEvents", WRITE("\"events\":null"), "events must be an array" },
	{ "WriteEvents", WRITE("\"events\":[1]"), "events[0] must be an object" },
	{ "WriteEvents", WRITE("\"events\":[{}]"), "events[0].event_type must be given" },
	{ "WriteEvents", EVENT("\"event_type\":\"\""),
	  "events[0] has the member event_type twice" },
	{ "WriteEvents", WRITE("\"events\":[{\"event_type\":\"a\"},{\"event_type\":\"\"}]"),
	  "events[1].event_type must not be empty" },
	{ "WriteEvents", EVENT("\"event_id\":\"1\""), ID_FAULT },
	{ "WriteEvents", EVENT("\"event_id\":1"), ID_FAULT },
	{ "WriteEvents", EVENT("\"event_id\":\"\""), ID_FAULT },
	{ "WriteEvents", EVENT("\"event_id\":\"00112233-4455-6677-8899-aabbccddeef\""), ID_FAULT },
	{ "WriteEvents", EVENT("\"event_id\":\"00112233-4455-6677-8899-aabbccddeefg\""), ID_FAULT },
	{ "WriteEvents", EVENT("\"event_id\":\"00000000-0000-0000-0000-000000000000\""),
	  "events[0].event_id must not be the UUID of zeros" },
	{ "WriteEvents", EVENT("\"data\":1,\"data_text\":\"1\""),
	  "events[0] takes at most one of data, data_text, data_base64" },
	{ "WriteEvents", EVENT("\"metadata_base64\":\"\",\"metadata_text\":\"1\""),
	  "events[0] takes at most one of metadata, metadata_text, metadata_base64" },
	{ "WriteEvents", EVENT("\"data\":1,\"data\":1"), "events[0] has the member data twice" },
	{ "WriteEvents", EVENT("\"data_base64\":\"\",\"data_base64\":\"\""),
	  "events[0] has the member data_base64 twice" },
	{ "WriteEvents", EVENT("\"data_text\":1"), "events[0].data_text must be a string" },
	{ "WriteEvents", EVENT("\"data_text\":\"\\ud800\""),
	  "events[0].data_text has an unpaired surrogate" },
	{ "WriteEvents", EVENT("\"data_base64\":\"A\""), "events[0].data_base64 is not base64" },
	{ "WriteEvents", EVENT("\"data_base64\":\"AA=A\""), "events[0].data_base64 is not base64" },
	{ "WriteEvents", EVENT("\"data_base64\":\"AB==\""), "events[0].data_base64 is not base64" },
	{ "WriteEvents", EVENT("\"data_base64\":\"AA==\\n\""),
	  "events[0].data_base64 is not base64" },
	{ "WriteEvents", EVENT("\"metadata_base64\":7"),
	  "events[0].metadata_base64 is not base64" },
	{ "WriteEvents", EVENT("\"data_content_type\":2147483648"),
	  "events[0].data_content_type" INT32_FAULT },
	{ "WriteEvents", EVENT("\"metadata_content_type\":\"1\""),
	  "events[0].metadata_content_type" INT32_FAULT },
	{ "ReadStreamEvents", WRITE("\"max_count\":-2147483649"), "max_count" INT32_FAULT },
	{ "ReadStreamEvents", WRITE("\"max_count\":\"5\""), "max_count" INT32_FAULT },
	{ "ReadStreamEvents", WRITE("\"max_count\":1.5"), "max_count" INT32_FAULT },
	{ "ReadStreamEvents", WRITE("\"from_event_number\":\"any\""),
	  "from_event_number" INT64_FAULT },
	{ "ReadStreamEvents", WRITE("\"from_event_number\":null"),
	  "from_event_number" INT64_FAULT },
	{ "ReadStreamEvents", WRITE("\"resolve_link_tos\":0"),
	  "resolve_link_tos must be true or false" },
	{ "TransactionWrite", "{}", "transaction_id must be given" },
	{ "TransactionCommit", "{}", "transaction_id must be given" },
	{ "TransactionCommit", "{\"transaction_id\":{}}", "transaction_id" INT64_FAULT },
	{ "FilteredReadAllEvents", "{}", "filter must be given" },
	{ "FilteredReadAllEvents", "{\"filter\":null}", "filter must be an object" },
	{ "FilteredReadAllEvents", "{\"filter\":" FILTER(",\"data\":[null]") "}",
	  "filter.data[0] must be a string" },
	{ "FilteredReadAllEvents", "{\"filter\":{\"context\":\"StreamId\",\"type\":\"regex\"}}",
	  "filter.type must be one of \"Regex\", \"Prefix\"" },
	{ "FilteredReadAllEvents", "{\"filter\":{\"x\":1}}",
	  "unknown member \"x\" in filter; accepted: context, type, data" },
	{ "CreatePersistentSubscription", "{\"event_stream_id\":\"s\"}",
	  "subscription_group_name must be given" },
	{ "UpdatePersistentSubscription", "{\"subscription_group_name\":\"g\"}",
	  "event_stream_id must be given" },
	{ "DeletePersistentSubscription", "{\"subscription_group_name\":\"\"}",
	  "subscription_group_name must not be empty" },
	{ "CreatePersistentSubscription", "{\"group\":\"g\"}",
	  "unknown member \"group\" in body; accepted: subscription_group_name, event_stream_id, "
	  "resolve_link_tos, start_from, message_timeout_milliseconds, record_statistics, "
	  "live_buffer_size, read_batch_size, buffer_size, max_retry_count, prefer_round_robin, "
	  "checkpoint_after_time, checkpoint_max_count, checkpoint_min_count, subscriber_max_count, "
	  "named_consumer_strategy" },
};

START_TEST(tells_each_fault)
{
	struct encoded encoded = { .event_ids = &ids };

	ck_assert(json_parse(&doc, faults[_i].body, strlen(faults[_i].body)));
	buffer_add_text(&out, "kept");
	buffer_add_text(&ids, "0123456789abcdef");
	ck_assert(!json_to_message(find(faults[_i].message), &doc, 0, true, &out, &encoded, fault));
	ck_assert_str_eq(fault, faults[_i].fault);
	ck_assert_uint_eq(buffer_len(&out), 4);
	ck_assert_mem_eq(buffer_at(&out), "kept", 4);
	ck_assert_uint_eq(buffer_len(&ids), 16);
}
END_TEST

/* No room: nothing breaks, and the buffer says so. */
START_TEST(fails_the_buffer_where_there_is_no_room)
{
	static const char body[] =
		EVENT("\"data_text\":\"\\u0061bcdefghijklmnopqrstuvwxyz\","
		      "\"metadata_base64\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"");
	size_t needs;

	ck_assert(encode("WriteEvents", body));
	needs = buffer_len(&out);
	for (size_t limit = 1; limit < needs; limit++) {
		struct buffer small;

		buffer_init(&small, limit);
		ck_assert(json_to_message(find("WriteEvents"), &doc, 0, true, &small, NULL, fault));
		ck_assert(small.failed);
		buffer_free(&small);
	}
}
END_TEST

Suite *json_to_message_suite(void)
{
	Suite *suite = suite_create("json to message");
	TCase *bodies = tcase_create("bodies");
	TCase *wrong = tcase_create("faults");

	tcase_add_checked_fixture(bodies, set_up, tear_down);
	tcase_add_test(bodies, encodes_write_events);
	tcase_add_test(bodies, encodes_defaults_of_writes);
	tcase_add_test(bodies, encodes_transactions);
	tcase_add_test(bodies, encodes_defaults_of_events);
	tcase_add_test(bodies, content_type_follows_the_form);
	tcase_add_test(bodies, encodes_expected_versions);
	tcase_add_test(bodies, encodes_defaults_of_reads);
	tcase_add_test(bodies, encodes_defaults_of_reads_of_all);
	tcase_add_test(bodies, encodes_defaults_of_groups);
	tcase_add_test(bodies, names_no_strategy_over_prefer_round_robin);
	tcase_add_test(bodies, takes_no_body_for_an_empty_one);
	tcase_add_test(bodies, require_master_is_as_configured);
	tcase_add_test(bodies, ignores_members_of_others);
	tcase_add_test(bodies, gives_the_ids_of_events_in_order);
	tcase_add_test(bodies, keeps_nul_characters);
	tcase_add_test(bodies, payload_bytes_are_untouched);
	tcase_add_test(bodies, lengths_are_right_at_their_borders);
	tcase_add_test(bodies, encodes_a_part);
	tcase_add_test(bodies, fails_the_buffer_where_there_is_no_room);
	suite_add_tcase(suite, bodies);

	tcase_add_checked_fixture(wrong, set_up, tear_down);
	tcase_add_loop_test(wrong, tells_each_fault, 0, (int)COUNT(faults));
	tcase_add_test(wrong, tells_faults_of_a_part);
	suite_add_tcase(suite, wrong);
	return suite;
}
