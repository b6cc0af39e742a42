/* The socket: connecting, again and again, reading and sending. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "request.h"
#include "subscription.h"

enum {
	READ_BYTES = 64 << 10,
	READS = 4, /* in a turn, before others get theirs */
	VECTORS = 64,
};

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* The end of a connection ------------------------------------------------------------------------ */

/* A quarter less or more than MS, so that many programs do not come at once. */
static int spread(struct esbridge *e, int ms)
{
	e->random = e->random * 1103515245u + 12345u;
	return ms - ms / 4 + (int)((e->random >> 16) % (unsigned)(ms / 2 + 1));
}

void connection_close(struct esbridge *e)
{
	int fd = e->fd;

	e->fd = -1;
	e->greeted = false;
	e->write_broken = false;
	e->lines_wait = false;
	reader_reset(&e->reader);
	/* An event loop forgets the descriptor while it is still that file. */
	dispatch_watch(e);
	if (fd >= 0)
		close(fd);
}

static void note_why(struct esbridge *e, int error, const char *format, va_list list)
{
	vsnprintf(e->why, sizeof(e->why), format, list);
	e->why_errno = error;
}

/* There is no connection. Another one is tried after a while, or never. */
static void try_later(struct esbridge *e)
{
	e->failures++;
	if (e->no_reconnect) {
		e->ended = true;
		return;
	}
	e->attempt_at = now_ms() + spread(e, e->backoff_ms);
	e->backoff_ms =
		e->backoff_ms < e->reconnect_max_ms / 2 ? e->backoff_ms * 2 : e->reconnect_max_ms;
}

void connection_lost(struct esbridge *e, int error, const char *format, ...)
{
	va_list list;

	va_start(list, format);
	note_why(e, error, format, list);
	va_end(list);
	connection_close(e);
	try_later(e);
	request_connection_lost(e);
	if (e->ended)
		request_fail_unsent(e);
	subscription_connection_lost(e, e->ended);
}

/* Connecting -------------------------------------------------------------------------------------- */

static void hello_done(struct esbridge *e, struct request *r, struct message *message)
{
	(void)r;
	if (message == NULL) {
		if (e->fd >= 0)
			connection_lost(e, 0, "%s: the daemon does not answer", e->path);
		return;
	}
	if (message->public.kind != ESBRIDGE_OK) {
		connection_lost(e, 0, "%s: the daemon refuses: %.*s", e->path,
				ESBRIDGE_PRINT(message->public.text));
		return;
	}
	if (e->hello_reply != NULL)
		esbridge_message_free(&e->hello_reply->public);
	esbridge_message_ref(&message->public);
	e->hello_reply = message;
	e->server = message->server;
	snprintf(e->server_version, sizeof(e->server_version), "%.*s",
		 ESBRIDGE_PRINT(message->version));
	e->server.version = e->server_version;
	e->server.hello = message->public.ok;
	e->greeted = true;
	e->failures = 0;
	e->backoff_ms = e->reconnect_min_ms;
}

/* Puts hello before everything else. Returns false where there is no memory for it. */
static bool say_hello(struct esbridge *e)
{
	struct request *r;

	request_begin(e, "hello", NULL);
	if (e->client != NULL)
		request_text(e, "client", e->client);
	r = request_finish(e, &(struct request_plan){ .reply = true,
						      .bound = true,
						      .hello = true,
						      .internal = true,
						      .timeout_ms = e->connect_timeout_ms,
						      .done = hello_done });
	if (r == NULL)
		return false;
	request_to_front(e, r);
	return true;
}

static int open_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, error;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* Whether the path of the socket is one that a socket can have. */
static bool path_fits(struct esbridge *e)
{
	const size_t most = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
	size_t len = strlen(e->path);

	if (len > most)
		connection_lost(e, ENAMETOOLONG,
				"the path of the socket has %zu bytes, a socket's has %zu at most",
				len, most);
	return len <= most;
}

/* -1 where memory is out. */
static int attempt(struct esbridge *e)
{
	if (!path_fits(e))
		return 0;
	e->fd = open_socket(e->path);
	if (e->fd < 0) {
		int error = errno;

		/* EAGAIN: the daemon is there, and has many who want to be let in. */
		connection_lost(e, error, "no connection to the daemon at %s: %s", e->path,
				error == EAGAIN ? "its queue is full" : strerror(error));
		return 0;
	}
	e->epoch++;
	if (say_hello(e))
		return 0;
	connection_close(e);
	e->attempt_at = now_ms() + spread(e, e->reconnect_min_ms);
	failure_no_memory(&e->failure);
	return -1;
}

/* Reading ----------------------------------------------------------------------------------------- */

/* A line that is an error without a request, while the daemon has not let us in yet: a refusal. */
static bool is_refusal(const struct esbridge *e, const struct message *message)
{
	return !e->greeted && message->public.kind == ESBRIDGE_ERROR &&
	       message->public.id_text.at == NULL;
}

static void sort(struct esbridge *e, struct message *message)
{
	message->epoch = e->epoch;
	if (message->public.kind == ESBRIDGE_PUSH) {
		subscription_push(e, message);
	} else if (message->public.id >= REQUEST_FIRST_ID) {
		request_reply(e, message);
	} else if (is_refusal(e, message)) {
		connection_lost(e, 0, "%s: the daemon refuses: %.*s (%.*s)", e->path,
				ESBRIDGE_PRINT(message->public.text),
				ESBRIDGE_PRINT(message->public.code_name));
		esbridge_message_free(&message->public);
	} else {
		dispatch_put(e, &message->item);
	}
}

/* Works off the lines that are there. -1 where memory is out; the rest stays. */
static int take_lines(struct esbridge *e)
{
	unsigned epoch = e->epoch;

	while (e->fd >= 0 && e->epoch == epoch) {
		struct message *message;
		int got = reader_next(&e->reader, &message);

		e->lines_wait = false;
		if (got == 0)
			return 0;
		if (got > 0) {
			sort(e, message);
		} else if (e->reader.failure.error.code == ESBRIDGE_E_OUT_OF_MEMORY) {
			failure_no_memory(&e->failure);
			e->lines_wait = true;
			return -1;
		} else {
			connection_lost(e, 0, "%s: %s", e->path, e->reader.failure.text);
		}
	}
	return 0;
}

/* Whether more may be read: messages that nobody takes are bounded. */
static bool has_room(const struct esbridge *e)
{
	return e->queued_bytes < e->queue_limit;
}

static int receive(struct esbridge *e)
{
	if (e->lines_wait && take_lines(e) < 0)
		return -1;
	for (int i = 0; i < READS && e->fd >= 0 && has_room(e); i++) {
		ssize_t n = buffer_read_fd(&e->reader.bytes, e->fd, READ_BYTES);

		if (n < 0 && errno == EAGAIN)
			return 0;
		if (n < 0 && errno == ENOMEM && e->reader.bytes.failed) {
			e->reader.bytes.failed = false;
			failure_no_memory(&e->failure);
			return -1;
		}
		if (n == 0) {
			connection_lost(e, 0, "%s: the daemon has closed the connection", e->path);
			return 0;
		}
		if (n < 0) {
			int error = errno;

			connection_lost(e, error, "%s: %s", e->path, strerror(error));
			return 0;
		}
		if (take_lines(e) < 0)
			return -1;
		if (n < READ_BYTES)
			return 0;
	}
	return 0;
}

/* Sending ----------------------------------------------------------------------------------------- */

/* Whether R, which is in `unsent`, may go out now. */
static bool may_go(const struct esbridge *e, const struct request *r)
{
	return e->greeted || r->hello;
}

static bool wants_to_send(const struct esbridge *e)
{
	const struct link *l = list_first(&e->unsent);

	return e->fd >= 0 && !e->write_broken && l != NULL &&
	       may_go(e, CONTAINER(l, struct request, out));
}

/* Gathers what may be sent. Returns the number of pieces. */
static size_t gather(const struct esbridge *e, struct iovec vector[VECTORS])
{
	size_t n = 0;
	size_t sent = e->first_sent;

	for (struct link *l = list_first(&e->unsent); l != NULL && n < VECTORS;
	     l = list_next(&e->unsent, l)) {
		struct request *r = CONTAINER(l, struct request, out);

		if (!may_go(e, r))
			break;
		vector[n++] = (struct iovec){ r->line + sent, r->len - sent };
		sent = 0;
	}
	return n;
}

static void count_sent(struct esbridge *e, size_t n)
{
	while (n > 0) {
		struct request *r = CONTAINER(list_first(&e->unsent), struct request, out);
		size_t left = r->len - e->first_sent;

		r->sent = true;
		if (n < left) {
			e->first_sent += n;
			return;
		}
		n -= left;
		e->first_sent = 0;
		request_was_sent(e, r);
	}
}

void connection_send(struct esbridge *e)
{
	while (wants_to_send(e)) {
		struct iovec vector[VECTORS];
		struct msghdr header = { .msg_iov = vector };
		ssize_t n;

		header.msg_iovlen = gather(e, vector);
		do
			n = sendmsg(e->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
		while (n < 0 && errno == EINTR);
		if (n < 0) {
			/* What the daemon has said before it closed is still to be read. */
			e->write_broken = errno != EAGAIN && errno != ENOBUFS;
			return;
		}
		count_sent(e, (size_t)n);
	}
}

/* A turn ------------------------------------------------------------------------------------------ */

int64_t connection_due(const struct esbridge *e)
{
	const struct link *first = list_first(&e->due);
	int64_t at = subscription_due(e);

	if (e->lines_wait)
		return 0;
	if (e->fd < 0 && !e->ended && (at < 0 || e->attempt_at < at))
		at = e->attempt_at;
	if (first != NULL) {
		int64_t deadline = CONTAINER(first, const struct request, due)->deadline;

		at = at < 0 || deadline < at ? deadline : at;
	}
	return at;
}

static int tell_ended(struct esbridge *e)
{
	failure_set(&e->failure, ESBRIDGE_E_CONNECTION_LOST, "%s", e->why);
	e->failure.error.system_error = e->why_errno;
	return -1;
}

int connection_turn(struct esbridge *e, short revents)
{
	int64_t now = now_ms();
	int result = 0;

	subscription_bury(e);
	if (e->fd < 0 && !e->ended && now >= e->attempt_at)
		result = attempt(e);
	if (e->fd >= 0 && (revents & (POLLIN | POLLHUP | POLLERR) || e->lines_wait))
		result |= receive(e);
	if (e->greeted)
		result |= subscription_remake(e, now);
	connection_send(e);
	request_expire(e, now);
	result |= subscription_pay(e);
	return result == 0 && e->ended ? tell_ended(e) : result;
}

static short wanted_events(const struct esbridge *e)
{
	short events = has_room(e) ? POLLIN : 0;

	return (short)(e->fd < 0 ? 0 : wants_to_send(e) ? events | POLLOUT : events);
}

short esbridge_events(const struct esbridge *e)
{
	return wanted_events(e);
}

int connection_wait(struct esbridge *e, int64_t until)
{
	struct pollfd wait = { .fd = e->fd };
	int64_t now = now_ms();
	int64_t at = connection_due(e);
	int timeout;

	if (e->ended)
		return tell_ended(e);
	connection_send(e);
	wait.events = wanted_events(e);
	if (until >= 0 && (at < 0 || until < at))
		at = until;
	timeout = at < 0 ? -1 : at <= now ? 0 : at - now > INT32_MAX ? INT32_MAX : (int)(at - now);
	if (poll(&wait, 1, timeout) < 0) {
		if (errno == EINTR)
			return 0;
		failure_set(&e->failure, ESBRIDGE_E_SYSTEM, "poll: %s", strerror(errno));
		e->failure.error.system_error = errno;
		return -1;
	}
	return connection_turn(e, wait.revents) < 0 ? -1 : 1;
}
