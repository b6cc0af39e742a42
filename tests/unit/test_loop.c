#include <stdlib.h>
#include <string.h>

#include "base/loop.h"
#include "suites.h"

enum { DEADLINES = 300 };

/* What happened, in order, as letters. */
struct story {
	struct loop *loop;
	char text[64];
	struct job job, other;
	struct deadline deadline;
};

static void tell(struct story *s, const char *letter)
{
	strcat(s->text, letter);
}

static void stop(void *arg)
{
	loop_stop(arg);
}

static void job_again(void *arg)
{
	struct story *s = arg;

	tell(s, "j");
	if (strlen(s->text) < 3)
		loop_put_off(s->loop, &s->job);
	else
		loop_stop(s->loop);
}

START_TEST(runs_jobs_once_and_in_the_next_turn)
{
	struct story s = { .loop = loop_new() };

	job_init(&s.job, job_again, &s);
	job_init(&s.other, job_again, &s);
	loop_put_off(s.loop, &s.job);
	loop_put_off(s.loop, &s.job);
	loop_put_off(s.loop, &s.other);
	job_cancel(&s.other);
	job_cancel(&s.other);
	loop_run(s.loop);
	ck_assert_str_eq(s.text, "jjj");
	loop_free(s.loop);
}
END_TEST

enum { LONG_JOBS = 8, LONG_US = 60 }; /* longer than all of a turn's time for them */

/* Jobs that have queued up, and how many there were in each turn. */
struct queued {
	struct loop *loop;
	struct queue queue;
	struct job jobs[LONG_JOBS];
	struct job turn_ends; /* put off anew in each turn */
	unsigned ran, ran_before, most;
	bool again; /* the first queues up once more */
};

static void run_long(void *arg)
{
	struct queued *q = arg;
	uint64_t end = loop_clock_us() + LONG_US;

	while (loop_clock_us() < end)
		;
	if (q->ran++ == 0) {
		q->again = true;
		queue_up(&q->queue, &q->jobs[0]);
	}
}

static void turn_ended(void *arg)
{
	struct queued *q = arg;

	if (q->ran - q->ran_before > q->most)
		q->most = q->ran - q->ran_before;
	q->ran_before = q->ran;
	if (q->ran > LONG_JOBS)
		loop_stop(q->loop);
	else
		loop_put_off(q->loop, &q->turn_ends);
}

/* What comes in is looked at in between, and nothing that queues up is forgotten or run twice. */
START_TEST(runs_no_more_of_a_queue_than_takes_a_moment)
{
	struct queued q = { .loop = loop_new() };

	loop_add_queue(q.loop, &q.queue, NULL, NULL);
	for (int i = 0; i < LONG_JOBS; i++) {
		job_init(&q.jobs[i], run_long, &q);
		queue_up(&q.queue, &q.jobs[i]);
		queue_up(&q.queue, &q.jobs[i]);
	}
	job_init(&q.turn_ends, turn_ended, &q);
	loop_put_off(q.loop, &q.turn_ends);
	loop_run(q.loop);
	ck_assert(q.again);
	ck_assert_uint_eq(q.ran, LONG_JOBS + 1);
	ck_assert_uint_eq(q.most, 1);
	loop_free(q.loop);
}
END_TEST

/* One that is taken back while others of its turn run is not run. */
static void take_back(void *arg)
{
	struct story *s = arg;

	tell(s, "q");
	job_cancel(&s->other);
	loop_stop(s->loop);
}

START_TEST(takes_back_what_has_queued_up)
{
	struct story s = { .loop = loop_new() };
	struct queue queue;

	loop_add_queue(s.loop, &queue, NULL, NULL);
	job_init(&s.job, take_back, &s);
	job_init(&s.other, job_again, &s);
	queue_up(&queue, &s.job);
	queue_up(&queue, &s.other);
	loop_run(s.loop);
	ck_assert_str_eq(s.text, "q");
	loop_free(s.loop);
}
END_TEST

static void tell_first(void *arg)
{
	tell(arg, "f");
}

static void tell_other(void *arg)
{
	struct story *s = arg;

	tell(s, "o");
	loop_stop(s->loop);
}

START_TEST(runs_what_was_put_first_before_what_was_put_off)
{
	struct story s = { .loop = loop_new() };

	job_init(&s.job, tell_first, &s);
	job_init(&s.other, tell_other, &s);
	loop_put_off(s.loop, &s.other);
	loop_put_first(s.loop, &s.job);
	loop_put_first(s.loop, &s.job);
	loop_run(s.loop);
	ck_assert_str_eq(s.text, "fo");
	loop_free(s.loop);
}
END_TEST

/* A queue that takes one job each time it is opened. */
struct gate {
	struct story story;
	struct queue queue;
	unsigned asked;
	bool open;
};

static bool is_open(void *arg)
{
	struct gate *g = arg;

	g->asked++;
	return g->open;
}

static void pass(void *arg)
{
	struct gate *g = arg;

	tell(&g->story, "p");
	g->open = false;
	loop_set_deadline(g->story.loop, &g->story.deadline, 1);
}

static void open_gate(void *arg)
{
	struct gate *g = arg;

	tell(&g->story, "o");
	if (strlen(g->story.text) > 4)
		loop_stop(g->story.loop);
	g->open = true;
}

/* And does not keep the loop awake while it is closed. */
START_TEST(runs_nothing_of_a_queue_that_is_closed)
{
	struct gate g = { .story = { .loop = loop_new() } };

	loop_add_queue(g.story.loop, &g.queue, is_open, &g);
	job_init(&g.story.job, pass, &g);
	job_init(&g.story.other, pass, &g);
	deadline_init(&g.story.deadline, open_gate, &g);
	queue_up(&g.queue, &g.story.job);
	queue_up(&g.queue, &g.story.other);
	loop_set_deadline(g.story.loop, &g.story.deadline, 1);
	loop_run(g.story.loop);
	ck_assert_str_eq(g.story.text, "opopo");
	ck_assert_uint_lt(g.asked, 30);
	loop_free(g.story.loop);
}
END_TEST

static void parked(void *object)
{
	tell(object, "f");
}

static void park_and_stop(void *arg)
{
	struct story *s = arg;

	loop_park(s->loop, s, parked);
	loop_put_off(s->loop, &s->job);
	tell(s, "d");
	loop_stop(s->loop);
}

START_TEST(frees_at_the_end_of_the_turn)
{
	struct story s = { .loop = loop_new() };

	job_init(&s.job, job_again, &s);
	deadline_init(&s.deadline, park_and_stop, &s);
	loop_set_deadline(s.loop, &s.deadline, 1);
	loop_run(s.loop);
	ck_assert_str_eq(s.text, "djf");
	loop_park(s.loop, &s, parked);
	loop_free(s.loop);
	ck_assert_str_eq(s.text, "djff");
}
END_TEST

struct watch {
	struct loop *loop;
	struct deadline deadlines[DEADLINES];
	uint64_t last;
	unsigned ran;
};

struct one {
	struct watch *watch;
	struct deadline *deadline;
	uint64_t at;
};

static void passed(void *arg)
{
	struct one *one = arg;
	struct watch *w = one->watch;

	ck_assert(!deadline_is_set(one->deadline));
	ck_assert_uint_ge(loop_now(w->loop), one->at);
	ck_assert_uint_ge(one->at, w->last);
	w->last = one->at;
	w->ran++;
}

START_TEST(runs_deadlines_in_order)
{
	struct watch w = { .loop = loop_new() };
	struct one ones[DEADLINES];
	struct deadline end;
	uint64_t random = 11;
	unsigned cleared = 0;

	deadline_init(&end, stop, w.loop);
	loop_set_deadline(w.loop, &end, 40);
	for (int i = 0; i < DEADLINES; i++) {
		ones[i] = (struct one){ &w, &w.deadlines[i], 0 };
		deadline_init(&w.deadlines[i], passed, &ones[i]);
		loop_set_deadline(w.loop, &w.deadlines[i], unit_random(&random) % 1000);
	}
	/* All anew, and some not at all. */
	for (int i = 0; i < DEADLINES; i++) {
		loop_set_deadline(w.loop, &w.deadlines[i], unit_random(&random) % 30);
		/* cppcheck-suppress unreadVariable ; passed() reads it */
		ones[i].at = w.deadlines[i].at;
	}
	for (int i = 0; i < DEADLINES; i += 3, cleared++) {
		loop_clear_deadline(w.loop, &w.deadlines[i]);
		loop_clear_deadline(w.loop, &w.deadlines[i]);
	}
	loop_run(w.loop);
	ck_assert_uint_eq(w.ran, DEADLINES - cleared);
	loop_free(w.loop);
}
END_TEST

static void shorten(void *arg)
{
	struct story *s = arg;

	tell(s, "j");
	loop_set_deadline(s->loop, &s->deadline, 5);
}

static void stop_story(void *arg)
{
	struct story *s = arg;

	tell(s, "d");
	loop_stop(s->loop);
}

START_TEST(waits_for_the_earlier_setting)
{
	struct story s = { .loop = loop_new() };
	uint64_t began = loop_clock_us();

	deadline_init(&s.deadline, stop_story, &s);
	job_init(&s.job, shorten, &s);
	loop_set_deadline(s.loop, &s.deadline, 60000);
	loop_put_off(s.loop, &s.job);
	loop_run(s.loop);
	ck_assert_str_eq(s.text, "jd");
	ck_assert_uint_ge(loop_clock_us() - began, 4000);
	ck_assert_uint_lt(loop_clock_us() - began, 30000000);
	loop_free(s.loop);
}
END_TEST

START_TEST(runs_again_after_a_stop)
{
	struct story s = { .loop = loop_new() };

	deadline_init(&s.deadline, stop_story, &s);
	for (int i = 0; i < 3; i++) {
		loop_set_deadline(s.loop, &s.deadline, (uint64_t)i);
		loop_run(s.loop);
	}
	ck_assert_str_eq(s.text, "ddd");
	ck_assert_ptr_nonnull(loop_base(s.loop));
	loop_free(s.loop);
}
END_TEST

Suite *loop_suite(void)
{
	Suite *s = suite_create("loop");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, runs_jobs_once_and_in_the_next_turn);
	tcase_add_test(tc, runs_no_more_of_a_queue_than_takes_a_moment);
	tcase_add_test(tc, takes_back_what_has_queued_up);
	tcase_add_test(tc, runs_what_was_put_first_before_what_was_put_off);
	tcase_add_test(tc, runs_nothing_of_a_queue_that_is_closed);
	tcase_add_test(tc, frees_at_the_end_of_the_turn);
	tcase_add_test(tc, runs_deadlines_in_order);
	tcase_add_test(tc, waits_for_the_earlier_setting);
	tcase_add_test(tc, runs_again_after_a_stop);
	suite_add_tcase(s, tc);
	return s;
}
