/*
 * Whether the server knows filters (20.6 and later do). It is asked once on each connection, with
 * the first package that has a filter, and not told by its version.
 *
 * A server refuses a command that it does not know before it takes the next package, so the answer
 * is there before the refusal of what follows the question.
 */
#ifndef ESBRIDGE_STORE_FILTERS_H
#define ESBRIDGE_STORE_FILTERS_H

#include "store/store.h"

/* To be called before a package with a filter is sent: asks, unless that was done already. */
void filters_ask(struct store *store);

/* True where the server has said that it does not know them. */
bool filters_refused(const struct store *store);

/* For the store: the connection is gone. */
void filters_forget(struct store *store);

#endif
