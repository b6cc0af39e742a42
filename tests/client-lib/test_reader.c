/* The parser alone: what it finds in a line, how lines may be cut up, what it refuses. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "esbridge.h"
#include "suites.h"

#define EVENT \
	"{\"event_stream_id\":\"people\",\"event_number\":7," \
	"\"event_id\":\"5cf95f2a-8f3d-4c49-9b4c-7e2f8a1d0001\"," \
	"\"event_type\":\"Person\\u0043reated \\\"x\\\"\",\"data_content_type\":1," \
	"\"metadata_content_type\":1,\"created\":\"2026-11-23T21:48:24.067499Z\"," \
	"\"created_epoch\":1795470504067,\"data\":{\"a\" : 1.10,\"b\":[{}]}," \
	"\"metadata_base64\":\"AP8=\"}"
#define LINK \
	"{\"event_stream_id\":\"$ce-people\",\"event_number\":41," \
	"\"event_id\":\"5cf95f2a-8f3d-4c49-9b4c-7e2f8a1d0002\",\"event_type\":\"$>\"}"

static const char push[] = "{\"push\":\"event\",\"sub\":\"s1\",\"ack_id\":\"the-id\","
			   "\"retry_count\":3,\"event\":" EVENT ",\"link\":" LINK
			   ",\"position\":{\"commit\":1241,\"prepare\":1240}}\n";
static const char page[] =
	"{\"id\":4294967296,\"ok\":{\"message\":\"ReadStreamEventsCompleted\",\"body\":{\"events\":["
	"{\"event\":" EVENT "},{\"event\":" EVENT ",\"link\":" LINK "},{\"link\":" LINK
	"}],\"result\":\"Success\",\"next_event_number\":10,\"last_event_number\":12,"
	"\"is_end_of_stream\":true,\"last_commit_position\":99}}}\n";
static const char error[] =
	"{\"id\":\"w8\",\"error\":{\"code\":\"wrong_expected_version\",\"message\":\"at 6\\u0021\","
	"\"retry\":false,\"outcome\":\"none\",\"body\":{\"current_version\":6}}}\r\n";

/* The one message that TEXT is. */
static struct esbridge_message *parse(const char *text)
{
	struct esbridge_reader *r = esbridge_reader_new(0);
	struct esbridge_message *m, *none;

	ck_assert_ptr_nonnull(r);
	ck_assert_int_eq(esbridge_reader_feed(r, text, strlen(text)), 0);
	ck_assert_msg(esbridge_reader_next(r, &m) == 1, "%s", esbridge_reader_error(r)->text);
	ck_assert_int_eq(esbridge_reader_next(r, &none), 0);
	ck_assert_ptr_null(none);
	esbridge_reader_free(r);
	return m;
}

static void is(struct esbridge_span span, const char *text)
{
	ck_assert_msg(esbridge_span_is(span, text), "'%.*s' in place of '%s'", ESBRIDGE_PRINT(span),
		      text);
}

static void is_the_event(const struct esbridge_event *event)
{
	struct esbridge_span bytes;

	ck_assert_ptr_nonnull(event);
	is(event->stream, "people");
	ck_assert_int_eq(event->number, 7);
	is(event->id, "5cf95f2a-8f3d-4c49-9b4c-7e2f8a1d0001");
	is(event->type, "PersonCreated \"x\"");
	ck_assert_int_eq(event->data_content_type, 1);
	ck_assert_int_eq(event->metadata_content_type, 1);
	is(event->created, "2026-11-23T21:48:24.067499Z");
	ck_assert_int_eq(event->created_ms, 1795470504067);
	ck_assert_int_eq(event->data_is, ESBRIDGE_JSON);
	is(event->raw_data, "{\"a\" : 1.10,\"b\":[{}]}");
	ck_assert_int_eq(event->metadata_is, ESBRIDGE_BYTES);
	is(event->raw_metadata, "AP8=");
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(esbridge_event_metadata(event, &bytes), 0);
		ck_assert_uint_eq(bytes.len, 2);
		ck_assert_mem_eq(bytes.at, "\0\xff", 2);
	}
	ck_assert_int_eq(esbridge_event_data(event, &bytes), 0);
	is(bytes, "{\"a\" : 1.10,\"b\":[{}]}");
}

static void is_the_link(const struct esbridge_event *link)
{
	ck_assert_ptr_nonnull(link);
	is(link->stream, "$ce-people");
	ck_assert_int_eq(link->number, 41);
	ck_assert_int_eq(link->data_is, ESBRIDGE_NOTHING);
	ck_assert_ptr_null(link->raw_data.at);
	ck_assert_int_eq(link->created_ms, -1);
}

static void is_the_push(const struct esbridge_message *m)
{
	ck_assert_int_eq(m->kind, ESBRIDGE_PUSH);
	ck_assert_int_eq(m->push, ESBRIDGE_PUSH_EVENT);
	is(m->sub, "s1");
	is(m->ack_id, "the-id");
	ck_assert_int_eq(m->retry_count, 3);
	ck_assert_int_eq(m->position.commit, 1241);
	ck_assert_int_eq(m->position.prepare, 1240);
	ck_assert_uint_eq(m->record_count, 1);
	ck_assert_int_eq(m->records[0].position.commit, 1241);
	ck_assert_uint_eq(m->line.len, strlen(push) - 1);
	ck_assert_mem_eq(m->line.at, push, m->line.len);
	is_the_event(m->event);
	is_the_link(m->link);
	ck_assert_ptr_eq(m->event, m->records[0].event);
}

START_TEST(test_push)
{
	struct esbridge_message *m = parse(push);

	is_the_push(m);
	esbridge_message_free(m);
}
END_TEST

START_TEST(test_page)
{
	struct esbridge_message *m = parse(page);

	ck_assert_int_eq(m->kind, ESBRIDGE_OK);
	ck_assert_int_eq(m->id, 4294967296);
	ck_assert_uint_eq(m->record_count, 3);
	is_the_event(m->records[0].event);
	ck_assert_ptr_null(m->records[0].link);
	is_the_event(m->records[1].event);
	is_the_link(m->records[1].link);
	ck_assert_ptr_null(m->records[2].event);
	is_the_link(m->records[2].link);
	ck_assert_int_eq(m->records[2].position.commit, -1);
	ck_assert_int_eq(m->next_event_number, 10);
	ck_assert_int_eq(m->last_event_number, 12);
	ck_assert(m->is_end_of_stream);
	ck_assert_int_eq(m->body.at[0], '{');
	ck_assert_int_eq(m->body.at[m->body.len - 1], '}');
	esbridge_message_free(m);
}
END_TEST

START_TEST(test_error)
{
	struct esbridge_message *m = parse(error);

	ck_assert_int_eq(m->kind, ESBRIDGE_ERROR);
	ck_assert_int_eq(m->id, 0);
	is(m->id_text, "\"w8\"");
	ck_assert_int_eq(m->code, ESBRIDGE_E_WRONG_EXPECTED_VERSION);
	is(m->code_name, "wrong_expected_version");
	is(m->text, "at 6!");
	ck_assert(!m->retry);
	ck_assert_int_eq(m->outcome, ESBRIDGE_OUTCOME_NONE);
	is(m->body, "{\"current_version\":6}");
	ck_assert_int_eq(m->line.at[m->line.len - 1], '}');
	ck_assert_int_eq(m->last_event_number, -1);
	ck_assert_ptr_null(m->event);
	esbridge_message_free(m);
	m = parse("{\"error\":{\"code\":\"of_tomorrow\",\"message\":\"m\",\"retry\":true}}\n");
	ck_assert_int_eq(m->code, ESBRIDGE_E_OTHER);
	is(m->code_name, "of_tomorrow");
	ck_assert(m->retry);
	ck_assert_ptr_null(m->id_text.at);
	esbridge_message_free(m);
}
END_TEST

static const struct {
	const char *name;
	enum esbridge_push push;
} pushes[] = {
	{ "caught_up", ESBRIDGE_PUSH_CAUGHT_UP },
	{ "interrupted", ESBRIDGE_PUSH_INTERRUPTED },
	{ "resumed", ESBRIDGE_PUSH_RESUMED },
	{ "stream_deleted", ESBRIDGE_PUSH_STREAM_DELETED },
	{ "dropped", ESBRIDGE_PUSH_DROPPED },
	{ "of_tomorrow", ESBRIDGE_PUSH_OTHER },
};

START_TEST(test_other_pushes)
{
	char line[300];
	struct esbridge_message *m;

	snprintf(line, sizeof(line),
		 "{\"push\":\"%s\",\"sub\":\"s1\",\"reason\":\"why\",\"gap\":true,\"hard\":true,"
		 "\"last_event_number\":5,\"new\":[{\"event\":{}}]}\n",
		 pushes[_i].name);
	m = parse(line);
	ck_assert_int_eq(m->push, pushes[_i].push);
	is(m->reason, "why");
	ck_assert(m->gap && m->hard);
	ck_assert_int_eq(m->last_event_number, 5);
	ck_assert_uint_eq(m->record_count, 0);
	ck_assert_ptr_null(m->ack_id.at);
	ck_assert_int_eq(m->retry_count, -1);
	esbridge_message_free(m);
}
END_TEST

/* Members of another type than expected are as if they were not there. */
START_TEST(test_other_types)
{
	struct esbridge_message *m =
		parse("{\"push\":\"event\",\"sub\":5,\"ack_id\":[],\"retry_count\":1e3,"
		      "\"position\":7,\"event\":{\"event_number\":\"7\",\"event_type\":null,"
		      "\"data_base64\":{},\"event_stream_id\":\"\\ud800\"}}\n");

	ck_assert_ptr_null(m->sub.at);
	ck_assert_ptr_null(m->ack_id.at);
	ck_assert_int_eq(m->retry_count, -1);
	ck_assert_int_eq(m->position.commit, -1);
	ck_assert_int_eq(m->event->number, -1);
	ck_assert_ptr_null(m->event->type.at);
	ck_assert_ptr_null(m->event->stream.at);
	ck_assert_int_eq(m->event->data_is, ESBRIDGE_NOTHING);
	esbridge_message_free(m);
}
END_TEST

START_TEST(test_no_base64)
{
	struct esbridge_message *m =
		parse("{\"push\":\"event\",\"sub\":\"s\",\"event\":{\"data_base64\":\"A\"}}\n");
	struct esbridge_span bytes;

	errno = 0;
	ck_assert_int_eq(esbridge_event_data(m->event, &bytes), -1);
	ck_assert_int_eq(errno, EINVAL);
	esbridge_message_free(m);
}
END_TEST

START_TEST(test_references)
{
	struct esbridge_message *m = parse(push);

	ck_assert_ptr_eq(esbridge_message_ref(m), m);
	esbridge_message_free(m);
	is_the_push(m);
	esbridge_message_free(m);
	esbridge_message_free(NULL);
}
END_TEST

/* All three lines, cut in two at each place, and byte by byte. */
START_TEST(test_split)
{
	char all[4096];
	size_t len;

	snprintf(all, sizeof(all), "%s\n\r\n%s%s", push, page, error);
	len = strlen(all);
	for (size_t cut = 0; cut <= len; cut++) {
		struct esbridge_reader *r = esbridge_reader_new(0);
		struct esbridge_message *m;
		int count = 0;

		for (size_t at = 0; at < len;) {
			size_t n = cut == len ? 1 : at < cut ? cut : len - at;

			ck_assert_int_eq(esbridge_reader_feed(r, all + at, n), 0);
			at += n;
			while (esbridge_reader_next(r, &m) == 1) {
				if (count == 0)
					is_the_push(m);
				ck_assert_int_eq((int)m->kind, count == 0   ? ESBRIDGE_PUSH
							       : count == 1 ? ESBRIDGE_OK
									    : ESBRIDGE_ERROR);
				count++;
				esbridge_message_free(m);
			}
		}
		ck_assert_int_eq(count, 3);
		esbridge_reader_free(r);
	}
}
END_TEST

static const char *const garbage[] = {
	"x",
	"{",
	"[]",
	"7",
	"\"ok\"",
	"{}",
	"{\"ok\":1}",
	"{\"ok\":{},\"error\":{}}",
	"{\"push\":\"event\",\"ok\":{}}",
	"{\"push\":1}",
	"{\"ok\":{}}}",
	"{\"ok\":{\"a\":\"\xff\"}}",
	"\xef\xbb\xbf{\"ok\":{}}",
	"{\"ok\":{\"a\":01}}",
};

/* What is no line of the protocol is told, and what follows it is read. */
START_TEST(test_garbage)
{
	struct esbridge_reader *r = esbridge_reader_new(0);
	struct esbridge_message *m;

	ck_assert_int_eq(esbridge_reader_feed(r, garbage[_i], strlen(garbage[_i])), 0);
	ck_assert_int_eq(esbridge_reader_feed(r, "\n{\"ok\":{}}\n", 11), 0);
	ck_assert_int_eq(esbridge_reader_next(r, &m), -1);
	ck_assert_ptr_null(m);
	ck_assert_int_eq(esbridge_reader_error(r)->code, ESBRIDGE_E_PROTOCOL_ERROR);
	ck_assert_str_eq(esbridge_reader_error(r)->name, "protocol_error");
	ck_assert_int_gt((int)strlen(esbridge_reader_error(r)->text), 20);
	ck_assert_int_eq(esbridge_reader_next(r, &m), 1);
	ck_assert_int_eq(m->kind, ESBRIDGE_OK);
	esbridge_message_free(m);
	esbridge_reader_free(r);
}
END_TEST

/*
 * Each byte of the lines replaced by each other one, or by some where CK_FORK=no says that it is
 * slow here, as under valgrind: an answer of some kind, and no fault.
 */
START_TEST(test_damaged)
{
	int step = is_slow() ? 31 : 1;
	static const char *const lines[] = { push, page, error };
	char line[2048];
	size_t len = strlen(lines[_i]);

	for (size_t at = 0; at < len - 2; at += is_slow() ? 5 : 1) {
		struct esbridge_reader *r = esbridge_reader_new(0);
		struct esbridge_message *m;
		struct esbridge_span bytes;

		memcpy(line, lines[_i], len);
		for (int byte = 0; byte < 256; byte += step) {
			line[at] = (char)byte;
			ck_assert_int_eq(esbridge_reader_feed(r, line, len), 0);
			while (esbridge_reader_next(r, &m) != 0) {
				if (m != NULL && m->event != NULL &&
				    esbridge_event_metadata(m->event, &bytes) == 0)
					ck_assert_uint_le(bytes.len, len);
				esbridge_message_free(m);
			}
		}
		esbridge_reader_free(r);
	}
}
END_TEST

START_TEST(test_limit)
{
	struct esbridge_reader *r = esbridge_reader_new(100);
	struct esbridge_message *m;
	char line[4096];

	memset(line, ' ', sizeof(line));
	memcpy(line, "{\"ok\":{}}", 9);
	line[100] = '\n';
	ck_assert_int_eq(esbridge_reader_feed(r, line, 101), 0);
	ck_assert_int_eq(esbridge_reader_next(r, &m), 1);
	esbridge_message_free(m);
	/* One more is too much; it is told once, and the rest is thrown away as it comes. */
	line[100] = ' ';
	ck_assert_int_eq(esbridge_reader_feed(r, line, 101), 0);
	ck_assert_int_eq(esbridge_reader_next(r, &m), -1);
	ck_assert_int_eq(esbridge_reader_error(r)->code, ESBRIDGE_E_LINE_TOO_LONG);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(esbridge_reader_feed(r, line, sizeof(line)), 0);
		ck_assert_int_eq(esbridge_reader_next(r, &m), 0);
	}
	ck_assert_int_eq(esbridge_reader_feed(r, "\n{\"ok\":{}}\n", 11), 0);
	ck_assert_int_eq(esbridge_reader_next(r, &m), 1);
	esbridge_message_free(m);
	esbridge_reader_free(r);
}
END_TEST

/* A line of 20 MB, in pieces as a socket gives them. */
START_TEST(test_huge)
{
	enum { SIZE = 20 << 20, PIECE = 60000 };
	char *line = malloc(SIZE);
	struct esbridge_reader *r = esbridge_reader_new(0);
	struct esbridge_message *m;
	size_t head;

	ck_assert_ptr_nonnull(line);
	memset(line, 'x', SIZE);
	head = (size_t)sprintf(line, "{\"push\":\"event\",\"sub\":\"s\",\"event\":{\"data\":\"");
	line[head] = 'x';
	memcpy(line + SIZE - 4, "\"}}\n", 4);
	for (size_t at = 0; at < SIZE; at += PIECE) {
		size_t n = SIZE - at < PIECE ? SIZE - at : PIECE;

		ck_assert_int_eq(esbridge_reader_feed(r, line + at, n), 0);
		ck_assert_int_eq(esbridge_reader_next(r, &m), at + n == SIZE);
	}
	ck_assert_uint_eq(m->event->raw_data.len, SIZE - 2 - head);
	esbridge_message_free(m);
	esbridge_reader_free(r);
	free(line);
}
END_TEST

Suite *reader_suite(void)
{
	Suite *suite = suite_create("reader");
	TCase *tests = tcase_create("reader");

	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, test_push);
	tcase_add_test(tests, test_page);
	tcase_add_test(tests, test_error);
	tcase_add_loop_test(tests, test_other_pushes, 0, sizeof(pushes) / sizeof(pushes[0]));
	tcase_add_test(tests, test_other_types);
	tcase_add_test(tests, test_no_base64);
	tcase_add_test(tests, test_references);
	tcase_add_test(tests, test_split);
	tcase_add_loop_test(tests, test_garbage, 0, sizeof(garbage) / sizeof(garbage[0]));
	tcase_add_loop_test(tests, test_damaged, 0, 3);
	tcase_add_test(tests, test_limit);
	tcase_add_test(tests, test_huge);
	suite_add_tcase(suite, tests);
	return suite;
}
