/*
 * A hash table from ids of 16 bytes to the objects that carry them. The node lives inside the
 * object.
 *
 * Ids may come from peers (correlation ids, event ids), so the hash is keyed with a secret of the
 * process: nobody can fill one bucket on purpose.
 */
#ifndef ESBRIDGE_BASE_IDTABLE_H
#define ESBRIDGE_BASE_IDTABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/guid.h"

struct idnode {
	struct guid id;
	struct idnode *next;
};

struct idtable {
	struct idnode **buckets;
	size_t size; /* number of buckets, a power of two, or 0 before the first insert */
	size_t count;
};

/* An idtable of all zeros is empty and ready. */

/* What an id is found by; the secret is in it. */
uint64_t idtable_hash(const struct guid *id);

/* Frees the buckets. The objects are the caller's. */
void idtable_free(struct idtable *t);

/* Returns the node with ID, or NULL. */
struct idnode *idtable_find(const struct idtable *t, const struct guid *id);

/*
 * Puts NODE, whose `id` is set and in no table, into T. An id that is there already must not be put
 * in again.
 */
void idtable_insert(struct idtable *t, struct idnode *node);

/* Takes NODE out of T. Returns false where it was not in it. */
bool idtable_remove(struct idtable *t, struct idnode *node);

#endif
