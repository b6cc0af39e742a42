/*
 * Options of the command line, by table: the same rows parse, explain themselves in the help, and
 * are what the shells complete.
 */
#ifndef ESBRIDGE_CLI_OPTIONS_H
#define ESBRIDGE_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "esbridge.h"

/* What a row makes of its argument, and the type of the member that takes it. */
enum option_kind {
	OPTION_FLAG,    /* bool: has no argument */
	OPTION_TEXT,    /* const char *: the word of argv itself */
	OPTION_FILE,    /* const char *: the same, a path */
	OPTION_INTEGER, /* int64_t: least to most */
	OPTION_TIME,    /* int64_t: milliseconds, least to most; "5", "5s", "500ms", "2m", "1h" */
	OPTION_CHOICE,  /* int: the index of the word in `choices` */
	OPTION_VERSION, /* int64_t: an expected version, "any", "no_stream", "stream_exists", N */
	OPTION_PLACE,   /* struct place: "start", "end", a number, COMMIT/PREPARE */
};

/* A place in a stream or in the log. */
struct place {
	enum esbridge_from from;           /* ESBRIDGE_FROM_DEFAULT: not given */
	int64_t number;                    /* with FROM_NUMBER; */
	struct esbridge_position position; /* with FROM_POSITION; */
};

struct option_row {
	const char *name; /* of the long form, without its dashes; NULL ends a table */
	char letter;      /* of the short form, or 0 */
	enum option_kind kind;
	size_t at;            /* offset of the member in the structure of the values */
	const char *argument; /* its name in the help */
	int64_t least, most;
	const char *const *choices; /* ends with NULL; also words for the shells to complete */
	const char *text;           /* for the help: what it does, on one line */
};

/* A table and the structure that its values go to. */
struct option_set {
	const struct option_row *rows;
	void *values;
};

enum { OPTION_SETS_MOST = 2 };

/*
 * Reads options from ARGV with getopt_long(3), into the first COUNT of SETS (at most
 * OPTION_SETS_MOST); the words that are none are moved behind them, unless FIRST_ONLY: then it
 * stops at the first of those. What follows "--" is no option. Returns the index of the first word
 * that is no option, or -1 after a mistake, which was told on standard error with WHO before it.
 */
int options_read(const struct option_set *sets, size_t count, int argc, char **argv,
		 bool first_only, const char *who);

/*
 * Reads TEXT as the argument of ROW into VALUES. Returns false with what is wrong and what is
 * accepted in FAULT.
 */
bool option_set(const struct option_row *row, void *values, const char *text, char *fault,
		size_t size);

/* The words that OPTION_VERSION and OPTION_PLACE take, for `choices`. */
extern const char *const version_words[];
extern const char *const place_words[];

/* Reads a place. Returns false where TEXT is none. */
bool place_read(const char *text, struct place *place);

/* The row of ROWS that WORD names ("-n", "--count"), or NULL. */
const struct option_row *option_find(const struct option_row *rows, const char *word);

#endif
