#include <inttypes.h>
#include <jansson.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "body.h"
#include "cli.h"
#include "commands.h"

enum { FAULT_TEXT = 200 };

struct start_options {
	int64_t expected_version;
};

static const struct option_row start_rows[] = {
	{ "expected-version", 'e', OPTION_VERSION, offsetof(struct start_options, expected_version),
	  "V", 0, 0, version_words, "any (the default), no_stream, stream_exists, N" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct start_options start_defaults = { .expected_version = ESBRIDGE_ANY };

static int run_start(struct cli *cli)
{
	const struct start_options *options = cli->options;
	struct esbridge_message *reply;
	struct buffer body = { 0 };
	json_t *answer;
	const json_t *id;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	buffer_add_byte(&body, '{');
	body_text(&body, "event_stream_id", cli->arguments[0]);
	body_int(&body, "expected_version", options->expected_version);
	status = body_execute(cli, "TransactionStart", &body, &reply);
	buffer_free(&body);
	if (status != EX_OK)
		return status;
	answer = esbridge_span_json(reply->body);
	id = json_object_get(answer, "transaction_id");
	if (json_is_integer(id))
		printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(id));
	else
		status = fail(EX_PROTOCOL, "transaction start: the answer has no transaction_id");
	json_decref(answer);
	esbridge_message_free(reply);
	return status;
}

/* Adds `transaction_id` to BODY. Returns 0 or an exit status where TEXT is no number. */
static int add_transaction(struct buffer *body, const struct cli *cli)
{
	const char *text = cli->arguments[0];
	char *end;
	long long id = strtoll(text, &end, 10);

	if (end == text || *end != '\0' || id < 0)
		return fail(EX_USAGE, "%s: '%s' is no number of a transaction", cli->command->name,
			    text);
	buffer_add_byte(body, '{');
	body_int(body, "transaction_id", id);
	return EX_OK;
}

/* Adds the events on standard input, each a line, as a list. Returns 0 or an exit status. */
static int add_events(struct buffer *body, int64_t *count)
{
	struct buffer in = { 0 };
	struct buffer events = { 0 };
	char fault[FAULT_TEXT];
	int status = read_whole("-", &in);

	while (status == EX_OK && buffer_len(&in) > 0) {
		const char *line = (const char *)buffer_at(&in);
		const char *end = memchr(line, '\n', buffer_len(&in));
		size_t len = end != NULL ? (size_t)(end - line) : buffer_len(&in);

		if (len > 0 && !event_from_line(&events, line, len, fault, sizeof(fault)))
			status = fail(EX_DATAERR, "transaction write: event %" PRId64 ": %s",
				      *count, fault);
		*count += len > 0;
		buffer_consume(&in, end != NULL ? len + 1 : len);
	}
	json_key(body, "events");
	buffer_add_byte(body, '[');
	buffer_add(body, buffer_at(&events), buffer_len(&events));
	buffer_add_byte(body, ']');
	if (in.failed || events.failed)
		body->failed = true;
	buffer_free(&in);
	buffer_free(&events);
	return status;
}

static int run_write(struct cli *cli)
{
	struct buffer body = { 0 };
	int64_t count = 0;
	int status = add_transaction(&body, cli);

	cli_say_terminal(cli, "events, a JSON object on each line,");
	if (status == EX_OK)
		status = add_events(&body, &count);
	if (status == EX_OK)
		status = cli_connect(cli);
	if (status == EX_OK)
		status = body_execute(cli, "TransactionWrite", &body, NULL);
	if (status == EX_OK && !cli->common.quiet)
		printf("wrote %" PRId64 " events in transaction %s\n", count, cli->arguments[0]);
	buffer_free(&body);
	return status;
}

static int run_commit(struct cli *cli)
{
	struct buffer body = { 0 };
	struct esbridge_message *reply = NULL;
	int status = add_transaction(&body, cli);

	if (status == EX_OK)
		status = cli_connect(cli);
	if (status == EX_OK)
		status = body_execute(cli, "TransactionCommit", &body, &reply);
	if (status == EX_OK && !cli->common.quiet)
		printf("committed transaction %s, events %" PRId64 " to %" PRId64 "\n",
		       cli->arguments[0], reply->first_event_number, reply->last_event_number);
	esbridge_message_free(reply);
	buffer_free(&body);
	return status;
}

const struct command command_transaction_start = {
	.name = "transaction start",
	.arguments = "STREAM",
	.summary = "start one, print its number",
	.family = "write in several steps, all or nothing",
	.help = "Starts a transaction on a stream and prints its number. The servers keep it until "
		"it is committed; one that is never committed does nothing.",
	.least = 1,
	.most = 1,
	OPTIONS(start_rows, start_defaults),
	.run = run_start,
};

const struct command command_transaction_write = {
	.name = "transaction write",
	.arguments = "NUMBER",
	.summary = "add events to a transaction",
	.help = "Adds the events on standard input, each on a line as for 'esbridge write', to a "
		"transaction. They can be read when it is committed.",
	.least = 1,
	.most = 1,
	.run = run_write,
};

const struct command command_transaction_commit = {
	.name = "transaction commit",
	.arguments = "NUMBER",
	.summary = "commit a transaction",
	.help = "Commits a transaction: all its events are in the stream then, behind each other.",
	.least = 1,
	.most = 1,
	.run = run_commit,
};
