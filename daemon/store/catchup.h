/*
 * Reads a stream, or the log of all streams, and then stays: page after page while there is
 * something, then live, without gap and without duplicate. It reads no further than its owner has
 * room for; when events come faster, it lets them pass and reads them again later. After a lost
 * connection it goes on behind the last event that it gave.
 *
 * A store that comes back with less than it had has lost data, or was restored from a copy. What it
 * has before the place that was reached counts as given; what is written from then on comes, and
 * the owner is told that there is a gap.
 *
 * How pages and live events are joined: the live subscription is asked for at the end of the pages.
 * A read that is sent after its confirmation sees all that the subscription does not bring. While
 * it is under way, events that come live are only noted by their place; if none is beyond that
 * read, the next live event is the next event. So nothing is ever queued.
 */
#ifndef ESBRIDGE_STORE_CATCHUP_H
#define ESBRIDGE_STORE_CATCHUP_H

#include "store/live.h"
#include "store/operation.h"

enum catchup_state {
	CATCHUP_IDLE,
	CATCHUP_BEHIND,  /* a page is to be read, as soon as there is room for what is in it */
	CATCHUP_QUEUED,  /* it waits for its turn */
	CATCHUP_READING, /* it is asked for */
	CATCHUP_GIVING,  /* it is there, and not all of it is given */
	CATCHUP_JOINING, /* at the end of the pages, the live subscription is asked for */
	CATCHUP_LIVE,
	CATCHUP_LOST, /* waits for the connection */
};

enum catchup_end {
	CATCHUP_REFUSED_ACCESS,
	CATCHUP_REFUSED_LOGIN,   /* the payload of the package is a text */
	CATCHUP_REFUSED_REQUEST, /* the same */
	CATCHUP_REFUSED_NODE,
	CATCHUP_BROKEN,         /* the store sent what cannot be */
	CATCHUP_TOO_LARGE,      /* one event alone is longer than the frame limit */
	CATCHUP_NO_MEMORY,      /* for a page, or an event */
	CATCHUP_STREAM_DELETED, /* hard */
	CATCHUP_FAILED,         /* the store could not read; PACKAGE is its answer */
};

struct catchup;

struct catchup_events {
	/* True where one more event, with about BYTES, may be given. */
	bool (*room)(struct catchup *c, size_t bytes);
	/* The store has accepted it. LAST is the number of the stream's newest event, -1 for none
	 * and for all streams. */
	void (*begun)(struct catchup *c, int64_t last);
	/* SERIAL: of a live event, as in live.h; 0 for one out of a page. */
	void (*event)(struct catchup *c, const struct resolved_event *event, struct place place,
		      uint64_t serial);
	/* The answer to catchup_redeliver(): EVENT is NULL where the store does not have it any
	 * more. */
	void (*redelivered)(struct catchup *c, const struct resolved_event *event,
			    struct place place);
	/* The end was reached for the first time; LAST as in `begun`, for all streams POSITION is
	 * where. */
	void (*caught_up)(struct catchup *c, int64_t last, struct place position);
	void (*soft_deleted)(struct catchup *c);
	void (*lost)(struct catchup *c, const char *reason);
	/* After `lost`: it goes on. GAP: events may have been missed: where it follows, see below,
	 * and where the store has lost what it had. */
	void (*resumed)(struct catchup *c, bool gap);
	/* It is over; PACKAGE is what ended it, or NULL. */
	void (*ended)(struct catchup *c, enum catchup_end why, const struct package *package);
	/* After catchup_leave(): the store has confirmed. */
	void (*left)(struct catchup *c);
};

struct catchup {
	/* Set by the owner before catchup_start(); the texts outlive it. */
	const struct catchup_events *events;
	struct live_key key;
	bool from_end; /* begins with the next event that is written, else with `next` */
	bool follows;  /* after a lost connection it begins at the end again: what passed meanwhile
			  is a gap */
	struct place next; /* the first event wanted */
	int32_t batch;     /* events in a page, 1 to 4096 */
	bool require_master;
	uint32_t timeout_ms; /* for each page */
	struct lane *lane;   /* of the client that it is for */

	/* Kept by the store room. */
	struct store *store;
	enum catchup_state state;
	struct watcher watcher;
	struct live_listener listener;
	struct operation read;
	struct buffer page;     /* the answer whose events are being given */
	struct wire page_at;    /* what of it is not given yet */
	bool page_is_last;      /* at its end there was nothing more */
	struct place page_next; /* where the store says that the next page begins */
	int64_t page_last;      /* the number of the stream's newest event, as it says */
	bool begun;
	bool told_lost; /* and not yet that it goes on */
	struct place
		least;    /* of one stream: no event before it is wanted, whatever the pages say */
	bool reached_end; /* `caught_up` was told */
	bool told_deleted;
	bool read_is_late;  /* the read under way was sent after the live subscription was confirmed
			     */
	bool seen;          /* an event was given: */
	struct place last;  /*   its place */
	int64_t live_from;  /* the commit position, or the number, of the newest event when the
			       live subscription was confirmed last; -1: none, or not yet */
	struct place known; /* of the newest event that the store was seen to have; commit -1: none
			     */
	struct place had;   /* the same, when the connection was last lost */
	uint64_t short_since; /* when the store was first seen to have less than it had; 0: not */
	struct place noted;   /* of the newest live event that was let pass; commit -1: none */
	uint32_t passed;      /* how many were */
	int32_t batch_now;    /* smaller than `batch` where events are large */
	int32_t asked;        /* events in the page that was asked for */
	struct link redeliveries; /* places to be read again, see catchup_redeliver() */
	bool redelivering;        /* the read under way is of the first of those */
	bool leaving;      /* waits for the store to confirm the end of the live subscription */
	struct turn turn;  /* for the next page, or the one that is asked for */
	size_t page_bytes; /* what the next page is likely to have */
	struct deadline retry;
	struct job give; /* to give what is left of a page */
};

/* In place of setting `next`, before catchup_start(): what is wanted is what comes after LAST, and
 * all where its commit is -1. */
void catchup_begin_after(struct catchup *c, struct place last);

void catchup_start(struct catchup *c, struct store *store);

/* Ends C without a call. Harmless where it is idle. */
void catchup_stop(struct catchup *c);

/* Ends C; true where the store has to confirm it, and `left` will come; false where there is
 * nothing to confirm. */
bool catchup_leave(struct catchup *c);

/* The number of the stream's newest event as far as C has heard; -1: none, or of all streams. */
int64_t catchup_newest(const struct catchup *c);

/* There is room now, or may be: gives what waits. */
void catchup_pump(struct catchup *c);

/* Reads the event at PLACE, which was given before, again, and gives it by `redelivered`, before
 * any later one. */
void catchup_redeliver(struct catchup *c, struct place place);

#endif
