/*
 * export: a stream as lines of JSON, from which import makes it again, byte for byte.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/json_walk.h"
#include "base/json_write.h"
#include "body.h"
#include "cli.h"
#include "commands.h"
#include "progress.h"
#include "wait.h"

enum { PAGE = 500, DEPTH = 512, TOKENS_MOST = 1000000, TAIL_PIECE = 65536, NAME_MOST = 200 };

struct export_options {
	struct place from;
	struct place to;
	const char *file;
};

static const struct option_row rows[] = {
	{ "from", 'f', OPTION_PLACE, offsetof(struct export_options, from), "NUMBER", 0, 0,
	  place_words, "the first event; the start" },
	{ "to", 't', OPTION_PLACE, offsetof(struct export_options, to), "NUMBER", 0, 0, place_words,
	  "the last event; what is the last one at the start" },
	{ "append", 'a', OPTION_FILE, offsetof(struct export_options, file), "FILE", 0, 0, NULL,
	  "into FILE, behind the last event that is there" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct export_options defaults;

struct export
{
	struct cli *cli;
	const struct export_options *options;
	int fd; /* what is written to */
	struct esbridge_read next;
	int64_t last; /* the last event that is wanted */
	int64_t count;
	struct buffer out;
	struct json_doc doc; /* to tell JSON from what only says so */
	struct progress progress;
};

/* Lines ------------------------------------------------------------------------------------------ */

/*
 * True where the bytes can stand in a line as they are: one JSON text without line breaks, and
 * without a byte order mark, which is none of JSON.
 */
static bool fits_line(struct export *x, struct esbridge_span bytes)
{
	return bytes.len > 0 && memchr(bytes.at, '\n', bytes.len) == NULL &&
	       memchr(bytes.at, '\r', bytes.len) == NULL &&
	       json_parse(&x->doc, bytes.at, bytes.len) && x->doc.tokens[0].at == 0 &&
	       x->doc.tokens[0].len == bytes.len;
}

/* JSON as it is where it is flagged so and can be; all else in base64, in which it came. */
static void add_payload(struct export *x, const char *name, const char *base64_name, bool is_json,
			struct esbridge_span bytes, struct esbridge_span base64)
{
	if (bytes.len == 0)
		return;
	if (is_json && fits_line(x, bytes)) {
		json_key(&x->out, name);
		buffer_add(&x->out, bytes.at, bytes.len);
	} else {
		json_key(&x->out, base64_name);
		json_quoted(&x->out, base64.at, base64.len);
	}
}

static void add_span(struct export *x, const char *name, struct esbridge_span text)
{
	json_key(&x->out, name);
	json_quoted(&x->out, text.at != NULL ? text.at : "", text.len);
}

/* False where the daemon's base64 is none. */
static bool add_event(struct export *x, const struct esbridge_event *event)
{
	struct esbridge_span data, metadata;
	bool is_json = event->data_content_type == 1;

	if (esbridge_event_data(event, &data) != 0 ||
	    esbridge_event_metadata(event, &metadata) != 0)
		return false;
	buffer_add_byte(&x->out, '{');
	add_span(x, "event_stream_id", event->stream);
	body_int(&x->out, "event_number", event->number);
	add_span(x, "event_id", event->id);
	add_span(x, "event_type", event->type);
	body_int(&x->out, "data_content_type", event->data_content_type);
	add_span(x, "created", event->created);
	add_payload(x, "data", "data_base64", is_json, data, event->raw_data);
	add_payload(x, "metadata", "metadata_base64", is_json, metadata, event->raw_metadata);
	buffer_add(&x->out, "}\n", 2);
	return true;
}

static int write_out(struct export *x)
{
	if (x->out.failed)
		return fail(EX_OSERR, "export: out of memory");
	while (buffer_len(&x->out) > 0) {
		ssize_t n = write(x->fd, buffer_at(&x->out), buffer_len(&x->out));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EPIPE ? EX_IOERR
					      : fail(EX_IOERR, "export: %s: %s",
						     x->options->file != NULL ? x->options->file
									      : "standard output",
						     strerror(errno));
		buffer_consume(&x->out, (size_t)n);
	}
	return EX_OK;
}

/* Pages ------------------------------------------------------------------------------------------ */

static int take_page(struct export *x, const struct esbridge_message *page, bool *more)
{
	for (size_t i = 0; i < page->record_count; i++) {
		const struct esbridge_event *event = page->records[i].event;

		if (event->number > x->last) {
			*more = false;
			break;
		}
		if (!add_event(x, event))
			return fail(EX_PROTOCOL,
				    "export: the data of event %" PRId64 " is no base64",
				    event->number);
		x->count++;
		progress_tell(&x->progress, x->count, event->number, x->last);
	}
	x->next.from = ESBRIDGE_FROM_NUMBER;
	x->next.number = page->next_event_number;
	*more = *more && !page->is_end_of_stream && x->next.number <= x->last;
	return write_out(x);
}

/* The payload is asked for in base64: as JSON its line breaks would be lost. */
static int export_pages(struct export *x)
{
	struct esbridge_request request = x->cli->request;
	int status = EX_OK;
	bool more = true;
	bool first = x->last == INT64_MAX;

	request.payload = "base64";
	while (more && status == EX_OK && !signals_caught()) {
		struct esbridge_message *page = esbridge_read(x->cli->bridge, &x->next, &request);

		if (page == NULL)
			return cli_fault(x->cli, "export");
		if (first && page->last_event_number >= 0)
			x->last = page->last_event_number;
		first = false;
		status = take_page(x, page, &more);
		esbridge_message_free(page);
	}
	return status;
}

/* Going on behind a file ------------------------------------------------------------------------- */

/* Cuts off what stands behind the last line end of the SIZE bytes, and finds where the last line
 * begins. */
static bool find_last_line(int fd, off_t size, off_t *begins, off_t *ends)
{
	char piece[TAIL_PIECE];

	*begins = *ends = 0;
	for (off_t at = size; at > 0;) {
		size_t len = at < (off_t)sizeof(piece) ? (size_t)at : sizeof(piece);
		ssize_t got = pread(fd, piece, len, at - (off_t)len);

		if (got != (ssize_t)len)
			return false;
		for (size_t i = len; i > 0; i--) {
			if (piece[i - 1] != '\n')
				continue;
			if (*ends == 0) {
				*ends = at - (off_t)len + (off_t)i;
			} else {
				*begins = at - (off_t)len + (off_t)i;
				return true;
			}
		}
		at -= (off_t)len;
	}
	return true;
}

/* The number in the member event_number of the LEN bytes at LINE, -1 where there is none; and that
 * it is an event of STREAM. */
static int64_t number_of_line(struct export *x, const char *line, size_t len)
{
	const char *wanted = x->cli->arguments[0];
	const struct json_token *value;
	uint32_t stream, number;

	if (!json_parse(&x->doc, line, len) || x->doc.tokens[0].kind != JSON_OBJECT)
		return -1;
	stream = member_in(&x->doc, "event_stream_id");
	number = member_in(&x->doc, "event_number");
	value = &x->doc.tokens[number];
	if (stream == 0 || x->doc.tokens[stream].kind != JSON_STRING ||
	    !json_string_is(&x->doc, stream, wanted, strlen(wanted)) || number == 0 ||
	    value->kind != JSON_NUMBER || value->len >= 20)
		return -1;
	return strtoll(line + value->at, NULL, 10);
}

/* What stands behind the last line end is cut off where it can be the beginning of an event: it is
 * that of an export which was killed. */
static bool may_be_cut(const struct export *x, off_t ends, off_t size)
{
	static const char begins[] = "{\"event_stream_id\":";
	char piece[sizeof(begins) - 1];
	size_t len =
		(uint64_t)(size - ends) < sizeof(piece) ? (size_t)(size - ends) : sizeof(piece);

	return pread(x->fd, piece, len, ends) == (ssize_t)len && memcmp(piece, begins, len) == 0;
}

static int go_on_behind(struct export *x, off_t begins, off_t ends)
{
	struct buffer line = { 0 };
	uint8_t *room = buffer_room(&line, (size_t)(ends - begins));
	int64_t number = -1;

	if (room != NULL && pread(x->fd, room, (size_t)(ends - begins), begins) == ends - begins)
		number = number_of_line(x, (const char *)room, (size_t)(ends - begins) - 1);
	buffer_free(&line);
	if (number < 0)
		return fail(EX_DATAERR, "export: the last line of %s is no event of stream '%.*s'",
			    x->options->file, NAME_MOST, x->cli->arguments[0]);
	x->next.from = ESBRIDGE_FROM_NUMBER;
	x->next.number = number + 1;
	return EX_OK;
}

/* Half a line at the end is that of an export that was killed; it is written again, whole. */
static int open_file(struct export *x)
{
	off_t begins = 0, ends = 0;
	struct stat st;
	int status = EX_OK;

	x->fd = open(x->options->file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (x->fd < 0)
		return fail(EX_CANTCREAT, "export: %s: %s", x->options->file, strerror(errno));
	if (fstat(x->fd, &st) != 0 || !S_ISREG(st.st_mode))
		return fail(EX_CANTCREAT, "export: %s is no file to go on with", x->options->file);
	if (!find_last_line(x->fd, st.st_size, &begins, &ends))
		return fail(EX_IOERR, "export: %s: %s", x->options->file, strerror(errno));
	if (!may_be_cut(x, ends, st.st_size))
		return fail(EX_DATAERR, "export: what stands at the end of %s is no event",
			    x->options->file);
	if (ends > 0)
		status = go_on_behind(x, begins, ends);
	if (status == EX_OK && (ftruncate(x->fd, ends) != 0 || lseek(x->fd, ends, SEEK_SET) < 0))
		status = fail(EX_IOERR, "export: %s: %s", x->options->file, strerror(errno));
	return status;
}

/* A stream that does not exist leaves no file behind. */
static int find_stream(const struct export *x)
{
	struct esbridge_read read = { .size = sizeof(read),
				      .stream = x->cli->arguments[0],
				      .max_count = 1,
				      .backward = true,
				      .keep_links = true };
	struct esbridge_message *page = esbridge_read(x->cli->bridge, &read, &x->cli->request);

	if (page == NULL)
		return cli_fault(x->cli, "export");
	esbridge_message_free(page);
	return EX_OK;
}

/* ------------------------------------------------------------------------------------------------ */

static int prepare(struct export *x)
{
	const struct export_options *o = x->options;

	if (o->from.from == ESBRIDGE_FROM_POSITION || o->to.from == ESBRIDGE_FROM_POSITION)
		return fail(EX_USAGE, "export: the events of one stream have numbers: --from and "
				      "--to take one");
	if (o->file != NULL && o->from.from != ESBRIDGE_FROM_DEFAULT)
		return fail(EX_USAGE, "export: --append goes on where FILE ends: --from does not "
				      "go with it");
	x->next.from = o->from.from;
	x->next.number = o->from.number;
	if (o->to.from == ESBRIDGE_FROM_NUMBER)
		x->last = o->to.number;
	if (o->to.from == ESBRIDGE_FROM_START)
		x->last = 0;
	return EX_OK;
}

static int run_export(struct cli *cli)
{
	struct export x = { .cli = cli, .options = cli->options, .fd = STDOUT_FILENO };
	int status;

	x.last = INT64_MAX;
	x.next = (struct esbridge_read){ .size = sizeof(x.next),
					 .stream = cli->arguments[0],
					 .max_count = PAGE,
					 .keep_links = true };
	json_doc_init(&x.doc, DEPTH, 1, TOKENS_MOST);
	status = prepare(&x);
	signals_catch();
	if (status == EX_OK)
		status = cli_connect(cli);
	if (status == EX_OK)
		status = find_stream(&x);
	if (status == EX_OK && x.options->file != NULL)
		status = open_file(&x);
	progress_begin(&x.progress, cli);
	if (status == EX_OK)
		status = export_pages(&x);
	progress_end(&x.progress);
	if (status == EX_OK && !cli->common.quiet)
		say("export: %" PRId64 " events", x.count);
	if (x.fd != STDOUT_FILENO && x.fd >= 0 && close(x.fd) != 0)
		status = fail(EX_IOERR, "export: %s: %s", x.options->file, strerror(errno));
	json_doc_free(&x.doc);
	buffer_free(&x.out);
	return status;
}

const struct command command_export = {
	.name = "export",
	.arguments = "STREAM",
	.summary = "a stream as lines, for 'import'",
	.help = "Writes the events of a stream to standard output, each as a line of JSON with "
		"everything that is needed to make it again byte for byte: data that is JSON as it "
		"is stored, all else in base64. Links are not resolved. With --append an export that "
		"was broken off goes on.",
	.least = 1,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_export,
};
