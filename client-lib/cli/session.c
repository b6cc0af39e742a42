/*
 * The connection of a command, and what comes back on it.
 */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli.h"
#include "output.h"

enum { PASSWORD_MOST = 1024, NAME_TEXT = 64 };

/* Reads the password, the first line of the file. Returns 0 or an exit status. */
static int read_password(struct cli *cli)
{
	char line[PASSWORD_MOST + 2];
	FILE *file = fopen(cli->common.password_file, "re");
	size_t len;

	if (file == NULL)
		return fail(EX_NOINPUT, "--password-file: %s: %s", cli->common.password_file,
			    strerror(errno));
	setvbuf(file, NULL, _IONBF, 0); /* no copy in the memory of the stream */
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
	char name[NAME_TEXT];
	struct esbridge_options options = { .size = sizeof(options), .client = name };
	const struct esbridge_error *error;
	int status = fill_request(cli);

	if (status != EX_OK)
		return status;
	snprintf(name, sizeof(name), "esbridge %s", cli->command->name);
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

json_t *cli_json(const struct cli *cli, struct esbridge_span span)
{
	json_t *value = esbridge_span_json(span);

	if (value == NULL)
		say("%s: what the daemon answers cannot be read", cli->command->name);
	return value;
}

int cli_answer(const struct cli *cli, struct esbridge_message *reply, bool json,
	       void (*print)(const struct cli *cli, const json_t *ok))
{
	json_t *ok = cli_json(cli, reply->ok);

	if (ok != NULL && json) {
		output_span(reply->ok);
		putchar('\n');
	} else if (ok != NULL) {
		print(cli, ok);
	}
	esbridge_message_free(reply);
	if (ok == NULL)
		return EX_PROTOCOL;
	json_decref(ok);
	return EX_OK;
}

void cli_say_terminal(const struct cli *cli, const char *what)
{
	if (!cli->common.quiet && isatty(STDIN_FILENO))
		say("%s: reading %s from the terminal; Ctrl-D ends them", cli->command->name, what);
}

void cli_close(struct cli *cli)
{
	esbridge_close(cli->bridge);
	if (cli->password != NULL)
		mem_wipe(cli->password, strlen(cli->password));
	free(cli->password);
}
