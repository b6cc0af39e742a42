/*
 * What the shells complete: the files in completions/ ask this command, so that they know what the
 * tables know.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "commands.h"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static void offer(const char *word, const char *text)
{
	printf("%s\t%s\n", word, text);
}

/* Options whose long form begins with WORD. */
static void offer_options(const struct option_row *rows, const char *word)
{
	for (; rows != NULL && rows->name != NULL; rows++) {
		if (begins("--", word) || begins(rows->name, word + 2))
			printf("--%s\t%s\n", rows->name, rows->text);
	}
}

static void offer_choices(const struct option_row *row, const char *word)
{
	for (int i = 0; row->choices != NULL && row->choices[i] != NULL; i++) {
		if (begins(row->choices[i], word))
			offer(row->choices[i], row->argument);
	}
}

/* Commands, or their second words where FIRST is the word before. */
static void offer_commands(const char *first, const char *word)
{
	const char *last = "";
	size_t last_len = 0;

	for (size_t i = 0; commands[i] != NULL; i++) {
		const char *name = commands[i]->name;
		size_t len = strcspn(name, " ");

		if (commands[i]->hidden)
			continue;
		if (first != NULL) {
			if (name[len] == ' ' && strlen(first) == len && begins(name, first) &&
			    begins(name + len + 1, word))
				offer(name + len + 1, commands[i]->summary);
		} else if (begins(name, word) &&
			   (len != last_len || memcmp(name, last, len) != 0)) {
			printf("%.*s\t%s\n", (int)len, name,
			       commands[i]->family != NULL ? commands[i]->family
							   : commands[i]->summary);
		}
		last = name;
		last_len = len;
	}
}

/* The words so far: the command, and whether the last one waits for its argument. */
struct situation {
	char *words[2]; /* of the command */
	int count;
	const struct command *command;
	const struct option_row *open; /* the option whose argument comes next */
	bool ended;                    /* after "--" */
};

static void look_at(struct situation *s, char *word)
{
	int used;

	if (s->open != NULL) {
		/* bash makes three words of --option=word. */
		if (strcmp(word, "=") != 0)
			s->open = NULL;
	} else if (strcmp(word, "--") == 0) {
		s->ended = true;
	} else if (*word == '-') {
		s->open = option_find(common_options, word);
		if (s->open == NULL && s->command != NULL)
			s->open = option_find(s->command->options, word);
		if (s->open != NULL && s->open->kind == OPTION_FLAG)
			s->open = NULL;
	} else if (s->command == NULL && s->count < 2) {
		s->words[s->count++] = word;
		s->command = command_find(s->words, s->count, &used);
		/* The words behind "help" are those of a command. */
		if (s->command == &command_help)
			*s = (struct situation){ 0 };
	}
}

static int run_complete(struct cli *cli)
{
	struct situation s = { 0 };
	const char *word = cli->count > 0 ? cli->arguments[cli->count - 1] : "";

	for (int i = 0; i < cli->count - 1; i++)
		look_at(&s, cli->arguments[i]);
	if (s.open != NULL) {
		offer_choices(s.open, word);
	} else if (s.ended) {
		/* The words of another command are none of ours. */
	} else if (*word == '-') {
		if (s.command != NULL)
			offer_options(s.command->options, word);
		offer_options(common_options, word);
	} else if (s.command == NULL) {
		offer_commands(s.count > 0 ? s.words[0] : NULL, word);
	}
	return 0;
}

const struct command command_complete = {
	.name = "complete",
	.arguments = "-- [WORD]...",
	.summary = "print how the last word may go on, for the shells",
	.help = "Prints how the last word may go on, for the completion of bash and zsh: a word, "
		"a tab and what it means on each line.",
	.most = -1,
	.hidden = true,
	.run = run_complete,
};
