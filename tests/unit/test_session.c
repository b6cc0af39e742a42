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
	bridge_answered(&bridge, 50, FOR_EVER);
	near = session_share(&session, SECOND);
	bridge_answered(&bridge, 20000, FOR_EVER);
	bridge_answered(&bridge, 50, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 3 * SECOND), near); /* the quickest counts */
	bridge_answered(&bridge, 20000, FOR_EVER);
	ck_assert_uint_eq(session_share(&session, 3 * SECOND + 1), near);
	ck_assert_uint_eq(session_share(&session, 5 * SECOND), near * 200);
	ck_assert_uint_eq(session_share(&session, 9 * SECOND), near * 200); /* nothing is news */
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
	bridge_answered(&bridge, 50, SECOND);
	ck_assert_uint_lt(session_share(&session, SECOND + 1000), UINT32_MAX);
	ck_assert_uint_eq(session_share(&session, 2 * SECOND), UINT32_MAX);
	bridge_answered(&bridge, 50, 2 * SECOND);
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
	tcase_add_test(tcase, test_share_lasts_a_while);
	tcase_add_test(tcase, test_share_is_no_bound_where_the_store_is_silent);
	suite_add_tcase(suite, tcase);
	return suite;
}
