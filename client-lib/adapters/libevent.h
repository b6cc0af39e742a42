/*
 * A context of libesbridge in a loop of libevent:
 *
 *	esbridge_libevent_attach(e, base);
 *	event_base_dispatch(base);
 *
 * The loop then connects, reads and sends, and the callbacks of the context are called from it.
 *When the context is closed, the loop forgets it. Link with -lesbridge -levent_core.
 */
#ifndef ESBRIDGE_ADAPTERS_LIBEVENT_H
#define ESBRIDGE_ADAPTERS_LIBEVENT_H

#include <esbridge.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <poll.h>
#include <stdlib.h>

/* Lives from esbridge_libevent_attach() until the context is closed. */
struct esbridge_libevent {
	struct esbridge *e;
	struct event_base *base;
	struct event io;
	struct event timer;
	int fd; /* that `io` waits for, or -1 */
	short events;
	bool running; /* within esbridge_process() */
	bool closed;
};

static inline void esbridge_libevent_process(struct esbridge_libevent *a, short revents)
{
	a->running = true;
	esbridge_process(a->e, revents);
	a->running = false;
	if (a->closed)
		free(a);
}

static inline void esbridge_libevent_on_io(evutil_socket_t fd, short what, void *user)
{
	short in = (what & EV_READ) != 0 ? POLLIN : 0;
	short out = (what & EV_WRITE) != 0 ? POLLOUT : 0;

	(void)fd;
	esbridge_libevent_process((struct esbridge_libevent *)user, (short)(in | out));
}

static inline void esbridge_libevent_on_time(evutil_socket_t fd, short what, void *user)
{
	(void)fd;
	(void)what;
	esbridge_libevent_process((struct esbridge_libevent *)user, 0);
}

/* Waits for FD and nothing else; EVENTS as of poll(2), 0: for nothing. */
static inline void esbridge_libevent_wait_for(struct esbridge_libevent *a, int fd, short events)
{
	short in = (events & POLLIN) != 0 ? EV_READ : 0;
	short out = (events & POLLOUT) != 0 ? EV_WRITE : 0;

	if (fd == a->fd && events == a->events)
		return;
	if (a->fd >= 0)
		event_del(&a->io);
	a->fd = fd;
	a->events = events;
	if (fd >= 0 && event_assign(&a->io, a->base, fd, (short)(in | out | EV_PERSIST),
				    esbridge_libevent_on_io, a) == 0)
		event_add(&a->io, NULL);
}

static inline void esbridge_libevent_update(struct esbridge *e, bool closing, void *user)
{
	struct esbridge_libevent *a = (struct esbridge_libevent *)user;
	short events = closing ? 0 : esbridge_events(e);
	int deadline = closing ? -1 : esbridge_deadline(e);
	struct timeval time;

	esbridge_libevent_wait_for(a, events != 0 ? esbridge_fd(e) : -1, events);
	event_del(&a->timer);
	if (deadline >= 0) {
		time.tv_sec = deadline / 1000;
		time.tv_usec = deadline % 1000 * 1000;
		event_add(&a->timer, &time);
	}
	a->closed = closing;
	if (closing && !a->running)
		free(a);
}

/* From now on BASE does the work of E. -1 where memory is out. */
static inline int esbridge_libevent_attach(struct esbridge *e, struct event_base *base)
{
	struct esbridge_libevent *a = (struct esbridge_libevent *)calloc(1, sizeof(*a));

	if (a == NULL)
		return -1;
	a->e = e;
	a->base = base;
	a->fd = -1;
	if (event_assign(&a->timer, base, -1, 0, esbridge_libevent_on_time, a) != 0) {
		free(a);
		return -1;
	}
	esbridge_set_watcher(e, esbridge_libevent_update, a);
	return 0;
}

#endif
