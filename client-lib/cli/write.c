#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "body.h"
#include "cli.h"
#include "commands.h"
#include "output.h"
#include "payload.h"

enum { BATCH_DEFAULT = 500, BATCH_MOST = 10000, FAULT_TEXT = 200 };

/* Bytes of events in one write at most, so that a line stays well below the daemon's limit. */
enum { BATCH_BYTES = 4 << 20 };

struct write_options {
	struct payload_options payload;
	const char *id;
	int64_t expected_version;
	int64_t batch;
	bool json;
};

static const struct option_row rows[] = {
	{ "expected-version", 'e', OPTION_VERSION, offsetof(struct write_options, expected_version),
	  "V", 0, 0, version_words, "any (the default), no_stream, stream_exists, N" },
	{ "id", 'i', OPTION_TEXT, offsetof(struct write_options, id), "UUID", 0, 0, NULL,
	  "the id of the event; made where it is not given" },
	PAYLOAD_ROWS(struct write_options),
	{ "batch", 'b', OPTION_INTEGER, offsetof(struct write_options, batch), "N", 1, BATCH_MOST,
	  NULL, "lines: at most so many events in one write; 500" },
	{ "json", 'j', OPTION_FLAG, offsetof(struct write_options, json), NULL, 0, 0, NULL,
	  "print the replies as the daemon says them" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct write_options defaults = { .expected_version = ESBRIDGE_ANY,
					       .batch = BATCH_DEFAULT };

/* A line for each event that REPLY tells of: its number and its id. */
static int print_written(const struct cli *cli, const struct esbridge_message *reply)
{
	const struct write_options *options = cli->options;
	int64_t number = reply->first_event_number;
	json_t *ok;
	const json_t *id;
	size_t i;

	if (options->json) {
		output_span(reply->ok);
		putchar('\n');
		return EX_OK;
	}
	if (cli->common.quiet)
		return EX_OK;
	ok = cli_json(cli, reply->ok);
	if (ok == NULL)
		return EX_PROTOCOL;
	json_array_foreach(json_object_get(ok, "event_ids"), i, id)
	{
		printf("%" PRId64 " %s\n", number + (int64_t)i, json_string_value(id));
	}
	json_decref(ok);
	return EX_OK;
}

/* One event, from the command line ---------------------------------------------------------------- */

static int write_one(struct cli *cli, struct esbridge_new_event *event)
{
	const struct write_options *options = cli->options;
	struct esbridge_message *reply;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	reply = esbridge_write(cli->bridge, cli->arguments[0], options->expected_version, event, 1,
			       &cli->request);
	if (reply == NULL)
		return cli_fault(cli, "write");
	status = print_written(cli, reply);
	esbridge_message_free(reply);
	return status;
}

static int run_one(struct cli *cli)
{
	const struct write_options *options = cli->options;
	struct esbridge_new_event event = { .type = cli->arguments[1], .id = options->id };
	struct payload payload = { 0 };
	int status = payload_read(&payload, &options->payload, cli->arguments[2], &event);

	if (status == EX_OK)
		status = write_one(cli, &event);
	payload_free(&payload);
	return status;
}

/* Many, from lines on standard input -------------------------------------------------------------- */

struct lines {
	struct cli *cli;
	struct buffer in;
	bool ended;
	struct buffer events; /* those of the next write */
	int64_t count;
	uint64_t line;        /* number of the last one that was taken, */
	uint64_t first, last; /* and of the first and last one in `events` */
	int64_t expected_version;
};

/*
 * Writes what has been collected. An expected version is that of the first write; the next ones
 * expect what the one before has left.
 */
static int write_events(struct lines *l)
{
	struct buffer body = { 0 };
	struct esbridge_message *reply;
	int status;

	if (l->count == 0)
		return EX_OK;
	buffer_add_byte(&body, '{');
	body_text(&body, "event_stream_id", l->cli->arguments[0]);
	body_int(&body, "expected_version", l->expected_version);
	json_key(&body, "events");
	buffer_add_byte(&body, '[');
	buffer_add(&body, buffer_at(&l->events), buffer_len(&l->events));
	buffer_add_byte(&body, ']');
	if (l->events.failed)
		body.failed = true;
	status = body_execute(l->cli, "WriteEvents", &body, &reply);
	buffer_free(&body);
	if (status != EX_OK) {
		say("write: that was line %" PRIu64 " to %" PRIu64
		    " of the input; what stands before is written",
		    l->first, l->last);
		return status;
	}
	if (l->expected_version != ESBRIDGE_ANY)
		l->expected_version = reply->last_event_number;
	status = print_written(l->cli, reply);
	esbridge_message_free(reply);
	buffer_consume(&l->events, buffer_len(&l->events));
	l->count = 0;
	if (status == EX_OK && !output_flush())
		return EX_IOERR;
	return status;
}

static int take_line(struct lines *l, const char *line, size_t len)
{
	const struct write_options *options = l->cli->options;
	char fault[FAULT_TEXT];

	l->line++;
	if (strspn(line, " \t\r") >= len)
		return EX_OK;
	if (!event_from_line(&l->events, line, len, fault, sizeof(fault))) {
		int status = write_events(l);

		if (status != EX_OK)
			return status;
		return fail(EX_DATAERR, "write: line %" PRIu64 ": %s", l->line, fault);
	}
	if (l->count++ == 0)
		l->first = l->line;
	l->last = l->line;
	if (l->count >= options->batch || buffer_len(&l->events) >= BATCH_BYTES)
		return write_events(l);
	return EX_OK;
}

/* Takes the whole lines that have come, and writes them: nobody waits for a full batch. */
static int take_lines(struct lines *l)
{
	int status = EX_OK;

	if (l->ended && buffer_len(&l->in) > 0)
		buffer_add_byte(&l->in, '\n');
	while (status == EX_OK && buffer_len(&l->in) > 0) {
		const char *line = (const char *)buffer_at(&l->in);
		const char *end = memchr(line, '\n', buffer_len(&l->in));

		if (end == NULL)
			break;
		status = take_line(l, line, (size_t)(end - line));
		buffer_consume(&l->in, (size_t)(end - line) + 1);
	}
	return status != EX_OK ? status : write_events(l);
}

static int run_lines(struct cli *cli)
{
	const struct write_options *options = cli->options;
	struct lines l = { .cli = cli, .expected_version = options->expected_version };
	int status = EX_OK;

	if (options->id != NULL || payload_given(&options->payload))
		return fail(EX_USAGE,
			    "write: with lines, each line says its id, data and metadata");
	status = cli_connect(cli);
	if (status == EX_OK)
		cli_say_terminal(cli, "events, a JSON object on each line,");
	while (status == EX_OK && !l.ended) {
		ssize_t got = read_some(STDIN_FILENO, &l.in);

		if (got < 0)
			status = fail(EX_IOERR, "write: standard input: %s", strerror(errno));
		if (got == 0)
			l.ended = true;
		if (status == EX_OK)
			status = take_lines(&l);
	}
	buffer_free(&l.in);
	buffer_free(&l.events);
	return status;
}

/* ------------------------------------------------------------------------------------------------- */

static int run_write(struct cli *cli)
{
	return cli->count == 1 ? run_lines(cli) : run_one(cli);
}

const struct command command_write = {
	.name = "write",
	.arguments = "STREAM [TYPE [DATA|-]]",
	.summary = "write events",
	.help = "Writes an event of the TYPE with DATA, which is JSON unless --content says otherwise; "
		"- takes it from standard input. Without a TYPE each line of standard input is an "
		"event, a JSON object as 'esbridge read' prints them: event_type, event_id, data, "
		"data_text, data_base64, metadata. Prints the number and the id of each event.",
	.least = 1,
	.most = 3,
	OPTIONS(rows, defaults),
	.run = run_write,
};
