#include "ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "store.h"

enum { FIRST_SIZE = 1024 };

void ids_free(struct ids *ids)
{
	free(ids->slots);
	memset(ids, 0, sizeof(*ids));
}

/* The slot of ID, or the empty one where it belongs. */
static struct ids_slot *slot_of(const struct ids *ids, uint64_t hash, const uint8_t *id)
{
	size_t i = hash & (ids->size - 1);

	while (ids->slots[i].record != NULL) {
		const struct record *record = ids->slots[i].record;

		if (ids->slots[i].hash == hash && memcmp(record_id(record).at, id, GUID_BYTES) == 0)
			break;
		i = (i + 1) & (ids->size - 1);
	}
	return &ids->slots[i];
}

static uint64_t hash_of(const uint8_t *id)
{
	return names_hash((struct span){ id, GUID_BYTES });
}

struct record *ids_find(const struct ids *ids, const uint8_t *id)
{
	return ids->size == 0 ? NULL : slot_of(ids, hash_of(id), id)->record;
}

static void grow(struct ids *ids)
{
	struct ids wider = { .size = ids->size == 0 ? FIRST_SIZE : ids->size * 2,
			     .count = ids->count };

	wider.slots = mem_new(wider.size * sizeof(*wider.slots));
	for (size_t i = 0; i < ids->size; i++) {
		size_t to = ids->slots[i].hash & (wider.size - 1);

		if (ids->slots[i].record == NULL)
			continue;
		while (wider.slots[to].record != NULL)
			to = (to + 1) & (wider.size - 1);
		wider.slots[to] = ids->slots[i];
	}
	free(ids->slots);
	*ids = wider;
}

void ids_put(struct ids *ids, struct record *record)
{
	const uint8_t *id = record_id(record).at;
	uint64_t hash = hash_of(id);
	struct ids_slot *slot;

	if (ids->count >= ids->size / 2)
		grow(ids);
	slot = slot_of(ids, hash, id);
	if (slot->record == NULL)
		ids->count++;
	*slot = (struct ids_slot){ .hash = hash, .record = record };
}
