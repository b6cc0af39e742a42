#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { CHUNK_BYTES = 1024 * 1024, ALIGNMENT = 16, ARRAY_FIRST = 8 };

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	_Alignas(16) uint8_t bytes[];
};

/* A chunk of its own for what is large leaves the one in use as the first. */
static void *take_large(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = mem_new(sizeof(*chunk) + size);

	if (arena->chunks == NULL) {
		arena->chunks = chunk;
		return chunk->bytes;
	}
	chunk->next = arena->chunks->next;
	arena->chunks->next = chunk;
	return chunk->bytes;
}

void *arena_take(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = arena->chunks;
	void *at;

	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (size > CHUNK_BYTES / 4)
		return take_large(arena, size);
	if (arena->left < size) {
		chunk = mem_new(sizeof(*chunk) + CHUNK_BYTES);
		chunk->next = arena->chunks;
		arena->chunks = chunk;
		arena->left = CHUNK_BYTES;
	}
	at = chunk->bytes + chunk->used;
	chunk->used += size;
	arena->left -= size;
	return at;
}

void arena_free(struct arena *arena)
{
	while (arena->chunks != NULL) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	arena->left = 0;
}

void array_reserve(void **array, size_t *size, size_t wanted, size_t each)
{
	size_t wider = *size < ARRAY_FIRST ? ARRAY_FIRST : *size;
	void *grown;

	if (wanted <= *size)
		return;
	while (wider < wanted)
		wider *= 2;
	grown = mem_new(wider * each);
	if (*size > 0)
		memcpy(grown, *array, *size * each);
	free(*array);
	*array = grown;
	*size = wider;
}
