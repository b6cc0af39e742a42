#include "fault.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

enum { TEXT = 1024 };

/* Which error of the protocol ends the command with which status, and what to do next. */
static const struct row {
	const char *code;
	int status;
	const char *next;
} rows[] = {
	{ "bad_json", EX_DATAERR, NULL },
	{ "bad_request", EX_DATAERR, NULL },
	{ "line_too_long", EX_DATAERR,
	  "'line' in [limits] of esbridged.conf sets how long a request may be" },
	{ "unknown_op", EX_PROTOCOL,
	  "this esbridged does not know it: is it older than this command?" },
	{ "unknown_message", EX_PROTOCOL,
	  "this esbridged does not know it: is it older than this command?" },
	{ "unknown_subscription", EX_PROTOCOL, NULL },
	{ "unknown_event", EX_PROTOCOL, NULL },
	{ "limit_exceeded", EX_TEMPFAIL, NULL },
	{ "too_many_clients", EX_TEMPFAIL,
	  "try again later; 'esbridge status --all' lists the clients" },
	{ "permission_denied", EX_NOPERM,
	  "the access rules of esbridged.conf(5) say who may do what" },
	{ "read_only", EX_NOPERM, "this esbridged is set to change nothing at the store" },
	{ "unavailable", EX_UNAVAILABLE,
	  "'esbridge status' says why there is no connection to the store" },
	{ "timeout", EX_TEMPFAIL, "--timeout lets it take longer" },
	{ "connection_lost", EX_TEMPFAIL, NULL },
	{ "overloaded", EX_TEMPFAIL, "try again later" },
	{ "shutting_down", EX_TEMPFAIL, "try again when it has started again" },
	{ "wrong_expected_version", EX_CANTCREAT,
	  "somebody has written meanwhile: read the stream, and decide again" },
	{ "stream_deleted", EX_NOINPUT, NULL },
	{ "no_stream", EX_NOINPUT, NULL },
	{ "not_found", EX_NOINPUT, NULL },
	{ "access_denied", EX_NOPERM, "--user and --password-file name another user of the store" },
	{ "not_authenticated", EX_NOPERM, "are the user and the password right?" },
	{ "invalid_transaction", EX_DATAERR, NULL },
	{ "prepare_timeout", EX_TEMPFAIL, NULL },
	{ "commit_timeout", EX_TEMPFAIL, NULL },
	{ "forward_timeout", EX_TEMPFAIL, NULL },
	{ "not_modified", EX_CANTCREAT, NULL },
	{ "already_exists", EX_CANTCREAT, NULL },
	{ "does_not_exist", EX_NOINPUT, NULL },
	{ "fail", EX_SOFTWARE, NULL },
	{ "subscriber_max_count_reached", EX_TEMPFAIL,
	  "another reader of the group must end first" },
	{ "server_bad_request", EX_PROTOCOL, "does this version of the store know it?" },
	{ "not_handled", EX_TEMPFAIL, "try again later, or connect esbridged to another node" },
	{ "server_error", EX_SOFTWARE, "the log of the store may say more" },
	{ "protocol_error", EX_PROTOCOL, "the log of esbridged may say more" },
	{ "slow_consumer", EX_TEMPFAIL, NULL },
	/* what the library tells by itself */
	{ "out_of_memory", EX_OSERR, NULL },
	{ "system", EX_OSERR, NULL },
};

static const struct row *row_of(const char *code)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (strcmp(rows[i].code, code) == 0)
			return &rows[i];
	}
	return NULL;
}

static void say_list(const char *format, va_list list)
{
	char text[TEXT];

	vsnprintf(text, sizeof(text), format, list);
	/* Names come from anybody, and a terminal obeys control characters. */
	for (char *c = text; *c != '\0'; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	/* In one write, so that lines of several processes do not mix. */
	fprintf(stderr, "esbridge: %s\n", text);
}

void say(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
}

int fail(int status, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	say_list(format, list);
	va_end(list);
	return status;
}

int status_of_code(const char *code)
{
	const struct row *row = row_of(code);

	return row != NULL ? row->status : EX_PROTOCOL;
}

int fail_code(const char *what, const char *code, const char *message)
{
	const struct row *row = row_of(code);

	say("%s: %s (%s)", what, message, code);
	if (row != NULL && row->next != NULL)
		say("%s", row->next);
	return status_of_code(code);
}
