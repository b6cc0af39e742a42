/*
 * import: writes the events of lines of JSON, those of an export, to a stream. What is there
 * already is known by its id, so that an import that was broken off goes on, and one that is
 * repeated doubles nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/json_walk.h"
#include "base/json_write.h"
#include "base/mem.h"
#include "body.h"
#include "cli.h"
#include "commands.h"
#include "known.h"
#include "progress.h"
#include "wait.h"

enum {
	BATCH_DEFAULT = 500,
	BATCH_MOST = 10000,
	BATCH_BYTES = 4 << 20,
	LINES_MOST = 32768,    /* of which is asked at one time whether they are there, */
	LINES_BYTES = 2 << 20, /* or of so many bytes */
	TRIES = 100,           /* of one write, while its outcome is not known, */
	PAUSE_MS = 200,        /* with a pause between two */
	DEPTH = 512,
	TOKENS_MOST = 1000000,
	FAULT_TEXT = 200,
};

struct import_options {
	int64_t batch;
};

static const struct option_row rows[] = {
	{ "batch", 'b', OPTION_INTEGER, offsetof(struct import_options, batch), "N", 1, BATCH_MOST,
	  NULL, "at most so many events in one write; 500" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct import_options defaults = { .batch = BATCH_DEFAULT };

struct import {
	struct cli *cli;
	const struct import_options *options;
	struct known known;
	struct wanted *wanted; /* LINES_MOST of them, for the lines that are at hand */
	int64_t last;          /* the number of the stream's last event; -1: none */
	struct buffer in;
	bool ended;
	uint64_t line;
	struct buffer events; /* of the next write */
	int64_t count;        /* of them */
	uint64_t first;       /* the line of the first of them */
	int64_t written;
	int64_t skipped;
	int64_t taken; /* bytes of the input, */
	int64_t size;  /* of so many; 0: nobody knows */
	struct json_doc doc;
	struct progress progress;
};

/* Writing ---------------------------------------------------------------------------------------- */

static void forget_batch(struct import *m)
{
	buffer_consume(&m->events, buffer_len(&m->events));
	m->count = 0;
}

static struct esbridge_message *try_write(struct import *m)
{
	struct buffer body = { 0 };
	struct esbridge_message *reply;

	buffer_add_byte(&body, '{');
	body_text(&body, "event_stream_id", m->cli->arguments[0]);
	body_int(&body, "expected_version", m->last);
	json_key(&body, "events");
	buffer_add_byte(&body, '[');
	buffer_add(&body, buffer_at(&m->events), buffer_len(&m->events));
	buffer_add(&body, "]}", sizeof("]}"));
	if (body.failed || m->events.failed) {
		buffer_free(&body);
		errno = ENOMEM;
		return NULL;
	}
	reply = esbridge_execute(m->cli->bridge, "WriteEvents", (const char *)buffer_at(&body),
				 &m->cli->request);
	buffer_free(&body);
	return reply;
}

static bool may_be_repeated(enum esbridge_code code)
{
	return code == ESBRIDGE_E_CONNECTION_LOST || code == ESBRIDGE_E_TIMEOUT ||
	       code == ESBRIDGE_E_UNAVAILABLE || code == ESBRIDGE_E_OVERLOADED ||
	       code == ESBRIDGE_E_SHUTTING_DOWN || code == ESBRIDGE_E_PREPARE_TIMEOUT ||
	       code == ESBRIDGE_E_COMMIT_TIMEOUT || code == ESBRIDGE_E_FORWARD_TIMEOUT;
}

/*
 * Writes the batch behind the last event that was seen, and nowhere else: so it may be repeated
 * where nobody knows what has become of it, and the store knows it by its ids.
 */
static int write_batch(struct import *m)
{
	struct esbridge_message *reply = NULL;

	if (m->count == 0)
		return EX_OK;
	/* A batch that was begun before a signal is written: nobody could tell else what is. */
	for (int i = 0; i < TRIES && reply == NULL; i++) {
		if (i > 0)
			(void)poll(NULL, 0, PAUSE_MS);
		reply = try_write(m);
		if (reply == NULL &&
		    (signals_caught() || !may_be_repeated(esbridge_error(m->cli->bridge)->code)))
			break;
	}
	if (reply == NULL) {
		int status =
			esbridge_error(m->cli->bridge)->code == ESBRIDGE_E_WRONG_EXPECTED_VERSION
				? fail(EX_TEMPFAIL,
				       "import: somebody else writes to the stream: what was "
				       "imported so far stays; begin again, it goes on")
				: cli_fault(m->cli, "import");

		say("import: that was line %" PRIu64 " to %" PRIu64 " of the input; %" PRId64
		    " events before are written",
		    m->first, m->line, m->written);
		return status;
	}
	m->last = reply->last_event_number;
	m->written += m->count;
	esbridge_message_free(reply);
	forget_batch(m);
	return EX_OK;
}

/* Lines ------------------------------------------------------------------------------------------ */

/* The id of the event in the line, which is one. False where it has none. */
static bool id_of(struct import *m, const char *line, size_t len, struct guid *id)
{
	const struct json_token *value;
	uint32_t i;

	if (!json_parse(&m->doc, line, len))
		return false;
	i = member_in(&m->doc, "event_id");
	value = &m->doc.tokens[i];
	return i != 0 && value->kind == JSON_STRING &&
	       guid_parse(line + value->at + 1, value->len - 2, id);
}

/* Without an id nobody could tell whether an event is there already. W is about the line. */
static int take_line(struct import *m, const char *line, size_t len, const struct wanted *w)
{
	size_t before = buffer_len(&m->events);
	char fault[FAULT_TEXT] =
		"\"event_id\" is missing, or is no UUID: without it a repeated import "
		"would double the event";
	bool good;

	m->line++;
	if (strspn(line, " \t\r") >= len)
		return EX_OK;
	good = event_from_line(&m->events, line, len, fault, sizeof(fault)) && w->named;
	if ((!good || w->there) && !m->events.failed)
		buffer_cut(&m->events, buffer_len(&m->events) - before);
	if (!good) {
		int status = write_batch(m);

		return status != EX_OK
			       ? status
			       : fail(EX_DATAERR, "import: line %" PRIu64 ": %s", m->line, fault);
	}
	if (w->there) {
		m->skipped++;
		return EX_OK;
	}
	if (m->count++ == 0)
		m->first = m->line;
	if (m->count >= m->options->batch || buffer_len(&m->events) >= BATCH_BYTES)
		return write_batch(m);
	return EX_OK;
}

/* Where the line at LINE ends, or NULL. */
static const char *end_of_line(const struct import *m, const char *line)
{
	return memchr(line, '\n',
		      buffer_len(&m->in) - (size_t)(line - (const char *)buffer_at(&m->in)));
}

/* Finds the ids of the lines that are at hand. Returns how many lines those are. */
static size_t name_lines(struct import *m)
{
	const char *line = (const char *)buffer_at(&m->in);
	const char *end;
	size_t count = 0;

	while (count < LINES_MOST && line != NULL && (end = end_of_line(m, line)) != NULL) {
		struct wanted *w = &m->wanted[count++];

		*w = (struct wanted){ .there = false };
		w->named = id_of(m, line, (size_t)(end - line), &w->node.id);
		line = end + 1;
	}
	return count;
}

static int take_lines(struct import *m, size_t count)
{
	int status = EX_OK;

	for (size_t i = 0; i < count && status == EX_OK && !signals_caught(); i++) {
		const char *line = (const char *)buffer_at(&m->in);
		size_t len = (size_t)(end_of_line(m, line) - line);

		status = take_line(m, line, len, &m->wanted[i]);
		m->taken += (int64_t)len + 1;
		buffer_consume(&m->in, len + 1);
		progress_tell(&m->progress, m->written + m->skipped, m->taken, m->size);
	}
	return status;
}

static bool is_readable(int fd)
{
	struct pollfd polled = { .fd = fd, .events = POLLIN };

	return poll(&polled, 1, 0) > 0;
}

/* Reads lines: one, and what more of them there is without waiting. */
static int read_lines(struct import *m)
{
	bool whole =
		buffer_len(&m->in) > 0 && end_of_line(m, (const char *)buffer_at(&m->in)) != NULL;

	while (!m->ended && !signals_caught() &&
	       (!whole || (buffer_len(&m->in) < LINES_BYTES && is_readable(STDIN_FILENO)))) {
		size_t before = buffer_len(&m->in);
		ssize_t got = read_some(STDIN_FILENO, &m->in);

		if (got < 0)
			return fail(EX_IOERR, "import: standard input: %s", strerror(errno));
		m->ended = got == 0;
		whole = whole ||
			(got > 0 && memchr(buffer_at(&m->in) + before, '\n', (size_t)got) != NULL);
	}
	if (m->ended && buffer_len(&m->in) > 0 && buffer_at(&m->in)[buffer_len(&m->in) - 1] != '\n')
		buffer_add_byte(&m->in, '\n');
	return EX_OK;
}

static int import_lines(struct import *m)
{
	int status = EX_OK;

	m->wanted = mem_new(LINES_MOST * sizeof(*m->wanted));
	while (status == EX_OK && !(m->ended && buffer_len(&m->in) == 0) && !signals_caught()) {
		size_t count = 0;

		status = read_lines(m);
		if (status == EX_OK) {
			count = name_lines(m);
			status = known_find(&m->known, m->wanted, count);
		}
		if (status == EX_OK)
			status = take_lines(m, count);
	}
	return status != EX_OK ? status : write_batch(m);
}

/* ------------------------------------------------------------------------------------------------ */

static void measure_input(struct import *m)
{
	struct stat st;
	off_t at = lseek(STDIN_FILENO, 0, SEEK_CUR);

	if (fstat(STDIN_FILENO, &st) == 0 && S_ISREG(st.st_mode) && at >= 0)
		m->size = st.st_size - at;
}

static void tidy(struct import *m)
{
	known_free(&m->known);
	free(m->wanted);
	json_doc_free(&m->doc);
	buffer_free(&m->in);
	buffer_free(&m->events);
}

static int run_import(struct cli *cli)
{
	struct import m = { .cli = cli, .options = cli->options, .last = -1 };
	int status;

	json_doc_init(&m.doc, DEPTH, 1, TOKENS_MOST);
	signals_catch();
	status = cli_connect_lasting(cli);
	if (status == EX_OK) {
		cli_say_terminal(cli, "events, a JSON object on each line,");
		status = known_begin(&m.known, cli);
		m.last = m.known.last;
	}
	measure_input(&m);
	progress_begin(&m.progress, cli);
	if (status == EX_OK)
		status = import_lines(&m);
	progress_end(&m.progress);
	if (status == EX_OK && !cli->common.quiet)
		say("import: %" PRId64 " events written, %" PRId64 " were there already", m.written,
		    m.skipped);
	tidy(&m);
	return status;
}

const struct command command_import = {
	.name = "import",
	.arguments = "STREAM",
	.summary = "lines of 'export' into a stream",
	.help = "Writes the events on standard input, lines of JSON as 'esbridge export' makes them, "
		"behind the end of a stream, in their order and with their ids. An event that is in "
		"the stream already is left out: so an import that was broken off goes on when it is "
		"begun again, and a second one doubles nothing. Nobody else may write to the stream "
		"meanwhile.",
	.least = 1,
	.most = 1,
	OPTIONS(rows, defaults),
	.run = run_import,
};
