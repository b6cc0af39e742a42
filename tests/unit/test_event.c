#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/event.h"
#include "store/wire_write.h"
#include "suites.h"

static const uint8_t id[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

/* 2026-11-23 in ticks, and the bits that .NET sets above them for UTC. */
#define TICKS    INT64_C(638999712000000000)
#define KIND_UTC INT64_C(0x4000000000000000)

static void add_record(struct buffer *b)
{
	wire_bytes(b, 1, "people", 6);
	wire_int(b, 2, 41);
	wire_bytes(b, 3, id, sizeof(id));
	wire_bytes(b, 4, "PersonCreated", 13);
	wire_int(b, 5, 1);
	wire_int(b, 6, 0);
	wire_bytes(b, 7, "{}", 2);
	wire_bytes(b, 8, "m", 1);
	wire_int(b, 9, TICKS | KIND_UTC);
	wire_int(b, 10, 1795392000000);
	wire_int(b, 11, 5);
}

static struct span all(const struct buffer *b)
{
	return (struct span){ buffer_at(b), buffer_len(b) };
}

static bool span_is(struct span span, const char *text)
{
	return span.len == strlen(text) && memcmp(span.at, text, span.len) == 0;
}

static void check_record(const struct event_record *r)
{
	ck_assert(r->present);
	ck_assert(span_is(r->stream, "people"));
	ck_assert_int_eq(r->number, 41);
	ck_assert_mem_eq(r->id.bytes, id, sizeof(id));
	ck_assert(span_is(r->type, "PersonCreated"));
	ck_assert(r->json);
	ck_assert_int_eq(r->data_content_type, 1);
	ck_assert_int_eq(r->metadata_content_type, 0);
	ck_assert(span_is(r->data, "{}"));
	ck_assert(span_is(r->metadata, "m"));
	ck_assert_int_eq(r->created, TICKS);
	ck_assert_int_eq(r->created_epoch, 1795392000000);
}

START_TEST(reads_a_record)
{
	struct buffer b = { 0 };
	struct event_record r;

	add_record(&b);
	ck_assert(event_record_read(all(&b), &r));
	check_record(&r);
	buffer_free(&b);
}
END_TEST

START_TEST(reads_what_is_left_out_as_nothing)
{
	struct event_record r;
	struct resolved_event e;

	ck_assert(event_record_read((struct span){ id, 0 }, &r));
	ck_assert(r.present);
	ck_assert_uint_eq(r.stream.len, 0);
	ck_assert_int_eq(r.number, 0);
	ck_assert(!r.json);
	ck_assert(guid_is_zero(&r.id));
	ck_assert(resolved_event_read((struct span){ id, 0 }, &e));
	ck_assert(!e.event.present);
	ck_assert(!e.link.present);
	ck_assert(!e.positioned);
}
END_TEST

START_TEST(reads_a_resolved_event)
{
	struct buffer record = { 0 }, b = { 0 };
	struct resolved_event e;

	add_record(&record);
	wire_bytes(&b, 1, buffer_at(&record), buffer_len(&record));
	ck_assert(resolved_event_read(all(&b), &e));
	check_record(&e.event);
	ck_assert_ptr_eq(original_event(&e), &e.event);
	ck_assert(!e.positioned);
	wire_bytes(&b, 2, buffer_at(&record), buffer_len(&record));
	wire_int(&b, 3, 700);
	wire_int(&b, 4, -1);
	wire_int(&b, 9, 1);
	ck_assert(resolved_event_read(all(&b), &e));
	check_record(&e.link);
	ck_assert_ptr_eq(original_event(&e), &e.link);
	ck_assert(e.positioned);
	ck_assert_int_eq(e.commit, 700);
	ck_assert_int_eq(e.prepare, -1);
	buffer_free(&b);
	buffer_free(&record);
}
END_TEST

START_TEST(refuses_wrong_types)
{
	struct event_record r;
	struct resolved_event e;

	for (uint32_t number = 1; number <= 10; number++) {
		bool is_number = number == 2 || number == 5 || number == 6 || number >= 9;
		struct buffer b = { 0 };

		if (is_number)
			wire_bytes(&b, number, "x", 1);
		else
			wire_int(&b, number, 1);
		ck_assert_msg(!event_record_read(all(&b), &r), "%u", number);
		buffer_consume(&b, buffer_len(&b));
		if (number <= 2)
			wire_int(&b, number, 1);
		else
			wire_bytes(&b, number, "x", 1);
		ck_assert_int_eq(resolved_event_read(all(&b), &e), number > 4);
		buffer_free(&b);
	}
}
END_TEST

START_TEST(refuses_ids_of_other_lengths)
{
	for (size_t len = 0; len <= 17; len++) {
		struct buffer b = { 0 };
		struct event_record r;

		wire_bytes(&b, 3, "0123456789abcdefg", len);
		ck_assert_int_eq(event_record_read(all(&b), &r), len == 16);
		buffer_free(&b);
	}
}
END_TEST

/*
 * Every beginning of an event: where it breaks off inside a field it is none, and nothing beyond is
 * read.
 */
START_TEST(refuses_broken_events)
{
	struct buffer record = { 0 }, b = { 0 };
	struct resolved_event e;

	add_record(&record);
	wire_bytes(&b, 1, buffer_at(&record), buffer_len(&record));
	for (size_t n = 1; n < buffer_len(&b); n++) {
		uint8_t *bytes = mem_new(n);

		memcpy(bytes, buffer_at(&b), n);
		ck_assert(!resolved_event_read((struct span){ bytes, n }, &e));
		free(bytes);
	}
	buffer_cut(&record, 1);
	wire_bytes(&b, 2, buffer_at(&record), buffer_len(&record));
	ck_assert(!resolved_event_read(all(&b), &e));
	buffer_free(&b);
	buffer_free(&record);
}
END_TEST

Suite *event_suite(void)
{
	Suite *s = suite_create("event");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, reads_a_record);
	tcase_add_test(tc, reads_what_is_left_out_as_nothing);
	tcase_add_test(tc, reads_a_resolved_event);
	tcase_add_test(tc, refuses_wrong_types);
	tcase_add_test(tc, refuses_ids_of_other_lengths);
	tcase_add_test(tc, refuses_broken_events);
	suite_add_tcase(s, tc);
	return s;
}
