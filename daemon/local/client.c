#include "local/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/account.h"
#include "base/log.h"
#include "base/mem.h"
#include "bridge/reader.h"
#include "local/client_access.h"
#include "local/request.h"

enum {
	READ_LEAST = 64 * 1024, /* bytes taken per wakeup; more where a long line is under way */
	READ_MOST = 1024 * 1024,
	LONG = 16 * 1024,      /* of a line: from here on it is read in turn with others */
	READ_PIECE = 4 * 1024, /* of it each time: a page, which may have to be had first */
	LINES_PER_TURN = 64,
	TURN_US = 1000,
	PART = 6,     /* requests of one turn where others are let go ahead, */
	PART_US = 10, /* and time; for pieces of a long line as well */
	SHARE = 8,    /* the part of all memory that one client's requests in flight may take */
	WRITE_EARLY = 32 * 1024, /* bytes of output that do not wait for the end of the turn */
	GRACE_US = 1000000,      /* for a client that holds much while memory is short, */
	BRISK = 1024 * 1024,     /* and bytes by which who has to read gains that time anew */
	UNACKED = 1024 * 1024,   /* bytes kept for what is not acknowledged that are much */
};

static void flush_later(struct client *c)
{
	loop_put_first(c->local->loop, &c->flush);
}

static bool has_lines(const struct client *c)
{
	return buffer_len(&c->in) > c->searched;
}

/* Where others are to be let go ahead, lines wait for their turn. They are looked at again from
 * time to time, whatever they wait for. */
static void work_later(struct client *c)
{
	struct local *local = c->local;

	if (local->draining || !has_lines(c) ||
	    !bridge_makes_way(local->bridge, loop_now_us(local->loop))) {
		loop_put_off(local->loop, &c->work);
		return;
	}
	queue_up(&local->requests, &c->work);
	c->queued = true;
	if (!c->ended)
		event_del(c->readable);
	if (!deadline_is_set(&c->more))
		loop_set_deadline(local->loop, &c->more, SHARE_LASTS);
}

static void client_free(void *object)
{
	struct client *c = object;

	buffer_free(&c->in);
	buffer_free(&c->out);
	free(c->name);
	free(c);
}

void client_close(struct client *c, enum client_end reason)
{
	struct local *local = c->local;

	if (c->closed)
		return;
	c->closed = true;
	log_write(LOG_DEBUG, "client closed client=%u reason=%s lines=%llu", c->number,
		  client_end_word(reason), (unsigned long long)c->lines);
	local->counters.closed[reason]++;
	session_end(&c->session);
	event_free(c->readable);
	event_free(c->writable);
	close(c->fd);
	job_cancel(&c->work);
	job_cancel(&c->read_on);
	job_cancel(&c->flush);
	loop_clear_deadline(local->loop, &c->stall);
	loop_clear_deadline(local->loop, &c->paid);
	loop_clear_deadline(local->loop, &c->more);
	list_remove(&c->link);
	client_access_end(c);
	local->client_count--;
	loop_park(local->loop, c, client_free);
	if (local->client_count == 0 && local->emptied != NULL)
		local->emptied(local);
}

/* Output ---------------------------------------------------------------------------------------- */

/* True where nothing more can come of C: it has ended, or the daemon does, and all that it asked
 * for is answered. Half a line is nothing that was asked, unless the end of the input has ended it.
 */
static bool is_done(const struct client *c)
{
	size_t left = buffer_len(&c->in);

	if (!(c->ended || c->local->draining) || left > (c->ended ? 0 : c->searched))
		return false;
	if (c->gone)
		return true;
	return c->session.in_flight == 0 && c->session.subscription_count == 0 &&
	       buffer_len(&c->out) == 0;
}

static void pause_or_resume(struct client *c)
{
	size_t waits = buffer_len(&c->out);

	if (!c->paused && waits > c->local->settings.output_pause) {
		c->paused = true;
	} else if (c->paused && waits <= c->local->settings.output_resume) {
		c->paused = c->blocked = false;
		work_later(c);
	}
	if (c->session.hungry && !c->session.waits && waits <= c->local->settings.output_resume &&
	    !account_is_spent())
		session_resume(&c->session);
}

/* Nobody reads any more. What is in flight is still finished at the store. */
static void be_gone(struct client *c)
{
	c->gone = true;
	session_forget_held(&c->session);
	loop_clear_deadline(c->local->loop, &c->stall);
	work_later(c);
}

/* The socket takes no more for now. Its reader has to do something in time; N, unless it is below
 * 0: the bytes that it has just taken. */
static void await_room(struct client *c, ssize_t n)
{
	bool waited = deadline_is_set(&c->stall);

	event_add(c->writable, NULL);
	c->taken += n > 0 ? (size_t)n : 0;
	if (!waited || c->taken >= BRISK) {
		c->slow_since = loop_now_us(c->local->loop);
		c->taken = 0;
	}
	if (n > 0 || !waited)
		loop_set_deadline(c->local->loop, &c->stall, c->local->settings.stall_timeout);
}

static void write_out(struct client *c)
{
	ssize_t n;

	if (c->gone) {
		buffer_consume(&c->out, buffer_len(&c->out));
		return;
	}
	if (c->out.failed) {
		log_write(
			LOG_WARNING,
			"no memory for the output of a client, which is closed client=%u bytes=%zu",
			c->number, buffer_len(&c->out));
		client_close(c, CLIENT_OUT_OF_MEMORY);
		return;
	}
	/* All may have gone out early: what follows from that is still due. */
	n = buffer_len(&c->out) == 0 ? 0 : buffer_write_fd(&c->out, c->fd);
	if (n < 0 && errno != EAGAIN) {
		be_gone(c);
		return;
	}
	if (n > 0)
		c->local->counters.bytes_out += (uint64_t)n;
	if (buffer_len(&c->out) > 0) {
		await_room(c, n);
	} else {
		loop_clear_deadline(c->local->loop, &c->stall);
		buffer_shrink(&c->out, 0);
	}
	pause_or_resume(c);
	if (is_done(c))
		client_close(c, CLIENT_DONE);
}

static void on_flush(void *arg)
{
	struct client *c = arg;

	if (!event_pending(c->writable, EV_WRITE, NULL))
		write_out(c);
	else
		pause_or_resume(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	write_out(arg);
}

static void on_stall(void *arg)
{
	struct client *c = arg;

	log_write(
		LOG_WARNING,
		"a client has not read for its time and is closed client=%u reason=slow_consumer unread=%zu",
		c->number, buffer_len(&c->out));
	client_close(c, CLIENT_SLOW_CONSUMER);
}

/* Input ----------------------------------------------------------------------------------------- */

static void refuse_long_line(struct client *c)
{
	static const struct request_id none;

	c->errors++;
	session_refuse(&c->session, &none, ERROR_LINE_TOO_LONG, OUTCOME_NOT_SAID,
		       "a line may have %zu bytes; this one is thrown away",
		       c->local->settings.line_most);
}

static bool is_blank(const char *line, size_t len)
{
	while (len > 0 && (line[len - 1] == ' ' || line[len - 1] == '\t' || line[len - 1] == '\r'))
		len--;
	return len == 0;
}

/*
 * Takes up the line of LEN bytes, OWN as in request_take(). False where it has to wait: a client
 * whose output is not read is heard for its acks alone. These it must be rid of, or a program that
 * reads an event, acks it, and reads the next would be stuck in its write().
 */
static bool take_line(struct client *c, const char *line, size_t len, struct buffer *own)
{
	bool silent_alone = c->paused && !c->gone;
	enum heed heed = silent_alone ? HEED_SILENT : HEED_ALL;

	if (len > 0 && line[len - 1] == '\r')
		len--;
	if (is_blank(line, len))
		return true;
	if (len > c->local->settings.line_most && !silent_alone) {
		refuse_long_line(c);
		return true;
	}
	if (len > ACCOUNT_LARGE && heed == HEED_ALL)
		relief_make_room(c->local, 2 * len, c);
	c->blocked = len > c->local->settings.line_most || !request_take(c, line, len, own, heed);
	c->lines += !c->blocked;
	c->local->counters.lines += !c->blocked;
	return !c->blocked;
}

/* No LF in what has come: the line goes on, has become too long, or has ended with the input. */
static void take_rest(struct client *c)
{
	size_t len = buffer_len(&c->in);

	if (!c->skipping && len > c->local->settings.line_most + 1) {
		c->skipping = true;
		refuse_long_line(c);
	}
	if (c->skipping ||
	    (c->ended && len > 0 && take_line(c, (const char *)buffer_at(&c->in), len, NULL)))
		buffer_consume(&c->in, len);
	c->searched = buffer_len(&c->in);
}

/*
 * Moves the first N bytes of the input, a line, to OWN, with the memory in which they are, and what
 * follows to other memory. False, with nothing done, where that is not worth it: much
 * follows, or it lies in far more memory than it takes and is to give that back.
 */
static bool set_apart(struct client *c, size_t n, struct buffer *own)
{
	size_t rest = buffer_len(&c->in) - n;
	struct buffer others = { .secret = c->in.secret, .had = c->in.size };

	if (rest > n / 2 || c->in.size / 4 > n || (c->paused && !c->gone))
		return false;
	if (rest > 0)
		buffer_add(&others, buffer_at(&c->in) + n, rest);
	if (others.failed)
		return false;
	buffer_cut(&c->in, rest);
	*own = c->in;
	c->in = others;
	return true;
}

/* Takes N bytes off IN, a line that has been taken up. */
static void take_off(const struct client *c, struct buffer *in, size_t n)
{
	if (c->harmless)
		buffer_pass(in, n);
	else
		buffer_consume(in, n);
}

/* Takes up the line of LEN bytes in front, a large one, apart from what follows. False, with
 * nothing done, where it is not set apart. */
static bool take_large(struct client *c, size_t len)
{
	struct buffer own = { 0 };

	if (!set_apart(c, len + 1, &own))
		return false;
	/* A client whose lines may have to wait has none set apart. */
	take_line(c, (const char *)buffer_at(&own), len, &own);
	/* Nothing of it is here any more where its memory was taken over. */
	take_off(c, &own, buffer_len(&own));
	buffer_free(&own);
	return true;
}

/* Takes up the line of LEN bytes in front, which an LF ends. False where it has to wait. */
static bool take_first(struct client *c, size_t len)
{
	c->harmless = false;
	if (len > ACCOUNT_LARGE && take_large(c, len))
		return true;
	if (!take_line(c, (const char *)buffer_at(&c->in), len, NULL))
		return false;
	take_off(c, &c->in, len + 1);
	return true;
}

/* Takes up one line. Returns false where there is no whole one. */
static bool next_line(struct client *c)
{
	const char *at = (const char *)buffer_at(&c->in);
	size_t len = buffer_len(&c->in);
	const char *lf =
		len == c->searched ? NULL : memchr(at + c->searched, '\n', len - c->searched);

	if (lf == NULL) {
		take_rest(c);
		return false;
	}
	if (c->skipping)
		buffer_consume(&c->in, (size_t)(lf - at) + 1);
	else if (!take_first(c, (size_t)(lf - at)))
		return false;
	c->skipping = false;
	c->searched = 0;
	return true;
}

static bool may_take(const struct client *c)
{
	bool heard = !c->paused || c->gone || (!c->blocked && !session_is_full(&c->session, 0));

	/* What comes after the daemon was told to end is only refused. */
	if (c->session.waits && !c->local->draining)
		return false;
	return heard && !c->closed && c->session.in_flight < c->share &&
	       c->session.asked <= account.limit / SHARE &&
	       c->session.expected < c->local->settings.output_cap;
}

/* The input has ended, and all of it is taken up: no acknowledgement can come any more. */
static void finish(struct client *c)
{
	if (c->ended && buffer_len(&c->in) == 0)
		reader_end_acknowledging(&c->session);
	if (is_done(c))
		client_close(c, c->gone ? CLIENT_GONE : CLIENT_DONE);
}

/* True where C is in the middle of a line, and others are busy: it is read in pieces, and in turn
 * with other long ones, so that those do not wait for it. */
static bool reads_in_turn(const struct client *c)
{
	return (c->skipping || buffer_len(&c->in) >= LONG) &&
	       bridge_is_shared(c->local->bridge, loop_now_us(c->local->loop));
}

/* Nothing is read while what has come is not taken up. Where a whole piece has come the next one is
 * likely to be there. */
static void listen_if_wanted(struct client *c)
{
	bool wanted = may_take(c) && !link_used(&c->read_on.link) && !c->queued;

	if (wanted && c->had_piece && reads_in_turn(c)) {
		queue_up(&c->local->pieces, &c->read_on);
		wanted = false;
	}
	if (wanted)
		event_add(c->readable, NULL);
	else
		event_del(c->readable);
}

/*
 * Takes up lines as far as the client may go on: a bounded number in one turn, so that no client
 * holds up the others.
 */
static void on_work(void *arg)
{
	struct client *c = arg;
	uint64_t now = loop_clock_us();
	uint64_t end = now + TURN_US;
	uint32_t enough = UINT32_MAX;
	unsigned lines = 0;
	bool more = false;

	job_cancel(&c->work);
	c->queued = false;
	c->share = session_share(&c->session, now);
	if (bridge_makes_way(c->local->bridge, now)) {
		end = now + PART_US;
		enough = c->session.in_flight + PART;
	}
	if (c->share > c->in_flight_most)
		c->share = c->in_flight_most;
	while (!more && may_take(c) && next_line(c))
		more = ++lines == LINES_PER_TURN || c->session.in_flight >= enough ||
		       ((lines & 7) == 0 && loop_clock_us() >= end);
	if (c->closed)
		return;
	if (more && buffer_len(&c->in) > 0)
		work_later(c);
	else
		buffer_shrink(&c->in, 0);
	if (!c->ended)
		listen_if_wanted(c);
	if (c->session.in_flight >= c->share && c->share < c->in_flight_most &&
	    !deadline_is_set(&c->more))
		loop_set_deadline(c->local->loop, &c->more, SHARE_LASTS);
	finish(c);
}

/* Asks whether the other side still reads, and notes where it does not. */
static void look_whether_gone(struct client *c)
{
	struct pollfd p = { .fd = c->fd, .events = 0 };

	if (!c->gone && poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR)) != 0)
		be_gone(c);
}

/*
 * The end of the input is a half-close as long as the other side still reads, and that can only be
 * told by asking. An edge-triggered event wakes us when it stops to.
 */
static void on_closed(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	look_whether_gone(arg);
}

/* libevent wants all events of a descriptor to be edge-triggered, or none. */
static void end_of_input(struct client *c)
{
	struct event_base *base = loop_base(c->local->loop);
	bool writing = event_pending(c->writable, EV_WRITE, NULL) != 0;

	c->ended = true;
	event_free(c->readable);
	event_free(c->writable);
	c->readable = event_new(base, c->fd, EV_READ | EV_ET | EV_PERSIST, on_closed, c);
	c->writable = event_new(base, c->fd, EV_WRITE | EV_ET, on_writable, c);
	if (c->readable == NULL || c->writable == NULL) {
		log_write(LOG_ERROR, "out of memory for a client");
		exit(EX_OSERR);
	}
	event_add(c->readable, NULL);
	if (writing)
		event_add(c->writable, NULL);
	look_whether_gone(c);
	work_later(c);
}

/* There is no memory for the line in front, whole or not: it is refused. */
static void shed_line(struct client *c)
{
	static const struct request_id none;
	const char *at = (const char *)buffer_at(&c->in);
	size_t len = buffer_len(&c->in);
	const char *lf = memchr(at + c->searched, '\n', len - c->searched);

	if (lf != NULL) {
		len = (size_t)(lf - at);
		request_take(c, at, len, NULL, HEED_NOTHING);
		len++;
	} else {
		c->skipping = true;
		c->errors++;
		session_refuse(&c->session, &none, ERROR_OVERLOADED, OUTCOME_NOT_SAID,
			       "esbridge has no memory for a line of %zu bytes and more now; it is "
			       "thrown away",
			       len);
	}
	buffer_consume(&c->in, len);
	c->searched = 0;
	c->blocked = false;
	buffer_shrink(&c->in, 0);
	work_later(c);
}

static size_t read_size(const struct client *c, bool in_turn)
{
	size_t has = buffer_len(&c->in);

	if (in_turn)
		return READ_PIECE;
	if (has <= READ_LEAST)
		return READ_LEAST;
	return has < READ_MOST ? has : READ_MOST;
}

/* Reads what has come, as much as may be read at one time. False where C does not go on after that:
 * what has to be done is, or will be. */
static bool read_some(struct client *c)
{
	size_t has = buffer_len(&c->in);
	size_t size = c->in.size;
	ssize_t n;

	if (has >= ACCOUNT_LARGE && account_is_short()) {
		c->waits = true;
		event_del(c->readable);
		return false;
	}
	c->had_piece = false;
	c->in.swift = reads_in_turn(c);
	n = buffer_read_fd(&c->in, c->fd, read_size(c, c->in.swift));
	if (n < 0 && errno == EAGAIN)
		return true;
	if (n < 0 && errno == ENOMEM && has > 0) {
		c->in.failed = false;
		shed_line(c);
		return false;
	}
	if (n < 0 && errno == ENOMEM) {
		client_close(c, CLIENT_OUT_OF_MEMORY);
		return false;
	}
	if (n < 0)
		c->gone = true;
	if (n <= 0) {
		end_of_input(c);
		return false;
	}
	c->had_piece = c->in.swift && n == READ_PIECE;
	c->local->counters.bytes_in += (uint64_t)n;
	c->in.secret = true; /* until it is known what they are */
	if ((has < ACCOUNT_LARGE && buffer_len(&c->in) >= ACCOUNT_LARGE) ||
	    (size <= ACCOUNT_LARGE && c->in.size > ACCOUNT_LARGE))
		c->long_since = loop_now_us(c->local->loop);
	return true;
}

/* Pieces of a long line may be read: it is this one's turn. */
static void on_read_on(void *arg)
{
	struct client *c = arg;
	uint64_t end = loop_clock_us() + PART_US;

	do {
		if (!read_some(c))
			return;
	} while (c->had_piece && loop_clock_us() < end);
	on_work(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	bool idle = buffer_len(&c->in) == 0 && c->session.in_flight == 0;

	(void)fd;
	(void)what;
	if (link_used(&c->work.link))
		return; /* lines wait for their turn: no more of them until then */
	if (reads_in_turn(c)) {
		event_del(c->readable);
		queue_up(&c->local->pieces, &c->read_on);
	} else if (read_some(c)) {
		on_work(c);
		if (idle && !has_lines(c))
			session_asks_no_more(&c->session);
	}
}

/* What the bridge says -------------------------------------------------------------------------- */

/*
 * Writes what has come together, so that the readers of many events do not fill more memory than
 * the processor has at hand. What comes of it, errors too, is looked at when the turn ends: C must
 * not be closed under whoever has just written.
 */
static void write_early(struct client *c)
{
	ssize_t n;

	if (c->closed || c->gone || c->out.failed || event_pending(c->writable, EV_WRITE, NULL))
		return;
	n = buffer_write_fd(&c->out, c->fd);
	if (n > 0)
		c->local->counters.bytes_out += (uint64_t)n;
	if (buffer_len(&c->out) > 0)
		await_room(c, n);
}

static void on_wrote(struct session *s)
{
	struct client *c = CONTAINER(s, struct client, session);

	flush_later(c);
	if (buffer_len(&c->out) >= WRITE_EARLY)
		write_early(c);
}

/* False where lines are yet to come, and will be heard. */
static bool may_have_work(const struct client *c)
{
	return buffer_len(&c->in) > 0 || c->ended || c->local->draining ||
	       !event_pending(c->readable, EV_READ, NULL);
}

static void on_eased(struct session *s)
{
	struct client *c = CONTAINER(s, struct client, session);

	if (!c->closed && may_have_work(c))
		work_later(c);
}

static bool is_there(struct session *s)
{
	struct client *c = CONTAINER(s, struct client, session);

	if (!c->closed)
		look_whether_gone(c);
	return !c->closed && !c->gone;
}

static void on_waits(struct session *s, uint64_t ms)
{
	struct client *c = CONTAINER(s, struct client, session);

	loop_set_deadline(c->local->loop, &c->paid, ms);
}

static void on_paid(void *arg)
{
	struct client *c = arg;

	session_go_on(&c->session);
}

static const struct session_events session_events = {
	.wrote = on_wrote,
	.eased = on_eased,
	.is_there = is_there,
	.waits = on_waits,
};

/* Memory is short ------------------------------------------------------------------------------- */

static size_t held_line(const struct client *c, uint64_t now)
{
	bool old = account_is_spent() || now >= c->long_since + GRACE_US;

	return c->in.size > ACCOUNT_LARGE && !link_used(&c->work.link) && old ? c->in.size : 0;
}

static size_t held_output(const struct client *c, uint64_t now)
{
	size_t unacked = reader_memory(&c->session);
	bool slow = deadline_is_set(&c->stall) && now >= c->slow_since + GRACE_US;

	return (slow && c->out.size > ACCOUNT_LARGE ? c->out.size : 0) +
	       (unacked > UNACKED ? unacked : 0);
}

size_t client_holds(const struct client *c, uint64_t now)
{
	return held_line(c, now) + held_output(c, now);
}

/* Moves the little that is in B to a smaller block: none that was spared for it has more than eight
 * times its size. False where it is not that little. */
static bool fit(struct buffer *b)
{
	struct buffer less = { .limit = b->limit, .secret = b->secret };

	if (b->failed || buffer_len(b) > b->size / 16)
		return false;
	buffer_add(&less, buffer_at(b), buffer_len(b));
	if (less.failed)
		return false;
	buffer_free(b);
	*b = less;
	return true;
}

void client_relieve(struct client *c, uint64_t now)
{
	size_t line = held_line(c, now);
	size_t output = held_output(c, now);

	if (line >= output) {
		if (!fit(&c->in))
			shed_line(c);
	} else if (!fit(&c->out)) {
		log_write(LOG_WARNING,
			  "memory is short: a client that holds much is closed client=%u "
			  "reason=slow_consumer unread=%zu bytes=%zu",
			  c->number, buffer_len(&c->out), output);
		client_close(c, CLIENT_SLOW_CONSUMER);
	}
}

void client_go_on(struct client *c)
{
	if (c->waits) {
		c->waits = false;
		work_later(c);
	}
	if (c->session.hungry)
		flush_later(c);
}

/* Life ------------------------------------------------------------------------------------------ */

void client_new(struct local *local, int fd)
{
	struct client *c = mem_new(sizeof(*c));

	c->local = local;
	c->fd = fd;
	c->number = ++local->clients_made;
	c->since_us = loop_clock_us();
	c->readable = event_new(loop_base(local->loop), fd, EV_READ | EV_PERSIST, on_readable, c);
	c->writable = event_new(loop_base(local->loop), fd, EV_WRITE, on_writable, c);
	if (c->readable == NULL || c->writable == NULL) {
		log_write(LOG_ERROR, "out of memory for a client");
		if (c->readable != NULL)
			event_free(c->readable);
		close(fd);
		free(c);
		return;
	}
	job_init(&c->work, on_work, c);
	job_init(&c->read_on, on_read_on, c);
	job_init(&c->flush, on_flush, c);
	deadline_init(&c->stall, on_stall, c);
	deadline_init(&c->paid, on_paid, c);
	deadline_init(&c->more, on_work, c);
	session_init(&c->session, local->bridge, &session_events, &c->out, c->number);
	client_access_begin(c);
	list_append(&local->clients, &c->link);
	local->client_count++;
	local->counters.accepted++;
	event_add(c->readable, NULL);
	log_write(LOG_DEBUG, "client connected client=%u uid=%u pid=%d", c->number,
		  (unsigned)c->uid, (int)c->pid);
}

void client_drain(struct client *c)
{
	reader_drop_all(&c->session);
	work_later(c);
	flush_later(c);
}
