/*
 * An operation: one package to the store and the one that answers it, within a time.
 *
 * It waits while there is no connection, is sent once there is one, and is sent again after a loss
 * where a repetition is harmless. Nothing is sent after its time is over. It ends exactly once, by
 * its callback.
 */
#ifndef ESBRIDGE_STORE_OPERATION_H
#define ESBRIDGE_STORE_OPERATION_H

#include "store/store.h"

enum operation_end {
	OPERATION_ANSWERED,    /* the package is the answer, of one of the expected commands */
	OPERATION_BAD_REQUEST, /* the store refuses it; the payload is a text */
	OPERATION_NOT_AUTHENTICATED, /* the same */
	OPERATION_NOT_HANDLED, /* by a reason that waiting does not mend: IsReadOnly, or none known
				*/
	OPERATION_UNEXPECTED,  /* a package that is no answer to this */
	OPERATION_TOO_LARGE,   /* the answer is longer than the frame limit */
	OPERATION_UNAVAILABLE, /* never sent, and its time is over */
	OPERATION_TIMEOUT,     /* sent, the connection stands, no answer in time */
	OPERATION_LOST, /* sent, the connection went, and no answer came in time or it must not be
			   repeated */
	OPERATION_CANCELLED, /* the daemon stops; see `sent` and `doubtful` */
};

enum operation_state { OPERATION_IDLE, OPERATION_WAITING, OPERATION_IN_FLIGHT };

struct operation {
	/* Set by the owner before operation_start(). */
	uint8_t answer;       /* the command of the answer */
	uint8_t other_answer; /* another that may come instead, or 0 */
	bool repeatable;      /* may be sent again after a loss */
	bool filtered;        /* has a filter, which not all servers know */
	bool has_turn;        /* to ask for something large */
	struct buffer frame;  /* the whole frame, its correlation id filled in; kept until the end,
				 freed by the owner */
	/* Called once. PACKAGE is NULL where nothing came; else it lives until the call returns.
	 * The operation may be freed in it. */
	void (*ended)(struct operation *op, enum operation_end end, const struct package *package);

	/* Kept by the store room. */
	struct store *store;
	struct conversation conversation;
	struct link link;
	struct parcel parcel; /* of the frame, while that is on its way */
	struct deadline deadline;
	enum operation_state state;
	uint64_t sequence;
	bool sent;     /* at least once, and not answered with NotHandled */
	bool doubtful; /* a connection went while it was on its way: it may have been carried out */
};

/* Prepares OP, all of whose memory is zero, for a frame to be written into op->frame. */
void operation_init(struct operation *op, struct store *store);

/*
 * Begins OP with the correlation id ID, which stands in its frame, and TIMEOUT_MS from now. Returns
 * false where the store has as many operations as it may have: nothing happened then, and `ended`
 * is not called. May call `ended` only later, never from inside.
 */
bool operation_start(struct operation *op, const struct guid *id, uint64_t timeout_ms);

/* Ends OP without a call of `ended`. What was sent may still take effect. Harmless where it is
 * idle. */
void operation_cancel(struct operation *op);

/* For the store: the connection is ready, was lost, the daemon stops. */
void operations_send(struct store *store);
void operations_lost(struct store *store);
void operations_stop(struct store *store);

#endif
