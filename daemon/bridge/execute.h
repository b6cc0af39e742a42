/*
 * `execute` and `ping`: one message to the store, one answer back.
 */
#ifndef ESBRIDGE_BRIDGE_EXECUTE_H
#define ESBRIDGE_BRIDGE_EXECUTE_H

#include "base/json_walk.h"
#include "bridge/message.h"
#include "bridge/message_to_json.h"
#include "bridge/session.h"

enum { NO_TOKEN = 0xffffffff };

/* A request as the local room has read it. Everything lives until the call returns. */
struct execute_arguments {
	const struct message *message;
	const struct json_doc *doc;
	uint32_t body;                  /* a token, or NO_TOKEN */
	struct buffer *line;            /* the line alone, where it is large and holds no password:
					   its memory may be taken over, and it is then empty; or NULL */
	const struct guid *correlation; /* as the client wants it, or NULL */
	const struct credentials *who;  /* or NULL: the connection's */
	enum payload_mode payload;
	uint64_t timeout_ms;
};

/* Each answers the request ID of S, now or later, exactly once. */
void bridge_execute(struct session *s, const struct request_id *id,
		    const struct execute_arguments *a);
void bridge_ping(struct session *s, const struct request_id *id, const struct credentials *who,
		 uint64_t timeout_ms);

/* Frees the requests that are kept to be used again. */
void execute_free_spares(struct bridge *bridge);

#endif
