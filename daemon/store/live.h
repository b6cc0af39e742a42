/*
 * Live subscriptions, shared: all listeners to the same stream, with the same resolution of links,
 * filter and user, have one subscription at the store. Each event goes to all of them, in the order
 * in which they came.
 */
#ifndef ESBRIDGE_STORE_LIVE_H
#define ESBRIDGE_STORE_LIVE_H

#include "store/subscription.h"

/*
 * Where an event stands in what is read: its number in its stream (`commit`, with `prepare` 0), or
 * its position in the log of all streams.
 */
struct place {
	int64_t commit;
	int64_t prepare;
};

static inline int place_compare(struct place a, struct place b)
{
	if (a.commit != b.commit)
		return a.commit < b.commit ? -1 : 1;
	return a.prepare == b.prepare ? 0 : a.prepare < b.prepare ? -1 : 1;
}

/* What tells one live subscription from another. Texts live as long as the listener's owner says.
 */
struct live_key {
	const char *stream; /* "": all streams */
	bool resolve_link_tos;
	struct span filter; /* an encoded Filter, for all streams; or empty */
	struct credentials credentials;
};

/* An event on its way to listeners. */
struct live_event {
	const struct resolved_event *event;
	struct place place;
	uint64_t serial; /* of this event in this process: who renders it once can tell it from
			    others */
};

struct live;
struct live_listener;

/* They may leave from inside any of them, and cause other listeners to leave. */
struct live_events {
	/* From here on every event comes. LAST is where the newest event stood, as far as is known;
	 * commit -1: nothing yet. */
	void (*begun)(struct live_listener *l, struct place last);
	void (*event)(struct live_listener *l, const struct live_event *event);
	/* The connection went, or the store dropped the subscription unasked; `begun` comes when it
	 * is there again. */
	void (*lost)(struct live_listener *l);
	/* The store refuses it. The listener is off the subscription. */
	void (*ended)(struct live_listener *l, enum subscription_end why,
		      const struct package *package);
};

struct live_listener {
	const struct live_events *events;
	struct live *live; /* NULL: listens to nothing */
	struct link link;
	bool begun;
};

/* Joins L, which is zero but for `events`, to the live subscription of KEY, made if there is none.
 * `begun` may be called at once. */
void live_join(struct live_listener *l, struct store *store, const struct live_key *key);

/* Leaves; the last one ends the subscription at the store. Harmless where it listens to nothing. */
void live_leave(struct live_listener *l);

/*
 * Leaves so that the store's confirmation can be waited for: true where it has to give one, and
 * `ended` will come with SUBSCRIPTION_UNSUBSCRIBED; false where L has left at once, without a call.
 * No event comes in either case.
 */
bool live_leave_politely(struct live_listener *l);

/* What the store's subscription under L is at. */
enum subscription_state live_state(const struct live_listener *l);

/* How often the store was asked for it since it was last confirmed. */
uint32_t live_asked(const struct live_listener *l);

/* The place of EVENT for readers of one stream (STREAM) or of all. */
struct place place_of(const struct resolved_event *event, bool one_stream);

#endif
