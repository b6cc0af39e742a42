/*
 * Numbers to watch: counters, gauges and histograms as plain numbers in the structs of those who
 * count, described by tables, and written as text in the format that Prometheus reads (version
 * 0.0.4). To count is one addition: nothing is allocated, looked up, or asked of the system.
 */
#ifndef ESBRIDGE_BASE_METRICS_H
#define ESBRIDGE_BASE_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* The bounds of all histograms, in microseconds; what is above the last has a bucket too. */
enum { HISTOGRAM_BOUNDS = 19 };
extern const uint32_t histogram_bounds[HISTOGRAM_BOUNDS];

/* Times. All zeros: nothing counted yet. */
struct histogram {
	uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* up to each bound and above the one before */
	uint64_t sum_us;
};

/* Counts US microseconds. Short times, of which there are many, are found first. */
static inline void histogram_add(struct histogram *h, uint64_t us)
{
	unsigned i = 0;

	while (i < HISTOGRAM_BOUNDS && us > histogram_bounds[i])
		i++;
	h->counts[i]++;
	h->sum_us += us;
}

/*
 * A table is an array of metrics, ended by one whose name is NULL. Without a label a metric has one
 * value: a uint64_t, or a struct histogram. With one it is an array of these, one for each word.
 */
struct metric {
	const char *name; /* with its unit, and _total for a counter */
	enum metric_type type;
	size_t offset;     /* of the value in the caller's struct, VALUES below */
	uint32_t divisor;  /* the value is told divided by this, a power of ten; 0: as it is */
	const char *label; /* or NULL */
	/* The I-th word of the label, which needs no escapes; NULL where there is none any more. */
	const char *(*word)(size_t i);
	const char *help; /* a sentence without line breaks or backslashes */
};

/* Adds all metrics of TABLE with what they are in VALUES to OUT. */
void metrics_render(const struct metric *table, const void *values, struct buffer *out);

#endif
