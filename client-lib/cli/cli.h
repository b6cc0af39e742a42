/*
 * What the commands of esbridge(1) share.
 *
 * A command is a file that defines a struct command, and a row in commands.c. Its function gets
 * what the command line said and returns an exit status of sysexits(3); whatever it has to say
 * about a failure it says itself, once, with fail() or one of its relatives.
 */
#ifndef ESBRIDGE_CLI_CLI_H
#define ESBRIDGE_CLI_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esbridge.h"
#include "fault.h"
#include "options.h"

enum color_choice { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* The options of every command. */
struct common {
	const char *socket; /* NULL: the library's default */
	int64_t timeout_ms; /* 0: not given */
	const char *user;   /* with a password file, or NULL */
	const char *password_file;
	int color; /* enum color_choice */
	bool quiet;
	bool help;
	bool version;
};

struct cli {
	struct common common;
	const struct command *command;
	const void *options; /* the command's own, of its `size` */
	char **arguments;    /* the words that are no options; ends with NULL */
	int count;

	/* From cli_connect() on: the connection, and what goes with each request on it. */
	struct esbridge *bridge;
	struct esbridge_request request;
	char *password;
};

struct command {
	const char *name;      /* one word, or two: "group create" */
	const char *arguments; /* for the help: "STREAM TYPE [DATA|-]" */
	const char *summary;   /* a few words, for the list of commands */
	const char *family;    /* the same of all with its first word, on the first of them */
	const char *help;      /* what it does; lines are broken where it is printed */
	const char *notes;     /* what stands below the options, or NULL */
	int least, most;       /* words that are no options; -1: any number */
	const struct option_row *options; /* NULL: none of its own */
	const void *defaults;             /* of the values of the options */
	size_t size;                      /* of that structure */
	bool hidden;                      /* left out of the list of commands */
	int (*run)(struct cli *cli);
};

/* In the initializer of a struct command: its own options, and their VALUES where none are given.
 */
#define OPTIONS(rows, values) .options = (rows), .defaults = &(values), .size = sizeof(values)

/* All commands, in the order of the help; ends with NULL. */
extern const struct command *const commands[];

/* The options of every command. */
extern const struct option_row common_options[];

/*
 * The command that the first of COUNT WORDS name, *USED of them. NULL where there is none: *USED is
 * then 1 where the first word begins commands of two words, else 0.
 */
const struct command *command_find(char *const *words, int count, int *used);

/*
 * Connects to the daemon with what the common options say. A connection that is lost stays lost;
 * with cli_connect_lasting() the library connects again, for commands that go on until they are
 * told to end. Returns 0 with cli->bridge and cli->request set, or an exit status after a failure,
 * which was told. main() closes.
 */
int cli_connect(struct cli *cli);
int cli_connect_lasting(struct cli *cli);

/* Says why the last call of the library failed, with WHAT before it. Returns the exit status. */
int cli_fault(const struct cli *cli, const char *what);

/* Says of an ESBRIDGE_ERROR message why WHAT failed. Returns the exit status. */
int cli_refused(const char *what, const struct esbridge_message *message);

/* SPAN as a value of jansson's for the caller to release, or NULL where it is none, which was told.
 */
struct json_t *cli_json(const struct cli *cli, struct esbridge_span span);

/*
 * Prints REPLY, which it frees: with JSON the daemon's answer as it is, else what PRINT makes of
 * it. Returns 0 or an exit status.
 */
int cli_answer(const struct cli *cli, struct esbridge_message *reply, bool json,
	       void (*print)(const struct cli *cli, const struct json_t *ok));

/* Where standard input is a terminal, says that WHAT is read from it. */
void cli_say_terminal(const struct cli *cli, const char *what);

/* Ends the connection and forgets the password. */
void cli_close(struct cli *cli);

/* True where what goes to standard output should have colours. */
bool cli_color(const struct cli *cli);

/* Help on standard output: of a command, of those whose first word is FIRST, of all. */
void help_command(const struct command *command);
void help_family(const char *first);
void help_all(void);

#endif
