/*
 * A subscription at the store: live, of one stream or of all, or to a persistent group. It is asked
 * for on every new connection for as long as its owner wants it; what the loss of a connection
 * means to the reader is the owner's to say.
 */
#ifndef ESBRIDGE_STORE_SUBSCRIPTION_H
#define ESBRIDGE_STORE_SUBSCRIPTION_H

#include "store/event.h"
#include "store/store.h"

enum subscription_kind { SUBSCRIPTION_LIVE, SUBSCRIPTION_FILTERED, SUBSCRIPTION_PERSISTENT };

enum subscription_state {
	SUBSCRIPTION_IDLE,
	SUBSCRIPTION_WAITING, /* for a connection */
	SUBSCRIPTION_ASKED,   /* sent, neither confirmed nor dropped */
	SUBSCRIPTION_CONFIRMED,
	SUBSCRIPTION_LEAVING, /* the unsubscribe was sent */
};

/* Why a subscription has ended. The first five are the store's own SubscriptionDropReason, with its
 * numbers. */
enum subscription_end {
	SUBSCRIPTION_UNSUBSCRIBED = 0,
	SUBSCRIPTION_ACCESS_DENIED = 1,
	SUBSCRIPTION_NOT_FOUND = 2,
	SUBSCRIPTION_DELETED = 3,
	SUBSCRIPTION_TOO_MANY = 4,
	SUBSCRIPTION_BAD_REQUEST,       /* the payload of the package is a text */
	SUBSCRIPTION_NOT_AUTHENTICATED, /* the same */
	SUBSCRIPTION_NOT_HANDLED,
	SUBSCRIPTION_UNEXPECTED, /* a package that has no place here */
	SUBSCRIPTION_TOO_LARGE,  /* an event is longer than the frame limit */
};

struct subscription;

struct subscription_confirmed {
	int64_t last_commit_position;
	bool numbered; /* last_event_number was sent */
	int64_t last_event_number;
	struct span id; /* of a group: what acks carry; lives until the call returns */
};

/* None of them may free the subscription but `ended`, which may. */
struct subscription_events {
	/* The store is about to be told that it ends, for a fault in what the store sent: what is
	 * to go out before goes now. NULL: nothing is. */
	void (*ending)(void *arg);
	/* Also each time that it was re-made. */
	void (*confirmed)(void *arg, const struct subscription_confirmed *confirmed);
	/* RETRIES: how often a group has delivered it before; -1 where the server does not say. */
	void (*event)(void *arg, const struct resolved_event *event, int32_t retries);
	/* The connection went after the confirmation; the subscription will be asked for again. */
	void (*lost)(void *arg, const char *reason);
	/* It is over; PACKAGE is what ended it, or NULL. Not called for subscription_cancel(). */
	void (*ended)(void *arg, enum subscription_end why, const struct package *package);
};

struct subscription {
	/* Set by the owner before subscription_start(). */
	enum subscription_kind kind;
	struct buffer
		request; /* the payload that asks for it; kept until the end, freed by the owner */
	struct credentials credentials; /* for asking and for acks; no login: the connection's */
	const struct subscription_events *events;
	void *arg;

	/* Kept by the store room. */
	struct store *store;
	struct conversation conversation;
	struct link link;
	enum subscription_state state;
	uint32_t asked; /* how often the store was asked for it since it was last confirmed, or to
			   end it */
	struct deadline silence; /* asked again when the store has not answered until then, or not
				    ended it */
};

/*
 * Begins SUB, all of whose memory is zero but for what the owner sets. Calls nothing at once. What
 * the store does not answer is asked for again after settings.ask_again.
 */
void subscription_start(struct subscription *sub, struct store *store);

/*
 * Asks the store to end SUB, again for about a second where it does not handle that; `ended`
 * comes with SUBSCRIPTION_UNSUBSCRIBED once it has, or from the loss of the connection. Where there
 * is nothing to be ended at the store it returns false and SUB is over, without a call.
 */
bool subscription_leave(struct subscription *sub);

/* Ends SUB without a call; the store is told where it knows of it, again where it does not handle
 * that. Harmless where it is idle. */
void subscription_cancel(struct subscription *sub);

/* Acknowledges what a group has delivered: COUNT ids of 16 bytes at IDS, NAME as confirmed. Dropped
 * where SUB is not confirmed. */
void subscription_ack(struct subscription *sub, struct span name, const struct guid *ids,
		      size_t count);

/* The same in the negative. ACTION is the number of NakAction, REASON a text of REASON_LEN bytes.
 */
void subscription_nack(struct subscription *sub, struct span name, const struct guid *ids,
		       size_t count, int action, const char *reason, size_t reason_len);

/* For the store: the connection is ready; was lost. */
void subscriptions_send(struct store *store);
void subscriptions_lost(struct store *store, const char *reason);

#endif
