#include <stddef.h>
#include <sysexits.h>

#include "cli.h"
#include "commands.h"
#include "output.h"
#include "select.h"

enum { PAGE = 500 };

struct read_options {
	struct select_options select;
	struct place from;
	struct place to;
	int64_t count;
	bool backward;
};

static const struct option_row rows[] = {
	{ "from", 'f', OPTION_PLACE, offsetof(struct read_options, from), "PLACE", 0, 0,
	  place_words, "the first one: number, start, end, COMMIT/PREPARE" },
	{ "to", 't', OPTION_PLACE, offsetof(struct read_options, to), "PLACE", 0, 0, place_words,
	  "the last one, printed too" },
	{ "count", 'n', OPTION_INTEGER, offsetof(struct read_options, count), "N", 1, INT64_MAX,
	  NULL, "at most so many" },
	{ "backward", 'b', OPTION_FLAG, offsetof(struct read_options, backward), NULL, 0, 0, NULL,
	  "from the end, or --from, towards the start" },
	SELECT_ROWS(struct read_options),
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct read_options defaults = { .count = INT64_MAX };

/* A read in pages; the next one is asked for before one is printed. */
struct reading {
	struct cli *cli;
	const struct read_options *options;
	struct selection selection;
	struct esbridge_read next; /* what the next page is asked for with */
	int64_t left;              /* events that may still be printed */
};

static int64_t ask(struct reading *r)
{
	r->next.max_count = r->left < PAGE ? (int)r->left : PAGE;
	return esbridge_start_read(r->cli->bridge, &r->next, &r->cli->request);
}

/* True where RECORD is behind the last one that is wanted. */
static bool is_beyond(const struct reading *r, const struct esbridge_record *record)
{
	const struct place *to = &r->options->to;
	const struct esbridge_event *place = record->link != NULL ? record->link : record->event;
	int64_t at = 0;
	int64_t last = 0;

	if (to->from == ESBRIDGE_FROM_NUMBER) {
		at = place->number;
		last = to->number;
	} else if (to->from == ESBRIDGE_FROM_POSITION) {
		at = record->position.commit;
		last = to->position.commit;
		if (at == last) {
			at = record->position.prepare;
			last = to->position.prepare;
		}
	}
	return r->options->backward ? at < last : at > last;
}

/* Prints a page. False where the last one that is wanted was in it. */
static bool print_page(struct reading *r, const struct esbridge_message *page, int *status)
{
	for (size_t i = 0; i < page->record_count && *status == EX_OK; i++) {
		if (r->left == 0 || is_beyond(r, &page->records[i]))
			return false;
		*status = event_print(&r->selection.format, &page->records[i]);
		r->left--;
	}
	return *status == EX_OK;
}

/* Where the page after PAGE begins. False where there is none. */
static bool go_on(struct reading *r, const struct esbridge_message *page)
{
	if (selection_is_end(&r->selection, page) || (uint64_t)r->left <= page->record_count)
		return false;
	r->next.from = r->selection.stream != NULL ? ESBRIDGE_FROM_NUMBER : ESBRIDGE_FROM_POSITION;
	r->next.number = page->next_event_number;
	r->next.position = page->next_position;
	return true;
}

static int read_pages(struct reading *r)
{
	int64_t id = ask(r);
	int status = EX_OK;

	while (id != 0 && status == EX_OK) {
		struct esbridge_message *page = esbridge_wait(r->cli->bridge, id);

		if (page == NULL)
			return cli_fault(r->cli, "read");
		id = go_on(r, page) ? ask(r) : 0;
		if (!print_page(r, page, &status) || !output_flush())
			id = 0;
		esbridge_message_free(page);
	}
	return status;
}

/* Checks the command line. Returns 0 or an exit status. */
static int prepare(struct reading *r)
{
	const struct read_options *options = r->options;
	int status = selection_make(&r->selection, r->cli, &options->select);

	if (status == EX_OK)
		status = selection_place(&r->selection, "--from", &options->from);
	if (status == EX_OK)
		status = selection_place(&r->selection, "--to", &options->to);
	r->next = (struct esbridge_read){
		.size = sizeof(r->next),
		.stream = r->selection.stream,
		.backward = options->backward,
		.from = options->from.from,
		.number = options->from.number,
		.position = options->from.position,
		.keep_links = options->select.keep_links,
		.filter = r->selection.filter,
	};
	return status;
}

static int run_read(struct cli *cli)
{
	const struct read_options *options = cli->options;
	struct reading r = { .cli = cli, .options = options, .left = options->count };
	int status = prepare(&r);

	if (status == EX_OK)
		status = cli_connect(cli);
	if (status == EX_OK)
		status = read_pages(&r);
	selection_free(&r.selection);
	return status;
}

const struct command command_read = {
	.name = "read",
	.arguments = "STREAM|--all",
	.summary = "print events",
	.help = "Prints the events of a stream, or of all, one after the other.",
	.notes = event_format_help,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_read,
};
