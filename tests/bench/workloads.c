/*
 * The workloads: writes with so many in flight on so many connections; events delivered live to one
 * reader; events of a group delivered to one reader that acknowledges them.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"

enum {
	BATCH = 100,  /* events in one write that feeds readers */
	AHEAD = 4000, /* events written and not yet seen by the reader */
	SETUP_TAG = 4000000000u,
	ID_MOST = 16384, /* ids acknowledged at once */
};

/* Writes --------------------------------------------------------------------------------------- */

struct writer {
	struct peer peer;
	struct template template;
};

struct writers {
	struct run *run;
	struct writer *list;
	uint64_t *sent_at; /* by tag */
	size_t sent;
	size_t done;
};

static void send_some(struct writers *all, struct writer *w, unsigned count, uint64_t now)
{
	for (; count > 0 && all->sent < all->run->count; count--, all->sent++) {
		request_write(&w->peer, &w->template, (uint32_t)all->sent);
		all->sent_at[all->sent] = now;
	}
	peer_send(&w->peer);
}

static void take_replies(struct writers *all, struct writer *w)
{
	struct run *run = all->run;
	struct arrived a;
	unsigned count = 0;
	uint64_t now;

	peer_receive(&w->peer);
	now = clock_ns();
	while ((a = peer_next(&w->peer, false)).kind != ARRIVAL_NONE) {
		if (a.kind != ARRIVAL_REPLY || a.tag >= run->count)
			die("an answer that nobody waits for");
		run->latency[run->samples++] = (uint32_t)(now - all->sent_at[a.tag]);
		all->done++;
		count++;
	}
	send_some(all, w, count, now);
}

static void open_writers(struct writers *all, int poller)
{
	struct run *run = all->run;

	for (unsigned i = 0; i < run->connections; i++) {
		struct writer *w = &all->list[i];
		struct epoll_event event = { .events = EPOLLIN, .data = { .ptr = w } };

		peer_open(&w->peer, run, run->bridge);
		template_write(&w->template, &w->peer, run->stream, 1);
		if (epoll_ctl(poller, EPOLL_CTL_ADD, w->peer.fd, &event) < 0)
			die("epoll");
	}
}

void bench_write(struct run *run)
{
	struct writers all = { .run = run };
	struct epoll_event ready[64];
	int poller = epoll_create1(EPOLL_CLOEXEC);

	all.list = calloc(run->connections, sizeof(*all.list));
	all.sent_at = calloc(run->count, sizeof(*all.sent_at));
	if (poller < 0 || all.list == NULL || all.sent_at == NULL)
		die("out of memory");
	open_writers(&all, poller);
	run->began = clock_ns();
	for (unsigned i = 0; i < run->connections; i++)
		send_some(&all, &all.list[i], run->in_flight, clock_ns());
	while (all.done < run->count) {
		int count = epoll_wait(poller, ready, 64, 10000);

		if (count <= 0)
			die("no answer within 10 s");
		for (int i = 0; i < count; i++)
			take_replies(&all, ready[i].data.ptr);
	}
	run->ended = clock_ns();
	for (unsigned i = 0; i < run->connections; i++) {
		peer_close(&all.list[i].peer);
		template_free(&all.list[i].template);
	}
	close(poller);
	free(all.list);
	free(all.sent_at);
}

/* Live ----------------------------------------------------------------------------------------- */

/* Feeds a stream straight at the store, never more than AHEAD events before its reader. */
struct feed {
	struct peer peer;
	struct template template;
	uint64_t *sent_at; /* of each batch */
	size_t events;     /* written */
	size_t count;      /* to be written */
};

static void feed_open(struct feed *f, const struct run *run)
{
	peer_open(&f->peer, run, false);
	template_write(&f->template, &f->peer, run->stream, BATCH);
	f->count = run->count - run->count % BATCH;
	f->sent_at = calloc(f->count / BATCH + 1, sizeof(*f->sent_at));
	if (f->sent_at == NULL)
		die("out of memory");
}

static void feed_close(struct feed *f)
{
	peer_close(&f->peer);
	template_free(&f->template);
	free(f->sent_at);
}

static void feed_on(struct feed *f, size_t seen)
{
	while (f->events < f->count && f->events + BATCH <= seen + AHEAD) {
		f->sent_at[f->events / BATCH] = clock_ns();
		request_write(&f->peer, &f->template, (uint32_t)(f->events / BATCH));
		f->events += BATCH;
	}
	peer_send(&f->peer);
}

/* Takes the answers to writes that have come. */
static void feed_drain(struct feed *f)
{
	peer_receive(&f->peer);
	while (peer_next(&f->peer, false).kind != ARRIVAL_NONE)
		;
}

static size_t take_events(struct run *run, struct peer *reader, const struct feed *f, size_t seen)
{
	struct arrived a;
	uint64_t now;

	peer_receive(reader);
	now = clock_ns();
	while ((a = peer_next(reader, false)).kind != ARRIVAL_NONE) {
		if (a.kind == ARRIVAL_EVENT) {
			run->latency[run->samples++] = (uint32_t)(now - f->sent_at[seen / BATCH]);
			seen++;
		}
	}
	peer_send(reader); /* an answer to a heartbeat, if anything */
	return seen;
}

void bench_live(struct run *run)
{
	struct feed feed = { .events = 0 };
	struct peer reader;
	size_t seen = 0;

	feed_open(&feed, run);
	run->count = feed.count;
	peer_open(&reader, run, run->bridge);
	request_subscribe(&reader, run->stream, SETUP_TAG);
	peer_await(&reader, SETUP_TAG);
	run->began = clock_ns();
	while (seen < run->count) {
		struct pollfd fds[2] = { { reader.fd, POLLIN, 0 }, { feed.peer.fd, POLLIN, 0 } };

		feed_on(&feed, seen);
		if (poll(fds, 2, 10000) <= 0)
			die("no event within 10 s");
		if (fds[1].revents != 0)
			feed_drain(&feed);
		if (fds[0].revents != 0)
			seen = take_events(run, &reader, &feed, seen);
	}
	run->ended = clock_ns();
	peer_close(&reader);
	feed_close(&feed);
}

/* Group ---------------------------------------------------------------------------------------- */

/* Fills the stream and makes the group that begins with its first event. */
static void prepare_group(struct run *run)
{
	struct feed feed = { .events = 0 };

	feed_open(&feed, run);
	run->count = feed.count;
	for (size_t done = 0; done < run->count; done += BATCH) {
		request_write(&feed.peer, &feed.template, (uint32_t)(done / BATCH));
		peer_await(&feed.peer, (uint32_t)(done / BATCH));
	}
	request_create_group(&feed.peer, run->stream, SETUP_TAG);
	peer_await(&feed.peer, SETUP_TAG);
	feed_close(&feed);
}

void bench_group(struct run *run)
{
	static struct guid ids[ID_MOST];
	struct peer reader;
	size_t seen = 0;

	prepare_group(run);
	peer_open(&reader, run, run->bridge);
	run->began = clock_ns();
	/* Acks go with the id of the request that connected, which is 0. */
	request_connect_group(&reader, run->stream, run->in_flight, 0);
	peer_await(&reader, 0);
	while (seen < run->count) {
		struct arrived a;
		size_t count = 0;

		while ((a = peer_next(&reader, true)).kind == ARRIVAL_EVENT && count < ID_MOST)
			ids[count++] = a.id;
		seen += count;
		request_ack(&reader, run->stream, ids, count);
		peer_send(&reader);
		if (seen < run->count)
			peer_receive(&reader);
	}
	run->ended = clock_ns();
	peer_close(&reader);
}
