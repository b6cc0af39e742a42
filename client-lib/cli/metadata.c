/*
 * The metadata of a stream: the data of the last event of the stream $$NAME.
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "body.h"
#include "cli.h"
#include "commands.h"
#include "output.h"
#include "payload.h"

struct metadata_options {
	int64_t expected_version;
	bool pretty;
};

static const struct option_row set_rows[] = {
	{ "expected-version", 'e', OPTION_VERSION,
	  offsetof(struct metadata_options, expected_version), "V", 0, 0, version_words,
	  "of the metadata: any, no_stream or a number" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct option_row get_rows[] = {
	{ "pretty", 'p', OPTION_FLAG, offsetof(struct metadata_options, pretty), NULL, 0, 0, NULL,
	  "indented" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct metadata_options defaults = { .expected_version = ESBRIDGE_ANY };

/* The name of the stream that has the metadata of STREAM, for the caller to free. */
static char *metadata_stream(const char *stream)
{
	size_t len = strlen(stream);
	char *name = mem_new(len + 3);

	memcpy(name, "$$", 2);
	memcpy(name + 2, stream, len);
	return name;
}

static int print_metadata(const struct cli *cli, const struct esbridge_event *event)
{
	const struct metadata_options *options = cli->options;
	struct esbridge_span bytes;

	if (options->pretty && event->data_is == ESBRIDGE_JSON) {
		output_pretty(event->raw_data, cli_color(cli));
		return EX_OK;
	}
	if (esbridge_event_data(event, &bytes) != 0)
		return fail(EX_OSERR, "metadata get: out of memory");
	output_span(bytes);
	putchar('\n');
	return EX_OK;
}

static int run_get(struct cli *cli)
{
	struct esbridge_message *reply;
	char *stream;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	stream = metadata_stream(cli->arguments[0]);
	reply = esbridge_read_event(cli->bridge, stream, -1, &cli->request);
	free(stream);
	if (reply == NULL)
		return cli_fault(cli, "metadata get");
	if (reply->event != NULL)
		status = print_metadata(cli, reply->event);
	esbridge_message_free(reply);
	return status;
}

static int set(struct cli *cli, const char *json, size_t len)
{
	const struct metadata_options *options = cli->options;
	struct esbridge_new_event event = { .type = "$metadata", .data_is = ESBRIDGE_JSON };
	char *stream = metadata_stream(cli->arguments[0]);
	struct esbridge_message *reply;

	json_trim(&json, &len);
	event.data = json;
	event.data_len = len;
	reply = esbridge_write(cli->bridge, stream, options->expected_version, &event, 1,
			       &cli->request);
	free(stream);
	if (reply == NULL)
		return cli_fault(cli, "metadata set");
	if (!cli->common.quiet)
		printf("set metadata of %s, version %" PRId64 "\n", cli->arguments[0],
		       reply->last_event_number);
	esbridge_message_free(reply);
	return EX_OK;
}

static int run_set(struct cli *cli)
{
	const char *json = cli->arguments[1];
	struct buffer in = { 0 };
	int status = EX_OK;

	if (strcmp(json, "-") == 0)
		status = read_whole("-", &in);
	else
		buffer_add_text(&in, json);
	if (status == EX_OK && in.failed)
		status = fail(EX_OSERR, "metadata set: out of memory");
	if (status == EX_OK)
		status = cli_connect(cli);
	if (status == EX_OK)
		status = set(cli, (const char *)buffer_at(&in), buffer_len(&in));
	buffer_free(&in);
	return status;
}

const struct command command_metadata_get = {
	.name = "metadata get",
	.arguments = "STREAM",
	.summary = "print the metadata of a stream",
	.family = "the metadata of a stream",
	.help = "Prints the metadata of a stream, JSON. Exit status 66 where it has none.",
	.least = 1,
	.most = 1,
	OPTIONS(get_rows, defaults),
	.run = run_get,
};

const struct command command_metadata_set = {
	.name = "metadata set",
	.arguments = "STREAM JSON|-",
	.summary = "set the metadata of a stream",
	.help = "Sets the metadata of a stream to JSON, such as {\"$maxCount\":100}, {\"$maxAge\":3600} "
		"or {\"$tb\":5}; - takes it from standard input. What was there before is replaced.",
	.least = 2,
	.most = 2,
	OPTIONS(set_rows, defaults),
	.run = run_set,
};
