#include "bridge/answer.h"

#include <stdio.h>
#include <string.h>

#include "base/json_write.h"

enum { MESSAGE_TEXT = 1024 };

struct error_row {
	const char *name;
	bool retry;
	bool doubt; /* the store gave up waiting for itself: what was asked may still come true */
};

static const struct error_row errors[ERROR_COUNT] = {
	[ERROR_BAD_JSON] = { "bad_json", false, false },
	[ERROR_BAD_REQUEST] = { "bad_request", false, false },
	[ERROR_LINE_TOO_LONG] = { "line_too_long", false, false },
	[ERROR_UNKNOWN_OP] = { "unknown_op", false, false },
	[ERROR_UNKNOWN_MESSAGE] = { "unknown_message", false, false },
	[ERROR_UNKNOWN_SUBSCRIPTION] = { "unknown_subscription", false, false },
	[ERROR_UNKNOWN_EVENT] = { "unknown_event", false, false },
	[ERROR_LIMIT_EXCEEDED] = { "limit_exceeded", false, false },
	[ERROR_TOO_MANY_CLIENTS] = { "too_many_clients", true, false },
	[ERROR_PERMISSION_DENIED] = { "permission_denied", false, false },
	[ERROR_READ_ONLY] = { "read_only", false, false },
	[ERROR_UNAVAILABLE] = { "unavailable", true, false },
	[ERROR_TIMEOUT] = { "timeout", true, true },
	[ERROR_CONNECTION_LOST] = { "connection_lost", true, true },
	[ERROR_OVERLOADED] = { "overloaded", true, false },
	[ERROR_SHUTTING_DOWN] = { "shutting_down", true, false },
	[ERROR_WRONG_EXPECTED_VERSION] = { "wrong_expected_version", false, false },
	[ERROR_STREAM_DELETED] = { "stream_deleted", false, false },
	[ERROR_NO_STREAM] = { "no_stream", false, false },
	[ERROR_NOT_FOUND] = { "not_found", false, false },
	[ERROR_ACCESS_DENIED] = { "access_denied", false, false },
	[ERROR_NOT_AUTHENTICATED] = { "not_authenticated", false, false },
	[ERROR_INVALID_TRANSACTION] = { "invalid_transaction", false, false },
	[ERROR_PREPARE_TIMEOUT] = { "prepare_timeout", true, true },
	[ERROR_COMMIT_TIMEOUT] = { "commit_timeout", true, true },
	[ERROR_FORWARD_TIMEOUT] = { "forward_timeout", true, true },
	[ERROR_NOT_MODIFIED] = { "not_modified", false, false },
	[ERROR_ALREADY_EXISTS] = { "already_exists", false, false },
	[ERROR_DOES_NOT_EXIST] = { "does_not_exist", false, false },
	[ERROR_FAIL] = { "fail", false, false },
	[ERROR_SUBSCRIBER_MAX_COUNT_REACHED] = { "subscriber_max_count_reached", true, false },
	[ERROR_SERVER_BAD_REQUEST] = { "server_bad_request", false, false },
	[ERROR_NOT_HANDLED] = { "not_handled", true, false },
	[ERROR_SERVER_ERROR] = { "server_error", false, true },
	[ERROR_PROTOCOL_ERROR] = { "protocol_error", false, true },
	[ERROR_SLOW_CONSUMER] = { "slow_consumer", false, false },
};

/* Of the process: whatever tells an error comes through here. */
static uint64_t counts[ERROR_COUNT];

uint64_t error_count(enum error_code code)
{
	return counts[code];
}

const char *error_name(enum error_code code)
{
	return errors[code].name;
}

bool error_may_be_retried(enum error_code code)
{
	return errors[code].retry;
}

bool error_leaves_doubt(enum error_code code)
{
	return errors[code].doubt;
}

enum error_code error_of_name(const char *name)
{
	for (int i = 0; i < ERROR_COUNT; i++) {
		if (strcmp(errors[i].name, name) == 0)
			return (enum error_code)i;
	}
	return ERROR_SERVER_ERROR;
}

static void begin(struct buffer *out, const struct request_id *id)
{
	buffer_add_byte(out, '{');
	if (id->len > 0) {
		buffer_add(out, "\"id\":", 5);
		buffer_add(out, id->text, id->len);
		buffer_add_byte(out, ',');
	}
}

void answer_ok(struct buffer *out, const struct request_id *id)
{
	begin(out, id);
	buffer_add(out, "\"ok\":{", 6);
}

void answer_error_list(struct buffer *out, const struct request_id *id, enum error_code code,
		       enum outcome outcome, const char *format, va_list list)
{
	char message[MESSAGE_TEXT];

	counts[code]++;
	vsnprintf(message, sizeof(message), format, list);
	begin(out, id);
	buffer_add_text(out, "\"error\":{\"code\":");
	json_text(out, errors[code].name);
	json_key(out, "message");
	json_text(out, message);
	json_key(out, "retry");
	json_bool(out, errors[code].retry);
	if (outcome != OUTCOME_NOT_SAID) {
		json_key(out, "outcome");
		json_text(out, outcome == OUTCOME_NONE ? "none" : "unknown");
	}
}

void answer_error(struct buffer *out, const struct request_id *id, enum error_code code,
		  enum outcome outcome, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	answer_error_list(out, id, code, outcome, format, list);
	va_end(list);
}

void store_text(const struct package *package, const char *what, char message[STORE_TEXT])
{
	const char *text = (const char *)package->payload;
	size_t len = 0;

	while (len < package->payload_len && len < STORE_TEXT - 100 && text[len] != '\n' &&
	       text[len] != '\r')
		len++;
	snprintf(message, STORE_TEXT, "%s%s%.*s", what, len > 0 ? ": " : "", (int)len, text);
}

void answer_end(struct buffer *out)
{
	buffer_add(out, "}}\n", 3);
}
