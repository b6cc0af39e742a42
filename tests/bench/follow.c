/*
 * Subscriptions: events that are there already; events delivered live to one reader or many; events
 * of a group, acknowledged.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"
#include "store/wire_read.h"

enum {
	READY_MOST = 64,
	PATIENCE = 20000, /* milliseconds */
	ID_MOST = 65536,  /* ids acknowledged at once */
};

/* Feeding -------------------------------------------------------------------------------------- */

void feed_open(struct feed *f, const struct run *run)
{
	unsigned batch = run->count < FILL_BATCH ? run->count : FILL_BATCH;

	memset(f, 0, sizeof(*f));
	peer_open(&f->peer, run, false);
	/* A large event goes alone. */
	if ((size_t)batch * run->size > (1 << 20))
		batch = 1;
	template_write(&f->template, &f->peer, run, batch);
	f->ahead = run->ahead > batch ? run->ahead : batch;
	f->count = run->count - run->count % batch;
	f->sent_at = new_array(f->count / batch, sizeof(*f->sent_at));
}

void feed_close(struct feed *f)
{
	peer_close(&f->peer);
	template_free(&f->template);
	free(f->sent_at);
}

void feed_on(struct feed *f, size_t seen)
{
	unsigned batch = f->template.events;

	while (f->events < f->count && f->events + batch <= seen + f->ahead) {
		f->sent_at[f->events / batch] = clock_ns();
		request_write(&f->peer, &f->template, (uint32_t)(f->events / batch));
		f->events += batch;
	}
	peer_send(&f->peer);
}

void feed_drain(struct feed *f)
{
	peer_receive(&f->peer);
	while (peer_next(&f->peer, false).kind != ARRIVAL_NONE)
		f->answered += f->template.events;
}

/* Catching up ---------------------------------------------------------------------------------- */

/* What the answer to a read says: how many events, and where the next page begins. */
struct page {
	uint32_t events;
	int64_t commit, prepare;
};

static struct page look_at_page(const struct arrived *a, uint32_t events_field, uint32_t next_field)
{
	struct page page = { 0, 0, 0 };
	struct wire w;
	struct wire_field f = { .number = 0 };

	wire_start(&w, a->at, a->payload_len);
	while (wire_next(&w, &f)) {
		if (f.number == events_field && f.type == WIRE_BYTES)
			page.events++;
		else if (f.number == next_field)
			page.commit = (int64_t)f.value;
		else if (f.number == next_field + 1)
			page.prepare = (int64_t)f.value;
	}
	return page;
}

/* As every client of the store does it: one page after the other. */
static void catch_up_directly(struct run *run, struct peer *reader)
{
	struct page page = { 0, 0, 0 };
	struct arrived a;
	uint32_t tag;

	for (tag = 0; run->done < run->count; tag++) {
		if (run->all)
			request_read_all(reader, run, page.commit, page.prepare, tag);
		else
			request_read(reader, run, (uint32_t)page.commit, tag);
		a = peer_await(reader, tag);
		page = run->all ? look_at_page(&a, 3, 4) : look_at_page(&a, 1, 3);
		if (page.events == 0)
			die("fewer events than were asked for");
		run->done += page.events;
	}
}

static void catch_up_by_daemon(struct run *run, struct peer *reader)
{
	request_catch_up(reader, run, "s", SETUP_TAG);
	peer_await(reader, SETUP_TAG);
	while (run->done < run->count) {
		struct arrived a;

		while ((a = peer_next(reader, false)).kind != ARRIVAL_NONE)
			run->done += a.kind == ARRIVAL_EVENT;
		if (run->done < run->count)
			peer_receive(reader);
	}
}

void bench_catch_up(struct run *run)
{
	struct peer reader;

	peer_open(&reader, run, run->bridge);
	run_begin(run);
	if (run->bridge)
		catch_up_by_daemon(run, &reader);
	else
		catch_up_directly(run, &reader);
	run_end(run);
	peer_close(&reader);
}

/* Live ----------------------------------------------------------------------------------------- */

struct reader {
	struct peer peer;
	size_t seen;
};

struct readers {
	struct run *run;
	struct feed feed;
	struct reader *list;
	int poller;
};

/* Subscriptions to streams in which nothing happens. */
static void open_others(const struct run *run, struct peer *p)
{
	for (uint32_t i = 0; i < run->subs; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%.40s-%u", run->stream, i);
		request_subscribe(p, name, name, i);
		peer_await(p, i);
	}
}

static void open_readers(struct readers *all)
{
	struct run *run = all->run;

	for (unsigned i = 0; i < run->connections; i++) {
		struct reader *r = &all->list[i];

		peer_open(&r->peer, run, run->bridge);
		if (i == 0)
			open_others(run, &r->peer);
		request_subscribe(&r->peer, run->stream, "s", SETUP_TAG);
		peer_await(&r->peer, SETUP_TAG);
		poll_peer(all->poller, &r->peer, r);
	}
	poll_peer(all->poller, &all->feed.peer, NULL);
}

static void take_events(struct readers *all, struct reader *r)
{
	struct arrived a;
	uint64_t now;

	peer_receive(&r->peer);
	now = clock_ns();
	while ((a = peer_next(&r->peer, false)).kind != ARRIVAL_NONE) {
		if (a.kind != ARRIVAL_EVENT)
			continue;
		run_sample(all->run, all->feed.sent_at[r->seen / all->feed.template.events], now);
		r->seen++;
		all->run->done++;
	}
	peer_send(&r->peer); /* an answer to a heartbeat, if anything */
}

static size_t slowest(const struct readers *all)
{
	size_t least = SIZE_MAX;

	for (unsigned i = 0; i < all->run->connections; i++)
		least = all->list[i].seen < least ? all->list[i].seen : least;
	return least;
}

static void follow(struct readers *all)
{
	struct epoll_event ready[READY_MOST];
	uint64_t wanted = (uint64_t)all->feed.count * all->run->connections;

	while (all->run->done < wanted || all->feed.answered < all->feed.count) {
		int count;

		feed_on(&all->feed, slowest(all));
		count = epoll_wait(all->poller, ready, READY_MOST, PATIENCE);
		if (count <= 0)
			die("no event in time");
		for (int i = 0; i < count; i++) {
			if (ready[i].data.ptr == NULL)
				feed_drain(&all->feed);
			else
				take_events(all, ready[i].data.ptr);
		}
	}
}

void bench_live(struct run *run)
{
	struct readers all = { .run = run, .poller = epoll_create1(EPOLL_CLOEXEC) };

	all.list = new_array(run->connections, sizeof(*all.list));
	feed_open(&all.feed, run);
	open_readers(&all);
	run_begin(run);
	follow(&all);
	run_end(run);
	for (unsigned i = 0; i < run->connections; i++)
		peer_close(&all.list[i].peer);
	feed_close(&all.feed);
	close(all.poller);
	free(all.list);
}

/* Group ---------------------------------------------------------------------------------------- */

/* Fills the stream and makes the group that begins with its first event. */
static void prepare_group(struct run *run)
{
	struct feed feed;

	feed_open(&feed, run);
	while (feed.answered < feed.count) {
		feed_on(&feed, feed.answered);
		feed_drain(&feed);
	}
	run->count = (uint32_t)feed.count;
	request_create_group(&feed.peer, run->stream, SETUP_TAG);
	peer_await(&feed.peer, SETUP_TAG);
	feed_close(&feed);
}

void bench_group(struct run *run)
{
	static struct guid ids[ID_MOST];
	struct peer reader;

	prepare_group(run);
	peer_open(&reader, run, run->bridge);
	run_begin(run);
	request_connect_group(&reader, run, SETUP_TAG);
	peer_await(&reader, SETUP_TAG);
	while (run->done < run->count) {
		size_t count = 0;

		while (count < ID_MOST) {
			struct arrived a = peer_next(&reader, true);

			if (a.kind == ARRIVAL_NONE)
				break;
			if (a.kind == ARRIVAL_EVENT)
				ids[count++] = a.id;
		}
		run->done += count;
		request_ack(&reader, run, ids, count);
		peer_send(&reader);
		if (run->done < run->count)
			peer_receive(&reader);
	}
	run_end(run);
	peer_close(&reader);
}
