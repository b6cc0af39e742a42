/*
 * A hash table from names to the objects that carry them. The node lives inside the object, the
 * name elsewhere, for as long as the node is in the table. The hash is keyed with a secret of the
 * process.
 */
#ifndef MEMSTORE_NAMES_H
#define MEMSTORE_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "wire.h"

struct name_node {
	struct name_node *next;
	uint64_t hash;
	struct span name;
};

/* A table of all zeros is empty and ready. */
struct names {
	struct name_node **buckets;
	size_t size; /* a power of two, or 0 */
	size_t count;
};

/* Frees the buckets. The objects are the caller's. */
void names_free(struct names *names);

struct name_node *names_find(const struct names *names, struct span name);

/* Puts NODE, whose `name` is set and not yet in the table, into it. */
void names_insert(struct names *names, struct name_node *node);

void names_remove(struct names *names, struct name_node *node);

/* Calls VISIT with every node, which may be freed by it. */
void names_each(struct names *names, void (*visit)(struct name_node *node));

/* The hash of NAME, keyed with the secret. */
uint64_t names_hash(struct span name);

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

#endif
