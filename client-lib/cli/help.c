#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"

enum { LEFT_TEXT = 64, GAP = 2 };

/* What stands left of the text of an option: "  -n, --count N". Returns its length. */
static int left_side(const struct option_row *row, char text[LEFT_TEXT])
{
	char letter[] = { '-', row->letter, ',', ' ', '\0' };

	return snprintf(text, LEFT_TEXT, "  %s--%s%s%s", row->letter != 0 ? letter : "    ",
			row->name, row->argument != NULL ? " " : "",
			row->argument != NULL ? row->argument : "");
}

static void print_options(const struct option_row *rows)
{
	char left[LEFT_TEXT];
	int width = 0;

	for (const struct option_row *r = rows; r->name != NULL; r++) {
		int len = left_side(r, left);

		if (len > width)
			width = len;
	}
	for (const struct option_row *r = rows; r->name != NULL; r++) {
		left_side(r, left);
		printf("%-*s%s\n", width + GAP, left, r->text);
	}
}

void help_command(const struct command *command)
{
	printf("usage: esbridge %s [OPTION]...%s%s\n\n%s\n", command->name,
	       *command->arguments != '\0' ? " " : "", command->arguments, command->help);
	if (command->options != NULL) {
		print_options(command->options);
		putchar('\n');
	}
	if (command->notes != NULL)
		printf("%s\n", command->notes);
	puts("Options of every command, which 'esbridge --help' explains:\n"
	     "  -S PATH, --timeout TIME, --user NAME, --password-file FILE, --color WHEN, -q");
}

/* Commands of two words with the same first one make one line, with the summary of the first. */
static const struct command *const *print_family(const struct command *const *at)
{
	const char *space = strchr((*at)->name, ' ');
	size_t first = space == NULL ? strlen((*at)->name) : (size_t)(space - (*at)->name) + 1;
	const char *summary = (*at)->summary;
	int width = printf("  %s", (*at)->name);

	for (at++;
	     space != NULL && *at != NULL && memcmp((*at)->name, space - first + 1, first) == 0;
	     at++)
		width += printf("|%s", (*at)->name + first);
	printf("%*s%s\n", width < 30 ? 30 - width : 1, "", summary);
	return at;
}

void help_all(void)
{
	puts("usage: esbridge [OPTION]... COMMAND [ARGUMENT]...\n\n"
	     "EventStoreDB from the shell, through esbridged. 'esbridge COMMAND --help' says more.\n");
	for (const struct command *const *at = commands; *at != NULL;) {
		if ((*at)->hidden)
			at++;
		else
			at = print_family(at);
	}
	puts("\nOptions of every command:");
	print_options(common_options);
	puts("\nExit status: 0, or one of sysexits(3), see esbridge(1): 64 mistake on the command line,\n"
	     "65 in the data, 66 no such stream, 69 no daemon or store, 73 not as expected, 75 try again\n"
	     "later, 77 not allowed.");
}

static int run_help(struct cli *cli)
{
	const struct command *command;
	int used;

	if (cli->count == 0) {
		help_all();
		return 0;
	}
	command = command_find(cli->arguments, cli->count, &used);
	if (command == NULL)
		return fail(EX_USAGE, "help: there is no command '%s%s%s'", cli->arguments[0],
			    cli->count > 1 ? " " : "", cli->count > 1 ? cli->arguments[1] : "");
	help_command(command);
	return 0;
}

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "print the help of a command",
	.help = "Prints the help of a command, or the list of all commands.\n",
	.most = 2,
	.run = run_help,
};
