/*
 * The store as the rest of the daemon sees it: one connection, and the conversations on it.
 *
 * A conversation is what one correlation id stands for: an operation (one request, one answer) or a
 * subscription (many events). Conversations outlive connections: each decides what a loss means for
 * it.
 */
#ifndef ESBRIDGE_STORE_STORE_H
#define ESBRIDGE_STORE_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/idtable.h"
#include "base/list.h"
#include "base/loop.h"
#include "store/connection.h"
#include "store/turns.h"

struct store_settings {
	struct connection_settings connection;
	uint32_t operations_most; /* waiting or in flight */
	uint32_t ask_again; /* milliseconds without an answer until a subscription is asked for
			       again */
};

struct store_counters {
	uint64_t operations; /* begun */
	uint64_t repeated;   /* sent again */
	uint64_t timeouts;
	uint64_t losses; /* of the connection */
};

/* What stands behind a correlation id. */
struct conversation {
	struct idnode node;
	void (*package)(struct conversation *, const struct package *);
	/* A package came that is longer than the frame limit, and is not taken in. */
	void (*too_large)(struct conversation *);
};

/* What is known of the server's filters, see filters.h. */
enum filters { FILTERS_NOT_ASKED, FILTERS_ASKED, FILTERS_REFUSED };

struct store {
	struct loop *loop;
	struct store_settings settings;
	struct connection *connection;
	struct idtable conversations; /* by correlation id: those that packages can come for */
	struct link
		waiting; /* operations not sent, or to be sent again, in order of their sequence */
	struct link in_flight;     /* operations sent and not answered, in the same order */
	struct link subscriptions; /* in the order they were asked for */
	struct link lives;         /* the live subscriptions that listeners share */
	struct link farewells;     /* subscriptions that nobody has any more, see farewell.h */
	uint32_t farewell_count;
	struct link watchers; /* in the order they came */
	struct turns turns;   /* of those who ask for something large */
	enum filters filters;
	struct conversation filters_question;
	struct deadline
		pause; /* while set, nothing that waits is sent: the store was not ready, or busy */
	uint64_t sequence;        /* of the last operation begun, */
	uint64_t answered;        /* and of the last of these that was answered */
	uint32_t operation_count; /* on both lists */
	uint32_t in_flight_count;
	size_t small_bytes; /* of the packages of those operations that are not large */
	struct store_counters counters;
	void (*gave_up)(void *arg);
	void (*changed)(void *arg, bool ready); /* the connection became ready, or was lost */
	void *arg;
};

/* Who wants to know when the connection comes and goes. */
struct watcher {
	struct link link;
	void (*ready)(struct watcher *w);
	void (*lost)(struct watcher *w);
	void (*relieve)(struct watcher *w); /* memory is short: lets go what it can read again */
};

void store_watch(struct store *store, struct watcher *w);

/* Harmless where it does not watch. W has been initialised by store_watch(). */
void store_unwatch(struct watcher *w);

/* Memory is short: what is kept and can be read again is let go. */
void store_relieve(struct store *store);

/*
 * GAVE_UP is called when the connection is given up for good, CHANGED when it comes and goes. The
 * texts in SETTINGS outlive the store.
 */
struct store *store_new(struct loop *loop, const struct store_settings *settings,
			void (*gave_up)(void *arg), void (*changed)(void *arg, bool ready),
			void *arg);

/* Frees it. Whoever has operations or subscriptions has cancelled them before. */
void store_free(struct store *store);

void store_start(struct store *store);

/* Takes no more operations, ends all there are as cancelled, and closes the connection. */
void store_stop(struct store *store);

static inline bool store_is_ready(const struct store *store)
{
	return connection_is_ready(store->connection);
}

/* False while there is no connection, and while the store has asked for time. */
static inline bool store_may_send(const struct store *store)
{
	return store_is_ready(store) && !deadline_is_set(&store->pause);
}

/* How many of the operations sent the store has yet to come to. One that it has passed over, and
 * answers later, is not among them: it holds up nobody. */
static inline uint64_t store_is_behind_by(const struct store *store)
{
	uint64_t since = store->sequence - store->answered;

	return since < store->in_flight_count ? since : store->in_flight_count;
}

/* Gives C the correlation id ID and lets packages reach it. */
void conversation_open(struct store *store, struct conversation *c, const struct guid *id);

/* No package reaches C any more. Harmless where it is not open. */
void conversation_close(struct store *store, struct conversation *c);

/*
 * A node answered that another one leads: connects there where the answer names it (NotHandled's
 * payload), else pauses. Returns after having dealt with the connection; the operation or
 * subscription that was not handled is to be sent again.
 */
void store_not_handled(struct store *store, const struct package *package);

#endif
