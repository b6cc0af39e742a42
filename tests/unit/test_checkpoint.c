#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"
#include "bridge/checkpoint.h"
#include "suites.h"

static const struct checkpoint_settings quick = { .delay = 1, .acks = 10, .timeout = 20 };
static const struct checkpoint_settings late = { .delay = 60000, .acks = 10, .timeout = 60000 };

static const struct checkpoint_settings brief = { .delay = 60000, .acks = 10, .timeout = 1 };

static char directory[] = "/tmp/esbridge-unit-XXXXXX";
static struct loop *loop;
static struct checkpoints *keeper;
static struct checkpoint *failed_one; /* is given up by given_up() */
static unsigned times_failed;

static void begin(void)
{
	log_setup(LOG_ERROR, LOG_PREFIX_NEVER, LOG_FORMAT_TEXT);
	strcpy(directory + sizeof(directory) - 7, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	times_failed = 0;
	loop = loop_new();
	keeper = checkpoints_new(loop, directory, &late);
}

static void remove_files(void)
{
	static const char *const names[] = { "checkpoints.sqlite", "checkpoints.sqlite-wal" };
	char name[64];

	for (size_t i = 0; i < 2; i++) {
		snprintf(name, sizeof(name), "%s/%s", directory, names[i]);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(directory), 0);
}

static void finish(void)
{
	checkpoints_free(keeper);
	loop_free(loop);
	remove_files();
}

/* As after the end of the process and its next start. */
static void again(void)
{
	checkpoints_free(keeper);
	keeper = checkpoints_new(loop, directory, &late);
}

static void given_up(void *arg)
{
	(void)arg;
	times_failed++;
	checkpoint_release(failed_one);
}

static struct checkpoint *try_to_hold(const char *name, const char *stream, const char *filter,
				      struct checkpoint_refusal *refusal)
{
	struct checkpoint_claim claim = { .name = name,
					  .stream = stream,
					  .filter = { (const void *)filter, strlen(filter) },
					  .failed = given_up };

	return checkpoint_hold(keeper, &claim, refusal);
}

static struct checkpoint *hold(const char *name, const char *stream)
{
	struct checkpoint_refusal refusal;
	struct checkpoint *c = try_to_hold(name, stream, "", &refusal);

	ck_assert_msg(c != NULL, "%s", refusal.text);
	ck_assert(checkpoint_begin(c));
	return c;
}

/* It is not to be had, and the reason has PART in it. */
static void is_refused(const char *name, const char *stream, const char *filter,
		       enum error_code code, const char *part)
{
	struct checkpoint_refusal refusal;

	ck_assert_ptr_null(try_to_hold(name, stream, filter, &refusal));
	ck_assert_int_eq(refusal.code, code);
	ck_assert_msg(strstr(refusal.text, part) != NULL, "%s", refusal.text);
}

static void move(struct checkpoint *c, int64_t number, uint32_t acks)
{
	checkpoint_move(c, (struct place){ number, 0 }, acks);
}

static void stands_at(const struct checkpoint_mark *mark, int64_t number)
{
	ck_assert(mark->set);
	ck_assert_int_eq(mark->place.commit, number);
}

static void stop(void *arg)
{
	(void)arg;
	loop_stop(loop);
}

/* One turn of the loop. */
static void turn(void)
{
	struct job end;

	job_init(&end, stop, NULL);
	loop_put_off(loop, &end);
	loop_run(loop);
}

/* Turns until COUNT of what is held or given up is not stored, for ten seconds at most. */
static void wait_until_dirty(uint32_t count)
{
	uint64_t end = loop_clock_us() + 10000000;
	struct checkpoints_view view;

	do {
		turn();
		checkpoints_look(keeper, &view);
	} while (view.dirty != count && loop_clock_us() < end);
	ck_assert_int_eq(view.dirty, count);
}

START_TEST(is_stored_and_resumed)
{
	struct checkpoint *c = hold("c", "s");

	ck_assert(!checkpoint_mark(c)->set);
	move(c, 3, 1);
	move(c, 7, 1);
	move(c, 5, 1);
	stands_at(checkpoint_mark(c), 7);
	ck_assert(!checkpoint_stored(c)->set);
	ck_assert(checkpoint_release(c));
	again();
	c = hold("c", "s");
	stands_at(checkpoint_mark(c), 7);
	stands_at(checkpoint_stored(c), 7);
	ck_assert(checkpoint_release(c));
}
END_TEST

START_TEST(one_at_a_time_and_with_its_stream)
{
	struct checkpoint_refusal refusal;
	struct checkpoint *c = hold("c", "s"), *all;

	is_refused("c", "s", "", ERROR_ALREADY_EXISTS, "held");
	is_refused("c", "t", "", ERROR_ALREADY_EXISTS, "held");
	ck_assert(checkpoint_release(c));
	is_refused("c", "t", "", ERROR_BAD_REQUEST, "of stream 's', not of 't'");
	is_refused("c", "", "", ERROR_BAD_REQUEST, "of stream 's', not of '$all'");
	all = try_to_hold("all", "", "filter", &refusal);
	ck_assert_ptr_nonnull(all);
	ck_assert(checkpoint_begin(all));
	ck_assert(checkpoint_release(all));
	again();
	is_refused("c", "t", "", ERROR_BAD_REQUEST, "of stream 's', not of 't'");
	is_refused("all", "", "", ERROR_BAD_REQUEST, "another filter");
	is_refused("all", "", "filtes", ERROR_BAD_REQUEST, "another filter");
	all = try_to_hold("all", "", "filter", &refusal);
	ck_assert_ptr_nonnull(all);
	ck_assert(checkpoint_release(all));
}
END_TEST

/* The store has refused the subscription: the name is as free as before. */
START_TEST(what_never_began_leaves_nothing)
{
	struct checkpoint_refusal refusal;
	struct checkpoint *c = try_to_hold("c", "s", "", &refusal);

	ck_assert_ptr_nonnull(c);
	ck_assert(checkpoint_release(c));
	c = hold("c", "t");
	ck_assert(checkpoint_release(c));
}
END_TEST

START_TEST(is_stored_by_number_of_acks)
{
	struct checkpoint *one = hold("one", "s"), *two = hold("two", "s");

	move(one, 1, 4);
	move(two, 1, 5);
	turn();
	ck_assert(!checkpoint_stored(one)->set);
	move(one, 2, 1);
	turn();
	stands_at(checkpoint_stored(one), 2);
	stands_at(checkpoint_stored(two), 1);
	move(one, 3, 9);
	turn();
	stands_at(checkpoint_stored(one), 2);
	ck_assert(checkpoint_release(one));
	ck_assert(checkpoint_release(two));
}
END_TEST

START_TEST(is_stored_by_time)
{
	struct checkpoint *c = hold("c", "s");

	checkpoints_set(keeper, &quick);
	move(c, 1, 1);
	ck_assert(!checkpoint_stored(c)->set);
	wait_until_dirty(0);
	stands_at(checkpoint_stored(c), 1);
	ck_assert(checkpoint_release(c));
}
END_TEST

START_TEST(is_set_at_once_and_back_too)
{
	struct checkpoint *c = hold("c", "s");

	ck_assert(checkpoint_set(c, (struct place){ -1, 0 }));
	stands_at(checkpoint_stored(c), -1);
	move(c, 8, 1);
	ck_assert(checkpoint_set(c, (struct place){ 2, 0 }));
	stands_at(checkpoint_stored(c), 2);
	move(c, 1, 1);
	stands_at(checkpoint_mark(c), 2);
	ck_assert(checkpoint_release(c));
}
END_TEST

struct limit {
	struct rlimit before;
};

/* No file may grow beyond SIZE. */
static void limit_files(struct limit *l, rlim_t size)
{
	struct rlimit now;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &l->before), 0);
	now = l->before;
	now.rlim_cur = size;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &now), 0);
}

static void unlimit_files(const struct limit *l)
{
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &l->before), 0);
}

START_TEST(a_full_disk_is_borne_for_a_time_and_then_told)
{
	struct checkpoint *c = hold("c", "s"), *other = hold("other", "t");
	struct checkpoints_view view;
	struct limit l;

	checkpoints_set(keeper, &quick);
	failed_one = c;
	limit_files(&l, 1);
	move(c, 5, 1);
	wait_until_dirty(1);
	is_refused("third", "u", "", ERROR_FAIL, directory);
	while (times_failed == 0)
		turn();
	checkpoints_look(keeper, &view);
	ck_assert_str_eq(view.state, "failing");
	ck_assert_ptr_nonnull(strstr(view.last_error, directory));
	ck_assert_int_eq(view.held, 1);
	ck_assert_int_gt((int)view.failures, 0);
	is_refused("c", "s", "", ERROR_FAIL, directory);
	unlimit_files(&l);
	wait_until_dirty(0);
	checkpoints_look(keeper, &view);
	ck_assert_str_eq(view.state, "open");
	ck_assert_int_eq(times_failed, 1);
	ck_assert(checkpoint_release(other));
	again();
	c = hold("c", "s");
	stands_at(checkpoint_mark(c), 5);
	ck_assert(checkpoint_release(c));
}
END_TEST

START_TEST(a_full_disk_refuses_what_begins)
{
	struct checkpoint_refusal refusal;
	struct checkpoint *c = hold("first", "s");
	struct limit l;

	ck_assert(checkpoint_release(c));
	c = try_to_hold("c", "s", "", &refusal);
	ck_assert_ptr_nonnull(c);
	limit_files(&l, 1);
	ck_assert(!checkpoint_begin(c));
	ck_assert_ptr_nonnull(strstr(checkpoints_fault(keeper), directory));
	ck_assert(checkpoint_release(c));
	ck_assert(!checkpoints_put(keeper, "c", false, (struct place){ 1, 0 }, &refusal));
	ck_assert_int_eq(refusal.code, ERROR_FAIL);
	ck_assert(!checkpoints_remove(keeper, "first", &refusal));
	ck_assert_int_eq(refusal.code, ERROR_FAIL);
	unlimit_files(&l);
	c = hold("c", "t");
	ck_assert(!checkpoint_mark(c)->set);
	ck_assert(checkpoint_release(c));
	c = hold("first", "s");
	ck_assert(checkpoint_release(c));
}
END_TEST

/* What could not begin has no bearing on those that are held. */
START_TEST(a_full_disk_for_one_alone_is_forgotten)
{
	struct checkpoint_refusal refusal;
	struct checkpoint *held = hold("held", "s"), *c;
	uint64_t end = loop_clock_us() + 50000;
	struct limit l;

	checkpoints_set(keeper, &brief);
	c = try_to_hold("c", "s", "", &refusal);
	ck_assert_ptr_nonnull(c);
	limit_files(&l, 1);
	ck_assert(!checkpoint_begin(c));
	unlimit_files(&l);
	ck_assert(checkpoint_release(c));
	move(held, 1, 1);
	while (loop_clock_us() < end)
		turn();
	ck_assert_int_eq(times_failed, 0);
	ck_assert(!checkpoint_stored(held)->set);
	move(held, 2, 9);
	turn();
	stands_at(checkpoint_stored(held), 2);
	ck_assert(checkpoint_release(held));
}
END_TEST

START_TEST(by_hand)
{
	struct checkpoint_refusal refusal;
	struct place five = { 5, 0 }, all = { 8, 7 };
	struct checkpoint *c;

	ck_assert(!checkpoints_remove(keeper, "c", &refusal));
	ck_assert_int_eq(refusal.code, ERROR_NOT_FOUND);
	ck_assert(checkpoints_put(keeper, "c", true, all, &refusal));
	ck_assert(checkpoints_put(keeper, "c", false, five, &refusal));
	is_refused("c", "", "", ERROR_BAD_REQUEST, "the number of an event");
	c = hold("c", "s");
	stands_at(checkpoint_mark(c), 5);
	ck_assert(!checkpoints_put(keeper, "c", false, five, &refusal));
	ck_assert_int_eq(refusal.code, ERROR_ALREADY_EXISTS);
	ck_assert(!checkpoints_remove(keeper, "c", &refusal));
	ck_assert_int_eq(refusal.code, ERROR_ALREADY_EXISTS);
	ck_assert(checkpoint_release(c));
	ck_assert(!checkpoints_put(keeper, "c", true, all, &refusal));
	ck_assert_int_eq(refusal.code, ERROR_BAD_REQUEST);
	ck_assert(checkpoints_remove(keeper, "c", &refusal));
	c = hold("c", "t");
	ck_assert(!checkpoint_mark(c)->set);
	ck_assert(checkpoint_release(c));
}
END_TEST

Suite *checkpoint_suite(void)
{
	Suite *suite = suite_create("checkpoint");
	TCase *all = tcase_create("all");

	tcase_add_checked_fixture(all, begin, finish);
	tcase_add_test(all, is_stored_and_resumed);
	tcase_add_test(all, one_at_a_time_and_with_its_stream);
	tcase_add_test(all, what_never_began_leaves_nothing);
	tcase_add_test(all, is_stored_by_number_of_acks);
	tcase_add_test(all, is_stored_by_time);
	tcase_add_test(all, is_set_at_once_and_back_too);
	tcase_add_test(all, a_full_disk_is_borne_for_a_time_and_then_told);
	tcase_add_test(all, a_full_disk_refuses_what_begins);
	tcase_add_test(all, a_full_disk_for_one_alone_is_forgotten);
	tcase_add_test(all, by_hand);
	suite_add_tcase(suite, all);
	return suite;
}
