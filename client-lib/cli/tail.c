#include <stddef.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/mem.h"
#include "cli.h"
#include "commands.h"
#include "output.h"
#include "select.h"
#include "wait.h"

enum { PAGE = 500, LAST_MOST = 1000000, LAST_DEFAULT = 10 };

struct tail_options {
	struct select_options select;
	struct place from;
	int64_t last;
	int64_t count;
	bool follow;
};

static const struct option_row rows[] = {
	{ "last", 'n', OPTION_INTEGER, offsetof(struct tail_options, last), "N", 0, LAST_MOST, NULL,
	  "the last N events, 10 unless given" },
	{ "from", 0, OPTION_PLACE, offsetof(struct tail_options, from), "PLACE", 0, 0, place_words,
	  "in place of -n: from there, and go on as with -f" },
	{ "follow", 'f', OPTION_FLAG, offsetof(struct tail_options, follow), NULL, 0, 0, NULL,
	  "go on with what is written from now on, until SIGINT" },
	{ "count", 'c', OPTION_INTEGER, offsetof(struct tail_options, count), "N", 1, INT64_MAX,
	  NULL, "end after N events" },
	SELECT_ROWS(struct tail_options),
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct tail_options defaults = { .last = LAST_DEFAULT, .count = INT64_MAX };

struct tail {
	struct cli *cli;
	const struct tail_options *options;
	struct selection selection;
	struct esbridge_subscribe subscribe; /* where following begins */
	int64_t left;                        /* events that may still be printed */
	bool ended;                          /* there will be no more */
};

/* The last events --------------------------------------------------------------------------------- */

/* Pages read from the end, the newest first. */
struct pages {
	struct esbridge_message **messages;
	size_t count, size;
	size_t events;
};

static void pages_add(struct pages *p, struct esbridge_message *message)
{
	if (p->count == p->size) {
		size_t size = p->size == 0 ? 16 : 2 * p->size;
		struct esbridge_message **messages =
			mem_new(size * sizeof(struct esbridge_message *));

		for (size_t i = 0; i < p->count; i++)
			messages[i] = p->messages[i];
		free(p->messages);
		p->messages = messages;
		p->size = size;
	}
	p->messages[p->count++] = message;
	p->events += message->record_count;
}

static void pages_free(struct pages *p)
{
	for (size_t i = 0; i < p->count; i++)
		esbridge_message_free(p->messages[i]);
	free(p->messages);
}

static int print_record(struct tail *t, const struct esbridge_record *record)
{
	int status = event_print(&t->selection.format, record);

	if (--t->left <= 0)
		t->ended = true;
	return status;
}

/* Prints what was read, the oldest first. */
static int print_pages(struct tail *t, const struct pages *pages)
{
	int status = EX_OK;

	for (size_t i = pages->count; i > 0; i--) {
		const struct esbridge_message *m = pages->messages[i - 1];

		for (size_t r = m->record_count; r > 0 && status == EX_OK && !t->ended; r--)
			status = print_record(t, &m->records[r - 1]);
	}
	return status;
}

/*
 * A stream that does not exist yet, or has nothing in it, can be followed. Returns 0 or an exit
 * status.
 */
static int no_events(const struct tail *t)
{
	enum esbridge_code code = esbridge_error(t->cli->bridge)->code;

	return t->options->follow && code == ESBRIDGE_E_NO_STREAM ? EX_OK
								  : cli_fault(t->cli, "tail");
}

static int read_last(struct tail *t, struct pages *pages)
{
	struct esbridge_read read = {
		.size = sizeof(read),
		.stream = t->selection.stream,
		.backward = true,
		.keep_links = t->options->select.keep_links,
		.filter = t->selection.filter,
	};
	int64_t wanted = t->options->last;
	bool more = true;

	while (more && wanted > (int64_t)pages->events) {
		int64_t left = wanted - (int64_t)pages->events;
		struct esbridge_message *page;

		read.max_count = left < PAGE ? (int)left : PAGE;
		page = esbridge_read(t->cli->bridge, &read, &t->cli->request);
		if (page == NULL)
			return no_events(t);
		pages_add(pages, page);
		read.from = read.stream != NULL ? ESBRIDGE_FROM_NUMBER : ESBRIDGE_FROM_POSITION;
		read.number = page->next_event_number;
		read.position = page->next_position;
		more = !selection_is_end(&t->selection, page);
	}
	return EX_OK;
}

/* Following begins behind the last event: in a stream that has the next number, in the log it is
 * where the log ended when it was read. */
static void follow_behind(struct tail *t, const struct pages *pages)
{
	const struct esbridge_message *first = pages->count > 0 ? pages->messages[0] : NULL;
	const struct esbridge_record *last;

	t->subscribe.from = ESBRIDGE_FROM_START;
	if (first == NULL)
		return;
	if (t->selection.stream == NULL) {
		t->subscribe.from = ESBRIDGE_FROM_POSITION;
		t->subscribe.position = first->position;
	} else if (first->record_count > 0) {
		last = &first->records[0];
		t->subscribe.from = ESBRIDGE_FROM_NUMBER;
		t->subscribe.number = (last->link != NULL ? last->link : last->event)->number + 1;
	}
}

static int print_last(struct tail *t)
{
	struct pages pages = { 0 };
	int status = read_last(t, &pages);

	follow_behind(t, &pages);
	if (status == EX_OK)
		status = print_pages(t, &pages);
	pages_free(&pages);
	return status;
}

/* Following --------------------------------------------------------------------------------------- */

static int dropped(struct tail *t, const struct esbridge_message *message)
{
	char *reason = mem_text_of(message->reason.at, message->reason.len);
	int status = fail_code("tail", reason, "the subscription was ended");

	free(reason);
	t->ended = true;
	return status;
}

static void notice(const struct tail *t, const struct esbridge_message *message)
{
	if (t->cli->common.quiet)
		return;
	if (message->push == ESBRIDGE_PUSH_INTERRUPTED)
		say("tail: interrupted (%.*s), waiting", ESBRIDGE_PRINT(message->reason));
	else if (message->push == ESBRIDGE_PUSH_RESUMED)
		say("tail: goes on%s", message->gap ? "; events may have been missed" : "");
	else if (message->push == ESBRIDGE_PUSH_STREAM_DELETED)
		say("tail: the stream was deleted%s", message->hard ? " for good" : "");
}

static int take(struct tail *t, const struct esbridge_message *message)
{
	const struct esbridge_record *record = message->records;

	if (message->kind == ESBRIDGE_ERROR) {
		t->ended = true;
		return cli_refused("tail", message);
	}
	if (message->push == ESBRIDGE_PUSH_DROPPED)
		return dropped(t, message);
	if (message->push != ESBRIDGE_PUSH_EVENT) {
		notice(t, message);
		return EX_OK;
	}
	return print_record(t, record);
}

/* Prints all that has come. */
static int take_all(struct tail *t)
{
	struct esbridge_message *message;
	int status = EX_OK;
	int got = 0;

	while (status == EX_OK && !t->ended &&
	       (got = esbridge_next(t->cli->bridge, 0, &message)) > 0) {
		status = take(t, message);
		esbridge_message_free(message);
	}
	return got < 0 ? cli_fault(t->cli, "tail") : status;
}

static int follow(struct tail *t)
{
	int status = EX_OK;

	if (esbridge_subscribe(t->cli->bridge, &t->subscribe, &t->cli->request) == NULL)
		return cli_fault(t->cli, "tail");
	while (status == EX_OK && !t->ended) {
		unsigned wake;

		status = take_all(t);
		if (status != EX_OK || t->ended)
			break;
		wake = cli_wait(t->cli, -1, -1);
		if (wake & (WAKE_SIGNAL | WAKE_NO_READER))
			t->ended = true;
		else if (wake & WAKE_FAULT)
			status = cli_fault(t->cli, "tail");
	}
	return status;
}

/* ------------------------------------------------------------------------------------------------- */

static int run_with(struct tail *t)
{
	const struct place *from = &t->options->from;
	int status = EX_OK;

	t->subscribe = (struct esbridge_subscribe){
		.size = sizeof(t->subscribe),
		.stream = t->selection.stream,
		.mode = "catchup",
		.keep_links = t->options->select.keep_links,
		.filter = t->selection.filter,
	};
	if (from->from != ESBRIDGE_FROM_DEFAULT) {
		t->subscribe.from = from->from;
		t->subscribe.number = from->number;
		t->subscribe.position = from->position;
	} else if (t->options->last == 0) {
		t->subscribe.from = ESBRIDGE_FROM_END;
	} else {
		status = print_last(t);
	}
	if (from->from == ESBRIDGE_FROM_DEFAULT && !t->options->follow)
		t->ended = true;
	if (status == EX_OK && !t->ended)
		status = follow(t);
	return status;
}

static int run_tail(struct cli *cli)
{
	const struct tail_options *options = cli->options;
	struct tail t = { .cli = cli, .options = options, .left = options->count };
	int status = selection_make(&t.selection, cli, &options->select);

	if (status == EX_OK)
		status = selection_place(&t.selection, "--from", &options->from);
	if (status == EX_OK) {
		if (options->follow || options->from.from != ESBRIDGE_FROM_DEFAULT) {
			signals_catch();
			status = cli_connect_lasting(cli);
		} else {
			status = cli_connect(cli);
		}
	}
	if (status == EX_OK)
		status = run_with(&t);
	selection_free(&t.selection);
	return status;
}

const struct command command_tail = {
	.name = "tail",
	.arguments = "STREAM|--all",
	.summary = "print the last events, and those to come",
	.help = "Prints the last events of a stream, or of all; with -f those that are written from "
		"then on too. When esbridged or the store is restarted it goes on.",
	.notes = event_format_help,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_tail,
};
