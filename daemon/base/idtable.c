#include "base/idtable.h"

#include <stdlib.h>

#include "base/mem.h"

enum { FIRST_SIZE = 16 };

static uint64_t load64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return v;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

/* The secret is drawn once, at the first use. */
uint64_t idtable_hash(const struct guid *id)
{
	static uint64_t secret[2];

	if (secret[0] == 0) {
		struct guid random;

		guid_make(&random);
		secret[0] = load64(random.bytes) | 1;
		secret[1] = load64(random.bytes + 8);
	}
	return mix(load64(id->bytes) ^ secret[0], load64(id->bytes + 8) ^ secret[1]);
}

static struct idnode **bucket(const struct idtable *t, const struct guid *id)
{
	return &t->buckets[idtable_hash(id) & (t->size - 1)];
}

void idtable_free(struct idtable *t)
{
	free(t->buckets);
	memset(t, 0, sizeof(*t));
}

struct idnode *idtable_find(const struct idtable *t, const struct guid *id)
{
	struct idnode *n = t->count == 0 ? NULL : *bucket(t, id);

	while (n != NULL && !guid_equal(&n->id, id))
		n = n->next;
	return n;
}

static void grow(struct idtable *t)
{
	struct idtable wider = { .size = t->size == 0 ? FIRST_SIZE : t->size * 2 };

	wider.buckets = mem_new(wider.size * sizeof(struct idnode *));
	for (size_t i = 0; i < t->size; i++) {
		struct idnode *n = t->buckets[i];

		while (n != NULL) {
			struct idnode *next = n->next;
			struct idnode **to = bucket(&wider, &n->id);

			n->next = *to;
			*to = n;
			n = next;
		}
	}
	free(t->buckets);
	t->buckets = wider.buckets;
	t->size = wider.size;
}

void idtable_insert(struct idtable *t, struct idnode *node)
{
	struct idnode **to;

	if (t->count >= t->size)
		grow(t);
	to = bucket(t, &node->id);
	node->next = *to;
	*to = node;
	t->count++;
}

bool idtable_remove(struct idtable *t, struct idnode *node)
{
	struct idnode **at = t->count == 0 ? NULL : bucket(t, &node->id);

	while (at != NULL && *at != NULL && *at != node)
		at = &(*at)->next;
	if (at == NULL || *at == NULL)
		return false;
	*at = node->next;
	node->next = NULL;
	t->count--;
	return true;
}
