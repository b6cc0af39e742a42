/*
 * The events of one request.
 */
#ifndef MEMSTORE_BATCH_H
#define MEMSTORE_BATCH_H

#include "store.h"

/* One of all zeros is empty. The bytes of the events lie in the request. */
struct batch {
	struct new_event *events;
	size_t count;
	size_t size;
	bool data_alone; /* the limit of an event's size is one of its data */
};

/* Adds the event in the NewEvent MESSAGE. Returns false where it is none, or one that no server
 * stores. */
bool batch_add(struct batch *batch, struct span message);

/* Empties BATCH and keeps its memory for the next one, unless it is very much. */
void batch_clear(struct batch *batch);

void batch_free(struct batch *batch);

#endif
