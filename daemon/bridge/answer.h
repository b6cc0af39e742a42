/*
 * The lines that answer requests: their shape, and the closed list of error codes (PROTOCOL.md,
 * section 2).
 */
#ifndef ESBRIDGE_BRIDGE_ANSWER_H
#define ESBRIDGE_BRIDGE_ANSWER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buffer.h"
#include "store/frame.h"

enum error_code {
	ERROR_BAD_JSON,
	ERROR_BAD_REQUEST,
	ERROR_LINE_TOO_LONG,
	ERROR_UNKNOWN_OP,
	ERROR_UNKNOWN_MESSAGE,
	ERROR_UNKNOWN_SUBSCRIPTION,
	ERROR_UNKNOWN_EVENT,
	ERROR_LIMIT_EXCEEDED,
	ERROR_TOO_MANY_CLIENTS,
	ERROR_PERMISSION_DENIED,
	ERROR_READ_ONLY,
	ERROR_UNAVAILABLE,
	ERROR_TIMEOUT,
	ERROR_CONNECTION_LOST,
	ERROR_OVERLOADED,
	ERROR_SHUTTING_DOWN,
	ERROR_WRONG_EXPECTED_VERSION,
	ERROR_STREAM_DELETED,
	ERROR_NO_STREAM,
	ERROR_NOT_FOUND,
	ERROR_ACCESS_DENIED,
	ERROR_NOT_AUTHENTICATED,
	ERROR_INVALID_TRANSACTION,
	ERROR_PREPARE_TIMEOUT,
	ERROR_COMMIT_TIMEOUT,
	ERROR_FORWARD_TIMEOUT,
	ERROR_NOT_MODIFIED,
	ERROR_ALREADY_EXISTS,
	ERROR_DOES_NOT_EXIST,
	ERROR_FAIL,
	ERROR_SUBSCRIBER_MAX_COUNT_REACHED,
	ERROR_SERVER_BAD_REQUEST,
	ERROR_NOT_HANDLED,
	ERROR_SERVER_ERROR,
	ERROR_PROTOCOL_ERROR,
	ERROR_SLOW_CONSUMER,
	ERROR_COUNT,
};

/* Whether a request that may change the store has changed it. */
enum outcome {
	OUTCOME_NOT_SAID, /* the request changes nothing */
	OUTCOME_NONE,     /* certainly not stored */
	OUTCOME_UNKNOWN,  /* sent, and no answer seen */
};

/* The id of a request as its sender wrote it: a JSON string of at most 128 bytes between its
 * quotes, or an integer. */
enum { REQUEST_ID_MOST = 128 };
struct request_id {
	unsigned char len; /* 0: the request had none */
	char text[REQUEST_ID_MOST + 2];
};

const char *error_name(enum error_code code);

/* How many errors of that code the process has told to clients. */
uint64_t error_count(enum error_code code);

/* True where the same request may succeed later. */
bool error_may_be_retried(enum error_code code);

/* The code of that name; ERROR_SERVER_ERROR where there is none. */
enum error_code error_of_name(const char *name);

/* True where the store may have done what was asked although it answered with CODE. */
bool error_leaves_doubt(enum error_code code);

/* Begins `{"id":…,"ok":{`; the caller adds members, then calls answer_end(). */
void answer_ok(struct buffer *out, const struct request_id *id);

/*
 * Begins `{"id":…,"error":{"code":…,"message":…,"retry":…,"outcome":…`; the caller may add members
 * ("body"), then calls answer_end().
 */
void answer_error(struct buffer *out, const struct request_id *id, enum error_code code,
		  enum outcome outcome, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void answer_error_list(struct buffer *out, const struct request_id *id, enum error_code code,
		       enum outcome outcome, const char *format, va_list list);

/*
 * The message for a refusal that carries a text of the server for people, often a stack trace:
 * WHAT, and the first line of it.
 */
#define TEXT_NO_FILTERS "this server does not know filters: EventStoreDB has them from 20.6 on"

enum { STORE_TEXT = 400 };
void store_text(const struct package *package, const char *what, char message[STORE_TEXT]);

/* Ends either: `}}` and the line. */
void answer_end(struct buffer *out);

#endif
