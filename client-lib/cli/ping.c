#include <inttypes.h>
#include <stdio.h>

#include "cli.h"
#include "commands.h"

static int run_ping(struct cli *cli)
{
	int status = cli_connect(cli);
	int64_t rtt;

	if (status != 0)
		return status;
	rtt = esbridge_ping(cli->bridge, &cli->request);
	if (rtt < 0)
		return cli_fault(cli, "ping");
	if (!cli->common.quiet)
		printf("pong after %" PRId64 " us\n", rtt);
	return 0;
}

const struct command command_ping = {
	.name = "ping",
	.arguments = "",
	.summary = "ask whether the store answers",
	.help = "Sends a Ping to the store and waits for its Pong. The time is that between esbridged "
		"and the store. Exit status 69 where there is no daemon, or no store behind it.",
	.run = run_ping,
};
