#include "base/loop.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"

enum { QUEUE_US = 20 }; /* of one turn, for what has queued up in one queue */

struct parked {
	struct parked *next;
	void *object;
	void (*free_it)(void *object);
};

struct loop {
	struct event_base *base;
	struct event *timer; /* stands for the earliest deadline */
	uint64_t timer_at;   /* when it fires; 0: not set */
	uint64_t now_us;
	uint64_t now;      /* the same in milliseconds */
	int64_t wall_ms;   /* 0: not read in this turn */
	bool now_known;    /* `now` was read since the loop last waited */
	struct link first; /* jobs that go before */
	struct link jobs;  /* these */
	struct link queues;
	struct parked *parked;
	struct deadline **heap; /* heap[1] is the earliest; heap[0] is not used */
	size_t heap_count;
	size_t heap_size;
	bool stopped;
};

uint64_t loop_clock_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* The timer exists to end the wait; the deadlines themselves run in the turn. */
static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct loop *loop = arg;

	(void)fd;
	(void)what;
	loop->timer_at = 0;
}

struct loop *loop_new(void)
{
	struct loop *loop = mem_new(sizeof(*loop));

	loop->base = event_base_new();
	loop->timer = loop->base == NULL ? NULL : evtimer_new(loop->base, on_timer, loop);
	if (loop->timer == NULL) {
		log_write(LOG_ERROR, "libevent gives no event loop");
		exit(EX_OSERR);
	}
	link_init(&loop->first);
	link_init(&loop->jobs);
	link_init(&loop->queues);
	loop->heap_size = 64;
	loop->heap = mem_new(loop->heap_size * sizeof(*loop->heap));
	return loop;
}

static void free_parked(struct loop *loop)
{
	while (loop->parked != NULL) {
		struct parked *p = loop->parked;

		loop->parked = p->next;
		p->free_it(p->object);
		free(p);
	}
}

void loop_free(struct loop *loop)
{
	free_parked(loop);
	event_free(loop->timer);
	event_base_free(loop->base);
	free(loop->heap);
	free(loop);
}

struct event_base *loop_base(const struct loop *loop)
{
	return loop->base;
}

static void read_clock(struct loop *loop)
{
	loop->now_us = loop_clock_us();
	loop->now = loop->now_us / 1000;
	loop->now_known = true;
}

uint64_t loop_now(struct loop *loop)
{
	if (!loop->now_known)
		read_clock(loop);
	return loop->now;
}

uint64_t loop_now_us(struct loop *loop)
{
	if (!loop->now_known)
		read_clock(loop);
	return loop->now_us;
}

int64_t loop_wall_ms(struct loop *loop)
{
	struct timespec ts;

	if (loop->wall_ms == 0) {
		clock_gettime(CLOCK_REALTIME, &ts);
		loop->wall_ms = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	}
	return loop->wall_ms;
}

/* The heap -------------------------------------------------------------------------------------- */

static void heap_put(struct loop *loop, size_t place, struct deadline *d)
{
	loop->heap[place] = d;
	d->place = place;
}

static void heap_up(struct loop *loop, size_t place, struct deadline *d)
{
	while (place > 1 && loop->heap[place / 2]->at > d->at) {
		heap_put(loop, place, loop->heap[place / 2]);
		place /= 2;
	}
	heap_put(loop, place, d);
}

static void heap_down(struct loop *loop, size_t place, struct deadline *d)
{
	for (;;) {
		size_t child = place * 2;

		if (child < loop->heap_count && loop->heap[child + 1]->at < loop->heap[child]->at)
			child++;
		if (child > loop->heap_count || loop->heap[child]->at >= d->at)
			break;
		heap_put(loop, place, loop->heap[child]);
		place = child;
	}
	heap_put(loop, place, d);
}

void deadline_init(struct deadline *d, void (*run)(void *arg), void *arg)
{
	*d = (struct deadline){ .run = run, .arg = arg };
}

void loop_clear_deadline(struct loop *loop, struct deadline *d)
{
	size_t place = d->place;
	struct deadline *last;

	if (place == 0)
		return;
	d->place = 0;
	last = loop->heap[loop->heap_count--];
	if (last == d)
		return;
	if (place > 1 && loop->heap[place / 2]->at > last->at)
		heap_up(loop, place, last);
	else
		heap_down(loop, place, last);
}

void loop_set_deadline(struct loop *loop, struct deadline *d, uint64_t ms)
{
	loop_clear_deadline(loop, d);
	if (loop->heap_count + 2 > loop->heap_size) {
		struct deadline **wider = mem_new(loop->heap_size * 2 * sizeof(*wider));

		memcpy(wider, loop->heap, loop->heap_size * sizeof(*wider));
		free(loop->heap);
		loop->heap = wider;
		loop->heap_size *= 2;
	}
	d->at = loop_now(loop) + ms;
	heap_up(loop, ++loop->heap_count, d);
}

static void run_deadlines(struct loop *loop)
{
	while (loop->heap_count > 0 && loop->heap[1]->at <= loop_now(loop)) {
		struct deadline *d = loop->heap[1];

		loop_clear_deadline(loop, d);
		d->run(d->arg);
	}
}

/*
 * Sets the timer to the earliest deadline. It is left alone where it fires no later than that: an
 * early wake-up costs less than a new setting for each operation that ends before its time.
 */
static void set_timer(struct loop *loop)
{
	struct timeval tv;
	uint64_t at, ms;

	if (loop->heap_count == 0)
		return;
	at = loop->heap[1]->at;
	if (loop->timer_at != 0 && loop->timer_at <= at)
		return;
	ms = at > loop_now(loop) ? at - loop_now(loop) : 0;
	tv.tv_sec = (time_t)(ms / 1000);
	tv.tv_usec = (suseconds_t)(ms % 1000 * 1000);
	evtimer_add(loop->timer, &tv);
	loop->timer_at = at;
}

/* Jobs and turns -------------------------------------------------------------------------------- */

void job_init(struct job *job, void (*run)(void *arg), void *arg)
{
	link_init(&job->link);
	job->run = run;
	job->arg = arg;
}

void loop_put_off(struct loop *loop, struct job *job)
{
	if (!link_used(&job->link))
		list_append(&loop->jobs, &job->link);
}

void loop_put_first(struct loop *loop, struct job *job)
{
	if (!link_used(&job->link))
		list_append(&loop->first, &job->link);
}

void loop_add_queue(struct loop *loop, struct queue *q, bool (*open)(void *arg), void *arg)
{
	*q = (struct queue){ .open = open, .arg = arg };
	link_init(&q->link);
	link_init(&q->jobs);
	list_append(&loop->queues, &q->link);
}

void queue_up(struct queue *q, struct job *job)
{
	if (!link_used(&job->link))
		list_append(&q->jobs, &job->link);
}

void job_cancel(struct job *job)
{
	list_remove(&job->link);
}

static void run_one(struct link *l)
{
	struct job *job = CONTAINER(l, struct job, link);

	list_remove(l);
	job->run(job->arg);
}

static void run_jobs(struct loop *loop)
{
	struct link now;
	struct link *l;

	link_init(&now);
	list_splice(&now, &loop->first);
	list_splice(&now, &loop->jobs);
	while ((l = list_first(&now)) != NULL)
		run_one(l);
}

static bool is_open(const struct queue *q)
{
	return q->open == NULL || q->open(q->arg);
}

/* At least one, where it is open. Those that queue up meanwhile are not run in this turn. */
static void run_queue(struct queue *q)
{
	struct link now;
	struct link *l;
	uint64_t end;

	if (list_empty(&q->jobs))
		return;
	link_init(&now);
	list_splice(&now, &q->jobs);
	end = loop_clock_us() + QUEUE_US;
	while ((l = list_first(&now)) != NULL && is_open(q)) {
		run_one(l);
		if (loop_clock_us() >= end)
			break;
	}
	list_splice(&now, &q->jobs);
	list_splice(&q->jobs, &now);
}

static void run_queues(struct loop *loop)
{
	for (struct link *l = list_first(&loop->queues); l != NULL; l = list_next(&loop->queues, l))
		run_queue(CONTAINER(l, struct queue, link));
}

/* True where nothing is left to be done before something happens. */
static bool is_idle(const struct loop *loop)
{
	if (!list_empty(&loop->jobs) || !list_empty(&loop->first))
		return false;
	for (struct link *l = list_first(&loop->queues); l != NULL;
	     l = list_next(&loop->queues, l)) {
		const struct queue *q = CONTAINER(l, struct queue, link);

		if (!list_empty(&q->jobs) && is_open(q))
			return false;
	}
	return true;
}

void loop_park(struct loop *loop, void *object, void (*free_it)(void *object))
{
	struct parked *p = mem_new(sizeof(*p));

	p->object = object;
	p->free_it = free_it;
	p->next = loop->parked;
	loop->parked = p;
}

void loop_run(struct loop *loop)
{
	loop->stopped = false;
	while (!loop->stopped) {
		bool wait = is_idle(loop);

		set_timer(loop);
		loop->now_known = false;
		loop->wall_ms = 0;
		/*
		 * Without EVLOOP_ONCE it would not return before nothing is ready any more: one
		 * client that waits for its turn would keep every job from running.
		 */
		event_base_loop(loop->base, wait ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
		loop->now_known = false;
		run_deadlines(loop);
		run_jobs(loop);
		run_queues(loop);
		free_parked(loop);
	}
	/* A look-up that has been cancelled is freed by libevent in the turn after that. */
	event_base_loop(loop->base, EVLOOP_ONCE | EVLOOP_NONBLOCK);
	free_parked(loop);
}

void loop_stop(struct loop *loop)
{
	loop->stopped = true;
}
