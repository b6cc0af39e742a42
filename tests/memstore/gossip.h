/*
 * What a node tells of all nodes, by HTTP or HTTPS: GET /gossip, in the form of the version that
 * the server speaks as.
 */
#ifndef MEMSTORE_GOSSIP_H
#define MEMSTORE_GOSSIP_H

#include "node.h"

/* Listens for HTTP, on node->http_port or, where that is 0, on any port. False, with the reason in
 * the log, where it cannot. */
bool gossip_open(struct node *node);

/* Ends that. Harmless where it does not listen. */
void gossip_close(struct node *node);

#endif
