/*
 * What is done when memory is short (base/account.h). Whatever the store can give again is let go.
 * Then those clients that hold most and do least with it are relieved of it: a long line that does
 * not come to its end is thrown away and refused, and a client that does not read, or acknowledge,
 * what it was given is closed. Meanwhile nothing large is taken up from anybody.
 */
#ifndef ESBRIDGE_LOCAL_RELIEF_H
#define ESBRIDGE_LOCAL_RELIEF_H

#include "base/loop.h"

struct client;
struct local;

struct relief {
	struct job job;
	struct deadline again;
	bool under_way;
	uint64_t count;   /* how often memory became short */
	uint64_t told_us; /* when the log was last told so */
};

void relief_init(struct local *local);

/* Memory has become short: what can be done comes at the end of the turn. ARG: the struct local. */
void relief_begin(void *arg);

/* Relieves others than C, so that BYTES more may be taken for it. */
void relief_make_room(struct local *local, size_t bytes, const struct client *c);

void relief_stop(struct local *local);

#endif
