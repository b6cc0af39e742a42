/*
 * Doubly linked lists whose links live inside the objects. Which list an object is on is its state.
 * A list is a link that points to itself; a link that is on no list points to itself too, so that
 * taking it off twice is harmless.
 */
#ifndef ESBRIDGE_BASE_LIST_H
#define ESBRIDGE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct link {
	struct link *next;
	struct link *prev;
};

/* The object of TYPE whose member MEMBER is the link (or any other member) that AT points to. */
#define CONTAINER(at, type, member) ((type *)(void *)(((char *)(at)) - offsetof(type, member)))

static inline void link_init(struct link *l)
{
	l->next = l->prev = l;
}

static inline bool link_used(const struct link *l)
{
	return l->next != l;
}

static inline bool list_empty(const struct link *list)
{
	return list->next == list;
}

static inline void list_remove(struct link *l)
{
	l->prev->next = l->next;
	l->next->prev = l->prev;
	link_init(l);
}

/* Puts L, which must be on no list, before POS; before the list itself means at its end. */
static inline void list_insert_before(struct link *pos, struct link *l)
{
	l->prev = pos->prev;
	l->next = pos;
	pos->prev->next = l;
	pos->prev = l;
}

static inline void list_append(struct link *list, struct link *l)
{
	list_insert_before(list, l);
}

static inline void list_prepend(struct link *list, struct link *l)
{
	list_insert_before(list->next, l);
}

/* Moves everything on FROM to the end of TO. */
static inline void list_splice(struct link *to, struct link *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	link_init(from);
}

/* The first link of LIST, or NULL. */
static inline struct link *list_first(const struct link *list)
{
	/* The analyser believes that what was first is so still after it was removed and freed. */
	return list_empty(list) ? NULL : list->next; /* NOLINT(clang-analyzer-unix.Malloc) */
}

/* The link after L on LIST, or NULL. */
static inline struct link *list_next(const struct link *list, const struct link *l)
{
	return l->next == list ? NULL : l->next;
}

#endif
