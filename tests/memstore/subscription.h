/*
 * Live subscriptions: to one stream or to all.
 */
#ifndef MEMSTORE_SUBSCRIPTION_H
#define MEMSTORE_SUBSCRIPTION_H

#include "connection.h"

/* Sends RECORD, which became visible just now, to whoever is subscribed to its stream or to all
 * streams. */
void subscriptions_deliver(struct server *server, const struct record *record);

/* Ends the subscriptions of C, which is going away, without a word. */
void subscriptions_end(struct connection *c);

/* Ends those of C with this correlation id. Returns how many there were. */
size_t subscriptions_drop(struct connection *c, const struct guid *correlation);

#endif
