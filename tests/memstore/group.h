/*
 * Groups (persistent subscriptions): what each has delivered, to whom, and what it has to deliver
 * again.
 *
 * A group reads its stream by number: all before `next` was read or passed over. A message is an
 * event that was read and waits to be delivered, is out with a consumer, or waits to be delivered
 * again; it is gone when it is acknowledged. Old events are read in batches: when the group begins,
 * and after an acknowledgement, for as long as the buffer has room for one. New events are read one
 * by one, until the buffer is full: the group has old ones then.
 */
#ifndef MEMSTORE_GROUP_H
#define MEMSTORE_GROUP_H

#include "base/idtable.h"
#include "connection.h"
#include "reply.h"
#include "server.h"

enum strategy {
	STRATEGY_ROUND_ROBIN,
	STRATEGY_DISPATCH_TO_SINGLE,
	STRATEGY_PINNED,
	STRATEGY_PINNED_BY_CORRELATION,
};

struct group_settings {
	bool resolve_links;
	int64_t start_from;      /* -1: the end */
	int32_t message_timeout; /* milliseconds; 0: by the version, none or at once */
	int32_t buffer_size;     /* messages that may wait for a consumer */
	int32_t read_batch;      /* old events that are read at one time */
	int32_t max_retry_count;
	int32_t checkpoint_after; /* milliseconds; 0: never by time */
	int32_t checkpoint_max;
	int32_t checkpoint_min;
	int32_t consumers_max; /* 0: no limit */
	enum strategy strategy;
};

struct group;
struct consumer;

/* The group with the key "stream::group", or NULL. */
struct group *group_find(const struct server *server, struct span key);

/* Makes the group KEY, which is not there yet, of the stream called STREAM. */
struct group *group_make(struct server *server, struct span key, struct span stream,
			 const struct group_settings *settings);

/* Gives GROUP other settings: its consumers are dropped, and it starts again from its checkpoint.
 */
void group_update(struct group *group, const struct group_settings *settings);

/* Drops the consumers, soft-deletes the stream of parked messages, and frees GROUP. */
void group_delete(struct group *group);

/* Frees all groups with no word to anybody, at the end. Connections are gone already. */
void groups_free(struct server *server);

/* The work of each second: timeouts and checkpoints. */
void groups_tick(struct server *server);

/* Delivers RECORD, which became visible just now, to the groups of its stream. */
void groups_deliver(const struct record *record);

bool group_is_full(const struct group *group);

/* Adds a consumer that takes ALLOWED messages at one time, confirms it, and delivers what there is.
 */
void group_join(struct group *group, struct connection *c, const struct guid *correlation,
		int32_t allowed);

/* What is to become of a message that was not acknowledged. */
enum nak { NAK_RETRY, NAK_PARK, NAK_DONE };

/*
 * Takes the message with the id of its original event as processed, or as NAK says (REASON is the
 * client's). Only an answer under the consumer's own correlation id frees its place. Unknown ids
 * are passed over.
 */
void group_acknowledge(struct group *group, const struct guid *correlation, const struct guid *id);
void group_refuse(struct group *group, const struct guid *correlation, const struct guid *id,
		  enum nak nak, struct span reason);

/* Reads on and delivers what there is; to be called after acknowledgements. */
void group_go_on(struct group *group);

/* Ends the consumers of C, which is going away; what they had goes to others. */
void consumers_end(struct connection *c);

/* Ends those of C with this correlation id. Returns how many there were. */
size_t consumers_leave(struct connection *c, const struct guid *correlation);

#endif
