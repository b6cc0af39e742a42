#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buffer.h"
#include "suites.h"

START_TEST(is_a_queue)
{
	struct buffer b = { 0 };

	buffer_add_text(&b, "one ");
	buffer_add(&b, "two", 3);
	buffer_add(&b, NULL, 0);
	buffer_add_byte(&b, '!');
	ck_assert_uint_eq(buffer_len(&b), 8);
	ck_assert_mem_eq(buffer_at(&b), "one two!", 8);
	buffer_consume(&b, 4);
	buffer_cut(&b, 1);
	ck_assert_uint_eq(buffer_len(&b), 3);
	ck_assert_mem_eq(buffer_at(&b), "two", 3);
	buffer_consume(&b, 3);
	ck_assert_uint_eq(b.start, 0);
	buffer_free(&b);
	ck_assert_ptr_null(b.data);
}
END_TEST

/* A model beside it: all bytes written are numbered, so what comes out is known. */
START_TEST(keeps_all_bytes_in_order)
{
	struct buffer b;
	uint64_t random = 7;
	uint64_t written = 0, read = 0;

	buffer_init(&b, 0);
	for (int i = 0; i < 20000; i++) {
		size_t n = unit_random(&random) % 300;

		if (unit_random(&random) % 2 == 0) {
			uint8_t *at = buffer_room(&b, n);

			ck_assert_ptr_nonnull(at);
			for (size_t j = 0; j < n; j++)
				at[j] = (uint8_t)(written++ * 31);
			buffer_added(&b, n);
		} else {
			n = n < buffer_len(&b) ? n : buffer_len(&b);
			for (size_t j = 0; j < n; j++) {
				if (buffer_at(&b)[j] != (uint8_t)(read++ * 31))
					ck_abort_msg("byte %zu differs", (size_t)read);
			}
			buffer_consume(&b, n);
		}
		ck_assert_uint_eq(buffer_len(&b), written - read);
	}
	buffer_free(&b);
}
END_TEST

/* It grows in another way, with what was read still in front. */
START_TEST(grows_swiftly)
{
	enum { PIECE = 100 * 1000, PIECES = 300 };
	static uint8_t piece[PIECE];
	struct buffer b = { 0 };

	b.secret = b.swift = true;
	for (unsigned i = 0; i < PIECES; i++) {
		memset(piece, (int)(i % 251), PIECE);
		buffer_add(&b, piece, PIECE);
		ck_assert(!b.failed);
		if (i % 3 == 2)
			buffer_consume(&b, PIECE);
	}
	ck_assert_uint_eq(buffer_len(&b), PIECES / 3 * 2 * PIECE);
#if !defined(__SANITIZE_ADDRESS__)
	ck_assert(b.mapped);
#endif
	/* What cannot be had leaves it as it is. */
	ck_assert_ptr_null(buffer_room(&b, (size_t)1 << 46));
	ck_assert(b.failed);
	b.failed = false;
	for (unsigned i = PIECES / 3; i < PIECES; i++) {
		memset(piece, (int)(i % 251), PIECE);
		ck_assert_mem_eq(buffer_at(&b), piece, PIECE);
		buffer_consume(&b, PIECE);
	}
	buffer_free(&b);
	/* And with nothing read from it. */
	b.swift = true;
	for (unsigned i = 0; i < 64; i++) {
		memset(piece, (int)i, PIECE);
		buffer_add(&b, piece, PIECE);
	}
	for (unsigned i = 0; i < 64; i++)
		ck_assert_uint_eq(buffer_at(&b)[i * PIECE + i], i);
	buffer_free(&b);
}
END_TEST

START_TEST(stops_at_its_limit)
{
	struct buffer b;

	buffer_init(&b, 1000);
	for (int i = 0; i < 1000; i++)
		buffer_add_byte(&b, 'x');
	ck_assert(!b.failed);
	buffer_consume(&b, 10);
	buffer_add(&b, "0123456789", 10);
	ck_assert(!b.failed);
	ck_assert_uint_eq(buffer_len(&b), 1000);
	buffer_add_byte(&b, 'y');
	ck_assert(b.failed);
	ck_assert_uint_eq(buffer_len(&b), 1000);
	buffer_consume(&b, 500);
	buffer_add_byte(&b, 'y');
	ck_assert_uint_eq(buffer_len(&b), 500);
	buffer_free(&b);
	ck_assert_uint_eq(b.limit, 1000);
	ck_assert(!b.failed);
}
END_TEST

START_TEST(refuses_absurd_sizes)
{
	struct buffer b = { 0 };

	ck_assert_ptr_null(buffer_room(&b, SIZE_MAX - 10));
	ck_assert(b.failed);
	ck_assert_ptr_null(buffer_room(&b, 1));
	buffer_free(&b);
	buffer_add_byte(&b, 'x');
	ck_assert_ptr_null(buffer_room(&b, SIZE_MAX));
	ck_assert_uint_eq(buffer_len(&b), 1);
	buffer_free(&b);
}
END_TEST

START_TEST(shrinks_when_empty)
{
	struct buffer b = { 0 };

	ck_assert_ptr_nonnull(buffer_room(&b, 100000));
	buffer_add_byte(&b, 'x');
	buffer_shrink(&b, 1024);
	ck_assert_ptr_nonnull(b.data);
	buffer_consume(&b, 1);
	buffer_shrink(&b, b.size);
	ck_assert_ptr_nonnull(b.data);
	buffer_shrink(&b, 1024);
	ck_assert_ptr_null(b.data);
	b.failed = true;
	ck_assert(!buffer_grow(&b, 1));
	buffer_free(&b);
}
END_TEST

START_TEST(reads_and_writes_descriptors)
{
	struct buffer out = { 0 }, in = { 0 };
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	buffer_add_text(&out, "a line\n");
	ck_assert_int_eq(buffer_write_fd(&out, pair[0]), 7);
	ck_assert_uint_eq(buffer_len(&out), 0);
	ck_assert_int_eq(buffer_read_fd(&in, pair[1], 4), 4);
	ck_assert_int_eq(buffer_read_fd(&in, pair[1], 4096), 3);
	ck_assert_mem_eq(buffer_at(&in), "a line\n", 7);
	ck_assert_int_eq(buffer_read_fd(&in, pair[1], 4096), -1);
	ck_assert_int_eq(errno, EAGAIN);
	in.limit = 8;
	ck_assert_int_eq(buffer_read_fd(&in, pair[1], 4096), -1);
	ck_assert_int_eq(errno, ENOMEM);
	buffer_free(&in);
	close(pair[0]);
	ck_assert_int_eq(buffer_read_fd(&in, pair[1], 8), 0);
	buffer_add_text(&out, "x");
	ck_assert_int_eq(buffer_write_fd(&out, pair[1]), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert_uint_eq(buffer_len(&out), 1);
	close(pair[1]);
	buffer_free(&in);
	buffer_free(&out);
}
END_TEST

/* True where the LEN bytes at AT are all zero. */
static bool is_blank(const uint8_t *at, size_t len)
{
	while (len > 0 && at[len - 1] == 0)
		len--;
	return len == 0;
}

static struct buffer with_secret(const char *text)
{
	struct buffer b = { 0 };

	b.secret = true;
	buffer_add_text(&b, text);
	return b;
}

START_TEST(a_secret_leaves_nothing_where_it_was)
{
	struct buffer b = with_secret("0123456789");

	buffer_consume(&b, 4);
	ck_assert(is_blank(b.data, 4));
	buffer_cut(&b, 2);
	ck_assert(is_blank(b.data + 8, 2));
	ck_assert_mem_eq(buffer_at(&b), "4567", 4);
	/* Moved to the front, for room: */
	ck_assert_ptr_nonnull(buffer_room(&b, 508));
	ck_assert_uint_eq(b.start, 0);
	ck_assert_mem_eq(buffer_at(&b), "4567", 4);
	ck_assert(is_blank(b.data + 4, 6));
	buffer_consume(&b, 4);
	ck_assert(is_blank(b.data, 10));
	/* Empty, it is one like the others. */
	ck_assert(!b.secret);
	buffer_add_text(&b, "plain");
	buffer_consume(&b, 5);
	ck_assert_mem_eq(b.data, "plain", 5);
	buffer_free(&b);
	/* What is known to be none is let go without that. */
	b = with_secret("open secret");
	buffer_pass(&b, 5);
	ck_assert_mem_eq(b.data, "open ", 5);
	ck_assert(b.secret);
	buffer_consume(&b, 6);
	ck_assert(is_blank(b.data + 5, 6));
	buffer_free(&b);
}
END_TEST

START_TEST(a_secret_stays_one_in_another_buffer)
{
	struct buffer a = with_secret("word"), b = { 0 }, c = { 0 };

	buffer_add_text(&b, "x");
	buffer_add_all(&b, &a);
	ck_assert(b.secret && a.secret);
	ck_assert_mem_eq(buffer_at(&b), "xword", 5);
	buffer_consume(&b, 5);
	ck_assert(is_blank(b.data, 5));
	buffer_add_text(&b, "plain");
	buffer_add_all(&c, &b);
	ck_assert(!c.secret);
	buffer_free(&a);
	buffer_free(&b);
	buffer_free(&c);
}
END_TEST

START_TEST(encloses_what_it_keeps)
{
	struct buffer b = { 0 }, around = { 0 };
	const uint8_t *kept;

	buffer_add_text(&b, "0123456789kept, the tail");
	buffer_add_text(&around, "<head><tail>");
	kept = buffer_at(&b) + 10;
	ck_assert(buffer_enclose(&b, kept, 4, &around, 6));
	ck_assert_uint_eq(buffer_len(&b), 16);
	ck_assert_mem_eq(buffer_at(&b), "<head>kept<tail>", 16);
	ck_assert_ptr_eq(buffer_at(&b) + 6, kept);
	/* All of it before, all of it behind, and nothing at all. */
	ck_assert(buffer_enclose(&b, kept, 4, &around, 0));
	ck_assert_mem_eq(buffer_at(&b), "kept<head><tail>", 16);
	around.end = around.start + 6;
	ck_assert(buffer_enclose(&b, kept, 4, &around, 6));
	ck_assert_uint_eq(buffer_len(&b), 10);
	ck_assert_mem_eq(buffer_at(&b), "<head>kept", 10);
	buffer_free(&b);
	buffer_free(&around);
}
END_TEST

START_TEST(encloses_only_where_there_is_room)
{
	struct buffer b = { 0 }, around = { 0 };

	buffer_add_text(&b, "12345");
	while (buffer_len(&b) < 512)
		buffer_add_byte(&b, 'x');
	ck_assert_uint_eq(b.size, 512);
	buffer_add_text(&around, "123456");
	ck_assert(!buffer_enclose(&b, buffer_at(&b) + 5, 100, &around, 6));
	ck_assert(!buffer_enclose(&b, buffer_at(&b) + 412, 100, &around, 5));
	ck_assert_uint_eq(buffer_len(&b), 512);
	ck_assert_mem_eq(buffer_at(&b), "12345xxx", 8);
	buffer_free(&b);
	buffer_free(&around);
}
END_TEST

START_TEST(a_secret_does_not_stay_around_what_is_kept)
{
	struct buffer b = { .secret = true }, around = { .secret = false };

	buffer_add_text(&b, "password1, kept, password2");
	ck_assert(buffer_enclose(&b, buffer_at(&b) + 11, 4, &around, 0));
	ck_assert_mem_eq(buffer_at(&b), "kept", 4);
	ck_assert(is_blank(b.data, 11));
	ck_assert(is_blank(b.data + 15, 11));
	buffer_free(&b);
}
END_TEST

START_TEST(puts_bytes_in)
{
	struct buffer b = { 0 };

	buffer_insert(&b, 0, "3", 1);
	buffer_insert(&b, 0, "1", 1);
	buffer_insert(&b, 1, "2", 1);
	buffer_insert(&b, 3, "45", 2);
	buffer_insert(&b, 2, NULL, 0);
	ck_assert_uint_eq(buffer_len(&b), 5);
	ck_assert_mem_eq(buffer_at(&b), "12345", 5);
	buffer_free(&b);
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__)

/* A buffer that holds TEXT and has SIZE bytes. */
static void fill_to(struct buffer *b, const char *text, size_t size)
{
	ck_assert_ptr_nonnull(buffer_room(b, size));
	ck_assert_uint_eq(b->size, size);
	buffer_add_text(b, text);
}

START_TEST(memory_given_back_is_used_again)
{
	struct buffer a = { 0 }, b = { 0 };
	uint8_t *large, *small;

	buffer_keep_spares(1024 * 1024);
	fill_to(&a, "large", 256 * 1024);
	fill_to(&b, "small", 16 * 1024);
	large = a.data;
	small = b.data;
	buffer_free(&a);
	buffer_free(&b);
	/* The smallest that serves, though not one that is far too large. */
	buffer_add_text(&a, "x");
	ck_assert_ptr_eq(a.data, small);
	buffer_add_text(&b, "y");
	ck_assert_ptr_ne(b.data, large);
	ck_assert_uint_lt(b.size, 256 * 1024);
	/* Growing into a spare gives the smaller one back, with what was in it moved. */
	ck_assert_ptr_nonnull(buffer_room(&a, 200 * 1024));
	ck_assert_ptr_eq(a.data, large);
	ck_assert_mem_eq(buffer_at(&a), "x", 1);
	/* A buffer that is empty again comes back to what it had. */
	buffer_consume(&a, 1);
	buffer_shrink(&a, 1024);
	ck_assert_ptr_null(a.data);
	buffer_add_text(&a, "z");
	ck_assert_ptr_eq(a.data, large);
	buffer_free(&a);
	buffer_free(&b);
	buffer_keep_spares(0);
}
END_TEST

START_TEST(memory_given_back_has_no_secret)
{
	struct buffer a = with_secret("what stands there before it grows"), b = { 0 };
	uint8_t *small = a.data, *large;

	buffer_keep_spares(1024 * 1024);
	ck_assert_ptr_nonnull(buffer_room(&a, 100 * 1024));
	large = a.data;
	ck_assert_ptr_ne(large, small);
	buffer_add_text(&a, ", and after");
	buffer_free(&a);
	/* Behind what the spares themselves keep in front. */
	ck_assert(is_blank(small + 16, 33 - 16));
	ck_assert(is_blank(large + 16, 44 - 16));
	buffer_add_text(&b, "x");
	ck_assert_ptr_eq(b.data, small);
	ck_assert(!b.secret);
	buffer_free(&b);
	buffer_keep_spares(0);
}
END_TEST

START_TEST(spares_are_bounded_and_grow_old)
{
	struct buffer a = { 0 }, b = { 0 };
	uint8_t *first;

	buffer_keep_spares(64 * 1024);
	fill_to(&a, "", 64 * 1024);
	fill_to(&b, "", 64 * 1024);
	first = a.data;
	buffer_free(&a);
	buffer_free(&b); /* beyond the bound: freed */
	buffer_age_spares();
	fill_to(&a, "", 64 * 1024); /* used in time */
	ck_assert_ptr_eq(a.data, first);
	buffer_free(&a);
	buffer_age_spares();
	buffer_age_spares(); /* and not used since the last time: freed */
	buffer_add_text(&a, "x");
	ck_assert_uint_eq(a.size, 512);
	buffer_free(&a);
	buffer_keep_spares(0);
}
END_TEST

#endif

Suite *buffer_suite(void)
{
	Suite *s = suite_create("buffer");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, is_a_queue);
	tcase_add_test(tc, keeps_all_bytes_in_order);
	tcase_add_test(tc, grows_swiftly);
	tcase_add_test(tc, stops_at_its_limit);
	tcase_add_test(tc, refuses_absurd_sizes);
	tcase_add_test(tc, shrinks_when_empty);
	tcase_add_test(tc, reads_and_writes_descriptors);
	tcase_add_test(tc, a_secret_leaves_nothing_where_it_was);
	tcase_add_test(tc, a_secret_stays_one_in_another_buffer);
	tcase_add_test(tc, encloses_what_it_keeps);
	tcase_add_test(tc, encloses_only_where_there_is_room);
	tcase_add_test(tc, a_secret_does_not_stay_around_what_is_kept);
	tcase_add_test(tc, puts_bytes_in);
#if !defined(__SANITIZE_ADDRESS__) /* under it nothing is kept */
	tcase_add_test(tc, memory_given_back_is_used_again);
	tcase_add_test(tc, memory_given_back_has_no_secret);
	tcase_add_test(tc, spares_are_bounded_and_grow_old);
#endif
	suite_add_tcase(s, tc);
	return s;
}
