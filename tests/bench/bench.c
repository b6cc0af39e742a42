/*
 * Load generator: the same work through the daemon's socket and straight to the store, with the
 * same pipelining, so that the two can be compared in one run. tests/bench/bench.py calls it and
 * makes a table.
 *
 * Usage: bench bridge|direct WORKLOAD [NAME=VALUE...]
 * Prints one line of JSON: what was done, in how many seconds, the latency in microseconds, and the
 * processor time of this process and of those named by pid=, in nanoseconds.
 */
#include "bench.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

void die(const char *what)
{
	fprintf(stderr, "bench: %s\n", what);
	exit(1);
}

void *new_array(size_t count, size_t size)
{
	void *array = calloc(count > 0 ? count : 1, size);

	if (array == NULL)
		die("out of memory");
	return array;
}

/* Time ----------------------------------------------------------------------------------------- */

/* What process PID has used of processors until now, in nanoseconds. */
static uint64_t cpu_of(uint32_t pid)
{
	char path[40];
	char text[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRIu32 "/schedstat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		die("the processor time of a process cannot be read");
	close(fd);
	text[n] = '\0';
	return strtoull(text, NULL, 10);
}

void run_begin(struct run *run)
{
	for (int i = 0; i < PIDS_MOST && run->pids[i] != 0; i++)
		run->cpu[i] = cpu_of(run->pids[i]);
	run->own_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID);
	run->began = clock_ns();
}

void run_end(struct run *run)
{
	run->ended = clock_ns();
	run->own_cpu = clock_of(CLOCK_PROCESS_CPUTIME_ID) - run->own_cpu;
	for (int i = 0; i < PIDS_MOST && run->pids[i] != 0; i++)
		run->cpu[i] = cpu_of(run->pids[i]) - run->cpu[i];
}

void run_sample(struct run *run, uint64_t since, uint64_t now)
{
	if (run->samples < run->room)
		run->latency[run->samples++] =
			now - since < UINT32_MAX ? (uint32_t)(now - since) : UINT32_MAX;
}

/* The result ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a;
	uint32_t y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* The latency in microseconds below which PART per thousand of the samples lie. */
static double percentile(const struct run *run, unsigned part)
{
	size_t at = (run->samples - 1) * part / 1000;

	return run->latency[at] / 1000.0;
}

static void report(struct run *run)
{
	printf("{\"done\": %" PRIu64 ", \"seconds\": %.6f, \"own_cpu\": %" PRIu64 ", \"cpu\": [",
	       run->done, (double)(run->ended - run->began) / 1e9, run->own_cpu);
	for (int i = 0; i < PIDS_MOST && run->pids[i] != 0; i++)
		printf("%s%" PRIu64, i > 0 ? ", " : "", run->cpu[i]);
	printf("]");
	if (run->samples > 0) {
		qsort(run->latency, run->samples, sizeof(*run->latency), compare);
		printf(", \"p50\": %.1f, \"p99\": %.1f, \"max\": %.1f", percentile(run, 500),
		       percentile(run, 990), percentile(run, 1000));
	}
	printf("}\n");
}

/* The command line ----------------------------------------------------------------------------- */

static const struct workload {
	const char *name;
	void (*run)(struct run *run);
} workloads[] = {
	{ "fill", bench_fill },   { "idle", bench_idle }, { "write", bench_write },
	{ "read", bench_read },   { "live", bench_live }, { "catchup", bench_catch_up },
	{ "group", bench_group }, { "good", bench_good }, { "bad", bench_bad },
	{ NULL, NULL },
};

#define AT(member) offsetof(struct run, member)

static const struct option {
	const char *name;
	size_t at;
	uint32_t least, most;
} options[] = {
	{ "count", AT(count), 1, 1000000000 },
	{ "connections", AT(connections), 1, 1024 },
	{ "idle", AT(idle), 0, 100000 },
	{ "in_flight", AT(in_flight), 1, 65536 },
	{ "size", AT(size), 80, 16 * 1024 * 1024 },
	{ "page", AT(page), 1, 4096 },
	{ "at", AT(at), 0, 1000000000 },
	{ "all", AT(all), 0, 1 },
	{ "subs", AT(subs), 0, 100000 },
	{ "ahead", AT(ahead), FILL_BATCH, 1000000 },
	{ "most", AT(most), 1, 60000 },
	{ "ack", AT(ack), ACK_ONE, ACK_UP_TO },
	{ "turn", AT(turn), 0, 1 },
	{ "tls", AT(tls), 0, 1 },
	{ NULL, 0, 0, 0 },
};

static const struct text_option {
	const char *name;
	size_t at;
} text_options[] = {
	{ "socket", AT(socket) }, { "host", AT(host) }, { "port", AT(port) },
	{ "stream", AT(stream) }, { "kind", AT(kind) }, { NULL, 0 },
};

static uint32_t number(const char *text, uint32_t least, uint32_t most)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end != '\0' || value < least || value > most)
		die("a number that is out of range");
	return (uint32_t)value;
}

static bool is_named(const char *name, const char *text, size_t len)
{
	return strlen(name) == len && memcmp(name, text, len) == 0;
}

static void take_option(struct run *run, const char *text)
{
	const char *value = strchr(text, '=');
	int pid = 0;
	size_t len;

	if (value == NULL)
		die("an option without a value");
	len = (size_t)(value++ - text);
	for (const struct option *o = options; o->name != NULL; o++) {
		if (is_named(o->name, text, len)) {
			*(uint32_t *)(void *)((char *)run + o->at) =
				number(value, o->least, o->most);
			return;
		}
	}
	for (const struct text_option *o = text_options; o->name != NULL; o++) {
		if (is_named(o->name, text, len)) {
			*(const char **)(void *)((char *)run + o->at) = value;
			return;
		}
	}
	while (pid < PIDS_MOST && run->pids[pid] != 0)
		pid++;
	if (pid == PIDS_MOST || !is_named("pid", text, len))
		die("an option that is not known");
	run->pids[pid] = number(value, 1, UINT32_MAX);
}

/* Ten thousand clients are ten thousand descriptors. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int main(int argc, char **argv)
{
	static struct run run = {
		.socket = "",
		.host = "127.0.0.1",
		.port = "1113",
		.count = 1000,
		.connections = 1,
		.in_flight = 1,
		.size = 100,
		.page = 500,
		.ahead = 400,
		.most = 5000,
		.kind = "mix",
		.ack = ACK_UP_TO,
	};
	static char stream[40];
	const struct workload *w;

	if (argc < 3)
		die("usage: bench bridge|direct WORKLOAD [NAME=VALUE...]");
	run.bridge = strcmp(argv[1], "bridge") == 0;
	/* A stream of its own for each run. */
	snprintf(stream, sizeof(stream), "bench-%" PRIu64, clock_ns());
	run.stream = stream;
	for (w = workloads; w->name != NULL && strcmp(w->name, argv[2]) != 0; w++)
		;
	if (w->name == NULL)
		die("no such workload");
	for (int i = 3; i < argc; i++)
		take_option(&run, argv[i]);
	raise_limit();
	run.room = run.count;
	run.latency = new_array(run.room, sizeof(*run.latency));
	open_idle(&run);
	w->run(&run);
	report(&run);
	free(run.latency);
	return 0;
}
