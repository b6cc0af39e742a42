#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/wire_read.h"
#include "store/wire_write.h"
#include "suites.h"

START_TEST(writes_known_bytes)
{
	struct buffer b = { 0 };

	wire_varint(&b, 0);
	wire_varint(&b, 150);
	wire_int(&b, 1, -2);
	wire_int(&b, 16, 1);
	wire_bytes(&b, 2, "testing", 7);
	wire_bytes(&b, 3, NULL, 0);
	ck_assert_uint_eq(buffer_len(&b), 28);
	ck_assert_mem_eq(buffer_at(&b),
			 "\x00\x96\x01\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x80\x01\x01"
			 "\x12\x07testing\x1a\x00",
			 28);
	buffer_free(&b);
}
END_TEST

START_TEST(reads_what_was_written)
{
	uint64_t values[200];
	uint64_t random = 9;
	struct buffer b = { 0 };
	struct wire w;
	struct wire_field f;

	for (size_t i = 0; i < 200; i++) {
		values[i] = unit_random(&random) >> (i % 64);
		wire_int(&b, 1 + (uint32_t)i, (int64_t)values[i]);
		wire_bytes(&b, 0x1fffffff, &values[i], i % 9);
	}
	wire_start(&w, buffer_at(&b), buffer_len(&b));
	for (size_t i = 0; i < 200; i++) {
		ck_assert(wire_next(&w, &f));
		ck_assert_uint_eq(f.number, 1 + i);
		ck_assert_int_eq(f.type, WIRE_VARINT);
		ck_assert_uint_eq(f.value, values[i]);
		ck_assert(wire_next(&w, &f));
		ck_assert_uint_eq(f.number, 0x1fffffff);
		ck_assert_int_eq(f.type, WIRE_BYTES);
		ck_assert_uint_eq(f.bytes.len, i % 9);
		ck_assert_mem_eq(f.bytes.at, &values[i], f.bytes.len);
	}
	ck_assert(!wire_next(&w, &f));
	ck_assert(!w.broken);
	buffer_free(&b);
}
END_TEST

/* One field in memory of its exact size. */
static bool read_one(const char *bytes, size_t len, struct wire_field *f, bool *broken)
{
	uint8_t *copy = mem_new(len == 0 ? 1 : len);
	struct wire w;
	bool got;

	memcpy(copy, bytes, len);
	wire_start(&w, copy, len);
	got = wire_next(&w, f);
	*broken = w.broken;
	free(copy);
	return got;
}

START_TEST(reads_fixed_numbers)
{
	struct wire_field f;
	bool broken;

	ck_assert(read_one("\x0d\x01\x02\x03\x84", 5, &f, &broken));
	ck_assert_int_eq(f.type, WIRE_FIXED32);
	ck_assert_uint_eq(f.value, 0x84030201);
	ck_assert(read_one("\x09\x01\x02\x03\x04\x05\x06\x07\x88", 9, &f, &broken));
	ck_assert_int_eq(f.type, WIRE_FIXED64);
	ck_assert_uint_eq(f.value, UINT64_C(0x8807060504030201));
}
END_TEST

START_TEST(takes_ten_bytes_for_a_number)
{
	struct wire_field f;
	bool broken;

	ck_assert(read_one("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, &f, &broken));
	ck_assert_uint_eq(f.value, UINT64_MAX);
	ck_assert(read_one("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 11, &f, &broken));
	ck_assert_uint_eq(f.value, UINT64_MAX);
	ck_assert(!read_one("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, &f, &broken));
	ck_assert(broken);
}
END_TEST

START_TEST(refuses_broken_bytes)
{
	static const struct {
		const char *bytes;
		size_t len;
	} bad[] = {
		{ "\x08", 1 },                     /* no value */
		{ "\x08\x80", 2 },                 /* a number without an end */
		{ "\x80", 1 },                     /* a tag without an end */
		{ "\x00\x01", 2 },                 /* field 0 */
		{ "\x80\x80\x80\x80\x10\x01", 6 }, /* a field number above 2^29 - 1 */
		{ "\x0b", 1 },                     /* a group begins */
		{ "\x0c", 1 },                     /* a group ends */
		{ "\x0e\x01", 2 },                 /* wire type 6 */
		{ "\x0f\x01", 2 },                 /* wire type 7 */
		{ "\x0d\x01\x02\x03", 4 },         /* three bytes of four */
		{ "\x09\x01\x02\x03\x04\x05\x06\x07", 8 },
		{ "\x0a\x01", 2 }, /* bytes that are not there */
		{ "\x0a\x05"
		  "abcd",
		  6 },
		{ "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
		  "a",
		  12 },
	};
	struct wire_field f;
	bool broken;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		ck_assert_msg(!read_one(bad[i].bytes, bad[i].len, &f, &broken), "%zu", i);
		ck_assert_msg(broken, "%zu", i);
	}
	ck_assert(!read_one("", 0, &f, &broken));
	ck_assert(!broken);
}
END_TEST

START_TEST(reads_any_bytes_without_harm)
{
	uint64_t random = 1;

	for (int i = 0; i < 20000; i++) {
		size_t len = unit_random(&random) % 30;
		uint8_t *bytes = mem_new(len == 0 ? 1 : len);
		struct wire w;
		struct wire_field f;

		for (size_t j = 0; j < len; j++)
			bytes[j] = (uint8_t)(unit_random(&random) >> 20);
		wire_start(&w, bytes, len);
		while (wire_next(&w, &f)) {
			if (f.type == WIRE_BYTES)
				ck_assert(f.bytes.at >= bytes &&
					  f.bytes.at + f.bytes.len <= bytes + len);
		}
		ck_assert(w.broken || w.at == w.end);
		free(bytes);
	}
}
END_TEST

START_TEST(fails_with_its_buffer)
{
	struct buffer b;

	buffer_init(&b, 20);
	wire_bytes(&b, 1, "a text that is too long", 23);
	wire_int(&b, 1, 1);
	ck_assert(b.failed);
	buffer_free(&b);
}
END_TEST

Suite *wire_suite(void)
{
	Suite *s = suite_create("wire");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, writes_known_bytes);
	tcase_add_test(tc, reads_what_was_written);
	tcase_add_test(tc, reads_fixed_numbers);
	tcase_add_test(tc, takes_ten_bytes_for_a_number);
	tcase_add_test(tc, refuses_broken_bytes);
	tcase_add_test(tc, reads_any_bytes_without_harm);
	tcase_add_test(tc, fails_with_its_buffer);
	suite_add_tcase(s, tc);
	return s;
}
