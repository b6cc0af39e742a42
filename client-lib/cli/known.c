#include "known.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/list.h"
#include "wait.h"

enum {
	PAGE = 4000,
	/* A filter of Bloom: with 32 bits for each id it is wrong once in three millions. */
	BITS_EACH = 32,
	HASHES = 16,
	BITS_LEAST = 1 << 10,
	BITS_MOST = 1 << 29, /* 64 MiB; with more ids it is wrong more often, which takes time */
	WORD_BITS = 64,
};

static struct esbridge_read read_of(const struct known *k, int count)
{
	return (struct esbridge_read){ .size = sizeof(struct esbridge_read),
				       .stream = k->cli->arguments[0],
				       .max_count = count,
				       .keep_links = true,
				       .require_master = 1 };
}

static struct esbridge_message *read_page(const struct known *k, const struct esbridge_read *read)
{
	struct esbridge_request request = k->cli->request;

	request.payload = "none";
	return esbridge_read(k->cli->bridge, read, &request);
}

/* Sets `first` and `last` of a stream that exists. */
static int find_ends(struct known *k)
{
	struct esbridge_read read = read_of(k, 1);
	struct esbridge_message *page;

	read.backward = true;
	page = read_page(k, &read);
	if (page == NULL)
		return esbridge_error(k->cli->bridge)->code == ESBRIDGE_E_NO_STREAM
			       ? EX_OK
			       : cli_fault(k->cli, k->cli->command->name);
	k->last = page->last_event_number;
	esbridge_message_free(page);
	read.backward = false;
	page = read_page(k, &read);
	if (page == NULL)
		return cli_fault(k->cli, k->cli->command->name);
	k->first =
		page->record_count > 0 ? page->records[0].event->number : page->next_event_number;
	esbridge_message_free(page);
	return EX_OK;
}

int known_begin(struct known *k, struct cli *cli)
{
	uint64_t bits = BITS_LEAST, count;
	int status;

	*k = (struct known){ .cli = cli, .last = -1 };
	status = find_ends(k);
	if (status != EX_OK || k->first < 0 || k->first > k->last)
		return status;
	k->next = k->first;
	count = (uint64_t)(k->last - k->first) + 1;
	while (bits < BITS_MOST && bits / BITS_EACH < count)
		bits *= 2;
	k->filter_mask = bits - 1;
	k->filter = calloc(bits / WORD_BITS, sizeof(uint64_t));
	k->found = calloc(count / 8 + 1, 1);
	return k->filter != NULL && k->found != NULL
		       ? EX_OK
		       : fail(EX_OSERR, "%s: out of memory", cli->command->name);
}

/* The filter ------------------------------------------------------------------------------------- */

/* The number of the bit that hash I, of HASH, names. */
static uint64_t bit_of(const struct known *k, uint64_t hash, unsigned i)
{
	return (hash + i * (hash >> 32 | 1)) & k->filter_mask;
}

static void filter_add(struct known *k, const struct guid *id)
{
	uint64_t hash = idtable_hash(id);

	for (unsigned i = 0; i < HASHES; i++) {
		uint64_t at = bit_of(k, hash, i);

		k->filter[at / WORD_BITS] |= UINT64_C(1) << at % WORD_BITS;
	}
}

/* False where the stream has no such id for sure. */
static bool may_be_there(const struct known *k, const struct guid *id)
{
	uint64_t hash = idtable_hash(id);
	bool there = true;

	for (unsigned i = 0; there && k->whole && i < HASHES; i++) {
		uint64_t at = bit_of(k, hash, i);

		there = (k->filter[at / WORD_BITS] >> at % WORD_BITS & 1) != 0;
	}
	return there;
}

/* Reading along ---------------------------------------------------------------------------------- */

/* Those that are asked for and not found yet. */
struct search {
	struct idtable table;
	size_t left;
};

static void search_add(struct search *s, struct wanted *w)
{
	struct idnode *node = idtable_find(&s->table, &w->node.id);
	struct wanted *same = node == NULL ? NULL : CONTAINER(node, struct wanted, node);

	w->twin = same == NULL ? NULL : same->twin;
	if (same != NULL)
		same->twin = w;
	else
		idtable_insert(&s->table, &w->node);
	s->left++;
}

/* An event with ID is in the stream. True where it was asked for. */
static bool search_take(struct search *s, const struct guid *id)
{
	struct idnode *node = idtable_find(&s->table, id);
	struct wanted *w;

	if (node == NULL)
		return false;
	w = CONTAINER(node, struct wanted, node);
	w->there = true;
	idtable_remove(&s->table, node);
	if (w->twin != NULL)
		idtable_insert(&s->table, &w->twin->node);
	s->left--;
	return true;
}

static void take_event(struct known *k, struct search *s, const struct esbridge_event *event)
{
	uint64_t at = (uint64_t)(event->number - k->first);
	uint8_t bit = (uint8_t)(1 << at % 8);
	struct guid id;

	if (!guid_parse(event->id.at, event->id.len, &id))
		return;
	if (!k->whole)
		filter_add(k, &id);
	if ((k->found[at / 8] & bit) == 0 && search_take(s, &id))
		k->found[at / 8] |= bit;
}

/* Reads on from `next`, one page or up to the event that was the last one asked for. */
static int read_on(struct known *k, struct search *s)
{
	struct esbridge_read read = read_of(k, PAGE);
	struct esbridge_message *page;

	read.from = ESBRIDGE_FROM_NUMBER;
	read.number = k->next;
	page = read_page(k, &read);
	if (page == NULL)
		return cli_fault(k->cli, k->cli->command->name);
	for (size_t i = 0; i < page->record_count && s->left > 0; i++) {
		const struct esbridge_event *event = page->records[i].event;

		if (event->number >= k->next && event->number <= k->last)
			take_event(k, s, event);
		k->next = event->number + 1;
	}
	if (s->left > 0)
		k->next = page->is_end_of_stream ? k->last + 1 : page->next_event_number;
	esbridge_message_free(page);
	return EX_OK;
}

int known_find(struct known *k, struct wanted *wanted, size_t count)
{
	struct search s = { .left = 0 };
	int64_t begun = k->next;
	bool around = false, done = k->filter == NULL;
	int status = EX_OK;

	for (size_t i = 0; i < count && !done; i++) {
		if (wanted[i].named && may_be_there(k, &wanted[i].node.id))
			search_add(&s, &wanted[i]);
	}
	while (status == EX_OK && s.left > 0 && !done && !signals_caught()) {
		status = read_on(k, &s);
		if (k->next > k->last) {
			k->whole = true;
			k->next = k->first;
			done = around;
			around = true;
		}
		done = done || (around && k->next >= begun);
	}
	idtable_free(&s.table);
	return status;
}

void known_free(struct known *k)
{
	free(k->filter);
	free(k->found);
}
