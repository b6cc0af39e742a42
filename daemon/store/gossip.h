/*
 * The document in which a node of a cluster tells of all nodes (GET /gossip?format=json), and which
 * of them to connect to.
 */
#ifndef ESBRIDGE_STORE_GOSSIP_H
#define ESBRIDGE_STORE_GOSSIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

enum {
	GOSSIP_NODES = 64,          /* nodes beyond these are passed over */
	GOSSIP_BYTES = 1024 * 1024, /* the longest document that is read */
};

/* What a node can be used for. States of which nothing is known, and those in which a node serves
 * nobody, or what it has is old, are NODE_OUT. */
enum node_role { NODE_OUT, NODE_LEADER, NODE_FOLLOWER, NODE_READ_ONLY_REPLICA };

enum node_preference {
	PREFER_LEADER,
	PREFER_FOLLOWER,
	PREFER_RANDOM,
	PREFER_READ_ONLY_REPLICA,
};

struct node {
	enum node_role role;
	struct endpoint plain;  /* port 0: not offered */
	struct endpoint secure; /* the same */
	struct endpoint http;
};

struct gossip {
	struct node nodes[GOSSIP_NODES]; /* those that are alive */
	size_t count;
};

/*
 * Reads the LEN bytes at TEXT, a document of any version from 3.9 to 23.10 (WIRE.md, section 9).
 * Returns false, with the reason in FAULT, where they are none.
 */
bool gossip_read(const char *text, size_t len, struct gossip *g, char *fault, size_t fault_size);

/* Where to connect to at NODE, by TLS or without; port 0: nowhere. */
struct endpoint node_endpoint(const struct node *node, bool secure);

/*
 * The node of G to connect to, one of the best by PREFERENCE; which of these, CHANCE decides.
 * FAILED (or NULL) is left out. NULL where there is none.
 */
const struct node *gossip_choose(const struct gossip *g, enum node_preference preference,
				 bool secure, const struct endpoint *failed, unsigned chance);

/* "leader", "follower", "read_only_replica"; "unknown" for NODE_OUT. */
const char *node_role_name(enum node_role role);

#endif
