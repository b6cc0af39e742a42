#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"

enum { WIDTH = 79, LEFT_TEXT = 64, GAP = 2, COMMAND_COLUMN = 16 };

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

/* Prints TEXT in lines of at most WIDTH columns; a LF in it ends a line. */
static void print_wrapped(const char *text)
{
	int column = 0;
	bool joined =
		true; /* nothing stands before the next word that it must be kept apart from */

	while (*text != '\0') {
		int len = (int)strcspn(text, " \n");

		if (column > 0 && column + 1 + len > WIDTH) {
			putchar('\n');
			column = 0;
			joined = true;
		}
		column += printf("%s%.*s", joined ? "" : " ", len, text);
		joined = false;
		text += len;
		if (*text == '\n') {
			putchar('\n');
			column = 0;
			joined = true;
			/* The blanks at the beginning of a line are kept. */
			for (text++; *text == ' '; text++)
				column += printf(" ");
		} else if (*text == ' ') {
			text++;
		}
	}
	putchar('\n');
}

void help_command(const struct command *command)
{
	printf("usage: esbridge %s [OPTION]...%s%s\n\n", command->name,
	       *command->arguments != '\0' ? " " : "", command->arguments);
	print_wrapped(command->help);
	putchar('\n');
	if (command->options != NULL)
		print_options(command->options);
	if (command->notes != NULL)
		printf("\n%s", command->notes);
	if (command->options != NULL || command->notes != NULL)
		putchar('\n');
	puts("Also -S, --timeout, --user, --password-file, --color, -q: see 'esbridge --help'.");
}

/* True where NAME is of two words, and FIRST the first one. */
static bool is_of_family(const char *name, const char *first)
{
	size_t len = strcspn(name, " ");

	return name[len] == ' ' && strlen(first) == len && memcmp(name, first, len) == 0;
}

void help_family(const char *first)
{
	for (size_t i = 0; commands[i] != NULL; i++) {
		if (is_of_family(commands[i]->name, first))
			printf("  %-28s%s\n", commands[i]->name, commands[i]->summary);
	}
	printf("\n'esbridge help %s WORD' says more.\n", first);
}

void help_all(void)
{
	puts("usage: esbridge [OPTION]... COMMAND [ARGUMENT]...\n\n"
	     "EventStoreDB from the shell, through esbridged. 'esbridge help COMMAND' says more.\n");
	for (size_t i = 0; commands[i] != NULL; i++) {
		const struct command *c = commands[i];
		int len = (int)strcspn(c->name, " ");

		if (c->hidden || (c->name[len] == ' ' && c->family == NULL))
			continue;
		printf("  %.*s%*s%s\n", len, c->name, COMMAND_COLUMN - len, "",
		       c->family != NULL ? c->family : c->summary);
	}
	puts("\nOptions of every command:");
	print_options(common_options);
	puts("\nExit status: 0, or one of sysexits(3), see esbridge(1): 64 mistake on the command\n"
	     "line, 65 in the data, 66 no such stream, 69 no daemon or no store, 73 not as\n"
	     "expected, 75 try again later, 77 not allowed.");
}

static int run_help(struct cli *cli)
{
	const struct command *command;
	int used;

	if (cli->count == 0) {
		help_all();
		return EX_OK;
	}
	command = command_find(cli->arguments, cli->count, &used);
	if (command == NULL && used == 1 && cli->count == 1)
		help_family(cli->arguments[0]);
	else if (command == NULL)
		return fail(EX_USAGE, "help: there is no command '%s%s%s'", cli->arguments[0],
			    cli->count > 1 ? " " : "", cli->count > 1 ? cli->arguments[1] : "");
	else
		help_command(command);
	return EX_OK;
}

const struct command command_help = {
	.name = "help",
	.arguments = "[COMMAND]",
	.summary = "print the help of a command",
	.help = "Prints the help of a command, or the list of all commands.",
	.most = 2,
	.run = run_help,
};
