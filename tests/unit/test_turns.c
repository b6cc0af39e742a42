#include "store/turns.h"
#include "suites.h"

enum { MIB = 1024 * 1024, TURNS = 40 };

#define HOUR_US UINT64_C(3600000000)

static struct loop *loop;
static struct turns turns;
static struct lane lanes[3];
static struct asker {
	struct turn turn;
	int came; /* the how-many-th it was; 0: not yet */
	bool granted;
} askers[TURNS];
static int came;
static struct job tick;

static void on_come(struct turn *t, bool granted)
{
	struct asker *a = CONTAINER(t, struct asker, turn);

	a->came = ++came;
	a->granted = granted;
}

static void on_tick(void *arg)
{
	loop_stop(arg);
}

static void pass(void)
{
	loop_put_off(loop, &tick);
	loop_run(loop);
}

static void begin(void)
{
	loop = loop_new();
	job_init(&tick, on_tick, loop);
	turns = (struct turns){ .loop = NULL };
	turns_init(&turns, loop);
	for (int i = 0; i < 3; i++)
		lane_init(&lanes[i]);
	for (int i = 0; i < TURNS; i++) {
		askers[i] = (struct asker){ .came = 0 };
		turn_init(&askers[i].turn, on_come);
	}
	came = 0;
}

static void end(void)
{
	for (int i = 0; i < TURNS; i++)
		turn_end(&turns, &askers[i].turn);
	ck_assert_uint_eq(turns.bytes, 0);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(lanes[i].bytes, 0);
	turns_stop(&turns);
	loop_free(loop);
}

static bool ask(int asker, int lane, size_t bytes)
{
	return turn_take(&turns, &askers[asker].turn, &lanes[lane], bytes);
}

static void done(int asker)
{
	turn_end(&turns, &askers[asker].turn);
	pass();
}

/* Somebody asks for little, now. */
static void somebody(void)
{
	turns.others++;
}

START_TEST(test_all_at_once_where_nobody_else_is_there)
{
	for (int i = 0; i < 8; i++)
		ck_assert(ask(i, 0, MIB));
	ck_assert(!ask(8, 0, 1));
	done(0);
	ck_assert_int_eq(askers[8].came, 1);
}
END_TEST

START_TEST(test_little_at_once_beside_others)
{
	somebody();
	ck_assert(ask(0, 0, MIB));
	somebody();
	ck_assert(!ask(1, 0, MIB));
	pass();
	ck_assert_int_eq(askers[1].came, 0);
}
END_TEST

START_TEST(test_one_whatever_its_size)
{
	ck_assert(ask(0, 0, (size_t)1000 * MIB));
	ck_assert(!ask(1, 1, 1));
	done(0);
	ck_assert_int_eq(askers[1].came, 1);
	ck_assert(askers[1].granted);
}
END_TEST

START_TEST(test_from_one_client_after_the_other)
{
	ck_assert(ask(0, 0, 100 * MIB));
	for (int i = 1; i < 10; i++)
		ck_assert(!ask(i, 0, 100 * MIB));
	ck_assert(!ask(10, 1, 100 * MIB));
	ck_assert(!ask(11, 1, 100 * MIB));
	ck_assert(!ask(12, 2, 100 * MIB));
	for (int n = 0; n < 12; n++) {
		static const int order[] = { 0, 1, 10, 12, 2, 11, 3, 4, 5, 6, 7, 8 };

		ck_assert_int_eq(askers[order[n]].came, n);
		done(order[n]);
	}
	ck_assert_int_eq(askers[9].came, 12);
}
END_TEST

/* What is large has its turn although something smaller would fit. */
START_TEST(test_large_is_not_passed_by)
{
	ck_assert(ask(0, 0, 4 * MIB));
	ck_assert(ask(1, 1, 2 * MIB));
	ck_assert(!ask(2, 2, 6 * MIB));
	ck_assert(!ask(3, 1, MIB));
	pass();
	ck_assert_int_eq(came, 0);
	done(1);
	ck_assert_int_eq(came, 0);
	done(0);
	ck_assert_int_eq(askers[2].came, 1);
	ck_assert_int_eq(askers[3].came, 2);
}
END_TEST

START_TEST(test_who_goes_waits_no_more)
{
	ck_assert(ask(0, 0, 100 * MIB));
	ck_assert(!ask(1, 1, 1));
	ck_assert(!ask(2, 2, 1));
	ck_assert(turn_waits(&askers[1].turn));
	turn_end(&turns, &askers[1].turn);
	ck_assert(!turn_waits(&askers[1].turn));
	ck_assert(!turn_waits(&askers[0].turn));
	turn_leave_lane(&askers[0].turn); /* its client goes, the answer is still to come */
	ck_assert_uint_eq(lanes[0].bytes, 0);
	pass();
	ck_assert_int_eq(came, 0);
	done(0);
	ck_assert_int_eq(askers[1].came, 0);
	ck_assert_int_eq(askers[2].came, 1);
}
END_TEST

START_TEST(test_stop_tells_all_who_wait)
{
	ck_assert(ask(0, 0, 100 * MIB));
	ck_assert(!ask(1, 0, 1));
	ck_assert(!ask(2, 1, 1));
	turns_stop(&turns);
	ck_assert_int_eq(came, 2);
	ck_assert(!askers[1].granted && !askers[2].granted);
}
END_TEST

/* What it took, others have for themselves then: whoever asks for less does not wait for that. */
START_TEST(test_rest_after_what_is_very_large)
{
	struct deadline later;

	deadline_init(&later, on_tick, loop);
	somebody();
	ck_assert(ask(0, 0, 100 * MIB));
	loop_set_deadline(loop, &later, 20);
	loop_run(loop);
	somebody();
	done(0);
	ck_assert_uint_ge(turns.rest_until_us, turns.began_us + 2 * 20000);
	turns.rest_until_us += HOUR_US; /* however slow this machine is */
	ck_assert(!ask(1, 0, 100 * MIB));
	ck_assert(!ask(2, 1, MIB));
	pass();
	ck_assert_int_eq(askers[2].came, 1);
	ck_assert_int_eq(askers[1].came, 0);
	turns.rest_until_us = 0;
	done(2);
	ck_assert_int_eq(askers[1].came, 2);
}
END_TEST

START_TEST(test_rest_ends_by_itself)
{
	somebody();
	ck_assert(ask(0, 0, 100 * MIB));
	somebody();
	done(0);
	if (ask(1, 0, 100 * MIB))
		return;
	while (askers[1].came == 0)
		pass();
}
END_TEST

Suite *turns_suite(void)
{
	Suite *suite = suite_create("turns");
	TCase *tcase = tcase_create("turns");

	tcase_add_checked_fixture(tcase, begin, end);
	tcase_add_test(tcase, test_all_at_once_where_nobody_else_is_there);
	tcase_add_test(tcase, test_little_at_once_beside_others);
	tcase_add_test(tcase, test_one_whatever_its_size);
	tcase_add_test(tcase, test_from_one_client_after_the_other);
	tcase_add_test(tcase, test_large_is_not_passed_by);
	tcase_add_test(tcase, test_who_goes_waits_no_more);
	tcase_add_test(tcase, test_stop_tells_all_who_wait);
	tcase_add_test(tcase, test_rest_after_what_is_very_large);
	tcase_add_test(tcase, test_rest_ends_by_itself);
	suite_add_tcase(suite, tcase);
	return suite;
}
