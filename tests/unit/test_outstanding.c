#include <string.h>

#include "bridge/outstanding.h"
#include "suites.h"

enum { EVENTS = 400 };

static struct guid id_of(unsigned number)
{
	struct guid id = { { 0 } };

	memcpy(id.bytes, &number, sizeof(number));
	return id;
}

/* The places of a log: each further than the one before, by steps that differ. */
static struct place place_at(unsigned i)
{
	return (struct place){ 100 + i / 3 * 7, i };
}

static void is_done(const struct outstanding *o, int64_t commit)
{
	struct place done;

	ck_assert(outstanding_done(o, &done));
	ck_assert_int_eq(done.commit, commit);
}

static void deliver(struct outstanding *o, unsigned number)
{
	struct guid id = id_of(number);

	outstanding_add(o, &id, (struct place){ number, 0 }, 0);
}

static void acknowledge(struct outstanding *o, unsigned number)
{
	struct guid id = id_of(number);

	outstanding_remove(o, outstanding_find(o, &id));
}

START_TEST(nothing_is_done_before_the_first_ack)
{
	struct outstanding o;
	struct place done;

	outstanding_init(&o);
	ck_assert(!outstanding_done(&o, &done));
	deliver(&o, 5);
	deliver(&o, 6);
	acknowledge(&o, 6);
	ck_assert(!outstanding_done(&o, &done));
	acknowledge(&o, 5);
	is_done(&o, 6);
	outstanding_free(&o);
}
END_TEST

START_TEST(what_was_done_before_stays_so)
{
	struct outstanding o;

	outstanding_init(&o);
	outstanding_begin(&o, (struct place){ 4, 0 });
	is_done(&o, 4);
	deliver(&o, 7);
	deliver(&o, 9);
	is_done(&o, 4);
	acknowledge(&o, 7);
	is_done(&o, 7);
	acknowledge(&o, 9);
	is_done(&o, 9);
	outstanding_free(&o);
}
END_TEST

/* The store has lost its data: numbers come again, and the old deliveries hold them back. */
START_TEST(begins_again_at_a_lower_place)
{
	struct outstanding o;

	outstanding_init(&o);
	outstanding_begin(&o, (struct place){ 6, 0 });
	deliver(&o, 7);
	deliver(&o, 8);
	acknowledge(&o, 7);
	is_done(&o, 7);
	outstanding_begin(&o, (struct place){ 2, 0 });
	is_done(&o, 2);
	deliver(&o, 3);
	acknowledge(&o, 3);
	is_done(&o, 2);
	acknowledge(&o, 8);
	is_done(&o, 3);
	outstanding_free(&o);
}
END_TEST

/* Two events with one id: the older one is acknowledged first. */
START_TEST(twins_count_one_by_one)
{
	struct outstanding o;
	struct guid id = id_of(1);

	outstanding_init(&o);
	outstanding_add(&o, &id, (struct place){ 1, 0 }, 0);
	deliver(&o, 2);
	outstanding_add(&o, &id, (struct place){ 3, 0 }, 0);
	acknowledge(&o, 1);
	is_done(&o, 1);
	acknowledge(&o, 1);
	is_done(&o, 1);
	acknowledge(&o, 2);
	is_done(&o, 3);
	outstanding_free(&o);
}
END_TEST

/* The model: what was acknowledged of all that was delivered, and a count from the front. */
struct model {
	bool acknowledged[EVENTS];
	unsigned delivered;
};

static void check_against(const struct model *m, const struct outstanding *o)
{
	struct place done;
	unsigned n = 0;

	while (n < m->delivered && m->acknowledged[n])
		n++;
	ck_assert(outstanding_done(o, &done) == (n > 0));
	if (n > 0)
		ck_assert_int_eq(place_compare(done, place_at(n - 1)), 0);
}

static void acknowledge_any(struct model *m, struct outstanding *o, uint64_t *random)
{
	unsigned from = (unsigned)(unit_random(random) % m->delivered);
	struct guid id;

	for (unsigned i = 0; i < m->delivered; i++) {
		unsigned n = (from + i) % m->delivered;

		if (m->acknowledged[n])
			continue;
		m->acknowledged[n] = true;
		id = id_of(n);
		outstanding_remove(o, outstanding_find(o, &id));
		return;
	}
}

START_TEST(agrees_with_a_model_in_any_order)
{
	uint64_t random = (uint64_t)_i + 1;
	struct model m = { .delivered = 0 };
	struct outstanding o;

	outstanding_init(&o);
	while (m.delivered < EVENTS || o.count > 0) {
		bool more = m.delivered < EVENTS && (o.count == 0 || unit_random(&random) % 3 > 0);

		if (more || m.delivered == 0) {
			struct guid id = id_of(m.delivered);

			outstanding_add(&o, &id, place_at(m.delivered++), 0);
		} else {
			acknowledge_any(&m, &o, &random);
		}
		check_against(&m, &o);
	}
	outstanding_free(&o);
}
END_TEST

Suite *outstanding_suite(void)
{
	Suite *suite = suite_create("outstanding");
	TCase *all = tcase_create("all");

	tcase_add_test(all, nothing_is_done_before_the_first_ack);
	tcase_add_test(all, what_was_done_before_stays_so);
	tcase_add_test(all, begins_again_at_a_lower_place);
	tcase_add_test(all, twins_count_one_by_one);
	tcase_add_loop_test(all, agrees_with_a_model_in_any_order, 0, 20);
	suite_add_tcase(suite, all);
	return suite;
}
