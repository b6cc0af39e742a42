#include "store/connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/tls.h"
#include "store/command.h"
#include "store/heartbeat.h"
#include "store/resolver.h"
#include "store/wire_write.h"

enum {
	READ_MOST = 256 * 1024, /* bytes taken per wakeup, */
	READ_LEAST = 4096,      /* and where there is no memory for as many */
	KEEP_IN = 64 * 1024,    /* memory kept while nothing is under way */
	KEEP_OUT = 64 * 1024,
	SEND_AT_ONCE = 64 * 1024, /* bytes from which on a copy costs more than a write */
	WRITE_EARLY = 8 * 1024,   /* bytes that do not wait for the end of the turn */
	ERROR_TEXT = 300,
};

struct connection {
	struct loop *loop;
	struct connection_settings settings;
	const struct connection_events *events;
	void *arg;

	enum connection_state state;
	uint64_t state_since;
	uint32_t attempts;
	uint64_t connects;
	uint64_t lost[LOSS_WORDS];
	uint64_t failed[LOSS_WORDS];
	char endpoint[ENDPOINT_TEXT];
	char last_error[ERROR_TEXT];
	struct endpoint at;  /* of this attempt: as configured, found, or named by another node */
	enum node_role role; /* what is known of the node there */
	bool redirected;     /* the next attempt goes where a node said the leader is */
	struct discovery *discovery; /* NULL: there is no cluster */

	struct resolver *resolver;
	struct lookup lookup; /* of the host at `at`: the addresses not yet tried */

	struct tls_context *tls_context; /* NULL: connections are plain */
	char *tls_name;                  /* what the certificate must be for; "": the host */
	struct tls *tls;                 /* of the connection in hand, or NULL */

	int fd;           /* -1: none */
	unsigned sockets; /* counts the sockets closed: tells whether the one in hand is still there
			   */
	struct event *readable;
	struct event *writable;
	struct buffer in;
	size_t skip;  /* bytes of a frame too large that are still to be thrown away */
	bool starved; /* it is passed over for want of memory */
	struct outbox out;
	struct job flush;
	struct guid handshake; /* correlation id of the step that is awaited */
	struct deadline step; /* the end of the current step, or of the wait for the next attempt */
	struct heartbeat heartbeat;
	struct traffic bytes;
	uint64_t socket_in; /* bytes.in when the connection was made */
};

static const char *const state_names[] = {
	[CONNECTION_OFF] = "off",
	[CONNECTION_WAITING] = "waiting",
	[CONNECTION_DISCOVERING] = "discovering",
	[CONNECTION_RESOLVING] = "resolving",
	[CONNECTION_CONNECTING] = "connecting",
	[CONNECTION_SECURING] = "securing",
	[CONNECTION_AUTHENTICATING] = "authenticating",
	[CONNECTION_IDENTIFYING] = "identifying",
	[CONNECTION_READY] = "ready",
};

static void attempt(struct connection *c);
static void connect_next(struct connection *c);

/* The one place where the state changes. */
static void set_state(struct connection *c, enum connection_state state)
{
	if (c->state == state)
		return;
	log_write(LOG_DEBUG, "store connection: %s -> %s endpoint=%s", state_names[c->state],
		  state_names[state], c->endpoint);
	c->state = state;
	c->state_since = loop_now(c->loop);
}

/* Closing --------------------------------------------------------------------------------------- */

static void close_socket(struct connection *c)
{
	if (c->discovery != NULL)
		discovery_cancel(c->discovery);
	if (c->fd >= 0) {
		tls_free(c->tls);
		c->tls = NULL;
		event_free(c->readable);
		event_free(c->writable);
		c->readable = c->writable = NULL;
		close(c->fd);
		c->fd = -1;
		c->sockets++;
	}
	loop_clear_deadline(c->loop, &c->step);
	heartbeat_stop(&c->heartbeat);
	job_cancel(&c->flush);
	buffer_free(&c->in);
	outbox_clear(&c->out);
	c->skip = 0;
	c->in.failed = false;
}

/* The delay doubles with each attempt from the least to the most; a fifth of it, up or down, is
 * chance. */
static uint32_t next_delay(const struct connection *c)
{
	uint64_t delay = c->settings.reconnect_delay_min;
	struct guid chance;
	uint32_t most = c->settings.reconnect_delay_max;

	for (uint32_t i = 1; i < c->attempts && delay < most; i++)
		delay *= 2;
	if (delay > most)
		delay = most;
	guid_make(&chance);
	return (uint32_t)(delay * (80 + chance.bytes[0] % 41) / 100);
}

static void wait_for_next(struct connection *c)
{
	uint32_t most = c->settings.max_attempts;

	if (most != 0 && c->attempts >= most) {
		set_state(c, CONNECTION_OFF);
		log_write(LOG_ERROR, "the store cannot be reached, giving up attempts=%u",
			  c->attempts);
		c->events->gave_up(c->arg);
		return;
	}
	set_state(c, CONNECTION_WAITING);
	loop_set_deadline(c->loop, &c->step, next_delay(c));
}

static void lose(struct connection *c, const char *reason)
{
	bool was_ready = c->state == CONNECTION_READY;

	snprintf(c->last_error, sizeof(c->last_error), "%s", reason);
	loss_count(was_ready ? c->lost : c->failed, reason);
	/* A store that stays away is told of at the first, second, fourth, eighth, … attempt. */
	log_write((c->attempts & (c->attempts - 1)) == 0 ? LOG_WARNING : LOG_DEBUG,
		  "%s endpoint=%s reason=%s attempts=%u",
		  was_ready ? "connection to the store lost" : "no connection to the store",
		  c->endpoint, log_text(reason, strlen(reason)), c->attempts);
	close_socket(c);
	if (!was_ready && lookup_has_more(&c->lookup)) {
		connect_next(c);
		return;
	}
	lookup_clear(&c->lookup);
	wait_for_next(c);
	if (was_ready)
		c->events->lost(c->arg, reason);
}

void connection_break(struct connection *c, const char *reason)
{
	if (c->fd >= 0)
		lose(c, reason);
}

static void lose_for_errno(struct connection *c, const char *what)
{
	char text[ERROR_TEXT];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
	lose(c, text);
}

/* Heartbeats ------------------------------------------------------------------------------------ */

static void send_heartbeat(struct connection *c, uint8_t command, const struct guid *correlation)
{
	frame_add(&c->out.behind, command, correlation, NULL, NULL, 0);
	connection_flush(c);
}

static void ask_for_sign(void *arg)
{
	struct guid id;

	guid_make(&id);
	send_heartbeat(arg, CMD_HEARTBEAT_REQUEST, &id);
}

static void on_silent(void *arg)
{
	lose(arg, "heartbeat_timeout");
}

/* Handshake ------------------------------------------------------------------------------------- */

static void be_ready(struct connection *c)
{
	loop_clear_deadline(c->loop, &c->step);
	c->attempts = 0;
	c->connects++;
	lookup_clear(&c->lookup);
	set_state(c, CONNECTION_READY);
	log_write(LOG_NOTICE, "connected to the store endpoint=%s", c->endpoint);
	c->events->ready(c->arg);
}

static void begin_step(struct connection *c, enum connection_state state)
{
	set_state(c, state);
	guid_make(&c->handshake);
	loop_set_deadline(c->loop, &c->step, c->settings.connect_timeout);
}

static void identify(struct connection *c)
{
	size_t began;

	begin_step(c, CONNECTION_IDENTIFYING);
	began = frame_begin(&c->out.behind, CMD_IDENTIFY_CLIENT, &c->handshake, NULL);
	/* Version 1 exactly: anything above is confirmed, and then nothing works (WIRE 4.2). */
	wire_int(&c->out.behind, 1, 1);
	wire_bytes(&c->out.behind, 2, c->settings.name, strlen(c->settings.name));
	frame_end(&c->out.behind, began);
	connection_flush(c);
}

static void authenticate(struct connection *c)
{
	struct credentials who;

	if (c->settings.username[0] == '\0') {
		identify(c);
		return;
	}
	begin_step(c, CONNECTION_AUTHENTICATING);
	snprintf(who.login, sizeof(who.login), "%s", c->settings.username);
	snprintf(who.password, sizeof(who.password), "%s", c->settings.password);
	frame_add(&c->out.behind, CMD_AUTHENTICATE, &c->handshake, &who, NULL, 0);
	mem_wipe(&who, sizeof(who));
	connection_flush(c);
}

/*
 * Refused credentials are no reason to stay away: requests that bring their own work, and all
 * others are told by the store that they are not authenticated.
 */
static void authenticated(struct connection *c, const struct package *p)
{
	if (p->command == CMD_NOT_AUTHENTICATED) {
		snprintf(c->last_error, sizeof(c->last_error),
			 "not authenticated: the store refuses the configured user or password");
		log_write(LOG_ERROR,
			  "the store refuses the configured credentials endpoint=%s username=%s",
			  c->endpoint,
			  log_text(c->settings.username, strlen(c->settings.username)));
	} else if (p->command != CMD_AUTHENTICATED) {
		lose(c,
		     p->command == CMD_NOT_HANDLED ? "store_not_ready" : "authentication_failed");
		return;
	}
	identify(c);
}

/* Servers before 3.9.4 do not know the command and answer BadRequest; they can be used all the
 * same. */
static void identified(struct connection *c, const struct package *p)
{
	if (p->command == CMD_CLIENT_IDENTIFIED || p->command == CMD_BAD_REQUEST)
		be_ready(c);
	else
		lose(c, "identification_failed");
}

static void handshake_package(struct connection *c, const struct package *p)
{
	if (!guid_equal(&p->correlation, &c->handshake))
		return;
	if (c->state == CONNECTION_AUTHENTICATING)
		authenticated(c, p);
	else
		identified(c, p);
}

/* Bytes in -------------------------------------------------------------------------------------- */

static void on_package(struct connection *c, const struct package *p)
{
	if (p->command == CMD_HEARTBEAT_REQUEST)
		send_heartbeat(c, CMD_HEARTBEAT_RESPONSE, &p->correlation);
	else if (p->command == CMD_HEARTBEAT_RESPONSE)
		return;
	else if (p->command == CMD_BAD_REQUEST && guid_is_zero(&p->correlation))
		lose(c, "refused_by_store"); /* the store has given this connection up (WIRE 1.4) */
	else if (c->state == CONNECTION_READY)
		c->events->package(c->arg, p);
	else
		handshake_package(c, p);
}

static void secure(struct connection *c);
static void write_out(struct connection *c);

/* After a read: what OpenSSL has taken from the kernel already raises no event, and a write may
 * have waited for what was read. */
static void look_after_tls(struct connection *c)
{
	if (tls_has_more(c->tls))
		event_active(c->readable, EV_READ, 0);
	if (tls_write_wants_read(c->tls))
		connection_flush(c);
}

/* Throws away what has come of a frame that is not taken in. */
static void skip(struct connection *c)
{
	size_t n = buffer_len(&c->in) < c->skip ? buffer_len(&c->in) : c->skip;

	buffer_consume(&c->in, n);
	c->skip -= n;
}

/* The frame in front is not taken in. False where more bytes have to come first, or where
 * it has ended the connection. */
static bool pass_over(struct connection *c)
{
	unsigned sockets = c->sockets;
	struct package head;
	size_t size;

	switch (frame_head(buffer_at(&c->in), buffer_len(&c->in), &head, &size)) {
	case FRAME_INCOMPLETE:
		return false;
	case FRAME_WHOLE:
		c->skip = size;
		skip(c);
		if (c->state == CONNECTION_READY && c->events->too_large(c->arg, &head))
			return c->sockets == sockets;
		break;
	default:
		break;
	}
	lose(c, "bad_frame_length");
	return false;
}

/* Handles all whole frames. Returns the bytes that the next one still lacks, where that is known.
 */
static size_t take_frames(struct connection *c)
{
	unsigned sockets = c->sockets;

	for (;;) {
		struct package p;
		size_t size;

		skip(c);
		switch (frame_look(buffer_at(&c->in), buffer_len(&c->in), c->settings.frame_limit,
				   &p, &size)) {
		case FRAME_INCOMPLETE:
			return size > buffer_len(&c->in) ? size - buffer_len(&c->in) : 0;
		case FRAME_BAD_LENGTH:
			if (!pass_over(c))
				return 0;
			break;
		case FRAME_BAD_HEADER:
			lose(c, "bad_package_header");
			return 0;
		case FRAME_WHOLE:
			on_package(c, &p);
			if (c->sockets != sockets)
				return 0; /* the package has ended the connection, and the buffer
					     with it */
			buffer_consume(&c->in, size);
			break;
		}
	}
}

static ssize_t read_up_to(struct connection *c, size_t most)
{
	return c->tls == NULL ? buffer_read_fd(&c->in, c->fd, most)
			      : tls_read(c->tls, &c->in, most);
}

static ssize_t read_in(struct connection *c)
{
	ssize_t n = read_up_to(c, READ_MOST);

	if (n >= 0 || errno != ENOMEM)
		return n;
	c->in.failed = false;
	return read_up_to(c, READ_LEAST);
}

/* A server with TLS answers a plain package with an alert: a record of type 21, version 3.x. */
static bool is_tls_alert(const struct connection *c)
{
	const uint8_t *at = buffer_at(&c->in);

	return c->tls == NULL && c->state != CONNECTION_READY && buffer_len(&c->in) >= 3 &&
	       at[0] == 21 && at[1] == 3 && at[2] <= 4;
}

static void lose_at_end(struct connection *c)
{
	bool mute = c->state != CONNECTION_READY && c->bytes.in == c->socket_in;

	lose(c, mute && c->tls == NULL
			? "closed_by_store: without a word; it may want TLS (store.tls = require)"
			: "closed_by_store");
}

/* There is no memory for the frame in front. */
static void starve(struct connection *c)
{
	c->in.failed = false;
	c->starved = true;
	pass_over(c);
	c->starved = false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	unsigned sockets = c->sockets;
	size_t lacks;
	ssize_t n;

	(void)fd;
	(void)what;
	if (c->state == CONNECTION_SECURING) {
		secure(c);
		return;
	}
	n = read_in(c);
	if (n < 0) {
		if (errno == ENOMEM && buffer_len(&c->in) >= FRAME_PREFIX + PACKAGE_HEADER)
			starve(c);
		else if (errno != EAGAIN)
			lose_for_errno(c, "read");
		else if (c->tls != NULL && tls_read_wants_write(c->tls))
			event_add(c->writable, NULL);
		return;
	}
	if (n == 0) {
		lose_at_end(c);
		return;
	}
	c->bytes.in += (uint64_t)n;
	if (is_tls_alert(c)) {
		lose(c, "tls: the server speaks TLS, and store.tls is off");
		return;
	}
	lacks = take_frames(c);
	if (c->sockets != sockets)
		return;
	if (c->tls != NULL)
		look_after_tls(c);
	/* The whole of a large frame gets its room at once, not by doubling. */
	if (lacks > READ_MOST && buffer_room(&c->in, lacks) == NULL)
		starve(c);
	else
		buffer_shrink(&c->in, KEEP_IN + READ_MOST);
}

/* Bytes out ------------------------------------------------------------------------------------- */

static ssize_t write_some(struct connection *c)
{
	ssize_t n =
		c->tls == NULL ? outbox_write(&c->out, c->fd) : tls_write(c->tls, &c->out.behind);

	c->bytes.out += n > 0 ? (uint64_t)n : 0;
	return n;
}

static void await_room(struct connection *c)
{
	if (c->tls == NULL || !tls_write_wants_read(c->tls))
		event_add(c->writable, NULL);
}

static void write_out(struct connection *c)
{
	ssize_t n;

	if (c->fd < 0 || c->state <= CONNECTION_SECURING)
		return;
	if (c->out.behind.failed) {
		lose(c, "out_of_memory");
		return;
	}
	if (outbox_is_empty(&c->out))
		return;
	n = write_some(c);
	if (n < 0 && errno != EAGAIN) {
		lose_for_errno(c, "write");
		return;
	}
	if (outbox_is_empty(&c->out))
		buffer_shrink(&c->out.behind, KEEP_OUT);
	else
		await_room(c);
}

/*
 * Writes what has come together, so that the store works on it while we make the rest. An error is
 * met again when the turn ends: the callers are not prepared for a loss.
 */
static void write_early(struct connection *c)
{
	if (c->out.behind.failed || event_pending(c->writable, EV_WRITE, NULL))
		return;
	if ((write_some(c) >= 0 || errno == EAGAIN) && !outbox_is_empty(&c->out))
		await_room(c);
}

static void on_flush(void *arg)
{
	struct connection *c = arg;

	if (c->fd >= 0 && !event_pending(c->writable, EV_WRITE, NULL))
		write_out(c);
}

struct buffer *connection_out(struct connection *c)
{
	return &c->out.behind;
}

void connection_flush(struct connection *c)
{
	loop_put_off(c->loop, &c->flush);
}

void connection_send(struct connection *c, const struct buffer *bytes, struct parcel *parcel)
{
	connection_flush(c);
	if (buffer_len(bytes) < SEND_AT_ONCE || c->tls != NULL) {
		buffer_add_all(&c->out.behind, bytes);
		if (buffer_len(&c->out.behind) < WRITE_EARLY)
			return;
	} else {
		outbox_add(&c->out, parcel, bytes);
	}
	write_early(c);
}

void connection_take_back(struct connection *c, struct parcel *parcel)
{
	outbox_take_back(&c->out, parcel);
}

/* Connecting ------------------------------------------------------------------------------------ */

/* Packages can go to and fro. */
static void established(struct connection *c)
{
	heartbeat_start(&c->heartbeat);
	authenticate(c);
}

/* Goes on with the handshake of TLS. */
static void secure(struct connection *c)
{
	char fault[TLS_FAULT];
	char text[ERROR_TEXT];

	switch (tls_handshake(c->tls, fault)) {
	case TLS_DONE:
		log_write(LOG_INFO, "TLS with the store endpoint=%s version=%s cipher=%s",
			  c->endpoint, tls_version(c->tls), tls_cipher(c->tls));
		look_after_tls(c);
		established(c);
		break;
	case TLS_WANTS_WRITE:
		event_add(c->writable, NULL);
		break;
	case TLS_WANTS_READ:
		break;
	case TLS_FAILED:
		snprintf(text, sizeof(text), "tls: %s", fault);
		lose(c, text);
		break;
	}
}

static void connected(struct connection *c)
{
	const char *name = c->tls_name[0] != '\0' ? c->tls_name : c->at.host;
	int on = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->socket_in = c->bytes.in;
	event_add(c->readable, NULL);
	if (c->tls_context == NULL) {
		established(c);
		return;
	}
	c->tls = tls_connect(c->tls_context, c->fd, name);
	if (c->tls == NULL) {
		lose(c, "tls: this name cannot be verified, or there is no memory");
		return;
	}
	begin_step(c, CONNECTION_SECURING);
	secure(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)what;
	if (c->state == CONNECTION_SECURING) {
		secure(c);
		return;
	}
	if (c->state != CONNECTION_CONNECTING) {
		if (c->tls != NULL && tls_read_wants_write(c->tls))
			event_active(c->readable, EV_READ, 0);
		write_out(c);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
		error = errno;
	if (error != 0) {
		errno = error;
		lose_for_errno(c, "connect");
		return;
	}
	connected(c);
}

/* Tries the address that is next. */
static void connect_next(struct connection *c)
{
	const struct evutil_addrinfo *a = lookup_next(&c->lookup);

	set_state(c, CONNECTION_CONNECTING);
	c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		lose_for_errno(c, "socket");
		return;
	}
	c->readable = event_new(loop_base(c->loop), c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(loop_base(c->loop), c->fd, EV_WRITE, on_writable, c);
	if (c->readable == NULL || c->writable == NULL) {
		log_write(LOG_ERROR, "out of memory");
		exit(EXIT_FAILURE);
	}
	if (connect(c->fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
		lose_for_errno(c, "connect");
		return;
	}
	event_add(c->writable, NULL);
	loop_set_deadline(c->loop, &c->step, c->settings.connect_timeout);
}

static void on_resolved(void *arg, const char *fault)
{
	struct connection *c = arg;
	char text[ERROR_TEXT];

	if (fault != NULL) {
		snprintf(text, sizeof(text), "resolve: %s", fault);
		lose(c, text);
		return;
	}
	connect_next(c);
}

static void go(struct connection *c)
{
	endpoint_format(&c->at, c->endpoint);
	set_state(c, CONNECTION_RESOLVING);
	loop_set_deadline(c->loop, &c->step, c->settings.connect_timeout);
	lookup_start(&c->lookup, c->resolver, &c->at);
}

static void on_found(void *arg, const struct node *node)
{
	struct connection *c = arg;

	c->at = node_endpoint(node, c->tls_context != NULL);
	c->role = node->role;
	go(c);
}

/* The node that was left out may be asked for again. */
static void on_not_found(void *arg, const char *reason)
{
	struct connection *c = arg;
	char text[ERROR_TEXT];

	c->at.port = 0;
	snprintf(text, sizeof(text), "discovery: %s", reason);
	lose(c, text);
}

static const struct discovery_events discovery_events = {
	.found = on_found,
	.failed = on_not_found,
};

static void discover(struct connection *c)
{
	set_state(c, CONNECTION_DISCOVERING);
	discovery_start(c->discovery, c->tls_context, c->tls_name, c->at.port != 0 ? &c->at : NULL);
}

/* Where a node has named the leader, else to a node of the cluster, else as configured. */
static void attempt(struct connection *c)
{
	bool redirected = c->redirected;

	c->attempts++;
	c->redirected = false;
	c->role = redirected ? NODE_LEADER : NODE_OUT;
	if (!redirected && c->discovery != NULL) {
		discover(c);
		return;
	}
	if (!redirected) {
		snprintf(c->at.host, sizeof(c->at.host), "%s", c->settings.host);
		c->at.port = c->settings.port;
	}
	go(c);
}

/* What is said of a step that took too long. */
static const char *const step_timeouts[] = {
	[CONNECTION_RESOLVING] = "resolve_timeout",
	[CONNECTION_CONNECTING] = "connect_timeout",
	[CONNECTION_SECURING] = "tls: no answer to the handshake in time: it may be no TLS server",
	[CONNECTION_AUTHENTICATING] = "handshake_timeout",
	[CONNECTION_IDENTIFYING] = "handshake_timeout",
};

/* The end of a step, or of the wait between two attempts. */
static void on_step(void *arg)
{
	struct connection *c = arg;

	if (c->state == CONNECTION_WAITING)
		attempt(c);
	else
		lose(c, step_timeouts[c->state]);
}

void connection_redirect(struct connection *c, const char *host, uint16_t port)
{
	if (c->state != CONNECTION_READY)
		return;
	lose(c, "not_leader");
	if (c->state != CONNECTION_WAITING)
		return;
	snprintf(c->at.host, sizeof(c->at.host), "%s", host);
	c->at.port = port;
	c->redirected = true;
	loop_set_deadline(c->loop, &c->step, 0);
}

/* Life ------------------------------------------------------------------------------------------ */

struct connection *connection_new(struct loop *loop, const struct connection_settings *settings,
				  const struct connection_events *events, void *arg)
{
	struct connection *c = mem_new(sizeof(*c));

	c->loop = loop;
	c->settings = *settings;
	c->events = events;
	c->arg = arg;
	c->fd = -1;
	outbox_init(&c->out);
	c->in.apart = true; /* one package, and that no longer than it takes to look at it */
	c->state_since = loop_now(loop);
	c->tls_name = mem_text("");
	c->resolver = resolver_new(loop, settings->nameservers);
	lookup_init(&c->lookup, on_resolved, c);
	if (settings->cluster != NULL) {
		c->discovery =
			discovery_new(loop, settings->cluster, c->resolver, &discovery_events, c);
		snprintf(c->endpoint, sizeof(c->endpoint), "cluster");
	}
	job_init(&c->flush, on_flush, c);
	deadline_init(&c->step, on_step, c);
	c->heartbeat = (struct heartbeat){
		.loop = loop,
		.interval = settings->heartbeat_interval,
		.timeout = settings->heartbeat_timeout,
		.traffic = &c->bytes,
		.ask = ask_for_sign,
		.silent = on_silent,
		.arg = c,
	};
	heartbeat_init(&c->heartbeat);
	return c;
}

void connection_free(struct connection *c)
{
	close_socket(c);
	lookup_clear(&c->lookup);
	discovery_free(c->discovery);
	resolver_free(c->resolver);
	tls_context_free(c->tls_context);
	free(c->tls_name);
	free(c);
}

void connection_start(struct connection *c)
{
	attempt(c);
}

void connection_stop(struct connection *c)
{
	bool was_ready = c->state == CONNECTION_READY;

	if (was_ready) {
		write_out(c);
		if (c->tls != NULL)
			tls_close(c->tls);
	}
	close_socket(c);
	lookup_clear(&c->lookup);
	set_state(c, CONNECTION_OFF);
	if (was_ready)
		c->events->lost(c->arg, "shutting_down");
}

void connection_set_tls(struct connection *c, struct tls_context *context, const char *name)
{
	tls_context_free(c->tls_context);
	free(c->tls_name);
	c->tls_context = context;
	c->tls_name = mem_text(name);
}

void connection_set_user(struct connection *c, const char *username, const char *password)
{
	c->settings.username = username;
	c->settings.password = password;
}

bool connection_is_secure(const struct connection *c)
{
	return c->tls != NULL;
}

bool connection_is_ready(const struct connection *c)
{
	return c->state == CONNECTION_READY;
}

bool connection_is_starved(const struct connection *c)
{
	return c->starved;
}

void connection_look(struct connection *c, struct connection_view *view)
{
	*view = (struct connection_view){
		.state = state_names[c->state],
		.endpoint = c->endpoint,
		.last_error = c->last_error,
		.role = node_role_name(c->role),
		.tls = c->tls == NULL || c->state <= CONNECTION_SECURING ? "" : tls_version(c->tls),
		.since_ms = loop_now(c->loop) - c->state_since,
		.attempts = c->attempts,
		.connects = c->connects,
		.lost = c->lost,
		.failed = c->failed,
		.bytes_in = c->bytes.in,
		.bytes_out = c->bytes.out,
	};
}
