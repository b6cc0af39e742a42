#include "bridge/session.h"
#include "suites.h"

enum { SECOND = 1000000, FOR_EVER = 1000 * SECOND };

static struct bridge bridge;
static struct session session;

static void on_wrote(struct session *s)
{
	(void)s;
}

static void begin(void)
{
	static const struct session_events events = { .wrote = on_wrote, .eased = on_wrote };

	bridge = (struct bridge){ .loop = loop_new(), .answered_us = FOR_EVER };
	session_init(&session, &bridge, &events, NULL, 1);
}

static void end(void)
{
	loop_free(bridge.loop);
}

START_TEST(test_share_is_no_bound_for_who_is_alone)
{
	static const struct request_id none;
	struct request r = { .bytes = 0 };

	ck_assert_uint_eq(session_share(&session, 1000), UINT32_MAX);
	request_begin(&r, &session, &none, 10);
	ck_assert_uint_eq(bridge.busy, 1);
	ck_assert_uint_eq(session_share(&session, 1000), UINT32_MAX);
	request_end(&r);
	ck_assert_uint_eq(bridge.busy, 0);
}
END_TEST

START_TEST(test_share_is_less_the_more_there_are)
{
	uint32_t two, ten;

	bridge.busy = 1;
	two = session_share(&session, 1000);
	bridge.busy = 9;
	ten = session_share(&session, 1000);
	bridge.busy = 10000;
	ck_assert_uint_lt(two, 64);
	ck_assert_uint_lt(ten, two);
	ck_assert_uint_ge(session_share(&session, 1000), 4);
}
END_TEST

START_TEST(test_share_is_more_where_the_store_is_far)
{
	uint32_t near;

	bridge.busy = 1;
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, FOR_EVER);
	near = session_share(&session, SECOND);
	bridge_answered(&bridge, MESSAGE_READ, 100, 20000, FOR_EVER);
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 3 * SECOND), near); /* the quickest counts */
	bridge_answered(&bridge, MESSAGE_READ, 100, 20000, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 3 * SECOND + 1), near);
	ck_assert_uint_eq(session_share(&session, 5 * SECOND), near * 200);
	ck_assert_uint_eq(session_share(&session, 9 * SECOND), near * 200); /* nothing is news */
}
END_TEST

/* What is large, or no matter of a moment, does not tell how far away the store is; and what is
 * written may take longer than what is read. */
START_TEST(test_share_is_told_by_what_is_little)
{
	uint32_t near;

	bridge.busy = 1;
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, FOR_EVER);
	near = session_share(&session, SECOND);
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, FOR_EVER);
	bridge_answered(&bridge, MESSAGE_WRITE, 10 * TURN_FREE, 20000, FOR_EVER);
	bridge_answered(&bridge, MESSAGE_MANAGE, 100, 20000, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 3 * SECOND), near);
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, FOR_EVER);
	bridge_answered(&bridge, MESSAGE_WRITE, 100, 2000, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 5 * SECOND), near * 20);
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 7 * SECOND), near);
}
END_TEST

/* S has COUNT requests in flight, and nothing more to ask for. */
static void ask(struct request *requests, unsigned count)
{
	static const struct request_id none;

	for (unsigned i = 0; i < count; i++)
		request_begin(&requests[i], &session, &none, 10);
	session_asks_no_more(&session);
	for (unsigned i = 0; i < count; i++)
		request_end(&requests[i]);
}

START_TEST(test_who_asks_for_much_makes_way_for_who_asks_for_little)
{
	static struct request requests[20];
	uint64_t now = loop_now_us(bridge.loop);

	bridge.busy = 1;
	bridge.answered_us = now;
	session_share(&session, now);
	ck_assert(!bridge_makes_way(&bridge, now));
	ask(requests, 20);
	ask(requests, 0);
	ck_assert(!bridge_makes_way(&bridge, now));
	ask(requests, 1);
	ck_assert(bridge_makes_way(&bridge, now));
	ck_assert(!bridge_makes_way(&bridge, now + SECOND));
	/* Who is alone lets nobody go ahead. */
	bridge.shared_until_us = 0;
	ck_assert(!bridge_makes_way(&bridge, now));
}
END_TEST

START_TEST(test_there_is_room_until_the_store_has_enough_to_do)
{
	static struct store store;
	uint64_t now = loop_now_us(bridge.loop);

	bridge.store = &store;
	bridge.busy = 1;
	bridge.answered_us = now;
	bridge.light_until_us = now + SECOND;
	session_share(&session, now);
	store = (struct store){ .sequence = 1000, .answered = 998, .in_flight_count = 500 };
	ck_assert(bridge_has_room(&bridge)); /* 498 are not answered, but the last but two is */
	store.answered = 500;
	ck_assert(!bridge_has_room(&bridge));
	store.in_flight_count = 2;
	ck_assert(bridge_has_room(&bridge));
	store.in_flight_count = 500;
	bridge.light_until_us = 0;
	ck_assert(bridge_has_room(&bridge));
	bridge.light_until_us = now + SECOND;
	ck_assert(!bridge_has_room(&bridge));
	bridge.answered_us = now - SECOND; /* it is silent */
	ck_assert(bridge_has_room(&bridge));
}
END_TEST

START_TEST(test_share_lasts_a_while)
{
	bridge.busy = 1;
	ck_assert_uint_lt(session_share(&session, 1000), UINT32_MAX);
	bridge.busy = 0;
	ck_assert_uint_lt(session_share(&session, 1001), UINT32_MAX);
	ck_assert_uint_eq(session_share(&session, 1000000), UINT32_MAX);
}
END_TEST

START_TEST(test_share_is_no_bound_where_the_store_is_silent)
{
	bridge.busy = 1;
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, SECOND);
	ck_assert_uint_lt(session_share(&session, SECOND + 1000), UINT32_MAX);
	ck_assert_uint_eq(session_share(&session, 2 * SECOND), UINT32_MAX);
	bridge_answered(&bridge, MESSAGE_READ, 100, 50, 2 * SECOND);
	ck_assert_uint_lt(session_share(&session, 2 * SECOND), UINT32_MAX);
}
END_TEST

Suite *session_suite(void)
{
	Suite *suite = suite_create("session");
	TCase *tcase = tcase_create("share");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, test_share_is_no_bound_for_who_is_alone);
	tcase_add_test(tcase, test_share_is_less_the_more_there_are);
	tcase_add_test(tcase, test_share_is_more_where_the_store_is_far);
	tcase_add_test(tcase, test_share_is_told_by_what_is_little);
	tcase_add_test(tcase, test_who_asks_for_much_makes_way_for_who_asks_for_little);
	tcase_add_test(tcase, test_there_is_room_until_the_store_has_enough_to_do);
	tcase_add_test(tcase, test_share_lasts_a_while);
	tcase_add_test(tcase, test_share_is_no_bound_where_the_store_is_silent);
	suite_add_tcase(suite, tcase);
	return suite;
}
