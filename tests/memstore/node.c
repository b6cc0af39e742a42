#include "node.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "connection.h"
#include "dispatch.h"
#include "gossip.h"
#include "reply.h"
#include "server.h"

enum { BACKLOG = 1024, ACCEPT_AT_ONCE = 64, OPENING_AGAIN = 50 };
enum { NOT_READY = 0, NOT_MASTER = 2, IS_READ_ONLY = 3 };

/* All that gossip may call a node, in every version (WIRE.md, section 9). */
static const struct {
	const char *name;
	enum node_kind kind;
} states[] = {
	{ "Master", NODE_LEADS },
	{ "Leader", NODE_LEADS },
	{ "Slave", NODE_FOLLOWS },
	{ "Follower", NODE_FOLLOWS },
	{ "CatchingUp", NODE_FOLLOWS },
	{ "Clone", NODE_FOLLOWS },
	{ "PreReplica", NODE_FOLLOWS },
	{ "ReadOnlyReplica", NODE_REPLICA },
	{ "ReadOnlyLeaderless", NODE_REPLICA },
	{ "PreReadOnlyReplica", NODE_REPLICA },
	{ "Initializing", NODE_IS_READY_FOR_NONE },
	{ "DiscoverLeader", NODE_IS_READY_FOR_NONE },
	{ "Unknown", NODE_IS_READY_FOR_NONE },
	{ "PreMaster", NODE_IS_READY_FOR_NONE },
	{ "PreLeader", NODE_IS_READY_FOR_NONE },
	{ "ResigningLeader", NODE_IS_READY_FOR_NONE },
	{ "Manager", NODE_IS_READY_FOR_NONE },
	{ "ShuttingDown", NODE_IS_READY_FOR_NONE },
	{ "Shutdown", NODE_IS_READY_FOR_NONE },
};

/* The listener --------------------------------------------------------------------------------- */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct node *node = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				log_write(LOG_WARNING, "no connection accepted error=%s",
					  strerror(errno));
			return;
		}
		connection_make(node, client);
	}
}

static int open_listener(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool listen_at(struct node *node)
{
	const struct options *o = node->server->options;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *address;
	char port[16];
	int error;

	(void)snprintf(port, sizeof(port), "%u", node->port);
	error = getaddrinfo(o->address, port, &hints, &address);
	if (error != 0) {
		log_write(LOG_ERROR, "cannot listen address=%s error=%s", o->address,
			  gai_strerror(error));
		return false;
	}
	node->fd = open_listener(address);
	if (node->fd < 0)
		log_write(LOG_ERROR, "cannot listen address=%s port=%s error=%s", o->address, port,
			  strerror(errno));
	freeaddrinfo(address);
	return node->fd >= 0;
}

unsigned node_port_of(int fd)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	in_port_t port = 0;

	if (getsockname(fd, (struct sockaddr *)&address, &len) != 0)
		return 0;
	if (address.ss_family == AF_INET)
		port = ((struct sockaddr_in *)&address)->sin_port;
	else if (address.ss_family == AF_INET6)
		port = ((struct sockaddr_in6 *)&address)->sin6_port;
	return ntohs(port);
}

bool node_open(struct node *node)
{
	struct server *server = node->server;

	if (!listen_at(node))
		return false;
	node->port = node_port_of(node->fd);
	node->accepting =
		event_new(loop_base(server->loop), node->fd, EV_READ | EV_PERSIST, on_accept, node);
	if (node->accepting == NULL || event_add(node->accepting, NULL) != 0) {
		log_write(LOG_ERROR, "libevent gives no event for the listener");
		return false;
	}
	return !server->options->gossip || gossip_open(node);
}

void node_close(struct node *node)
{
	loop_clear_deadline(node->server->loop, &node->opening);
	if (node->accepting != NULL)
		event_free(node->accepting);
	if (node->fd >= 0)
		close(node->fd);
	gossip_close(node);
	node->accepting = NULL;
	node->fd = -1;
}

/* Listens again; where the port is not free yet, it is tried once more. */
static void on_opening(void *arg)
{
	struct node *node = arg;

	if (node_open(node))
		return;
	node_close(node);
	loop_set_deadline(node->server->loop, &node->opening, OPENING_AGAIN);
}

void node_open_later(struct node *node, unsigned ms)
{
	loop_set_deadline(node->server->loop, &node->opening, ms);
}

static void take_state(struct node *node, const char *state)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (strcmp(states[i].name, state) == 0) {
			node->state = states[i].name;
			node->kind = states[i].kind;
		}
	}
}

void node_init(struct node *node, struct server *server, unsigned number)
{
	const struct options *o = server->options;

	*node = (struct node){ .server = server, .number = number, .fd = -1 };
	node->port = o->port == 0 ? 0 : o->port + number - 1;
	node->http_port = o->gossip_port == 0 ? 0 : o->gossip_port + number - 1;
	deadline_init(&node->opening, on_opening, node);
	take_state(node, number == 1 ? server->options->traits->leader
				     : server->options->traits->follower);
}

/* Roles ---------------------------------------------------------------------------------------- */

struct node *node_leader(struct server *server)
{
	for (unsigned i = 0; i < server->node_count; i++) {
		struct node *node = &server->nodes[i];

		if (node->kind == NODE_LEADS && !node->down && !node->cut)
			return node;
	}
	return NULL;
}

bool node_set_state(struct node *node, const char *state)
{
	struct server *server = node->server;
	const char *before = node->state;

	node->state = NULL;
	take_state(node, state);
	if (node->state == NULL) {
		node->state = before;
		return false;
	}
	for (unsigned i = 0; i < server->node_count && node->kind == NODE_LEADS; i++) {
		if (&server->nodes[i] != node && server->nodes[i].kind == NODE_LEADS)
			take_state(&server->nodes[i], server->options->traits->follower);
	}
	return true;
}

static void each_connection(struct node *node, void (*act)(struct connection *c))
{
	struct link *next;

	for (struct link *l = list_first(&node->server->connections); l != NULL; l = next) {
		struct connection *c = CONTAINER(l, struct connection, link);

		next = list_next(&node->server->connections, l);
		if (c->node == node)
			act(c);
	}
}

void node_close_connections(struct node *node)
{
	each_connection(node, connection_close);
}

void node_down(struct node *node)
{
	node->down = true;
	node_close_connections(node);
	node_close(node);
}

void node_up(struct node *node)
{
	if (!node->down)
		return;
	node->down = false;
	take_state(node, node->server->options->traits->follower);
	node_open_later(node, 0);
}

void node_cut(struct node *node, bool cut)
{
	node->cut = cut;
	each_connection(node, cut ? connection_stall : connection_resume);
}

/* What is served ------------------------------------------------------------------------------- */

static bool wants_leader(const struct request *r, unsigned leader_field)
{
	struct fields fields = fields_of(r->body);
	struct field field;
	bool wants = false;

	while (field_next(&fields, &field)) {
		if (field.number == leader_field && field.type == WIRE_VARINT)
			wants = field.value != 0;
	}
	return wants;
}

/* The reason of NotHandled, or -1 where the node serves the request (WIRE.md, section 7.12). */
static int refusal(const struct node *node, enum node_need need, bool leader_wanted)
{
	if (need == NEEDS_NOTHING || node->kind == NODE_LEADS)
		return -1;
	if (node->kind == NODE_IS_READY_FOR_NONE)
		return NOT_READY;
	if (need == NEEDS_LEADER || leader_wanted)
		return node_leader(node->server) != NULL ? NOT_MASTER : NOT_READY;
	if (need == NEEDS_WRITING && node->kind == NODE_REPLICA)
		return IS_READ_ONLY;
	/* A write is handed on to the leader, whose store is this one. */
	return need == NEEDS_WRITING && node_leader(node->server) == NULL ? NOT_READY : -1;
}

bool node_serves(struct connection *c, const struct request *r, enum node_need need,
		 unsigned leader_field)
{
	const struct node *leader;
	int reason;

	if (need == NEEDS_NOTHING || c->node->kind == NODE_LEADS)
		return true;
	reason = refusal(c->node, need, leader_field != 0 && wants_leader(r, leader_field));
	if (reason < 0)
		return true;
	leader = reason == NOT_MASTER ? node_leader(c->server) : NULL;
	reply_not_handled(c, r->correlation, (unsigned)reason,
			  leader != NULL ? c->server->options->address : NULL,
			  leader != NULL ? leader->port : 0);
	return false;
}
