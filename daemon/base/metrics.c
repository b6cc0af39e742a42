#include "base/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { SECOND_US = 1000000, LINE_MOST = 256 };

const uint32_t histogram_bounds[HISTOGRAM_BOUNDS] = {
	100,    250,    500,     1000,    2500,    5000,     10000,    25000,    50000,     100000,
	250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000, 300000000,
};

static const char *const types[] = {
	[METRIC_COUNTER] = "counter",
	[METRIC_GAUGE] = "gauge",
	[METRIC_HISTOGRAM] = "histogram",
};

static void add(struct buffer *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct buffer *out, const char *format, ...)
{
	char text[LINE_MOST];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buffer_add_text(out, text);
}

/* Adds VALUE / DIVISOR, a power of ten, without the zeros at its end. */
static void add_quotient(struct buffer *out, uint64_t value, uint32_t divisor)
{
	char digits[24]; /* a 1, and the places behind the point */
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, value % divisor + divisor);

	add(out, "%" PRIu64, value / divisor);
	while (n > 1 && digits[n - 1] == '0')
		n--;
	if (n > 1)
		add(out, ".%.*s", n - 1, digits + 1);
}

/* Adds the name with SUFFIX, and {LABEL="WORD"} where there is one. */
static void add_series(struct buffer *out, const struct metric *m, const char *suffix,
		       const char *word)
{
	add(out, "%s%s", m->name, suffix);
	if (word != NULL)
		add(out, "{%s=\"%s\"}", m->label, word);
	buffer_add_byte(out, ' ');
}

static void add_bucket(struct buffer *out, const struct metric *m, const char *word)
{
	add(out, "%s_bucket{", m->name);
	if (word != NULL)
		add(out, "%s=\"%s\",", m->label, word);
	buffer_add_text(out, "le=\"");
}

static void add_histogram(struct buffer *out, const struct metric *m, const struct histogram *h,
			  const char *word)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < HISTOGRAM_BOUNDS; i++) {
		count += h->counts[i];
		add_bucket(out, m, word);
		add_quotient(out, histogram_bounds[i], SECOND_US);
		add(out, "\"} %" PRIu64 "\n", count);
	}
	count += h->counts[HISTOGRAM_BOUNDS];
	add_bucket(out, m, word);
	add(out, "+Inf\"} %" PRIu64 "\n", count);
	add_series(out, m, "_sum", word);
	add_quotient(out, h->sum_us, SECOND_US);
	buffer_add_byte(out, '\n');
	add_series(out, m, "_count", word);
	add(out, "%" PRIu64 "\n", count);
}

/* Adds value I of M, whose label, if it has one, has WORD. */
static void add_value(struct buffer *out, const struct metric *m, const void *values, size_t i,
		      const char *word)
{
	const void *at = (const char *)values + m->offset;

	if (m->type == METRIC_HISTOGRAM) {
		add_histogram(out, m, (const struct histogram *)at + i, word);
		return;
	}
	add_series(out, m, "", word);
	add_quotient(out, ((const uint64_t *)at)[i], m->divisor == 0 ? 1 : m->divisor);
	buffer_add_byte(out, '\n');
}

void metrics_render(const struct metric *table, const void *values, struct buffer *out)
{
	for (const struct metric *m = table; m->name != NULL; m++) {
		const char *word;

		add(out, "# HELP %s %s\n", m->name, m->help);
		add(out, "# TYPE %s %s\n", m->name, types[m->type]);
		if (m->label == NULL)
			add_value(out, m, values, 0, NULL);
		for (size_t i = 0; m->label != NULL && (word = m->word(i)) != NULL; i++)
			add_value(out, m, values, i, word);
	}
}
