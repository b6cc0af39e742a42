#include "bridge/outstanding.h"

#include <stdlib.h>

#include "base/account.h"
#include "base/mem.h"

/* The place of nothing: no number and no position is as low. */
static const struct place nowhere = { INT64_MIN, 0 };

void outstanding_init(struct outstanding *o)
{
	*o = (struct outstanding){ .count = 0 };
	link_init(&o->order);
	link_init(&o->spare);
	o->last = nowhere;
}

static void delivery_free(struct delivery *d)
{
	account_refund(sizeof(*d));
	free(d);
}

static void free_list(struct link *list)
{
	struct link *l;

	while ((l = list_first(list)) != NULL) {
		list_remove(l);
		delivery_free(CONTAINER(l, struct delivery, link));
	}
}

void outstanding_free(struct outstanding *o)
{
	outstanding_clear(o);
	free_list(&o->spare);
	idtable_free(&o->table);
}

struct delivery *outstanding_find(const struct outstanding *o, const struct guid *id)
{
	struct idnode *n = idtable_find(&o->table, id);

	return n == NULL ? NULL : CONTAINER(n, struct delivery, node);
}

struct delivery *outstanding_first(const struct outstanding *o)
{
	struct link *l = list_first(&o->order);

	return l == NULL ? NULL : CONTAINER(l, struct delivery, link);
}

static struct delivery *delivery_new(struct outstanding *o)
{
	struct link *l = list_first(&o->spare);

	if (l == NULL) {
		account_charge(sizeof(struct delivery));
		return mem_new(sizeof(struct delivery));
	}
	list_remove(l);
	return CONTAINER(l, struct delivery, link);
}

static struct delivery *append(struct outstanding *o, const struct guid *id, uint64_t now_us)
{
	struct delivery *d = delivery_new(o);

	*d = (struct delivery){ .node = { .id = *id }, .since_us = now_us };
	d->last = d;
	link_init(&d->link);
	list_append(&o->order, &d->link);
	o->count++;
	return d;
}

struct delivery *outstanding_move(struct outstanding *o, const struct guid *id, uint64_t now_us)
{
	struct delivery *d = outstanding_find(o, id);

	if (d == NULL) {
		d = append(o, id, now_us);
		idtable_insert(&o->table, &d->node);
		return d;
	}
	list_remove(&d->link);
	list_append(&o->order, &d->link);
	d->since_us = now_us;
	return d;
}

void outstanding_add(struct outstanding *o, const struct guid *id, struct place place,
		     uint64_t now_us)
{
	struct delivery *first = outstanding_find(o, id);
	struct delivery *d = append(o, id, now_us);

	d->place = place;
	d->before = o->last;
	o->last = place;
	if (first == NULL) {
		idtable_insert(&o->table, &d->node);
	} else {
		first->last->twin = d;
		first->last = d;
	}
}

void outstanding_begin(struct outstanding *o, struct place place)
{
	for (struct link *l = list_first(&o->order); l != NULL; l = list_next(&o->order, l))
		CONTAINER(l, struct delivery, link)->before = place;
	o->last = place;
}

bool outstanding_done(const struct outstanding *o, struct place *place)
{
	const struct delivery *first = outstanding_first(o);

	*place = first == NULL ? o->last : first->before;
	return place_compare(*place, nowhere) != 0;
}

void outstanding_remove(struct outstanding *o, struct delivery *d)
{
	idtable_remove(&o->table, &d->node);
	if (d->twin != NULL) {
		d->twin->last = d->last;
		idtable_insert(&o->table, &d->twin->node);
	}
	list_remove(&d->link);
	o->count--;
	if (account_is_short())
		delivery_free(d);
	else
		list_append(&o->spare, &d->link);
}

void outstanding_clear(struct outstanding *o)
{
	struct delivery *d;

	while ((d = outstanding_first(o)) != NULL)
		outstanding_remove(o, d);
}
