#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <sysexits.h>

#include "body.h"
#include "cli.h"
#include "commands.h"
#include "json_in.h"
#include "output.h"
#include "table.h"

enum { PLACE_TEXT = 64 };

struct checkpoint_options {
	bool json;
};

static const struct option_row rows[] = {
	{ "json", 'j', OPTION_FLAG, offsetof(struct checkpoint_options, json), NULL, 0, 0, NULL,
	  "what the daemon says, as it says it" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct checkpoint_options defaults;

/* A place as the commands take it: a number, COMMIT/PREPARE, or "-" for none. */
static void place_text(const json_t *position, char text[PLACE_TEXT])
{
	if (json_is_integer(position))
		snprintf(text, PLACE_TEXT, "%" JSON_INTEGER_FORMAT, json_integer_value(position));
	else if (json_is_object(position))
		snprintf(text, PLACE_TEXT, "%" PRId64 "/%" PRId64, number_in(position, "commit"),
			 number_in(position, "prepare"));
	else
		snprintf(text, PLACE_TEXT, "-");
}

static void print_list(const struct cli *cli, const json_t *ok)
{
	const json_t *row;
	struct table t;
	size_t i;

	table_begin(&t, 4);
	table_text(&t, "CHECKPOINT");
	table_text(&t, "STREAM");
	table_text(&t, "POSITION");
	table_text(&t, "HELD");
	json_array_foreach(json_object_get(ok, "checkpoints"), i, row)
	{
		char place[PLACE_TEXT];

		place_text(json_object_get(row, "position"), place);
		table_text(&t, text_in(row, "name"));
		table_text(&t, word_in(row, "stream"));
		table_text(&t, place);
		table_text(&t, json_is_true(json_object_get(row, "held")) ? "yes" : "no");
	}
	table_print(&t, cli_color(cli));
}

static void print_position(const struct cli *cli, const json_t *ok)
{
	char place[PLACE_TEXT];

	(void)cli;
	place_text(json_object_get(ok, "position"), place);
	puts(place);
}

/* Asks the daemon with MEMBERS and prints the answer with PRINT, or as it is with --json. */
static int ask(struct cli *cli, const char *members,
	       void (*print)(const struct cli *cli, const json_t *ok))
{
	const struct checkpoint_options *options = cli->options;
	struct esbridge_message *reply;
	int status = cli_connect(cli);

	if (status != EX_OK)
		return status;
	reply = esbridge_call(cli->bridge, "checkpoint", members, NULL);
	if (reply == NULL)
		return cli_fault(cli, cli->command->name);
	return cli_answer(cli, reply, options->json, print);
}

static void begin(struct buffer *members, const struct cli *cli, const char *action)
{
	buffer_add_byte(members, '{');
	body_text(members, "action", action);
	if (cli->count > 0)
		body_text(members, "name", cli->arguments[0]);
}

static int end(struct cli *cli, struct buffer *members,
	       void (*print)(const struct cli *cli, const json_t *ok))
{
	int status;

	buffer_add(members, "}", sizeof("}"));
	if (members->failed)
		status = fail(EX_OSERR, "%s: out of memory", cli->command->name);
	else
		status = ask(cli, (const char *)buffer_at(members), print);
	buffer_free(members);
	return status;
}

/* An action that needs nothing but the name. */
static int act(struct cli *cli, const char *action,
	       void (*print)(const struct cli *cli, const json_t *ok))
{
	struct buffer members = { 0 };

	begin(&members, cli, action);
	return end(cli, &members, print);
}

static int run_list(struct cli *cli)
{
	return act(cli, "list", print_list);
}

static int run_get(struct cli *cli)
{
	return act(cli, "get", print_position);
}

static int run_set(struct cli *cli)
{
	struct buffer members = { 0 };
	struct place place;

	if (!place_read(cli->arguments[1], &place) || place.from == ESBRIDGE_FROM_START ||
	    place.from == ESBRIDGE_FROM_END)
		return fail(
			EX_USAGE,
			"checkpoint set: '%s' is no position; it takes the number of an event, or "
			"COMMIT/PREPARE",
			cli->arguments[1]);
	begin(&members, cli, "set");
	if (place.from == ESBRIDGE_FROM_NUMBER) {
		body_int(&members, "position", place.number);
	} else {
		json_key(&members, "position");
		buffer_add_byte(&members, '{');
		body_int(&members, "commit", place.position.commit);
		body_int(&members, "prepare", place.position.prepare);
		buffer_add_byte(&members, '}');
	}
	return end(cli, &members, print_position);
}

static void print_deleted(const struct cli *cli, const json_t *ok)
{
	(void)ok;
	if (!cli->common.quiet)
		printf("deleted checkpoint %s\n", cli->arguments[0]);
}

static int run_delete(struct cli *cli)
{
	return act(cli, "delete", print_deleted);
}

const struct command command_checkpoint_list = {
	.name = "checkpoint list",
	.arguments = "",
	.summary = "list them",
	.family = "where readers with a checkpoint are",
	.help = "Prints the checkpoints that the daemon keeps: up to which event everything has "
		"been acknowledged, and whether a reader holds it now.",
	OPTIONS(rows, defaults),
	.run = run_list,
};

const struct command command_checkpoint_get = {
	.name = "checkpoint get",
	.arguments = "NAME",
	.summary = "the position of a checkpoint",
	.help = "Prints the position of a checkpoint: the number of an event, or COMMIT/PREPARE "
		"for all streams. Exit status 66 where there is none of that name.",
	.least = 1,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_get,
};

const struct command command_checkpoint_set = {
	.name = "checkpoint set",
	.arguments = "NAME POSITION",
	.summary = "move a checkpoint",
	.help = "Moves a checkpoint, or makes it. The reader that uses it next goes on behind POSITION: "
		"the number of an event, or COMMIT/PREPARE for all streams. Nobody may hold it meanwhile.",
	.least = 2,
	.most = 2,
	OPTIONS(rows, defaults),
	.run = run_set,
};

const struct command command_checkpoint_delete = {
	.name = "checkpoint delete",
	.arguments = "NAME",
	.summary = "remove a checkpoint",
	.help = "Removes a checkpoint. The reader that uses the name next begins anew.",
	.least = 1,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_delete,
};
