/*
 * Which event was committed last under an event id. An id that comes again replaces the event: one
 * id leads to one event, as in the cache of committed ids of the real server.
 */
#ifndef MEMSTORE_IDS_H
#define MEMSTORE_IDS_H

#include <stddef.h>
#include <stdint.h>

struct record;

struct ids_slot {
	uint64_t hash;
	struct record *record;
};

/* A table of all zeros is empty and ready. */
struct ids {
	struct ids_slot *slots;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

void ids_free(struct ids *ids);

/* The event with the 16 bytes of ID, or NULL. */
struct record *ids_find(const struct ids *ids, const uint8_t *id);

void ids_put(struct ids *ids, struct record *record);

#endif
