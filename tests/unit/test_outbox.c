#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/outbox.h"
#include "suites.h"

enum { LARGE = 4 * 1024 * 1024, PARCELS = 40 };

/* An outbox, a pair of sockets, what has come out of them, and what must have. */
static struct outbox box;
static int pair[2];
static struct buffer come, expected;

static void set_up(void)
{
	outbox_init(&box);
	buffer_init(&come, 0);
	buffer_init(&expected, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
}

static void tear_down(void)
{
	outbox_clear(&box);
	buffer_free(&come);
	buffer_free(&expected);
	close(pair[0]);
	close(pair[1]);
}

static void drain(void)
{
	while (buffer_read_fd(&come, pair[1], 65536) > 0)
		;
}

/* LEN bytes, each run of which is another. */
static struct buffer bytes_of(size_t len)
{
	static uint32_t next;
	struct buffer b = { 0 };
	uint8_t *at = buffer_room(&b, len + sizeof(next));

	ck_assert_ptr_nonnull(at);
	for (size_t i = 0; i < len; i += sizeof(next), next++)
		memcpy(at + i, &next, sizeof(next));
	buffer_added(&b, len);
	return b;
}

static void add_behind(size_t len)
{
	struct buffer b = bytes_of(len);

	buffer_add_all(&box.behind, &b);
	buffer_add_all(&expected, &b);
	buffer_free(&b);
}

static void write_all(void)
{
	while (!outbox_is_empty(&box)) {
		if (outbox_write(&box, pair[0]) < 0)
			ck_assert_int_eq(errno, EAGAIN);
		drain();
	}
	ck_assert_uint_eq(buffer_len(&come), buffer_len(&expected));
	ck_assert_mem_eq(buffer_at(&come), buffer_at(&expected), buffer_len(&expected));
}

START_TEST(sends_what_is_large_from_where_it_is)
{
	struct buffer large = bytes_of(LARGE);
	struct parcel p;
	ssize_t n;

	parcel_init(&p);
	ck_assert(outbox_is_empty(&box));
	add_behind(100);
	outbox_add(&box, &p, &large);
	buffer_add_all(&expected, &large);
	add_behind(10);
	n = outbox_write(&box, pair[0]);
	ck_assert_int_gt(n, 100);
	ck_assert_int_lt(n, LARGE);
	ck_assert(link_used(&p.link));
	/* Nothing of it has been copied. */
	ck_assert_uint_eq(buffer_len(&box.behind), 10);
	ck_assert_uint_lt(box.behind.size + p.before.size, 4096);
	ck_assert_int_eq(outbox_write(&box, pair[0]), -1);
	ck_assert_int_eq(errno, EAGAIN);
	write_all();
	ck_assert(!link_used(&p.link));
	ck_assert_uint_eq(buffer_len(&large), LARGE);
	buffer_free(&large);
}
END_TEST

START_TEST(what_is_taken_back_is_sent_whole_or_not_at_all)
{
	struct buffer large[3];
	struct parcel parcels[3];

	for (int i = 0; i < 3; i++) {
		large[i] = bytes_of(LARGE);
		parcel_init(&parcels[i]);
		add_behind(5);
		outbox_add(&box, &parcels[i], &large[i]);
		if (i != 1)
			buffer_add_all(&expected, &large[i]);
	}
	add_behind(5);
	ck_assert_int_gt(outbox_write(&box, pair[0]), 5);
	/* The first is on its way in part, the second not at all; the third stays. */
	for (int i = 0; i < 2; i++) {
		outbox_take_back(&box, &parcels[i]);
		ck_assert(!link_used(&parcels[i].link));
		outbox_take_back(&box, &parcels[i]);
		buffer_free(&large[i]);
	}
	write_all();
	buffer_free(&large[2]);
}
END_TEST

START_TEST(what_is_cleared_is_forgotten)
{
	struct buffer large = bytes_of(LARGE);
	struct parcel p;

	parcel_init(&p);
	add_behind(5);
	outbox_add(&box, &p, &large);
	add_behind(5);
	ck_assert_int_gt(outbox_write(&box, pair[0]), 5);
	outbox_clear(&box);
	ck_assert(outbox_is_empty(&box));
	ck_assert(!link_used(&p.link));
	outbox_take_back(&box, &p);
	drain();
	buffer_consume(&come, buffer_len(&come));
	buffer_consume(&expected, buffer_len(&expected));
	/* It can be sent anew, over the next connection. */
	outbox_add(&box, &p, &large);
	buffer_add_all(&expected, &large);
	write_all();
	buffer_free(&large);
}
END_TEST

START_TEST(a_peer_that_is_gone_is_told)
{
	struct buffer large = bytes_of(LARGE);
	struct parcel p;

	parcel_init(&p);
	close(pair[1]);
	pair[1] = dup(pair[0]);
	outbox_add(&box, &p, &large);
	ck_assert_int_eq(outbox_write(&box, pair[0]), -1);
	ck_assert_int_eq(errno, EPIPE);
	ck_assert(link_used(&p.link));
	outbox_take_back(&box, &p);
	ck_assert(outbox_is_empty(&box));
	buffer_free(&large);
}
END_TEST

/* All that is added comes out in its order, whatever is written and read in between, and more of it
 * waits than the kernel is handed at once. */
START_TEST(keeps_the_order)
{
	struct buffer large[PARCELS];
	struct parcel parcels[PARCELS];
	uint64_t random = (uint64_t)_i + 1;

	for (int i = 0; i < PARCELS; i++) {
		large[i] = bytes_of(1 + unit_random(&random) % 200000);
		parcel_init(&parcels[i]);
		if (unit_random(&random) % 2 == 0)
			add_behind(unit_random(&random) % 5000);
		outbox_add(&box, &parcels[i], &large[i]);
		buffer_add_all(&expected, &large[i]);
		if (unit_random(&random) % 4 == 0)
			outbox_write(&box, pair[0]);
		if (unit_random(&random) % 8 == 0)
			drain();
	}
	write_all();
	for (int i = 0; i < PARCELS; i++)
		buffer_free(&large[i]);
}
END_TEST

START_TEST(a_secret_stays_one)
{
	struct buffer large = bytes_of(LARGE);
	struct parcel p;

	parcel_init(&p);
	large.secret = true;
	add_behind(5);
	outbox_add(&box, &p, &large);
	buffer_add_all(&expected, &large);
	ck_assert_int_gt(outbox_write(&box, pair[0]), 5);
	outbox_take_back(&box, &p);
	ck_assert(box.behind.secret);
	buffer_free(&large);
	write_all();
	ck_assert(!box.behind.secret);
}
END_TEST

Suite *outbox_suite(void)
{
	Suite *s = suite_create("outbox");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, sends_what_is_large_from_where_it_is);
	tcase_add_test(tc, what_is_taken_back_is_sent_whole_or_not_at_all);
	tcase_add_test(tc, what_is_cleared_is_forgotten);
	tcase_add_test(tc, a_peer_that_is_gone_is_told);
	tcase_add_loop_test(tc, keeps_the_order, 0, 20);
	tcase_add_test(tc, a_secret_stays_one);
	suite_add_tcase(s, tc);
	return s;
}
