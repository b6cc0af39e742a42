/*
 * A reader is what `subscribe` makes: a client's subscription, with the store's subscription under it. It puts the
 * pushes into the client's output, keeps what is delivered and not acknowledged, and tells the client what becomes of it.
 */
#ifndef ESBRIDGE_BRIDGE_READER_H
#define ESBRIDGE_BRIDGE_READER_H

#include "base/json_walk.h"
#include "bridge/message_to_json.h"
#include "bridge/session.h"

enum { SUBSCRIPTION_NAME_MOST = 128 };

struct reader;

/* A request as the local room has read it. Everything lives until the call returns. */
struct subscribe_arguments {
	const char *name;               /* the client's own, or NULL */
	const char *stream;             /* "" for all streams */
	const char *group;              /* NULL: a live subscription */
	int32_t in_flight;              /* of a group: most events delivered and not acknowledged */
	bool resolve_link_tos;
	enum payload_mode payload;
	const struct credentials *who;  /* or NULL: the connection's */
	uint64_t timeout_ms;
};

/* What ack and nack say of events. */
struct ack_arguments {
	const struct json_doc *doc;
	uint32_t events;   /* a token, an array of texts; NO_TOKEN where `up_to` is given */
	uint32_t up_to;    /* a token, a text; or NO_TOKEN */
	bool negative;     /* a nack: */
	int action;        /* the number of NakAction */
	const char *reason;
	size_t reason_len;
};

/* Each answers the request ID of S, now or later, exactly once; an ack without an id only where it fails. */
void reader_subscribe(struct session *s, const struct request_id *id, const struct subscribe_arguments *a);
void reader_unsubscribe(struct session *s, const struct request_id *id, const char *name, uint64_t timeout_ms);
void reader_acknowledge(struct session *s, const struct request_id *id, const char *name,
			const struct ack_arguments *a);

/* The client is gone: all its subscriptions end, what is not acknowledged goes back to its group. */
void reader_end_all(struct session *s);

/* The client will send nothing more: subscriptions that expect acknowledgements end without a word. */
void reader_end_acknowledging(struct session *s);

/* The daemon stops: each subscription gets its last push, `dropped` with reason `shutting_down`. */
void reader_drop_all(struct session *s);

/* Adds the subscriptions of S as a JSON array to OUT, for `status`. */
void reader_list(const struct session *s, struct buffer *out);

#endif
