#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "cli.h"
#include "output.h"
#include "wait.h"

/* What is before the message of a mistake on the command line. */
static int try_help(const struct command *command)
{
	if (command != NULL)
		say("try 'esbridge %s --help'", command->name);
	else
		say("try 'esbridge --help'");
	return EX_USAGE;
}

static int no_command(char *const *words, int count, int used)
{
	if (count == 0)
		say("which command?");
	else if (used == 0)
		say("there is no command '%s'", words[0]);
	else if (count == 1)
		say("'%s' needs a second word", words[0]);
	else
		say("there is no command '%s %s'", words[0], words[1]);
	if (used == 0)
		return try_help(NULL);
	say("try 'esbridge help %s'", words[0]);
	return EX_USAGE;
}

static int wrong_count(const struct cli *cli)
{
	const struct command *command = cli->command;

	if (cli->count < command->least)
		say("%s: an argument is missing: it takes %s", command->name, command->arguments);
	else
		say("%s: '%s' is one argument too many", command->name,
		    cli->arguments[command->most]);
	return try_help(command);
}

static int print_version(void)
{
	printf("esbridge %s (libesbridge %s)\n", PACKAGE_VERSION, esbridge_version());
	return EX_OK;
}

/* Reads what is behind the name of the command and runs it. */
static int run_command(struct cli *cli, int argc, char **argv)
{
	const struct command *command = cli->command;
	void *values = mem_new(command->size > 0 ? command->size : 1);
	struct option_set sets[] = { { common_options, &cli->common },
				     { command->options, values } };
	int first;
	int status;

	if (command->defaults != NULL)
		memcpy(values, command->defaults, command->size);
	cli->options = values;
	first = options_read(sets, 2, argc, argv, false, command->name);
	if (first < 0) {
		status = try_help(command);
	} else if (cli->common.version) {
		status = print_version();
	} else if (cli->common.help) {
		help_command(command);
		status = EX_OK;
	} else {
		cli->arguments = argv + first;
		cli->count = argc - first;
		if (cli->count < command->least ||
		    (command->most >= 0 && cli->count > command->most))
			status = wrong_count(cli);
		else
			status = command->run(cli);
	}
	free(values);
	return status;
}

/* True where the second of WORDS, behind the first word of a command of two, is "--help" or "-h".
 */
static bool asks_for_help(int count, char *const *words)
{
	const struct option_row *row = count > 1 ? option_find(common_options, words[1]) : NULL;

	return row != NULL && row->at == offsetof(struct common, help);
}

static int run(struct cli *cli, int argc, char **argv)
{
	struct option_set set = { common_options, &cli->common };
	int first = options_read(&set, 1, argc, argv, true, "esbridge");
	int used;

	if (first < 0)
		return try_help(NULL);
	cli->command = command_find(argv + first, argc - first, &used);
	if (cli->common.version)
		return print_version();
	if (cli->command == NULL && cli->common.help && used == 0) {
		help_all();
		return EX_OK;
	}
	if (cli->command == NULL && used == 1 && asks_for_help(argc - first, argv + first)) {
		help_family(argv[first]);
		return EX_OK;
	}
	if (cli->command == NULL)
		return no_command(argv + first, argc - first, used);
	/* The last word of its name takes the place of argv[0]. */
	first += used - 1;
	return run_command(cli, argc - first, argv + first);
}

int main(int argc, char **argv)
{
	struct cli cli = { 0 };
	int status = run(&cli, argc, argv);

	cli_close(&cli);
	status = output_end(status);
	signals_end();
	return status;
}
