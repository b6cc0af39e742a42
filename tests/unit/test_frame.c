#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store/command.h"
#include "store/frame.h"
#include "suites.h"

static const struct guid id = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 } };
static const struct credentials admin = { "admin", "changeit" };

START_TEST(writes_the_bytes_of_the_protocol)
{
	static const uint8_t plain[] = { 18, 0, 0, 0, 0x03, 0,  1,  2,  3,  4,  5,
					 6,  7, 8, 9, 10,   11, 12, 13, 14, 15, 16 };
	static const uint8_t with_login[] = {
		36, 0,   0,   0,   0x82, 1,   1,   2,   3,   4,   5,   6,   7,   8,
		9,  10,  11,  12,  13,   14,  15,  16,  5,   'a', 'd', 'm', 'i', 'n',
		8,  'c', 'h', 'a', 'n',  'g', 'e', 'i', 't', 8,   1,   'x',
	};
	struct buffer out = { 0 };

	ck_assert(frame_add(&out, CMD_PING, &id, NULL, NULL, 0));
	ck_assert_uint_eq(buffer_len(&out), sizeof(plain));
	ck_assert_mem_eq(buffer_at(&out), plain, sizeof(plain));
	ck_assert(frame_add(&out, CMD_WRITE_EVENTS, &id, &admin, "\x08\x01x", 3));
	ck_assert_uint_eq(buffer_len(&out), sizeof(plain) + sizeof(with_login));
	ck_assert_mem_eq(buffer_at(&out) + sizeof(plain), with_login, sizeof(with_login));
	buffer_free(&out);
}
END_TEST

START_TEST(reads_what_it_wrote)
{
	static const struct credentials nobody = { "", "unused" };
	struct buffer out = { 0 };
	struct package p;
	size_t size;

	frame_add(&out, CMD_WRITE_EVENTS, &id, &admin, "payload", 7);
	frame_add(&out, CMD_PING, &id, &nobody, NULL, 0);
	ck_assert_int_eq(frame_look(buffer_at(&out), buffer_len(&out), FRAME_MOST, &p, &size),
			 FRAME_WHOLE);
	ck_assert_uint_eq(p.command, CMD_WRITE_EVENTS);
	ck_assert_uint_eq(p.flags, PACKAGE_AUTHENTICATED);
	ck_assert(guid_equal(&p.correlation, &id));
	ck_assert_uint_eq(p.login_len, 5);
	ck_assert_mem_eq(p.login, "admin", 5);
	ck_assert_uint_eq(p.password_len, 8);
	ck_assert_mem_eq(p.password, "changeit", 8);
	ck_assert_uint_eq(p.payload_len, 7);
	ck_assert_mem_eq(p.payload, "payload", 7);
	buffer_consume(&out, size);
	ck_assert_int_eq(frame_look(buffer_at(&out), buffer_len(&out), FRAME_MOST, &p, &size),
			 FRAME_WHOLE);
	ck_assert_uint_eq(p.flags, 0);
	ck_assert_uint_eq(p.payload_len, 0);
	ck_assert_uint_eq(size, buffer_len(&out));
	buffer_free(&out);
}
END_TEST

/* Every beginning of a frame, in memory of its exact size. */
START_TEST(waits_for_the_rest)
{
	struct buffer out = { 0 };
	struct package p;
	size_t size, whole;

	frame_add(&out, CMD_WRITE_EVENTS, &id, &admin, "payload", 7);
	whole = buffer_len(&out);
	for (size_t n = 0; n < whole; n++) {
		uint8_t *bytes = mem_new(n == 0 ? 1 : n);

		memcpy(bytes, buffer_at(&out), n);
		ck_assert_int_eq(frame_look(bytes, n, FRAME_MOST, &p, &size), FRAME_INCOMPLETE);
		ck_assert_uint_eq(size, n < FRAME_PREFIX ? 0 : whole);
		free(bytes);
	}
	buffer_free(&out);
}
END_TEST

START_TEST(refuses_lengths)
{
	static const struct {
		uint8_t bytes[4];
		enum frame_state state;
	} lengths[] = {
		{ { 0, 0, 0, 0 }, FRAME_BAD_LENGTH },
		{ { 1, 0, 0, 0 }, FRAME_INCOMPLETE },
		{ { 0, 0, 0, 4 }, FRAME_INCOMPLETE },
		{ { 1, 0, 0, 4 }, FRAME_BAD_LENGTH },
		{ { 0, 0, 0, 0x80 }, FRAME_BAD_LENGTH },
		{ { 0xff, 0xff, 0xff, 0xff }, FRAME_BAD_LENGTH },
	};
	struct package p;
	size_t size;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		ck_assert_int_eq(frame_look(lengths[i].bytes, 4, FRAME_MOST, &p, &size),
				 lengths[i].state);
}
END_TEST

/* Each package that is shorter than its own header and credentials say. */
START_TEST(refuses_short_packages)
{
	struct buffer out = { 0 };
	struct package p;
	size_t size, whole;

	frame_add(&out, CMD_WRITE_EVENTS, &id, &admin, NULL, 0);
	whole = buffer_len(&out) - FRAME_PREFIX;
	for (size_t n = 1; n <= whole; n++) {
		uint8_t *bytes = mem_new(FRAME_PREFIX + n);

		memcpy(bytes, buffer_at(&out), FRAME_PREFIX + n);
		bytes[0] = (uint8_t)n;
		ck_assert_int_eq(frame_look(bytes, FRAME_PREFIX + n, FRAME_MOST, &p, &size),
				 n == whole ? FRAME_WHOLE : FRAME_BAD_HEADER);
		free(bytes);
	}
	buffer_free(&out);
}
END_TEST

START_TEST(refuses_what_no_server_takes)
{
	struct buffer out = { 0 };
	size_t began = frame_begin(&out, CMD_PING, &id, NULL);
	size_t rest = FRAME_MOST - PACKAGE_HEADER;

	ck_assert_ptr_nonnull(buffer_room(&out, rest + 1));
	memset(out.data + out.end, 0, rest + 1);
	buffer_added(&out, rest);
	ck_assert(frame_end(&out, began));
	buffer_added(&out, 1);
	ck_assert(!frame_end(&out, began));
	buffer_free(&out);
	buffer_init(&out, 30);
	ck_assert(!frame_add(&out, CMD_PING, &id, NULL, "a long payload", 14));
	ck_assert(out.failed);
	ck_assert(!frame_add(&out, CMD_PING, &id, NULL, NULL, 0));
	buffer_free(&out);
}
END_TEST

Suite *frame_suite(void)
{
	Suite *s = suite_create("frame");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, writes_the_bytes_of_the_protocol);
	tcase_add_test(tc, reads_what_it_wrote);
	tcase_add_test(tc, waits_for_the_rest);
	tcase_add_test(tc, refuses_lengths);
	tcase_add_test(tc, refuses_short_packages);
	tcase_add_test(tc, refuses_what_no_server_takes);
	suite_add_tcase(s, tc);
	return s;
}
