/*
 * The insides of groups, shared by the files group*.c alone.
 */
#ifndef MEMSTORE_GROUP_PARTS_H
#define MEMSTORE_GROUP_PARTS_H

#include "group.h"

enum { PINS = 1024 };

struct group {
	struct name_node node; /* in server.groups; the key is behind the struct */
	struct link of_stream; /* in stream.groups */
	struct server *server;
	struct stream *stream;
	struct group_settings settings;
	int64_t next;           /* the number to be read next */
	bool live;              /* all was read: new events are taken as they come */
	int64_t checkpoint;     /* all up to it is processed; -1: nothing is known */
	uint64_t checkpoint_at; /* milliseconds of loop_now() */
	int64_t processed;      /* messages since the checkpoint */
	struct link ready;      /* consumers with room, by of_group */
	struct link full;       /* the others */
	size_t consumer_count;
	struct idtable messages; /* that are out, by the id of the original event */
	struct link sent;        /* the same, the oldest first, by `place` */
	struct link retry;       /* messages to be delivered again */
	size_t retry_length;
	struct link waiting; /* messages not delivered yet, in the order of the stream */
	size_t waiting_length;
	struct job push;
	struct consumer **pins; /* PINS of them, or NULL */
};

struct consumer {
	struct link of_group;
	struct link of_connection;
	struct group *group;
	struct connection *c;
	struct guid correlation;
	struct link messages; /* by of_consumer */
	int32_t allowed;
	int32_t in_flight;
	size_t pinned; /* number of pins */
};

struct message {
	struct idnode node; /* in group.messages while it is out */
	struct link place;  /* in group.sent, .retry or .waiting */
	struct link of_consumer;
	struct consumer *consumer; /* NULL while it waits */
	struct resolved resolved;
	uint64_t sent_at; /* milliseconds of loop_now() */
	int32_t retry_count;
	bool done; /* processed, but its consumer has not freed the place */
};

/* The consumer that MESSAGE goes to now, or NULL where none that may have it has room. */
struct consumer *strategy_choose(struct group *group, const struct message *message);

/* Tells that CONSUMER got a message, and has its place in the lists set anew. */
void strategy_sent(struct group *group, struct consumer *consumer);

/* Takes the pins of CONSUMER, who leaves, away. */
void strategy_leave(struct group *group, const struct consumer *consumer);

/* Writes a link to what MESSAGE holds to the stream of parked messages, with REASON. */
void group_park(struct group *group, const struct message *message, const char *reason);

/* The name of that stream, added to NAME. */
void group_parked_name(const struct group *group, struct buffer *name);

#endif
