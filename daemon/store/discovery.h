/*
 * Finds the node of a cluster to connect to: asks nodes for their gossip, one after the other,
 * until one tells of a node that will do. First those that are configured, or found by a name of
 * DNS; later those that the last gossip told of.
 */
#ifndef ESBRIDGE_STORE_DISCOVERY_H
#define ESBRIDGE_STORE_DISCOVERY_H

#include "base/loop.h"
#include "base/tls.h"
#include "store/gossip.h"
#include "store/resolver.h"

enum { DISCOVERY_SEEDS = 16 };

struct discovery_settings {
	struct endpoint seeds[DISCOVERY_SEEDS]; /* where gossip is asked for, by HTTP */
	size_t seed_count;                      /* 0: there is no cluster */
	bool by_name; /* the one seed is a name, each of whose addresses is a node */
	enum node_preference preference;
	uint32_t timeout; /* for each answer, milliseconds */
};

struct discovery_events {
	/* NODE lives until the call returns. */
	void (*found)(void *arg, const struct node *node);
	/* Nobody told of a node that will do. REASON is a text for people. */
	void (*failed)(void *arg, const char *reason);
};

struct discovery;

/* SETTINGS are copied; RESOLVER outlives it. */
struct discovery *discovery_new(struct loop *loop, const struct discovery_settings *settings,
				struct resolver *resolver, const struct discovery_events *events,
				void *arg);

/* Harmless where D is NULL. Not from inside its events. */
void discovery_free(struct discovery *d);

/*
 * Begins; one of the events comes, not before this call has returned.
 * With CONTEXT gossip is asked for by HTTPS, and each certificate must be for NAME (where that is
 * "": for the node's own); it lives until the event. FAILED (or NULL) is where a connection has
 * just failed: that node is left out.
 */
void discovery_start(struct discovery *d, struct tls_context *context, const char *name,
		     const struct endpoint *failed);

/* Ends what discovery_start() has begun, without an event. Harmless where nothing is under way. */
void discovery_cancel(struct discovery *d);

#endif
