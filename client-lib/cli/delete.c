#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"

struct delete_options {
	int64_t expected_version;
	bool hard;
};

static const struct option_row rows[] = {
	{ "hard", 0, OPTION_FLAG, offsetof(struct delete_options, hard), NULL, 0, 0, NULL,
	  "for good: the name can never be used again" },
	{ "expected-version", 'e', OPTION_VERSION,
	  offsetof(struct delete_options, expected_version), "V", 0, 0, version_words,
	  "any (the default), no_stream, stream_exists, N" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct delete_options defaults = { .expected_version = ESBRIDGE_ANY };

static int run_delete(struct cli *cli)
{
	const struct delete_options *options = cli->options;
	const char *stream = cli->arguments[0];
	struct esbridge_message *reply;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	reply = esbridge_delete(cli->bridge, stream, options->expected_version, options->hard,
				&cli->request);
	if (reply == NULL)
		return cli_fault(cli, "delete");
	if (!cli->common.quiet)
		printf("deleted %s%s\n", stream, options->hard ? " for good" : "");
	esbridge_message_free(reply);
	return EX_OK;
}

const struct command command_delete = {
	.name = "delete",
	.arguments = "STREAM",
	.summary = "delete a stream",
	.help = "Deletes a stream. Events can be written to it again later, unless --hard is given.",
	.least = 1,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_delete,
};
