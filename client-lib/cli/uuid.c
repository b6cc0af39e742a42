#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"

enum { COUNT_MOST = 1000000000 };

struct uuid_options {
	int64_t count;
};

static const struct option_row rows[] = {
	{ "count", 'n', OPTION_INTEGER, offsetof(struct uuid_options, count), "N", 1, COUNT_MOST,
	  NULL, "so many of them, each on a line" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct uuid_options defaults = { .count = 1 };

static int run_uuid(struct cli *cli)
{
	const struct uuid_options *options = cli->options;
	char text[ESBRIDGE_UUID_SIZE];

	for (int64_t i = 0; i < options->count && !ferror(stdout); i++) {
		if (esbridge_uuid(text) != 0)
			return fail(EX_OSERR, "uuid: the kernel gives no random numbers");
		puts(text);
	}
	return EX_OK;
}

const struct command command_uuid = {
	.name = "uuid",
	.arguments = "",
	.summary = "make ids for events",
	.help = "Makes a random UUID, to be the id of an event. Who writes an event with an id of "
		"its own can write it again when the answer was lost. Needs no daemon.",
	OPTIONS(rows, defaults),
	.run = run_uuid,
};
