#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/mem.h"

enum {
	CHUNK_BYTES = 1024 * 1024,
	HUGE_PAGE = 2 * 1024 * 1024,
	LARGE_BYTES = 64 * 1024 * 1024, /* of a chunk for what is large */
	ALIGNMENT = 16,
	ARRAY_FIRST = 8,
};

struct arena_chunk {
	struct arena_chunk *next;
	_Alignas(16) uint8_t bytes[];
};

static void add_chunk(struct arena *arena, struct arena_place *place, struct arena_chunk *chunk,
		      size_t size)
{
	chunk->next = arena->chunks;
	arena->chunks = chunk;
	place->at = chunk->bytes;
	place->left = size;
}

static void *take_from(struct arena_place *place, size_t size)
{
	uint8_t *at = place->at;

	place->at += size;
	place->left -= size;
	return at;
}

/*
 * Most of what a new page costs is that the kernel clears it and is called for it: pages of two
 * megabytes where there are some. Of a chunk only what has been given away takes memory.
 */
static void add_large(struct arena *arena, size_t size)
{
	struct arena_chunk *chunk = mem_new(sizeof(*chunk) + size);
	uint8_t *first = chunk->bytes + HUGE_PAGE - (uintptr_t)chunk->bytes % HUGE_PAGE;

	add_chunk(arena, &arena->large, chunk, size);
	if (first < chunk->bytes + size)
		(void)madvise(first, (size_t)(chunk->bytes + size - first), MADV_HUGEPAGE);
}

static void *take_large(struct arena *arena, size_t size)
{
	if (arena->large.left < size)
		add_large(arena, size > LARGE_BYTES ? size : LARGE_BYTES);
	return take_from(&arena->large, size);
}

void *arena_take(struct arena *arena, size_t size)
{
	size = (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	if (size > CHUNK_BYTES / 4)
		return take_large(arena, size);
	if (arena->small.left < size)
		add_chunk(arena, &arena->small, mem_new(sizeof(struct arena_chunk) + CHUNK_BYTES),
			  CHUNK_BYTES);
	return take_from(&arena->small, size);
}

void arena_free(struct arena *arena)
{
	while (arena->chunks != NULL) {
		struct arena_chunk *chunk = arena->chunks;

		arena->chunks = chunk->next;
		free(chunk);
	}
	*arena = (struct arena){ 0 };
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
