/*
 * What the commands that print events have in common: which events, and how they look.
 */
#ifndef ESBRIDGE_CLI_SELECT_H
#define ESBRIDGE_CLI_SELECT_H

#include "cli.h"
#include "event_format.h"

struct select_options {
	bool all;
	int output; /* enum event_output */
	const char *format;
	bool keep_links;
	bool headers; /* no payload */
	const char *filters[4];
};

/* Rows for a table of options whose structure has a `struct select_options` named `select`. */
#define SELECT_AT(type, member) offsetof(type, select.member)
#define SELECT_ROWS(type) \
	{ "all", \
	  'a', \
	  OPTION_FLAG, \
	  SELECT_AT(type, all), \
	  NULL, \
	  0, \
	  0, \
	  NULL, \
	  "all streams, in place of STREAM" }, \
		{ "output", \
		  'o', \
		  OPTION_CHOICE, \
		  SELECT_AT(type, output), \
		  "HOW", \
		  0, \
		  0, \
		  event_outputs, \
		  "ndjson (the default), JSON lines, or pretty" }, \
		{ "format", 'F', OPTION_TEXT, SELECT_AT(type, format),         "TEXT", \
		  0,        0,   NULL,        "print TEXT for each, see below" }, \
		{ "keep-links", \
		  'L', \
		  OPTION_FLAG, \
		  SELECT_AT(type, keep_links), \
		  NULL, \
		  0, \
		  0, \
		  NULL, \
		  "print links, not the events that they lead to" }, \
		{ "headers", 'H', OPTION_FLAG, SELECT_AT(type, headers),     NULL, \
		  0,         0,   NULL,        "leave out data and metadata" }, \
		{ "stream-prefix", \
		  0, \
		  OPTION_TEXT, \
		  SELECT_AT(type, filters[0]), \
		  "TEXT", \
		  0, \
		  0, \
		  NULL, \
		  "with --all: streams that begin so" }, \
		{ "stream-regex", \
		  0, \
		  OPTION_TEXT, \
		  SELECT_AT(type, filters[1]), \
		  "TEXT", \
		  0, \
		  0, \
		  NULL, \
		  "with --all: streams that match" }, \
		{ "type-prefix", \
		  0, \
		  OPTION_TEXT, \
		  SELECT_AT(type, filters[2]), \
		  "TEXT", \
		  0, \
		  0, \
		  NULL, \
		  "with --all: events whose type begins so" }, \
	{ \
		"type-regex", 0, OPTION_TEXT, SELECT_AT(type, filters[3]), "TEXT", 0, 0, NULL, \
			"with --all: events whose type matches" \
	}

/* What the options come to. */
struct selection {
	const char *stream; /* NULL: all streams */
	const char *filter; /* JSON, or NULL */
	struct buffer filter_text;
	struct event_format format;
};

/*
 * Checks the options and the words that are no options (the stream, or none with --all) and fills
 * S, and the payload of cli->request. Returns 0 or an exit status after a mistake, which was told.
 * selection_free() follows in any case.
 */
int selection_make(struct selection *s, struct cli *cli, const struct select_options *options);
void selection_free(struct selection *s);

/*
 * Checks that PLACE, the argument of OPTION, is one of a stream or of all streams, whichever S is.
 * Returns 0 or an exit status.
 */
int selection_place(const struct selection *s, const char *option, const struct place *place);

/* True where PAGE, the reply to a read, is the last one. */
bool selection_is_end(const struct selection *s, const struct esbridge_message *page);

#endif
