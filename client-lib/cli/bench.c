/*
 * A small load, so that somebody sees what the daemon and the store do on this machine.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/mem.h"
#include "cli.h"
#include "commands.h"
#include "table.h"
#include "wait.h"

enum {
	COUNT_MOST = 10000000,
	COUNT_DEFAULT = 10000,
	SIZE_MOST = 1 << 20,
	SIZE_DEFAULT = 256,
	IN_FLIGHT_MOST = 4096,
	IN_FLIGHT_DEFAULT = 64,
	STREAM_TEXT = 64,
};

struct bench_options {
	const char *stream;
	int64_t count;
	int64_t size;
	int64_t in_flight;
};

static const struct option_row rows[] = {
	{ "count", 'n', OPTION_INTEGER, offsetof(struct bench_options, count), "N", 1, COUNT_MOST,
	  NULL, "so many events; 10000" },
	{ "size", 's', OPTION_INTEGER, offsetof(struct bench_options, size), "BYTES", 0, SIZE_MOST,
	  NULL, "of their data; 256" },
	{ "in-flight", 'i', OPTION_INTEGER, offsetof(struct bench_options, in_flight), "N", 1,
	  IN_FLIGHT_MOST, NULL, "requests at a time; 64" },
	{ "stream", 0, OPTION_TEXT, offsetof(struct bench_options, stream), "NAME", 0, 0, NULL,
	  "the stream; one of its own unless given" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct bench_options defaults = { .count = COUNT_DEFAULT,
					       .size = SIZE_DEFAULT,
					       .in_flight = IN_FLIGHT_DEFAULT };

struct bench;

/* A request. */
struct ticket {
	struct bench *bench;
	uint64_t ns; /* when it was started, then how long it took */
};

struct bench {
	struct cli *cli;
	const struct bench_options *options;
	const char *stream;
	char own_stream[STREAM_TEXT];
	struct esbridge_new_event event;
	struct ticket *tickets; /* one for each request */
	int64_t started;
	int64_t done;
	int status; /* of the first failure */
};

/* Starts request NUMBER. Returns its id. */
typedef int64_t start_fn(struct bench *b, int64_t number);

static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void on_reply(struct esbridge *e, struct esbridge_message *message, void *user)
{
	struct ticket *ticket = user;
	struct bench *b = ticket->bench;

	(void)e;
	ticket->ns = clock_ns() - ticket->ns;
	b->done++;
	if (b->status != EX_OK)
		return;
	if (message == NULL)
		b->status = fail(EX_OSERR, "bench: out of memory");
	else if (message->kind == ESBRIDGE_ERROR)
		b->status = cli_refused("bench", message);
}

static int64_t start_write(struct bench *b, int64_t number)
{
	(void)number;
	return esbridge_start_write(b->cli->bridge, b->stream, ESBRIDGE_ANY, &b->event, 1,
				    &b->cli->request);
}

static int64_t start_read(struct bench *b, int64_t number)
{
	return esbridge_start_read_event(b->cli->bridge, b->stream, number, &b->cli->request);
}

static void start_some(struct bench *b, start_fn *start)
{
	while (b->started < b->options->count && b->started - b->done < b->options->in_flight) {
		struct ticket *ticket = &b->tickets[b->started];

		*ticket = (struct ticket){ b, clock_ns() };
		if (esbridge_on_reply(b->cli->bridge, start(b, b->started), on_reply, ticket) !=
		    0) {
			b->status = cli_fault(b->cli, "bench");
			return;
		}
		b->started++;
	}
}

/* All requests of one kind. Returns how long they took, in nanoseconds. */
static uint64_t run_all(struct bench *b, start_fn *start)
{
	uint64_t began = clock_ns();

	b->started = 0;
	b->done = 0;
	while (b->status == EX_OK && b->done < b->options->count) {
		unsigned wake;

		start_some(b, start);
		if (b->status != EX_OK)
			break;
		wake = cli_wait(b->cli, -1, -1);
		if (wake & (WAKE_SIGNAL | WAKE_NO_READER))
			b->status = EX_TEMPFAIL;
		else if (wake & WAKE_FAULT && b->status == EX_OK)
			b->status = cli_fault(b->cli, "bench");
	}
	return clock_ns() - began;
}

static int compare(const void *a, const void *b)
{
	uint64_t x = ((const struct ticket *)a)->ns;
	uint64_t y = ((const struct ticket *)b)->ns;

	return x < y ? -1 : x > y;
}

static void add_row(struct table *t, struct bench *b, const char *what, uint64_t took)
{
	static const int parts[] = { 500, 900, 990, 999, 1000 };
	char text[STREAM_TEXT];
	int64_t count = b->options->count;

	qsort(b->tickets, (size_t)count, sizeof(*b->tickets), compare);
	table_text(t, what);
	table_number(t, (int64_t)((double)count * 1e9 / (double)(took > 0 ? took : 1)));
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		const struct ticket *ticket = &b->tickets[(count - 1) * parts[i] / 1000];

		snprintf(text, sizeof(text), "%.1f", (double)ticket->ns / 1000.0);
		table_text(t, text);
	}
}

static void run_both(struct bench *b)
{
	static const char *const heads[] = { "",       "PER SECOND", "P50 us", "P90 us",
					     "P99 us", "P99.9 us",   "MAX us" };
	enum { COLUMNS = sizeof(heads) / sizeof(*heads) };
	static const struct {
		const char *what;
		start_fn *start;
	} kinds[] = { { "writes", start_write }, { "reads", start_read } };
	struct table t;

	printf("%" PRId64 " events of %" PRId64 " bytes, %" PRId64
	       " requests at a time, stream %s\n",
	       b->options->count, b->options->size, b->options->in_flight, b->stream);
	table_begin(&t, COLUMNS);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds) && b->status == EX_OK; i++) {
		uint64_t took = run_all(b, kinds[i].start);

		for (size_t h = 0; h < COLUMNS && i == 0; h++)
			table_text(&t, heads[h]);
		if (b->status == EX_OK)
			add_row(&t, b, kinds[i].what, took);
	}
	table_print(&t, cli_color(b->cli));
}

/* A stream of its own is deleted in the end. */
static void tidy(struct bench *b)
{
	struct esbridge_message *reply;

	if (b->status != EX_OK || b->options->stream != NULL)
		return;
	reply = esbridge_delete(b->cli->bridge, b->stream, ESBRIDGE_ANY, false, &b->cli->request);
	if (reply == NULL)
		b->status = cli_fault(b->cli, "bench: deleting the stream");
	esbridge_message_free(reply);
}

static int run_bench(struct cli *cli)
{
	const struct bench_options *options = cli->options;
	struct bench b = { .cli = cli, .options = options };
	char id[ESBRIDGE_UUID_SIZE];
	char *data;

	signals_catch();
	b.status = cli_connect(cli);
	if (b.status != EX_OK)
		return b.status;
	if (esbridge_uuid(id) != 0)
		return fail(EX_OSERR, "bench: the kernel gives no random numbers");
	snprintf(b.own_stream, sizeof(b.own_stream), "bench-%s", id);
	b.stream = options->stream != NULL ? options->stream : b.own_stream;
	data = mem_new((size_t)options->size + 1);
	memset(data, 'x', (size_t)options->size);
	b.event = (struct esbridge_new_event){ .type = "bench",
					       .data = data,
					       .data_len = (size_t)options->size,
					       .data_is = ESBRIDGE_TEXT };
	b.tickets = mem_new((size_t)options->count * sizeof(*b.tickets));
	run_both(&b);
	tidy(&b);
	free(b.tickets);
	free(data);
	return b.status;
}

const struct command command_bench = {
	.name = "bench",
	.arguments = "",
	.summary = "measure writes and reads through the daemon",
	.help = "Writes events to a stream of its own and reads them again one by one, and prints "
		"how many a second that were and how long one took. Deletes the stream in the end. "
		"It loads the store: not for one that others use.",
	OPTIONS(rows, defaults),
	.run = run_bench,
};
