/*
 * What waits to be sent over one connection: bytes that were added to it, and large packages that
 * stay where they are until the kernel has taken them.
 */
#ifndef ESBRIDGE_STORE_OUTBOX_H
#define ESBRIDGE_STORE_OUTBOX_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buffer.h"
#include "base/list.h"

/* A large package on its way. Embedded in what owns its bytes; begun with parcel_init(). */
struct parcel {
	struct link link;           /* on the list of an outbox, or on none */
	struct buffer before;       /* what goes before it */
	const struct buffer *bytes; /* the owner's */
	size_t sent;                /* of them */
};

struct outbox {
	struct link parcels;  /* in the order in which they are sent */
	struct buffer behind; /* what goes behind all of them: to be added to */
};

static inline void parcel_init(struct parcel *p)
{
	link_init(&p->link);
}

void outbox_init(struct outbox *o);

/* Throws away all that waits; parcels are no longer on their way. */
void outbox_clear(struct outbox *o);

static inline bool outbox_is_empty(const struct outbox *o)
{
	return list_empty(&o->parcels) && buffer_len(&o->behind) == 0;
}

/* Puts P, which is not on its way, with BYTES behind all that waits. BYTES stay as they are until
 * they are sent or taken back. */
void outbox_add(struct outbox *o, struct parcel *p, const struct buffer *bytes);

/*
 * The owner of P is about to free its bytes or to send them anew: where it is on its way and has
 * been sent in part, the rest is copied; else it is not sent. Where there is no memory for that,
 * `behind` has failed. Harmless where P is not on its way.
 */
void outbox_take_back(struct outbox *o, struct parcel *p);

/* Writes once to FD what waits, as far as it is taken. Returns as write(2); EPIPE raises no signal.
 */
ssize_t outbox_write(struct outbox *o, int fd);

#endif
