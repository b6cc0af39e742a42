/*
 * One turn of the event loop, and the things that hang on it: deadlines, work put off to the end of
 * the turn, and objects that must not be freed before it.
 *
 * A turn: wait for events and run their callbacks; run the deadlines that have passed; run the jobs
 * put off in this turn, first those that were put first (what is put off meanwhile runs in the next
 * turn, without waiting first); of each queue run what takes a moment (the others follow in the
 * next turn, without waiting first); free what was parked. All time is monotonic.
 */
#ifndef ESBRIDGE_BASE_LOOP_H
#define ESBRIDGE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include <event2/event.h>

#include "base/list.h"

struct loop;

/* Work for the end of the turn. Zero-initialise through job_init(). */
struct job {
	struct link link;
	void (*run)(void *arg);
	void *arg;
};

/* Jobs that may take long in sum, and must not hold up what comes in meanwhile. */
struct queue {
	struct link link; /* among those of the loop */
	struct link jobs;
	bool (*open)(void *arg); /* false: none is run now; NULL: it is always open */
	void *arg;
};

/* A moment at which something is to be done, once. */
struct deadline {
	uint64_t at;  /* milliseconds of loop_now() */
	size_t place; /* in the heap, from 1; 0: not set */
	void (*run)(void *arg);
	void *arg;
};

/*
 * Makes the loop. Exits where libevent cannot make its base. Freed with loop_free(), after all
 * events on it.
 */
struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* libevent's base, for events on descriptors and signals. It belongs to the loop. */
struct event_base *loop_base(const struct loop *loop);

/* Milliseconds of a clock that never jumps, read at most twice a turn. */
uint64_t loop_now(struct loop *loop);

/* The same in microseconds: as of when the loop woke up, not of the call. */
uint64_t loop_now_us(struct loop *loop);

/* Milliseconds since 1970 in UTC, read at most once a turn, for what others have dated. */
int64_t loop_wall_ms(struct loop *loop);

/* Microseconds of the same clock, read now: for measuring. */
uint64_t loop_clock_us(void);

/* Runs turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

void job_init(struct job *job, void (*run)(void *arg), void *arg);

/* Runs JOB at the end of this turn; does nothing if it waits already. */
void loop_put_off(struct loop *loop, struct job *job);

/* The same, ahead of those put off by loop_put_off(): for what is done and has to go out, which
 * must not wait until others are served. */
void loop_put_first(struct loop *loop, struct job *job);

/*
 * Makes Q, zero-initialised or not, one of the loop's. Turns run the queues in the order they were
 * made. OPEN (NULL: always) is asked with ARG in each turn in which Q has jobs, and before each
 * job; that it has become true wakes nobody up, which is up to whoever closes it. Q must live as
 * long as the loop runs.
 */
void loop_add_queue(struct loop *loop, struct queue *q, bool (*open)(void *arg), void *arg);

/*
 * Runs JOB at the end of this turn or of a later one, behind those that queued up in Q before it;
 * does nothing if it waits already.
 */
void queue_up(struct queue *q, struct job *job);

/* Takes JOB back, whether it waits or not. */
void job_cancel(struct job *job);

void deadline_init(struct deadline *d, void (*run)(void *arg), void *arg);

/* Sets D to MS milliseconds from now (loop_now()), in place of an earlier setting. */
void loop_set_deadline(struct loop *loop, struct deadline *d, uint64_t ms);

/* Takes D back, whether it is set or not. */
void loop_clear_deadline(struct loop *loop, struct deadline *d);

static inline bool deadline_is_set(const struct deadline *d)
{
	return d->place != 0;
}

/* Calls FREE with OBJECT at the end of the turn, when no callback can hold it any more. */
void loop_park(struct loop *loop, void *object, void (*free_it)(void *object));

#endif
