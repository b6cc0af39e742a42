/*
 * Tells whether the peer of a connection is still there, and lets it know that we are.
 *
 * Every interval in which nothing came in asks the peer for a sign, and waits the timeout for any
 * byte. An interval in which nothing went out asks as well: servers up to 5.0.9 close a connection
 * on which they only send.
 */
#ifndef ESBRIDGE_STORE_HEARTBEAT_H
#define ESBRIDGE_STORE_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

/* Bytes that have come in and gone out. */
struct traffic {
	uint64_t in;
	uint64_t out;
};

struct heartbeat {
	/* Set by the owner before heartbeat_init(). */
	struct loop *loop;
	uint32_t interval; /* both in milliseconds */
	uint32_t timeout;
	const struct traffic *traffic; /* what the owner counts */
	void (*ask)(void *arg);        /* is to send a heartbeat that asks for an answer */
	void (*silent)(void *arg);     /* the peer gave no sign in time; the beat has stopped */
	void *arg;

	/* Kept here. */
	struct deadline beat;
	bool asked;            /* the peer's sign is awaited */
	struct traffic before; /* at the last beat */
};

void heartbeat_init(struct heartbeat *h);

/* Begins to beat. */
void heartbeat_start(struct heartbeat *h);

/* Harmless where it does not beat. */
void heartbeat_stop(struct heartbeat *h);

#endif
