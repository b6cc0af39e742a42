/*
 * The events of one subscription that were delivered and are not acknowledged yet: found by id,
 * kept in the order of their delivery.
 */
#ifndef ESBRIDGE_BRIDGE_OUTSTANDING_H
#define ESBRIDGE_BRIDGE_OUTSTANDING_H

#include <stdint.h>

#include "base/idtable.h"
#include "base/list.h"
#include "store/live.h"

struct delivery {
	struct idnode node; /* the id to acknowledge */
	struct link link;
	struct place place;    /* where it was read; not used for groups */
	uint64_t since_us;     /* when it was pushed, of loop_now_us() */
	size_t size;           /* of one that is held back: what it takes in the output, about */
	struct place before;   /*   and where the one delivered before it was */
	struct delivery *twin; /* the next one delivered with the same id, or NULL */
	struct delivery *last; /* of the one in the table: the last of its twins, or itself */
	bool wanted;           /* a nack has asked for it again, and it has not come yet */
};

struct outstanding {
	struct idtable table;
	struct link order; /* of delivery, the oldest first */
	struct link spare; /* deliveries to be used again */
	uint32_t count;
	struct place last; /* where the last one that was delivered was read */
};

void outstanding_init(struct outstanding *o);
void outstanding_free(struct outstanding *o);

/*
 * Counts the event ID as delivered now, at NOW_US. One that is outstanding already takes its new
 * place instead: a group delivers again after its time-out.
 */
struct delivery *outstanding_move(struct outstanding *o, const struct guid *id, uint64_t now_us);

/*
 * Counts the event ID, read at PLACE, as delivered now, at NOW_US. A stream may hold the same id
 * twice; each is acknowledged for itself, in the order of delivery.
 */
void outstanding_add(struct outstanding *o, const struct guid *id, struct place place,
		     uint64_t now_us);

/*
 * What is delivered from now on comes after PLACE, up to which all is done. What is outstanding, of
 * places that may be higher, counts as before all that, and holds it back until it is acknowledged.
 */
void outstanding_begin(struct outstanding *o, struct place place);

/*
 * Sets *PLACE to the last one up to which all that was read is acknowledged, in whatever order that
 * was done. False where there is none yet.
 */
bool outstanding_done(const struct outstanding *o, struct place *place);

/* The oldest delivery of ID, or NULL. Lives until it is removed. */
struct delivery *outstanding_find(const struct outstanding *o, const struct guid *id);

/* The oldest of all, or NULL. */
struct delivery *outstanding_first(const struct outstanding *o);

/* D is the oldest delivery of its id. */
void outstanding_remove(struct outstanding *o, struct delivery *d);

/* Forgets all. */
void outstanding_clear(struct outstanding *o);

#endif
