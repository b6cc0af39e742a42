#include <jansson.h>
#include <stdio.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"

static int run_metrics(struct cli *cli)
{
	struct esbridge_message *reply;
	const char *text;
	json_t *ok;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	reply = esbridge_call(cli->bridge, "metrics", NULL, NULL);
	if (reply == NULL)
		return cli_fault(cli, "metrics");
	ok = esbridge_span_json(reply->ok);
	text = json_string_value(json_object_get(ok, "text"));
	if (text == NULL)
		status = fail(EX_PROTOCOL, "metrics: the daemon's answer cannot be read");
	else
		fputs(text, stdout);
	json_decref(ok);
	esbridge_message_free(reply);
	return status;
}

const struct command command_metrics = {
	.name = "metrics",
	.arguments = "",
	.summary = "the daemon's counters, for Prometheus",
	.help = "Prints the counters of the daemon in the text format of Prometheus. esbridged(8) "
		"says what they mean.",
	.run = run_metrics,
};
