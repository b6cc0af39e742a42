#include "connection.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "dispatch.h"
#include "group.h"
#include "reply.h"
#include "subscription.h"

enum {
	READ_AT_ONCE = 256 * 1024,
	KEEP = 1024 * 1024,             /* bytes of an empty buffer that are kept */
	PAUSE_ABOVE = 64 * 1024 * 1024, /* output above which a client's requests are left unread */
	RESUME_BELOW = PAUSE_ABOVE / 2,
};

static void free_connection(void *object)
{
	struct connection *c = object;

	buffer_free(&c->in);
	buffer_free(&c->out);
	free(c);
}

void connection_close(struct connection *c)
{
	struct loop *loop = c->server->loop;

	if (c->closed)
		return;
	c->closed = true;
	log_write(LOG_DEBUG, "connection closed fd=%d", c->fd);
	list_remove(&c->link);
	job_cancel(&c->flush);
	loop_clear_deadline(loop, &c->heartbeat);
	event_free(c->readable);
	event_free(c->writable);
	tls_free(c->tls);
	close(c->fd);
	subscriptions_end(c);
	consumers_end(c);
	fault_end(c);
	loop_park(loop, c, free_connection);
}

/* Output --------------------------------------------------------------------------------------- */

/* Reads again; what OpenSSL has taken already raises no event. */
static void listen_again(struct connection *c)
{
	event_add(c->readable, NULL);
	if (c->tls != NULL && tls_has_more(c->tls))
		event_active(c->readable, EV_READ, 0);
}

static void set_paused(struct connection *c, bool paused)
{
	if (c->paused == paused)
		return;
	c->paused = paused;
	if (c->stalled || c->finishing)
		return;
	if (paused)
		event_del(c->readable);
	else
		listen_again(c);
}

/* Writes until all is gone or the socket takes no more. Returns false where the connection is dead.
 */
static bool write_out(struct connection *c)
{
	while (buffer_len(&c->out) > 0 && !c->stalled && !c->securing) {
		ssize_t n = c->tls == NULL ? buffer_write_fd(&c->out, c->fd)
					   : tls_write(c->tls, &c->out);

		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK;
	}
	buffer_shrink(&c->out, KEEP);
	return true;
}

/* Closes so that the client sees the end and no reset: nothing that it sent may be left unread. */
static void end_sending(struct connection *c)
{
	char unread[4096];

	if (c->tls != NULL)
		tls_close(c->tls);
	(void)shutdown(c->fd, SHUT_WR);
	while (read(c->fd, unread, sizeof(unread)) > 0)
		;
}

static void finish(struct connection *c)
{
	const struct linger none = { .l_onoff = 1, .l_linger = 0 };

	if (c->resetting)
		(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	else
		end_sending(c);
	connection_close(c);
}

static void flush(void *arg)
{
	struct connection *c = arg;

	if (c->doomed || !write_out(c)) {
		connection_close(c);
		return;
	}
	if (c->stalled || c->securing)
		return;
	if (c->finishing && buffer_len(&c->out) == 0) {
		finish(c);
		return;
	}
	if (buffer_len(&c->out) > 0)
		event_add(c->writable, NULL);
	if (buffer_len(&c->out) > PAUSE_ABOVE)
		set_paused(c, true);
	else if (buffer_len(&c->out) < RESUME_BELOW)
		set_paused(c, false);
}

/* The handshake of TLS; what was to be said meanwhile goes out after it. */
static void secure(struct connection *c)
{
	char fault[TLS_FAULT];

	switch (tls_handshake(c->tls, fault)) {
	case TLS_DONE:
		c->securing = false;
		if (tls_has_more(c->tls))
			event_active(c->readable, EV_READ, 0);
		flush(c);
		break;
	case TLS_WANTS_READ:
		break;
	case TLS_WANTS_WRITE:
		event_add(c->writable, NULL);
		break;
	case TLS_FAILED:
		log_write(LOG_INFO, "no TLS with a client fd=%d reason=%s", c->fd,
			  log_text(fault, strlen(fault)));
		connection_close(c);
		break;
	}
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;

	(void)fd;
	(void)what;
	if (c->securing)
		secure(c);
	else
		flush(c);
}

void connection_close_after_output(struct connection *c)
{
	if (!c->closed)
		(void)write_out(c);
	connection_close(c);
}

/* Nothing is closed here: the caller may be on its way through a list of those it has something
 * for. */
void connection_end(struct connection *c, size_t began)
{
	size_t limit = c->server->options->pending_limit;

	if (c->finishing) {
		buffer_cut(&c->out, buffer_len(&c->out) - began);
		return;
	}
	if (c->closed || c->doomed || !frame_end(&c->out, began)) {
		buffer_cut(&c->out, buffer_len(&c->out) - began);
		c->doomed = true;
	} else {
		fault_sent(c, began);
		if (limit != 0 && buffer_len(&c->out) > limit)
			c->doomed = !write_out(c) || buffer_len(&c->out) > limit;
	}
	if (!c->closed)
		loop_put_off(c->server->loop, &c->flush);
}

/* Heartbeats ----------------------------------------------------------------------------------- */

/* Any bytes that came count as life, whatever they are; a paused client is not waited for. */
static void on_heartbeat(void *arg)
{
	struct connection *c = arg;
	const struct options *o = c->server->options;
	bool alive = c->reads != c->reads_seen || c->paused || c->stalled;
	struct guid id;

	if (!alive && c->heartbeat_due) {
		log_write(LOG_DEBUG, "no answer to a heartbeat fd=%d", c->fd);
		connection_close(c);
		return;
	}
	c->heartbeat_due = !alive;
	c->reads_seen = c->reads;
	if (!alive) {
		guid_make(&id);
		reply_empty(c, CMD_HEARTBEAT_REQUEST, &id);
	}
	loop_set_deadline(c->server->loop, &c->heartbeat,
			  alive ? o->heartbeat_interval : o->heartbeat_timeout);
}

/* Input ---------------------------------------------------------------------------------------- */

/* Whether the client is told before it is closed depends on the version. */
static void refuse_length(struct connection *c)
{
	static const struct guid none;
	const uint8_t *at = buffer_at(&c->in);
	enum told_fault fault = TELL_LONG;

	if (at[FRAME_PREFIX - 1] >= 0x80)
		fault = TELL_NEGATIVE;
	else if ((at[0] | at[1] | at[2] | at[3]) == 0)
		fault = TELL_EMPTY;
	if (traits_of(c)->told & fault)
		reply_text(c, CMD_BAD_REQUEST, &none, "Invalid package length.");
	connection_close_after_output(c);
}

static void refuse_package(struct connection *c)
{
	static const struct guid none;

	reply_text(c, CMD_BAD_REQUEST, &none, "The package is too short for what it says it has.");
	connection_close_after_output(c);
}

/* The real server finds no room for an empty password before an empty payload. */
static bool malformed(const struct package *p)
{
	return (p->flags & PACKAGE_AUTHENTICATED) && p->password_len + p->payload_len == 0;
}

/* Handles the first frame that waits. Returns false where none is whole; *LACKS is then the bytes
 * that it lacks, where that is known. */
static bool take_frame(struct connection *c, size_t *lacks)
{
	struct package package;
	size_t size;

	switch (frame_look(buffer_at(&c->in), buffer_len(&c->in), FRAME_MOST, &package, &size)) {
	case FRAME_INCOMPLETE:
		if (size > buffer_len(&c->in))
			*lacks = size - buffer_len(&c->in);
		return false;
	case FRAME_BAD_LENGTH:
		refuse_length(c);
		return false;
	case FRAME_BAD_HEADER:
		refuse_package(c);
		return false;
	case FRAME_WHOLE:
		break;
	}
	if (malformed(&package)) {
		refuse_package(c);
		return false;
	}
	switch (fault_received(c, &package)) {
	case RECEPTION_HANDLE:
		dispatch(c, &package);
		fault_handled(c);
		break;
	case RECEPTION_PASS_OVER:
		break;
	case RECEPTION_KEEP:
		return false;
	}
	if (c->closed)
		return false;
	buffer_consume(&c->in, size);
	return !c->stalled && !c->finishing;
}

static void take_frames(struct connection *c)
{
	size_t lacks = 0;

	while (buffer_len(&c->in) > 0 && take_frame(c, &lacks))
		;
	if (c->closed)
		return;
	/* The whole of a large frame gets its room at once, not by doubling. */
	if (lacks > READ_AT_ONCE)
		(void)buffer_room(&c->in, lacks + READ_AT_ONCE);
	buffer_shrink(&c->in, KEEP);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct connection *c = arg;
	ssize_t n;

	(void)fd;
	(void)what;
	if (c->securing) {
		secure(c);
		return;
	}
	n = c->tls == NULL ? buffer_read_fd(&c->in, c->fd, READ_AT_ONCE)
			   : tls_read(c->tls, &c->in, READ_AT_ONCE);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return;
	if (n <= 0) {
		connection_close(c);
		return;
	}
	c->reads++;
	if (c->tls != NULL && tls_has_more(c->tls))
		event_active(c->readable, EV_READ, 0);
	take_frames(c);
}

/* By rule -------------------------------------------------------------------------------------- */

void connection_stall(struct connection *c)
{
	c->stalled = true;
	event_del(c->readable);
}

void connection_resume(struct connection *c)
{
	if (!c->stalled)
		return;
	c->stalled = false;
	if (!c->paused)
		listen_again(c);
	loop_put_off(c->server->loop, &c->flush);
	take_frames(c);
}

void connection_finish(struct connection *c, bool reset)
{
	c->stalled = false;
	c->finishing = true;
	c->resetting = reset;
	event_del(c->readable);
	loop_put_off(c->server->loop, &c->flush);
}

void connection_send(struct connection *c, const void *bytes, size_t len)
{
	if (c->finishing)
		return;
	buffer_add(&c->out, bytes, len);
	loop_put_off(c->server->loop, &c->flush);
}

/* Start ---------------------------------------------------------------------------------------- */

static bool watch(struct connection *c)
{
	struct event_base *base = loop_base(c->server->loop);

	c->readable = event_new(base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(base, c->fd, EV_WRITE, on_writable, c);
	return c->readable != NULL && c->writable != NULL && event_add(c->readable, NULL) == 0;
}

static void abandon(struct connection *c)
{
	if (c->readable != NULL)
		event_free(c->readable);
	if (c->writable != NULL)
		event_free(c->writable);
	tls_free(c->tls);
	close(c->fd);
	free(c);
}

void connection_make(struct node *node, int fd)
{
	struct server *server = node->server;
	struct connection *c = mem_new(sizeof(*c));
	int on = 1;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	c->server = server;
	c->node = node;
	c->fd = fd;
	c->small_numbers = traits_of(c)->small_numbers;
	link_init(&c->link);
	link_init(&c->subscriptions);
	link_init(&c->delayed);
	link_init(&c->consumers);
	job_init(&c->flush, flush, c);
	deadline_init(&c->heartbeat, on_heartbeat, c);
	if (server->tls != NULL) {
		c->tls = tls_accept(server->tls, fd);
		c->securing = true;
	}
	if ((server->tls != NULL && c->tls == NULL) || !watch(c)) {
		abandon(c);
		return;
	}
	list_append(&server->connections, &c->link);
	if (node->cut)
		connection_stall(c);
	log_write(LOG_DEBUG, "connection made fd=%d", fd);
	if (server->options->heartbeat_interval > 0)
		loop_set_deadline(server->loop, &c->heartbeat, server->options->heartbeat_interval);
}
