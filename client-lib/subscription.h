/*
 * Subscriptions: what is needed to make them again on the next connection, and what they say.
 */
#ifndef ESBRIDGE_CLIENT_SUBSCRIPTION_H
#define ESBRIDGE_CLIENT_SUBSCRIPTION_H

#include "context.h"

enum sub_state {
	SUB_STARTING, /* asked for, not yet confirmed: its request may fail */
	SUB_ACTIVE,
	SUB_LOST,     /* to be made again, at `again_at` */
	SUB_REMAKING, /* asked for again */
	SUB_LEAVING,  /* the program has unsubscribed */
	SUB_ENDED,    /* its last push is in the queue, or has been handed out */
};

enum sub_mode { SUB_LIVE, SUB_CATCHUP, SUB_PERSISTENT };

struct subscription {
	struct link place; /* in `subs` or `graves` */
	enum sub_state state;
	enum sub_mode mode;
	char *name;
	char *members; /* the request up to where it begins: {"op":"subscribe",... */
	char *from;    /* where it begins as the program said it, JSON; NULL: not said */
	int timeout_ms;
	bool secret; /* there is a password in `members` */
	bool all;    /* all streams */
	bool checkpoint;

	int64_t first_number; /* `from` where it is a number, else 0 */
	bool from_end;
	int64_t last_number;                /* the last event that has come, -1: none */
	struct esbridge_position last_seen; /* the same for all streams */
	bool seen_event;                    /* there was an event there, not the end of the log */
	bool skip_first;                    /* the first event may be that one again */
	bool caught_up;                     /* that was told */

	/* What the library itself has to tell, as soon as there is memory for it. */
	bool owes_interrupted;
	bool owes_resumed;
	bool owes_gap; /* with it */
	bool owes_dropped;
	char reason[FAILURE_NAME]; /* of interrupted and dropped */

	int64_t again_at;
	int backoff_ms;
	esbridge_fn *fn;
	void *user;
};

/* The subscription of that name that has not ended, or NULL. */
struct subscription *subscription_find(struct esbridge *e, struct esbridge_span name);

/* MESSAGE is a push. Takes the reference. */
void subscription_push(struct esbridge *e, struct message *message);

/* The daemon has answered hello: makes the subscriptions again, before all that waits. -1: no
 * memory. */
int subscription_remake(struct esbridge *e, int64_t now);

/* When the next subscription is to be made again, -1: never. */
int64_t subscription_due(const struct esbridge *e);

/* The connection is gone; FOR_GOOD: there will be no other. */
void subscription_connection_lost(struct esbridge *e, bool for_good);

/* Tells what is owed. -1: memory is out, and it is still owed. */
int subscription_pay(struct esbridge *e);

/* ITEM has been handed out or thrown away: where it was the last push, the subscription goes. */
void subscription_handed_out(struct esbridge *e, const struct item *item);

/* Frees those that have ended and been told of. */
void subscription_bury(struct esbridge *e);

void subscription_free(struct subscription *sub);

#endif
