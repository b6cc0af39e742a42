/*
 * NotHandled: the store did nothing with a request, and says why.
 */
#ifndef ESBRIDGE_STORE_NOT_HANDLED_H
#define ESBRIDGE_STORE_NOT_HANDLED_H

#include <stdbool.h>
#include <stdint.h>

#include "store/frame.h"

enum not_handled_reason {
	NOT_READY = 0,
	TOO_BUSY = 1,
	NOT_LEADER = 2, /* NotMaster up to 5.0 */
	IS_READ_ONLY = 3,
};

struct not_handled {
	int64_t reason; /* enum not_handled_reason, or a number that is not known yet */
	char host[256]; /* for NOT_LEADER: the leader, "" where the node does not name it */
	uint16_t port;
	bool secure; /* host and port are those of TLS */
};

/* Reads the payload of PACKAGE; where it names the leader twice, SECURE_FIRST tells which name is
 * taken. An empty one means NOT_READY (22.10 and later leave zeros out); so
 * does a broken one. */
void not_handled_read(const struct package *package, bool secure_first, struct not_handled *answer);

/* True where the same request may be handled later, here or by another node. */
bool not_handled_passes(const struct package *package);

#endif
