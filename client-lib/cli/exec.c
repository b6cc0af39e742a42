#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/buffer.h"
#include "cli.h"
#include "commands.h"
#include "output.h"
#include "wait.h"

enum {
	PIECE = 65536,       /* bytes read at a time */
	IN_FLIGHT_MOST = 64, /* requests without an answer, before more is read */
	WAIT_MS = 30000,     /* for an answer, unless --timeout says something else */
};

struct exec_options {
	bool follow;
};

static const struct option_row rows[] = {
	{ "follow", 'f', OPTION_FLAG, offsetof(struct exec_options, follow), NULL, 0, 0, NULL,
	  "go on printing what subscriptions say, until SIGINT" },
	{ NULL, 0, OPTION_FLAG, 0, NULL, 0, 0, NULL, NULL },
};

static const struct exec_options defaults;

struct exec {
	struct cli *cli;
	struct buffer in;
	bool ended;      /* nothing more will be sent */
	int64_t awaited; /* replies that are still to come */
	int status;      /* that of the first error */
};

/* True where LINE gets a reply in any case: all do but an ack or nack without an id. */
static bool is_answered(const char *line, size_t len)
{
	json_t *request = json_loadb(line, len, 0, NULL);
	const char *op = json_string_value(json_object_get(request, "op"));
	bool silent = op != NULL && (strcmp(op, "ack") == 0 || strcmp(op, "nack") == 0) &&
		      json_object_get(request, "id") == NULL;

	json_decref(request);
	return !silent;
}

/* Sends a line, unless it is blank. Returns 0 or an exit status. */
static int send_line(struct exec *x, const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
		len--;
	if (strspn(line, " \t") >= len)
		return EX_OK;
	if (esbridge_send_line(x->cli->bridge, line, len) != 0)
		return cli_fault(x->cli, "exec");
	if (is_answered(line, len))
		x->awaited++;
	return EX_OK;
}

/* Sends the whole lines of the input; at its end, what is left. */
static int send_lines(struct exec *x)
{
	int status = EX_OK;

	while (status == EX_OK && buffer_len(&x->in) > 0) {
		const char *line = (const char *)buffer_at(&x->in);
		const char *end = memchr(line, '\n', buffer_len(&x->in));
		size_t len = end != NULL ? (size_t)(end - line) : buffer_len(&x->in);

		if (end == NULL && !x->ended)
			break;
		/* So that the line ends for functions of the C library. */
		if (end == NULL) {
			buffer_add_byte(&x->in, '\n');
			continue;
		}
		status = send_line(x, line, len);
		buffer_consume(&x->in, len + 1);
	}
	return status;
}

static int read_input(struct exec *x)
{
	ssize_t got = buffer_read_fd(&x->in, STDIN_FILENO, PIECE);

	if (got < 0 && errno != EAGAIN && errno != EINTR)
		return fail(EX_IOERR, "exec: standard input: %s", strerror(errno));
	if (got == 0)
		x->ended = true;
	return send_lines(x);
}

/* Prints all messages that are there. Returns 0 or an exit status. */
static int print_messages(struct exec *x)
{
	struct esbridge_message *message;
	int got;

	while ((got = esbridge_next(x->cli->bridge, 0, &message)) > 0) {
		output_span(message->line);
		putchar('\n');
		if (message->kind != ESBRIDGE_PUSH)
			x->awaited--;
		if (message->kind == ESBRIDGE_ERROR && x->status == EX_OK)
			x->status = status_of_code(esbridge_code_name(message->code));
		esbridge_message_free(message);
	}
	return got < 0 ? cli_fault(x->cli, "exec") : EX_OK;
}

static bool is_done(const struct exec *x)
{
	const struct exec_options *options = x->cli->options;

	return x->ended && x->awaited <= 0 && !options->follow;
}

static int converse(struct exec *x)
{
	const struct exec_options *options = x->cli->options;
	int limit = x->cli->common.timeout_ms != 0 ? (int)x->cli->common.timeout_ms : WAIT_MS;
	int status = print_messages(x);

	while (status == EX_OK && !is_done(x)) {
		bool more = !x->ended && x->awaited < IN_FLIGHT_MOST;
		bool patient = more || options->follow;
		int64_t before = x->awaited;
		unsigned wake = cli_wait(x->cli, more ? STDIN_FILENO : -1, patient ? -1 : limit);

		if (wake & (WAKE_SIGNAL | WAKE_NO_READER))
			return x->status;
		if (wake & WAKE_INPUT)
			status = read_input(x);
		if (status == EX_OK)
			status = print_messages(x);
		if (status == EX_OK && wake == 0 && !patient && x->awaited == before)
			return fail(EX_TEMPFAIL, "exec: no answer within %d ms", limit);
	}
	return status != EX_OK ? status : x->status;
}

static int run_exec(struct cli *cli)
{
	struct exec x = { .cli = cli, .ended = cli->count > 0 };
	int status;

	signals_catch();
	status = cli_connect(cli);
	if (status == EX_OK && cli->count == 0)
		cli_say_terminal(cli, "requests, one on each line,");
	for (int i = 0; status == EX_OK && i < cli->count; i++)
		status = send_line(&x, cli->arguments[i], strlen(cli->arguments[i]));
	if (status == EX_OK)
		status = converse(&x);
	buffer_free(&x.in);
	return status;
}

const struct command command_exec = {
	.name = "exec",
	.arguments = "[REQUEST]...",
	.summary = "send requests as they are, print the replies",
	.help = "Sends each REQUEST, a line of esbridge-protocol(7), or without any the lines of "
		"standard input, and prints what comes back, until all replies are there. The exit "
		"status is that of the first error.\n\n  esbridge exec '{\"op\":\"ping\"}'",
	.most = -1,
	OPTIONS(rows, defaults),
	.run = run_exec,
};
