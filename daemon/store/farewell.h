/*
 * The end of a subscription whose owner has gone or knows it no longer. A store that does not
 * handle the unsubscribe goes on with the subscription, so it is asked again.
 */
#ifndef ESBRIDGE_STORE_FAREWELL_H
#define ESBRIDGE_STORE_FAREWELL_H

#include "store/store.h"

enum {
	FAREWELL_ASKS = 10,   /* times that a store is asked to end a subscription */
	FAREWELL_PAUSE = 100, /* milliseconds between them */
};

/*
 * The unsubscribe of the conversation ID, which is open no more, was sent. Sends it again for about
 * a second where the store does not handle it. Over with the store's answer, without one after
 * settings.ask_again, and with the connection.
 */
void farewell_begin(struct store *store, const struct guid *id);

/* Forgets all there are: the connection was lost, or the store is freed. */
void farewells_forget(struct store *store);

#endif
