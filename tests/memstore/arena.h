/*
 * Memory that is only ever added to and freed as a whole: what is in the log stays there.
 * Where the machine has none left, the process ends as with mem_new(): its memory is the store.
 */
#ifndef MEMSTORE_ARENA_H
#define MEMSTORE_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_chunk;

/* What is not yet given of a chunk. */
struct arena_place {
	uint8_t *at;
	size_t left; /* bytes */
};

/* An arena of all zeros is empty and ready. */
struct arena {
	struct arena_chunk *chunks;
	struct arena_place small;
	struct arena_place large;
};

/* Returns SIZE bytes, aligned for anything, that live as long as the arena. */
void *arena_take(struct arena *arena, size_t size);

void arena_free(struct arena *arena);

/*
 * Makes *ARRAY, which has *SIZE elements of EACH bytes on the heap (or is NULL with 0), at least
 * WANTED elements long, doubling it. Returns nothing: it ends the process as arena_take() does.
 */
void array_reserve(void **array, size_t *size, size_t wanted, size_t each);

#endif
