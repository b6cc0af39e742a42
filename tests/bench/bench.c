/*
 * Load generator: the same work through the daemon's socket and straight to the store, with the
 * same pipelining, so that the two can be compared in one run. tests/bench/bench.py calls it and
 * makes a table.
 *
 * Usage: bench bridge|direct SOCKET|- STORE-PORT write|live|group COUNT CONNECTIONS IN-FLIGHT
 * Prints one line: operations per second, and microseconds of the 50th and 99th percentile.
 */
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The latency in microseconds below which PART per thousand of the samples lie. */
static double percentile(const struct run *run, unsigned part)
{
	size_t at;

	if (run->samples == 0)
		return 0;
	at = (run->samples - 1) * part / 1000;
	return run->latency[at] / 1000.0;
}

static void report(struct run *run)
{
	qsort(run->latency, run->samples, sizeof(*run->latency), compare);
	printf("%.0f %.1f %.1f\n", (double)run->count * 1e9 / (double)(run->ended - run->began),
	       percentile(run, 500), percentile(run, 990));
}

static const struct workload {
	const char *name;
	void (*run)(struct run *run);
} workloads[] = {
	{ "write", bench_write },
	{ "live", bench_live },
	{ "group", bench_group },
	{ NULL, NULL },
};

static unsigned number(const char *text, unsigned least, unsigned most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < least || value > most)
		die("a number that is out of range");
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	static struct run run;
	const struct workload *w;

	if (argc != 8)
		die("usage: bench bridge|direct SOCKET|- STORE-PORT write|live|group COUNT "
		    "CONNECTIONS IN-FLIGHT");
	run.bridge = strcmp(argv[1], "bridge") == 0;
	run.path = argv[2];
	run.port = (uint16_t)number(argv[3], 1, UINT16_MAX);
	run.count = number(argv[5], 1, COUNT_MOST);
	run.connections = number(argv[6], 1, CONNECTIONS_MOST);
	run.in_flight = number(argv[7], 1, IN_FLIGHT_MOST);
	for (w = workloads; w->name != NULL && strcmp(w->name, argv[4]) != 0; w++)
		;
	if (w->name == NULL)
		die("no such workload");
	run.latency = calloc(run.count, sizeof(*run.latency));
	if (run.latency == NULL)
		die("out of memory");
	/* A stream of its own for each run. */
	snprintf(run.stream, sizeof(run.stream), "bench-%" PRIu64, clock_ns());
	w->run(&run);
	report(&run);
	free(run.latency);
	return 0;
}
