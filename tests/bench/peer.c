/*
 * One connection of the load generator, and what comes over it: lines of the daemon, packages of
 * the store.
 *
 * Cheap on purpose: of what comes only the first bytes are looked at.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "bench.h"
#include "store/command.h"
#include "store/wire_read.h"
#include "store/wire_write.h"

enum {
	READ_MOST = 256 * 1024,
	HEAD = 160, /* bytes of a line that are looked at */
	LOGIN_TAG = SETUP_TAG + 1000000,
};

static const struct credentials admin = { "admin", "changeit" };

static int connect_unix(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("cannot connect to the daemon");
	return fd;
}

static int connect_tcp(const char *host, const char *port)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found;
	int fd = -1;
	int on = 1;

	if (getaddrinfo(host, port, &hints, &found) != 0)
		die("no such host");
	for (struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) < 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(found);
	if (fd < 0)
		die("cannot connect to the store");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

/* Whose certificate it is does not matter here. */
static SSL *begin_tls(int fd)
{
	static SSL_CTX *context;
	SSL *ssl;

	if (context == NULL)
		context = SSL_CTX_new(TLS_client_method());
	ssl = context == NULL ? NULL : SSL_new(context);
	if (ssl == NULL || SSL_set_fd(ssl, fd) != 1 || SSL_connect(ssl) != 1)
		die("no TLS with the store");
	return ssl;
}

static void log_in(struct peer *p, uint8_t command, const struct credentials *who,
		   const struct buffer *payload)
{
	const uint32_t tag = LOGIN_TAG;
	struct guid id = { { 0 } };

	memcpy(id.bytes, &tag, sizeof(tag));
	frame_add(&p->out, command, &id, who, buffer_at(payload), buffer_len(payload));
	peer_await(p, tag);
}

void peer_open(struct peer *p, const struct run *run, bool bridge)
{
	struct buffer identity = { 0 };
	const struct buffer none = { 0 };

	memset(p, 0, sizeof(*p));
	p->bridge = bridge;
	p->fd = bridge ? connect_unix(run->socket) : connect_tcp(run->host, run->port);
	if (bridge)
		return;
	if (run->tls)
		p->ssl = begin_tls(p->fd);
	/* As the daemon does it. */
	log_in(p, CMD_AUTHENTICATE, &admin, &none);
	wire_int(&identity, 1, 1);
	wire_bytes(&identity, 2, "bench", 5);
	log_in(p, CMD_IDENTIFY_CLIENT, NULL, &identity);
	buffer_free(&identity);
}

void peer_close(struct peer *p)
{
	SSL_free(p->ssl);
	close(p->fd);
	buffer_free(&p->in);
	buffer_free(&p->out);
}

void open_idle(const struct run *run)
{
	for (uint32_t i = 0; i < run->idle; i++) {
		struct peer p;

		peer_open(&p, run, run->bridge);
		if (run->bridge) {
			/* It has been used: what the daemon keeps for it then is kept. */
			buffer_add_text(&p.out, "{\"op\":\"hello\",\"id\":\"2000000000\"}\n");
			peer_await(&p, SETUP_TAG);
		}
		buffer_free(&p.in);
		buffer_free(&p.out);
	}
}

static ssize_t send_tls(struct peer *p)
{
	size_t len = buffer_len(&p->out);
	int n = SSL_write(p->ssl, buffer_at(&p->out), len < READ_MOST ? (int)len : READ_MOST);

	if (n > 0)
		buffer_consume(&p->out, (size_t)n);
	return n;
}

void peer_send(struct peer *p)
{
	while (buffer_len(&p->out) > 0) {
		if ((p->ssl != NULL ? send_tls(p) : buffer_write_fd(&p->out, p->fd)) <= 0)
			die("cannot send");
	}
	if (p->out.failed)
		die("out of memory");
}

void peer_send_alone(struct peer *p, const uint8_t *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("cannot send");
		bytes += n;
		len -= (size_t)n;
	}
}

/* All of the record that has come: nobody tells of what is left of it. */
static ssize_t receive_tls(struct peer *p)
{
	int n;

	do {
		uint8_t *at = buffer_room(&p->in, READ_MOST);

		n = at == NULL ? -1 : SSL_read(p->ssl, at, READ_MOST);
		if (n > 0)
			buffer_added(&p->in, (size_t)n);
	} while (n > 0 && SSL_pending(p->ssl) > 0);
	return n;
}

void peer_receive(struct peer *p)
{
	size_t has = buffer_len(&p->in);
	ssize_t n = p->ssl != NULL
			    ? receive_tls(p)
			    : buffer_read_fd(&p->in, p->fd, has > READ_MOST ? has : READ_MOST);

	if (n <= 0)
		die("the connection was closed");
}

void poll_peer(int poller, struct peer *p, void *data)
{
	struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = data } };

	if (epoll_ctl(poller, EPOLL_CTL_ADD, p->fd, &event) < 0)
		die("epoll");
}

/* Lines ---------------------------------------------------------------------------------------- */

/* Finds TEXT near the start of the line, and returns where it ends, or NULL. */
static const char *after(const char *line, size_t len, const char *text)
{
	const char *found = memmem(line, len < HEAD ? len : HEAD, text, strlen(text));

	return found == NULL ? NULL : found + strlen(text);
}

static void look_at_push(const char *line, size_t len, bool ids, struct arrived *a)
{
	const char *at;

	a->kind = after(line, len, "\"push\":\"event\"") != NULL ? ARRIVAL_EVENT : ARRIVAL_OTHER;
	if (!ids || a->kind != ARRIVAL_EVENT)
		return;
	at = after(line, len, "\"ack_id\":\"");
	if (at == NULL || !guid_parse(at, GUID_TEXT, &a->id))
		die("an event without ack_id");
}

static void look_at_line(const char *line, size_t len, bool ids, struct arrived *a)
{
	const char *at;

	a->bytes = len;
	if (len > 8 && memcmp(line, "{\"push\":", 8) == 0) {
		look_at_push(line, len, ids, a);
		return;
	}
	at = after(line, len, "\"id\":\"");
	if (at == NULL || after(line, len, "\"ok\":") == NULL) {
		fprintf(stderr, "%.*s\n", (int)(len < 1000 ? len : 1000), line);
		die("a request failed");
	}
	a->kind = ARRIVAL_REPLY;
	a->tag = (uint32_t)strtoul(at, NULL, 10);
}

static void next_line(struct peer *p, bool ids, struct arrived *a)
{
	const char *line = (const char *)buffer_at(&p->in);
	size_t len = buffer_len(&p->in);
	const char *lf =
		len == p->searched ? NULL : memchr(line + p->searched, '\n', len - p->searched);

	p->searched = lf == NULL ? len : 0;
	if (lf == NULL)
		return;
	look_at_line(line, (size_t)(lf - line), ids, a);
	buffer_consume(&p->in, (size_t)(lf - line) + 1);
}

/* Packages ------------------------------------------------------------------------------------- */

/* The bytes of field NUMBER of a message. */
static struct span field_of(struct span message, uint32_t number)
{
	struct wire w;
	struct wire_field f;

	wire_start(&w, message.at, message.len);
	while (wire_next(&w, &f)) {
		if (f.number == number && f.type == WIRE_BYTES)
			return f.bytes;
	}
	die("a message without its field");
}

/* StreamEventAppeared and its kin: the event's record is field 1 of field 1, its id field 3. */
static struct guid event_id_of(const struct package *package)
{
	struct span message = { package->payload, package->payload_len };
	struct span id = field_of(field_of(field_of(message, 1), 1), 3);
	struct guid guid;

	if (id.len != sizeof(guid))
		die("an event without id");
	memcpy(&guid, id.at, sizeof(guid));
	return guid;
}

static void look_at_package(struct peer *p, const struct package *package, bool ids,
			    struct arrived *a)
{
	a->kind = ARRIVAL_REPLY;
	a->at = package->payload;
	a->payload_len = package->payload_len;
	memcpy(&a->tag, package->correlation.bytes, sizeof(a->tag));
	switch (package->command) {
	case CMD_HEARTBEAT_REQUEST:
		frame_add(&p->out, CMD_HEARTBEAT_RESPONSE, &package->correlation, NULL, NULL, 0);
		a->kind = ARRIVAL_NONE;
		return;
	case CMD_STREAM_EVENT_APPEARED:
	case CMD_PERSISTENT_SUBSCRIPTION_STREAM_EVENT_APPEARED:
		a->kind = ARRIVAL_EVENT;
		if (ids)
			a->id = event_id_of(package);
		return;
	case CMD_WRITE_EVENTS_COMPLETED:
		/* The result is the first field, and 0 or left out where it succeeded. */
		if (package->payload_len >= 2 && package->payload[0] == 0x08 &&
		    package->payload[1] != 0)
			die("a write failed");
		return;
	case CMD_READ_STREAM_EVENTS_FORWARD_COMPLETED:
	case CMD_READ_ALL_EVENTS_FORWARD_COMPLETED:
	case CMD_SUBSCRIPTION_CONFIRMATION:
	case CMD_PERSISTENT_SUBSCRIPTION_CONFIRMATION:
	case CMD_CREATE_PERSISTENT_SUBSCRIPTION_COMPLETED:
	case CMD_AUTHENTICATED:
	case CMD_CLIENT_IDENTIFIED:
		return;
	}
	fprintf(stderr, "command 0x%02x\n", package->command);
	die("a request failed");
}

static void next_package(struct peer *p, bool ids, struct arrived *a)
{
	struct package package;

	while (a->kind == ARRIVAL_NONE) {
		switch (frame_look(buffer_at(&p->in), buffer_len(&p->in), FRAME_MOST, &package,
				   &a->bytes)) {
		case FRAME_INCOMPLETE:
			return;
		case FRAME_BAD_LENGTH:
		case FRAME_BAD_HEADER:
			die("no frame");
		case FRAME_WHOLE:
			break;
		}
		look_at_package(p, &package, ids, a);
		buffer_consume(&p->in, a->bytes);
	}
}

struct arrived peer_next(struct peer *p, bool ids)
{
	struct arrived a = { .kind = ARRIVAL_NONE };

	if (p->bridge)
		next_line(p, ids, &a);
	else
		next_package(p, ids, &a);
	return a;
}

struct arrived peer_await(struct peer *p, uint32_t tag)
{
	struct arrived a;

	do {
		peer_send(p);
		while ((a = peer_next(p, false)).kind == ARRIVAL_NONE)
			peer_receive(p);
	} while (a.kind != ARRIVAL_REPLY);
	if (a.tag != tag)
		die("another answer than expected");
	return a;
}
