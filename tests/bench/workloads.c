/*
 * Requests with so many in flight on so many connections: writes, and reads of pages.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench.h"
#include "store/wire_read.h"

enum { READY_MOST = 64, PATIENCE = 20000 /* milliseconds */ };

struct worker {
	struct peer peer;
	struct template template;
	unsigned waits; /* requests not answered */
};

/* One kind of request: how it is made, and what its answer counts. */
struct work {
	void (*ask)(struct run *run, struct worker *w, uint32_t tag);
	uint32_t (*take)(struct run *run, const struct peer *p, const struct arrived *a);
};

struct workers {
	struct run *run;
	const struct work *work;
	struct worker *list;
	uint64_t *sent_at; /* by tag */
	uint32_t sent;
	uint32_t answered;
};

static void send_some(struct workers *all, struct worker *w, unsigned count, uint64_t now)
{
	for (; count > 0 && all->sent < all->run->count; count--, all->sent++) {
		all->work->ask(all->run, w, all->sent);
		all->sent_at[all->sent] = now;
		w->waits++;
	}
	peer_send(&w->peer);
}

static void take_answers(struct workers *all, struct worker *w)
{
	struct run *run = all->run;
	struct arrived a;
	unsigned count = 0;
	uint64_t now;

	peer_receive(&w->peer);
	now = clock_ns();
	while ((a = peer_next(&w->peer, false)).kind != ARRIVAL_NONE) {
		if (a.kind != ARRIVAL_REPLY || a.tag >= all->sent)
			die("an answer that nobody waits for");
		run_sample(run, all->sent_at[a.tag], now);
		run->done += all->work->take(run, &w->peer, &a);
		all->answered++;
		count++;
	}
	w->waits -= count;
	if (run->turn == 0)
		send_some(all, w, count, now);
	else if (w->waits == 0)
		send_some(all, w, run->in_flight, now);
}

static void open_workers(struct workers *all, int poller)
{
	struct run *run = all->run;

	for (unsigned i = 0; i < run->connections; i++) {
		struct worker *w = &all->list[i];

		peer_open(&w->peer, run, run->bridge);
		template_write(&w->template, &w->peer, run, 1);
		poll_peer(poller, &w->peer, w);
	}
}

static void close_workers(struct workers *all)
{
	for (unsigned i = 0; i < all->run->connections; i++) {
		peer_close(&all->list[i].peer);
		template_free(&all->list[i].template);
	}
}

static void run_work(struct run *run, const struct work *work)
{
	struct workers all = { .run = run, .work = work };
	struct epoll_event ready[READY_MOST];
	int poller = epoll_create1(EPOLL_CLOEXEC);

	all.list = new_array(run->connections, sizeof(*all.list));
	all.sent_at = new_array(run->count, sizeof(*all.sent_at));
	open_workers(&all, poller);
	run_begin(run);
	for (unsigned i = 0; i < run->connections; i++)
		send_some(&all, &all.list[i], run->in_flight, clock_ns());
	while (all.answered < run->count) {
		int count = epoll_wait(poller, ready, READY_MOST, PATIENCE);

		if (count <= 0)
			die("no answer in time");
		for (int i = 0; i < count; i++)
			take_answers(&all, ready[i].data.ptr);
	}
	run_end(run);
	close_workers(&all);
	close(poller);
	free(all.list);
	free(all.sent_at);
}

/* Writes --------------------------------------------------------------------------------------- */

static void ask_write(struct run *run, struct worker *w, uint32_t tag)
{
	(void)run;
	request_write(&w->peer, &w->template, tag);
}

static uint32_t take_write(struct run *run, const struct peer *p, const struct arrived *a)
{
	(void)run;
	(void)p;
	(void)a;
	return 1;
}

void bench_write(struct run *run)
{
	static const struct work write_work = { ask_write, take_write };

	run_work(run, &write_work);
}

/* Reads ---------------------------------------------------------------------------------------- */

static void ask_read(struct run *run, struct worker *w, uint32_t tag)
{
	request_read(&w->peer, run, run->at, tag);
}

/* Every page must be a full one. */
static uint32_t take_read(struct run *run, const struct peer *p, const struct arrived *a)
{
	uint32_t events = 0;
	struct wire w;
	struct wire_field f;

	if (p->bridge) {
		if (a->bytes < (size_t)run->page * run->size)
			die("a page that is not full");
		return run->page;
	}
	wire_start(&w, a->at, a->payload_len);
	while (wire_next(&w, &f))
		events += f.number == 1;
	if (events != run->page)
		die("a page that is not full");
	return events;
}

/* The same page again and again: what a page costs does not hang on where it stands. */
void bench_read(struct run *run)
{
	static const struct work read_work = { ask_read, take_read };

	run_work(run, &read_work);
}

/* Others --------------------------------------------------------------------------------------- */

/* Puts events into the stream, straight at the store. */
void bench_fill(struct run *run)
{
	struct feed feed;

	feed_open(&feed, run);
	run_begin(run);
	while (feed.answered < feed.count) {
		feed_on(&feed, feed.answered);
		feed_drain(&feed);
	}
	run_end(run);
	run->done = feed.answered;
	feed_close(&feed);
}

/* Says that the idle connections are there, and keeps them until the end of standard input. */
void bench_idle(struct run *run)
{
	char byte;

	printf("ready\n");
	fflush(stdout);
	run_begin(run);
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	run_end(run);
	run->done = run->idle;
}
