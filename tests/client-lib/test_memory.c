/*
 * Each allocation fails in turn, once, and then it and all that follow: every failure is an error
 * that is told, nothing is lost or freed twice, and nobody waits for ever.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "esbridge.h"
#include "fake.h"
#include "suites.h"

#define PAGE(number, next, end) \
	"{\"id\":%ID,\"ok\":{\"body\":{\"events\":[{\"event\":{\"event_number\":" number \
	",\"event_type\":\"a\\u0062\",\"data_base64\":\"AP8=\"}}],\"next_event_number\":" next \
	",\"is_end_of_stream\":" end "}}}\n"
#define PUSH(number) \
	"{\"push\":\"event\",\"sub\":\"sub\",\"ack_id\":\"x" number \
	"\",\"event\":{\"event_number\":" number ",\"data\":1}}\n"

static const struct fake_row rows[] = {
	{ "\"op\":\"hello\"",
	  "{\"id\":%ID,\"ok\":{\"protocol\":1,\"version\":\"1\",\"limits\":{\"line\":100000}}}\n" },
	{ "WriteEvents", "{\"id\":%ID,\"ok\":{\"body\":{\"first_event_number\":4}}}\n" },
	{ "\"from_event_number\":1", PAGE("1", "2", "true") },
	{ "ReadStreamEvents", PAGE("0", "1", "false") },
	{ "\"op\":\"unsubscribe\"", "{\"id\":%ID,\"ok\":{\"sub\":\"sub\"}}\n" },
	{ "\"from\":2", "{\"id\":%ID,\"ok\":{\"sub\":\"sub\"}}\n" PUSH("2") },
	{ "\"op\":\"subscribe\"", "{\"id\":%ID,\"ok\":{\"sub\":\"sub\"}}\n" PUSH("0") PUSH("1") },
	{ "\"op\":\"ack\"", "" },
	{ "\"op\":\"nack\"", "" },
	{ "\"op\":\"die\"", NULL },
	{ NULL, NULL },
};

/* The allocator ---------------------------------------------------------------------------------- */

static long left;     /* allocations until one fails */
static bool for_good; /* it and all behind it */
static long living;

static bool fails(void)
{
	left--;
	return left == 0 || (for_good && left < 0);
}

static void *get(size_t size)
{
	void *at = fails() ? NULL : malloc(size);

	living += at != NULL;
	return at;
}

static void *resize(void *at, size_t size)
{
	void *moved = fails() ? NULL : realloc(at, size);

	living += at == NULL && moved != NULL;
	return moved;
}

static void release(void *at)
{
	living -= at != NULL;
	free(at);
}

/* What is done ----------------------------------------------------------------------------------- */

static bool told; /* that memory was out */

/* Notes an error, which must be of memory: nothing else goes wrong here. */
static bool right(const struct esbridge *e, bool good)
{
	const struct esbridge_error *error = esbridge_error(e);

	if (good)
		return true;
	ck_assert_msg(error->code == ESBRIDGE_E_OUT_OF_MEMORY, "%s: %s", error->name, error->text);
	told = true;
	return false;
}

static bool done(const struct esbridge *e, struct esbridge_message *m)
{
	bool good = right(e, m != NULL);

	esbridge_message_free(m);
	return good;
}

static bool write_some(struct esbridge *e)
{
	const struct esbridge_new_event events[] = {
		{ .type = "t", .data = "\1\2", .data_len = 2, .data_is = ESBRIDGE_BYTES },
		{ .type = "t", .data = "[\n]", .data_len = 3, .data_is = ESBRIDGE_JSON },
	};
	bool good = done(e, esbridge_write(e, "s", 0, events, 2, NULL));

	good &= right(e, esbridge_write_json(e, "s", "t", "{}") == 4);
	good &= done(e, esbridge_call(e, "x-WriteEvents", "{\"a\":[{}]}", NULL));
	return good;
}

static bool values(struct esbridge *e)
{
	json_t *body = json_pack("{s:s}", "event_stream_id", "WriteEvents");
	struct esbridge_message *m;
	json_t *answer;
	bool good;

	if (body == NULL) {
		told = true;
		return false;
	}
	m = esbridge_execute_json(e, "WriteEvents", body, NULL);
	json_decref(body);
	good = right(e, m != NULL);
	if (!good)
		return false;
	answer = esbridge_span_json(m->body);
	told |= answer == NULL;
	good = answer != NULL;
	json_decref(answer);
	esbridge_message_free(m);
	return good;
}

static bool walk(struct esbridge *e)
{
	struct esbridge_read read = { .size = sizeof(read), .stream = "s" };
	struct esbridge_cursor *cursor = esbridge_cursor_new(e, &read, NULL);
	const struct esbridge_record *record;
	struct esbridge_span bytes;
	bool good = right(e, cursor != NULL);
	int64_t number = 0;
	int got;

	if (!good)
		return false;
	while ((got = esbridge_cursor_next(cursor, &record)) == 1) {
		ck_assert_int_eq(record->event->number, number++);
		ck_assert(esbridge_span_is(record->event->type, "ab"));
		if (esbridge_event_data(record->event, &bytes) != 0) {
			ck_assert_int_eq(errno, ENOMEM);
			told = true;
			good = false;
		}
	}
	good &= right(e, got == 0);
	ck_assert(got != 0 || number == 2);
	esbridge_cursor_free(cursor);
	return good;
}

/* The next message, over all that fails for lack of memory. */
static struct esbridge_message *next(struct esbridge *e)
{
	struct esbridge_message *m;
	int got;

	do {
		got = esbridge_next(e, -1, &m);
		right(e, got >= 0);
	} while (got == 0 || (got < 0 && !for_good));
	return m;
}

/* The event NUMBER comes; where there is memory, it is acknowledged. */
static bool hear_event(struct esbridge *e, int64_t number)
{
	struct esbridge_message *m = next(e);
	bool good;

	if (m == NULL)
		return false;
	ck_assert_int_eq(m->push, ESBRIDGE_PUSH_EVENT);
	ck_assert_int_eq(m->event->number, number);
	good = right(e, (number == 1 ? esbridge_nack(e, m, NULL, "because") : esbridge_ack(e, m)) ==
				0);
	esbridge_message_free(m);
	return good;
}

static bool hear(struct esbridge *e, enum esbridge_push push)
{
	struct esbridge_message *m = next(e);

	if (m == NULL)
		return false;
	ck_assert_int_eq(m->push, push);
	esbridge_message_free(m);
	return true;
}

static bool listen_on(struct esbridge *e)
{
	struct esbridge_subscribe s = { .size = sizeof(s),
					.stream = "s",
					.sub = "sub",
					.from = ESBRIDGE_FROM_START,
					.window = 5 };
	const char *sub = esbridge_subscribe(e, &s, NULL);
	bool good = right(e, sub != NULL);

	if (!good)
		return false;
	good &= hear_event(e, 0);
	good &= hear_event(e, 1);
	/* The daemon goes and comes. Its end has no reply. */
	if (!right(e, esbridge_start(e, "die", NULL, NULL) > 0))
		return false;
	good &= hear(e, ESBRIDGE_PUSH_INTERRUPTED);
	good &= hear(e, ESBRIDGE_PUSH_RESUMED);
	good &= hear_event(e, 2);
	return right(e, esbridge_unsubscribe(e, "sub") == 0) && good;
}

struct heard {
	int calls;
	bool without_memory;
};

/* cppcheck-suppress constParameter */
static void on_reply(struct esbridge *e, struct esbridge_message *m, void *user)
{
	struct heard *heard = user;

	(void)e;
	heard->calls++;
	heard->without_memory |= m == NULL;
}

static bool call_back(struct esbridge *e)
{
	static struct heard heard; /* it may be called as late as at the end of the context */
	int64_t id = esbridge_start(e, "x-WriteEvents", NULL, NULL);
	bool good = right(e, esbridge_on_reply(e, id, on_reply, &heard) == 0);

	heard = (struct heard){ 0, false };
	while (good && heard.calls == 0)
		good &= right(e, esbridge_next(e, -1, NULL) >= 0) || !for_good;
	told |= heard.without_memory;
	return good && !heard.without_memory;
}

static bool everything(const char *path)
{
	struct esbridge_options o = {
		.size = sizeof(o), .client = "test", .reconnect_min_ms = 1, .reconnect_max_ms = 1
	};
	struct esbridge *e = esbridge_connect(path, &o);
	bool good = e != NULL && esbridge_error(e)->code == 0;
	struct heard heard = { 0, false };
	int64_t id;

	right(e, good);
	if (e == NULL)
		return false;
	good &= write_some(e);
	good &= values(e);
	good &= walk(e);
	good &= call_back(e);
	good &= listen_on(e);
	/* One that is open when the context ends. */
	id = esbridge_start(e, "nack", NULL, NULL);
	if (right(e, esbridge_on_reply(e, id, on_reply, &heard) == 0)) {
		esbridge_close(e);
		ck_assert_int_eq(heard.calls, 1);
		told |= heard.without_memory;
		return good && !heard.without_memory;
	}
	esbridge_close(e);
	return false;
}

static void run(bool from_there_on)
{
	const struct esbridge_allocator allocator = { get, resize, release };
	struct fake fake;
	bool good;

	fake_start(&fake, NULL, rows);
	esbridge_set_allocator(&allocator);
	json_set_alloc_funcs(get, release);
	for_good = from_there_on;
	for (long n = 1;; n += is_slow() ? 9 : 1) {
		left = n;
		told = false;
		good = everything(fake.path);
		ck_assert_msg(living == 0, "%ld pieces are left where allocation %ld failed",
			      living, n);
		if (left > 0)
			break;
		ck_assert_msg(good || told, "allocation %ld failed, and nobody was told", n);
	}
	ck_assert(good && !told);
	esbridge_set_allocator(NULL);
	json_set_alloc_funcs(malloc, free);
	fake_stop(&fake);
}

START_TEST(test_each_fails)
{
	run(false);
}
END_TEST

START_TEST(test_all_fail_from_there_on)
{
	run(true);
}
END_TEST

Suite *memory_suite(void)
{
	Suite *suite = suite_create("memory");
	TCase *tests = tcase_create("memory");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_each_fails);
	tcase_add_test(tests, test_all_fail_from_there_on);
	suite_add_tcase(suite, tests);
	return suite;
}
