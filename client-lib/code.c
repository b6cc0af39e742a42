/* The names of the error codes, and small things that stand alone. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "esbridge.h"

struct code_name {
	enum esbridge_code code;
	const char *name;
};

static const struct code_name names[] = {
	{ ESBRIDGE_E_NONE, "ok" },
	{ ESBRIDGE_E_BAD_JSON, "bad_json" },
	{ ESBRIDGE_E_BAD_REQUEST, "bad_request" },
	{ ESBRIDGE_E_LINE_TOO_LONG, "line_too_long" },
	{ ESBRIDGE_E_UNKNOWN_OP, "unknown_op" },
	{ ESBRIDGE_E_UNKNOWN_MESSAGE, "unknown_message" },
	{ ESBRIDGE_E_UNKNOWN_SUBSCRIPTION, "unknown_subscription" },
	{ ESBRIDGE_E_UNKNOWN_EVENT, "unknown_event" },
	{ ESBRIDGE_E_LIMIT_EXCEEDED, "limit_exceeded" },
	{ ESBRIDGE_E_TOO_MANY_CLIENTS, "too_many_clients" },
	{ ESBRIDGE_E_PERMISSION_DENIED, "permission_denied" },
	{ ESBRIDGE_E_READ_ONLY, "read_only" },
	{ ESBRIDGE_E_UNAVAILABLE, "unavailable" },
	{ ESBRIDGE_E_TIMEOUT, "timeout" },
	{ ESBRIDGE_E_CONNECTION_LOST, "connection_lost" },
	{ ESBRIDGE_E_OVERLOADED, "overloaded" },
	{ ESBRIDGE_E_SHUTTING_DOWN, "shutting_down" },
	{ ESBRIDGE_E_WRONG_EXPECTED_VERSION, "wrong_expected_version" },
	{ ESBRIDGE_E_STREAM_DELETED, "stream_deleted" },
	{ ESBRIDGE_E_NO_STREAM, "no_stream" },
	{ ESBRIDGE_E_NOT_FOUND, "not_found" },
	{ ESBRIDGE_E_ACCESS_DENIED, "access_denied" },
	{ ESBRIDGE_E_NOT_AUTHENTICATED, "not_authenticated" },
	{ ESBRIDGE_E_INVALID_TRANSACTION, "invalid_transaction" },
	{ ESBRIDGE_E_PREPARE_TIMEOUT, "prepare_timeout" },
	{ ESBRIDGE_E_COMMIT_TIMEOUT, "commit_timeout" },
	{ ESBRIDGE_E_FORWARD_TIMEOUT, "forward_timeout" },
	{ ESBRIDGE_E_NOT_MODIFIED, "not_modified" },
	{ ESBRIDGE_E_ALREADY_EXISTS, "already_exists" },
	{ ESBRIDGE_E_DOES_NOT_EXIST, "does_not_exist" },
	{ ESBRIDGE_E_FAIL, "fail" },
	{ ESBRIDGE_E_SUBSCRIBER_MAX_COUNT_REACHED, "subscriber_max_count_reached" },
	{ ESBRIDGE_E_SERVER_BAD_REQUEST, "server_bad_request" },
	{ ESBRIDGE_E_NOT_HANDLED, "not_handled" },
	{ ESBRIDGE_E_SERVER_ERROR, "server_error" },
	{ ESBRIDGE_E_PROTOCOL_ERROR, "protocol_error" },
	{ ESBRIDGE_E_SLOW_CONSUMER, "slow_consumer" },
	{ ESBRIDGE_E_OUT_OF_MEMORY, "out_of_memory" },
	{ ESBRIDGE_E_SYSTEM, "system" },
	{ ESBRIDGE_E_CLOSED, "closed" },
};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

const char *esbridge_code_name(enum esbridge_code code)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (names[i].code == code)
			return names[i].name;
	}
	return "other";
}

enum esbridge_code esbridge_code_of(const char *name)
{
	for (size_t i = 0; i < NAMES; i++) {
		if (strcmp(names[i].name, name) == 0)
			return names[i].code;
	}
	return ESBRIDGE_E_OTHER;
}

bool esbridge_span_is(struct esbridge_span span, const char *text)
{
	return span.at != NULL && strlen(text) == span.len && memcmp(span.at, text, span.len) == 0;
}

const char *esbridge_version(void)
{
	return PACKAGE_VERSION;
}

int esbridge_uuid(char text[ESBRIDGE_UUID_SIZE])
{
	static const char hex[] = "0123456789abcdef";
	unsigned char id[16];
	ssize_t got;

	do
		got = getrandom(id, sizeof(id), 0); /* as few bytes as these come at once or not */
	while (got < 0 && errno == EINTR);
	if (got != sizeof(id))
		return -1;
	id[6] = (unsigned char)((id[6] & 0x0f) | 0x40);
	id[8] = (unsigned char)((id[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(id); i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*text++ = '-';
		*text++ = hex[id[i] >> 4];
		*text++ = hex[id[i] & 15];
	}
	*text = '\0';
	return 0;
}
