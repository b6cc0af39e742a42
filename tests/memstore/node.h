/*
 * A node of the cluster that the process plays: its listener, its role, and the gossip that it
 * tells by HTTP. All nodes have one store, so whatever one has accepted all have; what differs is
 * what they serve. A process that is no cluster has one node, which leads.
 */
#ifndef MEMSTORE_NODE_H
#define MEMSTORE_NODE_H

#include <stdbool.h>

#include "base/loop.h"

enum { NODES_MOST = 9 };

/* What a node serves. */
enum node_kind {
	NODE_LEADS,
	NODE_FOLLOWS, /* hands writes on, unless they want the leader */
	NODE_REPLICA, /* takes no writes */
	NODE_IS_READY_FOR_NONE,
};

struct connection;
struct evhttp;
struct request;
struct server;

struct node {
	struct server *server;
	unsigned number;   /* from 1 */
	const char *state; /* as gossip has it */
	enum node_kind kind;
	struct event *accepting;
	int fd;        /* -1: it does not listen */
	unsigned port; /* that it listens on, or did */
	struct evhttp *http;
	unsigned http_port; /* 0: it tells no gossip */
	struct deadline opening;
	bool down; /* it is not there */
	bool cut;  /* nothing reaches it or leaves it */
};

/* Sets NODE up, which does not listen yet. The first node leads, all others follow. */
void node_init(struct node *node, struct server *server, unsigned number);

/* The port of IP that the socket FD is bound to. */
unsigned node_port_of(int fd);

/* Begins to listen, on the ports that it had before, if any. False, with the reason in the log,
 * where a port cannot be had. */
bool node_open(struct node *node);

/* Listens no more. Its connections stay. */
void node_close(struct node *node);

/* Opens it after MS milliseconds, and again until it can be. */
void node_open_later(struct node *node, unsigned ms);

/* Closes all connections of NODE. */
void node_close_connections(struct node *node);

/* The node that leads and can be reached, or NULL. */
struct node *node_leader(struct server *server);

/* Gives NODE a state by the name that gossip has for it; a leader that there was follows from now
 * on. False where there is no such name. */
bool node_set_state(struct node *node, const char *state);

/* Takes it away; brings it back as a follower. */
void node_down(struct node *node);
void node_up(struct node *node);

/* Cuts it off, or connects it again. */
void node_cut(struct node *node, bool cut);

/*
 * True where C's node serves requests with this command and body. Else NotHandled is answered.
 * LEADER_FIELD is the number of the field of the body that asks for the leader, 0 where there is
 * none.
 */
enum node_need { NEEDS_NOTHING, NEEDS_READING, NEEDS_WRITING, NEEDS_LEADER };
bool node_serves(struct connection *c, const struct request *r, enum node_need need,
		 unsigned leader_field);

#endif
