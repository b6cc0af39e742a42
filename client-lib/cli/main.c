#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/mem.h"
#include "cli.h"
#include "output.h"
#include "wait.h"

enum { PASSWORD_MOST = 1024, WHO_TEXT = 64 };

/* Reads the password, the first line of the file. Returns 0 or an exit status. */
static int read_password(struct cli *cli)
{
	char line[PASSWORD_MOST + 2];
	FILE *file = fopen(cli->common.password_file, "re");
	size_t len;

	if (file == NULL)
		return fail(EX_NOINPUT, "--password-file: %s: %s", cli->common.password_file,
			    strerror(errno));
	if (fgets(line, sizeof(line), file) == NULL)
		line[0] = '\0';
	fclose(file);
	len = strcspn(line, "\r\n");
	if (len == 0 || len > PASSWORD_MOST) {
		mem_wipe(line, sizeof(line));
		return fail(
			EX_DATAERR,
			"--password-file: the first line of %s is no password: it takes 1 to %d "
			"bytes",
			cli->common.password_file, PASSWORD_MOST);
	}
	cli->password = mem_text_of(line, len);
	mem_wipe(line, sizeof(line));
	return EX_OK;
}

static int fill_request(struct cli *cli)
{
	const struct common *common = &cli->common;

	cli->request.size = sizeof(cli->request);
	cli->request.timeout_ms = (int)common->timeout_ms;
	if ((common->user == NULL) != (common->password_file == NULL))
		return fail(EX_USAGE, "--user and --password-file go together");
	if (common->user != NULL) {
		int status = read_password(cli);

		if (status != EX_OK)
			return status;
		cli->request.username = common->user;
		cli->request.password = cli->password;
	}
	return EX_OK;
}

static int connect_with(struct cli *cli, bool lasting)
{
	struct esbridge_options options = { .size = sizeof(options), .client = "esbridge" };
	const struct esbridge_error *error;
	int status = fill_request(cli);

	if (status != EX_OK)
		return status;
	options.connect_timeout_ms = (int)cli->common.timeout_ms;
	options.no_reconnect = !lasting;
	cli->bridge = esbridge_connect(cli->common.socket, &options);
	error = esbridge_error(cli->bridge);
	if (error->code == ESBRIDGE_E_NONE)
		return EX_OK;
	if (error->system_error == 0)
		return cli_fault(cli, "connecting");
	say("%s: %s", esbridge_path(cli->bridge), strerror(error->system_error));
	if (error->system_error == EACCES)
		say("who may open it is set in [socket] of esbridged.conf(5)");
	else
		say("is esbridged running? 'systemctl status esbridged' tells; -S names another "
		    "socket");
	return EX_UNAVAILABLE;
}

int cli_connect(struct cli *cli)
{
	return connect_with(cli, false);
}

int cli_connect_lasting(struct cli *cli)
{
	return connect_with(cli, true);
}

int cli_fault(const struct cli *cli, const char *what)
{
	const struct esbridge_error *error = esbridge_error(cli->bridge);
	int status = fail_code(what, error->name, error->text);

	if (error->outcome == ESBRIDGE_OUTCOME_UNKNOWN)
		say("it may have been done nevertheless");
	return status;
}

int cli_refused(const char *what, const struct esbridge_message *message)
{
	char *text = mem_text_of(message->text.at, message->text.len);
	int status = fail_code(what, esbridge_code_name(message->code), text);

	if (message->outcome == ESBRIDGE_OUTCOME_UNKNOWN)
		say("it may have been done nevertheless");
	free(text);
	return status;
}

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

static void cli_close(struct cli *cli)
{
	esbridge_close(cli->bridge);
	if (cli->password != NULL)
		mem_wipe(cli->password, strlen(cli->password));
	free(cli->password);
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
