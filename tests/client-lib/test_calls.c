/* The blocking calls against a daemon whose every byte is known. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "esbridge.h"
#include "fake.h"
#include "suites.h"

#define HELLO \
	{ \
		"\"op\":\"hello\"", "{\"id\":%ID,\"ok\":{\"protocol\":1,\"version\":\"9.9.9\"," \
				    "\"limits\":{\"line\":4000,\"depth\":128,\"in_flight\":256," \
				    "\"subscriptions\":64}}}\n" \
	}
#define END \
	{ \
		NULL, NULL \
	}

static struct fake fake;

/* A context on a new fake with ROWS. */
static struct esbridge *begin(const struct fake_row *rows, const struct esbridge_options *options)
{
	struct esbridge *e;

	fake_start(&fake, NULL, rows);
	e = esbridge_connect(fake.path, options);
	ck_assert_msg(esbridge_error(e)->code == 0, "%s", esbridge_error(e)->text);
	return e;
}

static void end(struct esbridge *e)
{
	esbridge_close(e);
	fake_stop(&fake);
}

static void failed(const struct esbridge *e, enum esbridge_code code, const char *in_text)
{
	const struct esbridge_error *error = esbridge_error(e);

	ck_assert_msg(error->code == code, "%s: %s", error->name, error->text);
	ck_assert_str_eq(error->name, esbridge_code_name(code));
	ck_assert_msg(strstr(error->text, in_text) != NULL, "'%s' is not in '%s'", in_text,
		      error->text);
}

START_TEST(test_connect)
{
	static const struct fake_row rows[] = { HELLO, END };
	struct esbridge *e = begin(rows, NULL);
	const struct esbridge_server *server = esbridge_server(e);

	ck_assert(esbridge_is_connected(e));
	ck_assert_str_eq(esbridge_path(e), fake.path);
	ck_assert_int_eq(server->protocol, 1);
	ck_assert_str_eq(server->version, "9.9.9");
	ck_assert_int_eq(server->line_limit, 4000);
	ck_assert_int_eq(server->depth_limit, 128);
	ck_assert_int_eq(server->in_flight_limit, 256);
	ck_assert_int_eq(server->subscription_limit, 64);
	ck_assert_int_eq(server->hello.at[0], '{');
	end(e);
}
END_TEST

START_TEST(test_nobody_there)
{
	struct esbridge_options once = { .size = sizeof(once), .no_reconnect = true };
	char path[200];
	struct esbridge *e = esbridge_connect("/nonexistent/socket", &once);

	ck_assert_ptr_nonnull(e);
	failed(e, ESBRIDGE_E_UNAVAILABLE, "/nonexistent/socket: No such file");
	ck_assert_int_eq(esbridge_error(e)->system_error, ENOENT);
	ck_assert(esbridge_error(e)->retry);
	ck_assert(!esbridge_is_connected(e));
	ck_assert_ptr_null(esbridge_server(e));
	ck_assert_int_eq(esbridge_write_json(e, "s", "t", "1"), -1);
	failed(e, ESBRIDGE_E_UNAVAILABLE, "/nonexistent/socket");
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_NONE);
	esbridge_close(e);

	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	e = esbridge_connect(path, &once);
	failed(e, ESBRIDGE_E_UNAVAILABLE, "199 bytes");
	esbridge_close(e);
	failed(NULL, ESBRIDGE_E_OUT_OF_MEMORY, "memory");
	esbridge_close(NULL);
}
END_TEST

/* With reconnecting a request waits for a daemon, as long as it may. */
START_TEST(test_waits_for_daemon)
{
	struct esbridge_options o = { .size = sizeof(o), .reply_timeout_ms = 50 };
	struct esbridge *e = esbridge_connect("/nonexistent/socket", &o);

	failed(e, ESBRIDGE_E_UNAVAILABLE, "No such file");
	ck_assert_ptr_null(esbridge_execute(e, "WriteEvents", NULL, NULL));
	failed(e, ESBRIDGE_E_UNAVAILABLE, "No such file");
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_NONE);
	ck_assert_ptr_null(esbridge_execute(e, "ReadEvent", NULL, NULL));
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_NOT_SAID);
	esbridge_close(e);
}
END_TEST

START_TEST(test_refused)
{
	static const struct fake_row rows[] = { END };
	struct esbridge *e;

	fake_start(&fake,
		   "{\"error\":{\"code\":\"too_many_clients\",\"message\":\"there are 3 "
		   "already\",\"retry\":true}}\n",
		   rows);
	e = esbridge_connect(fake.path, NULL);
	failed(e, ESBRIDGE_E_UNAVAILABLE, "there are 3 already (too_many_clients)");
	end(e);
}
END_TEST

/* A reply of the daemon that says no is told with all that it says. */
START_TEST(test_error_reply)
{
	static const struct fake_row rows[] = {
		HELLO,
		{ "WriteEvents",
		  "{\"id\":%ID,\"error\":{\"code\":\"wrong_expected_version\",\"message\":\"at "
		  "6\",\"retry\":false,\"outcome\":\"none\",\"body\":{\"v\":6}}}\n" },
		END
	};
	struct esbridge *e = begin(rows, NULL);
	const struct esbridge_error *error = esbridge_error(e);

	ck_assert_int_eq(esbridge_write_json(e, "s", "t", "1"), -1);
	failed(e, ESBRIDGE_E_WRONG_EXPECTED_VERSION, "at 6");
	ck_assert(!error->retry);
	ck_assert_int_eq(error->outcome, ESBRIDGE_OUTCOME_NONE);
	ck_assert(esbridge_span_is(error->body, "{\"v\":6}"));
	ck_assert_int_eq(error->line.at[0], '{');
	end(e);
}
END_TEST

/* Replies in another order than the requests; each goes to who asked. */
START_TEST(test_pipelining)
{
	static const struct fake_row rows[] = { HELLO,
						{ "\"first\"", "" },
						{ "\"second\"",
						  "{\"id\":%ID,\"ok\":{\"sub\":\"2\"}}\n"
						  "{\"id\":4294967297,\"ok\":{\"sub\":\"1\"}}\n" },
						END };
	struct esbridge *e = begin(rows, NULL);
	int64_t first = esbridge_start(e, "first", NULL, NULL);
	int64_t second = esbridge_start(e, "second", "{}", NULL);
	struct esbridge_message *m;

	ck_assert_int_eq(first, 4294967297);
	ck_assert_int_eq(second, first + 1);
	m = esbridge_wait(e, first);
	ck_assert(esbridge_span_is(m->sub, "1"));
	esbridge_message_free(m);
	m = esbridge_wait(e, second);
	ck_assert(esbridge_span_is(m->sub, "2"));
	esbridge_message_free(m);
	ck_assert_ptr_null(esbridge_wait(e, second));
	failed(e, ESBRIDGE_E_BAD_REQUEST, "4294967298");
	end(e);
}
END_TEST

START_TEST(test_connection_lost)
{
	static const struct fake_row rows[] = { HELLO, { "\"die\"", NULL }, { "", "" }, END };
	struct esbridge_options once = { .size = sizeof(once), .no_reconnect = true };
	struct esbridge *e = begin(rows, &once);
	struct esbridge_message *m;
	int64_t write = esbridge_start_write(e, "s", ESBRIDGE_ANY,
					     &(struct esbridge_new_event){ .type = "t" }, 1, NULL);
	int64_t read = esbridge_start_read_event(e, "s", 0, NULL);
	int64_t die = esbridge_start(e, "die", NULL, NULL);

	ck_assert_ptr_null(esbridge_wait(e, write));
	failed(e, ESBRIDGE_E_CONNECTION_LOST, "connection");
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_UNKNOWN);
	ck_assert(esbridge_error(e)->retry);
	ck_assert_ptr_null(esbridge_wait(e, read));
	failed(e, ESBRIDGE_E_CONNECTION_LOST, "connection");
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_NOT_SAID);
	ck_assert_ptr_null(esbridge_wait(e, die));
	ck_assert_int_eq(esbridge_next(e, -1, &m), -1);
	failed(e, ESBRIDGE_E_CONNECTION_LOST, "closed");
	end(e);
}
END_TEST

START_TEST(test_timeout)
{
	static const struct fake_row rows[] = { HELLO,
						{ "\"mute\"", "" },
						{ "\"late\"",
						  "{\"id\":4294967297,\"ok\":{\"sub\":\"late\"}}\n"
						  "{\"id\":%ID,\"ok\":{}}\n" },
						END };
	struct esbridge_options o = { .size = sizeof(o), .reply_timeout_ms = 30 };
	struct esbridge *e = begin(rows, &o);
	struct esbridge_message *m;

	ck_assert_ptr_null(esbridge_execute(e, "mute", NULL, NULL));
	failed(e, ESBRIDGE_E_TIMEOUT, "in time");
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_UNKNOWN);
	/* The answer that comes after its time is nobody's. */
	m = esbridge_call(
		e, "late", NULL,
		&(struct esbridge_request){ sizeof(struct esbridge_request), .timeout_ms = 60000 });
	ck_assert_ptr_nonnull(m);
	ck_assert_ptr_null(m->sub.at);
	esbridge_message_free(m);
	ck_assert_int_eq(esbridge_next(e, 0, &m), 0);
	end(e);
}
END_TEST

/* What makes no request is refused before a byte of it is sent, with what is wrong. */
START_TEST(test_bad_arguments)
{
	static const struct fake_row rows[] = { HELLO, END };
	struct esbridge *e = begin(rows, NULL);
	struct esbridge_new_event event = { .type = "t" };
	struct esbridge_read read = { .size = sizeof(read), .from = ESBRIDGE_FROM_NUMBER };
	struct esbridge_subscribe unsized = { .stream = "s" };
	char big[5000];

	ck_assert_int_eq(esbridge_start(e, "ping", "{\"a\":}", NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "at byte 5");
	ck_assert_int_eq(esbridge_start(e, "ping", "[]", NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "object");
	ck_assert_int_eq(esbridge_start(e, "ping", "{\"i\\u0064\":1}", NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "\"id\"");
	ck_assert_int_eq(esbridge_start_execute(e, "ReadEvent", "{} {}", NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "body");
	ck_assert_int_eq(esbridge_write_json(e, "\xff", "t", "1"), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "event_stream_id is not valid UTF-8");
	ck_assert_int_eq(esbridge_write_json(e, NULL, "t", "1"), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "event_stream_id is missing");
	ck_assert_int_eq(esbridge_write_json(e, "s", NULL, "1"), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "event_type is missing");
	ck_assert_int_eq(esbridge_write_json(e, "s", "t", "{"), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "data is no JSON");
	ck_assert_int_eq(esbridge_error(e)->outcome, ESBRIDGE_OUTCOME_NONE);
	event.data = "\xff";
	event.data_len = 1;
	event.data_is = ESBRIDGE_TEXT;
	ck_assert_int_eq(esbridge_start_write(e, "s", 0, &event, 1, NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "data_text is not valid UTF-8");
	memset(big, 'x', sizeof(big));
	event.data = big;
	event.data_len = sizeof(big);
	ck_assert_int_eq(esbridge_start_write(e, "s", 0, &event, 1, NULL), -1);
	failed(e, ESBRIDGE_E_LINE_TOO_LONG, "4000");
	ck_assert_int_eq(esbridge_start_read(e, &read, NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "position");
	ck_assert_int_eq(esbridge_start_subscribe(e, &unsized, NULL), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "size of struct esbridge_subscribe");
	ck_assert_int_eq(esbridge_start(e, "ping", NULL,
					&(struct esbridge_request){ sizeof(struct esbridge_request),
								    .username = "u" }),
			 -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "password");
	ck_assert_int_eq(esbridge_unsubscribe(e, "s9"), -1);
	failed(e, ESBRIDGE_E_UNKNOWN_SUBSCRIPTION, "s9");
	ck_assert_int_eq(esbridge_send_line(e, "a\nb", 3), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "line breaks");
	end(e);
}
END_TEST

/* The bytes of a write: JSON as it is, or in base64 where a line cannot hold it unchanged. */
START_TEST(test_payloads)
{
	static const struct fake_row rows[] = {
		HELLO,
		{ "\"data_content_type\":1,\"data\":{\"a\" : 1.10}}",
		  "{\"id\":%ID,\"ok\":{\"sub\":\"as it is\"}}\n" },
		{ "\"data_content_type\":1,\"data_base64\":\"ewp9\",\"metadata_base64\":\"IDE=\"}",
		  "{\"id\":%ID,\"ok\":{\"sub\":\"in base64\"}}\n" },
		{ "\"data_content_type\":0,\"data_text\":\"\\u0001\\\"\"}",
		  "{\"id\":%ID,\"ok\":{\"sub\":\"text\"}}\n" },
		{ "\"event_id\":\"x\",\"data_content_type\":0}",
		  "{\"id\":%ID,\"ok\":{\"sub\":\"nothing\"}}\n" },
		END
	};
	static const struct {
		struct esbridge_new_event event;
		const char *answer;
	} cases[] = {
		{ { .type = "t",
		    .data = "{\"a\" : 1.10}",
		    .data_len = 12,
		    .data_is = ESBRIDGE_JSON },
		  "as it is" },
		{ { .type = "t",
		    .data = "{\n}",
		    .data_len = 3,
		    .data_is = ESBRIDGE_JSON,
		    .metadata = " 1",
		    .metadata_len = 2,
		    .metadata_is = ESBRIDGE_JSON },
		  "in base64" },
		{ { .type = "t", .data = "\1\"", .data_len = 2, .data_is = ESBRIDGE_TEXT },
		  "text" },
		{ { .type = "t", .id = "x" }, "nothing" },
	};
	struct esbridge *e = begin(rows, NULL);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct esbridge_message *m =
			esbridge_write(e, "s", ESBRIDGE_NO_STREAM, &cases[i].event, 1, NULL);

		ck_assert_msg(m != NULL, "%zu: %s", i, esbridge_error(e)->text);
		ck_assert(esbridge_span_is(m->sub, cases[i].answer));
		esbridge_message_free(m);
	}
	end(e);
}
END_TEST

START_TEST(test_json_values)
{
	static const struct fake_row rows[] = {
		HELLO,
		{ "\"body\":{\"event_stream_id\":\"s\"}",
		  "{\"id\":%ID,\"ok\":{\"body\":{\"n\":[1,\"\\u0000\"]}}}\n" },
		END
	};
	struct esbridge *e = begin(rows, NULL);
	json_t *body = json_pack("{s:s}", "event_stream_id", "s");
	struct esbridge_message *m = esbridge_execute_json(e, "ReadEvent", body, NULL);
	json_t *answer;

	ck_assert_ptr_nonnull(m);
	answer = esbridge_span_json(m->body);
	ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(answer, "n"), 0)), 1);
	json_decref(answer);
	json_decref(body);
	esbridge_message_free(m);
	body = json_array();
	ck_assert_ptr_null(esbridge_execute_json(e, "ReadEvent", body, NULL));
	failed(e, ESBRIDGE_E_BAD_REQUEST, "object");
	json_decref(body);
	ck_assert_ptr_null(esbridge_span_json((struct esbridge_span){ "1e999", 5 }));
	ck_assert_int_eq(errno, EINVAL);
	end(e);
}
END_TEST

/* A line of the program's own, and an error that nobody is to blame for. */
START_TEST(test_send_line)
{
	static const struct fake_row rows[] = {
		HELLO,
		{ "own",
		  "{\"id\":\"w7\",\"ok\":{}}\n{\"error\":{\"code\":\"bad_json\",\"message\":\"m\",\"retry\":false}}\n" },
		END
	};
	struct esbridge *e = begin(rows, NULL);
	struct esbridge_message *m;

	ck_assert_int_eq(esbridge_send_line(e, "own", 3), 0);
	ck_assert_int_eq(esbridge_flush(e, -1), 0);
	ck_assert_int_eq(esbridge_next(e, -1, &m), 1);
	ck_assert(esbridge_span_is(m->id_text, "\"w7\""));
	esbridge_message_free(m);
	ck_assert_int_eq(esbridge_next(e, -1, &m), 1);
	ck_assert_int_eq(m->code, ESBRIDGE_E_BAD_JSON);
	esbridge_message_free(m);
	ck_assert_int_eq(esbridge_next(e, 0, &m), 0);
	ck_assert_ptr_null(m);
	end(e);
}
END_TEST

/* Callbacks ------------------------------------------------------------------------------------- */

struct heard {
	int calls;
	enum esbridge_code code;
	enum esbridge_outcome outcome;
	bool close;
};

static void hear(struct esbridge *e, struct esbridge_message *m, void *user)
{
	struct heard *heard = user;

	ck_assert_ptr_nonnull(m);
	heard->calls++;
	heard->code = m->code;
	heard->outcome = m->outcome;
	if (heard->close)
		esbridge_close(e);
}

/* One turn of the smallest event loop there is. */
static int turn(struct esbridge *e)
{
	struct pollfd wait = { .fd = esbridge_fd(e), .events = esbridge_events(e) };

	poll(&wait, 1, esbridge_deadline(e));
	return esbridge_process(e, wait.revents);
}

START_TEST(test_callbacks)
{
	static const struct fake_row rows[] = { HELLO,
						{ "\"ping\"", "{\"id\":%ID,\"ok\":{}}\n" },
						{ "\"die\"", NULL },
						{ "", "" },
						END };
	struct heard ping = { 0 }, lost = { 0 }, closed = { 0 };
	struct esbridge_options o = { .size = sizeof(o), .reconnect_min_ms = 1 };
	struct esbridge *e;

	fake_start(&fake, NULL, rows);
	e = esbridge_connect_async(fake.path, &o);
	ck_assert_int_eq(esbridge_on_reply(e, esbridge_start(e, "ping", NULL, NULL), hear, &ping),
			 0);
	while (ping.calls == 0)
		ck_assert_int_eq(turn(e), 0);
	ck_assert_int_eq(ping.code, 0);
	ck_assert_int_eq(esbridge_on_reply(e, esbridge_start_execute(e, "WriteEvents", NULL, NULL),
					   hear, &lost),
			 0);
	ck_assert_int_gt(esbridge_start(e, "die", NULL, NULL), 0);
	while (lost.calls == 0)
		ck_assert_int_eq(turn(e), 0);
	ck_assert_int_eq(lost.code, ESBRIDGE_E_CONNECTION_LOST);
	ck_assert_int_eq(lost.outcome, ESBRIDGE_OUTCOME_UNKNOWN);
	while (!esbridge_is_connected(e))
		ck_assert_int_eq(turn(e), 0);
	ck_assert_int_eq(esbridge_on_reply(e, esbridge_start(e, "mute", NULL, NULL), hear, &closed),
			 0);
	ck_assert_int_eq(closed.calls, 0);
	ck_assert_int_eq(esbridge_on_reply(e, 12345, hear, &closed), -1);
	failed(e, ESBRIDGE_E_BAD_REQUEST, "12345");
	end(e);
	ck_assert_int_eq(closed.calls, 1);
	ck_assert_int_eq(closed.code, ESBRIDGE_E_CLOSED);
	ck_assert_int_eq(ping.calls + lost.calls, 2);
}
END_TEST

static void count_watch(struct esbridge *e, bool closing, void *user)
{
	int *counts = user;

	ck_assert_int_ge(esbridge_fd(e), -1);
	counts[closing]++;
}

START_TEST(test_close_in_callback)
{
	static const struct fake_row rows[] = { HELLO,
						{ "\"ping\"", "{\"id\":%ID,\"ok\":{}}\n" },
						END };
	struct heard first = { .close = true }, second = { 0 };
	int watched[2] = { 0, 0 };
	struct esbridge *e = begin(rows, NULL);

	esbridge_set_watcher(e, count_watch, watched);
	ck_assert_int_eq(esbridge_on_reply(e, esbridge_start(e, "ping", NULL, NULL), hear, &first),
			 0);
	ck_assert_int_eq(esbridge_on_reply(e, esbridge_start(e, "ping", NULL, NULL), hear, &second),
			 0);
	while (turn(e) == 0)
		ck_assert_int_eq(watched[1], 0);
	ck_assert_int_eq(first.calls, 1);
	ck_assert_int_eq(second.calls, 1);
	ck_assert_int_gt(watched[0], 0);
	ck_assert_int_eq(watched[1], 1);
	fake_stop(&fake);
}
END_TEST

Suite *calls_suite(void)
{
	Suite *suite = suite_create("calls");
	TCase *tests = tcase_create("calls");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_connect);
	tcase_add_test(tests, test_nobody_there);
	tcase_add_test(tests, test_waits_for_daemon);
	tcase_add_test(tests, test_refused);
	tcase_add_test(tests, test_error_reply);
	tcase_add_test(tests, test_pipelining);
	tcase_add_test(tests, test_connection_lost);
	tcase_add_test(tests, test_timeout);
	tcase_add_test(tests, test_bad_arguments);
	tcase_add_test(tests, test_payloads);
	tcase_add_test(tests, test_json_values);
	tcase_add_test(tests, test_send_line);
	tcase_add_test(tests, test_callbacks);
	tcase_add_test(tests, test_close_in_callback);
	suite_add_tcase(suite, tests);
	return suite;
}
