#include <stdio.h>
#include <sysexits.h>

#include "body.h"
#include "cli.h"
#include "commands.h"
#include "output.h"

static int run_scavenge(struct cli *cli)
{
	struct esbridge_message *reply;
	struct buffer body = { 0 };
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	buffer_add_byte(&body, '{');
	status = body_execute(cli, "ScavengeDatabase", &body, &reply);
	buffer_free(&body);
	if (status != EX_OK)
		return status;
	output_span(reply->body);
	putchar('\n');
	esbridge_message_free(reply);
	return EX_OK;
}

const struct command command_scavenge = {
	.name = "scavenge",
	.arguments = "",
	.summary = "let the store free the room of deleted events",
	.help = "Starts a scavenge of the store, and prints what it answers. It goes on after that. "
		"Only for administrators and operators of the store: --user and --password-file.",
	.run = run_scavenge,
};
