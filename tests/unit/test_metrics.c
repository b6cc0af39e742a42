#include <stddef.h>
#include <string.h>

#include "base/metrics.h"
#include "suites.h"

struct numbers {
	uint64_t plain;
	uint64_t coloured[2];
	uint64_t ms;
	struct histogram times[2];
};

static const char *colour(size_t i)
{
	static const char *const words[] = { "red", "blue", NULL };

	return words[i];
}

static const struct metric counters[] = {
	{ "a_total", METRIC_COUNTER, offsetof(struct numbers, plain), 0, NULL, NULL, "Plain." },
	{ "b", METRIC_GAUGE, offsetof(struct numbers, coloured), 0, "colour", colour, "By it." },
	{ "c_seconds", METRIC_GAUGE, offsetof(struct numbers, ms), 1000, NULL, NULL, "A time." },
	{ .name = NULL },
};

static const struct metric histograms[] = {
	{ "d_seconds", METRIC_HISTOGRAM, offsetof(struct numbers, times), 0, "colour", colour,
	  "Times." },
	{ .name = NULL },
};

/* The text that is made of N; it lives until the next call. */
static const char *render(const struct metric *table, const struct numbers *n)
{
	static struct buffer out;

	buffer_free(&out);
	metrics_render(table, n, &out);
	buffer_add_byte(&out, '\0');
	ck_assert(!out.failed);
	return (const char *)buffer_at(&out);
}

START_TEST(is_text_for_prometheus)
{
	struct numbers n = { UINT64_MAX, { 1, 2 }, 12340, { { { 0 }, 0 } } };

	ck_assert_str_eq(render(counters, &n), "# HELP a_total Plain.\n"
					       "# TYPE a_total counter\n"
					       "a_total 18446744073709551615\n"
					       "# HELP b By it.\n"
					       "# TYPE b gauge\n"
					       "b{colour=\"red\"} 1\n"
					       "b{colour=\"blue\"} 2\n"
					       "# HELP c_seconds A time.\n"
					       "# TYPE c_seconds gauge\n"
					       "c_seconds 12.34\n");
}
END_TEST

START_TEST(leaves_out_zeros_at_the_end)
{
	static const struct {
		uint64_t ms;
		const char *line;
	} cases[] = {
		{ 0, "\nc_seconds 0\n" },          { 1, "\nc_seconds 0.001\n" },
		{ 1000, "\nc_seconds 1\n" },       { 1050, "\nc_seconds 1.05\n" },
		{ 10999, "\nc_seconds 10.999\n" }, { 100, "\nc_seconds 0.1\n" },
	};
	struct numbers n = { .ms = cases[_i].ms };

	ck_assert_ptr_nonnull(strstr(render(counters, &n), cases[_i].line));
}
END_TEST

START_TEST(buckets_are_cumulative)
{
	struct numbers n = { .plain = 0 };
	const char *text;

	histogram_add(&n.times[1], 0);
	histogram_add(&n.times[1], 100);
	histogram_add(&n.times[1], 101);
	histogram_add(&n.times[1], UINT64_C(400000000));
	text = render(histograms, &n);
	ck_assert_ptr_nonnull(strstr(text, "# TYPE d_seconds histogram\n"
					   "d_seconds_bucket{colour=\"red\",le=\"0.0001\"} 0\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nd_seconds_count{colour=\"red\"} 0\n"
					   "d_seconds_bucket{colour=\"blue\",le=\"0.0001\"} 2\n"
					   "d_seconds_bucket{colour=\"blue\",le=\"0.00025\"} 3\n"));
	ck_assert_ptr_nonnull(strstr(text, "\nd_seconds_bucket{colour=\"blue\",le=\"300\"} 3\n"
					   "d_seconds_bucket{colour=\"blue\",le=\"+Inf\"} 4\n"
					   "d_seconds_sum{colour=\"blue\"} 400.000201\n"
					   "d_seconds_count{colour=\"blue\"} 4\n"));
}
END_TEST

START_TEST(bounds_rise)
{
	struct histogram h = { { 0 }, 0 };

	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		ck_assert(i == 0 || histogram_bounds[i] > histogram_bounds[i - 1]);
		histogram_add(&h, histogram_bounds[i]);
		ck_assert_uint_eq(h.counts[i], i == 0 ? 1 : 2);
		histogram_add(&h, (uint64_t)histogram_bounds[i] + 1);
		ck_assert_uint_eq(h.counts[i + 1], 1);
	}
}
END_TEST

Suite *metrics_suite(void)
{
	Suite *s = suite_create("metrics");
	TCase *tc = tcase_create("all");

	tcase_add_test(tc, is_text_for_prometheus);
	tcase_add_loop_test(tc, leaves_out_zeros_at_the_end, 0, 6);
	tcase_add_test(tc, buckets_are_cumulative);
	tcase_add_test(tc, bounds_rise);
	suite_add_tcase(s, tc);
	return s;
}
