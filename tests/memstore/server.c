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

/* The listener --------------------------------------------------------------------------------- */

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
	struct server *server = arg;

	(void)what;
	for (int i = 0; i < ACCEPT_AT_ONCE; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				log_write(LOG_WARNING, "no connection accepted error=%s",
					  strerror(errno));
			return;
		}
		connection_make(server, client);
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

static bool listen_at(struct server *server)
{
	const struct options *o = server->options;
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_PASSIVE | AI_NUMERICSERV };
	struct addrinfo *address;
	char port[16];
	int error;

	(void)snprintf(port, sizeof(port), "%u", server->port);
	error = getaddrinfo(o->address, port, &hints, &address);
	if (error != 0) {
		log_write(LOG_ERROR, "cannot listen address=%s error=%s", o->address,
			  gai_strerror(error));
		return false;
	}
	server->fd = open_listener(address);
	if (server->fd < 0)
		log_write(LOG_ERROR, "cannot listen address=%s port=%s error=%s", o->address, port,
			  strerror(errno));
	freeaddrinfo(address);
	return server->fd >= 0;
}

unsigned server_port(const struct server *server)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);
	in_port_t port = 0;

	if (getsockname(server->fd, (struct sockaddr *)&address, &len) != 0)
		return 0;
	if (address.ss_family == AF_INET)
		port = ((struct sockaddr_in *)&address)->sin_port;
	else if (address.ss_family == AF_INET6)
		port = ((struct sockaddr_in6 *)&address)->sin6_port;
	return ntohs(port);
}

/* Start and stop ------------------------------------------------------------------------------- */

static bool begin_listening(struct server *server)
{
	if (!listen_at(server))
		return false;
	server->port = server_port(server);
	server->accepting = event_new(loop_base(server->loop), server->fd, EV_READ | EV_PERSIST,
				      on_accept, server);
	if (server->accepting != NULL && event_add(server->accepting, NULL) == 0)
		return true;
	log_write(LOG_ERROR, "libevent gives no event for the listener");
	return false;
}

static void end_listening(struct server *server)
{
	if (server->accepting != NULL)
		event_free(server->accepting);
	if (server->fd >= 0)
		close(server->fd);
	server->accepting = NULL;
	server->fd = -1;
}

/* Listens again; where the port is not free yet, it is tried once more. */
static void on_opening(void *arg)
{
	struct server *server = arg;

	if (begin_listening(server))
		return;
	end_listening(server);
	loop_set_deadline(server->loop, &server->opening, OPENING_AGAIN);
}

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
	*server = (struct server){ .loop = loop, .options = options, .fd = -1 };
	server->port = options->port;
	server->batch.data_alone = options->traits->limits_data_alone;
	link_init(&server->connections);
	link_init(&server->all_subscriptions);
	faults_init(&server->faults);
	deadline_init(&server->group_tick, on_tick, server);
	deadline_init(&server->opening, on_opening, server);
	if (!make_tls(server) || !begin_listening(server))
		return false;
	start_store(server);
	loop_set_deadline(loop, &server->group_tick, GROUP_TICK);
	return true;
}

void server_restart(struct server *server, bool keep, unsigned ms)
{
	close_connections(server);
	end_listening(server);
	if (!keep) {
		free_store(server);
		start_store(server);
	}
	loop_set_deadline(server->loop, &server->opening, ms);
}

void server_stop(struct server *server)
{
	close_connections(server);
	end_listening(server);
	loop_clear_deadline(server->loop, &server->group_tick);
	loop_clear_deadline(server->loop, &server->opening);
	faults_clear(&server->faults);
	free_store(server);
	batch_free(&server->batch);
	tls_context_free(server->tls);
}
