#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "base/guid.h"
#include "base/mem.h"

enum { FIRST_SIZE = 64 };

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static const uint64_t *secret(void)
{
	static uint64_t words[2];

	if (words[0] == 0) {
		struct guid random;

		guid_make(&random);
		memcpy(words, random.bytes, sizeof(words));
		words[0] |= 1;
	}
	return words;
}

uint64_t names_hash(struct span name)
{
	const uint64_t *key = secret();
	uint64_t h = mix(name.len ^ key[0], key[1]);
	uint64_t word;

	while (name.len >= sizeof(word)) {
		memcpy(&word, name.at, sizeof(word));
		h = mix(h ^ word, key[0]);
		name.at += sizeof(word);
		name.len -= sizeof(word);
	}
	word = 0;
	if (name.len > 0)
		memcpy(&word, name.at, name.len);
	return mix(h ^ word, key[1] | 1);
}

void names_free(struct names *names)
{
	free(names->buckets);
	memset(names, 0, sizeof(*names));
}

struct name_node *names_find(const struct names *names, struct span name)
{
	uint64_t hash = names_hash(name);
	struct name_node *n = names->size == 0 ? NULL : names->buckets[hash & (names->size - 1)];

	while (n != NULL && (n->hash != hash || !span_equal(n->name, name)))
		n = n->next;
	return n;
}

static void put(struct name_node **buckets, size_t size, struct name_node *node)
{
	struct name_node **to = &buckets[node->hash & (size - 1)];

	node->next = *to;
	*to = node;
}

static void grow(struct names *names)
{
	size_t size = names->size == 0 ? FIRST_SIZE : names->size * 2;
	struct name_node **buckets = mem_new(size * sizeof(struct name_node *));

	for (size_t i = 0; i < names->size; i++) {
		struct name_node *n = names->buckets[i];

		while (n != NULL) {
			struct name_node *next = n->next;

			put(buckets, size, n);
			n = next;
		}
	}
	free(names->buckets);
	names->buckets = buckets;
	names->size = size;
}

void names_insert(struct names *names, struct name_node *node)
{
	if (names->count >= names->size)
		grow(names);
	node->hash = names_hash(node->name);
	put(names->buckets, names->size, node);
	names->count++;
}

void names_remove(struct names *names, struct name_node *node)
{
	struct name_node **at = &names->buckets[node->hash & (names->size - 1)];

	while (*at != node)
		at = &(*at)->next;
	*at = node->next;
	names->count--;
}

void names_each(struct names *names, void (*visit)(struct name_node *node))
{
	for (size_t i = 0; i < names->size; i++) {
		struct name_node *n = names->buckets[i];

		while (n != NULL) {
			struct name_node *next = n->next;

			visit(n);
			n = next;
		}
	}
}
