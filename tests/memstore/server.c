#include "server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/guid.h"
#include "base/log.h"
#include "connection.h"
#include "group.h"
#include "subscription.h"

enum {
	BACKLOG = 1024,
	GROUP_TICK = 1000,
	ACCEPT_AT_ONCE = 64,
	FIRST_RECORD = 104,
	OPENING_AGAIN = 50
};

static void on_committed(void *arg, struct record *record)
{
	subscriptions_deliver(arg, record);
	groups_deliver(record);
}

/* What a new server has: a record that is no event, the users, and who may see them. */
static void write_first_events(struct store *store)
{
	static const struct {
		const char *stream;
		const char *type;
		const char *data;
	} events[] = {
		{ "$$$user-admin", "$metadata",
		  "{\"$acl\":{\"$w\":\"$admins\",\"$d\":\"$admins\",\"$mw\":\"$admins\"}}" },
		{ "$$$user-ops", "$metadata",
		  "{\"$acl\":{\"$w\":\"$admins\",\"$d\":\"$admins\",\"$mw\":\"$admins\"}}" },
		{ "$user-admin", "$UserCreated",
		  "{\"loginName\":\"admin\",\"fullName\":\"Administrator\",\"disabled\":false,"
		  "\"groups\":[\"$admins\"]}" },
		{ "$user-ops", "$UserCreated",
		  "{\"loginName\":\"ops\",\"fullName\":\"Operations\",\"disabled\":false,"
		  "\"groups\":[\"$ops\"]}" },
		{ "$users", "$User", "admin" },
		{ "$users", "$User", "ops" },
	};

	(void)store_take_position(store, FIRST_RECORD);
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		struct new_event event = { .type = span_of(events[i].type),
					   .data = span_of(events[i].data) };
		struct guid id;

		guid_make(&id);
		event.id = id.bytes;
		event.json = events[i].data[0] == '{';
		store_append(store, store_stream(store, span_of(events[i].stream)), &event);
	}
}

static void on_tick(void *arg)
{
	struct server *server = arg;

	groups_tick(server);
	loop_set_deadline(server->loop, &server->group_tick, GROUP_TICK);
}

/* Start and stop ------------------------------------------------------------------------------- */

static void start_store(struct server *server)
{
	store_init(&server->store, server->options->traits, on_committed, server);
	write_first_events(&server->store);
}

static void free_store(struct server *server)
{
	groups_free(server);
	idtable_free(&server->transactions);
	store_free(&server->store);
}

static void close_connections(struct server *server)
{
	struct link *l;

	while ((l = list_first(&server->connections)) != NULL)
		connection_close(CONTAINER(l, struct connection, link));
}

static void close_nodes(struct server *server)
{
	for (unsigned i = 0; i < server->node_count; i++)
		node_close(&server->nodes[i]);
}

static bool make_tls(struct server *server)
{
	const struct options *o = server->options;
	struct tls_files files = { .ca = "",
				   .certificate = o->tls_certificate,
				   .key = o->tls_key != NULL ? o->tls_key : "" };
	char fault[TLS_FAULT];

	if (o->tls_certificate == NULL)
		return true;
	server->tls = tls_server_context(&files, fault);
	if (server->tls == NULL)
		log_write(LOG_ERROR, "no TLS reason=%s", log_text(fault, strlen(fault)));
	return server->tls != NULL;
}

bool server_start(struct server *server, struct loop *loop, const struct options *options)
{
	*server = (struct server){ .loop = loop, .options = options };
	server->node_count = options->nodes;
	server->batch.data_alone = options->traits->limits_data_alone;
	link_init(&server->connections);
	link_init(&server->all_subscriptions);
	faults_init(&server->faults);
	deadline_init(&server->group_tick, on_tick, server);
	for (unsigned i = 0; i < server->node_count; i++)
		node_init(&server->nodes[i], server, i + 1);
	if (!make_tls(server))
		return false;
	for (unsigned i = 0; i < server->node_count; i++) {
		if (!node_open(&server->nodes[i]))
			return false;
	}
	start_store(server);
	loop_set_deadline(loop, &server->group_tick, GROUP_TICK);
	return true;
}

void server_restart(struct server *server, bool keep, unsigned ms)
{
	close_connections(server);
	close_nodes(server);
	if (!keep) {
		free_store(server);
		start_store(server);
	}
	for (unsigned i = 0; i < server->node_count; i++) {
		if (!server->nodes[i].down)
			node_open_later(&server->nodes[i], ms);
	}
}

void server_stop(struct server *server)
{
	close_connections(server);
	close_nodes(server);
	loop_clear_deadline(server->loop, &server->group_tick);
	faults_clear(&server->faults);
	free_store(server);
	batch_free(&server->batch);
	tls_context_free(server->tls);
}
