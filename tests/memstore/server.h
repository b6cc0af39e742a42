/*
 * The server: its listener, connections, streams and groups.
 */
#ifndef MEMSTORE_SERVER_H
#define MEMSTORE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/idtable.h"
#include "base/list.h"
#include "base/loop.h"
#include "base/tls.h"
#include "batch.h"
#include "fault.h"
#include "names.h"
#include "node.h"
#include "store.h"

struct options {
	const struct traits *traits; /* of the version that it speaks as */
	const char *address;
	const char *port_file;       /* or NULL */
	const char *control;         /* path of the control socket, or NULL */
	unsigned port;               /* of the first node, 0: any */
	unsigned nodes;              /* 1: no cluster */
	bool gossip;                 /* it is told by HTTP */
	unsigned gossip_port;        /* of the first node, 0: any */
	unsigned heartbeat_interval; /* milliseconds; 0: no heartbeats */
	unsigned heartbeat_timeout;  /* milliseconds */
	size_t pending_limit; /* bytes of output that a client may leave waiting; 0: no limit */
	const char *tls_certificate; /* a file; NULL: connections are plain */
	const char *tls_key;         /* the same; NULL: it stands in the file of the certificate */
	bool verbose;
};

struct server {
	struct loop *loop;
	const struct options *options;
	struct store store;
	struct link connections;
	struct link all_subscriptions; /* live subscriptions to all streams */
	struct names groups;           /* by "stream::group" */
	struct idtable transactions;
	struct batch batch; /* of the write at hand */
	struct faults faults;
	struct deadline group_tick;
	struct node nodes[NODES_MOST]; /* of the cluster that it plays */
	unsigned node_count;
	struct tls_context *tls; /* NULL: connections are plain */
};

/*
 * Sets SERVER up: a store with the events of a new server, and a socket that listens. OPTIONS lives
 * as long as SERVER. Returns false, with what is wrong in the log, where the address cannot be had.
 */
bool server_start(struct server *server, struct loop *loop, const struct options *options);

/*
 * Closes all connections and the listener, as a server does that is started again, and listens
 * after MS milliseconds. Unless KEEP, all that was stored is lost.
 */
void server_restart(struct server *server, bool keep, unsigned ms);

/* Closes all connections and frees everything but the loop. */
void server_stop(struct server *server);

#endif
