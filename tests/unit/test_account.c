#include <string.h>

#include "base/account.h"
#include "base/buffer.h"
#include "suites.h"

enum { LIMIT = 4096, MARK = LIMIT / 4 * 3 };

static unsigned told; /* how often memory became short */

static void became_short(void *arg)
{
	ck_assert_ptr_eq(arg, &told);
	told++;
}

static void begin(void)
{
	told = 0;
	account_open(LIMIT, became_short, &told);
}

START_TEST(is_short_beyond_the_mark)
{
	account_charge(MARK);
	ck_assert(!account_is_short());
	ck_assert_uint_eq(told, 0);
	account_charge(1);
	ck_assert(account_is_short());
	ck_assert_uint_eq(told, 1);
}
END_TEST

START_TEST(is_spent_beyond_the_limit)
{
	account_charge(LIMIT);
	ck_assert(account_is_short());
	ck_assert(!account_is_spent());
	account_charge(1);
	ck_assert(account_is_spent());
	account_refund(1);
	ck_assert(!account_is_spent());
	ck_assert_uint_eq(told, 1);
}
END_TEST

/* Once each time the mark is passed, by however much; not while it stays passed, nor on the way
 * back. */
START_TEST(tells_when_the_mark_is_passed)
{
	account_charge(2 * LIMIT);
	ck_assert_uint_eq(told, 1);
	account_charge(1);
	account_refund(LIMIT);
	account_charge(LIMIT);
	ck_assert_uint_eq(told, 1);
	account_refund(account.used - MARK);
	ck_assert(!account_is_short());
	account_charge(0);
	ck_assert_uint_eq(told, 1);
	account_charge(1);
	ck_assert_uint_eq(told, 2);
}
END_TEST

START_TEST(refuses_what_is_large_alone)
{
	ck_assert(!account_refuses(SIZE_MAX));
	account_charge(MARK);
	ck_assert(!account_refuses(SIZE_MAX));
	account_charge(1);
	ck_assert(!account_refuses(ACCOUNT_LARGE));
	ck_assert(account_refuses(ACCOUNT_LARGE + 1));
	account_refund(1);
	ck_assert(!account_refuses(ACCOUNT_LARGE + 1));
}
END_TEST

/* More is used than a limit that comes later lets be: that too is told, once. */
START_TEST(takes_another_limit)
{
	account_charge(MARK);
	account_set_limit(LIMIT);
	ck_assert_uint_eq(told, 0);
	account_set_limit(LIMIT - 4);
	ck_assert(account_is_short());
	ck_assert_uint_eq(told, 1);
	account_set_limit(4);
	ck_assert(account_is_spent());
	ck_assert_uint_eq(told, 1);
	account_set_limit(LIMIT);
	ck_assert(!account_is_short());
	account_charge(1);
	ck_assert_uint_eq(told, 2);
}
END_TEST

START_TEST(counts_buffers)
{
	struct buffer b = { .limit = 0 }, apart = { .apart = true };

	ck_assert_ptr_nonnull(buffer_room(&b, 1000));
	ck_assert_uint_ge(b.size, 1000);
	ck_assert_uint_eq(account.used, b.size);
	ck_assert_ptr_nonnull(buffer_room(&b, 100000));
	ck_assert_uint_eq(account.used, b.size);
	ck_assert_uint_eq(told, 1);
	ck_assert_ptr_nonnull(buffer_room(&apart, 1000));
	ck_assert_uint_eq(account.used, b.size);
	buffer_free(&apart);
	ck_assert_uint_eq(account.used, b.size);
	buffer_shrink(&b, 0);
	ck_assert_uint_eq(account.used, 0);
	buffer_free(&b);
	ck_assert_uint_eq(account.used, 0);
}
END_TEST

/* What finds no room for it, or may not have it, is not charged. */
START_TEST(counts_nothing_that_is_not_there)
{
	struct buffer b = { .limit = 10 };

	ck_assert_ptr_null(buffer_room(&b, 11));
	ck_assert_uint_eq(account.used, 0);
	buffer_free(&b);
	ck_assert_uint_eq(account.used, 0);
}
END_TEST

START_TEST(counts_nothing_before_it_is_opened)
{
	account_close();
	account_charge(SIZE_MAX / 2);
	account_charge(SIZE_MAX / 2);
	ck_assert(!account_is_short());
	ck_assert(!account_is_spent());
	ck_assert(!account_refuses(SIZE_MAX));
	account_refund(1);
	ck_assert_uint_eq(account.used, 0);
	ck_assert_uint_eq(told, 0);
}
END_TEST

Suite *account_suite(void)
{
	Suite *s = suite_create("account");
	TCase *tc = tcase_create("all");

	tcase_add_checked_fixture(tc, begin, account_close);
	tcase_add_test(tc, is_short_beyond_the_mark);
	tcase_add_test(tc, is_spent_beyond_the_limit);
	tcase_add_test(tc, tells_when_the_mark_is_passed);
	tcase_add_test(tc, refuses_what_is_large_alone);
	tcase_add_test(tc, takes_another_limit);
	tcase_add_test(tc, counts_buffers);
	tcase_add_test(tc, counts_nothing_that_is_not_there);
	tcase_add_test(tc, counts_nothing_before_it_is_opened);
	suite_add_tcase(s, tc);
	return s;
}
