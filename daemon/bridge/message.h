/*
 * The table of the messages that `execute` takes: one row each. What is particular to a message
 * stands in its row (codes, descriptors, defaults, what it does to the store); the code that uses
 * the rows is the same for all.
 */
#ifndef ESBRIDGE_BRIDGE_MESSAGE_H
#define ESBRIDGE_BRIDGE_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <protobuf-c/protobuf-c.h>

#include "bridge/permission.h"

/* What a message does, for read-only mode and repetition after a lost connection. */
enum message_kind {
	MESSAGE_READ,   /* changes nothing; may be sent again */
	MESSAGE_WRITE,  /* changes a stream */
	MESSAGE_MANAGE, /* changes groups, or the database as a whole */
};

/* What a message is about, for access rules. */
enum message_scope {
	SCOPE_NOT_SAID,    /* nobody may send it */
	SCOPE_STREAM,      /* the one that `event_stream_id` names */
	SCOPE_ALL,         /* all streams */
	SCOPE_TRANSACTION, /* the stream that `transaction_id` was begun for */
	SCOPE_DATABASE,
};

/* What a member is when the body leaves it out. A member without a row here: the zero of its type.
 */
struct message_default {
	const char *member;
	enum {
		DEFAULT_NUMBER,
		DEFAULT_TEXT,
		DEFAULT_REQUIRE_MASTER
	} kind; /* the last: as configured */
	int64_t number;
	const char *text;
	const char *
		unless; /* a member that takes this default away where the body gives it, or NULL */
};

struct message {
	const char *name;
	const char *alias; /* a second name, or NULL */
	const char *reply; /* the name of the reply in `ok.message` */
	uint8_t command;
	uint8_t reply_command;
	uint8_t other_reply_command; /* a command that some server answers with instead, or 0 */
	enum message_kind kind;
	enum permission needs;
	enum message_scope scope;
	bool begins_transaction; /* its answer has a `transaction_id` for its stream */
	bool repeatable; /* may be sent again after a lost connection: reads, and WriteEvents for
			    its event ids */
	bool carries_events; /* whose ids the answer names */
	bool reads_page;     /* of as many events as max_count says */
	const ProtobufCMessageDescriptor *request;
	const ProtobufCMessageDescriptor *response;
	const ProtobufCMessageDescriptor *other_response; /* a form that some server answers in, or
							     NULL: message_response() */
	const struct message_default *
		defaults; /* in the order of the fields, ended by a row with member NULL; or NULL */
};

/* Returns the row whose name or alias is the LEN bytes at NAME, or NULL. */
const struct message *message_find(const char *name, size_t len);

/*
 * Returns what the LEN bytes at PAYLOAD are, which came with COMMAND, one of the row's two, in
 * reply to MESSAGE. Its short_name is the name for `ok.message`. Two servers deviate from the row's
 * `response`: 20.10 refuses a filtered read with the command and the form of the unfiltered reply,
 * and what ScavengeDatabaseCompleted carries was replaced in 5.0.
 */
const ProtobufCMessageDescriptor *message_response(const struct message *message, uint8_t command,
						   const uint8_t *payload, size_t len);

/* All rows, for `hello` and for tests; ended by one whose name is NULL. */
enum { MESSAGE_COUNT = 16 };
extern const struct message message_table[MESSAGE_COUNT + 1];

/*
 * The error code of PROTOCOL.md for a result of the store, by the name of its enum value
 * ("WrongExpectedVersion"): NULL where that means success. NULL and names that it does not know
 * give "server_error".
 */
const char *message_result_code(const char *result);

#endif
