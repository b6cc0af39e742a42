/*
 * A reader is what `subscribe` makes: a client's subscription, with the store's subscription under
 * it. It puts the pushes into the client's output, keeps what is delivered and not acknowledged,
 * and tells the client what becomes of it.
 */
#ifndef ESBRIDGE_BRIDGE_READER_H
#define ESBRIDGE_BRIDGE_READER_H

#include "base/json_walk.h"
#include "bridge/message_to_json.h"
#include "bridge/session.h"
#include "store/live.h"

enum { SUBSCRIPTION_NAME_MOST = 128 };

enum reader_mode { READER_LIVE, READER_CATCHUP, READER_PERSISTENT };

/* As `subscribe` has it. */
const char *reader_mode_name(enum reader_mode mode);

/* A request as the local room has read it. Everything lives until the call returns. */
struct subscribe_arguments {
	enum reader_mode mode;
	const char *name;   /* the client's own, or NULL */
	const char *stream; /* "" for all streams */
	const char *group;  /* of a persistent one */
	int32_t window; /* most events delivered and not acknowledged; 0: none are expected to be */
	const char *checkpoint; /* of a catch-up: the name of its checkpoint, or NULL */
	bool from_end;          /*   begins at the end */
	struct place from;      /*   the first event wanted, unless from_end */
	int32_t read_batch;
	bool require_master;
	struct span filter; /* as the store takes it; empty: none */
	bool resolve_link_tos;
	enum payload_mode payload;
	const struct credentials *who; /* or NULL: the connection's */
	bool own;                      /* the request has brought them */
	uint64_t timeout_ms;
};

/*
 * Encodes token OBJECT of DOC, the member `filter` of a request, as the store takes it, and adds it
 * to OUT. False with what is wrong and what is accepted in FAULT.
 */
bool reader_filter(const struct json_doc *doc, uint32_t object, struct buffer *out, char *fault,
		   size_t fault_size);

/* What ack and nack say of events. */
struct ack_arguments {
	const struct json_doc *doc;
	uint32_t events; /* a token, an array of texts; NO_TOKEN where `up_to` is given */
	uint32_t up_to;  /* a token, a text; or NO_TOKEN */
	bool negative;   /* a nack: */
	int action;      /* the number of NakAction */
	const char *reason;
	size_t reason_len;
};

/* Each answers the request ID of S, now or later, exactly once; an ack without an id only where it
 * fails. */
void reader_subscribe(struct session *s, const struct request_id *id,
		      const struct subscribe_arguments *a);
void reader_unsubscribe(struct session *s, const struct request_id *id, const char *name,
			uint64_t timeout_ms);
void reader_acknowledge(struct session *s, const struct request_id *id, const char *name,
			const struct ack_arguments *a);

/* The bytes kept for the events that the subscriptions of S have not acknowledged. */
size_t reader_memory(const struct session *s);

/* There is room in the client's output again: what waits for it goes on. */
void reader_resume_all(struct session *s);

/* The client is gone: all its subscriptions end, what is not acknowledged goes back to its group.
 */
void reader_end_all(struct session *s);

/* The client will send nothing more: subscriptions that expect acknowledgements end without a word.
 */
void reader_end_acknowledging(struct session *s);

/* The daemon stops: each subscription gets its last push, `dropped` with reason `shutting_down`. */
void reader_drop_all(struct session *s);

/* What a subscription stands on. */
struct reader_standing {
	const char *stream;            /* "" for all streams */
	const char *checkpoint;        /* or NULL */
	const struct credentials *who; /* no login: the connection's */
	bool own;                      /* the request has brought them */
};

/* What clients may do, or see, has changed: each subscription of S that MAY does not let stay gets
 * its last push, `dropped` with reason `access_denied`. */
void reader_review(struct session *s,
		   bool (*may)(const struct session *s, const struct reader_standing *standing));

/* Adds what the subscriptions of S are at to TOTALS. */
void reader_total(const struct session *s, struct reader_totals *totals);

/* Adds the subscriptions of S as a JSON array to OUT, for `status`. */
void reader_list(const struct session *s, struct buffer *out);

#endif
